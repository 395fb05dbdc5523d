//! A ring of plain servers with fixed membership.

use std::collections::BTreeMap;

use redis_ring::local::RedisServer;
use redis_ring::placement::NodeId;
use redis_ring::{RingClient, RingClientBuilder};

use super::{direct, redis_servers};

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

    pub async fn client(&self) -> RingClient {
        self.builder().open().await.expect("a ring")
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
