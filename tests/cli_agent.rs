//! What runs on: `init` and `agent` as processes, `watch`, and `status --watch`.
#![cfg(feature = "cli")]
#![cfg(test)]

mod agents;
mod command_line;
mod support;

use std::process::Command;

use agents::{founded, store, until, until_live, url};
use command_line::{Ran, Running, command, patient, run};
use redis_ring::agent::AgentOptions;
use redis_ring::local::{RedisOptions, RedisServer, Signal};
use redis_ring::membership::records::PlacedRecord;
use redis_ring::placement::State;
use serde_json::{Value, json};
use support::{
    FaultProxy, Mode, SOON, eventually, redis_servers, redis_with, shared_zookeeper, unique_root, zookeeper,
};

async fn cli(ring: &str, arguments: &[&str]) -> Ran {
    run([&["--ring", ring], &patient(arguments)[..], arguments].concat()).await
}

async fn new_root() -> String {
    shared_zookeeper().await.url(&unique_root())
}

fn agent(ring: &str, id: &str, server: &RedisServer, more: &[&str]) -> Command {
    let redis = format!("redis://{}", server.addr());
    command([&["--ring", ring, "agent", "--id", id, "--redis", &redis], more].concat())
}

#[tokio::test]
async fn init_shows_its_plan_and_changes_nothing_unasked() {
    let ring = new_root().await;
    let asked = cli(&ring, &["init", "--members", "2"]).await.ends_with(2);
    assert!(asked.stderr.contains("standard input is no terminal") && asked.stderr.contains("--yes"), "{asked:?}");
    let plan = cli(&ring, &["init", "--members", "2", "--copies", "3", "--dry-run"]).await.ends_with(0);
    assert!(
        plan.stdout.contains("3 of each key") && plan.stdout.contains("2 members cannot hold 3 copies"),
        "{plan:?}"
    );
    let plan = cli(&ring, &["init", "--members", "2", "--dry-run", "-o", "json"]).await.ends_with(0).json();
    assert_eq!((&plan["result"], &plan["replace_after_ms"]), (&json!("dry-run"), &json!(30_000)));
    assert_eq!(cli(&ring, &["status", "-o", "json"]).await.ends_with(3).error()["kind"], "not_founded");

    let options =
        "init --members 2 --yes --vnodes 64 --copies 1 --db 3 --cache --replace-after 1m --fence-wait 1s -o json";
    let created = cli(&ring, &options.split(' ').collect::<Vec<_>>()).await.ends_with(0).json();
    assert_eq!(created["result"], "created");
    let config = store(&url(&ring)).await.snapshot().await.unwrap().config;
    assert_eq!((config.vnodes, config.copies, config.db, config.cache), (64, 1, 3, true));
    assert_eq!((config.replace_after_ms, config.fence_wait_ms), (60_000, 1_000));
}

#[tokio::test]
async fn init_refuses_a_ring_that_is_there_unless_it_is_the_one_meant() {
    let ring = new_root().await;
    let init = async |more: &[&str]| cli(&ring, &[&["-o", "json", "init", "--yes"], more].concat()).await;
    init(&["--members", "2", "--if-absent"]).await.ends_with(0);
    let error = init(&["--members", "2"]).await.ends_with(1).error();
    assert_eq!(error["kind"], "conflict");
    assert!(error["error"].as_str().unwrap().contains("being founded, 0 of 2 members registered"), "{error}");
    assert_eq!(init(&["--members", "2", "--if-absent"]).await.ends_with(0).json()["result"], "existed");
    for other in [&["--members", "3"][..], &["--members", "2", "--vnodes", "64"]] {
        let error = init(&[other, &["--if-absent"]].concat()).await.ends_with(1).error();
        assert!(error["error"].as_str().unwrap().contains("it differs"), "{error}");
    }
    let fixed = cli("static://a=127.0.0.1:1", &["init", "--members", "1", "--yes"]).await.ends_with(2);
    assert!(fixed.stderr.contains("needs no founding"), "{fixed:?}");
}

#[tokio::test]
async fn unfence_takes_what_a_member_has_where_nobody_has_more() {
    let (ring, store, servers, _agents) = agents::ring(2).await;
    let ring = ring.to_string();
    let unfence = async |more: &[&str]| {
        cli(&ring, &[&["-o", "json", "unfence", "redis-0", "--accept-loss"], more].concat()).await
    };
    assert_eq!(cli(&ring, &["unfence", "redis-0", "--yes"]).await.code, 2, "the loss has to be named");
    let up = unfence(&["--yes"]).await.ends_with(2).error();
    assert!(up["error"].as_str().unwrap().contains("is up: there is nothing to accept"), "{up}");
    // It goes last, and has lost everything when it is back; the other one stays away.
    for (n, name) in [(1, "redis-1"), (0, "redis-0")] {
        servers[n].kill();
        until(&store, name, |record| record.state() == State::Down).await;
    }
    until_live(&store, "redis-0", false).await;
    let gone = unfence(&["--yes"]).await.ends_with(2).error();
    assert!(gone["error"].as_str().unwrap().contains("is not there"), "{gone}");
    servers[0].restart_async().await.unwrap();
    let waits = |record: &redis_ring::membership::records::MemberRecord| {
        record.reason.as_ref().is_some_and(|reason| reason.starts_with("nobody has all of "))
    };
    until(&store, "redis-0", waits).await;
    assert!(unfence(&[]).await.ends_with(2).error()["error"].as_str().unwrap().contains("nobody to ask"));
    let plan = unfence(&["--dry-run"]).await.ends_with(0).json();
    assert_eq!((&plan["result"], &plan["last_up"]), (&json!("dry-run"), &json!("redis-0")));
    assert!(plan["ranges"].as_u64().unwrap() > 0);
    let record = store.snapshot().await.unwrap();
    assert_eq!(record.member(&redis_ring::placement::NodeId::new("redis-0").unwrap()).unwrap().accepted, None);

    assert_eq!(unfence(&["--yes"]).await.ends_with(0).json()["result"], "accepted");
    let back = until(&store, "redis-0", |record| record.state() == State::Up).await;
    assert_eq!((back.generation, back.accepted, back.left, back.intact), (2, None, None, false));
    // The other one has nothing that counts any more, and is filled.
    servers[1].restart_async().await.unwrap();
    until(&store, "redis-1", |record| record.state() == State::Up && record.generation > 1).await;
}

#[tokio::test]
async fn agents_found_the_ring_and_end_cleanly_by_a_signal() {
    let ring = new_root().await;
    let servers = redis_servers(2).await;
    cli(&ring, &["init", "--members", "2", "--yes"]).await.ends_with(0);
    let mut first = Running::of(agent(&ring, "redis-0", &servers[0], &["--zone", "a", "--weight", "200"]));
    let mut second = Running::of(agent(&ring, "redis-1", &servers[1], &["--zone", "b", "--log-format", "json"]));
    let store = store(&url(&ring)).await;
    founded(&store).await;
    let serving = store.snapshot().await.unwrap().ring.serving;
    let place = |weight, zone: &str| PlacedRecord { weight, zone: Some(zone.to_owned()), rest: serde_json::Map::new() };
    assert_eq!((&serving["redis-0"], &serving["redis-1"]), (&place(200, "a"), &place(100, "b")));

    let line = second.error_with(&["registered"]).await;
    let line: Value = serde_json::from_str(&line).expect("a JSON object a line");
    assert_eq!((&line["level"], &line["member"]), (&json!("INFO"), &json!("redis-1")));
    let text = first.error_with(&["registered"]).await;
    assert!(text.contains(" INFO ") && !text.contains('\x1b'), "{text}");

    let status = cli(&ring, &["status", "-o", "json"]).await.ends_with(0).json();
    assert_eq!(status["members"][0]["zone"], "a");
    assert!(status["members"][0]["agent"].as_str().unwrap().ends_with(env!("CARGO_PKG_VERSION")));
    assert_eq!(first.end_by(Signal::TERM).await.code(), Some(0));
    assert!(!store.live().await.unwrap().contains_key(&agents::id("redis-0")), "its node is gone when it has ended");
    assert_eq!(second.end_by(Signal::INT).await.code(), Some(0));
    until_live(&store, "redis-1", false).await;
    until(&store, "redis-1", |record| record.state() == State::Up).await;
    let table = cli(&ring, &["status"]).await.ends_with(0).stdout;
    assert!(table.contains("note: redis-1 has no agent"), "{table}");
}

#[tokio::test]
async fn an_agent_that_cannot_work_says_why() {
    let ring = new_root().await;
    let secret = redis_with(RedisOptions::new().password("hunter2")).await;
    let none = cli(&ring, &["agent", "--id", "a", "-o", "json"]).await.ends_with(3);
    assert!(none.stderr.lines().last().unwrap().contains("not_founded"), "{none:?}");
    cli(&ring, &["init", "--members", "1", "--yes"]).await.ends_with(0);
    let bad = [
        (&["--id", "a b"][..], "invalid value"),
        (&["--id", "a", "--redis", "127.0.0.1:1"], "redis://"),
        (&["--id", "a", "--announce", "nonsense"], "--announce"),
        (&["--id", "a", "--weight", "x"], "invalid value"),
    ];
    for (arguments, says) in bad {
        let ran = cli(&ring, &[&["agent"], arguments].concat()).await.ends_with(2);
        assert!(ran.stderr.contains(says), "{ran:?}");
    }
    let fixed = cli("static://a=127.0.0.1:1", &["agent", "--id", "a"]).await.ends_with(2);
    assert!(fixed.stderr.contains("static://"), "{fixed:?}");
    let denied = Running::of(agent(&ring, "redis-0", &secret, &[]));
    assert_eq!(denied.ended().await.code(), Some(3));
    let mut allowed = agent(&ring, "redis-0", &secret, &[]);
    allowed.env("REDIS_RING_PASSWORD", "hunter2");
    let _allowed = Running::of(allowed);
    founded(&store(&url(&ring)).await).await;
    let duplicate = command_line::run_command({
        let mut again = agent(&ring, "redis-0", &secret, &[]);
        again.env("REDIS_RING_PASSWORD", "hunter2");
        again
    });
    let duplicate = duplicate.await.ends_with(2);
    assert!(duplicate.stderr.contains("another agent serves redis-0"), "{duplicate:?}");
    assert!(!duplicate.stderr.contains("hunter2"), "{duplicate:?}");
}

#[tokio::test]
async fn watch_tells_each_change_with_its_reason_and_ends_with_zero() {
    let ring = new_root().await;
    let servers = redis_servers(2).await;
    cli(&ring, &["init", "--members", "2", "--yes"]).await.ends_with(0);
    let mut lines = Running::start(["--ring", &ring, "--timeout", "3s", "watch"]);
    lines.line_with(&["founding", "0 of 2 members registered"]).await;
    // Others reach this one by its proxy.
    let proxy = FaultProxy::start(servers[0].addr()).await;
    let announce = Some(format!("redis://{}", proxy.addr()).parse().unwrap());
    let first = AgentOptions { announce, ..agents::options(&url(&ring), "redis-0", &servers[0]) };
    let _agents = [agents::Running::of(first), agents::start(&url(&ring), "redis-1", &servers[1])];
    lines.line_with(&["redis-1", "up"]).await;
    let mut objects = Running::start(["--ring", &ring, "-o", "json", "watch"]);
    objects.line_with(&["\"redis-1\"", "\"to\":\"up\""]).await;

    servers[1].kill();
    let line = lines.line_with(&["redis-1", "up → down", "(by agent "]).await;
    assert!(line.contains("epoch 3") && line.starts_with("20"), "{line}");
    let event: Value = serde_json::from_str(&objects.line_with(&["\"down\""]).await).unwrap();
    let fields: Vec<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["at_ms", "epoch", "what", "id", "from", "to", "reason", "by"]);
    assert_eq!(json!([event["what"], event["id"], event["from"]]), json!(["member", "redis-1", "up"]));
    assert!(event["reason"].is_string() && event["by"].is_string(), "{event}");

    // Changes in quick succession may be seen as one, so nothing goes on before the first ones have been seen.
    proxy.set(Mode::Stall).await;
    servers[1].restart_async().await.unwrap();
    let joining = ["redis-1", "down → joining"];
    let generation = ["redis-1 generation", "1 (run_id ", " → 2 (run_id "];
    let mut awaited: Vec<&[&str]> = vec![&joining, &generation, &["phase", "filling"]];
    while !awaited.is_empty() {
        let line = lines.line_with(&[]).await;
        awaited.retain(|parts| !parts.iter().all(|part| line.contains(part)));
    }
    proxy.set(Mode::Pass).await;
    lines.line_with(&["redis-1 ", "flipped: up again"]).await;
    lines.line_with(&["whole", "again after "]).await;
    assert_eq!(lines.end_by(Signal::INT).await.code(), Some(0));
    assert_eq!(objects.end_by(Signal::INT).await.code(), Some(0));
}

#[tokio::test]
async fn what_is_watched_goes_stale_without_zookeeper_and_live_again_with_it() {
    let keeper = zookeeper().await;
    let (ring, _store, servers, _agents) = agents::ring_at(url(&keeper.url("/ring")), 2).await;
    let ring = ring.to_string();
    let mut watch = Running::start(["--ring", &ring, "watch"]);
    watch.line_with(&["redis-1", "up"]).await;
    let mut status = Running::start(["--ring", &ring, "-o", "json", "status", "--watch", "--interval", "100ms"]);
    status.line_with(&["\"source\":\"live\""]).await;

    keeper.kill();
    watch.line_with(&["source", "live → stale"]).await;
    let stale: Value = serde_json::from_str(&status.line_with(&["\"source\":\"stale\""]).await).unwrap();
    assert_eq!(stale["members"][1]["state"], "up");
    servers[1].kill();
    // The members are still asked.
    let asked: Value = serde_json::from_str(&status.line_with(&["refused the connection"]).await).unwrap();
    assert_eq!((&asked["source"], &asked["members"][1]["reachable"]), (&json!("stale"), &json!(false)));
    assert!(asked["age_ms"].as_u64() > Some(0));

    keeper.restart_async().await.unwrap();
    watch.line_with(&["source", "stale → live"]).await;
    status.line_with(&["\"source\":\"live\"", "\"state\":\"down\""]).await;
    assert_eq!(status.end_by(Signal::INT).await.code(), Some(0));
    eventually(SOON, "status to see the death", || async { cli(&ring, &["status"]).await.code == 1 }).await;
}
