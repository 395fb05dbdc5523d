//! What the options of one call change: the row says what a word means, the scan finds the words.

use super::row::{Meaning, NoEffect, Options, Replication, Row, Scan, Support, Takes, Unit, Word};

/// What one call does, after its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) replication: Replication,
    pub(super) no_effect: NoEffect,
    pub(super) expiry: Option<(usize, Unit)>,
    pub(super) stores: Stores,
    /// Where its longest wait in milliseconds stands.
    pub(super) waits: Option<usize>,
    /// Whether the expiry that its row tells of is an absolute one in this call.
    pub(super) absolute_expiry: bool,
}

/// Whether a call names a key to store to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stores {
    Nowhere,
    SomeKey,
}

/// The call that `args` make of `row`; refused if an option is.
#[inline]
pub(super) fn call<'a, I>(row: &Row, args: I) -> Result<Call, Support>
where
    I: Clone + ExactSizeIterator<Item = Option<&'a [u8]>>,
{
    let mut call = Call {
        replication: row.replication,
        no_effect: row.no_effect,
        expiry: None,
        stores: Stores::Nowhere,
        waits: None,
        absolute_expiry: false,
    };
    // Most calls have no options and end where options would begin.
    if let Some(options) = row.options.filter(|options| args.len() > usize::from(options.from)) {
        apply(&mut call, options, args)?;
    }
    Ok(call)
}

fn apply<'a, I>(call: &mut Call, options: &'static Options, args: I) -> Result<(), Support>
where
    I: Clone + Iterator<Item = Option<&'a [u8]>>,
{
    for found in Scanner::new(options, args) {
        let (word, at, value, approximate) = match found {
            Found::Word { word, at, value, mark } => (word, at, value, mark == Some(b'~')),
            Found::UnknownWord => {
                call.depends();
                call.no_effect = NoEffect::Unproven;
                continue;
            }
            Found::GeneratedId => {
                call.replication = call.replication.max(Replication::Effect);
                continue;
            }
            Found::NoId => {
                call.replication = call.replication.max(Replication::Refresh);
                continue;
            }
        };
        match word.meaning {
            Meaning::Plain => {}
            Meaning::Depends => call.depends(),
            Meaning::ReturnsOld => {
                call.depends();
                call.no_effect = NoEffect::Unproven;
            }
            // A second expiry is an error of the server's; the first one is as good as any to meet it with.
            Meaning::Expires(unit) => call.expiry = call.expiry.or(Some((at + 1, unit))),
            Meaning::Stores => {
                if value.is_some() {
                    call.stores = Stores::SomeKey;
                }
            }
            Meaning::Pattern(why) => {
                if value.is_some_and(|pattern| pattern.contains(&b'*')) {
                    return Err(Support::Never(why));
                }
            }
            Meaning::Refused(why) => return Err(Support::Never(why)),
            Meaning::Threshold => {
                if approximate {
                    call.replication = call.replication.max(Replication::Effect);
                }
            }
            Meaning::Waits => call.waits = call.waits.or(Some(at + 1)),
            Meaning::AbsoluteExpiry => call.absolute_expiry = true,
        }
    }
    Ok(())
}

impl Call {
    fn depends(&mut self) {
        self.replication = self.replication.max(Replication::Deterministic);
    }
}

/// Who makes up the id of a stream's entry.
enum Id {
    /// The caller: `milliseconds` or `milliseconds-number`.
    Complete,
    /// The server: `*` or `milliseconds-*`.
    Generated,
}

fn id(text: &[u8]) -> Option<Id> {
    let number = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let (head, tail) = match text.iter().position(|byte| *byte == b'-') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    match tail {
        None if text == b"*" => Some(Id::Generated),
        Some(b"*") if number(head) => Some(Id::Generated),
        None if number(head) => Some(Id::Complete),
        Some(tail) if number(head) && number(tail) => Some(Id::Complete),
        _ => None,
    }
}

/// The positions of the keys that a call stores to.
pub(super) fn stored<'a, I>(row: &Row, args: I) -> impl Iterator<Item = usize>
where
    I: Clone + Iterator<Item = Option<&'a [u8]>>,
{
    row.options.into_iter().flat_map(move |options| Scanner::new(options, args.clone())).filter_map(|found| match found
    {
        Found::Word { word, at, value: Some(_), .. } if word.meaning == Meaning::Stores => Some(at + 1),
        Found::Word { .. } | Found::UnknownWord | Found::GeneratedId | Found::NoId => None,
    })
}

/// An option of a call.
#[derive(Clone, Copy)]
pub(super) struct Given {
    /// The word, in upper case.
    pub(super) word: &'static str,
    /// Where it stands.
    pub(super) at: usize,
    /// Where the next argument that is not its own stands.
    pub(super) next: usize,
    /// Whether its threshold is approximate.
    pub(super) approximate: bool,
}

/// The options of a call.
pub(super) fn given<'a, I>(row: &Row, args: I) -> impl Iterator<Item = Given>
where
    I: Clone + Iterator<Item = Option<&'a [u8]>>,
{
    let mut scanner = row.options.map(|options| Scanner::new(options, args));
    std::iter::from_fn(move || {
        let scanner = scanner.as_mut()?;
        loop {
            match scanner.next()? {
                Found::Word { word, at, mark, .. } => {
                    let (next, approximate) = (scanner.at, mark == Some(b'~'));
                    return Some(Given { word: word.word, at, next, approximate });
                }
                Found::UnknownWord | Found::GeneratedId | Found::NoId => {}
            }
        }
    })
}

/// What the scan meets.
enum Found<'a> {
    /// An option at `at` with its first argument, and the `=` or `~` before that argument.
    Word { word: &'static Word, at: usize, value: Option<&'a [u8]>, mark: Option<u8> },
    /// A word where only options may stand.
    UnknownWord,
    /// An id that the server completes.
    GeneratedId,
    /// Something else where an id should stand.
    NoId,
}

/// Walks over the arguments and finds the options; an option's own arguments are never taken for options.
struct Scanner<I> {
    options: &'static Options,
    args: I,
    at: usize,
    done: bool,
}

impl<'a, I: Clone + Iterator<Item = Option<&'a [u8]>>> Scanner<I> {
    fn new(options: &'static Options, args: I) -> Self {
        let mut scanner = Self { options, args, at: 0, done: false };
        for _ in 0..options.from {
            scanner.step();
        }
        scanner
    }

    fn step(&mut self) -> Option<Option<&'a [u8]>> {
        self.at += 1;
        self.args.next()
    }

    fn arguments(&mut self, takes: Takes) -> (Option<&'a [u8]>, Option<u8>) {
        match takes {
            Takes::Exactly(count) => {
                let first = if count > 0 { self.step().flatten() } else { None };
                for _ in 1..count {
                    self.step();
                }
                (first, None)
            }
            Takes::Threshold => match self.step().flatten() {
                Some([mark @ (b'=' | b'~')]) => (self.step().flatten(), Some(*mark)),
                value => (value, None),
            },
        }
    }
}

impl<'a, I: Clone + Iterator<Item = Option<&'a [u8]>>> Iterator for Scanner<I> {
    type Item = Found<'a>;

    fn next(&mut self) -> Option<Found<'a>> {
        while !self.done {
            let at = self.at;
            let Some(arg) = self.step() else { break };
            let text = arg.unwrap_or_default();
            let word = self.options.words.iter().find(|word| word.word.as_bytes().eq_ignore_ascii_case(text));
            match (word, self.options.scan) {
                (Some(word), _) => {
                    let (value, mark) = self.arguments(word.takes);
                    return Some(Found::Word { word, at, value, mark });
                }
                (None, Scan::Everywhere) => {}
                (None, Scan::Only) => return Some(Found::UnknownWord),
                (None, Scan::Leading) => self.done = true,
                (None, Scan::LeadingId) => {
                    self.done = true;
                    match id(text) {
                        Some(Id::Complete) => {}
                        Some(Id::Generated) => return Some(Found::GeneratedId),
                        // An option of a newer server, and then nobody knows where the id stands.
                        None => return Some(Found::NoId),
                    }
                }
            }
        }
        None
    }
}
