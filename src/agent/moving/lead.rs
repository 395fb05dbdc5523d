//! Leads the moves of the ring, if nobody else does.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use futures_util::future::{join_all, select_all};
use tokio::time::{Instant, sleep, timeout};

use super::super::record::Author;
use super::super::unix_ms;
use super::barrier::Barrier;
use super::plan::{Next, Seen, next};
use crate::Result;
use crate::membership::records::{LeadRecord, SyncRecord};
use crate::membership::{Change, Changed, Snapshot, Store};
use crate::placement::{NodeId, Phase, Topology};

/// One agent's part in leading, over all its sessions. Everything that is decided is decided from the records.
pub(in super::super) struct Lead {
    me: LeadRecord,
    by: String,
    barrier: Barrier,
    /// The last topology that was built, whose rings the next one may take over.
    topology: Option<Topology>,
    progress: Progress,
}

/// When something last went forward, by this process's clock.
struct Progress {
    epoch: i32,
    reports: BTreeMap<NodeId, SyncRecord>,
    since: Instant,
}

/// What of a report tells that its agent comes further. What is copied while the cuts are made tells nothing: writers keep
/// an agent busy that never gets to its cut.
fn essence(report: &SyncRecord, phase: Phase) -> SyncRecord {
    let SyncRecord { step, generation, void, .. } = *report;
    let (caught_up, done) = match phase {
        Phase::Filling => (report.caught_up, report.done),
        Phase::Founding { .. } | Phase::Still | Phase::Syncing | Phase::Retiring => (false, 0),
    };
    SyncRecord { step, generation, void, caught_up, done, cuts: report.cuts.clone(), ..SyncRecord::default() }
}

impl Progress {
    fn new() -> Progress {
        Progress { epoch: -1, reports: BTreeMap::new(), since: Instant::now() }
    }

    /// Takes down what is so now. Returns for how long it has been so.
    fn note(&mut self, epoch: i32, phase: Phase, reports: &BTreeMap<NodeId, SyncRecord>) -> Duration {
        let reports = reports.iter().map(|(id, report)| (id.clone(), essence(report, phase))).collect();
        if self.epoch != epoch || self.reports != reports {
            *self = Progress { epoch, reports, since: Instant::now() };
        }
        self.since.elapsed()
    }
}

/// Events are what counts; this is for what an event could not tell.
const ANYWAY: Duration = Duration::from_secs(5);
/// After this long without anything going forward, whoever has the lead is not waited for: it may be cut off from what it
/// leads.
const IDLE: Duration = Duration::from_secs(3);
/// After this long without anything going forward in `syncing`, the ring goes back to `filling`.
const OVERDUE: Duration = Duration::from_secs(30);
/// How often to look whether the barrier holds.
const LOOKS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));

impl Lead {
    pub(super) fn new(me: LeadRecord, by: &str, barrier: Barrier) -> Lead {
        Lead { me, by: by.to_owned(), barrier, topology: None, progress: Progress::new() }
    }

    /// Leads for as long as it is polled, whenever there is something to do.
    pub(in super::super) async fn run(&mut self, store: &Store) -> Infallible {
        let mut pause = LOOKS.0;
        loop {
            match self.round(store).await {
                Ok(Some(changed)) => {
                    pause = LOOKS.0;
                    let _ = timeout(ANYWAY.mul_f64(0.8 + 0.2 * fastrand::f64()), changed).await;
                }
                Ok(None) => {
                    sleep(pause).await;
                    pause = (pause * 2).min(LOOKS.1);
                }
                Err(error) => {
                    tracing::debug!(%error, "the move cannot be led now");
                    tokio::select! {
                        () = store.state_changed() => {}
                        () = sleep(LOOKS.1.mul_f64(1.0 + fastrand::f64())) => {}
                    }
                }
            }
        }
    }

    /// Does one thing. Returns what tells of the next change, or nothing if there is more to do soon.
    async fn round(&mut self, store: &Store) -> Result<Option<impl Future<Output = ()> + use<>>> {
        // The watches before the reads, so that nothing after them is missed.
        let ring = store.watch_ring().await?;
        let snapshot = store.snapshot().await?;
        let mut changes: Vec<Event> = vec![Box::pin(ring)];
        if matches!(snapshot.phase()?, Phase::Founding { .. }) {
            return Ok(Some(drop_first(changes)));
        }
        let topology = self.topology_of(&snapshot)?;
        let mut seen = Seen { held: self.barrier.held().clone(), ..Seen::default() };
        let gaining: Vec<&NodeId> = topology.gaining().iter().map(|index| &topology.member(*index).id).collect();
        for (id, live) in gaining.iter().zip(join_all(gaining.iter().map(|id| store.watch_live_of(id))).await) {
            let (live, changed) = live?;
            changes.push(Box::pin(changed));
            let report = live.and_then(|live| live.record.ok()).and_then(|record| record.sync);
            if let Some(report) = report {
                seen.reports.insert((*id).clone(), report);
            }
        }
        let idle = self.progress.note(snapshot.epoch.0, snapshot.phase()?, &seen.reports);
        if idle > OVERDUE {
            seen.overdue = Some(snapshot.ring.step);
        }
        let by = self.by.clone();
        let author = Author { addr: "", by: &by, now_ms: unix_ms() };
        let planned = next(&snapshot, &topology, &seen, author)?;
        if planned == Next::Nothing {
            return Ok(Some(drop_first(changes)));
        }
        if !store.take_lead(&self.me).await? && idle < IDLE {
            changes.push(Box::pin(store.watch_lead().await?));
            changes.push(Box::pin(sleep(IDLE.saturating_sub(idle))));
            return Ok(Some(drop_first(changes)));
        }
        match planned {
            Next::Nothing => Ok(Some(drop_first(changes))),
            Next::Wait => {
                if snapshot.phase()? == Phase::Syncing {
                    changes.push(Box::pin(sleep(OVERDUE.saturating_sub(idle))));
                }
                Ok(Some(drop_first(changes)))
            }
            Next::Barrier => {
                self.barrier.advance(&snapshot).await?;
                Ok(None)
            }
            Next::Change(..) => {
                self.change(store, &seen, &topology, author).await?;
                Ok(None)
            }
        }
    }

    async fn change(&self, store: &Store, seen: &Seen, known: &Topology, author: Author<'_>) -> Result<()> {
        let mut done = None;
        let changed = store.change(|snapshot| -> Result<Option<Change>> {
            let topology = snapshot.topology_after(known)?;
            match next(snapshot, &topology, seen, author)? {
                Next::Change(change, why) => {
                    done = Some((snapshot.ring.step + 1, snapshot.phase()?, why));
                    Ok(Some(*change))
                }
                Next::Nothing | Next::Barrier | Next::Wait => {
                    done = None;
                    Ok(None)
                }
            }
        });
        if let (Changed::Made(epoch), Some((step, after, why))) = (changed.await?, done) {
            tracing::info!(%epoch, step, %after, why, "the next phase of the ring has begun");
        }
        Ok(())
    }

    fn topology_of(&mut self, snapshot: &Snapshot) -> Result<Topology> {
        let topology = match &self.topology {
            Some(known) => snapshot.topology_after(known)?,
            None => snapshot.topology()?,
        };
        self.topology = Some(topology.clone());
        Ok(topology)
    }
}

type Event = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Resolves with the first of them.
async fn drop_first(events: Vec<Event>) {
    select_all(events).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_leads_to_the_end_of_a_step_is_progress() {
        let report = SyncRecord { step: 3, generation: 2, cuts: vec!["a".to_owned()], ..SyncRecord::default() };
        let busy = SyncRecord { done: 9, bytes: 9, rate: 9, ..report.clone() };
        let goes_forward = |phase: Phase, next: &SyncRecord| {
            let of = |report: &SyncRecord| BTreeMap::from([(NodeId::new("b").unwrap(), report.clone())]);
            let mut progress = Progress::new();
            progress.note(1, phase, &of(&report));
            let since = progress.since;
            std::thread::sleep(Duration::from_millis(1));
            progress.note(1, phase, &of(next));
            progress.since != since
        };
        assert!(!goes_forward(Phase::Syncing, &busy), "it copies the same keys again and again");
        assert!(goes_forward(Phase::Filling, &busy));
        let more = ["a", "b"].map(str::to_owned).to_vec();
        assert!(goes_forward(Phase::Syncing, &SyncRecord { cuts: more, ..busy.clone() }));
        assert!(goes_forward(Phase::Syncing, &SyncRecord { void: true, ..busy.clone() }));
        let trouble = Some("a: its writers are too fast".to_owned());
        assert!(!goes_forward(Phase::Syncing, &SyncRecord { trouble: trouble.clone(), caught_up: true, ..busy }));
        assert!(!goes_forward(Phase::Filling, &SyncRecord { trouble, ..report.clone() }));
    }
}
