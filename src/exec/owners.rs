//! The owners of a key that a write goes to.

use futures_util::future::join_all;
use redis::Cmd;

use super::round::Reply;
use crate::node::Link;
use crate::placement::{MAX_COPIES, MemberIndex};
use crate::sabotage::{self, Sabotage};

/// The most that a write can have: those that serve and, while a ring is retired, those of the ring before.
const MOST_OWNERS: usize = 2 * MAX_COPIES as usize;

/// The owners that a round goes to, by their places in the snapshot of the write.
///
/// Beside the snapshot, which every write holds, it needs neither memory of its own nor counted handles.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Owners {
    /// From the front those that are up and connected: at least one, the primary, and then the copies. From the back
    /// those that are up but not connected: they miss this write.
    places: [MemberIndex; MOST_OWNERS],
    connected: usize,
    missing: usize,
    /// Whether fewer members are up than the ring keeps copies.
    degraded: bool,
}

impl Owners {
    #[inline]
    pub(super) fn new() -> Owners {
        Owners { places: [MemberIndex(0); MOST_OWNERS], connected: 0, missing: 0, degraded: false }
    }

    #[inline]
    pub(super) fn add_connected(&mut self, owner: MemberIndex) {
        self.places[self.connected] = owner;
        self.connected += 1;
    }

    #[inline]
    pub(super) fn add_missing(&mut self, owner: MemberIndex) {
        self.missing += 1;
        self.places[MOST_OWNERS - self.missing] = owner;
    }

    /// To be called when all are there, with the number that there should be. `None` if nobody is connected.
    #[inline]
    pub(super) fn complete(mut self, copies: usize) -> Option<Owners> {
        self.degraded = self.connected + self.missing < copies;
        if sabotage::is(Sabotage::AckOne) && self.connected > 0 {
            self.primary_alone();
        }
        (self.connected > 0).then_some(self)
    }

    /// The same without some of them. `None` if nobody is left.
    pub(super) fn without(&self, failed: impl Fn(MemberIndex) -> bool) -> Option<Owners> {
        let mut others = Owners { degraded: self.degraded, ..Owners::new() };
        self.all().iter().filter(|owner| !failed(**owner)).for_each(|owner| others.add_connected(*owner));
        self.missing().iter().filter(|owner| !failed(**owner)).for_each(|owner| others.add_missing(*owner));
        (others.connected > 0).then_some(others)
    }

    /// Those that failed before do not come first again.
    pub(super) fn put_last(&mut self, failed: impl Fn(MemberIndex) -> bool) {
        self.places[..self.connected].sort_by_key(|owner| failed(*owner));
    }

    #[inline]
    pub(super) fn is_degraded(&self) -> bool {
        self.degraded
    }

    #[inline]
    pub(super) fn is_missed(&self) -> bool {
        self.missing > 0
    }

    pub(super) fn missing(&self) -> &[MemberIndex] {
        &self.places[MOST_OWNERS - self.missing..]
    }

    #[inline]
    pub(super) fn primary(&self) -> MemberIndex {
        self.places[0]
    }

    #[inline]
    pub(super) fn copies(&self) -> &[MemberIndex] {
        &self.places[1..self.connected]
    }

    #[inline]
    pub(super) fn all(&self) -> &[MemberIndex] {
        &self.places[..self.connected]
    }

    /// The copies get nothing, and so nobody misses anything.
    pub(super) fn primary_alone(&mut self) {
        (self.connected, self.missing) = (1, 0);
    }
}

/// The connections of the owners of a round.
pub(super) struct Links<'w> {
    pub(super) primary: &'w Link,
    pub(super) copies: Copies<'w>,
}

pub(super) enum Copies<'w> {
    /// The usual number, without the machinery for any number.
    One(&'w Link),
    Any(Vec<&'w Link>),
}

impl Copies<'_> {
    /// Sends a command to all of these; the first poll sends all.
    pub(super) async fn send(&self, cmd: &Cmd, write_ms: u64) -> Vec<Reply> {
        match self {
            Copies::One(link) => vec![link.copy(cmd, write_ms).await],
            Copies::Any(links) => join_all(links.iter().map(|link| link.copy(cmd, write_ms))).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connected_and_missing_share_the_room() {
        let mut owners = Owners::new();
        for place in 0..MOST_OWNERS as u16 {
            if place % 3 == 0 {
                owners.add_missing(MemberIndex(place));
            } else {
                owners.add_connected(MemberIndex(place));
            }
        }
        let mut owners = owners.complete(MOST_OWNERS).unwrap();
        assert!(!owners.is_degraded() && owners.is_missed());
        assert_eq!(owners.primary(), MemberIndex(1));
        assert_eq!(owners.copies()[0], MemberIndex(2));
        assert!(owners.missing().iter().all(|owner| owner.0 % 3 == 0));
        assert_eq!(owners.all().len() + owners.missing().len(), MOST_OWNERS);
        owners.put_last(|owner| owner == MemberIndex(1));
        assert_eq!((owners.primary(), owners.all().last()), (MemberIndex(2), Some(&MemberIndex(1))));
        owners.primary_alone();
        assert!(owners.copies().is_empty() && !owners.is_missed());
    }

    #[test]
    fn nobody_connected_is_nobody_to_write_to() {
        let mut owners = Owners::new();
        owners.add_missing(MemberIndex(3));
        assert!(owners.complete(2).is_none());
        let mut owners = Owners::new();
        owners.add_connected(MemberIndex(3));
        assert!(owners.complete(2).unwrap().is_degraded());
    }
}
