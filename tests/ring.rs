//! Reads, writes, copies and fail-over through a client, on real servers with fixed membership.
#![cfg(feature = "cli")]
#![cfg(test)]

mod support;

use std::time::{Duration, Instant};

use futures_util::FutureExt;
use redis::aio::ConnectionLike;
use redis::{AsyncCommands, Value, cmd};
use redis_ring::policy::{HedgePolicy, ReadPolicy, Timeouts, WritePolicy};
use redis_ring::{ErrorKind, Outcome, Retry};
use support::{FaultProxy, FixedRing, Mode, SOON, direct, eventually, key_of, own, run};

#[tokio::test]
async fn a_value_is_on_both_owners_and_nowhere_else() {
    let ring = FixedRing::start(4).await;
    let client = ring.connected(ring.patient()).await;
    let mut connection = client.connection();
    for i in 0..50 {
        let key = format!("user:{i}");
        let () = connection.set(&key, i).await.unwrap();
        assert_eq!(connection.get::<_, i32>(&key).await.unwrap(), i);
        let owners = client.locate(&key).owners;
        for (id, server) in &ring.servers {
            let held: Option<i32> = direct::ask(&server.addr(), cmd("GET").arg(&key)).await;
            assert_eq!(held, owners.contains(id).then_some(i), "{key} on {id}");
        }
    }
}

#[tokio::test]
async fn an_expiry_is_the_same_instant_on_both_owners() {
    let mut ring = FixedRing::start(3).await;
    // Commands reach one member later than the others, so that a relative expiry would end later there.
    let id = ring.servers.keys().next().unwrap().clone();
    let proxy = FaultProxy::start(ring.server(&id).addr()).await;
    ring.reach(&id, proxy.addr());
    let client = ring.connected(ring.patient()).await;
    proxy.set(Mode::Delay { requests: Duration::from_millis(30), replies: Duration::ZERO }).await;
    let connection = client.connection();
    let writes: [&[&str]; 6] = [
        &["SET", "a", "v", "EX", "100"],
        &["set", "b", "v", "px", "100000", "NX"],
        &["SETEX", "c", "100", "v"],
        &["PSETEX", "d", "100000", "v"],
        &["SET", "e", "v", "PXAT", "4102444800000"],
        &["SET", "f", "v", "GET", "EX", "100"],
    ];
    for words in writes {
        run(&connection, words).await.unwrap();
        let held = direct::content(&ring.owners(&client, words[1])[0].addr(), words[1]).await;
        assert!(held.2 > 0, "{words:?} has an expiry: {held:?}");
        assert!(ring.copies_are_equal(&client, words[1]).await, "{words:?}");
        let ttl: i64 = connection.clone().ttl(words[1]).await.unwrap();
        assert!(ttl > 90, "{words:?}: {ttl}");
    }
    // An expiry that no server accepts is the server's error, and the copies get nothing.
    for words in
        [["SET", "g", "v", "EX", "0"], ["SET", "g", "v", "EX", "x"], ["SET", "g", "v", "PX", "9223372036854775807"]]
    {
        let error = run(&connection, &words).await.unwrap().extract_error().unwrap_err();
        assert_eq!(error.code(), Some("ERR"), "{words:?}");
        assert_eq!(direct::content(&ring.owners(&client, "g")[1].addr(), "g").await.0, "none");
    }
}

/// Every kind of single-key command: the reply is that of one plain server, and the copies are equal.
#[tokio::test]
async fn replies_are_those_of_one_server_and_copies_are_equal() {
    let ring = FixedRing::start(3).await;
    let oracle = support::redis().await;
    let client = ring.connected(ring.patient()).await;
    let connection = client.connection();
    let mut plain = direct::connect(&oracle.addr()).await;
    let lines = include_str!("support/single_key_commands.txt");
    let mut written = 0;
    for line in lines.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut command = cmd(words[0]);
        command.arg(&words[1..]);
        let ours = run(&connection, &words).await.unwrap_or_else(|error| panic!("{line}: {error}"));
        let theirs = match plain.req_packed_command(&command).await {
            Ok(value) => value,
            Err(error) => panic!("{line}: the oracle says {error}"),
        };
        assert_eq!(ours, theirs, "{line}");
        let plan = redis_ring::command::plan(&command).unwrap();
        let key = String::from_utf8(plan.key().unwrap().to_vec()).unwrap();
        if plan.is_write() {
            written += 1;
            assert!(ring.copies_are_equal(&client, &key).await, "after {line}");
            let held = direct::content(&ring.owners(&client, &key)[0].addr(), &key).await;
            let expected = direct::content(&oracle.addr(), &key).await;
            assert_eq!((&held.0, &held.1), (&expected.0, &expected.1), "after {line}");
            // The two were asked at different times, so a relative expiry differs by what lay between.
            assert!((held.2 - expected.2).abs() < 10_000, "after {line}: {} and {}", held.2, expected.2);
        }
    }
    assert!(written > 80, "{written}");
    assert_eq!(client.stats().differing_replies, 0);
    assert_eq!(client.stats().missed_writes, 0);
}

#[tokio::test]
async fn what_the_ring_does_not_run_is_refused_by_name() {
    let ring = FixedRing::start(2).await;
    let client = ring.client().await;
    let connection = client.connection();
    let refused: [&[&str]; 9] = [
        &["RENAME", "a", "b"],
        &["SELECT", "1"],
        &["SUBSCRIBE", "c"],
        &["INFO"],
        &["WATCH", "k"],
        &["REPLICAOF", "host", "6379"],
        &["EVAL", "return 1", "2", "a", "b"],
        &["NOSUCHCOMMAND", "k"],
        &["SET", "__rr:gate", "v"],
    ];
    for words in refused {
        let error = run(&connection, words).await.unwrap_err();
        let own = own(&error);
        assert_eq!((own.kind(), own.retry(), own.outcome()), (ErrorKind::Refused, Retry::Never, Outcome::NotExecuted));
        assert!(own.to_string().starts_with(words[0]), "{own}");
        assert!(own.hint().is_some(), "{own}");
        assert!(matches!(error.retry_method(), redis::RetryMethod::NoRetry));
    }
}

#[tokio::test]
async fn a_killed_server_fails_no_read_and_is_not_believed_when_it_comes_back_empty() {
    let ring = FixedRing::start(4).await;
    let client = ring.connected(ring.patient()).await;
    let connection = client.connection();
    let keys: Vec<String> = (0..300).map(|i| format!("k{i}")).collect();
    for key in &keys {
        let () = connection.clone().set(key, key).await.unwrap();
    }
    let victim = client.locate(&keys[0]).owners[0].clone();
    let check = async |what: &str| {
        for key in &keys {
            let value: Option<String> = connection.clone().get(key).await.unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(value.as_ref(), Some(key), "{what}");
        }
    };
    check("before").await;
    ring.server(&victim).kill();
    check("killed").await;
    for key in &keys {
        let () = connection.clone().set(key, key).await.unwrap();
    }
    assert!(client.stats().missed_writes > 0, "writes that the dead owner missed are counted");
    ring.server(&victim).restart_async().await.unwrap();
    // The client must have met the new process before this proves anything; only a handshake asks for the time.
    let anew = ring.server(&victim).addr();
    eventually(SOON, "the client tries the restarted server", || async {
        let stats: String = direct::ask(&anew, cmd("INFO").arg("commandstats")).await;
        stats.contains("cmdstat_time:")
    })
    .await;
    check("restarted empty").await;
    assert!(!client.connected().contains(&victim));
    // The application decides.
    client.trust(&victim).unwrap();
    eventually(SOON, "the trusted server is used", || async { client.connected().contains(&victim) }).await;
    // Its breaker may still have it tried last for a moment.
    eventually(SOON, "the trusted server answers for its keys", || async {
        let value: Option<String> = connection.clone().get(&keys[0]).await.unwrap();
        value.is_none()
    })
    .await;
}

#[tokio::test]
async fn a_stopped_server_fails_no_read_and_no_absolute_write() {
    let ring = FixedRing::start(4).await;
    // The other owner may be late.
    let timeouts = Timeouts { connect: SOON, ..Timeouts::default() };
    let client = ring.connected(ring.builder().timeouts(timeouts)).await;
    let connection = client.connection();
    let keys: Vec<String> = (0..200).map(|i| format!("k{i}")).collect();
    for key in &keys {
        let () = connection.clone().set(key, key).await.unwrap();
    }
    let victim = client.locate(&keys[0]).owners[0].clone();
    ring.server(&victim).stop().unwrap();
    let tasks = keys.iter().cloned().map(|key| {
        let mut connection = connection.clone();
        async move {
            let value: Option<String> = connection.get(&key).await.unwrap();
            assert_eq!(value.as_ref(), Some(&key));
            let () = connection.set(&key, &key).await.unwrap();
        }
    });
    futures_util::future::join_all(tasks).await;
    let stats = client.stats();
    assert!(stats.hedged_reads > 0 && stats.missed_writes > 0, "{stats:?}");
    ring.server(&victim).cont().unwrap();
}

#[tokio::test]
async fn a_slow_primary_is_hedged_and_its_late_answer_changes_nothing() {
    let mut ring = FixedRing::start(2).await;
    let id = ring.servers.keys().next().unwrap().clone();
    let proxy = FaultProxy::start(ring.server(&id).addr()).await;
    ring.reach(&id, proxy.addr());
    let client = ring.connected(ring.patient()).await;
    let key = key_of(&client, "k", id.as_str());
    let mut connection = client.connection();
    let () = connection.set(&key, "v").await.unwrap();
    proxy.set(Mode::HoldReplies).await;
    let before = client.stats();
    for _ in 0..5 {
        assert_eq!(connection.get::<_, String>(&key).await.unwrap(), "v");
    }
    let after = client.stats();
    assert!(after.hedged_reads > before.hedged_reads);
    assert!(after.failed_over_reads > before.failed_over_reads);
    proxy.set(Mode::Pass).await;
    eventually(SOON, "the primary answers again", || async {
        let before = proxy.counts().reply_bytes;
        let value: String = connection.clone().get(&key).await.unwrap();
        assert_eq!(value, "v");
        proxy.counts().reply_bytes > before
    })
    .await;
}

#[tokio::test]
async fn a_write_without_an_answer_is_repeated_if_absolute_and_unknown_if_not() {
    let mut ring = FixedRing::start(2).await;
    let id = ring.servers.keys().next().unwrap().clone();
    let proxy = FaultProxy::start(ring.server(&id).addr()).await;
    ring.reach(&id, proxy.addr());
    let client = ring.client().await;
    let key = key_of(&client, "k", id.as_str());
    let connection = client.connection();
    run(&connection, &["SET", &key, "1"]).await.unwrap();

    proxy.set(Mode::HoldReplies).await;
    let error = run(&connection, &["INCR", &key]).await.unwrap_err();
    assert_eq!(own(&error).outcome(), Outcome::Unknown, "{error}");
    assert!(error.to_string().contains("INCR was sent to"), "{error}");
    assert_eq!(client.stats().unknown_writes, 1);

    // Reaching one owner is enough for an absolute one, and it is counted.
    proxy.set(Mode::HoldReplies).await;
    let missed = client.stats().missed_writes;
    run(&connection, &["SET", &key, "7"]).await.unwrap();
    assert_eq!(client.stats().missed_writes, missed + 1);
    let held: i64 = direct::ask(&ring.owners(&client, &key)[1].addr(), cmd("GET").arg(&key)).await;
    assert_eq!(held, 7);
}

#[tokio::test]
async fn a_dependent_write_that_cannot_be_sent_runs_at_the_next_owner() {
    let ring = FixedRing::start(2).await;
    let client = ring.connected(ring.patient()).await;
    let key = key_of(&client, "k", "r0");
    let connection = client.connection();
    run(&connection, &["INCR", &key]).await.unwrap();
    ring.owners(&client, &key)[0].kill();
    eventually(SOON, "the loss is noticed", || async { client.connected().len() == 1 }).await;
    assert_eq!(run(&connection, &["INCR", &key]).await.unwrap(), Value::Int(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_write_is_on_both_copies_or_on_none() {
    let ring = FixedRing::start(3).await;
    let client = ring.connected(ring.patient()).await;
    let mut keys = Vec::new();
    for i in 0..2000 {
        let key = format!("dropped:{i}");
        let mut connection = client.connection();
        let command = match i % 4 {
            0 => cmd("SET").arg(&key).arg(i).to_owned(),
            1 => cmd("INCR").arg(&key).to_owned(),
            2 => cmd("APPEND").arg(&key).arg("0").to_owned(),
            _ => cmd("SETRANGE").arg(&key).arg(0).arg("7").to_owned(),
        };
        let mut write = Box::pin(command.query_async::<Value>(&mut connection));
        // Polled once, then dropped at any moment: in the worst one, one connection has taken its part and the other not.
        assert!((&mut write).now_or_never().is_none_or(|result| result.is_ok()));
        let until = Instant::now() + Duration::from_micros(fastrand::u64(..60));
        while Instant::now() < until {
            std::hint::spin_loop();
        }
        drop(write);
        keys.push(key);
    }
    for key in keys {
        eventually(SOON, "the copies are equal", || ring.copies_are_equal(&client, &key)).await;
    }
    let written: usize = direct::ask(&ring.servers.values().next().unwrap().addr(), &cmd("DBSIZE")).await;
    assert!(written > 0);
}

/// Tasks of one process write the same keys with commands that depend on each other's order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writers_in_one_process_leave_equal_copies() {
    let ring = FixedRing::start(3).await;
    let client = ring.connected(ring.patient()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..32_u64 {
        let mut connection = client.connection();
        tasks.spawn(async move {
            let mut random = fastrand::Rng::with_seed(task);
            for _ in 0..60 {
                let key = format!("hot:{}", random.u8(..4));
                let number = random.u16(..).to_string();
                let command = match random.u8(..6) {
                    0 => cmd("SET").arg(&key).arg(&number).to_owned(),
                    1 => cmd("SETRANGE").arg(&key).arg(random.u8(..9)).arg(&number).to_owned(),
                    2 => cmd("APPEND").arg(&key).arg(&number).to_owned(),
                    3 => cmd("GETDEL").arg(&key).to_owned(),
                    4 => cmd("SET").arg(&key).arg(&number).arg("NX").to_owned(),
                    _ => cmd("SETBIT").arg(&key).arg(random.u8(..40)).arg(1).to_owned(),
                };
                let mut write = Box::pin(command.query_async::<Value>(&mut connection));
                if random.u8(..5) == 0 {
                    // Some callers give up.
                    let _ = (&mut write).now_or_never();
                } else {
                    write.await.unwrap();
                }
            }
        });
    }
    tasks.join_all().await;
    for i in 0..4 {
        let key = format!("hot:{i}");
        eventually(SOON, "the copies are equal", || ring.copies_are_equal(&client, &key)).await;
    }
    assert_eq!(client.stats().differing_replies, 0);
}

#[tokio::test]
async fn a_caller_that_stops_polling_holds_nobody_up() {
    let ring = FixedRing::start(2).await;
    let client = ring.connected(ring.patient()).await;
    let (mut first, mut second) = (client.connection(), client.connection());
    let incr = cmd("INCR").arg("n").to_owned();
    let mut held = Box::pin(incr.query_async::<i64>(&mut first));
    assert!((&mut held).now_or_never().is_none());
    let others = async {
        for expected in 2..20 {
            assert_eq!(incr.query_async::<i64>(&mut second).await.unwrap(), expected);
        }
    };
    tokio::time::timeout(SOON, others).await.expect("the others do not wait for it");
    assert_eq!(held.await.unwrap(), 1);
    assert!(ring.copies_are_equal(&client, "n").await);
}

#[tokio::test]
async fn a_write_acknowledged_by_the_primary_still_reaches_the_copy() {
    let ring = FixedRing::start(2).await;
    let client = ring.connected(ring.patient().write_policy(WritePolicy::Primary)).await;
    let connection = client.connection();
    for i in 0..100 {
        run(&connection, &["SET", "k", &i.to_string()]).await.unwrap();
        run(&connection, &["INCR", "k"]).await.unwrap();
    }
    eventually(SOON, "the copies are equal", || ring.copies_are_equal(&client, "k")).await;
    assert_eq!(run(&connection, &["GET", "k"]).await.unwrap(), Value::BulkString(b"100".to_vec()));
}

#[tokio::test]
async fn a_read_policy_chooses_whom_to_ask_first() {
    let ring = FixedRing::start(3).await;
    let writer = ring.connected(ring.patient()).await;
    let () = writer.connection().set("k", "v").await.unwrap();
    let owners = ring.owners(&writer, "k");
    let gets = async |addr: &str| -> u64 {
        let stats: String = direct::ask(addr, cmd("INFO").arg("commandstats")).await;
        let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_get:calls="));
        calls.map_or(0, |calls| calls.split(',').next().unwrap().parse().unwrap())
    };
    for (policy, expected) in [(ReadPolicy::Primary, 0), (ReadPolicy::Replica, 1)] {
        let client = ring.connected(ring.patient().read_policy(policy.clone()).hedge_policy(HedgePolicy::Never)).await;
        let before = [gets(&owners[0].addr()).await, gets(&owners[1].addr()).await];
        for _ in 0..10 {
            assert_eq!(client.connection().get::<_, String>("k").await.unwrap(), "v");
        }
        let after = [gets(&owners[0].addr()).await, gets(&owners[1].addr()).await];
        assert_eq!(after[expected] - before[expected], 10, "{policy:?}");
    }
    let client = ring.connected(ring.patient().read_policy(ReadPolicy::Any)).await;
    let before = [gets(&owners[0].addr()).await, gets(&owners[1].addr()).await];
    for _ in 0..60 {
        assert_eq!(client.connection().get::<_, String>("k").await.unwrap(), "v");
    }
    let after = [gets(&owners[0].addr()).await, gets(&owners[1].addr()).await];
    assert!(after[0] > before[0] && after[1] > before[1], "both are asked");
}

#[tokio::test]
async fn with_both_owners_gone_a_read_is_an_error_and_never_nil() {
    let ring = FixedRing::start(3).await;
    // Each error below comes when these have run out.
    let short = Duration::from_millis(100);
    let timeouts = Timeouts { read: short, write: short, ..Timeouts::default() };
    let client = ring.connected(ring.builder().timeouts(timeouts)).await;
    let connection = client.connection();
    eventually(SOON, "the key is written", || async { run(&connection, &["SET", "k", "v"]).await.is_ok() }).await;
    for server in ring.owners(&client, "k") {
        server.kill();
    }
    for words in [&["GET", "k"][..], &["SET", "k", "v"], &["INCR", "k"], &["EXISTS", "k"]] {
        let began = Instant::now();
        let error = run(&connection, words).await.unwrap_err();
        assert!(began.elapsed() < SOON);
        let own = own(&error);
        assert!(matches!(own.kind(), ErrorKind::NoOwner | ErrorKind::Disconnected), "{error}");
        assert_eq!(own.retry(), Retry::Later);
    }
    let error = run(&connection, &["GET", "k"]).await.unwrap_err().to_string();
    for owner in client.locate("k").owners {
        assert!(error.contains(owner.as_str()), "{error}");
    }
    // The third member never answers for a key it does not own.
    let other: i64 = {
        let locate = client.locate("k").owners;
        let third = ring.servers.iter().find(|(id, _)| !locate.contains(id)).unwrap().1;
        direct::ask(&third.addr(), cmd("EXISTS").arg("k")).await
    };
    assert_eq!(other, 0);
}

#[tokio::test]
async fn opening_a_ring_that_nobody_answers_for_says_whom_it_tried() {
    let ring = FixedRing::start(2).await;
    for server in ring.servers.values() {
        server.kill();
    }
    let error = ring.patient().open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("refused the connection"), "{cause}");
}

#[tokio::test]
async fn an_iteration_inside_a_key_stays_with_the_member_that_began_it() {
    let ring = FixedRing::start(3).await;
    // What cannot be read is given up soon.
    let timeouts = Timeouts { read: Duration::from_secs(2), write: Duration::from_secs(10), ..Timeouts::default() };
    let client = ring.connected(ring.builder().timeouts(timeouts).read_policy(ReadPolicy::Any)).await;
    let mut connection = client.connection();
    let mut expected = Vec::new();
    for i in 0..3000 {
        let () = connection.sadd("big", format!("member-{i}")).await.unwrap();
        expected.push(format!("member-{i}"));
    }
    // Any owner may begin it; an unmarked cursor at the other owner would skip elements.
    for _ in 0..6 {
        let mut found: Vec<String> = Vec::new();
        let mut elements = connection.sscan::<_, String>("big").await.unwrap();
        while let Some(element) = elements.next_item().await {
            found.push(element.unwrap());
        }
        drop(elements);
        found.sort();
        found.dedup();
        assert_eq!(found.len(), expected.len());
    }
    // When that member is gone, the iteration is an error and not a part passed off as the whole.
    let first = run(&connection, &["SSCAN", "big", "0"]).await.unwrap();
    let (cursor, _): (String, Vec<String>) = redis::from_redis_value(first).unwrap();
    assert_ne!(cursor, "0");
    for server in ring.servers.values() {
        server.kill();
        server.restart_async().await.unwrap();
    }
    let error = run(&connection, &["SSCAN", "big", &cursor]).await.unwrap_err();
    assert_eq!(own(&error).kind(), ErrorKind::NoOwner);
}
