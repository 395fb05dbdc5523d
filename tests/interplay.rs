//! Faults between the parts: calls that wait and connections that break, healing and other clients, the cache and every way to write.
#![cfg(feature = "cli")]
#![cfg(test)]

mod support;

use std::time::Duration;

use redis::{AsyncCommands, Value};
use redis_ring::RingClient;
use redis_ring::policy::{CachePolicy, HedgePolicy, ReadPolicy, Timeouts};
use support::{FaultProxy, FixedRing, Mode, SOON, call, direct, eventually, id, key_of, redis, run_or_error as run};

struct Two {
    ring: FixedRing,
    near: RingClient,
    far: RingClient,
    r0: FaultProxy,
    r1: FaultProxy,
}

async fn two() -> Two {
    let mut ring = FixedRing::start(2).await;
    // Longer than a busy machine keeps one waiting, and not by much: suspects are looked at as far apart as a write may take.
    let timeouts = Timeouts { read: SOON, write: Duration::from_secs(1), ..Timeouts::default() };
    let near = ring.connected(ring.builder().timeouts(timeouts.clone())).await;
    let r0 = FaultProxy::start(ring.server(&id("r0")).addr()).await;
    let r1 = FaultProxy::start(ring.server(&id("r1")).addr()).await;
    ring.reach(&id("r0"), r0.addr());
    ring.reach(&id("r1"), r1.addr());
    let far = ring.connected(ring.builder().timeouts(timeouts)).await;
    Two { ring, near, far, r0, r1 }
}

#[tokio::test]
async fn what_is_taken_again_from_a_copy_is_not_what_was_added_since() {
    let two = two().await;
    let (r0, r1) = (two.ring.server(&id("r0")).addr(), two.ring.server(&id("r1")).addr());
    let key = key_of(&two.near, "z", "r0");
    two.r1.set(Mode::Delay { requests: Duration::from_millis(300), replies: Duration::ZERO }).await;
    let far = tokio::spawn({
        let (far, key) = (two.far.connection(), key.clone());
        async move { run(&far, &["ZADD", &key, "1", "e"]).await }
    });
    eventually(SOON, "the primary has it", || async {
        direct::ask::<Option<f64>>(&r0, &call(&["ZSCORE", &key, "e"])).await.is_some()
    })
    .await;
    let pop = tokio::spawn({
        let (near, key) = (two.near.connection(), key.clone());
        async move { run(&near, &["BZPOPMIN", &key, "0"]).await }
    });
    eventually(SOON, "the copy is told of the pop", || async { direct::calls(&r1, "zrem").await > 0 }).await;
    run(&two.near.connection(), &["ZADD", &key, "5", "e"]).await.unwrap();
    pop.await.unwrap().unwrap();
    far.await.unwrap().unwrap();
    eventually(SOON, "nothing is suspected", || async { two.near.suspects() + two.far.suspects() == 0 }).await;
    assert_eq!(direct::content(&r1, &key).await, direct::content(&r0, &key).await);
}

#[tokio::test]
async fn a_waiting_call_stays_when_a_key_of_another_type_comes() {
    let plain = redis().await;
    let ring = FixedRing::start(2).await;
    let client = ring.client().await;
    let waiting = tokio::spawn({
        let connection = client.connection();
        async move { run(&connection, &["BLPOP", "q", "0"]).await }
    });
    let wait = tokio::spawn({
        let addr = plain.addr();
        async move {
            let mut connection = direct::connect(&addr).await;
            call(&["BLPOP", "q", "0"]).query_async::<Value>(&mut connection).await
        }
    });
    let primary = ring.owners(&client, "q")[0].addr();
    eventually(SOON, "it waits", || async { direct::calls(&primary, "exists").await > 0 }).await;
    eventually(SOON, "it waits", || async { direct::calls(&plain.addr(), "blpop").await > 0 }).await;
    let connection = client.connection();
    let looked = direct::calls(&primary, "blpop").await;
    run(&connection, &["SET", "q", "text"]).await.unwrap();
    let _: Value = direct::ask(&plain.addr(), &call(&["SET", "q", "text"])).await;
    eventually(SOON, "it has looked", || async { direct::calls(&primary, "blpop").await > looked }).await;
    run(&connection, &["DEL", "q"]).await.unwrap();
    run(&connection, &["RPUSH", "q", "x"]).await.unwrap();
    let _: Value = direct::ask(&plain.addr(), &call(&["DEL", "q"])).await;
    let _: Value = direct::ask(&plain.addr(), &call(&["RPUSH", "q", "x"])).await;
    let expected = wait.await.unwrap().unwrap();
    let got = tokio::time::timeout(SOON, waiting).await.unwrap().unwrap();
    assert_eq!(got.expect("as a server"), expected);
}

#[tokio::test]
async fn healing_does_not_undo_what_another_client_wrote_while_it_could_not_reach_the_primary() {
    let two = two().await;
    let key = key_of(&two.near, "k", "r0");
    run(&two.near.connection(), &["SET", &key, "1"]).await.unwrap();
    two.r0.set(Mode::Refuse).await;
    two.r0.cut().await;
    eventually(SOON, "acknowledged", || async { run(&two.far.connection(), &["SET", &key, "100"]).await.is_ok() })
        .await;
    assert_eq!(two.far.connection().get::<_, i64>(&key).await.unwrap(), 100);
    run(&two.near.connection(), &["INCR", &key]).await.unwrap();
    eventually(SOON, "nothing is suspected", || async { two.near.suspects() == 0 }).await;
    let now: i64 = two.far.connection().get(&key).await.unwrap();
    assert!(now >= 100, "the acknowledged 100 became {now}; {:?}", two.near.stats());
}

#[tokio::test]
async fn what_this_process_wrote_it_reads() {
    for policy in [ReadPolicy::Primary, ReadPolicy::Replica, ReadPolicy::Any] {
        let ring = FixedRing::start(3).await;
        let builder = ring
            .patient()
            .cache(CachePolicy::AtMost { bytes: 1 << 20 })
            .read_policy(policy.clone())
            .hedge_policy(HedgePolicy::Never);
        let client = ring.connected(builder).await;
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let mut connection = client.connection();
                tokio::spawn(async move {
                    loop {
                        let _: Option<i64> = connection.get("{k}a").await.unwrap();
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        let mut connection = client.connection();
        for n in 1..800_i64 {
            let text = n.to_string();
            let way = n % 9;
            match way {
                0 => drop(run(&connection, &["SET", "{k}a", &text]).await.unwrap()),
                1 => {
                    let () = redis::pipe().set("{k}a", n).ignore().query_async(&mut connection).await.unwrap();
                }
                2 => {
                    let () = redis::pipe().atomic().set("{k}a", n).ignore().query_async(&mut connection).await.unwrap();
                }
                3 => {
                    let lua = "return redis.call('SET', KEYS[1], ARGV[1])";
                    drop(run(&connection, &["EVAL", lua, "1", "{k}a", &text]).await.unwrap());
                }
                4 => {
                    let _: (Value,) = client
                        .transaction(&["{k}a"], |mut connection, mut pipeline| async move {
                            pipeline.set("{k}a", n).query_async::<Option<(Value,)>>(&mut connection).await
                        })
                        .await
                        .unwrap();
                }
                5 => drop(run(&connection, &["MSET", "{k}a", &text, "other", "1"]).await.unwrap()),
                6 => drop(run(&connection, &["GETSET", "{k}a", &text]).await.unwrap()),
                7 => {
                    run(&connection, &["SET", "{k}b", &text]).await.unwrap();
                    drop(run(&connection, &["RENAME", "{k}b", "{k}a"]).await.unwrap());
                }
                _ => drop(run(&connection, &["FLUSHDB"]).await.unwrap()),
            }
            let wanted = (way != 8).then_some(n);
            assert_eq!(connection.get::<_, Option<i64>>("{k}a").await.unwrap(), wanted, "{policy:?} way {way}");
        }
        assert!(client.stats().cache_hits > 100, "{:?}", client.stats());
        readers.iter().for_each(|reader| reader.abort());
    }
}

/// A primary that answers a waiting call too late: it has done it, and the next owner does it again.
async fn late(push: &[&str], wait: &[&str], reset: bool) -> (Two, Value) {
    let two = two().await;
    let (r0, r1) = (two.ring.server(&id("r0")).addr(), two.ring.server(&id("r1")).addr());
    let words = |tag: &str, words: &[&str]| -> Vec<String> {
        words.iter().map(|word| word.replace("{t}", &format!("{{{tag}}}"))).collect()
    };
    let tag = key_of(&two.near, "t", "r0");
    let (push, wait) = (words(&tag, push), words(&tag, wait));
    let push: Vec<&str> = push.iter().map(String::as_str).collect();
    run(&two.far.connection(), &push).await.unwrap();
    two.r0.set(Mode::HoldReplies).await;
    let name = wait[0].to_lowercase();
    let waiting = tokio::spawn({
        let far = two.far.connection();
        let wait = wait.clone();
        async move {
            let wait: Vec<&str> = wait.iter().map(String::as_str).collect();
            run(&far, &wait).await
        }
    });
    eventually(SOON, "the primary has done it", || async { direct::calls(&r0, &name).await > 0 }).await;
    if reset {
        two.r0.cut().await;
        two.r0.set(Mode::Pass).await;
    }
    let began = std::time::Instant::now();
    while direct::calls(&r1, &name).await == 0 && began.elapsed() < Duration::from_secs(4) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    println!(
        "elsewhere {} after {:?}; finished {}",
        direct::calls(&r1, &name).await,
        began.elapsed(),
        waiting.is_finished()
    );
    two.r0.set(Mode::Pass).await;
    let reply = tokio::time::timeout(SOON, waiting).await.unwrap().unwrap().unwrap();
    eventually(SOON, "nothing is suspected", || async { two.near.suspects() + two.far.suspects() == 0 }).await;
    for key in ["{t}a", "{t}b"] {
        let key = words(&tag, &[key]).remove(0);
        assert_eq!(direct::content(&r0, &key).await, direct::content(&r1, &key).await, "{key}");
    }
    (two, reply)
}

#[tokio::test]
async fn an_element_that_is_there_twice_is_not_taken_twice() {
    late(&["RPUSH", "{t}a", "x", "x", "x"], &["BLPOP", "{t}a", "0"], false).await;
}

#[tokio::test]
async fn an_element_is_not_moved_twice() {
    late(&["RPUSH", "{t}a", "x", "y", "z"], &["BLMOVE", "{t}a", "{t}b", "LEFT", "RIGHT", "0"], false).await;
}

#[tokio::test]
async fn a_reset_does_not_take_an_element_twice() {
    for _ in 0..12 {
        late(&["RPUSH", "{t}a", "x", "x", "x"], &["BLPOP", "{t}a", "0"], true).await;
    }
}

#[tokio::test]
async fn a_reset_does_not_move_an_element_twice() {
    for _ in 0..12 {
        late(&["RPUSH", "{t}a", "x", "y", "z"], &["BLMOVE", "{t}a", "{t}b", "LEFT", "RIGHT", "0"], true).await;
    }
}
