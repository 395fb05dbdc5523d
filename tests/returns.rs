//! Servers that come back: empty, with old data, or never having been away.
#![cfg(feature = "cli")]
#![cfg(test)]

mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use redis::{AsyncCommands as _, cmd};
use redis_ring::RingClient;
use redis_ring::placement::{NodeId, State};
use support::{SOON, ZkRing, direct, eventually, id, shared_zookeeper};

/// With `RUST_LOG` set, what happens is said.
fn log() {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
}

/// Where a key's copies differ, asked directly.
async fn differences(ring: &ZkRing, client: &RingClient, keys: &[String]) -> Vec<String> {
    let mut differ = Vec::new();
    for key in keys {
        let owners = client.topology().locate(key.as_bytes()).owners;
        let mut contents = Vec::new();
        for owner in &owners {
            contents.push(direct::content(&ring.servers[owner].addr(), key).await);
        }
        if contents.iter().any(|content| *content != contents[0]) {
            differ.push(format!("{key}: {owners:?} {contents:?}"));
        }
    }
    differ
}

async fn whole(ring: &ZkRing, client: &RingClient) {
    eventually(SOON, "all members are up and the ring is still", || async {
        let topology = client.topology();
        topology.members().iter().all(|member| member.state == State::Up)
            && topology.phase() == redis_ring::placement::Phase::Still
    })
    .await;
    let _ = ring;
}

#[tokio::test]
async fn a_server_that_restarts_empty_is_filled_and_read_again() {
    log();
    let ring = ZkRing::start(shared_zookeeper().await, 4).await;
    let client = ring.client().await;
    let mut connection = client.connection();
    let keys: Vec<String> = (0..500).map(|n| format!("key:{n}")).collect();
    for key in &keys {
        let () = connection.set(key, key).await.unwrap();
    }
    let victim = id("redis-1");
    ring.servers[&victim].kill();
    ring.until(&client, &victim, State::Down).await;
    ring.servers[&victim].restart_async().await.unwrap();
    let began = Instant::now();
    whole(&ring, &client).await;
    println!("whole again after {:?}", began.elapsed());
    assert!(differences(&ring, &client, &keys).await.is_empty());
    for key in &keys {
        let value: String = connection.get(key).await.unwrap();
        assert_eq!(value, *key);
    }
}
