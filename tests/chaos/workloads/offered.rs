//! The load that the promises are measured with: keys of each worker's own, every tenth a counter, two reads a write, of
//! which every third is of anybody's key.

use redis::cmd;

use super::{Hands, named, number_in};
use crate::history::{Act, End, Workload};

const KEYS_PER_WORKER: u64 = 64;

/// The newest value of each key.
pub struct Offered([u64; KEYS_PER_WORKER as usize]);

impl Default for Offered {
    fn default() -> Offered {
        Offered([0; KEYS_PER_WORKER as usize])
    }
}

impl Offered {
    /// Writes every key once, so that from then on nil is always wrong.
    pub async fn prepare(&mut self, hands: &mut Hands) {
        for number in 0..KEYS_PER_WORKER {
            self.write(hands, number).await;
        }
    }

    pub async fn step(&mut self, hands: &mut Hands) {
        let number = hands.rng.u64(..KEYS_PER_WORKER);
        if hands.rng.u8(..3) == 0 {
            self.write(hands, number).await;
            return;
        }
        let key = match hands.rng.u8(..3) {
            0 => hands.anyones('o', KEYS_PER_WORKER),
            _ => hands.own('o', number),
        };
        let get = cmd("GET").arg(&key).to_owned();
        if is_counter_key(&key) {
            hands.run(Workload::Counter, &key, Act::Read, &get, End::Number).await;
        } else {
            hands.run(Workload::Register, &key, Act::Read, &get, |value| number_in(&key, value)).await;
        }
    }

    async fn write(&mut self, hands: &mut Hands, number: u64) {
        let key = hands.own('o', number);
        if is_counter(number) {
            let add = |number: u64| End::Number(Some(number));
            hands.run(Workload::Counter, &key, Act::Add, cmd("INCR").arg(&key), add).await;
            return;
        }
        let value = &mut self.0[number as usize];
        *value += 1;
        let (act, set) = (Act::Write(*value, None), cmd("SET").arg(&key).arg(named(&key, *value)).to_owned());
        hands.run(Workload::Register, &key, act, &set, |()| End::Done).await;
    }
}

/// By the number that the key ends in.
fn is_counter_key(key: &str) -> bool {
    key.ends_with('9')
}

fn is_counter(number: u64) -> bool {
    number % 10 == 9
}
