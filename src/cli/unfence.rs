//! `redis-ring unfence`.

use clap::Args;
use serde::Serialize;

use super::confirm::{confirmed, somebody_to_ask};
use super::context::Context;
use super::exit::{Failure, Verdict};
use super::human::count;
use super::output::list;
use crate::membership::records::MemberRecord;
use crate::membership::{Change, Entry, RingUrl, Snapshot, Store};
use crate::placement::{NodeId, State};
use crate::{Error, ErrorKind};

/// Take what a member has for whole, although it may lack writes
///
/// A member that is down comes back by itself as long as another one that is up has its keys, or if it was up last and still
/// has its data. Where nobody has all of them any more, or whoever has will not come back, this says which member's data is to
/// be taken. What it lacks is lost. Its agent and its server have to run. Shows what it will do and asks.
#[derive(Debug, Args)]
pub(super) struct Unfence {
    /// The member
    #[arg(value_name = "ID")]
    id: String,

    /// Acknowledged writes that it lacks are lost
    #[arg(long, required = true)]
    accept_loss: bool,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,

    /// Only show what would be done
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

/// Fields may be added, never renamed.
#[derive(Debug, Serialize)]
struct Report {
    id: String,
    /// The process whose data is taken.
    run_id: String,
    /// How many ranges no member that is up has.
    ranges: usize,
    /// Who was up last of the owners of the first of them, if anybody knows.
    last_up: Option<String>,
    /// `accepted`, `needless` (others have all that it lacks), `dry-run` or `refused` (by the person who was asked).
    result: &'static str,
}

impl Unfence {
    pub(super) async fn run(self, context: &Context) -> Result<Verdict, Failure> {
        context.log_if_asked()?;
        let client = context.client()?;
        let (url, options, _) = client.parts();
        if let RingUrl::Fixed { .. } = url {
            return Err(Error::new(ErrorKind::Invalid, "nobody is fenced in a static:// ring")
                .with_hint("a server that was restarted there is trusted by the application: `RingClient::trust`")
                .into());
        }
        somebody_to_ask(self.yes, self.dry_run)?;
        let bad = |why| Error::new(ErrorKind::Invalid, format!("{:?} is no id of a member: {why}", self.id));
        let id = NodeId::new(&self.id).map_err(bad)?;
        let store = Store::open(url, options).await?;
        let done = self.unfence(context, &store, &id).await;
        store.close().await;
        done
    }

    async fn unfence(&self, context: &Context, store: &Store, id: &NodeId) -> Result<Verdict, Failure> {
        let out = context.out;
        let snapshot = store.snapshot().await?;
        let record = is_down(&snapshot, id)?;
        let live = store.live_of(id).await?.and_then(|live| live.record.ok());
        let Some(live) = live else {
            return Err(Error::new(
                ErrorKind::Refused,
                format!("{id} is not there: its agent or its server does not run"),
            )
            .with_hint("start both first: what is taken is what its server has then")
            .into());
        };
        let mut report = report(&snapshot, id, record, &live.run_id)?;
        if report.ranges == 0 {
            out.result(&report, || format!("{id} lacks nothing that others do not have: it comes back by itself"))?;
            return Ok(Verdict::Fine);
        }
        let plan = plan(context, record, &report);
        if self.dry_run {
            report.result = "dry-run";
            out.result(&report, || format!("{plan}\nnothing was changed (--dry-run)"))?;
            return Ok(Verdict::Fine);
        }
        out.note(&plan);
        if !self.yes && !confirmed("take it?")? {
            report.result = "refused";
            out.note("nothing was changed");
            out.result(&report, String::new)?;
            return Ok(Verdict::Degraded);
        }
        let change = store.change(|snapshot| {
            let record = is_down(snapshot, id)?;
            let mut change = Change::of(snapshot);
            change.put(id, MemberRecord { accepted: Some(live.run_id.clone()), ..record.clone() });
            Ok(Some(change))
        });
        change.await?;
        report.result = "accepted";
        out.result(&report, || format!("{id} comes back with what it has; `redis-ring status` shows how far it is"))?;
        Ok(Verdict::Fine)
    }
}

/// The record of a member that is down.
fn is_down<'a>(snapshot: &'a Snapshot, id: &NodeId) -> Result<&'a MemberRecord, Error> {
    let Some(record) = snapshot.member(id) else {
        return Err(Error::new(ErrorKind::Invalid, format!("no record of a member {id} can be read"))
            .with_hint("`redis-ring status` shows the members"));
    };
    match record.state() {
        State::Down => Ok(record),
        state @ (State::Up | State::Joining) => {
            Err(Error::new(ErrorKind::Refused, format!("{id} is {state}: there is nothing to accept"))
                .with_hint("only a member that is down may need it"))
        }
    }
}

/// What nobody that is up has, if this member joins.
fn report(snapshot: &Snapshot, id: &NodeId, record: &MemberRecord, run_id: &str) -> Result<Report, Error> {
    let joining =
        MemberRecord { state: State::Joining.as_str().to_owned(), intact: false, accepted: None, ..record.clone() };
    let mut then = snapshot.clone();
    then.members.insert(id.clone(), Entry { version: None, record: Ok(joining) });
    let topology = then.topology()?;
    let lack = topology.find(id).and_then(|(me, _)| topology.lacks(me));
    let last = lack.as_ref().and_then(|lack| lack.last_up).map(|last| topology.member(last).id.to_string());
    Ok(Report {
        id: id.to_string(),
        run_id: run_id.to_owned(),
        ranges: lack.map_or(0, |lack| lack.ranges),
        last_up: last,
        result: "needless",
    })
}

fn plan(context: &Context, record: &MemberRecord, report: &Report) -> String {
    let last = match &report.last_up {
        Some(last) if *last == report.id => "this member".to_owned(),
        Some(last) => format!("{last}: what was written while it was up alone is lost"),
        None => "nobody knows".to_owned(),
    };
    let rows = list(
        context.out.stderr(),
        &[
            ("MEMBER", report.id.clone()),
            ("ADDRESS", record.addr.clone()),
            ("REASON", record.reason.clone().unwrap_or_default()),
            ("RANGES", format!("{} that no member that is up has", count(report.ranges, "range"))),
            ("UP LAST", last),
        ],
    );
    format!("what this member has will be taken for whole, and what it lacks is lost:\n\n{rows}")
}
