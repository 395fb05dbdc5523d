//! The text of `table.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::answer::{Entry, Spec};
use super::reviewed::{Line, Options, Reviewed, constant};

const HEAD: &str = "\
//! One row for every command and subcommand of Redis 7.0.
//!
//! Generated from a server's `COMMAND` answer and `reviewed.txt`: change the list and run `make table`. A test compares.

use super::row::{
    Access, Answer, Begin, Caching, Echo, Effect, Find, KeySpec, Keys, Kind, Lifetime, Meaning, Merge, NoEffect, Options, Replication,
    Role, Row, Scan, Script, Side, Split, Support, Takes, Unit, Wait, Why, Wide, Word,
};
";

/// The table, or what does not fit.
pub fn table(commands: &[Entry], reviewed: &Reviewed) -> Result<String, String> {
    let names: BTreeSet<&str> = commands.iter().map(|entry| entry.name.as_str()).collect();
    if let Some(name) = reviewed.lines.keys().find(|name| !names.contains(name.as_str())) {
        return Err(format!("the reviewed line `{name}` names no command"));
    }
    let mut specs = Shared::default();
    let mut rows = String::new();
    for entry in commands {
        let line = reviewed.lines.get(&entry.name);
        let line = line.ok_or_else(|| format!("the command `{}` has no reviewed line", entry.name))?;
        let options = line.options.as_ref().map(|name| &reviewed.options[name]);
        row(&mut rows, entry, line, options, &mut specs);
    }
    let mut text = HEAD.to_owned();
    write!(text, "\n/// The rows, sorted by name.\npub static ROWS: [Row; {}] = [\n{rows}];\n", commands.len())
        .unwrap();
    let mut constants = String::new();
    for (name, options) in &reviewed.options {
        write!(constants, "\nconst {}_OPTIONS: Options = {};\n", constant(name), options.expression).unwrap();
    }
    for (name, (reason, hint)) in &reviewed.whys {
        let name_used = constant(name);
        write!(
            constants,
            "\npub(super) const {name_used}: Why = Why {{\n    reason: {reason:?},\n    hint: {hint:?},\n}};\n"
        )
        .unwrap();
    }
    text.push_str(&specs.text());
    text.push_str(&constants);
    for name in reviewed.whys.keys() {
        if !text.contains(&format!("(&{})", constant(name))) {
            return Err(format!("the why `{name}` is used nowhere"));
        }
    }
    for name in reviewed.options.keys() {
        if !text.contains(&format!("&{}_OPTIONS)", constant(name))) {
            return Err(format!("the options `{name}` are used nowhere"));
        }
    }
    Ok(text)
}

fn row(rows: &mut String, entry: &Entry, line: &Line, options: Option<&Options>, specs: &mut Shared) {
    let name = &entry.name;
    let upper = name.to_ascii_uppercase().replace('|', " ");
    let kind = match (entry.has_subcommands, name.contains('|')) {
        (true, _) => "Kind::Container",
        (false, true) => "Kind::Subcommand",
        (false, false) => "Kind::Plain",
    };
    let access = line.access.as_deref().unwrap_or(if entry.is("write") {
        "Access::Write"
    } else if entry.is("readonly") {
        "Access::Read"
    } else {
        "Access::None"
    });
    let set = line.options.as_ref().map_or("None".to_owned(), |name| format!("Some(&{}_OPTIONS)", constant(name)));
    let (arity, keys) = (entry.arity, keys(entry, options, specs));
    let Line {
        support, split, replication, no_effect, lifetime, answer, cache, effect, wait, wide, script, echo, ..
    } = line;
    writeln!(
        rows,
        "    Row {{ name: \"{name}\", upper: \"{upper}\", arity: {arity}, kind: {kind}, keys: {keys}, access: {access}, \
         split: {split}, replication: {replication}, effect: {effect}, wait: {wait}, wide: {wide}, script: {script}, echo: {echo}, options: {set}, no_effect: {no_effect}, lifetime: {lifetime}, \
         answer: {answer}, cache: {cache}, support: {support} }},"
    )
    .unwrap();
}

/// The key specifications that rows share, each a constant named after the first command that has it.
#[derive(Default)]
struct Shared {
    names: BTreeMap<Vec<String>, String>,
    order: Vec<Vec<String>>,
}

impl Shared {
    fn name(&mut self, specs: Vec<String>, command: &str) -> String {
        let order = &mut self.order;
        let name = self.names.entry(specs.clone()).or_insert_with(|| {
            order.push(specs);
            format!("KEYS_LIKE_{}", constant(command).replace('|', "_"))
        });
        name.clone()
    }

    fn text(&self) -> String {
        self.order.iter().fold(String::new(), |mut text, specs| {
            let list: String = specs.iter().map(|spec| format!("    {spec},\n")).collect();
            write!(text, "\nconst {}: &[KeySpec] = &[\n{list}];\n", self.names[specs]).unwrap();
            text
        })
    }
}

fn keys(entry: &Entry, options: Option<&Options>, shared: &mut Shared) -> String {
    let specs: Vec<String> = entry.specs.iter().filter_map(|spec| key_spec(spec, options)).collect();
    match entry.specs.first() {
        None => "Keys::None".to_owned(),
        Some(only) if specs.len() == 1 && is_one_key(only) => format!("Keys::One({})", only.begin.number("index")),
        Some(_) => format!("Keys::Many({})", shared.name(specs, &entry.name)),
    }
}

fn is_one_key(spec: &Spec) -> bool {
    spec.begin.kind == "index"
        && spec.find.kind == "range"
        && spec.find.number("lastkey") == 0
        && role(spec) != "Role::Channel"
}

fn role(spec: &Spec) -> &'static str {
    let is = |flag: &str| spec.flags.iter().any(|other| other == flag);
    if is("not_key") {
        "Role::Channel"
    } else if is("RO") {
        "Role::Reads"
    } else {
        "Role::Writes"
    }
}

fn key_spec(spec: &Spec, options: Option<&Options>) -> Option<String> {
    let begin = match spec.begin.kind.as_str() {
        "index" => format!("Begin::At({})", spec.begin.number("index")),
        "keyword" => {
            let (word, from) = (spec.begin.word("keyword"), spec.begin.number("startfrom"));
            format!("Begin::After {{ word: \"{word}\", from: {from} }}")
        }
        // What the server cannot place, the options may: a key to store to, or patterns, with which a call is refused.
        _ if role(spec) == "Role::Writes" && options.is_some_and(|options| options.has_store) => {
            "Begin::Stored".to_owned()
        }
        _ if role(spec) == "Role::Reads" && options.is_some_and(|options| options.has_pattern) => return None,
        _ => "Begin::Unknown".to_owned(),
    };
    let find = match spec.find.kind.as_str() {
        "range" => format!(
            "Find::Range {{ last: {}, step: {}, limit: {} }}",
            spec.find.number("lastkey"),
            spec.find.number("keystep"),
            spec.find.number("limit")
        ),
        "keynum" => format!(
            "Find::Counted {{ number: {}, first: {}, step: {} }}",
            spec.find.number("keynumidx"),
            spec.find.number("firstkey"),
            spec.find.number("keystep")
        ),
        _ => "Find::Range { last: 0, step: 1, limit: 0 }".to_owned(),
    };
    Some(format!("KeySpec {{ begin: {begin}, find: {find}, role: {} }}", role(spec)))
}
