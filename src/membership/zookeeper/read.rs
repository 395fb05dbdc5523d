//! Reads all records as one snapshot: `/ring`, the records that changed, and `/ring` again.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use futures_util::StreamExt;
use zookeeper_client as zk;

use super::session::{Session, is_transient, not_founded};
use crate::membership::records::{ConfigRecord, MemberRecord, RingRecord};
use crate::membership::snapshot::{Entry, Snapshot};
use crate::placement::{Epoch, NodeId};
use crate::{Error, ErrorKind};

/// What was read before: only what changed since is read again.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    config: Option<ConfigRecord>,
    /// Each record beside what `/ring` said of it.
    members: BTreeMap<NodeId, (Edition, Entry)>,
    founded_at: i64,
}

/// What `/ring` says of a member's record: its version, and when it was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edition {
    version: i32,
    created: Option<i32>,
}

impl Edition {
    fn of(ring: &RingRecord, id: &NodeId) -> Option<Edition> {
        let version = *ring.members.get(id.as_str())?;
        Some(Edition { version, created: ring.created.get(id.as_str()).copied() })
    }
}

impl Cache {
    /// Forgets one member's record, so that it is read again.
    pub(crate) fn forget(&mut self, id: &NodeId) {
        self.members.remove(id);
    }
}

/// Resolves once, when the node was changed or the session has ended.
pub(crate) type Watch = Pin<Box<dyn Future<Output = zk::WatchedEvent> + Send>>;

/// One-shot watches of `/ring` and `/config`. One that is there is still set, so its node has not changed.
#[derive(Default)]
pub(crate) struct Watches {
    pub(crate) ring: Option<Watch>,
    pub(crate) config: Option<Watch>,
}

/// Why a snapshot could not be read.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// ZooKeeper did not answer; it may later.
    Transient(Error),
    /// What is there cannot be used until somebody changes it.
    Lasting(Error),
}

impl ReadError {
    pub(crate) fn into_error(self) -> Error {
        match self {
            ReadError::Transient(error) | ReadError::Lasting(error) => error,
        }
    }
}

/// Asks the server that this session speaks to, to catch up with its leader first.
pub(crate) async fn sync(session: &Session) -> Result<(), ReadError> {
    match session.call(session.client().sync(session.root())).await {
        // A root that is not there is found out by reading.
        Ok(()) | Err(zk::Error::NoNode) => Ok(()),
        Err(why) => Err(failed(session, "catch up", why)),
    }
}

/// Reads one snapshot. With `watches`, sets those that are missing.
///
/// # Cancel safety
/// Dropping it loses nothing but the watches that it was about to set.
pub(crate) async fn read(
    session: &Session,
    cache: &mut Cache,
    mut watches: Option<&mut Watches>,
) -> Result<Snapshot, ReadError> {
    for _ in 0..ATTEMPTS {
        let path = session.path("/ring");
        let (data, stat) = match node(session, &path, watches.as_deref_mut().map(|w| &mut w.ring)).await? {
            Some(found) => found,
            None => return Err(ReadError::Lasting(not_founded(session.root()))),
        };
        if cache.founded_at != stat.czxid {
            // Another founding: its versions count from zero again.
            *cache = Cache { founded_at: stat.czxid, ..Cache::default() };
        }
        let ring = RingRecord::parse(&data).map_err(ReadError::Lasting);
        let config = config(session, cache, watches.as_deref_mut()).await?;
        let ring = ring?;
        let members = members(session, cache, &ring).await?;
        let again = session.call(session.client().check_stat(&path)).await;
        let again = again.map_err(|why| failed(session, "read /ring", why))?;
        if again.is_some_and(|again| again.version == stat.version && again.czxid == stat.czxid) {
            return Ok(Snapshot { config, ring, epoch: Epoch(stat.version), founded_at: stat.czxid, members });
        }
    }
    let message = "the ring changed faster than it could be read";
    Err(ReadError::Transient(Error::new(ErrorKind::Conflict, message)))
}

/// A change takes a few milliseconds to write and about one to read, so even a storm leaves a gap.
const ATTEMPTS: usize = 50;
/// Reads in flight: enough to fill one connection, few enough to leave room for others.
const CONCURRENT: usize = 64;

async fn config(
    session: &Session,
    cache: &mut Cache,
    watches: Option<&mut Watches>,
) -> Result<ConfigRecord, ReadError> {
    if let (Some(config), Some(Watches { config: Some(_), .. })) = (&cache.config, &watches) {
        return Ok(config.clone());
    }
    cache.config = None;
    let found = node(session, &session.path("/config"), watches.map(|w| &mut w.config)).await?;
    let (data, _) = found.ok_or_else(|| {
        let root = session.root();
        let error = Error::new(ErrorKind::Membership, format!("{root} has a /ring, but no /config"));
        ReadError::Lasting(error.with_hint("put /config back as it was: it says where every key is"))
    })?;
    let config = ConfigRecord::parse(&data).map_err(ReadError::Lasting)?;
    cache.config = Some(config.clone());
    Ok(config)
}

async fn members(
    session: &Session,
    cache: &mut Cache,
    ring: &RingRecord,
) -> Result<BTreeMap<NodeId, Entry>, ReadError> {
    let mut known = BTreeMap::new();
    let mut missing = Vec::new();
    for id in ring.ids() {
        let edition = Edition::of(ring, &id);
        match cache.members.remove(&id) {
            Some((seen, entry)) if Some(seen) == edition => {
                known.insert(id, (seen, entry));
            }
            _ => missing.push((id, edition)),
        }
    }
    let reads = missing.into_iter().map(|(id, edition)| async move {
        let entry = member(session, &id).await?;
        Ok::<_, ReadError>((id, edition, entry))
    });
    let mut reads = futures_util::stream::iter(reads).buffer_unordered(CONCURRENT);
    let mut entries = BTreeMap::new();
    while let Some(read) = reads.next().await {
        let (id, edition, entry) = read?;
        match edition {
            // Something written past the ring's own changes is read again next time.
            Some(edition) if entry.version == Some(edition.version) => {
                known.insert(id, (edition, entry));
            }
            _ => {
                entries.insert(id, entry);
            }
        }
    }
    entries.extend(known.iter().map(|(id, (_, entry))| (id.clone(), entry.clone())));
    cache.members = known;
    Ok(entries)
}

async fn member(session: &Session, id: &NodeId) -> Result<Entry, ReadError> {
    let path = session.path(&format!("/members/{id}"));
    match session.call(session.client().get_data(&path)).await {
        Ok((data, stat)) => Ok(Entry { version: Some(stat.version), record: MemberRecord::parse(&data) }),
        Err(zk::Error::NoNode) => Ok(Entry { version: None, record: Err("its record is missing".to_owned()) }),
        Err(why) => Err(failed(session, "read /members", why)),
    }
}

/// Reads a node. With a slot for a watch that is empty, sets one, also where there is no node.
async fn node(
    session: &Session,
    path: &str,
    watch: Option<&mut Option<Watch>>,
) -> Result<Option<(Vec<u8>, zk::Stat)>, ReadError> {
    let client = session.client();
    let Some(watch) = watch.filter(|watch| watch.is_none()) else {
        return match session.call(client.get_data(path)).await {
            Ok(found) => Ok(Some(found)),
            Err(zk::Error::NoNode) => Ok(None),
            Err(why) => Err(failed(session, "read", why)),
        };
    };
    loop {
        match session.call(client.get_and_watch_data(path)).await {
            Ok((data, stat, watcher)) => {
                *watch = Some(Box::pin(watcher.changed()));
                return Ok(Some((data, stat)));
            }
            Err(zk::Error::NoNode) => {}
            Err(why) => return Err(failed(session, "read", why)),
        }
        match session.call(client.check_and_watch_stat(path)).await {
            Ok((None, watcher)) => {
                *watch = Some(Box::pin(watcher.changed()));
                return Ok(None);
            }
            // It was created in between.
            Ok((Some(_), _)) => {}
            Err(why) => return Err(failed(session, "read", why)),
        }
    }
}

fn failed(session: &Session, doing: &str, why: zk::Error) -> ReadError {
    let transient = is_transient(&why);
    let error = session.error(doing, why);
    if transient { ReadError::Transient(error) } else { ReadError::Lasting(error) }
}
