//! Iterations inside one key: HSCAN, SSCAN, ZSCAN.
//!
//! A cursor means something only to the server that gave it, since each server hashes with a seed of its own: the same
//! cursor at the other owner would skip elements without a word. So the ring marks every cursor with the process that
//! gave it, and the iteration goes on there or not at all.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, RedisResult, Value};
use tokio::time::Instant;

use super::read::{hurry, in_order, no_owner};
use super::reply::{Verdict, judge};
use super::{Core, Snapshot};
use crate::command;
use crate::error::{Error, ErrorKind, Retry};
use crate::placement::{RunId, Token, crc32};

/// The cursor's upper 16 bits are the mark. Servers use as many lower bits as the table has buckets, and a table of
/// 2^48 buckets does not fit into any memory.
const MARK_SHIFT: u32 = 48;
/// The cursor follows the key.
const CURSOR_AT: usize = 2;
const PLAIN: u64 = (1 << MARK_SHIFT) - 1;

fn mark(run_id: &RunId) -> u64 {
    u64::from(crc32(run_id.as_str().as_bytes()) % 0xffff) + 1
}

/// Reads one part of an iteration: the first from any owner, every other from the one that gave the cursor.
pub(super) async fn read(core: &Core, first: &Arc<Snapshot>, cmd: &Cmd, token: Token) -> RedisResult<Value> {
    let timeouts = &core.options.connect.timeouts;
    let deadline = Instant::now() + timeouts.read + timeouts.connect;
    let mut snapshot = Arc::clone(first);
    loop {
        match ask_owners(core, &snapshot, cmd, token).await {
            Ok(value) if !core.is_past(&snapshot) => return Ok(value),
            // The member may not be written any more.
            Ok(_) => snapshot = core.snapshot.load_full(),
            Err(error) if Instant::now() >= deadline => return Err(error.into()),
            Err(_) => {
                hurry(&snapshot, token);
                tokio::time::sleep(Duration::from_millis(10)).await;
                snapshot = core.snapshot.load_full();
            }
        }
    }
}

async fn ask_owners(core: &Core, snapshot: &Snapshot, cmd: &Cmd, token: Token) -> Result<Value, Error> {
    let read_ms = core.read_ms;
    let cursor = command::cursor(cmd, CURSOR_AT).unwrap_or(0);
    let mut failures = Vec::new();
    // Those that keep failing or say nothing come last, behind them only who has missed a write, as for any read.
    let mut owners: Vec<_> = in_order(&core.options.read_policy, snapshot, token)
        .filter_map(|owner| {
            let seat = snapshot.seat(owner);
            seat.link().filter(|_| seat.up).map(|link| (seat, link))
        })
        .collect();
    owners.sort_by_key(|(seat, link)| {
        let in_trouble = link.is_silent() || !seat.node.is_trusted();
        (seat.node.has_missed_a_write(), in_trouble)
    });
    // That one is slow is no reason to ask who lacks something.
    let whole = owners.iter().filter(|(seat, _)| !seat.node.has_missed_a_write()).count();
    let left = if whole == 0 { owners.len() } else { whole };
    for (nth, (seat, link)) in owners.into_iter().enumerate() {
        let mark = mark(link.run_id());
        // A first part may come from any owner, so a slow one is left for the next.
        let read_ms = if nth + 1 < left && cursor == 0 { link.hedge_after_ms().clamp(20, read_ms) } else { read_ms };
        let reply = match cursor {
            0 => link.request(cmd, read_ms).await,
            _ if cursor >> MARK_SHIFT == mark => {
                link.request(&command::with_cursor(cmd, CURSOR_AT, cursor & PLAIN), read_ms).await
            }
            _ => continue,
        };
        let why = match reply {
            Ok(value) if judge(&value) == Verdict::Answer => {
                seat.node.succeeded();
                return Ok(marked(value, mark));
            }
            Ok(_) => "it cannot serve now".to_owned(),
            Err(fault) => fault.to_string(),
        };
        seat.node.failed();
        failures.push((seat.node.id().clone(), why));
    }
    if cursor == 0 {
        return Err(no_owner(snapshot, token, &failures, "read"));
    }
    Err(Error::new(
        ErrorKind::NoOwner,
        format!("{} cannot go on: the member that gave its cursor does not answer", command::name(cmd)),
    )
    .with_retry(Retry::Later)
    .with_hint("start the iteration again with cursor 0: no other member understands this one"))
}

/// The reply with its cursor marked, unless it is the last.
fn marked(mut value: Value, mark: u64) -> Value {
    if let Value::Array(parts) = &mut value
        && let Some(cursor) = parts.first_mut()
        && let Ok(plain) = redis::from_redis_value_ref::<u64>(cursor)
        && plain != 0
    {
        *cursor = Value::BulkString((mark << MARK_SHIFT | plain & PLAIN).to_string().into_bytes());
    }
    value
}
