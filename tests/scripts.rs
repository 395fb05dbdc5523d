//! Scripts, functions, and commands that the table does not have.
#![cfg(feature = "cli")]
#![cfg(test)]

mod support;

use std::io::Write as _;

use redis::aio::ConnectionLike;
use redis::{AsyncCommands, RedisResult, Script, Value, cmd, pipe};
use redis_ring::local::RedisOptions;
use redis_ring::policy::ScriptPolicy;
use redis_ring::{Error, ErrorKind};
use support::{FixedRing, SOON, direct, eventually, redis_with, run};

fn refusal(result: RedisResult<Value>) -> String {
    let error = result.expect_err("it is refused");
    let own = Error::of_redis(&error).unwrap_or_else(|| panic!("not the ring's own error: {error}"));
    assert_eq!(own.kind(), ErrorKind::Refused, "{own}");
    own.to_string()
}

#[tokio::test]
async fn a_script_of_redis_rs_runs_and_both_copies_have_what_it_wrote() {
    let ring = FixedRing::start(4).await;
    let client = ring.connected(ring.patient()).await;
    let mut connection = client.connection();
    let script = Script::new(
        "redis.call('SET', KEYS[1], ARGV[1] .. math.random(1e9)); redis.call('SADD', KEYS[2], redis.call('TIME')[2]); \
         return redis.call('GET', KEYS[1])",
    );
    for i in 0..20 {
        let (one, two) = (format!("{{{i}}}a"), format!("{{{i}}}b"));
        let mut call = script.key(&one);
        let value: String = call.key(&two).arg("v").invoke_async(&mut connection).await.unwrap();
        assert!(value.starts_with('v'));
        assert!(ring.copies_are_equal(&client, &one).await && ring.copies_are_equal(&client, &two).await);
        assert_eq!(direct::content(&ring.owners(&client, &two)[1].addr(), &two).await.0, "set");
    }
    // Servers that forget their scripts cost nobody an error, though nobody loads the script again.
    for server in ring.servers.values() {
        let () = direct::ask(&server.addr(), cmd("SCRIPT").arg("FLUSH")).await;
    }
    for i in 20..40 {
        let keys = [format!("{{{i}}}a"), format!("{{{i}}}b")];
        let words = ["EVALSHA", script.get_hash(), "2", &keys[0], &keys[1], "w"];
        let reply = run(&connection, &words);
        assert!(matches!(reply.await.unwrap(), Value::BulkString(_)));
    }
    // Likewise among other commands, where no second try is possible.
    for server in ring.servers.values() {
        let () = direct::ask(&server.addr(), cmd("SCRIPT").arg("FLUSH")).await;
    }
    for atomic in [false, true] {
        let mut pipeline = pipe();
        let call = pipeline.cmd("EVALSHA").arg(script.get_hash()).arg(2).arg("{p}a").arg("{p}b").arg("w");
        call.cmd("GET").arg("{p}a");
        if atomic {
            pipeline.atomic();
        }
        let (made, read): (String, String) = pipeline.query_async(&mut connection).await.unwrap();
        assert_eq!(made, read);
        assert!(ring.copies_are_equal(&client, "{p}a").await);
    }
    let reply = run(&connection, &["EVALSHA", "ffffffffffffffffffffffffffffffffffffffff", "1", "k"]).await.unwrap();
    assert!(matches!(reply, Value::ServerError(error) if error.code() == "NOSCRIPT"), "a script nobody knows");
}

#[tokio::test]
async fn a_script_without_keys_may_only_read() {
    let ring = FixedRing::start(3).await;
    let connection = ring.connected(ring.patient()).await.connection();
    assert_eq!(run(&connection, &["EVAL", "return 7", "0"]).await.unwrap(), Value::Int(7));
    let reply = run(&connection, &["EVAL", "return redis.call('SET', 'k', 'v')", "0"]).await.unwrap();
    assert!(matches!(&reply, Value::ServerError(_)), "{reply:?}");
    assert!(!connection.clone().exists::<_, bool>("k").await.unwrap());
    assert!(refusal(run(&connection, &["EVAL", "return 1", "2", "a", "b"]).await).contains("\"a\" and \"b\""));
}

#[tokio::test]
async fn a_script_that_is_repeated_runs_on_both_owners() {
    let ring = FixedRing::start(3).await;
    let client = ring.connected(ring.patient().script_policy(ScriptPolicy::Repeat)).await;
    let mut connection = client.connection();
    let script = Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
    for i in 0..10 {
        assert_eq!(script.key("n").arg(5).invoke_async::<i64>(&mut connection).await.unwrap(), (i + 1) * 5);
        assert!(ring.copies_are_equal(&client, "n").await);
    }
    // One of them has forgotten it.
    let () = direct::ask(&ring.owners(&client, "n")[1].addr(), cmd("SCRIPT").arg("FLUSH")).await;
    assert_eq!(script.key("n").arg(5).invoke_async::<i64>(&mut connection).await.unwrap(), 55);
    assert!(ring.copies_are_equal(&client, "n").await);
    // The copies run it: the count of calls on the second owner tells.
    let info: String = direct::ask(&ring.owners(&client, "n")[1].addr(), cmd("INFO").arg("commandstats")).await;
    assert!(info.contains("cmdstat_incrby:calls=11") && !info.contains("cmdstat_restore"), "{info}");
    let late = "redis.call('SET', KEYS[1], 'written') return redis.call('NOSUCH')";
    assert!(matches!(run(&connection, &["EVAL", late, "1", "late"]).await.unwrap(), Value::ServerError(_)));
    assert!(ring.copies_are_equal(&client, "late").await);
    assert_eq!(direct::content(&ring.owners(&client, "late")[1].addr(), "late").await.0, "string");
    assert_eq!(client.stats().missed_writes + client.stats().differing_replies, 0);
}

#[tokio::test]
async fn functions_run_with_their_keys() {
    let ring = FixedRing::start(3).await;
    let client = ring.connected(ring.patient()).await;
    let connection = client.connection();
    let library = "#!lua name=mine\n\
        redis.register_function('add', function(keys, args) return redis.call('RPUSH', keys[1], unpack(args)) end)\n\
        redis.register_function{function_name='last', callback=function(keys) return redis.call('LINDEX', keys[1], -1) end, flags={'no-writes'}}";
    assert_eq!(run(&connection, &["FUNCTION", "LOAD", library]).await.unwrap(), Value::BulkString(b"mine".to_vec()));
    for i in 0..10 {
        let key = format!("l{i}");
        assert_eq!(run(&connection, &["FCALL", "add", "1", &key, "a", "b"]).await.unwrap(), Value::Int(2));
        assert!(ring.copies_are_equal(&client, &key).await);
        let last = run(&connection, &["FCALL_RO", "last", "1", &key]).await.unwrap();
        assert_eq!(last, Value::BulkString(b"b".to_vec()));
    }
    let (added, last): (i32, String) = pipe()
        .cmd("FCALL")
        .arg("add")
        .arg(1)
        .arg("l0")
        .arg("c")
        .cmd("FCALL_RO")
        .arg("last")
        .arg(1)
        .arg("l0")
        .query_async(&mut connection.clone())
        .await
        .unwrap();
    assert_eq!((added, last.as_str()), (3, "c"));
    assert!(ring.copies_are_equal(&client, "l0").await);
}

/// The server's own commands under names that no table has stand for those of a module.
#[tokio::test]
async fn a_command_that_the_table_lacks_is_asked_of_the_servers() {
    let mut settings = tempfile::NamedTempFile::new().unwrap();
    for (name, other) in [
        ("SET", "mod.put"),
        ("GET", "mod.fetch"),
        ("SUNIONSTORE", "mod.join"),
        ("EVALSHA", "mod.run"),
        ("SAVE", "mod.admin"),
        ("ECHO", "mod.nokey"),
    ] {
        writeln!(settings, "rename-command {name} {other}").unwrap();
    }
    let renamed = || RedisOptions::new().set("include", settings.path());
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(redis_with(renamed()).await);
    }
    let ring = FixedRing::of(servers);
    let client = ring.connected(ring.patient()).await;
    let connection = client.connection();
    assert_eq!(run(&connection, &["mod.put", "k", "v"]).await.unwrap(), Value::Okay);
    assert_eq!(run(&connection, &["MOD.FETCH", "k"]).await.unwrap(), Value::BulkString(b"v".to_vec()));
    let owners = ring.owners(&client, "k");
    for owner in &owners {
        assert_eq!(direct::ask::<String>(&owner.addr(), cmd("mod.fetch").arg("k")).await, "v");
    }
    for key in ["{t}a", "{t}b"] {
        run(&connection, &["SADD", key, key]).await.unwrap();
    }
    assert_eq!(run(&connection, &["mod.join", "{t}c", "{t}a", "{t}b"]).await.unwrap(), Value::Int(2));
    assert!(ring.copies_are_equal(&client, "{t}c").await);
    // Its keys stand where an argument says, so the server is asked for each call.
    let script = "return redis.call('SADD', KEYS[2], 'x')";
    let digest: String = redis::from_redis_value(run(&connection, &["SCRIPT", "LOAD", script]).await.unwrap()).unwrap();
    assert_eq!(run(&connection, &["mod.run", &digest, "2", "{t}c", "{t}d"]).await.unwrap(), Value::Int(1));
    assert!(ring.copies_are_equal(&client, "{t}d").await);
    assert!(refusal(run(&connection, &["mod.join", "a", "b"]).await).contains("\"a\" and \"b\" do not"));
    assert!(refusal(run(&connection, &["mod.admin"]).await).contains("whole server"));
    assert!(refusal(run(&connection, &["mod.nokey"]).await).contains("names no key"));
    assert!(refusal(run(&connection, &["mod.put", "__rr:gate", "v"]).await).contains("belong to the ring"));
    assert!(refusal(run(&connection, &["mod.none", "k"]).await).contains("is not known"));
    let (put, got): (String, String) = pipe()
        .cmd("mod.put")
        .arg("p")
        .arg("1")
        .cmd("mod.fetch")
        .arg("p")
        .query_async(&mut connection.clone())
        .await
        .unwrap();
    assert_eq!((put.as_str(), got.as_str()), ("OK", "1"));
    eventually(SOON, "nothing was missed", async || client.stats().missed_writes == 0).await;
}

#[tokio::test]
async fn text_that_is_no_utf8_never_ends_the_shared_connection() {
    let ring = FixedRing::start(2).await;
    let client = ring.connected(ring.patient()).await;
    let mut connection = client.connection();
    let () = cmd("XGROUP")
        .arg("CREATE")
        .arg("s")
        .arg("g")
        .arg("$")
        .arg("MKSTREAM")
        .query_async(&mut connection)
        .await
        .unwrap();
    for command in [
        cmd("XPENDING").arg("s").arg(b"\xff"),
        cmd("XACK").arg("s").arg(b"\xff").arg("1-1"),
        cmd("XREADGROUP").arg("GROUP").arg(b"\xff").arg("c").arg("STREAMS").arg("s").arg(">"),
        cmd("XGROUP").arg("SETID").arg("s").arg(b"\xff").arg("$"),
    ] {
        assert!(refusal(connection.req_packed_command(command).await).contains("no UTF-8"));
    }
    let () = connection.set(b"\xff\xfe".as_slice(), b"\xff".as_slice()).await.unwrap();
    assert_eq!(connection.get::<_, Vec<u8>>(b"\xff\xfe".as_slice()).await.unwrap(), b"\xff");
}
