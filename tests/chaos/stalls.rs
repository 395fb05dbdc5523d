//! When the machine itself stood still, or had no processor for somebody: what takes long then is not the ring's doing.

use std::collections::{HashMap, VecDeque};
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
    /// In one second.
    most: Duration,
    /// From when to when somebody waited for long.
    long: Vec<(u64, u64)>,
}

const TICK: Duration = Duration::from_millis(10);
/// How often it is asked how long processes have waited.
const LOOK: Duration = Duration::from_millis(100);
/// Half as long again as a probe is waited for: a server seems to hang, and so does whoever probes it.
const LONG: Duration = Duration::from_millis(150);
/// Many short waits are as bad: so much of the last second. Alone on two cores, a run sees up to 0.8 s.
const MUCH: Duration = Duration::from_millis(900);
const OF: Duration = Duration::from_secs(1);
/// What a stall makes late begins at most so long before it, or is met so long after it: a write and its fence.
const REACHES: u64 = 2_000_000_000;

impl Stalls {
    /// Watches until it is dropped.
    pub fn watch() -> Stalls {
        let stalls = Arc::new(Mutex::default());
        let seen = Arc::downgrade(&stalls);
        std::thread::spawn(move || {
            let (mut looked, mut waits) = (Instant::now(), Waits::default());
            while let Some(seen) = seen.upgrade() {
                let begun = Instant::now();
                std::thread::sleep(TICK);
                let late = begun.elapsed().saturating_sub(TICK);
                let (mut longest, mut sum) = (late, Duration::ZERO);
                if looked.elapsed() >= LOOK {
                    looked = Instant::now();
                    let watched = lock(&seen).watched.clone();
                    waits.look(&watched);
                    longest = longest.max(waits.longest(LOOK));
                    sum = waits.longest(OF);
                }
                let mut seen = lock(&seen);
                seen.longest = seen.longest.max(longest);
                seen.most = seen.most.max(sum);
                let stalled = if sum >= MUCH { sum.max(longest) } else { longest };
                if stalled >= LONG && (longest >= LONG || sum >= MUCH) {
                    let now = now();
                    seen.long.push((now - stalled.as_nanos() as u64, now));
                }
            }
        });
        Stalls(stalls)
    }

    /// Whose waits count from now on.
    pub fn of(&self, processes: Vec<u32>) {
        lock(&self.0).watched = processes;
    }

    /// The longest since it was asked for last.
    pub fn longest(&self) -> Stall {
        let mut seen = lock(&self.0);
        Stall { longest: std::mem::take(&mut seen.longest), most: std::mem::take(&mut seen.most) }
    }

    /// The long ones since it was asked for last.
    pub fn long(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut lock(&self.0).long)
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was seen in the last second, the oldest first.
#[derive(Default)]
struct Waits(VecDeque<(Instant, Waited)>);

/// How long each thread has waited for a processor in its life; and each processor for the machine's other guests, where
/// it is one of several, under numbers that no thread has.
type Waited = HashMap<u32, Wait>;

#[derive(Clone, Copy, Default)]
struct Wait {
    /// What the kernel says, which may be more than there was.
    told: Duration,
    believed: Duration,
    /// It had something to do: it ran, or waited.
    runnable: bool,
}

impl Wait {
    /// `self` at a look, so long after `before` was seen. Linux sometimes counts the sleep of a thread as a wait (seen of 6.x:
    /// seconds of a parked worker beside idle processors). Who slept at the last look cannot have waited longer than since.
    fn after(self, before: Wait, since: Duration) -> Wait {
        let more = self.told.saturating_sub(before.told);
        let can_be = before.runnable || more <= since;
        Wait { believed: before.believed + if can_be { more } else { Duration::ZERO }, ..self }
    }
}

impl Waits {
    fn look(&mut self, processes: &[u32]) {
        let begun = Instant::now();
        let mut waited: Waited = processes.iter().flat_map(|process| threads(*process)).collect();
        waited.extend(stolen());
        if let Some((then, before)) = self.0.back() {
            let since = then.elapsed();
            for (thread, wait) in &mut waited {
                *wait = before.get(thread).map_or(*wait, |before| wait.after(*before, since));
            }
        }
        self.0.push_back((begun, waited));
        while self.0.get(1).is_some_and(|(then, _)| then.elapsed() >= OF) {
            self.0.pop_front();
        }
    }

    /// The longest that one has waited in so much of the last second. A wait counts when it has ended, so one may be longer.
    fn longest(&self, of: Duration) -> Duration {
        let Some((last, now)) = self.0.back() else { return Duration::ZERO };
        let then = self.0.iter().rev().skip(1).find(|(then, _)| last.duration_since(*then) >= of).or(self.0.front());
        let Some((_, then)) = then else { return Duration::ZERO };
        let since = |(thread, now): (&u32, &Wait)| Some(now.believed.saturating_sub(then.get(thread)?.believed));
        now.iter().filter_map(since).max().unwrap_or_default()
    }
}

fn threads(process: u32) -> Vec<(u32, Wait)> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let waited = |task: std::fs::DirEntry| {
        // `tid (name) state …`, where the name may hold anything.
        let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
        let runnable = stat.rsplit_once(") ")?.1.starts_with('R');
        // Nanoseconds on a processor, nanoseconds waited for one, and how often.
        let stat = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        let told = stat.split_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)?;
        Some((task.file_name().to_str()?.parse().ok()?, Wait { told, runnable, ..Wait::default() }))
    };
    tasks.flatten().filter_map(waited).collect()
}

/// `cpuN user nice system idle iowait irq softirq steal`, in hundredths of a second.
fn stolen() -> Vec<(u32, Wait)> {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let processor = |line: &str| {
        let (number, times) = line.strip_prefix("cpu")?.split_once(' ')?;
        let steal: u64 = times.split_whitespace().nth(7)?.parse().ok()?;
        let told = Duration::from_millis(steal * 10);
        Some((u32::MAX - number.parse::<u32>().ok()?, Wait { told, runnable: true, ..Wait::default() }))
    };
    stat.lines().filter_map(processor).collect()
}

/// For how much of a time the machine stood still.
pub fn within(stalls: &[(u64, u64)], from: u64, to: u64) -> u64 {
    let clipped = stalls.iter().map(|stall| (stall.0.max(from), stall.1.min(to)));
    let mut spans: Vec<(u64, u64)> = clipped.filter(|stall| stall.0 < stall.1).collect();
    spans.sort_unstable();
    let (mut sum, mut end) = (0, 0);
    for (begun, ended) in spans {
        sum += ended.saturating_sub(begun.max(end));
        end = end.max(ended);
    }
    sum
}

/// How long somebody had to wait.
pub struct Stall {
    longest: Duration,
    most: Duration,
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [longest, most] = [self.longest, self.most].map(|wait| wait.as_secs_f64());
        write!(f, "{longest:.2} s without a processor, {most:.2} s of one second")
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
