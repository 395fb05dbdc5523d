//! When members were out of the ring.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis_ring::membership::{Entry, Store};
use redis_ring::placement::State;
use tokio::task::AbortHandle;

use crate::history::now;
use crate::support::{SOON, eventually};

/// Looks at the records all the time, until it is dropped.
pub struct Fences {
    spans: Arc<Mutex<Vec<(u64, u64)>>>,
    /// When the newest look began.
    looked: Arc<AtomicU64>,
    task: AbortHandle,
}

const POLL: Duration = Duration::from_millis(50);
/// What a fence discards may have been executed so long before it: an attempt ends within a second, and then the member is
/// probed and ZooKeeper asked.
const BEFORE: u64 = 2_000_000_000;

impl Fences {
    pub fn watch(store: Arc<Store>) -> Fences {
        let spans = Arc::new(Mutex::new(Vec::new()));
        let (seen, looked) = (Arc::clone(&spans), Arc::new(AtomicU64::new(0)));
        let last = Arc::clone(&looked);
        let task = tokio::spawn(async move {
            let mut notes = Notes::default();
            loop {
                // Nobody is fenced while ZooKeeper says nothing; what it says next is what counts.
                let begun = now();
                if let Ok(snapshot) = store.snapshot().await {
                    let up = snapshot.members.values().all(|entry| is_up(entry).is_some());
                    let lives = snapshot.members.values().filter_map(is_up).sum();
                    if let Some(from) = notes.note(begun, up, lives) {
                        seen.lock().unwrap_or_else(PoisonError::into_inner).push((from.saturating_sub(BEFORE), now()));
                    }
                    last.store(begun, Ordering::Relaxed);
                }
                tokio::time::sleep(POLL).await;
            }
        });
        Fences { spans, looked, task: task.abort_handle() }
    }

    /// Those so far. One that lasts is there up to this moment.
    pub async fn so_far(&self) -> Vec<(u64, u64)> {
        let now = now();
        eventually(SOON * 3, "a look at the records", async || self.looked.load(Ordering::Relaxed) > now).await;
        let mut joined: Vec<(u64, u64)> = Vec::new();
        for (from, to) in self.spans.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            match joined.last_mut() {
                // Looks at one and the same fence; another one follows only after a whole moment.
                Some(last) if from.saturating_add(BEFORE) <= last.1 => last.1 = *to,
                _ => joined.push((*from, *to)),
            }
        }
        joined
    }
}

impl Drop for Fences {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The life of a member that is up.
fn is_up(entry: &Entry) -> Option<u64> {
    let record = entry.record.as_ref().ok()?;
    (record.state() == State::Up).then_some(record.generation)
}

/// What was seen last.
#[derive(Default)]
pub struct Notes {
    /// When all were up, and the sum of their lives.
    whole: Option<(u64, u64)>,
}

impl Notes {
    /// Since when somebody has been out, if so; one who came back meanwhile is known by its new life.
    pub fn note(&mut self, moment: u64, up: bool, lives: u64) -> Option<u64> {
        let (since, before) = self.whole.unwrap_or((moment, lives));
        if up {
            self.whole = Some((moment, lives));
        }
        (!up || lives != before).then_some(since)
    }
}
