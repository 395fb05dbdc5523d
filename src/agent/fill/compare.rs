//! What the target has already, from a filling that was broken off or from a life before: it is compared, not copied again.
//!
//! A print is made by the server that has the key, of its content and its expiry, so equal prints are equal keys. The
//! target's is taken first; what changes at the source later is told. Small keys have the print of their DUMP, but sets and
//! hashes that are kept as tables, whose order is each server's own, that of their sorted elements. Those between 64 KiB
//! and what is large are copied again, which costs no more than to sort them. Large keys are compared piece by piece, those
//! without an order by sums.

use redis::{Cmd, Value, cmd};

use super::dirty::Key;
use super::large::{Kind, Pieces};
use super::pace::Pace;
use super::source::Trouble;

/// What a server's script says a key is equal by. Empty: nothing is known.
pub(super) type Print = Vec<u8>;

/// Prints of the first of these keys at least.
pub(super) const PRINTS: &str =
    concat!("#!lua flags=no-writes,allow-oom\n", include_str!("print.lua"), include_str!("prints.lua"));

/// The print of one piece of a large key.
const PIECE: &str = concat!("#!lua flags=no-writes,allow-oom\n", include_str!("piece.lua"));

/// The question for prints.
pub(super) fn prints(keys: &[Key], large_bytes: u64, batch_bytes: usize) -> Cmd {
    let mut ask = cmd("EVAL_RO");
    ask.arg(PRINTS).arg(keys.len());
    for key in keys {
        ask.arg(&key[..]);
    }
    ask.arg(large_bytes).arg(batch_bytes).take()
}

/// How far one server's large key is printed.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    next: Vec<u8>,
    elements: u64,
    print: Vec<u8>,
}

impl Part {
    fn of(answer: Option<Value>) -> Option<Part> {
        let Some(Value::Array(parts)) = answer else { return None };
        let Ok([Value::BulkString(next), Value::Int(elements), Value::BulkString(print)]) =
            <[Value; 3]>::try_from(parts)
        else {
            return None;
        };
        Some(Part { next, elements: elements.unsigned_abs(), print })
    }
}

/// Sums of the parts of all elements' prints, in no order.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums([u64; 3], u64);

impl Sums {
    fn add(&mut self, part: &Part) -> Option<()> {
        let text = std::str::from_utf8(&part.print).ok()?;
        let mut sums = text.split(':').map(|sum| sum.parse::<u64>().ok());
        for sum in &mut self.0 {
            *sum = (*sum + sums.next()??) % (1 << 48);
        }
        self.1 += part.elements;
        Some(())
    }
}

impl Pieces {
    /// Whether the target has the same under a large key, which has `len` elements and this expiry. No where it is not
    /// certain: then it is copied.
    pub(super) async fn is_there(
        &self,
        key: &Key,
        (kind, len, expiry): (Kind, u64, i64),
        count: u64,
        pace: Option<&Pace>,
    ) -> Result<bool, Trouble> {
        let mut first = redis::pipe();
        first.cmd("TYPE").arg(&key[..]).cmd("PEXPIRETIME").arg(&key[..]);
        let there = self.target.answers(&first).await?;
        let [Value::SimpleString(name), Value::Int(theirs)] = &there[..] else { return Ok(false) };
        if Kind::of(name) != Some(kind) || (*theirs).max(0) != expiry {
            return Ok(false);
        }
        let ask = |from: &[u8]| cmd("EVAL_RO").arg(PIECE).arg(1).arg(&key[..]).arg(name).arg(from).arg(count).take();
        let at_source = async |from: &[u8]| self.ask(&ask(from)).await.map(Part::of);
        let at_target = async |from: &[u8]| {
            let answer = self.target.answers(redis::pipe().add_command(ask(from))).await?.pop();
            Ok::<_, Trouble>(Part::of(answer))
        };
        let (mut ours, mut theirs) = (Some(b"0".to_vec()), Some(b"0".to_vec()));
        let (mut our_sums, mut their_sums) = (Sums::default(), Sums::default());
        while ours.is_some() || theirs.is_some() {
            let (source, target) = futures_util::try_join!(
                async { if let Some(from) = &ours { at_source(from).await.map(Some) } else { Ok(None) } },
                async { if let Some(from) = &theirs { at_target(from).await.map(Some) } else { Ok(None) } },
            )?;
            let spent = source.as_ref().and_then(Option::as_ref).map_or(0, |part| part.elements);
            if kind.by_cursor() {
                for (part, from, sums) in [(source, &mut ours, &mut our_sums), (target, &mut theirs, &mut their_sums)] {
                    let Some(part) = part else { continue };
                    let Some(part) = part else { return Ok(false) };
                    if sums.add(&part).is_none() || sums.1 > len {
                        return Ok(false);
                    }
                    *from = Some(part.next).filter(|next| next != b"0");
                }
            } else {
                let (Some(Some(source)), Some(Some(target))) = (source, target) else { return Ok(false) };
                if source != target {
                    return Ok(false);
                }
                our_sums.1 += source.elements;
                their_sums.1 += target.elements;
                let goes_on = source.elements > 0;
                (ours, theirs) = (goes_on.then_some(source.next), goes_on.then_some(target.next));
            }
            if let Some(pace) = pace {
                pace.spend(if matches!(kind, Kind::String) { 1 } else { spent }, 0).await;
            }
        }
        Ok(our_sums == their_sums && our_sums.1 == len)
    }
}
