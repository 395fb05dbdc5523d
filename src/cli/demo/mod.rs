//! `redis-ring demo`: a whole ring on this machine, a member that fails under load and comes back, and what the clients
//! saw.

mod cluster;
mod compare;
mod fault;
mod load;
mod report;
mod run;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::context::Context;
use super::exit::{Failure, Verdict};
use crate::{Error, ErrorKind};

use cluster::Cluster;
use fault::Fault;
use load::{Load, Shape, Tally};
use report::{Screen, Summary, Victim};
use run::Run;

/// Start a whole ring on this machine, kill a member under load, and show what the clients saw until it is whole again
///
/// Starts ZooKeeper and Redis servers on free loopback ports, in a temporary directory, with an agent beside each; runs a
/// load that checks every value it reads; kills one server with SIGKILL at second 3, starts it again, empty, at second 8,
/// and goes on until it has all its keys again. In the end every key is asked directly at each of its owners.
/// Everything is ended and removed afterwards, also on Ctrl-C. Exits with 1 if a read or a write failed, if a value was
/// missing or wrong, if an acknowledged write was lost, or if the ring did not become whole, with equal copies.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Redis servers to start
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=32))]
    members: u8,
    /// What happens to one of them
    #[arg(long, value_enum, default_value_t, value_name = "FAULT")]
    fault: Fault,
    /// Operations a second that the load offers
    #[arg(long, default_value_t = 6400, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Tasks that share the load; each writes keys of its own
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: u16,
    /// Keys in play, all tasks' together
    #[arg(long, default_value_t = 20_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    keys: u32,
}

/// When the fault begins and ends, and how long the load goes on when the ring is whole again.
const STRIKE_AT: Duration = Duration::from_secs(3);
const END_AT: Duration = Duration::from_secs(8);
const GO_ON: Duration = Duration::from_secs(2);
/// How long the ring may take to be whole again.
const WHOLE_WITHIN: Duration = Duration::from_secs(60);

impl Demo {
    pub(super) async fn run(self, context: &Context) -> Result<Verdict, Failure> {
        let mut terminated = signal(SignalKind::terminate())?;
        // Dropping the demo ends everything that it started.
        tokio::select! {
            verdict = show(&self, Screen::new(&context.out)) => verdict,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted?;
                Ok(Verdict::Interrupted)
            }
            _ = terminated.recv() => Ok(Verdict::Interrupted),
        }
    }
}

async fn show(args: &Demo, screen: Screen<'_>) -> Result<Verdict, Failure> {
    let members = usize::from(args.members);
    screen.note(&format!("starting ZooKeeper and {members} Redis servers, with an agent beside each"));
    let cluster = Cluster::start(members).await?;
    let client = cluster.client().await?;
    let ids: Vec<&str> = cluster.servers.iter().map(|(id, _)| id.as_str()).collect();
    screen.note(&format!("the ring is founded: {} in ZooKeeper at {}", ids.join(", "), cluster.zookeeper()));

    let workers = usize::from(args.workers);
    let keys_per_worker = (args.keys as usize).div_ceil(workers);
    let shape = Shape { workers, keys_per_worker, rate: args.rate };
    let tally = Arc::new(Tally::default());
    let keys = Load::prepare(&client, shape, &tally)
        .await
        .map_err(|error| Error::new(ErrorKind::Unreachable, "the first writes failed").with_source(error))?;
    let (victim, server) = cluster
        .servers
        .get(members / 2)
        .ok_or_else(|| Error::new(ErrorKind::Invalid, "a demo needs at least two members"))?;
    let owners_of = |key: &String| client.locate(key).owners;
    let primary_of = keys.iter().filter(|key| owners_of(key).first() == Some(victim)).count();
    let owned = keys.iter().filter(|key| owners_of(key).contains(victim)).count();
    screen.note(&format!(
        "{} keys in play; {victim}, which will fail, is the primary of {primary_of} and holds {owned}",
        keys.len(),
    ));
    args.fault.prepare(server).await?;

    let mut run = Run::new(&cluster.store, &client, &tally, screen);
    let load = Load::start(&client, shape, &tally);
    run.event(format!("load begins: {} operations a second by {} tasks", shape.rate, shape.workers));
    run.until(STRIKE_AT).await;
    let struck = args.fault.strike(server)?;
    let (struck_at, served) = (run.elapsed(), tally.served());
    let not_served =
        |served: u64, time: Duration| (1.0 - served as f64 / (f64::from(shape.rate) * time.as_secs_f64())).max(0.0);
    let before = not_served(served, struck_at);
    run.event(format!("{victim} {struck}"));
    run.until(struck_at + (END_AT - STRIKE_AT)).await;
    let (window, served) = (run.elapsed() - struck_at, tally.served() - served);
    let ended = args.fault.end(server).await?;
    let ended_at = run.elapsed();
    run.event(format!("{victim} {ended}"));
    let whole = run.until_whole(ended_at + WHOLE_WITHIN).await;
    run.until(run.elapsed() + GO_ON).await;
    let took = run.elapsed();
    let lost_writes = load.finish().await;
    run.event("load ends".to_owned());
    let compared = compare::all(&cluster, &client, &keys).await?;
    run.event(format!("{} keys asked directly at each of their owners: {} differ", compared.keys, compared.differing));

    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let summary = Summary {
        operations: count(&tally.operations),
        failed_reads: count(&tally.failed_reads),
        failed_writes: count(&tally.failed_writes),
        nil_reads: count(&tally.nil_reads),
        wrong_reads: count(&tally.nil_reads) + count(&tally.wrong_reads),
        lost_writes,
        longest_read_ms: tally.longest_read().as_secs_f64() * 1000.0,
        longest_write_ms: tally.longest_write().as_secs_f64() * 1000.0,
        capacity_lost: not_served(served, window),
        capacity_lost_before: before,
        whole_again_ms: whole.map(|at| u64::try_from(at.saturating_sub(ended_at).as_millis()).unwrap_or(u64::MAX)),
        compared_keys: compared.keys,
        differing_copies: compared.differing,
        seconds: took.as_secs_f64(),
        keys: keys.len(),
        victim: Victim { id: victim.to_string(), primary_of, owned, back: whole.is_some() },
        stats: client.stats(),
        events: run.events,
    };
    run.screen.summary(&summary, tally.first_error())?;
    Ok(Verdict::of(summary.is_clean()))
}
