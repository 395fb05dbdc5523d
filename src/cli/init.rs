//! `redis-ring init`.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::confirm::{confirmed, somebody_to_ask};
use super::context::Context;
use super::exit::{Failure, Verdict};
use super::human::{count, duration, parse_duration};
use super::output::list;
use crate::membership::{RingUrl, Snapshot, Store};
use crate::placement::{Config, Phase, RING_NAME};
use crate::{Error, ErrorKind};

/// Found a ring: write down in ZooKeeper what all of its members and clients will share
///
/// Shows what it will do and asks. The ring is founded when as many agents as there are members have registered. What
/// is set here is for all who use the ring: vnodes and the database cannot be changed later.
#[derive(Debug, Args)]
pub(super) struct Init {
    /// How many members found the ring; more can join later
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_535))]
    members: u32,

    /// Points of each member of weight 100: more spread the keys more evenly
    #[arg(long, value_name = "N", default_value_t = Config::default().vnodes, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    vnodes: u32,

    /// Copies of each key
    #[arg(long, value_name = "N", default_value_t = Config::default().copies, value_parser = clap::value_parser!(u32).range(1..=16))]
    copies: u32,

    /// The database of the Redis servers that the ring uses
    #[arg(long, value_name = "N", default_value_t = Config::default().db, value_parser = clap::value_parser!(i64).range(0..=65_535))]
    db: i64,

    /// The ring is a cache: servers may evict keys (maxmemory-policy volatile-*)
    #[arg(long)]
    cache: bool,

    /// How long a member may be down before its part is given to others
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    replace_after: Duration,

    /// How long a write waits for a fenced server to be closed
    #[arg(long, value_name = "TIME", default_value = "150ms", value_parser = parse_duration)]
    fence_wait: Duration,

    /// A ring that is there already is fine, if it was founded with the same numbers
    #[arg(long)]
    if_absent: bool,

    /// Do not ask
    #[arg(short, long)]
    yes: bool,

    /// Only show what would be done
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

/// Fields may be added, never renamed.
#[derive(Debug, Serialize)]
struct Report {
    url: String,
    root: String,
    ring: &'static str,
    members: u32,
    vnodes: u32,
    copies: u32,
    db: i64,
    cache: bool,
    replace_after_ms: u64,
    fence_wait_ms: u64,
    /// `created`, `existed`, `dry-run` or `refused` (by the person who was asked).
    result: &'static str,
}

impl Init {
    pub(super) async fn run(self, context: &Context) -> Result<Verdict, Failure> {
        context.log_if_asked()?;
        let client = context.client()?;
        let (url, options, _) = client.parts();
        if let RingUrl::Fixed { .. } = url {
            return Err(Error::new(ErrorKind::Invalid, "a static:// ring needs no founding")
                .with_hint("its URL is all there is; only zk:// rings are founded")
                .into());
        }
        somebody_to_ask(self.yes, self.dry_run)?;
        let config = self.config();
        let store = Store::open(url, options).await?;
        let done = self.found(context, &store, &config, url).await;
        store.close().await;
        done
    }

    async fn found(
        &self,
        context: &Context,
        store: &Store,
        config: &Config,
        url: &RingUrl,
    ) -> Result<Verdict, Failure> {
        let out = context.out;
        match store.snapshot().await {
            Err(error) if error.kind() == ErrorKind::NotFounded => {}
            Err(error) => return Err(error.into()),
            Ok(found) => {
                self.accept(&found, config, store.root())?;
                out.note(&format!("{} is there already, as it should be: nothing to do", store.root()));
                out.result(&self.report(config, url, "existed"), String::new)?;
                return Ok(Verdict::Fine);
            }
        }
        let plan = self.plan(context, config, url);
        if self.dry_run {
            out.result(&self.report(config, url, "dry-run"), || format!("{plan}\nnothing was changed (--dry-run)"))?;
            return Ok(Verdict::Fine);
        }
        out.note(&plan);
        if !self.yes && !confirmed("found it?")? {
            out.note("nothing was changed");
            out.result(&self.report(config, url, "refused"), String::new)?;
            return Ok(Verdict::Degraded);
        }
        match store.init(config, self.members).await {
            Ok(()) => {}
            // Somebody was faster: with --if-absent that is as good, if it is the same ring.
            Err(error) if error.kind() == ErrorKind::Conflict && self.if_absent => {
                self.accept(&store.snapshot().await?, config, store.root())?;
            }
            Err(error) => return Err(error.into()),
        }
        out.result(&self.report(config, url, "created"), || {
            let agents = count(self.members as usize, "agent");
            format!(
                "created {}; it is founded with the registration of {agents}:\n  redis-ring --ring {url} agent --redis \
                 redis://HOST:6379 --id NAME",
                store.root()
            )
        })?;
        Ok(Verdict::Fine)
    }

    fn config(&self) -> Config {
        Config {
            vnodes: self.vnodes,
            copies: self.copies,
            db: self.db,
            cache: self.cache,
            replace_after: self.replace_after,
            fence_wait: self.fence_wait,
        }
    }

    /// Whether a ring that is there is the one that was asked for.
    fn accept(&self, found: &Snapshot, wanted: &Config, root: &str) -> Result<(), Error> {
        let there = match found.phase()? {
            Phase::Founding { wanted } => {
                format!("a ring that is being founded, {} of {wanted} members registered", found.ring.serving.len())
            }
            phase @ (Phase::Still | Phase::Filling | Phase::Syncing | Phase::Retiring) => {
                format!("a ring of {}, {phase}", count(found.ring.serving.len(), "member"))
            }
        };
        if !self.if_absent {
            return Err(Error::new(ErrorKind::Conflict, format!("{root} already holds {there}")).with_hint(
                "look at it with `redis-ring status`; choose another root, or add --if-absent if that is the ring meant",
            ));
        }
        let config = found.config.config();
        let numbers = [
            ("vnodes", i64::from(config.vnodes), i64::from(wanted.vnodes)),
            ("copies", i64::from(config.copies), i64::from(wanted.copies)),
            ("db", config.db, wanted.db),
            ("cache", config.cache.into(), wanted.cache.into()),
        ];
        // Once it is founded, members may have come and gone.
        let founders = match found.phase()? {
            Phase::Founding { wanted } => Some(("members", i64::from(wanted), i64::from(self.members))),
            Phase::Still | Phase::Filling | Phase::Syncing | Phase::Retiring => None,
        };
        let differing: Vec<String> = founders
            .iter()
            .chain(&numbers)
            .filter(|(_, there, wanted)| there != wanted)
            .map(|(name, there, wanted)| format!("{name} is {there}, not {wanted}"))
            .collect();
        if differing.is_empty() {
            return Ok(());
        }
        let message = format!("{root} already holds {there}, and it differs: {}", differing.join(", "));
        Err(Error::new(ErrorKind::Conflict, message)
            .with_hint("choose another root, or ask for the ring that is there"))
    }

    fn plan(&self, context: &Context, config: &Config, url: &RingUrl) -> String {
        let copies = config.copies;
        let rows = list(
            context.out.stderr(),
            &[
                ("ROOT", url.to_string()),
                ("MEMBERS", format!("{}, each to be registered by its agent", self.members)),
                ("COPIES", format!("{copies} of each key")),
                ("PLACEMENT", format!("{RING_NAME}, {} vnodes", config.vnodes)),
                ("DATABASE", config.db.to_string()),
                (
                    "CACHE",
                    if config.cache { "yes, servers may evict keys" } else { "no, servers must not evict keys" }.into(),
                ),
                ("REPLACE AFTER", duration(config.replace_after)),
                ("FENCE WAIT", duration(config.fence_wait)),
            ],
        );
        let fewer = if self.members < config.copies {
            format!(
                "\nnote: {} cannot hold {copies} copies: the ring will be degraded",
                count(self.members as usize, "member")
            )
        } else {
            String::new()
        };
        format!("a ring will be founded:\n\n{rows}{fewer}")
    }

    fn report(&self, config: &Config, url: &RingUrl, result: &'static str) -> Report {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Report {
            url: url.to_string(),
            root: url.root().unwrap_or_default().to_owned(),
            ring: RING_NAME,
            members: self.members,
            vnodes: config.vnodes,
            copies: config.copies,
            db: config.db,
            cache: config.cache,
            replace_after_ms: ms(config.replace_after),
            fence_wait_ms: ms(config.fence_wait),
            result,
        }
    }
}
