//! Subscriptions at one server, on a connection of their own.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use redis::Value;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::connect::{self, Connected, Pushes};
use super::{ConnectOptions, Link, Ticker};
use crate::error::{Error, ErrorKind};
use crate::membership::Address;
use crate::placement::NodeId;

/// How often the server is asked whether it still lives. A connection that died without a word loses messages for as
/// long as nobody notices, and there are no requests on it that would.
const PING_EVERY: Duration = Duration::from_secs(1);

/// How many subscriptions are sent before the first of them is answered.
const AT_ONCE: usize = 512;

/// What is listened to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subscription {
    pub(crate) kind: Kind,
    pub(crate) name: Arc<[u8]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Channel,
    Pattern,
    /// A channel of SPUBLISH, which has nothing to do with the channel of PUBLISH of the same name.
    ShardChannel,
}

/// What is to be done with subscriptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Change {
    Add,
    Remove,
}

/// What became of a change at one server.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Done,
    /// The server does not let this user listen there.
    Refused(Error),
    /// The server cannot be reached. It gets the change when it can.
    Unreachable(Error),
}

/// Keeps a server told of what is wanted there, whatever happens to the connection. It connects when first something is
/// wanted. Dropping it closes the connection.
///
/// Whichever process answers will do: other than a member's data, a subscription is made anew in a moment, and one that
/// is there before the member is used again misses nothing.
#[derive(Debug)]
pub(crate) struct Listener {
    address: Address,
    orders: mpsc::UnboundedSender<Order>,
    task: AbortHandle,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    /// Messages, and all else that the server says unasked, go to `pushes`.
    pub(crate) fn start(
        id: NodeId,
        address: Address,
        options: Arc<ConnectOptions>,
        ticker: Arc<Ticker>,
        runtime: &Handle,
        pushes: Pushes,
    ) -> Listener {
        let (sender, orders) = mpsc::unbounded_channel();
        let server = Server { id, address: address.clone(), options, ticker, pushes };
        let task = runtime.spawn(keep_listening(server, orders)).abort_handle();
        Listener { address, orders: sender, task }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Changes what is wanted from now on. The answer comes within the timeouts of connecting and of a write; nobody
    /// needs to wait for it.
    pub(crate) fn order(&self, change: Change, subscriptions: Vec<Subscription>) -> oneshot::Receiver<Answer> {
        let (done, answer) = oneshot::channel();
        // The task ends with the listener only; should it be gone, the receiver says so.
        let _ = self.orders.send(Order { change, subscriptions, done });
        answer
    }
}

#[derive(Debug)]
struct Order {
    change: Change,
    subscriptions: Vec<Subscription>,
    done: oneshot::Sender<Answer>,
}

struct Server {
    id: NodeId,
    address: Address,
    options: Arc<ConnectOptions>,
    ticker: Arc<Ticker>,
    pushes: Pushes,
}

/// What is wanted, and who waits to hear of it.
#[derive(Default)]
struct Desk {
    wanted: BTreeSet<Subscription>,
    waiting: Vec<Order>,
}

impl Desk {
    fn note(&mut self, order: Order) {
        match order.change {
            Change::Add => self.wanted.extend(order.subscriptions.iter().cloned()),
            Change::Remove => order.subscriptions.iter().for_each(|subscription| {
                self.wanted.remove(subscription);
            }),
        }
        self.waiting.push(order);
    }

    /// Everybody who waits is told of what concerns them; whoever asked may have gone.
    fn answer(&mut self, refused: &[(Subscription, Error)]) {
        for order in self.waiting.drain(..) {
            let refusal = refused.iter().find(|(subscription, _)| order.subscriptions.contains(subscription));
            let answer = refusal.map_or(Answer::Done, |(_, error)| Answer::Refused(error.clone()));
            let _ = order.done.send(answer);
        }
    }

    fn unreachable(&mut self, error: &Error) {
        for order in self.waiting.drain(..) {
            let _ = order.done.send(Answer::Unreachable(error.clone()));
        }
    }
}

/// Connects, listens, and connects again. Ends with the sender of its orders.
async fn keep_listening(server: Server, mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut desk = Desk::default();
    let mut failures = 0;
    loop {
        while desk.wanted.is_empty() {
            let Some(order) = orders.recv().await else { return };
            desk.note(order);
            if desk.wanted.is_empty() {
                desk.answer(&[]);
            }
        }
        let Server { id, address, options, ticker, pushes } = &server;
        let name = options.naming.of_subscriptions();
        let mut connecting = pin!(connect::connect_for_pushes(address, name, options, ticker, pushes));
        let connected = loop {
            tokio::select! {
                connected = &mut connecting => break connected,
                order = orders.recv() => match order {
                    Some(order) => desk.note(order),
                    None => return,
                }
            }
        };
        let error = match connected {
            Ok(connected) => {
                let began = Instant::now();
                tracing::debug!(node = %id, "listening");
                let link = Arc::clone(&connected.link);
                let end = listen(&server, &mut desk, &mut orders, connected).await;
                link.close();
                let Some(end) = end else { return };
                tracing::warn!(node = %id, error = %end, "listens no more, messages may be lost until it is back");
                // A connection that never held does not start the back-off anew.
                failures = if began.elapsed() > PING_EVERY { 0 } else { failures };
                end
            }
            Err(error) => {
                tracing::debug!(node = %id, %error, "cannot listen");
                error
            }
        };
        desk.unreachable(&error);
        failures += 1;
        tokio::select! {
            () = tokio::time::sleep(connect::backoff(failures)) => {}
            // Somebody waits: at once.
            order = orders.recv() => match order {
                Some(order) => desk.note(order),
                None => return,
            }
        }
    }
}

/// Subscribes to all that is wanted, and follows the changes for as long as the connection holds; then says why it does
/// not. `None` when nothing will be wanted any more.
async fn listen(
    server: &Server,
    desk: &mut Desk,
    orders: &mut mpsc::UnboundedReceiver<Order>,
    mut connected: Connected,
) -> Option<Error> {
    let link = Arc::clone(&connected.link);
    let (mut change, mut subscriptions) = (Change::Add, desk.wanted.iter().cloned().collect());
    loop {
        match apply(server, &link, change, subscriptions).await {
            Ok(refused) => desk.answer(&refused),
            Err(error) => return Some(error),
        }
        loop {
            // Not in step with those of other processes, which may have begun in the same moment.
            let pause = PING_EVERY.mul_f64(0.75 + fastrand::f64() / 2.0);
            tokio::select! {
                _ = &mut connected.driver => return Some(gone("it closed the connection")),
                order = orders.recv() => {
                    let order = order?;
                    (change, subscriptions) = (order.change, order.subscriptions.clone());
                    desk.note(order);
                    break;
                }
                () = tokio::time::sleep(pause) => {
                    if link.read(&redis::cmd("PING"), write_ms(server)).await.is_err() {
                        return Some(gone("it did not answer"));
                    }
                }
            }
        }
    }
}

/// One command for each subscription: one that is refused takes no other with it. Returns the refused ones.
async fn apply(
    server: &Server,
    link: &Link,
    change: Change,
    subscriptions: Vec<Subscription>,
) -> Result<Vec<(Subscription, Error)>, Error> {
    let mut replies = stream::iter(subscriptions)
        .map(|subscription| async move {
            let mut cmd = redis::cmd(subscription.kind.command(change));
            cmd.arg(&*subscription.name);
            // More time while messages come in, which may be many before the confirmation.
            let reply = link.read(&cmd, write_ms(server)).await;
            (subscription, reply)
        })
        .buffer_unordered(AT_ONCE);
    let mut refused = Vec::new();
    while let Some((subscription, reply)) = replies.next().await {
        match reply {
            Ok(Value::ServerError(error)) => {
                tracing::warn!(node = %server.id, code = error.code(), "a subscription was refused");
                refused.push((subscription, refusal(server, error)));
            }
            Ok(_) => {}
            Err(fault) => return Err(gone(fault.to_string())),
        }
    }
    Ok(refused)
}

impl Kind {
    fn command(self, change: Change) -> &'static str {
        match (self, change) {
            (Kind::Channel, Change::Add) => "SUBSCRIBE",
            (Kind::Channel, Change::Remove) => "UNSUBSCRIBE",
            (Kind::Pattern, Change::Add) => "PSUBSCRIBE",
            (Kind::Pattern, Change::Remove) => "PUNSUBSCRIBE",
            (Kind::ShardChannel, Change::Add) => "SSUBSCRIBE",
            (Kind::ShardChannel, Change::Remove) => "SUNSUBSCRIBE",
        }
    }
}

fn write_ms(server: &Server) -> u64 {
    u64::try_from(server.options.timeouts.write.as_millis()).unwrap_or(u64::MAX)
}

fn gone(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Unreachable, why)
}

fn refusal(server: &Server, error: redis::ServerError) -> Error {
    let (kind, hint) = match error.code() {
        "NOPERM" | "NOAUTH" => (ErrorKind::Denied, "the user needs the channel in its ACL, as in `&news:*`"),
        _ => (ErrorKind::Server, "the server's own words are in the source of this error"),
    };
    let text = format!("{} refused a subscription", server.id);
    Error::new(kind, text).with_hint(hint).with_source(redis::RedisError::from(error))
}
