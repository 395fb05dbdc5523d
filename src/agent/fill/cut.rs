//! The exact cut.
//!
//! 1. Under the source's lock, what has changed is copied until almost nothing is left.
//! 2. In one step of the source the gate names the gainer and all writers are held up. Every write is now either before that
//!    step, or is executed after the pause and finds the name.
//! 3. What the source has told up to that step is read to its end (see [`Source::drain`]): so all keys are known that were
//!    written before it and are not copied yet.
//! 4. They are copied. The last of them has to be *written* within the pause, not only read: a writer that finds the name
//!    sends its write to the target itself, and a copy that came after it would take it back.
//! 5. Nothing may have been told since the gate's own change was: that would be a write in the pause, which somebody else has
//!    ended.
//! 6. The writers go on.
//!
//! [`Source::drain`]: super::source::Source::drain

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::engine::{Haste, Work};
use super::hold::{Hold, NoPause};
use super::source::{Trouble, trouble};
use super::{Cut, PAUSES, Void, Without};
use crate::placement::NodeId;

/// How long another holder of the lock is waited for, and until almost nothing is left to be copied.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a shorter pause is worth trying for.
const CLOSE: Duration = Duration::from_millis(500);

/// What a large key that is copied in the pause is taken to take, of what it took before; and the streams that are compared.
const SPARE: (u32, f64) = (2, 1.3);

/// Between two looks at the lock.
const AGAIN: Duration = Duration::from_millis(20);

/// Why there is no cut.
pub(super) enum Failed {
    /// Nothing has happened.
    NotYet(String),
    /// Where the servers were the reason, nobody knows what of the last keys was copied.
    Void(Void, Option<Trouble>),
    /// And it was not begun.
    Trouble(Trouble),
}

impl From<Trouble> for Failed {
    fn from(trouble: Trouble) -> Failed {
        Failed::Trouble(trouble)
    }
}

impl Work<'_> {
    /// Makes the cut. What is returned with it takes it back, unless it is told that somebody knows of it.
    pub(super) async fn cut(&mut self, step: u64, member: &NodeId, pause: Duration) -> Result<(Cut, Hold), Failed> {
        let mut hold = self.lock(member).await?;
        let pause = self.come_close(pause.clamp(AGAIN, PAUSES.1)).await?;
        let told = self.dirty.told().gates;
        match hold.pause(step, pause, !self.pieces.limits.lack(Without::Pause)).await {
            Ok(()) => {}
            Err(NoPause::None(why)) => return Err(Failed::NotYet(why)),
            Err(NoPause::Unknown(why)) => return Err(void(hold, Broken::of(&why), pause).await),
        }
        match self.copy_rest(&hold, told, pause).await {
            Ok(keys) => {
                let paused = hold.release().await;
                tracing::info!(%member, step, keys, ?paused, "a source was cut");
                Ok((Cut { paused, keys }, hold))
            }
            Err(mut broken) => {
                // Somebody else may have ended the pause; what is not told yet is taken for nothing.
                let now = self.dirty.told();
                broken.seen |= now.gates > told && now.since_gate > 0;
                Err(void(hold, broken, pause).await)
            }
        }
    }

    async fn lock(&mut self, member: &NodeId) -> Result<Hold, Failed> {
        let until = Instant::now() + PATIENCE;
        loop {
            let held = Hold::acquire(&self.pieces.source, &self.engine.source, member).await;
            if let Some(hold) = held.map_err(|failure| Failed::Trouble(trouble(failure)))? {
                return Ok(hold);
            }
            if Instant::now() >= until {
                return Err(Failed::NotYet("another gainer cuts at this source".to_owned()));
            }
            // Following goes on.
            if self.has_work(Haste::None) {
                self.turn(Haste::None).await?;
            } else {
                sleep(AGAIN.mul_f64(0.5 + fastrand::f64())).await;
            }
        }
    }

    /// Copies until what is left takes a small part of the pause. Where that does not come to be, and for large keys and many
    /// streams, the pause may last longer: it is over anyway as soon as all is copied.
    async fn come_close(&mut self, pause: Duration) -> Result<Duration, Failed> {
        let began = Instant::now();
        let until = began + PATIENCE;
        if !self.streams.compare_all(&self.pieces, &self.dirty, Some(until)).await? {
            return Err(Failed::NotYet("there are too many streams to compare all of them at once".to_owned()));
        }
        loop {
            let (small, large) = self.behind();
            let bound = if began.elapsed() < CLOSE { pause } else { PAUSES.1 };
            if self.is_quiet() && small <= bound / 4 {
                let rest = (large.saturating_mul(SPARE.0)).saturating_add(self.streams.behind().mul_f64(SPARE.1));
                let needed = (small * 4).saturating_add(rest).max(pause);
                if needed <= PAUSES.1 {
                    if needed > pause {
                        tracing::info!(?needed, "much changes: writers may be held up for longer");
                    }
                    return Ok(needed);
                }
                // It may hold still in a moment. If not, nobody is held up for what cannot succeed.
                if Instant::now() >= until {
                    let took = rest.as_millis();
                    let why =
                        format!("large keys that change, or many streams, take {took} ms, too long to hold up writers");
                    return Err(Failed::NotYet(why));
                }
            }
            if Instant::now() >= until {
                return Err(Failed::NotYet("keys change faster than they can be copied".to_owned()));
            }
            if self.has_work(Haste::Small) {
                self.turn(Haste::Small).await?;
            } else {
                self.wait_for_large(until.min(Instant::now() + AGAIN)).await?;
                self.look_around(Haste::Small).await?;
            }
        }
    }

    /// Copies all that was written before the pause, within it. Returns how many keys those were; or why it could not, and
    /// whether somebody was seen to write meanwhile.
    async fn copy_rest(&mut self, hold: &Hold, gates: u64, pause: Duration) -> Result<u64, Broken> {
        // So much earlier it is given up: then what was begun is taken back before anybody sees it.
        let margin = pause / 5;
        let give_up = hold.ends() - margin;
        let source = self.pieces.source.clone();
        let lack = |what| self.pieces.limits.lack(what);
        // A source that is slow to tell is still followed, and one that is lost is found out when it is asked next.
        let late = |trouble: Trouble| Broken::of(&Broken::from(trouble).why);
        let left = || give_up.saturating_duration_since(Instant::now());
        if !lack(Without::Drain) {
            // The gate's own change comes with all before it. A second look is for a server that would tell after it answers.
            let mut looks = 0;
            while looks == 0 || (self.dirty.told().gates <= gates && looks < 3) {
                source.drain(left()).await.map_err(late)?;
                looks += 1;
            }
            if self.dirty.told().gates <= gates {
                return Err(Broken::of("the source does not tell of changes"));
            }
        }
        if !lack(Without::Signatures) && !self.streams.compare_all(&self.pieces, &self.dirty, Some(give_up)).await? {
            return Err(Broken::of("not all streams could be compared in time"));
        }
        let keys = self.dirty.behind().0 as u64;
        while !self.is_quiet() || !self.dirty.is_empty() {
            if Instant::now() >= give_up {
                return Err(Broken::of("what had changed could not be copied in time"));
            }
            if self.has_work(Haste::All) || self.large_is_waiting() {
                self.turn(Haste::All).await?;
            } else {
                self.wait_for_large(give_up).await?;
            }
        }
        let now = source.drain(left()).await.map_err(late)?;
        if cfg!(debug_assertions) && self.pieces.limits.without != Without::Nothing {
            return Ok(keys);
        }
        let told = self.dirty.told();
        if told.since_gate > 0 || told.flushed {
            return Err(Broken { seen: true, ..Broken::of("somebody wrote in the pause") });
        }
        if !hold.is_on(now, Duration::ZERO) {
            return Err(Broken { seen: true, ..Broken::of("the pause was over too early") });
        }
        Ok(keys)
    }
}

/// Why a pause was of no use.
struct Broken {
    why: String,
    /// Whether somebody wrote in it.
    seen: bool,
    trouble: Option<Trouble>,
}

impl Broken {
    fn of(why: &str) -> Broken {
        Broken { why: why.to_owned(), seen: false, trouble: None }
    }
}

impl From<Trouble> for Broken {
    fn from(trouble: Trouble) -> Broken {
        Broken { why: trouble.to_string(), seen: false, trouble: Some(trouble) }
    }
}

async fn void(hold: Hold, broken: Broken, pause: Duration) -> Failed {
    let Broken { why: reason, seen, trouble } = broken;
    let seen = hold.take_back().await || seen;
    tracing::warn!(reason, seen, "a cut is void");
    Failed::Void(Void { reason, seen, pause: (pause * 2).min(PAUSES.1) }, trouble)
}
