//! Replies kept in the client: what costs no round trip, and what must never be answered from memory.
#![cfg(feature = "cli")]
#![cfg(test)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncCommands, Value, cmd};
use redis_ring::local::RedisOptions;
use redis_ring::placement::NodeId;
use redis_ring::policy::{CachePolicy, HedgePolicy, ReadPolicy, Timeouts};
use redis_ring::{RingClient, RingClientBuilder, RingConnection};
use support::{FakeServer, FaultProxy, FixedRing, Mode, SOON, direct, eventually, redis_with};
use tokio::task::JoinHandle;

/// How long after a write of somebody else an old reply may still be given.
const LEASE: Duration = Duration::from_millis(100);

const ROOMY: CachePolicy = CachePolicy::AtMost { bytes: 1 << 20 };

fn builder(ring: &FixedRing) -> RingClientBuilder {
    // A read that is answered by the other owner because this machine is busy is not what is looked at here.
    ring.patient().cache(ROOMY).hedge_policy(HedgePolicy::Never)
}

async fn cached(ring: &FixedRing) -> RingClient {
    ring.connected(builder(ring)).await
}

async fn run(connection: &mut RingConnection, words: &[&[u8]]) -> Value {
    let mut command = cmd(std::str::from_utf8(words[0]).unwrap());
    words[1..].iter().for_each(|word| {
        command.arg(*word);
    });
    connection.req_packed_command(&command).await.unwrap()
}

/// Reads until a reply came from memory.
async fn until_kept(client: &RingClient, key: &str) {
    let connection = client.connection();
    let before = client.stats().cache_hits;
    eventually(SOON, "a reply from the cache", || {
        let mut connection = connection.clone();
        async move {
            let _: Value = connection.get(key).await.unwrap();
            client.stats().cache_hits > before
        }
    })
    .await;
}

/// Reads all the time until an old reply may not be given any more; the next one must be this.
async fn is_seen_in_time(connection: &mut RingConnection, key: &str, acknowledged: Instant, wanted: Option<&str>) {
    while acknowledged.elapsed() <= LEASE {
        let _: Value = connection.get(key).await.unwrap();
    }
    assert_eq!(connection.get::<_, Option<String>>(key).await.unwrap().as_deref(), wanted);
}

#[tokio::test]
async fn reading_again_costs_no_round_trip() {
    let ring = FixedRing::start(1).await;
    let addr = ring.servers.values().next().unwrap().addr();
    let client = cached(&ring).await;
    let mut connection = client.connection();
    let blob: Vec<u8> = (0..=255).collect();
    let writes: [&[&[u8]]; 5] = [
        &[b"SET", &blob, b"a\0b\r\n"],
        &[b"HSET", b"hash", b"f", b"1", b"g", &blob],
        &[b"SADD", b"set", b"x", b"y"],
        &[b"ZADD", b"zset", b"1.5", b"x"],
        &[b"RPUSH", b"list", b"x", &blob],
    ];
    for words in writes {
        run(&mut connection, words).await;
    }
    let reads: [&[&[u8]]; 8] = [
        &[b"GET", &blob],
        &[b"GETRANGE", &blob, b"0", b"1"],
        &[b"HGETALL", b"hash"],
        &[b"HGET", b"hash", b"g"],
        &[b"SMEMBERS", b"set"],
        &[b"ZRANGE", b"zset", b"0", b"-1", b"WITHSCORES"],
        &[b"LRANGE", b"list", b"0", b"-1"],
        &[b"GET", b"missing"],
    ];
    let plain = ring.connected(ring.patient()).await;
    for words in reads {
        let name = String::from_utf8_lossy(words[0]).to_lowercase();
        let expected = run(&mut plain.connection(), words).await;
        let (before, stats) = (direct::calls(&addr, &name).await, client.stats());
        // A busy machine may let a lease run out in between: then the server is asked, which is no hit.
        for _ in 0..200 {
            assert_eq!(run(&mut connection, words).await, expected, "{name}");
        }
        let asked = direct::calls(&addr, &name).await - before;
        assert_eq!(client.stats().cache_hits - stats.cache_hits, 200 - asked, "{name}");
        assert!(asked < 200, "{name} was asked each time");
    }
}

#[tokio::test]
async fn what_depends_on_more_than_the_key_is_asked_each_time() {
    let ring = FixedRing::start(2).await;
    let client = cached(&ring).await;
    let mut connection = client.connection();
    let () = connection.sadd("set", &["x", "y", "z"]).await.unwrap();
    for words in [&["SRANDMEMBER", "set"][..], &["PTTL", "set"], &["OBJECT", "IDLETIME", "set"], &["EXISTS", "set"]] {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        run(&mut connection, &words).await;
        run(&mut connection, &words).await;
    }
    let stats = client.stats();
    assert_eq!((stats.cache_hits, stats.cache_misses), (0, 0));
}

#[tokio::test]
async fn a_write_of_another_client_is_seen() {
    let ring = FixedRing::start(2).await;
    let client = cached(&ring).await;
    let mut connection = client.connection();
    let mut other = ring.connected(ring.patient()).await.connection();
    for round in 0..20 {
        let value = round.to_string();
        let () = other.set("k", &value).await.unwrap();
        let acknowledged = Instant::now();
        is_seen_in_time(&mut connection, "k", acknowledged, Some(&value)).await;
        until_kept(&client, "k").await;
    }
    assert!(client.stats().cache_invalidations >= 19, "{:?}", client.stats());
    let () = other.del("k").await.unwrap();
    is_seen_in_time(&mut connection, "k", Instant::now(), None).await;
}

#[tokio::test]
async fn a_reply_that_its_invalidation_overtook_is_not_kept() {
    let mut ring = FixedRing::start(1).await;
    let id = NodeId::new("r0").unwrap();
    let proxy = FaultProxy::start(ring.server(&id).addr()).await;
    ring.reach(&id, proxy.addr());
    let client = cached(&ring).await;
    let mut connection = client.connection();
    let addr = ring.server(&id).addr();
    let () = direct::ask(&addr, cmd("SET").arg("k").arg("old")).await;
    proxy.set(Mode::HoldReplies).await;
    let mut reading = connection.get::<_, String>("k");
    assert!(futures_util::poll!(&mut reading).is_pending());
    eventually(SOON, "the read at the server", || async { direct::calls(&addr, "pttl").await == 1 }).await;
    let () = direct::ask(&addr, cmd("SET").arg("k").arg("new")).await;
    proxy.set(Mode::Pass).await;
    eventually(SOON, "the invalidation", || async { client.stats().cache_invalidations == 1 }).await;
    // Only now does the reader come to look at its reply, which was here before.
    assert_eq!(reading.await.unwrap(), "old");
    assert_eq!(client.connection().get::<_, String>("k").await.unwrap(), "new");
}

/// A server that never says that a key was written, so that only this process knows.
async fn untold() -> (FixedRing, FakeServer) {
    let mut ring = FixedRing::start(1).await;
    // Also the time that the key lives, in milliseconds.
    let fake = FakeServer::start(":1000000\r\n").await;
    ring.reach(&NodeId::new("r0").unwrap(), fake.addr());
    (ring, fake)
}

#[tokio::test]
async fn a_write_of_this_process_is_not_told_by_the_server_alone() {
    let (ring, fake) = untold().await;
    let client = cached(&ring).await;
    let mut connection = client.connection();
    let writes: [fn(RingConnection) -> redis::RedisFuture<'static, ()>; 6] = [
        |mut c| Box::pin(async move { c.set("k", 1).await }),
        |mut c| Box::pin(async move { c.incr("k", 1).await }),
        |mut c| {
            Box::pin(async move { redis::pipe().set("k", 1).ignore().set("l", 1).ignore().query_async(&mut c).await })
        },
        |mut c| Box::pin(async move { c.del::<_, ()>(&["k", "l"]).await }),
        // Of what these answer, this server has no idea. It may have executed them all the same.
        |mut c| {
            Box::pin(async move {
                let _ = cmd("FLUSHDB").query_async::<Value>(&mut c).await;
                Ok(())
            })
        },
        |mut c| {
            Box::pin(async move {
                let _ = cmd("EVAL").arg("return 1").arg(1).arg("k").query_async::<Value>(&mut c).await;
                Ok(())
            })
        },
    ];
    for (nth, write) in writes.into_iter().enumerate() {
        until_kept(&client, "k").await;
        write(connection.clone()).await.unwrap();
        let before = (fake.calls(), client.stats());
        let _: i64 = connection.get("k").await.unwrap();
        assert_eq!(client.stats().cache_hits, before.1.cache_hits, "write {nth}");
        assert!(fake.calls() > before.0, "write {nth}");
    }
}

#[tokio::test]
async fn a_reply_on_its_way_while_this_process_writes_is_not_kept() {
    let (ring, fake) = untold().await;
    let client = cached(&ring).await;
    let (mut writer, mut reader) = (client.connection(), client.connection());
    let written = futures_util::future::join(writer.set::<_, _, ()>("k", 1), reader.get::<_, i64>("k")).await;
    written.0.unwrap();
    written.1.unwrap();
    let before = fake.calls();
    let _: i64 = reader.get("k").await.unwrap();
    assert!(fake.calls() > before);
    assert_eq!(client.stats().cache_hits, 0);
}

#[tokio::test]
async fn a_read_that_is_begun_after_a_write_is_answered_after_it() {
    let ring = FixedRing::start(2).await;
    let client = cached(&ring).await;
    let (mut writer, mut reader) = (client.connection(), client.connection());
    for round in 0..20 {
        let () = writer.set("k", "old").await.unwrap();
        until_kept(&client, "k").await;
        // Both leave in this order, and nobody has waited for either.
        let (written, read) =
            futures_util::future::join(writer.set::<_, _, ()>("k", "new"), reader.get::<_, String>("k")).await;
        written.unwrap();
        assert_eq!(read.unwrap(), "new", "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_never_go_back_nor_miss_a_write_of_their_process() {
    let ring = FixedRing::start(2).await;
    let client = cached(&ring).await;
    let () = client.connection().set("k", 0).await.unwrap();
    let acknowledged = Arc::new(AtomicU64::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (mut connection, acknowledged, done) =
                (client.connection(), Arc::clone(&acknowledged), Arc::clone(&done));
            tokio::spawn(async move {
                let (mut last, mut reads) = (0, 0);
                while !done.load(Ordering::SeqCst) {
                    let least = acknowledged.load(Ordering::SeqCst);
                    let seen: u64 = connection.get("k").await.unwrap();
                    assert!(seen >= least, "{seen} was read after {least} was acknowledged");
                    assert!(seen >= last, "{seen} was read after {last}");
                    (last, reads) = (seen, reads + 1);
                }
                reads
            })
        })
        .collect();
    let mut connection = client.connection();
    let mut pause = 0;
    for value in 1..=600_u64 {
        match value % 3 {
            0 => connection.set::<_, _, ()>("k", value).await.unwrap(),
            1 => assert_eq!(connection.incr::<_, _, u64>("k", 1).await.unwrap(), value),
            _ => redis::pipe().set("k", value).ignore().query_async::<()>(&mut connection).await.unwrap(),
        }
        acknowledged.store(value, Ordering::SeqCst);
        assert!(connection.get::<_, u64>("k").await.unwrap() >= value);
        // Now and then long enough for replies to be given again.
        pause = (pause + 1) % 8;
        let hits = client.stats().cache_hits;
        while pause == 0 && client.stats().cache_hits < hits + 20 && !readers.iter().any(JoinHandle::is_finished) {
            tokio::task::yield_now().await;
        }
    }
    done.store(true, Ordering::SeqCst);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    let stats = client.stats();
    assert!(stats.cache_hits > 1000 && stats.cache_misses > 50, "{stats:?}");
}

#[tokio::test]
async fn nothing_old_is_given_for_a_server_that_hangs() {
    for policy in [ReadPolicy::Primary, ReadPolicy::Replica] {
        let ring = FixedRing::start(2).await;
        // The owner that goes on may be late.
        let plain = ring.builder().timeouts(Timeouts { connect: SOON, ..Timeouts::default() });
        let client = ring.connected(plain.clone().cache(ROOMY).read_policy(policy.clone())).await;
        let other = ring.connected(plain).await;
        let mut connection = client.connection();
        let () = connection.set("k", "old").await.unwrap();
        until_kept(&client, "k").await;
        let owners = ring.owners(&client, "k");
        let hanging = owners[usize::from(policy == ReadPolicy::Replica)];
        hanging.stop().unwrap();
        let done = Arc::new(AtomicBool::new(false));
        // All the while what is kept is in use.
        let reading = tokio::spawn({
            let (mut connection, done) = (connection.clone(), Arc::clone(&done));
            async move {
                while !done.load(Ordering::SeqCst) {
                    let _: Value = connection.get("k").await.unwrap();
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        });
        let () = other.connection().set("k", "new").await.unwrap();
        is_seen_in_time(&mut connection, "k", Instant::now(), Some("new")).await;
        for _ in 0..100 {
            assert_eq!(connection.get::<_, String>("k").await.unwrap(), "new");
        }
        done.store(true, Ordering::SeqCst);
        reading.await.unwrap();
        hanging.cont().unwrap();
    }
}

#[tokio::test]
async fn a_connection_that_breaks_takes_its_replies_with_it() {
    let mut ring = FixedRing::start(2).await;
    let plain = ring.connected(ring.patient()).await;
    let owner = NodeId::new("r0").unwrap();
    let keys: Vec<String> =
        (0..).map(|i| format!("k{i}")).filter(|key| plain.locate(key).owners[0] == owner).take(3).collect();
    let [read, unread, other] = &keys[..] else { panic!("three keys") };
    let proxy = FaultProxy::start(ring.server(&owner).addr()).await;
    ring.reach(&owner, proxy.addr());
    let client = cached(&ring).await;
    let mut connection = client.connection();
    for key in [read, unread] {
        let () = connection.set(key, "old").await.unwrap();
        until_kept(&client, key).await;
    }
    proxy.set(Mode::Refuse).await;
    proxy.cut().await;
    for key in [read, unread] {
        let () = plain.connection().set(key, "new").await.unwrap();
    }
    is_seen_in_time(&mut connection, read, Instant::now(), Some("new")).await;
    proxy.set(Mode::Pass).await;
    eventually(SOON, "the connection again", || async { client.connected().len() == 2 }).await;
    // The new connection is known to be well by what it says of another key.
    until_kept(&client, other).await;
    for key in [read, unread] {
        assert_eq!(connection.get::<_, String>(key).await.unwrap(), "new");
        until_kept(&client, key).await;
        let () = plain.connection().set(key, "newer").await.unwrap();
        is_seen_in_time(&mut connection, key, Instant::now(), Some("newer")).await;
    }
}

#[tokio::test]
async fn an_expired_value_is_not_given_though_nobody_says_that_it_expired() {
    let options = RedisOptions::new().set("enable-debug-command", "yes");
    let ring = FixedRing::of(vec![redis_with(options).await]);
    let client = cached(&ring).await;
    let mut connection = client.connection();
    let mut server: MultiplexedConnection = direct::connect(&ring.servers.values().next().unwrap().addr()).await;
    // Then a key expires when somebody asks for it, and until then its invalidation is not sent.
    let () = cmd("DEBUG").arg("SET-ACTIVE-EXPIRE").arg(0).query_async(&mut server).await.unwrap();
    for (nth, ms) in [300, 60, 1].into_iter().enumerate() {
        let key = format!("k{nth}");
        let () = server.pset_ex(&key, "v", ms).await.unwrap();
        // Servers count whole milliseconds, and the last one in full.
        let gone = Instant::now() + Duration::from_millis(ms + 2);
        while Instant::now() <= gone {
            let _: Value = connection.get(&key).await.unwrap();
        }
        assert_eq!(connection.get::<_, Option<String>>(&key).await.unwrap(), None, "{ms} ms");
    }
    // An expiry that comes later, or goes, counts as well.
    let () = server.set("l", "v").await.unwrap();
    until_kept(&client, "l").await;
    let () = server.pexpire("l", 50).await.unwrap();
    is_seen_in_time(&mut connection, "l", Instant::now(), None).await;
}

#[tokio::test]
async fn a_flush_is_seen() {
    let ring = FixedRing::start(2).await;
    let client = cached(&ring).await;
    let mut connection = client.connection();
    for command in ["FLUSHDB", "FLUSHALL"] {
        for key in ["a", "b", "c"] {
            let () = connection.set(key, "v").await.unwrap();
            until_kept(&client, key).await;
        }
        for server in ring.servers.values() {
            let () = direct::ask(&server.addr(), &cmd(command)).await;
        }
        let acknowledged = Instant::now();
        for key in ["a", "b", "c"] {
            is_seen_in_time(&mut connection, key, acknowledged, None).await;
            assert_eq!(connection.get::<_, Option<String>>(key).await.unwrap(), None);
        }
    }
    // One of this process is seen by every read after it.
    for round in 0..20 {
        let () = connection.set("a", round).await.unwrap();
        until_kept(&client, "a").await;
        let () = cmd("FLUSHDB").query_async(&mut connection).await.unwrap();
        assert_eq!(connection.get::<_, Option<i32>>("a").await.unwrap(), None);
    }
}

#[tokio::test]
async fn no_more_is_kept_than_fits() {
    let ring = FixedRing::start(1).await;
    let client = ring.connected(builder(&ring).cache(CachePolicy::AtMost { bytes: 20_000 })).await;
    let mut connection = client.connection();
    for key in 0..100 {
        let () = connection.set(key, format!("{key}-{}", "x".repeat(1000))).await.unwrap();
    }
    for _ in 0..3 {
        for key in 0..100 {
            let value: String = connection.get(key).await.unwrap();
            assert!(value.starts_with(&format!("{key}-")));
        }
    }
    // In this order each has gone before it is asked for again.
    assert_eq!(client.stats().cache_hits, 0);
    until_kept(&client, "1").await;
    // One that does not fit at all is read all the same.
    let large = "x".repeat(30_000);
    let () = connection.set("large", &large).await.unwrap();
    for _ in 0..3 {
        assert_eq!(connection.get::<_, String>("large").await.unwrap(), large);
    }
}

#[tokio::test]
async fn without_a_cache_no_server_tracks_anything() {
    let ring = FixedRing::start(2).await;
    let client = ring.connected(ring.patient()).await;
    let mut connection = client.connection();
    let () = connection.set("k", "v").await.unwrap();
    for _ in 0..10 {
        let _: String = connection.get("k").await.unwrap();
    }
    let stats = client.stats();
    assert_eq!((stats.cache_hits, stats.cache_misses, stats.cache_invalidations), (0, 0, 0));
    let tracking = async || {
        let mut sum = 0;
        for server in ring.servers.values() {
            let info: String = direct::ask(&server.addr(), cmd("INFO").arg("clients")).await;
            let line = info.lines().find_map(|line| line.strip_prefix("tracking_clients:")).unwrap();
            sum += line.trim().parse::<u32>().unwrap();
        }
        sum
    };
    assert_eq!(tracking().await, 0);
    let owner = ring.owners(&client, "k")[0].addr();
    assert_eq!((direct::calls(&owner, "pttl").await, direct::calls(&owner, "client|tracking").await), (0, 0));
    let _with = cached(&ring).await;
    assert_eq!(tracking().await, 2);
}

#[tokio::test]
async fn a_server_that_does_not_track_is_asked_each_time() {
    let mut ring = FixedRing::start(1).await;
    let id = NodeId::new("r0").unwrap();
    let addr = ring.server(&id).addr();
    let rules = ["reader", "on", ">secret", "~*", "+@all", "-client|tracking"];
    let () = direct::ask(&addr, cmd("ACL").arg("SETUSER").arg(&rules)).await;
    let client = ring.connected(builder(&ring).user("reader", "secret")).await;
    let () = client.connection().set("k", "v").await.unwrap();
    for _ in 0..5 {
        assert_eq!(client.connection().get::<_, String>("k").await.unwrap(), "v");
    }
    assert_eq!(direct::calls(&addr, "get").await, 5);
    assert_eq!(client.stats().cache_hits, 0);
    // Neither does one that speaks only RESP2.
    let old = FakeServer::old("$5\r\nhello\r\n").await;
    ring.reach(&id, old.addr());
    let client = cached(&ring).await;
    for _ in 0..5 {
        assert_eq!(client.connection().get::<_, String>("k").await.unwrap(), "hello");
    }
    let stats = client.stats();
    assert_eq!((stats.cache_hits, stats.cache_misses), (0, 0));
    assert!(old.calls() >= 5);
}

#[tokio::test]
async fn errors_are_not_kept_and_a_server_without_answer_is_left_for_the_next() {
    let ring = FixedRing::start(2).await;
    let client = cached(&ring).await;
    let mut connection = client.connection();
    let () = connection.sadd("set", "x").await.unwrap();
    for _ in 0..3 {
        let error = connection.get::<_, String>("set").await.unwrap_err();
        assert_eq!(error.code(), Some("WRONGTYPE"));
    }
    assert_eq!(client.stats().cache_hits, 0);
    let () = connection.set("k", "v").await.unwrap();
    until_kept(&client, "k").await;
    ring.owners(&client, "k")[0].kill();
    for _ in 0..50 {
        assert_eq!(connection.get::<_, String>("k").await.unwrap(), "v");
    }
}

#[tokio::test]
async fn every_policy_of_reading_has_its_replies_kept() {
    let ring = FixedRing::start(3).await;
    for policy in [ReadPolicy::Replica, ReadPolicy::Any] {
        let client = ring.connected(builder(&ring).read_policy(policy)).await;
        let mut connection = client.connection();
        for round in 0..20 {
            let () = connection.set("k", round).await.unwrap();
            until_kept(&client, "k").await;
            assert_eq!(connection.get::<_, i32>("k").await.unwrap(), round);
        }
    }
}
