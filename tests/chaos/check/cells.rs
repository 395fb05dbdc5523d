//! Registers and counters.

use std::collections::HashMap;

use super::{Course, Findings, Kind, Times, is_add, missing};
use crate::history::{Act, End, Op};

pub fn judge(findings: &mut Findings, ops: &[&Op], course: &Course) {
    if ops.iter().any(|op| is_add(op)) {
        counter(findings, ops, course);
    } else {
        register(findings, ops, course);
    }
}

/// No read is older than the last write that was acknowledged before it began, or newer than the last that had begun
/// when it ended. There is one writer, and its values rise.
fn register(findings: &mut Findings, ops: &[&Op], course: &Course) {
    let mut acknowledged: Vec<(u64, u64)> = Vec::new();
    let mut begun: Vec<(u64, u64)> = Vec::new();
    let mut failed: HashMap<u64, &Op> = HashMap::new();
    for op in ops {
        let Act::Write(value, _) = op.act else { continue };
        begun.push((op.begun, value));
        if op.is_done() {
            acknowledged.push((op.ended, value));
        } else if op.is_failed() {
            failed.insert(value, op);
        }
    }
    // One writer: what is acknowledged later is larger.
    let last = |writes: &[(u64, u64)], moment: u64| {
        let count = writes.partition_point(|(time, _)| *time <= moment);
        count.checked_sub(1).map(|last| writes[last].1)
    };
    for op in ops.iter().filter(|op| op.act.is_read()) {
        let End::Number(seen) = op.end else { continue };
        let (oldest, newest) = (last(&acknowledged, op.begun), last(&begun, op.ended));
        if seen < oldest {
            findings.violated(missing(op, course), op, format!("older than the acknowledged {oldest:?}"));
        } else if seen > newest {
            findings.violated(Kind::Wrong, op, format!("newer than {newest:?}, the last that was written"));
        } else if let Some(write) = seen.and_then(|seen| failed.get(&seen)) {
            findings.violated(Kind::Executed, op, format!("its write said {:?}", write.error().unwrap_or_default()));
        }
    }
}

/// What is seen lies between what was acknowledged before and what had begun.
fn counter(findings: &mut Findings, ops: &[&Op], course: &Course) {
    let acknowledged = Times::of(ops, |op| is_add(op) && op.is_done(), |op| op.ended);
    let begun = Times::of(ops, |op| is_add(op) && !op.is_failed(), |op| op.begun);
    let mut replies: HashMap<u64, &Op> = HashMap::new();
    for op in ops {
        let End::Number(seen) = op.end else { continue };
        let seen = seen.unwrap_or(0);
        let (mut least, most) = (acknowledged.until(op.begun), begun.until(op.ended));
        if is_add(op) {
            // Its own is counted, and was not acknowledged before.
            least += 1;
            if let Some(first) = replies.insert(seen, op) {
                // A fence discards what nobody acknowledged, and another one may have counted on from it.
                if course.fenced_during(&[first, op]) {
                    *findings.measured.entry("counts told to two callers at a fence").or_default() += 1;
                } else {
                    let text = format!("told to client {} as well, and nobody was fenced", first.client);
                    findings.violated(Kind::Wrong, op, text);
                }
            }
        }
        if seen < least {
            findings.violated(missing(op, course), op, format!("less than the acknowledged {least}"));
        } else if seen > most {
            let failed = ops.iter().filter(|op| is_add(op) && op.is_failed()).count() as u64;
            let kind = if seen - most <= failed { Kind::Executed } else { Kind::Wrong };
            findings.violated(kind, op, format!("more than the {most} that had begun; {failed} were not executed"));
        }
    }
}
