//! The reviewed list, read; its format is told at its head.

use std::collections::BTreeMap;

/// The list. Whatever it says is kept as the Rust expression that the table will have.
#[derive(Default)]
pub struct Reviewed {
    pub whys: BTreeMap<String, (String, String)>,
    pub options: BTreeMap<String, Options>,
    pub lines: BTreeMap<String, Line>,
}

/// The options of a command.
pub struct Options {
    pub expression: String,
    pub has_pattern: bool,
    pub has_store: bool,
}

/// The line of a command.
pub struct Line {
    pub support: String,
    pub split: String,
    pub replication: String,
    pub access: Option<String>,
    pub options: Option<String>,
    pub no_effect: String,
    pub lifetime: String,
    pub answer: String,
    pub cache: String,
    pub effect: String,
    pub wait: String,
    pub wide: String,
    pub script: String,
    pub echo: String,
}

impl Reviewed {
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reviewed = Self::default();
        for (number, line) in text.lines().enumerate() {
            if !line.trim().is_empty() && !line.starts_with('#') {
                reviewed.line(line).map_err(|wrong| format!("line {}: {wrong}", number + 1))?;
            }
        }
        Ok(reviewed)
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        if let Some(rest) = line.strip_prefix("why ") {
            return self.why(rest);
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        if words[0] == "options" {
            return self.option_set(&words[1..]);
        }
        let [name, support, split, replication, ref columns @ ..] = words[..] else {
            return Err("a command has a support, a split and a replication".to_owned());
        };
        let mut row = Line {
            support: self.support(support)?,
            split: this("split", split, SPLITS)?,
            replication: this("replication", replication, REPLICATIONS)?,
            access: None,
            options: None,
            no_effect: "NoEffect::Unproven".to_owned(),
            lifetime: "Lifetime::None".to_owned(),
            answer: "Answer::Whole".to_owned(),
            cache: "Caching::Never".to_owned(),
            effect: "Effect::None".to_owned(),
            wait: "Wait::Never".to_owned(),
            wide: "Wide::None".to_owned(),
            script: "Script::None".to_owned(),
            echo: "Echo::Silent".to_owned(),
        };
        for column in columns {
            let (key, value) = column.split_once('=').unwrap_or((column, ""));
            match key {
                "access" => row.access = Some(this(key, value, ACCESSES)?),
                "nothing" => row.no_effect = this(key, value, NOTHINGS)?,
                "lifetime" => row.lifetime = this(key, value, LIFETIMES)?,
                "effect" => row.effect = this(key, value, EFFECTS)?,
                "wait" => row.wait = this(key, value, WAITS)?,
                "script" => row.script = this(key, value, SCRIPTS)?,
                "errors" => row.echo = this(key, value, &[("repeat", "Echo::Repeats")])?,
                "wide" => row.wide = this(key, value, WIDES)?,
                "answer" => {
                    row.answer = this(key, value, &[("part", "Answer::Part"), ("lacks-script", "Answer::LacksScript")])?
                }
                "cache" => row.cache = this(key, value, &[("until-written", "Caching::UntilWritten")])?,
                "options" if self.options.contains_key(value) => row.options = Some(value.to_owned()),
                "options" => return Err(format!("no options are called `{value}`")),
                _ => return Err(format!("no column is called `{key}`")),
            }
        }
        insert(&mut self.lines, name, row)
    }

    fn why(&mut self, rest: &str) -> Result<(), String> {
        let parts: Vec<&str> = rest.split('|').map(str::trim).collect();
        let [name, reason, hint] = parts[..] else {
            return Err("a why has a name, a reason and a hint".to_owned());
        };
        insert(&mut self.whys, name, (reason.to_owned(), hint.to_owned()))
    }

    fn option_set(&mut self, words: &[&str]) -> Result<(), String> {
        let [name, from, scan, ref options @ ..] = words[..] else {
            return Err("options have a name, a position, a scan and words".to_owned());
        };
        let from: u8 = from.parse().map_err(|_| format!("`{from}` is no position"))?;
        let scan = this("scan", scan, SCANS)?;
        let words = options.iter().map(|word| self.word(word)).collect::<Result<Vec<_>, _>>()?;
        let list: String = words.iter().map(|word| format!("        {word},\n")).collect();
        let set = Options {
            expression: format!("Options {{\n    from: {from},\n    scan: {scan},\n    words: &[\n{list}    ],\n}}"),
            has_pattern: list.contains("Meaning::Pattern"),
            has_store: list.contains("Meaning::Stores"),
        };
        insert(&mut self.options, name, set)
    }

    fn word(&self, option: &str) -> Result<String, String> {
        let (left, meaning) = option.split_once(':').ok_or_else(|| format!("`{option}` has no meaning"))?;
        let (word, takes) = left.split_once('/').unwrap_or((left, "0"));
        let takes = match takes {
            "threshold" => "Takes::Threshold".to_owned(),
            count => format!("Takes::Exactly({})", count.parse::<u8>().map_err(|_| format!("`{count}` is no count"))?),
        };
        let meaning = match meaning.split_once('=') {
            None => this("meaning", meaning, MEANINGS)?,
            Some((meaning, why)) => {
                let meaning = this("meaning", meaning, MEANINGS_WITH_WHY)?;
                format!("{meaning}(&{})", self.why_named(why)?)
            }
        };
        Ok(format!("Word {{ word: \"{word}\", takes: {takes}, meaning: {meaning} }}"))
    }

    fn support(&self, text: &str) -> Result<String, String> {
        match text.split_once(':') {
            None => this("support", text, &[("runs", "Support::Runs")]),
            Some((when, why)) => {
                let when = this("support", when, &[("never", "Support::Never")])?;
                Ok(format!("{when}(&{})", self.why_named(why)?))
            }
        }
    }

    fn why_named(&self, name: &str) -> Result<String, String> {
        if self.whys.contains_key(name) { Ok(constant(name)) } else { Err(format!("no why is called `{name}`")) }
    }
}

/// The name of the constant for something that the list names.
pub fn constant(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

fn insert<T>(map: &mut BTreeMap<String, T>, name: &str, value: T) -> Result<(), String> {
    match map.insert(name.to_owned(), value) {
        None => Ok(()),
        Some(_) => Err(format!("`{name}` has a line already")),
    }
}

type Names = &'static [(&'static str, &'static str)];

fn this(column: &str, value: &str, names: Names) -> Result<String, String> {
    let found = names.iter().find(|(name, _)| *name == value);
    found.map(|(_, variant)| (*variant).to_owned()).ok_or_else(|| format!("no {column} is called `{value}`"))
}

const SPLITS: Names = &[
    ("one", "Split::OneKey"),
    ("same-token", "Split::SameToken"),
    ("per-key:in-order", "Split::PerKey(Merge::InOrder)"),
    ("per-key:sum", "Split::PerKey(Merge::Sum)"),
    ("per-key:all-ok", "Split::PerKey(Merge::AllOk)"),
    ("ring", "Split::WholeRing"),
    ("any-member", "Split::AnyMember"),
    ("member", "Split::OneMember"),
    ("connection", "Split::Connection"),
    ("pubsub", "Split::PubSub"),
    ("channels", "Split::Channels"),
    ("script", "Split::Script"),
];
const REPLICATIONS: Names = &[
    ("none", "Replication::None"),
    ("absolute", "Replication::Absolute"),
    ("deterministic", "Replication::Deterministic"),
    ("effect", "Replication::Effect"),
    ("refresh", "Replication::Refresh"),
    ("every-member", "Replication::EveryMember"),
];
const ACCESSES: Names =
    &[("read", "Access::Read"), ("write", "Access::Write"), ("read-or-store", "Access::ReadOrStore")];
const NOTHINGS: Names = &[
    ("nil", "NoEffect::Nil"),
    ("zero", "NoEffect::Zero"),
    ("not-positive", "NoEffect::NotPositive"),
    ("empty", "NoEffect::Empty"),
];
const LIFETIMES: Names = &[
    ("before-value-seconds", "Lifetime::BeforeValue(Unit::Seconds)"),
    ("before-value-milliseconds", "Lifetime::BeforeValue(Unit::Milliseconds)"),
    ("of-key-seconds", "Lifetime::OfKey(Unit::Seconds)"),
    ("of-key-milliseconds", "Lifetime::OfKey(Unit::Milliseconds)"),
    ("of-payload-milliseconds", "Lifetime::OfPayload(Unit::Milliseconds)"),
];
const SCANS: Names = &[
    ("everywhere", "Scan::Everywhere"),
    ("only", "Scan::Only"),
    ("leading", "Scan::Leading"),
    ("leading-id", "Scan::LeadingId"),
];
const EFFECTS: Names = &[
    ("members-taken", "Effect::MembersTaken"),
    ("new-value", "Effect::NewValue"),
    ("new-field", "Effect::NewField"),
    ("entry-added", "Effect::EntryAdded"),
    ("trimmed", "Effect::Trimmed"),
    ("claimed", "Effect::Claimed"),
    ("auto-claimed", "Effect::AutoClaimed"),
    ("delivered", "Effect::Delivered"),
    ("left-taken", "Effect::ListTaken(Side::Left)"),
    ("right-taken", "Effect::ListTaken(Side::Right)"),
    ("list-taken", "Effect::ListTaken(Side::Given)"),
    ("right-moved", "Effect::ListMoved(Side::Right)"),
    ("list-moved", "Effect::ListMoved(Side::Given)"),
    ("sorted-taken", "Effect::SortedTaken"),
];
const SCRIPTS: Names = &[("body", "Script::Body"), ("name", "Script::Name"), ("function", "Script::Function")];
const WAITS: Names = &[("first", "Wait::First"), ("last", "Wait::Last")];
const WIDES: Names = &[
    ("scan", "Wide::Scan"),
    ("keys", "Wide::Keys"),
    ("size", "Wide::Size"),
    ("random", "Wide::Random"),
    ("flush", "Wide::Flush"),
    ("acknowledged", "Wide::Acknowledged"),
    ("everywhere", "Wide::Everywhere"),
    ("load-script", "Wide::LoadScript"),
    ("forget-scripts", "Wide::ForgetScripts"),
    ("in-all", "Wide::InAll"),
    ("kill", "Wide::Kill"),
    ("one-for-all", "Wide::OneForAll"),
];
const MEANINGS: Names = &[
    ("plain", "Meaning::Plain"),
    ("depends", "Meaning::Depends"),
    ("returns-old", "Meaning::ReturnsOld"),
    ("seconds", "Meaning::Expires(Unit::Seconds)"),
    ("milliseconds", "Meaning::Expires(Unit::Milliseconds)"),
    ("stores", "Meaning::Stores"),
    ("threshold", "Meaning::Threshold"),
    ("waits", "Meaning::Waits"),
    ("absolute", "Meaning::AbsoluteExpiry"),
];
const MEANINGS_WITH_WHY: Names = &[("pattern", "Meaning::Pattern"), ("refused", "Meaning::Refused")];
