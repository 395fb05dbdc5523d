//! Commands that the table does not have: those of modules, and of servers newer than the table.
//!
//! What such a command does is asked of a server, once for each name. One that the servers do not know either is refused,
//! and so is one of which nobody can say which keys it concerns: guessing could write a key to the wrong member.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use redis::{Cmd, Value};

use super::groups;
use super::steps::Step;
use super::{Core, Snapshot, whole};
use crate::command::{self, Refusal};
use crate::error::Result;
use crate::placement::Token;

/// How many names are remembered. More are asked for anew.
const REMEMBERED: usize = 1024;

/// What the servers said about commands, by name in lower case.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<Vec<u8>, Option<Facts>>>);

/// What a server says about a command.
#[derive(Clone, Copy, Debug)]
struct Facts {
    writes: bool,
    /// It concerns a connection, a server, channels, or waits.
    unfit: bool,
    keys: Positions,
}

/// Where its keys stand.
#[derive(Clone, Copy, Debug)]
enum Positions {
    /// From the first to the last one, each so many arguments apart; the last is counted from the end if negative.
    Range { first: i64, last: i64, step: i64 },
    /// The server must be asked for each call.
    Asked,
}

impl Facts {
    /// Of an entry of `COMMAND INFO`: name, arity, flags, first key, last key, step.
    fn of(entry: &Value) -> Option<Facts> {
        let parts = redis::from_redis_value_ref::<Vec<Value>>(entry).ok()?;
        let flags: Vec<String> = redis::from_redis_value_ref(parts.get(2)?).ok()?;
        let number = |at: usize| parts.get(at).and_then(|value| redis::from_redis_value_ref::<i64>(value).ok());
        let has = |flag: &str| flags.iter().any(|other| other.eq_ignore_ascii_case(flag));
        let (first, last, step) = (number(3)?, number(4)?, number(5)?);
        Some(Facts {
            writes: !has("readonly"),
            unfit: ["admin", "pubsub", "blocking", "no_multi", "no-multi"].iter().any(|flag| has(flag)),
            keys: if has("movablekeys") || first < 1 || step < 1 {
                Positions::Asked
            } else {
                Positions::Range { first, last, step }
            },
        })
    }
}

/// Runs a command that the table does not have.
pub(super) async fn run(core: &Arc<Core>, snapshot: &Arc<Snapshot>, cmd: &Cmd, refusal: Refusal) -> Result<Value> {
    let args = command::arguments(cmd);
    let Some(name) = args.first().map(|name| name.to_ascii_lowercase()) else { return Err(core.refusal(refusal)) };
    let Some(facts) = facts(core, snapshot, name).await? else { return Err(core.refusal(refusal)) };
    if facts.unfit {
        return Err(core.refusal(refusal.because(
            "the servers know it, and it concerns a connection, a channel or a whole server",
            "ask one member: client.on(id), or `redis-ring exec --on ID -- …`",
        )));
    }
    let keys = match facts.keys {
        Positions::Range { first, last, step } => in_range(&args, first, last, step),
        Positions::Asked => asked(core, snapshot, &args).await?,
    };
    let Some(home) = keys.first() else {
        return Err(core.refusal(refusal.because(
            "the servers know it, and it names no key, so nobody owns it",
            "ask one member: client.on(id), or `redis-ring exec --on ID -- …`",
        )));
    };
    if keys.iter().any(|key| key.starts_with(command::RESERVED)) {
        return Err(core.refusal(
            refusal
                .because("keys that begin with __rr: belong to the ring itself", "choose another prefix for the key"),
        ));
    }
    if let Some(stranger) = keys.iter().find(|key| Token::of_key(key) != Token::of_key(home)) {
        return Err(core.refusal(refusal.strangers(home, stranger)));
    }
    let mut keys = keys.clone();
    keys.dedup();
    groups::one(core, snapshot, Step::unknown(cmd, keys, facts.writes)).await
}

/// What the servers say about a name; `None` if they do not know it.
async fn facts(core: &Core, snapshot: &Arc<Snapshot>, name: Vec<u8>) -> Result<Option<Facts>> {
    let known = || core.unknown.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(Some(facts)) = known().get(&name) {
        return Ok(Some(*facts));
    }
    let mut ask = redis::cmd("COMMAND");
    ask.arg("INFO").arg(&name);
    let answer = whole::ask_any(core, snapshot, &ask).await.map_err(groups::own)?;
    let entry = match &answer {
        Value::Array(entries) => entries.first().and_then(Facts::of),
        _ => None,
    };
    // A name that is not known today may be a module's tomorrow, so only what is known is remembered.
    if entry.is_some() {
        let mut known = known();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(name, entry);
    }
    Ok(entry)
}

/// The keys of a call whose positions are fixed.
fn in_range(args: &[&[u8]], first: i64, last: i64, step: i64) -> Vec<Vec<u8>> {
    let count = i64::try_from(args.len()).unwrap_or(i64::MAX);
    let last = if last < 0 { count + last } else { last };
    let mut keys = Vec::new();
    let mut at = first;
    while at <= last.min(count - 1) {
        keys.extend(usize::try_from(at).ok().and_then(|at| args.get(at)).map(|key| key.to_vec()));
        at += step;
    }
    keys
}

/// The keys of a call, as a server says.
async fn asked(core: &Core, snapshot: &Arc<Snapshot>, args: &[&[u8]]) -> Result<Vec<Vec<u8>>> {
    let mut ask = redis::cmd("COMMAND");
    ask.arg("GETKEYSANDFLAGS").arg(args);
    let answer = whole::ask_any(core, snapshot, &ask).await.map_err(groups::own)?;
    let Value::Array(found) = answer else { return Ok(Vec::new()) };
    let key = |pair: &Value| match pair {
        Value::Array(pair) => pair.first().and_then(|key| redis::from_redis_value_ref::<Vec<u8>>(key).ok()),
        _ => None,
    };
    Ok(found.iter().filter_map(key).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_of_command_info_is_understood() {
        let text = |text: &str| Value::SimpleString(text.to_owned());
        let entry = |flags: &[&str], first: i64, last: i64, step: i64| {
            let flags = Value::Set(flags.iter().map(|flag| text(flag)).collect());
            let numbers = [first, last, step].map(Value::Int);
            Value::Array([text("x"), Value::Int(-2), flags].into_iter().chain(numbers).collect())
        };
        let facts = Facts::of(&entry(&["readonly", "fast"], 1, 1, 1)).unwrap();
        assert!(!facts.writes && !facts.unfit);
        let facts = Facts::of(&entry(&["write", "blocking"], 1, 1, 1)).unwrap();
        assert!(facts.writes && facts.unfit);
        assert!(matches!(Facts::of(&entry(&["module", "movablekeys"], 0, 0, 0)).unwrap().keys, Positions::Asked));
        assert!(Facts::of(&Value::Nil).is_none());
    }

    #[test]
    fn keys_stand_where_the_server_says() {
        let args: Vec<&[u8]> = vec![b"x", b"a", b"1", b"b", b"2"];
        assert_eq!(in_range(&args, 1, -1, 2), [b"a".to_vec(), b"b".to_vec()]);
        assert_eq!(in_range(&args, 1, 1, 1), [b"a".to_vec()]);
        assert_eq!(in_range(&args, 3, 9, 1), [b"b".to_vec(), b"2".to_vec()]);
        assert!(in_range(&args, 9, 9, 1).is_empty());
    }
}
