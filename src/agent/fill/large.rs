//! Large keys: piece by piece, so that neither server is held up for longer than a piece takes.
//!
//! The pieces make up a key only if it holds still meanwhile. If it does not, it is marked as changed, and is copied again.
//! They are put together under a name of the ring's own, which takes the key's place when it is whole.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Pipeline, Value, cmd, pipe};
use tokio::time::Instant;

use super::dirty::Key;
use super::pace::Pace;
use super::source::{Looked, Source, Trouble, scanned, strings};
use super::target::{Target, restore};
use super::{Ended, Limits};
use crate::agent::server::Failure;

/// What large keys are copied with.
#[derive(Clone)]
pub(super) struct Pieces {
    pub(super) source: Arc<Source>,
    pub(super) target: Arc<Target>,
    /// Where they are put together: one at a time, under one name for each source.
    pub(super) scratch: Arc<[u8]>,
    pub(super) limits: Limits,
}

/// How copying one has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With so many bytes, about; of a stream also its signature.
    Copied(u64, Option<Vec<u8>>),
    /// It is not large any more, or gone.
    Small,
    /// It did not hold still.
    Changed,
}

impl Pieces {
    /// Copies a key, unless it is `compared` and the target has it; without a `pace` as fast as it goes. How long that had it
    /// wait is added to `rested`.
    pub(super) async fn copy(
        &self,
        key: &Key,
        compared: bool,
        pace: Option<&Pace>,
        rested: &mut Duration,
    ) -> Result<Outcome, Trouble> {
        let [kind, memory, expiry] = &self
            .ask_all(
                pipe()
                    .cmd("TYPE")
                    .arg(&key[..])
                    .cmd("MEMORY")
                    .arg("USAGE")
                    .arg(&key[..])
                    .cmd("PEXPIRETIME")
                    .arg(&key[..]),
            )
            .await?[..]
        else {
            return Ok(Outcome::Changed);
        };
        let (Value::SimpleString(kind), Value::Int(memory), Value::Int(expiry)) = (kind, memory, expiry) else {
            return Ok(Outcome::Small);
        };
        let (memory, expiry) = (memory.unsigned_abs(), (*expiry).max(0));
        if memory <= self.limits.large_bytes {
            return Ok(Outcome::Small);
        }
        let Some(kind) = Kind::of(kind) else { return self.whole(key, compared).await };
        let Some(Value::Int(len)) = self.ask(&cmd(kind.length()).arg(&key[..]).take()).await? else {
            return Ok(Outcome::Changed);
        };
        let len = len.unsigned_abs();
        let count = self.count(kind, len, memory);
        if compared && self.is_there(key, (kind, len, expiry), count, pace).await? {
            return Ok(Outcome::Copied(0, None));
        }
        let scratch = Scratch { pieces: self, used: true };
        self.target.all(pipe().cmd("UNLINK").arg(&self.scratch[..])).await?;
        let done = self.put_together(key, kind, (len, count), pace, rested).await?;
        if !done {
            return Ok(Outcome::Changed);
        }
        let mut place = Pipeline::with_capacity(3);
        // What a name had is freed by the way, and not in the server's main thread.
        place.atomic().cmd("UNLINK").arg(&key[..]).cmd("RENAME").arg(&self.scratch[..]).arg(&key[..]);
        if expiry > 0 {
            place.cmd("PEXPIREAT").arg(&key[..]).arg(expiry);
        }
        self.target.all(&place).await?;
        scratch.free();
        Ok(Outcome::Copied(memory, None))
    }

    /// Elements in a piece, by the average, which is all that is known of them.
    fn count(&self, kind: Kind, len: u64, memory: u64) -> u64 {
        match kind {
            Kind::String => self.limits.piece_bytes.max(1),
            Kind::List | Kind::Set | Kind::Hash | Kind::Sorted => {
                let each = (memory / len.max(1)).max(1);
                (self.limits.piece_bytes / each).clamp(1, self.limits.piece_elements.max(1))
            }
        }
    }

    /// Copies all pieces to the scratch key. Whether they are as many as there were.
    async fn put_together(
        &self,
        key: &Key,
        kind: Kind,
        (len, count): (u64, u64),
        pace: Option<&Pace>,
        rested: &mut Duration,
    ) -> Result<bool, Trouble> {
        let (mut next, mut seen) = (Some(Start::of(kind)), 0);
        let mut write = kind.make_room(&self.scratch, len);
        loop {
            let (read, written) = futures_util::join!(
                async {
                    match next.take() {
                        Some(start) => self.piece(key, kind, start, count).await.map(Some),
                        None => Ok(None),
                    }
                },
                async {
                    match write.take() {
                        Some(write) => self.target.all(pipe().add_command(write)).await.map(|()| true),
                        None => Ok(false),
                    }
                }
            );
            let written = written?;
            let Some(read) = read? else {
                if written {
                    continue;
                }
                return Ok(seen >= len);
            };
            let Some(piece) = read else { return Ok(false) };
            let bytes: usize = piece.elements.iter().map(Vec::len).sum();
            let elements = piece.elements.len() as u64 / kind.strings_per_element();
            seen += if matches!(kind, Kind::String) { bytes as u64 } else { elements };
            next = piece.next.filter(|_| kind.by_cursor() || (seen < len && elements > 0));
            if elements > 0 {
                write = Some(kind.write(&self.scratch, piece.at, piece.elements));
            }
            if let Some(pace) = pace {
                let began = Instant::now();
                pace.spend(elements, bytes as u64).await;
                *rested += began.elapsed();
            }
        }
    }

    /// One piece; none if the key is of another type by now.
    async fn piece(&self, key: &Key, kind: Kind, start: Start, count: u64) -> Result<Option<Piece>, Trouble> {
        let ask = kind.read(key, &start, count);
        let Some(answer) = self.ask(&ask).await? else { return Ok(None) };
        let piece = match start {
            Start::At(at) => {
                let elements = match answer {
                    Value::BulkString(bytes) if bytes.is_empty() => Vec::new(),
                    Value::BulkString(bytes) => vec![bytes],
                    list => strings(list).ok_or_else(nonsense)?,
                };
                Piece { at, elements, next: Some(Start::At(at + count)) }
            }
            Start::Cursor(_) => {
                let (cursor, elements) = scanned(answer).ok_or_else(nonsense)?;
                Piece { at: 0, elements, next: (cursor != b"0").then_some(Start::Cursor(cursor)) }
            }
        };
        Ok(Some(piece))
    }

    /// Copies a key of a type that has no pieces: streams, which are stored in few blocks and dump fast, and modules' types.
    async fn whole(&self, key: &Key, compared: bool) -> Result<Outcome, Trouble> {
        let limits = Limits { large_bytes: u64::MAX, ..self.limits.clone() };
        let there = match compared {
            true => self.target.prints(std::slice::from_ref(key), &limits).await?.pop(),
            false => None,
        };
        let looked = self.source.look(&[(Key::clone(key), there.unwrap_or_default())], &limits).await?.pop();
        match looked {
            Some(Looked::Same(signature)) => Ok(Outcome::Copied(0, signature)),
            Some(Looked::Value(content)) => {
                let bytes = content.value.len() as u64;
                let write = restore(key, &content);
                self.target.all(pipe().cmd("UNLINK").arg(&key[..]).add_command(write)).await?;
                Ok(Outcome::Copied(bytes, content.signature))
            }
            Some(Looked::Gone | Looked::Large) | None => Ok(Outcome::Small),
        }
    }

    /// An answer; none where the key is of another type than it was.
    pub(super) async fn ask(&self, cmd: &Cmd) -> Result<Option<Value>, Trouble> {
        let answer = self.ask_all(pipe().add_command(cmd.clone())).await?.pop();
        Ok(answer.filter(|answer| !matches!(answer, Value::ServerError(_))))
    }

    async fn ask_all(&self, cmds: &Pipeline) -> Result<Vec<Value>, Trouble> {
        let patience = self.limits.patience;
        let answers = self.source.data.ask_all(cmds, patience).await.map_err(super::source::trouble)?;
        let refused = answers.iter().find_map(|answer| match answer {
            Value::ServerError(error) if error.code() != "WRONGTYPE" => Some(error.code().to_owned()),
            _ => None,
        });
        refused.map_or(Ok(answers), |code| Err(super::source::trouble(Failure::Answered(code))))
    }
}

fn nonsense() -> Trouble {
    Trouble::Over(Ended::Refused("a piece of a key that cannot be understood".to_owned()))
}

/// Removes what was put together and is not to be used.
struct Scratch<'a> {
    pieces: &'a Pieces,
    used: bool,
}

impl Scratch<'_> {
    fn free(mut self) {
        self.used = false;
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.used {
            let (target, scratch) = (Arc::clone(&self.pieces.target), Arc::clone(&self.pieces.scratch));
            // If it does not get there, the next copier of this source does it.
            runtime.spawn(async move { target.all(pipe().cmd("UNLINK").arg(&scratch[..])).await });
        }
    }
}

/// Types that have pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    String,
    List,
    Set,
    Hash,
    Sorted,
}

/// Where a piece begins.
enum Start {
    At(u64),
    Cursor(Vec<u8>),
}

struct Piece {
    at: u64,
    elements: Vec<Vec<u8>>,
    next: Option<Start>,
}

impl Start {
    fn of(kind: Kind) -> Start {
        if kind.by_cursor() { Start::Cursor(b"0".to_vec()) } else { Start::At(0) }
    }
}

impl Kind {
    pub(super) fn of(name: &str) -> Option<Kind> {
        Some(match name {
            "string" => Kind::String,
            "list" => Kind::List,
            "set" => Kind::Set,
            "hash" => Kind::Hash,
            "zset" => Kind::Sorted,
            _ => return None,
        })
    }

    pub(super) fn by_cursor(self) -> bool {
        match self {
            Kind::String | Kind::List => false,
            Kind::Set | Kind::Hash | Kind::Sorted => true,
        }
    }

    fn strings_per_element(self) -> u64 {
        match self {
            Kind::String | Kind::List | Kind::Set => 1,
            Kind::Hash | Kind::Sorted => 2,
        }
    }

    fn length(self) -> &'static str {
        match self {
            Kind::String => "STRLEN",
            Kind::List => "LLEN",
            Kind::Set => "SCARD",
            Kind::Hash => "HLEN",
            Kind::Sorted => "ZCARD",
        }
    }

    /// A string is made as long as it will be at once. If it grew piece by piece, all of it would be moved again and again.
    fn make_room(self, scratch: &[u8], len: u64) -> Option<Cmd> {
        match self {
            Kind::String => Some(cmd("SETRANGE").arg(scratch).arg(len.saturating_sub(1)).arg(b"\0").take()),
            Kind::List | Kind::Set | Kind::Hash | Kind::Sorted => None,
        }
    }

    fn read(self, key: &[u8], start: &Start, count: u64) -> Cmd {
        let name = match self {
            Kind::String => "GETRANGE",
            Kind::List => "LRANGE",
            Kind::Set => "SSCAN",
            Kind::Hash => "HSCAN",
            Kind::Sorted => "ZSCAN",
        };
        let mut read = cmd(name);
        read.arg(key);
        match start {
            Start::At(at) => read.arg(at).arg(at + count - 1),
            Start::Cursor(cursor) => read.arg(cursor).arg("COUNT").arg(count),
        };
        read
    }

    fn write(self, scratch: &[u8], at: u64, mut elements: Vec<Vec<u8>>) -> Cmd {
        let (name, at) = match self {
            Kind::String => ("SETRANGE", Some(at)),
            Kind::List => ("RPUSH", None),
            Kind::Set => ("SADD", None),
            Kind::Hash => ("HSET", None),
            Kind::Sorted => {
                // ZADD takes the score first.
                elements.chunks_exact_mut(2).for_each(|pair| pair.swap(0, 1));
                ("ZADD", None)
            }
        };
        cmd(name).arg(scratch).arg(at).arg(elements).take()
    }
}
