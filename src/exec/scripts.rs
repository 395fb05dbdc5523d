//! The scripts that this client knows.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use sha1_smol::Sha1;

/// How many are kept, and how many bytes of them. Those that came first go first; a script that is used again is kept
/// again.
const MOST: usize = 1024;
const MOST_BYTES: usize = 8 << 20;

/// Bodies of scripts by the name that servers give them, for members that do not have them (yet, or any more).
#[derive(Debug, Default)]
pub(super) struct Scripts(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    bodies: HashMap<Arc<str>, Arc<[u8]>>,
    order: VecDeque<Arc<str>>,
    bytes: usize,
}

impl std::fmt::Debug for Kept {
    /// Without the bodies, which may hold values.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("scripts", &self.order.len()).field("bytes", &self.bytes).finish()
    }
}

impl Scripts {
    /// Keeps a script, if it is not too large, and returns its name: the SHA-1 in lower case, as servers compute it.
    pub(super) fn remember(&self, body: &[u8]) -> Arc<str> {
        let sha: Arc<str> = Sha1::from(body).digest().to_string().into();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if body.len() <= MOST_BYTES && !kept.bodies.contains_key(&sha) {
            kept.bodies.insert(Arc::clone(&sha), body.into());
            kept.order.push_back(Arc::clone(&sha));
            kept.bytes += body.len();
            while kept.order.len() > MOST || kept.bytes > MOST_BYTES {
                let Some(first) = kept.order.pop_front() else { break };
                kept.bytes -= kept.bodies.remove(&first).map_or(0, |body| body.len());
            }
        }
        sha
    }

    /// The script of a name, which may be in any case.
    pub(super) fn body(&self, sha: &[u8]) -> Option<Arc<[u8]>> {
        let sha = std::str::from_utf8(sha).ok()?.to_ascii_lowercase();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bodies.get(sha.as_str()).cloned()
    }

    /// All of them.
    pub(super) fn all(&self) -> Vec<(Arc<str>, Arc<[u8]>)> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bodies.iter().map(|(sha, body)| (Arc::clone(sha), Arc::clone(body))).collect()
    }

    /// Forgets all of them.
    pub(super) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Kept::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_has_the_name_that_servers_give_it() {
        let scripts = Scripts::default();
        let sha = scripts.remember(b"return 1");
        assert_eq!(&*sha, "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
        assert_eq!(scripts.all(), [(sha, b"return 1".as_slice().into())]);
        scripts.forget();
        assert!(scripts.all().is_empty());
    }

    #[test]
    fn the_first_go_when_there_are_too_many_or_too_large_ones() {
        let scripts = Scripts::default();
        for n in 0..MOST + 10 {
            scripts.remember(format!("return {n}").as_bytes());
        }
        let all = scripts.all();
        assert_eq!(all.len(), MOST);
        assert!(
            !all.iter().any(|(_, body)| **body == *b"return 9") && all.iter().any(|(_, body)| **body == *b"return 10")
        );
        scripts.remember(&vec![b' '; MOST_BYTES]);
        assert_eq!(scripts.all().len(), 1);
        scripts.remember(&vec![b'-'; MOST_BYTES + 1]);
        assert_eq!(scripts.all().len(), 1);
        scripts.remember(b"return 1");
        assert_eq!(&*scripts.all()[0].1, b"return 1");
    }
}
