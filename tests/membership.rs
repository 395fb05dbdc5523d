//! Membership against a real ZooKeeper: founding, following, changing, and everything that can be written there.
#![cfg(feature = "cli")]
#![cfg(test)]

mod rings;
mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use redis_ring::ErrorKind;
use redis_ring::membership::records::{LiveRecord, MemberRecord};
use redis_ring::membership::{Change, Changed, Digest, Membership, MembershipOptions, Source, Store};
use redis_ring::placement::{Config, Epoch, Phase, State, Step};
use rings::{by_hand, failure, founded, id, impatient, is_stale, options, record, register, set_state, state_of, url};
use serde_json::Map;
use support::{SOON, eventually, eventually_some, shared_zookeeper, unique_root};
use tokio::time::Instant;

#[tokio::test]
async fn a_fixed_ring_is_up_and_never_changes() {
    let ring = url("static://a=127.0.0.1:1,b=127.0.0.1:2?copies=1&vnodes=160&db=3");
    let membership = Membership::open(&ring, &options()).await.unwrap();
    membership.refresh();
    let view = membership.view();
    let topology = &view.topology;
    assert_eq!((topology.phase(), topology.step(), view.source), (Phase::Still, Step(1), Source::Live));
    assert_eq!((topology.config().copies, topology.config().vnodes, topology.config().db), (1, 160, 3));
    assert!(topology.members().iter().all(|m| m.state == State::Up && m.run_id.is_none() && m.fault.is_none()));
    assert_eq!(topology.members()[0].addr.as_deref(), Some("redis://127.0.0.1:1"));
    let mut views = membership.subscribe();
    drop(membership);
    assert!(views.changed().await.is_err());
    assert_eq!(Store::open(&ring, &options()).await.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_root_without_a_ring_is_not_founded_and_says_how_to_found_one() {
    let ring = url(&shared_zookeeper().await.url(&unique_root()));
    let error = failure(&ring, &options()).await;
    assert_eq!(error.kind(), ErrorKind::NotFounded);
    assert!(error.hint().unwrap().contains("redis-ring --ring URL init --members N"), "{error:?}");
    let store = Store::open(&ring, &options()).await.unwrap();
    assert_eq!(store.snapshot().await.unwrap_err().kind(), ErrorKind::NotFounded);
}

#[tokio::test]
async fn a_client_waits_for_the_founding_and_says_how_far_it_came() {
    let ring = url(&shared_zookeeper().await.url(&unique_root()));
    let store = Store::open(&ring, &options()).await.unwrap();
    store.init(&Config::default(), 2).await.unwrap();
    register(&store, "redis-0").await.unwrap();

    // A busy ZooKeeper may be too late for such a client.
    let error = eventually_some(SOON, "ZooKeeper in time", || async {
        let started = Instant::now();
        let error = failure(&ring, &impatient()).await;
        assert!(started.elapsed() >= impatient().open_timeout, "it did not wait");
        (error.kind() != ErrorKind::Unreachable).then_some(error)
    })
    .await;
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Founding, "1 of 2 members registered"));

    let options = options();
    let opening = Membership::open(&ring, &options);
    let (opened, registered) = tokio::join!(opening, register(&store, "redis-1"));
    let membership = opened.unwrap();
    let view = membership.view();
    assert_eq!(view.topology.epoch(), registered.unwrap().epoch());
    assert_eq!((view.topology.phase(), view.topology.step()), (Phase::Still, Step(1)));
    assert_eq!(view.topology.serving().members().len(), 2);
}

#[tokio::test]
async fn a_ring_is_not_founded_over_another() {
    let ring = url(&shared_zookeeper().await.url(&format!("{}/deep/er", unique_root())));
    let store = Store::open(&ring, &options()).await.unwrap();
    store.init(&Config::default(), 2).await.unwrap();
    let error = store.init(&Config::default(), 4).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("being founded, 0 of 2 members"), "{error}");
    for name in ["a", "b"] {
        register(&store, name).await.unwrap();
    }
    let error = store.init(&Config::default(), 4).await.unwrap_err();
    assert!(error.to_string().contains("a ring of 2 members, still, step 1, epoch 2"), "{error}");
    for (config, members) in [
        (Config { copies: 0, ..Config::default() }, 1),
        (Config { vnodes: 0, ..Config::default() }, 1),
        (Config::default(), 0),
    ] {
        assert_eq!(store.init(&config, members).await.unwrap_err().kind(), ErrorKind::Invalid);
    }
}

#[tokio::test]
async fn a_record_that_was_deleted_and_created_again_is_not_the_one_that_was_read_before() {
    let ring = url(&shared_zookeeper().await.url(&unique_root()));
    let store = founded(&ring).await;
    let reader = Store::open(&ring, &options()).await.unwrap();
    let before = reader.snapshot().await.unwrap().member(&id("redis-0")).cloned().unwrap();
    store.change(|snapshot| Ok(Some(Change::of(snapshot).delete(&id("redis-0")).clone()))).await.unwrap();
    let anew = MemberRecord { generation: before.generation + 1, ..before };
    store.change(|snapshot| Ok(Some(Change::of(snapshot).put(&id("redis-0"), anew.clone()).clone()))).await.unwrap();
    let seen = reader.snapshot().await.unwrap();
    assert_eq!(seen.ring.members["redis-0"], 0, "the version that it had before");
    assert_eq!(seen.member(&id("redis-0")), Some(&anew));
}

#[tokio::test]
async fn changes_are_seen_whole_and_touch_the_ring() {
    let ring = url(&shared_zookeeper().await.url(&unique_root()));
    let store = founded(&ring).await;
    let membership = Membership::open(&ring, &options()).await.unwrap();
    let before = membership.view();
    let mut views = membership.subscribe();
    let changed = set_state(&store, "redis-0", "down").await;
    let seen = views.wait_for(|view| view.topology.epoch() == changed.epoch());
    drop(tokio::time::timeout(SOON, seen).await.expect("the change is seen").unwrap());
    assert_eq!(state_of(&membership, "redis-0"), State::Down);
    assert_eq!(state_of(&membership, "redis-1"), State::Up);
    let after = membership.view();
    assert_eq!(after.topology.fingerprint(), before.topology.fingerprint());
    assert_eq!(before.topology.find(&id("redis-0")).unwrap().1.state, State::Up, "a view is immutable");

    let snapshot = store.snapshot().await.unwrap();
    assert_eq!(snapshot.ring.members["redis-0"], 1);
    assert_eq!(snapshot.ring.members["redis-1"], 0);
    assert_eq!(snapshot.members[&id("redis-0")].version, Some(1));
    drop(membership);
    eventually(SOON, "the views to end", || async { views.has_changed().is_err() }).await;
}

#[tokio::test]
async fn concurrent_changes_are_all_made_each_in_an_epoch_of_its_own() {
    let ring = url(&shared_zookeeper().await.url(&unique_root()));
    let store = founded(&ring).await;
    let before = store.snapshot().await.unwrap().epoch;
    let begin = Arc::new(tokio::sync::Barrier::new(8));
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let (ring, begin) = (ring.clone(), begin.clone());
            tokio::spawn(async move {
                let store = Store::open(&ring, &options()).await.unwrap();
                begin.wait().await;
                let mut epochs = Vec::new();
                for _ in 0..4 {
                    // Two members, so that only the ring's own record stands in the way of half of them.
                    let name = format!("redis-{}", n % 2);
                    let changed = store.change(|snapshot| {
                        let mut change = Change::of(snapshot);
                        let mut record = snapshot.member(&id(&name)).expect("a record").clone();
                        record.generation += 1;
                        change.put(&id(&name), record);
                        Ok(Some(change))
                    });
                    epochs.push(changed.await.unwrap().epoch());
                }
                epochs
            })
        })
        .collect();
    let mut epochs = BTreeSet::new();
    for task in tasks {
        epochs.extend(task.await.unwrap());
    }
    let after = store.snapshot().await.unwrap();
    assert_eq!(epochs.len(), 32);
    assert_eq!(after.epoch, Epoch(before.0 + 32));
    for name in ["redis-0", "redis-1"] {
        assert_eq!(after.member(&id(name)).unwrap().generation, 17);
        assert_eq!(Some(after.ring.members[name]), after.members[&id(name)].version);
    }
    assert_eq!(store.change(|_| Ok(None)).await.unwrap(), Changed::Nothing(after.epoch));
}

#[tokio::test]
async fn unknown_fields_survive_a_change() {
    let ring = url(&shared_zookeeper().await.url(&unique_root()));
    let store = founded(&ring).await;
    let hand = by_hand(&ring).await;
    for path in ["/ring", "/members/redis-0"] {
        let (data, _) = hand.get_data(path).await.unwrap();
        let text = String::from_utf8(data).unwrap().replacen('{', r#"{"colour":"blue","#, 1);
        hand.set_data(path, text.as_bytes(), None).await.unwrap();
    }
    set_state(&store, "redis-0", "down").await;
    for path in ["/ring", "/members/redis-0"] {
        let (data, _) = hand.get_data(path).await.unwrap();
        assert!(String::from_utf8(data).unwrap().contains(r#""colour":"blue""#), "{path}");
    }
}

#[tokio::test]
async fn a_member_whose_record_is_garbage_is_down_and_keeps_its_place() {
    let ring = url(&shared_zookeeper().await.url(&unique_root()));
    let store = founded(&ring).await;
    let hand = by_hand(&ring).await;
    let membership = Membership::open(&ring, &options()).await.unwrap();
    let fingerprint = membership.view().topology.fingerprint();
    for (garbage, says) in [(&b"\xff{"[..], "JSON"), (br#"{"v":7}"#, "version 7"), (b"", "cut short")] {
        hand.set_data("/members/redis-0", garbage, None).await.unwrap();
        // Written past the ring: running clients learn of it from the next change by somebody who saw it.
        let other = Store::open(&ring, &options()).await.unwrap();
        set_state(&other, "redis-1", "up").await;
        let mut views = membership.subscribe();
        let view = views.wait_for(|view| {
            let fault = view.topology.find(&id("redis-0")).unwrap().1.fault.clone();
            fault.is_some_and(|fault| fault.contains(says))
        });
        let view = tokio::time::timeout(SOON, view).await.expect(says).unwrap().clone();
        assert_eq!(view.topology.find(&id("redis-0")).unwrap().1.state, State::Down);
        assert_eq!(view.topology.find(&id("redis-1")).unwrap().1.state, State::Up);
        assert_eq!((view.topology.fingerprint(), view.source), (fingerprint, Source::Live));
    }
    hand.delete("/members/redis-0", None).await.unwrap();
    let fresh = Membership::open(&ring, &options()).await.unwrap();
    let view = fresh.view();
    let member = view.topology.find(&id("redis-0")).unwrap().1;
    assert_eq!((member.state, member.fault.as_deref()), (State::Down, Some("its record is missing")));
    assert_eq!(view.topology.fingerprint(), fingerprint);
    // And an agent can write it again.
    let changed = store.change(|snapshot| {
        let mut change = Change::of(snapshot);
        change.put(&id("redis-0"), record("joining"));
        Ok(Some(change))
    });
    changed.await.unwrap();
    eventually(SOON, "the record to be read", || async { state_of(&fresh, "redis-0") == State::Joining }).await;
}

/// Writes `bad` to `path`: a client that starts is refused, one that runs keeps its topology until it is repaired.
async fn refused_and_survived(path: &str, bad: &[u8], says: &str) {
    let ring = url(&shared_zookeeper().await.url(&unique_root()));
    let store = founded(&ring).await;
    let hand = by_hand(&ring).await;
    let membership = Membership::open(&ring, &options()).await.unwrap();
    let before = membership.view();
    let (good, _) = hand.get_data(path).await.unwrap();
    hand.set_data(path, bad, None).await.unwrap();
    eventually(SOON, "going stale", || async { is_stale(&membership) }).await;
    assert!(Arc::ptr_eq(&before.topology, &membership.view().topology), "the last topology stays");
    let error = failure(&ring, &options()).await;
    assert_eq!(error.kind(), ErrorKind::Membership, "{error:?}");
    assert!(error.to_string().contains(says) && error.hint().is_some(), "{error:?}");
    hand.set_data(path, &good, None).await.unwrap();
    eventually(SOON, "being live again", || async { !is_stale(&membership) }).await;
    let changed = set_state(&store, "redis-0", "down").await;
    eventually(SOON, "following again", || async { membership.view().topology.epoch() == changed.epoch() }).await;
}

#[tokio::test]
async fn a_ring_record_that_is_garbage_changes_nothing_for_running_clients() {
    refused_and_survived("/ring", b"not json", "not JSON").await;
    refused_and_survived("/ring", br#"{"v":2}"#, "version 2").await;
}

#[tokio::test]
async fn a_config_of_an_unknown_ring_or_version_is_refused() {
    refused_and_survived("/config", br#"{"v":1,"ring":"ketama","vnodes":1,"copies":2}"#, "ketama").await;
    refused_and_survived("/config", br#"{"v":3,"ring":"crc32-mix64-v1"}"#, "version 3").await;
}

#[tokio::test]
async fn a_ring_without_members_is_refused_and_never_taken_over() {
    let empty = br#"{"v":1,"step":1,"phase":"still","serving":{},"next":{},"old":{},"members":{}}"#;
    refused_and_survived("/ring", empty, "a ring with no members").await;
}

#[tokio::test]
async fn a_ring_that_is_deleted_stays_in_use_until_another_is_founded() {
    let ring = url(&shared_zookeeper().await.url(&unique_root()));
    let store = founded(&ring).await;
    let hand = by_hand(&ring).await;
    let membership = Membership::open(&ring, &options()).await.unwrap();
    for path in ["/members/redis-0", "/members/redis-1", "/members", "/live", "/config", "/ring"] {
        hand.delete(path, None).await.unwrap();
    }
    eventually(SOON, "going stale", || async { is_stale(&membership) }).await;
    assert_eq!(membership.view().topology.serving().members().len(), 2);
    store.init(&Config::default(), 1).await.unwrap();
    register(&store, "redis-9").await.unwrap();
    eventually(SOON, "the new ring", || async { membership.view().topology.find(&id("redis-9")).is_some() }).await;
    eventually(SOON, "being live again", || async { !is_stale(&membership) }).await;
}

#[tokio::test]
async fn nodes_of_a_user_are_closed_to_others() {
    let ring = url(&shared_zookeeper().await.url(&unique_root()));
    let with = MembershipOptions { auth: Some(Digest::new("ring", "hunter2")), ..options() };
    let store = Store::open(&ring, &with).await.unwrap();
    store.init(&Config::default(), 1).await.unwrap();
    register(&store, "redis-0").await.unwrap();
    assert!(Membership::open(&ring, &with).await.is_ok());
    for without in [options(), MembershipOptions { auth: Some(Digest::new("ring", "wrong")), ..options() }] {
        let error = failure(&ring, &without).await;
        assert_eq!(error.kind(), ErrorKind::Denied);
        assert!(error.hint().unwrap().contains("user and password"), "{error:?}");
        let store = Store::open(&ring, &without).await.unwrap();
        let text = format!("{:?} {:?} {:?}", store, with, store.snapshot().await.unwrap_err());
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn the_node_of_a_dead_agent_is_taken_over_without_a_gap() {
    let ring = url(&shared_zookeeper().await.url(&unique_root()));
    let first = founded(&ring).await;
    let second = Store::open(&ring, &options()).await.unwrap();
    let name = id("redis-0");
    let live = |agent: &str| LiveRecord {
        v: 1,
        run_id: "r".to_owned(),
        agent: agent.to_owned(),
        client_id: 1,
        sync: None,
        rest: Map::new(),
    };
    let (_, changed) = second.watch_live().await.unwrap();
    first.hold(&name, &live("first")).await.unwrap();
    tokio::time::timeout(SOON, changed).await.expect("the watch fires");
    assert_eq!(second.hold(&name, &live("second")).await.unwrap_err().kind(), ErrorKind::Conflict);
    let seen = second.live_of(&name).await.unwrap().expect("a node");
    assert!(!seen.ours);
    // What has changed since it was seen is not taken over.
    let mine = first.live_of(&name).await.unwrap().expect("a node");
    first.rewrite(&name, &mine, &live("first, still alive")).await.unwrap();
    let refused = second.take_over(&name, &seen, &live("second")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    let seen = second.live_of(&name).await.unwrap().expect("a node");
    second.take_over(&name, &seen, &live("second")).await.unwrap();
    // It is the second's now, whatever becomes of the first's session.
    first.close().await;
    let all = second.live().await.unwrap();
    assert_eq!(all[&name].record.as_ref().unwrap().agent, "second");
    assert!(all[&name].ours);
    second.close().await;
    let third = Store::open(&ring, &options()).await.unwrap();
    assert!(third.live().await.unwrap().is_empty(), "closing ends the nodes at once");
}
