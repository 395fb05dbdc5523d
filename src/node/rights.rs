//! Whether a user may run what is needed, asked of a server without running it.
//!
//! A right that is missing would show late otherwise: when copies are to be made equal, or when a connection that was cut
//! has to be ended. So everything that is ever sent to a server unasked is named to it inside a MULTI that is discarded. A
//! server judges rights when it queues a command, so nothing is executed.

use redis::{Cmd, Pipeline, Value};

use crate::error::{Error, ErrorKind};
use crate::membership::Address;

/// Something that is sent to servers unasked.
pub(crate) struct Need {
    /// As the server writes it: lower case, a subcommand as `client|id`. With a `+` before it, the rule that allows it.
    pub(crate) name: &'static str,
    /// Completes "the ring needs it to".
    pub(crate) why: &'static str,
    /// Arguments that would do no harm even if they were executed.
    pub(crate) arguments: &'static [&'static str],
}

/// What must be allowed beside the needs themselves.
pub(crate) const FRAME: [Need; 3] = [
    need("discard", "check rights without using them", &[]),
    need("multi", "do at once what belongs together", &[]),
    need("exec", "do at once what belongs together", &[]),
];

pub(crate) const fn need(name: &'static str, why: &'static str, arguments: &'static [&'static str]) -> Need {
    Need { name, why, arguments }
}

/// The first message. By itself: if MULTI were not allowed, what follows it would be executed, and if DISCARD were not, the
/// transaction would stay open. A DISCARD without one only tells whether it may be, and an EXEC that is refused ends its
/// transaction. So whoever gives up waiting leaves no transaction open.
pub(crate) fn frame() -> Pipeline {
    let mut frame = redis::pipe();
    FRAME.iter().for_each(|need| {
        frame.add_command(need.cmd());
    });
    frame
}

/// What the answers to [`frame`] say. `None` where they do not tell; nothing more may be asked then, nor where something
/// is lacking.
pub(crate) fn of_frame(replies: &[Value]) -> Option<Lacks> {
    let mut lacks = Lacks::default();
    for (need, reply) in FRAME.iter().zip(replies) {
        lacks.note(need, reply);
    }
    let fine = matches!(replies, [_, Value::Okay, Value::Array(_)]);
    (fine || !lacks.is_empty()).then_some(lacks)
}

/// The second message.
pub(crate) fn questions<'n>(needs: impl Iterator<Item = &'n Need>) -> Pipeline {
    let mut questions = redis::pipe();
    questions.cmd("MULTI");
    needs.for_each(|need| {
        questions.add_command(need.cmd());
    });
    questions.cmd("DISCARD");
    questions
}

/// What the answers to [`questions`] say.
pub(crate) fn of_questions<'n>(needs: impl Iterator<Item = &'n Need>, replies: &[Value]) -> Lacks {
    let mut lacks = Lacks::default();
    for (need, reply) in needs.zip(replies.iter().skip(1)) {
        lacks.note(need, reply);
    }
    lacks
}

impl Need {
    fn cmd(&self) -> Cmd {
        let mut cmd = Cmd::new();
        self.name.split('|').for_each(|word| {
            cmd.arg(word);
        });
        cmd.arg(self.arguments);
        cmd
    }
}

/// Why the server would not take a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    Right,
    Key,
    Command,
}

/// What the server would not take, and what it is needed for.
#[derive(Default)]
pub(crate) struct Lacks(Vec<(&'static str, &'static str, Lack)>);

impl Lacks {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn note(&mut self, need: &Need, reply: &Value) {
        if let Value::ServerError(error) = reply {
            self.note_error(need, error.code(), error.details().unwrap_or_default());
        }
    }

    /// A refusal for another reason, such as OOM, proves that the right is there: rights are judged before.
    pub(super) fn note_error(&mut self, need: &Need, code: &str, text: &str) {
        let lack = match code {
            // As a refused EXEC says it.
            "EXECABORT" if text.contains("no permissions") => Lack::Right,
            "NOPERM" if text.contains("keys") => Lack::Key,
            "NOPERM" => Lack::Right,
            _ if text.contains("unknown command") || text.contains("unknown subcommand") => Lack::Command,
            _ => return,
        };
        self.0.push((need.name, need.why, lack));
    }

    /// Names the first of them, and what allows all. `who` is whose rights they are, and `keys` the rule for the keys.
    pub(crate) fn error(&self, who: &str, address: &Address, keys: &str) -> Error {
        let spoken = |name: &str| name.replace('|', " ").to_ascii_uppercase();
        let Some((name, why, lack)) = self.0.first() else {
            return Error::new(ErrorKind::Denied, format!("{address} denied access"));
        };
        let others: Vec<String> = self.0.iter().skip(1).map(|(name, ..)| spoken(name)).collect();
        let others = if others.is_empty() { String::new() } else { format!("; nor {}", others.join(", ")) };
        let name = spoken(name);
        let message = match lack {
            Lack::Right => format!("{who} at {address} may not run {name}, which the ring needs to {why}{others}"),
            Lack::Key => format!("{who} at {address} may not use the keys {keys}, which the ring needs to {why}"),
            Lack::Command => format!("{address} does not know {name}, which the ring needs to {why}{others}"),
        };
        Error::new(ErrorKind::Denied, message).with_hint(self.hint(keys))
    }

    fn hint(&self, keys: &str) -> String {
        let of = |kind: Lack| self.0.iter().filter(move |(.., lack)| *lack == kind);
        let mut rules: Vec<String> = of(Lack::Key).take(1).map(|_| keys.to_owned()).collect();
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

/// The commands of these needs, those of the frame included.
#[cfg(test)]
pub(crate) fn named<'n>(needs: impl Iterator<Item = &'n Need>) -> std::collections::BTreeSet<&'n str> {
    FRAME.iter().chain(needs).map(|need| need.name).collect()
}

/// The commands that a section of docs/access.md lists.
#[cfg(test)]
pub(crate) fn listed<'p>(page: &'p str, section: &str) -> std::collections::BTreeSet<&'p str> {
    let section = page.split("\n## ").find(|text| text.starts_with(section)).unwrap_or_default();
    let items = section.lines().filter_map(|line| line.strip_prefix("- ")?.split_once(": "));
    let rules = items.flat_map(|(rules, _)| rules.split(' '));
    rules.filter_map(|rule| rule.strip_prefix("`+")?.strip_suffix('`')).collect()
}
