//! A whole ring on this machine: ZooKeeper, Redis servers, and an agent beside each.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::local::{Process, RedisOptions, RedisServer, ZooKeeperOptions, ZooKeeperServer};
use crate::membership::{MembershipOptions, RingUrl, Store};
use crate::placement::{Config, NodeId};
use crate::policy::Timeouts;
use crate::{Error, ErrorKind, Result, RingClient};

/// Everything that the demo started. Dropping it ends all of it and removes its files, agents first.
pub(super) struct Cluster {
    _agents: Vec<Process>,
    pub(super) servers: Vec<(NodeId, RedisServer)>,
    /// For what only agents and operators look at.
    pub(super) store: Store,
    zookeeper: ZooKeeperServer,
    pub(super) url: String,
}

const ROOT: &str = "/demo";

impl Cluster {
    /// Starts everything and founds the ring.
    pub(super) async fn start(members: usize) -> Result<Cluster> {
        let zookeeper = ZooKeeperServer::start_async(ZooKeeperOptions::new()).await.map_err(not_started)?;
        let url = zookeeper.url(ROOT);
        let store = Store::open(&url.parse::<RingUrl>()?, &MembershipOptions::default()).await?;
        let founders = u32::try_from(members).unwrap_or(u32::MAX);
        store.init(&Config::default(), founders).await?;
        let mut cluster = Cluster { _agents: Vec::new(), servers: Vec::new(), store, zookeeper, url };
        for n in 0..members {
            let id = NodeId::new(&format!("redis-{n}"))
                .map_err(|error| Error::new(ErrorKind::Invalid, error.to_string()))?;
            let server = RedisServer::start_async(RedisOptions::new()).await.map_err(not_started)?;
            cluster._agents.push(agent(&cluster.url, &id, &server)?);
            cluster.servers.push((id, server));
        }
        Ok(cluster)
    }

    /// A client of the ring, which waits until all agents have registered.
    pub(super) async fn client(&self) -> Result<RingClient> {
        let timeouts = Timeouts { open: Duration::from_secs(30), ..Timeouts::default() };
        RingClient::builder(&self.url)?.timeouts(timeouts).open().await
    }

    pub(super) fn zookeeper(&self) -> String {
        self.zookeeper.addr()
    }
}

/// The same program, as its users would run it.
fn agent(url: &str, id: &NodeId, server: &RedisServer) -> Result<Process> {
    let program = std::env::current_exe().map_err(|error| not_found().with_source(error))?;
    let log = std::fs::File::create(server.directory().join("agent.log"))
        .map_err(|error| Error::new(ErrorKind::Invalid, "cannot write the agent's log").with_source(error))?;
    let mut command = Command::new(program);
    command
        .args(["--ring", url, "agent", "--redis", &format!("redis://{}", server.addr()), "--id", id.as_str()])
        .env_remove("REDIS_RING_URL")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    Process::spawn(&mut command, None).map_err(|error| not_found().with_source(error))
}

fn not_found() -> Error {
    Error::new(ErrorKind::Invalid, "cannot start this program again as an agent")
}

fn not_started(error: crate::local::Error) -> Error {
    let made = Error::new(ErrorKind::Unreachable, "the demo's servers cannot be started");
    match error.hint() {
        Some(hint) => made.with_hint(hint.to_owned()).with_source(error),
        None => made.with_source(error),
    }
}
