//! What all verbs share: the ring they are about, how it is reached, and how to print.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::human::parse_wait;
use super::logging::{self, LogFormat};
use super::output::{ColorChoice, Format, Out};
use crate::client::{RingClient, RingClientBuilder};
use crate::policy::Timeouts;
use crate::{Error, ErrorKind, Result};

/// Options of every verb.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options for every command")]
pub(super) struct Global {
    /// The ring: zk://host:2181,host:2181/root or static://id=host:6379,id=host:6379 [env: REDIS_RING_URL]
    // Not read by clap's `env`: an error of its own would repeat the value, and somebody may have put a password in it.
    #[arg(long, global = true, value_name = "URL")]
    ring: Option<String>,

    /// How results are printed; json and yaml are stable
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,

    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    color: ColorChoice,

    /// How long to wait for ZooKeeper, as in 500ms or 5s
    #[arg(long, global = true, value_parser = parse_wait, default_value = "5s", value_name = "TIME", help_heading = "Reaching the ring")]
    timeout: Duration,

    /// How long to wait for each Redis server; they are asked side by side [default: 1s]
    #[arg(long, global = true, value_parser = parse_wait, value_name = "TIME", help_heading = "Reaching the ring")]
    member_timeout: Option<Duration>,

    /// An ACL user of the Redis servers
    #[arg(long, global = true, env = "REDIS_RING_USER", value_name = "NAME", help_heading = "Reaching the ring")]
    user: Option<String>,

    /// A file with the password of the Redis servers; without it, REDIS_RING_PASSWORD
    // There is no option for the password itself: every user of the machine can read a process's arguments.
    #[arg(
        long,
        global = true,
        env = "REDIS_RING_PASSWORD_FILE",
        value_name = "FILE",
        help_heading = "Reaching the ring"
    )]
    password_file: Option<PathBuf>,

    /// A file with `user:password` of the ring's nodes in ZooKeeper; without it, REDIS_RING_ZK_AUTH
    #[arg(
        long,
        global = true,
        env = "REDIS_RING_ZK_AUTH_FILE",
        value_name = "FILE",
        help_heading = "Reaching the ring"
    )]
    zk_auth_file: Option<PathBuf>,

    #[cfg(feature = "tls")]
    #[command(flatten)]
    tls: Tls,
}

/// Certificates.
#[cfg(feature = "tls")]
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Reaching the ring")]
struct Tls {
    /// The authorities (PEM) that sign the certificates of rediss:// servers; without it, the system's
    #[arg(long, global = true, env = "REDIS_RING_TLS_CA", value_name = "FILE")]
    tls_ca: Option<PathBuf>,

    /// This client's certificate (PEM), where servers ask for one
    #[arg(long, global = true, env = "REDIS_RING_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// The key of that certificate (PEM)
    #[arg(long, global = true, env = "REDIS_RING_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Speak TLS to ZooKeeper as well, with the same files
    #[arg(long, global = true, requires = "tls_ca")]
    zk_tls: bool,
}

/// The options, and the way to print.
#[derive(Debug)]
pub(super) struct Context {
    global: Global,
    pub(super) out: Out,
}

impl Context {
    pub(super) fn new(global: Global) -> Context {
        let out = Out::new(global.output, global.color);
        Context { global, out }
    }

    /// The ring's URL as it was given.
    ///
    /// # Errors
    /// `Invalid` when none was.
    pub(super) fn ring(&self) -> Result<String> {
        let named = self.global.ring.clone().or_else(|| std::env::var("REDIS_RING_URL").ok());
        named.filter(|url| !url.is_empty()).ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "no ring is named")
                .with_hint("give --ring zk://host:2181/root (or static://id=host:6379,…), or set REDIS_RING_URL")
        })
    }

    /// A client of the ring, with all options, not opened yet.
    ///
    /// # Errors
    /// `Invalid` for a URL or a file that cannot be used.
    pub(super) fn client(&self) -> Result<RingClientBuilder> {
        let global = &self.global;
        let mut timeouts = Timeouts { open: global.timeout, ..Timeouts::default() };
        if let Some(limit) = global.member_timeout {
            (timeouts.connect, timeouts.read, timeouts.write) = (limit, limit, limit);
        }
        let mut builder = RingClient::builder(&self.ring()?)?.timeouts(timeouts);
        let password = secret(global.password_file.as_deref(), "REDIS_RING_PASSWORD")?;
        builder = match (&global.user, password) {
            (Some(user), Some(password)) => builder.user(user, password),
            (None, Some(password)) => builder.password(password),
            (None, None) => builder,
            (Some(_), None) => {
                return Err(Error::new(ErrorKind::Invalid, "--user has no password")
                    .with_hint("give --password-file, or set REDIS_RING_PASSWORD"));
            }
        };
        if let Some(auth) = secret(global.zk_auth_file.as_deref(), "REDIS_RING_ZK_AUTH")? {
            let (user, password) = auth.split_once(':').ok_or_else(|| {
                Error::new(ErrorKind::Invalid, "ZooKeeper's credentials have no colon")
                    .with_hint("the file, or REDIS_RING_ZK_AUTH, holds user:password")
            })?;
            builder = builder.zookeeper_auth(user, password);
        }
        #[cfg(feature = "tls")]
        {
            builder = global.tls.apply(builder)?;
        }
        Ok(builder)
    }

    /// How long one server may take for all that it is asked about itself. Longer than a client's own limit: nobody
    /// hedges here, and a server that is slow is worth waiting for.
    pub(super) fn member_timeout(&self) -> Duration {
        self.global.member_timeout.unwrap_or(Duration::from_secs(1))
    }

    /// Logs to standard error what RUST_LOG asks for.
    pub(super) fn log_if_asked(&self) -> Result<()> {
        logging::start(LogFormat::Text, None)
    }
}

#[cfg(feature = "tls")]
impl Tls {
    fn apply(&self, builder: RingClientBuilder) -> Result<RingClientBuilder> {
        use crate::membership::TlsFiles;

        let identity = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Some((text(certificate)?, text(key)?)),
            (_, _) => None,
        };
        let Some(authorities) = &self.tls_ca else {
            return match identity {
                None => Ok(builder),
                Some(_) => Err(Error::new(ErrorKind::Invalid, "--tls-cert without --tls-ca")
                    .with_hint("name the authorities that sign the servers' certificates")),
            };
        };
        let files = TlsFiles { authorities: text(authorities)?, identity };
        let builder = if self.zk_tls { builder.zookeeper_tls(files.clone()) } else { builder };
        Ok(builder.tls(files))
    }
}

/// A secret from a file, without the newline that editors put at its end, or from the environment.
fn secret(file: Option<&Path>, variable: &str) -> Result<Option<String>> {
    match file {
        Some(file) => {
            let text = text(file)?;
            let text = text.strip_suffix('\n').unwrap_or(&text);
            Ok(Some(text.strip_suffix('\r').unwrap_or(text).to_owned()))
        }
        None => Ok(std::env::var(variable).ok().filter(|text| !text.is_empty())),
    }
}

fn text(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).map_err(|error| {
        Error::new(ErrorKind::Invalid, format!("{} cannot be read", file.display())).with_source(error)
    })
}
