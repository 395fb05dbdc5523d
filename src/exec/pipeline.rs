//! A caller's pipeline: its commands by owner, each key's in their order, and the replies in theirs.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use redis::{Cmd, Pipeline, RedisError, RedisResult, ServerError, Value};

use super::groups;
use super::script::Brought;
use super::split::{self, Parts};
use super::steps::{Step, Tokens};
use super::{Core, Senders, Snapshot, script};
use crate::command::{self, Plan};
use crate::error::{Error, ErrorKind, Result};
use crate::placement::Token;

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
    let mut messages: Vec<&Cmd> = Vec::new();
    for cmd in pipeline.cmd_iter() {
        let turn = stretch.add(core, &snapshot, cmd);
        if !messages.is_empty() && !matches!(turn, Turn::Message) {
            send(core, &snapshot, std::mem::take(&mut messages), &mut results).await;
        }
        match turn {
            Turn::Added => {}
            // What concerns no key in particular sees all that stands before it, and nothing that stands behind it.
            Turn::Message => {
                std::mem::take(&mut stretch).run(core, &snapshot, &mut results).await;
                messages.push(cmd);
            }
            Turn::Alone => {
                std::mem::take(&mut stretch).run(core, &snapshot, &mut results).await;
                let reply = core.run(&snapshot, &mut Senders::default(), cmd).await;
                results.push(reply.map_err(groups::own));
                // It may have taken long.
                snapshot = core.snapshot.load_full();
            }
        }
    }
    send(core, &snapshot, messages, &mut results).await;
    stretch.run(core, &snapshot, &mut results).await;
    if let Some(Err(first)) = results.first()
        && results.iter().all(Result::is_err)
    {
        return Err(first.clone().into());
    }
    Ok(results.into_iter().map(|result| result.unwrap_or_else(|error| in_place(&error))).collect())
}

/// Sends messages, and questions that any member answers, side by side. They are on the wire in their order.
async fn send(core: &Arc<Core>, snapshot: &Arc<Snapshot>, messages: Vec<&Cmd>, results: &mut Vec<Result<Value>>) {
    // A list of boxes: the compiler does not see through the lifetimes of a lazy one.
    let mut sent: Vec<BoxFuture<'_, Result<Value>>> = Vec::with_capacity(messages.len());
    for cmd in messages {
        sent.push(Box::pin(async move { core.run(snapshot, &mut Senders::default(), cmd).await.map_err(groups::own) }));
    }
    results.extend(futures_util::stream::iter(sent).buffered(MESSAGES).collect::<Vec<_>>().await);
}

/// How many messages of a pipeline may be on their way at once.
const MESSAGES: usize = 1024;

/// When a command of a pipeline runs.
enum Turn {
    /// With those before and after it.
    Added,
    /// After those before it, together with others of its kind.
    Message,
    /// After those before it and before those behind it.
    Alone,
}

/// Commands that run side by side, but for those of one key.
#[derive(Default)]
struct Stretch<'a> {
    steps: Vec<Step>,
    entries: Vec<Entry<'a>>,
    brought: Brought,
}

enum Entry<'a> {
    Step(usize),
    Parts(&'a Cmd, Parts),
    Refused(Error),
}

impl<'a> Stretch<'a> {
    /// Adds a command, if it runs with others.
    fn add(&mut self, core: &Core, snapshot: &Snapshot, cmd: &'a Cmd) -> Turn {
        let plan = match command::plan(cmd) {
            Ok(plan) => plan,
            Err(refusal) if refusal.kind == command::RefusalKind::Unknown => return Turn::Alone,
            Err(refusal) => {
                self.entries.push(Entry::Refused(core.refusal(refusal)));
                return Turn::Added;
            }
        };
        match plan {
            Plan::Read { row, .. } if row.answer == command::Answer::Part => return Turn::Alone,
            Plan::Read { key, .. } | Plan::Write { key, .. } => {
                let token = Token::of_key(key);
                // The servers of one owner have what came with the first call that it got.
                let owner = snapshot.topology().serving().owners(token).first().map_or(0, |owner| u32::from(owner.0));
                self.steps.push(step(core, cmd, &plan, token, owner, &mut self.brought));
                self.entries.push(Entry::Step(self.steps.len() - 1));
            }
            Plan::Split { row, merge } => {
                let parts = split::apart(snapshot, cmd, row, merge, &mut self.steps);
                self.entries.push(Entry::Parts(cmd, parts));
            }
            Plan::Publish { .. } | Plan::AnyMember { .. } => return Turn::Message,
            Plan::Wait { .. } | Plan::Keyless { .. } | Plan::WholeRing { .. } | Plan::Channels { .. } => {
                return Turn::Alone;
            }
        }
        Turn::Added
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
    let mut brought = Brought::default();
    for cmd in pipeline.cmd_iter() {
        let plan = command::plan(cmd).map_err(|refusal| core.refusal(refusal))?;
        let key = match plan {
            Plan::Read { row, .. } if row.answer == command::Answer::Part => {
                return Err(not_in_transaction(row.upper, "its cursor belongs to one server"));
            }
            Plan::Read { key, .. } | Plan::Write { key, .. } | Plan::Wait { key, .. } => key,
            Plan::Publish { channel, .. } => channel,
            Plan::AnyMember { .. } => {
                homeless.push(steps.len());
                steps.push(Step::new(cmd, &plan, Tokens::One(Token(0)), false));
                continue;
            }
            Plan::Keyless { row } => {
                // As alone, in the form that cannot write.
                let (cmd, row) =
                    command::read_only(cmd, row).ok_or_else(|| not_in_transaction(row.upper, "it declares no keys"))?;
                homeless.push(steps.len());
                steps.push(Step::new(&cmd, &Plan::Keyless { row }, Tokens::One(Token(0)), false));
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
        steps.push(step(core, cmd, &plan, Token::of_key(key), 0, &mut brought));
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

fn step(core: &Core, cmd: &Cmd, plan: &Plan<'_>, token: Token, owner: u32, brought: &mut Brought) -> Step {
    let whole = script::among_others(core, cmd, plan.row(), owner, brought);
    match whole.as_ref().map(|whole| (whole, command::plan(whole))) {
        Some((whole, Ok(plan))) => Step::new(whole, &plan, Tokens::One(token), script::repeats(core, plan.row())),
        Some((_, Err(_))) | None => Step::new(cmd, plan, Tokens::One(token), script::repeats(core, plan.row())),
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
