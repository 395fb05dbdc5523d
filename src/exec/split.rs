//! Commands of many keys with different owners: a part for each set of owners, side by side.

use std::fmt::Write as _;
use std::sync::Arc;

use redis::{Cmd, Value};

use super::groups;
use super::reply::is_error;
use super::steps::Step;
use super::{Core, Snapshot};
use crate::command::{self, Merge, Row};
use crate::error::{Error, ErrorKind, Outcome, Result, Retry};
use crate::placement::{MemberIndex, Token};

/// A command that was taken apart.
pub(super) struct Parts {
    row: &'static Row,
    merge: Merge,
    parts: Vec<Part>,
}

struct Part {
    /// The step that it is.
    step: usize,
    /// Which keys it has, by their number among all.
    keys: Vec<usize>,
    token: Token,
}

/// How often a command is taken apart anew because the ring changed under it.
const TRIES: usize = 5;

/// Runs a command whose keys have different owners.
pub(super) async fn run(
    core: &Arc<Core>,
    snapshot: &Arc<Snapshot>,
    cmd: &Cmd,
    row: &'static Row,
    merge: Merge,
) -> Result<Value> {
    let mut snapshot = Arc::clone(snapshot);
    for _ in 0..TRIES {
        let mut steps = Vec::new();
        let parts = apart(&snapshot, cmd, row, merge, &mut steps);
        let results = groups::run(core, &snapshot, steps, false).await.results;
        if !parts.is_outdated(core, &snapshot) {
            return parts.merged(&snapshot, &results);
        }
        snapshot = core.snapshot.load_full();
    }
    Err(Error::new(ErrorKind::NoOwner, format!("the ring changes faster than {} runs", row.upper))
        .with_retry(Retry::Later)
        .with_hint("`redis-ring watch` shows the changes and their reasons"))
}

/// Takes a command apart and adds its parts to the steps.
pub(super) fn apart(snapshot: &Snapshot, cmd: &Cmd, row: &'static Row, merge: Merge, steps: &mut Vec<Step>) -> Parts {
    let topology = snapshot.topology();
    let mut tokens = Vec::new();
    let split = command::split(cmd, row, |key| {
        let token = Token::of_key(key);
        tokens.push(token);
        // Borrowed where that tells them all, which is whenever nothing moves.
        let moving = row.is_write() && (topology.old().is_some() || topology.next().is_some());
        let others: Option<Vec<MemberIndex>> =
            moving.then(|| topology.writers(token).chain(topology.gainers(token)).collect());
        (topology.serving().owners(token), others)
    });
    let parts = split.into_iter().map(|part| {
        let own: Vec<Token> = part.keys.iter().filter_map(|key| tokens.get(*key).copied()).collect();
        let token = own.first().copied().unwrap_or(Token(0));
        steps.push(Step::part(part.cmd, own, row.is_write()));
        Part { step: steps.len() - 1, keys: part.keys, token }
    });
    Parts { row, merge, parts: parts.collect() }
}

impl Parts {
    /// Whether a part may have been read from a member that does not own all of its keys: they had the same owners in
    /// the ring that it was made for.
    pub(super) fn is_outdated(&self, core: &Core, snapshot: &Snapshot) -> bool {
        let now = core.snapshot.load();
        !self.row.is_write() && !std::ptr::eq(now.topology.serving(), snapshot.topology.serving())
    }

    /// The reply to the whole.
    ///
    /// # Errors
    /// When a part failed; the error says which. There is never a nil in its place.
    pub(super) fn merged(&self, snapshot: &Snapshot, results: &[Result<Value>]) -> Result<Value> {
        let mut replies = Vec::with_capacity(self.parts.len());
        let mut failed: Vec<(&Part, &Result<Value>)> = Vec::new();
        for part in &self.parts {
            match results.get(part.step) {
                Some(Ok(value)) if !is_error(value) => replies.push((part.keys.clone(), value.clone())),
                Some(result) => failed.push((part, result)),
                None => {}
            }
        }
        match failed.first() {
            None => {
                let command = self.row.upper;
                command::merge(self.merge, replies).ok_or_else(|| {
                    Error::new(ErrorKind::Server, format!("a part of {command} was answered with something else"))
                })
            }
            // All say the same: so would one server.
            Some((_, Ok(error)))
                if failed.iter().all(|(_, other)| matches!(other, Ok(other) if other == error))
                    && replies.is_empty() =>
            {
                Ok(error.clone())
            }
            Some(_) => Err(self.failure(snapshot, &failed, !replies.is_empty())),
        }
    }

    fn failure(&self, snapshot: &Snapshot, failed: &[(&Part, &Result<Value>)], others: bool) -> Error {
        let total: usize = self.parts.iter().map(|part| part.keys.len()).sum();
        let mut text = format!("{} failed for", self.row.upper);
        for (nth, (part, _)) in failed.iter().enumerate() {
            let keys: Vec<String> = part.keys.iter().take(8).map(|key| (key + 1).to_string()).collect();
            let more = if part.keys.len() > 8 { ", …" } else { "" };
            let topology = snapshot.topology();
            let owners = topology.serving().owners(part.token).iter();
            let owners: Vec<&str> = owners.map(|owner| topology.member(*owner).id.as_str()).collect();
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "{} key {}{more} of {total} (on {})",
                if nth == 0 { "" } else { " and" },
                keys.join(", "),
                owners.join(", ")
            );
        }
        let executed = self.row.is_write() && others;
        let mut kind = ErrorKind::Server;
        let mut retry = Retry::Later;
        let mut unknown = executed;
        let mut source: Option<Error> = None;
        if let Some((_, result)) = failed.first() {
            match result {
                Err(error) => {
                    (kind, retry) = (error.kind(), error.retry());
                    unknown |= error.outcome() == Outcome::Unknown;
                    source = Some(error.clone());
                }
                Ok(value) => {
                    if let Err(cause) = value.clone().extract_error() {
                        source =
                            Some(Error::new(ErrorKind::Server, "a server answered with an error").with_source(cause));
                    }
                }
            }
        }
        let mut error = Error::new(kind, text).with_retry(retry);
        if unknown {
            error = error.with_outcome(Outcome::Unknown);
        }
        let error = error.with_hint(if executed {
            "the other keys have been written: send the command again for all of them"
        } else {
            "`redis-ring status` shows the members; the other keys can be asked for without these"
        });
        match source {
            Some(source) => error.with_source(source),
            None => error,
        }
    }
}
