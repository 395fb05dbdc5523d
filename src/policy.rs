//! The users' choices, as plain data.

use std::time::Duration;

use crate::placement::Zone;

/// Whom a read asks first. Whatever the policy, the other owners are asked when that one does not answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ReadPolicy {
    /// The primary: reads see this process's and every acknowledged write in one order.
    #[default]
    Primary,
    /// The first replica that is up; the primary when there is none.
    Replica,
    /// Any owner, in turn: spreads hot keys over both copies.
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

/// How long to wait for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// One connection attempt to a server, the handshake included.
    pub connect: Duration,
    /// One attempt of a read at one owner.
    pub read: Duration,
    /// One attempt of a write at one owner.
    pub write: Duration,
    /// One probe of a server that is silent.
    pub probe: Duration,
    /// How long opening a client waits for ZooKeeper and for the ring to be founded.
    pub open: Duration,
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
