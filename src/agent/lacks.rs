//! What keeps a member from being filled although its server is well.

use crate::Result;
use crate::membership::records::MemberRecord;
use crate::membership::{Entry, Snapshot};
use crate::placement::{NodeId, Phase, State};

/// Why a member could not be filled if it joined now, or cannot be now that it is joining. `kept`: whether its server has
/// the data of the life that its record names.
///
/// # Errors
/// `Membership` where the ring cannot be used.
pub(super) fn lacks(snapshot: &Snapshot, id: &NodeId, run_id: &str, kept: bool) -> Result<Option<String>> {
    let Some(record) = snapshot.member(id) else { return Ok(None) };
    let is_well = record.state() == State::Up && record.run_id == run_id;
    if is_well || matches!(snapshot.phase()?, Phase::Founding { .. }) {
        return Ok(None);
    }
    // Building a topology takes milliseconds, and while a member joins this is asked time and again.
    let others = snapshot.ring.serving.keys().filter(|other| other.as_str() != id.as_str());
    let copies = snapshot.ring.serving.len().min(snapshot.config.copies as usize);
    if others.filter(|other| is_away(snapshot, other)).count() + 1 < copies {
        return Ok(None);
    }
    let joining = MemberRecord {
        state: State::Joining.as_str().to_owned(),
        run_id: run_id.to_owned(),
        intact: kept && record.is_intact(),
        ..record.clone()
    };
    let record = Ok(joining.in_place_of(Some(record), snapshot.epoch));
    let mut then = snapshot.clone();
    then.members.insert(id.clone(), Entry { version: None, record });
    let topology = then.topology()?;
    let Some((me, _)) = topology.find(id) else { return Ok(None) };
    let why = topology.lacks(me).map(|lack| {
        let ranges = lack.ranges;
        let remedy = format!("`redis-ring unfence {id} --accept-loss` takes what it has");
        match lack.last_up.filter(|last| *last != me).map(|last| &topology.member(last).id) {
            Some(last) => format!("waits for {last}, which alone has all of {ranges} ranges; {remedy}"),
            None => format!("nobody has all of {ranges} ranges any more; {remedy}"),
        }
    });
    Ok(why)
}

fn is_away(snapshot: &Snapshot, name: &str) -> bool {
    let id = NodeId::new(name).ok();
    id.and_then(|id| snapshot.member(&id)).is_none_or(|record| record.state() != State::Up)
}
