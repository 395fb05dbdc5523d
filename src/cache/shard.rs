//! A part of the cache, under one lock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use redis::Value;

use crate::placement::Token;

/// What a reply takes beside its own bytes and those of its place: the tables that lead to it, which are larger than
/// what is in them, and its allocations. Rather too much than too little.
const OVERHEAD: usize = 640;

/// Places in the line that are kept without looking whether they are still of use.
const KEPT_PLACES: usize = 64;

/// The replies for some of the tokens.
#[derive(Debug)]
pub(super) struct Shard {
    groups: HashMap<Token, Group>,
    /// All replies in the order of their coming, for the second chance ("clock"): what has been used since it was looked
    /// at last goes to the end. It is nearly as good as the order of use, and a hit moves nothing.
    line: VecDeque<InLine>,
    replies: usize,
    bytes: usize,
    limit: usize,
    last: u64,
}

/// What is known of the keys of one token. Not of one key: writers know their tokens, and the keys of one token are
/// mostly one key.
#[derive(Debug)]
struct Group {
    /// Another one for each life of the group. A read may fill only the group that it was begun with.
    epoch: u64,
    /// Reads on their way.
    reads: u32,
    replies: HashMap<Arc<[u8]>, Reply>,
}

/// A reply as it is kept.
#[derive(Debug)]
pub(super) struct Reply {
    /// The connection that it came on.
    link: u64,
    value: Arc<Value>,
    expires: Option<Instant>,
    bytes: usize,
    used: bool,
    /// Its number in the line.
    number: u64,
}

#[derive(Debug)]
struct InLine {
    token: Token,
    place: Arc<[u8]>,
    number: u64,
}

impl Reply {
    pub(super) fn new(link: u64, value: Value, expires: Option<Instant>, bytes: usize) -> Reply {
        Reply { link, value: Arc::new(value), expires, bytes, used: false, number: 0 }
    }
}

impl Shard {
    pub(super) fn new(limit: usize) -> Shard {
        Shard { groups: HashMap::new(), line: VecDeque::new(), replies: 0, bytes: 0, limit, last: 0 }
    }

    pub(super) fn get(&mut self, token: Token, place: &[u8], now: Instant) -> Option<Arc<Value>> {
        let group = self.groups.get_mut(&token)?;
        let reply = group.replies.get_mut(place)?;
        if reply.expires.is_none_or(|expires| now < expires) {
            reply.used = true;
            return Some(Arc::clone(&reply.value));
        }
        self.remove(token, place);
        None
    }

    /// The epoch that a read is begun in.
    pub(super) fn begin(&mut self, token: Token) -> u64 {
        let last = &mut self.last;
        let group = self.groups.entry(token).or_insert_with(|| {
            *last += 1;
            Group { epoch: *last, reads: 0, replies: HashMap::new() }
        });
        group.reads += 1;
        group.epoch
    }

    /// A read that was begun in this epoch is over.
    pub(super) fn end(&mut self, token: Token, epoch: u64) {
        if let Some(group) = self.groups.get_mut(&token).filter(|group| group.epoch == epoch) {
            group.reads = group.reads.saturating_sub(1);
            self.tidy(token);
        }
    }

    pub(super) fn keep(&mut self, token: Token, epoch: u64, place: Arc<[u8]>, mut reply: Reply) {
        let Some(group) = self.groups.get_mut(&token).filter(|group| group.epoch == epoch) else { return };
        self.bytes += reply.bytes;
        if let Some(old) = group.replies.get_mut(&place) {
            self.bytes -= old.bytes;
            // It keeps its number, and so its place in the line.
            reply.number = old.number;
            *old = reply;
        } else {
            self.last += 1;
            reply.number = self.last;
            self.line.push_back(InLine { token, place: Arc::clone(&place), number: reply.number });
            group.replies.insert(place, reply);
            self.replies += 1;
        }
        while self.bytes > self.limit && self.evict() {}
        if self.line.len() > 2 * self.replies + KEPT_PLACES {
            let groups = &self.groups;
            self.line.retain(|place| is_there(groups, place));
        }
    }

    pub(super) fn forget(&mut self, token: Token) {
        if let Some(group) = self.groups.remove(&token) {
            self.replies -= group.replies.len();
            self.bytes -= group.replies.values().map(|reply| reply.bytes).sum::<usize>();
        }
    }

    pub(super) fn forget_link(&mut self, link: u64) {
        let Shard { groups, replies, bytes, last, .. } = self;
        groups.retain(|_, group| {
            group.replies.retain(|_, reply| {
                if reply.link == link {
                    *replies -= 1;
                    *bytes -= reply.bytes;
                }
                reply.link != link
            });
            // Nobody has noted which reads are on their way on which connection, so none of them is kept.
            *last += 1;
            (group.epoch, group.reads) = (*last, 0);
            !group.replies.is_empty()
        });
    }

    pub(super) fn forget_all(&mut self) {
        self.groups.clear();
        self.line.clear();
        (self.replies, self.bytes) = (0, 0);
    }

    /// Looks at the first in line; `false` if there is none.
    fn evict(&mut self) -> bool {
        let Some(first) = self.line.pop_front() else { return false };
        let reply = self.groups.get_mut(&first.token).and_then(|group| group.replies.get_mut(&first.place));
        match reply.filter(|reply| reply.number == first.number) {
            Some(reply) if reply.used => {
                reply.used = false;
                self.line.push_back(first);
            }
            Some(_) => self.remove(first.token, &first.place),
            None => {}
        }
        true
    }

    fn remove(&mut self, token: Token, place: &[u8]) {
        if let Some(reply) = self.groups.get_mut(&token).and_then(|group| group.replies.remove(place)) {
            self.replies -= 1;
            self.bytes -= reply.bytes;
            self.tidy(token);
        }
    }

    /// A group that nothing is known of any more goes.
    fn tidy(&mut self, token: Token) {
        if self.groups.get(&token).is_some_and(|group| group.reads == 0 && group.replies.is_empty()) {
            self.groups.remove(&token);
        }
    }
}

fn is_there(groups: &HashMap<Token, Group>, place: &InLine) -> bool {
    let reply = groups.get(&place.token).and_then(|group| group.replies.get(&place.place));
    reply.is_some_and(|reply| reply.number == place.number)
}

/// What a reply takes; `None` for one that must not be kept, such as an error.
pub(super) fn bytes(place: &[u8], value: &Value) -> Option<usize> {
    Some(OVERHEAD + place.len() + of_value(value)?)
}

fn of_value(value: &Value) -> Option<usize> {
    let all = |values: &[Value]| values.iter().map(of_value).sum::<Option<usize>>();
    let own = match value {
        Value::Nil | Value::Int(_) | Value::Okay | Value::Double(_) | Value::Boolean(_) => 0,
        Value::BulkString(bytes) => bytes.len(),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => text.len(),
        Value::Array(values) | Value::Set(values) => all(values)?,
        Value::Map(pairs) => {
            let pair = |(key, value): &(Value, Value)| Some(of_value(key)? + of_value(value)?);
            pairs.iter().map(pair).sum::<Option<usize>>()?
        }
        // Errors, what is no reply, and kinds that a newer version brings.
        _ => return None,
    };
    Some(own + size_of::<Value>())
}

#[cfg(test)]
impl Shard {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it holds nothing, and little for nothing.
    pub(super) fn is_bare(&self) -> bool {
        self.groups.is_empty() && self.replies == 0 && self.line.len() <= KEPT_PLACES
    }
}
