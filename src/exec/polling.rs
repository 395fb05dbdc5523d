//! How the futures of a write are polled.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

/// Waits for two futures at once. They are borrowed where `join` owns them: each has room for all that a request may ever
/// hold, and would be copied on its way in and out.
pub(super) async fn both<A: Future, B: Future>(mut one: Pin<&mut A>, mut other: Pin<&mut B>) -> (A::Output, B::Output) {
    let mut results = (None, None);
    poll_fn(|cx| {
        if results.0.is_none()
            && let Poll::Ready(result) = one.as_mut().poll(cx)
        {
            results.0 = Some(result);
        }
        if results.1.is_none()
            && let Poll::Ready(result) = other.as_mut().poll(cx)
        {
            results.1 = Some(result);
        }
        if results.0.is_none() || results.1.is_none() {
            return Poll::Pending;
        }
        results.0.take().zip(results.1.take()).map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Polls a future that must enqueue now, whatever the caller's task has used up of its budget.
pub(super) fn poll_unconstrained<F: Future>(mut future: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<F::Output> {
    pin!(tokio::task::unconstrained(poll_fn(|cx| future.as_mut().poll(cx)))).poll(cx)
}

/// Lets the executor poll once more.
pub(super) async fn yield_once() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
