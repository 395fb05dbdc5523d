//! Which arguments of a call are its keys.

use super::options;
use super::row::{Begin, Find, KeySpec, Keys, Role, Row};

/// A key of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<'a> {
    /// The key itself.
    pub bytes: &'a [u8],
    /// Its position among the arguments; the name is 0.
    pub at: usize,
    /// What the command does with it.
    pub role: Role,
}

/// Why the keys of a call cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoKeys {
    /// The call ends before its keys do, or the number of keys is no number.
    Short,
    /// A cursor stands where a key belongs.
    Cursor,
    /// The server itself does not say where they are.
    Unknown,
}

/// Shows each key of a call to `visit`, in the order of the row's specifications; channels are not shown.
///
/// The arguments begin with the command's name (for a subcommand also with the subcommand's) and are `None` where the
/// command has a cursor. It allocates nothing.
///
/// # Errors
///
/// [`NoKeys`], after which the keys already shown must not be used.
#[inline]
pub fn keys<'a, I>(row: &Row, args: I, mut visit: impl FnMut(Key<'a>)) -> Result<(), NoKeys>
where
    I: Clone + ExactSizeIterator<Item = Option<&'a [u8]>>,
{
    match row.keys {
        Keys::None => Ok(()),
        Keys::One(at) => {
            let at = usize::from(at);
            let role = if row.is_write() { Role::Writes } else { Role::Reads };
            visit(key_at(args, at, role)?);
            Ok(())
        }
        Keys::Many(specs) => specs.iter().try_for_each(|spec| of_spec(row, spec, &args, &mut visit)),
    }
}

/// The key at `at`.
#[inline]
pub(super) fn key_at<'a, I>(mut args: I, at: usize, role: Role) -> Result<Key<'a>, NoKeys>
where
    I: Iterator<Item = Option<&'a [u8]>>,
{
    let bytes = args.nth(at).ok_or(NoKeys::Short)?.ok_or(NoKeys::Cursor)?;
    Ok(Key { bytes, at, role })
}

fn of_spec<'a, I>(row: &Row, spec: &KeySpec, args: &I, visit: &mut impl FnMut(Key<'a>)) -> Result<(), NoKeys>
where
    I: Clone + ExactSizeIterator<Item = Option<&'a [u8]>>,
{
    match spec.role {
        Role::Channel => return Ok(()),
        Role::Reads | Role::Writes => {}
    }
    let begin = match spec.begin {
        Begin::At(at) => usize::from(at),
        Begin::After { word, from } => match position_after(word, from, args.clone()) {
            Some(at) => at,
            None => return Ok(()),
        },
        Begin::Stored => {
            return options::stored(row, args.clone()).try_for_each(|at| {
                visit(key_at(args.clone(), at, spec.role)?);
                Ok(())
            });
        }
        Begin::Unknown => return Err(NoKeys::Unknown),
    };
    let run = run(spec.find, begin, args)?;
    // In one pass: to go to each key from the beginning would take the square of their number.
    let mut rest = args.clone();
    let mut next = 0;
    for index in 0..run.count {
        let at = run.first + index * run.step;
        let bytes = rest.nth(at - next).ok_or(NoKeys::Short)?.ok_or(NoKeys::Cursor)?;
        next = at + 1;
        visit(Key { bytes, at, role: spec.role });
    }
    Ok(())
}

/// A run of keys among the arguments.
struct Run {
    first: usize,
    count: usize,
    step: usize,
}

fn run<'a, I>(find: Find, begin: usize, args: &I) -> Result<Run, NoKeys>
where
    I: Clone + ExactSizeIterator<Item = Option<&'a [u8]>>,
{
    match find {
        Find::Range { last, step, limit } => {
            let step = usize::from(step).max(1);
            let after = usize::from(last.unsigned_abs());
            // One past the last argument that may be a key.
            let end = if last >= 0 {
                begin + after + 1
            } else {
                let all = args.len().saturating_sub(begin);
                begin + (all / usize::from(limit).max(1) + 1).saturating_sub(after)
            };
            let count = end.saturating_sub(begin).div_ceil(step);
            Ok(Run { first: begin, count, step })
        }
        Find::Counted { number, first, step } => {
            let text = key_at(args.clone(), begin + usize::from(number), Role::Reads)?.bytes;
            let count = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
            let count: usize = count.ok_or(NoKeys::Short)?;
            if count > args.len() {
                return Err(NoKeys::Short);
            }
            let first = begin + usize::from(first);
            Ok(Run { first, count, step: usize::from(step).max(1) })
        }
    }
}

/// The position after the first `word` from `from` on; the last argument is not looked at, since nothing follows it.
fn position_after<'a, I>(word: &str, from: i8, mut args: I) -> Option<usize>
where
    I: ExactSizeIterator<Item = Option<&'a [u8]>>,
{
    let is_word = |arg: Option<&[u8]>| arg.is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()));
    let distance = usize::from(from.unsigned_abs());
    let end = args.len().checked_sub(1)?;
    if from >= 0 {
        let found = args.take(end).skip(distance).position(is_word)?;
        return Some(distance + found + 1);
    }
    // The last one wins, so the arguments are walked in their order and the latest find is kept.
    let last = args.len().checked_sub(distance)?;
    let mut found = None;
    for at in 0..=last {
        if is_word(args.next()?) && at > 0 {
            found = Some(at + 1);
        }
    }
    found
}
