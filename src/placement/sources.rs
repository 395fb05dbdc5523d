//! Where a member that gains keys gets them from.

use std::collections::BTreeSet;

use super::{MemberIndex, State, Token, Topology};

/// Where a member that gains keys gets them from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The members that are the write primary of some token that it gains.
    pub members: BTreeSet<MemberIndex>,
    /// How many ranges of what it gains no member that is up can give.
    pub orphaned: usize,
}

/// What keeps a member from being filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// How many ranges.
    pub ranges: usize,
    /// The owner of the first of them that was up last, if that is known: the member itself, or another.
    pub last_up: Option<MemberIndex>,
}

impl Topology {
    /// Whom a key is copied from: the write primary of its token, as the serving ring and the members' states have it.
    pub fn source(&self, token: Token) -> Option<MemberIndex> {
        self.serving().owners(token).iter().copied().find(|owner| self.member(*owner).state == State::Up)
    }

    /// The members that gain keys now, and those that are joining with nothing to gain.
    pub fn gaining(&self) -> BTreeSet<MemberIndex> {
        let indices = (0..self.members().len()).map(|at| MemberIndex(at as u16));
        let candidates = indices.filter(|index| self.is_gaining(*index));
        let (joining, others): (BTreeSet<_>, BTreeSet<_>) =
            candidates.partition(|index| self.member(*index).state == State::Joining);
        let mut gaining = joining;
        if !others.is_empty() && !self.is_the_same_ring() {
            gaining.extend(self.ends().into_iter().flat_map(|token| self.gainers(token)));
        }
        gaining
    }

    /// Where a member gets from what it gains now; nothing at all if it gains nothing.
    pub fn sources(&self, member: MemberIndex) -> Sources {
        let mut sources = Sources::default();
        if !self.is_gaining(member) {
            return sources;
        }
        for token in self.ends().into_iter().filter(|token| self.gains(member, *token)) {
            match self.source(token) {
                Some(source) => {
                    sources.members.insert(source);
                }
                None if self.believed(self.serving().owners(token)) == Some(member) => {}
                None => sources.orphaned += 1,
            }
        }
        sources
    }

    /// Of owners none of which is up, the one that is joining and whose own data stands for what they own. The one that went
    /// down last has everything that was acknowledged, if it still has it; failing that, whatever an operator has accepted.
    fn believed(&self, owners: &[MemberIndex]) -> Option<MemberIndex> {
        let joining = |owner: &MemberIndex| self.member(*owner).state == State::Joining;
        if owners.iter().any(|owner| self.member(*owner).state == State::Up) {
            return None;
        }
        let last = self.last_up(owners).filter(|last| joining(last) && self.member(*last).intact);
        // Of several the same one everywhere, or each would wait for the other.
        let accepted = owners.iter().copied().filter(|owner| joining(owner) && self.member(*owner).accepted);
        last.or_else(|| accepted.min())
    }

    /// The owner that was up last, if that is known of all of them.
    fn last_up(&self, owners: &[MemberIndex]) -> Option<MemberIndex> {
        let left = owners.iter().map(|owner| Some((self.member(*owner).left?, *owner)));
        left.collect::<Option<Vec<_>>>()?.into_iter().max().map(|(_, owner)| owner)
    }

    /// What keeps a member from being filled, now that it is joining: ranges that no member that is up owns, and for which
    /// its own data does not stand.
    pub fn lacks(&self, member: MemberIndex) -> Option<Lack> {
        let mut lack: Option<Lack> = None;
        for range in self.serving().ranges() {
            let owners = range.owners;
            let is_there = owners.iter().any(|owner| self.member(*owner).state == State::Up);
            if is_there || !owners.contains(&member) || self.believed(owners) == Some(member) {
                continue;
            }
            let lack = lack.get_or_insert(Lack { ranges: 0, last_up: self.last_up(owners) });
            lack.ranges += 1;
        }
        lack
    }

    /// Tokens between any two of which the owners of neither ring change.
    fn ends(&self) -> Vec<Token> {
        let rings = [Some(self.serving()), self.next()].into_iter().flatten();
        let mut ends: Vec<Token> = rings.flat_map(|ring| ring.ranges().into_iter().map(|range| range.last)).collect();
        ends.sort_unstable();
        ends.dedup();
        ends
    }

    fn is_the_same_ring(&self) -> bool {
        let serving = self.serving();
        self.next().is_some_and(|next| next.is_as(serving))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::placement::{Config, Epoch, Member, NodeId, Parts, Phase, Placed, Step};

    fn topology(phase: Phase, states: &[State], next: &[usize], copies: u32) -> Topology {
        Topology::new(parts(phase, states, next, copies)).unwrap()
    }

    fn parts(phase: Phase, states: &[State], next: &[usize], copies: u32) -> Parts {
        let id = |n: usize| NodeId::new(&format!("redis-{n}")).unwrap();
        let ring = |ids: &mut dyn Iterator<Item = usize>| -> BTreeMap<NodeId, Placed> {
            ids.map(|n| (id(n), Placed::default())).collect()
        };
        let member = |(n, state): (usize, &State)| (id(n), Member { state: *state, ..Member::faulty(id(n), "") });
        Parts {
            config: Config { copies, vnodes: 16, ..Config::default() },
            epoch: Epoch(1),
            step: Step(1),
            phase,
            serving: ring(&mut (0..states.len())),
            next: ring(&mut next.iter().copied()),
            old: BTreeMap::new(),
            copies_next: None,
            copies_old: None,
            members: states.iter().enumerate().map(member).collect(),
        }
    }

    #[test]
    fn nobody_gains_while_nothing_is_filled() {
        let states = [State::Up, State::Joining, State::Up];
        for phase in [Phase::Still, Phase::Retiring] {
            assert_eq!(topology(phase, &states, &[0, 1, 2], 2).sources(MemberIndex(1)), Sources::default());
        }
        let filling = topology(Phase::Filling, &states, &[0, 1, 2], 2);
        assert_eq!(filling.sources(MemberIndex(0)), Sources::default());
        assert_eq!(filling.sources(MemberIndex(1)).members, [MemberIndex(0), MemberIndex(2)].into());
    }

    #[test]
    fn what_no_member_that_is_up_has_is_counted() {
        let states = [State::Down, State::Joining, State::Up, State::Up];
        assert!(topology(Phase::Filling, &states, &[0, 1, 2, 3], 2).sources(MemberIndex(1)).orphaned > 0);
        assert_eq!(topology(Phase::Filling, &states, &[0, 1, 2, 3], 3).sources(MemberIndex(1)).orphaned, 0);
    }

    /// Members of a ring that is being filled: the epoch with which they ceased to be up, and the rest as it is said.
    fn left(states: &[(State, Option<i32>, bool, bool)]) -> Topology {
        let mut parts = parts(Phase::Filling, &states.iter().map(|it| it.0).collect::<Vec<_>>(), &[0, 1], 2);
        for (member, (_, left, intact, accepted)) in parts.members.values_mut().zip(states) {
            (member.left, member.intact, member.accepted) = (left.map(Epoch), *intact, *accepted);
        }
        Topology::new(parts).unwrap()
    }

    #[test]
    fn of_owners_none_of_which_is_up_the_last_one_that_was_is_believed_or_one_that_is_accepted() {
        use State::{Down, Joining, Up};
        let (first, last) = (Some(5), Some(6));
        let believed = |one, other| {
            let topology = left(&[one, other]);
            let all = topology.serving().ranges();
            let [one, other] = [0, 1].map(|n| topology.lacks(MemberIndex(n)).is_none());
            for range in &all {
                let who = topology.believed(range.owners);
                assert_eq!((who == Some(MemberIndex(0)), who == Some(MemberIndex(1))), (one, other));
            }
            for n in [0, 1].map(MemberIndex).into_iter().filter(|n| topology.member(*n).state == Joining) {
                assert_eq!(topology.sources(n).orphaned == 0, topology.lacks(n).is_none());
            }
            [one, other].iter().position(|it| *it)
        };
        assert_eq!(believed((Joining, first, true, false), (Joining, last, true, false)), Some(1));
        assert_eq!(believed((Joining, last, true, false), (Joining, first, true, false)), Some(0));
        assert_eq!(believed((Joining, first, true, false), (Down, last, true, false)), None, "the last is not there");
        assert_eq!(
            believed((Joining, first, true, false), (Joining, last, false, false)),
            None,
            "it has lost its data"
        );
        assert_eq!(believed((Joining, first, true, false), (Joining, None, true, false)), None, "nobody knows");
        assert_eq!(believed((Joining, first, false, true), (Down, last, true, false)), Some(0), "an operator knows");
        assert_eq!(believed((Joining, first, false, true), (Joining, None, false, true)), Some(0), "only one");
        assert_eq!(believed((Joining, first, false, true), (Joining, last, true, false)), Some(1), "the best is there");
        assert_eq!(believed((Down, last, true, true), (Joining, first, true, false)), None);
        // Whoever is up has everything.
        let up = left(&[(Up, None, false, false), (Joining, first, true, true)]);
        assert!(up.serving().ranges().iter().all(|range| up.believed(range.owners).is_none()));
        assert_eq!((up.lacks(MemberIndex(1)), up.sources(MemberIndex(1)).orphaned), (None, 0));
        let waits = left(&[(Joining, first, true, false), (Down, last, true, false)]).lacks(MemberIndex(0));
        assert_eq!(waits.unwrap().last_up, Some(MemberIndex(1)));
    }

    proptest! {
        /// Every token that is gained is copied from one of the sources, or counts as orphaned.
        #[test]
        fn every_gained_token_has_its_source_among_them(
            states in prop::collection::vec(
                prop::sample::select(vec![State::Up, State::Up, State::Down, State::Joining]), 2..6),
            leaves in any::<prop::sample::Index>(),
            grows in any::<bool>(),
            tokens in prop::collection::vec(any::<u32>(), 200),
        ) {
            let mut next: Vec<usize> = (0..states.len()).collect();
            if grows {
                next.remove(leaves.index(states.len()));
            }
            let topology = topology(Phase::Filling, &states, &next, 2);
            for member in (0..states.len()).map(|n| MemberIndex(n as u16)) {
                let sources = topology.sources(member);
                for token in tokens.iter().map(|token| Token(*token)).filter(|token| topology.gains(member, *token)) {
                    match topology.source(token) {
                        Some(source) => prop_assert!(sources.members.contains(&source)),
                        None => prop_assert!(sources.orphaned > 0),
                    }
                }
                let gains = sources != Sources::default() || states[member.get()] == State::Joining;
                prop_assert_eq!(topology.gaining().contains(&member), gains);
                prop_assert!(!sources.members.contains(&member) || topology.member(member).state == State::Up);
            }
        }
    }
}
