//! Waiting until the copies of keys are equal, by whomever they are made so.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::Core;
use super::refresh::{self, Found};
use crate::placement::{Member, Token};

const PAUSE: Duration = Duration::from_millis(10);

/// Whether all owners come to hold what this life of a member, their primary, holds.
pub(in crate::exec) async fn become_equal(core: &Core, primary: &Member, keys: &[Vec<u8>], until: Instant) -> bool {
    for key in keys {
        loop {
            match are_equal(core, primary, key).await {
                Some(true) => break,
                Some(false) if Instant::now() < until => sleep(PAUSE).await,
                Some(false) | None => return false,
            }
        }
    }
    true
}

/// Whether they do now; `None` where they cannot any more.
async fn are_equal(core: &Core, primary: &Member, key: &[u8]) -> Option<bool> {
    let looked = match refresh::owners(core, Token::of_key(key)) {
        Ok(owners) if !owners.primary_is(primary) => return None,
        Ok(owners) => refresh::look(core, key, &owners, None).await,
        Err(found) => Err(found),
    };
    match looked {
        Ok(look) => Some(look.is_equal()),
        Err(Found::Left(_)) => None,
        Err(_) => Some(false),
    }
}
