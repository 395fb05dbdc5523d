//! Room in the agent's own server while others are cut from it.
//!
//! Over `maxmemory` a server refuses every MULTI, whatever is in it, and in `syncing` clients write in nothing else what other
//! members gain; nor can a cut be made without. So the limit is raised a little for as long as that lasts. What it was stands
//! on the server, beside the gate, so that whoever comes after an agent that died puts it back; and the agent remembers it
//! too, since a flush takes what stands there. Nobody else sets the limit: gainers wait until there is room.

use std::time::Duration;

use redis::cmd;

use super::server::{Failure, Server};
use crate::command::OWN_ROOM;

/// What may be written meanwhile.
const ROOM: u64 = 16 << 20;
/// What has to be left of it. With less, the limit is raised again.
const LEAST: u64 = ROOM / 4;
/// How often it is raised in one move. Clients that write more than that meanwhile are told that the server is full.
const MOST: usize = 8;

/// Writes the note, which is text. A script, since it is done to a server that is full.
const NOTE: &str = "#!lua flags=allow-oom
return redis.call('SET', KEYS[1], ARGV[1])";

/// A limit that was raised, by this agent or by one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raised {
    before: u64,
    /// To each of these, one after the other.
    to: Vec<u64>,
}

/// Raises the limit if there is little room. Returns what is to be put back later.
///
/// # Errors
/// The server's. One that does not let its agent set the limit is one where a move waits until there is room.
pub(super) async fn make(server: &mut Server, known: &mut Option<Raised>, within: Duration) -> Result<(), Failure> {
    let limit = limit(server, within).await?;
    if limit == 0 {
        return Ok(());
    }
    let memory: String = server.ask(cmd("INFO").arg("memory"), within).await?;
    let used = memory.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse::<u64>().ok());
    let used = used.unwrap_or(0);
    // Of a limit that somebody else has set meanwhile nothing is to be put back.
    let before = noted(server, known.as_ref(), within).await?.filter(|raised| raised.to.contains(&limit));
    let enough = if before.is_some() { LEAST } else { ROOM };
    let mut raised = before.unwrap_or(Raised { before: limit, to: Vec::new() });
    if used.saturating_add(enough) <= limit || raised.to.len() >= MOST {
        return Ok(());
    }
    let now = used.saturating_add(ROOM);
    raised.to.push(now);
    // The note before what it tells of: an agent may die in between.
    let note = cmd("EVAL").arg(NOTE).arg(1).arg(OWN_ROOM).arg(raised.to_text()).take();
    server.ask::<()>(&note, within).await?;
    tracing::info!(limit, raised = now, "the server's memory limit is raised until the others are cut");
    *known = Some(raised);
    set(server, now, within).await
}

/// Puts the limit back that was raised, unless somebody has set another one meanwhile.
///
/// # Errors
/// The server's.
pub(super) async fn put_back(server: &mut Server, known: &mut Option<Raised>, within: Duration) -> Result<(), Failure> {
    let Some(raised) = noted(server, known.as_ref(), within).await? else { return Ok(()) };
    if raised.to.contains(&limit(server, within).await?) {
        set(server, raised.before, within).await?;
        tracing::info!(limit = raised.before, "the server's memory limit is what it was");
    }
    server.ask::<u64>(cmd("DEL").arg(OWN_ROOM), within).await?;
    *known = None;
    Ok(())
}

/// What stands on the server, or else what is known.
async fn noted(server: &mut Server, known: Option<&Raised>, within: Duration) -> Result<Option<Raised>, Failure> {
    let noted: Option<String> = server.ask(cmd("GET").arg(OWN_ROOM), within).await?;
    Ok(noted.as_deref().and_then(Raised::of_text).or_else(|| known.cloned()))
}

impl Raised {
    fn of_text(text: &str) -> Option<Raised> {
        let mut limits = text.split(':').map(|limit| limit.parse().ok());
        let before = limits.next()??;
        Some(Raised { before, to: limits.collect::<Option<_>>()? })
    }

    fn to_text(&self) -> String {
        self.to.iter().fold(self.before.to_string(), |text, limit| format!("{text}:{limit}"))
    }
}

async fn limit(server: &mut Server, within: Duration) -> Result<u64, Failure> {
    let pair: Vec<String> = server.ask(cmd("CONFIG").arg("GET").arg("maxmemory"), within).await?;
    Ok(pair.get(1).and_then(|limit| limit.parse().ok()).unwrap_or(0))
}

async fn set(server: &mut Server, limit: u64, within: Duration) -> Result<(), Failure> {
    server.ask::<()>(cmd("CONFIG").arg("SET").arg("maxmemory").arg(limit), within).await
}

#[cfg(test)]
mod tests {
    #![cfg(feature = "cli")]

    use super::*;
    use crate::agent::options::AgentOptions;
    use crate::agent::server::Connector;
    use crate::local::{RedisOptions, RedisServer};
    use crate::membership::Address;
    use crate::placement::NodeId;

    /// Bytes; less than any server uses.
    const FULL: u64 = 500 << 10;
    const SOON: Duration = Duration::from_secs(20);

    async fn full() -> (RedisServer, Server) {
        let server = RedisServer::start_async(RedisOptions::new()).await.unwrap();
        let address: Address = format!("redis://{}", server.addr()).parse().unwrap();
        let id = NodeId::new("m").unwrap();
        let mut options = AgentOptions::new("zk://127.0.0.1:1/none".parse().unwrap(), id, address.clone());
        options.health.connect = SOON;
        let mut agent = Connector::new(&options).unwrap().connect(&address, "rr-agent:m").await.unwrap();
        set(&mut agent, FULL, SOON).await.unwrap();
        (server, agent)
    }

    async fn keys(server: &mut Server) -> u64 {
        server.ask(&cmd("DBSIZE"), SOON).await.unwrap()
    }

    #[tokio::test]
    async fn a_limit_is_put_back_by_whoever_comes_after_an_agent_that_died() {
        let (_server, mut agent) = full().await;
        make(&mut agent, &mut None, SOON).await.unwrap();
        assert!(limit(&mut agent, SOON).await.unwrap() > FULL + LEAST);
        put_back(&mut agent, &mut None, SOON).await.unwrap();
        assert_eq!((limit(&mut agent, SOON).await, keys(&mut agent).await), (Ok(FULL), 0));
    }

    #[tokio::test]
    async fn a_limit_is_put_back_after_a_flush() {
        let (_server, mut agent) = full().await;
        let mut known = None;
        make(&mut agent, &mut known, SOON).await.unwrap();
        agent.ask::<()>(&cmd("FLUSHALL"), SOON).await.unwrap();
        put_back(&mut agent, &mut known, SOON).await.unwrap();
        assert_eq!((limit(&mut agent, SOON).await, known), (Ok(FULL), None));
    }

    #[tokio::test]
    async fn room_that_is_used_up_is_made_again_and_no_end_of_it() {
        let (_server, mut agent) = full().await;
        let (mut known, mut limits) = (None, vec![FULL]);
        for part in 0..2 * MOST {
            make(&mut agent, &mut known, SOON).await.unwrap();
            let now = limit(&mut agent, SOON).await.unwrap();
            make(&mut agent, &mut known, SOON).await.unwrap();
            assert_eq!(limit(&mut agent, SOON).await, Ok(now), "there is room");
            if limits.last() == Some(&now) {
                break;
            }
            limits.push(now);
            // Without a large message, which would take room as well.
            let _ = agent.ask::<u64>(cmd("SETRANGE").arg(part).arg(ROOM - LEAST / 2).arg("x"), SOON).await;
        }
        assert_eq!(limits.len(), MOST + 1);
        // Whichever of them it is: an agent that dies has written down all.
        put_back(&mut agent, &mut None, SOON).await.unwrap();
        assert_eq!(limit(&mut agent, SOON).await, Ok(FULL));
    }

    #[tokio::test]
    async fn a_limit_that_somebody_else_has_set_stays() {
        let (_server, mut agent) = full().await;
        let mut known = None;
        make(&mut agent, &mut known, SOON).await.unwrap();
        set(&mut agent, 3 << 30, SOON).await.unwrap();
        put_back(&mut agent, &mut known, SOON).await.unwrap();
        assert_eq!((limit(&mut agent, SOON).await, keys(&mut agent).await), (Ok(3 << 30), 0));
    }
}
