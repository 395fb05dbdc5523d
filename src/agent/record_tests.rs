use super::*;
use proptest::prelude::*;

const AUTHOR: Author<'static> = Author { addr: "redis://h:1", by: "agent h:1", now_ms: 9 };
const DEAD: Sight<'static> = Sight::Dead { closed: true, why: "dead" };
const HUNG: Sight<'static> = Sight::Dead { closed: false, why: "hung" };
const UNFIT: Sight<'static> = Sight::Unfit { why: "unfit", closed: false, lost: true };
const MAY: Return<'static> = Return { may: true, kept: false, lacks: None };

fn alive(run_id: &str) -> Sight<'_> {
    Sight::Alive { run_id, gate: Gate::Open }
}

fn shut(run_id: &str) -> Sight<'_> {
    Sight::Alive { run_id, gate: Gate::Shut }
}

fn left(run_id: &str) -> Sight<'_> {
    Sight::Alive { run_id, gate: Gate::Left }
}

fn record(state: State) -> MemberRecord {
    MemberRecord {
        v: 1,
        addr: AUTHOR.addr.to_owned(),
        state: state.as_str().to_owned(),
        generation: 3,
        run_id: "old".to_owned(),
        closed: false,
        reason: None,
        by: None,
        since: None,
        left: None,
        intact: false,
        accepted: None,
        rest: Map::from_iter([("x".to_owned(), true.into())]),
    }
}

fn want(record: &MemberRecord, phase: Phase, sight: Sight<'_>) -> Option<MemberRecord> {
    wanted(Some(record), phase, sight, AUTHOR, 100, MAY)
}

#[test]
fn a_dead_or_hung_server_is_down_and_closed_only_when_nobody_listens() {
    for state in [State::Up, State::Joining] {
        let down = want(&record(state), Phase::Still, DEAD).unwrap();
        assert_eq!((down.state(), down.closed, down.generation), (State::Down, true, 3));
        assert_eq!(
            (down.reason.as_deref(), down.by.as_deref(), down.since),
            (Some("dead"), Some("agent h:1"), Some(9))
        );
        assert!(!want(&record(state), Phase::Still, HUNG).unwrap().closed);
        let unfit = want(&record(state), Phase::Still, UNFIT).unwrap();
        assert_eq!((unfit.state(), unfit.closed, unfit.reason.as_deref()), (State::Down, false, Some("unfit")));
    }
    // It hung, and then it died.
    assert!(want(&record(State::Down), Phase::Still, DEAD).unwrap().closed);
    let closed = MemberRecord { closed: true, ..record(State::Down) };
    assert_eq!((want(&closed, Phase::Still, DEAD), want(&closed, Phase::Still, HUNG)), (None, None));
}

#[test]
fn a_server_that_is_back_joins_with_a_new_generation() {
    for phase in [Phase::Still, Phase::Filling] {
        for (state, run_id) in [(State::Down, "old"), (State::Down, "new"), (State::Up, "new"), (State::Joining, "new")]
        {
            let closed = MemberRecord { closed: state == State::Down, ..record(state) };
            let back = want(&closed, phase, alive(run_id)).unwrap();
            assert_eq!((back.state(), back.generation, back.closed), (State::Joining, 4, false), "{state} {run_id}");
            assert_eq!((back.run_id.as_str(), back.reason.as_deref()), (run_id, Some(FILLING)));
        }
    }
    for phase in [Phase::Syncing, Phase::Retiring] {
        for (state, run_id) in [(State::Down, "old"), (State::Up, "new"), (State::Joining, "new")] {
            let waits = want(&record(state), phase, left(run_id)).unwrap();
            assert_eq!((waits.state(), waits.generation, waits.run_id.as_str()), (State::Down, 3, "old"));
            assert_eq!((want(&waits, phase, left(run_id)), waits.reason.as_deref()), (None, Some(WAITS)));
            assert!(!waits.closed && want(&waits, phase, shut(run_id)).unwrap().closed);
        }
    }
}

#[test]
fn a_gate_that_is_gone_ends_the_life_of_the_data() {
    for phase in [Phase::Still, Phase::Filling, Phase::Syncing, Phase::Retiring] {
        for state in [State::Up, State::Joining] {
            let down = want(&record(state), phase, left("old")).unwrap();
            assert_eq!((down.state(), down.closed, down.reason.as_deref()), (State::Down, false, Some(GATE_LOST)));
            assert!(want(&record(state), phase, shut("old")).unwrap().closed);
        }
    }
}

#[test]
fn a_fenced_server_that_is_emptied_is_closed_once() {
    let wanted = |record: &MemberRecord, sight| {
        super::wanted(Some(record), Phase::Syncing, sight, AUTHOR, 100, Return { may: false, ..MAY })
    };
    let down = MemberRecord { reason: Some("fenced".to_owned()), ..record(State::Down) };
    assert_eq!(wanted(&down, left("old")), None);
    let closed = wanted(&down, shut("old")).unwrap();
    assert_eq!(closed, MemberRecord { closed: true, ..down });
    assert_eq!(
        (wanted(&closed, shut("old")), wanted(&closed, left("old")), wanted(&closed, UNFIT)),
        (None, None, None)
    );
}

#[test]
fn a_process_that_never_died_returns_only_when_it_may() {
    let down = record(State::Down);
    assert_eq!(wanted(Some(&down), Phase::Still, alive("old"), AUTHOR, 100, Return { may: false, ..MAY }), None);
    assert!(wanted(Some(&down), Phase::Still, alive("new"), AUTHOR, 100, Return { may: false, ..MAY }).is_some());
}

#[test]
fn a_server_that_only_moved_gets_its_new_address() {
    let elsewhere = Author { addr: "redis://h:2", ..AUTHOR };
    for state in [State::Up, State::Joining] {
        let moved = wanted(Some(&record(state)), Phase::Still, alive("old"), elsewhere, 100, MAY).unwrap();
        assert_eq!(moved, MemberRecord { addr: "redis://h:2".into(), ..record(state) });
    }
}

#[test]
fn a_record_that_cannot_be_read_is_written_anew_above_all_generations() {
    let back = wanted(None, Phase::Still, alive("new"), AUTHOR, 100, Return { may: false, ..MAY }).unwrap();
    assert_eq!((back.state(), back.generation, back.run_id.as_str()), (State::Joining, 100, "new"));
    assert_eq!(
        (wanted(None, Phase::Still, DEAD, AUTHOR, 100, MAY), wanted(None, Phase::Still, UNFIT, AUTHOR, 100, MAY)),
        (None, None)
    );
}

#[test]
fn what_a_server_had_when_it_was_up_last_is_intact_until_it_is_known_to_be_lost() {
    let with =
        |record: &MemberRecord, sight, back| wanted(Some(record), Phase::Still, sight, AUTHOR, 100, back).unwrap();
    let kept = Return { kept: true, ..MAY };
    for sight in [DEAD, HUNG, Sight::Unfit { why: "loading", closed: false, lost: false }] {
        let down = with(&record(State::Up), sight, MAY);
        assert!(down.intact);
        assert!(with(&down, shut("new"), kept).intact && !with(&down, shut("new"), MAY).intact);
        // It went before it was filled.
        let joining = with(&down, shut("old"), kept);
        assert!(with(&with(&joining, DEAD, MAY), shut("new"), kept).intact);
    }
    assert!(!with(&record(State::Up), UNFIT, MAY).intact, "it was flushed");
    assert!(!with(&record(State::Up), shut("old"), kept).intact, "its gate is gone");
    assert!(!with(&record(State::Joining), DEAD, MAY).intact, "it joined with nothing");
    assert!(with(&record(State::Up), shut("new"), kept).intact, "nobody has seen it die");

    // It waits, and says why; once somebody is up who has what it lacks, it joins.
    let lacks = Return { lacks: Some("waits for a"), ..kept };
    let waits = with(&record(State::Up), shut("new"), lacks);
    assert_eq!((waits.state(), waits.generation, waits.reason.as_deref()), (State::Down, 3, Some("waits for a")));
    assert!(waits.intact && with(&waits, shut("new"), kept).intact);
    assert_eq!(with(&record(State::Joining), alive("old"), lacks).reason.as_deref(), Some("waits for a"));
    assert_eq!(wanted(Some(&record(State::Up)), Phase::Still, alive("old"), AUTHOR, 100, lacks), None);
}

proptest! {
    /// Whatever was written and is seen: never straight to up after founding, the generation never falls, unknown
    /// fields stay, and once written there is nothing more to write.
    #[test]
    fn every_decision_keeps_the_promises(
        state in prop::sample::select(vec![State::Up, State::Down, State::Joining]),
        closed in any::<bool>(),
        phase in prop::sample::select(vec![Phase::Still, Phase::Filling, Phase::Syncing, Phase::Retiring]),
        sight in prop::sample::select(vec![
            alive("old"), alive("new"), shut("old"), shut("new"), left("old"), left("new"), DEAD, HUNG, UNFIT,
            Sight::Unfit { why: "unfit", closed: true, lost: false },
        ]),
        may in any::<bool>(),
        kept in any::<bool>(),
        intact in any::<bool>(),
        lacks in prop::option::of(Just("it lacks what nobody has")),
    ) {
        let back = Return { may, kept, lacks };
        let before = MemberRecord { closed, intact, ..record(state) };
        if let Some(after) = wanted(Some(&before), phase, sight, AUTHOR, 100, back) {
            prop_assert!(after != before);
            prop_assert!(after.state() != State::Up || before.state() == State::Up);
            prop_assert!(after.generation >= before.generation);
            prop_assert_eq!(after.run_id != before.run_id, after.run_id != before.run_id && after.generation > before.generation);
            prop_assert_eq!(&after.rest, &before.rest);
            // Who cannot be filled keeps nobody waiting, and what was lost is never whole again.
            prop_assert!(lacks.is_none() || after.state() != State::Joining);
            prop_assert!(!after.is_intact() || before.is_intact());
            prop_assert!(!after.is_intact() || kept || after.generation == before.generation);
            // What is written now is closed only if somebody has seen that nobody is left.
            let emptied = matches!(
                sight,
                Sight::Alive { gate: Gate::Shut, .. } | Sight::Unfit { closed: true, .. } | Sight::Dead { closed: true, .. }
            );
            prop_assert!(!after.closed || emptied || (before.closed && before.state() == State::Down));
            prop_assert!(!after.closed || after.state() == State::Down);
            // Who is back has its gate opened before the record is written, and what then follows is settled.
            let sight = match (after.state(), sight) {
                (State::Up | State::Joining, Sight::Alive { run_id, .. }) => alive(run_id),
                (_, sight) => sight,
            };
            let settled = wanted(Some(&after), phase, sight, AUTHOR, 100, Return { may: false, ..back });
            prop_assert_eq!(settled, None);
        } else if before.state() == State::Up {
            prop_assert_eq!(sight, alive("old"));
        }
    }
}
