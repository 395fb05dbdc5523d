//! Commands that all members must execute, since each may need what they leave: scripts and functions.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use redis::{Cmd, Value};
use tokio::time::Instant;

use super::super::reply::{Verdict, is_error, judge};
use super::super::{Core, Snapshot};
use super::view::{Silent, trouble};
use super::{AGAIN, Tries, View, hurry};
use crate::command::{self, Row};
use crate::error::{Error, ErrorKind, Outcome, Result, Retry};
use crate::node::{Fault, Link};
use crate::placement::{MemberIndex, NodeId};

/// Sends a command to all members that are up. Those that are down get what they lack when they are back.
///
/// # Errors
/// `NoOwner` before anything is sent, when a member that is up is not connected; and with an unknown outcome, naming who
/// has executed it and who has not, when not all did.
pub(super) async fn run(core: &Core, cmd: &Cmd, row: &'static Row) -> Result<Value> {
    send(core, cmd, row).await?.reply(row)
}

/// Loads a script into all members that are connected. It is kept for those that are not, or come later: they get it when
/// they are connected to, and a call that finds it lacking brings it along.
///
/// # Errors
/// When no member has loaded it.
pub(super) async fn load_script(core: &Core, cmd: &Cmd, row: &'static Row) -> Result<Value> {
    let mut snapshot = core.snapshot.load_full();
    if !snapshot.seats.iter().any(|seat| seat.up && seat.link().is_some()) {
        all_up(core, &snapshot).await.map_err(|unreachable| lacks(&snapshot, row, unreachable))?;
        snapshot = core.snapshot.load_full();
    }
    let links = connected(&snapshot).collect();
    let partly = send_to(core, &snapshot, links, cmd).await;
    let Some((_, first)) = partly.done.first() else { return partly.reply(row) };
    let first = first.clone();
    if let Some(body) = command::argument(cmd, 2) {
        core.scripts.remember(body);
    }
    if !partly.is_all() {
        tracing::debug!(error = %partly.error(row), "a script is not loaded everywhere yet");
    }
    Ok(first)
}

async fn send(core: &Core, cmd: &Cmd, row: &'static Row) -> Result<Partly> {
    let snapshot = core.snapshot.load_full();
    let links = all_up(core, &snapshot).await.map_err(|unreachable| lacks(&snapshot, row, unreachable))?;
    Ok(send_to(core, &snapshot, links, cmd).await)
}

async fn send_to(core: &Core, snapshot: &Snapshot, links: Vec<(MemberIndex, Arc<Link>)>, cmd: &Cmd) -> Partly {
    let replies = links.iter().map(|(index, link)| async move { (*index, link.write(cmd, core.write_ms).await) });
    Partly::of(snapshot, join_all(replies).await)
}

fn lacks(snapshot: &Snapshot, row: &Row, (index, why): (MemberIndex, String)) -> Error {
    let id = &snapshot.topology.member(index).id;
    Error::new(ErrorKind::NoOwner, format!("{} was not sent: {id}: {why}", row.upper))
        .with_hint("all members that are up must have it: `redis-ring status` shows who does not answer")
}

/// The connections of the members that are up and connected.
fn connected(snapshot: &Snapshot) -> impl Iterator<Item = (MemberIndex, Arc<Link>)> + '_ {
    let places = (0..snapshot.seats.len()).map(|place| MemberIndex(place as u16));
    let up = places.filter(|index| snapshot.seat(*index).up);
    up.filter_map(|index| Some((index, snapshot.seat(index).link().filter(|link| link.is_open())?)))
}

/// As [`run`], and nothing is loaded again.
pub(super) async fn forget_scripts(core: &Core, cmd: &Cmd, row: &'static Row) -> Result<Value> {
    // Before the members do, so that one that comes now does not get them from here.
    core.scripts.forget();
    run(core, cmd, row).await
}

/// Asks all members that can be asked, and says of each item the least that one of them says: 1 is "all have it".
pub(super) async fn in_all(core: &Core, first: &Arc<Snapshot>, cmd: &Cmd) -> Result<Value> {
    let mut tries = Tries::new(core, first);
    loop {
        let snapshot = Arc::clone(&tries.snapshot);
        let mut view = View::of(&snapshot);
        let (answers, silent) = view.ask(core, cmd).await;
        if answers.is_empty() || !silent.is_empty() {
            tries.again(view.incomplete(&silent)).await?;
            continue;
        }
        let mut least: Option<Vec<i64>> = None;
        for (_, answer) in answers {
            let Ok(items) = redis::from_redis_value_ref::<Vec<i64>>(&answer) else { return Ok(answer) };
            least = Some(match least {
                None => items,
                Some(least) => least.into_iter().zip(items).map(|(one, other)| one.min(other)).collect(),
            });
        }
        return Ok(Value::Array(least.unwrap_or_default().into_iter().map(Value::Int).collect()));
    }
}

/// The connections of all members that are up, those of a ring to come or to go included; or one that has none, and
/// why. It waits for a reconnect.
pub(super) async fn all_up(
    core: &Core,
    snapshot: &Snapshot,
) -> Result<Vec<(MemberIndex, Arc<Link>)>, (MemberIndex, String)> {
    let deadline = Instant::now() + core.options.connect.timeouts.connect + Duration::from_millis(50);
    loop {
        let places = (0..snapshot.seats.len()).map(|place| MemberIndex(place as u16));
        let up = places.filter(|index| snapshot.seat(*index).up);
        let links = up.map(|index| match snapshot.seat(index).link().filter(|link| link.is_open()) {
            Some(link) => Ok((index, link)),
            None => Err((index, trouble(snapshot, index, &Silent::new()))),
        });
        match links.collect() {
            Ok(links) => return Ok(links),
            Err(missing) if Instant::now() >= deadline => return Err(missing),
            Err(_) => {
                hurry(snapshot);
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// What the members made of a command that all must execute.
pub(super) struct Partly {
    done: Vec<(NodeId, Value)>,
    /// An answer that is an error: it was not executed.
    refused: Vec<(MemberIndex, NodeId, Value)>,
    /// No answer: whether it was executed is not known.
    unknown: Vec<(MemberIndex, NodeId, Fault)>,
}

impl Partly {
    pub(super) fn of(snapshot: &Snapshot, replies: Vec<(MemberIndex, Result<Value, Fault>)>) -> Partly {
        let mut partly = Partly { done: Vec::new(), refused: Vec::new(), unknown: Vec::new() };
        for (index, reply) in replies {
            let node = &snapshot.seat(index).node;
            let id = node.id().clone();
            match reply {
                Ok(value) => {
                    if judge(&value) == Verdict::Unavailable {
                        node.failed()
                    } else {
                        node.succeeded()
                    }
                    if is_error(&value) {
                        partly.refused.push((index, id, value));
                    } else {
                        partly.done.push((id, value));
                    }
                }
                Err(fault) => {
                    node.failed();
                    partly.unknown.push((index, id, fault));
                }
            }
        }
        partly
    }

    pub(super) fn is_all(&self) -> bool {
        self.refused.is_empty() && self.unknown.is_empty()
    }

    /// Whether any is known to have executed it.
    pub(super) fn is_by_some(&self) -> bool {
        !self.done.is_empty()
    }

    /// Those that are not known to have executed it, if others are.
    pub(super) fn without(&self) -> impl Iterator<Item = MemberIndex> {
        let refused = self.refused.iter().map(|(index, ..)| *index).filter(|_| !self.done.is_empty());
        refused.chain(self.unknown.iter().map(|(index, ..)| *index))
    }

    /// What all say, be it an error; or the error that they do not say the same.
    fn reply(self, row: &Row) -> Result<Value> {
        match (self.done.first(), self.refused.first()) {
            (Some((_, first)), None) if self.unknown.is_empty() && self.done.iter().all(|(_, it)| it == first) => {
                Ok(first.clone())
            }
            (None, Some((_, _, first))) if self.unknown.is_empty() => Ok(first.clone()),
            _ => Err(self.error(row)),
        }
    }

    pub(super) fn error(&self, row: &Row) -> Error {
        let has: Vec<&str> = self.done.iter().map(|(id, _)| id.as_str()).collect();
        let refused = self.refused.iter().map(|(_, id, reply)| match reply {
            Value::ServerError(error) => format!("{id} says {}", error.code()),
            _ => format!("{id} refuses it"),
        });
        let unknown = self.unknown.iter().map(|(_, id, fault)| format!("{id}: {fault}"));
        let lacks: Vec<String> = refused.chain(unknown).collect();
        let (name, lacks) = (row.upper, lacks.join("; "));
        let message = match (has.is_empty(), lacks.is_empty()) {
            (true, _) => format!("no member is known to have executed {name}: {lacks}"),
            (false, true) => format!("{name} was executed, and the members answer differently: {}", has.join(", ")),
            (false, false) => format!("{name} was executed by {}, and not by all: {lacks}", has.join(", ")),
        };
        let nothing = has.is_empty() && self.unknown.is_empty();
        let kind = if self.unknown.is_empty() { ErrorKind::Server } else { ErrorKind::Disconnected };
        let error = Error::new(kind, message)
            .with_retry(if nothing { Retry::Never } else { Retry::Later })
            .with_outcome(if nothing { Outcome::NotExecuted } else { Outcome::Unknown })
            .with_hint("send it again when all members answer: twice does no harm");
        match self.refused.first().map(|(_, _, reply)| reply.clone().extract_error()) {
            Some(Err(cause)) => error.with_source(cause),
            Some(Ok(_)) | None => error,
        }
    }
}
