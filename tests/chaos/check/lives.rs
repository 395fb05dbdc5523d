//! Keys that are written once, and end once or never.

use super::{Course, Findings, Kind, missing, seconds};
use crate::history::{Act, End, Op};

/// How far an expiry may be off: the clocks of the servers are this machine's, but a client learns their difference from
/// answers that take their time.
const SLACK: u64 = 300_000_000;
const MS: u64 = 1_000_000;

pub fn judge(findings: &mut Findings, ops: &[&Op], course: &Course) {
    let write = ops.iter().find(|op| matches!(op.act, Act::Write(..)));
    let removal = ops.iter().find(|op| op.act == Act::Remove);
    for op in ops.iter().filter(|op| op.act.is_read()) {
        let End::Number(seen) = op.end else { continue };
        let Some(write) = write else {
            if seen.is_some() {
                findings.violated(Kind::Wrong, op, "nobody has written it");
            }
            continue;
        };
        let lifetime = match write.act {
            Act::Write(_, Some(ms)) => Some(ms * MS),
            _ => None,
        };
        if seen.is_some() {
            let gone = removal.filter(|removal| removal.is_done() && removal.ended <= op.begun);
            if write.is_failed() {
                findings.violated(Kind::Executed, op, "its write was said not to be executed");
            } else if write.begun > op.ended {
                findings.violated(Kind::Wrong, op, "it was not written yet");
            } else if let Some(gone) = gone {
                let text = format!("deleted at {:.3} s, and there again", seconds(gone.ended));
                findings.violated(Kind::Wrong, op, text);
            } else if lifetime.is_some_and(|lifetime| op.begun > write.ended + lifetime + SLACK) {
                findings.violated(Kind::Wrong, op, format!("expired, and there; written {:?}", times(write)));
            }
        } else if write.is_done() && write.ended <= op.begun {
            let removed = removal.filter(|removal| !removal.is_failed() && removal.begun <= op.ended);
            let expired = lifetime.is_some_and(|lifetime| op.ended + SLACK >= write.begun + lifetime);
            if removed.is_none() && !expired {
                let kind = match removal {
                    Some(removal) if removal.is_failed() && removal.begun <= op.ended => Kind::Executed,
                    _ => missing(op, course),
                };
                findings.violated(kind, op, format!("nil, and was written {:?}", times(write)));
            }
        }
    }
}

fn times(op: &Op) -> (f64, f64) {
    (seconds(op.begun), seconds(op.ended))
}
