//! Commands that any member can answer.

use std::sync::Arc;

use redis::{Cmd, RedisResult, Value};

use super::super::reply::{Verdict, judge};
use super::super::{Core, Seat, Snapshot};
use super::Tries;
use crate::command;
use crate::error::{Error, ErrorKind};
use crate::node::{Fault, Link};

/// Asks a member, by chance, and the next one where it does not answer. Those that keep failing come last.
pub(in crate::exec) async fn ask(core: &Core, first: &Arc<Snapshot>, cmd: &Cmd) -> RedisResult<Value> {
    asked(core, first, cmd, false).await
}

/// As [`ask`], for what may take its time, as a script does: being slow is no reason to run it elsewhere as well.
pub(in crate::exec) async fn ask_patiently(core: &Core, first: &Arc<Snapshot>, cmd: &Cmd) -> RedisResult<Value> {
    asked(core, first, cmd, true).await
}

async fn asked(core: &Core, first: &Arc<Snapshot>, cmd: &Cmd, patient: bool) -> RedisResult<Value> {
    let mut tries = Tries::new(core, first);
    loop {
        let mut failures = Vec::new();
        let members = in_turn(&tries.snapshot);
        let last = members.len().saturating_sub(1);
        for (nth, (seat, link)) in members.into_iter().enumerate() {
            // All say the same, so a slow one is left for the next.
            let ms = match patient || nth == last {
                true => core.read_ms,
                false => link.hedge_after_ms().clamp(20, core.read_ms.max(20)),
            };
            let why = match link.read(cmd, ms).await {
                Ok(value) if judge(&value) == Verdict::Answer => {
                    seat.node.succeeded();
                    return Ok(value);
                }
                Ok(_) => "it cannot serve now".to_owned(),
                Err(Fault::Late) if patient => {
                    failures.push(format!("{}: {}", seat.node.id(), Fault::Late));
                    continue;
                }
                Err(fault) => fault.to_string(),
            };
            seat.node.failed();
            failures.push(format!("{}: {why}", seat.node.id()));
        }
        let who = if failures.is_empty() { "none is connected".to_owned() } else { failures.join("; ") };
        let error = Error::new(ErrorKind::Unreachable, format!("no member answered {}: {who}", command::name(cmd)))
            .with_hint("`redis-ring status` shows the members");
        tries.again(error).await?;
    }
}

fn in_turn(snapshot: &Snapshot) -> Vec<(&Seat, Arc<Link>)> {
    let seats = snapshot.seats.iter().filter(|seat| seat.up);
    let mut members: Vec<(&Seat, Arc<Link>)> = seats.filter_map(|seat| Some((seat, seat.link()?))).collect();
    fastrand::shuffle(&mut members);
    members.sort_by_key(|(seat, link)| link.is_silent() || !seat.node.is_trusted());
    members
}
