//! The node of whoever leads the moves of the ring. It only keeps others from doing the same work.

use zookeeper_client as zk;

use super::Store;
use crate::Result;
use crate::membership::records::{LeadRecord, bytes};

impl Store {
    /// Who leads, or is about to; `None` where nobody does, or the record cannot be read. It is for people: a change of the
    /// ring is judged on the ring's own records.
    ///
    /// # Errors
    /// As [`Store::snapshot`].
    pub async fn lead(&self) -> Result<Option<LeadRecord>> {
        let session = &self.session;
        match session.call(session.client().get_data(&session.path(LEAD))).await {
            Ok((data, _)) => Ok(LeadRecord::parse(&data).ok()),
            Err(zk::Error::NoNode) => Ok(None),
            Err(why) => Err(session.error("read /lead", why)),
        }
    }

    /// Takes the lead if nobody has it. Returns whether this session has it now. It is given back with the session.
    ///
    /// # Errors
    /// As [`Store::snapshot`].
    pub async fn take_lead(&self, record: &LeadRecord) -> Result<bool> {
        let session = &self.session;
        let (path, data) = (session.path(LEAD), bytes(record)?);
        let options = zk::CreateMode::Ephemeral.with_acls(session.acls());
        match session.call(session.client().create(&path, &data, &options)).await {
            Ok(_) => Ok(true),
            Err(zk::Error::NodeExists) => match session.call(session.client().check_stat(&path)).await {
                Ok(stat) => Ok(stat.is_some_and(|stat| stat.ephemeral_owner == session.id())),
                Err(why) => Err(session.error("read /lead", why)),
            },
            Err(why) => Err(session.error("create /lead", why)),
        }
    }

    /// Resolves when the lead is taken or given back, or the session has ended, since this future was made.
    ///
    /// # Errors
    /// As [`Store::snapshot`].
    pub async fn watch_lead(&self) -> Result<impl Future<Output = ()> + Send + use<>> {
        let session = &self.session;
        let checked = session.call(session.client().check_and_watch_stat(&session.path(LEAD))).await;
        let (_, watcher) = checked.map_err(|why| session.error("read /lead", why))?;
        let changed = Box::pin(watcher.changed());
        Ok(async move { drop(changed.await) })
    }
}

/// Where it is, under the root.
const LEAD: &str = "/lead";
