//! What a connection owes to the cache: what the server says of keys that were written, and how long ago it was heard.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::{PushInfo, PushKind, Value};
use tokio::sync::Notify;

use super::link::Link;
use crate::cache::Cache;
use crate::placement::Token;

/// How long after a question that the server has answered its kept replies are given. Less than the 150 ms that others
/// wait before they count on a fenced member being asked by nobody.
const LEASE: Duration = Duration::from_millis(100);

/// When the next question is asked while kept replies are given: early enough for its answer to be there in time.
const RENEW_AFTER: Duration = Duration::from_millis(50);

/// The cache's side of a connection on which the server tracks what is read.
#[derive(Debug)]
pub(crate) struct Tracking {
    cache: Arc<Cache>,
    /// The connection's number.
    link: u64,
    began: Instant,
    /// When the newest question was sent that the server has answered, in microseconds since the beginning; 0 if none.
    /// It counts from the question, since what has come may have lain in a socket.
    proved_us: AtomicU64,
    wanted: Notify,
}

impl Drop for Tracking {
    fn drop(&mut self) {
        self.forget();
    }
}

impl Tracking {
    pub(super) fn new(cache: &Arc<Cache>, link: u64) -> Tracking {
        let (proved_us, wanted) = (AtomicU64::new(0), Notify::new());
        Tracking { cache: Arc::clone(cache), link, began: Instant::now(), proved_us, wanted }
    }

    /// The connection's number, different for every connection of this process.
    pub(crate) fn link(&self) -> u64 {
        self.link
    }

    /// The server has answered what was sent at this moment, so what it had said before that is known.
    pub(crate) fn proved(&self, sent: Instant) {
        self.proved_us.fetch_max(self.us(sent), Ordering::Relaxed);
    }

    /// Whether what is kept may be given now. If so, the server is asked again in time.
    pub(crate) fn holds(&self, now: Instant) -> bool {
        let age = self.age(now);
        let holds = age < LEASE;
        if holds && age > RENEW_AFTER {
            self.wanted.notify_one();
        }
        holds
    }

    /// Nothing that came on this connection is given any more.
    pub(super) fn forget(&self) {
        self.cache.forget_link(self.link);
    }

    /// Asks the server when it is to be heard again. Never ends; whoever watches over the connection polls it.
    pub(super) async fn renew(&self, link: &Link, at_most_ms: u64) {
        let ping = redis::cmd("PING");
        loop {
            self.wanted.notified().await;
            let now = Instant::now();
            // While the last answer was waited for, others have asked for it too.
            if self.age(now) > RENEW_AFTER && link.probe(&ping, at_most_ms).await.is_ok() {
                self.proved(now);
            }
        }
    }

    fn age(&self, now: Instant) -> Duration {
        match self.proved_us.load(Ordering::Relaxed) {
            0 => Duration::MAX,
            proved => Duration::from_micros(self.us(now).saturating_sub(proved)),
        }
    }

    fn us(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began).as_micros()).unwrap_or(u64::MAX)
    }
}

/// Called in the order of what comes on the connection, before any later reply is handed on.
pub(super) fn pushed(cache: &Cache, link: u64, push: &PushInfo) {
    match (&push.kind, &push.data[..]) {
        (PushKind::Invalidate, [Value::Array(keys)]) => keys.iter().for_each(|key| match key {
            Value::BulkString(key) => cache.invalidate(Token::of_key(key)),
            _ => cache.forget_link(link),
        }),
        // Nil: everything was flushed. What is not understood may be about any key.
        (PushKind::Invalidate | PushKind::Disconnection, _) => cache.forget_link(link),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_reply_is_given_for_a_while_after_a_question_that_was_answered() {
        let tracking = Tracking::new(&Arc::new(Cache::new(1000)), 1);
        let at = |ms| tracking.began + Duration::from_millis(ms);
        assert!(!tracking.holds(at(1)), "nothing is known of the server yet");
        tracking.proved(at(10));
        assert!(tracking.holds(at(10)) && tracking.holds(at(109)) && !tracking.holds(at(110)));
        tracking.proved(at(50));
        tracking.proved(at(20));
        assert!(tracking.holds(at(149)) && !tracking.holds(at(150)), "an older answer takes nothing back");
    }

    #[test]
    fn pushes_forget_keys_or_all_of_their_connection() {
        let push = |kind, data: Value| PushInfo { kind, data: vec![data] };
        let keys = Value::Array(vec![Value::BulkString(b"a".to_vec())]);
        let left = |push: PushInfo| {
            let cache = Cache::new(1 << 20);
            for (key, link) in [("a", 1), ("b", 1), ("c", 2)] {
                cache.begin(Token::of_key(key.as_bytes())).keep(key.into(), link, &Value::Nil, None);
            }
            pushed(&cache, 1, &push);
            let has = |key: &&str| cache.get(Token::of_key(key.as_bytes()), key.as_bytes(), Instant::now()).is_some();
            ["a", "b", "c"].into_iter().filter(has).collect::<String>()
        };
        assert_eq!(left(push(PushKind::Invalidate, keys.clone())), "bc");
        assert_eq!(left(push(PushKind::Invalidate, Value::Nil)), "c");
        assert_eq!(left(push(PushKind::Invalidate, Value::Array(vec![Value::Int(1)]))), "c");
        assert_eq!(left(PushInfo { kind: PushKind::Disconnection, data: Vec::new() }), "c");
        assert_eq!(left(push(PushKind::Message, keys)), "abc");
    }
}
