//! One copy of a key, asked of one server: its type, its expiry, and a digest of its content.
//!
//! The digest is of the content by type, not of DUMP: two servers may encode the same value in different ways. Long
//! values are read in pieces, so that no answer is large; a value that changes meanwhile gives a digest of neither
//! state, which is why copies that differ are asked again.

use redis::{Cmd, FromRedisValue, Value};
use sha2::{Digest as _, Sha256};

use crate::node::Direct;
use crate::{Error, ErrorKind, Result};

/// What one server has of a key.
#[derive(Clone, Debug, Default)]
pub(super) struct Copy {
    /// Its type; `None` where there is no such key.
    pub(super) kind: Option<String>,
    /// How long until it expires, by its server's clock; `None`: never.
    pub(super) ttl_ms: Option<u64>,
    /// When it expires, in Unix milliseconds.
    pub(super) expires_at_ms: Option<u64>,
    /// The first 16 hex digits of the SHA-256 of type and content. For a type that is not known, of its DUMP.
    pub(super) digest: Option<String>,
    /// Whether equal content always has the same digest. That of a DUMP can only prove equality.
    exact: bool,
    /// Bytes that it takes there.
    pub(super) memory: Option<u64>,
}

impl Copy {
    /// Whether it is the same in content and in expiry; `None` where that cannot be told.
    pub(super) fn same(&self, other: &Copy) -> Option<bool> {
        if self.kind != other.kind || self.expires_at_ms != other.expires_at_ms {
            return Some(false);
        }
        if self.digest == other.digest {
            return Some(true);
        }
        (self.exact && other.exact).then_some(false)
    }
}

/// Elements in one answer.
const PIECE: usize = 1000;
/// Bytes of a string in one answer.
const BYTES: usize = 1 << 20;

/// Asks one server.
///
/// # Errors
/// As [`Direct::ask`].
pub(super) async fn copy(direct: Direct, key: &[u8]) -> Result<Copy> {
    let server = Server { direct, key };
    // One round trip for what is small; the type decides what else is asked.
    let (kind, ttl, until, memory) = tokio::join!(
        server.get::<String>("TYPE", &[]),
        server.get::<i64>("PTTL", &[]),
        server.get::<i64>("PEXPIRETIME", &[]),
        server.sub::<Option<u64>>("MEMORY", "USAGE"),
    );
    let (kind, ttl) = (kind?, ttl?);
    if kind == "none" {
        return Ok(Copy { exact: true, ..Copy::default() });
    }
    let ttl_ms = u64::try_from(ttl).ok();
    let expires_at_ms = match until {
        Ok(until) => u64::try_from(until).ok(),
        // Before Redis 7.0 there is only what is left; what the two add up to is right to a few milliseconds, and
        // rounding makes it equal on both copies nearly always.
        Err(error) if error.kind() == ErrorKind::Server => {
            ttl_ms.map(|ttl| (super::human::now_ms() + ttl + 50) / 100 * 100)
        }
        Err(error) => return Err(error),
    };
    let mut hash = Sha256::new();
    hash.update(kind.as_bytes());
    let exact = server.content(&kind, &mut hash).await?;
    let digest = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Ok(Copy { kind: Some(kind), ttl_ms, expires_at_ms, digest: Some(digest), exact, memory: memory.ok().flatten() })
}

struct Server<'a> {
    direct: Direct,
    key: &'a [u8],
}

impl Server<'_> {
    /// Adds the content to the hash. Whether equal content always gives an equal hash.
    async fn content(&self, kind: &str, hash: &mut Sha256) -> Result<bool> {
        match kind {
            "string" => self.string(hash).await?,
            "list" => self.list(hash).await?,
            "set" => self.scanned("SSCAN", 1, hash).await?,
            "hash" => self.scanned("HSCAN", 2, hash).await?,
            "zset" => self.scanned("ZSCAN", 2, hash).await?,
            "stream" => self.stream(hash).await?,
            _ => {
                let dump: Value = self.get("DUMP", &[]).await?;
                value(hash, &dump);
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn string(&self, hash: &mut Sha256) -> Result<()> {
        for from in (0_usize..).step_by(BYTES) {
            let range = [from.to_string(), (from + BYTES - 1).to_string()];
            let piece: Vec<u8> = self.get("GETRANGE", &range).await?;
            hash.update(&piece);
            if piece.len() < BYTES {
                break;
            }
        }
        Ok(())
    }

    async fn list(&self, hash: &mut Sha256) -> Result<()> {
        for from in (0_usize..).step_by(PIECE) {
            let range = [from.to_string(), (from + PIECE - 1).to_string()];
            let piece: Vec<Value> = self.get("LRANGE", &range).await?;
            piece.iter().for_each(|element| value(hash, element));
            if piece.len() < PIECE {
                break;
            }
        }
        Ok(())
    }

    /// What has no order: each element's own hash, sorted. SCAN may show an element twice.
    async fn scanned(&self, command: &'static str, width: usize, hash: &mut Sha256) -> Result<()> {
        let mut elements: Vec<sha2::digest::Output<Sha256>> = Vec::new();
        let mut cursor = "0".to_owned();
        loop {
            let options = [cursor, "COUNT".to_owned(), PIECE.to_string()];
            let (next, piece): (String, Vec<Vec<u8>>) = self.get(command, &options).await?;
            elements.extend(piece.chunks(width).map(|element: &[Vec<u8>]| {
                let mut one = Sha256::new();
                element.iter().for_each(|part| sized(&mut one, part));
                one.finalize()
            }));
            if next == "0" {
                break;
            }
            cursor = next;
        }
        elements.sort_unstable();
        elements.dedup();
        elements.iter().for_each(|element| hash.update(element));
        Ok(())
    }

    /// The entries, and of each group what it was last given and what is not acknowledged. Not who is idle for how long.
    async fn stream(&self, hash: &mut Sha256) -> Result<()> {
        let mut from = "-".to_owned();
        loop {
            let range = [from, "+".to_owned(), "COUNT".to_owned(), PIECE.to_string()];
            let piece: Vec<Value> = self.get("XRANGE", &range).await?;
            piece.iter().for_each(|entry| value(hash, entry));
            let last: Option<String> = match piece.last() {
                Some(Value::Array(entry)) if piece.len() == PIECE => {
                    entry.first().and_then(|id| String::from_redis_value_ref(id).ok())
                }
                Some(_) | None => None,
            };
            match last {
                Some(id) => from = format!("({id}"),
                None => break,
            }
        }
        let info: Value = self.sub("XINFO", "STREAM").await?;
        fields(hash, &info, &["last-generated-id"]);
        let groups: Vec<Value> = self.sub("XINFO", "GROUPS").await?;
        for group in &groups {
            fields(hash, group, &["name", "last-delivered-id", "pending"]);
            let Some(name) = field(group, "name") else { continue };
            let mut cmd = redis::cmd("XPENDING");
            cmd.arg(self.key).arg(name).arg("-").arg("+").arg(PIECE);
            let pending: Vec<Value> = self.ask(&cmd).await?;
            for entry in &pending {
                // Id, consumer, idle time, deliveries.
                if let Value::Array(parts) = entry {
                    [0, 1, 3].iter().filter_map(|at| parts.get(*at)).for_each(|part| value(hash, part));
                }
            }
        }
        Ok(())
    }

    async fn get<T: FromRedisValue>(&self, command: &'static str, arguments: &[String]) -> Result<T> {
        let mut cmd = redis::cmd(command);
        cmd.arg(self.key);
        for argument in arguments {
            cmd.arg(argument);
        }
        self.ask(&cmd).await
    }

    async fn sub<T: FromRedisValue>(&self, command: &'static str, sub: &'static str) -> Result<T> {
        self.ask(redis::cmd(command).arg(sub).arg(self.key)).await
    }

    async fn ask<T: FromRedisValue>(&self, cmd: &Cmd) -> Result<T> {
        let value = self.direct.ask(cmd).await?;
        T::from_redis_value(value).map_err(|_| {
            Error::new(ErrorKind::Server, "an answer cannot be understood: did the key change its type meanwhile?")
        })
    }
}

/// A part with its length before it, so that two parts never read as one.
fn sized(hash: &mut Sha256, part: &[u8]) {
    hash.update((part.len() as u64).to_le_bytes());
    hash.update(part);
}

fn value(hash: &mut Sha256, of: &Value) {
    match of {
        Value::BulkString(bytes) => sized(hash, bytes),
        Value::SimpleString(text) => sized(hash, text.as_bytes()),
        Value::Array(elements) => {
            hash.update((elements.len() as u64).to_le_bytes());
            elements.iter().for_each(|element| value(hash, element));
        }
        Value::Int(number) => sized(hash, number.to_string().as_bytes()),
        other => sized(hash, format!("{other:?}").as_bytes()),
    }
}

/// Some fields of an answer that is a map, or with RESP2 an array of names and values.
fn fields(hash: &mut Sha256, map: &Value, names: &[&str]) {
    names.iter().filter_map(|name| field(map, name)).for_each(|bytes| sized(hash, &bytes));
}

fn field(map: &Value, name: &str) -> Option<Vec<u8>> {
    let (_, found) =
        map.as_map_iter()?.find(|(key, _)| String::from_redis_value_ref(key).is_ok_and(|key| key == name))?;
    match found {
        Value::Int(number) => Some(number.to_string().into_bytes()),
        other => Vec::<u8>::from_redis_value_ref(other).ok(),
    }
}
