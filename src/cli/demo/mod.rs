//! `redis-ring demo`: a whole ring on this machine, a member killed under load, and what the clients saw.

mod cluster;
mod load;
mod report;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::context::Context;
use super::exit::{Failure, Verdict};
use crate::membership::Source;
use crate::placement::{NodeId, State};
use crate::{Error, ErrorKind, RingClient, TopologyWatch};

use cluster::Cluster;
use load::{Load, Shape, Tally};
use report::{Event, Screen, Summary, Victim};

/// Start a whole ring on this machine, kill a member under load, and show what the clients saw
///
/// Starts ZooKeeper and Redis servers on free loopback ports, in a temporary directory, with an agent beside each; runs a
/// load that checks every value it reads; kills one server with SIGKILL at second 3 and starts it again, empty, at second 8.
/// Everything is ended and removed afterwards, also on Ctrl-C. Exits with 1 if a read failed or was wrong, or if an
/// acknowledged write was lost.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// Redis servers to start
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u8).range(2..=32))]
    members: u8,
    /// Operations a second that the load offers
    #[arg(long, default_value_t = 6400, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Tasks that share the load; each writes keys of its own
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: u16,
}

/// When the member is killed, when it is started again, and how long the load goes on after it is back.
const KILL_AT: Duration = Duration::from_secs(3);
const START_AT: Duration = Duration::from_secs(8);
const GO_ON: Duration = Duration::from_secs(3);
/// How long its agent may take to announce it again.
const BACK_WITHIN: Duration = Duration::from_secs(15);

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

    let shape = Shape { workers: usize::from(args.workers), keys_per_worker: 64, rate: args.rate };
    let tally = Arc::new(Tally::default());
    let keys = Load::prepare(&client, shape, &tally)
        .await
        .map_err(|error| Error::new(ErrorKind::Unreachable, "the first writes failed").with_source(error))?;
    let (victim, server) = cluster
        .servers
        .get(members / 2)
        .ok_or_else(|| Error::new(ErrorKind::Invalid, "a demo needs at least two members"))?;
    let primary_of = keys.iter().filter(|key| client.locate(key).owners.first() == Some(victim)).count();
    screen.note(&format!(
        "{} keys in play; {victim}, which will be killed, is the primary of {primary_of} ({} %)",
        keys.len(),
        100 * primary_of / keys.len().max(1)
    ));

    let mut run = Run {
        began: Instant::now(),
        watch: client.watch(),
        states: states(&client),
        events: Vec::new(),
        tally: Arc::clone(&tally),
        counted: 0,
        screen,
    };
    let load = Load::start(&client, shape, &tally);
    run.event(format!("load begins: {} operations a second by {} tasks", shape.rate, shape.workers));
    run.until(KILL_AT).await;
    server.kill();
    run.event(format!("{victim} killed (SIGKILL)"));
    run.until(START_AT).await;
    server.restart_async().await.map_err(|error| {
        Error::new(ErrorKind::Unreachable, format!("{victim} does not start again")).with_source(error)
    })?;
    run.event(format!("{victim} started again, empty"));
    let back = run.until_joining(victim).await;
    run.until(run.began.elapsed() + GO_ON).await;
    let took = run.began.elapsed();
    let lost_writes = load.finish().await;
    run.event("load ends".to_owned());
    let commands = served(&server.addr()).await;

    let summary = Summary {
        operations: tally.operations.load(Ordering::Relaxed),
        failed_reads: tally.failed_reads.load(Ordering::Relaxed),
        failed_writes: tally.failed_writes.load(Ordering::Relaxed),
        nil_reads: tally.nil_reads.load(Ordering::Relaxed),
        wrong_reads: tally.nil_reads.load(Ordering::Relaxed) + tally.wrong_reads.load(Ordering::Relaxed),
        lost_writes,
        longest_read_ms: tally.longest_read().as_secs_f64() * 1000.0,
        longest_write_ms: tally.longest_write().as_secs_f64() * 1000.0,
        seconds: took.as_secs_f64(),
        keys: keys.len(),
        victim: Victim { id: victim.to_string(), primary_of, back, commands_served: commands },
        stats: client.stats(),
        events: run.events,
    };
    run.screen.summary(&summary, tally.first_error())?;
    Ok(Verdict::of(summary.is_clean()))
}

/// How many commands on keys a server has executed since its start.
async fn served(addr: &str) -> Option<u64> {
    let client = redis::Client::open(format!("redis://{addr}")).ok()?;
    let mut connection = client.get_multiplexed_async_connection().await.ok()?;
    let text: String = redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await.ok()?;
    let on_keys = ["get", "set", "incr"];
    let calls = text.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split_once(":calls="));
    Some(
        calls
            .filter(|(name, _)| on_keys.contains(name))
            .filter_map(|(_, rest)| rest.split(',').next()?.parse::<u64>().ok())
            .sum(),
    )
}

fn states(client: &RingClient) -> Vec<(NodeId, State)> {
    client.topology().members().iter().map(|member| (member.id.clone(), member.state)).collect()
}

/// The time while the load runs: a line each second, and the ring's changes as they come.
struct Run<'a> {
    began: Instant,
    watch: TopologyWatch,
    states: Vec<(NodeId, State)>,
    events: Vec<Event>,
    tally: Arc<Tally>,
    counted: u64,
    screen: Screen<'a>,
}

impl Run<'_> {
    fn event(&mut self, what: String) {
        let at_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let event = Event { at_ms, what };
        self.screen.event(&event);
        self.events.push(event);
    }

    async fn until(&mut self, time: Duration) {
        self.until_some(time, |_| false).await;
    }

    /// Whether the member's agent has announced it, unread, in time.
    async fn until_joining(&mut self, id: &NodeId) -> bool {
        let deadline = self.began.elapsed() + BACK_WITHIN;
        let wanted = (id.clone(), State::Joining);
        self.until_some(deadline, |states| states.contains(&wanted)).await
    }

    async fn until_some(&mut self, time: Duration, enough: impl Fn(&[(NodeId, State)]) -> bool) -> bool {
        let deadline = self.began + time;
        loop {
            if enough(&self.states) {
                return true;
            }
            let second = self.began + Duration::from_secs(self.began.elapsed().as_secs() + 1);
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(second), if second <= deadline => self.line(),
                () = tokio::time::sleep_until(deadline) => return false,
                Some(view) = self.watch.changed() => self.changed(&view),
            }
        }
    }

    fn line(&mut self) {
        let operations = self.tally.operations.load(Ordering::Relaxed);
        let since = operations - std::mem::replace(&mut self.counted, operations);
        self.screen.second(self.began.elapsed(), since, &self.tally, &self.states);
    }

    fn changed(&mut self, view: &crate::membership::View) {
        if let Source::Stale { .. } = view.source {
            self.event("ZooKeeper is lost; the last topology goes on".to_owned());
        }
        let mut changes = Vec::new();
        for member in view.topology.members() {
            for (_, known) in self.states.iter_mut().filter(|(id, known)| *id == member.id && *known != member.state) {
                let reason = member.reason.as_deref().map(|reason| format!(": {reason}")).unwrap_or_default();
                changes.push(format!("{} is {}{reason}", member.id, member.state));
                *known = member.state;
            }
        }
        changes.into_iter().for_each(|change| self.event(change));
    }
}
