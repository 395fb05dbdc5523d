//! Connecting to a server and the handshake.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{try_join, try_join4};
use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::{AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo, RedisError, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::Target;
use super::access;
use super::driver::{self, Reads};
use super::gate::{Gate, Shut};
use super::inflight;
use super::link::{Clock, Link, Peer};
use super::naming::Naming;
use super::ticker::Ticker;
use super::tracking::{self, Tracking};
use crate::cache::Cache;
use crate::command::{OWN_GATE, OWN_TOPOLOGY};
use crate::error::{Error, ErrorKind, Result};
use crate::membership::Address;
use crate::placement::{RunId, Step};
use crate::policy::{HedgePolicy, Timeouts};
use crate::sabotage::{self, Sabotage};

/// What every connection of a client has in common.
#[derive(Clone, Default)]
pub(crate) struct ConnectOptions {
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) db: i64,
    pub(crate) timeouts: Timeouts,
    pub(crate) hedge: HedgePolicy,
    /// How many connections beside the shared one there may be to each member.
    pub(crate) own_connections: OwnConnections,
    /// Where replies are kept.
    pub(crate) cache: Option<Arc<Cache>>,
    /// What connections are called, and how far this client is with the steps of the ring.
    pub(crate) naming: Arc<Naming>,
    #[cfg(feature = "tls")]
    pub(crate) tls: super::tls::Tls,
}

/// A number of connections to one member.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnConnections(pub(crate) usize);

impl Default for OwnConnections {
    fn default() -> Self {
        OwnConnections(1024)
    }
}

impl std::fmt::Debug for ConnectOptions {
    /// Without credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectOptions")
            .field("db", &self.db)
            .field("timeouts", &self.timeouts)
            .field("hedge", &self.hedge)
            .finish_non_exhaustive()
    }
}

/// Connects for reading and writing under a step: authenticates, and learns which process answers and what time it has.
/// Only the process that the target names counts, and only if its gate is open for this life of the data and for clients of
/// this step.
///
/// The connect timeout covers all of it: a stopped process still accepts connections, only a reply proves life.
pub(super) async fn connect(
    target: &Target,
    step: Step,
    options: &ConnectOptions,
    ticker: &Arc<Ticker>,
) -> Result<Connected, Unusable> {
    let greeting = Greeting { name: options.naming.of_step(step), data: Some((target, step)), pushes: None };
    within(&target.address, options, connect_and_greet(&target.address, options, &greeting, ticker)).await
}

/// Connects to whatever process answers, to ask what is no read or write of the ring's.
#[cfg(feature = "cli")]
pub(super) async fn connect_to_ask(
    address: &Address,
    options: &ConnectOptions,
    ticker: &Arc<Ticker>,
) -> Result<Connected> {
    let greeting = Greeting { name: None, data: None, pushes: None };
    let connecting = within(address, options, connect_and_greet(address, options, &greeting, ticker));
    connecting.await.map_err(|unusable| unusable.error)
}

/// Connects to whatever process answers, for what it says unasked. Only RESP3 can. `name` is what the connection is called.
pub(super) async fn connect_for_pushes(
    address: &Address,
    name: Option<String>,
    options: &ConnectOptions,
    ticker: &Arc<Ticker>,
    pushes: &Pushes,
) -> Result<Connected> {
    let greeting = Greeting { name, data: None, pushes: Some(pushes) };
    let connecting = async {
        match multiplexed(address, options, ProtocolVersion::RESP3, &greeting, ticker).await {
            Ok(connected) => Ok(connected),
            Err(Refusal::Unusable(unusable)) => Err(unusable),
            Err(Refusal::OldProtocol) => {
                Err(Error::new(ErrorKind::Server, format!("{address} does not speak RESP3, which subscriptions need"))
                    .with_hint("Redis 6.0 and newer do, unless HELLO is renamed or denied")
                    .into())
            }
        }
    };
    within(address, options, connecting).await.map_err(|unusable| unusable.error)
}

/// What is said and asked at the beginning of a connection.
struct Greeting<'a> {
    /// What it is called.
    name: Option<String>,
    /// Whose data it reads and writes, and under which step.
    data: Option<(&'a Target, Step)>,
    /// Who takes what the server says unasked.
    pushes: Option<&'a Pushes>,
}

/// Why a connection cannot be had.
#[derive(Debug)]
pub(super) struct Unusable {
    pub(super) error: Error,
    /// What the server's gate says, where that is the reason.
    pub(super) shut: Option<Shut>,
}

impl From<Error> for Unusable {
    fn from(error: Error) -> Unusable {
        Unusable { error, shut: None }
    }
}

/// Takes what a server says unasked. It is called by the task that moves the connection's bytes, and so must not block.
pub(crate) type Pushes = Arc<dyn AsyncPushSender>;

async fn within(
    address: &Address,
    options: &ConnectOptions,
    connecting: impl Future<Output = Result<Connected, Unusable>>,
) -> Result<Connected, Unusable> {
    let limit = options.timeouts.connect;
    tokio::time::timeout(limit, connecting).await.unwrap_or_else(|_| {
        let message = format!("{address} did not answer within {} ms", limit.as_millis());
        Err(Error::new(ErrorKind::Unreachable, message).into())
    })
}

/// A new connection and the task that drives it, whose end is the connection's.
pub(super) struct Connected {
    pub(super) link: Arc<Link>,
    pub(super) driver: tokio::task::JoinHandle<()>,
}

async fn connect_and_greet(
    address: &Address,
    options: &ConnectOptions,
    greeting: &Greeting<'_>,
    ticker: &Arc<Ticker>,
) -> Result<Connected, Unusable> {
    match multiplexed(address, options, ProtocolVersion::RESP3, greeting, ticker).await {
        // Servers before 6.0, and those that answer HELLO with an error.
        Err(Refusal::OldProtocol) => {
            match multiplexed(address, options, ProtocolVersion::RESP2, greeting, ticker).await {
                Ok(connected) => Ok(connected),
                Err(Refusal::OldProtocol) => {
                    Err(Error::new(ErrorKind::Server, format!("{address} speaks no known RESP")).into())
                }
                Err(Refusal::Unusable(unusable)) => Err(unusable),
            }
        }
        Err(Refusal::Unusable(unusable)) => Err(unusable),
        Ok(connected) => Ok(connected),
    }
}

enum Refusal {
    OldProtocol,
    Unusable(Unusable),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal::Unusable(error.into())
    }
}

async fn multiplexed(
    address: &Address,
    options: &ConnectOptions,
    protocol: ProtocolVersion,
    greeting: &Greeting<'_>,
    ticker: &Arc<Ticker>,
) -> Result<Connected, Refusal> {
    let tcp = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(|error| {
        let what = match error.kind() {
            std::io::ErrorKind::ConnectionRefused => format!("{address} refused the connection"),
            _ => format!("cannot connect to {address}"),
        };
        Error::new(ErrorKind::Unreachable, what).with_source(error)
    })?;
    // Without it a small command can wait for the acknowledgement of the one before.
    tcp.set_nodelay(true)
        .map_err(|error| Error::new(ErrorKind::Unreachable, format!("cannot set up {address}")).with_source(error))?;
    if address.tls {
        let stream = encrypted(address, options, tcp).await?;
        greet(address, options, protocol, greeting, ticker, stream).await
    } else {
        greet(address, options, protocol, greeting, ticker, tcp).await
    }
}

#[cfg(feature = "tls")]
pub(super) async fn encrypted(
    address: &Address,
    options: &ConnectOptions,
    tcp: TcpStream,
) -> Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
    options.tls.encrypt(&address.host, tcp).await
}

#[cfg(not(feature = "tls"))]
pub(super) async fn encrypted(address: &Address, _: &ConnectOptions, _: TcpStream) -> Result<TcpStream> {
    Err(Error::new(ErrorKind::Invalid, format!("{address} wants TLS, which this build does not have"))
        .with_hint("turn on the crate's feature `tls`"))
}

async fn greet(
    address: &Address,
    options: &ConnectOptions,
    protocol: ProtocolVersion,
    greeting: &Greeting<'_>,
    ticker: &Arc<Ticker>,
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<Connected, Refusal> {
    let mut info = RedisConnectionInfo::default().set_db(options.db).set_protocol(protocol);
    if let Some(username) = &options.username {
        info = info.set_username(username);
    }
    if let Some(password) = &options.password {
        info = info.set_password(password);
    }
    // Our own clock decides when a request is late.
    let mut config = AsyncConnectionConfig::new().set_response_timeout(None).set_pipeline_buffer_size(inflight::QUEUE);
    let id = Link::next_id();
    // A connection for what servers say unasked is read by nobody else.
    let cache = options.cache.as_ref().filter(|_| greeting.pushes.is_none());
    if cache.is_some() && protocol != ProtocolVersion::RESP3 {
        tracing::warn!(server = %address, "speaks no RESP3: what it answers is not cached");
    }
    let cache = cache.filter(|_| protocol == ProtocolVersion::RESP3);
    if let Some(pushes) = greeting.pushes {
        config = config.set_push_sender(Arc::clone(pushes));
    } else if let Some(cache) = cache.cloned() {
        config = config.set_push_sender(move |push| -> Result<(), Infallible> {
            tracking::pushed(&cache, id, &push);
            Ok(())
        });
    }
    let reads = Reads::new();
    let stream = driver::Stream::new(stream, &reads);
    let (connection, driver) =
        MultiplexedConnection::new_with_config(&info, stream, config).await.map_err(|error| {
            if protocol == ProtocolVersion::RESP3 && is_hello_refused(&error) {
                Refusal::OldProtocol
            } else {
                refused(address, error, UNNAMED).into()
            }
        })?;
    let driver = tokio::spawn(driver::drive(Arc::clone(&reads), driver));
    let abort = driver.abort_handle();
    match introduce(address, options, greeting, &connection, cache.map(|cache| Tracking::new(cache, id))).await {
        Ok(peer) => {
            let link = Link::new(id, connection, peer, options.hedge, ticker, abort, reads);
            Ok(Connected { link, driver })
        }
        Err(unusable) => {
            driver.abort();
            Err(Refusal::Unusable(unusable))
        }
    }
}

/// Says who comes, and asks which process answers, what time it has, and whom its gate lets through. The first command
/// also shows a missing password.
async fn introduce(
    address: &Address,
    options: &ConnectOptions,
    greeting: &Greeting<'_>,
    connection: &MultiplexedConnection,
    tracking: Option<Tracking>,
) -> Result<Peer, Unusable> {
    let clock = Clock::local();
    let mut connections: [_; 6] = std::array::from_fn(|_| connection.clone());
    let [first, second, third, fourth, fifth, sixth] = &mut connections;
    let (mut number, mut info) = (redis::cmd("CLIENT"), redis::cmd("INFO"));
    let number = ask(address, first, number.arg("ID"), "CLIENT ID");
    let time = async {
        let asked = Instant::now();
        let time = ask(address, second, &redis::cmd("TIME"), "TIME").await?;
        clock.set(server_time(&time).ok_or_else(|| nonsense(address, "TIME"))?, asked, Instant::now());
        Ok(())
    };
    let name = async {
        match &greeting.name {
            Some(name) => {
                let mut cmd = redis::cmd("CLIENT");
                ask(address, third, cmd.arg("SETNAME").arg(name), "CLIENT SETNAME").await.map(drop)
            }
            None => Ok(()),
        }
    };
    let gate = async {
        match greeting.data {
            Some((Target { generation: Some(_), .. }, _)) => {
                let mut cmd = redis::cmd("HGETALL");
                let reply = ask(address, fourth, cmd.arg(OWN_GATE), "HGETALL on __rr:*").await?;
                Ok(Gate::parse(&reply))
            }
            Some(_) | None => Ok(Gate::default()),
        }
    };
    let info = ask(address, fifth, info.arg("server"), "INFO");
    let tracking = async { Ok(track(address, sixth, tracking).await) };
    // Together, so that the handshake has one round trip of ours, and in this order. The name before the gate: whoever
    // moves the ring sees the one, or this sees the other.
    let ((number, (), (), gate), (info, tracking)) =
        try_join(try_join4(number, time, name, gate), try_join(info, tracking)).await?;
    let run_id = run_id(&info).ok_or_else(|| nonsense(address, "INFO server"))?;
    if let Some((target, step)) = greeting.data {
        let admitted = admitted(target, step, &run_id, &gate);
        if let Err(Shut::Newer(_)) = admitted {
            offer_records(options, connection.clone()).await;
        }
        admitted.map_err(|shut| not_admitted(target, step, &run_id, shut))?;
    }
    let (generation, step) = greeting.data.map_or((None, None), |(target, step)| (target.generation, Some(step)));
    let client_id = redis::from_redis_value(number).unwrap_or_default();
    Ok(Peer { run_id, generation, step, clock, client_id, tracking })
}

/// Whether a process with this gate may be used as the target, by a client that knows the ring of this step.
fn admitted(target: &Target, step: Step, run_id: &RunId, gate: &Gate) -> Result<(), Shut> {
    if sabotage::is(Sabotage::TrustReturning) {
        return Ok(());
    }
    if target.run_id.as_ref().is_some_and(|expected| expected != run_id) {
        return Err(Shut::OtherLife);
    }
    match target.generation {
        Some(generation) => gate.admits(run_id, generation, step),
        None => Ok(()),
    }
}

fn not_admitted(target: &Target, step: Step, run_id: &RunId, shut: Shut) -> Unusable {
    let address = &target.address;
    let (why, hint) = match shut {
        Shut::Closed => (
            format!("{address} is not to be used: its gate is closed"),
            "its agent opens it when the data is known to be right: is it running?",
        ),
        Shut::OtherLife if target.run_id.as_ref().is_some_and(|expected| expected != run_id) => (
            format!("{address} is another process than the one that holds the member's data"),
            "the server was restarted: its agent will announce it again",
        ),
        Shut::OtherLife => (
            format!("{address} is not to be used: its gate is of another life of its data"),
            "an old dump was loaded, or the member has just come back: its agent sets it right",
        ),
        Shut::Newer(wanted) => (
            format!("{address} is not to be used yet: its gate wants step {wanted}, this client knows {step}"),
            "the ring has moved on: this client follows as soon as it hears of it from ZooKeeper",
        ),
    };
    Unusable { error: Error::new(ErrorKind::Unreachable, why).with_hint(hint), shut: Some(shut) }
}

/// Asks a server whose gate is newer than this client for the ring's records beside it: ZooKeeper may be away. Without them
/// all stays as it is.
async fn offer_records(options: &ConnectOptions, mut connection: MultiplexedConnection) {
    let mut get = redis::cmd("GET");
    if let Ok(Value::BulkString(records)) = connection.send_packed_command(get.arg(OWN_TOPOLOGY)).await {
        options.naming.hints().offer(records);
    }
}

/// Has the server track the keys that are read through the cache. One that does not is used without it.
///
/// With OPTIN, so that it tracks only what follows a CLIENT CACHING. By default it would track, and tell of, all that is
/// read, also by pipelines and by those whose reply is not kept; and a read that is to be kept is a message of several
/// commands in any case.
async fn track(
    address: &Address,
    connection: &mut MultiplexedConnection,
    tracking: Option<Tracking>,
) -> Option<Tracking> {
    let tracking = tracking?;
    let mut cmd = redis::cmd("CLIENT");
    match ask(address, connection, cmd.arg("TRACKING").arg("ON").arg("OPTIN"), "CLIENT TRACKING").await {
        Ok(_) => Some(tracking),
        Err(error) => {
            tracing::warn!(server = %address, %error, "refused CLIENT TRACKING: what it answers is not cached");
            None
        }
    }
}

/// `what` names the command for the error of a user who may not run it.
async fn ask(
    address: &Address,
    connection: &mut MultiplexedConnection,
    cmd: &redis::Cmd,
    what: &'static str,
) -> Result<Value> {
    let reply = connection.send_packed_command(cmd).await;
    reply.and_then(Value::extract_error).map_err(|error| refused(address, error, what))
}

/// The microseconds since the Unix epoch that TIME answered.
pub(super) fn server_time(value: &Value) -> Option<i64> {
    let (seconds, micros): (i64, i64) = redis::from_redis_value_ref(value).ok()?;
    seconds.checked_mul(1_000_000)?.checked_add(micros)
}

fn run_id(info: &Value) -> Option<RunId> {
    let text: String = redis::from_redis_value_ref(info).ok()?;
    let id = text.lines().find_map(|line| line.strip_prefix("run_id:"))?.trim();
    (!id.is_empty()).then(|| RunId::new(id))
}

fn nonsense(address: &Address, what: &str) -> Error {
    Error::new(ErrorKind::Server, format!("{address} gave an answer to {what} that cannot be understood"))
        .with_hint("is it a Redis server?")
}

/// Servers before 6.0 do not know HELLO, and some do not let it through. The text differs with the version.
fn is_hello_refused(error: &RedisError) -> bool {
    let text = error.to_string();
    error.kind() == redis::ErrorKind::RESP3NotSupported
        || error.code() == Some("NOPROTO")
        || (text.contains("unknown command") && text.to_ascii_uppercase().contains("HELLO"))
}

/// The commands that redis-rs sends by itself.
const UNNAMED: &str = "HELLO, AUTH, SELECT or CLIENT SETINFO";

/// An error of the handshake, with what to do about it.
fn refused(address: &Address, error: RedisError, what: &'static str) -> Error {
    let code = error.code().unwrap_or_default().to_owned();
    if let Some(named) = access::denied(address, &error) {
        return named.with_source(error);
    }
    let denied = |hint: &str| Error::new(ErrorKind::Denied, format!("{address} denied access")).with_hint(hint);
    let made = match code.as_str() {
        "NOAUTH" => denied("the server wants a password: give it in the client's options"),
        "WRONGPASS" => denied("the user name or password is wrong"),
        "NOPERM" => Error::new(ErrorKind::Denied, format!("{address} denied access: the user may not run {what}"))
            .with_hint("docs/access.md lists the rules that every connection needs"),
        "LOADING" => Error::new(ErrorKind::Unreachable, format!("{address} is loading its data")),
        _ if error.kind() == redis::ErrorKind::AuthenticationFailed => {
            denied("check user name and password in the client's options")
        }
        _ if error.is_io_error() => Error::new(ErrorKind::Unreachable, format!("{address} closed the connection")),
        _ => Error::new(ErrorKind::Server, format!("{address} refused the handshake")),
    };
    made.with_source(error)
}

/// The wait before the next attempt: none after the first failure, then jittered and growing.
pub(super) fn backoff(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        n => jittered(n - 2, Duration::from_secs(1)),
    }
}

/// The wait where a gate was shut. Agents open gates within milliseconds, and a newer ring is read as soon; so it stays
/// short for a while. But a gate that stays shut must not be hammered by every client there is.
pub(super) fn backoff_at_gate(failures: u32) -> Duration {
    let longest = if failures < PATIENT_AFTER { Duration::from_millis(80) } else { Duration::from_secs(1) };
    jittered(failures, longest)
}

/// Some two seconds after the first.
const PATIENT_AFTER: u32 = 32;

fn jittered(failures: u32, longest: Duration) -> Duration {
    Duration::from_millis(super::breaker::jittered_backoff(failures, Duration::from_millis(10), longest))
}
