//! Writes: every owner that is up, in one order, and the same on all.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use redis::{Cmd, RedisResult, Value};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Instrument;

use super::read::no_owner;
use super::round::{Again, End, Failures, Owner, Owners, Place, Round, poll_unconstrained};
use super::{Core, Snapshot, boxed};
use crate::command::{self, Expiry, NoEffect, Plan, Repeat, Rewrite};
use crate::error::{Error, ErrorKind, Outcome};
use crate::placement::{NodeId, Token};
use crate::policy::WritePolicy;

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
    let mut write = Write { core: Arc::clone(core), snapshot: Arc::clone(snapshot), token, early: None };
    let mut acknowledged = None;
    if core.options.write_policy == WritePolicy::Primary {
        let (early, receiver) = oneshot::channel();
        (write.early, acknowledged) = (Some(early), Some(receiver));
    }
    let owners = match write.owners(&[]) {
        Some(owners) => owners,
        // Nothing is sent yet, so dropping the future still ends it without a trace.
        None => Box::pin(write.connected()).await?,
    };
    let order = Order::of(cmd, &plan, &owners);
    let mut first = Some((write, order, owners));
    let begun = poll_fn(|cx| {
        Poll::Ready(first.take().map(|(mut write, order, owners)| {
            let round = write.round(&order, owners);
            enqueue(round, token, |round| write.all_rounds(order, round), cx)
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
    let task = core.runtime.spawn(running.in_current_span());
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

/// What is sent, and how the copies get it: decided once, so that a repeated write is the same write.
#[derive(Clone)]
struct Order {
    cmd: Arc<Cmd>,
    repeat: Repeat,
    no_effect: NoEffect,
}

impl Order {
    /// Makes the command's expiry absolute in the primary's time.
    fn of(cmd: &Cmd, plan: &Plan<'_>, owners: &Owners) -> Order {
        let (repeat, no_effect, relative) = match *plan {
            Plan::Write { repeat, no_effect, expiry, .. } => (repeat, no_effect, expiry != Expiry::AsSent),
            Plan::Read { .. } => (Repeat::Deterministic, NoEffect::Unproven, false),
        };
        if !relative {
            return Order { cmd: Arc::new(cmd.clone()), repeat, no_effect };
        }
        match command::absolute(cmd, plan, owners.primary().link.clock().now_ms()) {
            Rewrite::AsSent => Order { cmd: Arc::new(cmd.clone()), repeat, no_effect },
            Rewrite::Absolute(cmd) => Order { cmd: Arc::new(cmd), repeat, no_effect },
            // The primary will say what is wrong with it, and then the copies get nothing.
            Rewrite::PrimaryAlone => Order { cmd: Arc::new(cmd.clone()), repeat: Repeat::Deterministic, no_effect },
        }
    }
}

/// One write and all that it needs, so that it can outlive its caller.
struct Write {
    core: Arc<Core>,
    snapshot: Arc<Snapshot>,
    token: Token,
    /// Told the primary's reply, where the caller waits for no more.
    early: Option<oneshot::Sender<Value>>,
}

impl Write {
    /// Waits for an owner to be connected, and then a little for the others, which may be coming back with it: a write
    /// that leaves at once would be missed by them.
    async fn connected(&mut self) -> Result<Owners, Error> {
        let deadline = self.deadline();
        let mut others_by = None;
        loop {
            self.pause().await;
            let now = Instant::now();
            if let Some(owners) = self.owners(&[]) {
                let others_by = *others_by.get_or_insert(now + self.core.options.connect.timeouts.connect);
                if owners.missing.is_empty() || now >= others_by {
                    return Ok(owners);
                }
            } else if now >= deadline {
                return Err(no_owner(&self.snapshot, self.token, &[], "written"));
            }
        }
    }

    /// The first round is given; if nobody executed it, there are more.
    async fn all_rounds(self, order: Order, first: Round) -> RedisResult<Value> {
        match first.run().await {
            End::Done(result) => result,
            End::Again(again) => Box::pin(self.further_rounds(order, again)).await,
        }
    }

    /// Writes until an owner has answered.
    async fn further_rounds(mut self, order: Order, mut last: Again) -> RedisResult<Value> {
        let deadline = self.deadline();
        let mut failures = Failures::new();
        let mut unknown = false;
        loop {
            self.early = last.early.take();
            unknown |= last.unknown;
            failures.append(&mut last.failures);
            if Instant::now() >= deadline {
                let error = no_owner(&self.snapshot, self.token, &failures, "written");
                if !unknown {
                    return Err(error.into());
                }
                self.core.counters.unknown_writes.add_one();
                return Err(error.with_outcome(Outcome::Unknown).into());
            }
            self.pause().await;
            let Some(owners) = self.owners(&failures) else { continue };
            self.core.counters.repeated_writes.add_one();
            let mut round = Some(self.round(&order, owners));
            let token = self.token;
            let begun = poll_fn(|cx| Poll::Ready(round.take().map(|round| enqueue(round, token, Round::run, cx))));
            let end = match begun.await {
                Some(Enqueued { polled: Poll::Ready(end), .. }) => end,
                Some(Enqueued { running, polled: Poll::Pending, .. }) => running.await,
                None => continue,
            };
            match end {
                End::Done(result) => return result,
                End::Again(again) => last = again,
            }
        }
    }

    /// Until something may have changed. A member that answers at once that it cannot must not be asked in a tight
    /// loop, and a connection that comes must be used soon.
    async fn pause(&mut self) {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(3..=12))).await;
        self.snapshot = self.core.snapshot.load_full();
    }

    /// Long enough for a reconnect and one more attempt.
    fn deadline(&self) -> Instant {
        let timeouts = &self.core.options.connect.timeouts;
        Instant::now() + timeouts.write + timeouts.connect
    }

    fn round(&mut self, order: &Order, owners: Owners) -> Round {
        Round {
            core: Arc::clone(&self.core),
            cmd: Arc::clone(&order.cmd),
            repeat: order.repeat,
            no_effect: order.no_effect,
            epoch: self.snapshot.topology.epoch(),
            owners,
            place: None,
            early: self.early.take(),
        }
    }

    /// Who is written; `None` while no owner is connected. Those that failed before are not asked first again.
    fn owners(&self, failures: &[(NodeId, String)]) -> Option<Owners> {
        let topology = &self.snapshot.topology;
        let mut connected = Vec::with_capacity(topology.serving().copies());
        let mut missing = Vec::new();
        for owner in topology.writers(self.token) {
            let seat = self.snapshot.seat(owner);
            match seat.link().filter(|_| seat.up) {
                Some(link) => connected.push(Owner { node: Arc::clone(&seat.node), link }),
                None => missing.push(seat.node.id().clone()),
            }
        }
        let degraded = connected.len() + missing.len() < topology.serving().copies();
        if connected.is_empty() {
            return None;
        }
        if !failures.is_empty() {
            connected.sort_by_key(|owner| failures.iter().any(|(id, _)| id == owner.node.id()));
        }
        Some(Owners { connected, missing, degraded })
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
fn enqueue<F: Future>(
    mut round: Round,
    token: Token,
    run: impl FnOnce(Round) -> F,
    cx: &mut Context<'_>,
) -> Enqueued<F> {
    let core = Arc::clone(&round.core);
    let mut lines = core.stripes.of(token).lock();
    // Copies of earlier commands for the key that still wait for their primary's reply must leave first.
    let in_line = round.repeat == Repeat::Deterministic || !lines.is_free(token);
    if in_line {
        round.place = Some(Place::new(core.stripes.clone(), token, lines.take(token)));
    }
    let mut running = boxed(|| run(round));
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
            self.runtime.spawn(running.in_current_span());
        }
    }
}
