//! The copying engine of a move: what a member gains is filled from one source, followed, and cut exactly.
//!
//! A [`Copier`] knows two servers and which keys are to be copied, and nothing of ZooKeeper, rings or phases. Each gained key
//! of the source is copied once, then each that changes is copied again, for as long as the copier lives. [`Copier::cut`]
//! ends that at one moment of the source: every write before it is in the copies, and every write after it has seen, inside
//! the same transaction, a gate that names the gainer, so that its writer sends it there itself.
//!
//! # What has to hold around it
//!
//! - The target has no other writer of these keys until the cut, and from the cut on only those whom the gate has named.
//! - No client that does not ask the gate writes at the source any more when the cut is made (the barrier of `syncing`).
//! - One copier is one filling. After a cut that was void and [seen](Void::seen), after a new step, or with other keys to
//!   gain, drop it and start another: it looks at every key again. What the target has by then is only compared, not lost.
//!
//! # Memory
//!
//! [`Limits::dirty_bytes`] for the names of changed keys, as much for those of streams, and about eight times [`Limits::batch_bytes`] plus
//! [`Limits::large_bytes`] for values on their way, whatever the servers hold.

mod compare;
mod cut;
mod dirty;
mod engine;
mod find;
mod hold;
mod large;
mod pace;
mod source;
mod streams;
mod target;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use dirty::Dirty;
use engine::{Engine, Request};

use super::options::AgentOptions;
use super::server::Connector;
use crate::Result;
use crate::membership::Address;
use crate::placement::NodeId;

/// Which keys are copied: those that the target gains and whose write primary is this source. It is called for every key
/// of both servers and for every change at the source, by the task that moves the connection's bytes, so it must be fast.
/// The ring's own keys (`__rr:…`) are never copied, whatever it says.
pub type Gains = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// One of the two servers.
#[derive(Clone)]
pub struct Endpoint {
    connector: Connector,
    address: Address,
    name: String,
    db: i64,
    run_id: Option<String>,
}

impl Endpoint {
    /// A server as this agent reaches it; its connections there have this name. Only names that begin with `rr-agent:`
    /// are spared by a barrier.
    ///
    /// # Errors
    /// `Invalid` where certificates cannot be used.
    pub fn new(options: &AgentOptions, address: Address, name: impl Into<String>) -> Result<Endpoint> {
        Ok(Endpoint { connector: Connector::new(options)?, address, name: name.into(), db: 0, run_id: None })
    }

    /// As [`Endpoint::new`], with what is there to connect with: reading the system's certificates takes a moment.
    pub(in super::super) fn with_connector(
        connector: Connector,
        address: Address,
        name: impl Into<String>,
    ) -> Endpoint {
        Endpoint { connector, address, name: name.into(), db: 0, run_id: None }
    }

    /// In this database of the server, instead of 0.
    #[must_use]
    pub fn with_db(mut self, db: i64) -> Endpoint {
        self.db = db;
        self
    }

    /// Only this process counts. Another one that answers at the address has other data, and ends the copier
    /// ([`Ended::Replaced`]). Without it the process that answers first is the one.
    #[must_use]
    pub fn with_run_id(mut self, run_id: impl Into<String>) -> Endpoint {
        self.run_id = Some(run_id.into());
        self
    }
}

/// What a copier may take. The defaults are for servers that serve meanwhile.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Keys in one question to the source, which holds it up for some microseconds for each.
    pub batch_keys: usize,
    /// Bytes of values in one answer of the source.
    pub batch_bytes: usize,
    /// A key that takes more memory than this is copied piece by piece.
    pub large_bytes: u64,
    /// Bytes of one piece of a large key, as far as the average of its elements tells.
    pub piece_bytes: u64,
    /// Elements in one piece of a large key.
    pub piece_elements: u64,
    /// For the names of keys that changed and were not yet copied again: beyond it all keys are looked at again. As much again
    /// for the names of streams, some 160 bytes each: a source that has more of them is refused.
    pub dirty_bytes: usize,
    /// The most keys in a second; no limit by default.
    pub keys_per_second: Option<u64>,
    /// The most bytes of values in a second; no limit by default.
    pub bytes_per_second: Option<u64>,
    /// A source that takes longer to answer a PING is given pauses.
    pub latency: Duration,
    /// How long a server may say nothing until it counts as lost.
    pub patience: Duration,
    /// What is left out, to see the tests that guard it turn red.
    #[doc(hidden)]
    pub without: Without,
}

/// An ingredient of a copier that is left out, in builds with `debug_assertions` alone.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Without {
    /// None is.
    #[default]
    Nothing,
    /// What the source has told is not read to its end before the rest is copied.
    Drain,
    /// Writers are not held up.
    Pause,
    /// A key counts as copied from when its value has been read, not from before.
    Order,
    /// Keys that only the target has stay.
    Strays,
    /// Streams are not compared in the pause.
    Signatures,
}

impl Limits {
    fn lack(&self, what: Without) -> bool {
        cfg!(debug_assertions) && self.without == what
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            batch_keys: 128,
            batch_bytes: 1 << 20,
            large_bytes: 1 << 20,
            piece_bytes: 256 << 10,
            piece_elements: 1000,
            dirty_bytes: 64 << 20,
            keys_per_second: None,
            bytes_per_second: None,
            latency: Duration::from_millis(20),
            patience: Duration::from_secs(5),
            without: Without::Nothing,
        }
    }
}

/// How far a copier is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It looks at all keys, or is far behind the changes. Also while it tries to reach the source again: what happens in
    /// between is in [`Progress`].
    Filling,
    /// All keys are copied but for those that changed a moment ago. It may become `Filling` again.
    CaughtUp,
    /// The cut was made: nothing is copied any more.
    Cut,
    /// It cannot go on, and does nothing any more.
    Ended(Ended),
}

/// Why a copier has ended. The texts hold no key, no value and no credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The source was flushed: what it had is nowhere but at its other copies. The target may lack keys too.
    Flushed,
    /// Another process answers at the source's address, or it has become a replica.
    Replaced,
    /// The source refuses what a copier needs: no such command, no leave, no RESP3.
    Refused(String),
    /// The target was lost, or is another process now.
    TargetLost(String),
    /// The target refuses a key: out of memory, or older than the source.
    TargetRefused(String),
    /// A cut was void after writers may have seen that it was there: see [`Void::seen`].
    Void,
}

/// How much is done. All counts begin anew when the source has to be looked at again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Gained keys that were copied by looking at all keys.
    pub keys_done: u64,
    /// An estimate of all of them.
    pub keys_total: u64,
    /// Keys that were copied again since they changed, each time counted.
    pub recopied: u64,
    /// Bytes of values written to the target.
    pub bytes: u64,
    /// Keys that changed and are not yet copied again.
    pub dirty: u64,
    /// Keys per second, over about the last second.
    pub rate: f64,
    /// How often all keys had to be looked at again: the source was lost, or too many keys changed at once.
    pub restarts: u64,
    /// What stands in the way now, for people.
    pub trouble: Option<String>,
}

/// A cut that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// How long writers at the source were held up.
    pub paused: Duration,
    /// Keys that were copied meanwhile.
    pub keys: u64,
}

/// Why there is no cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CutError {
    /// Too much is not copied yet, or another gainer holds the source's lock. Nothing has happened: try again.
    NotYet(String),
    /// It was begun and is void; the gate does not name the gainer.
    Void(Void),
    /// The copier has ended.
    Ended(Ended),
}

/// A cut that is void.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Void {
    /// For people.
    pub reason: String,
    /// Whether a writer may have seen the gate name the gainer, and so may have sent it a write that comes in no order with
    /// the copies. If not, the copier follows on and may be asked again within the same step. If so, it has
    /// [ended](Ended::Void): the mover goes back to `filling`, whose barrier sees to it that no such write comes any more,
    /// and starts another copier.
    pub seen: bool,
    /// How long the next try may hold up writers.
    pub pause: Duration,
}

/// How long a first try may hold up the source's writers, and the last one: clients give a write two seconds.
pub const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(1));

/// Copies what one member gains from one source, until it is dropped.
pub struct Copier {
    state: watch::Receiver<State>,
    progress: watch::Receiver<Progress>,
    requests: mpsc::Sender<Request>,
    dirty: Arc<Dirty>,
    task: AbortHandle,
}

impl Drop for Copier {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Copier {
    /// Begins to copy. It connects, and connects again, by itself. It must be called within a tokio runtime.
    #[must_use]
    pub fn start(source: Endpoint, target: Endpoint, gains: Gains, limits: Limits) -> Copier {
        let dirty = Dirty::new(gains, limits.dirty_bytes);
        let (state_sender, state) = watch::channel(State::Filling);
        let (progress_sender, progress) = watch::channel(Progress::default());
        // One cut at a time; a second one waits for its turn.
        let (requests, received) = mpsc::channel(1);
        let engine = Engine {
            source,
            target,
            dirty: Arc::clone(&dirty),
            limits,
            state: state_sender,
            progress: progress_sender,
            requests: received,
        };
        let task = tokio::spawn(engine.run()).abort_handle();
        Copier { state, progress, requests, dirty, task }
    }

    /// How far it is, and each change of that.
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// How much is done now. It is at most a tenth of a second old.
    pub fn progress(&self) -> Progress {
        self.progress.borrow().clone()
    }

    /// Makes the exact cut at the source, for this step and this gainer, and ends following.
    ///
    /// Writers at the source are held up for as long as what has changed last is copied, and for `pause` at most, or longer
    /// where a large key is known to take longer; where it takes too long for any pause, none is made. It begins with the first of [`PAUSES`]; each try that was void says how
    /// long the next one may take, up to the second. All of it takes some seconds at most. A source that is over its
    /// `maxmemory` cannot be cut: its own agent makes room.
    ///
    /// # Errors
    /// [`CutError`] says what has happened, and what may be done next.
    ///
    /// # Cancel safety
    /// Dropping the future takes the cut back: the gate does not name the gainer soon afterwards, and the copier has ended
    /// with [`Ended::Void`], as if it had been [seen](Void::seen). That is tried for a second.
    pub async fn cut(&self, step: u64, member: &NodeId, pause: Duration) -> Result<Cut, CutError> {
        let (reply, answer) = oneshot::channel();
        let request = Request { step, member: member.clone(), pause, reply };
        if self.requests.send(request).await.is_ok() {
            self.dirty.news.notify_one();
            if let Ok(made) = answer.await {
                return made;
            }
        }
        // The task is gone, and has said why.
        Err(match &*self.state.borrow() {
            State::Ended(ended) => CutError::Ended(ended.clone()),
            State::Filling | State::CaughtUp | State::Cut => CutError::NotYet("the copier has ended".to_owned()),
        })
    }
}
