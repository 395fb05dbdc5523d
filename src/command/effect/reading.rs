//! What stands in a reply.

use redis::Value;

use super::Unreadable;

/// The elements of a list or a set.
pub(super) fn elements(value: &Value) -> Result<&[Value], Unreadable> {
    match value {
        Value::Array(items) | Value::Set(items) => Ok(items),
        _ => Err(Unreadable),
    }
}

/// A string's bytes.
pub(super) fn text(value: &Value) -> Result<&[u8], Unreadable> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.as_bytes()),
        _ => Err(Unreadable),
    }
}

/// The field of this name in a map, which RESP2 sends as a list of names and values; none if it has no such field.
pub(super) fn field<'a>(map: &'a Value, name: &str) -> Result<Option<&'a Value>, Unreadable> {
    let is_it = |field: &Value| text(field).is_ok_and(|field| field == name.as_bytes());
    match map {
        Value::Map(fields) => Ok(fields.iter().find(|(field, _)| is_it(field)).map(|(_, value)| value)),
        Value::Array(items) => Ok(items.chunks_exact(2).find(|pair| is_it(&pair[0])).map(|pair| &pair[1])),
        _ => Err(Unreadable),
    }
}

/// What `TIME` says, in milliseconds.
pub(super) fn milliseconds(time: &Value) -> Result<i64, Unreadable> {
    let [seconds, micros] = elements(time)? else { return Err(Unreadable) };
    let (seconds, micros) = (integer(text(seconds)?)?, integer(text(micros)?)?);
    seconds.checked_mul(1000).and_then(|ms| ms.checked_add(micros / 1000)).ok_or(Unreadable)
}

/// A number in digits.
pub(super) fn integer(text: &[u8]) -> Result<i64, Unreadable> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Unreadable)
}
