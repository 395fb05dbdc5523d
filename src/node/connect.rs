//! Connecting to a server and the handshake.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join4;
use redis::aio::{AsyncPushSender, MultiplexedConnection};
use redis::{AsyncConnectionConfig, ProtocolVersion, RedisConnectionInfo, RedisError, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::access;
use super::driver::{self, Reads};
use super::inflight;
use super::link::{Clock, Link, Peer};
use super::ticker::Ticker;
use super::tracking::{self, Tracking};
use crate::cache::Cache;
use crate::error::{Error, ErrorKind, Result};
use crate::membership::Address;
use crate::placement::RunId;
use crate::policy::{HedgePolicy, Timeouts};

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

/// Connects, authenticates, and learns which process answers and what time it has.
///
/// The connect timeout covers all of it: a stopped process still accepts connections, only a reply proves life.
pub(super) async fn connect(address: &Address, options: &ConnectOptions, ticker: &Arc<Ticker>) -> Result<Connected> {
    within(address, options, connect_and_greet(address, options, ticker)).await
}

/// As [`connect`], for a connection on which the server speaks unasked. Only RESP3 can.
pub(super) async fn connect_for_pushes(
    address: &Address,
    options: &ConnectOptions,
    ticker: &Arc<Ticker>,
    pushes: &Pushes,
) -> Result<Connected> {
    let connecting = async {
        match multiplexed(address, options, ProtocolVersion::RESP3, ticker, Some(pushes)).await {
            Ok(connected) => Ok(connected),
            Err(Refusal::Other(error)) => Err(error),
            Err(Refusal::OldProtocol) => {
                Err(Error::new(ErrorKind::Server, format!("{address} does not speak RESP3, which subscriptions need"))
                    .with_hint("Redis 6.0 and newer do, unless HELLO is renamed or denied"))
            }
        }
    };
    within(address, options, connecting).await
}

/// Takes what a server says unasked. It is called by the task that moves the connection's bytes, and so must not block.
pub(crate) type Pushes = Arc<dyn AsyncPushSender>;

async fn within(
    address: &Address,
    options: &ConnectOptions,
    connecting: impl Future<Output = Result<Connected>>,
) -> Result<Connected> {
    let limit = options.timeouts.connect;
    match tokio::time::timeout(limit, connecting).await {
        Ok(connected) => connected,
        Err(_) => {
            Err(Error::new(ErrorKind::Unreachable, format!("{address} did not answer within {} ms", limit.as_millis())))
        }
    }
}

/// A new connection and the task that drives it, whose end is the connection's.
pub(super) struct Connected {
    pub(super) link: Arc<Link>,
    pub(super) driver: tokio::task::JoinHandle<()>,
}

async fn connect_and_greet(address: &Address, options: &ConnectOptions, ticker: &Arc<Ticker>) -> Result<Connected> {
    match multiplexed(address, options, ProtocolVersion::RESP3, ticker, None).await {
        // Servers before 6.0, and those that answer HELLO with an error.
        Err(Refusal::OldProtocol) => match multiplexed(address, options, ProtocolVersion::RESP2, ticker, None).await {
            Ok(connected) => Ok(connected),
            Err(Refusal::OldProtocol) => Err(Error::new(ErrorKind::Server, format!("{address} speaks no known RESP"))),
            Err(Refusal::Other(error)) => Err(error),
        },
        Err(Refusal::Other(error)) => Err(error),
        Ok(connected) => Ok(connected),
    }
}

enum Refusal {
    OldProtocol,
    Other(Error),
}

async fn multiplexed(
    address: &Address,
    options: &ConnectOptions,
    protocol: ProtocolVersion,
    ticker: &Arc<Ticker>,
    pushes: Option<&Pushes>,
) -> Result<Connected, Refusal> {
    let tcp = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(|error| {
        let what = match error.kind() {
            std::io::ErrorKind::ConnectionRefused => format!("{address} refused the connection"),
            _ => format!("cannot connect to {address}"),
        };
        Refusal::Other(Error::new(ErrorKind::Unreachable, what).with_source(error))
    })?;
    // Without it a small command can wait for the acknowledgement of the one before.
    tcp.set_nodelay(true).map_err(|error| {
        Refusal::Other(Error::new(ErrorKind::Unreachable, format!("cannot set up {address}")).with_source(error))
    })?;
    if address.tls {
        let stream = encrypted(address, options, tcp).await.map_err(Refusal::Other)?;
        greet(address, options, protocol, ticker, pushes, stream).await
    } else {
        greet(address, options, protocol, ticker, pushes, tcp).await
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
    ticker: &Arc<Ticker>,
    pushes: Option<&Pushes>,
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
    let cache = options.cache.as_ref().filter(|_| pushes.is_none());
    if cache.is_some() && protocol != ProtocolVersion::RESP3 {
        tracing::warn!(server = %address, "speaks no RESP3: what it answers is not cached");
    }
    let cache = cache.filter(|_| protocol == ProtocolVersion::RESP3);
    if let Some(pushes) = pushes {
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
                Refusal::Other(refused(address, error))
            }
        })?;
    let driver = tokio::spawn(driver::drive(Arc::clone(&reads), driver));
    let abort = driver.abort_handle();
    match introduce(address, &connection, cache.map(|cache| Tracking::new(cache, id))).await {
        Ok(peer) => {
            let link = Link::new(id, connection, peer, options.hedge, ticker, abort, reads);
            Ok(Connected { link, driver })
        }
        Err(error) => {
            driver.abort();
            Err(Refusal::Other(error))
        }
    }
}

/// Asks which process answers and what time it has; the first command also shows a missing password.
async fn introduce(address: &Address, connection: &MultiplexedConnection, tracking: Option<Tracking>) -> Result<Peer> {
    let clock = Clock::local();
    let (mut first, mut second, mut third) = (connection.clone(), connection.clone(), connection.clone());
    let mut fourth = connection.clone();
    let time = async {
        let asked = Instant::now();
        let time = ask(address, &mut first, &redis::cmd("TIME")).await?;
        clock.set(server_time(&time).ok_or_else(|| nonsense(address, "TIME"))?, asked, Instant::now());
        Ok(())
    };
    let (mut info, mut number) = (redis::cmd("INFO"), redis::cmd("CLIENT"));
    let info = ask(address, &mut second, info.arg("server"));
    let number = ask(address, &mut third, number.arg("ID"));
    let tracking = async { Ok(track(address, &mut fourth, tracking).await) };
    // Together, so that the handshake has one round trip of ours.
    let ((), info, number, tracking) = try_join4(time, info, number, tracking).await?;
    let run_id = run_id(&info).ok_or_else(|| nonsense(address, "INFO server"))?;
    Ok(Peer { run_id, clock, client_id: redis::from_redis_value(number).unwrap_or_default(), tracking })
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
    match ask(address, connection, cmd.arg("TRACKING").arg("ON").arg("OPTIN")).await {
        Ok(_) => Some(tracking),
        Err(error) => {
            tracing::warn!(server = %address, %error, "refused CLIENT TRACKING: what it answers is not cached");
            None
        }
    }
}

async fn ask(address: &Address, connection: &mut MultiplexedConnection, cmd: &redis::Cmd) -> Result<Value> {
    let reply = connection.send_packed_command(cmd).await;
    reply.and_then(Value::extract_error).map_err(|error| refused(address, error))
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

/// An error of the handshake, with what to do about it.
fn refused(address: &Address, error: RedisError) -> Error {
    let code = error.code().unwrap_or_default().to_owned();
    if let Some(named) = access::denied(address, &error) {
        return named.with_source(error);
    }
    let denied = |hint: &str| Error::new(ErrorKind::Denied, format!("{address} denied access")).with_hint(hint);
    let made = match code.as_str() {
        "NOAUTH" => denied("the server wants a password: give it in the client's options"),
        "WRONGPASS" => denied("the user name or password is wrong"),
        "NOPERM" => denied("the user may not do what every connection needs: docs/access.md lists the rules"),
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
        n => Duration::from_millis(super::breaker::jittered_backoff(
            n - 2,
            Duration::from_millis(10),
            Duration::from_secs(1),
        )),
    }
}
