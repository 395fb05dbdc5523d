//! Filling a server from another one while both serve: keys a second, and what it costs those who are served.
//!
//! Slices with and without filling take turns, and each ratio is of two slices of one round. The load is offered at a fixed
//! rate, so that latencies mean something, and then without a limit, so that the cost in throughput shows.
//!
//! What it takes in memory is this process's peak, so that is measured first, from little to much, and without load.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis_ring::agent::AgentOptions;
use redis_ring::agent::fill::{Copier, Endpoint, Limits, State};
use redis_ring::local::{RedisOptions, RedisServer};
use support::memory::Peak;
use support::spread::Spread;
use support::table::Table;
use support::{Failed, VALUE};

/// Small keys on the source, all of them gained.
const MANY: usize = 300_000;
/// How often each is measured.
const ROUNDS: usize = 3;
/// How long a slice without filling takes.
const SLICE: Duration = Duration::from_secs(3);
/// Who offers load, and how much all of them together, half to each server.
const WORKERS: usize = 32;
const OFFERED: f64 = 6400.0;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<(), Failed> {
    memory().await?;
    small_keys().await?;
    large_keys().await
}

async fn memory() -> Result<(), Failed> {
    let mut table = Table::new(&["memory of this process", "at the source MiB", "before MiB", "at most MiB"]);
    for (name, keys, large) in [
        ("30,000 small keys", 30_000, 0),
        ("300,000 small keys", 300_000, 0),
        ("3,000,000 small keys", 3_000_000, 0),
        ("a string of 64 MiB", 0, 64),
        ("a string of 256 MiB", 0, 256),
    ] {
        let (source, target) = (RedisServer::start(RedisOptions::new())?, RedisServer::start(RedisOptions::new())?);
        small_keys_at(&source, keys).await?;
        large_string_at(&source, large).await?;
        let info: String = redis::cmd("INFO").arg("memory").query_async(&mut connect(&source).await?).await?;
        let used = info.lines().find_map(|line| line.strip_prefix("used_memory:")).and_then(|used| used.parse().ok());
        let Some(peak) = Peak::start() else {
            println!("memory is measured on Linux alone\n");
            return Ok(());
        };
        let limits = Limits { patience: Duration::from_secs(60), ..Limits::default() };
        caught_up(&Copier::start(endpoint(&source)?, endpoint(&target)?, gains(), limits)).await?;
        let mib = |bytes: u64| format!("{:.1}", bytes as f64 / (1 << 20) as f64);
        let at_most = peak.at_most().ok_or("no peak")?;
        table.row([name.to_owned(), used.map(mib).unwrap_or_default(), mib(peak.before), mib(at_most)]);
    }
    table.print();
    println!();
    Ok(())
}

async fn small_keys_at(server: &RedisServer, many: usize) -> Result<(), Failed> {
    let mut connection = connect(server).await?;
    for from in (0..many).step_by(1000) {
        let mut some = redis::pipe();
        for n in from..from + 1000 {
            some.set(format!("g:{n}"), VALUE).ignore();
        }
        some.exec_async(&mut connection).await?;
    }
    Ok(())
}

/// One that nobody can make smaller.
async fn large_string_at(server: &RedisServer, mib: usize) -> Result<(), Failed> {
    let mut connection = connect(server).await?;
    for _ in 0..mib {
        let text: Vec<u8> = (0..1 << 20).map(|_| fastrand::alphanumeric() as u8).collect();
        redis::cmd("APPEND").arg("g:large").arg(text).exec_async(&mut connection).await?;
    }
    Ok(())
}

async fn small_keys() -> Result<(), Failed> {
    let (source, target) = (RedisServer::start(RedisOptions::new())?, RedisServer::start(RedisOptions::new())?);
    small_keys_at(&source, MANY).await?;
    let mut table = Table::new(&["load", "keys/s filled", "served/s", "ratio", "p50 ms", "p99 ms", "longest ms"]);
    for (name, rate) in [("6,400/s offered", Some(OFFERED)), ("all it can", None)] {
        let (mut alone, mut with, mut rates) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let load = Load::start(&[&source, &target], rate).await?;
            tokio::time::sleep(SLICE).await;
            alone.push(load.end().await);
            empty(&target).await?;
            let load = Load::start(&[&source, &target], rate).await?;
            let began = Instant::now();
            let copier = Copier::start(endpoint(&source)?, endpoint(&target)?, gains(), Limits::default());
            caught_up(&copier).await?;
            rates.push(MANY as f64 / began.elapsed().as_secs_f64());
            with.push(load.end().await);
        }
        let of = |slices: &[Served], what: fn(&Served) -> f64| Spread::of(slices.iter().map(what));
        let ratio = Spread::of(with.iter().zip(&alone).map(|(with, alone)| with.rate / alone.rate));
        for (name, slices, rates, ratio) in [
            (format!("{name}, alone"), &alone, String::new(), String::new()),
            (format!("{name}, filling"), &with, format!("{:.0}", Spread::of(rates)), format!("{ratio:.3}")),
        ] {
            table.row([
                name,
                rates,
                format!("{:.0}", of(slices, |slice| slice.rate)),
                ratio,
                format!("{:.2}", of(slices, |slice| slice.at(0.5))),
                format!("{:.2}", of(slices, |slice| slice.at(0.99))),
                format!("{:.1}", of(slices, |slice| slice.at(1.0))),
            ]);
        }
    }
    table.print();
    println!();
    Ok(())
}

async fn large_keys() -> Result<(), Failed> {
    let mut table = Table::new(&["large key", "copied", "seconds", "source's longest PING ms", "target's"]);
    for kind in ["hash of 1,000,000", "string of 64 MiB"] {
        for (name, large_bytes) in [("whole", u64::MAX), ("in pieces", Limits::default().large_bytes)] {
            let (source, target) = (RedisServer::start(RedisOptions::new())?, RedisServer::start(RedisOptions::new())?);
            let mut connection = connect(&source).await?;
            if kind.starts_with("hash") {
                for from in (0..1_000_000).step_by(1000) {
                    let fields: Vec<_> = (from..from + 1000).map(|n| (format!("field {n}"), VALUE)).collect();
                    redis::cmd("HSET").arg("g:large").arg(fields).exec_async(&mut connection).await?;
                }
            } else {
                large_string_at(&source, 64).await?;
            }
            let pings = [Pings::start(&source).await?, Pings::start(&target).await?];
            let began = Instant::now();
            let limits = Limits { large_bytes, patience: Duration::from_secs(60), ..Limits::default() };
            let copier = Copier::start(endpoint(&source)?, endpoint(&target)?, gains(), limits);
            caught_up(&copier).await?;
            let took = began.elapsed();
            let [at_source, at_target] = pings;
            table.row([
                kind.to_owned(),
                name.to_owned(),
                format!("{:.2}", took.as_secs_f64()),
                format!("{:.1}", at_source.longest().await),
                format!("{:.1}", at_target.longest().await),
            ]);
        }
    }
    table.print();
    Ok(())
}

type Gains = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

fn gains() -> Gains {
    Arc::new(|key: &[u8]| key.starts_with(b"g:"))
}

fn endpoint(server: &RedisServer) -> Result<Endpoint, Failed> {
    let address: redis_ring::membership::Address = format!("redis://{}", server.addr()).parse()?;
    let id = redis_ring::placement::NodeId::new("m")?;
    let mut options = AgentOptions::new("zk://127.0.0.1:1/none".parse()?, id, address.clone());
    options.health.connect = Duration::from_secs(5);
    Ok(Endpoint::new(&options, address, "rr-agent:m")?)
}

async fn caught_up(copier: &Copier) -> Result<(), Failed> {
    let mut state = copier.state();
    let state = state.wait_for(|state| *state != State::Filling).await?.clone();
    if state == State::CaughtUp { Ok(()) } else { Err(format!("{state:?}").into()) }
}

async fn connect(server: &RedisServer) -> Result<MultiplexedConnection, Failed> {
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None).set_pipeline_buffer_size(1 << 15);
    let client = redis::Client::open(format!("redis://{}", server.addr()))?;
    Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
}

async fn empty(server: &RedisServer) -> Result<(), Failed> {
    Ok(redis::cmd("FLUSHALL").exec_async(&mut connect(server).await?).await?)
}

/// What a slice has served: operations a second, and how long each took, in order.
struct Served {
    rate: f64,
    took: Vec<f64>,
}

impl Served {
    fn at(&self, part: f64) -> f64 {
        let at = (self.took.len().saturating_sub(1)) as f64 * part;
        self.took.get(at as usize).copied().unwrap_or(f64::NAN)
    }
}

/// Workers that read and write small keys of both servers, one in ten of those of the source a gained one.
struct Load {
    stop: Arc<AtomicBool>,
    began: Instant,
    workers: Vec<tokio::task::JoinHandle<Vec<f64>>>,
}

impl Load {
    async fn start(servers: &[&RedisServer], rate: Option<f64>) -> Result<Load, Failed> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut workers = Vec::new();
        for (at, server) in servers.iter().enumerate() {
            let connection = connect(server).await?;
            for _ in 0..WORKERS / servers.len() {
                workers.push(tokio::spawn(work(connection.clone(), at == 0, rate, Arc::clone(&stop))));
            }
        }
        Ok(Load { stop, began: Instant::now(), workers })
    }

    async fn end(self) -> Served {
        let elapsed = self.began.elapsed();
        self.stop.store(true, Ordering::Relaxed);
        let mut took = Vec::new();
        for worker in self.workers {
            took.extend(worker.await.unwrap_or_default());
        }
        took.sort_by(f64::total_cmp);
        Served { rate: took.len() as f64 / elapsed.as_secs_f64(), took }
    }
}

async fn work(
    mut connection: MultiplexedConnection,
    gained: bool,
    rate: Option<f64>,
    stop: Arc<AtomicBool>,
) -> Vec<f64> {
    let mut took = Vec::new();
    let every = rate.map(|rate| Duration::from_secs_f64(WORKERS as f64 / rate));
    let mut due = Instant::now() + every.unwrap_or_default().mul_f64(fastrand::f64());
    while !stop.load(Ordering::Relaxed) {
        if let Some(every) = every {
            tokio::time::sleep_until(due.into()).await;
            due += every;
        }
        let prefix = if gained && fastrand::u32(..10) == 0 { "g:" } else { "load:" };
        let key = format!("{prefix}{}", fastrand::usize(..4096));
        let call = if fastrand::bool() { redis::Cmd::get(key) } else { redis::Cmd::set(key, VALUE) };
        // From when it was to be sent: what a slow server holds up counts as well.
        let began = if every.is_some() { due - every.unwrap_or_default() } else { Instant::now() };
        if call.exec_async(&mut connection).await.is_err() {
            break;
        }
        took.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    took
}

/// A connection that asks whether the server answers, a thousand times a second.
struct Pings {
    longest: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Pings {
    async fn start(server: &RedisServer) -> Result<Pings, Failed> {
        let mut connection = connect(server).await?;
        let longest = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&longest);
        let task = tokio::spawn(async move {
            loop {
                let began = Instant::now();
                if redis::cmd("PING").exec_async(&mut connection).await.is_err() {
                    return;
                }
                seen.fetch_max(began.elapsed().as_micros() as usize, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        Ok(Pings { longest, task })
    }

    async fn longest(self) -> f64 {
        // What is under way counts too.
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.task.abort();
        self.longest.load(Ordering::Relaxed) as f64 / 1000.0
    }
}
