//! How far a move of the ring has come, by the records of the agents whose members gain keys.

use std::collections::BTreeMap;

use serde::Serialize;

use super::human::{bytes, count, grouped};
use crate::membership::Live;
use crate::membership::records::{LeadRecord, SyncRecord};
use crate::placement::{Member, NodeId, Phase, State, Topology};

/// Fields may be added, never renamed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Move {
    /// Keys that the gainers have copied.
    pub(super) done: u64,
    /// About how many they are to copy.
    pub(super) total: u64,
    pub(super) bytes: u64,
    /// Keys a second.
    pub(super) rate: u64,
    pub(super) step: u64,
    pub(super) phase: &'static str,
    /// The member whose agent leads; `null` where nobody does just now.
    pub(super) leader: Option<String>,
    pub(super) members: Vec<Gainer>,
}

/// A member that gains keys.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Gainer {
    pub(super) id: String,
    pub(super) done: u64,
    pub(super) total: u64,
    pub(super) bytes: u64,
    pub(super) rate: u64,
    /// Whether only what is being written now is behind.
    pub(super) caught_up: bool,
    /// The sources at which its exact cut is made.
    pub(super) cuts: Vec<String>,
    pub(super) trouble: Option<String>,
}

impl Move {
    /// The move that is under way; `None` where nothing moves.
    pub(super) fn of(
        topology: &Topology,
        live: Option<&BTreeMap<NodeId, Live>>,
        leader: Option<&LeadRecord>,
    ) -> Option<Move> {
        let phase = topology.phase();
        match phase {
            Phase::Founding { .. } | Phase::Still => return None,
            Phase::Filling | Phase::Syncing | Phase::Retiring => {}
        }
        let gainers = topology.members().iter().filter_map(|member| {
            let sync = live.and_then(|live| live.get(&member.id)?.record.as_ref().ok()?.sync.as_ref());
            // What is said of another life of the member's data says nothing of this one.
            let sync = sync.filter(|sync| sync.generation == member.generation.0);
            let of_step = |step| sync.filter(|sync| sync.step == step);
            match (phase, member.state) {
                (Phase::Retiring, _) => of_step(topology.step().0.saturating_sub(1)).map(|sync| (member, Some(sync))),
                (_, State::Joining) => Some((member, sync)),
                (_, State::Up) => of_step(topology.step().0).map(|sync| (member, Some(sync))),
                (_, State::Down) => None,
            }
        });
        let members: Vec<Gainer> = gainers.map(|(member, sync)| Gainer::of(member, sync, topology)).collect();
        let sum = |field: fn(&Gainer) -> u64| members.iter().map(field).sum();
        Some(Move {
            done: sum(|gainer| gainer.done),
            total: sum(|gainer| gainer.total),
            bytes: sum(|gainer| gainer.bytes),
            rate: sum(|gainer| gainer.rate),
            step: topology.step().0,
            phase: phase.as_str(),
            leader: leader.map(|leader| leader.id.clone()),
            members,
        })
    }

    /// The gainer with this id.
    pub(super) fn gainer(&self, id: &str) -> Option<&Gainer> {
        self.members.iter().find(|gainer| gainer.id == id)
    }

    /// For people: all gainers together.
    pub(super) fn text(&self) -> String {
        let mut parts = vec![amount(self.done, self.total, self.bytes, self.rate)];
        if self.members.len() > 1 {
            parts.push(format!("by {}", count(self.members.len(), "member")));
        }
        let caught_up = self.members.iter().filter(|gainer| gainer.caught_up).count();
        if caught_up > 0 && caught_up == self.members.len() {
            parts.push("caught up".to_owned());
        } else if caught_up > 0 {
            parts.push(format!("{caught_up} of them caught up"));
        }
        let cuts: usize = self.members.iter().map(|gainer| gainer.cuts.len()).sum();
        if cuts > 0 {
            parts.push(format!("{} made", count(cuts, "cut")));
        }
        parts.extend(self.leader.as_ref().map(|leader| format!("led by {leader}")));
        parts.join(", ")
    }
}

impl Gainer {
    fn of(member: &Member, sync: Option<&SyncRecord>, topology: &Topology) -> Gainer {
        // A step that is over has its numbers still, but nothing of it counts.
        let counts = |sync: &&SyncRecord| sync.step == topology.step().0 || topology.phase() == Phase::Retiring;
        let now = sync.filter(counts);
        Gainer {
            id: member.id.to_string(),
            done: sync.map_or(0, |sync| sync.done),
            total: sync.map_or(0, |sync| sync.total),
            bytes: sync.map_or(0, |sync| sync.bytes),
            rate: now.map_or(0, |sync| sync.rate),
            caught_up: now.is_some_and(|sync| sync.caught_up),
            cuts: now.map(|sync| sync.cuts.clone()).unwrap_or_default(),
            // After the flip nothing keeps it any more.
            trouble: now.filter(|_| topology.phase() != Phase::Retiring).and_then(|sync| sync.trouble.clone()),
        }
    }

    /// What part of its keys it has, from 0 to 1. Never 1 while it still looks for more, since the total is an estimate.
    pub(super) fn share(&self) -> f64 {
        match (self.caught_up, self.total) {
            (true, _) => 1.0,
            (false, 0) => 0.0,
            (false, total) => (self.done as f64 / total as f64).min(0.99),
        }
    }

    /// For people: how far it is.
    pub(super) fn text(&self) -> String {
        let mut text = amount(self.done, self.total, self.bytes, self.rate);
        if !self.cuts.is_empty() {
            text.push_str(&format!(", cut at {}", self.cuts.join(", ")));
        } else if self.caught_up {
            text.push_str(", caught up");
        }
        text
    }
}

fn amount(done: u64, total: u64, size: u64, rate: u64) -> String {
    let mut text = format!("{} of {} keys", grouped(done), grouped(total.max(done)));
    if size > 0 {
        text.push_str(&format!(", {}", bytes(size)));
    }
    if rate > 0 {
        text.push_str(&format!(", {} keys/s", grouped(rate)));
    }
    text
}

#[cfg(test)]
#[path = "progress_tests.rs"]
mod tests;
