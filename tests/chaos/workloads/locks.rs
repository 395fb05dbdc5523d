//! Locks that all clients want: SET NX, and DEL by whoever has it.

use std::time::Duration;

use redis::cmd;

use super::Hands;
use crate::history::{Act, End, Workload};

/// So few that somebody always has each of them, and many want it.
const LOCKS: u64 = 2;
/// How often it is asked who has a lock that may be one's own; then it is left to nobody.
const TRIES: usize = 20;
/// In milliseconds, half of the time that a lock is held: as long as a fault needs to get into it.
const HALF: std::ops::Range<u64> = 25..100;

/// How many names a worker has used.
#[derive(Default)]
pub struct Locks(u64);

impl Locks {
    /// Takes a lock, looks whether it is still its own, and gives it back.
    pub async fn step(&mut self, hands: &mut Hands) {
        self.0 += 1;
        let key = hands.space.shared('k', hands.rng.u64(..LOCKS));
        let name = (hands.client as u64) << 48 | (hands.worker as u64) << 32 | self.0;
        let take = cmd("SET").arg(&key).arg(name).arg("NX").to_owned();
        let taken = |reply: Option<String>| End::Taken(reply.is_some());
        match hands.run(Workload::Lock, &key, Act::Take(name), &take, taken).await {
            End::Taken(true) => {
                hold(hands).await;
                whose(hands, &key).await;
                hold(hands).await;
                if !release(hands, &key, name).await {
                    give_back(hands, &key, name).await;
                }
            }
            End::Unknown(_) => give_back(hands, &key, name).await,
            _ => {
                whose(hands, &key).await;
            }
        }
    }
}

async fn hold(hands: &mut Hands) {
    tokio::time::sleep(Duration::from_millis(hands.rng.u64(HALF))).await;
}

async fn whose(hands: &mut Hands, key: &str) -> End {
    hands.run(Workload::Lock, key, Act::Read, cmd("GET").arg(key), End::Number).await
}

async fn release(hands: &mut Hands, key: &str, name: u64) -> bool {
    let removed = |count: u64| End::Number(Some(count));
    let end = hands.run(Workload::Lock, key, Act::Release(name), cmd("DEL").arg(key), removed).await;
    matches!(end, End::Number(_))
}

/// Until it is known not to be this worker's. A DEL that is repeated blindly would delete another's lock; nobody else
/// writes this name or deletes it.
async fn give_back(hands: &mut Hands, key: &str, name: u64) {
    for _ in 0..TRIES {
        let end = whose(hands, key).await;
        let is_own = end == End::Number(Some(name));
        let is_known = matches!(end, End::Number(_));
        if (is_known && !is_own) || (is_own && release(hands, key, name).await) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
