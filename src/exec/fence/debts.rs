//! What members lack and nobody could take them out for: remembered, and made good as soon as ZooKeeper is back.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;

use super::super::Core;
use super::super::heal;
use super::judge::{self, Verdict};
use super::{Fences, Why, is_used};
use crate::membership::Source;
use crate::placement::{Generation, NodeId};
use crate::policy::Unfenced;

/// The most keys that are remembered of one life of a member. Of one that lacks more nobody knows what it lacks.
const MOST: usize = 4096;

/// How often it is tried to pay.
const TRY_EVERY: Duration = Duration::from_millis(100);

/// What is owed to members.
#[derive(Debug, Default)]
pub(in crate::exec) struct Debts {
    owed: Mutex<HashMap<(NodeId, Generation), Owed>>,
    news: Notify,
}

#[derive(Clone, Debug, Default)]
struct Owed {
    writes: u64,
    keys: HashSet<Vec<u8>>,
    /// There are more.
    too_many: bool,
}

impl Debts {
    fn owed(&self) -> MutexGuard<'_, HashMap<(NodeId, Generation), Owed>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, id: &NodeId, generation: Generation, keys: &[Vec<u8>]) {
        let mut owed = self.owed();
        let owed = owed.entry((id.clone(), generation)).or_default();
        owed.writes += 1;
        for key in keys {
            if owed.keys.len() < MOST {
                owed.keys.insert(key.clone());
            } else if !owed.keys.contains(key) {
                owed.too_many = true;
            }
        }
        self.news.notify_one();
    }

    /// Whether a member is owed something already and ZooKeeper is lost: to look at it once more for each write would
    /// only hold those up.
    pub(super) fn is_hopeless(&self, fences: &Fences, id: &NodeId, generation: Generation) -> bool {
        matches!(fences.arbiter.view().source, Source::Stale { .. })
            && fences.unfenced == Unfenced::Accept
            && self.owed().contains_key(&(id.clone(), generation))
    }
}

/// Pays for as long as its owner does not abort it. It sleeps while nothing is owed.
pub(in crate::exec) async fn keep_paying(core: Weak<Core>, debts: Arc<Debts>) {
    loop {
        let owed = debts.owed().clone();
        if owed.is_empty() {
            debts.news.notified().await;
            continue;
        }
        let Some(core) = core.upgrade() else { return };
        let Some(fences) = &core.fences else { return };
        for ((id, generation), owed) in owed {
            pay(&core, fences, &id, generation, owed).await;
        }
        drop(core);
        sleep(TRY_EVERY).await;
    }
}

async fn pay(core: &Arc<Core>, fences: &Fences, id: &NodeId, generation: Generation, owed: Owed) {
    // Without it nobody knows whose state is the right one.
    if matches!(fences.arbiter.view().source, Source::Stale { .. }) {
        return;
    }
    let known = if owed.too_many { Why::Lacking } else { Why::Silent };
    let index = match judge::verdict(core, id, generation, known).await {
        Verdict::Out => None,
        Verdict::Alive => {
            let keys: Vec<Vec<u8>> = owed.keys.iter().cloned().collect();
            if heal::repair(core, id, &keys).await.is_err() {
                return;
            }
            is_used(&core.snapshot.load(), id, generation)
        }
        Verdict::Kept(why) | Verdict::Unfenced(why) => {
            tracing::debug!(node = %id, %why, "what it lacks is still owed");
            return;
        }
    };
    let mut all = fences.debts.owed();
    let case = (id.clone(), generation);
    let Some(now) = all.get_mut(&case) else { return };
    now.writes -= owed.writes.min(now.writes);
    now.keys.retain(|key| !owed.keys.contains(key));
    core.counters.debts_paid.add(owed.writes);
    if now.writes == 0 || index.is_none() {
        core.counters.debts_paid.add(now.writes);
        all.remove(&case);
        drop(all);
        if let Some(index) = index {
            core.snapshot.load().seat(index).node.has_all_writes();
        }
        tracing::info!(node = %id, "what it had missed is made good");
    }
}
