//! Suspects of a ring with agents: the agent of their primary looks at them, when they are quiet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use redis::Value;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::{Core, Snapshot};
use crate::command;
use crate::node::Link;
use crate::placement::{MemberIndex, Token};

/// The most keys that wait to be told, or were told a moment ago.
const MOST: usize = 4096;

/// How many are told at once.
const AT_ONCE: usize = 256;

/// A key that is longer is not worth its place in a list of names.
const LONGEST: usize = 64 * 1024;

/// The newest are kept. It runs where memory is short too: the list is bounded, and what it is for makes copies equal.
const PUSH: &str = "#!lua flags=allow-oom
redis.call('RPUSH', KEYS[1], unpack(ARGV))
redis.call('LTRIM', KEYS[1], -10000, -1)
return 1";

/// Keys on their way to the agents.
#[derive(Debug)]
pub(in crate::exec) struct Tales {
    keys: Mutex<Keys>,
    news: Notify,
    /// The same key is not told again so soon: where several processes count in one, its replies differ all the time.
    again_after: Duration,
}

#[derive(Debug, Default)]
struct Keys {
    waiting: Vec<Vec<u8>>,
    told: HashMap<Vec<u8>, Instant>,
}

impl Tales {
    pub(in crate::exec) fn new(write: Duration) -> Tales {
        Tales { keys: Mutex::default(), news: Notify::new(), again_after: write }
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many wait to be told.
    pub(super) fn len(&self) -> usize {
        self.keys().waiting.len()
    }

    /// Adds a key, if there is room for it.
    pub(super) fn add(&self, key: &[u8]) -> bool {
        let mut keys = self.keys();
        let now = Instant::now();
        if keys.told.get(key).is_some_and(|told| *told > now) {
            return true;
        }
        if key.len() > LONGEST {
            return false;
        }
        if keys.told.len() >= MOST {
            keys.told.retain(|_, told| *told > now);
            if keys.told.len() >= MOST {
                return false;
            }
        }
        keys.told.insert(key.to_vec(), now + self.again_after);
        keys.waiting.push(key.to_vec());
        drop(keys);
        self.news.notify_one();
        true
    }
}

/// Tells the agents for as long as its owner does not abort it. It sleeps while there is nothing to tell.
pub(in crate::exec) async fn keep_telling(core: Weak<Core>, tales: Arc<Tales>) {
    loop {
        tales.news.notified().await;
        let Some(core) = core.upgrade() else { return };
        let waiting = std::mem::take(&mut tales.keys().waiting);
        let snapshot = core.snapshot.load_full();
        let mut by_primary: HashMap<Option<MemberIndex>, Vec<Vec<u8>>> = HashMap::new();
        for key in waiting {
            by_primary.entry(snapshot.topology.writers(Token::of_key(&key)).next()).or_default().push(key);
        }
        join_all(by_primary.into_iter().map(|(primary, keys)| tell(&core, &snapshot, primary, keys))).await;
    }
}

async fn tell(core: &Core, snapshot: &Snapshot, primary: Option<MemberIndex>, keys: Vec<Vec<u8>>) {
    let link = primary.and_then(|primary| snapshot.seat(primary).link());
    for some in keys.chunks(AT_ONCE) {
        let told = match &link {
            Some(link) => push(core, link, some).await,
            None => false,
        };
        if !told {
            // Whoever is the primary next may not learn of it, so this client looks itself.
            core.look_later(some.to_vec());
        }
    }
}

async fn push(core: &Core, link: &Link, keys: &[Vec<u8>]) -> bool {
    let mut push = redis::cmd("EVAL");
    push.arg(PUSH).arg(1).arg(command::OWN_SUSPECTS).arg(keys);
    matches!(link.write(&push, core.write_ms).await, Ok(Value::Int(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_is_told_once_in_a_while_and_there_is_an_end_to_how_many() {
        let tales = Tales::new(Duration::from_millis(500));
        assert!(tales.add(b"a") && tales.add(b"a") && tales.add(b"b"));
        assert_eq!(tales.len(), 2);
        tokio::time::advance(Duration::from_millis(501)).await;
        assert!(tales.add(b"a"));
        assert_eq!(tales.len(), 3);
        let all = (0..2 * MOST).filter(|n| tales.add(format!("k{n}").as_bytes())).count();
        assert!((MOST - 2..=MOST).contains(&all), "{all}");
        assert!(!tales.add(&vec![0; LONGEST + 1]));
    }
}
