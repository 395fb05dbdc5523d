//! What is known of the ring without asking its members: ZooKeeper's records, or the list in a `static://` URL.

use std::collections::BTreeMap;

use super::context::Context;
use crate::membership::records::LeadRecord;
use crate::membership::{Live, Membership, MembershipOptions, RingUrl, Store};
use crate::placement::{NodeId, Phase, Topology};
use crate::{Error, ErrorKind, Result};

/// Reads the records, again and again if need be.
///
/// Not through a [`RingClient`](crate::RingClient): that one opens only a ring that is founded and has a member that
/// answers, and this must show the others too.
#[derive(Debug)]
pub(super) struct Records {
    url: RingUrl,
    options: MembershipOptions,
    /// `None` for a fixed ring, and after a session has ended.
    store: Option<Store>,
}

/// The records at one moment.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    /// The ring and its members. Without members in a ring that nobody has registered in yet.
    pub(super) topology: Topology,
    /// While the ring is being founded, how many have registered.
    pub(super) founding: Option<Founding>,
    /// The members whose agents hold their nodes; `None` for a fixed ring, which has no agents.
    pub(super) live: Option<BTreeMap<NodeId, Live>>,
    /// Whose agent leads a move.
    pub(super) leader: Option<LeadRecord>,
}

/// How far the founding of a ring has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub(super) struct Founding {
    pub(super) registered: usize,
    pub(super) wanted: u32,
}

impl Records {
    /// Opens a session with ZooKeeper, or takes the fixed list.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub(super) async fn open(context: &Context) -> Result<Records> {
        let client = context.client()?;
        let (url, options, _) = client.parts();
        let mut records = Records { url: url.clone(), options: options.clone(), store: None };
        records.connect().await?;
        Ok(records)
    }

    /// The ring's URL.
    pub(super) fn url(&self) -> &RingUrl {
        &self.url
    }

    /// Reads them now.
    ///
    /// # Errors
    /// As [`Store::snapshot`].
    pub(super) async fn read(&mut self) -> Result<Reading> {
        if self.store.as_ref().is_some_and(Store::ended) {
            self.store = None;
        }
        self.connect().await?;
        let Some(store) = &self.store else {
            let view = Membership::open(&self.url, &self.options).await?.view();
            return Ok(Reading { topology: (*view.topology).clone(), founding: None, live: None, leader: None });
        };
        let (snapshot, live, leader) = tokio::join!(store.snapshot(), store.live(), store.lead());
        let (snapshot, live, leader) = (snapshot?, live?, leader?);
        let founding = match snapshot.phase()? {
            Phase::Founding { wanted } => Some(Founding { registered: snapshot.ring.serving.len(), wanted }),
            Phase::Still | Phase::Filling | Phase::Syncing | Phase::Retiring => None,
        };
        Ok(Reading { topology: snapshot.topology()?, founding, live: Some(live), leader })
    }

    /// Reads them once, for a ring that is founded.
    ///
    /// # Errors
    /// As [`Records::read`], and `Founding` for a ring that is not founded yet.
    pub(super) async fn founded(context: &Context) -> Result<(RingUrl, Topology)> {
        let mut records = Records::open(context).await?;
        let reading = records.read().await;
        let url = records.url.clone();
        records.close().await;
        let reading = reading?;
        if let Some(Founding { registered, wanted }) = reading.founding {
            let message = format!("the ring is being founded: {registered} of {wanted} members registered");
            return Err(Error::new(ErrorKind::Founding, message)
                .with_hint("start the agents that are missing: `redis-ring agent` beside each Redis server"));
        }
        if reading.topology.serving().members().len() == 0 {
            return Err(Error::new(ErrorKind::Membership, "the ring has no members")
                .with_hint("`redis-ring status` shows its records"));
        }
        Ok((url, reading.topology))
    }

    /// Ends the session, so that ZooKeeper need not wait for its timeout.
    pub(super) async fn close(self) {
        if let Some(store) = self.store {
            store.close().await;
        }
    }

    async fn connect(&mut self) -> Result<()> {
        if self.store.is_none() && matches!(self.url, RingUrl::ZooKeeper { .. }) {
            self.store = Some(Store::open(&self.url, &self.options).await?);
        }
        Ok(())
    }
}
