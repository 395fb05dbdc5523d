//! Registers: one writer a cell, rising values, many readers; written in all the ways that there are.

use std::collections::HashMap;

use redis::{Cmd, cmd};

use super::{Hands, end_in_place, named, number_in, read_as};
use crate::history::{Act, End, Workload};

/// Cells of each kind that a worker has.
const CELLS: u64 = 4;
/// Cells in one message.
const AT_ONCE: usize = 3;
const SCRIPT: &str = "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('INCR', KEYS[2])";

/// The newest value of each of a worker's own cells.
#[derive(Default)]
pub struct Registers(HashMap<String, u64>);

impl Registers {
    fn next(&mut self, cell: &str) -> u64 {
        let value = self.0.entry(cell.to_owned()).or_default();
        *value += 1;
        *value
    }

    pub async fn plain(&mut self, hands: &mut Hands) {
        if hands.rng.u8(..3) == 0 {
            let number = hands.rng.u64(..CELLS);
            let key = hands.own('r', number);
            let value = self.next(&key);
            write(hands, Workload::Register, &key, value, cmd("SET").arg(&key).arg(named(&key, value))).await;
        } else {
            let key = hands.anyones('r', CELLS);
            read(hands, Workload::Register, &key, cmd("GET").arg(&key)).await;
        }
    }

    /// HSET and HGET, ZADD and ZSCORE.
    pub async fn fields(&mut self, hands: &mut Hands) {
        let (writes, hash) = (hands.rng.u8(..3) == 0, hands.rng.bool());
        let letter = if hash { 'h' } else { 'z' };
        let key = if writes { hands.own(letter, 0) } else { hands.anyones(letter, 1) };
        let field = format!("f{}", hands.rng.u64(..CELLS));
        let cell = format!("{key}#{field}");
        match (hash, writes) {
            (true, true) => {
                let value = self.next(&cell);
                let cmd = cmd("HSET").arg(&key).arg(&field).arg(named(&cell, value)).to_owned();
                write(hands, Workload::Field, &cell, value, &cmd).await;
            }
            (true, false) => read(hands, Workload::Field, &cell, cmd("HGET").arg(&key).arg(&field)).await,
            (false, true) => {
                let value = self.next(&cell);
                write(hands, Workload::Field, &cell, value, cmd("ZADD").arg(&key).arg(value).arg(&field)).await;
            }
            (false, false) => {
                let cmd = cmd("ZSCORE").arg(&key).arg(&field).to_owned();
                let score = |score: Option<f64>| End::Number(score.map(|score| score as u64));
                hands.run(Workload::Field, &cell, Act::Read, &cmd, score).await;
            }
        }
    }

    /// A script that sets one key and counts another one up: both are this worker's own.
    pub async fn script(&mut self, hands: &mut Hands) {
        let number = hands.rng.u64(..CELLS);
        if hands.rng.bool() {
            let (key, count) = (hands.own('s', number), format!("{{{}}}n", hands.own('s', number)));
            let value = self.next(&key);
            let cmd = cmd("EVAL").arg(SCRIPT).arg(2).arg(&key).arg(&count).arg(named(&key, value)).to_owned();
            let asked = hands.ask(&cmd).await;
            let (set, counted) = match &asked.result {
                Ok(reply) => (End::Done, read_as(reply, |number| End::Number(Some(number)))),
                Err(end) => (end.clone(), end.clone()),
            };
            hands.record(Workload::Script, &key, Act::Write(value, None), &asked, set);
            hands.record(Workload::Script, &count, Act::Add, &asked, counted);
        } else {
            let key = hands.anyones('s', CELLS);
            read(hands, Workload::Script, &key, cmd("GET").arg(&key)).await;
        }
    }

    /// MSET and MGET.
    pub async fn several_keys(&mut self, hands: &mut Hands) {
        let workload = Workload::Multi;
        if hands.rng.bool() {
            let mut cmd = cmd("MSET");
            let written: Vec<(String, u64)> = (0..AT_ONCE as u64)
                .map(|number| {
                    let key = hands.own('m', number);
                    let value = self.next(&key);
                    (key, value)
                })
                .collect();
            for (key, value) in &written {
                cmd.arg(key).arg(named(key, *value));
            }
            let asked = hands.ask(&cmd).await;
            for (key, value) in &written {
                let end = asked.result.clone().map_or_else(|end| end, |_| End::Done);
                hands.record(workload, key, Act::Write(*value, None), &asked, end);
            }
        } else {
            let keys: Vec<String> = (0..AT_ONCE).map(|_| hands.anyones('m', AT_ONCE as u64)).collect();
            let asked = hands.ask(cmd("MGET").arg(&keys)).await;
            let values = asked.result.clone().map(redis::from_redis_value::<Vec<Option<String>>>);
            for (place, key) in keys.iter().enumerate() {
                let end = match &values {
                    Ok(Ok(values)) if values.len() == keys.len() => number_in(key, values[place].clone()),
                    Ok(other) => End::Nonsense(format!("{other:?}").chars().take(100).collect()),
                    Err(end) => end.clone(),
                };
                hands.record(workload, key, Act::Read, &asked, end);
            }
        }
    }

    /// Own keys written, one of them and somebody's read, in one message.
    pub async fn pipeline(&mut self, hands: &mut Hands) {
        let workload = Workload::Pipeline;
        let mut pipeline = redis::pipe();
        let mut acts: Vec<(String, Act)> = Vec::new();
        for _ in 0..AT_ONCE {
            let number = hands.rng.u64(..CELLS);
            let key = hands.own('p', number);
            let value = self.next(&key);
            pipeline.add_command(cmd("SET").arg(&key).arg(named(&key, value)).to_owned());
            acts.push((key, Act::Write(value, None)));
        }
        for _ in 0..AT_ONCE {
            let key = hands.anyones('p', CELLS);
            // What is written in the same message stands before or behind it; whose moment it is, nobody says.
            if acts.iter().all(|(written, _)| *written != key) {
                pipeline.add_command(cmd("GET").arg(&key).to_owned());
                acts.push((key, Act::Read));
            }
        }
        let asked = hands.ask_all(&pipeline).await;
        for (place, (key, act)) in acts.iter().enumerate() {
            let end = match &asked.result {
                Ok(replies) if replies.len() == acts.len() && act.is_read() => {
                    end_in_place(&replies[place], |value| number_in(key, value))
                }
                Ok(replies) if replies.len() == acts.len() => end_in_place(&replies[place], |()| End::Done),
                Ok(replies) => End::Nonsense(format!("{} replies", replies.len())),
                Err(end) => end.clone(),
            };
            hands.record(workload, key, *act, &asked, end);
        }
    }
}

async fn write(hands: &mut Hands, workload: Workload, cell: &str, value: u64, cmd: &Cmd) {
    hands.run(workload, cell, Act::Write(value, None), cmd, |_: redis::Value| End::Done).await;
}

async fn read(hands: &mut Hands, workload: Workload, cell: &str, cmd: &Cmd) {
    hands.run(workload, cell, Act::Read, cmd, |value| number_in(cell, value)).await;
}
