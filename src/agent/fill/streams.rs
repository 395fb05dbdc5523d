//! Streams, whose groups change without a word.
//!
//! No server tells those who track its keys what XGROUP, XREADGROUP, XACK, XCLAIM, XAUTOCLAIM and XSETID do (nor does WATCH notice
//! it). So every stream has a signature, made by the server from what it tells of the stream and of each group and consumer: it
//! is taken with the value, and compared time and again, for the last time in the pause of the cut. All that these commands
//! do shows in it. What changes neither position nor a count still changes when the consumer was seen, in milliseconds; a
//! signature from the same millisecond equals none.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use redis::Value;
use tokio::time::Instant;

use super::dirty::{Dirty, Key};
use super::large::Pieces;
use super::source::{Trouble, signatures};

/// How many are compared at once, and how many of these in each look around.
const BATCH: usize = 128;

/// What one costs beside its name.
const OVERHEAD: usize = 160;

/// The signatures of the streams that were copied.
#[derive(Debug, Default)]
pub(super) struct Streams {
    known: HashMap<Key, Vec<u8>>,
    bytes: usize,
    /// Those that are compared next.
    queue: VecDeque<Key>,
    /// What comparing one takes.
    each: Duration,
}

impl Streams {
    /// A key was looked at: it is a stream with this signature, or none.
    ///
    /// # Errors
    /// Where there are too many to be remembered; they may be fewer later.
    pub(super) fn looked(&mut self, key: &Key, signature: Option<Vec<u8>>, most: usize) -> Result<(), Trouble> {
        let cost = key.len() + OVERHEAD;
        match signature {
            Some(signature) => {
                if self.known.insert(Key::clone(key), signature).is_none() {
                    self.bytes += cost;
                }
                if self.bytes > most {
                    let (count, mib) = (self.known.len(), most >> 20);
                    let why = format!("the source has more than {count} streams, whose names take more than {mib} MiB");
                    return Err(Trouble::Later(why));
                }
            }
            None => {
                if !self.known.is_empty() && self.known.remove(key).is_some() {
                    self.bytes -= cost;
                }
            }
        }
        Ok(())
    }

    /// How long it takes to compare all.
    pub(super) fn behind(&self) -> Duration {
        self.each * u32::try_from(self.known.len()).unwrap_or(u32::MAX)
    }

    /// Compares some, and marks those that have changed.
    pub(super) async fn compare_some(&mut self, pieces: &Pieces, dirty: &Dirty) -> Result<(), Trouble> {
        if self.queue.is_empty() {
            self.queue.extend(self.known.keys().cloned());
        }
        let batch: Vec<Key> = self.queue.drain(..BATCH.min(self.queue.len())).collect();
        self.compare(&batch, pieces, dirty).await
    }

    /// Compares all, until then at most. Whether it has done so.
    pub(super) async fn compare_all(
        &mut self,
        pieces: &Pieces,
        dirty: &Dirty,
        until: Option<Instant>,
    ) -> Result<bool, Trouble> {
        let all: Vec<Key> = self.known.keys().cloned().collect();
        for batch in all.chunks(BATCH) {
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(false);
            }
            self.compare(batch, pieces, dirty).await?;
        }
        Ok(true)
    }

    async fn compare(&mut self, batch: &[Key], pieces: &Pieces, dirty: &Dirty) -> Result<(), Trouble> {
        if batch.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let now = signatures(&pieces.source, batch).await?;
        self.each = began.elapsed() / u32::try_from(batch.len()).unwrap_or(u32::MAX);
        for (key, now) in batch.iter().zip(now) {
            let same = matches!((&now, self.known.get(key)),
                (Value::BulkString(now), Some(known)) if !now.is_empty() && now == known);
            // One that is no stream any more has changed, and that was told.
            if !same && self.known.contains_key(key) {
                dirty.mark(key);
            }
        }
        Ok(())
    }
}
