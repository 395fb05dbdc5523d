//! What connections are called at their servers.
//!
//! Whoever moves the ring waits until no connection bears a step below the one that has begun. So a name is a promise:
//! what is sent on the connection was begun under that step, or a newer one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, ErrorKind, Result};
use crate::membership::Hints;
use crate::placement::Step;

/// The longest name of a client.
const LONGEST: usize = 64;

/// The names of a client's connections, and how far it has come with the steps of the ring.
#[derive(Debug)]
pub(crate) struct Naming {
    /// `None` with fixed membership: nothing moves there, and nobody reads names.
    client: Option<Arc<str>>,
    hints: Arc<Hints>,
    /// The step of the topology in use. Connections made from now on bear it.
    known: AtomicU64,
    /// The step that is borne by every connection that was there before.
    reached: AtomicU64,
}

impl Default for Naming {
    fn default() -> Self {
        Naming::new(None, Arc::default())
    }
}

impl Naming {
    pub(crate) fn new(client: Option<Arc<str>>, hints: Arc<Hints>) -> Naming {
        Naming { client, hints, known: AtomicU64::new(0), reached: AtomicU64::new(0) }
    }

    /// What the client is called; nothing with fixed membership.
    pub(crate) fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }

    pub(crate) fn hints(&self) -> &Arc<Hints> {
        &self.hints
    }

    /// The step of the topology in use.
    #[inline]
    pub(crate) fn known(&self) -> Step {
        Step(self.known.load(Ordering::Relaxed))
    }

    /// As [`Naming::known`], in one order with the counts of the writes that are under way.
    #[inline]
    pub(crate) fn known_in_order(&self) -> Step {
        Step(self.known.load(Ordering::SeqCst))
    }

    /// From now on connections bear this step. To be called when nobody can take an older topology any more.
    pub(crate) fn know(&self, step: Step) {
        self.known.fetch_max(step.0, Ordering::SeqCst);
    }

    /// The step that older connections have been given.
    pub(crate) fn reached(&self) -> Step {
        Step(self.reached.load(Ordering::SeqCst))
    }

    /// Whatever was begun under an older step has ended.
    pub(crate) fn reach(&self, step: Step) {
        self.reached.fetch_max(step.0, Ordering::SeqCst);
    }

    /// The name of a connection that reads and writes under this step.
    pub(super) fn of_step(&self, step: Step) -> Option<String> {
        self.client.as_ref().map(|client| format!("rr:{step}:{client}"))
    }

    /// The name of a connection for subscriptions.
    pub(super) fn of_subscriptions(&self) -> Option<String> {
        self.client.as_ref().map(|client| format!("rr-sub:{client}"))
    }

    /// The name of a connection on which a server tells of changes. No reply on it is a caller's answer.
    pub(super) fn of_changes(&self) -> Option<String> {
        self.client.as_ref().map(|client| format!("rr-watch:{client}"))
    }
}

/// The name of a client that was given one.
///
/// # Errors
/// `Invalid` where it has characters that a connection's name cannot have, or too many.
pub(crate) fn checked(name: &str) -> Result<Arc<str>> {
    if (1..=LONGEST).contains(&name.len()) && name.chars().all(is_fit) {
        return Ok(name.into());
    }
    Err(Error::new(ErrorKind::Invalid, format!("a client's name is 1 to {LONGEST} of A-Z a-z 0-9 . _ -"))
        .with_hint("name it after the service that uses the ring, as in `orders`"))
}

/// The name of a client that was given none: where it runs, and what tells it from others there.
pub(crate) fn by_default() -> Arc<str> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host: String = host.trim().chars().filter(|c| is_fit(*c)).take(32).collect();
    let host = if host.is_empty() { "client".to_owned() } else { host };
    format!("{host}-{}-{:08x}", std::process::id(), fastrand::u32(..)).into()
}

fn is_fit(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_the_step_and_the_client() {
        let naming = Naming::new(Some(checked("orders.eu-1_b").unwrap()), Arc::default());
        assert_eq!(naming.of_step(Step(7)).unwrap(), "rr:7:orders.eu-1_b");
        assert_eq!(naming.of_subscriptions().unwrap(), "rr-sub:orders.eu-1_b");
        assert_eq!(naming.of_changes().unwrap(), "rr-watch:orders.eu-1_b");
        assert_eq!(Naming::default().of_step(Step(7)), None);
    }

    #[test]
    fn only_what_a_connection_can_be_called_is_a_name() {
        for wrong in ["", "a b", "a:b", "ä", "a\n", &"x".repeat(LONGEST + 1)] {
            assert_eq!(checked(wrong).unwrap_err().kind(), ErrorKind::Invalid, "{wrong:?}");
        }
        assert!(checked(&"x".repeat(LONGEST)).is_ok());
        let (one, other) = (by_default(), by_default());
        assert!(checked(&one).is_ok() && one != other);
    }
}
