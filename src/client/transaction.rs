//! Transactions on watched keys.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisFuture, RedisResult, ToRedisArgs, Value, pipe};
use tokio::time::Instant;

use super::RingClient;
use crate::error::{Error, ErrorKind, Retry};
use crate::exec::watched::{Attempt, Watched, backoff};

/// How long attempts that conflict with others are repeated.
const CONFLICTS: Duration = Duration::from_secs(10);

impl RingClient {
    /// Runs a transaction that only takes effect if nobody changes the watched keys meanwhile (`WATCH`), and repeats it
    /// until it does: the counterpart of [`redis::aio::transaction_async`].
    ///
    /// The closure is given a connection to read with, at the keys' primary, and an atomic pipeline to fill. It returns
    /// what the pipeline's `query_async` returned on that connection: `None` means that a watched key has changed, and the
    /// closure runs again. So it must have no effects but those of the pipeline.
    ///
    /// All keys, watched, read and written, must share a hash tag.
    ///
    /// ```no_run
    /// use redis::AsyncCommands;
    ///
    /// # async fn example(client: redis_ring::RingClient) -> redis::RedisResult<()> {
    /// // Moves credit from one account to another, if there is enough.
    /// let (from, to) = ("{bank}alice", "{bank}bob");
    /// let moved: (i64, i64) = client
    ///     .transaction(&[from], |mut connection, mut pipeline| async move {
    ///         let credit: i64 = connection.get(from).await?;
    ///         let moved = credit.min(10);
    ///         pipeline.decr(from, moved).incr(to, moved).query_async(&mut connection).await
    ///     })
    ///     .await?;
    /// # let _ = moved;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The copies get the state that the written keys have afterwards, so a transaction costs a copy of them, however
    /// large they are.
    ///
    /// # Errors
    /// The closure's own. `Conflict` when others have changed the keys again and again for 10 seconds. `Refused` for keys
    /// that do not share a hash tag, for writes outside of the pipeline, and when too many transactions are under way
    /// ([`transaction_connections`](crate::RingClientBuilder::transaction_connections)). `NoOwner` when no owner of the
    /// keys answers. With outcome unknown if the connection ended before the server had answered.
    ///
    /// # Cancel safety
    /// A future that is dropped may or may not have had its effect; but never on one copy only.
    pub async fn transaction<K, T, F, Fut>(&self, keys: &[K], mut attempt: F) -> RedisResult<T>
    where
        K: ToRedisArgs,
        F: FnMut(WatchingConnection, Pipeline) -> Fut,
        Fut: Future<Output = RedisResult<Option<T>>>,
    {
        let keys: Vec<Vec<u8>> = keys.iter().flat_map(ToRedisArgs::to_redis_args).collect();
        let core = &self.inner.core;
        let until = Instant::now() + CONFLICTS;
        let mut conflicts = 0;
        loop {
            let ending = Ending(Watched::begin(core, &keys).await?);
            let mut pipeline = pipe();
            pipeline.atomic();
            let connection = WatchingConnection { watched: Arc::clone(&ending.0), db: core.topology().config().db };
            let result = attempt(connection, pipeline).await;
            let again = Instant::now() < until;
            match (ending.end(), result) {
                (_, Ok(Some(value))) => return Ok(value),
                (Attempt::Lost, Err(_)) | (_, Ok(None)) if again => {}
                (_, Err(error)) => return Err(error),
                (_, Ok(None)) => {
                    let message = format!("others changed the watched keys in each of {} attempts", conflicts + 1);
                    let error = Error::new(ErrorKind::Conflict, message)
                        .with_retry(Retry::Later)
                        .with_hint("watch fewer keys, or use a command or a script that needs no WATCH");
                    return Err(error.into());
                }
            }
            tokio::time::sleep(backoff(conflicts)).await;
            conflicts += 1;
        }
    }
}

/// Ends an attempt even if its future is dropped.
struct Ending(Arc<Watched>);

impl Ending {
    fn end(self) -> Attempt {
        self.0.end()
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.end();
    }
}

/// The connection of one attempt of a [transaction](RingClient::transaction).
///
/// Outside of the transaction's pipeline it only reads, and only keys that share their hash tag with the watched ones.
/// It is of no use after the attempt.
#[derive(Clone)]
pub struct WatchingConnection {
    watched: Arc<Watched>,
    db: i64,
}

impl fmt::Debug for WatchingConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchingConnection").finish_non_exhaustive()
    }
}

impl ConnectionLike for WatchingConnection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move { self.watched.read(cmd).await.map_err(Into::into) })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        _: usize,
        _: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move {
            if pipeline.is_transaction() {
                return Ok(vec![self.watched.execute(pipeline).await?]);
            }
            Ok(self.watched.read_all(pipeline).await?)
        })
    }

    fn get_db(&self) -> i64 {
        self.db
    }
}
