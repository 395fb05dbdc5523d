//! What the command line says of a ring: healthy, degraded, being founded, unreadable, unreachable.
#![cfg(feature = "cli")]
#![cfg(test)]

mod agents;
mod command_line;
mod support;

use std::time::Duration;

use agents::{ask, start, store, until, url};
use command_line::{Ran, command, patient, run, run_command};
use redis_ring::local::RedisServer;
use redis_ring::placement::{Config, State};
use serde_json::{Value, json};
use support::{SOON, eventually, redis_servers, shared_zookeeper, unique_root};

async fn cli(ring: &str, arguments: &[&str]) -> Ran {
    run([&["--ring", ring], &patient(arguments)[..], arguments].concat()).await
}

/// A ring in which nobody watches any more: what happens to its servers stays unknown to ZooKeeper.
async fn unwatched(members: u32) -> (String, Vec<RedisServer>) {
    let (ring, _store, servers, agents) = agents::ring(members).await;
    for agent in agents {
        agent.stop().await.unwrap();
    }
    (ring.to_string(), servers)
}

fn fixed(servers: &[RedisServer]) -> String {
    let members: Vec<String> = servers.iter().enumerate().map(|(n, s)| format!("redis-{n}={}", s.addr())).collect();
    format!("static://{}", members.join(","))
}

#[tokio::test]
async fn status_of_a_healthy_ring_is_fine_and_keeps_its_contract() {
    let (ring, _store, servers, _agents) = agents::ring(4).await;
    let ring = ring.to_string();
    let _: () = ask(&servers[2], redis::cmd("SET").arg("here").arg("1")).await;

    let status = cli(&ring, &["status", "-o", "json"]).await.ends_with(0);
    assert_eq!(status.stderr, "");
    let status = status.json();
    let fields = "root ring epoch step phase fingerprint source age_ms move members";
    for field in fields.split(' ') {
        assert!(status.get(field).is_some(), "{field}: {status}");
    }
    let expected = json!(["crc32-mix64-v1", 4, 1, "still", "live", 0, null, false]);
    let found =
        ["ring", "epoch", "step", "phase", "source", "age_ms", "move", "degraded"].map(|name| status[name].clone());
    assert_eq!(json!(found), expected);
    assert_eq!(status["root"], json!(format!("/{}", ring.rsplit_once('/').unwrap().1)));
    assert_eq!(status["fingerprint"].as_str().unwrap().len(), 16);
    let members = status["members"].as_array().unwrap();
    let fields =
        "id addr zone weight state gen closed run_id since reason reachable share_primary share_all keys memory rtt_us";
    for member in members {
        for field in fields.split(' ') {
            assert!(member.get(field).is_some(), "{field}: {member}");
        }
        assert_eq!((&member["state"], &member["reachable"], &member["gen"]), (&json!("up"), &json!(true), &json!(1)));
        assert!(member["zone"].is_null() && member["weight"] == 100 && member["memory"].as_u64() > Some(100_000));
    }
    let sum = |field: &str| members.iter().map(|m| m[field].as_f64().unwrap()).sum::<f64>();
    assert!((sum("share_primary") - 1.0).abs() < 1e-9 && (sum("share_all") - 2.0).abs() < 1e-9);
    assert_eq!(members.iter().map(|m| m["keys"].as_u64().unwrap()).collect::<Vec<_>>(), [0, 0, 1, 0]);
    assert_eq!(members[2]["addr"], json!(format!("redis://{}", servers[2].addr())));
    assert_eq!(members[2]["run_id"], json!(agents::run_id(&servers[2]).await));

    let yaml: Value = serde_norway::from_str(&cli(&ring, &["status", "-o", "yaml"]).await.ends_with(0).stdout).unwrap();
    assert_eq!(yaml["fingerprint"], status["fingerprint"]);
    let table = cli(&ring, &["status"]).await.ends_with(0).stdout;
    assert!(table.contains("healthy: every key is on 2 members"), "{table}");
    let header = table.lines().find(|line| line.starts_with("STATE")).unwrap();
    assert!(["PRIMARY", "ALL", "KEYS", "RTT", "REASON"].iter().all(|column| header.contains(column)), "{header}");
    let wide = cli(&ring, &["-o", "wide", "status"]).await.ends_with(0).stdout;
    assert!(wide.contains("RUN-ID") && wide.contains("AGENT"), "{wide}");
}

#[tokio::test]
async fn status_says_who_is_down_and_what_that_costs() {
    let (ring, store, servers, _agents) = agents::ring(4).await;
    let ring = ring.to_string();
    servers[1].kill();
    until(&store, "redis-1", |record| record.state() == State::Down).await;

    let status = cli(&ring, &["status", "-o", "json"]).await.ends_with(1).json();
    let member = &status["members"][1];
    assert_eq!((&member["state"], &member["reachable"]), (&json!("down"), &json!(false)));
    assert!(member["reason"].is_string() && member["keys"].is_null() && member["rtt_us"].is_null(), "{member}");
    let reduced = status["coverage"]["reduced"].as_f64().unwrap();
    assert!((reduced - member["share_all"].as_f64().unwrap()).abs() < 1e-9, "all of its keys lost a copy: {status}");
    assert_eq!(status["coverage"]["unavailable"], json!(0.0));
    let table = cli(&ring, &["status"]).await.ends_with(1).stdout;
    assert!(table.contains("degraded: every key can be read and written"), "{table}");
    assert!(table.contains("- redis-1 is down: "), "{table}");
}

#[tokio::test]
async fn status_says_when_an_up_member_is_silent_dead_or_another_process() {
    let (ring, servers) = unwatched(4).await;
    servers[0].stop().unwrap();
    servers[1].stop().unwrap();
    servers[2].kill();
    servers[3].restart_async().await.unwrap();

    let began = cli(&ring, &["status", "-o", "json", "--member-timeout", "5s"]).await.ends_with(1);
    assert!(began.took < Duration::from_secs(10), "hung members are asked side by side: {:?}", began.took);
    let status = began.json();
    let of = |field: &str| status["members"].as_array().unwrap().iter().map(|m| m[field].clone()).collect::<Vec<_>>();
    assert_eq!(of("state"), [json!("up"), json!("up"), json!("up"), json!("up")]);
    assert_eq!(of("reachable"), [json!(false), json!(false), json!(false), json!(true)]);
    assert_eq!(of("same_process"), [Value::Null, Value::Null, Value::Null, json!(false)]);
    let problems = status["problems"].to_string();
    for says in ["did not answer within 5000 ms", "refused the connection", "another process answers"] {
        assert!(problems.contains(says), "{says}: {problems}");
    }
    let table = cli(&ring, &["status", "--member-timeout", "3s"]).await.ends_with(1).stdout;
    assert!(table.contains("up, unreachable") && table.contains("up, other process"), "{table}");
}

#[tokio::test]
async fn a_ring_that_is_being_founded_says_how_far_it_is() {
    let ring = shared_zookeeper().await.url(&unique_root());
    let servers = redis_servers(1).await;
    let store = store(&url(&ring)).await;
    store.init(&Config::default(), 4).await.unwrap();
    let empty = cli(&ring, &["status"]).await.ends_with(1).stdout;
    assert!(empty.contains("0 of 4 members registered"), "{empty}");

    let _agent = start(&url(&ring), "redis-0", &servers[0]);
    until(&store, "redis-0", |record| record.state() == State::Up).await;
    let table = cli(&ring, &["status"]).await.ends_with(1).stdout;
    assert!(table.contains("founding, 1 of 4 members registered") && table.contains("redis-0"), "{table}");
    let status = cli(&ring, &["status", "-o", "json"]).await.ends_with(1).json();
    assert_eq!(status["founding"], json!({ "registered": 1, "wanted": 4 }));
    assert_eq!(status["phase"], "founding");

    // It waits for the founding all that time.
    let error = cli(&ring, &["--timeout", "5s", "locate", "k", "-o", "json"]).await.ends_with(1).error();
    assert_eq!(error["kind"], "founding");
    assert!(error["error"].as_str().unwrap().contains("1 of 4 members registered"));
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_shown_and_takes_nobody_else_down() {
    let (ring, _servers) = unwatched(3).await;
    let root = format!("/{}", ring.rsplit_once('/').unwrap().1);
    let zk = zookeeper_client::Client::connector().with_session_timeout(SOON);
    let zk = zk.connect(&shared_zookeeper().await.addr()).await.unwrap();
    zk.set_data(&format!("{root}/members/redis-1"), b"{ not json", None).await.unwrap();

    let status = cli(&ring, &["status", "-o", "json"]).await.ends_with(1).json();
    assert_eq!(status["members"][1]["state"], "down");
    assert!(status["members"][1]["problem"].as_str().unwrap().contains("its record is not JSON"), "{status}");
    assert_eq!(status["members"][0]["reachable"], json!(true));
    assert_eq!(status["problems"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn without_zookeeper_or_a_ring_the_code_is_three_and_says_what_was_tried() {
    let ring = "zk://127.0.0.1:1,127.0.0.1:2/ring";
    for verb in [
        &["status"][..],
        &["ring"],
        &["locate", "k"],
        &["watch"],
        &["exec", "GET", "k"],
        &["init", "--members", "1", "--yes"],
    ] {
        let ran = cli(ring, &[&["--timeout", "300ms"], verb].concat()).await.ends_with(3);
        assert!(ran.stdout.is_empty() && ran.stderr.starts_with("error: ZooKeeper cannot be reached"), "{ran:?}");
        assert!(ran.stderr.contains("127.0.0.1:1") && ran.stderr.contains("127.0.0.1:2"), "{ran:?}");
        assert!(ran.stderr.contains("\nhint: "), "{ran:?}");
    }
    let error = cli(ring, &["--timeout", "300ms", "-o", "json", "status"]).await.ends_with(3).error();
    assert_eq!(error["kind"], "unreachable");

    let nothing = shared_zookeeper().await.url(&unique_root());
    let error = cli(&nothing, &["status", "-o", "json"]).await.ends_with(3).error();
    assert_eq!(error["kind"], "not_founded");
    assert!(error["hint"].as_str().unwrap().contains("init"));
}

#[tokio::test]
async fn usage_errors_end_with_two_and_never_repeat_a_password() {
    let none = run(["status", "-o", "json"]).await.ends_with(2).error();
    assert!(none["hint"].as_str().unwrap().contains("REDIS_RING_URL"));
    for arguments in
        ["", "nonsense", "locate", "exec", "status --member-timeout 0s", "status --watch=x", "init", "agent"]
    {
        let ran = run(arguments.split_whitespace()).await.ends_with(2);
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{ran:?}");
    }
    let error = run(["-o", "json", "nonsense"]).await.ends_with(2).error();
    assert_eq!(error["kind"], "usage");

    let secret = "zk://user:hunter2@127.0.0.1:1/r";
    let by_option = cli(secret, &["status"]).await.ends_with(2);
    let mut by_environment = command(["status"]);
    by_environment.env("REDIS_RING_URL", secret);
    let by_environment = run_command(by_environment).await.ends_with(2);
    let by_agent = cli("zk://127.0.0.1:1/r", &["agent", "--id", "a", "--redis", "redis://:hunter2@127.0.0.1:1"])
        .await
        .ends_with(2);
    for ran in [by_option, by_environment, by_agent] {
        assert!(!format!("{ran:?}").contains("hunter2"), "{ran:?}");
        assert!(ran.stderr.contains("credentials"), "{ran:?}");
    }
    let mut help = command(["status", "--help"]);
    help.env("REDIS_RING_URL", "zk://u:hunter2@h/r").env("REDIS_RING_PASSWORD", "hunter2");
    let help = run_command(help).await.ends_with(0);
    assert!(!help.stdout.contains("hunter2") && help.stderr.is_empty());
}

#[tokio::test]
async fn the_url_comes_from_the_environment_and_the_password_from_a_file_or_the_environment() {
    let server = support::redis_with(redis_ring::local::RedisOptions::new().password("hunter2")).await;
    let ring = fixed(std::slice::from_ref(&server));
    let ask = |prepare: &dyn Fn(&mut std::process::Command)| {
        let mut command = command(["status", "-o", "json"]);
        prepare(command.args(patient(&[])).env("REDIS_RING_URL", &ring));
        run_command(command)
    };
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, "hunter2\n").unwrap();

    let without = ask(&|_| {}).await.ends_with(1);
    assert!(without.json()["members"][0]["problem"].as_str().unwrap().contains("denied access"), "{without:?}");
    // One member cannot hold two copies, which is why this is not 0.
    for prepared in [
        ask(&|c| {
            c.env("REDIS_RING_PASSWORD", "hunter2");
        })
        .await,
        ask(&|c| {
            c.arg("--password-file").arg(&file);
        })
        .await,
        ask(&|c| {
            c.args(["--user", "default"]).env("REDIS_RING_PASSWORD_FILE", &file);
        })
        .await,
    ] {
        assert_eq!(prepared.json()["members"][0]["reachable"], json!(true), "{prepared:?}");
    }
    let no_password = ask(&|c| {
        c.args(["--user", "default"]);
    })
    .await
    .ends_with(2);
    assert!(no_password.error()["error"].as_str().unwrap().contains("--user has no password"));
    let mut exec = command(["exec", "GET", "k"]);
    exec.args(patient(&[])).env("REDIS_RING_URL", &ring);
    let denied = run_command(exec).await.ends_with(3);
    assert!(denied.stderr.contains("--password-file"), "{denied:?}");
}

#[tokio::test]
async fn output_that_is_piped_has_no_colours_and_a_closed_pipe_ends_quietly() {
    let servers = redis_servers(2).await;
    let ring = fixed(&servers);
    for verb in [&["status"][..], &["ring"], &["locate", "k", "--probe"], &["exec", "GET", "k"]] {
        let plain = cli(&ring, verb).await.ends_with(0);
        assert!(!format!("{}{}", plain.stdout, plain.stderr).contains('\x1b'), "{plain:?}");
    }
    let coloured = cli(&ring, &["status", "--color", "always"]).await.ends_with(0);
    assert!(coloured.stdout.contains("\x1b["), "{coloured:?}");

    // More than fits into a pipe.
    let large = format!("{ring}?vnodes=16384");
    let mut early = command(["--ring", &large, "ring", "--ranges"]);
    let mut child = early.spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut first = [0; 16];
    std::io::Read::read_exact(&mut stdout, &mut first).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[tokio::test]
async fn a_server_that_comes_back_is_shown_until_it_is_whole() {
    let (ring, store, servers, _agents) = agents::ring(3).await;
    let ring = ring.to_string();
    servers[0].kill();
    until(&store, "redis-0", |record| record.state() == State::Down).await;
    let status = cli(&ring, &["status", "-o", "json"]).await.ends_with(1).json();
    assert_eq!((&status["members"][0]["state"], &status["members"][0]["gen"]), (&json!("down"), &json!(1)));
    servers[0].restart_async().await.unwrap();
    eventually(SOON, "the ring to be whole", || async { cli(&ring, &["status"]).await.code == 0 }).await;
    let status = cli(&ring, &["status", "-o", "json"]).await.ends_with(0).json();
    let member = &status["members"][0];
    assert_eq!((&member["state"], &member["reachable"]), (&json!("up"), &json!(true)));
    assert!(member["gen"].as_u64() >= Some(2), "{member}");
    assert_eq!(member["same_process"], json!(true));
    assert!(member["reason"].as_str().unwrap().contains("filled from the other copies"), "{member}");
}
