//! Holding up a source's writers: the lock, the stamp in the gate, the pause, and how all of it ends.

use std::sync::Arc;
use std::time::Duration;

use redis::{Value, pipe};
use tokio::time::Instant;

use super::Endpoint;
use super::source::{Source, connect, micros};
use crate::agent::server::{Failure, Server};
use crate::command::{OWN_CUT, OWN_GATE};
use crate::placement::NodeId;

/// How long the lock is held at most. It must outlast the longest pause, and what is done before it.
const LOCKED: Duration = Duration::from_secs(5);

/// For each thing that is said to the source beside the copies.
const SAID: Duration = Duration::from_secs(1);

/// How long what was begun is tried to be taken back, and in between.
const TAKEN_BACK: (Duration, Duration) = (Duration::from_secs(1), Duration::from_millis(50));

/// Takes the lock, or keeps it. Scripts, because over its memory limit a server runs nothing else that writes.
const LOCK: &str = "#!lua flags=allow-oom
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";

const UNLOCK: &str = "#!lua flags=allow-oom
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";

/// Takes the gainer's name out of the gate, if it stands there for the step that it was written for. What is sent again, or
/// comes late out of a connection that hung, must not take back a later cut.
const UNNAME: &str = "#!lua flags=allow-oom
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then return redis.call('HDEL', KEYS[1], ARGV[1]) end
return 0";

/// The lock, and what is done under it. Dropped before [`Hold::stands`], all of it is taken back.
pub(super) struct Hold {
    parts: Parts,
    paused: Option<Paused>,
    armed: bool,
}

#[derive(Clone)]
struct Parts {
    source: Arc<Source>,
    at: Endpoint,
    field: String,
    holder: String,
}

/// A pause that may have begun.
#[derive(Clone, Copy, Debug)]
struct Paused {
    /// Before it was asked for.
    since: Instant,
    /// The source's clock when it began, where it answered.
    clock: Option<i64>,
    time: Duration,
    /// What the gate names the gainer for.
    step: u64,
    /// Whether the source was told that it is over.
    over: bool,
}

/// Why there is no pause.
pub(super) enum NoPause {
    /// And there was none.
    None(String),
    /// Nobody knows.
    Unknown(String),
}

impl Hold {
    /// Takes the lock for a gainer; none if another has it.
    pub(super) async fn acquire(source: &Arc<Source>, at: &Endpoint, member: &NodeId) -> Result<Option<Hold>, Failure> {
        // The number tells this try from one of a predecessor's.
        let holder = format!("{member} {:016x}", fastrand::u64(..));
        let parts = Parts { source: Arc::clone(source), at: at.clone(), field: format!("cut:{member}"), holder };
        // Made first: a lock whose answer is lost is given back as well.
        let hold = Hold { parts, paused: None, armed: true };
        if hold.lock().await? {
            return Ok(Some(hold));
        }
        hold.forget();
        Ok(None)
    }

    async fn lock(&self) -> Result<bool, Failure> {
        let mut lock = pipe();
        lock.cmd("EVAL").arg(LOCK).arg(1).arg(OWN_CUT).arg(&self.parts.holder).arg(LOCKED.as_millis() as u64);
        Ok(self.say(&lock).await?.pop() == Some(Value::Int(1)))
    }

    async fn say(&self, cmds: &redis::Pipeline) -> Result<Vec<Value>, Failure> {
        let answers = self.parts.source.control.ask_all(cmds, SAID).await?;
        answers.into_iter().map(|answer| answer.extract_error().map_err(Failure::of)).collect()
    }

    /// Names the gainer in the gate and holds up all writers, in one step of the source.
    pub(super) async fn pause(&mut self, step: u64, time: Duration, really: bool) -> Result<(), NoPause> {
        let none = |failure: Failure| NoPause::None(failure.to_string());
        if !self.lock().await.map_err(none)? {
            return Err(NoPause::None("the lock was lost".to_owned()));
        }
        let mut watch = pipe();
        watch.cmd("WATCH").arg(OWN_CUT).cmd("GET").arg(OWN_CUT);
        let watched = self.say(&watch).await.map_err(none)?.pop();
        if watched != Some(Value::BulkString(self.parts.holder.clone().into_bytes())) {
            return Err(NoPause::None("the lock was lost".to_owned()));
        }
        let mut stamp = pipe();
        stamp.atomic().cmd("TIME").cmd("HSET").arg(OWN_GATE).arg(&self.parts.field).arg(step);
        if really {
            stamp.cmd("CLIENT").arg("PAUSE").arg(time.as_millis() as u64).arg("WRITE");
        }
        let since = Instant::now();
        self.paused = Some(Paused { since, clock: None, time, step, over: false });
        match self.parts.source.control.ask_all(&stamp, time).await.map(|mut answers| answers.pop()) {
            Ok(Some(Value::Array(answers))) => {
                let clock = answers.first().and_then(micros);
                let refused = answers.iter().any(|answer| matches!(answer, Value::ServerError(_)));
                self.paused = Some(Paused { since, clock, time, step, over: false });
                if refused || clock.is_none() {
                    return Err(NoPause::Unknown("the source refuses CLIENT PAUSE or the gate".to_owned()));
                }
                Ok(())
            }
            // The transaction has not run: the lock was gone, or the source refuses a part of it.
            Ok(_) => {
                self.paused = None;
                Err(NoPause::None("the lock was lost".to_owned()))
            }
            Err(Failure::Answered(code)) => {
                self.paused = None;
                Err(NoPause::None(match code.as_str() {
                    "OOM" | "EXECABORT" => {
                        "the source is over its memory limit, and its agent makes no room".to_owned()
                    }
                    _ => format!("the source answers {code}"),
                }))
            }
            Err(failure) => Err(NoPause::Unknown(failure.to_string())),
        }
    }

    /// Whether the pause is on for `margin` more, by this process's clock and by the source's, which said that it is `now`.
    pub(super) fn is_on(&self, now: i64, margin: Duration) -> bool {
        let Some(Paused { since, clock: Some(clock), time, .. }) = self.paused else { return false };
        // The source ends it by a clock that can be set.
        let elapsed = now.saturating_sub(clock);
        let here = since.elapsed() + margin < time;
        here && elapsed >= 0 && Duration::from_micros(elapsed.unsigned_abs()) + margin < time
    }

    /// When it ends, by this process's clock.
    pub(super) fn ends(&self) -> Instant {
        self.paused.map_or_else(Instant::now, |paused| paused.since + paused.time)
    }

    /// Lets the writers go on, who find the gainer named, and gives back the lock. Returns how long they waited.
    pub(super) async fn release(&mut self) -> Duration {
        let mut release = pipe();
        release.cmd("CLIENT").arg("UNPAUSE");
        release.cmd("EVAL").arg(UNLOCK).arg(1).arg(OWN_CUT).arg(&self.parts.holder);
        // The pause and the lock end by themselves where the source does not hear it.
        if let Err(failure) = self.say(&release).await {
            tracing::warn!(%failure, "a pause is left to end by itself");
        }
        self.paused.as_mut().map_or(Duration::ZERO, |paused| {
            paused.over = true;
            // What this process was late to hear nobody has waited for.
            paused.since.elapsed().min(paused.time)
        })
    }

    /// The cut is made, and somebody knows it.
    pub(super) fn stands(self) {
        self.forget();
    }

    fn forget(mut self) {
        self.armed = false;
    }

    /// Takes the gainer's name out of the gate, lets the writers go on, and gives back the lock. Returns whether a writer may
    /// have seen the name.
    pub(super) async fn take_back(mut self) -> bool {
        let (parts, paused) = (self.parts.clone(), self.paused);
        self.armed = false;
        // A task of its own: half of it would be worse than nothing.
        tokio::spawn(take_back(parts, paused)).await.unwrap_or(true)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.armed {
            runtime.spawn(take_back(self.parts.clone(), self.paused));
        }
    }
}

/// See [`Hold::take_back`].
async fn take_back(parts: Parts, paused: Option<Paused>) -> bool {
    let until = Instant::now() + TAKEN_BACK.0;
    let mut seen = ask_back(&parts.source.control, &parts, paused).await;
    // Once at least, should this process have stood still.
    let mut goes_on = true;
    while seen.is_none() && goes_on {
        goes_on = Instant::now() < until;
        tokio::time::sleep(TAKEN_BACK.1).await;
        if let Ok(server) = connect(&parts.at).await {
            // What the old connection still holds must not run later.
            let mut kill = pipe();
            kill.cmd("CLIENT").arg("KILL").arg("ID").arg(parts.source.control.client_id());
            if server.ask_all(&kill, SAID).await.is_ok() {
                // By another connection nobody knows what came in between.
                seen = ask_back(&server, &parts, paused).await.map(|_| paused.is_some());
            }
        }
    }
    if seen.is_none() && paused.is_some() {
        tracing::warn!(server = %parts.at.address, "a gate may name a gainer whose cut is void; the next step ends that");
    }
    seen.unwrap_or(paused.is_some())
}

/// Whether a writer may have seen the gainer's name; none if the source did not answer.
///
/// UNPAUSE and the scripts go out as one message. The writers that were held up go on when the server has done with it, so
/// within the pause none of them sees the name. The other way round the scripts would wait for the pause's end, behind them.
async fn ask_back(server: &Server, parts: &Parts, paused: Option<Paused>) -> Option<bool> {
    let mut back = pipe();
    if let Some(paused) = paused {
        back.cmd("TIME");
        if !paused.over {
            back.cmd("CLIENT").arg("UNPAUSE");
        }
        back.cmd("EVAL").arg(UNNAME).arg(1).arg(OWN_GATE).arg(&parts.field).arg(paused.step);
    }
    back.cmd("EVAL").arg(UNLOCK).arg(1).arg(OWN_CUT).arg(&parts.holder);
    let answers = server.ask_all(&back, SAID).await.ok()?;
    let Some(Paused { since, clock, time, over, .. }) = paused else { return Some(false) };
    let here = since.elapsed();
    let there = match (clock, answers.first().and_then(micros)) {
        (Some(began), Some(now)) if now >= began => Duration::from_micros((now - began).unsigned_abs()),
        _ => return Some(true),
    };
    let done = answers.iter().all(|answer| !matches!(answer, Value::ServerError(_)));
    Some(!done || over || here >= time || there >= time)
}
