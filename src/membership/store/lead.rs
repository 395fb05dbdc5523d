//! Who leads the move.

use zookeeper_client as zk;

use super::Store;
use crate::Result;
use crate::membership::records::LeadRecord;

impl Store {
    /// Who leads the move that is under way, or did last; `None` where nobody does, or the record cannot be read. It is for
    /// people: a change of the ring is judged on the ring's own records.
    ///
    /// # Errors
    /// As [`Store::snapshot`].
    pub async fn lead(&self) -> Result<Option<LeadRecord>> {
        let session = &self.session;
        match session.call(session.client().get_data(&session.path("/lead"))).await {
            Ok((data, _)) => Ok(LeadRecord::parse(&data).ok()),
            Err(zk::Error::NoNode) => Ok(None),
            Err(why) => Err(session.error("read /lead", why)),
        }
    }
}
