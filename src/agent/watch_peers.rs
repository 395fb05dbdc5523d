//! Looks after peers whose agents are gone.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::health::Health;
use super::peers::{ABANDONED, REASON, absent, answers, fence, is_cut_off};
use super::record::Author;
use super::server::Connector;
use super::unix_ms;
use crate::Result;
use crate::membership::{Changed, Store};
use crate::placement::{NodeId, Phase, State};

/// What looking after peers needs.
#[derive(Clone)]
pub(super) struct PeerWatch {
    pub(super) me: NodeId,
    pub(super) connector: Connector,
    /// The name of connections that only look.
    pub(super) look: String,
    pub(super) by: String,
    pub(super) health: watch::Receiver<Health>,
}

/// An agent that is gone while its server answers is looked after ever more rarely.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// Events are what counts; this is for what an event could not tell.
const ANYWAY: Duration = Duration::from_secs(30);
/// The agents of a ring see an absence in the same moment.
const SPREAD_MS: u64 = 100;
/// How long a member that is being filled may be without its agent: about as long as one takes that is started again.
const ABANDONED_AFTER: Duration = Duration::from_secs(5);

/// Lives of members that are being filled and whose agents are gone, and since when.
type Abandoned = BTreeMap<(NodeId, u64), Instant>;

impl PeerWatch {
    /// Watches for as long as it is polled.
    pub(super) async fn run(self, store: &Store) -> std::convert::Infallible {
        let mut pause = AGAIN.0;
        let mut abandoned = Abandoned::new();
        loop {
            let (changed, missing) = match self.round(store, &mut abandoned).await {
                Ok((changed, missing)) => (Some(changed), missing),
                Err(error) => {
                    tracing::debug!(%error, "peers cannot be looked after now");
                    (None, true)
                }
            };
            let wait = if missing { pause.mul_f64(0.5 + fastrand::f64() / 2.0) } else { ANYWAY };
            let due = abandoned.values().map(|since| ABANDONED_AFTER.saturating_sub(since.elapsed())).min();
            let wait = due.map_or(wait, |due| wait.min(due.max(AGAIN.0)));
            let changed = async {
                match changed {
                    Some(changed) => changed.await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = changed => pause = AGAIN.0,
                () = sleep(wait) => pause = (pause * 2).min(AGAIN.1),
            }
        }
    }

    /// Looks once. Returns what tells of the next change, and whether somebody is missing.
    async fn round(
        &self,
        store: &Store,
        abandoned: &mut Abandoned,
    ) -> Result<(impl Future<Output = ()> + use<>, bool)> {
        let (live, changed) = store.watch_live().await?;
        let snapshot = store.snapshot().await?;
        // Who is not well itself, or not seen by ZooKeeper, does not judge others.
        let well = matches!(*self.health.borrow(), Health::Answers(_)) && live.contains(&self.me);
        let founded = !matches!(snapshot.phase()?, Phase::Founding { .. });
        let suspects: Vec<NodeId> = absent(&snapshot, &self.me, &live).filter(|_| well && founded).collect();
        let joining = |id: &NodeId| {
            let record = snapshot.member(id).filter(|record| record.state() == State::Joining)?;
            Some((id.clone(), record.generation))
        };
        let lives: Vec<(NodeId, u64)> = suspects.iter().filter_map(joining).collect();
        abandoned.retain(|life, _| lives.contains(life));
        for life in lives {
            abandoned.entry(life).or_insert_with(Instant::now);
        }
        for suspect in &suspects {
            sleep(Duration::from_millis(fastrand::u64(0..SPREAD_MS))).await;
            self.look_after(store, suspect, abandoned).await?;
        }
        Ok((changed, !suspects.is_empty()))
    }

    async fn look_after(&self, store: &Store, suspect: &NodeId, abandoned: &Abandoned) -> Result<()> {
        let snapshot = store.snapshot().await?;
        let Some(record) = snapshot.member(suspect) else { return Ok(()) };
        let since = abandoned.get(&(suspect.clone(), record.generation));
        let is_abandoned = since.is_some_and(|since| since.elapsed() >= ABANDONED_AFTER);
        let answers = answers(&self.connector, record, &self.look).await;
        if answers && !is_abandoned {
            return Ok(());
        }
        let reason = if answers { ABANDONED } else { REASON };
        if !answers && is_cut_off(&self.connector, &snapshot, &self.me, suspect, &self.look).await {
            tracing::warn!(member = %suspect, "most members cannot be reached from here: nobody is fenced");
            return Ok(());
        }
        if store.live_of(suspect).await?.is_some() {
            return Ok(());
        }
        let addr = record.addr.clone();
        let author = Author { addr: &addr, by: &self.by, now_ms: unix_ms() };
        let changed = store.change(|snapshot| fence(snapshot, suspect, record, reason, author));
        if let Changed::Made(epoch) = changed.await? {
            tracing::warn!(member = %suspect, %epoch, reason, "a peer is down");
        }
        Ok(())
    }
}
