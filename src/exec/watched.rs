//! Transactions on watched keys (`WATCH … MULTI … EXEC`), on a connection of their own.
//!
//! What such a transaction writes is in no known order with the commands on the connection that requests share, so the
//! copies get the state that the keys have afterwards, in line with those. Another process may do the same at the same time,
//! and its older state could reach a copy last; so the keys stay watched while they are copied, and are copied again if they
//! have changed meanwhile. Whoever's state arrives last has then seen the newest.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::{Cmd, Pipeline, Value, cmd};
use tokio::time::Instant;
use tracing::Instrument;

use super::read::{hurry, no_owner};
use super::reply::{Verdict, is_error, judge};
use super::write::{because, deadline, owners, pause};
use super::{Core, InStep, fence, groups};
use crate::command::{self, Plan, Refusal};
use crate::error::{Error, ErrorKind, Outcome, Result, Retry};
use crate::node::{Fault, Link, Owned};
use crate::placement::{Generation, NodeId, RunId, Step, Token};

/// How often the state of keys that do not hold still is copied. Changes by this process do no harm, since they reach the
/// copies in line; those of others are as any two writers'.
const COPIED_AT_MOST: usize = 8;

/// A connection to the primary of some keys, which are watched there.
#[derive(Debug)]
pub(crate) struct Watched {
    core: Arc<Core>,
    token: Token,
    /// Any of the keys, for error texts.
    key: Vec<u8>,
    member: NodeId,
    /// The life of its data.
    generation: Generation,
    run_id: RunId,
    /// The step of the ring when the keys were watched. Under another one their primary may be another, and nothing is sent.
    step: Step,
    own: Mutex<Option<Arc<Owned>>>,
    /// Requests without a reply. A connection with any is not used again.
    pending: AtomicUsize,
    /// Whether the connection was lost before anything was written.
    lost: AtomicBool,
    /// Whether a transaction was sent.
    sent: AtomicBool,
}

/// What the helper needs to know of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// Nothing was written, and the connection was lost: another one may do.
    Lost,
    /// All else.
    Ended,
}

/// Whether the copies have what a transaction wrote.
enum Copied {
    Yes,
    /// And neither has anybody else who counts: its primary was taken out of the ring.
    No,
}

impl Watched {
    /// Watches keys at their primary.
    ///
    /// # Errors
    /// `Refused` for keys of different hash tags, or none, and when too many connections are in use; `NoOwner`.
    pub(crate) async fn begin(core: &Arc<Core>, keys: &[Vec<u8>]) -> Result<Arc<Watched>> {
        let Some(key) = keys.first() else {
            return Err(Error::new(ErrorKind::Refused, "a transaction must watch a key")
                .with_hint("name the keys that its writes depend on"));
        };
        let mut watch = cmd("WATCH");
        watch.arg(keys);
        if keys.iter().any(|other| Token::of_key(other) != Token::of_key(key)) {
            return Err(match command::lookup(b"watch") {
                Some(row) => core.refusal(Refusal::of_strangers(&watch, row)),
                None => Error::new(ErrorKind::Refused, "the keys of a transaction must share a hash tag"),
            });
        }
        if keys.iter().any(|key| key.starts_with(command::RESERVED)) {
            return Err(Error::new(ErrorKind::Refused, "keys that begin with __rr: belong to the ring itself")
                .with_hint("choose another prefix for the key"));
        }
        let token = Token::of_key(key);
        // As long as a write, and as long as it takes to notice that a primary hangs.
        let until = deadline(core) + core.options.connect.timeouts.write * 2;
        let mut snapshot = InStep::newest(core);
        let mut failures = Vec::new();
        loop {
            let owners = owners(core, &mut snapshot, token, &[]);
            if let Some(seat) = owners.map(|owners| snapshot.seat(owners.primary()))
                && let Some(data) = &seat.link
            {
                let member = seat.node.id().clone();
                let run_id = data.run_id().clone();
                let error = match seat.node.own(data, snapshot.step).await {
                    Ok(own) => match watch_on(core, &own, &watch).await {
                        Ok(()) => {
                            return Ok(Arc::new(Watched {
                                core: Arc::clone(core),
                                token,
                                key: key.clone(),
                                generation: snapshot
                                    .topology()
                                    .find(&member)
                                    .map(|(_, member)| member.generation)
                                    .unwrap_or_default(),
                                member,
                                run_id,
                                step: snapshot.step,
                                own: Mutex::new(Some(Arc::new(own))),
                                pending: AtomicUsize::new(0),
                                lost: AtomicBool::new(false),
                                sent: AtomicBool::new(false),
                            }));
                        }
                        Err(error) => error,
                    },
                    Err(error) => error,
                };
                match error.kind() {
                    ErrorKind::Refused | ErrorKind::Denied | ErrorKind::Server => return Err(error),
                    _ => {
                        failures.push((member, error.to_string()));
                        // If it hangs, that is noticed by what it does not answer.
                        let _ = data.request(&cmd("PING"), core.read_ms).await;
                    }
                }
            }
            let trouble = fence::primary(core, token).await.err();
            if Instant::now() >= until {
                return Err(because(no_owner(&snapshot, token, &failures, "watched"), trouble));
            }
            pause(core, &mut snapshot).await;
        }
    }

    /// One command outside of the transaction: a read of keys that live with those that are watched.
    ///
    /// # Errors
    /// `Refused` for anything else.
    pub(crate) async fn read(&self, cmd: &Cmd) -> Result<Value> {
        self.admit(cmd)?;
        let own = self.own()?;
        let request = Request::begin(self);
        let reply = own.read(cmd, self.core.read_ms).await;
        self.in_step(request.end(reply)?)
    }

    /// Several of them.
    ///
    /// # Errors
    /// As [`Watched::read`].
    pub(crate) async fn read_all(&self, pipeline: &Pipeline) -> Result<Vec<Value>> {
        pipeline.cmd_iter().try_for_each(|cmd| self.admit(cmd))?;
        let own = self.own()?;
        let request = Request::begin(self);
        let replies = own.batch(pipeline, self.core.read_ms).await;
        self.in_step(request.end(replies)?)
    }

    /// What was read, unless the ring has taken a step since the keys were watched: the member may not be written any more.
    fn in_step<T>(&self, read: T) -> Result<T> {
        if self.core.naming.known() == self.step {
            return Ok(read);
        }
        self.lost.store(true, Ordering::Relaxed);
        Err(Error::new(ErrorKind::Disconnected, "the ring has moved on during a transaction").with_retry(Retry::Later))
    }

    /// Runs the transaction: the reply of EXEC, which is nil if a watched key has changed.
    ///
    /// It goes on when its caller drops it.
    ///
    /// # Errors
    /// `Refused` for commands that cannot be in it. With outcome unknown if the connection ended before the reply.
    pub(crate) async fn execute(self: &Arc<Watched>, pipeline: &Pipeline) -> Result<Value> {
        let mut written: Vec<Vec<u8>> = Vec::new();
        for cmd in pipeline.cmd_iter() {
            let plan = command::plan(cmd).map_err(|refusal| self.core.refusal(refusal))?;
            match plan {
                Plan::Read { key, .. } | Plan::Write { key, .. } | Plan::Wait { key, .. } => self.at_home(plan, key)?,
                Plan::AnyMember { .. } => {}
                Plan::Keyless { .. } => {
                    return Err(refused(
                        plan,
                        "it declares no keys",
                        "declare those that it uses, or send it on its own",
                    ));
                }
                Plan::Split { row, .. } => return Err(self.core.refusal(Refusal::of_strangers(cmd, row))),
                Plan::WholeRing { .. } | Plan::Channels { .. } | Plan::Publish { .. } => {
                    return Err(refused(plan, "it does not concern these keys alone", "send it on its own"));
                }
            }
            written.extend(command::written_keys(cmd));
        }
        written.sort_unstable();
        written.dedup();
        let mut wire = Pipeline::with_capacity(pipeline.len() + 3);
        wire.add_command(cmd("MULTI"));
        pipeline.cmd_iter().for_each(|cmd| {
            wire.add_command(cmd.clone());
        });
        wire.add_command(cmd("EXEC"));
        if !written.is_empty() {
            // From the moment of the transaction on: whoever changes them later is noticed.
            wire.cmd("WATCH").arg(&written);
        }
        let own = self.own()?;
        let this = Arc::clone(self);
        let exec = pipeline.len() + 1;
        let running = async move {
            if this.core.pause.is_held() {
                this.core.pause.over().await;
            }
            this.run(&own, &wire, exec, written).await
        };
        // In a task: what a server has executed the copies must get, whatever becomes of the caller.
        self.core.runtime.spawn(running.in_current_span()).await.unwrap_or_else(|error| {
            Err(Error::new(ErrorKind::Disconnected, "the runtime ended while a transaction was under way")
                .with_outcome(Outcome::Unknown)
                .with_source(error))
        })
    }

    async fn run(&self, own: &Link, wire: &Pipeline, exec: usize, written: Vec<Vec<u8>>) -> Result<Value> {
        let snapshot = InStep::newest(&self.core);
        if snapshot.step != self.step || !own.is_open() || !self.is_primary_in(snapshot.clone()) {
            // As if a key had changed: the caller starts over, at the primary of now.
            return Ok(Value::Nil);
        }
        self.sent.store(true, Ordering::Relaxed);
        let states = self.core.states.count(self.token);
        let _writing = self.core.writing([self.token]);
        let request = Request::begin(self);
        let mut replies = match own.batch(wire, self.core.write_ms).await {
            Ok(replies) => replies,
            Err(Fault::Full) => return Err(Error::new(ErrorKind::Timeout, "too many requests wait")),
            // The copies have nothing of it: the caller starts over, as if a key had changed, at the primary of now. Unless they
            // were given the state of its keys meanwhile, in which it may be: on what connections, no order tells.
            Err(_) if self.counts_no_more(&snapshot).await && self.core.states.count(self.token) == states => {
                return Ok(Value::Nil);
            }
            Err(fault) => {
                // Whether or not it was executed, the copies must have what the primary has.
                self.settle(written).await;
                return Err(self.unknown(&fault));
            }
        };
        request.done();
        replies.truncate(exec + 1);
        let reply = match (replies.pop(), replies.len() == exec) {
            (Some(reply), true) => reply,
            _ => return Err(self.unknown(&Fault::Late)),
        };
        if is_error(&reply) {
            // A command that could not be queued says why; EXEC only that there was one.
            let own = replies.into_iter().find(is_error).unwrap_or(reply);
            return server_error(own);
        }
        if reply != Value::Nil && !written.is_empty() {
            match self.copy(own, &snapshot, &written, states).await? {
                Copied::Yes => {}
                Copied::No => return Ok(Value::Nil),
            }
        }
        Ok(reply)
    }

    /// Whether whatever the member has done in this snapshot counts no more.
    async fn counts_no_more(&self, sent: &InStep) -> bool {
        fence::counts_no_more(&self.core, sent, &self.member, self.generation).await.unwrap_or(false)
    }

    /// Gives the copies what was written: those of the ring that it was executed under, though another one may have come
    /// since. Whoever gained the keys in between is named by their primary's gate for whom still lives in the older one.
    async fn copy(&self, own: &Link, snapshot: &InStep, written: &[Vec<u8>], states: u64) -> Result<Copied> {
        let mut unchanged = Pipeline::new();
        unchanged.cmd("MULTI").cmd("PING").cmd("EXEC").cmd("WATCH").arg(written);
        let mut have_it = false;
        for _ in 0..COPIED_AT_MOST {
            let copied = groups::copy_state_from(&self.core, snapshot.clone(), written.to_vec(), &self.member).await;
            let copied = copied.map_err(|error| {
                self.core.suspect(written.to_vec());
                error.with_outcome(Outcome::Unknown)
            })?;
            have_it |= copied;
            let replies = if copied {
                let request = Request::begin(self);
                let replies = own.batch(&unchanged, self.core.write_ms).await;
                request.end(replies).ok()
            } else {
                None
            };
            match replies {
                Some(replies) if replies.get(2) == Some(&Value::Nil) => {}
                Some(_) => return Ok(Copied::Yes),
                None if have_it && self.counts_no_more(snapshot).await => return Ok(Copied::Yes),
                None if self.counts_no_more(snapshot).await && self.core.states.count(self.token) == states => {
                    return Ok(Copied::No);
                }
                None => {
                    self.settle(written.to_vec()).await;
                    return Err(self.unknown(&Fault::Late));
                }
            }
        }
        tracing::debug!(node = %self.member, "keys of a transaction were changed as often as they were copied");
        Ok(Copied::Yes)
    }

    /// Gives the copies what the member has, if it comes back soon as the process that it was. What another owner has is not
    /// asked for: it does not know of the transaction.
    async fn settle(&self, written: Vec<Vec<u8>>) {
        let until = deadline(&self.core) + self.core.options.connect.timeouts.write;
        let mut snapshot = InStep::newest(&self.core);
        while Instant::now() < until {
            if self.is_primary() {
                // The caller is told that the outcome is unknown, whatever this says.
                match groups::copy_state_from(&self.core, snapshot.clone(), written.clone(), &self.member).await {
                    Ok(true) => return,
                    Ok(false) => {}
                    Err(_) => break,
                }
            }
            hurry(&snapshot, self.token);
            pause(&self.core, &mut snapshot).await;
        }
        self.core.suspect(written);
    }

    /// Ends the attempt: the connection serves another one, if all its requests have been answered.
    pub(crate) fn end(&self) -> Attempt {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner).take();
        if self.pending.load(Ordering::Relaxed) == 0
            && let Some(own) = own.and_then(Arc::into_inner)
        {
            own.give_back();
        }
        match self.lost.load(Ordering::Relaxed) && !self.sent.load(Ordering::Relaxed) {
            true => Attempt::Lost,
            false => Attempt::Ended,
        }
    }

    /// Whether the member is the primary still, and the same process.
    fn is_primary(&self) -> bool {
        self.is_primary_in(InStep::newest(&self.core))
    }

    fn is_primary_in(&self, mut snapshot: InStep) -> bool {
        let Some(owners) = owners(&self.core, &mut snapshot, self.token, &[]) else { return false };
        let seat = snapshot.seat(owners.primary());
        *seat.node.id() == self.member && seat.link.as_ref().is_some_and(|link| *link.run_id() == self.run_id)
    }

    fn own(&self) -> Result<Arc<Owned>> {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner).clone();
        own.ok_or_else(|| {
            Error::new(ErrorKind::Refused, "the transaction that this connection belongs to has ended")
                .with_hint("use the connection only inside of the closure that it was given to")
        })
    }

    /// Lets only reads of keys pass that live with those that are watched.
    fn admit(&self, cmd: &Cmd) -> Result<()> {
        match command::plan(cmd).map_err(|refusal| self.core.refusal(refusal))? {
            plan @ Plan::Read { key, .. } => self.at_home(plan, key),
            Plan::Split { row, .. } => Err(self.core.refusal(Refusal::of_strangers(cmd, row))),
            plan @ (Plan::Write { .. } | Plan::Wait { .. }) => Err(refused(
                plan,
                "only reads may stand outside of the transaction's pipeline",
                "add it to the pipeline, which the closure is given too",
            )),
            plan => Err(refused(plan, "it reads no key", "send it on another connection")),
        }
    }

    fn at_home(&self, plan: Plan<'_>, key: &[u8]) -> Result<()> {
        if Token::of_key(key) == self.token {
            return Ok(());
        }
        Err(self.core.refusal(Refusal::different_tags(plan.row(), &self.key, key)))
    }

    fn unknown(&self, fault: &Fault) -> Error {
        self.core.counters.unknown_writes.add_one();
        let kind = if matches!(fault, Fault::Late) { ErrorKind::Timeout } else { ErrorKind::Disconnected };
        Error::new(kind, format!("a transaction was sent to {}, and what became of it is not known", self.member))
            .with_outcome(Outcome::Unknown)
            .with_retry(Retry::Never)
            .with_hint("read the keys before trying again")
    }
}

/// A request that has no reply yet.
struct Request<'a>(&'a Watched);

impl<'a> Request<'a> {
    fn begin(watched: &'a Watched) -> Request<'a> {
        watched.pending.fetch_add(1, Ordering::Relaxed);
        Request(watched)
    }

    /// It was answered. Dropped without that, it remains under way.
    fn done(self) {
        self.0.pending.fetch_sub(1, Ordering::Relaxed);
    }

    fn end<T>(self, reply: Result<T, Fault>) -> Result<T> {
        let watched = self.0;
        match reply {
            Ok(reply) => {
                self.done();
                Ok(reply)
            }
            Err(fault) => {
                watched.lost.store(true, Ordering::Relaxed);
                let kind = if matches!(fault, Fault::Late) { ErrorKind::Timeout } else { ErrorKind::Disconnected };
                Err(Error::new(kind, format!("{} did not answer in a transaction: {fault}", watched.member)))
            }
        }
    }
}

/// Watches the keys, and nothing that the user before may have watched.
async fn watch_on(core: &Core, own: &Link, watch: &Cmd) -> Result<()> {
    let mut wire = Pipeline::with_capacity(2);
    wire.add_command(cmd("UNWATCH"));
    wire.add_command(watch.clone());
    let replies = own.batch(&wire, core.write_ms).await;
    let replies = replies.map_err(|fault| Error::new(ErrorKind::Disconnected, fault.to_string()))?;
    match replies.into_iter().find(is_error) {
        None => Ok(()),
        Some(reply) if judge(&reply) == Verdict::Unavailable => {
            Err(Error::new(ErrorKind::Unreachable, "it cannot serve now"))
        }
        Some(reply) => server_error(reply).map(|_| ()),
    }
}

/// A server's error reply as an error.
fn server_error(reply: Value) -> Result<Value> {
    reply.extract_error().map_err(|error| {
        let kind = if error.code() == Some("NOPERM") { ErrorKind::Denied } else { ErrorKind::Server };
        Error::new(kind, "a server refused the transaction").with_source(error)
    })
}

fn refused(plan: Plan<'_>, why: &str, hint: &str) -> Error {
    Error::new(ErrorKind::Refused, format!("{} was not sent: {why}", plan.row().upper)).with_hint(hint)
}

/// The pause before the next attempt, for those who keep getting into each other's way.
pub(crate) fn backoff(conflicts: u32) -> Duration {
    let most = 1_u64 << conflicts.min(5);
    Duration::from_micros(fastrand::u64(0..=most * 500))
}
