//! The commands of a batch: what each asks of the primary, and what the copies get of it.

use redis::{Cmd, Value};

use super::reply::is_error;
use crate::command::{self, Carried, Expect, Expiry, NoEffect, Plan, Repeat, Rewrite};
use crate::placement::Token;

/// One command of a batch, ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) cmd: Cmd,
    /// Those of its keys. Several only where they have the same owners.
    pub(super) tokens: Tokens,
    pub(super) copying: Copying,
    no_effect: NoEffect,
    /// What the primary is asked in one transaction with it.
    probes: Vec<Cmd>,
    /// The keys whose state the probes ask for, where only that tells what the copies get.
    keys: Vec<Vec<u8>>,
    /// Whether it may have written something before it failed, as scripts and commands of modules may.
    may_fail_late: bool,
    /// Whether the next owner executes it where its reply was lost.
    elsewhere: bool,
    /// Whether the primary's gate is asked together with it by a script, since the server has no memory for a transaction.
    pub(super) by_script: bool,
}

/// The tokens of a command's keys.
#[derive(Clone, Debug)]
pub(super) enum Tokens {
    One(Token),
    Many(Vec<Token>),
}

impl Tokens {
    pub(super) fn all(&self) -> &[Token] {
        match self {
            Tokens::One(token) => std::slice::from_ref(token),
            Tokens::Many(tokens) => tokens,
        }
    }

    /// Any of them: they have the same owners.
    pub(super) fn first(&self) -> Token {
        self.all().first().copied().unwrap_or(Token(0))
    }
}

/// What the copies get of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Copying {
    /// Nothing: it reads.
    Nothing,
    /// The command, whatever the primary says to it.
    Absolute,
    /// The command, once the primary has executed it.
    Deterministic,
    /// What the primary's replies, to it and to its probes, say that it did.
    Told,
    /// Nothing is asked but the probes, and the copies get the state that they tell.
    State,
}

impl Copying {
    pub(super) fn writes(self) -> bool {
        self != Copying::Nothing
    }

    /// Whether it may be executed twice without harm.
    pub(super) fn may_repeat(self) -> bool {
        match self {
            Copying::Nothing | Copying::Absolute | Copying::State => true,
            Copying::Deterministic | Copying::Told => false,
        }
    }
}

impl Step {
    pub(super) fn new(cmd: &Cmd, plan: &Plan<'_>, tokens: Tokens, repeat_scripts: bool) -> Step {
        let (copying, no_effect) = match plan {
            Plan::Write { repeat: Repeat::Absolute, no_effect, .. } => (Copying::Absolute, *no_effect),
            Plan::Write { repeat: Repeat::Deterministic, no_effect, .. } => (Copying::Deterministic, *no_effect),
            Plan::Write { repeat: Repeat::State, row, .. } if repeat_scripts && row.split == command::Split::Script => {
                (Copying::Deterministic, NoEffect::Unproven)
            }
            Plan::Write { repeat: Repeat::Effect | Repeat::State, no_effect, .. } => (Copying::Told, *no_effect),
            // Where nothing can be waited for, as in a transaction.
            Plan::Wait { row, .. } if row.is_write() => (Copying::Told, row.no_effect),
            Plan::Read { .. }
            | Plan::Wait { .. }
            | Plan::Split { .. }
            | Plan::Keyless { .. }
            | Plan::WholeRing { .. }
            | Plan::AnyMember { .. }
            | Plan::Publish { .. }
            | Plan::Channels { .. } => (Copying::Nothing, NoEffect::Unproven),
        };
        let probes = if copying == Copying::Told { command::probes(cmd, plan) } else { Vec::new() };
        let may_fail_late = matches!(plan, Plan::Write { repeat: Repeat::State, .. });
        Step {
            cmd: cmd.clone(),
            tokens,
            copying,
            no_effect,
            probes,
            keys: Vec::new(),
            may_fail_late,
            elsewhere: false,
            by_script: false,
        }
    }

    /// One that changes nothing, and gives the copies the state that these keys have.
    pub(super) fn state_of(keys: Vec<Vec<u8>>) -> Step {
        Step { copying: Copying::State, ..Step::unknown(&redis::cmd("DUMP"), keys, true) }
    }

    /// A part of a command that was split, whose keys have these tokens.
    pub(super) fn part(cmd: Cmd, tokens: Vec<Token>, writes: bool) -> Step {
        let copying = if writes { Copying::Absolute } else { Copying::Nothing };
        Step {
            cmd,
            tokens: Tokens::Many(tokens),
            copying,
            no_effect: NoEffect::Unproven,
            probes: Vec::new(),
            keys: Vec::new(),
            may_fail_late: false,
            elsewhere: false,
            by_script: false,
        }
    }

    /// A command that the table does not have, of which a server said what its keys are.
    pub(super) fn unknown(cmd: &Cmd, keys: Vec<Vec<u8>>, writes: bool) -> Step {
        let bytes: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let tokens = bytes.iter().map(|key| Token::of_key(key)).collect();
        let probes = if writes { command::state_probes(&bytes) } else { Vec::new() };
        Step {
            cmd: cmd.clone(),
            tokens: Tokens::Many(tokens),
            copying: if writes { Copying::Told } else { Copying::Nothing },
            no_effect: NoEffect::Unproven,
            probes,
            keys,
            may_fail_late: writes,
            elsewhere: false,
            by_script: false,
        }
    }

    /// One that is executed by the next owner where the reply of the primary was lost: what it took from the primary, the
    /// copies still have.
    pub(super) fn or_elsewhere(self) -> Step {
        Step { elsewhere: true, ..self }
    }

    /// Whether it may be sent again after its reply was lost.
    pub(super) fn may_repeat(&self) -> bool {
        self.elsewhere || self.copying.may_repeat()
    }

    /// Whether whoever may have executed it must not get it, or what it did, once more.
    pub(super) fn is_once_for_each(&self) -> bool {
        self.elsewhere && !self.copying.may_repeat()
    }

    /// Makes its expiry absolute in the primary's time, of which this is the time now.
    pub(super) fn make_absolute(&mut self, primary_now_ms: u64) {
        let Ok(plan @ Plan::Write { expiry: Expiry::Relative { .. }, .. }) = command::plan(&self.cmd) else { return };
        match command::absolute(&self.cmd, &plan, primary_now_ms) {
            Rewrite::AsSent => {}
            Rewrite::Absolute(cmd) => self.cmd = cmd,
            // The primary will say what is wrong with it, and then the copies get nothing.
            Rewrite::PrimaryAlone => self.copying = Copying::Deterministic,
        }
    }

    /// What the primary is sent.
    pub(super) fn asked(&self) -> impl Iterator<Item = &Cmd> {
        self.asks_itself().then_some(&self.cmd).into_iter().chain(&self.probes)
    }

    /// Whether the copies get the state of its keys.
    pub(super) fn copies_state(&self) -> bool {
        self.copying == Copying::State || self.copying == Copying::Told && self.may_fail_late
    }

    /// Whether the copies get the command itself.
    pub(super) fn copies_itself(&self) -> bool {
        matches!(self.copying, Copying::Absolute | Copying::Deterministic)
    }

    /// Whether it depends on what is there whether it changes anything, as a lock does.
    pub(super) fn may_refuse(&self) -> bool {
        self.no_effect != NoEffect::Unproven
    }

    /// Whether it does the same whenever it is executed, or nothing, as a lock does.
    pub(super) fn is_if_absent(&self) -> bool {
        self.copying == Copying::Deterministic && command::is_if_absent(&self.cmd)
    }

    /// Whether a reply proves that the command has changed nothing.
    pub(super) fn did_nothing(&self, reply: &Value) -> bool {
        is_error(reply) && !self.may_fail_late || self.no_effect.shown_by(reply)
    }

    /// Whether a script can run it: none calls another.
    pub(super) fn fits_a_script(&self) -> bool {
        self.copying == Copying::State || !self.may_fail_late
    }

    /// The keys that it may have written.
    pub(super) fn written(&self) -> Vec<Vec<u8>> {
        if self.keys.is_empty() { command::written_keys(&self.cmd) } else { self.keys.clone() }
    }

    /// Whether its command is for the primary.
    pub(super) fn asks_itself(&self) -> bool {
        match self.copying {
            Copying::Nothing | Copying::Absolute | Copying::Deterministic | Copying::Told => true,
            Copying::State => false,
        }
    }

    /// Whether it is more than one command for the primary.
    pub(super) fn has_probes(&self) -> bool {
        !self.probes.is_empty()
    }

    /// What the copies get after these replies of the primary, or `None` where the replies cannot be understood.
    pub(super) fn carried(&self, reply: &Value, answers: &[Value]) -> Option<Vec<Carried>> {
        let answered = answers.len() == self.probes.len() && !answers.iter().any(is_error);
        if is_error(reply) && !(self.may_fail_late && answered) {
            return Some(Vec::new());
        }
        match self.copying {
            Copying::Nothing => Some(Vec::new()),
            Copying::Absolute | Copying::Deterministic if self.no_effect.shown_by(reply) => Some(Vec::new()),
            Copying::Absolute | Copying::Deterministic => {
                Some(vec![Carried { cmd: self.cmd.clone(), expect: Expect::Reply(reply.clone()) }])
            }
            Copying::Told | Copying::State if !self.keys.is_empty() => {
                let keys: Vec<&[u8]> = self.keys.iter().map(Vec::as_slice).collect();
                command::restore(&keys, answers).ok()
            }
            Copying::Told | Copying::State => {
                command::plan(&self.cmd).ok().and_then(|plan| command::effect(&self.cmd, &plan, reply, answers).ok())
            }
        }
    }
}
