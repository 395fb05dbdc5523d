//! The whole: a move, two writers, any number of readers, and one fault at any time.

use redis_ring_models::check::{FRESH, REPLIES};
use redis_ring_models::world::{Fault, Ingredient, M, P, Q, World};

use super::{INCR_INCR, LOCKS, SET_DEL, SETS, holds, needs, with};

const fn change(possible: &'static [Fault]) -> World {
    World { possible, faults: 1, last_step: 7, ..World::CHANGE }
}

const fn comes_back(possible: &'static [Fault]) -> World {
    World { possible, faults: 1, last_step: 8, ..World::RETURN }
}

#[test]
fn a_fault_of_a_source_in_the_middle_of_a_move_loses_nothing() {
    let faults: &[Fault] = const { &[Fault::Crash(P), Fault::CrashOld(P), Fault::Stop(P), Fault::Stop(Q)] };
    for ops in [SETS, SET_DEL] {
        holds("source", with(ops, change(faults)));
        holds("source of a return", with(ops, comes_back(faults)));
    }
}

#[test]
fn a_fault_of_a_gainer_in_the_middle_of_a_move_loses_nothing() {
    let faults: &[Fault] = const { &[Fault::Crash(M), Fault::Stop(M), Fault::Unlink(0, M)] };
    for ops in [SETS, SET_DEL] {
        holds("gainer", with(ops, change(faults)));
        holds("gainer of a return", with(ops, comes_back(faults)));
    }
}

#[test]
fn a_lock_has_one_holder_whatever_fails_in_the_middle_of_a_move() {
    for fault in const { &[[Fault::Crash(M)], [Fault::Unlink(0, M)], [Fault::Unlink(0, P)]] } {
        holds("lock", with(LOCKS, change(fault)));
        holds("lock of a return", with(LOCKS, comes_back(fault)));
    }
}

#[test]
fn a_lock_that_a_lost_heir_refused_has_two_holders_unless_nobodys_reply_counts() {
    needs(with(LOCKS, change(&[Fault::Crash(M)])), Ingredient::UnknownWithoutHeir, REPLIES);
}

#[test]
fn a_lock_that_only_its_primary_knows_is_lost_with_it() {
    needs(with(LOCKS, change(&[Fault::Crash(M)])), Ingredient::RepairRefused, FRESH);
}

#[test]
fn a_report_of_an_older_generation_of_the_gainer_flips_to_an_empty_server() {
    needs(with(SETS, change(&[Fault::Crash(M)])), Ingredient::ReportOfGeneration, FRESH);
}

#[test]
fn a_flip_decided_before_its_source_was_fenced_forgets_what_was_written_since() {
    needs(with(SETS, change(&[Fault::Stop(P)])), Ingredient::ConditionalFlip, FRESH);
}

#[test]
fn a_gainer_that_is_filled_anew_over_stuck_writes_runs_one_twice() {
    needs(with(INCR_INCR, change(&[Fault::Stop(M)])), Ingredient::KillBeforeEachFill, FRESH);
}

#[test]
fn a_counter_stays_exact_when_its_gainer_stands_still_in_the_middle_of_a_move() {
    holds("stopped gainer", with(INCR_INCR, change(&[Fault::Stop(M)])));
}

#[test]
fn a_counter_stays_exact_when_its_client_loses_the_source_in_the_middle_of_a_move() {
    holds("unlinked", with(INCR_INCR, change(&[Fault::Unlink(0, P)])));
}

#[test]
fn a_write_whose_copy_went_over_in_the_flip_is_counted_twice_if_it_runs_again() {
    needs(with(INCR_INCR, change(&[Fault::Unlink(0, P)])), Ingredient::UnknownAcrossFlip, FRESH);
}
