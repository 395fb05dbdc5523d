//! Every key, asked directly at each of its owners.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::placement::NodeId;
use crate::{Error, ErrorKind, Result, RingClient};

use super::cluster::Cluster;

/// How the copies compare.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Compared {
    /// Keys with two copies that were compared.
    pub(super) keys: usize,
    /// Those whose copies differ, or of which one is missing.
    pub(super) differing: usize,
}

/// How long copies may take to be healed that concurrent writes left different.
const HEALED_WITHIN: Duration = Duration::from_secs(5);

/// Keys in one message.
const CHUNK: usize = 500;

/// Compares them, and those that differ once more until they are equal or time is over.
pub(super) async fn all(cluster: &Cluster, client: &RingClient, keys: &[String]) -> Result<Compared> {
    let deadline = Instant::now() + HEALED_WITHIN;
    let mut open: Vec<&String> = keys.iter().collect();
    loop {
        open = differing(cluster, client, &open).await?;
        if open.is_empty() || Instant::now() >= deadline {
            return Ok(Compared { keys: keys.len(), differing: open.len() });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The keys that not all of their owners hold, or hold with another value or expiry.
async fn differing<'k>(cluster: &Cluster, client: &RingClient, keys: &[&'k String]) -> Result<Vec<&'k String>> {
    let mut of: BTreeMap<NodeId, Vec<&'k String>> = BTreeMap::new();
    for key in keys {
        for owner in client.locate(key).owners {
            of.entry(owner).or_default().push(key);
        }
    }
    let mut held: BTreeMap<&str, Vec<Option<(String, i64)>>> = BTreeMap::new();
    for (id, keys) in &of {
        let (_, server) = cluster
            .servers
            .iter()
            .find(|(known, _)| known == id)
            .ok_or_else(|| Error::new(ErrorKind::Membership, format!("{id} is not a server of the demo")))?;
        for keys in keys.chunks(CHUNK) {
            let values = ask(&server.url(), keys).await.map_err(|error| {
                Error::new(ErrorKind::Unreachable, format!("{id} cannot be asked for its copies")).with_source(error)
            })?;
            keys.iter().zip(values).for_each(|(key, value)| held.entry(key.as_str()).or_default().push(value));
        }
    }
    let copies = client.topology().serving().copies();
    let equal = |copy: &Vec<Option<(String, i64)>>| {
        copy.len() == copies && copy.first().is_some_and(|first| first.is_some() && copy.iter().all(|c| c == first))
    };
    Ok(keys.iter().copied().filter(|key| !held.get(key.as_str()).is_some_and(equal)).collect())
}

/// What a server holds under these keys, with their expiry.
async fn ask(url: &str, keys: &[&String]) -> redis::RedisResult<Vec<Option<(String, i64)>>> {
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let mut questions = redis::pipe();
    for key in keys {
        questions.cmd("GET").arg(key.as_str()).cmd("PEXPIRETIME").arg(key.as_str());
    }
    let answers: Vec<redis::Value> = questions.query_async(&mut connection).await?;
    answers
        .chunks_exact(2)
        .map(|answer| {
            let value: Option<String> = redis::from_redis_value_ref(&answer[0])?;
            let expiry: i64 = redis::from_redis_value_ref(&answer[1])?;
            Ok(value.map(|value| (value, expiry)))
        })
        .collect()
}
