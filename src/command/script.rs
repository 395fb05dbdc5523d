//! Commands that run scripts: what they run, and the same call in another form.

use redis::Cmd;

use super::index::lookup;
use super::request::words;
use super::row::{Row, Script};

/// The text of the script that a call runs, if it has it.
#[must_use]
pub fn script_body<'a>(cmd: &'a Cmd, row: &Row) -> Option<&'a [u8]> {
    (row.script == Script::Body).then(|| words(cmd).nth(1).flatten()).flatten()
}

/// The SHA-1 that a call names its script by.
#[must_use]
pub fn script_name<'a>(cmd: &'a Cmd, row: &Row) -> Option<&'a [u8]> {
    (row.script == Script::Name).then(|| words(cmd).nth(1).flatten()).flatten()
}

/// The same call with the text of its script in place of the SHA-1: EVALSHA becomes EVAL.
#[must_use]
pub fn with_body(cmd: &Cmd, row: &Row, body: &[u8]) -> Cmd {
    let mut whole = redis::cmd(&row.upper.replacen("SHA", "", 1));
    whole.arg(body);
    words(cmd).skip(2).flatten().for_each(|word| {
        whole.arg(word);
    });
    whole
}

/// The form of a call that the server lets do nothing but read, as EVAL_RO for EVAL, and its row.
#[must_use]
pub fn read_only(cmd: &Cmd, row: &'static Row) -> Option<(Cmd, &'static Row)> {
    if row.name.ends_with("_ro") {
        return Some((cmd.clone(), row));
    }
    let name = format!("{}_RO", row.upper);
    let row = lookup(name.as_bytes())?;
    let mut reading = redis::cmd(&name);
    words(cmd).skip(1).flatten().for_each(|word| {
        reading.arg(word);
    });
    Some((reading, row))
}
