//! What must hold in every state, and what has to be possible at all.

use stateright::Property;

use crate::client::number;
use crate::topology::{MEMBERS, Phase};
use crate::value::{BASE, Command, Reply, Value};
use crate::world::{Op, Run, Stage, Start, State, World};

/// No reader, however late, is answered by a state that lacks an acknowledged write, has one twice, or was never filled.
pub const FRESH: &str = "a read begun after an acknowledged write sees it";
/// Replies of acknowledged writes fit one order.
pub const REPLIES: &str = "no number is given twice, no lock has two holders, no element is taken twice";
/// When all is quiet, readable owners hold the same, or somebody knows that they may not.
pub const AGREE: &str = "owners agree when all is quiet, or the key is a suspect";
/// Not a promise: shows that the scenario gets to its end.
pub const ENDS: &str = "the move ends and all writes are acknowledged";

pub(crate) fn properties() -> Vec<Property<World>> {
    vec![
        Property::always(FRESH, World::every_reader_is_right),
        Property::always(REPLIES, World::replies_fit),
        Property::always(AGREE, World::owners_agree),
        Property::sometimes(ENDS, |world: &World, state: &State| {
            (world.no_move || state.ring.flipped && state.ring.phase == Phase::Still)
                && world.writes().all(|(write, _)| matches!(state.writes[write].stage, Stage::Answered(_)))
        }),
    ]
}

impl World {
    fn every_reader_is_right(&self, state: &State) -> bool {
        // The copy has the primary's state and, before or after it, what was on its way: until the key is compared.
        if state.mixed && state.suspect && !self.strict {
            return true;
        }
        state.older.all().iter().chain([&state.ring]).all(|view| {
            self.readable(view)
                .filter(|member| self.answers(state, view, *member))
                .all(|member| self.is_fresh(state, &state.servers[member].value))
        })
    }

    /// Whether `earlier` had been acknowledged before `later` began.
    fn precedes(&self, state: &State, earlier: usize, later: usize) -> bool {
        let mut at = later;
        while let Some(before) = self.ops[at].after {
            if before == earlier {
                return matches!(state.writes[earlier].stage, Stage::Answered(_));
            }
            at = before;
        }
        false
    }

    fn is_fresh(&self, state: &State, value: &Value) -> bool {
        let begun = |write: usize| state.writes[write].stage != Stage::Waiting;
        let wipes = |command| matches!(command, Command::Set | Command::Del);
        // Whether some other write may have taken the effect of this one away.
        let excused = |write: usize| {
            self.writes().any(|(other, op)| {
                let takes = op.command == Command::Pop || wipes(op.command) && !self.precedes(state, other, write);
                other != write && begun(other) && takes
            })
        };
        if value.repeats() {
            return false;
        }
        let base_is_excused =
            self.writes().any(|(write, op)| begun(write) && (op.command == Command::Pop || wipes(op.command)));
        if !self.empty && !value.contains(BASE) && !base_is_excused {
            return false;
        }
        self.writes().all(|(write, op)| {
            let Stage::Answered(reply) = state.writes[write].stage else { return true };
            let there = match (op.command, reply) {
                (Command::Pop, Reply::Element(element)) => return !value.contains(element),
                (Command::Pop, _) | (Command::SetNx, Reply::Nil) => return true,
                (Command::Del, _) => true,
                (Command::Set | Command::SetNx | Command::Incr, _) => value.contains(number(write)) || excused(write),
            };
            let nothing_older = !wipes(op.command)
                || !value.contains(BASE)
                    && !self
                        .writes()
                        .any(|(other, _)| self.precedes(state, other, write) && value.contains(number(other)));
            there && nothing_older
        })
    }

    fn replies_fit(&self, state: &State) -> bool {
        let answers = |command: Command| {
            self.writes().filter(move |(_, op)| op.command == command).filter_map(|(write, _)| {
                match state.writes[write].stage {
                    Stage::Answered(reply) if reply != Reply::Nil => Some(reply),
                    _ => None,
                }
            })
        };
        let distinct = |command: Command| {
            let replies: Vec<Reply> = answers(command).collect();
            (1..replies.len()).all(|at| !replies[..at].contains(&replies[at]))
        };
        let wiped = self.ops.iter().any(|op| matches!(op.command, Command::Set | Command::Del));
        let popped = self.ops.iter().any(|op| op.command == Command::Pop);
        // Writers of several processes are numbered by the order of one server. Where it fails in between, two may have
        // been given a number by different ones: documented, and no promise.
        let failing = self.faults > 0 || self.start != Start::Still;
        (wiped || popped || failing || distinct(Command::Incr))
            && (failing || distinct(Command::Pop))
            && answers(Command::SetNx).count() <= self.locks_given(state)
    }

    /// How often the key may have been free for somebody: in the beginning, and each time that a write may have emptied it.
    fn locks_given(&self, state: &State) -> usize {
        // A DEL whose reply was lost runs again, perhaps after somebody has taken what it set free: documented.
        let times = if self.strict { 1 } else { 2 };
        let empties = |(write, op): (usize, Op)| match op.command {
            _ if state.writes[write].stage == Stage::Waiting => 0,
            Command::Del => times,
            Command::Pop => 1,
            Command::Set | Command::Incr | Command::SetNx => 0,
        };
        usize::from(self.empty) + self.writes().map(empties).sum::<usize>()
    }

    fn owners_agree(&self, state: &State) -> bool {
        let ended = |write: usize| matches!(state.writes[write].stage, Stage::Answered(_) | Stage::Unknown);
        let running = (0..MEMBERS).all(|member| {
            let server = &state.servers[member];
            let same = server.run == Run::Up && server.life == state.ring.members[member].life;
            !state.ring.is_used(member) || same
        });
        let quiet = state.ring.phase == Phase::Still
            && state.stuck.is_none()
            && running
            && self.writes().all(|(write, _)| ended(write));
        if !quiet || state.suspect || self.blind {
            return true;
        }
        let values: Vec<Value> = self.readable(&state.ring).map(|member| state.servers[member].value).collect();
        let refused = |write: usize| {
            self.ops[write].command == Command::SetNx && state.writes[write].stage == Stage::Answered(Reply::Nil)
        };
        values.windows(2).all(|pair| pair[0] == pair[1])
            && !self
                .writes()
                .any(|(write, _)| refused(write) && values.iter().any(|value| value.contains(number(write))))
    }
}
