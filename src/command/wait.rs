//! What a call that may wait waits for, and for how long; and the same call with another wait or none.

use std::time::Duration;

use redis::Cmd;

use super::keys::keys;
use super::options::given;
use super::request::{Plan, words};
use super::row::{Access, Effect, Unit};

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

/// The keys at one of which something must come for this call to end its wait.
#[must_use]
pub fn awaited(cmd: &Cmd, plan: &Plan<'_>) -> Vec<Vec<u8>> {
    let mut awaited: Vec<Vec<u8>> = Vec::new();
    let found = keys(plan.row(), words(cmd), |key| awaited.push(key.bytes.to_vec()));
    debug_assert!(found.is_ok(), "a call with a plan has keys");
    if matches!(plan.row().effect, Effect::ListMoved(_)) {
        // The other list only receives.
        awaited.truncate(1);
    }
    awaited
}

/// Those who wait for the same keys and compete for what comes: `None` if all of them get it, or else the name of their
/// consumer group, which is empty where there are no groups.
#[must_use]
pub fn competes<'a>(cmd: &'a Cmd, plan: &Plan<'_>) -> Option<&'a [u8]> {
    let row = plan.row();
    if row.access == Access::Read {
        return None;
    }
    let group = given(row, words(cmd)).find(|option| option.word == "GROUP");
    Some(group.and_then(|group| words(cmd).nth(group.at + 1)?).unwrap_or_default())
}

/// The streams of which this call wants what comes after their last entry (`$`), each with the position of that id.
#[must_use]
pub fn from_now(cmd: &Cmd, plan: &Plan<'_>) -> Vec<(Vec<u8>, usize)> {
    if plan.row().access != Access::Read {
        return Vec::new();
    }
    let mut streams = Vec::new();
    let found = keys(plan.row(), words(cmd), |key| streams.push((key.bytes.to_vec(), key.at)));
    debug_assert!(found.is_ok(), "a call with a plan has keys");
    let count = streams.len();
    streams.iter_mut().for_each(|(_, at)| *at += count);
    streams.retain(|(_, at)| words(cmd).nth(*at).flatten() == Some(b"$"));
    streams
}

/// The same call with other words at these positions.
#[must_use]
pub fn with_words(cmd: &Cmd, changes: &[(usize, String)]) -> Cmd {
    let mut changed = Cmd::new();
    for (position, word) in words(cmd).enumerate() {
        match (changes.iter().find(|(at, _)| *at == position), word) {
            (Some((_, other)), _) => changed.arg(other),
            (None, Some(word)) => changed.arg(word),
            // No call that waits has a cursor.
            (None, None) => &mut changed,
        };
    }
    changed
}
