//! Steps are grouped by their owners and each group runs as one batch, until every step has its result.

use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{join, join_all};
use futures_util::stream::FuturesUnordered;
use redis::{Cmd, Pipeline, Value};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::Instrument;

use super::batch::Batch;
use super::ended::{Done, Ended};
use super::fence;
use super::owners::Owners;
use super::read::{hurry, in_order, may_hedge, no_owner, read};
use super::reply::{Verdict, judge};
use super::round::Failures;
use super::steps::Step;
use super::write::{because, caller_is_gone, deadline, owners, pause};
use super::{Core, InStep, Senders, Snapshot};
use crate::error::{Error, ErrorKind, Outcome};
use crate::node::{Fault, Link};
use crate::placement::{MemberIndex, NodeId, Token};
use crate::policy::WritePolicy;

/// How many reads of a group that did not answer as one may wait at the same time.
const SINGLE_READS: usize = 1024;

/// How many commands a server executes in a millisecond at the least, its replies under way included.
const COMMANDS_IN_A_MS: usize = 50;

/// What became of all steps.
pub(super) struct Ran {
    /// In the order of the steps: the reply of a server, an error included, or the ring's own error.
    pub(super) results: Vec<Result<Value, Error>>,
    /// Whether a server refused the transaction as a whole.
    pub(super) aborted: bool,
}

/// Steps that are not done, each with its number among all.
type Pending = Vec<(usize, Step)>;

/// Runs steps. Those of one key run in their order; all others side by side. `atomic` ones have one token.
///
/// The commands are on the wire when the future has been polled once, unless an owner is not connected or writes are held
/// up. Dropping it does not leave a write on one owner only: what was begun goes on by itself.
pub(super) async fn run(core: &Arc<Core>, first: &Arc<Snapshot>, steps: Vec<Step>, atomic: bool) -> Ran {
    let writes = steps.iter().filter(|step| step.copying.writes());
    let _writing = core.writing(writes.flat_map(|step| step.tokens.all().iter().copied()));
    if core.pause.is_held() {
        Box::pin(core.pause.over()).await;
    }
    let mut snapshot = InStep::with(core, first);
    let mut results: Vec<Option<Result<Value, Error>>> = steps.iter().map(|_| None).collect();
    let mut pending: Pending = steps.into_iter().enumerate().collect();
    let mut failures = Failures::new();
    let mut unknown: HashSet<usize> = HashSet::new();
    let mut aborted = false;
    let mut until = None;
    let mut doubtful: Vec<Vec<u8>> = Vec::new();
    let mut first_round = true;
    let mut trouble = None;
    loop {
        if !first_round {
            core.counters.repeated_writes.add_one();
        }
        let (reads, writes) = apart(std::mem::take(&mut pending), atomic);
        let mut waiting = Pending::new();
        // Nothing here waits, so all of it is on the wire when this has been polled for the first time.
        let mut groups = Some(by_owners(core, &mut snapshot, writes, &failures, &unknown, &mut waiting));
        let begun = poll_fn(|cx| {
            let groups = groups.take().unwrap_or_default().into_iter();
            Poll::Ready(groups.map(|group| begin(core, &snapshot, group, atomic, cx)).collect::<Vec<_>>())
        })
        .await;
        let reading =
            join_all(by_readers(&snapshot, reads).into_iter().map(|group| read_group(core, &snapshot, group)));
        let (read, ended) = join(reading, join_all(begun.into_iter().map(Begun::end))).await;
        for (number, result) in read.into_iter().flatten() {
            set(&mut results, number, result);
        }
        let mut refused: Vec<MemberIndex> = Vec::new();
        for (numbers, ended) in ended {
            refused.extend(ended.refused);
            aborted = ended.aborted;
            failures.extend(ended.failures);
            let mut steps = ended.steps.into_iter();
            for (number, done) in numbers.into_iter().zip(ended.done) {
                let step = steps.next();
                match (done, step) {
                    (Done::Replied(value), _) => set(&mut results, number, Ok(value)),
                    (Done::Failed(error), _) => set(&mut results, number, Err(error)),
                    (Done::Again { unknown: maybe }, Some(step)) => {
                        if maybe {
                            unknown.insert(number);
                            doubtful.extend(step.written());
                        }
                        pending.push((number, step));
                    }
                    // What is to run again comes back.
                    (Done::Again { .. }, None) => {}
                }
            }
        }
        pending.extend(waiting);
        pending.sort_by_key(|(number, _)| *number);
        if pending.is_empty() {
            break;
        }
        // Of what comes after the first try: a server that hangs is known to, only when that has ended.
        if caller_is_gone() || Instant::now() >= *until.get_or_insert_with(|| deadline(core)) {
            for (number, step) in std::mem::take(&mut pending) {
                let error = no_owner(&snapshot, step.tokens.first(), &failures, "written");
                let error = because(error, trouble.clone());
                let error = if unknown.contains(&number) {
                    core.counters.unknown_writes.add_one();
                    error.with_outcome(Outcome::Unknown)
                } else {
                    error
                };
                set(&mut results, number, Err(error));
            }
            break;
        }
        pending.iter().for_each(|(_, step)| hurry(&snapshot, step.tokens.first()));
        trouble = primaries(core, &snapshot, refused, &pending).await.err();
        pause(core, &mut snapshot).await;
        first_round = false;
    }
    if !doubtful.is_empty() {
        // Whether they all have it is for a look to tell.
        core.suspect(doubtful);
    }
    let ended = || Err(Error::new(ErrorKind::Disconnected, "the runtime ended while a command was under way"));
    Ran { results: results.into_iter().map(|result| result.unwrap_or_else(ended)).collect(), aborted }
}

/// Sees to the primaries of what is to run again: those that refused it, and those that are not connected.
async fn primaries(
    core: &Arc<Core>,
    snapshot: &Snapshot,
    refused: Vec<MemberIndex>,
    pending: &Pending,
) -> Result<(), Error> {
    if core.fences.is_none() {
        return Ok(());
    }
    let refusals = refused.into_iter().map(|primary| fence::refused(core, snapshot, primary));
    let refusals = futures_util::future::try_join_all(refusals).await;
    let newest = core.snapshot.load_full();
    let mut first: HashMap<Option<MemberIndex>, Token> = HashMap::new();
    for token in pending.iter().map(|(_, step)| step.tokens.first()) {
        first.entry(newest.topology().writers(token).next()).or_insert(token);
    }
    let lost = first.into_values().map(|token| fence::primary(core, token));
    futures_util::future::try_join_all(lost).await?;
    refusals.map(|_| ())
}

fn set(results: &mut [Option<Result<Value, Error>>], number: usize, result: Result<Value, Error>) {
    if let Some(place) = results.get_mut(number) {
        *place = Some(result);
    }
}

/// Reads of keys that nothing writes here may be answered by any owner; all else is the primary's.
fn apart(pending: Pending, atomic: bool) -> (Pending, Pending) {
    if atomic {
        return (Pending::new(), pending);
    }
    let mut written: HashSet<u32> = HashSet::new();
    for (_, step) in pending.iter().filter(|(_, step)| step.copying.writes()) {
        written.extend(step.tokens.all().iter().map(|token| token.0));
    }
    let reads_only =
        |step: &Step| !step.copying.writes() && !step.tokens.all().iter().any(|token| written.contains(&token.0));
    pending.into_iter().partition(|(_, step)| reads_only(step))
}

/// Steps with the same owners.
struct Group {
    owners: Owners,
    steps: Pending,
}

/// Groups steps by the owners that they are written to; those without a connected owner must wait.
fn by_owners(
    core: &Core,
    snapshot: &mut InStep,
    pending: Pending,
    failures: &Failures,
    unknown: &HashSet<usize>,
    waiting: &mut Pending,
) -> Vec<Group> {
    // A look at the owners may make the snapshot current. All groups are made of one.
    let (homes, owners) = loop {
        let before = Arc::clone(&**snapshot);
        let mut known: HashMap<Owners, usize> = HashMap::new();
        let mut by_token: HashMap<u32, Option<usize>> = HashMap::new();
        let mut all: Vec<Owners> = Vec::new();
        let mut homes = Vec::with_capacity(pending.len());
        for (number, step) in &pending {
            let token = step.tokens.first();
            homes.push(if unknown.contains(number) && step.is_once_for_each() {
                // Who may have executed it has what it did.
                owners(core, snapshot, token, failures)
                    .and_then(|owners| owners.without(|owner| has_failed(snapshot, failures, owner)))
                    .map(|owners| {
                        all.push(owners);
                        all.len() - 1
                    })
            } else if live_together(snapshot, step) {
                *by_token.entry(token.0).or_insert_with(|| {
                    let owners = owners(core, snapshot, token, failures)?;
                    Some(*known.entry(owners).or_insert_with(|| {
                        all.push(owners);
                        all.len() - 1
                    }))
                })
            } else {
                None
            });
        }
        if Arc::ptr_eq(&before, &**snapshot) {
            break (homes, all);
        }
    };
    let mut groups: Vec<Group> = owners.into_iter().map(|owners| Group { owners, steps: Pending::new() }).collect();
    for ((number, step), home) in pending.into_iter().zip(homes) {
        match home.and_then(|home| groups.get_mut(home)) {
            Some(group) => group.steps.push((number, step)),
            None => waiting.push((number, step)),
        }
    }
    groups
}

fn has_failed(snapshot: &Snapshot, failures: &Failures, owner: MemberIndex) -> bool {
    failures.iter().any(|(id, _)| id == snapshot.seat(owner).node.id())
}

/// Whether the keys of a part still have the same owners. The ring may have changed since it was taken apart, and then
/// it must not be written: some of its keys would be at members that do not own them.
fn live_together(snapshot: &Snapshot, step: &Step) -> bool {
    let owners = |token: &Token| snapshot.topology().writers(*token);
    match step.tokens.all() {
        [] | [_] => true,
        [first, others @ ..] => others.iter().all(|other| owners(other).eq(owners(first))),
    }
}

/// A batch on its way.
struct Begun {
    /// Which of all steps they are.
    numbers: Vec<usize>,
    task: JoinHandle<Ended>,
    early: Option<oneshot::Receiver<Vec<Value>>>,
}

/// Puts a group on the wire. It goes on in a task of its own: a caller that stops polling would hold up all who wait
/// behind it in line, itself included. Whatever must be sent again is sent by the caller, if it is still there.
fn begin(core: &Arc<Core>, snapshot: &InStep, group: Group, atomic: bool, cx: &mut Context<'_>) -> Begun {
    let (mut early, mut acknowledged) = (None, None);
    if core.options.write_policy == WritePolicy::Primary {
        let (sender, receiver) = oneshot::channel();
        (early, acknowledged) = (Some(sender), Some(receiver));
    }
    let (numbers, steps) = group.steps.into_iter().unzip();
    let batch =
        Batch { core: Arc::clone(core), snapshot: snapshot.clone(), owners: group.owners, steps, atomic, early };
    let running = batch.begin(cx);
    let task = core.runtime.spawn(running.in_current_span());
    Begun { numbers, task, early: acknowledged }
}

impl Begun {
    async fn end(self) -> (Vec<usize>, Ended) {
        let Begun { numbers, task, early } = self;
        if let Some(early) = early
            && let Ok(replies) = early.await
        {
            let done = replies.into_iter().map(Done::Replied).collect();
            return (numbers, Ended::of(done));
        }
        let ended = task.await.unwrap_or_else(|error| {
            let error = Error::new(ErrorKind::Disconnected, "the runtime ended while a write was under way")
                .with_outcome(Outcome::Unknown)
                .with_source(error);
            let done = numbers.iter().map(|_| Done::Failed(error.clone())).collect();
            Ended::of(done)
        });
        (numbers, ended)
    }
}

/// Gives the copies of this snapshot the state that these keys, of one token, have at this member, their primary, now. What
/// this process sends later for them reaches the copies later. `false` if it did not give its state away, and then nobody has
/// got anything: one that can be taken out of the ring is not waited for.
///
/// # Errors
/// Where it refuses to, or a copy may lack it.
pub(super) async fn copy_state_from(
    core: &Arc<Core>,
    mut snapshot: InStep,
    keys: Vec<Vec<u8>>,
    member: &NodeId,
) -> Result<bool, Error> {
    let until = deadline(core);
    let mut step = Step::state_of(keys);
    let token = step.tokens.first();
    let _writing = core.writing(step.tokens.all().iter().copied());
    loop {
        let Some(owners) = owners(core, &mut snapshot, token, &[]) else { return Ok(false) };
        if snapshot.seat(owners.primary()).node.id() != member {
            return Ok(false);
        }
        let was_by_script = step.by_script;
        let mut group = Some(Group { owners, steps: vec![(0, step)] });
        let begun = poll_fn(|cx| Poll::Ready(group.take().map(|group| begin(core, &snapshot, group, false, cx))));
        let Some(begun) = begun.await else { return Ok(false) };
        let mut ended = begun.task.await.map_err(|_| lost().with_outcome(Outcome::Unknown))?;
        step = match (ended.done.pop(), ended.steps.pop()) {
            (Some(Done::Replied(reply)), _) => {
                let refused = |error| {
                    Error::new(ErrorKind::Server, "the primary does not give its state away").with_source(error)
                };
                return reply.extract_error().map(|_| true).map_err(refused);
            }
            (Some(Done::Failed(error)), _) => return Err(error),
            // A server that is short of memory does it otherwise, at once and in the same step of the ring.
            (Some(Done::Again { .. }), Some(by_script)) if by_script.by_script && !was_by_script => {
                step = by_script;
                continue;
            }
            (Some(Done::Again { .. }), Some(step)) if core.fences.is_none() && Instant::now() < until => step,
            (Some(Done::Again { .. }), _) => return Ok(false),
            (None, _) => return Err(lost().with_outcome(Outcome::Unknown)),
        };
        hurry(&snapshot, token);
        pause(core, &mut snapshot).await;
    }
}

/// Groups reads by the owners that may answer them.
fn by_readers(snapshot: &Snapshot, pending: Pending) -> Vec<Pending> {
    let mut groups: Vec<Pending> = Vec::new();
    let mut known: HashMap<&[MemberIndex], usize> = HashMap::new();
    for (number, step) in pending {
        let owners = snapshot.topology().serving().owners(step.tokens.first());
        let place = *known.entry(owners).or_insert_with(|| {
            groups.push(Pending::new());
            groups.len() - 1
        });
        if let Some(group) = groups.get_mut(place) {
            group.push((number, step));
        }
    }
    groups
}

/// Reads a group in one message from the owner that is asked first, likewise from the next where that one fails or says
/// nothing, and each key on its own where all did.
async fn read_group(core: &Core, snapshot: &Arc<Snapshot>, mut group: Pending) -> Vec<(usize, Result<Value, Error>)> {
    if group.len() == 1 {
        return one_by_one(core, snapshot, group).await;
    }
    let token = group.first().map_or(Token(0), |(_, step)| step.tokens.first());
    let mut wire = Pipeline::with_capacity(group.len());
    // Moved there; those that must be asked for once more come back from there.
    group.iter_mut().for_each(|(_, step)| {
        wire.add_command(std::mem::take(&mut step.cmd));
    });
    // Whoever has much to do is not silent while doing it.
    let longer = u64::try_from(group.len() / COMMANDS_IN_A_MS).unwrap_or(u64::MAX);
    let mut owners = in_order(&core.options.read_policy, snapshot, token)
        .filter_map(|owner| Some((owner, snapshot.seat(owner).trusted()?)));
    let mut running = FuturesUnordered::new();
    let mut newest: Option<&Arc<Link>> = None;
    let mut next = true;
    let answered = loop {
        if std::mem::take(&mut next) {
            newest = owners.next().map(|(owner, link)| {
                if !running.is_empty() {
                    core.counters.hedged_reads.add_one();
                }
                let wire = &wire;
                running.push(async move { (owner, link.batch(wire, core.read_ms).await) });
                link
            });
        }
        let hedge_ms = newest.map_or(0, |link| (link.hedge_after_ms() + longer).min(core.read_ms));
        tokio::select! {
            biased;
            ended = running.next() => match ended {
                None => break None,
                Some((owner, Ok(replies))) if replies.len() == group.len() => break Some((owner, replies)),
                Some((owner, result)) => {
                    if !matches!(result, Err(Fault::Full)) {
                        snapshot.seat(owner).node.failed();
                    }
                    next = true;
                }
            },
            () = tokio::time::sleep(Duration::from_millis(hedge_ms)), if newest.is_some() => {
                // As long as replies come in, the owner is at it.
                next = newest.is_some_and(|link| !link.heard_within(hedge_ms) && (link.is_silent() || may_hedge(link)));
            }
        }
    };
    drop(running);
    let back = |(number, mut step): (usize, Step), cmd: &Cmd| {
        step.cmd = cmd.clone();
        (number, step)
    };
    let answered = match answered {
        // The owner may not be written any more.
        Some(_) if core.is_past(snapshot) => Err(core.snapshot.load_full()),
        answered => answered.ok_or_else(|| Arc::clone(snapshot)),
    };
    let (owner, replies) = match answered {
        Ok(answered) => answered,
        Err(snapshot) => {
            let group = group.into_iter().zip(wire.cmd_iter()).map(|(one, cmd)| back(one, cmd)).collect();
            return one_by_one(core, &snapshot, group).await;
        }
    };
    let mut done = Vec::with_capacity(group.len());
    let mut left = Pending::new();
    for (((number, step), cmd), reply) in group.into_iter().zip(wire.cmd_iter()).zip(replies) {
        match judge(&reply) {
            Verdict::Answer | Verdict::OutOfMemory => done.push((number, Ok(reply))),
            Verdict::Unavailable => left.push(back((number, step), cmd)),
        }
    }
    let node = &snapshot.seat(owner).node;
    if left.is_empty() {
        node.succeeded();
    } else {
        node.failed();
        done.extend(one_by_one(core, snapshot, left).await);
    }
    done
}

async fn one_by_one(core: &Core, snapshot: &Arc<Snapshot>, steps: Pending) -> Vec<(usize, Result<Value, Error>)> {
    let each = steps.into_iter().map(|(number, step)| async move {
        let result = read(core, snapshot, &mut Senders::default(), &step.cmd, step.tokens.first()).await;
        (number, result.map_err(own))
    });
    futures_util::stream::iter(each).buffer_unordered(SINGLE_READS).collect().await
}

/// The ring's own error of a read.
pub(super) fn own(error: redis::RedisError) -> Error {
    match Error::of_redis(&error) {
        Some(own) => own.clone(),
        None => Error::new(ErrorKind::Disconnected, "the connection was lost").with_source(error),
    }
}

/// One command that the copies get by its effect.
pub(super) async fn one(core: &Arc<Core>, snapshot: &Arc<Snapshot>, step: Step) -> Result<Value, Error> {
    let mut ran = run(core, snapshot, vec![step], false).await;
    ran.results.pop().unwrap_or_else(|| Err(lost()))
}

fn lost() -> Error {
    Error::new(ErrorKind::Disconnected, "a command was lost")
}
