//! How soon a server that never died may come back after it was fenced.

use std::time::Duration;

use tokio::time::Instant;

/// Each such return costs a whole filling, and one client that is cut off from a healthy member could ask for them for
/// ever: so each waits twice as long as the one before.
#[derive(Debug, Default)]
pub(super) struct Returns {
    made: u32,
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
            (self.made, self.last) = (0, None);
        }
        let wait = FIRST.saturating_mul(1 << self.made.min(16)).min(LONGEST);
        now >= *self.due.get_or_insert(now + wait)
    }

    /// It has come back.
    pub(super) fn made(&mut self, now: Instant) {
        (self.made, self.last, self.due) = (self.made.saturating_add(1), Some(now), None);
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
            returns.made(due);
            now = due;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        now += FORGOTTEN + Duration::from_secs(1);
        assert!(!returns.allowed(now));
        assert_eq!(returns.due(), Some(now + FIRST));
        returns.none();
        assert_eq!(returns.due(), None);
    }
}
