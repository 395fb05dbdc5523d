//! A server's reply as text (as `redis-cli -3` prints it), raw, and as JSON.

use redis::{ServerError, Value};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Map, Number, Value as Json, json};

/// Bytes that are usually text: a JSON string, or `{"base64": …}` where they are not UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text(pub(super) Vec<u8>);

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.serialize_str(text),
            Err(_) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry("base64", &base64(&self.0))?;
                map.end()
            }
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let [a, b, c] = [0, 1, 2].map(|at| u32::from(chunk.get(at).copied().unwrap_or(0)));
        let group = a << 16 | b << 8 | c;
        for at in 0..4 {
            let digit = ALPHABET[(group >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

/// Bytes for a table: as they are if they are plain text, else quoted.
pub(super) fn printable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && !text.chars().any(|c| c.is_control() || c.is_whitespace()) => text.to_owned(),
        Ok(_) | Err(_) => String::from_utf8_lossy(&quoted(bytes)).into_owned(),
    }
}

/// Whether the server refused.
pub(super) fn is_error(value: &Value) -> bool {
    matches!(value, Value::ServerError(_))
}

/// With types, for people: `(integer) 1`, `"v"`, `(nil)`, numbered lists.
pub(super) fn formatted(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    format_into(&mut out, value, "");
    out
}

fn format_into(out: &mut Vec<u8>, value: &Value, prefix: &str) {
    match value {
        Value::Nil => out.extend(b"(nil)\n"),
        Value::Int(number) => out.extend(format!("(integer) {number}\n").bytes()),
        Value::BulkString(bytes) => {
            out.extend(quoted(bytes));
            out.push(b'\n');
        }
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => out.extend(format!("{text}\n").bytes()),
        Value::Okay => out.extend(b"OK\n"),
        Value::Double(number) => out.extend(format!("(double) {}\n", double(*number)).bytes()),
        Value::Boolean(yes) => out.extend(format!("({yes})\n").bytes()),
        Value::BigNumber(digits) => {
            out.extend(b"(big number) ");
            out.extend(digits);
            out.push(b'\n');
        }
        Value::ServerError(error) => out.extend(format!("(error) {}\n", error_text(error)).bytes()),
        Value::Array(elements) => {
            list(out, elements.iter().map(Entry::One), elements.len(), ')', "(empty array)", prefix);
        }
        Value::Set(elements) => {
            list(out, elements.iter().map(Entry::One), elements.len(), '~', "(empty set)", prefix);
        }
        Value::Push { data, .. } => list(out, data.iter().map(Entry::One), data.len(), ')', "(empty push)", prefix),
        Value::Map(pairs) => {
            let entries = pairs.iter().map(|(key, value)| Entry::Pair(key, value));
            list(out, entries, pairs.len(), '#', "(empty hash)", prefix);
        }
        Value::Attribute { data, .. } => format_into(out, data, prefix),
        other => out.extend(format!("{other:?}\n").bytes()),
    }
}

enum Entry<'a> {
    One(&'a Value),
    Pair(&'a Value, &'a Value),
}

fn list<'a>(
    out: &mut Vec<u8>,
    entries: impl Iterator<Item = Entry<'a>>,
    count: usize,
    separator: char,
    empty: &str,
    prefix: &str,
) {
    if count == 0 {
        out.extend(format!("{empty}\n").bytes());
        return;
    }
    let digits = count.to_string().len();
    let inner = format!("{prefix}{}", " ".repeat(digits + 2));
    for (at, entry) in entries.enumerate() {
        // The line of the first begins with the numbers of the lists around it.
        let indent = if at == 0 { "" } else { prefix };
        out.extend(format!("{indent}{:>digits$}{separator} ", at + 1).bytes());
        match entry {
            Entry::One(value) => format_into(out, value, &inner),
            Entry::Pair(key, value) => {
                format_into(out, key, &inner);
                out.pop();
                out.extend(b" => ");
                format_into(out, value, &inner);
            }
        }
    }
}

/// Without types, for programs: one value a line, and a map's field and value on one.
pub(super) fn raw(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    raw_into(&mut out, value);
    out.push(b'\n');
    out
}

fn raw_into(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Nil => {}
        Value::Int(number) => out.extend(number.to_string().bytes()),
        Value::BulkString(bytes) => out.extend(bytes),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => out.extend(text.bytes()),
        Value::Okay => out.extend(b"OK"),
        Value::Double(number) => out.extend(double(*number).bytes()),
        Value::Boolean(yes) => out.extend(format!("({yes})").bytes()),
        Value::BigNumber(digits) => out.extend(digits),
        Value::ServerError(error) => out.extend(format!("{}\n", error_text(error)).bytes()),
        Value::Array(elements) | Value::Set(elements) | Value::Push { data: elements, .. } => {
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push(b'\n');
                }
                raw_into(out, element);
            }
        }
        Value::Map(pairs) => {
            for (at, (key, value)) in pairs.iter().enumerate() {
                if at > 0 {
                    out.push(b'\n');
                }
                raw_into(out, key);
                out.push(b' ');
                raw_into(out, value);
            }
        }
        Value::Attribute { data, .. } => raw_into(out, data),
        other => out.extend(format!("{other:?}").bytes()),
    }
}

/// As JSON. A map whose fields are not all text is a list of pairs.
pub(super) fn to_json(value: &Value) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Int(number) => json!(number),
        Value::BulkString(bytes) => json!(Text(bytes.clone())),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => json!(text),
        Value::Okay => json!("OK"),
        Value::Double(number) => Number::from_f64(*number).map_or_else(|| json!(double(*number)), Json::Number),
        Value::Boolean(yes) => json!(yes),
        Value::BigNumber(digits) => json!(Text(digits.clone())),
        Value::ServerError(error) => json!({ "error": error_text(error) }),
        Value::Array(elements) | Value::Set(elements) | Value::Push { data: elements, .. } => {
            elements.iter().map(to_json).collect()
        }
        Value::Map(pairs) => {
            let named: Option<Map<String, Json>> =
                pairs.iter().map(|(key, value)| Some((to_json(key).as_str()?.to_owned(), to_json(value)))).collect();
            named.map_or_else(
                || pairs.iter().map(|(key, value)| json!([to_json(key), to_json(value)])).collect(),
                Json::Object,
            )
        }
        Value::Attribute { data, .. } => to_json(data),
        other => json!(format!("{other:?}")),
    }
}

fn error_text(error: &ServerError) -> String {
    match error.details() {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_owned(),
    }
}

/// As short as it can be; with an exponent where the digits would say nothing.
fn double(number: f64) -> String {
    let size = number.abs();
    if !number.is_finite() || size == 0.0 || (1e-5..1e17).contains(&size) {
        // Redis writes `nan` and `inf` in lower case.
        return number.to_string().to_lowercase();
    }
    let text = format!("{number:e}");
    match text.split_once('e') {
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{digits}e-{exponent:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
        None => text,
    }
}

/// In quotes, with what is not printable ASCII escaped as redis-cli does.
fn quoted(bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![b'"'];
    for byte in bytes {
        match byte {
            b'\\' | b'"' => out.extend([b'\\', *byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0x07 => out.extend(b"\\a"),
            0x08 => out.extend(b"\\b"),
            b' '..=b'~' => out.push(*byte),
            other => out.extend(format!("\\x{other:02x}").bytes()),
        }
    }
    out.push(b'"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_padded_to_fours() {
        let cases: [(&[u8], &str); 5] =
            [(b"", ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"\xff\x00\x01", "/wAB")];
        for (bytes, text) in cases {
            assert_eq!(base64(bytes), text);
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_base64_in_json() {
        assert_eq!(to_json(&Value::BulkString(b"text".to_vec())), json!("text"));
        assert_eq!(to_json(&Value::BulkString(vec![255])), json!({ "base64": "/w==" }));
        let map = Value::Map(vec![(Value::BulkString(b"f".to_vec()), Value::Int(1))]);
        assert_eq!(to_json(&map), json!({ "f": 1 }));
        let map = Value::Map(vec![(Value::Int(2), Value::Nil)]);
        assert_eq!(to_json(&map), json!([[2, null]]));
    }

    #[test]
    fn lists_in_lists_are_numbered_and_indented() {
        let ten = Value::Array((0..10).map(Value::Int).collect());
        let nested = Value::Array(vec![Value::Array(vec![Value::Int(1), Value::Nil]), ten]);
        let text = String::from_utf8(formatted(&nested)).unwrap();
        assert!(text.starts_with("1) 1) (integer) 1\n   2) (nil)\n2)  1) (integer) 0\n    2) (integer) 1\n"), "{text}");
        assert!(text.ends_with("   10) (integer) 9\n"), "{text}");
    }

    #[test]
    fn doubles_are_short_and_huge_ones_have_exponents() {
        let cases = [1.5, 3.0, -0.25, 1e300, 1e-9, f64::INFINITY].map(double);
        assert_eq!(cases, ["1.5", "3", "-0.25", "1e+300", "1e-09", "inf"]);
    }

    #[test]
    fn what_is_not_plain_is_quoted_in_a_table() {
        assert_eq!(printable(b"user:1"), "user:1");
        assert_eq!(printable(b"a b"), "\"a b\"");
        assert_eq!(printable(b"\xff"), "\"\\xff\"");
        assert_eq!(printable(b""), "\"\"");
    }
}
