//! Follows the ring: an event means "read again", and whatever happens to ZooKeeper, the last topology stays.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::FutureExt as _;
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use zookeeper_client as zk;

use super::backoff::Backoff;
use super::read::{Cache, ReadError, Watches, read, sync};
use super::session::{Session, Target};
use crate::membership::arbiter::{Arbiter, Call, Desk, Fence, Fenced};
use crate::membership::fence::{Judged, Words, judge};
use crate::membership::snapshot::Snapshot;
use crate::membership::store::{Changed, change};
use crate::membership::{Hints, Source, View};
use crate::placement::{Config, Epoch, Topology};
use crate::{Error, ErrorKind, Result};

/// Reads the ring again and again; owned by the task that runs [`Follower::run`].
pub(crate) struct Follower {
    target: Target,
    /// `None` while there is no session.
    session: Option<Session>,
    state: Option<zk::StateWatcher>,
    cache: Mutex<Cache>,
    watches: Watches,
    shown: Shown,
    desk: Desk,
    hints: Arc<Hints>,
    /// Whether somebody has asked for a read, and when the next of those may begin.
    asked: bool,
    not_before: Instant,
}

/// What the current view was built from.
struct Shown {
    founded_at: i64,
    epoch: Epoch,
    config: Config,
}

/// Opens the ring: the first snapshot that clients can use, and the task's work from then on.
///
/// # Errors
/// As [`crate::membership::Membership::open`].
pub(crate) async fn open(target: Target, refresh: Arc<Notify>, hints: Arc<Hints>) -> Result<(Arbiter, Follower)> {
    let deadline = Instant::now() + target.options.open_timeout;
    let mut session = target.connect(deadline).await?;
    let mut cache = Cache::default();
    let mut watches = Watches::default();
    let snapshot = loop {
        let problem = match first(&session, &mut cache, &mut watches, deadline).await {
            Ok(snapshot) => match snapshot.usable() {
                Ok(()) => break snapshot,
                Err(error) if error.kind() != ErrorKind::Founding => return Err(error),
                Err(error) => error,
            },
            Err(ReadError::Lasting(error)) => return Err(error),
            Err(ReadError::Transient(error)) => {
                watches = Watches::default();
                error
            }
        };
        // Founding goes on by itself, and so does what ZooKeeper did not answer.
        let changed = async {
            match watches.ring.take() {
                Some(changed) => drop(changed.await),
                None => tokio::time::sleep(RETRY_FIRST).await,
            }
        };
        if timeout_at(deadline, changed).await.is_err() || Instant::now() >= deadline {
            return Err(problem);
        }
        if session.ended() {
            (watches, session) = (Watches::default(), target.connect(deadline).await?);
        }
    };
    let topology = build(snapshot.clone(), None).await?;
    let view = View { topology: Arc::new(topology), source: Source::Live };
    let (arbiter, desk) = Arbiter::new(view, refresh);
    let shown = Shown::of(&snapshot);
    let state = Some(session.client().state_watcher());
    let (session, cache) = (Some(session), Mutex::new(cache));
    let not_before = Instant::now();
    Ok((arbiter, Follower { target, session, state, cache, watches, shown, desk, hints, asked: false, not_before }))
}

async fn first(
    session: &Session,
    cache: &mut Cache,
    watches: &mut Watches,
    deadline: Instant,
) -> Result<Snapshot, ReadError> {
    let read = async {
        // The server may be behind its leader, and this is the first that this process sees of the ring.
        sync(session).await?;
        read(session, cache, Some(watches)).await
    };
    timeout_at(deadline, read).await.unwrap_or_else(|_| {
        let error = Error::new(ErrorKind::Unreachable, "ZooKeeper did not answer within the time to open the ring");
        Err(ReadError::Transient(error))
    })
}

/// Sorting the points of a large ring takes long enough to hold up everything else on this thread.
async fn build(snapshot: Snapshot, older: Option<Arc<View>>) -> Result<Topology> {
    let build = move || match older {
        Some(older) => snapshot.topology_after(&older.topology),
        None => snapshot.topology(),
    };
    match tokio::task::spawn_blocking(build).await {
        Ok(topology) => topology,
        Err(why) => Err(Error::new(ErrorKind::Membership, "the topology could not be built").with_source(why)),
    }
}

const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LONGEST: Duration = Duration::from_secs(5);
/// Reads that are asked for take one part in so many of the time, within these bounds: where replies differ all the time,
/// somebody asks all the time, and whoever asks waits. A ZooKeeper that is busy answers later, and so is asked less.
const READING: u32 = 10;
const READ_EVERY: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(50));
/// How long a fence is tried: as long as somebody waits for it, within these bounds. Nothing else is followed meanwhile.
const FENCING: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// Why to read again.
enum Trigger {
    /// A watch fired, or the time to retry has come.
    Changed,
    /// Somebody doubts that the view is the newest.
    Asked,
    /// A member is to be taken out.
    Fence(Box<Call>),
    /// A server keeps newer records.
    Offered(Box<Snapshot>),
    /// The session's state changed.
    State(zk::SessionState),
}

impl Follower {
    /// Follows until it is dropped.
    pub(crate) async fn run(mut self) {
        let mut retry = Backoff::new(RETRY_FIRST, RETRY_LONGEST);
        let mut retry_at = None;
        if self.session.as_ref().is_some_and(|session| session.client().state() == zk::SessionState::Disconnected) {
            // Lost since the first read; the state's watcher tells only of changes from now on.
            self.show_stale();
        }
        loop {
            let trigger = match &self.session {
                None => self.reconnect().await,
                Some(_) => self.wait(retry_at).await,
            };
            let catch_up = match trigger {
                Trigger::State(state) if state.is_terminated() => {
                    tracing::warn!(%state, root = %self.target.root, "the session with ZooKeeper has ended");
                    self.show_stale();
                    (self.session, self.state, self.watches) = (None, None, Watches::default());
                    continue;
                }
                Trigger::State(zk::SessionState::Disconnected) => {
                    tracing::warn!(root = %self.target.root, "ZooKeeper is lost; the last topology keeps serving");
                    self.show_stale();
                    retry_at = None;
                    continue;
                }
                Trigger::State(_) => true,
                Trigger::Fence(call) => {
                    self.fence(*call).await;
                    continue;
                }
                Trigger::Offered(snapshot) => {
                    self.take_over(*snapshot).await;
                    continue;
                }
                Trigger::Asked => {
                    self.asked = false;
                    true
                }
                Trigger::Changed => false,
            };
            let began = Instant::now();
            // Calls wait while ZooKeeper is away, and a server may know more.
            let newer = newer(Arc::clone(&self.hints), self.shown.founded_at, self.shown.epoch);
            let updated = tokio::select! {
                biased;
                updated = self.update(catch_up) => updated,
                snapshot = newer => {
                    self.take_over(snapshot).await;
                    // There is a read that has not come to its end.
                    self.asked = true;
                    continue;
                }
            };
            if catch_up {
                self.not_before = Instant::now() + (began.elapsed() * READING).clamp(READ_EVERY.0, READ_EVERY.1);
            }
            retry_at = match updated {
                Ok(()) => {
                    retry.reset();
                    None
                }
                Err(ReadError::Transient(error)) => {
                    tracing::warn!(%error, root = %self.target.root, "the ring cannot be read now");
                    self.show_stale();
                    Some(Instant::now() + retry.next())
                }
                Err(ReadError::Lasting(error)) => {
                    tracing::warn!(
                        %error, hint = error.hint(), root = %self.target.root,
                        "the ring cannot be used; the last topology keeps serving"
                    );
                    self.show_stale();
                    // The watches tell when somebody repairs it. A right that is given back fires none.
                    Some(Instant::now() + RETRY_LONGEST)
                }
            };
        }
    }

    /// Waits until there is a reason to read again.
    async fn wait(&mut self, retry_at: Option<Instant>) -> Trigger {
        let Follower { state, watches, desk, asked, not_before, hints, shown, .. } = self;
        let newer = newer(Arc::clone(hints), shown.founded_at, shown.epoch);
        let state = async {
            match state {
                Some(state) => state.changed().await,
                None => std::future::pending().await,
            }
        };
        let retry = async {
            match retry_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let Watches { ring, config } = watches;
        let Desk { refresh, calls, .. } = desk;
        // That somebody has asked is kept, also when something else comes first.
        let reading = async {
            if !*asked {
                refresh.notified().await;
                *asked = true;
            }
            sleep_until(*not_before).await;
            // Whoever asked meanwhile is answered by the same read.
            let _ = refresh.notified().now_or_never();
        };
        let fencing = async {
            match calls.recv().await {
                Some(call) => call,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // The end of a session fires its watches as well: what to do about it is decided first.
            biased;
            state = state => Trigger::State(state),
            () = fired(ring) => Trigger::Changed,
            () = fired(config) => Trigger::Changed,
            call = fencing => Trigger::Fence(Box::new(call)),
            snapshot = newer => Trigger::Offered(Box::new(snapshot)),
            () = reading => Trigger::Asked,
            () = retry => Trigger::Changed,
        }
    }

    /// Opens a new session, for as long as it takes, unless a server knows more meanwhile.
    async fn reconnect(&mut self) -> Trigger {
        let target = self.target.clone();
        let connecting = async {
            let mut backoff = Backoff::new(RETRY_FIRST, RETRY_LONGEST);
            loop {
                match target.connect_once().await {
                    Ok(session) => return session,
                    Err(error) => tracing::debug!(%error, "ZooKeeper is still lost"),
                }
                tokio::time::sleep(backoff.next()).await;
            }
        };
        tokio::select! {
            biased;
            session = connecting => {
                tracing::info!(root = %self.target.root, "a new session with ZooKeeper");
                self.state = Some(session.client().state_watcher());
                self.session = Some(session);
                Trigger::Asked
            }
            snapshot = newer(Arc::clone(&self.hints), self.shown.founded_at, self.shown.epoch) => {
                Trigger::Offered(Box::new(snapshot))
            }
        }
    }

    /// Publishes the ring that a server keeps. Whether changes are seen is another question.
    async fn take_over(&mut self, snapshot: Snapshot) {
        let older = self.desk.views.borrow().clone();
        let shown = Shown::of(&snapshot);
        let built = match snapshot.usable() {
            Ok(()) => build(snapshot, Some(Arc::clone(&older))).await,
            Err(error) => Err(error),
        };
        match built {
            Ok(topology) => {
                tracing::info!(
                    epoch = %topology.epoch(), step = %topology.step(), phase = %topology.phase(),
                    root = %self.target.root, "a new topology, as a server keeps it"
                );
                self.shown = shown;
                let view = View { topology: Arc::new(topology), source: older.source };
                self.desk.views.send_replace(Arc::new(view));
            }
            Err(error) => tracing::warn!(%error, "a server keeps records of the ring that cannot be used"),
        }
    }

    /// Takes a member out, and publishes the ring without it before it says so.
    async fn fence(&mut self, call: Call) {
        let Call { fence, limit, done } = call;
        // Whoever asked has given up, and has said so to its own caller.
        if done.is_closed() {
            return;
        }
        let answer = match timeout(limit.clamp(FENCING.0, FENCING.1), self.fenced(&fence)).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::new(ErrorKind::Unreachable, "ZooKeeper did not answer in time")),
        };
        let _ = done.send(answer);
    }

    async fn fenced(&mut self, fence: &Fence) -> Result<Fenced> {
        let Some(session) = &self.session else {
            return Err(Error::new(ErrorKind::Unreachable, "there is no session with ZooKeeper"));
        };
        let mut forbidden = None;
        let changed = change(session, &self.cache, |snapshot| {
            forbidden = None;
            let words = Words { reason: &fence.reason, by: &fence.by, now_ms: unix_ms() };
            match judge(snapshot, &fence.id, Some(fence.generation), words)? {
                Judged::Fence(change) => Ok(Some(*change)),
                Judged::Out => Ok(None),
                Judged::Forbidden(guard) => {
                    forbidden = Some(guard);
                    Ok(None)
                }
            }
        });
        let changed = changed.await?;
        // The same session never sees less than what it has changed.
        self.update(false).await.map_err(ReadError::into_error)?;
        match forbidden {
            Some(guard) => {
                tracing::warn!(member = %fence.id, guard, "a member that misses writes is not fenced");
                Ok(Fenced::Forbidden(guard))
            }
            None => {
                if let Changed::Made(epoch) = changed {
                    tracing::warn!(member = %fence.id, %epoch, reason = %fence.reason, "fenced");
                }
                Ok(Fenced::Out)
            }
        }
    }

    /// Reads the ring and publishes what is new.
    async fn update(&mut self, catch_up: bool) -> std::result::Result<(), ReadError> {
        let number = self.desk.reads.borrow().begun + u64::from(catch_up);
        if catch_up {
            self.desk.reads.send_modify(|reads| reads.begun = number);
        }
        self.look(catch_up).await?;
        if catch_up {
            self.desk.reads.send_modify(|reads| reads.done = number);
        }
        Ok(())
    }

    async fn look(&mut self, catch_up: bool) -> std::result::Result<(), ReadError> {
        let Some(session) = &self.session else { return Ok(()) };
        if catch_up {
            sync(session).await?;
        }
        let cache = self.cache.get_mut();
        let mut snapshot = read(session, cache, Some(&mut self.watches)).await?;
        if self.shown.is_newer_than(&snapshot) {
            // A server that is behind: going back would unfence a member.
            sync(session).await?;
            snapshot = read(session, cache, Some(&mut self.watches)).await?;
            if self.shown.is_newer_than(&snapshot) {
                let message = "ZooKeeper shows an older ring than before";
                return Err(ReadError::Transient(Error::new(ErrorKind::Membership, message)));
            }
        }
        snapshot.usable().map_err(ReadError::Lasting)?;
        for (id, entry) in &snapshot.members {
            if let Err(fault) = &entry.record {
                tracing::warn!(member = %id, fault, "a member's record cannot be used: it counts as down");
            }
        }
        let shown = Shown::of(&snapshot);
        if self.shown.same(&shown) {
            self.show_live();
            return Ok(());
        }
        let older = self.desk.views.borrow().clone();
        let topology = build(snapshot, Some(older)).await.map_err(ReadError::Lasting)?;
        tracing::info!(
            epoch = %topology.epoch(), step = %topology.step(), phase = %topology.phase(),
            fingerprint = %topology.fingerprint(), root = %self.target.root, "a new topology"
        );
        self.shown = shown;
        let view = View { topology: Arc::new(topology), source: Source::Live };
        self.desk.views.send_replace(Arc::new(view));
        Ok(())
    }

    fn show_stale(&self) {
        self.desk.views.send_if_modified(|view| match view.source {
            Source::Stale { .. } => false,
            Source::Live => {
                let source = Source::Stale { since: Instant::now() };
                *view = Arc::new(View { topology: view.topology.clone(), source });
                true
            }
        });
    }

    fn show_live(&self) {
        self.desk.views.send_if_modified(|view| match view.source {
            Source::Live => false,
            Source::Stale { .. } => {
                *view = Arc::new(View { topology: view.topology.clone(), source: Source::Live });
                true
            }
        });
    }
}

/// Waits for records that a server keeps and that are newer than these. Others tell nothing: an epoch counts only within
/// one founding. Cancel safe.
async fn newer(hints: Arc<Hints>, founded_at: i64, epoch: Epoch) -> Snapshot {
    loop {
        match Snapshot::from_json(&hints.offered().await) {
            Ok(snapshot) if snapshot.founded_at == founded_at && snapshot.epoch > epoch => return snapshot,
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "a server keeps something else than the ring's records"),
        }
    }
}

/// Resolves when the watch fires, and forgets it then. Pending without one.
async fn fired(watch: &mut Option<super::read::Watch>) {
    match watch {
        Some(changed) => {
            changed.await;
            *watch = None;
        }
        None => std::future::pending().await,
    }
}

/// For people.
fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

impl Shown {
    fn of(snapshot: &Snapshot) -> Shown {
        Shown { founded_at: snapshot.founded_at, epoch: snapshot.epoch, config: snapshot.config.config() }
    }

    fn same(&self, other: &Shown) -> bool {
        self.founded_at == other.founded_at && self.epoch == other.epoch && self.config == other.config
    }

    /// Only epochs of one founding can be compared.
    fn is_newer_than(&self, snapshot: &Snapshot) -> bool {
        self.founded_at == snapshot.founded_at && self.epoch > snapshot.epoch
    }
}
