//! Servers that come back while the ring is used: empty, with old data, or never having been away.
#![cfg(feature = "cli")]
#![cfg(test)]

mod load;
mod support;

use load::{Load, differences};
use redis::cmd;
use redis_ring::RingClient;
use redis_ring::local::{RedisOptions, ZooKeeperServer};
use redis_ring::membership::Store;
use redis_ring::placement::{Config, Phase, State};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_with_old_data_has_none_of_it_left() {
    log();
    let ring = ZkRing::start(shared_zookeeper().await, 4).await;
    let client = ring.client().await;
    let load = Load::start(&client, 300).await;
    let victim = &ring.servers[&id("redis-2")];
    // Keys that the load never writes: one that is deleted while the server is away, and one that only it has.
    let [gone, stray] = ["gone:", "stray:"].map(|prefix| support::key_of(&client, prefix, "redis-2"));
    let () = redis::AsyncCommands::set(&mut client.connection(), &gone, 1).await.unwrap();
    let () = direct::ask(&victim.addr(), cmd("SET").arg(&stray).arg(1)).await;
    let () = direct::ask(&victim.addr(), &cmd("SAVE")).await;
    load.goes_on(300).await;
    victim.kill();
    down(&client, "redis-2").await;
    let _: u64 = redis::AsyncCommands::del(&mut client.connection(), &gone).await.unwrap();
    load.goes_on(300).await;
    victim.restart_async().await.unwrap();
    whole(&client, &[("redis-2", 1)]).await;
    for key in [&gone, &stray] {
        let found: Option<u64> = redis::AsyncCommands::get(&mut client.connection(), key).await.unwrap();
        assert_eq!(found, None, "{key}");
        assert_eq!(direct::ask::<u64>(&victim.addr(), cmd("EXISTS").arg(key)).await, 0, "{key}");
    }
    settled(&ring, &client, load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_restarts_with_all_its_data_is_filled_all_the_same() {
    log();
    let options = RedisOptions::new().set("appendonly", "yes").set("appendfsync", "always");
    let mut servers = support::redis_servers(3).await;
    servers.push(support::redis_with(options).await);
    let ring = ZkRing::start_with(shared_zookeeper().await, &Config::default(), servers).await;
    let client = ring.client().await;
    let load = Load::start(&client, 300).await;
    ring.servers[&id("redis-3")].restart_async().await.unwrap();
    whole(&client, &[("redis-3", 1)]).await;
    settled(&ring, &client, load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hung_is_filled_before_it_is_read() {
    log();
    let ring = ZkRing::start(shared_zookeeper().await, 4).await;
    let client = ring.client().await;
    let load = Load::start(&client, 300).await;
    let victim = &ring.servers[&id("redis-0")];
    victim.stop().unwrap();
    down(&client, "redis-0").await;
    load.goes_on(500).await;
    victim.cont().unwrap();
    whole(&client, &[("redis-0", 1)]).await;
    settled(&ring, &client, load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_that_somebody_takes_away_ends_the_life_of_the_data() {
    log();
    let ring = ZkRing::start(shared_zookeeper().await, 4).await;
    let client = ring.client().await;
    let load = Load::start(&client, 300).await;
    let victim = ring.servers[&id("redis-1")].addr();
    // Its data is right, but nobody can know that.
    let _: u64 = direct::ask(&victim, cmd("DEL").arg("__rr:gate")).await;
    whole(&client, &[("redis-1", 1)]).await;
    let reason = client.topology().find(&id("redis-1")).unwrap().1.reason.clone();
    assert!(reason.as_ref().is_some_and(|reason| reason.starts_with("filled from")), "{reason:?}");
    // Another field that says that it is open for somebody else.
    let _: u64 = direct::ask(&victim, cmd("HSET").arg("__rr:gate").arg("gen").arg(1)).await;
    whole(&client, &[("redis-1", 2)]).await;
    settled(&ring, &client, load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_somebody_flushes_or_makes_read_old_data_is_filled_again() {
    log();
    let debug = RedisOptions::new().set("enable-debug-command", "yes");
    let mut servers = support::redis_servers(3).await;
    servers.push(support::redis_with(debug).await);
    let ring = ZkRing::start_with(shared_zookeeper().await, &Config::default(), servers).await;
    let client = ring.client().await;
    let victim = ring.servers[&id("redis-3")].addr();
    let keys = |prefix: &str| -> Vec<String> { (0..200).map(|n| format!("{prefix}:{n}")).collect() };
    let write = async |keys: &[String]| {
        for key in keys {
            let () = redis::AsyncCommands::set(&mut client.connection(), key, 1).await.unwrap();
        }
    };
    write(&keys("before")).await;
    let () = direct::ask(&victim, &cmd("SAVE")).await;
    write(&keys("after")).await;
    // Nobody else sees a flush before it is noticed: what is read in these few milliseconds is nil, as with any server.
    for (generation, words) in [(1, &["FLUSHALL"][..]), (2, &["DEBUG", "RELOAD", "NOSAVE"]), (3, &["FLUSHDB"])] {
        let () = direct::ask(&victim, &support::call(words)).await;
        whole(&client, &[("redis-3", generation)]).await;
        for key in keys("before").iter().chain(&keys("after")) {
            let value: Option<u64> = redis::AsyncCommands::get(&mut client.connection(), key).await.unwrap();
            assert_eq!(value, Some(1), "{key} after {words:?}");
        }
        let all: Vec<String> = keys("before").into_iter().chain(keys("after")).collect();
        assert!(differences(&ring, &client, &all).await.is_empty(), "after {words:?}");
    }
    // The ring's own flush is none.
    let () = cmd("FLUSHALL").query_async(&mut client.connection()).await.unwrap();
    let generation = client.topology().find(&id("redis-3")).unwrap().1.generation.0;
    write(&keys("later")).await;
    assert!(differences(&ring, &client, &keys("later")).await.is_empty());
    let topology = client.topology();
    let (_, member) = topology.find(&id("redis-3")).unwrap();
    assert_eq!((member.state, member.generation.0), (State::Up, generation));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_made_a_replica_is_filled_when_it_is_a_master_again() {
    log();
    let other = support::redis().await;
    let () = direct::ask(&other.addr(), cmd("SET").arg("of another").arg(1)).await;
    let ring = ZkRing::start(shared_zookeeper().await, 4).await;
    let client = ring.client().await;
    let load = Load::start(&client, 300).await;
    let victim = ring.servers[&id("redis-1")].addr();
    let () = direct::ask(&victim, cmd("REPLICAOF").arg("127.0.0.1").arg(other.port())).await;
    down(&client, "redis-1").await;
    load.goes_on(200).await;
    let () = direct::ask(&victim, cmd("REPLICAOF").arg("NO").arg("ONE")).await;
    whole(&client, &[("redis-1", 1)]).await;
    settled(&ring, &client, load).await;
}

/// A ring with three copies, so that two members can be away.
async fn three_copies(zookeeper: &ZooKeeperServer) -> ZkRing {
    let config = Config { copies: 3, ..Config::default() };
    ZkRing::start_with(zookeeper, &config, support::redis_servers(5).await).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_members_return_side_by_side() {
    log();
    let ring = three_copies(shared_zookeeper().await).await;
    let client = ring.client().await;
    let load = Load::start(&client, 300).await;
    for name in ["redis-1", "redis-3"] {
        ring.servers[&id(name)].kill();
        down(&client, name).await;
    }
    load.goes_on(200).await;
    let [one, other] = ["redis-1", "redis-3"].map(|name| ring.servers[&id(name)].restart_async());
    let (one, other) = tokio::join!(one, other);
    one.unwrap();
    other.unwrap();
    whole(&client, &[("redis-1", 1), ("redis-3", 1)]).await;
    settled(&ring, &client, load).await;
}

/// What a phase waits for: a client that never follows, and is cut off only after two seconds. It keeps the barrier of the
/// step after `known` from holding.
async fn straggler(ring: &ZkRing, member: &str, known: u64) -> redis::aio::MultiplexedConnection {
    let mut connection = direct::connect(&ring.servers[&id(member)].addr()).await;
    let () =
        cmd("CLIENT").arg("SETNAME").arg(format!("rr:{known}:straggler")).query_async(&mut connection).await.unwrap();
    connection
}

/// Waits until the ring is in a phase.
async fn in_phase(store: &Store, phase: &str) {
    eventually(SOON, &format!("the ring is {phase}"), || async { store.snapshot().await.unwrap().ring.phase == phase })
        .await;
}

/// The phases of a return that begins at step 1, and the step before each.
const PHASES: [(&str, u64); 3] = [("filling", 1), ("syncing", 2), ("retiring", 3)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_leads_may_go_at_any_point() {
    log();
    for (phase, before) in PHASES {
        let mut ring = ZkRing::start(shared_zookeeper().await, 4).await;
        let (client, store) = (ring.client().await, ring.store().await);
        let load = Load::start(&client, 100).await;
        let straggler = straggler(&ring, "redis-0", before).await;
        ring.servers[&id("redis-1")].restart_async().await.unwrap();
        in_phase(&store, phase).await;
        let leads = store.lead().await.unwrap().expect("somebody leads").id;
        ring.kill_agent(&id(&leads));
        drop(straggler);
        if leads == "redis-1" {
            ring.start_agent(&id(&leads));
        }
        whole(&client, &[("redis-1", 1)]).await;
        settled(&ring, &client, load).await;
        println!("{phase}: {leads} led");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_agent_of_a_member_that_returns_may_go_at_any_point() {
    log();
    for (phase, before) in PHASES {
        let mut ring = ZkRing::start(shared_zookeeper().await, 4).await;
        let (client, store) = (ring.client().await, ring.store().await);
        let load = Load::start(&client, 100).await;
        let straggler = straggler(&ring, "redis-0", before).await;
        ring.servers[&id("redis-1")].restart_async().await.unwrap();
        in_phase(&store, phase).await;
        ring.kill_agent(&id("redis-1"));
        load.goes_on(50).await;
        ring.start_agent(&id("redis-1"));
        drop(straggler);
        whole(&client, &[("redis-1", 1)]).await;
        settled(&ring, &client, load).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_may_die_at_any_point() {
    log();
    for (phase, before) in PHASES {
        let ring = three_copies(shared_zookeeper().await).await;
        let (client, store) = (ring.client().await, ring.store().await);
        let load = Load::start(&client, 100).await;
        let straggler = straggler(&ring, "redis-0", before).await;
        ring.servers[&id("redis-1")].restart_async().await.unwrap();
        in_phase(&store, phase).await;
        ring.servers[&id("redis-2")].restart_async().await.unwrap();
        drop(straggler);
        whole(&client, &[("redis-1", 1), ("redis-2", 1)]).await;
        settled(&ring, &client, load).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zookeeper_that_restarts_in_the_middle_changes_nothing() {
    log();
    for (phase, before) in PHASES {
        let zookeeper = zookeeper().await;
        let ring = ZkRing::start(&zookeeper, 4).await;
        let (client, store) = (ring.client().await, ring.store().await);
        let load = Load::start(&client, 100).await;
        let straggler = straggler(&ring, "redis-0", before).await;
        ring.servers[&id("redis-1")].restart_async().await.unwrap();
        in_phase(&store, phase).await;
        zookeeper.restart_async().await.unwrap();
        drop(straggler);
        whole(&client, &[("redis-1", 1)]).await;
        settled(&ring, &client, load).await;
    }
}
