//! One live connection to a server, and one request on it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisResult, Value};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::driver::Reads;
use super::inflight::{self, InFlight};
use super::ticker::Ticker;
use super::tracking::Tracking;
use crate::placement::{Generation, MemberIndex, RunId, Step};
use crate::policy::HedgePolicy;

/// A connection that passed the handshake. Dropping the last handle closes it.
#[derive(Debug)]
pub(crate) struct Link {
    /// Different for every connection of this process.
    id: u64,
    connection: MultiplexedConnection,
    run_id: RunId,
    /// The life of the member's data that the gate was open for.
    generation: Option<Generation>,
    /// The step in its name: what is sent here was begun under this one or a newer one. [`NAMELESS`] if it has none.
    step: AtomicU64,
    clock: Clock,
    inflight: InFlight,
    ticker: Arc<Ticker>,
    /// Ends the task that moves bytes; with it ends every request in flight.
    driver: AbortHandle,
    /// Says whether bytes have come.
    reads: Arc<Reads>,
    client_id: u64,
    /// Where there is a cache, and the server tracks what is read through it.
    tracking: Option<Tracking>,
    closed: AtomicBool,
    /// Told when the connection falls silent.
    pub(super) fell_silent: Notify,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Link {
    /// Later ones have higher numbers.
    pub(super) fn number(&self) -> u64 {
        self.id
    }

    /// A number that no other connection of this process has.
    pub(super) fn next_id() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn new(
        id: u64,
        connection: MultiplexedConnection,
        peer: Peer,
        hedge: HedgePolicy,
        ticker: &Arc<Ticker>,
        driver: AbortHandle,
        reads: Arc<Reads>,
    ) -> Arc<Link> {
        let link = Arc::new(Link {
            id,
            connection,
            run_id: peer.run_id,
            generation: peer.generation,
            step: AtomicU64::new(peer.step.map_or(NAMELESS, |step| step.0)),
            clock: peer.clock,
            client_id: peer.client_id,
            tracking: peer.tracking,
            closed: AtomicBool::new(false),
            reads,
            inflight: InFlight::new(hedge),
            ticker: Arc::clone(ticker),
            driver,
            fell_silent: Notify::new(),
        });
        ticker.watch(&link);
        link
    }

    /// The process at the other end.
    pub(crate) fn run_id(&self) -> &RunId {
        &self.run_id
    }

    /// The life of the member's data that the gate was open for; none with fixed membership.
    pub(crate) fn generation(&self) -> Option<Generation> {
        self.generation
    }

    /// Whether it may be written on by what was begun under this step. A connection that was made, or renamed, under a
    /// newer one may not: whoever moves the ring does not see by its name that something older is still sent on it.
    pub(crate) fn is_open_to(&self, step: Step) -> bool {
        self.step.load(Ordering::SeqCst) <= step.0
    }

    /// Whether it bears a step that is older than this one.
    pub(super) fn is_of_before(&self, step: Step) -> bool {
        let own = self.step.load(Ordering::SeqCst);
        own != NAMELESS && own < step.0
    }

    /// Takes the name of a newer step, behind all that was sent before. Whoever calls this knows that nothing that was
    /// begun under an older one will be sent any more.
    pub(super) async fn rename(&self, step: Step, name: &str, at_most_ms: u64) {
        if !self.is_of_before(step) {
            return;
        }
        self.step.fetch_max(step.0, Ordering::SeqCst);
        let mut cmd = redis::cmd("CLIENT");
        cmd.arg("SETNAME").arg(name);
        // One that cannot be renamed would hold up the ring's move until it is killed; a new one has the new name. Without an
        // answer it stands in the connection's queue, and is executed with what stands before it.
        if let Ok(Value::ServerError(_)) = self.probe(&cmd, at_most_ms).await {
            self.close();
        }
    }

    /// The server's clock.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether the task that moves its bytes still runs.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Relaxed) && !self.driver.is_finished()
    }

    /// What it owes to the cache, if there is one and the server does its part.
    pub(crate) fn tracking(&self) -> Option<&Tracking> {
        self.tracking.as_ref()
    }

    /// Whether it has answered nothing for as long as it usually takes at most.
    #[inline]
    pub(crate) fn is_silent(&self) -> bool {
        self.inflight.is_silent()
    }

    /// How long a read waits for it before the next owner is asked too.
    #[inline]
    pub(crate) fn hedge_after_ms(&self) -> u64 {
        self.inflight.hedge_after_ms()
    }

    /// Takes one hedge from its budget, if it has one.
    pub(crate) fn may_hedge(&self) -> bool {
        self.inflight.may_hedge()
    }

    /// Whether one more request may wait on it.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.inflight.has_room()
    }

    /// The number that the server gave this connection.
    pub(super) fn client_id(&self) -> u64 {
        self.client_id
    }

    /// Ends the connection; nothing is sent on it any more, and every request in flight fails as soon as the runtime
    /// comes to it.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        self.driver.abort();
        if let Some(tracking) = &self.tracking {
            tracking.forget();
        }
    }

    /// The future that sends a command and receives its reply, however long that takes. Nothing is sent before its first
    /// poll.
    #[cfg(feature = "cli")]
    pub(crate) async fn send(&self, cmd: &Cmd) -> RedisResult<Value> {
        let mut connection = self.connection.clone();
        connection.send_packed_command(cmd).await
    }

    /// Sends a command and waits for its reply for at most so long. Nothing is sent before its first poll.
    pub(crate) async fn request(&self, cmd: &Cmd, at_most_ms: u64) -> Result<Value, Fault> {
        self.limited(cmd, at_most_ms, inflight::LIMIT).await
    }

    /// As [`Link::request`], with more time for as long as bytes come in: a large reply, or those before it.
    pub(crate) async fn read(&self, cmd: &Cmd, at_most_ms: u64) -> Result<Value, Fault> {
        let mut connection = self.connection.clone();
        let send = std::pin::pin!(connection.send_packed_command(cmd));
        let mut attempt = Attempt::new(self, send);
        loop {
            match attempt.within(at_most_ms).await {
                Some(result) => return result,
                None if self.heard_within(at_most_ms) => {}
                None => return Err(Fault::Late),
            }
        }
    }

    /// Whether anything has come from the server in the last so many milliseconds, or gone to it.
    pub(crate) fn heard_within(&self, ms: u64) -> bool {
        self.ticker.now_ms().saturating_sub(self.heard_ms()) <= ms
    }

    /// When anything came from the server last, by the ticker's clock.
    pub(super) fn heard_ms(&self) -> u64 {
        self.inflight.heard_ms()
    }

    /// Sends a write, and gives it [`PATIENCE`] times its timeout. A server that is dead or hangs ends it sooner: its
    /// connection is dropped. One that is merely slow gets the time, since a write that is given up may not have been
    /// sent at all, and then the copies differ though no server has failed.
    #[inline]
    pub(crate) fn write<'a>(
        &'a self,
        cmd: &'a Cmd,
        at_most_ms: u64,
    ) -> impl Future<Output = Result<Value, Fault>> + 'a {
        self.limited(cmd, at_most_ms.saturating_mul(PATIENCE), inflight::LIMIT)
    }

    /// As [`Link::write`], for what a primary has executed already: there is room for it where other requests find
    /// none.
    #[inline]
    pub(crate) fn copy<'a>(&'a self, cmd: &'a Cmd, at_most_ms: u64) -> impl Future<Output = Result<Value, Fault>> + 'a {
        self.limited(cmd, at_most_ms.saturating_mul(PATIENCE), inflight::LIMIT_OF_COPIES)
    }

    /// As [`Link::request`], for the connection's own questions: there is always room for them.
    pub(super) async fn probe(&self, cmd: &Cmd, at_most_ms: u64) -> Result<Value, Fault> {
        self.limited(cmd, at_most_ms, inflight::LIMIT_OF_COPIES).await
    }

    /// Sends several commands in one message and waits for all replies, for as long as bytes come in. Replies come in the
    /// order of the commands, so a server that answers what was sent later has answered these. Nothing is sent before its
    /// first poll.
    pub(crate) async fn batch(&self, wire: &Pipeline, at_most_ms: u64) -> Result<Vec<Value>, Fault> {
        self.all(wire, at_most_ms, inflight::LIMIT).await
    }

    /// As [`Link::batch`], for what a primary has executed already.
    pub(crate) async fn batch_of_copies(&self, wire: &Pipeline, at_most_ms: u64) -> Result<Vec<Value>, Fault> {
        self.all(wire, at_most_ms, inflight::LIMIT_OF_COPIES).await
    }

    async fn all(&self, wire: &Pipeline, at_most_ms: u64, most: usize) -> Result<Vec<Value>, Fault> {
        if wire.is_empty() {
            return Ok(Vec::new());
        }
        let mut connection = self.connection.clone();
        let send = std::pin::pin!(async move {
            let replies = connection.send_packed_commands(wire, 0, wire.len()).await;
            replies.map(Value::Array)
        });
        let mut attempt = Attempt::new(self, send);
        attempt.most = most;
        // A server that is slow and not dead gets the time that a single write gets.
        let patience = at_most_ms.saturating_mul(PATIENCE);
        loop {
            match attempt.within(patience).await {
                Some(Ok(Value::Array(replies))) => return Ok(replies),
                Some(Ok(other)) => return Ok(vec![other]),
                Some(Err(fault)) => return Err(fault),
                None if self.heard_within(patience) => {}
                None => return Err(Fault::Late),
            }
        }
    }

    async fn limited(&self, cmd: &Cmd, at_most_ms: u64, most: usize) -> Result<Value, Fault> {
        let mut connection = self.connection.clone();
        let send = std::pin::pin!(connection.send_packed_command(cmd));
        let mut attempt = Attempt::new(self, send);
        attempt.most = most;
        attempt.within(at_most_ms).await.unwrap_or(Err(Fault::Late))
    }

    pub(super) fn tick(&self, now_ms: u64, late: &mut Vec<Waker>) -> bool {
        if self.reads.heard() {
            self.inflight.heard(now_ms);
        }
        let tick = self.inflight.tick(now_ms, late);
        if tick.fell_silent {
            self.fell_silent.notify_one();
        }
        tick.busy
    }
}

/// The step of a connection whose name has none.
const NAMELESS: u64 = u64::MAX;

/// How many times its timeout a write may take at a server that lives.
const PATIENCE: u64 = 4;

/// What the handshake has learnt.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) run_id: RunId,
    pub(super) generation: Option<Generation>,
    /// The step in the connection's name, where it has one.
    pub(super) step: Option<Step>,
    pub(super) clock: Clock,
    /// The number that the server gave the connection; 0 if it did not say.
    pub(super) client_id: u64,
    pub(super) tracking: Option<Tracking>,
}

/// How many handles a [`Senders`] keeps.
const SENDERS: usize = 8;

/// Handles to the connections that one user has sent on, so that not every request makes and drops one, with four writes
/// to a line that all threads share.
///
/// They keep no connection open, since its driver ends with its link.
#[derive(Debug, Default)]
pub(crate) struct Senders(Vec<Option<(u64, MultiplexedConnection)>>);

impl Senders {
    /// The handle to a member's connection. Members share a place where there are more of them than places.
    #[inline]
    pub(crate) fn of(&mut self, member: MemberIndex, link: &Link) -> &mut MultiplexedConnection {
        if self.0.is_empty() {
            self.0.resize(SENDERS, None);
        }
        let place = &mut self.0[member.get() % SENDERS];
        if place.as_ref().is_some_and(|(id, _)| *id != link.id) {
            *place = None;
        }
        &mut place.get_or_insert_with(|| (link.id, link.connection.clone())).1
    }
}

/// Why a request has no reply.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It was not sent: too many requests wait on this connection.
    Full,
    /// The connection ended; whether the server has executed it is not known.
    Lost(redis::RedisError),
    /// No reply came in time; whether the server has executed it, or will, is not known.
    Late,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Full => f.write_str("too many requests wait for it"),
            Fault::Lost(error) => write!(f, "the connection was lost: {error}"),
            Fault::Late => f.write_str("it did not answer in time"),
        }
    }
}

/// One request at one server: a future that can be waited for in parts.
///
/// Dropping it gives the request up; whether the server executes it is then not known.
pub(crate) struct Attempt<'a, F> {
    link: &'a Link,
    send: Pin<&'a mut F>,
    /// How many may wait on the connection when it enters.
    most: usize,
    slot: Option<u32>,
    seen: Seen,
}

/// What the registry was known to say of a request when it was last polled: that it is not late, and that it would wake
/// this task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Seen {
    lateness: u32,
    /// Which waker it has. As long as it has it, no other can be in the same place.
    waker: (usize, usize),
}

impl Seen {
    #[inline]
    fn now(link: &Link, waker: &Waker) -> Seen {
        let waker = (waker.data().addr(), std::ptr::from_ref(waker.vtable()).addr());
        Seen { lateness: link.inflight.lateness(), waker }
    }
}

impl<'a, F: Future<Output = RedisResult<Value>>> Attempt<'a, F> {
    #[inline]
    pub(crate) fn new(link: &'a Link, send: Pin<&'a mut F>) -> Attempt<'a, F> {
        Attempt { link, send, most: inflight::LIMIT, slot: None, seen: Seen::default() }
    }

    /// The reply, or `None` when it did not come within so many milliseconds; then it may be waited for again.
    #[inline]
    pub(crate) fn within(&mut self, ms: u64) -> Within<'_, 'a, F> {
        // One more, since the clock may be a tick old.
        let due = self.link.ticker.now_ms().saturating_add(ms).saturating_add(1);
        if let Some(slot) = self.slot {
            self.link.inflight.extend(slot, due);
        }
        Within { attempt: self, due }
    }

    #[inline(always)]
    fn poll(&mut self, cx: &mut Context<'_>, due: u64) -> Poll<Option<Result<Value, Fault>>> {
        let first = self.slot.is_none();
        if first {
            let link = self.link;
            self.seen = Seen::now(link, cx.waker());
            let Some(slot) = link.inflight.enter(link.ticker.now_ms(), due, cx.waker(), self.most) else {
                return Poll::Ready(Some(Err(Fault::Full)));
            };
            self.slot = Some(slot);
        }
        match self.send.as_mut().poll(cx) {
            Poll::Ready(reply) => {
                self.leave(reply.is_ok());
                Poll::Ready(Some(reply.map_err(Fault::Lost)))
            }
            Poll::Pending if first => {
                self.link.ticker.request_entered();
                Poll::Pending
            }
            Poll::Pending => {
                let seen = Seen::now(self.link, cx.waker());
                if seen == self.seen {
                    return Poll::Pending;
                }
                self.seen = seen;
                match self.slot {
                    Some(slot) if self.link.inflight.is_late(slot, cx.waker()) => Poll::Ready(None),
                    Some(_) | None => Poll::Pending,
                }
            }
        }
    }
}

impl<F> Attempt<'_, F> {
    #[inline]
    fn leave(&mut self, answered: bool) {
        if let Some(slot) = self.slot.take() {
            self.link.inflight.leave(slot, self.link.ticker.now_ms(), answered);
        }
    }
}

impl<F> Drop for Attempt<'_, F> {
    #[inline]
    fn drop(&mut self) {
        self.leave(false);
    }
}

/// What [`Attempt::within`] returns.
pub(crate) struct Within<'w, 'a, F> {
    attempt: &'w mut Attempt<'a, F>,
    due: u64,
}

impl<F: Future<Output = RedisResult<Value>>> Future for Within<'_, '_, F> {
    type Output = Option<Result<Value, Fault>>;

    // Always: it is a part of one function for the compiler's rules of thumb, and a call for every operation.
    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let due = self.due;
        self.attempt.poll(cx, due)
    }
}

/// A server's clock, kept as an offset to this process's monotonic one.
#[derive(Debug)]
pub(crate) struct Clock {
    began: Instant,
    /// The server's Unix time when our monotonic clock began, in microseconds.
    offset_us: AtomicI64,
    /// The round trip of the sample that the offset is from, growing with its age.
    trip_us: AtomicI64,
}

impl Clock {
    /// A clock that is right only by this machine's own; [`Clock::set`] makes it the server's.
    pub(super) fn local() -> Clock {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let us = i64::try_from(unix.as_micros()).unwrap_or(i64::MAX);
        Clock { began: Instant::now(), offset_us: AtomicI64::new(us), trip_us: AtomicI64::new(i64::MAX) }
    }

    /// The server said that it is `server_us` (Unix, microseconds), and was asked between the two instants.
    ///
    /// The error of a sample is up to half of its round trip, so a sample that took much longer than the one in use is
    /// not believed (as NTP's clock filter does), until that one has aged.
    pub(super) fn set(&self, server_us: i64, asked: Instant, answered: Instant) {
        let trip = i64::try_from(answered.duration_since(asked).as_micros()).unwrap_or(i64::MAX);
        let best = self.trip_us.load(Ordering::Relaxed);
        if trip > best {
            self.trip_us.store(best.saturating_mul(2).saturating_add(100), Ordering::Relaxed);
            return;
        }
        self.trip_us.store(trip, Ordering::Relaxed);
        let middle = asked + answered.duration_since(asked) / 2;
        let elapsed = i64::try_from(middle.duration_since(self.began).as_micros()).unwrap_or(i64::MAX);
        self.offset_us.store(server_us.saturating_sub(elapsed), Ordering::Relaxed);
    }

    /// Whether the sample in use took more than a few milliseconds.
    pub(super) fn is_rough(&self) -> bool {
        self.trip_us.load(Ordering::Relaxed) > 5_000
    }

    /// The server's Unix time in milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        let elapsed = i64::try_from(self.began.elapsed().as_micros()).unwrap_or(i64::MAX);
        let us = self.offset_us.load(Ordering::Relaxed).saturating_add(elapsed);
        u64::try_from(us / 1000).unwrap_or(0)
    }
}
