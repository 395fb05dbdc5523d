//! A move without faults of servers: the cut, the phases, the replies.

use redis_ring_models::check::{AGREE, FRESH, REPLIES};
use redis_ring_models::run::until_broken;
use redis_ring_models::world::{Ingredient, M, N, World};

use super::{DEL_LOCK, INCR_INCR, LOCKS, POPS, SET_DEL, SET_LOCK, SETS, holds, needs, with};

/// Invalidations take time, gates are set one by one, pauses may run out.
const FINE: World = World { fine: true, slow_cut: true, ..World::CHANGE };
/// The same, for a server that comes back as the key's primary.
const FINE_RETURN: World = World { fine: true, slow_cut: true, last_step: 6, ..World::RETURN };

#[test]
fn a_change_of_owners_keeps_every_acknowledged_write() {
    for ops in [INCR_INCR, LOCKS, POPS, SETS, SET_DEL, DEL_LOCK] {
        holds("change", with(ops, FINE));
    }
}

#[test]
fn a_return_keeps_every_acknowledged_write() {
    for ops in [INCR_INCR, LOCKS, POPS, SETS, SET_DEL, DEL_LOCK] {
        holds("return", with(ops, FINE_RETURN));
    }
}

#[test]
fn a_cut_that_asks_only_who_is_writing_misses_the_idle_client_that_writes_next() {
    let world = with(INCR_INCR, World { local_cut: true, ..World::CHANGE });
    assert!(until_broken(world, FRESH).breaks(FRESH), "names of idle connections count as well");
}

#[test]
fn two_gainers_may_take_the_place_of_both_owners() {
    for ops in [INCR_INCR, LOCKS, SETS] {
        holds("two gainers", with(ops, World { after: &[M, N], ..World::CHANGE }));
    }
}

#[test]
fn who_gains_from_two_sources_is_cut_at_both() {
    let world = World { two_sources: true, ..World::CHANGE };
    for ops in [INCR_INCR, SETS] {
        holds("two sources", with(ops, world));
    }
    needs(with(SETS, world), Ingredient::EverySource, FRESH);
}

#[test]
fn a_barrier_may_end_the_connections_of_who_is_late() {
    for ops in [LOCKS, POPS, SETS] {
        holds("kills", with(ops, World { kills: true, last_step: 6, ..World::RETURN }));
    }
}

#[test]
fn without_a_barrier_a_late_client_reads_or_writes_past_a_move() {
    needs(with(SETS, World::CHANGE), Ingredient::Barrier, FRESH);
}

#[test]
fn without_the_stamp_in_the_multi_a_write_comes_twice_or_not_at_all() {
    needs(with(INCR_INCR, FINE), Ingredient::GateStamp, FRESH);
}

#[test]
fn without_the_pause_the_last_copy_undoes_a_newer_write() {
    needs(with(INCR_INCR, FINE), Ingredient::Pause, FRESH);
}

#[test]
fn a_pause_after_the_stamp_is_too_late() {
    needs(with(INCR_INCR, FINE), Ingredient::Atomicity, FRESH);
}

#[test]
fn a_cut_that_does_not_wait_for_the_invalidations_forgets_a_write() {
    needs(with(SETS, FINE), Ingredient::Drain, FRESH);
}

#[test]
fn a_last_copy_read_in_time_that_arrives_too_late_undoes_a_newer_write() {
    needs(with(INCR_INCR, FINE), Ingredient::ArrivalInTime, FRESH);
}

#[test]
fn a_cut_that_counts_for_the_step_in_the_gate_is_lost_after_the_flip() {
    needs(with(SETS, FINE), Ingredient::CutOfOwnStep, FRESH);
}

#[test]
fn without_writing_the_old_owners_a_late_reader_misses_a_write() {
    needs(with(SETS, World::CHANGE), Ingredient::OldWritten, FRESH);
}

#[test]
fn a_flip_to_who_was_not_filled_answers_nil() {
    needs(with(SETS, World::CHANGE), Ingredient::FillBeforeFlip, FRESH);
}

#[test]
fn a_copy_made_before_the_barrier_of_a_new_filling_meets_writes_of_the_old_one() {
    needs(with(INCR_INCR, FINE), Ingredient::FillBehindBarrier, FRESH);
}

#[test]
fn a_gainer_that_goes_on_from_a_broken_cut_is_given_a_write_twice() {
    let world = World { after: &[M, N], slow_cut: true, last_step: 7, ..World::CHANGE };
    needs(with(INCR_INCR, world), Ingredient::CopyAgain, FRESH);
}

#[test]
fn without_arbitration_a_lock_has_two_holders_across_a_flip() {
    needs(with(LOCKS, World::CHANGE), Ingredient::Arbitration, REPLIES);
}

#[test]
fn arbitration_by_whoever_is_primary_when_asked_gives_one_number_twice() {
    needs(with(INCR_INCR, World::CHANGE), Ingredient::WaitForFlip, REPLIES);
}

#[test]
fn a_reply_that_was_overruled_leaves_its_effect_behind_unless_the_key_is_compared() {
    needs(with(DEL_LOCK, FINE), Ingredient::SuspectAlways, AGREE);
}

#[test]
fn a_reply_of_an_older_generation_is_nobodys_any_more() {
    let world = World { kills: true, last_step: 6, ..World::RETURN };
    needs(with(LOCKS, world), Ingredient::ReplyOfGeneration, REPLIES);
}

#[test]
fn a_copy_that_is_repaired_beside_a_blind_write_may_be_old_until_the_key_is_compared() {
    let world = World { strict: true, ..World::STEADY };
    let report = until_broken(World { ops: SET_LOCK, empty: true, ..world }, FRESH);
    assert!(report.breaks(FRESH), "documented as what remains");
    holds("repaired", World { ops: SET_LOCK, empty: true, blind: true, strict: false, ..world });
}

#[test]
fn a_write_that_was_sent_again_may_leave_copies_different_although_all_replies_agree() {
    let world = World { kills: true, last_step: 6, ..World::CHANGE };
    needs(with(DEL_LOCK, world), Ingredient::SuspectResent, AGREE);
}
