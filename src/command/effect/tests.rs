//! Effects from replies that no server at hand gives: of other versions, and of none.

use std::time::Duration;

use proptest::prelude::*;
use redis::{Cmd, Value};

use super::super::longest_wait;
use super::super::request::plan;
use super::*;

fn call(line: &str) -> Cmd {
    let mut command = Cmd::new();
    line.split(' ').for_each(|word| {
        command.arg(word);
    });
    command
}

fn shown(cmd: &Cmd) -> String {
    words(cmd).map(|word| String::from_utf8_lossy(word.unwrap()).into_owned()).collect::<Vec<_>>().join(" ")
}

fn told(line: &str, reply: &Value, answers: &[Value]) -> Result<Vec<String>, Unreadable> {
    let call = call(line);
    let plan = plan(&call).unwrap();
    effect(&call, &plan, reply, answers).map(|carried| carried.iter().map(|one| shown(&one.cmd)).collect())
}

fn bulk(text: &str) -> Value {
    Value::BulkString(text.into())
}

fn list<const N: usize>(items: [Value; N]) -> Value {
    Value::Array(items.into())
}

fn map<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Map(fields.into_iter().map(|(name, value)| (bulk(name), value)).collect())
}

fn time() -> Value {
    list([bulk("1700000000"), bulk("123999")])
}

fn entry(id: &str) -> Value {
    list([bulk(id), list([bulk("f"), bulk("v")])])
}

fn group() -> Value {
    list([map([("name", bulk("g")), ("last-delivered-id", bulk("9-0")), ("entries-read", Value::Int(9))])])
}

fn consumer(inactive: i64) -> Value {
    list([map([("name", bulk("c")), ("pending", Value::Int(0)), ("inactive", Value::Int(inactive))])])
}

/// From 7.2 on a consumer is there although it was given nothing, and `inactive` tells whether it has ever been.
#[test]
fn a_consumer_that_a_newer_server_made_is_made_on_the_copies_once() {
    let create = "XGROUP CREATECONSUMER k g c".to_owned();
    for (line, reply, probes_of_group) in [
        ("XREADGROUP GROUP g c STREAMS k >", Value::Nil, true),
        ("XAUTOCLAIM k g c 5 0", list([bulk("0-0"), list([]), list([])]), false),
        ("XCLAIM k g c 5 1-0", list([]), false),
    ] {
        let answers = |inactive| match probes_of_group {
            true => vec![time(), group(), consumer(inactive)],
            false => vec![time(), consumer(inactive)],
        };
        assert!(told(line, &reply, &answers(-1)).unwrap().contains(&create), "{line}");
        assert!(!told(line, &reply, &answers(700)).unwrap().contains(&create), "{line}");
    }
}

#[test]
fn a_server_before_7_does_not_say_how_much_a_group_has_read() {
    let group = list([map([("name", bulk("g")), ("last-delivered-id", bulk("9-0"))])]);
    let reply = list([list([bulk("k"), list([entry("9-0")])])]);
    let consumers = list([map([("name", bulk("c"))])]);
    assert_eq!(
        told("XREADGROUP GROUP g c STREAMS k >", &reply, &[time(), group, consumers]).unwrap(),
        ["XCLAIM k g c 0 9-0 TIME 1700000000123 FORCE RETRYCOUNT 1 JUSTID", "XGROUP SETID k g 9-0"]
    );
}

/// Servers before 7.0 claim what the stream no longer has, and list nil for it.
#[test]
fn a_claim_of_something_without_a_name_cannot_be_told() {
    let consumers = || list([map([("name", bulk("c"))])]);
    let reply = list([entry("1-0"), Value::Nil]);
    assert_eq!(told("XCLAIM k g c 0 1-0 2-0", &reply, &[time(), consumers()]), Err(Unreadable));
    let reply = list([bulk("0-0"), list([Value::Nil])]);
    assert_eq!(told("XAUTOCLAIM k g c 0 0", &reply, &[time(), consumers()]), Err(Unreadable));
    let reply = list([bulk("0-0"), list([entry("1-0")])]);
    assert_eq!(
        told("XAUTOCLAIM k g c 0 0", &reply, &[time(), consumers()]).unwrap(),
        ["XCLAIM k g c 0 1-0 TIME 1700000000123 FORCE"]
    );
}

/// A copy whose clock is ahead would take for possible what the primary did not.
#[test]
fn a_time_that_cannot_be_is_the_primary_s_own() {
    let at = |option: &str| {
        let reply = list([bulk("1-0")]);
        let carried = told(&format!("XCLAIM k g c 0 1-0 {option} JUSTID"), &reply, &[time(), list([])]).unwrap();
        carried[0].strip_prefix("XCLAIM k g c 0 1-0 TIME ").unwrap().strip_suffix(" FORCE JUSTID").unwrap().to_owned()
    };
    assert_eq!(at("TIME 5000"), "5000");
    assert_eq!(at("IDLE 123"), "1700000000000");
    for impossible in ["TIME 1700000000124", "TIME -7", "IDLE -1", "IDLE 1700000000124", "IDLE 5 TIME -1"] {
        assert_eq!(at(impossible), "1700000000123", "{impossible}");
    }
}

#[test]
fn a_command_that_the_copies_repeat_is_its_own_effect() {
    let ok = Value::Okay;
    assert_eq!(told("SET k v", &ok, &[]).unwrap(), ["SET k v"]);
    assert_eq!(told("SET k v NX", &Value::Nil, &[]).unwrap(), [""; 0], "it wrote nothing");
    let incr = call("INCR k");
    let carried = effect(&incr, &plan(&incr).unwrap(), &Value::Int(7), &[]).unwrap();
    assert_eq!((shown(&carried[0].cmd).as_str(), &carried[0].expect), ("INCR k", &Expect::Reply(Value::Int(7))));
    assert_eq!(told("GET k", &bulk("v"), &[]).unwrap(), [""; 0]);
    assert_eq!(told("XREAD BLOCK 5 STREAMS k 0", &Value::Nil, &[]).unwrap(), [""; 0], "it waits and writes nothing");
}

#[test]
fn the_state_of_every_key_that_may_be_written_is_asked_for_once() {
    let asked = |line: &str| {
        let call = call(line);
        let plan = plan(&call).unwrap();
        probes(&call, &plan).iter().map(shown).collect::<Vec<_>>()
    };
    assert_eq!(asked("EVAL x 2 k k"), ["DUMP k", "PEXPIRETIME k"]);
    assert_eq!(asked("SORT {k} STORE k"), ["DUMP k", "PEXPIRETIME k"]);
    assert_eq!(asked("XADD k NEWER 5 * f v"), ["DUMP k", "PEXPIRETIME k"]);
    assert_eq!(asked("FCALL f 2 k {k}2 x").len(), 4);
    assert_eq!(asked("SPOP k"), [""; 0]);
    assert_eq!(asked("BLPOP k 0"), [""; 0]);
}

#[test]
fn a_state_is_restored_or_removed() {
    let answers = |dump, expiry| told("EVAL x 1 k", &Value::Int(1), &[dump, Value::Int(expiry)]).unwrap();
    assert_eq!(answers(bulk("DUMPED"), -1), ["RESTORE k 0 DUMPED REPLACE ABSTTL"]);
    assert_eq!(answers(bulk("DUMPED"), 4_000_000_000_123), ["RESTORE k 4000000000123 DUMPED REPLACE ABSTTL"]);
    assert_eq!(answers(Value::Nil, -2), ["DEL k"]);
    assert_eq!(answers(bulk("DUMPED"), -2), ["DEL k"], "it expired between the two");
    assert_eq!(told("EVAL x 1 k", &Value::Nil, &[Value::Nil]), Err(Unreadable));
    assert_eq!(told("EVAL x 1 k", &Value::Nil, &[bulk("x"), bulk("y")]), Err(Unreadable));
}

#[test]
fn a_wait_is_known_changed_and_left_out() {
    let waits = |line: &str| {
        let call = call(line);
        longest_wait(&call, &plan(&call).unwrap())
    };
    let for_ever = Some(None);
    assert_eq!(waits("BLPOP k 0"), for_ever);
    assert_eq!(waits("BLPOP k 0.0"), for_ever);
    assert_eq!(waits("BLPOP k 1.5"), Some(Some(Duration::from_millis(1500))));
    assert_eq!(waits("BLMPOP 0.001 1 k LEFT"), Some(Some(Duration::from_millis(1))));
    assert_eq!(waits("XREAD BLOCK 20 STREAMS k $"), Some(Some(Duration::from_millis(20))));
    assert_eq!(waits("XREADGROUP BLOCK 0 GROUP g c STREAMS k >"), for_ever);
    for wrong in ["x", "-1", "inf", "nan", "1e300", "9223372036854775808"] {
        assert_eq!(waits(&format!("BLPOP k {wrong}")), None, "{wrong}");
    }
    assert_eq!(waits("XREAD BLOCK 1.5 STREAMS k $"), None);
    assert_eq!(waits("GET k"), None);
}

/// A call for each rule, of a form that goes through most of it.
const CALLS: &[&str] = &[
    "SPOP k 2",
    "INCRBYFLOAT k 1",
    "HINCRBYFLOAT k f 1",
    "XADD k MAXLEN ~ 5 * f v",
    "XTRIM k MINID ~ 5",
    "XCLAIM k g c 0 1-0 2 x IDLE 5 LASTID 7-0",
    "XAUTOCLAIM k g c 0 0 JUSTID",
    "XREADGROUP GROUP g c STREAMS k {k}2 > 0",
    "XREADGROUP GROUP g c BLOCK 5 STREAMS k >",
    "BLPOP k 0",
    "BLMPOP 0 1 k LEFT",
    "BLMPOP 0 1 k",
    "BLMOVE k k UP RIGHT 0",
    "BZMPOP 0 1 k MIN",
    "EVAL x 1 k",
    "SORT k STORE k",
];

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<i64>().prop_map(Value::Int),
        prop_oneof![Just("k"), Just("g"), Just("c"), Just("1-0"), Just("name"), Just("last-delivered-id"), Just("17")]
            .prop_map(bulk),
        proptest::collection::vec(any::<u8>(), 0..8).prop_map(Value::BulkString),
        any::<f64>().prop_map(Value::Double),
        Just(Value::Okay),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::Set),
            proptest::collection::vec((inner.clone(), inner), 0..4).prop_map(Value::Map),
        ]
    })
}

proptest! {
    #[test]
    fn no_reply_makes_it_panic(
        line in proptest::sample::select(CALLS),
        reply in any_value(),
        answers in proptest::collection::vec(any_value(), 0..6),
    ) {
        let call = call(line);
        if let Ok(plan) = plan(&call) {
            let carried = effect(&call, &plan, &reply, &answers);
            // Whatever is carried is a command that the table knows.
            for one in carried.into_iter().flatten() {
                prop_assert!(super::super::plan(&one.cmd).is_ok(), "{}", shown(&one.cmd));
            }
        }
    }
}
