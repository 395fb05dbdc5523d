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
use crate::placement::{RunId, Step};

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
    /// A connection for one user, to the process at the other end of `data` and for what is done under this step. It is
    /// closed when the ring has another one.
    ///
    /// # Errors
    /// `Refused` when too many are in use; what connecting may say.
    ///
    /// # Cancel safety
    /// Dropping the future closes what it had opened.
    pub(crate) async fn own(&self, data: &Link, step: Step) -> Result<Owned> {
        let place = Place::take(&self.own).ok_or_else(|| {
            Error::new(
                ErrorKind::Refused,
                format!("{} connections of their own to {} are in use", self.own.limit, self.id),
            )
            .with_retry(Retry::Later)
            .with_hint("let fewer transactions run at the same time, or raise `transaction_connections`")
        })?;
        let link = match self.own.idle(data.run_id(), step) {
            Some(link) => link,
            None => self.connect_beside(data, Use::Data(step)).await?.link,
        };
        Ok(Owned { link, place })
    }

    /// One more connection, which only counts if the same process answers as at the other end of `data`, and the member
    /// has the same life.
    pub(super) async fn connect_beside(&self, data: &Link, used: Use<'_>) -> Result<Connected> {
        let target = self.target.borrow().clone();
        let target = target.ok_or_else(|| Error::new(ErrorKind::Unreachable, format!("{} is not up", self.id)))?;
        let naming = &self.options.naming;
        let connected = match used {
            Use::Changes(changes) => {
                let pushes: Pushes = Arc::<Changes>::clone(changes);
                let name = naming.of_changes();
                connect::connect_for_pushes(&target.address, name, &self.options, &self.ticker, &pushes).await?
            }
            Use::Data(step) => {
                let connecting = connect::connect(&target, step, &self.options, &self.ticker).await;
                connecting.map_err(|unusable| unusable.error)?
            }
        };
        let link = &connected.link;
        let is_same = {
            // The target changes under the same lock, and those that it finds are closed.
            let current = self.target.borrow();
            self.beside.add(link);
            current.as_ref() == Some(&target)
        };
        let is_same = is_same && link.run_id() == data.run_id() && target.generation == data.generation();
        // Added before this looks, as others look for it after the step was reached.
        if is_same && !link.is_of_before(naming.reached()) {
            return Ok(connected);
        }
        link.close();
        Err(Error::new(
            ErrorKind::Unreachable,
            format!("{} has just been restarted, or the ring has moved on", self.id),
        ))
    }
}

/// What a connection beside the one for requests is used for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Use<'a> {
    /// What has to do with the connection itself, as `WATCH` has, under a step.
    Data(Step),
    /// Telling of changes: what the server says unasked goes there.
    Changes(&'a Arc<Changes>),
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

    /// One that was kept, if the process and the step are still the same.
    fn idle(&self, run_id: &RunId, step: Step) -> Option<Arc<Link>> {
        let mut state = self.lock();
        state.idle.retain(|(_, link)| link.is_open() && link.run_id() == run_id && !link.is_of_before(step));
        // One of a newer step is for those who know it.
        let fit = state.idle.iter().rposition(|(_, link)| link.is_open_to(step))?;
        Some(state.idle.swap_remove(fit).1)
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
