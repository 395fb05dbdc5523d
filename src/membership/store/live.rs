//! The ephemeral nodes that agents hold while their servers answer.

use std::collections::BTreeMap;

use zookeeper_client as zk;

use super::Store;
use crate::membership::records::{LiveRecord, bytes};
use crate::placement::NodeId;
use crate::{Error, ErrorKind, Result};

/// A member's ephemeral node as it was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// What it says, or what is wrong with it.
    pub record: Result<LiveRecord, String>,
    /// Whether this store's session holds it.
    pub ours: bool,
    /// The version of its data.
    pub(crate) version: i32,
}

impl Store {
    /// Every member whose agent holds its node, and what the node says.
    ///
    /// # Errors
    /// As [`Store::snapshot`].
    pub async fn live(&self) -> Result<BTreeMap<NodeId, Live>> {
        let session = &self.session;
        let children = session.call(session.client().list_children(&session.path("/live"))).await;
        let children = children.map_err(|why| session.error("read /live", why))?;
        let mut live = BTreeMap::new();
        for id in children.iter().filter_map(|name| NodeId::new(name).ok()) {
            if let Some(found) = self.live_of(&id).await? {
                live.insert(id, found);
            }
        }
        Ok(live)
    }

    /// One member's node; `None` where nobody holds it.
    ///
    /// # Errors
    /// As [`Store::snapshot`].
    pub async fn live_of(&self, id: &NodeId) -> Result<Option<Live>> {
        let session = &self.session;
        match session.call(session.client().get_data(&self.live_path(id))).await {
            Ok((data, stat)) => Ok(Some(Live {
                record: LiveRecord::parse(&data),
                ours: stat.ephemeral_owner == session.id(),
                version: stat.version,
            })),
            Err(zk::Error::NoNode) => Ok(None),
            Err(why) => Err(session.error("read /live", why)),
        }
    }

    /// The members whose agents hold their nodes, and a future that resolves when that changes, or the session has
    /// ended.
    ///
    /// # Errors
    /// As [`Store::snapshot`].
    pub async fn watch_live(&self) -> Result<(Vec<NodeId>, impl Future<Output = ()> + Send + use<>)> {
        let session = &self.session;
        let path = session.path("/live");
        let found = session.call(session.client().list_and_watch_children(&path)).await;
        let (children, watcher) = found.map_err(|why| session.error("read /live", why))?;
        let ids = children.iter().filter_map(|name| NodeId::new(name).ok()).collect();
        let changed = Box::pin(watcher.changed());
        Ok((ids, async move { drop(changed.await) }))
    }

    /// As [`Store::live_of`], and a future that resolves when that changes, or the session has ended.
    ///
    /// # Errors
    /// As [`Store::snapshot`].
    pub async fn watch_live_of(&self, id: &NodeId) -> Result<(Option<Live>, impl Future<Output = ()> + Send + use<>)> {
        let session = &self.session;
        let path = self.live_path(id);
        loop {
            // Where there is a node it is watched with its data, so that both are of one moment.
            let failed = |why| session.error("read /live", why);
            let (live, watcher) = match session.call(session.client().get_and_watch_data(&path)).await {
                Ok((data, stat, watcher)) => {
                    let ours = stat.ephemeral_owner == session.id();
                    (Some(Live { record: LiveRecord::parse(&data), ours, version: stat.version }), watcher)
                }
                Err(zk::Error::NoNode) => {
                    let checked = session.call(session.client().check_and_watch_stat(&path)).await.map_err(failed)?;
                    let (None, watcher) = checked else { continue };
                    (None, watcher)
                }
                Err(why) => return Err(failed(why)),
            };
            let changed = Box::pin(watcher.changed());
            return Ok((live, async move { drop(changed.await) }));
        }
    }

    /// Creates a member's node, which lives as long as this store's session.
    ///
    /// # Errors
    /// `Conflict` if somebody holds it; as [`Store::snapshot`] else.
    pub async fn hold(&self, id: &NodeId, record: &LiveRecord) -> Result<()> {
        let session = &self.session;
        let options = zk::CreateMode::Ephemeral.with_acls(session.acls());
        let data = bytes(record)?;
        match session.call(session.client().create(&self.live_path(id), &data, &options)).await {
            Ok(_) => Ok(()),
            Err(zk::Error::NodeExists) => Err(held(id)),
            Err(why) => Err(session.error("create in /live", why)),
        }
    }

    /// Deletes another session's node at the version seen and creates this session's, as one: nobody sees the
    /// member without one. For the node of an agent that is known to be dead.
    ///
    /// # Errors
    /// `Conflict` if it has changed since it was seen; as [`Store::snapshot`] else.
    pub async fn take_over(&self, id: &NodeId, seen: &Live, record: &LiveRecord) -> Result<()> {
        let session = &self.session;
        let path = self.live_path(id);
        let failed = |why: zk::Error| session.error("take over in /live", why);
        let options = zk::CreateMode::Ephemeral.with_acls(session.acls());
        let mut multi = session.client().new_multi_writer();
        multi.add_delete(&path, Some(seen.version)).map_err(failed)?;
        multi.add_create(&path, &bytes(record)?, &options).map_err(failed)?;
        match session.call(async { multi.commit().await.map_err(zk::Error::from) }).await {
            Ok(_) => Ok(()),
            Err(zk::Error::NodeExists | zk::Error::BadVersion | zk::Error::NoNode) => Err(held(id)),
            Err(why) => Err(failed(why)),
        }
    }

    /// Rewrites the node that this session holds.
    ///
    /// # Errors
    /// `Conflict` if it has changed since it was seen; as [`Store::snapshot`] else.
    pub async fn rewrite(&self, id: &NodeId, seen: &Live, record: &LiveRecord) -> Result<()> {
        let session = &self.session;
        let data = bytes(record)?;
        match session.call(session.client().set_data(&self.live_path(id), &data, Some(seen.version))).await {
            Ok(_) => Ok(()),
            Err(zk::Error::BadVersion | zk::Error::NoNode) => Err(held(id)),
            Err(why) => Err(session.error("write in /live", why)),
        }
    }

    /// Deletes a member's node at the version seen. That nobody holds it any more is no error.
    ///
    /// # Errors
    /// `Conflict` if it has changed since it was seen; as [`Store::snapshot`] else.
    pub async fn release(&self, id: &NodeId, seen: &Live) -> Result<()> {
        let session = &self.session;
        match session.call(session.client().delete(&self.live_path(id), Some(seen.version))).await {
            Ok(()) | Err(zk::Error::NoNode) => Ok(()),
            Err(zk::Error::BadVersion) => Err(held(id)),
            Err(why) => Err(session.error("delete in /live", why)),
        }
    }

    fn live_path(&self, id: &NodeId) -> String {
        self.session.path(&format!("/live/{id}"))
    }
}

fn held(id: &NodeId) -> Error {
    Error::new(ErrorKind::Conflict, format!("another agent holds {id}, or has changed what it holds"))
}
