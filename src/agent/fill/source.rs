//! The server that keys are copied from.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Value, cmd, pipe};

use super::compare::Print;
use super::dirty::{Dirty, Key};
use super::{Ended, Endpoint, Limits};
use crate::agent::server::{Failure, Server};

/// Gives the values of keys and names those that are large, and stops where there are many bytes. One step at the server,
/// so a key that is small when it is asked for is so when it is given. A script, because the other way, which asks for
/// each key's size first, has a round trip and two commands more. Only `EVAL_RO` is not held up by a pause.
const LOOK: &str = concat!(
    "#!lua flags=no-writes,allow-oom\n",
    include_str!("sign.lua"),
    include_str!("print.lua"),
    include_str!("look.lua")
);

/// Gives the signatures of streams, and nothing for what is none.
const SIGN: &str = concat!(
    "#!lua flags=no-writes,allow-oom\n",
    include_str!("sign.lua"),
    "local out = {}
for at, key in ipairs(KEYS) do
  local known, signature = pcall(sign, key)
  out[at] = known and signature
end
return out"
);

/// Why a source or a target does not do its part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// All of the source must be looked at again.
    Again(String),
    /// It is over.
    Over(Ended),
}

/// What the source has under a key.
#[derive(Debug)]
pub(super) enum Looked {
    Gone,
    Value(Content),
    /// It takes more memory than is copied in one piece.
    Large,
    /// What the target has; of a stream its signature.
    Same(Option<Vec<u8>>),
}

/// What is copied.
#[derive(Debug)]
pub(super) struct Content {
    /// As DUMP gives it.
    pub(super) value: Vec<u8>,
    /// By the source's clock; 0 for never.
    pub(super) expiry: i64,
    /// Of a stream.
    pub(super) signature: Option<Vec<u8>>,
}

/// Connections to the source. Changes are told on one of its own, and what concerns the cut is said on another: neither has
/// large answers, so that whatever an event of the server makes it say on the two leaves together.
pub(super) struct Source {
    pub(super) control: Server,
    pub(super) follow: Server,
    pub(super) data: Server,
    pub(super) run_id: String,
    patience: Duration,
}

impl Source {
    /// Connects, and has the source tell of all changes from now on.
    pub(super) async fn open(at: &Endpoint, dirty: &Arc<Dirty>, limits: &Limits) -> Result<Source, Trouble> {
        let mut control = connect(at).await.map_err(trouble)?;
        let info = control.info(limits.patience).await.map_err(trouble)?;
        if info.loading {
            return Err(Trouble::Again(Failure::Loading.to_string()));
        }
        if info.replica || at.run_id.as_ref().is_some_and(|expected| *expected != info.run_id) {
            return Err(Trouble::Over(Ended::Replaced));
        }
        let data = connect(at).await.map_err(trouble)?;
        let pushes = Arc::<Dirty>::clone(dirty);
        let mut follow = at.connector.connect_to(&at.address, &at.name, at.db, Some(pushes)).await.map_err(trouble)?;
        // Without NOLOOP, since what this agent writes to the gate is to be told as well.
        let mut track = cmd("CLIENT");
        track.arg("TRACKING").arg("ON").arg("BCAST");
        follow.ask::<Value>(&track, limits.patience).await.map_err(trouble)?;
        Ok(Source { control, follow, data, run_id: info.run_id, patience: limits.patience })
    }

    /// What is under these keys, of the first of them at least, unless it is what has this print.
    pub(super) async fn look(&self, keys: &[(Key, Print)], limits: &Limits) -> Result<Vec<Looked>, Trouble> {
        let mut look = cmd("EVAL_RO");
        look.arg(LOOK).arg(keys.len());
        for (key, _) in keys {
            look.arg(&key[..]);
        }
        look.arg(limits.large_bytes).arg(limits.batch_bytes);
        for (_, print) in keys {
            look.arg(print);
        }
        let Value::Array(answers) = self.ask(&look).await? else { return Err(nonsense("EVAL_RO")) };
        let mut looked = Vec::with_capacity(keys.len());
        let mut answers = answers.into_iter();
        while let (Some(value), Some(expiry), Some(signature)) = (answers.next(), answers.next(), answers.next()) {
            let signature = match signature {
                Value::BulkString(signature) => Some(signature),
                _ => None,
            };
            looked.push(match (value, expiry) {
                (Value::Nil, _) => Looked::Gone,
                (Value::Int(0), _) => Looked::Same(signature),
                (Value::Int(_), _) => Looked::Large,
                (Value::BulkString(value), Value::Int(expiry)) => {
                    // A server says -1 of what never expires and takes 0 for it.
                    Looked::Value(Content { value, expiry: expiry.max(0), signature })
                }
                _ => return Err(nonsense("EVAL_RO")),
            });
        }
        if looked.is_empty() && !keys.is_empty() { Err(nonsense("EVAL_RO")) } else { Ok(looked) }
    }

    /// Those of the keys that are not there.
    pub(super) async fn lacks(&self, keys: Vec<Key>) -> Result<Vec<Key>, Trouble> {
        if keys.is_empty() {
            return Ok(keys);
        }
        let mut exist = pipe();
        for key in &keys {
            exist.cmd("EXISTS").arg(&key[..]);
        }
        let answers = self.data.ask_all(&exist, self.patience).await.map_err(trouble)?;
        let there: Vec<bool> = answers
            .into_iter()
            .map(|answer| match answer.extract_error().map_err(Failure::of).map_err(trouble)? {
                Value::Int(count) => Ok(count > 0),
                _ => Err(nonsense("EXISTS")),
            })
            .collect::<Result<_, _>>()?;
        Ok(keys.into_iter().zip(there).filter(|(_, there)| !there).map(|(key, _)| key).collect())
    }

    /// One step of a scan: the next cursor, and the keys.
    pub(super) async fn scan(&self, cursor: &[u8], count: usize) -> Result<(Vec<u8>, Vec<Vec<u8>>), Trouble> {
        scanned(self.ask(cmd("SCAN").arg(cursor).arg("COUNT").arg(count)).await?).ok_or_else(|| nonsense("SCAN"))
    }

    pub(super) async fn size(&self) -> Result<u64, Trouble> {
        match self.ask(&cmd("DBSIZE")).await? {
            Value::Int(size) => Ok(size.unsigned_abs()),
            _ => Err(nonsense("DBSIZE")),
        }
    }

    pub(super) async fn ask(&self, cmd: &Cmd) -> Result<Value, Trouble> {
        let answers = self.data.ask_all(redis::pipe().add_command(cmd.clone()), self.patience).await;
        let answer = answers.map_err(trouble)?.pop().unwrap_or(Value::Nil);
        answer.extract_error().map_err(Failure::of).map_err(trouble)
    }

    /// A round trip on the connection that changes are told on; returns the server's clock in microseconds.
    ///
    /// A server queues what it tells of an event's changes before anything that it answers within the event leaves it. So
    /// when a reply to a write has been read, on whichever connection, and then this is begun and answered, all changes up
    /// to that write have been told.
    pub(super) async fn drain(&self, within: Duration) -> Result<i64, Trouble> {
        let answers = self.follow.ask_all(redis::pipe().cmd("TIME"), within).await.map_err(trouble)?;
        let [time] = &answers[..] else { return Err(nonsense("TIME")) };
        micros(time).ok_or_else(|| nonsense("TIME"))
    }

    /// A round trip. Not on the connection that changes are told on: what is told may be much without the server being slow.
    pub(super) async fn ping(&self) -> Result<(), Trouble> {
        self.control.ask_all(redis::pipe().cmd("PING"), self.patience).await.map(drop).map_err(trouble)
    }

    /// Why it cannot be gone on with, if so.
    pub(super) fn lost(&self) -> Result<(), Trouble> {
        match [&self.control, &self.follow, &self.data].iter().any(|server| server.has_ended()) {
            true => Err(Trouble::Again("the source closed a connection".to_owned())),
            false => Ok(()),
        }
    }
}

pub(super) async fn connect(at: &Endpoint) -> Result<Server, Failure> {
    at.connector.connect_to(&at.address, &at.name, at.db, None).await
}

/// What the source answers for each of these keys: the signature of a stream, or nil.
pub(super) async fn signatures(source: &Source, keys: &[Key]) -> Result<Vec<Value>, Trouble> {
    let mut sign = cmd("EVAL_RO");
    sign.arg(SIGN).arg(keys.len());
    for key in keys {
        sign.arg(&key[..]);
    }
    match source.ask(&sign).await? {
        Value::Array(answers) if answers.len() == keys.len() => Ok(answers),
        _ => Err(nonsense("EVAL_RO")),
    }
}

/// What a failure of the source means.
pub(super) fn trouble(failure: Failure) -> Trouble {
    match failure {
        Failure::Refused | Failure::Silent | Failure::Lost(_) | Failure::Loading => Trouble::Again(failure.to_string()),
        // It may answer again later.
        Failure::Answered(code) if matches!(code.as_str(), "BUSY" | "MASTERDOWN" | "TRYAGAIN" | "MISCONF") => {
            Trouble::Again(format!("the source answers {code}"))
        }
        Failure::Answered(code) => Trouble::Over(Ended::Refused(code)),
    }
}

fn nonsense(what: &str) -> Trouble {
    Trouble::Over(Ended::Refused(format!("an answer to {what} that cannot be understood")))
}

/// The cursor and the elements that a command of the SCAN family answers.
pub(super) fn scanned(answer: Value) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let Value::Array(answer) = answer else { return None };
    let [cursor, elements] = <[Value; 2]>::try_from(answer).ok()?;
    let Value::BulkString(cursor) = cursor else { return None };
    Some((cursor, strings(elements)?))
}

/// The elements of a list of strings.
pub(super) fn strings(list: Value) -> Option<Vec<Vec<u8>>> {
    let Value::Array(list) = list else { return None };
    let string = |value| match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    };
    list.into_iter().map(string).collect()
}

/// The microseconds since the Unix epoch that TIME answered.
pub(super) fn micros(time: &Value) -> Option<i64> {
    let (seconds, micros): (i64, i64) = redis::from_redis_value_ref(time).ok()?;
    seconds.checked_mul(1_000_000)?.checked_add(micros)
}
