//! A server's `COMMAND` answer.

use redis::Value;

/// What the server says about one command or subcommand.
pub struct Entry {
    pub name: String,
    pub arity: i64,
    pub flags: Vec<String>,
    pub specs: Vec<Spec>,
    pub has_subcommands: bool,
}

impl Entry {
    /// A command of one key, for tests of the generator itself.
    pub fn plain(name: &str) -> Self {
        Self { name: name.to_owned(), arity: 2, flags: Vec::new(), specs: Vec::new(), has_subcommands: false }
    }

    pub fn is(&self, flag: &str) -> bool {
        self.flags.iter().any(|other| other == flag)
    }
}

/// A key specification.
pub struct Spec {
    pub flags: Vec<String>,
    pub begin: Part,
    pub find: Part,
}

/// A half of one: its type and its numbers and words.
pub struct Part {
    pub kind: String,
    pub fields: Value,
}

impl Part {
    pub fn number(&self, name: &str) -> i64 {
        match field(&self.fields, name) {
            Value::Int(number) => *number,
            other => panic!("{name} is {other:?}"),
        }
    }

    pub fn word(&self, name: &str) -> String {
        text(field(&self.fields, name))
    }
}

/// Every command and subcommand, sorted by name.
pub fn commands(connection: &mut redis::Connection) -> Vec<Entry> {
    let answer: Value = redis::cmd("COMMAND").query(connection).unwrap();
    let mut entries = Vec::new();
    items(&answer).iter().for_each(|command| collect(command, &mut entries));
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    entries
}

fn collect(command: &Value, entries: &mut Vec<Entry>) {
    let columns = items(command);
    let Value::Int(arity) = columns[1] else { panic!("the arity is {:?}", columns[1]) };
    let subcommands = items(&columns[9]);
    entries.push(Entry {
        name: text(&columns[0]),
        arity,
        flags: items(&columns[2]).iter().map(text).collect(),
        specs: items(&columns[8]).iter().map(spec).collect(),
        has_subcommands: !subcommands.is_empty(),
    });
    subcommands.iter().for_each(|command| collect(command, entries));
}

fn spec(spec: &Value) -> Spec {
    let part = |name| {
        let part = field(spec, name);
        Part { kind: text(field(part, "type")), fields: field(part, "spec").clone() }
    };
    Spec {
        flags: items(field(spec, "flags")).iter().map(text).collect(),
        begin: part("begin_search"),
        find: part("find_keys"),
    }
}

fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) | Value::Set(items) => items,
        other => panic!("no list: {other:?}"),
    }
}

/// A field of what RESP2 sends as a list of names and values.
fn field<'a>(map: &'a Value, name: &str) -> &'a Value {
    let found = items(map).chunks(2).find(|pair| text(&pair[0]) == name);
    &found.unwrap_or_else(|| panic!("no {name} in {map:?}"))[1]
}

fn text(value: &Value) -> String {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).unwrap(),
        Value::SimpleString(text) => text.clone(),
        other => panic!("no text: {other:?}"),
    }
}
