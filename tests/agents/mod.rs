//! Agents in this process, and what the tests ask of them.
#![expect(dead_code, reason = "each test program uses another part of it")]

use std::time::Duration;

use redis_ring::agent::{Agent, AgentOptions};
use redis_ring::local::RedisServer;
use redis_ring::membership::records::MemberRecord;
use redis_ring::membership::{RingUrl, Store};
use redis_ring::placement::{Config, NodeId};
use redis_ring::{Error, Result};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::support::{
    SOON, direct, eventually, eventually_some, patient_options, redis_servers, shared_zookeeper, unique_root,
};

pub fn url(text: &str) -> RingUrl {
    text.parse().unwrap()
}

pub fn id(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

pub async fn store(ring: &RingUrl) -> Store {
    Store::open(ring, &patient_options()).await.unwrap()
}

/// With limits for which no busy machine keeps a server waiting: most tests are not of a server that hangs.
pub fn options(ring: &RingUrl, name: &str, server: &RedisServer) -> AgentOptions {
    let mut options = AgentOptions::new(ring.clone(), id(name), format!("redis://{}", server.addr()).parse().unwrap());
    options.membership.open_timeout = SOON;
    options.membership.session_timeout = Duration::from_secs(2);
    (options.health.probe, options.health.hang_after) = (Duration::from_secs(1), Duration::from_secs(4));
    options
}

/// An agent in a task of its own.
pub struct Running {
    shutdown: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<()>>,
}

impl Running {
    pub fn of(options: AgentOptions) -> Running {
        let (shutdown, asked) = oneshot::channel();
        let task = tokio::spawn(Agent::run(options, async {
            // A dropped sender is a killed agent, not one that was asked to end.
            if asked.await.is_err() {
                std::future::pending::<()>().await;
            }
        }));
        Running { shutdown: Some(shutdown), task }
    }

    /// Ends it as SIGTERM does.
    pub async fn stop(mut self) -> Result<()> {
        self.shutdown.take().unwrap().send(()).expect("the agent runs");
        tokio::time::timeout(SOON, &mut self.task).await.expect("it ends").unwrap()
    }

    /// Why it ended by itself.
    pub async fn failed(mut self) -> Error {
        tokio::time::timeout(SOON, &mut self.task).await.expect("it ends").unwrap().expect_err("it fails")
    }

    pub fn is_running(&self) -> bool {
        !self.task.is_finished()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn start(ring: &RingUrl, name: &str, server: &RedisServer) -> Running {
    Running::of(options(ring, name, server))
}

/// A founded ring of so many members, `redis-0` and so on.
pub async fn ring(members: u32) -> (RingUrl, Store, Vec<RedisServer>, Vec<Running>) {
    ring_with(members, |_| {}).await
}

/// Likewise, with agents whose options this changes.
pub async fn ring_with(
    members: u32,
    change: impl Fn(&mut AgentOptions),
) -> (RingUrl, Store, Vec<RedisServer>, Vec<Running>) {
    found(url(&shared_zookeeper().await.url(&unique_root())), members, change).await
}

pub async fn ring_at(ring: RingUrl, members: u32) -> (RingUrl, Store, Vec<RedisServer>, Vec<Running>) {
    found(ring, members, |_| {}).await
}

async fn found(
    ring: RingUrl,
    members: u32,
    change: impl Fn(&mut AgentOptions),
) -> (RingUrl, Store, Vec<RedisServer>, Vec<Running>) {
    let servers = redis_servers(members as usize).await;
    let store = store(&ring).await;
    store.init(&Config::default(), members).await.unwrap();
    let agents = servers.iter().enumerate().map(|(n, server)| {
        let mut options = options(&ring, &format!("redis-{n}"), server);
        change(&mut options);
        Running::of(options)
    });
    let agents = agents.collect();
    founded(&store).await;
    (ring, store, servers, agents)
}

pub async fn founded(store: &Store) {
    eventually(SOON, "the founding", || async {
        store.snapshot().await.is_ok_and(|snapshot| snapshot.ring.phase == "still")
    })
    .await;
}

/// Waits until a member's record is as wanted.
pub async fn until(store: &Store, name: &str, wanted: impl Fn(&MemberRecord) -> bool) -> MemberRecord {
    let what = format!("the record of {name}");
    let found = eventually_some(SOON, &what, || async {
        let snapshot = store.snapshot().await.ok()?;
        snapshot.member(&id(name)).filter(|record| wanted(record)).cloned()
    });
    found.await
}

/// Waits until an agent holds the member's node, or none does.
pub async fn until_live(store: &Store, name: &str, live: bool) {
    eventually(SOON, &format!("{name} live: {live}"), || async {
        store.live().await.is_ok_and(|all| all.contains_key(&id(name)) == live)
    })
    .await;
}

/// Asks again where the connection was ended, as agents end all when a member is fenced or filled anew: whatever is sent this
/// way may be executed twice.
pub async fn ask<T: redis::FromRedisValue>(server: &RedisServer, cmd: &redis::Cmd) -> T {
    let client = redis::Client::open(server.url()).unwrap();
    let answer = eventually_some(SOON, "a server that answers", || async {
        let answer = cmd.query_async(&mut direct::connection(&client).await).await;
        Some(answer).filter(|answer: &redis::RedisResult<T>| !answer.as_ref().is_err_and(|e| e.is_connection_dropped()))
    });
    answer.await.unwrap()
}

/// A client that does not follow, for as long as this lives: it keeps the first barrier from holding for two seconds, and so
/// those that join from being up.
pub async fn straggler(server: &RedisServer) -> redis::aio::MultiplexedConnection {
    let mut connection = direct::connect(&server.addr()).await;
    let name = redis::cmd("CLIENT").arg("SETNAME").arg("rr:1:straggler").clone();
    let () = name.query_async(&mut connection).await.unwrap();
    connection
}

pub async fn run_id(server: &RedisServer) -> String {
    let info: String = ask(server, redis::cmd("INFO").arg("server")).await;
    info.lines().find_map(|line| line.strip_prefix("run_id:")).expect("a run_id").to_owned()
}
