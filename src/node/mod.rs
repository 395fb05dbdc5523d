//! One Redis server: its connection, its reconnection, and how far it is to be trusted.

pub(crate) mod access;
mod beside;
mod breaker;
mod brief;
mod changes;
mod connect;
#[cfg(feature = "cli")]
mod direct;
mod driver;
mod gate;
mod inflight;
mod latency;
mod link;
mod listener;
mod naming;
mod own;
mod reach;
pub(crate) mod rights;
mod ticker;
#[cfg(feature = "tls")]
mod tls;
mod tracker;
mod tracking;

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::error::{Error, ErrorKind};
use crate::membership::Address;
use crate::placement::{Generation, NodeId, RunId, Step};
use access::Access;
use beside::Beside;
use breaker::Breaker;
use connect::{Connected, Unusable};
use own::Own;
use tracker::Tracker;

pub(crate) use brief::ask_briefly;
pub(crate) use changes::{Changes, Queue, Turn, Waiter};
pub(crate) use connect::{ConnectOptions, OwnConnections, Pushes};
#[cfg(feature = "cli")]
pub(crate) use direct::Direct;
pub(crate) use gate::{Gate, Shut};
pub(crate) use link::{Attempt, Fault, Link, Senders};
pub(crate) use listener::{Answer, Change, Kind, Listener, Subscription};
pub(crate) use naming::{Naming, by_default as name_by_default, checked as checked_name};
pub(crate) use own::Owned;
pub(crate) use reach::Reach;
pub(crate) use ticker::Ticker;
#[cfg(feature = "tls")]
pub(crate) use tls::Tls;
pub(crate) use tracker::Tracked;
pub(crate) use tracking::Tracking;

/// How often the offset to a server's clock is measured anew.
const CLOCK_EVERY: Duration = Duration::from_secs(10);

/// When it is measured again after a first measurement that took long.
const CLOCK_AGAIN: Duration = Duration::from_millis(100);

/// What a node is to be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) address: Address,
    /// The process that holds the member's data. `None`: the first one met is pinned.
    pub(crate) run_id: Option<RunId>,
    /// The life of its data that the server's gate must be open for. `None`: with fixed membership there are no gates.
    pub(crate) generation: Option<Generation>,
}

/// A member's server. Reconnects by itself for as long as it has a target; dropping it ends its task.
#[derive(Debug)]
pub(crate) struct Node {
    id: NodeId,
    shared: Arc<Shared>,
    target: watch::Sender<Option<Target>>,
    options: Arc<ConnectOptions>,
    ticker: Arc<Ticker>,
    tracker: Tracker,
    own: Arc<Own>,
    beside: Beside,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    id: NodeId,
    link: ArcSwapOption<Link>,
    breaker: Breaker,
    access: Access,
    /// Whether this process knows of a write that the member has missed. Then its reads go elsewhere where they can.
    missed: AtomicBool,
    /// The life of its data that `missed` is about.
    life: Mutex<Option<Generation>>,
    /// The newest connection on which it told the state of keys that others were given then.
    copied: AtomicU64,
    /// Why there is no connection, for error texts.
    trouble: Mutex<Option<Error>>,
    /// With fixed membership, the process met first; only the application may accept another.
    pinned: Mutex<Option<RunId>>,
    /// Told whenever a connection comes or an attempt to connect has failed.
    changed: Arc<Notify>,
    attempts: watch::Sender<u64>,
    /// Whether there has been a connection to what is to be connected to now.
    met: AtomicBool,
    /// Ends a wait before the next attempt.
    hurry: Notify,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Node {
    /// Starts connecting. `changed` is told of every connection that comes and every attempt that fails.
    pub(crate) fn start(
        id: NodeId,
        target: Option<Target>,
        options: Arc<ConnectOptions>,
        ticker: &Arc<Ticker>,
        changed: &Arc<Notify>,
    ) -> Arc<Node> {
        let shared = Arc::new(Shared {
            id: id.clone(),
            link: ArcSwapOption::empty(),
            breaker: Breaker::new(),
            access: Access::default(),
            missed: AtomicBool::new(false),
            life: Mutex::new(target.as_ref().and_then(|target| target.generation)),
            copied: AtomicU64::new(0),
            trouble: Mutex::default(),
            pinned: Mutex::default(),
            changed: Arc::clone(changed),
            attempts: watch::channel(0).0,
            met: AtomicBool::new(false),
            hurry: Notify::new(),
        });
        let (target, targets) = watch::channel(target);
        let own = Own::new(options.own_connections.0);
        let task = tokio::spawn(keep_connected(Arc::clone(&shared), targets, Arc::clone(&options), Arc::clone(ticker)));
        Arc::new(Node {
            id,
            shared,
            target,
            options,
            ticker: Arc::clone(ticker),
            tracker: Tracker::default(),
            own,
            beside: Beside::default(),
            task,
        })
    }

    pub(crate) fn id(&self) -> &NodeId {
        &self.id
    }

    /// Changes where the node connects to; connections to anything else, or to another life of the data, are dropped.
    pub(crate) fn retarget(&self, target: Option<Target>) {
        self.target.send_if_modified(|current| {
            let differs = *current != target;
            if differs {
                self.shared.met.store(false, Ordering::Relaxed);
                self.shared.begin_life(target.as_ref());
                *current = target;
                // At once: nobody who has seen the change may still send there. Connections that are being made are not
                // taken into use, since that is done under the same lock.
                if let Some(link) = self.shared.link.swap(None) {
                    link.close();
                }
                self.beside.close_all();
            }
            differs
        });
    }

    /// Everything that was begun under older steps has ended. So the connection that requests share takes the name of this
    /// step, and those with one user each, which may be in any state, are closed.
    pub(crate) async fn rename(&self, step: Step) {
        self.beside.close_before(step);
        if let Some(link) = self.shared.link.load_full() {
            self.shared.rename(&link, step, &self.options).await;
        }
    }

    /// The connection, if there is one.
    #[inline]
    pub(crate) fn link(&self) -> Option<Arc<Link>> {
        // Not the cheaper guard: it would be held across awaits, and only a few of those are cheap.
        self.shared.link.load_full()
    }

    /// The state of keys that it told on this connection goes to others. To be called before it does.
    pub(crate) fn state_is_copied(&self, link: &Link) {
        self.shared.copied.fetch_max(link.number(), Ordering::SeqCst);
    }

    /// Whether others were given what it told after it had lost this connection: anything that was sent on this one, and not
    /// answered, may be in it. On the same one the answer would have come first.
    pub(crate) fn was_copied_since(&self, lost: &Link) -> bool {
        self.shared.copied.load(Ordering::SeqCst) > lost.number()
    }

    /// Whether requests go there in its turn: not while it keeps failing, nor when it is known to have missed a write.
    #[inline]
    pub(crate) fn is_trusted(&self) -> bool {
        !self.shared.missed.load(Ordering::Relaxed) && self.shared.breaker.allows()
    }

    /// It has missed a write, and may have stale data until its record says that it has a new life.
    ///
    /// Whether that is news.
    pub(crate) fn missed_a_write(&self) -> bool {
        !self.shared.missed.swap(true, Ordering::Relaxed)
    }

    /// The process that holds its data, if it is known.
    pub(crate) fn process(&self) -> Option<RunId> {
        let target = self.target.borrow().as_ref().and_then(|target| target.run_id.clone());
        target.or_else(|| self.shared.pinned.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Whether this process knows of a write that it has missed.
    pub(crate) fn has_missed_a_write(&self) -> bool {
        self.shared.missed.load(Ordering::Relaxed)
    }

    /// It has been given what it had missed.
    pub(crate) fn has_all_writes(&self) {
        self.shared.missed.store(false, Ordering::Relaxed);
    }

    /// Whether there has been a connection to this server.
    fn was_met(&self) -> bool {
        self.shared.met.load(Ordering::Relaxed)
    }

    /// Where it is to be reached now.
    pub(crate) fn address(&self) -> Option<Address> {
        self.target.borrow().as_ref().map(|target| target.address.clone())
    }

    /// A request was answered.
    #[inline]
    pub(crate) fn succeeded(&self) {
        self.shared.breaker.succeeded();
    }

    /// A request was not answered, or the server said that it cannot.
    pub(crate) fn failed(&self) {
        self.shared.breaker.failed();
    }

    /// Somebody waits for a connection: it is tried again at once.
    pub(crate) fn hurry(&self) {
        self.shared.hurry.notify_waiters();
    }

    /// Why there is no connection.
    pub(crate) fn trouble(&self) -> Option<Error> {
        self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it is connected or an attempt has failed. Cancel safe.
    pub(crate) async fn tried(&self) {
        let mut attempts = self.shared.attempts.subscribe();
        // The sender lives as long as the node; if it is gone there is nothing to wait for.
        let _ = attempts.wait_for(|attempts| *attempts > 0).await;
    }

    /// Accepts the process that answers now in the place of the one pinned at first contact.
    pub(crate) fn trust_anew(&self) {
        let connected = self.link().filter(|link| link.is_open());
        // The one that answers now, and not whichever comes after it.
        *self.shared.pinned.lock().unwrap_or_else(PoisonError::into_inner) =
            connected.map(|link| link.run_id().clone());
        self.shared.missed.store(false, Ordering::Relaxed);
        self.shared.hurry.notify_waiters();
    }
}

/// Connects, watches the connection, and connects again; never ends by itself.
async fn keep_connected(
    shared: Arc<Shared>,
    mut targets: watch::Receiver<Option<Target>>,
    options: Arc<ConnectOptions>,
    ticker: Arc<Ticker>,
) {
    let mut failures = 0;
    let mut last: Option<Arc<Link>> = None;
    loop {
        let Some(target) = targets.borrow_and_update().clone() else {
            if targets.changed().await.is_err() {
                return;
            }
            failures = 0;
            continue;
        };
        let shut;
        tokio::select! {
            connected = shared.connect(&target, &options, &ticker) => {
                match connected {
                    Ok(connected) => {
                        let began = Instant::now();
                        shut = None;
                        if let Some(last) = last.take() {
                            shared.end_at_server(&last, &connected.link, &options).await;
                        }
                        last = Some(Arc::clone(&connected.link));
                        if !shared.publish(&connected.link, &target, &targets) {
                            // It is of no use any more, and so it never was.
                            connected.link.close();
                            failures = 0;
                            continue;
                        }
                        if connected.link.is_of_before(options.naming.reached()) {
                            // It was not there yet when the others were renamed.
                            shared.rename(&connected.link, options.naming.reached(), &options).await;
                        }
                        let end = watch_over(&shared, connected, &mut targets, &options).await;
                        shared.withdraw(&end);
                        // A connection that never held does not start the back-off anew.
                        failures = if began.elapsed() > Duration::from_secs(1) { 0 } else { failures };
                        if matches!(end, End::Retargeted) {
                            failures = 0;
                            continue;
                        }
                    }
                    Err(unusable) => {
                        shut = unusable.shut;
                        if matches!(shut, Some(Shut::Newer(_) | Shut::OtherLife)) {
                            options.naming.hints().doubt();
                        }
                        shared.note(unusable.error);
                        shared.attempted();
                    }
                }
            }
            changed = targets.changed() => {
                if changed.is_err() {
                    return;
                }
                failures = 0;
                continue;
            }
        }
        failures += 1;
        let pause = match shut {
            Some(Shut::Closed | Shut::Newer(_)) => connect::backoff_at_gate(failures),
            Some(Shut::OtherLife) | None => connect::backoff(failures),
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // The application trusts whoever answers now, or somebody waits.
            () = shared.hurry.notified() => failures = 0,
            changed = targets.changed() => {
                if changed.is_err() {
                    return;
                }
                failures = 0;
            }
        }
    }
}

/// Why a connection is no longer used.
#[derive(Debug)]
enum End {
    /// The stream ended: the server closed it, or died.
    Lost,
    /// It answered nothing, not even a probe.
    Silent,
    /// The member is to be reached elsewhere, or not at all.
    Retargeted,
}

/// Returns when the connection is not to be used any more.
async fn watch_over(
    shared: &Shared,
    mut connected: Connected,
    targets: &mut watch::Receiver<Option<Target>>,
    options: &ConnectOptions,
) -> End {
    let link = Arc::clone(&connected.link);
    let write_ms = u64::try_from(options.timeouts.write.as_millis()).unwrap_or(u64::MAX);
    // Soon again if the first sample was slow: an expiry of milliseconds depends on it.
    let first = if link.clock().is_rough() { CLOCK_AGAIN } else { CLOCK_EVERY };
    let mut clock = tokio::time::interval_at(tokio::time::Instant::now() + first, CLOCK_EVERY);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    // Beside all else: while it waits for an answer, silence must be seen as soon as ever.
    let mut renewing = pin!(async {
        match link.tracking() {
            Some(tracking) => tracking.renew(&link, write_ms).await,
            None => std::future::pending().await,
        }
    });
    loop {
        tokio::select! {
            () = &mut renewing => {}
            _ = &mut connected.driver => return End::Lost,
            _ = targets.changed() => {
                // A new address is another connection, even to the same process; a closed channel is the node's end.
                link.close();
                return End::Retargeted;
            }
            () = link.fell_silent.notified() => {
                tracing::debug!(node = %shared.id, "silent, probing");
                let probe = redis::cmd("PING");
                let heard_ms = link.heard_ms();
                tokio::select! {
                    answer = link.probe(&probe, write_ms) => {
                        // Replies to others, or a large one, may still be coming in before this one.
                        if answer.is_err() && link.heard_ms() == heard_ms {
                            // Everything that still waits on it fails now and is decided elsewhere.
                            link.close();
                            return End::Silent;
                        }
                    }
                    _ = &mut connected.driver => return End::Lost,
                }
            }
            _ = clock.tick() => {
                let asked = Instant::now();
                let time = redis::cmd("TIME");
                tokio::select! {
                    answer = link.probe(&time, write_ms) => {
                        if let Some(us) = answer.ok().as_ref().and_then(connect::server_time) {
                            link.clock().set(us, asked, Instant::now());
                        }
                    }
                    _ = &mut connected.driver => return End::Lost,
                }
            }
        }
    }
}

impl Shared {
    /// A connection to the process that holds the member's data, by a user who may do what the ring needs.
    async fn connect(
        &self,
        target: &Target,
        options: &ConnectOptions,
        ticker: &Arc<Ticker>,
    ) -> Result<Connected, Unusable> {
        let connected = connect::connect(target, options.naming.known(), options, ticker).await?;
        let connected = self.admit(target, connected)?;
        let (gated, within) = (target.generation.is_some(), options.timeouts.connect);
        match self.access.check(&connected.link, &target.address, gated, within).await {
            Ok(()) => Ok(connected),
            Err(error) => {
                connected.link.close();
                let text = error.to_string();
                // Once, not at every attempt.
                let known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
                if known.as_ref().is_none_or(|known| known.to_string() != text) {
                    tracing::warn!(node = %self.id, why = text, hint = error.hint(), "is not used");
                }
                Err(error.into())
            }
        }
    }

    /// Accepts a connection only to the process that holds the member's data.
    fn admit(&self, target: &Target, connected: Connected) -> Result<Connected, Error> {
        let found = connected.link.run_id();
        let mut pinned = self.pinned.lock().unwrap_or_else(PoisonError::into_inner);
        match pinned.as_ref() {
            // The handshake has compared it with what the record says.
            _ if target.run_id.is_some() => Ok(connected),
            Some(expected) if expected != found => {
                connected.link.close();
                let message =
                    format!("{} at {} is another process than the one that holds its data", self.id, target.address);
                Err(Error::new(ErrorKind::Unreachable, message)
                    .with_hint("the server was restarted: call `trust` when its data is known to be right"))
            }
            Some(_) => Ok(connected),
            None => {
                *pinned = Some(found.clone());
                Ok(connected)
            }
        }
    }

    /// Has the server end the connection before this one, if it may still have it.
    ///
    /// What was sent there and not answered may lie in a socket on the way. It must not be executed after what will be
    /// sent on the new connection.
    async fn end_at_server(&self, last: &Link, link: &Link, options: &ConnectOptions) {
        if last.run_id() != link.run_id() || last.client_id() == 0 {
            return;
        }
        let mut kill = redis::cmd("CLIENT");
        kill.arg("KILL").arg("ID").arg(last.client_id());
        let ms = u64::try_from(options.timeouts.connect.as_millis()).unwrap_or(u64::MAX);
        match link.request(&kill, ms).await {
            Ok(redis::Value::ServerError(error)) => {
                tracing::warn!(
                    node = %self.id, code = error.code(),
                    "may not run CLIENT KILL: a write that was cut off may still arrive late"
                );
            }
            Ok(_) => {}
            Err(fault) => tracing::debug!(node = %self.id, %fault, "the connection before could not be ended"),
        }
    }

    /// Takes a connection into use, if the node is still to be connected to what it was made for.
    fn publish(&self, link: &Arc<Link>, target: &Target, targets: &watch::Receiver<Option<Target>>) -> bool {
        {
            // The target changes under the same lock.
            let current = targets.borrow();
            if current.as_ref() != Some(target) {
                return false;
            }
            self.link.store(Some(Arc::clone(link)));
        }
        tracing::debug!(node = %self.id, run_id = %link.run_id(), "connected");
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.met.store(true, Ordering::Relaxed);
        self.attempted();
        true
    }

    async fn rename(&self, link: &Link, step: Step, options: &ConnectOptions) {
        let Some(name) = options.naming.of_step(step) else { return };
        let ms = u64::try_from(options.timeouts.write.as_millis()).unwrap_or(u64::MAX);
        link.rename(step, &name, ms).await;
        tracing::debug!(node = %self.id, %step, "the connection has a new name");
    }

    /// What was missed, an older life of the data has missed. With fixed membership nobody knows of lives.
    fn begin_life(&self, target: Option<&Target>) {
        let mut life = self.life.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(target) = target
            && (target.generation.is_none() || target.generation != *life)
        {
            *life = target.generation;
            self.missed.store(false, Ordering::Relaxed);
        }
    }

    fn withdraw(&self, end: &End) {
        if let Some(link) = self.link.swap(None) {
            link.close();
        }
        match end {
            End::Lost => tracing::warn!(node = %self.id, "the connection was lost"),
            End::Silent => tracing::warn!(node = %self.id, "the server is silent, its connection is dropped"),
            End::Retargeted => tracing::debug!(node = %self.id, "disconnected"),
        }
        let why = match end {
            End::Lost => "closed the connection",
            End::Silent => "did not answer",
            End::Retargeted => "is being reached anew",
        };
        self.note(Error::new(ErrorKind::Unreachable, format!("{} {why}", self.id)));
        self.changed.notify_waiters();
    }

    fn note(&self, error: Error) {
        tracing::debug!(node = %self.id, %error, "not connected");
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    fn attempted(&self) {
        self.attempts.send_modify(|attempts| *attempts += 1);
        self.changed.notify_waiters();
    }
}
