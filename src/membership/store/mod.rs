//! What agents and the command line change the ring with.

mod change;
mod init;
mod lead;
mod live;

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

pub(super) use change::change;
pub use change::{Change, Changed};
pub use live::Live;

use super::snapshot::Snapshot;
use super::zookeeper::{Backoff, Cache, Session, Target, Watch, is_transient, read, sync};
use super::{MembershipOptions, RingUrl};
use crate::placement::{Config, NodeId};
use crate::{Error, ErrorKind, Result};

/// One session with ZooKeeper for reading and changing the ring.
///
/// It lives as long as its session: when [`Store::ended`], open another. Dropping it ends the session, and with it
/// the ephemeral nodes it holds, in the background; [`Store::close`] waits for that.
#[derive(Debug)]
pub struct Store {
    session: Session,
    cache: Mutex<Cache>,
}

impl Store {
    /// Opens a session, within [`MembershipOptions::open_timeout`]. There need not be a ring yet.
    ///
    /// # Errors
    /// `Unreachable`, naming each host and why it did not do; `Invalid` for a ring that is not in ZooKeeper.
    ///
    /// # Cancel safety
    /// Dropping the future closes what it had opened.
    pub async fn open(url: &RingUrl, options: &MembershipOptions) -> Result<Store> {
        let RingUrl::ZooKeeper { hosts, root } = url else {
            let error = Error::new(ErrorKind::Invalid, "a static:// ring has no records to read or change");
            return Err(error.with_hint("only zk:// rings have agents, states and changes"));
        };
        let target = Target { hosts: hosts.clone(), root: root.clone(), options: options.clone() };
        let session = target.connect(Instant::now() + options.open_timeout).await?;
        Ok(Store { session, cache: Mutex::default() })
    }

    /// The root that the records are under.
    pub fn root(&self) -> &str {
        self.session.root()
    }

    /// Whether the session has ended for good.
    pub fn ended(&self) -> bool {
        self.session.ended()
    }

    /// All records at one epoch, at least as new as when this was called.
    ///
    /// # Errors
    /// `NotFounded`, `Membership`, `Denied` or `Unreachable`, as [`super::Membership::open`].
    pub async fn snapshot(&self) -> Result<Snapshot> {
        sync(&self.session).await.map_err(|why| why.into_error())?;
        self.read().await
    }

    /// Makes the next snapshot read this member's record anew, whatever the ring says of its version: so it is seen
    /// when somebody wrote it by hand.
    pub(crate) async fn forget(&self, id: &NodeId) {
        self.cache.lock().await.forget(id);
    }

    /// Founds a ring for so many members: creates its root and its records. The members' agents do the rest.
    ///
    /// # Errors
    /// `Conflict`, naming what is there, if a ring is; `Invalid` for numbers that make no ring; `Denied` or
    /// `Unreachable`. After `Unreachable` the ring may have been created.
    pub async fn init(&self, config: &Config, members: u32) -> Result<()> {
        init::init(self, config, members).await
    }

    /// Changes the ring by one `multi`, conditional on the snapshot that `decide` was shown. Where somebody else
    /// was faster, or ZooKeeper did not say whether it was done, `decide` is asked again with the newest snapshot;
    /// so it must judge from that alone. `Ok(None)` from it means that nothing is to be done.
    ///
    /// # Errors
    /// What `decide` returns; `Conflict` when others were faster too often; `Unreachable` or `Denied`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the change done or not done, never half done.
    pub async fn change<F>(&self, decide: F) -> Result<Changed>
    where
        F: FnMut(&Snapshot) -> Result<Option<Change>>,
    {
        change::change(&self.session, &self.cache, decide).await
    }

    /// Resolves when `/ring` has changed, or the session has ended, since this future was made.
    ///
    /// # Errors
    /// As [`Store::snapshot`].
    pub async fn watch_ring(&self) -> Result<impl Future<Output = ()> + Send + use<>> {
        let path = self.session.path("/ring");
        let watch = self.session.call(self.session.client().get_and_watch_data(&path)).await;
        let (_, _, watcher) = watch.map_err(|why| self.session.error("read /ring", why))?;
        let changed: Watch = Box::pin(watcher.changed());
        Ok(async move { drop(changed.await) })
    }

    /// Resolves when the session's state changes: lost, found again, or ended.
    pub async fn state_changed(&self) {
        self.session.client().state_watcher().changed().await;
    }

    /// Ends the session and waits for that, at most a few seconds: the ephemeral nodes are gone then.
    pub async fn close(self) {
        self.session.close().await;
    }

    async fn read(&self) -> Result<Snapshot> {
        let mut cache = self.cache.lock().await;
        read(&self.session, &mut cache, None).await.map_err(|why| why.into_error())
    }
}

/// How often a change is tried: with a hundred agents that fence at once, the last needs about as many.
const ATTEMPTS: usize = 100;

fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(2), Duration::from_millis(100))
}
