//! What a member's agent does: closes, comes back, copies, cuts.

use crate::topology::{MEMBERS, Phase, Standing};
use crate::value::Value;
use crate::world::{Copier, Copying, Gate, Ingredient, Run, Stage, State, World};

impl World {
    /// The record of a member, down. Whoever writes it is not asked here whether it may.
    pub(crate) fn mark_down(state: &mut State, member: usize) -> Option<()> {
        state.publish(|ring| ring.members[member].standing = Standing::Down)?;
        state.closed[member] = false;
        Some(())
    }

    pub(crate) fn own_down(&self, state: &mut State, member: usize) -> Option<()> {
        let server = &state.servers[member];
        let ill = server.run != Run::Up || server.life != state.ring.members[member].life;
        (state.ring.is_used(member) && ill).then_some(())?;
        Self::mark_down(state, member)
    }

    pub(crate) fn close(&self, state: &mut State, member: usize) -> Option<()> {
        (state.ring.is_down(member) && !state.closed[member]).then_some(())?;
        match state.servers[member].run {
            Run::Up => self.shut(state, member),
            Run::Dead => {}
            Run::Stopped => return None,
        }
        state.closed[member] = true;
        Some(())
    }

    /// Deletes the gate and ends all connections of clients.
    fn shut(&self, state: &mut State, member: usize) {
        let server = &mut state.servers[member];
        server.gate = Gate::default();
        if self.has(Ingredient::KillBeforeFill) {
            server.ended = state.ring.members[member].generation;
            if state.stuck.is_some_and(|stuck| stuck.server == member) {
                state.stuck = None;
            }
        }
    }

    pub(crate) fn come_back(&self, state: &mut State, member: usize) -> Option<()> {
        let allowed = matches!(state.ring.phase, Phase::Still | Phase::Filling) && !state.ring.flipped && !self.no_move;
        (allowed && state.ring.is_down(member) && state.closed[member]).then_some(())?;
        (state.servers[member].run == Run::Up && state.ring.step < self.last_step).then_some(())?;
        self.shut(state, member);
        let life = state.servers[member].life;
        state.publish(|ring| {
            let record = &mut ring.members[member];
            record.standing = Standing::Joining;
            record.life = life;
            record.generation += 1;
        })?;
        state.closed[member] = false;
        state.elsewhere[member] = false;
        if self.has(Ingredient::ReportOfGeneration) {
            state.copiers[member] = Copier::OFF;
        }
        let record = state.ring.members[member];
        state.servers[member].gate = Gate {
            open: true,
            life: record.life,
            generation: record.generation,
            step: state.ring.step,
            cut: [0; MEMBERS],
        };
        Some(())
    }

    pub(crate) fn start_copy(&self, state: &mut State, member: usize) -> Option<()> {
        let behind = state.barrier || !self.has(Ingredient::FillBehindBarrier);
        (state.ring.phase == Phase::Filling && behind && self.gains(&state.ring, member)).then_some(())?;
        (state.copiers[member].copying == Copying::Off && is_alive(state, member)).then_some(())?;
        let source = self.primary(&state.ring)?;
        is_alive(state, source).then_some(())?;
        // Whatever clients have in sockets to the gainer ends before each filling, also one that begins anew.
        let ends = self.has(Ingredient::KillBeforeFill) && self.has(Ingredient::KillBeforeEachFill);
        if ends && state.stuck.is_some_and(|stuck| stuck.server == member) {
            state.stuck = None;
        }
        state.copiers[member] = Copier { copying: Copying::Follows, source, dirty: true, ..Copier::OFF };
        Some(())
    }

    pub(crate) fn hear(&self, state: &mut State, member: usize) -> Option<()> {
        let copier = &mut state.copiers[member];
        copier.pushed.then_some(())?;
        copier.pushed = false;
        copier.dirty = true;
        Some(())
    }

    pub(crate) fn dump(&self, state: &mut State, member: usize) -> Option<()> {
        let copier = &state.copiers[member];
        (works(copier.copying) && copier.dirty && copier.dump.is_none()).then_some(())?;
        is_alive(state, copier.source).then_some(())?;
        let value = state.servers[copier.source].value;
        let copier = &mut state.copiers[member];
        copier.dirty = false;
        copier.dump = Some(value);
        Some(())
    }

    pub(crate) fn restore(&self, state: &mut State, member: usize) -> Option<()> {
        let value: Value = state.copiers[member].dump?;
        is_alive(state, member).then_some(())?;
        state.copiers[member].dump = None;
        state.servers[member].value = value;
        Some(())
    }

    /// Nobody whose view is older than the ring's is at the source any more: the barrier, or only what looks like it.
    fn is_clear(&self, state: &State) -> bool {
        let behind =
            |write: usize| state.writes[write].stage == Stage::Open && state.writes[write].view.step < state.ring.step;
        state.barrier
            || !self.has(Ingredient::Barrier)
            || (self.local_cut && !self.writes().any(|(write, _)| behind(write)))
    }

    pub(crate) fn stamp(&self, state: &mut State, member: usize) -> Option<()> {
        let Copier { copying, source, dump, .. } = state.copiers[member];
        (state.ring.phase == Phase::Syncing && copying == Copying::Follows && dump.is_none()).then_some(())?;
        (is_alive(state, source) && self.primary(&state.ring) == Some(source)).then_some(())?;
        let gate_is_set = state.servers[source].gate.step == state.ring.step;
        ((gate_is_set || !self.has(Ingredient::Barrier)) && self.is_clear(state)).then_some(())?;
        // The lock: one cut at a source at a time.
        (!state.copiers.iter().any(|other| other.copying == Copying::Cuts && other.source == source)).then_some(())?;
        let server = &mut state.servers[source];
        server.gate.cut[member] = state.ring.step;
        server.paused = self.has(Ingredient::Pause) && self.has(Ingredient::Atomicity);
        state.copiers[member].copying = Copying::Cuts;
        Some(())
    }

    pub(crate) fn pause_late(&self, state: &mut State, member: usize) -> Option<()> {
        let copier = state.copiers[member];
        (copier.copying == Copying::Cuts && !state.servers[copier.source].paused).then_some(())?;
        state.servers[copier.source].paused = true;
        Some(())
    }

    pub(crate) fn pause_ends(&self, state: &mut State, member: usize) -> Option<()> {
        let copier = state.copiers[member];
        (self.slow_cut && copier.copying == Copying::Cuts && state.servers[copier.source].paused).then_some(())?;
        state.servers[copier.source].paused = false;
        // Whoever has only to *read* in time does not mind what is still on its way to the gainer.
        state.copiers[member].late = self.has(Ingredient::ArrivalInTime) || copier.dirty || copier.pushed;
        Some(())
    }

    pub(crate) fn end_cut(&self, state: &mut State, member: usize) -> Option<()> {
        let copier = state.copiers[member];
        (copier.copying == Copying::Cuts && !copier.dirty && copier.dump.is_none()).then_some(())?;
        (!copier.pushed || !self.has(Ingredient::Drain)).then_some(())?;
        let paused = state.servers[copier.source].paused;
        (paused || self.slow_cut || !self.has(Ingredient::Pause)).then_some(())?;
        state.servers[copier.source].paused = false;
        let copying = if copier.late { Copying::Void } else { Copying::Cut };
        state.copiers[member] = Copier { copying, source: copier.source, ..Copier::OFF };
        Some(())
    }

    /// What it copies there is other keys' affair: here it is only that it comes at another time than the cut at this key's source.
    pub(crate) fn cut_elsewhere(&self, state: &mut State, member: usize) -> Option<()> {
        let other = *self.before.last()?;
        let may = state.ring.phase == Phase::Syncing && state.barrier && self.gains(&state.ring, member);
        (may && !state.elsewhere[member] && is_alive(state, other) && is_alive(state, member)).then_some(())?;
        state.elsewhere[member] = true;
        Some(())
    }

    /// The source or the gainer's own server is not the one any more that the agent began with.
    pub(crate) fn lose_copy(&self, state: &mut State, member: usize) -> Option<()> {
        let Copier { copying, source, .. } = state.copiers[member];
        (copying != Copying::Off && copying != Copying::Void).then_some(())?;
        let moved_on = copying != Copying::Cut && self.primary(&state.ring) != Some(source);
        let lost = !is_alive(state, source) || !is_alive(state, member) || moved_on;
        (lost || !self.gains(&state.ring, member)).then_some(())?;
        if copying == Copying::Cuts {
            state.servers[source].paused = false;
        }
        let copying = match (state.ring.phase, copying) {
            (Phase::Syncing, _) => Copying::Void,
            _ => Copying::Off,
        };
        state.copiers[member] = Copier { copying, ..Copier::OFF };
        Some(())
    }
}

fn works(copying: Copying) -> bool {
    matches!(copying, Copying::Follows | Copying::Cuts)
}

/// Whether the server is the process that the record knows, and answers.
fn is_alive(state: &State, member: usize) -> bool {
    state.servers[member].run == Run::Up && state.servers[member].life == state.ring.members[member].life
}
