//! Clients that write and read all the time, and know what they may read.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use redis::AsyncCommands as _;
use redis_ring::{Outcome, RingClient, RingConnection};
use tokio::task::JoinHandle;

use super::support::{SOON, ZkRing, direct, eventually, own};

/// Writers of registers, counters, hashes and keys that come and go, and readers of all of them.
pub struct Load {
    stop: Arc<AtomicBool>,
    operations: Arc<AtomicU64>,
    tasks: Vec<JoinHandle<Wrote>>,
    connection: RingConnection,
}

/// What one writer has written, and how its keys must be now.
#[derive(Default)]
struct Wrote {
    keys: Vec<String>,
    /// Those of which nobody knew once whether a write had been executed.
    unknown: BTreeSet<String>,
    /// What each of these counters was raised by for sure, and at most.
    counters: Vec<(String, u64, u64)>,
    /// What each of these keys holds, if that is known.
    values: Vec<(String, Option<u64>)>,
    wrong: Vec<String>,
}

/// Counters that all writers raise.
const HOT: usize = 4;
const WRITERS: usize = 6;

impl Load {
    /// Writes so many keys, and goes on writing and reading them.
    pub async fn start(client: &RingClient, keys: usize) -> Load {
        let (stop, operations) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let connection = client.connection();
        let tasks = (0..WRITERS)
            .map(|writer| {
                let work = Work {
                    connection: connection.clone(),
                    writer,
                    keys: keys / WRITERS,
                    stop: Arc::clone(&stop),
                    operations: Arc::clone(&operations),
                };
                tokio::spawn(work.run())
            })
            .collect();
        let load = Load { stop, operations, tasks, connection };
        load.goes_on(keys as u64 * 3).await;
        load
    }

    /// Waits until so many operations more have come to an end.
    pub async fn goes_on(&self, operations: u64) {
        let until = self.operations.load(Ordering::Relaxed) + operations;
        eventually(SOON, "the load goes on", || async { self.operations.load(Ordering::Relaxed) >= until }).await;
    }

    /// Ends it and looks whether everything is as it was acknowledged. Returns all keys: those of which every write was
    /// acknowledged, and the others, whose copies may be made equal only later.
    pub async fn end(mut self) -> (Vec<String>, Vec<String>) {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Wrote::default();
        for task in self.tasks.drain(..) {
            let wrote = tokio::time::timeout(SOON, task).await.expect("the writers end").unwrap();
            all.keys.extend(wrote.keys);
            all.unknown.extend(wrote.unknown);
            all.values.extend(wrote.values);
            all.wrong.extend(wrote.wrong);
            for (key, sure, at_most) in wrote.counters {
                match all.counters.iter_mut().find(|(known, ..)| *known == key) {
                    Some((_, sum, most)) => (*sum, *most) = (*sum + sure, *most + at_most),
                    None => all.counters.push((key, sure, at_most)),
                }
            }
        }
        assert!(all.wrong.is_empty(), "{} wrong: {:?}", all.wrong.len(), &all.wrong[..all.wrong.len().min(10)]);
        for (key, sure, at_most) in &all.counters {
            let value: u64 = self.connection.get(key).await.unwrap();
            assert!((*sure..=*at_most).contains(&value), "{key} is {value}, and not in {sure}..={at_most}");
        }
        for (key, value) in &all.values {
            let found: Option<u64> = self.connection.get(key).await.unwrap();
            assert_eq!(found, *value, "{key}");
        }
        all.keys.extend(all.counters.into_iter().map(|(key, ..)| key));
        all.keys.into_iter().partition(|key| !all.unknown.contains(key))
    }
}

struct Work {
    connection: RingConnection,
    writer: usize,
    keys: usize,
    stop: Arc<AtomicBool>,
    operations: Arc<AtomicU64>,
}

impl Work {
    async fn run(mut self) -> Wrote {
        let mut wrote = Wrote::default();
        // Each writer's own keys: what the last acknowledged write left, and what others may see meanwhile.
        let mut values: Vec<(String, Option<u64>, bool)> =
            (0..self.keys).map(|n| (format!("w{}:{n}", self.writer), None, true)).collect();
        let mut counters: Vec<(String, u64, u64)> = (0..HOT).map(|n| (format!("hot:{n}"), 0, 0)).collect();
        let mut next = 0_u64;
        while !self.stop.load(Ordering::Relaxed) {
            next += 1;
            let at = next as usize % values.len();
            let (key, value, known) = &mut values[at];
            match next % 7 {
                // Gone, and back in the next round.
                0 => {
                    let done = self.connection.del::<_, u64>(&*key).await;
                    note(done.map(|_| ()), (value, known), None, &mut wrote, key);
                }
                3 => {
                    let (counter, sure, at_most) = &mut counters[next as usize % HOT];
                    match self.connection.incr::<_, _, u64>(&*counter, 1).await {
                        Ok(_) => (*sure, *at_most) = (*sure + 1, *at_most + 1),
                        Err(error) if own(&error).outcome() == Outcome::Unknown => {
                            *at_most += 1;
                            wrote.unknown.insert(counter.clone());
                        }
                        Err(error) => wrote.wrong.push(format!("INCR {counter}: {error}")),
                    }
                }
                1 | 5 => match self.connection.get::<_, Option<u64>>(&*key).await {
                    Ok(found) if *known && found != *value => {
                        wrote.wrong.push(format!("GET {key}: {found:?} and not {value:?}"));
                    }
                    Ok(_) => {}
                    Err(error) => wrote.wrong.push(format!("GET {key}: {error}")),
                },
                _ => {
                    let done = self.connection.set::<_, _, ()>(&*key, next).await;
                    note(done, (value, known), Some(next), &mut wrote, key);
                }
            }
            self.operations.fetch_add(1, Ordering::Relaxed);
            if next.is_multiple_of(16) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        wrote.keys = values.iter().map(|(key, ..)| key.clone()).collect();
        wrote.values = values.into_iter().filter(|(.., known)| *known).map(|(key, value, _)| (key, value)).collect();
        wrote.counters = counters;
        wrote
    }
}

fn note(
    done: redis::RedisResult<()>,
    (value, known): (&mut Option<u64>, &mut bool),
    written: Option<u64>,
    wrote: &mut Wrote,
    key: &str,
) {
    match done {
        Ok(()) => (*value, *known) = (written, true),
        Err(error) if own(&error).outcome() == Outcome::Unknown => {
            *known = false;
            wrote.unknown.insert(key.to_owned());
        }
        Err(error) => wrote.wrong.push(format!("write of {key}: {error}")),
    }
}

/// The keys whose owners, asked directly, do not all hold the same.
pub async fn differences(ring: &ZkRing, client: &RingClient, keys: &[String]) -> Vec<String> {
    let mut differ = Vec::new();
    for key in keys {
        let owners = client.topology().locate(key.as_bytes()).owners;
        let mut contents = Vec::new();
        for owner in &owners {
            contents.push(direct::content(&ring.servers[owner].addr(), key).await);
        }
        if contents.iter().any(|content| *content != contents[0]) {
            differ.push(format!("{key}: {owners:?} {contents:?}"));
        }
    }
    differ
}
