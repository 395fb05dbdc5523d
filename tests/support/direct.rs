//! Asking a server directly, past the ring.

use std::collections::BTreeMap;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, RedisResult, Value};

use super::{SOON, eventually_some};

/// A plain connection to one server, which speaks as the ring's own do.
pub async fn connect(addr: &str) -> MultiplexedConnection {
    connect_as(addr, "resp3").await
}

/// Likewise, in this protocol. It waits as long as a test may: redis-rs's own 500 ms are short on a busy machine.
pub async fn connect_as(addr: &str, protocol: &str) -> MultiplexedConnection {
    let client = redis::Client::open(format!("redis://{addr}/?protocol={protocol}")).expect("an address");
    connection(&client).await
}

/// Likewise, with the password that the client has.
pub async fn connection(client: &redis::Client) -> MultiplexedConnection {
    // Agents end all connections when a member is fenced or filled anew: one that is just being opened is none yet.
    let connect = async || try_connection(client).await.ok();
    eventually_some(SOON, "a server that answers", connect).await
}

async fn try_connection(client: &redis::Client) -> RedisResult<MultiplexedConnection> {
    let patient = AsyncConnectionConfig::new().set_connection_timeout(Some(SOON)).set_response_timeout(Some(SOON));
    client.get_multiplexed_async_connection_with_config(&patient).await
}

/// One command at one server. What only reads is asked again where its connection ended, as agents end all of them when a
/// member is fenced or filled anew.
pub async fn ask<T: FromRedisValue>(addr: &str, cmd: &Cmd) -> T {
    let answer = eventually_some(SOON, "a server that answers", || async {
        let answer = cmd.query_async(&mut connect(addr).await).await;
        match answer {
            Err(error) if error.is_connection_dropped() && only_reads(cmd) => None,
            answer => Some(answer),
        }
    });
    // Boxed, since what asks within a condition within another would be too deep a type.
    Box::pin(answer).await.expect("an answer")
}

fn only_reads(cmd: &Cmd) -> bool {
    let mut words = cmd.args_iter().filter_map(|arg| match arg {
        redis::Arg::Simple(word) => Some(String::from_utf8_lossy(word).to_ascii_uppercase()),
        _ => None,
    });
    match words.next().as_deref() {
        Some("CLIENT" | "CONFIG" | "FUNCTION" | "SCRIPT" | "ACL" | "PUBSUB") => {
            matches!(words.next().as_deref(), Some("LIST" | "GET" | "DUMP" | "EXISTS" | "NUMSUB" | "NUMPAT"))
        }
        Some(name) => READS.contains(&name),
        None => false,
    }
}

/// What tests read with.
const READS: &[&str] = &[
    "DBSIZE",
    "DUMP",
    "EXISTS",
    "GET",
    "HEXISTS",
    "HGET",
    "HGETALL",
    "HLEN",
    "HMGET",
    "INFO",
    "KEYS",
    "LINDEX",
    "LLEN",
    "LRANGE",
    "OBJECT",
    "PEXPIRETIME",
    "PTTL",
    "SCARD",
    "SMEMBERS",
    "STRLEN",
    "TTL",
    "TYPE",
    "XINFO",
    "XLEN",
    "XPENDING",
    "XRANGE",
    "ZCARD",
    "ZRANGE",
    "ZSCORE",
];

/// How often a server has executed a command since its counters began.
pub async fn calls(addr: &str, name: &str) -> u64 {
    let stats: String = ask(addr, redis::cmd("INFO").arg("commandstats")).await;
    let line = stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:calls=")));
    line.and_then(|line| line.split(',').next()?.parse().ok()).unwrap_or(0)
}

/// What a server holds under a key, in a form that can be compared: type, elements in an order of their own, absolute
/// expiry.
pub async fn content(addr: &str, key: &str) -> (String, Vec<String>, i64) {
    let content = || async {
        match try_content(addr, key).await {
            Err(error) if error.is_connection_dropped() => None,
            content => Some(content),
        }
    };
    eventually_some(SOON, "a server that answers", content).await.expect("an answer")
}

async fn try_content(addr: &str, key: &str) -> RedisResult<(String, Vec<String>, i64)> {
    let mut connection = connect(addr).await;
    let mut ask = async |cmd: &mut Cmd| -> RedisResult<Value> { cmd.query_async(&mut connection).await };
    let kind: String = redis::from_redis_value(ask(redis::cmd("TYPE").arg(key)).await?).expect("a type");
    let expiry = redis::from_redis_value(ask(redis::cmd("PEXPIRETIME").arg(key)).await?).expect("a time");
    let (value, ordered) = match kind.as_str() {
        "none" => (Value::Nil, true),
        "string" => (ask(redis::cmd("GET").arg(key)).await?, true),
        "list" => (ask(redis::cmd("LRANGE").arg(key).arg(0).arg(-1)).await?, true),
        "set" => (ask(redis::cmd("SMEMBERS").arg(key)).await?, false),
        "zset" => (ask(redis::cmd("ZRANGE").arg(key).arg(0).arg(-1).arg("WITHSCORES")).await?, true),
        "stream" => (ask(redis::cmd("XRANGE").arg(key).arg("-").arg("+")).await?, true),
        "hash" => {
            let fields: BTreeMap<Vec<u8>, Vec<u8>> =
                redis::from_redis_value(ask(redis::cmd("HGETALL").arg(key)).await?).expect("fields");
            return Ok((kind, fields.into_iter().map(|pair| format!("{pair:?}")).collect(), expiry));
        }
        other => panic!("a type without a comparison: {other}"),
    };
    let mut elements = match value {
        Value::Array(items) | Value::Set(items) => items.iter().map(|item| format!("{item:?}")).collect(),
        Value::Nil => Vec::new(),
        one => vec![format!("{one:?}")],
    };
    if !ordered {
        elements.sort();
    }
    Ok((kind, elements, expiry))
}
