//! What has to be done next to bring a move of the ring forward, decided from the records alone.
//!
//! It does not matter who asks, or what they have done so far: whoever leads goes on where the records stand.

use std::collections::{BTreeMap, BTreeSet};

use super::super::record::Author;
use crate::Result;
use crate::membership::records::{MemberRecord, SyncRecord};
use crate::membership::{Change, Snapshot};
use crate::placement::{MemberIndex, NodeId, Phase, State, Topology};

/// What has to be done next.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Next {
    /// Nothing: the ring is still, and nobody waits.
    Nothing,
    /// The barrier of this step has to hold first.
    Barrier,
    /// The agents of members that gain have to come further.
    Wait,
    /// This, which begins the next phase.
    Change(Box<Change>, &'static str),
}

/// What whoever leads knows beside the records. All of it counts only for the step that it is about.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// What the agents of the members that gain have reported.
    pub(super) reports: BTreeMap<NodeId, SyncRecord>,
    /// Where the barrier holds.
    pub(super) held: Held,
    /// The step of `syncing` in which nobody has come further for too long.
    pub(super) overdue: Option<u64>,
}

/// Where the barrier of a step holds: at these lives of these members. It never ceases to hold there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) step: u64,
    pub(super) at: BTreeSet<(NodeId, u64)>,
}

impl Held {
    /// Whether it holds at all servers that are used.
    pub(super) fn everywhere(&self, snapshot: &Snapshot) -> bool {
        self.step == snapshot.ring.step
            && in_use(snapshot).all(|(id, record)| self.at.contains(&(id.clone(), record.generation)))
    }
}

/// The members whose servers clients may write to.
pub(in super::super) fn in_use(snapshot: &Snapshot) -> impl Iterator<Item = (&NodeId, &MemberRecord)> {
    snapshot
        .members
        .iter()
        .filter_map(|(id, entry)| Some((id, entry.record.as_ref().ok()?)))
        .filter(|(_, record)| matches!(record.state(), State::Up | State::Joining))
}

/// The members of the serving ring that are up, and the lives of their data: what decides which source a key is copied
/// from.
pub(super) fn up(snapshot: &Snapshot) -> BTreeMap<String, u64> {
    in_use(snapshot)
        .filter(|(id, record)| record.state() == State::Up && snapshot.ring.serving.contains_key(id.as_str()))
        .map(|(id, record)| (id.as_str().to_owned(), record.generation))
        .collect()
}

/// Decides. `topology` is that of the snapshot.
///
/// # Errors
/// `Membership` where the phase is not known.
pub(super) fn next(snapshot: &Snapshot, topology: &Topology, seen: &Seen, author: Author<'_>) -> Result<Next> {
    let gainers: Vec<MemberIndex> = topology.gaining().into_iter().collect();
    let report = |gainer: &MemberIndex| report(snapshot, topology, seen, *gainer);
    let barrier = seen.held.everywhere(snapshot);
    Ok(match snapshot.phase()? {
        Phase::Founding { .. } => Next::Nothing,
        Phase::Still => {
            let returns = snapshot.ring.serving.keys().filter_map(|name| NodeId::new(name).ok());
            let mut returns = returns.filter(|id| state(snapshot, id) == State::Joining);
            match returns.next() {
                Some(_) => begin(snapshot, Phase::Filling, "members return", |change| {
                    change.ring().next = snapshot.ring.serving.clone();
                }),
                None => Next::Nothing,
            }
        }
        Phase::Filling if gainers.is_empty() => begin(snapshot, Phase::Still, "nobody gains keys any more", |change| {
            change.ring().next = BTreeMap::new();
        }),
        Phase::Filling if !barrier => Next::Barrier,
        Phase::Filling => match gainers.iter().all(|gainer| report(gainer).is_some_and(|report| report.caught_up)) {
            true => begin(snapshot, Phase::Syncing, "all who gain have caught up", |change| {
                change.ring().gaining = gaining(snapshot, topology, &gainers);
            }),
            false => Next::Wait,
        },
        Phase::Syncing => {
            let again = |why| begin(snapshot, Phase::Filling, why, |_| ());
            let reports: Vec<Option<&SyncRecord>> = gainers.iter().map(report).collect();
            if gainers.is_empty() {
                again("nobody gains keys any more")
            } else if !snapshot.ring.gaining.is_empty()
                && snapshot.ring.gaining != gaining(snapshot, topology, &gainers)
            {
                // Writers may wait for the end of this step to learn by whom they are to be answered, and believe a flip.
                again("one who gained was fenced")
            } else if reports.iter().flatten().any(|report| report.void) {
                again("a cut was void")
            } else if seen.overdue == Some(snapshot.ring.step) {
                again("the cuts took too long")
            } else if !barrier {
                Next::Barrier
            } else if gainers.iter().zip(&reports).all(|(gainer, report)| is_cut(topology, *gainer, *report)) {
                flip(snapshot, topology, &gainers, author)
            } else {
                Next::Wait
            }
        }
        Phase::Retiring if !barrier => Next::Barrier,
        Phase::Retiring => begin(snapshot, Phase::Still, "the old ring is written no more", |change| {
            change.ring().old = BTreeMap::new();
            change.ring().copies_old = None;
        }),
    })
}

/// The members that gain, and the lives of their data.
fn gaining(snapshot: &Snapshot, topology: &Topology, gainers: &[MemberIndex]) -> BTreeMap<String, u64> {
    let life = |gainer: &MemberIndex| {
        let id = &topology.member(*gainer).id;
        Some((id.as_str().to_owned(), snapshot.member(id)?.generation))
    };
    gainers.iter().filter_map(life).collect()
}

/// What the agent of a member that gains has reported, if it is of this step, of this life of its data, for these rings,
/// and with the sources of now.
fn report<'a>(snapshot: &Snapshot, topology: &Topology, seen: &'a Seen, gainer: MemberIndex) -> Option<&'a SyncRecord> {
    let id = &topology.member(gainer).id;
    let report = seen.reports.get(id)?;
    let record = snapshot.member(id)?;
    let of_now = report.step == snapshot.ring.step && report.generation == record.generation;
    let same_rings = report.fingerprint == topology.fingerprint().to_string();
    (of_now && same_rings && (report.void || report.up == up(snapshot))).then_some(report)
}

/// Whether a member is cut at every one of its sources.
fn is_cut(topology: &Topology, gainer: MemberIndex, report: Option<&SyncRecord>) -> bool {
    let Some(report) = report else { return false };
    let sources = topology.sources(gainer);
    sources.orphaned == 0
        && sources.members.iter().all(|source| {
            let id = topology.member(*source).id.as_str();
            report.cuts.iter().any(|cut| cut == id)
        })
}

/// The flip: the next ring serves, whole and at once.
fn flip(snapshot: &Snapshot, topology: &Topology, gainers: &[MemberIndex], author: Author<'_>) -> Next {
    let step = snapshot.ring.step;
    begin(snapshot, Phase::Retiring, "all who gain are cut at all their sources", |change| {
        let ring = change.ring();
        ring.old = std::mem::take(&mut ring.serving);
        ring.serving = std::mem::take(&mut ring.next);
        (ring.copies_old, ring.copies_next) = (None, None);
        for id in gainers.iter().map(|gainer| &topology.member(*gainer).id) {
            let joining = snapshot.member(id).filter(|record| record.state() == State::Joining);
            if let Some(record) = joining {
                let up = MemberRecord {
                    state: State::Up.as_str().to_owned(),
                    reason: Some(format!("filled from the other copies in step {step}")),
                    by: Some(author.by.to_owned()),
                    since: Some(author.now_ms),
                    ..record.clone()
                };
                change.put(id, up);
            }
        }
    })
}

/// A change that begins a phase, and so a step.
fn begin(snapshot: &Snapshot, phase: Phase, why: &'static str, with: impl FnOnce(&mut Change)) -> Next {
    let mut change = Change::of(snapshot);
    let ring = change.ring();
    ring.phase = phase.as_str().to_owned();
    ring.step = ring.step.saturating_add(1);
    ring.gaining = BTreeMap::new();
    with(&mut change);
    Next::Change(Box::new(change), why)
}

fn state(snapshot: &Snapshot, id: &NodeId) -> State {
    snapshot.member(id).map_or(State::Down, MemberRecord::state)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
