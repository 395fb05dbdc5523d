//! Asks each member's server itself, side by side, so that one that is dead or hangs costs no more than its limit.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::time::timeout;

use super::context::Context;
use crate::command::OWN_KEYS;
use crate::membership::Address;
use crate::node::{ConnectOptions, Direct};
use crate::placement::{Member, RunId};
use crate::{Error, ErrorKind, Result};

/// How servers are asked.
#[derive(Clone, Debug)]
pub(super) struct Prober {
    options: ConnectOptions,
    limit: Duration,
}

/// What a server said about itself.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// The process that answered.
    pub(super) run_id: RunId,
    /// Keys in the ring's database, the ring's own left out.
    pub(super) keys: u64,
    /// Bytes that its data take.
    pub(super) memory: u64,
    /// The limit of its memory; `None` where it has none.
    pub(super) memory_limit: Option<u64>,
    /// How long one question took.
    pub(super) round_trip: Duration,
    /// Its version.
    pub(super) version: String,
}

impl Prober {
    /// With the credentials of the context, for the database of one ring.
    ///
    /// # Errors
    /// As [`Context::client`].
    pub(super) fn new(context: &Context, db: i64) -> Result<Prober> {
        let client = context.client()?;
        let (_, _, connect) = client.parts();
        let limit = context.member_timeout();
        let mut options = ConnectOptions { db, ..connect.clone() };
        // The limit over everything is what counts; the parts must not be shorter.
        (options.timeouts.connect, options.timeouts.read) = (limit, limit);
        Ok(Prober { options, limit })
    }

    /// Asks all of these members at once; the answers are in their order.
    pub(super) async fn all(&self, members: &[Member]) -> Vec<Result<Answer>> {
        join_all(members.iter().map(|member| self.bounded(member, ask))).await
    }

    /// Connects to one member and asks it, all within the limit.
    pub(super) async fn bounded<T, F>(&self, member: &Member, ask: impl FnOnce(Direct) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let address = member.addr.as_deref().ok_or_else(|| Error::new(ErrorKind::Membership, "it has no address"))?;
        let address: Address = address
            .parse()
            .map_err(|why| Error::new(ErrorKind::Membership, format!("its address cannot be used: {why}")))?;
        let answered = async { ask(Direct::connect(&address, &self.options).await?).await };
        timeout(self.limit, answered).await.unwrap_or_else(|_| {
            let limit = self.limit.as_millis();
            Err(Error::new(ErrorKind::Unreachable, format!("{address} did not answer within {limit} ms")))
        })
    }
}

async fn ask(direct: Direct) -> Result<Answer> {
    let (ping, dbsize, info) = (redis::cmd("PING"), redis::cmd("DBSIZE"), {
        let mut info = redis::cmd("INFO");
        // Sections by name are for Redis 7; all of them come in one answer anyway.
        info.arg("default");
        info
    });
    let asked = Instant::now();
    direct.ask(&ping).await?;
    let round_trip = asked.elapsed();
    let mut own = redis::cmd("EXISTS");
    own.arg(&OWN_KEYS[..]);
    let (keys, own, info) = tokio::join!(direct.ask(&dbsize), direct.ask(&own), direct.ask(&info));
    let (keys, info) = (keys?, info?);
    let keys: u64 = redis::from_redis_value_ref(&keys).map_err(nonsense)?;
    // A user without the right to ask sees the ring's own keys counted too.
    let own: u64 = own.ok().and_then(|own| redis::from_redis_value_ref(&own).ok()).unwrap_or(0);
    let info: String = redis::from_redis_value_ref(&info).map_err(nonsense)?;
    let field = |name: &str| {
        info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(|value| value.trim().to_owned())
    };
    let number = |name: &str| field(name).and_then(|value| value.parse::<u64>().ok());
    Ok(Answer {
        run_id: direct.run_id().clone(),
        keys: keys.saturating_sub(own),
        memory: number("used_memory").unwrap_or(0),
        memory_limit: number("maxmemory").filter(|limit| *limit > 0),
        round_trip,
        version: field("redis_version").unwrap_or_default(),
    })
}

fn nonsense(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Server, "an answer cannot be understood: is it a Redis server?").with_source(error)
}

/// Why a member's server did not answer, as a clause without the address, which stands beside it.
pub(super) fn trouble(member: &Member, error: &Error) -> String {
    let text = error.to_string();
    let address = member.addr.as_deref().unwrap_or_default();
    let text = match text.strip_prefix(address) {
        Some(rest) if !address.is_empty() => rest.trim_start().to_owned(),
        Some(_) | None => text,
    };
    let refused = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused)
    };
    match std::error::Error::source(error) {
        // The system's words for it would only repeat it.
        Some(cause) if !refused(cause) => format!("{text}: {cause}"),
        Some(_) | None => text,
    }
}
