//! `redis-ring ring`.

pub(super) mod svg;

use std::path::PathBuf;

use clap::Args;
use comfy_table::Cell;
use serde::Serialize;

use super::context::Context;
use super::exit::{Failure, Verdict};
use super::human::{or_dash, percent};
use super::output::{Column, Out, list};
use super::records::Records;
use crate::membership::RingUrl;
use crate::placement::{MemberIndex, RING_NAME, Topology};
use crate::{Error, ErrorKind};

/// Who owns what part of the ring
///
/// By default a line for each member: its share, and where the second copies of its keys are, so whom a loss of it
/// would load. A ring of 4 members has thousands of ranges; --ranges lists them all.
#[derive(Debug, Args)]
pub(super) struct Ring {
    /// List every range of tokens with its owners, the primary first
    #[arg(long)]
    ranges: bool,

    /// Draw the ring into this file; `-` is standard output
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Fields may be added, never renamed.
#[derive(Debug, Serialize)]
struct Report {
    root: Option<String>,
    ring: &'static str,
    vnodes: u32,
    copies: usize,
    points: usize,
    fingerprint: String,
    /// The largest share of one member by its weight, over the mean.
    worst_over_mean: f64,
    members: Vec<MemberReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ranges: Option<Vec<RangeReport>>,
}

#[derive(Debug, Serialize)]
struct MemberReport {
    id: String,
    zone: Option<String>,
    weight: u32,
    state: &'static str,
    points: u64,
    ranges: usize,
    share_primary: f64,
    share_all: f64,
    /// The next owners of the keys that it is the primary of, as parts of them, the largest first.
    replicas: Vec<Replica>,
}

#[derive(Debug, Serialize)]
struct Replica {
    id: String,
    share: f64,
}

#[derive(Debug, Serialize)]
struct RangeReport {
    first: u32,
    last: u32,
    owners: Vec<String>,
}

impl Ring {
    pub(super) async fn run(self, context: &Context) -> Result<Verdict, Failure> {
        context.log_if_asked()?;
        let (url, topology) = Records::founded(context).await?;
        let out = context.out;
        if let Some(file) = &self.svg {
            let drawing = svg::draw(&topology, &url.to_string());
            if file.as_os_str() == "-" {
                out.raw(drawing.as_bytes())?;
                return Ok(Verdict::Fine);
            }
            std::fs::write(file, drawing).map_err(|error| {
                Error::new(ErrorKind::Invalid, format!("{} cannot be written", file.display())).with_source(error)
            })?;
            out.note(&format!("the ring is drawn in {}", file.display()));
        }
        let report = Report::new(&url, &topology, self.ranges);
        out.result(&report, || report.text(out))?;
        Ok(Verdict::Fine)
    }
}

impl Report {
    fn new(url: &RingUrl, topology: &Topology, with_ranges: bool) -> Report {
        let ring = topology.serving();
        let name = |index: MemberIndex| topology.member(index).id.to_string();
        let ranges = ring.ranges();
        let shares = topology.shares();
        let members: Vec<MemberReport> = ring
            .members()
            .map(|(index, id, placed)| {
                let share = shares[index.get()];
                let mut replicas = vec![0.0; topology.members().len()];
                let mut count = 0;
                for range in ranges.iter().filter(|range| range.owners.first() == Some(&index)) {
                    count += 1;
                    if let Some(next) = range.owners.get(1) {
                        replicas[next.get()] += part(range.first.0, range.last.0);
                    }
                }
                let mut replicas: Vec<Replica> = replicas
                    .iter()
                    .enumerate()
                    .filter(|(_, part)| **part > 0.0)
                    .map(|(at, part)| Replica {
                        id: topology.members()[at].id.to_string(),
                        share: part / share.primary,
                    })
                    .collect();
                replicas.sort_by(|a, b| b.share.total_cmp(&a.share).then_with(|| a.id.cmp(&b.id)));
                MemberReport {
                    id: id.to_string(),
                    zone: placed.zone.as_ref().map(ToString::to_string),
                    weight: placed.weight.0,
                    state: topology.member(index).state.as_str(),
                    points: placed.weight.points(topology.config().vnodes),
                    ranges: count,
                    share_primary: share.primary,
                    share_all: share.all,
                    replicas,
                }
            })
            .collect();
        let total: f64 = members.iter().map(|member| f64::from(member.weight)).sum();
        let over = |member: &MemberReport| member.share_primary * total / f64::from(member.weight.max(1));
        let range = |range: &crate::placement::Range<'_>| RangeReport {
            first: range.first.0,
            last: range.last.0,
            owners: range.owners.iter().copied().map(name).collect(),
        };
        Report {
            root: url.root().map(str::to_owned),
            ring: RING_NAME,
            vnodes: topology.config().vnodes,
            copies: ring.copies(),
            points: ring.points(),
            fingerprint: topology.fingerprint().to_string(),
            worst_over_mean: members.iter().map(over).fold(0.0, f64::max),
            ranges: with_ranges.then(|| ranges.iter().map(range).collect()),
            members,
        }
    }

    fn text(&self, out: Out) -> String {
        let count: usize = self.members.iter().map(|member| member.ranges).sum();
        let mut text = list(
            out.paint(),
            &[
                ("PLACEMENT", format!("{}, {} vnodes, {} copies", self.ring, self.vnodes, self.copies)),
                ("RING", format!("{} points, {count} ranges", self.points)),
                ("BALANCE", format!("the largest share is {:.3} times the mean", self.worst_over_mean)),
                ("FINGERPRINT", self.fingerprint.clone()),
            ],
        );
        let mut table = out.table(&[
            Column::word("ID"),
            Column::word("ZONE"),
            Column::number("WEIGHT"),
            Column::word("STATE"),
            Column::number("POINTS"),
            Column::number("RANGES"),
            Column::number("PRIMARY"),
            Column::number("ALL"),
            Column::text("SECOND COPIES ON"),
        ]);
        for member in &self.members {
            // Beyond a few neighbours the list says only "everywhere".
            let shown = if out.is_wide() { member.replicas.len() } else { 4 };
            let mut replicas: Vec<String> =
                member.replicas.iter().take(shown).map(|r| format!("{} {}", r.id, percent(r.share))).collect();
            if member.replicas.len() > shown {
                replicas.push(format!("{} more", member.replicas.len() - shown));
            }
            table.add_row([
                Cell::new(&member.id),
                Cell::new(or_dash(member.zone.as_ref())),
                Cell::new(member.weight),
                Cell::new(member.state),
                Cell::new(member.points),
                Cell::new(member.ranges),
                Cell::new(percent(member.share_primary)),
                Cell::new(percent(member.share_all)),
                Cell::new(if replicas.is_empty() { "-".to_owned() } else { replicas.join(", ") }),
            ]);
        }
        text.push_str(&format!("\n{}\n", table.trim_fmt()));
        if let Some(ranges) = &self.ranges {
            let columns =
                [Column::number("FIRST"), Column::number("LAST"), Column::number("SHARE"), Column::text("OWNERS")];
            let mut table = out.table(&columns);
            for range in ranges {
                table.add_row([
                    Cell::new(range.first),
                    Cell::new(range.last),
                    Cell::new(format!("{:.4}%", part(range.first, range.last) * 100.0)),
                    Cell::new(range.owners.join(", ")),
                ]);
            }
            text.push_str(&format!("\n{}\n", table.trim_fmt()));
        }
        text
    }
}

/// What part of all tokens lies between two, both included.
pub(super) fn part(first: u32, last: u32) -> f64 {
    (f64::from(last) - f64::from(first) + 1.0) / 2_f64.powi(32)
}
