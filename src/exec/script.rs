//! Running scripts and functions.
//!
//! A server that was restarted has forgotten its scripts. Where one says so, the call is sent again with the script's text,
//! if this client has seen it, and the server knows it from then on.

use std::collections::HashSet;
use std::sync::Arc;

use redis::{Cmd, Value};

use super::groups;
use super::read::read;
use super::steps::{Step, Tokens};
use super::{Core, Senders, Snapshot, whole};
use crate::command::{self, Plan, Row, Script};
use crate::error::{Error, ErrorKind, Result};
use crate::placement::Token;
use crate::policy::ScriptPolicy;

/// Runs a script that may write, or any other command that the copies get by its effect or by the state of its keys.
pub(super) async fn write(
    core: &Arc<Core>,
    snapshot: &Arc<Snapshot>,
    cmd: &Cmd,
    plan: &Plan<'_>,
    token: Token,
) -> Result<Value> {
    let run = async |cmd: &Cmd, plan: &Plan<'_>| {
        groups::one(core, snapshot, Step::new(cmd, plan, Tokens::One(token), repeats(core, plan.row()))).await
    };
    let run_whole = async |whole: Cmd| {
        let plan = command::plan(&whole).map_err(|refusal| core.refusal(refusal))?;
        run(&whole, &plan).await
    };
    let row = plan.row();
    learn(core, cmd, row);
    // Where the copies run it too, each of them may lack it.
    if core.options.script_policy == ScriptPolicy::Repeat
        && let Some(whole) = whole_of(core, cmd, row)
    {
        return run_whole(whole).await;
    }
    let reply = run(cmd, plan).await?;
    match again(core, cmd, row, &reply) {
        Some(whole) => run_whole(whole).await,
        None => Ok(reply),
    }
}

/// Runs a script that only reads, at an owner of its keys.
pub(super) async fn read_only(
    core: &Arc<Core>,
    snapshot: &Arc<Snapshot>,
    cmd: &Cmd,
    row: &'static Row,
    token: Token,
) -> redis::RedisResult<Value> {
    learn(core, cmd, row);
    let reply = read(core, snapshot, &mut Senders::default(), cmd, token).await?;
    match again(core, cmd, row, &reply) {
        Some(whole) => read(core, snapshot, &mut Senders::default(), &whole, token).await,
        None => Ok(reply),
    }
}

/// Runs a script without keys at any member, in the form that cannot write: nobody would know what the copies should get.
pub(super) async fn keyless(
    core: &Arc<Core>,
    snapshot: &Arc<Snapshot>,
    cmd: &Cmd,
    row: &'static Row,
) -> redis::RedisResult<Value> {
    learn(core, cmd, row);
    let Some((cmd, row)) = command::read_only(cmd, row) else {
        let error = Error::new(ErrorKind::Refused, format!("{} has no form that only reads", row.upper))
            .with_hint("declare the keys that it uses");
        return Err(error.into());
    };
    let reply = whole::ask_patiently(core, snapshot, &cmd).await?;
    match again(core, &cmd, row, &reply) {
        Some(whole) => whole::ask_patiently(core, snapshot, &whole).await,
        None => Ok(reply),
    }
}

/// Whether the copies run the scripts of this command too. Not where each of them may lack what it names: they get the
/// state then.
pub(super) fn repeats(core: &Core, row: &Row) -> bool {
    core.options.script_policy == ScriptPolicy::Repeat && row.script == Script::Body
}

/// The scripts of a pipeline that go along with it, by their names and the owners that they are brought to.
#[derive(Default)]
pub(super) struct Brought(HashSet<(Vec<u8>, u32)>);

/// The call as it is sent among others, whose turn comes before its server could say that it lacks the script: with the
/// text, if this client has seen it. Once for each owner is enough: whoever comes later
/// finds it there.
pub(super) fn among_others(core: &Core, cmd: &Cmd, row: &Row, owner: u32, brought: &mut Brought) -> Option<Cmd> {
    learn(core, cmd, row);
    let name = command::script_name(cmd, row)?;
    // What the copies run too they must all get whole.
    if core.options.script_policy == ScriptPolicy::CopyState && !brought.0.insert((name.to_ascii_lowercase(), owner)) {
        return None;
    }
    whole_of(core, cmd, row)
}

/// Keeps the text of a script that is sent with its call.
fn learn(core: &Core, cmd: &Cmd, row: &Row) {
    if let Some(body) = command::script_body(cmd, row) {
        core.scripts.remember(body);
    }
}

/// The call with the text of its script, if the server says that it lacks it and it is known here.
fn again(core: &Core, cmd: &Cmd, row: &Row, reply: &Value) -> Option<Cmd> {
    match reply {
        Value::ServerError(error) if error.code() == "NOSCRIPT" => whole_of(core, cmd, row),
        _ => None,
    }
}

fn whole_of(core: &Core, cmd: &Cmd, row: &Row) -> Option<Cmd> {
    let body = core.scripts.body(command::script_name(cmd, row)?)?;
    Some(command::with_body(cmd, row, &body))
}
