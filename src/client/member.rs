//! A connection to one member, by its name.

use std::fmt;
use std::sync::Arc;

use futures_util::future::join_all;
use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisFuture, Value};

use super::Inner;
use crate::error::{Error, ErrorKind};
use crate::placement::NodeId;

/// A connection to one member, from [`RingClient::on`](super::RingClient::on), for what concerns a server and not the
/// ring: INFO, CONFIG, CLIENT, MEMORY, SLOWLOG, LATENCY, ACL, ROLE and the like; and for reads of what that member holds,
/// as it is there: copies included, and the ring's own keys among the names.
///
/// Writes of keys are refused, since the copies would differ, and so is what changes the state of a connection or waits
/// on it, since the ring's own commands use the same one. No other member ever answers in its place.
///
/// # Cancel safety
/// A command whose future is dropped may or may not be executed.
#[derive(Clone)]
pub struct MemberConnection {
    inner: Arc<Inner>,
    id: NodeId,
}

impl fmt::Debug for MemberConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberConnection").field("id", &self.id).finish_non_exhaustive()
    }
}

impl MemberConnection {
    pub(super) fn new(inner: Arc<Inner>, id: NodeId) -> MemberConnection {
        MemberConnection { inner, id }
    }

    /// The member.
    pub fn id(&self) -> &NodeId {
        &self.id
    }
}

impl ConnectionLike for MemberConnection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(self.inner.core.ask_member(&self.id, cmd))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        if pipeline.is_transaction() {
            let error = Error::new(ErrorKind::Refused, "a transaction does not run on one member")
                .with_hint("send the commands without atomic()");
            return Box::pin(std::future::ready(Err(error.into())));
        }
        Box::pin(async move {
            let replies = pipeline.cmd_iter().map(|cmd| self.inner.core.ask_member(&self.id, cmd));
            join_all(replies).await.into_iter().skip(offset).take(count).collect()
        })
    }

    fn get_db(&self) -> i64 {
        self.inner.core.topology().config().db
    }
}
