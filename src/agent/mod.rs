//! The process beside each Redis server: it registers the member, watches its health, and keeps its record right.
//!
//! An agent compares what ZooKeeper says of its member with what it sees of its server, after every change of either,
//! and writes what differs. So it does not matter what happened while it, its server or ZooKeeper was away.

mod access;
mod claim;
#[doc(hidden)]
pub mod fill;
mod flushes;
mod founding;
mod gate;
mod health;
mod info;
mod lacks;
mod moving;
mod options;
mod peers;
mod reconcile;
mod record;
mod returns;
mod room;
mod server;
mod suspects;
mod watch_peers;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use options::{AgentOptions, Credentials, ExistingKeys, HealthOptions};

use crate::Result;
use crate::membership::Store;
use claim::Claim;
use gate::Gatekeeper;
use moving::{Filling, Lead};
use reconcile::Reconciler;
use returns::Returns;
use server::Connector;
use suspects::Suspects;
use watch_peers::PeerWatch;

/// The agent of one member.
#[derive(Debug)]
pub struct Agent(());

impl Agent {
    /// Runs the agent of one member until `shutdown` resolves. Then its ephemeral node and its session are ended
    /// cleanly, and the member's record stays as it is: its server still serves.
    ///
    /// It takes part in the founding of the ring, or takes its member over from an agent that is gone. While its
    /// server is dead or hangs, the member is `down`; a server that is back is `joining` with a new generation, never
    /// straight `up`. ZooKeeper may go away for as long as it likes: the ring stays as it is, and what has happened
    /// meanwhile is written when it is back. A server that does not answer yet is waited for.
    ///
    /// # Errors
    /// - `Unreachable`: ZooKeeper did not answer within the time to open it.
    /// - `NotFounded`, `Membership`: there is no ring to be an agent of.
    /// - `Refused`, `Conflict`: the server or the id is not fit for a member, the ring is founded without it, or
    ///   another agent of this member lives. The text says which, and the hint what to do.
    /// - `Denied`: a user or a password, of ZooKeeper or of Redis, is missing or wrong.
    /// - `Invalid`: options that cannot be used.
    ///
    /// Once it serves its member, only another agent that takes the member away ends it.
    ///
    /// # Cancel safety
    /// Dropping the future ends the session in the background; the member's record stays as it is.
    pub async fn run(options: AgentOptions, shutdown: impl Future<Output = ()>) -> Result<()> {
        let connector = Connector::new(&options)?;
        let claim = Claim::new(options.id.clone(), options.redis.clone(), options.announced().clone());
        let process = format!("{}:{}", host(), std::process::id());
        let within = options.health.connect;
        let gate = Gatekeeper::new(connector.clone(), options.redis.clone(), &options.id, within);
        let (server, doors) = (options.redis.clone(), gate.doors.clone());
        let health = health::watch(connector.clone(), server, claim.name.clone(), options.health, doors);
        let peers = PeerWatch {
            me: options.id.clone(),
            connector: connector.clone(),
            look: claim.look.clone(),
            by: format!("agent {process}"),
            health: health.seen.clone(),
        };
        let (agent, by) = (format!("{process} {}", env!("CARGO_PKG_VERSION")), peers.by.clone());
        let lead = moving::lead(&options, &connector, &agent, &by);
        let (filling, sync) = moving::filling(&options, &connector);
        let mut suspects = Suspects::new(options.clone(), connector.clone(), gate.doors.subscribe());
        let reconciler = Reconciler {
            connector,
            claim,
            health,
            gate,
            sync,
            agent,
            by: Arc::from(by.as_str()),
            addr: Arc::from(options.announced().to_string()),
            returns: Returns::default(),
            flushes: flushes::Flushes::default(),
            warned: None,
            asked: None,
            hung: None,
            options,
        };
        tokio::select! {
            ended = sessions(Parts { reconciler, peers, lead, filling }, shutdown) => ended,
            never = suspects.run() => match never {},
        }
    }
}

/// What works side by side in each session.
struct Parts {
    reconciler: Reconciler,
    peers: PeerWatch,
    lead: Lead,
    filling: Filling,
}

/// Works in one session after another.
async fn sessions(parts: Parts, shutdown: impl Future<Output = ()>) -> Result<()> {
    let Parts { mut reconciler, peers, mut lead, mut filling } = parts;
    let options = reconciler.options.clone();
    let mut shutdown = std::pin::pin!(shutdown);
    let mut store = tokio::select! {
        store = Store::open(&options.ring, &options.membership) => store?,
        () = &mut shutdown => return Ok(()),
    };
    loop {
        let ended = tokio::select! {
            served = reconciler.serve(&store) => served,
            never = peers.clone().run(&store) => match never {},
            never = lead.run(&store) => match never {},
            never = filling.run(&store) => match never {},
            () = &mut shutdown => {
                tracing::info!(member = %options.id, "the agent ends; its member stays as it is");
                store.close().await;
                return Ok(());
            }
        };
        if let Err(error) = ended {
            store.close().await;
            return Err(error);
        }
        tracing::warn!(member = %options.id, "the session with ZooKeeper has ended; the ring stays as it is");
        drop(store);
        store = loop {
            tokio::select! {
                opened = Store::open(&options.ring, &options.membership) => match opened {
                    Ok(store) => break store,
                    Err(error) => tracing::warn!(%error, member = %options.id, "ZooKeeper is still away"),
                },
                () = &mut shutdown => return Ok(()),
            }
            tokio::select! {
                () = tokio::time::sleep(AGAIN.mul_f64(0.5 + fastrand::f64())) => {}
                () = &mut shutdown => return Ok(()),
            }
        };
    }
}

/// Between two tries to open a session, each of which has its own pauses.
const AGAIN: Duration = Duration::from_millis(200);

/// For people: never compared between machines.
fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// This machine's name, for people.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = name.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| !c.is_control()).take(64).collect();
    if name.is_empty() { "localhost".to_owned() } else { name }
}
