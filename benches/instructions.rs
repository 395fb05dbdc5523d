//! Instructions for one operation, counted by valgrind: the same on every machine and whatever else runs on it, so this
//! is the gate against regressions. It ends with 1 when a GET through the ring takes more than it may.
//!
//! This program runs itself under callgrind twice for each client, with few operations and with many; the difference
//! is what the operations took, without the beginning and the end. Under valgrind the client is about fifty times
//! slower while its clock is not, so all that happens once a millisecond would be counted fifty times: the clock of the
//! client stands still while it runs.

mod support;

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use redis_ring::RingClient;
use redis_ring::policy::{HedgePolicy, Timeouts};
use support::hand_written::HandWritten;
use support::ring::{Ring, Servers, fill, url};
use support::spread::Spread;
use support::table::Table;
use support::{Failed, Operation, load};

/// Operations in the short and in the long run.
const FEW: usize = 2_000;
const MANY: usize = 12_000;
/// How often each is counted: what the servers have answered when the client looks, and with it how far the allocator has to
/// look for room, differs a little each time.
const TIMES: usize = 5;
const TASKS: [usize; 2] = [1, 64];
/// What a GET through the ring may take, as a multiple of the hand-written one, with so many tasks.
const GATE: (f64, usize) = (1.05, 64);

fn main() -> Result<ExitCode, Failed> {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "--child") {
        let child = Child::parse(args.get(at + 1..).unwrap_or_default())?;
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(child.run())?;
        return Ok(ExitCode::SUCCESS);
    }
    if !Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
        println!(
            "Skipped: instructions are counted by valgrind, which is not installed (Debian: apt install valgrind)."
        );
        return Ok(ExitCode::SUCCESS);
    }
    count(&args)
}

fn count(args: &[String]) -> Result<ExitCode, Failed> {
    let servers = Servers::start()?;
    let addresses = servers.addresses();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(fill(&addresses))?;
    let directory = tempfile::tempdir()?;
    let times = if args.iter().any(|arg| arg == "--once") { 1 } else { TIMES };
    println!(
        "Instructions of the client for one operation on a current_thread runtime: median of {times} (quartiles).\n"
    );
    let mut table = Table::new(&["", "tasks", "hand-written", "ring", "ring / hand"]);
    let mut gate = None;
    for operation in Operation::ALL {
        for tasks in TASKS {
            let mut counted: [Vec<f64>; 2] = Default::default();
            for _ in 0..times {
                for (who, counted) in ["hand", "ring"].into_iter().zip(&mut counted) {
                    let child = |operations| Child {
                        who: who.to_owned(),
                        operation,
                        tasks,
                        operations,
                        addresses: addresses.clone(),
                    };
                    let few = child(FEW).instructions(directory.path())?;
                    let many = child(MANY).instructions(directory.path())?;
                    counted.push((many as f64 - few as f64) / (MANY - FEW) as f64);
                }
            }
            let [hand, ring] = counted.map(Spread::of);
            let ratio = ring.median / hand.median;
            if operation == Operation::Get && tasks == GATE.1 {
                gate = Some(ratio);
            }
            table.row([
                operation.name().to_owned(),
                tasks.to_string(),
                format!("{hand:.0}"),
                format!("{ring:.0}"),
                format!("{ratio:.4}"),
            ]);
        }
    }
    table.print();
    let (limit, tasks) = GATE;
    let ratio = gate.ok_or("the gate was not measured")?;
    let verdict = if ratio <= limit { "passed" } else { "FAILED" };
    println!("\nGate, a GET with {tasks} tasks in at most {limit:.2} x the hand-written one: {ratio:.4}, {verdict}.");
    Ok(if ratio <= limit { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One run of one client, in a process of its own.
struct Child {
    who: String,
    operation: Operation,
    tasks: usize,
    operations: usize,
    addresses: Vec<String>,
}

impl Child {
    /// Counts the instructions of the whole run.
    fn instructions(&self, directory: &Path) -> Result<u64, Failed> {
        let file = directory.join("callgrind.out");
        let output = Command::new("valgrind")
            .args(["--tool=callgrind", "--quiet"])
            .arg(format!("--callgrind-out-file={}", file.display()))
            .arg(std::env::current_exe()?)
            .arg("--child")
            .args([&self.who, self.operation.name(), &self.tasks.to_string(), &self.operations.to_string()])
            .args(&self.addresses)
            .output()?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            return Err(format!("the client under valgrind ended with {}: {text}", output.status).into());
        }
        let profile = std::fs::read_to_string(&file)?;
        let total = profile.lines().find_map(|line| line.strip_prefix("summary:").or(line.strip_prefix("totals:")));
        Ok(total.ok_or("callgrind wrote no total")?.trim().parse()?)
    }

    fn parse(args: &[String]) -> Result<Child, Failed> {
        let [who, operation, tasks, operations, addresses @ ..] = args else {
            return Err("--child WHO OPERATION TASKS OPERATIONS ADDRESS...".into());
        };
        let operation = Operation::ALL.into_iter().find(|known| known.name() == operation);
        Ok(Child {
            who: who.clone(),
            operation: operation.ok_or("no such operation")?,
            tasks: tasks.parse()?,
            operations: operations.parse()?,
            addresses: addresses.to_vec(),
        })
    }

    async fn run(self) -> Result<(), Failed> {
        let Child { who, operation, tasks, operations, addresses } = self;
        match who.as_str() {
            "hand" => {
                let hand = HandWritten::connect(&addresses, None).await?;
                let _still = StoppedClock::begin().await;
                load(&hand, operation, tasks, operations).await
            }
            "ring" => {
                // Under valgrind everything is late by any usual measure.
                let long = Duration::from_secs(120);
                let timeouts = Timeouts { connect: long, read: long, write: long, probe: long, open: long };
                let builder = RingClient::builder(&url(&addresses))?;
                let client = builder.hedge_policy(HedgePolicy::Never).timeouts(timeouts).open().await?;
                let ring = Ring::new(&client);
                let _still = StoppedClock::begin().await;
                load(&ring, operation, tasks, operations).await
            }
            other => Err(format!("no client {other}").into()),
        }
    }
}

/// While it lives, tokio's clock stands still on this runtime.
struct StoppedClock {
    /// A paused clock jumps ahead whenever all tasks wait, but not while a blocking task runs. This one ends when its
    /// other end is dropped.
    _blocking: std::sync::mpsc::Sender<()>,
}

impl StoppedClock {
    async fn begin() -> StoppedClock {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        tokio::task::spawn_blocking(move || receiver.recv());
        tokio::time::pause();
        StoppedClock { _blocking: sender }
    }
}
