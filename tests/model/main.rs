//! The protocol, checked: every state that small worlds can reach, and what breaks when a part of the protocol is left out.
//!
//! The models are in `models/`; no server is started here.

#![cfg(test)]

mod chance;
mod faults;
mod fences;
mod moves;

use redis_ring_models::run::{everything, until_broken};
use redis_ring_models::value::Command;
use redis_ring_models::world::{Ingredient, Op, World};

/// Two writers, or more, in every order.
const fn op(command: Command) -> Op {
    Op { command, after: None }
}

/// A write begun when another one has ended.
const fn then(command: Command, after: usize) -> Op {
    Op { command, after: Some(after) }
}

const INCR_INCR: &[Op] = &[op(Command::Incr), op(Command::Incr)];
const LOCKS: &[Op] = &[op(Command::SetNx), op(Command::SetNx)];
const POPS: &[Op] = &[op(Command::Incr), op(Command::Pop)];
const SETS: &[Op] = &[op(Command::Set), then(Command::Set, 0)];
const SET_DEL: &[Op] = &[op(Command::Set), then(Command::Del, 0)];
const DEL_LOCK: &[Op] = &[op(Command::Del), op(Command::SetNx)];
const SET_LOCK: &[Op] = &[op(Command::Set), op(Command::SetNx)];
const DEL_LOCKS: &[Op] = &[op(Command::Del), op(Command::SetNx), op(Command::SetNx)];

/// All promises hold in every state, and the scenario can get to its end.
fn holds(what: &str, world: World) {
    let report = everything(world);
    println!("{what}: {} states, {} deep", report.states, report.depth);
    assert!(report.broken.is_empty(), "{what}: {}\n{}", report.broken[0].0, report.broken[0].1);
    assert!(report.never.is_empty(), "{what}: never {:?}", report.never);
}

/// Without the ingredient the promise is broken.
fn needs(world: World, ingredient: Ingredient, promise: &'static str) {
    let report = until_broken(world.without(ingredient), promise);
    println!("without {ingredient:?}: {} states", report.states);
    assert!(report.breaks(promise), "{ingredient:?} can be left out: {} states", report.states);
}

/// The scenario with these writes; locks begin free.
fn with(ops: &'static [Op], world: World) -> World {
    World { ops, empty: ops.iter().all(|op| op.command == Command::SetNx), ..world }
}
