use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Map;

use super::*;
use crate::membership::Entry;
use crate::membership::records::{ConfigRecord, PlacedRecord, RingRecord, VERSION};
use crate::placement::{Config, Epoch, Placed};

const AUTHOR: Author<'static> = Author { addr: "", by: "agent h:1", now_ms: 9 };

fn id(n: usize) -> NodeId {
    NodeId::new(&format!("redis-{n}")).unwrap()
}

fn member(state: State, generation: u64) -> MemberRecord {
    MemberRecord {
        v: VERSION,
        addr: "redis://h:1".to_owned(),
        state: state.as_str().to_owned(),
        generation,
        run_id: "r".to_owned(),
        closed: false,
        reason: None,
        by: None,
        since: None,
        left: None,
        intact: false,
        accepted: None,
        rest: Map::new(),
    }
}

fn ring(members: usize) -> Snapshot {
    let serving = (0..members).map(|n| (id(n).as_str().to_owned(), PlacedRecord::from(&Placed::default())));
    let config = ConfigRecord::from(&Config { vnodes: 8, ..Config::default() });
    let record = RingRecord {
        step: 1,
        phase: Phase::Still.as_str().to_owned(),
        founding: None,
        gaining: BTreeMap::new(),
        serving: serving.collect(),
        ..RingRecord::founding(1)
    };
    let entry = |n| (id(n), Entry { version: Some(0), record: Ok(member(State::Up, 1)) });
    Snapshot { config, ring: record, epoch: Epoch(1), founded_at: 0, members: (0..members).map(entry).collect() }
}

fn put(snapshot: &mut Snapshot, n: usize, state: State, generation: u64) {
    snapshot.epoch = Epoch(snapshot.epoch.0 + 1);
    snapshot.members.insert(id(n), Entry { version: Some(0), record: Ok(member(state, generation)) });
}

/// What an honest agent reports that has done all that it can.
fn report_of(snapshot: &Snapshot, n: usize, cut: bool) -> SyncRecord {
    let topology = snapshot.topology().unwrap();
    let (me, _) = topology.find(&id(n)).unwrap();
    let sources = topology.sources(me);
    SyncRecord {
        step: snapshot.ring.step,
        generation: snapshot.member(&id(n)).unwrap().generation,
        fingerprint: topology.fingerprint().to_string(),
        caught_up: sources.orphaned == 0,
        cuts: match cut {
            true => sources.members.iter().map(|at| topology.member(*at).id.as_str().to_owned()).collect(),
            false => Vec::new(),
        },
        up: up(snapshot),
        ..SyncRecord::default()
    }
}

fn held(snapshot: &Snapshot) -> Held {
    let at = in_use(snapshot).map(|(id, record)| (id.clone(), record.generation)).collect();
    Held { step: snapshot.ring.step, at }
}

fn plan(snapshot: &Snapshot, seen: &Seen) -> Next {
    next(snapshot, &snapshot.topology().unwrap(), seen, AUTHOR).unwrap()
}

/// Makes the change that is planned.
fn step(snapshot: &Snapshot, seen: &Seen) -> Snapshot {
    match plan(snapshot, seen) {
        Next::Change(change, _) => change.applied_to(snapshot),
        other => panic!("no change but {other:?}"),
    }
}

fn phase(snapshot: &Snapshot) -> &str {
    &snapshot.ring.phase
}

#[test]
fn a_return_goes_through_all_phases_each_behind_its_barrier() {
    let mut now = ring(4);
    assert_eq!(plan(&now, &Seen::default()), Next::Nothing);
    put(&mut now, 1, State::Down, 1);
    assert_eq!(plan(&now, &Seen::default()), Next::Nothing, "a death alone moves nothing");
    put(&mut now, 1, State::Joining, 2);

    now = step(&now, &Seen::default());
    assert_eq!((phase(&now), now.ring.step, now.ring.next.len()), ("filling", 2, 4));
    let mut seen = Seen::default();
    assert_eq!(plan(&now, &seen), Next::Barrier);
    seen.held = held(&now);
    assert_eq!(plan(&now, &seen), Next::Wait);
    seen.reports.insert(id(1), SyncRecord { caught_up: false, ..report_of(&now, 1, false) });
    assert_eq!(plan(&now, &seen), Next::Wait);
    seen.reports.insert(id(1), report_of(&now, 1, false));

    now = step(&now, &seen);
    assert_eq!((phase(&now), now.ring.step), ("syncing", 3));
    assert_eq!(plan(&now, &seen), Next::Barrier, "that of the step before does not count");
    seen.held = held(&now);
    assert_eq!(plan(&now, &seen), Next::Wait);
    for lacking in 0..3 {
        let mut report = report_of(&now, 1, true);
        report.cuts.remove(lacking);
        seen.reports.insert(id(1), report);
        assert_eq!(plan(&now, &seen), Next::Wait, "one source is not cut");
    }
    seen.reports.insert(id(1), report_of(&now, 1, true));

    now = step(&now, &seen);
    assert_eq!((phase(&now), now.ring.step), ("retiring", 4));
    assert_eq!((now.ring.serving.len(), now.ring.old.len(), now.ring.next.len()), (4, 4, 0));
    assert_eq!(now.member(&id(1)).unwrap().state(), State::Up);
    assert_eq!(plan(&now, &seen), Next::Barrier);
    seen.held = held(&now);
    now = step(&now, &seen);
    assert_eq!((phase(&now), now.ring.step, now.ring.old.len()), ("still", 5, 0));
    assert_eq!(plan(&now, &seen), Next::Nothing);
}

/// A ring in `syncing` whose member 1 is cut at all sources.
fn cut() -> (Snapshot, Seen) {
    let mut now = ring(5);
    put(&mut now, 1, State::Joining, 2);
    now = step(&now, &Seen::default());
    let reports = |now: &Snapshot, cut| BTreeMap::from([(id(1), report_of(now, 1, cut))]);
    now = step(&now, &Seen { reports: reports(&now, false), held: held(&now), overdue: None });
    let seen = Seen { reports: reports(&now, true), held: held(&now), overdue: None };
    (now, seen)
}

#[test]
fn a_ring_flips_only_with_what_was_cut_now() {
    let (now, seen) = cut();
    assert_eq!(phase(&step(&now, &seen)), "retiring");
    let with = |change: fn(&mut SyncRecord)| {
        let mut seen = seen.clone();
        seen.reports.values_mut().for_each(change);
        plan(&now, &seen)
    };
    assert_eq!(with(|report| report.step -= 1), Next::Wait);
    assert_eq!(with(|report| report.generation -= 1), Next::Wait);
    assert_eq!(with(|report| report.fingerprint.push('0')), Next::Wait);
    assert_eq!(with(|report| drop(report.up.pop_last())), Next::Wait);

    // A source that is fenced after the cut: its keys have another source now, which was cut for others alone.
    let mut fenced = now.clone();
    put(&mut fenced, 0, State::Down, 1);
    assert_eq!(plan(&fenced, &Seen { held: held(&fenced), ..seen.clone() }), Next::Wait);
    // Its agent sees that, and asks for another filling.
    let mut void = seen.clone();
    void.reports.values_mut().for_each(|report| report.void = true);
    let again = step(&fenced, &Seen { held: held(&fenced), ..void });
    assert_eq!((phase(&again), again.ring.step), ("filling", now.ring.step + 1));
    assert_eq!(phase(&step(&now, &Seen { overdue: Some(now.ring.step), ..seen.clone() })), "filling");

    // A gainer that is fenced.
    let mut gone = now.clone();
    put(&mut gone, 1, State::Down, 2);
    let filling = step(&gone, &seen);
    assert_eq!(phase(&filling), "filling");
    let still = step(&filling, &seen);
    assert_eq!((phase(&still), still.ring.next.len()), ("still", 0));
}

#[test]
fn members_that_return_together_gain_side_by_side() {
    let mut now = ring(6);
    put(&mut now, 1, State::Joining, 2);
    now = step(&now, &Seen::default());
    put(&mut now, 4, State::Joining, 3);
    let both = |now: &Snapshot, cut: bool| {
        let reports = [1, 4].map(|n| (id(n), SyncRecord { caught_up: true, ..report_of(now, n, cut) }));
        Seen { reports: reports.into(), held: held(now), overdue: None }
    };
    let mut one = both(&now, false);
    one.reports.remove(&id(4));
    assert_eq!(plan(&now, &one), Next::Wait);
    now = step(&now, &both(&now, false));
    let (mut one, all) = (both(&now, true), both(&now, true));
    one.reports.remove(&id(1));
    assert_eq!(plan(&now, &one), Next::Wait);
    now = step(&now, &all);
    assert_eq!(phase(&now), "retiring");
    assert!([1, 4].iter().all(|n| state(&now, &id(*n)) == State::Up));
}

#[test]
fn a_gainer_that_is_fenced_in_syncing_leads_back_to_filling_although_others_gain_too() {
    let mut now = ring(6);
    put(&mut now, 1, State::Joining, 2);
    put(&mut now, 4, State::Joining, 3);
    let both = |now: &Snapshot, cut: bool| {
        let reports = [1, 4].map(|n| (id(n), SyncRecord { caught_up: true, ..report_of(now, n, cut) }));
        Seen { reports: reports.into(), held: held(now), overdue: None }
    };
    now = step(&now, &Seen::default());
    now = step(&now, &both(&now, false));
    assert_eq!(now.ring.gaining.len(), 2);
    put(&mut now, 4, State::Down, 3);
    let mut one = both(&now, true);
    one.reports.remove(&id(4));
    now = step(&now, &one);
    assert_eq!((phase(&now), now.ring.gaining.len()), ("filling", 0));
    let one = |now: &Snapshot, cut| Seen {
        reports: BTreeMap::from([(id(1), SyncRecord { caught_up: true, ..report_of(now, 1, cut) })]),
        held: held(now),
        overdue: None,
    };
    now = step(&now, &one(&now, false));
    assert_eq!(phase(&step(&now, &one(&now, true))), "retiring");
}

#[test]
fn what_no_member_that_is_up_has_is_never_taken_for_given() {
    let mut now = ring(3);
    put(&mut now, 1, State::Joining, 2);
    put(&mut now, 2, State::Joining, 2);
    let all = |now: &Snapshot, cut: bool| {
        let reports = [1, 2].map(|n| (id(n), SyncRecord { caught_up: true, ..report_of(now, n, cut) }));
        Seen { reports: reports.into(), held: held(now), overdue: None }
    };
    now = step(&now, &Seen::default());
    now = step(&now, &all(&now, false));
    assert_eq!(plan(&now, &all(&now, true)), Next::Wait);
}

/// An agent that knows when it began, and with which members up.
#[derive(Default)]
struct Agent {
    began: Option<(u64, u64, BTreeMap<String, u64>)>,
}

impl Agent {
    fn report(&mut self, snapshot: &Snapshot, n: usize) -> SyncRecord {
        let generation = snapshot.member(&id(n)).unwrap().generation;
        if phase(snapshot) == "filling" {
            self.began = Some((snapshot.ring.step, generation, up(snapshot)));
            return report_of(snapshot, n, false);
        }
        let goes_on = self.began == Some((snapshot.ring.step - 1, generation, up(snapshot)));
        match goes_on {
            true => report_of(snapshot, n, true),
            false => SyncRecord { void: true, ..report_of(snapshot, n, false) },
        }
    }
}

/// What may happen between two things that whoever leads does.
#[derive(Clone, Debug)]
enum Event {
    /// Fenced, or its own agent saw it die.
    Dies(usize),
    /// Back: joins where that is allowed.
    Returns(usize),
    /// Its agent reports what it has done by now.
    Reports(usize),
    /// Whoever leads reads all reports and sees to the barrier.
    Looks,
    /// It acts on what it saw last.
    Acts,
    Overdue,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        1 => (0..4_usize).prop_map(Event::Dies),
        2 => (0..4_usize).prop_map(Event::Returns),
        6 => (0..4_usize).prop_map(Event::Reports),
        6 => Just(Event::Looks),
        8 => Just(Event::Acts),
        1 => Just(Event::Overdue),
    ]
}

proptest! {
    /// Whatever happens in whatever order, and however old the reports are that are acted on: steps rise by one with each
    /// phase, phases follow the table, and a member is up again only by a flip before which it was cut at all that were its
    /// sources then. Once nothing more happens, everybody who can be filled is up.
    #[test]
    fn every_way_through_the_phases_keeps_the_promises(events in prop::collection::vec(event(), 0..120)) {
        let mut now = ring(4);
        // What the agents have reported, and what whoever leads has read of that.
        let mut told: BTreeMap<NodeId, SyncRecord> = BTreeMap::new();
        let mut seen = Seen::default();
        let mut agents: [Agent; 4] = Default::default();
        for event in events {
            match event {
                Event::Dies(n) => {
                    let others = (0..4).filter(|m| *m != n && state(&now, &id(*m)) == State::Up).count();
                    if others >= 3 {
                        let generation = now.member(&id(n)).unwrap().generation;
                        put(&mut now, n, State::Down, generation);
                    }
                }
                Event::Returns(n) => {
                    if state(&now, &id(n)) == State::Down && matches!(phase(&now), "still" | "filling") {
                        let generation = now.member(&id(n)).unwrap().generation;
                        put(&mut now, n, State::Joining, generation + 1);
                    }
                }
                Event::Reports(n) => {
                    if state(&now, &id(n)) == State::Joining && matches!(phase(&now), "filling" | "syncing") {
                        told.insert(id(n), agents[n].report(&now, n));
                    }
                }
                Event::Looks => {
                    seen.reports = told.clone();
                    if !matches!(plan(&now, &seen), Next::Nothing) {
                        seen.held = held(&now);
                    }
                }
                Event::Overdue => seen.overdue = Some(now.ring.step),
                Event::Acts => {
                    let Next::Change(change, _) = plan(&now, &seen) else { continue };
                    let after = change.applied_to(&now);
                    prop_assert_eq!(after.ring.step, now.ring.step + 1);
                    let ways = [
                        ("still", "filling"), ("filling", "syncing"), ("filling", "still"),
                        ("syncing", "filling"), ("syncing", "retiring"), ("retiring", "still"),
                    ];
                    prop_assert!(ways.contains(&(phase(&now), phase(&after))), "{} {}", phase(&now), phase(&after));
                    for n in 0..4 {
                        let (before, then) = (now.member(&id(n)).unwrap(), after.member(&id(n)).unwrap());
                        if before != then {
                            prop_assert_eq!((phase(&now), phase(&after)), ("syncing", "retiring"));
                            prop_assert_eq!((before.state(), then.state()), (State::Joining, State::Up));
                            prop_assert_eq!(before.generation, then.generation);
                            // An honest agent can only have reported this with the members that are up now.
                            prop_assert_eq!(told.get(&id(n)), Some(&report_of(&now, n, true)));
                        }
                    }
                    prop_assert_eq!(after.ring.serving.len(), 4);
                    now = after;
                }
            }
        }
        for _ in 0..20 {
            if matches!(phase(&now), "filling" | "syncing") {
                for (n, agent) in agents.iter_mut().enumerate() {
                    if state(&now, &id(n)) == State::Joining {
                        told.insert(id(n), agent.report(&now, n));
                    }
                }
            }
            let seen = Seen { reports: told.clone(), held: held(&now), overdue: None };
            match plan(&now, &seen) {
                Next::Change(change, _) => now = change.applied_to(&now),
                Next::Nothing => break,
                other => prop_assert!(false, "stands still with {other:?}"),
            }
        }
        prop_assert_eq!(phase(&now), "still");
        prop_assert!((0..4).all(|n| state(&now, &id(n)) != State::Joining));
    }
}
