//! The faults: each on one member, each of bounded length.

use std::time::{Duration, Instant};

use redis::cmd;
use redis_ring::local::RedisServer;
use tokio::time::sleep;

use crate::client::Client;
use crate::history::now;
use crate::met::{Life, lacking, wrong_life};
use crate::ring::{Member, Ring};
use crate::stalls;
use crate::support::{FaultProxy, Met, Mode, SOON};

/// What a server comes back with after a SIGKILL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum With {
    Nothing,
    /// What it held a moment before.
    OldData,
    /// All that it executed.
    Commands,
}

/// Whom a fault of the network concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    Everybody,
    OneClient,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Connections are reset and refused.
    Refuse,
    /// Nothing passes either way; what was sent arrives when it is over.
    Drop,
    /// Requests pass, replies do not, until it is over.
    DropReplies,
    Delay,
    /// Connections are reset, several times.
    Cut,
}

/// One kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Kill(With),
    Stop,
    Net(Network, Whom),
}

const LATER: Duration = Duration::from_millis(50);
const BETWEEN_CUTS: Duration = Duration::from_millis(250);
/// How old the data is that a server comes back with.
const AGE: Duration = Duration::from_millis(700);

impl Fault {
    /// Every kind once: the fixed cycle.
    pub const CYCLE: [Fault; 14] = [
        Fault::Kill(With::Nothing),
        Fault::Net(Network::Drop, Whom::OneClient),
        Fault::Stop,
        Fault::Net(Network::Refuse, Whom::Everybody),
        Fault::Kill(With::OldData),
        Fault::Net(Network::Delay, Whom::OneClient),
        Fault::Net(Network::Cut, Whom::Everybody),
        Fault::Net(Network::DropReplies, Whom::OneClient),
        Fault::Kill(With::Commands),
        Fault::Net(Network::Drop, Whom::Everybody),
        Fault::Net(Network::Refuse, Whom::OneClient),
        Fault::Net(Network::Delay, Whom::Everybody),
        Fault::Net(Network::DropReplies, Whom::Everybody),
        Fault::Net(Network::Cut, Whom::OneClient),
    ];

    pub fn name(self) -> &'static str {
        match self {
            Fault::Kill(With::Nothing) => "kill-empty",
            Fault::Kill(With::OldData) => "kill-old-rdb",
            Fault::Kill(With::Commands) => "kill-aof",
            Fault::Stop => "stop",
            Fault::Net(network, whom) => match (network, whom) {
                (Network::Refuse, Whom::Everybody) => "refuse",
                (Network::Refuse, Whom::OneClient) => "refuse-one",
                (Network::Drop, Whom::Everybody) => "drop",
                (Network::Drop, Whom::OneClient) => "drop-one",
                (Network::DropReplies, Whom::Everybody) => "drop-replies",
                (Network::DropReplies, Whom::OneClient) => "drop-replies-one",
                (Network::Delay, Whom::Everybody) => "delay",
                (Network::Delay, Whom::OneClient) => "delay-one",
                (Network::Cut, Whom::Everybody) => "cut",
                (Network::Cut, Whom::OneClient) => "cut-one",
            },
        }
    }

    pub fn find(name: &str) -> Option<Fault> {
        Self::CYCLE.into_iter().find(|fault| fault.name() == name)
    }

    /// Whether one client alone is concerned.
    pub fn is_of_one(self) -> bool {
        matches!(self, Fault::Net(_, Whom::OneClient))
    }

    /// How long it lasts: from a moment to longer than every timeout.
    pub fn length(self, rng: &mut fastrand::Rng, longest: Duration) -> Duration {
        let ms = match self {
            // At once, before anybody needs to notice, or later.
            Fault::Kill(_) if rng.u8(..4) == 0 => 0,
            Fault::Kill(_) => rng.u64(200..4000),
            Fault::Stop => [200, 700, 1500, 5000, 20_000][rng.usize(..5)] + rng.u64(..200),
            Fault::Net(..) => rng.u64(200..5000),
        };
        Duration::from_millis(ms).min(longest)
    }
}

/// A fault that was made.
#[derive(Debug, Clone)]
pub struct Window {
    pub fault: Fault,
    pub member: usize,
    /// The only client that it concerns.
    pub client: Option<usize>,
    pub begun: u64,
    /// When the server, or the network, was well again.
    pub ended: u64,
    /// When the ring was whole again.
    pub whole: u64,
    /// Whether the member went through it without being taken out.
    pub outlived: bool,
    /// Why it was no fault at all, if so.
    pub nothing: Option<String>,
}

impl Window {
    /// Whether clients lost connections to a server that was taken for alive: they were reset, or said nothing for so long that
    /// they were given up. One that says nothing to anybody for longer is taken out, which leaves nothing unknown; unless
    /// whoever was to see that was late itself, when the machine stood still.
    pub fn cuts(&self, stalls: &[(u64, u64)]) -> bool {
        let silent = self.ended - self.begun;
        let stood_still = stalls::within(stalls, self.begun, self.ended) > 0;
        let given_up = silent < GIVEN_UP || (self.outlived && stood_still);
        match self.fault {
            Fault::Net(Network::Refuse | Network::Cut, _) => true,
            Fault::Net(Network::Drop | Network::DropReplies, Whom::OneClient) => true,
            Fault::Net(Network::Drop | Network::DropReplies, Whom::Everybody) => given_up,
            Fault::Stop => given_up && self.outlived && silent > SILENT,
            Fault::Net(Network::Delay, _) | Fault::Kill(_) => false,
        }
    }

    /// From its begin to a moment after its end.
    pub fn with_its_end(&self) -> (u64, u64) {
        (self.begun, self.ended + 1_000_000_000)
    }
}

/// Longer than its length a fault lasts until it has met all that it concerns, but no longer than this.
const MEETS_WITHIN: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);
/// A connection that says nothing is given up within this time, and whoever does not answer then is taken out.
const GIVEN_UP: u64 = 1_000_000_000;
/// And not before this one.
const SILENT: u64 = 400_000_000;

/// Makes a fault and ends it.
pub async fn make(
    fault: Fault,
    ring: &Ring,
    member: usize,
    clients: &[Client],
    one: usize,
    length: Duration,
) -> Window {
    let target = &ring.members[member];
    let server = &target.server;
    let concerned = if fault.is_of_one() { &clients[one..=one] } else { clients };
    let mut nothing = None;
    if let Fault::Kill(with) = fault {
        prepare(target, with).await;
    }
    let begun = now();
    let witness = Witness::of(fault, target.proxy.as_ref(), concerned);
    match fault {
        Fault::Kill(with) => {
            let had = target.patiently(SOON * 3, &cmd("DBSIZE")).await;
            server.kill();
            witness.lasts(length).await;
            server.restart_async().await.expect("the server comes back");
            let info: String = target.patiently(SOON * 3, cmd("INFO").arg("persistence")).await;
            nothing = wrong_life(with, life(had, &info));
            if with == With::Commands {
                target.stop_appending().await;
            }
        }
        Fault::Stop => {
            server.stop().expect("the server stops");
            if !is_stopped(server) {
                nothing = Some("the server goes on".to_owned());
            }
            witness.lasts(length).await;
            server.cont().expect("the server goes on");
        }
        Fault::Net(network, whom) => {
            let pid = (whom == Whom::OneClient).then(|| clients[one].pid());
            disturb(target.proxy.as_ref().expect("a proxy"), network, pid, length, &witness).await;
        }
    }
    let client = fault.is_of_one().then_some(clients[one].number);
    let ended = now();
    let nothing = nothing.or_else(|| witness.lacking());
    Window { fault, member, client, begun, ended, whole: ended, outlived: false, nothing }
}

/// What the proxy, where there is one, has done to each client when a fault began.
struct Witness<'a> {
    fault: Fault,
    proxy: Option<&'a FaultProxy>,
    before: Vec<(usize, u32, Met)>,
}

impl<'a> Witness<'a> {
    fn of(fault: Fault, proxy: Option<&'a FaultProxy>, concerned: &[Client]) -> Witness<'a> {
        let clients = concerned.iter().map(|client| (client.number, client.pid()));
        let before = proxy.map(|proxy| clients.map(|(number, pid)| (number, pid, proxy.met(pid))).collect());
        Witness { fault, proxy, before: before.unwrap_or_default() }
    }

    fn lacking(&self) -> Option<String> {
        let proxy = self.proxy?;
        let met: Vec<(usize, Met)> =
            self.before.iter().map(|(number, pid, before)| (*number, proxy.met(*pid) - *before)).collect();
        lacking(self.fault, &met)
    }

    async fn lasts(&self, length: Duration) {
        let begun = Instant::now();
        sleep(length).await;
        while self.lacking().is_some() && begun.elapsed() < length + MEETS_WITHIN {
            sleep(POLL).await;
        }
    }
}

async fn prepare(member: &Member, with: With) {
    match with {
        With::Nothing => member.forget(),
        With::OldData => {
            member.save().await;
            sleep(AGE).await;
        }
        With::Commands => member.append_to_file().await,
    }
}

fn life(had: u64, info: &str) -> Life {
    let value = |name: &str| info.lines().find_map(|line| line.trim().strip_prefix(name)).unwrap_or_default();
    let loaded = value("rdb_last_load_keys_loaded:").parse().unwrap_or_default();
    Life { had, loaded, commands: value("aof_enabled:") == "1" }
}

fn is_stopped(server: &RedisServer) -> bool {
    let stat = server.pid().and_then(|pid| std::fs::read_to_string(format!("/proc/{pid}/stat")).ok());
    // `pid (name) state …`
    stat.is_some_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T')))
}

async fn disturb(proxy: &FaultProxy, network: Network, pid: Option<u32>, length: Duration, witness: &Witness<'_>) {
    let set = async |mode: Option<Mode>| match pid {
        Some(pid) => proxy.set_for(pid, mode).await,
        None => proxy.set(mode.unwrap_or_default()).await,
    };
    let cut = async || match pid {
        Some(pid) => proxy.cut_for(pid).await,
        None => proxy.cut().await,
    };
    match network {
        Network::Refuse => {
            set(Some(Mode::Refuse)).await;
            cut().await;
            witness.lasts(length).await;
            set(None).await;
        }
        Network::Drop | Network::DropReplies | Network::Delay => {
            let mode = match network {
                Network::DropReplies => Mode::HoldReplies,
                Network::Delay => Mode::Delay { requests: LATER, replies: LATER },
                Network::Drop | Network::Refuse | Network::Cut => Mode::Stall,
            };
            set(Some(mode)).await;
            witness.lasts(length).await;
            set(None).await;
        }
        Network::Cut => {
            let cuts = length.as_millis() / BETWEEN_CUTS.as_millis() + 1;
            for _ in 0..cuts {
                cut().await;
                sleep(BETWEEN_CUTS).await;
            }
        }
    }
}
