//! What reaches a copy too late.

use redis::{Cmd, Value};

use super::reply::{Lacks, copy_lacks, is_error};
use crate::command;
use crate::node::Link;

/// A copy that refused a command because another process's later one came first is sent what puts it at its place, and
/// that answer replaces the refusal. So entries that several processes add to one stream are on all owners before they are
/// acknowledged, whatever their order on the way.
#[inline]
pub(super) async fn overtaken(link: &Link, cmd: &Cmd, reply: &mut Value, write_ms: u64) {
    if is_error(reply) && copy_lacks(reply) == Lacks::This {
        Box::pin(at_its_place(link, cmd, reply, write_ms)).await;
    }
}

#[cold]
async fn at_its_place(link: &Link, cmd: &Cmd, reply: &mut Value, write_ms: u64) {
    let Some(put) = command::at_its_place(cmd) else { return };
    if let Ok(answer) = link.copy(&put, write_ms).await
        && !is_error(&answer)
    {
        *reply = answer;
    }
}
