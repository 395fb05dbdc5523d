//! `status` for people.

use comfy_table::{Cell, Color};

use super::report::{MemberReport, Report};
use crate::cli::human::{ago, bytes, count, duration, or_dash, percent, round_trip};
use crate::cli::output::{Column, Out, list};

const COLUMNS: [Column; 12] = [
    Column::word("STATE"),
    Column::word("ID"),
    Column::word("ADDRESS"),
    Column::word("ZONE"),
    Column::number("WEIGHT"),
    Column::number("PRIMARY"),
    Column::number("ALL"),
    Column::number("KEYS"),
    Column::number("MEMORY"),
    Column::number("RTT"),
    Column::number("SINCE"),
    Column::text("REASON"),
];

const WIDE: [Column; 6] = [
    Column::number("GEN"),
    Column::word("RUN-ID"),
    Column::word("CLOSED"),
    Column::word("VERSION"),
    Column::word("BY"),
    Column::word("AGENT"),
];

pub(super) fn of(report: &Report, out: Out) -> String {
    let mut text = header(report, out);
    if !report.members.is_empty() {
        text.push('\n');
        text.push_str(&members(report, out));
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&verdict(report, out));
    text
}

fn header(report: &Report, out: Out) -> String {
    let paint = out.paint();
    let copies = if report.copies == 1 { "copy" } else { "copies" };
    let mut rows = vec![
        ("RING", report.url.clone()),
        (
            "PLACEMENT",
            format!("{}, {} vnodes, {} {copies}, database {}", report.ring, report.vnodes, report.copies, report.db),
        ),
    ];
    let phase = match &report.founding {
        Some(founding) => {
            format!("{}, {} of {} members registered", report.phase, founding.registered, founding.wanted)
        }
        None => report.phase.to_owned(),
    };
    rows.push(("PHASE", format!("{phase} (step {}, epoch {})", report.step, report.epoch)));
    rows.extend(report.r#move.as_ref().map(|moved| ("MOVE", moved.text())));
    rows.push(("FINGERPRINT", report.fingerprint.clone()));
    let age = duration(std::time::Duration::from_secs(report.age_ms / 1000));
    rows.push((
        "SOURCE",
        match (report.source, &report.root) {
            ("live", Some(_)) => "live".to_owned(),
            ("live", None) => "live (a fixed list)".to_owned(),
            (stale, _) => paint.yellow(&format!("{stale}, ZooKeeper has not answered for {age}")),
        },
    ));
    list(paint, &rows)
}

fn members(report: &Report, out: Out) -> String {
    let mut columns = COLUMNS.to_vec();
    if out.is_wide() {
        // The reason is the one that may be long: it stays last.
        let at = columns.len() - 1;
        columns.splice(at..at, WIDE);
    }
    let mut table = out.table(&columns);
    for member in &report.members {
        let mut cells = vec![
            Cell::new(state(member)).fg(colour(member)),
            Cell::new(&member.id),
            Cell::new(or_dash(member.addr.as_deref().map(|addr| addr.strip_prefix("redis://").unwrap_or(addr)))),
            Cell::new(or_dash(member.zone.as_ref())),
            Cell::new(member.weight),
            Cell::new(percent(member.share_primary)),
            Cell::new(percent(member.share_all)),
            Cell::new(or_dash(member.keys)),
            Cell::new(or_dash(member.memory.map(bytes))),
            Cell::new(or_dash(member.rtt_us.map(round_trip))),
            Cell::new(or_dash(member.since.map(ago))),
        ];
        if out.is_wide() {
            cells.extend([
                Cell::new(member.r#gen),
                Cell::new(or_dash(member.run_id.as_ref().map(|id| id.chars().take(12).collect::<String>()))),
                Cell::new(if member.closed { "yes" } else { "no" }),
                Cell::new(or_dash(member.version.as_ref())),
                Cell::new(or_dash(member.by.as_ref())),
                Cell::new(or_dash(member.agent.as_ref())),
            ]);
        }
        cells.push(Cell::new(or_dash(member.reason.as_ref())));
        table.add_row(cells);
    }
    table.trim_fmt()
}

/// The state in ZooKeeper, what was seen from here where that differs, and how far it is from the next one.
fn state(member: &MemberReport) -> String {
    match (member.state, member.reachable, member.same_process) {
        ("up", false, _) => "up, unreachable".to_owned(),
        ("up", true, Some(false)) => "up, other process".to_owned(),
        ("down", _, _) if member.closed => "down, closed".to_owned(),
        (state, _, _) => match member.filled {
            Some(filled) => format!("{state} {:.0} %", (filled * 100.0).floor()),
            None => state.to_owned(),
        },
    }
}

fn colour(member: &MemberReport) -> Color {
    match member.state {
        "up" if member.usable() => Color::DarkGreen,
        "joining" => Color::DarkYellow,
        _ => Color::DarkRed,
    }
}

/// One line that says how things stand, and one for each thing that is wrong.
fn verdict(report: &Report, out: Out) -> String {
    let paint = out.paint();
    let mut text = match &report.coverage {
        _ if report.founding.is_some() => paint.yellow("not founded yet"),
        None => paint.red("degraded"),
        Some(_) if !report.degraded => {
            let on = count(report.copies as usize, "member");
            format!("{}: every key is on {on}, and all of them answer", paint.green("healthy"))
        }
        Some(coverage) if coverage.unavailable > 0.0 => {
            let fewer = match coverage.reduced {
                0.0 => String::new(),
                reduced => format!(", {} have fewer copies than they should", percent(reduced)),
            };
            let none = percent(coverage.unavailable);
            format!("{}: {none} of the keys can be neither read nor written{fewer}", paint.red("degraded"))
        }
        Some(coverage) if coverage.reduced > 0.0 => format!(
            "{}: every key can be read and written, {} have fewer copies than they should",
            paint.yellow("degraded"),
            percent(coverage.reduced)
        ),
        Some(_) => paint.yellow("degraded"),
    };
    for problem in &report.problems {
        text.push_str(&format!("\n  - {problem}"));
    }
    // An up member that nobody guards still serves; but its death would be noticed late.
    let agents = report.root.is_some() && report.founding.is_none();
    for member in report.members.iter().filter(|m| agents && m.usable() && m.agent.is_none()) {
        text.push_str(&format!("\nnote: {} has no agent", member.id));
    }
    text.push('\n');
    text
}
