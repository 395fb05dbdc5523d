//! Each checker finds what it is there for, and nothing where nothing is: small histories that are right, and wrong in one way.

use super::{Kind, history};
use crate::history::{Act, End, Op, Workload};

/// When the load ended in these histories.
const SETTLED: u64 = 1_000_000_000_000;
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
        let findings = history(&ops, SETTLED);
        let kinds: Vec<Kind> = findings.violations.iter().map(|violation| violation.kind).collect();
        match found {
            None => assert!(kinds.is_empty(), "{what} is right, and was judged {:?}", findings.violations),
            Some(kind) => assert_eq!(kinds, [kind], "{what}"),
        }
    }
}

/// An operation in the seconds from the first to the second.
fn op(act: Act, begun: u64, ended: u64, end: End) -> Op {
    let (begun, ended) = (begun * S, ended * S);
    Op { client: 0, workload: Workload::Register, cell: "k".to_owned(), act, begun, ended, end }
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
    case("a count told twice", counter, vec![add(0, 1), add(0, 1)], Some(Kind::Wrong));
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

    let take = |name, begun| op(Act::Take(name), begun, begun + 1, End::Taken(true));
    let release = |name, begun| op(Act::Release(name), begun, begun + 1, End::Done);
    case("a lock", Workload::Lock, vec![take(1, 0), release(1, 2), take(2, 4), release(2, 6)], None);
    case(
        "a lock with two owners",
        Workload::Lock,
        vec![take(1, 0), take(2, 2), release(1, 4), release(2, 6)],
        Some(Kind::HeldTwice),
    );
    case("a lock that is never given back", Workload::Lock, vec![take(1, 0), take(2, 2)], Some(Kind::HeldTwice));
    cases
}
