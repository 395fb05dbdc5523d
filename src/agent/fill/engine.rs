//! The work of a copier: one task that asks the source and writes to the target, in turns.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::join;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::compare::Print;
use super::cut::Failed;
use super::dirty::{Dirty, Key, UNKNOWN};
use super::find::Finder;
use super::large::{Outcome, Pieces};
use super::pace::Pace;
use super::source::{Looked, Source, Trouble};
use super::streams::Streams;
use super::target::Target;
use super::{Cut, CutError, Ended, Endpoint, Limits, PAUSES, Progress, State, Without};
use crate::placement::NodeId;

/// A key that is written all the time is copied once in so long.
const ROUND: Duration = Duration::from_millis(10);

/// How often the source is asked how fast it answers, and is looked at where nothing changes.
const TICK: Duration = Duration::from_millis(100);

/// What has changed is little if it can be copied in so long, and much from the second on.
const BEHIND: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(2));

/// Large keys that change all the time and take longer than that cannot be copied within a pause.
const HOT: Duration = Duration::from_millis(PAUSES.1.as_millis() as u64 / 2);

/// What the task of a copier has.
pub(super) struct Engine {
    pub(super) source: Endpoint,
    pub(super) target: Endpoint,
    pub(super) dirty: Arc<Dirty>,
    pub(super) limits: Limits,
    pub(super) state: watch::Sender<State>,
    pub(super) progress: watch::Sender<Progress>,
    pub(super) requests: mpsc::Receiver<Request>,
}

/// A large key, how long copying it took without pauses, and how it ended.
type Copied = (Key, Duration, Result<Outcome, Trouble>);

/// A cut that is asked for.
pub(super) struct Request {
    pub(super) step: u64,
    pub(super) member: NodeId,
    pub(super) pause: Duration,
    pub(super) reply: oneshot::Sender<Result<Cut, CutError>>,
}

impl Engine {
    pub(super) async fn run(mut self) {
        if let Err(ended) = self.work().await {
            tracing::info!(source = %self.source.address, ?ended, "copying from a source has ended");
            self.state.send_replace(State::Ended(ended));
        }
    }

    /// Works until the cut is made.
    async fn work(&mut self) -> Result<(), Ended> {
        let began = Instant::now();
        let target = loop {
            match Target::open(&self.target, &self.limits).await {
                Ok(target) => break Arc::new(target),
                Err(Trouble::Over(Ended::TargetLost(_)) | Trouble::Again(_))
                    if began.elapsed() < self.limits.patience =>
                {
                    self.rest(TICK).await;
                }
                Err(Trouble::Over(ended)) => return Err(ended),
                Err(Trouble::Again(why)) => return Err(Ended::TargetLost(why)),
            }
        };
        let mut tries = 0u32;
        loop {
            self.dirty.clear();
            let trouble = match Source::open(&self.source, &self.dirty, &self.limits).await {
                Ok(source) => {
                    tries = 0;
                    // Whatever answers later has other data.
                    self.source.run_id.get_or_insert_with(|| source.run_id.clone());
                    match Work::new(self, Arc::new(source), Arc::clone(&target)).run().await {
                        Ok(()) => return Ok(()),
                        Err(trouble) => trouble,
                    }
                }
                Err(trouble) => trouble,
            };
            let why = match trouble {
                Trouble::Again(why) => why,
                Trouble::Over(ended) => return Err(ended),
            };
            tracing::warn!(source = %self.source.address, why, "all keys of a source will be looked at again");
            self.state.send_replace(State::Filling);
            self.progress.send_modify(|progress| {
                *progress = Progress { restarts: progress.restarts + 1, trouble: Some(why), ..Progress::default() };
            });
            self.rest(TICK.mul_f64(f64::from(1 << tries.min(5)) * (0.5 + fastrand::f64()))).await;
            tries += 1;
            target.lost().map_err(|_| Ended::TargetLost("the connection has ended".to_owned()))?;
        }
    }

    /// Waits; a cut that is asked for meanwhile cannot be made.
    async fn rest(&mut self, time: Duration) {
        let until = Instant::now() + time;
        loop {
            tokio::select! {
                () = sleep_until(until) => return,
                Some(request) = self.requests.recv() => {
                    // Who has gone needs no answer.
                    let _ = request.reply.send(Err(CutError::NotYet("the source or the target cannot be reached".to_owned())));
                }
            }
        }
    }
}

/// What is under way between one process of the source and the target.
pub(super) struct Work<'a> {
    pub(super) engine: &'a mut Engine,
    pub(super) pieces: Pieces,
    pub(super) dirty: Arc<Dirty>,
    pace: Arc<Pace>,
    finder: Finder,
    /// Found, and not compared yet.
    found: VecDeque<Key>,
    /// And not looked at yet, with what the target has.
    compared: VecDeque<(Key, Print)>,
    /// Taken out of `dirty`, and not looked at yet, for there were too many bytes before them.
    again: VecDeque<Key>,
    /// Looked at, and not written yet.
    writing: Vec<(Key, Looked)>,
    /// The large key that is being copied.
    large: JoinSet<Copied>,
    pub(super) streams: Streams,
    /// How many changed keys belong to this round of following, and when the next one begins.
    round: (usize, Instant),
    /// Whether the last batch was of changed keys: they and the others take turns.
    followed: bool,
    /// What one changed key takes.
    per_key: Duration,
    ticked: Instant,
}

/// How much of what has changed is copied at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Haste {
    /// A key that changes all the time is copied in each [`ROUND`], and a large one after it has rested.
    None,
    /// Only large keys rest.
    Small,
    All,
}

/// Where the keys of a batch are from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Scan,
    Change,
}

impl<'a> Work<'a> {
    fn new(engine: &'a mut Engine, source: Arc<Source>, target: Arc<Target>) -> Work<'a> {
        let limits = engine.limits.clone();
        let scratch = format!("__rr:fill:{}", engine.source.address.host_port());
        let now = Instant::now();
        Work {
            dirty: Arc::clone(&engine.dirty),
            pace: Arc::new(Pace::new(&limits)),
            finder: Finder::new(),
            pieces: Pieces { source, target, scratch: Arc::from(scratch.as_bytes()), limits },
            found: VecDeque::new(),
            compared: VecDeque::new(),
            again: VecDeque::new(),
            writing: Vec::new(),
            large: JoinSet::new(),
            streams: Streams::default(),
            round: (0, now),
            followed: false,
            per_key: Duration::from_micros(20),
            ticked: now,
            engine,
        }
    }

    /// Copies and follows until the cut is made.
    async fn run(mut self) -> Result<(), Trouble> {
        loop {
            match self.engine.requests.try_recv() {
                Ok(request) => {
                    if self.answer(request).await? {
                        return Ok(());
                    }
                }
                Err(_) if self.has_work(Haste::None) => self.turn(Haste::None).await?,
                Err(_) => self.wait().await?,
            }
        }
    }

    /// Whether something can be done at once.
    pub(super) fn has_work(&self, haste: Haste) -> bool {
        !(self.is_found() && self.again.is_empty() && self.writing.is_empty())
            || (self.dirty.queued() > 0 && (haste != Haste::None || self.round.0 > 0 || self.round.1 <= Instant::now()))
    }

    /// Whether nothing is under way, and all keys were looked at.
    pub(super) fn is_quiet(&self) -> bool {
        self.is_found() && self.again.is_empty() && self.writing.is_empty() && self.large.is_empty()
    }

    /// How long it will take to copy what has changed: small keys, and large ones.
    pub(super) fn behind(&self) -> (Duration, Duration) {
        let (count, large) = self.dirty.behind();
        (self.per_key * u32::try_from(count).unwrap_or(u32::MAX), large)
    }

    /// Waits until there may be something to do.
    async fn wait(&mut self) -> Result<(), Trouble> {
        // The news of one more key is none where some wait for the next round anyway.
        let changed = self.dirty.queued() > 0;
        let due = if changed { self.round.1 } else { Instant::now() + TICK };
        tokio::select! {
            () = self.dirty.news.notified(), if !changed => {}
            () = sleep_until(due) => {}
            Some(done) = self.large.join_next() => self.large_is_done(done)?,
        }
        self.look_around(Haste::None).await
    }

    /// One turn: keys are found, others looked at and yet others written at the same time.
    pub(super) async fn turn(&mut self, haste: Haste) -> Result<(), Trouble> {
        self.look_around(haste).await?;
        let began = Instant::now();
        let (batch, from) = self.batch(haste);
        let writing = std::mem::take(&mut self.writing);
        let most = self.pieces.limits.batch_keys.max(1);
        let (wrote, find) = (writing.len() as u64, self.found.len() < most);
        let prints: Vec<Key> = match self.compared.len() < most {
            true => self.found.drain(..most.min(self.found.len())).collect(),
            false => Vec::new(),
        };
        let compare = self.finder.may_be_there();
        let (pieces, finder, dirty) = (&self.pieces, &mut self.finder, &self.dirty);
        let (found, printed, looked, bytes) = join!(
            async { if find { finder.find(pieces, dirty).await } else { Ok(Vec::new()) } },
            async { if compare { pieces.target.prints(&prints, &pieces.limits).await } else { Ok(Vec::new()) } },
            async { if batch.is_empty() { Ok(Vec::new()) } else { pieces.source.look(&batch, &pieces.limits).await } },
            pieces.target.write(writing),
        );
        if self.pieces.limits.lack(Without::Order) {
            // Long enough for something to change in between.
            sleep_until(Instant::now() + ROUND).await;
            self.dirty.forget(&batch);
        }
        let (found, printed) = (found?, printed?);
        let count = if compare { printed.len() } else { prints.len() };
        let mut prints = prints.into_iter();
        let printed = printed.into_iter().chain(std::iter::repeat(Print::new()));
        self.compared.extend(prints.by_ref().take(count).zip(printed));
        prints.rev().for_each(|key| self.found.push_front(key));
        self.found.extend(found);
        let (bytes, looked) = (bytes?, looked?);
        let (count, most) = (looked.len(), self.pieces.limits.dirty_bytes);
        let (mut batch, mut same) = (batch.into_iter(), 0);
        for ((key, _), looked) in batch.by_ref().take(count).zip(looked) {
            match looked {
                Looked::Large => self.dirty.mark_large(key),
                Looked::Same(signature) => {
                    same += 1;
                    self.streams.looked(&key, signature, most)?;
                }
                Looked::Gone => {
                    self.streams.looked(&key, None, most)?;
                    self.writing.push((key, Looked::Gone));
                }
                Looked::Value(mut content) => {
                    self.streams.looked(&key, content.signature.take(), most)?;
                    self.writing.push((key, Looked::Value(content)));
                }
            }
        }
        for found in batch.rev() {
            match from {
                From::Scan => self.compared.push_front(found),
                From::Change => self.again.push_front(found.0),
            }
        }
        if from == From::Change && count > 0 {
            self.per_key = (self.per_key * 7 + began.elapsed() / u32::try_from(count).unwrap_or(u32::MAX)) / 8;
        }
        self.report(from, count as u64, bytes);
        if haste == Haste::None {
            self.pace.spend(wrote + same, bytes).await;
        }
        Ok(())
    }

    /// What is looked at next. What changed and what was found take turns, so that neither waits for the other's end.
    fn batch(&mut self, haste: Haste) -> (Vec<(Key, Print)>, From) {
        let most = self.pieces.limits.batch_keys.max(1);
        if self.round.0 == 0 && (haste != Haste::None || self.round.1 <= Instant::now()) {
            self.round = (self.dirty.queued(), Instant::now() + ROUND);
        }
        let changed = !self.again.is_empty() || self.round.0 > 0;
        if changed && (!self.followed || self.compared.is_empty()) {
            self.followed = true;
            let mut batch: Vec<Key> = self.again.drain(..most.min(self.again.len())).collect();
            let more = self.dirty.take((most - batch.len()).min(self.round.0));
            self.round.0 = (self.round.0 - more.len()).min(self.dirty.queued());
            batch.extend(more);
            let batch = batch.into_iter().map(|key| (key, Print::new())).collect();
            return (self.dirty.leave_large(batch), From::Change);
        }
        self.followed = false;
        let batch = self.compared.drain(..most.min(self.compared.len())).collect();
        (self.dirty.leave_large(batch), From::Scan)
    }

    /// Whether the servers are still there, and what large keys there are to be copied.
    pub(super) async fn look_around(&mut self, haste: Haste) -> Result<(), Trouble> {
        self.pieces.source.lost()?;
        self.pieces.target.lost()?;
        let told = self.dirty.told();
        if told.flushed {
            return Err(Trouble::Over(Ended::Flushed));
        }
        if told.too_much {
            return Err(Trouble::Again("more keys changed at once than are remembered".to_owned()));
        }
        while let Some(done) = self.large.try_join_next() {
            self.large_is_done(done)?;
        }
        if self.large.is_empty()
            && let Some((key, first)) = self.dirty.take_large(haste == Haste::All)
        {
            let (pieces, pace) = (self.pieces.clone(), (haste == Haste::None).then(|| Arc::clone(&self.pace)));
            let compared = first && self.finder.may_be_there() && haste == Haste::None;
            self.large.spawn(async move {
                let (began, mut rested) = (Instant::now(), Duration::ZERO);
                let copied = pieces.copy(&key, compared, pace.as_deref(), &mut rested).await;
                (key, began.elapsed().saturating_sub(rested), copied)
            });
        }
        if haste == Haste::None && self.ticked.elapsed() >= TICK {
            self.ticked = Instant::now();
            self.tick().await?;
        }
        Ok(())
    }

    /// Asks the source how fast it answers, and says how far this is.
    async fn tick(&mut self) -> Result<(), Trouble> {
        let asked = Instant::now();
        self.pieces.source.ping().await?;
        self.pace.answered_after(asked.elapsed());
        if self.finder.is_done() {
            self.streams.compare_some(&self.pieces, &self.dirty).await?;
        }
        self.report(From::Scan, 0, 0);
        Ok(())
    }

    pub(super) fn large_is_done(&mut self, done: Result<Copied, tokio::task::JoinError>) -> Result<(), Trouble> {
        let Ok((key, took, copied)) = done else {
            return Err(Trouble::Again("the copy of a large key was given up".to_owned()));
        };
        match copied? {
            Outcome::Copied(bytes, signature) => {
                self.streams.looked(&key, signature, self.pieces.limits.dirty_bytes)?;
                self.dirty.large_was_copied(&key, took);
                self.engine.progress.send_modify(|progress| progress.bytes += bytes);
            }
            Outcome::Changed => {
                self.dirty.large_was_copied(&key, took);
                self.dirty.mark(&key);
            }
            Outcome::Small => self.dirty.is_small_now(&key),
        }
        Ok(())
    }

    /// Whether a large key has changed, and none is being copied.
    pub(super) fn large_is_waiting(&self) -> bool {
        self.large.is_empty() && self.dirty.behind().0 > self.dirty.queued()
    }

    /// Waits for the large key that is being copied, until then at most.
    pub(super) async fn wait_for_large(&mut self, until: Instant) -> Result<(), Trouble> {
        tokio::select! {
            Some(done) = self.large.join_next() => self.large_is_done(done),
            () = sleep_until(until) => Ok(()),
        }
    }

    /// Whether all keys were found and looked at.
    fn is_found(&self) -> bool {
        self.found.is_empty() && self.compared.is_empty() && self.finder.is_done()
    }

    fn report(&self, from: From, count: u64, bytes: u64) {
        let (dirty, rate) = (self.dirty.behind().0 as u64, self.pace.rate());
        let total = self.finder.total();
        let (small, large) = self.behind();
        let trouble = (self.is_found() && large > HOT && large < UNKNOWN).then(|| {
            let took = large.as_millis();
            format!("large keys change all the time and take {took} ms to copy: writers cannot be held up for so long")
        });
        self.engine.progress.send_modify(|progress| {
            match from {
                From::Scan => progress.keys_done += count,
                From::Change => progress.recopied += count,
            }
            progress.keys_total = total.max(progress.keys_done);
            progress.bytes += bytes;
            (progress.dirty, progress.rate, progress.trouble) = (dirty, rate, trouble);
        });
        let was = *self.engine.state.borrow() == State::CaughtUp;
        let bound = if was { BEHIND.1 } else { BEHIND.0 };
        // What is being written is so all the time where keys change.
        let is = (was || self.is_found()) && small <= bound && large <= HOT;
        if is != was {
            self.engine.state.send_replace(if is { State::CaughtUp } else { State::Filling });
        }
    }

    /// Whether it was made.
    async fn answer(&mut self, request: Request) -> Result<bool, Trouble> {
        let Request { step, member, pause, mut reply } = request;
        if *self.engine.state.borrow() != State::CaughtUp {
            let _ = reply.send(Err(CutError::NotYet("not all keys are copied yet".to_owned())));
            return Ok(false);
        }
        let made = tokio::select! {
            made = self.cut(step, &member, pause) => made,
            // What was begun is taken back as it is dropped.
            () = reply.closed() => return Err(Trouble::Over(Ended::Void)),
        };
        let (answer, goes_on) = match made {
            Ok((cut, held)) => {
                self.engine.state.send_replace(State::Cut);
                return match reply.send(Ok(cut)) {
                    Ok(()) => {
                        held.stands();
                        Ok(true)
                    }
                    Err(_) => Err(Trouble::Over(Ended::Void)),
                };
            }
            Err(Failed::NotYet(why)) => (CutError::NotYet(why), Ok(false)),
            Err(Failed::Void(void, _)) if void.seen => (CutError::Void(void), Err(Trouble::Over(Ended::Void))),
            Err(Failed::Void(void, trouble)) => (CutError::Void(void), trouble.map_or(Ok(false), Err)),
            Err(Failed::Trouble(Trouble::Again(why))) => (CutError::NotYet(why.clone()), Err(Trouble::Again(why))),
            Err(Failed::Trouble(Trouble::Over(ended))) => (CutError::Ended(ended.clone()), Err(Trouble::Over(ended))),
        };
        if let Err(Trouble::Over(ended)) = &goes_on {
            self.engine.state.send_replace(State::Ended(ended.clone()));
        }
        let _ = reply.send(Err(answer));
        goes_on
    }
}
