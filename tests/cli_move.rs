//! What the command line shows of a move of the ring, whoever makes it: here the records are written by hand.
#![cfg(feature = "cli")]
#![cfg(test)]

mod agents;
mod command_line;
mod support;

use agents::id;
use command_line::{Ran, Running, patient, run};
use redis_ring::local::{RedisServer, Signal};
use redis_ring::membership::records::{LiveRecord, MemberRecord, RingRecord};
use redis_ring::membership::{Change, Store};
use serde_json::{Value, json};
use support::{redis_servers, shared_zookeeper};

async fn cli(ring: &str, arguments: &[&str]) -> Ran {
    run([&["--ring", ring], &patient(arguments)[..], arguments].concat()).await
}

/// A founded ring in which nobody changes anything but the test.
struct Hand {
    ring: String,
    store: Store,
    _servers: Vec<RedisServer>,
}

impl Hand {
    async fn start(members: u32) -> Hand {
        let (ring, store, servers, agents) = agents::ring(members).await;
        for agent in agents {
            agent.stop().await.unwrap();
        }
        // None waits long for its session to end, and with it what it holds.
        for n in 0..members {
            agents::until_live(&store, &format!("redis-{n}"), false).await;
        }
        Hand { ring: ring.to_string(), store, _servers: servers }
    }

    /// Changes the ring and one member's record, as one.
    async fn change(&self, name: &str, ring: impl Fn(&mut RingRecord), member: impl Fn(&mut MemberRecord)) {
        let change = self.store.change(|snapshot| {
            let mut change = Change::of(snapshot);
            ring(change.ring());
            let mut record = snapshot.member(&id(name)).expect("a record").clone();
            member(&mut record);
            change.put(&id(name), record);
            Ok(Some(change))
        });
        change.await.unwrap();
    }

    async fn phase(&self, phase: &str, name: &str, member: impl Fn(&mut MemberRecord)) {
        let turn = |ring: &mut RingRecord| {
            ring.step += 1;
            ring.phase = phase.to_owned();
            let moving = ["filling", "syncing"].contains(&phase);
            ring.next = if moving { ring.serving.clone() } else { Default::default() };
            ring.old = if phase == "retiring" { ring.serving.clone() } else { Default::default() };
        };
        self.change(name, turn, member).await;
    }

    /// What a member's agent says of its filling.
    async fn says(&self, name: &str, sync: Value) {
        let record = json!({"v": 1, "run_id": "r", "agent": "here:1 0", "sync": sync}).to_string();
        let record = LiveRecord::parse(record.as_bytes()).unwrap();
        match self.store.live_of(&id(name)).await.unwrap() {
            Some(seen) => self.store.rewrite(&id(name), &seen, &record).await.unwrap(),
            None => self.store.hold(&id(name), &record).await.unwrap(),
        }
    }

    /// Names who leads.
    async fn lead(&self, name: &str) {
        let root = format!("/{}", self.ring.rsplit_once('/').unwrap().1);
        let zk = zookeeper_client::Client::connect(&shared_zookeeper().await.addr()).await.unwrap();
        let data = json!({"v": 1, "id": name, "agent": "here:1 0"}).to_string();
        let options = zookeeper_client::CreateMode::Persistent.with_acls(zookeeper_client::Acls::anyone_all());
        zk.create(&format!("{root}/lead"), data.as_bytes(), &options).await.unwrap();
    }

    async fn status(&self) -> Value {
        cli(&self.ring, &["status", "-o", "json"]).await.ends_with(1).json()
    }
}

fn down(record: &mut MemberRecord) {
    record.state = "down".to_owned();
    record.reason = Some("it missed a write".to_owned());
    record.by = Some("orders-7".to_owned());
}

fn joining(record: &mut MemberRecord) {
    (record.state, record.generation, record.closed) = ("joining".to_owned(), 4, false);
}

fn up(record: &mut MemberRecord) {
    record.state = "up".to_owned();
}

fn untouched(_: &mut MemberRecord) {}

#[tokio::test]
async fn status_shows_how_far_each_member_is_that_is_filled() {
    let hand = Hand::start(3).await;
    hand.change("redis-1", |_| {}, down).await;
    assert_eq!(hand.status().await["move"], Value::Null);
    hand.phase("filling", "redis-2", joining).await;
    let nothing = hand.status().await;
    assert_eq!((&nothing["move"]["done"], &nothing["members"][2]["filled"]), (&json!(0), &json!(0.0)), "{nothing}");

    hand.says("redis-2", json!({"step": 2, "gen": 4, "done": 12_000, "total": 50_000, "bytes": 4096, "rate": 700}))
        .await;
    hand.lead("redis-0").await;
    let status = hand.status().await;
    let expected = json!({
        "done": 12_000, "total": 50_000, "bytes": 4096, "rate": 700, "step": 2, "phase": "filling", "leader": "redis-0",
        "members": [{"id": "redis-2", "done": 12_000, "total": 50_000, "bytes": 4096, "rate": 700, "caught_up": false,
            "cuts": [], "trouble": null}],
    });
    assert_eq!(status["move"], expected);
    assert_eq!(status["members"][2]["filled"], json!(0.24));
    let table = cli(&hand.ring, &["status"]).await.ends_with(1).stdout;
    for says in [
        "filling (step 2, ",
        "MOVE         12,000 of 50,000 keys, 4.0 KiB, 700 keys/s, led by redis-0",
        "joining 24 %",
        "redis-2 is joining, not read yet: 24.0% of its keys are copied",
        "redis-1 is down: it missed a write",
    ] {
        assert!(table.contains(says), "{says}: {table}");
    }

    hand.change("redis-1", |_| {}, |record| record.closed = true).await;
    hand.phase("syncing", "redis-2", untouched).await;
    hand.says(
        "redis-2",
        json!({"step": 3, "gen": 4, "done": 50_000, "total": 50_000, "caught_up": true, "cuts": ["redis-0"],
        "trouble": "its server is out of memory"}),
    )
    .await;
    let table = cli(&hand.ring, &["status"]).await.ends_with(1).stdout;
    for says in [
        "50,000 of 50,000 keys, caught up, 1 cut made",
        "joining 100 %",
        "down, closed",
        "redis-2 cannot be filled: its server is out of memory",
    ] {
        assert!(table.contains(says), "{says}: {table}");
    }
    // A key's gainers show with its other owners.
    let located = cli(&hand.ring, &["locate", "k", "--probe", "-o", "json"]).await.ends_with(1).json();
    assert!(located[0]["gainers"].is_array(), "{located}");

    hand.phase("retiring", "redis-2", up).await;
    hand.change("redis-1", |_| {}, up).await;
    let status = cli(&hand.ring, &["status", "-o", "json"]).await.ends_with(0).json();
    assert_eq!((&status["phase"], &status["move"]["done"]), (&json!("retiring"), &json!(50_000)), "{status}");
    hand.phase("still", "redis-2", untouched).await;
    let status = cli(&hand.ring, &["status", "-o", "json"]).await.ends_with(0).json();
    assert_eq!((&status["move"], &status["members"][2]["filled"]), (&Value::Null, &Value::Null));
}

#[tokio::test]
async fn watch_tells_a_return_from_the_fence_to_the_whole_ring() {
    let hand = Hand::start(3).await;
    let watch = |more: &[&'static str]| Running::start([&["--ring", &hand.ring], &patient(&[])[..], more].concat());
    let (mut lines, mut objects) = (watch(&["watch"]), watch(&["-o", "json", "watch"]));
    let of = |line: String| -> Value { serde_json::from_str(&line).unwrap() };
    lines.line_with(&["redis-2", "up"]).await;
    objects.line_with(&["\"redis-2\"", "\"up\""]).await;

    hand.change("redis-2", |_| {}, down).await;
    lines.line_with(&["redis-2 ", "up → down", "it missed a write", "(by orders-7)"]).await;
    hand.change("redis-2", |_| {}, |record| record.closed = true).await;
    lines.line_with(&["redis-2 ", "closed"]).await;
    hand.change("redis-2", |_| {}, joining).await;
    lines.line_with(&["redis-2 ", "down → joining"]).await;
    lines.line_with(&["redis-2 generation", " → 4 ("]).await;

    hand.says("redis-2", json!({"step": 2, "gen": 4, "done": 1000, "total": 5000})).await;
    hand.phase("filling", "redis-2", untouched).await;
    lines.line_with(&["phase", "still (step 1) → filling (step 2)"]).await;
    lines.line_with(&["redis-2 ", "filling: 1,000 of 5,000 keys"]).await;
    hand.says("redis-2", json!({"step": 2, "gen": 4, "done": 5000, "total": 5000, "caught_up": true})).await;
    lines.line_with(&["redis-2 ", "filling: 5,000 of 5,000 keys, caught up"]).await;
    let told = of(objects.line_with(&["\"progress\"", "\"caught_up\":true"]).await);
    assert_eq!(
        (&told["what"], &told["id"], &told["progress"]["done"]),
        (&json!("progress"), &json!("redis-2"), &json!(5000))
    );
    hand.phase("syncing", "redis-2", untouched).await;
    lines.line_with(&["phase", "→ syncing (step 3)"]).await;
    hand.says(
        "redis-2",
        json!({"step": 3, "gen": 4, "done": 5000, "total": 5000, "caught_up": true, "cuts": ["redis-0"]}),
    )
    .await;
    lines.line_with(&["redis-2 ", "syncing: 5,000 of 5,000 keys, cut at redis-0"]).await;

    hand.phase("retiring", "redis-2", up).await;
    lines.line_with(&["phase", "→ retiring (step 4)"]).await;
    lines.line_with(&["redis-2 ", "flipped: up again"]).await;
    assert_eq!(of(objects.line_with(&["\"flip\""]).await)["id"], "redis-2");
    hand.phase("still", "redis-2", untouched).await;
    lines.line_with(&["whole", "again after ", " s"]).await;
    let whole = of(objects.line_with(&["\"whole\""]).await);
    assert!(whole["after_ms"].is_u64() && whole["id"].is_null(), "{whole}");
    assert_eq!(lines.end_by(Signal::INT).await.code(), Some(0));
    assert_eq!(objects.end_by(Signal::INT).await.code(), Some(0));
}

/// Fixed rings have no moves, and no session with ZooKeeper to ask for them.
#[tokio::test]
async fn a_fixed_ring_shows_no_move() {
    let servers = redis_servers(2).await;
    let ring = format!("static://a={},b={}", servers[0].addr(), servers[1].addr());
    let status = cli(&ring, &["status", "-o", "json"]).await.ends_with(0).json();
    assert_eq!((&status["move"], &status["members"][0]["filled"]), (&Value::Null, &Value::Null));
    assert!(!cli(&ring, &["status"]).await.ends_with(0).stdout.contains("MOVE"));
    let located = cli(&ring, &["locate", "k", "-o", "json"]).await.ends_with(0).json();
    assert_eq!(located[0]["gainers"], json!([]));
}
