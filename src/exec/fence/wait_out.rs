//! How long those who do not know of a fence yet may read whoever is fenced.

use std::pin::pin;

use futures_util::future::{Either, select};
use tokio::time::{Instant, sleep_until};

use super::super::{Core, Snapshot};
use super::Missed;
use crate::placement::{Member, MemberIndex, NodeId, Phase, State, Token, Topology};

/// Since when this process knows that a member is not read, as long as others may not know it.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::exec) struct Lapse(Option<Instant>);

impl Lapse {
    /// Of a member in a new topology. It began when it was first seen, whatever else has become of the member since.
    pub(in crate::exec) fn of(member: &Member, before: Option<Lapse>) -> Lapse {
        match member.state {
            State::Up => Lapse(None),
            State::Down | State::Joining => Lapse(before.and_then(|before| before.0).or_else(|| Some(Instant::now()))),
        }
    }

    /// Until when whoever lags may read the member.
    fn end(self, member: &Member, topology: &Topology) -> Option<Instant> {
        self.0.filter(|_| !member.closed).map(|since| since + topology.config().fence_wait)
    }
}

/// The last moment in which somebody who lags may read a member that is not read any more.
pub(in crate::exec) fn last_end<'s>(
    topology: &Topology,
    lapses: impl Iterator<Item = (&'s Member, Lapse)>,
) -> Option<Instant> {
    lapses.filter_map(|(member, lapse)| lapse.end(member, topology)).max()
}

/// Waits until nobody can read an owner of these keys that was skipped, or was taken out because it missed the write.
///
/// # Cancel safety
/// It only waits.
pub(in crate::exec) async fn wait_out(core: &Core, snapshot: &Snapshot, missed: &Missed) {
    if core.fences.is_none() {
        return;
    }
    let mut owners: Vec<MemberIndex> =
        missed.tokens.iter().flat_map(|token| read_by_some(&snapshot.topology, *token)).collect();
    let has_missed = |owner: &MemberIndex| missed.misses.iter().any(|miss| miss.owner == *owner);
    owners.retain(|owner| snapshot.topology.member(*owner).state != State::Up || has_missed(owner));
    owners.sort_unstable_by_key(|owner| owner.0);
    owners.dedup();
    if owners.is_empty() {
        return;
    }
    let skipped: Vec<&NodeId> = owners.iter().map(|owner| &snapshot.topology.member(*owner).id).collect();
    loop {
        // A waiter registered before looking misses no change.
        let mut changed = pin!(core.changed.notified());
        changed.as_mut().enable();
        let newest = core.snapshot.load();
        let end = skipped.iter().filter_map(|id| {
            let (index, member) = newest.topology.find(id)?;
            newest.seat(index).lapse.end(member, &newest.topology)
        });
        let end = end.max().filter(|end| *end > Instant::now());
        drop(newest);
        let Some(end) = end else { return };
        if let Either::Left(_) = select(pin!(sleep_until(end)), changed).await {
            return;
        }
    }
}

/// The owners that clients read, those of the step before included.
fn read_by_some(topology: &Topology, token: Token) -> impl Iterator<Item = MemberIndex> {
    let old = match (topology.phase(), topology.old()) {
        (Phase::Retiring, Some(old)) => old.owners(token),
        (Phase::Founding { .. } | Phase::Still | Phase::Filling | Phase::Syncing | Phase::Retiring, _) => &[],
    };
    topology.serving().owners(token).iter().chain(old).copied()
}
