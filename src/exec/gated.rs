//! Writes of keys that members gain while the ring is `syncing`.
//!
//! A member that gains keys is copied everything from their primary, up to one moment: its name appears in that server's
//! gate. Whatever the primary executes before this is in what was copied, and must not be sent to the member; whatever it
//! executes later is not, and must. Only the primary can tell on which side of it a write is. So each is asked for the
//! gate in one transaction with the command, and those that the answer names are copies like all others from there on:
//! they get the same, in the same order, and to miss it means the same.

use redis::{Cmd, ErrorKind, cmd};

use super::batch::Batch;
use super::ended::{Done, Ended};
use super::reply::{Verdict, judge};
use super::steps::Step;
use super::wire::Answered;
use crate::command;
use crate::node::{Fault, Gate, Shut};
use crate::placement::MemberIndex;
use crate::sabotage::{self, Sabotage};

/// A member that gains keys, and which steps it gets.
pub(super) struct Gained {
    pub(super) by: MemberIndex,
    /// In the order of the steps.
    pub(super) steps: Vec<bool>,
}

impl Batch {
    /// Whether the primary's gate has to say who gets it.
    pub(super) fn is_gated(&self, step: &Step) -> bool {
        self.snapshot.gated
            && step.copying.writes()
            && step.tokens.all().iter().any(|token| self.snapshot.is_gated(*token))
    }

    /// Why the primary's answers do not count, if its gate says so: the member was fenced, or this is not the life of its
    /// data that the ring knows. Whether others have what it did is as little known as if it had not answered.
    ///
    /// A gate that wants a newer step says nothing against them. The ring has flipped, and until this client knows, its
    /// writes go to everybody who was named.
    pub(super) fn disbelieved(&self, answered: &[Answered]) -> Option<Fault> {
        let primary = self.owners.primary();
        let (link, member) = (self.link(primary)?, self.snapshot.topology().member(primary));
        if sabotage::is(Sabotage::TrustReturning) {
            return None;
        }
        let mut gates = answered.iter().filter_map(|answered| answered.gate.as_ref());
        let known = self.snapshot.topology().step();
        let why = gates.find_map(|gate| match gate.admits(link.run_id(), member.generation, known) {
            Ok(()) | Err(Shut::Newer(_)) => None,
            Err(Shut::Closed) => Some("its gate is closed"),
            Err(Shut::OtherLife) => Some("its gate is that of another life of its data"),
        });
        why.map(|why| Fault::Lost((ErrorKind::Io, why).into()))
    }

    /// The members that gain keys and are named in the moment in which these were written.
    pub(super) fn gained(&self, answered: &[Answered]) -> Vec<Gained> {
        let mut gained: Vec<Gained> = Vec::new();
        // Of a transaction it is asked once, in front.
        let of_all = answered.first().and_then(|answered| answered.gate.as_ref()).filter(|_| self.atomic);
        for (at, (step, answered)) in self.steps.iter().zip(answered).enumerate() {
            let Some(gate) = answered.gate.as_ref().or(of_all).filter(|_| step.copying.writes()) else { continue };
            for gainer in step.tokens.all().iter().flat_map(|token| self.snapshot.topology().gainers(*token)) {
                if !self.names(gate, gainer) {
                    continue;
                }
                let known = gained.iter().position(|gained| gained.by == gainer);
                let place = known.unwrap_or_else(|| {
                    gained.push(Gained { by: gainer, steps: vec![false; self.steps.len()] });
                    gained.len() - 1
                });
                if let Some(gets) = gained.get_mut(place).and_then(|gained| gained.steps.get_mut(at)) {
                    *gets = true;
                }
            }
        }
        gained
    }

    /// Whether the transaction that asked the gate was refused for want of memory, and a script may do: a server that is
    /// full refuses every transaction, and takes what frees memory otherwise.
    ///
    /// Only of a step that is alone. It runs once more, and others of a pipeline might have had to come after it.
    pub(super) fn may_go_by_script(&self, answered: &[Answered]) -> bool {
        let ([step], [answered]) = (&self.steps[..], answered) else { return false };
        !self.atomic
            && !step.by_script
            && self.is_gated(step)
            && step.fits_a_script()
            && judge(&answered.reply) == Verdict::OutOfMemory
    }

    pub(super) fn again_by_script(mut self) -> Ended {
        self.steps.iter_mut().for_each(|step| step.by_script = true);
        let done = self.steps.iter().map(|_| Done::Again { unknown: false }).collect();
        let mut ended = Ended::of(done);
        ended.steps = self.steps;
        ended
    }

    fn names(&self, gate: &Gate, gainer: MemberIndex) -> bool {
        gate.names(self.id(gainer), self.snapshot.topology().step())
    }
}

/// Without leave to run where memory is short, as a script of the first kind: what the server would refuse alone it refuses
/// here. Replies keep their order.
const BY_SCRIPT: &str = "\
local replies, at = {redis.call('HGETALL', KEYS[1])}, 1
while ARGV[at] do
  local words = {}
  for nth = 1, tonumber(ARGV[at]) do words[nth] = ARGV[at + nth] end
  at = at + #words + 1
  replies[#replies + 1] = redis.pcall(unpack(words))
end
return replies";

/// The gate, and what belongs to a step, as one script.
pub(super) fn by_script(step: &Step) -> Cmd {
    let mut eval = cmd("EVAL");
    eval.arg(BY_SCRIPT).arg(1).arg(command::OWN_GATE);
    for asked in step.asked() {
        let words = command::arguments(asked);
        eval.arg(words.len()).arg(words);
    }
    eval
}
