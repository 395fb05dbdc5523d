//! Taking a member out of the ring because it lacks something: what one snapshot says about whether that may be.

use super::records::MemberRecord;
use super::snapshot::Snapshot;
use super::store::Change;
use crate::Result;
use crate::placement::{Generation, NodeId, State, Topology};

/// What the record of a fenced member says of the fence, for people.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Words<'a> {
    pub(crate) reason: &'a str,
    pub(crate) by: &'a str,
    /// Unix milliseconds.
    pub(crate) now_ms: u64,
}

/// What is to be done about a member that lacks something.
#[derive(Clone, Debug)]
pub(crate) enum Judged {
    Fence(Box<Change>),
    /// This life of its data is neither read nor written any more.
    Out,
    /// A guard.
    Forbidden(&'static str),
}

/// Judges a member on one snapshot. Without a generation, whichever it has is meant.
///
/// # Errors
/// `Membership` where the ring cannot be used.
pub(crate) fn judge(
    snapshot: &Snapshot,
    id: &NodeId,
    generation: Option<Generation>,
    words: Words<'_>,
) -> Result<Judged> {
    let Some(record) = snapshot.member(id).filter(|record| record.state() != State::Down) else {
        return Ok(Judged::Out);
    };
    if generation.is_some_and(|generation| generation.0 != record.generation) {
        return Ok(Judged::Out);
    }
    if let Err(guard) = may_fence(&snapshot.topology()?, id) {
        return Ok(Judged::Forbidden(guard));
    }
    let mut change = Change::of(snapshot);
    let fenced = MemberRecord {
        state: State::Down.as_str().to_owned(),
        // What cannot be reached from here may answer others: only its own agent knows that it is closed.
        closed: false,
        intact: record.is_intact(),
        reason: Some(words.reason.to_owned()),
        by: Some(words.by.to_owned()),
        since: Some(words.now_ms),
        ..record.clone()
    };
    change.put(id, fenced);
    Ok(Judged::Fence(Box::new(change)))
}

/// The guards that one snapshot can judge. They bind clients and peers, never a member's own agent.
fn may_fence(topology: &Topology, suspect: &NodeId) -> Result<(), &'static str> {
    let state = |index| topology.member(index).state;
    // It is nobody's owner yet, so nothing is lost with it.
    if topology.find(suspect).is_some_and(|(_, member)| member.state == State::Joining) {
        return Ok(());
    }
    let serving = topology.serving();
    let not_up = serving.members().filter(|(index, id, _)| *id == suspect || state(*index) != State::Up).count();
    let is_serving = serving.members().any(|(_, id, _)| id == suspect);
    if is_serving && not_up > (serving.members().len() / 3).max(1) {
        return Err("too many members are down already");
    }
    if is_last_owner(topology, suspect) { Err("it is the last owner of a range that is up") } else { Ok(()) }
}

/// Whether a range has this member only that is up.
pub(crate) fn is_last_owner(topology: &Topology, id: &NodeId) -> bool {
    topology.serving().ranges().iter().any(|range| {
        let mut owners = range.owners.iter().copied().filter(|owner| topology.member(*owner).state == State::Up);
        owners.next().is_some_and(|owner| topology.member(owner).id == *id) && owners.next().is_none()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::placement::{Config, Epoch, Member, Parts, Phase, Placed, Step};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn id(n: usize) -> NodeId {
        NodeId::new(&format!("redis-{n}")).unwrap()
    }

    fn topology(states: &[State], copies: u32, vnodes: u32) -> Topology {
        let member = |(n, state): (usize, &State)| (id(n), Member { state: *state, ..Member::faulty(id(n), "") });
        Topology::new(Parts {
            config: Config { copies, vnodes, ..Config::default() },
            epoch: Epoch(1),
            step: Step(1),
            phase: Phase::Still,
            serving: (0..states.len()).map(|n| (id(n), Placed::default())).collect(),
            next: BTreeMap::new(),
            old: BTreeMap::new(),
            copies_next: None,
            copies_old: None,
            members: states.iter().enumerate().map(member).collect(),
        })
        .unwrap()
    }

    fn with_down(members: usize, down: &[usize], copies: u32) -> Topology {
        let state = |n| if down.contains(&n) { State::Down } else { State::Up };
        topology(&(0..members).map(state).collect::<Vec<_>>(), copies, 1024)
    }

    #[test]
    fn at_most_a_third_is_fenced() {
        assert!(may_fence(&with_down(4, &[], 2), &id(0)).is_ok());
        // With three copies the second is nobody's last owner, so it is the number that forbids it.
        assert_eq!(may_fence(&with_down(4, &[1], 3), &id(0)), Err("too many members are down already"));
        assert!(may_fence(&with_down(6, &[1], 3), &id(0)).is_ok());
        assert!(may_fence(&with_down(2, &[], 2), &id(0)).is_ok());
    }

    #[test]
    fn the_last_owner_of_a_range_is_never_fenced() {
        assert!(may_fence(&with_down(1, &[], 2), &id(0)).is_err());
        // With 1,024 points each of nine members has ranges with each other one.
        assert_eq!(may_fence(&with_down(9, &[1], 2), &id(0)), Err("it is the last owner of a range that is up"));
        assert!(may_fence(&with_down(9, &[], 1), &id(0)).is_err());
        assert!(may_fence(&with_down(9, &[1], 3), &id(0)).is_ok());
    }

    proptest! {
        #[test]
        fn whoever_is_fenced_leaves_every_range_an_owner_and_most_members_up(
            states in prop::collection::vec(prop::sample::select(vec![State::Up, State::Down, State::Joining]), 1..9),
            copies in 1_u32..4,
            suspect in 0_usize..9,
        ) {
            let suspect = suspect % states.len();
            let before = topology(&states, copies, 16);
            let allowed = may_fence(&before, &id(suspect));
            if states[suspect] == State::Joining {
                prop_assert!(allowed.is_ok());
                return Ok(());
            }
            let mut fenced = states.clone();
            fenced[suspect] = State::Down;
            let after = topology(&fenced, copies, 16);
            let owned = |topology: &Topology| -> Vec<bool> {
                let up = |owner: &crate::placement::MemberIndex| topology.member(*owner).state == State::Up;
                topology.serving().ranges().iter().map(|range| range.owners.iter().any(up)).collect()
            };
            let loses_one = owned(&before).iter().zip(owned(&after)).any(|(before, after)| *before && !after);
            let not_up = fenced.iter().filter(|state| **state != State::Up).count();
            let too_many = not_up > (states.len() / 3).max(1);
            prop_assert_eq!(allowed.is_err(), loses_one || too_many);
        }
    }
}
