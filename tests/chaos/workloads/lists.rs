//! Lists that are appended to: by one writer each, and by all; and lists that all take from.

use redis::cmd;

use super::Hands;
use crate::history::{Act, End, Workload};

/// A list of this many elements is left for the next, so that reading one stays cheap.
const LONGEST: u64 = 60;
const SHARED: u64 = 4;
/// So many that those who take find the list empty now and then.
const AT_ONCE: u64 = 6;

/// What a worker has appended.
#[derive(Default)]
pub struct Lists {
    pushed: u64,
    shared: u64,
    waiting: u64,
}

impl Lists {
    pub async fn own(&mut self, hands: &mut Hands) {
        let list = self.pushed / LONGEST;
        if hands.rng.bool() {
            let key = hands.own('l', list);
            self.pushed += 1;
            push(hands, Workload::Append, &key, self.pushed).await;
        } else {
            let key = hands.anyones('l', 1);
            // Others are about as far as this worker.
            let list = list.saturating_sub(hands.rng.u64(..2));
            let key = format!("{}.{list}", key.rsplit_once('.').map_or(&*key, |(before, _)| before));
            let cmd = cmd("LRANGE").arg(&key).arg(0).arg(-1).to_owned();
            hands.run(Workload::Append, &key, Act::Read, &cmd, End::Numbers).await;
        }
    }

    /// Elements that no other writer makes; whose list it is changes with its number.
    pub async fn shared(&mut self, hands: &mut Hands) {
        self.shared += 1;
        let key = hands.space.shared('q', self.shared / LONGEST * SHARED + hands.rng.u64(..SHARED));
        let element = (hands.client as u64) << 48 | (hands.worker as u64) << 32 | self.shared;
        push(hands, Workload::Shared, &key, element).await;
    }

    /// The first worker of each client appends to one list, all others take from any of these.
    pub async fn take(&mut self, hands: &mut Hands) {
        if hands.worker == 0 {
            let key = hands.own('e', 0);
            let elements = self.waiting + 1..=self.waiting + AT_ONCE;
            self.waiting += AT_ONCE;
            let mut cmd = cmd("RPUSH");
            cmd.arg(&key).arg(elements.clone().collect::<Vec<u64>>());
            let asked = hands.ask(&cmd).await;
            let end = asked.result.as_ref().map_or_else(Clone::clone, |_| End::Done);
            for element in elements {
                hands.record(Workload::Pop, &key, Act::Push(element), &asked, end.clone());
            }
        } else {
            let client = hands.rng.usize(..hands.space.clients);
            let key = hands.space.key('e', client, 0, 0);
            hands.run(Workload::Pop, &key, Act::Pop, cmd("LPOP").arg(&key), End::Number).await;
        }
    }
}

async fn push(hands: &mut Hands, workload: Workload, key: &str, element: u64) {
    hands.run(workload, key, Act::Push(element), cmd("RPUSH").arg(key).arg(element), |_: u64| End::Done).await;
}
