//! Fills this agent's own server with what it gains: copies, follows, and makes the exact cut at every source.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_all;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::super::AgentOptions;
use super::super::fill::{Copier, Endpoint, Limits, State as Copying};
use super::super::gate::{AGENTS, end_clients, end_fills, fills_of};
use super::super::server::{Connector, Failure, Server};
use super::barrier::Barrier;
use super::cutting::Cutting;
use super::plan::up;
use crate::membership::records::{MemberRecord, SyncRecord};
use crate::membership::{Address, Snapshot, Store};
use crate::placement::{MemberIndex, NodeId, Phase, Token, Topology};
use crate::sabotage::{self, Sabotage};
use crate::{Error, ErrorKind, Result};

/// One agent's part as a gainer, over all its sessions: a session that ends does not end the copying.
pub(in super::super) struct Filling {
    options: AgentOptions,
    connector: Connector,
    barrier: Barrier,
    report: watch::Sender<Option<SyncRecord>>,
    work: Option<Work>,
    /// When progress alone was last reported.
    told: Option<Instant>,
    /// Tells the connections of one copier from those of all others of this process.
    serial: u64,
}

/// What is being filled, for as long as none of this changes.
struct Work {
    of: Of,
    topology: Arc<Topology>,
    me: MemberIndex,
    /// Ranges that nobody can give.
    orphaned: usize,
    /// By source. `None` before the barrier of the step holds.
    copiers: Option<BTreeMap<NodeId, Running>>,
    cutting: Option<Cutting>,
}

/// What a filling is of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Of {
    /// The step of `filling` in which it began.
    step: u64,
    generation: u64,
    up: BTreeMap<String, u64>,
}

/// A copier that runs, and the name of its connections.
struct Running {
    copier: Arc<Copier>,
    state: watch::Receiver<Copying>,
    name: String,
    /// When to start another, if this one has ended.
    again: Option<Instant>,
}

/// Events are what counts; this is for what an event could not tell.
const ANYWAY: Duration = Duration::from_secs(5);
/// How often progress alone is reported.
const TELL: Duration = Duration::from_millis(500);
/// How long a copier that has ended is left alone. What ended it is mostly dealt with by others, with a new step or other
/// members that are up.
const AGAIN: Duration = Duration::from_secs(2);
/// How often to look whether the barrier holds.
const LOOKS: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));

/// When to look again.
enum Wake {
    /// When the ring changes, or something has come of the copying.
    Event(Vec<Event>),
    Soon,
}

type Event = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

impl Filling {
    pub(super) fn new(
        options: AgentOptions,
        connector: Connector,
        barrier: Barrier,
        report: watch::Sender<Option<SyncRecord>>,
    ) -> Filling {
        Filling { options, connector, barrier, report, work: None, told: None, serial: 0 }
    }

    /// Fills for as long as it is polled, whenever the member gains something.
    pub(in super::super) async fn run(&mut self, store: &Store) -> Infallible {
        let mut pause = LOOKS.0;
        loop {
            match self.round(store).await {
                Ok(Wake::Event(events)) => {
                    pause = LOOKS.0;
                    let _ = timeout(ANYWAY, select_all(events)).await;
                }
                Ok(Wake::Soon) => {
                    sleep(pause).await;
                    pause = (pause * 2).min(LOOKS.1);
                }
                Err(error) => {
                    tracing::debug!(%error, member = %self.options.id, "the member cannot be filled now");
                    tokio::select! {
                        () = store.state_changed() => {}
                        () = sleep(LOOKS.1.mul_f64(1.0 + fastrand::f64())) => {}
                    }
                }
            }
        }
    }

    async fn round(&mut self, store: &Store) -> Result<Wake> {
        let mut events: Vec<Event> = vec![Box::pin(store.watch_ring().await?)];
        let snapshot = store.snapshot().await?;
        let phase = snapshot.phase()?;
        let moving = matches!(phase, Phase::Filling | Phase::Syncing);
        let gains = match moving {
            true => self.gains(&snapshot)?,
            false => None,
        };
        let Some((topology, me, record)) = gains else {
            self.work = None;
            self.report.send_if_modified(|report| report.take().is_some());
            return Ok(Wake::Event(events));
        };
        if let Some(work) = self.work.as_mut().filter(|work| work.topology.epoch() != topology.epoch()) {
            // Whose data stands for a range depends on more than who is up.
            work.orphaned = topology.sources(me).orphaned;
            (work.topology, work.me) = (Arc::clone(&topology), me);
        }
        let step = snapshot.ring.step;
        let of = Of { step, generation: record.generation, up: up(&snapshot) };
        match phase {
            Phase::Filling => {
                if self.work.as_ref().is_none_or(|work| work.of != of) {
                    let orphaned = topology.sources(me).orphaned;
                    let (copiers, cutting) = (None, None);
                    self.work = Some(Work { of, topology: Arc::clone(&topology), me, orphaned, copiers, cutting });
                    self.tell(&topology, step, false);
                }
                if !self.barrier.advance(&snapshot).await? {
                    self.tell(&topology, step, false);
                    return Ok(Wake::Soon);
                }
                self.copy(&snapshot, &record).await?;
            }
            Phase::Syncing => {
                let begun = Of { step: step.saturating_sub(1), ..of };
                let goes_on = self.work.as_ref().is_some_and(|work| work.of == begun && work.copiers.is_some());
                if !goes_on {
                    // This agent was started again, or a source has gone: nobody knows what was copied.
                    self.work = None;
                    self.void(&topology, step, begun);
                    return Ok(Wake::Event(events));
                }
                if !self.barrier.advance(&snapshot).await? {
                    self.tell(&topology, step, true);
                    return Ok(Wake::Soon);
                }
                self.cut(step);
            }
            Phase::Founding { .. } | Phase::Still | Phase::Retiring => {}
        }
        self.tell(&topology, step, true);
        events.push(Box::pin(sleep(TELL)));
        if let Some(work) = &self.work {
            work.events(&mut events);
        }
        Ok(Wake::Event(events))
    }

    /// The topology, this member's place in it and its record, if it gains keys now.
    fn gains(&self, snapshot: &Snapshot) -> Result<Option<(Arc<Topology>, MemberIndex, MemberRecord)>> {
        let known = self.work.as_ref().map(|work| &work.topology);
        let topology = match known {
            Some(known) => snapshot.topology_after(known)?,
            None => snapshot.topology()?,
        };
        let me = topology.find(&self.options.id).map(|(index, _)| index);
        let me = me.filter(|index| topology.gaining().contains(index));
        let record = snapshot.member(&self.options.id).cloned();
        Ok(me.zip(record).map(|(me, record)| (Arc::new(topology), me, record)))
    }

    /// Has a copier for each source.
    async fn copy(&mut self, snapshot: &Snapshot, own: &MemberRecord) -> Result<()> {
        let Some(work) = &mut self.work else { return Ok(()) };
        if sabotage::is(Sabotage::NoFill) {
            work.copiers = Some(BTreeMap::new());
            return Ok(());
        }
        let sources: Vec<(MemberIndex, NodeId)> = work.sources();
        let within = self.options.health.connect;
        let failed = |why: Failure| Error::new(ErrorKind::Unreachable, format!("the member's own server: {why}"));
        if work.copiers.is_none() {
            // A writer that stood still in a step that was broken off may have sent what is older than what comes now.
            let mut server = own_server(&self.connector, &self.options).await.map_err(failed)?;
            end_clients(&mut server, None, within).await.map_err(failed)?;
        }
        let running = work.copiers.get_or_insert_default();
        let now = Instant::now();
        for copier in running.values_mut() {
            if matches!(*copier.state.borrow(), Copying::Ended(_)) {
                copier.again.get_or_insert(now + AGAIN);
            }
        }
        running.retain(|_, copier| copier.again.is_none_or(|again| now < again));
        let missing: Vec<_> = sources.into_iter().filter(|(_, id)| !running.contains_key(id)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        // What copiers before these have on its way must not arrive after what these bring. They may have been those of
        // another process.
        let fills = fills_of(&self.options.id);
        let kept: Vec<&str> = running.values().map(|copier| copier.name.as_str()).collect();
        let mut server = own_server(&self.connector, &self.options).await.map_err(failed)?;
        end_fills(&mut server, &fills, &kept, within).await.map_err(failed)?;

        for (index, id) in missing {
            let Some(source) = snapshot.member(&id) else { continue };
            self.serial += 1;
            let name = format!("{fills}/{}", self.serial);
            let endpoint = |address: Address, run_id: &str| {
                let endpoint = Endpoint::with_connector(self.connector.clone(), address, name.clone());
                endpoint.with_db(snapshot.config.db).with_run_id(run_id)
            };
            let unusable =
                |why| Error::new(ErrorKind::Membership, format!("the address of {id} cannot be used: {why}"));
            let from = endpoint(source.addr.parse().map_err(unusable)?, &source.run_id);
            let to = endpoint(self.options.redis.clone(), &own.run_id);
            let (topology, me) = (Arc::clone(&work.topology), work.me);
            let gains = Arc::new(move |key: &[u8]| {
                let token = Token::of_key(key);
                topology.source(token) == Some(index) && topology.gains(me, token)
            });
            let limits = Limits { bytes_per_second: self.options.fill_rate, ..Limits::default() };
            tracing::info!(member = %self.options.id, source = %id, step = work.of.step, "copying begins");
            let copier = Arc::new(Copier::start(from, to, gains, limits));
            let state = copier.state();
            running.insert(id, Running { copier, state, name, again: None });
        }
        Ok(())
    }

    /// Has the cuts made.
    fn cut(&mut self, step: u64) {
        let Some(Work { copiers: Some(copiers), cutting, .. }) = &mut self.work else { return };
        cutting.get_or_insert_with(|| {
            let copiers = copiers.iter().map(|(id, running)| (id.clone(), Arc::clone(&running.copier))).collect();
            Cutting::start(copiers, step, self.options.id.clone())
        });
    }

    /// Asks for another filling.
    fn void(&mut self, topology: &Topology, step: u64, of: Of) {
        let report = SyncRecord {
            step,
            generation: of.generation,
            fingerprint: topology.fingerprint().to_string(),
            up: of.up,
            void: true,
            trouble: Some("its agent does not know what was copied before".to_owned()),
            ..SyncRecord::default()
        };
        self.report.send_if_modified(|told| told.replace(report.clone()) != Some(report));
    }

    /// Reports how far it is: at once what others wait for, and progress now and then.
    fn tell(&mut self, topology: &Topology, step: u64, begun: bool) {
        let Some(work) = &mut self.work else { return };
        let mut report = work.report(topology, step, begun);
        report.trouble = self.barrier.trouble().or(report.trouble);
        let due = self.told.is_none_or(|told| told.elapsed() >= TELL);
        let told = self.report.send_if_modified(|told| {
            let news = told.as_ref().map(essence) != Some(essence(&report));
            (news || due) && told.replace(report.clone()) != Some(report)
        });
        if told {
            self.told = Some(Instant::now());
        }
    }
}

async fn own_server(connector: &Connector, options: &AgentOptions) -> std::result::Result<Server, Failure> {
    connector.connect(&options.redis, &format!("{AGENTS}gate:{}", options.id)).await
}

/// What others wait for.
fn essence(report: &SyncRecord) -> SyncRecord {
    SyncRecord { done: 0, total: 0, bytes: 0, rate: 0, trouble: None, ..report.clone() }
}

impl Work {
    fn sources(&self) -> Vec<(MemberIndex, NodeId)> {
        let sources = self.topology.sources(self.me).members;
        sources.into_iter().map(|index| (index, self.topology.member(index).id.clone())).collect()
    }

    fn report(&mut self, topology: &Topology, step: u64, begun: bool) -> SyncRecord {
        let mut report = SyncRecord {
            step,
            generation: self.of.generation,
            fingerprint: topology.fingerprint().to_string(),
            up: self.of.up.clone(),
            ..SyncRecord::default()
        };
        let mut rate = 0.0;
        let mut caught_up = begun && self.copiers.is_some() && self.orphaned == 0;
        for (id, running) in self.copiers.iter_mut().flatten() {
            let progress = running.copier.progress();
            report.done += progress.keys_done;
            report.total += progress.keys_total;
            report.bytes += progress.bytes;
            rate += progress.rate;
            let state = running.state.borrow_and_update().clone();
            caught_up &= matches!(state, Copying::CaughtUp | Copying::Cut);
            let trouble = match state {
                Copying::Ended(why) => Some(format!("{why:?}")),
                Copying::Filling | Copying::CaughtUp | Copying::Cut => progress.trouble,
            };
            report.trouble = report.trouble.or(trouble.map(|trouble| format!("{id}: {trouble}")));
        }
        report.caught_up = caught_up;
        report.rate = rate.max(0.0) as u64;
        if let Some(cutting) = &mut self.cutting {
            let cuts = cutting.seen.borrow_and_update();
            (report.cuts, report.void) = (cuts.made.iter().cloned().collect(), cuts.void);
            report.trouble = cuts.trouble.clone().or(report.trouble);
        }
        if self.orphaned > 0 {
            report.trouble = Some(format!("{} ranges have no owner that is up", self.orphaned));
        }
        if sabotage::is(Sabotage::NoFill) {
            report.caught_up = true;
            report.cuts = self.sources().into_iter().map(|(_, id)| id.as_str().to_owned()).collect();
        }
        report
    }

    /// What tells of something new.
    fn events(&self, events: &mut Vec<Event>) {
        for running in self.copiers.iter().flatten().map(|(_, running)| running) {
            let mut state = running.state.clone();
            events.push(Box::pin(async move {
                if state.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }));
            if let Some(again) = running.again {
                events.push(Box::pin(sleep_until(again)));
            }
        }
        if let Some(cutting) = &self.cutting {
            let mut seen = cutting.seen.clone();
            events.push(Box::pin(async move {
                if seen.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }));
        }
    }
}
