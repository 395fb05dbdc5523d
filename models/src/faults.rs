//! What goes wrong, and what time does.

use crate::topology::MEMBERS;
use crate::value::Value;
use crate::world::{Fault, Gate, Run, Stage, State, Wait, World};

impl World {
    pub(crate) fn happen(&self, state: &mut State, fault: Fault) -> Option<()> {
        state.faults = state.faults.checked_sub(1)?;
        match fault {
            Fault::Crash(member) | Fault::CrashOld(member) => {
                let server = &mut state.servers[member];
                (server.run == Run::Up).then_some(())?;
                server.run = Run::Dead;
                server.paused = false;
                state.old_data = matches!(fault, Fault::CrashOld(_));
                if state.stuck.is_some_and(|stuck| stuck.server == member) {
                    state.stuck = None;
                }
            }
            Fault::Stop(member) => {
                let server = &mut state.servers[member];
                (server.run == Run::Up).then_some(())?;
                server.run = Run::Stopped;
            }
            Fault::Unlink(write, member) => {
                // An ended write has nothing to lose.
                matches!(state.writes[write].stage, Stage::Waiting | Stage::Open).then_some(())?;
                state.unlinked = Some((write, member));
            }
        }
        Some(())
    }

    pub(crate) fn restart(&self, state: &mut State, member: usize) -> Option<()> {
        let old_data = state.old_data;
        let server = &mut state.servers[member];
        (server.run == Run::Dead).then_some(())?;
        server.run = Run::Up;
        server.life += 1;
        if old_data {
            server.value = if self.before.contains(&member) && !self.empty { Value::base() } else { Value::default() };
        } else {
            server.value = Value::default();
            server.gate = Gate::default();
        }
        Some(())
    }

    pub(crate) fn resume(&self, state: &mut State, member: usize) -> Option<()> {
        let server = &mut state.servers[member];
        (server.run == Run::Stopped).then_some(())?;
        server.run = Run::Up;
        Some(())
    }

    pub(crate) fn fence_wait_passes(&self, state: &mut State) -> Option<()> {
        (self.wait == Wait::Bounded).then_some(())?;
        let (before, ring) = (state.older, state.ring);
        state.older.retain(|view| !(0..MEMBERS).any(|member| ring.is_down(member) && view.is_up(member)));
        (state.older != before).then_some(())
    }
}
