//! FLUSHDB and FLUSHALL: the ring's database on every member, and nothing of what the ring itself keeps there.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::{join_all, maybe_done};
use redis::{Cmd, Value, cmd};
use tokio::time::Instant;
use tracing::Instrument;

use super::super::polling::poll_unconstrained;
use super::super::reply::{Verdict, is_error, judge};
use super::super::{Core, InStep, Snapshot, fence};
use super::everywhere::{Partly, all_up};
use crate::command::{self, OWN_KEYS, Row};
use crate::error::{Error, ErrorKind, Outcome, Result, Retry};
use crate::node::{Fault, Link};
use crate::placement::{MemberIndex, Phase};

/// Runs on one server and so atomically there. What the ring keeps is read, written back as a proof that it may be,
/// and again after the flush. It counts itself, so that the member's agent does not take it for a loss of data.
const SCRIPT: &str = include_str!("flush.lua");

/// Only while the ring is still and all its members are up and answer: a member that missed it would bring the keys
/// back.
///
/// It runs in a task of its own. So dropping the future leaves no member out, and writes that wait for it do not
/// depend on its caller.
pub(super) async fn run(core: &Arc<Core>, cmd: &Cmd, row: &'static Row) -> Result<Value> {
    // Without a word from the caller the memory is freed aside: a member that stood still for seconds would be taken
    // for dead. To a caller both are the same.
    let mode = match command::argument(cmd, 1) {
        None => "ASYNC",
        Some(_) if command::argument(cmd, 2).is_some() => return Err(syntax(row)),
        Some(word) if word.eq_ignore_ascii_case(b"ASYNC") => "ASYNC",
        Some(word) if word.eq_ignore_ascii_case(b"SYNC") => "SYNC",
        Some(_) => return Err(syntax(row)),
    };
    let _writing = core.writing_all();
    let task = core.runtime.spawn(flush(Arc::clone(core), row, mode).in_current_span());
    task.await.unwrap_or_else(|error| {
        Err(Error::new(ErrorKind::Disconnected, format!("the runtime ended while {} was under way", row.upper))
            .with_outcome(Outcome::Unknown)
            .with_source(error))
    })
}

fn syntax(row: &Row) -> Error {
    Error::new(ErrorKind::Invalid, format!("{} takes ASYNC or SYNC and nothing else", row.upper))
        .with_hint("leave the argument out, or correct it")
}

async fn flush(core: Arc<Core>, row: &'static Row, mode: &'static str) -> Result<Value> {
    let snapshot = InStep::newest(&core);
    let phase = snapshot.topology.phase();
    if phase != Phase::Still {
        let error = Error::new(ErrorKind::Refused, format!("{} was not sent: the ring is {phase}", row.upper));
        return Err(error
            .with_retry(Retry::Later)
            .with_hint("wait until the ring is still: `redis-ring watch` shows it"));
    }
    let links = all_members(&core, &snapshot, row).await?;
    if !links.iter().all(|(_, link)| link.is_open_to(snapshot.step)) {
        return Err(Error::new(ErrorKind::Refused, format!("{} was not sent: the ring has begun to move", row.upper))
            .with_retry(Retry::Later)
            .with_hint("wait until the ring is still: `redis-ring watch` shows it"));
    }
    let scripts: Vec<Cmd> = links.iter().map(|(index, _)| script(&snapshot, *index, mode)).collect();
    let pinged = join_all(links.iter().map(|(_, link)| async { link.read(&cmd("PING"), core.read_ms).await })).await;
    if let Some(((index, _), why)) = links.iter().zip(&pinged).find_map(|(at, reply)| Some((at, refusal(reply)?))) {
        return Err(not_all(&snapshot, *index, &why, row));
    }
    let _held = core.pause.hold();
    let sends: Vec<_> =
        links.iter().zip(&scripts).map(|((_, link), script)| link.copy(script, core.write_ms)).collect();
    let mut sends: Vec<_> = sends.into_iter().map(|send| Box::pin(maybe_done(send))).collect();
    let deadline = Instant::now() + core.options.connect.timeouts.write.saturating_mul(4);
    loop {
        // The order on every connection is the order of the stripes' locks. With all of them, and nobody in line, the
        // flush stands at the same place among this process's writes at every member.
        let sent = poll_fn(|cx| {
            let Some(_order) = core.stripes.lock_all_free() else { return Poll::Ready(false) };
            for send in &mut sends {
                let _ = poll_unconstrained(send.as_mut(), cx);
            }
            Poll::Ready(true)
        });
        if sent.await {
            break;
        }
        if Instant::now() >= deadline {
            let message = format!("{} was not sent: writes of this process are still under way", row.upper);
            return Err(Error::new(ErrorKind::Timeout, message).with_hint("a member may hang: try again later"));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    join_all(sends.iter_mut().map(|send| send.as_mut())).await;
    let replies = sends.iter_mut().map(|send| taken(send.as_mut().take_output()));
    let replies: Vec<(MemberIndex, Result<Value, Fault>)> =
        links.iter().map(|(index, _)| *index).zip(replies).collect();
    let partly = Partly::of(&snapshot, replies);
    if partly.is_all() {
        return Ok(Value::Okay);
    }
    if core.fences.is_none() {
        partly.without().for_each(|index| {
            snapshot.seat(index).node.missed_a_write();
        });
    } else if partly.is_by_some() {
        // Its keys would come back, at whoever asks it first.
        fence::take_out(&core, &snapshot, partly.without()).await;
    }
    Err(partly.error(row))
}

fn taken(output: Option<Result<Value, Fault>>) -> Result<Value, Fault> {
    output.unwrap_or(Err(Fault::Late))
}

fn script(snapshot: &Snapshot, index: MemberIndex, mode: &str) -> Cmd {
    // A server without an agent has nobody who counts.
    let life = snapshot.topology.member(index).run_id.as_ref().map_or("", |run_id| run_id.as_str());
    let mut eval = cmd("EVAL");
    eval.arg(SCRIPT).arg(OWN_KEYS.len()).arg(&OWN_KEYS[..]).arg(life).arg(mode);
    eval
}

/// The members of the ring, all of them.
async fn all_members(core: &Core, snapshot: &Snapshot, row: &Row) -> Result<Vec<(MemberIndex, Arc<Link>)>> {
    let mut members = snapshot.topology.serving().members();
    if let Some((index, ..)) = members.find(|(index, ..)| !snapshot.seat(*index).up) {
        let why = snapshot.topology.member(index).state.to_string();
        return Err(not_all(snapshot, index, &why, row));
    }
    all_up(core, snapshot).await.map_err(|(index, why)| not_all(snapshot, index, &why, row))
}

fn refusal(reply: &Result<Value, Fault>) -> Option<String> {
    match reply {
        Ok(value) if judge(value) == Verdict::Answer && !is_error(value) => None,
        Ok(Value::ServerError(error)) => Some(format!("it says {}", error.code())),
        Ok(_) => Some("it cannot serve now".to_owned()),
        Err(fault) => Some(fault.to_string()),
    }
}

fn not_all(snapshot: &Snapshot, index: MemberIndex, why: &str, row: &Row) -> Error {
    let id = &snapshot.topology.member(index).id;
    Error::new(ErrorKind::Refused, format!("{} was not sent: {id} cannot execute it: {why}", row.upper))
        .with_retry(Retry::Later)
        .with_hint("it runs only while all members are up and answer: one that missed it would bring its keys back")
}
