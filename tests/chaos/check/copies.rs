//! Both owners of every key, asked directly.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::Value;
use redis_ring::RingClient;

use super::{Findings, Kind, Violation};
use crate::history::Workload;
use crate::ring::Ring;
use crate::support::direct;

/// Keys asked for in one message.
const AT_ONCE: usize = 256;
/// How often a key that expires in this moment is looked at again.
const TRIES: usize = 3;

/// Compares the owners of all keys: equal dumps are equal; unequal ones are compared by type, content and expiry.
/// Returns how many keys were compared.
pub async fn compare(ring: &Ring, client: &RingClient, keys: &BTreeMap<String, Workload>) -> (Findings, usize) {
    let mut findings = Findings::default();
    let mut by_owners: BTreeMap<Vec<usize>, Vec<&str>> = BTreeMap::new();
    for key in keys.keys() {
        let owners = client.locate(key).owners.iter().map(|id| ring.number_of(id)).collect();
        by_owners.entry(owners).or_default().push(key);
    }
    for (owners, group) in &by_owners {
        let addrs: Vec<String> = owners.iter().map(|owner| ring.members[*owner].server.addr()).collect();
        for keys_at_once in group.chunks(AT_ONCE) {
            let mut dumps = Vec::new();
            for addr in &addrs {
                dumps.push(all(addr, keys_at_once).await);
            }
            let unequal = keys_at_once
                .iter()
                .enumerate()
                .filter(|(place, _)| dumps.iter().any(|d| d[*place] != dumps[0][*place]));
            for (_, key) in unequal {
                let workload = keys[*key];
                let Some(difference) = difference(&addrs, key, workload).await else { continue };
                if workload == Workload::Shared {
                    *findings.measured.entry("lists with several writers whose copies differ").or_default() += 1;
                } else {
                    let names: Vec<&str> = owners.iter().map(|owner| ring.members[*owner].id.as_str()).collect();
                    let text = format!("{key}: its owners {} differ: {difference}", names.join(" and "));
                    findings.violations.push(Violation {
                        kind: Kind::Differs,
                        workload: Some(workload),
                        at: u64::MAX,
                        text,
                    });
                }
            }
        }
    }
    (findings, keys.len())
}

/// A dump and an expiry of each key.
async fn all(addr: &str, keys: &[&str]) -> Vec<(Value, Value)> {
    let mut pipeline = redis::pipe();
    for key in keys {
        pipeline.cmd("DUMP").arg(key).cmd("PEXPIRETIME").arg(key);
    }
    let replies: Vec<Value> = pipeline.query_async(&mut direct::connect(addr).await).await.expect("an answer");
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
