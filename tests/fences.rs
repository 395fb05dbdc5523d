//! A write is acknowledged only when no reader may ask whoever missed it: members that die, hang, or only lose a connection.
#![cfg(feature = "cli")]
#![cfg(test)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::{AsyncCommands, RedisResult, cmd};
use redis_ring::placement::State;
use redis_ring::policy::Timeouts;
use redis_ring::{Outcome, RingClient, RingConnection, WatchingConnection};
use support::{Mode, SOON, ZkRing, direct, eventually, id, key_of, own, run, shared_zookeeper};

/// A ring whose members nobody but its clients watches over, and a client that is connected to all of them.
async fn unwatched(count: usize) -> (ZkRing, RingClient) {
    let mut ring = ZkRing::start(shared_zookeeper().await, count).await;
    let client = connected(&ring, count).await;
    ring.stop_agents();
    (ring, client)
}

async fn connected(ring: &ZkRing, count: usize) -> RingClient {
    let client = ring.builder().name("orders").open().await.unwrap();
    all_connected(&client, count).await;
    client
}

async fn all_connected(client: &RingClient, count: usize) {
    eventually(SOON, "all are connected", || async { client.connected().len() == count }).await;
}

async fn set(
    connection: &RingConnection,
    key: &str,
    value: impl redis::ToSingleRedisArg + Send + Sync,
) -> RedisResult<()> {
    connection.clone().set(key, value).await
}

/// Counts in each of these keys with several callers until told to stop, and returns what was acknowledged and what may
/// have been done besides, of each key.
fn counters(
    connection: &RingConnection,
    keys: &[String],
    done: &Arc<AtomicBool>,
) -> Vec<tokio::task::JoinHandle<(String, i64, i64, Duration)>> {
    let workers = keys.iter().flat_map(|key| std::iter::repeat_n(key.clone(), 4));
    let worker = |key: String| {
        let (mut connection, done) = (connection.clone(), done.clone());
        tokio::spawn(async move {
            let (mut acknowledged, mut unknown, mut longest) = (0, 0, Duration::ZERO);
            while !done.load(Ordering::Relaxed) {
                let began = Instant::now();
                match connection.incr::<_, _, i64>(&key, 1).await {
                    Ok(_) => acknowledged += 1,
                    Err(error) if own(&error).outcome() == Outcome::Unknown => unknown += 1,
                    Err(error) => panic!("{error:?}"),
                }
                longest = longest.max(began.elapsed());
            }
            (key, acknowledged, unknown, longest)
        })
    };
    workers.map(worker).collect()
}

/// Each of these keys is what was acknowledged, exactly.
async fn assert_exact(
    connection: &RingConnection,
    workers: Vec<tokio::task::JoinHandle<(String, i64, i64, Duration)>>,
) -> Duration {
    let mut sums = std::collections::BTreeMap::new();
    let mut longest_of_all = Duration::ZERO;
    for worker in workers {
        let (key, acknowledged, unknown, longest) = worker.await.unwrap();
        assert_eq!(unknown, 0, "{key}");
        *sums.entry(key).or_insert(0) += acknowledged;
        longest_of_all = longest_of_all.max(longest);
    }
    for (key, sum) in sums {
        assert!(sum > 0, "{key}");
        assert_eq!(connection.clone().get::<_, i64>(&key).await.unwrap(), sum, "{key}");
    }
    longest_of_all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_dies_is_fenced_by_the_writer_and_its_record_says_by_whom_and_why() {
    let (ring, client) = unwatched(4).await;
    let connection = client.connection();
    let victim = id("redis-1");
    let (first, second) = (key_of(&client, "a", "redis-1"), key_of(&client, "b", "redis-0"));
    let copy = (0..).map(|i| format!("c{i}")).find(|key| client.locate(key).owners[1] == victim).unwrap();
    ring.servers[&victim].kill();
    for key in [&first, &second, &copy] {
        set(&connection, key, "v").await.unwrap();
        assert_eq!(run(&connection, &["APPEND", key, "w"]).await.unwrap(), redis::Value::Int(2), "{key}");
        assert_eq!(connection.clone().get::<_, String>(key).await.unwrap(), "vw");
    }
    let topology = client.topology();
    let (_, member) = topology.find(&victim).unwrap();
    assert_eq!((member.state, member.closed, member.by.as_deref()), (State::Down, false, Some("orders")));
    assert!(member.reason.as_deref().unwrap().contains("refuses connections"), "{member:?}");
    let stats = client.stats();
    assert_eq!((stats.missed_writes, stats.unknown_writes, stats.debts), (0, 0, 0), "{stats:?}");
    // No marks: everybody knows by the record.
    let marks: i64 = direct::ask(&ring.servers[&id("redis-0")].addr(), cmd("EXISTS").arg("__rr:ahead")).await;
    assert_eq!(marks, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_are_exact_when_their_primary_is_killed() {
    let (ring, client) = unwatched(4).await;
    let connection = client.connection();
    let keys: Vec<String> = ["x", "y", "z"].iter().map(|prefix| key_of(&client, prefix, "redis-2")).collect();
    let done = Arc::default();
    let workers = counters(&connection, &keys, &done);
    eventually(SOON, "counting", || async {
        connection.clone().get::<_, Option<i64>>(&keys[0]).await.unwrap() > Some(50)
    })
    .await;
    ring.servers[&id("redis-2")].kill();
    ring.until(&client, &id("redis-2"), State::Down).await;
    let before: i64 = connection.clone().get(&keys[0]).await.unwrap();
    eventually(SOON, "counting on", || async {
        connection.clone().get::<_, i64>(&keys[0]).await.unwrap() > before + 50
    })
    .await;
    done.store(true, Ordering::Relaxed);
    let longest = assert_exact(&connection, workers).await;
    println!("longest write: {longest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_are_exact_when_their_primary_hangs_and_goes_on() {
    let (ring, client) = unwatched(4).await;
    let connection = client.connection();
    let keys: Vec<String> = ["x", "y", "z"].iter().map(|prefix| key_of(&client, prefix, "redis-2")).collect();
    let done = Arc::default();
    let workers = counters(&connection, &keys, &done);
    eventually(SOON, "counting", || async {
        connection.clone().get::<_, Option<i64>>(&keys[0]).await.unwrap() > Some(50)
    })
    .await;
    ring.servers[&id("redis-2")].stop().unwrap();
    ring.until(&client, &id("redis-2"), State::Down).await;
    ring.servers[&id("redis-2")].cont().unwrap();
    let before: i64 = connection.clone().get(&keys[0]).await.unwrap();
    eventually(SOON, "counting on", || async {
        connection.clone().get::<_, i64>(&keys[0]).await.unwrap() > before + 50
    })
    .await;
    done.store(true, Ordering::Relaxed);
    let longest = assert_exact(&connection, workers).await;
    println!("longest write: {longest:?}");
    // What lay in its socket it has executed, and nobody asks it.
    let topology = client.topology();
    assert!(topology.find(&id("redis-2")).unwrap().1.reason.as_deref().unwrap().contains("does not answer"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelines_transactions_and_scripts_are_exact_when_their_primary_is_killed() {
    let (ring, client) = unwatched(4).await;
    let connection = client.connection();
    let keys: Vec<String> = ["x", "y", "z"].iter().map(|prefix| key_of(&client, prefix, "redis-2")).collect();
    let done = Arc::new(AtomicBool::new(false));
    let counted: Vec<Arc<AtomicU64>> = keys.iter().map(|_| Arc::default()).collect();
    let mut workers = Vec::new();
    // What scripts write is copied as the state that the key has, and a watched transaction is in no known order with those.
    let of_kind = |kind: usize| if kind == 3 { &keys[2..] } else { &keys[..2] };
    for kind in 0..4 {
        let counted = if kind == 3 { &counted[2..] } else { &counted[..2] };
        for (key, counted) in of_kind(kind).iter().cloned().zip(counted.to_vec()) {
            let (mut connection, client, done) = (connection.clone(), client.clone(), done.clone());
            workers.push(tokio::spawn(async move {
                while !done.load(Ordering::Relaxed) {
                    let result: RedisResult<redis::Value> = match kind {
                        0 => redis::pipe().incr(&key, 1).query_async(&mut connection).await,
                        1 => redis::pipe().atomic().incr(&key, 1).query_async(&mut connection).await,
                        2 => {
                            let script = redis::Script::new("return redis.call('INCR', KEYS[1])");
                            script.key(&key).invoke_async(&mut connection).await
                        }
                        _ => {
                            let increment = |mut watching: WatchingConnection, mut pipe: redis::Pipeline| {
                                let key = key.clone();
                                async move {
                                    let n: Option<i64> = watching.get(&key).await?;
                                    pipe.set(&key, n.unwrap_or(0) + 1).query_async(&mut watching).await
                                }
                            };
                            client.transaction(&[&key], increment).await
                        }
                    };
                    match result {
                        Ok(_) => {
                            counted.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => panic!("kind {kind}: {error:?}"),
                    }
                }
            }));
        }
    }
    let count = || counted.iter().map(|counted| counted.load(Ordering::Relaxed)).sum::<u64>();
    eventually(SOON, "counting", || async { count() > 100 }).await;
    ring.servers[&id("redis-2")].kill();
    ring.until(&client, &id("redis-2"), State::Down).await;
    let before = count();
    eventually(SOON, "counting on", || async { count() > before + 100 }).await;
    done.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    for (key, counted) in keys.iter().zip(&counted) {
        assert_eq!(connection.clone().get::<_, u64>(key).await.unwrap(), counted.load(Ordering::Relaxed), "{key}");
    }
}

#[tokio::test]
async fn an_effect_that_cannot_be_told_is_not_acknowledged_when_nobody_else_has_it() {
    let mut ring = ZkRing::behind_proxies(shared_zookeeper().await, 4).await;
    let timeouts = Timeouts { open: SOON, write: Duration::from_secs(5), ..Timeouts::default() };
    let client = ring.builder().timeouts(timeouts).open().await.unwrap();
    all_connected(&client, 4).await;
    ring.stop_agents();
    let connection = client.connection();
    let primary = id("redis-2");
    let (key, proxy) = (key_of(&client, "k", "redis-2"), &ring.proxies[&primary]);
    // No reply to what was asked before is under way.
    let quiet = async || {
        let before = proxy.counts().reply_bytes;
        tokio::time::sleep(Duration::from_millis(150)).await;
        proxy.counts().reply_bytes == before
    };
    eventually(SOON, "nothing is said", quiet).await;
    // What the primary is asked when it has answered takes its time as well.
    proxy.set(Mode::Delay { requests: Duration::from_secs(3), replies: Duration::ZERO }).await;
    // Redis takes hexadecimal numbers, and nobody else has to.
    let words = ["INCRBYFLOAT", &key, "0x10"];
    let (result, ()) = tokio::join!(run(&connection, &words), async {
        let addr = ring.servers[&primary].addr();
        let answered = proxy.counts().reply_bytes;
        eventually(SOON, "it is executed", || async {
            direct::ask::<Option<String>>(&addr, cmd("GET").arg(&key)).await.as_deref() == Some("16")
        })
        .await;
        eventually(SOON, "it is answered", || async { proxy.counts().reply_bytes > answered }).await;
        ring.servers[&primary].kill();
        proxy.cut().await;
    });
    let next = client.locate(&key).owners[1].clone();
    let held: Option<String> = direct::ask(&ring.servers[&next].addr(), cmd("GET").arg(&key)).await;
    assert_eq!(held, None);
    let error = result.expect_err("nobody has it");
    assert_eq!(own(&error).outcome(), Outcome::Unknown, "{error}");
}
