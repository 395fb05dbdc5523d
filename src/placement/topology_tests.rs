use super::*;
use crate::placement::{Generation, RunId, Weight, Zone};

fn id(name: &str) -> NodeId {
    NodeId::new(name).unwrap()
}

fn placed(names: &[&str]) -> BTreeMap<NodeId, Placed> {
    names.iter().map(|name| (id(name), Placed::default())).collect()
}

fn member(name: &str, state: State) -> Member {
    Member {
        addr: Some(format!("redis://{name}:6379")),
        state,
        generation: Generation(1),
        run_id: Some(RunId::new("r")),
        fault: None,
        ..Member::faulty(id(name), "")
    }
}

fn parts(serving: &[&str]) -> Parts {
    Parts {
        config: Config::default(),
        epoch: Epoch(4),
        step: Step(1),
        phase: Phase::Still,
        serving: placed(serving),
        next: BTreeMap::new(),
        old: BTreeMap::new(),
        copies_next: None,
        copies_old: None,
        members: serving.iter().map(|name| (id(name), member(name, State::Up))).collect(),
    }
}

const FOUR: [&str; 4] = ["redis-0", "redis-1", "redis-2", "redis-3"];

fn names(ids: &[NodeId]) -> Vec<&str> {
    ids.iter().map(NodeId::as_str).collect()
}

#[test]
fn a_member_that_is_not_up_keeps_its_place_and_is_skipped() {
    for state in [State::Down, State::Joining] {
        let mut parts = parts(&FOUR);
        parts.members.insert(id("redis-1"), member("redis-1", state));
        let location = Topology::new(parts).unwrap().locate(b"user:1");
        assert_eq!(location.token, Token(167021740));
        assert_eq!(names(&location.owners), ["redis-1", "redis-3"]);
        assert_eq!(names(&location.reads), ["redis-3"]);
        assert_eq!(names(&location.writes), ["redis-3"]);
    }
}

#[test]
fn a_member_without_a_record_counts_as_down_and_takes_nobody_else_down() {
    let mut parts = parts(&FOUR);
    parts.members.remove(&id("redis-1"));
    let topology = Topology::new(parts).unwrap();
    let (_, missing) = topology.find(&id("redis-1")).unwrap();
    assert_eq!(missing.state, State::Down);
    assert_eq!(missing.fault.as_deref(), Some("its record is missing"));
    assert_eq!(names(&topology.locate(b"user:1").reads), ["redis-3"]);
    assert_eq!(names(&topology.locate(b"user:2").reads), ["redis-3", "redis-2"]);
}

#[test]
fn retiring_writes_the_old_owners_after_the_serving_ones() {
    let mut parts = parts(&FOUR);
    parts.phase = Phase::Retiring;
    parts.old = placed(&FOUR[..3]);
    let topology = Topology::new(parts).unwrap();
    let location = topology.locate(b"user:1");
    assert_eq!(names(&location.reads), ["redis-1", "redis-3"]);
    assert_eq!(names(&location.writes), ["redis-1", "redis-3", "redis-0"]);
}

#[test]
fn a_fingerprint_tells_placements_apart_and_ignores_states() {
    let of = |parts: Parts| Topology::new(parts).unwrap().fingerprint().to_string();
    let plain = of(parts(&FOUR));
    // printf 'crc32-mix64-v1 1024 2\nserving redis-0 100\nserving redis-1 100\n…' | sha256sum | cut -c1-16
    assert_eq!(plain, "3fc3beb4decd3ef1");
    let mut changed = parts(&FOUR);
    changed.members.insert(id("redis-1"), member("redis-1", State::Down));
    changed.epoch = Epoch(9);
    assert_eq!(of(changed), plain);
    let alter: [fn(&mut Parts); 6] = [
        |p| p.config.copies = 3,
        |p| p.config.vnodes = 1000,
        |p| p.next = placed(&FOUR[..3]),
        |p| p.old = placed(&FOUR[..3]),
        |p| p.serving.values_mut().for_each(|m| m.weight = Weight(101)),
        |p| p.serving.values_mut().for_each(|m| m.zone = Zone::new("a").ok()),
    ];
    let mut all: BTreeSet<String> = alter
        .into_iter()
        .map(|alter| {
            let mut parts = parts(&FOUR);
            alter(&mut parts);
            of(parts)
        })
        .collect();
    all.insert(plain);
    assert_eq!(all.len(), 7);
}

#[test]
fn a_successor_takes_over_the_rings_that_have_not_changed() {
    let first = Topology::new(parts(&FOUR)).unwrap();
    let mut fenced = parts(&FOUR);
    fenced.members.insert(id("redis-1"), member("redis-1", State::Down));
    let second = first.successor(fenced).unwrap();
    assert!(Arc::ptr_eq(&first.serving, &second.serving));
    assert_eq!(names(&second.locate(b"user:1").reads), ["redis-3"]);

    // After a flip the serving ring is the old one.
    let mut flipped = parts(&FOUR[..3]);
    (flipped.old, flipped.phase) = (placed(&FOUR), Phase::Retiring);
    let third = second.successor(flipped).unwrap();
    assert!(third.old.as_ref().is_some_and(|old| Arc::ptr_eq(old, &second.serving)));
    assert_eq!(third.serving().members().len(), 3);

    // Another member before the others shifts the indices, so nothing can be taken over.
    let mut joined = parts(&FOUR);
    joined.members.insert(id("a"), member("a", State::Joining));
    let fourth = first.successor(joined).unwrap();
    assert!(!Arc::ptr_eq(&first.serving, &fourth.serving));
    assert_eq!(names(&fourth.locate(b"user:1").owners), ["redis-1", "redis-3"]);
    for alter in [|p: &mut Parts| p.config.copies = 3, |p: &mut Parts| p.config.vnodes = 64] {
        let mut changed = parts(&FOUR);
        alter(&mut changed);
        assert!(!Arc::ptr_eq(&first.serving, &first.successor(changed).unwrap().serving));
    }
}
