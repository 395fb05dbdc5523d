//! Holds up this process's writes for a moment.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Writes that begin wait while somebody holds this; those that have begun go on.
///
/// Whoever holds it is a task of the client's own and ends in bounded time.
#[derive(Debug, Default)]
pub(super) struct Pause {
    holders: AtomicUsize,
    over: Notify,
}

impl Pause {
    pub(super) fn hold(self: &Arc<Self>) -> Held {
        self.holders.fetch_add(1, Ordering::SeqCst);
        Held(Arc::clone(self))
    }

    #[inline]
    pub(super) fn is_held(&self) -> bool {
        self.holders.load(Ordering::Relaxed) > 0
    }

    /// Waits until nobody holds it.
    #[cold]
    pub(super) async fn over(&self) {
        loop {
            // A waiter registered before looking misses no change.
            let mut over = pin!(self.over.notified());
            over.as_mut().enable();
            if self.holders.load(Ordering::SeqCst) == 0 {
                return;
            }
            over.await;
        }
    }
}

/// Ends the pause when it is dropped.
#[derive(Debug)]
pub(super) struct Held(Arc<Pause>);

impl Drop for Held {
    fn drop(&mut self) {
        if self.0.holders.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.over.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn it_is_over_when_the_last_holder_is_gone() {
        let pause = Arc::new(Pause::default());
        assert!(pause.over().now_or_never().is_some());
        let (one, two) = (pause.hold(), pause.hold());
        let waiting = tokio::spawn({
            let pause = Arc::clone(&pause);
            async move { pause.over().await }
        });
        drop(one);
        assert!(pause.is_held() && pause.over().now_or_never().is_none());
        drop(two);
        waiting.await.unwrap();
        assert!(!pause.is_held());
    }
}
