//! Calls that failed while a member died: what they may have left.

use std::collections::{BTreeMap, BTreeSet};

use redis::Value;

use super::oracle::{Call, Oracle};
use super::ring::Ring;
use super::state::Content;
use super::template::Compare;

/// Codes of errors that servers give for calls of the forms. Every other one in a pipeline's replies is the ring's own,
/// for a part that failed; one that was refused did not.
const ANSWERS: &[&str] =
    &["ERR", "WRONGTYPE", "NOSCRIPT", "BUSYKEY", "BUSYGROUP", "NOGROUP", "NOTBUSY", "UNKILLABLE", "REFUSED"];

/// Whether a part of a pipeline failed.
pub fn in_part(replies: &[Value]) -> bool {
    let is_ours = |reply: &Value| match reply {
        Value::ServerError(error) => !ANSWERS.contains(&error.code()),
        _ => false,
    };
    replies.iter().any(is_ours)
}

/// Compares what the calls left with what they may have left: nothing, or what some first part of them leaves. From then
/// on the plain server has what the ring has.
///
/// # Errors
/// When a key holds anything else.
pub async fn settle(
    ring: &mut Ring<'_>,
    oracle: &mut Oracle,
    calls: &[Call<'_>],
    may_have_run: bool,
) -> Result<(), String> {
    let keys: BTreeSet<Vec<u8>> = calls.iter().flat_map(|call| call.keys.iter().cloned()).collect();
    let held = ring.held(&keys).await;
    let mut states = vec![oracle.server.contents(&keys).await.expect("answers")];
    if may_have_run {
        for call in calls {
            oracle.server.ask(&call.command()).await;
            states.push(oracle.server.contents(&keys).await.expect("answers"));
        }
    }
    let is_random = |call: &Call<'_>| {
        matches!(call.form.compare, Compare::Popped | Compare::Stamped | Compare::Adopted) && may_have_run
    };
    for (key, held) in &held {
        let random = calls.iter().any(|call| is_random(call) && call.keys.contains(key));
        if !random && !states.iter().any(|state| is_such(held, &state[key])) {
            let states: Vec<&Content> = states.iter().map(|state: &BTreeMap<_, _>| &state[key]).collect();
            return Err(format!(
                "{} holds what no part of a failed call leaves: {held:?}, and not one of {states:?}",
                key.escape_ascii()
            ));
        }
    }
    for key in &keys {
        ring.give(key, &mut oracle.server).await;
    }
    Ok(())
}

/// Whether the content is this; an expiry may have begun at another moment.
fn is_such(held: &Content, state: &Content) -> bool {
    (&held.kind, &held.value) == (&state.kind, &state.value)
        && (held.expiry == state.expiry
            || held.expiry > 0 && state.expiry > 0 && held.expiry.abs_diff(state.expiry) < 60_000)
}
