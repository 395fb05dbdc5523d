//! What a member is given when it comes: the scripts that this client knows, and the functions of the others.
//!
//! One that joins is given them as soon as it is connected to, so that it has them when it is asked for the first time, and
//! once more when it is up: what the others were told meanwhile it was not.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use redis::{Value, cmd};
use tokio::sync::Notify;

use super::Snapshot;
use super::reply::is_error;
use super::scripts::Scripts;
use crate::node::Link;
use crate::placement::{Generation, NodeId, RunId};

/// Follows the connections that come; its owner aborts it.
pub(super) async fn keep_loaded(
    snapshot: Arc<ArcSwap<Snapshot>>,
    changed: Arc<Notify>,
    scripts: Arc<Scripts>,
    ms: u64,
) {
    let mut met: HashMap<NodeId, Met> = HashMap::new();
    let mut loading = FuturesUnordered::new();
    loop {
        // A waiter registered before looking misses no change.
        let mut change = pin!(changed.notified());
        change.as_mut().enable();
        for newcomer in newcomers(&snapshot.load(), &mut met) {
            loading.push(load(newcomer, &snapshot, &scripts, ms));
        }
        tokio::select! {
            () = change => {}
            Some(()) = loading.next() => {}
        }
    }
}

/// A member as it was met last.
struct Met {
    link: Weak<Link>,
    life: Life,
}

/// What is to be given everything anew when it is another one: the process, the life of its data, and whether it is up.
type Life = (RunId, Generation, bool);

/// A connection that is new.
struct Newcomer {
    id: NodeId,
    link: Arc<Link>,
    /// Whether another life of the member was met before: it may have missed what the others were told meanwhile.
    is_back: bool,
}

fn newcomers(snapshot: &Snapshot, met: &mut HashMap<NodeId, Met>) -> Vec<Newcomer> {
    met.retain(|id, _| snapshot.topology.find(id).is_some());
    let members = snapshot.seats.iter().zip(snapshot.topology.members());
    let linked = members.filter_map(|(seat, member)| Some((seat.link()?, member, seat.up)));
    let mut newcomers = Vec::new();
    for (link, member, up) in linked {
        let life: Life = (link.run_id().clone(), member.generation, up);
        let before = met.insert(member.id.clone(), Met { link: Arc::downgrade(&link), life: life.clone() });
        if before.as_ref().is_none_or(|before| before.life != life || !std::ptr::eq(before.link.as_ptr(), &*link)) {
            let is_back = before.is_some_and(|before| before.life != life);
            newcomers.push(Newcomer { id: member.id.clone(), link, is_back });
        }
    }
    newcomers
}

/// What cannot be given is not tried again: whoever runs a script that is missing sends it along, and the next
/// connection is given everything.
async fn load(newcomer: Newcomer, snapshot: &ArcSwap<Snapshot>, scripts: &Scripts, ms: u64) {
    load_scripts(&newcomer, scripts, ms).await;
    copy_functions(&newcomer, &snapshot.load_full(), ms).await;
}

async fn load_scripts(newcomer: &Newcomer, scripts: &Scripts, ms: u64) {
    let all = scripts.all();
    if all.is_empty() {
        return;
    }
    let mut exists = cmd("SCRIPT");
    exists.arg("EXISTS");
    for (sha, _) in &all {
        exists.arg(&**sha);
    }
    let there = newcomer.link.request(&exists, ms).await.ok();
    let there: Vec<bool> = there.and_then(|reply| redis::from_redis_value(reply).ok()).unwrap_or_default();
    let missing = all.iter().enumerate().filter(|(nth, _)| !there.get(*nth).copied().unwrap_or(false));
    let loads = missing.map(|(_, (_, body))| async move {
        let loaded = newcomer.link.request(cmd("SCRIPT").arg("LOAD").arg(&**body), ms).await;
        loaded.is_ok_and(|reply| !is_error(&reply))
    });
    let loaded = join_all(loads).await;
    let failed = loaded.iter().filter(|loaded| !**loaded).count();
    tracing::debug!(node = %newcomer.id, loaded = loaded.len() - failed, failed, "scripts loaded again");
}

/// How many others are asked for their functions before it is believed that there are none.
const OTHERS: usize = 3;

/// Gives a member the functions of another one: what it lacks, and where it is back after an absence also what it has
/// in another version. Nothing is deleted, since nobody can tell what is too much from what is new.
///
/// A member met for the first time that has functions is left alone: it may be the one that somebody gives a new
/// version to right now.
async fn copy_functions(newcomer: &Newcomer, snapshot: &Snapshot, ms: u64) {
    let Some(own) = functions(&newcomer.link, ms).await else { return };
    if !newcomer.is_back && !is_empty(&own) {
        return;
    }
    let seats = snapshot.seats.iter().filter(|seat| seat.up && *seat.node.id() != newcomer.id);
    for other in seats.filter_map(|seat| seat.link()).take(OTHERS) {
        match functions(&other, ms).await {
            Some(theirs) if theirs == own => return,
            Some(theirs) if !is_empty(&theirs) => {
                let restored =
                    newcomer.link.request(cmd("FUNCTION").arg("RESTORE").arg(theirs).arg("REPLACE"), ms).await;
                let done = restored.is_ok_and(|reply| !is_error(&reply));
                tracing::debug!(node = %newcomer.id, done, "functions copied");
                return;
            }
            Some(_) | None => {}
        }
    }
}

/// `None` also of a server that has no functions, being older than they are, or that does not let this user see them.
async fn functions(link: &Link, ms: u64) -> Option<Vec<u8>> {
    match link.request(cmd("FUNCTION").arg("DUMP"), ms).await {
        Ok(Value::BulkString(dump)) => Some(dump),
        Ok(_) | Err(_) => None,
    }
}

/// Every dump ends with two bytes of version and eight of checksum.
fn is_empty(dump: &[u8]) -> bool {
    dump.len() <= 10
}
