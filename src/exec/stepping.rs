//! The writes that are under way, by the step of the ring that they were begun under.
//!
//! Whoever moves the ring waits until no connection bears the name of an older step. So a connection takes a new name only
//! when nothing that was begun under an older step will be sent any more, by anybody and on whatever connection: a copy
//! that still stands in line counts like the command itself.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;

use super::{Core, Snapshot};
use crate::node::{Link, Naming};
use crate::placement::{MemberIndex, Step};

/// When it is said that writes of an older step are still under way. Nothing is done about it here: whoever waits for them
/// ends their connections.
const SLOW: Duration = Duration::from_secs(1);

/// How many writes of one step are under way.
#[derive(Debug)]
pub(super) struct Stepping {
    step: Step,
    begun: AtomicUsize,
    naming: Arc<Naming>,
    steps: Arc<Steps>,
}

/// The steps before the newest under which something is still under way.
#[derive(Debug, Default)]
pub(super) struct Steps {
    older: Mutex<Vec<Arc<Stepping>>>,
    /// Told when there is one more, and when the last write of one has ended.
    news: Notify,
}

impl Stepping {
    pub(super) fn new(step: Step, naming: &Arc<Naming>, steps: &Arc<Steps>) -> Arc<Stepping> {
        let (naming, steps) = (Arc::clone(naming), Arc::clone(steps));
        Arc::new(Stepping { step, begun: AtomicUsize::new(0), naming, steps })
    }

    /// The same while the step is the same, or else the next. The one before is over when [`Stepping::supersede`] says so.
    pub(super) fn successor(self: &Arc<Self>, step: Step) -> Arc<Stepping> {
        if step == self.step { Arc::clone(self) } else { Stepping::new(step, &self.naming, &self.steps) }
    }

    /// From now on nothing begins under this step any more. To be called when the snapshot of the next has been published.
    pub(super) fn supersede(self: &Arc<Self>, step: Step) {
        let mut older = self.steps.older.lock().unwrap_or_else(PoisonError::into_inner);
        self.naming.know(step);
        older.push(Arc::clone(self));
        drop(older);
        self.steps.news.notify_one();
    }

    #[inline]
    fn is_over(&self) -> bool {
        self.naming.known_in_order() > self.step
    }
}

/// A snapshot that something is written with, from before it decides who is written until nothing of it will be sent any
/// more. As long as it is held, connections keep the name of its step.
#[derive(Debug)]
pub(super) struct InStep(Arc<Snapshot>);

impl InStep {
    /// Begins with this snapshot, or with the newest if its step is over.
    #[inline]
    pub(super) fn with(core: &Core, snapshot: &Arc<Snapshot>) -> InStep {
        InStep::count(Arc::clone(snapshot)).unwrap_or_else(|| InStep::newest(core))
    }

    /// Begins with the newest snapshot.
    pub(super) fn newest(core: &Core) -> InStep {
        loop {
            if let Some(begun) = InStep::count(core.snapshot.load_full()) {
                return begun;
            }
        }
    }

    /// Counts first and looks then: so either this sees that the step is over, or whoever waits for its end sees this.
    #[inline]
    fn count(snapshot: Arc<Snapshot>) -> Option<InStep> {
        snapshot.stepping.begun.fetch_add(1, Ordering::SeqCst);
        let begun = InStep(snapshot);
        if begun.0.stepping.is_over() { None } else { Some(begun) }
    }

    /// Goes on with the newest snapshot. Nothing of the old one may be sent any more.
    pub(super) fn renew(&mut self, core: &Core) {
        *self = InStep::newest(core);
    }

    /// A member's connection, also if the snapshot does not know it yet; none of a newer step.
    pub(super) fn link(&self, index: MemberIndex) -> Option<Arc<Link>> {
        self.0.seat(index).link().filter(|link| link.is_open_to(self.0.step))
    }
}

impl Clone for InStep {
    /// No new beginning: this one is counted already.
    #[inline]
    fn clone(&self) -> InStep {
        self.0.stepping.begun.fetch_add(1, Ordering::SeqCst);
        InStep(Arc::clone(&self.0))
    }
}

impl Drop for InStep {
    #[inline]
    fn drop(&mut self) {
        let stepping = &self.0.stepping;
        if stepping.begun.fetch_sub(1, Ordering::SeqCst) == 1 && stepping.is_over() {
            stepping.steps.news.notify_one();
        }
    }
}

impl Deref for InStep {
    type Target = Arc<Snapshot>;

    #[inline]
    fn deref(&self) -> &Arc<Snapshot> {
        &self.0
    }
}

impl Steps {
    /// The step that all connections may bear now: everything that was begun under an older one has ended.
    fn free(&self, naming: &Naming) -> Step {
        let mut older = self.older.lock().unwrap_or_else(PoisonError::into_inner);
        older.retain(|stepping| stepping.begun.load(Ordering::SeqCst) > 0);
        older.iter().map(|stepping| stepping.step).min().unwrap_or_else(|| naming.known_in_order())
    }
}

/// Renames connections; its owner aborts it.
pub(super) async fn keep_named(snapshot: Arc<ArcSwap<Snapshot>>, naming: Arc<Naming>, steps: Arc<Steps>) {
    let mut renaming = FuturesUnordered::new();
    loop {
        let step = steps.free(&naming);
        if step > naming.reached() {
            // Before the connections are looked at: one that comes meanwhile looks at this.
            naming.reach(step);
            let nodes: Vec<_> = snapshot.load().seats.iter().map(|seat| Arc::clone(&seat.node)).collect();
            renaming.extend(nodes.into_iter().map(|node| async move { node.rename(step).await }));
        }
        let waits = step < naming.known();
        tokio::select! {
            () = steps.news.notified() => {}
            Some(()) = renaming.next() => {}
            () = tokio::time::sleep(SLOW), if waits => {
                tracing::debug!(%step, known = %naming.known(), "writes of an older step are still under way");
            }
        }
    }
}
