//! Counters that all clients count up.

use redis::cmd;

use super::{Hands, end_in_place};
use crate::history::{Act, End, Workload};

/// Few, so that each is hot.
const COUNTERS: u64 = 16;
const FIELDS: u64 = 4;

fn number(number: Option<u64>) -> End {
    End::Number(number)
}

pub async fn count(hands: &mut Hands) {
    let key = hands.space.shared('c', hands.rng.u64(..COUNTERS));
    if hands.rng.bool() {
        hands.run(Workload::Counter, &key, Act::Add, cmd("INCR").arg(&key), number).await;
    } else {
        hands.run(Workload::Counter, &key, Act::Read, cmd("GET").arg(&key), number).await;
    }
}

/// In the same hashes as nobody's registers: HINCRBY and HGET.
pub async fn count_fields(hands: &mut Hands) {
    let (key, field) = (hands.space.shared('i', hands.rng.u64(..FIELDS)), format!("n{}", hands.rng.u64(..FIELDS)));
    let cell = format!("{key}#{field}");
    if hands.rng.bool() {
        let cmd = cmd("HINCRBY").arg(&key).arg(&field).arg(1).to_owned();
        hands.run(Workload::Field, &cell, Act::Add, &cmd, number).await;
    } else {
        hands.run(Workload::Field, &cell, Act::Read, cmd("HGET").arg(&key).arg(&field), number).await;
    }
}

/// Two counters that live together, in one MULTI.
pub async fn transaction(hands: &mut Hands) {
    let pair = hands.space.shared('t', hands.rng.u64(..COUNTERS));
    let keys = [format!("{{{pair}}}a"), format!("{{{pair}}}b")];
    let act = if hands.rng.bool() { Act::Add } else { Act::Read };
    let name = if act.is_read() { "GET" } else { "INCR" };
    let mut pipeline = redis::pipe();
    pipeline.atomic();
    keys.iter().for_each(|key| {
        pipeline.add_command(cmd(name).arg(key).to_owned());
    });
    let asked = hands.ask_all(&pipeline).await;
    let replies = asked.result.clone().map(|mut replies| match replies.pop() {
        Some(redis::Value::Array(replies)) if replies.len() == keys.len() => Ok(replies),
        other => Err(End::Nonsense(format!("{other:?}").chars().take(100).collect())),
    });
    for (place, key) in keys.iter().enumerate() {
        let end = match &replies {
            Ok(Ok(replies)) => end_in_place(&replies[place], number),
            Ok(Err(end)) | Err(end) => end.clone(),
        };
        hands.record(Workload::Multi, key, act, &asked, end);
    }
    // Whoever sees one of them must see the other with it.
    if let Ok(Ok(replies)) = &replies
        && act.is_read()
        && replies[0] != replies[1]
    {
        hands.record(Workload::Multi, &keys[0], act, &asked, End::Nonsense("half of a transaction".to_owned()));
    }
}
