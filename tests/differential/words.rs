//! The arguments of a call, drawn at random: from few keys and few values, so that calls meet what others left behind.

use std::collections::BTreeMap;

use fastrand::Rng;

use super::template::{Form, Part};

/// What keys usually hold. A key's name says its kind; what it holds need not be of it. `clock` is a stream whose ids are
/// times, apart from those whose ids count steps; `num` and `float` are strings that are numbers; a `lex` is a sorted set
/// whose scores are all equal.
pub const KINDS: &[&str] =
    &["string", "num", "float", "bits", "hash", "list", "set", "zset", "lex", "geo", "hll", "stream", "clock"];

/// Kinds that a form for another kind never meets: bytes 8 to 15 of a HyperLogLog depend on who has counted it, ids that
/// are times would leave no room for those that are counted, and ranges by name are not defined where scores differ (what
/// a server then finds depends on levels that it draws at random).
const APART: &[&str] = &["lex", "hll", "stream", "clock"];

const KEYS_PER_KIND: u32 = 2;

/// How the keys of one sequence are named: no two sequences share a key.
#[derive(Clone)]
pub struct Space {
    pub name: String,
    pub tags: u32,
}

impl Space {
    fn key(&self, tag: u32, kind: &str, number: u32) -> Vec<u8> {
        let mut key = format!("{{{}{tag}", self.name).into_bytes();
        if tag == 0 {
            // Keys may hold whatever a line of text may not. (An error reply that repeats a key which is no UTF-8 ends a
            // connection of redis-rs's, at the plain server too.)
            key.extend(b"\xc3\xa9\0\r\n");
        }
        key.extend(format!("}}{kind}{number}").into_bytes());
        key
    }

    /// Every key that a sequence may use.
    pub fn keys(&self) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        for tag in 0..self.tags {
            for kind in KINDS {
                keys.extend((0..KEYS_PER_KIND).map(|number| self.key(tag, kind, number)));
            }
        }
        keys
    }
}

/// One argument.
#[derive(Clone, Debug)]
pub enum Word {
    Bytes(Vec<u8>),
    /// The id of an entry that the stream has when the call is made.
    Entry {
        stream: Vec<u8>,
        pick: usize,
    },
    /// What DUMP gives for the key when the call is made.
    Dump {
        key: Vec<u8>,
    },
}

/// A call as it was drawn.
pub struct Drawn {
    pub words: Vec<Word>,
    pub keys: Vec<Vec<u8>>,
}

/// Draws calls.
pub struct Words<'a> {
    pub space: &'a Space,
    pub scripts: &'a BTreeMap<String, String>,
    /// Counts up; ids of streams follow it, so that most of them are newer than those before.
    pub step: usize,
}

impl Words<'_> {
    /// One call of the form. Its keys have the given tag, except for those that the form gives tags of their own; where
    /// tags are crossed, all have.
    pub fn draw(&self, rng: &mut Rng, form: &Form, tag: u32, crossed: bool) -> Drawn {
        let (out, keys) = (Vec::new(), Vec::new());
        let mut drawing = Drawing { words: self, rng, tag, crossed, kind: KINDS[0], out, keys };
        drawing.parts(&form.parts);
        Drawn { words: drawing.out, keys: drawing.keys }
    }
}

struct Drawing<'a> {
    words: &'a Words<'a>,
    rng: &'a mut Rng,
    tag: u32,
    crossed: bool,
    /// The kind of the last key.
    kind: &'static str,
    out: Vec<Word>,
    keys: Vec<Vec<u8>>,
}

impl Drawing<'_> {
    fn parts(&mut self, parts: &[Part]) {
        for part in parts {
            match part {
                Part::Word(word) => self.out.push(Word::Bytes(word.clone().into_bytes())),
                Part::Slot { meaning, own_tag } => {
                    let word = self.slot(meaning, *own_tag);
                    self.out.push(word);
                }
                Part::Choice(choices) => {
                    let at = self.rng.usize(..choices.len());
                    self.parts(&choices[at]);
                }
                Part::Repeat(parts) => (0..self.rng.usize(1..=3)).for_each(|_| self.parts(parts)),
            }
        }
    }

    fn slot(&mut self, meaning: &str, own_tag: bool) -> Word {
        let kind = match meaning {
            "any" => Some(KINDS[self.rng.usize(..KINDS.len())]),
            "same" => Some(self.kind),
            _ => KINDS.iter().copied().find(|kind| *kind == meaning),
        };
        if let Some(kind) = kind {
            let number = if meaning == "same" { self.rng.u32(..KEYS_PER_KIND) } else { self.number() };
            return Word::Bytes(self.key(kind, number, own_tag));
        }
        match meaning {
            "entry" => {
                let stream = self.keys.last().expect("an entry follows its stream").clone();
                Word::Entry { stream, pick: self.rng.usize(..100) }
            }
            "dump" => Word::Dump { key: self.words.space.key(self.tag, self.kind, self.number()) },
            _ => Word::Bytes(self.value(meaning).into_bytes()),
        }
    }

    fn key(&mut self, kind: &'static str, number: u32, own_tag: bool) -> Vec<u8> {
        self.kind = kind;
        let mut named = kind;
        if !APART.contains(&kind) && self.rng.u32(..20) == 0 {
            named = KINDS[self.rng.usize(..KINDS.len())];
            if APART.contains(&named) {
                named = kind;
            }
        }
        let tag = if own_tag || self.crossed { self.rng.u32(..self.words.space.tags) } else { self.tag };
        let key = self.words.space.key(tag, named, number);
        self.keys.push(key.clone());
        key
    }

    /// Mostly the first, so that commands meet.
    fn number(&mut self) -> u32 {
        self.rng.u32(..KEYS_PER_KIND * 2).saturating_sub(KEYS_PER_KIND)
    }

    fn value(&mut self, meaning: &str) -> String {
        let step = self.words.step;
        if let Some(name) = meaning.strip_prefix("script:") {
            return self.script(name).to_owned();
        }
        if let Some(name) = meaning.strip_prefix("sha:") {
            return redis::Script::new(self.script(name)).get_hash().to_owned();
        }
        let rng = &mut *self.rng;
        let seldom = rng.u32(..30) == 0;
        let one_of = |rng: &mut Rng, words: &[&str]| words[rng.usize(..words.len())].to_owned();
        match meaning {
            "value" | "element" => match rng.u32(..8) {
                0 => String::new(),
                1 => "long ".repeat(rng.usize(10..30)),
                2 => format!("{}", rng.i32(-50..50)),
                3 => "\u{e9}\r\n\u{1}".to_owned(),
                _ => format!("v{}", rng.u32(..6)),
            },
            "int" if seldom => one_of(rng, &["9223372036854775807", "-9223372036854775808", "x", "1.5", " 1"]),
            "int" => rng.i32(-20..20).to_string(),
            "real" | "score" if seldom => one_of(rng, &["inf", "-inf", "x", "1e300", "nan"]),
            "real" => one_of(rng, &["1.5", "-0.25", "3", "0.1", "1e3", "-7.125", "3.0000001"]),
            "score" => one_of(rng, &["1", "2", "2.5", "-3", "10", "0.1", "1e5"]),
            "min" => one_of(rng, &["-inf", "0", "(1", "2", "-5"]),
            "max" => one_of(rng, &["+inf", "3", "(10", "2.5", "100"]),
            "lexmin" => one_of(rng, &["-", "[m2", "(m4", "[m0"]),
            "lexmax" => one_of(rng, &["+", "[m7", "(m6", "[m9"]),
            "count" => rng.u32(1..6).to_string(),
            "trim" => format!("{}", rng.u32(..12)),
            "index" => rng.i32(-8..9).to_string(),
            "offset" => rng.u32(..120).to_string(),
            "field" => format!("f{}", rng.u32(..8)),
            "member" => format!("m{}", rng.u32(..10)),
            "place" => format!("p{}", rng.u32(..8)),
            "lon" => format!("{}", f64::from(rng.i32(-300..300)) / 10.0),
            "lat" => format!("{}", f64::from(rng.i32(-300..300)) / 10.0),
            "radius" => rng.u32(100..5000).to_string(),
            // Long enough to end after every test; apart from each other by more than two servers are.
            "seconds" => rng.u32(10_000..1_000_000).to_string(),
            "ms" => rng.u32(10_000_000..1_000_000_000).to_string(),
            "at" => (4_102_444_800_u64 + rng.u64(..1_000_000)).to_string(),
            "at-ms" => (4_102_444_800_000_u64 + rng.u64(..1_000_000_000)).to_string(),
            "next" => format!("{}-{}", step + 1, rng.u32(..3)),
            "id" => format!("{}-{}", rng.usize(..=step + 1), rng.u32(..2)),
            "partial" => format!("{}-*", step + 1),
            "group" => format!("g{}", rng.u32(..4) / 3),
            "consumer" => format!("c{}", rng.u32(..3)),
            "pattern" => format!("*{}{}", KINDS[rng.usize(..KINDS.len())], one_of(rng, &["*", "?", "[01]", "0"])),
            _ => panic!("no argument is called <{meaning}>"),
        }
    }

    fn script(&self, name: &str) -> &str {
        self.words.scripts.get(name).unwrap_or_else(|| panic!("no script is called {name}"))
    }
}
