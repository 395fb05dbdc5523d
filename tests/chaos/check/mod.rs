//! What must hold of a history.

mod cells;
mod lists;
mod lives;
mod locks;
mod pops;
pub mod proof;

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Act, End, Op, Workload};
use crate::stalls;

/// A promise that was not kept.
#[derive(Clone, Debug)]
pub struct Violation {
    pub kind: Kind,
    pub workload: Option<Workload>,
    /// When the operation began that shows it; zero for what is seen at the end.
    pub at: u64,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An acknowledged write is not there at the end.
    Lost,
    /// A read, or a reply, that cannot be right.
    Wrong,
    /// A read that failed.
    FailedRead,
    /// A write that failed, or of which nobody knows, though an owner lives all the time.
    FailedWrite,
    /// An error said that it was not executed, and it was.
    Executed,
    /// A lock had two owners.
    HeldTwice,
    /// Something took longer than anything may.
    Hung,
    /// The owners of a key hold different things at the end.
    Differs,
    /// The ring did not become whole again.
    NotWhole,
    /// A fault met no traffic, or a checker saw too little.
    TooLittle,
}

/// What the checkers found.
#[derive(Debug, Default)]
pub struct Findings {
    pub violations: Vec<Violation>,
    /// How many operations each workload's checker has judged.
    pub events: BTreeMap<Workload, usize>,
    /// What is measured and not promised.
    pub measured: BTreeMap<&'static str, usize>,
}

impl Findings {
    pub fn add(&mut self, other: Findings) {
        self.violations.extend(other.violations);
        for (workload, count) in other.events {
            *self.events.entry(workload).or_default() += count;
        }
        for (what, count) in other.measured {
            *self.measured.entry(what).or_default() += count;
        }
    }

    fn violated(&mut self, kind: Kind, op: &Op, text: impl Into<String>) {
        let Op { client, cell, act, begun, ended, end, .. } = op;
        let text = format!(
            "{}: {cell}, client {client}, {act:?} → {end:?}, {:.3} to {:.3} s",
            text.into(),
            seconds(*begun),
            seconds(*ended)
        );
        self.violations.push(Violation { kind, workload: Some(op.workload), at: op.begun, text });
    }
}

pub fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// How long copies may differ that writers in different processes have left so.
const UNEQUAL: u64 = 1_000_000_000;
/// However long the machine stands still, this much longer at the most.
const MOST_LATE: u64 = 5_000_000_000;

/// What the judges know beside the operations.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// When the last fault was healed and nobody wrote any more: what is read later shows what was lost for good.
    pub settled: u64,
    /// When a member was out of the ring, from a moment before: a write that it alone has executed is discarded, and runs
    /// again at the next owner.
    pub fenced: Vec<(u64, u64)>,
    /// When there were faults: where a reply is lost, an absolute command runs again, and its reply is that of the second
    /// time.
    pub faults: Vec<(u64, u64)>,
    pub cuts: Vec<Cut>,
    /// When the machine stood still.
    pub stalls: Vec<(u64, u64)>,
}

/// When connections to a server that lives were lost: what was sent to it, and cannot run twice, is unknown.
#[derive(Clone, Debug, Default)]
pub struct Cut {
    pub from: u64,
    pub to: u64,
    /// Whose connections, if not everybody's.
    pub client: Option<usize>,
    /// The keys that the server holds.
    pub keys: BTreeSet<String>,
}

impl Course {
    /// Whether the same member may have been taken out while each of these was under way, or just before.
    fn fenced_during(&self, ops: &[&Op]) -> bool {
        self.fenced.iter().any(|(from, to)| ops.iter().all(|op| op.begun <= *to && op.ended >= *from))
    }

    /// Whether copies may differ still that writers in different processes have left so at a moment.
    fn may_differ(&self, since: u64, now: u64) -> bool {
        now <= since + UNEQUAL + stalls::within(&self.stalls, since, now).min(MOST_LATE)
    }

    fn repeats(&self, op: &Op) -> bool {
        self.fenced.iter().chain(&self.faults).any(|(from, to)| op.begun <= *to && op.ended >= *from)
    }

    fn cut_off(&self, op: &Op) -> bool {
        self.cuts.iter().any(|cut| {
            let meanwhile = op.begun <= cut.to && op.ended >= cut.from;
            meanwhile && cut.client.is_none_or(|client| client == op.client) && cut.keys.contains(op.key())
        })
    }
}

/// So many writes of a round that depend on what is there may be of unknown outcome where a member was out, or about to be:
/// whom it told what, nobody knows any more.
const MAY_BE_UNKNOWN: usize = 3;

/// Judges all operations of a round.
pub fn history(ops: &[Op], course: &Course) -> Findings {
    let mut findings = Findings::default();
    let mut unknown: Vec<&Op> = Vec::new();
    let mut cells: BTreeMap<(Workload, &str), Vec<&Op>> = BTreeMap::new();
    for op in ops {
        cells.entry((op.workload, &op.cell)).or_default().push(op);
        // What has no answer, and a lock that another one has, proves little.
        if op.is_done() && op.end != End::Taken(false) {
            *findings.events.entry(op.workload).or_default() += 1;
        }
        if op.error() == Some("hangs") {
            findings.violated(Kind::Hung, op, "it hangs");
        }
        if let End::Nonsense(_) = op.end {
            findings.violated(Kind::Wrong, op, "an answer that nobody can have written");
        } else if op.act.is_read() && !op.is_done() {
            findings.violated(Kind::FailedRead, op, "a read failed");
        } else if op.is_unknown() && op.depends() && course.cut_off(op) {
            *findings.measured.entry("writes of unknown outcome, cut off").or_default() += 1;
        } else if op.is_unknown() && op.depends() && course.fenced_during(&[op]) {
            unknown.push(op);
        } else if !op.is_done() {
            findings.violated(Kind::FailedWrite, op, "a write failed");
        }
    }
    if unknown.len() <= MAY_BE_UNKNOWN {
        *findings.measured.entry("writes of unknown outcome").or_default() += unknown.len();
    } else {
        unknown.iter().for_each(|op| findings.violated(Kind::FailedWrite, op, "one of many that nobody knows of"));
    }
    for ((workload, _), mut ops) in cells {
        ops.sort_by_key(|op| op.begun);
        let judge = match workload {
            Workload::Append | Workload::Shared => lists::judge,
            Workload::Pop => pops::judge,
            Workload::Set | Workload::Delete | Workload::Expiry => lives::judge,
            Workload::Lock => locks::judge,
            Workload::Register
            | Workload::Counter
            | Workload::Field
            | Workload::Pipeline
            | Workload::Multi
            | Workload::Script => cells::judge,
        };
        judge(&mut findings, &ops, course);
    }
    findings
}

/// What the copies show that differ when all is over, whoever wrote them; nothing, where what heals them has not ended.
pub fn copies(
    different: &BTreeMap<String, String>,
    keys: &BTreeMap<String, Workload>,
    unsettled: Option<&str>,
) -> Vec<Violation> {
    if let Some(why) = unsettled {
        let text = format!("at the end of the round: {why}");
        return vec![Violation { kind: Kind::NotWhole, workload: None, at: 0, text }];
    }
    let differs = |(key, how): (&String, &String)| {
        let text = format!("{key}: {how}");
        Violation { kind: Kind::Differs, workload: keys.get(key).copied(), at: 0, text }
    };
    different.iter().map(differs).collect()
}

/// What the checkers that have seen too little say. A plain load has few workloads.
pub fn too_few(events: &BTreeMap<Workload, usize>, compared: usize, plain: bool, enough: usize) -> Vec<Violation> {
    let checked = |workload: &&Workload| match **workload {
        Workload::Shared => false,
        Workload::Register | Workload::Counter => true,
        _ => !plain,
    };
    let mut seen: Vec<(String, usize)> = Workload::ALL
        .iter()
        .filter(checked)
        .map(|workload| (format!("{workload:?}"), events.get(workload).copied().unwrap_or_default()))
        .collect();
    seen.push(("the comparison of owners".to_owned(), compared));
    seen.retain(|(_, count)| *count < enough);
    let few = |(checker, count)| {
        let text = format!("{checker} saw {count} events, of {enough}");
        Violation { kind: Kind::TooLittle, workload: None, at: 0, text }
    };
    seen.into_iter().map(few).collect()
}

/// When what is seen is missing at the end it is lost; before, the read is wrong.
fn missing(op: &Op, course: &Course) -> Kind {
    if op.begun >= course.settled { Kind::Lost } else { Kind::Wrong }
}

/// Times of operations, to count how many ended before a moment.
#[derive(Default)]
struct Times(Vec<u64>);

impl Times {
    fn of(ops: &[&Op], which: impl Fn(&Op) -> bool, time: impl Fn(&Op) -> u64) -> Times {
        let mut times: Vec<u64> = ops.iter().filter(|op| which(op)).map(|op| time(op)).collect();
        times.sort_unstable();
        Times(times)
    }

    /// How many are not later than this.
    fn until(&self, moment: u64) -> u64 {
        self.0.partition_point(|time| *time <= moment) as u64
    }
}

fn is_add(op: &Op) -> bool {
    op.act == Act::Add
}
