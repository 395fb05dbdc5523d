//! What a batch sends its copies, and what they make of it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join_all;
use redis::{Pipeline, Value};
use tokio::time::Instant;

use super::batch::Batch;
use super::fence::{Miss, Why};
use super::gated::Gained;
use super::polling::poll_unconstrained;
use super::reply::{Lacks, copy_lacks, is_error};
use super::round::Place;
use super::wire::Copied;
use super::{late, report};
use crate::command::{self, Carried, Expect};
use crate::error::Error;
use crate::node::{Fault, Link};
use crate::placement::{MemberIndex, Token};

/// Between two looks whether a member that gains keys is connected.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// What the copies made of the steps.
#[derive(Default)]
pub(super) struct Settled {
    /// The steps that a copy does not have, and why.
    failed: HashMap<usize, Error>,
    pub(super) misses: Vec<Miss>,
    /// What copies said that differs.
    pub(super) others: Vec<Other>,
}

/// A copy that answered otherwise than the primary.
pub(super) struct Other {
    pub(super) step: usize,
    pub(super) copy: MemberIndex,
    pub(super) said: Said,
}

/// What it would have answered the caller.
pub(super) enum Said {
    /// This: it was sent the same command.
    Reply(Value),
    /// Of what the primary did it has found nothing to do: it can still be sent the command.
    Nothing,
    /// Nobody can tell.
    Unclear,
}

impl Settled {
    /// What became of a step; of a transaction, of any of them.
    pub(super) fn of(&self, step: usize, atomic: bool) -> Option<&Error> {
        if atomic { self.failed.values().next() } else { self.failed.get(&step) }
    }
}

/// What copies get.
pub(super) struct Message<'c> {
    pub(super) carried: Cow<'c, [Carried]>,
    /// Which step each of these belongs to.
    step_of: Vec<usize>,
    wire: Pipeline,
    shape: Copied,
}

impl Message<'_> {
    pub(super) fn wire(&self) -> &Pipeline {
        &self.wire
    }
}

/// A copy, its connection, and what it gets.
type Copy<'b> = (MemberIndex, &'b Arc<Link>, &'b Message<'b>);

impl Batch {
    /// The connection to a member that gains keys. It came back a moment ago, and each client connects to it in its own
    /// time: one that was not awaited would throw it out of the ring.
    async fn link_of_gainer(&self, gainer: MemberIndex) -> Option<Arc<Link>> {
        let step = self.snapshot.topology.step();
        let fit = |link: &Arc<Link>| link.is_open() && link.is_open_to(step);
        let until = Instant::now() + self.core.options.connect.timeouts.connect;
        loop {
            let node = &self.snapshot.seat(gainer).node;
            if let Some(link) = self.link(gainer).filter(|link| fit(link)).cloned().or_else(|| node.link().filter(fit))
            {
                return Some(link);
            }
            if Instant::now() >= until || self.core.topology().step() != step {
                return None;
            }
            node.hurry();
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    /// Sends the copies what they get when it is its turn, and looks at what they say. `groups` says how many commands that is of each step,
    /// and `gained` which steps members get that gain keys.
    pub(super) async fn carry(
        &self,
        tokens: &[Token],
        places: Vec<Place>,
        carried: &[Carried],
        groups: &[usize],
        gained: Vec<Gained>,
    ) -> Settled {
        let message = self.message(carried, groups);
        let parts = gained.into_iter().map(|gained| (gained.by, self.part(carried, groups, &gained.steps)));
        let parts: Vec<(MemberIndex, Message<'_>)> = parts.filter(|(_, message)| !message.carried.is_empty()).collect();
        let mut copies: Vec<Copy<'_>> = self.copies().into_iter().map(|(copy, link)| (copy, link, &message)).collect();
        let mut missed = Vec::new();
        let links = join_all(parts.iter().map(|(gainer, _)| self.link_of_gainer(*gainer))).await;
        for ((gainer, part), link) in parts.iter().zip(&links) {
            match link {
                Some(link) => copies.push((*gainer, link, part)),
                // Everything else has been copied to it, and this is not in that.
                None => missed.push(Miss::of_copy(*gainer, Why::Silent)),
            }
        }
        // What may have to be sent again must not take away what came later, so the others wait for it.
        let repeats = carried.iter().any(|carried| matches!(carried.expect, Expect::Found | Expect::Soon(_)));
        let mut places = Some(places);
        let replies = {
            let write_ms = self.core.write_ms;
            let sends = copies.iter().map(|(_, link, message)| link.batch_of_copies(&message.wire, write_ms));
            let mut sending = pin!(join_all(sends));
            let begun = poll_fn(|cx| {
                let _order = self.core.stripes.lock_all(tokens);
                Poll::Ready(poll_unconstrained(sending.as_mut(), cx))
            })
            .await;
            if !repeats {
                drop(places.take());
            }
            match begun {
                Poll::Ready(replies) => replies,
                Poll::Pending => sending.await,
            }
        };
        let mut settled = self.settle(copies, replies).await;
        settled.misses.append(&mut missed);
        settled
    }

    /// The copies' connections.
    pub(super) fn copies(&self) -> Vec<(MemberIndex, &Arc<Link>)> {
        self.owners.copies().iter().filter_map(|copy| Some((*copy, self.link(*copy)?))).collect()
    }

    /// Looks at what each copy says.
    pub(super) async fn settle(&self, copies: Vec<Copy<'_>>, replies: Vec<Result<Vec<Value>, Fault>>) -> Settled {
        let mut settled = Settled::default();
        for (copy, replies) in copies.into_iter().zip(replies) {
            match replies {
                Ok(replies) => self.compare(copy, replies, &mut settled).await,
                Err(fault) => self.silent(copy.0, &fault, &mut settled),
            }
        }
        settled
    }

    /// The message to the copies.
    pub(super) fn message<'c>(&self, carried: &'c [Carried], groups: &[usize]) -> Message<'c> {
        let step_of = groups.iter().enumerate().flat_map(|(step, count)| std::iter::repeat_n(step, *count));
        let (wire, shape) = self.copied(carried, groups);
        Message { carried: Cow::Borrowed(carried), step_of: step_of.collect(), wire, shape }
    }

    /// That with some of the steps alone.
    fn part<'c>(&self, carried: &'c [Carried], groups: &[usize], gets: &[bool]) -> Message<'c> {
        let gets = |step: usize| gets.get(step).copied().unwrap_or(false);
        let message = self.message(carried, groups);
        if message.step_of.iter().all(|step| gets(*step)) {
            return message;
        }
        let some = message.carried.iter().zip(&message.step_of).filter(|(_, step)| gets(**step));
        let (carried, step_of): (Vec<Carried>, Vec<usize>) = some.map(|(one, step)| (one.clone(), *step)).unzip();
        let groups: Vec<usize> =
            groups.iter().enumerate().map(|(step, count)| if gets(step) { *count } else { 0 }).collect();
        let (wire, shape) = self.copied(&carried, &groups);
        Message { carried: Cow::Owned(carried), step_of, wire, shape }
    }

    /// What one command did comes all at once at a copy too.
    fn copied(&self, carried: &[Carried], groups: &[usize]) -> (Pipeline, Copied) {
        let mut wire = Pipeline::with_capacity(carried.len() + 2);
        let mut shape = Copied(Vec::new());
        let mut rest = carried;
        let whole = [carried.len()];
        for count in if self.atomic { &whole } else { groups } {
            let (group, others) = rest.split_at((*count).min(rest.len()));
            rest = others;
            let together = group.len() > 1;
            if together {
                wire.add_command(redis::cmd("MULTI"));
            }
            group.iter().for_each(|carried| {
                wire.add_command(carried.cmd.clone());
            });
            if together {
                wire.add_command(redis::cmd("EXEC"));
            }
            shape.0.push((group.len(), together));
        }
        (wire, shape)
    }

    /// Whether a copy has what it was sent.
    async fn compare(&self, (copy, link, message): Copy<'_>, replies: Vec<Value>, settled: &mut Settled) {
        let (core, id) = (&self.core, self.id(copy));
        let carried = &message.carried[..];
        let Some(mut replies) = message.shape.flat(replies) else {
            settled.misses.push(Miss::of_copy(copy, Why::Silent));
            return;
        };
        for (carried, reply) in carried.iter().zip(&mut replies) {
            if !matches!(&carried.expect, Expect::Reply(reply) if is_error(reply)) {
                late::overtaken(link, &carried.cmd, reply, core.write_ms).await;
            }
        }
        self.find_again(link, carried, &mut replies).await;
        let mut lacks_more = false;
        for (nth, (carried, reply)) in carried.iter().zip(&replies).enumerate() {
            let error = match (&carried.expect, copy_lacks(reply)) {
                (Expect::Reply(refused), _) if is_error(refused) && is_error(reply) => None,
                (Expect::Reply(refused), _) if is_error(refused) => Some(report::refused(core, id, refused.clone())),
                (_, Lacks::NoMemory) => Some(report::no_memory(core, id, reply)),
                (_, lacks) => {
                    lacks_more |= is_error(reply) && lacks == Lacks::More;
                    None
                }
            };
            if let Some(error) = error {
                core.suspect(command::keys_of(&carried.cmd));
                if let Some(step) = message.step_of.get(nth) {
                    settled.failed.insert(*step, error);
                }
            }
        }
        if lacks_more {
            settled.misses.push(Miss::of_copy(copy, Why::CannotWrite));
            return;
        }
        let pairs = || carried.iter().zip(&replies);
        let keys_of = |pairs: &mut dyn Iterator<Item = (&Carried, &Value)>| -> Vec<Vec<u8>> {
            pairs.flat_map(|(carried, _)| command::keys_of(&carried.cmd)).collect()
        };
        self.snapshot.seat(copy).node.succeeded();
        let differs = |(carried, reply): &(&Carried, &Value)| match &carried.expect {
            Expect::Reply(expected) if is_error(expected) => false,
            Expect::Reply(expected) | Expect::Soon(expected) => expected != *reply,
            Expect::Found => !is_found(reply),
            Expect::Near { number, within } => !is_near(reply, *number, *within),
            Expect::Any => is_error(reply),
        };
        let keys = keys_of(&mut pairs().filter(differs));
        if pairs().any(|pair| differs(&pair)) {
            let primary = self.id(self.owners.primary());
            report::differs(core, id, primary, &self.snapshot, self.name(), keys);
            for ((carried, reply), step) in pairs().zip(&message.step_of).filter(|(pair, _)| differs(pair)) {
                let alone = message.step_of.iter().filter(|other| *other == step).count() == 1;
                let same = self.steps.get(*step).is_some_and(|step| step.copies_itself());
                let said = match &carried.expect {
                    Expect::Reply(_) if alone && same => Said::Reply(reply.clone()),
                    Expect::Found if alone => Said::Nothing,
                    Expect::Reply(_) | Expect::Found | Expect::Soon(_) | Expect::Near { .. } | Expect::Any => {
                        Said::Unclear
                    }
                };
                settled.others.push(Other { step: *step, copy, said });
            }
        }
    }

    /// What a copy did not find may be on its way there, from another process: it is sent again for a while.
    async fn find_again(&self, link: &Link, carried: &[Carried], replies: &mut [Value]) {
        let deadline = Instant::now() + Duration::from_millis(self.core.write_ms);
        let mut pause = Duration::from_millis(1);
        let lacks = |(carried, reply): &(&Carried, &mut Value)| match &carried.expect {
            Expect::Found => !is_error(reply) && !is_found(reply),
            Expect::Soon(expected) => expected != *reply,
            Expect::Reply(_) | Expect::Near { .. } | Expect::Any => false,
        };
        while Instant::now() < deadline {
            let mut missing: Vec<_> = carried.iter().zip(replies.iter_mut()).filter(lacks).collect();
            if missing.is_empty() {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(50));
            for (carried, reply) in &mut missing {
                match link.copy(&carried.cmd, self.core.write_ms).await {
                    Ok(value) => **reply = value,
                    Err(_) => return,
                }
            }
        }
    }

    /// A copy did not answer.
    fn silent(&self, copy: MemberIndex, fault: &Fault, settled: &mut Settled) {
        tracing::debug!(node = %self.id(copy), %fault, "a copy did not answer");
        if !matches!(fault, Fault::Full) {
            self.snapshot.seat(copy).node.failed();
        }
        settled.misses.push(Miss::of_copy(copy, Why::Silent));
    }
}

/// Whether it is this number, computed once with more digits and once with fewer.
fn is_near(reply: &Value, number: f64, within: f64) -> bool {
    let held = match reply {
        Value::Nil => Some(0.0),
        Value::BulkString(text) => std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok()),
        _ => None,
    };
    held.is_some_and(|held| (held - number).abs() <= within)
}

fn is_found(reply: &Value) -> bool {
    matches!(reply, Value::Int(count) if *count > 0)
}
