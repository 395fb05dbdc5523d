use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use super::error::Error;
use super::server::{Place, Program, Server, find};

/// A real `redis-server`, from `PATH` or the file that `REDIS_SERVER` names. It keeps nothing on disk: after a
/// [`restart`](Server::restart) it is empty, unless the options say otherwise.
pub type RedisServer = Server<Redis>;

/// How a [`RedisServer`] is started.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    args: Vec<OsString>,
    password: Option<String>,
    tls: Option<TlsFiles>,
}

/// Files in PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The server's certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authority that signed it.
    pub authority: PathBuf,
}

impl RedisOptions {
    /// An empty, volatile server without a password.
    pub fn new() -> Self {
        Self::default()
    }

    /// One more setting as redis.conf has it: `.set("maxmemory", "10mb")`. Later ones win over earlier ones and over
    /// the defaults. `logfile` and `loglevel` must stay: a start is seen in the log.
    pub fn set(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.args.extend([OsString::from(format!("--{name}")), value.into()]);
        self
    }

    /// The default user's password (`requirepass`).
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// TLS at [`tls_port`](Server::tls_port), beside the plain port. Clients need no certificate.
    pub fn tls(mut self, files: TlsFiles) -> Self {
        self.tls = Some(files);
        self
    }
}

impl Server<Redis> {
    /// Starts a server on a free port; returns once it answers.
    ///
    /// # Errors
    /// [`Error::Missing`] when redis-server is not installed, else as the system or the server says.
    pub fn start(options: RedisOptions) -> Result<Self, Error> {
        Self::launch(Redis(options))
    }

    /// [`RedisServer::start`] without blocking the caller's thread.
    ///
    /// # Errors
    /// As [`RedisServer::start`].
    pub async fn start_async(options: RedisOptions) -> Result<Self, Error> {
        Self::launch_async(Redis(options)).await
    }

    /// The port that speaks TLS, with [`RedisOptions::tls`].
    pub fn tls_port(&self) -> Option<u16> {
        self.program().0.tls.as_ref().map(|_| self.place().tls_port)
    }

    /// `redis://127.0.0.1:port`, with the password if it has one.
    pub fn url(&self) -> String {
        match &self.program().0.password {
            Some(password) => {
                let password: String = url::form_urlencoded::byte_serialize(password.as_bytes()).collect();
                // A form has `+` for the blank; the user part of a URL has not.
                format!("redis://:{}@{}", password.replace('+', "%20"), self.addr())
            }
            None => format!("redis://{}", self.addr()),
        }
    }
}

/// The program of a [`RedisServer`].
#[derive(Debug)]
pub struct Redis(RedisOptions);

impl Program for Redis {
    const NAME: &'static str = "redis-server";
    const PATIENCE: Duration = Duration::from_secs(20);

    fn command(&self, place: &Place<'_>) -> Result<Command, Error> {
        let program = std::env::var_os("REDIS_SERVER").unwrap_or_else(|| Self::NAME.into());
        let program = find(&program).ok_or(Error::Missing {
            what: Self::NAME,
            install: "on Debian and Ubuntu `apt-get install --no-install-recommends redis-server`, elsewhere the \
                      package of Redis 7.0 or newer; or name the program in REDIS_SERVER",
        })?;
        let mut command = Command::new(program);
        command
            .args(["--bind", "127.0.0.1", "--port", &place.port.to_string()])
            .arg("--dir")
            .arg(place.directory)
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
        if let Some(password) = &self.0.password {
            command.args(["--requirepass", password]);
        }
        if let Some(tls) = &self.0.tls {
            command.args(["--tls-port", &place.tls_port.to_string(), "--tls-auth-clients", "no"]);
            command.arg("--tls-cert-file").arg(&tls.certificate);
            command.arg("--tls-key-file").arg(&tls.key);
            command.arg("--tls-ca-cert-file").arg(&tls.authority);
        }
        command.args(&self.0.args);
        Ok(command)
    }

    /// The log proves that the port is ours, the answer that it serves. NOAUTH is an answer, LOADING is none.
    fn is_ready(&self, place: &Place<'_>, log: &str) -> bool {
        log.contains("Ready to accept connections")
            && ping(place.port).is_ok_and(|reply| !reply.starts_with("-LOADING"))
    }
}

const REPLY_WITHIN: Duration = Duration::from_millis(500);

fn ping(port: u16) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&(Ipv4Addr::LOCALHOST, port).into(), REPLY_WITHIN)?;
    stream.set_read_timeout(Some(REPLY_WITHIN))?;
    stream.write_all(b"PING\r\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    if line.is_empty() { Err(std::io::ErrorKind::UnexpectedEof.into()) } else { Ok(line) }
}
