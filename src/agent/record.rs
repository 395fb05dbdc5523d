//! What a member's own agent writes into its record: decided from what is written and what is seen, by no clock.

use serde_json::Map;

use crate::membership::records::{MemberRecord, VERSION};
use crate::placement::{Phase, State};

/// What an agent sees of its own server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sight<'a> {
    /// It answers, and is fit to hold data.
    Alive { run_id: &'a str, gate: Gate },
    /// It lives, but does not answer with what it should hold: it is loading, or that is `lost`, since it copies another
    /// server or was flushed. `closed`: its gate is shut, and nobody is left who came through it.
    Unfit { why: &'a str, closed: bool, lost: bool },
    /// It hangs, or (`closed`) nobody listens at its port, so that it can answer nobody.
    Dead { closed: bool, why: &'a str },
}

/// How the gate of a server that answers stands to its member's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// It is open for the process and the generation that the record names.
    Open,
    /// It is not, but somebody may still be there who came through it.
    Left,
    /// It is shut, and nobody is left who came through it.
    Shut,
}

/// Whether a member whose server lives may join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Return<'a> {
    /// Whether a process that never died may come back now: each of its returns costs a whole filling.
    pub(super) may: bool,
    /// Whether its server still has the data of the life that its record names.
    pub(super) kept: bool,
    /// Why it could not be filled although it joined.
    pub(super) lacks: Option<&'a str>,
}

/// What goes into every record that this agent writes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Author<'a> {
    /// Where others reach the server.
    pub(super) addr: &'a str,
    /// `agent host:pid`.
    pub(super) by: &'a str,
    /// For people.
    pub(super) now_ms: u64,
}

/// Why a member that is back is not read.
pub(super) const FILLING: &str = "waits for filling: its data is not known to be whole";
/// Why a member whose gate is gone is not read: the record was written after the gate was opened.
pub(super) const GATE_LOST: &str = "its gate is gone, and its data may be too";
/// Why a member that is back is not even joining.
pub(super) const WAITS: &str = "waits: a member joins only while the ring is still or filling";

/// What has to be written now; `None` if the record is right.
///
/// - `generation` is above every generation that this member has had, for a record that cannot be read.
pub(super) fn wanted(
    record: Option<&MemberRecord>,
    phase: Phase,
    sight: Sight<'_>,
    author: Author<'_>,
    generation: u64,
    back: Return<'_>,
) -> Option<MemberRecord> {
    let with = |record: &MemberRecord, state: State, closed: bool, reason: &str| MemberRecord {
        state: state.as_str().to_owned(),
        closed,
        intact: record.is_intact(),
        reason: Some(reason.to_owned()),
        by: Some(author.by.to_owned()),
        since: Some(author.now_ms),
        ..record.clone()
    };
    let lost = |record: MemberRecord| MemberRecord { intact: false, ..record };
    let Some(record) = record else {
        // Without a record it counts as down already, so only a return has to be written.
        let Sight::Alive { run_id, gate } = sight else { return None };
        let fresh = MemberRecord {
            v: VERSION,
            addr: author.addr.to_owned(),
            state: State::Down.as_str().to_owned(),
            generation: generation.saturating_sub(1),
            run_id: run_id.to_owned(),
            closed: false,
            reason: None,
            by: None,
            since: None,
            left: None,
            intact: false,
            accepted: None,
            rest: Map::new(),
        };
        return Some(returned(&fresh, phase, run_id, gate == Gate::Shut, back, author, with));
    };
    match (sight, record.state()) {
        (Sight::Dead { closed, why }, State::Up | State::Joining) => Some(with(record, State::Down, closed, why)),
        // Fenced by somebody else, or hung before it died: now it is known to answer nobody.
        (Sight::Dead { closed: true, .. }, State::Down) if !record.closed => {
            Some(MemberRecord { closed: true, ..record.clone() })
        }
        (Sight::Dead { .. }, State::Down) => None,
        (Sight::Unfit { why, closed, lost: false }, State::Up | State::Joining) => {
            Some(with(record, State::Down, closed, why))
        }
        (Sight::Unfit { why, closed, lost: true }, State::Up | State::Joining) => {
            Some(lost(with(record, State::Down, closed, why)))
        }
        (Sight::Unfit { closed: true, .. }, State::Down) if !record.closed => {
            Some(MemberRecord { closed: true, ..record.clone() })
        }
        // A process that was closed lets nobody in until its gate is opened, and the next one has none of its own.
        (Sight::Unfit { .. }, State::Down) => None,
        (Sight::Alive { run_id, gate: Gate::Open }, State::Up | State::Joining) if record.run_id == run_id => {
            if let (State::Joining, Some(why)) = (record.state(), back.lacks) {
                return Some(with(record, State::Down, false, why));
            }
            let moved = record.addr != author.addr;
            moved.then(|| MemberRecord { addr: author.addr.to_owned(), ..record.clone() })
        }
        (Sight::Alive { run_id, gate }, State::Up | State::Joining) if record.run_id == run_id => {
            Some(lost(with(record, State::Down, gate == Gate::Shut, GATE_LOST)))
        }
        (Sight::Alive { run_id, gate }, State::Up | State::Joining) => {
            Some(returned(record, phase, run_id, gate == Gate::Shut, back, author, with))
        }
        (Sight::Alive { run_id, gate }, State::Down) => {
            let may = back.may || record.run_id != run_id;
            let closed = gate == Gate::Shut || record.closed;
            let next = match may {
                true => returned(record, phase, run_id, closed, back, author, with),
                false => record.clone(),
            };
            // Waiting is said once, not each time that it is looked at.
            let said = next.state() == State::Down && (!may || record.reason == next.reason);
            let next = if said { MemberRecord { closed, ..record.clone() } } else { next };
            (next != *record).then_some(next)
        }
    }
}

/// The record of a server that is back: a new life of its data.
fn returned(
    record: &MemberRecord,
    phase: Phase,
    run_id: &str,
    closed: bool,
    back: Return<'_>,
    author: Author<'_>,
    with: impl Fn(&MemberRecord, State, bool, &str) -> MemberRecord,
) -> MemberRecord {
    let lives_on = |state, reason| MemberRecord {
        generation: record.generation.saturating_add(1),
        run_id: run_id.to_owned(),
        addr: author.addr.to_owned(),
        intact: back.kept && record.is_intact(),
        ..with(record, state, false, reason)
    };
    match (phase, back.lacks) {
        // Nobody has read or written the ring yet, so nothing can be missing.
        (Phase::Founding { .. }, _) => lives_on(State::Up, "back before the ring was founded"),
        // All who gain flip together, so whoever cannot be filled does not begin.
        (_, Some(why)) => with(record, State::Down, closed, why),
        (Phase::Still | Phase::Filling, None) => lives_on(State::Joining, FILLING),
        (Phase::Syncing | Phase::Retiring, None) => with(record, State::Down, closed, WAITS),
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
