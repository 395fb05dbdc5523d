//! What is printed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::check::{Findings, Kind, Violation};
use crate::faults::Window;
use crate::history::Op;

/// What the clients saw of one kind of fault, from its begin until the ring was whole again.
#[derive(Debug, Default, Clone)]
pub struct Row {
    pub times: usize,
    pub operations: usize,
    pub failed_reads: usize,
    pub not_executed: usize,
    pub unknown: usize,
    pub lost: usize,
    pub wrong: usize,
    pub other: usize,
    pub longest_read_ms: f64,
    pub longest_write_ms: f64,
    pub longest_heal_s: f64,
}

/// The rows by fault; what happened before the first is under `-`.
pub type Rows = BTreeMap<&'static str, Row>;

const BEFORE: &str = "-";

/// Adds a round to the rows.
pub fn add(rows: &mut Rows, ops: &[Op], windows: &[Window], findings: &Findings) {
    for window in windows {
        let row = rows.entry(window.fault.name()).or_default();
        row.times += 1;
        row.longest_heal_s = row.longest_heal_s.max((window.whole - window.ended) as f64 / 1e9);
    }
    // What a fault leaves behind counts for it, until the next.
    let name = |moment: u64| {
        let begun = windows.partition_point(|window| window.begun <= moment);
        begun.checked_sub(1).map_or(BEFORE, |last| windows[last].fault.name())
    };
    for op in ops {
        let row = rows.entry(name(op.ended)).or_default();
        let ms = (op.ended - op.begun) as f64 / 1e6;
        row.operations += 1;
        if op.act.is_read() {
            row.longest_read_ms = row.longest_read_ms.max(ms);
            row.failed_reads += usize::from(!op.is_done());
        } else {
            row.longest_write_ms = row.longest_write_ms.max(ms);
            row.not_executed += usize::from(op.is_failed());
            row.unknown += usize::from(op.is_unknown());
        }
    }
    for violation in &findings.violations {
        let row = rows.entry(name(violation.at)).or_default();
        match violation.kind {
            Kind::Lost => row.lost += 1,
            Kind::Wrong => row.wrong += 1,
            Kind::FailedRead | Kind::FailedWrite => {}
            Kind::Executed | Kind::HeldTwice | Kind::Hung | Kind::Differs | Kind::NotWhole | Kind::TooLittle => {
                row.other += 1
            }
        }
    }
}

/// How many acknowledged writes were lost, and how many answers were wrong.
pub fn lost_and_wrong(findings: &Findings) -> (usize, usize) {
    let count = |kind: Kind| findings.violations.iter().filter(|violation| violation.kind == kind).count();
    (count(Kind::Lost), count(Kind::Wrong))
}

pub fn table(rows: &Rows) -> String {
    let head = [
        "fault",
        "times",
        "operations",
        "failed reads",
        "not executed",
        "unknown",
        "lost",
        "wrong or nil",
        "other",
        "longest read ms",
        "longest write ms",
        "whole after s",
    ];
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::TableStyle::new()).set_header(head);
    for (name, row) in rows {
        table.add_row([
            (*name).to_owned(),
            row.times.to_string(),
            row.operations.to_string(),
            row.failed_reads.to_string(),
            row.not_executed.to_string(),
            row.unknown.to_string(),
            row.lost.to_string(),
            row.wrong.to_string(),
            row.other.to_string(),
            format!("{:.0}", row.longest_read_ms),
            format!("{:.0}", row.longest_write_ms),
            format!("{:.1}", row.longest_heal_s),
        ]);
    }
    table.to_string()
}

/// The first violations of each kind, and how many there are.
pub fn violations(violations: &[Violation], shown: usize) -> String {
    let mut by_kind: BTreeMap<Kind, Vec<&Violation>> = BTreeMap::new();
    for violation in violations {
        by_kind.entry(violation.kind).or_default().push(violation);
    }
    let mut lines = Vec::new();
    for (kind, all) in by_kind {
        lines.push(format!("{kind:?}: {}", all.len()));
        lines.extend(all.iter().take(shown).map(|violation| format!("    {}", violation.text)));
    }
    lines.join("\n")
}

/// For programs.
pub fn json(rows: &Rows, findings: &Findings, keys: usize, seed: u64) -> Value {
    let faults: Vec<Value> = rows
        .iter()
        .map(|(name, row)| {
            json!({
                "fault": name, "times": row.times, "operations": row.operations, "failed_reads": row.failed_reads,
                "failed_writes": row.not_executed + row.unknown, "unknown_writes": row.unknown, "lost_writes": row.lost,
                "wrong_reads": row.wrong, "other": row.other, "longest_read_ms": row.longest_read_ms,
                "longest_write_ms": row.longest_write_ms, "whole_after_s": row.longest_heal_s,
            })
        })
        .collect();
    let events: BTreeMap<String, usize> =
        findings.events.iter().map(|(workload, count)| (format!("{workload:?}").to_lowercase(), *count)).collect();
    let violations: Vec<Value> = findings
        .violations
        .iter()
        .map(|v| json!({"kind": format!("{:?}", v.kind), "workload": v.workload, "text": v.text}))
        .collect();
    json!({
        "seed": seed, "faults": faults, "checked": events, "keys_compared": keys, "measured": findings.measured,
        "violations": violations,
    })
}
