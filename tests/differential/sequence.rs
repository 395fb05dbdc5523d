//! One random sequence of commands, run on the ring and on the plain server.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};

use fastrand::Rng;
use redis::{Cmd, Value};
use redis_ring::command::{Split, Support, plan, resolve};
use redis_ring::placement::Token;

use super::oracle::{Call, Oracle};
use super::replies::is_error;
use super::ring::{Batch, Done, Ring};
use super::template::{Compare, Form, Forms};
use super::uncertain;
use super::words::{Drawn, Space, Word, Words};

/// After so many commands what was touched is compared.
const COMPARED_EVERY: usize = 50;
/// So many of the last calls are told when something differs.
const TOLD: usize = 60;

/// A sequence under way.
pub struct Sequence<'a> {
    pub forms: &'a Forms,
    pub space: Space,
    pub seed: u64,
    pub rng: Rng,
    pub ring: Ring<'a>,
    pub oracle: Oracle,
    /// Nobody else uses the ring.
    pub alone: bool,
    /// A member is killed meanwhile, so calls may fail.
    pub faulty: bool,
    /// Scripts are repeated on the copies, so none may run whose effect is a matter of chance or of the moment.
    pub repeats_scripts: bool,
    /// Counts what all sequences on the ring execute together.
    pub total: Option<&'a AtomicUsize>,
    step: usize,
    executed: usize,
    pub tally: Tally,
    touched: BTreeSet<Vec<u8>>,
    told: VecDeque<String>,
}

/// How often each form ran and was refused.
#[derive(Default)]
pub struct Tally {
    pub ran: BTreeMap<String, Ran>,
    pub refused: BTreeMap<String, String>,
    /// Calls that failed while a member died.
    pub failed: usize,
    pub failures: BTreeSet<String>,
    pub pipelines: usize,
}

#[derive(Debug, Default)]
pub struct Ran {
    pub calls: usize,
    pub errors: usize,
}

impl<'a> Sequence<'a> {
    pub fn new(forms: &'a Forms, space: Space, seed: u64, ring: Ring<'a>, oracle: Oracle) -> Sequence<'a> {
        // Sequences of one seed are different ones.
        let rng = Rng::with_seed(seed ^ u64::from(crc32fast::hash(space.name.as_bytes())));
        let (touched, told) = (BTreeSet::new(), VecDeque::new());
        let (alone, faulty, step, executed, tally) = (true, false, 0, 0, Tally::default());
        let (total, repeats_scripts) = (None, false);
        Sequence {
            forms,
            space,
            seed,
            rng,
            ring,
            oracle,
            alone,
            faulty,
            repeats_scripts,
            total,
            step,
            executed,
            tally,
            touched,
            told,
        }
    }

    /// Runs so many commands, those not counted that the ring refuses, and compares all that they left.
    ///
    /// # Panics
    /// When the ring differs from the plain server: with the seed and what came before.
    pub async fn run(&mut self, commands: usize) {
        self.prepare().await;
        let mut compared = 0;
        while self.executed() < commands {
            self.next().await;
            if self.step >= compared + COMPARED_EVERY {
                compared = self.step;
                let touched = std::mem::take(&mut self.touched);
                self.compare(&touched).await;
            }
        }
        self.touched.clear();
        let all: BTreeSet<Vec<u8>> = self.space.keys().into_iter().collect();
        self.compare(&all).await;
        if self.alone {
            let strays: BTreeSet<Vec<u8>> = self.ring.keys().await.difference(&all).cloned().collect();
            self.check(strays.is_empty(), || format!("keys that nobody wrote: {strays:?}"));
        }
    }

    pub fn executed(&self) -> usize {
        self.executed
    }

    /// Scripts that are called by their hash or name, as far as the ring keeps them.
    async fn prepare(&mut self) {
        let mut loads: Vec<Cmd> = self.forms.scripts.values().map(|text| cmd(&["SCRIPT", "LOAD", text])).collect();
        if self.alone {
            loads.push(cmd(&["FUNCTION", "LOAD", "REPLACE", &self.forms.scripts["library"]]));
        }
        for load in loads {
            if let Done::Replies(ours) = self.ring.run(Batch::One, std::slice::from_ref(&load)).await {
                let theirs = self.oracle.server.ask(&load).await;
                // The library is no script, and both say so.
                self.check(ours == [theirs], || "a script is loaded otherwise".to_owned());
            }
        }
    }

    async fn next(&mut self) {
        let batch = match self.rng.u32(..12) {
            0 => Batch::Pipeline,
            1 => Batch::Atomic,
            _ => Batch::One,
        };
        let length = if batch == Batch::One { 1 } else { self.rng.usize(2..7) };
        let tag = self.tag();
        let mut calls = Vec::new();
        for _ in 0..length {
            let tag = if batch == Batch::Pipeline { self.tag() } else { tag };
            calls.push(self.call(batch, tag).await);
            self.step += 1;
        }
        for call in &calls {
            self.touched.extend(call.keys.iter().cloned());
            self.told.push_back(format!("{batch:?} {}", call.text()));
        }
        while self.told.len() > TOLD {
            self.told.pop_front();
        }
        let done = match calls.as_slice() {
            [call] if call.form.compare == Compare::Cursor => self.ring.iterate(&call.args, call.cursor_at()).await,
            _ => {
                let commands: Vec<Cmd> = calls.iter().map(Call::command).collect();
                self.ring.run(batch, &commands).await
            }
        };
        match done {
            Done::Replies(replies) if self.faulty && uncertain::in_part(&replies) => {
                self.tally.failed += 1;
                let settled = uncertain::settle(&mut self.ring, &mut self.oracle, &calls, true).await;
                self.settled(settled);
            }
            Done::Replies(replies) => {
                self.tally.pipelines += usize::from(batch != Batch::One);
                self.follow(&calls, &replies).await;
            }
            Done::Refused(why) => self.refused(&calls, &why),
            Done::Failed(outcome, why) if self.faulty => {
                self.tally.failed += 1;
                self.tally.failures.insert(format!("{}: {why}", calls[0].form.text));
                let may_have_run = outcome == redis_ring::Outcome::Unknown;
                let settled = uncertain::settle(&mut self.ring, &mut self.oracle, &calls, may_have_run).await;
                self.settled(settled);
            }
            Done::Failed(_, why) => self.fail(&format!("it failed: {why}")),
        }
    }

    /// Mostly the same one for a while, so that commands meet.
    fn tag(&mut self) -> u32 {
        const WHILE: usize = 100;
        match self.rng.u32(..4) {
            0 => self.rng.u32(..self.space.tags),
            _ => u32::try_from(self.step / WHILE).expect("few steps") % self.space.tags,
        }
    }

    /// A call that may run as part of such a batch.
    async fn call(&mut self, batch: Batch, tag: u32) -> Call<'a> {
        loop {
            let forms = self.forms;
            let form = &forms.forms[self.rng.usize(..forms.forms.len())];
            if self.repeats_scripts && form.is_undefined_script() {
                continue;
            }
            // They need every member, and one of them is dead.
            if self.faulty && form.rows.iter().any(|row| row.split == Split::WholeRing) {
                continue;
            }
            if (form.alone && !self.alone) || (form.rare && self.rng.u32(..30) != 0) || !may_join(form, batch) {
                continue;
            }
            let crossed = batch == Batch::One && self.rng.u32(..50) == 0;
            let words = Words { space: &self.space, scripts: &forms.scripts, step: self.step };
            let Drawn { words, keys } = words.draw(&mut self.rng, form, tag, crossed);
            let mut args = Vec::with_capacity(words.len());
            for word in words {
                args.push(match word {
                    Word::Bytes(bytes) => bytes,
                    live => self.oracle.resolve(live).await,
                });
            }
            let call = Call { form, args, keys, crossed };
            if batch == Batch::One || self.ring.is_plain() || !refused_alone(&call) {
                return call;
            }
        }
    }

    /// Does on the plain server what the ring did.
    async fn follow(&mut self, calls: &[Call<'a>], replies: &[Value]) {
        self.check(calls.len() == replies.len(), || format!("{} replies: {replies:?}", replies.len()));
        for (call, ours) in calls.iter().zip(replies) {
            if let Value::ServerError(error) = ours
                && error.code() == "REFUSED"
            {
                self.refused(std::slice::from_ref(call), ours);
                continue;
            }
            self.check(self.ring.is_plain() || !must_be_refused(call), || {
                format!("its keys have different tags, and it ran\n  {}", call.text())
            });
            self.executed += 1;
            if let Some(total) = self.total {
                total.fetch_add(1, Ordering::Relaxed);
            }
            let ran = self.tally.ran.entry(call.form.text.clone()).or_default();
            ran.calls += 1;
            ran.errors += usize::from(is_error(ours));
            if let Err(why) = self.oracle.follow(call, ours, &mut self.ring).await {
                self.fail(&format!("{}\n  {why}", call.text()));
            }
        }
        if calls.iter().any(|call| call.form.compare == Compare::Expires) {
            let keys = calls.iter().flat_map(|call| call.keys.iter().cloned()).collect();
            if let Err(why) = self.oracle.align(&keys, &mut self.ring).await {
                self.fail(&why);
            }
        }
    }

    /// What the ring refuses is not done, which the next comparison shows.
    fn refused(&mut self, calls: &[Call<'a>], why: &dyn Debug) {
        if !calls.iter().any(|call| call.crossed || refused_alone(call)) {
            let forms: Vec<&str> = calls.iter().map(|call| call.form.text.as_str()).collect();
            self.fail(&format!("it was refused: {why:?}\n  {}", forms.join("; ")));
        }
    }

    async fn compare(&mut self, keys: &BTreeSet<Vec<u8>>) {
        let expected = self.oracle.server.contents(keys).await.expect("answers");
        if let Err(why) = self.ring.compare(&expected).await {
            self.fail(&why);
        }
    }

    fn settled(&self, settled: Result<(), String>) {
        if let Err(why) = settled {
            self.fail(&why);
        }
    }

    fn check(&self, holds: bool, why: impl FnOnce() -> String) {
        if !holds {
            self.fail(&why());
        }
    }

    fn fail(&self, why: &str) -> ! {
        let told: Vec<&str> = self.told.iter().map(String::as_str).collect();
        panic!(
            "the ring is not as one server, after {} commands with REDIS_RING_SEED={} in {}\n{why}\nthe last calls:\n  {}",
            self.step,
            self.seed,
            self.space.name,
            told.join("\n  ")
        );
    }
}

/// Whether calls of the form may be part of such a batch.
fn may_join(form: &Form, batch: Batch) -> bool {
    let is_split = |form: &Form| form.text.contains("*>");
    let has_keys = |form: &Form| {
        let of_keys = |split| matches!(split, Split::OneKey | Split::SameToken | Split::PerKey(_) | Split::Script);
        form.rows.iter().all(|row| of_keys(row.split))
    };
    match batch {
        Batch::One => true,
        Batch::Pipeline => !form.single && !form.alone,
        // All its keys have the same owners.
        Batch::Atomic => !form.single && !form.alone && has_keys(form) && !is_split(form),
    }
}

/// Whether it needs one tag and has several. Their owners may be the same by accident, and will not be for ever.
fn must_be_refused(call: &Call<'_>) -> bool {
    let tag = |key: &Vec<u8>| Token::of_key(key);
    let needs_one = call.form.rows.iter().all(|row| matches!(row.split, Split::SameToken | Split::Script));
    needs_one && call.keys.iter().any(|key| tag(key) != tag(&call.keys[0]))
}

/// Whether the ring says so far that it does not run such a call.
fn refused_alone(call: &Call<'_>) -> bool {
    let row = resolve(&call.args[0], call.args.get(1).map(Vec::as_slice));
    row.is_none_or(|row| row.support != Support::Runs) || plan(&call.command()).is_err()
}

fn cmd(words: &[&str]) -> Cmd {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command
}
