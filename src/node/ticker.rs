//! One clock for all requests of a client, instead of a timer for each.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::link::Link;

/// How often the requests in flight are looked through. Hedges start after 2 ms at the earliest.
const TICK: Duration = Duration::from_millis(1);

/// How far one tick may advance the clock. A process that stood still (a suspended machine, a blocked runtime)
/// would otherwise find every server late at once, though the replies are already in its sockets.
const LARGEST_STEP_MS: u64 = 10;

/// After so many late ticks in a row the process is not standing still but busy, and time counts in full: otherwise a
/// timeout would stretch without bound.
const LATE_TICKS: u32 = 3;

/// Ticks without any request in flight before the ticker goes to sleep, so that an idle client costs nothing.
const IDLE_TICKS: u32 = 50;

/// Finds the requests that have waited too long and wakes them.
///
/// Its time is in milliseconds since the client began and runs only while requests are in flight.
#[derive(Debug)]
pub(crate) struct Ticker {
    now_ms: AtomicU64,
    asleep: AtomicBool,
    wake: Notify,
    links: Mutex<Vec<Weak<Link>>>,
}

impl Ticker {
    pub(crate) fn new() -> Arc<Ticker> {
        Arc::new(Ticker {
            now_ms: AtomicU64::new(0),
            asleep: AtomicBool::new(false),
            wake: Notify::new(),
            links: Mutex::default(),
        })
    }

    /// The time, at most one tick old while anything is in flight.
    #[inline]
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms.load(Ordering::Relaxed)
    }

    /// To be called when a request has entered a link's registry.
    #[inline]
    pub(crate) fn request_entered(&self) {
        // Sequentially consistent together with the ticker's own check: either it sees the request, or the
        // request sees it asleep.
        if self.asleep.load(Ordering::SeqCst) {
            self.wake.notify_one();
        }
    }

    pub(crate) fn watch(&self, link: &Arc<Link>) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|link| link.strong_count() > 0);
        links.push(Arc::downgrade(link));
    }

    /// Runs for as long as the client lives; its owner aborts it.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut last = Instant::now();
        let mut idle = 0;
        let mut late_ticks = 0;
        let mut late = Vec::new();
        loop {
            interval.tick().await;
            let step = u64::try_from(last.elapsed().as_millis()).unwrap_or(u64::MAX);
            // What is left of a millisecond counts in the next tick.
            last += Duration::from_millis(step);
            late_ticks = if step > LARGEST_STEP_MS { late_ticks + 1 } else { 0 };
            let counted = if late_ticks > LATE_TICKS { step } else { step.min(LARGEST_STEP_MS) };
            let now = self.now_ms.load(Ordering::Relaxed) + counted;
            self.now_ms.store(now, Ordering::Relaxed);
            let busy = self.tick(now, &mut late);
            for waker in late.drain(..) {
                std::task::Waker::wake(waker);
            }
            idle = if busy { 0 } else { idle + 1 };
            if idle > IDLE_TICKS {
                self.sleep_until_needed(&mut late).await;
                last = Instant::now();
                interval.reset();
                idle = 0;
            }
        }
    }

    async fn sleep_until_needed(&self, late: &mut Vec<std::task::Waker>) {
        self.asleep.store(true, Ordering::SeqCst);
        // A request that entered before it could see us asleep is seen here.
        if !self.tick(self.now_ms(), late) {
            self.wake.notified().await;
        }
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Whether anything is in flight.
    fn tick(&self, now_ms: u64, late: &mut Vec<std::task::Waker>) -> bool {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let mut busy = false;
        for link in links.iter().filter_map(Weak::upgrade) {
            busy |= link.tick(now_ms, late);
        }
        busy
    }
}
