//! One member, asked by name.

use std::sync::Arc;

use redis::{Cmd, RedisResult, Value};

use super::Core;
use crate::command;
use crate::error::{Error, ErrorKind, Outcome, Retry};
use crate::node::Fault;
use crate::placement::NodeId;

/// Asks a member what concerns its server and not the ring, or what it holds of a key. It is asked whatever its part in
/// the ring is, as long as it is up; no other member is asked in its place.
pub(super) async fn ask(core: &Arc<Core>, id: &NodeId, cmd: &Cmd) -> RedisResult<Value> {
    let row = command::on_member(cmd).map_err(|refusal| core.refused(refusal))?;
    let snapshot = core.snapshot.load_full();
    let (index, member) = snapshot.topology.find(id).ok_or_else(|| unknown(id))?;
    let seat = snapshot.seat(index);
    let Some(link) = seat.link().filter(|_| seat.up) else {
        let error = match seat.node.trouble().filter(|_| seat.up) {
            Some(cause) => Error::new(ErrorKind::Unreachable, format!("{id} cannot be asked now")).with_source(cause),
            None if seat.up => Error::new(ErrorKind::Unreachable, format!("{id} is not connected yet")),
            None => Error::new(ErrorKind::Unreachable, format!("{id} is {}", member.state)),
        };
        seat.node.hurry();
        return Err(error
            .with_hint("`redis-ring status` shows the members; this client speaks only with those up")
            .into());
    };
    link.read(cmd, core.read_ms).await.map_err(|fault| {
        seat.node.failed();
        let (kind, outcome) = match &fault {
            Fault::Full => (ErrorKind::Unreachable, Outcome::NotExecuted),
            Fault::Lost(_) => (ErrorKind::Disconnected, Outcome::Unknown),
            Fault::Late => (ErrorKind::Timeout, Outcome::Unknown),
        };
        Error::new(kind, format!("{id} did not answer {}: {fault}", row.upper))
            .with_outcome(outcome)
            .with_retry(Retry::Later)
            .with_hint("a client with a longer read timeout waits longer")
            .into()
    })
}

/// The error for a member that the ring does not have.
pub(crate) fn unknown(id: &NodeId) -> Error {
    Error::new(ErrorKind::Invalid, format!("the ring has no member {id}"))
        .with_hint("`redis-ring status` lists the members")
}
