//! What has changed at the source and is not copied again yet.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::aio::{AsyncPushSender, SendError};
use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Gains;
use super::compare::Print;
use crate::command::{OWN_GATE, RESERVED};

/// The name of a key.
pub(super) type Key = Arc<[u8]>;

/// What a name costs beside its bytes, in the set, in the queue and on the heap.
const OVERHEAD: usize = 80;

/// A large key rests for so many times as long as it took to copy. A hot one would be copied all the time otherwise.
const REST: u32 = 10;

/// What a large key is taken to take until it was copied once.
pub(super) const UNKNOWN: Duration = Duration::from_secs(3600);

/// The changed keys, each once.
///
/// A key is taken out of it *before* its value is asked for: a change that the value does not contain marks it anew.
pub(super) struct Dirty {
    gains: Gains,
    most: usize,
    state: Mutex<Set>,
    /// Told of the first change after [`Dirty::take`] found nothing, among others.
    pub(super) news: Notify,
}

#[derive(Debug, Default)]
struct Set {
    queue: VecDeque<Key>,
    queued: HashSet<Key>,
    bytes: usize,
    /// Those known to be large, whether they changed or not.
    large: HashMap<Key, Large>,
    told: Told,
}

/// What the source has told beside the names of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// How often the gate was written.
    pub(super) gates: u64,
    /// How often a gained key has changed since the gate was written last.
    pub(super) since_gate: u64,
    pub(super) flushed: bool,
    /// More has changed than can be remembered.
    pub(super) too_much: bool,
}

#[derive(Debug)]
struct Large {
    dirty: bool,
    busy: bool,
    /// When it may be copied again.
    due: Instant,
    took: Duration,
}

impl Dirty {
    pub(super) fn new(gains: Gains, most: usize) -> Arc<Dirty> {
        Arc::new(Dirty { gains, most, state: Mutex::default(), news: Notify::new() })
    }

    /// Whether a key is to be copied at all.
    pub(super) fn gains(&self, key: &[u8]) -> bool {
        !key.starts_with(RESERVED) && (self.gains)(key)
    }

    fn state(&self) -> MutexGuard<'_, Set> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets all: every key will be looked at again.
    pub(super) fn clear(&self) {
        *self.state() = Set::default();
    }

    pub(super) fn told(&self) -> Told {
        self.state().told
    }

    /// How many keys are to be copied, and how long the large ones among them took when they were copied last.
    pub(super) fn behind(&self) -> (usize, Duration) {
        let state = self.state();
        let large = state.large.values().filter(|large| large.dirty || large.busy);
        let (count, took) =
            large.fold((0, Duration::ZERO), |(count, took), large| (count + 1, took.saturating_add(large.took)));
        (state.queue.len() + count, took)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.behind().0 == 0
    }

    /// Takes those out that changed first, but for large ones.
    pub(super) fn take(&self, most: usize) -> Vec<Key> {
        let mut state = self.state();
        let count = most.min(state.queue.len());
        let taken: Vec<Key> = state.queue.drain(..count).collect();
        for key in &taken {
            state.queued.remove(key);
            state.bytes -= key.len() + OVERHEAD;
        }
        taken
    }

    /// Those of the keys that are not known to be large. The others are left to who copies such keys: two of them, side by
    /// side, could bring an older value after a newer one.
    pub(super) fn leave_large(&self, keys: Vec<(Key, Print)>) -> Vec<(Key, Print)> {
        let mut state = self.state();
        if state.large.is_empty() {
            return keys;
        }
        let small = |(key, _): &(Key, Print)| match state.large.get_mut(key) {
            Some(large) => {
                large.dirty = true;
                false
            }
            None => true,
        };
        keys.into_iter().filter(small).collect()
    }

    /// How many [`Dirty::take`] could take.
    pub(super) fn queued(&self) -> usize {
        self.state().queue.len()
    }

    pub(super) fn mark(&self, key: &[u8]) {
        let mut state = self.state();
        state.mark(key, self.most);
        drop(state);
        self.news.notify_one();
    }

    /// As if these had not changed: only for [`Without::Order`](super::Without::Order).
    pub(super) fn forget(&self, keys: &[(Key, Print)]) {
        let mut state = self.state();
        for (key, _) in keys {
            if state.queued.remove(key) {
                state.queue.retain(|other| other != key);
                state.bytes -= key.len() + OVERHEAD;
            }
        }
    }

    /// A key has turned out to be large, and is to be copied as such.
    pub(super) fn mark_large(&self, key: Key) {
        let mut state = self.state();
        let now = Instant::now();
        let large = Large { dirty: true, busy: false, due: now, took: UNKNOWN };
        state.large.entry(key).or_insert(large).dirty = true;
        drop(state);
        self.news.notify_one();
    }

    /// Takes out a large key that has rested, or, `at_once`, any; and says whether it was never copied before.
    pub(super) fn take_large(&self, at_once: bool) -> Option<(Key, bool)> {
        let mut state = self.state();
        let now = Instant::now();
        let fit = |large: &Large| large.dirty && !large.busy && (at_once || large.due <= now);
        let (key, large) = state.large.iter_mut().find(|(_, large)| fit(large))?;
        (large.dirty, large.busy) = (false, true);
        Some((Arc::clone(key), large.took == UNKNOWN))
    }

    /// A large key was copied, or tried to.
    pub(super) fn large_was_copied(&self, key: &Key, took: Duration) {
        if let Some(large) = self.state().large.get_mut(key) {
            large.busy = false;
            large.took = took;
            large.due = Instant::now() + took * REST;
        }
    }

    /// A key that was large is not any more.
    pub(super) fn is_small_now(&self, key: &Key) {
        let mut state = self.state();
        state.large.remove(key);
        state.mark(key, self.most);
        drop(state);
        self.news.notify_one();
    }

    fn pushed(&self, push: &PushInfo) {
        if push.kind != PushKind::Invalidate {
            return;
        }
        let mut state = self.state();
        match push.data.first() {
            Some(Value::Array(keys)) => {
                let mut gate = false;
                for key in keys {
                    let Value::BulkString(key) = key else { continue };
                    if key == OWN_GATE.as_bytes() {
                        gate = true;
                    } else if self.gains(key) {
                        state.told.since_gate += 1;
                        state.mark(key, self.most);
                    }
                }
                if gate {
                    // What is told with it is of the same event of the server, in no known order.
                    state.told.gates += 1;
                    state.told.since_gate = 0;
                }
            }
            // Nil stands for all keys.
            Some(_) | None => state.told.flushed = true,
        }
        drop(state);
        self.news.notify_one();
    }
}

impl Set {
    fn mark(&mut self, key: &[u8], most: usize) {
        if let Some(large) = self.large.get_mut(key) {
            large.dirty = true;
            return;
        }
        if self.told.too_much || self.queued.contains(key) {
            return;
        }
        if self.bytes + key.len() + OVERHEAD > most {
            // From here on all keys have to be looked at anyway.
            *self = Set { told: Told { too_much: true, ..self.told }, ..Set::default() };
            return;
        }
        let key: Key = Arc::from(key);
        self.bytes += key.len() + OVERHEAD;
        self.queued.insert(Arc::clone(&key));
        self.queue.push_back(key);
    }
}

/// Takes what the source says unasked, in the order in which it says it among its replies.
impl AsyncPushSender for Dirty {
    fn send(&self, push: PushInfo) -> Result<(), SendError> {
        self.pushed(&push);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dirty(most: usize) -> Arc<Dirty> {
        Dirty::new(Arc::new(|key: &[u8]| !key.starts_with(b"other")), most)
    }

    fn push(dirty: &Dirty, keys: &[&str]) {
        let keys = keys.iter().map(|key| Value::BulkString(key.as_bytes().to_vec())).collect();
        dirty.send(PushInfo { kind: PushKind::Invalidate, data: vec![Value::Array(keys)] }).unwrap();
    }

    fn names(keys: Vec<Key>) -> Vec<String> {
        keys.iter().map(|key| String::from_utf8(key.to_vec()).unwrap()).collect()
    }

    #[test]
    fn gained_keys_are_kept_once_and_leave_in_the_order_in_which_they_changed() {
        let dirty = dirty(1 << 20);
        push(&dirty, &["b", "a", "other:1", "__rr:suspects", "b"]);
        push(&dirty, &["a", "c", OWN_GATE]);
        assert_eq!((dirty.queued(), dirty.told().gates, dirty.told().since_gate), (3, 1, 0));
        assert_eq!(names(dirty.take(2)), ["b", "a"]);
        push(&dirty, &["b"]);
        assert_eq!((names(dirty.take(9)), dirty.told().since_gate), (["c", "b"].map(str::to_owned).into(), 1));
        assert!(dirty.is_empty() && dirty.state().bytes == 0);
    }

    #[test]
    fn what_is_too_much_is_forgotten_and_said() {
        let dirty = dirty(3 * (OVERHEAD + 1));
        push(&dirty, &["a", "b", "c", "c"]);
        assert!(!dirty.told().too_much);
        push(&dirty, &["d", "e"]);
        assert!(dirty.told().too_much && dirty.queued() == 0);
        dirty.clear();
        push(&dirty, &["d"]);
        assert!(!dirty.told().too_much && dirty.queued() == 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_key_rests_for_ten_times_as_long_as_it_took() {
        let dirty = dirty(1 << 20);
        push(&dirty, &["k"]);
        let key = dirty.take(1).remove(0);
        dirty.mark_large(Arc::clone(&key));
        assert_eq!(dirty.take_large(false), Some((key.clone(), true)));
        push(&dirty, &["k"]);
        assert_eq!((dirty.queued(), dirty.take_large(true)), (0, None), "it is being copied");
        dirty.large_was_copied(&key, Duration::from_millis(100));
        assert_eq!(dirty.take_large(false), None);
        assert_eq!(dirty.behind(), (1, Duration::from_millis(100)));
        tokio::time::advance(Duration::from_millis(1001)).await;
        assert_eq!(dirty.take_large(false), Some((key.clone(), false)));
        dirty.is_small_now(&key);
        assert_eq!((dirty.queued(), dirty.take_large(true)), (1, None));
    }

    #[test]
    fn a_flush_is_told() {
        let dirty = dirty(1 << 20);
        dirty.send(PushInfo { kind: PushKind::Invalidate, data: vec![Value::Nil] }).unwrap();
        assert!(dirty.told().flushed);
    }
}
