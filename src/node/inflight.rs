//! The requests that wait for a reply on one connection.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Instant;

use super::latency::Latency;
use crate::policy::HedgePolicy;

/// How many requests may wait on one connection.
pub(crate) const LIMIT: usize = 1 << 15;

/// How many may wait if they are copies of what a primary has executed already: refusing those would make the copies
/// differ. Each was counted against the limit of its primary.
pub(crate) const LIMIT_OF_COPIES: usize = 4 * LIMIT;

/// The length of the connection's own queue. It has room for all of them, and for as many more that were given up but
/// still stand in it, so that the first poll of a request enqueues it: the order of first polls is the order on the wire.
pub(crate) const QUEUE: usize = 2 * LIMIT_OF_COPIES;

/// Slots that stay allocated while nothing is in flight.
const KEPT_SLOTS: usize = 1024;

/// One request in so many has its latency measured.
const SAMPLE_EVERY: u64 = 16;

/// Hedges to a server that still answers others are limited to one for so many requests, with some to start
/// with, so that a slow moment does not double the neighbour's load.
const REQUESTS_PER_HEDGE: u64 = 20;
const MOST_HEDGES: u64 = 100;

/// The registry of requests in flight. Entered and left once by each request, under one short lock.
#[derive(Debug)]
pub(crate) struct InFlight {
    state: Mutex<State>,
    /// Answered nothing for as long as it usually takes at most. Set by the tick, cleared by any reply.
    silent: AtomicBool,
    hedge_after_ms: AtomicU32,
    /// Raised whenever requests become late, so that a request asks for the lock only then.
    lateness: AtomicU32,
    policy: HedgePolicy,
}

#[derive(Debug, Default)]
struct State {
    slots: Vec<Slot>,
    /// The first free slot, from which each leads to the next; as many as there are slots if none is free.
    free: u32,
    waiting: u32,
    last_reply_ms: u64,
    /// When bytes came last, a part of a large reply perhaps.
    heard_ms: u64,
    requests: u64,
    hedge_credit: u64,
    /// The requests for which credit was given.
    credited: u64,
    latency: Latency,
}

#[derive(Debug)]
struct Slot {
    /// `None` marks a free slot.
    waker: Option<Waker>,
    next_free: u32,
    since_ms: u64,
    due_ms: u64,
    late: bool,
    sampled: Option<Instant>,
}

impl State {
    /// One more slot.
    #[cold]
    fn grow(&mut self, slot: Slot) {
        self.slots.push(slot);
        self.free = self.slots.len() as u32;
    }
}

impl State {
    /// Gives back the slots of a burst that is over, as far as they are free at the end: each tick looks through all.
    fn trim(&mut self) {
        if self.slots.len() <= KEPT_SLOTS || self.waiting as usize > self.slots.len() / 8 {
            return;
        }
        while self.slots.len() > KEPT_SLOTS && self.slots.last().is_some_and(|slot| slot.waker.is_none()) {
            self.slots.pop();
        }
        // The list of free slots led through those that are gone.
        self.free = self.slots.len() as u32;
        for at in (0..self.slots.len()).rev() {
            if self.slots[at].waker.is_none() {
                self.slots[at].next_free = std::mem::replace(&mut self.free, at as u32);
            }
        }
    }
}

/// What a tick found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tick {
    /// Requests are in flight.
    pub(crate) busy: bool,
    /// The connection has just fallen silent.
    pub(crate) fell_silent: bool,
}

impl InFlight {
    pub(crate) fn new(policy: HedgePolicy) -> InFlight {
        let state = State { hedge_credit: MOST_HEDGES * REQUESTS_PER_HEDGE / 10, ..State::default() };
        let inflight = InFlight {
            state: Mutex::new(state),
            silent: AtomicBool::new(false),
            hedge_after_ms: AtomicU32::new(0),
            lateness: AtomicU32::new(0),
            policy,
        };
        inflight.update_hedge_after(&Latency::default());
        inflight
    }

    /// Whether one more request may wait.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        (self.lock().waiting as usize) < LIMIT
    }

    /// Registers a request that is woken as late at `due_ms`; `None` when that many are waiting.
    // Always: every request passes here once, and the compiler's rules of thumb leave a call.
    #[inline(always)]
    pub(crate) fn enter(&self, now_ms: u64, due_ms: u64, waker: &Waker, most: usize) -> Option<u32> {
        let mut state = self.lock();
        if state.waiting as usize >= most {
            return None;
        }
        let at = state.free;
        state.requests += 1;
        let sampled = state.requests.is_multiple_of(SAMPLE_EVERY).then(Instant::now);
        let slot = Slot { waker: Some(waker.clone()), next_free: at, since_ms: now_ms, due_ms, late: false, sampled };
        match state.slots.get_mut(at as usize) {
            Some(free) => {
                let next = free.next_free;
                *free = slot;
                state.free = next;
            }
            None => state.grow(slot),
        }
        state.waiting += 1;
        Some(at)
    }

    /// Takes a request out: it was answered, or it was given up.
    #[inline]
    pub(crate) fn leave(&self, at: u32, now_ms: u64, answered: bool) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let slot = &mut state.slots[at as usize];
        let waker = slot.waker.take();
        let sampled = slot.sampled;
        slot.next_free = state.free;
        state.free = at;
        state.waiting -= 1;
        if answered {
            state.last_reply_ms = now_ms;
            if let Some(began) = sampled {
                state.latency.record(began.elapsed());
                let latency = state.latency;
                self.update_hedge_after(&latency);
            }
            if self.silent.load(Ordering::Relaxed) {
                self.silent.store(false, Ordering::Relaxed);
            }
        }
        drop(guard);
        // A waker may be the last owner of its task, whose drop must not meet our lock.
        drop(waker);
    }

    /// While this stays what it was when a request was last known not to be late, it is not late.
    #[inline]
    pub(crate) fn lateness(&self) -> u32 {
        self.lateness.load(Ordering::Acquire)
    }

    /// Whether a request is late; if not, its waker is brought up to date.
    pub(crate) fn is_late(&self, at: u32, waker: &Waker) -> bool {
        let mut state = self.lock();
        let slot = &mut state.slots[at as usize];
        if slot.late {
            return true;
        }
        if !slot.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            slot.waker = Some(waker.clone());
        }
        false
    }

    /// Gives a request more time.
    pub(crate) fn extend(&self, at: u32, due_ms: u64) {
        let mut state = self.lock();
        let slot = &mut state.slots[at as usize];
        (slot.due_ms, slot.late) = (due_ms, false);
    }

    /// Takes one hedge from the budget, if it has one.
    pub(crate) fn may_hedge(&self) -> bool {
        let mut state = self.lock();
        let earned = state.requests - state.credited;
        state.credited = state.requests;
        state.hedge_credit = (state.hedge_credit + earned).min(MOST_HEDGES * REQUESTS_PER_HEDGE);
        match state.hedge_credit.checked_sub(REQUESTS_PER_HEDGE) {
            Some(rest) => {
                state.hedge_credit = rest;
                true
            }
            None => false,
        }
    }

    /// Answered nothing for as long as it usually takes at most.
    #[inline]
    pub(crate) fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    /// How long a read waits before it asks the next owner too.
    #[inline]
    pub(crate) fn hedge_after_ms(&self) -> u64 {
        u64::from(self.hedge_after_ms.load(Ordering::Relaxed))
    }

    /// When anything came last.
    pub(crate) fn heard_ms(&self) -> u64 {
        let state = self.lock();
        state.heard_ms.max(state.last_reply_ms)
    }

    /// Bytes have come.
    pub(crate) fn heard(&self, now_ms: u64) {
        self.lock().heard_ms = now_ms;
    }

    /// Marks the requests that are late and hands out their wakers.
    pub(crate) fn tick(&self, now_ms: u64, late: &mut Vec<Waker>) -> Tick {
        let mut state = self.lock();
        if state.waiting == 0 {
            if state.slots.len() > KEPT_SLOTS {
                // After a burst, later ticks must not look through its empty slots for ever.
                (state.slots, state.free) = (Vec::new(), 0);
            }
            return Tick { busy: false, fell_silent: false };
        }
        state.trim();
        let mut oldest = u64::MAX;
        let known_late = late.len();
        for slot in &mut state.slots {
            let Some(waker) = &slot.waker else { continue };
            oldest = oldest.min(slot.since_ms);
            if !slot.late && slot.due_ms <= now_ms {
                slot.late = true;
                late.push(waker.clone());
            }
        }
        if late.len() > known_late {
            self.lateness.fetch_add(1, Ordering::Release);
        }
        let quiet_since = oldest.max(state.last_reply_ms).max(state.heard_ms);
        // One more for what is left of a millisecond at either end.
        let quiet_for = now_ms.saturating_sub(quiet_since);
        let silent = oldest != u64::MAX && quiet_for > self.hedge_after_ms().min(LONGEST_SILENCE_MS);
        let fell_silent = silent && !self.silent.swap(true, Ordering::Relaxed);
        Tick { busy: true, fell_silent }
    }

    fn update_hedge_after(&self, latency: &Latency) {
        let ms = match self.policy {
            HedgePolicy::Adaptive { at_least, at_most } => {
                latency.high().clamp(at_least, at_most.max(at_least)).as_millis().max(1)
            }
            HedgePolicy::After(after) => after.as_millis().max(1),
            HedgePolicy::Never => u128::from(u32::MAX),
        };
        self.hedge_after_ms.store(u32::try_from(ms).unwrap_or(u32::MAX), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Even where nobody hedges, a connection that answered nothing for so long is probed.
const LONGEST_SILENCE_MS: u64 = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn inflight() -> InFlight {
        InFlight::new(HedgePolicy::After(Duration::from_millis(5)))
    }

    #[test]
    fn a_request_is_late_once_and_can_be_given_more_time() {
        let inflight = inflight();
        let mut late = Vec::new();
        let at = inflight.enter(0, 5, Waker::noop(), LIMIT).unwrap();
        assert!(inflight.tick(4, &mut late).busy);
        assert!(late.is_empty() && !inflight.is_late(at, Waker::noop()));
        inflight.tick(5, &mut late);
        inflight.tick(6, &mut late);
        assert_eq!(late.len(), 1);
        assert!(inflight.is_late(at, Waker::noop()));
        inflight.extend(at, 20);
        assert!(!inflight.is_late(at, Waker::noop()));
        inflight.leave(at, 7, true);
        assert!(!inflight.tick(30, &mut late).busy);
    }

    #[test]
    fn silence_is_noticed_once_and_ended_by_any_reply() {
        let inflight = inflight();
        let mut late = Vec::new();
        let stuck = inflight.enter(0, 500, Waker::noop(), LIMIT).unwrap();
        let other = inflight.enter(3, 500, Waker::noop(), LIMIT).unwrap();
        inflight.leave(other, 4, true);
        assert!(!inflight.tick(9, &mut late).fell_silent, "it answered 5 ms ago");
        assert!(inflight.tick(10, &mut late).fell_silent && inflight.is_silent());
        assert!(!inflight.tick(11, &mut late).fell_silent, "known already");
        inflight.leave(stuck, 12, true);
        assert!(!inflight.is_silent());
    }

    #[test]
    fn a_request_given_up_is_no_answer() {
        let inflight = inflight();
        let mut late = Vec::new();
        let stuck = inflight.enter(0, 500, Waker::noop(), LIMIT).unwrap();
        let hedged = inflight.enter(0, 500, Waker::noop(), LIMIT).unwrap();
        assert!(inflight.tick(6, &mut late).fell_silent);
        inflight.leave(hedged, 7, false);
        assert!(inflight.is_silent());
        inflight.leave(stuck, 8, true);
        assert!(!inflight.is_silent());
    }

    #[test]
    fn hedges_are_limited_to_a_share_of_the_requests() {
        let inflight = inflight();
        while inflight.may_hedge() {}
        for _ in 0..REQUESTS_PER_HEDGE {
            assert!(!inflight.may_hedge());
            let at = inflight.enter(0, 5, Waker::noop(), LIMIT).unwrap();
            inflight.leave(at, 0, true);
        }
        assert!(inflight.may_hedge());
        assert!(!inflight.may_hedge());
    }

    #[test]
    fn more_requests_than_the_limit_are_refused() {
        let inflight = inflight();
        for _ in 0..LIMIT {
            assert!(inflight.enter(0, 5, Waker::noop(), LIMIT).is_some());
        }
        assert_eq!(inflight.enter(0, 5, Waker::noop(), LIMIT), None);
        assert!(!inflight.has_room());
        let copy = inflight.enter(0, 5, Waker::noop(), LIMIT_OF_COPIES).unwrap();
        inflight.leave(copy, 0, true);
        inflight.leave(7, 0, true);
        assert_eq!(inflight.enter(0, 5, Waker::noop(), LIMIT), Some(7));
    }

    #[test]
    fn the_slots_of_a_burst_are_given_back_while_others_wait() {
        let inflight = inflight();
        let enter = || inflight.enter(0, 5, Waker::noop(), LIMIT).unwrap();
        let burst: Vec<u32> = (0..LIMIT).map(|_| enter()).collect();
        let mut late = Vec::new();
        burst[1..].iter().for_each(|at| inflight.leave(*at, 0, true));
        inflight.tick(1, &mut late);
        assert_eq!(inflight.lock().slots.len(), KEPT_SLOTS);
        // Every free slot is found again, once.
        let mut again: Vec<u32> = (1..LIMIT).map(|_| enter()).collect();
        again.push(burst[0]);
        again.sort_unstable();
        assert_eq!(again, (0..LIMIT as u32).collect::<Vec<_>>());
    }

    #[test]
    fn bytes_on_their_way_are_no_silence() {
        let inflight = inflight();
        let mut late = Vec::new();
        inflight.enter(0, 500, Waker::noop(), LIMIT).unwrap();
        inflight.heard(4);
        assert!(!inflight.tick(9, &mut late).fell_silent);
        assert!(inflight.tick(10, &mut late).fell_silent);
    }
}
