//! From a name to its row: a hash index that the compiler builds.
//!
//! Every command passes here, so a plain name costs a few loads, one multiplication and one comparison of words, and
//! no loop over its letters.

use super::row::{Kind, Row};
use super::table::ROWS;

/// The row of a command, or of a subcommand written as `config|get`, in any case. It allocates nothing.
// Always: every command passes here, and the call would be a good part of the cost.
#[inline(always)]
#[must_use]
pub fn lookup(name: &[u8]) -> Option<&'static Row> {
    let word = word_of(name);
    let mut at = slot_of(word, name.len());
    loop {
        let slot = &INDEX[at];
        // The index is never full, so the search meets an empty slot, which is no row's number.
        let row = ROWS.get(slot.row as usize)?;
        if slot.word == word && slot.length as usize == name.len() {
            match slot.proof {
                Proof::Word => return Some(row),
                Proof::Name if row.name.as_bytes().eq_ignore_ascii_case(name) => return Some(row),
                Proof::Name => {}
            }
        }
        at = (at + 1) % SLOTS;
    }
}

/// The row of the subcommand `sub` of the command `name`, in any case.
#[must_use]
pub fn lookup_sub(name: &[u8], sub: &[u8]) -> Option<&'static Row> {
    let mut whole = [0; LONGEST];
    let length = name.len() + 1 + sub.len();
    let (head, tail) = whole.get_mut(..length)?.split_at_mut(name.len());
    head.copy_from_slice(name);
    let (bar, tail) = tail.split_first_mut()?;
    *bar = b'|';
    tail.copy_from_slice(sub);
    lookup(whole.get(..length)?)
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
const SLOTS: usize = 1 << SLOT_BITS;

/// How many bits number the slots.
const SLOT_BITS: u32 = 11;

/// No name is longer.
const LONGEST: usize = 40;

/// A place for one row.
#[derive(Clone, Copy)]
struct Slot {
    /// What [`word_of`] makes of the row's name.
    word: u64,
    /// The row's number; beyond the table if the slot is empty.
    row: u16,
    /// How long its name is.
    length: u8,
    /// What proves that a name is this one.
    proof: Proof,
}

/// What proves that a name with the same word and length is the row's.
#[derive(Clone, Copy)]
enum Proof {
    /// The word holds all of it, and the name has nothing but letters, which differ from their word in case only.
    Word,
    /// The names must be compared: part of it is not in the word, or it has a `-`, `_` or `|`, which other bytes fold
    /// to as well.
    Name,
}

/// Each row in its slot. Where two names ask for one slot, the later one stands in the next free slot.
static INDEX: [Slot; SLOTS] = build();

const fn build() -> [Slot; SLOTS] {
    let mut slots = [Slot { word: 0, row: u16::MAX, length: 0, proof: Proof::Name }; SLOTS];
    let mut row = 0;
    while row < ROWS.len() {
        let name = ROWS[row].name.as_bytes();
        assert!(name.len() <= LONGEST, "the longest name must be raised");
        let word = word_of(name);
        let mut at = slot_of(word, name.len());
        while slots[at].row != u16::MAX {
            at = (at + 1) % SLOTS;
        }
        let proof = if name.len() <= 8 && is_letters(name) { Proof::Word } else { Proof::Name };
        slots[at] = Slot { word, row: row as u16, length: name.len() as u8, proof };
        row += 1;
    }
    slots
}

const fn is_letters(name: &[u8]) -> bool {
    let mut at = 0;
    while at < name.len() {
        if !name[at].is_ascii_lowercase() {
            return false;
        }
        at += 1;
    }
    true
}

/// A name as one word, each letter's case bit set. With its length it tells names of up to eight bytes apart; of longer
/// ones it has the ends. Two loads that overlap need no loop and no copy.
#[inline]
const fn word_of(name: &[u8]) -> u64 {
    let word = match (name.first_chunk::<4>(), name.last_chunk::<4>()) {
        (Some(head), Some(tail)) => u32::from_le_bytes(*head) as u64 | (u32::from_le_bytes(*tail) as u64) << 32,
        _ => match name {
            [one, two, three] => u32::from_le_bytes([*one, *two, *three, 0]) as u64,
            [one, two] => u32::from_le_bytes([*one, *two, 0, 0]) as u64,
            [one] => *one as u64,
            _ => 0,
        },
    };
    word | 0x2020_2020_2020_2020
}

/// The upper bits of a product depend on all bits of the word.
#[inline]
const fn slot_of(word: u64, length: usize) -> usize {
    let mixed = (word ^ length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (u64::BITS - SLOT_BITS)) as usize
}
