//! Servers that come back while the ring is used: empty, with old data, or never having been away.
#![cfg(feature = "cli")]
#![cfg(test)]

mod load;
mod support;

use std::time::Duration;

use load::{Load, differences};
use redis::cmd;
use redis_ring::RingClient;
use redis_ring::local::RedisOptions;
use redis_ring::placement::{Phase, State};
use support::{SOON, ZkRing, direct, eventually, id, shared_zookeeper, zookeeper};

/// With `RUST_LOG` set, what happens is said.
fn log() {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
}

/// Everybody is up, and in a life of their data that is newer than these were for these members.
async fn whole(client: &RingClient, newer: &[(&str, u64)]) {
    eventually(SOON, "all members are up again and the ring is still", || async {
        let topology = client.topology();
        let up = topology.members().iter().all(|member| member.state == State::Up);
        let back = newer.iter().all(|(name, generation)| {
            topology.find(&id(name)).is_some_and(|(_, member)| member.generation.0 > *generation)
        });
        up && back && topology.phase() == Phase::Still
    })
    .await;
}

async fn down(client: &RingClient, name: &str) {
    eventually(SOON, "the member is seen to be down", || async {
        client.topology().find(&id(name)).is_some_and(|(_, member)| member.state == State::Down)
    })
    .await;
}

/// The load goes on for a while, and then everything is as it was acknowledged, on both copies.
async fn settled(ring: &ZkRing, client: &RingClient, load: Load) {
    load.goes_on(300).await;
    let keys = load.end().await;
    let differ = differences(ring, client, &keys).await;
    assert!(differ.is_empty(), "{} of {} keys differ: {:?}", differ.len(), keys.len(), &differ[..differ.len().min(5)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_restarts_empty_is_filled_and_read_again() {
    log();
    let ring = ZkRing::start(shared_zookeeper().await, 4).await;
    let client = ring.client().await;
    let load = Load::start(&client, 300).await;
    for generation in 1..3 {
        ring.servers[&id("redis-1")].kill();
        down(&client, "redis-1").await;
        load.goes_on(200).await;
        ring.servers[&id("redis-1")].restart_async().await.unwrap();
        whole(&client, &[("redis-1", generation)]).await;
    }
    settled(&ring, &client, load).await;
}
