//! One order per key within a process.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::node::Node;
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
    pub(crate) fn take(&mut self, token: Token, home: Home) -> Option<Ticket> {
        self.at(token).and_then(|at| self.0.get_mut(at)).map(|(_, lines)| lines.take(token, home))
    }

    /// As [`Lines::hold`]. The stripe of the ticket must be locked.
    pub(crate) fn hold(&mut self, ticket: &mut Ticket) {
        if let Some((_, lines)) = self.at(ticket.token).and_then(|at| self.0.get_mut(at)) {
            lines.hold(ticket);
        }
    }

    /// As [`Lines::sent`]. The stripe of the ticket must be locked.
    pub(crate) fn sent(&mut self, ticket: &Ticket) {
        if let Some((_, lines)) = self.at(ticket.token).and_then(|at| self.0.get_mut(at)) {
            lines.sent(ticket);
        }
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
///
/// That holds while the key has one primary. When another member has become the primary, what is sent to it at once would
/// be executed there before the copies of those who still stand in line with the one before. So whoever meets these, or
/// somebody who waits for these, waits for its turn *before* it is sent to its primary ([`Ticket::waits`]).
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
struct Place {
    home: Home,
    /// Whether its primary has been sent it. Until then nobody behind it may be sent to that either.
    sent: bool,
    standing: Standing,
}

#[derive(Debug)]
enum Standing {
    Taken,
    Waiting(Waker),
    Left,
}

/// The member that a command is sent to first, for as long as a place in line is held with a snapshot that knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Home(usize);

impl Home {
    /// A member is one node in all snapshots that know it.
    #[inline]
    pub(crate) fn of(node: &Arc<Node>) -> Home {
        Home(Arc::as_ptr(node).addr())
    }
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
                    place.standing = Standing::Waiting(cx.waker().clone());
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
            place.standing = Standing::Left;
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

    /// Takes the next place in the line of a token, for a command whose primary is this one.
    pub(crate) fn take(&mut self, token: Token, home: Home) -> Ticket {
        let line = self.0.entry(token.0).or_default();
        // To look at the last one is enough: it was sent at once only behind others of its home that had been sent, or
        // when nobody stood before it any more.
        let waits = line.places.back().is_some_and(|last| last.home != home || !last.sent);
        line.places.push_back(Place { home, sent: !waits, standing: Standing::Taken });
        Ticket { token, number: line.first + line.places.len() as u64 - 1, waits }
    }

    /// Has a ticket just taken wait for its turn: the same command waits in the line of another key.
    pub(crate) fn hold(&mut self, ticket: &mut Ticket) {
        ticket.waits = true;
        if let Some((_, place)) = self.place(ticket) {
            place.sent = false;
        }
    }

    /// The primary is sent the command in this moment.
    pub(crate) fn sent(&mut self, ticket: &Ticket) {
        if let Some((_, place)) = self.place(ticket) {
            place.sent = true;
        }
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
        while line.places.front().is_some_and(|place| matches!(place.standing, Standing::Left)) {
            line.places.pop_front();
            line.first += 1;
        }
        match line.places.front_mut() {
            None => {
                self.0.remove(&token.0);
                None
            }
            Some(place) => match std::mem::replace(&mut place.standing, Standing::Taken) {
                Standing::Waiting(waker) => Some(waker),
                Standing::Taken | Standing::Left => None,
            },
        }
    }
}

/// A place in the order in which copies leave. Whoever holds it must give it up with [`Stripe::leave`].
#[derive(Debug)]
pub(crate) struct Ticket {
    token: Token,
    number: u64,
    waits: bool,
}

impl Ticket {
    /// Whether the primary is sent the command only when its turn has come, and then under the stripe's lock and with
    /// [`Lines::sent`].
    #[inline]
    pub(crate) fn waits(&self) -> bool {
        self.waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const KEY: Token = Token(7);
    const P: Home = Home(1);
    const Q: Home = Home(2);

    #[test]
    fn copies_leave_in_the_order_of_their_tickets() {
        let stripe = Stripe::default();
        let (a, b, c) = {
            let mut lines = stripe.lock();
            assert!(lines.is_free(KEY));
            (lines.take(KEY, P), lines.take(KEY, P), lines.take(KEY, P))
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
        let d = stripe.lock().take(KEY, P);
        assert!(stripe.turn(&d).now_or_never().is_some());
    }

    #[test]
    fn keys_do_not_wait_for_each_other() {
        let stripe = Stripe::default();
        let (other, mine) = (Token(KEY.0 + STRIPES as u32), KEY);
        let _stuck = stripe.lock().take(other, P);
        assert!(stripe.lock().is_free(mine));
        let ticket = stripe.lock().take(mine, P);
        assert!(stripe.turn(&ticket).now_or_never().is_some());
        stripe.leave(&ticket);
        assert!(!stripe.lock().is_free(other) && stripe.lock().is_free(mine));
    }

    #[test]
    fn all_stripes_are_free_when_the_last_copy_has_left() {
        let stripes = Stripes::new();
        let ticket = stripes.of(KEY).lock().take(KEY, P);
        assert!(stripes.lock_all_free().is_none());
        stripes.of(KEY).leave(&ticket);
        assert!(stripes.lock_all_free().is_some());
        // And they are given back.
        assert!(stripes.of(KEY).lock().is_free(KEY));
    }

    #[tokio::test]
    async fn the_next_in_turn_is_woken() {
        let stripe = Arc::new(Stripe::default());
        let tickets: Vec<Ticket> = (0..20).map(|_| stripe.lock().take(KEY, P)).collect();
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
    #[test]
    fn whoever_meets_those_of_another_primary_waits_before_it_is_sent() {
        let stripe = Stripe::default();
        let take = |home| stripe.lock().take(KEY, home);
        let (a, b, c, d) = (take(P), take(P), take(Q), take(Q));
        assert!(!a.waits() && !b.waits(), "those of one primary are sent at once");
        assert!(c.waits(), "copies for the new primary are still to leave");
        assert!(d.waits(), "and whoever stands behind that one must not get there first");
        stripe.leave(&a);
        stripe.leave(&b);
        assert!(stripe.turn(&c).now_or_never().is_some());
        assert!(take(Q).waits(), "it has its turn, but is not sent yet");
        stripe.lock().sent(&c);
        assert!(take(Q).waits(), "and d is not sent either");
        stripe.leave(&c);
        assert!(stripe.turn(&d).now_or_never().is_some());
    }

    /// One server's connection: what was sent on it, in this order.
    type Sent = Vec<usize>;

    #[derive(Clone, Copy, Debug)]
    struct Command {
        primary: usize,
        absolute: bool,
    }

    enum At {
        /// Behind those of another primary.
        Held(Ticket),
        /// At the primary.
        Sent(Ticket),
        /// Answered by the primary, in line.
        Answered(Ticket),
        Done,
    }

    /// Runs commands of one key as rounds do, with what happens next decided by `choices`.
    fn run(commands: &[Command], mut choices: impl Iterator<Item = usize>, waits: bool) -> [Sent; 2] {
        let stripe = Stripe::default();
        let mut sent: [Sent; 2] = Default::default();
        let mut under_way: Vec<At> = Vec::new();
        loop {
            // Everything that may happen now: the next command begins, a primary answers, somebody's turn has come.
            let mut may: Vec<usize> = (0..under_way.len())
                .filter(|at| match &under_way[*at] {
                    At::Held(ticket) | At::Answered(ticket) => stripe.turn(ticket).now_or_never().is_some(),
                    At::Sent(_) => true,
                    At::Done => false,
                })
                .collect();
            if under_way.len() < commands.len() {
                may.push(under_way.len());
            }
            let Some(&it) = (!may.is_empty()).then(|| &may[choices.next().unwrap_or(0) % may.len()]) else {
                return sent;
            };
            let Command { primary, absolute } = commands[it];
            if it == under_way.len() {
                let mut lines = stripe.lock();
                under_way.push(if absolute && lines.is_free(KEY) {
                    sent.iter_mut().for_each(|server| server.push(it));
                    At::Done
                } else {
                    let ticket = lines.take(KEY, if waits { [P, Q][primary] } else { P });
                    if ticket.waits() {
                        At::Held(ticket)
                    } else {
                        sent[primary].push(it);
                        At::Sent(ticket)
                    }
                });
                continue;
            }
            under_way[it] = match std::mem::replace(&mut under_way[it], At::Done) {
                At::Held(ticket) => {
                    stripe.lock().sent(&ticket);
                    sent[primary].push(it);
                    At::Sent(ticket)
                }
                At::Sent(ticket) => At::Answered(ticket),
                At::Answered(ticket) => {
                    sent[1 - primary].push(it);
                    stripe.leave(&ticket);
                    At::Done
                }
                At::Done => At::Done,
            };
        }
    }

    use proptest::prelude::*;

    proptest! {
        /// Commands begin in any order with two primaries in turn, as where the ring flips and flips back.
        #[test]
        fn every_server_is_sent_the_same_order_while_the_primary_changes(
            commands in prop::collection::vec((0_usize..2, any::<bool>()), 1..12),
            choices in prop::collection::vec(0_usize..12, 0..80),
        ) {
            let commands: Vec<Command> =
                commands.into_iter().map(|(primary, absolute)| Command { primary, absolute }).collect();
            let [one, other] = run(&commands, choices.into_iter(), true);
            prop_assert_eq!(one.len(), commands.len(), "everybody's turn comes");
            prop_assert_eq!(one, other);
        }
    }

    #[test]
    fn a_line_that_does_not_know_its_primaries_lets_the_later_one_first() {
        let to = |primary| Command { primary, absolute: false };
        let [one, other] = run(&[to(0), to(1)], [0, 1].into_iter(), false);
        assert_ne!(one, other);
    }
}
