//! The text of `docs/commands.md`: the table for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use redis::Value;
use redis_ring::command::{
    Answer, Effect, Kind, Lifetime, Meaning, Merge, ROWS, Replication, Row, Scan, Side, Split, Support, Wait, Why,
};

const HEAD: &str = "\
# Commands

Every command and subcommand of Redis 7.0, and what a ring does with it. Written by `make table` from the table that the library itself
works by (`src/command/table.rs`); a test keeps them equal. A command that is not listed is one of a module or of a newer server: the
servers are asked for its keys.

**Runs on**

- *its key*: the owners of its one key. A read asks one of them, a write goes to all.
- *keys of one tag*: all its keys must share a hash tag (`{user1}.name`, `{user1}.age`), so that they live together for good. Otherwise it is
  refused, and the error names two keys that do not. Owners that are equal by accident do not count: they would differ as soon as the ring grows.
- *each key*: keys of all owners together; it is split, and the replies are put together again. A part that fails makes the whole call fail.
- *keys it declares*: a script's or function's keys must share a hash tag; without any it runs on any member and may only read.
- *all members*, *any member*; *one member*: only where you name that member, by `client.on(id)` or `redis-ring exec --on ID`.
- *owners of the channel*, *all members' channels*: see `client.pubsub()`.
- *nowhere*: it is refused, for the reason given and with the way around it.

**Copies get** (nothing of what only reads)

- *the same at once*: it leaves the same wherever it runs, so all owners get it together. A relative expiry becomes an absolute one first, in
  the primary's time.
- *the same afterwards*: what it leaves depends on what is there. The copies get it in the order of the primary's replies, and the replies are
  compared.
- *its effect*: it is random or depends on the time; the copies get commands that say what it did.
- *the state of the keys*: nobody can tell what it did; each key that it may write is copied as it is afterwards, with its expiry.
- *every member gets it*: it changes what all servers must have.
";

/// The page, with the commands in the groups in which the server's own documentation has them.
pub fn page(groups: &BTreeMap<String, String>) -> String {
    let mut sections: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    // A name that does nothing without a subcommand is left to its subcommands.
    let complete = |row: &&Row| row.kind != Kind::Container || row.accepts(1);
    for row in ROWS.iter().filter(complete) {
        let container = row.name.split('|').next().unwrap_or(row.name);
        let group = groups.get(container).unwrap_or_else(|| panic!("{container} has no group"));
        sections.entry(title(group)).or_default().push(row);
    }
    let mut page = HEAD.to_owned();
    for (title, rows) in sections {
        write!(page, "\n## {title}\n\n| command | runs on | copies get | notes |\n|---|---|---|---|\n").unwrap();
        for (names, rest) in lines(&rows) {
            writeln!(page, "| {} | {rest} |", names.join(", ")).unwrap();
        }
    }
    page
}

/// The commands of each line and what it says of them. Those that are refused for one reason share a line.
fn lines(rows: &[&Row]) -> Vec<(Vec<String>, String)> {
    let mut lines: Vec<(Vec<String>, String)> = Vec::new();
    for row in rows {
        let name = format!("`{}`", row.upper);
        let says = format!("{} | {} | {}", runs_on(row), copies(row), notes(row).join(". "));
        match lines.iter_mut().find(|(_, other)| row.support != Support::Runs && *other == says) {
            Some((names, _)) => names.push(name),
            None => lines.push((vec![name], says)),
        }
    }
    lines
}

/// What the server's `COMMAND DOCS` says of each command: its group.
pub fn groups(connection: &mut redis::Connection) -> BTreeMap<String, String> {
    let docs: Value = redis::cmd("COMMAND").arg("DOCS").query(connection).unwrap();
    let docs: Vec<(String, BTreeMap<String, Value>)> = redis::from_redis_value(docs).unwrap();
    docs.into_iter()
        .map(|(name, mut fields)| (name, redis::from_redis_value(fields.remove("group").unwrap()).unwrap()))
        .collect()
}

fn title(group: &str) -> &'static str {
    match group {
        "bitmap" => "Bitmaps",
        "cluster" => "Redis Cluster",
        "connection" => "Connections",
        "generic" => "Keys of any type",
        "geo" => "Places (geo)",
        "hash" => "Hashes",
        "hyperloglog" => "HyperLogLog",
        "list" => "Lists",
        "pubsub" => "Pub/sub",
        "scripting" => "Scripts and functions",
        "sentinel" => "Sentinel",
        "server" => "Servers",
        "set" => "Sets",
        "sorted-set" => "Sorted sets",
        "stream" => "Streams",
        "string" => "Strings",
        "transactions" => "Transactions",
        other => panic!("a group without a title: {other}"),
    }
}

fn runs_on(row: &Row) -> &'static str {
    match row.support {
        Support::Runs => {}
        // Some that concern one member would work against the ring even there, and their way around is another.
        Support::Never(why) if why.hint.contains("client.on") => return "one member",
        Support::Never(_) => return "nowhere",
    }
    match row.split {
        Split::OneKey => "its key",
        Split::SameToken => "keys of one tag",
        Split::PerKey(_) => "each key",
        Split::WholeRing => "all members",
        Split::AnyMember => "any member",
        Split::OneMember => "one member",
        Split::Connection => "nowhere",
        Split::PubSub => "owners of the channel",
        Split::Channels => "all members' channels",
        Split::Script => "keys it declares",
    }
}

fn copies(row: &Row) -> &'static str {
    if row.support != Support::Runs {
        return "";
    }
    match row.replication {
        Replication::None => "",
        Replication::Absolute => "the same at once",
        Replication::Deterministic => "the same afterwards",
        Replication::Effect => effect(row.effect),
        Replication::Refresh => "the state of the keys",
        Replication::EveryMember => "every member gets it",
    }
}

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::None => "",
        Effect::MembersTaken => "its effect: `SREM` of the members it took",
        Effect::NewValue => "its effect: `SET … KEEPTTL` to the result",
        Effect::NewField => "its effect: `HSET` to the result",
        Effect::EntryAdded => "its effect: `XADD` with the id that it got",
        Effect::Trimmed => "its effect: `XTRIM` to where the stream begins afterwards",
        Effect::Claimed | Effect::AutoClaimed => "its effect: `XCLAIM` of what it claimed, as of the primary's time",
        Effect::Delivered => "its effect: `XCLAIM` of what was delivered, and `XGROUP SETID`; never the stream itself",
        Effect::ListTaken(Side::Left | Side::Right | Side::Given) => "its effect: `LREM` of what it took",
        Effect::ListMoved(Side::Left | Side::Right | Side::Given) => {
            "its effect: `LREM` of what it took, and a push of it"
        }
        Effect::SortedTaken => "its effect: `ZREM` of what it took",
    }
}

fn notes(row: &Row) -> Vec<String> {
    let mut notes = Vec::new();
    match row.support {
        Support::Runs => {}
        Support::Never(why) => return vec![because(why)],
    }
    match row.split {
        Split::PerKey(Merge::Sum) => notes.push("The reply is the sum".to_owned()),
        Split::PerKey(Merge::InOrder) => notes.push("Replies in the order of the keys".to_owned()),
        Split::PerKey(Merge::AllOk) => notes.push("Not atomic across owners".to_owned()),
        _ => {}
    }
    if row.wait != Wait::Never {
        notes.push("Waits, and holds nobody up".to_owned());
    }
    if row.lifetime != Lifetime::None {
        notes.push("The expiry becomes an absolute one".to_owned());
    }
    if row.answer == Answer::Part {
        notes.push("The cursor belongs to the server that gave it".to_owned());
    }
    let mut meanings: Vec<(String, Vec<String>)> = Vec::new();
    for word in row.options.iter().flat_map(|options| options.words) {
        let word_text = format!("`{}`", word.word);
        if let Some(says) = meaning(row, word.meaning) {
            match meanings.iter_mut().find(|(other, _)| *other == says) {
                Some((_, words)) => words.push(word_text),
                None => meanings.push((says, vec![word_text])),
            }
        }
    }
    if row.options.is_some_and(|options| options.scan == Scan::LeadingId) {
        notes.push(format!("With an id that the server completes the copies get {}", effect(row.effect)));
    }
    notes.extend(meanings.into_iter().map(|(says, words)| format!("{}: {says}", words.join(", "))));
    notes
}

fn meaning(row: &Row, meaning: Meaning) -> Option<String> {
    let says = match meaning {
        Meaning::Plain | Meaning::AbsoluteExpiry => return None,
        // What is there decides anyway.
        Meaning::Depends | Meaning::ReturnsOld if row.replication != Replication::Absolute => return None,
        Meaning::Depends | Meaning::ReturnsOld => "the copies get the same afterwards",
        Meaning::Expires(_) => "becomes an absolute expiry",
        // The form that only reads knows the word and refuses it.
        Meaning::Stores if !row.is_write() => return None,
        Meaning::Stores if row.replication == Replication::Refresh => "the copies get the state of that key",
        Meaning::Stores => "writes that key",
        Meaning::Threshold => return Some(format!("with `~` the copies get {}", effect(row.effect))),
        Meaning::Waits => "waits, and holds nobody up",
        Meaning::Pattern(why) => return Some(format!("a pattern is refused: {}", clauses(why))),
        Meaning::Refused(why) => return Some(format!("refused: {}", clauses(why))),
    };
    Some(says.to_owned())
}

fn because(why: &Why) -> String {
    let said = clauses(why);
    let mut letters = said.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn clauses(why: &Why) -> String {
    format!("{}; {}", why.reason, why.hint)
}
