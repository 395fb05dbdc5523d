//! One snapshot of all records, and the topology it means.

use std::collections::BTreeMap;

use super::records::{ConfigRecord, MemberRecord, RingRecord, placed};
use crate::placement::{Epoch, Member, NodeId, Parts, Phase, PlacementError, Step, Topology};
use crate::{Error, ErrorKind, Result};

/// All records at one epoch.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What everybody shares.
    pub config: ConfigRecord,
    /// The rings.
    pub ring: RingRecord,
    /// The version of the ring's record: what a change is conditional on.
    pub epoch: Epoch,
    /// Names this founding of the ring. A ring that was deleted and founded again counts its epochs from zero.
    pub(crate) founded_at: i64,
    /// The record of every member that a ring names or that the ring's record knows.
    pub members: BTreeMap<NodeId, Entry>,
}

/// A member's record as it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The version of the record; `None` where there is none.
    pub version: Option<i32>,
    /// What it says, or what is wrong with it.
    pub record: Result<MemberRecord, String>,
}

impl Snapshot {
    /// The phase of the ring.
    ///
    /// # Errors
    /// [`ErrorKind::Membership`] where it is not known.
    pub fn phase(&self) -> Result<Phase> {
        self.ring.phase()
    }

    /// What a member's record says; `None` where there is no record or it cannot be read.
    pub fn member(&self, id: &NodeId) -> Option<&MemberRecord> {
        self.members.get(id)?.record.as_ref().ok()
    }

    /// What a topology is built from.
    ///
    /// # Errors
    /// [`ErrorKind::Membership`] where the ring cannot be used.
    pub fn parts(&self) -> Result<Parts> {
        let members = self.members.iter().map(|(id, entry)| {
            let member = match &entry.record {
                Ok(record) => record.member(id.clone()),
                Err(fault) => Member::faulty(id.clone(), fault.clone()),
            };
            (id.clone(), member)
        });
        Ok(Parts {
            config: self.config.config(),
            epoch: self.epoch,
            step: Step(self.ring.step),
            phase: self.ring.phase()?,
            serving: placed(&self.ring.serving)?,
            next: placed(&self.ring.next)?,
            old: placed(&self.ring.old)?,
            copies_next: self.ring.copies_next,
            copies_old: self.ring.copies_old,
            members: members.collect(),
        })
    }

    /// The topology that the records mean. This sorts every point of every ring: milliseconds for a hundred
    /// members.
    ///
    /// # Errors
    /// [`ErrorKind::Membership`] where the ring cannot be used, has two members with the same CRC32, or is beyond
    /// what a ring can hold.
    pub fn topology(&self) -> Result<Topology> {
        Topology::new(self.parts()?).map_err(unplaceable)
    }

    /// As [`Snapshot::topology`], and takes over the rings that have not changed since an older topology: then a
    /// member's new state costs next to nothing.
    ///
    /// # Errors
    /// As [`Snapshot::topology`].
    pub fn topology_after(&self, older: &Topology) -> Result<Topology> {
        older.successor(self.parts()?).map_err(unplaceable)
    }

    /// Whether clients can use this ring: it is founded, and somebody is in it.
    ///
    /// # Errors
    /// [`ErrorKind::Founding`] with how far it has come, or [`ErrorKind::Membership`] for a ring with no members.
    pub fn usable(&self) -> Result<()> {
        if let Phase::Founding { wanted } = self.ring.phase()? {
            let message = format!("{} of {wanted} members registered", self.ring.serving.len());
            let hint = "start the agents that are missing: `redis-ring agent` beside each Redis server";
            return Err(Error::new(ErrorKind::Founding, message).with_hint(hint));
        }
        if self.ring.serving.is_empty() {
            let hint = "`redis-ring status` shows its records; a ring is founded by `redis-ring init --members N`";
            return Err(Error::new(ErrorKind::Membership, "a ring with no members").with_hint(hint));
        }
        Ok(())
    }
}

fn unplaceable(why: PlacementError) -> Error {
    let hint = "`redis-ring status` shows its records";
    Error::new(ErrorKind::Membership, format!("/ring cannot be used: {why}")).with_hint(hint)
}
