//! What was taken from lists and sorted sets by calls that may wait.
//!
//! The elements are removed by value. A pop on the copy could take another element where a push of another process is still
//! under way; the one that was taken is the same everywhere.

use redis::{Cmd, Value, cmd};

use super::super::keys::keys;
use super::super::request::words;
use super::super::row::{Row, Side};
use super::reading::{elements, text};
use super::{Carried, Expect, Unreadable, carried, word};

/// For `[key, element]` and `[key, [element, …]]`.
pub(super) fn taken(row: &Row, call: &Cmd, side: Side, reply: &Value) -> Result<Vec<Carried>, Unreadable> {
    let Some((key, taken)) = key_and_taken(reply)? else { return Ok(Vec::new()) };
    let end = match side {
        Side::Left => End::Head,
        Side::Right => End::Tail,
        Side::Given => End::said(after_keys(row, call))?,
    };
    let elements = match taken {
        Value::Array(elements) => elements.as_slice(),
        one => std::slice::from_ref(one),
    };
    elements.iter().map(|element| Ok(remove(key, end, text(element)?))).collect()
}

/// For the element that went from one list to another.
pub(super) fn moved(call: &Cmd, side: Side, reply: &Value) -> Result<Vec<Carried>, Unreadable> {
    let (from, to) = match side {
        _ if *reply == Value::Nil => return Ok(Vec::new()),
        Side::Left => (End::Head, End::Tail),
        Side::Right => (End::Tail, End::Head),
        Side::Given => (End::said(word(call, 3))?, End::said(word(call, 4))?),
    };
    let (source, target, element) = (word(call, 1), word(call, 2), text(reply)?);
    let taken = remove(source, from, element);
    let mut push = cmd(match to {
        End::Head => "LPUSH",
        End::Tail => "RPUSH",
    });
    push.arg(target).arg(element);
    let pushed = carried(&mut push, Expect::Any);
    // A list that turns round keeps its expiry even if it has one element, and would lose it if it were empty for a moment.
    Ok(if source == target { vec![pushed, taken] } else { vec![taken, pushed] })
}

/// For `[key, member, score]` and `[key, [[member, score], …]]`.
///
/// One command for each member, since each may be under way by itself.
pub(super) fn sorted_taken(reply: &Value) -> Result<Vec<Carried>, Unreadable> {
    let Some((key, taken)) = key_and_taken(reply)? else { return Ok(Vec::new()) };
    let members = match taken {
        Value::Array(pairs) => {
            pairs.iter().map(|pair| text(elements(pair)?.first().ok_or(Unreadable)?)).collect::<Result<Vec<_>, _>>()?
        }
        member => vec![text(member)?],
    };
    let remove = |member| {
        let mut remove = cmd("ZREM");
        remove.arg(key).arg(member);
        carried(&mut remove, Expect::Found)
    };
    Ok(members.into_iter().map(remove).collect())
}

/// An end of a list.
#[derive(Clone, Copy)]
enum End {
    Head,
    Tail,
}

impl End {
    fn said(word: &[u8]) -> Result<Self, Unreadable> {
        if word.eq_ignore_ascii_case(b"LEFT") {
            Ok(Self::Head)
        } else if word.eq_ignore_ascii_case(b"RIGHT") {
            Ok(Self::Tail)
        } else {
            Err(Unreadable)
        }
    }
}

fn remove(key: &[u8], end: End, element: &[u8]) -> Carried {
    let first_from = match end {
        End::Head => 1,
        End::Tail => -1,
    };
    let mut remove = cmd("LREM");
    remove.arg(key).arg(first_from).arg(element);
    carried(&mut remove, Expect::Found)
}

/// The key and what was taken from it; nothing if the wait ended without.
fn key_and_taken(reply: &Value) -> Result<Option<(&[u8], &Value)>, Unreadable> {
    match reply {
        Value::Nil => Ok(None),
        Value::Array(items) => match items.as_slice() {
            [key, taken, ..] => Ok(Some((text(key)?, taken))),
            _ => Err(Unreadable),
        },
        _ => Err(Unreadable),
    }
}

/// The argument after the last key.
fn after_keys<'a>(row: &Row, call: &'a Cmd) -> &'a [u8] {
    let mut after = 0;
    let found = keys(row, words(call), |key| after = key.at + 1);
    debug_assert!(found.is_ok(), "a call with a plan has keys");
    word(call, after)
}
