use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis_ring::local::Port;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::met::{Ledger, Met};
use super::peer;

/// A TCP proxy in this process, in front of one server, that can fail in the ways a network does.
///
/// It listens on a port of its own for as long as it lives; the server behind it may come and go. A connection whose
/// server refuses or resets is reset.
#[derive(Debug)]
pub struct FaultProxy {
    port: Port,
    control: watch::Sender<Control>,
    applied: watch::Receiver<u64>,
    counters: Arc<Counters>,
    acceptor: AbortHandle,
}

/// What happens to connections and bytes from now on, on old and new connections alike.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    /// Everything passes.
    #[default]
    Pass,
    /// New connections are refused, as by a machine where nothing listens; those there are go on. With
    /// [`FaultProxy::cut`] it is a killed server.
    Refuse,
    /// Connections are accepted and not one byte passes either way: a hung server, or a network that drops packets. What
    /// is held passes when the mode changes.
    Stall,
    /// Requests reach the server; its replies are held until the mode changes.
    HoldReplies,
    /// Every byte arrives so much later. The rate is not lowered.
    Delay {
        /// From the client to the server.
        requests: Duration,
        /// From the server to the client.
        replies: Duration,
    },
}

/// What a proxy has seen since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections there are now.
    pub open: u64,
    /// Bytes handed to the server.
    pub request_bytes: u64,
    /// Bytes handed to the client.
    pub reply_bytes: u64,
}

impl FaultProxy {
    /// A proxy that passes everything to `target`, as `127.0.0.1:port`.
    pub async fn start(target: impl Into<String>) -> Self {
        let target: Arc<str> = target.into().into();
        let (port, listener) = bind_somewhere().await;
        let (control, commands) = watch::channel(Control::default());
        let (applied_sender, applied) = watch::channel(0);
        let counters = Arc::new(Counters::default());
        let acceptor = Acceptor {
            port: port.number(),
            target,
            listener: Some(listener),
            commands,
            applied: applied_sender,
            counters: Arc::clone(&counters),
        };
        let acceptor = tokio::spawn(acceptor.run()).abort_handle();
        Self { port, control, applied, counters, acceptor }
    }

    /// `127.0.0.1:port`, where clients connect.
    pub fn addr(&self) -> String {
        format!("127.0.0.1:{}", self.port())
    }

    /// The port of [`FaultProxy::addr`].
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Changes the mode; it is in force when this returns.
    pub async fn set(&self, mode: Mode) {
        self.command(|control| control.mode = mode).await;
    }

    /// Resets all connections there are. What they held is lost.
    pub async fn cut(&self) {
        self.command(|control| control.cuts += 1).await;
    }

    /// Tells connections of these processes apart from now on, by asking the system whose they are.
    pub async fn tell_apart(&self, pids: impl IntoIterator<Item = u32>) {
        let pids = Arc::new(pids.into_iter().collect());
        self.command(|control| control.pids = pids).await;
    }

    /// A mode of its own for the connections of one of the processes that are told apart; `None` is that of all others.
    /// For one process, [`Mode::Refuse`] accepts and resets at once.
    pub async fn set_for(&self, pid: u32, mode: Option<Mode>) {
        self.command(|control| {
            let modes = Arc::make_mut(&mut control.modes);
            match mode {
                Some(mode) => modes.insert(pid, mode),
                None => modes.remove(&pid),
            };
        })
        .await;
    }

    /// Resets the connections there are of one of the processes that are told apart, a moment after this returns at the
    /// latest.
    pub async fn cut_for(&self, pid: u32) {
        self.command(|control| *Arc::make_mut(&mut control.cuts_for).entry(pid).or_default() += 1).await;
    }

    /// What it has done so far to the connections of one of the processes that are told apart.
    pub fn met(&self, pid: u32) -> Met {
        self.counters.ledger.of(Some(pid))
    }

    /// What it has seen so far.
    pub fn counts(&self) -> Counts {
        let read = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        Counts {
            accepted: read(&self.counters.accepted),
            open: read(&self.counters.open),
            request_bytes: read(&self.counters.request_bytes),
            reply_bytes: read(&self.counters.reply_bytes),
        }
    }

    async fn command(&self, change: impl FnOnce(&mut Control)) {
        let mut version = 0;
        self.control.send_modify(|control| {
            change(control);
            control.version += 1;
            version = control.version;
        });
        self.applied.clone().wait_for(|applied| *applied >= version).await.expect("the proxy runs");
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

#[derive(Debug, Clone, Default)]
struct Control {
    mode: Mode,
    /// Raised by each cut: a connection made before it ends.
    cuts: u64,
    version: u64,
    /// The processes that are told apart, what is different for them, and how often each was cut.
    pids: Arc<BTreeSet<u32>>,
    modes: Arc<BTreeMap<u32, Mode>>,
    cuts_for: Arc<BTreeMap<u32, u64>>,
}

impl Control {
    /// The mode for connections of this process, or of one that is not told apart.
    fn mode_of(&self, who: Option<u32>) -> Mode {
        who.and_then(|pid| self.modes.get(&pid)).copied().unwrap_or(self.mode)
    }

    /// What ends a connection of this process when it rises.
    fn cuts_of(&self, who: Option<u32>) -> u64 {
        self.cuts + who.and_then(|pid| self.cuts_for.get(&pid)).copied().unwrap_or_default()
    }
}

#[derive(Debug, Default)]
struct Counters {
    accepted: AtomicU64,
    ledger: Ledger,
    open: AtomicU64,
    request_bytes: AtomicU64,
    reply_bytes: AtomicU64,
}

async fn bind_somewhere() -> (Port, TcpListener) {
    for _ in 0..10 {
        let port = Port::reserve().expect("a free port");
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port.number())).await {
            return (port, listener);
        }
    }
    panic!("no port could be bound");
}

struct Acceptor {
    port: u16,
    target: Arc<str>,
    /// None while it refuses.
    listener: Option<TcpListener>,
    commands: watch::Receiver<Control>,
    applied: watch::Sender<u64>,
    counters: Arc<Counters>,
}

impl Acceptor {
    async fn run(mut self) {
        // Dropped with this task, and all connections with it.
        let mut connections = JoinSet::new();
        let mut cuts = 0;
        loop {
            tokio::select! {
                changed = self.commands.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let control = self.commands.borrow_and_update().clone();
                    if control.cuts != cuts {
                        cuts = control.cuts;
                        // All that are there were made before this cut, and end by it.
                        while connections.join_next().await.is_some() {}
                    }
                    self.listen(control.mode).await;
                    self.applied.send_replace(control.version);
                }
                accepted = accept(self.listener.as_ref()) => {
                    if let Ok(client) = accepted {
                        self.counters.accepted.fetch_add(1, Ordering::SeqCst);
                        self.serve(client, cuts, &mut connections);
                    }
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }

    /// `cuts` are those that have been carried out: one that is asked for and not yet carried out ends this one as well.
    fn serve(&self, client: TcpStream, cuts: u64, connections: &mut JoinSet<()>) {
        let (control, target) = (self.commands.clone(), Arc::clone(&self.target));
        let open = Open::new(Arc::clone(&self.counters));
        connections.spawn(async move {
            let now = control.borrow().clone();
            let Some((client, who)) = told_apart(client, Arc::clone(&now.pids)).await else { return };
            open.0.ledger.note(who, |met| met.accepted += 1);
            if who.is_some() && now.mode_of(who) == Mode::Refuse {
                open.0.ledger.note(who, |met| met.refused += 1);
                // One that is gone already is as good as refused.
                let _ = client.set_zero_linger();
                return;
            }
            let born = Control { cuts, ..now }.cuts_of(who);
            connection(client, target, Commands { control, who }, born, open).await;
        });
    }

    async fn listen(&mut self, mode: Mode) {
        match mode {
            Mode::Refuse => self.listener = None,
            Mode::Pass | Mode::Stall | Mode::HoldReplies | Mode::Delay { .. } => {
                while self.listener.is_none() {
                    match TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await {
                        Ok(listener) => self.listener = Some(listener),
                        Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                    }
                }
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

/// Counts a connection as open while it lives.
struct Open(Arc<Counters>);

impl Open {
    fn new(counters: Arc<Counters>) -> Self {
        counters.open.fetch_add(1, Ordering::SeqCst);
        Self(counters)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whose a connection is. The system is asked beside the runtime: when all connect at once, others must not wait for that.
async fn told_apart(client: TcpStream, pids: Arc<BTreeSet<u32>>) -> Option<(TcpStream, Option<u32>)> {
    if pids.is_empty() {
        return Some((client, None));
    }
    let asked = tokio::task::spawn_blocking(move || {
        let who = peer::process_of(&client, &pids);
        (client, who)
    });
    asked.await.ok()
}

/// What one connection is told.
#[derive(Clone)]
struct Commands {
    control: watch::Receiver<Control>,
    who: Option<u32>,
}

impl Commands {
    fn mode(&self) -> Mode {
        self.control.borrow().mode_of(self.who)
    }

    async fn passes(&mut self, way: Way) -> io::Result<()> {
        let who = self.who;
        let passes = self.control.wait_for(|control| !way.is_held(control.mode_of(who))).await;
        passes.map(|_| ()).map_err(io::Error::other)
    }

    async fn cut(&mut self, born: u64) {
        let who = self.who;
        // Without its proxy a connection ends as well.
        let _ = self.control.wait_for(|control| control.cuts_of(who) > born).await;
    }
}

/// Ends by an orderly close when both sides closed, else by a reset of both.
async fn connection(mut client: TcpStream, target: Arc<str>, commands: Commands, born: u64, open: Open) {
    let mut cuts = commands.clone();
    let who = commands.who;
    let mut server = None;
    let orderly = tokio::select! {
        result = relay(&mut client, &mut server, &target, commands, &open.0) => result.is_ok(),
        () = cuts.cut(born) => {
            open.0.ledger.note(who, |met| met.reset += 1);
            false
        }
    };
    if !orderly {
        // A socket that is gone already is as good as reset.
        let _ = client.set_zero_linger();
        if let Some(server) = server {
            let _ = server.set_zero_linger();
        }
    }
}

async fn relay(
    client: &mut TcpStream,
    server: &mut Option<TcpStream>,
    target: &str,
    commands: Commands,
    counters: &Counters,
) -> io::Result<()> {
    let connected = TcpStream::connect(target).await;
    if connected.is_err() {
        counters.ledger.note(commands.who, |met| met.ended += 1);
    }
    let server = server.insert(connected?);
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (client_reads, client_writes) = client.split();
    let (server_reads, server_writes) = server.split();
    let requests = pump(client_reads, server_writes, Way::Requests, commands.clone(), counters);
    let replies = pump(server_reads, client_writes, Way::Replies, commands, counters);
    // A reset of one side ends both at once.
    tokio::try_join!(requests, replies).map(|((), ())| ())
}

#[derive(Debug, Clone, Copy)]
enum Way {
    Requests,
    Replies,
}

impl Way {
    fn is_held(self, mode: Mode) -> bool {
        match (mode, self) {
            (Mode::Stall, Self::Requests | Self::Replies) | (Mode::HoldReplies, Self::Replies) => true,
            (Mode::HoldReplies, Self::Requests) | (Mode::Pass | Mode::Refuse | Mode::Delay { .. }, _) => false,
        }
    }

    fn delay(self, mode: Mode) -> Duration {
        match (mode, self) {
            (Mode::Delay { requests, .. }, Self::Requests) => requests,
            (Mode::Delay { replies, .. }, Self::Replies) => replies,
            (Mode::Pass | Mode::Refuse | Mode::Stall | Mode::HoldReplies, _) => Duration::ZERO,
        }
    }

    fn note(self, event: &Event, delay: Duration, counters: &Counters, who: Option<u32>) {
        let is_end = matches!((self, event), (Self::Replies, Event::End | Event::Reset(_)));
        if is_end || !delay.is_zero() {
            counters.ledger.note(who, |met| {
                met.delayed += u64::from(!delay.is_zero());
                met.ended += u64::from(is_end);
            });
        }
    }

    fn passed(self, length: u64, counters: &Counters, who: Option<u32>) {
        match self {
            Self::Requests => {
                counters.request_bytes.fetch_add(length, Ordering::SeqCst);
                counters.ledger.note(who, |met| met.requests += 1);
            }
            Self::Replies => {
                counters.reply_bytes.fetch_add(length, Ordering::SeqCst);
            }
        }
    }
}

/// What is on its way, with the time it arrives.
enum Event {
    Data(Vec<u8>),
    End,
    Reset(io::Error),
}

/// Chunks on their way on one connection; more than a socket's buffer, as a slow line has.
const ON_THE_WAY: usize = 1024;

/// Moves one direction. An end or a reset takes its turn behind the data: a network that holds data holds those too.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    way: Way,
    commands: Commands,
    counters: &Counters,
) -> io::Result<()> {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Event)>(ON_THE_WAY);
    let mut mode_of_writer = commands.clone();
    let reader = async move {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let event = match from.read(&mut buffer).await {
                Ok(0) => Event::End,
                Ok(length) => Event::Data(buffer[..length].to_vec()),
                Err(error) => Event::Reset(error),
            };
            let last = matches!(event, Event::End | Event::Reset(_));
            let delay = way.delay(commands.mode());
            way.note(&event, delay, counters, commands.who);
            let arrival = Instant::now() + delay;
            if sender.send((arrival, event)).await.is_err() || last {
                return Ok(());
            }
        }
    };
    let writer = async move {
        while let Some((arrival, event)) = receiver.recv().await {
            // A timer for each chunk would be most of what the proxy costs.
            if arrival > Instant::now() {
                tokio::time::sleep_until(arrival).await;
            }
            if way.is_held(mode_of_writer.mode()) {
                counters.ledger.note(mode_of_writer.who, |met| met.held += 1);
                mode_of_writer.passes(way).await?;
            }
            match event {
                Event::Data(data) => {
                    to.write_all(&data).await?;
                    way.passed(data.len() as u64, counters, mode_of_writer.who);
                }
                Event::End => to.shutdown().await?,
                Event::Reset(error) => return Err(error),
            }
        }
        Ok(())
    };
    tokio::try_join!(reader, writer).map(|((), ())| ())
}
