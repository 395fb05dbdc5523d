//! Works off the keys whose copies may differ, with this agent's server as their primary.
//!
//! Clients put them there. They are compared and healed through the ring, as a client would, and leave the list only then: so
//! none is lost with an agent that dies.

use std::convert::Infallible;
use std::time::Duration;

use redis::cmd;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::gate::{AGENTS, Door, Life};
use super::options::AgentOptions;
use super::server::{Connector, Failure, Server};
use crate::client::{RingClient, RingClientBuilder};
use crate::command::OWN_SUSPECTS;
use crate::exec::Compared;

/// One agent's look at its suspects.
pub(super) struct Suspects {
    options: AgentOptions,
    connector: Connector,
    doors: watch::Receiver<Door>,
    server: Option<(Server, i64)>,
    /// There only while there are suspects: a client has connections to every member, and a session of its own.
    client: Option<RingClient>,
    busy: Instant,
    /// How many are compared at a time.
    together: usize,
}

/// What is on its way to the copies when a key is suspected has arrived by then.
const EVERY: Duration = Duration::from_millis(500);
/// So many at a time; the list itself is bounded by those who write it.
const TOGETHER: usize = 64;
/// One comparison of so many keys that do not hold still takes some write timeouts.
const LIMIT: Duration = Duration::from_secs(60);
/// How long the client is kept when there is nothing to do.
const IDLE: Duration = Duration::from_secs(30);
/// After a failure.
const AGAIN: Duration = Duration::from_secs(5);

/// Takes keys off the list, and puts those that follow the first ones to its end. Other writers of the list have more to
/// say than this one if they have cut it meanwhile.
const SETTLE: &str = "#!lua flags=allow-oom
for i, key in ipairs(ARGV) do
  if i > 1 and redis.call('LREM', KEYS[1], 1, key) == 1 and i > tonumber(ARGV[1]) + 1 then
    redis.call('RPUSH', KEYS[1], key)
  end
end";

impl Suspects {
    pub(super) fn new(options: AgentOptions, connector: Connector, doors: watch::Receiver<Door>) -> Suspects {
        Suspects { options, connector, doors, server: None, client: None, busy: Instant::now(), together: TOGETHER }
    }

    /// Works for as long as it is polled.
    pub(super) async fn run(&mut self) -> Infallible {
        loop {
            let door = self.doors.borrow_and_update().clone();
            let Door::Open(Life { db, .. }) = door else {
                (self.server, self.client) = (None, None);
                if self.doors.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
                continue;
            };
            let pause = match self.round(db).await {
                Ok(()) => EVERY,
                Err(why) => {
                    tracing::debug!(member = %self.options.id, why, "suspects cannot be compared now");
                    self.server = None;
                    AGAIN
                }
            };
            if self.busy.elapsed() > IDLE {
                self.client = None;
            }
            sleep(pause.mul_f64(0.75 + fastrand::f64() / 2.0)).await;
        }
    }

    async fn round(&mut self, db: i64) -> Result<(), String> {
        let within = self.options.health.connect;
        let said = |failure: Failure| failure.to_string();
        let kept = self.server.take().filter(|(_, chosen)| *chosen == db);
        let mut server = match kept {
            Some((server, _)) => server,
            None => {
                let name = format!("{AGENTS}suspects:{}", self.options.id);
                self.connector.connect_to(&self.options.redis, &name, db, None).await.map_err(said)?
            }
        };
        let mut first = cmd("LRANGE");
        first.arg(OWN_SUSPECTS).arg(0).arg(self.together - 1);
        let keys: Vec<Vec<u8>> = server.ask(&first, within).await.map_err(said)?;
        if keys.is_empty() {
            self.server = Some((server, db));
            return Ok(());
        }
        self.busy = Instant::now();
        let client = match &self.client {
            Some(client) => client.clone(),
            None => {
                let opened = builder(&self.options).open().await;
                self.client.insert(opened.map_err(|error| error.to_string())?).clone()
            }
        };
        let compared = timeout(LIMIT, client.compare(keys.clone())).await;
        self.together = next_batch(self.together, compared.is_ok());
        let compared = compared.unwrap_or_else(|_| {
            tracing::warn!(member = %self.options.id, suspects = keys.len(), "comparing suspects takes too long: others are compared first");
            vec![Compared::Later; keys.len()]
        });
        let (mut over, mut again) = (Vec::new(), Vec::new());
        let mut healed = 0;
        for (key, compared) in keys.into_iter().zip(compared) {
            healed += usize::from(compared == Compared::Healed);
            match compared {
                Compared::Equal | Compared::Healed | Compared::Left => over.push(key),
                Compared::Restless | Compared::Later => again.push(key),
            }
        }
        let mut settle = cmd("EVAL");
        settle.arg(SETTLE).arg(1).arg(OWN_SUSPECTS).arg(over.len()).arg(&over).arg(&again);
        server.ask::<()>(&settle, within).await.map_err(said)?;
        tracing::debug!(member = %self.options.id, over = over.len(), healed, again = again.len(), "suspects were compared");
        self.server = Some((server, db));
        Ok(())
    }
}

/// How many are compared next: fewer where one of them may have kept the others waiting, so that in the end it waits alone.
fn next_batch(together: usize, in_time: bool) -> usize {
    if in_time { (together * 4).min(TOGETHER) } else { (together / 4).max(1) }
}

/// A client with what the agent was given to reach ZooKeeper and the servers.
fn builder(options: &AgentOptions) -> RingClientBuilder {
    let name = format!("agent-{}", options.id).replace(':', "_").chars().take(64).collect::<String>();
    let mut builder = RingClientBuilder::with(options.ring.clone(), options.membership.clone()).name(name);
    builder = match (&options.credentials.username, &options.credentials.password) {
        (Some(user), password) => builder.user(user, password.as_deref().unwrap_or_default()),
        (None, Some(password)) => builder.password(password),
        (None, None) => builder,
    };
    #[cfg(feature = "tls")]
    if let Some(files) = &options.tls {
        builder = builder.tls(files.clone());
    }
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspect_that_takes_too_long_is_looked_at_alone_in_the_end() {
        let mut together = TOGETHER;
        let sizes = [false, false, false, false, true, true, true, true].map(|in_time| {
            together = next_batch(together, in_time);
            together
        });
        assert_eq!(sizes, [16, 4, 1, 1, 4, 16, 64, 64]);
    }
}
