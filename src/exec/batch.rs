//! Several commands for one set of owners: in one message to the primary, and what the copies get in one message to each.
//!
//! Everything goes this way that is more than one plain command: pipelines, transactions, commands whose effect only the
//! primary's reply tells, and scripts. The order of a key's commands is the order on the primary's connection, and its
//! copies leave in that order (see [`super::stripe`]).

use std::collections::HashSet;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::{Either, join_all};
use redis::{Pipeline, Value};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::copies::Settled;
use super::ended::{Done, End, Ended};
use super::fence::{self, Miss, Why};
use super::owners::Owners;
use super::polling::{both, poll_unconstrained, yield_once};
use super::reply::{Verdict, judge};
use super::round::{Failures, Place};
use super::steps::{Copying, Step};
use super::stripe::{Home, Ticket};
use super::wire::{Answered, Form, Shape, transaction};
use super::write::because;
use super::{Core, InStep, boxed, gated, report};
use crate::command::{self, Carried, Expect};
use crate::node::{Fault, Link};
use crate::placement::{MemberIndex, NodeId, Token};

/// Steps with the same owners.
pub(super) struct Batch {
    pub(super) core: Arc<Core>,
    pub(super) snapshot: InStep,
    pub(super) owners: Owners,
    pub(super) steps: Vec<Step>,
    /// Whether all of them are one transaction.
    pub(super) atomic: bool,
    /// Told the primary's replies, where the caller waits for no more.
    pub(super) early: Option<oneshot::Sender<Vec<Value>>>,
}

impl Batch {
    /// Puts the batch on the wire, and returns the rest of its run.
    ///
    /// To be called from a poll: the commands are enqueued under the locks of all their keys, so that the order of calls
    /// is the order on every connection.
    pub(super) fn begin(mut self, cx: &mut Context<'_>) -> impl Future<Output = Ended> + Send + use<> {
        let mut tokens: Vec<Token> = self.steps.iter().flat_map(|step| step.tokens.all()).copied().collect();
        tokens.sort_unstable_by_key(|token| token.0);
        tokens.dedup();
        if let Some(clock) = self.link(self.owners.primary()).map(|link| link.clock().now_ms()) {
            self.steps.iter_mut().for_each(|step| step.make_absolute(clock));
        }
        let core = Arc::clone(&self.core);
        let end =
            End { snapshot: self.snapshot.clone(), owners: self.owners, command: self.name(), atomic: self.atomic };
        let stripes = core.stripes.clone();
        let mut locked = stripes.lock_all(&tokens);
        let at_once = self.is_absolute() && tokens.iter().all(|token| locked.is_free(*token));
        let mut running = if at_once {
            Either::Left(boxed(|| self.run_at_once()))
        } else {
            let home = Home::of(&self.snapshot.seat(self.owners.primary()).node);
            let take = |token: &Token| Some((*token, locked.take(*token, home)?));
            let mut tickets: Vec<(Token, Ticket)> = tokens.iter().filter_map(take).collect();
            if tickets.iter().any(|(_, ticket)| ticket.waits()) {
                tickets.iter_mut().for_each(|(_, ticket)| locked.hold(ticket));
            }
            let place = |(token, ticket)| Place::new(stripes.clone(), token, ticket);
            let places: Vec<Place> = tickets.into_iter().map(place).collect();
            Either::Right(boxed(|| self.run(tokens, places)))
        };
        let polled = poll_unconstrained(Pin::new(&mut running), cx);
        drop(locked);
        async move {
            let ended = match polled {
                Poll::Ready(ended) => ended,
                Poll::Pending => running.await,
            };
            let ended = ended.told(&core, &end).await;
            if ended.misses.is_empty() && ended.others.is_empty() && !end.snapshot.is_unsettled() {
                return ended;
            }
            Box::pin(end.seen_to(&core, ended)).await
        }
    }

    /// Whether the copies need not wait for what the primary says.
    fn is_absolute(&self) -> bool {
        let absolute =
            |step: &Step| matches!(step.copying, Copying::Nothing | Copying::Absolute) && !self.is_gated(step);
        !self.atomic && self.steps.iter().all(absolute)
    }

    pub(super) fn link(&self, owner: MemberIndex) -> Option<&Arc<Link>> {
        self.snapshot.seat(owner).link.as_ref()
    }

    pub(super) fn id(&self, owner: MemberIndex) -> &NodeId {
        self.snapshot.seat(owner).node.id()
    }

    /// The primary's connection, if there is room for one more message on all connections. Decided for all before any has
    /// it: a copy must not find its queue full after the primary has executed.
    fn primary(&self) -> Option<&Arc<Link>> {
        let roomy = |owner: &MemberIndex| self.link(*owner).is_some_and(|link| link.has_room());
        self.link(self.owners.primary()).filter(|_| self.owners.all().iter().all(roomy))
    }

    async fn run(mut self, tokens: Vec<Token>, places: Vec<Place>) -> Ended {
        let (wire, shape) = self.wire();
        let waits = places.iter().any(Place::waits);
        if waits {
            // The first poll runs under the stripes' locks; all that takes them again must come later.
            yield_once().await;
            for place in &places {
                place.turn().await;
            }
        }
        let sent = Instant::now();
        let replies = {
            let link = self.primary();
            let mut sending = pin!(async {
                match link {
                    Some(link) => link.batch(&wire, self.core.write_ms).await,
                    None => Err(Fault::Full),
                }
            });
            let begun = poll_fn(|cx| {
                if waits {
                    let mut locked = self.core.stripes.lock_all(&tokens);
                    places.iter().for_each(|place| locked.sent(place.ticket()));
                    return Poll::Ready(poll_unconstrained(sending.as_mut(), cx));
                }
                Poll::Ready(sending.as_mut().poll(cx))
            })
            .await;
            // As above, where this was the first poll.
            yield_once().await;
            match begun {
                Poll::Ready(replies) => replies,
                Poll::Pending => sending.await,
            }
        };
        let (answered, aborted) = match replies.map(|replies| self.read(replies, &shape)) {
            Ok(Some(read)) => read,
            Ok(None) => return self.nonsense(),
            Err(fault) => {
                drop(places);
                return self.lost(&fault).await;
            }
        };
        if self.may_go_by_script(&answered) {
            return self.again_by_script();
        }
        if let Some(why) = self.disbelieved(&answered) {
            drop(places);
            // It may have been taken out, and this client not know of it yet.
            self.core.is_newest().await;
            return self.lost(&why).await;
        }
        let gained = self.gained(&answered);
        let again = self.unavailable(&answered, aborted);
        if again.is_empty() {
            self.snapshot.seat(self.owners.primary()).node.succeeded();
        }
        let mut carried: Vec<Carried> = Vec::new();
        let mut groups: Vec<usize> = Vec::new();
        let mut untold = Vec::new();
        for (step, answered) in self.steps.iter().zip(&answered) {
            match step.carried(&answered.reply, &answered.answers) {
                Some(some) => {
                    groups.push(some.len());
                    carried.extend(some);
                }
                None => {
                    groups.push(0);
                    tracing::debug!(command = command::name(&step.cmd), "its effect cannot be told");
                    untold.extend(step.written());
                }
            }
        }
        if let Some(early) = self.early.take_if(|_| again.is_empty() && !aborted) {
            let _ = early.send(answered.iter().map(|answered| answered.reply.clone()).collect());
        }
        for (step, _) in self.steps.iter().zip(&groups).filter(|(step, count)| **count > 0 && step.copies_state()) {
            step.tokens.all().iter().for_each(|token| self.core.states.copied(*token));
            let seat = self.snapshot.seat(self.owners.primary());
            seat.link.iter().for_each(|link| seat.node.state_is_copied(link));
        }
        let settled = if carried.is_empty() {
            drop(places);
            Settled::default()
        } else {
            for place in &places {
                place.turn().await;
            }
            if self.has_lost_its_primary(&groups, sent).await {
                drop(places);
                let why = "it was taken out of the ring before its copies had what it did";
                return self.lost(&Fault::Lost((redis::ErrorKind::Io, why).into())).await;
            }
            self.carry(&tokens, places, &carried, &groups, gained).await
        };
        // Another process may have written the copy between the dump and its arrival, and no reply would tell.
        for (step, _) in self.steps.iter().zip(&groups).filter(|(step, count)| **count > 0 && step.copies_state()) {
            self.core.look_later(step.written());
        }
        self.end(answered, aborted, untold, &again, settled)
    }

    /// Whether a state that is to be sent is that of a primary which counts no more: whoever is it now may have been written
    /// since, and a state overwrites everything. `groups` says how many commands the copies get of each step.
    async fn has_lost_its_primary(&self, groups: &[usize], sent: Instant) -> bool {
        if !self.steps.iter().zip(groups).any(|(step, count)| *count > 0 && step.copies_state()) {
            return false;
        }
        // To ask ZooKeeper each time would make it part of every script.
        let late = sent.elapsed() >= self.core.options.connect.timeouts.probe;
        fence::is_out(&self.core, &self.snapshot, self.owners.primary(), late).await
    }

    /// Sends the primary and the copies the same at the same time: nobody stands in line for these keys, and what all
    /// steps write is the same wherever it runs.
    async fn run_at_once(mut self) -> Ended {
        let early = self.early.take();
        let (wire, shape) = self.wire();
        let written = self.steps.iter().filter(|step| step.copying.writes());
        let sent: Vec<Carried> = written.map(|step| Carried { cmd: step.cmd.clone(), expect: Expect::Any }).collect();
        let each: Vec<usize> = self.steps.iter().map(|step| usize::from(step.copying.writes())).collect();
        let mut message = self.message(&sent, &each);
        let links = self.copies();
        let Some(link) = self.primary() else {
            yield_once().await;
            return self.lost(&Fault::Full).await;
        };
        let write_ms = self.core.write_ms;
        let copying = join_all(links.iter().map(|(_, link)| link.batch_of_copies(message.wire(), write_ms)));
        let first = async {
            let answered = link.batch(&wire, write_ms).await.map(|replies| self.read(replies, &shape));
            if let (Some(early), Ok(Some((answered, _)))) = (early, &answered)
                && self.unavailable(answered, false).is_empty()
            {
                let _ = early.send(answered.iter().map(|answered| answered.reply.clone()).collect());
            }
            answered
        };
        let (answered, copies) = both(pin!(first), pin!(copying)).await;
        let answered = match answered {
            Ok(Some((answered, _))) => answered,
            Ok(None) => return self.nonsense(),
            Err(fault) => {
                // It is sent again by the caller, if that is still there.
                if copies.iter().any(|copy| !matches!(copy, Err(Fault::Full))) {
                    let written = self.steps.iter().filter(|step| step.copying.writes());
                    self.core.suspect(written.flat_map(Step::written).collect());
                }
                return self.lost(&fault).await;
            }
        };
        let again = self.unavailable(&answered, false);
        let written = self.steps.iter().zip(&answered).filter(|(step, _)| step.copying.writes());
        for (carried, (_, answered)) in message.carried.to_mut().iter_mut().zip(written) {
            carried.expect = Expect::Reply(answered.reply.clone());
        }
        let links = links.into_iter().map(|(copy, link)| (copy, link, &message)).collect();
        let settled = self.settle(links, copies).await;
        drop(message);
        self.end(answered, false, Vec::new(), &again, settled)
    }

    /// The commands for the primary, and how many replies belong to which.
    fn wire(&self) -> (Pipeline, Vec<Shape>) {
        let mut wire = Pipeline::with_capacity(self.steps.len() + 2);
        let mut shape = Vec::with_capacity(self.steps.len());
        if self.atomic {
            wire.add_command(redis::cmd("MULTI"));
        }
        let any_gated = self.steps.iter().any(|step| self.is_gated(step));
        for (at, step) in self.steps.iter().enumerate() {
            let asked = step.asked().count();
            let itself = usize::from(step.asks_itself());
            let gate = if self.atomic { any_gated && at == 0 } else { any_gated && self.is_gated(step) };
            let form = match (self.atomic, gate && step.by_script) {
                (true, _) => Form::Plain,
                (false, true) => Form::Script,
                (false, false) if gate || step.has_probes() => Form::Alone,
                (false, false) => Form::Plain,
            };
            shape.push(Shape { gate, itself, probes: asked - itself, form });
            if form == Form::Script {
                wire.add_command(gated::by_script(step));
                continue;
            }
            if form == Form::Alone {
                wire.add_command(redis::cmd("MULTI"));
            }
            if gate {
                wire.cmd("HGETALL").arg(command::OWN_GATE);
            }
            step.asked().for_each(|cmd| {
                wire.add_command(cmd.clone());
            });
            if form == Form::Alone {
                wire.add_command(redis::cmd("EXEC"));
            }
        }
        if self.atomic {
            wire.add_command(redis::cmd("EXEC"));
        }
        (wire, shape)
    }

    /// The replies, each with its command, and whether a transaction was refused as a whole. `None` if they are not as many
    /// as there must be.
    fn read(&self, replies: Vec<Value>, shape: &[Shape]) -> Option<(Vec<Answered>, bool)> {
        let mut replies = replies.into_iter();
        if self.atomic {
            let all = shape.iter().map(Shape::asked).sum();
            let executed = transaction(&mut replies, all)?;
            let mut replies = executed.replies.into_iter();
            let answered = shape.iter().map(|shape| shape.take(&mut replies)).collect::<Option<_>>()?;
            return Some((answered, executed.aborted));
        }
        Some((shape.iter().map(|shape| shape.read(&mut replies)).collect::<Option<_>>()?, false))
    }

    /// The steps that the primary cannot serve now and of whose keys it has written nothing. Of a transaction all or none.
    fn unavailable(&self, answered: &[Answered], aborted: bool) -> HashSet<usize> {
        let refused: Vec<bool> =
            answered.iter().map(|answered| judge(&answered.reply) == Verdict::Unavailable).collect();
        if self.atomic {
            let all = aborted && refused.contains(&true);
            return if all { (0..self.steps.len()).collect() } else { HashSet::new() };
        }
        let mut written: HashSet<u32> = HashSet::new();
        for (step, _) in self.steps.iter().zip(&refused).filter(|(step, refused)| step.copying.writes() && !**refused) {
            written.extend(step.tokens.all().iter().map(|token| token.0));
        }
        let free = |step: &Step| !step.tokens.all().iter().any(|token| written.contains(&token.0));
        let again = self.steps.iter().zip(refused).enumerate().filter(|(_, (step, refused))| *refused && free(step));
        again.map(|(at, _)| at).collect()
    }

    fn end(
        mut self,
        answered: Vec<Answered>,
        aborted: bool,
        untold: Vec<Vec<u8>>,
        again: &HashSet<usize>,
        settled: Settled,
    ) -> Ended {
        let mut failures = Failures::new();
        if !again.is_empty() {
            let why =
                answered.iter().enumerate().find(|(at, _)| again.contains(at)).map(|(_, answered)| &answered.reply);
            let why = match why {
                Some(Value::ServerError(error)) => format!("it says {}", error.code()),
                _ => "it cannot serve now".to_owned(),
            };
            let primary = self.owners.primary();
            self.snapshot.seat(primary).node.failed();
            failures.push((self.id(primary).clone(), why));
        }
        let mut misses = Vec::new();
        if self.steps.iter().any(|step| step.copying.writes()) && again.len() < self.steps.len() {
            misses.extend(self.owners.missing().iter().map(|owner| Miss::of_copy(*owner, Why::Silent)));
            if self.owners.is_degraded() {
                self.core.counters.degraded_writes.add_one();
            }
        }
        let refused = (!again.is_empty()).then(|| self.owners.primary());
        let done = answered.into_iter().zip(&self.steps).enumerate().map(|(at, (answered, step))| {
            let failed = settled.of(at, self.atomic).filter(|_| step.copying.writes());
            match failed {
                _ if again.contains(&at) => Done::Again { unknown: false },
                Some(error) => Done::Failed(error.clone()),
                None => Done::Replied(answered.reply),
            }
        });
        let done: Vec<Done> = done.collect();
        misses.extend(settled.misses);
        let others = settled.others;
        Ended { steps: std::mem::take(&mut self.steps), done, failures, aborted, untold, misses, others, refused }
    }

    /// The primary did not answer.
    async fn lost(mut self, fault: &Fault) -> Ended {
        let primary = self.owners.primary();
        let unsent = matches!(fault, Fault::Full);
        if !unsent {
            self.snapshot.seat(primary).node.failed();
        }
        let fenced = self.core.fences.is_some();
        // Where nobody else may decide in its place, it is this one or none.
        let may_repeat = |step: &Step| if fenced { step.copying.may_repeat() } else { step.may_repeat() };
        let asked = if unsent || self.steps.iter().all(may_repeat) {
            Ok(false)
        } else {
            let member = self.snapshot.topology().member(primary);
            fence::counts_no_more(&self.core, &self.snapshot, &member.id, member.generation).await
        };
        let gone = matches!(asked, Ok(true));
        let mut dependent: HashSet<u32> = HashSet::new();
        for step in self.steps.iter().filter(|step| !may_repeat(step)) {
            dependent.extend(step.tokens.all().iter().map(|token| token.0));
        }
        let done = self.steps.iter().map(|step| {
            let repeatable = !step.tokens.all().iter().any(|token| dependent.contains(&token.0));
            let repeatable = repeatable && (!self.atomic || dependent.is_empty());
            if unsent || gone || repeatable {
                let unknown = !unsent && !gone && step.copying.writes();
                if unknown {
                    self.core.suspect(step.written());
                }
                return Done::Again { unknown };
            }
            let name = command::name(&step.cmd);
            let error = report::unknown(&self.core, self.id(primary), fault, name, step.written());
            Done::Failed(because(error, asked.as_ref().err().cloned()))
        });
        let ended = Ended::of(done.collect());
        let failures = vec![(self.id(primary).clone(), fault.to_string())];
        Ended { steps: std::mem::take(&mut self.steps), failures, ..ended }
    }

    /// The primary answered something else than what was asked.
    fn nonsense(self) -> Ended {
        let primary = self.owners.primary();
        let error = report::nonsense(&self.core, self.id(primary), self.name());
        let done = self.steps.iter().map(|_| Done::Failed(error.clone())).collect();
        Ended::of(done)
    }

    /// For traces and error texts.
    pub(super) fn name(&self) -> &'static str {
        match &self.steps[..] {
            [one] => command::name(&one.cmd),
            _ if self.atomic => "a transaction",
            _ => "a pipeline",
        }
    }
}
