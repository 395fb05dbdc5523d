//! What an agent writes when its server, its peers, ZooKeeper or itself fails.
#![cfg(feature = "cli")]
#![cfg(test)]

mod agents;
mod support;

use std::time::{Duration, Instant};

use agents::{Running, founded, id, options, ring, ring_at, ring_with, start, straggler, until, until_live, url};
use redis_ring::agent::{AgentOptions, HealthOptions};
use redis_ring::local::RedisOptions;
use redis_ring::membership::{MembershipOptions, RingUrl};
use redis_ring::placement::{Config, State};
use support::{
    FaultProxy, Mode, SOON, eventually, eventually_some, redis_servers, shared_zookeeper, unique_root, zookeeper,
};

/// How long a server is silent that its agent calls hung, where a test is of that: others keep one waiting for less.
const HANG: Duration = Duration::from_millis(500);

fn calls_it_hung(options: &mut AgentOptions) {
    options.health = HealthOptions { hang_after: HANG, ..HealthOptions::default() };
}

#[tokio::test]
async fn a_killed_server_is_down_and_closed_and_joins_when_it_is_back() {
    let (_ring, store, servers, _agents) = ring(2).await;
    let before = until(&store, "redis-0", |r| r.state() == State::Up).await;
    servers[0].kill();
    let down = until(&store, "redis-0", |r| r.state() == State::Down).await;
    assert_eq!((down.generation, down.closed, &down.run_id), (1, true, &before.run_id));
    assert_eq!(down.reason.as_deref(), Some("no server listens at its address"));
    assert!(down.by.as_ref().unwrap().starts_with("agent ") && down.since > before.since);
    until_live(&store, "redis-0", false).await;

    let first = straggler(&servers[1]).await;
    servers[0].restart_async().await.unwrap();
    let back = until(&store, "redis-0", |r| r.state() != State::Down).await;
    assert_eq!((back.state(), back.generation, back.closed), (State::Joining, 2, false));
    assert_eq!(back.run_id, agents::run_id(&servers[0]).await);
    assert_eq!(back.reason.as_deref(), Some("waits for filling: its data is not known to be whole"));
    until_live(&store, "redis-0", true).await;

    // And again: each life has a generation of its own, and none is up.
    servers[0].kill();
    until(&store, "redis-0", |r| r.state() == State::Down && r.closed).await;
    let _second = (first, straggler(&servers[1]).await);
    servers[0].restart_async().await.unwrap();
    until(&store, "redis-0", |r| r.state() == State::Joining && r.generation == 3).await;
    let other = store.snapshot().await.unwrap();
    assert_eq!(other.member(&id("redis-1")).unwrap().state(), State::Up);
}

#[tokio::test]
async fn a_hung_server_is_down_and_not_closed_and_joins_as_the_same_process() {
    let (_ring, store, servers, _agents) = ring_with(2, calls_it_hung).await;
    let run_id = agents::run_id(&servers[0]).await;
    servers[0].stop().unwrap();
    let down = until(&store, "redis-0", |r| r.state() == State::Down).await;
    assert_eq!((down.closed, down.reason.as_deref()), (false, Some("the server does not answer")));
    until_live(&store, "redis-0", false).await;
    let _straggler = straggler(&servers[1]).await;
    servers[0].cont().unwrap();
    let back = until(&store, "redis-0", |r| r.state() == State::Joining).await;
    assert_eq!((back.generation, &back.run_id), (2, &run_id));
    until_live(&store, "redis-0", true).await;

    // Hung, and then killed: now it is closed.
    servers[0].stop().unwrap();
    until(&store, "redis-0", |r| r.state() == State::Down && !r.closed).await;
    servers[0].kill();
    until(&store, "redis-0", |r| r.state() == State::Down && r.closed).await;
}

#[tokio::test]
async fn a_server_that_has_what_nobody_else_has_may_hang_for_longer() {
    loop {
        let (_ring, store, servers, _agents) = ring_with(2, calls_it_hung).await;
        servers[1].kill();
        until(&store, "redis-1", |r| r.state() == State::Down).await;
        let hangs = Instant::now();
        servers[0].stop().unwrap();
        // More than twice of what is enough where there is another owner.
        tokio::time::sleep(HANG * 5 / 2).await;
        let seen = store.snapshot().await.unwrap().member(&id("redis-0")).unwrap().state();
        if hangs.elapsed() > Duration::from_secs(2) {
            // This machine has stood still.
            continue;
        }
        assert_eq!(seen, State::Up);
        until(&store, "redis-0", |r| r.state() == State::Down).await;
        assert!(hangs.elapsed() > Duration::from_secs(2));
        break;
    }
}

#[tokio::test]
async fn a_restart_that_no_probe_saw_goes_straight_to_joining() {
    let ring = url(&shared_zookeeper().await.url(&unique_root()));
    let store = agents::store(&ring).await;
    store.init(&Config::default(), 1).await.unwrap();
    // Alone in the ring, it comes back only with everything that it had.
    let durable = RedisOptions::new().set("appendonly", "yes").set("appendfsync", "always");
    let server = support::redis_with(durable).await;
    // The proxy keeps from the agent that its connection has ended, and probes are so rare that none comes meanwhile.
    let proxy = FaultProxy::start(server.addr()).await;
    let mut options = options(&ring, "redis-0", &server);
    options.redis = format!("redis://{}", proxy.addr()).parse().unwrap();
    options.health.every = Duration::from_secs(10);
    (options.health.probe, options.health.connect) = (SOON, SOON);
    let _agent = Running::of(options);
    let before = until(&store, "redis-0", |r| r.state() == State::Up).await;
    let written = async || {
        let snapshot = store.snapshot().await.ok()?;
        Some((snapshot.member(&id("redis-0"))?.clone(), snapshot.members[&id("redis-0")].version?))
    };
    let (_, writes) = written().await.unwrap();
    eventually(SOON, "the agent has seen the ring that it founded", || async {
        agents::ask::<u64>(&server, redis::cmd("HGET").arg("__rr:gate").arg("step")).await == 1
    })
    .await;
    proxy.set(Mode::Stall).await;
    server.restart_async().await.unwrap();
    proxy.set(Mode::Pass).await;
    let (after, written) = eventually_some(SOON, "another process", || async {
        written().await.filter(|(record, _)| record.run_id != before.run_id)
    })
    .await;
    assert_eq!((after.state(), after.generation), (State::Joining, 2));
    assert_eq!(written, writes + 1, "one write, so it was not down in between");
    eventually(SOON, "the node of the new process", || async {
        store.live().await.unwrap()[&id("redis-0")].record.as_ref().unwrap().run_id == after.run_id
    })
    .await;
}

#[tokio::test]
async fn a_flushed_server_and_a_replica_are_not_read() {
    let (_ring, store, servers, _agents) = ring(2).await;
    let _straggler = straggler(&servers[1]).await;
    let _: () = agents::ask(&servers[0], redis::cmd("FLUSHDB").arg("SYNC")).await;
    // Its agent, which runs in this thread as well, lets it come back after a second.
    until(&store, "redis-0", |r| {
        // The gate goes with the data, and either may be seen first.
        let told = ["its data was flushed", "its gate is gone, and its data may be too"];
        r.state() == State::Down && r.reason.as_deref().is_some_and(|reason| told.contains(&reason))
    })
    .await;
    let back = until(&store, "redis-0", |r| r.state() == State::Joining).await;
    assert_eq!(back.generation, 2);

    let _: () = agents::ask(&servers[1], redis::cmd("REPLICAOF").arg("127.0.0.1").arg(servers[0].port())).await;
    let down = until(&store, "redis-1", |r| r.state() == State::Down).await;
    assert!(!down.closed);
    assert_eq!(down.reason.as_deref(), Some("the server became a replica of another server"));
    until_live(&store, "redis-1", true).await;
}

#[tokio::test]
async fn a_member_that_died_while_its_agent_was_away_is_down_when_one_is_back() {
    let (ring, store, servers, mut agents) = ring(2).await;
    let away = options(&ring, "redis-0", &servers[0]);
    agents.remove(0).stop().await.unwrap();
    // Its peer fences it or its own agent does; so only the reason tells.
    drop(agents);
    servers[0].kill();
    let _again = Running::of(away);
    let down = until(&store, "redis-0", |r| r.state() == State::Down).await;
    assert_eq!((down.closed, down.reason.as_deref()), (true, Some("no server listens at its address")));
}

#[tokio::test]
async fn a_record_that_was_spoilt_by_hand_is_written_anew_by_its_agent() {
    let (ring, store, servers, _agents) = ring(2).await;
    let RingUrl::ZooKeeper { hosts, root } = &ring else { panic!("not in ZooKeeper") };
    let hand = zookeeper_client::Client::connect(&format!("{}{root}", hosts.join(","))).await.unwrap();
    for (n, server) in servers.iter().enumerate() {
        let (name, before) = (format!("redis-{n}"), store.snapshot().await.unwrap());
        match n {
            0 => hand.set_data("/members/redis-0", b"garbage", None).await.map(drop).unwrap(),
            _ => hand.delete("/members/redis-1", None).await.unwrap(),
        }
        // A store that has not seen the record before.
        let anew = agents::store(&ring).await;
        // Above every generation that it may have had.
        let back = until(&anew, &name, |r| r.generation > u64::try_from(before.epoch.0).unwrap()).await;
        assert_eq!(back.run_id, agents::run_id(server).await);
        // The other one has everything still, so it can be filled.
        let whole = until(&anew, &name, |r| r.state() == State::Up).await;
        assert_eq!(whole.generation, back.generation);
        eventually(SOON, "the move is over", || async { store.snapshot().await.unwrap().ring.phase == "still" }).await;
    }
}

#[tokio::test]
async fn an_agent_that_stood_still_itself_fences_nobody() {
    let ring = url(&shared_zookeeper().await.url(&unique_root()));
    let store = agents::store(&ring).await;
    store.init(&Config::default(), 2).await.unwrap();
    let servers = redis_servers(2).await;
    // Replies take so long that a probe is under way most of the time.
    let proxy = FaultProxy::start(servers[0].addr()).await;
    let slow = Duration::from_millis(120);
    proxy.set(Mode::Delay { requests: Duration::ZERO, replies: slow }).await;
    let mut options = options(&ring, "redis-0", &servers[0]);
    options.redis = format!("redis://{}", proxy.addr()).parse().unwrap();
    // All limits are long, so that a busy machine is no hang.
    (options.health.probe, options.health.hang_after, options.health.connect) = (slow * 3, slow * 4, slow * 50);
    let _agents = [Running::of(options), start(&ring, "redis-1", &servers[1])];
    founded(&store).await;
    let before = store.snapshot().await.unwrap();
    for _ in 0..3 {
        for _ in 0..4 {
            // The agents and the proxy of this test run on this one thread.
            std::thread::sleep(slow * 4);
            // Too short for an answer: what was asked before is answered late, and what is asked now is next.
            tokio::time::sleep(slow / 2).await;
        }
        let probes = proxy.counts().reply_bytes;
        eventually(SOON, "some probes", || async { proxy.counts().reply_bytes > probes + 20 }).await;
    }
    let after = store.snapshot().await.unwrap();
    assert_eq!((after.epoch, after.members), (before.epoch, before.members));
}

#[tokio::test]
async fn a_zookeeper_that_restarts_disturbs_nothing() {
    let server = zookeeper().await;
    let (_ring, store, _servers, agents) = ring_at(url(&server.url("/ring")), 2).await;
    let before = store.snapshot().await.unwrap();
    server.restart_async().await.unwrap();
    let store = agents::store(&url(&server.url("/ring"))).await;
    for name in ["redis-0", "redis-1"] {
        until_live(&store, name, true).await;
    }
    let after = store.snapshot().await.unwrap();
    assert_eq!((after.epoch, after.members), (before.epoch, before.members));
    assert!(agents.iter().all(Running::is_running));
}

#[tokio::test]
async fn a_zookeeper_away_for_longer_than_the_sessions_disturbs_nothing_and_learns_what_happened() {
    let server = zookeeper().await;
    let ring = url(&server.url("/ring"));
    let servers = redis_servers(2).await;
    let store = agents::store(&ring).await;
    store.init(&Config::default(), 2).await.unwrap();
    let short = |n: usize| {
        let mut options = options(&ring, &format!("redis-{n}"), &servers[n]);
        options.membership.session_timeout = Duration::from_millis(400);
        Running::of(options)
    };
    let agents = [short(0), short(1)];
    founded(&store).await;
    let before = store.snapshot().await.unwrap();
    let session = MembershipOptions { session_timeout: Duration::from_millis(400), ..MembershipOptions::default() };
    let witness = redis_ring::membership::Store::open(&ring, &session).await.unwrap();
    server.kill();
    eventually(SOON, "the sessions to end", || async { witness.ended() }).await;
    servers[1].kill();
    server.restart_async().await.unwrap();
    let store = agents::store(&ring).await;
    until_live(&store, "redis-0", true).await;
    until(&store, "redis-1", |r| r.state() == State::Down && r.closed).await;
    until_live(&store, "redis-1", false).await;
    let after = store.snapshot().await.unwrap();
    assert_eq!(after.member(&id("redis-0")), before.member(&id("redis-0")), "nothing happened to it");
    // Its peer may have seen it first, and then its own agent only closed it.
    let changes = after.epoch.0 - before.epoch.0;
    assert!((1..=2).contains(&changes), "{changes} changes, and only redis-1 went down");
    assert!(agents.iter().all(Running::is_running));
}

#[tokio::test]
async fn a_peer_without_agent_is_down_only_when_it_does_not_answer() {
    let (_ring, store, servers, mut agents) = ring(4).await;
    // Its agent is gone, but its server answers: nothing changes.
    agents.remove(0).stop().await.unwrap();
    let connections = |n: usize| {
        let cmd = redis::cmd("INFO").arg("stats").clone();
        let server = &servers[n];
        async move {
            let info: String = agents::ask(server, &cmd).await;
            let count = info.lines().find_map(|l| l.strip_prefix("total_connections_received:")).unwrap().to_owned();
            count.parse::<u64>().unwrap()
        }
    };
    let before = (store.snapshot().await.unwrap().epoch, connections(0).await);
    // Each look is a connection, and so is each of ours.
    let mut asked = 0;
    loop {
        asked += 1;
        if connections(0).await >= before.1 + asked + 6 {
            break;
        }
        assert!(asked < 2000, "nobody looks after a peer whose agent is gone");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(store.snapshot().await.unwrap().epoch, before.0);

    servers[0].kill();
    let down = until(&store, "redis-0", |r| r.state() == State::Down).await;
    assert_eq!((down.closed, down.reason.as_deref()), (false, Some("its agent is gone, and it does not answer")));
}

#[tokio::test]
async fn a_member_that_is_gone_while_it_joins_keeps_nobody_from_coming_back() {
    for its_server_too in [true, false] {
        let ring = url(&shared_zookeeper().await.url(&unique_root()));
        let store = agents::store(&ring).await;
        // Two may be away and every range has an owner.
        store.init(&Config { copies: 3, ..Config::default() }, 5).await.unwrap();
        let servers = redis_servers(5).await;
        let started = servers.iter().enumerate().map(|(n, server)| start(&ring, &format!("redis-{n}"), server));
        let mut agents: Vec<Running> = started.collect();
        founded(&store).await;
        // Its agent goes once it joins, and never comes back.
        servers[1].kill();
        until(&store, "redis-1", |r| r.state() == State::Down).await;
        let straggler = straggler(&servers[0]).await;
        servers[1].restart_async().await.unwrap();
        until(&store, "redis-1", |r| r.state() == State::Joining).await;
        agents.remove(1).stop().await.unwrap();
        if its_server_too {
            servers[1].kill();
        }
        drop(straggler);
        let down = until(&store, "redis-1", |r| r.state() == State::Down).await;
        let reason = match its_server_too {
            true => "its agent is gone, and it does not answer",
            false => "its agent is gone while it was being filled",
        };
        assert_eq!((down.closed, down.reason.as_deref()), (false, Some(reason)));

        servers[3].restart_async().await.unwrap();
        until(&store, "redis-3", |r| r.state() == State::Up && r.generation > 1).await;
        founded(&store).await;
    }
}

#[tokio::test]
async fn a_member_that_joins_says_whom_its_barrier_waits_for() {
    let ring = url(&shared_zookeeper().await.url(&unique_root()));
    let store = agents::store(&ring).await;
    store.init(&Config::default(), 4).await.unwrap();
    let servers = redis_servers(4).await;
    // Only its own agent reaches it directly.
    let proxy = FaultProxy::start(servers[2].addr()).await;
    let announce = Some(format!("redis://{}", proxy.addr()).parse().unwrap());
    let _cut_off = Running::of(AgentOptions { announce, ..options(&ring, "redis-2", &servers[2]) });
    let _others = [0, 1, 3].map(|n| start(&ring, &format!("redis-{n}"), &servers[n]));
    founded(&store).await;
    proxy.set(Mode::Stall).await;
    servers[1].restart_async().await.unwrap();
    eventually(SOON, "it says so", || async {
        let live = store.live().await.unwrap().remove(&id("redis-1"));
        let sync = live.and_then(|live| live.record.ok()).and_then(|record| record.sync);
        sync.and_then(|sync| sync.trouble).is_some_and(|trouble| trouble.starts_with("waits for redis-2: "))
    })
    .await;
    proxy.set(Mode::Pass).await;
    until(&store, "redis-1", |r| r.state() == State::Up && r.generation > 1).await;
}

#[tokio::test]
async fn a_second_peer_is_not_fenced_while_one_is_down() {
    let ring = url(&shared_zookeeper().await.url(&unique_root()));
    let store = agents::store(&ring).await;
    store.init(&Config::default(), 4).await.unwrap();
    let servers = redis_servers(4).await;
    // Others reach this one by its proxy, which tells how often they tried.
    let proxy = FaultProxy::start(servers[1].addr()).await;
    let announce = Some(format!("redis://{}", proxy.addr()).parse().unwrap());
    let second = Running::of(AgentOptions { announce, ..options(&ring, "redis-1", &servers[1]) });
    let _others = [0, 2, 3].map(|n| start(&ring, &format!("redis-{n}"), &servers[n]));
    founded(&store).await;
    servers[0].kill();
    until(&store, "redis-0", |r| r.state() == State::Down).await;
    let before = store.snapshot().await.unwrap();

    second.stop().await.unwrap();
    let tried = proxy.counts().accepted;
    proxy.set(Mode::Stall).await;
    eventually(SOON, "looks at it", || async { proxy.counts().accepted >= tried + 12 }).await;
    let after = store.snapshot().await.unwrap();
    assert_eq!((after.epoch, after.members), (before.epoch, before.members));
    // Its own agent is bound by no guard.
    servers[1].kill();
    let mut own = options(&ring, "redis-1", &servers[1]);
    own.announce = Some(format!("redis://{}", proxy.addr()).parse().unwrap());
    let _own = Running::of(own);
    until(&store, "redis-1", |r| r.state() == State::Down && r.closed).await;
}

#[tokio::test]
async fn an_agent_that_is_cut_off_from_most_fences_nobody() {
    let ring = url(&shared_zookeeper().await.url(&unique_root()));
    let store = agents::store(&ring).await;
    store.init(&Config::default(), 4).await.unwrap();
    let servers = redis_servers(4).await;
    let mut proxies = Vec::new();
    let mut running = Vec::new();
    for (n, server) in servers.iter().enumerate() {
        // Others reach each server by its proxy, and its own agent directly.
        let proxy = FaultProxy::start(server.addr()).await;
        let announce = Some(format!("redis://{}", proxy.addr()).parse().unwrap());
        running.push(Running::of(AgentOptions { announce, ..options(&ring, &format!("redis-{n}"), server) }));
        proxies.push(proxy);
    }
    founded(&store).await;
    let before = store.snapshot().await.unwrap();
    for proxy in &proxies {
        proxy.set(Mode::Stall).await;
    }
    let tried = || proxies[1..].iter().map(|proxy| proxy.counts().accepted).sum::<u64>();
    let tried_before = tried();
    for agent in running.drain(1..) {
        agent.stop().await.unwrap();
    }
    // Two looks at a suspect and at the two others, several times over.
    eventually(SOON, "many attempts", || async { tried() > tried_before + 18 }).await;
    let after = store.snapshot().await.unwrap();
    assert_eq!((after.epoch, after.members), (before.epoch, before.members));
    // Cut off from one only, it fences that one.
    for proxy in &proxies[2..] {
        proxy.set(Mode::Pass).await;
    }
    until(&store, "redis-1", |r| r.state() == State::Down).await;
}
