//! What a server usually takes.

use std::time::Duration;

/// A smoothed mean and deviation of round trips, in microseconds, as TCP estimates its retransmission time
/// (Jacobson and Karels 1988, RFC 6298): the mean gains an eighth of each difference, the deviation a quarter.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Latency {
    mean_us: u32,
    deviation_us: u32,
}

impl Latency {
    pub(crate) fn record(&mut self, took: Duration) {
        let us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX / 8).min(u32::MAX / 8);
        if self.mean_us == 0 {
            (self.mean_us, self.deviation_us) = (us, us / 2);
            return;
        }
        let difference = self.mean_us.abs_diff(us);
        self.deviation_us = self.deviation_us - self.deviation_us / 4 + difference / 4;
        self.mean_us = self.mean_us - self.mean_us / 8 + us / 8;
    }

    /// A high percentile: four deviations above the mean.
    pub(crate) fn high(self) -> Duration {
        Duration::from_micros(u64::from(self.mean_us) + 4 * u64::from(self.deviation_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_what_is_measured() {
        let mut latency = Latency::default();
        for _ in 0..200 {
            latency.record(Duration::from_micros(200));
        }
        assert!((150..=250).contains(&latency.mean_us), "{latency:?}");
        assert!(latency.high() < Duration::from_micros(400), "{latency:?}");
        for _ in 0..200 {
            latency.record(Duration::from_millis(8));
        }
        assert!((7_000..=9_000).contains(&latency.mean_us), "{latency:?}");
        latency.record(Duration::from_secs(1_000_000));
        assert!(latency.high() > Duration::from_secs(1));
    }
}
