//! Each checker finds what it is there for, and nothing where nothing is: small histories that are right, and wrong in one way.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Course, Cut, Kind, Violation, history, too_few};
use crate::faults::{Fault, Network, Whom, With};
use crate::fences::Notes;
use crate::history::{Act, End, Op, Workload};
use crate::met::{Life, lacking, wrong_life};
use crate::plan::Plan;
use crate::run::Planned;
use crate::stalls;
use crate::support::Met;

/// When the load ended in these histories.
const SETTLED: u64 = 1_000_000_000_000;
/// In seconds: a member was out in the 900s.
const FENCED: (u64, u64) = (900 * S, 910 * S);
/// A fault that took nobody out.
const FAULT: (u64, u64) = (800 * S, 810 * S);
/// A second.
const S: u64 = 1_000_000_000;

struct Case {
    what: &'static str,
    workload: Workload,
    ops: Vec<Op>,
    found: Option<Kind>,
}

/// # Panics
/// When a checker is blind, or sees what is not there.
pub fn run() {
    for Case { what, workload, mut ops, found } in cases() {
        ops.iter_mut().for_each(|op| op.workload = workload);
        let course = Course {
            settled: SETTLED,
            fenced: vec![FENCED],
            faults: vec![FAULT],
            cuts: Vec::new(),
            stalls: Vec::new(),
        };
        let findings = history(&ops, &course);
        let mut kinds: Vec<Kind> = findings.violations.iter().map(|violation| violation.kind).collect();
        // Most of those that fail do so to be found in another way.
        kinds.retain(|kind| *kind != Kind::FailedWrite || found == Some(Kind::FailedWrite));
        match found {
            None => assert!(kinds.is_empty(), "{what} is right, and was judged {:?}", findings.violations),
            Some(kind) => assert_eq!(kinds, [kind], "{what}"),
        }
    }
    events_are_counted();
    what_nobody_knows_is_rare();
    rounds_are_made_again_for_a_reason();
    faults_are_witnessed();
    plans_are_the_same_again();
    copies_are_judged_when_all_is_over();
    fences_are_noted();
}

/// What failed, and a lock that another one has, prove nothing.
fn events_are_counted() {
    let take = |name, taken| Op { workload: Workload::Lock, ..op(Act::Take(name), 0, 1, End::Taken(taken)) };
    let ops = [write(1, 0), not_executed(Act::Write(2, None), 2), unknown(Act::Read, 4), take(1, true), take(2, false)];
    let events = history(&ops, &Course::default()).events;
    assert_eq!((events[&Workload::Register], events[&Workload::Lock]), (1, 1), "what counts as an event");
    let enough = Workload::ALL.map(|workload| (workload, 1000)).into();
    assert!(too_few(&enough, 1000, false, 1000).is_empty(), "enough of everything");
    assert_eq!(too_few(&enough, 999, false, 1000).len(), 1, "too few keys were compared");
    assert_eq!(too_few(&events, 1000, true, 1).len(), 1, "a plain load has no counter");
    assert_eq!(too_few(&events, 1000, false, 1).len(), Workload::ALL.len() - 3, "all others saw nothing");
}

/// Few, where somebody was out, or of whoever lost a connection; and only of those that cannot be sent again.
fn what_nobody_knows_is_rare() {
    let failed = |unknown: &[Op]| {
        let keys = [String::from("k")].into();
        let cut = Cut { from: FAULT.0, to: FAULT.1, client: Some(0), keys };
        let cuts = vec![cut];
        let course = Course { settled: SETTLED, fenced: vec![FENCED], faults: vec![FAULT], cuts, stalls: Vec::new() };
        history(unknown, &course).violations.len()
    };
    let count = |begun| Op { workload: Workload::Counter, ..unknown(Act::Add, begun) };
    assert_eq!(failed(&[count(901), count(902), count(903)]), 0, "some at a fence");
    assert_eq!(failed(&[count(901), count(902), count(903), count(904)]), 4, "many at a fence");
    assert_eq!(failed(&[count(700)]), 1, "where nobody was out");
    assert_eq!(failed(&[unknown(Act::Write(2, None), 901)]), 1, "at a fence, and it can be sent again");
    let many: Vec<Op> = (0..9).map(|_| count(801)).collect();
    assert_eq!(failed(&many), 0, "of a client that is cut off");
    assert_eq!(failed(&[Op { client: 1, ..count(801) }]), 1, "of another client");
    assert_eq!(failed(&[Op { cell: "other".to_owned(), ..count(801) }]), 1, "of a key of somebody else");
    assert_eq!(failed(&[unknown(Act::Write(2, None), 801)]), 1, "cut off, and it can be sent again");
}

/// What took long counts unless the machine stood still in that moment; what is lost counts always.
fn rounds_are_made_again_for_a_reason() {
    let violations = |kinds: &[Kind]| -> Vec<Violation> {
        let violation = |kind: &Kind| Violation { kind: *kind, workload: None, at: 100 * S, text: String::new() };
        kinds.iter().map(violation).collect()
    };
    let excuses = |kinds: &[Kind], stalls: &[(u64, u64)]| stalls::excuse(&violations(kinds), stalls).is_some();
    let (then, before) = ([(99 * S, 101 * S)], [(90 * S, 91 * S)]);
    assert!(excuses(&[Kind::TooLittle], &[]), "too little to judge");
    for kind in [Kind::FailedRead, Kind::FailedWrite] {
        assert!(excuses(&[kind, Kind::TooLittle], &then), "{kind:?} when the machine stood still");
        assert!(!excuses(&[kind], &before), "{kind:?} when it had gone on");
        assert!(!excuses(&[kind], &[]), "{kind:?}");
        assert!(!excuses(&[kind, Kind::Lost], &then), "{kind:?} beside what was lost");
    }
    for kind in [Kind::Lost, Kind::Wrong, Kind::Executed, Kind::HeldTwice, Kind::Hung, Kind::Differs, Kind::NotWhole] {
        assert!(!excuses(&[kind], &then), "{kind:?}");
    }
    assert!(!excuses(&[], &then), "nothing");
    let stalls = [(5, 9), (7, 12), (20, 30)];
    assert_eq!([(0, 4), (8, 10), (6, 25), (13, 19)].map(|(from, to)| stalls::within(&stalls, from, to)), [0, 2, 11, 0]);
    // Copies may differ for a second, and for as long as the machine stood still meanwhile.
    let course = Course { stalls: vec![(10 * S, 13 * S)], ..Course::default() };
    assert!(course.may_differ(9 * S, 13 * S) && !course.may_differ(9 * S, 14 * S) && !course.may_differ(S, 3 * S));
}

/// All follows from the seed and the round's number, and the cycle meets every member.
fn plans_are_the_same_again() {
    let plan = |seed, turns| Plan { seed, kinds: Fault::CYCLE.to_vec(), turns, longest: Duration::from_secs(1) };
    for number in 0..6 {
        assert_eq!(plan(7, 1).round(number), plan(7, 1).round(number), "round {number} again");
        assert_ne!(plan(7, 1).round(number), plan(8, 1).round(number), "round {number} of another seed");
    }
    let made = |plan: &Plan| (0..plan.cycle()).flat_map(|number| plan.round(number).0).collect::<Vec<Planned>>();
    let once: Vec<(Fault, usize)> = made(&plan(7, 1)).iter().map(|one| (one.fault, one.member)).collect();
    let wanted: Vec<(Fault, usize)> = (0..Fault::CYCLE.len()).map(|place| (Fault::CYCLE[place], place % 5)).collect();
    assert_eq!(once, wanted, "the fixed cycle");
    let mut met: Vec<(&str, usize)> = made(&plan(7, 5)).iter().map(|one| (one.fault.name(), one.member)).collect();
    met.sort_unstable();
    met.dedup();
    assert_eq!(met.len(), Fault::CYCLE.len() * 5, "every kind on every member");
}

fn copies_are_judged_when_all_is_over() {
    let keys = BTreeMap::from([("a".to_owned(), Workload::Shared), ("b".to_owned(), Workload::Set)]);
    let different = keys.keys().map(|key| (key.clone(), "other values".to_owned())).collect();
    let kinds = |unsettled| -> Vec<Kind> {
        super::copies(&different, &keys, unsettled).iter().map(|violation| violation.kind).collect()
    };
    assert_eq!(kinds(None), [Kind::Differs, Kind::Differs], "whoever wrote them");
    assert_eq!(kinds(Some("a key is suspected")), [Kind::NotWhole], "they may be healed yet");
}

fn fences_are_noted() {
    let mut notes = Notes::default();
    let looks =
        [(1, true, 10), (2, true, 10), (3, false, 8), (4, false, 8), (5, true, 11), (6, true, 11), (7, true, 12)];
    let found = looks.map(|(moment, up, lives)| notes.note(moment, up, lives));
    // The last was out between two looks.
    assert_eq!(found, [None, None, Some(2), Some(2), Some(2), None, Some(6)], "who is out since when");
}

/// A fault that did nothing is found, even if it was nothing for one client only.
fn faults_are_witnessed() {
    let all = Met { accepted: 1, requests: 1, held: 1, delayed: 1, refused: 1, reset: 1, ended: 1 };
    for fault in Fault::CYCLE {
        assert_eq!(lacking(fault, &[(0, all), (1, all)]), None, "{fault:?} met all");
        let passed = Met { accepted: 1, ..Met::default() };
        assert!(lacking(fault, &[(0, all), (1, passed)]).is_some(), "{fault:?} did not meet client 1");
    }
    let drop = Fault::Net(Network::Drop, Whom::OneClient);
    assert!(lacking(drop, &[(0, Met { held: 0, ..all })]).is_some(), "all passed");
    let life = |had, loaded, commands| Life { had, loaded, commands };
    for (with, right, wrong) in [
        (With::Nothing, life(9, 0, false), life(9, 9, false)),
        (With::OldData, life(9, 7, false), life(9, 0, false)),
        (With::Commands, life(9, 9, true), life(9, 9, false)),
    ] {
        assert_eq!(wrong_life(with, right), None, "{with:?}");
        assert!(wrong_life(with, wrong).is_some(), "{with:?}, and came back {wrong:?}");
    }
}

/// An operation in the seconds from the first to the second.
fn op(act: Act, begun: u64, ended: u64, end: End) -> Op {
    let (begun, ended) = (begun * S, ended * S);
    Op { client: 0, workload: Workload::Register, cell: "k".to_owned(), act, begun, ended, end, again: false }
}

fn write(value: u64, begun: u64) -> Op {
    op(Act::Write(value, None), begun, begun + 1, End::Done)
}

fn read(begun: u64, seen: Option<u64>) -> Op {
    op(Act::Read, begun, begun + 1, End::Number(seen))
}

fn not_executed(act: Act, begun: u64) -> Op {
    op(act, begun, begun + 1, End::Failed("no owner".to_owned()))
}

fn unknown(act: Act, begun: u64) -> Op {
    op(act, begun, begun + 1, End::Unknown("lost".to_owned()))
}

fn add(begun: u64, reply: u64) -> Op {
    op(Act::Add, begun, begun + 1, End::Number(Some(reply)))
}

fn push(element: u64, begun: u64) -> Op {
    op(Act::Push(element), begun, begun + 1, End::Done)
}

fn list(begun: u64, elements: &[u64]) -> Op {
    op(Act::Read, begun, begun + 1, End::Numbers(elements.to_vec()))
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = |what, workload, ops: Vec<Op>, found| cases.push(Case { what, workload, ops, found });
    let (register, counter, append) = (Workload::Register, Workload::Counter, Workload::Append);
    let set = Act::Write(2, None);

    case("the newest value", register, vec![write(1, 0), write(2, 2), read(4, Some(2))], None);
    case("an older value", register, vec![write(1, 0), write(2, 2), read(4, Some(1))], Some(Kind::Wrong));
    case(
        "either value during a write",
        register,
        vec![write(1, 0), write(2, 2), read(2, Some(1)), read(2, Some(2))],
        None,
    );
    case("nil after a write", register, vec![write(1, 0), read(4, None)], Some(Kind::Wrong));
    case("nil at the end", register, vec![write(1, 0), read(1001, None)], Some(Kind::Lost));
    case("a value that comes", register, vec![write(1, 0), read(2, Some(2)), write(2, 4)], Some(Kind::Wrong));
    case("an unknown write", register, vec![write(1, 0), unknown(set, 2), read(4, Some(2)), read(6, Some(1))], None);
    case(
        "a write that was none",
        register,
        vec![write(1, 0), not_executed(set, 2), read(4, Some(2))],
        Some(Kind::Executed),
    );
    case("a read that failed", register, vec![write(1, 0), not_executed(Act::Read, 2)], Some(Kind::FailedRead));

    case("a write that failed", register, vec![not_executed(set, 2)], Some(Kind::FailedWrite));
    case("a write of which nobody knows", register, vec![unknown(set, 2)], Some(Kind::FailedWrite));

    case("a write that failed, cut off", register, vec![not_executed(set, 801)], Some(Kind::FailedWrite));

    case("a number told twice", counter, vec![add(0, 1), add(0, 2), add(0, 2)], Some(Kind::Wrong));
    case("a number told twice at a fence", counter, vec![add(899, 1), add(899, 2), add(899, 2)], None);
    case(
        "one told before the fence",
        counter,
        vec![add(0, 1), add(0, 2), op(Act::Add, 0, 901, End::Number(Some(2)))],
        Some(Kind::Wrong),
    );
    case("three counts", counter, vec![add(0, 1), add(2, 2), add(4, 3), read(6, Some(3))], None);
    case("a count that is lost", counter, vec![add(0, 1), add(2, 2), read(1001, Some(1))], Some(Kind::Lost));
    case("a count too many", counter, vec![add(0, 1), add(2, 2), read(4, Some(3))], Some(Kind::Wrong));
    case("an unknown count", counter, vec![add(0, 1), unknown(Act::Add, 2), read(4, Some(1)), read(6, Some(2))], None);
    case(
        "a count that was none",
        counter,
        vec![add(0, 1), not_executed(Act::Add, 2), read(4, Some(2))],
        Some(Kind::Executed),
    );
    case("a count that forgets", counter, vec![unknown(Act::Add, 0), add(2, 2), add(4, 1)], Some(Kind::Wrong));

    case("a list", append, vec![push(1, 0), push(2, 2), list(4, &[1, 2])], None);
    case("a list that lacks one", append, vec![push(1, 0), push(2, 2), list(4, &[2])], Some(Kind::Wrong));
    case("a list out of order", append, vec![push(1, 0), push(2, 2), list(4, &[2, 1])], Some(Kind::Wrong));
    case("an element twice", append, vec![push(1, 0), push(2, 2), list(4, &[1, 1, 2])], Some(Kind::Wrong));
    case("an element that was none", append, vec![not_executed(Act::Push(1), 0), list(4, &[1])], Some(Kind::Executed));
    case(
        "an unknown element",
        append,
        vec![push(1, 0), unknown(Act::Push(2), 2), list(4, &[1]), list(6, &[1, 2])],
        None,
    );
    case("a list at the end", append, vec![push(1, 0), push(2, 2), list(1001, &[1])], Some(Kind::Lost));

    let remove = |begun| op(Act::Remove, begun, begun + 1, End::Done);
    let once = write(1, 0);
    case("a key that was deleted", Workload::Delete, vec![once.clone(), remove(2), read(4, None)], None);
    case(
        "a deleted key that is back",
        Workload::Delete,
        vec![once.clone(), remove(2), read(4, Some(1))],
        Some(Kind::Wrong),
    );
    case("a key that is gone", Workload::Delete, vec![once.clone(), read(2, None), remove(4)], Some(Kind::Wrong));
    case(
        "a deletion that was none",
        Workload::Delete,
        vec![once.clone(), not_executed(Act::Remove, 2), read(4, None)],
        Some(Kind::Executed),
    );
    case("a key that is lost", Workload::Set, vec![once, read(1001, None)], Some(Kind::Lost));
    case("a key that nobody wrote", Workload::Set, vec![read(0, Some(1))], Some(Kind::Wrong));
    let mortal = op(Act::Write(1, Some(10_000)), 0, 1, End::Done);
    case("a key that expires", Workload::Expiry, vec![mortal.clone(), read(5, Some(1)), read(13, None)], None);
    case("a key that expires too early", Workload::Expiry, vec![mortal.clone(), read(5, None)], Some(Kind::Wrong));
    case("a key that does not expire", Workload::Expiry, vec![mortal, read(13, Some(1))], Some(Kind::Wrong));

    pops(&mut case);
    locks(&mut case);
    cases
}

fn pops(case: &mut impl FnMut(&'static str, Workload, Vec<Op>, Option<Kind>)) {
    let pop = |begun, element| op(Act::Pop, begun, begun + 1, End::Number(element));
    let three = || vec![push(1, 0), push(2, 0), push(3, 0)];
    let mut list = |what, more: Vec<Op>, found| case(what, Workload::Pop, [three(), more].concat(), found);
    let rest = |elements: &[u64]| op(Act::Read, 1001, 1002, End::Numbers(elements.to_vec()));
    list("all are given", vec![pop(2, Some(1)), pop(4, Some(2)), pop(6, Some(3)), pop(8, None), rest(&[])], None);
    list("some remain", vec![pop(2, Some(1)), rest(&[2, 3])], None);
    list("one is given twice", vec![pop(2, Some(1)), pop(4, Some(1)), rest(&[2, 3])], Some(Kind::Wrong));
    list("given twice at a fence", vec![pop(899, Some(1)), pop(900, Some(1)), rest(&[2, 3])], None);
    list("given before and after", vec![pop(2, Some(1)), pop(900, Some(1)), rest(&[2, 3])], Some(Kind::Wrong));
    list("one is lost", vec![pop(2, Some(1)), rest(&[3])], Some(Kind::Lost));
    list("one is lost at a fence", vec![pop(899, Some(1)), rest(&[3])], None);
    list("one that nobody was told", vec![pop(2, Some(1)), unknown(Act::Pop, 4), rest(&[3])], None);
    list("given, and there", vec![pop(2, Some(1)), rest(&[1, 2, 3])], Some(Kind::Wrong));
    list("one that nobody appended", vec![pop(2, Some(4)), rest(&[1, 2, 3])], Some(Kind::Wrong));
    list("nil, and there is more", vec![pop(2, None), pop(4, Some(1)), rest(&[2, 3])], Some(Kind::Wrong));
    list("out of order", vec![rest(&[2, 1, 3])], Some(Kind::Wrong));
}

fn locks(case: &mut impl FnMut(&'static str, Workload, Vec<Op>, Option<Kind>)) {
    let mut case = |what, ops, found| case(what, Workload::Lock, ops, found);
    let take = |name, begun| op(Act::Take(name), begun, begun + 1, End::Taken(true));
    let refused = |name, begun| op(Act::Take(name), begun, begun + 1, End::Taken(false));
    let removed = |name, begun, count| op(Act::Release(name), begun, begun + 1, End::Number(Some(count)));
    let release = |name, begun| removed(name, begun, 1);
    case("a lock", vec![take(1, 0), read(2, Some(1)), release(1, 4), read(6, None), take(2, 8), release(2, 10)], None);
    case("two owners", vec![take(1, 0), take(2, 2), release(1, 4), release(2, 6)], Some(Kind::HeldTwice));
    case("never given back", vec![take(1, 0), take(2, 2)], Some(Kind::HeldTwice));
    case("refused while it is held", vec![take(1, 0), refused(2, 2), release(1, 4)], None);
    case("refused while it may be held", vec![unknown(Act::Take(1), 0), refused(2, 2)], None);
    case("refused, and nobody has it", vec![take(1, 0), release(1, 2), refused(2, 4)], Some(Kind::Wrong));
    case("gone while it is held", vec![take(1, 0), read(2, None), release(1, 4)], Some(Kind::Wrong));
    case("not there to be given back", vec![take(1, 0), removed(1, 2, 0)], Some(Kind::Lost));
    case("not there, and it ran again", vec![take(1, 0), Op { again: true, ..removed(1, 2, 0) }], None);
    case("not there, in a fault", vec![take(1, 797), removed(1, 800, 0)], None);
    case("not there, at a fence", vec![take(1, 897), removed(1, 900, 0)], None);
    let given_back = |again| Op { again, ..op(Act::Release(1), 800, 806, End::Number(Some(1))) };
    let and_again = |again, more: Vec<Op>| [vec![take(1, 790), given_back(again), take(2, 802)], more].concat();
    let gone = || vec![read(804, None), removed(2, 808, 0)];
    case("gone by a removal that ran again", and_again(true, gone()), None);
    case("gone by one that ran once", and_again(false, vec![read(804, None), release(2, 808)]), Some(Kind::Wrong));
    let twice = || vec![take(3, 804), release(2, 807), release(3, 809)];
    case("two owners, and a removal that ran again", and_again(true, twice()), None);
    case("two owners, and one that ran once", and_again(false, twice()), Some(Kind::HeldTwice));
    let later = vec![take(1, 790), given_back(true), take(2, 807), read(809, None), release(2, 811)];
    case("gone, and the removal was over before", later, Some(Kind::Wrong));
    case("given back twice", vec![take(1, 0), unknown(Act::Release(1), 2), removed(1, 4, 0)], None);
    case("there at the end, given back", vec![take(1, 0), release(1, 2), read(1001, Some(1))], Some(Kind::Wrong));
    case("there at the end, never given back", vec![take(1, 0), read(1001, Some(1))], Some(Kind::Wrong));
    case("there at the end, perhaps", vec![unknown(Act::Take(1), 0), read(1001, Some(1))], None);
    case("there, and refused", vec![take(2, 0), refused(1, 0), release(2, 4), read(6, Some(1))], Some(Kind::Executed));
    let late = |name| op(Act::Take(name), 899, 905, End::Taken(false));
    case(
        "seen and refused, at a fence",
        vec![late(1), read(900, Some(1)), refused(2, 901), refused(3, 906), read(908, None)],
        None,
    );
    case(
        "there after it was refused",
        vec![take(2, 897), late(1), release(2, 901), read(907, Some(1))],
        Some(Kind::Executed),
    );
    case("there, and failed", vec![not_executed(Act::Take(1), 0), read(2, Some(1))], Some(Kind::Executed));
}
