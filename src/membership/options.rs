//! How membership is reached.

use std::fmt;
use std::time::Duration;

use crate::policy::Timeouts;

/// How ZooKeeper is reached. A fixed ring needs none of it.
#[derive(Clone, Debug)]
pub struct MembershipOptions {
    /// Who this process is to ZooKeeper (`digest`). With it, nodes are created for this user alone; without it,
    /// for everybody.
    pub auth: Option<Digest>,
    /// How long ZooKeeper keeps the session of a process that it does not hear from. The server bounds it to 2 to
    /// 20 of its ticks.
    pub session_timeout: Duration,
    /// How long opening waits for ZooKeeper and for the ring to be founded.
    pub open_timeout: Duration,
    /// TLS to ZooKeeper; `None` speaks plainly.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsFiles>,
}

impl Default for MembershipOptions {
    fn default() -> Self {
        MembershipOptions {
            auth: None,
            session_timeout: Duration::from_secs(10),
            open_timeout: Timeouts::default().open,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

/// A user and a password. Its `Debug` shows neither.
#[derive(Clone, PartialEq, Eq)]
pub struct Digest {
    user: String,
    password: String,
}

impl Digest {
    /// Takes the user and the password.
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Digest {
        Digest { user: user.into(), password: password.into() }
    }

    /// As ZooKeeper wants it.
    #[cfg(feature = "zookeeper")]
    pub(crate) fn token(&self) -> String {
        format!("{}:{}", self.user, self.password)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(..)")
    }
}

/// Certificates in PEM. Its `Debug` does not show them.
#[cfg(feature = "tls")]
#[derive(Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The authorities that sign the servers' certificates.
    pub authorities: String,
    /// This process's certificate and its key, where the server asks for one.
    pub identity: Option<(String, String)>,
}

#[cfg(feature = "tls")]
impl fmt::Debug for TlsFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsFiles").field("identity", &self.identity.is_some()).finish_non_exhaustive()
    }
}
