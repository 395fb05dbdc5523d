//! What the workers of a client do. Each writes cells of its own, but for those that all share, and reads everybody's.

mod counters;
mod lists;
mod lives;
mod locks;
mod offered;
mod registers;

use std::sync::Arc;
use std::time::Duration;

use redis::aio::ConnectionLike as _;
use redis::{Cmd, FromRedisValue, Pipeline, RedisError, RedisResult, Value};
use redis_ring::{Error, Outcome, RingClient, RingConnection};
use serde::{Deserialize, Serialize};

use crate::history::{Act, End, Op, Recorder, Workload, now};

/// Who there is, and where their keys are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Space {
    /// Before each key, so that no two rounds share one.
    pub prefix: String,
    pub clients: usize,
    pub workers: usize,
}

impl Space {
    fn key(&self, letter: char, client: usize, worker: usize, number: u64) -> String {
        format!("{}:{letter}:{client}.{worker}.{number}", self.prefix)
    }

    /// A key that all share.
    fn shared(&self, letter: char, number: u64) -> String {
        format!("{}:{letter}:{number}", self.prefix)
    }
}

/// Longer than any operation may take: one that takes longer hangs.
pub const HANGS: Duration = Duration::from_secs(30);

/// A worker's hands.
pub struct Hands {
    pub ring: RingClient,
    pub connection: RingConnection,
    pub recorder: Arc<Recorder>,
    pub space: Space,
    pub client: usize,
    pub worker: usize,
    pub rng: fastrand::Rng,
}

impl Hands {
    fn own(&self, letter: char, number: u64) -> String {
        self.space.key(letter, self.client, self.worker, number)
    }

    /// Somebody's key, with a number below this.
    fn anyones(&mut self, letter: char, below: u64) -> String {
        let (client, worker) = (self.rng.usize(..self.space.clients), self.rng.usize(..self.space.workers));
        self.space.key(letter, client, worker, self.rng.u64(..below.max(1)))
    }

    async fn ask(&mut self, cmd: &Cmd) -> Asked<Value> {
        let (begun, repeated) = (now(), self.repeated());
        let result = bounded(self.connection.req_packed_command(cmd)).await;
        // A server's error is the value of a successful request.
        let result = result.and_then(|value| value.extract_error().map_err(|error| end_of(&error)));
        Asked { begun, ended: now(), again: self.repeated() > repeated, result }
    }

    /// How many writes the client has sent again.
    fn repeated(&self) -> u64 {
        self.ring.stats().repeated_writes
    }

    async fn ask_all(&mut self, pipeline: &Pipeline) -> Asked<Vec<Value>> {
        let (begun, repeated) = (now(), self.repeated());
        let (offset, count) = if pipeline.is_transaction() { (pipeline.len() + 1, 1) } else { (0, pipeline.len()) };
        let result = bounded(self.connection.req_packed_commands(pipeline, offset, count)).await;
        Asked { begun, ended: now(), again: self.repeated() > repeated, result }
    }

    fn record<T>(&self, workload: Workload, cell: &str, act: Act, asked: &Asked<T>, end: End) {
        let Asked { begun, ended, again, .. } = *asked;
        let op = Op { client: self.client, workload, cell: cell.to_owned(), act, begun, ended, end, again };
        self.recorder.record(&op);
    }

    /// Asks and writes down what came of it.
    async fn run<T: FromRedisValue>(
        &mut self,
        workload: Workload,
        cell: &str,
        act: Act,
        cmd: &Cmd,
        read: impl FnOnce(T) -> End,
    ) -> End {
        let asked = self.ask(cmd).await;
        let end = match &asked.result {
            Ok(value) => read_as(value, read),
            Err(end) => end.clone(),
        };
        self.record(workload, cell, act, &asked, end.clone());
        end
    }
}

/// What was answered when.
struct Asked<T> {
    begun: u64,
    ended: u64,
    /// Whether the client sent some write again meanwhile.
    again: bool,
    result: Result<T, End>,
}

fn read_as<T: FromRedisValue>(value: &Value, read: impl FnOnce(T) -> End) -> End {
    match T::from_redis_value_ref(value) {
        Ok(reply) => read(reply),
        Err(_) => End::Nonsense(format!("{value:?}").chars().take(100).collect()),
    }
}

async fn bounded<T>(asked: impl Future<Output = RedisResult<T>>) -> Result<T, End> {
    match tokio::time::timeout(HANGS, asked).await {
        Ok(result) => result.map_err(|error| end_of(&error)),
        Err(_) => Err(End::Unknown("hangs".to_owned())),
    }
}

/// Whether a failed command may have had an effect. An error that the ring did not make says nothing of that.
fn end_of(error: &RedisError) -> End {
    let outcome = Error::of_redis(error).map_or(Outcome::Unknown, Error::outcome);
    let text = text_of(error);
    match outcome {
        Outcome::NotExecuted => End::Failed(text),
        Outcome::Unknown => End::Unknown(text),
    }
}

/// The end of one command of a pipeline, whose error is known by its text alone.
fn end_in_place<T: FromRedisValue>(value: &Value, read: impl FnOnce(T) -> End) -> End {
    match value.clone().extract_error() {
        Ok(value) => read_as(&value, read),
        Err(error) => {
            let text = text_of(&error);
            if text.contains("outcome: unknown") { End::Unknown(text) } else { End::Failed(text) }
        }
    }
}

fn text_of(error: &RedisError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text.chars().take(300).collect()
}

/// The number in a value that is only right under one name, so that an answer for another key is seen.
fn named(name: &str, number: u64) -> String {
    format!("{name}={number}")
}

fn number_in(name: &str, value: Option<String>) -> End {
    match value {
        None => End::Number(None),
        Some(text) => {
            let number = text.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')?.parse().ok());
            number.map_or_else(|| End::Nonsense(text.chars().take(100).collect()), |number| End::Number(Some(number)))
        }
    }
}

/// All that one worker keeps doing.
pub struct Worker {
    hands: Hands,
    registers: registers::Registers,
    lives: lives::Lives,
    lists: lists::Lists,
    locks: locks::Locks,
}

impl Worker {
    pub fn new(hands: Hands) -> Worker {
        Worker {
            hands,
            registers: registers::Registers::default(),
            lives: lives::Lives::default(),
            lists: lists::Lists::default(),
            locks: locks::Locks::default(),
        }
    }

    /// One operation of one of the workloads.
    pub async fn step(&mut self) {
        let hands = &mut self.hands;
        match hands.rng.u8(..22) {
            0..3 => self.registers.plain(hands).await,
            3..5 => self.registers.fields(hands).await,
            5 => self.registers.script(hands).await,
            6 => self.registers.several_keys(hands).await,
            7 => self.registers.pipeline(hands).await,
            8..10 => counters::count(hands).await,
            10 => counters::count_fields(hands).await,
            11 => counters::transaction(hands).await,
            12..14 => self.lives.set(hands).await,
            14 => self.lives.delete(hands).await,
            15 => self.lives.expire(hands).await,
            16 => self.lists.own(hands).await,
            17 => self.lists.shared(hands).await,
            18..20 => self.lists.take(hands).await,
            _ => self.locks.step(hands).await,
        }
    }
}

/// One of those that offer as many plain operations as are asked for.
pub struct Offering(Hands, offered::Offered);

impl Offering {
    pub fn new(hands: Hands) -> Offering {
        Offering(hands, offered::Offered::default())
    }

    pub async fn prepare(&mut self) {
        self.1.prepare(&mut self.0).await;
    }

    pub async fn step(&mut self) {
        self.1.step(&mut self.0).await;
    }
}
