//! Trying a member that keeps failing last, without moving any token.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long a member is tried last after its first failure; doubled by each further one.
const FIRST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_secs(1);

/// A circuit breaker: closed while the member answers, open for a jittered while after it failed, then half open
/// for one request.
#[derive(Debug)]
pub(crate) struct Breaker {
    began: Instant,
    failures: AtomicU32,
    open_until_ms: AtomicU64,
}

impl Breaker {
    pub(crate) fn new() -> Breaker {
        Breaker { began: Instant::now(), failures: AtomicU32::new(0), open_until_ms: AtomicU64::new(0) }
    }

    /// Whether the member may be asked in its turn. When the breaker has been open for long enough, this says
    /// yes to one caller, whose request is the probe, and stays open for the others.
    #[inline]
    pub(crate) fn allows(&self) -> bool {
        self.failures.load(Ordering::Relaxed) == 0 || self.may_probe()
    }

    /// To be called for every reply.
    #[inline]
    pub(crate) fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn failed(&self) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).min(16);
        self.open_until_ms.store(self.now_ms() + jittered_backoff(failures, FIRST, LONGEST), Ordering::Relaxed);
    }

    #[cold]
    fn may_probe(&self) -> bool {
        let until = self.open_until_ms.load(Ordering::Relaxed);
        let now = self.now_ms();
        let next = now + jittered_backoff(self.failures.load(Ordering::Relaxed), FIRST, LONGEST);
        now >= until && self.open_until_ms.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX / 2)
    }
}

/// Milliseconds to wait after so many failures: doubled each time up to the longest, and of that between a half
/// and all, so that clients that failed together do not come back together.
pub(crate) fn jittered_backoff(failures: u32, first: Duration, longest: Duration) -> u64 {
    let full = first.saturating_mul(1 << failures.min(16)).min(longest).as_millis().max(2);
    let full = u64::try_from(full).unwrap_or(u64::MAX);
    fastrand::u64(full / 2..=full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_probes_and_a_reply_closes() {
        // Its clock stands still.
        let breaker = Breaker { began: Instant::now() + Duration::from_secs(3600), ..Breaker::new() };
        assert!(breaker.allows() && breaker.allows());
        breaker.failed();
        assert!(!breaker.allows());
        breaker.open_until_ms.store(0, Ordering::Relaxed);
        assert!(breaker.allows(), "the probe");
        assert!(!breaker.allows(), "one probe at a time");
        breaker.succeeded();
        assert!(breaker.allows() && breaker.allows());
    }

    #[test]
    fn backoff_grows_to_its_bound_and_never_beyond() {
        for failures in 0..64 {
            let ms = jittered_backoff(failures, FIRST, LONGEST);
            assert!((10..=1000).contains(&ms));
            if failures > 8 {
                assert!(ms >= 500);
            }
        }
    }
}
