//! Room in a server that is over its memory limit.

use std::time::Duration;

use redis::{Value, cmd, pipe};

use crate::agent::server::{Failure, Server};

/// A limit that was raised. Over `maxmemory` a server refuses every MULTI, whatever is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Headroom {
    before: u64,
    raised: u64,
}

impl Headroom {
    /// Sees to it that the server has room for so many bytes more. Nothing is changed where it has, or has no limit; then there
    /// is nothing to put back either.
    ///
    /// # Errors
    /// What the server says where it refuses CONFIG.
    pub(crate) async fn raise(server: &Server, bytes: u64, within: Duration) -> Result<Option<Headroom>, Failure> {
        let mut ask = pipe();
        ask.cmd("CONFIG").arg("GET").arg("maxmemory").cmd("INFO").arg("memory");
        let answers = server.ask_all(&ask, within).await?;
        let [limit, memory] = &answers[..] else { return Ok(None) };
        let before = self::limit(limit)?;
        let memory: String = redis::from_redis_value_ref(memory).unwrap_or_default();
        let used = memory.lines().find_map(|line| line.strip_prefix("used_memory:"));
        let used: u64 = used.and_then(|used| used.trim().parse().ok()).unwrap_or(0);
        let raised = used.saturating_add(bytes);
        if before == 0 || raised <= before {
            return Ok(None);
        }
        set(server, raised, within).await?;
        tracing::info!(before, raised, "a server's memory limit is raised for a moment");
        Ok(Some(Headroom { before, raised }))
    }

    /// Puts the limit back, unless somebody has set another one meanwhile.
    ///
    /// # Errors
    /// What the server says, or that it is not to be reached.
    pub(crate) async fn put_back(self, server: &Server, within: Duration) -> Result<(), Failure> {
        let mut ask = pipe();
        ask.cmd("CONFIG").arg("GET").arg("maxmemory");
        let answers = server.ask_all(&ask, within).await?;
        match answers.first().map(limit).transpose()? {
            Some(now) if now == self.raised => set(server, self.before, within).await,
            Some(_) | None => Ok(()),
        }
    }
}

fn limit(answer: &Value) -> Result<u64, Failure> {
    let answer = answer.clone().extract_error().map_err(Failure::of)?;
    let pairs: Vec<(String, u64)> = redis::from_redis_value(answer).unwrap_or_default();
    Ok(pairs.first().map_or(0, |(_, limit)| *limit))
}

async fn set(server: &Server, limit: u64, within: Duration) -> Result<(), Failure> {
    let mut set = pipe();
    set.add_command(cmd("CONFIG").arg("SET").arg("maxmemory").arg(limit).take());
    let answers = server.ask_all(&set, within).await?;
    answers.into_iter().try_for_each(|answer| answer.extract_error().map(drop).map_err(Failure::of))
}
