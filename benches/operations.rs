//! Operations through the ring against the same ones hand-written on redis-rs, over the same four servers.
//!
//! Short slices of each client take turns, and each ratio is of two slices of one round, so that what else the machine
//! does meets both. `ARGS="--bench operations -- --rounds 5 --tasks 64"` makes it shorter.

mod support;

use std::time::{Duration, Instant};

use redis_ring::RingClient;
use redis_ring::policy::CachePolicy;
use rustix::time::{ClockId, clock_gettime};
use support::hand_written::HandWritten;
use support::ring::{Ring, Servers, fill, url};
use support::spread::Spread;
use support::table::Table;
use support::{Client, Failed, Operation, load};

/// How long a slice is to take.
const SLICE: Duration = Duration::from_millis(80);
/// After this long without a request, nothing of the ring runs any more that would count for the next slice.
const SETTLE: Duration = Duration::from_millis(60);
/// What the ring may cost, as a multiple of the hand-written client's processor time.
const TARGET: f64 = 1.10;

fn main() -> Result<(), Failed> {
    let extent = Extent::from_args()?;
    let rounds = extent.rounds;
    let servers = Servers::start()?;
    let addresses = servers.addresses();
    println!(
        "Processor time of the client for one operation, in us, and operations in a second: median of {rounds} rounds \
         (and quartiles of the ratios).\nHand-written: redis-rs on four servers, without a response timeout as the ring \
         has it, and with redis-rs's default.\n"
    );
    let mut table = Table::new(&[
        "",
        "tasks",
        "hand us",
        "500ms us",
        "ring us",
        "CPU ring/hand",
        "CPU ring/500ms",
        "hand kop/s",
        "ring kop/s",
        "rate ring/hand",
    ]);
    let mut missed = Vec::new();
    for (runtime, name) in [
        (tokio::runtime::Builder::new_current_thread().enable_all().build()?, "current_thread"),
        (tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?, "2 workers"),
    ] {
        // In a task, so that the load and the connections share the workers and not the thread that waits.
        let measured = runtime.block_on(async {
            let (addresses, extent) = (addresses.clone(), extent.clone());
            tokio::spawn(async move { measure(&addresses, extent).await }).await
        })??;
        for Measured { operation, tasks, hand, patient, ring } in measured {
            let ratio = |one: &[Slice], other: &[Slice], of: fn(&Slice) -> f64| {
                Spread::of(one.iter().zip(other).map(|(one, other)| of(one) / of(other)))
            };
            let median = |slices: &[Slice], of: fn(&Slice) -> f64| Spread::of(slices.iter().map(of)).median;
            let cpu = ratio(&ring, &hand, |slice| slice.cpu_us);
            if cpu.median > TARGET {
                missed.push(format!("{} with {tasks} tasks on {name}: {cpu}", operation.name()));
            }
            table.row([
                format!("{} {name}", operation.name()),
                tasks.to_string(),
                format!("{:.2}", median(&hand, |slice| slice.cpu_us)),
                format!("{:.2}", median(&patient, |slice| slice.cpu_us)),
                format!("{:.2}", median(&ring, |slice| slice.cpu_us)),
                format!("{cpu:.3}"),
                format!("{:.3}", ratio(&ring, &patient, |slice| slice.cpu_us)),
                format!("{:.0}", median(&hand, |slice| slice.kops)),
                format!("{:.0}", median(&ring, |slice| slice.kops)),
                format!("{:.3}", ratio(&ring, &hand, |slice| slice.kops)),
            ]);
        }
    }
    table.print();
    println!("\nTarget, at most {TARGET:.2} x the hand-written one's processor time:");
    if missed.is_empty() {
        println!("  reached everywhere");
    }
    missed.iter().for_each(|what| println!("  NOT reached by {what}"));
    println!("\nGETs of the ring with the replies kept in the client, and without, on current_thread:");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(cached(&addresses, &extent))
}

/// What the cache saves: the same load through two clients of the same ring.
async fn cached(addresses: &[String], extent: &Extent) -> Result<(), Failed> {
    let builder = RingClient::builder(&url(addresses))?;
    let kept = builder.clone().cache(CachePolicy::AtMost { bytes: 64 << 20 }).open().await?;
    let (asking, keeping) = (Ring::new(&builder.open().await?), Ring::new(&kept));
    for &tasks in &extent.tasks {
        let operations = operations_in_a_slice(&asking, Operation::Get, tasks).await?;
        let (mut asked, mut given) = (Vec::new(), Vec::new());
        for _ in 0..extent.rounds {
            asked.push(slice(&asking, Operation::Get, tasks, operations).await?);
            given.push(slice(&keeping, Operation::Get, tasks, operations).await?);
        }
        let median = |slices: &[Slice]| Spread::of(slices.iter().map(|slice| slice.cpu_us)).median;
        let ratio = Spread::of(given.iter().zip(&asked).map(|(given, asked)| given.cpu_us / asked.cpu_us));
        println!("  {tasks} tasks: {:.2} us, {:.2} us without; ratio {ratio:.3}", median(&given), median(&asked));
    }
    let stats = kept.stats();
    println!("  of these reads {} were given from memory, {} were asked for", stats.cache_hits, stats.cache_misses);
    Ok(())
}

/// How long and what, from the command line.
#[derive(Clone)]
struct Extent {
    rounds: usize,
    tasks: Vec<usize>,
}

impl Extent {
    fn from_args() -> Result<Extent, Failed> {
        let after = |name: &str| std::env::args().skip_while(|arg| arg != name).nth(1);
        Ok(Extent {
            rounds: after("--rounds").map_or(Ok(21), |number| number.parse())?,
            tasks: after("--tasks").map_or(Ok(vec![1, 64, 256]), |number| number.parse().map(|number| vec![number]))?,
        })
    }
}

/// One slice of one client.
struct Slice {
    cpu_us: f64,
    kops: f64,
}

/// All slices of one kind of load, round by round.
struct Measured {
    operation: Operation,
    tasks: usize,
    hand: Vec<Slice>,
    /// Hand-written, with redis-rs's default response timeout.
    patient: Vec<Slice>,
    ring: Vec<Slice>,
}

async fn measure(addresses: &[String], extent: Extent) -> Result<Vec<Measured>, Failed> {
    fill(addresses).await?;
    let hand = HandWritten::connect(addresses, None).await?;
    let patient = HandWritten::connect(addresses, Some(Duration::from_millis(500))).await?;
    let ring = Ring::new(&RingClient::open(&url(addresses)).await?);
    let mut all = Vec::new();
    for operation in Operation::ALL {
        for &tasks in &extent.tasks {
            let operations = operations_in_a_slice(&hand, operation, tasks).await?;
            let mut measured = Measured { operation, tasks, hand: vec![], patient: vec![], ring: vec![] };
            for round in 0..extent.rounds {
                // Whoever comes first in a round comes last in the next.
                for turn in 0..3 {
                    match (round + turn) % 3 {
                        0 => measured.hand.push(slice(&hand, operation, tasks, operations).await?),
                        1 => measured.ring.push(slice(&ring, operation, tasks, operations).await?),
                        _ => measured.patient.push(slice(&patient, operation, tasks, operations).await?),
                    }
                }
            }
            all.push(measured);
        }
    }
    Ok(all)
}

async fn operations_in_a_slice<C: Client>(client: &C, operation: Operation, tasks: usize) -> Result<usize, Failed> {
    let probe = 2000.max(tasks * 4);
    load(client, operation, tasks, probe).await?;
    let began = Instant::now();
    load(client, operation, tasks, probe).await?;
    let each = began.elapsed().as_secs_f64() / probe as f64;
    Ok(((SLICE.as_secs_f64() / each) as usize).max(tasks))
}

async fn slice<C: Client>(client: &C, operation: Operation, tasks: usize, operations: usize) -> Result<Slice, Failed> {
    tokio::time::sleep(SETTLE).await;
    load(client, operation, tasks, operations / 8 + tasks).await?;
    let (began, cpu) = (Instant::now(), processor_time());
    load(client, operation, tasks, operations).await?;
    let (took, cpu) = (began.elapsed(), processor_time() - cpu);
    Ok(Slice {
        cpu_us: cpu.as_secs_f64() * 1e6 / operations as f64,
        kops: operations as f64 / took.as_secs_f64() / 1e3,
    })
}

/// What all threads of this process have used so far, in user and in kernel mode.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
