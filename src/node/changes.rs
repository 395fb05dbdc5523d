//! Who waits for which keys to change.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use redis::aio::{AsyncPushSender, SendError};
use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;

/// The keys that callers of this client wait for, whichever member they are at.
///
/// A change that nobody waits for costs a look into the map. A caller that is told without need looks again and waits on.
#[derive(Debug, Default)]
pub(crate) struct Changes(Mutex<HashMap<Vec<u8>, Vec<Waiting>>>);

/// A line and how many wait in it; gone with the last of them.
#[derive(Debug)]
struct Waiting {
    line: Arc<Line>,
    waiters: usize,
}

/// The callers that wait for a key in the same way.
#[derive(Debug)]
struct Line {
    queue: Queue,
    told: Notify,
}

/// How those who wait for a key are told that it has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Queue {
    /// All of them: each gets the same.
    None,
    /// One after the other, in the order in which they came: what one takes the next does not get. Consumer groups are
    /// served side by side, so each is a queue of its own.
    Of(Vec<u8>),
}

impl Changes {
    /// Joins those who wait for these keys.
    pub(crate) fn listen(self: &Arc<Self>, keys: Vec<Vec<u8>>, queue: &Queue) -> Waiter {
        let mut waited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let join = |key: &Vec<u8>| {
            let lines = waited.entry(key.clone()).or_default();
            if let Some(waiting) = lines.iter_mut().find(|waiting| waiting.line.queue == *queue) {
                waiting.waiters += 1;
                return Arc::clone(&waiting.line);
            }
            let line = Arc::new(Line { queue: queue.clone(), told: Notify::new() });
            lines.push(Waiting { line: Arc::clone(&line), waiters: 1 });
            line
        };
        let lines = keys.iter().map(join).collect();
        drop(waited);
        Waiter { changes: Arc::clone(self), keys, lines }
    }

    fn pushed(&self, push: &PushInfo) {
        if push.kind != PushKind::Invalidate {
            return;
        }
        match push.data.first() {
            Some(Value::Array(keys)) => keys.iter().for_each(|key| {
                if let Value::BulkString(key) = key {
                    self.tell(key);
                }
            }),
            // Nil stands for all keys: the server was flushed.
            Some(_) | None => self.tell_all(),
        }
    }

    /// Somebody must look again, since nothing may be heard of the keys any more.
    pub(super) fn tell_all(&self) {
        let waited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waited.values().flatten().for_each(|waiting| waiting.line.tell());
    }

    fn tell(&self, key: &[u8]) {
        let waited = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waited.get(key).into_iter().flatten().for_each(|waiting| waiting.line.tell());
    }
}

/// Takes what a server pushes about keys that it was asked to watch.
impl AsyncPushSender for Changes {
    fn send(&self, push: PushInfo) -> Result<(), SendError> {
        self.pushed(&push);
        Ok(())
    }
}

impl Line {
    fn tell(&self) {
        match self.queue {
            Queue::None => self.told.notify_waiters(),
            Queue::Of(_) => self.told.notify_one(),
        }
    }
}

/// A caller that waits for keys, until it is dropped.
#[derive(Debug)]
pub(crate) struct Waiter {
    changes: Arc<Changes>,
    keys: Vec<Vec<u8>>,
    lines: Vec<Arc<Line>>,
}

impl Waiter {
    /// The keys that are waited for.
    pub(crate) fn keys(&self) -> &[Vec<u8>] {
        &self.keys
    }

    /// The turn of a caller that looked without being told.
    pub(crate) fn turn(&self) -> Turn {
        Turn(self.lines.clone())
    }

    /// Returns when one of the keys may have changed since this was called; in a queue, when it is this caller's turn.
    ///
    /// Dropping the future before its end passes the turn on.
    pub(crate) fn told(&self) -> impl Future<Output = Turn> + use<'_> {
        let mut told: Vec<Pin<Box<Notified<'_>>>> =
            self.lines.iter().map(|line| Box::pin(line.told.notified())).collect();
        // From here on nothing is missed, and the place in the queue is kept.
        let mut already = false;
        for told in &mut told {
            already |= told.as_mut().enable();
        }
        let lines = self.lines.clone();
        let mut turn = already.then(|| Turn(lines.clone()));
        poll_fn(move |cx| {
            if let Some(turn) = turn.take() {
                return Poll::Ready(turn);
            }
            match told.iter_mut().any(|told| told.as_mut().poll(cx).is_ready()) {
                true => Poll::Ready(Turn(lines.clone())),
                false => Poll::Pending,
            }
        })
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut waited = self.changes.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, line) in self.keys.iter().zip(self.lines.drain(..)) {
            let Some(lines) = waited.get_mut(key) else { continue };
            lines.retain_mut(|waiting| {
                waiting.waiters -= usize::from(Arc::ptr_eq(&waiting.line, &line));
                waiting.waiters > 0
            });
            if lines.is_empty() {
                waited.remove(key);
            }
        }
    }
}

/// The turn of a caller to look at what it was told of. Dropping it lets the next in the queue look too: there may be
/// more than this one takes.
#[derive(Debug)]
#[must_use = "dropping it lets the next caller look"]
pub(crate) struct Turn(Vec<Arc<Line>>);

impl Turn {
    /// There was nothing, so the next would find nothing either.
    pub(crate) fn in_vain(mut self) {
        self.0.clear();
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        for line in self.0.iter().filter(|line| line.queue != Queue::None) {
            line.told.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn queue() -> Queue {
        Queue::Of(Vec::new())
    }

    fn listen(changes: &Arc<Changes>, keys: &[&str], queue: &Queue) -> Waiter {
        changes.listen(keys.iter().map(|key| key.as_bytes().to_vec()).collect(), queue)
    }

    #[test]
    fn callers_in_a_queue_are_told_one_after_the_other() {
        let changes = Arc::new(Changes::default());
        let (one, other) = (listen(&changes, &["a", "b"], &queue()), listen(&changes, &["b"], &queue()));
        let mut first = Box::pin(one.told());
        let mut second = Box::pin(other.told());
        assert!((&mut first).now_or_never().is_none() && (&mut second).now_or_never().is_none());
        changes.tell(b"c");
        changes.tell(b"b");
        assert!((&mut second).now_or_never().is_none());
        let turn = (&mut first).now_or_never().expect("it came first");
        assert!((&mut second).now_or_never().is_none());
        drop(turn);
        second.now_or_never().expect("the turn is passed on").in_vain();
        assert!(other.told().now_or_never().is_none());
    }

    #[test]
    fn a_caller_that_is_gone_passes_its_turn_on() {
        let changes = Arc::new(Changes::default());
        let (one, other) = (listen(&changes, &["a"], &queue()), listen(&changes, &["a"], &queue()));
        let (first, second) = (Box::pin(one.told()), Box::pin(other.told()));
        changes.tell(b"a");
        drop(first);
        assert!(second.now_or_never().is_some());
    }

    #[test]
    fn readers_and_other_groups_are_told_all_the_same() {
        let changes = Arc::new(Changes::default());
        let waiters: Vec<Waiter> = [Queue::None, Queue::None, queue(), Queue::Of(b"g".to_vec())]
            .iter()
            .map(|queue| listen(&changes, &["a"], queue))
            .collect();
        let told: Vec<_> = waiters.iter().map(|waiter| Box::pin(waiter.told())).collect();
        changes.tell(b"a");
        for told in told {
            told.now_or_never().expect("told").in_vain();
        }
        let told: Vec<_> = waiters.iter().map(|waiter| Box::pin(waiter.told())).collect();
        changes.pushed(&PushInfo { kind: PushKind::Invalidate, data: vec![Value::Nil] });
        assert!(told.into_iter().all(|told| told.now_or_never().is_some()));
    }

    #[test]
    fn what_changes_before_it_is_waited_for_is_not_missed() {
        let changes = Arc::new(Changes::default());
        for queue in [Queue::None, queue()] {
            let waiter = listen(&changes, &["a"], &queue);
            let told = waiter.told();
            changes.tell(b"a");
            assert!(told.now_or_never().is_some());
        }
        assert!(changes.0.lock().unwrap().is_empty(), "nobody waits any more");
    }
}
