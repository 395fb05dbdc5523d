//! What the connections to members tell whoever follows the ring.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// The way back from the connections to the membership: that the view is too old, and records that a server keeps.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    refresh: Arc<Notify>,
    /// The newest only: each is a whole ring, and an older one says nothing more.
    offer: Mutex<Option<Vec<u8>>>,
    offered: Notify,
}

impl Hints {
    /// `refresh` has the ring read again.
    pub(super) fn new(refresh: Arc<Notify>) -> Arc<Hints> {
        Arc::new(Hints { refresh, ..Hints::default() })
    }

    /// The ring may have changed: it is read again now. However many say so, ZooKeeper is asked no more often than the
    /// membership allows.
    pub(crate) fn doubt(&self) {
        self.refresh.notify_one();
    }

    /// Hands over the records that a server keeps. Whether they are used is the membership's to decide.
    pub(crate) fn offer(&self, records: Vec<u8>) {
        *self.offer.lock().unwrap_or_else(PoisonError::into_inner) = Some(records);
        self.offered.notify_one();
    }

    /// Waits for records. Cancel safe.
    #[cfg(feature = "zookeeper")]
    pub(super) async fn offered(&self) -> Vec<u8> {
        loop {
            if let Some(records) = self.offer.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return records;
            }
            self.offered.notified().await;
        }
    }
}
