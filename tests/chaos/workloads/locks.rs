//! Locks that all clients want: SET NX, and DEL by whoever has it.

use redis::cmd;

use super::Hands;
use crate::history::{Act, End, Workload};

const LOCKS: u64 = 6;
/// How often it is asked who has a lock that may be one's own; then it is left to nobody.
const TRIES: usize = 20;

/// How many names a worker has used.
#[derive(Default)]
pub struct Locks(u64);

impl Locks {
    /// Takes a lock and gives it back.
    pub async fn step(&mut self, hands: &mut Hands) {
        self.0 += 1;
        let key = hands.space.shared('k', hands.rng.u64(..LOCKS));
        let name = (hands.client as u64) << 48 | (hands.worker as u64) << 32 | self.0;
        let take = cmd("SET").arg(&key).arg(name).arg("NX").to_owned();
        let taken = |reply: Option<String>| End::Taken(reply.is_some());
        match hands.run(Workload::Lock, &key, Act::Take(name), &take, taken).await {
            End::Taken(true) => {
                tokio::time::sleep(std::time::Duration::from_millis(hands.rng.u64(1..10))).await;
                if !release(hands, &key, name).await {
                    give_back(hands, &key, name).await;
                }
            }
            End::Unknown(_) => give_back(hands, &key, name).await,
            _ => {}
        }
    }
}

async fn release(hands: &mut Hands, key: &str, name: u64) -> bool {
    let end = hands.run(Workload::Lock, key, Act::Release(name), cmd("DEL").arg(key), |_: u64| End::Done).await;
    end == End::Done
}

/// Until it is known not to be this worker's. A DEL that is repeated blindly would delete another's lock; nobody else
/// writes this name or deletes it.
async fn give_back(hands: &mut Hands, key: &str, name: u64) {
    for _ in 0..TRIES {
        let end = hands.run(Workload::Lock, key, Act::Read, cmd("GET").arg(key), End::Number).await;
        let is_own = end == End::Number(Some(name));
        let is_known = matches!(end, End::Number(_));
        if (is_known && !is_own) || (is_own && release(hands, key, name).await) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
