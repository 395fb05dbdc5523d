//! Several keys, pipelines, transactions and effects through a client, on real servers with fixed membership.
#![cfg(feature = "cli")]
#![cfg(test)]

mod support;

use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{AsyncCommands, Value, cmd, pipe};
use redis_ring::{ErrorKind, Outcome, RingClient};
use support::{FaultProxy, FixedRing, Mode, SOON, direct, eventually, own, run};

/// A key whose primary and whose copy are these members.
fn key_of(client: &RingClient, prefix: &str, owners: [&str; 2]) -> String {
    (0..)
        .map(|i| format!("{prefix}{i}"))
        .find(|key| client.locate(key).owners.iter().map(|id| id.as_str()).eq(owners))
        .expect("a key")
}

#[tokio::test]
async fn many_keys_are_answered_in_their_order_and_written_to_all_owners() {
    let ring = FixedRing::start(4).await;
    let client = ring.connected(ring.patient()).await;
    let mut connection = client.connection();
    let keys: Vec<String> = (0..100).map(|i| format!("user:{i}")).collect();
    let pairs: Vec<(&String, usize)> = keys.iter().zip(0..).collect();
    let () = connection.mset(&pairs).await.unwrap();
    let mut asked: Vec<String> = keys.clone();
    asked.insert(50, "missing".to_owned());
    asked.push(keys[7].clone());
    let values: Vec<Option<usize>> = connection.mget(&asked).await.unwrap();
    let mut expected: Vec<Option<usize>> = (0..100).map(Some).collect();
    expected.insert(50, None);
    expected.push(Some(7));
    assert_eq!(values, expected);
    for key in &keys {
        assert!(ring.copies_are_equal(&client, key).await, "{key}");
        assert_eq!(direct::content(&ring.owners(&client, key)[1].addr(), key).await.0, "string");
    }
    assert_eq!(connection.exists::<_, usize>(&asked).await.unwrap(), 101);
    assert_eq!(cmd("TOUCH").arg(&asked).query_async::<usize>(&mut connection).await.unwrap(), 101);
    assert_eq!(connection.del::<_, usize>(&asked[..40]).await.unwrap(), 40);
    assert_eq!(connection.unlink::<_, usize>(&asked).await.unwrap(), 60);
    for server in ring.servers.values() {
        assert_eq!(direct::ask::<usize>(&server.addr(), &cmd("DBSIZE")).await, 0);
    }
    assert_eq!(client.stats().missed_writes + client.stats().differing_replies, 0);
}

#[tokio::test]
async fn a_part_that_fails_makes_the_call_fail_and_is_named() {
    let ring = FixedRing::start(4).await;
    let client = ring.client().await;
    let mut connection = client.connection();
    let lost = key_of(&client, "a", ["r0", "r1"]);
    let kept = key_of(&client, "b", ["r2", "r3"]);
    let () = connection.mset(&[(&lost, 1), (&kept, 2)]).await.unwrap();
    for id in ["r0", "r1"] {
        ring.server(&redis_ring::placement::NodeId::new(id).unwrap()).stop().unwrap();
    }
    let error = connection.mget::<_, Vec<Option<i32>>>(&[&kept, &lost]).await.unwrap_err();
    let error = own(&error);
    assert_eq!(error.kind(), ErrorKind::NoOwner);
    assert_eq!(error.to_string(), "MGET failed for key 2 of 2 (on r0, r1)");
    let error = connection.mset::<_, _, ()>(&[(&kept, 3), (&lost, 3)]).await.unwrap_err();
    assert_eq!(own(&error).outcome(), Outcome::Unknown, "the other part is written");
    for id in ["r0", "r1"] {
        ring.server(&redis_ring::placement::NodeId::new(id).unwrap()).cont().unwrap();
    }
}

#[tokio::test]
async fn a_pipeline_answers_in_order_with_errors_in_their_places() {
    let ring = FixedRing::start(4).await;
    let client = ring.connected(ring.patient()).await;
    let mut connection = client.connection();
    let mut pipeline = pipe();
    for i in 0..200 {
        pipeline.set(format!("k{i}"), i).ignore();
        pipeline.incr(format!("k{i}"), 1);
        pipeline.get(format!("k{i}"));
        pipeline.cmd("LPUSH").arg(format!("l{}", i % 7)).arg(i).ignore();
    }
    pipeline.cmd("LPUSH").arg("k0").arg("x").ignore();
    pipeline.cmd("SELECT").arg(1).ignore();
    let raw = connection.req_packed_commands(&pipeline, 0, pipeline.len()).await.unwrap();
    assert_eq!(raw.len(), 802);
    for i in 0..200 {
        assert_eq!(raw[i * 4], Value::Okay);
        assert_eq!(raw[i * 4 + 1], Value::Int(i as i64 + 1));
        assert_eq!(raw[i * 4 + 2], Value::BulkString((i + 1).to_string().into_bytes()));
        assert_eq!(raw[i * 4 + 3], Value::Int(i as i64 / 7 + 1));
    }
    let code = |value: &Value| match value {
        Value::ServerError(error) => error.code().to_owned(),
        other => panic!("{other:?}"),
    };
    assert_eq!((code(&raw[800]), code(&raw[801])), ("WRONGTYPE".to_owned(), "REFUSED".to_owned()));
    for key in (0..200).map(|i| format!("k{i}")).chain((0..7).map(|i| format!("l{i}"))) {
        assert!(ring.copies_are_equal(&client, &key).await, "{key}");
    }
    assert_eq!(client.stats().missed_writes + client.stats().differing_replies, 0);
    let (a, b): (Option<i32>, Vec<i32>) =
        pipe().get("k5").lrange("l1", 0, 0).query_async(&mut connection).await.unwrap();
    assert_eq!((a, b), (Some(6), vec![197]));
}

#[tokio::test]
async fn a_transaction_runs_as_one_and_is_copied_as_one() {
    let ring = FixedRing::start(4).await;
    let client = ring.connected(ring.patient()).await;
    let mut connection = client.connection();
    let (n, len, popped, f): (i32, i32, Option<String>, f64) = pipe()
        .atomic()
        .incr("{t}n", 5)
        .rpush("{t}l", "x")
        .cmd("SPOP")
        .arg("{t}s")
        .cmd("INCRBYFLOAT")
        .arg("{t}f")
        .arg("1.5")
        .cmd("SETEX")
        .arg("{t}e")
        .arg(100)
        .arg("v")
        .ignore()
        .query_async(&mut connection)
        .await
        .unwrap();
    assert_eq!((n, len, popped, f), (5, 1, None, 1.5));
    for key in ["{t}n", "{t}l", "{t}f", "{t}e"] {
        assert!(ring.copies_are_equal(&client, key).await, "{key}");
        assert_ne!(direct::content(&ring.owners(&client, key)[1].addr(), key).await.0, "none", "{key}");
    }
    let error = pipe().atomic().set("a", 1).set("b", 2).query_async::<()>(&mut connection).await.unwrap_err();
    assert_eq!(own(&error).kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("\"a\" and \"b\" do not"), "{error}");
    // A command that cannot even be queued: nothing is executed, anywhere.
    let error =
        pipe().atomic().set("{t}q", 1).cmd("HSET").arg("{t}h").arg("f").query_async::<()>(&mut connection).await;
    assert!(error.is_err());
    assert!(!connection.exists::<_, bool>("{t}q").await.unwrap());
    assert_eq!(client.stats().missed_writes + client.stats().differing_replies, 0);
}

#[tokio::test]
async fn what_is_random_or_depends_on_time_is_the_same_on_both_owners() {
    let mut ring = FixedRing::start(3).await;
    // One member gets everything later.
    let id = ring.servers.keys().next().unwrap().clone();
    let proxy = FaultProxy::start(ring.server(&id).addr()).await;
    ring.reach(&id, proxy.addr());
    let client = ring.connected(ring.patient()).await;
    proxy.set(Mode::Delay { requests: Duration::from_millis(15), replies: Duration::ZERO }).await;
    let connection = client.connection();
    let members: Vec<String> = (0..50).map(|i| i.to_string()).collect();
    for n in 0..6 {
        let key = |name: &str| format!("{{{n}}}{name}");
        let mut add = cmd("SADD");
        let () = add.arg(key("set")).arg(&members).query_async(&mut connection.clone()).await.unwrap();
        let writes: Vec<Vec<String>> = [
            vec!["SPOP", "set"],
            vec!["SPOP", "set", "7"],
            vec!["XADD", "x", "*", "f", "v"],
            vec!["XADD", "x", "MAXLEN", "~", "100", "*", "f", "v"],
            vec!["INCRBYFLOAT", "f", "0.1"],
            vec!["INCRBYFLOAT", "f", "0.2"],
            vec!["HINCRBYFLOAT", "h", "a", "3.3"],
            vec!["SET", "t", "v"],
            vec!["EXPIRE", "t", "100"],
            vec!["PEXPIRE", "t", "200000", "GT"],
            vec!["GETEX", "t", "EX", "300"],
            vec!["SORT", "set", "LIMIT", "0", "5", "STORE", "sorted"],
            vec!["EVAL", "redis.call('SET', KEYS[1], math.random()) return redis.call('TIME')[1]", "1", "script"],
            vec!["EVAL", "return redis.call('DEL', KEYS[1])", "1", "t"],
        ]
        .iter()
        .map(|words| {
            let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            for at in 1..words.len() {
                let named = ["set", "x", "f", "h", "t", "sorted", "script"].contains(&words[at].as_str());
                let is_key = at == 1 && words[0] != "EVAL" || words[0] == "EVAL" && at == 3 || words[at] == "sorted";
                if named && is_key {
                    words[at] = key(&words[at]);
                }
            }
            words
        })
        .collect();
        for words in writes {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let reply = run(&connection, &words).await.unwrap_or_else(|error| panic!("{words:?}: {error}"));
            assert!(!matches!(reply, Value::ServerError(_)), "{words:?}: {reply:?}");
            for name in ["set", "x", "f", "h", "t", "sorted", "script"] {
                assert!(ring.copies_are_equal(&client, &key(name)).await, "{name} after {words:?}");
            }
        }
    }
    assert_eq!(client.stats().missed_writes + client.stats().differing_replies, 0);
}

/// Commands in flight at the same time, in one process, for one key.
#[tokio::test]
async fn many_tasks_on_one_key_leave_equal_copies() {
    let ring = FixedRing::start(3).await;
    let client = ring.connected(ring.patient()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..32_i64 {
        let mut connection = client.connection();
        tasks.spawn(async move {
            for i in 0..30_i64 {
                match (n + i) % 6 {
                    0 => drop(connection.rpush::<_, _, i64>("{k}l", n * 100 + i).await.unwrap()),
                    1 => drop(
                        run(&connection, &["EVAL", "return redis.call('INCR', KEYS[1])", "1", "{k}n"]).await.unwrap(),
                    ),
                    2 => drop(connection.incr::<_, _, i64>("{k}n", 1).await.unwrap()),
                    3 => drop(run(&connection, &["INCRBYFLOAT", "{k}f", "0.5"]).await.unwrap()),
                    4 => drop(
                        pipe()
                            .incr("{k}n", 1)
                            .lpop("{k}l", None)
                            .query_async::<(i64, Option<i64>)>(&mut connection)
                            .await
                            .unwrap(),
                    ),
                    _ => drop(
                        pipe()
                            .atomic()
                            .incr("{k}n", 1)
                            .incr("{k}m", 1)
                            .query_async::<(i64, i64)>(&mut connection)
                            .await
                            .unwrap(),
                    ),
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    for key in ["{k}l", "{k}n", "{k}f", "{k}m"] {
        assert!(ring.copies_are_equal(&client, key).await, "{key}");
    }
    let n: i64 = client.connection().get("{k}n").await.unwrap();
    assert_eq!(n, 4 * 160);
    assert_eq!(client.stats().missed_writes + client.stats().differing_replies, 0);
}

#[tokio::test]
async fn pipelines_fail_over_when_a_member_dies() {
    let ring = FixedRing::start(4).await;
    let client = ring.client().await;
    let mut connection = client.connection();
    let keys: Vec<String> = (0..100).map(|i| format!("k{i}")).collect();
    let mut write = pipe();
    keys.iter().for_each(|key| {
        write.set(key, "v").ignore();
    });
    let () = write.query_async(&mut connection).await.unwrap();
    ring.servers.values().next().unwrap().kill();
    eventually(SOON, "reads by pipeline are whole", async || {
        let mut read = pipe();
        keys.iter().for_each(|key| {
            read.get(key);
        });
        let Ok(values) = read.query_async::<Vec<Option<String>>>(&mut client.connection()).await else { return false };
        assert!(values.iter().all(Option::is_some));
        let Ok(values) = client.connection().mget::<_, Vec<Option<String>>>(&keys).await else { return false };
        values.iter().all(Option::is_some)
    })
    .await;
    let () = write.query_async(&mut connection).await.unwrap();
    assert!(client.stats().missed_writes > 0, "one owner misses them, and that is counted");
}

/// What stands in line must leave first, also before what could go to all owners at once.
#[tokio::test]
async fn an_absolute_pipeline_waits_for_what_stands_in_line() {
    let ring = FixedRing::start(3).await;
    let client = ring.connected(ring.patient()).await;
    for i in 0..20 {
        let key = format!("{{k{i}}}");
        let (mut first, mut second) = (client.connection(), client.connection());
        let mut script = cmd("EVAL");
        script.arg("return redis.call('SET', KEYS[1], 'old')").arg(1).arg(&key);
        let mut pipeline = pipe();
        pipeline.set(&key, "new").ignore().set(format!("{key}other"), "new").ignore();
        let (scripted, set) =
            futures_util::join!(script.query_async::<()>(&mut first), pipeline.query_async::<()>(&mut second));
        scripted.and(set).unwrap();
        let held = direct::content(&ring.owners(&client, &key)[0].addr(), &key).await;
        assert!(held.1[0].contains("new"), "{held:?}");
        assert!(ring.copies_are_equal(&client, &key).await, "{key}");
    }
    assert_eq!(client.stats().missed_writes + client.stats().differing_replies, 0);
}

/// Threads that overtake each other between a primary's reply and the copies.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn pipelines_of_several_threads_reach_the_copies_in_one_order() {
    let ring = FixedRing::start(2).await;
    let client = ring.connected(ring.patient()).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..64_i64 {
        let mut connection = client.connection();
        tasks.spawn(async move {
            for i in 0..40_i64 {
                let mut pipeline = pipe();
                pipeline.rpush("list", n * 1000 + i).ignore().cmd("APPEND").arg("text").arg(format!("{n},")).ignore();
                let () = pipeline.query_async(&mut connection).await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    for key in ["list", "text"] {
        assert!(ring.copies_are_equal(&client, key).await, "{key}");
    }
    assert_eq!(client.stats().missed_writes + client.stats().differing_replies, 0);
}
