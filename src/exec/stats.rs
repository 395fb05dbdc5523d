//! What a client has counted.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What a client has counted since it was opened.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(super) $name: Counter,)*
        }

        impl Counters {
            pub(super) fn read(&self) -> Stats {
                Stats { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Reads that were answered by another owner than the one asked first, because that one failed or was slow.
    failed_over_reads,
    /// Reads for which a second owner was asked because the first was slow.
    hedged_reads,
    /// Writes acknowledged by fewer members than the ring has copies, because an owner was not up.
    degraded_writes,
    /// Writes acknowledged though an owner that is up missed them: with fixed membership, or while nobody could fence it.
    missed_writes,
    /// Members that were taken out of the ring because they missed a write of this client, by it or by somebody faster.
    fences,
    /// Writes that an owner missed and was given before they were acknowledged.
    repaired_writes,
    /// Misses that were accepted because ZooKeeper could not be reached ([`Unfenced::Accept`](crate::policy::Unfenced)).
    debts,
    /// Those of them that have been made good, by giving the member what it lacked or by taking it out of the ring.
    debts_paid,
    /// Writes that were sent again because no owner had answered.
    repeated_writes,
    /// Writes whose copies answered differently from the primary.
    differing_replies,
    /// Writes that ended with an unknown outcome.
    unknown_writes,
    /// Keys whose copies differed, as their replies had shown, and were given the state of their primary.
    healed_keys,
    /// Keys whose copies may differ and were left as they are: written all the time, too large to be compared at once, too
    /// many at once, of a primary that has itself missed writes, or on a member that refuses what healing needs. A log line
    /// of level warn tells the first of each kind.
    unhealed_keys,
    /// Reads that were answered from the cache, without asking a server.
    cache_hits,
    /// Reads whose reply could have been in the cache, and was not.
    cache_misses,
    /// How often a server has said that a key read through the cache was written, or has expired.
    cache_invalidations,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// What it was before.
    pub(super) fn add_one(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}
