//! The one plain server that does what the ring did, and what its answer says of the ring's.

use std::collections::BTreeSet;

use redis::{Cmd, Value, cmd};

use super::replies::{canonical, count, elements, is_about, is_error};
use super::ring::{Ring, all_of, command};
use super::state::Server;
use super::template::{Compare, Form};
use super::words::Word;

/// A call that is ready to be sent.
pub struct Call<'f> {
    pub form: &'f Form,
    pub args: Vec<Vec<u8>>,
    pub keys: Vec<Vec<u8>>,
    /// Its keys were given different tags although it may need one.
    pub crossed: bool,
}

impl Call<'_> {
    pub fn command(&self) -> Cmd {
        command(&self.args)
    }

    /// Where the cursor of an iteration stands.
    pub fn cursor_at(&self) -> usize {
        1 + self.keys.len()
    }

    pub fn text(&self) -> String {
        let words: Vec<String> = self.args.iter().map(|arg| arg.escape_ascii().to_string()).collect();
        words.join(" ")
    }
}

/// The plain server.
pub struct Oracle {
    pub server: Server,
}

impl Oracle {
    /// What a drawn argument is at this moment.
    pub async fn resolve(&mut self, word: Word) -> Vec<u8> {
        match word {
            Word::Bytes(bytes) => bytes,
            Word::Entry { stream, pick } => {
                let entries = self.server.ask(cmd("XRANGE").arg(&stream).arg("-").arg("+").arg("COUNT").arg(20)).await;
                match entries {
                    Value::Array(entries) if !entries.is_empty() => match &entries[pick % entries.len()] {
                        Value::Array(entry) => elements(&entry[0]).remove(0),
                        other => panic!("no entry but {other:?}"),
                    },
                    _ => b"1-1".to_vec(),
                }
            }
            Word::Dump { key } => match self.server.ask(cmd("DUMP").arg(&key)).await {
                Value::BulkString(dump) => dump,
                _ => b"nothing".to_vec(),
            },
        }
    }

    /// Does what the ring did, and compares the replies.
    ///
    /// # Errors
    /// What is wrong with the ring's reply.
    pub async fn follow(&mut self, call: &Call<'_>, ours: &Value, ring: &mut Ring<'_>) -> Result<(), String> {
        match call.form.compare {
            Compare::Popped if !is_error(ours) => self.pop(call, ours).await,
            Compare::Stamped if matches!(ours, Value::BulkString(_)) => {
                let id = elements(ours).remove(0);
                let stamped = call.args.iter().map(|arg| if arg == b"*" { &id } else { arg });
                let stamped: Vec<Vec<u8>> = stamped.cloned().collect();
                let theirs = self.server.ask(&command(&stamped)).await;
                same(Compare::Exact, ours, &theirs)
            }
            Compare::Drawn => {
                let theirs = self.server.ask(&call.command()).await;
                self.drawn(call, ours, &theirs).await
            }
            Compare::Adopted => {
                for key in &call.keys {
                    ring.give(key, &mut self.server).await;
                }
                Ok(())
            }
            Compare::Cursor => {
                let server = &mut self.server;
                let ask = async |command: &Cmd| server.try_ask(command).await;
                let theirs = all_of(&call.args, call.cursor_at(), ask).await.expect("an answer");
                same(Compare::Exact, ours, &theirs)
            }
            compare => {
                let theirs = self.server.ask(&call.command()).await;
                if compare == Compare::About && is_about(ours, &theirs) {
                    return Ok(());
                }
                same(compare, ours, &theirs)
            }
        }
    }

    /// Gives keys the expiry that they have on the ring, where it began at another moment.
    ///
    /// # Errors
    /// When only one of the two has an expiry, or they differ by more than the moment.
    pub async fn align(&mut self, keys: &BTreeSet<Vec<u8>>, ring: &mut Ring<'_>) -> Result<(), String> {
        const MOMENT_MS: u64 = 60_000;
        for key in keys {
            let (ours, theirs) = (ring.expiry(key).await, self.server.number("PEXPIRETIME", key).await);
            if ours == theirs {
                continue;
            }
            if ours < 0 || theirs < 0 || ours.abs_diff(theirs) > MOMENT_MS {
                return Err(format!("{} ends at {ours} on the ring and at {theirs} there", key.escape_ascii()));
            }
            self.server.ask(cmd("PEXPIREAT").arg(key).arg(ours)).await;
        }
        Ok(())
    }

    async fn pop(&mut self, call: &Call<'_>, ours: &Value) -> Result<(), String> {
        let key = &call.keys[0];
        let held = match self.server.ask(cmd("SCARD").arg(key)).await {
            Value::Int(held) if held > 0 => usize::try_from(held).expect("a number of elements"),
            // Nothing can be popped, so the answer is no matter of chance.
            _ => return same(Compare::Exact, ours, &self.server.ask(&call.command()).await),
        };
        let wanted = call.args.get(2).map(|count| String::from_utf8_lossy(count).parse::<usize>().expect("a count"));
        let popped = elements(ours);
        let right_kind = wanted.is_none() == matches!(ours, Value::BulkString(_));
        if !right_kind || popped.len() != wanted.unwrap_or(1).min(held) {
            return Err(format!("it popped {ours:?} of {held} elements"));
        }
        let removed = self.server.ask(cmd("SREM").arg(key).arg(&popped)).await;
        if removed == Value::Int(i64::try_from(popped.len()).expect("few")) {
            Ok(())
        } else {
            Err(format!("it popped {ours:?}, of which the plain server has {removed:?}"))
        }
    }

    /// Whether random elements are as many as the plain server gives, and such as it holds.
    async fn drawn(&mut self, call: &Call<'_>, ours: &Value, theirs: &Value) -> Result<(), String> {
        let Some(key) = call.keys.first() else {
            let found = self.server.ask(cmd("EXISTS").arg(elements(ours))).await;
            return if found == Value::Int(1) { Ok(()) } else { same(Compare::Exact, ours, theirs) };
        };
        if is_error(theirs) || count(theirs) == 0 {
            return same(Compare::Exact, ours, theirs);
        }
        let mut all = Vec::new();
        for show in
            [cmd("SMEMBERS").arg(key), cmd("HGETALL").arg(key), cmd("ZRANGE").arg(key).arg(&[0, -1]).arg("WITHSCORES")]
        {
            let shown = self.server.ask(show).await;
            if !is_error(&shown) {
                all.extend(elements(&shown));
            }
        }
        if std::mem::discriminant(ours) != std::mem::discriminant(theirs) || count(ours) != count(theirs) {
            return same(Compare::Exact, ours, theirs);
        }
        match elements(ours).iter().find(|element| !all.contains(element)) {
            None => Ok(()),
            Some(element) => Err(format!("it drew {}, which is not there", element.escape_ascii())),
        }
    }
}

fn same(compare: Compare, ours: &Value, theirs: &Value) -> Result<(), String> {
    let (ours, theirs) = (canonical(compare, ours), canonical(compare, theirs));
    if ours == theirs {
        return Ok(());
    }
    Err(format!("the replies differ\n  the ring: {ours}\n  the plain server: {theirs}"))
}
