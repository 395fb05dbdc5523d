//! The whole protocol around one key: its servers, the ring's records, the clients' writes, the agents and the mover.
//!
//! Each action is one atomic step of one party, and a step that is not possible in a state answers `None`. So everything
//! between two steps (a message under way, a process that stands still) is the checker's choice of who goes next.
//!
//! Two things keep the states few without leaving anything out:
//!
//! - **Readers are no part of the state.** In every state, every view that some live client may still hold is asked what a reader
//!   with it could be answered. That is any number of readers, as late as they can be.
//! - **Writes are commands, not clients.** A write begins under any view that some client may still hold.

use std::fmt;

use stateright::Model;

use crate::topology::{MEMBERS, Phase, Record, Standing, Topology, Views};
use crate::value::{Command, Reply, Value};

/// The key's primary before the move.
pub const P: usize = 0;
/// Its replica before the move.
pub const Q: usize = 1;
/// Who gains it.
pub const M: usize = 2;
/// A second one who gains it.
pub const N: usize = 3;

/// How many writes a scenario can have.
pub const WRITES: usize = 3;

/// One write of some client.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Op {
    /// What it does.
    pub command: Command,
    /// Begins only when this other one has ended; concurrent with all others otherwise.
    pub after: Option<usize>,
}

/// What can happen to a member, once for each unit of [`World::faults`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The process is killed, and starts again without data.
    Crash(usize),
    /// The process is killed, and starts again with the data and the gate of an earlier time.
    CrashOld(usize),
    /// The process stands still, and goes on.
    Stop(usize),
    /// One write's client and this member hear each other no more.
    Unlink(usize, usize),
}

/// A part of the protocol that a scenario can do without, to show that it is needed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ingredient {
    /// A phase is left only when nobody stands in the one before.
    Barrier,
    /// Writers read the gate in the same MULTI as their command; without it they write to every gainer while syncing.
    GateStamp,
    /// The cut holds up the source's writers until the last copy has arrived.
    Pause,
    /// The stamp and the pause are one MULTI.
    Atomicity,
    /// The cut waits for the invalidations of all that was written before it.
    Drain,
    /// The cut is void unless the last copy *arrived* before the pause ran out; without it, being read in time is enough.
    ArrivalInTime,
    /// A cut counts for the step of who reads it; without it, for the step that stands in the gate.
    CutOfOwnStep,
    /// After the flip the owners of before are written too.
    OldWritten,
    /// Nothing serves before it was filled.
    FillBeforeFlip,
    /// The flip is conditional on the epoch that it was decided at.
    ConditionalFlip,
    /// A gainer is cut at every one of its sources before the flip, not only at some.
    EverySource,
    /// After a broken cut everything is copied again, under a new step.
    CopyAgain,
    /// Filling begins behind the barrier of its own step.
    FillBehindBarrier,
    /// Connections of clients are ended before the member is filled.
    KillBeforeFill,
    /// They are so before each filling, also one that begins anew because the step before was given up.
    KillBeforeEachFill,
    /// A gate is usable only with the run_id and the generation of the record.
    Generation,
    /// The same, for the generation alone.
    GenerationAlone,
    /// The same, for the run_id alone.
    RunId,
    /// A member that missed a write is fenced before the write is acknowledged.
    Fence,
    /// The writer that fenced waits until nobody reads the fenced member any more.
    FenceWait,
    /// So does every other writer that finds the member down.
    FenceWaitForAll,
    /// Replies that differ are judged by the newest primary.
    Arbitration,
    /// Replies of the old and of the next primary that differ are answered when the flip has been made or given up.
    WaitForFlip,
    /// A write that depends on what is there does not run again across a flip: the new primary was filled from the one that may
    /// have executed it.
    UnknownAcrossFlip,
    /// What a gainer's agent has reported counts for the generation that it was reported of.
    ReportOfGeneration,
    /// A reply of an older generation of a member is not its reply any more.
    ReplyOfGeneration,
    /// Where the next primary has answered otherwise and is gone again after the flip, nobody's reply counts.
    UnknownWithoutHeir,
    /// A copy that refused what the primary has executed is given the primary's state before the write is acknowledged.
    RepairRefused,
    /// It is so as well where the reply is not that of the primary which was asked first.
    RepairForNewest,
    /// A write is acknowledged only while somebody who has executed it is up.
    HolderIsUp,
    /// A write that had to be sent again leaves a suspect.
    SuspectResent,
    /// The key of replies that differ is compared again, whoever was right about the reply.
    SuspectAlways,
    /// A write that was not answered and depends on what is there runs again only where its primary was fenced.
    FenceBeforeRepeat,
}

/// How long a client may not know what the ring's newest topology is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// At most as long as `fence_wait`, as designed.
    Bounded,
    /// For ever, and writers wait until the fenced member is closed.
    Endless,
    /// For ever, and writers wait only `fence_wait`: two faults.
    Late,
}

/// How the ring stands in the beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// All owners are up; who is new has registered as joining.
    Still,
    /// As `Still`, but this owner has just been fenced while it was serving: some clients do not know yet.
    Fenced(usize),
}

/// One scenario.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct World {
    /// The key's owners in `serving`.
    pub before: &'static [usize],
    /// The key's owners in `next`.
    pub after: &'static [usize],
    /// The beginning.
    pub start: Start,
    /// What clients write.
    pub ops: &'static [Op],
    /// What the key holds in the beginning is nothing.
    pub empty: bool,
    /// What may happen.
    pub possible: &'static [Fault],
    /// How much of it.
    pub faults: u8,
    /// The barrier may lose patience and end the connections of clients that stand in an older step.
    pub kills: bool,
    /// A cut may take longer than the pause.
    pub slow_cut: bool,
    /// The gainers gain other keys from the other owner, and are cut there as well.
    pub two_sources: bool,
    /// Invalidations take time, and gates are set one by one.
    pub fine: bool,
    /// Nobody may move the ring.
    pub no_move: bool,
    /// How late a watch may be.
    pub wait: Wait,
    /// The gainer does not wait for the barrier but looks whether an older client has a write on its way: not enough, since an
    /// idle client of an older step may write next.
    pub local_cut: bool,
    /// Writes of the scenario may leave copies different without a differing reply: two blind ones at once.
    pub blind: bool,
    /// What is documented as no promise counts as one: a copy that is repaired while other processes write the key.
    pub strict: bool,
    /// No phase beyond this step.
    pub last_step: u8,
    /// What is left out.
    pub without: Option<Ingredient>,
}

impl World {
    /// A change of owners without faults, with nothing left out.
    pub const CHANGE: Self = Self {
        before: &[P, Q],
        after: &[M, P],
        start: Start::Still,
        ops: &[],
        empty: false,
        possible: &[],
        faults: 0,
        kills: false,
        slow_cut: false,
        two_sources: false,
        fine: false,
        no_move: false,
        wait: Wait::Bounded,
        local_cut: false,
        blind: false,
        strict: false,
        last_step: 5,
        without: None,
    };

    /// The return of the key's primary, which was fenced a moment ago.
    pub const RETURN: Self = Self { before: &[M, P], after: &[M, P], start: Start::Fenced(M), ..Self::CHANGE };

    /// A ring that does not move.
    pub const STEADY: Self = Self { before: &[P, Q], after: &[P, Q], no_move: true, ..Self::CHANGE };

    /// The same scenario without an ingredient.
    pub const fn without(self, ingredient: Ingredient) -> Self {
        Self { without: Some(ingredient), ..self }
    }

    /// Whether the scenario has the ingredient.
    pub(crate) fn has(&self, ingredient: Ingredient) -> bool {
        self.without != Some(ingredient)
    }

    /// The key's owners under a topology.
    pub(crate) fn owners(&self, view: &Topology) -> &'static [usize] {
        if view.flipped { self.after } else { self.before }
    }

    /// Who may answer a read, first choice first.
    pub(crate) fn readable<'a>(&self, view: &'a Topology) -> impl Iterator<Item = usize> + use<'a> {
        self.owners(view).iter().copied().filter(|member| view.is_up(*member))
    }

    pub(crate) fn primary(&self, view: &Topology) -> Option<usize> {
        self.readable(view).next()
    }

    /// Whether the member is to be given the key.
    pub(crate) fn gains(&self, view: &Topology, member: usize) -> bool {
        !view.flipped && view.is_joining(member) && self.after.contains(&member)
    }

    pub(crate) fn gainers<'a>(&'a self, view: &'a Topology) -> impl Iterator<Item = usize> + use<'a> {
        (0..MEMBERS).filter(move |member| self.gains(view, *member))
    }

    pub(crate) fn writes(&self) -> impl Iterator<Item = (usize, Op)> + use<> {
        self.ops.iter().copied().enumerate()
    }
}

/// A process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Run {
    /// Answers.
    Up,
    /// Accepts connections and answers nothing.
    Stopped,
    /// Is not there.
    Dead,
}

/// `__rr:gate`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Gate {
    /// Whether it is there at all.
    pub open: bool,
    /// `run_id`.
    pub life: u8,
    /// `gen`.
    pub generation: u8,
    /// `step`.
    pub step: u8,
    /// `cut:<id>`.
    pub cut: [u8; MEMBERS],
}

/// A Redis server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Server {
    /// Its process.
    pub run: Run,
    /// Which one.
    pub life: u8,
    /// The key.
    pub value: Value,
    /// Its gate.
    pub gate: Gate,
    /// Client connections made under this generation or an older one have been ended.
    pub ended: u8,
    /// `CLIENT PAUSE … WRITE`.
    pub paused: bool,
}

/// What a write knows of one member.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Part {
    /// Does not get it.
    None,
    /// Gets it.
    Todo,
    /// Has it, and answered so.
    Done(Reply),
    /// Was sent it and has not answered: may have it.
    Missed,
    /// Was not sent it: does not have it.
    Unsent,
    /// Does not count any more.
    Gone,
}

/// How far a write is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Stage {
    /// Not begun.
    Waiting,
    /// On its way.
    Open,
    /// Acknowledged.
    Answered(Reply),
    /// An error whose outcome is unknown.
    Unknown,
}

/// A write.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Write {
    /// How far it is.
    pub stage: Stage,
    /// The topology that it is sent by.
    pub view: Topology,
    /// The step of the topology that it was first sent by.
    pub step: u8,
    /// Its phase.
    pub phase: Phase,
    /// Whether the ring had flipped then.
    pub flipped: bool,
    /// The primary of that.
    pub first: usize,
    /// What it knows of each member.
    pub parts: [Part; MEMBERS],
    /// The generation of each member that it knows this of.
    pub generations: [u8; MEMBERS],
    /// Whether it has fenced somebody.
    pub fenced: bool,
}

/// What a gainer's agent does for the key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Copying {
    /// Nothing.
    Off,
    /// Copies, and follows the source's invalidations.
    Follows,
    /// Has stamped the gate and copies what is left.
    Cuts,
    /// Has all that the source executed before the stamp.
    Cut,
    /// Has not, and says so.
    Void,
}

/// The state of a gainer's agent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Copier {
    /// What it does.
    pub copying: Copying,
    /// From where.
    pub source: usize,
    /// An invalidation is on its way.
    pub pushed: bool,
    /// The key has to be copied.
    pub dirty: bool,
    /// What was read and has not been written yet.
    pub dump: Option<Value>,
    /// The pause ran out too early.
    pub late: bool,
}

impl Copier {
    /// Does nothing.
    pub const OFF: Self =
        Self { copying: Copying::Off, source: 0, pushed: false, dirty: false, dump: None, late: false };
}

/// A write that was sent, and that its server has not seen yet although its client has given it up.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Stuck {
    /// Which write.
    pub write: usize,
    /// At which server.
    pub server: usize,
    /// The process it was sent to.
    pub life: u8,
    /// The generation that its connection was made under.
    pub generation: u8,
}

/// Everything.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct State {
    /// The newest topology.
    pub ring: Topology,
    /// Older ones that some live client may hold.
    pub older: Views,
    /// `closed` in the records: no client can have an answer from the member any more.
    pub closed: [bool; MEMBERS],
    /// The servers.
    pub servers: [Server; MEMBERS],
    /// The writes.
    pub writes: [Write; WRITES],
    /// The gainers' agents.
    pub copiers: [Copier; MEMBERS],
    /// Whether the gainer has been cut at its other source in this step.
    pub elsewhere: [bool; MEMBERS],
    /// Whether the barrier of the ring's step holds.
    pub barrier: bool,
    /// Who was up when the ring began to be in sync: all of them have to stay so for the flip.
    pub sources: [bool; MEMBERS],
    /// The flip has been decided, in a scenario where it is not conditional.
    pub decided: bool,
    /// In a socket.
    pub stuck: Option<Stuck>,
    /// A write whose client and a server do not hear each other.
    pub unlinked: Option<(usize, usize)>,
    /// How much may still go wrong.
    pub faults: u8,
    /// A killed server comes back with what it held at some earlier time.
    pub old_data: bool,
    /// The key is on somebody's list to be compared.
    pub suspect: bool,
    /// A copy was given the primary's state while another write had reached only one of the two.
    pub mixed: bool,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "ring {} older {} barrier {} suspect {}",
            Short(&self.ring),
            self.older.all().len(),
            self.barrier,
            self.suspect
        )?;
        for (member, server) in self.servers.iter().enumerate() {
            let Server { run, life, value, gate, ended, paused } = server;
            writeln!(
                f,
                "  server {member}: {run:?} life {life} {:?} ended {ended} paused {paused} closed {} gate {gate:?} {:?}",
                value.items(),
                self.closed[member],
                self.copiers[member].copying
            )?;
        }
        for write in &self.writes {
            writeln!(f, "  write: {:?} step {} first {} {:?}", write.stage, write.view.step, write.first, write.parts)?;
        }
        Ok(())
    }
}

struct Short<'a>(&'a Topology);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Topology { step, phase, flipped, members } = self.0;
        write!(f, "{step} {phase:?} flipped {flipped} {:?}", members.map(|record| record.standing))
    }
}

/// One step of one party. A write is a number, a member an index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// A client begins a write, with the view of this number; the newest comes after all older ones.
    Begin(usize, usize),
    /// A server executes the command and its client reads the reply.
    Execute(usize, usize),
    /// A server executes the command, and the reply is lost with this fault.
    Swallow(usize, usize, Fault),
    /// A client gives a member up; what it sent may be stuck in the socket.
    GiveUpOn(usize, usize, bool),
    /// A client has probed a member that owes it an answer, and read `/ring`: what becomes of that part.
    Resolve(usize, usize),
    /// A client gives a copy that refused what the primary has executed the primary's state.
    Repair(usize, usize),
    /// A client sends a command again to the member that is to be the primary and has refused what the primary has executed.
    Insist(usize),
    /// A client has heard of all: arbitration, wait, acknowledgement.
    Finish(usize),
    /// A stuck command is executed after all.
    Land,
    /// A fault.
    Happen(Fault),
    /// A killed server comes back.
    Restart(usize),
    /// A stopped server goes on.
    Resume(usize),
    /// `fence_wait` has passed: every live client has read of the members that are down.
    FenceWaitPasses,
    /// A member's agent says that its server is dead, hangs, or is another process than the record knows.
    OwnDown(usize),
    /// A member's agent has shut the gate and ended the connections of a member that is down.
    Close(usize),
    /// A member's agent brings it back as joining.
    Return(usize),
    /// A gainer's agent starts to copy.
    StartCopy(usize),
    /// An invalidation arrives.
    Hear(usize),
    /// The agent reads the key at the source.
    Dump(usize),
    /// The agent writes what it has read.
    Restore(usize),
    /// The agent stamps the source's gate.
    Stamp(usize),
    /// The agent pauses the source, where that is not one with the stamp.
    PauseLate(usize),
    /// The source's pause runs out.
    PauseEnds(usize),
    /// The agent has nothing left to copy: ends the pause and reports.
    EndCut(usize),
    /// The agent has cut its member at its other source, as far as other keys go.
    CutElsewhere(usize),
    /// The agent has lost its source or its target.
    LoseCopy(usize),
    /// The mover: still → filling.
    Fill,
    /// The mover sets the step in the gates of all servers, or of this one.
    SetGates(Option<usize>),
    /// The mover sees that nobody stands in an older step.
    Barrier,
    /// The mover ends the connections of a write's client; a server may have executed what it does not answer any more.
    KillClient(usize, Option<usize>),
    /// The mover: filling → syncing.
    Sync,
    /// The mover: syncing → filling.
    Back,
    /// The mover: filling → still.
    GiveUp,
    /// The mover decides to flip, where that is not one with the flip.
    Decide,
    /// The mover: syncing → retiring.
    Flip,
    /// The mover: retiring → still.
    Settle,
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.start()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (write, _) in self.writes() {
            match state.writes[write].stage {
                Stage::Waiting => actions.extend((0..=state.older.all().len()).map(|view| Action::Begin(write, view))),
                Stage::Open => self.actions_of_write(write, actions),
                Stage::Answered(_) | Stage::Unknown => {}
            }
        }
        actions.push(Action::Land);
        if state.faults > 0 {
            actions.extend(self.possible.iter().copied().map(Action::Happen));
        }
        actions.push(Action::FenceWaitPasses);
        for member in 0..MEMBERS {
            if state.ring.members[member].standing != Standing::Absent {
                self.actions_of_member(member, actions);
            }
        }
        if !self.no_move {
            actions.extend([
                Action::Fill,
                Action::Barrier,
                Action::Sync,
                Action::Back,
                Action::GiveUp,
                Action::Decide,
                Action::Flip,
                Action::Settle,
            ]);
            if !self.fine {
                actions.push(Action::SetGates(None));
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = *last;
        self.step(&mut state, action)?;
        Some(state)
    }

    fn properties(&self) -> Vec<stateright::Property<Self>> {
        crate::check::properties()
    }
}

impl World {
    fn actions_of_write(&self, write: usize, actions: &mut Vec<Action>) {
        actions.push(Action::Finish(write));
        actions.push(Action::Insist(write));
        for member in 0..MEMBERS {
            actions.push(Action::Execute(write, member));
            actions.push(Action::Resolve(write, member));
            actions.push(Action::Repair(write, member));
            if self.faults > 0 || self.start != Start::Still {
                actions.push(Action::GiveUpOn(write, member, false));
                actions.push(Action::GiveUpOn(write, member, true));
            }
            for fault in self.possible {
                if matches!(*fault, Fault::Stop(at) if at == member) || *fault == Fault::Unlink(write, member) {
                    actions.push(Action::Swallow(write, member, *fault));
                }
            }
            if self.kills {
                actions.push(Action::KillClient(write, Some(member)));
            }
        }
        if self.kills {
            actions.push(Action::KillClient(write, None));
        }
    }

    fn actions_of_member(&self, member: usize, actions: &mut Vec<Action>) {
        if self.faults > 0 {
            actions.extend([Action::Restart(member), Action::Resume(member), Action::OwnDown(member)]);
        }
        actions.extend([Action::Close(member), Action::Return(member)]);
        if self.no_move {
            return;
        }
        actions.extend([
            Action::StartCopy(member),
            Action::Hear(member),
            Action::Dump(member),
            Action::Restore(member),
            Action::Stamp(member),
            Action::PauseEnds(member),
            Action::EndCut(member),
            Action::LoseCopy(member),
        ]);
        if self.two_sources {
            actions.push(Action::CutElsewhere(member));
        }
        if !self.has(Ingredient::Atomicity) {
            actions.push(Action::PauseLate(member));
        }
        if self.fine {
            actions.push(Action::SetGates(Some(member)));
        }
    }

    fn step(&self, state: &mut State, action: Action) -> Option<()> {
        match action {
            Action::Begin(write, view) => self.begin(state, write, view),
            Action::Execute(write, at) => self.execute(state, write, at),
            Action::Swallow(write, at, fault) => self.swallow(state, write, at, fault),
            Action::GiveUpOn(write, at, stuck) => self.give_up_on(state, write, at, stuck),
            Action::Resolve(write, at) => self.resolve(state, write, at),
            Action::Repair(write, at) => self.repair(state, write, at),
            Action::Insist(write) => self.insist(state, write),
            Action::Finish(write) => self.finish(state, write),
            Action::Land => self.land(state),
            Action::Happen(fault) => self.happen(state, fault),
            Action::Restart(member) => self.restart(state, member),
            Action::Resume(member) => self.resume(state, member),
            Action::FenceWaitPasses => self.fence_wait_passes(state),
            Action::OwnDown(member) => self.own_down(state, member),
            Action::Close(member) => self.close(state, member),
            Action::Return(member) => self.come_back(state, member),
            Action::StartCopy(member) => self.start_copy(state, member),
            Action::Hear(member) => self.hear(state, member),
            Action::Dump(member) => self.dump(state, member),
            Action::Restore(member) => self.restore(state, member),
            Action::Stamp(member) => self.stamp(state, member),
            Action::PauseLate(member) => self.pause_late(state, member),
            Action::PauseEnds(member) => self.pause_ends(state, member),
            Action::EndCut(member) => self.end_cut(state, member),
            Action::CutElsewhere(member) => self.cut_elsewhere(state, member),
            Action::LoseCopy(member) => self.lose_copy(state, member),
            Action::Fill => self.fill(state),
            Action::SetGates(one) => self.set_gates(state, one),
            Action::Barrier => self.hold_barrier(state),
            Action::KillClient(write, executed) => self.kill_client(state, write, executed),
            Action::Sync => self.sync(state),
            Action::Back => self.back(state),
            Action::GiveUp => self.give_up(state),
            Action::Decide => self.decide(state),
            Action::Flip => self.flip(state),
            Action::Settle => self.settle(state),
        }
    }

    fn start(&self) -> State {
        let record = |member: usize| {
            let standing = if self.before.contains(&member) {
                Standing::Up
            } else if self.after.contains(&member) {
                Standing::Joining
            } else {
                Standing::Absent
            };
            Record { standing, life: 1, generation: 1 }
        };
        let up = Topology { step: 1, phase: Phase::Still, flipped: false, members: [0, 1, 2, 3].map(record) };
        let server = |member: usize| Server {
            run: Run::Up,
            life: 1,
            value: if self.before.contains(&member) && !self.empty { Value::base() } else { Value::default() },
            gate: if up.is_used(member) {
                Gate { open: true, life: 1, generation: 1, step: 1, cut: [0; MEMBERS] }
            } else {
                Gate::default()
            },
            ended: 0,
            paused: false,
        };
        let mut state = State {
            ring: up,
            older: Views::none(),
            closed: [false; MEMBERS],
            servers: [0, 1, 2, 3].map(server),
            writes: [Write::WAITING; WRITES],
            copiers: [Copier::OFF; MEMBERS],
            elsewhere: [false; MEMBERS],
            barrier: false,
            sources: [false; MEMBERS],
            decided: false,
            stuck: None,
            unlinked: None,
            faults: self.faults,
            old_data: false,
            suspect: false,
            mixed: false,
        };
        if let Start::Fenced(member) = self.start {
            let _room = state.publish(|ring| ring.members[member].standing = Standing::Down);
        }
        state
    }
}

impl Write {
    /// Not begun.
    pub const WAITING: Self = Self {
        stage: Stage::Waiting,
        view: Topology::NONE,
        step: 0,
        phase: Phase::Still,
        flipped: false,
        first: 0,
        parts: [Part::None; MEMBERS],
        generations: [0; MEMBERS],
        fenced: false,
    };

    /// Ended, with nothing kept that no one asks for any more.
    pub fn ended(stage: Stage) -> Self {
        Self { stage, ..Self::WAITING }
    }
}

impl State {
    /// One multi. `None` where the model has no room to remember the view before.
    pub(crate) fn publish(&mut self, change: impl FnOnce(&mut Topology)) -> Option<()> {
        self.older.push(self.ring).then_some(())?;
        change(&mut self.ring);
        Some(())
    }
}
