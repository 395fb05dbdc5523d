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

use super::{FaultProxy, SOON, eventually, redis_servers, unique_root};

/// Servers named `redis-0`, `redis-1`, …
pub struct ZkRing {
    pub url: String,
    pub servers: BTreeMap<NodeId, RedisServer>,
    /// What stands between the clients and each server, if anything does.
    pub proxies: BTreeMap<NodeId, FaultProxy>,
    agents: BTreeMap<NodeId, AbortHandle>,
}

impl Drop for ZkRing {
    fn drop(&mut self) {
        self.agents.values().for_each(AbortHandle::abort);
    }
}

/// How long a server says nothing until its agent calls that a hang: longer than a busy machine keeps one waiting, since most
/// tests are of something else.
const HUNG: Duration = Duration::from_secs(1);

/// Sessions that outlive a test's hiccups and still end within it.
pub fn membership_options() -> MembershipOptions {
    MembershipOptions { session_timeout: Duration::from_secs(2), open_timeout: SOON, ..MembershipOptions::default() }
}

/// For a session that holds nothing: each call may take long, and it outlives whatever the machine does.
pub fn patient_options() -> MembershipOptions {
    MembershipOptions { session_timeout: SOON, ..membership_options() }
}

impl ZkRing {
    /// Founds a ring of so many servers.
    pub async fn start(zookeeper: &ZooKeeperServer, count: usize) -> ZkRing {
        ZkRing::start_with(zookeeper, &Config::default(), redis_servers(count).await).await
    }

    /// Founds a ring of these servers.
    pub async fn start_with(zookeeper: &ZooKeeperServer, config: &Config, servers: Vec<RedisServer>) -> ZkRing {
        ZkRing::found(zookeeper, config, servers, false).await
    }

    /// Likewise, and clients reach the servers through proxies. Agents never do.
    pub async fn behind_proxies(zookeeper: &ZooKeeperServer, count: usize) -> ZkRing {
        ZkRing::found(zookeeper, &Config::default(), redis_servers(count).await, true).await
    }

    async fn found(zookeeper: &ZooKeeperServer, config: &Config, servers: Vec<RedisServer>, proxied: bool) -> ZkRing {
        let count = servers.len();
        let url = zookeeper.url(&unique_root());
        let store = Store::open(&url.parse::<RingUrl>().expect("a URL"), &patient_options()).await.expect("ZooKeeper");
        store.init(config, u32::try_from(count).expect("a count")).await.expect("a new ring");
        let mut ring = ZkRing { url, servers: BTreeMap::new(), proxies: BTreeMap::new(), agents: BTreeMap::new() };
        for (n, server) in servers.into_iter().enumerate() {
            let id = NodeId::new(&format!("redis-{n}")).expect("a name");
            if proxied {
                ring.proxies.insert(id.clone(), FaultProxy::start(server.addr()).await);
            }
            ring.servers.insert(id.clone(), server);
            ring.start_agent(&id);
        }
        ring
    }

    pub fn start_agent(&mut self, id: &NodeId) {
        let redis = format!("redis://{}", self.servers[id].addr()).parse().expect("an address");
        let mut options = AgentOptions::new(self.url.parse().expect("a URL"), id.clone(), redis);
        options.membership = membership_options();
        options.health.hang_after = HUNG;
        options.announce =
            self.proxies.get(id).map(|proxy| format!("redis://{}", proxy.addr()).parse().expect("an address"));
        let agent = tokio::spawn(async move {
            if let Err(error) = Agent::run(options, std::future::pending()).await {
                panic!("the agent ends: {error:?}");
            }
        });
        self.agents.insert(id.clone(), agent.abort_handle());
    }

    /// From now on nobody but clients changes the ring. To be called when they are connected, since agents open the gates.
    pub fn stop_agents(&mut self) {
        std::mem::take(&mut self.agents).values().for_each(AbortHandle::abort);
    }

    /// Ends an agent at once, wherever it is.
    pub fn kill_agent(&mut self, id: &NodeId) {
        if let Some(agent) = self.agents.remove(id) {
            agent.abort();
        }
    }

    /// A session with the ring's ZooKeeper.
    pub async fn store(&self) -> Store {
        Store::open(&self.url.parse::<RingUrl>().expect("a URL"), &patient_options()).await.expect("ZooKeeper")
    }

    pub fn builder(&self) -> RingClientBuilder {
        let timeouts = Timeouts {
            open: SOON,
            connect: Duration::from_secs(3),
            read: Duration::from_secs(2),
            write: Duration::from_secs(2),
            probe: Duration::from_millis(500),
        };
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
