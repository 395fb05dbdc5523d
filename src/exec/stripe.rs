//! One order per key within a process.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::placement::Token;

/// How many stripes the keys are spread over. Two keys of one stripe share nothing but a short lock.
const STRIPES: usize = 256;

/// The stripes of all keys.
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

    /// Locks the stripes of several keys, in the one order that everybody locks them in.
    pub(crate) fn lock_all(&self, tokens: &[Token]) -> Locked<'_> {
        let mut numbers: Vec<usize> = tokens.iter().map(|token| token.0 as usize % STRIPES).collect();
        numbers.sort_unstable();
        numbers.dedup();
        Locked(numbers.into_iter().map(|number| (number, self.0[number].lock())).collect())
    }
}

/// The locks of several stripes.
pub(crate) struct Locked<'a>(Vec<(usize, MutexGuard<'a, Lines>)>);

impl Locked<'_> {
    /// Whether nobody stands in line for a key. Its stripe must be locked.
    pub(crate) fn is_free(&self, token: Token) -> bool {
        self.at(token).and_then(|at| self.0.get(at)).is_some_and(|(_, lines)| lines.is_free(token))
    }

    /// Takes the next place in the line of a key. Its stripe must be locked.
    pub(crate) fn take(&mut self, token: Token) -> Option<Ticket> {
        self.at(token).and_then(|at| self.0.get_mut(at)).map(|(_, lines)| lines.take(token))
    }

    fn at(&self, token: Token) -> Option<usize> {
        self.0.binary_search_by_key(&(token.0 as usize % STRIPES), |(number, _)| *number).ok()
    }
}

impl Stripes {
    /// All stripes at once, if no copy of any key is still to leave. To be held as [`Stripe::lock`] is.
    ///
    /// They are taken in the one order that everybody takes them in.
    pub(crate) fn lock_all_free(&self) -> Option<Vec<MutexGuard<'_, Lines>>> {
        self.0.iter().map(|stripe| Some(stripe.lock()).filter(|lines| lines.0.is_empty())).collect()
    }
}

/// Orders the commands of each key of the stripe.
///
/// A command's first poll happens under [`Stripe::lock`], and a first poll enqueues, so the order of locking is the
/// order on every connection. A copy that leaves only after the primary's reply takes a ticket in its key's line in the
/// same moment; copies leave in the order of the tickets. Each token has a line of its own, so a member that hangs holds
/// up no keys but its own.
#[derive(Debug, Default)]
pub(crate) struct Stripe(Mutex<Lines>);

/// The lines that somebody stands in, by token.
#[derive(Debug, Default)]
pub(crate) struct Lines(HashMap<u32, Line>);

/// The tickets of one token that have not left.
#[derive(Debug, Default)]
struct Line {
    first: u64,
    places: VecDeque<Place>,
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
    pub(crate) fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until everybody before this ticket has left. Cancel safe: the place is kept.
    pub(crate) async fn turn(&self, ticket: &Ticket) {
        poll_fn(|cx| {
            let mut lines = self.lock();
            match lines.place(ticket) {
                Some((0, _)) | None => Poll::Ready(()),
                Some((_, place)) => {
                    *place = Place::Waiting(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
    }

    /// Gives a place up, and wakes the next if its turn has come.
    pub(crate) fn leave(&self, ticket: &Ticket) {
        let mut lines = self.lock();
        if let Some((_, place)) = lines.place(ticket) {
            *place = Place::Left;
        }
        let next = lines.advance(ticket.token);
        drop(lines);
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

impl Lines {
    /// Whether no copy of this token is still to leave.
    #[inline]
    pub(crate) fn is_free(&self, token: Token) -> bool {
        self.0.is_empty() || !self.0.contains_key(&token.0)
    }

    /// Takes the next place in the line of a token.
    pub(crate) fn take(&mut self, token: Token) -> Ticket {
        let line = self.0.entry(token.0).or_default();
        line.places.push_back(Place::Taken);
        Ticket { token, number: line.first + line.places.len() as u64 - 1 }
    }

    /// Where a ticket stands, and its place.
    fn place(&mut self, ticket: &Ticket) -> Option<(usize, &mut Place)> {
        let line = self.0.get_mut(&ticket.token.0)?;
        let at = usize::try_from(ticket.number.checked_sub(line.first)?).ok()?;
        line.places.get_mut(at).map(|place| (at, place))
    }

    /// Removes those who have left, and the line if nobody stands in it; the waker of whoever is first now.
    fn advance(&mut self, token: Token) -> Option<Waker> {
        let line = self.0.get_mut(&token.0)?;
        while let Some(Place::Left) = line.places.front() {
            line.places.pop_front();
            line.first += 1;
        }
        match line.places.front_mut() {
            None => {
                self.0.remove(&token.0);
                None
            }
            Some(place) => match std::mem::replace(place, Place::Taken) {
                Place::Waiting(waker) => Some(waker),
                Place::Taken | Place::Left => None,
            },
        }
    }
}

/// A place in the order in which copies leave. Whoever holds it must give it up with [`Stripe::leave`].
#[derive(Debug)]
pub(crate) struct Ticket {
    token: Token,
    number: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const KEY: Token = Token(7);

    #[test]
    fn copies_leave_in_the_order_of_their_tickets() {
        let stripe = Stripe::default();
        let (a, b, c) = {
            let mut lines = stripe.lock();
            assert!(lines.is_free(KEY));
            (lines.take(KEY), lines.take(KEY), lines.take(KEY))
        };
        assert!(stripe.turn(&a).now_or_never().is_some());
        assert!(stripe.turn(&b).now_or_never().is_none());
        // Whoever gives up in the middle holds nobody up later.
        stripe.leave(&b);
        assert!(stripe.turn(&c).now_or_never().is_none());
        stripe.leave(&a);
        assert!(stripe.turn(&c).now_or_never().is_some());
        stripe.leave(&c);
        assert!(stripe.lock().is_free(KEY));
        let d = stripe.lock().take(KEY);
        assert!(stripe.turn(&d).now_or_never().is_some());
    }

    #[test]
    fn keys_do_not_wait_for_each_other() {
        let stripe = Stripe::default();
        let (other, mine) = (Token(KEY.0 + STRIPES as u32), KEY);
        let _stuck = stripe.lock().take(other);
        assert!(stripe.lock().is_free(mine));
        let ticket = stripe.lock().take(mine);
        assert!(stripe.turn(&ticket).now_or_never().is_some());
        stripe.leave(&ticket);
        assert!(!stripe.lock().is_free(other) && stripe.lock().is_free(mine));
    }

    #[test]
    fn all_stripes_are_free_when_the_last_copy_has_left() {
        let stripes = Stripes::new();
        let ticket = stripes.of(KEY).lock().take(KEY);
        assert!(stripes.lock_all_free().is_none());
        stripes.of(KEY).leave(&ticket);
        assert!(stripes.lock_all_free().is_some());
        // And they are given back.
        assert!(stripes.of(KEY).lock().is_free(KEY));
    }

    #[tokio::test]
    async fn the_next_in_turn_is_woken() {
        let stripe = Arc::new(Stripe::default());
        let tickets: Vec<Ticket> = (0..20).map(|_| stripe.lock().take(KEY)).collect();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for ticket in tickets.into_iter().rev() {
            let (stripe, order) = (Arc::clone(&stripe), Arc::clone(&order));
            tasks.spawn(async move {
                stripe.turn(&ticket).await;
                order.lock().unwrap().push(ticket.number);
                stripe.leave(&ticket);
            });
        }
        tasks.join_all().await;
        assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
    }
}
