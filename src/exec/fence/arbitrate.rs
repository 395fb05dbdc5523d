//! Whose answer counts, where the owners of a key do not answer alike.
//!
//! A client that lags behind a fence asks a primary that is none any more, and that still answers. What shows it is the copy,
//! which is the primary by now: it does not answer alike. So whoever meets that asks for the newest ring *after* the replies.

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use redis::{Cmd, Value};
use tokio::time::{Instant, sleep, timeout_at};

use super::super::{Core, InStep, Snapshot};
use super::judge::adopted;
use crate::error::Error;
use crate::membership::Source;
use crate::node::{Fault, Link};
use crate::placement::{Member, MemberIndex, Phase, Step, Token, Topology};

/// How long an answer waits for the ring to leave a step, if a write may not take longer anyway.
const STEP: Duration = Duration::from_secs(1);

/// Whose answer counts.
#[derive(Debug)]
pub(in crate::exec) enum Ruling {
    /// That of the primary that was asked.
    Asked,
    /// That of this member of the snapshot that the command was run with: it is the primary by now.
    Other(MemberIndex),
    /// That of a member which was not asked. What the one asked did no longer counts.
    Nobody,
    /// ZooKeeper cannot be asked.
    Unsure(Error),
}

/// Asks for the newest ring, and finds out whose answer counts among those of `asked`, the primary first. The [`heir`] that
/// answered otherwise is given, if there is one.
pub(in crate::exec) async fn arbitrate(
    core: &Arc<Core>,
    snapshot: &Snapshot,
    asked: &[MemberIndex],
    heir: Option<MemberIndex>,
    token: Token,
) -> Ruling {
    let (Some(fences), Some(primary)) = (&core.fences, asked.first()) else { return Ruling::Asked };
    let view = match fences.arbiter.sync(core.options.connect.timeouts.write).await {
        Ok(view) => view,
        Err(error) => return Ruling::Unsure(error),
    };
    let (newest, known) = (&view.topology, &snapshot.topology);
    let leads = |index: MemberIndex| is_primary(known, newest, index, token);
    if let Some(heir) = heir {
        let taken = newest.step().0.saturating_sub(known.step().0);
        // Whoever was told meanwhile was told by the heir, which has been the primary, or nobody knows by whom.
        if taken > 1 || (taken == 1 && newest.phase() == Phase::Retiring && !leads(heir)) {
            adopted(core, fences).await;
            return Ruling::Nobody;
        }
    }
    if leads(*primary) {
        return Ruling::Asked;
    }
    // The next request is to be right at once.
    adopted(core, fences).await;
    if let Some(other) = asked.iter().find(|index| leads(**index)) {
        return Ruling::Other(*other);
    }
    // The ring has flipped away from it, and it has taken the writes of those who do not know yet until then.
    let is_written =
        same_life(known, newest, *primary).is_some_and(|now| newest.writers(token).any(|writer| writer == now));
    if is_written { Ruling::Asked } else { Ruling::Nobody }
}

/// The same life of a member in a newer topology.
fn same_life(known: &Topology, newest: &Topology, index: MemberIndex) -> Option<MemberIndex> {
    let member = known.member(index);
    newest.find(&member.id).filter(|(_, now)| now.generation == member.generation).map(|(now, _)| now)
}

/// Whether this life of a member is the key's primary in a newer topology.
fn is_primary(known: &Topology, newest: &Topology, index: MemberIndex, token: Token) -> bool {
    let first = newest.writers(token).next();
    first.is_some() && same_life(known, newest, index) == first
}

/// Who gains the key and is to be its primary, if it is among those that have answered otherwise than the primary.
pub(in crate::exec) fn heir(
    snapshot: &Snapshot,
    mut others: impl Iterator<Item = MemberIndex>,
    token: Token,
) -> Option<MemberIndex> {
    let heir = match (snapshot.topology.phase(), snapshot.topology.next()) {
        (Phase::Syncing, Some(next)) => next.owners(token).first().copied(),
        (Phase::Founding { .. } | Phase::Still | Phase::Filling | Phase::Syncing | Phase::Retiring, _) => None,
    };
    let answered = heir != snapshot.topology.writers(token).next() && others.any(|it| Some(it) == heir);
    heir.filter(|_| answered)
}

/// Whether a member that gained a key when it was written, and was to be its [`heir`], has been its primary since and is none
/// any more. Then nobody knows whom it has told what: a lock may have been given away there.
pub(in crate::exec) fn has_been_primary(core: &Core, written: &Snapshot, heir: MemberIndex, token: Token) -> bool {
    let newest = core.snapshot.load();
    let is_primary = is_primary(&written.topology, &newest.topology, heir, token);
    let taken = newest.step.0.saturating_sub(written.step.0);
    !is_primary && (taken > 1 || (taken == 1 && newest.topology.phase() == Phase::Retiring))
}

/// How long an answer may wait for the ring to leave a step.
pub(in crate::exec) fn step_takes(core: &Core) -> Duration {
    STEP.max(core.options.connect.timeouts.write)
}

/// Waits for the ring to leave `syncing` where an [`heir`] has answered otherwise than the primary. All who are in doubt have
/// to be told by the same one of the two, and only the end of the step says by which: who asked before it and who asks after
/// it would be told the same number twice. `false` if it takes too long.
pub(in crate::exec) async fn step_is_over(core: &Core, snapshot: &Snapshot, until: Instant) -> bool {
    // Whoever has lost ZooKeeper hears of no end; what becomes of it then is said by `Unfenced`.
    is_stale(core) || timeout_at(until, left(core, snapshot.step)).await.is_ok() || is_stale(core)
}

fn is_stale(core: &Core) -> bool {
    matches!(core.fences.as_ref().map(|fences| fences.arbiter.view().source), Some(Source::Stale { .. }))
}

async fn left(core: &Core, step: Step) {
    loop {
        // A waiter registered before looking misses no change.
        let mut changed = pin!(core.changed.notified());
        changed.as_mut().enable();
        if core.snapshot.load().step > step {
            return;
        }
        changed.await;
    }
}

/// What became of a command that a member had refused and was sent again.
#[derive(Debug)]
pub(in crate::exec) enum Insisted {
    /// It has executed it, and answered this.
    Executed(Value),
    Refused,
    /// It did not answer, and may have executed it.
    Lost,
}

/// Has a copy execute what it refused and the primary has executed. What stood in its way may be about to be taken away by
/// somebody whose command has not arrived yet: a lock that was given back, and taken at the primary.
pub(in crate::exec) async fn insist(
    core: &Core,
    snapshot: &Arc<Snapshot>,
    copy: MemberIndex,
    cmd: &Cmd,
    did_nothing: impl Fn(&Value) -> bool,
) -> Insisted {
    at_copy(core, snapshot, copy, cmd, did_nothing, for_a_moment(core)).await
}

/// Likewise an [`heir`], for as long as it is a copy: until the step ends, which has to be waited for otherwise.
pub(in crate::exec) async fn insist_at_heir(
    core: &Core,
    snapshot: &Arc<Snapshot>,
    heir: MemberIndex,
    cmd: &Cmd,
    did_nothing: impl Fn(&Value) -> bool,
    until: Instant,
) -> Insisted {
    let moment = for_a_moment(core);
    let lasts = || core.snapshot.load().step == snapshot.step && Instant::now() < until && !is_stale(core);
    at_copy(core, snapshot, heir, cmd, did_nothing, || moment() || lasts()).await
}

/// Likewise a member that is the primary by now.
pub(in crate::exec) async fn insist_there(
    core: &Core,
    primary: &Member,
    cmd: &Cmd,
    did_nothing: impl Fn(&Value) -> bool,
) -> Insisted {
    let held = InStep::newest(core);
    let link = held.topology().find(&primary.id).and_then(|(index, _)| held.link(index));
    match link.filter(|link| link.generation() == Some(primary.generation)) {
        Some(link) => until_done(core, &link, cmd, did_nothing, for_a_moment(core)).await,
        None => Insisted::Refused,
    }
}

async fn at_copy(
    core: &Core,
    snapshot: &Arc<Snapshot>,
    copy: MemberIndex,
    cmd: &Cmd,
    did_nothing: impl Fn(&Value) -> bool,
    goes_on: impl Fn() -> bool,
) -> Insisted {
    let held = InStep::with(core, snapshot);
    match snapshot.seat(copy).link().filter(|_| held.step == snapshot.step) {
        Some(link) => until_done(core, &link, cmd, did_nothing, goes_on).await,
        None => Insisted::Refused,
    }
}

/// The moment begins when this is first asked for, so that a process which stood still before asks its server all the same.
fn for_a_moment(core: &Core) -> impl Fn() -> bool + use<> {
    let (moment, begun) = (core.options.connect.timeouts.probe, OnceLock::new());
    move || begun.get_or_init(Instant::now).elapsed() < moment
}

/// Nothing that was sent is left behind: it is looked only in between whether this goes on.
async fn until_done(
    core: &Core,
    link: &Link,
    cmd: &Cmd,
    did_nothing: impl Fn(&Value) -> bool,
    goes_on: impl Fn() -> bool,
) -> Insisted {
    let mut pause = Duration::from_millis(1);
    loop {
        sleep(pause).await;
        if !goes_on() {
            return Insisted::Refused;
        }
        pause = (pause * 2).min(Duration::from_millis(20));
        match link.copy(cmd, core.write_ms).await {
            Ok(value) if did_nothing(&value) => {}
            Ok(value) => return Insisted::Executed(value),
            Err(Fault::Full) => {}
            Err(Fault::Lost(_) | Fault::Late) => return Insisted::Lost,
        }
    }
}
