//! One session with ZooKeeper: every call has a time limit, and every error says what was being done.

use std::future::Future;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use zookeeper_client as zk;

use super::backoff::Backoff;
use crate::membership::MembershipOptions;
use crate::{Error, ErrorKind, Result};

/// The servers, the root, and how to speak to them.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// `host:port` each.
    pub(crate) hosts: Vec<String>,
    /// Begins with a slash and does not end with one.
    pub(crate) root: String,
    pub(crate) options: MembershipOptions,
}

/// A session that was established. It ends when ZooKeeper expires it; then a new one is needed.
///
/// Dropping it closes it cleanly in the background.
#[derive(Debug)]
pub(crate) struct Session {
    client: zk::Client,
    root: String,
    creator_only: bool,
    /// zookeeper-client's calls simply wait while it is disconnected.
    call_timeout: Duration,
}

impl Target {
    /// Connects, trying until the deadline.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`], naming each host and why it did not do; [`ErrorKind::Invalid`] for options that
    /// cannot be used.
    pub(crate) async fn connect(&self, deadline: Instant) -> Result<Session> {
        let started = Instant::now();
        let total = deadline.saturating_duration_since(started);
        // What is left after this is for asking each host why.
        let connect_until = deadline - (total / 4).min(PROBE);
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(500));
        loop {
            match timeout_at(connect_until, self.connect_once()).await {
                Ok(Ok(session)) => return Ok(session),
                Ok(Err(error)) if error.kind() == ErrorKind::Invalid => return Err(error),
                Ok(Err(error)) => tracing::debug!(%error, "no session with ZooKeeper yet"),
                Err(_) => return Err(self.unreachable(deadline, total).await),
            }
            let pause = Instant::now() + backoff.next();
            if pause >= connect_until {
                return Err(self.unreachable(deadline, total).await);
            }
            tokio::time::sleep_until(pause).await;
        }
    }

    /// Makes one round over all hosts.
    ///
    /// # Errors
    /// As [`Target::connect`], but without asking each host why.
    pub(crate) async fn connect_once(&self) -> Result<Session> {
        let MembershipOptions { session_timeout, open_timeout, .. } = &self.options;
        // A third of the time to open, so that one host that swallows packets leaves time for the others.
        let silent = (*session_timeout * 2 / 5).min(*open_timeout / 3).max(Duration::from_millis(50));
        let mut connector = zk::Client::connector()
            .with_session_timeout(*session_timeout)
            .with_connection_timeout(silent)
            .with_fail_eagerly();
        if let Some(auth) = &self.options.auth {
            connector = connector.with_auth("digest", auth.token().as_bytes());
        }
        let cluster = self.hosts.join(",");
        #[cfg(feature = "tls")]
        let connected = match &self.options.tls {
            Some(files) => connector.with_tls(tls_options(files)?).secure_connect(&cluster).await,
            None => connector.connect(&cluster).await,
        };
        #[cfg(not(feature = "tls"))]
        let connected = connector.connect(&cluster).await;
        match connected {
            Ok(client) => {
                let call_timeout = *session_timeout / 2;
                let call_timeout = call_timeout.clamp(Duration::from_millis(500), Duration::from_secs(5));
                tracing::debug!(session = %client.session_id(), "session with ZooKeeper established");
                Ok(Session { client, root: self.root.clone(), creator_only: self.options.auth.is_some(), call_timeout })
            }
            Err(zk::Error::BadArguments(why)) => {
                Err(Error::new(ErrorKind::Invalid, format!("ZooKeeper's hosts cannot be used: {why}")))
            }
            Err(why) => Err(Error::new(ErrorKind::Unreachable, "no session with ZooKeeper").with_source(why)),
        }
    }

    async fn unreachable(&self, deadline: Instant, waited: Duration) -> Error {
        let deadline = deadline.max(Instant::now() + Duration::from_millis(20));
        let probe = |host: &String| {
            let host = host.clone();
            async move {
                match timeout_at(deadline, TcpStream::connect(&host)).await {
                    Err(_) => format!("{host}: no answer"),
                    Ok(Err(why)) => format!("{host}: {}", reason(&why)),
                    Ok(Ok(_)) => format!("{host}: accepts connections, but opens no session"),
                }
            }
        };
        let tried = join_all(self.hosts.iter().map(probe)).await.join("; ");
        // The part of a millisecond that has passed since the deadline was set says nothing.
        let waited = Duration::from_millis(waited.as_micros().div_ceil(1000) as u64);
        let message = format!("ZooKeeper cannot be reached within {waited:?} ({tried})");
        Error::new(ErrorKind::Unreachable, message)
            .with_hint("check the hosts in the ring's URL, and that ZooKeeper runs and is ready")
    }
}

/// How long the question why a host does not do may take.
const PROBE: Duration = Duration::from_millis(500);

fn reason(why: &std::io::Error) -> String {
    match why.kind() {
        std::io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        std::io::ErrorKind::TimedOut => "no answer".to_owned(),
        _ => why.to_string(),
    }
}

impl Session {
    /// The path of a node under the root: `path` begins with a slash.
    pub(crate) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.root)
    }

    /// The root itself.
    pub(crate) fn root(&self) -> &str {
        &self.root
    }

    /// The client, for building a `multi`, for watches and for its state.
    pub(crate) fn client(&self) -> &zk::Client {
        &self.client
    }

    /// The number of this session: the owner of its ephemeral nodes.
    pub(crate) fn id(&self) -> i64 {
        self.client.session_id().0
    }

    /// Whether ZooKeeper or zookeeper-client has given this session up.
    pub(crate) fn ended(&self) -> bool {
        self.client.state().is_terminated()
    }

    /// Who may do what with the nodes that this session creates.
    pub(crate) fn acls(&self) -> zk::Acls<'static> {
        if self.creator_only { zk::Acls::creator_all() } else { zk::Acls::anyone_all() }
    }

    /// Waits for a call, at most the call's time limit.
    pub(crate) async fn call<T>(
        &self,
        call: impl Future<Output = std::result::Result<T, zk::Error>>,
    ) -> std::result::Result<T, zk::Error> {
        self.limit(call).await.unwrap_or(Err(zk::Error::Timeout))
    }

    /// As [`Session::call`], for calls with errors of another type: `None` at the time limit.
    pub(crate) async fn limit<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        timeout(self.call_timeout, call).await.ok()
    }

    /// What a failed call means to the caller.
    pub(crate) fn error(&self, doing: &str, why: zk::Error) -> Error {
        let root = &self.root;
        match why {
            zk::Error::NoAuth | zk::Error::AuthFailed => {
                Error::new(ErrorKind::Denied, format!("ZooKeeper does not let this client {doing} under {root}"))
                    .with_hint("the nodes belong to a user: give ZooKeeper's user and password as options")
            }
            zk::Error::NoNode => not_founded(root),
            why if is_transient(&why) => {
                Error::new(ErrorKind::Unreachable, format!("ZooKeeper did not {doing} under {root}")).with_source(why)
            }
            why => {
                Error::new(ErrorKind::Membership, format!("ZooKeeper did not {doing} under {root}")).with_source(why)
            }
        }
    }

    /// Closes the session and waits until that is done, at most the call's time limit: its ephemeral nodes are
    /// gone then.
    pub(crate) async fn close(self) {
        let call_timeout = self.call_timeout;
        let mut state = self.client.state_watcher();
        drop(self);
        let closed = async { while !state.changed().await.is_terminated() {} };
        if timeout(call_timeout, closed).await.is_err() {
            tracing::warn!("the session with ZooKeeper was not closed in time; it ends by its timeout");
        }
    }
}

/// Whether the same call may succeed later, in this session or the next.
pub(crate) fn is_transient(why: &zk::Error) -> bool {
    matches!(
        why,
        zk::Error::Timeout
            | zk::Error::ConnectionLoss
            | zk::Error::SessionExpired
            | zk::Error::SessionMoved
            | zk::Error::ClientClosed
            | zk::Error::NoHosts
            | zk::Error::Throttled
            | zk::Error::Custom(_)
    )
}

/// The root has no ring in it.
pub(crate) fn not_founded(root: &str) -> Error {
    Error::new(ErrorKind::NotFounded, format!("there is no ring under {root}"))
        .with_hint("found one: redis-ring --ring URL init --members N")
}

#[cfg(feature = "tls")]
fn tls_options(files: &crate::membership::TlsFiles) -> Result<zk::TlsOptions> {
    let bad = |why: zk::Error| {
        Error::new(ErrorKind::Invalid, "the certificates for ZooKeeper cannot be used").with_source(why)
    };
    let options = zk::TlsOptions::new().with_pem_ca(&files.authorities).map_err(bad)?;
    match &files.identity {
        Some((certificate, key)) => options.with_pem_identity(certificate, key).map_err(bad),
        None => Ok(options),
    }
}
