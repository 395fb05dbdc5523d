//! What is there when all is over: read through the ring, and asked of both owners directly.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use redis::{AsyncCommands as _, Cmd, RedisResult, Value, cmd};
use redis_ring::{RingClient, RingConnection};

use crate::history::{Act, End, Op, Workload, now};
use crate::ring::Ring;
use crate::support::{SOON, direct, eventually_some};

/// Reads at the end, side by side.
const SIDE_BY_SIDE: usize = 32;
/// Keys asked for in one message.
const AT_ONCE: usize = 256;
/// How often a key that expires in this moment is looked at again.
const TRIES: usize = 3;

/// What everything that was written is now, as operations of one more client.
pub async fn read_all(ring: &RingClient, client: usize, ops: &[Op]) -> Vec<Op> {
    let mut cells: BTreeMap<&str, (Workload, bool)> = BTreeMap::new();
    for op in ops.iter().filter(|op| !op.act.is_read()) {
        cells.entry(&op.cell).or_insert((op.workload, op.is_list()));
    }
    let looks = cells.into_iter().map(|(cell, (workload, is_list))| {
        let mut connection = ring.connection();
        async move {
            let begun = now();
            let end = look(&mut connection, cell, is_list).await;
            let end = end.unwrap_or_else(|error| End::Unknown(error.to_string()));
            Op { client, workload, cell: cell.to_owned(), act: Act::Read, begun, ended: now(), end, again: false }
        }
    });
    futures_util::stream::iter(looks).buffer_unordered(SIDE_BY_SIDE).collect().await
}

/// Later rounds have keys of their own, and need the room.
pub async fn clear(ring: &RingClient, keys: &BTreeMap<String, Workload>) {
    let mut connection = ring.connection();
    let keys: Vec<&String> = keys.keys().collect();
    for some in keys.chunks(AT_ONCE) {
        // What remains is in nobody's way.
        let _: RedisResult<u64> = connection.unlink(some).await;
    }
}

/// The keys whose owners hold different things, and what. Equal dumps are equal; unequal ones are compared by type,
/// content and expiry.
pub async fn compare(ring: &Ring, client: &RingClient, keys: &BTreeMap<String, Workload>) -> BTreeMap<String, String> {
    let mut by_owners: BTreeMap<Vec<usize>, Vec<&str>> = BTreeMap::new();
    for key in keys.keys() {
        let owners = client.locate(key).owners.iter().map(|id| ring.number_of(id)).collect();
        by_owners.entry(owners).or_default().push(key);
    }
    let mut different = BTreeMap::new();
    for (owners, group) in &by_owners {
        let addrs: Vec<String> = owners.iter().map(|owner| ring.members[*owner].server.addr()).collect();
        for some in group.chunks(AT_ONCE) {
            let mut dumps = Vec::new();
            for addr in &addrs {
                dumps.push(all(addr, some).await);
            }
            for (place, key) in some.iter().enumerate() {
                if dumps.iter().all(|dump| dump[place] == dumps[0][place]) {
                    continue;
                }
                if let Some(how) = difference(&addrs, key, keys[*key]).await {
                    let names: Vec<&str> = owners.iter().map(|owner| ring.members[*owner].id.as_str()).collect();
                    different.insert((*key).to_owned(), format!("{} hold {how}", names.join(" and ")));
                }
            }
        }
    }
    different
}

/// A dump and an expiry of each key.
async fn all(addr: &str, keys: &[&str]) -> Vec<(Value, Value)> {
    let mut pipeline = redis::pipe();
    for key in keys {
        pipeline.cmd("DUMP").arg(key).cmd("PEXPIRETIME").arg(key);
    }
    // An agent that takes its member out ends all connections there.
    let ask = async || pipeline.query_async::<Vec<Value>>(&mut direct::connect(addr).await).await.ok();
    let replies = eventually_some(SOON, "a server answers", ask).await;
    let mut replies = replies.into_iter();
    std::iter::from_fn(|| Some((replies.next()?, replies.next()?))).collect()
}

async fn difference(addrs: &[String], key: &str, workload: Workload) -> Option<String> {
    let mut said = String::new();
    for _ in 0..TRIES {
        let mut contents = Vec::new();
        for addr in addrs {
            contents.push(direct::content(addr, key).await);
        }
        if contents.iter().all(|content| *content == contents[0]) {
            return None;
        }
        said = format!("{contents:?}").chars().take(300).collect();
        if workload != Workload::Expiry {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Some(said)
}

async fn look(connection: &mut RingConnection, cell: &str, is_list: bool) -> RedisResult<End> {
    let (key, field) = cell.split_once('#').map_or((cell, None), |(key, field)| (key, Some(field)));
    if is_list {
        return Ok(End::Numbers(connection.lrange(key, 0, -1).await?));
    }
    let text: Option<String> = match field {
        // Sorted sets are those whose letter says so.
        Some(field) if key.split(':').nth(1) == Some("z") => ask(connection, cmd("ZSCORE").arg(key).arg(field)).await?,
        Some(field) => ask(connection, cmd("HGET").arg(key).arg(field)).await?,
        None => ask(connection, cmd("GET").arg(key)).await?,
    };
    Ok(number_of(cell, text))
}

async fn ask(connection: &mut RingConnection, cmd: &Cmd) -> RedisResult<Option<String>> {
    cmd.query_async(connection).await
}

/// Plain numbers, and those under a name.
fn number_of(cell: &str, text: Option<String>) -> End {
    let Some(text) = text else { return End::Number(None) };
    let number = text.strip_prefix(cell).and_then(|rest| rest.strip_prefix('=')).unwrap_or(&text);
    number.parse().map_or(End::Nonsense(text.clone()), |number| End::Number(Some(number)))
}
