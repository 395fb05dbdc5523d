//! Publish and subscribe, in the manner of redis-rs.

mod buffer;
mod hub;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use redis::{Msg, PushInfo, RedisResult, ToRedisArgs};
use tokio::task::AbortHandle;

use super::Inner;
use crate::node::{Kind, Pushes};
use buffer::Reader;
use hub::Hub;

/// Subscriptions on the ring, and the stream of their messages, from [`RingClient::pubsub`](super::RingClient::pubsub).
/// Its methods are those of redis-rs's `PubSub`.
///
/// ```no_run
/// use futures_util::StreamExt;
/// use redis::AsyncCommands;
///
/// # async fn example(client: redis_ring::RingClient) -> redis::RedisResult<()> {
/// let mut pubsub = client.pubsub();
/// pubsub.subscribe(&["news", "weather"]).await?;
/// pubsub.psubscribe("alarm:*").await?;
/// let mut messages = pubsub.into_on_message();
///
/// client.connection().publish::<_, _, ()>("news", "hello").await?;
/// while let Some(message) = messages.next().await {
///     println!("{}: {}", message.get_channel_name(), message.get_payload::<String>()?);
/// }
/// # Ok(())
/// # }
/// ```
///
/// # How a message finds its subscribers
///
/// A channel belongs to the owners of a key of the same name, hash tags included. PUBLISH goes to one of them, the first
/// that is up and connected. Subscriptions are at all of them, so that when that one dies the next message meets a
/// subscription that is there already; and since each message is sent to one member, it arrives once. Patterns are
/// at every member. Members that come, come back or change their address are told by themselves, and nobody needs
/// to subscribe again.
///
/// # At most once
///
/// As with one Redis server, a message reaches those who listen when it is published, or nobody. It is lost to a subscriber
///
/// - whose connection to the member that it was published at is broken. That is noticed within about a second, and the
///   connection is tried again at once and then with jittered back-off up to a second;
/// - who reads too slowly: at most 32 MiB wait, and what comes then is dropped and counted in
///   [`missed`](RingPubSubStream::missed). A slow reader never holds up a connection.
///
/// A PUBLISH whose reply was lost is not repeated, and its error says that the outcome is unknown. Messages of one
/// publisher to one channel arrive in their order, but for those around the death of the member that they went through.
///
/// A script or a function publishes where it runs, at the owner of its keys: give the channel their hash tag, and its
/// owners are the same. One that is repeated at each copy ([`ScriptPolicy::Repeat`](crate::policy::ScriptPolicy::Repeat))
/// publishes at each.
///
/// Keyspace notifications are messages that each server publishes itself, for its own copy of a key: a pattern hears of
/// each write as many times as there are copies.
///
/// # Connections
///
/// There is one more connection to each member at which something is listened to, made when it is first needed, by the
/// client's credentials, TLS and timeouts. Servers need RESP3, so Redis 6.0. Dropping the value, or after
/// [`split`](RingPubSub::split) its stream, closes them.
#[derive(Debug)]
pub struct RingPubSub {
    sink: RingPubSubSink,
    stream: RingPubSubStream,
}

impl RingPubSub {
    pub(super) fn new(client: Arc<Inner>) -> RingPubSub {
        let (buffer, reader) = buffer::buffer();
        let pushes: Pushes = Arc::new(move |push: PushInfo| {
            buffer.take(push);
            Ok::<(), std::convert::Infallible>(())
        });
        let connecting = client.core.connecting();
        let runtime = connecting.2.clone();
        let hub = Arc::new(Hub::new(client.core.topology(), connecting, pushes));
        let following = runtime.spawn(Arc::clone(&hub).follow(client.membership.subscribe())).abort_handle();
        let sink = RingPubSubSink { hub: Arc::clone(&hub) };
        RingPubSub { sink, stream: RingPubSubStream { reader, hub, following, _client: client } }
    }

    /// As [`RingPubSubSink::subscribe`].
    ///
    /// # Errors
    /// As there.
    pub async fn subscribe(&mut self, names: impl ToRedisArgs) -> RedisResult<()> {
        self.sink.subscribe(names).await
    }

    /// As [`RingPubSubSink::unsubscribe`].
    ///
    /// # Errors
    /// As there.
    pub async fn unsubscribe(&mut self, names: impl ToRedisArgs) -> RedisResult<()> {
        self.sink.unsubscribe(names).await
    }

    /// As [`RingPubSubSink::psubscribe`].
    ///
    /// # Errors
    /// As there.
    pub async fn psubscribe(&mut self, names: impl ToRedisArgs) -> RedisResult<()> {
        self.sink.psubscribe(names).await
    }

    /// As [`RingPubSubSink::punsubscribe`].
    ///
    /// # Errors
    /// As there.
    pub async fn punsubscribe(&mut self, names: impl ToRedisArgs) -> RedisResult<()> {
        self.sink.punsubscribe(names).await
    }

    /// As [`RingPubSubSink::ssubscribe`].
    ///
    /// # Errors
    /// As there.
    pub async fn ssubscribe(&mut self, names: impl ToRedisArgs) -> RedisResult<()> {
        self.sink.ssubscribe(names).await
    }

    /// As [`RingPubSubSink::sunsubscribe`].
    ///
    /// # Errors
    /// As there.
    pub async fn sunsubscribe(&mut self, names: impl ToRedisArgs) -> RedisResult<()> {
        self.sink.sunsubscribe(names).await
    }

    /// The messages of all subscriptions, as they come. The stream never ends by itself.
    pub fn on_message(&mut self) -> impl Stream<Item = Msg> + '_ {
        &mut self.stream
    }

    /// The messages of all subscriptions, which stay as they are.
    pub fn into_on_message(self) -> RingPubSubStream {
        self.stream
    }

    /// One part that changes subscriptions and one that gives the messages, to be used at the same time.
    pub fn split(self) -> (RingPubSubSink, RingPubSubStream) {
        (self.sink, self.stream)
    }

    /// As [`RingPubSubStream::missed`].
    pub fn missed(&self) -> u64 {
        self.stream.missed()
    }
}

/// Changes the subscriptions of a [`RingPubSub`]. Cheap to clone. Calls are made one at a time, in their order.
///
/// Every call is bounded: an owner that does not answer within twice the timeouts of connecting and of a write counts as
/// one that cannot be reached.
#[derive(Clone, Debug)]
pub struct RingPubSubSink {
    hub: Arc<Hub>,
}

impl RingPubSubSink {
    /// Listens to channels: one, or several at once.
    ///
    /// Returns when every owner of the channels that is up and can be reached has confirmed it; one that comes later is
    /// told when it comes. Listening twice to one channel is listening once.
    ///
    /// # Errors
    /// `NoOwner` when no owner of one of the channels could be reached; `Denied` when the user may not listen to one;
    /// `Disconnected` when the stream was dropped. Then this call has added none of them.
    ///
    /// # Cancel safety
    /// Dropped, it may or may not have listened already.
    pub async fn subscribe(&mut self, names: impl ToRedisArgs) -> RedisResult<()> {
        Ok(self.hub.subscribe(Kind::Channel, names.to_redis_args()).await?)
    }

    /// Listens no more to these channels, or to any channel if none is named, as an empty slice.
    ///
    /// Messages that came before are still in the stream.
    ///
    /// # Errors
    /// `Disconnected` when the stream was dropped.
    ///
    /// # Cancel safety
    /// Dropped after its first poll, it has its effect nevertheless.
    pub async fn unsubscribe(&mut self, names: impl ToRedisArgs) -> RedisResult<()> {
        Ok(self.hub.unsubscribe(Kind::Channel, names.to_redis_args()).await?)
    }

    /// As `subscribe`, for all channels that match a pattern; it is listened to at every member.
    ///
    /// # Errors
    /// As `subscribe`.
    pub async fn psubscribe(&mut self, names: impl ToRedisArgs) -> RedisResult<()> {
        Ok(self.hub.subscribe(Kind::Pattern, names.to_redis_args()).await?)
    }

    /// As `unsubscribe`, for patterns.
    ///
    /// # Errors
    /// As `unsubscribe`.
    pub async fn punsubscribe(&mut self, names: impl ToRedisArgs) -> RedisResult<()> {
        Ok(self.hub.unsubscribe(Kind::Pattern, names.to_redis_args()).await?)
    }

    /// As `subscribe`, for the channels of SPUBLISH, which servers know from 7.0.
    ///
    /// # Errors
    /// As `subscribe`; `Server` from older servers.
    pub async fn ssubscribe(&mut self, names: impl ToRedisArgs) -> RedisResult<()> {
        Ok(self.hub.subscribe(Kind::ShardChannel, names.to_redis_args()).await?)
    }

    /// As `unsubscribe`, for the channels of SPUBLISH.
    ///
    /// # Errors
    /// As `unsubscribe`.
    pub async fn sunsubscribe(&mut self, names: impl ToRedisArgs) -> RedisResult<()> {
        Ok(self.hub.unsubscribe(Kind::ShardChannel, names.to_redis_args()).await?)
    }
}

/// The messages of a [`RingPubSub`]. It never ends by itself; dropping it ends all subscriptions and closes their
/// connections.
#[derive(Debug)]
pub struct RingPubSubStream {
    reader: Reader,
    hub: Arc<Hub>,
    following: AbortHandle,
    /// The topology is followed for as long as somebody holds the client.
    _client: Arc<Inner>,
}

impl RingPubSubStream {
    /// How many messages were dropped because they came faster than they were read.
    pub fn missed(&self) -> u64 {
        self.reader.missed()
    }
}

impl Stream for RingPubSubStream {
    type Item = Msg;

    /// Cancel safe: a message is taken by the poll that returns it.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Msg>> {
        self.reader.poll(cx)
    }
}

impl Drop for RingPubSubStream {
    fn drop(&mut self) {
        self.following.abort();
        self.hub.close();
    }
}
