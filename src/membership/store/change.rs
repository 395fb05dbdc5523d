//! One change of the ring: one `multi`.

use std::collections::BTreeMap;

use tokio::time::sleep;
use zookeeper_client as zk;

use tokio::sync::Mutex;

use super::{ATTEMPTS, Cache, Session, backoff, is_transient, read, sync};
use crate::membership::records::{MemberRecord, RingRecord, bytes};
use crate::membership::snapshot::Snapshot;
use crate::placement::{Epoch, NodeId};
use crate::{Error, ErrorKind, Result};

/// What to change, beginning with nothing.
///
/// Every change sets `/ring`, if only the versions in it, so that its epoch rises and all clients see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    ring: RingRecord,
    /// `None` deletes the record.
    members: BTreeMap<NodeId, Option<MemberRecord>>,
}

/// How a change came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// It was made, and this is the epoch after it.
    Made(Epoch),
    /// There was nothing to do at this epoch. After an answer of ZooKeeper that was lost, this may be because it
    /// had been made.
    Nothing(Epoch),
}

impl Changed {
    /// The epoch of the ring at that moment.
    pub fn epoch(self) -> Epoch {
        match self {
            Changed::Made(epoch) | Changed::Nothing(epoch) => epoch,
        }
    }
}

impl Change {
    /// A change that begins with the ring as it is.
    pub fn of(snapshot: &Snapshot) -> Change {
        Change { ring: snapshot.ring.clone(), members: BTreeMap::new() }
    }

    /// The rings and the phase, to be changed. The versions in it are filled in when the change is made.
    pub fn ring(&mut self) -> &mut RingRecord {
        &mut self.ring
    }

    /// Writes a member's record, whether or not it has one.
    pub fn put(&mut self, id: &NodeId, record: MemberRecord) -> &mut Change {
        self.members.insert(id.clone(), Some(record));
        self
    }

    /// The records after this change alone, for tests of what decides on changes.
    #[cfg(test)]
    pub(crate) fn applied_to(self, snapshot: &Snapshot) -> Snapshot {
        use crate::membership::Entry;
        let mut after = snapshot.clone();
        after.ring = self.ring;
        after.epoch = Epoch(snapshot.epoch.0 + 1);
        for (id, record) in self.members {
            match record.map(|record| record.in_place_of(snapshot.member(&id), snapshot.epoch)) {
                Some(record) => after.members.insert(id, Entry { version: Some(1), record: Ok(record) }),
                None => after.members.remove(&id),
            };
        }
        after
    }

    /// Deletes a member's record.
    pub fn delete(&mut self, id: &NodeId) -> &mut Change {
        self.members.insert(id.clone(), None);
        self
    }
}

/// As [`Store::change`](super::Store::change), for everybody who has a session.
pub(in crate::membership) async fn change<F>(session: &Session, cache: &Mutex<Cache>, mut decide: F) -> Result<Changed>
where
    F: FnMut(&Snapshot) -> Result<Option<Change>>,
{
    let mut pauses = backoff();
    let mut last = None;
    for _ in 0..ATTEMPTS {
        sync(session).await.map_err(|why| why.into_error())?;
        let snapshot = read(session, &mut *cache.lock().await, None).await.map_err(|why| why.into_error())?;
        let Some(change) = decide(&snapshot)? else { return Ok(Changed::Nothing(snapshot.epoch)) };
        match apply(session, &snapshot, change).await? {
            Ok(epoch) => return Ok(Changed::Made(epoch)),
            // Somebody was faster.
            Err(Failure { at: Some(0), why: zk::Error::BadVersion }) => {}
            // A record was written past the ring, so what is remembered of it is not what is there.
            Err(Failure { at: Some(_), why: zk::Error::BadVersion | zk::Error::NodeExists | zk::Error::NoNode }) => {
                *cache.lock().await = Cache::default();
            }
            // It may have been made or not; the next snapshot tells.
            Err(Failure { why, .. }) if is_transient(&why) && !session.ended() => last = Some(why),
            Err(Failure { why, .. }) => return Err(session.error("change the ring", why)),
        }
        sleep(pauses.next()).await;
    }
    Err(match last {
        Some(why) => session.error("change the ring", why),
        None => Error::new(ErrorKind::Conflict, "others changed the ring each time this change was tried"),
    })
}

/// Why a `multi` was refused, and by which of its parts.
struct Failure {
    at: Option<usize>,
    why: zk::Error,
}

/// Makes the change if nothing has changed since the snapshot.
async fn apply(session: &Session, snapshot: &Snapshot, change: Change) -> Result<std::result::Result<Epoch, Failure>> {
    let Change { mut ring, members } = change;
    let placed = |(id, record): (NodeId, Option<MemberRecord>)| {
        let record = record.map(|record| record.in_place_of(snapshot.member(&id), snapshot.epoch));
        (id, record)
    };
    let members: BTreeMap<_, _> = members.into_iter().map(placed).collect();
    let failed = |why: zk::Error| session.error("change the ring", why);
    // All versions, not only those of this change: so a record that was written by hand is seen from now on.
    let mut versions: BTreeMap<&NodeId, i32> =
        snapshot.members.iter().filter_map(|(id, entry)| Some((id, entry.version?))).collect();
    let epoch = snapshot.epoch.0;
    for (id, record) in &members {
        match (record, versions.get_mut(id)) {
            (Some(_), Some(version)) => *version = version.wrapping_add(1),
            (Some(_), None) => {
                versions.insert(id, 0);
                ring.created.insert(id.as_str().to_owned(), epoch.wrapping_add(1));
            }
            (None, _) => {
                versions.remove(id);
                ring.created.remove(id.as_str());
            }
        }
    }
    ring.members = versions.into_iter().map(|(id, version)| (id.as_str().to_owned(), version)).collect();

    let options = zk::CreateMode::Persistent.with_acls(session.acls());
    let mut multi = session.client().new_multi_writer();
    // First, so that its failure is told from that of a record.
    multi.add_set_data(&session.path("/ring"), &bytes(&ring)?, Some(epoch)).map_err(failed)?;
    for (id, record) in &members {
        let path = session.path(&format!("/members/{id}"));
        let seen = snapshot.members.get(id).and_then(|entry| entry.version);
        match (record, seen) {
            (Some(record), Some(version)) => multi.add_set_data(&path, &bytes(record)?, Some(version)),
            (Some(record), None) => multi.add_create(&path, &bytes(record)?, &options),
            (None, Some(version)) => multi.add_delete(&path, Some(version)),
            (None, None) => Ok(()),
        }
        .map_err(failed)?;
    }
    let committed = async {
        multi.commit().await.map_err(|why| match why {
            zk::MultiWriteError::RequestFailed { source } => Failure { at: None, why: source },
            zk::MultiWriteError::OperationFailed { index, source } => Failure { at: Some(index), why: source },
        })
    };
    let committed = session.limit(committed).await.unwrap_or(Err(Failure { at: None, why: zk::Error::Timeout }));
    Ok(committed.map(|_| Epoch(epoch.wrapping_add(1))))
}
