//! Reads whose reply may be kept, and is then given again without a round trip.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use redis::{Cmd, RedisResult, Value};

use super::read::{self, first_choice};
use super::reply::{Verdict, judge};
use super::{Core, Senders, Snapshot};
use crate::cache::{Cache, Fill};
use crate::command;
use crate::node::{Attempt, Tracking};
use crate::placement::Token;

/// Reads a key: from the cache if the owner that would be asked has said it before and is known to be well, else from
/// that owner as any read, in one round trip, with what it takes to keep the reply.
pub(super) async fn read(
    core: &Core,
    cache: &Cache,
    snapshot: &Arc<Snapshot>,
    senders: &mut Senders,
    cmd: &Cmd,
    key: &[u8],
) -> RedisResult<Value> {
    // A caller that is answered from memory over and over must let others run, those who read the connections among them.
    tokio::task::coop::consume_budget().await;
    let token = Token::of_key(key);
    let chosen = first_choice(&core.options.read_policy, snapshot, token);
    let Some((owner, link, tracking)) = chosen.and_then(|(owner, link)| Some((owner, link, link.tracking()?))) else {
        return Box::pin(read::read(core, snapshot, senders, cmd, token)).await;
    };
    let place = place(cmd, tracking);
    let now = Instant::now();
    if tracking.holds(now)
        && !core.is_past(snapshot)
        && let Some(value) = cache.get(token, &place, now)
    {
        core.counters.cache_hits.add_one();
        return Ok(Value::clone(&value));
    }
    core.counters.cache_misses.add_one();
    let wire = command::tracked_read(cmd, key);
    let fill = cache.begin(token);
    let send = pin!(async {
        let sent = Instant::now();
        let replies = senders.of(owner, link).send_packed_commands(&wire, 0, wire.len()).await?;
        tracking.proved(sent);
        Ok(take(replies, place, fill, tracking, sent))
    });
    // As `read::read`, which has no part in common with this: it is the way of nearly all reads, and counted in
    // instructions.
    let mut attempt = Attempt::new(link, send);
    match attempt.within(link.hedge_after_ms().min(core.read_ms)).await {
        Some(Ok(value)) if judge(&value) == Verdict::Answer && !core.is_past(snapshot) => {
            let node = &snapshot.seat(owner).node;
            node.succeeded();
            if tracing::enabled!(tracing::Level::DEBUG) {
                read::answered(node);
            }
            Ok(value)
        }
        event => Box::pin(read::race(core, snapshot, cmd, token, Some((owner, link, &mut attempt, event)))).await,
    }
}

/// A reply's place in the cache: the whole command, and the connection.
fn place(cmd: &Cmd, tracking: &Tracking) -> Vec<u8> {
    let mut place = command::packed(cmd);
    place.extend_from_slice(&tracking.link().to_le_bytes());
    place
}

/// The reply to the command, which is kept if it may be.
fn take(replies: Vec<Value>, place: Vec<u8>, fill: Fill<'_>, tracking: &Tracking, sent: Instant) -> Value {
    let mut replies = replies.into_iter();
    let (tracked, reply, lives) = (replies.next(), replies.next().unwrap_or_default(), replies.next());
    let expires = match lives {
        Some(Value::Int(-1)) => Some(None),
        // No key is there. Any other reply than nil may be of one that expired after it.
        Some(Value::Int(-2)) if reply == Value::Nil => Some(None),
        // Counted from when it was sent, no clock but this one matters: the server has looked later.
        Some(Value::Int(ms @ 1..)) => sent.checked_add(Duration::from_millis(ms.unsigned_abs())).map(Some),
        _ => None,
    };
    if let (Some(Value::Okay), Some(expires)) = (tracked, expires) {
        fill.keep(place, tracking.link(), &reply, expires);
    }
    reply
}
