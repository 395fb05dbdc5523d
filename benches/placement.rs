//! How long it takes to find a key's owners, and to build a topology.
//!
//! `in turn` is a lookup that waits for the one before, as an operation waits for its own; `at once` is what a loop
//! over many keys takes, where the processor overlaps them.

mod support;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use redis_ring::placement::{Config, Epoch, Member, NodeId, Parts, Phase, Placed, State, Step, Token, Topology};
use support::Failed;
use support::spread::Spread;
use support::table::Table;

/// How often each number is measured.
const ROUNDS: usize = 15;
/// Lookups in one round.
const LOOKUPS: usize = 1 << 18;
/// What a lookup may take at 100 members, in nanoseconds.
const TARGET_NS: f64 = 10.0;

fn main() -> Result<(), Failed> {
    println!("A lookup, in ns: median of {ROUNDS} rounds of {LOOKUPS} random keys, and the quartiles.\n");
    let mut table = Table::new(&["members", "token, at once", "token, in turn", "key, at once", "key, in turn"]);
    let mut at_target = None;
    for members in [10, 100, 1000] {
        let topology = Topology::new(parts(members)?)?;
        let [tokens, tokens_in_turn, keys, keys_in_turn] = lookups(&topology);
        if members == 100 {
            at_target = Some((tokens, tokens_in_turn));
        }
        table.row([
            members.to_string(),
            format!("{tokens:.1}"),
            format!("{tokens_in_turn:.1}"),
            format!("{keys:.1}"),
            format!("{keys_in_turn:.1}"),
        ]);
    }
    table.print();

    println!("\nBuilding a topology of 1,024 points a member, in ms.\n");
    let mut table = Table::new(&["members", "ms"]);
    for members in [10, 100, 1000] {
        let parts = parts(members)?;
        let rounds = if members < 1000 { ROUNDS } else { 5 };
        let mut took = Vec::new();
        for _ in 0..rounds {
            let parts = parts.clone();
            let began = Instant::now();
            black_box(Topology::new(parts)?);
            took.push(began.elapsed().as_secs_f64() * 1e3);
        }
        table.row([members.to_string(), format!("{:.2}", Spread::of(took))]);
    }
    table.print();

    if let Some((at_once, in_turn)) = at_target {
        let reached = |spread: Spread| if spread.median <= TARGET_NS { "reached" } else { "NOT reached" };
        println!(
            "\nTarget, a lookup at 100 members in at most {TARGET_NS:.0} ns: at once {}, in turn {}.",
            reached(at_once),
            reached(in_turn)
        );
    }
    println!("Nothing is allocated by a lookup: tests/no_alloc.rs.");
    Ok(())
}

fn parts(members: usize) -> Result<Parts, Failed> {
    let mut serving = BTreeMap::new();
    let mut records = BTreeMap::new();
    for n in 0..members {
        let id = NodeId::new(&format!("redis-{n}"))?;
        let record = Member { state: State::Up, fault: None, ..Member::faulty(id.clone(), "") };
        serving.insert(id.clone(), Placed::default());
        records.insert(id, record);
    }
    Ok(Parts {
        config: Config::default(),
        epoch: Epoch(1),
        step: Step(1),
        phase: Phase::Still,
        serving,
        next: BTreeMap::new(),
        old: BTreeMap::new(),
        copies_next: None,
        copies_old: None,
        members: records,
    })
}

/// Tokens and keys, each at once and in turn, interleaved so that a noisy moment meets all of them.
fn lookups(topology: &Topology) -> [Spread; 4] {
    let ring = topology.serving();
    let mut random = fastrand::Rng::with_seed(1);
    let tokens: Vec<Token> = (0..LOOKUPS).map(|_| Token(random.u32(..))).collect();
    // Eleven bytes, as `user:123456` has, in one piece of memory, so that reading them is not what is measured.
    let keys: Vec<[u8; 11]> = (0..LOOKUPS)
        .map(|_| {
            let mut key = *b"user:000000";
            key[5..].iter_mut().for_each(|digit| *digit = random.u8(b'0'..=b'9'));
            key
        })
        .collect();
    let mut took: [Vec<f64>; 4] = Default::default();
    for _ in 0..ROUNDS {
        let measured = [
            time(&tokens, |sum, token| sum + usize::from(ring.owners(*token)[0].0)),
            // The sum of what was found so far is part of the next token, so the next lookup cannot begin before.
            time(&tokens, |sum, token| usize::from(ring.owners(Token(token.0 ^ sum as u32))[0].0)),
            time(&keys, |sum, key| sum + usize::from(ring.owners(Token::of_key(key))[0].0)),
            time(&keys, |sum, key| {
                let mut key = *key;
                key[0] ^= sum as u8;
                usize::from(ring.owners(Token::of_key(&key))[0].0)
            }),
        ];
        took.iter_mut().zip(measured).for_each(|(took, ns)| took.push(ns));
    }
    took.map(Spread::of)
}

fn time<T>(items: &[T], lookup: impl Fn(usize, &T) -> usize) -> f64 {
    let began = Instant::now();
    black_box(items.iter().fold(0, lookup));
    began.elapsed().as_secs_f64() * 1e9 / items.len() as f64
}
