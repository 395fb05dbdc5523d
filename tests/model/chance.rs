//! The whole, by chance: scenarios that are too large to look at every state, each walked through for a while.
//!
//! `MODEL_SEED` repeats a run, `MODEL_WORLDS` says how many scenarios there are; a failure says the seed of its own.

use std::env;

use redis_ring_models::chance::{Chance, scenario};
use redis_ring_models::run::by_chance;
use redis_ring_models::world::{Ingredient, World};

/// States that are met in each scenario.
const STATES: usize = 10_000;

fn setting(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is not a number: {value}")))
}

/// The first of so many scenarios that breaks a promise, with the way to it.
fn first_broken(worlds: u64, change: impl Fn(World) -> World) -> Option<String> {
    let seed = setting("MODEL_SEED", 7);
    let mut seeds = Chance::new(seed);
    let (mut states, mut ended, mut deepest) = (0, 0, 0);
    for nth in 0..worlds {
        let own = seeds.number();
        let world = change(scenario(&mut Chance::new(own)));
        let report = by_chance(&world, own, STATES);
        if let Some((promise, way)) = report.broken.first() {
            return Some(format!("MODEL_SEED={seed}, scenario {nth}: not so: {promise}\n{world:?}\n{way}"));
        }
        (states, deepest) = (states + report.states, deepest.max(report.depth));
        ended += u64::from(report.never.is_empty());
    }
    println!(
        "MODEL_SEED={seed}: {worlds} scenarios, {states} states, up to {deepest} deep, {ended} seen to their ends"
    );
    assert!(2 * ended > worlds, "most scenarios never get to their end: they show nothing");
    None
}

#[test]
fn three_writes_of_any_kind_keep_every_promise_through_a_move_and_any_one_fault() {
    if let Some(broken) = first_broken(setting("MODEL_WORLDS", 100), |world| world) {
        panic!("{broken}");
    }
}

#[test]
fn by_chance_too_each_part_that_is_left_out_is_missed() {
    let parts = [
        Ingredient::Barrier,
        Ingredient::GateStamp,
        Ingredient::Fence,
        Ingredient::KillBeforeFill,
        Ingredient::FillBeforeFlip,
        Ingredient::FenceBeforeRepeat,
        Ingredient::Arbitration,
    ];
    for part in parts {
        let broken = first_broken(100, |world| world.without(part));
        assert!(broken.is_some(), "{part:?} is not missed");
    }
}
