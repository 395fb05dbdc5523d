//! Agents in this process, and what the tests ask of them.
#![expect(dead_code, reason = "each test program uses another part of it")]

use std::time::Duration;

use redis_ring::agent::{Agent, AgentOptions};
use redis_ring::local::RedisServer;
use redis_ring::membership::records::MemberRecord;
use redis_ring::membership::{MembershipOptions, RingUrl, Store};
use redis_ring::placement::{Config, NodeId};
use redis_ring::{Error, Result};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::support::{SOON, eventually, eventually_some, redis_servers, shared_zookeeper, unique_root};

pub fn url(text: &str) -> RingUrl {
    text.parse().unwrap()
}

pub fn id(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

pub async fn store(ring: &RingUrl) -> Store {
    Store::open(ring, &MembershipOptions { open_timeout: SOON, ..MembershipOptions::default() }).await.unwrap()
}

pub fn options(ring: &RingUrl, name: &str, server: &RedisServer) -> AgentOptions {
    let mut options = AgentOptions::new(ring.clone(), id(name), format!("redis://{}", server.addr()).parse().unwrap());
    options.membership.open_timeout = SOON;
    options.membership.session_timeout = Duration::from_secs(2);
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
    ring_at(url(&shared_zookeeper().await.url(&unique_root())), members).await
}

pub async fn ring_at(ring: RingUrl, members: u32) -> (RingUrl, Store, Vec<RedisServer>, Vec<Running>) {
    let servers = redis_servers(members as usize).await;
    let store = store(&ring).await;
    store.init(&Config::default(), members).await.unwrap();
    let agents = servers.iter().enumerate().map(|(n, server)| start(&ring, &format!("redis-{n}"), server)).collect();
    founded(&store).await;
    (ring, store, servers, agents)
}

pub async fn founded(store: &Store) {
    eventually(SOON, "the founding", || async { store.snapshot().await.unwrap().ring.phase == "still" }).await;
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

pub async fn ask<T: redis::FromRedisValue>(server: &RedisServer, cmd: &redis::Cmd) -> T {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    cmd.query_async(&mut connection).await.unwrap()
}

pub async fn run_id(server: &RedisServer) -> String {
    let info: String = ask(server, redis::cmd("INFO").arg("server")).await;
    info.lines().find_map(|line| line.strip_prefix("run_id:")).expect("a run_id").to_owned()
}
