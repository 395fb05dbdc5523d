//! From a name to its row: a hash index that the compiler builds.

use super::row::{Kind, Row};
use super::table::ROWS;

/// The row of a command, or of a subcommand written as `config|get`, in any case.
///
/// It allocates nothing and costs one hash of the name and one comparison.
#[inline]
#[must_use]
pub fn lookup(name: &[u8]) -> Option<&'static Row> {
    find(name, b"", hash(name))
}

/// The row of the subcommand `sub` of the command `name`, in any case.
#[must_use]
pub fn lookup_sub(name: &[u8], sub: &[u8]) -> Option<&'static Row> {
    if sub.len() > LONGEST {
        return None;
    }
    find(name, sub, extend(extend(hash(name), b"|"), sub))
}

/// The row of a call, of which the name and the first argument are given.
///
/// A container command resolves to its subcommand's row. It is `None` for a name that the table does not have, for a
/// container with a subcommand that the table does not have, and for `config|get` in one word, which no server knows.
#[inline]
#[must_use]
pub fn resolve(name: &[u8], first: Option<&[u8]>) -> Option<&'static Row> {
    let row = lookup(name)?;
    match row.kind {
        Kind::Plain => Some(row),
        Kind::Container => first.map_or(Some(row), |sub| lookup_sub(name, sub)),
        Kind::Subcommand => None,
    }
}

/// The slots of the index: a power of two, and so many that nearly every name stands in its own slot.
const SLOTS: usize = 2048;

/// What an empty slot holds.
const EMPTY: u16 = u16::MAX;

/// No name is longer. It bounds the work that a call with a garbage name can cause.
const LONGEST: usize = 40;

/// The index of a row in each slot. Where two names hash alike, the later one stands in the next free slot.
static INDEX: [u16; SLOTS] = build();

const fn build() -> [u16; SLOTS] {
    let mut slots = [EMPTY; SLOTS];
    let mut row = 0;
    while row < ROWS.len() {
        let name = ROWS[row].name.as_bytes();
        assert!(name.len() <= LONGEST, "the longest name must be raised");
        let mut slot = slot_of(hash(name));
        while slots[slot] != EMPTY {
            slot = (slot + 1) % SLOTS;
        }
        slots[slot] = row as u16;
        row += 1;
    }
    slots
}

#[inline]
fn find(name: &[u8], sub: &[u8], hash: u32) -> Option<&'static Row> {
    let mut slot = slot_of(hash);
    loop {
        // The index is never full, so the search meets an empty slot, which is no row's number.
        let row = ROWS.get(usize::from(INDEX[slot]))?;
        if is_named(row.name.as_bytes(), name, sub) {
            return Some(row);
        }
        slot = (slot + 1) % SLOTS;
    }
}

#[inline]
fn is_named(row: &[u8], name: &[u8], sub: &[u8]) -> bool {
    if sub.is_empty() {
        return row.eq_ignore_ascii_case(name);
    }
    match row.split_at_checked(name.len()) {
        Some((head, [b'|', tail @ ..])) => head.eq_ignore_ascii_case(name) && tail.eq_ignore_ascii_case(sub),
        Some(_) | None => false,
    }
}

/// FNV-1a over the name with each letter's case bit set. It also mixes up `@` and `` ` `` and the like, which is why the
/// name is compared afterwards.
#[inline]
const fn hash(name: &[u8]) -> u32 {
    extend(0x811c_9dc5, name)
}

#[inline]
const fn extend(mut hash: u32, bytes: &[u8]) -> u32 {
    let mut at = 0;
    while at < bytes.len() && at < LONGEST {
        hash = (hash ^ (bytes[at] | 0x20) as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    hash
}

/// FNV's upper bits are the better mixed ones.
#[inline]
const fn slot_of(hash: u32) -> usize {
    (hash >> 21) as usize % SLOTS
}
