//! Keys that live once: written once; then, as the case is, deleted or left to expire.

use redis::cmd;

use super::{Hands, named, number_in};
use crate::history::{Act, End, Workload};

/// How many of the newest keys are read; the whole are at the end.
const RECENT: u64 = 50;

/// How many a worker has made of each.
#[derive(Default)]
pub struct Lives {
    set: u64,
    deleted: u64,
    expiring: u64,
    /// Those that are not deleted yet.
    alive: Vec<String>,
}

impl Lives {
    pub async fn set(&mut self, hands: &mut Hands) {
        if hands.rng.bool() {
            let key = hands.own('u', self.set);
            self.set += 1;
            write(hands, Workload::Set, &key, None).await;
        } else {
            read_recent(hands, Workload::Set, 'u', self.set).await;
        }
    }

    pub async fn delete(&mut self, hands: &mut Hands) {
        match hands.rng.u8(..4) {
            0 => {
                let key = hands.own('d', self.deleted);
                self.deleted += 1;
                // One of unknown outcome may be deleted as well.
                write(hands, Workload::Delete, &key, None).await;
                self.alive.push(key);
            }
            1 if !self.alive.is_empty() => {
                let key = self.alive.swap_remove(hands.rng.usize(..self.alive.len()));
                let cmd = cmd(if hands.rng.bool() { "DEL" } else { "UNLINK" }).arg(&key).to_owned();
                hands.run(Workload::Delete, &key, Act::Remove, &cmd, |_: u64| End::Done).await;
            }
            _ => read_recent(hands, Workload::Delete, 'd', self.deleted).await,
        }
    }

    pub async fn expire(&mut self, hands: &mut Hands) {
        if hands.rng.u8(..3) == 0 {
            let key = hands.own('x', self.expiring);
            self.expiring += 1;
            let lifetime = hands.rng.u64(300..3000);
            write(hands, Workload::Expiry, &key, Some(lifetime)).await;
        } else {
            read_recent(hands, Workload::Expiry, 'x', self.expiring).await;
        }
    }
}

async fn write(hands: &mut Hands, workload: Workload, key: &str, lifetime: Option<u64>) {
    let mut set = cmd("SET");
    set.arg(key).arg(named(key, 1));
    if let Some(ms) = lifetime {
        set.arg("PX").arg(ms);
    }
    hands.run(workload, key, Act::Write(1, lifetime), &set, |()| End::Done).await;
}

/// Others have made about as many as this worker.
async fn read_recent(hands: &mut Hands, workload: Workload, letter: char, made: u64) {
    let newest = made.saturating_sub(hands.rng.u64(..RECENT));
    let key = hands.anyones(letter, 1);
    let key = format!("{}.{newest}", key.rsplit_once('.').map_or(&*key, |(before, _)| before));
    hands.run(workload, &key, Act::Read, cmd("GET").arg(&key), |value| number_in(&key, value)).await;
}
