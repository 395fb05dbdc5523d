//! What faults of a proxy did to whom.

use std::collections::BTreeMap;
use std::ops::Sub;
use std::sync::{Mutex, PoisonError};

/// What happened to the connections of one process so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Met {
    /// Connections accepted.
    pub accepted: u64,
    /// Parts of requests handed to the server, whether it read them or not.
    pub requests: u64,
    /// Parts of requests and replies that had to wait for another mode.
    pub held: u64,
    /// Parts that came later.
    pub delayed: u64,
    /// Connections refused by the mode.
    pub refused: u64,
    /// Connections reset by a cut.
    pub reset: u64,
    /// Connections that the server did not accept, or ended.
    pub ended: u64,
}

impl Sub for Met {
    type Output = Met;

    fn sub(self, earlier: Met) -> Met {
        Met {
            accepted: self.accepted - earlier.accepted,
            requests: self.requests - earlier.requests,
            held: self.held - earlier.held,
            delayed: self.delayed - earlier.delayed,
            refused: self.refused - earlier.refused,
            reset: self.reset - earlier.reset,
            ended: self.ended - earlier.ended,
        }
    }
}

/// By process; those that are not told apart are one.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<BTreeMap<Option<u32>, Met>>);

impl Ledger {
    pub fn of(&self, who: Option<u32>) -> Met {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&who).copied().unwrap_or_default()
    }

    pub fn note(&self, who: Option<u32>, note: impl FnOnce(&mut Met)) {
        note(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(who).or_default());
    }
}
