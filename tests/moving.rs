//! Writes while the ring moves: who gets them in each phase, and in which order. There are no agents here; the test plays
//! them, so that a phase lasts as long as it takes to look.
#![cfg(feature = "cli")]
#![cfg(test)]

#[path = "moving/operator.rs"]
mod operator;
mod support;

use std::time::Duration;

use futures_util::future::join_all;
use redis::{AsyncCommands, Value, cmd, pipe};
use redis_ring::placement::NodeId;
use redis_ring::{ErrorKind, Outcome, RingClient};

use operator::Operator;
use support::{SOON, call, eventually, id, own, run, run_or_error, shared_zookeeper};

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
    ("SET K v EX 10", "EXPIRE K 1000 GT"),
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
    let mut ring = Operator::start(shared_zookeeper().await, 5, 3, async |_, _| None).await;
    let client = ring.client().await;
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
        let token = redis_ring::placement::Token::of_key(key.as_bytes());
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
    // What becomes of a write that was missed is decided where owners miss one.
    let _ = run(&client.connection(), &["SET", &format!("{tag}k"), "v"]).await;
    assert!(client.stats().missed_writes > 0);
    // And the one that is not named may be where it is.
    ring.servers[&id("r4")].kill();
    assert_eq!(ring.ask::<String>(&id("r0"), cmd("GET").arg(format!("{tag}k"))).await, "v");
}

#[tokio::test]
async fn a_primary_whose_gate_is_shut_is_not_believed() {
    let (ring, client, tag) = syncing().await;
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
