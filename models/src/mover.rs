//! What the mover does: barriers and changes of phase. It keeps nothing between two steps, so one that is gone is replaced by
//! any other, and its crash is no action of its own.

use crate::topology::{MEMBERS, Phase, Standing};
use crate::world::{Copier, Copying, Ingredient, Part, Run, Stage, State, World};

impl World {
    fn enter(state: &mut State, phase: Phase) -> Option<()> {
        state.publish(|ring| {
            ring.step += 1;
            ring.phase = phase;
        })?;
        state.barrier = false;
        Some(())
    }

    pub(crate) fn fill(&self, state: &mut State) -> Option<()> {
        let ring = &state.ring;
        (ring.phase == Phase::Still && !ring.flipped && ring.step < self.last_step).then_some(())?;
        self.gainers(ring).next()?;
        Self::enter(state, Phase::Filling)
    }

    pub(crate) fn set_gates(&self, state: &mut State, one: Option<usize>) -> Option<()> {
        let mut changed = false;
        for member in 0..MEMBERS {
            let asked = one.is_none_or(|one| one == member) && state.ring.is_used(member);
            let server = &mut state.servers[member];
            if asked && server.run == Run::Up && server.gate.open && server.gate.step < state.ring.step {
                server.gate.step = state.ring.step;
                changed = true;
            }
        }
        changed.then_some(())
    }

    fn gates_are_set(state: &State) -> bool {
        (0..MEMBERS).filter(|member| state.ring.is_used(*member)).all(|member| {
            let server = &state.servers[member];
            server.run == Run::Up && server.gate.open && server.gate.step == state.ring.step
        })
    }

    fn is_behind(state: &State, write: usize) -> bool {
        state.writes[write].stage == Stage::Open && state.writes[write].view.step < state.ring.step
    }

    pub(crate) fn hold_barrier(&self, state: &mut State) -> Option<()> {
        (!state.barrier && state.ring.step > 1).then_some(())?;
        if self.has(Ingredient::Barrier) {
            let nobody = !self.writes().any(|(write, _)| Self::is_behind(state, write));
            (Self::gates_are_set(state) && nobody).then_some(())?;
            let step = state.ring.step;
            state.older.retain(|view| view.step >= step);
        }
        state.barrier = true;
        Some(())
    }

    pub(crate) fn kill_client(&self, state: &mut State, write: usize, executed: Option<usize>) -> Option<()> {
        (!state.barrier && Self::gates_are_set(state) && Self::is_behind(state, write)).then_some(())?;
        if let Some(at) = executed {
            let view = state.writes[write].view;
            (self.is_sent(state, write, at) && self.answers(state, &view, at)).then_some(())?;
            self.apply(state, write, at)?;
        }
        for at in 0..MEMBERS {
            if self.is_sent(state, write, at) {
                state.writes[write].parts[at] = Part::Missed;
            }
        }
        state.writes[write].view = state.ring;
        Some(())
    }

    pub(crate) fn sync(&self, state: &mut State) -> Option<()> {
        (state.ring.phase == Phase::Filling && state.barrier && state.ring.step < self.last_step).then_some(())?;
        self.gainers(&state.ring).next()?;
        if self.has(Ingredient::FillBeforeFlip) {
            let caught_up =
                |copier: &Copier| copier.copying == Copying::Follows && !copier.dirty && copier.dump.is_none();
            self.gainers(&state.ring).all(|gainer| caught_up(&state.copiers[gainer])).then_some(())?;
        }
        state.sources = [0, 1, 2, 3].map(|member| state.ring.is_up(member));
        Self::enter(state, Phase::Syncing)
    }

    /// Whether what was cut in this step cannot be used.
    fn is_broken(&self, state: &State) -> bool {
        let fenced = (0..MEMBERS).any(|member| state.sources[member] && !state.ring.is_up(member));
        let lost = |member: usize| !self.gains(&state.ring, member) && state.copiers[member].copying != Copying::Off;
        let void = |member: usize| state.copiers[member].copying == Copying::Void;
        fenced || (0..MEMBERS).any(|member| lost(member) || void(member)) || self.gainers(&state.ring).next().is_none()
    }

    pub(crate) fn back(&self, state: &mut State) -> Option<()> {
        (state.ring.phase == Phase::Syncing && self.is_broken(state) && state.ring.step < self.last_step)
            .then_some(())?;
        Self::enter(state, Phase::Filling)?;
        for copier in &mut state.copiers {
            if self.has(Ingredient::CopyAgain) || copier.copying == Copying::Void {
                if copier.copying == Copying::Cuts {
                    state.servers[copier.source].paused = false;
                }
                *copier = Copier::OFF;
            } else if copier.copying == Copying::Cut {
                copier.copying = Copying::Follows;
            }
        }
        state.sources = [false; MEMBERS];
        state.elsewhere = [false; MEMBERS];
        Some(())
    }

    pub(crate) fn give_up(&self, state: &mut State) -> Option<()> {
        (state.ring.phase == Phase::Filling && self.gainers(&state.ring).next().is_none()).then_some(())?;
        state.copiers = [Copier::OFF; MEMBERS];
        Self::enter(state, Phase::Still)
    }

    fn may_flip(&self, state: &State) -> bool {
        let cut = |gainer: usize| {
            let copier = &state.copiers[gainer];
            let here = copier.copying == Copying::Cut && self.primary(&state.ring) == Some(copier.source);
            if !self.has(Ingredient::FillBeforeFlip) {
                return true;
            }
            let there = state.elsewhere[gainer];
            if self.has(Ingredient::EverySource) { here && (there || !self.two_sources) } else { here || there }
        };
        state.ring.phase == Phase::Syncing
            && state.barrier
            && !self.is_broken(state)
            && self.gainers(&state.ring).all(cut)
    }

    pub(crate) fn decide(&self, state: &mut State) -> Option<()> {
        (!self.has(Ingredient::ConditionalFlip) && !state.decided && self.may_flip(state)).then_some(())?;
        state.decided = true;
        Some(())
    }

    pub(crate) fn flip(&self, state: &mut State) -> Option<()> {
        let decided = if self.has(Ingredient::ConditionalFlip) { self.may_flip(state) } else { state.decided };
        (decided && state.ring.phase == Phase::Syncing).then_some(())?;
        let gainers: Vec<usize> = (0..MEMBERS)
            .filter(|member| self.gains(&state.ring, *member) && state.copiers[*member].copying != Copying::Off)
            .collect();
        let serve = |member: usize| gainers.contains(&member) || !self.has(Ingredient::FillBeforeFlip);
        Self::enter(state, Phase::Retiring)?;
        state.ring.flipped = true;
        for member in 0..MEMBERS {
            if self.after.contains(&member) && serve(member) && state.ring.members[member].standing != Standing::Up {
                state.ring.members[member].standing = Standing::Up;
            }
        }
        state.copiers = [Copier::OFF; MEMBERS];
        state.sources = [false; MEMBERS];
        state.elsewhere = [false; MEMBERS];
        state.decided = false;
        Some(())
    }

    pub(crate) fn settle(&self, state: &mut State) -> Option<()> {
        (state.ring.phase == Phase::Retiring && state.barrier).then_some(())?;
        Self::enter(state, Phase::Still)
    }
}
