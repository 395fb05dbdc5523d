//! Lists that are appended to.

use std::collections::{HashMap, HashSet};

use super::{Course, Findings, Kind, missing};
use crate::history::{Act, End, Op, Workload};

pub fn judge(findings: &mut Findings, ops: &[&Op], course: &Course) {
    let pushes: HashMap<u64, &Op> = ops
        .iter()
        .filter_map(|op| match op.act {
            Act::Push(element) => Some((element, *op)),
            _ => None,
        })
        .collect();
    for op in ops.iter().filter(|op| op.act.is_read()) {
        let End::Numbers(elements) = &op.end else { continue };
        if op.workload == Workload::Shared {
            measure(findings, elements, &pushes);
        } else {
            one_writer(findings, op, elements, &pushes, course);
        }
    }
}

fn one_writer(findings: &mut Findings, op: &Op, elements: &[u64], pushes: &HashMap<u64, &Op>, course: &Course) {
    if let Some(pair) = elements.windows(2).find(|pair| pair[0] >= pair[1]) {
        findings.violated(Kind::Wrong, op, format!("{} comes twice or too late", pair[1]));
    }
    for element in elements {
        match pushes.get(element) {
            Some(push) if push.is_failed() => {
                findings.violated(Kind::Executed, op, format!("{element} is there, and was said not to be executed"));
            }
            Some(push) if push.begun <= op.ended => {}
            _ => findings.violated(Kind::Wrong, op, format!("{element} is there, and was never appended")),
        }
    }
    let there: HashSet<&u64> = elements.iter().collect();
    let lacks =
        pushes.iter().find(|(element, push)| push.is_done() && push.ended <= op.begun && !there.contains(element));
    if let Some((element, push)) = lacks {
        let text = format!("{element} is not there, acknowledged at {:.3} s", super::seconds(push.ended));
        findings.violated(missing(op, course), op, text);
    }
}

/// Several writers in different processes: what is lost, and what is there twice, is only counted.
fn measure(findings: &mut Findings, elements: &[u64], pushes: &HashMap<u64, &Op>) {
    let there: HashSet<&u64> = elements.iter().collect();
    let lost = pushes.iter().filter(|(element, push)| push.is_done() && !there.contains(element)).count();
    let mut count = |what, number| *findings.measured.entry(what).or_default() += number;
    count("elements of lists with several writers", pushes.len());
    count("of these lost", lost);
    count("of these there twice", elements.len() - there.len());
}
