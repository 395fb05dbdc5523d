//! The rules of docs/access.md, as they stand there: they are enough, and each of them is needed.
#![cfg(feature = "cli")]
#![cfg(test)]

#[path = "rights/agents.rs"]
mod agents;
#[path = "rights/page.rs"]
mod page;
mod support;

use redis::{Value, cmd};
use redis_ring::local::RedisOptions;
use redis_ring::policy::CachePolicy;
use redis_ring::{ErrorKind, RingClient};
use support::{FixedRing, SOON, call, direct, eventually, redis_with, run_or_error};

/// Sets the user at every server, with these rules and no others.
async fn grant(ring: &FixedRing, rules: &[&str]) {
    for server in ring.servers.values() {
        let mut user = cmd("ACL");
        user.arg("SETUSER").arg("orders").arg("reset").arg("on").arg(">password").arg(rules);
        let () = direct::ask(&server.addr(), &user).await;
        let () = direct::ask(&server.addr(), cmd("ACL").arg("LOG").arg("RESET")).await;
    }
}

/// Patiently, since a server that is not done with answering what the user may do is taken as it is.
async fn open(ring: &FixedRing) -> redis_ring::Result<RingClient> {
    ring.patient().user("orders", "password").open().await
}

/// What the servers have refused to the user.
async fn refused(ring: &FixedRing) -> Vec<String> {
    let mut all = Vec::new();
    for server in ring.servers.values() {
        let log: Vec<std::collections::HashMap<String, Value>> =
            direct::ask(&server.addr(), cmd("ACL").arg("LOG")).await;
        all.extend(log.iter().map(|entry| format!("{:?} of {:?}", entry["object"], entry["context"])));
    }
    all
}

const ENTRY: &[&str] = &["XADD", "K", "1-1", "f", "v"];
const GROUP: &[&str] = &["XGROUP", "CREATE", "K", "g", "0", "MKSTREAM"];
const DELIVERED: &[&str] = &["XREADGROUP", "GROUP", "g", "c", "STREAMS", "K", ">"];

/// What is there before, and a call; `K` is the key.
const CALLS: &[(&[&[&str]], &[&str])] = &[
    (&[], &["GET", "K"]),
    (&[], &["SET", "K", "a", "EX", "100"]),
    (&[], &["SETEX", "K", "100", "a"]),
    (&[], &["PSETEX", "K", "100000", "a"]),
    (&[], &["GETSET", "K", "a"]),
    (&[&["SET", "K", "a"]], &["GETDEL", "K"]),
    (&[&["SET", "K", "a"]], &["GETEX", "K", "EX", "100"]),
    (&[&["SET", "K", "a"]], &["EXPIRE", "K", "100"]),
    (&[&["SET", "K", "a"]], &["PEXPIRE", "K", "100000"]),
    (&[&["SET", "K", "a"]], &["EXPIREAT", "K", "4000000000"]),
    (&[&["SET", "K", "a", "EX", "100"]], &["PERSIST", "K"]),
    (&[&["SET", "K", "a"]], &["RENAME", "K", "K2"]),
    (&[&["SET", "K", "a"]], &["COPY", "K", "K2"]),
    (&[&["SET", "K", "a"]], &["UNLINK", "K"]),
    (&[], &["MSET", "K", "1"]),
    (&[], &["INCR", "K"]),
    (&[], &["INCRBYFLOAT", "K", "0.5"]),
    (&[], &["SETRANGE", "K", "1", "a"]),
    (&[], &["BITFIELD", "K", "INCRBY", "u8", "0", "1"]),
    (&[], &["PFADD", "K", "1"]),
    (&[], &["HINCRBYFLOAT", "K", "f", "0.5"]),
    (&[&["SADD", "K", "a", "b", "c"]], &["SPOP", "K"]),
    (&[&["SADD", "K", "a"]], &["SMOVE", "K", "K2", "a"]),
    (&[&["SADD", "K2", "a"]], &["SINTERSTORE", "K", "K2"]),
    (&[&["RPUSH", "K2", "2", "1"]], &["SORT", "K2", "STORE", "K"]),
    (&[&["ZADD", "K", "1", "a"]], &["ZPOPMIN", "K"]),
    (&[&["ZADD", "K", "1", "a"]], &["ZMPOP", "1", "K", "MIN"]),
    (&[&["RPUSH", "K", "a"]], &["LMPOP", "1", "K", "LEFT"]),
    (&[], &["GEOADD", "K", "1", "1", "a"]),
    (&[], &["XADD", "K", "MAXLEN", "~", "3", "*", "f", "v"]),
    (&[ENTRY], &["XTRIM", "K", "MAXLEN", "0"]),
    (&[ENTRY], &["XGROUP", "CREATE", "K", "g", "$"]),
    (&[GROUP, ENTRY], DELIVERED),
    (&[GROUP, ENTRY, DELIVERED], &["XCLAIM", "K", "g", "d", "0", "1-1"]),
    (&[GROUP, ENTRY, DELIVERED], &["XAUTOCLAIM", "K", "g", "d", "0", "0"]),
    (&[GROUP, ENTRY, DELIVERED], &["XACK", "K", "g", "1-1"]),
    (&[&["RPUSH", "K", "a"]], &["BLPOP", "K", "1"]),
    (&[], &["BRPOP", "K", "0.05"]),
    (&[&["RPUSH", "K", "a"]], &["BLMPOP", "1", "1", "K", "LEFT"]),
    (&[&["RPUSH", "K", "a"]], &["BLMOVE", "K", "K2", "LEFT", "RIGHT", "1"]),
    (&[&["RPUSH", "K", "a"]], &["BRPOPLPUSH", "K", "K2", "1"]),
    (&[&["ZADD", "K", "1", "a"]], &["BZPOPMIN", "K", "1"]),
    (&[&["ZADD", "K", "1", "a"]], &["BZPOPMAX", "K", "1"]),
    (&[&["ZADD", "K", "1", "a"]], &["BZMPOP", "1", "1", "K", "MIN"]),
    (&[ENTRY], &["XREAD", "BLOCK", "50", "STREAMS", "K", "$"]),
];

/// The words with a key of this number in them. All of its keys have one tag.
fn with_key(words: &[&str], number: usize) -> Vec<String> {
    let word = |word: &&str| match *word {
        "K" => format!("orders:{{{number}}}"),
        "K2" => format!("orders:{{{number}}}2"),
        word => word.to_owned(),
    };
    words.iter().map(word).collect()
}

async fn send(client: &RingClient, words: &[String]) -> redis::RedisResult<Value> {
    run_or_error(&client.connection(), &words.iter().map(String::as_str).collect::<Vec<_>>()).await
}

#[tokio::test]
async fn each_command_runs_with_what_the_page_says_that_it_needs_beside_itself() {
    let ring = FixedRing::start(2).await;
    let admin = ring.client().await;
    for (number, (before, words)) in CALLS.iter().enumerate() {
        for words in *before {
            send(&admin, &with_key(words, number)).await.unwrap();
        }
        let own = format!("+{}", words[0].to_lowercase());
        let mut rules = page::ring(false);
        rules.extend(["~orders:*", "+function|dump", &own]);
        rules.extend(page::beside(words[0]));
        grant(&ring, &rules).await;
        let client = open(&ring).await.unwrap();
        let words = with_key(words, number);
        send(&client, &words).await.unwrap_or_else(|error| panic!("{words:?}: {error}"));
        let key = &with_key(&["K"], number)[0];
        eventually(SOON, "equal copies", || ring.copies_are_equal(&admin, key)).await;
        assert_eq!(refused(&ring).await, [""; 0], "{words:?}");
    }
}

#[tokio::test]
async fn the_server_names_what_a_user_may_not_run_and_executes_nothing_for_it() {
    let ring = FixedRing::start(2).await;
    let all = page::ring(false);
    grant(&ring, &[&all[..], &["~orders:*", "+append"]].concat()).await;
    let client = open(&ring).await.expect("all rules together are enough");
    assert_eq!(run_or_error(&client.connection(), &["APPEND", "orders:1", "a"]).await.unwrap(), Value::Int(1));
    for rule in &all {
        let mut rules = vec!["~orders:*", "+append"];
        rules.extend(all.iter().filter(|other| *other != rule));
        grant(&ring, &rules).await;
        let error = open(&ring).await.expect_err(rule);
        assert_eq!(error.kind(), ErrorKind::Denied, "{rule}: {error:?}");
        let named = rule.trim_start_matches(['+', '~']).replace('|', " ");
        assert!(error.to_string().to_lowercase().contains(&named), "{rule}: {error}");
        assert!(error.hint().is_some_and(|hint| hint.contains(rule)), "{rule}: {error:?}");
    }
    for server in ring.servers.values() {
        for never in ["dump", "restore", "del", "hset", "hdel", "client|kill"] {
            assert_eq!(direct::calls(&server.addr(), never).await, 0, "{never}");
        }
    }
}

#[tokio::test]
async fn several_that_are_missing_are_said_at_once() {
    let ring = FixedRing::start(1).await;
    grant(&ring, &["~*", "+@all", "-restore", "-dump", "-client|kill"]).await;
    let error = open(&ring).await.unwrap_err();
    assert!(error.to_string().contains("may not run CLIENT KILL") && error.to_string().contains("nor DUMP, RESTORE"));
    assert!(error.hint().unwrap().contains("ACL SETUSER <user> +client|kill +dump +restore`"), "{error:?}");
    grant(&ring, &["~*", "+@all"]).await;
    let client = open(&ring).await.unwrap();
    run_or_error(&client.connection(), &["SET", "k", "v"]).await.unwrap();
}

#[tokio::test]
async fn a_command_that_the_server_does_not_know_is_named() {
    let settings = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(settings.path(), "rename-command DUMP \"\"\nrename-command EVAL run\n").unwrap();
    let server = redis_with(RedisOptions::new().set("include", settings.path())).await;
    let error = FixedRing::of(vec![server]).patient().open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
    assert!(error.to_string().contains("does not know EVAL") && error.to_string().ends_with("nor DUMP"), "{error}");
    assert!(error.hint().unwrap().contains("renamed or disabled"), "{error:?}");
}

/// A process is asked once, not at every connection.
#[tokio::test]
async fn a_right_that_is_taken_away_later_ends_no_connection() {
    let ring = FixedRing::start(2).await;
    let rules = [&page::ring(false)[..], &["~orders:*", "+append"]].concat();
    grant(&ring, &rules).await;
    let client = open(&ring).await.unwrap();
    for server in ring.servers.values() {
        let () = direct::ask(&server.addr(), &call(&["ACL", "SETUSER", "orders", "-dump"])).await;
        let _: u64 = direct::ask(&server.addr(), &call(&["CLIENT", "KILL", "USER", "orders"])).await;
    }
    eventually(SOON, "connections again", || async {
        run_or_error(&client.connection(), &["APPEND", "orders:1", "a"]).await.is_ok() && client.connected().len() == 2
    })
    .await;
}

#[tokio::test]
async fn who_only_reads_can_write_nothing() {
    let ring = FixedRing::start(2).await;
    run_or_error(&ring.client().await.connection(), &["SET", "orders:1", "v"]).await.unwrap();
    grant(&ring, &[&["%R~orders:*", "+@read", "+@write"], &page::ring(false)[..]].concat()).await;
    let reader = open(&ring).await.unwrap().connection();
    assert_eq!(run_or_error(&reader, &["GET", "orders:1"]).await.unwrap(), Value::BulkString(b"v".to_vec()));
    for words in
        [&["SET", "orders:1", "x"][..], &["DEL", "orders:1"], &["EVAL", "redis.call('DEL', KEYS[1])", "1", "orders:1"]]
    {
        assert_eq!(run_or_error(&reader, words).await.unwrap_err().code(), Some("NOPERM"), "{words:?}");
    }
    assert_eq!(run_or_error(&reader, &["GET", "orders:1"]).await.unwrap(), Value::BulkString(b"v".to_vec()));
}

#[tokio::test]
async fn what_some_calls_need_is_enough_for_them() {
    let ring = FixedRing::start(2).await;
    let own = ["~orders:*", "+get", "+set", "+incr", "+incrby", "+rpush", "+flushall"];
    grant(&ring, &[&own[..], &page::ring(false)[..], &page::calls()[..]].concat()).await;
    let url = format!("{}?db=3", ring.url());
    let builder = RingClient::builder(&url).unwrap().user("orders", "password");
    let client = builder.cache(CachePolicy::AtMost { bytes: 1 << 20 }).open().await.unwrap();
    let connection = client.connection();

    run_or_error(&connection, &["SET", "orders:a", "1"]).await.unwrap();
    eventually(SOON, "a reply from the cache", || async {
        run_or_error(&connection, &["GET", "orders:a"]).await.unwrap();
        client.stats().cache_hits > 0
    })
    .await;
    let counted = client.transaction(&["orders:a"], async |mut connection, mut pipeline| {
        pipeline.incr("orders:a", 1).query_async::<Option<(i64,)>>(&mut connection).await
    });
    assert_eq!(counted.await.unwrap(), (2,));

    // An entry that reaches a copy after a later one.
    let copy = ring.owners(&client, "orders:s")[1].addr();
    let mut later = redis::pipe();
    later.cmd("SELECT").arg(3).ignore().cmd("XADD").arg("orders:s").arg("9-1").arg("f").arg("v").ignore();
    let () = later.query_async(&mut direct::connect(&copy).await).await.unwrap();
    run_or_error(&connection, &["XADD", "orders:s", "5-1", "f", "v"]).await.unwrap();

    let script = "return redis.call('RPUSH', KEYS[1], 'x')";
    let digest: String =
        redis::from_redis_value(run_or_error(&connection, &["SCRIPT", "LOAD", script]).await.unwrap()).unwrap();
    run_or_error(&connection, &["SCRIPT", "EXISTS", &digest]).await.unwrap();
    run_or_error(&connection, &["EVALSHA", &digest, "1", "orders:l"]).await.unwrap();
    let library =
        "#!lua name=own\nredis.register_function('own', function(keys) return redis.call('INCR', keys[1]) end)";
    run_or_error(&connection, &["FUNCTION", "LOAD", library]).await.unwrap();
    run_or_error(&connection, &["FCALL", "own", "1", "orders:n"]).await.unwrap();

    for words in [&["SCAN", "0"][..], &["DBSIZE"], &["RANDOMKEY"], &["KEYS", "*"]] {
        run_or_error(&connection, words).await.unwrap_or_else(|error| panic!("{words:?}: {error}"));
    }
    run_or_error(&connection, &["nosuch.command", "orders:a"]).await.unwrap_err();
    assert_eq!(refused(&ring).await, [""; 0]);
    run_or_error(&connection, &["FLUSHALL"]).await.unwrap();
    assert_eq!(run_or_error(&connection, &["DBSIZE"]).await.unwrap(), Value::Int(0));
    assert_eq!(refused(&ring).await, [""; 0]);
}
