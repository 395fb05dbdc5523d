//! The agent against real Redis servers and a real ZooKeeper: founding, taking over, and being refused.
#![cfg(feature = "cli")]
#![cfg(test)]

mod agents;
mod support;

use agents::{Running, id, options, ring, start, store, url};
use redis_ring::ErrorKind;
use redis_ring::agent::{AgentOptions, Credentials, ExistingKeys};
use redis_ring::local::{RedisOptions, RedisServer};
use redis_ring::membership::Store;
use redis_ring::membership::records::LiveRecord;
use redis_ring::placement::{Config, State};
use support::{FaultProxy, Mode, SOON, eventually, redis, redis_servers, redis_with, shared_zookeeper, unique_root};

/// A ring that waits for so many founders.
async fn wanted(members: u32) -> (redis_ring::membership::RingUrl, Store) {
    let ring = url(&shared_zookeeper().await.url(&unique_root()));
    let store = store(&ring).await;
    store.init(&Config::default(), members).await.unwrap();
    (ring, store)
}

/// A ring whose agents have long to give their nodes back when they end.
async fn patient_ring(members: u32) -> (redis_ring::membership::RingUrl, Store, Vec<RedisServer>, Vec<Running>) {
    agents::ring_with(members, |options| options.membership.session_timeout = SOON).await
}

async fn refused(options: AgentOptions, kind: ErrorKind, says: &str) {
    let error = Running::of(options).failed().await;
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(error.to_string().contains(says), "{error} does not say {says:?}");
    assert!(error.hint().is_some(), "{error:?}");
}

#[tokio::test]
async fn agents_found_the_ring_and_the_next_one_is_refused() {
    let servers = redis_servers(3).await;
    let (ring, store) = wanted(2).await;
    let first = start(&ring, "redis-0", &servers[0]);
    agents::until(&store, "redis-0", |r| r.state() == State::Up).await;
    assert_eq!(store.snapshot().await.unwrap().ring.phase, "founding");
    let _second = start(&ring, "redis-1", &servers[1]);
    eventually(SOON, "the founding", || async { store.snapshot().await.unwrap().ring.phase == "still" }).await;

    let snapshot = store.snapshot().await.unwrap();
    assert_eq!((snapshot.ring.step, snapshot.ring.founding), (1, None));
    for (n, server) in servers[..2].iter().enumerate() {
        let record = snapshot.member(&id(&format!("redis-{n}"))).unwrap();
        assert_eq!((record.state(), record.generation, record.closed), (State::Up, 1, false));
        assert_eq!(record.addr, format!("redis://{}", server.addr()));
        assert_eq!(record.run_id, agents::run_id(server).await);
        assert!(record.by.as_ref().unwrap().starts_with("agent "));
    }
    let live = store.live().await.unwrap();
    let held = live[&id("redis-0")].record.as_ref().unwrap();
    let list: String = agents::ask(&servers[0], redis::cmd("CLIENT").arg("LIST")).await;
    let line = list.lines().find(|line| line.starts_with(&format!("id={} ", held.client_id))).expect("its connection");
    assert!(line.contains(" name=rr-agent:redis-0 "), "{line}");
    assert!(held.agent.ends_with(env!("CARGO_PKG_VERSION")), "{}", held.agent);

    refused(options(&ring, "redis-2", &servers[2]), ErrorKind::Refused, "not a member of this ring, which is founded")
        .await;
    assert!(!store.live().await.unwrap().contains_key(&id("redis-2")), "who is refused leaves no trace");
    first.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_fit_is_refused() {
    let (ring, store) = wanted(2).await;
    let server = redis().await;
    let _: () = agents::ask(&server, redis::cmd("SET").arg("k").arg("v")).await;
    refused(options(&ring, "redis-0", &server), ErrorKind::Refused, "not empty: it has 1 keys").await;

    let evicting = redis_with(RedisOptions::new().set("maxmemory-policy", "allkeys-lru")).await;
    refused(options(&ring, "redis-0", &evicting), ErrorKind::Refused, "allkeys-lru").await;

    let replica = redis_with(RedisOptions::new().set("replicaof", format!("127.0.0.1 {}", server.port()))).await;
    refused(options(&ring, "redis-0", &replica), ErrorKind::Refused, "replica").await;

    let secret = redis_with(RedisOptions::new().password("hunter2")).await;
    refused(options(&ring, "redis-0", &secret), ErrorKind::Denied, "NOAUTH").await;
    let with = |password: &str| Credentials { username: None, password: Some(password.to_owned()) };
    let wrong = AgentOptions { credentials: with("wrong"), ..options(&ring, "redis-0", &secret) };
    refused(wrong, ErrorKind::Denied, "WRONGPASS").await;
    assert!(store.live().await.unwrap().is_empty() && store.snapshot().await.unwrap().ring.serving.is_empty());

    let right = AgentOptions { credentials: with("hunter2"), ..options(&ring, "redis-0", &secret) };
    assert!(!format!("{right:?}").contains("hunter2"));
    let _secret = Running::of(right);
    let _adopted = Running::of(AgentOptions { existing: ExistingKeys::Adopt, ..options(&ring, "redis-1", &server) });
    eventually(SOON, "the founding", || async { store.snapshot().await.unwrap().ring.phase == "still" }).await;
}

#[tokio::test]
async fn a_cache_ring_takes_servers_that_evict_only_volatile_keys() {
    let ring = url(&shared_zookeeper().await.url(&unique_root()));
    let store = store(&ring).await;
    store.init(&Config { cache: true, ..Config::default() }, 1).await.unwrap();
    let evicting = redis_with(RedisOptions::new().set("maxmemory-policy", "allkeys-lru")).await;
    refused(options(&ring, "redis-0", &evicting), ErrorKind::Refused, "volatile-*").await;
    let volatile = redis_with(RedisOptions::new().set("maxmemory-policy", "volatile-lru")).await;
    let _agent = start(&ring, "redis-0", &volatile);
    agents::until(&store, "redis-0", |r| r.state() == State::Up).await;
}

#[tokio::test]
async fn an_id_or_a_server_that_is_taken_is_refused() {
    let servers = redis_servers(2).await;
    let (ring, store) = wanted(3).await;
    // These two have the same CRC32.
    let _first = start(&ring, "plumless", &servers[0]);
    agents::until(&store, "plumless", |r| r.state() == State::Up).await;
    refused(options(&ring, "buckeroo", &servers[1]), ErrorKind::Refused, "same CRC32").await;
    refused(options(&ring, "redis-1", &servers[0]), ErrorKind::Conflict, "is already the member plumless").await;
}

#[tokio::test]
async fn a_loopback_address_is_refused_where_others_are_elsewhere() {
    let servers = redis_servers(2).await;
    let (ring, store) = wanted(2).await;
    let announce = Some("redis://10.0.0.1:6379".parse().unwrap());
    let _first = Running::of(AgentOptions { announce, ..options(&ring, "redis-0", &servers[0]) });
    agents::until(&store, "redis-0", |r| r.addr == "redis://10.0.0.1:6379").await;
    refused(options(&ring, "redis-1", &servers[1]), ErrorKind::Refused, "others cannot reach redis-1").await;
}

#[tokio::test]
async fn without_a_ring_or_a_zookeeper_an_agent_says_so() {
    let server = redis().await;
    let nothing = url(&shared_zookeeper().await.url(&unique_root()));
    refused(options(&nothing, "redis-0", &server), ErrorKind::NotFounded, "there is no ring").await;
    let mut nobody = options(&url("zk://127.0.0.1:1/ring"), "redis-0", &server);
    nobody.membership.open_timeout = std::time::Duration::from_millis(300);
    refused(nobody, ErrorKind::Unreachable, "127.0.0.1:1: connection refused").await;
    refused(options(&url("static://a=127.0.0.1:1"), "a", &server), ErrorKind::Invalid, "static").await;
}

#[tokio::test]
async fn a_server_that_does_not_run_yet_is_waited_for() {
    let (ring, store) = wanted(1).await;
    let server = redis().await;
    // A server behind a proxy that says nothing: the proxy tells when the agent has tried.
    let proxy = FaultProxy::start(server.addr()).await;
    proxy.set(Mode::Stall).await;
    let mut options = options(&ring, "redis-0", &server);
    options.redis = format!("redis://{}", proxy.addr()).parse().unwrap();
    let _agent = Running::of(options);
    eventually(SOON, "attempts", || async { proxy.counts().accepted >= 6 }).await;
    assert!(store.snapshot().await.unwrap().ring.serving.is_empty());
    proxy.set(Mode::Pass).await;
    agents::until(&store, "redis-0", |r| r.state() == State::Up).await;
}

#[tokio::test]
async fn a_live_duplicate_is_refused_and_changes_nothing() {
    let (ring, store, servers, _agents) = ring(2).await;
    let before = store.snapshot().await.unwrap();
    let holder = store.live().await.unwrap()[&id("redis-0")].record.clone().unwrap();
    refused(options(&ring, "redis-0", &servers[0]), ErrorKind::Refused, &holder.agent).await;
    // And so is one with a server of its own.
    let other = redis().await;
    refused(options(&ring, "redis-0", &other), ErrorKind::Refused, &holder.agent).await;
    // Nor does one whose server does not answer do any harm.
    let silent = FaultProxy::start(other.addr()).await;
    silent.set(Mode::Stall).await;
    let mut third = options(&ring, "redis-0", &other);
    third.redis = format!("redis://{}", silent.addr()).parse().unwrap();
    let third = Running::of(third);
    eventually(SOON, "attempts", || async { silent.counts().accepted >= 6 }).await;
    third.stop().await.unwrap();
    let after = store.snapshot().await.unwrap();
    assert_eq!((after.epoch, &after.members), (before.epoch, &before.members));
    assert_eq!(store.live().await.unwrap()[&id("redis-0")].record.as_ref().unwrap(), &holder);
}

#[tokio::test]
async fn a_dead_predecessor_is_taken_over_while_its_session_still_lives() {
    let (ring, store, servers, mut agents) = patient_ring(2).await;
    let first = agents.remove(0);
    let seen = store.live().await.unwrap()[&id("redis-0")].record.clone().unwrap();
    first.stop().await.unwrap();
    let before = store.snapshot().await.unwrap();
    // What a killed agent leaves behind: its node, whose session ends only later, and no connection.
    let predecessor = agents::store(&ring).await;
    predecessor.hold(&id("redis-0"), &LiveRecord { agent: "killed:1 0.0.0".to_owned(), ..seen }).await.unwrap();
    let second = start(&ring, "redis-0", &servers[0]);
    eventually(SOON, "the take-over", || async {
        let live = store.live().await.unwrap();
        live.get(&id("redis-0")).is_some_and(|live| live.record.as_ref().unwrap().agent != "killed:1 0.0.0")
    })
    .await;
    assert!(!predecessor.ended(), "it did not wait for the session to end");
    predecessor.close().await;
    assert!(store.live().await.unwrap().contains_key(&id("redis-0")), "the node is the new agent's");
    assert_eq!(store.snapshot().await.unwrap().epoch, before.epoch, "the ring has not noticed");
    second.stop().await.unwrap();
}

#[tokio::test]
async fn a_predecessor_whose_server_restarted_is_dead_as_well() {
    let (ring, store, servers, mut agents) = patient_ring(2).await;
    agents.remove(0).stop().await.unwrap();
    let predecessor = agents::store(&ring).await;
    // Its numbers belong to another life of the server, so that one of them may be anybody's now.
    let list: String = agents::ask(&servers[0], redis::cmd("CLIENT").arg("LIST")).await;
    assert!(list.contains("id="));
    let left = LiveRecord {
        v: 1,
        run_id: "another life".to_owned(),
        agent: "killed:1 0.0.0".to_owned(),
        client_id: 1,
        sync: None,
        rest: serde_json::Map::new(),
    };
    predecessor.hold(&id("redis-0"), &left).await.unwrap();
    let _second = start(&ring, "redis-0", &servers[0]);
    eventually(SOON, "the take-over", || async {
        store.live().await.unwrap().get(&id("redis-0")).is_some_and(|live| live.record.as_ref() != Ok(&left))
    })
    .await;
    assert!(!predecessor.ended());
}

#[tokio::test]
async fn a_member_may_move_to_a_new_address() {
    let (ring, store, servers, mut agents) = ring(2).await;
    agents.remove(0).stop().await.unwrap();
    // The same process under another name: nothing else changes.
    let announce = format!("redis://localhost:{}", servers[0].port());
    let renamed = AgentOptions { announce: Some(announce.parse().unwrap()), ..options(&ring, "redis-0", &servers[0]) };
    let renamed = Running::of(renamed);
    let record = agents::until(&store, "redis-0", |r| r.addr == announce).await;
    assert_eq!((record.state(), record.generation), (State::Up, 1));
    renamed.stop().await.unwrap();
    // Another process: another life of the data.
    let other = redis().await;
    let _straggler = agents::straggler(&servers[1]).await;
    let _moved = start(&ring, "redis-0", &other);
    let record = agents::until(&store, "redis-0", |r| r.addr == format!("redis://{}", other.addr())).await;
    assert_eq!((record.state(), record.generation), (State::Joining, 2));
    assert_eq!(record.run_id, agents::run_id(&other).await);
}

#[tokio::test]
async fn the_end_of_an_agent_leaves_its_member_as_it_is() {
    let (_ring, store, _servers, mut agents) = patient_ring(2).await;
    let before = store.snapshot().await.unwrap();
    agents.remove(0).stop().await.unwrap();
    assert!(!store.live().await.unwrap().contains_key(&id("redis-0")), "its node is gone at once");
    let after = store.snapshot().await.unwrap();
    assert_eq!((after.epoch, after.members), (before.epoch, before.members));
}
