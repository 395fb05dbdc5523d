//! Locks.

use std::collections::HashMap;

use super::{Findings, Kind};
use crate::history::{Act, End, Op};

/// Who was told that a lock is its own has it until it begins to give it back; one that is told later, meanwhile, has it
/// too. Of a take without an answer nobody knows, so it counts for neither.
pub fn judge(findings: &mut Findings, ops: &[&Op], _settled: u64) {
    let mut released: HashMap<u64, u64> = HashMap::new();
    for op in ops {
        if let Act::Release(name) = op.act {
            released.entry(name).or_insert(op.begun);
        }
    }
    let mut held: Vec<(&Op, u64)> = Vec::new();
    for op in ops {
        if let (Act::Take(name), End::Taken(true)) = (op.act, &op.end) {
            held.push((op, released.get(&name).copied().unwrap_or(u64::MAX)));
        }
    }
    held.sort_by_key(|(take, _)| take.ended);
    for pair in held.windows(2) {
        let ((first, released), (second, _)) = (pair[0], pair[1]);
        if second.ended < released {
            let text = format!("taken while {:?} of client {} has it", first.act, first.client);
            findings.violated(Kind::HeldTwice, second, text);
        }
    }
}
