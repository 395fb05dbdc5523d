//! Locks.

use std::collections::HashMap;

use super::{Course, Findings, Kind, missing, seconds};
use crate::history::{Act, End, Op};

/// Who was told that a lock is its own has it until it begins to give it back. Meanwhile nobody else is told so, every
/// read sees its name, and giving it back removes it. Of a take without an answer nobody knows: it counts for neither.
pub fn judge(findings: &mut Findings, ops: &[&Op], course: &Course) {
    let mut takes: HashMap<u64, &Op> = HashMap::new();
    let mut releases: HashMap<u64, Vec<&Op>> = HashMap::new();
    for op in ops {
        match op.act {
            Act::Take(name) => {
                takes.insert(name, op);
            }
            Act::Release(name) => releases.entry(name).or_default().push(op),
            _ => {}
        }
    }
    let mut possible: Vec<(u64, &Op)> = takes.iter().map(|(name, take)| (*name, *take)).collect();
    possible.retain(|(_, take)| !take.is_failed() && (take.end != End::Taken(false) || course.fenced_during(&[take])));
    let locks = Locks { takes, possible, releases };
    let held = locks.held();
    held_twice(findings, &held);
    for op in ops {
        match (op.act, &op.end) {
            (Act::Read, End::Number(Some(name))) => locks.seen(findings, op, *name, course),
            (Act::Take(name), End::Taken(false)) if !locks.may_be_anothers(op, name, course) => {
                findings.violated(Kind::Wrong, op, "refused, and nobody has it");
            }
            (Act::Release(name), End::Number(Some(0))) => locks.nothing_given_back(findings, op, name, course),
            _ => {}
        }
        let (Act::Read, End::Number(seen)) = (op.act, &op.end) else { continue };
        for (take, released) in &held {
            let Act::Take(name) = take.act else { continue };
            if take.ended <= op.begun && op.ended <= *released && *seen != Some(name) {
                findings.violated(missing(op, course), op, format!("client {} has it as {name}", take.client));
            }
        }
    }
}

struct Locks<'a> {
    takes: HashMap<u64, &'a Op>,
    /// Those that succeeded, or may have, and those of which the primary at the end said otherwise than the one before.
    possible: Vec<(u64, &'a Op)>,
    releases: HashMap<u64, Vec<&'a Op>>,
}

impl Locks<'_> {
    fn releases(&self, name: u64) -> &[&Op] {
        self.releases.get(&name).map_or(&[], Vec::as_slice)
    }

    /// The takes that succeeded, in their order, and until when each is certain.
    fn held(&self) -> Vec<(&Op, u64)> {
        // What removes a key does not ask whose it is: one that runs again may free what somebody has taken meanwhile.
        let repeated: Vec<&Op> = self.releases.values().flatten().copied().filter(|release| release.again).collect();
        let until = |name: u64, take: &Op| {
            let own = self.releases(name).iter().map(|release| release.begun);
            let overlapping =
                repeated.iter().filter(|release| release.act != Act::Release(name) && release.ended >= take.begun);
            let others = overlapping.map(|release| release.begun.max(take.ended));
            own.chain(others).min().unwrap_or(u64::MAX)
        };
        let taken = self.takes.iter().filter(|(_, take)| take.end == End::Taken(true));
        let mut held: Vec<(&Op, u64)> = taken.map(|(name, take)| (*take, until(*name, take))).collect();
        held.sort_by_key(|(take, _)| take.ended);
        held
    }

    fn seen(&self, findings: &mut Findings, op: &Op, name: u64, course: &Course) {
        let Some(take) = self.takes.get(&name).filter(|take| take.begun <= op.ended) else {
            findings.violated(Kind::Wrong, op, "nobody has taken it in this name");
            return;
        };
        let refused = take.end == End::Taken(false);
        if refused && course.may_differ(take.ended, op.begun) && course.fenced_during(&[take]) {
            // The answer is that of the next primary, and the copies are made equal when the key holds still.
            *findings.measured.entry("locks seen before they were refused, at a fence").or_default() += 1;
        } else if take.is_failed() || refused {
            findings.violated(Kind::Executed, op, format!("its take said {:?}", take.end));
        } else if let Some(gone) = self.releases(name).iter().find(|r| r.is_done() && r.ended <= op.begun) {
            let text = format!("given back at {:.3} s, and there again", seconds(gone.ended));
            findings.violated(Kind::Wrong, op, text);
        } else if op.begun >= course.settled && take.is_done() && self.releases(name).is_empty() {
            findings.violated(Kind::Wrong, op, "it was never given back");
        }
    }

    fn may_be_anothers(&self, op: &Op, own: u64, course: &Course) -> bool {
        self.possible.iter().any(|(name, take)| {
            let over = take.end == End::Taken(false) && !course.may_differ(take.ended, op.begun);
            let taken = *name != own && take.begun <= op.ended && !over;
            taken && !self.releases(*name).iter().any(|release| release.is_done() && release.ended <= op.begun)
        })
    }

    /// An own lock that was not there to be removed was lost while it was held, unless another try to give it back, by
    /// this client or by the ring at the next owner, has removed it before.
    fn nothing_given_back(&self, findings: &mut Findings, op: &Op, name: u64, course: &Course) {
        let repeated = self.releases(name).iter().any(|other| other.begun < op.begun && !other.is_failed());
        let taken = self.takes.get(&name).is_some_and(|take| take.end == End::Taken(true));
        if !taken || repeated {
            return;
        }
        if op.again {
            *findings.measured.entry("locks given back twice by their own client").or_default() += 1;
        } else if course.repeats(op) {
            *findings.measured.entry("locks given back that were gone already, during a fault").or_default() += 1;
        } else {
            findings.violated(Kind::Lost, op, "given back, and it was not there");
        }
    }
}

fn held_twice(findings: &mut Findings, held: &[(&Op, u64)]) {
    for pair in held.windows(2) {
        let ((first, released), (second, _)) = (pair[0], pair[1]);
        if second.ended < released {
            let text = format!("taken while {:?} of client {} has it", first.act, first.client);
            findings.violated(Kind::HeldTwice, second, text);
        }
    }
}
