//! How soon a server that never died may come back after it was fenced.

use std::time::Duration;

use tokio::time::Instant;

use crate::placement::State;

/// Each such return costs a whole filling, and one client that is cut off from a healthy member could ask for them for
/// ever: so each waits twice as long as the one before. One that ended before the member was up counts half: a gainer is
/// fenced for less than an owner is, by a client that was just about to connect.
#[derive(Debug, Default)]
pub(super) struct Returns {
    halves: u32,
    /// It has come back, and is not known to have been up since.
    begun: bool,
    last: Option<Instant>,
    due: Option<Instant>,
}

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(300);
/// After this long without one, the next return waits the shortest time again.
const FORGOTTEN: Duration = Duration::from_secs(1800);

impl Returns {
    /// Whether it may come back now. The first question starts the wait.
    pub(super) fn allowed(&mut self, now: Instant) -> bool {
        if self.last.is_some_and(|last| now.duration_since(last) > FORGOTTEN) {
            (self.halves, self.last) = (0, None);
        }
        let wait = FIRST.saturating_mul(1 << (self.halves / 2).min(16)).min(LONGEST);
        now >= *self.due.get_or_insert(now + wait)
    }

    /// Its agent has written this state. Only one that joins has come back: while it waits, it is written for instance that
    /// it is closed now.
    pub(super) fn written(&mut self, state: State, now: Instant) {
        if state == State::Joining {
            self.halves = self.halves.saturating_add(1);
            (self.begun, self.last, self.due) = (true, Some(now), None);
        }
    }

    /// What its record says.
    pub(super) fn seen(&mut self, state: State) {
        if state == State::Up {
            self.halves = self.halves.saturating_add(u32::from(std::mem::take(&mut self.begun)));
        }
    }

    /// There is nothing to wait for.
    pub(super) fn none(&mut self) {
        self.due = None;
    }

    /// When the wait ends.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_return_waits_longer_than_the_last_up_to_five_minutes() {
        let mut now = Instant::now();
        let mut returns = Returns::default();
        let mut waits = Vec::new();
        for _ in 0..12 {
            assert!(!returns.allowed(now));
            let due = returns.due().unwrap();
            waits.push(due.duration_since(now).as_secs());
            assert!(!returns.allowed(due - Duration::from_millis(1)));
            assert!(returns.allowed(due));
            // That it is closed now.
            returns.written(State::Down, due);
            assert_eq!(returns.due(), Some(due), "it waits once");
            returns.written(State::Joining, due);
            [State::Joining, State::Up, State::Up, State::Down].into_iter().for_each(|state| returns.seen(state));
            now = due;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        now += FORGOTTEN + Duration::from_secs(1);
        assert!(!returns.allowed(now));
        assert_eq!(returns.due(), Some(now + FIRST));
        returns.none();
        assert_eq!(returns.due(), None);
    }

    #[test]
    fn a_return_that_ends_before_the_member_is_up_counts_half() {
        let mut now = Instant::now();
        let mut returns = Returns::default();
        let mut waits = Vec::new();
        for _ in 0..6 {
            assert!(!returns.allowed(now));
            let due = returns.due().unwrap();
            waits.push(due.duration_since(now).as_secs());
            returns.written(State::Joining, due);
            [State::Joining, State::Down].into_iter().for_each(|state| returns.seen(state));
            now = due;
        }
        assert_eq!(waits, [1, 1, 2, 2, 4, 4]);
    }
}
