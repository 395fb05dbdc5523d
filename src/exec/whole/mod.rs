//! Commands that concern the whole ring, and not the owners of a key.

mod acknowledged;
mod any;
mod everywhere;
mod flush;
mod keys;
mod kill;
mod random;
mod scan;
mod size;
mod view;

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, RedisResult, Value};
use tokio::time::Instant;

use super::{Core, Snapshot};
use crate::command::{Row, Wide};
use crate::error::{Error, ErrorKind, Result};

pub(super) use any::{ask as ask_any, ask_patiently};
pub(super) use scan::part as scan;
pub(crate) use scan::{Part, Position};
pub use size::DbSize;
pub(super) use size::count as dbsize;
use view::View;

/// Runs a command of the whole ring.
pub(super) async fn run(
    core: &Arc<Core>,
    snapshot: &Arc<Snapshot>,
    cmd: &Cmd,
    row: &'static Row,
) -> RedisResult<Value> {
    let result = match row.wide {
        Wide::Scan => return scan::run(core, snapshot, cmd).await,
        Wide::OneForAll => return any::ask(core, snapshot, cmd).await,
        Wide::Acknowledged => return acknowledged::run(core, snapshot, cmd).await,
        Wide::Keys => keys::run(core, snapshot, cmd).await,
        Wide::Size => size::run(core, snapshot).await,
        Wide::Random => random::run(core, snapshot).await,
        Wide::Flush => flush::run(core, cmd, row).await,
        Wide::Everywhere => everywhere::run(core, cmd, row).await,
        Wide::LoadScript => everywhere::load_script(core, cmd, row).await,
        Wide::ForgetScripts => everywhere::forget_scripts(core, cmd, row).await,
        Wide::InAll => everywhere::in_all(core, snapshot, cmd).await,
        Wide::Kill => kill::run(core, snapshot, cmd, row).await,
        Wide::None => Err(Error::new(ErrorKind::Refused, format!("{} has no meaning for the whole ring", row.upper))
            .with_hint("name one of its subcommands")),
    };
    result.map_err(Error::into)
}

/// How often those that could not be asked are tried again.
const AGAIN: Duration = Duration::from_millis(10);

/// The tries of one call: long enough for a reconnect and one more attempt.
struct Tries<'c> {
    core: &'c Core,
    snapshot: Arc<Snapshot>,
    deadline: Instant,
}

impl<'c> Tries<'c> {
    fn new(core: &'c Core, first: &Arc<Snapshot>) -> Tries<'c> {
        let timeouts = &core.options.connect.timeouts;
        let deadline = Instant::now() + timeouts.read + timeouts.connect;
        Tries { core, snapshot: Arc::clone(first), deadline }
    }

    /// Whether what was asked in this try counts. If not, the ring has moved on meanwhile, and somebody who answered may not
    /// be written any more: then it gets ready for another try at once.
    fn counts(&mut self) -> bool {
        if !self.core.is_past(&self.snapshot) {
            return true;
        }
        self.snapshot = self.core.snapshot.load_full();
        false
    }

    /// Gets ready for another try, since somebody who did not answer may do so now.
    ///
    /// # Errors
    /// The one given, when it was the last try.
    async fn again(&mut self, error: Error) -> Result<()> {
        if Instant::now() >= self.deadline {
            return Err(error);
        }
        hurry(&self.snapshot);
        tokio::time::sleep(AGAIN).await;
        self.snapshot = self.core.snapshot.load_full();
        Ok(())
    }
}

/// Has all members that are not connected try again now.
fn hurry(snapshot: &Snapshot) {
    for seat in snapshot.seats.iter().filter(|seat| seat.up && seat.link().is_none()) {
        seat.node.hurry();
    }
}
