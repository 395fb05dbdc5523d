//! Which keys have to be looked at.

use std::sync::Arc;

use super::Without;
use super::dirty::{Dirty, Key};
use super::large::Pieces;
use super::source::Trouble;

/// Goes over all keys once: first those that only the target has, then those of the source.
///
/// The target's first, because a target that is empty then takes no time. What the source loses later, it tells.
pub(super) struct Finder {
    at: At,
    /// Keys of the source seen, and those among them that are gained.
    seen: u64,
    gained: u64,
    /// The size of the source when it was begun.
    size: u64,
    /// Whether the target has had any of what it gains.
    there: bool,
}

enum At {
    Target(Vec<u8>),
    Source(Vec<u8>),
    Done,
}

/// The most keys in one step, which holds a server up for some tenth of a millisecond for a thousand.
const MOST: u64 = 2000;
const LEAST: u64 = 100;

impl Finder {
    pub(super) fn new() -> Finder {
        Finder { at: At::Target(b"0".to_vec()), seen: 0, gained: 0, size: 0, there: false }
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self.at, At::Done)
    }

    /// Whether the target may have some of what is found already.
    pub(super) fn may_be_there(&self) -> bool {
        self.there
    }

    /// An estimate of how many keys there are to be copied.
    pub(super) fn total(&self) -> u64 {
        if self.is_done() || self.seen == 0 {
            return self.gained;
        }
        (self.size as f64 * self.gained as f64 / self.seen as f64) as u64
    }

    /// Some more of them; there may be none in one step.
    pub(super) async fn find(&mut self, pieces: &Pieces, dirty: &Dirty) -> Result<Vec<Key>, Trouble> {
        // So many that about two batches are found.
        let want = 2 * pieces.limits.batch_keys as u64;
        let count = (want * self.seen.max(1) / self.gained.max(1)).clamp(LEAST, MOST) as usize;
        let gained = |keys: Vec<Vec<u8>>| -> Vec<Key> {
            keys.into_iter().filter(|key| dirty.gains(key)).map(Arc::from).collect()
        };
        match &self.at {
            At::Target(cursor) => {
                let (next, keys) = pieces.target.scan(cursor, count).await?;
                self.there |= keys.iter().any(|key| dirty.gains(key));
                let keys = if pieces.limits.lack(Without::Strays) { Vec::new() } else { gained(keys) };
                let strays = pieces.source.lacks(keys).await?;
                if next == b"0" {
                    self.size = pieces.source.size().await?;
                    self.at = At::Source(next);
                } else {
                    self.at = At::Target(next);
                }
                Ok(strays)
            }
            At::Source(cursor) => {
                let (next, keys) = pieces.source.scan(cursor, count).await?;
                self.seen += keys.len() as u64;
                let found = gained(keys);
                self.gained += found.len() as u64;
                self.at = if next == b"0" { At::Done } else { At::Source(next) };
                Ok(found)
            }
            At::Done => Ok(Vec::new()),
        }
    }
}
