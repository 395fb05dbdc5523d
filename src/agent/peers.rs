//! Fencing a peer whose agent is gone: at once where its server cannot be reached either, and after a while where it can but
//! the ring waits for what only the agent does.

use std::time::Duration;

use futures_util::future::join_all;

use super::moving::in_use;
use super::record::Author;
use super::server::{Connector, Failure};
use crate::Result;
use crate::membership::fence::{self, Judged, Words};
use crate::membership::records::MemberRecord;
use crate::membership::{Address, Change, Snapshot};
use crate::placement::{Generation, NodeId, State};

/// The reason in the record of a peer that was fenced.
pub(super) const REASON: &str = "its agent is gone, and it does not answer";
/// The reason in the record of a member that nobody fills any more: each phase of the ring, and so all who gain beside it,
/// would wait for its agent.
pub(super) const ABANDONED: &str = "its agent is gone while it was being filled";

/// The members that are up or joining and whose agents hold no node.
pub(super) fn absent<'a>(
    snapshot: &'a Snapshot,
    me: &'a NodeId,
    live: &'a [NodeId],
) -> impl Iterator<Item = NodeId> + 'a {
    let used = in_use(snapshot).map(|(id, _)| id).filter(move |id| *id != me && !live.contains(id));
    let placed = |id: &&NodeId| {
        let rings = [&snapshot.ring.serving, &snapshot.ring.next];
        rings.iter().any(|ring| ring.contains_key(id.as_str()))
    };
    used.filter(placed).cloned()
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

/// The change that fences this life of a peer, judged on one snapshot; `None` where it is over or a guard forbids it.
pub(super) fn fence(
    snapshot: &Snapshot,
    suspect: &NodeId,
    life: &MemberRecord,
    reason: &str,
    author: Author<'_>,
) -> Result<Option<Change>> {
    // Whether it is up or joining decides what may be done to it, so it has to be what was looked at.
    if snapshot.member(suspect).is_none_or(|record| record.state() != life.state()) {
        return Ok(None);
    }
    let words = Words { reason, by: author.by, now_ms: author.now_ms };
    match fence::judge(snapshot, suspect, Some(Generation(life.generation)), words)? {
        Judged::Fence(change) => Ok(Some(*change)),
        Judged::Out => Ok(None),
        Judged::Forbidden(guard) => {
            tracing::warn!(member = %suspect, guard, "a member that cannot be reached is not fenced");
            Ok(None)
        }
    }
}

/// A pause in which a server that was only slow answers.
const BETWEEN: Duration = Duration::from_millis(200);
const PING: Duration = Duration::from_millis(300);
/// Enough others to tell a cut network from a dead machine; asking all would load a large ring.
const SAMPLE: usize = 8;
