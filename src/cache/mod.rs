//! Replies kept in this process, for reads that then cost no round trip.
//!
//! A reply is kept as what one connection said: the server behind it tells on that connection when a key has been
//! written, and what it tells comes in the order of its replies. So a kept reply is what that server would answer, as
//! far as the connection has been read. Whether that server is the one to be asked, and whether it was heard recently
//! enough, is judged by those who ask.
//!
//! Not redis-rs's own cache: it is bounded by the number of replies whatever their size, lies below the choice of the
//! owner, keeps a reply whose invalidation came while it was on its way, and goes on answering for a server that hangs.
//! Not a cache from a crate either: nearly all that is here is about replies that must not be kept, under the same lock.

mod shard;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use redis::Value;

use crate::placement::Token;
use shard::{Reply, Shard};

/// A shard has this much room at least, so that a small cache is one whole.
const SMALLEST_SHARD: usize = 1 << 20;
const MOST_SHARDS: usize = 16;

/// The replies of all connections of a client, bounded by bytes.
#[derive(Debug)]
pub(crate) struct Cache {
    /// By token: all that concerns one key is under one lock.
    shards: Box<[Mutex<Shard>]>,
    /// How much a shard holds, and so the most that one reply may take.
    largest: usize,
    invalidations: AtomicU64,
}

impl Cache {
    /// Keeps at most so many bytes: commands, replies, and what it takes to find them.
    pub(crate) fn new(bytes: usize) -> Cache {
        let shards = (bytes / SMALLEST_SHARD).clamp(1, MOST_SHARDS);
        let largest = bytes / shards;
        let shard = || Mutex::new(Shard::new(largest));
        Cache { shards: (0..shards).map(|_| shard()).collect(), largest, invalidations: AtomicU64::new(0) }
    }

    /// The reply kept at this place, unless its key has expired by now.
    pub(crate) fn get(&self, token: Token, place: &[u8], now: Instant) -> Option<Arc<Value>> {
        self.shard(token).get(token, place, now)
    }

    /// To be called before a read is sent whose reply may be kept.
    pub(crate) fn begin(&self, token: Token) -> Fill<'_> {
        Fill { cache: self, token, epoch: self.shard(token).begin(token) }
    }

    /// Forgets the replies for all keys of a token, also those that are still on their way.
    pub(crate) fn forget(&self, token: Token) {
        self.shard(token).forget(token);
    }

    /// As [`Cache::forget`], because the server said so.
    pub(crate) fn invalidate(&self, token: Token) {
        self.invalidations.fetch_add(1, Ordering::Relaxed);
        self.forget(token);
    }

    /// Forgets what came on a connection, also what is still on its way.
    pub(crate) fn forget_link(&self, link: u64) {
        self.shards.iter().for_each(|shard| lock(shard).forget_link(link));
    }

    /// Forgets everything, also what is still on its way.
    pub(crate) fn forget_all(&self) {
        self.shards.iter().for_each(|shard| lock(shard).forget_all());
    }

    /// How often a server has said that a key was written.
    pub(crate) fn invalidations(&self) -> u64 {
        self.invalidations.load(Ordering::Relaxed)
    }

    fn shard(&self, token: Token) -> MutexGuard<'_, Shard> {
        lock(&self.shards[token.0 as usize % self.shards.len()])
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The right to keep the reply of a read that has been begun. It is lost when its key is written before the reply is
/// there: the reply may be of before that.
#[derive(Debug)]
pub(crate) struct Fill<'a> {
    cache: &'a Cache,
    token: Token,
    epoch: u64,
}

impl Fill<'_> {
    /// Keeps what came on this connection, until the key expires at the latest.
    pub(crate) fn keep(&self, place: Vec<u8>, link: u64, value: &Value, expires: Option<Instant>) {
        let Some(bytes) = shard::bytes(&place, value) else { return };
        if bytes <= self.cache.largest {
            // Copied before the lock is taken.
            let (place, reply) = (place.into(), Reply::new(link, value.clone(), expires, bytes));
            self.cache.shard(self.token).keep(self.token, self.epoch, place, reply);
        }
    }
}

impl Drop for Fill<'_> {
    fn drop(&mut self) {
        self.cache.shard(self.token).end(self.token, self.epoch);
    }
}

/// Forgets what is kept of keys that this process writes, when the write is begun and again when it is over.
///
/// What the server says of the write may come after its reply, and a read of the old value may be answered in between:
/// whoever has seen the reply must not be given that. And a read that is begun after the write, though before its end, is
/// to go behind it on the same connection, as it does without a cache.
pub(crate) struct Writing<'a> {
    cache: &'a Cache,
    /// None: whatever there is may be written.
    tokens: Option<Vec<Token>>,
}

impl<'a> Writing<'a> {
    pub(crate) fn begin(cache: &'a Cache, tokens: Option<Vec<Token>>) -> Writing<'a> {
        let writing = Writing { cache, tokens };
        writing.forget();
        writing
    }

    fn forget(&self) {
        match &self.tokens {
            Some(tokens) => tokens.iter().for_each(|token| self.cache.forget(*token)),
            None => self.cache.forget_all(),
        }
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const KEY: Token = Token(7);

    fn text(length: usize) -> Value {
        Value::BulkString(vec![b'x'; length])
    }

    fn held(cache: &Cache) -> usize {
        cache.shards.iter().map(|shard| lock(shard).bytes()).sum()
    }

    fn has(cache: &Cache, token: Token, place: &[u8]) -> bool {
        cache.get(token, place, Instant::now()).is_some()
    }

    fn keep(cache: &Cache, token: Token, place: &[u8], link: u64, length: usize) {
        cache.begin(token).keep(place.to_vec(), link, &text(length), None);
    }

    #[test]
    fn what_is_kept_is_given_until_its_key_is_written() {
        let cache = Cache::new(1 << 20);
        keep(&cache, KEY, b"get a", 1, 10);
        keep(&cache, KEY, b"strlen a", 1, 10);
        assert_eq!(cache.get(KEY, b"get a", Instant::now()).as_deref(), Some(&text(10)));
        assert!(has(&cache, KEY, b"strlen a") && !has(&cache, KEY, b"get b") && !has(&cache, Token(8), b"get a"));
        cache.invalidate(KEY);
        assert!(!has(&cache, KEY, b"get a") && !has(&cache, KEY, b"strlen a"));
        assert_eq!((held(&cache), cache.invalidations()), (0, 1));
    }

    #[test]
    fn a_reply_that_was_on_its_way_when_its_key_was_written_is_not_kept() {
        type Forget = fn(&Cache);
        let ways: [Forget; 4] = [
            |c| c.forget(KEY),
            |c| c.forget_link(9),
            |c| drop(Writing::begin(c, None)),
            |c| drop(Writing::begin(c, Some(vec![KEY]))),
        ];
        for forget in ways {
            let cache = Cache::new(1 << 20);
            let before = cache.begin(KEY);
            forget(&cache);
            let after = cache.begin(KEY);
            before.keep(b"get a".to_vec(), 1, &text(1), None);
            assert!(!has(&cache, KEY, b"get a"));
            drop(before);
            after.keep(b"get a".to_vec(), 1, &text(1), None);
            assert!(has(&cache, KEY, b"get a"));
        }
    }

    #[test]
    fn a_write_also_forgets_what_was_read_while_it_ran() {
        let cache = Cache::new(1 << 20);
        let writing = Writing::begin(&cache, Some(vec![KEY]));
        keep(&cache, KEY, b"get a", 1, 1);
        let on_its_way = cache.begin(KEY);
        drop(writing);
        assert!(!has(&cache, KEY, b"get a"));
        on_its_way.keep(b"get a".to_vec(), 1, &text(1), None);
        assert!(!has(&cache, KEY, b"get a"));
    }

    #[test]
    fn an_expired_reply_is_not_given() {
        let cache = Cache::new(1 << 20);
        let now = Instant::now();
        let expires = now + Duration::from_millis(5);
        cache.begin(KEY).keep(b"get a".to_vec(), 1, &text(1), Some(expires));
        assert!(cache.get(KEY, b"get a", expires - Duration::from_micros(1)).is_some());
        assert!(cache.get(KEY, b"get a", expires).is_none());
        assert_eq!(held(&cache), 0);
    }

    #[test]
    fn a_connection_that_is_gone_takes_its_replies_and_no_others() {
        let cache = Cache::new(1 << 20);
        for token in 0..100 {
            keep(&cache, Token(token), b"get", u64::from(token % 2), 10);
        }
        cache.forget_link(1);
        assert!((0..100).all(|token| has(&cache, Token(token), b"get") == (token % 2 == 0)));
        cache.forget_all();
        assert_eq!(held(&cache), 0);
    }

    #[test]
    fn no_more_bytes_are_held_than_allowed_and_what_is_used_stays() {
        for (limit, length) in [(64 << 10, 1000), (20 << 20, 100_000)] {
            let cache = Cache::new(limit);
            let hot = Token(3);
            keep(&cache, hot, b"hot", 1, length);
            for token in 1000..6000 {
                keep(&cache, Token(token), b"cold", 1, length);
                assert!(held(&cache) <= limit);
                assert!(has(&cache, hot, b"hot"), "after {token}");
            }
            assert!(held(&cache) > limit / 2, "{} of {limit}", held(&cache));
            assert!((1000..6000).any(|token| !has(&cache, Token(token), b"cold")));
        }
    }

    #[test]
    fn a_reply_that_is_too_large_is_not_kept_and_displaces_nothing() {
        let cache = Cache::new(10_000);
        keep(&cache, KEY, b"small", 1, 10);
        keep(&cache, Token(8), b"large", 1, 20_000);
        assert!(has(&cache, KEY, b"small") && !has(&cache, Token(8), b"large"));
        let error = redis::make_extension_error("WRONGTYPE".to_owned(), None);
        let error = Value::ServerError(redis::ServerError::try_from(error).unwrap());
        cache.begin(Token(9)).keep(b"wrong".to_vec(), 1, &error, None);
        assert!(!has(&cache, Token(9), b"wrong"));
    }

    #[test]
    fn what_is_written_over_and_over_leaves_nothing_behind() {
        let cache = Cache::new(1 << 20);
        for _ in 0..10_000 {
            keep(&cache, KEY, b"get a", 1, 10);
            keep(&cache, KEY, b"get a", 1, 20);
            drop(cache.begin(KEY));
            cache.invalidate(KEY);
        }
        drop(cache.begin(KEY));
        assert_eq!(held(&cache), 0);
        assert!(cache.shards.iter().all(|shard| lock(shard).is_bare()));
    }
}
