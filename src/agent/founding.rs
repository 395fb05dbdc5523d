//! Taking part in the founding of a ring.

use serde_json::Map;

use super::info::Info;
use super::options::{AgentOptions, ExistingKeys};
use super::record::Author;
use crate::membership::records::{MemberRecord, PlacedRecord, VERSION};
use crate::membership::{Address, Change, Snapshot};
use crate::placement::{NodeId, Phase, Placed, State, crc32};
use crate::{Error, ErrorKind, Result};

/// Whether any of the rings has this member.
pub(super) fn is_member(snapshot: &Snapshot, id: &NodeId) -> bool {
    let ring = &snapshot.ring;
    [&ring.serving, &ring.next, &ring.old].into_iter().any(|ring| ring.contains_key(id.as_str()))
}

/// Adds a member to a ring that is being founded; with the last one the ring is founded.
///
/// # Errors
/// `Refused`, with the reason and what to do about it: the ring is founded already, an id or a server is taken, or the
/// server is not fit for a member.
pub(super) fn register(
    snapshot: &Snapshot,
    options: &AgentOptions,
    info: &Info,
    author: Author<'_>,
) -> Result<Option<Change>> {
    let id = &options.id;
    if is_member(snapshot, id) {
        return Ok(None);
    }
    let Phase::Founding { wanted } = snapshot.phase()? else {
        let message = format!("{id} is not a member of this ring, which is founded");
        let hint = "a new member joins through a move, which this version does not offer; an agent of a member has \
                    that member's id";
        return Err(refused(message, hint));
    };
    fit(snapshot, options, info)?;
    others(snapshot, options, info)?;
    let mut change = Change::of(snapshot);
    let record = MemberRecord {
        v: VERSION,
        addr: author.addr.to_owned(),
        state: State::Up.as_str().to_owned(),
        generation: 1,
        run_id: info.run_id.clone(),
        closed: false,
        reason: Some("founded the ring".to_owned()),
        by: Some(author.by.to_owned()),
        since: Some(author.now_ms),
        left: None,
        intact: false,
        accepted: None,
        rest: Map::new(),
    };
    change.put(id, record);
    let ring = change.ring();
    let place = Placed { weight: options.weight, zone: options.zone.clone() };
    ring.serving.insert(id.as_str().to_owned(), PlacedRecord::from(&place));
    if ring.serving.len() >= wanted as usize {
        (ring.founding, ring.step, ring.phase) = (None, 1, Phase::Still.as_str().to_owned());
    }
    Ok(Some(change))
}

/// Whether the server can be a member.
fn fit(snapshot: &Snapshot, options: &AgentOptions, info: &Info) -> Result<()> {
    let id = &options.id;
    if info.replica {
        return Err(refused(
            format!("the server of {id} is a replica of another server"),
            "a ring keeps its own copies: run REPLICAOF NO ONE, or give the agent the master",
        ));
    }
    if let Some(why) = info.eviction(snapshot.config.cache) {
        return Err(refused(
            format!("the server of {id} evicts keys: {why}"),
            "run CONFIG SET maxmemory-policy noeviction, and write it to redis.conf as well",
        ));
    }
    if info.keys > 0 && options.existing == ExistingKeys::Refuse {
        return Err(refused(
            format!("the server of {id} is not empty: it has {} keys", info.keys),
            "empty it, or start the agent with --adopt if its keys are where the ring looks for them",
        ));
    }
    Ok(())
}

/// Whether the member can be told from all the others and reached by them.
fn others(snapshot: &Snapshot, options: &AgentOptions, info: &Info) -> Result<()> {
    let id = &options.id;
    let announced = options.announced();
    for name in snapshot.ring.serving.keys() {
        if crc32(name.as_bytes()) == crc32(id.as_str().as_bytes()) {
            return Err(refused(
                format!("the ids {id} and {name} have the same CRC32, so their points on the ring would coincide"),
                "give this member another id",
            ));
        }
        let Some(record) = NodeId::new(name).ok().and_then(|other| snapshot.member(&other)) else { continue };
        if record.run_id == info.run_id || record.addr == announced.to_string() {
            return Err(Error::new(ErrorKind::Conflict, format!("the server of {id} is already the member {name}"))
                .with_hint("each member has a server of its own: check --redis, --announce and --id"));
        }
        let theirs = record.addr.parse::<Address>();
        if announced.is_loopback() && theirs.is_ok_and(|theirs| !theirs.is_loopback()) {
            return Err(refused(
                format!("others cannot reach {id} at {announced}, and {name} is on another machine"),
                "say where others reach it: --announce redis://HOST:PORT",
            ));
        }
    }
    Ok(())
}

fn refused(message: String, hint: &str) -> Error {
    Error::new(ErrorKind::Refused, message).with_hint(hint)
}
