//! Writes while the ring moves: who gets them in each phase, and in which order. There are no agents here; the test plays
//! them, so that a phase lasts as long as it takes to look.
#![cfg(feature = "cli")]
#![cfg(test)]

#[path = "moving/operator.rs"]
mod operator;
mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt as _;
use redis::{AsyncCommands, Value, cmd, pipe};
use redis_ring::placement::{Phase, State, Token};
use redis_ring::policy::{CachePolicy, HedgePolicy, Timeouts, WritePolicy};
use redis_ring::{Compared, Outcome, Retry, RingClient, ScanOptions};
use tokio::task::JoinHandle;

use operator::{Operator, weight};
use support::{FaultProxy, Mode, SOON, eventually, id, own, run, run_or_error, shared_zookeeper};

/// What there is before, separated by `;`, and a write: one of every way in which copies get what was written. `K` is the key,
/// and `L` another one beside it.
const FORMS: &[(&str, &str)] = &[
    // The same wherever it runs.
    ("", "SET K v"),
    ("SET K old PX 4000000", "SET K v KEEPTTL"),
    ("", "SET K v EX 1000"),
    ("SET K v", "DEL K"),
    ("SET K v;SET L v", "UNLINK K L"),
    ("", "MSET K 1 L 2"),
    ("", "HSET K f v g w"),
    ("HSET K f v g w", "HDEL K f"),
    ("", "SADD K a b c"),
    ("", "ZADD K 1 a 2 b"),
    ("SET K v", "PEXPIREAT K 4000000000123"),
    ("SET K v EX 1000", "PERSIST K"),
    ("", "SETBIT K 7 1"),
    ("", "PFADD K a b c"),
    ("", "GEOADD K 13.361389 38.115556 Palermo"),
    // Dependent on what is there.
    ("SET K 41", "INCR K"),
    ("SET K a", "APPEND K b"),
    ("", "SET K v NX"),
    ("SET K v", "SET K w NX"),
    ("SET K v", "SET K w XX GET"),
    ("", "MSETNX K 1 L 2"),
    ("RPUSH K a b c", "LPOP K 2"),
    ("", "RPUSH K a b"),
    ("RPUSH K a b c", "RPOPLPUSH K L"),
    ("SET K v", "RENAME K L"),
    ("SET K v", "COPY K L"),
    ("SADD K a b;SADD L b c", "SINTERSTORE K K L"),
    ("ZADD K 1 a 2 b", "ZPOPMIN K"),
    ("RPUSH K 3 1 2", "SORT K STORE L"),
    ("SET K v", "GETDEL K"),
    // By chance, or dependent on time.
    ("SADD K a b c d e", "SPOP K 2"),
    ("SET K 0.1", "INCRBYFLOAT K 0.2"),
    ("HSET K f 10.5", "HINCRBYFLOAT K f 0.1"),
    ("SET K v", "EXPIRE K 1000"),
    ("SET K v EX 500", "EXPIRE K 1000 GT"),
    ("SET K v", "GETEX K PX 400000"),
    ("", "SETEX K 1000 v"),
    ("", "XADD K * f v"),
    ("XADD K 5-1 f v", "XADD K MAXLEN ~ 10 * f v"),
    ("XADD K 1-1 f v;XADD K 2-1 f v", "XTRIM K MAXLEN 1"),
    ("XADD K 1-1 f v;XGROUP CREATE K g 0", "XREADGROUP GROUP g a COUNT 1 STREAMS K >"),
    ("XADD K 1-1 f v;XGROUP CREATE K g 0;XREADGROUP GROUP g a STREAMS K >", "XACK K g 1-1"),
    ("XADD K 1-1 f v;XGROUP CREATE K g 0;XREADGROUP GROUP g a STREAMS K >", "XCLAIM K g b 0 1-1"),
    ("RPUSH K a b", "BLPOP K 1"),
    ("RPUSH K a b", "BLMOVE K L LEFT RIGHT 1"),
    ("ZADD K 1 a 2 b", "BZPOPMAX K 1"),
    // What only the state of the keys tells.
    ("SET K 1", "EVAL redis.call('INCRBY',KEYS[1],ARGV[1]);return·redis.call('TIME') 1 K 7"),
    ("HSET K f v", "EVAL redis.call('DEL',KEYS[1]);redis.call('SET',KEYS[2],'x') 2 K L"),
    ("SET K v EX 5000", "EVAL redis.call('APPEND',KEYS[1],'x');return·redis.error_reply('late') 1 K"),
];

fn words(line: &str, key: &str, other: &str) -> Vec<String> {
    let word = |word: &str| match word {
        "K" => key.to_owned(),
        "L" => other.to_owned(),
        word => word.replace('·', " "),
    };
    line.split(' ').map(word).collect()
}

async fn send(client: &RingClient, line: &str, key: &str, other: &str) -> redis::RedisResult<Value> {
    let words = words(line, key, other);
    run(&client.connection(), &words.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// A ring of three that is to become one of five, in `syncing`, and a tag of `r0` and `r1` that the new two gain.
async fn syncing() -> (Operator, RingClient, String) {
    syncing_with(operator::timeouts()).await
}

async fn syncing_with(timeouts: Timeouts) -> (Operator, RingClient, String) {
    let mut ring = Operator::start(shared_zookeeper().await, 5, 3, async |_, _| None).await;
    let client = ring.builder().timeouts(timeouts).open().await.unwrap();
    ring.sync_towards(&["r0", "r1", "r2", "r3", "r4"], &[&client]).await;
    let tag = ring.tag(&client, &["r0", "r1"], &["r3", "r4"]);
    (ring, client, tag)
}

/// `r0`, `r1` and the named `r3` hold the same under each of these keys, and the others nothing.
async fn assert_copied(ring: &Operator, what: &str, keys: &[String]) {
    for key in keys {
        let first = ring.content(&id("r0"), key).await;
        for copy in ["r1", "r3"] {
            assert_eq!(ring.content(&id(copy), key).await, first, "{what}: {key} at {copy}");
        }
        for other in ["r2", "r4"] {
            assert!(!ring.ask::<bool>(&id(other), cmd("EXISTS").arg(key)).await, "{what}: {key} at {other}");
        }
    }
}

async fn assert_nothing_at(ring: &Operator, member: &str) {
    let keys: Vec<String> = ring.ask(&id(member), cmd("KEYS").arg("*")).await;
    assert_eq!(keys.iter().filter(|key| !key.starts_with("__rr:")).count(), 0, "{member} has {keys:?}");
}

#[tokio::test]
async fn every_kind_of_write_reaches_the_owners_and_those_who_are_named_and_nobody_else() {
    let (ring, client, tag) = syncing().await;
    let keys_of = |nth: usize| [format!("{tag}k{nth}"), format!("{tag}l{nth}")];
    for (nth, (before, _)) in FORMS.iter().enumerate() {
        let [key, other] = keys_of(nth);
        for line in before.split(';').filter(|line| !line.is_empty()) {
            send(&client, line, &key, &other).await.unwrap().extract_error().unwrap();
        }
    }
    assert_nothing_at(&ring, "r3").await;
    assert_nothing_at(&ring, "r4").await;
    let all: Vec<String> = (0..FORMS.len()).flat_map(keys_of).collect();
    ring.cut(&id("r0"), &id("r3"), &all).await;
    for (nth, (before, line)) in FORMS.iter().enumerate() {
        let [key, other] = keys_of(nth);
        let was = ring.content(&id("r3"), &key).await;
        let reply = send(&client, line, &key, &other).await.unwrap();
        assert!(!matches!(reply, Value::ServerError(_)) || line.contains("error_reply"), "{line}: {reply:?}");
        assert_copied(&ring, line, &[key.clone(), other]).await;
        let unchanged = ["SET K w NX", "PERSIST K"].contains(line) && before.is_empty();
        let changed = ring.content(&id("r3"), &key).await != was;
        assert!(changed || unchanged || ["SET K w NX", "COPY K L", "SORT K STORE L"].contains(line), "{line}");
    }
    let stats = client.stats();
    assert_eq!((stats.missed_writes, stats.differing_replies, stats.unknown_writes), (0, 0, 0));
}

#[tokio::test]
async fn several_commands_reach_those_who_are_named_each_in_its_moment() {
    let (ring, client, tag) = syncing().await;
    let key = |name: &str| format!("{tag}{name}");
    let mut connection = client.connection();
    let () = connection.set(key("n"), 1).await.unwrap();
    ring.cut(&id("r0"), &id("r3"), &[key("n")]).await;

    let piped: (i64, i64, Vec<String>, i64) = pipe()
        .incr(key("n"), 1)
        .incr(key("n"), 1)
        .sadd(key("s"), &["a", "b"])
        .ignore()
        .cmd("SPOP")
        .arg(key("s"))
        .arg(1)
        .set(key("x"), "y")
        .ignore()
        .del(key("n"))
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!((piped.0, piped.1, piped.2.len(), piped.3), (2, 3, 1, 1));
    assert_copied(&ring, "a pipeline", &[key("n"), key("s"), key("x")]).await;

    let atomic: (i64, Option<String>, i64) = pipe()
        .atomic()
        .incr(key("n"), 5)
        .get(key("x"))
        .cmd("SPOP")
        .arg(key("s"))
        .ignore()
        .incr(key("n"), 5)
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!(atomic, (5, Some("y".to_owned()), 10));
    assert_copied(&ring, "a transaction", &[key("n"), key("s")]).await;

    let watched = key("n");
    let (was, now): (i64, i64) = client
        .transaction(&[&watched], |mut connection, mut pipeline| {
            let key = watched.clone();
            async move {
                let was: i64 = connection.get(&key).await?;
                let done: Option<(i64,)> = pipeline.incr(&key, was).query_async(&mut connection).await?;
                Ok(done.map(|(now,)| (was, now)))
            }
        })
        .await
        .unwrap();
    assert_eq!((was, now), (10, 20));
    assert_copied(&ring, "a watched transaction", &[key("n")]).await;

    let popping = tokio::spawn({
        let (client, list) = (client.clone(), key("list"));
        async move { run_or_error(&client.connection(), &["BLPOP", &list, "20"]).await }
    });
    let pushed: i64 = connection.rpush(key("list"), &["first", "second"]).await.unwrap();
    assert_eq!(pushed, 2);
    popping.await.unwrap().unwrap();
    assert_copied(&ring, "a call that waited", &[key("list")]).await;

    // Keys of many tokens: each goes to those who gain it, whoever they are.
    let many: Vec<String> = (0..60).map(|n| format!("many{n}")).collect();
    let pairs: Vec<(&String, &str)> = many.iter().map(|key| (key, "v")).collect();
    for source in ["r0", "r1", "r2"] {
        ring.name(&id(source), &id("r4")).await;
    }
    let () = connection.mset(&pairs).await.unwrap();
    let topology = client.topology();
    for key in &many {
        let token = Token::of_key(key.as_bytes());
        let (r4, _) = topology.find(&id("r4")).unwrap();
        let there: bool = ring.ask(&id("r4"), cmd("EXISTS").arg(key)).await;
        assert_eq!(there, topology.gains(r4, token), "{key}");
    }
    assert_eq!(client.stats().missed_writes, 0);
}

#[tokio::test]
async fn a_named_member_that_cannot_be_reached_has_missed_the_write() {
    let (ring, client, tag) = syncing().await;
    ring.cut(&id("r0"), &id("r3"), &[]).await;
    ring.servers[&id("r3")].kill();
    eventually(SOON, "it is not connected to", || async { !client.connected().contains(&id("r3")) }).await;
    run_or_error(&client.connection(), &["SET", &format!("{tag}k"), "v"]).await.unwrap();
    assert_eq!(client.stats().fences, 1, "it is taken out like an owner, before the write is acknowledged");
    let fenced = client.topology().find(&id("r3")).unwrap().1.state;
    assert_eq!(fenced, redis_ring::placement::State::Down);
    // And the one that is not named may be where it is.
    ring.servers[&id("r4")].kill();
    assert_eq!(ring.ask::<String>(&id("r0"), cmd("GET").arg(format!("{tag}k"))).await, "v");
}

/// As [`syncing`], with `r3` behind a proxy, and a key that `r3` gains and that is named for it. Clients wait long for connections.
async fn syncing_behind_a_proxy(mode: Mode) -> (Operator, RingClient, FaultProxy, String) {
    let (mut ring, proxy) = with_a_proxy_at("r3", 5, 3).await;
    let timeouts =
        Timeouts { open: SOON, connect: SOON, probe: SOON, write: Duration::from_secs(5), ..Timeouts::default() };
    let client = ring.builder().timeouts(timeouts).session_timeout(SOON).open().await.unwrap();
    proxy.set(mode).await;
    for phase in ["filling", "syncing"] {
        ring.phase_towards(phase, &["r0", "r1", "r2", "r3", "r4"]).await;
        if mode == Mode::Pass {
            ring.until(&[&client]).await;
        }
    }
    eventually(SOON, "the ring is syncing", || async { client.topology().phase() == Phase::Syncing }).await;
    let key = format!("{}k", ring.tag(&client, &["r0", "r1"], &["r3", "r4"]));
    ring.cut(&id("r0"), &id("r3"), &[]).await;
    (ring, client, proxy, key)
}

/// A write that is under way until the named `r3` can be reached, or what it said is heard.
async fn under_way(ring: &Operator, client: &RingClient, key: &str) -> JoinHandle<Value> {
    let (client, owned) = (client.clone(), key.to_owned());
    let writing =
        tokio::spawn(async move { run_or_error(&client.connection(), &["APPEND", &owned, "x"]).await.unwrap() });
    eventually(SOON, "the primary has it", || async {
        ring.ask::<Option<String>>(&id("r0"), cmd("GET").arg(key)).await.as_deref() == Some("x")
    })
    .await;
    assert!(!writing.is_finished());
    writing
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_member_that_is_connected_to_after_the_flip_only_gets_the_write() {
    let (mut ring, client, proxy, key) = syncing_behind_a_proxy(Mode::Refuse).await;
    let writing = under_way(&ring, &client, &key).await;
    ring.flip().await;
    ring.raise_gates().await;
    eventually(SOON, "the flip is known", || async { client.topology().phase() == Phase::Retiring }).await;
    proxy.set(Mode::Pass).await;
    assert_eq!(writing.await.unwrap(), Value::Int(1));
    assert_eq!(ring.ask::<Option<String>>(&id("r3"), cmd("GET").arg(&key)).await.as_deref(), Some("x"));
    assert_eq!((client.stats().fences, state(&client, "r3").0), (0, State::Up));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_member_that_is_to_be_filled_anew_has_missed_nothing() {
    let (mut ring, client, _proxy, key) = syncing_behind_a_proxy(Mode::Refuse).await;
    let writing = under_way(&ring, &client, &key).await;
    ring.phase_towards("filling", &["r0", "r1", "r2", "r3", "r4"]).await;
    assert_eq!(writing.await.unwrap(), Value::Int(1));
    assert_eq!((client.stats().fences, state(&client, "r3").0), (0, State::Joining));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_member_that_lost_the_connection_is_taken_out_for_the_true_reason() {
    let (ring, client, proxy, key) = syncing_behind_a_proxy(Mode::Pass).await;
    proxy.set(Mode::HoldReplies).await;
    let writing = under_way(&ring, &client, &key).await;
    eventually(SOON, "it is sent", || async { ring.ask::<bool>(&id("r3"), cmd("EXISTS").arg(&key)).await }).await;
    proxy.cut().await;
    proxy.set(Mode::Pass).await;
    assert_eq!(writing.await.unwrap(), Value::Int(1));
    let (now, reason) = state(&client, "r3");
    assert_eq!(
        (now, reason.as_str()),
        (State::Down, "missed a write: it answers, but nobody can give it what it missed")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_a_named_member_missed_which_was_the_primary_until_it_was_taken_out_is_unknown() {
    let error = missed_by_who_was_primary_meanwhile(&["SET", "", "x", "NX"]).await.unwrap_err();
    // It may have given the lock to somebody else meanwhile.
    assert_eq!(own(&error).outcome(), Outcome::Unknown, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_refused_counts_although_such_a_member_missed_it() {
    assert_eq!(missed_by_who_was_primary_meanwhile(&["INCR", ""]).await.unwrap(), Value::Int(1));
}

/// A write that is under way when the ring flips, and whose named member is lost after that.
async fn missed_by_who_was_primary_meanwhile(words: &[&str]) -> redis::RedisResult<Value> {
    let (mut ring, client, proxy, key) = syncing_behind_a_proxy(Mode::Pass).await;
    proxy.set(Mode::HoldReplies).await;
    let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    words[1].clone_from(&key);
    let writing = tokio::spawn({
        let client = client.clone();
        async move {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            run_or_error(&client.connection(), &words).await
        }
    });
    eventually(SOON, "it is sent", || async { ring.ask::<bool>(&id("r3"), cmd("EXISTS").arg(&key)).await }).await;
    ring.flip().await;
    ring.raise_gates().await;
    eventually(SOON, "the flip is known", || async { client.topology().phase() == Phase::Retiring }).await;
    proxy.cut().await;
    proxy.set(Mode::Pass).await;
    let answer = writing.await.unwrap();
    assert_eq!(state(&client, "r3").0, State::Down);
    answer
}

fn state(client: &RingClient, member: &str) -> (State, String) {
    let topology = client.topology();
    let (_, member) = topology.find(&id(member)).unwrap();
    (member.state, member.reason.clone().unwrap_or_default())
}

#[tokio::test]
async fn a_primary_whose_gate_is_shut_is_not_believed() {
    let (ring, client, tag) = syncing_with(Timeouts { probe: SOON, ..operator::timeouts() }).await;
    let key = format!("{tag}n");
    run_or_error(&client.connection(), &["SET", &key, "1"]).await.unwrap();
    // As where the member was fenced, and this client's connection is not cut off yet.
    ring.shut_gate(&id("r0")).await;
    let error = run_or_error(&client.connection(), &["INCR", &key]).await.unwrap_err();
    assert_eq!(own(&error).outcome(), Outcome::Unknown, "{error}");
    ring.open_gate(&id("r0"), 2).await;
    let error = run_or_error(&client.connection(), &["INCR", &key]).await.unwrap_err();
    assert_eq!(own(&error).outcome(), Outcome::Unknown, "another life of its data: {error}");
    assert_eq!(ring.ask::<i64>(&id("r1"), cmd("GET").arg(&key)).await, 1, "no copy is told");
}

/// A ring of three of these servers, whose `r0` clients reach through a proxy.
async fn with_a_proxy(servers: usize) -> (Operator, FaultProxy) {
    with_a_proxy_at("r0", servers, 3).await
}

async fn with_a_proxy_at(member: &str, servers: usize, members: usize) -> (Operator, FaultProxy) {
    let proxy = Mutex::new(None);
    let ring = Operator::start(shared_zookeeper().await, servers, members, async |id, addr| {
        if id.as_str() != member {
            return None;
        }
        let started = FaultProxy::start(addr).await;
        let addr = started.addr();
        *proxy.lock().unwrap() = Some(started);
        Some(addr)
    });
    let ring = ring.await;
    (ring, proxy.into_inner().unwrap().expect("a proxy"))
}

/// Two writes of one caller for a key whose primary becomes the other one in between, while the first one's primary is slow
/// to answer. Both must have them in one order.
async fn in_one_order_while_the_primary_changes(
    policy: WritePolicy,
    write: impl AsyncFn(RingClient, String, &'static str),
) {
    let (mut ring, proxy) = with_a_proxy(3).await;
    let client = ring.builder().write_policy(policy).timeouts(PATIENT).open().await.unwrap();
    let lighter = |ring: &mut redis_ring::membership::records::RingRecord| {
        ring.next = ring.serving.clone();
        ring.next.insert("r0".to_owned(), weight(20));
    };
    ring.phase("filling", lighter).await;
    ring.until(&[&client]).await;
    let key = format!("{}k", ring.tag(&client, &["r0", "r1"], &["r1", "r0"]));
    write(client.clone(), key.clone(), "0").await;
    proxy.set(Mode::HoldReplies).await;
    let mut first = Box::pin(write(client.clone(), key.clone(), "1"));
    assert!(futures_util::poll!(&mut first).is_pending());
    eventually(SOON, "the slow primary has it", || async {
        ring.ask::<String>(&id("r0"), cmd("GET").arg(&key)).await == "01"
    })
    .await;
    ring.phase("still", |ring| ring.serving = std::mem::take(&mut ring.next)).await;
    ring.until(&[&client]).await;
    assert_eq!(client.locate(&key).owners, [id("r1"), id("r0")]);
    let mut second = Box::pin(write(client.clone(), key.clone(), "2"));
    assert!(futures_util::poll!(&mut second).is_pending());
    // Whatever it sent at once is executed before this is answered.
    let mut other = client.connection();
    let beside =
        format!("{{{}}}", (0..).map(|n| n.to_string()).find(|n| client.locate(n).owners[0] == id("r1")).unwrap());
    let () = other.get(&beside).await.unwrap();
    proxy.set(Mode::Pass).await;
    futures_util::future::join(first, second).await;
    eventually(SOON, "both have all", || async {
        let held = [
            ring.ask::<String>(&id("r0"), cmd("GET").arg(&key)).await,
            ring.ask(&id("r1"), cmd("GET").arg(&key)).await,
        ];
        held == ["012", "012"]
    })
    .await;
    assert_eq!(client.stats().missed_writes, 0);
}

#[tokio::test]
async fn writes_of_one_key_stay_in_order_where_its_primary_changes() {
    in_one_order_while_the_primary_changes(WritePolicy::All, async |client, key, word| {
        let _: i64 = client.connection().append(&key, word).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn batches_of_one_key_stay_in_order_where_its_primary_changes() {
    in_one_order_while_the_primary_changes(WritePolicy::All, async |client, key, word| {
        let beside = format!("{key}-beside");
        let appended: (i64, i64) =
            pipe().append(&key, word).append(&beside, word).query_async(&mut client.connection()).await.unwrap();
        assert_eq!(appended.0, appended.1);
    })
    .await;
}

#[tokio::test]
async fn a_plain_write_behind_a_batch_of_another_primary_waits_for_it() {
    in_one_order_while_the_primary_changes(WritePolicy::All, async |client, key, word| {
        let mut connection = client.connection();
        match word {
            "2" => {
                let _: i64 = connection.append(&key, word).await.unwrap();
            }
            // The copies get the state.
            _ => {
                let append = redis::Script::new("return redis.call('APPEND', KEYS[1], ARGV[1])");
                let _: i64 = append.key(&key).arg(word).invoke_async(&mut connection).await.unwrap();
            }
        }
    })
    .await;
}

/// What was answered to those who count, and how often nobody could say which number it was.
#[derive(Default)]
struct Counted {
    answered: Vec<i64>,
    unknown: i64,
}

/// Counts until it is told to stop.
fn counting(client: &RingClient, key: &str, until: &Arc<AtomicBool>) -> JoinHandle<Counted> {
    let (client, key, until) = (client.clone(), key.to_owned(), Arc::clone(until));
    tokio::spawn(async move {
        let callers = (0..8).map(|_| async {
            let mut counted = Counted::default();
            let mut connection = client.connection();
            while !until.load(Ordering::Relaxed) {
                match connection.incr(&key, 1).await {
                    Ok(now) => counted.answered.push(now),
                    Err(error) if own(&error).outcome() == Outcome::Unknown => counted.unknown += 1,
                    Err(error) => panic!("it was not executed: {error}"),
                }
            }
            counted
        });
        let each = futures_util::future::join_all(callers).await;
        let unknown = each.iter().map(|counted| counted.unknown).sum();
        Counted { answered: each.into_iter().flat_map(|counted| counted.answered).collect(), unknown }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_counter_is_exact_through_a_flip_that_one_of_two_clients_does_not_hear_of() {
    let zookeeper = shared_zookeeper().await;
    let mut ring = Operator::start(zookeeper, 5, 3, async |_, _| None).await;
    let to_zookeeper = FaultProxy::start(zookeeper.addr()).await;
    let (quick, held_back) = (ring.client().await, {
        let url = ring.url.replace(&zookeeper.addr(), &to_zookeeper.addr());
        operator::builder(&url).open().await.unwrap()
    });
    let both = [&quick, &held_back];
    let next = ["r0", "r1", "r2", "r3", "r4"];
    let named = [id("r3"), id("r4")];
    let stop = Arc::new(AtomicBool::new(false));
    ring.phase_towards("filling", &next).await;
    ring.until(&both).await;
    let key = format!("{}n", ring.tag(&quick, &["r0", "r1"], &["r3", "r4"]));
    let counts = both.map(|client| counting(client, &key, &stop));
    ring.goes_on("r0", &key).await;
    assert_eq!(ring.count("r3", &key).await, 0);

    ring.phase_towards("syncing", &next).await;
    ring.until(&both).await;
    ring.exact_cut(&id("r0"), &named, std::slice::from_ref(&key)).await;
    let before = ring.count("r3", &key).await;
    assert!(before > 200);
    ring.goes_on("r3", &key).await;

    to_zookeeper.set(Mode::Stall).await;
    ring.flip().await;
    ring.until(&[&quick]).await;
    assert_eq!(held_back.topology().phase(), Phase::Syncing);
    ring.goes_on("r3", &key).await;
    // The gates are told when all agents have seen it; whoever is connected already is not asked again.
    ring.raise_gates().await;
    ring.goes_on("r4", &key).await;
    ring.goes_on("r0", &key).await;
    // Each of the two reads what the other has written, though they ask different members.
    let beside = format!("{key}-beside");
    for (nth, [writer, reader]) in [both, [both[1], both[0]]].into_iter().enumerate() {
        let () = writer.connection().set(&beside, nth).await.unwrap();
        assert_eq!(reader.connection().get::<_, usize>(&beside).await.unwrap(), nth);
    }
    assert_eq!(held_back.topology().phase(), Phase::Syncing);

    to_zookeeper.set(Mode::Pass).await;
    ring.until(&both).await;
    ring.goes_on("r1", &key).await;
    stop.store(true, Ordering::Relaxed);
    let (mut answered, mut unknown) = (Vec::new(), 0);
    for count in counts {
        let counted = count.await.unwrap();
        answered.extend(counted.answered);
        unknown += counted.unknown;
    }
    let (least, total) = (answered.len() as i64, ring.count("r3", &key).await);
    for member in ["r0", "r1", "r4"] {
        assert_eq!(ring.count(member, &key).await, total, "{member}");
    }
    // Where the two primaries disagree, whoever does not hear of the flip cannot know which of them is right.
    assert!((least..=least + unknown).contains(&total), "{total} of {least} and at most {unknown}");
    answered.sort_unstable();
    answered.dedup();
    assert_eq!(answered.len() as i64, least, "each number was answered once");
    assert!(both.iter().all(|client| client.stats().missed_writes == 0));
}

#[tokio::test]
async fn a_primary_that_is_full_takes_what_frees_memory_and_refuses_the_rest() {
    let (ring, client, tag) = syncing().await;
    let [key, list] = ["k", "l"].map(|name| format!("{tag}{name}"));
    let connection = client.connection();
    run_or_error(&connection, &["SET", &key, "v"]).await.unwrap();
    run_or_error(&connection, &["RPUSH", &list, "a", "b", "c"]).await.unwrap();
    ring.cut(&id("r0"), &id("r3"), &[key.clone(), list.clone()]).await;
    ring.ask::<()>(&id("r0"), cmd("CONFIG").arg(&["SET", "maxmemory", "1"])).await;
    for refused in [&["SET", &key, "w"][..], &["RPUSH", &list, "d"], &["INCRBYFLOAT", &key, "1"]] {
        let error = run_or_error(&connection, refused).await.unwrap_err();
        assert_eq!(error.code(), Some("OOM"), "{refused:?}: {error}");
    }
    let popped: Vec<String> =
        redis::from_redis_value(run_or_error(&connection, &["LPOP", &list, "2"]).await.unwrap()).unwrap();
    assert_eq!(popped, ["a", "b"]);
    assert_eq!(run_or_error(&connection, &["EXPIRE", &key, "1000"]).await.unwrap(), Value::Int(1));
    assert_copied(&ring, "a full primary", &[key.clone(), list.clone()]).await;
    assert_eq!(
        run(&connection, &["SPOP", &list]).await.unwrap().extract_error().unwrap_err().code(),
        Some("WRONGTYPE")
    );
    assert_eq!(run_or_error(&connection, &["DEL", &key]).await.unwrap(), Value::Int(1));
    assert_copied(&ring, "a full primary", &[key, list]).await;
    assert_eq!(client.stats().differing_replies, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watched_transaction_in_the_middle_of_a_flip_reaches_those_who_are_read_now() {
    let (mut ring, client, tag) = syncing().await;
    let key = format!("{tag}n");
    let () = client.connection().set(&key, 1).await.unwrap();
    ring.exact_cut(&id("r0"), &[id("r3"), id("r4")], std::slice::from_ref(&key)).await;
    // Writes at the primary are held up, and so is the transaction while the ring flips.
    let mut pausing = support::direct::connect(&ring.addr(&id("r0"))).await;
    let () = cmd("CLIENT").arg(&["PAUSE", "60000", "WRITE"]).query_async(&mut pausing).await.unwrap();
    let transaction = tokio::spawn({
        let (client, key) = (client.clone(), key.clone());
        async move {
            let done: (i64,) = client
                .transaction(&[&key], |mut connection, mut pipeline| {
                    let key = key.clone();
                    async move { pipeline.incr(&key, 41).query_async(&mut connection).await }
                })
                .await?;
            redis::RedisResult::Ok(done.0)
        }
    });
    eventually(SOON, "the transaction is held up", || async {
        let info: String = ring.ask(&id("r0"), cmd("INFO").arg("clients")).await;
        info.contains("blocked_clients:1")
    })
    .await;
    ring.flip().await;
    ring.until(&[&client]).await;
    let () = cmd("CLIENT").arg("UNPAUSE").query_async(&mut pausing).await.unwrap();
    assert_eq!(transaction.await.unwrap().unwrap(), 42);
    for member in ["r0", "r1", "r3", "r4"] {
        assert_eq!(ring.count(member, &key).await, 42, "{member}");
    }
}

#[tokio::test]
async fn who_joins_has_the_scripts_and_functions_before_it_is_asked() {
    let mut ring = Operator::start(shared_zookeeper().await, 5, 3, async |_, _| None).await;
    let client = ring.client().await;
    let connection = client.connection();
    let version = |n: u32| {
        format!(
            "#!lua name=lib\nredis.register_function('f', function(keys) return redis.call('INCRBY', keys[1], {n}) end)"
        )
    };
    run_or_error(&connection, &["FUNCTION", "LOAD", &version(1)]).await.unwrap();
    let sha: String =
        redis::from_redis_value(run_or_error(&connection, &["SCRIPT", "LOAD", "return 7"]).await.unwrap()).unwrap();
    ring.sync_towards(&["r0", "r1", "r2", "r3", "r4"], &[&client]).await;
    let functions = async |member: &str| ring.ask::<Vec<u8>>(&id(member), cmd("FUNCTION").arg("DUMP")).await;
    for joining in ["r3", "r4"] {
        eventually(SOON, "it has what the others have", || async {
            let has: Vec<bool> = ring.ask(&id(joining), cmd("SCRIPT").arg("EXISTS").arg(&sha)).await;
            has == [true] && functions(joining).await == functions("r0").await
        })
        .await;
    }
    // In this moment those that join are not asked.
    run_or_error(&connection, &["FUNCTION", "LOAD", "REPLACE", &version(10)]).await.unwrap();
    let key = format!("{}n", ring.tag(&client, &["r0", "r1"], &["r3", "r4"]));
    ring.exact_cut(&id("r0"), &[id("r3"), id("r4")], &[]).await;
    assert_eq!(run_or_error(&connection, &["FCALL", "f", "1", &key]).await.unwrap(), Value::Int(10));
    ring.flip().await;
    ring.until(&[&client]).await;
    for joined in ["r3", "r4"] {
        eventually(SOON, "it has what the others were told", || async {
            ring.ask::<Vec<u8>>(&id(joined), cmd("FUNCTION").arg("DUMP")).await
                == ring.ask::<Vec<u8>>(&id("r0"), cmd("FUNCTION").arg("DUMP")).await
        })
        .await;
    }
    assert_eq!(run_or_error(&connection, &["FCALL", "f", "1", &key]).await.unwrap(), Value::Int(20));
    for member in ["r0", "r1", "r3", "r4"] {
        assert_eq!(ring.count(member, &key).await, 20, "{member}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_wait_iterations_and_kept_replies_follow_the_flip() {
    let mut ring = Operator::start(shared_zookeeper().await, 5, 3, async |_, _| None).await;
    let builder = ring.builder().cache(CachePolicy::AtMost { bytes: 1 << 20 });
    // That the primary is slow sends no read elsewhere.
    let client = builder.hedge_policy(HedgePolicy::Never).open().await.unwrap();
    let mut connection = client.connection();
    let next = ["r0", "r1", "r2", "r3", "r4"];
    ring.sync_towards(&next, &[&client]).await;
    let tag = ring.tag(&client, &["r0", "r1"], &["r3", "r4"]);
    let keys: Vec<String> = (0..300).map(|n| format!("k{n}")).collect();
    for key in &keys {
        let () = connection.set(key, "v").await.unwrap();
    }
    let (kept, list) = (format!("{tag}kept"), format!("{tag}list"));
    let () = connection.set(&kept, "old").await.unwrap();
    eventually(SOON, "a reply is kept", || {
        let (mut connection, kept, client) = (connection.clone(), &kept, &client);
        async move {
            assert_eq!(connection.get::<_, String>(kept).await.unwrap(), "old");
            client.stats().cache_hits > 0
        }
    })
    .await;
    let waiting = tokio::spawn({
        let (client, list) = (client.clone(), list.clone());
        async move { run_or_error(&client.connection(), &["BLPOP", &list, "600"]).await }
    });
    eventually(SOON, "the primary is to tell", || async {
        ring.ask::<String>(&id("r0"), cmd("CLIENT").arg("LIST")).await.contains("rr-watch:")
    })
    .await;
    // A part of an iteration under the old ring.
    let mut scan = client.scan(ScanOptions::new().count(10));
    let mut seen: Vec<String> = Vec::new();
    for _ in 0..20 {
        seen.push(String::from_utf8(scan.next().await.unwrap().unwrap()).unwrap());
    }
    let topology = client.topology();
    for source in ["r0", "r1", "r2"] {
        for joining in ["r3", "r4"] {
            let (gainer, _) = topology.find(&id(joining)).unwrap();
            let mine = |key: &&String| {
                let token = Token::of_key(key.as_bytes());
                topology.gains(gainer, token) && client.locate(key).owners[0].as_str() == source
            };
            let gained: Vec<String> = keys.iter().chain([&kept]).filter(mine).cloned().collect();
            ring.exact_cut(&id(source), &[id(joining)], &gained).await;
        }
    }
    let size = client.dbsize().await.unwrap();
    assert_eq!((size.keys, size.exact), (keys.len() as u64 + 1, false), "those that join are not asked");
    ring.flip().await;
    ring.until(&[&client]).await;
    ring.raise_gates().await;

    // The new primary alone is written, past every client, as by one that has seen the flip.
    let () = ring.ask(&id("r3"), cmd("SET").arg(&kept).arg("new")).await;
    assert_eq!(connection.get::<_, String>(&kept).await.unwrap(), "new", "nothing that another member said is given");
    let () = ring.client().await.connection().rpush(&list, "pushed").await.unwrap();
    let popped: (String, String) = redis::from_redis_value(waiting.await.unwrap().unwrap()).unwrap();
    assert_eq!(popped, (list, "pushed".to_owned()));
    while let Some(key) = scan.next().await {
        seen.push(String::from_utf8(key.unwrap()).unwrap());
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), keys.len() + 1, "{seen:?}");
}

#[tokio::test]
async fn copies_are_not_compared_while_the_key_is_gained() {
    // It is looked for as long as reads may take that the move is over.
    let (mut ring, client, tag) = syncing_with(Timeouts { open: SOON, ..Timeouts::default() }).await;
    let key = format!("{tag}k");
    let () = client.connection().set(&key, "v").await.unwrap();
    ring.exact_cut(&id("r0"), &[id("r3"), id("r4")], std::slice::from_ref(&key)).await;
    let () = ring.ask(&id("r1"), cmd("SET").arg(&key).arg("other")).await;
    let compare = async || client.compare(vec![key.as_bytes().to_vec()]).await;
    assert_eq!(compare().await, [Compared::Later]);
    ring.flip().await;
    ring.until(&[&client]).await;
    assert_eq!(compare().await, [Compared::Healed], "the old owners are written still");
    assert_eq!(ring.ask::<String>(&id("r1"), cmd("GET").arg(&key)).await, "v");
}

#[tokio::test]
async fn a_ring_that_moves_is_not_flushed() {
    let (_ring, client, tag) = syncing().await;
    let () = client.connection().set(format!("{tag}k"), "v").await.unwrap();
    let error = run_or_error(&client.connection(), &["FLUSHALL"]).await.unwrap_err();
    assert_eq!((own(&error).outcome(), own(&error).retry()), (Outcome::NotExecuted, Retry::Later));
    assert!(error.to_string().contains("syncing"), "{error}");
    assert_eq!(client.dbsize().await.unwrap().keys, 1);
}

/// A write that its primary executes in the middle of a move, while its reply is held up. The ring flips to members that were
/// copied what it did, and only then the connection is lost and nobody can reach the primary.
async fn unanswered_across_a_flip(
    begun_in: &str,
    timeouts: Timeouts,
    write: impl AsyncFn(RingClient, String, Arc<FaultProxy>) -> redis::RedisResult<()>,
) {
    let (mut ring, proxy) = with_a_proxy(5).await;
    let proxy = Arc::new(proxy);
    let client = ring.builder().timeouts(timeouts).session_timeout(SOON).open().await.unwrap();
    let next = ["r0", "r1", "r2", "r3", "r4"];
    for phase in ["filling", "syncing"].into_iter().take(if begun_in == "filling" { 1 } else { 2 }) {
        ring.phase_towards(phase, &next).await;
        ring.until(&[&client]).await;
    }
    let key = format!("{}n", ring.tag(&client, &["r0", "r1"], &["r3", "r4"]));
    let on_the_way = async {
        eventually(SOON, "the primary has executed it", || async { ring.count("r0", &key).await == 1 }).await;
        if begun_in == "filling" {
            ring.phase_towards("syncing", &next).await;
        }
        ring.exact_cut(&id("r0"), &[id("r3"), id("r4")], std::slice::from_ref(&key)).await;
        ring.flip().await;
        ring.raise_gates().await;
        ring.until(&[&client]).await;
        // Nothing that is held up passes, as it would in another mode.
        ring.servers[&id("r0")].kill();
        proxy.cut().await;
    };
    let (written, ()) = futures_util::future::join(write(client.clone(), key.clone(), proxy.clone()), on_the_way).await;
    let error = written.expect_err("nobody can tell whether it counts");
    assert_eq!(own(&error).outcome(), Outcome::Unknown, "{error}");
    assert_eq!(client.topology().find(&id("r0")).unwrap().1.state, redis_ring::placement::State::Down);
    for member in ["r3", "r4"] {
        assert_eq!(ring.count(member, &key).await, 1, "{member}");
    }
}

async fn incr_without_a_reply(client: RingClient, key: String, proxy: Arc<FaultProxy>) -> redis::RedisResult<()> {
    proxy.set(Mode::HoldReplies).await;
    client.connection().incr(&key, 1).await
}

#[tokio::test]
async fn a_write_that_was_not_answered_does_not_run_again_across_a_flip() {
    unanswered_across_a_flip("syncing", PATIENT, incr_without_a_reply).await;
}

#[tokio::test]
async fn nor_does_one_that_was_begun_two_steps_before() {
    unanswered_across_a_flip("filling", PATIENT, incr_without_a_reply).await;
}

#[tokio::test]
async fn nor_does_a_watched_transaction() {
    // It goes on asking for several times as long as a write may take.
    unanswered_across_a_flip("syncing", operator::timeouts(), async |client, key, proxy| {
        let () = client
            .transaction(&[&key], |mut connection, mut pipeline| {
                let (key, proxy) = (key.clone(), proxy.clone());
                async move {
                    proxy.set(Mode::HoldReplies).await;
                    pipeline.incr(&key, 1).ignore().query_async(&mut connection).await
                }
            })
            .await?;
        Ok(())
    })
    .await;
}

/// A member that gains a key answers otherwise than its primary, and the client hears of nothing that happens before all of
/// it has.
async fn answered_otherwise_by_who_gains(then: &[&str], happens: impl AsyncFn(&mut Operator)) {
    let zookeeper = shared_zookeeper().await;
    let mut ring = Operator::start(zookeeper, 5, 3, async |_, _| None).await;
    let to_zookeeper = FaultProxy::start(zookeeper.addr()).await;
    let client = operator::builder(&ring.url.replace(&zookeeper.addr(), &to_zookeeper.addr()));
    let client = client.session_timeout(SOON).open().await.unwrap();
    ring.sync_towards(&["r0", "r1", "r2", "r3", "r4"], &[&client]).await;
    let key = format!("{}n", ring.tag(&client, &["r0", "r1"], then));
    ring.exact_cut(&id("r0"), &[id("r3"), id("r4")], &[]).await;
    ring.ask::<()>(&id("r3"), cmd("SET").arg(&key).arg(100)).await;
    to_zookeeper.set(Mode::Stall).await;
    let connection = client.connection();
    let words = ["INCR", &key];
    let (answer, ()) = futures_util::future::join(run_or_error(&connection, &words), async {
        eventually(SOON, "both have answered", || async { ring.count("r3", &key).await == 101 }).await;
        happens(&mut ring).await;
        to_zookeeper.set(Mode::Pass).await;
    })
    .await;
    let error = answer.expect_err("nobody can tell which of the two counts");
    assert_eq!(own(&error).outcome(), Outcome::Unknown, "{error}");
}

#[tokio::test]
async fn who_has_not_seen_how_a_step_was_left_does_not_say_whose_answer_counts() {
    answered_otherwise_by_who_gains(&["r3", "r4"], async |ring| {
        ring.flip().await;
        ring.phase_of("still", |change| change.ring().old.clear()).await;
    })
    .await;
}

#[tokio::test]
async fn an_old_primary_is_not_right_again_where_the_one_after_it_was_taken_out() {
    answered_otherwise_by_who_gains(&["r3", "r0"], async |ring| {
        ring.flip().await;
        ring.take_out("r3").await;
    })
    .await;
}

/// For what is to happen before a client gives up waiting for it.
const PATIENT: Timeouts =
    Timeouts { connect: SOON, read: SOON, write: SOON, probe: Duration::from_millis(100), open: SOON };

/// How often a server has executed a command.
async fn calls(ring: &Operator, member: &str, command: &str) -> u64 {
    let stats: String = ring.ask(&id(member), cmd("INFO").arg("commandstats")).await;
    let calls =
        stats.lines().find_map(|line| line.strip_prefix("cmdstat_")?.strip_prefix(command)?.strip_prefix(":calls="));
    calls.and_then(|calls| calls.split(',').next()?.parse().ok()).unwrap_or(0)
}

/// What a client is told of a lock that the old primary has given it and that the new one, which gained the key, has refused
/// when it was named; and who has it then at both.
///
/// The client waits for what happens as long as a write may take, and insists at the new primary as long as a probe may.
async fn refused_by_who_gains(
    timeouts: Timeouts,
    happens: impl AsyncFn(&mut Operator, &str),
) -> (redis::RedisResult<Value>, [Option<String>; 2]) {
    let zookeeper = shared_zookeeper().await;
    let mut ring = Operator::start(zookeeper, 5, 3, async |_, _| None).await;
    let client = ring.builder().timeouts(timeouts).session_timeout(SOON).open().await.unwrap();
    ring.sync_towards(&["r0", "r1", "r2", "r3", "r4"], &[&client]).await;
    let key = format!("{}n", ring.tag(&client, &["r0", "r1"], &["r3", "r0"]));
    ring.exact_cut(&id("r0"), &[id("r3"), id("r4")], &[]).await;
    ring.ask::<()>(&id("r3"), cmd("SET").arg(&key).arg("theirs")).await;
    let connection = client.connection();
    let words = ["SET", &key, "mine", "NX"];
    let (answer, ()) = futures_util::future::join(run_or_error(&connection, &words), async {
        // The first is the one of somebody else.
        eventually(SOON, "the new primary has refused it", || async { calls(&ring, "r3", "set").await > 1 }).await;
        happens(&mut ring, &key).await;
    })
    .await;
    let holder = async |owner| ring.ask(&id(owner), cmd("GET").arg(&key)).await;
    (answer, [holder("r3").await, holder("r0").await])
}

#[tokio::test]
async fn a_lock_that_the_old_primary_gave_and_the_new_one_refuses_is_unknown() {
    let (answer, _) = refused_by_who_gains(operator::timeouts(), async |ring, _| ring.flip().await).await;
    assert_eq!(own(&answer.unwrap_err()).outcome(), Outcome::Unknown);
}

#[tokio::test]
async fn a_lock_that_was_given_back_meanwhile_is_taken_at_both_before_the_flip() {
    let give_back = async |ring: &mut Operator, key: &str| ring.ask::<()>(&id("r3"), cmd("DEL").arg(key)).await;
    let (answer, holders) = refused_by_who_gains(PATIENT, give_back).await;
    assert_eq!(answer.unwrap(), Value::Okay, "and nobody has flipped the ring");
    assert_eq!(holders, [Some("mine".to_owned()), Some("mine".to_owned())]);
}

#[tokio::test]
async fn a_lock_is_sent_there_again_for_as_long_as_the_step_lasts() {
    let (answer, _) = refused_by_who_gains(PATIENT, async |ring, key| {
        // More often than a copy that refuses is sent it again for a moment.
        eventually(SOON, "it was refused many times", || async { calls(ring, "r3", "set").await > 16 }).await;
        ring.ask::<()>(&id("r3"), cmd("DEL").arg(key)).await;
    })
    .await;
    assert_eq!(answer.unwrap(), Value::Okay, "and nobody has flipped the ring");
}

/// Keys with the same owners may have other ones in the next ring.
#[tokio::test]
async fn whose_answer_counts_is_decided_for_each_key_of_a_pipeline_by_who_is_to_have_it() {
    let zookeeper = shared_zookeeper().await;
    let mut ring = Operator::start(zookeeper, 5, 3, async |_, _| None).await;
    let client = ring.builder().timeouts(PATIENT).session_timeout(SOON).open().await.unwrap();
    ring.sync_towards(&["r0", "r1", "r2", "r3", "r4"], &[&client]).await;
    let stays = format!("{}n", ring.tag(&client, &["r0", "r1"], &["r0", "r3"]));
    let goes = format!("{}n", ring.tag(&client, &["r0", "r1"], &["r3", "r0"]));
    ring.exact_cut(&id("r0"), &[id("r3"), id("r4")], &[]).await;
    ring.ask::<()>(&id("r3"), cmd("SET").arg(&goes).arg(100)).await;
    let mut connection = client.connection();
    let mut pipeline = redis::pipe();
    pipeline.incr(&stays, 1).incr(&goes, 1);
    let (answer, ()) = futures_util::future::join(pipeline.query_async::<(u64, u64)>(&mut connection), async {
        eventually(SOON, "both have answered", || async { ring.count("r3", &goes).await == 101 }).await;
        ring.flip().await;
    })
    .await;
    assert_eq!(answer.unwrap(), (1, 101), "the next primary of each");
}

#[tokio::test]
async fn a_lock_that_was_given_back_after_the_flip_is_taken_at_the_new_primary() {
    let insisting = Timeouts { probe: SOON, ..PATIENT };
    let (answer, holders) = refused_by_who_gains(insisting, async |ring, key| {
        ring.flip().await;
        ring.ask::<()>(&id("r3"), cmd("DEL").arg(key)).await;
    })
    .await;
    assert_eq!(answer.unwrap(), Value::Okay);
    assert_eq!(holders, [Some("mine".to_owned()), Some("mine".to_owned())]);
}

#[tokio::test]
async fn a_lock_that_the_new_primary_gave_to_somebody_else_is_refused() {
    let (answer, holders) = refused_by_who_gains(PATIENT, async |ring, key| {
        ring.flip().await;
        // As whoever holds it there sees to it.
        for owner in ["r0", "r1"] {
            ring.ask::<()>(&id(owner), cmd("SET").arg(key).arg("theirs")).await;
        }
    })
    .await;
    assert_eq!(answer.unwrap(), Value::Nil);
    assert_eq!(holders, [Some("theirs".to_owned()), Some("theirs".to_owned())]);
}

#[tokio::test]
async fn what_a_primary_did_without_a_word_does_not_run_again_where_its_state_was_copied_since() {
    let (ring, proxy) = with_a_proxy(3).await;
    let zookeeper = shared_zookeeper().await;
    let to_zookeeper = FaultProxy::start(zookeeper.addr()).await;
    let client = operator::builder(&ring.url.replace(&zookeeper.addr(), &to_zookeeper.addr()));
    let timeouts = Timeouts { probe: SOON, ..operator::timeouts() };
    let client = client.timeouts(timeouts).session_timeout(SOON).open().await.unwrap();
    ring.until(&[&client]).await;
    let key =
        (0..).map(|n| format!("n{n}")).find(|key| client.locate(key).owners[..2] == [id("r0"), id("r1")]).unwrap();
    proxy.set(Mode::HoldReplies).await;
    let connection = client.connection();
    let words = ["INCR", &key];
    let (answer, ()) = futures_util::future::join(run_or_error(&connection, &words), async {
        eventually(SOON, "it is executed", || async { ring.count("r0", &key).await == 1 }).await;
        // Whoever wants to take the primary out has to wait.
        to_zookeeper.set(Mode::HoldReplies).await;
        let asked = to_zookeeper.counts().request_bytes;
        proxy.set(Mode::Stall).await;
        proxy.cut().await;
        eventually(SOON, "it is to be taken out", || async { to_zookeeper.counts().request_bytes > asked }).await;
        proxy.set(Mode::Pass).await;
        ring.until(&[&client]).await;
        let script = ["EVAL", "return redis.call('GET', KEYS[1])", "1", &key];
        run_or_error(&connection, &script).await.unwrap();
        assert_eq!(ring.count("r1", &key).await, 1, "the copy has its state");
        to_zookeeper.set(Mode::Pass).await;
    })
    .await;
    let error = answer.expect_err("nobody can tell whether it counts");
    assert_eq!(own(&error).outcome(), Outcome::Unknown, "{error}");
    assert_eq!(ring.count("r1", &key).await, 1);
}
