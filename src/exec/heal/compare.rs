//! Comparing keys for somebody who asks, until each is known to be equal: the way in which a member's agent works off the
//! keys that are suspected.

use std::time::Duration;

use futures_util::future::join_all;
use redis::{Cmd, Value, cmd};
use tokio::sync::{Mutex, Semaphore};
use tokio::time::{Instant, sleep};

use super::super::Core;
use super::super::reply::is_error;
use super::AT_ONCE;
use super::refresh::{self, Found};
use crate::command::OWN_CUT;
use crate::node::Link;
use crate::placement::Token;

/// What became of a key whose copies were compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compared {
    /// All owners hold the same.
    Equal,
    /// They did not, and were given the state of the primary; a write timeout later they held the same.
    Healed,
    /// They do not, as often as they were looked at, and the key does not hold still. To be compared again.
    Restless,
    /// An owner cannot be asked now, or the key is being gained by another member. To be compared again.
    Later,
    /// It is left as it is: it is too large, a member refuses what comparing needs, or the primary is known to lack writes
    /// itself.
    Left,
}

/// How often a key is looked at before writes are held up for it, and how often they are.
const LOOKS: usize = 4;
const PAUSES: usize = 3;

/// How long writes at the primary are held up at most, and how much of it what is on its way has to arrive.
const PAUSE: Duration = Duration::from_millis(50);
const ARRIVES: Duration = Duration::from_millis(20);

/// How long the lock is held if its holder dies.
const LOCKED: Duration = Duration::from_secs(1);

impl Core {
    /// Compares the copies of these keys and heals those that differ. The results are in the order of the
    /// keys.
    ///
    /// A key that is written all the time is compared while the writes at its primary are held up, for 50 ms at most.
    pub(crate) async fn compare(&self, keys: Vec<Vec<u8>>) -> Vec<Compared> {
        let turns = Turns { look: Semaphore::new(AT_ONCE), hold_up: Mutex::new(()) };
        let each = keys.iter().map(|key| async {
            let compared = compare(self, key, &turns).await;
            if compared == Compared::Healed {
                self.counters.healed_keys.add_one();
            }
            compared
        });
        join_all(each).await
    }
}

/// Most of the time that a comparison takes is waiting for what may be under way, so all keys wait at the same time, and
/// only what servers are asked is limited.
struct Turns {
    look: Semaphore,
    /// The lock of a primary is for one key at a time.
    hold_up: Mutex<()>,
}

/// Looks are as far apart as a write may take that its primary executes and does not answer, the fence included. Such a one
/// runs again at the next owner, which must not have been given what the first did.
async fn compare(core: &Core, key: &[u8], turns: &Turns) -> Compared {
    let token = Token::of_key(key);
    let (mut before, mut healed) = (None, false);
    for nth in 0..LOOKS + PAUSES {
        if nth > 0 {
            sleep(core.suspects.settled()).await;
        }
        let found = if nth < LOOKS {
            let _turn = turns.look.acquire().await;
            refresh::examine(core, key, token, before.as_ref()).await
        } else {
            let _turn = turns.hold_up.lock().await;
            held_up(core, key, token).await
        };
        before = None;
        match found {
            Found::Equal if healed => return Compared::Healed,
            Found::Equal => return Compared::Equal,
            // What was on its way to a copy may have come after that.
            Found::Healed => healed = true,
            Found::Different(look) => before = Some(look),
            Found::Later => return Compared::Later,
            Found::Left(_) => return Compared::Left,
        }
    }
    Compared::Restless
}

/// Looks at a key, and heals it, while its primary executes no writes.
async fn held_up(core: &Core, key: &[u8], token: Token) -> Found {
    let owners = match refresh::owners(core, token) {
        Ok(owners) => owners,
        Err(found) => return found,
    };
    // On the connection that others share, all would wait behind the first of their writes.
    let beside = match owners.beside().await {
        Ok(beside) => beside,
        Err(found) => return found,
    };
    let lock = Lock::new();
    match beside.request(&lock.take(), core.write_ms).await {
        Ok(Value::Int(1)) => {}
        // Somebody else holds writes up for something greater.
        Ok(Value::Int(_)) => return Found::Later,
        other => return refresh::trouble(&other),
    }
    let found = match beside
        .request(cmd("CLIENT").arg("PAUSE").arg(PAUSE.as_millis() as u64).arg("WRITE"), core.write_ms)
        .await
    {
        Ok(Value::Okay) => while_still(core, key, token, &owners, &beside).await,
        other => refresh::trouble(&other),
    };
    // Whatever became of it; the server ends both by itself if this is never sent.
    let ended = beside.request(cmd("CLIENT").arg("UNPAUSE"), core.write_ms).await;
    let released = beside.request(&lock.release(), core.write_ms).await;
    if matches!((ended, released), (Ok(ended), Ok(released)) if !is_error(&ended) && !is_error(&released)) {
        beside.give_back();
    }
    found
}

async fn while_still(core: &Core, key: &[u8], token: Token, owners: &refresh::Owners, beside: &Link) -> Found {
    let arrived = Instant::now() + ARRIVES;
    loop {
        match refresh::look(core, key, owners, Some(beside)).await {
            Ok(look) if look.is_equal() => return Found::Equal,
            Ok(look) if Instant::now() >= arrived => {
                return refresh::give(core, key, token, owners, look, Some(beside)).await;
            }
            // What the primary has executed last is still under way to the copies.
            Ok(_) => sleep(Duration::from_millis(2)).await,
            Err(found) => return found,
        }
    }
}

/// The right to hold up the writes of a server, which one has at a time.
struct Lock(String);

impl Lock {
    fn new() -> Lock {
        Lock(format!("refresh {:016x}", fastrand::u64(..)))
    }

    fn take(&self) -> Cmd {
        const TAKE: &str = "#!lua flags=allow-oom\n\
            if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end return 0";
        let mut eval = cmd("EVAL");
        eval.arg(TAKE).arg(1).arg(OWN_CUT).arg(&self.0).arg(LOCKED.as_millis() as u64);
        eval
    }

    fn release(&self) -> Cmd {
        const RELEASE: &str = "#!lua flags=allow-oom\n\
            if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";
        let mut eval = cmd("EVAL");
        eval.arg(RELEASE).arg(1).arg(OWN_CUT).arg(&self.0);
        eval
    }
}
