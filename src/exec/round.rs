//! One round of a write: the command on its way to the owners, and what their replies mean.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use redis::{RedisResult, Value};
use tokio::sync::oneshot;

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
}

/// What the next round, or the error, needs to know of one that nobody answered.
pub(super) struct Again {
    pub(super) early: Option<oneshot::Sender<Value>>,
    pub(super) failures: Failures,
    /// Whether somebody may have executed it all the same.
    pub(super) unknown: bool,
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
                return End::Again(Again { early: self.early.take(), failures: Failures::new(), unknown: false });
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
                if let Err(fault) = &reply {
                    return End::Done(Err(self.unknown(fault)));
                }
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
    /// it.
    #[inline]
    fn agreed(&self, value: &Value, copied: &Value) -> bool {
        let agreed = !self.owners.is_missed()
            && !self.owners.is_degraded()
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
        let mut failures = Failures::new();
        let mut missed: Vec<&NodeId> = self.owners.missing().iter().map(|owner| self.id(*owner)).collect();
        let mut answers: Vec<(&NodeId, Value)> = Vec::with_capacity(copies.len());
        let mut unknown = is_unknown(&reply);
        for (owner, reply) in self.owners.copies().iter().zip(copies) {
            unknown |= is_unknown(&reply);
            let node = self.node(*owner);
            match judged(node, reply) {
                Ok(value) => answers.push((node.id(), value)),
                Err(why) => {
                    missed.push(node.id());
                    failures.push((node.id().clone(), why));
                }
            }
        }
        let primary = self.node(self.owners.primary());
        let answer = match judged(primary, reply) {
            Ok(value) => {
                if let Some((other, _)) = answers.iter().find(|(_, other)| *other != value && !is_error(&value)) {
                    self.differs(other);
                }
                value
            }
            // Without the primary, the first copy that has it answers.
            Err(why) => {
                failures.push((primary.id().clone(), why));
                missed.push(primary.id());
                if answers.is_empty() {
                    return End::Again(Again { early: self.early.take(), failures, unknown });
                }
                answers.remove(0).1
            }
        };
        if is_error(&answer) {
            return End::Done(self.failed(answer, &answers));
        }
        // It differs, which was said above; what more that tells of the copy is decided here.
        for (id, value) in answers.iter().filter(|(_, value)| is_error(value)) {
            match copy_lacks(value) {
                Lacks::NoMemory => return End::Done(Err(report::no_memory(&self.write.core, id, value).into())),
                Lacks::More => missed.push(id),
                Lacks::This => {}
            }
        }
        for id in missed {
            self.missed(id);
        }
        if self.owners.is_degraded() {
            self.write.core.counters.degraded_writes.add_one();
        }
        End::Done(Ok(answer))
    }

    /// The primary answered with an error. If a copy executed the command all the same, the two differ, and the caller
    /// cannot count on either.
    fn failed(&self, answer: Value, copies: &[(&NodeId, Value)]) -> RedisResult<Value> {
        let Some((other, _)) = copies.iter().find(|(_, value)| !is_error(value)) else { return Ok(answer) };
        self.differs(other);
        Err(report::refused(&self.write.core, other, answer).into())
    }

    #[cold]
    fn unknown(&self, fault: &Fault) -> redis::RedisError {
        let node = self.node(self.owners.primary());
        node.failed();
        report::unknown(&self.write.core, node.id(), fault, command::name(&self.write.cmd)).into()
    }

    #[cold]
    fn missed(&self, id: &NodeId) {
        report::missed(&self.write.core, &self.write.snapshot, id, command::name(&self.write.cmd));
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
fn judged(node: &Node, reply: Reply) -> Result<Value, String> {
    let why = match reply {
        Ok(value) => match judge(&value) {
            Verdict::Answer | Verdict::OutOfMemory => {
                node.succeeded();
                return Ok(value);
            }
            Verdict::Unavailable => match value {
                Value::ServerError(error) => format!("it says {}", error.code()),
                _ => "it cannot serve now".to_owned(),
            },
        },
        // Our own queue being full says nothing of the server.
        Err(Fault::Full) => return Err(Fault::Full.to_string()),
        Err(fault) => fault.to_string(),
    };
    node.failed();
    Err(why)
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
