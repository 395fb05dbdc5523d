//! The options of a client.

use std::time::Duration;

use super::RingClient;
use crate::error::Result;
use crate::exec::ExecOptions;
#[cfg(feature = "tls")]
use crate::membership::TlsFiles;
use crate::membership::{Digest, MembershipOptions, RingUrl};
#[cfg(feature = "cli")]
use crate::node::ConnectOptions;
use crate::node::OwnConnections;
use crate::policy::{CachePolicy, HedgePolicy, ReadPolicy, ScriptPolicy, Timeouts, Unfenced, WritePolicy};

/// Options of a [`RingClient`], from [`RingClient::builder`].
///
/// Its `Debug` shows no credentials.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `open`"]
pub struct RingClientBuilder {
    url: RingUrl,
    membership: MembershipOptions,
    exec: ExecOptions,
    name: Option<String>,
}

impl RingClientBuilder {
    pub(super) fn new(url: RingUrl) -> RingClientBuilder {
        RingClientBuilder { url, membership: MembershipOptions::default(), exec: ExecOptions::default(), name: None }
    }

    /// For those who have read the URL and the options of the membership already.
    #[cfg(feature = "zookeeper")]
    pub(crate) fn with(url: RingUrl, membership: MembershipOptions) -> RingClientBuilder {
        RingClientBuilder { membership, ..RingClientBuilder::new(url) }
    }

    /// What this client is called, for people: in a server's `CLIENT LIST` its connections are `rr:<step>:<name>`. By
    /// default it is `<host>-<pid>-<random>`. Several clients may have one name.
    ///
    /// It is 1 to 64 of `A-Z a-z 0-9 . _ -`; with anything else [`open`](RingClientBuilder::open) fails. Rings of fixed
    /// membership do not name their connections.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whom reads ask first.
    pub fn read_policy(mut self, policy: ReadPolicy) -> Self {
        self.exec.read_policy = policy;
        self
    }

    /// When writes are acknowledged.
    pub fn write_policy(mut self, policy: WritePolicy) -> Self {
        self.exec.write_policy = policy;
        self
    }

    /// What becomes of a write that an owner has missed while ZooKeeper cannot be reached, so that nobody can take that owner
    /// out of the ring.
    pub fn on_unfenced(mut self, policy: Unfenced) -> Self {
        self.exec.unfenced = policy;
        self
    }

    /// How the copies get what scripts write.
    pub fn script_policy(mut self, policy: ScriptPolicy) -> Self {
        self.exec.script_policy = policy;
        self
    }

    /// When a silent owner is left for the next.
    pub fn hedge_policy(mut self, policy: HedgePolicy) -> Self {
        self.exec.connect.hedge = policy;
        self
    }

    /// Whether replies are kept in this process. By default none are.
    pub fn cache(mut self, policy: CachePolicy) -> Self {
        self.exec.cache_policy = policy;
        self
    }

    /// How long to wait for what.
    ///
    /// Each is taken as at least a millisecond and at most a day.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        let timeouts = timeouts.clamped();
        self.membership.open_timeout = timeouts.open;
        self.exec.connect.timeouts = timeouts;
        self
    }

    /// How many [transactions](RingClient::transaction) may be under way at each member at the same time: each has a
    /// connection of its own. 1024 by default; further ones are refused.
    pub fn transaction_connections(mut self, limit: usize) -> Self {
        self.exec.connect.own_connections = OwnConnections(limit);
        self
    }

    /// The password of the servers' default user (`AUTH password`).
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.exec.connect.password = Some(password.into());
        self
    }

    /// An ACL user of the servers and its password.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.exec.connect.username = Some(name.into());
        self.password(password)
    }

    /// Who this client is to ZooKeeper (digest authentication).
    pub fn zookeeper_auth(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.membership.auth = Some(Digest::new(user, password));
        self
    }

    /// How long ZooKeeper keeps the session of a client that it does not hear from. The server bounds it to 2 to 20 of
    /// its ticks.
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.membership.session_timeout = timeout;
        self
    }

    /// Certificates for servers whose address is `rediss://`. Without them the system's authorities are used.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, files: TlsFiles) -> Self {
        self.exec.connect.tls = crate::node::Tls::new(Some(files));
        self
    }

    /// Speaks TLS to ZooKeeper.
    #[cfg(feature = "tls")]
    pub fn zookeeper_tls(mut self, files: TlsFiles) -> Self {
        self.membership.tls = Some(files);
        self
    }

    /// What was set, for those who ask ZooKeeper or the servers past the client.
    #[cfg(feature = "cli")]
    pub(crate) fn parts(&self) -> (&RingUrl, &MembershipOptions, &ConnectOptions) {
        (&self.url, &self.membership, &self.exec.connect)
    }

    /// Opens the ring.
    ///
    /// # Errors
    /// As [`RingClient::open`].
    ///
    /// # Cancel safety
    /// Dropping the future closes what it had opened.
    pub async fn open(self) -> Result<RingClient> {
        RingClient::start(&self.url, &self.membership, self.exec, self.name.as_deref()).await
    }
}
