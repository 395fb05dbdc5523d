//! The users' choices, as plain data.

use std::time::Duration;

use crate::placement::Zone;

/// Whom a read asks first. Whatever the policy, the other owners are asked when that one does not answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ReadPolicy {
    /// The primary. While no member comes or goes, a read sees every write that was acknowledged before it.
    #[default]
    Primary,
    /// The second owner; the first when there is no other.
    Replica,
    /// Any owner, at random: spreads hot keys over all copies.
    Any,
    /// An owner in this zone, where there is one.
    Nearest {
        /// The zone of this process.
        zone: Zone,
    },
}

/// When a write is acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WritePolicy {
    /// When every owner that is up has it.
    #[default]
    All,
    /// When the primary has it. The copies are still sent.
    Primary,
}

/// What becomes of a write that a member has missed and that nobody can fence for it, since ZooKeeper cannot be reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unfenced {
    /// It is acknowledged: one copy fewer holds it until the client has healed that copy or fenced the member, which it
    /// tries as soon as it can. [`Stats::debts`](crate::Stats::debts) counts them. Until then another client may read an
    /// older value from that member.
    #[default]
    Accept,
    /// It is an error with [`Outcome::Unknown`](crate::Outcome::Unknown): those owners that could be reached have it.
    Refuse,
}

/// How the copies get what a script or a function writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScriptPolicy {
    /// They get the state that its keys have right after it. Right for every script that writes no other keys than those
    /// it declares; costs a copy of those keys for each call.
    #[default]
    CopyState,
    /// They run it too. Only for scripts that do the same wherever they run: no time, no random numbers, no order of the
    /// elements of a set or a hash.
    Repeat,
}

/// Whether replies are kept in this process, so that reading a hot key again costs no round trip.
///
/// What is kept: the replies of commands that read one key and depend on nothing else (GET, HGETALL, SMEMBERS, ZRANGE and
/// the like; not TTL, SRANDMEMBER or the iterations), sent on their own and not in a pipeline. A reply is given again
/// only as long as all of this holds:
///
/// - The member that it came from is the one that would be asked now, on the same connection.
/// - That member has answered something that was asked within the last 100 ms. Under load it is asked every 50 ms.
/// - It has not said that the key was written (`CLIENT TRACKING`), and the key has not expired.
/// - This client has not written the key since: a write that was acknowledged is seen by every later read.
///
/// So a write of somebody else is seen as soon as the member's word of it is here, and at the latest 100 ms after it. It
/// needs servers from 6.0 that speak RESP3 and, with ACLs, a user that may run `CLIENT TRACKING`, `CLIENT CACHING` and
/// PTTL; other members are asked as without a cache, and a warning says so. With
/// [`ReadPolicy::Any`] each owner's reply is kept on its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CachePolicy {
    /// No reply is kept.
    #[default]
    Off,
    /// As many as fit.
    AtMost {
        /// The memory for all of them together, with what it takes to find them: about 640 bytes for each reply beside
        /// the command and the reply. What has not been used goes first. A reply that takes more than a sixteenth of it is
        /// not kept.
        bytes: usize,
    },
}

/// How long to wait for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// One connection attempt to a server, the handshake included.
    pub connect: Duration,
    /// One attempt of a read at one owner.
    pub read: Duration,
    /// One attempt of a write at one owner, and the time in which a silent connection must answer a PING, or is dropped.
    pub write: Duration,
    /// One probe by which an agent looks whether its server lives.
    pub probe: Duration,
    /// How long opening a client waits for ZooKeeper and for the ring to be founded.
    pub open: Duration,
}

impl Timeouts {
    /// The time for a write in milliseconds, as connections take it.
    pub(crate) fn write_ms(&self) -> u64 {
        u64::try_from(self.write.as_millis()).unwrap_or(u64::MAX)
    }

    /// Within what clocks can be added to.
    pub(crate) fn clamped(self) -> Timeouts {
        let clamp = |time: Duration| time.clamp(Duration::from_millis(1), Duration::from_secs(24 * 3600));
        Timeouts {
            connect: clamp(self.connect),
            read: clamp(self.read),
            write: clamp(self.write),
            probe: clamp(self.probe),
            open: clamp(self.open),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_millis(300),
            read: Duration::from_millis(500),
            write: Duration::from_millis(500),
            probe: Duration::from_millis(100),
            open: Duration::from_secs(5),
        }
    }
}

/// When a silent owner is left for the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HedgePolicy {
    /// After a high percentile of what that server usually takes, within these bounds.
    Adaptive {
        /// No sooner than this.
        at_least: Duration,
        /// No later than this.
        at_most: Duration,
    },
    /// After a fixed time.
    After(Duration),
    /// Only when the attempt times out.
    Never,
}

impl Default for HedgePolicy {
    fn default() -> Self {
        HedgePolicy::Adaptive { at_least: Duration::from_millis(2), at_most: Duration::from_millis(30) }
    }
}
