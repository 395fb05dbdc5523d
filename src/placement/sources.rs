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
                None => sources.orphaned += 1,
            }
        }
        sources
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
        let id = |n: usize| NodeId::new(&format!("redis-{n}")).unwrap();
        let ring = |ids: &mut dyn Iterator<Item = usize>| -> BTreeMap<NodeId, Placed> {
            ids.map(|n| (id(n), Placed::default())).collect()
        };
        let member = |(n, state): (usize, &State)| (id(n), Member { state: *state, ..Member::faulty(id(n), "") });
        Topology::new(Parts {
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
        })
        .unwrap()
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
