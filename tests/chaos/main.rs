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
mod history;
mod last;
mod report;
mod ring;
mod run;
mod table;
mod workloads;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use faults::Fault;
use run::{Planned, Results, Run, Setup};

/// Make faults in a whole ring on this machine, and check what its clients saw
#[derive(Parser)]
#[command(name = "chaos", disable_version_flag = true)]
struct Args {
    /// How long faults are made by chance, after the fixed cycle
    #[arg(long, value_name = "N")]
    minutes: Option<f64>,
    /// Repeats what was made by chance
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Only this kind of fault, on one member after the other; may be given several times
    #[arg(long, value_name = "NAME", value_parser = fault)]
    fault: Vec<Fault>,
    /// Only the runs that have to fail, because an ingredient of the protocol is missing
    #[arg(long, conflicts_with = "table")]
    controls: bool,
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
const MEMBERS: usize = Setup::CHAOS.members;
const NAME: &str = "chaos";
/// What `cargo test` has time for.
const BY_CHANCE: usize = 2;
const FAULTS_A_ROUND: usize = 5;
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
    if red {
        eprintln!("chaos: red; logs and histories are in {}", folder.display());
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

/// Whether a promise was broken, or a control kept them all.
async fn make(args: &Args, seed: u64, folder: &std::path::Path) -> bool {
    if args.table {
        return table::measure(folder, seed, args.output).await;
    }
    let begun = Instant::now();
    let asked = args.minutes.is_some() || args.seed.is_some() || !args.fault.is_empty();
    let mut red = false;
    if !args.controls {
        eprintln!("chaos: seed {seed}");
        let mut run = Run::start(folder, Setup::CHAOS).await;
        rounds(&mut run, args, seed).await;
        // Some faults by name are a quick look.
        let results = run.finish(if args.fault.is_empty() { ENOUGH } else { 1 });
        red |= !results.findings.violations.is_empty();
        print(&results, args.output, seed);
    }
    if args.controls || !asked {
        red |= !controls::all_are_red(folder, seed).await;
    }
    eprintln!("chaos: {:.0} s", begun.elapsed().as_secs_f64());
    red
}

async fn rounds(run: &mut Run, args: &Args, seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let longest = if args.minutes.is_some() || !args.fault.is_empty() { LONGEST } else { LONGEST_IN_TESTS };
    let kinds: &[Fault] = if args.fault.is_empty() { &Fault::CYCLE } else { &args.fault };
    let plan = |rng: &mut fastrand::Rng, fault: Fault, member: usize| {
        let (client, length) = (rng.usize(..Setup::CHAOS.clients), fault.length(rng, longest));
        Planned { fault, member, client, length }
    };
    let until = args.minutes.map(|minutes| Instant::now() + Duration::from_secs_f64(minutes * 60.0));
    let is_over = || until.is_some_and(|until| Instant::now() >= until);
    // Asked for by name, each kind is made on each member; else each on the next, and all on all in five runs.
    let turns = if args.fault.is_empty() { 1 } else { MEMBERS };
    let first = rng.usize(..MEMBERS);
    let cycle: Vec<Planned> = (0..turns)
        .flat_map(|turn| kinds.iter().enumerate().map(move |(place, fault)| (*fault, (first + place + turn) % MEMBERS)))
        .map(|(fault, member)| plan(&mut rng, fault, member))
        .collect();
    for some in cycle.chunks(FAULTS_A_ROUND) {
        if !run.round(some, rng.u64(..)).await {
            return;
        }
        if is_over() {
            return;
        }
    }
    let mut by_chance = if args.fault.is_empty() { BY_CHANCE } else { 0 };
    while until.map_or(by_chance > 0, |_| !is_over()) {
        by_chance = by_chance.saturating_sub(1);
        let seed = rng.u64(..1 << 32);
        eprintln!("chaos: by chance, seed {seed}");
        let mut rng = fastrand::Rng::with_seed(seed);
        let planned: Vec<Planned> = (0..FAULTS_A_ROUND)
            .map(|_| {
                let (kind, member) = (kinds[rng.usize(..kinds.len())], rng.usize(..MEMBERS));
                plan(&mut rng, kind, member)
            })
            .collect();
        if !run.round(&planned, seed).await {
            return;
        }
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
