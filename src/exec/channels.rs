//! PUBSUB CHANNELS, NUMSUB and NUMPAT: what all members say of their subscribers, as one server would.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;
use redis::{Cmd, RedisResult, Value};

use super::reply::{Verdict, is_error, judge};
use super::{Core, Seat, Snapshot};
use crate::command;
use crate::error::{Error, ErrorKind, Retry};
use crate::placement::{NodeId, Token};

/// Asks all members that are up and makes one reply of theirs, by its shape:
///
/// - names (CHANNELS): those that any member has. A channel is listened to at all its owners, so the names are complete
///   as long as fewer members are missing than there are copies; else it is an error;
/// - names with numbers (NUMSUB): of each channel the number at the owner that a message would go to. The sum would
///   count a subscriber once for each owner;
/// - a number (NUMPAT): the largest, since a pattern is at every member.
pub(super) async fn ask(core: &Core, snapshot: &Arc<Snapshot>, cmd: &Cmd) -> RedisResult<Value> {
    let asked = snapshot.seats.iter().map(|seat| reply_of(core, seat, cmd));
    let replies: BTreeMap<&NodeId, Value> = join_all(asked).await.into_iter().flatten().collect();
    if let Some(error) = replies.values().find(|reply| is_error(reply)) {
        return Ok(error.clone());
    }
    let merged = match replies.values().find(|reply| !is_empty(reply)).or(replies.values().next()) {
        None => None,
        Some(Value::Int(_)) => largest(&replies),
        Some(Value::Array(items)) if matches!(items.get(1), Some(Value::Int(_))) => {
            at_owners(snapshot, items, &replies)
        }
        Some(_) => union(snapshot, &replies),
    };
    merged.ok_or_else(|| {
        let name = command::name(cmd);
        Error::new(ErrorKind::Unreachable, format!("too few members answered {name} for a complete reply"))
            .with_retry(Retry::Later)
            .with_hint("`redis-ring status` shows the members that cannot be reached")
            .into()
    })
}

/// `None` from a member that is not up or does not answer.
async fn reply_of<'a>(core: &Core, seat: &'a Seat, cmd: &Cmd) -> Option<(&'a NodeId, Value)> {
    let link = seat.link().filter(|_| seat.up)?;
    let reply = link.read(cmd, core.read_ms).await.ok()?;
    (judge(&reply) == Verdict::Answer).then_some((seat.node.id(), reply))
}

fn largest(replies: &BTreeMap<&NodeId, Value>) -> Option<Value> {
    let numbers = replies.values().map(|reply| match reply {
        Value::Int(number) => Some(*number),
        _ => None,
    });
    numbers.max().flatten().map(Value::Int)
}

/// `items` is any member's reply: all name the same channels in the same order.
fn at_owners(snapshot: &Snapshot, items: &[Value], replies: &BTreeMap<&NodeId, Value>) -> Option<Value> {
    let mut merged = Vec::with_capacity(items.len());
    for (nth, pair) in items.chunks_exact(2).enumerate() {
        let Value::BulkString(channel) = &pair[0] else { return None };
        let owners = snapshot.topology.readers(Token::of_key(channel));
        let mut answers = owners.filter_map(|owner| replies.get(snapshot.seat(owner).node.id()));
        let Some(Value::Array(answer)) = answers.next() else { return None };
        merged.extend([pair[0].clone(), answer.get(2 * nth + 1)?.clone()]);
    }
    Some(Value::Array(merged))
}

fn union(snapshot: &Snapshot, replies: &BTreeMap<&NodeId, Value>) -> Option<Value> {
    let ring = snapshot.topology.serving();
    let silent = |id: &NodeId| !replies.contains_key(id);
    let missing = ring.members().filter(|(owner, ..)| silent(snapshot.seat(*owner).node.id())).count();
    if missing >= ring.copies() {
        return None;
    }
    let mut names = BTreeSet::new();
    for reply in replies.values() {
        let (Value::Array(items) | Value::Set(items)) = reply else { return None };
        for item in items {
            let Value::BulkString(name) = item else { return None };
            names.insert(name);
        }
    }
    Some(Value::Array(names.into_iter().map(|name| Value::BulkString(name.clone())).collect()))
}

fn is_empty(reply: &Value) -> bool {
    matches!(reply, Value::Array(items) | Value::Set(items) if items.is_empty())
}
