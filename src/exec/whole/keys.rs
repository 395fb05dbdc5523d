//! KEYS: each member's keys, each key from the one that answers for it.

use std::sync::Arc;

use redis::{Cmd, Value};

use super::super::reply::is_error;
use super::super::{Core, Snapshot};
use super::{Tries, View};
use crate::error::Result;

/// The keys are filtered when it is known who has answered: the keys of a member that did not come from the next
/// owners, which were asked at the same time.
pub(super) async fn run(core: &Core, first: &Arc<Snapshot>, cmd: &Cmd) -> Result<Value> {
    let mut tries = Tries::new(core, first);
    loop {
        let snapshot = Arc::clone(&tries.snapshot);
        let mut view = View::of(&snapshot);
        let (answers, silent) = view.ask(core, cmd).await;
        if let Err(error) = view.complete(&silent) {
            tries.again(error).await?;
            continue;
        }
        if !tries.counts() {
            continue;
        }
        let mut keys = Vec::new();
        for (member, answer) in answers {
            match answer {
                error if is_error(&error) => return Ok(error),
                Value::Array(items) => keys.extend(items.into_iter().filter(|key| view.shows(member, key))),
                _ => {}
            }
        }
        return Ok(Value::Array(keys));
    }
}
