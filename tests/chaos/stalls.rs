//! When the machine itself stood still: what clients see then is not the ring's doing.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The longest time that a thread with nothing else to do was late.
pub struct Stalls(Arc<AtomicU64>);

const TICK: Duration = Duration::from_millis(10);
/// Shorter ones are every machine's.
const WORTH_SAYING: Duration = Duration::from_millis(200);

impl Stalls {
    /// Watches until it is dropped.
    pub fn watch() -> Stalls {
        let longest = Arc::new(AtomicU64::new(0));
        let seen = Arc::downgrade(&longest);
        std::thread::spawn(move || {
            while let Some(longest) = seen.upgrade() {
                let begun = Instant::now();
                std::thread::sleep(TICK);
                let late = begun.elapsed().saturating_sub(TICK).as_millis();
                longest.fetch_max(late as u64, Ordering::Relaxed);
            }
        });
        Stalls(longest)
    }

    /// The longest since it was asked for last.
    pub fn take(&self) -> Stall {
        Stall(Duration::from_millis(self.0.swap(0, Ordering::Relaxed)))
    }
}

pub struct Stall(Duration);

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < WORTH_SAYING {
            return Ok(());
        }
        write!(f, " (the machine stood still for {:.1} s)", self.0.as_secs_f64())
    }
}
