//! Which connections may be used: generations and gates, the names that say how far a client has come, and taking a step of
//! the ring. There are no agents here; the test plays them, so that nothing is set right before it was looked at.
#![cfg(feature = "cli")]
#![cfg(test)]

#[path = "moving/operator.rs"]
mod operator;
mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use redis::{AsyncCommands, cmd};
use redis_ring::membership::records::MemberRecord;
use redis_ring::membership::{Source, Store};
use redis_ring::placement::{NodeId, Step};
use redis_ring::policy::Timeouts;
use redis_ring::{ErrorKind, RingClient, RingClientBuilder};

use operator::{Operator, weight};
use support::{
    FaultProxy, Mode, SOON, direct, eventually, eventually_some, id, own, patient_options, run, run_or_error,
    shared_zookeeper, zookeeper,
};

/// A ring whose members clients reach directly.
async fn plain(members: usize) -> Operator {
    Operator::start(shared_zookeeper().await, members, members, async |_, _| None).await
}

/// A ring whose members clients reach through proxies.
async fn proxied(servers: usize, members: usize) -> (Operator, BTreeMap<NodeId, FaultProxy>) {
    let proxies = tokio::sync::Mutex::new(BTreeMap::new());
    let operator = Operator::start(shared_zookeeper().await, servers, members, async |id, addr| {
        let proxy = FaultProxy::start(addr.to_owned()).await;
        let reached = proxy.addr();
        proxies.lock().await.insert(id.clone(), proxy);
        Some(reached)
    });
    (operator.await, proxies.into_inner())
}

async fn record_of(ring: &Operator, id: &NodeId) -> MemberRecord {
    let store = Store::open(&ring.url.parse().unwrap(), &patient_options()).await.unwrap();
    store.snapshot().await.unwrap().member(id).unwrap().clone()
}

async fn put(ring: &Operator, id: &NodeId, record: &MemberRecord) {
    ring.change(|change| {
        change.put(id, record.clone());
    })
    .await;
}

/// The names of a server's connections that bear a client's.
async fn names(ring: &Operator, id: &NodeId, client: &str) -> Vec<String> {
    let list: String = ring.ask(id, cmd("CLIENT").arg("LIST")).await;
    let names = list.lines().filter_map(|line| line.split(' ').find_map(|field| field.strip_prefix("name=")));
    let mut names: Vec<String> = names.filter(|name| name.ends_with(client)).map(str::to_owned).collect();
    names.sort();
    names
}

async fn until_named(ring: &Operator, at: &str, client: &str, wanted: &[&str]) {
    let at = id(at);
    eventually(SOON, &format!("the names at {at} are {wanted:?}"), || async {
        names(ring, &at, client).await == wanted
    })
    .await;
}

/// Why a read of the only member fails. It does not answer nil.
async fn until_unread(client: &RingClient, says: &str) {
    let what = format!("an error that says {says:?}");
    let error = eventually_some(SOON, &what, || async {
        let reply = run(&client.connection(), &["GET", "k"]).await;
        let error = reply.expect_err("no answer, and above all not nil");
        own(&error).to_string().contains(says).then_some(error)
    });
    assert_eq!(own(&error.await).kind(), ErrorKind::NoOwner);
}

/// Reads fail soon, since the test waits for many of them.
async fn brisk(ring: &Operator) -> RingClient {
    let timeouts = Timeouts {
        open: Duration::from_secs(3),
        read: Duration::from_millis(50),
        write: Duration::from_secs(5),
        connect: Duration::from_millis(100),
        ..Timeouts::default()
    };
    opened(ring.builder().timeouts(timeouts)).await
}

/// A client of a ring whose gates are open. Opening fails where no member answers the first attempt in time.
async fn opened(builder: RingClientBuilder) -> RingClient {
    eventually_some(SOON, "the ring opens", || async { builder.clone().open().await.ok() }).await
}

/// Why a client is not let in. The only attempt has time to find out.
async fn not_let_in(ring: &Operator) -> redis_ring::Error {
    let timeouts = Timeouts { connect: Duration::from_secs(5), ..operator::timeouts() };
    ring.builder().timeouts(timeouts).open().await.unwrap_err()
}

/// A client that drops no connection whose replies the test holds, and gives no request up.
async fn patient(ring: &Operator, name: &str) -> RingClient {
    let timeouts = Timeouts { open: SOON, read: 3 * SOON, write: 3 * SOON, ..Timeouts::default() };
    let client = opened(ring.builder().name(name).timeouts(timeouts)).await;
    ring.until(&[&client]).await;
    client
}

async fn reads(client: &RingClient, wanted: &str) {
    eventually(SOON, &format!("it reads {wanted:?}"), || async {
        run(&client.connection(), &["GET", "k"])
            .await
            .is_ok_and(|reply| reply == redis::Value::BulkString(wanted.into()))
    })
    .await;
}

#[tokio::test]
async fn a_server_that_comes_back_is_not_read_before_its_gate_is_open_for_its_new_life() {
    let ring = plain(1).await;
    let (client, r0) = (brisk(&ring).await, id("r0"));
    let mut connection = client.connection();
    let () = connection.set("k", "old").await.unwrap();
    ring.ask::<()>(&r0, &cmd("SAVE")).await;
    let () = connection.set("k", "new").await.unwrap();
    // With an old dump, which has the gate of the life before.
    ring.servers[&r0].kill();
    ring.servers[&r0].restart_async().await.unwrap();
    assert_eq!(ring.ask::<String>(&r0, cmd("GET").arg("k")).await, "old", "the fault is there");
    until_unread(&client, "another process than the one that holds the member's data").await;
    // The record is of the new process already, the gate is not.
    let mut record = record_of(&ring, &r0).await;
    record.run_id = run_id(&ring, &r0).await;
    record.generation += 1;
    put(&ring, &r0, &record).await;
    until_unread(&client, "its gate is of another life of its data").await;
    ring.shut_gate(&r0).await;
    until_unread(&client, "its gate is closed").await;
    ring.open_gate(&r0, record.generation - 1).await;
    until_unread(&client, "its gate is of another life of its data").await;
    ring.open_gate(&r0, record.generation).await;
    reads(&client, "old").await;
    // And empty.
    std::fs::remove_file(ring.servers[&r0].directory().join("dump.rdb")).unwrap();
    ring.servers[&r0].kill();
    ring.servers[&r0].restart_async().await.unwrap();
    until_unread(&client, "another process than the one that holds the member's data").await;
    record.run_id = run_id(&ring, &r0).await;
    record.generation += 1;
    put(&ring, &r0, &record).await;
    until_unread(&client, "its gate is closed").await;
}

async fn run_id(ring: &Operator, id: &NodeId) -> String {
    let info: String = ring.ask(id, cmd("INFO").arg("server")).await;
    info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap().to_owned()
}

#[tokio::test]
async fn a_server_that_was_flushed_by_hand_lets_no_client_in() {
    let ring = plain(1).await;
    let (client, r0) = (brisk(&ring).await, id("r0"));
    let () = client.connection().set("k", "v").await.unwrap();
    ring.ask::<()>(&r0, &cmd("FLUSHALL")).await;
    let error = not_let_in(&ring).await;
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(format!("{error:?}").contains("its gate is closed"), "{error:?}");
    // The connections that are there are its agent's to end, and they do not come back.
    ring.ask::<()>(&r0, cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal")).await;
    until_unread(&client, "its gate is closed").await;
}

#[tokio::test]
async fn a_new_life_of_the_same_process_ends_every_connection_of_the_old_one() {
    let ring = plain(1).await;
    let (client, r0) = (opened(ring.builder().name("lives")).await, id("r0"));
    let () = client.connection().set("k", "v").await.unwrap();
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&attempts);
    let mut record = record_of(&ring, &r0).await;
    record.generation += 1;
    let (ring, record) = (&ring, &record);
    let seen: i64 = client
        .transaction(&["n"], |mut connection, mut pipeline| {
            let attempt = counted.fetch_add(1, Ordering::SeqCst);
            let client = &client;
            async move {
                if attempt == 0 {
                    assert_eq!(names(ring, &id("r0"), "lives").await.len(), 2, "one of them is the transaction's");
                    put(ring, &id("r0"), record).await;
                    let known = || async { client.topology().members()[0].generation.0 == record.generation };
                    eventually(SOON, "the new life is known", known).await;
                    assert!(!client.connected().contains(&id("r0")), "at once");
                    assert!(connection.get::<_, Option<String>>("n").await.is_err(), "of the old life");
                    eventually(SOON, "the server sees it too", || async {
                        names(ring, &id("r0"), "lives").await.is_empty()
                    })
                    .await;
                    ring.open_gate(&id("r0"), record.generation).await;
                }
                pipeline.incr("n", 1).query_async(&mut connection).await.map(|n: Option<(i64,)>| n.map(|n| n.0))
            }
        })
        .await
        .unwrap();
    assert_eq!(seen, 1, "what was watched in the old life is not executed in the new one");
    assert_eq!(attempts.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_gate_that_wants_a_newer_step_is_passed_when_the_step_is_known() {
    let mut ring = plain(2).await;
    for member in ["r0", "r1"] {
        ring.ask::<()>(&id(member), cmd("HSET").arg("__rr:gate").arg("step").arg(2)).await;
    }
    let error = not_let_in(&ring).await;
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(format!("{error:?}").contains("its gate wants step 2, this client knows 1"), "{error:?}");
    let patient = Timeouts { connect: Duration::from_secs(2), open: SOON, ..Timeouts::default() };
    let opening = tokio::spawn(ring.builder().timeouts(patient).open());
    ring.phase("filling", |_| {}).await;
    // It may have been told of the ring before, and then has tried in vain once.
    let client = match opening.await.unwrap() {
        Ok(client) => client,
        Err(error) => {
            assert!(format!("{error:?}").contains("its gate wants step 2"), "{error:?}");
            ring.client().await
        }
    };
    ring.until(&[&client]).await;
    let () = client.connection().set("k", "v").await.unwrap();
}

#[tokio::test]
async fn connections_are_named_after_what_they_are_for() {
    let mut ring = plain(2).await;
    let client = opened(ring.builder().name("orders")).await;
    ring.until(&[&client]).await;
    for member in ["r0", "r1"] {
        until_named(&ring, member, "orders", &["rr:1:orders"]).await;
    }
    let mut pubsub = client.pubsub();
    pubsub.subscribe("news").await.unwrap();
    let home = client.locate("queue").owners[0].clone();
    let waiting = tokio::spawn({
        let mut connection = client.connection();
        async move { connection.blpop::<_, (String, String)>("queue", 0.0).await }
    });
    until_named(&ring, home.as_str(), "orders", &["rr-sub:orders", "rr-watch:orders", "rr:1:orders"]).await;
    ring.phase("filling", |_| {}).await;
    until_named(&ring, home.as_str(), "orders", &["rr-sub:orders", "rr-watch:orders", "rr:2:orders"]).await;
    // What is waited for comes on a connection that nobody waits for.
    let () = client.connection().rpush("queue", "a").await.unwrap();
    assert_eq!(waiting.await.unwrap().unwrap().1, "a");
    let () = client.connection().publish("news", "b").await.unwrap();
    let message = tokio::time::timeout(SOON, pubsub.on_message().next()).await.unwrap().unwrap();
    assert_eq!(message.get_payload::<String>().unwrap(), "b");
    assert_eq!(
        ring.builder().name("no name").open().await.unwrap_err().kind(),
        ErrorKind::Invalid,
        "a blank ends a name in the list of clients"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_keeps_its_name_until_the_writes_of_the_older_step_have_ended() {
    let (mut ring, proxies) = proxied(2, 2).await;
    let client = patient(&ring, "slow").await;
    let key = (0..).map(|n| format!("k{n}")).find(|key| client.locate(key).owners[0].as_str() == "r0").unwrap();
    let () = client.connection().set(&key, 1).await.unwrap();
    // Executed by the primary, whose reply does not come: the copy is still to leave, on the other connection.
    proxies[&id("r0")].set(Mode::HoldReplies).await;
    let writing = tokio::spawn({
        let (mut connection, key) = (client.connection(), key.clone());
        async move { connection.incr::<_, _, i64>(&key, 1).await }
    });
    eventually(SOON, "it is executed", || async { ring.ask::<i64>(&id("r0"), cmd("GET").arg(&key)).await == 2 }).await;
    ring.phase_of("filling", |_| {}).await;
    eventually(SOON, "the step is known", || async { client.topology().step() == Step(2) }).await;
    // Requests of the new step go on meanwhile, on the connection with the old name.
    let other = (0..).map(|n| format!("o{n}")).find(|key| client.locate(key).owners[0].as_str() == "r1").unwrap();
    for _ in 0..20 {
        assert_eq!(client.connection().get::<_, Option<i64>>(&other).await.unwrap(), None);
        assert_eq!(names(&ring, &id("r1"), "slow").await, ["rr:1:slow"]);
    }
    proxies[&id("r0")].set(Mode::Pass).await;
    assert_eq!(writing.await.unwrap().unwrap(), 2);
    for member in ["r0", "r1"] {
        until_named(&ring, member, "slow", &["rr:2:slow"]).await;
        assert_eq!(ring.ask::<i64>(&id(member), cmd("GET").arg(&key)).await, 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_nobody_waits_for_holds_the_name_as_well() {
    let (mut ring, proxies) = proxied(2, 2).await;
    let client = patient(&ring, "gone").await;
    let () = client.connection().set("k", 1).await.unwrap();
    proxies[&client.locate("k").owners[0]].set(Mode::HoldReplies).await;
    let mut connection = client.connection();
    // Polled, and dropped with its caller.
    assert!(tokio::time::timeout(Duration::from_millis(20), connection.incr::<_, _, i64>("k", 1)).await.is_err());
    ring.phase_of("filling", |_| {}).await;
    eventually(SOON, "the step is known", || async { client.topology().step() == Step(2) }).await;
    let copy = client.locate("k").owners[1].clone();
    for _ in 0..20 {
        let _ = client.connection().get::<_, Option<i64>>("other").await;
        assert_eq!(names(&ring, &copy, "gone").await, ["rr:1:gone"]);
    }
    proxies[&client.locate("k").owners[0]].set(Mode::Pass).await;
    until_named(&ring, copy.as_str(), "gone", &["rr:2:gone"]).await;
    assert_eq!(ring.ask::<i64>(&copy, cmd("GET").arg("k")).await, 2);
}

#[tokio::test]
async fn a_transaction_across_a_step_runs_again() {
    let mut ring = plain(2).await;
    let client = opened(ring.builder().name("watching")).await;
    ring.until(&[&client]).await;
    let attempts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&attempts);
    let ring = tokio::sync::Mutex::new(&mut ring);
    let ring = &ring;
    let seen: (i64,) = client
        .transaction(&["n"], |mut connection, mut pipeline| {
            let attempt = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                if attempt == 0 {
                    let mut ring = ring.lock().await;
                    ring.phase("filling", |_| {}).await;
                    // It is in nobody's way: the names change although it has not ended.
                    for member in ["r0", "r1"] {
                        until_named(&ring, member, "watching", &["rr:2:watching"]).await;
                    }
                }
                pipeline.incr("n", 1).query_async(&mut connection).await
            }
        })
        .await
        .unwrap();
    assert_eq!((seen.0, attempts.load(Ordering::SeqCst)), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_comes_when_the_ring_has_moved_on_is_not_an_answer() {
    let (mut ring, proxies) = proxied(2, 1).await;
    let (r0, r1) = (id("r0"), id("r1"));
    let client = patient(&ring, "late").await;
    let calls: [(&[&str], &[&str]); 4] = [
        (&["GET", "k"], &["SET", "k"]),
        (&["HSCAN", "h", "0"], &["HSET", "h", "f"]),
        (&["MGET", "{k}1", "{k}2"], &["SET", "{k}1"]),
        (&["KEYS", "k"], &["SET", "k"]),
    ];
    for (server, value) in [(&r0, "old"), (&r1, "new")] {
        for (_, write) in calls {
            ring.ask::<()>(server, support::call(write).arg(value)).await;
        }
    }
    ring.ask::<()>(&r0, cmd("DEL").arg("k")).await;
    let expected = {
        let mut expected = Vec::new();
        for (read, _) in calls {
            expected.push(ring.ask::<redis::Value>(&r1, &support::call(read)).await);
        }
        expected
    };
    proxies[&r0].set(Mode::HoldReplies).await;
    let asked = async || {
        let of = async |name| direct::calls(&ring.addr(&r0), name).await;
        [of("get").await, of("hscan").await, of("mget").await, of("keys").await]
    };
    let before = asked().await;
    let reading = calls.map(|(read, _)| {
        let connection = client.connection();
        tokio::spawn(async move { run_or_error(&connection, read).await })
    });
    eventually(SOON, "the old owner has been asked all", || async {
        asked().await.iter().zip(before).all(|(now, before)| *now > before)
    })
    .await;
    // The new owner is slow to answer, so the old one's answers are there first.
    proxies[&r1].set(Mode::HoldReplies).await;
    ring.open_gate(&r1, 1).await;
    let mut record = record_of(&ring, &r1).await;
    record.state = "up".to_owned();
    ring.phase_of("still", |change| {
        change.put(&r1, record.clone());
        change.ring().serving = BTreeMap::from([("r1".to_owned(), weight(100))]);
    })
    .await;
    eventually(SOON, "the step is known", || async { client.topology().step() == Step(2) }).await;
    proxies[&r0].set(Mode::Pass).await;
    // The answer to this comes behind the old ones.
    run_or_error_on(&client, &r0, &["PING"]).await.unwrap();
    assert!(reading.iter().all(|reading| !reading.is_finished()), "the old answers are none");
    proxies[&r1].set(Mode::Pass).await;
    for (reading, expected) in reading.into_iter().zip(expected) {
        assert_eq!(reading.await.unwrap().unwrap(), expected);
    }
}

async fn run_or_error_on(client: &RingClient, id: &NodeId, words: &[&str]) -> redis::RedisResult<redis::Value> {
    support::call(words).query_async(&mut client.on(id).unwrap()).await
}

#[tokio::test]
async fn a_client_without_zookeeper_takes_a_step_with_what_the_servers_keep() {
    let real = zookeeper().await;
    let between = FaultProxy::start(real.addr()).await;
    let mut ring = Operator::start(&real, 3, 3, async |_, _| None).await;
    let through = ring.url.replace(&real.addr(), &between.addr());
    let client = opened(operator::builder(&through).name("cut-off")).await;
    ring.until(&[&client]).await;
    let () = client.connection().set("k", "v").await.unwrap();
    // Not even a refusal comes back.
    between.set(Mode::Stall).await;
    ring.phase_of("filling", |_| {}).await;
    let store = Store::open(&ring.url.parse().unwrap(), &patient_options()).await.unwrap();
    let records = store.snapshot().await.unwrap().to_json().unwrap();
    ring.raise_gates().await;
    for server in ring.servers.keys() {
        ring.ask::<()>(server, cmd("SET").arg("__rr:topology").arg(&records)).await;
        // As whoever moves the ring does with those who do not follow.
        ring.ask::<()>(server, cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal")).await;
    }
    eventually(SOON, "the step is known", || async { client.topology().step() == Step(2) }).await;
    ring.until(&[&client]).await;
    assert_eq!(client.connection().get::<_, String>("k").await.unwrap(), "v");
    let () = client.connection().set("k", "w").await.unwrap();
    eventually(SOON, "it knows that it is cut off", || async { matches!(client.view().source, Source::Stale { .. }) })
        .await;
    assert_eq!(client.topology().step(), Step(2), "nothing is taken back");
    between.set(Mode::Pass).await;
    eventually(SOON, "it has found ZooKeeper again", || async { client.view().source == Source::Live }).await;
    ring.phase("still", |_| {}).await;
    ring.until(&[&client]).await;
}
