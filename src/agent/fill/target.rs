//! The server that keys are copied to.

use std::time::Duration;

use redis::{Cmd, Pipeline, Value, cmd, pipe};

use super::compare::{Print, prints};
use super::dirty::Key;
use super::source::{Content, Looked, Trouble, connect, scanned, strings};
use super::{Ended, Endpoint, Limits};
use crate::agent::server::{Failure, Server};

/// The connection to the target. All is written on this one, so it lands in the order in which it was read.
pub(super) struct Target {
    pub(super) server: Server,
    patience: Duration,
}

impl Target {
    pub(super) async fn open(at: &Endpoint, limits: &Limits) -> Result<Target, Trouble> {
        let mut server = connect(at).await.map_err(trouble)?;
        let info = server.info(limits.patience).await.map_err(trouble)?;
        if at.run_id.as_ref().is_some_and(|expected| *expected != info.run_id) {
            return Err(lost("another process answers"));
        }
        Ok(Target { server, patience: limits.patience })
    }

    /// Writes what the source had, and returns the bytes of the values. Large keys are not for here.
    pub(super) async fn write(&self, values: Vec<(Key, Looked)>) -> Result<u64, Trouble> {
        let mut bytes = 0;
        let mut writes = Pipeline::with_capacity(values.len());
        for (key, value) in &values {
            match value {
                Looked::Value(content) => {
                    bytes += content.value.len() as u64;
                    writes.add_command(restore(key, content));
                }
                Looked::Gone => {
                    writes.cmd("UNLINK").arg(&key[..]);
                }
                Looked::Large | Looked::Same(_) => {}
            }
        }
        // Half of the memory is in the pipeline now.
        drop(values);
        if !writes.is_empty() {
            self.all(&writes).await?;
        }
        Ok(bytes)
    }

    /// The prints of the first of these keys at least.
    pub(super) async fn prints(&self, keys: &[Key], limits: &Limits) -> Result<Vec<Print>, Trouble> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let ask = prints(keys, limits.large_bytes, limits.batch_bytes);
        let answer = self.answers(pipe().add_command(ask)).await?.pop();
        let known = answer.and_then(strings).filter(|prints| !prints.is_empty());
        known.ok_or_else(|| refused("it gives no answer to EVAL_RO that can be understood"))
    }

    /// What it answers, where none may be an error.
    pub(super) async fn answers(&self, cmds: &Pipeline) -> Result<Vec<Value>, Trouble> {
        let answers = self.server.ask_all(cmds, self.patience).await.map_err(trouble)?;
        answers.into_iter().map(|answer| answer.extract_error().map_err(Failure::of).map_err(trouble)).collect()
    }

    /// Runs all of these, none of which may fail.
    pub(super) async fn all(&self, cmds: &Pipeline) -> Result<(), Trouble> {
        let answers = self.server.ask_all(cmds, self.patience).await.map_err(trouble)?;
        answers.into_iter().find_map(refusal).map_or(Ok(()), Err)
    }

    /// One step of a scan: the next cursor, and the keys.
    pub(super) async fn scan(&self, cursor: &[u8], count: usize) -> Result<(Vec<u8>, Vec<Vec<u8>>), Trouble> {
        let mut scan = pipe();
        scan.cmd("SCAN").arg(cursor).arg("COUNT").arg(count);
        let answer = self.server.ask_all(&scan, self.patience).await.map_err(trouble)?.pop();
        answer.and_then(scanned).ok_or_else(|| refused("it gives no answer to SCAN that can be understood"))
    }

    pub(super) fn lost(&self) -> Result<(), Trouble> {
        if self.server.has_ended() { Err(lost("the connection has ended")) } else { Ok(()) }
    }
}

/// A key with this value and, unless it is 0, this time to expire. A time that has passed removes the key.
pub(super) fn restore(key: &[u8], content: &Content) -> Cmd {
    let mut restore = cmd("RESTORE");
    restore.arg(key).arg(content.expiry).arg(&content.value).arg("REPLACE").arg("ABSTTL");
    restore
}

fn trouble(failure: Failure) -> Trouble {
    match failure {
        Failure::Answered(code) => refused(&code),
        Failure::Refused | Failure::Silent | Failure::Lost(_) | Failure::Loading => lost(&failure.to_string()),
    }
}

fn lost(why: &str) -> Trouble {
    Trouble::Over(Ended::TargetLost(why.to_owned()))
}

fn refused(why: &str) -> Trouble {
    Trouble::Over(Ended::TargetRefused(why.to_owned()))
}

/// What an error in the place of an answer means. The texts of the two that RESTORE knows hold no key.
fn refusal(answer: Value) -> Option<Trouble> {
    let Value::ServerError(error) = answer else { return None };
    let details = error.details().unwrap_or_default();
    Some(match error.code() {
        "ERR" if details.contains("payload") || details.contains("Bad data format") => {
            refused("it cannot read a value of the source, whose version may be newer")
        }
        code => refused(code),
    })
}
