//! Who belongs to the ring: read as whole snapshots, followed, and kept whatever happens to ZooKeeper.
//!
//! [`Membership`] is what a client holds: it publishes one [`View`] after another. `Store` is what agents and the
//! command line change the ring with. A ring never changes because ZooKeeper went away: the last known topology
//! keeps serving, marked [`Source::Stale`].

mod address;
#[cfg_attr(not(feature = "zookeeper"), expect(dead_code, reason = "a ring that is fixed has none"))]
mod arbiter;
#[cfg(feature = "zookeeper")]
mod beside;
#[cfg(feature = "zookeeper")]
pub(crate) mod fence;
mod fixed;
#[cfg_attr(not(feature = "zookeeper"), expect(dead_code, reason = "a ring that is fixed has none"))]
mod hints;
mod options;
#[cfg(feature = "zookeeper")]
pub mod records;
#[cfg(feature = "zookeeper")]
mod snapshot;
#[cfg(feature = "zookeeper")]
mod store;
mod url;
#[cfg(feature = "zookeeper")]
pub(crate) mod zookeeper;

use std::sync::Arc;

#[cfg(feature = "zookeeper")]
use tokio::sync::Notify;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::Instant;

pub use address::{Address, InvalidAddress};
pub(crate) use arbiter::{Arbiter, Fence, Fenced};
pub(crate) use hints::Hints;
#[cfg(feature = "tls")]
pub use options::TlsFiles;
pub use options::{Digest, MembershipOptions};
#[cfg(feature = "zookeeper")]
pub use snapshot::{Entry, Snapshot};
#[cfg(feature = "zookeeper")]
pub use store::{Change, Changed, Live, Store};
pub use url::RingUrl;

use crate::Result;
use crate::placement::Topology;

/// A topology, and whether it is the newest.
#[derive(Clone, Debug)]
pub struct View {
    /// The ring and its members.
    pub topology: Arc<Topology>,
    /// Whether changes are still seen.
    pub source: Source,
}

/// Whether changes of the ring are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// As far as this process knows, this is the ring. A fixed ring is always this.
    Live,
    /// ZooKeeper is lost, or what is there cannot be used: this is the last ring known.
    Stale {
        /// Since when, by this process's clock.
        since: Instant,
    },
}

/// Follows the ring for as long as it lives. Its task ends when it is dropped.
#[derive(Debug)]
pub struct Membership {
    views: watch::Receiver<Arc<View>>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// There is no task that would hold the sending end.
    Fixed(#[expect(dead_code, reason = "it is held, so that receivers do not end")] watch::Sender<Arc<View>>),
    #[cfg_attr(not(feature = "zookeeper"), expect(dead_code, reason = "a ring that is fixed has none"))]
    Followed { arbiter: Arbiter, hints: Arc<Hints>, task: AbortHandle },
}

impl Membership {
    /// Opens the ring and waits for its first complete snapshot, and for its founding, at most
    /// [`MembershipOptions::open_timeout`].
    ///
    /// # Errors
    /// - `Unreachable`: ZooKeeper did not answer; the text names each host and why.
    /// - `NotFounded`: there is no ring under the root.
    /// - `Founding`: not all founders have registered; the text says how many have.
    /// - `Membership`: what is there cannot be used, has no members, or is of a newer version.
    /// - `Denied`: ZooKeeper does not let this user read it.
    /// - `Invalid`: options that cannot be used, two ids with one CRC32, or `zk://` in a build without the feature
    ///   `zookeeper`.
    ///
    /// # Cancel safety
    /// Dropping the future closes what it had opened.
    pub async fn open(url: &RingUrl, options: &MembershipOptions) -> Result<Membership> {
        match url {
            RingUrl::Fixed { members, copies, vnodes, db } => {
                let topology = Arc::new(fixed::topology(members, *copies, *vnodes, *db)?);
                let (sender, views) = watch::channel(Arc::new(View { topology, source: Source::Live }));
                Ok(Membership { views, kind: Kind::Fixed(sender) })
            }
            RingUrl::ZooKeeper { hosts, root } => Membership::follow(hosts, root, options).await,
        }
    }

    #[cfg(feature = "zookeeper")]
    async fn follow(hosts: &[String], root: &str, options: &MembershipOptions) -> Result<Membership> {
        let target = zookeeper::Target { hosts: hosts.to_vec(), root: root.to_owned(), options: options.clone() };
        let refresh = Arc::new(Notify::new());
        let hints = Hints::new(refresh.clone());
        let (arbiter, follower) = zookeeper::open(target, refresh, hints.clone()).await?;
        let task = tokio::spawn(follower.run()).abort_handle();
        Ok(Membership { views: arbiter.views().clone(), kind: Kind::Followed { arbiter, hints, task } })
    }

    #[cfg(not(feature = "zookeeper"))]
    async fn follow(_: &[String], _: &str, _: &MembershipOptions) -> Result<Membership> {
        let message = "this build of redis-ring cannot open zk:// rings";
        Err(crate::Error::new(crate::ErrorKind::Invalid, message)
            .with_hint("turn on the feature `zookeeper` of the crate redis-ring, or use a static:// ring"))
    }

    /// The newest view.
    pub fn view(&self) -> Arc<View> {
        self.views.borrow().clone()
    }

    /// Follows the views: each topology is published whole, and going stale or live again is a view as well. A
    /// receiver that is slow sees the newest and misses those in between. It ends when this is dropped.
    pub fn subscribe(&self) -> watch::Receiver<Arc<View>> {
        self.views.clone()
    }

    /// Asks for the ring to be read again now, from a server that has caught up with ZooKeeper's leader. However
    /// many ask, one read is in flight, and they take a tenth of the time at most; what it finds is published as any
    /// other change. Returns at once. A fixed ring has nothing to read.
    pub fn refresh(&self) {
        if let Some(arbiter) = self.arbiter() {
            arbiter.refresh();
        }
    }

    /// Who settles doubts about the ring; nobody of a fixed one.
    pub(crate) fn arbiter(&self) -> Option<&Arbiter> {
        match &self.kind {
            Kind::Fixed(_) => None,
            Kind::Followed { arbiter, .. } => Some(arbiter),
        }
    }

    /// The way back from the connections to members; none for a fixed ring, of which they can tell nothing.
    pub(crate) fn hints(&self) -> Option<&Arc<Hints>> {
        match &self.kind {
            Kind::Fixed(_) => None,
            Kind::Followed { hints, .. } => Some(hints),
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        if let Kind::Followed { task, .. } = &self.kind {
            task.abort();
        }
    }
}
