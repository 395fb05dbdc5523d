//! A caller's pipeline: its commands by owner, each key's in their order, and the replies in theirs.

use std::sync::Arc;

use redis::{Cmd, Pipeline, RedisError, RedisResult, ServerError, Value};

use super::groups;
use super::split::{self, Parts};
use super::steps::{Step, Tokens};
use super::{Core, Senders, Snapshot, script};
use crate::command::{self, Plan};
use crate::error::{Error, ErrorKind, Result};
use crate::placement::Token;
use crate::policy::ScriptPolicy;

/// Runs a pipeline, atomic or not: the replies of all commands, or of a transaction's EXEC alone.
///
/// # Errors
/// Of a transaction, what went wrong with it. Otherwise the errors stand in the places of their commands, unless all of
/// them failed.
pub(super) async fn run(core: &Arc<Core>, first: &Arc<Snapshot>, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
    if pipeline.is_transaction() {
        return transaction(core, first, pipeline).await;
    }
    let mut snapshot = Arc::clone(first);
    let mut results: Vec<Result<Value>> = Vec::with_capacity(pipeline.len());
    let mut stretch = Stretch::default();
    for cmd in pipeline.cmd_iter() {
        if let Some(alone) = stretch.add(core, &snapshot, cmd) {
            // What concerns no key in particular sees all that stands before it, and nothing that stands behind it.
            std::mem::take(&mut stretch).run(core, &snapshot, &mut results).await;
            let reply = core.run(&snapshot, &mut Senders::default(), alone).await;
            results.push(reply.map_err(groups::own));
            // It may have taken long.
            snapshot = core.snapshot.load_full();
        }
    }
    stretch.run(core, &snapshot, &mut results).await;
    if let Some(Err(first)) = results.first()
        && results.iter().all(Result::is_err)
    {
        return Err(first.clone().into());
    }
    Ok(results.into_iter().map(|result| result.unwrap_or_else(|error| in_place(&error))).collect())
}

/// Commands that run side by side, but for those of one key.
#[derive(Default)]
struct Stretch<'a> {
    steps: Vec<Step>,
    entries: Vec<Entry<'a>>,
}

enum Entry<'a> {
    Step(usize),
    Parts(&'a Cmd, Parts),
    Refused(Error),
}

impl<'a> Stretch<'a> {
    /// Adds a command; gives it back if it must run alone.
    fn add(&mut self, core: &Core, snapshot: &Snapshot, cmd: &'a Cmd) -> Option<&'a Cmd> {
        let plan = match command::plan(cmd) {
            Ok(plan) => plan,
            Err(refusal) if refusal.kind == command::RefusalKind::Unknown => return Some(cmd),
            Err(refusal) => {
                self.entries.push(Entry::Refused(core.refusal(refusal)));
                return None;
            }
        };
        match plan {
            Plan::Read { row, .. } if row.answer == command::Answer::Part => return Some(cmd),
            Plan::Read { key, .. } | Plan::Write { key, .. } => {
                self.steps.push(step(core, cmd, &plan, Token::of_key(key)));
                self.entries.push(Entry::Step(self.steps.len() - 1));
            }
            Plan::Split { row, merge } => {
                let parts = split::apart(snapshot, cmd, row, merge, &mut self.steps);
                self.entries.push(Entry::Parts(cmd, parts));
            }
            Plan::Wait { .. }
            | Plan::Keyless { .. }
            | Plan::WholeRing { .. }
            | Plan::AnyMember { .. }
            | Plan::Publish { .. }
            | Plan::Channels { .. } => return Some(cmd),
        }
        None
    }

    async fn run(self, core: &Arc<Core>, snapshot: &Arc<Snapshot>, results: &mut Vec<Result<Value>>) {
        let done = groups::run(core, snapshot, self.steps, false).await.results;
        for entry in self.entries {
            results.push(match entry {
                Entry::Step(step) => done.get(step).cloned().unwrap_or_else(|| Err(lost())),
                Entry::Parts(cmd, parts) if parts.is_outdated(core, snapshot) => {
                    let now = core.snapshot.load_full();
                    core.run(&now, &mut Senders::default(), cmd).await.map_err(groups::own)
                }
                Entry::Parts(_, parts) => parts.merged(snapshot, &done),
                Entry::Refused(error) => Err(error),
            });
        }
    }
}

/// Runs a transaction: on one owner pair, and replicated as one.
async fn transaction(core: &Arc<Core>, snapshot: &Arc<Snapshot>, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
    if pipeline.is_empty() {
        return Ok(vec![Value::Array(Vec::new())]);
    }
    let steps = steps(core, pipeline)?;
    let ran = groups::run(core, snapshot, steps, true).await;
    Ok(vec![exec_reply(ran.results, ran.aborted)?])
}

/// The steps of a transaction, whose keys must have one token.
pub(super) fn steps(core: &Core, pipeline: &Pipeline) -> Result<Vec<Step>> {
    let mut steps = Vec::with_capacity(pipeline.len());
    let mut home: Option<&[u8]> = None;
    let mut homeless = Vec::new();
    for cmd in pipeline.cmd_iter() {
        let plan = command::plan(cmd).map_err(|refusal| core.refusal(refusal))?;
        let key = match plan {
            Plan::Read { row, .. } if row.answer == command::Answer::Part => {
                return Err(not_in_transaction(row.upper, "its cursor belongs to one server"));
            }
            Plan::Read { key, .. } | Plan::Write { key, .. } | Plan::Wait { key, .. } => key,
            Plan::Publish { channel, .. } => channel,
            Plan::AnyMember { .. } | Plan::Keyless { .. } => {
                homeless.push(steps.len());
                steps.push(Step::new(cmd, &plan, Tokens::One(Token(0)), false));
                continue;
            }
            Plan::Split { row, .. } => {
                return Err(core.refusal(command::Refusal::of_strangers(cmd, row)));
            }
            Plan::WholeRing { row } | Plan::Channels { row } => {
                return Err(not_in_transaction(row.upper, "it concerns the whole ring"));
            }
        };
        let first = *home.get_or_insert(key);
        if Token::of_key(first) != Token::of_key(key) {
            return Err(core.refusal(command::Refusal::different_tags(plan.row(), first, key)));
        }
        steps.push(step(core, cmd, &plan, Token::of_key(key)));
    }
    // What concerns no key goes where the others go.
    let token = home.map_or(Token(0), Token::of_key);
    for number in homeless {
        if let Some(step) = steps.get_mut(number) {
            step.tokens = Tokens::One(token);
        }
    }
    Ok(steps)
}

fn step(core: &Core, cmd: &Cmd, plan: &Plan<'_>, token: Token) -> Step {
    let repeat = core.options.script_policy == ScriptPolicy::Repeat;
    let whole = script::among_others(core, cmd, plan.row());
    match whole.as_ref().map(|whole| (whole, command::plan(whole))) {
        Some((whole, Ok(plan))) => Step::new(whole, &plan, Tokens::One(token), repeat),
        Some((_, Err(_))) | None => Step::new(cmd, plan, Tokens::One(token), repeat),
    }
}

/// What EXEC answered.
pub(super) fn exec_reply(results: Vec<Result<Value>>, aborted: bool) -> RedisResult<Value> {
    let mut replies = Vec::with_capacity(results.len());
    for result in results {
        replies.push(result?);
    }
    if aborted {
        // The command that could not be queued says why; all others only that there was one.
        let reasons = replies.iter().filter_map(|reply| match reply {
            Value::ServerError(error) if error.code() != "EXECABORT" => Some(error.to_string()),
            _ => None,
        });
        let reasons: Vec<String> = reasons.collect();
        let abort = redis::ErrorKind::Server(redis::ServerErrorKind::ExecAbort);
        return Err(RedisError::from((abort, "the transaction was discarded", reasons.join("; "))));
    }
    Ok(Value::Array(replies))
}

fn not_in_transaction(command: &str, why: &str) -> Error {
    Error::new(ErrorKind::Refused, format!("{command} cannot be part of a transaction on the ring: {why}"))
        .with_hint("send it on its own, before or after")
}

fn lost() -> Error {
    Error::new(ErrorKind::Disconnected, "the runtime ended while a command was under way")
}

/// The ring's own error in the place of a reply.
fn in_place(error: &Error) -> Value {
    let code = error.kind().as_str().to_ascii_uppercase();
    let text = match error.hint() {
        Some(hint) => format!("{error}; hint: {hint}"),
        None => error.to_string(),
    };
    match ServerError::try_from(redis::make_extension_error(code, Some(text))) {
        Ok(error) => Value::ServerError(error),
        Err(_) => Value::Nil,
    }
}
