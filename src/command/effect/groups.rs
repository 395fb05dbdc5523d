//! What consumer groups were given.
//!
//! A delivery is told as Redis itself tells its replicas: `XCLAIM` with the time of delivery. Where the group stands, and how
//! much it has read, is asked of the primary, since no reply says it. A claim of an entry that the stream no longer has removes
//! it from the group, so entries without values are left out.

use redis::{Cmd, Value, cmd};

use super::super::keys::keys;
use super::super::options::given;
use super::super::request::words;
use super::super::row::Row;
use super::reading::{elements, field, integer, milliseconds, text};
use super::{Carried, Expect, Unreadable, carried, count, word};

/// What tells when entries were claimed, and whether the consumer came to be.
pub(super) fn claim_probes(call: &Cmd) -> Vec<Cmd> {
    vec![cmd("TIME"), about("CONSUMERS", word(call, 1)).arg(word(call, 2)).take()]
}

/// For `XCLAIM key group consumer min-idle id … options` and the entries or ids it replied.
pub(super) fn claimed(row: &Row, call: &Cmd, reply: &Value, answers: &[Value]) -> Result<Vec<Carried>, Unreadable> {
    let [time, known] = answers else { return Err(Unreadable) };
    let now = milliseconds(time)?;
    let mut ids_end = words(call).len();
    let mut delivered = now;
    let mut form = Form::Entries;
    let mut kept = Vec::new();
    for option in given(row, words(call)) {
        ids_end = ids_end.min(option.at);
        let value = word(call, option.next - 1);
        match option.word {
            "TIME" => delivered = integer(value)?,
            "IDLE" => delivered = now.saturating_sub(integer(value)?),
            "FORCE" => {}
            "JUSTID" => form = Form::Ids,
            _ => kept.extend(words(call).take(option.next).skip(option.at).flatten()),
        }
    }
    // A server takes its own time for one that cannot be.
    let delivered = if (0..=now).contains(&delivered) { delivered } else { now };
    let member = Member::of_claim(call);
    let mut copies = member.claims(form, reply, delivered, &kept)?;
    let got: Vec<_> = form.ids(reply)?.into_iter().map(Id::read).collect();
    let others = words(call).take(ids_end).skip(5).flatten();
    let others: Vec<&[u8]> = others.filter(|id| Id::read(id).is_none_or(|id| !got.contains(&Some(id)))).collect();
    if !others.is_empty() {
        // Those that the stream no longer has are now out of the group, and nothing says which. No entry is idle for so long
        // that this claims it.
        let mut forget = member.begin(i64::MAX, &others);
        forget.arg("JUSTID").arg(&kept);
        copies.push(carried(&mut forget, Expect::Any));
    }
    if form.ids(reply)?.is_empty() && member.is_new(known)? {
        copies.push(member.create());
    }
    Ok(copies)
}

/// For `XAUTOCLAIM key group consumer min-idle start options` and its reply: a cursor, what was claimed, and the ids of those that
/// the stream no longer has.
pub(super) fn auto_claimed(
    row: &Row,
    call: &Cmd,
    reply: &Value,
    answers: &[Value],
) -> Result<Vec<Carried>, Unreadable> {
    let [time, known] = answers else { return Err(Unreadable) };
    let [_, claimed, gone @ ..] = elements(reply)? else { return Err(Unreadable) };
    let form = if given(row, words(call)).any(|option| option.word == "JUSTID") { Form::Ids } else { Form::Entries };
    let member = Member::of_claim(call);
    let mut copies = member.claims(form, claimed, milliseconds(time)?, &[])?;
    if copies.is_empty() && member.is_new(known)? {
        copies.push(member.create());
    }
    let gone = gone.first().map_or(Ok(Vec::new()), |gone| Form::Ids.ids(gone))?;
    if !gone.is_empty() {
        let mut forget = cmd("XACK");
        forget.arg(member.key).arg(member.group).arg(&gone);
        copies.push(carried(&mut forget, Expect::Reply(count(gone.len()))));
    }
    Ok(copies)
}

/// What tells when entries were delivered, and for each stream where its group stands and whether the consumer came to be.
pub(super) fn delivery_probes(row: &Row, call: &Cmd) -> Vec<Cmd> {
    let mut probes = vec![cmd("TIME")];
    for stream in Stream::all(row, call) {
        probes.push(about("GROUPS", stream.member.key));
        probes.push(about("CONSUMERS", stream.member.key).arg(stream.member.group).take());
    }
    probes
}

/// For `XREADGROUP` and what it replied for each stream that it served.
pub(super) fn delivered(row: &Row, call: &Cmd, reply: &Value, answers: &[Value]) -> Result<Vec<Carried>, Unreadable> {
    let streams = Stream::all(row, call);
    let (time, of_streams) = of_each(&streams, answers)?;
    let now = milliseconds(time)?;
    let acknowledged = given(row, words(call)).any(|option| option.word == "NOACK");
    let served = served(reply)?;
    let mut rest = served.as_slice();
    let mut copies = Vec::new();
    for (at, (stream, answers)) in streams.iter().zip(of_streams).enumerate() {
        let [groups, known] = answers else { return Err(Unreadable) };
        let member = &stream.member;
        // A history is always served, new entries only if there are some. That tells them apart where a stream is named twice.
        let replies = rest.iter().filter(|(key, _)| *key == member.key).count();
        let histories = streams[at..].iter().filter(|other| other.member.key == member.key && !other.is_new()).count();
        if replies < histories + usize::from(stream.is_new()) {
            if member.is_new(known)? {
                copies.push(member.create());
            }
            continue;
        }
        let [(key, entries), after @ ..] = rest else { return Err(Unreadable) };
        if *key != member.key {
            return Err(Unreadable);
        }
        rest = after;
        if !stream.is_new() {
            let claims = member.claims(Form::Entries, &with_values(entries)?, now, &[])?;
            copies.extend(if claims.is_empty() { vec![member.create()] } else { claims });
            continue;
        }
        let ids = Form::Entries.ids(entries)?;
        if acknowledged || ids.is_empty() {
            copies.push(member.create());
        } else {
            let mut claim = member.claim(&ids, now);
            claim.arg("RETRYCOUNT").arg(1).arg("JUSTID");
            let ids = ids.into_iter().map(|id| Value::BulkString(id.to_vec())).collect();
            copies.push(carried(&mut claim, Expect::Soon(Value::Array(ids))));
        }
        copies.push(member.stands(groups)?);
    }
    if rest.is_empty() { Ok(copies) } else { Err(Unreadable) }
}

/// The time, and the two other answers for each stream.
fn of_each<'a>(
    streams: &[Stream<'_>],
    answers: &'a [Value],
) -> Result<(&'a Value, std::slice::Chunks<'a, Value>), Unreadable> {
    match answers {
        [time, rest @ ..] if rest.len() == streams.len() * 2 => Ok((time, rest.chunks(2))),
        _ => Err(Unreadable),
    }
}

fn about(what: &str, key: &[u8]) -> Cmd {
    cmd("XINFO").arg(what).arg(key).take()
}

/// A consumer in a group of a stream.
struct Member<'a> {
    key: &'a [u8],
    group: &'a [u8],
    consumer: &'a [u8],
}

impl<'a> Member<'a> {
    fn of_claim(call: &'a Cmd) -> Self {
        Self { key: word(call, 1), group: word(call, 2), consumer: word(call, 3) }
    }

    fn begin(&self, min_idle: i64, ids: &[&[u8]]) -> Cmd {
        cmd("XCLAIM").arg(self.key).arg(self.group).arg(self.consumer).arg(min_idle).arg(ids).take()
    }

    fn claim(&self, ids: &[&[u8]], delivered: i64) -> Cmd {
        self.begin(0, ids).arg("TIME").arg(delivered).arg("FORCE").take()
    }

    /// A claim of what was `claimed`, nothing if nothing was. The count of deliveries rises, or not, as it did on the primary.
    fn claims(&self, form: Form, claimed: &Value, at: i64, kept: &[&[u8]]) -> Result<Vec<Carried>, Unreadable> {
        let ids = form.ids(claimed)?;
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut claim = self.claim(&ids, at);
        claim.arg(kept);
        if form == Form::Ids {
            claim.arg("JUSTID");
        }
        Ok(vec![carried(&mut claim, Expect::Reply(claimed.clone()))])
    }

    fn create(&self) -> Carried {
        let mut create = cmd("XGROUP");
        create.arg("CREATECONSUMER").arg(self.key).arg(self.group).arg(self.consumer);
        carried(&mut create, Expect::Any)
    }

    /// Whether a call that gave this consumer nothing made it. Servers before 7.2 make it with the first entry that it gets;
    /// later ones at once, and tell that it has never been given anything.
    fn is_new(&self, consumers: &Value) -> Result<bool, Unreadable> {
        const NEVER: Value = Value::Int(-1);
        Ok(match named(consumers, self.consumer)? {
            Some(consumer) => field(consumer, "inactive")? == Some(&NEVER),
            None => false,
        })
    }

    fn group_in<'v>(&self, groups: &'v Value) -> Result<&'v Value, Unreadable> {
        named(groups, self.group)?.ok_or(Unreadable)
    }

    /// Where the group stands on the primary now.
    fn stands(&self, groups: &Value) -> Result<Carried, Unreadable> {
        let group = self.group_in(groups)?;
        let last_id = text(field(group, "last-delivered-id")?.ok_or(Unreadable)?)?;
        let mut stands = cmd("XGROUP");
        stands.arg("SETID").arg(self.key).arg(self.group).arg(last_id);
        match field(group, "entries-read")? {
            Some(Value::Int(read)) => {
                stands.arg("ENTRIESREAD").arg(*read);
            }
            // Not known to the primary, or not even counted by a server before 7.0.
            Some(Value::Nil) | None => {}
            Some(_) => return Err(Unreadable),
        }
        Ok(carried(&mut stands, Expect::Reply(Value::Okay)))
    }
}

/// The group or consumer of this name in what `XINFO` lists.
fn named<'v>(list: &'v Value, name: &[u8]) -> Result<Option<&'v Value>, Unreadable> {
    for one in elements(list)? {
        if text(field(one, "name")?.ok_or(Unreadable)?)? == name {
            return Ok(Some(one));
        }
    }
    Ok(None)
}

/// A stream of an `XREADGROUP`.
struct Stream<'a> {
    member: Member<'a>,
    /// What its consumer asks for.
    after: &'a [u8],
}

impl<'a> Stream<'a> {
    fn all(row: &Row, call: &'a Cmd) -> Vec<Self> {
        let group_at = given(row, words(call)).find(|option| option.word == "GROUP").map_or(1, |option| option.at);
        let (group, consumer) = (word(call, group_at + 1), word(call, group_at + 2));
        let mut places = Vec::new();
        let found = keys(row, words(call), |key| places.push(key.at));
        debug_assert!(found.is_ok(), "a call with a plan has keys");
        let of = |at: &usize| Self {
            member: Member { key: word(call, *at), group, consumer },
            after: word(call, *at + places.len()),
        };
        places.iter().map(of).collect()
    }

    /// Whether it asks for entries that nobody was given, and not for those that its consumer has not acknowledged.
    fn is_new(&self) -> bool {
        self.after == b">"
    }
}

/// The streams that were served, and their entries.
fn served(reply: &Value) -> Result<Vec<(&[u8], &Value)>, Unreadable> {
    match reply {
        Value::Nil => Ok(Vec::new()),
        Value::Map(streams) => streams.iter().map(|(key, entries)| Ok((text(key)?, entries))).collect(),
        Value::Array(streams) => {
            let pair = |stream| match elements(stream)? {
                [key, entries] => Ok((text(key)?, entries)),
                _ => Err(Unreadable),
            };
            streams.iter().map(pair).collect()
        }
        _ => Err(Unreadable),
    }
}

/// The entries of a history that the stream still has; the values of the others are nil.
fn with_values(entries: &Value) -> Result<Value, Unreadable> {
    let has_values = |entry: &&Value| !matches!(entry, Value::Array(entry) if entry.get(1) == Some(&Value::Nil));
    Ok(Value::Array(elements(entries)?.iter().filter(has_values).cloned().collect()))
}

/// How a reply lists entries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Each with its values.
    Entries,
    /// By their ids alone.
    Ids,
}

impl Form {
    /// The ids in a list. A server before 7.0 lists nil for an entry that the stream no longer has, and then they are not known.
    fn ids(self, list: &Value) -> Result<Vec<&[u8]>, Unreadable> {
        let id = |one| match self {
            Self::Ids => text(one),
            Self::Entries => text(elements(one)?.first().ok_or(Unreadable)?),
        };
        elements(list)?.iter().map(id).collect()
    }
}

/// An id, which callers may write in several ways.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Id(u64, u64);

impl Id {
    fn read(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (ms, number) = text.split_once('-').unwrap_or((text, "0"));
        Some(Self(ms.parse().ok()?, number.parse().ok()?))
    }
}
