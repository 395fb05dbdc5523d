//! How fast keys are copied: no faster than was asked for, nor than the source can bear.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Limits;

/// The longest pause between two batches.
const LONGEST: Duration = Duration::from_millis(100);

/// The shortest that is worth a timer.
const SHORTEST: Duration = Duration::from_millis(1);

/// Shared by all that copies from one source.
#[derive(Debug)]
pub(super) struct Pace {
    keys: Option<f64>,
    bytes: Option<f64>,
    bound: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When what was copied would have been by the limits.
    earned: Instant,
    /// After each batch, as long as the source is slow.
    pause: Duration,
    /// The copied keys since then, for the rate.
    since: Instant,
    copied: u64,
    rate: f64,
}

impl Pace {
    pub(super) fn new(limits: &Limits) -> Pace {
        let now = Instant::now();
        let state = State { earned: now, pause: Duration::ZERO, since: now, copied: 0, rate: 0.0 };
        let per_second = |limit: Option<u64>| limit.map(|limit| limit.max(1) as f64);
        Pace {
            keys: per_second(limits.keys_per_second),
            bytes: per_second(limits.bytes_per_second),
            bound: limits.latency,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits as long as so much should take.
    pub(super) async fn spend(&self, keys: u64, bytes: u64) {
        let pause = self.price(keys, bytes);
        if pause >= SHORTEST {
            sleep(pause).await;
        }
    }

    fn price(&self, keys: u64, bytes: u64) -> Duration {
        let now = Instant::now();
        let mut state = self.state();
        state.copied += keys;
        let seconds = [(self.keys, keys), (self.bytes, bytes)]
            .into_iter()
            .map(|(limit, count)| limit.map_or(0.0, |limit| count as f64 / limit))
            .fold(0.0, f64::max);
        // What was not used in the last tenth of a second may be made up for, and no more.
        let earliest = now.checked_sub(LONGEST).unwrap_or(now);
        state.earned = state.earned.max(earliest) + Duration::from_secs_f64(seconds.min(60.0));
        state.earned.saturating_duration_since(now).max(state.pause)
    }

    /// The source took so long to answer a PING.
    pub(super) fn answered_after(&self, latency: Duration) {
        let mut state = self.state();
        state.pause = if latency > self.bound {
            (state.pause * 2).clamp(SHORTEST, LONGEST)
        } else if state.pause <= SHORTEST {
            Duration::ZERO
        } else {
            state.pause / 2
        };
    }

    /// Keys per second over about the last second.
    pub(super) fn rate(&self) -> f64 {
        let mut state = self.state();
        let elapsed = state.since.elapsed();
        if elapsed >= Duration::from_secs(1) {
            state.rate = state.copied as f64 / elapsed.as_secs_f64();
            (state.since, state.copied) = (Instant::now(), 0);
        }
        state.rate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_copied_takes_as_long_as_the_limits_say() {
        let limits = Limits { keys_per_second: Some(1000), bytes_per_second: Some(1 << 20), ..Limits::default() };
        let (pace, began) = (Pace::new(&limits), Instant::now());
        for _ in 0..20 {
            pace.spend(100, 0).await;
        }
        let took = began.elapsed();
        assert!((1900..2100).contains(&took.as_millis()), "{took:?}");
        pace.spend(1, 5 << 20).await;
        let took = began.elapsed() - took;
        assert!((4800..5200).contains(&took.as_millis()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_source_is_given_ever_longer_pauses_until_it_is_not() {
        let pace = Pace::new(&Limits::default());
        assert_eq!(pace.price(1, 1), Duration::ZERO);
        for _ in 0..20 {
            pace.answered_after(Duration::from_millis(30));
        }
        assert_eq!(pace.price(1, 1), LONGEST);
        for _ in 0..20 {
            pace.answered_after(Duration::from_millis(3));
        }
        assert_eq!(pace.price(1, 1), Duration::ZERO);
    }
}
