//! Whatever a service does with one Redis it can do with the ring: random commands on both, and everything equal.
//!
//! `REDIS_RING_SEED` repeats a sequence, `REDIS_RING_COMMANDS` says how long each is. The forms of commands are in
//! `differential/forms.txt`.
#![cfg(feature = "cli")]
#![cfg(test)]

mod support;

#[path = "differential/coverage.rs"]
mod coverage;
#[path = "differential/oracle.rs"]
mod oracle;
#[path = "differential/replies.rs"]
mod replies;
#[path = "differential/ring.rs"]
mod ring;
#[path = "differential/sequence.rs"]
mod sequence;
#[path = "differential/state.rs"]
mod state;
#[path = "differential/template.rs"]
mod template;
#[path = "differential/uncertain.rs"]
mod uncertain;
#[path = "differential/words.rs"]
mod words;

use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use oracle::Oracle;
use redis_ring::local::{RedisOptions, RedisServer};
use redis_ring::policy::{ReadPolicy, ScriptPolicy};
use ring::Ring;
use sequence::{Ran, Sequence};
use state::Server;
use support::FixedRing;
use template::{Form, Forms};
use words::Space;

/// What the environment says, or else.
fn setting<T: FromStr>(name: &str, default: impl FnOnce() -> T) -> T {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is a number")),
        Err(_) => default(),
    }
}

/// A seed of its own for each sequence of a run; the same one for all where the environment gives it.
fn seed() -> u64 {
    setting("REDIS_RING_SEED", || fastrand::u64(..))
}

/// Small values are packed, and packed values keep an order that others do not: few elements must be many.
fn options() -> RedisOptions {
    let packed = ["hash-max-listpack-entries", "set-max-intset-entries", "zset-max-listpack-entries"];
    let options = packed.into_iter().fold(RedisOptions::new(), |options, name| options.set(name, "5"));
    options.set("stream-node-max-entries", "4").set("list-max-listpack-size", "4")
}

async fn server() -> RedisServer {
    support::redis_with(options()).await
}

async fn servers(count: usize) -> FixedRing {
    FixedRing::of(futures_util::future::join_all((0..count).map(|_| server())).await)
}

async fn oracle(server: &RedisServer) -> Oracle {
    Oracle { server: Server::connect(&server.addr()).await }
}

/// One sequence on a ring of its own.
async fn is_as_one_server(members: usize, read: ReadPolicy, scripts: ScriptPolicy) {
    let (ring, plain) = (servers(members).await, server().await);
    let client = ring.connected(ring.patient().read_policy(read).script_policy(scripts)).await;
    let (forms, nobody) = (Forms::load(), OnceLock::new());
    let space = Space { name: "t".to_owned(), tags: 3 };
    let under_test = Ring::of(&ring, &client, &nobody).await;
    let mut sequence = Sequence::new(&forms, space, seed(), under_test, oracle(&plain).await);
    sequence.repeats_scripts = scripts == ScriptPolicy::Repeat;
    run(&mut sequence, 4_000).await;
    let stats = client.stats();
    assert_eq!((stats.differing_replies, stats.missed_writes), (0, 0), "REDIS_RING_SEED={}", sequence.seed);
}

async fn run(sequence: &mut Sequence<'_>, commands: usize) {
    println!("REDIS_RING_SEED={}", sequence.seed);
    sequence.run(setting("REDIS_RING_COMMANDS", || commands)).await;
    let (calls, tally) = (sequence.executed(), &sequence.tally);
    println!(
        "{calls} calls of {} forms, {} pipelines; refused: {:#?}",
        tally.ran.len(),
        tally.pipelines,
        tally.refused
    );
}

/// What differs between two plain servers is not defined, and no form may ask for it.
#[tokio::test]
async fn random_sequences_are_the_same_on_two_plain_servers() {
    let (one, other) = (server().await, server().await);
    let (forms, nobody) = (Forms::load(), OnceLock::new());
    let space = Space { name: "t".to_owned(), tags: 3 };
    let one = Ring::plain(&one.addr(), &nobody).await;
    // Always the same one, so that it draws every form.
    let seed = setting("REDIS_RING_SEED", || 1);
    let mut sequence = Sequence::new(&forms, space, seed, one, oracle(&other).await);
    run(&mut sequence, 4_000).await;
    // A form whose calls always fail tests next to nothing; most often it gives a command arguments of a wrong kind.
    let ran = |form: &Form| sequence.tally.ran.get(&form.text);
    let useless = forms
        .forms
        .iter()
        .filter(|form| ran(form).map_or(!form.rare, |ran| ran.calls >= 10 && form.fails != (ran.errors == ran.calls)));
    let useless: Vec<(&String, Option<&Ran>)> = useless.map(|form| (&form.text, ran(form))).collect();
    assert!(useless.is_empty(), "forms that are never drawn, or always fail: {useless:#?}");
}

#[tokio::test]
async fn random_sequences_are_those_of_one_server() {
    is_as_one_server(3, ReadPolicy::Primary, ScriptPolicy::default()).await;
}

#[tokio::test]
async fn random_sequences_are_those_of_one_server_where_copies_are_read_and_repeat_scripts() {
    is_as_one_server(4, ReadPolicy::Replica, ScriptPolicy::Repeat).await;
}

#[tokio::test]
async fn random_sequences_are_those_of_one_server_whoever_is_read() {
    is_as_one_server(2, ReadPolicy::Any, ScriptPolicy::default()).await;
}

/// Several sequences at once, so that commands are under way when the member dies.
#[tokio::test]
async fn what_was_acknowledged_survives_a_killed_member() {
    let (ring, plain) = (servers(3).await, server().await);
    let client = ring.connected(ring.patient()).await;
    let (forms, dead, seed) = (Forms::load(), OnceLock::new(), seed());
    println!("REDIS_RING_SEED={seed}");
    let commands = setting("REDIS_RING_COMMANDS", || 300);
    let mut rng = fastrand::Rng::with_seed(seed);
    let executed = AtomicUsize::new(0);
    let mut sequences = Vec::new();
    for nth in 0..16 {
        let space = Space { name: format!("s{nth}:"), tags: 2 };
        let under_test = Ring::of(&ring, &client, &dead).await;
        let mut sequence = Sequence::new(&forms, space, seed, under_test, oracle(&plain).await);
        (sequence.alone, sequence.faulty, sequence.total) = (false, true, Some(&executed));
        sequences.push(sequence);
    }
    let victim = rng.choice(ring.servers.keys()).expect("a member").clone();
    let kill_after = rng.usize(commands * 2..commands * 14);
    let running = sequences.iter_mut().map(|sequence| sequence.run(commands));
    let killing = async {
        while executed.load(Ordering::Relaxed) < kill_after {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        dead.set(victim.clone()).expect("only one dies");
        ring.server(&victim).kill();
    };
    tokio::join!(futures_util::future::join_all(running), killing);
    let failed: usize = sequences.iter().map(|sequence| sequence.tally.failed).sum();
    let failures: Vec<_> = sequences.iter().flat_map(|sequence| &sequence.tally.failures).collect();
    println!("{failures:#?}");
    println!("{victim} was killed after {kill_after} calls; {failed} failed, {:?}", client.stats());
}

#[test]
fn every_command_that_runs_is_executed_by_a_test() {
    let wrong = coverage::wrong(&Forms::load());
    assert!(wrong.is_empty(), "{wrong:#?}");
}
