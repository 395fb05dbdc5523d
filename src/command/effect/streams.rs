//! What was added to a stream and trimmed from it.
//!
//! How much an approximate trimming takes away depends on how a server keeps its entries. The copies get where the stream
//! begins now, not how long it is: the length would take too much away where another process's entry came first, and so
//! would one that is exact.

use redis::{Cmd, Value, cmd};

use super::super::options::given;
use super::super::own::SCRATCH;
use super::super::request::words;
use super::super::row::Row;
use super::reading::{elements, text};
use super::{Carried, Expect, Unreadable, carried, word};

/// What tells where the stream begins, if the call trims it in a way that the copies do not repeat.
pub(super) fn probes(row: &Row, call: &Cmd) -> Vec<Cmd> {
    if !given(row, words(call)).any(|option| option.approximate || option.word == "MAXLEN") {
        return Vec::new();
    }
    let mut first = cmd("XRANGE");
    first.arg(word(call, 1)).arg("-").arg("+").arg("COUNT").arg(1);
    vec![first]
}

/// For the id of the entry, or nil.
pub(super) fn added(row: &Row, call: &Cmd, reply: &Value, answers: &[Value]) -> Result<Vec<Carried>, Unreadable> {
    if *reply == Value::Nil {
        return Ok(Vec::new());
    }
    let mut add = cmd("XADD");
    add.arg(word(call, 1));
    let mut id_at = 2;
    for option in given(row, words(call)) {
        id_at = option.next;
        let own = option.next - option.at;
        match option.word {
            // The stream is there on the primary by now.
            "NOMKSTREAM" => {}
            // Only an approximate trimming may have one.
            "LIMIT" => {}
            word if option.approximate || word == "MAXLEN" => beginning(&mut add, answers)?,
            _ => words(call).skip(option.at).take(own).for_each(|word| {
                add.arg(word);
            }),
        }
    }
    add.arg(text(reply)?);
    words(call).skip(id_at + 1).for_each(|word| {
        add.arg(word);
    });
    Ok(vec![carried(&mut add, Expect::Reply(reply.clone()))])
}

/// An entry among later ones. Its id must be complete, and a trimming exact. To trim to a length would take entries away
/// that came later, so then it is only added, and the answer is nil.
pub(super) fn at_its_place(row: &Row, call: &Cmd) -> Option<Cmd> {
    /// How many later entries there may be.
    const LATER: usize = 1000;
    let mut trim: Vec<&[u8]> = Vec::new();
    let mut doubtful = false;
    let mut id_at = 2;
    for option in given(row, words(call)) {
        id_at = option.next;
        match option.word {
            "NOMKSTREAM" => {}
            _ if option.approximate => return None,
            "MAXLEN" => doubtful = true,
            _ => trim.extend(words(call).skip(option.at).take(option.next - option.at).flatten()),
        }
    }
    let mut id = word(call, id_at).to_vec();
    if id.contains(&b'*') {
        return None;
    }
    if !id.contains(&b'-') {
        id.extend(b"-0");
    }
    let mut eval = cmd("EVAL");
    eval.arg(include_str!("late.lua"))
        .arg(2)
        .arg(word(call, 1))
        .arg(SCRATCH)
        .arg(id)
        .arg(LATER)
        .arg(u8::from(doubtful));
    eval.arg(trim.len()).arg(trim);
    words(call).skip(id_at + 1).for_each(|word| {
        eval.arg(word);
    });
    Some(eval)
}

/// For the number of entries that went.
pub(super) fn trimmed(call: &Cmd, reply: &Value, answers: &[Value]) -> Result<Vec<Carried>, Unreadable> {
    match reply {
        Value::Int(0) => return Ok(Vec::new()),
        Value::Int(_) => {}
        _ => return Err(Unreadable),
    }
    let mut trim = cmd("XTRIM");
    trim.arg(word(call, 1));
    beginning(&mut trim, answers)?;
    Ok(vec![carried(&mut trim, Expect::Reply(reply.clone()))])
}

/// Adds what trims a stream to where it begins now.
fn beginning(cmd: &mut Cmd, answers: &[Value]) -> Result<(), Unreadable> {
    let [first] = answers else { return Err(Unreadable) };
    match elements(first)? {
        [] => cmd.arg("MAXLEN").arg("=").arg(0),
        [entry] => cmd.arg("MINID").arg("=").arg(text(elements(entry)?.first().ok_or(Unreadable)?)?),
        _ => return Err(Unreadable),
    };
    Ok(())
}
