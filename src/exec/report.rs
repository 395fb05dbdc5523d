//! What is counted, logged and told the caller when the owners of a key do not all do the same.

use futures_util::future::join_all;
use redis::{Cmd, Value};

use super::heal::ahead_of;
use super::{Core, Seat, Snapshot};
use crate::command;
use crate::error::{Error, ErrorKind, Outcome, Retry};
use crate::node::Fault;
use crate::placement::{NodeId, RunId};

/// An owner that is up has missed a write that is acknowledged.
#[cold]
pub(super) fn missed(core: &Core, snapshot: &Snapshot, id: &NodeId, command: &'static str) {
    core.counters.missed_writes.add_one();
    if let Some((index, _)) = snapshot.topology().find(id) {
        let node = &snapshot.seat(index).node;
        if node.missed_a_write()
            && let Some(process) = node.process()
        {
            tell_the_others(core, snapshot, id, &process);
        }
    }
    tracing::debug!(node = %id, epoch = %snapshot.topology().epoch(), command, "a write was missed");
}

/// Says at all other members that this one lacks a write that they may have, so that no client gives them its state.
fn tell_the_others(core: &Core, snapshot: &Snapshot, id: &NodeId, process: &RunId) {
    let mut mark = redis::cmd("HSET");
    mark.arg(command::OWN_AHEAD).arg(ahead_of(id, process)).arg(1);
    at_the_others(core, snapshot, id, mark);
}

/// The application says that the data of this process is right.
pub(super) fn trusted(core: &Core, snapshot: &Snapshot, id: &NodeId, process: &RunId) {
    let mut unmark = redis::cmd("HDEL");
    unmark.arg(command::OWN_AHEAD).arg(ahead_of(id, process));
    at_the_others(core, snapshot, id, unmark);
}

fn at_the_others(core: &Core, snapshot: &Snapshot, id: &NodeId, mark: Cmd) {
    let others = snapshot.seats.iter().filter(|seat| seat.up && seat.node.id() != id);
    let links: Vec<_> = others.filter_map(Seat::link).collect();
    let write_ms = core.write_ms;
    core.runtime.spawn(async move {
        // Whoever cannot be told now is not asked by this client either.
        join_all(links.iter().map(|link| link.write(&mark, write_ms))).await;
    });
}

/// A copy answered otherwise than the primary to a command with these keys.
#[cold]
pub(super) fn differs(
    core: &Core,
    id: &NodeId,
    primary: &NodeId,
    snapshot: &Snapshot,
    command: &'static str,
    keys: Vec<Vec<u8>>,
) {
    // Harmless ones come by the thousand where two processes count in one key; the counter tells how many.
    if core.counters.differing_replies.add_one() == 0 {
        tracing::warn!(node = %id, "copies answer differently; further ones are logged as debug events");
    }
    tracing::debug!(
        node = %id, %primary, epoch = %snapshot.topology().epoch(), command, "a copy answered differently"
    );
    core.suspect(keys);
}

/// The primary refused what a copy has executed: the two differ, and the caller cannot count on either.
#[cold]
pub(super) fn refused(core: &Core, copy: &NodeId, answer: Value) -> Error {
    core.counters.unknown_writes.add_one();
    let error = Error::new(ErrorKind::Server, format!("the primary refused the write that {copy} has executed"))
        .with_retry(Retry::Later)
        .with_outcome(Outcome::Unknown)
        .with_hint("the copies of this key may differ: write it again when the primary accepts writes");
    caused(error, answer)
}

/// The primary has executed it and a copy has no memory for it. That copy is not dropped for it: the next one would
/// have even less.
#[cold]
pub(super) fn no_memory(core: &Core, id: &NodeId, reply: &Value) -> Error {
    core.counters.unknown_writes.add_one();
    let error = Error::new(ErrorKind::Server, format!("{id} has no memory for a write that the primary has executed"))
        .with_retry(Retry::Later)
        .with_outcome(Outcome::Unknown)
        .with_hint("give the member more memory, then write the key again: its copies differ");
    caused(error, reply.clone())
}

/// A write that depends on what is there was sent to the primary and not answered. If the primary has executed it, its copies
/// lack it.
#[cold]
pub(super) fn unknown(
    core: &Core,
    primary: &NodeId,
    fault: &Fault,
    command: &'static str,
    keys: Vec<Vec<u8>>,
) -> Error {
    core.counters.unknown_writes.add_one();
    core.suspect(keys);
    let kind = match fault {
        Fault::Late => ErrorKind::Timeout,
        Fault::Full | Fault::Lost(_) => ErrorKind::Disconnected,
    };
    tracing::debug!(node = %primary, command, "sent and not answered");
    Error::new(kind, format!("{command} was sent to {primary} and not answered"))
        .with_outcome(Outcome::Unknown)
        // Whether to try again only the caller can know, who can look.
        .with_retry(Retry::Never)
        .with_hint("its effect depends on what is there, so it is not repeated: read the key before trying again")
}

/// The owners answered differently, and the one that was asked first need not be the primary any more.
#[cold]
pub(super) fn replaced(core: &Core, primary: &NodeId, command: &'static str, why: Option<Error>) -> Error {
    core.counters.unknown_writes.add_one();
    let what = if why.is_some() { "may have been" } else { "was" };
    let error = Error::new(ErrorKind::Conflict, format!("{primary} {what} replaced as primary while it ran {command}"))
        .with_outcome(Outcome::Unknown)
        .with_retry(Retry::Never)
        .with_hint("its effect depends on what is there: read the key before trying again");
    match why {
        Some(why) => error.with_source(why),
        None => error,
    }
}

/// A server answered something that does not fit what it was asked.
#[cold]
pub(super) fn nonsense(core: &Core, id: &NodeId, command: &'static str) -> Error {
    core.counters.unknown_writes.add_one();
    Error::new(ErrorKind::Server, format!("{id} answered {command} with something that cannot be understood"))
        .with_outcome(Outcome::Unknown)
        .with_hint("is it a Redis server, and nothing in between?")
}

fn caused(error: Error, reply: Value) -> Error {
    match reply.extract_error() {
        Err(cause) => error.with_source(cause),
        Ok(_) => error,
    }
}
