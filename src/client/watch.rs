//! Following the topology.

use std::sync::Arc;

use tokio::sync::watch;

use crate::membership::View;

/// The topology's changes, one after another, from [`RingClient::watch`](super::RingClient::watch).
#[derive(Clone, Debug)]
pub struct TopologyWatch {
    views: watch::Receiver<Arc<View>>,
}

impl TopologyWatch {
    pub(super) fn new(mut views: watch::Receiver<Arc<View>>) -> TopologyWatch {
        views.mark_unchanged();
        TopologyWatch { views }
    }

    /// The newest view.
    pub fn current(&self) -> Arc<View> {
        self.views.borrow().clone()
    }

    /// Waits for the next change: another topology, or that changes are no longer seen, or seen again. Several changes
    /// in quick succession may be seen as one. `None` when the client is gone.
    ///
    /// # Cancel safety
    /// Nothing is missed when the future is dropped.
    pub async fn changed(&mut self) -> Option<Arc<View>> {
        self.views.changed().await.ok()?;
        Some(self.views.borrow_and_update().clone())
    }
}
