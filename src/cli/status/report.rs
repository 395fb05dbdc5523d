//! What `status` found: the JSON contract, and whether the ring is degraded.

use std::time::Duration;

use serde::Serialize;

use crate::cli::human::percent;
use crate::cli::probe::{Answer, trouble};
use crate::cli::progress::{Gainer, Move};
use crate::cli::records::{Founding, Reading};
use crate::membership::RingUrl;
use crate::placement::{Member, RING_NAME, Share, State, Topology};
use crate::{Error, Result};

/// Whether the records are the newest.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    Live,
    /// ZooKeeper has not answered for so long.
    Stale(Duration),
}

/// Fields may be added, never renamed.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) url: String,
    pub(super) root: Option<String>,
    pub(super) ring: &'static str,
    pub(super) epoch: i32,
    pub(super) step: u64,
    pub(super) phase: &'static str,
    pub(super) founding: Option<Founding>,
    pub(super) fingerprint: String,
    pub(super) source: &'static str,
    pub(super) age_ms: u64,
    pub(super) r#move: Option<Move>,
    pub(super) vnodes: u32,
    pub(super) copies: u32,
    pub(super) db: i64,
    pub(super) degraded: bool,
    pub(super) coverage: Option<Coverage>,
    pub(super) problems: Vec<String>,
    pub(super) members: Vec<MemberReport>,
}

/// What part of all keys has how many owners that can be used from here; adds up to 1.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Coverage {
    /// On as many members as it should be.
    pub(super) whole: f64,
    /// On fewer, but on at least one.
    pub(super) reduced: f64,
    /// On none: neither read nor written.
    pub(super) unavailable: f64,
}

#[derive(Debug, Serialize)]
pub(super) struct MemberReport {
    pub(super) id: String,
    pub(super) addr: Option<String>,
    pub(super) zone: Option<String>,
    pub(super) weight: u32,
    pub(super) state: &'static str,
    pub(super) r#gen: u64,
    pub(super) closed: bool,
    pub(super) run_id: Option<String>,
    pub(super) since: Option<u64>,
    pub(super) reason: Option<String>,
    pub(super) by: Option<String>,
    pub(super) reachable: bool,
    /// Whether the process that holds the member's data answers; `null` where none answers.
    pub(super) same_process: Option<bool>,
    /// What is wrong with it, seen from here.
    pub(super) problem: Option<String>,
    pub(super) agent: Option<String>,
    pub(super) serving: bool,
    /// What part of the keys that it gains it has; `null` for one that gains none.
    pub(super) filled: Option<f64>,
    pub(super) share_primary: f64,
    pub(super) share_all: f64,
    pub(super) keys: Option<u64>,
    pub(super) memory: Option<u64>,
    pub(super) memory_limit: Option<u64>,
    pub(super) rtt_us: Option<u64>,
    pub(super) version: Option<String>,
}

impl Report {
    pub(super) fn new(url: &RingUrl, reading: &Reading, answers: &[Result<Answer>], source: Source) -> Report {
        let topology = &reading.topology;
        let moved = Move::of(topology, reading.live.as_ref(), reading.leader.as_ref());
        let members: Vec<MemberReport> = topology
            .members()
            .iter()
            .zip(answers)
            .zip(topology.shares())
            .map(|((member, answer), share)| MemberReport::new(member, answer, share, reading, moved.as_ref()))
            .collect();
        let coverage = (!topology.serving().ranges().is_empty()).then(|| coverage(topology, &members));
        let mut problems: Vec<String> = Vec::new();
        if let Some(Founding { registered, wanted }) = reading.founding {
            problems.push(format!("the ring is being founded: {registered} of {wanted} members registered"));
        } else if coverage.is_none() {
            problems.push("the ring has no members".to_owned());
        }
        let serving = members.iter().filter(|member| member.serving);
        problems.extend(serving.filter_map(|m| Some(format!("{} {}", m.id, m.problem.as_deref()?))));
        let (kept, wanted) = (topology.serving().copies(), topology.config().copies);
        if coverage.is_some() && reading.founding.is_none() && kept < wanted as usize {
            problems.push(format!("{wanted} copies are wanted, and {kept} of its members can hold one"));
        }
        let troubled = moved.iter().flat_map(|moved| &moved.members);
        problems.extend(troubled.filter_map(|g| Some(format!("{} cannot be filled: {}", g.id, g.trouble.as_deref()?))));
        let (source, age) = match source {
            Source::Live => ("live", Duration::ZERO),
            Source::Stale(age) => ("stale", age),
        };
        Report {
            url: url.to_string(),
            root: url.root().map(str::to_owned),
            ring: RING_NAME,
            epoch: topology.epoch().0,
            step: topology.step().0,
            phase: topology.phase().as_str(),
            founding: reading.founding,
            fingerprint: topology.fingerprint().to_string(),
            source,
            age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
            r#move: moved,
            vnodes: topology.config().vnodes,
            copies: topology.config().copies,
            db: topology.config().db,
            degraded: !problems.is_empty(),
            coverage,
            problems,
            members,
        }
    }
}

impl MemberReport {
    fn new(
        member: &Member,
        answer: &Result<Answer>,
        share: Share,
        reading: &Reading,
        moved: Option<&Move>,
    ) -> MemberReport {
        let gainer = moved.and_then(|moved| moved.gainer(member.id.as_str()));
        let filled = gainer.filter(|_| member.state == State::Joining).map(Gainer::share);
        let found = answer.as_ref().ok();
        let same_process = found.map(|found| member.run_id.as_ref().is_none_or(|known| *known == found.run_id));
        let live = reading.live.as_ref().and_then(|live| live.get(&member.id));
        let agent = live.map(|live| match &live.record {
            Ok(record) => record.agent.clone(),
            Err(fault) => format!("unreadable: {fault}"),
        });
        MemberReport {
            id: member.id.to_string(),
            addr: member.addr.clone(),
            zone: member.zone.as_ref().map(ToString::to_string),
            weight: member.weight.0,
            state: member.state.as_str(),
            r#gen: member.generation.0,
            closed: member.closed,
            run_id: member.run_id.as_ref().map(ToString::to_string),
            since: member.since_ms,
            reason: member.reason.clone(),
            by: member.by.clone(),
            reachable: found.is_some(),
            same_process,
            problem: problem(member, answer, same_process, filled),
            agent,
            serving: reading.topology.serving().contains(&member.id),
            filled,
            share_primary: share.primary,
            share_all: share.all,
            keys: found.map(|found| found.keys),
            memory: found.map(|found| found.memory),
            memory_limit: found.and_then(|found| found.memory_limit),
            rtt_us: found.map(|found| u64::try_from(found.round_trip.as_micros()).unwrap_or(u64::MAX)),
            version: found.map(|found| found.version.clone()),
        }
    }

    /// Whether it serves its keys, seen from here.
    pub(super) fn usable(&self) -> bool {
        self.problem.is_none()
    }
}

/// What is wrong with a member, as the rest of a sentence that begins with its id.
fn problem(
    member: &Member,
    answer: &Result<Answer>,
    same_process: Option<bool>,
    filled: Option<f64>,
) -> Option<String> {
    if let Some(fault) = &member.fault {
        return Some(format!("counts as down: {fault}"));
    }
    let because = |text: &str| match &member.reason {
        Some(reason) => format!("{text}: {reason}"),
        None => text.to_owned(),
    };
    match (member.state, answer) {
        (State::Down, _) => Some(because("is down")),
        (State::Joining, _) => Some(match filled {
            Some(filled) => format!("is joining, not read yet: {} of its keys are copied", percent(filled)),
            None => because("is joining, not read yet"),
        }),
        (State::Up, Err(error)) => Some(format!("is up, but cannot be used from here: {}", cause(member, error))),
        (State::Up, Ok(_)) if same_process == Some(false) => {
            Some("is up, but another process answers at its address: it was restarted, or the address is wrong".into())
        }
        (State::Up, Ok(_)) => None,
    }
}

/// The error and what to do about it, in one clause.
fn cause(member: &Member, error: &Error) -> String {
    let text = trouble(member, error);
    match (error.kind(), error.hint()) {
        (crate::ErrorKind::Denied, Some(hint)) => format!("{text} ({hint})"),
        (_, _) => text,
    }
}

fn coverage(topology: &Topology, members: &[MemberReport]) -> Coverage {
    let mut coverage = Coverage::default();
    for range in topology.serving().ranges() {
        let part = (f64::from(range.last.0) - f64::from(range.first.0) + 1.0) / 2_f64.powi(32);
        let usable = range.owners.iter().filter(|owner| members.get(owner.get()).is_some_and(MemberReport::usable));
        match usable.count() {
            0 => coverage.unavailable += part,
            n if n < range.owners.len() => coverage.reduced += part,
            _ => coverage.whole += part,
        }
    }
    coverage
}
