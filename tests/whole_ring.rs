//! Commands of the whole ring, and of one member by its name, on real servers.
#![cfg(feature = "cli")]
#![cfg(test)]

mod support;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{FutureExt, StreamExt};
use redis::aio::ConnectionLike;
use redis::{AsyncCommands, FromRedisValue, ScanOptions as RedisScanOptions, Value, cmd};
use redis_ring::placement::{NodeId, State};
use redis_ring::policy::{Timeouts, WritePolicy};
use redis_ring::{DbSize, ErrorKind, Outcome, Retry, RingClient, RingConnection, ScanOptions};
use support::{FaultProxy, FixedRing, Mode, SOON, ZkRing, call, direct, eventually, id, own, run, shared_zookeeper};

async fn ask<T: FromRedisValue>(connection: &RingConnection, words: &[&str]) -> T {
    let value = run(connection, words).await.unwrap_or_else(|error| panic!("{words:?}: {error:?}"));
    redis::from_redis_value(value.extract_error().unwrap_or_else(|error| panic!("{words:?}: {error}"))).unwrap()
}

/// A client that waits for a silent server for as long as a test may. One that is not there is left as soon as ever.
async fn unhurried(ring: &FixedRing) -> RingClient {
    let timeouts = Timeouts { read: SOON, write: SOON, ..Timeouts::default() };
    ring.connected(ring.builder().timeouts(timeouts)).await
}

/// Writes so many keys of all kinds.
async fn fill(client: &RingClient, prefix: &str, count: usize) -> BTreeSet<String> {
    let keys: Vec<String> = (0..count).map(|n| format!("{prefix}{n}")).collect();
    let writes = keys.iter().enumerate().map(|(n, key)| {
        let mut connection = client.connection();
        async move {
            let (name, rest): (_, &[&str]) = match n % 5 {
                0 => ("SADD", &["m"]),
                1 => ("HSET", &["f", "v"]),
                2 => ("RPUSH", &["e"]),
                _ => ("SET", &["v"]),
            };
            let () = cmd(name).arg(key).arg(rest).query_async::<Value>(&mut connection).await.map(drop).unwrap();
        }
    });
    futures_util::stream::iter(writes).buffer_unordered(64).collect::<Vec<()>>().await;
    keys.into_iter().collect()
}

async fn all(client: &RingClient, options: ScanOptions) -> Vec<String> {
    let keys = client.scan(options).map(|key| String::from_utf8(key.unwrap()).unwrap());
    tokio::time::timeout(SOON, keys.collect()).await.expect("the scan ends")
}

/// Keys that only the ring itself sees.
async fn plant_own_keys(ring: &FixedRing) {
    for server in ring.servers.values() {
        let _: () = direct::ask(&server.addr(), &call(&["HSET", "__rr:gate", "open", "1"])).await;
        let _: () = direct::ask(&server.addr(), &call(&["SET", "__rr:cut", "x", "PX", "3600000"])).await;
    }
}

#[tokio::test]
async fn a_scan_gives_each_key_once_and_none_of_the_rings_own() {
    let ring = FixedRing::start(4).await;
    let client = unhurried(&ring).await;
    let keys = fill(&client, "k:", 1000).await;
    plant_own_keys(&ring).await;
    let found = all(&client, ScanOptions::new()).await;
    assert_eq!(found.len(), keys.len(), "a key came twice, or the ring's own, or one is missing");
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), keys);

    let sets = all(&client, ScanOptions::new().of_type("set").count(7)).await;
    let expected: BTreeSet<String> = (0..1000).step_by(5).map(|n| format!("k:{n}")).collect();
    assert_eq!((sets.len(), sets.into_iter().collect::<BTreeSet<_>>()), (200, expected));
    let some = all(&client, ScanOptions::new().matching("k:99*").count(1000)).await;
    assert_eq!(some.len(), 11);
    let none = all(&client, ScanOptions::new().matching("__rr:*")).await;
    assert!(none.is_empty(), "{none:?}");
}

#[tokio::test]
async fn redis_rs_own_iterators_run_unchanged_while_others_write() {
    let ring = FixedRing::start(4).await;
    let client = unhurried(&ring).await;
    let keys = fill(&client, "k:", 2000).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..64)
        .map(|task| {
            let (mut connection, stop) = (client.connection(), Arc::clone(&stop));
            tokio::spawn(async move {
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    let () = connection.set(format!("other:{task}:{}", n % 50), n).await.unwrap();
                    if n % 3 == 0 {
                        let () = connection.del(format!("other:{task}:{}", n / 2 % 50)).await.unwrap();
                    }
                }
            })
        })
        .collect();
    let mut connection = client.connection();
    for _ in 0..3 {
        let mut found = BTreeSet::new();
        let mut iterator = connection.scan_match::<_, String>("k:*").await.unwrap();
        while let Some(key) = iterator.next_item().await {
            found.insert(key.unwrap());
        }
        assert!(found == keys, "missing: {:?}", keys.difference(&found).collect::<Vec<_>>());
    }
    let options = RedisScanOptions::default().with_pattern("k:*").with_type("hash").with_count(500);
    let mut iterator = connection.scan_options::<String>(options).await.unwrap();
    let mut hashes = BTreeSet::new();
    while let Some(key) = iterator.next_item().await {
        hashes.insert(key.unwrap());
    }
    drop(iterator);
    assert_eq!(hashes.len(), 400);
    stop.store(true, Ordering::Relaxed);
    join_all(writers).await;
}

#[tokio::test]
async fn no_key_is_missed_when_a_member_dies_in_the_middle_and_comes_back_empty() {
    let ring = FixedRing::start(4).await;
    let client = unhurried(&ring).await;
    let keys = fill(&client, "k:", 1500).await;
    // Each member in turn, so that one dies before, while, and after its keys are given.
    let victim = id("r1");
    for killed_after in [50, 500, 1000] {
        let mut scan = client.scan(ScanOptions::new().count(20));
        let mut found = BTreeSet::new();
        let mut given = 0;
        while let Some(key) = tokio::time::timeout(SOON, scan.next()).await.expect("it goes on") {
            found.insert(String::from_utf8(key.unwrap()).unwrap());
            given += 1;
            if given == killed_after {
                ring.server(&victim).kill();
                eventually(SOON, "it is gone", || async { !client.connected().contains(&victim) }).await;
            }
            if given == killed_after + 200 {
                // It is empty, and another process than the one that holds the data.
                ring.server(&victim).restart_async().await.unwrap();
            }
        }
        assert!(found == keys, "missing after {killed_after}: {:?}", keys.difference(&found).collect::<Vec<_>>());
        // The next round begins with a whole ring again.
        client.trust(&victim).unwrap();
        eventually(SOON, "it is back", || async { client.connected().contains(&victim) }).await;
        fill(&client, "k:", 1500).await;
    }
}

#[tokio::test]
async fn no_key_is_missed_when_a_connection_is_cut_and_comes_back() {
    let mut ring = FixedRing::start(4).await;
    let victim = id("r2");
    let proxy = FaultProxy::start(ring.server(&victim).addr()).await;
    ring.reach(&victim, proxy.addr());
    let client = unhurried(&ring).await;
    let keys = fill(&client, "k:", 1500).await;
    let mut connection = client.connection();
    let mut found = BTreeSet::new();
    let mut cursor = 0_u64;
    for part in 0.. {
        assert!(part < 10_000, "it does not end");
        match part {
            60 => {
                proxy.set(Mode::Refuse).await;
                proxy.cut().await;
                eventually(SOON, "it is gone", || async { !client.connected().contains(&victim) }).await;
            }
            110 => {
                proxy.set(Mode::Pass).await;
                eventually(SOON, "it is back", || async { client.connected().contains(&victim) }).await;
            }
            _ => {}
        }
        let (next, batch): (u64, Vec<String>) =
            cmd("SCAN").cursor_arg(cursor).arg("COUNT").arg(20).query_async(&mut connection).await.unwrap();
        found.extend(batch);
        cursor = next;
        if cursor == 0 {
            break;
        }
    }
    assert!(found == keys, "missing: {:?}", keys.difference(&found).collect::<Vec<_>>());
}

/// A member that is cut off while its primaries' keys are written has data that readers must not count on.
#[tokio::test]
async fn a_member_that_is_known_to_have_missed_writes_answers_for_no_key_of_others() {
    let mut ring = FixedRing::start(4).await;
    let victim = id("r2");
    let proxy = FaultProxy::start(ring.server(&victim).addr()).await;
    ring.reach(&victim, proxy.addr());
    let client = unhurried(&ring).await;
    proxy.set(Mode::Refuse).await;
    proxy.cut().await;
    eventually(SOON, "it is gone", || async { !client.connected().contains(&victim) }).await;
    let keys = fill(&client, "k:", 300).await;
    proxy.set(Mode::Pass).await;
    eventually(SOON, "it is back", || async { client.connected().contains(&victim) }).await;
    let found = all(&client, ScanOptions::new()).await;
    assert_eq!(found.len(), keys.len());
    let listed: BTreeSet<String> = ask(&client.connection(), &["KEYS", "*"]).await;
    assert!(listed == keys, "missing: {:?}", keys.difference(&listed).collect::<Vec<_>>());
    assert!(!client.dbsize().await.unwrap().exact);
}

#[tokio::test]
async fn a_scan_goes_on_in_another_client_and_from_stored_text() {
    let ring = FixedRing::start(4).await;
    let (one, other) = (unhurried(&ring).await, unhurried(&ring).await);
    let keys = fill(&one, "k:", 1000).await;
    let mut scan = one.scan(ScanOptions::new().count(10));
    assert_eq!(scan.cursor(), None);
    let mut found = Vec::new();
    while found.len() < 400 {
        found.push(String::from_utf8(scan.next().await.unwrap().unwrap()).unwrap());
    }
    let cursor = scan.cursor().unwrap().to_string();
    drop(scan);
    let rest = all(&other, ScanOptions::new().from(cursor.parse().unwrap())).await;
    assert!(rest.len() < 650, "it began again: {}", rest.len());
    found.extend(rest);
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), keys);
    assert_eq!("1.2.3".parse::<redis_ring::ScanCursor>().unwrap_err().kind(), ErrorKind::Invalid);

    // The cursor of the command, too.
    let mut found = BTreeSet::new();
    let (mut cursor, mut parts) = (0_u64, 0);
    loop {
        let client = if parts % 2 == 0 { &one } else { &other };
        let (next, batch): (u64, Vec<String>) =
            ask(&client.connection(), &["SCAN", &cursor.to_string(), "COUNT", "100"]).await;
        found.extend(batch);
        (cursor, parts) = (next, parts + 1);
        assert!(parts < 1000, "it does not end");
        if cursor == 0 {
            break;
        }
    }
    assert!(parts < 60, "it began again: {parts}");
    assert_eq!(found, keys);
}

#[tokio::test]
async fn a_cursor_of_nobody_begins_at_the_first_member_and_mistakes_are_the_servers_own() {
    let ring = FixedRing::start(3).await;
    let client = unhurried(&ring).await;
    let keys = fill(&client, "k:", 100).await;
    let connection = client.connection();
    let mut found = BTreeSet::new();
    let mut cursor = "12345".to_owned();
    loop {
        let (next, batch): (String, Vec<String>) = ask(&connection, &["SCAN", &cursor]).await;
        found.extend(batch);
        if next == "0" {
            break;
        }
        cursor = next;
    }
    assert_eq!(found, keys);
    let mut plain = direct::connect(&ring.servers[&id("r0")].addr()).await;
    for words in [
        &["SCAN", "x"][..],
        &["SCAN", "0", "COUNT", "x"],
        &["SCAN", "0", "COUNT", "0"],
        &["SCAN", "0", "MATCH"],
        &["WAIT", "x", "1"],
        &["WAIT", "1", "-1"],
        &["PING", "a", "b"],
    ] {
        let theirs = plain.req_packed_command(&call(words)).await.unwrap();
        match run(&connection, words).await {
            Ok(ours) => assert_eq!(ours, theirs, "{words:?}"),
            // What the table itself refuses.
            Err(error) => assert_eq!(own(&error).kind(), ErrorKind::Refused, "{words:?}"),
        }
    }
    let mut scan = client.scan(ScanOptions::new().of_type(""));
    while let Some(item) = scan.next().await {
        assert!(item.is_ok());
    }
}

#[tokio::test]
async fn keys_and_dbsize_count_each_key_once_with_a_member_down_too() {
    let ring = FixedRing::start(4).await;
    let client = ring.client().await;
    let oracle = support::redis().await;
    let mut plain = direct::connect(&oracle.addr()).await;
    let connection = client.connection();
    assert_eq!(client.dbsize().await.unwrap(), DbSize { keys: 0, exact: true });
    let writer = unhurried(&ring).await;
    let mut keys = fill(&writer, "k:", 1000).await;
    keys.extend(fill(&writer, "[x]:", 10).await);
    plant_own_keys(&ring).await;
    for key in &keys {
        let () = plain.set(key, 1).await.unwrap();
    }
    assert_eq!(client.dbsize().await.unwrap(), DbSize { keys: 1010, exact: true });
    for down in [false, true] {
        if down {
            ring.server(&id("r3")).kill();
        }
        for pattern in ["*", "k:1*", "k:??", "\\[x\\]*", "[ab]", "__rr:*", ""] {
            let ours: Vec<String> = ask(&connection, &["KEYS", pattern]).await;
            let theirs: BTreeSet<String> = plain.keys(pattern).await.unwrap();
            assert_eq!(ours.len(), theirs.len(), "{pattern}");
            assert_eq!(ours.into_iter().collect::<BTreeSet<_>>(), theirs, "{pattern}");
        }
        let size: i64 = ask(&connection, &["DBSIZE"]).await;
        if down {
            eventually(SOON, "it is gone", || async { client.connected().len() == 3 }).await;
            let size = client.dbsize().await.unwrap();
            assert!(!size.exact && size.keys.abs_diff(1010) < 100, "{size:?}");
        } else {
            assert_eq!(size, 1010);
        }
    }
    // A second one, and some keys have nobody left: an answer without them would be wrong.
    ring.server(&id("r2")).kill();
    for words in [&["KEYS", "*"][..], &["DBSIZE"], &["SCAN", "0"], &["RANDOMKEY"]] {
        eventually(SOON, "it is an error", || async { run(&connection, words).await.is_err() }).await;
        let error = run(&connection, words).await.unwrap_err();
        let error = own(&error);
        assert_eq!((error.kind(), error.retry()), (ErrorKind::NoOwner, Retry::Later), "{words:?}: {error}");
        assert!(error.hint().is_some() && !error.to_string().contains("k:"), "{error}");
    }
}

#[tokio::test]
async fn a_member_that_hangs_holds_up_no_call_for_long() {
    let ring = FixedRing::start(4).await;
    let keys = fill(&unhurried(&ring).await, "k:", 500).await;
    let second = Duration::from_secs(1);
    let timeouts = Timeouts { read: second, write: second, ..Timeouts::default() };
    let client = ring.connected(ring.builder().timeouts(timeouts)).await;
    ring.server(&id("r0")).stop().unwrap();
    let connection = client.connection();
    let listed: BTreeSet<String> = tokio::time::timeout(SOON, ask(&connection, &["KEYS", "*"])).await.expect("bounded");
    assert_eq!(listed, keys);
    let found = all(&client, ScanOptions::new()).await;
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), keys);
    assert_eq!(ask::<String>(&connection, &["PING"]).await, "PONG");
    ring.server(&id("r0")).cont().unwrap();
}

#[tokio::test]
async fn any_member_answers_what_concerns_none() {
    let ring = FixedRing::start(3).await;
    let client = ring.client().await;
    let connection = client.connection();
    ring.server(&id("r1")).kill();
    for _ in 0..30 {
        assert_eq!(ask::<String>(&connection, &["PING"]).await, "PONG");
        assert_eq!(ask::<String>(&connection, &["PING", "hello"]).await, "hello");
        assert_eq!(ask::<String>(&connection, &["ECHO", "hello"]).await, "hello");
    }
    let (seconds, _): (u64, u64) = ask(&connection, &["TIME"]).await;
    assert!(seconds > 1_600_000_000);
    assert!(ask::<i64>(&connection, &["COMMAND", "COUNT"]).await > 200);
    assert!(ask::<String>(&connection, &["LOLWUT"]).await.contains("Redis"));
    assert!(!ask::<Vec<String>>(&connection, &["CONFIG", "HELP"]).await.is_empty());
    ring.servers.values().for_each(|server| server.kill());
    eventually(SOON, "nobody is left", || async { client.connected().is_empty() }).await;
    let error = run(&connection, &["PING"]).await.unwrap_err();
    assert_eq!(own(&error).kind(), ErrorKind::Unreachable);
}

#[tokio::test]
async fn random_keys_come_from_everywhere_and_are_nil_only_of_an_empty_ring() {
    let ring = FixedRing::start(4).await;
    let client = unhurried(&ring).await;
    let connection = client.connection();
    plant_own_keys(&ring).await;
    assert_eq!(run(&connection, &["RANDOMKEY"]).await.unwrap(), Value::Nil);
    let () = connection.clone().set("only", 1).await.unwrap();
    for _ in 0..20 {
        assert_eq!(ask::<String>(&connection, &["RANDOMKEY"]).await, "only");
    }
    let () = connection.clone().del("only").await.unwrap();
    let keys = fill(&client, "k:", 400).await;
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    let mut of_member: BTreeMap<NodeId, u32> = BTreeMap::new();
    for _ in 0..4000 {
        let key: String = ask(&connection, &["RANDOMKEY"]).await;
        assert!(keys.contains(&key), "{key}");
        *of_member.entry(client.locate(&key).owners[0].clone()).or_default() += 1;
        *seen.entry(key).or_default() += 1;
    }
    // Ten of each are expected; redis-server's own choice is not quite even either.
    assert!(seen.len() > 380, "{}", seen.len());
    let topology = client.topology();
    for (member, share) in topology.members().iter().zip(topology.shares()) {
        let part = f64::from(of_member[&member.id]) / 4000.0;
        assert!((part - share.primary).abs() < 0.08, "{}: {part} of {}", member.id, share.primary);
    }
    ring.server(&id("r0")).kill();
    for _ in 0..50 {
        assert!(keys.contains(&ask::<String>(&connection, &["RANDOMKEY"]).await));
    }
}

#[tokio::test]
async fn wait_counts_the_copies_of_what_was_written() {
    let ring = FixedRing::start(3).await;
    let client = ring.client().await;
    assert_eq!(ask::<i64>(&client.connection(), &["WAIT", "1", "100"]).await, 1);
    ring.server(&id("r0")).kill();
    eventually(SOON, "it is gone", || async { client.connected().len() == 2 }).await;
    assert_eq!(ask::<i64>(&client.connection(), &["WAIT", "1", "0"]).await, 0);
}

#[tokio::test]
async fn wait_waits_for_copies_of_writes_acknowledged_early() {
    let mut ring = FixedRing::start(2).await;
    let slow = id("r1");
    let proxy = FaultProxy::start(ring.server(&slow).addr()).await;
    ring.reach(&slow, proxy.addr());
    let client = ring.connected(ring.patient().write_policy(WritePolicy::Primary)).await;
    let key = (0..).map(|n| format!("k{n}")).find(|key| client.locate(key).owners[1] == slow).unwrap();
    let mut connection = client.connection();
    for round in 1..=5 {
        proxy.set(Mode::Stall).await;
        let () = connection.incr(&key, 1).await.unwrap();
        // What is due at once is less than what is under way.
        assert_eq!(ask::<i64>(&connection, &["WAIT", "1", "1"]).await, 0);
        let mut waiting = pin!(ask::<i64>(&connection, &["WAIT", "1", "10000"]));
        assert!(waiting.as_mut().now_or_never().is_none());
        proxy.set(Mode::Pass).await;
        assert_eq!(waiting.await, 1);
        let copy: i64 = direct::ask(&ring.server(&slow).addr(), cmd("GET").arg(&key)).await;
        assert_eq!(copy, round);
    }
}

#[tokio::test]
async fn a_flush_leaves_what_the_ring_itself_keeps() {
    let ring = FixedRing::start(4).await;
    let client = unhurried(&ring).await;
    let connection = client.connection();
    plant_own_keys(&ring).await;
    for words in [&["FLUSHALL"][..], &["FLUSHDB", "SYNC"], &["flushall", "async"]] {
        fill(&client, "k:", 200).await;
        assert_eq!(run(&connection, words).await.unwrap(), Value::Okay);
        assert_eq!(client.dbsize().await.unwrap(), DbSize { keys: 0, exact: true });
        for server in ring.servers.values() {
            let addr = server.addr();
            let left: BTreeSet<String> = direct::ask(&addr, &call(&["KEYS", "*"])).await;
            assert_eq!(left, ["__rr:cut", "__rr:gate"].map(str::to_owned).into(), "{words:?}");
            let gate: BTreeMap<String, String> = direct::ask(&addr, &call(&["HGETALL", "__rr:gate"])).await;
            assert_eq!(gate["open"], "1");
            let ttl: i64 = direct::ask(&addr, &call(&["PTTL", "__rr:cut"])).await;
            assert!(ttl > 3_000_000, "{ttl}");
        }
    }
    for words in [&["FLUSHALL", "NOW"][..], &["FLUSHDB", "ASYNC", "SYNC"]] {
        let error = run(&connection, words).await.unwrap_err();
        assert_eq!(own(&error).kind(), ErrorKind::Invalid);
    }
}

#[tokio::test]
async fn a_flush_works_on_servers_that_are_out_of_memory() {
    let ring = FixedRing::start(3).await;
    let client = unhurried(&ring).await;
    fill(&client, "k:", 300).await;
    plant_own_keys(&ring).await;
    for server in ring.servers.values() {
        let _: () = direct::ask(&server.addr(), &call(&["CONFIG", "SET", "maxmemory", "1"])).await;
    }
    assert_eq!(run(&client.connection(), &["FLUSHALL"]).await.unwrap(), Value::Okay);
    for server in ring.servers.values() {
        let left: BTreeSet<String> = direct::ask(&server.addr(), &call(&["KEYS", "*"])).await;
        assert_eq!(left.len(), 2, "{left:?}");
    }
}

#[tokio::test]
async fn a_flush_is_refused_while_a_member_does_not_answer_and_says_which() {
    let ring = FixedRing::start(4).await;
    let client = ring.client().await;
    let keys = fill(&unhurried(&ring).await, "k:", 200).await;
    // Another member may be named first, if it is late as well.
    let names_it = async |words: &[&str]| {
        let error = run(&client.connection(), words).await.unwrap_err();
        let error = own(&error);
        assert_eq!(
            (error.kind(), error.retry(), error.outcome()),
            (ErrorKind::Refused, Retry::Later, Outcome::NotExecuted)
        );
        error.to_string().contains("r2") && error.hint().is_some()
    };
    ring.server(&id("r2")).stop().unwrap();
    eventually(SOON, "r2 is named", || names_it(&["FLUSHALL"])).await;
    ring.server(&id("r2")).kill();
    eventually(SOON, "r2 is named", || names_it(&["FLUSHDB"])).await;
    assert_eq!(all(&client, ScanOptions::new()).await.len(), keys.len());
}

/// A server whose user may not flush.
#[tokio::test]
async fn a_flush_that_one_member_refuses_says_who_is_flushed_and_who_is_not() {
    let ring = FixedRing::start(3).await;
    let client = unhurried(&ring).await;
    fill(&client, "k:", 100).await;
    plant_own_keys(&ring).await;
    let addr = ring.server(&id("r1")).addr();
    let _: () = direct::ask(&addr, &call(&["ACL", "SETUSER", "default", "-flushdb"])).await;
    let error = run(&client.connection(), &["FLUSHALL"]).await.unwrap_err();
    let error = own(&error);
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Server, Outcome::Unknown));
    assert!(error.to_string().contains("executed by r0, r2") && error.to_string().contains("r1 says"), "{error}");
    let gate: BTreeMap<String, String> = direct::ask(&addr, &call(&["HGETALL", "__rr:gate"])).await;
    assert_eq!(gate["open"], "1");
}

#[tokio::test]
async fn a_flush_stands_at_one_place_among_the_writes_of_its_process() {
    let mut ring = FixedRing::start(3).await;
    // A member that is reached later than the others: what is in flight to it when the flush is sent is behind.
    let slow = id("r1");
    let proxy = FaultProxy::start(ring.server(&slow).addr()).await;
    ring.reach(&slow, proxy.addr());
    let client = unhurried(&ring).await;
    proxy.set(Mode::Delay { requests: Duration::from_millis(5), replies: Duration::from_millis(5) }).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..32)
        .map(|task| {
            let (mut connection, stop) = (client.connection(), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let _: i64 = connection.incr(format!("count:{task}"), 1).await.unwrap();
                    let () = connection.set(format!("set:{task}"), fastrand::u32(..)).await.unwrap();
                    let _: i64 = connection.rpush(format!("list:{}", task % 4), task).await.unwrap();
                    let mut pipe = redis::pipe();
                    pipe.incr(format!("piped:{task}"), 1).ignore().set(format!("set:{task}"), 1).ignore();
                    let () = pipe.query_async(&mut connection).await.unwrap();
                    let mut block = redis::pipe();
                    block.atomic().incr(format!("block:{task}"), 1).ignore();
                    let () = block.query_async(&mut connection).await.unwrap();
                }
            })
        })
        .collect();
    for _ in 0..40 {
        let () = ask(&client.connection(), &["FLUSHALL"]).await;
        tokio::time::sleep(Duration::from_millis(fastrand::u64(1..20))).await;
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    for task in 0..32 {
        for key in ["count", "set", "list", "piped", "block"] {
            let key = format!("{key}:{}", if key == "list" { task % 4 } else { task });
            assert!(ring.copies_are_equal(&client, &key).await, "{key}");
        }
    }
    assert_eq!(client.stats().differing_replies, 0);
}

#[tokio::test]
async fn an_agent_takes_the_rings_flush_for_none_and_any_other_for_a_loss() {
    let ring = ZkRing::start(shared_zookeeper().await, 3).await;
    let timeouts = Timeouts { open: SOON, connect: SOON, read: SOON, write: SOON, ..Timeouts::default() };
    let client = ring.builder().timeouts(timeouts).open().await.unwrap();
    let connection = client.connection();
    let epoch = client.topology().epoch();
    for server in ring.servers.values() {
        let _: () = direct::ask(&server.addr(), &call(&["HSET", "__rr:gate", "open", "1"])).await;
    }
    let looks = async |server: &str| -> u64 {
        let info: String = direct::ask(server, &call(&["INFO", "commandstats"])).await;
        let calls = info.lines().find_map(|line| line.strip_prefix("cmdstat_info:calls="));
        calls.and_then(|calls| calls.split(',').next()?.parse().ok()).unwrap_or(0)
    };
    for _ in 0..3 {
        fill(&client, "k:", 50).await;
        assert_eq!(run(&connection, &["FLUSHALL"]).await.unwrap(), Value::Okay);
        // The agent's looks are counted by the server: after two more it has seen the flush, and dealt with it.
        let mut before = Vec::new();
        for server in ring.servers.values() {
            before.push((server.addr(), looks(&server.addr()).await));
        }
        for (addr, before) in before {
            let own = Cell::new(0);
            eventually(SOON, "the agent has looked", || async {
                own.set(own.get() + 1);
                looks(&addr).await - own.get() > before + 1
            })
            .await;
        }
        assert_eq!(client.topology().epoch(), epoch, "the agents are calm");
        assert!(client.topology().members().iter().all(|member| member.state == State::Up));
        for server in ring.servers.values() {
            let gate: BTreeMap<String, String> = direct::ask(&server.addr(), &call(&["HGETALL", "__rr:gate"])).await;
            assert_eq!(gate["open"], "1");
        }
        assert_eq!(client.dbsize().await.unwrap(), DbSize { keys: 0, exact: true });
    }
    let victim = id("redis-1");
    let _: () = direct::ask(&ring.servers[&victim].addr(), &call(&["FLUSHDB"])).await;
    eventually(SOON, "a flush past the ring is noticed", || async {
        client.topology().find(&victim).is_some_and(|(_, member)| member.state != State::Up)
    })
    .await;
    // And while a member is not up, the ring is not flushed.
    let error = run(&connection, &["FLUSHALL"]).await.unwrap_err();
    let error = own(&error);
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Refused, Retry::Later), "{error}");
    // It may be coming back already.
    let text = error.to_string();
    assert!(text.contains("redis-1") || text.contains("the ring is filling"), "{text}");
}

const LIBRARY: &str = "#!lua name=mine\nredis.register_function('answer', function() return 42 end)";

#[tokio::test]
async fn scripts_and_functions_reach_every_member_and_those_that_come_back() {
    let ring = FixedRing::start(3).await;
    let client = unhurried(&ring).await;
    let connection = client.connection();
    let sha: String = ask(&connection, &["SCRIPT", "LOAD", "return 7"]).await;
    let name: String = ask(&connection, &["FUNCTION", "LOAD", LIBRARY]).await;
    assert_eq!(name, "mine");
    let known = async |server: &NodeId| -> (Result<i64, _>, Result<i64, _>) {
        let mut plain = direct::connect(&ring.server(server).addr()).await;
        let script = cmd("EVALSHA").arg(&sha).arg(0).query_async(&mut plain).await;
        (script, cmd("FCALL").arg("answer").arg(0).query_async::<i64>(&mut plain).await)
    };
    for server in ring.servers.keys() {
        assert!(matches!(known(server).await, (Ok(7), Ok(42))), "{server}");
    }
    assert_eq!(
        ask::<Vec<i64>>(&connection, &["SCRIPT", "EXISTS", &sha, "ffffffffffffffffffffffffffffffffffffffff"]).await,
        [1, 0]
    );

    let victim = id("r1");
    ring.server(&victim).kill();
    eventually(SOON, "it is gone", || async { !client.connected().contains(&victim) }).await;
    ring.server(&victim).restart_async().await.unwrap();
    client.trust(&victim).unwrap();
    eventually(SOON, "it has them again", || async { matches!(known(&victim).await, (Ok(7), Ok(42))) }).await;

    // Nothing that was forgotten comes back.
    let () = ask(&connection, &["SCRIPT", "FLUSH"]).await;
    assert_eq!(ask::<Vec<i64>>(&connection, &["SCRIPT", "EXISTS", &sha]).await, [0]);
    let () = ask(&connection, &["FUNCTION", "DELETE", "mine"]).await;
    let list: Vec<Value> = ask(&connection, &["FUNCTION", "LIST"]).await;
    assert!(list.is_empty());

    // Errors that all agree on are the server's own.
    for words in [
        &["FUNCTION", "DELETE", "mine"][..],
        &["SCRIPT", "LOAD", "return +"],
        &["SCRIPT", "KILL"],
        &["FUNCTION", "KILL"],
    ] {
        let ours = run(&connection, words).await.unwrap();
        let theirs =
            direct::connect(&ring.server(&victim).addr()).await.req_packed_command(&call(words)).await.unwrap();
        assert_eq!(ours, theirs, "{words:?}");
    }
    // One member has it already: the others say what they have done.
    let mut plain = direct::connect(&ring.server(&id("r2")).addr()).await;
    let _: String = cmd("FUNCTION").arg("LOAD").arg(LIBRARY).query_async(&mut plain).await.unwrap();
    let error = run(&connection, &["FUNCTION", "LOAD", LIBRARY]).await.unwrap_err();
    let text = own(&error).to_string();
    assert!(text.contains("executed by r0, r1") && text.contains("r2 says"), "{text}");
    assert_eq!(ask::<String>(&connection, &["FUNCTION", "LOAD", "REPLACE", LIBRARY]).await, "mine");
    let dump: Value = run(&connection, &["FUNCTION", "DUMP"]).await.unwrap();
    let () = ask(&connection, &["FUNCTION", "FLUSH"]).await;
    let Value::BulkString(dump) = dump else { panic!("{dump:?}") };
    let restored = connection.clone().req_packed_command(cmd("FUNCTION").arg("RESTORE").arg(dump)).await.unwrap();
    assert_eq!(restored, Value::Okay);
    assert!(matches!(known(&id("r0")).await.1, Ok(42)));

    ring.server(&victim).kill();
    eventually(SOON, "it is gone", || async { !client.connected().contains(&victim) }).await;
    let error = run(&connection, &["FUNCTION", "LOAD", "REPLACE", LIBRARY]).await.unwrap_err();
    assert!(own(&error).to_string().contains("r1"), "{error}");
    // A script is loaded where it can be, and brought along by the calls that find it lacking.
    let script = redis::Script::new("return 8");
    assert_eq!(script.key("k").invoke_async::<i64>(&mut connection.clone()).await.unwrap(), 8);
    ring.server(&victim).restart_async().await.unwrap();
    client.trust(&victim).unwrap();
    eventually(SOON, "it gets the script as well", || async {
        let mut exists = cmd("SCRIPT");
        exists.arg("EXISTS").arg(script.get_hash());
        direct::ask::<Vec<i64>>(&ring.server(&victim).addr(), &exists).await == [1]
    })
    .await;
}

#[tokio::test]
async fn a_script_that_runs_too_long_is_killed_wherever_it_runs() {
    let ring = FixedRing::start(3).await;
    let client = unhurried(&ring).await;
    let addr = ring.server(&id("r2")).addr();
    let _: () = direct::ask(&addr, &call(&["CONFIG", "SET", "busy-reply-threshold", "10"])).await;
    let busy = tokio::spawn({
        let addr = addr.clone();
        async move {
            let config =
                redis::AsyncConnectionConfig::new().set_connection_timeout(Some(SOON)).set_response_timeout(None);
            let plain = redis::Client::open(format!("redis://{addr}")).unwrap();
            let mut plain = plain.get_multiplexed_async_connection_with_config(&config).await.unwrap();
            plain.req_packed_command(&call(&["EVAL", "while true do end", "0"])).await
        }
    });
    let connection = client.connection();
    eventually(SOON, "it is killed", || async {
        // Or its reply was lost.
        matches!(run(&connection, &["SCRIPT", "KILL"]).await, Ok(Value::Okay)) || busy.is_finished()
    })
    .await;
    let killed = tokio::time::timeout(SOON, busy).await.expect("it has ended").unwrap();
    assert!(killed.unwrap().extract_error().is_err());
    let idle = run(&connection, &["SCRIPT", "KILL"]).await.unwrap().extract_error().unwrap_err();
    assert_eq!(idle.code(), Some("NOTBUSY"));
}

#[tokio::test]
async fn one_member_is_asked_by_its_name_and_written_by_nobody() {
    let ring = FixedRing::start(3).await;
    let client = unhurried(&ring).await;
    fill(&client, "k:", 100).await;
    plant_own_keys(&ring).await;
    for (member, server) in &ring.servers {
        let mut on = client.on(member).unwrap();
        assert_eq!(on.id(), member);
        let info: String = cmd("INFO").arg("server").query_async(&mut on).await.unwrap();
        assert!(info.contains(&format!("tcp_port:{}", server.port())), "{member}");
        let size: i64 = cmd("DBSIZE").query_async(&mut on).await.unwrap();
        assert_eq!(size, direct::ask::<i64>(&server.addr(), &cmd("DBSIZE")).await);
        let (policy, time): (BTreeMap<String, String>, (u64, u64)) = redis::pipe()
            .cmd("CONFIG")
            .arg("GET")
            .arg("maxmemory-policy")
            .cmd("TIME")
            .query_async(&mut on)
            .await
            .unwrap();
        assert_eq!(policy["maxmemory-policy"], "noeviction");
        assert!(time.0 > 0);
        for words in [
            &["CLIENT", "LIST"][..],
            &["MEMORY", "STATS"],
            &["SLOWLOG", "LEN"],
            &["LATENCY", "LATEST"],
            &["ACL", "LIST"],
            &["ROLE"],
            &["LASTSAVE"],
            &["CONFIG", "SET", "hz", "20"],
            &["KEYS", "*"],
            &["RANDOMKEY"],
            &["SCAN", "0"],
            &["FUNCTION", "LIST"],
            &["PING"],
            &["EXISTS", "k:0", "k:1"],
            &["MEMORY", "USAGE", "k:0"],
            &["OBJECT", "ENCODING", "k:0"],
            &["BGREWRITEAOF"],
        ] {
            let reply = on.req_packed_command(&call(words)).await.unwrap_or_else(|error| panic!("{words:?}: {error}"));
            assert!(reply.extract_error().is_ok(), "{words:?}");
        }
        // A key as it is there, and no other member answers in its place.
        let key = (0..100).map(|n| format!("k:{n}")).find(|key| !client.locate(key).owners.contains(member)).unwrap();
        assert_eq!(on.exists::<_, i64>(&key).await.unwrap(), 0);
        let refused = [
            &["SET", "k", "v"][..],
            &["DEL", "k"],
            &["INCR", "k"],
            &["FLUSHALL"],
            &["SELECT", "1"],
            &["SUBSCRIBE", "c"],
            &["CLIENT", "SETNAME", "x"],
            &["CLIENT", "REPLY", "OFF"],
            &["BLPOP", "k", "0"],
            &["XREAD", "BLOCK", "0", "STREAMS", "k", "$"],
            &["WAIT", "1", "0"],
            &["MULTI"],
            &["EVAL", "return 1", "0"],
            &["SHUTDOWN"],
            &["REPLICAOF", "NO", "ONE"],
            &["DEBUG", "SLEEP", "1"],
            &["CLIENT", "PAUSE", "1000"],
            &["MONITOR"],
            &["PUBLISH", "c", "m"],
            &["SCRIPT", "FLUSH"],
            &["FUNCTION", "FLUSH"],
            &["NOSUCH"],
            &["SORT", "k", "STORE", "l"],
            &["GET", "__rr:gate"],
            &["MODULE", "LOAD", "x"],
            &["INFO|SERVER"],
            &["CONFIG", "NOSUCH"],
        ];
        for words in refused {
            let error = on.req_packed_command(&call(words)).await.unwrap_err();
            let error = own(&error);
            assert_eq!(error.kind(), ErrorKind::Refused, "{words:?}");
            assert!(error.hint().is_some());
        }
    }
    assert_eq!(client.on(&id("r9")).unwrap_err().kind(), ErrorKind::Invalid);
    let mut on = client.on(&id("r1")).unwrap();
    ring.server(&id("r1")).kill();
    eventually(SOON, "it is gone", || async { client.connected().len() == 2 }).await;
    let error = cmd("INFO").query_async::<String>(&mut on).await.unwrap_err();
    assert_eq!(own(&error).kind(), ErrorKind::Unreachable);
}
