//! What a client did and what came of it: one line of JSON an operation.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// The machine's monotonic clock in nanoseconds, the same for all processes.
pub fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// What a cell is used for; each has a checker that must have seen enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Workload {
    /// Keys that are written once.
    Set,
    /// One writer a key, rising values, many readers.
    Register,
    /// INCR by all.
    Counter,
    /// RPUSH, one writer a list.
    Append,
    /// RPUSH, all clients on a few lists: measured, not promised.
    Shared,
    /// RPUSH, one writer a list, and LPOP by all.
    Pop,
    /// Written once, deleted once.
    Delete,
    /// Written once, with an expiry.
    Expiry,
    /// Fields of hashes and members of sorted sets.
    Field,
    /// SET NX and DEL by all.
    Lock,
    /// Several keys in one message.
    Pipeline,
    /// MSET, MGET and transactions.
    Multi,
    /// EVAL.
    Script,
}

impl Workload {
    pub const ALL: [Workload; 13] = [
        Workload::Set,
        Workload::Register,
        Workload::Counter,
        Workload::Append,
        Workload::Shared,
        Workload::Pop,
        Workload::Delete,
        Workload::Expiry,
        Workload::Field,
        Workload::Lock,
        Workload::Pipeline,
        Workload::Multi,
        Workload::Script,
    ];
}

/// What was asked of a cell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Write this number, larger than all before it; with a lifetime in milliseconds.
    Write(u64, #[serde(default, skip_serializing_if = "Option::is_none")] Option<u64>),
    Read,
    /// Count one up.
    Add,
    /// Append this number, larger than all before it.
    Push(u64),
    /// Take the first number away.
    Pop,
    Remove,
    /// Take the lock in this name, which nobody else has.
    Take(u64),
    Release(u64),
}

impl Act {
    pub fn is_read(self) -> bool {
        match self {
            Act::Read => true,
            Act::Write(..) | Act::Add | Act::Push(_) | Act::Pop | Act::Remove | Act::Take(_) | Act::Release(_) => false,
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Done; nothing is answered.
    Done,
    /// The number there is, or was made, or how many were removed; nil is none.
    Number(Option<u64>),
    Numbers(Vec<u64>),
    Taken(bool),
    /// An answer that nobody can have written.
    Nonsense(String),
    /// An error that says that it was not executed.
    Failed(String),
    /// An error that does not say so.
    Unknown(String),
}

/// One operation on one cell. Operations on several are one for each, with the same times.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Op {
    #[serde(rename = "c")]
    pub client: usize,
    #[serde(rename = "w")]
    pub workload: Workload,
    /// `key`, or `key#field`.
    #[serde(rename = "k")]
    pub cell: String,
    #[serde(rename = "a")]
    pub act: Act,
    #[serde(rename = "b")]
    pub begun: u64,
    #[serde(rename = "e")]
    pub ended: u64,
    #[serde(rename = "r")]
    pub end: End,
    /// Whether its client sent some write again meanwhile, which may have been this one.
    #[serde(rename = "x", default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

impl Op {
    pub fn key(&self) -> &str {
        self.cell.split('#').next().unwrap_or(&self.cell)
    }

    /// Whether it is a write whose effect depends on what is there, and which therefore cannot simply be sent again.
    pub fn depends(&self) -> bool {
        match self.act {
            Act::Add | Act::Push(_) | Act::Pop | Act::Take(_) => true,
            Act::Write(..) => self.workload == Workload::Script,
            Act::Read | Act::Remove | Act::Release(_) => false,
        }
    }

    pub fn is_list(&self) -> bool {
        matches!(self.workload, Workload::Append | Workload::Shared | Workload::Pop)
    }

    /// Whether it was acknowledged.
    pub fn is_done(&self) -> bool {
        !self.is_failed() && !self.is_unknown()
    }

    pub fn is_failed(&self) -> bool {
        matches!(self.end, End::Failed(_))
    }

    pub fn is_unknown(&self) -> bool {
        matches!(self.end, End::Unknown(_))
    }

    pub fn error(&self) -> Option<&str> {
        match &self.end {
            End::Failed(text) | End::Unknown(text) => Some(text),
            End::Done | End::Number(_) | End::Numbers(_) | End::Taken(_) | End::Nonsense(_) => None,
        }
    }
}

/// Where a client's operations are written down as they end.
#[derive(Debug)]
pub struct Recorder(Mutex<BufWriter<File>>);

impl Recorder {
    pub fn create(file: &Path) -> Recorder {
        Recorder(Mutex::new(BufWriter::new(File::create(file).expect("a file for the history"))))
    }

    pub fn record(&self, op: &Op) {
        let mut line = serde_json::to_vec(op).expect("plain data");
        line.push(b'\n');
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(&line).expect("room on the disk");
    }

    pub fn flush(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush().expect("room on the disk");
    }
}

/// The operations of a file.
pub fn read(file: &Path) -> Vec<Op> {
    let lines = BufReader::new(File::open(file).expect("a history")).lines();
    lines.map(|line| serde_json::from_str(&line.expect("text")).expect("an operation")).collect()
}
