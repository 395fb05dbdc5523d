//! One round of a write: the command on its way to the owners, and what their replies mean.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use redis::{RedisResult, Value};
use tokio::sync::oneshot;

use super::fence::{Miss, Why};
use super::owners::{Copies, Links, Owners};
use super::polling::{both, poll_unconstrained, yield_once};
use super::reply::{Lacks, Verdict, copy_lacks, is_error, judge};
use super::stripe::{Stripe, Stripes, Ticket};
use super::write::Write;
use super::{late, report};
use crate::command::{self, Repeat};
use crate::node::{Fault, Node};
use crate::placement::{Epoch, MemberIndex, NodeId, Token};

/// Who failed, and why, for error texts.
pub(super) type Failures = Vec<(NodeId, String)>;

/// A place in the line of the copies of a stripe; given up when it is dropped.
pub(super) struct Place {
    stripes: Stripes,
    token: Token,
    ticket: Ticket,
}

impl Place {
    pub(super) fn new(stripes: Stripes, token: Token, ticket: Ticket) -> Place {
        Place { stripes, token, ticket }
    }

    fn stripe(&self) -> &Stripe {
        self.stripes.of(self.token)
    }

    /// The place in line, for those who hold the locks of several.
    pub(super) fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// Whether the primary is sent the command only when its turn has come.
    #[inline]
    pub(super) fn waits(&self) -> bool {
        self.ticket.waits()
    }

    /// Waits until everybody before it in line has left. Cancel safe.
    pub(super) async fn turn(&self) {
        self.stripe().turn(&self.ticket).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.stripe().leave(&self.ticket);
    }
}

/// What became of a round.
pub(super) enum End {
    Done(RedisResult<Value>),
    /// Nobody has executed it, or it may be executed twice without harm.
    Again(Again),
    /// It was executed, and there is more to be done before the caller may know.
    Owed(Box<Owed>),
}

/// A write that has an answer, and owners that missed it or answered something else.
pub(super) struct Owed {
    pub(super) answer: Value,
    pub(super) misses: Vec<Miss>,
    /// What each of those said that have executed it, the primary first; none where they said the same.
    pub(super) replies: Vec<(MemberIndex, Value)>,
    pub(super) failures: Failures,
}

/// Why a primary has not executed something.
pub(super) enum Stuck {
    /// It said that it cannot.
    Refused(MemberIndex),
    /// It was sent something that depends on what is there, and did not answer.
    Unanswered(MemberIndex, Fault),
}

/// What the next round, or the error, needs to know of one that nobody answered.
pub(super) struct Again {
    pub(super) early: Option<oneshot::Sender<Value>>,
    pub(super) failures: Failures,
    /// Whether somebody may have executed it all the same.
    pub(super) unknown: bool,
    /// What has to be found out about the primary first.
    pub(super) stuck: Option<Stuck>,
}

/// One command on its way to the owners.
pub(super) struct Round<'w> {
    pub(super) write: &'w Write,
    pub(super) owners: Owners,
    /// Where its copies stand in line; none where they leave together with the primary's.
    pub(super) place: Option<Place>,
    /// Told the primary's reply, where the caller waits for no more.
    pub(super) early: Option<oneshot::Sender<Value>>,
}

pub(super) type Reply = Result<Value, Fault>;

impl<'w> Round<'w> {
    /// Sends the command and waits for all replies. The first poll sends to the primary, and without a place in line
    /// to the copies too.
    pub(super) async fn run(mut self) -> End {
        if tracing::enabled!(tracing::Level::DEBUG) {
            self.said();
        }
        if self.place.as_ref().is_some_and(Place::waits) {
            self.wait_in_line().await;
        }
        // Decided for all before any has it: a copy must not find its queue full after the primary has executed.
        let links = match self.links() {
            Ok(links) => links,
            Err(_) => {
                // The first poll runs under the stripe's lock, and giving up the place in line takes it again.
                yield_once().await;
                let (early, failures) = (self.early.take(), Failures::new());
                return End::Again(Again { early, failures, unknown: false, stuck: None });
            }
        };
        let cmd = &self.write.cmd;
        let write_ms = self.write.core.write_ms;
        if let Some(place) = self.place.take() {
            return self.in_line(place, links, write_ms).await;
        }
        let early = &mut self.early;
        let first = async {
            let reply = links.primary.write(cmd, write_ms).await;
            acknowledge(early, &reply);
            reply
        };
        match links.copies {
            Copies::One(copy) => {
                let (reply, copied) = both(pin!(first), pin!(copy.copy(cmd, write_ms))).await;
                match (reply, copied) {
                    (Ok(value), Ok(copied)) if self.agreed(&value, &copied) => End::Done(Ok(value)),
                    (reply, copied) => self.settle(reply, vec![copied]),
                }
            }
            copies @ Copies::Any(_) => {
                let (reply, copied) = both(pin!(first), pin!(copies.send(cmd, write_ms))).await;
                self.settle(reply, copied)
            }
        }
    }

    /// Behind those who were sent to another primary.
    #[cold]
    fn wait_in_line(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async {
            // The first poll runs under the stripe's lock; all that takes it again must come later.
            yield_once().await;
            if let Some(place) = &self.place {
                place.turn().await;
            }
        })
    }

    /// First the primary; then, when it is this command's turn, the copies.
    async fn in_line(mut self, place: Place, links: Links<'w>, write_ms: u64) -> End {
        let cmd = &self.write.cmd;
        let reply = {
            let mut first = pin!(links.primary.write(cmd, write_ms));
            let begun = poll_fn(|cx| {
                if place.waits() {
                    let mut lines = place.stripe().lock();
                    lines.sent(&place.ticket);
                    return Poll::Ready(poll_unconstrained(first.as_mut(), cx));
                }
                Poll::Ready(first.as_mut().poll(cx))
            });
            let begun = begun.await;
            // The first poll runs under the stripe's lock; all that takes it again must come later.
            yield_once().await;
            match begun {
                Poll::Ready(reply) => reply,
                Poll::Pending => first.await,
            }
        };
        match self.executed(&reply) {
            Executed::No => {
                // The copies get nothing of a command that failed or changed nothing.
                self.owners.primary_alone();
                return self.settle(reply, Vec::new());
            }
            // An absolute command that only waits in line is sent to the copies in any case.
            Executed::Unknown if self.write.repeat != Repeat::Absolute => {
                if let Err(fault) = reply {
                    return self.unanswered(fault);
                }
            }
            // The owner of a ring that can fence decides alone, or is the primary no more.
            Executed::Elsewhere if self.write.core.fences.is_some() => {
                self.owners.primary_alone();
                return self.settle(reply, Vec::new());
            }
            Executed::Yes | Executed::Elsewhere | Executed::Unknown => {}
        }
        acknowledge(&mut self.early, &reply);
        place.turn().await;
        let mut copies = {
            let mut sending = pin!(links.copies.send(cmd, write_ms));
            let begun = poll_fn(|cx| {
                let _order = place.stripe().lock();
                Poll::Ready(poll_unconstrained(sending.as_mut(), cx))
            })
            .await;
            drop(place);
            match begun {
                Poll::Ready(replies) => replies,
                Poll::Pending => sending.await,
            }
        };
        if reply.as_ref().is_ok_and(|reply| !is_error(reply)) {
            for (owner, copied) in self.owners.copies().iter().zip(&mut copies) {
                if let (Ok(copied), Some(link)) = (copied, self.write.link(*owner)) {
                    late::overtaken(link, cmd, copied, write_ms).await;
                }
            }
        }
        self.settle(reply, copies)
    }

    /// The connections of all owners, or the first owner whose connection has no room for one more request.
    #[inline]
    fn links(&self) -> Result<Links<'w>, MemberIndex> {
        let write = self.write;
        let roomy = |owner: &MemberIndex| write.link(*owner).filter(|link| link.has_room()).ok_or(*owner);
        let primary = roomy(&self.owners.primary())?;
        let copies = match self.owners.copies() {
            [copy] => Copies::One(roomy(copy)?),
            copies => Copies::Any(copies.iter().map(roomy).collect::<Result<_, _>>()?),
        };
        Ok(Links { primary, copies })
    }

    fn node(&self, owner: MemberIndex) -> &'w Node {
        &self.write.snapshot.seat(owner).node
    }

    fn id(&self, owner: MemberIndex) -> &'w NodeId {
        self.node(owner).id()
    }

    fn epoch(&self) -> Epoch {
        self.write.snapshot.topology.epoch()
    }

    /// Apart from the way of every write, which is shorter for it.
    #[cold]
    fn said(&self) {
        tracing::debug!(
            node = %self.id(self.owners.primary()), copies = self.owners.copies().len(), epoch = %self.epoch(),
            command = command::name(&self.write.cmd), "write"
        );
    }

    /// What the primary's reply says about the command.
    fn executed(&self, reply: &Reply) -> Executed {
        match reply {
            // Not by the primary, but by the next owner, and in the same order: its copies keep their place in line.
            Ok(value) if judge(value) == Verdict::Unavailable && !self.owners.copies().is_empty() => {
                Executed::Elsewhere
            }
            Ok(value) if is_error(value) || self.write.no_effect.shown_by(value) => Executed::No,
            Ok(_) => Executed::Yes,
            Err(Fault::Full) => Executed::No,
            Err(Fault::Lost(_) | Fault::Late) => Executed::Unknown,
        }
    }

    /// The usual end, of which [`Round::settle`] would say the same: both executed it, answered alike, and nobody missed
    /// it or may still read whoever was skipped.
    #[inline]
    fn agreed(&self, value: &Value, copied: &Value) -> bool {
        let agreed = !self.owners.is_missed()
            && !self.owners.is_degraded()
            && !self.write.snapshot.is_unsettled()
            && !is_error(value)
            && !is_error(copied)
            && value == copied;
        if agreed {
            self.owners.all().iter().for_each(|owner| self.node(*owner).succeeded());
        }
        agreed
    }

    /// Decides what the replies mean together, counts what was missed, and says so.
    fn settle(mut self, reply: Reply, copies: Vec<Reply>) -> End {
        let core = &self.write.core;
        let mut failures = Failures::new();
        let silent = |owner: &MemberIndex| Miss::of_copy(*owner, Why::Silent);
        let mut misses: Vec<Miss> = self.owners.missing().iter().map(silent).collect();
        let mut answers: Vec<(MemberIndex, Value)> = Vec::with_capacity(copies.len() + 1);
        let mut unknown = is_unknown(&reply);
        let primary = self.owners.primary();
        let mut stuck = None;
        for (nth, (owner, reply)) in self.owners.all().iter().zip(std::iter::once(reply).chain(copies)).enumerate() {
            unknown |= is_unknown(&reply);
            let node = self.node(*owner);
            match judged(node, reply) {
                Ok(value) => answers.push((*owner, value)),
                Err((text, why)) => {
                    if nth == 0 && why == Why::CannotWrite {
                        stuck = Some(Stuck::Refused(primary));
                    }
                    misses.push(Miss { owner: *owner, why, first: nth == 0 });
                    failures.push((node.id().clone(), text));
                }
            }
        }
        // Without the primary, the first copy that has it answers.
        let Some((_, answer)) = answers.first().cloned() else {
            return End::Again(Again { early: self.early.take(), failures, unknown, stuck });
        };
        let fenced = core.fences.is_some();
        // Which error it is each of them may say in its own words.
        let other = |other: &Value| *other != answer && !(is_error(&answer) && is_error(other));
        let differs = match answers.iter().skip(1).find(|(_, value)| other(value)) {
            Some((owner, _)) => {
                self.differs(self.id(*owner));
                true
            }
            None => false,
        };
        if is_error(&answer) && !differs {
            return End::Done(Ok(answer));
        }
        if is_error(&answer) && !fenced {
            return End::Done(self.failed(answer, &answers));
        }
        // It differs, which was said above; what more that tells of the copy is decided here.
        if !is_error(&answer) {
            for (owner, value) in answers.iter().filter(|(_, value)| is_error(value)) {
                match copy_lacks(value) {
                    Lacks::NoMemory => return End::Done(Err(report::no_memory(core, self.id(*owner), value).into())),
                    Lacks::More => misses.push(Miss::of_copy(*owner, Why::CannotWrite)),
                    Lacks::This => {}
                }
            }
        }
        if self.owners.is_degraded() {
            core.counters.degraded_writes.add_one();
        }
        if fenced {
            if misses.is_empty() && !differs && !self.write.snapshot.is_unsettled() {
                return End::Done(Ok(answer));
            }
            answers.retain(|(owner, _)| !misses.iter().any(|miss| miss.owner == *owner));
            let replies = if differs && answers.len() > 1 { answers } else { Vec::new() };
            return End::Owed(Box::new(Owed { answer, misses, replies, failures }));
        }
        for miss in misses {
            report::missed(core, &self.write.snapshot, self.id(miss.owner), command::name(&self.write.cmd));
        }
        End::Done(Ok(answer))
    }

    /// The primary answered with an error, and a copy executed the command all the same: the two differ, and the caller
    /// cannot count on either.
    fn failed(&self, answer: Value, answers: &[(MemberIndex, Value)]) -> RedisResult<Value> {
        let Some((other, _)) = answers.iter().find(|(_, value)| !is_error(value)) else { return Ok(answer) };
        Err(report::refused(&self.write.core, self.id(*other), answer).into())
    }

    /// It depends on what is there, was sent to the primary, and not answered.
    #[cold]
    fn unanswered(mut self, fault: Fault) -> End {
        let primary = self.owners.primary();
        let node = self.node(primary);
        node.failed();
        if self.write.core.fences.is_none() {
            let (name, keys) = (command::name(&self.write.cmd), command::keys_of(&self.write.cmd));
            return End::Done(Err(report::unknown(&self.write.core, node.id(), &fault, name, keys).into()));
        }
        let failures = vec![(node.id().clone(), fault.to_string())];
        let stuck = Some(Stuck::Unanswered(primary, fault));
        End::Again(Again { early: self.early.take(), failures, unknown: false, stuck })
    }

    #[cold]
    fn differs(&self, id: &NodeId) {
        let primary = self.id(self.owners.primary());
        let cmd = &self.write.cmd;
        let keys = command::keys_of(cmd);
        report::differs(&self.write.core, id, primary, &self.write.snapshot, command::name(cmd), keys);
    }
}

enum Executed {
    /// It ran.
    Yes,
    /// The primary cannot now, and has done nothing.
    Elsewhere,
    /// It failed, was not sent, or proved to have changed nothing.
    No,
    /// It was sent and not answered.
    Unknown,
}

/// The reply if it counts as one, or why the member has not executed the command or is not known to have.
fn judged(node: &Node, reply: Reply) -> Result<Value, (String, Why)> {
    let failed = match reply {
        Ok(value) => match judge(&value) {
            Verdict::Answer | Verdict::OutOfMemory => {
                node.succeeded();
                return Ok(value);
            }
            Verdict::Unavailable => match value {
                // It does not know this connection's user any more, which says nothing of what it can do for others.
                Value::ServerError(error) if error.code() == "NOAUTH" => ("it says NOAUTH".to_owned(), Why::Silent),
                Value::ServerError(error) => (format!("it says {}", error.code()), Why::CannotWrite),
                _ => ("it cannot serve now".to_owned(), Why::CannotWrite),
            },
        },
        // Our own queue being full says nothing of the server.
        Err(Fault::Full) => return Err((Fault::Full.to_string(), Why::Silent)),
        Err(fault) => (fault.to_string(), Why::Silent),
    };
    node.failed();
    Err(failed)
}

/// Whether the server may have executed what it did not answer.
fn is_unknown(reply: &Reply) -> bool {
    matches!(reply, Err(Fault::Lost(_) | Fault::Late))
}

/// Tells the caller who waits for no more than the primary. The write goes on whether or not anybody listens.
fn acknowledge(early: &mut Option<oneshot::Sender<Value>>, reply: &Reply) {
    if let Ok(value) = reply
        && judge(value) == Verdict::Answer
        && let Some(early) = early.take()
    {
        let _ = early.send(value.clone());
    }
}
