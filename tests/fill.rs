//! What a member gains is copied whole, followed, and cut at one moment of the source; large keys in pieces.
#![cfg(feature = "cli")]
#![cfg(test)]

mod fills;
mod support;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fills::{
    MEMBER, StoodStill, Two, Writers, ask, caught_up, caught_up_soon, copier, cut, cut_for, endpoint, gains, holds,
    is_named, patient, reaches, slow_to_tell, source_is_clean, unless_stopped,
};
use redis::aio::MultiplexedConnection;
use redis::{Value, cmd, pipe};
use redis_ring::agent::fill::{Copier, Cut, CutError, Ended, Limits, PAUSES, State, Without};
use redis_ring::local::RedisOptions;
use support::{FaultProxy, Mode, SOON, direct, eventually, id, redis_with};
use tokio::task::JoinSet;

/// Keys of every type and encoding, some with an expiry.
async fn prefill(addr: &str, many: usize) {
    let mut connection = direct::connect(addr).await;
    let mut fill = pipe();
    for i in 0..many {
        fill.cmd("SET").arg(format!("g:k:{i}")).arg(format!("value {i}"));
    }
    for i in 0..many / 4 {
        fill.cmd("SET").arg(format!("o:k:{i}")).arg("other");
    }
    fill.cmd("SET").arg("g:expires").arg("soon").arg("PXAT").arg(4_000_000_000_123_u64);
    fill.cmd("SET").arg("g:int").arg(12345);
    fill.cmd("SET").arg("g:bytes").arg(&b"\0\xff\r\n$-1\r\n"[..]);
    fill.cmd("SET").arg("g:compresses").arg("a".repeat(5000));
    fill.cmd("RPUSH").arg("g:list").arg((0..3000).map(|i| format!("element {i}")).collect::<Vec<_>>());
    fill.cmd("SADD").arg("g:intset").arg(&[1, 5, 9]);
    fill.cmd("SADD").arg("g:set").arg((0..700).map(|i| format!("m{i}")).collect::<Vec<_>>());
    fill.cmd("HSET").arg("g:small-hash").arg("f").arg("v");
    fill.cmd("HSET").arg("g:hash").arg((0..1400).map(|i| format!("f{i}")).collect::<Vec<_>>());
    fill.cmd("PEXPIREAT").arg("g:hash").arg(4_000_000_000_456_u64);
    fill.cmd("ZADD").arg("g:zset").arg("-inf").arg("a").arg("0.1").arg("b").arg("1e300").arg("c").arg("+inf").arg("d");
    fill.cmd("PFADD").arg("g:hll").arg(&["a", "b", "c"]);
    fill.cmd("SETBIT").arg("g:bits").arg(100_000).arg(1);
    fill.cmd("GEOADD").arg("g:geo").arg(13.361389).arg(38.115556).arg("Palermo");
    for i in 1..200 {
        fill.cmd("XADD").arg("g:stream").arg(format!("{i}-1")).arg("f").arg(i);
    }
    fill.cmd("XDEL").arg("g:stream").arg("199-1").arg("50-1");
    fill.cmd("XGROUP").arg("CREATE").arg("g:stream").arg("group").arg("0");
    fill.cmd("XREADGROUP").arg(&["GROUP", "group", "c1", "COUNT", "20", "STREAMS", "g:stream", ">"]);
    fill.cmd("XACK").arg("g:stream").arg("group").arg("3-1");
    fill.cmd("XDEL").arg("g:stream").arg("5-1");
    fill.cmd("XGROUP").arg("CREATECONSUMER").arg("g:stream").arg("group").arg("idle");
    fill.cmd("XADD").arg("g:empty-stream").arg("7-7").arg("a").arg("b").cmd("XDEL").arg("g:empty-stream").arg("7-7");
    fill.cmd("SET").arg("__rr:suspects:x").arg("the ring's own");
    let _: () = fill.query_async(&mut connection).await.unwrap();
}

#[tokio::test]
async fn every_type_arrives_whole_and_with_its_expiry() {
    unless_stopped(async || {
        let two = Two::start().await;
        prefill(&two.source.addr(), 3000).await;
        let copier = two.copier(patient());
        caught_up(&copier).await;
        let made = cut(&copier, 7).await?;
        assert!(made.paused <= PAUSES.1, "{made:?}");
        two.are_equal().await;
        assert_eq!(*copier.state().borrow(), State::Cut);
        let own: Vec<String> = direct::ask(&two.target.addr(), cmd("KEYS").arg("__rr:*")).await;
        assert!(own.is_empty(), "{own:?}");
        let gate: BTreeMap<String, String> = direct::ask(&two.source.addr(), cmd("HGETALL").arg("__rr:gate")).await;
        assert_eq!(gate, BTreeMap::from([("cut:m".to_owned(), "7".to_owned())]));
        let progress = copier.progress();
        assert!(progress.keys_done >= 3000 && progress.keys_total == progress.keys_done, "{progress:?}");
        // The writers go on, and nobody follows.
        let clients: String = direct::ask(&two.source.addr(), cmd("CLIENT").arg("LIST")).await;
        assert!(!clients.contains("rr-agent:m"), "{clients}");
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_at_full_speed_leave_both_equal() {
    unless_stopped(async || {
        let two = Two::start().await;
        prefill(&two.source.addr(), 3000).await;
        let writers = Writers::start(&two, 6, 4).await;
        writers.write_some(200).await;
        let source = slow_to_tell(two.source.addr(), Duration::from_millis(5)).await;
        let copier = copier(&source, &two.target.addr(), patient());
        caught_up(&copier).await;
        writers.write_some(500).await;
        cut(&copier, 4).await?;
        writers.write_some(500).await;
        assert!(writers.end().await > 100, "writers have found the name");
        two.are_equal().await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_only_the_target_has_is_deleted_and_what_changes_is_copied_again() {
    unless_stopped(async || {
        let two = Two::start().await;
        prefill(&two.source.addr(), 500).await;
        let mut target = direct::connect(&two.target.addr()).await;
        let mut stale = pipe();
        for i in 0..2000 {
            stale.cmd("SET").arg(format!("g:stale:{i}")).arg("x");
        }
        stale.cmd("SET").arg("g:k:1").arg("old").cmd("RPUSH").arg("g:k:2").arg("of another type");
        let _: () = stale.query_async(&mut target).await.unwrap();
        let copier = two.copier(patient());
        caught_up(&copier).await;
        let mut source = direct::connect(&two.source.addr()).await;
        let now: (i64, i64) = cmd("TIME").query_async(&mut source).await.unwrap();
        let soon = (now.0 * 1000 + 300).to_string();
        for words in [
            &["DEL", "g:k:3"][..],
            &["RENAME", "g:k:4", "g:renamed"],
            &["RENAME", "g:k:5", "o:renamed"],
            &["SET", "g:k:6", "new"],
            &["PEXPIREAT", "g:k:7", &soon],
            &["PEXPIREAT", "g:k:8", "1"],
            &["PERSIST", "g:expires"],
            &["HDEL", "g:small-hash", "f"],
            &["XGROUP", "DESTROY", "g:stream", "group"],
        ] {
            assert!(!matches!(ask(&mut source, words).await, Value::ServerError(_)), "{words:?}");
        }
        // A key that expires between two looks would differ.
        eventually(SOON, "what changed has arrived, and has expired", || async {
            !holds(two.source.addr()).await.contains_key("g:k:7") && two.differences().await == 0
        })
        .await;
        assert_eq!(copier.progress().restarts, 0);
        cut(&copier, 1).await?;
        two.are_equal().await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn without_looking_for_strays_deleted_keys_stay() {
    unless_stopped(async || {
        let two = Two::start().await;
        prefill(&two.source.addr(), 10).await;
        let () = direct::ask(&two.target.addr(), cmd("SET").arg("g:stale").arg("x")).await;
        let copier = two.copier(Limits { without: Without::Strays, ..patient() });
        caught_up(&copier).await;
        cut(&copier, 1).await?;
        assert_eq!(two.differences().await, 1);
        Ok(())
    })
    .await;
}

/// Tries until an ingredient that is left out is missed.
async fn is_missed(without: Without) {
    for round in 0..40 {
        let two = Two::start().await;
        let writers = Writers::start(&two, 8, 4).await;
        let source = slow_to_tell(two.source.addr(), Duration::from_millis(5)).await;
        let copier = copier(&source, &two.target.addr(), Limits { without, ..patient() });
        caught_up(&copier).await;
        writers.write_some(300).await;
        let Ok(_) = cut(&copier, 4).await else { continue };
        writers.write_some(100).await;
        let refused = writers.end_refused().await;
        let differences = two.differences().await;
        if differences > 0 || refused > 0 {
            println!("{differences} differences in round {round}");
            return;
        }
    }
    panic!("nobody misses {without:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_draining_what_was_told_copies_differ() {
    is_missed(Without::Drain).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_holding_up_writers_copies_differ() {
    is_missed(Without::Pause).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_forgetting_changes_before_reading_copies_differ() {
    is_missed(Without::Order).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_comparing_streams_in_the_pause_their_groups_differ() {
    is_missed(Without::Signatures).await;
}

#[tokio::test]
async fn a_source_that_was_lost_is_looked_at_again() {
    unless_stopped(async || {
        let two = Two::start().await;
        prefill(&two.source.addr(), 3000).await;
        let proxy = FaultProxy::start(two.source.addr()).await;
        let copier = copier(&proxy.addr(), &two.target.addr(), Limits { keys_per_second: Some(2000), ..patient() });
        eventually(SOON, "it has begun", || async { copier.progress().keys_done > 500 }).await;
        proxy.set(Mode::Refuse).await;
        proxy.cut().await;
        eventually(SOON, "the loss is noticed", || async { copier.progress().restarts > 0 }).await;
        assert!(copier.progress().trouble.is_some());
        // What happens meanwhile is told by nobody.
        let mut source = direct::connect(&two.source.addr()).await;
        ask(&mut source, &["DEL", "g:k:1", "g:k:2", "g:list"]).await;
        ask(&mut source, &["SET", "g:k:3", "new"]).await;
        proxy.set(Mode::Pass).await;
        caught_up(&copier).await;
        assert_eq!(copier.progress().trouble, None);
        proxy.cut().await;
        reaches(&copier, "the second loss is noticed", |state| *state == State::Filling).await;
        caught_up(&copier).await;
        cut(&copier, 1).await?;
        two.are_equal().await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_filling_that_was_broken_off_goes_on() {
    unless_stopped(async || {
        let two = Two::start().await;
        prefill(&two.source.addr(), 3000).await;
        let _: u64 = direct::ask(&two.source.addr(), cmd("DEL").arg("g:stream")).await;
        prefill_large(&two.source.addr(), 30_000, 2 << 20).await;
        let limits = || Limits { large_bytes: 200_000, ..patient() };
        let copier = two.copier(limits());
        caught_up(&copier).await;
        drop(copier);
        let mut source = direct::connect(&two.source.addr()).await;
        for words in [
            &["SET", "g:k:1", "changed"][..],
            &["PEXPIRE", "g:k:2", "100000000"],
            &["DEL", "g:k:3"],
            &["SETRANGE", "g:string", "1000000", "changed"],
            &["HSET", "g:small-hash", "f", "changed"],
            &["HSET", "g:hash", "field 5", "changed"],
            &["ZADD", "g:zset", "0.5", "member 29999"],
        ] {
            assert!(!matches!(ask(&mut source, words).await, Value::ServerError(_)), "{words:?}");
        }
        // A set that has as many elements as before.
        ask(&mut source, &["SREM", "g:set", "member 7"]).await;
        ask(&mut source, &["SADD", "g:set", "another one"]).await;
        let () = direct::ask(&two.target.addr(), cmd("SET").arg("g:k:4").arg("of a life before")).await;
        let () = direct::ask(&two.target.addr(), cmd("CONFIG").arg("RESETSTAT")).await;
        let copier = two.copier(limits());
        caught_up(&copier).await;
        cut(&copier, 1).await?;
        two.are_equal().await;
        let calls = async |name| direct::calls(&two.target.addr(), name).await;
        let restored = calls("restore").await;
        assert!((4..50).contains(&restored), "{restored} of some 3,000 were restored");
        assert_eq!(calls("rpush").await, 0, "a large list is as it was");
        for name in ["setrange", "hset", "sadd", "zadd"] {
            assert!(calls(name).await > 0, "{name}: a large key has changed");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn large_keys_that_the_target_has_are_not_copied_again() {
    unless_stopped(async || {
        let two = Two::start().await;
        prefill_large(&two.source.addr(), 30_000, 2 << 20).await;
        let limits = || Limits { large_bytes: 200_000, ..patient() };
        let copier = two.copier(limits());
        caught_up(&copier).await;
        drop(copier);
        let () = direct::ask(&two.target.addr(), cmd("CONFIG").arg("RESETSTAT")).await;
        let copier = two.copier(limits());
        caught_up(&copier).await;
        for name in ["restore", "setrange", "hset", "sadd", "zadd", "rpush"] {
            assert_eq!(direct::calls(&two.target.addr(), name).await, 0, "{name}");
        }
        cut(&copier, 1).await?;
        two.are_equal().await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_source_that_was_restarted_is_not_copied_from() {
    let two = Two::start().await;
    prefill(&two.source.addr(), 300).await;
    let copier = two.copier(patient());
    caught_up(&copier).await;
    // It has caught up when the last keys are still being written.
    eventually(SOON, "all is written", || async { two.differences().await == 0 }).await;
    let before = holds(two.target.addr()).await;
    two.source.kill();
    two.source.restart_async().await.unwrap();
    reaches(&copier, "its end", |state| *state == State::Ended(Ended::Replaced)).await;
    assert_eq!(holds(two.target.addr()).await, before, "an empty source deletes nothing");
    assert_eq!(copier.cut(1, &id(MEMBER), PAUSES.0).await, Err(CutError::Ended(Ended::Replaced)));

    let expected = endpoint(&two.source.addr()).with_run_id("another");
    let copier = Copier::start(expected, endpoint(&two.target.addr()), gains(), patient());
    reaches(&copier, "its end", |state| *state == State::Ended(Ended::Replaced)).await;
}

#[tokio::test]
async fn a_flush_of_the_source_ends_the_copier() {
    let two = Two::start().await;
    prefill(&two.source.addr(), 300).await;
    let copier = two.copier(patient());
    caught_up(&copier).await;
    let () = direct::ask(&two.source.addr(), &cmd("FLUSHALL")).await;
    reaches(&copier, "its end", |state| *state == State::Ended(Ended::Flushed)).await;
}

#[tokio::test]
async fn a_target_that_dies_ends_the_copier() {
    let two = Two::start().await;
    prefill(&two.source.addr(), 3000).await;
    let copier = two.copier(Limits { keys_per_second: Some(2000), ..patient() });
    eventually(SOON, "it has begun", || async { copier.progress().keys_done > 500 }).await;
    two.target.kill();
    reaches(&copier, "its end", |state| matches!(state, State::Ended(Ended::TargetLost(_)))).await;
    source_is_clean(&two.source.addr()).await;
}

#[tokio::test]
async fn a_target_out_of_memory_ends_the_copier() {
    let source = support::redis().await;
    let target = redis_with(RedisOptions::new().set("maxmemory", "3mb")).await;
    let mut connection = direct::connect(&source.addr()).await;
    let mut fill = pipe();
    for i in 0..200 {
        fill.cmd("SET").arg(format!("g:{i}")).arg((0..50_000).map(|_| fastrand::alphanumeric()).collect::<String>());
    }
    let () = fill.query_async(&mut connection).await.unwrap();
    let copier = copier(&source.addr(), &target.addr(), patient());
    reaches(&copier, "its end", |state| *state == State::Ended(Ended::TargetRefused("OOM".to_owned()))).await;
}

#[tokio::test]
async fn more_changes_than_are_remembered_are_found_by_looking_at_all_keys_again() {
    unless_stopped(async || {
        let two = Two::start().await;
        prefill(&two.source.addr(), 3000).await;
        let copier = two.copier(Limits { dirty_bytes: 20_000, keys_per_second: Some(5000), ..patient() });
        eventually(SOON, "it has begun", || async { copier.progress().keys_done > 500 }).await;
        let mut source = direct::connect(&two.source.addr()).await;
        let mut change = pipe();
        for i in 0..2000 {
            change.cmd("APPEND").arg(format!("g:k:{i}")).arg("!").ignore();
        }
        let () = change.query_async(&mut source).await.unwrap();
        eventually(SOON, "it begins again", || async { copier.progress().restarts > 0 }).await;
        caught_up(&copier).await;
        cut(&copier, 1).await?;
        two.are_equal().await;
        Ok(())
    })
    .await;
}

async fn source_is_unlocked(source: &mut MultiplexedConnection) {
    eventually(SOON, "the lock is given back", || {
        let mut source = source.clone();
        async move { ask(&mut source, &["EXISTS", "__rr:cut"]).await == Value::Int(0) }
    })
    .await;
}

/// Keys of each type that has pieces, and one of a type that has none.
async fn prefill_large(addr: &str, elements: u32, bytes: usize) {
    let mut connection = direct::connect(addr).await;
    let text: Vec<u8> = (0..bytes).map(|_| fastrand::u8(..)).collect();
    let () = cmd("SET").arg("g:string").arg(text).query_async(&mut connection).await.unwrap();
    for from in (0..elements).step_by(1000) {
        let mut some = pipe();
        let range = from..from + 1000;
        some.cmd("HSET").arg("g:hash").arg(range.clone().map(|i| (format!("field {i}"), i)).collect::<Vec<_>>());
        some.cmd("SADD").arg("g:set").arg(range.clone().map(|i| format!("member {i}")).collect::<Vec<_>>());
        some.cmd("RPUSH").arg("g:list").arg(range.clone().map(|i| format!("element {i}")).collect::<Vec<_>>());
        some.cmd("ZADD")
            .arg("g:zset")
            .arg(range.clone().map(|i| (f64::from(i) / 7.0, format!("member {i}"))).collect::<Vec<_>>());
        for i in range {
            some.cmd("XADD").arg("g:stream").arg(format!("{}-1", i + 1)).arg("field").arg(format!("a value {i}"));
        }
        let _: () = some.query_async(&mut connection).await.unwrap();
    }
    let mut rest = pipe();
    for key in ["g:hash", "g:string"] {
        rest.cmd("PEXPIREAT").arg(key).arg(4_000_000_000_789_u64);
    }
    rest.cmd("XGROUP").arg("CREATE").arg("g:stream").arg("group").arg("5-1");
    let _: () = rest.query_async(&mut connection).await.unwrap();
}

#[tokio::test]
async fn large_keys_are_copied_in_pieces() {
    unless_stopped(async || {
        let two = Two::start().await;
        prefill_large(&two.source.addr(), 30_000, 8 << 20).await;
        let mut target = direct::connect(&two.target.addr()).await;
        ask(&mut target, &["SET", "__rr:fill:of-a-predecessor", "x"]).await;
        ask(&mut target, &["SADD", "g:hash", "of another type"]).await;
        let limits = Limits { large_bytes: 200_000, ..patient() };
        let (elements, bytes) = (limits.piece_elements, limits.piece_bytes);
        let copier = two.copier(limits);
        caught_up(&copier).await;
        cut(&copier, 1).await?;
        two.are_equal().await;
        // What was looked at again counts twice.
        if copier.progress().restarts > 0 {
            return Err(StoodStill);
        }
        // The stream alone is taken as a whole.
        let calls = async |name| direct::calls(&two.source.addr(), name).await;
        assert_eq!((calls("dump").await, direct::calls(&two.target.addr(), "restore").await), (1, 1));
        for name in ["hscan", "sscan", "zscan", "lrange"] {
            assert!(calls(name).await >= 30_000 / elements, "{name}: {}", calls(name).await);
        }
        assert!(calls("getrange").await >= (8 << 20) / bytes);
        for name in ["hset", "sadd", "zadd", "rpush"] {
            assert!(direct::calls(&two.target.addr(), name).await >= 30_000 / elements, "{name}");
        }
        let own: Vec<String> = direct::ask(&two.target.addr(), cmd("KEYS").arg("__rr:*")).await;
        assert_eq!(own, ["__rr:fill:of-a-predecessor"]);
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_keys_that_change_all_the_time_are_equal_after_the_cut() {
    unless_stopped(async || {
        let two = Two::start().await;
        prefill_large(&two.source.addr(), 2000, 200_000).await;
        let (source, target) = (two.source.addr(), two.target.addr());
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let mut writer = JoinSet::new();
        writer.spawn(async move {
            let (mut source, mut target) = (direct::connect(&source).await, direct::connect(&target).await);
            let mut named = 0;
            for i in 0.. {
                let write = match i % 5 {
                    0 => cmd("HSET").arg("g:hash").arg(format!("new {i}")).arg(i).take(),
                    1 => cmd("LPUSH").arg("g:list").arg(i).take(),
                    2 => cmd("SREM").arg("g:set").arg(format!("member {i}")).take(),
                    3 => cmd("ZINCRBY").arg("g:zset").arg(1).arg(format!("member {}", i % 50)).take(),
                    _ => cmd("SETRANGE").arg("g:string").arg(i % 2000 * 100).arg("changed").take(),
                };
                let mut group = pipe();
                group.atomic().cmd("HEXISTS").arg("__rr:gate").arg("cut:m").add_command(write.clone());
                let (found, _): (bool, Value) = group.query_async(&mut source).await.unwrap();
                if found {
                    let _: Value = write.query_async(&mut target).await.unwrap();
                    named += 1;
                }
                if *stopped.borrow() && named > 50 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        let copier = two.copier(Limits { large_bytes: 20_000, piece_bytes: 20_000, ..patient() });
        caught_up_soon(&copier).await?;
        cut(&copier, 1).await?;
        stop.send_replace(true);
        writer.join_next().await.unwrap().unwrap();
        two.are_equal().await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_is_too_large_and_has_no_pieces_is_said_and_left() {
    let two = Two::start().await;
    prefill_large(&two.source.addr(), 30_000, 2 << 20).await;
    let copier = two.copier(Limits { large_bytes: 200_000, whole_bytes: 500_000, ..patient() });
    let says = || copier.progress().trouble.is_some_and(|trouble| trouble.contains("too large to be copied"));
    eventually(SOON, "it says so", || async { says() }).await;
    // All else is copied, and it is said as long as it is so.
    let mut others = cmd("EXISTS");
    others.arg(&["g:string", "g:hash", "g:set", "g:list", "g:zset"]);
    eventually(SOON * 3, "all else is copied", || async { direct::ask::<u64>(&two.target.addr(), &others).await == 5 })
        .await;
    eventually(SOON, "it is still said", || async { says() }).await;
    assert_eq!(direct::calls(&two.source.addr(), "dump").await, 0);
    assert_eq!((copier.state().borrow().clone(), copier.progress().restarts), (State::Filling, 0));
    let refused = copier.cut(1, &id(MEMBER), PAUSES.0).await;
    assert!(matches!(refused, Err(CutError::NotYet(_))), "{refused:?}");
}

#[tokio::test]
async fn too_many_streams_are_said_and_not_looked_at_all_the_time() {
    let two = Two::start().await;
    let mut source = direct::connect(&two.source.addr()).await;
    let mut fill = pipe();
    for i in 0..200 {
        fill.cmd("XADD").arg(format!("g:{i}")).arg("1-1").arg("f").arg("v").ignore();
    }
    let () = fill.query_async(&mut source).await.unwrap();
    let copier = two.copier(Limits { dirty_bytes: 20_000, ..patient() });
    eventually(SOON, "it says so", || async {
        copier.progress().trouble.is_some_and(|trouble| trouble.contains("streams"))
    })
    .await;
    assert_eq!((copier.state().borrow().clone(), copier.progress().restarts), (State::Filling, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_held_up_for_a_large_key_that_takes_too_long() {
    unless_stopped(async || {
        let two = Two::start().await;
        let mut source = direct::connect(&two.source.addr()).await;
        ask(&mut source, &["SETRANGE", "g:string", "1999999", "x"]).await;
        // Each of its pieces takes a tenth of a second at least.
        let proxy = FaultProxy::start(two.source.addr()).await;
        proxy.set(Mode::Delay { requests: Duration::ZERO, replies: Duration::from_millis(100) }).await;
        let copier = copier(&proxy.addr(), &two.target.addr(), Limits { piece_bytes: 500_000, ..patient() });
        let mut connection = source.clone();
        let writer = tokio::spawn(async move {
            loop {
                ask(&mut connection, &["SETRANGE", "g:string", "5", "changed"]).await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        eventually(SOON, "it says what takes so long", || async {
            copier.progress().trouble.is_some_and(|trouble| trouble.contains("large key"))
        })
        .await;
        for _ in 0..2 {
            let refused = copier.cut(1, &id(MEMBER), PAUSES.0).await;
            assert!(matches!(refused, Err(CutError::NotYet(_))), "{refused:?}");
        }
        assert_eq!(direct::calls(&two.source.addr(), "client|pause").await, 0);
        writer.abort();
        caught_up(&copier).await;
        proxy.set(Mode::Pass).await;
        cut(&copier, 1).await?;
        two.are_equal().await;
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gainers_cut_one_after_the_other() {
    unless_stopped(async || {
        let two = Two::start().await;
        let other = support::redis().await;
        prefill(&two.source.addr(), 1000).await;
        let writers = Writers::among(&two.source, &[(MEMBER, &two.target), ("n", &other)], 4, 1).await;
        let first = two.copier(patient());
        let second = copier(&two.source.addr(), &other.addr(), patient());
        tokio::join!(caught_up(&first), caught_up(&second));
        let (m, n) = tokio::join!(cut(&first, 1), cut_for(&second, "n", 1, PAUSES.0));
        m.and(n)?;
        writers.write_some(300).await;
        writers.end().await;
        two.are_equal().await;
        Two { source: two.source, target: other }.are_equal().await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_lock_that_another_holds_is_left_to_it() {
    unless_stopped(async || {
        let two = Two::start().await;
        prefill(&two.source.addr(), 100).await;
        let copier = two.copier(patient());
        caught_up(&copier).await;
        let mut source = direct::connect(&two.source.addr()).await;
        ask(&mut source, &["SET", "__rr:cut", "other", "PX", "60000"]).await;
        let refused = copier.cut(1, &id(MEMBER), PAUSES.0).await;
        assert!(matches!(refused, Err(CutError::NotYet(_))), "{refused:?}");
        assert_eq!(ask(&mut source, &["GET", "__rr:cut"]).await, Value::BulkString(b"other".to_vec()));
        ask(&mut source, &["DEL", "__rr:cut"]).await;
        ask(&mut source, &["SET", "g:k:1", "new"]).await;
        cut(&copier, 1).await?;
        two.are_equal().await;
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_void_cut_is_seen_by_no_writer_and_can_be_tried_again() {
    unless_stopped(async || {
        let two = Two::start().await;
        prefill(&two.source.addr(), 100).await;
        let writers = Writers::start(&two, 4, 3).await;
        // What was told comes too late for a short pause, and in time for a long one.
        let source = slow_to_tell(two.source.addr(), Duration::from_millis(220)).await;
        let copier = copier(&source, &two.target.addr(), patient());
        caught_up(&copier).await;
        let void = match copier.cut(3, &id(MEMBER), Duration::from_millis(200)).await {
            Err(CutError::Void(void)) => void,
            // Where much changes, the pause may be longer at once, or there is none.
            Ok(_) | Err(CutError::NotYet(_)) => return Err(StoodStill),
            other => panic!("{other:?}"),
        };
        assert!(void.pause >= Duration::from_millis(400), "{void:?}");
        source_is_clean(&two.source.addr()).await;
        writers.write_some(100).await;
        // Who stands still may be too late to take it back unseen, and then says so.
        if void.seen {
            assert_eq!(*copier.state().borrow(), State::Ended(Ended::Void));
            return Err(StoodStill);
        }
        assert_eq!(writers.named.load(Ordering::Relaxed), 0);
        cut_for(&copier, MEMBER, 3, PAUSES.1).await?;
        writers.write_some(200).await;
        assert!(writers.end().await > 0);
        two.are_equal().await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_pause_that_somebody_else_has_ended_makes_the_cut_void() {
    unless_stopped(async || {
        let two = Two::start().await;
        prefill(&two.source.addr(), 100).await;
        let slow = slow_to_tell(two.source.addr(), Duration::from_millis(100)).await;
        let copier = copier(&slow, &two.target.addr(), patient());
        caught_up(&copier).await;
        let (addr, member) = (two.source.addr(), id(MEMBER));
        let mut source = direct::connect(&addr).await;
        let began = Instant::now();
        // From before the pause until after it, since nobody is told when it begins.
        let meddle = async {
            for i in 0_u32.. {
                let mut meddle = pipe();
                meddle.cmd("CLIENT").arg("UNPAUSE").ignore().cmd("SET").arg("g:k:1").arg(i).ignore();
                let () = meddle.query_async(&mut source).await.unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let made = tokio::select! {
            made = copier.cut(1, &member, PAUSES.1) => made,
            () = meddle => unreachable!("it never ends"),
        };
        match made {
            Err(CutError::Void(void)) if void.seen => {}
            Err(CutError::NotYet(_)) => return Err(StoodStill),
            Err(CutError::Void(_)) if began.elapsed() >= PAUSES.1 * 4 / 5 => return Err(StoodStill),
            other => panic!("{other:?}"),
        }
        source_is_clean(&addr).await;
        assert_eq!(*copier.state().borrow(), State::Ended(Ended::Void));
        assert_eq!(copier.cut(1, &member, PAUSES.1).await, Err(CutError::Ended(Ended::Void)));
        Ok(())
    })
    .await;
}

/// A cut that was over before the test had come between.
fn too_late(made: Result<Cut, CutError>) -> Result<(), StoodStill> {
    assert!(!matches!(made, Err(CutError::Ended(_))), "{made:?}");
    Err(StoodStill)
}

#[tokio::test]
async fn a_cut_that_is_given_up_is_taken_back() {
    for drop_all in [false, true] {
        unless_stopped(async || {
            let two = Two::start().await;
            prefill(&two.source.addr(), 100).await;
            let slow = slow_to_tell(two.source.addr(), Duration::from_millis(200)).await;
            let copier = copier(&slow, &two.target.addr(), patient());
            caught_up(&copier).await;
            let (addr, member) = (two.source.addr(), id(MEMBER));
            tokio::select! {
                made = copier.cut(1, &member, PAUSES.1) => return too_late(made),
                () = is_named(&addr) => {}
            }
            if drop_all {
                drop(copier);
            } else {
                reaches(&copier, "its end", |state| *state == State::Ended(Ended::Void)).await;
            }
            // It is taken back by a task of its own. The lock goes with the name, in the same message and after it.
            source_is_unlocked(&mut direct::connect(&addr).await).await;
            source_is_clean(&addr).await;
            Ok(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_cut_that_is_taken_back_late_leaves_a_newer_one() {
    unless_stopped(async || {
        let two = Two::start().await;
        prefill(&two.source.addr(), 100).await;
        let slow = slow_to_tell(two.source.addr(), Duration::from_millis(200)).await;
        let copier = copier(&slow, &two.target.addr(), patient());
        caught_up(&copier).await;
        let (addr, member) = (two.source.addr(), id(MEMBER));
        let mut source = direct::connect(&addr).await;
        tokio::select! {
            made = copier.cut(1, &member, PAUSES.1) => return too_late(made),
            () = async {
                is_named(&addr).await;
                ask(&mut source, &["CLIENT", "UNPAUSE"]).await;
                ask(&mut source, &["HSET", "__rr:gate", "cut:m", "3"]).await;
            } => {}
        }
        // The lock goes with the name, in the same message and after it.
        source_is_unlocked(&mut source).await;
        assert_eq!(ask(&mut source, &["HGET", "__rr:gate", "cut:m"]).await, Value::BulkString(b"3".to_vec()));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_source_that_is_lost_in_the_pause_is_not_left_with_a_name() {
    unless_stopped(async || {
        let two = Two::start().await;
        prefill(&two.source.addr(), 100).await;
        let proxy = FaultProxy::start(two.source.addr()).await;
        let copier = copier(&proxy.addr(), &two.target.addr(), patient());
        caught_up(&copier).await;
        let (addr, member) = (two.source.addr(), id(MEMBER));
        proxy.set(Mode::Delay { requests: Duration::ZERO, replies: Duration::from_millis(300) }).await;
        let meddle = async {
            is_named(&addr).await;
            proxy.set(Mode::Pass).await;
            proxy.cut().await;
            std::future::pending().await
        };
        let made = tokio::select! {
            made = copier.cut(1, &member, PAUSES.1) => made,
            () = meddle => unreachable!("it never ends"),
        };
        match made {
            Err(CutError::Void(void)) if void.seen => {}
            // It was given up before the source was lost.
            Err(CutError::Void(_) | CutError::NotYet(_)) => return Err(StoodStill),
            other => panic!("{other:?}"),
        }
        source_is_clean(&addr).await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_source_over_its_memory_limit_is_left_to_its_agent() {
    unless_stopped(async || {
        let two = Two::start().await;
        prefill(&two.source.addr(), 1000).await;
        let mut source = direct::connect(&two.source.addr()).await;
        ask(&mut source, &["CONFIG", "SET", "maxmemory", "500kb"]).await;
        assert!(matches!(ask(&mut source, &["SET", "g:k:1", "x"]).await, Value::ServerError(_)), "it is full");
        let copier = two.copier(patient());
        caught_up(&copier).await;
        let mut says = String::new();
        for _ in 0..20 {
            match copier.cut(1, &id(MEMBER), PAUSES.0).await {
                Err(CutError::NotYet(why)) => says = why,
                Err(CutError::Void(_)) => return Err(StoodStill),
                other => panic!("{other:?}"),
            }
            if says.contains("over its memory limit") {
                break;
            }
            // There may be another reason, such as a source that was silent for a while.
            caught_up(&copier).await;
        }
        assert!(says.contains("over its memory limit"), "{says}");
        // Who dies in a cut leaves nothing behind that nobody else puts back.
        assert_eq!(direct::calls(&two.source.addr(), "config|set").await, 1, "the test's own");
        source_is_unlocked(&mut source).await;
        ask(&mut source, &["CONFIG", "SET", "maxmemory", "0"]).await;
        ask(&mut source, &["DEL", "g:k:1"]).await;
        cut(&copier, 1).await?;
        two.are_equal().await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_copier_without_leave_says_so() {
    let two = Two::start().await;
    let mut source = direct::connect(&two.source.addr()).await;
    ask(&mut source, &["ACL", "SETUSER", "default", "-eval_ro"]).await;
    prefill(&two.source.addr(), 10).await;
    let copier = two.copier(patient());
    reaches(&copier, "its end", |state| *state == State::Ended(Ended::Refused("NOPERM".to_owned()))).await;
}
