//! DBSIZE: how many keys there are, and not how many copies.

use std::sync::Arc;

use futures_util::future::join_all;
use redis::Value;

use super::super::reply::{Verdict, judge};
use super::super::{Core, Snapshot};
use super::view::Silent;
use super::{Tries, View};
use crate::command::OWN_KEYS;
use crate::error::{Error, Result};
use crate::node::{Fault, Link};
use crate::placement::{MemberIndex, Phase};

/// How many keys a ring holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DbSize {
    /// The keys, each counted once.
    pub keys: u64,
    /// Whether the number is that of the keys, as `DBSIZE` of one server is.
    ///
    /// If not, it is an estimate: a member could not be asked or is known to lack writes, the ring moves, or the
    /// copies do not match. It is then what the members have, divided by the part of all copies that they should have.
    pub exact: bool,
}

pub(super) async fn run(core: &Core, first: &Arc<Snapshot>) -> Result<Value> {
    let size = count(core, first).await?;
    if !size.exact {
        tracing::debug!(keys = size.keys, "DBSIZE is an estimate: not all members were asked, or the ring moves");
    }
    Ok(Value::Int(i64::try_from(size.keys).unwrap_or(i64::MAX)))
}

/// Asks all members that can be asked.
///
/// # Errors
/// `NoOwner` while some keys have no owner that can be asked.
pub(in crate::exec) async fn count(core: &Core, first: &Arc<Snapshot>) -> Result<DbSize> {
    let mut tries = Tries::new(core, first);
    loop {
        let snapshot = Arc::clone(&tries.snapshot);
        let view = View::of(&snapshot);
        match sum(core, &view).await {
            Ok(size) if tries.counts() => return Ok(size),
            Ok(_) => {}
            Err(error) => tries.again(error).await?,
        }
    }
}

async fn sum(core: &Core, view: &View<'_>) -> Result<DbSize, Error> {
    let topology = view.snapshot().topology();
    // Without these a part of the keys is not in the sum at all, and an estimate would claim to know them.
    view.complete(&Silent::new())?;
    let asked = view.links().map(|(index, link)| async move { (index, keys_of(core, link).await) });
    let shares = topology.shares();
    let (mut copies, mut share, mut silent) = (0_u64, 0.0, Silent::new());
    for (index, keys) in join_all(asked).await {
        match keys {
            Ok(keys) => {
                copies += keys;
                share += shares[index.get()].all;
            }
            Err(why) => silent.push((index, why)),
        }
    }
    let expected = topology.serving().copies() as u64;
    if silent.is_empty() && view.is_whole() && expected > 0 {
        let lacking = view.snapshot().seats.iter().any(|seat| seat.node.has_missed_a_write());
        let exact = topology.phase() == Phase::Still && copies.is_multiple_of(expected) && !lacking;
        return Ok(DbSize { keys: copies.div_ceil(expected), exact });
    }
    let answered = |owner: &MemberIndex| view.link(*owner).is_some() && silent.iter().all(|(index, _)| index != owner);
    if !topology.serving().ranges().iter().all(|range| range.owners.iter().any(answered)) {
        return Err(view.incomplete(&silent));
    }
    let keys = (copies as f64 / share.max(f64::MIN_POSITIVE)).round();
    Ok(DbSize { keys: keys as u64, exact: false })
}

/// The keys on one server without the ring's own.
async fn keys_of(core: &Core, link: &Link) -> Result<u64, String> {
    let (all, mut own) = (redis::cmd("DBSIZE"), redis::cmd("EXISTS"));
    own.arg(&OWN_KEYS[..]);
    let (all, own) = futures_util::future::join(link.read(&all, core.read_ms), link.read(&own, core.read_ms)).await;
    let all = number(all)?.ok_or_else(|| "it does not say how many keys it has".to_owned())?;
    // A user who may not see the ring's own keys is told how many there are with them.
    Ok(all.saturating_sub(number(own)?.unwrap_or(0)))
}

fn number(reply: Result<Value, Fault>) -> Result<Option<u64>, String> {
    match reply {
        Ok(Value::Int(number)) => Ok(u64::try_from(number).ok()),
        Ok(value) if judge(&value) == Verdict::Answer => Ok(None),
        Ok(_) => Err("it cannot serve now".to_owned()),
        Err(fault) => Err(fault.to_string()),
    }
}
