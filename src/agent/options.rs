//! What an agent is told.

use std::fmt;
use std::time::Duration;

use crate::membership::{Address, MembershipOptions, RingUrl};
use crate::placement::{NodeId, Weight, Zone};
use crate::policy::Timeouts;

/// What an agent is told. [`AgentOptions::new`] fills in what is usual.
#[derive(Clone, Debug)]
pub struct AgentOptions {
    /// The ring; only `zk://` rings have agents.
    pub ring: RingUrl,
    /// How ZooKeeper is reached.
    pub membership: MembershipOptions,
    /// The member's stable name.
    pub id: NodeId,
    /// Where the agent reaches its server.
    pub redis: Address,
    /// Who the agent is to its server, and to the others when it looks whether they answer.
    pub credentials: Credentials,
    /// Certificates for `rediss://` servers; `None` for the system's authorities and no certificate of the agent's own.
    #[cfg(feature = "tls")]
    pub tls: Option<crate::membership::TlsFiles>,
    /// Where others reach the server; `None` if that is the same address.
    pub announce: Option<Address>,
    /// The member's weight, used when it joins.
    pub weight: Weight,
    /// The member's zone, used when it joins.
    pub zone: Option<Zone>,
    /// What to do with a server that already has keys when the ring is founded.
    pub existing: ExistingKeys,
    /// When a server counts as dead or hung.
    pub health: HealthOptions,
    /// How many bytes of values a second are copied from each source while the member is filled; `None` for as many as the
    /// source can give without keeping others waiting.
    pub fill_rate: Option<u64>,
}

impl AgentOptions {
    /// The usual options.
    pub fn new(ring: RingUrl, id: NodeId, redis: Address) -> AgentOptions {
        AgentOptions {
            ring,
            membership: MembershipOptions::default(),
            id,
            redis,
            credentials: Credentials::default(),
            #[cfg(feature = "tls")]
            tls: None,
            announce: None,
            weight: Weight::default(),
            zone: None,
            existing: ExistingKeys::default(),
            health: HealthOptions::default(),
            fill_rate: None,
        }
    }

    /// Where others reach the server.
    pub fn announced(&self) -> &Address {
        self.announce.as_ref().unwrap_or(&self.redis)
    }
}

/// What to do with a server that already has keys when the ring is founded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ExistingKeys {
    /// Refuse it: the ring would look for most of its keys elsewhere, and they would have one copy.
    #[default]
    Refuse,
    /// Take it with its keys: whoever says so knows that they are where the ring looks for them.
    Adopt,
}

/// When a server counts as dead or hung. A server is dead at once when nobody listens at its port.
///
/// Until a server that hangs is out of the ring, all writes of its keys wait. So by default that takes a quarter of a
/// second, which is more than forking takes a server of some gigabytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealthOptions {
    /// How often it is asked whether it answers.
    pub every: Duration,
    /// How long one answer may take.
    pub probe: Duration,
    /// How long it may be silent until it counts as hung; at least three probes are unanswered then. Those that this process
    /// itself may have heard late, because it got no processor, do not count before ten times as long.
    pub hang_after: Duration,
    /// One connection attempt, the handshake included.
    pub connect: Duration,
}

impl Default for HealthOptions {
    fn default() -> Self {
        let [every, probe, hang_after] = [50, 75, 225].map(Duration::from_millis);
        HealthOptions { every, probe, hang_after, connect: Timeouts::default().connect }
    }
}

/// A user and a password of Redis. Its `Debug` shows neither.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The ACL user; `None` for the default user.
    pub username: Option<String>,
    /// The password; `None` if the server asks for none.
    pub password: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}
