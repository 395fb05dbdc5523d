//! `redis-ring watch`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use tokio::sync::watch::Receiver;

use super::context::Context;
use super::exit::{Failure, Verdict};
use super::human::{now_ms, timestamp};
use super::output::Out;
use super::progress::{Gainer, Move};
use super::records::Records;
use crate::membership::{Membership, Source, View};
use crate::placement::{Member, Phase, State, Topology};
use crate::{Error, ErrorKind};

/// The membership as it changes: a line for each change, with its reason, until Ctrl-C
///
/// Begins with what is there. Changes in quick succession may be seen as one. While members are filled, a line at most once
/// a second says how far each is. When ZooKeeper is lost, the last ring stays and the source is said to be stale. While
/// the ring is being founded it waits.
#[derive(Debug, Args)]
pub(super) struct Watch {}

/// Fields may be added, never renamed.
#[derive(Debug, PartialEq, Serialize)]
struct Event {
    at_ms: u64,
    epoch: i32,
    what: What,
    /// The member, where it is about one.
    id: Option<String>,
    from: Option<String>,
    to: Option<String>,
    reason: Option<String>,
    by: Option<String>,
    /// How far a member is that gains keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<Gainer>,
    /// How long it took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    after_ms: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum What {
    /// A member's state.
    Member,
    /// A member's address.
    Address,
    /// The process that holds a member's data, and the life of these data.
    Generation,
    /// Whether a member that is down is known to answer nobody.
    Closed,
    /// How far a member is that gains keys.
    Progress,
    /// The members that are read from now on.
    Flip,
    /// All members are up again, and nothing moves.
    Whole,
    /// The phase of the ring.
    Phase,
    /// Who owns what: the fingerprint.
    Placement,
    /// Whether changes are still seen.
    Source,
    /// How far the founding has come.
    Founding,
}

impl Watch {
    pub(super) async fn run(self, context: &Context) -> Result<Verdict, Failure> {
        context.log_if_asked()?;
        tokio::select! {
            // Ends only by an error.
            failure = follow(context) => Err(failure?),
            done = tokio::signal::ctrl_c() => { done?; Ok(Verdict::Fine) }
        }
    }
}

async fn follow(context: &Context) -> Result<Failure, Failure> {
    let out = context.out;
    let membership = open(context).await?;
    let mut views = membership.subscribe();
    let mut last: Option<std::sync::Arc<View>> = None;
    let mut wholeness = Wholeness::default();
    let mut moving = Moving::default();
    loop {
        let view = views.borrow_and_update().clone();
        for event in changes(last.as_deref(), &view).into_iter().chain(wholeness.event(&view.topology)) {
            out.event(&event, || event.line(out))?;
        }
        tokio::select! {
            changed = wait(&mut views) => changed?,
            failure = moving.tell(context, &view.topology) => return Err(failure),
        }
        last = Some(view);
    }
}

/// Since when the ring lacks a member, by this process's own clock.
#[derive(Default)]
struct Wholeness(Option<Instant>);

impl Wholeness {
    fn event(&mut self, topology: &Topology) -> Option<Event> {
        let up = topology.serving().members().all(|(index, ..)| topology.member(index).state == State::Up);
        if !up || topology.phase() != Phase::Still {
            self.0.get_or_insert_with(Instant::now);
            return None;
        }
        let after = self.0.take()?.elapsed();
        let after_ms = Some(u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        Some(Event { after_ms, ..Event::at(topology.epoch().0, What::Whole) })
    }
}

/// Tells how far the members are that are being filled.
#[derive(Default)]
struct Moving {
    /// Opened by the first move, since a ring that stands still needs no second session.
    records: Option<Records>,
    told: BTreeMap<String, Gainer>,
    at: Option<Instant>,
}

impl Moving {
    const EVERY: Duration = Duration::from_secs(1);

    /// Ends only where nothing can be printed. Cancel safe: what was told stays told.
    async fn tell(&mut self, context: &Context, topology: &Topology) -> Failure {
        if !matches!(topology.phase(), Phase::Filling | Phase::Syncing) {
            return std::future::pending().await;
        }
        loop {
            if let Some(told) = self.at {
                tokio::time::sleep(Self::EVERY.saturating_sub(told.elapsed())).await;
            }
            self.at = Some(Instant::now());
            // Without ZooKeeper there is nothing to tell, and the source's line says so.
            let Ok(Some(found)) = tokio::time::timeout(context.member_timeout(), self.read(context)).await else {
                continue;
            };
            for gainer in found.members {
                if self.told.get(&gainer.id) == Some(&gainer) {
                    continue;
                }
                let event = Event::of(&gainer, topology);
                if let Err(failure) = context.out.event(&event, || event.line(context.out)) {
                    return failure;
                }
                self.told.insert(gainer.id.clone(), gainer);
            }
        }
    }

    async fn read(&mut self, context: &Context) -> Option<Move> {
        if self.records.is_none() {
            self.records = Some(Records::open(context).await.ok()?);
        }
        let reading = self.records.as_mut()?.read().await.ok()?;
        Move::of(&reading.topology, reading.live.as_ref(), None)
    }
}

/// The follower lives as long as the membership.
async fn wait(views: &mut Receiver<std::sync::Arc<View>>) -> Result<(), Failure> {
    views.changed().await.map_err(|_| Error::new(ErrorKind::Unreachable, "nobody follows the ring any more").into())
}

/// Opens the ring; one that is being founded is waited for, and each new registration is said.
async fn open(context: &Context) -> Result<Membership, Failure> {
    let client = context.client()?;
    let (url, options, _) = client.parts();
    let mut said = None;
    loop {
        match Membership::open(url, options).await {
            Err(error) if error.kind() == ErrorKind::Founding => {
                let progress = error.to_string();
                if said.as_ref() != Some(&progress) {
                    let event = Event { to: Some(progress.clone()), ..Event::at(0, What::Founding) };
                    context.out.event(&event, || event.line(context.out))?;
                    said = Some(progress);
                }
            }
            done => return Ok(done?),
        }
    }
}

/// What is new in a view; of the first one, everything.
fn changes(old: Option<&View>, new: &View) -> Vec<Event> {
    let topology = &new.topology;
    let event = |what| Event::at(topology.epoch().0, what);
    let mut events = Vec::new();
    let source = |view: &View| match view.source {
        Source::Live => "live",
        Source::Stale { .. } => "stale",
    };
    let mut differs = |what, from: Option<String>, to: String| {
        if from.as_ref() != Some(&to) {
            events.push(Event { from, to: Some(to), ..event(what) });
        }
    };
    let before = |text: fn(&Topology) -> String| old.map(|old| text(&old.topology));
    differs(What::Source, old.map(source).map(str::to_owned), source(new).to_owned());
    let phase = |topology: &Topology| format!("{} (step {})", topology.phase(), topology.step());
    differs(What::Phase, before(phase), phase(topology));
    let placement = |topology: &Topology| topology.fingerprint().to_string();
    differs(What::Placement, before(placement), placement(topology));
    for member in topology.members() {
        let known = old.and_then(|old| Some(old.topology.find(&member.id)?.1));
        member_changes(known, member, &event, &mut events);
    }
    let flipped = |phase: Phase| matches!(phase, Phase::Filling | Phase::Syncing);
    if let Some(old) = old.map(|old| &old.topology).filter(|old| flipped(old.phase()) && !flipped(topology.phase())) {
        let was_joining = |id| old.find(id).is_some_and(|(_, member)| member.state == State::Joining);
        let up = topology.members().iter().filter(|member| member.state == State::Up && was_joining(&member.id));
        events.extend(up.map(|member| Event { id: Some(member.id.to_string()), ..event(What::Flip) }));
    }
    let gone = old.into_iter().flat_map(|old| old.topology.members()).filter(|m| topology.find(&m.id).is_none());
    for member in gone {
        let (id, from) = (Some(member.id.to_string()), Some(member.state.to_string()));
        events.push(Event { id, from, reason: Some("it is no longer a member".to_owned()), ..event(What::Member) });
    }
    events
}

fn member_changes(old: Option<&Member>, new: &Member, event: &impl Fn(What) -> Event, events: &mut Vec<Event>) {
    let id = || Some(new.id.to_string());
    // A record that cannot be read, and a state that was confirmed for another reason, are changes as well.
    let stands = |member: &Member| (member.state, member.reason.clone(), member.fault.clone());
    if old.map(stands) != Some(stands(new)) {
        events.push(Event {
            id: id(),
            from: old.map(|old| old.state.to_string()),
            to: Some(new.state.to_string()),
            reason: new.fault.clone().or_else(|| new.reason.clone()),
            by: new.by.clone(),
            ..event(What::Member)
        });
    }
    let Some(old) = old else { return };
    if new.closed && !old.closed {
        events.push(Event { id: id(), ..event(What::Closed) });
    }
    if old.addr != new.addr {
        events.push(Event { id: id(), from: old.addr.clone(), to: new.addr.clone(), ..event(What::Address) });
    }
    if old.generation != new.generation || old.run_id != new.run_id {
        let life = |member: &Member| {
            let run_id = member.run_id.as_ref().map(|run_id| run_id.as_str().chars().take(12).collect::<String>());
            format!("{} (run_id {})", member.generation, run_id.as_deref().unwrap_or("unknown"))
        };
        events.push(Event { id: id(), from: Some(life(old)), to: Some(life(new)), ..event(What::Generation) });
    }
}

impl Event {
    fn at(epoch: i32, what: What) -> Event {
        let (id, from, to, reason, by) = (None, None, None, None, None);
        Event { at_ms: now_ms(), epoch, what, id, from, to, reason, by, progress: None, after_ms: None }
    }

    fn of(gainer: &Gainer, topology: &Topology) -> Event {
        Event {
            id: Some(gainer.id.clone()),
            to: Some(topology.phase().to_string()),
            reason: gainer.trouble.clone(),
            progress: Some(gainer.clone()),
            ..Event::at(topology.epoch().0, What::Progress)
        }
    }

    fn line(&self, out: Out) -> String {
        let paint = out.paint();
        let subject = match (&self.id, self.what) {
            (Some(id), What::Address) => format!("{id} address"),
            (Some(id), What::Generation) => format!("{id} generation"),
            (Some(id), _) => id.clone(),
            (None, What::Phase) => "phase".to_owned(),
            (None, What::Placement) => "placement".to_owned(),
            (None, What::Source) => "source".to_owned(),
            (None, What::Founding) => "founding".to_owned(),
            (None, What::Whole) => "whole".to_owned(),
            (None, What::Member | What::Address | What::Generation | What::Closed | What::Progress | What::Flip) => {
                "member".to_owned()
            }
        };
        let word = |text: &str| match text {
            "up" | "live" => paint.green(text),
            "down" | "stale" => paint.red(text),
            "joining" => paint.yellow(text),
            other => other.to_owned(),
        };
        let far = self.progress.as_ref().map(Gainer::text);
        let change = match (&self.from, &self.to) {
            (_, Some(phase)) if self.what == What::Progress => {
                format!("{}: {}", paint.yellow(phase), far.unwrap_or_default())
            }
            _ if self.what == What::Closed => "closed: it answers nobody".to_owned(),
            _ if self.what == What::Flip => format!("flipped: {} again", paint.green("up")),
            _ if self.what == What::Whole => {
                paint.green(&format!("again after {:.1} s", self.after_ms.unwrap_or(0) as f64 / 1000.0))
            }
            (Some(from), Some(to)) if from == to => word(to),
            (Some(from), Some(to)) => format!("{} → {}", word(from), word(to)),
            (Some(from), None) => format!("{} → gone", word(from)),
            (None, Some(to)) => word(to),
            (None, None) => String::new(),
        };
        let reason = self.reason.as_ref().map(|reason| format!("  {reason}")).unwrap_or_default();
        let by = self.by.as_ref().map(|by| format!("  (by {by})")).unwrap_or_default();
        format!("{}  epoch {:<4} {subject:<12} {change}{reason}{by}", timestamp(self.at_ms), self.epoch)
    }
}
