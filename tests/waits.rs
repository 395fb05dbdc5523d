//! Calls that wait for something to come, on real servers.
#![cfg(feature = "cli")]
#![cfg(test)]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::{AsyncCommands, RedisResult, Value, cmd};
use redis_ring::local::{RedisOptions, RedisServer};
use redis_ring::placement::{NodeId, State};
use redis_ring::policy::Timeouts;
use redis_ring::{Error, ErrorKind, RingClient};
use support::{
    FaultProxy, FixedRing, Mode, SOON, ZkRing, direct, eventually, redis_with, run_or_error as run, shared_zookeeper,
};
use tokio::task::{JoinHandle, JoinSet};

/// A call in a task of its own.
fn start(client: &RingClient, words: &[&str]) -> JoinHandle<RedisResult<Value>> {
    let connection = client.connection();
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    tokio::spawn(async move {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        run(&connection, &words).await
    })
}

/// What a call returned, soon.
async fn reply(waiting: JoinHandle<RedisResult<Value>>) -> Value {
    tokio::time::timeout(SOON, waiting).await.expect("it ends soon").unwrap().unwrap()
}

/// Waits until so many connections have asked the key's primary to tell of changes, and it knows so many keys.
async fn until_watched(addr: &str, keys: u64) {
    eventually(SOON, "the server watches the keys", || async {
        let info: String = direct::ask(addr, cmd("INFO").arg("stats")).await;
        let count = info.lines().find_map(|line| line.strip_prefix("tracking_total_keys:")).unwrap_or("0");
        count.trim().parse::<u64>().unwrap() >= keys
    })
    .await;
}

/// Starts a call, and waits until the key's primary has said that nothing is there for it and will tell of what comes. Unlike
/// [`until_watched`] it is not deceived by what the server still watches for those who have waited before, and so it is for
/// one call at a time, and for a server that nobody else asks with EXISTS.
async fn waits_at(addr: &str, client: &RingClient, words: &[&str]) -> JoinHandle<RedisResult<Value>> {
    let before = direct::calls(addr, "exists").await;
    let waiting = start(client, words);
    eventually(SOON, "the server was asked", || async { direct::calls(addr, "exists").await > before }).await;
    waiting
}

fn text(value: &str) -> Value {
    Value::BulkString(value.as_bytes().to_vec())
}

fn array(values: &[&str]) -> Value {
    Value::Array(values.iter().map(|value| text(value)).collect())
}

const FORMS: &[(&[&str], &[&str])] = &[
    (&["BLPOP", "{k}a", "{k}b", "0"], &["RPUSH", "{k}b", "x", "y"]),
    (&["BRPOP", "{k}a", "0"], &["RPUSH", "{k}a", "x", "y"]),
    (&["BLMPOP", "0", "2", "{k}a", "{k}b", "LEFT", "COUNT", "2"], &["RPUSH", "{k}a", "x", "y", "z"]),
    (&["BLMOVE", "{k}a", "{k}b", "LEFT", "RIGHT", "0"], &["RPUSH", "{k}a", "x"]),
    (&["BRPOPLPUSH", "{k}a", "{k}b", "0"], &["RPUSH", "{k}a", "x"]),
    (&["BZPOPMIN", "{k}a", "0"], &["ZADD", "{k}a", "1", "x", "2", "y"]),
    (&["BZPOPMAX", "{k}a", "{k}b", "0"], &["ZADD", "{k}b", "1", "x", "2", "y"]),
    (&["BZMPOP", "0", "1", "{k}a", "MIN", "COUNT", "5"], &["ZADD", "{k}a", "1", "x", "2", "y"]),
    (&["XREAD", "BLOCK", "0", "STREAMS", "{k}a", "$"], &["XADD", "{k}a", "7-1", "f", "v"]),
    (&["XREAD", "COUNT", "1", "BLOCK", "0", "STREAMS", "{k}a", "{k}b", "$", "0-0"], &["XADD", "{k}b", "7-1", "f", "v"]),
    (&["XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "{k}g", ">"], &["XADD", "{k}g", "7-1", "f", "v"]),
];

/// The reply of a plain server to the same calls.
async fn expected(server: &RedisServer, wait: &[&str], push: &[&str]) -> Value {
    let mut connection = direct::connect(&server.addr()).await;
    let mut ask =
        async |words: &[&str]| -> Value { cmd(words[0]).arg(&words[1..]).query_async(&mut connection).await.unwrap() };
    ask(&["FLUSHALL"]).await;
    ask(&["XGROUP", "CREATE", "{k}g", "g", "$", "MKSTREAM"]).await;
    // What is added first is read by what waits for ids beyond it.
    let wait: Vec<&str> = wait.iter().map(|word| if *word == "$" { "0-0" } else { word }).collect();
    ask(push).await;
    ask(&wait).await
}

#[tokio::test]
async fn every_call_gets_what_comes_later_from_whoever_it_comes() {
    // Whoever is not told looks again after some seconds, which all together would take longer than this.
    let all = tokio::time::timeout(SOON * 3, each_call_gets_what_comes_later());
    all.await.expect("they are told");
}

async fn each_call_gets_what_comes_later() {
    let ring = FixedRing::start(3).await;
    let client = ring.connected(ring.patient()).await;
    let other = ring.connected(ring.patient()).await;
    // What the copy does not have is taken from it in vain until a write has taken too long.
    let hasty = ring.client().await;
    let plain = support::redis().await;
    let group = ["XGROUP", "CREATE", "{k}g", "g", "$", "MKSTREAM"];
    let primary = ring.owners(&client, "{k}")[0].addr();
    for (wait, push) in FORMS {
        let expected = expected(&plain, wait, push).await;
        for producer in [&client, &other] {
            run(&client.connection(), &["DEL", "{k}a", "{k}b", "{k}g"]).await.unwrap();
            run(&client.connection(), &group).await.unwrap();
            let waiting = waits_at(&primary, &client, wait).await;
            assert!(!waiting.is_finished(), "{wait:?}");
            run(&producer.connection(), push).await.unwrap();
            assert_eq!(reply(waiting).await, expected, "{wait:?}");
            for key in ["{k}a", "{k}b", "{k}g"] {
                eventually(SOON, &format!("equal copies of {key} after {wait:?}"), || {
                    ring.copies_are_equal(&client, key)
                })
                .await;
            }
            // It is told by another one's push too, past the ring; then the copy has nothing to lose.
            if *push.first().unwrap() == "RPUSH" {
                run(&client.connection(), &["DEL", "{k}a", "{k}b"]).await.unwrap();
                let waiting = waits_at(&primary, &hasty, wait).await;
                let mut command = cmd(push[0]);
                let _: Value = direct::ask(&primary, command.arg(&push[1..])).await;
                assert_eq!(reply(waiting).await, expected, "{wait:?}");
            }
        }
    }
    assert_eq!(client.stats().missed_writes, 0);
}

#[tokio::test]
async fn what_is_there_is_given_at_once_and_errors_are_the_servers() {
    let ring = FixedRing::start(2).await;
    let client = ring.connected(ring.patient()).await;
    let connection = client.connection();
    run(&connection, &["RPUSH", "l", "x", "y", "z"]).await.unwrap();
    run(&connection, &["SET", "s", "v"]).await.unwrap();
    assert_eq!(run(&connection, &["BLPOP", "l", "0"]).await.unwrap(), array(&["l", "x"]));
    assert_eq!(run(&connection, &["BRPOP", "l", "0"]).await.unwrap(), array(&["l", "z"]));
    assert!(ring.copies_are_equal(&client, "l").await);
    for words in [["BLPOP", "s", "0"], ["BZPOPMIN", "s", "0"], ["BRPOP", "s", "1"]] {
        assert_eq!(run(&connection, &words).await.unwrap_err().code(), Some("WRONGTYPE"));
    }
    for words in [["BLPOP", "n", "-1"], ["BLPOP", "n", "x"], ["BZPOPMAX", "n", "1e400"]] {
        let error = run(&connection, &words).await.unwrap_err();
        assert!(error.to_string().contains("timeout"), "{error}");
    }
    let error = run(&connection, &["XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "n", ">"]).await;
    assert_eq!(error.unwrap_err().code(), Some("NOGROUP"));
    let error = run(&connection, &["BLPOP", "a", "b", "0"]).await.unwrap_err();
    assert_eq!(Error::of_redis(&error).unwrap().kind(), ErrorKind::Refused);
    // What waits only for a while gets nil, and not sooner.
    for words in [
        &["BLPOP", "n", "0.2"][..],
        &["BLMOVE", "n", "n", "LEFT", "RIGHT", "0.2"],
        &["BZPOPMIN", "n", "0.2"],
        &["XREAD", "BLOCK", "200", "STREAMS", "n", "$"],
    ] {
        let began = std::time::Instant::now();
        assert_eq!(run(&connection, words).await.unwrap(), Value::Nil, "{words:?}");
        assert!(began.elapsed() >= Duration::from_millis(200), "{words:?}");
    }
}

#[tokio::test]
async fn every_element_is_taken_once_and_the_copies_are_equal() {
    const ELEMENTS: usize = 300;
    let mut ring = FixedRing::start(2).await;
    let slow = NodeId::new("r1").unwrap();
    let proxy = FaultProxy::start(ring.server(&slow).addr()).await;
    ring.reach(&slow, proxy.addr());
    let client = ring.connected(ring.patient()).await;
    proxy.set(Mode::Delay { requests: Duration::from_millis(3), replies: Duration::ZERO }).await;
    let mut takers = JoinSet::new();
    for n in 0..12 {
        let connection = client.connection();
        takers.spawn(async move {
            let mut taken = Vec::new();
            loop {
                let reply = match n % 4 {
                    0 => run(&connection, &["BLPOP", "{q}b", "{q}a", "0"]).await.unwrap(),
                    1 => run(&connection, &["BRPOP", "{q}b", "0"]).await.unwrap(),
                    // The stack's way, with what a plain pop takes in between.
                    2 => match run(&connection, &["LPOP", "{q}b"]).await.unwrap() {
                        Value::Nil => run(&connection, &["BLPOP", "{q}b", "0"]).await.unwrap(),
                        one => Value::Array(vec![text("{q}b"), one]),
                    },
                    _ => run(&connection, &["BLMOVE", "{q}a", "{q}b", "RIGHT", "LEFT", "0"]).await.unwrap(),
                };
                match reply {
                    Value::Array(pair) if pair[1] == text("end") => return taken,
                    Value::Array(pair) => taken.push(format!("{:?}", pair[1])),
                    // It has only been moved; whoever moved the end gives it back.
                    moved if moved == text("end") => return taken,
                    _ => {}
                }
            }
        });
    }
    let mut producers = JoinSet::new();
    for n in 0..3 {
        let mut connection = client.connection();
        producers.spawn(async move {
            for i in 0..ELEMENTS / 3 {
                let element = format!("{n}:{i}");
                if i % 2 == 0 {
                    let _: i64 = connection.rpush("{q}a", element).await.unwrap();
                } else {
                    let _: i64 = connection.lpush("{q}a", element).await.unwrap();
                }
            }
        });
    }
    producers.join_all().await;
    // Those that take from both lists, and those that only move, find an end each, for as long as some wait.
    let mut taken = Vec::new();
    while !takers.is_empty() {
        for key in ["{q}a", "{q}b"] {
            let _: i64 = client.connection().rpush(key, "end").await.unwrap();
        }
        while let Ok(Some(done)) = tokio::time::timeout(Duration::from_millis(50), takers.join_next()).await {
            taken.extend(done.unwrap());
        }
    }
    // What is left is in the lists, once.
    for key in ["{q}a", "{q}b"] {
        let left: Vec<String> = client.connection().lrange(key, 0, -1).await.unwrap();
        taken.extend(left.into_iter().filter(|one| one != "end").map(|one| format!("{:?}", text(&one))));
        assert!(ring.copies_are_equal(&client, key).await, "{key}");
    }
    assert_eq!(taken.len(), ELEMENTS, "each once");
    assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), ELEMENTS, "all of them");
    assert_eq!(client.stats().missed_writes + client.stats().differing_replies, 0);
}

#[tokio::test]
async fn a_call_that_is_dropped_takes_nothing() {
    let ring = FixedRing::start(2).await;
    let client = ring.connected(ring.patient()).await;
    let primary = ring.owners(&client, "l")[0].addr();
    let waiting: Vec<_> = (0..20).map(|_| start(&client, &["BLPOP", "l", "0"])).collect();
    until_watched(&primary, 1).await;
    // The push comes while they are on their way out.
    let push = async { client.connection().rpush::<_, _, i64>("l", "x").await.unwrap() };
    let drop = async { waiting.iter().for_each(JoinHandle::abort) };
    futures_util::future::join(drop, push).await;
    let taken: Vec<Value> =
        futures_util::future::join_all(waiting).await.into_iter().filter_map(|done| done.ok()?.ok()).collect();
    assert!(taken.is_empty(), "they ended before they were told: {taken:?}");
    assert_eq!(reply(start(&client, &["BLPOP", "l", "5"])).await, array(&["l", "x"]));
    assert!(ring.copies_are_equal(&client, "l").await);
}

#[tokio::test]
async fn a_call_dropped_while_it_takes_something_takes_it_from_all_owners_or_from_none() {
    let mut ring = FixedRing::start(2).await;
    let slow = NodeId::new("r0").unwrap();
    let proxy = FaultProxy::start(ring.server(&slow).addr()).await;
    ring.reach(&slow, proxy.addr());
    let client = ring.connected(ring.patient()).await;
    let elements: Vec<usize> = (0..100).collect();
    for n in 0..30 {
        let _: i64 = client.connection().rpush(format!("l{n}"), &elements).await.unwrap();
    }
    proxy.set(Mode::Delay { requests: Duration::from_millis(3), replies: Duration::from_millis(3) }).await;
    for n in 0..30 {
        let (connection, key) = (client.connection(), format!("l{n}"));
        let taking = async {
            loop {
                run(&connection, &["BLPOP", &key, "0"]).await.unwrap();
            }
        };
        let _: Result<(), _> = tokio::time::timeout(Duration::from_millis(n), taking).await;
    }
    proxy.set(Mode::Pass).await;
    for n in 0..30 {
        let key = format!("l{n}");
        eventually(SOON, "equal copies", || ring.copies_are_equal(&client, &key)).await;
    }
}

#[tokio::test]
async fn all_who_wait_are_served_when_much_comes_at_once() {
    let ring = FixedRing::start(2).await;
    let client = ring.connected(ring.patient()).await;
    let primary = ring.owners(&client, "{l}")[0].addr();
    let mut waiting = Vec::new();
    for n in 0..30 {
        // Those in between wait for another list too.
        let other = format!("{{l}}{n}");
        let words = if n % 3 == 0 { vec!["BLPOP", &other, "{l}", "0"] } else { vec!["BLPOP", "{l}", "0"] };
        waiting.push(start(&client, &words));
        let keys = 1 + u64::try_from(waiting.len().div_ceil(3)).unwrap();
        until_watched(&primary, keys).await;
    }
    let elements: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    let _: i64 = client.connection().rpush("{l}", &elements).await.unwrap();
    let mut served = BTreeSet::new();
    for waiting in waiting {
        served.insert(format!("{:?}", reply(waiting).await));
    }
    assert_eq!(served.len(), 30);
    assert!(ring.copies_are_equal(&client, "{l}").await);
}

#[tokio::test]
async fn those_who_wait_hold_nobody_up() {
    let ring = FixedRing::start(2).await;
    let client = ring.connected(ring.patient()).await;
    let mut waiting: Vec<JoinHandle<_>> = (0..500).map(|n| start(&client, &["BLPOP", &format!("l{n}"), "0"])).collect();
    waiting.extend((0..500).map(|_| start(&client, &["BLPOP", "one", "0"])));
    for server in ring.servers.values() {
        until_watched(&server.addr(), 200).await;
    }
    let mut connection = client.connection();
    for n in 0..500 {
        let () = connection.set(format!("k{n}"), n).await.unwrap();
        assert_eq!(connection.get::<_, i32>(format!("k{n}")).await.unwrap(), n);
        let _: i64 = connection.incr("one more", 1).await.unwrap();
    }
    // A few connections serve them all.
    for server in ring.servers.values() {
        let clients: String = direct::ask(&server.addr(), cmd("CLIENT").arg("LIST")).await;
        assert!(clients.lines().count() < 10, "{clients}");
    }
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    for n in 0..500 {
        let _: i64 = connection.rpush(format!("l{n}"), n).await.unwrap();
        let _: i64 = connection.rpush("one", n).await.unwrap();
    }
    for waiting in waiting {
        assert_ne!(reply(waiting).await, Value::Nil);
    }
    assert_eq!(connection.llen::<_, i64>("one").await.unwrap(), 0);
    assert!(ring.copies_are_equal(&client, "one").await);
}

#[tokio::test]
async fn the_next_owner_serves_those_who_wait_when_the_primary_dies() {
    let ring = FixedRing::start(3).await;
    let long = Duration::from_secs(3);
    let timeouts = Timeouts { read: long, write: long, ..Timeouts::default() };
    let client = ring.connected(ring.builder().timeouts(timeouts)).await;
    let owners = ring.owners(&client, "{k}");
    let group = ["XGROUP", "CREATE", "{k}g", "g", "$", "MKSTREAM"];
    run(&client.connection(), &group).await.unwrap();
    run(&client.connection(), &["XADD", "{k}s", "5-0", "f", "before"]).await.unwrap();
    let list = start(&client, &["BLPOP", "{k}l", "0"]);
    let stream = start(&client, &["XREAD", "BLOCK", "0", "STREAMS", "{k}s", "$"]);
    let grouped = start(&client, &["XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "{k}g", ">"]);
    until_watched(&owners[0].addr(), 3).await;
    owners[0].kill();
    until_watched(&owners[1].addr(), 3).await;
    assert!(!list.is_finished() && !stream.is_finished() && !grouped.is_finished());
    run(&client.connection(), &["RPUSH", "{k}l", "x"]).await.unwrap();
    run(&client.connection(), &["XADD", "{k}s", "6-0", "f", "after"]).await.unwrap();
    run(&client.connection(), &["XADD", "{k}g", "6-0", "f", "after"]).await.unwrap();
    assert_eq!(reply(list).await, array(&["{k}l", "x"]));
    for waiting in [stream, grouped] {
        let reply = format!("{:?}", reply(waiting).await);
        assert!(reply.contains("after") && !reply.contains("before"), "{reply}");
    }
    // When the other one dies too, nobody can answer, and that is said.
    let lost = waits_at(&owners[1].addr(), &client, &["BLPOP", "{k}l", "0"]).await;
    owners[1].kill();
    let error = tokio::time::timeout(SOON, lost).await.expect("it ends").unwrap().unwrap_err();
    assert_eq!(Error::of_redis(&error).unwrap().kind(), ErrorKind::NoOwner);
}

#[tokio::test]
async fn a_primary_that_hangs_is_left() {
    let ring = FixedRing::start(3).await;
    let client = ring.client().await;
    let owners = ring.owners(&client, "l");
    let waiting = start(&client, &["BLPOP", "l", "0"]);
    until_watched(&owners[0].addr(), 1).await;
    owners[0].stop().unwrap();
    // Whoever pushes finds out, or those who wait do by themselves.
    until_watched(&owners[1].addr(), 1).await;
    eventually(SOON, "the push", || async { run(&client.connection(), &["RPUSH", "l", "x"]).await.is_ok() }).await;
    assert_eq!(reply(waiting).await, array(&["l", "x"]));
    owners[0].cont().unwrap();
}

#[tokio::test]
async fn what_was_taken_from_a_primary_whose_reply_was_lost_is_taken_from_the_next_owner() {
    let mut ring = FixedRing::start(2).await;
    let client = ring.client().await;
    let primary = client.locate("l").owners[0].clone();
    let proxy = FaultProxy::start(ring.server(&primary).addr()).await;
    ring.reach(&primary, proxy.addr());
    let client = ring.client().await;
    let mut connection = client.connection();
    let _: i64 = connection.rpush("l", &["x", "y"]).await.unwrap();
    // Commands reach the server, and its replies do not reach the client.
    proxy.set(Mode::Delay { requests: Duration::ZERO, replies: Duration::from_secs(3600) }).await;
    let waiting = start(&client, &["BLPOP", "l", "0"]);
    let at_primary = ring.server(&primary).addr();
    eventually(SOON, "it is taken there", || async {
        direct::ask::<i64>(&at_primary, cmd("LLEN").arg("l")).await == 1
    })
    .await;
    proxy.set(Mode::Refuse).await;
    proxy.cut().await;
    assert_eq!(reply(waiting).await, array(&["l", "x"]));
    assert!(ring.copies_are_equal(&client, "l").await);
}

#[tokio::test]
async fn a_change_of_the_topology_moves_those_who_wait() {
    let mut ring = ZkRing::start(shared_zookeeper().await, 3).await;
    let client = ring.client().await;
    let owners: Vec<NodeId> = client.locate("l").owners.clone();
    let waiting = start(&client, &["BLPOP", "l", "0"]);
    // The list, and the gate that the member's agent watches.
    until_watched(&ring.servers[&owners[0]].addr(), 2).await;
    ring.servers[&owners[0]].kill();
    ring.until(&client, &owners[0], State::Down).await;
    until_watched(&ring.servers[&owners[1]].addr(), 2).await;
    let producer = ring.client().await;
    let _: i64 = producer.connection().rpush("l", "x").await.unwrap();
    assert_eq!(reply(waiting).await, array(&["l", "x"]));
    ring.servers.clear();
}

#[tokio::test]
async fn consumers_of_a_group_go_on_after_the_primary_has_died() {
    const ENTRIES: usize = 200;
    let ring = FixedRing::start(3).await;
    let timeouts = Timeouts { read: SOON, write: SOON, ..Timeouts::default() };
    let client = ring.connected(ring.builder().timeouts(timeouts)).await;
    let owners = ring.owners(&client, "s");
    run(&client.connection(), &["XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"]).await.unwrap();
    let all_sent = Arc::new(AtomicBool::new(false));
    let mut consumers = JoinSet::new();
    for n in 0..4 {
        let (connection, all_sent) = (client.connection(), Arc::clone(&all_sent));
        consumers.spawn(async move {
            let name = format!("c{n}");
            let mut got: Vec<String> = Vec::new();
            let mut after = ">";
            loop {
                // What was sent before this is found.
                let over = all_sent.load(Ordering::SeqCst);
                let words = ["XREADGROUP", "GROUP", "g", &name, "COUNT", "5", "BLOCK", "1000", "STREAMS", "s", after];
                let Ok(reply) = run(&connection, &words).await else {
                    // Unknown what it was given: that is in its history.
                    after = "0";
                    continue;
                };
                let reply = match redis::from_redis_value::<redis::streams::StreamReadReply>(reply) {
                    Ok(reply) => reply,
                    Err(_) if over => return got,
                    Err(_) => {
                        after = ">";
                        continue;
                    }
                };
                let entries: Vec<_> = reply.keys.into_iter().flat_map(|stream| stream.ids).collect();
                if over && after == ">" && entries.is_empty() {
                    return got;
                }
                after = ">";
                for entry in entries {
                    if run(&connection, &["XACK", "s", "g", &entry.id]).await.is_ok() {
                        got.push(entry.get::<String>("n").unwrap());
                    }
                }
            }
        });
    }
    let mut connection = client.connection();
    let mut sent = BTreeSet::new();
    for n in 0..ENTRIES {
        if n == ENTRIES / 2 {
            owners[0].kill();
        }
        let id = format!("{}-0", n + 1);
        // An id of our own makes it safe to send again what was perhaps added.
        eventually(SOON, "it is added", || {
            let (mut connection, id) = (connection.clone(), id.clone());
            async move {
                let added = cmd("XADD").arg("s").arg(id).arg("n").arg(n).query_async::<String>(&mut connection).await;
                added.is_ok() || added.is_err_and(|error| error.to_string().contains("equal or smaller"))
            }
        })
        .await;
        sent.insert(n.to_string());
    }
    all_sent.store(true, Ordering::SeqCst);
    let mut got = BTreeSet::new();
    while let Some(done) = consumers.join_next().await {
        got.extend(done.unwrap());
    }
    // Nothing is lost: what was not acknowledged is pending there, for somebody.
    let pending: redis::streams::StreamPendingReply = connection.xpending("s", "g").await.unwrap();
    let left: usize = match pending {
        redis::streams::StreamPendingReply::Data(data) => data.count,
        _ => 0,
    };
    let missing = sent.difference(&got).count();
    assert!(missing <= left, "{missing} of {ENTRIES} are neither acknowledged nor pending ({left} are)");
}

#[tokio::test]
async fn pending_entries_are_the_same_on_the_copy() {
    let ring = FixedRing::start(2).await;
    let client = ring.connected(ring.patient()).await;
    run(&client.connection(), &["XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"]).await.unwrap();
    let waiting: Vec<_> = (0..6)
        .map(|n| {
            let name = format!("c{n}");
            start(&client, &["XREADGROUP", "GROUP", "g", &name, "COUNT", "1", "BLOCK", "0", "STREAMS", "s", ">"])
        })
        .collect();
    until_watched(&ring.owners(&client, "s")[0].addr(), 1).await;
    for n in 0..6 {
        let _: String = client.connection().xadd("s", "*", &[("n", n)]).await.unwrap();
    }
    for waiting in waiting {
        assert_ne!(reply(waiting).await, Value::Nil);
    }
    let mut states = Vec::new();
    for owner in ring.owners(&client, "s") {
        let mut pending = cmd("XPENDING");
        let pending: Vec<(String, String, u64, u64)> =
            direct::ask(&owner.addr(), pending.arg("s").arg("g").arg("-").arg("+").arg(100)).await;
        assert_eq!(pending.len(), 6);
        let pending: Vec<_> = pending.into_iter().map(|(id, consumer, _, count)| (id, consumer, count)).collect();
        let groups: Value = direct::ask(&owner.addr(), cmd("XINFO").arg("GROUPS").arg("s")).await;
        states.push((pending, groups));
    }
    assert_eq!(states[0], states[1]);
}

#[tokio::test]
async fn those_who_wait_for_a_group_are_told_when_it_is_gone() {
    let ring = FixedRing::start(2).await;
    let client = ring.connected(ring.patient()).await;
    let primary = ring.owners(&client, "s")[0].addr();
    for gone in [&["XGROUP", "DESTROY", "s", "g"][..], &["DEL", "s"]] {
        run(&client.connection(), &["XGROUP", "CREATE", "s", "g", "$", "MKSTREAM"]).await.unwrap();
        let waiting = start(&client, &["XREADGROUP", "GROUP", "g", "c", "BLOCK", "0", "STREAMS", "s", ">"]);
        until_watched(&primary, 1).await;
        run(&client.connection(), gone).await.unwrap();
        let error = tokio::time::timeout(SOON, waiting).await.expect("it ends").unwrap().unwrap_err();
        assert_eq!(error.code(), Some("NOGROUP"));
    }
}

#[tokio::test]
async fn a_server_that_may_not_tell_is_asked_time_and_again() {
    let acl = ["user", "limited", "on", ">secret", "~*", "&*", "+@all", "-client|tracking"];
    let mut servers = Vec::new();
    for _ in 0..2 {
        let server = redis_with(RedisOptions::new()).await;
        let _: Value = direct::ask(&server.addr(), cmd("ACL").arg("SETUSER").arg(&acl[1..])).await;
        servers.push(server);
    }
    let ring = FixedRing::of(servers);
    let client = ring.connected(ring.patient().user("limited", "secret")).await;
    let waiting = start(&client, &["BLPOP", "l", "0"]);
    assert_eq!(run(&client.connection(), &["BLPOP", "n", "0.3"]).await.unwrap(), Value::Nil);
    run(&client.connection(), &["RPUSH", "l", "x"]).await.unwrap();
    assert_eq!(reply(waiting).await, array(&["l", "x"]));
}
