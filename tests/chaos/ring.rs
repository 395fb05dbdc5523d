//! What the faults are made in: servers with an agent process each, a proxy before each, and a ZooKeeper.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{Cmd, FromRedisValue, RedisError, cmd};
use redis_ring::local::{Process, RedisOptions, RedisServer, Signal, ZooKeeperOptions, ZooKeeperServer};
use redis_ring::membership::{MembershipOptions, RingUrl, Store};
use redis_ring::placement::NodeId;
use redis_ring::policy::Timeouts;
use redis_ring::{RingClient, membership::records::MemberRecord};

use tokio::sync::Mutex;

use crate::fences::Fences;
use crate::support::{FaultProxy, SOON, eventually, eventually_some, redis_with};

const BINARY: &str = env!("CARGO_BIN_EXE_redis-ring");
const FOUNDED_WITHIN: Duration = Duration::from_secs(30);

/// A server and what stands beside it.
pub struct Member {
    pub id: NodeId,
    pub server: RedisServer,
    /// What others reach it by, where there is one; its own agent does not.
    pub proxy: Option<FaultProxy>,
    agent: Process,
    asking: Mutex<Option<MultiplexedConnection>>,
    /// What starts it, and where it says what it does.
    command: Command,
    log: PathBuf,
    /// Read by the server at each start, after all other settings.
    settings: PathBuf,
}

pub struct Ring {
    pub url: String,
    pub members: Vec<Member>,
    store: Arc<Store>,
    /// When members were out of it.
    pub fences: Fences,
    zookeeper: ZooKeeperServer,
}

/// How a ring is made.
#[derive(Clone, Copy)]
pub struct Shape<'a> {
    pub members: usize,
    pub proxied: bool,
    /// What the agents do without.
    pub sabotage: Option<&'a str>,
}

impl Ring {
    /// Founds a ring. Logs and settings are in the folder.
    pub async fn start(shape: Shape<'_>, folder: &Path) -> Ring {
        let zookeeper = ZooKeeperServer::start_async(ZooKeeperOptions::fast()).await.expect("ZooKeeper starts");
        let url = zookeeper.url("/chaos");
        command(&["--ring", &url, "init", "--yes", "--members", &shape.members.to_string()], folder);
        let mut members = Vec::new();
        for number in 0..shape.members {
            members.push(Member::start(number, &url, shape, folder).await);
        }
        // A session that no busy machine ends.
        let options = MembershipOptions {
            open_timeout: FOUNDED_WITHIN,
            session_timeout: FOUNDED_WITHIN,
            ..MembershipOptions::default()
        };
        let store = Store::open(&url.parse::<RingUrl>().expect("a URL"), &options).await.expect("ZooKeeper");
        let store = Arc::new(store);
        let fences = Fences::watch(Arc::clone(&store));
        let ring = Ring { url, members, store, fences, zookeeper };
        let deadline = Instant::now() + FOUNDED_WITHIN;
        while let Err(why) = ring.whole().await {
            assert!(Instant::now() < deadline, "the ring is not founded: {why}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        ring
    }

    pub async fn client(&self) -> RingClient {
        open(&self.url).await
    }

    pub fn number_of(&self, id: &NodeId) -> usize {
        self.members.iter().position(|member| member.id == *id).expect("a member")
    }

    /// Why the ring is not whole, if it is not: all members up, nothing moves, gates open.
    ///
    /// # Errors
    /// What is lacking.
    pub async fn whole(&self) -> Result<(), String> {
        let snapshot = self.store.snapshot().await.map_err(|error| format!("ZooKeeper: {error}"))?;
        if snapshot.ring.phase != "still" {
            return Err(format!("its phase is {}", snapshot.ring.phase));
        }
        for member in &self.members {
            let record = snapshot.member(&member.id).ok_or_else(|| format!("{} has no record", member.id))?;
            if record.state != "up" {
                let reason = record.reason.as_deref().unwrap_or_default();
                return Err(format!("{} is {}: {reason}", member.id, record.state));
            }
            if GATES {
                member.gate_is_open(record).await?;
            }
        }
        Ok(())
    }

    /// Why keys may still differ, if they may: writers in different processes make suspects for as long as they write.
    ///
    /// # Errors
    /// Who has suspects.
    pub async fn settled(&self) -> Result<(), String> {
        for member in &self.members {
            let suspects: u64 = member.ask(cmd("LLEN").arg("__rr:suspects")).await?;
            if suspects > 0 {
                return Err(format!("{} has {suspects} suspects", member.id));
            }
        }
        Ok(())
    }

    /// All that it consists of.
    pub fn processes(&self) -> Vec<u32> {
        let of = |member: &Member| [member.server.pid(), Some(member.agent.pid())];
        self.members.iter().flat_map(of).chain([self.zookeeper.pid()]).flatten().collect()
    }

    /// Which life of its data a member has.
    pub async fn life(&self, member: usize) -> u64 {
        let id = &self.members[member].id;
        let life = async || self.store.snapshot().await.ok()?.member(id).map(|record| record.generation);
        eventually_some(SOON * 3, "the record of a member", life).await
    }

    /// What `status` prints.
    pub fn status(&self, folder: &Path) -> String {
        command(&["--ring", &self.url, "status"], folder)
    }
}

/// Whether members have gates.
const GATES: bool = true;

impl Member {
    async fn start(number: usize, url: &str, shape: Shape<'_>, folder: &Path) -> Member {
        let id = NodeId::new(&format!("redis-{number}")).expect("a name");
        let settings = folder.join(format!("{id}.conf"));
        std::fs::write(&settings, "").expect("room on the disk");
        let server = redis_with(RedisOptions::new().set("include", &settings)).await;
        let proxy = if shape.proxied { Some(FaultProxy::start(server.addr()).await) } else { None };
        let mut command = clean(Command::new(BINARY));
        command.args(["--ring", url, "agent", "--redis", &format!("redis://{}", server.addr()), "--id", id.as_str()]);
        if let Some(proxy) = &proxy {
            command.args(["--announce", &format!("redis://{}", proxy.addr())]);
        }
        if let Some(name) = shape.sabotage {
            command.env("REDIS_RING_SABOTAGE", name);
        }
        let log = folder.join(format!("{id}.log"));
        let agent = agent(&mut command, &log);
        Member { id, server, proxy, agent, asking: Mutex::default(), command, log, settings }
    }

    /// Ends the agent as its service manager does, and starts it again: it has forgotten how often its member came back,
    /// and so how long the next return has to wait.
    pub fn restart_agent(&mut self) {
        self.agent.signal(Signal::TERM).expect("an agent that runs");
        self.agent.wait(Instant::now() + FOUNDED_WITHIN).expect("an agent that ends");
        self.agent = agent(&mut self.command, &self.log);
    }

    async fn gate_is_open(&self, record: &MemberRecord) -> Result<(), String> {
        let gate: BTreeMap<String, String> = self.ask(cmd("HGETALL").arg("__rr:gate")).await?;
        let says = |field: &str, wanted: &str| gate.get(field).is_some_and(|value| value == wanted);
        if gate.contains_key("open") && says("run_id", &record.run_id) && says("gen", &record.generation.to_string()) {
            Ok(())
        } else {
            Err(format!("the gate of {} is {gate:?}", self.id))
        }
    }

    /// Asks the server itself, on one connection for as long as it holds: its agent ends it with all others.
    async fn ask<T: FromRedisValue>(&self, cmd: &Cmd) -> Result<T, String> {
        let mut asking = self.asking.lock().await;
        let said = async {
            if asking.is_none() {
                let client = redis::Client::open(self.server.url())?;
                *asking = Some(client.get_multiplexed_async_connection().await?);
            }
            match asking.as_mut() {
                Some(connection) => cmd.query_async(connection).await,
                None => Err((redis::ErrorKind::Client, "no connection").into()),
            }
        };
        let said = said.await;
        if said.is_err() {
            *asking = None;
        }
        said.map_err(|error: RedisError| format!("{} does not answer: {error}", self.id))
    }

    /// Likewise, until it answers.
    pub async fn patiently<T: FromRedisValue>(&self, patience: Duration, cmd: &Cmd) -> T {
        let deadline = Instant::now() + patience;
        loop {
            match self.ask(cmd).await {
                Ok(answer) => return answer,
                Err(why) => assert!(Instant::now() < deadline, "{why}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What the server holds in this moment is what it will come back with, unless it is told otherwise.
    pub async fn save(&self) {
        let _: () = self.patiently(SOON * 3, &cmd("SAVE")).await;
    }

    /// From now on it writes all that it executes to a file, and will come back with it.
    pub async fn append_to_file(&self) {
        std::fs::write(&self.settings, "appendonly yes\n").expect("room on the disk");
        let _: () = self.patiently(SOON * 3, cmd("CONFIG").arg("SET").arg("appendonly").arg("yes")).await;
        eventually(Duration::from_secs(20), "the file of commands", || async {
            let info: String = self.patiently(SOON * 3, cmd("INFO").arg("persistence")).await;
            ["aof_enabled:1", "aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0"]
                .iter()
                .all(|line| info.contains(line))
        })
        .await;
    }

    /// Forgets all that it kept on disk, so that its next start is empty.
    pub fn forget(&self) {
        std::fs::write(&self.settings, "").expect("room on the disk");
        let directory = self.server.directory();
        // What is not there needs not to be removed.
        let _ = std::fs::remove_file(directory.join("dump.rdb"));
        let _ = std::fs::remove_dir_all(directory.join("appendonlydir"));
    }

    /// A server that runs writes nothing any more.
    pub async fn stop_appending(&self) {
        let _: () = self.patiently(SOON * 3, cmd("CONFIG").arg("SET").arg("appendonly").arg("no")).await;
        self.forget();
    }
}

fn agent(command: &mut Command, log: &Path) -> Process {
    let log = std::fs::File::options().create(true).append(true).open(log).expect("a log");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    Process::spawn(command, None).expect("an agent")
}

/// Opens the ring with the default options. On a busy machine that may take more than one try.
pub async fn open(url: &str) -> RingClient {
    let deadline = Instant::now() + FOUNDED_WITHIN;
    let timeouts = Timeouts { open: FOUNDED_WITHIN, ..Timeouts::default() };
    loop {
        match RingClient::builder(url).expect("a URL").timeouts(timeouts.clone()).open().await {
            Ok(client) => return client,
            Err(error) => assert!(Instant::now() < deadline, "the ring cannot be opened: {error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Without what the caller's environment says of rings.
fn clean(mut command: Command) -> Command {
    let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("REDIS_RING_"));
    ours.for_each(|(name, _)| {
        command.env_remove(name);
    });
    command
}

/// Runs the command to its end and returns what it printed. Its notes are kept in the folder.
fn command(arguments: &[&str], folder: &Path) -> String {
    let output = clean(Command::new(BINARY)).args(arguments).stdin(Stdio::null()).output().expect("the command");
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    std::fs::write(folder.join("command.log"), &notes).expect("room on the disk");
    format!("{}{notes}", String::from_utf8_lossy(&output.stdout))
}
