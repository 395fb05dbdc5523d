//! Lists that one appends to and all take from.

use std::collections::{BTreeMap, HashMap};

use super::{Course, Findings, Kind, seconds};
use crate::history::{Act, End, Op};

/// Every element is given to one caller, or is there at the end. Where a fence discards what nobody acknowledged, an
/// element may be given to two, and the one before it to nobody: that is measured.
pub fn judge(findings: &mut Findings, ops: &[&Op], course: &Course) {
    let mut pushes: HashMap<u64, &Op> = HashMap::new();
    let mut given: BTreeMap<u64, &Op> = BTreeMap::new();
    for op in ops {
        if let Act::Push(element) = op.act {
            pushes.insert(element, op);
        }
    }
    for op in ops.iter().filter(|op| op.act == Act::Pop) {
        let End::Number(Some(element)) = op.end else { continue };
        origin(findings, op, element, &pushes);
        if let Some(first) = given.insert(element, op) {
            let text = format!("given to client {} as well, and nobody was fenced", first.client);
            excuse(findings, course, &[first, op], "elements given to two callers at a fence", Kind::Wrong, text);
        }
    }
    for op in ops.iter().filter(|op| op.act == Act::Pop && op.end == End::Number(None)) {
        let waiting = pushes.iter().find(|(element, push)| {
            let later = given.get(element).is_some_and(|pop| pop.begun > op.ended);
            later && push.is_done() && push.ended <= op.begun
        });
        if let Some((element, push)) = waiting {
            let text = format!("nil, and {element} was there, appended at {:.3} s", seconds(push.ended));
            excuse(findings, course, &[op], "lists that were empty for a moment at a fence", Kind::Wrong, text);
        }
    }
    for op in ops.iter().filter(|op| op.act.is_read() && op.begun >= course.settled) {
        let End::Numbers(rest) = &op.end else { continue };
        at_the_end(findings, op, rest, &Seen { pushes: &pushes, given: &given, ops, course });
    }
}

struct Seen<'a> {
    pushes: &'a HashMap<u64, &'a Op>,
    given: &'a BTreeMap<u64, &'a Op>,
    ops: &'a [&'a Op],
    course: &'a Course,
}

fn at_the_end(findings: &mut Findings, op: &Op, rest: &[u64], seen: &Seen<'_>) {
    let Seen { pushes, given, ops, course } = *seen;
    if let Some(pair) = rest.windows(2).find(|pair| pair[0] >= pair[1]) {
        findings.violated(Kind::Wrong, op, format!("{} comes twice or too late", pair[1]));
    }
    for element in rest {
        origin(findings, op, *element, pushes);
        if let Some(pop) = given.get(element) {
            let text = format!("{element} was given to client {}, and is there", pop.client);
            excuse(findings, course, &[pop], "elements given and there again after a fence", Kind::Wrong, text);
        }
    }
    let is_gone = |element: &u64| !given.contains_key(element) && !rest.contains(element);
    let mut gone: Vec<u64> = pushes
        .iter()
        .filter(|(element, push)| push.is_done() && is_gone(element))
        .map(|(element, _)| *element)
        .collect();
    gone.sort_unstable();
    // It went when those beside it went.
    let at_a_fence = |element: &u64| {
        let beside = [given.range(..element).next_back(), given.range(element..).next()];
        beside.into_iter().flatten().any(|(_, pop)| course.fenced_during(&[pop]))
    };
    let (excused, lost): (Vec<u64>, Vec<u64>) = gone.into_iter().partition(at_a_fence);
    *findings.measured.entry("elements given to nobody at a fence").or_default() += excused.len();
    // Each of these may have taken one that nobody was told.
    let unknown = ops.iter().filter(|op| op.act == Act::Pop && op.is_unknown()).count();
    if lost.len() > unknown {
        let text = format!("{lost:?} were appended, given to nobody, and are not there; {unknown} pops are unknown");
        findings.violated(Kind::Lost, op, text);
    }
}

/// An element is one that somebody has appended, or may have.
fn origin(findings: &mut Findings, op: &Op, element: u64, pushes: &HashMap<u64, &Op>) {
    match pushes.get(&element) {
        Some(push) if push.is_failed() => {
            findings.violated(Kind::Executed, op, format!("{element} was said not to be appended"));
        }
        Some(push) if push.begun <= op.ended => {}
        _ => findings.violated(Kind::Wrong, op, format!("{element} was never appended")),
    }
}

fn excuse(findings: &mut Findings, course: &Course, ops: &[&Op], what: &'static str, kind: Kind, text: String) {
    if course.fenced_during(ops) {
        *findings.measured.entry(what).or_default() += 1;
    } else if let Some(op) = ops.last() {
        findings.violated(kind, op, text);
    }
}
