//! RANDOMKEY: each key about as likely as on one server.

use std::sync::Arc;

use redis::{Value, cmd};
use tokio::time::Instant;

use super::super::reply::{Verdict, is_error, judge};
use super::super::{Core, Snapshot};
use super::view::Silent;
use super::{Tries, View, scan};
use crate::error::{Error, Result};
use crate::placement::{MemberIndex, Token};

/// How many keys are drawn before the members are looked through. About half of a member's keys are copies of others'.
const DRAWS: usize = 24;

/// Nil only if no member has a key.
pub(super) async fn run(core: &Core, first: &Arc<Snapshot>) -> Result<Value> {
    let mut tries = Tries::new(core, first);
    loop {
        let snapshot = Arc::clone(&tries.snapshot);
        match key(core, &View::of(&snapshot), tries.deadline).await {
            Ok(value) if tries.counts() => return Ok(value),
            Ok(_) => {}
            Err(error) => tries.again(error).await?,
        }
    }
}

async fn key(core: &Core, view: &View<'_>, deadline: Instant) -> Result<Value> {
    view.complete(&Silent::new())?;
    let draw = cmd("RANDOMKEY");
    for _ in 0..DRAWS {
        // Whoever answers for a token drawn by chance: so each member is as likely as its part of the ring is large.
        let Some(member) = view.first_owner(Token(fastrand::u32(..))) else { break };
        let key = ask(core, view, member, &draw).await?;
        if is_error(&key) || view.shows(member, &key) {
            return Ok(key);
        }
    }
    look_through(core, view, deadline).await
}

/// There are few keys, or most of what was drawn are copies.
async fn look_through(core: &Core, view: &View<'_>, deadline: Instant) -> Result<Value> {
    let mut members: Vec<MemberIndex> = view.links().map(|(member, _)| member).collect();
    fastrand::shuffle(&mut members);
    for member in members {
        let mut cursor = 0;
        loop {
            let reply = ask(core, view, member, cmd("SCAN").arg(cursor).arg("COUNT").arg(1000)).await?;
            let (next, mut keys) = match scan::scanned(reply) {
                Ok(scanned) => scanned,
                Err(reply) => return Ok(reply),
            };
            keys.retain(|key| view.shows(member, key));
            if !keys.is_empty() {
                return Ok(keys.swap_remove(fastrand::usize(..keys.len())));
            }
            if next == 0 {
                break;
            }
            if Instant::now() >= deadline {
                return Err(view.stuck("RANDOMKEY", member, "it has too few keys among too many copies of others'"));
            }
            cursor = next;
        }
    }
    Ok(Value::Nil)
}

async fn ask(core: &Core, view: &View<'_>, member: MemberIndex, cmd: &redis::Cmd) -> Result<Value, Error> {
    let why = match view.link(member) {
        None => "it is not connected".to_owned(),
        Some(link) => match link.read(cmd, core.read_ms).await {
            Ok(reply) if judge(&reply) == Verdict::Answer => return Ok(reply),
            Ok(_) => "it cannot serve now".to_owned(),
            Err(fault) => fault.to_string(),
        },
    };
    view.snapshot().seat(member).node.failed();
    Err(view.stuck("RANDOMKEY", member, &why))
}
