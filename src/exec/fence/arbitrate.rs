//! Whose answer counts, where the owners of a key do not answer alike.
//!
//! A client that lags behind a fence asks a primary that is none any more, and that still answers. What shows it is the copy,
//! which is the primary by now: it does not answer alike. So whoever meets that asks for the newest ring *after* the replies.

use std::sync::Arc;

use super::super::{Core, Snapshot};
use super::judge::adopted;
use crate::error::Error;
use crate::placement::{MemberIndex, Token};

/// Whose answer counts.
#[derive(Debug)]
pub(in crate::exec) enum Ruling {
    /// That of the primary that was asked.
    Asked,
    /// That of this member of the snapshot that the command was run with: it is the primary by now.
    Other(MemberIndex),
    /// That of a member which was not asked. What the one asked did no longer counts.
    Nobody,
    /// ZooKeeper cannot be asked.
    Unsure(Error),
}

/// Asks for the newest ring, and finds out whose answer counts among those of `asked`, the primary first.
pub(in crate::exec) async fn arbitrate(
    core: &Arc<Core>,
    snapshot: &Snapshot,
    asked: &[MemberIndex],
    token: Token,
) -> Ruling {
    let (Some(fences), Some(primary)) = (&core.fences, asked.first()) else { return Ruling::Asked };
    let view = match fences.arbiter.sync(core.options.connect.timeouts.write).await {
        Ok(view) => view,
        Err(error) => return Ruling::Unsure(error),
    };
    let (newest, known) = (&view.topology, &snapshot.topology);
    let same_life = |index: MemberIndex| {
        let member = known.member(index);
        newest.find(&member.id).filter(|(_, now)| now.generation == member.generation).map(|(now, _)| now)
    };
    let first = newest.writers(token).next();
    if first.is_some() && same_life(*primary) == first {
        return Ruling::Asked;
    }
    // The next request is to be right at once.
    adopted(core, fences).await;
    if let Some(other) = asked.iter().find(|index| first.is_some() && same_life(**index) == first) {
        return Ruling::Other(*other);
    }
    // The ring has flipped away from it, and it has taken the writes of those who do not know yet until then.
    let is_written = same_life(*primary).is_some_and(|now| newest.writers(token).any(|writer| writer == now));
    if is_written { Ruling::Asked } else { Ruling::Nobody }
}
