//! Whether the user may run what the ring needs, asked once of each process.
//!
//! A right that is missing would show late otherwise: when copies are to be made equal, or when a connection that was cut
//! has to be ended. So everything that the ring ever sends of its own accord is named to the server inside a MULTI that is
//! discarded. A server judges rights when it queues a command, so nothing is executed.
//!
//! What an application sends is not asked here: the server answers that itself.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::{Cmd, Pipeline, RedisError, Value};
use tokio::time::timeout;

use super::Link;
use crate::command::{OWN_GATE, OWN_TOPOLOGY};
use crate::error::{Error, ErrorKind, Result};
use crate::membership::Address;
use crate::placement::RunId;

/// The process at which the user was found to have every right. It is not asked again at every reconnection.
#[derive(Debug, Default)]
pub(super) struct Access(Mutex<Option<RunId>>);

/// Something that the ring sends of its own accord.
struct Need {
    /// As the server writes it: lower case, a subcommand as `client|id`. With a `+` before it, the rule that allows it.
    name: &'static str,
    /// Completes "the ring needs it to".
    why: &'static str,
    /// Arguments that would do no harm even if they were executed.
    arguments: &'static [&'static str],
    /// In which rings.
    rings: Rings,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rings {
    All,
    /// Those with agents, whose servers have gates.
    Gated,
    /// Those whose members stand in the URL.
    Fixed,
}

/// Keys of the ring's own that do not exist. Every rule that allows the real ones allows these.
const NONE: &str = "__rr:none";

const fn need(name: &'static str, why: &'static str, arguments: &'static [&'static str]) -> Need {
    Need { name, why, arguments, rings: Rings::All }
}

const fn only(rings: Rings, need: Need) -> Need {
    Need { rings, ..need }
}

const COPY: &str = "give a copy the state of a key";
const COMPARE: &str = "compare the copies of a key";

/// What is checked inside MULTI. MULTI, EXEC and DISCARD themselves are checked by their use.
const NEEDS: &[Need] = &[
    need("client|id", "know its own connections", &[]),
    only(Rings::Gated, need("client|setname", "show those who move the ring at which step it stands", &["rr:0:none"])),
    need("client|kill", "end a connection that it has replaced", &["ID", "0"]),
    need("info", "know the process that answers", &["server"]),
    need("time", "make an expiry the same on all copies", &[]),
    need("ping", "tell a slow server from a dead one", &[]),
    only(Rings::Gated, need("hgetall", "read the server's gate", &[OWN_GATE])),
    only(Rings::Gated, need("get", "learn of a move while ZooKeeper is away", &[OWN_TOPOLOGY])),
    need("eval", COMPARE, &["return 0", "1", NONE]),
    need("memory|usage", COMPARE, &[NONE]),
    need("type", COMPARE, &[NONE]),
    need("scard", COMPARE, &[NONE]),
    need("smembers", COMPARE, &[NONE]),
    need("hlen", COMPARE, &[NONE]),
    only(Rings::Fixed, need("hgetall", COMPARE, &[NONE])),
    need("zcard", COMPARE, &[NONE]),
    need("zrange", COMPARE, &[NONE, "0", "-1"]),
    need("llen", COMPARE, &[NONE]),
    need("lrange", COMPARE, &[NONE, "0", "-1"]),
    need("dump", COPY, &[NONE]),
    need("pexpiretime", COPY, &[NONE]),
    need("restore", COPY, &[NONE, "0", ""]),
    need("del", COPY, &[NONE]),
    need("hexists", "leave alone what a member knows better", &[NONE, "f"]),
    only(Rings::Fixed, need("hset", "tell other clients who missed a write", &[NONE, "f", "v"])),
    only(Rings::Fixed, need("hdel", "tell other clients who has all writes again", &[NONE, "f"])),
];

const TRANSACTIONS: &str = "write a key together with what the copies get of it";
const CHECK: &str = "check rights without using them";

/// Why the server would not take a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    Right,
    Key,
    Command,
}

impl Access {
    /// Asks the process at the other end, if it is not known to allow everything. A server that answers in no way that
    /// can be understood, or not within the time, is not judged here: whoever uses the connection will see.
    ///
    /// # Errors
    /// [`ErrorKind::Denied`], naming what the user may not run, and the rules to add.
    ///
    /// # Cancel safety
    /// Whenever it is dropped, the connection has no transaction open once all that was sent has been answered.
    pub(super) async fn check(&self, link: &Link, address: &Address, gated: bool, within: Duration) -> Result<()> {
        if self.known().as_ref() == Some(link.run_id()) {
            return Ok(());
        }
        let Ok(Some(lacks)) = timeout(within, lacks(link, gated, within)).await else { return Ok(()) };
        if !lacks.0.is_empty() {
            return Err(lacks.error(address));
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(link.run_id().clone());
        Ok(())
    }

    fn known(&self) -> Option<RunId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// `None` where the answers do not tell.
async fn lacks(link: &Link, gated: bool, within: Duration) -> Option<Lacks> {
    let ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
    let mut lacks = Lacks::default();
    // These by themselves: if MULTI were not allowed, what follows it would be executed, and if DISCARD were not, the
    // transaction would stay open. A DISCARD without one only tells whether it may be, and an EXEC that is refused ends
    // its transaction.
    let mut frame = redis::pipe();
    frame.cmd("DISCARD").cmd("MULTI").cmd("EXEC");
    let replies = link.batch(&frame, ms).await.ok()?;
    for ((name, why), reply) in
        [("discard", CHECK), ("multi", TRANSACTIONS), ("exec", TRANSACTIONS)].iter().zip(&replies)
    {
        lacks.note(name, why, reply);
    }
    if !lacks.0.is_empty() {
        return Some(lacks);
    }
    let [_, Value::Okay, Value::Array(_)] = replies.as_slice() else { return None };
    let rings = if gated { Rings::Gated } else { Rings::Fixed };
    let needs: Vec<&Need> = NEEDS.iter().filter(|need| [Rings::All, rings].contains(&need.rings)).collect();
    let replies = link.batch(&questions(&needs), ms).await.ok()?;
    for (need, reply) in needs.iter().zip(replies.iter().skip(1)) {
        lacks.note(need.name, need.why, reply);
    }
    Some(lacks)
}

/// The error for a command of the handshake that the user may not run; `None` where the server said something else.
pub(super) fn denied(address: &Address, error: &RedisError) -> Option<Error> {
    if error.code() != Some("NOPERM") {
        return None;
    }
    // "… to run the 'client|id' command": the server's own word for it, from a list that is ours.
    let text = error.detail().unwrap_or_default();
    let named = text.split('\'').nth(1).unwrap_or_default();
    let known = NEEDS.iter().find(|need| need.name == named).map(|need| (need.name, need.why));
    let select = (named == "select").then_some(("select", "use its own database"));
    let lack = if text.contains("keys") { Lack::Key } else { Lack::Right };
    let (name, why) = match (lack, known.or(select)) {
        (Lack::Key, _) => ("hgetall", "read the server's gate"),
        (Lack::Right | Lack::Command, found) => found?,
    };
    Some(Lacks(vec![(name, why, lack)]).error(address))
}

fn questions(needs: &[&Need]) -> Pipeline {
    let mut questions = redis::pipe();
    questions.cmd("MULTI");
    for need in needs {
        let mut cmd = Cmd::new();
        need.name.split('|').for_each(|word| {
            cmd.arg(word);
        });
        cmd.arg(need.arguments);
        questions.add_command(cmd);
    }
    questions.cmd("DISCARD");
    questions
}

/// What the server would not take, and why the ring needs it.
#[derive(Default)]
struct Lacks(Vec<(&'static str, &'static str, Lack)>);

impl Lacks {
    fn note(&mut self, name: &'static str, why: &'static str, reply: &Value) {
        self.0.extend(lack(reply).map(|lack| (name, why, lack)));
    }

    fn error(&self, address: &Address) -> Error {
        let spoken = |name: &str| name.replace('|', " ").to_ascii_uppercase();
        let Some((name, why, lack)) = self.0.first() else {
            return Error::new(ErrorKind::Denied, format!("{address} denied access"));
        };
        let others: Vec<String> = self.0.iter().skip(1).map(|(name, ..)| spoken(name)).collect();
        let others = if others.is_empty() { String::new() } else { format!("; nor {}", others.join(", ")) };
        let name = spoken(name);
        let message = match lack {
            Lack::Right => format!("the user at {address} may not run {name}, which the ring needs to {why}{others}"),
            Lack::Key => format!("the user at {address} may not use the keys __rr:*, which the ring needs to {why}"),
            Lack::Command => format!("{address} does not know {name}, which the ring needs to {why}{others}"),
        };
        Error::new(ErrorKind::Denied, message).with_hint(self.hint())
    }

    fn hint(&self) -> String {
        let of = |kind: Lack| self.0.iter().filter(move |(.., lack)| *lack == kind);
        let mut rules: Vec<String> = of(Lack::Key).take(1).map(|_| "~__rr:*".to_owned()).collect();
        rules.extend(of(Lack::Right).map(|(name, ..)| format!("+{name}")));
        let rules = rules.join(" ");
        match (rules.is_empty(), of(Lack::Command).next().is_none()) {
            (false, true) => format!("add the rules, `ACL SETUSER <user> {rules}`: docs/access.md lists all of them"),
            (true, _) => "it needs Redis 7.0 or newer, with no command that is renamed or disabled".to_owned(),
            (false, false) => format!(
                "add the rules, `ACL SETUSER <user> {rules}`, on Redis 7.0 or newer with no command that is renamed"
            ),
        }
    }
}

/// A refusal for another reason, such as OOM, proves that the right is there: rights are judged before.
fn lack(reply: &Value) -> Option<Lack> {
    let Value::ServerError(error) = reply else { return None };
    let text = error.details().unwrap_or_default();
    match error.code() {
        // As a refused EXEC says it.
        "EXECABORT" if text.contains("no permissions") => Some(Lack::Right),
        "NOPERM" if text.contains("keys") => Some(Lack::Key),
        "NOPERM" => Some(Lack::Right),
        _ if text.contains("unknown command") || text.contains("nknown subcommand") => Some(Lack::Command),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_a_row_for_each_need_and_for_nothing_else() {
        let page = include_str!("../../docs/access.md");
        let section =
            page.split("\n## ").find(|section| section.starts_with("What the ring sends")).expect("a section");
        let items = section.lines().filter_map(|line| line.strip_prefix("- ")?.split_once(": "));
        let rules =
            items.flat_map(|(rules, _)| rules.split(" ")).filter_map(|rule| rule.strip_prefix("`+")?.strip_suffix("`"));
        let listed: std::collections::BTreeSet<&str> = rules.collect();
        let mut needed: std::collections::BTreeSet<&str> = NEEDS.iter().map(|need| need.name).collect();
        needed.extend(["multi", "exec", "discard"]);
        assert_eq!(listed, needed);
    }
}
