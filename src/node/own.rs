//! Connections of their own, for what concerns the connection itself, such as `WATCH`.

use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;

use super::changes::Changes;
use super::connect::{self, Connected, Pushes};
use super::{Link, Node};
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::placement::RunId;

/// How many that nobody uses are kept for a member.
const IDLE: usize = 8;

/// How long they are kept.
const KEPT: Duration = Duration::from_secs(30);

/// The connections to one member that have one user each.
#[derive(Debug)]
pub(super) struct Own {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    used: usize,
    /// The one used last at the end.
    idle: Vec<(Instant, Arc<Link>)>,
    /// Whether a task closes what stays idle.
    sweeping: bool,
}

/// A connection that belongs to its holder alone. Dropping it closes it; [`Owned::give_back`] keeps it for the next.
#[derive(Debug)]
pub(crate) struct Owned {
    link: Arc<Link>,
    place: Place,
}

impl Node {
    /// A connection for one user, to the process at the other end of `data`.
    ///
    /// # Errors
    /// `Refused` when too many are in use; what connecting may say.
    ///
    /// # Cancel safety
    /// Dropping the future closes what it had opened.
    pub(crate) async fn own(&self, data: &Link) -> Result<Owned> {
        let place = Place::take(&self.own).ok_or_else(|| {
            Error::new(
                ErrorKind::Refused,
                format!("{} connections of their own to {} are in use", self.own.limit, self.id),
            )
            .with_retry(Retry::Later)
            .with_hint("let fewer transactions run at the same time, or raise `transaction_connections`")
        })?;
        let link = match self.own.idle(data.run_id()) {
            Some(link) => link,
            None => self.connect_beside(data, None).await?.link,
        };
        Ok(Owned { link, place })
    }

    /// One more connection, which only counts if the same process answers as at the other end of `data`. What the server
    /// says unasked goes to `changes`.
    pub(super) async fn connect_beside(&self, data: &Link, changes: Option<&Arc<Changes>>) -> Result<Connected> {
        let target = self.target.borrow().clone();
        let target = target.ok_or_else(|| Error::new(ErrorKind::Unreachable, format!("{} is not up", self.id)))?;
        let connected = match changes {
            Some(changes) => {
                let pushes: Pushes = Arc::<Changes>::clone(changes);
                connect::connect_for_pushes(&target.address, &self.options, &self.ticker, &pushes).await?
            }
            None => connect::connect(&target.address, &self.options, &self.ticker).await?,
        };
        if connected.link.run_id() == data.run_id() {
            return Ok(connected);
        }
        connected.link.close();
        Err(Error::new(ErrorKind::Unreachable, format!("{} has just been restarted", self.id)))
    }
}

/// A place among those that may be in use; free again when it is dropped.
#[derive(Debug)]
struct Place(Arc<Own>);

impl Place {
    fn take(own: &Arc<Own>) -> Option<Place> {
        let mut state = own.lock();
        if state.used >= own.limit {
            return None;
        }
        state.used += 1;
        Some(Place(Arc::clone(own)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.lock().used -= 1;
    }
}

impl Own {
    pub(super) fn new(limit: usize) -> Arc<Own> {
        Arc::new(Own { limit, state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that was kept, if the process is still the same.
    fn idle(&self, run_id: &RunId) -> Option<Arc<Link>> {
        let mut state = self.lock();
        state.idle.retain(|(_, link)| link.is_open() && link.run_id() == run_id);
        state.idle.pop().map(|(_, link)| link)
    }

    fn keep(self: &Arc<Own>, link: Arc<Link>) {
        // Without a runtime nobody could close it later.
        let Ok(runtime) = Handle::try_current() else { return };
        let mut state = self.lock();
        if state.idle.len() >= IDLE || !link.is_open() {
            return;
        }
        state.idle.push((Instant::now(), link));
        if !std::mem::replace(&mut state.sweeping, true) {
            runtime.spawn(sweep(Arc::downgrade(self)));
        }
    }
}

/// Closes what has been idle for long; ends when nothing is.
async fn sweep(own: Weak<Own>) {
    loop {
        tokio::time::sleep(KEPT).await;
        let Some(own) = own.upgrade() else { return };
        let mut state = own.lock();
        state.idle.retain(|(since, _)| since.elapsed() < KEPT);
        if state.idle.is_empty() {
            state.sweeping = false;
            return;
        }
    }
}

impl Owned {
    /// Keeps the connection for another user. Nothing may be under way on it.
    pub(crate) fn give_back(self) {
        self.place.0.keep(self.link);
    }
}

impl Deref for Owned {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.link
    }
}
