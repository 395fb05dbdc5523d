//! The state of keys, for copies of what nobody can tell otherwise.

use redis::{Cmd, Value, cmd};

use super::effect::{Carried, Expect, Unreadable};

/// What the primary is asked for the state of these keys: two replies for each key, in their order.
///
/// Asked in one transaction with what changed them, so that nobody else's change is in between.
#[must_use]
pub fn state_probes(keys: &[&[u8]]) -> Vec<Cmd> {
    keys.iter()
        .flat_map(|key| {
            ["DUMP", "PEXPIRETIME"].map(|name| {
                let mut probe = cmd(name);
                probe.arg(key);
                probe
            })
        })
        .collect()
}

/// What gives copies the state that these `answers` to [`state_probes`] tell: value and absolute expiry replaced, and what is
/// not there removed.
///
/// # Errors
///
/// [`Unreadable`] if the answers are not those to the probes of these keys.
pub fn restore(keys: &[&[u8]], answers: &[Value]) -> Result<Vec<Carried>, Unreadable> {
    /// What the server says of a key that never expires.
    const NEVER: i64 = -1;
    if answers.len() != keys.len() * 2 {
        return Err(Unreadable);
    }
    let state_of = |(key, answer): (&&[u8], &[Value])| match answer {
        [Value::BulkString(payload), Value::Int(expiry @ (NEVER | 0..))] => {
            let mut restore = cmd("RESTORE");
            // A server takes 0 for no expiry.
            restore.arg(key).arg((*expiry).max(0)).arg(payload).arg("REPLACE").arg("ABSTTL");
            Ok(Carried { cmd: restore, expect: Expect::Reply(Value::Okay) })
        }
        // It may expire between its two probes, and is gone then as well.
        [Value::Nil, Value::Int(_)] | [Value::BulkString(_), Value::Int(_)] => {
            let mut remove = cmd("DEL");
            remove.arg(key);
            Ok(Carried { cmd: remove, expect: Expect::Any })
        }
        _ => Err(Unreadable),
    };
    keys.iter().zip(answers.chunks(2)).map(state_of).collect()
}
