//! Faults of every kind, on every member, under load from several processes; and what must hold nevertheless.
//!
//! `make chaos` runs it for as long as is asked. As one of the tests it makes every kind of fault once, then some by
//! chance, then takes ingredients of the protocol away and has to find that something goes wrong.
#![cfg(feature = "cli")]
#![cfg(test)]

#[path = "../support/mod.rs"]
mod support;

mod check;
mod client;
mod controls;
mod faults;
mod fences;
mod history;
mod last;
mod met;
mod plan;
mod report;
mod ring;
mod run;
mod stalls;
mod table;
mod workloads;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use faults::Fault;
use plan::Plan;
use run::{Results, Run, Setup};

/// Make faults in a whole ring on this machine, and check what its clients saw
#[derive(Parser)]
#[command(name = "chaos", disable_version_flag = true)]
struct Args {
    /// How long faults are made by chance, after the fixed cycle
    #[arg(long, value_name = "N")]
    minutes: Option<f64>,
    /// Makes the same faults, for as long, under the same load
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Only one round, by its number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), requires = "seed")]
    round: Option<u32>,
    /// Faults as long as they are with --minutes
    #[arg(long)]
    long: bool,
    /// Only this kind of fault, on one member after the other; may be given several times
    #[arg(long, value_name = "NAME", value_parser = fault)]
    fault: Vec<Fault>,
    /// Only the runs that have to fail, because an ingredient of the protocol is missing
    #[arg(long, conflicts_with = "table")]
    controls: bool,
    /// Only one of these runs; may be given several times
    #[arg(long, value_name = "NAME", conflicts_with = "table", value_parser = controls::NAMES)]
    control: Vec<String>,
    /// Measure what the clients of four members see of each fault, beside what is to be reached; in a release build
    #[arg(long)]
    table: bool,
    /// What is printed
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Output,
    /// Keep histories and logs in this folder
    #[arg(long, value_name = "FOLDER")]
    keep: Option<std::path::PathBuf>,

    #[command(flatten)]
    harness: Harness,
}

/// What `cargo test` tells every test program.
#[derive(clap::Args)]
#[command(next_help_heading = "As cargo test gives them")]
struct Harness {
    #[arg(hide = true)]
    filters: Vec<String>,
    #[arg(long, hide = true)]
    skip: Vec<String>,
    #[arg(long, hide = true)]
    exact: bool,
    #[arg(long, hide = true)]
    list: bool,
    #[arg(long, hide = true)]
    ignored: bool,
    #[arg(long, hide = true)]
    include_ignored: bool,
    #[arg(long, hide = true, alias = "no-capture")]
    nocapture: bool,
    #[arg(long, hide = true)]
    show_output: bool,
    #[arg(long, short, hide = true)]
    quiet: bool,
    #[arg(long, hide = true)]
    test_threads: Option<usize>,
    #[arg(long, hide = true)]
    format: Option<String>,
    #[arg(long, hide = true)]
    color: Option<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    #[default]
    Table,
    Json,
}

fn fault(name: &str) -> Result<Fault, String> {
    let names = || Fault::CYCLE.map(Fault::name).join(", ");
    Fault::find(name).ok_or_else(|| format!("the faults are {}", names()))
}

impl Harness {
    /// There is one test here, whose name is that of the program.
    fn is_meant(&self) -> bool {
        let matches = |filter: &String| if self.exact { filter == NAME } else { NAME.contains(filter.as_str()) };
        let named = self.filters.is_empty() || self.filters.iter().any(matches);
        named && !self.skip.iter().any(matches) && !self.ignored
    }
}

/// Fewer events than these, and a checker has proved nothing.
const ENOUGH: usize = 1000;
const NAME: &str = "chaos";
/// What `cargo test` has time for.
const BY_CHANCE: usize = 2;
/// What it takes at most as one of the tests, on a machine that does little else. Where half of it has passed, no more rounds
/// are made by chance.
const IN_TESTS: Duration = Duration::from_secs(8 * 60);
/// Then something hangs.
const HANGS: Duration = Duration::from_secs(20 * 60);
const LONGEST_IN_TESTS: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(21);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, role, number, url] = &arguments[..]
        && role == client::ROLE
    {
        let number = number.parse().expect("a number");
        runtime(1).block_on(client::run(number, url));
        return ExitCode::SUCCESS;
    }
    let args = Args::parse();
    if args.harness.list {
        if args.harness.is_meant() {
            println!("{NAME}: test");
        }
        return ExitCode::SUCCESS;
    }
    if !args.harness.is_meant() {
        return ExitCode::SUCCESS;
    }
    check::proof::run();
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
    let folder = args.keep.clone().unwrap_or_else(|| std::env::temp_dir().join(format!("redis-ring-chaos-{seed}")));
    std::fs::create_dir_all(&folder).expect("a folder for logs and histories");
    let red = runtime(2).block_on(make(&args, seed, &folder));
    if !red.is_empty() {
        // At the end, since much was printed since.
        eprintln!("chaos: red; logs and histories are in {}\n{}", folder.display(), red.join("\n"));
        return ExitCode::FAILURE;
    }
    if args.keep.is_none() {
        // What remains of it is the system's to remove.
        let _ = std::fs::remove_dir_all(&folder);
    }
    ExitCode::SUCCESS
}

/// A client has one thread, as a small service has; the faults need not wait for each other.
fn runtime(threads: usize) -> tokio::runtime::Runtime {
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.worker_threads(threads.max(1)).enable_all().build().expect("a runtime")
}

/// Which promises were broken, and which controls kept them all.
async fn make(args: &Args, seed: u64, folder: &std::path::Path) -> Vec<String> {
    if args.table {
        let missed = table::measure(folder, seed, args.output).await;
        return if missed { vec!["not all that is to be reached was".to_owned()] } else { Vec::new() };
    }
    let begun = Instant::now();
    let controls = args.controls || !args.control.is_empty();
    let all = async {
        let mut red = Vec::new();
        if !controls {
            let mut run = Run::start(folder, Setup::CHAOS).await;
            run.prove().await;
            rounds(&mut run, args, seed).await;
            // Some faults by name, or one round, are a quick look.
            let quick = args.minutes.is_none() && (!args.fault.is_empty() || args.round.is_some());
            let results = run.finish(if quick { 1 } else { ENOUGH });
            if !results.findings.violations.is_empty() {
                red.push(report::violations(&results.findings.violations, 3));
            }
            print(&results, args.output, seed);
        }
        if controls || !args.asked() {
            red.extend(controls::all_are_red(folder, seed, &args.control).await);
        }
        red
    };
    let red = if args.asked() || controls {
        all.await
    } else {
        let too_long = |_| vec![format!("it takes longer than {HANGS:?}")];
        tokio::time::timeout(HANGS, all).await.unwrap_or_else(too_long)
    };
    eprintln!("chaos: {:.0} s", begun.elapsed().as_secs_f64());
    red
}

async fn rounds(run: &mut Run, args: &Args, seed: u64) {
    let plan = plan(args, seed);
    let until = args.minutes.map(|minutes| Instant::now() + Duration::from_secs_f64(minutes * 60.0));
    // What is asked for by name is made once on each member; after the whole cycle come some by chance.
    let last = plan.cycle() + if args.fault.is_empty() { BY_CHANCE } else { 0 };
    let numbers = match args.round {
        Some(number) => number as usize - 1..number as usize,
        None if until.is_some() => 0..usize::MAX,
        None => 0..last,
    };
    let (begun, is_test) = (Instant::now(), !args.asked());
    for number in numbers {
        if is_test && number >= plan.cycle() && begun.elapsed() > IN_TESTS / 2 {
            run.results.findings.measured.insert("rounds by chance for which there was no time", last - number);
            return;
        }
        let (planned, load) = plan.round(number);
        eprintln!("chaos: {} --round {}", args.again(seed), number + 1);
        let goes_on = run.round(&planned, load).await;
        if !goes_on || until.is_some_and(|until| Instant::now() >= until) {
            return;
        }
    }
}

fn plan(args: &Args, seed: u64) -> Plan {
    let short = args.minutes.is_none() && args.fault.is_empty() && !args.long;
    Plan {
        seed,
        kinds: if args.fault.is_empty() { Fault::CYCLE.to_vec() } else { args.fault.clone() },
        turns: if args.fault.is_empty() { 1 } else { Setup::CHAOS.members },
        longest: if short { LONGEST_IN_TESTS } else { LONGEST },
    }
}

impl Args {
    /// Whether it is more than one of the tests.
    fn asked(&self) -> bool {
        self.minutes.is_some() || self.seed.is_some() || self.round.is_some() || !self.fault.is_empty()
    }

    /// What makes the same faults again.
    fn again(&self, seed: u64) -> String {
        let faults = self.fault.iter().map(|fault| format!(" --fault {}", fault.name()));
        let long = if self.minutes.is_some() || self.long { " --long" } else { "" };
        format!("--seed {seed}{long}{}", faults.collect::<String>())
    }
}

fn print(results: &Results, output: Output, seed: u64) {
    let Results { findings, rows, keys } = results;
    if output == Output::Json {
        println!("{:#}", report::json(rows, findings, *keys, seed));
        return;
    }
    println!("{}", report::table(rows));
    let events: Vec<String> = findings.events.iter().map(|(workload, count)| format!("{workload:?} {count}")).collect();
    println!("checked: {}; keys compared at both owners: {keys}", events.join(", "));
    let measured: Vec<String> = findings.measured.iter().map(|(what, count)| format!("{what}: {count}")).collect();
    println!("measured, not promised: {}", measured.join(", "));
    if !findings.violations.is_empty() {
        println!("{}", report::violations(&findings.violations, 5));
    }
}
