//! What a command did, told to a copy: two plain servers that must hold the same afterwards.
#![cfg(feature = "cli")]
#![cfg(test)]

#[path = "effects/copy.rs"]
mod copy;
mod support;

use std::collections::BTreeSet;

use redis_ring::command::{ROWS, Replication, Support};

use copy::{Pair, call};

/// Every form that is told by its effect: what both servers hold before, separated by `;`, and then the call. `·` is a blank
/// inside a word, and `~N` an entry for each number up to that.
const FORMS: &[(&str, &str)] = &[
    // What a set lost.
    ("SADD s a b c d e", "SPOP s"),
    ("SADD s a b c d e", "SPOP s 3"),
    ("SADD s a b c d e", "SPOP s 100"),
    ("SADD s a b c d e;EXPIREAT s 4000000000", "SPOP s 2"),
    ("SADD s 1 2 3 4 5", "SPOP s 0"),
    ("", "SPOP s"),
    ("", "SPOP s 3"),
    // Sums of fractions.
    ("SET n 0.1", "INCRBYFLOAT n 0.2"),
    ("SET n 0.1 PXAT 4000000000123", "INCRBYFLOAT n -7e3"),
    ("", "INCRBYFLOAT n 3.0"),
    ("HSET h f 10.50 g x", "HINCRBYFLOAT h f 0.1"),
    ("HSET h g x;PEXPIREAT h 4000000000123", "HINCRBYFLOAT h new 2.0e2"),
    // Entries and trimming.
    ("", "XADD s * f v"),
    ("XADD s 5-1 f v", "XADD s * f v g ''"),
    ("XADD s 5-1 f v", "XADD s 5-* f v"),
    ("XADD s 5-1 f v", "XADD s 7-* f v"),
    ("", "XADD s NOMKSTREAM * f v"),
    ("XADD s 1-1 f v", "XADD s nomkstream * f v"),
    ("~25", "XADD s MAXLEN 3 * f v"),
    ("~25", "XADD s maxlen = 3 * maxlen 3"),
    ("~25", "XADD s NOMKSTREAM MINID = 7 * f v"),
    ("~25", "XADD s MAXLEN ~ 3 * f v"),
    ("~25", "XADD s MAXLEN ~ 3 LIMIT 11 * f v"),
    ("~25", "XADD s MINID ~ 23 * f v"),
    ("~25", "XADD s MAXLEN ~ 3 9000-1 f v LIMIT 1"),
    ("~9", "XADD s MAXLEN ~ 0 LIMIT 0 * f v"),
    ("~25;XDEL s 1-0 11-0 12-0", "XADD s LIMIT 0 MINID ~ 15 NOMKSTREAM 30-* f v"),
    ("", "XADD s MAXLEN ~ 10 * f v"),
    ("~25", "XTRIM s MAXLEN ~ 3"),
    ("~25", "XTRIM s MINID ~ 23 LIMIT 9"),
    ("~25", "XTRIM s MAXLEN ~ 24"),
    ("~20", "XTRIM s MAXLEN ~ 0"),
    ("", "XTRIM s MAXLEN ~ 3"),
    // Claims.
    ("~5;GROUP;READ a 3", "XCLAIM s g b 0 1-0 2-0"),
    ("~5;GROUP;READ a 3", "XCLAIM s g b 0 1 002-0 JUSTID"),
    ("~5;GROUP;READ a 3", "XCLAIM s g b 0 1-0 TIME 1000 RETRYCOUNT 7"),
    ("~5;GROUP;READ a 3", "XCLAIM s g b 0 1-0 IDLE 5000 justid"),
    ("~5;GROUP;READ a 3", "XCLAIM s g b 0 1-0 IDLE 9000000000000000"),
    ("~5;GROUP;READ a 3", "XCLAIM s g b 0 1-0 TIME 9000000000000000"),
    ("~5;GROUP;READ a 3", "XCLAIM s g b 0 1-0 IDLE 1 TIME 2000 IDLE -5"),
    ("~5;GROUP;READ a 3", "XCLAIM s g b 0 1-0 LASTID 9-9"),
    ("~5;GROUP;READ a 3", "XCLAIM s g b 3600000 1-0 LASTID 9-9 RETRYCOUNT 3"),
    ("~5;GROUP;READ a 3", "XCLAIM s g b 0 4-0"),
    ("~5;GROUP;READ a 3", "XCLAIM s g b 0 4-0 FORCE"),
    ("~5;GROUP;READ a 3", "XCLAIM s g b 0 4-0 5-0 1-0 77-0 FORCE JUSTID"),
    ("~5;GROUP;READ a 3", "XCLAIM s g a 0 1-0 1-0"),
    ("~5;GROUP;READ a 3", "XCLAIM s g b 3600000 1-0"),
    ("~5;GROUP;READ a 3", "XCLAIM s g a 3600000 1-0 4-0 FORCE"),
    ("~5;GROUP;READ a 3;XDEL s 2-0", "XCLAIM s g b 0 1-0 2-0 3-0"),
    ("~5;GROUP;READ a 3;XDEL s 2-0", "XCLAIM s g b 3600000 2-0"),
    ("~5;GROUP;READ a 3;XDEL s 1-0 2-0 3-0", "XCLAIM s g b 0 1-0 2-0 3-0 JUSTID FORCE"),
    ("~5;GROUP;READ a 3", "XAUTOCLAIM s g b 0 0"),
    ("~5;GROUP;READ a 3", "XAUTOCLAIM s g b 0 - COUNT 1"),
    ("~5;GROUP;READ a 3", "XAUTOCLAIM s g b 0 (1-0 justid COUNT 10"),
    ("~5;GROUP;READ a 3", "XAUTOCLAIM s g b 3600000 0"),
    ("~5;GROUP;READ a 3;XDEL s 2-0", "XAUTOCLAIM s g b 0 0"),
    ("~5;GROUP;READ a 3;XDEL s 1-0 2-0 3-0", "XAUTOCLAIM s g b 3600000 0 JUSTID"),
    ("~5;GROUP", "XAUTOCLAIM s g b 0 0"),
    // Deliveries.
    ("~5;GROUP", "XREADGROUP GROUP g a STREAMS s >"),
    ("~5;GROUP", "XREADGROUP GROUP g a COUNT 2 STREAMS s >"),
    ("~5;GROUP", "XREADGROUP COUNT 2 GROUP g a STREAMS s >"),
    ("~5;GROUP;READ a 3", "XREADGROUP GROUP g b COUNT 1 STREAMS s >"),
    ("~5;GROUP;READ a 5", "XREADGROUP GROUP g b STREAMS s >"),
    ("~5;GROUP;READ a 5", "XREADGROUP GROUP g a STREAMS s >"),
    ("~5;GROUP", "XREADGROUP GROUP g a NOACK STREAMS s >"),
    ("~5;GROUP", "XREADGROUP GROUP g a NOACK COUNT 2 STREAMS s >"),
    ("~5;GROUP;READ a 3", "XREADGROUP GROUP g a STREAMS s 0"),
    ("~5;GROUP;READ a 3", "XREADGROUP GROUP g a COUNT 1 STREAMS s 1-0"),
    ("~5;GROUP;READ a 3", "XREADGROUP GROUP g a NOACK STREAMS s 0"),
    ("~5;GROUP;READ a 3", "XREADGROUP GROUP g b STREAMS s 0"),
    ("~5;GROUP;READ a 3;XDEL s 2-0", "XREADGROUP GROUP g a STREAMS s 0"),
    ("~5;GROUP;READ a 3;XDEL s 1-0 2-0 3-0", "XREADGROUP GROUP g b STREAMS s 0"),
    ("~5;GROUP;READ a 3;XDEL s 4-0", "XREADGROUP GROUP g b COUNT 1 STREAMS s >"),
    ("~5;XDEL s 3-0;XGROUP CREATE s g 2-0", "XREADGROUP GROUP g a COUNT 1 STREAMS s >"),
    ("~5;GROUP;READ a 3;XGROUP SETID s g 0", "XREADGROUP GROUP g b STREAMS s >"),
    ("~5;GROUP;READ a 3;XADD {s}2 1-1 f v;XGROUP CREATE {s}2 g $", "XREADGROUP GROUP g a STREAMS s {s}2 > >"),
    ("~5;GROUP;READ a 3;XADD {s}2 1-1 f v;XGROUP CREATE {s}2 g 0", "XREADGROUP GROUP g b STREAMS {s}2 s > 0"),
    ("~5;GROUP;READ a 3", "XREADGROUP GROUP g a STREAMS s s > 0"),
    ("~5;GROUP;READ a 5", "XREADGROUP GROUP g a STREAMS s s > 0"),
    ("~5;GROUP;READ a 3", "XREADGROUP GROUP g a COUNT 1 STREAMS s s > >"),
    ("~5;GROUP", "XREADGROUP GROUP g a BLOCK 5 COUNT 2 STREAMS s >"),
    ("~5;GROUP;READ a 5", "XREADGROUP BLOCK 5 GROUP g b STREAMS s >"),
    // What waits for something to come.
    ("RPUSH l a b a", "BLPOP l 0"),
    ("RPUSH l a b a", "BRPOP l 0.5"),
    ("RPUSH {l}2 x", "BLPOP l {l}2 1"),
    ("", "BLPOP l 0.01"),
    ("RPUSH l a b a c;EXPIREAT l 4000000000", "BLMPOP 0 2 {l}2 l LEFT COUNT 3"),
    ("RPUSH l a b a c", "BLMPOP 1 1 l right count 3"),
    ("RPUSH l a b", "BLMPOP 1 1 l RIGHT COUNT 30"),
    ("RPUSH l right left", "BLMPOP 1 1 l LEFT"),
    ("", "BLMPOP 0.01 1 l LEFT"),
    ("RPUSH l a b a;RPUSH {l}2 z", "BRPOPLPUSH l {l}2 0"),
    ("RPUSH l a", "BRPOPLPUSH l {l}2 0"),
    ("RPUSH l a b c;EXPIREAT l 4000000000", "BRPOPLPUSH l l 0"),
    ("RPUSH l a;EXPIREAT l 4000000000", "BRPOPLPUSH l l 0"),
    ("", "BRPOPLPUSH l {l}2 0.01"),
    ("RPUSH l a b a", "BLMOVE l {l}2 LEFT RIGHT 0"),
    ("RPUSH l a b a;RPUSH {l}2 z", "BLMOVE l {l}2 right left 0"),
    ("RPUSH l a b a", "BLMOVE l l LEFT RIGHT 0"),
    ("RPUSH l a b a", "BLMOVE l l RIGHT LEFT 0"),
    ("RPUSH l a b a", "BLMOVE l l RIGHT RIGHT 0"),
    ("RPUSH l a;EXPIREAT l 4000000000", "BLMOVE l l LEFT LEFT 0"),
    ("", "BLMOVE l {l}2 LEFT LEFT 0.01"),
    ("ZADD z 1 a 2 b 3 c", "BZPOPMIN z 0"),
    ("ZADD z 1 a 2 b 3 c", "BZPOPMAX {z}2 z 0"),
    ("ZADD z 1 a", "BZPOPMAX z 0"),
    ("", "BZPOPMIN z 0.01"),
    ("ZADD z 1 a 2 b 3 c", "BZMPOP 0 1 z MIN"),
    ("ZADD z 1 a 2 b 3 c", "BZMPOP 0 2 {z}2 z MAX COUNT 2"),
    ("ZADD z 1 a 2 b 3 c", "BZMPOP 0 1 z MAX COUNT 20"),
    ("", "BZMPOP 0.01 1 z MAX"),
    // The state of keys.
    ("", "EVAL return·redis.call('SET',KEYS[1],'x','PXAT','4000000000123') 1 k"),
    ("SET k v;RPUSH {k}2 a", "EVAL redis.call('DEL',KEYS[1]);return·redis.call('RPUSH',KEYS[2],'b') 2 k {k}2"),
    ("SET k v PXAT 4000000000123", "EVAL return·redis.call('APPEND',KEYS[1],KEYS[2]) 2 k k"),
    ("~5;GROUP;READ a 3", "EVAL return·redis.call('XREADGROUP','GROUP','g','b','STREAMS',KEYS[1],'>') 1 s"),
    ("", "EVAL return·0 1 k"),
    ("SET k 1;ON-PRIMARY SCRIPT LOAD return·redis.call('INCR',KEYS[1])", "EVALSHA DIGEST 2 k {k}2"),
    (
        "ON-PRIMARY FUNCTION LOAD REPLACE #!lua·name=lib\nredis.register_function('put',function(keys,args)·return·redis.call('HSET',keys[1],'f',args[1])·end)",
        "FCALL put 1 k v",
    ),
    ("RPUSH l 3 1 2", "SORT l STORE {l}2"),
    ("RPUSH l 3 1 2;SET {l}2 x", "SORT l BY nosort LIMIT 0 1 DESC STORE {l}2"),
    ("RPUSH l 3 1 2", "SORT l STORE l"),
    ("SET {l}2 x", "SORT l STORE {l}2"),
];

#[tokio::test]
async fn every_form_leaves_the_same_on_the_copy() {
    let mut pair = Pair::start().await;
    let mut run = BTreeSet::new();
    for (before, line) in FORMS {
        for protocol in ["resp2", "resp3"] {
            pair.speak(protocol).await;
            pair.prepare(before).await;
            let row = pair.run(&call(&pair.adapt(line))).await;
            run.insert(row.name);
            pair.compare(&format!("{before} | {line} ({protocol})")).await;
        }
    }
    let by_effect = |replication| matches!(replication, Replication::Effect | Replication::Refresh);
    let missing: Vec<_> = ROWS
        .iter()
        .filter(|row| row.support == Support::Runs && by_effect(row.replication) && !run.contains(row.name))
        .map(|row| row.name)
        .collect();
    assert!(missing.is_empty(), "no form of {missing:?}");
}

#[tokio::test]
async fn copies_take_the_time_of_a_delivery_from_the_primary_however_late_they_get_it() {
    let mut pair = Pair::start().await;
    for (before, line) in [
        ("~5;GROUP", "XREADGROUP GROUP g a STREAMS s >"),
        ("~5;GROUP;READ a 3", "XREADGROUP GROUP g a STREAMS s 0"),
        ("~5;GROUP;READ a 3", "XCLAIM s g b 0 1-0 3-0"),
        ("~5;GROUP;READ a 3", "XCLAIM s g b 0 1-0 3-0 IDLE 5000 JUSTID"),
        ("~5;GROUP;READ a 3", "XAUTOCLAIM s g b 0 0"),
    ] {
        pair.prepare(before).await;
        let (_, carried) = pair.at_primary(&call(line)).await;
        pair.wait_for_another_time().await;
        pair.at_copy(carried).await;
        pair.compare(line).await;
    }
}

#[tokio::test]
async fn a_delivery_that_overtakes_its_entry_is_told_again_until_the_entry_is_there() {
    let mut pair = Pair::start().await;
    pair.prepare("~1;GROUP").await;
    let (_, added) = pair.at_primary(&call("XADD s * f v")).await;
    let (_, delivered) = pair.at_primary(&call("XREADGROUP GROUP g a STREAMS s >")).await;
    assert!(!pair.takes(&delivered).await, "the entry is not there yet");
    pair.at_copy(added).await;
    assert!(pair.takes(&delivered).await, "now it is");
    assert!(pair.takes(&delivered).await, "and once more does no harm");
    pair.compare("an entry after its delivery").await;
}

#[tokio::test]
async fn what_was_taken_is_missed_until_it_is_there() {
    let mut pair = Pair::start().await;
    for (push, pop) in [
        ("RPUSH k a b", "BLPOP k 0"),
        ("RPUSH k a b", "BLMOVE k k2 RIGHT LEFT 0"),
        ("ZADD k 1 a 2 b", "BZMPOP 0 1 k MIN COUNT 2"),
    ] {
        let pop = pop.replace("k2", "{k}2");
        pair.prepare("").await;
        let (_, pushed) = pair.at_primary(&call(push)).await;
        let (_, taken) = pair.at_primary(&call(&pop)).await;
        assert!(!pair.takes(&taken[..1]).await, "{pop}: it is not there yet");
        pair.at_copy(pushed).await;
        pair.at_copy(taken).await;
        pair.compare(&pop).await;
    }
}

#[tokio::test]
async fn a_length_of_another_time_takes_nothing_from_a_stream() {
    let mut pair = Pair::start().await;
    pair.prepare("~25").await;
    let (_, trimmed) = pair.at_primary(&call("XTRIM s MAXLEN ~ 9")).await;
    let (_, added) = pair.at_primary(&call("XADD s 30-0 f v")).await;
    pair.at_copy(added).await;
    pair.at_copy(trimmed).await;
    pair.compare("a trimming after a later entry").await;
}

/// Calls on streams, for sequences of them by chance.
const STREAM_CALLS: &[&str] = &[
    "XADD s * f v",
    "XADD s * f v",
    "XADD s * f v",
    "XADD s MAXLEN ~ 12 * f v",
    "XADD s MINID ~ <id> * f v",
    "XADD s MAXLEN = 20 * f v",
    "XADD s MAXLEN ~ 5 LIMIT 10 * f v",
    "XTRIM s MAXLEN ~ 10",
    "XTRIM s MINID ~ <id>",
    "XTRIM s MAXLEN 15",
    "XDEL s <id>",
    "XDEL s <id> <id>",
    "XACK s <group> <id> <id>",
    "XGROUP CREATECONSUMER s <group> <consumer>",
    "XGROUP DELCONSUMER s <group> <consumer>",
    "XGROUP SETID s <group> <id>",
    "XGROUP SETID s <group> <id> ENTRIESREAD 3",
    "XCLAIM s <group> <consumer> 0 <id> <id> <id>",
    "XCLAIM s <group> <consumer> 0 <id> <id> FORCE",
    "XCLAIM s <group> <consumer> 0 <id> <id> JUSTID",
    "XCLAIM s <group> <consumer> 0 <id> <id> FORCE JUSTID LASTID <id>",
    "XCLAIM s <group> <consumer> 3600000 <id> <id> <id> RETRYCOUNT 4",
    "XCLAIM s <group> <consumer> 0 <id> TIME 77 RETRYCOUNT 4",
    "XAUTOCLAIM s <group> <consumer> 0 0",
    "XAUTOCLAIM s <group> <consumer> 0 <id> COUNT 2 JUSTID",
    "XAUTOCLAIM s <group> <consumer> 3600000 -",
    "XREADGROUP GROUP <group> <consumer> STREAMS s >",
    "XREADGROUP GROUP <group> <consumer> COUNT 2 STREAMS s >",
    "XREADGROUP GROUP <group> <consumer> COUNT 3 STREAMS s >",
    "XREADGROUP GROUP <group> <consumer> NOACK COUNT 1 STREAMS s >",
    "XREADGROUP GROUP <group> <consumer> STREAMS s 0",
    "XREADGROUP GROUP <group> <consumer> COUNT 2 STREAMS s <id>",
    "XREADGROUP GROUP <group> <consumer> COUNT 1 STREAMS s s > <id>",
    "SPOP members",
    "SADD members a b c d",
];

#[tokio::test]
async fn any_sequence_of_calls_on_a_stream_leaves_the_same_on_the_copy() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| fastrand::u64(..));
    println!("SEED={seed}");
    let mut chance = fastrand::Rng::with_seed(seed);
    let [groups, consumers] = [["g", "h"], ["a", "b"]].map(|names| names.map(str::to_owned));
    let mut pair = Pair::start().await;
    for _ in 0..10 {
        pair.prepare("~7;XGROUP CREATE s g 0;XGROUP CREATE s h 3-0").await;
        for _ in 0..100 {
            let mut line = (*chance.choice(STREAM_CALLS).expect("a call")).to_owned();
            let ids = pair.ids("s").await;
            while let Some((place, names)) = [("<id>", &ids[..]), ("<group>", &groups), ("<consumer>", &consumers)]
                .into_iter()
                .find(|(place, _)| line.contains(place))
            {
                line = line.replacen(place, chance.choice(names).expect("a name"), 1);
            }
            println!("{line}");
            pair.run(&call(&line)).await;
            pair.compare(&line).await;
        }
    }
}
