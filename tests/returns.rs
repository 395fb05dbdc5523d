//! Servers that come back while the ring is used: empty, with old data, or never having been away.
#![cfg(feature = "cli")]
#![cfg(test)]

mod load;
mod support;

use std::collections::BTreeMap;

use load::{Load, differences};
use redis::cmd;
use redis_ring::RingClient;
use redis_ring::local::{RedisOptions, ZooKeeperServer};
use redis_ring::membership::Store;
use redis_ring::placement::{Config, Phase, State};
use support::{SOON, ZkRing, direct, eventually, eventually_some, id, shared_zookeeper, zookeeper};

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

/// Waits until the ring is whole. Returns the life that this member's data is in, and the ring's step: who seemed to hang, or
/// to lose its agent, is in a later one than the first.
async fn still(client: &RingClient, name: &str) -> (u64, u64) {
    whole(client, &[]).await;
    let topology = client.topology();
    let (_, member) = topology.find(&id(name)).unwrap();
    (member.generation.0, topology.step().0)
}

async fn down(client: &RingClient, name: &str) {
    eventually(SOON, "the member is seen to be down", || async {
        client.topology().find(&id(name)).is_some_and(|(_, member)| member.state == State::Down)
    })
    .await;
}

/// The keys whose owners do not all hold the same. What is in a move meanwhile is not compared.
async fn differing(ring: &ZkRing, client: &RingClient, keys: &[String]) -> Vec<String> {
    loop {
        whole(client, &[]).await;
        let epoch = client.topology().epoch();
        let differ = differences(ring, client, keys).await;
        if client.topology().epoch() == epoch {
            return differ;
        }
    }
}

/// The load goes on for a while, and then everything is as it was acknowledged, on both copies.
async fn settled(ring: &ZkRing, client: &RingClient, load: Load) {
    load.goes_on(300).await;
    let (keys, unknown) = load.end().await;
    let differ = differing(ring, client, &keys).await;
    assert!(differ.is_empty(), "{} of {} keys differ: {:?}", differ.len(), keys.len(), &differ[..differ.len().min(5)]);
    let equal = || async { differing(ring, client, &unknown).await.is_empty() };
    eventually(SOON, "what is unknown is made equal", equal).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_restarts_empty_is_filled_and_read_again() {
    log();
    let ring = ZkRing::start(shared_zookeeper().await, 4).await;
    let client = ring.client().await;
    let load = Load::start(&client, 300).await;
    for _ in 1..3 {
        let (life, _) = still(&client, "redis-1").await;
        ring.servers[&id("redis-1")].kill();
        down(&client, "redis-1").await;
        load.goes_on(200).await;
        ring.servers[&id("redis-1")].restart_async().await.unwrap();
        whole(&client, &[("redis-1", life)]).await;
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
    let (life, _) = still(&client, "redis-3").await;
    ring.servers[&id("redis-3")].restart_async().await.unwrap();
    whole(&client, &[("redis-3", life)]).await;
    settled(&ring, &client, load).await;
}

/// Writes keys that every member owns some of, with values that tell one time from another.
async fn write_all(client: &RingClient, value: u64) -> Vec<String> {
    let keys: Vec<String> = (0..300).map(|n| format!("key:{n}")).collect();
    for key in &keys {
        let () = redis::AsyncCommands::set(&mut client.connection(), key, value).await.unwrap();
    }
    keys
}

async fn read_all(client: &RingClient, keys: &[String], value: u64) {
    for key in keys {
        let found: Option<u64> = redis::AsyncCommands::get(&mut client.connection(), key).await.unwrap();
        assert_eq!(found, Some(value), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_all_die_at_once_come_back_with_everything_that_each_has_written_down() {
    log();
    let options = || RedisOptions::new().set("appendonly", "yes").set("appendfsync", "always");
    let mut servers = Vec::new();
    for _ in 0..4 {
        servers.push(support::redis_with(options()).await);
    }
    let ring = ZkRing::start_with(shared_zookeeper().await, &Config::default(), servers).await;
    let client = ring.client().await;
    for (round, order) in [["redis-0", "redis-1", "redis-2", "redis-3"], ["redis-2", "redis-0", "redis-3", "redis-1"]]
        .into_iter()
        .enumerate()
    {
        let round = u64::try_from(round).unwrap();
        let keys = write_all(&client, round).await;
        // One after the other, so that what the last one is asked for alone is on nobody else.
        ring.servers[&id(order[0])].kill();
        down(&client, order[0]).await;
        let keys: Vec<String> = [keys, write_all(&client, round + 10).await].concat();
        for name in &order[1..] {
            ring.servers[&id(name)].kill();
        }
        for name in &order[1..] {
            down(&client, name).await;
        }
        for name in order {
            ring.servers[&id(name)].restart_async().await.unwrap();
        }
        whole(&client, &order.map(|name| (name, round + 1))).await;
        read_all(&client, &keys, round + 10).await;
        assert!(differing(&ring, &client, &keys).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_all_hung_at_once_have_lost_nothing() {
    log();
    let ring = ZkRing::start(shared_zookeeper().await, 4).await;
    let client = ring.client().await;
    let keys = write_all(&client, 1).await;
    let names = ["redis-0", "redis-1", "redis-2", "redis-3"];
    for name in names {
        ring.servers[&id(name)].stop().unwrap();
    }
    for name in names {
        down(&client, name).await;
    }
    for name in names {
        ring.servers[&id(name)].cont().unwrap();
    }
    whole(&client, &names.map(|name| (name, 1))).await;
    read_all(&client, &keys, 1).await;
    assert!(differing(&ring, &client, &keys).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_lost_what_nobody_else_has_says_so_and_keeps_nobody_waiting() {
    log();
    let ring = ZkRing::start_with(
        shared_zookeeper().await,
        &Config { copies: 2, ..Config::default() },
        support::redis_servers(6).await,
    )
    .await;
    let (client, store) = (ring.client().await, ring.store().await);
    write_all(&client, 1).await;
    for name in ["redis-1", "redis-2"] {
        ring.servers[&id(name)].kill();
        down(&client, name).await;
    }
    for name in ["redis-1", "redis-2"] {
        ring.servers[&id(name)].restart_async().await.unwrap();
    }
    let says = async |name: &str, what: &str| {
        eventually(SOON, what, || async {
            store.snapshot().await.is_ok_and(|snapshot| {
                let record = snapshot.member(&id(name)).unwrap();
                record.state() == State::Down && record.reason.as_ref().is_some_and(|reason| reason.starts_with(what))
            })
        })
        .await;
    };
    says("redis-1", "waits for redis-2, which alone has all of ").await;
    says("redis-2", "nobody has all of ").await;
    eventually(SOON, "nothing moves", || async {
        store.snapshot().await.is_ok_and(|snapshot| snapshot.ring.phase == "still")
    })
    .await;
    // Who has lost nothing that others do not have comes back meanwhile: it hung only.
    ring.servers[&id("redis-4")].stop().unwrap();
    down(&client, "redis-4").await;
    ring.servers[&id("redis-4")].cont().unwrap();
    ring.until(&client, &id("redis-4"), State::Up).await;
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
    let (life, _) = still(&client, "redis-1").await;
    let _: u64 = direct::ask(&victim, cmd("DEL").arg("__rr:gate")).await;
    whole(&client, &[("redis-1", life)]).await;
    let reason = client.topology().find(&id("redis-1")).unwrap().1.reason.clone();
    assert!(reason.as_ref().is_some_and(|reason| reason.starts_with("filled from")), "{reason:?}");
    // Another field that says that it is open for somebody else.
    let (life, _) = still(&client, "redis-1").await;
    let _: u64 = direct::ask(&victim, cmd("HSET").arg("__rr:gate").arg("gen").arg(1)).await;
    whole(&client, &[("redis-1", life)]).await;
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
    for words in [&["FLUSHALL"][..], &["DEBUG", "RELOAD", "NOSAVE"], &["FLUSHDB"]] {
        let (life, _) = still(&client, "redis-3").await;
        let () = direct::ask(&victim, &support::call(words)).await;
        whole(&client, &[("redis-3", life)]).await;
        for key in keys("before").iter().chain(&keys("after")) {
            let value: Option<u64> = redis::AsyncCommands::get(&mut client.connection(), key).await.unwrap();
            assert_eq!(value, Some(1), "{key} after {words:?}");
        }
        let all: Vec<String> = keys("before").into_iter().chain(keys("after")).collect();
        assert!(differing(&ring, &client, &all).await.is_empty(), "after {words:?}");
    }
    // The ring's own flush is none.
    let (generation, _) = still(&client, "redis-3").await;
    let () = cmd("FLUSHALL").query_async(&mut client.connection()).await.unwrap();
    write(&keys("later")).await;
    assert!(differing(&ring, &client, &keys("later")).await.is_empty());
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
    let replica_of = async |words: [&str; 2]| {
        // The gate of a replica cannot be shut, and so its agent ends all connections again and again.
        eventually_some(SOON, "it does so", || async {
            cmd("REPLICAOF").arg(&words).query_async::<()>(&mut direct::connect(&victim).await).await.ok()
        })
        .await;
    };
    replica_of(["127.0.0.1", &other.port().to_string()]).await;
    down(&client, "redis-1").await;
    load.goes_on(200).await;
    replica_of(["NO", "ONE"]).await;
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
    let addr = ring.servers[&id(member)].addr();
    eventually_some(SOON, "a straggler", || async {
        let mut connection = direct::connect(&addr).await;
        let mut named = cmd("CLIENT");
        named.arg("SETNAME").arg(format!("rr:{known}:straggler"));
        // Who is filled ends all connections when that begins.
        named.query_async::<()>(&mut connection).await.ok().map(|()| connection)
    })
    .await
}

/// Waits until the ring has made this step. A phase can pass unseen.
async fn until_step(store: &Store, step: u64, phase: &str) {
    eventually(SOON, &format!("step {step}, {phase}"), || async {
        store.snapshot().await.is_ok_and(|snapshot| snapshot.ring.step >= step)
    })
    .await;
}

/// The phases of a return, and how many steps it makes before each.
const PHASES: [(&str, u64); 3] = [("filling", 0), ("syncing", 1), ("retiring", 2)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_leads_may_go_at_any_point() {
    log();
    for (phase, before) in PHASES {
        let mut ring = ZkRing::start(shared_zookeeper().await, 4).await;
        let (client, store) = (ring.client().await, ring.store().await);
        let load = Load::start(&client, 100).await;
        let (life, step) = still(&client, "redis-1").await;
        let straggler = straggler(&ring, "redis-0", step + before).await;
        ring.servers[&id("redis-1")].restart_async().await.unwrap();
        until_step(&store, step + before + 1, phase).await;
        let leads = eventually_some(SOON, "somebody leads", || async { store.lead().await.ok().flatten() }).await.id;
        ring.kill_agent(&id(&leads));
        drop(straggler);
        if leads == "redis-1" {
            ring.start_agent(&id(&leads));
        }
        whole(&client, &[("redis-1", life)]).await;
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
        let (life, step) = still(&client, "redis-1").await;
        let straggler = straggler(&ring, "redis-0", step + before).await;
        ring.servers[&id("redis-1")].restart_async().await.unwrap();
        until_step(&store, step + before + 1, phase).await;
        ring.kill_agent(&id("redis-1"));
        load.goes_on(50).await;
        ring.start_agent(&id("redis-1"));
        drop(straggler);
        whole(&client, &[("redis-1", life)]).await;
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
        let (life, step) = still(&client, "redis-1").await;
        let straggler = straggler(&ring, "redis-0", step + before).await;
        ring.servers[&id("redis-1")].restart_async().await.unwrap();
        until_step(&store, step + before + 1, phase).await;
        let source = client.topology().find(&id("redis-2")).unwrap().1.generation.0;
        ring.servers[&id("redis-2")].restart_async().await.unwrap();
        drop(straggler);
        whole(&client, &[("redis-1", life), ("redis-2", source)]).await;
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
        let (life, step) = still(&client, "redis-1").await;
        let straggler = straggler(&ring, "redis-0", step + before).await;
        ring.servers[&id("redis-1")].restart_async().await.unwrap();
        until_step(&store, step + before + 1, phase).await;
        zookeeper.restart_async().await.unwrap();
        drop(straggler);
        whole(&client, &[("redis-1", life)]).await;
        settled(&ring, &client, load).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspects_are_compared_by_the_agent_of_their_primary() {
    log();
    let ring = ZkRing::start(shared_zookeeper().await, 3).await;
    let client = ring.client().await;
    let primary = ring.servers[&id("redis-1")].addr();
    let keys: Vec<String> = (0..100).map(|n| support::key_of(&client, &format!("suspect:{n}:"), "redis-1")).collect();
    for key in &keys {
        let () = redis::AsyncCommands::set(&mut client.connection(), key, 1).await.unwrap();
        // Something that no client of the ring did.
        let () = direct::ask(&primary, cmd("SET").arg(key).arg(2)).await;
    }
    assert_eq!(differences(&ring, &client, &keys).await.len(), 100);
    let _: u64 = direct::ask(&primary, cmd("RPUSH").arg("__rr:suspects").arg(&keys)).await;
    eventually(SOON * 3, "all suspects are compared", || async {
        direct::ask::<u64>(&primary, cmd("LLEN").arg("__rr:suspects")).await == 0
    })
    .await;
    assert!(differing(&ring, &client, &keys).await.is_empty());
    let value: u64 = redis::AsyncCommands::get(&mut client.connection(), &keys[0]).await.unwrap();
    assert_eq!(value, 2, "the primary's state");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_returns_although_its_sources_are_out_of_memory() {
    log();
    let ring = ZkRing::start(shared_zookeeper().await, 3).await;
    let (client, store) = (ring.client().await, ring.store().await);
    let keys: Vec<String> = (0..300).map(|n| format!("key:{n}")).collect();
    for key in &keys {
        let () = redis::AsyncCommands::set(&mut client.connection(), key, "x".repeat(1000)).await.unwrap();
    }
    let limited = ["redis-0", "redis-2"].map(|name| ring.servers[&id(name)].addr());
    for addr in &limited {
        let () = direct::ask(addr, cmd("CONFIG").arg("SET").arg("maxmemory").arg(LIMIT)).await;
    }
    let (life, step) = still(&client, "redis-1").await;
    let straggler = straggler(&ring, "redis-0", step + 1).await;
    ring.servers[&id("redis-1")].restart_async().await.unwrap();
    until_step(&store, step + 2, "syncing").await;
    // While others are cut from them there is room for what clients wrap into MULTI, and what never needs any goes on.
    let raised = async |addr: &String| direct::calls(addr, "config|set").await >= 2;
    eventually(SOON, "there is room", || async { raised(&limited[0]).await && raised(&limited[1]).await }).await;
    for key in &keys[..50] {
        let _: u64 = redis::AsyncCommands::del(&mut client.connection(), key).await.unwrap();
    }
    drop(straggler);
    whole(&client, &[("redis-1", life)]).await;
    let put_back = async || limits(&limited).await.iter().all(|limit| *limit == LIMIT);
    eventually(SOON, "the limits are what they were", put_back).await;
    assert!(differing(&ring, &client, &keys).await.is_empty());
}

/// Less than a server uses with what the test has written.
const LIMIT: u64 = 1_000_000;

async fn limits(servers: &[String]) -> Vec<u64> {
    let mut limits = Vec::new();
    for addr in servers {
        let limit: BTreeMap<String, u64> = direct::ask(addr, cmd("CONFIG").arg("GET").arg("maxmemory")).await;
        limits.extend(limit.into_values());
    }
    limits
}

async fn lives(connection: &mut redis::aio::MultiplexedConnection) -> bool {
    cmd("PING").query_async::<String>(connection).await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_follow_is_cut_off_before_the_next_phase() {
    log();
    let ring = ZkRing::start(shared_zookeeper().await, 4).await;
    let (client, store) = (ring.client().await, ring.store().await);
    // All of them are connected before the move begins: one that came only during its phase could be too late for it.
    let (life, step) = still(&client, "redis-1").await;
    let mut stragglers = Vec::new();
    for (phase, before) in PHASES {
        stragglers.push((phase, step + before, straggler(&ring, "redis-0", step + before).await));
    }
    ring.servers[&id("redis-1")].restart_async().await.unwrap();
    for (phase, before, straggler) in &mut stragglers {
        until_step(&store, *before + 2, &format!("after {phase}")).await;
        assert!(!lives(straggler).await, "{phase} ended with a client that had not followed");
    }
    whole(&client, &[("redis-1", life)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_connected_to_a_gainer_is_cut_off_before_it_is_filled() {
    log();
    let ring = ZkRing::start(shared_zookeeper().await, 4).await;
    let (client, store) = (ring.client().await, ring.store().await);
    for _ in 0..10 {
        let (life, step) = still(&client, "redis-1").await;
        let mut behind = straggler(&ring, "redis-0", step).await;
        ring.servers[&id("redis-1")].restart_async().await.unwrap();
        until_step(&store, step + 1, "filling").await;
        // It is no older than any step, and came after the gate was opened.
        let mut early = straggler(&ring, "redis-1", step + 100).await;
        // It came too late if the filling did not wait any more.
        let in_time = lives(&mut behind).await;
        drop(behind);
        whole(&client, &[("redis-1", life)]).await;
        if in_time {
            assert!(!lives(&mut early).await, "what it may have sent could have arrived after what was copied");
            return;
        }
    }
    panic!("nobody came in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_came_through_a_gate_is_cut_off_when_it_is_shut() {
    log();
    let ring = ZkRing::start(shared_zookeeper().await, 4).await;
    let client = ring.client().await;
    let (life, _) = still(&client, "redis-1").await;
    let mut connections = Vec::new();
    for name in ["rr:1:late", "a-stranger", "rr-agent:fill:redis-0"] {
        let mut connection = direct::connect(&ring.servers[&id("redis-1")].addr()).await;
        let () = cmd("CLIENT").arg("SETNAME").arg(name).query_async(&mut connection).await.unwrap();
        connections.push(connection);
    }
    let _: u64 = direct::ask(&ring.servers[&id("redis-1")].addr(), cmd("DEL").arg("__rr:gate")).await;
    whole(&client, &[("redis-1", life)]).await;
    let mut alive = Vec::new();
    for connection in &mut connections {
        alive.push(lives(connection).await);
    }
    assert_eq!(alive, [false, false, true], "agents alone go on");
}
