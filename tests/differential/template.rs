//! The forms of `forms.txt`: what one line says.

use std::collections::BTreeMap;

use redis_ring::command::{Row, Split, resolve};

/// All forms and the texts of scripts that they name.
pub struct Forms {
    pub forms: Vec<Form>,
    pub scripts: BTreeMap<String, String>,
}

/// One line: a family of calls of one command.
pub struct Form {
    pub text: String,
    pub parts: Vec<Part>,
    /// The rows of the command table that its calls belong to: one, unless it begins with a choice.
    pub rows: Vec<&'static Row>,
    pub compare: Compare,
    /// Drawn less often: it would leave nothing for the others to work on.
    pub rare: bool,
    /// It concerns all keys or all members, so it runs only where nobody else uses the ring.
    pub alone: bool,
    /// It runs in no pipeline.
    pub single: bool,
    /// Its replies are all errors.
    pub fails: bool,
}

/// A part of a form.
pub enum Part {
    /// Sent as it stands.
    Word(String),
    /// Replaced by an argument of this meaning; with a star, by a key with a tag of its own.
    Slot { meaning: String, own_tag: bool },
    /// One of these.
    Choice(Vec<Vec<Part>>),
    /// One to three times.
    Repeat(Vec<Part>),
}

/// How the replies of a form are compared; told at the head of `forms.txt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    Exact,
    Sorted,
    Masked,
    About,
    Shape,
    Drawn,
    Popped,
    Stamped,
    Expires,
    Adopted,
    Cursor,
}

const COMPARISONS: &[(&str, Compare)] = &[
    ("sorted", Compare::Sorted),
    ("masked", Compare::Masked),
    ("about", Compare::About),
    ("shape", Compare::Shape),
    ("drawn", Compare::Drawn),
    ("popped", Compare::Popped),
    ("stamped", Compare::Stamped),
    ("expires", Compare::Expires),
    ("adopted", Compare::Adopted),
    ("cursor", Compare::Cursor),
];

impl Forms {
    /// Reads the checked-in list.
    ///
    /// # Panics
    /// When a line cannot be understood.
    pub fn load() -> Forms {
        let mut forms = Forms { forms: Vec::new(), scripts: BTreeMap::new() };
        for line in include_str!("forms.txt").lines() {
            let line = line.trim();
            if let Some(rest) = line.strip_prefix("script ") {
                let (name, text) = rest.split_once(' ').expect("a script has a name and a text");
                forms.scripts.insert(name.to_owned(), unquoted(text.trim()));
            } else if !line.is_empty() && !line.starts_with('#') {
                forms.forms.push(Form::parse(line));
            }
        }
        forms
    }
}

impl Form {
    /// Whether it is a script that does not do the same wherever it runs.
    pub fn is_undefined_script(&self) -> bool {
        let is_script = self.rows.iter().any(|row| row.split == Split::Script);
        is_script && matches!(self.compare, Compare::Adopted | Compare::Expires)
    }

    fn parse(line: &str) -> Form {
        let (text, after) = line.split_once(" => ").unwrap_or((line, ""));
        let text = text.trim().to_owned();
        let tokens = tokens(&text);
        let mut rest = tokens.as_slice();
        let parts = sequence(&mut rest);
        assert!(rest.is_empty(), "`{text}`: a bracket is closed that was not opened");
        let rows = rows(&parts, &text);
        let mut form =
            Form { text, parts, rows, compare: Compare::Exact, rare: false, alone: false, single: false, fails: false };
        for word in after.split_whitespace() {
            match word {
                "rare" => form.rare = true,
                "alone" => form.alone = true,
                "single" => form.single = true,
                "fails" => form.fails = true,
                _ => {
                    let found = COMPARISONS.iter().find(|(name, _)| *name == word);
                    form.compare = found.unwrap_or_else(|| panic!("`{line}`: no comparison is called {word}")).1;
                }
            }
        }
        form
    }
}

/// The rows that a form's calls belong to.
fn rows(parts: &[Part], text: &str) -> Vec<&'static Row> {
    let row = |parts: &[Part]| {
        let word = |at: usize| match parts.get(at) {
            Some(Part::Word(word)) => Some(word.as_bytes()),
            _ => None,
        };
        let name = word(0).unwrap_or_else(|| panic!("`{text}` begins with no name"));
        resolve(name, word(1)).unwrap_or_else(|| panic!("`{text}`: the table has no such command"))
    };
    match &parts[0] {
        Part::Choice(choices) => choices.iter().map(|choice| row(choice)).collect(),
        _ => vec![row(parts)],
    }
}

/// The words and brackets of a form.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut word = String::new();
    let mut chars = text.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        if c == '"' {
            quoted = !quoted;
            word.push(c);
            continue;
        }
        if quoted || !(c.is_whitespace() || "[]|()".contains(c)) {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            tokens.push(std::mem::take(&mut word));
        }
        if c == ')' && chars.peek() == Some(&'+') {
            chars.next();
        }
        if !c.is_whitespace() {
            tokens.push(c.to_string());
        }
    }
    if !word.is_empty() {
        tokens.push(word);
    }
    tokens
}

/// Parts up to the end, or to what closes a bracket or separates choices.
fn sequence(rest: &mut &[String]) -> Vec<Part> {
    let mut parts = Vec::new();
    while let Some((token, after)) = rest.split_first() {
        if ["]", "|", ")"].contains(&token.as_str()) {
            break;
        }
        *rest = after;
        parts.push(match token.as_str() {
            "[" => {
                let mut choices = vec![sequence(rest)];
                while take(rest, "|") {
                    choices.push(sequence(rest));
                }
                assert!(take(rest, "]"), "a choice is not closed");
                Part::Choice(choices)
            }
            "(" => {
                let repeated = sequence(rest);
                assert!(take(rest, ")"), "a repetition is not closed");
                Part::Repeat(repeated)
            }
            word => match word.strip_prefix('<').and_then(|word| word.strip_suffix('>')) {
                Some(slot) if !slot.is_empty() => {
                    let meaning = slot.trim_end_matches('*');
                    Part::Slot { meaning: meaning.to_owned(), own_tag: meaning != slot }
                }
                _ => Part::Word(unquoted(word)),
            },
        });
    }
    parts
}

fn take(rest: &mut &[String], expected: &str) -> bool {
    match rest.split_first() {
        Some((token, after)) if token == expected => {
            *rest = after;
            true
        }
        _ => false,
    }
}

fn unquoted(word: &str) -> String {
    match word.strip_prefix('"').and_then(|word| word.strip_suffix('"')) {
        Some(text) => text.replace("\\n", "\n"),
        None => word.to_owned(),
    }
}
