//! What is to become of a member that missed something: decided once for all who wait.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, join_all, select};
use tokio::sync::watch;
use tokio::time::timeout;

use super::super::polling::yield_once;
use super::super::{Core, Snapshot};
use super::{Fences, Why, is_used};
use crate::error::{Error, ErrorKind};
use crate::membership::{Fence, Fenced};
use crate::node::Reach;
use crate::placement::{Generation, MemberIndex, NodeId, State};
use crate::sabotage::{self, Sabotage};

/// How a life of a member was left.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    /// In the topology in use it is neither read nor written any more.
    Out,
    /// It answers.
    Alive,
    /// It stays what it is although it does not do what it should.
    Kept(Error),
    /// ZooKeeper cannot be asked to take it out.
    Unfenced(Error),
}

/// A life of a member, and what is known of it.
type Case = (NodeId, Generation, Why);

/// The cases that are being looked into.
#[derive(Debug, Default)]
pub(super) struct Judging(Mutex<HashMap<Case, watch::Receiver<Option<Verdict>>>>);

/// How often the ring may change under a judgement.
const ROUNDS: usize = 4;

/// How many others are asked, to tell a machine that is cut off from a member that is: all would be too many for a large
/// ring.
const SAMPLE: usize = 8;

/// The longest that a topology that was published takes to be in use.
const ADOPTED: Duration = Duration::from_secs(1);

/// Looks whether a member lives, and has it taken out if not. However many ask, it is done once.
///
/// # Cancel safety
/// It goes on in a task of its own, which ends within the times to probe and to ask ZooKeeper.
pub(super) async fn verdict(core: &Arc<Core>, id: &NodeId, generation: Generation, known: Why) -> Verdict {
    let Some(fences) = &core.fences else { return Verdict::Alive };
    if is_used(&core.snapshot.load(), id, generation).is_none() {
        return Verdict::Out;
    }
    let case = (id.clone(), generation, known);
    let mut told = {
        let mut cases = fences.judging.0.lock().unwrap_or_else(PoisonError::into_inner);
        match cases.get(&case) {
            Some(told) => told.clone(),
            None => {
                let (tell, told) = watch::channel(None);
                cases.insert(case.clone(), told.clone());
                let core = Arc::clone(core);
                core.runtime.clone().spawn(async move {
                    let verdict = judge(&core, &case.0, case.1, case.2).await;
                    if let Some(fences) = &core.fences {
                        // Whoever comes from now on has seen something newer than this.
                        fences.judging.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&case);
                    }
                    tell.send_replace(Some(verdict));
                });
                told
            }
        }
    };
    let verdict = told.wait_for(Option::is_some).await.ok().and_then(|verdict| verdict.clone());
    verdict.unwrap_or_else(|| {
        Verdict::Unfenced(Error::new(ErrorKind::Disconnected, "the runtime ended while a member was looked at"))
    })
}

async fn judge(core: &Arc<Core>, id: &NodeId, generation: Generation, known: Why) -> Verdict {
    let Some(fences) = &core.fences else { return Verdict::Alive };
    let limit = core.options.connect.timeouts.write;
    for _ in 0..ROUNDS {
        let snapshot = core.snapshot.load_full();
        let Some(suspect) = is_used(&snapshot, id, generation) else { return Verdict::Out };
        // What has arrived while this process was busy, or stood still, is read first.
        yield_once().await;
        let found = match known {
            Why::CannotWrite => None,
            Why::Silent | Why::Lacking => Some(look(core, &snapshot, suspect).await),
        };
        let why = match found {
            None | Some(Look::Unfit) => "it answers that it cannot write",
            Some(Look::Answers) if known == Why::Lacking => "it answers, but nobody can give it what it missed",
            Some(Look::Answers) => return Verdict::Alive,
            Some(Look::Denied(error)) => return Verdict::Kept(error),
            Some(Look::CutOff) => return Verdict::Kept(cut_off(id)),
            Some(Look::Refused) => "it refuses connections",
            Some(Look::Silent) => {
                // It may only be that this client lags: who wants a newer ring lets no older one in.
                if let Err(error) = fences.arbiter.sync(limit).await {
                    return Verdict::Unfenced(error);
                }
                adopted(core, fences).await;
                "it does not answer"
            }
        };
        if core.snapshot.load().topology.epoch() != snapshot.topology.epoch() {
            continue;
        }
        if sabotage::is(Sabotage::NoFence) {
            return Verdict::Unfenced(Error::new(ErrorKind::Unreachable, "nobody is fenced"));
        }
        let reason = format!("missed a write: {why}");
        let fence = Fence { id: id.clone(), generation, reason, by: fences.by.clone() };
        match fences.arbiter.fence(fence, limit).await {
            Ok(Fenced::Out) => {
                adopted(core, fences).await;
                core.counters.fences.add_one();
            }
            Ok(Fenced::Forbidden(guard)) => return Verdict::Kept(forbidden(id, why, guard)),
            Err(error) => return Verdict::Unfenced(error),
        }
    }
    let error = Error::new(ErrorKind::Conflict, format!("the ring changed each time that {id} was looked at"));
    Verdict::Kept(error)
}

/// How a member looks from here.
enum Look {
    Answers,
    Unfit,
    Denied(Error),
    Refused,
    Silent,
    /// Most others do not answer either.
    CutOff,
}

async fn look(core: &Core, snapshot: &Snapshot, suspect: MemberIndex) -> Look {
    let probe = core.options.connect.timeouts.probe;
    let reaching = pin!(snapshot.seat(suspect).node.reach(probe));
    let others = pin!(others_answer(snapshot, suspect, probe));
    let (reach, answer) = match select(reaching, others).await {
        Either::Left((Reach::Answers, _)) => return Look::Answers,
        Either::Left((reach, others)) => (reach, others.await),
        Either::Right((answer, reaching)) => (reaching.await, answer),
    };
    match reach {
        Reach::Answers => Look::Answers,
        Reach::Unfit => Look::Unfit,
        Reach::Denied(error) => Look::Denied(error),
        Reach::Refused | Reach::Silent if !answer => Look::CutOff,
        Reach::Refused => Look::Refused,
        Reach::Silent => Look::Silent,
    }
}

/// Whether at least half of the other members that are up answer.
async fn others_answer(snapshot: &Snapshot, suspect: MemberIndex, probe: Duration) -> bool {
    let members = snapshot.topology.members().iter().zip(&snapshot.seats).enumerate();
    let up = members.filter(|(at, (member, _))| *at != suspect.get() && member.state == State::Up);
    let mut others: Vec<_> = up.map(|(_, (_, seat))| seat).collect();
    fastrand::shuffle(&mut others);
    others.truncate(SAMPLE);
    let answers = join_all(others.iter().map(|seat| seat.node.reach(probe))).await;
    let lost = answers.iter().filter(|reach| matches!(reach, Reach::Refused | Reach::Silent)).count();
    lost * 2 <= answers.len()
}

/// Waits until requests use the topology that was published.
pub(super) async fn adopted(core: &Core, fences: &Fences) {
    let waiting = async {
        loop {
            // A waiter registered before looking misses no change.
            let mut changed = pin!(core.changed.notified());
            changed.as_mut().enable();
            if Arc::ptr_eq(&core.snapshot.load().topology, &fences.arbiter.view().topology) {
                return;
            }
            changed.await;
        }
    };
    if timeout(ADOPTED, waiting).await.is_err() {
        tracing::warn!("a new topology was published and not taken into use");
    }
}

fn cut_off(id: &NodeId) -> Error {
    Error::new(ErrorKind::Timeout, format!("this client is cut off: neither {id} nor most others answer"))
        .with_hint("check the network between this machine and the members")
}

fn forbidden(id: &NodeId, why: &str, guard: &str) -> Error {
    Error::new(ErrorKind::Timeout, format!("{id} is not taken out of the ring although {why}: {guard}"))
        .with_hint("`redis-ring status` shows who is down: bring one of them back first")
}
