//! The connections to a member beside the one that requests share.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::Link;
use crate::placement::Step;

/// All of them, whoever holds them, so that they can be ended when what they were made for has.
#[derive(Debug, Default)]
pub(super) struct Beside(Mutex<Vec<Weak<Link>>>);

impl Beside {
    pub(super) fn add(&self, link: &Arc<Link>) {
        let mut links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // There are few, and one is made for each that is forgotten here.
        links.retain(|link| link.strong_count() > 0);
        links.push(Arc::downgrade(link));
    }

    /// The member has another life, or is to be reached elsewhere.
    pub(super) fn close_all(&self) {
        self.close(|_| true);
    }

    /// Nothing that was begun under an older step is under way any more.
    pub(super) fn close_before(&self, step: Step) {
        self.close(|link| link.is_of_before(step));
    }

    fn close(&self, which: impl Fn(&Link) -> bool) {
        let links = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        links.iter().filter_map(Weak::upgrade).filter(|link| which(link)).for_each(|link| link.close());
    }
}
