//! One run: a ring, clients, and rounds of faults under load.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use redis::{AsyncCommands as _, Cmd, RedisResult, cmd};
use redis_ring::{RingClient, RingConnection};

use crate::check::{self, Findings, Kind, Violation};
use crate::client::{Client, Order, Report, Round};
use crate::faults::{self, Fault, Window};
use crate::history::{self, Act, End, Op, Workload, now};
use crate::report::{self, Rows};
use crate::ring::{Ring, Shape};
use crate::workloads::Space;

pub const MEMBERS: usize = 5;
const CLIENTS: usize = 4;
const WORKERS: usize = 6;
/// Operations a second of each worker; a debug build on two cores shares them with the servers.
const RATE: f64 = 30.0;
/// Fewer events than these, and a checker has proved nothing.
const ENOUGH: usize = 1000;
/// An operation on a key of the member, in the fault's time: fewer, and the fault met no traffic.
const TRAFFIC: usize = 10;
/// Reads at the end, side by side.
const AT_ONCE: usize = 32;
const BEFORE: Duration = Duration::from_millis(500);
/// A late fence comes within this time after the fault; until then the ring only seems whole.
const QUIET: Duration = Duration::from_millis(800);
const HEALED_WITHIN: Duration = Duration::from_secs(60);

/// One fault to be made.
#[derive(Clone, Copy, Debug)]
pub struct Planned {
    pub fault: Fault,
    pub member: usize,
    pub client: usize,
    pub length: Duration,
}

/// What all rounds together have shown.
#[derive(Default)]
pub struct Results {
    pub findings: Findings,
    pub rows: Rows,
    pub keys: usize,
}

/// A ring under load.
pub struct Run {
    ring: Ring,
    clients: Vec<Client>,
    own: RingClient,
    folder: PathBuf,
    rounds: usize,
    /// How long the ring may take to be whole again.
    pub patience: Duration,
    pub results: Results,
}

impl Run {
    pub async fn start(folder: &Path, sabotage: Option<&str>) -> Run {
        let shape = Shape { members: MEMBERS, proxied: true, sabotage };
        let ring = Ring::start(shape, folder).await;
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            clients.push(Client::start(number, &ring.url, folder, sabotage).await);
        }
        for member in &ring.members {
            let proxy = member.proxy.as_ref().expect("a proxy");
            proxy.tell_apart(clients.iter().map(Client::pid)).await;
        }
        // A connection is somebody's from its beginning.
        for member in &ring.members {
            member.proxy.as_ref().expect("a proxy").cut().await;
        }
        let own = ring.client().await;
        let folder = folder.to_owned();
        Run { ring, clients, own, folder, rounds: 0, patience: HEALED_WITHIN, results: Results::default() }
    }

    /// Load, the faults one after the other, and all checks. `false` when it is no use to go on.
    pub async fn round(&mut self, planned: &[Planned], seed: u64) -> bool {
        self.rounds += 1;
        let space = Space { prefix: format!("r{}", self.rounds), clients: CLIENTS, workers: WORKERS };
        let files: Vec<PathBuf> =
            (0..CLIENTS).map(|number| self.folder.join(format!("round-{}-{number}.jsonl", self.rounds))).collect();
        for (client, file) in self.clients.iter_mut().zip(&files) {
            let round = Round { space: space.clone(), file: file.clone(), seed, rate: RATE, plain: false };
            assert_eq!(client.tell(&Order::Start(round)).await, Report::Started);
        }
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
        let mut stopped = Vec::new();
        for client in &mut self.clients {
            stopped.push(client.tell(&Order::Stop).await);
        }
        let goes_on = findings.violations.is_empty();
        let settled = now();
        let mut ops: Vec<Op> = files.iter().flat_map(|file| history::read(file)).collect();
        let keys: BTreeMap<String, Workload> = ops.iter().map(|op| (op.key().to_owned(), op.workload)).collect();
        if goes_on && let Err(why) = self.until_whole(Duration::ZERO).await {
            findings.violations.push(violation(Kind::NotWhole, format!("at the end of the round: {why}")));
        }
        ops.extend(self.read_all(&ops, &keys).await);
        ops.sort_by_key(|op| op.begun);
        findings.add(check::history(&ops, settled));
        if goes_on {
            let (differing, compared) = check::copies::compare(&self.ring, &self.own, &keys).await;
            findings.add(differing);
            self.results.keys += compared;
        }
        self.met_traffic(&windows, &ops, &mut findings);
        if !findings.violations.is_empty() {
            let text = format!("{}\n\n{stopped:#?}", self.ring.status(&self.folder));
            std::fs::write(self.folder.join("status.txt"), text).expect("room on the disk");
        }
        report::add(&mut self.results.rows, &ops, &windows, &findings);
        let clean = findings.violations.is_empty();
        self.results.findings.add(findings);
        if clean {
            files.iter().for_each(|file| std::fs::remove_file(file).expect("the history"));
        }
        self.clear(&keys).await;
        goes_on
    }

    async fn one(&mut self, planned: &Planned) -> (Window, Result<(), String>) {
        let Planned { fault, member, client, length } = *planned;
        let mut window = faults::make(fault, &self.ring, member, &self.clients[client], length).await;
        let healed = self.until_whole(QUIET).await;
        window.whole = healed.clone().unwrap_or_else(|_| now());
        (window, healed.map(|_| ()))
    }

    /// Waits until the ring has been whole for a while, and says since when.
    async fn until_whole(&mut self, quiet: Duration) -> Result<u64, String> {
        let deadline = Instant::now() + self.patience;
        let mut since: Option<u64> = None;
        loop {
            match self.whole().await {
                Ok(()) => {
                    let since = *since.get_or_insert_with(now);
                    if Duration::from_nanos(now() - since) >= quiet {
                        return Ok(since);
                    }
                }
                Err(why) if Instant::now() > deadline => {
                    return Err(format!("not whole within {:?}: {why}", self.patience));
                }
                Err(_) => since = None,
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn whole(&mut self) -> Result<(), String> {
        self.ring.whole().await?;
        for client in &mut self.clients {
            match client.tell(&Order::Suspects).await {
                Report::Suspects(0) => {}
                other => return Err(format!("client {}: {other:?}", client.number)),
            }
        }
        Ok(())
    }

    /// What everything is at the end, read through the ring.
    async fn read_all(&self, ops: &[Op], keys: &BTreeMap<String, Workload>) -> Vec<Op> {
        let mut cells: BTreeMap<&str, (Workload, bool)> = BTreeMap::new();
        for op in ops.iter().filter(|op| !op.act.is_read()) {
            cells.entry(&op.cell).or_insert((op.workload, matches!(op.act, Act::Push(_))));
        }
        let looks = cells.into_iter().map(|(cell, (workload, is_list))| {
            let mut connection = self.own.connection();
            async move {
                let begun = now();
                let end = look(&mut connection, cell, is_list).await;
                let end = end.unwrap_or_else(|error| End::Unknown(error.to_string()));
                Op { client: CLIENTS, workload, cell: cell.to_owned(), act: Act::Read, begun, ended: now(), end }
            }
        });
        let read: Vec<Op> = futures_util::stream::iter(looks).buffer_unordered(AT_ONCE).collect().await;
        debug_assert!(read.iter().all(|op| keys.contains_key(op.key())));
        read
    }

    fn met_traffic(&self, windows: &[Window], ops: &[Op], findings: &mut Findings) {
        for window in windows {
            let met = ops.iter().filter(|op| {
                let concerned = window.client.is_none_or(|client| op.client == client);
                concerned
                    && op.begun <= window.ended.max(window.begun + QUIET.as_nanos() as u64)
                    && op.ended >= window.begun
            });
            let owned = met.filter(|op| {
                let owners = self.own.locate(op.key()).owners;
                owners.iter().any(|id| self.ring.number_of(id) == window.member)
            });
            if owned.take(TRAFFIC).count() < TRAFFIC {
                let text = format!("{} of redis-{} met no traffic", window.fault.name(), window.member);
                findings.violations.push(violation(Kind::TooLittle, text));
            }
        }
    }

    /// Later rounds have keys of their own, and need the room.
    async fn clear(&self, keys: &BTreeMap<String, Workload>) {
        let mut connection = self.own.connection();
        let keys: Vec<&String> = keys.keys().collect();
        for some in keys.chunks(200) {
            // What remains is in nobody's way.
            let _: RedisResult<u64> = connection.unlink(some).await;
        }
    }

    /// What is judged at the end of all rounds.
    pub fn finish(mut self) -> Results {
        let events = &self.results.findings.events;
        let mut seen: Vec<(String, usize)> = Workload::ALL
            .iter()
            .map(|workload| (format!("{workload:?}"), events.get(workload).copied().unwrap_or_default()))
            .collect();
        seen.push(("the comparison of owners".to_owned(), self.results.keys));
        for (checker, count) in seen.into_iter().filter(|(_, count)| *count < ENOUGH) {
            let text = format!("{checker} saw {count} events, of {ENOUGH}");
            self.results.findings.violations.push(violation(Kind::TooLittle, text));
        }
        self.results
    }
}

fn violation(kind: Kind, text: String) -> Violation {
    Violation { kind, workload: None, at: now(), text }
}

async fn look(connection: &mut RingConnection, cell: &str, is_list: bool) -> RedisResult<End> {
    let (key, field) = cell.split_once('#').map_or((cell, None), |(key, field)| (key, Some(field)));
    if is_list {
        return Ok(End::Numbers(connection.lrange(key, 0, -1).await?));
    }
    let text: Option<String> = match field {
        // Sorted sets are those whose letter says so.
        Some(field) if key.split(':').nth(1) == Some("z") => ask(connection, cmd("ZSCORE").arg(key).arg(field)).await?,
        Some(field) => ask(connection, cmd("HGET").arg(key).arg(field)).await?,
        None => ask(connection, cmd("GET").arg(key)).await?,
    };
    Ok(number_of(cell, text))
}

async fn ask(connection: &mut RingConnection, cmd: &Cmd) -> RedisResult<Option<String>> {
    cmd.query_async(connection).await
}

/// Plain numbers, and those under a name.
fn number_of(cell: &str, text: Option<String>) -> End {
    let Some(text) = text else { return End::Number(None) };
    let number = text.strip_prefix(cell).and_then(|rest| rest.strip_prefix('=')).unwrap_or(&text);
    number.parse().map_or(End::Nonsense(text.clone()), |number| End::Number(Some(number)))
}
