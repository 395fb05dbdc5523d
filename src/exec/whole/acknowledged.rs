//! WAIT: how many copies beside the primary have what this process has written.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, RedisResult, Value, cmd};

use super::super::{Core, Snapshot};
use super::{View, any};
use crate::command;
use crate::policy::WritePolicy;

/// A write acknowledged by all owners needs no waiting. One acknowledged by the primary may have copies under way: those
/// are waited for, until no copy stands in line and every member has answered a PING that was sent behind them.
pub(super) async fn run(core: &Core, first: &Arc<Snapshot>, cmd: &Cmd) -> RedisResult<Value> {
    let (Some(_), Some(ms)) = (integer(cmd, 1), integer(cmd, 2).and_then(|ms| u64::try_from(ms).ok())) else {
        // A mistake, which any member words as usual, and at once.
        return any::ask(core, first, cmd).await;
    };
    let copies = match core.options.write_policy {
        WritePolicy::All => copies(&View::of(first)),
        WritePolicy::Primary => {
            // For ever (0) is as long as a write may take: then it has ended or is an error.
            let timeouts = &core.options.connect.timeouts;
            let longest = timeouts.write.saturating_mul(4) + timeouts.connect;
            let limit = if ms == 0 { longest } else { Duration::from_millis(ms).min(longest) };
            tokio::time::timeout(limit, arrived(core)).await.unwrap_or(0)
        }
    };
    Ok(Value::Int(i64::try_from(copies).unwrap_or(i64::MAX)))
}

async fn arrived(core: &Core) -> usize {
    while core.stripes.lock_all_free().is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let snapshot = core.snapshot.load_full();
    let mut view = View::of(&snapshot);
    view.ask(core, &cmd("PING")).await;
    copies(&view)
}

fn copies(view: &View<'_>) -> usize {
    view.fewest_owners().saturating_sub(1)
}

/// A number as servers read it: no sign but a minus, no blanks, no leading zero.
fn integer(cmd: &Cmd, at: usize) -> Option<i64> {
    let text = std::str::from_utf8(command::argument(cmd, at)?).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}
