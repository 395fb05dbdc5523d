//! A command that is not sent, and what the caller is told.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use super::keys::NoKeys;
use super::row::{Row, Split, Why};

/// A command that the ring does not send, the reason, and the way around it.
///
/// It names the command and nothing else of what the caller sent: keys, values and credentials stay out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The command's name in upper case, as `CONFIG GET`.
    pub command: Cow<'static, str>,
    /// What kind of refusal it is.
    pub kind: RefusalKind,
    /// Why: a clause that begins in lower case and has no full stop.
    pub reason: &'static str,
    /// What to do instead: likewise a clause.
    pub hint: &'static str,
}

/// What kind of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// The table has no such command, so neither its keys nor its effect are known, and guessing could write a key to
    /// the wrong member.
    Unknown,
    /// A later version will run it.
    NotYet,
    /// It cannot mean anything on a ring.
    Never,
    /// The command is fine and this call of it is not.
    Usage,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.kind {
            RefusalKind::Unknown => "is not known to the ring",
            RefusalKind::NotYet => "does not run on a ring yet",
            RefusalKind::Never => "cannot run on a ring",
            RefusalKind::Usage => "was not sent",
        };
        write!(f, "{} {verdict}: {}", self.command, self.reason)
    }
}

impl Error for Refusal {}

impl Refusal {
    pub(super) fn never(row: &'static Row, why: &'static Why) -> Self {
        Self::new(row, RefusalKind::Never, why.reason, why.hint)
    }

    pub(super) fn not_yet(row: &'static Row, why: &'static Why) -> Self {
        Self::new(row, RefusalKind::NotYet, why.reason, why.hint)
    }

    /// For a name that the table does not have.
    pub(super) fn unknown_command(name: &[u8]) -> Self {
        Self {
            command: printable(name),
            kind: RefusalKind::Unknown,
            reason: "neither its keys nor its effect can be told",
            hint: "check the spelling; commands of modules and of servers newer than the table come with a later version",
        }
    }

    /// For a subcommand that the table does not have. It is not repeated, since it may just as well be a value whose
    /// subcommand was forgotten.
    pub(super) fn unknown_subcommand(container: &'static Row) -> Self {
        Self::new(
            container,
            RefusalKind::Unknown,
            "its first argument is none of its subcommands, so its keys cannot be told",
            "check the spelling of the subcommand",
        )
    }

    /// For a call without even a name.
    pub(super) fn empty() -> Self {
        Self {
            command: Cow::Borrowed("an empty command"),
            kind: RefusalKind::Usage,
            reason: "it has no name",
            hint: "begin it with redis::cmd(name)",
        }
    }

    pub(super) fn wrong_count(row: &'static Row) -> Self {
        Self::new(
            row,
            RefusalKind::Usage,
            "wrong number of arguments",
            "the command's documentation lists its arguments",
        )
    }

    pub(super) fn reserved_key(row: &'static Row) -> Self {
        Self::new(
            row,
            RefusalKind::Usage,
            "keys that begin with __rr: belong to the ring itself",
            "choose another prefix for the key",
        )
    }

    pub(super) fn no_key(row: &'static Row) -> Self {
        Self::new(row, RefusalKind::Usage, "it names no key, so nobody owns it", "give it a key")
    }

    pub(super) fn keys_not_found(row: &'static Row, why: NoKeys) -> Self {
        let (reason, hint) = match why {
            NoKeys::Short => {
                ("it has fewer keys than it says", "the number of keys must be a number and match the keys that follow")
            }
            NoKeys::Cursor => ("a cursor stands where its key belongs", "give the key first and the cursor after it"),
            NoKeys::Unknown => {
                ("not even a server can tell its keys before it runs", "use a command that names its keys")
            }
        };
        Self::new(row, RefusalKind::Usage, reason, hint)
    }

    /// For several keys where only one can be served so far.
    pub(super) fn several_keys(row: &'static Row) -> Self {
        let (reason, hint) = match row.split {
            Split::PerKey(_) => {
                ("it names several keys, and it is not split over their owners yet", "send it once for each key")
            }
            Split::OneKey
            | Split::SameToken
            | Split::WholeRing
            | Split::AnyMember
            | Split::OneMember
            | Split::Connection
            | Split::PubSub
            | Split::Script => (
                "it names several keys, and it is not checked yet that they share their owners",
                "use commands of one key; a later version runs it for keys that share a hash tag, as {a}1 and {a}2 do",
            ),
        };
        Self::new(row, RefusalKind::NotYet, reason, hint)
    }

    /// For a write whose effect would have to be carried to the copies.
    pub(super) fn effect(row: &'static Row) -> Self {
        Self::new(
            row,
            RefusalKind::NotYet,
            "what it writes is not the same on every copy, and its effect is not carried over yet",
            "write the result with a command that names it",
        )
    }

    fn new(row: &'static Row, kind: RefusalKind, reason: &'static str, hint: &'static str) -> Self {
        Self { command: Cow::Borrowed(row.upper), kind, reason, hint }
    }
}

/// A name that came from outside, made fit for an error text: upper case, short, and nothing that could move a cursor,
/// forge a line, or carry a value sent in place of a name.
fn printable(name: &[u8]) -> Cow<'static, str> {
    const LONGEST: usize = 40;
    let fits = !name.is_empty()
        && name.len() <= LONGEST
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-|".contains(byte));
    if !fits {
        return Cow::Borrowed("a command with an unreadable name");
    }
    let upper = name.to_ascii_uppercase();
    String::from_utf8(upper).map_or(Cow::Borrowed("a command with an unreadable name"), Cow::Owned)
}
