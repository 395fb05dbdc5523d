//! `redis-ring locate`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

use clap::Args;
use comfy_table::{Cell, Color};
use serde::Serialize;

use super::context::Context;
use super::digest::{self, Copy};
use super::exit::{Failure, Verdict};
use super::human::{bytes, duration, or_dash, timestamp};
use super::output::{Column, Out};
use super::probe::{Prober, trouble};
use super::records::Records;
use super::reply::{Text, printable};
use crate::placement::{Location, Member, NodeId, State, Topology};
use crate::policy::Timeouts;

/// Where keys live: hash tag, CRC32, token, owners, who is read and written now, and who gains them in a move
///
/// Asks nobody but ZooKeeper; with --probe it asks every owner directly whether it has the key. Ends with 1 when a key
/// cannot be read now; with --probe also when copies differ, or one of them is missing or cannot be asked.
#[derive(Debug, Args)]
pub(super) struct Locate {
    /// The keys, as bytes: in a shell, $'\xff' is one byte
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<OsString>,

    /// Ask each owner: does it have the key, of which type, until when, and is it the same value
    #[arg(long)]
    probe: bool,
}

/// Fields may be added, never renamed.
#[derive(Debug, Serialize)]
struct Report {
    key: Text,
    tag: Text,
    crc32: u32,
    token: u32,
    owners: Vec<String>,
    reads: Vec<String>,
    writes: Vec<String>,
    /// The members that gain the key in a move: written as soon as the primary's gate names them, and not read yet.
    gainers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    copies: Option<Vec<CopyReport>>,
    /// Whether all copies that could be compared are equal; `null` where there are not two of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    same: Option<Option<bool>>,
}

#[derive(Debug, Serialize)]
struct CopyReport {
    id: String,
    state: &'static str,
    exists: Option<bool>,
    r#type: Option<String>,
    ttl_ms: Option<u64>,
    expires_at_ms: Option<u64>,
    digest: Option<String>,
    size: Option<u64>,
    problem: Option<String>,
}

impl Locate {
    pub(super) async fn run(self, context: &Context) -> Result<Verdict, Failure> {
        context.log_if_asked()?;
        let (_, topology) = Records::founded(context).await?;
        let prober = self.probe.then(|| Prober::new(context, topology.config().db)).transpose()?;
        let mut reports = Vec::with_capacity(self.keys.len());
        let mut fine = true;
        for key in self.keys {
            let key = key.into_vec();
            let location = topology.locate(&key);
            let mut report = Report::new(&key, &location, &topology);
            fine &= !report.reads.is_empty();
            if let Some(prober) = &prober {
                let copies = Copies::ask(prober, &topology, &location, &key).await;
                fine &= copies.fine();
                report.same = Some(copies.same());
                report.copies = Some(copies.0.iter().map(CopyReport::new).collect());
            }
            reports.push(report);
        }
        context.out.result(&reports, || text(&reports, context.out))?;
        Ok(Verdict::of(fine))
    }
}

/// What each owner of a key said.
struct Copies<'a>(Vec<(&'a Member, crate::Result<Copy>)>);

/// How often copies that differ are asked again: a write may have been on its way to one of them.
const ATTEMPTS: usize = 3;

impl<'a> Copies<'a> {
    async fn ask(prober: &Prober, topology: &'a Topology, location: &Location, key: &[u8]) -> Copies<'a> {
        // Serving owners first, then those that are only written.
        let mut ids: Vec<&NodeId> = location.owners.iter().collect();
        ids.extend(location.writes.iter().filter(|id| !location.owners.contains(id)));
        let gainers: Vec<&NodeId> = topology.gainers(location.token).map(|at| &topology.member(at).id).collect();
        ids.extend(gainers.into_iter().filter(|id| !location.owners.contains(id)));
        let members: Vec<&Member> = ids.iter().filter_map(|id| Some(topology.find(id)?.1)).collect();
        let mut copies = Copies::once(prober, &members, key).await;
        for _ in 1..ATTEMPTS {
            if copies.same() != Some(false) {
                break;
            }
            tokio::time::sleep(Timeouts::default().write / 2).await;
            copies = Copies::once(prober, &members, key).await;
        }
        copies
    }

    async fn once(prober: &Prober, members: &[&'a Member], key: &[u8]) -> Copies<'a> {
        let asked = members.iter().map(|member| prober.bounded(member, |direct| digest::copy(direct, key)));
        Copies(members.iter().copied().zip(futures_util::future::join_all(asked).await).collect())
    }

    /// Of the copies on members that are up: one that is down may lack anything, and nobody reads it.
    fn same(&self) -> Option<bool> {
        let up: Vec<&Copy> = self
            .0
            .iter()
            .filter(|(member, _)| member.state == State::Up)
            .filter_map(|(_, copy)| copy.as_ref().ok())
            .collect();
        let (first, rest) = up.split_first()?;
        let compared: Vec<Option<bool>> = rest.iter().map(|copy| first.same(copy)).collect();
        if compared.contains(&Some(false)) {
            return Some(false);
        }
        (!compared.is_empty() && compared.iter().all(Option::is_some)).then_some(true)
    }

    fn fine(&self) -> bool {
        let whole = self.0.iter().all(|(member, copy)| member.state == State::Up && copy.is_ok());
        whole && self.same() != Some(false)
    }
}

impl Report {
    fn new(key: &[u8], location: &Location, topology: &Topology) -> Report {
        let gainers = topology.gainers(location.token).map(|at| topology.member(at).id.to_string()).collect();
        let names = |ids: &[NodeId]| ids.iter().map(ToString::to_string).collect();
        Report {
            key: Text(key.to_vec()),
            tag: Text(location.tag.clone()),
            crc32: location.crc32,
            token: location.token.0,
            owners: names(&location.owners),
            reads: names(&location.reads),
            writes: names(&location.writes),
            gainers,
            copies: None,
            same: None,
        }
    }
}

impl CopyReport {
    fn new((member, copy): &(&Member, crate::Result<Copy>)) -> CopyReport {
        let mut report = CopyReport {
            id: member.id.to_string(),
            state: member.state.as_str(),
            exists: None,
            r#type: None,
            ttl_ms: None,
            expires_at_ms: None,
            digest: None,
            size: None,
            problem: None,
        };
        match copy {
            Ok(copy) => {
                report.exists = Some(copy.kind.is_some());
                report.r#type = copy.kind.clone();
                report.ttl_ms = copy.ttl_ms;
                report.expires_at_ms = copy.expires_at_ms;
                report.digest = copy.digest.clone();
                report.size = copy.memory;
            }
            Err(error) => report.problem = Some(trouble(member, error)),
        }
        report
    }
}

fn text(reports: &[Report], out: Out) -> String {
    let moving = reports.iter().any(|report| !report.gainers.is_empty());
    let mut columns = ["KEY", "HASH TAG", "CRC32", "TOKEN", "OWNERS", "READ", "WRITTEN"].map(Column::word).to_vec();
    if moving {
        columns.push(Column::word("GAINED BY"));
    }
    let mut table = out.table(&columns);
    let owners = |ids: &[String]| if ids.is_empty() { "nobody".to_owned() } else { ids.join(",") };
    for report in reports {
        let red = |cell: Cell, none: bool| if none { cell.fg(Color::DarkRed) } else { cell };
        let mut cells = vec![
            Cell::new(printable(&report.key.0)),
            Cell::new(if report.tag == report.key { "-".to_owned() } else { printable(&report.tag.0) }),
            Cell::new(report.crc32),
            Cell::new(report.token),
            Cell::new(owners(&report.owners)),
            red(Cell::new(owners(&report.reads)), report.reads.is_empty()),
            red(Cell::new(owners(&report.writes)), report.writes.is_empty()),
        ];
        if moving {
            cells.push(Cell::new(or_dash((!report.gainers.is_empty()).then(|| report.gainers.join(",")))));
        }
        table.add_row(cells);
    }
    let mut text = format!("{}\n", table.trim_fmt());
    if reports.iter().any(|report| report.copies.is_some()) {
        text.push_str(&format!("\n{}", copies(reports, out)));
    }
    text
}

fn copies(reports: &[Report], out: Out) -> String {
    let mut table = out.table(&[
        Column::word("KEY"),
        Column::word("OWNER"),
        Column::word("STATE"),
        Column::word("TYPE"),
        Column::word("EXPIRES IN"),
        Column::word("EXPIRES AT"),
        Column::number("MEMORY"),
        Column::word("DIGEST"),
        Column::text("COPIES"),
    ]);
    for report in reports {
        for (at, copy) in report.copies.iter().flatten().enumerate() {
            let (verdict, colour) = match (&copy.problem, report.same.flatten()) {
                (Some(problem), _) => (problem.as_str(), Color::DarkRed),
                (None, Some(false)) if copy.state == "up" => ("differ", Color::DarkRed),
                (None, Some(true)) if copy.state == "up" => ("same", Color::DarkGreen),
                (None, _) if copy.state != "up" => ("not read", Color::DarkYellow),
                (None, _) => ("not compared", Color::DarkYellow),
            };
            let kind = match copy.exists {
                Some(true) => or_dash(copy.r#type.as_ref()),
                Some(false) => "no such key".to_owned(),
                None => "-".to_owned(),
            };
            let expires = match (copy.exists, copy.ttl_ms) {
                (Some(true), None) => "never".to_owned(),
                (_, ttl) => or_dash(ttl.map(|ms| duration(Duration::from_millis(ms)))),
            };
            table.add_row([
                Cell::new(if at == 0 { printable(&report.key.0) } else { String::new() }),
                Cell::new(&copy.id),
                Cell::new(copy.state),
                Cell::new(kind),
                Cell::new(expires),
                Cell::new(or_dash(copy.expires_at_ms.map(timestamp))),
                Cell::new(or_dash(copy.size.map(bytes))),
                Cell::new(or_dash(copy.digest.as_ref())),
                Cell::new(verdict).fg(colour),
            ]);
        }
    }
    format!("{}\n", table.trim_fmt())
}
