//! Which faults are made, on whom, and for how long: all of it follows from the seed and the round's number.

use std::time::Duration;

use crate::faults::Fault;
use crate::run::{Planned, Setup};

/// What one run makes.
#[derive(Clone, Debug)]
pub struct Plan {
    pub seed: u64,
    /// The kinds of faults of the fixed cycle, in its order, and those to choose from after it.
    pub kinds: Vec<Fault>,
    /// How often the fixed cycle is gone through: in five times every kind meets every member.
    pub turns: usize,
    pub longest: Duration,
}

const FAULTS_A_ROUND: usize = 5;
const MEMBERS: usize = Setup::CHAOS.members;
const CLIENTS: usize = Setup::CHAOS.clients;

impl Plan {
    /// How many rounds the fixed cycle takes.
    pub fn cycle(&self) -> usize {
        (self.kinds.len() * self.turns).div_ceil(FAULTS_A_ROUND)
    }

    /// A round by its number, from zero, and the seed of its load. Those after the fixed cycle are made by chance.
    pub fn round(&self, number: usize) -> (Vec<Planned>, u64) {
        let mut rng =
            fastrand::Rng::with_seed(self.seed.wrapping_add((number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        let all = self.kinds.len();
        let places: Vec<(Fault, usize, usize)> = if number < self.cycle() {
            let first = number * FAULTS_A_ROUND;
            let places = first..(first + FAULTS_A_ROUND).min(all * self.turns);
            // One kind after the other, each on the next member, and a turn later on the one after that.
            places
                .map(|place| (self.kinds[place % all], (place % all + place / all) % MEMBERS, place % CLIENTS))
                .collect()
        } else {
            // A member that is taken out again and again waits ever longer before it returns: each has its turn.
            let mut members: Vec<usize> = (0..MEMBERS).collect();
            rng.shuffle(&mut members);
            let place = |member| (self.kinds[rng.usize(..all)], member, rng.usize(..CLIENTS));
            members.into_iter().map(place).collect()
        };
        let plan = |(fault, member, client): (Fault, usize, usize)| Planned {
            fault,
            member,
            client,
            length: fault.length(&mut rng, self.longest),
        };
        (places.into_iter().map(plan).collect(), rng.u64(..))
    }
}
