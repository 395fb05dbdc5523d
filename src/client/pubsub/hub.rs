//! Which subscription belongs to which member, and keeping it so while the ring changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout_at};

use crate::error::{Error, ErrorKind, Result, Retry};
use crate::membership::{Address, View};
use crate::node::{Answer, Change, ConnectOptions, Kind, Listener, Pushes, Subscription, Ticker};
use crate::placement::{Member, NodeId, Ring, State, Token, Topology};

/// All subscriptions of one [`RingPubSub`](super::RingPubSub).
#[derive(Debug)]
pub(super) struct Hub {
    /// Held by one call until its end, so that calls take effect in their order, and one that fails takes back nothing
    /// that another has been told is there.
    calls: tokio::sync::Mutex<()>,
    desk: Mutex<Desk>,
    patience: Duration,
}

struct Desk {
    topology: Arc<Topology>,
    wanted: BTreeSet<Subscription>,
    /// Those that something is or was wanted at.
    listeners: BTreeMap<NodeId, Listener>,
    connecting: (Arc<ConnectOptions>, Arc<Ticker>, Handle),
    pushes: Pushes,
    closed: bool,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("wanted", &self.wanted.len()).finish_non_exhaustive()
    }
}

/// What one member was asked, and its answer to come.
struct Asked {
    id: NodeId,
    subscriptions: Vec<Subscription>,
    answer: oneshot::Receiver<Answer>,
}

impl Hub {
    pub(super) fn new(
        topology: Arc<Topology>,
        connecting: (Arc<ConnectOptions>, Arc<Ticker>, Handle),
        pushes: Pushes,
    ) -> Hub {
        let timeouts = &connecting.0.timeouts;
        // An attempt to connect that had begun, one of our own, and the answer.
        let patience = timeouts.connect.saturating_mul(2).saturating_add(timeouts.write.saturating_mul(2));
        let (wanted, listeners) = (BTreeSet::new(), BTreeMap::new());
        let desk = Desk { topology, wanted, listeners, connecting, pushes, closed: false };
        Hub { calls: tokio::sync::Mutex::default(), desk: Mutex::new(desk), patience }
    }

    /// Listens to all of these, or to none of them that was not listened to before.
    pub(super) async fn subscribe(&self, kind: Kind, names: Vec<Vec<u8>>) -> Result<()> {
        if names.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, "no channel to subscribe to was given")
                .with_hint("name at least one channel or pattern"));
        }
        let _one_at_a_time = self.calls.lock().await;
        let subscriptions = named(kind, names);
        let (new, asked) = {
            let mut desk = self.open_desk()?;
            let new: Vec<_> = subscriptions.iter().filter(|s| desk.wanted.insert((*s).clone())).cloned().collect();
            (new, desk.order(Change::Add, &subscriptions))
        };
        let answers = self.answers(asked).await;
        judge(&subscriptions, &answers).inspect_err(|_| {
            let mut desk = self.desk();
            new.iter().for_each(|subscription| {
                desk.wanted.remove(subscription);
            });
            // Nobody waits for this; a member that cannot be told now is never told of the subscription either.
            desk.order(Change::Remove, &new);
        })
    }

    /// Listens to none of these any more; to none of the kind if none is named.
    pub(super) async fn unsubscribe(&self, kind: Kind, names: Vec<Vec<u8>>) -> Result<()> {
        let _one_at_a_time = self.calls.lock().await;
        let asked = {
            let mut desk = self.open_desk()?;
            let subscriptions = match names.is_empty() {
                true => desk.wanted.iter().filter(|subscription| subscription.kind == kind).cloned().collect(),
                false => named(kind, names),
            };
            subscriptions.iter().for_each(|subscription| {
                desk.wanted.remove(subscription);
            });
            desk.order(Change::Remove, &subscriptions)
        };
        // A member that does not answer has lost its connection, and with it the subscription.
        self.answers(asked).await;
        Ok(())
    }

    /// Moves the subscriptions to where they belong from now on, for as long as there are views.
    pub(super) async fn follow(self: Arc<Hub>, mut views: watch::Receiver<Arc<View>>) {
        loop {
            let topology = Arc::clone(&views.borrow_and_update().topology);
            self.desk().adopt(topology);
            if views.changed().await.is_err() {
                return;
            }
        }
    }

    /// Ends all connections.
    pub(super) fn close(&self) {
        let mut desk = self.desk();
        desk.closed = true;
        desk.wanted.clear();
        desk.listeners.clear();
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_desk(&self) -> Result<MutexGuard<'_, Desk>> {
        let desk = self.desk();
        if desk.closed {
            return Err(Error::new(ErrorKind::Disconnected, "the stream of these subscriptions was dropped")
                .with_retry(Retry::Never)
                .with_hint("keep the stream for as long as messages are wanted"));
        }
        Ok(desk)
    }

    async fn answers(&self, asked: Vec<Asked>) -> Vec<(NodeId, Vec<Subscription>, Answer)> {
        let deadline = Instant::now() + self.patience;
        let waiting = asked.into_iter().map(|Asked { id, subscriptions, answer }| async move {
            let answer = match timeout_at(deadline, answer).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Answer::Unreachable(trouble("it has left")),
                Err(_) => Answer::Unreachable(trouble("it did not answer in time")),
            };
            (id, subscriptions, answer)
        });
        join_all(waiting).await
    }
}

impl Desk {
    /// Tells the members that these subscriptions belong to.
    fn order(&mut self, change: Change, subscriptions: &[Subscription]) -> Vec<Asked> {
        let mut by_member: BTreeMap<NodeId, Vec<Subscription>> = BTreeMap::new();
        for subscription in subscriptions {
            for id in homes(&self.topology, subscription) {
                by_member.entry(id).or_default().push(subscription.clone());
            }
        }
        by_member.into_iter().filter_map(|(id, subscriptions)| self.tell(change, id, subscriptions)).collect()
    }

    fn tell(&mut self, change: Change, id: NodeId, subscriptions: Vec<Subscription>) -> Option<Asked> {
        if change == Change::Add && !self.listeners.contains_key(&id) {
            let address = address(self.topology.find(&id)?.1)?;
            let (options, ticker, runtime) = &self.connecting;
            let (options, ticker, pushes) = (Arc::clone(options), Arc::clone(ticker), Arc::clone(&self.pushes));
            let listener = Listener::start(id.clone(), address, options, ticker, runtime, pushes);
            self.listeners.insert(id.clone(), listener);
        }
        let answer = self.listeners.get(&id)?.order(change, subscriptions.clone());
        Some(Asked { id, subscriptions, answer })
    }

    fn adopt(&mut self, topology: Arc<Topology>) {
        if self.closed || Arc::ptr_eq(&self.topology, &topology) {
            return;
        }
        let old = std::mem::replace(&mut self.topology, topology);
        self.listeners.retain(|id, listener| {
            self.topology
                .find(id)
                .and_then(|(_, member)| address(member))
                .is_some_and(|address| address == *listener.address())
        });
        let has = |id: &NodeId| self.listeners.contains_key(id);
        let moves = moves(&old, &self.topology, &self.wanted, has);
        for ((change, id), subscriptions) in moves {
            tracing::debug!(node = %id, ?change, count = subscriptions.len(), "subscriptions move");
            self.tell(change, id, subscriptions);
        }
    }
}

fn named(kind: Kind, names: Vec<Vec<u8>>) -> Vec<Subscription> {
    let unique: BTreeSet<_> = names.into_iter().map(|name| Subscription { kind, name: name.into() }).collect();
    unique.into_iter().collect()
}

/// The members where a subscription must be, so that whoever publishes meets it.
///
/// A message goes to one of the owners, so it is heard once although all of them are listened at. Those of the next and
/// the old ring are among them, since whoever publishes may see a ring change sooner or later; and so are members
/// that are joining, for which every subscription is there before the first message.
fn homes(topology: &Topology, subscription: &Subscription) -> BTreeSet<NodeId> {
    let all: Vec<&Member> = match subscription.kind {
        Kind::Pattern => topology.members().iter().collect(),
        Kind::Channel | Kind::ShardChannel => {
            let token = Token::of_key(&subscription.name);
            let rings: [Option<&Ring>; 3] = [Some(topology.serving()), topology.next(), topology.old()];
            let owners = rings.into_iter().flatten().flat_map(|ring| ring.owners(token));
            owners.map(|owner| topology.member(*owner)).collect()
        }
    };
    all.into_iter().filter(|member| address(member).is_some()).map(|member| member.id.clone()).collect()
}

/// What is to be told to whom when the topology changes; `has` are the members that have been told of the old one.
fn moves(
    old: &Topology,
    new: &Topology,
    wanted: &BTreeSet<Subscription>,
    has: impl Fn(&NodeId) -> bool,
) -> BTreeMap<(Change, NodeId), Vec<Subscription>> {
    let mut moves: BTreeMap<(Change, NodeId), Vec<Subscription>> = BTreeMap::new();
    for subscription in wanted {
        let mut before = homes(old, subscription);
        before.retain(&has);
        let after = homes(new, subscription);
        let come = after.difference(&before).map(|id| (Change::Add, id));
        for (change, id) in come.chain(before.difference(&after).map(|id| (Change::Remove, id))) {
            moves.entry((change, id.clone())).or_default().push(subscription.clone());
        }
    }
    moves
}

/// Where a member can be listened at.
fn address(member: &Member) -> Option<Address> {
    match member.state {
        State::Up | State::Joining => member.addr.as_deref()?.parse().ok(),
        State::Down => None,
    }
}

/// A server's refusal is the caller's to know. One that cannot be reached is not, as long as each subscription is at
/// some member.
fn judge(subscriptions: &[Subscription], answers: &[(NodeId, Vec<Subscription>, Answer)]) -> Result<()> {
    let mut text = "no owner of a channel can be listened at now".to_owned();
    let mut heard = BTreeSet::new();
    let (mut nth, mut denied) = (0, None);
    for (id, subscriptions, answer) in answers {
        match answer {
            Answer::Done => heard.extend(subscriptions),
            Answer::Refused(error) => return Err(error.clone()),
            Answer::Unreachable(error) => {
                denied = denied.or((error.kind() == ErrorKind::Denied).then_some(error));
                // Writing to a string cannot fail.
                let _ = write!(text, "{} {id}: {error}", if nth == 0 { ":" } else { ";" });
                nth += 1;
            }
        }
    }
    if subscriptions.iter().all(|subscription| heard.contains(subscription)) {
        return Ok(());
    }
    // It needs a human, and a retry would not help.
    if let Some(denied) = denied {
        return Err(denied.clone());
    }
    Err(Error::new(ErrorKind::NoOwner, text)
        .with_retry(Retry::Later)
        .with_hint("`redis-ring status` shows the members; one owner of each channel must be up and answer"))
}

fn trouble(why: &str) -> Error {
    Error::new(ErrorKind::Unreachable, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::{Config, Epoch, Parts, Phase, Placed, Step};

    fn id(name: &str) -> NodeId {
        NodeId::new(name).unwrap()
    }

    fn topology(serving: &[&str], next: &[&str], old: &[&str], states: &[(&str, State)]) -> Topology {
        let ring = |names: &[&str]| names.iter().map(|name| (id(name), Placed::default())).collect();
        let state = |name: &str| states.iter().find(|(other, _)| *other == name).map_or(State::Up, |(_, state)| *state);
        let members = [serving, next, old].concat().into_iter().map(|name| {
            let mut member = Member::faulty(id(name), "");
            (member.state, member.addr) = (state(name), Some("redis://127.0.0.1:1".to_owned()));
            (id(name), member)
        });
        Topology::new(Parts {
            config: Config::default(),
            epoch: Epoch(1),
            step: Step(1),
            phase: Phase::Still,
            serving: ring(serving),
            next: ring(next),
            old: ring(old),
            copies_next: None,
            copies_old: None,
            members: members.collect(),
        })
        .unwrap()
    }

    fn subscription(kind: Kind, name: &str) -> Subscription {
        Subscription { kind, name: name.as_bytes().into() }
    }

    #[test]
    fn a_channel_is_at_home_with_all_owners_of_all_rings_that_are_not_down() {
        let all = topology(&["a", "b"], &["c", "d"], &["e", "f"], &[("b", State::Down), ("c", State::Joining)]);
        let channel = subscription(Kind::Channel, "news");
        let names = |homes: BTreeSet<NodeId>| homes.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(homes(&all, &channel)), ["a", "c", "d", "e", "f"]);
        assert_eq!(names(homes(&all, &subscription(Kind::Pattern, "n*"))), ["a", "c", "d", "e", "f"]);
        let many = topology(&["a", "b", "c", "d", "e"], &[], &[], &[]);
        let owners: BTreeSet<NodeId> = many.locate(b"news").owners.into_iter().collect();
        assert_eq!(homes(&many, &channel), owners);
        assert_eq!(homes(&many, &subscription(Kind::ShardChannel, "{news}1")), owners, "hash tags count");
    }

    #[test]
    fn a_change_of_the_ring_moves_what_it_moves_and_nothing_else() {
        let wanted: BTreeSet<_> = (0..200).map(|i| subscription(Kind::Channel, &format!("c{i}"))).collect();
        let (old, new) = (topology(&["a", "b", "c"], &[], &[], &[]), topology(&["a", "b", "c", "d"], &[], &[], &[]));
        let moves = moves(&old, &new, &wanted, |_| true);
        let told = |change, name: &str| moves.get(&(change, id(name))).map_or(0, Vec::len);
        assert_eq!(told(Change::Add, "a") + told(Change::Add, "b") + told(Change::Add, "c"), 0);
        assert_eq!(told(Change::Remove, "d"), 0);
        let came = told(Change::Add, "d");
        let left: usize = ["a", "b", "c"].iter().map(|name| told(Change::Remove, name)).sum();
        assert!(came > 0 && came == left, "{came} and {left}");
    }

    #[test]
    fn a_member_that_is_reached_anew_is_told_everything_again() {
        let wanted: BTreeSet<_> = [subscription(Kind::Channel, "c"), subscription(Kind::Pattern, "p")].into();
        let same = topology(&["a", "b"], &[], &[], &[]);
        let moves = moves(&same, &same, &wanted, |member| *member != id("a"));
        assert_eq!(moves.len(), 1);
        assert_eq!(moves[&(Change::Add, id("a"))].len(), 2);
    }
}
