//! A client of a ring in ZooKeeper, with agents, while servers and ZooKeeper come and go.
#![cfg(feature = "cli")]
#![cfg(test)]

mod support;

use std::time::{Duration, Instant};

use redis::{AsyncCommands, cmd};
use redis_ring::membership::{Source, Store};
use redis_ring::placement::{Config, NodeId, State};
use redis_ring::policy::Timeouts;
use redis_ring::{ErrorKind, Outcome, RingClient};
use support::{
    SOON, ZkRing, direct, eventually, eventually_some, own, patient_options, shared_zookeeper, unique_root, zookeeper,
};

#[tokio::test]
async fn ten_lines_with_async_commands_against_zookeeper() {
    let ring = ZkRing::start(shared_zookeeper().await, 4).await;
    // The readers' program, but for the URL and the time that founding takes here.
    let client = ring.client().await;
    let mut connection = client.connection();
    let () = connection.set_ex("session:7", "alice", 3600).await.unwrap();
    let user: Option<String> = connection.get("session:7").await.unwrap();
    let visits: u64 = connection.incr("visits", 1).await.unwrap();
    let added: u64 = connection.hset("h", "a", 1).await.unwrap();
    let members: Vec<String> = connection.hkeys("h").await.unwrap();
    assert_eq!((user.as_deref(), visits, added), (Some("alice"), 1, 1));
    assert_eq!(members, ["a"]);
    // And the first walks of the contract, through ZooKeeper and all.
    assert_eq!(client.locate("user:1").owners.iter().map(NodeId::as_str).collect::<Vec<_>>(), ["redis-1", "redis-3"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_dies_and_comes_back_empty_is_filled_before_it_answers() {
    let ring = ZkRing::start(shared_zookeeper().await, 4).await;
    let client = ring.client().await;
    let connection = client.connection();
    let keys: Vec<String> = (0..200).map(|i| format!("k{i}")).collect();
    for key in &keys {
        let () = connection.clone().set(key, key).await.unwrap();
    }
    let victim = client.locate(&keys[0]).owners[0].clone();
    let primary_of = keys.iter().filter(|key| client.locate(key).owners[0] == victim).count();
    assert!(primary_of > keys.len() / 8, "{primary_of}");
    let gen_before = client.topology().find(&victim).unwrap().1.generation;

    // Readers that never stop, from before the kill until after the return.
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let readers: Vec<_> = (0..4)
        .map(|n| {
            let (mut connection, keys, done) = (connection.clone(), keys.clone(), done.clone());
            tokio::spawn(async move {
                let mut reads = 0_u64;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let key = &keys[(n * 53 + reads as usize) % keys.len()];
                    let value: Option<String> = connection.get(key).await.unwrap();
                    assert_eq!(value.as_ref(), Some(key));
                    reads += 1;
                }
                reads
            })
        })
        .collect();
    ring.servers[&victim].kill();
    ring.until(&client, &victim, State::Down).await;
    for key in &keys {
        let () = connection.clone().set(key, key).await.unwrap();
    }
    ring.servers[&victim].restart_async().await.unwrap();
    ring.until(&client, &victim, State::Up).await;
    let topology = client.topology();
    let (_, back) = topology.find(&victim).unwrap();
    assert!(back.generation > gen_before && back.reason.is_some(), "{back:?}");
    // Asked directly: by the time that it is up it has all that it owns.
    let addr = ring.servers[&victim].addr();
    for key in keys.iter().filter(|key| client.locate(key).owners.contains(&victim)) {
        assert_eq!(direct::ask::<Option<String>>(&addr, cmd("GET").arg(key)).await.as_ref(), Some(key));
    }
    let before = readers.iter().filter(|reader| reader.is_finished()).count();
    assert_eq!(before, 0, "no reader failed");
    for key in &keys {
        let () = connection.clone().set(key, key).await.unwrap();
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.unwrap() > 100);
    }
    eventually(SOON, "the member is connected", || async { client.connected().contains(&victim) }).await;
}

#[tokio::test]
async fn a_running_client_goes_on_without_zookeeper_and_finds_it_again() {
    let zookeeper = zookeeper().await;
    let ring = ZkRing::start(&zookeeper, 3).await;
    let client = ring.client().await;
    let mut connection = client.connection();
    let () = connection.set("k", 1).await.unwrap();
    let fingerprint = client.topology().fingerprint();
    zookeeper.kill();
    eventually(SOON, "the topology is stale", || async { matches!(client.view().source, Source::Stale { .. }) }).await;
    // For longer than a session lives.
    let (began, mut n) = (Instant::now(), 1);
    while began.elapsed() < Duration::from_secs(4) {
        let raised = connection.incr::<_, _, i64>("k", 1).await;
        let found: i64 = connection.get("k").await.unwrap();
        match raised {
            Ok(raised) => assert_eq!(found, raised),
            // A busy server may answer too late.
            Err(error) => {
                assert_eq!(own(&error).outcome(), Outcome::Unknown, "{error}");
                assert!((n..=n + 1).contains(&found), "{found} after {n}");
            }
        }
        n = found;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.topology().fingerprint(), fingerprint);
    // A client that starts now fails in time and says what it tried.
    let timeouts = Timeouts { open: Duration::from_millis(500), ..Timeouts::default() };
    let began = Instant::now();
    let error = RingClient::builder(&ring.url).unwrap().timeouts(timeouts).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    assert!(began.elapsed() < SOON && format!("{error:?}").contains(&zookeeper.addr()), "{error:?}");
    zookeeper.restart_async().await.unwrap();
    eventually(SOON, "the topology is live", || async { client.view().source == Source::Live }).await;
    assert!(client.topology().members().iter().all(|member| member.state == State::Up));
    // And changes are seen again.
    let victim = client.locate("k").owners[1].clone();
    ring.servers[&victim].kill();
    ring.until(&client, &victim, State::Down).await;
}

#[tokio::test]
async fn a_client_waits_for_the_founding_and_says_how_far_it_is() {
    let zookeeper = shared_zookeeper().await;
    let url = zookeeper.url(&unique_root());
    let timeouts = Timeouts { open: Duration::from_millis(700), ..Timeouts::default() };
    // A busy ZooKeeper may be too late for such a client.
    let failure = async || {
        let failed = async || {
            let error = RingClient::builder(&url).unwrap().timeouts(timeouts.clone()).open().await.unwrap_err();
            (error.kind() != ErrorKind::Unreachable).then_some(error)
        };
        eventually_some(SOON, "ZooKeeper in time", failed).await
    };
    let error = failure().await;
    assert_eq!(error.kind(), ErrorKind::NotFounded);
    assert!(error.hint().unwrap().contains("init --members"), "{error:?}");
    let store = Store::open(&url.parse().unwrap(), &patient_options()).await.unwrap();
    store.init(&Config::default(), 2).await.unwrap();
    let error = failure().await;
    assert_eq!(error.kind(), ErrorKind::Founding);
    assert!(error.to_string().contains("0 of 2 members registered"), "{error}");
}

#[tokio::test]
async fn changes_of_the_topology_can_be_followed() {
    let ring = ZkRing::start(shared_zookeeper().await, 3).await;
    let client = ring.client().await;
    let mut watch = client.watch();
    assert_eq!(watch.current().topology.members().len(), 3);
    let victim = ring.servers.keys().next().unwrap().clone();
    ring.servers[&victim].kill();
    let seen = tokio::time::timeout(SOON, async {
        loop {
            let view = watch.changed().await.expect("the client lives");
            if view.topology.find(&victim).unwrap().1.state == State::Down {
                return view;
            }
        }
    })
    .await
    .expect("the change is seen");
    assert!(seen.topology.epoch() > redis_ring::placement::Epoch(0));
    drop(client);
    let end = tokio::time::timeout(SOON, async { while watch.changed().await.is_some() {} }).await;
    assert!(end.is_ok(), "it ends with its client");
}
