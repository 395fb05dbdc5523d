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
