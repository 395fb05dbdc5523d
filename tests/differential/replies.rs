//! Replies in a form that can be compared.

use redis::Value;

use super::template::Compare;

/// The reply as a text that is equal where the comparison calls replies equal.
pub fn canonical(compare: Compare, reply: &Value) -> String {
    let reply = hide_counted(reply);
    match compare {
        Compare::Sorted => format!("{:?}", sorted(reply)),
        Compare::Masked => format!("{:?}", masked(reply)),
        Compare::Shape => shape(&reply),
        _ => format!("{reply:?}"),
    }
}

/// Whether two numbers are as near as two questions are in time: the same negative one, or a minute apart at most.
pub fn is_about(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Int(ours), Value::Int(theirs)) if *ours >= 0 && *theirs >= 0 => ours.abs_diff(*theirs) <= 60_000,
        _ => ours == theirs,
    }
}

/// The elements of a reply, at any depth, as bytes; numbers as they are written.
pub fn elements(reply: &Value) -> Vec<Vec<u8>> {
    match reply {
        Value::Nil => Vec::new(),
        Value::Array(items) | Value::Set(items) => items.iter().flat_map(elements).collect(),
        Value::Map(pairs) => {
            pairs.iter().flat_map(|(name, value)| [elements(name), elements(value)].concat()).collect()
        }
        Value::BulkString(bytes) => vec![bytes.clone()],
        other => vec![format!("{other:?}").into_bytes()],
    }
}

/// How many elements the outermost level has.
pub fn count(reply: &Value) -> usize {
    match reply {
        Value::Nil => 0,
        Value::Array(items) | Value::Set(items) => items.len(),
        Value::Map(pairs) => pairs.len(),
        _ => 1,
    }
}

pub fn is_error(reply: &Value) -> bool {
    matches!(reply, Value::ServerError(_))
}

/// In an order of its own, at every depth.
fn sorted(reply: Value) -> Value {
    let by_text = |items: Vec<Value>| {
        let mut items: Vec<Value> = items.into_iter().map(sorted).collect();
        items.sort_by_cached_key(|item| format!("{item:?}"));
        items
    };
    match reply {
        Value::Array(items) => Value::Array(by_text(items)),
        Value::Set(items) => Value::Set(by_text(items)),
        Value::Map(pairs) => {
            let mut pairs: Vec<_> = pairs.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            pairs.sort_by_cached_key(|pair| format!("{pair:?}"));
            Value::Map(pairs)
        }
        other => other,
    }
}

/// Times and inner numbers of streams that the same content may have with other values.
const OWN: &[&str] = &["idle", "inactive", "seen-time", "active-time", "radix-tree-keys", "radix-tree-nodes"];

fn masked(reply: Value) -> Value {
    match reply {
        Value::Map(pairs) => Value::Map(
            pairs
                .into_iter()
                .map(|(name, value)| {
                    let own = matches!(&name, Value::BulkString(name) if OWN.iter().any(|own| own.as_bytes() == name));
                    (name, if own { Value::Nil } else { masked(value) })
                })
                .collect(),
        ),
        Value::Array(items) => {
            // A pending entry: id, consumer where it is not said before, time of delivery or idle time, deliveries.
            let time = match items.as_slice() {
                [Value::BulkString(_), Value::BulkString(_), Value::Int(_), Value::Int(_)] => Some(2),
                [Value::BulkString(_), Value::Int(_), Value::Int(_)] => Some(1),
                _ => None,
            };
            let mask = |(at, item)| if Some(at) == time { Value::Nil } else { masked(item) };
            Value::Array(items.into_iter().enumerate().map(mask).collect())
        }
        other => other,
    }
}

/// A HyperLogLog keeps in its bytes the count that it was last asked for, and only where it was asked.
fn hide_counted(reply: &Value) -> Value {
    match reply {
        Value::BulkString(bytes) if bytes.starts_with(b"HYLL") && bytes.len() >= 16 => {
            let mut bytes = bytes.clone();
            bytes[8..16].fill(0);
            Value::BulkString(bytes)
        }
        Value::Array(items) => Value::Array(items.iter().map(hide_counted).collect()),
        other => other.clone(),
    }
}

fn shape(reply: &Value) -> String {
    match reply {
        Value::Int(_) => "a number".to_owned(),
        Value::BulkString(_) | Value::SimpleString(_) | Value::VerbatimString { .. } => "a text".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Map(_) => "a map".to_owned(),
        other => format!("{other:?}"),
    }
}
