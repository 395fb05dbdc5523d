//! A write that misses an owner, and who may still read that owner.

use redis_ring_models::check::{FRESH, REPLIES};
use redis_ring_models::run::until_broken;
use redis_ring_models::world::{Fault, Ingredient, P, Q, Start, Wait, World};

use super::{DEL_LOCKS, INCR_INCR, LOCKS, POPS, SET_DEL, SETS, holds, needs, with};

const fn steady(possible: &'static [Fault]) -> World {
    World { possible, faults: 1, ..World::STEADY }
}

const ANY: &[Fault] =
    &[Fault::Crash(P), Fault::CrashOld(P), Fault::Stop(P), Fault::Stop(Q), Fault::Unlink(0, P), Fault::Unlink(0, Q)];

#[test]
fn a_fence_keeps_every_acknowledged_write_whatever_happens_to_one_owner() {
    for ops in [INCR_INCR, LOCKS, POPS, SETS, SET_DEL] {
        holds("fence", with(ops, steady(ANY)));
    }
}

#[test]
fn a_write_acknowledged_without_a_fence_is_missed_by_a_reader() {
    needs(with(SETS, steady(&[Fault::Unlink(0, Q)])), Ingredient::Fence, FRESH);
}

#[test]
fn a_write_acknowledged_at_once_after_its_fence_is_missed_by_a_late_reader() {
    needs(with(SETS, steady(&[Fault::Stop(Q)])), Ingredient::FenceWait, FRESH);
}

#[test]
fn who_finds_a_member_fenced_a_moment_ago_waits_as_well() {
    needs(with(SETS, steady(&[Fault::Stop(Q)])), Ingredient::FenceWaitForAll, FRESH);
}

#[test]
fn a_dependent_write_sent_again_to_a_living_server_runs_twice() {
    needs(with(INCR_INCR, steady(&[Fault::Stop(P)])), Ingredient::FenceBeforeRepeat, FRESH);
}

#[test]
fn a_del_that_runs_again_may_set_free_what_somebody_took_in_between() {
    let world = steady(&[Fault::Stop(P)]);
    let report = until_broken(World { strict: true, ..with(DEL_LOCKS, world) }, REPLIES);
    assert!(report.breaks(REPLIES), "documented as what remains");
}

#[test]
fn a_member_that_is_closed_answers_no_reader_however_late() {
    for ops in [INCR_INCR, SETS] {
        let world = World { wait: Wait::Endless, ..steady(&[Fault::Stop(Q), Fault::Unlink(0, Q)]) };
        holds("closed", with(ops, world));
    }
}

#[test]
fn a_reader_later_than_the_fence_wait_reads_old_data_from_a_member_that_nobody_could_close() {
    let world = World { wait: Wait::Late, ..steady(&[Fault::Unlink(0, Q)]) };
    assert!(until_broken(with(SETS, world), FRESH).breaks(FRESH), "documented as what two faults do");
}

#[test]
fn without_ending_connections_a_fenced_server_goes_on_answering_and_is_filled_under_stuck_writes() {
    needs(with(SETS, World { last_step: 6, ..World::RETURN }), Ingredient::KillBeforeFill, FRESH);
}

#[test]
fn a_gate_of_the_same_process_and_another_generation_admits_nobody() {
    let world = World { start: Start::Fenced(2), last_step: 6, ..World::RETURN };
    needs(with(SETS, world), Ingredient::Generation, FRESH);
    needs(with(SETS, world), Ingredient::GenerationAlone, FRESH);
}

#[test]
fn a_gate_that_was_loaded_with_old_data_admits_nobody() {
    needs(with(SETS, steady(&[Fault::CrashOld(P)])), Ingredient::RunId, FRESH);
}
