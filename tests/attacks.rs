//! Faults that a fresh look found between the parts: failures in the middle, callers that give up, what several servers lack.
#![cfg(feature = "cli")]
#![cfg(test)]

mod support;

use std::time::{Duration, Instant};

use redis::aio::ConnectionLike;
use redis::{AsyncCommands, RedisResult, Script, Value, cmd, pipe};
use redis_ring::placement::NodeId;
use redis_ring::policy::{ScriptPolicy, Timeouts, WritePolicy};
use redis_ring::{RingClient, RingClientBuilder};
use support::{FaultProxy, FixedRing, Mode, SOON, direct, id, run};

async fn text(addr: &str, key: &str) -> Option<String> {
    direct::ask(addr, cmd("GET").arg(key)).await
}

/// Waits for a silent server for longer than a test may take.
fn patient(builder: RingClientBuilder) -> RingClientBuilder {
    builder.timeouts(Timeouts { write: SOON * 3, ..Timeouts::default() })
}

/// Waits for what is late. Not for as long as a test may: what differs is healed, and a hung member left, only after that time.
fn unhurried(ring: &FixedRing) -> RingClientBuilder {
    let long = Duration::from_secs(2);
    ring.builder().timeouts(Timeouts { read: long, write: long, ..Timeouts::default() })
}

/// The server refuses writes, and nothing else, until further notice.
async fn refuse_writes(addr: &str, refuse: bool) {
    let () = direct::ask(addr, cmd("CONFIG").arg("SET").arg("min-replicas-to-write").arg(u8::from(refuse))).await;
}

/// The fault: a transaction that the next owner executed is reported as discarded.
#[tokio::test]
async fn a_transaction_that_the_next_owner_executed_is_not_called_discarded() {
    let ring = FixedRing::start(2).await;
    let client = ring.client().await;
    let mut connection = client.connection();
    let owners = ring.owners(&client, "{t}n");
    refuse_writes(&owners[0].addr(), true).await;
    let plain: RedisResult<i32> = connection.incr("{t}plain", 1).await;
    let result: RedisResult<(i32, i32)> =
        pipe().atomic().incr("{t}n", 5).incr("{t}m", 7).query_async(&mut connection).await;
    let at = [text(&owners[0].addr(), "{t}n").await, text(&owners[1].addr(), "{t}n").await];
    assert!(plain.is_ok());
    assert_eq!(result.unwrap(), (5, 7), "executed: {at:?}");
}

/// The fault: likewise, but only a part of it is executed elsewhere.
#[tokio::test]
async fn a_transaction_with_a_read_is_not_executed_in_part() {
    let ring = FixedRing::start(2).await;
    let client = ring.client().await;
    let mut connection = client.connection();
    let owners = ring.owners(&client, "{t}n");
    let () = connection.set("{t}r", "here").await.unwrap();
    refuse_writes(&owners[0].addr(), true).await;
    let result: RedisResult<(String, i32)> =
        pipe().atomic().get("{t}r").incr("{t}n", 5).query_async(&mut connection).await;
    let at = [text(&owners[0].addr(), "{t}n").await, text(&owners[1].addr(), "{t}n").await];
    assert_eq!(result.unwrap(), ("here".to_owned(), 5), "executed: {at:?}");
}

/// The fault: in a transaction a script without keys is sent as it is, and may write at one server alone.
#[tokio::test]
async fn a_script_without_keys_writes_nothing_in_a_transaction_either() {
    let ring = FixedRing::start(3).await;
    let client = ring.client().await;
    let mut connection = client.connection();
    let _: RedisResult<Value> = pipe()
        .atomic()
        .set("{t}a", 1)
        .cmd("EVAL")
        .arg("return redis.call('SET', '{t}b', 'x')")
        .arg(0)
        .query_async(&mut connection)
        .await;
    let owners = ring.owners(&client, "{t}b");
    let at = [text(&owners[0].addr(), "{t}b").await, text(&owners[1].addr(), "{t}b").await];
    assert_eq!(at[0], at[1]);
}

/// The fault: a pipeline that reads and writes one key fails where the write alone goes to the next owner.
#[tokio::test]
async fn a_read_beside_a_write_does_not_keep_the_write_from_the_next_owner() {
    let ring = FixedRing::start(2).await;
    let client = ring.client().await;
    let mut connection = client.connection();
    let owners = ring.owners(&client, "k");
    refuse_writes(&owners[0].addr(), true).await;
    let plain: RedisResult<()> = connection.set("k", 1).await;
    let result: RedisResult<(i32, ())> = pipe().get("k").set("k", 2).query_async(&mut connection).await;
    assert!(plain.is_ok());
    assert_eq!(result.unwrap(), (1, ()));
    assert_eq!(text(&owners[1].addr(), "k").await.as_deref(), Some("2"));
}

/// The fault: with `ScriptPolicy::Repeat` a copy that lacks the script misses an acknowledged write.
#[tokio::test]
async fn a_repeated_script_that_a_copy_lacks_is_not_acknowledged_without_it() {
    let ring = FixedRing::start(2).await;
    let client = ring.connected(ring.patient().script_policy(ScriptPolicy::Repeat)).await;
    let connection = client.connection();
    let owners = ring.owners(&client, "k");
    let sha: String =
        direct::ask(&owners[0].addr(), cmd("SCRIPT").arg("LOAD").arg("return redis.call('INCR', KEYS[1])")).await;
    let reply = run(&connection, &["EVALSHA", &sha, "1", "k"]).await;
    let at = [text(&owners[0].addr(), "k").await, text(&owners[1].addr(), "k").await];
    assert!(reply.is_err() || matches!(reply, Ok(Value::ServerError(_))) || at[0] == at[1], "{at:?}");
}

/// The fault: each EVALSHA of a pipeline carries the whole script.
#[tokio::test]
async fn a_pipeline_of_scripts_by_name_sends_their_text_once_for_each_server() {
    let mut ring = FixedRing::start(2).await;
    let mut proxies = Vec::new();
    for name in ["r0", "r1"] {
        let proxy = FaultProxy::start(ring.server(&id(name)).addr()).await;
        ring.reach(&id(name), proxy.addr());
        proxies.push(proxy);
    }
    let client = ring.client().await;
    let mut connection = client.connection();
    let body = format!("-- {}\nreturn redis.call('GET', KEYS[1])", "x".repeat(50_000));
    let script = Script::new(&body);
    let () = script.key("k").invoke_async(&mut connection).await.unwrap_or(());
    let before: u64 = proxies.iter().map(|proxy| proxy.counts().request_bytes).sum();
    let mut pipeline = pipe();
    for i in 0..500 {
        pipeline.cmd("EVALSHA").arg(script.get_hash()).arg(1).arg(format!("k{i}"));
    }
    let _: Vec<Value> = pipeline.query_async(&mut connection).await.unwrap();
    let bytes = proxies.iter().map(|proxy| proxy.counts().request_bytes).sum::<u64>() - before;
    assert!(bytes < 2_000_000, "{bytes}");
}

/// The fault: a transaction, and a read beside a write, are answered by a member that is known to lack a write.
async fn after_a_known_miss() -> (FixedRing, RingClient, Vec<FaultProxy>) {
    let mut ring = FixedRing::start(2).await;
    let mut proxies = Vec::new();
    for name in ["r0", "r1"] {
        let proxy = FaultProxy::start(ring.server(&id(name)).addr()).await;
        ring.reach(&id(name), proxy.addr());
        proxies.push(proxy);
    }
    let client = ring.connected(ring.patient()).await;
    let mut connection = client.connection();
    let () = connection.set("{k}", "old").await.unwrap();
    let primary = client.locate("{k}").owners[0].clone();
    let proxy = &proxies[usize::from(primary == id("r1"))];
    proxy.set(Mode::Refuse).await;
    proxy.cut().await;
    support::eventually(SOON, "the other takes the write", || {
        let mut connection = connection.clone();
        async move { connection.set::<_, _, ()>("{k}", "new").await.is_ok() }
    })
    .await;
    proxy.set(Mode::Pass).await;
    support::eventually(SOON, "it is back", || async { client.connected().len() == 2 }).await;
    (ring, client, proxies)
}

#[tokio::test]
async fn a_transaction_does_not_read_from_a_member_that_is_known_to_lack_a_write() {
    let (_ring, client, _proxies) = after_a_known_miss().await;
    let mut connection = client.connection();
    let alone: Option<String> = connection.get("{k}").await.unwrap();
    let (inside,): (Option<String>,) = pipe().atomic().get("{k}").query_async(&mut connection).await.unwrap();
    assert_eq!((alone.as_deref(), inside.as_deref()), (Some("new"), Some("new")));
}

#[tokio::test]
async fn that_the_other_owner_is_slow_is_no_reason_to_read_from_such_a_member() {
    let (_ring, client, proxies) = after_a_known_miss().await;
    let other = client.locate("{k}").owners[1].clone();
    let proxy = &proxies[usize::from(other == id("r1"))];
    proxy.set(Mode::HoldReplies).await;
    // The first makes it silent, and those after it find it so.
    let mut reads = Vec::new();
    for _ in 0..40 {
        let mut connection = client.connection();
        reads.push(tokio::spawn(async move { connection.get::<_, String>("{k}").await.unwrap() }));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    proxy.set(Mode::Pass).await;
    for read in reads {
        assert_eq!(read.await.unwrap(), "new");
    }
}

#[tokio::test]
async fn a_read_before_a_write_in_a_pipeline_does_not_read_what_a_member_is_known_to_lack() {
    let (_ring, client, _proxies) = after_a_known_miss().await;
    let mut connection = client.connection();
    let (inside, ()): (Option<String>, ()) =
        pipe().get("{k}").set("{k}", "newer").query_async(&mut connection).await.unwrap();
    assert_eq!(inside.as_deref(), Some("new"));
}

#[tokio::test]
async fn a_script_does_not_copy_the_state_of_a_member_that_is_known_to_lack_a_write() {
    let (ring, client, _proxies) = after_a_known_miss().await;
    let mut connection = client.connection();
    // It only reads, and brings the old value to the copy that has the acknowledged one.
    let _: Option<String> = cmd("EVAL")
        .arg("return redis.call('GET', KEYS[1])")
        .arg(1)
        .arg("{k}")
        .query_async(&mut connection)
        .await
        .unwrap();
    let owners = ring.owners(&client, "{k}");
    let at = [text(&owners[0].addr(), "{k}").await, text(&owners[1].addr(), "{k}").await];
    assert_eq!(at[1].as_deref(), Some("new"), "the acknowledged write is lost on every copy");
}

/// The fault: a script without keys that takes longer than a hedge runs on every member and makes them distrusted.
#[tokio::test]
async fn a_slow_script_without_keys_runs_once() {
    let ring = FixedRing::start(4).await;
    let client = ring.connected(ring.patient()).await;
    let connection = client.connection();
    for server in ring.servers.values() {
        let () = direct::ask(&server.addr(), cmd("CONFIG").arg("RESETSTAT")).await;
    }
    let slow = "local t = redis.call('TIME'); local b = t[1] * 1000000 + t[2]; \
                repeat t = redis.call('TIME') until t[1] * 1000000 + t[2] - b > 100000; return 1";
    assert_eq!(run(&connection, &["EVAL", slow, "0"]).await.unwrap(), Value::Int(1));
    let mut calls = 0;
    for server in ring.servers.values() {
        let info: String = direct::ask(&server.addr(), cmd("INFO").arg("commandstats")).await;
        calls += info.lines().filter(|line| line.starts_with("cmdstat_eval_ro")).count();
    }
    assert_eq!(calls, 1);
}

/// The fault: a pipeline acknowledged by the primary waits for a copy that hangs.
#[tokio::test]
async fn a_pipeline_that_the_primary_acknowledges_does_not_wait_for_a_copy() {
    let ring = FixedRing::start(2).await;
    let client = ring.connected(patient(ring.builder()).write_policy(WritePolicy::Primary)).await;
    let mut connection = client.connection();
    let () = connection.set("k", 0).await.unwrap();
    let owners = ring.owners(&client, "k");
    owners[1].stop().unwrap();
    let writes = async {
        let () = connection.set("k", 1).await?;
        pipe().set("k", 2).ignore().set("k", 3).ignore().query_async(&mut connection).await
    };
    let () = tokio::time::timeout(SOON, writes).await.expect("it does not wait for the copy").unwrap();
    owners[1].cont().unwrap();
}

#[tokio::test]
async fn mset_that_the_primary_acknowledges_does_not_wait_for_a_copy() {
    let ring = FixedRing::start(2).await;
    let client = ring.connected(patient(ring.builder()).write_policy(WritePolicy::Primary)).await;
    let mut connection = client.connection();
    let () = connection.set("k", 0).await.unwrap();
    let owners = ring.owners(&client, "k");
    owners[1].stop().unwrap();
    let deleted = connection.del::<_, i32>(&["k", "{k}other"]);
    let deleted = tokio::time::timeout(SOON, deleted).await.expect("it does not wait for the copy");
    owners[1].cont().unwrap();
    assert_eq!(deleted.unwrap(), 1);
}

/// One process, many tasks, some of which drop their futures or stop polling them. With servers that are well, all copies
/// must be equal in the end, and nothing may hang.
async fn storm(members: usize, copies: usize, policy: WritePolicy, seed: u64, flushes: bool) {
    use futures_util::FutureExt;
    fastrand::seed(seed);
    let ring = FixedRing::start(members).await;
    let url = format!("{}?copies={copies}", ring.url());
    // Short enough for what is healed: that waits as long as a write may take.
    let long = Duration::from_secs(3);
    let timeouts = Timeouts { read: long, write: long, ..Timeouts::default() };
    let client = ring.connected(RingClient::builder(&url).unwrap().write_policy(policy).timeouts(timeouts)).await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..24_u64 {
        let connection = client.connection();
        tasks.spawn(async move {
            let mut rng = fastrand::Rng::with_seed(seed * 1000 + task);
            for step in 0..120 {
                let mut connection = connection.clone();
                let tag = rng.u8(..4);
                let v = format!("{task}-{step}");
                let add = |pipeline: &mut redis::Pipeline, rng: &mut fastrand::Rng, tag: u8| {
                    match rng.u8(..14) {
                        0 => pipeline.set(format!("{{{tag}}}s"), &v),
                        1 => pipeline.incr(format!("{{{tag}}}n"), 1),
                        2 => pipeline.rpush(format!("{{{tag}}}l"), &v),
                        3 => pipeline.lpop(format!("{{{tag}}}l"), None),
                        4 => pipeline.sadd(format!("{{{tag}}}z"), rng.u8(..50)),
                        5 => pipeline.cmd("SPOP").arg(format!("{{{tag}}}z")),
                        6 => pipeline
                            .cmd("EVAL")
                            .arg("redis.call('APPEND', KEYS[1], ARGV[1]); return redis.call('RPUSH', KEYS[2], math.random(1000))")
                            .arg(2)
                            .arg(format!("{{{tag}}}s"))
                            .arg(format!("{{{tag}}}l"))
                            .arg("x"),
                        7 => pipeline.cmd("XADD").arg(format!("{{{tag}}}x")).arg("*").arg("f").arg(&v),
                        8 => pipeline.cmd("GETEX").arg(format!("{{{tag}}}s")).arg("EX").arg(1000 + step),
                        9 => pipeline.del(format!("{{{tag}}}{}", ["s", "l", "z"][rng.usize(..3)])),
                        10 => pipeline.cmd("INCRBYFLOAT").arg(format!("{{{tag}}}f")).arg("0.5"),
                        11 => pipeline.cmd("SET").arg(format!("{{{tag}}}s")).arg(&v).arg("EX").arg(500),
                        12 => pipeline.cmd("XTRIM").arg(format!("{{{tag}}}x")).arg("MAXLEN").arg("~").arg(10),
                        _ => pipeline.get(format!("{{{tag}}}s")),
                    };
                };
                let kind = rng.u8(..12);
                let mut pipeline = pipe();
                match kind {
                    0..5 => add(&mut pipeline, &mut rng, tag),
                    5 | 6 => (0..10).for_each(|_| {
                        let tag = rng.u8(..4);
                        add(&mut pipeline, &mut rng, tag)
                    }),
                    7 | 8 => {
                        pipeline.atomic();
                        (0..4).for_each(|_| add(&mut pipeline, &mut rng, tag));
                    }
                    _ => {}
                }
                let single = (kind < 5).then(|| pipeline.cmd_iter().next().unwrap().clone());
                let mut mset = cmd("MSET");
                (0..4).for_each(|tag| {
                    mset.arg(format!("{{{tag}}}s")).arg(&v);
                });
                let mut del = cmd("UNLINK");
                (0..4).for_each(|tag| {
                    del.arg(format!("{{{tag}}}s")).arg(format!("{{{tag}}}z"));
                });
                let flush = cmd("FLUSHALL");
                let running = async {
                    match (kind, single) {
                        (_, Some(single)) => drop(connection.req_packed_command(&single).await),
                        (5..9, _) => drop(connection.req_packed_commands(&pipeline, 0, pipeline.len()).await),
                        (9 | 10, _) => drop(connection.req_packed_command(&mset).await),
                        _ if flushes && step % 40 == 39 => drop(connection.req_packed_command(&flush).await),
                        _ => drop(connection.req_packed_command(&del).await),
                    }
                };
                let mut running = Box::pin(running);
                match rng.u8(..6) {
                    0 => drop(running.as_mut().now_or_never()),
                    1 => {
                        let _ = running.as_mut().now_or_never();
                        tokio::time::sleep(Duration::from_millis(rng.u64(..8))).await;
                        tokio::time::timeout(SOON, running).await.expect("it hangs");
                    }
                    2 => {
                        let _ = tokio::time::timeout(Duration::from_micros(rng.u64(..2000)), running).await;
                    }
                    _ => tokio::time::timeout(SOON, running).await.expect("it hangs"),
                }
            }
        });
    }
    tasks.join_all().await;
    let mut left = Vec::new();
    let until = Instant::now() + SOON;
    loop {
        left.clear();
        for tag in 0..4 {
            for key in ["s", "n", "l", "z", "x", "f"].map(|kind| format!("{{{tag}}}{kind}")) {
                let mut contents = Vec::new();
                for server in ring.owners(&client, &key) {
                    contents.push(direct::content(&server.addr(), &key).await);
                }
                if contents.iter().any(|one| *one != contents[0]) {
                    left.push((key, contents));
                }
            }
        }
        if left.is_empty() || Instant::now() >= until {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let stats = client.stats();
    for (key, contents) in &left {
        let short: Vec<String> = contents
            .iter()
            .map(|(kind, items, expiry)| format!("{kind} {expiry} {} items {:.200}", items.len(), format!("{items:?}")))
            .collect();
        println!("  {key}: {}", short.join("\n      "));
    }
    assert!(left.is_empty());
    assert_eq!(stats.missed_writes + stats.unknown_writes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_leaves_equal_copies_whatever_its_callers_do() {
    for seed in 1..=3 {
        storm(4, 2, WritePolicy::All, seed, false).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_leaves_equal_copies_with_flushes_in_between() {
    for seed in 11..=13 {
        storm(3, 2, WritePolicy::All, seed, true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_process_leaves_three_equal_copies_when_the_primary_acknowledges() {
    for seed in 21..=23 {
        storm(4, 3, WritePolicy::Primary, seed, false).await;
    }
}

#[tokio::test]
async fn a_ring_of_one_member_works() {
    storm(1, 2, WritePolicy::All, 31, true).await;
    storm(3, 1, WritePolicy::Primary, 32, false).await;
}

/// The fault: a pipeline across a member that dies in its middle and a plain one on a hung member end in bounded time.
#[tokio::test]
async fn pipelines_on_a_hung_member_end_in_bounded_time() {
    let ring = FixedRing::start(3).await;
    let client = ring.connected(unhurried(&ring)).await;
    let mut connection = client.connection();
    let mut seed = pipe();
    (0..300).for_each(|i| {
        seed.set(format!("k{i}"), i).ignore();
    });
    let () = seed.query_async(&mut connection).await.unwrap();
    ring.server(&id("r1")).stop().unwrap();
    let mut reads = pipe();
    (0..300).for_each(|i| {
        reads.get(format!("k{i}"));
    });
    let got: RedisResult<Vec<usize>> = reads.query_async(&mut connection).await;
    let mut writes = pipe();
    (0..300).for_each(|i| {
        writes.set(format!("k{i}"), i + 1).ignore();
    });
    let wrote: RedisResult<()> = writes.query_async(&mut connection).await;
    let keys: Vec<String> = (0..300).map(|i| format!("k{i}")).collect();
    let many: RedisResult<Vec<usize>> = connection.mget(&keys).await;
    ring.server(&id("r1")).cont().unwrap();
    assert!(got.unwrap().into_iter().eq(0..300));
    assert!(many.unwrap().into_iter().eq(1..301));
    assert!(wrote.is_ok());
}

/// The fault: the state that one process copies after a script overwrites what another process has written meanwhile, and
/// no reply tells.
#[tokio::test]
async fn a_script_of_one_process_does_not_undo_the_write_of_another_for_good() {
    let mut ring = FixedRing::start(2).await;
    let other_client = ring.connected(unhurried(&ring)).await;
    let owners: Vec<NodeId> = other_client.locate("h").owners.clone();
    let proxy = FaultProxy::start(ring.server(&owners[1]).addr()).await;
    ring.reach(&owners[1], proxy.addr());
    let client = ring.connected(unhurried(&ring)).await;
    let mut other = other_client.connection();
    let () = other.hset("h", "f", 5).await.unwrap();
    proxy.set(Mode::Delay { requests: Duration::from_millis(200), replies: Duration::ZERO }).await;
    let mut connection = client.connection();
    let script = tokio::spawn(async move {
        let call = cmd("EVAL").arg("return redis.call('HSET', KEYS[1], 'g', 1)").arg(1).arg("h").take();
        call.query_async::<i32>(&mut connection).await
    });
    let primary = ring.server(&owners[0]).addr();
    support::eventually(SOON, "the script ran", || async {
        direct::ask::<bool>(&primary, cmd("HEXISTS").arg("h").arg("g")).await
    })
    .await;
    assert_eq!(other.hincr::<_, _, _, i32>("h", "f", 1).await.unwrap(), 6);
    script.await.unwrap().unwrap();
    proxy.set(Mode::Pass).await;
    support::eventually(SOON, "the copy has both", || ring.copies_are_equal(&client, "h")).await;
    assert_eq!(direct::ask::<i32>(&primary, cmd("HGET").arg("h").arg("f")).await, 6);
}

/// The fault: a write just before an expiry reaches the copy after it, and leaves a key there that never expires.
#[tokio::test]
async fn a_write_just_before_an_expiry_does_not_leave_a_key_on_the_copy() {
    let mut ring = FixedRing::start(2).await;
    let owners: Vec<NodeId> = ring.client().await.locate("k").owners.clone();
    let proxy = FaultProxy::start(ring.server(&owners[1]).addr()).await;
    ring.reach(&owners[1], proxy.addr());
    let client = ring.connected(unhurried(&ring)).await;
    let mut connection = client.connection();
    for nth in 0.. {
        assert!(nth < 10, "it never came before the expiry");
        let expires = cmd("TIME").query_async::<(u64, u64)>(&mut connection).await.unwrap();
        let expires = expires.0 * 1000 + expires.1 / 1000 + 400;
        let () = cmd("SET").arg("k").arg(5).arg("PXAT").arg(expires).query_async(&mut connection).await.unwrap();
        proxy.set(Mode::Delay { requests: Duration::from_millis(450), replies: Duration::ZERO }).await;
        let n: i64 = connection.incr("k", 1).await.unwrap();
        proxy.set(Mode::Pass).await;
        if n == 6 {
            break;
        }
        // It came after the expiry, and has rightly left a new key everywhere.
        let () = connection.del("k").await.unwrap();
    }
    support::eventually(SOON, "it is gone from both", || async {
        let mut gone = true;
        for owner in &owners {
            gone &= direct::content(&ring.server(owner).addr(), "k").await.0 == "none";
        }
        gone
    })
    .await;
}

/// The fault: what one command of a pipeline lacks on a copy fails the others beside it.
#[tokio::test]
async fn a_copy_without_memory_fails_the_command_that_needs_it_alone() {
    let ring = FixedRing::start(2).await;
    let client = ring.client().await;
    let mut connection = client.connection();
    let () = pipe().set("{k}b", 1).set("{k}c", 1).query_async(&mut connection).await.unwrap();
    let copy = ring.owners(&client, "{k}a")[1].addr();
    let () = direct::ask(&copy, cmd("CONFIG").arg("SET").arg("maxmemory").arg(1)).await;
    let mut pipeline = pipe();
    pipeline.set("{k}a", 1).del("{k}b").del("{k}c");
    let replies = connection.req_packed_commands(&pipeline, 0, 3).await.unwrap();
    assert!(
        matches!(&replies[0], Value::ServerError(error) if error.details().unwrap_or_default().contains("no memory"))
    );
    assert_eq!(replies[1..], [Value::Int(1), Value::Int(1)]);
}
