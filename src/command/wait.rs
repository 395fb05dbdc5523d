//! The longest wait of a call that may wait, and the same call with another one or none.

use std::time::Duration;

use redis::{Cmd, cmd};

use super::keys::keys;
use super::request::{Plan, words};
use super::row::Unit;

/// How long a call may wait: `Some(None)` for ever; `None` if it is no call that waits, or says no number that a server takes.
/// The server tells the caller what is wrong with it.
#[must_use]
pub fn longest_wait(cmd: &Cmd, plan: &Plan<'_>) -> Option<Option<Duration>> {
    let Plan::Wait { at, unit, .. } = *plan else { return None };
    let text = std::str::from_utf8(words(cmd).nth(at)??).ok()?;
    let wait = match unit {
        Unit::Milliseconds => Duration::from_millis(text.parse().ok()?),
        Unit::Seconds => Duration::try_from_secs_f64(text.parse().ok()?).ok()?,
    };
    // A server counts in milliseconds, with a sign.
    i64::try_from(wait.as_millis()).ok()?;
    Some((!wait.is_zero()).then_some(wait))
}

/// The same call with this longest wait, rounded up to a millisecond and at least one: 0 would be for ever. A call that does
/// not wait stays as it is.
#[must_use]
pub fn with_wait(cmd: &Cmd, plan: &Plan<'_>, remaining: Duration) -> Cmd {
    let Plan::Wait { at, unit, .. } = *plan else { return cmd.clone() };
    let millis = remaining.as_nanos().div_ceil(1_000_000).max(1);
    let text = match unit {
        Unit::Milliseconds => millis.to_string(),
        Unit::Seconds => format!("{}.{:03}", millis / 1000, millis % 1000),
    };
    let mut changed = Cmd::new();
    for (position, word) in words(cmd).enumerate() {
        match word {
            _ if position == at => changed.arg(&text),
            Some(word) => changed.arg(word),
            // No call that waits has a cursor.
            None => &mut changed,
        };
    }
    changed
}

/// The same call without its `BLOCK` option. A call that waits by a fixed argument, or not at all, stays as it is.
#[must_use]
pub fn without_wait(cmd: &Cmd, plan: &Plan<'_>) -> Cmd {
    let Plan::Wait { at, unit: Unit::Milliseconds, .. } = *plan else { return cmd.clone() };
    let mut changed = Cmd::new();
    for (position, word) in words(cmd).enumerate() {
        if position + 1 != at && position != at {
            changed.arg(word);
        }
    }
    changed
}

/// An `XREAD` that waits as long as this `XREADGROUP … BLOCK` would, until one of its streams has an entry beyond the id that
/// `last_ids` gives for it. One entry is enough to know, so it asks for one.
///
/// It is a call that waits like any other: [`plan`](super::plan) and [`with_wait`] take it.
#[must_use]
pub fn wait_for_entries(call: &Cmd, plan: &Plan<'_>, last_ids: &[Vec<u8>]) -> Cmd {
    let mut wait = cmd("XREAD");
    wait.arg("COUNT").arg(1);
    if let Plan::Wait { at, unit: Unit::Milliseconds, .. } = *plan {
        wait.arg("BLOCK").arg(words(call).nth(at).flatten());
    }
    wait.arg("STREAMS");
    // A plan was made of these keys, so they are found.
    let found = keys(plan.row(), words(call), |key| {
        wait.arg(key.bytes);
    });
    debug_assert!(found.is_ok(), "a call with a plan has keys");
    wait.arg(last_ids);
    wait
}
