//! What applications hold: a client of the ring, and connections in the manner of redis-rs.

mod builder;
mod connection;
mod member;
mod pubsub;
mod scan;
mod transaction;
mod watch;

use std::str::FromStr;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::error::{Error, ErrorKind, Result};
use crate::exec::{Compared, Core, DbSize, Stats};
use crate::membership::{Membership, MembershipOptions, RingUrl, View};
use crate::node::{Naming, checked_name, name_by_default};
use crate::placement::{Location, NodeId, Topology};

pub use builder::RingClientBuilder;
pub use connection::RingConnection;
pub use member::MemberConnection;
pub use pubsub::{RingPubSub, RingPubSubSink, RingPubSubStream};
pub use scan::{Scan, ScanCursor, ScanOptions};
pub use transaction::WatchingConnection;
pub use watch::TopologyWatch;

/// A client of a ring: it follows the members, keeps a connection to each, and hands out [`RingConnection`]s.
///
/// Cloning is cheap; all clones and connections share everything, and the last of them to be dropped closes it.
///
/// ```no_run
/// use redis::AsyncCommands;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let client = redis_ring::RingClient::open("zk://127.0.0.1:2181/ring").await?;
/// let mut connection = client.connection();
/// let () = connection.set("greeting", "hello").await?;
/// let greeting: String = connection.get("greeting").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RingClient {
    inner: Arc<Inner>,
}

/// What lives as long as any client or connection.
#[derive(Debug)]
struct Inner {
    core: Arc<Core>,
    membership: Membership,
    following: JoinHandle<()>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.following.abort();
    }
}

impl RingClient {
    /// Opens the ring at `zk://host:2181,host:2181/root` or `static://id=host:6379,id=host:6379` with the default
    /// options. See [`RingClient::builder`] for others.
    ///
    /// # Errors
    /// `Invalid` for a URL that cannot be read; `Unreachable` when ZooKeeper, or every member that is up, did not
    /// answer in time; `NotFounded` and `Founding` when there is no complete ring yet; `Membership` when what is in
    /// ZooKeeper cannot be used; `Denied` for wrong or missing credentials.
    ///
    /// # Cancel safety
    /// Dropping the future closes what it had opened.
    pub async fn open(url: &str) -> Result<RingClient> {
        RingClient::builder(url)?.open().await
    }

    /// Options before opening.
    ///
    /// # Errors
    /// `Invalid` for a URL that cannot be read.
    pub fn builder(url: &str) -> Result<RingClientBuilder> {
        Ok(RingClientBuilder::new(RingUrl::from_str(url)?))
    }

    async fn start(
        url: &RingUrl,
        membership: &MembershipOptions,
        mut exec: crate::exec::ExecOptions,
        name: Option<&str>,
    ) -> Result<RingClient> {
        let name = name.map_or_else(|| Ok(name_by_default()), checked_name)?;
        let membership = Membership::open(url, membership).await?;
        if let Some(hints) = membership.hints() {
            exec.connect.naming = Arc::new(Naming::new(Some(name), Arc::clone(hints)));
        }
        let mut views = membership.subscribe();
        let first = views.borrow_and_update().topology.clone();
        let core = Core::start(first, exec, membership.arbiter().cloned());
        let following = tokio::spawn({
            let core = Arc::clone(&core);
            async move {
                // Ends with the membership, which lives as long as the client.
                while views.changed().await.is_ok() {
                    let topology = views.borrow_and_update().topology.clone();
                    core.adopt(topology);
                }
            }
        });
        let client = RingClient { inner: Arc::new(Inner { core, membership, following }) };
        client.inner.core.ready().await?;
        Ok(client)
    }

    /// A connection to the ring: cheap, and cheap to clone. All of them share one connection to each member.
    pub fn connection(&self) -> RingConnection {
        RingConnection::new(Arc::clone(&self.inner))
    }

    /// Subscriptions, in the manner of redis-rs's `PubSub`, on connections of their own. Nothing is connected before the
    /// first subscription.
    pub fn pubsub(&self) -> RingPubSub {
        RingPubSub::new(Arc::clone(&self.inner))
    }

    /// A connection to one member, for what concerns its server and not the ring (INFO, CONFIG, CLIENT and the like) and
    /// for reads of what it holds. See [`MemberConnection`].
    ///
    /// # Errors
    /// `Invalid` for a member that the ring does not have. One that is down is an error when it is asked.
    pub fn on(&self, id: &NodeId) -> Result<MemberConnection> {
        match self.topology().find(id) {
            Some(_) => Ok(MemberConnection::new(Arc::clone(&self.inner), id.clone())),
            None => Err(crate::exec::unknown_member(id)),
        }
    }

    /// All keys of the ring, as a stream. See [`Scan`].
    pub fn scan(&self, options: ScanOptions) -> Scan {
        Scan::new(Arc::clone(&self.inner), &options)
    }

    /// How many keys the ring holds, each counted once, and whether that is exact.
    ///
    /// # Errors
    /// `NoOwner` while some keys have no owner that can be asked.
    ///
    /// # Cancel safety
    /// It only reads.
    pub async fn dbsize(&self) -> Result<DbSize> {
        self.inner.core.dbsize().await
    }

    /// The topology in use.
    pub fn topology(&self) -> Arc<Topology> {
        self.inner.core.topology()
    }

    /// The topology in use, and whether changes of it are still seen.
    pub fn view(&self) -> Arc<View> {
        self.inner.membership.view()
    }

    /// Where a key lives, and who is read and written for it now. Asks nobody.
    pub fn locate(&self, key: impl AsRef<[u8]>) -> Location {
        self.topology().locate(key.as_ref())
    }

    /// Follows the changes of the topology.
    pub fn watch(&self) -> TopologyWatch {
        TopologyWatch::new(self.inner.membership.subscribe())
    }

    /// Asks for the ring to be read again now. Returns at once; changes are published as always.
    pub fn refresh(&self) {
        self.inner.membership.refresh();
    }

    /// What this client has counted: fail-overs, hedges, and writes that an owner missed.
    pub fn stats(&self) -> Stats {
        self.inner.core.stats()
    }

    /// How many keys are suspected of having copies that differ, as the replies of their owners have shown. They are
    /// compared in the background, and copies that do differ are given the state of their primary as soon as the key holds
    /// still for the time limit of a write; zero means that this client knows of no difference that it has not given up
    /// ([`Stats::unhealed_keys`]).
    pub fn suspects(&self) -> usize {
        self.inner.core.suspects()
    }

    /// Compares the copies of keys, and gives those that differ the state of their primary. It takes some write timeouts.
    ///
    /// What is suspected is compared by itself; this is for agents.
    #[doc(hidden)]
    pub async fn compare(&self, keys: Vec<Vec<u8>>) -> Vec<Compared> {
        self.inner.core.compare(keys).await
    }

    /// With `static://`: accepts the process that now answers for a member.
    ///
    /// A fixed ring pins the process met first, and neither reads nor writes another one, since a server that was
    /// restarted may have lost data. Call this when its data is known to be right, or when that does not matter.
    ///
    /// # Errors
    /// `Invalid` for a member that the ring does not have, and on a ring in ZooKeeper, whose agents decide this.
    pub fn trust(&self, id: &NodeId) -> Result<()> {
        let by_agents = self.topology().find(id).is_some_and(|(_, member)| member.run_id.is_some());
        if by_agents {
            return Err(Error::new(ErrorKind::Invalid, format!("{id} has an agent, which decides what is trusted")));
        }
        self.inner.core.trust(id)
    }

    /// The members that this client is connected to now, by id.
    pub fn connected(&self) -> Vec<NodeId> {
        self.inner.core.connected()
    }
}
