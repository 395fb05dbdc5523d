//! What becomes of a batch when its owners have answered: who missed something is seen to, and where they answered
//! differently it is decided whose answers count, before the caller is told.

use std::collections::HashMap;
use std::sync::Arc;

use redis::Value;
use tokio::time::Instant;

use super::copies::{Other, Said};
use super::fence::{self, Insisted, Miss, Missed, Ruling, Why};
use super::owners::Owners;
use super::round::Failures;
use super::steps::Step;
use super::{Core, InStep, groups, heal, report};
use crate::command;
use crate::error::{Error, ErrorKind, Outcome, Retry};
use crate::placement::{Member, MemberIndex};
use crate::policy::Unfenced;

/// What became of one step.
pub(super) enum Done {
    /// The primary's reply, an error included.
    Replied(Value),
    /// The ring's own error.
    Failed(Error),
    /// Nobody has executed it, or it may be executed twice without harm.
    Again {
        /// Whether somebody may have executed it all the same.
        unknown: bool,
    },
}

/// What became of a batch: one for each step, and who failed.
pub(super) struct Ended {
    /// The steps, for those that run again; none where nobody knows what became of them.
    pub(super) steps: Vec<Step>,
    pub(super) done: Vec<Done>,
    pub(super) failures: Failures,
    /// Whether the server refused the whole transaction.
    pub(super) aborted: bool,
    /// The keys of the steps whose effect could not be told from the replies: the copies lack it.
    pub(super) untold: Vec<Vec<u8>>,
    /// Those who missed what others have.
    pub(super) misses: Vec<Miss>,
    /// Those who answered otherwise than the primary.
    pub(super) others: Vec<Other>,
    /// The primary, if it said that it cannot execute something now.
    pub(super) refused: Option<MemberIndex>,
}

impl Ended {
    /// The end of steps of which nobody knows more than this.
    pub(super) fn of(done: Vec<Done>) -> Ended {
        Ended {
            steps: Vec::new(),
            done,
            failures: Failures::new(),
            aborted: false,
            untold: Vec::new(),
            misses: Vec::new(),
            others: Vec::new(),
            refused: None,
        }
    }

    /// Gives the copies the state of the keys of what could not be told.
    pub(super) async fn told(mut self, core: &Arc<Core>, end: &End) -> Ended {
        for key in std::mem::take(&mut self.untold) {
            if let Err(error) = Box::pin(end.copy_state(core, &key)).await {
                core.suspect(vec![key]);
                let error = error.with_outcome(Outcome::Unknown);
                self.done.iter_mut().for_each(|done| *done = Done::Failed(error.clone()));
            }
        }
        self
    }
}

/// What is needed of a batch when it has ended.
pub(super) struct End {
    /// Held to the end: until the copies have what only their primary can tell, and whoever missed something is seen to, the
    /// ring must not go on to where another member's state would be taken for it.
    pub(super) snapshot: InStep,
    pub(super) owners: Owners,
    pub(super) command: &'static str,
    pub(super) atomic: bool,
}

impl End {
    /// Gives the copies the state of a key. Where its primary fails, the next owner has nothing of what is to be copied, and
    /// its state must not pass for it.
    async fn copy_state(&self, core: &Arc<Core>, key: &[u8]) -> Result<(), Error> {
        let (snapshot, keys) = (self.snapshot.clone(), vec![key.to_vec()]);
        let primary = &self.snapshot.topology().member(self.owners.primary()).id;
        if groups::copy_state_from(core, snapshot, keys, primary).await? {
            return Ok(());
        }
        core.counters.unknown_writes.add_one();
        Err(Error::new(
            ErrorKind::Disconnected,
            format!("{primary} alone knows what {} did, and has not told", self.command),
        )
        .with_retry(Retry::Never)
        .with_hint("read the key before trying again"))
    }

    /// Sees to those who missed some of it, or answered otherwise, before the caller is told.
    pub(super) async fn seen_to(self, core: &Arc<Core>, mut ended: Ended) -> Ended {
        let has_written = |(step, done): &(&Step, &mut Done)| {
            step.copying.writes() && matches!(done, Done::Replied(reply) if !step.did_nothing(reply))
        };
        let written = ended.steps.iter().zip(&mut ended.done).filter(has_written);
        let (mut tokens, mut keys) = (Vec::new(), Vec::new());
        for (step, _) in written {
            tokens.extend_from_slice(step.tokens.all());
            keys.extend(step.written());
        }
        if tokens.is_empty() {
            return ended;
        }
        let missed = Missed { misses: std::mem::take(&mut ended.misses), tokens, keys, command: self.command };
        if let Err(error) = fence::settle(core, &self.snapshot, &missed).await {
            for (_, done) in ended.steps.iter().zip(&mut ended.done).filter(has_written) {
                *done = Done::Failed(error.clone());
            }
            return ended;
        }
        let was_primary = |(step, _): &(&Step, &mut Done)| {
            let (token, missing) = (step.tokens.first(), missed.misses.iter().map(|miss| miss.owner));
            let heir = fence::heir(&self.snapshot, missing, token);
            heir.is_some_and(|heir| fence::has_been_primary(core, &self.snapshot, heir, token))
        };
        // What cannot be refused counts once wherever it runs: only its number may have been told to somebody else as well.
        let may_refuse = |(step, _): &(&Step, &mut Done)| step.may_refuse() || self.atomic;
        let written = ended.steps.iter().zip(&mut ended.done).filter(has_written);
        for (step, done) in written.filter(may_refuse).filter(was_primary) {
            *done = match step.copying.may_repeat() && !self.atomic {
                true => Done::Again { unknown: true },
                false => Done::Failed(self.replaced(core, step, None)),
            };
        }
        if core.fences.is_some() && !ended.others.is_empty() {
            self.decide(core, &mut ended).await;
        }
        fence::wait_out(core, &self.snapshot, &missed).await;
        ended
    }

    /// Whose answers count where they differ. Keys with the same owners may have other ones in the next ring, and what is
    /// waited for is not the same then.
    async fn decide(&self, core: &Arc<Core>, ended: &mut Ended) {
        let step_ends = Instant::now() + fence::step_takes(core);
        let mut others = std::mem::take(&mut ended.others);
        self.insist_at_heir(core, ended, &mut others, step_ends).await;
        let mut by_heir: HashMap<Option<MemberIndex>, Vec<Other>> = HashMap::new();
        let heirs: Vec<Option<MemberIndex>> =
            others.iter().map(|other| self.heir(ended, &others, other.step)).collect();
        for (heir, other) in heirs.into_iter().zip(others) {
            by_heir.entry(heir).or_default().push(other);
        }
        for (heir, others) in by_heir {
            self.decide_between(core, ended, heir, others, step_ends).await;
        }
    }

    /// Who has answered otherwise to a step and is to be the primary of its keys.
    fn heir(&self, ended: &Ended, others: &[Other], step: usize) -> Option<MemberIndex> {
        let token = ended.steps.get(step)?.tokens.first();
        let answered = others.iter().filter(|other| other.step == step).map(|other| other.copy);
        fence::heir(&self.snapshot, answered, token)
    }

    /// Has the member that is to be the primary execute what it refused and the primary has executed, before the end of the
    /// step is waited for. What stood in its way is most often taken away by a command that is on its way there already; and
    /// whoever is told of it by the new primary before this would have what somebody else has at the old one.
    ///
    /// Only what does the same whenever it is executed, and is alone: in a pipeline, what comes later may have to come after it.
    async fn insist_at_heir(&self, core: &Arc<Core>, ended: &mut Ended, others: &mut Vec<Other>, until: Instant) {
        let heir = self.heir(ended, others, 0);
        let ([step], [done], Some(heir)) = (&ended.steps[..], &mut ended.done[..], heir) else { return };
        let refused = others.iter().position(|other| other.copy == heir && was_refused(step, done, other));
        let Some(refused) = refused.filter(|_| !self.atomic && step.is_if_absent()) else { return };
        let did_nothing = |reply: &Value| step.did_nothing(reply);
        let still_moves = || core.snapshot.load().step == self.snapshot.step;
        match fence::insist_at_heir(core, &self.snapshot, heir, &step.cmd, did_nothing, until).await {
            Insisted::Refused => {}
            Insisted::Executed(_) => {
                // Where the ring has flipped meanwhile, somebody may have taken away what the old primary has.
                core.is_newest().await;
                let member = self.snapshot.topology().member(heir);
                if still_moves() || heal::become_equal(core, member, &step.written(), within(core)).await {
                    others.swap_remove(refused);
                } else {
                    others[refused].said = Said::Unclear;
                }
            }
            Insisted::Lost => {
                others[refused].said = Said::Unclear;
                if still_moves()
                    && let Err(error) = self.missed(core, heir, step).await
                {
                    *done = Done::Failed(error);
                }
            }
        }
    }

    /// Whose answers count, of steps whose keys have the same next primary.
    async fn decide_between(
        &self,
        core: &Arc<Core>,
        ended: &mut Ended,
        heir: Option<MemberIndex>,
        others: Vec<Other>,
        step_ends: Instant,
    ) {
        let Some(step) = others.first().and_then(|other| ended.steps.get(other.step)) else { return };
        let token = step.tokens.first();
        let moves = heir.is_some() && !fence::step_is_over(core, &self.snapshot, step_ends).await;
        let ruling = if !moves {
            let copies = others.iter().map(|other| other.copy);
            let asked: Vec<MemberIndex> = self.owners.all().iter().copied().chain(copies).collect();
            fence::arbitrate(core, &self.snapshot, &asked, heir, token).await
        } else {
            Ruling::Unsure(Error::new(ErrorKind::Timeout, "the ring moves, and does not come to an end of its step"))
        };
        let other = match &ruling {
            Ruling::Asked => return self.lacking(core, ended, others).await,
            Ruling::Other(other) => Some(*other),
            Ruling::Nobody | Ruling::Unsure(_) => None,
        };
        let why = match ruling {
            Ruling::Unsure(why) => Some(why),
            Ruling::Asked | Ruling::Other(_) | Ruling::Nobody => None,
        };
        // What is read in the middle of a transaction only the primary has answered.
        let alike = !self.atomic || ended.steps.iter().all(Step::copies_itself);
        let until = within(core);
        for Other { step: at, copy, said } in others {
            let (Some(step), Some(done)) = (ended.steps.get(at), ended.done.get_mut(at)) else { continue };
            if matches!(done, Done::Failed(_)) {
                continue;
            }
            let replaced = || self.replaced(core, step, why.clone());
            let refused = match &said {
                Said::Nothing => true,
                Said::Reply(reply) => step.did_nothing(reply),
                Said::Unclear => false,
            };
            let executed = matches!(&*done, Done::Replied(reply) if !step.did_nothing(reply));
            *done = match (other, said) {
                (Some(other), _) if copy != other => continue,
                (Some(_), Said::Reply(refusal)) if alike && refused && executed => {
                    let heir = self.snapshot.topology().member(copy);
                    let answer = self.refused_by_heir(core, heir, step, refusal, until).await;
                    answer.map_or_else(|| Done::Failed(replaced()), Done::Replied)
                }
                (Some(_), Said::Reply(reply)) if alike => Done::Replied(reply),
                (Some(_), Said::Nothing) if !self.atomic => Done::Again { unknown: false },
                (None, _) if why.is_none() && !self.atomic && step.copying.may_repeat() => {
                    Done::Again { unknown: true }
                }
                // As for a single command: only the order of what both have done is in question.
                (None, _) if why.is_some() && !refused && !moves && core.options.unfenced == Unfenced::Accept => {
                    continue;
                }
                (Some(_) | None, _) => Done::Failed(replaced()),
            };
            if self.atomic
                && let Done::Failed(error) = done
            {
                let error = error.clone();
                ended.done.iter_mut().for_each(|done| *done = Done::Failed(error.clone()));
                return;
            }
        }
    }

    /// What is answered to a step that its primary has executed and that the one of now, which was to get it as a copy, has
    /// refused. This one executes it after all, or whoever has what stood in its way sees to it that the old primary has the
    /// same: then nobody has what it did, and the refusal is the answer. Else nobody can tell. The old primary's must not be
    /// undone here: what the new one has may have been deleted by somebody who cannot reach it, and who will take it out for
    /// that.
    async fn refused_by_heir(
        &self,
        core: &Arc<Core>,
        heir: &Member,
        step: &Step,
        refusal: Value,
        until: Instant,
    ) -> Option<Value> {
        core.suspect(step.written());
        if self.atomic {
            return None;
        }
        let answer = match fence::insist_there(core, heir, &step.cmd, |reply: &Value| step.did_nothing(reply)).await {
            Insisted::Executed(reply) => reply,
            Insisted::Refused => refusal,
            Insisted::Lost => return None,
        };
        heal::become_equal(core, heir, &step.written(), until).await.then_some(answer)
    }

    /// Sees to copies that refused what the primary has executed, as of a single command.
    async fn lacking(&self, core: &Arc<Core>, ended: &mut Ended, others: Vec<Other>) {
        for other in others {
            let (Some(step), Some(done)) = (ended.steps.get(other.step), ended.done.get_mut(other.step)) else {
                continue;
            };
            if !was_refused(step, done, &other) {
                continue;
            }
            if !self.atomic {
                let did_nothing = |reply: &Value| step.did_nothing(reply);
                let insisted = fence::insist(core, &self.snapshot, other.copy, &step.cmd, did_nothing).await;
                if matches!(insisted, Insisted::Executed(_)) {
                    continue;
                }
            }
            if let Err(error) = self.missed(core, other.copy, step).await {
                *done = Done::Failed(error);
            }
        }
    }

    /// A copy lacks what a step did.
    async fn missed(&self, core: &Arc<Core>, copy: MemberIndex, step: &Step) -> Result<(), Error> {
        let missed = Missed {
            misses: vec![Miss::of_copy(copy, Why::Silent)],
            tokens: step.tokens.all().to_vec(),
            keys: step.written(),
            command: command::name(&step.cmd),
        };
        fence::settle(core, &self.snapshot, &missed).await.map(|_| ())
    }

    fn replaced(&self, core: &Core, step: &Step, why: Option<Error>) -> Error {
        let primary = &self.snapshot.topology().member(self.owners.primary()).id;
        report::replaced(core, primary, command::name(&step.cmd), why)
    }
}

/// Until when owners may take to hold the same, for all steps of a batch together: as long as one command.
fn within(core: &Core) -> Instant {
    Instant::now() + core.options.connect.timeouts.write
}

/// Whether a copy refused what its primary has executed.
fn was_refused(step: &Step, done: &Done, other: &Other) -> bool {
    let executed = matches!(done, Done::Replied(reply) if !step.did_nothing(reply));
    executed && matches!(&other.said, Said::Reply(reply) if step.did_nothing(reply))
}
