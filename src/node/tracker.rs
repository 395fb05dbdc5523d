//! Has a server tell when keys change.
//!
//! Nothing waits at a server for an element to come: a command that does must have a connection of its own for each caller,
//! and what it takes is taken in no order with the commands on the connection that requests share, so that the copies could
//! not be told in the right one. Instead a server is asked once whether the keys are there, and tells of their next change
//! (`CLIENT TRACKING`); who waits then looks in the usual way.

use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::{Cmd, Value, cmd};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::changes::Changes;
use super::connect::Connected;
use super::own::Use;
use super::{Link, Node};
use crate::error::{Error, ErrorKind, Result};

/// How long a connection on which nobody waits any more is kept. Callers often wait again at once.
const KEPT: Duration = Duration::from_secs(30);

/// A member's connection on which keys are tracked: opened by the first who waits, and closed a while after the last.
#[derive(Debug, Default)]
pub(super) struct Tracker(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    current: Option<Tracking>,
    /// When connecting failed last. Those who came meanwhile must not try one after the other.
    failed: Option<(Instant, Error)>,
}

#[derive(Debug)]
struct Tracking {
    link: Arc<Link>,
    /// Whether the server tells of changes.
    tells: bool,
    used: Instant,
    /// Closes it when nobody uses it.
    closing: JoinHandle<()>,
}

impl Drop for Tracking {
    fn drop(&mut self) {
        self.link.close();
        self.closing.abort();
    }
}

/// What a server says of keys that are waited for.
#[derive(Debug)]
pub(crate) struct Tracked {
    /// The connection on which it will tell of the next change, for as long as this is open; none at a server that
    /// cannot, or for a user who may not.
    pub(crate) link: Option<Arc<Link>>,
    /// Whether any of the keys is there now.
    pub(crate) present: bool,
}

impl Node {
    /// Asks whether any of the keys is there, and has the server tell `changes` when one of them changes next.
    ///
    /// Only the process at the other end of `data` counts.
    ///
    /// # Errors
    /// `Unreachable` and what else connecting may say, and `Timeout`.
    pub(crate) async fn track(&self, data: &Link, changes: &Arc<Changes>, keys: &[Vec<u8>]) -> Result<Tracked> {
        let (link, tells) = self.tracking(data, changes).await?;
        if !tells {
            return Ok(Tracked { link: None, present: true });
        }
        let exists = cmd("EXISTS").arg(keys).take();
        match link.request(&exists, self.options.timeouts.write_ms()).await {
            Ok(Value::Int(count)) => Ok(Tracked { link: Some(link), present: count > 0 }),
            // A user who may not ask that may still wait.
            Ok(_) => Ok(Tracked { link: None, present: true }),
            Err(fault) => {
                link.close();
                Err(Error::new(ErrorKind::Timeout, format!("{} did not say what is there: {fault}", self.id)))
            }
        }
    }

    async fn tracking(&self, data: &Link, changes: &Arc<Changes>) -> Result<(Arc<Link>, bool)> {
        let mut state = self.tracker.0.lock().await;
        if let Some(current) =
            state.current.as_mut().filter(|current| current.link.is_open() && current.link.run_id() == data.run_id())
        {
            current.used = Instant::now();
            return Ok((Arc::clone(&current.link), current.tells));
        }
        state.current = None;
        if let Some((when, error)) = &state.failed
            && when.elapsed() < self.options.timeouts.connect
        {
            return Err(error.clone());
        }
        match self.start_tracking(data, changes).await {
            Ok(tracking) => {
                let found = (Arc::clone(&tracking.link), tracking.tells);
                *state = State { current: Some(tracking), failed: None };
                Ok(found)
            }
            Err(error) => {
                state.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }

    async fn start_tracking(&self, data: &Link, changes: &Arc<Changes>) -> Result<Tracking> {
        let Connected { link, driver } = self.connect_beside(data, Use::Changes(changes)).await?;
        let mut track = Cmd::new();
        track.arg("CLIENT").arg("TRACKING").arg("ON");
        let tells = matches!(link.request(&track, self.options.timeouts.write_ms()).await, Ok(Value::Okay));
        if !tells {
            tracing::debug!(node = %self.id, "does not tell of changes: it is asked time and again");
        }
        let changes = Arc::clone(changes);
        // Ends with the connection, which its last holder closes.
        tokio::spawn(async move {
            let _ = driver.await;
            changes.tell_all();
        });
        let closing = tokio::spawn(close_when_idle(Arc::downgrade(&self.tracker.0), Arc::downgrade(&link)));
        Ok(Tracking { link, tells, used: Instant::now(), closing })
    }
}

async fn close_when_idle(state: Weak<Mutex<State>>, link: Weak<Link>) {
    loop {
        tokio::time::sleep(KEPT).await;
        let Some(state) = state.upgrade() else { return };
        let mut state = state.lock().await;
        // Whoever waits holds the connection.
        let idle = |current: &mut Tracking| {
            Weak::ptr_eq(&Arc::downgrade(&current.link), &link)
                && current.used.elapsed() >= KEPT
                && Arc::strong_count(&current.link) == 1
        };
        if state.current.take_if(idle).is_some() || link.strong_count() == 0 {
            return;
        }
    }
}
