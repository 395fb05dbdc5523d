//! A client process: opens the ring, and runs workers for as long as its parent says.
//!
//! The parent writes one [`Order`] a line to its standard input and reads one [`Report`] a line from its standard output.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis_ring::RingClient;
use redis_ring::local::Process;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::history::Recorder;
use crate::ring;
use crate::workloads::{HANGS, Hands, Offering, Space, Worker};

/// What a client is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Order {
    Start(Round),
    Stop,
    /// How many keys it suspects.
    Suspects,
}

/// A stretch of work, with keys and a file of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Round {
    pub space: Space,
    pub file: PathBuf,
    pub seed: u64,
    /// Operations a second of each worker.
    pub rate: f64,
    /// Plain operations only, as many as are offered.
    pub plain: bool,
}

/// What a client says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Report {
    Ready,
    Started,
    Stopped { stats: String },
    Suspects(usize),
}

/// How long a client may take for what it is told.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
/// The first argument of a process that is a client.
pub const ROLE: &str = "--as-client";

/// A client process, as its parent holds it.
pub struct Client {
    process: Process,
    orders: ChildStdin,
    reports: mpsc::UnboundedReceiver<Report>,
    pub number: usize,
}

impl Client {
    /// Starts this program again. What it writes to its standard error is in the folder.
    pub async fn start(number: usize, url: &str, folder: &Path, sabotage: Option<&str>) -> Client {
        let log = std::fs::File::create(folder.join(format!("client-{number}.log"))).expect("a log");
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args([ROLE, &number.to_string(), url]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        command.env_remove("REDIS_RING_SABOTAGE");
        if let Some(name) = sabotage {
            command.env("REDIS_RING_SABOTAGE", name);
        }
        let mut process = Process::spawn(&mut command, None).expect("this program starts again");
        let orders = process.child().stdin.take().expect("piped");
        let output = process.child().stdout.take().expect("piped");
        let (sender, reports) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                let Ok(line) = line else { return };
                let report = serde_json::from_str(&line).unwrap_or_else(|_| panic!("a client says {line}"));
                if sender.send(report).is_err() {
                    return;
                }
            }
        });
        let mut client = Client { process, orders, reports, number };
        assert_eq!(client.answer().await, Report::Ready);
        client
    }

    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub async fn tell(&mut self, order: &Order) -> Report {
        let line = serde_json::to_string(order).expect("plain data");
        writeln!(self.orders, "{line}").expect("the client listens");
        self.answer().await
    }

    async fn answer(&mut self) -> Report {
        let report = timeout(ANSWERS_WITHIN, self.reports.recv()).await;
        let report = report.unwrap_or_else(|_| panic!("client {} says nothing", self.number));
        report.unwrap_or_else(|| panic!("client {} has ended: see its log", self.number))
    }
}

/// The client process itself; returns when its parent closes its input.
pub async fn run(number: usize, url: &str) {
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "info,redis_ring::exec::fence=debug".to_owned());
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    let ring = ring::open(url).await;
    let mut orders = orders();
    let mut working: Option<Working> = None;
    say(&Report::Ready);
    while let Some(order) = orders.recv().await {
        match order {
            Order::Start(round) => {
                working = Some(Working::start(number, &ring, round).await);
                say(&Report::Started);
            }
            Order::Stop => {
                if let Some(working) = working.take() {
                    working.stop().await;
                }
                say(&Report::Stopped { stats: format!("{:?}", ring.stats()) });
            }
            Order::Suspects => say(&Report::Suspects(ring.suspects())),
        }
    }
}

fn say(report: &Report) {
    let mut output = std::io::stdout().lock();
    let line = serde_json::to_string(report).expect("plain data");
    // A parent that is gone has closed the input too.
    let _ = writeln!(output, "{line}").and_then(|()| output.flush());
}

/// A thread of its own: nothing here waits for what a parent does not say.
fn orders() -> mpsc::UnboundedReceiver<Order> {
    let (sender, orders) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            let Ok(line) = line else { return };
            if sender.send(serde_json::from_str(&line).expect("an order")).is_err() {
                return;
            }
        }
    });
    orders
}

/// Workers at work.
struct Working {
    workers: JoinSet<()>,
    stopping: Arc<AtomicBool>,
    recorder: Arc<Recorder>,
}

impl Working {
    async fn start(number: usize, client: &RingClient, round: Round) -> Working {
        let recorder = Arc::new(Recorder::create(&round.file));
        let stopping = Arc::new(AtomicBool::new(false));
        let mut workers = JoinSet::new();
        let mut preparing = JoinSet::new();
        for worker in 0..round.space.workers {
            let hands = hands(number, worker, client, &recorder, &round);
            let (stopping, pace) = (Arc::clone(&stopping), Duration::from_secs_f64(1.0 / round.rate));
            if round.plain {
                preparing.spawn(async move {
                    let mut offering = Offering::new(hands);
                    offering.prepare().await;
                    (offering, stopping, pace)
                });
            } else {
                let mut worker = Worker::new(hands);
                workers.spawn(paced(pace, stopping, async move |()| worker.step().await));
            }
        }
        for (mut offering, stopping, pace) in preparing.join_all().await {
            workers.spawn(paced(pace, stopping, async move |()| offering.step().await));
        }
        Working { workers, stopping, recorder }
    }

    async fn stop(self) {
        self.stopping.store(true, Ordering::Relaxed);
        timeout(HANGS * 2, self.workers.join_all()).await.expect("every operation ends");
        self.recorder.flush();
    }
}

/// What was offered and not served in its turn is not made up for.
async fn paced(pace: Duration, stopping: Arc<AtomicBool>, mut step: impl AsyncFnMut(())) {
    // Not all in the same moment.
    tokio::time::sleep(pace.mul_f64(fastrand::f64())).await;
    let mut ticks = interval(pace);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    while !stopping.load(Ordering::Relaxed) {
        ticks.tick().await;
        step(()).await;
    }
}

fn hands(client: usize, worker: usize, ring: &RingClient, recorder: &Arc<Recorder>, round: &Round) -> Hands {
    let seed = round.seed ^ ((client as u64) << 32 | worker as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    Hands {
        ring: ring.clone(),
        connection: ring.connection(),
        recorder: Arc::clone(recorder),
        space: round.space.clone(),
        client,
        worker,
        rng: fastrand::Rng::with_seed(seed),
    }
}
