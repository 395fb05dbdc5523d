use serde_json::json;

use super::*;
use crate::membership::records::LiveRecord;
use crate::placement::{Config, Epoch, Generation, Parts, Placed, State, Step};

fn id(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn topology(phase: Phase, step: u64, joining: &[&str]) -> Topology {
    let serving: BTreeMap<NodeId, Placed> = ["a", "b", "c"].map(|name| (id(name), Placed::default())).into();
    let member = |name: &str| {
        let state = if joining.contains(&name) { State::Joining } else { State::Up };
        (id(name), Member { state, generation: Generation(2), ..Member::faulty(id(name), "") })
    };
    Topology::new(Parts {
        config: Config { vnodes: 8, ..Config::default() },
        epoch: Epoch(1),
        step: Step(step),
        phase,
        next: if matches!(phase, Phase::Filling | Phase::Syncing) { serving.clone() } else { BTreeMap::new() },
        old: BTreeMap::new(),
        serving,
        copies_next: None,
        copies_old: None,
        members: ["a", "b", "c"].map(member).into(),
    })
    .unwrap()
}

fn live(syncs: &[(&str, serde_json::Value)]) -> BTreeMap<NodeId, Live> {
    let one = |(name, sync): &(&str, serde_json::Value)| {
        let record = json!({"v": 1, "run_id": "r", "agent": "h:1 0", "sync": sync});
        let record = LiveRecord::parse(record.to_string().as_bytes());
        (id(name), Live { record, ours: false, version: 0 })
    };
    syncs.iter().map(one).collect()
}

#[test]
fn all_gainers_are_counted_together_and_each_by_itself() {
    let live = live(&[
        ("b", json!({"step": 5, "gen": 2, "done": 12_000, "total": 50_000, "bytes": 2048, "rate": 900})),
        ("c", json!({"step": 5, "gen": 2, "done": 10, "total": 10, "caught_up": true, "cuts": ["a"]})),
        ("a", json!({"step": 3, "gen": 2, "done": 7, "total": 7})),
    ]);
    let lead = LeadRecord::parse(br#"{"v":1,"id":"a","agent":"h:1 0"}"#).unwrap();
    let found = Move::of(&topology(Phase::Filling, 5, &["b", "c"]), Some(&live), Some(&lead)).unwrap();
    assert_eq!((found.done, found.total, found.bytes, found.rate), (12_010, 50_010, 2048, 900));
    assert_eq!(
        found.text(),
        "12,010 of 50,010 keys, 2.0 KiB, 900 keys/s, by 2 members, 1 of them caught up, 1 cut made, led by a"
    );
    assert!(found.gainer("a").is_none(), "it gains nothing");
    let (b, c) = (found.gainer("b").unwrap(), found.gainer("c").unwrap());
    assert_eq!((b.share(), b.text().as_str()), (0.24, "12,000 of 50,000 keys, 2.0 KiB, 900 keys/s"));
    assert_eq!((c.share(), c.text().as_str()), (1.0, "10 of 10 keys, cut at a"));
}

#[test]
fn what_is_said_of_another_step_or_life_counts_for_nothing() {
    let of = |sync| {
        let found = Move::of(&topology(Phase::Syncing, 6, &["b"]), Some(&live(&[("b", sync)])), None).unwrap();
        found.gainer("b").unwrap().clone()
    };
    let older =
        of(json!({"step": 5, "gen": 2, "done": 9, "total": 9, "caught_up": true, "cuts": ["a"], "trouble": "t"}));
    assert_eq!((older.done, older.caught_up, older.cuts.len(), older.trouble.as_deref()), (9, false, 0, None));
    let other = of(json!({"step": 6, "gen": 1, "done": 9, "total": 9, "caught_up": true}));
    assert_eq!((other.done, other.caught_up), (0, false));
    let silent = Move::of(&topology(Phase::Filling, 5, &["b"]), None, None).unwrap();
    assert_eq!((silent.members.len(), silent.gainer("b").unwrap().share()), (1, 0.0));
}

#[test]
fn an_estimate_that_is_too_low_never_reads_as_done() {
    let live = live(&[("b", json!({"step": 5, "gen": 2, "done": 30, "total": 20}))]);
    let found = Move::of(&topology(Phase::Filling, 5, &["b"]), Some(&live), None).unwrap();
    assert_eq!((found.gainer("b").unwrap().share(), found.text().as_str()), (0.99, "30 of 30 keys"));
}

#[test]
fn nothing_moves_in_a_still_ring_and_after_the_flip_what_was_copied_stays_in_sight() {
    assert_eq!(Move::of(&topology(Phase::Still, 8, &["b"]), None, None), None);
    let live = live(&[
        ("b", json!({"step": 6, "gen": 2, "done": 5, "total": 5, "caught_up": true, "cuts": ["a", "c"]})),
        ("c", json!({"step": 3, "gen": 2, "done": 9, "total": 9})),
    ]);
    let found = Move::of(&topology(Phase::Retiring, 7, &[]), Some(&live), None).unwrap();
    assert_eq!((found.members.len(), found.gainer("b").unwrap().cuts.len()), (1, 2));
}
