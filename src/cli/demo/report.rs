//! What the demo prints.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;

use super::super::exit::Failure;
use super::super::output::{Format, Out};
use super::load::Tally;
use crate::Stats;
use crate::placement::{NodeId, State};

/// Something that happened, in milliseconds since the load began.
#[derive(Debug, Serialize)]
pub(super) struct Event {
    pub(super) at_ms: u64,
    pub(super) what: String,
}

/// The member that was killed.
#[derive(Debug, Serialize)]
pub(super) struct Victim {
    pub(super) id: String,
    /// How many of the keys in play it is the primary of.
    pub(super) primary_of: usize,
    /// Whether its agent announced it again, as `joining`.
    pub(super) back: bool,
    /// Commands on keys that it has executed since it is back; unknown if it could not be asked.
    pub(super) commands_served: Option<u64>,
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
    pub(super) seconds: f64,
    pub(super) keys: usize,
    pub(super) victim: Victim,
    #[serde(skip)]
    pub(super) stats: Stats,
    pub(super) events: Vec<Event>,
}

impl Summary {
    /// Whether the promise was kept: nothing that was read was missing or wrong, and nothing acknowledged was lost.
    pub(super) fn is_clean(&self) -> bool {
        let unread = self.victim.commands_served == Some(0);
        self.failed_reads == 0 && self.wrong_reads == 0 && self.lost_writes == 0 && self.victim.back && unread
    }
}

/// Where the lines go: the story is the result for people, and a note beside the result for programs.
pub(super) struct Screen<'a> {
    out: &'a Out,
}

impl<'a> Screen<'a> {
    pub(super) fn new(out: &'a Out) -> Screen<'a> {
        Screen { out }
    }

    fn say(&self, line: &str) {
        match self.out.format() {
            // A reader who went away must not end the demo in the middle; the summary will notice.
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

    pub(super) fn summary(&self, summary: &Summary, first_error: Option<&str>) -> Result<(), Failure> {
        self.out.result(summary, || text(summary, first_error))
    }
}

fn text(summary: &Summary, first_error: Option<&str>) -> String {
    let victim = &summary.victim;
    let stats = &summary.stats;
    let share = 100 * victim.primary_of / summary.keys.max(1);
    let unread = match victim.commands_served {
        Some(0) => "it has answered no read and no write: its data is not known to be whole".to_owned(),
        Some(n) => format!("it has executed {n} commands, though nobody should have asked it"),
        None => "it could not be asked what it has executed".to_owned(),
    };
    let back = if victim.back { "back, joining" } else { "not announced again" };
    let mut lines = vec![
        String::new(),
        format!("  operations            {:>9}   in {:.1} s", summary.operations, summary.seconds),
        format!("  failed reads          {:>9}", summary.failed_reads),
        format!("  nil or wrong reads    {:>9}   every value is checked", summary.wrong_reads),
        format!("  lost writes           {:>9}   every key is read again at the end", summary.lost_writes),
        format!(
            "  failed writes         {:>9}   of these with unknown outcome {}",
            summary.failed_writes, stats.unknown_writes
        ),
        format!("  longest read          {:>9.1} ms", summary.longest_read_ms),
        format!("  longest write         {:>9.1} ms", summary.longest_write_ms),
        format!(
            "  reads failed over     {:>9}   {} asked a second owner because the first was slow",
            stats.failed_over_reads, stats.hedged_reads
        ),
        format!(
            "  writes on one copy    {:>9}   while {} was down",
            stats.degraded_writes + stats.missed_writes,
            victim.id
        ),
        format!("  {:<22}{back}: primary of {share} % of the keys; {unread}", victim.id),
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
        "nothing was lost, and no read noticed"
    } else {
        "the ring did not keep its promise: see the numbers above"
    };
    lines.extend([String::new(), format!("  {verdict}")]);
    lines.join("\n")
}
