//! Programs written for redis-rs's connections, run unchanged on one server and on the ring: they see the same.
#![cfg(feature = "cli")]
#![cfg(test)]

mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;

use futures_util::StreamExt;
use redis::aio::ConnectionLike;
use redis::streams::{StreamReadOptions, StreamReadReply};
use redis::{AsyncCommands, Direction, LposOptions, RedisResult, Script, SetExpiry, SetOptions, Value, cmd, pipe};
use support::{FixedRing, direct, redis};

/// What a program saw, line by line.
#[derive(Default)]
struct Seen(Vec<String>);

impl Seen {
    fn note(&mut self, what: &str, value: impl Debug) {
        self.0.push(format!("{what}: {value:?}"));
    }
}

/// Runs a program on one server and on the ring.
macro_rules! the_same_on_both {
    ($program:ident) => {{
        let server = redis().await;
        let ring = FixedRing::start(4).await;
        let client = ring.connected(ring.patient()).await;
        let (mut one, mut all) = (Seen::default(), Seen::default());
        $program(direct::connect(&server.addr()).await, &mut one).await.expect("it runs on one server");
        $program(client.connection(), &mut all).await.expect("it runs on the ring");
        assert_eq!(all.0, one.0);
        assert!(!one.0.is_empty());
        assert_eq!(client.stats().missed_writes + client.stats().differing_replies, 0);
        for key in client.connection().keys::<_, Vec<String>>("*").await.expect("keys") {
            // PFCOUNT keeps its result inside the value that it was asked of.
            assert!(key == "pf" || ring.copies_are_equal(&client, &key).await, "{key}");
        }
    }};
}

trait Connection: ConnectionLike + Clone + Send + Sync + 'static {}
impl<C: ConnectionLike + Clone + Send + Sync + 'static> Connection for C {}

async fn commands<C: Connection>(mut con: C, seen: &mut Seen) -> RedisResult<()> {
    let () = AsyncCommands::set(&mut con, "string", b"\x00\xff bytes".as_slice()).await?;
    seen.note("get", AsyncCommands::get::<_, Vec<u8>>(&mut con, "string").await?);
    seen.note("missing", AsyncCommands::get::<_, Option<String>>(&mut con, "nothing").await?);
    let options = SetOptions::default().conditional_set(redis::ExistenceCheck::NX).with_expiration(SetExpiry::EX(100));
    seen.note("set nx", con.set_options::<_, _, Value>("string", "x", options.clone()).await?);
    seen.note("set nx", con.set_options::<_, _, Value>("fresh", "x", options).await?);
    seen.note("ttl", AsyncCommands::ttl::<_, i64>(&mut con, "fresh").await? > 90);
    seen.note("expire gt", cmd("EXPIRE").arg("fresh").arg(50).arg("GT").query_async::<i64>(&mut con).await?);
    seen.note("persist", AsyncCommands::persist::<_, bool>(&mut con, "fresh").await?);
    seen.note("append", AsyncCommands::append::<_, _, usize>(&mut con, "fresh", "yz").await?);
    seen.note("incr", AsyncCommands::incr::<_, _, i64>(&mut con, "n", 5).await?);
    seen.note("float", AsyncCommands::incr::<_, _, f64>(&mut con, "n", 0.5).await?);
    let wrong = AsyncCommands::incr::<_, _, i64>(&mut con, "string", 1).await.unwrap_err();
    seen.note("an error", (wrong.kind(), wrong.code().map(str::to_owned), wrong.detail().map(str::to_owned)));
    let wrong = AsyncCommands::lpush::<_, _, i64>(&mut con, "string", 1).await.unwrap_err();
    seen.note("an error", (wrong.kind(), wrong.code().map(str::to_owned)));
    let () = con.hset_multiple("hash", &[("a", 1), ("b", 2), ("c", 3)]).await?;
    seen.note("hash", AsyncCommands::hgetall::<_, BTreeMap<String, i32>>(&mut con, "hash").await?);
    seen.note("hincr", AsyncCommands::hincr::<_, _, _, f64>(&mut con, "hash", "a", 1.25).await?);
    seen.note("hdel", AsyncCommands::hdel::<_, _, usize>(&mut con, "hash", &["b", "x"]).await?);
    seen.note("rpush", AsyncCommands::rpush::<_, _, usize>(&mut con, "{l}a", &[1, 2, 3, 2, 1]).await?);
    seen.note("lpos", con.lpos::<_, _, Vec<usize>>("{l}a", 2, LposOptions::default().count(0)).await?);
    seen.note("lmove", con.lmove::<_, _, i32>("{l}a", "{l}b", Direction::Left, Direction::Right).await?);
    seen.note("blmove", con.blmove::<_, _, i32>("{l}a", "{l}b", Direction::Left, Direction::Right, 1.0).await?);
    seen.note("blpop", con.blpop::<_, (String, i32)>("{l}b", 1.0).await?);
    seen.note("blpop nothing", con.blpop::<_, Option<(String, i32)>>("{l}nothing", 0.05).await?);
    seen.note("lpop", con.lpop::<_, Vec<i32>>("{l}a", std::num::NonZero::new(2)).await?);
    seen.note("sadd", AsyncCommands::sadd::<_, _, usize>(&mut con, "{s}a", &["x", "y", "z"]).await?);
    seen.note("sadd", AsyncCommands::sadd::<_, _, usize>(&mut con, "{s}b", &["y", "z", "w"]).await?);
    seen.note("sinter", AsyncCommands::sinter::<_, BTreeSet<String>>(&mut con, &["{s}a", "{s}b"]).await?);
    seen.note("sunionstore", con.sunionstore::<_, _, usize>("{s}c", &["{s}a", "{s}b"]).await?);
    let popped: String = AsyncCommands::spop(&mut con, "{s}c").await?;
    seen.note("spop", (popped.len(), AsyncCommands::sismember::<_, _, bool>(&mut con, "{s}c", &popped).await?));
    let () = AsyncCommands::sadd(&mut con, "{s}c", &popped).await?;
    seen.note("zadd", con.zadd_multiple::<_, _, _, usize>("z", &[(1.5, "a"), (2.0, "b"), (f64::INFINITY, "c")]).await?);
    seen.note("zrange", con.zrange_withscores::<_, Vec<(String, f64)>>("z", 0, -1).await?);
    seen.note("zincr", AsyncCommands::zincr::<_, _, _, f64>(&mut con, "z", "a", 0.25).await?);
    seen.note("zpopmin", con.zpopmin::<_, Vec<(String, f64)>>("z", 1).await?);
    seen.note("bzpopmin", con.bzpopmin::<_, Option<(String, String, f64)>>("z", 1.0).await?);
    seen.note(
        "geo",
        con.geo_add::<_, _, usize>(
            "geo",
            [(13.361389, 38.115556, "Palermo"), (15.087269, 37.502669, "Catania")].as_slice(),
        )
        .await?,
    );
    seen.note(
        "dist",
        con.geo_dist::<_, _, _, f64>("geo", "Palermo", "Catania", redis::geo::Unit::Kilometers).await?.round(),
    );
    seen.note("pf", AsyncCommands::pfadd::<_, _, bool>(&mut con, "pf", &["a", "b", "c"]).await?);
    seen.note("pf", AsyncCommands::pfcount::<_, usize>(&mut con, "pf").await?);
    seen.note("mset", con.mset::<_, _, String>(&[("m1", 1), ("m2", 2), ("m3", 3)]).await?);
    seen.note("mget", AsyncCommands::mget::<_, Vec<Option<i32>>>(&mut con, &["m3", "m0", "m1"]).await?);
    seen.note("rename", con.rename::<_, _, String>("{l}b", "{l}c").await?);
    seen.note("copy", con.copy::<_, _, _, bool>("{l}c", "{l}d", redis::CopyOptions::default()).await?);
    seen.note("pexpire", con.pexpire_at::<_, bool>("m1", 4_102_444_800_000).await?);
    seen.note("when", AsyncCommands::pexpire_time::<_, i64>(&mut con, "m1").await?);
    seen.note("getdel", AsyncCommands::get_del::<_, i32>(&mut con, "m2").await?);
    seen.note("getex", con.get_ex::<_, i32>("m3", redis::Expiry::EX(1000)).await?);
    seen.note("exists", AsyncCommands::exists::<_, usize>(&mut con, &["m1", "m2", "m3", "m3"]).await?);
    seen.note("del", AsyncCommands::del::<_, usize>(&mut con, &["m1", "m2", "m3"]).await?);
    seen.note("type", AsyncCommands::key_type::<_, String>(&mut con, "hash").await?);
    seen.note("keys", AsyncCommands::keys::<_, BTreeSet<String>>(&mut con, "*").await?);
    seen.note("dbsize", cmd("DBSIZE").query_async::<usize>(&mut con).await?);
    seen.note("ping", AsyncCommands::ping::<String>(&mut con).await?);

    Ok(())
}

#[tokio::test]
async fn commands_answer_as_one_server_does() {
    the_same_on_both!(commands);
}

async fn typed_commands<C: Connection>(mut con: C, seen: &mut Seen) -> RedisResult<()> {
    redis::AsyncTypedCommands::set(&mut con, "a", 42).await?;
    seen.note("get", redis::AsyncTypedCommands::get(&mut con, "a").await?);
    seen.note("incr", redis::AsyncTypedCommands::incr(&mut con, "a", 1).await?);
    seen.note("lpush", redis::AsyncTypedCommands::lpush(&mut con, "l", &["x", "y"]).await?);
    seen.note("hset", redis::AsyncTypedCommands::hset(&mut con, "h", "f", "v").await?);
    seen.note("hgetall", redis::AsyncTypedCommands::hgetall(&mut con, "h").await?);
    seen.note("mget", redis::AsyncTypedCommands::mget(&mut con, &["a", "b"]).await?);
    seen.note("del", redis::AsyncTypedCommands::del(&mut con, &["a", "b"]).await?);
    Ok(())
}

#[tokio::test]
async fn typed_commands_answer_as_one_server_does() {
    the_same_on_both!(typed_commands);
}

async fn pipelines<C: Connection>(mut con: C, seen: &mut Seen) -> RedisResult<()> {
    let (one, two): (i32, String) = pipe()
        .cmd("SET")
        .arg("key_1")
        .arg(42)
        .ignore()
        .cmd("SET")
        .arg("key_2")
        .arg("b")
        .ignore()
        .get("key_1")
        .get("key_2")
        .query_async(&mut con)
        .await?;
    seen.note("two", (one, two));
    seen.note("one value", pipe().incr("n", 3).query_async::<Vec<i64>>(&mut con).await?);
    let failed =
        pipe().set("x", "text").ignore().cmd("LPUSH").arg("x").arg(1).query_async::<()>(&mut con).await.unwrap_err();
    seen.note("failed", (failed.kind(), failed.code().map(str::to_owned)));
    let mut with_errors = pipe();
    with_errors.set("y", 1).cmd("LPUSH").arg("y").arg(1).get("y").ignore_errors();
    let replies: Vec<Result<Value, redis::ServerError>> = with_errors
        .query_async::<Vec<Result<Value, redis::RedisError>>>(&mut con)
        .await?
        .into_iter()
        .map(|reply| reply.map_err(|error| redis::ServerError::try_from(error).expect("a server's")))
        .collect();
    seen.note("errors in their places", replies);
    let mut many = pipe();
    (0..500).for_each(|i| {
        many.set(format!("many:{i}"), i).ignore();
        many.cmd("INCRBY").arg(format!("many:{i}")).arg(i);
    });
    seen.note("many", many.query_async::<Vec<i64>>(&mut con).await?);
    seen.note("nothing left", con.mget::<_, Vec<i64>>(&["many:0", "many:250", "many:499"]).await?);
    let ((a,), b): ((i32,), Option<String>) = pipe()
        .atomic()
        .cmd("INCR")
        .arg("{t}a")
        .get("{t}b")
        .query_async(&mut con)
        .await
        .map(|(a, b): (i32, Option<String>)| ((a,), b))?;
    seen.note("atomic", (a, b));
    let inner = pipe()
        .atomic()
        .set("{t}s", "x")
        .ignore()
        .cmd("INCR")
        .arg("{t}s")
        .cmd("SET")
        .arg("{t}z")
        .arg(1)
        .query_async::<()>(&mut con)
        .await
        .unwrap_err();
    seen.note("an error inside a transaction", (inner.kind(), inner.code().map(str::to_owned)));
    seen.note("what follows it is executed", con.get::<_, i32>("{t}z").await?);
    Ok(())
}

#[tokio::test]
async fn pipelines_answer_as_one_server_does() {
    the_same_on_both!(pipelines);
}

async fn scripts<C: Connection>(mut con: C, seen: &mut Seen) -> RedisResult<()> {
    let script = Script::new("return {redis.call('INCRBY', KEYS[1], ARGV[1]), ARGV[2]}");
    for _ in 0..3 {
        seen.note("script", script.key("n").arg(3).arg("x").invoke_async::<(i64, String)>(&mut con).await?);
    }
    seen.note("load", script.prepare_invoke().load_async(&mut con).await?);
    let mut pipeline = pipe();
    pipeline.load_script(&script).ignore();
    pipeline.invoke_script(script.key("n").arg(1).arg("y"));
    seen.note("in a pipeline", pipeline.query_async::<Vec<(i64, String)>>(&mut con).await?);
    let failing = Script::new("return redis.call('LPUSH', KEYS[1], 1)");
    let error = failing.key("n").invoke_async::<()>(&mut con).await.unwrap_err();
    seen.note("fails", (error.kind(), error.code().map(str::to_owned)));
    Ok(())
}

#[tokio::test]
async fn scripts_answer_as_on_one_server() {
    the_same_on_both!(scripts);
}

async fn iterators<C: Connection>(mut con: C, seen: &mut Seen) -> RedisResult<()> {
    for i in 0..300 {
        let () = AsyncCommands::set(&mut con, format!("scan:{i}"), i).await?;
        let () = AsyncCommands::sadd(&mut con, "set", i).await?;
        let () = AsyncCommands::hset(&mut con, "hash", i, i * 2).await?;
        let () = AsyncCommands::zadd(&mut con, "zset", i, i).await?;
    }
    let all: BTreeSet<String> =
        AsyncCommands::scan_match(&mut con, "scan:*").await?.map(|key| key.expect("a key")).collect().await;
    seen.note("scan", all);
    let options = redis::ScanOptions::default().with_count(7).with_type("set");
    let sets: BTreeSet<String> = con.scan_options(options).await?.map(|key| key.expect("a key")).collect().await;
    seen.note("scan by type", sets);
    let members: BTreeSet<i32> =
        AsyncCommands::sscan::<_, i32>(&mut con, "set").await?.map(|member| member.expect("a member")).collect().await;
    seen.note("sscan", members);
    let fields: BTreeMap<i32, i32> = AsyncCommands::hscan::<_, (i32, i32)>(&mut con, "hash")
        .await?
        .map(|pair| pair.expect("a field"))
        .collect()
        .await;
    seen.note("hscan", fields);
    let scores: BTreeSet<String> =
        con.zscan::<_, (String, f64)>("zset").await?.map(|pair| format!("{:?}", pair.expect("a pair"))).collect().await;
    seen.note("zscan", scores);
    Ok(())
}

#[tokio::test]
async fn iterators_see_what_they_see_on_one_server() {
    the_same_on_both!(iterators);
}

async fn streams<C: Connection>(mut con: C, seen: &mut Seen) -> RedisResult<()> {
    let () = con.xgroup_create_mkstream("events", "group", "$").await?;
    let mut ids = Vec::new();
    for i in 0..10 {
        ids.push(con.xadd::<_, _, _, _, String>("events", "*", &[("n", i)]).await?);
    }
    seen.note("in order", ids.windows(2).all(|pair| pair[0] != pair[1]));
    seen.note("length", AsyncCommands::xlen::<_, usize>(&mut con, "events").await?);
    let options = StreamReadOptions::default().group("group", "one").count(4).block(10);
    let read: StreamReadReply = con.xread_options(&["events"], &[">"], &options).await?;
    let got: Vec<&String> = read.keys[0].ids.iter().map(|entry| &entry.id).collect();
    seen.note("read", got == ids[..4].iter().collect::<Vec<_>>());
    seen.note("ack", con.xack::<_, _, _, usize>("events", "group", &ids[..2]).await?);
    let pending: redis::streams::StreamPendingReply = con.xpending("events", "group").await?;
    seen.note("pending", pending.count());
    let claimed: redis::streams::StreamClaimReply = con.xclaim("events", "group", "two", 0, &ids[2..4]).await?;
    seen.note("claimed", claimed.ids.len());
    let nothing: Option<StreamReadReply> =
        con.xread_options(&["events"], &["$"], &StreamReadOptions::default().block(10)).await?;
    seen.note("nothing new", nothing.is_none());
    seen.note("trim", con.xtrim::<_, usize>("events", redis::streams::StreamMaxlen::Equals(3)).await?);
    Ok(())
}

#[tokio::test]
async fn streams_answer_as_one_server_does() {
    the_same_on_both!(streams);
}

/// Many tasks share one connection, as redis-rs's own tests of its multiplexed one do.
async fn many_tasks<C: Connection>(con: C, seen: &mut Seen) -> RedisResult<()> {
    let tasks = (0..100).map(|i| {
        let mut con = con.clone();
        async move {
            let key = format!("task:{i}");
            let () = AsyncCommands::set(&mut con, &key, "foo").await?;
            let value: String = AsyncCommands::get(&mut con, &key).await?;
            let pair: HashMap<String, i32> = {
                let () = AsyncCommands::hset(&mut con, format!("h:{key}"), "i", i).await?;
                AsyncCommands::hgetall(&mut con, format!("h:{key}")).await?
            };
            let (a, b): (String, i32) = pipe().get(&key).cmd("APPEND").arg(&key).arg("!").query_async(&mut con).await?;
            RedisResult::Ok((value, pair, a, b))
        }
    });
    seen.note("all", futures_util::future::try_join_all(tasks).await?);
    Ok(())
}

#[tokio::test]
async fn many_tasks_share_a_connection() {
    the_same_on_both!(many_tasks);
}
