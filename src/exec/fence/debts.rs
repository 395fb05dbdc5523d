//! What members lack and nobody could take them out for: remembered, and made good as soon as ZooKeeper is back.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use super::super::Core;
use super::super::heal::{self, Unrepaired};
use super::judge::{self, Verdict};
use super::{Fences, Why, is_used};
use crate::membership::Source;
use crate::placement::{Generation, NodeId, Token};
use crate::policy::Unfenced;

/// The most keys that are remembered of one life of a member. Of one that lacks more nobody knows what it lacks.
const MOST: usize = 4096;

/// How often it is tried to pay.
const TRY_EVERY: Duration = Duration::from_millis(100);

/// How often it is tried to take out who cannot be paid: a guard that forbids it does so for long.
const JUDGE_EVERY: Duration = Duration::from_secs(2);

/// A life of a member.
type Case = (NodeId, Generation);

/// What is owed to members.
#[derive(Debug, Default)]
pub(in crate::exec) struct Debts {
    owed: Mutex<HashMap<Case, Owed>>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Owed {
    writes: u64,
    keys: HashSet<Vec<u8>>,
    /// There are more.
    too_many: bool,
}

impl Owed {
    fn add(&mut self, key: Vec<u8>) {
        if self.keys.len() < MOST {
            self.keys.insert(key);
        } else if !self.keys.contains(&key) {
            self.too_many = true;
        }
    }
}

impl Debts {
    fn owed(&self) -> MutexGuard<'_, HashMap<Case, Owed>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `mark` says of the member that it has missed a write. Nobody takes that back in between.
    pub(super) fn add(&self, id: &NodeId, generation: Generation, keys: &[Vec<u8>], mark: impl FnOnce()) {
        let mut all = self.owed();
        mark();
        let owed = all.entry((id.clone(), generation)).or_default();
        owed.writes += 1;
        keys.iter().for_each(|key| owed.add(key.clone()));
        self.news.notify_one();
    }

    /// What is to be paid to a member now. Whatever it misses meanwhile is owed anew: also of a key that it has been given
    /// already.
    fn take(&self, case: &Case) -> Option<Owed> {
        self.owed().remove(case)
    }

    /// It could not be paid.
    fn put_back(&self, case: Case, owed: Owed) {
        let mut all = self.owed();
        let now = all.entry(case).or_default();
        now.writes += owed.writes;
        now.too_many |= owed.too_many;
        owed.keys.into_iter().for_each(|key| now.add(key));
    }

    /// It was paid. `unmark` takes back that the member has missed a write, unless it has missed more.
    fn paid(&self, case: &Case, unmark: impl FnOnce()) {
        let all = self.owed();
        if !all.contains_key(case) {
            unmark();
        }
    }

    /// Whether others are owed what this member has, as far as that is known: were it taken out, those who lack it would be
    /// asked in its place.
    fn owes(&self, core: &Core, (id, generation): &Case) -> bool {
        let newest = core.snapshot.load();
        let Some(index) = is_used(&newest, id, *generation) else { return false };
        let serving = newest.topology.serving();
        let all = self.owed();
        let others = all.iter().filter(|((other, _), _)| other != id).flat_map(|(_, owed)| &owed.keys);
        others.into_iter().any(|key| serving.owners(Token::of_key(key)).first() == Some(&index))
    }

    /// Whether a member is owed something already and ZooKeeper is lost: to look at it once more for each write would
    /// only hold those up.
    pub(super) fn is_hopeless(&self, fences: &Fences, id: &NodeId, generation: Generation) -> bool {
        is_stale(fences) && fences.unfenced == Unfenced::Accept && self.owed().contains_key(&(id.clone(), generation))
    }
}

fn is_stale(fences: &Fences) -> bool {
    matches!(fences.arbiter.view().source, Source::Stale { .. })
}

/// Pays for as long as its owner does not abort it. It sleeps while nothing is owed.
pub(in crate::exec) async fn keep_paying(core: Weak<Core>, debts: Arc<Debts>) {
    let mut judged = None;
    loop {
        let cases: Vec<Case> = debts.owed().keys().cloned().collect();
        if cases.is_empty() {
            debts.news.notified().await;
            continue;
        }
        let Some(core) = core.upgrade() else { return };
        let Some(fences) = &core.fences else { return };
        let mut insolvent = Vec::new();
        for case in cases {
            // Without it nobody knows whose state is the right one.
            if is_stale(fences) {
                break;
            }
            let Some(owed) = debts.take(&case) else { continue };
            match pay(&core, &case, &owed).await {
                Paid::Yes => {
                    core.counters.debts_paid.add(owed.writes);
                    debts.paid(&case, || {
                        let newest = core.snapshot.load();
                        if let Some(index) = is_used(&newest, &case.0, case.1) {
                            newest.seat(index).node.has_all_writes();
                        }
                    });
                    tracing::info!(node = %case.0, "what it had missed is made good");
                }
                Paid::Later => debts.put_back(case, owed),
                Paid::Never => {
                    debts.put_back(case.clone(), owed);
                    insolvent.push(case);
                }
            }
        }
        // Whoever cannot be given it is taken out, as where it misses a write.
        let is_due = judged.is_none_or(|judged: Instant| judged.elapsed() >= JUDGE_EVERY);
        if let Some((id, generation)) = insolvent.iter().find(|case| is_due && !debts.owes(&core, case)) {
            judged = Some(Instant::now());
            judge::verdict(&core, id, *generation, Why::Lacking).await;
        }
        drop(core);
        sleep(TRY_EVERY).await;
    }
}

/// Whether a member lacks none of what it was owed any more, or is not read.
enum Paid {
    Yes,
    Later,
    /// It can be given nothing, or nobody knows what.
    Never,
}

async fn pay(core: &Arc<Core>, (id, generation): &Case, owed: &Owed) -> Paid {
    match judge::verdict(core, id, *generation, Why::Silent).await {
        Verdict::Out => Paid::Yes,
        Verdict::Alive if owed.too_many => Paid::Never,
        Verdict::Alive => {
            let keys: Vec<Vec<u8>> = owed.keys.iter().cloned().collect();
            match heal::repair(core, id, &keys).await {
                Ok(()) => Paid::Yes,
                Err(Unrepaired::Later) => Paid::Later,
                Err(Unrepaired::Never) => Paid::Never,
            }
        }
        Verdict::Kept(why) | Verdict::Unfenced(why) => {
            tracing::debug!(node = %id, %why, "what it lacks is still owed");
            Paid::Later
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(names: &[&str]) -> Vec<Vec<u8>> {
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }

    #[test]
    fn what_is_missed_again_while_it_is_paid_stays_owed() {
        let (debts, id) = (Debts::default(), NodeId::new("redis-0").unwrap());
        let (case, mut marked) = ((id.clone(), Generation(1)), false);
        debts.add(&id, case.1, &keys(&["k", "l"]), || marked = true);
        let owed = debts.take(&case).unwrap();
        assert_eq!((owed.writes, owed.keys), (1, keys(&["k", "l"]).into_iter().collect()));
        debts.add(&id, case.1, &keys(&["k"]), || {});
        debts.paid(&case, || marked = false);
        assert!(marked, "it lacks something still");
        let owed = debts.take(&case).unwrap();
        assert_eq!((owed.writes, &owed.keys), (1, &keys(&["k"]).into_iter().collect()));
        debts.add(&id, case.1, &keys(&["m"]), || {});
        debts.put_back(case.clone(), owed);
        let owed = debts.take(&case).unwrap();
        assert_eq!((owed.writes, owed.keys), (2, keys(&["k", "m"]).into_iter().collect()));
        debts.paid(&case, || marked = false);
        assert!(!marked && debts.owed().is_empty());
    }

    #[test]
    fn of_who_lacks_more_than_is_remembered_that_alone_is_known() {
        let (debts, id) = (Debts::default(), NodeId::new("redis-0").unwrap());
        let case = (id.clone(), Generation(1));
        let many = |from: usize| (from..from + MOST / 2 + 1).map(|n| n.to_string().into_bytes()).collect::<Vec<_>>();
        debts.add(&id, case.1, &many(0), || {});
        let owed = debts.take(&case).unwrap();
        debts.add(&id, case.1, &many(MOST), || {});
        assert!(!owed.too_many);
        debts.put_back(case.clone(), owed);
        let owed = debts.take(&case).unwrap();
        assert!(owed.too_many && owed.keys.len() == MOST);
    }
}
