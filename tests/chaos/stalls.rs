//! When the machine itself stood still, or had no processor for somebody: what takes long then is not the ring's doing.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::check::{Kind, Violation};
use crate::history::now;

/// Watches how late a thread is that sleeps, and how long processes that have something to do wait for a processor.
pub struct Stalls(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    watched: Vec<u32>,
    longest: Duration,
    /// From when to when somebody waited for long.
    long: Vec<(u64, u64)>,
}

const TICK: Duration = Duration::from_millis(10);
/// How often it is asked how long processes have waited.
const LOOK: Duration = Duration::from_millis(100);
/// Half as long again as a probe is waited for: a server seems to hang, and so does whoever probes it.
const LONG: Duration = Duration::from_millis(150);
/// What a stall makes late begins at most so long before it, or is met so long after it: a write and its fence.
const REACHES: u64 = 2_000_000_000;

impl Stalls {
    /// Watches until it is dropped.
    pub fn watch() -> Stalls {
        let stalls = Arc::new(Mutex::default());
        let seen = Arc::downgrade(&stalls);
        std::thread::spawn(move || {
            let (mut looked, mut waited) = (Instant::now(), HashMap::new());
            while let Some(seen) = seen.upgrade() {
                let begun = Instant::now();
                std::thread::sleep(TICK);
                let mut longest = begun.elapsed().saturating_sub(TICK);
                if looked.elapsed() >= LOOK {
                    looked = Instant::now();
                    let watched = lock(&seen).watched.clone();
                    longest = longest.max(longest_wait(watched, &mut waited));
                }
                let mut seen = lock(&seen);
                seen.longest = seen.longest.max(longest);
                if longest >= LONG {
                    let now = now();
                    seen.long.push((now - longest.as_nanos() as u64, now));
                }
            }
        });
        Stalls(stalls)
    }

    /// Whose waits count from now on. Of processes with several threads the first one does, so they should have one that matters.
    pub fn of(&self, processes: Vec<u32>) {
        lock(&self.0).watched = processes;
    }

    /// The longest since it was asked for last.
    pub fn longest(&self) -> Stall {
        Stall(std::mem::take(&mut lock(&self.0).longest))
    }

    /// The long ones since it was asked for last.
    pub fn long(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut lock(&self.0).long)
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The longest that a process waited since the last look. A wait counts when it has ended, so one may be longer than the time
/// between two looks.
fn longest_wait(processes: Vec<u32>, before: &mut HashMap<u32, Duration>) -> Duration {
    let now: HashMap<u32, Duration> = processes.into_iter().filter_map(|pid| Some((pid, waited(pid)?))).collect();
    let since = |(pid, now): (&u32, &Duration)| Some(now.saturating_sub(*before.get(pid)?));
    let longest = now.iter().filter_map(since).max().unwrap_or_default();
    *before = now;
    longest
}

/// How long a process has waited for a processor in its life.
fn waited(pid: u32) -> Option<Duration> {
    // Nanoseconds on a processor, nanoseconds waited for one, and how often.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    stat.split_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}

/// How long somebody had to wait.
pub struct Stall(Duration);

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} s without a processor", self.0.as_secs_f64())
    }
}

/// Why a round with these violations says nothing of the ring, if so: a fault met too little, or reads and writes failed when
/// the machine stood still. There is no excuse for what is lost or wrong, or hangs.
pub fn excuse(violations: &[Violation], stalls: &[(u64, u64)]) -> Option<String> {
    let stood_still = |at: u64| stalls.iter().any(|(from, to)| at + REACHES >= *from && at <= to + REACHES);
    let excused = |violation: &Violation| match violation.kind {
        Kind::TooLittle => true,
        Kind::FailedRead | Kind::FailedWrite => stood_still(violation.at),
        Kind::Lost | Kind::Wrong | Kind::Executed | Kind::HeldTwice | Kind::Hung | Kind::Differs | Kind::NotWhole => {
            false
        }
    };
    let first = violations.first().filter(|_| violations.iter().all(excused))?;
    Some(format!("{} ({} like it; the machine stood still {} times)", first.text, violations.len() - 1, stalls.len()))
}
