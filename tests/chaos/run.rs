//! One run: a ring, clients, and rounds of faults under load.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use redis::cmd;
use redis_ring::RingClient;

use crate::check::{self, Course, Cut, Findings, Kind, Violation};
use crate::client::{Client, Order, Report, Round};
use crate::faults::{self, Fault, Window};
use crate::history::{self, Op, Workload, now};
use crate::last;
use crate::report::{self, Rows};
use crate::ring::{Member, Ring, Shape};
use crate::stalls::{self, Stalls};
use crate::support::{SOON, eventually};
use crate::workloads::Space;

/// Who there is, and what they do.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    pub members: usize,
    pub clients: usize,
    /// Of each client.
    pub workers: usize,
    /// Operations a second of each worker.
    pub rate: f64,
    /// Plain operations only, to be measured.
    pub plain: bool,
    /// Whether there are proxies, which faults of the network need.
    pub proxied: bool,
    /// What all do without.
    pub sabotage: Option<&'a str>,
}

impl Setup<'_> {
    /// All workloads. A debug build on two cores shares them with the servers.
    pub const CHAOS: Setup<'static> =
        Setup { members: 5, clients: 4, workers: 6, rate: 30.0, plain: false, proxied: true, sabotage: None };
}

/// An operation on a key of the member, in the fault's time: fewer, and the fault met no traffic.
const TRAFFIC: usize = 10;
const BEFORE: Duration = Duration::from_millis(500);
/// A late fence comes within this time after the fault; until then the ring only seems whole.
const QUIET: Duration = Duration::from_millis(800);
const POLL: Duration = Duration::from_millis(50);
const HEALED_WITHIN: Duration = Duration::from_secs(60);
/// How often a round is made that proves nothing.
const TRIES: u32 = 3;
/// How many of a few rounds may be made again; of many, a quarter.
const MADE_AGAIN: usize = 3;

/// One fault to be made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Planned {
    pub fault: Fault,
    pub member: usize,
    pub client: usize,
    pub length: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Load {
    GoesOn,
    Ended,
}

/// What all rounds together have shown.
#[derive(Default)]
pub struct Results {
    pub findings: Findings,
    pub rows: Rows,
    pub keys: usize,
}

/// What a round has shown.
pub struct Played {
    pub ops: Vec<Op>,
    pub windows: Vec<Window>,
    pub findings: Findings,
    /// When the load had ended.
    pub settled: u64,
    goes_on: bool,
    /// When the machine stood still.
    stalls: Vec<(u64, u64)>,
}

/// A ring under load.
pub struct Run {
    ring: Ring,
    clients: Vec<Client>,
    own: RingClient,
    folder: PathBuf,
    /// What a client is told, but for what is each one's and each round's own.
    round: Round,
    rounds: usize,
    made_again: usize,
    begun: Instant,
    stalls: Stalls,
    /// How long the ring may take to be whole again.
    pub patience: Duration,
    pub results: Results,
}

impl Run {
    pub async fn start(folder: &Path, setup: Setup<'_>) -> Run {
        let begun = Instant::now();
        let Setup { members, proxied, sabotage, .. } = setup;
        let ring = Ring::start(Shape { members, proxied, sabotage }, folder).await;
        let mut clients = Vec::new();
        for number in 0..setup.clients {
            clients.push(Client::start(number, &ring.url, folder, sabotage).await);
        }
        for proxy in ring.members.iter().filter_map(|member| member.proxy.as_ref()) {
            proxy.tell_apart(clients.iter().map(Client::pid)).await;
            // A connection is somebody's from its beginning.
            proxy.cut().await;
            let known = || clients.iter().all(|client| proxy.met(client.pid()).accepted > 0);
            eventually(SOON, "every client is known to the proxy", || async { known() }).await;
        }
        let own = ring.client().await;
        let round = Round {
            space: Space { prefix: String::new(), clients: setup.clients, workers: setup.workers },
            file: PathBuf::new(),
            seed: 0,
            rate: setup.rate,
            plain: setup.plain,
        };
        let (results, stalls) = (Results::default(), Stalls::watch());
        Run {
            ring,
            clients,
            own,
            folder: folder.to_owned(),
            round,
            rounds: 0,
            made_again: 0,
            stalls,
            begun,
            patience: HEALED_WITHIN,
            results,
        }
    }

    /// What looks at servers finds what it is there for: copies that differ, and a ring that is not whole.
    ///
    /// # Panics
    /// Where it does not.
    pub async fn prove(&mut self) {
        const KEY: &str = "proof";
        let keys = BTreeMap::from([(KEY.to_owned(), Workload::Set)]);
        let owners: Vec<usize> = self.own.locate(KEY).owners.iter().map(|id| self.ring.number_of(id)).collect();
        for (value, differs) in [("same", false), ("other", true)] {
            for (place, owner) in owners.iter().enumerate() {
                let value = if place == 0 { "same" } else { value };
                let _: () = self.ring.members[*owner].patiently(SOON, cmd("SET").arg(KEY).arg(value)).await;
            }
            let found = last::compare(&self.ring, &self.own, &keys).await;
            assert_eq!(!found.is_empty(), differs, "copies, of which one is {value:?}: {found:?}");
        }
        for owner in owners {
            let _: u64 = self.ring.members[owner].patiently(SOON, cmd("DEL").arg(KEY)).await;
        }
        let patience = std::mem::replace(&mut self.patience, Duration::ZERO);
        self.ring.members[0].server.stop().expect("the server stops");
        let whole = self.until_whole().await;
        self.ring.members[0].server.cont().expect("the server goes on");
        self.patience = patience;
        assert!(whole.is_err(), "a ring is whole, and one of its servers hangs");
        self.until_whole().await.expect("the ring is whole again");
    }

    /// Load, the faults one after the other, and all checks; once more if that proves nothing. `false` when it is no use to
    /// go on.
    pub async fn round(&mut self, planned: &[Planned], seed: u64) -> bool {
        let (mut tries, rate) = (1, self.round.rate);
        let played = loop {
            let played = self.play(planned, seed, Duration::ZERO).await;
            let excuse = stalls::excuse(&played.findings.violations, &played.stalls);
            match excuse.filter(|_| played.goes_on && tries < TRIES) {
                Some(why) => self.say(&format!("the round is made again: {why}")),
                None => break played,
            }
            self.made_again += 1;
            tries += 1;
            // Whatever the machine could not do, it may do with less to do.
            if played.findings.violations.iter().any(|violation| violation.kind != Kind::TooLittle) {
                self.round.rate = rate / f64::from(tries);
            }
        };
        self.round.rate = rate;
        report::add(&mut self.results.rows, &played.ops, &played.windows, &played.findings);
        self.results.findings.add(played.findings);
        played.goes_on
    }

    /// As [`Run::round`], with the load going on for a while after the last fault; what came of it is the caller's.
    pub async fn play(&mut self, planned: &[Planned], seed: u64, after: Duration) -> Played {
        self.rounds += 1;
        let mut files = Vec::new();
        for client in &mut self.clients {
            let mut round = Round { seed, ..self.round.clone() };
            round.space.prefix = format!("r{}", self.rounds);
            round.file = self.folder.join(format!("round-{}-{}.jsonl", self.rounds, client.number));
            files.push(round.file.clone());
            assert_eq!(client.tell(&Order::Start(round)).await, Report::Started);
        }
        self.watch();
        // What was before is no part of it.
        self.stalls.longest();
        self.stalls.long();
        tokio::time::sleep(BEFORE).await;
        let mut findings = Findings::default();
        let mut windows = Vec::new();
        for planned in planned {
            let (window, healed) = self.one(planned).await;
            windows.push(window);
            if let Err(why) = healed {
                let text = format!("after {} of redis-{}: {why}", planned.fault.name(), planned.member);
                findings.violations.push(violation(Kind::NotWhole, text));
                break;
            }
        }
        tokio::time::sleep(after).await;
        let mut stopped = Vec::new();
        for client in &mut self.clients {
            stopped.push(client.tell(&Order::Stop).await);
        }
        let goes_on = findings.violations.is_empty();
        let settled = now();
        let mut stalls = self.stalls.long();
        self.say("the load has ended");
        let mut ops: Vec<Op> = files.iter().flat_map(|file| history::read(file)).collect();
        let keys: BTreeMap<String, Workload> = ops.iter().map(|op| (op.key().to_owned(), op.workload)).collect();
        if goes_on {
            ops.extend(last::read_all(&self.own, self.clients.len(), &ops).await);
        }
        ops.sort_by_key(|op| op.begun);
        let faults = windows.iter().map(Window::with_its_end).collect();
        let cuts = windows.iter().filter(|window| window.cuts(&stalls)).map(|window| self.cut(window, &keys)).collect();
        stalls.extend(self.stalls.long());
        // Who stood still meanwhile was later by as much.
        let late = |(from, to): (u64, u64)| (from.saturating_sub(stalls::within(&stalls, from, to)), to);
        let fenced = self.ring.fences.so_far().await.into_iter().map(late).collect();
        let course = Course { settled, fenced, faults, cuts, stalls: stalls.clone() };
        findings.add(check::history(&ops, &course));
        if goes_on {
            self.compare(&keys, &mut findings).await;
        }
        stalls.extend(self.stalls.long());
        self.say(&format!("{} operations are judged", ops.len()));
        self.met_traffic(&windows, &ops, &mut findings);
        if findings.violations.is_empty() {
            files.iter().for_each(|file| std::fs::remove_file(file).expect("the history"));
        } else {
            let text = format!("{}\n\n{stopped:#?}", self.ring.status(&self.folder));
            let file = self.folder.join(format!("status-{}.txt", self.rounds));
            std::fs::write(file, text).expect("room on the disk");
        }
        if goes_on {
            last::clear(&self.own, &keys).await;
        }
        // Members that were cut off while they lived wait ever longer before they return, which is seen in every other
        // round; then they begin anew.
        if self.round.plain || self.rounds.is_multiple_of(2) {
            self.ring.members.iter_mut().for_each(Member::restart_agent);
            if goes_on && let Err(why) = self.until_whole().await {
                findings.violations.push(violation(Kind::NotWhole, format!("with agents that were restarted: {why}")));
            }
        }
        Played { ops, windows, findings, settled, goes_on, stalls }
    }

    fn say(&self, what: &str) {
        eprintln!("chaos: {:>6.1} s  {what}", self.begun.elapsed().as_secs_f64());
    }

    async fn one(&mut self, planned: &Planned) -> (Window, Result<(), String>) {
        let Planned { fault, member, client, length } = *planned;
        let life = self.ring.life(member).await;
        let mut window = faults::make(fault, &self.ring, member, &self.clients, client, length).await;
        let healed = self.until_whole().await;
        window.whole = healed.clone().unwrap_or_else(|_| now());
        window.outlived = self.ring.life(member).await == life;
        // A server that was killed is another process now.
        self.watch();
        let stall = self.stalls.longest();
        let (lasted, healing) = (window.ended - window.begun, window.whole - window.ended);
        let (lasted, healing) = (check::seconds(lasted), check::seconds(healing));
        let name = fault.name();
        self.say(&format!("{name} of redis-{member}: {lasted:.1} s, whole after {healing:.1} s; {stall}"));
        (window, healed.map(|_| ()))
    }

    fn cut(&self, window: &Window, keys: &BTreeMap<String, Workload>) -> Cut {
        let (from, to) = window.with_its_end();
        let holds = |key: &String| self.is_held(key, window.member);
        let keys = keys.keys().filter(|key| holds(key)).cloned().collect();
        Cut { from, to, client: window.client, keys }
    }

    /// Whether a member owns a key.
    fn is_held(&self, key: &str, member: usize) -> bool {
        self.own.locate(key).owners.iter().any(|id| self.ring.number_of(id) == member)
    }

    fn watch(&self) {
        // The proxies are in this process.
        let mut processes = vec![std::process::id()];
        processes.extend(self.clients.iter().map(Client::pid));
        processes.extend(self.ring.processes());
        self.stalls.of(processes);
    }

    /// Waits until the ring has been whole for a while, and says since when.
    async fn until_whole(&mut self) -> Result<u64, String> {
        let deadline = Instant::now() + self.patience;
        let mut since: Option<u64> = None;
        loop {
            match self.whole(Load::GoesOn).await {
                Ok(()) => {
                    let since = *since.get_or_insert_with(now);
                    if Duration::from_nanos(now() - since) >= QUIET {
                        return Ok(since);
                    }
                }
                Err(why) if Instant::now() > deadline => {
                    return Err(format!("not whole within {:?}: {why}", self.patience));
                }
                Err(_) => since = None,
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn whole(&mut self, load: Load) -> Result<(), String> {
        self.ring.whole().await?;
        if load == Load::GoesOn {
            return Ok(());
        }
        self.ring.settled().await?;
        for client in &mut self.clients {
            match client.tell(&Order::Suspects).await {
                Report::Suspects(0) => {}
                other => return Err(format!("client {}: {other:?}", client.number)),
            }
        }
        Ok(())
    }

    /// Asks both owners of every key. Only where they differ is it waited for what heals them: keys that several
    /// processes write all the time are looked at ever less often.
    async fn compare(&mut self, keys: &BTreeMap<String, Workload>, findings: &mut Findings) {
        self.results.keys += keys.len();
        let mut different = last::compare(&self.ring, &self.own, keys).await;
        if !different.is_empty() {
            self.say(&format!("{} keys differ: waiting until they do not, or nobody suspects any", different.len()));
        }
        let deadline = Instant::now() + self.patience;
        let mut quiet: Option<Instant> = None;
        let mut unsettled = None;
        while !different.is_empty() {
            let suspected = self.whole(Load::Ended).await;
            let again = different.keys().map(|key| (key.clone(), keys[key])).collect();
            different = last::compare(&self.ring, &self.own, &again).await;
            match suspected {
                Ok(()) if quiet.get_or_insert_with(Instant::now).elapsed() >= QUIET => break,
                Ok(()) => {}
                Err(why) if Instant::now() > deadline => {
                    unsettled = Some(why);
                    break;
                }
                Err(_) => quiet = None,
            }
            tokio::time::sleep(POLL).await;
        }
        findings.violations.extend(check::copies(&different, keys, unsettled.as_deref()));
    }

    fn met_traffic(&self, windows: &[Window], ops: &[Op], findings: &mut Findings) {
        for window in windows {
            let met = ops.iter().filter(|op| {
                let concerned = window.client.is_none_or(|client| op.client == client);
                concerned
                    && op.begun <= window.ended.max(window.begun + QUIET.as_nanos() as u64)
                    && op.ended >= window.begun
            });
            let owned = met.filter(|op| self.is_held(op.key(), window.member));
            let few = owned.take(TRAFFIC).count() < TRAFFIC;
            let nothing = window.nothing.clone().or_else(|| few.then(|| "it met no traffic".to_owned()));
            if let Some(why) = nothing {
                let text = format!("{} of redis-{} was none: {why}", window.fault.name(), window.member);
                findings.violations.push(violation(Kind::TooLittle, text));
            }
        }
    }

    /// What is judged at the end of all rounds: whether each checker has seen enough, too.
    pub fn finish(mut self, enough: usize) -> Results {
        let few = check::too_few(&self.results.findings.events, self.results.keys, self.round.plain, enough);
        self.results.findings.violations.extend(few);
        self.results.findings.measured.insert("rounds made again", self.made_again);
        if self.made_again > MADE_AGAIN.max(self.rounds / 4) {
            let text = format!("{} of {} rounds had to be made again", self.made_again, self.rounds);
            self.results.findings.violations.push(violation(Kind::TooLittle, text));
        }
        self.results
    }
}

fn violation(kind: Kind, text: String) -> Violation {
    Violation { kind, workload: None, at: now(), text }
}
