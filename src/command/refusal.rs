//! A command that is not sent, and what the caller is told.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use redis::Cmd;

use super::keys::{NoKeys, keys};
use super::request::words;
use super::row::{Row, Why};
use crate::placement::Token;

/// A command that the ring does not send, the reason, and the way around it.
///
/// It names the command, and the two keys that do not live together where that is the reason; nothing else of what the
/// caller sent: values and credentials stay out of it.
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
    /// The two keys that do not live together, where that is the reason.
    pub keys: Option<String>,
}

/// What kind of refusal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalKind {
    /// The table has no such command, so neither its keys nor its effect are known, and guessing could write a key to
    /// the wrong member.
    Unknown,
    /// It cannot mean anything on a ring.
    Never,
    /// The command is fine and this call of it is not.
    Usage,
}

const TOGETHER: &str = "its keys must live together";
const SAME_TAG: &str = "give them the same hash tag, as {a}1 and {a}2 have, or send a command for each";

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.kind {
            RefusalKind::Unknown => "is not known to the ring",
            RefusalKind::Never => "cannot run on a ring",
            RefusalKind::Usage => "was not sent",
        };
        write!(f, "{} {verdict}: {}", self.command, self.reason)?;
        match &self.keys {
            Some(keys) => write!(f, ", and {keys}"),
            None => Ok(()),
        }
    }
}

impl Error for Refusal {}

impl Refusal {
    pub(super) fn never(row: &'static Row, why: &'static Why) -> Self {
        Self::new(row, RefusalKind::Never, why.reason, why.hint)
    }

    /// For a name that the table does not have.
    pub(super) fn unknown_command(name: &[u8]) -> Self {
        Self {
            command: printable(name),
            kind: RefusalKind::Unknown,
            reason: "neither its keys nor its effect can be told",
            hint: "check the spelling; a command of a module must be known to the servers",
            keys: None,
        }
    }

    /// The same command, refused for another reason.
    pub(crate) fn because(mut self, reason: &'static str, hint: &'static str) -> Self {
        (self.kind, self.reason, self.hint) = (RefusalKind::Usage, reason, hint);
        self
    }

    /// The same command, refused since these two keys of it do not live together.
    pub(crate) fn strangers(self, one: &[u8], other: &[u8]) -> Self {
        let keys = Some(format!("{} and {} do not", printable_key(one), printable_key(other)));
        Self { keys, ..self.because(TOGETHER, SAME_TAG) }
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

    /// For an argument that is no UTF-8, where the server would repeat it in an error.
    pub(super) fn not_utf8(row: &'static Row) -> Self {
        Self::new(
            row,
            RefusalKind::Usage,
            "an argument is no UTF-8, and a server that repeats it in an error would end the shared connection",
            "use keys, groups and consumers that are text",
        )
    }

    /// For a call without even a name.
    pub(super) fn empty() -> Self {
        Self {
            command: Cow::Borrowed("an empty command"),
            kind: RefusalKind::Usage,
            reason: "it has no name",
            hint: "begin it with redis::cmd(name)",
            keys: None,
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

    pub(super) fn not_on_member(row: &'static Row) -> Self {
        Self::new(
            row,
            RefusalKind::Usage,
            "one member is asked what concerns that server, and to read: anything else would make the copies differ",
            "send it through client.connection(), or without --on",
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

    /// For keys that must share a hash tag and do not.
    ///
    /// Owners that are equal by accident would do today, and be different ones as soon as the ring grows.
    pub(crate) fn different_tags(row: &'static Row, one: &[u8], other: &[u8]) -> Self {
        Self::new(row, RefusalKind::Usage, TOGETHER, SAME_TAG).strangers(one, other)
    }

    /// For a command that names keys of different tags, where it cannot be split.
    pub(crate) fn of_strangers(cmd: &Cmd, row: &'static Row) -> Self {
        let mut found: Vec<&[u8]> = Vec::new();
        let _ = keys(row, words(cmd), |key| found.push(key.bytes));
        let one = found.first().copied().unwrap_or_default();
        let stranger = found.iter().find(|key| Token::of_key(key) != Token::of_key(one));
        Self::different_tags(row, one, stranger.copied().unwrap_or(one))
    }

    fn new(row: &'static Row, kind: RefusalKind, reason: &'static str, hint: &'static str) -> Self {
        Self { command: Cow::Borrowed(row.upper), kind, reason, hint, keys: None }
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

/// A key as an error text shows it: in quotes, with escapes, and cut off where it is long.
fn printable_key(key: &[u8]) -> String {
    const LONGEST: usize = 64;
    let shown = key.get(..LONGEST).unwrap_or(key).escape_ascii();
    if key.len() > LONGEST { format!("\"{shown}…\"") } else { format!("\"{shown}\"") }
}
