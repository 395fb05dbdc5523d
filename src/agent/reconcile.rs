//! Makes what ZooKeeper says of the member what is seen of its server, again after every change of either.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Map;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::access;
use super::claim::Claim;
use super::flushes::{self, Counts, Flushes};
use super::founding::{is_member, register};
use super::gate::{Beside, Door, Gatekeeper, Life};
use super::health::{Health, HealthWatch, Sighting};
use super::info::Info;
use super::lacks;
use super::options::AgentOptions;
use super::record::{Author, Gate, Return, Sight, wanted};
use super::returns::Returns;
use super::server::{Connector, Failure};
use super::unix_ms;
use crate::command::OWN_KEYS;
use crate::membership::fence::is_last_owner;
use crate::membership::records::{LiveRecord, MemberRecord, SyncRecord, VERSION};
use crate::membership::{Change, Changed, Snapshot, Store};
use crate::placement::{Phase, State};
use crate::{Error, ErrorKind, Result};

/// One agent's work, over all its sessions.
pub(super) struct Reconciler {
    pub(super) options: AgentOptions,
    pub(super) connector: Connector,
    pub(super) claim: Claim,
    pub(super) health: HealthWatch,
    pub(super) gate: Gatekeeper,
    /// How far the member is with what it gains.
    pub(super) sync: watch::Receiver<Option<SyncRecord>>,
    /// `host:pid version`.
    pub(super) agent: String,
    /// `agent host:pid`.
    pub(super) by: Arc<str>,
    /// Where others reach the server.
    pub(super) addr: Arc<str>,
    pub(super) returns: Returns,
    /// The flushes of this life of the server that are known and dealt with.
    pub(super) flushes: Flushes,
    /// The eviction that was warned of last.
    pub(super) warned: Option<String>,
    /// Since when the server hangs.
    pub(super) hung: Option<Instant>,
    /// The process that was asked whether it lets this agent do its work.
    pub(super) asked: Option<String>,
}

/// Why a round was not finished.
enum Problem {
    /// It will not go away by itself.
    Fatal(Error),
    /// Worth another try.
    Later(Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        Problem::Later(error)
    }
}

/// When to look again, if no event comes before; `None` for "not soon".
type Wake = Option<Instant>;

/// Events are what counts; this is for what an event could not tell.
const ANYWAY: Duration = Duration::from_secs(5);
const RETRY: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// How soon to look again whether the holder of the member's node is gone.
const UNDECIDED: Duration = Duration::from_millis(500);
/// How long a server may hang that has what nobody else has who is up.
const LAST_OWNER: Duration = Duration::from_secs(2);

impl Reconciler {
    /// Works until the session ends.
    ///
    /// # Errors
    /// What makes this agent useless: it is refused, or another one lives.
    pub(super) async fn serve(&mut self, store: &Store) -> Result<()> {
        let mut pause = RETRY.0;
        let mut doors = self.gate.doors.subscribe();
        while !store.ended() {
            doors.borrow_and_update();
            match self.round(store).await {
                Ok((changed, wake)) => {
                    pause = RETRY.0;
                    tokio::select! {
                        _ = self.health.seen.changed() => {}
                        _ = doors.wait_for(|door| matches!(door, Door::Lost(_))) => {}
                        Ok(()) = self.sync.changed() => {}
                        () = changed => {}
                        () = store.state_changed() => {}
                        () = sleep_until(wake) => {}
                    }
                }
                Err(Problem::Fatal(error)) => return Err(error),
                Err(Problem::Later(error)) => {
                    tracing::warn!(%error, member = %self.options.id, "the member's records are not as they should be");
                    tokio::select! {
                        _ = self.health.seen.changed() => {}
                        () = store.state_changed() => {}
                        () = sleep(pause) => {}
                    }
                    pause = (pause * 2).min(RETRY.1);
                }
            }
        }
        Ok(())
    }

    /// Compares once and writes what differs. Returns what tells of the next change, and when to look anyway.
    async fn round(
        &mut self,
        store: &Store,
    ) -> std::result::Result<(impl Future<Output = ()> + use<>, Instant), Problem> {
        // The watches before the reads, so that nothing after them is missed.
        let ring = store.watch_ring().await.map_err(|error| self.at_first(error))?;
        let (_, live) = store.watch_live().await?;
        store.forget(&self.options.id).await;
        let snapshot = store.snapshot().await.map_err(|error| self.at_first(error))?;
        let health = self.health.seen.borrow_and_update().clone();
        self.hung = matches!(health, Health::Hung).then(|| self.hung.unwrap_or_else(Instant::now));
        let wake = match &health {
            Health::Unknown => None,
            Health::Answers(own) => self.answers(store, &snapshot, own).await?,
            Health::Unverified(why) => self.unverified(why).await?,
            Health::Loading => {
                let sight = Sight::Unfit { why: "the server is loading its data", closed: false, lost: false };
                self.silent(store, &snapshot, sight).await?
            }
            Health::Hung => match self.spared(&snapshot)? {
                Some(until) => Some(until),
                None => {
                    let sight = Sight::Dead { closed: false, why: "the server does not answer" };
                    self.silent(store, &snapshot, sight).await?
                }
            },
            Health::Refused => {
                let sight = Sight::Dead { closed: true, why: "no server listens at its address" };
                self.silent(store, &snapshot, sight).await?
            }
        };
        let changed = async move {
            tokio::select! {
                () = ring => {}
                () = live => {}
            }
        };
        let anyway = Instant::now() + ANYWAY;
        Ok((changed, wake.map_or(anyway, |wake| wake.min(anyway))))
    }

    /// Until when a server that hangs stays in the ring because nobody else has what it has. Whether it is in the ring or not,
    /// that cannot be read now; but one that goes on soon goes on at once, and does not have to return.
    fn spared(&self, snapshot: &Snapshot) -> std::result::Result<Wake, Problem> {
        let (Some(since), true) = (self.hung, is_member(snapshot, &self.options.id)) else { return Ok(None) };
        let until = since + LAST_OWNER;
        let spared = Instant::now() < until && is_last_owner(&snapshot.topology()?, &self.options.id);
        Ok(spared.then_some(until))
    }

    /// Whoever starts without a ring, or without a right to it, is told; a running agent waits for it to come back.
    fn at_first(&self, error: Error) -> Problem {
        match error.kind() {
            ErrorKind::NotFounded | ErrorKind::Membership | ErrorKind::Denied if !self.claim.held() => {
                Problem::Fatal(error)
            }
            _ => Problem::Later(error),
        }
    }

    async fn answers(
        &mut self,
        store: &Store,
        snapshot: &Snapshot,
        own: &Sighting,
    ) -> std::result::Result<Wake, Problem> {
        let id = self.options.id.clone();
        let (addr, by) = (self.addr.clone(), self.by.clone());
        let author = Author { addr: &addr, by: &by, now_ms: unix_ms() };
        self.may_work(&own.run_id).await?;
        let newcomer = match is_member(snapshot, &id) {
            true => None,
            false => {
                let info = self.inspect(snapshot.config.db).await?;
                // Judged before the node is taken: who is refused leaves no trace.
                register(snapshot, &self.options, &info, author).map_err(Problem::Fatal)?;
                Some(info)
            }
        };
        let want = LiveRecord {
            v: VERSION,
            run_id: own.run_id.clone(),
            agent: self.agent.clone(),
            client_id: own.client_id,
            sync: self.sync.borrow_and_update().clone(),
            rest: Map::new(),
        };
        match self.claim.hold(store, snapshot.member(&id), &want, own, &self.connector).await {
            Ok(true) => {}
            Ok(false) => return Ok(Some(Instant::now() + UNDECIDED)),
            Err(error) => return Err(refused_is_fatal(error)),
        }
        let db = snapshot.config.db;
        if let Some(info) = newcomer {
            // Before the record: one that is there without its gate has lost its data.
            let life = Life { run_id: own.run_id.clone(), generation: 1, db };
            self.gate.open(&life, &Beside::of(snapshot)?).await.map_err(|why| self.at_gate(&why))?;
            let changed = store.change(|snapshot| register(snapshot, &self.options, &info, author)).await;
            let epoch = changed.map_err(refused_is_fatal)?.epoch();
            tracing::info!(member = %id, addr = %self.addr, %epoch, "the member is registered");
            let counts = self.count_flushes(snapshot, own).await?;
            self.flushes.settle(own, counts);
            return Ok(None);
        }
        self.warn_of_eviction(snapshot, own);
        let counts = self.count_flushes(snapshot, own).await?;
        let founding = matches!(snapshot.phase(), Ok(Phase::Founding { .. }));
        let flushed = !founding && self.flushes.lost_data(own, counts);
        let unfit = match (own.replica, flushed) {
            (true, _) => Some("the server became a replica of another server"),
            (false, true) => Some("its data was flushed"),
            (false, false) => None,
        };
        let gate = self.guard(snapshot, own, unfit.is_none()).await?;
        let kept = match (gate, snapshot.member(&id)) {
            (Gate::Open, _) => true,
            (Gate::Shut, Some(record)) if unfit.is_none() => {
                let life = Life { run_id: record.run_id.clone(), generation: record.generation, db };
                self.gate.kept(&life, own).await.map_err(|why| self.at_gate(&why))?
            }
            (Gate::Shut | Gate::Left, _) => false,
        };
        let sight = match unfit {
            Some(why) => Sight::Unfit { why, closed: gate == Gate::Shut, lost: true },
            None => Sight::Alive { run_id: &own.run_id, gate },
        };
        let wake = self.write(store, snapshot, sight, kept).await?;
        self.flushes.settle(own, counts);
        // A flush that has been dealt with is followed by a return.
        Ok(if flushed { Some(Instant::now()) } else { wake })
    }

    /// An agent that may not do all of its work is of no use, and says so when it starts. Of a process that comes later it
    /// does what it can. One that does not answer now is asked in the next round, and no agent begins before that.
    async fn may_work(&mut self, run_id: &str) -> std::result::Result<(), Problem> {
        if self.asked.as_deref() == Some(run_id) {
            return Ok(());
        }
        match access::check(&self.connector, &self.options.redis, self.options.health.connect).await {
            Err(error) if !self.claim.held() => return Err(Problem::Fatal(error)),
            Err(error) => tracing::error!(%error, hint = error.hint(), "the agent cannot do its work"),
            Ok(true) => {}
            Ok(false) if self.claim.held() => return Ok(()),
            Ok(false) => {
                let message = "the server did not say in time what the agent's user may do";
                return Err(Problem::Later(Error::new(ErrorKind::Unreachable, message)));
            }
        }
        self.asked = Some(run_id.to_owned());
        Ok(())
    }

    /// Leaves the gate open where the record wants it so and the server is `fit` for it, and shuts it otherwise.
    async fn guard(&mut self, snapshot: &Snapshot, own: &Sighting, fit: bool) -> std::result::Result<Gate, Problem> {
        let db = snapshot.config.db;
        let used = snapshot.member(&self.options.id).filter(|record| {
            fit && record.run_id == own.run_id && matches!(record.state(), State::Up | State::Joining)
        });
        if let Some(record) = used {
            let life = Life { run_id: own.run_id.clone(), generation: record.generation, db };
            if self.gate.keep(&life, &Beside::of(snapshot)?).await.map_err(|why| self.at_gate(&why))? {
                let gives = record.state() == State::Up && matches!(snapshot.phase(), Ok(Phase::Syncing));
                self.gate.room(db, gives).await;
                return Ok(Gate::Open);
            }
        }
        if matches!(self.gate.door(own), Door::Shut { .. }) {
            return Ok(Gate::Shut);
        }
        let lease = Duration::from_millis(snapshot.config.fence_wait_ms);
        let shut = self.gate.shut(db, own, fit, lease).await.map_err(|why| self.at_gate(&why))?;
        Ok(if shut { Gate::Shut } else { Gate::Left })
    }

    /// Opens the gate for a record that is about to be written, where that says that the member is used.
    async fn prepare(
        &mut self,
        snapshot: &Snapshot,
        record: &MemberRecord,
        sight: Sight<'_>,
    ) -> std::result::Result<(), Problem> {
        let (Sight::Alive { run_id, gate: Gate::Left | Gate::Shut }, State::Up | State::Joining) =
            (sight, record.state())
        else {
            return Ok(());
        };
        let life = Life { run_id: run_id.to_owned(), generation: record.generation, db: snapshot.config.db };
        self.gate.open(&life, &Beside::of(snapshot)?).await.map_err(|why| self.at_gate(&why))
    }

    /// An agent that may not guard the gate is of no use, and says so when it starts.
    fn at_gate(&self, why: &Failure) -> Problem {
        let message = format!("the gate of {} cannot be kept: its server: {why}", self.options.id);
        match why {
            Failure::Answered(code) if code == "NOPERM" => {
                let hint = "its user needs EVAL, SELECT, CLIENT LIST, CLIENT KILL, and all keys that begin with __rr:";
                let error = Error::new(ErrorKind::Denied, message).with_hint(hint);
                if self.gate.able() { Problem::Later(error) } else { Problem::Fatal(error) }
            }
            _ => Problem::Later(Error::new(ErrorKind::Unreachable, message)),
        }
    }

    /// The server does not answer: the record says so, and then the node is given back.
    async fn silent(
        &mut self,
        store: &Store,
        snapshot: &Snapshot,
        sight: Sight<'_>,
    ) -> std::result::Result<Wake, Problem> {
        let id = &self.options.id;
        if !self.claim.held() {
            // An agent that was started with another server's address, or beside another agent, must not fence a
            // member that is well.
            let named = snapshot.member(id).is_some_and(|record| record.addr == *self.addr);
            if !named || store.live_of(id).await?.is_some() {
                tracing::warn!(member = %id, addr = %self.addr, "waiting for the server to answer");
                return Ok(Some(Instant::now() + UNDECIDED));
            }
        }
        let wake = self.write(store, snapshot, sight, false).await?;
        self.claim.release(store).await?;
        Ok(wake)
    }

    async fn unverified(&self, why: &str) -> std::result::Result<Wake, Problem> {
        if !self.claim.held() && why == "NOPERM" {
            let named = access::check(&self.connector, &self.options.redis, self.options.health.connect).await;
            named.map_err(Problem::Fatal)?;
        }
        let message = format!("the server of {} answers {why} to its agent", self.options.id);
        if !self.claim.held() && matches!(why, "WRONGPASS" | "NOAUTH" | "NOPERM") {
            let error = Error::new(ErrorKind::Denied, message);
            let hint = "give the agent a user and a password that may run PING, INFO, CLIENT and CONFIG GET";
            return Err(Problem::Fatal(error.with_hint(hint)));
        }
        // It lives, so nothing is changed.
        tracing::warn!("{message}");
        Ok(None)
    }

    /// Writes the member's record, if it has to be. `kept` is whether its server has the data of the record's life.
    async fn write(
        &mut self,
        store: &Store,
        snapshot: &Snapshot,
        sight: Sight<'_>,
        kept: bool,
    ) -> std::result::Result<Wake, Problem> {
        let id = self.options.id.clone();
        let (addr, by) = (self.addr.clone(), self.by.clone());
        let author = Author { addr: &addr, by: &by, now_ms: unix_ms() };
        let same_life = |record: &MemberRecord| match sight {
            Sight::Alive { run_id, .. } => record.state() == State::Down && record.run_id == run_id,
            Sight::Unfit { .. } | Sight::Dead { .. } => false,
        };
        let back = snapshot.member(&id).is_some_and(same_life);
        let now = Instant::now();
        let may_return = if back { self.returns.allowed(now) } else { true };
        if !back {
            self.returns.none();
        }
        if let Some(record) = snapshot.member(&id) {
            self.returns.seen(record.state());
        }
        let decide = |snapshot: &Snapshot| -> Result<Option<MemberRecord>> {
            if !is_member(snapshot, &id) {
                return Ok(None);
            }
            // Every generation was written with a rise of the epoch, so this is above all there were.
            let unused = u64::try_from(snapshot.epoch.0).unwrap_or(0) + 2;
            let lacks = match sight {
                Sight::Alive { run_id, .. } => lacks::lacks(snapshot, &id, run_id, kept)?,
                Sight::Unfit { .. } | Sight::Dead { .. } => None,
            };
            let back = Return { may: may_return, kept, lacks: lacks.as_deref() };
            Ok(wanted(snapshot.member(&id), snapshot.phase()?, sight, author, unused, back))
        };
        let Some(planned) = decide(snapshot)? else { return Ok(self.returns.due()) };
        self.prepare(snapshot, &planned, sight).await?;
        let opened = matches!(planned.state(), State::Up | State::Joining).then_some(planned.generation);
        let mut written = None;
        let changed = store.change(|snapshot| {
            // If others were faster, the gate may be open for another life than the one that is to be written now. Then
            // the next round shuts it.
            written = decide(snapshot)?.filter(|record| match record.state() {
                State::Up | State::Joining => opened == Some(record.generation),
                State::Down => true,
            });
            Ok(written.clone().map(|record| {
                let mut change = Change::of(snapshot);
                change.put(&id, record);
                change
            }))
        });
        let changed = changed.await?;
        if let (Changed::Made(epoch), Some(record)) = (changed, written) {
            if back {
                self.returns.written(record.state(), now);
            }
            let MemberRecord { state, generation, closed, reason, .. } = record;
            tracing::info!(member = %id, %epoch, state, generation, closed, reason, "the member's record is written");
        }
        Ok(self.returns.due())
    }

    /// The server's flushes and the ring's among them; asked only when there are others than known.
    async fn count_flushes(&self, snapshot: &Snapshot, own: &Sighting) -> Result<Counts> {
        if let Some(known) = self.flushes.counts(own).filter(|_| !self.flushes.have_changed(own)) {
            return Ok(known);
        }
        let failed =
            |why: Failure| Error::new(ErrorKind::Unreachable, format!("the server of {}: {why}", self.options.id));
        let mut server = self.connector.connect(&self.options.redis, &self.claim.look).await.map_err(failed)?;
        let within = self.options.health.connect;
        flushes::count(&mut server, snapshot.config.db, own, within).await.map_err(failed)
    }

    fn warn_of_eviction(&mut self, snapshot: &Snapshot, own: &Sighting) {
        let info = Info { policy: own.policy.clone(), ..Info::default() };
        let why = info.eviction(snapshot.config.cache);
        if let (Some(why), true) = (&why, why != self.warned) {
            tracing::warn!(member = %self.options.id, why, "the server evicts keys");
        }
        self.warned = why;
    }

    /// Asks the server what only registration wants to know. What a ring keeps there itself are no keys.
    async fn inspect(&self, db: i64) -> Result<Info> {
        let failed =
            |why: Failure| Error::new(ErrorKind::Unreachable, format!("the server of {}: {why}", self.options.id));
        let within = self.options.health.connect;
        let mut server = self.connector.connect(&self.options.redis, &self.claim.look).await.map_err(failed)?;
        let mut info = server.info(within).await.map_err(failed)?;
        if info.keys > 0 {
            server.select(db, within).await.map_err(failed)?;
            let own = server.ask::<u64>(redis::cmd("EXISTS").arg(&OWN_KEYS), within).await.map_err(failed)?;
            info.keys = info.keys.saturating_sub(own);
        }
        Ok(info)
    }
}

fn refused_is_fatal(error: Error) -> Problem {
    match error.kind() {
        ErrorKind::Refused => Problem::Fatal(error),
        _ => Problem::Later(error),
    }
}
