//! Transactions on watched keys, on real servers.
#![cfg(feature = "cli")]
#![cfg(test)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{AsyncCommands, RedisResult, Value, cmd};
use redis_ring::placement::NodeId;
use redis_ring::policy::{CachePolicy, Timeouts};
use redis_ring::{ErrorKind, Outcome, RingClient};
use support::{FaultProxy, FixedRing, Mode, SOON, direct, eventually, own};
use tokio::sync::Notify;
use tokio::task::JoinSet;

async fn increment(client: &RingClient, key: &str) -> RedisResult<i64> {
    let (value,) = client
        .transaction(&[key], |mut connection, mut pipeline| async move {
            let value: Option<i64> = connection.get(key).await?;
            let value = value.unwrap_or(0) + 1;
            pipeline.set(key, value).ignore().get(key).query_async::<Option<(i64,)>>(&mut connection).await
        })
        .await?;
    Ok(value)
}

#[tokio::test]
async fn what_several_clients_count_together_is_exact_on_both_owners() {
    const EACH: i64 = 50;
    let ring = FixedRing::start(2).await;
    let clients = [ring.connected(ring.patient()).await, ring.connected(ring.patient()).await];
    let mut tasks = JoinSet::new();
    for n in 0..8 {
        let client = clients[n % 2].clone();
        tasks.spawn(async move {
            for _ in 0..EACH {
                increment(&client, "n").await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(clients[0].connection().get::<_, i64>("n").await.unwrap(), 8 * EACH);
    eventually(SOON, "equal copies", || ring.copies_are_equal(&clients[0], "n")).await;
    for client in &clients {
        assert_eq!(client.stats().missed_writes, 0);
    }
}

#[tokio::test]
async fn what_is_older_does_not_overwrite_what_another_client_wrote_since() {
    let mut ring = FixedRing::start(2).await;
    let quick = ring.connected(ring.patient()).await;
    let copy = quick.locate("n").owners[1].clone();
    let primary = ring.owners(&quick, "n")[0].addr();
    let proxy = FaultProxy::start(ring.server(&copy).addr()).await;
    ring.reach(&copy, proxy.addr());
    let slow = ring.connected(ring.patient()).await;
    for n in 0..10 {
        // The slow client's copy leaves first and arrives last.
        proxy.set(Mode::Delay { requests: Duration::from_millis(50), replies: Duration::ZERO }).await;
        let task = tokio::spawn({
            let slow = slow.clone();
            async move { increment(&slow, "n").await.unwrap() }
        });
        eventually(SOON, "the primary has it", || async {
            direct::ask::<Option<i64>>(&primary, cmd("GET").arg("n")).await == Some(2 * n + 1)
        })
        .await;
        assert_eq!(increment(&quick, "n").await.unwrap(), 2 * n + 2);
        task.await.unwrap();
        assert!(ring.copies_are_equal(&quick, "n").await);
    }
}

#[tokio::test]
async fn what_a_transaction_wrote_is_read_afterwards_whatever_is_cached() {
    let ring = FixedRing::start(2).await;
    let client = ring.connected(ring.patient().cache(CachePolicy::AtMost { bytes: 1 << 20 })).await;
    let mut connection = client.connection();
    for n in 1..=200 {
        let _: Option<i64> = connection.get("n").await.unwrap();
        assert_eq!(increment(&client, "n").await.unwrap(), n);
        assert_eq!(connection.get::<_, i64>("n").await.unwrap(), n);
    }
}

#[tokio::test]
async fn other_writes_of_the_same_process_keep_their_order() {
    let mut ring = FixedRing::start(2).await;
    let slow = NodeId::new("r1").unwrap();
    let proxy = FaultProxy::start(ring.server(&slow).addr()).await;
    ring.reach(&slow, proxy.addr());
    let client = ring.connected(ring.patient()).await;
    proxy.set(Mode::Delay { requests: Duration::from_millis(2), replies: Duration::ZERO }).await;
    let mut tasks = JoinSet::new();
    for n in 0..6 {
        let client = client.clone();
        tasks.spawn(async move {
            let mut connection = client.connection();
            for i in 0..40 {
                match n {
                    0 | 1 => {
                        let () = client
                            .transaction(&["{k}watched"], |mut connection, mut pipeline| async move {
                                pipeline
                                    .rpush("{k}list", format!("{n}:{i}"))
                                    .ignore()
                                    .incr("{k}n", 1)
                                    .ignore()
                                    .query_async::<Option<()>>(&mut connection)
                                    .await
                            })
                            .await
                            .unwrap();
                    }
                    2 => drop(connection.incr::<_, _, i64>("{k}n", 1).await.unwrap()),
                    3 => connection.set::<_, _, ()>("{k}watched", i).await.unwrap(),
                    4 => drop(connection.lpop::<_, Option<String>>("{k}list", None).await.unwrap()),
                    _ => drop(connection.lpush::<_, _, i64>("{k}list", i).await.unwrap()),
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    for key in ["{k}watched", "{k}list", "{k}n"] {
        assert!(ring.copies_are_equal(&client, key).await, "{key}");
    }
    assert_eq!(client.connection().get::<_, i64>("{k}n").await.unwrap(), 120);
}

#[tokio::test]
async fn a_change_by_anybody_else_makes_it_run_again() {
    let ring = FixedRing::start(2).await;
    let client = ring.connected(ring.patient()).await;
    let primary = ring.owners(&client, "{k}")[0].addr();
    let () = client.connection().set_ex("{k}a", 1, 1000).await.unwrap();
    let attempts = AtomicUsize::new(0);
    let reply: (String, i64) = client
        .transaction(&["{k}a", "{k}b"], |mut connection, mut pipeline| {
            let (attempts, primary) = (&attempts, &primary);
            async move {
                let (a, b): (i64, Option<i64>) =
                    redis::pipe().get("{k}a").get("{k}b").query_async(&mut connection).await?;
                if attempts.fetch_add(1, Ordering::Relaxed) < 3 {
                    let _: Value = direct::ask(primary, cmd("INCR").arg("{k}b")).await;
                }
                let sum = a + b.unwrap_or(0);
                pipeline.cmd("SET").arg("{k}a").arg(sum).arg("EX").arg(500).incr("{k}c", 1);
                pipeline.query_async(&mut connection).await
            }
        })
        .await
        .unwrap();
    assert_eq!((attempts.load(Ordering::Relaxed), reply), (4, ("OK".to_owned(), 1)));
    assert_eq!(client.connection().get::<_, i64>("{k}a").await.unwrap(), 4);
    for key in ["{k}a", "{k}c"] {
        assert!(ring.copies_are_equal(&client, key).await, "{key}");
    }
}

#[tokio::test]
async fn what_cannot_be_in_a_transaction_is_refused() {
    let ring = FixedRing::start(2).await;
    let client = ring.client().await;
    let () = client.connection().rpush("{k}list", "x").await.unwrap();
    let refused = |result: RedisResult<()>| {
        let error = result.unwrap_err();
        assert_eq!(own(&error).kind(), ErrorKind::Refused, "{error}");
        assert!(own(&error).hint().is_some(), "{error}");
        error.to_string()
    };
    for (keys, why) in [(&["a", "b"][..], "\"a\" and \"b\" do not"), (&[], "a key"), (&["__rr:gate"], "__rr:")] {
        let text = refused(client.transaction(keys, async |_, _| panic!("it is not called")).await);
        assert!(text.contains(why), "{text}");
    }
    for words in [&["SET", "{k}a", "1"][..], &["GET", "b"], &["BLPOP", "{k}a", "0"], &["DBSIZE"], &["MGET", "a", "b"]] {
        let result = client.transaction(&["{k}a"], async |mut connection, _| {
            cmd(words[0]).arg(&words[1..]).query_async::<()>(&mut connection).await.map(Some)
        });
        refused(result.await);
    }
    for words in [&["SET", "b", "1"][..], &["MSET", "a", "1", "b", "2"], &["DBSIZE"]] {
        let result = client.transaction(&["{k}a"], async |mut connection, mut pipeline| {
            pipeline.set("{k}a", 1).cmd(words[0]).arg(&words[1..]).query_async::<()>(&mut connection).await.map(Some)
        });
        refused(result.await);
        assert!(!client.connection().exists::<_, bool>("{k}a").await.unwrap());
    }
    // A server's own errors: for one command, and for all.
    let error = client
        .transaction(&["{k}a"], async |mut connection, mut pipeline| {
            pipeline.set("{k}a", 1).incr("{k}list", 1).query_async::<Option<()>>(&mut connection).await
        })
        .await
        .unwrap_err();
    assert!(error.to_string().contains("WRONGTYPE"), "{error}");
    assert!(ring.copies_are_equal(&client, "{k}a").await);
    assert_eq!(client.connection().get::<_, i32>("{k}a").await.unwrap(), 1, "as with one server");
    // A connection that outlives its attempt is of no use.
    let mut kept = None;
    let result = client.transaction(&["{k}a"], |connection, _| {
        kept = Some(connection);
        std::future::ready(Ok(Some(())))
    });
    result.await.unwrap();
    let error = kept.unwrap().get::<_, Option<i64>>("{k}a").await.unwrap_err();
    assert!(error.to_string().contains("has ended"), "{error}");
}

#[tokio::test]
async fn connections_are_used_again_and_only_so_many() {
    let ring = FixedRing::start(2).await;
    let client = ring.connected(ring.patient().transaction_connections(3)).await;
    for _ in 0..50 {
        increment(&client, "n").await.unwrap();
    }
    let primary = ring.owners(&client, "n")[0].addr();
    let info: String = direct::ask(&primary, cmd("INFO").arg("stats")).await;
    let count = info.lines().find_map(|line| line.strip_prefix("total_connections_received:")).unwrap();
    assert!(count.trim().parse::<u32>().unwrap() < 20, "{count}");
    let (inside, go_on) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let mut tasks = JoinSet::new();
    for _ in 0..3 {
        let (client, inside, go_on) = (client.clone(), Arc::clone(&inside), Arc::clone(&go_on));
        tasks.spawn(async move {
            client
                .transaction(&["n"], |_, _| {
                    inside.fetch_add(1, Ordering::Relaxed);
                    let go_on = Arc::clone(&go_on);
                    async move {
                        go_on.notified().await;
                        Ok(Some(()))
                    }
                })
                .await
        });
    }
    eventually(SOON, "all are inside", || async { inside.load(Ordering::Relaxed) == 3 }).await;
    let error = increment(&client, "n").await.unwrap_err();
    assert_eq!(own(&error).kind(), ErrorKind::Refused);
    assert!(own(&error).hint().unwrap().contains("transaction_connections"));
    go_on.notify_waiters();
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
    assert_eq!(increment(&client, "n").await.unwrap(), 51);
    // One that is dropped gives its place back too.
    for _ in 0..5 {
        let attempt = client.transaction(&["n"], async |_, _| std::future::pending::<RedisResult<Option<()>>>().await);
        let _ = tokio::time::timeout(Duration::from_millis(20), attempt).await;
    }
    assert_eq!(increment(&client, "n").await.unwrap(), 52);
}

#[tokio::test]
async fn the_next_owner_takes_over_from_a_primary_that_dies_or_hangs() {
    for kill in [true, false] {
        let ring = FixedRing::start(3).await;
        // The hung one is left when it has not answered for as long as a write may take, and the next one must have time then.
        let timeouts = Timeouts { write: Duration::from_secs(3), ..Timeouts::default() };
        let client = ring.connected(ring.builder().timeouts(timeouts)).await;
        assert_eq!(increment(&client, "n").await.unwrap(), 1);
        let primary = ring.owners(&client, "n")[0];
        let attempts = AtomicUsize::new(0);
        let done = client
            .transaction(&["n"], async |mut connection, mut pipeline| {
                if attempts.fetch_add(1, Ordering::Relaxed) == 0 {
                    if kill { primary.kill() } else { primary.stop().unwrap() }
                }
                let n: i64 = connection.get("n").await?;
                pipeline.set("n", n + 1).query_async::<Option<()>>(&mut connection).await
            })
            .await;
        done.unwrap();
        assert!(attempts.load(Ordering::Relaxed) > 1);
        assert_eq!(client.connection().get::<_, i64>("n").await.unwrap(), 2);
        if !kill {
            primary.cont().unwrap();
        }
    }
}

/// A ring of two, and the primary of `n` behind a proxy.
async fn primary_behind_a_proxy() -> (FixedRing, RingClient, NodeId, FaultProxy) {
    let mut ring = FixedRing::start(2).await;
    let primary = ring.client().await.locate("n").owners[0].clone();
    let proxy = FaultProxy::start(ring.server(&primary).addr()).await;
    ring.reach(&primary, proxy.addr());
    let client = ring.client().await;
    (ring, client, primary, proxy)
}

#[tokio::test]
async fn a_lost_reply_is_an_unknown_outcome_and_the_copies_are_equal() {
    let (ring, client, primary, proxy) = primary_behind_a_proxy().await;
    let at_primary = ring.server(&primary).addr();
    let (proxy, server) = (&proxy, &at_primary);
    let waiting = client.transaction(&["n"], async |mut connection, mut pipeline| {
        proxy.set(Mode::Delay { requests: Duration::ZERO, replies: Duration::from_secs(3600) }).await;
        let running = pipeline.set("n", "v").query_async::<Option<()>>(&mut connection);
        let cutting = async {
            eventually(SOON, "it is executed", || async {
                direct::ask::<Option<String>>(server, cmd("GET").arg("n")).await.is_some()
            })
            .await;
            proxy.set(Mode::Pass).await;
            proxy.cut().await;
        };
        futures_util::future::join(running, cutting).await.0
    });
    let error = waiting.await.unwrap_err();
    assert_eq!(own(&error).outcome(), Outcome::Unknown);
    eventually(SOON, "equal copies", || ring.copies_are_equal(&client, "n")).await;
}

#[tokio::test]
async fn a_transaction_whose_primary_falls_silent_is_not_undone_by_its_copy() {
    let (ring, client, primary, proxy) = primary_behind_a_proxy().await;
    let waiting = client.transaction(&["n"], async |mut connection, mut pipeline| {
        proxy.set(Mode::HoldReplies).await;
        pipeline.set("n", "v").query_async::<Option<()>>(&mut connection).await
    });
    let error = waiting.await.unwrap_err();
    assert_eq!(own(&error).outcome(), Outcome::Unknown);
    proxy.set(Mode::Pass).await;
    eventually(SOON, "equal copies", || ring.copies_are_equal(&client, "n")).await;
    let has = direct::ask::<Option<String>>(&ring.server(&primary).addr(), cmd("GET").arg("n")).await;
    assert_eq!(has.as_deref(), Some("v"), "it was executed, and nobody has undone it");
}

#[tokio::test]
async fn a_transaction_dropped_on_its_way_is_on_both_owners_or_on_none() {
    let mut ring = FixedRing::start(2).await;
    let slow = NodeId::new("r0").unwrap();
    let proxy = FaultProxy::start(ring.server(&slow).addr()).await;
    ring.reach(&slow, proxy.addr());
    let client = ring.connected(ring.patient()).await;
    for n in 0..40 {
        let key = format!("k{n}");
        increment(&client, &key).await.unwrap();
    }
    proxy.set(Mode::Delay { requests: Duration::from_millis(2), replies: Duration::from_millis(2) }).await;
    for n in 0..40 {
        let key = format!("k{n}");
        let _ = tokio::time::timeout(Duration::from_millis(n), increment(&client, &key)).await;
    }
    proxy.set(Mode::Pass).await;
    for n in 0..40 {
        let key = format!("k{n}");
        eventually(SOON, "equal copies", || ring.copies_are_equal(&client, &key)).await;
    }
}

#[tokio::test]
async fn it_gives_up_when_others_always_come_first() {
    let ring = FixedRing::start(2).await;
    let client = ring.connected(ring.patient()).await;
    let result = client.transaction(&["n"], async |mut own, mut pipeline| {
        let _: i64 = client.connection().incr("n", 1).await?;
        pipeline.set("n", 0).query_async::<Option<()>>(&mut own).await
    });
    let error = tokio::time::timeout(SOON * 2, result).await.expect("it ends").unwrap_err();
    assert_eq!(own(&error).kind(), ErrorKind::Conflict);
    assert!(own(&error).hint().is_some());
    let mut connection = client.connection();
    assert!(connection.req_packed_command(cmd("GET").arg("n")).await.is_ok());
}
