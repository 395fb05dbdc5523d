//! What clients do: the way of one write.

use crate::topology::{MEMBERS, Phase, Topology};
use crate::value::Reply;
use crate::world::{Copying, Fault, Ingredient, Op, Part, Run, Stage, State, Stuck, World, Write};

impl World {
    pub(crate) fn begin(&self, state: &mut State, write: usize, view: usize) -> Option<()> {
        let op = self.ops[write];
        if let Some(before) = op.after {
            matches!(state.writes[before].stage, Stage::Answered(_) | Stage::Unknown).then_some(())?;
        }
        let view = *state.older.all().get(view).unwrap_or(&state.ring);
        (state.writes[write].stage == Stage::Waiting).then_some(())?;
        self.send(state, write, view)
    }

    /// Sends the write from the beginning, to those whom the view says.
    fn send(&self, state: &mut State, write: usize, view: Topology) -> Option<()> {
        let first = self.primary(&view)?;
        let mut parts = [Part::None; MEMBERS];
        for member in self.readable(&view) {
            parts[member] = Part::Todo;
        }
        if view.phase == Phase::Retiring && self.has(Ingredient::OldWritten) {
            for member in self.before.iter().filter(|member| view.is_up(**member)) {
                parts[*member] = Part::Todo;
            }
        }
        let fenced = state.writes[write].fenced;
        let generations = view.members.map(|record| record.generation);
        state.writes[write] =
            Write { stage: Stage::Open, view, step: view.step, phase: view.phase, flipped: view.flipped, first, parts, generations, fenced };
        Some(())
    }

    /// Whether the part is on its way, and not waiting for the primary.
    pub(crate) fn is_sent(&self, state: &State, write: usize, at: usize) -> bool {
        let sent = &state.writes[write];
        let at_once = self.ops[write].command.is_absolute();
        sent.stage == Stage::Open
            && sent.parts[at] == Part::Todo
            && (at == sent.first || at_once || matches!(sent.parts[sent.first], Part::Done(_)))
    }

    /// Whether writers with this view consult the primary's gate.
    fn asks_gate(&self, view: &Topology) -> bool {
        view.phase == Phase::Syncing && self.gainers(view).next().is_some()
    }

    /// Whether there may be a connection, made by this view, from before now.
    pub(crate) fn is_connected(state: &State, view: &Topology, at: usize) -> bool {
        let (server, record) = (&state.servers[at], &view.members[at]);
        server.run != Run::Dead && server.life == record.life && record.generation > server.ended
    }

    /// Whether the handshake of a new connection would find the server usable.
    fn admits(&self, state: &State, view: &Topology, at: usize) -> bool {
        let (server, record) = (&state.servers[at], &view.members[at]);
        let same_life = server.gate.life == server.life && record.life == server.life;
        let same_data = server.gate.generation == record.generation;
        let same = match self.without {
            Some(Ingredient::Generation) => true,
            Some(Ingredient::GenerationAlone) => same_life,
            Some(Ingredient::RunId) => same_data,
            _ => same_life && same_data,
        };
        server.gate.open && same && server.gate.step <= view.step
    }

    /// Whether whoever holds the view could be answered by the server now.
    pub(crate) fn answers(&self, state: &State, view: &Topology, at: usize) -> bool {
        state.servers[at].run == Run::Up && (Self::is_connected(state, view, at) || self.admits(state, view, at))
    }

    fn answers_write(&self, state: &State, write: usize, at: usize) -> bool {
        self.answers(state, &state.writes[write].view, at) && state.unlinked != Some((write, at))
    }

    pub(crate) fn execute(&self, state: &mut State, write: usize, at: usize) -> Option<()> {
        (self.is_sent(state, write, at) && self.answers_write(state, write, at)).then_some(())?;
        let reply = self.apply(state, write, at)?;
        let sent = state.writes[write];
        state.writes[write].parts[at] = Part::Done(reply);
        if at != sent.first {
            return Some(());
        }
        if reply == Reply::Nil {
            // Nothing was written, so nobody else is told.
            state.writes[write] = Write::ended(Stage::Answered(Reply::Nil));
            return Some(());
        }
        if self.asks_gate(&sent.view) {
            let gate = state.servers[at].gate;
            let holds_for = if self.has(Ingredient::CutOfOwnStep) { sent.view.step } else { gate.step };
            for gainer in self.gainers(&sent.view) {
                let named = gate.open && gate.cut[gainer] == holds_for;
                if named || !self.has(Ingredient::GateStamp) {
                    state.writes[write].parts[gainer] = Part::Todo;
                }
            }
        }
        Some(())
    }

    /// The server executes the command; `None` while it is paused.
    pub(crate) fn apply(&self, state: &mut State, write: usize, at: usize) -> Option<Reply> {
        (!state.servers[at].paused).then_some(())?;
        let before = state.servers[at].value;
        let reply = state.servers[at].value.execute(self.ops[write].command, number(write));
        if state.servers[at].value != before {
            // What is executed after the stamp is no more the copier's: it has stopped to follow.
            for copier in &mut state.copiers {
                if copier.source == at && copier.copying == Copying::Follows {
                    copier.pushed |= self.fine;
                    copier.dirty |= !self.fine;
                }
            }
        }
        Some(reply)
    }

    pub(crate) fn swallow(&self, state: &mut State, write: usize, at: usize, fault: Fault) -> Option<()> {
        (state.faults > 0 && self.is_sent(state, write, at) && self.answers_write(state, write, at)).then_some(())?;
        self.apply(state, write, at)?;
        state.writes[write].parts[at] = Part::Missed;
        self.happen(state, fault)
    }

    pub(crate) fn give_up_on(&self, state: &mut State, write: usize, at: usize, stuck: bool) -> Option<()> {
        (self.is_sent(state, write, at) && !self.answers_write(state, write, at)).then_some(())?;
        let connected = Self::is_connected(state, &state.writes[write].view, at);
        if stuck {
            (connected && state.stuck.is_none()).then_some(())?;
            let generation = state.writes[write].view.members[at].generation;
            state.stuck = Some(Stuck { write, server: at, life: state.servers[at].life, generation });
        }
        state.writes[write].parts[at] = if connected { Part::Missed } else { Part::Unsent };
        Some(())
    }

    pub(crate) fn land(&self, state: &mut State) -> Option<()> {
        let stuck = state.stuck?;
        let server = &state.servers[stuck.server];
        (server.run == Run::Up && state.unlinked != Some((stuck.write, stuck.server))).then_some(())?;
        if server.life == stuck.life && stuck.generation > server.ended {
            self.apply(state, stuck.write, stuck.server)?;
        }
        state.stuck = None;
        Some(())
    }

    pub(crate) fn resolve(&self, state: &mut State, write: usize, at: usize) -> Option<()> {
        let sent = state.writes[write];
        (sent.stage == Stage::Open && matches!(sent.parts[at], Part::Missed | Part::Unsent)).then_some(())?;
        let absolute = self.ops[write].command.is_absolute();
        let other_life = state.ring.members[at].generation != sent.generations[at];
        if !self.has(Ingredient::Fence) || state.ring.is_down(at) || other_life {
            state.writes[write].parts[at] = Part::Gone;
            return Some(());
        }
        let alive = self.answers(state, &state.ring, at) && state.unlinked != Some((write, at));
        if !alive {
            let last = state.ring.is_up(at) && self.readable(&state.ring).all(|member| member == at);
            if last {
                return unknown(state, write);
            }
            state.writes[write].parts[at] = Part::Gone;
            state.writes[write].fenced = true;
            return Self::mark_down(state, at);
        }
        if sent.parts[at] == Part::Unsent {
            if matches!(sent.parts[sent.first], Part::Done(_)) {
                state.writes[write].parts[at] = Part::Todo;
                state.writes[write].view = state.ring;
                return Some(());
            }
            return self.again(state, write);
        }
        if absolute || !self.has(Ingredient::FenceBeforeRepeat) {
            state.suspect |= self.has(Ingredient::SuspectResent);
            return self.again(state, write);
        }
        unknown(state, write)
    }

    /// The whole write once more, under the newest topology, after its client has ended its own connections.
    fn again(&self, state: &mut State, write: usize) -> Option<()> {
        if state.stuck.is_some_and(|stuck| stuck.write == write && state.ring.is_used(stuck.server)) {
            state.stuck = None;
        }
        if self.primary(&state.ring).is_none() {
            return unknown(state, write);
        }
        self.send(state, write, state.ring)
    }

    pub(crate) fn finish(&self, state: &mut State, write: usize) -> Option<()> {
        let sent = state.writes[write];
        (sent.stage == Stage::Open).then_some(())?;
        let has_it = |at: usize| matches!(sent.parts[at], Part::Done(_)) && Self::is_current(state, &sent, at);
        let nobody_has_it = self.has(Ingredient::HolderIsUp)
            && Self::differs(&sent, Reply::Nil).is_some() && !(0..MEMBERS).any(has_it);
        if sent.parts[sent.first] == Part::Gone || nobody_has_it {
            let flipped = state.ring.flipped != sent.flipped;
            if flipped && !self.ops[write].command.is_absolute() && self.has(Ingredient::UnknownAcrossFlip) {
                return unknown(state, write);
            }
            return self.again(state, write);
        }
        let Part::Done(reply) = sent.parts[sent.first] else { return None };
        let differs = Self::differs(&sent, reply)?;
        self.is_settled(state, &sent).then_some(())?;
        if self.heir_is_lost(state, write) && self.has(Ingredient::UnknownWithoutHeir) {
            return unknown(state, write);
        }
        let mut answer = reply;
        if differs {
            let newer = match self.ruling(state, &sent)? {
                Ruling::Asked => None,
                Ruling::Other(newer) => Some(newer),
                Ruling::Nobody => return unknown(state, write),
            };
            let repairs = newer.is_none() || self.has(Ingredient::RepairForNewest);
            if repairs && (0..MEMBERS).any(|at| self.is_refused(state, &sent, at, newer.unwrap_or(reply))) {
                return None;
            }
            state.suspect |= newer.is_none() || self.has(Ingredient::SuspectAlways);
            if let (Some(newer), true) = (newer, self.has(Ingredient::Arbitration)) {
                answer = newer;
            }
        }
        state.writes[write] = Write::ended(Stage::Answered(answer));
        Some(())
    }

    /// Whether others have answered otherwise than the primary; `None` while somebody has not answered.
    fn differs(sent: &Write, reply: Reply) -> Option<bool> {
        let mut differs = false;
        for part in sent.parts {
            match part {
                Part::None | Part::Gone => {}
                Part::Done(other) => differs |= other != reply,
                Part::Todo | Part::Missed | Part::Unsent => return None,
            }
        }
        Some(differs)
    }

    /// Whose reply counts of those that differ; `None` while that cannot be told.
    fn ruling(&self, state: &State, sent: &Write) -> Option<Ruling> {
        if self.has(Ingredient::WaitForFlip) && self.waits_for_flip(sent) {
            if state.ring.step == sent.step {
                return None;
            }
            if state.ring.step > sent.step + 1 {
                return Some(Ruling::Nobody);
            }
        }
        let reply_of = |at: usize| match sent.parts[at] {
            Part::Done(reply) if Self::is_current(state, sent, at) || !self.has(Ingredient::ReplyOfGeneration) => Some(reply),
            _ => None,
        };
        Some(match self.primary(&state.ring) {
            None => Ruling::Nobody,
            Some(newest) => match reply_of(newest) {
                Some(_) if newest == sent.first => Ruling::Asked,
                Some(newer) => Ruling::Other(newer),
                None if Self::is_current(state, sent, sent.first) => Ruling::Asked,
                None => Ruling::Nobody,
            },
        })
    }

    /// Whether the member is up, and in the life that the write knows it in.
    fn is_current(state: &State, sent: &Write, at: usize) -> bool {
        state.ring.is_up(at) && sent.generations[at] == state.ring.members[at].generation
    }

    /// Whether this copy refused what the primary has executed, and a reader may ask it: a lock that only its primary knows
    /// would be given twice after a fence.
    fn is_refused(&self, state: &State, sent: &Write, at: usize, answer: Reply) -> bool {
        self.has(Ingredient::RepairRefused)
            && answer != Reply::Nil
            && sent.parts[at] == Part::Done(Reply::Nil)
            && Self::is_current(state, sent, at)
    }

    pub(crate) fn repair(&self, state: &mut State, write: usize, at: usize) -> Option<()> {
        let sent = state.writes[write];
        let Part::Done(reply) = sent.parts[sent.first] else { return None };
        (sent.stage == Stage::Open && Self::differs(&sent, reply)?).then_some(())?;
        let answer = match self.ruling(state, &sent)? {
            Ruling::Asked => reply,
            Ruling::Other(newer) => newer,
            Ruling::Nobody => return None,
        };
        self.is_refused(state, &sent, at, answer).then_some(())?;
        let reaches = |server: usize| {
            self.answers(state, &state.ring, server)
                && state.unlinked != Some((write, server))
                && !state.servers[server].paused
        };
        let source = self.primary(&state.ring).filter(|newest| sent.parts[*newest] == Part::Done(answer));
        let Some(source) = source.filter(|source| reaches(*source)) else { return unknown(state, write) };
        if !reaches(at) {
            state.writes[write].parts[at] = Part::Missed;
            return Some(());
        }
        let is_half_done = |(other, _): (usize, Op)| {
            let parts = &state.writes[other].parts;
            other != write && matches!(parts[at], Part::Done(_)) != matches!(parts[source], Part::Done(_))
        };
        state.mixed |= self.writes().any(is_half_done);
        state.servers[at].value = state.servers[source].value;
        state.writes[write].parts[at] = Part::Done(answer);
        state.suspect = true;
        Some(())
    }

    /// What stood in the way of a lock at the heir may be gone by now, before the flip or after it.
    pub(crate) fn insist(&self, state: &mut State, write: usize) -> Option<()> {
        let sent = state.writes[write];
        let Part::Done(reply) = sent.parts[sent.first] else { return None };
        let heir = self.heir(&sent)?;
        let refused = reply != Reply::Nil && sent.parts[heir] == Part::Done(Reply::Nil);
        (sent.stage == Stage::Open && refused && Self::is_current(state, &sent, heir)).then_some(())?;
        let reaches = self.answers(state, &state.ring, heir) && state.unlinked != Some((write, heir));
        (reaches && state.servers[heir].value.items().is_empty()).then_some(())?;
        let reply = self.apply(state, write, heir)?;
        state.writes[write].parts[heir] = Part::Done(reply);
        state.suspect = true;
        Some(())
    }

    /// Who is the key's primary by a flip from the step that the write was sent under, where that is another one.
    fn heir(&self, sent: &Write) -> Option<usize> {
        let mut heirs = self.after.iter().copied();
        let heir = heirs.find(|member| sent.view.is_up(*member) || self.gains(&sent.view, *member))?;
        (sent.phase == Phase::Syncing && heir != sent.first).then_some(heir)
    }

    /// Whether a gainer that has the write may become the key's primary by a flip from the step that it was sent under.
    ///
    /// Writers whose replies differ are all decided by how that step is left: by the flip, or by the way back. If each went by
    /// what is true when it asks, one could answer by the order of the old primary and the next one by that of the new. Who
    /// was not looking when the step was left cannot tell any more.
    fn waits_for_flip(&self, sent: &Write) -> bool {
        self.heir(sent).is_some_and(|heir| matches!(sent.parts[heir], Part::Done(_)))
    }

    /// Whether the heir has been the key's primary without having answered as the old one, and is so no more. Whatever others
    /// were told by it meanwhile may contradict the old primary's reply.
    fn heir_is_lost(&self, state: &State, write: usize) -> bool {
        let sent = &state.writes[write];
        if self.ops[write].command.is_absolute() || !state.ring.flipped {
            return false;
        }
        self.heir(sent).is_some_and(|heir| {
            let same = sent.generations[heir] == state.ring.members[heir].generation;
            let differs = sent.parts[heir] != Part::None && sent.parts[heir] != sent.parts[sent.first];
            differs && !(same && self.primary(&state.ring) == Some(heir))
        })
    }

    /// Whether nobody reads a member any more that is down and may lack the write.
    fn is_settled(&self, state: &State, sent: &Write) -> bool {
        if !self.has(Ingredient::FenceWait) || self.wait == crate::world::Wait::Late {
            return true;
        }
        if !self.has(Ingredient::FenceWaitForAll) && !sent.fenced {
            return true;
        }
        (0..MEMBERS).all(|member| {
            !state.ring.is_down(member)
                || state.closed[member]
                || !state.older.all().iter().any(|view| view.is_up(member))
        })
    }
}

/// Whose reply counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ruling {
    /// That of the primary that was asked.
    Asked,
    /// This one, of the newest primary.
    Other(Reply),
    /// Nobody's.
    Nobody,
}

/// The number that stands for the write in a value.
pub(crate) fn number(write: usize) -> u8 {
    u8::try_from(write + 1).unwrap_or(u8::MAX)
}

/// An error whose outcome is unknown leaves the key to be compared.
fn unknown(state: &mut State, write: usize) -> Option<()> {
    state.writes[write] = Write::ended(Stage::Unknown);
    state.suspect = true;
    Some(())
}
