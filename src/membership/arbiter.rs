//! How a client asks for the newest ring, and takes a member out of it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::{Source, View};
use crate::placement::{Generation, NodeId};
use crate::{Error, ErrorKind, Result};

/// A member that is to be taken out, and what its record will say of that.
#[derive(Clone, Debug)]
pub(crate) struct Fence {
    pub(crate) id: NodeId,
    /// The life of its data that lacks something. A newer one has nothing to do with it.
    pub(crate) generation: Generation,
    pub(crate) reason: String,
    pub(crate) by: String,
}

/// How a member was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fenced {
    /// It is down, by this or by somebody who was faster, or it has a new life. The topology that says so is published.
    Out,
    /// It stays as it is, and this is why.
    Forbidden(&'static str),
}

/// A fence on its way to the task that follows the ring.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) fence: Fence,
    /// How long whoever asked for it waits.
    pub(super) limit: Duration,
    pub(super) done: oneshot::Sender<Result<Fenced>>,
}

/// How many fences may wait: there is one for each life of a member at the most.
const CALLS: usize = 256;

/// The reads that have caught up with ZooKeeper's leader first, by number.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reads {
    pub(super) begun: u64,
    /// The last one of which all that was new has been published.
    pub(super) done: u64,
}

/// Settles a client's doubts about the ring. All handles share the session of the task that follows it.
#[derive(Clone, Debug)]
pub(crate) struct Arbiter {
    views: watch::Receiver<Arc<View>>,
    reads: watch::Receiver<Reads>,
    refresh: Arc<Notify>,
    calls: mpsc::Sender<Call>,
}

/// What the task that follows the ring has of it.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) views: watch::Sender<Arc<View>>,
    pub(super) reads: watch::Sender<Reads>,
    pub(super) refresh: Arc<Notify>,
    pub(super) calls: mpsc::Receiver<Call>,
}

impl Arbiter {
    /// The two ends.
    #[cfg(feature = "zookeeper")]
    pub(super) fn new(first: View, refresh: Arc<Notify>) -> (Arbiter, Desk) {
        let (views, seen) = watch::channel(Arc::new(first));
        let (reads, counted) = watch::channel(Reads::default());
        let (calls, taken) = mpsc::channel(CALLS);
        let arbiter = Arbiter { views: seen, reads: counted, refresh: Arc::clone(&refresh), calls };
        (arbiter, Desk { views, reads, refresh, calls: taken })
    }

    pub(super) fn views(&self) -> &watch::Receiver<Arc<View>> {
        &self.views
    }

    /// The newest view.
    pub(crate) fn view(&self) -> Arc<View> {
        self.views.borrow().clone()
    }

    /// Asks for the ring to be read again, and returns at once.
    pub(crate) fn refresh(&self) {
        self.refresh.notify_one();
    }

    /// Waits for a read of the ring that began after this call, and until what it found is published. However many wait,
    /// they wait for the same one.
    ///
    /// # Errors
    /// `Unreachable` when there was none within `limit`, or at once when ZooKeeper has been lost for as long.
    ///
    /// # Cancel safety
    /// It changes nothing.
    pub(crate) async fn sync(&self, limit: Duration) -> Result<Arc<View>> {
        let mut reads = self.reads.clone();
        let wanted = reads.borrow_and_update().begun + 1;
        self.refresh();
        match timeout_at(self.patience(limit), reads.wait_for(|reads| reads.done >= wanted)).await {
            Ok(Ok(_)) => Ok(self.view()),
            Ok(Err(_)) | Err(_) => Err(self.lost("the newest ring could not be read")),
        }
    }

    /// Takes a member out, by one `multi` on the condition that the ring is as it was judged by. The topology that
    /// results is published before this returns.
    ///
    /// # Errors
    /// `Unreachable` or `Denied` when ZooKeeper cannot be asked within `limit`, or at once when it has been lost for as
    /// long. It may have been done all the same.
    ///
    /// # Cancel safety
    /// Dropping the future leaves it done or not done.
    pub(crate) async fn fence(&self, fence: Fence, limit: Duration) -> Result<Fenced> {
        let (done, answer) = oneshot::channel();
        let lost = || self.lost("the member could not be fenced");
        self.calls.try_send(Call { fence, limit, done }).map_err(|_| lost())?;
        match timeout_at(self.patience(limit), answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(lost()),
        }
    }

    /// Until when it is worth waiting for ZooKeeper. One that was lost a moment ago may be another host's in the next.
    fn patience(&self, limit: Duration) -> Instant {
        let now = Instant::now();
        match self.views.borrow().source {
            Source::Live => now + limit,
            Source::Stale { since } => (since + limit).max(now),
        }
    }

    fn lost(&self, what: &str) -> Error {
        Error::new(ErrorKind::Unreachable, format!("ZooKeeper cannot be reached: {what}"))
            .with_hint("check that ZooKeeper runs and can be reached from here")
    }
}
