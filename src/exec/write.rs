//! Writes: every owner that is up, in one order, and the same on all.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use redis::{Cmd, RedisResult, Value};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Instrument;

use super::fence::{self, Miss, Missed, Ruling, Settled, Why};
use super::owners::Owners;
use super::polling::poll_unconstrained;
use super::read::{hurry, no_owner};
use super::reply::is_error;
use super::round::{Again, End, Failures, Owed, Place, Round, Stuck};
use super::steps::{Step, Tokens};
use super::stripe::Home;
use super::{Core, InStep, Snapshot, boxed, groups, relink, report};
use crate::command::{self, Expiry, NoEffect, Plan, Repeat, Rewrite};
use crate::error::{Error, ErrorKind, Outcome};
use crate::node::Link;
use crate::placement::{MemberIndex, NodeId, Token};
use crate::policy::{Unfenced, WritePolicy};

/// Writes a key of this token to its owners.
///
/// Dropping the future does not leave the write on one owner only: what was begun goes on by itself.
pub(super) async fn write(
    core: &Arc<Core>,
    snapshot: &Arc<Snapshot>,
    cmd: &Cmd,
    plan: Plan<'_>,
    token: Token,
) -> RedisResult<Value> {
    if core.pause.is_held() {
        Box::pin(core.pause.over()).await;
    }
    let mut snapshot = InStep::with(core, snapshot);
    let owners = match owners(core, &mut snapshot, token, &[]) {
        Some(owners) => owners,
        // Nothing is sent yet, so dropping the future still ends it without a trace.
        None => Box::pin(connected(core, &mut snapshot, token)).await?,
    };
    if snapshot.is_gated(token) {
        return Ok(Box::pin(gated(core, &snapshot, cmd, token)).await?);
    }
    let (mut early, mut acknowledged) = (None, None);
    if core.options.write_policy == WritePolicy::Primary {
        let (sender, receiver) = oneshot::channel();
        (early, acknowledged) = (Some(sender), Some(receiver));
    }
    let mut first = Some((snapshot, owners, early));
    let begun = poll_fn(|cx| {
        Poll::Ready(first.take().map(|(snapshot, owners, early)| {
            let write = Write::new(core, snapshot, cmd, &plan, token, &owners);
            let home = Home::of(&write.snapshot.seat(owners.primary()).node);
            enqueue(core, token, home, write.repeat, |place| write.all_rounds(owners, place, early), cx)
        }))
    });
    match begun.await {
        Some(Enqueued { running, in_line, polled: Poll::Pending }) => match (in_line, acknowledged) {
            (false, None) => Unbroken { running: Some(running), runtime: &core.runtime, just_polled: true }.await,
            // A caller that stops polling without dropping the future would hold up all who wait behind it in line,
            // itself included; and a write acknowledged early goes on without its caller. So these have a task.
            (_, acknowledged) => in_task(core, running, acknowledged).await,
        },
        Some(Enqueued { polled: Poll::Ready(result), .. }) => result,
        // It is taken once, by the only poll.
        None => Err(redis::RedisError::from(Error::new(ErrorKind::Disconnected, "a write was polled after its end"))),
    }
}

async fn in_task<F>(core: &Core, running: Pin<Box<F>>, early: Option<oneshot::Receiver<Value>>) -> RedisResult<Value>
where
    F: Future<Output = RedisResult<Value>> + Send + 'static,
{
    let gone = Gone::default();
    let task = core.runtime.spawn(CALLER_GONE.scope(Arc::clone(&gone.0), running.in_current_span()));
    if let Some(early) = early
        && let Ok(value) = early.await
    {
        return Ok(value);
    }
    task.await.unwrap_or_else(|error| {
        Err(Error::new(ErrorKind::Disconnected, "the runtime ended while a write was under way")
            .with_outcome(Outcome::Unknown)
            .with_source(error)
            .into())
    })
}

tokio::task_local! {
    /// Whether the caller has dropped the future of the write that this task carries on. Then what was sent is
    /// finished, and nothing is sent again: the caller may have written something newer meanwhile.
    static CALLER_GONE: Arc<AtomicBool>;
}

/// Whether this is carried on for a caller that is gone.
pub(super) fn caller_is_gone() -> bool {
    CALLER_GONE.try_with(|gone| gone.load(Ordering::Relaxed)).unwrap_or(false)
}

/// A command for a key that members gain in this moment: only its primary's gate says who else gets it, so it is asked in
/// one transaction with the command. None of the copies is sent anything before: what reached a member ahead of the moment
/// in which everything was copied to it would be undone by the copy.
#[cold]
async fn gated(core: &Arc<Core>, snapshot: &Arc<Snapshot>, cmd: &Cmd, token: Token) -> Result<Value, Error> {
    let plan = command::plan(cmd).map_err(|refusal| core.refusal(refusal))?;
    groups::one(core, snapshot, Step::new(cmd, &plan, Tokens::One(token), false)).await
}

/// Raises the flag when the caller's future is dropped.
#[derive(Default)]
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// One write and all that it needs, so that it can outlive its caller.
pub(super) struct Write {
    pub(super) core: Arc<Core>,
    /// Its connections are those that are written on.
    pub(super) snapshot: InStep,
    token: Token,
    /// What is sent, and how the copies get it: decided once, so that a repeated write is the same write.
    pub(super) cmd: Cmd,
    pub(super) repeat: Repeat,
    pub(super) no_effect: NoEffect,
}

impl Write {
    /// Makes the command's expiry absolute in the primary's time.
    #[inline]
    fn new(core: &Arc<Core>, snapshot: InStep, cmd: &Cmd, plan: &Plan<'_>, token: Token, owners: &Owners) -> Write {
        let (mut repeat, no_effect, relative) = match *plan {
            Plan::Write { repeat, no_effect, expiry, .. } => (repeat, no_effect, expiry != Expiry::AsSent),
            _ => (Repeat::Deterministic, NoEffect::Unproven, false),
        };
        let rewrite = if relative {
            // It is connected, or it would be no owner.
            let primary = snapshot.seat(owners.primary()).link.as_ref();
            let now_ms = primary.map(|link| link.clock().now_ms());
            now_ms.map_or(Rewrite::PrimaryAlone, |now_ms| command::absolute(cmd, plan, now_ms))
        } else {
            Rewrite::AsSent
        };
        let cmd = match rewrite {
            Rewrite::AsSent => cmd.clone(),
            Rewrite::Absolute(cmd) => cmd,
            // The primary will say what is wrong with it, and then the copies get nothing.
            Rewrite::PrimaryAlone => {
                repeat = Repeat::Deterministic;
                cmd.clone()
            }
        };
        Write { core: Arc::clone(core), snapshot, token, cmd, repeat, no_effect }
    }

    /// The connection of an owner.
    #[inline]
    pub(super) fn link(&self, owner: MemberIndex) -> Option<&Link> {
        self.snapshot.seat(owner).link.as_deref()
    }

    /// The first round's owners are given; if nobody executed it, there are more rounds.
    async fn all_rounds(
        self,
        owners: Owners,
        place: Option<Place>,
        early: Option<oneshot::Sender<Value>>,
    ) -> RedisResult<Value> {
        match (Round { write: &self, owners, place, early }).run().await {
            End::Done(result) => result,
            end @ (End::Again(_) | End::Owed(_)) => Box::pin(self.go_on(end)).await,
        }
    }

    /// Until the caller may be told.
    async fn go_on(self, end: End) -> RedisResult<Value> {
        match self.seen_to(end).await {
            Ok(result) => result,
            Err(again) => {
                let (core, keys) = (Arc::clone(&self.core), command::keys_of(&self.cmd));
                let mut unknown = false;
                let result = self.further_rounds(again, &mut unknown).await;
                if unknown {
                    // Whoever has got it and did not say so may have it alone, or execute it after what came later.
                    core.suspect(keys);
                }
                result
            }
        }
    }

    /// The end of a round when everybody who missed the command, or answered otherwise, has been seen to; or what the next
    /// round needs to know.
    async fn seen_to(&self, end: End) -> Result<RedisResult<Value>, Again> {
        let owed = match end {
            End::Done(result) => return Ok(result),
            End::Again(again) => return Err(again),
            End::Owed(owed) => owed,
        };
        let Owed { answer, misses, replies, failures } = *owed;
        let (command, keys) = (command::name(&self.cmd), command::keys_of(&self.cmd));
        let missed = Missed { misses, tokens: vec![self.token], keys, command };
        match fence::settle(&self.core, &self.snapshot, &missed).await {
            Ok(Settled::Done) => {}
            Ok(Settled::Again) => return Err(Again { early: None, failures, unknown: true, stuck: None }),
            Err(error) => return Ok(Err(error.into())),
        }
        let answer = if replies.is_empty() { Ok(answer) } else { self.decided(replies, &missed.keys).await? };
        if !answer.as_ref().is_ok_and(is_error) {
            fence::wait_out(&self.core, &self.snapshot, &missed).await;
        }
        Ok(answer)
    }

    /// Whose answer counts of those that differ.
    async fn decided(&self, replies: Vec<(MemberIndex, Value)>, keys: &[Vec<u8>]) -> Result<RedisResult<Value>, Again> {
        let asked: Vec<MemberIndex> = replies.iter().map(|(owner, _)| *owner).collect();
        let ruling = fence::arbitrate(&self.core, &self.snapshot, &asked, None, self.token).await;
        let core = &self.core;
        let did_nothing = |value: &Value| is_error(value) || self.no_effect.shown_by(value);
        let refused = replies.iter().skip(1).any(|(_, value)| did_nothing(value));
        let mut replies = replies.into_iter();
        let Some((first, answer)) = replies.next() else {
            return Ok(Err(report::nonsense(core, self.snapshot.seat(MemberIndex(0)).node.id(), "nothing").into()));
        };
        let primary = self.snapshot.seat(first).node.id();
        match ruling {
            Ruling::Asked if is_error(&answer) => {
                let other = replies.find(|(_, value)| !is_error(value));
                let copy = other.map_or(primary, |(owner, _)| self.snapshot.seat(owner).node.id());
                Ok(Err(report::refused(core, copy, answer).into()))
            }
            Ruling::Asked => Ok(match self.lacking(replies, &answer, keys).await {
                Ok(()) => Ok(answer),
                Err(error) => Err(error.into()),
            }),
            Ruling::Other(other) => {
                let mut replies: Vec<(MemberIndex, Value)> = std::iter::once((first, answer)).chain(replies).collect();
                let theirs = replies.iter().position(|(owner, _)| *owner == other).unwrap_or(0);
                let (_, theirs) = replies.swap_remove(theirs);
                Ok(match self.lacking(replies.into_iter(), &theirs, keys).await {
                    Ok(()) => Ok(theirs),
                    Err(error) => Err(error.into()),
                })
            }
            Ruling::Nobody if self.repeat == Repeat::Absolute => {
                let failures = vec![(primary.clone(), "it is not the primary any more".to_owned())];
                Err(Again { early: None, failures, unknown: true, stuck: None })
            }
            Ruling::Nobody => Ok(Err(report::replaced(core, primary, command::name(&self.cmd), None).into())),
            // Two copies say that they have done something, so only their order is in question. But where one has refused,
            // nobody is to hold a lock on the word of a primary that may be none.
            Ruling::Unsure(why) if refused || core.options.unfenced == Unfenced::Refuse => {
                Ok(Err(report::replaced(core, primary, command::name(&self.cmd), Some(why)).into()))
            }
            Ruling::Unsure(_) => Ok(Ok(answer)),
        }
    }

    /// Sees to copies that refused what the primary has executed. A fence of the primary would undo it: a lock that is held
    /// there alone would be taken twice.
    async fn lacking(
        &self,
        copies: impl Iterator<Item = (MemberIndex, Value)>,
        answer: &Value,
        keys: &[Vec<u8>],
    ) -> Result<(), Error> {
        let did_nothing = |value: &Value| is_error(value) || self.no_effect.shown_by(value);
        if did_nothing(answer) {
            return Ok(());
        }
        let mut misses = Vec::new();
        for (copy, _) in copies.filter(|(_, value)| did_nothing(value)) {
            let insisted = fence::insist(&self.core, &self.snapshot, copy, &self.cmd, did_nothing).await;
            if !matches!(insisted, fence::Insisted::Executed(_)) {
                misses.push(Miss::of_copy(copy, Why::Silent));
            }
        }
        let command = command::name(&self.cmd);
        let missed = Missed { misses, tokens: vec![self.token], keys: keys.to_vec(), command };
        fence::settle(&self.core, &self.snapshot, &missed).await.map(|_| ())
    }

    /// Writes until an owner has answered. `unknown` says whether somebody may have executed it without a word.
    async fn further_rounds(mut self, mut last: Again, unknown: &mut bool) -> RedisResult<Value> {
        let mut deadline = deadline(&self.core);
        let mut failures = Failures::new();
        let mut trouble = None;
        loop {
            *unknown |= last.unknown;
            failures.append(&mut last.failures);
            match last.stuck.take() {
                Some(Stuck::Unanswered(primary, fault)) => {
                    let member = self.snapshot.topology.member(primary);
                    let asked = fence::counts_no_more(&self.core, &self.snapshot, &member.id, member.generation).await;
                    if asked.as_ref().is_ok_and(|no_more| *no_more) {
                        deadline = self::deadline(&self.core);
                    } else {
                        let (name, keys) = (command::name(&self.cmd), command::keys_of(&self.cmd));
                        let error = report::unknown(&self.core, &member.id, &fault, name, keys);
                        return Err(because(error, asked.err()).into());
                    }
                }
                Some(Stuck::Refused(primary)) => {
                    trouble = fence::refused(&self.core, &self.snapshot, primary).await.err();
                }
                None => {}
            }
            pause(&self.core, &mut self.snapshot).await;
            if caller_is_gone() || Instant::now() >= deadline {
                let error = because(no_owner(&self.snapshot, self.token, &failures, "written"), trouble);
                if !*unknown {
                    return Err(error.into());
                }
                self.core.counters.unknown_writes.add_one();
                return Err(error.with_outcome(Outcome::Unknown).into());
            }
            let Some(owners) = owners(&self.core, &mut self.snapshot, self.token, &failures) else {
                trouble = fence::primary(&self.core, self.token).await.err();
                continue;
            };
            self.core.counters.repeated_writes.add_one();
            if self.snapshot.is_gated(self.token) {
                let done = gated(&self.core, &self.snapshot, &self.cmd, self.token).await;
                let done = done.map_err(|error| if *unknown { error.with_outcome(Outcome::Unknown) } else { error });
                return Ok(done?);
            }
            let (write, mut first) = (&self, Some((owners, last.early.take())));
            let begun = poll_fn(|cx| {
                Poll::Ready(first.take().map(|(owners, early)| {
                    let run = |place| Round { write, owners, place, early }.run();
                    let home = Home::of(&write.snapshot.seat(owners.primary()).node);
                    enqueue(&write.core, write.token, home, write.repeat, run, cx)
                }))
            });
            let end = match begun.await {
                Some(Enqueued { polled: Poll::Ready(end), .. }) => end,
                Some(Enqueued { running, polled: Poll::Pending, .. }) => running.await,
                None => continue,
            };
            match self.seen_to(end).await {
                Ok(result) => return result,
                Err(again) => last = again,
            }
        }
    }
}

/// Waits for an owner to be connected, and then a little for the others, which may be coming back with it: a write that
/// leaves at once would be missed by them.
async fn connected(core: &Arc<Core>, snapshot: &mut InStep, token: Token) -> Result<Owners, Error> {
    let deadline = deadline(core);
    let mut others_by = None;
    loop {
        hurry(snapshot, token);
        let trouble = fence::primary(core, token).await.err();
        pause(core, snapshot).await;
        let now = Instant::now();
        if let Some(owners) = owners(core, snapshot, token, &[]) {
            let others_by = *others_by.get_or_insert(now + core.options.connect.timeouts.connect);
            // Where somebody sees to those who miss it, there is nothing to wait for.
            if !owners.is_missed() || core.fences.is_some() || now >= others_by {
                return Ok(owners);
            }
        } else if now >= deadline {
            return Err(because(no_owner(snapshot, token, &[], "written"), trouble));
        }
    }
}

/// Until something may have changed. A member that answers at once that it cannot must not be asked in a tight loop, and
/// a connection that comes must be used soon.
pub(super) async fn pause(core: &Core, snapshot: &mut InStep) {
    tokio::time::sleep(Duration::from_millis(fastrand::u64(3..=12))).await;
    snapshot.renew(core);
}

/// Long enough for a reconnect and one more attempt; and, where somebody can be taken out of the ring, for that.
pub(super) fn deadline(core: &Core) -> Instant {
    let timeouts = &core.options.connect.timeouts;
    let fence = if core.fences.is_some() { timeouts.write } else { Duration::ZERO };
    Instant::now() + timeouts.write + timeouts.connect + fence
}

/// The error with its cause, and what can be done about that.
pub(super) fn because(error: Error, why: Option<Error>) -> Error {
    let Some(why) = why else { return error };
    let error = match why.hint() {
        Some(hint) => error.with_hint(hint),
        None => error,
    };
    error.with_source(why)
}

/// Who is written; `None` while no owner is connected, or, where a primary that fails can be taken out of the ring, while
/// that is not connected ([`fence::primary`] sees to it). Otherwise those that failed before are not asked first again.
///
/// A write must not miss an owner that is connected, nor one that gains the key, so the snapshot is made current where it does not know a
/// connection yet.
#[inline]
pub(super) fn owners(
    core: &Core,
    snapshot: &mut InStep,
    token: Token,
    failures: &[(NodeId, String)],
) -> Option<Owners> {
    loop {
        let topology = &snapshot.topology;
        let mut owners = Owners::new();
        let mut outdated = false;
        let mut known_to_lack = false;
        let mut headless = false;
        for (nth, owner) in topology.writers(token).enumerate() {
            let seat = snapshot.seat(owner);
            if seat.up && seat.live().is_some() {
                known_to_lack |= seat.node.has_missed_a_write();
                owners.add_connected(owner);
            } else {
                headless |= nth == 0 && core.fences.is_some() && !seat.node.has_missed_a_write();
                outdated |= seat.up && seat.node.link().is_some_and(|link| link.is_open());
                owners.add_missing(owner);
            }
        }
        if snapshot.gated {
            for gainer in topology.gainers(token) {
                let seat = snapshot.seat(gainer);
                outdated |= seat.live().is_none() && seat.node.link().is_some_and(|link| link.is_open());
            }
        }
        if outdated {
            // Again only if yet another connection comes in this moment.
            relink(&core.snapshot, &core.making);
            snapshot.renew(core);
            continue;
        }
        if headless {
            return None;
        }
        if known_to_lack {
            // What a write depends on, and what a script leaves, must not be an old state.
            owners.put_last(|owner| snapshot.seat(owner).node.has_missed_a_write());
        }
        // Where a primary that fails can be taken out, nobody decides in its place before.
        if !failures.is_empty() && core.fences.is_none() {
            owners.put_last(|owner| failures.iter().any(|(id, _)| id == snapshot.seat(owner).node.id()));
        }
        return owners.complete(topology.serving().copies());
    }
}

/// A round that has been polled once.
struct Enqueued<F: Future> {
    running: Pin<Box<F>>,
    /// Whether it holds a place in line.
    in_line: bool,
    polled: Poll<F::Output>,
}

/// Polls a round for the first time, which puts its commands on the wire, under the stripe's lock.
#[inline]
fn enqueue<F: Future>(
    core: &Core,
    token: Token,
    home: Home,
    repeat: Repeat,
    run: impl FnOnce(Option<Place>) -> F,
    cx: &mut Context<'_>,
) -> Enqueued<F> {
    let mut lines = core.stripes.of(token).lock();
    // Copies of earlier commands for the key that still wait for their primary's reply must leave first.
    let in_line = repeat == Repeat::Deterministic || !lines.is_free(token);
    let place = in_line.then(|| Place::new(core.stripes.clone(), token, lines.take(token, home)));
    let mut running = boxed(|| run(place));
    let polled = poll_unconstrained(running.as_mut(), cx);
    Enqueued { running, in_line, polled }
}

/// A write that has begun. When it is dropped before its end, it goes on in a task of its own, which ends within the
/// timeouts of a write.
struct Unbroken<'a, F: Future<Output = RedisResult<Value>> + Send + 'static> {
    running: Option<Pin<Box<F>>>,
    runtime: &'a Handle,
    /// It was polled a moment ago, in the same poll of the caller's task and with its waker: to do so again is in vain.
    just_polled: bool,
}

impl<F: Future<Output = RedisResult<Value>> + Send + 'static> Future for Unbroken<'_, F> {
    type Output = RedisResult<Value>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if std::mem::take(&mut self.just_polled) {
            return Poll::Pending;
        }
        let Some(running) = &mut self.running else { return Poll::Pending };
        let result = running.as_mut().poll(cx);
        if result.is_ready() {
            self.running = None;
        }
        result
    }
}

impl<F: Future<Output = RedisResult<Value>> + Send + 'static> Drop for Unbroken<'_, F> {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            let gone = Arc::new(AtomicBool::new(true));
            self.runtime.spawn(CALLER_GONE.scope(gone, running.in_current_span()));
        }
    }
}
