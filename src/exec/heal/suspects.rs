//! The keys whose copies may differ, and when each is looked at.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::refresh::Look;

/// How many are kept.
const MOST: usize = 4096;

/// How often a key that does not hold still is tried, and the longest pause in between. With the default timeouts that
/// is for five minutes.
const TRIES: u32 = 15;
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Keys whose copies may differ, each once.
#[derive(Debug)]
pub(crate) struct Suspects {
    keys: Mutex<HashMap<Vec<u8>, Suspect>>,
    /// Told when there is one more, and at no other time.
    pub(super) news: Notify,
    /// What is on its way to a copy is there after so long, or lost; and what a primary has executed without a word has run
    /// again where it may.
    settled: Duration,
    /// The reasons that somebody has been warned of.
    warned: AtomicU8,
}

#[derive(Debug)]
struct Suspect {
    /// When it is looked at, or `None` while it is.
    due: Option<Instant>,
    tries: u32,
    seen: Option<Look>,
    /// Whether it was suspected once more while it was looked at.
    anew: bool,
}

/// A key to be looked at, with what was seen when it was looked at before.
pub(super) struct Due {
    pub(super) key: Vec<u8>,
    pub(super) seen: Option<Look>,
}

/// What a look has told.
pub(super) enum Examined {
    /// The copies are equal.
    Done,
    /// They are not, or were not when they were looked at now; this is what they were.
    Different(Look),
    /// An owner cannot be asked now.
    Later,
    Left(Why),
}

/// Why a key is left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// More of them than are kept.
    Many,
    Restless,
    Large,
    Refused,
    /// Its primary is known to lack writes itself.
    Doubtful,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Many => "there are too many of them at once",
            Why::Restless => "it was written all the time, or an owner could not be asked",
            Why::Large => "it is so large that to compare its copies would hold the servers up",
            Why::Refused => {
                "a member refuses what that needs: EVAL, and in scripts MEMORY USAGE, TYPE, the reading commands of \
                 every type, DUMP, PEXPIRETIME, RESTORE and DEL; or it is older than the primary"
            }
            Why::Doubtful => "its primary has missed writes itself",
        })
    }
}

impl Suspects {
    /// `settled` is how long a write takes at most, the fence of a primary included where there are fences.
    pub(crate) fn new(settled: Duration) -> Suspects {
        let settled = settled.min(LONGEST_PAUSE);
        Suspects { keys: Mutex::default(), news: Notify::new(), settled, warned: AtomicU8::new(0) }
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Suspect>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.keys().len()
    }

    /// How far looks are apart at the least.
    pub(super) fn settled(&self) -> Duration {
        self.settled
    }

    /// Adds a key if there is room for it.
    pub(super) fn add(&self, key: Vec<u8>) -> bool {
        let mut keys = self.keys();
        if let Some(known) = keys.get_mut(&key) {
            known.anew = true;
            return true;
        }
        if keys.len() >= MOST {
            return false;
        }
        keys.insert(key, self.fresh());
        drop(keys);
        self.news.notify_one();
        true
    }

    /// Most come from commands that another process's have overtaken, and are equal as soon as both have arrived.
    fn fresh(&self) -> Suspect {
        Suspect { due: Some(Instant::now() + self.settled / 10), tries: 0, seen: None, anew: false }
    }

    /// At most so many whose time has come, and when that of the next will, if there is room for it then. Each must come
    /// back by [`Suspects::examined`].
    pub(super) fn due(&self, now: Instant, room: usize) -> (Vec<Due>, Option<Instant>) {
        let mut keys = self.keys();
        let mut due = Vec::new();
        let mut next: Option<Instant> = None;
        for (key, suspect) in keys.iter_mut() {
            match suspect.due {
                Some(at) if at <= now && due.len() < room => {
                    suspect.due = None;
                    suspect.anew = false;
                    due.push(Due { key: key.clone(), seen: suspect.seen.take() });
                }
                Some(at) => next = Some(next.map_or(at, |next| next.min(at))),
                None => {}
            }
        }
        let full = due.len() >= room;
        (due, next.filter(|_| !full))
    }

    /// Takes note of what a look at a key has told. Why it is given up, if it is.
    pub(super) fn examined(&self, key: Vec<u8>, examined: Examined) -> Option<Why> {
        let mut keys = self.keys();
        let suspect = keys.get_mut(&key)?;
        let again = match examined {
            Examined::Done if suspect.anew => {
                *suspect = self.fresh();
                return None;
            }
            Examined::Done => None,
            Examined::Left(why) => Some(why),
            Examined::Different(_) | Examined::Later if suspect.tries >= TRIES => Some(Why::Restless),
            Examined::Different(_) | Examined::Later => {
                let pause = self.settled.saturating_mul(1 << suspect.tries.min(10));
                suspect.due = Some(Instant::now() + pause.min(LONGEST_PAUSE));
                suspect.tries += 1;
                if let Examined::Different(look) = examined {
                    suspect.seen = Some(look);
                }
                return None;
            }
        };
        keys.remove(&key);
        again
    }

    /// Whether nobody has been warned of this yet.
    pub(super) fn is_first(&self, why: Why) -> bool {
        let bit = 1 << why as u8;
        self.warned.fetch_or(bit, Ordering::Relaxed) & bit == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITE: Duration = Duration::from_millis(500);

    fn seen(what: &str) -> Examined {
        Examined::Different(Look::of(what))
    }

    #[tokio::test(start_paused = true)]
    async fn each_key_is_kept_once_and_no_more_than_there_is_room_for() {
        let suspects = Suspects::new(WRITE);
        for number in 0..MOST {
            assert!(suspects.add(number.to_string().into_bytes()));
        }
        assert!(suspects.add(b"7".to_vec()), "it is there already");
        assert!(!suspects.add(b"new".to_vec()));
        assert_eq!(suspects.len(), MOST);
        tokio::time::advance(WRITE).await;
        let (due, next) = suspects.due(Instant::now(), 3);
        assert_eq!((due.len(), next), (3, None), "there is no room for more");
        assert_eq!(suspects.examined(due[0].key.clone(), Examined::Done), None);
        assert!(suspects.add(b"new".to_vec()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_suspected_while_it_is_looked_at_is_looked_at_again() {
        let suspects = Suspects::new(WRITE);
        suspects.add(b"k".to_vec());
        tokio::time::advance(WRITE).await;
        assert_eq!(suspects.due(Instant::now(), 8).0.len(), 1);
        assert_eq!(suspects.due(Instant::now(), 8).0.len(), 0, "one look at a time");
        suspects.add(b"k".to_vec());
        suspects.examined(b"k".to_vec(), Examined::Done);
        assert_eq!(suspects.len(), 1);
        tokio::time::advance(WRITE).await;
        assert_eq!(suspects.due(Instant::now(), 8).0.len(), 1);
        suspects.examined(b"k".to_vec(), Examined::Done);
        assert_eq!(suspects.len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_never_holds_still_is_looked_at_ever_less_often_and_then_given_up() {
        let suspects = Suspects::new(WRITE);
        let began = Instant::now();
        suspects.add(b"k".to_vec());
        let (mut pause, mut looks) = (Duration::ZERO, 0);
        let why = loop {
            let (_, next) = suspects.due(Instant::now(), 8);
            let next = next.expect("it is to be looked at");
            assert!(next - Instant::now() >= pause.min(WRITE), "whatever was on its way has arrived");
            pause = next - Instant::now();
            tokio::time::advance(pause).await;
            let (due, _) = suspects.due(Instant::now(), 8);
            assert_eq!(due[0].seen.is_some(), looks > 0);
            looks += 1;
            // It is suspected again all the time, too.
            suspects.add(b"k".to_vec());
            if let Some(why) = suspects.examined(b"k".to_vec(), seen(&looks.to_string())) {
                break why;
            }
        };
        assert_eq!((why, suspects.len()), (Why::Restless, 0));
        assert!(pause == LONGEST_PAUSE && began.elapsed() < Duration::from_secs(360), "{:?}", began.elapsed());
        assert!(suspects.is_first(why) && !suspects.is_first(why) && suspects.is_first(Why::Large));
    }
}
