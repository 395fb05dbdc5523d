//! PUBLISH: one owner of the channel, and never twice.

use std::pin::pin;
use std::sync::Arc;

use redis::{Cmd, RedisResult, Value};
use tokio::time::{Instant, timeout_at};

use super::read::{ASK_AGAIN, hurry, no_owner};
use super::reply::{Verdict, judge};
use super::{Core, Snapshot};
use crate::command;
use crate::error::{Error, ErrorKind, Outcome};
use crate::node::{Fault, Link, Node};
use crate::placement::{NodeId, Token};

/// Sends a message to the first owner of its channel that takes it. Subscribers listen at all of them, so each hears it
/// once, whichever owner that is.
///
/// One that was sent and not answered may have been heard, and is not sent again.
pub(super) async fn publish(
    core: &Core,
    first_snapshot: &Arc<Snapshot>,
    cmd: &Cmd,
    token: Token,
) -> RedisResult<Value> {
    let timeouts = &core.options.connect.timeouts;
    // Long enough for a reconnect and one more attempt.
    let deadline = Instant::now() + timeouts.write + timeouts.connect;
    let mut snapshot = Arc::clone(first_snapshot);
    let mut refusals: Vec<(NodeId, String)> = Vec::new();
    loop {
        // A waiter registered before looking misses no change.
        let mut changed = pin!(core.changed.notified());
        changed.as_mut().enable();
        let mut asked = Vec::new();
        while let Some((node, link)) = next_owner(&snapshot, token, &asked) {
            asked.push(node.id().clone());
            tracing::debug!(node = %node.id(), command = command::name(cmd), attempt = asked.len(), "publish");
            let why = match link.write(cmd, core.write_ms).await {
                Ok(value) => match (judge(&value), value) {
                    (Verdict::Answer, value) => {
                        node.succeeded();
                        return Ok(value);
                    }
                    (Verdict::Unavailable | Verdict::OutOfMemory, Value::ServerError(error)) => {
                        node.failed();
                        format!("it says {}", error.code())
                    }
                    (Verdict::Unavailable | Verdict::OutOfMemory, _) => "it gave no answer".to_owned(),
                },
                // Our own queue being full says nothing of the server.
                Err(fault @ Fault::Full) => fault.to_string(),
                Err(fault) => {
                    node.failed();
                    return Err(unanswered(&node, &fault).into());
                }
            };
            refusals.push((node.id().clone(), why));
        }
        if Instant::now() >= deadline {
            return Err(no_owner(&snapshot, token, &refusals, "published to").into());
        }
        hurry(&snapshot, token);
        let _ = timeout_at(deadline.min(Instant::now() + ASK_AGAIN), changed).await;
        snapshot = core.snapshot.load_full();
    }
}

/// The first owner that is up, connected and was not asked; one that is silent or failing only when there is no other.
fn next_owner(snapshot: &Snapshot, token: Token, asked: &[NodeId]) -> Option<(Arc<Node>, Arc<Link>)> {
    let mut in_trouble = None;
    for owner in snapshot.topology.readers(token) {
        let seat = snapshot.seat(owner);
        let Some(link) = seat.link().filter(|link| seat.up && link.is_open()) else { continue };
        if asked.contains(seat.node.id()) {
            continue;
        }
        let candidate = (Arc::clone(&seat.node), link);
        if candidate.0.is_trusted() && !candidate.1.is_silent() {
            return Some(candidate);
        }
        in_trouble = in_trouble.or(Some(candidate));
    }
    in_trouble
}

fn unanswered(node: &Node, fault: &Fault) -> Error {
    let kind = match fault {
        Fault::Late => ErrorKind::Timeout,
        Fault::Lost(_) | Fault::Full => ErrorKind::Disconnected,
    };
    Error::new(kind, format!("a message was sent to {} and not answered: {fault}", node.id()))
        .with_outcome(Outcome::Unknown)
        .with_hint("publish it again if hearing it twice does no harm")
}
