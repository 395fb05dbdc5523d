//! What servers hold, in a form that can be compared.

use std::collections::BTreeMap;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Cmd, RedisResult, Value, cmd, pipe};

use super::replies::canonical;
use super::support::SOON;
use super::template::Compare;

/// One server, asked past the ring.
#[derive(Clone)]
pub struct Server {
    connection: MultiplexedConnection,
}

/// What a key holds: its type, its elements in an order of their own, and when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub kind: String,
    pub value: String,
    /// In Unix ms; -1 for never, -2 where there is no key.
    pub expiry: i64,
}

impl Content {
    pub fn is_none(&self) -> bool {
        self.kind == "none"
    }
}

impl Server {
    pub async fn connect(addr: &str) -> Server {
        let client = redis::Client::open(format!("redis://{addr}/?protocol=resp3")).expect("an address");
        let patient = AsyncConnectionConfig::new().set_response_timeout(Some(SOON)).set_connection_timeout(Some(SOON));
        let connection = client.get_multiplexed_async_connection_with_config(&patient).await;
        Server { connection: connection.expect("a server that answers") }
    }

    pub fn connection(&self) -> MultiplexedConnection {
        self.connection.clone()
    }

    /// The reply as it comes, a server's error included.
    pub async fn ask(&mut self, cmd: &Cmd) -> Value {
        self.try_ask(cmd).await.expect("an answer")
    }

    /// Likewise, from a server that may die.
    pub async fn try_ask(&mut self, cmd: &Cmd) -> RedisResult<Value> {
        self.connection.req_packed_command(cmd).await
    }

    pub async fn number(&mut self, name: &str, key: &[u8]) -> i64 {
        match self.ask(cmd(name).arg(key)).await {
            Value::Int(number) => number,
            other => panic!("{name} gives no number but {other:?}"),
        }
    }

    /// What the keys hold, in two round trips.
    pub async fn contents<'k>(
        &mut self,
        keys: impl IntoIterator<Item = &'k Vec<u8>>,
    ) -> RedisResult<BTreeMap<Vec<u8>, Content>> {
        let keys: Vec<&Vec<u8>> = keys.into_iter().collect();
        if keys.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut kinds = pipe();
        for key in &keys {
            kinds.cmd("TYPE").arg(key).cmd("PEXPIRETIME").arg(key);
        }
        let kinds = self.connection.req_packed_commands(&kinds, 0, 2 * keys.len()).await?;
        let kinds: Vec<(String, i64)> = kinds
            .chunks(2)
            .map(|pair| match pair {
                [Value::SimpleString(kind), Value::Int(expiry)] => (kind.clone(), *expiry),
                other => panic!("no type and time but {other:?}"),
            })
            .collect();
        let mut values = pipe();
        for (key, (kind, _)) in keys.iter().zip(&kinds) {
            values.add_command(value_of(kind, key));
        }
        let values = self.connection.req_packed_commands(&values, 0, keys.len()).await?;
        let mut contents = BTreeMap::new();
        for ((key, (kind, expiry)), value) in keys.into_iter().zip(kinds).zip(values) {
            let compare = match kind.as_str() {
                "hash" | "set" => Compare::Sorted,
                "stream" => Compare::Masked,
                _ => Compare::Exact,
            };
            contents.insert(key.clone(), Content { kind, value: canonical(compare, &value), expiry });
        }
        Ok(contents)
    }

    /// All its keys but the ring's own.
    pub async fn keys(&mut self) -> Vec<Vec<u8>> {
        let Value::Array(keys) = self.ask(cmd("KEYS").arg("*")).await else { panic!("KEYS gives no array") };
        let keys = keys.into_iter().map(|key| match key {
            Value::BulkString(key) => key,
            other => panic!("no key but {other:?}"),
        });
        keys.filter(|key| !key.starts_with(b"__rr:")).collect()
    }

    /// Gives this server what the other, which may die, holds under the key, its expiry included.
    pub async fn take(&mut self, other: &mut Server, key: &[u8]) -> RedisResult<()> {
        match other.try_ask(cmd("DUMP").arg(key)).await? {
            Value::BulkString(dump) => {
                let expiry = match other.try_ask(cmd("PEXPIRETIME").arg(key)).await? {
                    Value::Int(expiry) => expiry.max(0),
                    other => panic!("no time but {other:?}"),
                };
                let mut restore = cmd("RESTORE");
                restore.arg(key).arg(expiry).arg(dump).arg("REPLACE").arg("ABSTTL");
                assert_eq!(self.ask(&restore).await, Value::Okay, "a dump that another server gave");
            }
            _ => drop(self.ask(cmd("DEL").arg(key)).await),
        }
        Ok(())
    }
}

/// The command that shows all that a key of this type holds.
fn value_of(kind: &str, key: &[u8]) -> Cmd {
    let mut command = Cmd::new();
    match kind {
        "string" => command.arg("GET").arg(key),
        "hash" => command.arg("HGETALL").arg(key),
        "list" => command.arg("LRANGE").arg(key).arg(0).arg(-1),
        "set" => command.arg("SMEMBERS").arg(key),
        "zset" => command.arg("ZRANGE").arg(key).arg(0).arg(-1).arg("WITHSCORES"),
        "stream" => command.arg("XINFO").arg("STREAM").arg(key).arg("FULL").arg("COUNT").arg(0),
        _ => command.arg("TYPE").arg(key),
    };
    command
}
