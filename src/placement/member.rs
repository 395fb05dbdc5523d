//! What is known of one member.

use std::fmt;
use std::sync::Arc;

use super::{NodeId, Weight, Zone};

/// Whether a member is read and written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Read and written.
    Up,
    /// Neither read nor written; it keeps its place on the ring and is skipped.
    Down,
    /// Back with a new generation, but its data is not known to be whole: not read.
    Joining,
}

impl State {
    /// The word of the wire contract.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Up => "up",
            State::Down => "down",
            State::Joining => "joining",
        }
    }

    /// The state of a word of the wire contract; `None` for any other word.
    pub fn parse(word: &str) -> Option<State> {
        [State::Up, State::Down, State::Joining].into_iter().find(|s| s.as_str() == word)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The version of the `/ring` record: rises with every change of the topology, states included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub i32);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Rises by one at every change of phase, and never otherwise; 1 after founding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step(pub u64);

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One life of a member's data; raised on every return.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One life of a Redis process, as `INFO server` names it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RunId(Arc<str>);

impl RunId {
    /// Takes the id that a server gave.
    pub fn new(id: &str) -> RunId {
        RunId(id.into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// One member of a topology: its place on the ring and its record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its stable name.
    pub id: NodeId,
    /// Where it can be reached (`redis://host:port` or `rediss://host:port`), never with credentials. `None`
    /// where its record is missing or cannot be read.
    pub addr: Option<String>,
    /// Its zone in the serving ring, or in the next or the old one if it is not in that.
    pub zone: Option<Zone>,
    /// Its weight there, in per cent of a plain member.
    pub weight: Weight,
    /// Whether it is read and written. A record that is missing or cannot be read counts as down.
    pub state: State,
    /// The life of its data.
    pub generation: Generation,
    /// The process that holds that data. `None`: pinned by the client at first contact (fixed membership).
    pub run_id: Option<RunId>,
    /// Whether a member that is down is known to answer nobody any more.
    pub closed: bool,
    /// Why it is in this state, for people.
    pub reason: Option<String>,
    /// Who put it into this state, for people.
    pub by: Option<String>,
    /// When, in Unix milliseconds, for people: never compared between machines.
    pub since_ms: Option<u64>,
    /// When it ceased to be up; `None` while it is up, or where nobody knows.
    pub left: Option<Epoch>,
    /// Whether, as far as is known, it still has all that it had then.
    pub intact: bool,
    /// Whether an operator has accepted what this process of it has, whatever is missing in it.
    pub accepted: bool,
    /// What is wrong with its record, if anything.
    pub fault: Option<String>,
}

impl Member {
    /// A member whose record is missing or unreadable: down, with its place kept.
    pub fn faulty(id: NodeId, fault: impl Into<String>) -> Member {
        Member {
            id,
            addr: None,
            zone: None,
            weight: Weight::default(),
            state: State::Down,
            generation: Generation::default(),
            run_id: None,
            closed: false,
            reason: None,
            by: None,
            since_ms: None,
            left: None,
            intact: false,
            accepted: false,
            fault: Some(fault.into()),
        }
    }
}
