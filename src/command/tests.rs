//! The table and its questions, without a server.

use proptest::prelude::*;
use redis::{Cmd, Value, cmd};

use super::*;

/// A call written as one would in redis-cli.
fn call(line: &str) -> Cmd {
    let mut words = line.split(' ');
    let mut command = cmd(words.next().unwrap());
    words.for_each(|word| {
        command.arg(word);
    });
    command
}

/// The calls of a list.
fn each(list: &str) -> impl Iterator<Item = &str> {
    list.split(", ")
}

/// What [`plan`] says, in one word or two.
fn says(line: &str) -> String {
    match plan(&call(line)) {
        Ok(Plan::Read { key, .. }) => format!("read {}", String::from_utf8_lossy(key)),
        Ok(Plan::Write { key, repeat, expiry, .. }) => {
            let expiry = match expiry {
                Expiry::AsSent => "",
                Expiry::Relative { .. } => ", relative",
            };
            format!("{repeat:?} {}{expiry}", String::from_utf8_lossy(key))
        }
        Ok(Plan::Wait { key, at, unit, .. }) => format!("wait {at} {unit:?} {}", String::from_utf8_lossy(key)),
        Ok(Plan::Split { merge, .. }) => format!("split {merge:?}"),
        Ok(Plan::Keyless { .. }) => "keyless".to_owned(),
        Ok(Plan::WholeRing { .. }) => "ring".to_owned(),
        Ok(Plan::AnyMember { .. }) => "any".to_owned(),
        Ok(Plan::Publish { channel, .. }) => format!("publish {}", String::from_utf8_lossy(channel)),
        Ok(Plan::Channels { .. }) => "channels".to_owned(),
        Err(refusal) => format!("{:?}", refusal.kind),
    }
}

fn refused(line: &str) -> Refusal {
    plan(&call(line)).map(|plan| plan.row().name).unwrap_err()
}

#[test]
fn every_read_of_one_key_runs() {
    for line in each(
        "GET k, get k, gEt k, STRLEN k, HGETALL k, LRANGE k 0 -1, ZRANGE k 0 -1, TTL k, TYPE k, \
         OBJECT ENCODING k, object freq k, MEMORY USAGE k, XINFO STREAM k, XRANGE k - +, DUMP k, \
         SSCAN k 0, EXISTS k, TOUCH k, MGET k, PFCOUNT k, SINTER k, ZUNION 1 k, SINTERCARD 1 k, \
         XREAD STREAMS k 0, XREAD COUNT 5 STREAMS k $, SORT k LIMIT 0 5 ALPHA, SORT_RO k, \
         SORT k BY nosort GET #, GEORADIUS k 1 2 3 km, GEORADIUSBYMEMBER k m 3 km WITHDIST, \
         GEOSEARCH k FROMMEMBER m BYRADIUS 1 km, BITFIELD_RO k GET u8 0, SRANDMEMBER k, \
         GEORADIUS k 1 2 3 km STORE",
    ) {
        assert_eq!(says(line), "read k", "{line}");
    }
}

#[test]
fn absolute_writes_run() {
    for line in each(
        "SET k v, SET k v PXAT 1700000000000, SET k v EXAT 1700000000, DEL k, UNLINK k, MSET k v, \
         HSET k f v, HMSET k f v, HDEL k f, SADD k m, SREM k m, ZADD k 1 m, ZADD k CH 1 m, ZREM k m, \
         SETBIT k 1 1, PFADD k a, GEOADD k 1 2 m, EXPIREAT k 1700000000, PEXPIREAT k 1700000000000, \
         ZADD k 1 NX, GEOADD k 1 2 NX",
    ) {
        assert_eq!(says(line), "Absolute k", "{line}");
    }
    for line in each("SET k v EX 10, SET k v px 10, SETEX k 10 v, PSETEX k 10 v") {
        assert_eq!(says(line), "Absolute k, relative", "{line}");
    }
}

#[test]
fn writes_that_depend_on_what_is_there_run_after_the_primary() {
    for line in each(
        "SET k v NX, SET k v XX, SET k v GET, SET k v KEEPTTL, SET k v EXAT 1700000000 nx, SETNX k v, \
         GETSET k v, GETDEL k, GETEX k, GETEX k PERSIST, GETEX k PXAT 1700000000000, INCR k, DECRBY k 2, \
         APPEND k v, SETRANGE k 1 v, BITFIELD k INCRBY u8 0 1, PERSIST k, MSETNX k v, HSETNX k f v, \
         HINCRBY k f 1, LPUSH k v, RPUSHX k v, LPOP k, RPOP k 2, LSET k 0 v, LINSERT k BEFORE p v, \
         LREM k 0 v, LTRIM k 0 1, LMPOP 1 k LEFT, ZMPOP 1 k MIN, ZADD k NX 1 m, ZADD k CH GT 1 m, \
         ZADD k INCR 1 m, ZINCRBY k 1 m, ZPOPMIN k, ZPOPMAX k 2, ZREMRANGEBYRANK k 0 1, \
         GEOADD k XX 1 2 m, EXPIREAT k 1700000000 GT, PEXPIREAT k 1700000000000 nx, XADD k 1-1 f v, \
         XADD k NOMKSTREAM 1-1 f v, XADD k MAXLEN 10 1-1 f *, XADD k MINID = 1-0 5-1 f v, XDEL k 1-1, \
         XTRIM k MAXLEN 10, XTRIM k MINID = 1-0, XSETID k 1-1, PFMERGE k",
    ) {
        assert_eq!(says(line), "Deterministic k", "{line}");
    }
    assert_eq!(says("SET k v NX EX 10"), "Deterministic k, relative");
    assert_eq!(says("SET k v EX 10 KEEPTTL"), "Deterministic k, relative");
}

#[test]
fn what_is_random_or_depends_on_the_time_runs_by_its_effect() {
    for line in each(
        "SPOP k, SPOP k 2, XADD k * f v, XADD k 5-* f v, XADD k MAXLEN ~ 10 1-1 f v, XTRIM k MAXLEN ~ 10, \
         XTRIM k MINID ~ 1-0 LIMIT 5, INCRBYFLOAT k 1, HINCRBYFLOAT k f 1, XREADGROUP GROUP g c STREAMS k >, \
         XCLAIM k g c 0 1-1, XAUTOCLAIM k g c 0 0",
    ) {
        assert_eq!(says(line), "Effect k", "{line}");
    }
    for line in each("EVAL x 1 k, EVALSHA x 2 k {k}a, FCALL f 1 k, SORT k STORE {k}") {
        assert_eq!(says(line), "State k", "{line}");
    }
}

#[test]
fn an_expiry_becomes_absolute() {
    for line in each("EXPIRE k 10, PEXPIRE k 10") {
        assert_eq!(says(line), "Absolute k, relative", "{line}");
    }
    for line in
        each("PEXPIRE k 10 NX, EXPIRE k -1 GT, GETEX k EX 10, GETEX k px 10, RESTORE k 0 x, RESTORE k 5 x REPLACE")
    {
        assert_eq!(says(line), "Deterministic k, relative", "{line}");
    }
    assert_eq!(says("RESTORE k 5 x ABSTTL"), "Deterministic k");
}

#[test]
fn what_may_wait_says_how_long() {
    for (line, plan) in [
        ("BLPOP k 0", "wait 2 Seconds k"),
        ("BLPOP {k}a {k}b 1.5", "wait 3 Seconds {k}a"),
        ("BLMOVE {k}a {k}b LEFT LEFT 0", "wait 5 Seconds {k}a"),
        ("BLMPOP 7 1 k LEFT", "wait 1 Seconds k"),
        ("BZPOPMIN k 1", "wait 2 Seconds k"),
        ("XREAD BLOCK 0 STREAMS k $", "wait 2 Milliseconds k"),
        ("XREAD COUNT 1 block 5 STREAMS k $", "wait 4 Milliseconds k"),
        ("XREADGROUP GROUP g c BLOCK 5 STREAMS k >", "wait 5 Milliseconds k"),
        ("XREADGROUP BLOCK 5 GROUP g c STREAMS k >", "wait 2 Milliseconds k"),
    ] {
        assert_eq!(says(line), plan, "{line}");
    }
}

#[test]
fn several_keys_are_split_or_must_share_a_tag() {
    for (line, plan) in [
        ("MGET a b", "split InOrder"),
        ("MSET a 1 b 2", "split AllOk"),
        ("DEL a b", "split Sum"),
        ("UNLINK a b", "split Sum"),
        ("EXISTS a b", "split Sum"),
        ("TOUCH a b", "split Sum"),
        // Of one token: one command for one pair of owners.
        ("EXISTS k k", "read k"),
        ("MGET {t}1 {t}2", "read {t}1"),
        ("MSET {t}1 1 {t}2 2", "Absolute {t}1"),
        ("RENAME {t}1 {t}2", "Deterministic {t}1"),
        ("LMOVE k k LEFT RIGHT", "Deterministic k"),
        ("SUNION {t}1 t", "read {t}1"),
        ("XREAD STREAMS {t}1 {t}2 0 0", "read {t}1"),
    ] {
        assert_eq!(says(line), plan, "{line}");
    }
    for line in each(
        "MSETNX a 1 b 2, RENAME a b, COPY a b, SUNION a b, SORT k STORE d, GEORADIUS k 1 2 3 km STORE d, BITOP NOT d a, \
         XREAD STREAMS a b 0 0, EVAL x 2 a b, BLPOP a b 0",
    ) {
        assert_eq!(says(line), "Usage", "{line}");
    }
    let refusal = refused("RENAME user:1 user:2");
    assert_eq!(
        refusal.to_string(),
        "RENAME was not sent: its keys must live together, and \"user:1\" and \"user:2\" do not"
    );
    assert!(refusal.hint.contains("hash tag"));
}

#[test]
fn what_has_no_key_goes_to_all_or_any_or_the_owner_of_a_channel() {
    for line in
        each("SCAN 0, KEYS *, DBSIZE, FLUSHALL, FLUSHDB ASYNC, SCRIPT LOAD x, FUNCTION LIST, WAIT 1 0, RANDOMKEY")
    {
        assert_eq!(says(line), "ring", "{line}");
    }
    for line in each("PING, TIME, ECHO x, COMMAND, COMMAND COUNT, OBJECT HELP") {
        assert_eq!(says(line), "any", "{line}");
    }
    assert_eq!(says("PUBLISH c m"), "publish c");
    assert_eq!(says("SPUBLISH c m"), "publish c");
    assert_eq!(says("PUBSUB NUMSUB c"), "channels");
    assert_eq!(says("EVAL x 0"), "keyless");
}

#[test]
fn what_means_nothing_on_a_ring_is_refused_for_ever() {
    for line in each(
        "SELECT 1, MOVE k 1, SWAPDB 0 1, REPLICAOF a 1, SHUTDOWN, CLUSTER NODES, SUBSCRIBE c, \
         PSUBSCRIBE c, MULTI, EXEC, WATCH k, DISCARD, AUTH p, HELLO 3, CLIENT SETNAME x, \
         CLIENT REPLY OFF, MONITOR, MIGRATE h 1 k 0 1, DEBUG SLEEP 1, MODULE LOAD x, SORT k BY w_*, \
         SORT k GET x_*, SORT_RO k BY w_*->f, INFO, CONFIG GET x, CLIENT LIST, COPY a {a} DB 1, READONLY, ASKING, RESET, QUIT, CLIENT PAUSE 1",
    ) {
        assert_eq!(says(line), "Never", "{line}");
    }
}

#[test]
fn a_wrong_call_is_refused_as_usage() {
    for line in each(
        "GET, GET k l, SET k, OBJECT, XINFO, ZUNION 2 k, ZUNION x k, ZUNION 99999999999999999999 k, \
         ZUNION 0 k, XREAD COUNT 1 k, GET __rr:gate, SET __rr:x v, DEL a __rr:gate, MGET __rr:gate",
    ) {
        assert_eq!(says(line), "Usage", "{line}");
    }
    assert_eq!(says("GET __rr"), "read __rr");
}

#[test]
fn refusals_name_the_command_the_reason_and_a_way_around() {
    let text = |line: &str| {
        let refusal = refused(line);
        format!("{refusal}; hint: {}", refusal.hint)
    };
    assert_eq!(
        text("select 1"),
        "SELECT cannot run on a ring: a ring is one database, chosen when it is founded; \
         hint: found a ring for each database, or give the keys a prefix"
    );
    assert_eq!(
        text("config get maxmemory"),
        "CONFIG GET cannot run on a ring: it concerns one server and a ring has many; \
         hint: ask that member: client.on(id), or `redis-ring exec --on ID -- …`"
    );
    assert_eq!(
        text("nosuch secret"),
        "NOSUCH is not known to the ring: neither its keys nor its effect can be told; hint: check the spelling; \
         a command of a module must be known to the servers"
    );
    assert_eq!(
        text("config secret x"),
        "CONFIG is not known to the ring: its first argument is none of its subcommands, so its keys cannot be told; \
         hint: check the spelling of the subcommand"
    );
    assert_eq!(
        text("GET"),
        "GET was not sent: wrong number of arguments; hint: the command's documentation lists its arguments"
    );
    assert_eq!(
        text("HGET __rr:gate open"),
        "HGET was not sent: keys that begin with __rr: belong to the ring itself; hint: choose another prefix for the key"
    );
    assert_eq!(
        text("RENAME a \u{7}"),
        "RENAME was not sent: its keys must live together, and \"a\" and \"\\x07\" do not; \
         hint: give them the same hash tag, as {a}1 and {a}2 have, or send a command for each"
    );
    assert_eq!(text("ZUNION 0 k"), "ZUNION was not sent: it names no key, so nobody owns it; hint: give it a key");
    assert!(text("SUNION a b").contains("hash tag"));
    assert!(text("ZUNION 3 k").contains("fewer keys than it says"));
    assert!(text("SORT k BY w_*").starts_with("SORT cannot run on a ring: such a pattern reads keys"));
    assert!(refused("se\r\nlect 1").to_string().starts_with("a command with an unreadable name is not known"));
    assert!(refused("config|get x").to_string().starts_with("CONFIG|GET is not known"));
    let empty = plan(&Cmd::new()).map(|_| ()).unwrap_err();
    assert_eq!(empty.to_string(), "an empty command was not sent: it has no name");
}

#[test]
fn no_refusal_repeats_an_argument() {
    for row in &ROWS {
        let mut command = Cmd::new();
        row.upper.split(' ').for_each(|word| {
            command.arg(word);
        });
        (0..8).for_each(|_| {
            command.arg("hunter2");
        });
        if let Err(refusal) = plan(&command) {
            assert!(!format!("{refusal:?} {refusal}").contains("hunter2"), "{}", row.name);
        }
    }
}

#[test]
fn scans_of_one_key_run_with_redis_own_cursor() {
    for name in ["HSCAN", "SSCAN", "ZSCAN"] {
        let command = cmd(name).arg("k").cursor_arg(17).arg("MATCH").arg("a*").take();
        let plan = plan(&command).unwrap();
        assert_eq!((plan.key().unwrap(), plan.is_write(), plan.row().answer), (b"k".as_slice(), false, Answer::Part));
    }
    let wrong = cmd("GET").cursor_arg(1).take();
    assert_eq!(plan(&wrong).map(|_| ()).unwrap_err().reason, "a cursor stands where its key belongs");
}

#[test]
fn binary_keys_pass_unchanged() {
    let key = [0xff, 0x00, b'\r', 0x01];
    assert_eq!(plan(&cmd("GET").arg(&key).take()).unwrap().key().unwrap(), key);
    assert_eq!(plan(&cmd("GET").arg("").take()).unwrap().key().unwrap(), b"");
}

/// The words of what [`absolute`] made of a call at the time 1,000,000 ms.
fn absolutely(line: &str) -> String {
    let command = call(line);
    match absolute(&command, &plan(&command).unwrap(), 1_000_000) {
        Rewrite::AsSent => "as sent".to_owned(),
        Rewrite::PrimaryAlone => "primary alone".to_owned(),
        Rewrite::Absolute(rewritten) => {
            let words = rewritten.args_iter().map(|arg| match arg {
                redis::Arg::Simple(word) => String::from_utf8_lossy(word).into_owned(),
                other => panic!("{other:?}"),
            });
            words.collect::<Vec<_>>().join(" ")
        }
    }
}

#[test]
fn a_relative_expiry_becomes_absolute_in_milliseconds() {
    assert_eq!(absolutely("SET k v EX 10"), "SET k v PXAT 1010000");
    assert_eq!(absolutely("SET k v NX px 10 GET"), "SET k v NX PXAT 1000010 GET");
    assert_eq!(absolutely("SETEX k 10 EX"), "SET k EX PXAT 1010000");
    assert_eq!(absolutely("PSETEX k 10 v"), "SET k v PXAT 1000010");
    assert_eq!(absolutely("SET EX EX EX 9000000000000000"), "SET EX EX PXAT 9000000000001000000");
    assert_eq!(absolutely("EXPIRE k 10 GT"), "PEXPIREAT k 1010000 GT");
    assert_eq!(absolutely("SET k v"), "as sent");
    assert_eq!(absolutely("SET k v PXAT 5"), "as sent");
    assert_eq!(absolutely("GET k"), "as sent");
}

/// A clock that is a little ahead must not let the key live on.
#[test]
fn a_lifetime_that_is_over_ends_before_every_clock() {
    assert_eq!(absolutely("EXPIRE k 0"), "PEXPIREAT k 0");
    assert_eq!(absolutely("PEXPIRE k -5 XX"), "PEXPIREAT k 0 XX");
    assert_eq!(absolutely("EXPIRE k -5000"), "PEXPIREAT k -4000000");
}

#[test]
fn an_expiry_that_no_server_accepts_goes_to_the_primary_alone() {
    for expiry in ["0", "-1", "+1", "01", "", "x", "1.5", "9223372036854775807", "9223372036854775808", "10 "] {
        for name in ["SETEX", "PSETEX"] {
            let command = cmd(name).arg("k").arg(expiry).arg("v").take();
            let made = absolute(&command, &plan(&command).unwrap(), 1_000_000);
            assert!(matches!(made, Rewrite::PrimaryAlone), "{name} {expiry}");
        }
        let command = cmd("SET").arg("k").arg("v").arg("EX").arg(expiry).take();
        assert!(matches!(absolute(&command, &plan(&command).unwrap(), 1_000_000), Rewrite::PrimaryAlone), "{expiry}");
    }
    assert_eq!(absolutely("SET k v EX"), "primary alone");
}

#[test]
fn only_a_proof_says_that_nothing_was_written() {
    let proves = |line: &str, reply: Value| match plan(&call(line)).unwrap() {
        Plan::Write { no_effect, .. } => no_effect.shown_by(&reply),
        other => panic!("{line} does not write: {other:?}"),
    };
    assert!(proves("SET k v NX", Value::Nil));
    assert!(!proves("SET k v NX", Value::Okay));
    assert!(!proves("SET k v GET", Value::Nil), "there was no value, and now there is one");
    assert!(!proves("SET k v NX GET", Value::Nil));
    assert!(proves("SETNX k v", Value::Int(0)));
    assert!(!proves("SETNX k v", Value::Int(1)));
    assert!(proves("LINSERT k BEFORE p v", Value::Int(-1)));
    assert!(proves("ZADD k NX INCR 1 m", Value::Nil));
    assert!(!proves("ZADD k XX 1 m", Value::Int(0)), "a score may have changed");
    assert!(proves("ZPOPMIN k", Value::Array(vec![])));
    assert!(!proves("INCR k", Value::Int(0)));
}

#[test]
fn traces_get_the_name_of_the_table() {
    assert_eq!(name(&call("get k")), "GET");
    assert_eq!(name(&call("config get k")), "CONFIG GET");
    assert_eq!(name(&call("secret k")), "UNKNOWN");
    assert_eq!(name(&Cmd::new()), "UNKNOWN");
}

#[test]
fn the_rows_agree_with_themselves() {
    for row in &ROWS {
        let name = row.name;
        assert_eq!(row.upper, name.to_uppercase().replace('|', " "));
        match (row.access, row.replication) {
            (Access::None, Replication::None | Replication::EveryMember)
            | (Access::Read, Replication::None)
            | (
                Access::Write | Access::ReadOrStore,
                Replication::Absolute
                | Replication::Deterministic
                | Replication::Effect
                | Replication::Refresh
                | Replication::EveryMember,
            ) => {}
            wrong => panic!("{name}: {wrong:?}"),
        }
        let why = match row.support {
            Support::Runs => {
                let told = row.replication == Replication::Effect && row.effect == Effect::None;
                assert!(!told, "{name}: nobody knows what the copies get");
                continue;
            }
            Support::Never(why) => why,
        };
        for text in [why.reason, why.hint] {
            assert!(text.starts_with(|first: char| first.is_lowercase()) && !text.ends_with('.'), "{name}: {text}");
        }
    }
}

fn any_row() -> impl Strategy<Value = &'static Row> {
    (0..ROWS.len()).prop_map(|index| &ROWS[index])
}

proptest! {
    #[test]
    fn every_row_is_found_in_any_case(row in any_row(), case in any::<u64>()) {
        let mixed: String = row.name.chars().enumerate().map(|(at, letter)| {
            if case >> (at % 64) & 1 == 1 { letter.to_ascii_uppercase() } else { letter }
        }).collect();
        prop_assert_eq!(lookup(mixed.as_bytes()).map(|row| row.name), Some(row.name));
        if let Some((container, sub)) = mixed.split_once('|') {
            prop_assert_eq!(lookup_sub(container.as_bytes(), sub.as_bytes()).map(|row| row.name), Some(row.name));
            prop_assert_eq!(resolve(container.as_bytes(), Some(sub.as_bytes())).map(|row| row.name), Some(row.name));
            prop_assert!(resolve(mixed.as_bytes(), None).is_none());
        }
    }

    #[test]
    fn nothing_else_is_found(name in proptest::collection::vec(any::<u8>(), 0..60), row in any_row(), at in 0usize..30, bit in 0u8..8) {
        let lower = name.to_ascii_lowercase();
        let known = ROWS.iter().any(|row| row.name.as_bytes() == lower);
        prop_assert_eq!(lookup(&name).is_some(), known);
        // A real name with one byte changed: near misses are likelier to deceive the index than noise.
        let mut near = row.name.as_bytes().to_vec();
        let at = at % near.len();
        near[at] ^= 1 << bit;
        let known = ROWS.iter().any(|row| row.name.as_bytes() == near.to_ascii_lowercase());
        prop_assert_eq!(lookup(&near).is_some(), known);
    }

    #[test]
    fn no_call_makes_it_panic(
        row in any_row(),
        words in proptest::collection::vec(
            prop_oneof!["[a-z]{0,3}", "-?[0-9]{1,20}", "(EX|PX|NX|GET|STORE|BY|STREAMS|KEYS|MAXLEN|~|=|LIMIT|\\*)"], 0..9),
        now in any::<u64>(),
    ) {
        let mut command = Cmd::new();
        row.upper.split(' ').for_each(|word| { command.arg(word); });
        words.iter().for_each(|word| { command.arg(word); });
        if let Ok(plan) = plan(&command) {
            prop_assert_eq!(plan.row().name, row.name);
            prop_assert!(plan.key().is_none_or(|key| words.iter().any(|word| word.as_bytes() == key)));
            let _ = absolute(&command, &plan, now);
        }
    }
}

#[test]
fn a_cursor_is_found_wherever_redis_rs_keeps_it_and_can_be_replaced() {
    let mut plain = redis::cmd("HSCAN");
    plain.arg("k\r\n$9").arg(17).arg("COUNT").arg(5);
    assert_eq!(super::cursor(&plain, 2), Some(17));
    let mut iterating = redis::cmd("HSCAN");
    iterating.arg("k").cursor_arg(u64::MAX);
    assert_eq!(super::cursor(&iterating, 2), Some(u64::MAX));
    let changed = super::with_cursor(&plain, 2, 3);
    assert_eq!(
        changed.get_packed_command(),
        redis::cmd("HSCAN").arg("k\r\n$9").arg(3).arg("COUNT").arg(5).get_packed_command()
    );
    assert_eq!(super::cursor(redis::cmd("HSCAN").arg("k"), 2), None);
    assert_eq!(super::cursor(redis::cmd("HSCAN").arg("k").arg("x"), 2), None);
}

#[test]
fn options_of_newer_servers_are_not_taken_for_what_they_are_not() {
    let command = |words: &[&str]| {
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command
    };
    for words in [
        &["XADD", "k", "KEEPREF", "*", "f", "v"][..],
        &["XADD", "k", "DELREF", "MAXLEN", "~", "5", "*", "f", "v"],
        &["XADD", "k", "IDMPAUTO", "p", "*", "f", "v"],
    ] {
        match super::plan(&command(words)) {
            Ok(super::Plan::Write { repeat: super::Repeat::State, .. }) => {}
            other => panic!("{words:?}: {other:?}"),
        }
    }
    for words in [&["SET", "k", "v", "IFEQ", "old"][..], &["EXPIREAT", "k", "9", "NEW"]] {
        match super::plan(&command(words)) {
            Ok(super::Plan::Write { repeat: super::Repeat::Deterministic, no_effect: NoEffect::Unproven, .. }) => {}
            other => panic!("{words:?}: {other:?}"),
        }
    }
    assert!(super::plan(&command(&["XADD", "k", "NOMKSTREAM", "MAXLEN", "5", "7-1", "f", "v"])).is_ok());
}

#[test]
fn what_a_call_waits_for_and_with_whom_it_competes() {
    let waits = |line: &str| {
        let call = call(line);
        let plan = plan(&call).unwrap();
        let keys: Vec<String> = awaited(&call, &plan).into_iter().map(|key| String::from_utf8(key).unwrap()).collect();
        (keys.join(" "), competes(&call, &plan).map(|group| String::from_utf8_lossy(group).into_owned()))
    };
    let alone = Some(String::new());
    assert_eq!(waits("BLPOP {k}a {k}b 0"), ("{k}a {k}b".to_owned(), alone.clone()));
    assert_eq!(waits("BLMOVE {k}a {k}b LEFT LEFT 0"), ("{k}a".to_owned(), alone.clone()));
    assert_eq!(waits("BZMPOP 0 2 {k}a {k}b MIN"), ("{k}a {k}b".to_owned(), alone));
    assert_eq!(waits("XREAD BLOCK 0 STREAMS {k}a {k}b $ 0-0"), ("{k}a {k}b".to_owned(), None));
    let group = waits("XREADGROUP GROUP g c BLOCK 0 STREAMS a >");
    assert_eq!(group, ("a".to_owned(), Some("g".to_owned())));
}

#[test]
fn ids_that_mean_now_are_found_and_replaced() {
    let read = call("XREAD COUNT 2 BLOCK 0 STREAMS {k}$ {k}b {k}c $ 5-0 $");
    let found = from_now(&read, &plan(&read).unwrap());
    assert_eq!(found, [(b"{k}$".to_vec(), 9), (b"{k}c".to_vec(), 11)]);
    let settled = with_words(&read, &[(9, "1-1".to_owned()), (11, "2-2".to_owned())]);
    assert_eq!(
        settled.get_packed_command(),
        call("XREAD COUNT 2 BLOCK 0 STREAMS {k}$ {k}b {k}c 1-1 5-0 2-2").get_packed_command()
    );
    for line in ["BLPOP $ 0", "XREADGROUP GROUP g $ BLOCK 0 STREAMS $ >"] {
        let call = call(line);
        assert_eq!(from_now(&call, &plan(&call).unwrap()), []);
    }
}

#[test]
fn every_command_of_the_whole_ring_has_a_way_to_run_there() {
    for row in ROWS.iter().filter(|row| row.support == Support::Runs && row.kind != Kind::Container) {
        assert_eq!(row.split == Split::WholeRing, row.wide != Wide::None, "{}", row.name);
    }
}

#[test]
fn one_member_is_asked_what_concerns_its_server_and_only_to_read() {
    let asked = |line: &str| on_member(&call(line)).map(|row| row.upper).map_err(|refusal| refusal.kind);
    for (line, name) in [
        ("INFO", "INFO"),
        ("config get x", "CONFIG GET"),
        ("CLIENT KILL ID 5", "CLIENT KILL"),
        ("ACL SETUSER x", "ACL SETUSER"),
        ("GET k", "GET"),
        ("MGET a b", "MGET"),
        ("DBSIZE", "DBSIZE"),
        ("PUBSUB CHANNELS", "PUBSUB CHANNELS"),
        ("TIME", "TIME"),
    ] {
        assert_eq!(asked(line), Ok(name), "{line}");
    }
    for (line, kind) in [
        ("SET k v", RefusalKind::Usage),
        ("MSET a 1 b 2", RefusalKind::Usage),
        ("FLUSHALL", RefusalKind::Usage),
        ("WAIT 1 1", RefusalKind::Usage),
        ("SCRIPT LOAD x", RefusalKind::Usage),
        ("BLPOP k 1", RefusalKind::Usage),
        ("XREAD BLOCK 1 STREAMS k 0", RefusalKind::Usage),
        ("PUBLISH c m", RefusalKind::Usage),
        ("LASTSAVE x", RefusalKind::Usage),
        ("GET __rr:gate", RefusalKind::Usage),
        ("SHUTDOWN", RefusalKind::Never),
        ("DEBUG SLEEP 1", RefusalKind::Never),
        ("CLIENT PAUSE 1", RefusalKind::Never),
        ("MODULE LOAD x", RefusalKind::Never),
        ("SELECT 1", RefusalKind::Never),
        ("AUTH x", RefusalKind::Never),
        ("MULTI", RefusalKind::Never),
        ("NOSUCH", RefusalKind::Unknown),
        ("CONFIG NOSUCH", RefusalKind::Unknown),
    ] {
        assert_eq!(asked(line), Err(kind), "{line}");
    }
}

#[test]
fn what_writes_only_what_is_absent_is_told_from_what_takes_or_replaces() {
    let yes = "SET k v NX, set k v ex 10 nx, SET k v NX PXAT 1, SETNX k v, HSETNX k f v, MSETNX k v";
    for line in each(yes) {
        assert!(is_if_absent(&call(line)), "{line}");
    }
    let no =
        "SET k v, SET k NX, SET k v XX, SET k v NX GET, GETDEL k, LPOP k, LPUSHX k v, ZADD k NX 1 m, INCR k, GET k";
    for line in each(no) {
        assert!(!is_if_absent(&call(line)), "{line}");
    }
}
