//! A hundred keys at once, by pipeline and by MGET, through the ring against the same taken apart by hand on redis-rs.
//!
//! As in `operations`, short slices of each client take turns, and each ratio is of two slices of one round.

mod support;

use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncCommands, Pipeline, RedisResult, Value};
use redis_ring::{RingClient, RingConnection};
use rustix::time::{ClockId, clock_gettime};
use support::ring::{Servers, fill, url};
use support::spread::Spread;
use support::table::Table;
use support::{Failed, KEYS, SERVERS, VALUE, keys};

/// How many keys one call has.
const AT_ONCE: usize = 100;
/// How many calls a slice has.
const CALLS: usize = 300;
/// How many tasks call at the same time.
const TASKS: usize = 8;

#[derive(Clone, Copy)]
enum Call {
    /// A pipeline of GETs.
    Gets,
    /// A pipeline of SETs, with two copies.
    Sets,
    /// One MGET.
    Mget,
}

impl Call {
    const ALL: [(Call, &'static str); 3] =
        [(Call::Gets, "100 GET, a pipeline"), (Call::Sets, "100 SET, two copies"), (Call::Mget, "MGET of 100")];
}

/// Whoever runs calls.
trait Client: Clone + Send + 'static {
    fn call(&mut self, call: Call, keys: Vec<&str>) -> impl Future<Output = RedisResult<()>> + Send;
}

/// A connection to each server, the key's CRC32 modulo their number, and one pipeline for each server.
#[derive(Clone)]
struct ByHand(Vec<MultiplexedConnection>);

impl ByHand {
    async fn pipelines(&mut self, parts: Vec<Pipeline>) -> RedisResult<()> {
        let sent = self.0.iter_mut().zip(&parts).filter(|(_, part)| !part.is_empty());
        let sent = sent.map(|(connection, part)| connection.req_packed_commands(part, 0, part.len()));
        for replies in futures_util::future::try_join_all(sent).await? {
            std::hint::black_box(replies);
        }
        Ok(())
    }
}

impl Client for ByHand {
    async fn call(&mut self, call: Call, keys: Vec<&str>) -> RedisResult<()> {
        let of = |key: &str| crc32fast::hash(key.as_bytes()) as usize % SERVERS;
        let mut parts: Vec<Pipeline> = (0..SERVERS).map(|_| redis::pipe()).collect();
        match call {
            Call::Gets => keys.iter().for_each(|key| {
                parts[of(key)].get(key);
            }),
            Call::Sets => keys.iter().for_each(|key| {
                parts[of(key)].set(key, VALUE);
                parts[(of(key) + 1) % SERVERS].set(key, VALUE);
            }),
            Call::Mget => {
                for (server, part) in parts.iter_mut().enumerate() {
                    let mine: Vec<&&str> = keys.iter().filter(|key| of(key) == server).collect();
                    if !mine.is_empty() {
                        part.cmd("MGET").arg(mine);
                    }
                }
            }
        }
        self.pipelines(parts).await
    }
}

#[derive(Clone)]
struct Ring(RingConnection);

impl Client for Ring {
    async fn call(&mut self, call: Call, keys: Vec<&str>) -> RedisResult<()> {
        let mut pipeline = redis::pipe();
        match call {
            Call::Gets => keys.iter().for_each(|key| {
                pipeline.get(key);
            }),
            Call::Sets => keys.iter().for_each(|key| {
                pipeline.set(key, VALUE);
            }),
            Call::Mget => {
                let values: Vec<Value> = self.0.mget(&keys).await?;
                std::hint::black_box(values);
                return Ok(());
            }
        }
        std::hint::black_box(self.0.req_packed_commands(&pipeline, 0, pipeline.len()).await?);
        Ok(())
    }
}

fn main() -> Result<(), Failed> {
    let rounds = std::env::args().skip_while(|arg| arg != "--rounds").nth(1).map_or(Ok(9), |number| number.parse())?;
    let servers = Servers::start()?;
    let addresses = servers.addresses();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("Processor time of the client for one key, in us: median of {rounds} rounds (quartiles of the ratio).\n");
    let mut table = Table::new(&["", "hand us", "ring us", "CPU ring/hand", "rate ring/hand"]);
    runtime.block_on(async {
        fill(&addresses).await?;
        let mut connections = Vec::new();
        for address in &addresses {
            let client = redis::Client::open(format!("redis://{address}/?protocol=resp3"))?;
            connections.push(client.get_multiplexed_async_connection().await?);
        }
        let (hand, ring) = (ByHand(connections), Ring(RingClient::open(&url(&addresses)).await?.connection()));
        for (call, name) in Call::ALL {
            let (mut of_hand, mut of_ring) = (Vec::new(), Vec::new());
            for round in 0..rounds {
                // Whoever comes first in a round comes last in the next.
                for turn in 0..2 {
                    match (round + turn) % 2 {
                        0 => of_hand.push(slice(&hand, call).await?),
                        _ => of_ring.push(slice(&ring, call).await?),
                    }
                }
            }
            let of = |slices: &[(f64, f64)]| Spread::of(slices.iter().map(|(cpu, _)| *cpu)).median;
            let pairs = || of_ring.iter().zip(&of_hand);
            table.row([
                name.to_owned(),
                format!("{:.2}", of(&of_hand)),
                format!("{:.2}", of(&of_ring)),
                format!("{:.3}", Spread::of(pairs().map(|(ring, hand)| ring.0 / hand.0))),
                format!("{:.3}", Spread::of(pairs().map(|(ring, hand)| hand.1 / ring.1))),
            ]);
        }
        Ok::<(), Failed>(())
    })?;
    table.print();
    Ok(())
}

/// The processor time and the time of one key, in microseconds.
async fn slice<C: Client>(client: &C, call: Call) -> Result<(f64, f64), Failed> {
    run(client, call, CALLS / 8).await?;
    let (began, cpu) = (Instant::now(), processor_time());
    run(client, call, CALLS).await?;
    let keys = (CALLS / TASKS * TASKS * AT_ONCE) as f64;
    let used = processor_time() - cpu;
    Ok((used.as_secs_f64() * 1e6 / keys, began.elapsed().as_secs_f64() * 1e6 / keys))
}

async fn run<C: Client>(client: &C, call: Call, calls: usize) -> Result<(), Failed> {
    let keys = std::sync::Arc::new(keys());
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let (mut client, keys) = (client.clone(), std::sync::Arc::clone(&keys));
        tasks.spawn(async move {
            for nth in 0..calls / TASKS {
                let first = (task * 977 + nth * AT_ONCE) % (KEYS - AT_ONCE);
                client.call(call, keys[first..first + AT_ONCE].iter().map(String::as_str).collect()).await?;
            }
            Ok::<(), redis::RedisError>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// What all threads of this process have used so far.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
