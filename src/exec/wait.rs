//! Calls that wait for something to come.
//!
//! None of them is ever blocked at a server. Each looks as a transaction looks, in which nothing blocks, on the connection
//! that all commands share and so in one order with them: what it takes the copies lose in that order. When there is
//! nothing, the primary is asked to tell of the next change of the keys (see [`Node::track`](crate::node::Node::track)),
//! and then the call looks again. So a call that is given up has taken nothing, nobody stands behind a call that waits,
//! and a primary that dies or is replaced while nothing came has nothing to hand over.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use redis::streams::StreamInfoStreamReply;
use redis::{Cmd, FromRedisValue, Value, cmd};
use tokio::time::{Instant, sleep, sleep_until};

use super::groups;
use super::steps::{Step, Tokens};
use super::write::owners;
use super::{Core, InStep, Snapshot};
use crate::command::{self, Plan};
use crate::error::{Error, ErrorKind, Result};
use crate::node::{Link, Node, Queue, Tracked, Turn, Waiter};
use crate::placement::Token;

/// When a call looks again though it was told nothing. Nobody should depend on it.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Likewise for a consumer of a group: no server tells when its group is removed.
const LOOK_FOR_GROUP: Duration = Duration::from_secs(1);

/// How often it looks where the server cannot tell.
const POLL: Duration = Duration::from_millis(25);

/// Runs a call that may wait, until something has come or its time is over: then nil, as from a server.
///
/// Dropping the future ends the wait. If it was just taking something, that is taken from all owners.
///
/// # Errors
/// The ring's own, when no owner of the key answers. What was taken from a primary whose reply was lost is taken once more,
/// from the next owner.
pub(super) async fn run(core: &Arc<Core>, snapshot: &Arc<Snapshot>, cmd: &Cmd, plan: Plan<'_>) -> Result<Value> {
    let began = Instant::now();
    let Plan::Wait { key, .. } = plan else { return Err(Error::new(ErrorKind::Refused, "it does not wait")) };
    let token = Token::of_key(key);
    let until = match command::longest_wait(cmd, &plan) {
        Some(longest) => longest.and_then(|longest| began.checked_add(longest)),
        // The server says what is wrong with it.
        None => return look(core, snapshot, cmd, &plan, token).await,
    };
    let settled = settled(core, snapshot, cmd, &plan, token).await?;
    let (cmd, plan) = match &settled {
        // It has the same form and the same keys, so it has a plan too.
        Some(cmd) => (cmd, command::plan(cmd).unwrap_or(plan)),
        None => (cmd, plan),
    };
    let first = look(core, snapshot, cmd, &plan, token).await?;
    if is_something(&first) {
        return Ok(first);
    }
    let (queue, look_again) = match command::competes(cmd, &plan) {
        Some([]) => (Queue::Of(Vec::new()), LOOK_AGAIN),
        Some(group) => (Queue::Of(group.to_vec()), LOOK_FOR_GROUP),
        None => (Queue::None, LOOK_AGAIN),
    };
    let waiter = core.changes.listen(command::awaited(cmd, &plan), &queue);
    let mut turn: Option<Turn> = None;
    // A call whose turn has come looks even if its time is over: the turn must not be lost.
    while turn.is_some() || until.is_none_or(|until| Instant::now() < until) {
        let told = pin!(waiter.told());
        let watch = Watch::begin(core, token, &waiter).await;
        // A group that is gone must be told its consumers, and it goes with its stream.
        if watch.is_worth_a_look(look_again == LOOK_FOR_GROUP) {
            let reply = look(core, &core.snapshot.load_full(), cmd, &plan, token).await?;
            // What has another type is not waited for, and what may come in its place is.
            if is_something(&reply) && !is_of_another_type(&reply) {
                // There may be more than this took.
                drop(turn.unwrap_or_else(|| waiter.turn()));
                return Ok(reply);
            }
        }
        if let Some(turn) = turn.take() {
            turn.in_vain();
        }
        turn = tokio::select! {
            turn = told => Some(turn),
            () = watch.over(core, token, look_again) => None,
            () = until_or_for_ever(until) => None,
        };
    }
    Ok(Value::Nil)
}

/// Does what the call would do if it could not wait.
async fn look(core: &Arc<Core>, snapshot: &Arc<Snapshot>, cmd: &Cmd, plan: &Plan<'_>, token: Token) -> Result<Value> {
    let step = Step::new(cmd, plan, Tokens::One(token), false).or_elsewhere();
    // In a transaction nothing blocks.
    let mut ran = groups::run(core, snapshot, vec![step], true).await;
    ran.results.pop().unwrap_or_else(|| Err(Error::new(ErrorKind::Disconnected, "a command was lost")))
}

fn is_something(reply: &Value) -> bool {
    *reply != Value::Nil
}

fn is_of_another_type(reply: &Value) -> bool {
    matches!(reply, Value::ServerError(error) if error.code() == "WRONGTYPE")
}

async fn until_or_for_ever(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// What the primary was asked about the keys.
struct Watch {
    /// Its connection, on which the call would look.
    primary: Option<Arc<Link>>,
    tracked: Result<Tracked>,
}

impl Watch {
    /// Asks the primary to tell of the next change.
    async fn begin(core: &Core, token: Token, waiter: &Waiter) -> Watch {
        let Some((node, link)) = primary(core, token) else {
            let error = Error::new(ErrorKind::NoOwner, "no owner is connected");
            return Watch { primary: None, tracked: Err(error) };
        };
        let tracked = node.track(&link, &core.changes, waiter.keys()).await;
        if let Err(error) = &tracked {
            tracing::debug!(node = %node.id(), %error, "cannot be asked to tell of changes");
            // If it hangs, that is noticed by what it does not answer, and the next owner is the primary then. A look
            // would be the wrong question: it could take something later.
            let _ = link.request(&cmd("PING"), core.read_ms).await;
        }
        Watch { primary: Some(link), tracked }
    }

    /// Not if the primary has just said that nothing is there, unless even that is something, nor if it may hang.
    fn is_worth_a_look(&self, at_nothing: bool) -> bool {
        match (&self.primary, &self.tracked) {
            (_, Ok(tracked)) => at_nothing || tracked.present,
            (Some(link), Err(_)) => link.is_open() && !link.is_silent(),
            // Nobody is connected: then the look says why, or finds somebody who is.
            (None, Err(_)) => true,
        }
    }

    /// Returns when another member must be asked, or the same again.
    async fn over(&self, core: &Core, token: Token, look_again: Duration) {
        let Ok(Tracked { link: Some(tracking), .. }) = &self.tracked else {
            // Jittered, lest all who wait look at once.
            return sleep(POLL.mul_f64(fastrand::f64() + 0.5)).await;
        };
        let again = Instant::now() + look_again.mul_f64(fastrand::f64() / 2.0 + 0.75);
        loop {
            // A waiter registered before looking misses no change.
            let mut changed = pin!(core.changed.notified());
            changed.as_mut().enable();
            let same = match (primary(core, token), &self.primary) {
                (Some((_, now)), Some(then)) => Arc::ptr_eq(&now, then),
                (Some(_) | None, _) => false,
            };
            if !same || !tracking.is_open() {
                return;
            }
            tokio::select! {
                () = changed => {}
                () = sleep_until(again) => return,
            }
        }
    }
}

/// The primary of this moment and its connection. Nobody is written, so nothing has begun when this returns.
fn primary(core: &Core, token: Token) -> Option<(Arc<Node>, Arc<Link>)> {
    let mut snapshot = InStep::newest(core);
    let owners = owners(core, &mut snapshot, token, &[])?;
    let seat = snapshot.seat(owners.primary());
    Some((Arc::clone(&seat.node), seat.link.clone()?))
}

/// The same call with ids in the place of `$`, which would mean another place each time that the call looks; none if it has
/// no `$`.
async fn settled(
    core: &Arc<Core>,
    snapshot: &Arc<Snapshot>,
    call: &Cmd,
    plan: &Plan<'_>,
    token: Token,
) -> Result<Option<Cmd>> {
    let streams = command::from_now(call, plan);
    if streams.is_empty() {
        return Ok(None);
    }
    let ask = |(key, _): &(Vec<u8>, usize)| {
        let cmd = cmd("XINFO").arg("STREAM").arg(key).take();
        Step::part(cmd, vec![token], false)
    };
    let ran = groups::run(core, snapshot, streams.iter().map(ask).collect(), true).await;
    let mut ids = Vec::with_capacity(streams.len());
    for ((_, at), reply) in streams.iter().zip(ran.results) {
        // A stream that is not there begins at its first entry; what else is wrong with the key the call itself will be told.
        let last = StreamInfoStreamReply::from_redis_value(reply?).map(|stream| stream.last_generated_id);
        ids.push((*at, last.unwrap_or_else(|_| "0-0".to_owned())));
    }
    Ok(Some(command::with_words(call, &ids)))
}
