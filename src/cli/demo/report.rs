//! What the demo prints.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;

use super::super::exit::Failure;
use super::super::human::grouped;
use super::super::output::{Format, Out};
use super::super::progress::Move;
use super::load::Tally;
use crate::Stats;
use crate::placement::{NodeId, State};

/// Something that happened, in milliseconds since the load began.
#[derive(Debug, Serialize)]
pub(super) struct Event {
    pub(super) at_ms: u64,
    pub(super) what: String,
}

/// The member that failed.
#[derive(Debug, Serialize)]
pub(super) struct Victim {
    pub(super) id: String,
    /// How many of the keys in play it is the primary of.
    pub(super) primary_of: usize,
    /// How many of them it holds a copy of.
    pub(super) owned: usize,
    /// Whether it was up again, with all its keys, in time.
    pub(super) back: bool,
}

/// The JSON contract of `demo`, and some more fields.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    pub(super) operations: u64,
    pub(super) failed_reads: u64,
    pub(super) failed_writes: u64,
    /// Nil or not the value written last.
    pub(super) wrong_reads: u64,
    pub(super) nil_reads: u64,
    pub(super) lost_writes: u64,
    pub(super) longest_read_ms: f64,
    pub(super) longest_write_ms: f64,
    /// What part of the operations offered while the member was away was not served, from 0 to 1.
    pub(super) capacity_lost: f64,
    /// Likewise before that: what this machine could not serve with all members up.
    pub(super) capacity_lost_before: f64,
    /// From the moment that the member's server was back until the ring was whole; `null` if it was not in time.
    pub(super) whole_again_ms: Option<u64>,
    /// Keys that were asked directly at each of their owners.
    pub(super) compared_keys: usize,
    /// Those of them that not all owners held alike.
    pub(super) differing_copies: usize,
    pub(super) seconds: f64,
    pub(super) keys: usize,
    pub(super) victim: Victim,
    #[serde(skip)]
    pub(super) stats: Stats,
    pub(super) events: Vec<Event>,
}

impl Summary {
    /// Whether the promise was kept: no operation failed, nothing that was read was missing or wrong, nothing acknowledged
    /// was lost, and all copies are there again and equal.
    pub(super) fn is_clean(&self) -> bool {
        let bad = self.failed_reads + self.failed_writes + self.wrong_reads + self.lost_writes;
        bad == 0 && self.victim.back && self.differing_copies == 0
    }
}

/// Where the lines go: the story is the result for people, and a note beside the result for programs.
pub(super) struct Screen<'a> {
    out: &'a Out,
    /// When the progress of a move was said last, and what.
    said: Cell<Option<(Duration, u64)>>,
}

impl<'a> Screen<'a> {
    pub(super) fn new(out: &'a Out) -> Screen<'a> {
        Screen { out, said: Cell::new(None) }
    }

    /// Whether the lines go to a terminal.
    fn is_live(&self) -> bool {
        matches!(self.out.format(), Format::Table | Format::Wide) && self.out.is_terminal()
    }

    fn say(&self, line: &str) {
        match self.out.format() {
            // A reader who went away must not end the demo in the middle; the summary will notice. What stood there for a
            // moment, a bar, goes.
            Format::Table | Format::Wide if self.is_live() => drop(self.out.line(&format!("\r\x1b[2K{line}"))),
            Format::Table | Format::Wide => drop(self.out.line(line)),
            Format::Json | Format::Yaml => self.out.note(line),
        }
    }

    pub(super) fn note(&self, text: &str) {
        self.say(&format!("        {text}"));
    }

    pub(super) fn event(&self, event: &Event) {
        self.say(&format!("{:>5.1} s ▸ {}", event.at_ms as f64 / 1000.0, event.what));
    }

    /// The line of one second.
    pub(super) fn second(&self, at: Duration, operations: u64, tally: &Tally, states: &[(NodeId, State)]) {
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let members: Vec<String> = states
            .iter()
            .map(|(id, state)| match state {
                State::Up => format!("{id} up"),
                State::Down | State::Joining => format!("{id} {}", state.as_str().to_uppercase()),
            })
            .collect();
        self.say(&format!(
            "{:>5.1} s   {operations:>6} op/s  reads failed {} nil {} wrong {}  writes failed {}  longest {:>5.1} ms   {}",
            at.as_secs_f64(),
            count(&tally.failed_reads),
            count(&tally.nil_reads),
            count(&tally.wrong_reads),
            count(&tally.failed_writes),
            tally.take_recent().as_secs_f64() * 1000.0,
            members.join("  "),
        ));
    }

    /// How far a move is: a bar on a terminal, elsewhere a line at most once a second, and only for what is new.
    pub(super) fn progress(&self, at: Duration, found: &Move) {
        let share = if found.total == 0 { 0.0 } else { (found.done as f64 / found.total as f64).min(1.0) };
        if self.is_live() {
            let full = (share * f64::from(BAR)).floor() as usize;
            let bar = format!("{}{}", "█".repeat(full), "░".repeat(BAR as usize - full));
            drop(self.out.raw(format!("\r\x1b[2K{:>5.1} s   {bar} {}", at.as_secs_f64(), found.text()).as_bytes()));
            return;
        }
        let due = |(said, done): (Duration, u64)| done != found.done && at >= said + Duration::from_secs(1);
        if found.done > 0 && self.said.get().is_none_or(due) {
            self.said.set(Some((at, found.done)));
            self.say(&format!("{:>5.1} s   {}: {}", at.as_secs_f64(), found.phase, found.text()));
        }
    }

    pub(super) fn summary(&self, summary: &Summary, first_error: Option<&str>) -> Result<(), Failure> {
        self.out.result(summary, || text(summary, first_error))
    }
}

/// How many characters a bar has.
const BAR: u8 = 24;

fn text(summary: &Summary, first_error: Option<&str>) -> String {
    let victim = &summary.victim;
    let stats = &summary.stats;
    let whole = match summary.whole_again_ms {
        Some(ms) => format!("{:>9.1} s    after its server was back", ms as f64 / 1000.0),
        None => "       no     not in time".to_owned(),
    };
    let mut lines = vec![
        String::new(),
        format!("  operations            {:>9}   in {:.1} s", grouped(summary.operations), summary.seconds),
        format!("  failed reads          {:>9}", summary.failed_reads),
        format!(
            "  failed writes         {:>9}   {} of them with unknown outcome",
            summary.failed_writes, stats.unknown_writes
        ),
        format!("  nil or wrong reads    {:>9}   every value is checked", summary.wrong_reads),
        format!("  lost writes           {:>9}   every key is read again at the end", summary.lost_writes),
        format!(
            "  differing copies      {:>9}   {} keys asked directly at each of their owners",
            summary.differing_copies,
            grouped(summary.compared_keys as u64)
        ),
        format!("  longest read          {:>9.1} ms", summary.longest_read_ms),
        format!("  longest write         {:>9.1} ms", summary.longest_write_ms),
        format!(
            "  capacity lost         {:>9.1} %    of what was offered while {} was away; {:.1} % with all up",
            summary.capacity_lost * 100.0,
            victim.id,
            summary.capacity_lost_before * 100.0
        ),
        format!(
            "  whole again           {whole}: primary of {} of the keys, holds {}",
            grouped(victim.primary_of as u64),
            grouped(victim.owned as u64)
        ),
        format!(
            "  reads failed over     {:>9}   {} asked a second owner because the first was slow",
            grouped(stats.failed_over_reads),
            grouped(stats.hedged_reads)
        ),
        format!(
            "  writes on one copy    {:>9}   while {} was away",
            grouped(stats.degraded_writes + stats.missed_writes),
            victim.id
        ),
        String::new(),
        "  timeline".to_owned(),
    ];
    for event in &summary.events {
        lines.push(format!("    {:>7.3} s  {}", event.at_ms as f64 / 1000.0, event.what));
    }
    if let Some(error) = first_error {
        lines.extend([String::new(), format!("  the first error: {error}")]);
    }
    let verdict = if summary.is_clean() {
        "nothing was lost, nothing failed, and everything is there twice again"
    } else {
        "the ring did not keep its promise: see the numbers above"
    };
    lines.extend([String::new(), format!("  {verdict}")]);
    lines.join("\n")
}
