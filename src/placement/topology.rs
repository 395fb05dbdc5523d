//! The topology: three rings and the members' records, as one immutable value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{
    Epoch, Member, MemberIndex, NodeId, Placed, PlacementError, RING_NAME, Ring, Share, State, Step, Token, crc32, tag,
};

/// What everybody who uses a ring must share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Points of a member of weight 100.
    pub vnodes: u32,
    /// Copies of each key.
    pub copies: u32,
    /// The database number; one ring is one database.
    pub db: i64,
    /// Whether servers may evict keys.
    pub cache: bool,
    /// How long a member may be down before its ranges are given to others.
    pub replace_after: Duration,
    /// How long after a fence a write may be acknowledged though the fenced server could not be closed.
    pub fence_wait: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            vnodes: 1024,
            copies: 2,
            db: 0,
            cache: false,
            replace_after: Duration::from_secs(30),
            fence_wait: Duration::from_millis(150),
        }
    }
}

/// How far a change of the ring has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The first agents are still registering: not usable yet.
    Founding {
        /// How many members found the ring.
        wanted: u32,
    },
    /// Nothing moves.
    Still,
    /// Copies are on their way to the next ring's owners.
    Filling,
    /// Writes reach serving and next owners, and the exact cuts are made.
    Syncing,
    /// The ring has flipped; the old one is still written.
    Retiring,
}

impl Phase {
    /// The word of the wire contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Founding { .. } => "founding",
            Phase::Still => "still",
            Phase::Filling => "filling",
            Phase::Syncing => "syncing",
            Phase::Retiring => "retiring",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Names a placement: equal for all who place every key alike, whatever the members' states.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 8]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a topology is built from: one snapshot of the shared records.
#[derive(Clone, Debug)]
pub struct Parts {
    /// What everybody shares.
    pub config: Config,
    /// The version of the snapshot.
    pub epoch: Epoch,
    /// The step of the ring.
    pub step: Step,
    /// The phase of the ring.
    pub phase: Phase,
    /// Who is read.
    pub serving: BTreeMap<NodeId, Placed>,
    /// Who will be read after the flip; empty when nothing moves.
    pub next: BTreeMap<NodeId, Placed>,
    /// Who was read until the last flip; empty when it is forgotten.
    pub old: BTreeMap<NodeId, Placed>,
    /// Copies of the next ring, where the number changes.
    pub copies_next: Option<u32>,
    /// Copies of the old ring, where the number changed.
    pub copies_old: Option<u32>,
    /// The members' records. Zone and weight are taken from the rings. A member of a ring without a record here
    /// counts as down.
    pub members: BTreeMap<NodeId, Member>,
}

/// Three rings and the members' records. Immutable: a change makes a new one.
#[derive(Clone, Debug)]
pub struct Topology {
    config: Config,
    epoch: Epoch,
    step: Step,
    phase: Phase,
    /// Sorted by id; the rings' indices point here.
    members: Box<[Member]>,
    serving: Arc<Ring>,
    next: Option<Arc<Ring>>,
    old: Option<Arc<Ring>>,
    fingerprint: Fingerprint,
}

/// Where one key lives, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The part of the key that is hashed.
    pub tag: Vec<u8>,
    /// Its CRC32.
    pub crc32: u32,
    /// Its position.
    pub token: Token,
    /// The owners in the serving ring, whatever their state.
    pub owners: Vec<NodeId>,
    /// Who is read now, in order.
    pub reads: Vec<NodeId>,
    /// Who is written now, the primary first.
    pub writes: Vec<NodeId>,
}

impl Topology {
    /// Builds the rings of one snapshot.
    ///
    /// # Errors
    /// As [`Ring::new`]: two ids with the same CRC32, or numbers beyond what a ring can hold.
    pub fn new(parts: Parts) -> Result<Topology, PlacementError> {
        Topology::build(parts, &[])
    }

    /// Builds the topology of a newer snapshot, and takes over from this one each ring that has not changed: when only
    /// a member's state did, nothing is built, however large the ring.
    ///
    /// # Errors
    /// As [`Topology::new`].
    pub fn successor(&self, parts: Parts) -> Result<Topology, PlacementError> {
        let rings: Vec<&Arc<Ring>> =
            [Some(&self.serving), self.next.as_ref(), self.old.as_ref()].into_iter().flatten().collect();
        Topology::build(parts, &rings)
    }

    fn build(parts: Parts, known: &[&Arc<Ring>]) -> Result<Topology, PlacementError> {
        let Parts { config, epoch, step, phase, serving, next, old, copies_next, copies_old, mut members } = parts;
        let placed: BTreeSet<&NodeId> = serving.keys().chain(next.keys()).chain(old.keys()).collect();
        for id in &placed {
            members.entry((*id).clone()).or_insert_with(|| Member::faulty((*id).clone(), "its record is missing"));
        }
        if members.len() > usize::from(u16::MAX) {
            return Err(PlacementError::TooManyMembers(members.len()));
        }
        for (id, member) in &mut members {
            let place = serving.get(id).or_else(|| next.get(id)).or_else(|| old.get(id)).cloned().unwrap_or_default();
            (member.weight, member.zone) = (place.weight, place.zone);
        }
        let members: Box<[Member]> = members.into_values().collect();
        let fingerprint = fingerprint(&config, [("serving", &serving), ("next", &next), ("old", &old)]);
        let ring = |placed: BTreeMap<NodeId, Placed>, copies: u32| {
            let index = |id: &NodeId| members.binary_search_by(|m| m.id.cmp(id)).ok();
            let indexed: Vec<_> = placed
                .into_iter()
                .filter_map(|(id, placed)| Some((MemberIndex(index(&id)? as u16), id, placed)))
                .collect();
            match known.iter().find(|ring| ring.is_of(config.vnodes, copies, &indexed)) {
                Some(ring) => Ok(Arc::clone(ring)),
                None => Ring::new(config.vnodes, copies, indexed).map(Arc::new),
            }
        };
        let optional =
            |placed: BTreeMap<NodeId, Placed>, copies| (!placed.is_empty()).then(|| ring(placed, copies)).transpose();
        Ok(Topology {
            serving: ring(serving, config.copies)?,
            next: optional(next, copies_next.unwrap_or(config.copies))?,
            old: optional(old, copies_old.unwrap_or(config.copies))?,
            config,
            epoch,
            step,
            phase,
            members,
            fingerprint,
        })
    }

    /// What everybody who uses this ring shares.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The version of the snapshot; states included.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The step of the ring.
    pub fn step(&self) -> Step {
        self.step
    }

    /// How far a change of the ring has come.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// All members of the three rings and of the records, by id.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The member of an index that one of this topology's rings gave.
    #[inline]
    pub fn member(&self, index: MemberIndex) -> &Member {
        &self.members[index.get()]
    }

    /// The member of an id.
    pub fn find(&self, id: &NodeId) -> Option<(MemberIndex, &Member)> {
        let at = self.members.binary_search_by(|m| m.id.cmp(id)).ok()?;
        Some((MemberIndex(at as u16), &self.members[at]))
    }

    /// Who is read.
    #[inline]
    pub fn serving(&self) -> &Ring {
        &self.serving
    }

    /// Who will be read after the flip.
    pub fn next(&self) -> Option<&Ring> {
        self.next.as_deref()
    }

    /// Who was read until the last flip.
    pub fn old(&self) -> Option<&Ring> {
        self.old.as_deref()
    }

    /// Names the placement, without the members' states.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The owners of a token that are read, in order.
    pub fn readers(&self, token: Token) -> impl Iterator<Item = MemberIndex> + '_ {
        self.serving.owners(token).iter().copied().filter(|o| self.member(*o).state == State::Up)
    }

    /// The members that a write of this token goes to, the primary first.
    ///
    /// In still and filling these are the serving owners that are up, and in retiring the old ones after them.
    /// The gainers of syncing are named by the servers' gates, not by the topology.
    pub fn writers(&self, token: Token) -> impl Iterator<Item = MemberIndex> + '_ {
        let serving = self.serving.owners(token);
        let old = match (self.phase, &self.old) {
            (Phase::Retiring, Some(old)) => old.owners(token),
            (Phase::Founding { .. } | Phase::Still | Phase::Filling | Phase::Syncing | Phase::Retiring, _) => &[],
        };
        let older = old.iter().filter(|o| !serving.contains(o));
        serving.iter().chain(older).copied().filter(|o| self.member(*o).state == State::Up)
    }

    /// Whether a member gains keys in the move that is under way: it is `joining`, or there is a next ring in which it is
    /// and it is not fenced. Which keys, [`Topology::gains`] says.
    pub fn is_gaining(&self, index: MemberIndex) -> bool {
        match (self.phase, self.member(index).state) {
            (Phase::Filling | Phase::Syncing, State::Joining) => true,
            (Phase::Filling | Phase::Syncing, State::Up) => {
                self.next.as_ref().is_some_and(|next| next.members().any(|(member, _, _)| member == index))
            }
            (Phase::Founding { .. } | Phase::Still | Phase::Retiring, _) | (_, State::Down) => false,
        }
    }

    /// The members that gain this token: they own it in the next ring, are not fenced, and do not own it in the serving
    /// ring or are `joining`. There are none while no ring is being filled.
    ///
    /// While the ring is `syncing`, those of them that the gate of the token's primary names are written as well.
    pub fn gainers(&self, token: Token) -> impl Iterator<Item = MemberIndex> + '_ {
        let next = match (self.phase, &self.next) {
            (Phase::Filling | Phase::Syncing, Some(next)) => next.owners(token),
            (Phase::Founding { .. } | Phase::Still | Phase::Filling | Phase::Syncing | Phase::Retiring, _) => &[],
        };
        let serving = self.serving.owners(token);
        next.iter().copied().filter(move |owner| match self.member(*owner).state {
            State::Joining => true,
            State::Up => !serving.contains(owner),
            State::Down => false,
        })
    }

    /// Whether a member gains this token; see [`Topology::gainers`].
    pub fn gains(&self, member: MemberIndex, token: Token) -> bool {
        self.gainers(token).any(|gainer| gainer == member)
    }

    /// Where a key lives, and who is read and written for it now.
    pub fn locate(&self, key: &[u8]) -> Location {
        let tag = tag(key);
        let token = Token::of_key(key);
        let name = |index: MemberIndex| self.member(index).id.clone();
        Location {
            tag: tag.to_vec(),
            crc32: crc32(tag),
            token,
            owners: self.serving.owners(token).iter().copied().map(name).collect(),
            reads: self.readers(token).map(name).collect(),
            writes: self.writers(token).map(name).collect(),
        }
    }

    /// What part of the serving ring each member owns, in the order of [`Topology::members`].
    pub fn shares(&self) -> Vec<Share> {
        let mut shares = vec![Share::default(); self.members.len()];
        for (index, share) in self.serving.shares() {
            shares[index.get()] = share;
        }
        shares
    }
}

/// The first eight bytes of the SHA-256 of `ring-name vnodes copies` and the sorted lines `ring id weight zone`,
/// each line ended by a newline, the zone and the blank before it left out where there is none.
fn fingerprint(config: &Config, rings: [(&str, &BTreeMap<NodeId, Placed>); 3]) -> Fingerprint {
    let mut lines: Vec<String> = rings
        .into_iter()
        .flat_map(|(ring, placed)| {
            placed.iter().map(move |(id, place)| match &place.zone {
                Some(zone) => format!("{ring} {id} {} {zone}\n", place.weight),
                None => format!("{ring} {id} {}\n", place.weight),
            })
        })
        .collect();
    lines.sort();
    let mut hash = Sha256::new();
    hash.update(format!("{RING_NAME} {} {}\n", config.vnodes, config.copies));
    lines.iter().for_each(|line| hash.update(line));
    let mut first = [0; 8];
    first.copy_from_slice(&hash.finalize()[..8]);
    Fingerprint(first)
}

#[cfg(test)]
#[path = "topology_tests.rs"]
mod tests;
