//! `redis-ring status`.

mod report;
mod text;

use std::time::Duration;

use clap::Args;
use tokio::time::{Instant, sleep_until, timeout};

use super::context::Context;
use super::exit::{Failure, Verdict};
use super::human::parse_wait;
use super::probe::Prober;
use super::records::{Reading, Records};
use report::{Report, Source};

/// The members, their states, and what they say themselves
///
/// Reads the ring from ZooKeeper and asks every member directly, side by side; one that is dead or hangs costs at most
/// --member-timeout. Ends with 1 when the ring is degraded: a member of it is not up or cannot be used from here, it is
/// still being founded, or it has fewer members than copies.
#[derive(Debug, Args)]
pub(super) struct Status {
    /// Show it again and again, until Ctrl-C; what was known last stays, marked stale, when ZooKeeper is lost
    #[arg(short, long)]
    watch: bool,

    /// How often, with --watch
    #[arg(long, value_parser = parse_wait, default_value = "1s", value_name = "TIME", requires = "watch")]
    interval: Duration,
}

impl Status {
    pub(super) async fn run(self, context: &Context) -> Result<Verdict, Failure> {
        context.log_if_asked()?;
        let mut records = Records::open(context).await?;
        let reading = records.read().await?;
        if self.watch {
            return self.again(context, records, reading).await;
        }
        let report = report(context, &records, &reading, Source::Live).await?;
        records.close().await;
        context.out.result(&report, || text::of(&report, context.out))?;
        Ok(Verdict::of(!report.degraded))
    }

    /// Ends with 0 on Ctrl-C: that is how watching ends.
    async fn again(self, context: &Context, mut records: Records, mut last: Reading) -> Result<Verdict, Failure> {
        let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
        let mut stale_since: Option<Instant> = None;
        loop {
            let next = Instant::now() + self.interval;
            let source = stale_since.map_or(Source::Live, |since| Source::Stale(since.elapsed()));
            let shown = async {
                let report = report(context, &records, &last, source).await?;
                let clear = if context.out.is_terminal() { "\x1b[H\x1b[2J" } else { "" };
                context.out.event(&report, || format!("{clear}{}\n", text::of(&report, context.out)))
            };
            tokio::select! {
                shown = shown => shown?,
                done = &mut interrupted => { done?; break; }
            }
            tokio::select! {
                () = sleep_until(next) => {}
                done = &mut interrupted => { done?; break; }
            }
            tokio::select! {
                // No longer than a member: what is known is shown again, marked stale, rather than nothing.
                reading = timeout(context.member_timeout(), records.read()) => match reading {
                    Ok(Ok(reading)) => (last, stale_since) = (reading, None),
                    Ok(Err(_)) | Err(_) => { stale_since.get_or_insert_with(Instant::now); }
                },
                done = &mut interrupted => { done?; break; }
            }
        }
        records.close().await;
        Ok(Verdict::Fine)
    }
}

async fn report(context: &Context, records: &Records, reading: &Reading, source: Source) -> crate::Result<Report> {
    let topology = &reading.topology;
    let answers = Prober::new(context, topology.config().db)?.all(topology.members()).await;
    Ok(Report::new(records.url(), reading, &answers, source))
}
