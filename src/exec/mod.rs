//! Runs a command on a topology.
//!
//! A [`Core`] holds the snapshot that everybody reads once per request; [`Core::run`] decides with the command table
//! whether a call is a read or a write and hands it on.

mod batch;
mod cached;
mod channels;
mod copies;
mod ended;
mod fence;
mod gated;
mod groups;
mod heal;
mod late;
mod member;
mod owners;
mod part;
mod pause;
mod pipeline;
mod polling;
mod publish;
mod read;
mod reload;
mod reply;
mod report;
mod round;
mod script;
mod scripts;
mod split;
mod stats;
mod stepping;
mod steps;
mod stripe;
mod unknown;
mod wait;
pub(crate) mod watched;
mod whole;
mod wire;
mod write;

use std::collections::HashMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::{Cmd, Pipeline, RedisFuture, Value};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::cache::{Cache, Writing};
use crate::command::{self, Answer, Caching, Plan, Refusal, RefusalKind, Repeat};
use crate::error::{Error, ErrorKind, Result};
use crate::membership::{Address, Arbiter};
pub(crate) use crate::node::Senders;
use crate::node::{Changes, ConnectOptions, Link, Naming, Node, Target, Ticker};
use crate::placement::{MemberIndex, NodeId, Phase, State, Step, Token, Topology};
use crate::policy::{CachePolicy, ReadPolicy, ScriptPolicy, Unfenced, WritePolicy};
use crate::sabotage::{self, Sabotage};

use fence::{Fences, Lapse};
pub use heal::Compared;
use heal::{Suspects, Tales};
pub(crate) use member::unknown as unknown_member;
use pause::Pause;
use scripts::Scripts;
use stats::Counters;
pub use stats::Stats;
use stepping::{InStep, Stepping, Steps};
use stripe::{States, Stripes};
pub use whole::DbSize;
pub(crate) use whole::{Part, Position};

/// What decides how commands are run.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExecOptions {
    pub(crate) connect: ConnectOptions,
    pub(crate) read_policy: ReadPolicy,
    pub(crate) write_policy: WritePolicy,
    pub(crate) script_policy: ScriptPolicy,
    pub(crate) cache_policy: CachePolicy,
    pub(crate) unfenced: Unfenced,
}

/// The part of a client that runs commands.
#[derive(Debug)]
pub(crate) struct Core {
    snapshot: Arc<ArcSwap<Snapshot>>,
    /// Held while a new snapshot is made from the last one.
    making: Arc<Mutex<()>>,
    options: ExecOptions,
    connect: Arc<ConnectOptions>,
    naming: Arc<Naming>,
    ticker: Arc<Ticker>,
    ticking: JoinHandle<()>,
    linking: JoinHandle<()>,
    renaming: JoinHandle<()>,
    reloading: JoinHandle<()>,
    healing: JoinHandle<()>,
    paying: Option<JoinHandle<()>>,
    telling: Option<JoinHandle<()>>,
    /// Takes members out that miss writes; nobody can with fixed membership.
    fences: Option<Fences>,
    /// Told when a connection comes, when an attempt to connect fails, and when the topology changes.
    changed: Arc<Notify>,
    /// The keys that callers wait for.
    changes: Arc<Changes>,
    counters: Counters,
    /// Keys whose copies may differ.
    suspects: Arc<Suspects>,
    /// Those that the agents look at, where there are agents.
    tales: Option<Arc<Tales>>,
    /// What the servers said about commands that the table does not have.
    unknown: unknown::Known,
    stripes: Stripes,
    states: States,
    /// Replies that may be given again, where the application asked for that.
    cache: Option<Arc<Cache>>,
    /// Writes that begin wait while it is held.
    pause: Arc<Pause>,
    /// What members that come are given.
    scripts: Arc<Scripts>,
    /// The time limits of one attempt, as the connections take them.
    read_ms: u64,
    write_ms: u64,
    /// Where a write goes on when its caller has dropped it.
    runtime: Handle,
}

impl Drop for Core {
    fn drop(&mut self) {
        self.ticking.abort();
        self.linking.abort();
        self.renaming.abort();
        self.reloading.abort();
        self.healing.abort();
        [&self.paying, &self.telling].into_iter().flatten().for_each(JoinHandle::abort);
    }
}

/// A topology and the connections to its members. A request takes one and keeps to it.
#[derive(Debug)]
pub(crate) struct Snapshot {
    topology: Arc<Topology>,
    /// The topology's.
    step: Step,
    /// The writes that are under way with this step.
    stepping: Arc<Stepping>,
    /// In the order of the topology's members.
    seats: Box<[Seat]>,
    /// Until when somebody may read a member that is not read any more.
    unsettled: Option<Instant>,
    /// Whether there may be keys for which [`Snapshot::is_gated`] holds: all that most writes look at.
    gated: bool,
}

/// A member as requests see it.
#[derive(Debug)]
struct Seat {
    node: Arc<Node>,
    /// The node's connection when the snapshot was made. Requests borrow it, where the node would have to hand each of
    /// them a counted handle.
    link: Option<Arc<Link>>,
    /// Whether it is read and written. One that is not may have a connection all the same: it is gaining keys.
    up: bool,
    /// How long others may read it that is not.
    lapse: Lapse,
}

impl Core {
    /// Starts connecting to all members that are up. Must be called inside a tokio runtime.
    pub(crate) fn start(topology: Arc<Topology>, mut options: ExecOptions, arbiter: Option<Arbiter>) -> Arc<Core> {
        options.connect.db = topology.config().db;
        options.connect.naming.know(topology.step());
        options.connect.naming.reach(topology.step());
        let cache = match options.cache_policy {
            CachePolicy::Off => None,
            CachePolicy::AtMost { bytes } => Some(Arc::new(Cache::new(bytes))),
        };
        options.connect.cache.clone_from(&cache);
        let ticker = Ticker::new();
        let (read_ms, write_ms) = (millis(options.connect.timeouts.read), millis(options.connect.timeouts.write));
        let connect = Arc::new(options.connect.clone());
        let changed = Arc::new(Notify::new());
        let (naming, steps) = (Arc::clone(&connect.naming), Arc::<Steps>::default());
        let stepping = Stepping::new(topology.step(), &naming, &steps);
        let snapshot = Snapshot::build(topology, stepping, None, &connect, &ticker, &changed);
        let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));
        let making = Arc::default();
        let scripts = Arc::<Scripts>::default();
        let reloading =
            reload::keep_loaded(Arc::clone(&snapshot), Arc::clone(&changed), Arc::clone(&scripts), write_ms);
        let write = connect.timeouts.write;
        let suspects = Arc::new(Suspects::new(if arbiter.is_some() { write.saturating_mul(2) } else { write }));
        let tales = arbiter.as_ref().map(|_| Arc::new(Tales::new(connect.timeouts.write)));
        let by = connect.naming.client().unwrap_or("a client").to_owned();
        let fences = arbiter.map(|arbiter| Fences::new(arbiter, by, options.unfenced));
        Arc::new_cyclic(|core| Core {
            paying: fences.as_ref().map(|fences| tokio::spawn(fences.keep_paying(Weak::clone(core)))),
            telling: tales.as_ref().map(|tales| tokio::spawn(heal::keep_telling(Weak::clone(core), Arc::clone(tales)))),
            fences,
            tales,
            healing: tokio::spawn(heal::keep_healing(Weak::clone(core), Arc::clone(&suspects))),
            suspects,
            reloading: tokio::spawn(reloading),
            scripts,
            pause: Arc::default(),
            linking: tokio::spawn(keep_linked(Arc::clone(&snapshot), Arc::clone(&making), Arc::clone(&changed))),
            renaming: tokio::spawn(stepping::keep_named(Arc::clone(&snapshot), Arc::clone(&naming), steps)),
            snapshot,
            making,
            options,
            connect,
            naming,
            ticking: tokio::spawn(Arc::clone(&ticker).run()),
            ticker,
            changed,
            changes: Arc::default(),
            counters: Counters::default(),
            unknown: unknown::Known::default(),
            stripes: Stripes::new(),
            states: States::new(),
            cache,
            read_ms,
            write_ms,
            runtime: Handle::current(),
        })
    }

    /// Uses another topology from now on. Connections to members that have not changed are kept.
    pub(crate) fn adopt(&self, topology: Arc<Topology>) {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.snapshot.load_full();
        let stepping = old.stepping.successor(topology.step());
        let new = Snapshot::build(topology, stepping, Some(&old), &self.connect, &self.ticker, &self.changed);
        // An idle connection may keep the old snapshot for long; whoever is not in the new one is left all the same.
        for seat in old.seats.iter().filter(|seat| new.topology.find(seat.node.id()).is_none()) {
            seat.node.retarget(None);
        }
        let new = Arc::new(new);
        self.snapshot.store(Arc::clone(&new));
        if new.step != old.step {
            old.stepping.supersede(new.step);
            // A gate may have waited for this.
            new.seats.iter().filter(|seat| seat.node.link().is_none()).for_each(|seat| seat.node.hurry());
        }
        self.changed.notify_waiters();
    }

    /// Waits until every member that is up has been connected to, or has been tried once.
    ///
    /// # Errors
    /// The trouble of one of them when none could be reached.
    pub(crate) async fn ready(&self) -> Result<()> {
        let snapshot = self.snapshot.load_full();
        let up: Vec<&Seat> = snapshot.seats.iter().filter(|seat| seat.up).collect();
        let tried = futures_util::future::join_all(up.iter().map(|seat| seat.node.tried()));
        // Each attempt ends by itself; this only bounds a runtime that does not get round to it.
        let _ = tokio::time::timeout(self.connect.timeouts.connect.saturating_mul(4), tried).await;
        if up.is_empty() || up.iter().any(|seat| seat.node.link().is_some()) {
            relink(&self.snapshot, &self.making);
            return Ok(());
        }
        let troubles: Vec<Error> = up.iter().filter_map(|seat| seat.node.trouble()).collect();
        // Wrong credentials are the same everywhere and need a human; they are said first.
        if let Some(denied) = troubles.iter().find(|error| error.kind() == ErrorKind::Denied) {
            return Err(denied.clone());
        }
        Err(troubles.first().cloned().map_or_else(
            || Error::new(ErrorKind::Unreachable, "no member answered in time"),
            |cause| {
                let error = Error::new(cause.kind(), "none of the members that are up can be used");
                let error = match cause.hint() {
                    Some(hint) => error.with_hint(hint),
                    None => error.with_hint("check that the servers run and can be reached from here"),
                };
                error.with_source(cause)
            },
        ))
    }

    /// The shared cell that connections read their snapshots from.
    pub(crate) fn snapshots(&self) -> &Arc<ArcSwap<Snapshot>> {
        &self.snapshot
    }

    /// The topology in use.
    pub(crate) fn topology(&self) -> Arc<Topology> {
        Arc::clone(&self.snapshot.load().topology)
    }

    /// What has been counted so far.
    pub(crate) fn stats(&self) -> Stats {
        let invalidations = self.cache.as_ref().map_or(0, |cache| cache.invalidations());
        Stats { cache_invalidations: invalidations, ..self.counters.read() }
    }

    /// The next part of an iteration over the ring's keys.
    pub(crate) async fn scan(&self, cmd: &Cmd, from: Option<Position>) -> Result<Part> {
        whole::scan(self, &self.snapshot.load_full(), cmd, from).await
    }

    /// How many keys there are.
    pub(crate) async fn dbsize(&self) -> Result<DbSize> {
        whole::dbsize(self, &self.snapshot.load_full()).await
    }

    /// Asks one member.
    ///
    /// # Errors
    /// As [`Core::run`].
    pub(crate) async fn ask_member(self: &Arc<Core>, id: &NodeId, cmd: &Cmd) -> redis::RedisResult<Value> {
        member::ask(self, id, cmd).await
    }

    /// With fixed membership: accepts the process that now answers for a member.
    pub(crate) fn trust(&self, id: &NodeId) -> Result<()> {
        let snapshot = self.snapshot.load();
        let (index, _) = snapshot.topology.find(id).ok_or_else(|| member::unknown(id))?;
        let node = &snapshot.seat(index).node;
        node.trust_anew();
        if let Some(process) = node.process() {
            report::trusted(self, &snapshot, id, &process);
        }
        Ok(())
    }

    /// The members that there is a connection to, by id, as the topology has them.
    pub(crate) fn connected(&self) -> Vec<NodeId> {
        let snapshot = self.snapshot.load();
        let connected = snapshot.seats.iter().filter(|seat| seat.node.link().is_some());
        connected.map(|seat| seat.node.id().clone()).collect()
    }

    /// What every connection of this client is made with, and where its tasks run.
    pub(crate) fn connecting(&self) -> (Arc<ConnectOptions>, Arc<Ticker>, Handle) {
        (Arc::clone(&self.connect), Arc::clone(&self.ticker), self.runtime.clone())
    }

    /// Runs one command. What can be decided before anything is sent is decided here, so that the future of each kind
    /// of command holds only what that kind needs.
    ///
    /// # Errors
    /// The ring's own errors are found with [`Error::of_redis`]; a server's error reply is in the value.
    #[inline]
    pub(crate) fn run<'a>(
        self: &'a Arc<Core>,
        snapshot: &'a Arc<Snapshot>,
        senders: &'a mut Senders,
        cmd: &'a Cmd,
    ) -> RedisFuture<'a, Value> {
        match command::plan(cmd) {
            Ok(plan @ Plan::Read { key, row }) => {
                if let Some(cache) = &self.cache
                    && row.cache == Caching::UntilWritten
                    && !cmd.is_no_response()
                {
                    return read_cached(self, cache, snapshot, senders, cmd, key);
                }
                let token = Token::of_key(key);
                match row.answer {
                    Answer::Whole => boxed(|| read::read(self, snapshot, senders, cmd, token)),
                    Answer::Part => Box::pin(part::read(self, snapshot, cmd, token)),
                    Answer::LacksScript => self.run_other(snapshot, cmd, Ok(plan)),
                }
            }
            Ok(plan @ Plan::Write { key, repeat: Repeat::Absolute | Repeat::Deterministic, .. }) => {
                let token = Token::of_key(key);
                if self.cache.is_some() {
                    return write_cached(self, snapshot, cmd, plan, token);
                }
                boxed(|| write::write(self, snapshot, cmd, plan, token))
            }
            plan => self.run_other(snapshot, cmd, plan),
        }
    }

    /// All but the commands that most calls are.
    #[cold]
    fn run_other<'a>(
        self: &'a Arc<Core>,
        snapshot: &'a Arc<Snapshot>,
        cmd: &'a Cmd,
        plan: Result<Plan<'a>, Refusal>,
    ) -> RedisFuture<'a, Value> {
        match plan {
            Ok(Plan::Publish { channel, .. }) => {
                Box::pin(publish::publish(self, snapshot, cmd, Token::of_key(channel)))
            }
            Ok(Plan::Channels { .. }) => Box::pin(channels::ask(self, snapshot, cmd)),
            Ok(plan @ Plan::Write { key, .. }) => {
                let token = Token::of_key(key);
                Box::pin(async move { script::write(self, snapshot, cmd, &plan, token).await.map_err(Into::into) })
            }
            Ok(Plan::Read { row, key }) => Box::pin(script::read_only(self, snapshot, cmd, row, Token::of_key(key))),
            Ok(Plan::Keyless { row }) => Box::pin(script::keyless(self, snapshot, cmd, row)),
            Ok(Plan::Split { row, merge }) => {
                Box::pin(async move { split::run(self, snapshot, cmd, row, merge).await.map_err(Into::into) })
            }
            Ok(plan @ Plan::Wait { .. }) => {
                Box::pin(async move { wait::run(self, snapshot, cmd, plan).await.map_err(Into::into) })
            }
            Ok(Plan::WholeRing { row }) => Box::pin(whole::run(self, snapshot, cmd, row)),
            Ok(Plan::AnyMember { .. }) => Box::pin(whole::ask_any(self, snapshot, cmd)),
            Err(refusal) if refusal.kind == RefusalKind::Unknown => {
                Box::pin(async move { unknown::run(self, snapshot, cmd, refusal).await.map_err(Into::into) })
            }
            Err(refusal) => Box::pin(std::future::ready(Err(self.refused(refusal)))),
        }
    }

    /// Runs the commands of a pipeline, as [`redis::aio::ConnectionLike::req_packed_commands`] has them.
    pub(crate) async fn run_all(
        self: &Arc<Core>,
        snapshot: &Arc<Snapshot>,
        pipeline: &Pipeline,
    ) -> redis::RedisResult<Vec<Value>> {
        pipeline::run(self, snapshot, pipeline).await
    }

    /// Whether the ring has had another step since this snapshot. What was read with it may be of a member that is not written
    /// any more, if the reply came since then, and must be read again.
    #[inline]
    fn is_past(&self, snapshot: &Snapshot) -> bool {
        self.naming.known() > snapshot.step
    }

    /// To be held by everything that writes these keys, on whatever connection, from before it is sent until after it is
    /// answered: whoever sees the answer must not be given an older reply from the cache.
    fn writing(&self, tokens: impl IntoIterator<Item = Token>) -> Option<Writing<'_>> {
        self.cache.as_ref().map(|cache| Writing::begin(cache, Some(tokens.into_iter().collect())))
    }

    /// As [`Core::writing`], for what may write any key.
    fn writing_all(&self) -> Option<Writing<'_>> {
        self.cache.as_ref().map(|cache| Writing::begin(cache, None))
    }

    #[cold]
    fn refused(&self, refusal: Refusal) -> redis::RedisError {
        self.refusal(refusal).into()
    }

    fn refusal(&self, refusal: Refusal) -> Error {
        tracing::debug!(command = %refusal.command, "refused");
        let hint = refusal.hint;
        Error::new(ErrorKind::Refused, refusal.to_string()).with_hint(hint)
    }
}

/// Apart from [`Core::run`], which is shorter for it where there is no cache.
#[inline(never)]
fn read_cached<'a>(
    core: &'a Core,
    cache: &'a Cache,
    snapshot: &'a Arc<Snapshot>,
    senders: &'a mut Senders,
    cmd: &'a Cmd,
    key: &'a [u8],
) -> RedisFuture<'a, Value> {
    boxed(|| cached::read(core, cache, snapshot, senders, cmd, key))
}

/// Likewise.
#[inline(never)]
fn write_cached<'a>(
    core: &'a Arc<Core>,
    snapshot: &'a Arc<Snapshot>,
    cmd: &'a Cmd,
    plan: Plan<'a>,
    token: Token,
) -> RedisFuture<'a, Value> {
    Box::pin(async move {
        let _writing = core.writing([token]);
        write::write(core, snapshot, cmd, plan, token).await
    })
}

/// As `Box::pin`, but the box is there before the future, which is made in it: `Box::pin` copies the whole of it, room
/// for all that it may ever hold included.
#[inline(always)]
fn boxed<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    let place = Box::new_uninit();
    Box::into_pin(Box::write(place, make()))
}

impl Snapshot {
    fn build(
        topology: Arc<Topology>,
        stepping: Arc<Stepping>,
        old: Option<&Snapshot>,
        connect: &Arc<ConnectOptions>,
        ticker: &Arc<Ticker>,
        changed: &Arc<Notify>,
    ) -> Snapshot {
        let known: HashMap<&NodeId, &Seat> =
            old.map(|old| old.seats.iter().map(|seat| (seat.node.id(), seat)).collect()).unwrap_or_default();
        // Those that join are connected to before the first write is to reach them.
        let is_moving = matches!(topology.phase(), Phase::Filling | Phase::Syncing);
        let seats: Box<[Seat]> = topology
            .members()
            .iter()
            .map(|member| {
                let address = member.addr.as_deref().and_then(|addr| match addr.parse::<Address>() {
                    Ok(address) => Some(address),
                    Err(error) => {
                        tracing::warn!(node = %member.id, %error, "its address cannot be used");
                        None
                    }
                });
                let readable = member.state == State::Up || sabotage::is(Sabotage::TrustReturning);
                let up = readable && address.is_some();
                let gaining = member.state == State::Joining && is_moving;
                let target = address.filter(|_| up || gaining).map(|address| Target {
                    address,
                    run_id: member.run_id.clone(),
                    generation: member.run_id.as_ref().map(|_| member.generation),
                });
                let lapse = Lapse::of(member, known.get(&member.id).map(|seat| seat.lapse));
                match known.get(&member.id) {
                    Some(seat) => {
                        seat.node.retarget(target);
                        Seat { node: Arc::clone(&seat.node), link: seat.node.link(), up, lapse }
                    }
                    None => Seat {
                        node: Node::start(member.id.clone(), target, Arc::clone(connect), ticker, changed),
                        link: None,
                        up,
                        lapse,
                    },
                }
            })
            .collect();
        let gated = topology.phase() == Phase::Syncing && topology.next().is_some();
        let unsettled = Snapshot::unsettled(&topology, &seats);
        Snapshot { step: topology.step(), topology, stepping, seats, unsettled, gated }
    }

    fn unsettled(topology: &Topology, seats: &[Seat]) -> Option<Instant> {
        fence::last_end(topology, topology.members().iter().zip(seats).map(|(member, seat)| (member, seat.lapse)))
    }

    /// Whether some may still read a member that writes skip. Almost always this is one comparison.
    #[inline]
    fn is_unsettled(&self) -> bool {
        self.unsettled.is_some_and(|until| Instant::now() < until)
    }

    pub(crate) fn topology(&self) -> &Topology {
        &self.topology
    }

    /// Whether a write of this token has to ask its primary's gate who gets it beside the owners: members gain the token,
    /// and each of them gets what is written after everything before was copied to it.
    #[inline]
    fn is_gated(&self, token: Token) -> bool {
        self.gated && self.topology.gainers(token).next().is_some()
    }

    #[inline]
    fn seat(&self, index: MemberIndex) -> &Seat {
        &self.seats[index.get()]
    }
}

impl Seat {
    /// The connection, borrowed. There may be another one already that the snapshot does not know yet.
    #[inline]
    fn live(&self) -> Option<&Arc<Link>> {
        self.link.as_ref().filter(|link| link.is_open())
    }

    /// The connection of a member that may be read in its turn: one that is up, and neither silent nor failing.
    #[inline]
    fn trusted(&self) -> Option<&Arc<Link>> {
        let link = self.live().filter(|link| self.up && !link.is_silent())?;
        self.node.is_trusted().then_some(link)
    }

    /// The connection, if there is one.
    #[inline]
    fn link(&self) -> Option<Arc<Link>> {
        self.live().cloned().or_else(|| self.node.link())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Follows the connections that come and go; its owner aborts it.
async fn keep_linked(snapshot: Arc<ArcSwap<Snapshot>>, making: Arc<Mutex<()>>, changed: Arc<Notify>) {
    loop {
        // A waiter registered before looking misses no change.
        let mut changed = pin!(changed.notified());
        changed.as_mut().enable();
        relink(&snapshot, &making);
        changed.await;
    }
}

/// Puts the connections that there are now into the snapshot.
fn relink(snapshot: &ArcSwap<Snapshot>, making: &Mutex<()>) {
    let _making = making.lock().unwrap_or_else(PoisonError::into_inner);
    let old = snapshot.load_full();
    let links: Vec<Option<Arc<Link>>> = old.seats.iter().map(|seat| seat.node.link()).collect();
    let same = |(seat, link): (&Seat, &Option<Arc<Link>>)| match (&seat.link, link) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    if old.seats.iter().zip(&links).all(same) {
        return;
    }
    let seats = old.seats.iter().zip(links);
    let seats = seats.map(|(seat, link)| Seat { node: Arc::clone(&seat.node), link, up: seat.up, lapse: seat.lapse });
    let topology = Arc::clone(&old.topology);
    let (step, stepping, gated, unsettled) = (old.step, Arc::clone(&old.stepping), old.gated, old.unsettled);
    let seats = seats.collect();
    snapshot.store(Arc::new(Snapshot { topology, step, stepping, seats, unsettled, gated }));
}
