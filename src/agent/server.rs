//! The agent's own connection to a Redis server.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{try_join, try_join_all};
use redis::aio::{AsyncPushSender, ConnectionLike as _, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Cmd, Pipeline, ProtocolVersion, RedisConnectionInfo, RedisError, Value, cmd};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::info::{Client, Info, clients};
use super::options::{AgentOptions, Credentials};
use crate::Result;
use crate::membership::Address;

/// How to connect to servers.
#[derive(Clone)]
pub(crate) struct Connector {
    credentials: Credentials,
    timeout: Duration,
    #[cfg(feature = "tls")]
    tls: tokio_rustls::TlsConnector,
}

/// A connection, and the task that drives it.
pub(crate) struct Server {
    connection: MultiplexedConnection,
    driver: JoinHandle<()>,
    client_id: u64,
}

/// Why a server did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nobody listens at its port.
    Refused,
    /// It said nothing in time.
    Silent,
    /// The connection could not be made, or broke.
    Lost(String),
    /// It answers that it is loading its data.
    Loading,
    /// It answers, with an error: it lives, and nothing more is known.
    Answered(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Refused => f.write_str("connection refused"),
            Failure::Silent => f.write_str("no answer"),
            Failure::Lost(why) => write!(f, "connection lost ({why})"),
            Failure::Loading => f.write_str("it is loading its data"),
            Failure::Answered(why) => write!(f, "it answers {why}"),
        }
    }
}

impl Failure {
    pub(super) fn of(error: RedisError) -> Failure {
        // The text of an error reply may repeat arguments; its code does not.
        match (error.kind(), error.code()) {
            (redis::ErrorKind::AuthenticationFailed, _) => Failure::Answered("WRONGPASS".to_owned()),
            (_, Some("LOADING")) => Failure::Loading,
            (_, Some(code)) => Failure::Answered(code.to_owned()),
            (_, None) if error.is_connection_refusal() => Failure::Refused,
            (_, None) if error.is_timeout() => Failure::Silent,
            (_, None) => Failure::Lost(error.category().to_owned()),
        }
    }
}

impl Connector {
    /// # Errors
    /// `Invalid` where certificates cannot be used.
    pub(crate) fn new(options: &AgentOptions) -> Result<Connector> {
        Ok(Connector {
            credentials: options.credentials.clone(),
            timeout: options.health.connect,
            #[cfg(feature = "tls")]
            tls: crate::node::Tls::new(options.tls.clone()).connector()?.clone(),
        })
    }

    /// Connects, and asks for its number there. The time limit covers the handshake: the kernel accepts
    /// connections for a server that hangs.
    pub(crate) async fn connect(&self, address: &Address, name: &str) -> Result<Server, Failure> {
        self.connect_to(address, name, 0, None).await
    }

    /// Likewise, to a database; what the server says unasked goes to `pushes`, which only RESP3 can bring.
    pub(crate) async fn connect_to(
        &self,
        address: &Address,
        name: &str,
        db: i64,
        pushes: Option<Arc<dyn AsyncPushSender>>,
    ) -> Result<Server, Failure> {
        let connecting = self.handshake(address, name, db, pushes);
        timeout(self.timeout, connecting).await.unwrap_or(Err(Failure::Silent))
    }

    async fn handshake(
        &self,
        address: &Address,
        name: &str,
        db: i64,
        pushes: Option<Arc<dyn AsyncPushSender>>,
    ) -> Result<Server, Failure> {
        let io = |why: std::io::Error| match why.kind() {
            std::io::ErrorKind::ConnectionRefused => Failure::Refused,
            std::io::ErrorKind::TimedOut => Failure::Silent,
            kind => Failure::Lost(kind.to_string()),
        };
        let stream = TcpStream::connect(address.host_port()).await.map_err(io)?;
        stream.set_nodelay(true).map_err(io)?;
        if !address.tls {
            return self.greet(stream, name, db, pushes).await;
        }
        #[cfg(feature = "tls")]
        {
            let host = rustls::pki_types::ServerName::try_from(address.host.clone())
                .map_err(|_| Failure::Lost("its host is no name that a certificate can have".to_owned()))?;
            let stream = self.tls.connect(host, stream).await.map_err(io)?;
            self.greet(stream, name, db, pushes).await
        }
        #[cfg(not(feature = "tls"))]
        Err(Failure::Lost("this build has no TLS".to_owned()))
    }

    async fn greet<S>(
        &self,
        stream: S,
        name: &str,
        db: i64,
        pushes: Option<Arc<dyn AsyncPushSender>>,
    ) -> Result<Server, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut settings = RedisConnectionInfo::default().set_skip_set_lib_name().set_db(db);
        if let Some(username) = &self.credentials.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &self.credentials.password {
            settings = settings.set_password(password);
        }
        // Every call here has a time limit of its own.
        let mut config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        if let Some(pushes) = pushes {
            settings = settings.set_protocol(ProtocolVersion::RESP3);
            config = config.set_push_sender(pushes);
        }
        let connecting = MultiplexedConnection::new_with_config(&settings, stream, config);
        let (connection, driver) = connecting.await.map_err(Failure::of)?;
        let driver = tokio::spawn(driver);
        let mut server = Server { connection, driver, client_id: 0 };
        // Not a `pipe()`: an error inside one loses its code, and NOAUTH has to be told from a lost connection.
        let (mut first, mut second) = (server.connection.clone(), server.connection.clone());
        let (mut name_it, mut number) = (cmd("CLIENT"), cmd("CLIENT"));
        let (name_it, number) = (name_it.arg("SETNAME").arg(name), number.arg("ID"));
        let both = try_join(name_it.query_async::<()>(&mut first), number.query_async::<u64>(&mut second));
        ((), server.client_id) = both.await.map_err(Failure::of)?;
        Ok(server)
    }
}

impl Server {
    /// The number of this connection in the server's `CLIENT LIST`.
    pub(crate) fn client_id(&self) -> u64 {
        self.client_id
    }

    /// Resolves when the connection has ended: at once when the server's process dies. Not to be asked again then.
    pub(crate) async fn ended(&mut self) {
        // However its driver ended, the connection is of no use any more.
        let _ = (&mut self.driver).await;
    }

    /// Whether it answers within the time.
    pub(crate) async fn ping(&mut self, within: Duration) -> Result<(), Failure> {
        self.ask::<redis::Value>(&cmd("PING"), within).await.map(drop)
    }

    /// What it says of itself.
    pub(crate) async fn info(&mut self, within: Duration) -> Result<Info, Failure> {
        // One `INFO` with several sections needs Redis 7.
        let sections = ["server", "replication", "persistence", "memory", "commandstats", "keyspace"].map(|section| {
            let mut connection = self.connection.clone();
            async move { cmd("INFO").arg(section).query_async::<String>(&mut connection).await }
        });
        let text = timeout(within, try_join_all(sections)).await.map_err(|_| Failure::Silent)?.map_err(Failure::of)?;
        let mut info = Info::parse(&text.join("\n"));
        if info.policy.is_empty() {
            // Some old servers do not have it there, and some forbid CONFIG; then nothing is known of it.
            let asked = self.ask::<Vec<String>>(cmd("CONFIG").arg("GET").arg("maxmemory-policy"), within).await;
            info.policy = asked.ok().and_then(|pair| pair.into_iter().nth(1)).unwrap_or_default();
        }
        Ok(info)
    }

    /// Who is connected to it.
    pub(crate) async fn clients(&mut self, within: Duration) -> Result<Vec<Client>, Failure> {
        let text = self.ask::<String>(cmd("CLIENT").arg("LIST"), within).await?;
        Ok(clients(&text))
    }

    /// Asks several things at once. What was answered with an error is so in its place; of a transaction, which is one
    /// answer, such an error is the whole's.
    pub(crate) async fn ask_all(&self, cmds: &Pipeline, within: Duration) -> Result<Vec<Value>, Failure> {
        let (skipped, answers) = if cmds.is_transaction() { (cmds.len() + 1, 1) } else { (0, cmds.len()) };
        let mut connection = self.connection.clone();
        let asking = connection.req_packed_commands(cmds, skipped, answers);
        timeout(within, asking).await.map_err(|_| Failure::Silent)?.map_err(Failure::of)
    }

    /// Whether the connection is known to have ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.driver.is_finished()
    }

    /// Uses this database from now on.
    pub(crate) async fn select(&mut self, db: i64, within: Duration) -> Result<(), Failure> {
        self.ask::<()>(cmd("SELECT").arg(db), within).await
    }

    /// Who is connected to it as one who reads and writes (`normal`) or listens (`pubsub`).
    pub(crate) async fn clients_of(&mut self, kind: &str, within: Duration) -> Result<Vec<Client>, Failure> {
        let text = self.ask::<String>(cmd("CLIENT").arg("LIST").arg("TYPE").arg(kind), within).await?;
        Ok(clients(&text))
    }

    /// Ends connections. One that has ended already is none to end.
    pub(crate) async fn kill(&mut self, ids: &[u64], within: Duration) -> Result<(), Failure> {
        for some in ids.chunks(1000) {
            let kills = some.iter().map(|id| {
                let mut connection = self.connection.clone();
                async move { cmd("CLIENT").arg("KILL").arg("ID").arg(*id).query_async::<u64>(&mut connection).await }
            });
            timeout(within, try_join_all(kills)).await.map_err(|_| Failure::Silent)?.map_err(Failure::of)?;
        }
        Ok(())
    }

    pub(crate) async fn ask<T: redis::FromRedisValue>(&mut self, cmd: &Cmd, within: Duration) -> Result<T, Failure> {
        timeout(within, cmd.query_async(&mut self.connection)).await.map_err(|_| Failure::Silent)?.map_err(Failure::of)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
