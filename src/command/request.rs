//! One call: what it does, whom it concerns, and how its expiry becomes absolute.
//!
//! This is the only module that looks inside a [`redis::Cmd`]. Newer versions of the redis crate change exactly that, so
//! a change there must find one place here.

use redis::{Arg, Cmd, Pipeline, Value};

use super::index::{lookup, resolve};
use super::keys::{NoKeys, keys};
use super::options::{Stores, call};
use super::refusal::Refusal;
use super::row::{Access, Echo, Keys, Kind, Lifetime, Merge, NoEffect, Replication, Row, Split, Support, Unit, Wait};
use crate::placement::Token;

/// Keys that begin so are the ring's own.
pub const RESERVED: &[u8] = b"__rr:";

/// What to do with a call that the ring serves.
#[derive(Clone, Copy, Debug)]
pub enum Plan<'a> {
    /// Ask an owner of `key`.
    Read {
        /// The command.
        row: &'static Row,
        /// The key, or the first of several with one token.
        key: &'a [u8],
    },
    /// Write to all owners of `key`.
    Write {
        /// The command.
        row: &'static Row,
        /// The key, or the first of several with one token.
        key: &'a [u8],
        /// What the copies get.
        repeat: Repeat,
        /// What must happen to its expiry before anybody gets it.
        expiry: Expiry,
        /// The reply of the primary that proves that this call wrote nothing.
        no_effect: NoEffect,
    },
    /// It may wait for something to come.
    Wait {
        /// The command.
        row: &'static Row,
        /// The key, or the first of several with one token.
        key: &'a [u8],
        /// Where its longest wait stands among the arguments.
        at: usize,
        /// The unit of that.
        unit: Unit,
    },
    /// Ask or write each key's owners on their own, and put the replies together.
    Split {
        /// The command.
        row: &'static Row,
        /// How the replies become one.
        merge: Merge,
    },
    /// A script without keys: any member, and only read.
    Keyless {
        /// The command.
        row: &'static Row,
    },
    /// Ask all members.
    WholeRing {
        /// The command.
        row: &'static Row,
    },
    /// Ask any member.
    AnyMember {
        /// The command.
        row: &'static Row,
    },
    /// Send a message to an owner of `channel`.
    Publish {
        /// The command.
        row: &'static Row,
        /// The channel.
        channel: &'a [u8],
    },
    /// Ask all members about their channels.
    Channels {
        /// The command.
        row: &'static Row,
    },
}

impl<'a> Plan<'a> {
    /// The command.
    #[inline]
    #[must_use]
    pub const fn row(&self) -> &'static Row {
        match self {
            Self::Read { row, .. }
            | Self::Write { row, .. }
            | Self::Wait { row, .. }
            | Self::Split { row, .. }
            | Self::Keyless { row }
            | Self::WholeRing { row }
            | Self::AnyMember { row }
            | Self::Publish { row, .. }
            | Self::Channels { row } => row,
        }
    }

    /// The key that says who its owners are; none of a call that concerns no key, or several on their own.
    #[inline]
    #[must_use]
    pub const fn key(&self) -> Option<&'a [u8]> {
        match self {
            Self::Read { key, .. } | Self::Write { key, .. } | Self::Wait { key, .. } => Some(key),
            Self::Split { .. }
            | Self::Keyless { .. }
            | Self::WholeRing { .. }
            | Self::AnyMember { .. }
            | Self::Publish { .. }
            | Self::Channels { .. } => None,
        }
    }

    /// Whether it writes keys.
    #[inline]
    #[must_use]
    pub const fn is_write(&self) -> bool {
        match self {
            Self::Write { .. } => true,
            Self::Wait { row, .. } | Self::Split { row, .. } => row.is_write(),
            Self::Read { .. }
            | Self::Keyless { .. }
            | Self::WholeRing { .. }
            | Self::AnyMember { .. }
            | Self::Publish { .. }
            | Self::Channels { .. } => false,
        }
    }
}

impl NoEffect {
    /// Whether this reply proves that nothing was written.
    #[must_use]
    pub fn shown_by(self, reply: &Value) -> bool {
        match self {
            Self::Unproven => false,
            Self::Nil => matches!(reply, Value::Nil),
            Self::Zero => matches!(reply, Value::Int(0)),
            Self::NotPositive => matches!(reply, Value::Int(count) if *count <= 0),
            Self::Empty => matches!(reply, Value::Array(items) if items.is_empty()),
        }
    }
}

/// What the copies get of a write that the ring serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// The same command to all owners at once.
    Absolute,
    /// The same command after the primary, in the order of the primary's replies.
    Deterministic,
    /// What it did, as the primary's reply tells.
    Effect,
    /// The state of its keys right after it.
    State,
}

/// What must happen to the expiry of a write before anybody gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Nothing: it has none, or an absolute one.
    AsSent,
    /// [`absolute`] must rewrite it.
    Relative {
        /// The position of the number among the arguments.
        at: usize,
        /// Its unit.
        unit: Unit,
    },
}

/// What [`absolute`] made of a call.
#[derive(Clone)]
pub enum Rewrite {
    /// There was no relative expiry, and the call is sent as it is.
    AsSent,
    /// This is sent in place of the call.
    Absolute(Cmd),
    /// The expiry is none that a server would accept. The call must go to the primary alone, unchanged, so that the
    /// caller sees the server's own error.
    PrimaryAlone,
}

/// What to do with `cmd`: which key it concerns, whether it writes, and what its copies get.
///
/// It allocates nothing unless it refuses.
///
/// # Errors
///
/// [`Refusal`] for a command that the ring does not serve, or not yet, or not so.
// Always: what it returns need not go through memory then, and every command passes here.
#[inline(always)]
pub fn plan(cmd: &Cmd) -> Result<Plan<'_>, Refusal> {
    let mut rest = words(cmd);
    let count = rest.len();
    let name = rest.next().flatten().unwrap_or_default();
    let row = match lookup(name) {
        Some(row) if row.kind == Kind::Plain => row,
        found => row_of_pair(found, name, rest.clone())?,
    };
    match row.support {
        Support::Runs => {}
        Support::Never(why) => return Err(Refusal::never(row, why)),
    }
    if !row.accepts(count) {
        return Err(Refusal::wrong_count(row));
    }
    let key = match row.keys {
        // The walk goes on where the name ended.
        Keys::One(at) if row.split == Split::OneKey => match rest.nth(usize::from(at).saturating_sub(1)) {
            Some(Some(key)) => key,
            Some(None) => return Err(Refusal::keys_not_found(row, NoKeys::Cursor)),
            None => return Err(Refusal::keys_not_found(row, NoKeys::Short)),
        },
        Keys::None | Keys::One(_) | Keys::Many(_) => match concerned(row, words(cmd))? {
            Concerned::Key(key) => key,
            Concerned::Other(plan) => return Ok(plan),
        },
    };
    if key.starts_with(RESERVED) {
        return Err(Refusal::reserved_key(row));
    }
    if row.echo == Echo::Repeats && words(cmd).flatten().any(|word| std::str::from_utf8(word).is_err()) {
        return Err(Refusal::not_utf8(row));
    }
    if row.access == Access::Read && row.options.is_none() && row.wait == Wait::Never {
        return Ok(Plan::Read { row, key });
    }
    with_options(row, key, words(cmd))
}

/// Makes a relative expiry absolute, in milliseconds of the primary's clock, of which `primary_now_ms` is the time now.
///
/// All other arguments stay as they are. `SETEX key seconds value` becomes `SET key value PXAT time`, and `EXPIRE`
/// `PEXPIREAT`, whose replies are the same.
#[must_use]
pub fn absolute(cmd: &Cmd, plan: &Plan<'_>, primary_now_ms: u64) -> Rewrite {
    let (row, at, unit) = match *plan {
        Plan::Write { row, expiry: Expiry::Relative { at, unit }, .. } => (row, at, unit),
        _ => return Rewrite::AsSent,
    };
    let number = words(cmd).nth(at).flatten();
    let number = match row.lifetime {
        Lifetime::None | Lifetime::BeforeValue(_) => number.and_then(positive),
        Lifetime::OfKey(_) => number.and_then(integer),
        Lifetime::OfPayload(_) if number == Some(b"0") => return Rewrite::AsSent,
        Lifetime::OfPayload(_) => number.and_then(positive),
    };
    let Some(time) = number.and_then(|number| deadline(number, unit, primary_now_ms)) else {
        return Rewrite::PrimaryAlone;
    };
    // A lifetime that is over before it begins has passed on every clock, also where this one is ahead of a server's.
    let time = if number <= Some(0) { time.min(0) } else { time };
    let mut rewritten = Cmd::with_capacity(cmd.args_iter().len() + 1, 0);
    match row.lifetime {
        Lifetime::None => {
            for (position, word) in words(cmd).enumerate() {
                if position + 1 == at {
                    rewritten.arg("PXAT");
                } else if position == at {
                    rewritten.arg(time);
                } else if let Some(word) = word {
                    rewritten.arg(word);
                }
            }
        }
        Lifetime::BeforeValue(_) => {
            let mut args = words(cmd).flatten();
            rewritten.arg("SET").arg(args.nth(1));
            if let Some(value) = args.nth(1) {
                rewritten.arg(value);
            }
            rewritten.arg("PXAT").arg(time);
        }
        Lifetime::OfKey(_) => {
            let mut args = words(cmd).flatten();
            rewritten.arg("PEXPIREAT").arg(args.nth(1)).arg(time);
            args.skip(1).for_each(|word| {
                rewritten.arg(word);
            });
        }
        Lifetime::OfPayload(_) => {
            for (position, word) in words(cmd).flatten().enumerate() {
                if position == at {
                    rewritten.arg(time);
                } else {
                    rewritten.arg(word);
                }
            }
            rewritten.arg("ABSTTL");
        }
    }
    rewritten.set_no_response(cmd.is_no_response());
    Rewrite::Absolute(rewritten)
}

/// The name of `cmd` for traces: from the table, so that nothing a caller sent can slip into a trace with it.
#[must_use]
pub fn name(cmd: &Cmd) -> &'static str {
    let mut args = words(cmd);
    let name = args.next().flatten().unwrap_or_default();
    resolve(name, args.next().map(Option::unwrap_or_default)).map_or("UNKNOWN", |row| row.upper)
}

/// All of a command, as it is sent: equal for equal calls, and different for different ones.
pub(crate) fn packed(cmd: &Cmd) -> Vec<u8> {
    cmd.get_packed_command()
}

/// What has the server say in one message what a read of one key answers and how long that may be kept: it is asked to tell
/// when the key is written, then the command, and then how long the key lives. In this order, so that a change between
/// the two is told of.
pub(crate) fn tracked_read(cmd: &Cmd, key: &[u8]) -> Pipeline {
    let mut wire = Pipeline::with_capacity(3);
    let mut caching = redis::cmd("CLIENT");
    caching.arg("CACHING").arg("YES");
    let mut ttl = redis::cmd("PTTL");
    ttl.arg(key);
    wire.add_command(caching).add_command(cmd.clone()).add_command(ttl);
    wire
}

/// The arguments of a call, the name first; a cursor is empty.
#[must_use]
pub fn arguments(cmd: &Cmd) -> Vec<&[u8]> {
    words(cmd).map(Option::unwrap_or_default).collect()
}

/// Whether it writes only what is not there, and says no more than whether it did.
#[must_use]
pub fn is_if_absent(cmd: &Cmd) -> bool {
    let has = |option: &str| words(cmd).skip(3).flatten().any(|word| word.eq_ignore_ascii_case(option.as_bytes()));
    match name(cmd) {
        "SETNX" | "HSETNX" | "MSETNX" => true,
        "SET" => has("NX") && !has("GET"),
        _ => false,
    }
}

/// The argument at `at` (the name is 0); `None` where there is none or a cursor.
#[must_use]
pub fn argument(cmd: &Cmd, at: usize) -> Option<&[u8]> {
    words(cmd).nth(at).flatten()
}

/// The cursor that stands at `at` (the name is 0), if it is one.
///
/// redis-rs keeps the cursor of its own iterators out of the arguments, so it is read from the packed command, where it
/// is always written.
#[must_use]
pub fn cursor(cmd: &Cmd, at: usize) -> Option<u64> {
    let packed = cmd.get_packed_command();
    let (_, mut rest) = line(&packed)?;
    for _ in 0..at {
        // The key may hold any bytes, so the lengths count and not the line ends.
        let (header, after) = line(rest)?;
        let length: usize = number(header.strip_prefix(b"$")?)?;
        rest = after.get(length.checked_add(2)?..)?;
    }
    let (_, rest) = line(rest)?;
    number(line(rest)?.0)
}

/// What stands before the first line end, and what after it.
fn line(packed: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = packed.windows(2).position(|pair| pair == b"\r\n")?;
    Some((&packed[..end], &packed[end + 2..]))
}

fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The same command with another cursor at `at`.
#[must_use]
pub fn with_cursor(cmd: &Cmd, at: usize, cursor: u64) -> Cmd {
    let mut changed = Cmd::new();
    for (position, word) in words(cmd).enumerate() {
        match word {
            Some(word) if position != at => changed.arg(word),
            Some(_) | None => changed.arg(cursor),
        };
    }
    changed
}

/// The arguments, the name first; `None` is a cursor.
#[inline]
pub(super) fn words(cmd: &Cmd) -> impl Clone + ExactSizeIterator<Item = Option<&[u8]>> {
    cmd.args_iter().map(|arg| match arg {
        Arg::Simple(bytes) => Some(bytes),
        // `Arg` may grow variants; whatever they are, their bytes are not known here, just as a cursor's are not.
        Arg::Cursor | _ => None,
    })
}

/// The row of a call whose name alone, for which `found` stands in the table, is not that of a plain command.
#[cold]
fn row_of_pair<'a, I>(found: Option<&'static Row>, name: &[u8], mut rest: I) -> Result<&'static Row, Refusal>
where
    I: Iterator<Item = Option<&'a [u8]>>,
{
    if name.is_empty() {
        return Err(Refusal::empty());
    }
    let pair = resolve(name, rest.next().map(Option::unwrap_or_default));
    pair.ok_or_else(|| match found {
        Some(row) if row.kind == Kind::Container => Refusal::unknown_subcommand(row),
        Some(_) | None => Refusal::unknown_command(name),
    })
}

/// Whom a call concerns.
enum Concerned<'a> {
    /// The owners of this key.
    Key(&'a [u8]),
    /// Others.
    Other(Plan<'a>),
}

/// Whom a call of a command concerns that has not exactly one key.
fn concerned<'a, I>(row: &'static Row, mut args: I) -> Result<Concerned<'a>, Refusal>
where
    I: Clone + ExactSizeIterator<Item = Option<&'a [u8]>>,
{
    match row.split {
        Split::WholeRing => return Ok(Concerned::Other(Plan::WholeRing { row })),
        Split::AnyMember => return Ok(Concerned::Other(Plan::AnyMember { row })),
        Split::Channels => return Ok(Concerned::Other(Plan::Channels { row })),
        Split::PubSub => {
            let channel = args.nth(1).flatten().ok_or_else(|| Refusal::keys_not_found(row, NoKeys::Short))?;
            return Ok(Concerned::Other(Plan::Publish { row, channel }));
        }
        Split::OneKey | Split::SameToken | Split::PerKey(_) | Split::Script | Split::OneMember | Split::Connection => {}
    }
    let mut first = None;
    let mut stranger = None;
    let mut reserved = false;
    let found = keys(row, args, |key| {
        let (home, token) = *first.get_or_insert_with(|| (key.bytes, Token::of_key(key.bytes)));
        if stranger.is_none() && key.bytes != home && Token::of_key(key.bytes) != token {
            stranger = Some(key.bytes);
        }
        reserved |= key.bytes.starts_with(RESERVED);
    });
    found.map_err(|why| Refusal::keys_not_found(row, why))?;
    if reserved {
        return Err(Refusal::reserved_key(row));
    }
    match (first, stranger, row.split) {
        (None, _, Split::Script) => Ok(Concerned::Other(Plan::Keyless { row })),
        (None, ..) => Err(Refusal::no_key(row)),
        (Some((key, _)), None, _) => Ok(Concerned::Key(key)),
        (Some(_), Some(_), Split::PerKey(merge)) => Ok(Concerned::Other(Plan::Split { row, merge })),
        (Some((key, _)), Some(stranger), _) => Err(Refusal::different_tags(row, key, stranger)),
    }
}

fn with_options<'a, I>(row: &'static Row, key: &'a [u8], args: I) -> Result<Plan<'a>, Refusal>
where
    I: Clone + ExactSizeIterator<Item = Option<&'a [u8]>>,
{
    let count = args.len();
    let call = call(row, args).map_err(|refused| refuse(row, refused))?;
    let waits = match row.wait {
        Wait::Never => call.waits.map(|at| (at, Unit::Milliseconds)),
        Wait::First => Some((1, Unit::Seconds)),
        Wait::Last => Some((count - 1, Unit::Seconds)),
    };
    if let Some((at, unit)) = waits {
        return Ok(Plan::Wait { row, key, at, unit });
    }
    match (row.access, call.stores) {
        (Access::Read, _) | (Access::ReadOrStore, Stores::Nowhere) => {
            return Ok(Plan::Read { row, key });
        }
        (Access::Write, _) | (Access::ReadOrStore, Stores::SomeKey) => {}
        // A row without access has no key to run with.
        (Access::None, _) => return Err(Refusal::no_key(row)),
    }
    let repeat = match call.replication {
        Replication::Absolute => Repeat::Absolute,
        Replication::Deterministic => Repeat::Deterministic,
        Replication::Effect => Repeat::Effect,
        Replication::Refresh => Repeat::State,
        // A row of these has no key to come here with.
        Replication::None | Replication::EveryMember => return Err(Refusal::no_key(row)),
    };
    let relative = match row.lifetime {
        Lifetime::None => call.expiry,
        Lifetime::BeforeValue(unit) | Lifetime::OfKey(unit) => Some((2, unit)),
        Lifetime::OfPayload(unit) => (!call.absolute_expiry).then_some((2, unit)),
    };
    let expiry = relative.map_or(Expiry::AsSent, |(at, unit)| Expiry::Relative { at, unit });
    Ok(Plan::Write { row, key, repeat, expiry, no_effect: call.no_effect })
}

#[cold]
fn refuse(row: &'static Row, support: Support) -> Refusal {
    match support {
        Support::Never(why) => Refusal::never(row, why),
        // Nothing refuses what runs.
        Support::Runs => Refusal::wrong_count(row),
    }
}

/// A number above zero, written as a server reads it: no sign, no blanks, no leading zero. Rust's own parser takes
/// `+5`, and a server does not.
fn positive(text: &[u8]) -> Option<i64> {
    match text {
        [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit) => std::str::from_utf8(text).ok()?.parse().ok(),
        _ => None,
    }
}

/// Any number, written as a server reads it.
fn integer(text: &[u8]) -> Option<i64> {
    match text {
        b"0" => Some(0),
        [b'-', rest @ ..] => positive(rest).map(|number| -number),
        _ => positive(text),
    }
}

/// The time when a lifetime ends, if a server could count so far.
fn deadline(number: i64, unit: Unit, now_ms: u64) -> Option<i64> {
    let lifetime = match unit {
        Unit::Seconds => number.checked_mul(1000)?,
        Unit::Milliseconds => number,
    };
    lifetime.checked_add(i64::try_from(now_ms).ok()?)
}
