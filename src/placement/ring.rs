//! The ring: points of all members in order, each with its owners worked out once.

use std::fmt;

use super::{NodeId, Token, Zone, crc32, point};

/// A member's place in the member list of the topology that the ring belongs to.
///
/// Two bytes, because every point of the ring stores one for each copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberIndex(pub u16);

impl MemberIndex {
    /// The index as a slice takes it.
    #[inline]
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

/// A member's share of the ring, in per cent of a plain member's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(pub u32);

impl Default for Weight {
    fn default() -> Self {
        Weight(100)
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Weight {
    /// How many points a member of this weight has: `(vnodes * weight + 50) / 100`, at least one for a weight
    /// above zero and none for zero.
    pub fn points(self, vnodes: u32) -> u64 {
        match self.0 {
            0 => 0,
            w => ((u64::from(vnodes) * u64::from(w) + 50) / 100).max(1),
        }
    }
}

/// How a member stands in one ring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// Its share.
    pub weight: Weight,
    /// Its zone; a member without one counts as different from everything.
    pub zone: Option<Zone>,
}

/// Why a ring cannot be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacementError {
    /// Two ids have the same CRC32, so all their points would coincide.
    SameCrc(NodeId, NodeId),
    /// More members than a ring can hold.
    TooManyMembers(usize),
    /// More points than a ring can hold.
    TooManyPoints(u64),
    /// Zero copies, or more than fit.
    Copies(u32),
}

/// Enough for 65,000 plain members; a mistyped weight must not take all memory.
const MAX_POINTS: u64 = 1 << 26;
/// The most copies that a ring can keep.
pub(crate) const MAX_COPIES: u32 = 16;

impl fmt::Display for PlacementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlacementError::SameCrc(a, b) => write!(
                f,
                "member ids {a:?} and {b:?} have the same CRC32, so their points would coincide: give one of them \
                 another id"
            ),
            PlacementError::TooManyMembers(n) => write!(f, "{n} members are more than the 65535 that a ring can hold"),
            PlacementError::TooManyPoints(n) => {
                write!(f, "{n} points are more than the {MAX_POINTS} that a ring can hold: lower vnodes or the weights")
            }
            PlacementError::Copies(n) => write!(f, "{n} copies: a ring keeps 1 to {MAX_COPIES}"),
        }
    }
}

impl std::error::Error for PlacementError {}

/// A range of tokens with the same owners: from `first` to `last`, both included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range<'a> {
    /// The first token of the range.
    pub first: Token,
    /// The last token of the range.
    pub last: Token,
    /// The owners, in the order of the walk.
    pub owners: &'a [MemberIndex],
}

/// What part of all tokens a member owns, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share {
    /// As the first owner.
    pub primary: f64,
    /// As any owner; all shares add up to the number of copies.
    pub all: f64,
}

/// Points in order, each with its owners. A lookup is O(1) and allocates nothing.
#[derive(Clone)]
pub struct Ring {
    /// The members that were placed, by index, also those without points.
    members: Box<[(MemberIndex, NodeId, Placed)]>,
    /// The tokens of all points in order, and `u32::MAX` once more as a sentinel that ends every scan.
    tokens: Box<[u32]>,
    /// `copies` owners for each token; those of the first point again for the sentinel, which is the wrap.
    owners: Box<[MemberIndex]>,
    /// For each value of a token's top bits, the first point that is not below all tokens with these bits.
    starts: Box<[u32]>,
    /// How far to shift a token to get its top bits.
    shift: u32,
    /// Effective copies: no more than there are members with points.
    copies: usize,
    /// What it was built with: points of a plain member, and copies.
    built: (u32, u32),
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("members", &self.members)
            .field("points", &self.points())
            .field("copies", &self.copies)
            .finish_non_exhaustive()
    }
}

impl Ring {
    /// Builds the ring of these members. The order of the argument does not matter.
    ///
    /// # Errors
    /// Two ids with the same CRC32, and more members, points or copies than a ring can hold.
    pub fn new(
        vnodes: u32,
        copies: u32,
        members: impl IntoIterator<Item = (MemberIndex, NodeId, Placed)>,
    ) -> Result<Ring, PlacementError> {
        let mut members: Vec<_> = members.into_iter().collect();
        members.sort_by(|a, b| a.1.cmp(&b.1));
        if members.len() > usize::from(u16::MAX) {
            return Err(PlacementError::TooManyMembers(members.len()));
        }
        if copies == 0 || copies > MAX_COPIES {
            return Err(PlacementError::Copies(copies));
        }
        let crcs = distinct_crcs(&members)?;
        let points: u64 = members.iter().map(|(_, _, placed)| placed.weight.points(vnodes)).sum();
        if points > MAX_POINTS {
            return Err(PlacementError::TooManyPoints(points));
        }

        // A point is its token above the rank of its member's id, so that equal tokens are ordered by id.
        let mut sorted: Vec<u64> = Vec::with_capacity(points as usize);
        for (rank, ((_, _, placed), crc)) in members.iter().zip(&crcs).enumerate() {
            let count = placed.weight.points(vnodes) as u32;
            sorted.extend((0..count).map(|i| u64::from(point(*crc, i).0) << 32 | rank as u64));
        }
        sorted.sort_unstable();

        let eligible = members.iter().filter(|(_, _, placed)| placed.weight.points(vnodes) > 0).count();
        let built = (vnodes, copies);
        let copies = eligible.min(copies as usize);
        let owners = owners(&sorted, &members, copies);
        let tokens: Box<[u32]> = sorted.iter().map(|p| (p >> 32) as u32).chain([u32::MAX]).collect();
        let (starts, shift) = starts(&tokens[..sorted.len()]);
        Ok(Ring { members: members.into(), tokens, owners, starts, shift, copies, built })
    }

    /// The owners of a token, primary first: as many as there are effective copies, none in an empty ring.
    #[inline]
    pub fn owners(&self, token: Token) -> &[MemberIndex] {
        let at = self.first_point(token) * self.copies;
        &self.owners[at..at + self.copies]
    }

    /// Every member with points, in the order in which they are met going clockwise from a token.
    pub fn walk(&self, token: Token) -> impl Iterator<Item = MemberIndex> + '_ {
        let points = self.points();
        let first = self.first_point(token);
        let mut seen = vec![false; usize::from(u16::MAX) + 1];
        (0..points).filter_map(move |i| {
            let member = self.owners[(first + i) % points * self.copies];
            (!std::mem::replace(&mut seen[member.get()], true)).then_some(member)
        })
    }

    /// How many copies of each key this ring keeps: no more than there are members with points.
    pub fn copies(&self) -> usize {
        self.copies
    }

    /// How many points the ring has.
    pub fn points(&self) -> usize {
        self.tokens.len() - 1
    }

    /// The members that were placed on this ring, by id.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (MemberIndex, &NodeId, &Placed)> {
        self.members.iter().map(|(index, id, placed)| (*index, id, placed))
    }

    /// Whether this is the ring that [`Ring::new`] would build of these members, given by id.
    pub fn is_of(&self, vnodes: u32, copies: u32, members: &[(MemberIndex, NodeId, Placed)]) -> bool {
        self.built == (vnodes, copies) && *self.members == *members
    }

    /// Whether another ring places every key on the same members.
    pub fn is_as(&self, other: &Ring) -> bool {
        self.is_of(other.built.0, other.built.1, &other.members)
    }

    /// Whether a member was placed on this ring.
    pub fn contains(&self, id: &NodeId) -> bool {
        self.members.binary_search_by(|(_, other, _)| other.cmp(id)).is_ok()
    }

    /// The ranges of the whole ring in order, neighbours with the same owners joined.
    pub fn ranges(&self) -> Vec<Range<'_>> {
        let mut ranges: Vec<Range<'_>> = Vec::new();
        let mut first = 0_u64;
        // The sentinel stands for the tokens above the last point, which belong to the first.
        for (i, token) in self.tokens.iter().enumerate() {
            if self.copies == 0 || u64::from(*token) < first {
                continue;
            }
            let owners = &self.owners[i * self.copies..(i + 1) * self.copies];
            match ranges.last_mut() {
                Some(range) if range.owners == owners => range.last = Token(*token),
                _ => ranges.push(Range { first: Token(first as u32), last: Token(*token), owners }),
            }
            first = u64::from(*token) + 1;
        }
        ranges
    }

    /// What part of the ring each placed member owns, by index.
    pub fn shares(&self) -> Vec<(MemberIndex, Share)> {
        let mut shares = vec![Share::default(); usize::from(u16::MAX) + 1];
        for range in self.ranges() {
            let part = (f64::from(range.last.0) - f64::from(range.first.0) + 1.0) / 2_f64.powi(32);
            for (nth, owner) in range.owners.iter().enumerate() {
                shares[owner.get()].all += part;
                if nth == 0 {
                    shares[owner.get()].primary += part;
                }
            }
        }
        self.members.iter().map(|(index, _, _)| (*index, shares[index.get()])).collect()
    }

    /// The first point that is not below the token; the sentinel's place stands for the wrap.
    #[inline]
    fn first_point(&self, token: Token) -> usize {
        let mut at = self.starts[(token.0 >> self.shift) as usize] as usize;
        while self.tokens[at] < token.0 {
            at += 1;
        }
        at
    }
}

fn distinct_crcs(members: &[(MemberIndex, NodeId, Placed)]) -> Result<Vec<u32>, PlacementError> {
    let crcs: Vec<u32> = members.iter().map(|(_, id, _)| crc32(id.as_str().as_bytes())).collect();
    let mut ranks: Vec<usize> = (0..members.len()).collect();
    ranks.sort_by_key(|&rank| (crcs[rank], rank));
    match ranks.windows(2).find(|pair| crcs[pair[0]] == crcs[pair[1]]) {
        Some(pair) => Err(PlacementError::SameCrc(members[pair[0]].1.clone(), members[pair[1]].1.clone())),
        None => Ok(crcs),
    }
}

/// The owners of every point and, once more, of the first.
///
/// One pass backwards over the points keeps the nearest zones and the nearest members ahead, most recent
/// first. As in an LRU list, keeping only as many as there are copies loses nothing. A first, silent pass fills
/// the lists with what follows the wrap. So the cost is points times copies, whatever the zones.
fn owners(sorted: &[u64], members: &[(MemberIndex, NodeId, Placed)], copies: usize) -> Box<[MemberIndex]> {
    let mut owners = vec![MemberIndex(0); (sorted.len() + 1) * copies];
    // A member without a zone is a zone of its own.
    let zone_of: Vec<usize> = (0..members.len())
        .map(|rank| match &members[rank].2.zone {
            None => rank,
            zone => members.iter().position(|(_, _, other)| other.zone == *zone).unwrap_or(rank),
        })
        .collect();
    let mut zones: Vec<(usize, usize)> = Vec::with_capacity(copies + 1);
    let mut nearest: Vec<usize> = Vec::with_capacity(copies + 1);
    for silent in [true, false] {
        for (at, point) in sorted.iter().enumerate().rev() {
            let rank = (point & u64::from(u32::MAX)) as usize;
            to_front(&mut zones, (zone_of[rank], rank), copies, |a, b| a.0 == b.0);
            to_front(&mut nearest, rank, copies, |a, b| a == b);
            if silent {
                continue;
            }
            let chosen = &mut owners[at * copies..(at + 1) * copies];
            let mut n = 0;
            // First the nearest member of each zone not chosen yet; when zones run out, simply the next ones.
            for &(_, rank) in &zones {
                chosen[n] = members[rank].0;
                n += 1;
            }
            for &rank in &nearest {
                if n < copies && !chosen[..n].contains(&members[rank].0) {
                    chosen[n] = members[rank].0;
                    n += 1;
                }
            }
        }
    }
    if let Some(last) = owners.len().checked_sub(copies) {
        owners.copy_within(..copies, last);
    }
    owners.into()
}

fn to_front<T>(list: &mut Vec<T>, item: T, keep: usize, same: impl Fn(&T, &T) -> bool) {
    if let Some(at) = list.iter().position(|other| same(other, &item)) {
        list.remove(at);
    }
    list.insert(0, item);
    list.truncate(keep);
}

/// A table of at least as many entries as points, so that a scan from its answer passes one point on average.
fn starts(tokens: &[u32]) -> (Box<[u32]>, u32) {
    let bits = tokens.len().next_power_of_two().trailing_zeros().clamp(1, 26);
    let shift = 32 - bits;
    let mut at = 0;
    let starts = (0..1_u64 << bits)
        .map(|top| {
            while at < tokens.len() && u64::from(tokens[at]) < top << shift {
                at += 1;
            }
            at as u32
        })
        .collect();
    (starts, shift)
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
