//! Rings whose members no server stands behind, and what the tests do with them.
#![allow(dead_code, reason = "each test program uses another part of it, so that `expect` would fail in one")]

use std::time::Duration;

use redis_ring::membership::records::{MemberRecord, PlacedRecord};
use redis_ring::membership::{Change, Changed, Membership, MembershipOptions, RingUrl, Source, Store};
use redis_ring::placement::{Config, NodeId, Placed, State};
use redis_ring::{Error, Result};
use serde_json::Map;
use zookeeper_client as zk;

use super::support::SOON;

pub fn url(text: &str) -> RingUrl {
    text.parse().unwrap()
}

pub fn id(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

pub fn options() -> MembershipOptions {
    MembershipOptions { session_timeout: Duration::from_secs(10), open_timeout: SOON, ..MembershipOptions::default() }
}

/// For what is expected to fail by its time limit.
pub fn impatient() -> MembershipOptions {
    MembershipOptions { open_timeout: Duration::from_millis(600), ..options() }
}

pub fn record(state: &str) -> MemberRecord {
    MemberRecord {
        v: 1,
        addr: "redis://127.0.0.1:1".to_owned(),
        state: state.to_owned(),
        generation: 1,
        run_id: "r".to_owned(),
        closed: false,
        reason: None,
        by: None,
        since: None,
        left: None,
        intact: false,
        accepted: None,
        rest: Map::new(),
    }
}

/// What a member's agent does when the ring is founded.
pub async fn register(store: &Store, name: &str) -> Result<Changed> {
    store
        .change(|snapshot| {
            let mut change = Change::of(snapshot);
            change.put(&id(name), record("up"));
            let ring = change.ring();
            ring.serving.insert(name.to_owned(), PlacedRecord::from(&Placed::default()));
            if ring.founding == u32::try_from(ring.serving.len()).ok() {
                (ring.founding, ring.step, ring.phase) = (None, 1, "still".to_owned());
            }
            Ok(Some(change))
        })
        .await
}

pub async fn set_state(store: &Store, name: &str, state: &str) -> Changed {
    let changed = store.change(|snapshot| {
        let mut change = Change::of(snapshot);
        let mut record = snapshot.member(&id(name)).expect("a record").clone();
        record.state = state.to_owned();
        change.put(&id(name), record);
        Ok(Some(change))
    });
    changed.await.unwrap()
}

/// A ring of two members, founded.
pub async fn founded(url: &RingUrl) -> Store {
    let store = Store::open(url, &options()).await.unwrap();
    store.init(&Config::default(), 2).await.unwrap();
    for name in ["redis-0", "redis-1"] {
        register(&store, name).await.unwrap();
    }
    store
}

/// A client that writes past the ring's own changes, as a person does.
pub async fn by_hand(url: &RingUrl) -> zk::Client {
    let RingUrl::ZooKeeper { hosts, root } = url else { panic!("not in ZooKeeper") };
    zk::Client::connector().with_session_timeout(SOON).connect(&format!("{}{root}", hosts.join(","))).await.unwrap()
}

pub fn state_of(membership: &Membership, name: &str) -> State {
    membership.view().topology.find(&id(name)).expect("a member").1.state
}

pub fn is_stale(membership: &Membership) -> bool {
    matches!(membership.view().source, Source::Stale { .. })
}

pub async fn failure(url: &RingUrl, options: &MembershipOptions) -> Error {
    Membership::open(url, options).await.expect_err("it cannot be opened")
}
