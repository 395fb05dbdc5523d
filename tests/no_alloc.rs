//! A lookup allocates nothing.
#![cfg(test)]

use std::collections::BTreeMap;
use std::hint::black_box;

use allocation_counter::measure;
use redis_ring::command;
use redis_ring::placement::{Config, Epoch, MemberIndex, NodeId, Parts, Phase, Placed, Step, Token, Topology};

fn topology(members: usize) -> Topology {
    let serving = (0..members).map(|n| (NodeId::new(&format!("redis-{n}")).unwrap(), Placed::default())).collect();
    let parts = Parts {
        config: Config::default(),
        epoch: Epoch(1),
        step: Step(1),
        phase: Phase::Still,
        serving,
        next: BTreeMap::new(),
        old: BTreeMap::new(),
        copies_next: None,
        copies_old: None,
        members: BTreeMap::new(),
    };
    Topology::new(parts).unwrap()
}

#[test]
fn finding_the_owners_of_a_key_allocates_nothing() {
    for members in [1, 10, 100, 1000] {
        let topology = topology(members);
        let allocated = measure(|| {
            for n in 0..10_000_u32 {
                let token = Token::of_key(&n.to_le_bytes());
                let owners: &[MemberIndex] = topology.serving().owners(token);
                assert_eq!(owners.len(), members.min(2));
                black_box(topology.readers(token).count());
                black_box(topology.writers(token).count());
            }
        });
        assert_eq!(allocated.count_total, 0, "{members} members");
    }
}

#[test]
fn the_measurement_sees_what_is_allocated() {
    assert_eq!(measure(|| drop(black_box(vec![0_u8; 100]))).count_total, 1);
}

#[test]
fn planning_a_call_allocates_nothing() {
    let mut get = redis::cmd("GET");
    get.arg("user:1");
    let mut set = redis::cmd("SET");
    set.arg("user:1").arg("value").arg("EX").arg(100);
    let mut incr = redis::cmd("INCR");
    incr.arg("{user:1}:visits");
    for cmd in [get, set, incr] {
        let allocated = measure(|| {
            let plan = command::plan(&cmd).unwrap();
            black_box(Token::of_key(plan.key().unwrap()));
        });
        assert_eq!(allocated.count_total, 0, "{}", command::name(&cmd));
    }
}
