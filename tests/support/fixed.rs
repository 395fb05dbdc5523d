//! A ring of plain servers with fixed membership.

use std::collections::BTreeMap;
use std::time::Duration;

use redis_ring::local::RedisServer;
use redis_ring::placement::NodeId;
use redis_ring::policy::Timeouts;
use redis_ring::{ErrorKind, RingClient, RingClientBuilder};

use super::{SOON, direct, eventually, redis_servers};

/// How often a client is opened again that none of its members has answered in time.
const TRIES: usize = 5;

/// Servers named `r0`, `r1`, … in a `static://` ring.
pub struct FixedRing {
    pub servers: BTreeMap<NodeId, RedisServer>,
    addrs: BTreeMap<NodeId, String>,
}

impl FixedRing {
    pub async fn start(count: usize) -> FixedRing {
        FixedRing::of(redis_servers(count).await)
    }

    pub fn of(servers: Vec<RedisServer>) -> FixedRing {
        let name = |i: usize| NodeId::new(&format!("r{i}")).expect("a name");
        let servers: BTreeMap<_, _> = servers.into_iter().enumerate().map(|(i, s)| (name(i), s)).collect();
        let addrs = servers.iter().map(|(id, server)| (id.clone(), server.addr())).collect();
        FixedRing { servers, addrs }
    }

    /// Makes clients reach a member at another address, such as a proxy's.
    pub fn reach(&mut self, id: &NodeId, addr: String) {
        self.addrs.insert(id.clone(), addr);
    }

    pub fn url(&self) -> String {
        let members: Vec<String> = self.addrs.iter().map(|(id, addr)| format!("{id}={addr}")).collect();
        format!("static://{}", members.join(","))
    }

    pub fn builder(&self) -> RingClientBuilder {
        RingClient::builder(&self.url()).expect("a URL")
    }

    /// A client that no busy machine makes give up.
    pub fn patient(&self) -> RingClientBuilder {
        let long = Duration::from_secs(10);
        self.builder().timeouts(Timeouts { connect: long, read: long, write: long, ..Timeouts::default() })
    }

    pub async fn client(&self) -> RingClient {
        self.connected(self.builder()).await
    }

    /// A client that is connected to every member, however late they answered the first time.
    pub async fn connected(&self, builder: RingClientBuilder) -> RingClient {
        let mut opened = builder.clone().open().await;
        for _ in 0..TRIES {
            match &opened {
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Unreachable | ErrorKind::Timeout | ErrorKind::Disconnected
                    ) =>
                {
                    opened = builder.clone().open().await
                }
                Ok(_) | Err(_) => break,
            }
        }
        let client = opened.expect("a ring");
        let count = self.servers.len();
        eventually(SOON, "all are connected", || async { client.connected().len() == count }).await;
        client
    }

    pub fn server(&self, id: &NodeId) -> &RedisServer {
        &self.servers[id]
    }

    /// The servers of a key's owners, the primary first.
    pub fn owners(&self, client: &RingClient, key: &str) -> Vec<&RedisServer> {
        client.locate(key).owners.iter().map(|id| self.server(id)).collect()
    }

    /// Whether both owners hold the same, asked directly.
    pub async fn copies_are_equal(&self, client: &RingClient, key: &str) -> bool {
        let owners = self.owners(client, key);
        let first = direct::content(&owners[0].addr(), key).await;
        for other in &owners[1..] {
            if direct::content(&other.addr(), key).await != first {
                return false;
            }
        }
        true
    }
}
