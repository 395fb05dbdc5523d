//! Where keys are: `ring`, `locate`, and `exec` compared with the real redis-cli.
#![cfg(feature = "cli")]
#![cfg(test)]

mod agents;
mod command_line;
mod support;

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use agents::{ask, until};
use command_line::{Ran, command, patient, run, run_command};
use redis_ring::local::{RedisOptions, RedisServer};
use redis_ring::placement::State;
use serde_json::{Value, json};
use support::{redis, redis_servers, redis_with};

async fn cli(ring: &str, arguments: &[&str]) -> Ran {
    run([&["--ring", ring], &patient(arguments)[..], arguments].concat()).await
}

fn fixed(servers: &[RedisServer]) -> String {
    let members: Vec<String> = servers.iter().enumerate().map(|(n, s)| format!("redis-{n}={}", s.addr())).collect();
    format!("static://{}", members.join(","))
}

/// Sends words to one server directly.
async fn direct(server: &RedisServer, words: &str) -> redis::Value {
    let mut cmd = redis::Cmd::new();
    words.split(' ').for_each(|word| {
        cmd.arg(word);
    });
    ask(server, &cmd).await
}

const NOBODY: &str = "static://redis-0=127.0.0.1:1,redis-1=127.0.0.1:1,redis-2=127.0.0.1:1,redis-3=127.0.0.1:1";

#[tokio::test]
async fn locate_follows_the_wire_contract_and_asks_nobody() {
    let keys = ["user:1", "{user1000}.following"];
    let located = cli(NOBODY, &[&["locate", "-o", "json"], &keys[..]].concat()).await.ends_with(0).json();
    let expected = json!({
        "key": "user:1", "tag": "user:1", "crc32": 2_074_460_802_u32, "token": 167_021_740,
        "owners": ["redis-1", "redis-3"], "reads": ["redis-1", "redis-3"], "writes": ["redis-1", "redis-3"], "gainers": [],
    });
    assert_eq!(located[0], expected);
    assert_eq!((&located[1]["tag"], &located[1]["token"]), (&json!("user1000"), &json!(3_252_212_200_u32)));

    let bytes = OsString::from_vec(b"\xff\x01".to_vec());
    let mut command = command(["--ring", NOBODY, "-o", "json", "locate"]);
    command.arg(bytes);
    let located = run_command(command).await.ends_with(0).json();
    assert_eq!(located[0]["key"], json!({ "base64": "/wE=" }));
    let table = cli(NOBODY, &["locate", "a b"]).await.ends_with(0).stdout;
    assert!(table.starts_with("KEY") && table.contains("\"a b\""), "{table}");
}

#[tokio::test]
async fn a_key_without_an_owner_that_is_up_ends_with_one() {
    let (ring, store, servers, _agents) = agents::ring(2).await;
    for (n, server) in servers.iter().enumerate() {
        server.kill();
        until(&store, &format!("redis-{n}"), |record| record.state() == State::Down).await;
    }
    let located = cli(&ring.to_string(), &["locate", "k", "-o", "json"]).await.ends_with(1).json();
    assert_eq!((&located[0]["reads"], &located[0]["writes"]), (&json!([]), &json!([])));
    assert_eq!(located[0]["owners"].as_array().unwrap().len(), 2);
    let exec = cli(&ring.to_string(), &["--member-timeout", "1s", "exec", "GET", "k"]).await;
    assert_eq!(exec.code, 1, "no owner is up: {exec:?}");
}

#[tokio::test]
async fn probe_finds_copies_that_differ_in_content_expiry_or_presence() {
    let servers = redis_servers(2).await;
    let ring = fixed(&servers);
    cli(&ring, &["exec", "SET", "k", "v", "EX", "1000"]).await.ends_with(0);
    let probed = cli(&ring, &["locate", "--probe", "k", "-o", "json"]).await.ends_with(0).json();
    let copies = probed[0]["copies"].as_array().unwrap();
    assert_eq!((copies.len(), &probed[0]["same"]), (2, &json!(true)));
    for copy in copies {
        assert_eq!((&copy["exists"], &copy["type"]), (&json!(true), &json!("string")));
        assert!((900_000..=1_000_000).contains(&copy["ttl_ms"].as_u64().unwrap()), "{copy}");
        assert_eq!((&copy["digest"], &copy["expires_at_ms"]), (&copies[0]["digest"], &copies[0]["expires_at_ms"]));
        assert_eq!(copy["digest"].as_str().unwrap().len(), 16);
    }

    for (words, how) in [("PEXPIRE k 500000", "expiry"), ("SET k other PXAT", "content"), ("DEL k", "presence")] {
        let words = match words.strip_suffix(" PXAT") {
            Some(set) => format!("{set} PXAT {}", copies[0]["expires_at_ms"]),
            None => words.to_owned(),
        };
        direct(&servers[1], &words).await;
        let probed = cli(&ring, &["locate", "--probe", "k", "-o", "json"]).await.ends_with(1).json();
        assert_eq!(probed[0]["same"], json!(false), "{how}");
    }
    let table = cli(&ring, &["locate", "--probe", "k"]).await.ends_with(1).stdout;
    assert!(table.contains("no such key") && table.contains("differ"), "{table}");

    servers[1].kill();
    let probed = cli(&ring, &["locate", "--probe", "k", "-o", "json"]).await.ends_with(1).json();
    let gone = probed[0]["copies"].as_array().unwrap().iter().find(|copy| copy["id"] == "redis-1").unwrap();
    assert_eq!((&gone["exists"], &gone["problem"]), (&Value::Null, &json!("refused the connection")));
}

#[tokio::test]
async fn probe_knows_equal_content_of_every_type_whatever_its_encoding() {
    // The second server never uses the compact encodings.
    let plain = RedisOptions::new()
        .set("hash-max-listpack-entries", "0")
        .set("zset-max-listpack-entries", "0")
        .set("set-max-intset-entries", "0")
        .set("list-max-listpack-size", "1")
        .set("stream-node-max-entries", "1");
    let servers = [redis().await, redis_with(plain).await];
    let ring = fixed(&servers);
    // Enough elements that no order comes out right by chance.
    let forwards: Vec<usize> = (0..40).collect();
    let backwards: Vec<usize> = forwards.iter().rev().copied().collect();
    let words = |command: &str, numbers: &[usize], element: fn(usize) -> String| {
        numbers.iter().fold(command.to_owned(), |words, n| format!("{words} {}", element(*n)))
    };
    let pair = |n: usize| format!("{n} {}", n * 7);
    for (server, order) in servers.iter().zip([&forwards, &backwards]) {
        direct(server, &words("RPUSH list", &forwards, |n| n.to_string())).await;
        direct(server, &words("SADD set", order, |n| n.to_string())).await;
        direct(server, &words("HSET hash", order, pair)).await;
        direct(server, &words("ZADD zset", order, pair)).await;
        direct(server, "XADD stream 1-1 f v").await;
        direct(server, "XADD stream 2-1 f v g w").await;
    }
    for key in ["set", "hash", "zset"] {
        let encoding = async |n: usize| direct(&servers[n], &format!("OBJECT ENCODING {key}")).await;
        assert_ne!(encoding(0).await, encoding(1).await, "{key}");
    }
    for server in &servers {
        direct(server, "XGROUP CREATE stream group 0").await;
        direct(server, "XREADGROUP GROUP group me STREAMS stream >").await;
    }
    let keys = ["list", "set", "hash", "zset", "stream"];
    let probe = async || cli(&ring, &[&["-o", "json", "locate", "--probe"], &keys[..]].concat()).await;
    let same = probe().await.ends_with(0).json();
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(same[n]["same"], json!(true), "{key}: {}", same[n]);
    }
    // One element of each differs now, and of the stream only who has not acknowledged.
    for words in ["LSET list 0 c", "SADD set 99", "HSET hash 1 2", "ZADD zset 3 14", "XACK stream group 1-1"] {
        direct(&servers[1], words).await;
    }
    let differ = probe().await.ends_with(1).json();
    for (n, key) in keys.iter().enumerate() {
        assert_eq!(differ[n]["same"], json!(false), "{key}: {}", differ[n]);
    }
}

#[tokio::test]
async fn ring_lists_shares_and_ranges_and_draws_itself() {
    let report = cli(NOBODY, &["ring", "-o", "json"]).await.ends_with(0).json();
    assert!(report.get("ranges").is_none());
    assert_eq!((&report["points"], report["members"].as_array().unwrap().len()), (&json!(4096), 4));
    for member in report["members"].as_array().unwrap() {
        let replicas: f64 = member["replicas"].as_array().unwrap().iter().map(|r| r["share"].as_f64().unwrap()).sum();
        assert!((replicas - 1.0).abs() < 1e-9, "{member}");
    }
    let report = cli(NOBODY, &["ring", "--ranges", "-o", "json"]).await.ends_with(0).json();
    let ranges = report["ranges"].as_array().unwrap();
    let mut next = 0;
    for range in ranges {
        assert_eq!(range["first"].as_u64().unwrap(), next);
        assert_eq!(range["owners"].as_array().unwrap().len(), 2);
        next = range["last"].as_u64().unwrap() + 1;
    }
    assert_eq!(next, 1 << 32, "they cover the whole ring");
    let table = cli(NOBODY, &["ring"]).await.ends_with(0).stdout;
    assert!(table.contains("SECOND COPIES ON") && table.lines().count() < 12, "{table}");

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ring.svg");
    let drawn = cli(NOBODY, &["ring", "--svg", file.to_str().unwrap()]).await.ends_with(0);
    assert!(drawn.stderr.contains("ring.svg") && drawn.stdout.contains("redis-3"), "{drawn:?}");
    let svg = cli(NOBODY, &["ring", "--svg", "-"]).await.ends_with(0).stdout;
    assert_eq!(std::fs::read_to_string(file).unwrap(), svg);
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
}

#[tokio::test]
async fn exec_writes_all_copies_with_one_absolute_expiry() {
    let (ring, _store, servers, _agents) = agents::ring(4).await;
    let ring = ring.to_string();
    assert_eq!(cli(&ring, &["exec", "--", "SET", "k", "v", "EX", "100"]).await.ends_with(0).stdout, "OK\n");
    let located = cli(&ring, &["locate", "k", "-o", "json"]).await.json();
    let owners: Vec<usize> =
        located[0]["owners"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()[6..].parse().unwrap()).collect();
    let mut found = Vec::new();
    for (n, server) in servers.iter().enumerate() {
        let value: Option<String> = ask(server, redis::cmd("GET").arg("k")).await;
        let until: i64 = ask(server, redis::cmd("PEXPIRETIME").arg("k")).await;
        assert_eq!(value.is_some(), owners.contains(&n), "server {n}");
        found.extend(value.map(|value| (value, until)));
    }
    assert_eq!((found.len(), &found[0]), (2, &found[1]));
    assert_eq!(found[0].0, "v");

    // With the primary dead, before anybody has noticed or after.
    servers[owners[0]].kill();
    let read = cli(&ring, &["exec", "GET", "k"]).await.ends_with(0);
    assert_eq!(read.stdout, "v\n");
    let written = cli(&ring, &["exec", "SET", "k", "w"]).await.ends_with(0);
    assert!(written.stderr.contains("note: "), "{written:?}");
}

#[tokio::test]
async fn exec_prints_byte_for_byte_what_redis_cli_prints() {
    let server = redis().await;
    let ring = fixed(std::slice::from_ref(&server));
    let port = server.port().to_string();
    let prepare = [
        "RPUSH list a b c d e f g h i j",
        "HSET hash f v g w",
        "SADD set one",
        "ZADD zset 1.5 a 3 b -0.25 c",
        "XADD stream 1-1 f v g w",
        "XADD stream 2-1 f v",
        "GEOADD geo 13.361389 38.115556 Palermo",
        "SET text hello",
    ];
    for words in prepare {
        direct(&server, words).await;
    }
    let _: () = ask(&server, redis::cmd("SET").arg("bytes").arg(b"a\"b\\c\n\r\t\x07\x08\xff\x00 end")).await;
    let commands = [
        "GET text",
        "GET bytes",
        "GET nothing",
        "STRLEN text",
        "TYPE list",
        "LRANGE list 0 -1",
        "LRANGE nothing 0 -1",
        "HGETALL hash",
        "HGETALL nothing",
        "SMEMBERS set",
        "SMEMBERS nothing",
        "ZRANGE zset 0 -1 WITHSCORES",
        "ZSCORE zset a",
        "ZSCORE zset b",
        "ZSCORE zset nothing",
        "XRANGE stream - +",
        "HMGET hash f nothing g",
        "GET hash",
        "LINDEX list x",
        "SISMEMBER set one",
        "GEOHASH geo Palermo nothing",
        "INCR text",
        "SET text hello",
        "EXISTS text",
    ];
    for words in commands {
        for flag in ["--no-raw", "--raw"] {
            let words: Vec<&str> = words.split(' ').collect();
            let mut real = std::process::Command::new("redis-cli");
            let real = real.args(["-3", "-p", &port, flag]).args(&words).output().unwrap();
            let mut ours = command(["--ring", &ring, "exec", flag]);
            let ours = ours.args(patient(&[])).arg("--").args(&words).output().unwrap();
            let text = |output: &std::process::Output| String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(ours.stdout, real.stdout, "{flag} {words:?}:\n{}\n{}", text(&ours), text(&real));
        }
    }
    let real = std::process::Command::new("redis-cli").args(["-3", "-p", &port, "HGETALL", "hash"]).output().unwrap();
    let ours = cli(&ring, &["exec", "HGETALL", "hash"]).await.ends_with(0);
    assert_eq!(ours.stdout.as_bytes(), real.stdout, "piped, both are raw");
}

#[tokio::test]
async fn exec_tells_an_error_reply_from_a_refusal_and_gives_json() {
    let server = redis().await;
    let ring = fixed(std::slice::from_ref(&server));
    direct(&server, "HSET hash f v n 1").await;
    let wrong = cli(&ring, &["exec", "--no-raw", "GET", "hash"]).await.ends_with(1);
    assert!(wrong.stdout.starts_with("(error) WRONGTYPE ") && wrong.stderr.is_empty(), "{wrong:?}");
    let refused = cli(&ring, &["exec", "-o", "json", "RENAME", "a", "b"]).await;
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{refused:?}");
    let refused = cli(&ring, &["-o", "json", "exec", "RENAME", "a", "b"]).await.ends_with(2).error();
    assert_eq!(refused["kind"], "refused");

    assert_eq!(cli(&ring, &["-o", "json", "exec", "HGETALL", "hash"]).await.json(), json!({ "f": "v", "n": "1" }));
    assert_eq!(cli(&ring, &["-o", "json", "exec", "GET", "nothing"]).await.json(), Value::Null);
    let wrong = cli(&ring, &["-o", "json", "exec", "GET", "hash"]).await.ends_with(1).json();
    assert!(wrong["error"].as_str().unwrap().starts_with("WRONGTYPE "), "{wrong}");
    assert_eq!(cli(&ring, &["exec", "INCRBY", "n", "-5"]).await.ends_with(0).stdout, "-5\n");
}

#[tokio::test]
async fn completions_know_the_verbs_and_their_options() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(["completions", shell]).await.ends_with(0).stdout;
        assert!(["status", "locate", "member-timeout", "probe"].iter().all(|word| script.contains(word)), "{shell}");
    }
}

#[tokio::test]
async fn exec_on_a_member_asks_that_member_and_writes_nothing() {
    let servers = redis_servers(3).await;
    let ring = fixed(&servers);
    for (n, server) in servers.iter().enumerate() {
        let on = format!("redis-{n}");
        let info = cli(&ring, &["exec", "--on", &on, "--", "INFO", "server"]).await.ends_with(0);
        assert!(info.stdout.contains(&format!("tcp_port:{}", server.port())), "{info:?}");
    }
    let refused =
        cli(&ring, &["-o", "json", "exec", "--on", "redis-0", "--", "SET", "k", "v"]).await.ends_with(2).error();
    assert_eq!(refused["kind"], "refused");
    assert_eq!(direct(&servers[0], "DBSIZE").await, redis::Value::Int(0));
    let refused = cli(&ring, &["-o", "json", "exec", "--", "INFO"]).await.ends_with(2).error();
    assert!(refused["hint"].as_str().unwrap().contains("--on"), "{refused}");
    let unknown = cli(&ring, &["-o", "json", "exec", "--on", "redis-9", "--", "PING"]).await.ends_with(2).error();
    assert_eq!(unknown["kind"], "invalid");
    cli(&ring, &["exec", "--on", "not a name", "--", "PING"]).await.ends_with(2);
    let completions = cli(&ring, &["completions", "bash"]).await.ends_with(0).stdout;
    assert!(completions.contains("--on"));
}
