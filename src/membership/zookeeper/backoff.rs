//! Pauses that grow, each with jitter, so that a herd does not come back in step.

use std::time::Duration;

/// Doubles from the first pause to the longest; each pause is drawn from its upper half.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    pause: Duration,
}

impl Backoff {
    pub(crate) fn new(first: Duration, longest: Duration) -> Backoff {
        Backoff { first, longest, pause: first }
    }

    /// The next pause.
    pub(crate) fn next(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(self.longest);
        pause.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// Begins again with the first pause.
    pub(crate) fn reset(&mut self) {
        self.pause = self.first;
    }
}
