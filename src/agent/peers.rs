//! Fencing a peer whose agent is gone and that cannot be reached.

use std::time::Duration;

use futures_util::future::join_all;

use super::record::Author;
use super::server::{Connector, Failure};
use crate::Result;
use crate::membership::records::MemberRecord;
use crate::membership::{Address, Change, Snapshot};
use crate::placement::{NodeId, State, Topology};

/// The reason in the record of a peer that was fenced.
pub(super) const REASON: &str = "its agent is gone, and it does not answer";

/// The members that are up and whose agents hold no node.
pub(super) fn absent<'a>(
    snapshot: &'a Snapshot,
    me: &'a NodeId,
    live: &'a [NodeId],
) -> impl Iterator<Item = NodeId> + 'a {
    let serving = snapshot.ring.serving.keys().filter_map(|name| NodeId::new(name).ok());
    serving.filter(move |id| id != me && !live.contains(id)).filter(|id| is_up(snapshot, id))
}

fn is_up(snapshot: &Snapshot, id: &NodeId) -> bool {
    snapshot.member(id).is_some_and(|record| record.state() == State::Up)
}

/// Whether a member gives any sign of life within the time of two connection attempts.
pub(super) async fn answers(connector: &Connector, record: &MemberRecord, name: &str) -> bool {
    // An address that cannot be used says nothing about the server.
    let Ok(address) = record.addr.parse::<Address>() else { return true };
    for attempt in 0..2 {
        if attempt > 0 {
            tokio::time::sleep(BETWEEN).await;
        }
        let failure = match connector.connect(&address, name).await {
            Ok(mut server) => server.ping(PING).await.err(),
            Err(failure) => Some(failure),
        };
        match failure {
            // A server that answers with an error, or that loads its data, lives.
            None | Some(Failure::Loading | Failure::Answered(_)) => return true,
            Some(Failure::Refused | Failure::Silent | Failure::Lost(_)) => {}
        }
    }
    false
}

/// Whether most of the other members that are up cannot be reached either: then it is this machine that is cut off.
pub(super) async fn is_cut_off(
    connector: &Connector,
    snapshot: &Snapshot,
    me: &NodeId,
    suspect: &NodeId,
    name: &str,
) -> bool {
    let mut others: Vec<&MemberRecord> = snapshot
        .members
        .iter()
        .filter(|(id, _)| *id != me && *id != suspect && is_up(snapshot, id))
        .filter_map(|(_, entry)| entry.record.as_ref().ok())
        .collect();
    fastrand::shuffle(&mut others);
    others.truncate(SAMPLE);
    let reached = join_all(others.iter().map(|record| answers(connector, record, name))).await;
    let lost = reached.iter().filter(|reached| !**reached).count();
    lost * 2 > reached.len()
}

/// The change that fences a peer, judged on one snapshot; `None` where it is not up any more or a guard forbids it.
pub(super) fn fence(snapshot: &Snapshot, suspect: &NodeId, author: Author<'_>) -> Result<Option<Change>> {
    let Some(record) = snapshot.member(suspect).filter(|record| record.state() == State::Up) else { return Ok(None) };
    if let Err(guard) = may_fence(&snapshot.topology()?, suspect) {
        tracing::warn!(member = %suspect, guard, "a member that cannot be reached is not fenced");
        return Ok(None);
    }
    let mut change = Change::of(snapshot);
    let fenced = MemberRecord {
        state: State::Down.as_str().to_owned(),
        // Refused from here may be answered elsewhere: only its own agent knows that it is closed.
        closed: false,
        reason: Some(REASON.to_owned()),
        by: Some(author.by.to_owned()),
        since: Some(author.now_ms),
        ..record.clone()
    };
    change.put(suspect, fenced);
    Ok(Some(change))
}

/// The guards that one snapshot can judge. They bind clients and peers, never a member's own agent.
fn may_fence(topology: &Topology, suspect: &NodeId) -> Result<(), &'static str> {
    let serving = topology.serving();
    let up = |index| topology.member(index).state == State::Up;
    let not_up = serving.members().filter(|(index, id, _)| *id == suspect || !up(*index)).count();
    if not_up > (serving.members().len() / 3).max(1) {
        return Err("too many members are down already");
    }
    let last = serving.ranges().iter().any(|range| {
        let mut owners = range.owners.iter().copied().filter(|owner| up(*owner));
        owners.next().is_some_and(|owner| topology.member(owner).id == *suspect) && owners.next().is_none()
    });
    if last { Err("it is the last owner of a range that is up") } else { Ok(()) }
}

/// A pause in which a server that was only slow answers.
const BETWEEN: Duration = Duration::from_millis(200);
const PING: Duration = Duration::from_millis(300);
/// Enough others to tell a cut network from a dead machine; asking all would load a large ring.
const SAMPLE: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::{Config, Epoch, Member, Parts, Phase, Placed, Step};
    use std::collections::BTreeMap;

    fn id(n: usize) -> NodeId {
        NodeId::new(&format!("redis-{n}")).unwrap()
    }

    fn topology(members: usize, down: &[usize], copies: u32) -> Topology {
        let state = |n: &usize| if down.contains(n) { State::Down } else { State::Up };
        Topology::new(Parts {
            config: Config { copies, ..Config::default() },
            epoch: Epoch(1),
            step: Step(1),
            phase: Phase::Still,
            serving: (0..members).map(|n| (id(n), Placed::default())).collect(),
            next: BTreeMap::new(),
            old: BTreeMap::new(),
            copies_next: None,
            copies_old: None,
            members: (0..members).map(|n| (id(n), Member { state: state(&n), ..Member::faulty(id(n), "") })).collect(),
        })
        .unwrap()
    }

    #[test]
    fn at_most_a_third_is_fenced() {
        assert!(may_fence(&topology(4, &[], 2), &id(0)).is_ok());
        // With three copies the second is nobody's last owner, so it is the number that forbids it.
        assert_eq!(may_fence(&topology(4, &[1], 3), &id(0)), Err("too many members are down already"));
        assert!(may_fence(&topology(6, &[1], 3), &id(0)).is_ok());
        assert!(may_fence(&topology(2, &[], 2), &id(0)).is_ok());
    }

    #[test]
    fn the_last_owner_of_a_range_is_never_fenced() {
        assert!(may_fence(&topology(1, &[], 2), &id(0)).is_err());
        // With 1,024 points each of nine members has ranges with each other one.
        assert_eq!(may_fence(&topology(9, &[1], 2), &id(0)), Err("it is the last owner of a range that is up"));
        assert!(may_fence(&topology(9, &[], 1), &id(0)).is_err());
        assert!(may_fence(&topology(9, &[1], 3), &id(0)).is_ok());
    }
}
