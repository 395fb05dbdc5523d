//! Ways in which a ring could lose, repeat or misorder a write although its servers are well, or mislead its caller.
#![cfg(feature = "cli")]
#![cfg(test)]

mod support;

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use redis::{AsyncCommands, RedisResult, RetryMethod, Value, cmd};
use redis_ring::policy::{HedgePolicy, Timeouts};
use redis_ring::{Error, ErrorKind, Outcome, Retry};
use support::{FakeServer, FaultProxy, FixedRing, Mode, SOON, direct, eventually, id, key_of, run_or_error as run};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A proxy that holds back what the connections there are send for as long as the switch says; those that come meanwhile pass.
async fn holding_the_old(target: String) -> (String, watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let (switch, held) = watch::channel(false);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&target).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let mut held = held.clone();
            let holds = !*held.borrow();
            tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
            tokio::spawn(async move {
                let mut buffer = vec![0; 65536];
                while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
                    if holds && held.wait_for(|held| !held).await.is_err() {
                        return;
                    }
                    if to_server.write_all(&buffer[..n]).await.is_err() {
                        return;
                    }
                }
                // What is still held is delivered before the end of the connection is.
                let _ = held.wait_for(|held| !held).await;
            });
        }
    });
    (addr, switch)
}

#[tokio::test]
async fn a_write_stuck_on_the_way_does_not_run_after_a_newer_one() {
    let mut ring = FixedRing::start(2).await;
    let (addr, held) = holding_the_old(ring.server(&id("r0")).addr()).await;
    ring.reach(&id("r0"), addr);
    let long = Duration::from_secs(2);
    let timeouts = Timeouts { read: long, write: long, ..Timeouts::default() };
    let client = ring.connected(ring.builder().timeouts(timeouts)).await;
    let key = key_of(&client, "k", "r0");
    let connection = client.connection();
    run(&connection, &["SET", &key, "first"]).await.unwrap();
    held.send_replace(true);
    run(&connection, &["SET", &key, "old"]).await.unwrap();
    assert_eq!(client.stats().missed_writes, 1, "the primary has not got it");
    eventually(SOON, "a new connection", || async { client.connected().len() == 2 }).await;
    run(&connection, &["SET", &key, "new"]).await.unwrap();
    assert_eq!(client.stats().missed_writes, 1, "both have it");
    held.send_replace(false);
    // Whatever arrives, arrives on a connection that the server has ended. A later command of ours proves that there
    // was time for it.
    for _ in 0..50 {
        assert!(ring.copies_are_equal(&client, &key).await);
    }
    assert_eq!(run(&connection, &["GET", &key]).await.unwrap(), Value::BulkString(b"new".to_vec()));
}

#[tokio::test]
async fn a_write_dropped_before_it_could_be_sent_never_runs() {
    let mut ring = FixedRing::start(2).await;
    let mut proxies = Vec::new();
    for name in ["r0", "r1"] {
        let proxy = FaultProxy::start(ring.server(&id(name)).addr()).await;
        ring.reach(&id(name), proxy.addr());
        proxies.push(proxy);
    }
    let client = ring.connected(ring.patient()).await;
    let mut connection = client.connection();
    for proxy in &proxies {
        proxy.set(Mode::Refuse).await;
        proxy.cut().await;
    }
    eventually(SOON, "both are lost", || async { client.connected().is_empty() }).await;
    for n in 0..20 {
        let key = format!("dropped:{n}");
        let mut write = Box::pin(connection.set::<_, _, ()>(&key, "old"));
        assert!((&mut write).now_or_never().is_none());
    }
    for proxy in &proxies {
        proxy.set(Mode::Pass).await;
    }
    // A write that waits for the owners is in time for both of them.
    let () = connection.set("later", "new").await.unwrap();
    eventually(SOON, "both are back", || async { client.connected().len() == 2 }).await;
    for server in ring.servers.values() {
        let keys: Vec<String> = direct::ask(&server.addr(), cmd("KEYS").arg("dropped:*")).await;
        assert_eq!(keys, Vec::<String>::new());
    }
}

#[tokio::test]
async fn trust_is_for_the_process_that_answers_now() {
    let ring = FixedRing::start(2).await;
    let client = ring.client().await;
    let key = key_of(&client, "k", "r0");
    let mut connection = client.connection();
    let () = connection.set(&key, "v").await.unwrap();
    client.trust(&id("r0")).unwrap();
    let server = ring.server(&id("r0"));
    server.kill();
    server.restart_async().await.unwrap();
    eventually(SOON, "the client tries the restarted server", || async {
        let stats: String = direct::ask(&server.addr(), cmd("INFO").arg("commandstats")).await;
        stats.contains("cmdstat_time:")
    })
    .await;
    assert_eq!(client.connected(), [id("r1")]);
    assert_eq!(connection.get::<_, String>(&key).await.unwrap(), "v");
}

#[tokio::test]
async fn a_copy_without_memory_makes_the_outcome_unknown() {
    let ring = FixedRing::start(2).await;
    let client = ring.client().await;
    let connection = client.connection();
    run(&connection, &["SET", "k", "1"]).await.unwrap();
    let owners = ring.owners(&client, "k");
    let () = direct::ask(&owners[1].addr(), cmd("CONFIG").arg("SET").arg("maxmemory").arg("1mb")).await;
    for (nth, words) in [&["SET", "k", "5"][..], &["INCR", "k"]].into_iter().enumerate() {
        let error = run(&connection, words).await.unwrap_err();
        let own = Error::of_redis(&error).expect("the ring's own error");
        assert_eq!((own.kind(), own.outcome()), (ErrorKind::Server, Outcome::Unknown), "{own}");
        assert!(matches!(error.retry_method(), RetryMethod::NoRetry), "a loop must not repeat it");
        assert_eq!(client.stats().unknown_writes, nth as u64 + 1);
    }
}

#[tokio::test]
async fn what_a_user_may_not_do_is_said_at_once_and_moves_nobody() {
    let ring = FixedRing::start(2).await;
    for server in ring.servers.values() {
        let rules = ["app", "on", ">pw", "~*", "+@all", "-set", "-incr"];
        let () = direct::ask(&server.addr(), cmd("ACL").arg("SETUSER").arg(&rules)).await;
    }
    let client = ring.connected(ring.patient().user("app", "pw").hedge_policy(HedgePolicy::Never)).await;
    let connection = client.connection();
    for words in [&["SET", "k", "v"][..], &["INCR", "k"]] {
        let error = run(&connection, words).await.unwrap_err();
        assert_eq!(error.code(), Some("NOPERM"), "{error}");
    }
    assert_eq!(client.stats(), Default::default(), "nothing was missed, repeated or unknown");
    for _ in 0..20 {
        run(&connection, &["GET", "k"]).await.unwrap();
    }
    let primary = ring.owners(&client, "k")[0];
    let stats: String = direct::ask(&primary.addr(), cmd("INFO").arg("commandstats")).await;
    assert!(stats.contains("cmdstat_get:calls=20,"), "{stats}");
}

#[tokio::test]
async fn what_no_owner_could_execute_is_not_unknown() {
    let mut ring = FixedRing::start(2).await;
    let loading = "-LOADING Redis is loading the dataset in memory\r\n";
    let fakes = [FakeServer::start(loading).await, FakeServer::start(loading).await];
    for (name, fake) in ["r0", "r1"].into_iter().zip(&fakes) {
        ring.reach(&id(name), fake.addr());
    }
    let second = Duration::from_secs(1);
    let timeouts = Timeouts { read: second, write: second, ..Timeouts::default() };
    let client = ring.connected(ring.builder().timeouts(timeouts)).await;
    for words in [&["INCR", "k"][..], &["SET", "k", "v"], &["GET", "k"]] {
        let error = run(&client.connection(), words).await.unwrap_err();
        let own = Error::of_redis(&error).expect("the ring's own error");
        assert_eq!((own.outcome(), own.retry()), (Outcome::NotExecuted, Retry::Later), "{own}");
        assert!(own.to_string().contains("it says LOADING"), "{own}");
    }
}

#[tokio::test]
async fn a_member_that_hangs_holds_up_no_key_but_its_own() {
    let ring = FixedRing::start(3).await;
    let timeouts = Timeouts { write: SOON * 3, ..Timeouts::default() };
    let client = ring.connected(ring.builder().timeouts(timeouts)).await;
    let keys = |second: &'static str| {
        let client = client.clone();
        (0..).map(|i| format!("k{i}")).filter(move |key| {
            let owners = client.locate(key).owners;
            (owners[0].as_str(), owners[1].as_str()) == ("r0", second)
        })
    };
    let healthy: Vec<String> = keys("r2").take(20).collect();
    let hung: Vec<String> = keys("r1").take(1500).collect();
    ring.server(&id("r0")).kill();
    eventually(SOON, "the loss is noticed", || async { client.connected().len() == 2 }).await;
    ring.server(&id("r1")).stop().unwrap();
    let stuck: Vec<_> = hung
        .into_iter()
        .map(|key| {
            let connection = client.connection();
            tokio::spawn(async move { run(&connection, &["INCR", &key]).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let connection = client.connection();
    for key in &healthy {
        run(&connection, &["INCR", key]).await.unwrap();
        run(&connection, &["SET", key, "v"]).await.unwrap();
    }
    assert!(stuck.iter().all(|task| !task.is_finished()), "they were stuck all the time");
    ring.server(&id("r1")).cont().unwrap();
}

#[tokio::test]
async fn a_read_goes_to_an_owner_that_comes_back_while_another_is_silent() {
    let mut ring = FixedRing::start(2).await;
    let (primary, replica) = (
        FaultProxy::start(ring.server(&id("r0")).addr()).await,
        FaultProxy::start(ring.server(&id("r1")).addr()).await,
    );
    ring.reach(&id("r0"), primary.addr());
    ring.reach(&id("r1"), replica.addr());
    // So long that the first attempt cannot end before the replica is back.
    let timeouts = Timeouts { read: SOON, write: SOON, ..Timeouts::default() };
    let client = ring.connected(ring.builder().timeouts(timeouts)).await;
    let key = key_of(&client, "k", "r0");
    let () = client.connection().set(&key, "v").await.unwrap();
    replica.set(Mode::Refuse).await;
    replica.cut().await;
    eventually(SOON, "the replica is lost", || async { client.connected().len() == 1 }).await;
    primary.set(Mode::HoldReplies).await;
    let mut connection = client.connection();
    let began = Instant::now();
    let read = tokio::spawn(async move { connection.get::<_, String>(&key).await });
    tokio::task::yield_now().await;
    replica.set(Mode::Pass).await;
    assert_eq!(read.await.unwrap().unwrap(), "v");
    assert!(began.elapsed() < SOON, "the silent primary was not waited for");
}

#[tokio::test]
async fn a_full_queue_is_backpressure_and_makes_no_copies_differ() {
    let ring = FixedRing::start(2).await;
    let timeouts = Timeouts { read: SOON * 3, write: SOON * 3, ..Timeouts::default() };
    let client = ring.connected(ring.builder().hedge_policy(HedgePolicy::Never).timeouts(timeouts)).await;
    let (counted, read) = (key_of(&client, "k", "r0"), key_of(&client, "k", "r1"));
    let () = client.connection().set(&counted, 0).await.unwrap();
    let () = client.connection().set(&read, 0).await.unwrap();
    let reads = (0..40_000).map(|_| {
        let mut connection = client.connection();
        let read = read.clone();
        async move { connection.get::<_, i64>(&read).await.unwrap() }
    });
    let counts = (0..50).map(|_| {
        let mut connection = client.connection();
        let counted = counted.clone();
        async move { connection.incr::<_, _, i64>(&counted, 1).await.unwrap() }
    });
    let (_, counts) =
        futures_util::future::join(futures_util::future::join_all(reads), futures_util::future::join_all(counts)).await;
    assert_eq!(counts.into_iter().max(), Some(50));
    assert!(ring.copies_are_equal(&client, &counted).await);
    let stats = client.stats();
    assert_eq!((stats.missed_writes, stats.differing_replies), (0, 0), "{stats:?}");
}

#[tokio::test]
async fn timeouts_beyond_all_clocks_are_no_panic() {
    let ring = FixedRing::start(2).await;
    let max = Duration::MAX;
    let timeouts = Timeouts { connect: max, read: max, write: max, probe: max, open: max };
    let client = ring.connected(ring.builder().timeouts(timeouts)).await;
    let () = client.connection().set("k", "v").await.unwrap();
    assert_eq!(client.connection().get::<_, String>("k").await.unwrap(), "v");
}

async fn config(addr: &str, name: &str, value: &str) {
    let () = direct::ask(addr, cmd("CONFIG").arg("SET").arg(name).arg(value)).await;
}

#[tokio::test]
async fn a_write_that_its_caller_gave_up_is_not_sent_again() {
    let ring = FixedRing::start(2).await;
    let client = ring.connected(ring.patient()).await;
    let mut connection = client.connection();
    let () = connection.set("k", "first").await.unwrap();
    let owners: Vec<String> = ring.owners(&client, "k").iter().map(|server| server.addr()).collect();
    for (nth, command) in ["SET", "APPEND"].into_iter().enumerate() {
        for addr in &owners {
            config(addr, "min-replicas-to-write", "1").await;
        }
        let write = cmd(command).arg("k").arg("dropped").to_owned();
        let mut given_up = Box::pin(write.query_async::<Value>(&mut connection));
        let before = client.stats().repeated_writes;
        // Both refuse for now, so it is repeated until its caller goes.
        eventually(SOON, "it is repeated", || {
            assert!((&mut given_up).now_or_never().is_none());
            let repeated = client.stats().repeated_writes > before;
            async move { repeated }
        })
        .await;
        drop(given_up);
        for addr in &owners {
            config(addr, "min-replicas-to-write", "0").await;
        }
        let value = format!("acknowledged {nth}");
        let () = connection.set("k", &value).await.unwrap();
        let until = Instant::now() + Duration::from_millis(100);
        while Instant::now() < until {
            assert_eq!(connection.get::<_, String>("k").await.unwrap(), value);
        }
        assert!(ring.copies_are_equal(&client, "k").await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_keep_their_order_while_a_primary_refuses() {
    let ring = FixedRing::start(2).await;
    let client = ring.connected(ring.patient()).await;
    let (over, is_over) = watch::channel(false);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..20 {
        let (mut connection, is_over) = (client.connection(), is_over.clone());
        tasks.spawn(async move {
            let mut left = 75;
            for i in 0.. {
                // Counted from when it refuses no more: some are pushed then, and all the time before.
                left -= i32::from(*is_over.borrow());
                if left < 0 {
                    return;
                }
                let _: RedisResult<i64> = connection.rpush("l", format!("{task}-{i}")).await;
            }
        });
    }
    let owners: Vec<String> = ring.owners(&client, "l").iter().map(|server| server.addr()).collect();
    config(&owners[0], "min-replicas-to-write", "1").await;
    tokio::task::yield_now().await;
    config(&owners[0], "min-replicas-to-write", "0").await;
    over.send_replace(true);
    tasks.join_all().await;
    let mut lists: Vec<Vec<String>> = Vec::new();
    for addr in &owners {
        lists.push(direct::ask(addr, cmd("LRANGE").arg("l").arg(0).arg(-1)).await);
    }
    // What the primary refused is on the copy alone, and counted; the rest is in one order on both.
    let first: std::collections::HashSet<&String> = lists[0].iter().collect();
    let both: Vec<&String> = lists[1].iter().filter(|element| first.contains(element)).collect();
    assert!(both.len() > 100, "{}", both.len());
    assert!(both == lists[0].iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_read_of_owners_that_say_nothing_ends_and_names_them() {
    let silent = [FakeServer::start("").await, FakeServer::start("").await];
    let mut ring = FixedRing::start(2).await;
    ring.reach(&id("r0"), silent[0].addr());
    ring.reach(&id("r1"), silent[1].addr());
    let client = ring.client().await;
    let read = tokio::time::timeout(SOON, run(&client.connection(), &["GET", "k"])).await.expect("it ends");
    let error = read.unwrap_err().to_string();
    assert!(error.contains("r0") && error.contains("r1"), "{error}");
}

#[tokio::test]
async fn an_iteration_waits_for_a_reconnect_as_any_read_does() {
    let ring = FixedRing::start(2).await;
    let client = ring.connected(ring.patient()).await;
    let connection = client.connection();
    let fields: Vec<(u32, u32)> = (0..2000).map(|i| (i, i)).collect();
    let () = connection.clone().hset_multiple("h", &fields).await.unwrap();
    let (cursor, _): (String, Vec<String>) =
        redis::from_redis_value(run(&connection, &["HSCAN", "h", "0"]).await.unwrap()).unwrap();
    assert_ne!(cursor, "0");
    for server in ring.servers.values() {
        let _: i64 = direct::ask(&server.addr(), cmd("CLIENT").arg("KILL").arg("TYPE").arg("normal")).await;
    }
    run(&connection, &["HSCAN", "h", &cursor]).await.unwrap();
    run(&connection, &["HSCAN", "h", "0"]).await.unwrap();
}
