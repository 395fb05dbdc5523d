//! The barrier: from now on no client uses a server by a ring of an older step.
//!
//! First the gate of every server that is used gets the step, so that no older client gets through any more. Then those that
//! are through already are waited for: each connection of a client bears its step in its name. Who does not follow in time
//! is cut off. No clock and no lease is needed, and clients that have lost ZooKeeper are counted too.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use super::super::gate::{AGENTS, Beside, Life, raise};
use super::super::info::Client;
use super::super::server::{Connector, Failure, Server};
use super::plan::{Held, in_use};
use crate::Result;
use crate::membership::records::MemberRecord;
use crate::membership::{Address, Snapshot};
use crate::placement::NodeId;

/// Brings the barrier about, step after step. Everybody may do so at the same time.
pub(super) struct Barrier {
    connector: Connector,
    /// The name of its connections.
    name: String,
    within: Duration,
    held: Held,
    since: Instant,
    /// Where it does not hold yet, and why.
    waits: BTreeMap<NodeId, String>,
    servers: BTreeMap<NodeId, Peer>,
}

/// A connection to one member's server.
struct Peer {
    server: Server,
    addr: String,
    db: i64,
    /// When clients were cut off here.
    killed: Option<Instant>,
}

/// How long a client may take to follow. Its own attempts outlive no second.
const PATIENCE: Duration = Duration::from_secs(2);
/// After this long people are told whom a barrier waits for: clients that do not follow have been cut off by then.
const OVERDUE: Duration = Duration::from_secs(3);

impl Barrier {
    pub(super) fn new(connector: Connector, me: &NodeId, within: Duration) -> Barrier {
        let (held, servers) = (Held::default(), BTreeMap::new());
        let (name, waits) = (format!("{AGENTS}barrier:{me}"), BTreeMap::new());
        Barrier { connector, name, within, held, since: Instant::now(), waits, servers }
    }

    /// For people: whom it has waited for longer than clients may take.
    pub(super) fn trouble(&self) -> Option<String> {
        let (id, why) = self.waits.iter().next().filter(|_| self.since.elapsed() > OVERDUE)?;
        let others = match self.waits.len() - 1 {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        Some(format!("waits for {id}: {why}{others}"))
    }

    /// Where it holds.
    pub(super) fn held(&self) -> &Held {
        &self.held
    }

    /// Does once what has to be done at the servers where it does not hold yet. Returns whether it holds everywhere now.
    /// Each server has a limited time for it.
    ///
    /// # Errors
    /// `Membership` where the ring's records cannot be written for the servers.
    pub(super) async fn advance(&mut self, snapshot: &Snapshot) -> Result<bool> {
        let step = snapshot.ring.step;
        if self.held.step != step {
            (self.held, self.since) = (Held { step, ..Held::default() }, Instant::now());
            self.waits.clear();
        }
        if self.held.everywhere(snapshot) {
            self.waits.clear();
            return Ok(true);
        }
        let ring = Beside::of(snapshot)?;
        let ring = &ring;
        let overdue = self.since.elapsed() > PATIENCE;
        let lease = Duration::from_millis(snapshot.config.fence_wait_ms);
        let (connector, name, within) = (&self.connector, &self.name, self.within);
        let missing: Vec<_> = in_use(snapshot)
            .filter(|(id, record)| !self.held.at.contains(&((*id).clone(), record.generation)))
            .map(|(id, record)| (id.clone(), record, self.servers.remove(id)))
            .collect();
        let rounds = missing.into_iter().map(|(id, record, peer)| async move {
            let met = meet(connector, name, record, snapshot.config.db, peer).await;
            let looked = match met {
                Ok(mut peer) => {
                    let looked = look(&mut peer.server, record, snapshot, ring, overdue, within).await;
                    looked.map(|behind| (peer, behind))
                }
                Err(failure) => Err(failure),
            };
            (id, record.generation, looked)
        });
        let rounds = join_all(rounds).await;
        self.waits.clear();
        for (id, generation, looked) in rounds {
            match looked {
                Ok((mut peer, behind)) => {
                    // What a client keeps of a server's replies it may give for a moment after it was cut off.
                    let over = peer.killed.is_none_or(|killed| killed.elapsed() >= lease);
                    match behind {
                        Some(0) if over => {
                            self.held.at.insert((id.clone(), generation));
                        }
                        Some(behind) => {
                            if behind > 0 && overdue {
                                peer.killed = Some(Instant::now());
                                tracing::warn!(member = %id, step, behind, "clients do not follow the ring: they are cut off");
                            }
                            self.waits.insert(id.clone(), format!("{behind} connections of clients do not follow"));
                        }
                        None => {
                            self.waits.insert(id.clone(), "its gate is not open".to_owned());
                        }
                    }
                    self.servers.insert(id, peer);
                }
                Err(failure) => {
                    tracing::debug!(member = %id, step, %failure, "the barrier does not hold here yet");
                    self.waits.insert(id, failure.to_string());
                }
            }
        }
        Ok(self.held.everywhere(snapshot))
    }
}

/// A connection to a member's server, the one that is there if it is of use.
async fn meet(
    connector: &Connector,
    name: &str,
    record: &MemberRecord,
    db: i64,
    peer: Option<Peer>,
) -> std::result::Result<Peer, Failure> {
    if let Some(peer) = peer.filter(|peer| peer.addr == record.addr && peer.db == db) {
        return Ok(peer);
    }
    let unusable = |_| Failure::Lost("its address cannot be used".to_owned());
    let address: Address = record.addr.parse().map_err(unusable)?;
    let server = connector.connect_to(&address, name, db, None).await?;
    Ok(Peer { server, addr: record.addr.clone(), db, killed: None })
}

/// Sets the gate's step and counts the clients that are behind it, and ends them if they are overdue. `None` where the gate
/// is not open: its agent has not opened it yet, or somebody took it away.
async fn look(
    server: &mut Server,
    record: &MemberRecord,
    snapshot: &Snapshot,
    ring: &Beside,
    overdue: bool,
    within: Duration,
) -> std::result::Result<Option<usize>, Failure> {
    let life = Life { run_id: record.run_id.clone(), generation: record.generation, db: snapshot.config.db };
    if !raise(server, &life, ring, within).await? {
        return Ok(None);
    }
    let clients = server.clients_of("normal", within).await?;
    let behind: Vec<u64> = behind(&clients, ring.step).collect();
    if overdue {
        server.kill(&behind, within).await?;
    }
    Ok(Some(behind.len()))
}

/// The connections of clients that use the server by a ring of an older step.
fn behind(clients: &[Client], step: u64) -> impl Iterator<Item = u64> + '_ {
    clients.iter().filter(move |client| named_step(&client.name).is_some_and(|named| named < step)).map(|c| c.id)
}

/// The step in the name of a client's connection, `rr:<step>:<client>`. Others do not read and write the ring's data.
fn named_step(name: &str) -> Option<u64> {
    name.strip_prefix("rr:")?.split_once(':')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clients_with_an_older_step_in_their_name_are_behind() {
        let names = [
            "rr:4:orders",
            "rr:5:orders",
            "rr:6:x",
            "rr:4",
            "rr:x:y",
            "rr-agent:fill:a",
            "rr-sub:a",
            "",
            "other",
            "rr:3:",
        ];
        let clients: Vec<Client> =
            names.iter().zip(0..).map(|(name, id)| Client { id, name: (*name).to_owned() }).collect();
        assert_eq!(behind(&clients, 5).collect::<Vec<_>>(), [0, 9]);
    }
}
