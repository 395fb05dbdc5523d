//! The load: every worker writes keys of its own and checks every value that it reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::{AsyncCommands, RedisError};
use tokio::task::JoinSet;

use crate::{Error, Outcome, RingClient, RingConnection};

/// How much is done, and by how many.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) workers: usize,
    pub(super) keys_per_worker: usize,
    /// Operations a second that all workers together offer.
    pub(super) rate: u32,
}

impl Shape {
    pub(super) fn keys(self) -> usize {
        self.workers * self.keys_per_worker
    }
}

/// What the workers count together.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) operations: AtomicU64,
    pub(super) failed_reads: AtomicU64,
    pub(super) failed_writes: AtomicU64,
    /// Reads that came back nil though the key was written.
    pub(super) nil_reads: AtomicU64,
    /// Reads that came back with another value than the one written last.
    pub(super) wrong_reads: AtomicU64,
    longest_read_us: AtomicU64,
    longest_write_us: AtomicU64,
    /// Operations that came out well.
    served: AtomicU64,
    /// The longest operation since it was last asked for.
    recent_us: AtomicU64,
    first_error: std::sync::OnceLock<String>,
}

impl Tally {
    pub(super) fn longest_read(&self) -> Duration {
        Duration::from_micros(self.longest_read_us.load(Ordering::Relaxed))
    }

    pub(super) fn longest_write(&self) -> Duration {
        Duration::from_micros(self.longest_write_us.load(Ordering::Relaxed))
    }

    pub(super) fn take_recent(&self) -> Duration {
        Duration::from_micros(self.recent_us.swap(0, Ordering::Relaxed))
    }

    pub(super) fn first_error(&self) -> Option<&str> {
        self.first_error.get().map(String::as_str)
    }

    pub(super) fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    fn took(&self, kind: Kind, began: Instant, served: bool) {
        self.served.fetch_add(u64::from(served), Ordering::Relaxed);
        let us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let longest = match kind {
            Kind::Read => &self.longest_read_us,
            Kind::Write => &self.longest_write_us,
        };
        longest.fetch_max(us, Ordering::Relaxed);
        self.recent_us.fetch_max(us, Ordering::Relaxed);
        self.operations.fetch_add(1, Ordering::Relaxed);
    }

    fn failed(&self, kind: Kind, error: &RedisError) {
        let failed = match kind {
            Kind::Read => &self.failed_reads,
            Kind::Write => &self.failed_writes,
        };
        failed.fetch_add(1, Ordering::Relaxed);
        self.first_error.get_or_init(|| error.to_string());
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Read,
    Write,
}

/// One key of one worker, who is the only one to write it, so that each read has exactly one right answer.
#[derive(Debug)]
struct Key {
    name: String,
    counter: bool,
    /// The newest value that was acknowledged.
    acknowledged: u64,
    /// A newer one whose outcome is not known.
    unknown: Option<u64>,
}

impl Key {
    /// Long enough that a value is not just a number: 64 bytes.
    fn text(&self, version: u64) -> String {
        if self.counter { version.to_string() } else { format!("{:<40}#{version:023}", self.name) }
    }

    fn version_of(&self, value: &str) -> Option<u64> {
        let number = if self.counter { value } else { value.strip_prefix(&format!("{:<40}#", self.name))? };
        number.parse().ok()
    }

    /// Whether this is a right answer; one that settles an unknown outcome is taken as the new truth.
    fn is_right(&mut self, version: u64) -> bool {
        if self.unknown == Some(version) {
            (self.acknowledged, self.unknown) = (version, None);
        }
        version == self.acknowledged
    }
}

/// Workers at work.
pub(super) struct Load {
    workers: JoinSet<Worker>,
    stopping: Arc<AtomicBool>,
}

struct Worker {
    keys: Vec<Key>,
    connection: RingConnection,
    tally: Arc<Tally>,
}

impl Load {
    /// Writes every key once, so that from then on nil is always wrong. Every tenth key is a counter.
    pub(super) async fn prepare(
        client: &RingClient,
        shape: Shape,
        tally: &Arc<Tally>,
    ) -> Result<Vec<String>, RedisError> {
        let names: Vec<String> = (0..shape.keys()).map(name).collect();
        let mut connection = client.connection();
        for (chunk, names) in names.chunks(CHUNK).enumerate() {
            let mut writes = redis::pipe();
            for (n, name) in names.iter().enumerate() {
                let n = chunk * CHUNK + n;
                let key = Key { name: name.clone(), counter: is_counter(n), acknowledged: 0, unknown: None };
                writes.set(name, key.text(0)).ignore();
            }
            let () = writes.query_async(&mut connection).await?;
        }
        tally.take_recent();
        Ok(names)
    }

    pub(super) fn start(client: &RingClient, shape: Shape, tally: &Arc<Tally>) -> Load {
        let stopping = Arc::new(AtomicBool::new(false));
        let pace = Duration::from_secs(1) * u32::try_from(shape.workers).unwrap_or(1) / shape.rate.max(1);
        let mut workers = JoinSet::new();
        for worker in 0..shape.workers {
            let keys = (0..shape.keys_per_worker)
                .map(|k| worker * shape.keys_per_worker + k)
                .map(|n| Key { name: name(n), counter: is_counter(n), acknowledged: 0, unknown: None })
                .collect();
            let worker = Worker { keys, connection: client.connection(), tally: Arc::clone(tally) };
            workers.spawn(worker.run(pace, Arc::clone(&stopping)));
        }
        Load { workers, stopping }
    }

    /// Stops the workers and reads every key once more: how many hold less than what was acknowledged.
    pub(super) async fn finish(self) -> u64 {
        self.stopping.store(true, Ordering::Relaxed);
        let mut lost = 0;
        for mut worker in self.workers.join_all().await {
            for keys in worker.keys.chunks_mut(CHUNK) {
                let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
                let held: Vec<Option<String>> = worker.connection.mget(&names).await.unwrap_or_default();
                let held = held.into_iter().chain(std::iter::repeat(None));
                for (key, held) in keys.iter_mut().zip(held) {
                    let version = held.as_deref().and_then(|value| key.version_of(value));
                    lost += u64::from(!version.is_some_and(|version| key.is_right(version)));
                }
            }
        }
        lost
    }
}

/// Keys in one message.
const CHUNK: usize = 200;

fn name(n: usize) -> String {
    format!("demo:{n}")
}

fn is_counter(n: usize) -> bool {
    n % 10 == 9
}

impl Worker {
    async fn run(mut self, pace: Duration, stopping: Arc<AtomicBool>) -> Worker {
        let mut ticks = tokio::time::interval(pace);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while !stopping.load(Ordering::Relaxed) {
            ticks.tick().await;
            let key = fastrand::usize(..self.keys.len());
            // Two reads for each write.
            if fastrand::u8(..3) == 0 { self.write(key).await } else { self.read(key).await }
        }
        self
    }

    async fn read(&mut self, key: usize) {
        let key = &mut self.keys[key];
        let began = Instant::now();
        let result: Result<Option<String>, RedisError> = self.connection.get(&key.name).await;
        self.tally.took(Kind::Read, began, result.is_ok());
        match result {
            Err(error) => self.tally.failed(Kind::Read, &error),
            Ok(None) => {
                self.tally.nil_reads.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Some(value)) => {
                if !key.version_of(&value).is_some_and(|version| key.is_right(version)) {
                    self.tally.wrong_reads.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    async fn write(&mut self, key: usize) {
        let key = &mut self.keys[key];
        let version = key.unknown.unwrap_or(key.acknowledged) + 1;
        let began = Instant::now();
        let result = if key.counter {
            self.connection.incr::<_, _, u64>(&key.name, 1).await
        } else {
            self.connection.set::<_, _, ()>(&key.name, key.text(version)).await.map(|()| version)
        };
        self.tally.took(Kind::Write, began, result.is_ok());
        match result {
            // A counter whose last increment is unknown tells by its reply whether it counted.
            Ok(now) if now == version || (key.unknown.is_some() && now + 1 == version) => {
                (key.acknowledged, key.unknown) = (now, None);
            }
            Ok(_) => {
                self.tally.wrong_reads.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                if Error::of_redis(&error).is_none_or(|error| error.outcome() == Outcome::Unknown) {
                    key.unknown = Some(version);
                }
                self.tally.failed(Kind::Write, &error);
            }
        }
    }
}
