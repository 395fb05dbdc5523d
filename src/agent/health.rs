//! Watches whether the server answers, on a connection of its own.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use redis::{PushInfo, PushKind, Value};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use super::gate::{Door, Doors, end_clients, is_open};
use super::info::Info;
use super::options::HealthOptions;
use super::server::{Connector, Failure, Server};
use crate::membership::Address;

/// What is known of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// Nothing yet.
    Unknown,
    /// It answers.
    Answers(Sighting),
    /// It answers that it is loading its data.
    Loading,
    /// It lives, but does not tell this agent who it is.
    Unverified(String),
    /// It said nothing for longer than it may.
    Hung,
    /// Nobody listens at its port.
    Refused,
}

/// A server that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sighting {
    pub(crate) run_id: String,
    /// The number of the agent's connection there.
    pub(crate) client_id: u64,
    pub(crate) replica: bool,
    pub(crate) flushes: u64,
    /// How often the server has said on this connection that all its keys are gone: at a flush, and when it reads its
    /// data anew.
    pub(crate) emptied: u64,
    pub(crate) policy: String,
}

/// The task that watches; it ends when this is dropped.
pub(crate) struct HealthWatch {
    pub(crate) seen: watch::Receiver<Health>,
    task: AbortHandle,
}

impl Drop for HealthWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Starts to watch the server, and its gate where that is open. `name` is the connection's name at the server.
pub(crate) fn watch(
    connector: Connector,
    address: Address,
    name: String,
    options: HealthOptions,
    doors: Doors,
) -> HealthWatch {
    let (report, seen) = watch::channel(Health::Unknown);
    let changed = doors.subscribe();
    let watcher = Watcher { connector, address, name, options, report, silence: None, doors, changed };
    HealthWatch { seen, task: tokio::spawn(watcher.run()).abort_handle() }
}

/// The watcher's connection, and what the server has said on it unasked.
struct Watched {
    server: Server,
    told: watch::Receiver<Told>,
    /// The database that it has chosen.
    db: i64,
}

/// What the server has told of the keys that were read on this connection: only the gate ever is.
#[derive(Clone, Copy, Default)]
struct Told {
    changes: u64,
    emptied: u64,
}

struct Watcher {
    connector: Connector,
    address: Address,
    name: String,
    options: HealthOptions,
    report: watch::Sender<Health>,
    silence: Option<Silence>,
    doors: Doors,
    changed: watch::Receiver<Door>,
}

/// Probes that were not answered, in a row.
struct Silence {
    since: Instant,
    /// Those whose answers would have been heard in time.
    probes: u32,
}

impl Silence {
    /// One more, that began then. How late this process has run meanwhile at worst tells whether its answer may have been
    /// there in time. Whether it is a hang now.
    fn goes_on(&mut self, began: Instant, now: Instant, lag: Duration, hang_after: Duration) -> bool {
        self.probes += u32::from(lag <= now.duration_since(began) / 3);
        let silent = now.duration_since(self.since);
        (self.probes >= PROBES && silent >= hang_after) || silent >= hang_after * LATE
    }
}

/// `INFO` is asked for once in so many probes: a second by default.
const INFO_EVERY: u32 = 20;
/// Fewer unanswered probes may be one hiccup, however long it took.
const PROBES: u32 = 3;
/// A machine so busy that no probe can be trusted does not hide a hang for longer than so many times what is enough otherwise.
const LATE: u32 = 10;
/// How much later than planned this task may run until nothing that it saw before counts.
const STALL: Duration = Duration::from_millis(200);
/// How often this task looks whether it runs in time, while it waits for an answer.
const PULSE: Duration = Duration::from_millis(10);

/// How late this task has run at worst, while it waited for something.
///
/// An answer that came in time is seen late by a process that gets no processor, and then its time limit has passed.
struct Lag {
    due: Instant,
    worst: Duration,
}

impl Lag {
    /// Waits, and measures.
    async fn during<T>(waiting: impl Future<Output = T>) -> (T, Duration) {
        let mut lag = Lag { due: Instant::now() + PULSE, worst: Duration::ZERO };
        let mut waiting = std::pin::pin!(waiting);
        let done = loop {
            tokio::select! {
                biased;
                done = &mut waiting => break done,
                () = sleep_until(lag.due) => {
                    lag.note();
                    lag.due = Instant::now() + PULSE;
                }
            }
        };
        lag.note();
        (done, lag.worst)
    }

    fn note(&mut self) {
        self.worst = self.worst.max(self.due.elapsed());
    }
}

impl Watcher {
    async fn run(mut self) {
        let mut server: Option<Watched> = None;
        let mut round = 0u32;
        'probes: loop {
            let began = Instant::now();
            let (probed, lag) = Lag::during(async {
                match &mut server {
                    Some(server) => self.probe(server, round).await,
                    None => match self.meet().await {
                        Ok(new) => {
                            server = Some(new);
                            Ok(())
                        }
                        Err(failure) => Err(failure),
                    },
                }
            })
            .await;
            round = round.wrapping_add(1);
            let lost = matches!(probed, Err(Failure::Lost(_)));
            match probed {
                Ok(()) => self.silence = None,
                Err(failure) => {
                    let had = server.is_some();
                    if self.judge(failure, began, lag) || lost {
                        server = None;
                        round = 0;
                    }
                    if lost && had {
                        // Whether it is dead or was restarted is told by the next connection, at once.
                        continue 'probes;
                    }
                }
            }
            let planned = (began + self.options.every).max(Instant::now());
            loop {
                let event = async {
                    match &mut server {
                        Some(Watched { server, told, .. }) => tokio::select! {
                            () = server.ended() => false,
                            Ok(()) = told.changed() => true,
                            Ok(()) = self.changed.changed() => true,
                        },
                        None => std::future::pending().await,
                    }
                };
                let told = tokio::select! {
                    () = sleep_until(planned) => break,
                    told = event => told,
                };
                let looked = match &mut server {
                    Some(server) if told => self.look_again(server).await,
                    Some(_) | None => Err(Failure::Refused),
                };
                match looked {
                    Ok(()) => {}
                    // A look that takes long is not judged: the next probe is.
                    Err(Failure::Silent | Failure::Loading | Failure::Answered(_)) => break,
                    // Whether it is dead or was restarted is told by the next connection, at once.
                    Err(Failure::Refused | Failure::Lost(_)) => {
                        (server, round) = (None, 0);
                        continue 'probes;
                    }
                }
            }
            if lag.max(planned.elapsed()) > STALL {
                // This task stood still, and so saw everybody late.
                self.silence = None;
            }
        }
    }

    async fn probe(&mut self, watched: &mut Watched, round: u32) -> Result<(), Failure> {
        watched.server.ping(self.options.probe).await?;
        if round.is_multiple_of(INFO_EVERY) || !matches!(*self.report.borrow(), Health::Answers(_)) {
            self.learn(watched).await?;
            self.look_at_gate(watched).await?;
        }
        Ok(())
    }

    async fn meet(&mut self) -> Result<Watched, Failure> {
        let (tell, told) = watch::channel(Told::default());
        let pushes = Arc::new(move |push: PushInfo| -> Result<(), Infallible> {
            if let Some(all) = invalidation(&push) {
                tell.send_modify(|told| {
                    told.changes += 1;
                    told.emptied += u64::from(all);
                });
            }
            Ok(())
        });
        let mut server = self.connector.connect_to(&self.address, &self.name, 0, Some(pushes)).await?;
        server.ping(self.options.probe).await?;
        match server.ask::<()>(redis::cmd("CLIENT").arg("TRACKING").arg("ON"), self.options.connect).await {
            Ok(()) => {}
            Err(Failure::Answered(code)) => {
                tracing::warn!(code, "the server does not tell its agent of changes, which are seen a second later");
            }
            Err(failure) => return Err(failure),
        }
        let mut watched = Watched { server, told, db: 0 };
        self.learn(&mut watched).await?;
        self.look_at_gate(&mut watched).await?;
        Ok(watched)
    }

    /// Looks at what the server has told a change of.
    async fn look_again(&mut self, watched: &mut Watched) -> Result<(), Failure> {
        let before = match &*self.report.borrow() {
            Health::Answers(sighting) => sighting.emptied,
            _ => 0,
        };
        self.look_at_gate(watched).await?;
        let emptied = watched.told.borrow_and_update().emptied;
        if emptied == before { Ok(()) } else { self.learn(watched).await }
    }

    /// Where the gate is not as this agent has left it, whoever came through it is cut off at once: nobody knows what has
    /// become of the data. That needs no ZooKeeper.
    async fn look_at_gate(&mut self, watched: &mut Watched) -> Result<(), Failure> {
        let within = self.options.connect;
        let Door::Open(life) = self.changed.borrow_and_update().clone() else { return Ok(()) };
        // The gate of a process that is gone is nobody's.
        if !matches!(&*self.report.borrow(), Health::Answers(own) if own.run_id == life.run_id) {
            return Ok(());
        }
        if watched.db != life.db {
            watched.server.select(life.db, within).await?;
            watched.db = life.db;
        }
        if is_open(&mut watched.server, &life, within).await? {
            return Ok(());
        }
        // Unless the agent itself has shut it meanwhile.
        let lost = self.doors.send_if_modified(|door| {
            let lost = *door == Door::Open(life.clone());
            if lost {
                *door = Door::Lost(life.clone());
            }
            lost
        });
        if lost {
            let killed = end_clients(&mut watched.server, None, within).await?;
            tracing::warn!(server = %self.address, killed, "the gate was taken away: all clients are cut off");
        }
        Ok(())
    }

    /// Asks who it is, and reports that.
    async fn learn(&mut self, watched: &mut Watched) -> Result<(), Failure> {
        let Watched { server, told, .. } = watched;
        // A long answer, so it gets more time than a PING.
        let info = server.info(self.options.connect).await?;
        if info.loading {
            return Err(Failure::Loading);
        }
        let Info { run_id, replica, policy, flushes, .. } = info;
        let emptied = told.borrow().emptied;
        let sighting = Sighting { run_id, client_id: server.client_id(), replica, flushes, emptied, policy };
        self.report(Health::Answers(sighting));
        Ok(())
    }

    /// Says what a failed probe means. Returns whether to begin again with a new connection.
    fn judge(&mut self, failure: Failure, began: Instant, lag: Duration) -> bool {
        match failure {
            Failure::Refused => {
                self.silence = None;
                self.report(Health::Refused);
                true
            }
            Failure::Loading => {
                self.silence = None;
                self.report(Health::Loading);
                false
            }
            Failure::Answered(why) => {
                self.silence = None;
                self.report(Health::Unverified(why));
                // What it refused may be this connection's user.
                true
            }
            Failure::Silent | Failure::Lost(_) => {
                let silence = self.silence.get_or_insert(Silence { since: began, probes: 0 });
                let hung = silence.goes_on(began, Instant::now(), lag, self.options.hang_after);
                if hung {
                    self.report(Health::Hung);
                }
                hung
            }
        }
    }

    fn report(&self, health: Health) {
        self.report.send_if_modified(|seen| {
            let new = *seen != health;
            if new {
                tracing::info!(server = %self.address, ?health, "the server's health has changed");
                *seen = health;
            }
            new
        });
    }
}

/// Whether a push tells that a key has changed, and if so, whether that are all.
fn invalidation(push: &PushInfo) -> Option<bool> {
    (push.kind == PushKind::Invalidate).then(|| matches!(push.data.first(), None | Some(Value::Nil)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBE: Duration = Duration::from_millis(75);
    const HANG: Duration = Duration::from_millis(225);

    /// After how many probes, each of which this process was so late to hear, it is a hang.
    fn probes(lag: Duration) -> u32 {
        let mut now = Instant::now();
        let mut silence = Silence { since: now, probes: 0 };
        for probe in 1..=100 {
            let began = now;
            now += PROBE.max(lag);
            if silence.goes_on(began, now, lag, HANG) {
                return probe;
            }
        }
        u32::MAX
    }

    #[test]
    fn what_this_process_was_late_to_hear_is_no_hang_for_long() {
        assert_eq!(probes(Duration::ZERO), PROBES);
        assert_eq!(probes(PROBE / 3), PROBES);
        assert_eq!(probes(PROBE / 3 + Duration::from_millis(1)), 10 * PROBES);
        assert_eq!(probes(PROBE * 2), 10 * PROBES / 2);
    }

    #[test]
    fn some_probes_in_time_are_enough_among_others_that_were_not() {
        let mut now = Instant::now();
        let mut silence = Silence { since: now, probes: 0 };
        let late = [true, false, true, true, false, true];
        for late in late {
            let began = now;
            now += PROBE;
            assert!(!silence.goes_on(began, now, if late { PROBE } else { Duration::ZERO }, HANG));
        }
        assert!(silence.goes_on(now, now + PROBE, Duration::ZERO, HANG));
    }

    #[tokio::test(start_paused = true)]
    async fn the_lag_is_how_late_a_task_runs_at_worst_while_it_waits() {
        let (done, lag) = Lag::during(tokio::time::sleep(PROBE)).await;
        let () = done;
        assert!(lag <= Duration::from_millis(2), "{lag:?}");
        let stall = async {
            tokio::time::sleep(PROBE).await;
            tokio::time::advance(HANG).await;
        };
        let ((), lag) = Lag::during(stall).await;
        assert!(lag >= HANG - PULSE * 2, "{lag:?}");
    }
}
