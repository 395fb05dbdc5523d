//! A write is acknowledged only when no reader may ask whoever missed it.
//!
//! An owner that misses a write is asked whether it lives. One that does gets the state of the keys from their primary; any
//! other is taken out of the ring for everybody, by one change in ZooKeeper. Readers that do not know of that yet go on to ask
//! it for a moment, so the acknowledgement waits until it is known to be closed, or for as long as clients may lag behind.
//!
//! With fixed membership nobody can be taken out: a miss is counted and told the other servers (see [`super::report`]).

mod arbitrate;
mod debts;
mod judge;
mod wait_out;

use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use tokio::time::Instant;

use super::heal::{self, Unrepaired};
use super::{Core, Seat, Snapshot, report};
use crate::error::{Error, ErrorKind, Outcome, Retry};
use crate::membership::Arbiter;
use crate::placement::{Generation, MemberIndex, NodeId, Phase, State, Token, Topology};
use crate::policy::Unfenced;

pub(super) use arbitrate::{
    Insisted, Ruling, arbitrate, has_been_primary, heir, insist, insist_at_heir, insist_there, step_is_over, step_takes,
};
use debts::Debts;
use judge::{Judging, Verdict};
pub(super) use wait_out::{Lapse, last_end, wait_out};

/// What a client of a ring in ZooKeeper has beside its connections.
#[derive(Debug)]
pub(crate) struct Fences {
    arbiter: Arbiter,
    /// Who says so, in the records of those that are fenced.
    by: String,
    unfenced: Unfenced,
    judging: Judging,
    debts: Arc<Debts>,
}

impl Fences {
    pub(super) fn new(arbiter: Arbiter, by: String, unfenced: Unfenced) -> Fences {
        Fences { arbiter, by, unfenced, judging: Judging::default(), debts: Arc::default() }
    }

    /// Pays what is owed, for as long as the future is not dropped.
    pub(super) fn keep_paying(&self, core: Weak<Core>) -> impl Future<Output = ()> + Send + use<> {
        debts::keep_paying(core, Arc::clone(&self.debts))
    }
}

impl Core {
    /// Whether the ring that this client uses is the newest, as it was read after this call. Nothing is newer than a fixed
    /// ring.
    pub(super) async fn is_newest(&self) -> bool {
        let Some(fences) = &self.fences else { return true };
        if fences.arbiter.sync(self.options.connect.timeouts.write).await.is_err() {
            return false;
        }
        judge::adopted(self, fences).await;
        true
    }
}

/// An owner that has missed a write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Miss {
    pub(super) owner: MemberIndex,
    pub(super) why: Why,
    /// Whether it was the one that the command was sent to first.
    pub(super) first: bool,
}

impl Miss {
    pub(super) fn of_copy(owner: MemberIndex, why: Why) -> Miss {
        Miss { owner, why, first: false }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Why {
    /// It was not sent there, or not answered.
    Silent,
    /// The server answered that it cannot write, or may not.
    CannotWrite,
    /// Nobody can give it what it has missed, whether or not it answers.
    Lacking,
}

/// What was missed.
pub(super) struct Missed {
    pub(super) misses: Vec<Miss>,
    pub(super) tokens: Vec<Token>,
    pub(super) keys: Vec<Vec<u8>>,
    pub(super) command: &'static str,
}

/// How a write stands when all that missed it have been seen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// Whoever may be read has it.
    Done,
    /// Its primary missed it, and is well: what may be executed twice is to be sent again.
    Again,
}

/// Between two attempts to find out about a member.
const PAUSE: Duration = Duration::from_millis(20);

/// Sees to those that missed a write which others have. Its caller is to be told of success only after this.
///
/// # Errors
/// With outcome unknown, when somebody may still read a member that lacks it.
pub(super) async fn settle(core: &Arc<Core>, snapshot: &Snapshot, missed: &Missed) -> Result<Settled, Error> {
    let Some(fences) = &core.fences else {
        for miss in &missed.misses {
            report::missed(core, snapshot, snapshot.seat(miss.owner).node.id(), missed.command);
        }
        return Ok(Settled::Done);
    };
    let each = missed.misses.iter().map(|miss| one(core, fences, snapshot, *miss, missed));
    let settled = try_join_all(each).await?;
    Ok(if settled.contains(&Settled::Again) { Settled::Again } else { Settled::Done })
}

async fn one(
    core: &Arc<Core>,
    fences: &Fences,
    snapshot: &Snapshot,
    miss: Miss,
    missed: &Missed,
) -> Result<Settled, Error> {
    let member = snapshot.topology.member(miss.owner);
    let (id, generation) = (&member.id, member.generation);
    let token = missed.tokens.first().copied().unwrap_or(Token(0));
    let owns = snapshot.topology.writers(token).any(|writer| writer == miss.owner);
    let mut reason = miss.why;
    tracing::debug!(node = %id, epoch = %snapshot.topology.epoch(), command = missed.command, "a write was missed");
    if owns && reason == Why::Silent && fences.debts.is_hopeless(fences, id, generation) {
        fences.accept(core, snapshot, miss.owner, &missed.keys);
        return Ok(Settled::Done);
    }
    let until = Instant::now() + core.options.connect.timeouts.write;
    loop {
        if !owns && reason != Why::CannotWrite {
            reason = match part(core, snapshot, id, &missed.tokens) {
                Part::None => return Ok(Settled::Done),
                Part::Copy => Why::Silent,
                Part::Gainer | Part::Primary => Why::Lacking,
            };
        }
        let why = match judge::verdict(core, id, generation, reason).await {
            Verdict::Out => return Ok(Settled::Done),
            Verdict::Alive if miss.first => return Ok(Settled::Again),
            Verdict::Alive => match heal::repair(core, id, &missed.keys).await {
                Ok(()) => {
                    core.counters.repaired_writes.add_one();
                    return Ok(Settled::Done);
                }
                Err(Unrepaired::Never) => {
                    reason = Why::Lacking;
                    None
                }
                Err(Unrepaired::Later) => None,
            },
            Verdict::Unfenced(why) => {
                if fences.unfenced == Unfenced::Accept {
                    fences.accept(core, snapshot, miss.owner, &missed.keys);
                    return Ok(Settled::Done);
                }
                return Err(missing(core, id, missed, Some(why)));
            }
            Verdict::Kept(why) => Some(why),
        };
        if Instant::now() >= until {
            return Err(missing(core, id, missed, why));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What a member that gained keys when they were written is to them by now.
enum Part {
    /// It is being filled still. It takes everything from its agent; what one key is now nobody else gives it.
    Gainer,
    /// The ring has flipped, and its state is what others are given.
    Primary,
    /// The ring has flipped, and it can be given its primary's state.
    Copy,
    /// The ring has gone back. If it is to gain them again it is given everything anew, by who has the write.
    None,
}

fn part(core: &Core, written: &Snapshot, id: &NodeId, tokens: &[Token]) -> Part {
    let newest = core.snapshot.load();
    let place = |token: &Token| newest.topology.writers(*token).position(|it| newest.topology.member(it).id == *id);
    match tokens.iter().filter_map(place).min() {
        Some(0) => Part::Primary,
        Some(_) => Part::Copy,
        None if newest.step > written.step => Part::None,
        None => Part::Gainer,
    }
}

impl Fences {
    /// The ring is read with what this member lacks until that is made good.
    fn accept(&self, core: &Core, snapshot: &Snapshot, owner: MemberIndex, keys: &[Vec<u8>]) {
        let member = snapshot.topology.member(owner);
        core.counters.missed_writes.add_one();
        core.counters.debts.add_one();
        self.debts.add(&member.id, member.generation, keys, || {
            // Here at least it is read only where there is nobody else.
            snapshot.seat(owner).node.missed_a_write();
        });
    }
}

/// Brings about that the first owner of a token is connected, or is not the first any more: nobody else may decide what a
/// write does. To be called when it is not.
///
/// # Errors
/// Why it is neither. Nothing was sent.
pub(super) async fn primary(core: &Arc<Core>, token: Token) -> Result<(), Error> {
    let Some(fences) = &core.fences else { return Ok(()) };
    let snapshot = core.snapshot.load_full();
    let Some(first) = snapshot.topology.writers(token).next() else { return Ok(()) };
    let seat = snapshot.seat(first);
    if seat.node.link().is_some_and(|link| link.is_open()) {
        return Ok(());
    }
    stand_aside(core, fences, &snapshot, first, Why::Silent).await
}

/// Has a primary that could not execute something either do so next time, or be the primary no more.
///
/// # Errors
/// Why it is neither. What it was sent it has not executed.
pub(super) async fn refused(core: &Arc<Core>, snapshot: &Snapshot, primary: MemberIndex) -> Result<(), Error> {
    let Some(fences) = &core.fences else { return Ok(()) };
    stand_aside(core, fences, snapshot, primary, Why::CannotWrite).await
}

/// Has members taken out that lack what others have done to all keys. Who cannot be taken out stays as it is: the caller is
/// told who lacks it.
pub(super) async fn take_out(core: &Arc<Core>, snapshot: &Snapshot, members: impl Iterator<Item = MemberIndex>) {
    let each = members.map(|index| async move {
        let member = snapshot.topology.member(index);
        judge::verdict(core, &member.id, member.generation, Why::Lacking).await
    });
    join_all(each).await;
}

async fn stand_aside(
    core: &Arc<Core>,
    fences: &Fences,
    snapshot: &Snapshot,
    primary: MemberIndex,
    why: Why,
) -> Result<(), Error> {
    let member = snapshot.topology.member(primary);
    match judge::verdict(core, &member.id, member.generation, why).await {
        Verdict::Out | Verdict::Alive => Ok(()),
        Verdict::Unfenced(_) if fences.unfenced == Unfenced::Accept => {
            fences.accept(core, snapshot, primary, &[]);
            Ok(())
        }
        Verdict::Unfenced(why) | Verdict::Kept(why) => Err(why),
    }
}

/// A primary was sent something that depends on what is there, in this snapshot, and did not answer. Whether it counts no
/// more, whatever it has done: then it may be sent to the next primary.
///
/// # Errors
/// Why nobody can tell.
pub(super) async fn counts_no_more(
    core: &Arc<Core>,
    sent: &Snapshot,
    id: &NodeId,
    generation: Generation,
) -> Result<bool, Error> {
    if core.fences.is_none() {
        return Ok(false);
    }
    match judge::verdict(core, id, generation, Why::Silent).await {
        // Whoever has gained keys by a flip was filled from it, with whatever it had done by then.
        Verdict::Out if may_have_flipped(&sent.topology, &core.snapshot.load().topology) => Ok(false),
        Verdict::Out => {
            let seat = sent.topology.find(id).map(|(primary, _)| sent.seat(primary));
            let copied = |seat: &Seat| seat.link.as_ref().is_some_and(|lost| seat.node.was_copied_since(lost));
            Ok(!seat.is_some_and(copied))
        }
        Verdict::Alive => Ok(false),
        Verdict::Unfenced(why) | Verdict::Kept(why) => Err(why),
    }
}

/// Whether a member of this snapshot was taken out since, as far as this client knows; or as far as anybody knows, if what it
/// did comes so late that this client may not have heard.
pub(super) async fn is_out(core: &Arc<Core>, snapshot: &Snapshot, member: MemberIndex, late: bool) -> bool {
    if core.fences.is_none() {
        return false;
    }
    if late {
        // While ZooKeeper cannot be asked nobody is taken out.
        core.is_newest().await;
    }
    let member = snapshot.topology.member(member);
    is_used(&core.snapshot.load(), &member.id, member.generation).is_none()
}

/// Whether the ring may have flipped on its way from one topology to another.
fn may_have_flipped(from: &Topology, to: &Topology) -> bool {
    let to_a_flip = match from.phase() {
        Phase::Syncing => 1,
        Phase::Filling => 2,
        Phase::Founding { .. } | Phase::Still => 3,
        Phase::Retiring => 4,
    };
    let taken = to.step().0.saturating_sub(from.step().0);
    taken > to_a_flip || (taken == to_a_flip && to.phase() == Phase::Retiring)
}

/// Whether a life of a member is read or written in a topology.
fn is_used(snapshot: &Snapshot, id: &NodeId, generation: Generation) -> Option<MemberIndex> {
    let (index, member) = snapshot.topology.find(id)?;
    let used = match member.state {
        State::Up | State::Joining => member.generation == generation,
        State::Down => false,
    };
    used.then_some(index)
}

/// Somebody may read a member that lacks the write.
#[cold]
fn missing(core: &Core, id: &NodeId, missed: &Missed, why: Option<Error>) -> Error {
    core.counters.unknown_writes.add_one();
    core.suspect(missed.keys.clone());
    let command = missed.command;
    let kind = why.as_ref().map_or(ErrorKind::Timeout, Error::kind);
    let error = Error::new(kind, format!("{id} has missed {command}, which others have, and is still read"))
        .with_outcome(Outcome::Unknown)
        .with_retry(Retry::Later);
    let hint = why.as_ref().and_then(Error::hint);
    let error = error.with_hint(hint.unwrap_or("send it again when all its owners answer, if twice does no harm"));
    match why {
        Some(why) => error.with_source(why),
        None => error,
    }
}
