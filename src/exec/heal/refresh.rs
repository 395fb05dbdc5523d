//! Giving the copies of one key the state that its primary has.
//!
//! The owners are asked for a fingerprint of what they hold. Equal ones end it. Otherwise they are asked again a write
//! timeout later, when whatever was on its way has arrived, and only if nothing at all has changed in between does a copy
//! get the primary's state. It takes it only if it still holds what was seen. So neither a write of another process nor
//! one of this is overwritten, and nobody has to wait.
//!
//! The way from the primary to the copy has its place in the order of this process's own writes of the key (see
//! [`super::super::stripe`]): a write that the primary executes after it was asked reaches the copy after the state, and
//! is not contained in it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::future::join_all;
use redis::{Cmd, Value, cmd};

use super::super::polling::poll_unconstrained;
use super::super::reply::{Verdict, judge};
use super::super::round::Place;
use super::super::stripe::Home;
use super::super::{Core, InStep};
use super::suspects::Why;
use crate::node::{Fault, Link, Node, Owned};
use crate::placement::{Member, NodeId, RunId, Step, Token};

/// The size from which on a key is left alone: to look at a smaller one holds its server up for some ten milliseconds at
/// most.
const LARGE: u64 = 16 << 20;

const LOOK: &str = concat!("#!lua flags=no-writes\n", include_str!("state.lua"), include_str!("look.lua"));

/// Without leave to run where memory is short: the state of a key may need more than what it replaces.
pub(super) const PUT: &str = concat!("#!lua\n", include_str!("state.lua"), include_str!("put.lua"));

/// What the owners of a key hold, the primary first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look {
    owners: Vec<NodeId>,
    /// What is seen in different steps of the ring is not the same.
    step: Step,
    fingerprints: Vec<Vec<u8>>,
}

impl Look {
    pub(super) fn is_equal(&self) -> bool {
        self.fingerprints.windows(2).all(|pair| pair[0] == pair[1])
    }
}

#[cfg(test)]
impl Look {
    pub(super) fn of(fingerprint: &str) -> Look {
        Look { owners: Vec::new(), step: Step(0), fingerprints: vec![fingerprint.as_bytes().to_vec()] }
    }
}

/// What was found, and done.
pub(super) enum Found {
    Equal,
    /// The copies have the state of the primary now.
    Healed,
    /// They are not equal, and nothing was done about it.
    Different(Look),
    /// An owner cannot be asked now.
    Later,
    Left(Why),
}

/// Looks at a key, and heals it if it is as it was before.
pub(super) async fn examine(core: &Core, key: &[u8], token: Token, before: Option<&Look>) -> Found {
    let owners = match owners(core, token) {
        Ok(owners) => owners,
        Err(found) => return found,
    };
    let look = match look(core, key, &owners, None).await {
        Ok(look) => look,
        Err(found) => return found,
    };
    if look.is_equal() {
        return Found::Equal;
    }
    if before != Some(&look) {
        return Found::Different(look);
    }
    give(core, key, token, &owners, look, None).await
}

/// Asks all owners what they hold, the primary on this connection if there is one.
pub(super) async fn look(core: &Core, key: &[u8], owners: &Owners, beside: Option<&Link>) -> Result<Look, Found> {
    let links = owners.all.iter().enumerate().map(|(nth, (_, link))| match beside {
        Some(beside) if nth == 0 => beside,
        _ => link,
    });
    let looks = join_all(links.map(|link| fingerprint(core, link, key))).await;
    let fingerprints = looks.into_iter().collect::<Result<Vec<_>, Found>>()?;
    Ok(Look { owners: owners.all.iter().map(|(id, _)| id.clone()).collect(), step: owners.step, fingerprints })
}

/// Gives the copies that differ the state of the primary.
pub(super) async fn give(
    core: &Core,
    key: &[u8],
    token: Token,
    owners: &Owners,
    look: Look,
    beside: Option<&Link>,
) -> Found {
    // After the look: who is the primary now was it then, or has been written since and does not take what is older.
    if !core.is_newest().await {
        return Found::Later;
    }
    let (Some((primary, copies)), Some((_, link))) = (look.fingerprints.split_first(), owners.all.first()) else {
        return Found::Equal;
    };
    for (copy, seen) in owners.all.iter().skip(1).zip(copies).filter(|(_, copy)| *copy != primary) {
        match put(core, key, token, (owners, primary, beside), (&copy.1, seen)).await {
            Ok(true) => {}
            Ok(false) => return Found::Different(look),
            Err(found) => return found,
        }
    }
    // What the copies have now may be large, of another form, and so of another fingerprint, but it is what the primary
    // had. It must not have got anything meanwhile that was then undone on a copy.
    match fingerprint(core, beside.unwrap_or(link), key).await {
        Ok(now) if now == *primary => Found::Healed,
        Ok(_) => Found::Different(look),
        Err(found) => found,
    }
}

/// How a process is named in [`crate::command::OWN_AHEAD`].
pub(in crate::exec) fn ahead_of(id: &NodeId, run_id: &RunId) -> String {
    format!("{id}@{run_id}")
}

/// One who holds a key, and its connection.
type Owner = (NodeId, Arc<Link>);

/// Who holds a key.
pub(super) struct Owners {
    /// The primary first.
    all: Vec<Owner>,
    primary: Arc<Node>,
    step: Step,
    /// It knows the primary, for as long as a place in line names it; and nobody moves the ring on before what was looked at is
    /// healed.
    _snapshot: InStep,
}

/// Those that a write of the key goes to, in the topology of this moment. All of them must be connected: the first that is
/// not would be stood in for by another one, which must not decide.
///
/// Not while members gain the key: only a write that asks the gate reaches those.
pub(super) fn owners(core: &Core, token: Token) -> Result<Owners, Found> {
    let snapshot = InStep::newest(core);
    if snapshot.is_gated(token) {
        return Err(Found::Later);
    }
    let mut all = Vec::new();
    let mut primary = None;
    for index in snapshot.topology.writers(token) {
        let seat = snapshot.seat(index);
        let link = snapshot.link(index).filter(|link| seat.up && link.is_open()).ok_or(Found::Later)?;
        if all.is_empty() && seat.node.has_missed_a_write() {
            return Err(Found::Left(Why::Doubtful));
        }
        primary.get_or_insert(&seat.node);
        all.push((seat.node.id().clone(), link));
    }
    match (all.len(), primary) {
        (0, _) | (_, None) => Err(Found::Later),
        (1, _) => Err(Found::Equal),
        (_, Some(primary)) => {
            Ok(Owners { all, primary: Arc::clone(primary), step: snapshot.topology.step(), _snapshot: snapshot })
        }
    }
}

impl Owners {
    /// Whether the primary is this life of a member.
    pub(super) fn primary_is(&self, member: &Member) -> bool {
        self.all.first().is_some_and(|(id, link)| *id == member.id && link.generation() == Some(member.generation))
    }

    /// A connection of its own to the primary, for what must not stand behind writes that are held up.
    pub(super) async fn beside(&self) -> Result<Owned, Found> {
        let (_, link) = self.all.first().ok_or(Found::Later)?;
        self.primary.own(link, self.step).await.map_err(|_| Found::Later)
    }
}

pub(super) fn script(text: &str, key: &[u8], seen: &[u8]) -> Cmd {
    let mut eval = cmd("EVAL");
    eval.arg(text).arg(1).arg(key).arg(LARGE).arg(seen);
    eval
}

pub(super) async fn fingerprint(core: &Core, link: &Link, key: &[u8]) -> Result<Vec<u8>, Found> {
    match link.read(&script(LOOK, key, b""), core.read_ms).await {
        Ok(Value::BulkString(large)) if large == b"large" => Err(Found::Left(Why::Large)),
        Ok(Value::BulkString(fingerprint)) => Ok(fingerprint),
        other => Err(trouble(&other)),
    }
}

pub(super) fn trouble(reply: &Result<Value, Fault>) -> Found {
    match reply {
        Ok(value) if judge(value) == Verdict::Answer => Found::Left(Why::Refused),
        Ok(_) | Err(_) => Found::Later,
    }
}

/// Gives a copy the state of the primary, if both still are what was seen. Whether they were.
async fn put(
    core: &Core,
    key: &[u8],
    token: Token,
    (owners, primary_seen, beside): (&Owners, &[u8], Option<&Link>),
    (copy, copy_seen): (&Link, &[u8]),
) -> Result<bool, Found> {
    let Some((primary_id, primary)) = owners.all.first() else { return Err(Found::Later) };
    let (home, asked) = (Home::of(&owners.primary), beside.unwrap_or(primary));
    let stripe = core.stripes.of(token);
    let mut place = None;
    let ask = script(LOOK, key, primary_seen);
    let state = {
        let mut asking = pin!(asked.read(&ask, core.write_ms));
        let begun = poll_fn(|cx| {
            let mut lines = stripe.lock();
            // What is asked beside the others has no place among what this process has sent there.
            let crowded = beside.is_some() && !lines.is_free(token);
            let ticket = lines.take(token, home);
            // Writes that went to another primary have not all left yet.
            let waits = crowded || ticket.waits();
            place = Some(Place::new(core.stripes.clone(), token, ticket));
            Poll::Ready((!waits).then(|| poll_unconstrained(asking.as_mut(), cx)))
        });
        match begun.await {
            Some(Poll::Ready(state)) => state,
            Some(Poll::Pending) => asking.await,
            None => return Err(Found::Later),
        }
    };
    let (payload, expiry) = match state {
        Ok(Value::Array(state)) => match &state[..] {
            [_, Value::BulkString(payload), Value::BulkString(expiry)] => (payload.clone(), expiry.clone()),
            [_, Value::Nil, _] => (Vec::new(), Vec::new()),
            _ => return Err(Found::Left(Why::Refused)),
        },
        Ok(Value::BulkString(_)) => return Ok(false),
        other => return Err(trouble(&other)),
    };
    // A server takes 0 for no expiry.
    let expiry = if expiry.starts_with(b"-") { b"0".to_vec() } else { expiry };
    if let Some(place) = &place {
        place.turn().await;
    }
    // The primary of the moment before may have been replaced, and its copy with it.
    if !same(owners, &self::owners(core, token)?) {
        return Err(Found::Later);
    }
    let mut put = script(PUT, key, copy_seen);
    put.arg(payload).arg(expiry).arg(ahead_of(primary_id, primary.run_id()));
    let mut sending = pin!(copy.copy(&put, core.write_ms));
    let begun = poll_fn(|cx| {
        let _order = stripe.lock();
        Poll::Ready(poll_unconstrained(sending.as_mut(), cx))
    });
    let begun = begun.await;
    drop(place);
    let reply = match begun {
        Poll::Ready(reply) => reply,
        Poll::Pending => sending.await,
    };
    match reply {
        // Another client knows that the primary lacks what this copy may have.
        Ok(Value::Int(-1)) => Err(Found::Left(Why::Doubtful)),
        Ok(Value::Int(done)) => Ok(done == 1),
        other => Err(trouble(&other)),
    }
}

/// Whether they are the same members on the same connections, in the same step of the ring.
fn same(before: &Owners, now: &Owners) -> bool {
    let same = |(before, now): (&Owner, &Owner)| before.0 == now.0 && Arc::ptr_eq(&before.1, &now.1);
    before.step == now.step && before.all.len() == now.all.len() && before.all.iter().zip(&now.all).all(same)
}
