//! What a command is: its keys, its access, how it is split and how it is replicated.
//!
//! One table has a row for every command and subcommand of Redis 7.0: [`ROWS`]. It is generated from a server's own
//! `COMMAND` answer and from `reviewed.txt`, a list of what that answer cannot say, and checked in; the test
//! `command_table` makes it again and compares. Whatever the library does with a command, it reads from the row.
//!
//! [`plan`] says what to do with one call: read or write, which key, what the copies get; or it refuses and says why.
//! A command that the table does not have is refused. The tempting guess, that the first argument is the key, sends
//! whole scripts and cursors to the wrong server.

mod effect;
mod index;
mod keys;
mod member;
mod options;
mod own;
mod refusal;
mod request;
mod row;
mod script;
mod split;
mod state;
#[rustfmt::skip]
mod table;
mod wait;

#[cfg(test)]
mod tests;

pub use effect::{Carried, Expect, Unreadable, at_its_place, effect, keys_of, probes, written_keys};
pub use index::{lookup, lookup_sub, resolve};
pub use keys::{Key, NoKeys, keys};
pub use member::on_member;
pub use own::{OWN_AHEAD, OWN_CUT, OWN_FLUSHES, OWN_GATE, OWN_KEYS, OWN_ROOM, OWN_SHUT, OWN_SUSPECTS, OWN_TOPOLOGY};
pub use refusal::{Refusal, RefusalKind};
pub use request::{
    Expiry, Plan, RESERVED, Repeat, Rewrite, absolute, argument, arguments, cursor, is_if_absent, name, plan,
    with_cursor,
};
pub(crate) use request::{packed, tracked_read};
pub use row::{
    Access, Answer, Begin, Caching, Echo, Effect, Find, KeySpec, Keys, Kind, Lifetime, Meaning, Merge, NoEffect,
    Options, Replication, Role, Row, Scan, Script, Side, Split, Support, Takes, Unit, Wait, Why, Wide, Word,
};
pub use script::{read_only, script_body, script_name, with_body};
pub use split::{Part, merge, split};
pub use state::{restore, state_probes};
pub use table::ROWS;
pub use wait::{awaited, competes, from_now, longest_wait, with_words};
