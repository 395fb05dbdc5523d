//! What the clients of four members see of each fault, beside what is to be reached.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::check::{self, Findings};
use crate::faults::{Fault, Network, Whom, Window, With};
use crate::report;
use crate::run::{Planned, Played, Run, Setup};
use crate::{ENOUGH, Output};

/// 32 workers that offer 6,400 operations a second, in two processes: one reads what the other has written.
const MEASURED: Setup<'static> =
    Setup { members: 4, clients: 2, workers: 16, rate: 200.0, plain: true, proxied: false, sabotage: None };
const CUT_OFF: Setup<'static> = Setup { proxied: true, ..MEASURED };
const OUTAGE: Duration = Duration::from_secs(5);
/// Of each fault, each on another member; the worst is shown.
const TIMES: usize = 3;

/// What is to be reached.
#[derive(Clone, Copy)]
struct Target {
    read_ms: f64,
    write_ms: f64,
    capacity: Option<f64>,
}

/// What was measured of one fault.
#[derive(Debug, Default)]
struct Measured {
    operations: usize,
    failed_reads: usize,
    failed_writes: usize,
    lost: usize,
    wrong: usize,
    read_ms: f64,
    write_ms: f64,
    capacity_lost: f64,
    whole_s: f64,
}

/// Whether anything misses its target.
pub async fn measure(folder: &Path, seed: u64, output: Output) -> bool {
    let killed = Target { read_ms: 50.0, write_ms: 250.0, capacity: Some(2.0) };
    let hangs = Target { read_ms: 100.0, write_ms: 1000.0, capacity: Some(10.0) };
    let returns = Target { capacity: Some(5.0), ..killed };
    let cut_off = Target { capacity: None, ..hangs };
    let mut rows: Vec<(&str, Option<Target>, Measured)> = Vec::new();
    let mut broken = Findings::default();

    let mut run = Run::start(folder, MEASURED).await;
    let played = run.play(&[], seed, OUTAGE).await;
    let begun = played.settled.saturating_sub(OUTAGE.as_nanos() as u64);
    rows.push(("no fault", None, Measured::of(&played, begun, u64::MAX)));
    broken.add(played.findings);
    for (fault, name) in [
        (Fault::Kill(With::Nothing), "restart empty"),
        (Fault::Kill(With::OldData), "restart with old data"),
        (Fault::Stop, "SIGSTOP 5 s"),
    ] {
        let (mut outage, mut back) = (Measured::default(), Measured::default());
        for member in 0..TIMES {
            let played = run.play(&[planned(fault, member)], seed, OUTAGE).await;
            let Window { begun, ended, whole, .. } = played.windows[0];
            match fault {
                Fault::Kill(_) => {
                    outage.worst(Measured::of(&played, begun, ended), 0.0);
                    let healing = (whole - ended) as f64 / 1e9;
                    back.worst(Measured::of(&played, ended, u64::MAX), healing);
                }
                Fault::Stop | Fault::Net(..) => {
                    let healing = (whole - ended) as f64 / 1e9;
                    outage.worst(Measured::of(&played, begun, u64::MAX), healing);
                }
            }
            broken.add(played.findings);
        }
        match fault {
            Fault::Kill(With::Nothing) => {
                rows.push(("SIGKILL", Some(killed), outage));
                rows.push((name, Some(returns), back));
            }
            Fault::Kill(_) => {
                // While it is away nobody knows what it will come back with: these are more of the same.
                if let Some((.., killed)) = rows.iter_mut().find(|(name, ..)| *name == "SIGKILL") {
                    killed.worst(outage, 0.0);
                }
                rows.push((name, Some(returns), back));
            }
            Fault::Stop | Fault::Net(..) => rows.push((name, Some(hangs), outage)),
        }
    }
    let mut compared = run.results.keys;
    drop(run);
    let folder = folder.join("cut-off");
    std::fs::create_dir_all(&folder).expect("a folder for logs and histories");
    let mut run = Run::start(&folder, CUT_OFF).await;
    let mut worst = Measured::default();
    for member in 0..TIMES {
        let fault = Fault::Net(Network::Drop, Whom::OneClient);
        let played = run.play(&[planned(fault, member)], seed, OUTAGE).await;
        let window = &played.windows[0];
        let healing = (window.whole - window.ended) as f64 / 1e9;
        worst.worst(Measured::of(&played, window.begun, u64::MAX), healing);
        broken.add(played.findings);
    }
    rows.push(("one client cut off from one member", Some(cut_off), worst));
    compared += run.results.keys;
    let few = check::too_few(&broken.events, compared, true, ENOUGH);
    broken.violations.extend(few);
    print(&rows, &broken, output);
    let missed = rows.iter().any(|(_, target, measured)| target.is_some_and(|target| !measured.reaches(target)));
    missed || !broken.violations.is_empty()
}

fn planned(fault: Fault, member: usize) -> Planned {
    Planned { fault, member, client: 0, length: OUTAGE }
}

impl Measured {
    /// The operations that ended in a stretch; the capacity is that of its first five seconds.
    fn of(played: &Played, from: u64, to: u64) -> Measured {
        let mut measured = Measured::default();
        let outage = from + OUTAGE.as_nanos() as u64;
        let mut served = 0;
        // What is read at the end is nobody's load.
        for op in played.ops.iter().filter(|op| op.ended >= from && op.ended < to && op.begun < played.settled) {
            let ms = (op.ended - op.begun) as f64 / 1e6;
            measured.operations += 1;
            served += usize::from(op.is_done() && op.ended < outage);
            if op.act.is_read() {
                measured.read_ms = measured.read_ms.max(ms);
                measured.failed_reads += usize::from(!op.is_done());
            } else {
                measured.write_ms = measured.write_ms.max(ms);
                measured.failed_writes += usize::from(!op.is_done());
            }
        }
        let offered = MEASURED.rate * (MEASURED.clients * MEASURED.workers) as f64 * OUTAGE.as_secs_f64();
        measured.capacity_lost = (100.0 * (1.0 - served as f64 / offered)).max(0.0);
        (measured.lost, measured.wrong) = report::lost_and_wrong(&played.findings);
        measured
    }

    /// Of two, the sums and the worst.
    fn worst(&mut self, other: Measured, whole_s: f64) {
        self.operations += other.operations;
        self.failed_reads += other.failed_reads;
        self.failed_writes += other.failed_writes;
        self.lost += other.lost;
        self.wrong += other.wrong;
        self.read_ms = self.read_ms.max(other.read_ms);
        self.write_ms = self.write_ms.max(other.write_ms);
        self.capacity_lost = self.capacity_lost.max(other.capacity_lost);
        self.whole_s = self.whole_s.max(whole_s);
    }

    fn reaches(&self, target: Target) -> bool {
        let nothing_broken = self.failed_reads + self.failed_writes + self.lost + self.wrong == 0;
        let in_time = self.read_ms <= target.read_ms && self.write_ms <= target.write_ms;
        nothing_broken && in_time && target.capacity.is_none_or(|most| self.capacity_lost <= most)
    }
}

fn print(rows: &[(&str, Option<Target>, Measured)], broken: &Findings, output: Output) {
    if output == Output::Json {
        let rows: Vec<Value> = rows.iter().map(|(name, target, measured)| json_of(name, *target, measured)).collect();
        println!("{:#}", Value::Array(rows));
        return;
    }
    println!("the worst of {TIMES} times each (SIGKILL: of both restarts), and what is to be reached\n");
    println!(
        "| fault | failed reads | failed writes | acknowledged lost | wrong or nil | longest read | longest write | capacity lost | whole again after |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for (name, target, m) in rows {
        let ms = |value: f64, most: Option<f64>| match most {
            Some(most) => format!("{value:.0} ms of {most:.0}"),
            None => format!("{value:.0} ms"),
        };
        let capacity = match target.and_then(|target| target.capacity) {
            Some(most) => format!("{:.1} % of {most:.0}", m.capacity_lost),
            None => format!("{:.1} %", m.capacity_lost),
        };
        println!(
            "| {name} | {} | {} | {} | {} | {} | {} | {capacity} | {:.1} s |",
            m.failed_reads,
            m.failed_writes,
            m.lost,
            m.wrong,
            ms(m.read_ms, target.map(|target| target.read_ms)),
            ms(m.write_ms, target.map(|target| target.write_ms)),
            m.whole_s,
        );
    }
    if !broken.violations.is_empty() {
        println!("{}", report::violations(&broken.violations, 5));
    }
}

fn json_of(name: &str, target: Option<Target>, m: &Measured) -> Value {
    json!({
        "fault": name, "operations": m.operations, "failed_reads": m.failed_reads, "failed_writes": m.failed_writes,
        "lost_writes": m.lost, "wrong_reads": m.wrong, "longest_read_ms": m.read_ms, "longest_write_ms": m.write_ms,
        "capacity_lost_percent": m.capacity_lost, "whole_after_s": m.whole_s,
        "reached": target.map(|target| m.reaches(target)),
    })
}
