//! Makes the copies of a key equal again, where the replies of its owners have shown that they may differ.
//!
//! Two processes that write one key at the same time send the copies what they did over connections of their own, and
//! nothing orders those. So what a copy answers is compared with what the primary answered, and keys that stand out are
//! kept as [`Suspects`]. Each is looked at until its copies prove to be equal, or it holds still and the copies are given
//! the primary's state ([`refresh`]).

mod compare;
mod equal;
mod refresh;
mod repair;
mod suspects;
mod tell;

use std::sync::{Arc, Weak};

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{Instant, sleep_until};

use super::Core;
use crate::placement::Token;
pub use compare::Compared;
pub(super) use equal::become_equal;
use refresh::Found;
pub(super) use refresh::ahead_of;
pub(super) use repair::{Unrepaired, repair};
pub(super) use suspects::Suspects;
use suspects::{Examined, Why};
pub(super) use tell::{Tales, keep_telling};

/// How many keys are looked at at the same time.
const AT_ONCE: usize = 8;

/// Looks at suspects for as long as its owner does not abort it. It sleeps while there are none.
pub(super) async fn keep_healing(core: Weak<Core>, suspects: Arc<Suspects>) {
    let mut looking = FuturesUnordered::new();
    loop {
        // A waiter registered before looking misses no change.
        let mut news = std::pin::pin!(suspects.news.notified());
        news.as_mut().enable();
        let (due, next) = suspects.due(Instant::now(), AT_ONCE - looking.len());
        looking.extend(due.into_iter().map(|due| examine(&core, &suspects, due)));
        let next_due = async {
            match next {
                Some(next) => sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = news => {}
            Some(()) = looking.next() => {}
            () = next_due => {}
        }
    }
}

async fn examine(core: &Weak<Core>, suspects: &Suspects, due: suspects::Due) {
    let Some(core) = core.upgrade() else { return };
    let token = Token::of_key(&due.key);
    let found = refresh::examine(&core, &due.key, token, due.seen.as_ref()).await;
    let examined = match found {
        Found::Equal => Examined::Done,
        Found::Healed => {
            core.counters.healed_keys.add_one();
            tracing::debug!(%token, "the copies of a key differed and were given the state of its primary");
            Examined::Done
        }
        Found::Different(look) => Examined::Different(look),
        Found::Later => Examined::Later,
        Found::Left(why) => Examined::Left(why),
    };
    if let Some(why) = suspects.examined(due.key, examined) {
        given_up(&core, token, why);
    }
}

impl Core {
    /// The copies of these keys may differ: they are compared, and healed if they do. By the agent of their primary, where
    /// there is one.
    #[cold]
    pub(super) fn suspect(&self, keys: Vec<Vec<u8>>) {
        for key in keys {
            let token = Token::of_key(&key);
            let known = match &self.tales {
                Some(tales) => tales.add(&key),
                None => self.suspects.add(key),
            };
            if !known {
                given_up(self, token, Why::Many);
            }
        }
    }

    /// The copies of these keys are compared if there is room for it: nothing says that they differ, and nothing that they
    /// do not.
    pub(super) fn look_later(&self, keys: Vec<Vec<u8>>) {
        for key in keys {
            let _ = self.suspects.add(key);
        }
    }

    /// How many keys are suspected of having copies that differ.
    pub(crate) fn suspects(&self) -> usize {
        self.suspects.len() + self.tales.as_ref().map_or(0, |tales| tales.len())
    }
}

#[cold]
fn given_up(core: &Core, token: Token, why: Why) {
    core.counters.unhealed_keys.add_one();
    if core.suspects.is_first(why) {
        tracing::warn!(%token, "a key whose copies may differ is left as it is: {why}; further ones are debug events");
    } else {
        tracing::debug!(%token, "a key whose copies may differ is left as it is: {why}");
    }
}
