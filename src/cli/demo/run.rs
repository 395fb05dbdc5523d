//! The time while the load runs: a line each second, and the ring's changes as they come.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::load::Tally;
use super::report::{Event, Screen};
use crate::cli::progress::Move;
use crate::membership::{Source, Store, View};
use crate::placement::{NodeId, Phase, State, Topology};
use crate::{RingClient, TopologyWatch};

/// How often a move is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

pub(super) struct Run<'a> {
    began: Instant,
    store: &'a Store,
    client: &'a RingClient,
    watch: TopologyWatch,
    states: Vec<(NodeId, State)>,
    phase: Phase,
    pub(super) events: Vec<Event>,
    tally: Arc<Tally>,
    counted: u64,
    pub(super) screen: Screen<'a>,
}

impl<'a> Run<'a> {
    pub(super) fn new(store: &'a Store, client: &'a RingClient, tally: &Arc<Tally>, screen: Screen<'a>) -> Run<'a> {
        let topology = client.topology();
        Run {
            began: Instant::now(),
            store,
            client,
            watch: client.watch(),
            states: topology.members().iter().map(|member| (member.id.clone(), member.state)).collect(),
            phase: topology.phase(),
            events: Vec::new(),
            tally: Arc::clone(tally),
            counted: 0,
            screen,
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn event(&mut self, what: String) {
        let at_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let event = Event { at_ms, what };
        self.screen.event(&event);
        self.events.push(event);
    }

    pub(super) async fn until(&mut self, time: Duration) {
        self.until_some(time, |_| false).await;
    }

    /// When all members were up again and nothing moved any more; `None` if that was not in time.
    pub(super) async fn until_whole(&mut self, time: Duration) -> Option<Duration> {
        // Who stood still may not have been missed by anybody; then nothing changes any more.
        let whole = |topology: &Topology| {
            topology.phase() == Phase::Still && topology.members().iter().all(|member| member.state == State::Up)
        };
        if !self.until_some(time, whole).await {
            return None;
        }
        let at = self.elapsed();
        self.event("the ring is whole again".to_owned());
        Some(at)
    }

    async fn until_some(&mut self, time: Duration, enough: impl Fn(&Topology) -> bool) -> bool {
        let deadline = self.began + time;
        let mut look = Instant::now();
        loop {
            if enough(&self.client.topology()) {
                return true;
            }
            let second = self.began + Duration::from_secs(self.began.elapsed().as_secs() + 1);
            let moving = matches!(self.phase, Phase::Filling | Phase::Syncing);
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(second), if second <= deadline => self.line(),
                () = tokio::time::sleep_until(deadline) => return false,
                Some(view) = self.watch.changed() => self.changed(&view),
                () = tokio::time::sleep_until(look), if moving => {
                    look = Instant::now() + LOOK_EVERY;
                    self.look().await;
                }
            }
        }
    }

    fn line(&mut self) {
        let operations = self.tally.operations.load(Ordering::Relaxed);
        let since = operations - std::mem::replace(&mut self.counted, operations);
        self.screen.second(self.began.elapsed(), since, &self.tally, &self.states);
    }

    /// Shows how far the move is. Nothing is shown where ZooKeeper does not answer at once.
    async fn look(&mut self) {
        let found = tokio::time::timeout(LOOK_EVERY, async { tokio::join!(self.store.live(), self.store.lead()) });
        let Ok((Ok(live), leader)) = found.await else { return };
        let leader = leader.ok().flatten();
        if let Some(found) = Move::of(&self.client.topology(), Some(&live), leader.as_ref()) {
            self.screen.progress(self.began.elapsed(), &found);
        }
    }

    fn changed(&mut self, view: &View) {
        if let Source::Stale { .. } = view.source {
            self.event("ZooKeeper is lost; the last topology goes on".to_owned());
        }
        let topology = &view.topology;
        let before = std::mem::replace(&mut self.phase, topology.phase());
        let mut changes = Vec::new();
        for member in topology.members() {
            for (_, known) in self.states.iter_mut().filter(|(id, known)| *id == member.id && *known != member.state) {
                changes.push(match (&*known, member.state, topology.phase()) {
                    (State::Joining, State::Up, _) => format!("flipped: {} is up, with all its keys", member.id),
                    (_, state, _) => {
                        let reason = member.reason.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
                        let by = member.by.as_deref().map(|by| format!(" (by {by})")).unwrap_or_default();
                        format!("{} is {state}{reason}{by}", member.id)
                    }
                });
                *known = member.state;
            }
        }
        if before != self.phase && matches!(self.phase, Phase::Filling | Phase::Syncing) {
            changes.push(format!("{} (step {})", self.phase, topology.step()));
        }
        changes.into_iter().for_each(|change| self.event(change));
    }
}
