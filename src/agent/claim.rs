//! Holding the member's ephemeral node, and telling a dead predecessor from a live duplicate.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::health::Sighting;
use super::server::{Connector, Server};
use crate::membership::records::{LiveRecord, MemberRecord};
use crate::membership::{Address, Live, Store};
use crate::placement::NodeId;
use crate::{Error, ErrorKind, Result};

/// What this process knows of the node that it holds or wants to hold.
pub(super) struct Claim {
    pub(super) id: NodeId,
    /// Where this agent reaches its server.
    server: Address,
    /// Where others reach it.
    announced: Address,
    /// The name of an agent's connection at its server.
    pub(super) name: String,
    /// The name of a connection that only looks.
    pub(super) look: String,
    /// What was written last, newest last: a node with one of these is this process's own, of a session that ended.
    wrote: Vec<LiveRecord>,
    /// Since when nobody can tell whether the holder lives.
    undecided: Option<Instant>,
}

/// Whether the agent that holds a node lives.
enum Holder {
    Dead,
    Alive,
    /// Its server cannot be asked.
    CannotTell,
}

/// Sessions that may still have a node of this process.
const REMEMBERED: usize = 8;
/// Longer than ZooKeeper's longest usual session (20 ticks of 2 s): a dead holder's node is gone by then.
const UNDECIDED: Duration = Duration::from_secs(60);
/// How often to look before a connection counts as alive: a server may need a moment to see that one was closed.
const LOOKS: usize = 3;
const BETWEEN: Duration = Duration::from_millis(100);
const ANSWER: Duration = Duration::from_millis(500);

impl Claim {
    pub(super) fn new(id: NodeId, server: Address, announced: Address) -> Claim {
        // A question mark cannot be part of an id.
        let (name, look) = (format!("rr-agent:{id}"), format!("rr-agent:?{id}"));
        Claim { id, server, announced, name, look, wrote: Vec::new(), undecided: None }
    }

    /// Whether this process has held the node.
    pub(super) fn held(&self) -> bool {
        !self.wrote.is_empty()
    }

    /// Makes sure that this process's session holds the node and that it says what is so. `Ok(false)`: not yet, look
    /// again soon.
    ///
    /// # Errors
    /// `Refused`: the node belongs to another agent that lives. All others may go away by themselves.
    pub(super) async fn hold(
        &mut self,
        store: &Store,
        member: Option<&MemberRecord>,
        want: &LiveRecord,
        own: &Sighting,
        connector: &Connector,
    ) -> Result<bool> {
        let Some(seen) = store.live_of(&self.id).await? else {
            self.remember(want);
            store.hold(&self.id, want).await?;
            tracing::info!(member = %self.id, "the member's node is held");
            self.undecided = None;
            return Ok(true);
        };
        if seen.ours {
            if !seen.record.as_ref().is_ok_and(|record| record == want) {
                self.remember(want);
                store.rewrite(&self.id, &seen, want).await?;
            }
            return Ok(true);
        }
        let holder = match &seen.record {
            // This process's own, of a session that ZooKeeper has not given up yet.
            Ok(record) if self.wrote.contains(record) => Holder::Dead,
            Ok(record) => self.judge(record, member, own, connector).await,
            Err(_) => Holder::CannotTell,
        };
        match holder {
            Holder::Dead => {
                self.remember(want);
                store.take_over(&self.id, &seen, want).await?;
                tracing::info!(member = %self.id, from = agent(&seen), "the node of an agent that is gone is taken over");
                self.undecided = None;
                Ok(true)
            }
            Holder::Alive => Err(Error::new(
                ErrorKind::Refused,
                format!("another agent serves {}, and it lives: {}", self.id, agent(&seen)),
            )
            .with_hint("stop that agent first, or give this member an id of its own")),
            Holder::CannotTell => {
                let since = *self.undecided.get_or_insert_with(Instant::now);
                if since.elapsed() > UNDECIDED {
                    let message = format!("another agent holds {}: {}", self.id, agent(&seen));
                    return Err(Error::new(ErrorKind::Refused, message)
                        .with_hint("its server cannot be asked whether that agent lives: stop it first"));
                }
                tracing::info!(
                    member = %self.id, holder = agent(&seen),
                    "another agent holds the member's node, and its server cannot be asked whether it lives"
                );
                Ok(false)
            }
        }
    }

    /// Gives the node back while the server does not answer. Another agent's node is left alone.
    pub(super) async fn release(&self, store: &Store) -> Result<()> {
        match store.live_of(&self.id).await? {
            Some(seen) if seen.ours || seen.record.as_ref().is_ok_and(|record| self.wrote.contains(record)) => {
                store.release(&self.id, &seen).await?;
                tracing::info!(member = %self.id, "the member's node is given back: its server does not answer");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// An agent lives as long as its connection to its server. Host and pid tell nothing: in containers both come
    /// again.
    async fn judge(
        &self,
        record: &LiveRecord,
        member: Option<&MemberRecord>,
        own: &Sighting,
        connector: &Connector,
    ) -> Holder {
        // The holder's server is this one, unless the member's record names another.
        let elsewhere = member.and_then(|member| member.addr.parse::<Address>().ok());
        let elsewhere = elsewhere.filter(|addr| *addr != self.announced && record.run_id != own.run_id);
        let (address, own) = match &elsewhere {
            Some(address) => (address, None),
            None => (&self.server, Some(own)),
        };
        match connector.connect(address, &self.look).await {
            Ok(mut server) => self.connected(&mut server, record, own).await,
            Err(_) => Holder::CannotTell,
        }
    }

    /// Whether the holder of `record` is connected to this server.
    async fn connected(&self, server: &mut Server, record: &LiveRecord, own: Option<&Sighting>) -> Holder {
        let Ok(info) = server.info(ANSWER).await else { return Holder::CannotTell };
        let same_life = info.run_id == record.run_id;
        for look in 0..LOOKS {
            if look > 0 {
                sleep(BETWEEN).await;
            }
            let Ok(clients) = server.clients(ANSWER).await else { return Holder::CannotTell };
            // Numbers of connections begin anew with each life of a server. Then it goes by the name, which the
            // holder's next connection has as well; that is also this agent's own.
            let alive = clients.iter().any(|client| {
                client.name == self.name
                    && own.is_none_or(|own| own.client_id != client.id)
                    && (!same_life || client.id == record.client_id)
            });
            if !alive {
                return Holder::Dead;
            }
        }
        Holder::Alive
    }

    fn remember(&mut self, record: &LiveRecord) {
        self.wrote.push(record.clone());
        if self.wrote.len() > REMEMBERED {
            self.wrote.remove(0);
        }
    }
}

fn agent(live: &Live) -> &str {
    match &live.record {
        Ok(record) => &record.agent,
        Err(_) => "an agent whose node cannot be read",
    }
}
