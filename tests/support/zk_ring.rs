//! A ring in a real ZooKeeper, with an agent beside each server.

use std::collections::BTreeMap;
use std::time::Duration;

use redis_ring::agent::{Agent, AgentOptions};
use redis_ring::local::{RedisServer, ZooKeeperServer};
use redis_ring::membership::{MembershipOptions, RingUrl, Store};
use redis_ring::placement::{Config, NodeId, State};
use redis_ring::policy::Timeouts;
use redis_ring::{RingClient, RingClientBuilder};
use tokio::task::AbortHandle;

use super::{SOON, eventually, redis_servers, unique_root};

/// Servers named `redis-0`, `redis-1`, …
pub struct ZkRing {
    pub url: String,
    pub servers: BTreeMap<NodeId, RedisServer>,
    agents: BTreeMap<NodeId, AbortHandle>,
}

impl Drop for ZkRing {
    fn drop(&mut self) {
        self.agents.values().for_each(AbortHandle::abort);
    }
}

/// Sessions that outlive a test's hiccups and still end within it.
pub fn membership_options() -> MembershipOptions {
    MembershipOptions { session_timeout: Duration::from_secs(2), open_timeout: SOON, ..MembershipOptions::default() }
}

impl ZkRing {
    /// Founds a ring of so many servers.
    pub async fn start(zookeeper: &ZooKeeperServer, count: usize) -> ZkRing {
        ZkRing::start_with(zookeeper, &Config::default(), redis_servers(count).await).await
    }

    /// Founds a ring of these servers.
    pub async fn start_with(zookeeper: &ZooKeeperServer, config: &Config, servers: Vec<RedisServer>) -> ZkRing {
        let count = servers.len();
        let url = zookeeper.url(&unique_root());
        let store =
            Store::open(&url.parse::<RingUrl>().expect("a URL"), &membership_options()).await.expect("ZooKeeper");
        store.init(config, u32::try_from(count).expect("a count")).await.expect("a new ring");
        let mut ring = ZkRing { url, servers: BTreeMap::new(), agents: BTreeMap::new() };
        for (n, server) in servers.into_iter().enumerate() {
            let id = NodeId::new(&format!("redis-{n}")).expect("a name");
            ring.servers.insert(id.clone(), server);
            ring.start_agent(&id);
        }
        ring
    }

    pub fn start_agent(&mut self, id: &NodeId) {
        let redis = format!("redis://{}", self.servers[id].addr()).parse().expect("an address");
        let mut options = AgentOptions::new(self.url.parse().expect("a URL"), id.clone(), redis);
        options.membership = membership_options();
        let agent = tokio::spawn(async move {
            if let Err(error) = Agent::run(options, std::future::pending()).await {
                panic!("the agent ends: {error:?}");
            }
        });
        self.agents.insert(id.clone(), agent.abort_handle());
    }

    /// Ends an agent at once, wherever it is.
    pub fn kill_agent(&mut self, id: &NodeId) {
        if let Some(agent) = self.agents.remove(id) {
            agent.abort();
        }
    }

    /// A session with the ring's ZooKeeper.
    pub async fn store(&self) -> Store {
        Store::open(&self.url.parse::<RingUrl>().expect("a URL"), &membership_options()).await.expect("ZooKeeper")
    }

    pub fn builder(&self) -> RingClientBuilder {
        let timeouts = Timeouts { open: SOON, ..Timeouts::default() };
        RingClient::builder(&self.url).expect("a URL").timeouts(timeouts).session_timeout(Duration::from_secs(2))
    }

    pub async fn client(&self) -> RingClient {
        self.builder().open().await.expect("a ring")
    }

    /// Waits until the client sees a member in a state.
    pub async fn until(&self, client: &RingClient, id: &NodeId, state: State) {
        eventually(SOON, &format!("{id} is {state}"), || async {
            client.topology().find(id).is_some_and(|(_, member)| member.state == state)
        })
        .await;
    }
}
