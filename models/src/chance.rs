//! Scenarios and ways through them by chance, where looking at everything would take too long. One number says which.

use crate::topology::MEMBERS;
use crate::value::Command;
use crate::world::{Action, Fault, M, N, Op, P, Q, Start, WRITES, Wait, World};

/// Numbers by chance (SplitMix64): the same for the same seed on every machine and with every version of any crate.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The numbers of this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next one.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..below`; `below` is small, so that the remainder is fair enough.
    fn below(&mut self, below: usize) -> usize {
        usize::try_from(self.number() % below.max(1) as u64).unwrap_or(0)
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> Option<T> {
        all.get(self.below(all.len())).copied()
    }
}

/// A scenario of the whole: a move, three writes of any kind at once or one after the other, and one fault of any kind.
///
/// What it is made of is never freed: a scenario is shared by all states of a walk, and a test has some hundreds.
pub fn scenario(chance: &mut Chance) -> World {
    let (before, after, start): (&'static [usize], &'static [usize], Start) = chance
        .one_of::<(&'static [usize], &'static [usize], Start)>(&[
            (&[P, Q], &[M, P], Start::Still),
            (&[P, Q], &[P, M], Start::Still),
            (&[P, Q], &[M, N], Start::Still),
            (&[M, P], &[M, P], Start::Fenced(M)),
            (&[P, M], &[P, M], Start::Fenced(M)),
        ])
        .unwrap_or((&[P, Q], &[M, P], Start::Still));
    let commands = [Command::Set, Command::Del, Command::Incr, Command::SetNx];
    let mut ops: Vec<Op> = Vec::new();
    for write in 0..3 {
        let command = chance.one_of(&commands).unwrap_or(Command::Set);
        let after = (write > 0 && chance.below(3) == 0).then(|| chance.below(write));
        ops.push(Op { command, after });
    }
    let used = |member: &usize| before.contains(member) || after.contains(member);
    let mut possible = Vec::new();
    for member in (0..MEMBERS).filter(used) {
        possible.extend([Fault::Crash(member), Fault::CrashOld(member), Fault::Stop(member)]);
        possible.extend((0..ops.len()).map(|write| Fault::Unlink(write, member)));
    }
    let empty = ops.iter().any(|op| op.command == Command::SetNx) && chance.coin();
    World {
        before,
        after,
        start,
        empty,
        blind: may_differ_unseen(&ops),
        ops: ops.leak(),
        possible: possible.leak(),
        faults: 1,
        kills: chance.below(4) == 0,
        slow_cut: chance.below(4) == 0,
        two_sources: before == [P, Q] && chance.coin(),
        fine: chance.coin(),
        last_step: 8,
        wait: Wait::Bounded,
        ..World::CHANGE
    }
}

/// Whether two writes at once, one of which asks for nothing that is there, may leave copies different although replies agree.
fn may_differ_unseen(ops: &[Op]) -> bool {
    ops.iter().any(|op| op.command.is_absolute())
}

/// How much one walk likes each kind of step. With equal odds for all, every write would be over before the ring moved, and no
/// two processes would ever be far apart.
#[derive(Debug)]
pub(crate) struct Mood {
    chance: Chance,
    writes: [usize; WRITES],
    servers: [usize; MEMBERS],
    faults: usize,
    agents: usize,
    mover: usize,
}

impl Mood {
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let mut liking = || [1, 4, 16, 64][chance.below(4)];
        let writes = [(); WRITES].map(|()| liking());
        let servers = [(); MEMBERS].map(|()| liking());
        let (agents, mover) = (liking(), liking());
        let faults = [1, 2, 8][chance.below(3)];
        Self { chance, writes, servers, faults, agents, mover }
    }

    /// Takes one of the steps out of the list; `None` if there is none.
    pub(crate) fn choose(&mut self, actions: &mut Vec<Action>) -> Option<Action> {
        let all: usize = actions.iter().map(|action| self.likes(action)).sum();
        let mut left = self.chance.below(all);
        for (at, action) in actions.iter().enumerate() {
            match left.checked_sub(self.likes(action)) {
                Some(rest) => left = rest,
                None => return Some(actions.swap_remove(at)),
            }
        }
        None
    }

    fn likes(&self, action: &Action) -> usize {
        match action {
            Action::Begin(write, _)
            | Action::Finish(write)
            | Action::Resolve(write, _)
            | Action::Repair(write, _)
            | Action::Insist(write)
            | Action::GiveUpOn(write, ..) => 4 * self.writes[*write],
            Action::Execute(write, at) => self.writes[*write].max(4) * self.servers[*at].min(16),
            Action::Happen(_) | Action::Swallow(..) | Action::KillClient(..) => self.faults,
            Action::Land | Action::FenceWaitPasses | Action::PauseEnds(_) => 4,
            Action::Restart(member) | Action::Resume(member) | Action::OwnDown(member) | Action::Close(member) => {
                self.servers[*member]
            }
            Action::Return(_)
            | Action::StartCopy(_)
            | Action::Hear(_)
            | Action::Dump(_)
            | Action::Restore(_)
            | Action::Stamp(_)
            | Action::PauseLate(_)
            | Action::EndCut(_)
            | Action::CutElsewhere(_)
            | Action::LoseCopy(_) => 4 * self.agents,
            Action::Fill
            | Action::SetGates(_)
            | Action::Barrier
            | Action::Sync
            | Action::Back
            | Action::GiveUp
            | Action::Decide
            | Action::Flip
            | Action::Settle => 4 * self.mover,
        }
    }
}
