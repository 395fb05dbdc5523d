//! Giving a member what it has missed of some keys.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use redis::{Pipeline, Value};
use tokio::time::sleep;

use super::super::polling::poll_unconstrained;
use super::super::reply::{Verdict, is_error, judge};
use super::super::round::Place;
use super::super::stripe::Home;
use super::super::wire::transaction;
use super::super::write::owners;
use super::super::{Core, InStep, Snapshot};
use super::refresh::{Found, PUT, fingerprint, script};
use crate::node::Link;
use crate::placement::{NodeId, Token};

/// Why it could not be given it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::exec) enum Unrepaired {
    /// One of the two cannot be asked now, or nobody can say which of them is right.
    Later,
    /// A member refuses what it needs, or the key is too large to be compared.
    Never,
}

/// How many keys are repaired at the same time.
const AT_ONCE: usize = 32;

/// How often a key is tried that others write all the time.
const TRIES: usize = 8;

const PAUSE: Duration = Duration::from_millis(2);

/// Gives a member the state that these keys have at their primary, and sees that it has it.
///
/// Nobody else's write is undone: the member takes the state only while it holds what was seen, and only if the primary
/// was the primary after that. In this process's order of the key's writes the state has its place.
pub(in crate::exec) async fn repair(core: &Core, id: &NodeId, keys: &[Vec<u8>]) -> Result<(), Unrepaired> {
    let mut keys = keys.iter();
    let mut under_way = FuturesUnordered::new();
    loop {
        while under_way.len() < AT_ONCE
            && let Some(key) = keys.next()
        {
            under_way.push(one(core, id, key));
        }
        match under_way.next().await {
            Some(repaired) => repaired?,
            None => return Ok(()),
        }
    }
}

async fn one(core: &Core, id: &NodeId, key: &[u8]) -> Result<(), Unrepaired> {
    let token = Token::of_key(key);
    let mut has_it = false;
    for nth in 0..TRIES {
        if nth > 0 {
            sleep(PAUSE).await;
        }
        let pair = Pair::of(core, token, id)?;
        if pair.are_equal(core, key).await? {
            if has_it {
                // Somebody's write may have been overwritten here that reaches the primary only now.
                core.suspect(vec![key.to_vec()]);
            }
            return Ok(());
        }
        has_it |= pair.copy_over(core, key, token, id).await?;
    }
    if !has_it {
        return Err(Unrepaired::Later);
    }
    // It has what it missed, and others go on writing: whether the two agree is for a look to tell.
    core.suspect(vec![key.to_vec()]);
    Ok(())
}

/// The primary of a key and the member that lacks something of it.
struct Pair {
    snapshot: InStep,
    home: Home,
    primary: Arc<Link>,
    member: Arc<Link>,
}

impl Pair {
    fn of(core: &Core, token: Token, id: &NodeId) -> Result<Pair, Unrepaired> {
        let mut snapshot = InStep::newest(core);
        let owners = owners(core, &mut snapshot, token, &[]).ok_or(Unrepaired::Later)?;
        let first = snapshot.seat(owners.primary());
        let index = owners.copies().iter().find(|copy| snapshot.seat(**copy).node.id() == id);
        let member = index.and_then(|index| snapshot.seat(*index).link.clone());
        match (first.link.clone(), member) {
            (Some(primary), Some(member)) => {
                let home = Home::of(&first.node);
                Ok(Pair { primary, member, home, snapshot })
            }
            (Some(_) | None, _) => Err(Unrepaired::Later),
        }
    }

    async fn are_equal(&self, core: &Core, key: &[u8]) -> Result<bool, Unrepaired> {
        let looks =
            futures_util::future::join(fingerprint(core, &self.primary, key), fingerprint(core, &self.member, key));
        match looks.await {
            (Ok(primary), Ok(member)) => Ok(primary == member),
            (Err(why), _) | (_, Err(why)) => Err(unrepaired(&why)),
        }
    }

    /// Whether the member took the state.
    async fn copy_over(&self, core: &Core, key: &[u8], token: Token, id: &NodeId) -> Result<bool, Unrepaired> {
        let stripe = core.stripes.of(token);
        let mut wire = Pipeline::with_capacity(4);
        wire.cmd("MULTI").cmd("DUMP").arg(key).cmd("PEXPIRETIME").arg(key).cmd("EXEC");
        let mut place = None;
        let replies = {
            let mut asking = pin!(self.primary.batch(&wire, core.write_ms));
            let begun = poll_fn(|cx| {
                let mut lines = stripe.lock();
                let ticket = lines.take(token, self.home);
                let waits = ticket.waits();
                place = Some(Place::new(core.stripes.clone(), token, ticket));
                // Writes that went to another primary have not all left yet.
                Poll::Ready((!waits).then(|| poll_unconstrained(asking.as_mut(), cx)))
            });
            match begun.await {
                Some(Poll::Ready(replies)) => replies,
                Some(Poll::Pending) => asking.await,
                None => return Ok(false),
            }
        };
        let replies = replies.map_err(|_| Unrepaired::Later)?;
        let refused = refused(&replies);
        let state = transaction(&mut replies.into_iter(), 2).ok_or(refused)?.replies;
        let (payload, expiry) = match &state[..] {
            [Value::BulkString(payload), Value::Int(expiry)] => (payload.clone(), (*expiry).max(0)),
            [Value::Nil, _] => (Vec::new(), 0),
            state if state.iter().any(is_error) => return Err(self::refused(state)),
            _ => return Err(Unrepaired::Later),
        };
        if let Some(place) = &place {
            place.turn().await;
        }
        let seen = fingerprint(core, &self.member, key).await.map_err(|why| unrepaired(&why))?;
        // Whoever is the primary now was it when the member was looked at, or has been written since.
        if !core.is_newest().await || !self.is_current(core, token, id) {
            return Err(Unrepaired::Later);
        }
        core.states.copied(token);
        if let Some(primary) = self.snapshot.topology.writers(token).next() {
            self.snapshot.seat(primary).node.state_is_copied(&self.primary);
        }
        let mut put = script(PUT, key, &seen);
        // Marks are for rings in which nobody is fenced.
        put.arg(payload).arg(expiry).arg("");
        let taken = self.member.copy(&put, core.write_ms).await;
        drop(place);
        match taken {
            Ok(Value::Int(taken)) => Ok(taken == 1),
            Ok(refusal) => Err(self::refused(&[refusal])),
            Err(_) => Err(Unrepaired::Later),
        }
    }

    /// Whether the newest topology has the two where they were.
    fn is_current(&self, core: &Core, token: Token, id: &NodeId) -> bool {
        let now = core.snapshot.load_full();
        let first = |snapshot: &Snapshot| {
            let index = snapshot.topology.writers(token).next()?;
            let member = snapshot.topology.member(index);
            Some((member.id.clone(), member.generation))
        };
        let life =
            |snapshot: &Snapshot| snapshot.topology.find(id).map(|(_, member)| (member.state, member.generation));
        !now.is_gated(token) && first(&now) == first(&self.snapshot) && life(&now) == life(&self.snapshot)
    }
}

/// What it means that a server does not do it: one that is busy, is reading its data or has no memory now may do it later.
fn refused(replies: &[Value]) -> Unrepaired {
    match replies.iter().any(|reply| judge(reply) != Verdict::Answer) {
        true => Unrepaired::Later,
        false => Unrepaired::Never,
    }
}

fn unrepaired(found: &Found) -> Unrepaired {
    match found {
        Found::Left(_) => Unrepaired::Never,
        Found::Equal | Found::Healed | Found::Different(_) | Found::Later => Unrepaired::Later,
    }
}
