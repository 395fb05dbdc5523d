//! All keys of the ring, as a stream.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use futures_util::future::BoxFuture;
use redis::{Cmd, Value};

use super::Inner;
use crate::error::{Error, ErrorKind, Result};
use crate::exec::{Part, Position};

/// Which keys a [`Scan`] gives, and from where on.
#[derive(Clone, Debug, Default)]
#[must_use = "options do nothing until `scan`"]
pub struct ScanOptions {
    pattern: Option<Vec<u8>>,
    kind: Option<String>,
    count: Option<u32>,
    from: Option<ScanCursor>,
}

impl ScanOptions {
    /// All keys, from the beginning.
    pub fn new() -> ScanOptions {
        ScanOptions::default()
    }

    /// Only keys that match this pattern, as in `SCAN … MATCH`.
    pub fn matching(mut self, pattern: impl Into<Vec<u8>>) -> Self {
        self.pattern = Some(pattern.into());
        self
    }

    /// Only keys of this type, as in `SCAN … TYPE`: `string`, `list`, `set`, `zset`, `hash` or `stream`.
    pub fn of_type(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// About how many keys a member looks at for one part, as in `SCAN … COUNT`. At least 1.
    pub fn count(mut self, count: u32) -> Self {
        self.count = Some(count.max(1));
        self
    }

    /// Goes on where another scan of the same ring stood, in this process or another one.
    pub fn from(mut self, cursor: ScanCursor) -> Self {
        self.from = Some(cursor);
        self
    }

    fn command(&self) -> Cmd {
        let mut cmd = redis::cmd("SCAN");
        cmd.arg(0);
        if let Some(pattern) = &self.pattern {
            cmd.arg("MATCH").arg(pattern);
        }
        if let Some(count) = self.count {
            cmd.arg("COUNT").arg(count);
        }
        if let Some(kind) = &self.kind {
            cmd.arg("TYPE").arg(kind);
        }
        cmd
    }
}

/// Where a [`Scan`] stands, to go on from there later. Its text can be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScanCursor(Position);

impl fmt::Display for ScanCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ScanCursor {
    type Err = Error;

    fn from_str(text: &str) -> Result<ScanCursor> {
        text.parse().map(ScanCursor).map_err(|()| {
            Error::new(ErrorKind::Invalid, "this is no cursor of a scan")
                .with_hint("a cursor is the text of `Scan::cursor`; without one a scan begins anew")
        })
    }
}

/// The keys of the ring, from [`RingClient::scan`](super::RingClient::scan).
///
/// A key that is there from the beginning to the end is never missed. It comes once, except that when a member went or
/// came meanwhile the scan begins again, so that keys come twice; and a server that grows its table may name a key twice.
/// A key that came or went meanwhile may be given or not.
///
/// # Errors
/// An item is an error while keys have no owner that answers. The next item tries again at the same place, so whoever
/// wants to wait goes on, and whoever does not stops at the first error.
///
/// # Cancel safety
/// Dropping the future of the next item loses no key.
#[must_use = "streams do nothing unless polled"]
pub struct Scan {
    inner: Arc<Inner>,
    cmd: Arc<Cmd>,
    /// Where the part began whose keys are handed out.
    began: Option<Position>,
    /// Where the part after it begins.
    next: Option<Position>,
    done: bool,
    keys: VecDeque<Vec<u8>>,
    running: Option<BoxFuture<'static, Result<Part>>>,
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scan").field("next", &self.next).field("done", &self.done).finish_non_exhaustive()
    }
}

impl Scan {
    pub(super) fn new(inner: Arc<Inner>, options: &ScanOptions) -> Scan {
        let from = options.from.map(|cursor| cursor.0);
        let cmd = Arc::new(options.command());
        Scan { inner, cmd, began: from, next: from, done: false, keys: VecDeque::new(), running: None }
    }

    /// Where it stands: a scan from here gives all keys that this one has not given, and those of the part that is being
    /// handed out once more. `None` before the first part and after the last key.
    #[must_use]
    pub fn cursor(&self) -> Option<ScanCursor> {
        let at = if self.keys.is_empty() { self.next } else { self.began };
        at.map(ScanCursor)
    }
}

impl Stream for Scan {
    type Item = Result<Vec<u8>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Vec<u8>>>> {
        let scan = &mut *self;
        loop {
            if let Some(key) = scan.keys.pop_front() {
                return Poll::Ready(Some(Ok(key)));
            }
            if scan.done {
                return Poll::Ready(None);
            }
            let (inner, cmd, from) = (&scan.inner, &scan.cmd, scan.next);
            let running = scan.running.get_or_insert_with(|| {
                let (inner, cmd) = (Arc::clone(inner), Arc::clone(cmd));
                Box::pin(async move { inner.core.scan(&cmd, from).await })
            });
            let part = ready!(running.as_mut().poll(cx));
            scan.running = None;
            match part {
                Ok(Part::Keys(keys, next)) => {
                    scan.keys.extend(keys.into_iter().filter_map(|key| match key {
                        Value::BulkString(key) => Some(key),
                        _ => None,
                    }));
                    (scan.began, scan.next, scan.done) = (scan.next, next, next.is_none());
                }
                Ok(Part::Mistake(reply)) => {
                    scan.done = true;
                    let error = Error::new(ErrorKind::Server, "the servers do not accept this scan");
                    return Poll::Ready(Some(Err(match reply.extract_error() {
                        Err(cause) => error.with_source(cause),
                        Ok(_) => error,
                    })));
                }
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}
