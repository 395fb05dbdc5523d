//! Reads: the primary, and the next owner the moment the first cannot answer.

use std::fmt::Write as _;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use redis::{Cmd, RedisResult, Value};
use tokio::time::Instant;

use super::reply::{Verdict, judge};
use super::{Core, Seat, Snapshot};
use crate::command;
use crate::error::{Error, ErrorKind, Retry};
use crate::node::{Attempt, Fault, Link, Node, Senders};
use crate::placement::{MemberIndex, NodeId, Token};
use crate::policy::ReadPolicy;

/// Reads a key of this token from one of its owners.
///
/// The usual case, an owner that is connected and answers in its usual time, costs one round trip and allocates
/// nothing of its own; everything else is a [`Race`].
#[inline]
pub(super) async fn read(
    core: &Core,
    snapshot: &Arc<Snapshot>,
    senders: &mut Senders,
    cmd: &Cmd,
    token: Token,
) -> RedisResult<Value> {
    let Some((owner, link)) = first_choice(&core.options.read_policy, snapshot, token) else {
        return Box::pin(race(core, snapshot, cmd, token, None::<Begun<'_, '_, Nothing>>)).await;
    };
    let send = pin!(senders.of(owner, link).send_packed_command(cmd));
    let mut attempt = Attempt::new(link, send);
    let read_ms = core.read_ms;
    match attempt.within(link.hedge_after_ms().min(read_ms)).await {
        Some(Ok(value)) if judge(&value) == Verdict::Answer && !core.is_past(snapshot) => {
            let node = &snapshot.seat(owner).node;
            node.succeeded();
            if tracing::enabled!(tracing::Level::DEBUG) {
                answered(node);
            }
            Ok(value)
        }
        event => Box::pin(race(core, snapshot, cmd, token, Some((owner, link, &mut attempt, event)))).await,
    }
}

#[cold]
pub(super) fn answered(node: &Node) {
    tracing::debug!(node = %node.id(), attempt = 1, "answered");
}

/// The first owner in the policy's order that is up, connected, and neither silent nor failing.
#[inline]
pub(super) fn first_choice<'a>(
    policy: &ReadPolicy,
    snapshot: &'a Snapshot,
    token: Token,
) -> Option<(MemberIndex, &'a Arc<Link>)> {
    if *policy == ReadPolicy::Primary
        && let Some(&primary) = snapshot.topology.serving().owners(token).first()
        && let Some(link) = snapshot.seat(primary).trusted()
    {
        return Some((primary, link));
    }
    first_in_order(policy, snapshot, token)
}

/// Not part of the way of nearly all reads.
#[cold]
fn first_in_order<'a>(
    policy: &ReadPolicy,
    snapshot: &'a Snapshot,
    token: Token,
) -> Option<(MemberIndex, &'a Arc<Link>)> {
    in_order(policy, snapshot, token).find_map(|owner| Some((owner, snapshot.seat(owner).trusted()?)))
}

/// The owners in the policy's order, whatever their state.
pub(super) fn in_order<'a>(
    policy: &ReadPolicy,
    snapshot: &'a Snapshot,
    token: Token,
) -> impl Iterator<Item = MemberIndex> + use<'a> {
    let owners = snapshot.topology.serving().owners(token);
    let first = match policy {
        ReadPolicy::Primary => 0,
        ReadPolicy::Replica => usize::from(owners.len() > 1),
        ReadPolicy::Any => fastrand::usize(..owners.len().max(1)),
        ReadPolicy::Nearest { zone } => {
            let here = |owner: &MemberIndex| snapshot.topology.member(*owner).zone.as_ref() == Some(zone);
            owners.iter().position(here).unwrap_or(0)
        }
    };
    let (before, from) = owners.split_at(first.min(owners.len()));
    from.iter().chain(before).copied()
}

/// A first attempt and what came of it so far.
pub(super) type Begun<'a, 'l, F> = (MemberIndex, &'a Arc<Link>, &'a mut Attempt<'l, F>, Option<Result<Value, Fault>>);
/// The type of no first attempt.
type Nothing = std::future::Pending<RedisResult<Value>>;

/// How many times its timeout a read may take while bytes come in.
const PATIENCE: u32 = 4;

/// When owners that could not answer are asked again, if nothing changes before.
pub(super) const ASK_AGAIN: Duration = Duration::from_millis(20);

/// An attempt that goes on beside others, with the snapshot that it was chosen by.
type Running<'a> = BoxFuture<'a, (Arc<Node>, Arc<Snapshot>, Result<Value, Fault>)>;

/// Asks one owner after the other, and several at a time where one is slow; the first answer wins.
struct Race<'a> {
    core: &'a Core,
    cmd: &'a Cmd,
    running: FuturesUnordered<Running<'a>>,
    /// The owners that were asked, with their connections: a new connection may be asked again.
    asked: Vec<(NodeId, Arc<Link>)>,
    failures: Vec<(NodeId, String)>,
}

pub(super) async fn race<F: Future<Output = RedisResult<Value>> + Send>(
    core: &Core,
    first_snapshot: &Arc<Snapshot>,
    cmd: &Cmd,
    token: Token,
    begun: Option<Begun<'_, '_, F>>,
) -> RedisResult<Value> {
    let timeouts = &core.options.connect.timeouts;
    let read_ms = core.read_ms;
    // Long enough for a reconnect and one more attempt after the first; and more, for what is still coming in.
    let deadline = Instant::now() + timeouts.read + timeouts.connect;
    let last_moment = Instant::now() + timeouts.read.saturating_mul(PATIENCE) + timeouts.connect;
    let mut snapshot = Arc::clone(first_snapshot);
    let mut race = Race { core, cmd, running: FuturesUnordered::new(), asked: Vec::new(), failures: Vec::new() };

    // The link that is being waited for; when it is late, the next owner is asked as well.
    let mut newest: Option<Arc<Link>> = None;
    let mut go_on = true;
    let mut waits = 0;
    if let Some((owner, link, attempt, event)) = begun {
        let node = Arc::clone(&snapshot.seat(owner).node);
        race.asked.push((node.id().clone(), Arc::clone(link)));
        match event {
            Some(Ok(value)) if judge(&value) == Verdict::Answer => {
                node.succeeded();
                race.put_aside(&node);
                snapshot = core.snapshot.load_full();
            }
            Some(result) => race.failed(&node, &result),
            None if link.hedge_after_ms() >= read_ms => race.failed(&node, &Err(Fault::Late)),
            None => {
                go_on = may_hedge(link);
                let rest = read_ms - link.hedge_after_ms();
                let chosen = Arc::clone(&snapshot);
                newest = Some(Arc::clone(link));
                race.running.push(Box::pin(async move {
                    let mut result = attempt.within(rest).await;
                    while result.is_none() && link.heard_within(read_ms) {
                        result = attempt.within(read_ms).await;
                    }
                    (node, chosen, result.unwrap_or(Err(Fault::Late)))
                }));
            }
        }
    }
    loop {
        // A waiter registered before looking misses no change.
        let mut changed = pin!(core.changed.notified());
        changed.as_mut().enable();
        if go_on {
            match race.next_owner(&snapshot, token) {
                Some((node, link)) => {
                    race.start(node, &link, &snapshot, read_ms);
                    newest = Some(link);
                }
                None if race.running.is_empty() => {
                    // Nobody is left to ask: a connection or a topology may come that changes this, and somebody who
                    // could not answer may be able to a little later.
                    if Instant::now() >= deadline {
                        return Err(race.lost(&snapshot, token));
                    }
                    hurry(&snapshot, token);
                    let _ = tokio::time::timeout_at(deadline.min(Instant::now() + ASK_AGAIN), changed).await;
                    snapshot = core.snapshot.load_full();
                    race.asked.retain(|(_, link)| !link.is_open());
                    continue;
                }
                None => newest = None,
            }
        }
        let patience = newest
            .as_ref()
            .map(|link| Duration::from_millis(link.hedge_after_ms().saturating_mul(1 << waits.min(6)).min(read_ms)));
        tokio::select! {
            biased;
            Some((node, chosen, result)) = race.running.next() => match result {
                Ok(value) if judge(&value) == Verdict::Answer => {
                    node.succeeded();
                    if core.is_past(&chosen) {
                        race.put_aside(&node);
                        snapshot = core.snapshot.load_full();
                        go_on = true;
                        continue;
                    }
                    if race.asked.first().is_some_and(|(first, _)| first != node.id()) {
                        core.counters.failed_over_reads.add_one();
                    }
                    return Ok(value);
                }
                result => {
                    race.failed(&node, &result);
                    go_on = true;
                }
            },
            () = changed => {
                snapshot = core.snapshot.load_full();
                go_on = Instant::now() < deadline;
            }
            () = tokio::time::sleep_until(last_moment) => return Err(race.lost(&snapshot, token)),
            () = tokio::time::sleep(patience.unwrap_or_default()), if patience.is_some() => {
                go_on = newest.as_ref().is_none_or(|link| may_hedge(link));
                // One that may not be hedged is asked about again later, and later each time.
                waits += 1;
            }
        }
    }
}

/// A server that has answered nothing at all is left at once; one that still answers others only as the budget has it.
pub(super) fn may_hedge(link: &Link) -> bool {
    link.is_silent() || link.may_hedge()
}

/// Has the owners that are not connected try again now, since somebody waits for one of them.
pub(super) fn hurry(snapshot: &Snapshot, token: Token) {
    for owner in snapshot.topology.readers(token) {
        let seat = snapshot.seat(owner);
        if seat.link().is_none() {
            seat.node.hurry();
        }
    }
}

impl<'a> Race<'a> {
    /// The owner to ask next: one that is connected and was not asked on this connection; those in trouble last, and one that
    /// is known to have missed a write only where no other can be asked.
    fn next_owner(&self, snapshot: &Snapshot, token: Token) -> Option<(Arc<Node>, Arc<Link>)> {
        let (mut in_trouble, mut lacking) = (None, None);
        for owner in in_order(&self.core.options.read_policy, snapshot, token) {
            let seat = snapshot.seat(owner);
            let Some(link) = seat.node.link().filter(|_| seat.up) else { continue };
            if self.asked.iter().any(|(id, asked)| id == seat.node.id() && Arc::ptr_eq(asked, &link)) {
                continue;
            }
            if seat.node.is_trusted() && !link.is_silent() {
                return Some((Arc::clone(&seat.node), link));
            }
            let last = if seat.node.has_missed_a_write() { &mut lacking } else { &mut in_trouble };
            last.get_or_insert_with(|| (Arc::clone(&seat.node), link));
        }
        // That another is slow is no reason to take an old value.
        in_trouble.or(lacking.filter(|_| self.running.is_empty()))
    }

    fn start(&mut self, node: Arc<Node>, link: &Arc<Link>, chosen: &Arc<Snapshot>, read_ms: u64) {
        tracing::debug!(node = %node.id(), command = command::name(self.cmd), attempt = self.asked.len() + 1, "read");
        if !self.running.is_empty() {
            self.core.counters.hedged_reads.add_one();
        }
        self.asked.push((node.id().clone(), Arc::clone(link)));
        let (link, chosen, cmd) = (Arc::clone(link), Arc::clone(chosen), self.cmd);
        self.running.push(Box::pin(async move {
            let result = link.read(cmd, read_ms).await;
            (node, chosen, result)
        }));
    }

    /// The answer came when the ring had moved on, so it does not count. The member may be asked again: it may be an owner
    /// still.
    #[cold]
    fn put_aside(&mut self, node: &Node) {
        self.asked.retain(|(id, _)| id != node.id());
    }

    fn failed(&mut self, node: &Node, result: &Result<Value, Fault>) {
        // Our own queue being full says nothing of the server.
        if !matches!(result, Err(Fault::Full)) {
            node.failed();
        }
        let why = match result {
            Ok(Value::ServerError(error)) => format!("it says {}", error.code()),
            Ok(_) => "it gave no answer".to_owned(),
            Err(fault) => fault.to_string(),
        };
        tracing::debug!(node = %node.id(), command = command::name(self.cmd), attempt = self.asked.len(), why, "read failed");
        self.failures.push((node.id().clone(), why));
    }

    #[cold]
    fn lost(&self, snapshot: &Snapshot, token: Token) -> redis::RedisError {
        no_owner(snapshot, token, &self.failures, "read").into()
    }
}

/// Why no owner could answer or be written, member by member.
pub(super) fn no_owner(snapshot: &Snapshot, token: Token, failures: &[(NodeId, String)], what: &str) -> Error {
    let topology = &snapshot.topology;
    let mut text = format!("no owner of the key can be {what} now");
    for (nth, owner) in topology.serving().owners(token).iter().enumerate() {
        let member = topology.member(*owner);
        let seat: &Seat = snapshot.seat(*owner);
        let why = match failures.iter().rev().find(|(id, _)| *id == member.id) {
            Some((_, why)) => why.clone(),
            None if !seat.up => match &member.fault {
                Some(fault) => fault.clone(),
                None => member.state.to_string(),
            },
            None if seat.link().is_some_and(|link| !link.has_room()) => Fault::Full.to_string(),
            None if seat.link().is_some() => Fault::Late.to_string(),
            None => seat.node.trouble().map_or_else(|| "not connected yet".to_owned(), |error| error.to_string()),
        };
        // Writing to a string cannot fail.
        let _ = write!(text, "{} {}: {why}", if nth == 0 { ":" } else { ";" }, member.id);
    }
    Error::new(ErrorKind::NoOwner, text)
        .with_retry(Retry::Later)
        .with_hint("`redis-ring status` shows the members; one owner of the key must be up and answer")
}
