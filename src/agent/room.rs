//! Room in the agent's own server while others are cut from it.
//!
//! Over `maxmemory` a server refuses every MULTI, whatever is in it, and in `syncing` clients write in nothing else what other
//! members gain. So the limit is raised a little for as long as that lasts. What it was stands in the gate, so that whoever
//! comes after an agent that died puts it back.

use std::time::Duration;

use redis::cmd;

use super::server::{Failure, Server};
use crate::command::OWN_GATE;

/// What may be written meanwhile.
const ROOM: u64 = 16 << 20;
/// The gate's field: the limit as it was, a colon, and what it was raised to.
const FIELD: &str = "maxmemory";

/// Writes down the limit unless one is written down already.
const NOTE: &str = "#!lua flags=allow-oom
return redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])";

/// Raises the limit if there is less room than that.
///
/// # Errors
/// The server's. One that does not let its agent set the limit is one where a move waits until there is room.
pub(super) async fn make(server: &mut Server, within: Duration) -> Result<(), Failure> {
    let limit = limit(server, within).await?;
    if limit == 0 {
        return Ok(());
    }
    let memory: String = server.ask(cmd("INFO").arg("memory"), within).await?;
    let used = memory.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse::<u64>().ok());
    let raised = used.unwrap_or(0).saturating_add(ROOM);
    if raised <= limit {
        return Ok(());
    }
    let mut note = cmd("EVAL");
    note.arg(NOTE).arg(1).arg(OWN_GATE).arg(FIELD).arg(format!("{limit}:{raised}"));
    if server.ask::<u64>(&note, within).await? == 1 {
        tracing::info!(limit, raised, "the server's memory limit is raised until the others are cut");
        set(server, raised, within).await?;
    }
    Ok(())
}

/// Puts the limit back that was raised, unless somebody has set another one meanwhile.
///
/// # Errors
/// The server's.
pub(super) async fn put_back(server: &mut Server, within: Duration) -> Result<(), Failure> {
    let noted: Option<String> = server.ask(cmd("HGET").arg(OWN_GATE).arg(FIELD), within).await?;
    let Some(noted) = noted else { return Ok(()) };
    if let Some((before, raised)) = read(&noted)
        && limit(server, within).await? == raised
    {
        set(server, before, within).await?;
        tracing::info!(limit = before, "the server's memory limit is what it was");
    }
    server.ask::<u64>(cmd("HDEL").arg(OWN_GATE).arg(FIELD), within).await.map(drop)
}

fn read(noted: &str) -> Option<(u64, u64)> {
    let (before, raised) = noted.split_once(':')?;
    Some((before.parse().ok()?, raised.parse().ok()?))
}

async fn limit(server: &mut Server, within: Duration) -> Result<u64, Failure> {
    let pair: Vec<String> = server.ask(cmd("CONFIG").arg("GET").arg("maxmemory"), within).await?;
    Ok(pair.get(1).and_then(|limit| limit.parse().ok()).unwrap_or(0))
}

async fn set(server: &mut Server, limit: u64, within: Duration) -> Result<(), Failure> {
    server.ask::<()>(cmd("CONFIG").arg("SET").arg("maxmemory").arg(limit), within).await
}
