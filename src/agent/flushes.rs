//! Whether a server was flushed past the ring.

use super::health::Sighting;
use super::info::Info;
use super::server::{Failure, Server};

/// The flushes of one life of a server that are dealt with.
#[derive(Clone, Debug, Default)]
pub(super) struct Flushes(Option<Known>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    run_id: String,
    counts: Counts,
    /// What the connection that listens had heard of when it was new, and how often the ring had flushed by then.
    heard: Heard,
}

/// The server tells of each flush, but in no order with what it counts. So this is compared with the beginning of the
/// connection, and not with the last look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Heard {
    client_id: u64,
    emptied: u64,
    by_ring: u64,
}

/// How often a server was flushed, and how often of these by the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) all: u64,
    pub(super) by_ring: u64,
}

impl Flushes {
    /// Whether the counts must be looked at: the server counts otherwise than is known.
    pub(super) fn have_changed(&self, own: &Sighting) -> bool {
        self.of_life(own).is_none_or(|known| {
            known.counts.all != own.flushes || known.heard.client_id != own.client_id || known.unexplained(own) > 0
        })
    }

    /// Whether there was a flush that was not the ring's. Counters that were reset, by CONFIG RESETSTAT or a new life,
    /// are no flush.
    pub(super) fn lost_data(&self, own: &Sighting, now: Counts) -> bool {
        self.of_life(own).is_some_and(|known| {
            let (all, by_ring) = (now.all.checked_sub(known.counts.all), now.by_ring.checked_sub(known.counts.by_ring));
            let counted = all.is_some_and(|all| all > by_ring.unwrap_or(0));
            // A server that read its data anew counts no flush, and may have read old data.
            let heard = known.heard.client_id == own.client_id
                && own.emptied.saturating_sub(known.heard.emptied) > now.by_ring.saturating_sub(known.heard.by_ring);
            counted || heard
        })
    }

    /// These have been dealt with.
    pub(super) fn settle(&mut self, own: &Sighting, counts: Counts) {
        let anew = Heard { client_id: own.client_id, emptied: own.emptied, by_ring: counts.by_ring };
        let heard = match self.of_life(own) {
            Some(known) if known.heard.client_id == own.client_id && !self.lost_data(own, counts) => known.heard,
            Some(_) | None => anew,
        };
        self.0 = Some(Known { run_id: own.run_id.clone(), counts, heard });
    }

    /// What was known last, if it is of this life of the server.
    pub(super) fn counts(&self, own: &Sighting) -> Option<Counts> {
        self.of_life(own).map(|known| known.counts)
    }

    fn of_life(&self, own: &Sighting) -> Option<&Known> {
        self.0.as_ref().filter(|known| known.run_id == own.run_id)
    }
}

impl Known {
    /// How often the server was emptied beyond what the ring is known to have done.
    fn unexplained(&self, own: &Sighting) -> u64 {
        let by_ring = self.counts.by_ring.saturating_sub(self.heard.by_ring);
        own.emptied.saturating_sub(self.heard.emptied).saturating_sub(by_ring)
    }
}

/// Both counts of one moment, which only a script can give: a flush of the ring's that came between would excuse
/// another one. It runs also where memory is short.
const SCRIPT: &str = "#!lua flags=allow-oom,no-writes
redis.call('SELECT', ARGV[1])
return {redis.call('INFO', 'commandstats'), redis.call('HGET', KEYS[1], ARGV[2])}";

/// Asks a server. One that does not let its agent look has only flushes of others, which is the safe way to be wrong.
pub(super) async fn count(
    server: &mut Server,
    db: i64,
    own: &Sighting,
    within: std::time::Duration,
) -> Result<Counts, Failure> {
    let mut eval = redis::cmd("EVAL");
    eval.arg(SCRIPT).arg(1).arg(crate::command::OWN_FLUSHES).arg(db).arg(&own.run_id);
    match server.ask::<(String, Option<u64>)>(&eval, within).await {
        Ok((stats, by_ring)) => Ok(Counts { all: Info::parse(&stats).flushes, by_ring: by_ring.unwrap_or(0) }),
        Err(Failure::Answered(code)) => {
            tracing::warn!(code, "the agent may not ask who flushed its server, and takes every flush for a loss");
            Ok(Counts { all: own.flushes, by_ring: 0 })
        }
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sighting(run_id: &str, flushes: u64) -> Sighting {
        Sighting { run_id: run_id.into(), client_id: 1, replica: false, flushes, emptied: 0, policy: String::new() }
    }

    #[test]
    fn only_flushes_past_the_ring_lose_data() {
        let mut known = Flushes::default();
        let lost = |known: &Flushes, all, by_ring| known.lost_data(&sighting("a", all), Counts { all, by_ring });
        // What was before this agent is not its business.
        assert!(known.have_changed(&sighting("a", 3)) && !lost(&known, 3, 1));
        known.settle(&sighting("a", 3), Counts { all: 3, by_ring: 1 });
        assert!(!known.have_changed(&sighting("a", 3)) && known.have_changed(&sighting("a", 4)));
        assert!(!lost(&known, 4, 2), "the ring's own");
        assert!(lost(&known, 4, 1), "another's");
        assert!(lost(&known, 6, 3), "two of the ring's and another's");
        assert!(!lost(&known, 0, 1), "counters that were reset");
        assert!(!known.lost_data(&sighting("b", 9), Counts { all: 9, by_ring: 0 }), "another life");
        // The ring's flushes that a reset hid excuse no later one, since both counts are settled anew.
        known.settle(&sighting("a", 1), Counts { all: 1, by_ring: 2 });
        assert!(lost(&known, 2, 2) && !lost(&known, 2, 3));
        // A count of the ring's that is gone with its key excuses nothing.
        assert!(lost(&known, 2, 0));
    }

    #[test]
    fn a_server_that_says_that_it_was_emptied_without_a_flush_of_the_ring_lost_data() {
        let mut known = Flushes::default();
        let own = |emptied, client_id| Sighting { emptied, client_id, ..sighting("a", 1) };
        let counts = |by_ring| Counts { all: 1, by_ring };
        known.settle(&own(0, 1), counts(5));
        assert!(!known.have_changed(&own(0, 1)) && known.have_changed(&own(1, 1)) && known.have_changed(&own(0, 2)));
        assert!(known.lost_data(&own(1, 1), counts(5)), "it read its data anew");
        // What was counted may be heard of later.
        known.settle(&own(0, 1), counts(6));
        assert!(!known.have_changed(&own(1, 1)) && !known.lost_data(&own(1, 1), counts(6)));
        assert!(known.lost_data(&own(2, 1), counts(6)));
        // What another connection heard of was of another time.
        assert!(!known.lost_data(&own(9, 2), counts(6)));
        // Once it is dealt with, it is over.
        known.settle(&own(2, 1), counts(6));
        assert!(!known.have_changed(&own(2, 1)) && !known.lost_data(&own(2, 1), counts(6)));
    }
}
