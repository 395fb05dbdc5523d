//! SCRIPT KILL and FUNCTION KILL.

use std::sync::Arc;

use futures_util::future::join_all;
use redis::{Cmd, Value};

use super::super::reply::is_error;
use super::super::{Core, Snapshot};
use crate::command::Row;
use crate::error::{Error, ErrorKind, Result};
use crate::node::ask_briefly;

/// Asks every member that is up, on connections of its own: a server that is busy with a script reads nothing more
/// from the connection that the script came on.
///
/// OK when one had something to kill. Else the error of one that could not kill what runs there, or that nothing runs.
pub(super) async fn run(core: &Core, snapshot: &Arc<Snapshot>, cmd: &Cmd, row: &'static Row) -> Result<Value> {
    let nodes = snapshot.seats.iter().filter(|seat| seat.up).map(|seat| &seat.node);
    let asked = nodes.filter_map(|node| Some((node, node.address()?)));
    let asked = asked.map(|(node, address)| async move { (node, ask_briefly(&address, &core.connect, cmd).await) });
    let mut idle = None;
    let mut busy = None;
    let mut lost = None;
    for (node, reply) in join_all(asked).await {
        match reply {
            Ok(value) if !is_error(&value) => return Ok(value),
            Ok(Value::ServerError(error)) if error.code() == "NOTBUSY" => idle = Some(Value::ServerError(error)),
            Ok(value) => busy = Some(value),
            Err(error) => lost = Some((node.id(), error)),
        }
    }
    match (busy, lost, idle) {
        (Some(answer), ..) => Ok(answer),
        (None, Some((id, cause)), _) => Err(Error::new(
            ErrorKind::Unreachable,
            format!("{} did not reach {id}, where something may run", row.upper),
        )
        .with_hint("`redis-ring status` shows the members")
        .with_source(cause)),
        (None, None, Some(answer)) => Ok(answer),
        (None, None, None) => Err(Error::new(ErrorKind::Unreachable, format!("no member is up for {}", row.upper))),
    }
}
