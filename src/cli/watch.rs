//! `redis-ring watch`.

use clap::Args;
use serde::Serialize;
use tokio::sync::watch::Receiver;

use super::context::Context;
use super::exit::{Failure, Verdict};
use super::human::{now_ms, timestamp};
use super::output::Out;
use crate::membership::{Membership, Source, View};
use crate::placement::{Member, Topology};
use crate::{Error, ErrorKind};

/// The membership as it changes: a line for each change, with its reason, until Ctrl-C
///
/// Begins with what is there. Changes in quick succession may be seen as one. When ZooKeeper is lost, the last ring
/// stays and the source is said to be stale. While the ring is being founded it waits.
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
    loop {
        let view = views.borrow_and_update().clone();
        for event in changes(last.as_deref(), &view) {
            out.event(&event, || event.line(out))?;
        }
        last = Some(view);
        wait(&mut views).await?;
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
        Event { at_ms: now_ms(), epoch, what, id: None, from: None, to: None, reason: None, by: None }
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
            (None, What::Member | What::Address | What::Generation) => "member".to_owned(),
        };
        let word = |text: &str| match text {
            "up" | "live" => paint.green(text),
            "down" | "stale" => paint.red(text),
            "joining" => paint.yellow(text),
            other => other.to_owned(),
        };
        let change = match (&self.from, &self.to) {
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
