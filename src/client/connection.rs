//! A connection in the manner of redis-rs.

use std::fmt;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};
use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisFuture, Value};
use tracing::Instrument;

use super::Inner;
use crate::command;
use crate::exec::{Core, Senders, Snapshot};

/// A connection to the whole ring.
///
/// It implements redis-rs's [`ConnectionLike`], so that `AsyncCommands`, `redis::cmd` and everything built on them
/// work unchanged. Errors are redis-rs's; the ring's own are found inside with
/// [`Error::of_redis`](crate::Error::of_redis).
///
/// Cheap to clone. All clones share one connection to each member, on which their commands are pipelined.
///
/// # Cancel safety
/// A future that is dropped may or may not have had its effect; but never on one copy only.
pub struct RingConnection {
    inner: Arc<Inner>,
    /// Revalidated by each command with one load; what it holds is borrowed by the command for as long as it runs.
    snapshot: Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>,
    senders: Senders,
}

impl Clone for RingConnection {
    fn clone(&self) -> Self {
        RingConnection::new(Arc::clone(&self.inner))
    }
}

impl fmt::Debug for RingConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingConnection").finish_non_exhaustive()
    }
}

impl RingConnection {
    pub(super) fn new(inner: Arc<Inner>) -> RingConnection {
        let snapshot = Cache::new(Arc::clone(inner.core.snapshots()));
        RingConnection { inner, snapshot, senders: Senders::default() }
    }
}

impl ConnectionLike for RingConnection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        let snapshot = self.snapshot.load();
        if tracing::enabled!(tracing::Level::DEBUG) {
            return traced(&self.inner.core, snapshot, &mut self.senders, cmd);
        }
        self.inner.core.run(snapshot, &mut self.senders, cmd)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        _: usize,
        _: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        // What to skip and what to take follows from whether the pipeline is a transaction, which it says itself.
        Box::pin(self.inner.core.run_all(self.snapshot.load(), pipeline))
    }

    fn get_db(&self) -> i64 {
        self.inner.core.topology().config().db
    }
}

/// With a span around the events of every attempt. Without a subscriber that asks for it, a command pays one comparison.
#[cold]
fn traced<'a>(
    core: &'a Arc<Core>,
    snapshot: &'a Arc<Snapshot>,
    senders: &'a mut Senders,
    cmd: &'a Cmd,
) -> RedisFuture<'a, Value> {
    let topology = snapshot.topology();
    let span = tracing::debug_span!(
        "command", command = command::name(cmd), epoch = %topology.epoch(), fingerprint = %topology.fingerprint()
    );
    Box::pin(span.in_scope(|| core.run(snapshot, senders, cmd)).instrument(span))
}
