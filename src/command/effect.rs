//! What a command did, told to the copies by commands of their own.
//!
//! Random commands, and those that look at the clock, must not run twice. What they did is in the primary's reply, or in what
//! it answers to a few questions asked in the same transaction ([`probes`]), and [`effect`] turns that into commands that leave
//! the same wherever they run. Nothing here copies a whole stream: the length of one has no bound.

mod groups;
mod lists;
mod reading;
mod streams;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::error::Error;
use std::fmt;

use redis::{Cmd, Value, cmd};

use super::keys::keys;
use super::request::{Plan, Repeat, words};
use super::row::{Effect, Role, Row};
use super::state::{restore, state_probes};
use reading::{elements, text};

/// One command for the copies, and what a copy must answer to count as having it.
#[derive(Clone, Debug)]
pub struct Carried {
    /// The command.
    pub cmd: Cmd,
    /// What a copy must answer.
    pub expect: Expect,
}

/// What a copy must answer to count as having a command.
#[derive(Clone, Debug, PartialEq)]
pub enum Expect {
    /// The same as this.
    Reply(Value),
    /// Likewise; what it needs may still be under way from another process, and until it is there, it is sent again. Sending
    /// it more than once leaves the same.
    Soon(Value),
    /// A number above zero: what it takes away must be there; if not yet, it is sent again.
    Found,
    /// A number, and this one but for rounding; nothing counts as zero. Where another process's command came first, it is
    /// another.
    Near {
        /// The number.
        number: f64,
        /// What rounding may have changed.
        within: f64,
    },
    /// Anything but an error.
    Any,
}

/// A reply, or an answer to a probe, that has not the form that the server documents, so that nobody can tell what the command
/// did. The copies must then get the state of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a reply has an unexpected form, so its effect cannot be told")
    }
}

impl Error for Unreadable {}

/// What the primary is asked in one transaction right after the command, so that its effect can be told. None for most.
///
/// In a transaction nobody else's command comes in between, and so the answers tell of this command alone.
#[must_use]
pub fn probes(cmd: &Cmd, plan: &Plan<'_>) -> Vec<Cmd> {
    match how(plan) {
        How::Nothing | How::Itself(_) => Vec::new(),
        How::State(row) => state_probes(&written(row, cmd)),
        How::Effect(row) => match row.effect {
            Effect::EntryAdded | Effect::Trimmed => streams::probes(row, cmd),
            Effect::Claimed | Effect::AutoClaimed => groups::claim_probes(cmd),
            Effect::Delivered => groups::delivery_probes(row, cmd),
            Effect::None
            | Effect::MembersTaken
            | Effect::NewValue
            | Effect::NewField
            | Effect::ListTaken(_)
            | Effect::ListMoved(_)
            | Effect::SortedTaken => Vec::new(),
        },
    }
}

/// What the copies get, in this order; nothing if nothing was written.
///
/// `reply` is the primary's to `cmd` and no error; `answers` are its replies to [`probes`], in their order. A relative expiry must
/// have been made [absolute](super::absolute) before the primary got the command. A command that the copies repeat is returned as
/// it is.
///
/// # Errors
///
/// [`Unreadable`] if the reply or an answer has an unexpected form.
pub fn effect(cmd: &Cmd, plan: &Plan<'_>, reply: &Value, answers: &[Value]) -> Result<Vec<Carried>, Unreadable> {
    if let Plan::Write { no_effect, .. } = plan
        && no_effect.shown_by(reply)
    {
        return Ok(Vec::new());
    }
    let row = match how(plan) {
        How::Nothing => return Ok(Vec::new()),
        How::Itself(expect) => {
            let expect = if expect == Same::Required { Expect::Reply(reply.clone()) } else { Expect::Any };
            return Ok(vec![Carried { cmd: cmd.clone(), expect }]);
        }
        How::State(row) => return restore(&written(row, cmd), answers),
        How::Effect(row) => row,
    };
    match row.effect {
        Effect::None => Err(Unreadable),
        Effect::MembersTaken => members_taken(cmd, reply),
        Effect::NewValue => new_value(cmd, reply),
        Effect::NewField => new_field(cmd, reply),
        Effect::EntryAdded => streams::added(row, cmd, reply, answers),
        Effect::Trimmed => streams::trimmed(cmd, reply, answers),
        Effect::Claimed => groups::claimed(row, cmd, reply, answers),
        Effect::AutoClaimed => groups::auto_claimed(row, cmd, reply, answers),
        Effect::Delivered => groups::delivered(row, cmd, reply, answers),
        Effect::ListTaken(side) => lists::taken(row, cmd, side, reply),
        Effect::ListMoved(side) => lists::moved(cmd, side, reply),
        Effect::SortedTaken => lists::sorted_taken(reply),
    }
}

/// How the copies of a call come about.
enum How {
    Nothing,
    Itself(Same),
    Effect(&'static Row),
    State(&'static Row),
}

/// Whether the copies must reply the same.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Same {
    Required,
    /// Two writers' commands may reach the copies in another order, and each leaves the same.
    NotRequired,
}

fn how(plan: &Plan<'_>) -> How {
    match *plan {
        Plan::Write { row, repeat, .. } => match repeat {
            Repeat::Absolute => How::Itself(Same::NotRequired),
            Repeat::Deterministic => How::Itself(Same::Required),
            Repeat::Effect => How::Effect(row),
            Repeat::State => How::State(row),
        },
        Plan::Wait { row, .. } if row.is_write() => How::Effect(row),
        Plan::Wait { .. }
        | Plan::Read { .. }
        | Plan::Split { .. }
        | Plan::Keyless { .. }
        | Plan::WholeRing { .. }
        | Plan::AnyMember { .. }
        | Plan::Publish { .. }
        | Plan::Channels { .. } => How::Nothing,
    }
}

/// What a copy gets that refuses a call which its primary has executed, because something later of the same kind is there
/// already: the same, put at the place where it belongs. `None` where there is no such thing.
///
/// The copy's answer is that of the call; nil where too much is in the way.
#[must_use]
pub fn at_its_place(cmd: &Cmd) -> Option<Cmd> {
    let plan = super::plan(cmd).ok()?;
    (plan.row().effect == Effect::EntryAdded).then(|| streams::at_its_place(plan.row(), cmd)).flatten()
}

/// The keys of a call, each once; none of a call that the table does not know.
#[must_use]
pub fn keys_of(cmd: &Cmd) -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    if let Ok(plan) = super::plan(cmd) {
        let found = keys(plan.row(), words(cmd), |key| {
            if !all.iter().any(|known| known == key.bytes) {
                all.push(key.bytes.to_vec());
            }
        });
        debug_assert!(found.is_ok(), "a call with a plan has keys");
    }
    all
}

/// The keys that a call may write, each once; none of a call that the table does not know.
#[must_use]
pub fn written_keys(cmd: &Cmd) -> Vec<Vec<u8>> {
    let Ok(plan) = super::plan(cmd) else { return Vec::new() };
    written(plan.row(), cmd).into_iter().map(<[u8]>::to_vec).collect()
}

/// The keys that a call may write, each once.
fn written<'a>(row: &Row, cmd: &'a Cmd) -> Vec<&'a [u8]> {
    let mut written = Vec::new();
    let mut seen = HashSet::new();
    let found = keys(row, words(cmd), |key| {
        if key.role == Role::Writes && seen.insert(key.bytes) {
            written.push(key.bytes);
        }
    });
    debug_assert!(found.is_ok(), "a call with a plan has keys");
    written
}

/// The argument at this position; an empty one where there is none, which the arity of the row rules out.
fn word(cmd: &Cmd, at: usize) -> &[u8] {
    words(cmd).nth(at).flatten().unwrap_or_default()
}

fn carried(cmd: &mut Cmd, expect: Expect) -> Carried {
    Carried { cmd: std::mem::take(cmd), expect }
}

/// A number as a server replies it.
fn count(of: usize) -> Value {
    Value::Int(i64::try_from(of).unwrap_or(i64::MAX))
}

fn members_taken(call: &Cmd, reply: &Value) -> Result<Vec<Carried>, Unreadable> {
    let members = match reply {
        Value::Nil => return Ok(Vec::new()),
        Value::Array(_) | Value::Set(_) => elements(reply)?.iter().map(text).collect::<Result<Vec<_>, _>>()?,
        one => vec![text(one)?],
    };
    if members.is_empty() {
        return Ok(Vec::new());
    }
    let mut remove = cmd("SREM");
    remove.arg(word(call, 1)).arg(&members);
    Ok(vec![carried(&mut remove, Expect::Reply(count(members.len())))])
}

fn new_value(call: &Cmd, reply: &Value) -> Result<Vec<Carried>, Unreadable> {
    let mut get = cmd("GET");
    get.arg(word(call, 1));
    let mut set = cmd("SET");
    set.arg(word(call, 1)).arg(text(reply)?).arg("KEEPTTL");
    Ok(vec![carried(&mut get, before(reply, word(call, 2))?), carried(&mut set, Expect::Reply(Value::Okay))])
}

fn new_field(call: &Cmd, reply: &Value) -> Result<Vec<Carried>, Unreadable> {
    let mut get = cmd("HGET");
    get.arg(word(call, 1)).arg(word(call, 2));
    let mut set = cmd("HSET");
    set.arg(word(call, 1)).arg(word(call, 2)).arg(text(reply)?);
    // Whether the field was there before cannot be told from the reply, and does not matter.
    Ok(vec![carried(&mut get, before(reply, word(call, 3))?), carried(&mut set, Expect::Any)])
}

/// What was there before this was added: the copies are asked for it, since the sum that they are given would hide that two
/// processes' came to them in another order.
fn before(sum: &Value, added: &[u8]) -> Result<Expect, Unreadable> {
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<f64>().ok();
    match (number(text(sum)?), number(added)) {
        (Some(sum), Some(added)) => {
            Ok(Expect::Near { number: sum - added, within: 16.0 * f64::EPSILON * sum.abs().max(added.abs()) })
        }
        _ => Err(Unreadable),
    }
}
