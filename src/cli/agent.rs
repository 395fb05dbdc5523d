//! `redis-ring agent`.

use std::time::Duration;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::context::Context;
use super::exit::{Failure, Verdict};
use super::human::{parse_bytes, parse_wait};
use super::logging::{self, LogFormat};
use crate::agent::{self, AgentOptions, Credentials, ExistingKeys, HealthOptions};
use crate::membership::Address;
use crate::placement::{NodeId, Weight, Zone};
use crate::{Error, ErrorKind, Result};

/// Stand beside one Redis server: register it in the ring, watch its health, keep its record right
///
/// Runs until SIGTERM or Ctrl-C; then the member stays as it is, since its server still serves, and only nobody watches
/// it any more. Events go to standard error.
#[derive(Debug, Args)]
pub(super) struct Agent {
    /// The member's name, the same for its whole life: its place on the ring is made from it
    #[arg(long, value_name = "NAME")]
    id: NodeId,

    /// The server beside this agent: redis://host:port or rediss://host:port
    // Parsed below: clap would repeat what is wrong, and somebody may have put a password in it.
    #[arg(long, value_name = "URL", default_value = "redis://127.0.0.1:6379")]
    redis: String,

    /// Where others reach that server, if not at the same address
    #[arg(long, value_name = "URL")]
    announce: Option<String>,

    /// Where the server stands: copies of a key are put into different zones
    #[arg(long, value_name = "NAME")]
    zone: Option<Zone>,

    /// Its share of the keys, in per cent of a plain member's
    #[arg(long, value_name = "PERCENT", default_value_t = Weight::default().0, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    weight: u32,

    /// When the ring is founded, take a server that has keys, with its keys
    #[arg(long)]
    adopt: bool,

    /// How often the server is asked whether it answers
    #[arg(long, value_name = "TIME", default_value = "50ms", value_parser = parse_wait)]
    health_every: Duration,

    /// How long one answer may take
    #[arg(long, value_name = "TIME", default_value = "75ms", value_parser = parse_wait)]
    health_probe: Duration,

    /// How long the server may be silent until it counts as hung; more for one that takes long to fork
    #[arg(long, value_name = "TIME", default_value = "225ms", value_parser = parse_wait)]
    hang_after: Duration,

    /// Copy no more bytes a second from each server that fills this one, such as 50mb
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    fill_rate: Option<u64>,

    /// How events are written; RUST_LOG says which, without it those from `info` on
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT", env = "REDIS_RING_LOG_FORMAT")]
    log_format: LogFormat,
}

impl Agent {
    pub(super) async fn run(self, context: &Context) -> Result<Verdict, Failure> {
        // What the ZooKeeper client says of its sessions, the agent says in its own words.
        logging::start(self.log_format, Some("info,zookeeper_client=warn"))?;
        let options = self.options(context)?;
        let (mut terminated, mut interrupted) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let shutdown = async move {
            tokio::select! {
                _ = terminated.recv() => {}
                _ = interrupted.recv() => {}
            }
        };
        agent::Agent::run(options, shutdown).await?;
        Ok(Verdict::Fine)
    }

    fn options(self, context: &Context) -> Result<AgentOptions> {
        let client = context.client()?;
        let (ring, membership, connect) = client.parts();
        let redis = address("--redis", &self.redis)?;
        let announce = self.announce.as_deref().map(|text| address("--announce", text)).transpose()?;
        let usual = AgentOptions::new(ring.clone(), self.id, redis);
        Ok(AgentOptions {
            membership: membership.clone(),
            credentials: Credentials { username: connect.username.clone(), password: connect.password.clone() },
            #[cfg(feature = "tls")]
            tls: connect.tls.files().cloned(),
            announce,
            weight: Weight(self.weight),
            zone: self.zone,
            existing: if self.adopt { ExistingKeys::Adopt } else { ExistingKeys::Refuse },
            health: HealthOptions {
                every: self.health_every,
                probe: self.health_probe,
                hang_after: self.hang_after,
                ..usual.health
            },
            fill_rate: self.fill_rate,
            ..usual
        })
    }
}

fn address(option: &str, text: &str) -> Result<Address> {
    text.parse().map_err(|why| {
        Error::new(ErrorKind::Invalid, format!("the address of {option} cannot be used: {why}"))
            .with_hint("write redis://host:port; the password is given by --password-file or REDIS_RING_PASSWORD")
    })
}
