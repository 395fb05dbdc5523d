//! A ring whose members never change: `static://`.

use std::collections::BTreeMap;

use crate::placement::{Config, Epoch, Generation, Member, NodeId, Parts, Phase, Placed, State, Step, Topology};
use crate::{Error, ErrorKind, Result};

/// The topology of a fixed list: all members up, step 1, nothing moves.
///
/// No record says which process holds the data, so `run_id` is `None`: it is pinned at first contact.
///
/// # Errors
/// [`ErrorKind::Invalid`] where the list is no ring, as with two ids that have the same CRC32.
pub(super) fn topology(members: &[(NodeId, String)], copies: u32, vnodes: u32, db: i64) -> Result<Topology> {
    let member = |(id, addr): &(NodeId, String)| {
        let member = Member {
            addr: Some(addr.clone()),
            state: State::Up,
            generation: Generation(1),
            fault: None,
            ..Member::faulty(id.clone(), "")
        };
        (id.clone(), member)
    };
    Topology::new(Parts {
        config: Config { vnodes, copies, db, ..Config::default() },
        epoch: Epoch(0),
        step: Step(1),
        phase: Phase::Still,
        serving: members.iter().map(|(id, _)| (id.clone(), Placed::default())).collect(),
        next: BTreeMap::new(),
        old: BTreeMap::new(),
        copies_next: None,
        copies_old: None,
        members: members.iter().map(member).collect(),
    })
    .map_err(|why| {
        Error::new(ErrorKind::Invalid, format!("the static:// URL is no ring: {why}")).with_hint("rename a member")
    })
}
