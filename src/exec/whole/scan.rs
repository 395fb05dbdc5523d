//! SCAN: one member after the other, each for the keys that it answers for.
//!
//! The cursor names the view that the iteration began with. When that is not the view any more (a member went or came,
//! the ring changed), the iteration begins again at the first member: a key may come twice, and none is missed.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use redis::{Cmd, RedisResult, Value};

use super::super::reply::{Verdict, judge};
use super::super::{Core, Snapshot};
use super::view::Silent;
use super::{Tries, View, any};
use crate::command;
use crate::error::{Error, ErrorKind, Result};
use crate::placement::MemberIndex;

/// Where the cursor stands in `SCAN cursor`.
const CURSOR_AT: usize = 1;

/// Where an iteration goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    view: Mark,
    /// The member's rank in the serving ring.
    member: u16,
    /// The cursor that the member gave.
    cursor: u64,
}

/// What is kept of a view's mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Whole(u32),
    /// All that a cursor of 64 bits has room for; never 0.
    Short(u16),
}

impl Mark {
    fn is_of(self, view: u32) -> bool {
        match self {
            Mark::Whole(mark) => mark == view,
            Mark::Short(mark) => mark == short(view),
        }
    }
}

fn short(view: u32) -> u16 {
    (view % 0xffff) as u16 + 1
}

/// The server's cursor has the lower 36 bits of the ring's own, then follow 12 bits for the member and 16 for the mark.
/// Servers use as many bits as their table has buckets, and a table of 2^36 buckets needs half a terabyte.
const CURSOR_BITS: u32 = 36;
const MEMBER_BITS: u32 = 12;

impl Position {
    /// The position that a cursor of 64 bits means. What no ring has given is a position that fits no view.
    fn unpack(cursor: u64) -> Option<Position> {
        (cursor != 0).then_some(Position {
            view: Mark::Short((cursor >> (CURSOR_BITS + MEMBER_BITS)) as u16),
            member: (cursor >> CURSOR_BITS) as u16 & ((1 << MEMBER_BITS) - 1),
            cursor: cursor & ((1 << CURSOR_BITS) - 1),
        })
    }

    /// # Errors
    /// `Refused` where it does not fit: a cut cursor would skip keys without a word.
    fn pack(self) -> Result<u64> {
        if self.cursor >> CURSOR_BITS != 0 || self.member >> MEMBER_BITS != 0 {
            return Err(Error::new(ErrorKind::Refused, "a cursor of 64 bits is too small for this ring")
                .with_hint("use client.scan(), whose cursor has room for any ring"));
        }
        let mark = match self.view {
            Mark::Whole(view) => short(view),
            Mark::Short(mark) => mark,
        };
        Ok(u64::from(mark) << (CURSOR_BITS + MEMBER_BITS) | u64::from(self.member) << CURSOR_BITS | self.cursor)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, mark) = match self.view {
            Mark::Whole(mark) => ("1", mark),
            Mark::Short(mark) => ("0", u32::from(mark)),
        };
        write!(f, "{kind}.{mark:x}.{}.{}", self.member, self.cursor)
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> Result<Position, ()> {
        let mut parts = text.split('.');
        let mut next = || parts.next().ok_or(());
        let (kind, mark, member, cursor) = (next()?, next()?, next()?, next()?);
        let view = match kind {
            "1" => Mark::Whole(u32::from_str_radix(mark, 16).map_err(drop)?),
            "0" => Mark::Short(u16::from_str_radix(mark, 16).map_err(drop)?),
            _ => return Err(()),
        };
        let position = Position { view, member: member.parse().map_err(drop)?, cursor: cursor.parse().map_err(drop)? };
        if parts.next().is_some() { Err(()) } else { Ok(position) }
    }
}

/// A part of an iteration.
#[derive(Debug)]
pub(crate) enum Part {
    /// These keys, and where it goes on; `None` is the end.
    Keys(Vec<Value>, Option<Position>),
    /// The servers take this call for a mistake.
    Mistake(Value),
}

pub(super) async fn run(core: &Core, first: &Arc<Snapshot>, cmd: &Cmd) -> RedisResult<Value> {
    // What is no cursor is an error that any member words as usual.
    let Some(cursor) = command::cursor(cmd, CURSOR_AT) else { return any::ask(core, first, cmd).await };
    match part(core, first, cmd, Position::unpack(cursor)).await? {
        Part::Mistake(error) => Ok(error),
        Part::Keys(keys, next) => {
            let next = next.map_or(Ok(0), Position::pack)?;
            Ok(Value::Array(vec![Value::BulkString(next.to_string().into_bytes()), Value::Array(keys)]))
        }
    }
}

/// The next part of an iteration, or the first one.
///
/// # Errors
/// `NoOwner` while the member whose turn it is does not answer and is not known to be gone, or nobody answers for some
/// keys. The same call may be made again later: nothing of the iteration is lost.
pub(in crate::exec) async fn part(
    core: &Core,
    first: &Arc<Snapshot>,
    cmd: &Cmd,
    from: Option<Position>,
) -> Result<Part> {
    let mut tries = Tries::new(core, first);
    loop {
        let snapshot = Arc::clone(&tries.snapshot);
        match step(core, &View::of(&snapshot), cmd, from).await {
            Ok(part) if tries.counts() => return Ok(part),
            Ok(_) => {}
            Err(error) => tries.again(error).await?,
        }
    }
}

async fn step(core: &Core, view: &View<'_>, cmd: &Cmd, from: Option<Position>) -> Result<Part> {
    let mark = view.mark();
    let goes_on = from.filter(|from| from.view.is_of(mark));
    if goes_on.is_none() {
        // Once for each view: while it holds, so does this.
        view.complete(&Silent::new())?;
        if from.is_some() {
            tracing::debug!("SCAN begins again at the first member, since the members changed");
        }
    }
    let (rank, cursor) = goes_on.map_or((0, 0), |from| (from.member, from.cursor));
    let Some((rank, member)) = from_rank(view, rank) else { return Ok(Part::Keys(Vec::new(), None)) };
    let Some(link) = view.link(member) else { return Ok(Part::Keys(Vec::new(), None)) };
    let node = &view.snapshot().seat(member).node;
    let (next, mut keys) = match link.read(&command::with_cursor(cmd, CURSOR_AT, cursor), core.read_ms).await {
        Ok(reply) if judge(&reply) == Verdict::Answer => {
            node.succeeded();
            match scanned(reply) {
                Ok(scanned) => scanned,
                Err(reply) => return Ok(Part::Mistake(reply)),
            }
        }
        reply => {
            node.failed();
            let why = match reply {
                Ok(_) => "it cannot serve now".to_owned(),
                Err(fault) => fault.to_string(),
            };
            return Err(view.stuck("SCAN", member, &why));
        }
    };
    keys.retain(|key| view.shows(member, key));
    let (rank, cursor) = if next == 0 { (rank + 1, 0) } else { (rank, next) };
    let next = from_rank(view, rank).map(|(member, _)| Position { view: Mark::Whole(mark), member, cursor });
    Ok(Part::Keys(keys, next))
}

/// The first member from this rank on that can be asked.
fn from_rank(view: &View<'_>, rank: u16) -> Option<(u16, MemberIndex)> {
    let members = view.snapshot().topology().serving().members();
    let mut rest = members.enumerate().skip(usize::from(rank));
    rest.find_map(|(rank, (index, ..))| view.link(index).map(|_| (rank as u16, index)))
}

/// The cursor and the keys of a reply, or the reply if it is something else.
pub(super) fn scanned(reply: Value) -> Result<(u64, Vec<Value>), Value> {
    match reply {
        Value::Array(mut parts) if parts.len() == 2 => match (parts.pop(), parts.pop()) {
            (Some(Value::Array(keys)), Some(cursor)) => match redis::from_redis_value_ref(&cursor) {
                Ok(next) => Ok((next, keys)),
                Err(_) => Err(Value::Array(vec![cursor, Value::Array(keys)])),
            },
            (keys, cursor) => Err(Value::Array(cursor.into_iter().chain(keys).collect())),
        },
        other => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_of_64_bits_holds_the_view_the_member_and_the_servers_cursor() {
        let whole = Position { view: Mark::Whole(0xdead_beef), member: 4095, cursor: (1 << 36) - 1 };
        let packed = whole.pack().unwrap();
        let back = Position::unpack(packed).unwrap();
        assert_eq!((back.member, back.cursor), (4095, (1 << 36) - 1));
        assert!(back.view.is_of(0xdead_beef) && !back.view.is_of(0xdead_bef0));
        assert_eq!(back.pack().unwrap(), packed);
        assert_eq!(Position::unpack(0), None);
        // Whatever the mark, the cursor is never 0, which would be the end.
        for view in [0, 0xfffe, 0xffff, u32::MAX] {
            assert_ne!(Position { view: Mark::Whole(view), member: 0, cursor: 0 }.pack().unwrap(), 0);
        }
    }

    #[test]
    fn a_cursor_that_does_not_fit_is_an_error_and_never_another_cursor() {
        let at = |member, cursor| Position { view: Mark::Whole(1), member, cursor };
        assert_eq!(at(0, 1 << 36).pack().unwrap_err().kind(), ErrorKind::Refused);
        assert_eq!(at(4096, 0).pack().unwrap_err().kind(), ErrorKind::Refused);
    }

    #[test]
    fn a_position_survives_as_text() {
        let at = Position { view: Mark::Whole(0xdead_beef), member: 9000, cursor: u64::MAX };
        assert_eq!(at.to_string().parse(), Ok(at));
        let short = Position::unpack(0x1234_0010_0000_0001).unwrap();
        assert_eq!(short.to_string().parse(), Ok(short));
        for wrong in ["", "1", "1.x.0.0", "2.0.0.0", "1.0.0.0.0", "1.0.70000.0", "0.10000.0.0"] {
            assert_eq!(wrong.parse::<Position>(), Err(()), "{wrong}");
        }
    }
}
