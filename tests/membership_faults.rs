//! What a client does while ZooKeeper is away, late, restarting or cut off.
#![cfg(feature = "cli")]
#![cfg(test)]

mod rings;
mod support;

use std::sync::Arc;
use std::time::Duration;

use redis_ring::ErrorKind;
use redis_ring::membership::{Membership, MembershipOptions, Source, Store};
use rings::{failure, founded, is_stale, options, set_state, url};
use support::{FaultProxy, Mode, SOON, eventually, eventually_some, shared_zookeeper, unique_root, zookeeper};
use tokio::time::Instant;

#[tokio::test]
async fn without_zookeeper_opening_fails_in_time_and_says_what_it_tried() {
    // Nobody listens at port 1, and the second accepts connections without a word.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = silent.local_addr().unwrap();
    let ring = url(&format!("zk://127.0.0.1:1,{silent}/ring"));
    let options = MembershipOptions { open_timeout: Duration::from_secs(2), ..options() };
    // Of three, so that a machine that stands still for a moment does not count.
    let mut tries = Vec::new();
    while tries.len() < 3 {
        let started = Instant::now();
        let error = failure(&ring, &options).await;
        let took = started.elapsed();
        assert_eq!(error.kind(), ErrorKind::Unreachable);
        for says in ["127.0.0.1:1: connection refused", &format!("{silent}: accepts connections, but opens no session")]
        {
            assert!(error.to_string().contains(says), "{error}");
        }
        assert!(took < SOON, "{took:?}");
        if took < options.open_timeout + Duration::from_millis(500) {
            return;
        }
        tries.push(took);
    }
    panic!("too late: {tries:?}");
}

#[tokio::test]
async fn a_zookeeper_that_comes_up_in_time_is_waited_for() {
    let server = zookeeper().await;
    let ring = url(&server.url("/ring"));
    drop(founded(&ring).await);
    server.kill();
    // Longer than a ZooKeeper may take to start.
    let options = MembershipOptions { open_timeout: 3 * SOON, ..options() };
    let (opened, ()) = tokio::join!(Membership::open(&ring, &options), async {
        tokio::task::yield_now().await;
        server.restart_async().await.unwrap();
    });
    let membership = opened.unwrap();
    eventually(SOON, "being live", || async { membership.view().source == Source::Live }).await;
}

#[tokio::test]
async fn a_zookeeper_that_restarts_leaves_the_ring_as_it_is() {
    let server = zookeeper().await;
    let ring = url(&server.url("/ring"));
    drop(founded(&ring).await);
    let options = MembershipOptions { session_timeout: Duration::from_secs(30), ..options() };
    let membership = Membership::open(&ring, &options).await.unwrap();
    let before = membership.view();
    server.kill();
    eventually(SOON, "going stale", || async { is_stale(&membership) }).await;
    assert!(Arc::ptr_eq(&before.topology, &membership.view().topology));
    server.restart_async().await.unwrap();
    eventually(SOON, "being live again", || async { !is_stale(&membership) }).await;
    assert!(Arc::ptr_eq(&before.topology, &membership.view().topology), "nothing has changed");
    let store = Store::open(&ring, &options).await.unwrap();
    let changed = set_state(&store, "redis-0", "down").await;
    eventually(SOON, "following again", || async { membership.view().topology.epoch() == changed.epoch() }).await;
}

#[tokio::test]
async fn a_zookeeper_away_for_longer_than_the_session_is_found_again() {
    let server = zookeeper().await;
    let ring = url(&server.url("/ring"));
    drop(founded(&ring).await);
    let short = MembershipOptions { session_timeout: Duration::from_millis(400), ..options() };
    let membership = Membership::open(&ring, &short).await.unwrap();
    let store = Store::open(&ring, &short).await.unwrap();
    server.kill();
    // Both sessions have the same timeout, so the end of the one tells of the other's.
    eventually(SOON, "the session to end", || async { store.ended() && is_stale(&membership) }).await;
    server.restart_async().await.unwrap();
    eventually(SOON, "being live again", || async { !is_stale(&membership) }).await;
    let store = Store::open(&ring, &options()).await.unwrap();
    for state in ["down", "up", "joining"] {
        let changed = set_state(&store, "redis-0", state).await;
        eventually(SOON, "following again", || async { membership.view().topology.epoch() == changed.epoch() }).await;
    }
}

#[tokio::test]
async fn changes_made_while_a_client_is_cut_off_are_seen_when_it_is_back() {
    let server = shared_zookeeper().await;
    let root = unique_root();
    let store = founded(&url(&server.url(&root))).await;
    let proxy = FaultProxy::start(server.addr()).await;
    let ring = url(&format!("zk://{}{root}", proxy.addr()));
    let options = MembershipOptions { session_timeout: Duration::from_secs(30), ..options() };
    let membership = Membership::open(&ring, &options).await.unwrap();
    proxy.set(Mode::Refuse).await;
    proxy.cut().await;
    eventually(SOON, "going stale", || async { is_stale(&membership) }).await;
    let changed = set_state(&store, "redis-1", "down").await;
    proxy.set(Mode::Pass).await;
    eventually(SOON, "what was missed", || async { membership.view().topology.epoch() == changed.epoch() }).await;
    eventually(SOON, "being live again", || async { !is_stale(&membership) }).await;
}

#[tokio::test]
async fn a_refresh_reads_the_ring_once_however_many_ask() {
    let server = shared_zookeeper().await;
    let root = unique_root();
    let _store = founded(&url(&server.url(&root))).await;
    let proxy = FaultProxy::start(server.addr()).await;
    // A session so long that hardly a ping comes between.
    let long = Duration::from_secs(40);
    let options = MembershipOptions { session_timeout: long, open_timeout: 3 * long, ..options() };
    let membership = Membership::open(&url(&format!("zk://{}{root}", proxy.addr())), &options).await.unwrap();
    let before = proxy.counts().request_bytes;
    (0..1000).for_each(|_| membership.refresh());
    // A ping is 12 bytes.
    eventually(SOON, "a read", || async { proxy.counts().request_bytes > before + 100 }).await;
    // One refresh is a sync, /ring and its version again: some 200 bytes.
    let last = eventually_some(SOON, "silence", || async {
        let last = proxy.counts().request_bytes;
        // Another refresh would come right after it.
        tokio::time::sleep(Duration::from_millis(200)).await;
        (proxy.counts().request_bytes == last).then_some(last)
    })
    .await;
    assert!(last - before < 1000, "{} bytes", last - before);
    assert!(!is_stale(&membership));
}
