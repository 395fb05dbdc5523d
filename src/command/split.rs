//! A command of many keys, taken apart by the owners of its keys, and its reply put together again.

use std::collections::HashMap;
use std::hash::Hash;

use redis::{Cmd, Value};

use super::keys::keys;
use super::request::words;
use super::row::{Merge, Row};

/// A part of a command: the same command with some of its keys.
#[derive(Debug)]
pub struct Part<G> {
    /// Who gets it.
    pub group: G,
    /// The command.
    pub cmd: Cmd,
    /// Which of the keys it has, by their number among all of them.
    pub keys: Vec<usize>,
}

/// Takes a call of `row`, which [`plan`](super::plan) says to split, apart: keys for which `group` says the same stay
/// together, in their order.
///
/// What follows a key up to the next one goes with it, as the value in `MSET key value`.
pub fn split<G: Clone + Eq + Hash>(cmd: &Cmd, row: &Row, mut group: impl FnMut(&[u8]) -> G) -> Vec<Part<G>> {
    let mut places = Vec::new();
    // The plan has found them already.
    let _ = keys(row, words(cmd), |key| places.push((key.at, group(key.bytes))));
    let args: Vec<&[u8]> = words(cmd).map(Option::unwrap_or_default).collect();
    let head = places.first().map_or(0, |(at, _)| *at);
    let mut parts: Vec<Part<G>> = Vec::new();
    let mut known: HashMap<G, usize> = HashMap::new();
    for (nth, (at, group)) in places.iter().enumerate() {
        let end = places.get(nth + 1).map_or(args.len(), |(next, _)| *next);
        let place = *known.entry(group.clone()).or_insert_with(|| {
            let mut cmd = Cmd::new();
            args.iter().take(head).for_each(|word| {
                cmd.arg(*word);
            });
            parts.push(Part { group: group.clone(), cmd, keys: Vec::new() });
            parts.len() - 1
        });
        if let Some(part) = parts.get_mut(place) {
            part.keys.push(nth);
            args.get(*at..end).unwrap_or_default().iter().for_each(|word| {
                part.cmd.arg(*word);
            });
        }
    }
    parts
}

/// The reply to the whole from those to its parts, each with the numbers of its keys. `None` if a part's reply is not
/// what this command answers.
#[must_use]
pub fn merge(merge: Merge, parts: Vec<(Vec<usize>, Value)>) -> Option<Value> {
    match merge {
        Merge::Sum => {
            let number = |(_, reply): &(Vec<usize>, Value)| match reply {
                Value::Int(number) => Some(*number),
                _ => None,
            };
            parts.iter().map(number).sum::<Option<i64>>().map(Value::Int)
        }
        Merge::AllOk => parts.iter().all(|(_, reply)| *reply == Value::Okay).then_some(Value::Okay),
        Merge::InOrder => {
            let total = parts.iter().map(|(keys, _)| keys.len()).sum();
            let mut merged: Vec<Option<Value>> = vec![None; total];
            for (keys, reply) in parts {
                let Value::Array(values) = reply else { return None };
                if values.len() != keys.len() {
                    return None;
                }
                for (key, value) in keys.into_iter().zip(values) {
                    *merged.get_mut(key)? = Some(value);
                }
            }
            merged.into_iter().collect::<Option<Vec<_>>>().map(Value::Array)
        }
    }
}
