//! Who is not fenced, and what becomes of a write then: guards, copies that only lost a connection, memory, ZooKeeper away.
#![cfg(feature = "cli")]
#![cfg(test)]

mod support;

use std::time::{Duration, Instant};

use redis::{AsyncCommands, RedisResult, Value, cmd};
use redis_ring::membership::{Change, Source};
use redis_ring::placement::{NodeId, State};
use redis_ring::policy::{Timeouts, Unfenced};
use redis_ring::{ErrorKind, Outcome, RingClient, RingClientBuilder, RingConnection};
use support::{
    FaultProxy, Mode, SOON, ZkRing, call, direct, eventually, eventually_some, id, key_of, own, redis_servers, run,
    shared_zookeeper, zookeeper,
};

/// Nothing that a busy machine does takes as long. A test of who gives up has shorter ones for that.
const PATIENT: Timeouts =
    Timeouts { open: SOON, connect: Duration::from_secs(5), read: SOON, write: SOON, probe: Duration::from_secs(5) };

fn patiently(ring: &ZkRing) -> RingClientBuilder {
    ring.builder().timeouts(PATIENT).session_timeout(SOON)
}

async fn all_connected(client: &RingClient, count: usize) {
    eventually(SOON, "all are connected", || async { client.connected().len() == count }).await;
}

/// A ring whose members nobody but its clients watches over, and a client that is connected to all of them.
async fn unwatched(count: usize) -> (ZkRing, RingClient) {
    unwatched_by(count, patiently).await
}

/// Likewise, with a client as this says.
async fn unwatched_by(count: usize, builder: impl FnOnce(&ZkRing) -> RingClientBuilder) -> (ZkRing, RingClient) {
    let mut ring = ZkRing::start(shared_zookeeper().await, count).await;
    let client = builder(&ring).open().await.unwrap();
    all_connected(&client, count).await;
    ring.stop_agents();
    (ring, client)
}

fn all_up(client: &RingClient) -> bool {
    client.topology().members().iter().all(|member| member.state == State::Up)
}

fn state(client: &RingClient, member: &str) -> State {
    client.topology().find(&id(member)).unwrap().1.state
}

async fn set(connection: &RingConnection, key: &str, value: &str) -> RedisResult<()> {
    connection.clone().set(key, value).await
}

/// Writes until it is acknowledged: a client that refuses says before that it could not ask ZooKeeper in time.
async fn set_at_last(connection: &RingConnection, key: &str, value: &str) {
    eventually(SOON, "it is acknowledged", || async { set(connection, key, value).await.is_ok() }).await;
}

/// A key whose second owner is this member.
fn copied_to(client: &RingClient, prefix: &str, copy: &str) -> String {
    (0..).map(|i| format!("{prefix}{i}")).find(|key| client.locate(key).owners[1].as_str() == copy).unwrap()
}

/// What the servers hold, asked past the ring.
async fn at_owners(ring: &ZkRing, client: &RingClient, key: &str) -> Vec<Option<String>> {
    let mut held = Vec::new();
    for owner in client.locate(key).owners {
        held.push(direct::ask(&ring.servers[&owner].addr(), cmd("GET").arg(key)).await);
    }
    held
}

async fn take_out(ring: &ZkRing, member: &NodeId) {
    let store = ring.store().await;
    let changed = store.change(|snapshot| {
        let mut record = snapshot.member(member).unwrap().clone();
        record.state = "down".to_owned();
        Ok(Some(Change::of(snapshot).put(member, record).clone()))
    });
    changed.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_only_lost_its_connection_is_repaired_and_not_fenced() {
    let (ring, client) = unwatched(3).await;
    let connection = client.connection();
    let epoch = client.topology().epoch();
    let keys: Vec<String> = (0..8).map(|n| copied_to(&client, &format!("k{n}-"), "redis-1")).collect();
    let began = Instant::now();
    let goes_on = || began.elapsed() < Duration::from_secs(2) || client.stats().repaired_writes == 0;
    let writing = keys.iter().map(|key| {
        let mut connection = connection.clone();
        async move {
            let mut count = 0_i64;
            while goes_on() {
                count += 1;
                assert_eq!(connection.append::<_, _, i64>(key, "x").await.unwrap(), count);
            }
            count
        }
    });
    let cutting = async {
        while goes_on() {
            let _: Value =
                direct::ask(&ring.servers[&id("redis-1")].addr(), &call(&["CLIENT", "KILL", "TYPE", "normal"])).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let both = futures_util::future::join(futures_util::future::join_all(writing), cutting);
    let (counts, ()) = tokio::time::timeout(SOON, both).await.expect("a write is repaired");
    assert_eq!(client.topology().epoch(), epoch, "nobody was fenced");
    for (key, count) in keys.iter().zip(counts) {
        let held = at_owners(&ring, &client, key).await;
        assert!(held.iter().all(|held| held.as_ref().unwrap().len() as i64 == count), "{key}: {count}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_owner_and_more_than_a_third_are_never_fenced() {
    // What becomes of the write is said when these times are over.
    let second = Duration::from_secs(1);
    let timeouts = Timeouts { connect: second / 2, write: second, probe: second / 2, ..PATIENT };
    let refusing = |ring: &ZkRing| patiently(ring).timeouts(timeouts.clone()).on_unfenced(Unfenced::Refuse);
    let (ring, client) = unwatched_by(2, refusing).await;
    let connection = client.connection();
    let key = key_of(&client, "k", "redis-0");
    ring.servers[&id("redis-0")].kill();
    set_at_last(&connection, &key, "1").await;
    assert_eq!(state(&client, "redis-0"), State::Down);
    ring.servers[&id("redis-1")].kill();
    let error = set(&connection, &key, "2").await.unwrap_err();
    assert_eq!(own(&error).kind(), ErrorKind::NoOwner, "{error:?}");
    assert_eq!(state(&client, "redis-1"), State::Up);

    let (ring, client) = unwatched_by(4, refusing).await;
    let connection = client.connection();
    let (key, other) = (copied_to(&client, "k", "redis-1"), key_of(&client, "k", "redis-0"));
    set_at_last(&connection, &other, "1").await;
    ring.servers[&id("redis-0")].kill();
    set_at_last(&connection, &other, "2").await;
    ring.servers[&id("redis-1")].kill();
    let key = match client.locate(&key).writes[0].as_str() {
        "redis-0" => unreachable!("it is down"),
        _ => key,
    };
    // The copy missed it and stays, so nobody may count on it.
    let error = eventually_some(SOON, "ZooKeeper says why", || async {
        let error = set(&connection, &key, "1").await.unwrap_err();
        assert_eq!((own(&error).outcome(), state(&client, "redis-1")), (Outcome::Unknown, State::Up), "{error:?}");
        format!("{:?}", std::error::Error::source(own(&error))).contains("down already").then_some(error)
    })
    .await;
    assert!(own(&error).hint().unwrap().contains("redis-ring status"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_cut_off_fences_nobody() {
    let mut ring = ZkRing::behind_proxies(shared_zookeeper().await, 4).await;
    let timeouts = Timeouts { write: Duration::from_secs(2), ..PATIENT };
    let client = patiently(&ring).timeouts(timeouts).open().await.unwrap();
    all_connected(&client, 4).await;
    ring.stop_agents();
    let connection = client.connection();
    // All but one, and a key that is at home there.
    let key = key_of(&client, "k", "redis-3");
    for (_, proxy) in ring.proxies.iter().filter(|(member, _)| member.as_str() != "redis-3") {
        proxy.set(Mode::Refuse).await;
        proxy.cut().await;
    }
    let error = set(&connection, &key, "1").await.unwrap_err();
    assert_eq!(own(&error).outcome(), Outcome::Unknown);
    assert!(format!("{:?}", own(&error)).contains("cut off"), "{error:?}");
    assert!(all_up(&client));
    for proxy in ring.proxies.values() {
        proxy.set(Mode::Pass).await;
    }
    all_connected(&client, 4).await;
    eventually(SOON, "a write", || async { set(&connection, &key, "2").await.is_ok() }).await;
    assert!(all_up(&client));
    assert_eq!(at_owners(&ring, &client, &key).await, [Some("2".to_owned()), Some("2".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_without_memory_is_not_fenced_and_one_that_cannot_write_is() {
    let (ring, client) = unwatched(4).await;
    let connection = client.connection();
    let key = copied_to(&client, "k", "redis-1");
    let addr = ring.servers[&id("redis-1")].addr();
    let _: Value = direct::ask(&addr, &call(&["CONFIG", "SET", "maxmemory", "1"])).await;
    let error = set(&connection, &key, "1").await.unwrap_err();
    assert_eq!(own(&error).outcome(), Outcome::Unknown);
    assert!(error.to_string().contains("no memory") && all_up(&client), "{error:?}");
    let _: Value = direct::ask(&addr, &call(&["CONFIG", "SET", "maxmemory", "0"])).await;
    set(&connection, &key, "2").await.unwrap();
    // A replica answers all, and takes no writes.
    let _: Value = direct::ask(&addr, &call(&["REPLICAOF", "127.0.0.1", "1"])).await;
    set(&connection, &key, "3").await.unwrap();
    let topology = client.topology();
    let (_, member) = topology.find(&id("redis-1")).unwrap();
    assert_eq!(member.state, State::Down);
    assert!(member.reason.as_deref().unwrap().contains("cannot write"), "{member:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_cannot_write_is_fenced_and_the_write_is_done_once() {
    let (ring, client) = unwatched(4).await;
    let connection = client.connection();
    let key = key_of(&client, "k", "redis-1");
    assert_eq!(run(&connection, &["INCR", &key]).await.unwrap(), Value::Int(1));
    let addr = ring.servers[&id("redis-1")].addr();
    let _: Value = direct::ask(&addr, &call(&["REPLICAOF", "127.0.0.1", "1"])).await;
    assert_eq!(run(&connection, &["INCR", &key]).await.unwrap(), Value::Int(2));
    assert_eq!(state(&client, "redis-1"), State::Down);
    let (one, two): (i64, i64) =
        redis::pipe().incr(&key, 1).incr(&key, 1).query_async(&mut connection.clone()).await.unwrap();
    assert_eq!((one, two), (3, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundreds_of_writes_in_flight_wait_for_one_fence() {
    let (ring, client) = unwatched_by(4, |ring| ring.builder().on_unfenced(Unfenced::Refuse)).await;
    let connection = client.connection();
    let keys: Vec<String> = (0..400).map(|i| format!("k{i}")).collect();
    ring.servers[&id("redis-2")].stop().unwrap();
    let epoch = client.topology().epoch().0;
    let writes = futures_util::future::join_all(keys.iter().map(|key| set(&connection, key, "v"))).await;
    // All of them or none: what they wait for is the same, and only ZooKeeper may be too late for it.
    if let Some(error) = writes.iter().find_map(|write| write.as_ref().err()) {
        let why = own(error).hint().unwrap_or_default();
        assert!(why.contains("ZooKeeper"), "{error:?}");
        futures_util::future::join_all(keys.iter().map(|key| set_at_last(&connection, key, "v"))).await;
    }
    assert_eq!((client.topology().epoch().0, state(&client, "redis-2")), (epoch + 1, State::Down));
    ring.servers[&id("redis-2")].cont().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_zookeeper_is_away_a_miss_is_accepted_and_paid_later_or_refused() {
    let zookeeper = zookeeper().await;
    let mut ring = ZkRing::start(&zookeeper, 4).await;
    // Whoever is back has long to answer, and who is not back is not waited for long.
    let timeouts = Timeouts { write: Duration::from_secs(1), probe: Duration::from_secs(2), ..PATIENT };
    let accepting = ring.builder().timeouts(timeouts.clone()).open().await.unwrap();
    let refusing = ring.builder().timeouts(timeouts).on_unfenced(Unfenced::Refuse).open().await.unwrap();
    all_connected(&accepting, 4).await;
    all_connected(&refusing, 4).await;
    ring.stop_agents();
    zookeeper.kill();
    for client in [&accepting, &refusing] {
        eventually(SOON, "stale", || async { matches!(client.view().source, Source::Stale { .. }) }).await;
    }
    ring.servers[&id("redis-1")].stop().unwrap();
    let (first, second) = (key_of(&accepting, "a", "redis-1"), copied_to(&accepting, "b", "redis-1"));
    let error = set(&refusing.connection(), &second, "r").await.unwrap_err();
    assert_eq!(own(&error).outcome(), Outcome::Unknown, "{error:?}");
    assert!(own(&error).hint().unwrap().contains("ZooKeeper"), "{error:?}");
    let connection = accepting.connection();
    for key in [&first, &second] {
        set(&connection, key, "v").await.unwrap();
        assert_eq!(run(&connection, &["APPEND", key, "w"]).await.unwrap(), Value::Int(2));
        assert_eq!(connection.clone().get::<_, String>(key).await.unwrap(), "vw");
    }
    assert!(accepting.stats().debts > 0 && accepting.stats().debts_paid == 0, "{:?}", accepting.stats());
    // It lives, so what it lacks it is given.
    ring.servers[&id("redis-1")].cont().unwrap();
    all_connected(&accepting, 4).await;
    zookeeper.restart_async().await.unwrap();
    eventually(SOON, "the debts are paid", || async { accepting.stats().debts_paid >= accepting.stats().debts }).await;
    assert!(all_up(&accepting));
    for key in [&first, &second] {
        assert_eq!(at_owners(&ring, &accepting, key).await, [Some("vw".to_owned()), Some("vw".to_owned())]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_be_given_what_it_is_owed_is_taken_out() {
    let zookeeper = zookeeper().await;
    let mut ring = ZkRing::start(&zookeeper, 4).await;
    let client = ring.client().await;
    all_connected(&client, 4).await;
    ring.stop_agents();
    // Nobody compares a key of this size, so nobody can say that the copy has all of it.
    let (key, large) = (copied_to(&client, "k", "redis-1"), "x".repeat(17 << 20));
    set(&client.connection(), &key, &large).await.unwrap();
    zookeeper.kill();
    eventually(SOON, "stale", || async { matches!(client.view().source, Source::Stale { .. }) }).await;
    ring.servers[&id("redis-1")].stop().unwrap();
    let length = run(&client.connection(), &["APPEND", &key, "y"]).await.unwrap();
    assert_eq!((length, client.stats().debts), (Value::Int((17 << 20) + 1), 1));
    ring.servers[&id("redis-1")].cont().unwrap();
    all_connected(&client, 4).await;
    zookeeper.restart_async().await.unwrap();
    ring.until(&client, &id("redis-1"), State::Down).await;
    let reason = client.topology().find(&id("redis-1")).unwrap().1.reason.clone().unwrap();
    assert!(reason.contains("nobody can give it what it missed"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_no_memory_for_what_it_is_owed_is_not_taken_out() {
    let zookeeper = zookeeper().await;
    let mut ring = ZkRing::start(&zookeeper, 4).await;
    let client = ring.client().await;
    all_connected(&client, 4).await;
    ring.stop_agents();
    let key = copied_to(&client, "k", "redis-1");
    zookeeper.kill();
    eventually(SOON, "stale", || async { matches!(client.view().source, Source::Stale { .. }) }).await;
    let addr = ring.servers[&id("redis-1")].addr();
    let _: Value = direct::ask(&addr, &call(&["CONFIG", "SET", "maxmemory", "1"])).await;
    ring.servers[&id("redis-1")].stop().unwrap();
    set(&client.connection(), &key, "v").await.unwrap();
    assert_eq!(client.stats().debts, 1);
    ring.servers[&id("redis-1")].cont().unwrap();
    all_connected(&client, 4).await;
    zookeeper.restart_async().await.unwrap();
    let tried = async || direct::calls(&addr, "eval").await + direct::calls(&addr, "evalsha").await;
    let before = tried().await;
    eventually(SOON, "it is tried several times", || async { tried().await > before + 10 }).await;
    assert!(all_up(&client), "the next one would be full as well");
    let _: Value = direct::ask(&addr, &call(&["CONFIG", "SET", "maxmemory", "0"])).await;
    eventually(SOON, "the debt is paid", || async { client.stats().debts_paid == 1 }).await;
    assert!(all_up(&client));
    assert_eq!(at_owners(&ring, &client, &key).await, [Some("v".to_owned()), Some("v".to_owned())]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_not_granted_by_a_primary_that_was_fenced_and_still_answers() {
    let server = shared_zookeeper().await;
    let mut ring = ZkRing::start(server, 4).await;
    let client = ring.client().await;
    // Another client, whose ZooKeeper can be held back.
    let proxy = FaultProxy::start(server.addr()).await;
    let url = ring.url.replace(&server.addr(), &proxy.addr());
    let timeouts = Timeouts { write: Duration::from_secs(3), ..PATIENT };
    let lagging = RingClient::builder(&url).unwrap().timeouts(timeouts).session_timeout(Duration::from_secs(30));
    let lagging = lagging.open().await.unwrap();
    all_connected(&client, 4).await;
    all_connected(&lagging, 4).await;
    ring.stop_agents();
    let locks: Vec<String> = (0..4).map(|n| key_of(&client, &format!("lock{n}-"), "redis-1")).collect();
    proxy.set(Mode::HoldReplies).await;
    take_out(&ring, &id("redis-1")).await;
    ring.until(&client, &id("redis-1"), State::Down).await;
    for lock in &locks {
        assert_eq!(run(&client.connection(), &["SET", lock, "mine", "NX"]).await.unwrap(), Value::Okay);
    }
    // It still believes in the old primary, which has no lock. Without ZooKeeper it cannot know better, and says so.
    assert_eq!(state(&lagging, "redis-1"), State::Up);
    let connection = lagging.connection();
    let (words, mut others, mut pipe) = (["SET", &locks[0], "theirs", "NX"], connection.clone(), redis::pipe());
    let piped = pipe.cmd("SET").arg(&locks[1]).arg("theirs").arg("NX").query_async::<Value>(&mut others);
    let (plain, piped) = tokio::join!(run(&connection, &words), piped);
    let error = plain.unwrap_err();
    assert_eq!(own(&error).outcome(), Outcome::Unknown, "{error:?}");
    assert!(piped.is_err(), "{piped:?}");
    // With it, it learns who holds the lock.
    let words = ["SET", &locks[2], "theirs", "NX"];
    let (answer, ()) = tokio::join!(run(&connection, &words), async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        proxy.set(Mode::Pass).await;
    });
    assert_eq!(answer.unwrap(), Value::Nil);
    assert_eq!(run(&connection, &["SET", &locks[3], "theirs", "NX"]).await.unwrap(), Value::Nil);
    for lock in &locks {
        assert_eq!(client.connection().get::<_, String>(lock).await.unwrap(), "mine");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_lags_behind_a_fence_reads_nothing_older_than_was_acknowledged() {
    let fence_wait = Duration::from_secs(3);
    for _ in 0..10 {
        if lags_behind_a_fence(fence_wait).await {
            return;
        }
    }
    panic!("the reader never lagged, or for longer than it may");
}

/// Whether this was a proof: the reader lagged, and for no longer than it may.
async fn lags_behind_a_fence(fence_wait: Duration) -> bool {
    let server = shared_zookeeper().await;
    let config = redis_ring::placement::Config { fence_wait, ..Default::default() };
    let mut ring = ZkRing::start_with(server, &config, redis_servers(4).await).await;
    let writer = patiently(&ring).open().await.unwrap();
    let proxy = FaultProxy::start(server.addr()).await;
    let url = ring.url.replace(&server.addr(), &proxy.addr());
    let reader = RingClient::builder(&url).unwrap().timeouts(PATIENT).session_timeout(Duration::from_secs(30));
    let reader = reader.open().await.unwrap();
    all_connected(&writer, 4).await;
    all_connected(&reader, 4).await;
    ring.stop_agents();
    let key = key_of(&writer, "k", "redis-1");
    set(&writer.connection(), &key, "old").await.unwrap();
    assert_eq!(reader.connection().get::<_, String>(&key).await.unwrap(), "old");
    // It hears of everything late: of a change, and then of what has changed.
    let late = Duration::from_millis(200);
    proxy.set(Mode::Delay { requests: Duration::ZERO, replies: late }).await;
    let began = Instant::now();
    take_out(&ring, &id("redis-1")).await;
    ring.until(&writer, &id("redis-1"), State::Down).await;
    if state(&reader, "redis-1") == State::Down {
        return false;
    }
    set(&writer.connection(), &key, "new").await.unwrap();
    assert!(began.elapsed() >= fence_wait, "others may still read what was there before");
    if state(&reader, "redis-1") == State::Up {
        return false;
    }
    for _ in 0..200 {
        assert_eq!(reader.connection().get::<_, String>(&key).await.unwrap(), "new");
    }
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_whose_copies_answer_differently_are_told_to_the_agent_of_their_primary() {
    let (ring, client) = unwatched(3).await;
    let connection = client.connection();
    let key = key_of(&client, "k", "redis-0");
    assert_eq!(run(&connection, &["INCR", &key]).await.unwrap(), Value::Int(1));
    let copy = client.locate(&key).owners[1].clone();
    let _: Value = direct::ask(&ring.servers[&copy].addr(), cmd("SET").arg(&key).arg(7)).await;
    // The primary is the primary still, so its answer is right.
    for n in 2..20 {
        assert_eq!(run(&connection, &["INCR", &key]).await.unwrap(), Value::Int(n));
    }
    let addr = ring.servers[&id("redis-0")].addr();
    eventually(SOON, "it is told", || async {
        let told: Vec<String> = direct::ask(&addr, &call(&["LRANGE", "__rr:suspects", "0", "-1"])).await;
        !told.is_empty() && told.iter().all(|told| *told == key)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_a_copy_refuses_is_there_before_it_is_acknowledged() {
    // So long the copy is asked again.
    let timeouts = Timeouts { probe: Duration::from_secs(1), ..PATIENT };
    let (ring, client) = unwatched_by(3, |ring| patiently(ring).timeouts(timeouts)).await;
    let connection = client.connection();
    let locks: Vec<String> = (0..3).map(|n| key_of(&client, &format!("lock{n}-"), "redis-0")).collect();
    for lock in &locks {
        // As when somebody gave it back at the primary, and no copy has heard of that yet.
        let copy = client.locate(lock).owners[1].clone();
        let _: Value = direct::ask(&ring.servers[&copy].addr(), cmd("SET").arg(lock).arg("given back")).await;
    }
    assert_eq!(run(&connection, &["SET", &locks[0], "mine", "NX"]).await.unwrap(), Value::Okay);
    let piped: Vec<Value> = redis::pipe()
        .cmd("SET")
        .arg(&locks[1])
        .arg("mine")
        .arg("NX")
        .query_async(&mut connection.clone())
        .await
        .unwrap();
    assert_eq!(piped, [Value::Okay]);
    let atomic: Vec<Value> = redis::pipe()
        .atomic()
        .cmd("SET")
        .arg(&locks[2])
        .arg("mine")
        .arg("NX")
        .query_async(&mut connection.clone())
        .await
        .unwrap();
    assert_eq!(atomic, [Value::Okay]);
    for lock in &locks {
        let held = at_owners(&ring, &client, lock).await;
        assert_eq!(held, [Some("mine".to_owned()), Some("mine".to_owned())], "{lock}");
    }
    assert!(all_up(&client));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_primary_that_lives_may_have_done_is_unknown_and_not_repeated() {
    let mut ring = ZkRing::behind_proxies(shared_zookeeper().await, 4).await;
    let client = patiently(&ring).open().await.unwrap();
    all_connected(&client, 4).await;
    ring.stop_agents();
    let connection = client.connection();
    let (key, piped) = (key_of(&client, "k", "redis-1"), key_of(&client, "p", "redis-1"));
    let (addr, proxy) = (ring.servers[&id("redis-1")].addr(), &ring.proxies[&id("redis-1")]);
    proxy.set(Mode::HoldReplies).await;
    let increment = async {
        let words = ["INCR", &key];
        let plain = run(&connection, &words);
        let mut others = connection.clone();
        let mut pipe = redis::pipe();
        let piped = pipe.incr(&piped, 1).query_async::<Value>(&mut others);
        tokio::join!(plain, piped)
    };
    let (results, ()) = tokio::join!(increment, async {
        for key in [&key, &piped] {
            let executed = || async { direct::ask::<Option<i64>>(&addr, cmd("GET").arg(key)).await == Some(1) };
            eventually(SOON, "it is executed", executed).await;
        }
        proxy.cut().await;
        proxy.set(Mode::Pass).await;
    });
    for error in [results.0.unwrap_err(), results.1.unwrap_err()] {
        assert_eq!(own(&error).outcome(), Outcome::Unknown, "{error:?}");
    }
    assert!(all_up(&client));
    for key in [&key, &piped] {
        assert_eq!(direct::ask::<i64>(&addr, cmd("GET").arg(key)).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_was_sent_again_is_told_to_the_agent_of_its_primary() {
    let mut ring = ZkRing::behind_proxies(shared_zookeeper().await, 4).await;
    let client = patiently(&ring).open().await.unwrap();
    all_connected(&client, 4).await;
    ring.stop_agents();
    let key = key_of(&client, "k", "redis-1");
    let (addr, proxy) = (ring.servers[&id("redis-1")].addr(), &ring.proxies[&id("redis-1")]);
    proxy.set(Mode::HoldReplies).await;
    let connection = client.connection();
    let (written, ()) = tokio::join!(set(&connection, &key, "v"), async {
        let executed = || async { direct::ask::<Option<String>>(&addr, cmd("GET").arg(&key)).await.is_some() };
        eventually(SOON, "it is executed", executed).await;
        proxy.cut().await;
        proxy.set(Mode::Pass).await;
    });
    written.unwrap();
    assert!(all_up(&client) && client.stats().repeated_writes > 0, "{:?}", client.stats());
    eventually(SOON, "it is told", || async {
        let told: Vec<String> = direct::ask(&addr, &call(&["LRANGE", "__rr:suspects", "0", "-1"])).await;
        told.contains(&key)
    })
    .await;
}

async fn may_flush(ring: &ZkRing, member: &str, may: bool) {
    let right = if may { "+flushdb" } else { "-flushdb" };
    let addr = ring.servers[&id(member)].addr();
    let _: Value = direct::ask(&addr, &call(&["ACL", "SETUSER", "default", right])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_misses_a_flush_is_taken_out_and_no_client_knows_it_by_itself() {
    let (ring, client) = unwatched(3).await;
    let connection = client.connection();
    for member in ["redis-1", "redis-2"] {
        may_flush(&ring, member, false).await;
    }
    let error = run(&connection, &["FLUSHALL"]).await.unwrap_err();
    assert_eq!(own(&error).outcome(), Outcome::Unknown, "{error:?}");
    // Two of three cannot be taken out; and the one that stays is the first of its keys for this client as for all others.
    let kept: Vec<&str> =
        ["redis-1", "redis-2"].into_iter().filter(|member| state(&client, member) == State::Up).collect();
    let counter = |member: &str| {
        let owners = |key: &String| client.locate(key).owners[..2] == [id(member), id("redis-0")];
        (0..).map(|n| format!("n{n}")).find(owners).unwrap()
    };
    for member in &kept {
        let key = counter(member);
        let _: Value = direct::ask(&ring.servers[&id("redis-0")].addr(), cmd("SET").arg(&key).arg(10)).await;
        let script = ["EVAL", "return redis.call('INCR', KEYS[1])", "1", &key];
        assert_eq!(run(&connection, &script).await.unwrap(), Value::Int(1), "{member} decides");
    }
    assert_eq!(kept.len(), 1, "{kept:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_one_member_did_not_flush_do_not_come_back() {
    let ring = ZkRing::start(shared_zookeeper().await, 4).await;
    let client = patiently(&ring).open().await.unwrap();
    all_connected(&client, 4).await;
    let connection = client.connection();
    for n in 0..50 {
        set(&connection, &format!("k{n}"), "v").await.unwrap();
    }
    may_flush(&ring, "redis-1", false).await;
    let error = run(&connection, &["FLUSHALL"]).await.unwrap_err();
    assert!(error.to_string().contains("redis-1 says"), "{error:?}");
    // Its agent brings it back, and it has what the others have: nothing.
    eventually(SOON, "it is back", || async {
        let topology = client.topology();
        let (_, member) = topology.find(&id("redis-1")).unwrap();
        member.state == State::Up && member.generation.0 > 1
    })
    .await;
    let keys: Vec<String> = direct::ask(&ring.servers[&id("redis-1")].addr(), &call(&["KEYS", "k*"])).await;
    assert!(keys.is_empty(), "{keys:?}");
    may_flush(&ring, "redis-1", true).await;
    eventually(SOON, "it is flushed", || async { run(&connection, &["FLUSHALL"]).await.is_ok() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_primary_may_have_done_without_a_word_is_not_copied_before_that_is_settled() {
    let write = Duration::from_secs(2);
    let (ring, client) = unwatched_by(3, |ring| patiently(ring).timeouts(Timeouts { write, ..PATIENT })).await;
    let connection = client.connection();
    let key = key_of(&client, "n", "redis-0");
    let addr = ring.servers[&id("redis-0")].addr();
    // Until the look that a script is followed by comes after what the primary alone has executed.
    let healed_after = loop {
        run(&connection, &["EVAL", "return redis.call('INCR', KEYS[1])", "1", &key]).await.unwrap();
        let began = Instant::now();
        let _: i64 = direct::ask(&addr, cmd("INCR").arg(&key)).await;
        eventually(SOON, "the copies are compared", || async { client.suspects() == 0 }).await;
        if client.stats().healed_keys > 0 {
            break began.elapsed();
        }
    };
    assert!(healed_after >= write * 2, "it would run again at the copy: after {healed_after:?}");
    let held = at_owners(&ring, &client, &key).await;
    assert_eq!(held[0], held[1]);
}

/// A script whose effect waits for its turn at the copy while its primary dies and another client takes that out, and
/// writes the key at the copy, which is the primary now.
async fn a_state_that_comes_after_a_fence(lags: bool) {
    let zookeeper = shared_zookeeper().await;
    let (ring, other) = unwatched(4).await;
    let to_zookeeper = FaultProxy::start(zookeeper.addr()).await;
    let timeouts = Timeouts { write: Duration::from_secs(15), probe: Duration::from_millis(1), ..PATIENT };
    let url = ring.url.replace(&zookeeper.addr(), &to_zookeeper.addr());
    let slow = RingClient::builder(&url).unwrap().timeouts(timeouts).session_timeout(SOON).open().await.unwrap();
    all_connected(&slow, 4).await;
    let tag = (0..).map(|n| format!("{{t{n}}}")).find(|tag| other.locate(tag).owners[0] == id("redis-0")).unwrap();
    let (list, hash) = (format!("{tag}list"), format!("{tag}hash"));
    let primary = ring.servers[&id("redis-0")].addr();
    let copy = ring.servers[&other.locate(&tag).owners[1]].addr();
    // What the copy lacks is looked for there again and again, and all else of this tag waits for it.
    let _: i64 = direct::ask(&primary, &call(&["RPUSH", &list, "element"])).await;
    let connection = slow.connection();
    let (pop, script) = (["BLPOP", &list, "1"], "return redis.call('HSET', KEYS[1], 'script', '1')");
    let eval = ["EVAL", script, "1", &hash];
    let popping = run(&connection, &pop);
    let evaluating = async {
        eventually(SOON, "it is taken", || async { direct::ask::<i64>(&primary, cmd("EXISTS").arg(&list)).await == 0 })
            .await;
        run(&connection, &eval).await
    };
    let (popped, evaluated, ()) = tokio::join!(popping, evaluating, async {
        eventually(SOON, "the script has run", || async {
            direct::ask::<i64>(&primary, cmd("EXISTS").arg(&hash)).await == 1
        })
        .await;
        // Whatever was said before this, it has been heard.
        let _: Value = run(&connection, &["GET", &tag]).await.unwrap();
        if lags {
            let replies = Duration::from_millis(300);
            to_zookeeper.set(Mode::Delay { requests: Duration::ZERO, replies }).await;
        }
        ring.servers[&id("redis-0")].kill();
        run(&other.connection(), &["HSET", &hash, "other", "1"]).await.unwrap();
        if !lags {
            ring.until(&slow, &id("redis-0"), State::Down).await;
        }
        let _: i64 = direct::ask(&copy, &call(&["RPUSH", &list, "element"])).await;
    });
    popped.unwrap();
    let held: Vec<String> = direct::ask(&copy, cmd("HKEYS").arg(&hash)).await;
    assert!(held.contains(&"other".to_owned()), "it was acknowledged: {held:?}");
    assert_eq!(held.contains(&"script".to_owned()), evaluated.is_ok(), "{evaluated:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_state_of_a_primary_that_was_taken_out_undoes_nothing_that_was_written_since() {
    a_state_that_comes_after_a_fence(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nor_does_it_where_its_client_has_not_heard_of_that_yet() {
    a_state_that_comes_after_a_fence(true).await;
}
