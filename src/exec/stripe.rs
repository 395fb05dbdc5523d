//! One order per key within a process.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::placement::Token;

/// How many stripes a member's keys are spread over. Two keys of one stripe only share a short lock, and the order
/// in which their dependent copies leave.
const STRIPES: usize = 128;

/// The stripes of the keys whose first owner is one member.
///
/// They belong to the first owner, not to whoever is written first at the moment, so that the order holds while
/// owners come and go; and each member has its own, so that one that hangs holds up no keys but its own.
#[derive(Clone, Debug)]
pub(crate) struct Stripes(Arc<[Stripe]>);

impl Stripes {
    pub(crate) fn new() -> Stripes {
        Stripes((0..STRIPES).map(|_| Stripe::default()).collect())
    }

    /// The stripe of a key.
    #[inline]
    pub(crate) fn of(&self, token: Token) -> &Stripe {
        &self.0[token.0 as usize % STRIPES]
    }
}

/// Orders the commands of the keys that share it.
///
/// A command's first poll happens under [`Stripe::lock`], and a first poll enqueues, so the order of locking is the
/// order on every connection. A copy that leaves only after the primary's reply takes a ticket in the same moment;
/// copies leave in the order of the tickets.
#[derive(Debug, Default)]
pub(crate) struct Stripe(Mutex<Queue>);

/// The tickets that have not left.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    first: u64,
    waiting: VecDeque<Place>,
}

#[derive(Debug)]
enum Place {
    Taken,
    Waiting(Waker),
    Left,
}

impl Stripe {
    /// To be held while commands are polled for the first time, and never across an await.
    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until everybody before this ticket has left. Cancel safe: the place is kept.
    pub(crate) async fn turn(&self, ticket: &Ticket) {
        poll_fn(|cx| {
            let mut queue = self.lock();
            if queue.first == ticket.0 {
                return Poll::Ready(());
            }
            let at = usize::try_from(ticket.0 - queue.first).unwrap_or(usize::MAX);
            if let Some(place) = queue.waiting.get_mut(at) {
                *place = Place::Waiting(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// Gives a place up, and wakes the next if its turn has come.
    pub(crate) fn leave(&self, ticket: &Ticket) {
        let mut queue = self.lock();
        let at = usize::try_from(ticket.0 - queue.first).unwrap_or(usize::MAX);
        if let Some(place) = queue.waiting.get_mut(at) {
            *place = Place::Left;
        }
        while let Some(Place::Left) = queue.waiting.front() {
            queue.waiting.pop_front();
            queue.first += 1;
        }
        let next = match queue.waiting.front_mut() {
            Some(place @ Place::Waiting(_)) => match std::mem::replace(place, Place::Taken) {
                Place::Waiting(waker) => Some(waker),
                Place::Taken | Place::Left => None,
            },
            Some(Place::Taken | Place::Left) | None => None,
        };
        drop(queue);
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

impl Queue {
    /// Whether no copy is still to leave.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the next place.
    pub(crate) fn take(&mut self) -> Ticket {
        self.waiting.push_back(Place::Taken);
        Ticket(self.first + self.waiting.len() as u64 - 1)
    }
}

/// A place in the order in which copies leave. Whoever holds it must give it up with [`Stripe::leave`].
#[derive(Debug)]
pub(crate) struct Ticket(u64);

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn copies_leave_in_the_order_of_their_tickets() {
        let stripe = Stripe::default();
        let (a, b, c) = {
            let mut queue = stripe.lock();
            assert!(queue.is_empty());
            (queue.take(), queue.take(), queue.take())
        };
        assert!(stripe.turn(&a).now_or_never().is_some());
        assert!(stripe.turn(&b).now_or_never().is_none());
        // Whoever gives up in the middle holds nobody up later.
        stripe.leave(&b);
        assert!(stripe.turn(&c).now_or_never().is_none());
        stripe.leave(&a);
        assert!(stripe.turn(&c).now_or_never().is_some());
        stripe.leave(&c);
        assert!(stripe.lock().is_empty());
        let d = stripe.lock().take();
        assert!(stripe.turn(&d).now_or_never().is_some());
    }

    #[tokio::test]
    async fn the_next_in_turn_is_woken() {
        let stripe = Arc::new(Stripe::default());
        let tickets: Vec<Ticket> = (0..20).map(|_| stripe.lock().take()).collect();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for ticket in tickets.into_iter().rev() {
            let (stripe, order) = (Arc::clone(&stripe), Arc::clone(&order));
            tasks.spawn(async move {
                stripe.turn(&ticket).await;
                order.lock().unwrap().push(ticket.0);
                stripe.leave(&ticket);
            });
        }
        tasks.join_all().await;
        assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
    }
}
