//! Watches whether the server answers, on a connection of its own.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

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

/// Starts to watch. `name` is the connection's name at the server.
pub(crate) fn watch(connector: Connector, address: Address, name: String, options: HealthOptions) -> HealthWatch {
    let (report, seen) = watch::channel(Health::Unknown);
    let watcher = Watcher { connector, address, name, options, report, silence: None };
    HealthWatch { seen, task: tokio::spawn(watcher.run()).abort_handle() }
}

struct Watcher {
    connector: Connector,
    address: Address,
    name: String,
    options: HealthOptions,
    report: watch::Sender<Health>,
    silence: Option<Silence>,
}

/// Probes that were not answered, in a row.
struct Silence {
    since: Instant,
    probes: u32,
}

/// `INFO` is asked for once in so many probes: a second by default.
const INFO_EVERY: u32 = 10;
/// Fewer unanswered probes may be one hiccup, however long it took.
const PROBES: u32 = 3;
/// How much later than planned this task may run before its own delay is to blame.
const STALL: Duration = Duration::from_millis(200);

impl Watcher {
    async fn run(mut self) {
        let mut server: Option<Server> = None;
        let mut round = 0u32;
        loop {
            let began = Instant::now();
            let probed = match &mut server {
                Some(server) => self.probe(server, round).await,
                None => match self.meet().await {
                    Ok(new) => {
                        server = Some(new);
                        Ok(())
                    }
                    Err(failure) => Err(failure),
                },
            };
            round = round.wrapping_add(1);
            let lost = matches!(probed, Err(Failure::Lost(_)));
            match probed {
                Ok(()) => self.silence = None,
                Err(failure) => {
                    let had = server.is_some();
                    if self.judge(failure, began) || lost {
                        server = None;
                        round = 0;
                    }
                    if lost && had {
                        // Whether it is dead or was restarted is told by the next connection, at once.
                        continue;
                    }
                }
            }
            let planned = (began + self.options.every).max(Instant::now());
            // The longest that a round may take by its time limits: meeting the server and asking who it is.
            let longest = self.options.connect * 2 + self.options.probe;
            let slow = began.elapsed() > longest + STALL;
            let ended = async {
                match &mut server {
                    Some(server) => server.ended().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep_until(planned) => {}
                () = ended => {
                    // Whether it is dead or was restarted is told by the next connection, at once.
                    (server, round) = (None, 0);
                    continue;
                }
            }
            if slow || Instant::now() > planned + STALL {
                // This task stood still, and so saw everybody late.
                self.silence = None;
            }
        }
    }

    async fn probe(&mut self, server: &mut Server, round: u32) -> Result<(), Failure> {
        server.ping(self.options.probe).await?;
        if round.is_multiple_of(INFO_EVERY) || !matches!(*self.report.borrow(), Health::Answers(_)) {
            self.learn(server).await?;
        }
        Ok(())
    }

    async fn meet(&mut self) -> Result<Server, Failure> {
        let mut server = self.connector.connect(&self.address, &self.name).await?;
        server.ping(self.options.probe).await?;
        self.learn(&mut server).await?;
        Ok(server)
    }

    /// Asks who it is, and reports that.
    async fn learn(&mut self, server: &mut Server) -> Result<(), Failure> {
        // A long answer, so it gets more time than a PING.
        let info = server.info(self.options.connect).await?;
        if info.loading {
            return Err(Failure::Loading);
        }
        let Info { run_id, replica, policy, flushes, .. } = info;
        let sighting = Sighting { run_id, client_id: server.client_id(), replica, flushes, policy };
        self.report(Health::Answers(sighting));
        Ok(())
    }

    /// Says what a failed probe means. Returns whether to begin again with a new connection.
    fn judge(&mut self, failure: Failure, began: Instant) -> bool {
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
                silence.probes += 1;
                // The probe that passes the limit is one more after three that were late: had this process stood
                // still, it would have been answered.
                let hung = silence.probes > PROBES && silence.since.elapsed() >= self.options.hang_after;
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
