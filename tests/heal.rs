//! Copies that differ are found by the replies of their owners, and made equal to what the primary holds.
#![cfg(feature = "cli")]
#![cfg(test)]

mod support;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use redis::streams::StreamRangeReply;
use redis::{RedisResult, Value, cmd};
use redis_ring::policy::Timeouts;
use redis_ring::{Compared, Outcome, RingClient};
use support::{
    FaultProxy, FixedRing, Mode, SOON, call, direct, eventually, id, key_of, own, redis, run_or_error as run,
};

/// Longer than a busy machine keeps one waiting. Suspects are looked at as far apart as a write may take, so not by much.
fn within(write: Duration) -> Timeouts {
    Timeouts { read: SOON, write, ..Timeouts::default() }
}

/// A ring of two, a client that reaches both at once, and one whose way to each leads through a proxy.
struct Two {
    ring: FixedRing,
    near: RingClient,
    far: RingClient,
    proxies: BTreeMap<&'static str, FaultProxy>,
}

impl Two {
    async fn start() -> Two {
        Two::with(within(Duration::from_secs(1))).await
    }

    async fn with(timeouts: Timeouts) -> Two {
        let mut ring = FixedRing::start(2).await;
        let near = ring.connected(ring.builder().timeouts(timeouts.clone())).await;
        let mut proxies = BTreeMap::new();
        for name in ["r0", "r1"] {
            let proxy = FaultProxy::start(ring.server(&id(name)).addr()).await;
            ring.reach(&id(name), proxy.addr());
            proxies.insert(name, proxy);
        }
        let far = ring.connected(ring.builder().timeouts(timeouts)).await;
        Two { ring, near, far, proxies }
    }

    fn addr(&self, name: &str) -> String {
        self.ring.server(&id(name)).addr()
    }

    /// What the far client sends to this member arrives so much later.
    async fn delay(&self, name: &str, by: Duration) {
        self.proxies[name].set(Mode::Delay { requests: by, replies: Duration::ZERO }).await;
    }

    async fn heals(&self, keys: &[String]) {
        // What has not held still for long is looked at every 30 s only, and two looks must see the same.
        let long = Duration::from_secs(100);
        eventually(long, "nothing is suspected", || async { self.near.suspects() + self.far.suspects() == 0 }).await;
        for key in keys {
            let owners = self.ring.owners(&self.near, key);
            let primary = direct::content(&owners[0].addr(), key).await;
            assert_eq!(direct::content(&owners[1].addr(), key).await, primary, "{key}");
        }
        for client in [&self.near, &self.far] {
            let stats = client.stats();
            assert_eq!((stats.missed_writes, stats.unhealed_keys), (0, 0), "{stats:?}");
        }
    }
}

async fn stream(addr: &str, key: &str) -> Vec<String> {
    let entries: StreamRangeReply = direct::ask(addr, cmd("XRANGE").arg(key).arg("-").arg("+")).await;
    entries.ids.into_iter().map(|entry| entry.id).collect()
}

/// What a stream tells of itself, but for how it is kept in memory.
async fn told(addr: &str, key: &str) -> BTreeMap<String, String> {
    let told: BTreeMap<String, Value> =
        direct::ask(addr, cmd("XINFO").arg("STREAM").arg(key).arg("FULL").arg("COUNT").arg(0)).await;
    let kept = told.into_iter().filter(|(name, _)| !name.starts_with("radix-tree"));
    kept.map(|(name, value)| (name, format!("{value:?}"))).collect()
}

/// The times at which a consumer was seen are each server's own.
fn without_times(told: &mut BTreeMap<String, String>) {
    let groups = told.get_mut("groups").unwrap();
    *groups = groups.split("int(1").map(|part| part.trim_start_matches(|c: char| c.is_ascii_digit())).collect();
}

#[tokio::test]
async fn what_a_primary_did_without_a_word_its_copies_get() {
    let two = Two::start().await;
    let [plain, piped, popped] = ["n", "p", "s"].map(|prefix| key_of(&two.far, prefix, "r0"));
    run(&two.far.connection(), &["SADD", &popped, "a", "b", "c"]).await.unwrap();
    two.proxies["r0"].set(Mode::HoldReplies).await;
    let connection = two.far.connection();
    let sending = async {
        let (mut one, mut other) = (connection.clone(), connection.clone());
        let mut pipe = redis::pipe();
        let piping = pipe.incr(&piped, 1).query_async::<Value>(&mut one);
        let pop = cmd("SPOP").arg(&popped).to_owned();
        let words = ["INCR", &plain];
        tokio::join!(run(&connection, &words), piping, pop.query_async::<Value>(&mut other))
    };
    let cutting = async {
        let addr = two.addr("r0");
        for (words, result) in [(["GET", &plain], 1), (["GET", &piped], 1), (["SCARD", &popped], 2)] {
            let has = || async { direct::ask::<Option<i64>>(&addr, &call(&words)).await == Some(result) };
            eventually(SOON, "it is executed", has).await;
        }
        two.proxies["r0"].cut().await;
        two.proxies["r0"].set(Mode::Pass).await;
    };
    let ((one, other, third), ()) = tokio::join!(sending, cutting);
    for error in [one.unwrap_err(), other.unwrap_err(), third.unwrap_err()] {
        assert_eq!(own(&error).outcome(), Outcome::Unknown, "{error:?}");
    }
    two.heals(&[plain.clone(), piped, popped]).await;
    assert_eq!(direct::ask::<i64>(&two.addr("r1"), &call(&["GET", &plain])).await, 1);
}

#[tokio::test]
async fn a_pipeline_that_its_caller_gave_up_does_not_stay_at_the_copy_alone() {
    let two = Two::start().await;
    let key = key_of(&two.far, "k", "r0");
    two.proxies["r0"].set(Mode::Stall).await;
    let (mut connection, mut pipe) = (two.far.connection(), redis::pipe());
    pipe.set(&key, "v").ignore();
    let mut given_up = Box::pin(pipe.query_async::<()>(&mut connection));
    assert!(futures_util::poll!(&mut given_up).is_pending());
    let copy = two.addr("r1");
    let has = || async { direct::ask::<Option<String>>(&copy, &call(&["GET", &key])).await.is_some() };
    eventually(SOON, "the copy has it", has).await;
    drop(given_up);
    two.proxies["r0"].cut().await;
    two.proxies["r0"].set(Mode::Pass).await;
    eventually(SOON, "both hold the same", || two.ring.copies_are_equal(&two.near, &key)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_processes_do_to_one_key_ends_equal_on_both_owners() {
    let two = Two::start().await;
    two.delay("r0", Duration::from_millis(3)).await;
    two.delay("r1", Duration::from_millis(9)).await;
    let forms: &[(&str, &[&[&str]])] = &[
        ("list", &[&["RPUSH", "K", "V"], &["LPUSH", "K", "V"], &["LPOP", "K"]]),
        ("text", &[&["APPEND", "K", "V"]]),
        ("set", &[&["SADD", "K", "V"], &["SADD", "K", "V.2"], &["SPOP", "K"]]),
        ("hash", &[&["HSET", "K", "V", "x"], &["HINCRBYFLOAT", "K", "sum", "0.1"], &["HINCRBY", "K", "count", "1"]]),
        ("count", &[&["INCR", "K"]]),
        ("float", &[&["INCRBYFLOAT", "K", "0.7"]]),
        ("old", &[&["SET", "K", "V", "GET"]]),
        ("once", &[&["SET", "K", "V", "NX"], &["DEL", "K"]]),
        ("scores", &[&["ZINCRBY", "K", "1.5", "a"], &["ZADD", "K", "NX", "1", "V"], &["ZPOPMIN", "K"]]),
        ("few", &[&["XADD", "K", "MAXLEN", "5", "*", "f", "V"]]),
        ("one", &[&["XADD", "K", "MAXLEN", "1", "*", "f", "V"]]),
        (
            "trim",
            &[
                &["XADD", "K", "*", "f", "V"],
                &["XADD", "K", "MAXLEN", "~", "9", "*", "f", "V"],
                &["XTRIM", "K", "MAXLEN", "7"],
            ],
        ),
        ("state", &[&["EVAL", "return redis.call('RPUSH', KEYS[1], ARGV[1])", "1", "K", "V"]]),
    ];
    let keys: Vec<(String, &[&[&str]])> = forms
        .iter()
        .flat_map(|(name, forms)| ["r0", "r1"].map(|primary| (key_of(&two.near, name, primary), *forms)))
        .collect();
    let mut writers = tokio::task::JoinSet::new();
    for (key, forms) in &keys {
        for (which, client) in [("n", &two.near), ("f", &two.far)] {
            let (connection, key, forms) = (client.connection(), key.clone(), *forms);
            writers.spawn(async move {
                for round in 0..40 {
                    for form in forms {
                        let value = format!("{which}{round}");
                        let words: Vec<String> =
                            form.iter().map(|word| word.replace('K', &key).replace('V', &value)).collect();
                        let words: Vec<&str> = words.iter().map(String::as_str).collect();
                        // The script's own words have these letters too.
                        let words: Vec<&str> = match form[0] {
                            "EVAL" => vec![form[0], form[1], "1", words[3], words[4]],
                            _ => std::iter::once(form[0]).chain(words[1..].iter().copied()).collect(),
                        };
                        run(&connection, &words).await.unwrap();
                    }
                }
            });
        }
    }
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    let differing = two.near.stats().differing_replies + two.far.stats().differing_replies;
    assert!(differing > 0, "they did not come in other orders");
    let keys: Vec<String> = keys.into_iter().map(|(key, _)| key).collect();
    two.heals(&keys).await;
    assert!(two.near.stats().healed_keys + two.far.stats().healed_keys > 0);
    for primary in ["r0", "r1"] {
        let count: i64 = direct::ask(&two.addr(primary), cmd("GET").arg(key_of(&two.near, "count", primary))).await;
        assert_eq!(count, 80, "every acknowledged INCR");
    }
}

#[tokio::test]
async fn entries_of_two_processes_are_on_both_owners_when_they_are_acknowledged() {
    let two = Two::start().await;
    let key = key_of(&two.near, "s", "r0");
    let near = two.near.connection();
    for words in [["XADD", &key, "1-1", "f", "v"], ["XGROUP", "CREATE", &key, "g", "0"]] {
        run(&near, &words).await.unwrap();
    }
    run(&near, &["XREADGROUP", "GROUP", "g", "c", "STREAMS", &key, ">"]).await.unwrap();
    two.delay("r1", Duration::from_millis(100)).await;
    let write = async |client: &RingClient, goes_on: &dyn Fn(usize) -> bool| {
        let mut ids = Vec::new();
        while goes_on(ids.len()) {
            let added = run(&client.connection(), &["XADD", &key, "*", "f", "v"]).await.unwrap();
            let added: String = redis::from_redis_value(added).unwrap();
            for name in ["r0", "r1"] {
                assert!(stream(&two.addr(name), &key).await.contains(&added), "{added} on {name}");
            }
            ids.push(added);
        }
        ids
    };
    let far_done = Cell::new(false);
    let far = async {
        let ids = write(&two.far, &|count| count < 15).await;
        far_done.set(true);
        ids
    };
    let (far, near) = futures_util::future::join(far, write(&two.near, &|_| !far_done.get())).await;
    let (primary, copy) = (stream(&two.addr("r0"), &key).await, stream(&two.addr("r1"), &key).await);
    assert_eq!(primary.len(), 1 + far.len() + near.len());
    assert_eq!(primary, copy, "in the same order");
    assert!(far.iter().chain(&near).all(|id| primary.contains(id)));
    let (mut primary, mut copy) = (told(&two.addr("r0"), &key).await, told(&two.addr("r1"), &key).await);
    assert!(copy.contains_key("groups") && copy["groups"].contains("pel"), "{copy:?}");
    assert_eq!(
        copy.remove("max-deleted-entry-id").as_deref(),
        Some("bulk-string('\"0-1\"')"),
        "entries were overtaken"
    );
    primary.remove("max-deleted-entry-id");
    without_times(&mut primary);
    without_times(&mut copy);
    assert_eq!(primary, copy);
    for client in [&two.near, &two.far] {
        let stats = client.stats();
        assert_eq!((stats.missed_writes, stats.differing_replies, client.suspects()), (0, 0, 0), "{stats:?}");
    }
}

#[tokio::test]
async fn an_entry_with_an_id_of_its_own_is_put_at_its_place_too() {
    let two = Two::start().await;
    let key = key_of(&two.near, "s", "r0");
    run(&two.near.connection(), &["XADD", &key, "5-0", "f", "v"]).await.unwrap();
    two.delay("r1", Duration::from_millis(200)).await;
    let late = tokio::spawn({
        let (far, key) = (two.far.connection(), key.clone());
        async move { run(&far, &["XADD", &key, "NOMKSTREAM", "MINID", "1", "6", "f", "late"]).await }
    });
    eventually(SOON, "the primary has it", || async {
        stream(&two.addr("r0"), &key).await.contains(&"6-0".to_owned())
    })
    .await;
    run(&two.near.connection(), &["XADD", &key, "7-0", "f", "early"]).await.unwrap();
    late.await.unwrap().unwrap();
    assert_eq!(stream(&two.addr("r0"), &key).await, stream(&two.addr("r1"), &key).await);
    assert_eq!(two.far.stats().differing_replies, 0);
    assert_eq!(two.far.stats().missed_writes, 0);
}

/// Runs what puts an entry at its place on a server that has these, and says what it answered.
async fn put_late(addr: &str, words: &[&str]) -> RedisResult<Value> {
    let put = redis_ring::command::at_its_place(&call(words)).expect("it has a place");
    put.query_async(&mut direct::connect(addr).await).await
}

#[tokio::test]
async fn an_entry_put_at_its_place_leaves_all_else_as_it_was() {
    let (one, other) = (redis().await, redis().await);
    let (one, other) = (one.addr(), other.addr());
    let cases: &[(&str, &[&str])] = &[
        ("plain", &[]),
        ("deleted before", &["XDEL s 1-0"]),
        ("deleted behind", &["XDEL s 8-0"]),
        ("trimmed", &["XTRIM s MAXLEN = 2"]),
        (
            "read",
            &["XREADGROUP GROUP g a COUNT 3 STREAMS s >", "XREADGROUP GROUP g b COUNT 2 STREAMS s >", "XACK s g 7-0"],
        ),
        ("claimed", &["XGROUP CREATE s h 7-0 ENTRIESREAD 2", "XREADGROUP GROUP h a NOACK STREAMS s >"]),
        ("expires", &["PEXPIREAT s 4000000000123"]),
    ];
    for (case, after) in cases {
        for addr in [&one, &other] {
            let () = direct::ask(addr, &cmd("FLUSHALL")).await;
            for number in [1, 3, 5, 7, 8, 9] {
                // One of them gets the sixth in time.
                if number == 7 && addr == &one {
                    let _: String = direct::ask(addr, &call(&["XADD", "s", "6-5", "f", "late", "g", ""])).await;
                }
                let number = format!("{number}-0");
                let _: String = direct::ask(addr, &call(&["XADD", "s", &number, "f", &number, "h", "é\0"])).await;
            }
            let () = direct::ask(addr, &call(&["XGROUP", "CREATE", "s", "g", "6-9", "ENTRIESREAD", "4"])).await;
            for line in *after {
                let _: Value = direct::ask(addr, &call(&line.split(' ').collect::<Vec<_>>())).await;
            }
        }
        let trim: &[&str] = match *case {
            "trimmed" => &["MINID", "8"],
            _ => &[],
        };
        let words = [&["XADD", "s"], trim, &["6-5", "f", "late", "g", ""]].concat();
        // The second time it is there already, or is taken away once more.
        for _ in 0..2 {
            let answer = put_late(&other, &words).await.unwrap();
            // Nobody can tell then whether it should still be there, and so the copies are compared.
            let wanted = if *case == "trimmed" { Value::Nil } else { Value::BulkString(b"6-5".to_vec()) };
            assert_eq!(answer, wanted, "{case}");
            if *case == "trimmed" {
                break;
            }
        }
        let (mut wanted, mut got) = (told(&one, "s").await, told(&other, "s").await);
        if *case != "deleted before" && *case != "deleted behind" {
            let deleted = [&mut wanted, &mut got].map(|told| told.remove("max-deleted-entry-id").unwrap());
            assert!(deleted[0].contains("0-0") && deleted[1].contains("0-"), "{deleted:?}");
        }
        for told in [&mut wanted, &mut got] {
            without_times(told);
        }
        assert_eq!(wanted, got, "{case}");
        assert_eq!(direct::content(&one, "s").await, direct::content(&other, "s").await, "{case}");
        let own: u64 = direct::ask(&other, &cmd("DBSIZE")).await;
        assert_eq!(own, 1, "nothing else is left there");
    }
}

#[tokio::test]
async fn an_entry_without_a_place_leaves_the_stream_untouched() {
    let server = redis().await;
    let addr = server.addr();
    let mut pipe = redis::pipe();
    for number in 2..1003 {
        pipe.cmd("XADD").arg("s").arg(format!("{number}-0")).arg("f").arg("v").ignore();
    }
    let () = pipe.query_async(&mut direct::connect(&addr).await).await.unwrap();
    let dump = async || -> Vec<u8> { direct::ask(&addr, cmd("DUMP").arg("s")).await };
    let before = dump().await;
    assert_eq!(put_late(&addr, &["XADD", "s", "1-0", "f", "v"]).await.unwrap(), Value::Nil, "too many are behind it");
    assert_eq!(before, dump().await);
    // One less, and it has.
    assert_eq!(put_late(&addr, &["XADD", "s", "2-1", "f", "v"]).await.unwrap(), Value::BulkString(b"2-1".to_vec()));
    let before = dump().await;
    for denied in ["xsetid", "xdel", "xtrim"] {
        let acl = ["ACL", "SETUSER", "default", "+@all", &format!("-{denied}")];
        let () = direct::ask(&addr, &call(&acl)).await;
        assert_eq!(put_late(&addr, &["XADD", "s", "1000-1", "f", "v"]).await.unwrap(), Value::Nil, "{denied}");
        assert_eq!(before, dump().await, "{denied}");
    }
    let () = direct::ask(&addr, &call(&["ACL", "SETUSER", "default", "+@all"])).await;
    let () = direct::ask(&addr, cmd("SET").arg("text").arg("v")).await;
    assert!(put_late(&addr, &["XADD", "text", "1-0", "f", "v"]).await.is_err());
    let own: u64 = direct::ask(&addr, &cmd("DBSIZE")).await;
    assert_eq!(own, 2, "nothing else is left there");
}

#[tokio::test]
async fn a_copy_that_lacks_something_gets_it() {
    let two = Two::start().await;
    let near = two.near.connection();
    let (count, list, gone) =
        (key_of(&two.near, "n", "r0"), key_of(&two.near, "l", "r0"), key_of(&two.near, "g", "r0"));
    run(&near, &["SET", &count, "5", "PXAT", "4000000000123"]).await.unwrap();
    run(&near, &["RPUSH", &list, "a", "b"]).await.unwrap();
    let copy = two.addr("r1");
    let () = direct::ask(&copy, cmd("SET").arg(&count).arg(50)).await;
    let () = direct::ask(&copy, cmd("DEL").arg(&list)).await;
    let () = direct::ask(&copy, cmd("RPUSH").arg(&gone).arg("stray")).await;
    assert_eq!(run(&near, &["INCR", &count]).await.unwrap(), Value::Int(6));
    assert_eq!(run(&near, &["RPUSH", &list, "c"]).await.unwrap(), Value::Int(3));
    assert_eq!(run(&near, &["DEL", &gone]).await.unwrap(), Value::Int(0));
    run(&near, &["LPUSHX", &gone, "x"]).await.unwrap();
    two.heals(&[count.clone(), list.clone()]).await;
    assert_eq!(direct::content(&copy, &count).await.1, ["bulk-string('\"6\"')"]);
    assert_eq!(direct::content(&copy, &count).await.2, 4_000_000_000_123);
    assert_eq!(direct::content(&copy, &list).await.1.len(), 3);
    assert_eq!(two.near.stats().healed_keys, 2);
    // The primary was read and nothing else.
    let primary = two.addr("r0");
    assert_eq!(direct::calls(&primary, "restore").await + direct::calls(&primary, "incr").await, 1);
    assert_eq!(direct::calls(&copy, "restore").await, 2);
}

#[tokio::test]
async fn another_type_on_a_copy_is_a_difference_and_no_missed_write() {
    let two = Two::start().await;
    let near = two.near.connection();
    let (plain, piped) = (key_of(&two.near, "p", "r0"), key_of(&two.near, "q", "r0"));
    for key in [&plain, &piped] {
        let _: i64 = direct::ask(&two.addr("r1"), cmd("RPUSH").arg(key).arg("x")).await;
    }
    assert_eq!(run(&near, &["INCR", &plain]).await.unwrap(), Value::Int(1));
    let (first, second): (i64, i64) =
        redis::pipe().cmd("INCR").arg(&piped).cmd("INCR").arg(&piped).query_async(&mut near.clone()).await.unwrap();
    assert_eq!((first, second), (1, 2));
    assert_eq!(two.near.stats().differing_replies, 2);
    two.heals(&[plain, piped]).await;
    assert_eq!(two.near.stats().healed_keys, 2);
}

#[tokio::test]
async fn a_key_that_is_written_all_the_time_is_left_to_its_writers() {
    // Longer than this machine may stand still between two writes.
    let two = Two::with(within(Duration::from_secs(1))).await;
    let key = key_of(&two.near, "n", "r0");
    two.delay("r1", Duration::from_millis(300)).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let writer = tokio::spawn({
        let (connection, key) = (two.far.connection(), key.clone());
        async move {
            let (mut written, mut running) = (0, tokio::task::JoinSet::new());
            while !*stopped.borrow() {
                let (connection, key) = (connection.clone(), key.clone());
                running.spawn(async move { run(&connection, &["INCR", &key]).await.unwrap() });
                written += 1;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            running.join_all().await;
            written
        }
    });
    // It is behind all the time, and so its answer is another one.
    eventually(SOON, "the primary is ahead", || async {
        let count: Option<i64> = direct::ask(&two.addr("r0"), cmd("GET").arg(&key)).await;
        count.is_some_and(|count| count > 5)
    })
    .await;
    run(&two.near.connection(), &["INCR", &key]).await.unwrap();
    // Both clients have looked at it several times.
    eventually(SOON, "it is looked at", || async { direct::calls(&two.addr("r1"), "eval").await >= 4 }).await;
    let healed = two.near.stats().healed_keys + two.far.stats().healed_keys;
    assert_eq!(healed, 0, "it was never still");
    assert_eq!(direct::calls(&two.addr("r1"), "restore").await, 0);
    stop.send_replace(true);
    let written: i64 = writer.await.unwrap() + 1;
    two.heals(std::slice::from_ref(&key)).await;
    let count: i64 = direct::ask(&two.addr("r0"), cmd("GET").arg(&key)).await;
    assert_eq!(count, written);
}

#[tokio::test]
async fn what_comes_to_a_copy_between_the_look_and_the_state_is_not_overwritten() {
    let two = Two::with(Timeouts { probe: SOON, ..within(Duration::from_millis(1500)) }).await;
    let key = key_of(&two.far, "n", "r0");
    let (primary, copy) = (two.addr("r0"), two.addr("r1"));
    let () = direct::ask(&copy, cmd("SET").arg(&key).arg(50)).await;
    run(&two.far.connection(), &["INCR", &key]).await.unwrap();
    // What the primary says comes late, so that there is time after the copy has been looked at: it is asked twice.
    let slow = Duration::from_millis(700);
    two.proxies["r0"].set(Mode::Delay { requests: Duration::ZERO, replies: slow }).await;
    eventually(SOON * 2, "the second look", || async { direct::calls(&copy, "eval").await >= 2 }).await;
    let () = direct::ask(&copy, cmd("SET").arg(&key).arg("newer")).await;
    eventually(SOON * 2, "the state comes", || async { direct::calls(&copy, "eval").await >= 3 }).await;
    let held: String = direct::ask(&copy, cmd("GET").arg(&key)).await;
    assert_eq!(held, "newer");
    assert_eq!(direct::calls(&copy, "restore").await, 0);
    two.proxies["r0"].set(Mode::Pass).await;
    two.heals(std::slice::from_ref(&key)).await;
    let held: (i64, i64) =
        (direct::ask(&primary, cmd("GET").arg(&key)).await, direct::ask(&copy, cmd("GET").arg(&key)).await);
    assert_eq!(held, (1, 1));
}

#[tokio::test]
async fn only_the_first_owner_decides_and_only_if_it_has_missed_nothing() {
    let mut ring = FixedRing::start(3).await;
    let open = async |ring: &FixedRing| {
        let builder = RingClient::builder(&format!("{}?copies=3", ring.url())).unwrap();
        ring.connected(builder.timeouts(within(Duration::from_secs(1)))).await
    };
    let whole = open(&ring).await;
    let proxy = FaultProxy::start(ring.server(&id("r0")).addr()).await;
    ring.reach(&id("r0"), proxy.addr());
    let client = open(&ring).await;
    let key = key_of(&client, "n", "r0");
    let last = ring.server(&client.locate(&key).owners[2]).addr();
    run(&client.connection(), &["SET", &key, "1"]).await.unwrap();
    let () = direct::ask(&last, cmd("SET").arg(&key).arg(70)).await;
    proxy.set(Mode::Refuse).await;
    proxy.cut().await;
    eventually(SOON, "the first owner is lost", || async { client.connected().len() == 2 }).await;
    // The second owner stands in for it in writes, but not in deciding what is right.
    assert_eq!(run(&client.connection(), &["INCR", &key]).await.unwrap(), Value::Int(2));
    // Somebody who reaches all of them heals a few others, one after the other; so there was time for this one. Not those
    // of the first owner: it is known to everybody now that it lacks a write.
    let second = client.locate(&key).owners[1].clone();
    for number in 0..3 {
        let other = key_of(&client, &format!("other{number}:"), second.as_str());
        let () = direct::ask(&last, cmd("SET").arg(&other).arg(70)).await;
        run(&whole.connection(), &["INCR", &other]).await.unwrap();
        eventually(SOON, "it is healed", || async { whole.stats().healed_keys == number + 1 }).await;
    }
    let held: i64 = direct::ask(&last, cmd("GET").arg(&key)).await;
    assert_eq!((held, client.suspects()), (71, 1));
    proxy.set(Mode::Pass).await;
    eventually(SOON, "the first owner is back", || async { client.connected().len() == 3 }).await;
    eventually(SOON * 2, "the key is given up", || async { client.suspects() == 0 }).await;
    let stats = client.stats();
    assert_eq!((stats.healed_keys, stats.unhealed_keys), (0, 1), "{stats:?}");
    let held: i64 = direct::ask(&last, cmd("GET").arg(&key)).await;
    assert_eq!(held, 71, "what the first owner lacks was not taken away");
}

#[tokio::test]
async fn what_cannot_be_healed_is_counted() {
    let two = Two::start().await;
    let near = two.near.connection();
    let copy = two.addr("r1");
    let large = key_of(&two.near, "large", "r0");
    run(&near, &["SETRANGE", &large, "17000000", "x"]).await.unwrap();
    let _: i64 = direct::ask(&copy, cmd("APPEND").arg(&large).arg("more")).await;
    run(&near, &["APPEND", &large, "y"]).await.unwrap();
    eventually(SOON, "it is left alone", || async { two.near.suspects() == 0 }).await;
    assert_eq!(two.near.stats().unhealed_keys, 1);
    let small = key_of(&two.near, "small", "r0");
    let () = direct::ask(&copy, cmd("SET").arg(&small).arg(7)).await;
    let () = direct::ask(&copy, &call(&["ACL", "SETUSER", "default", "-restore"])).await;
    run(&near, &["INCR", &small]).await.unwrap();
    eventually(SOON, "it is given up", || async { two.near.suspects() == 0 }).await;
    let stats = two.near.stats();
    assert_eq!((stats.healed_keys, stats.unhealed_keys, stats.missed_writes), (0, 2, 0));
    let () = direct::ask(&copy, &call(&["ACL", "SETUSER", "default", "+restore"])).await;
    run(&near, &["INCR", &small]).await.unwrap();
    eventually(SOON, "it is healed", || async { two.near.stats().healed_keys == 1 }).await;
    assert!(two.ring.copies_are_equal(&two.near, &small).await);
}

#[tokio::test]
async fn a_copy_that_was_overtaken_is_seen_though_all_its_answers_are_fine() {
    let two = Two::start().await;
    let forms: &[&[&str]] = &[
        &["INCRBYFLOAT", "K", "0.5"],
        &["HINCRBYFLOAT", "K", "f", "-3e3"],
        &["XADD", "K", "MAXLEN", "1", "*", "f", "v"],
        &["XADD", "K", "MAXLEN", "3", "*", "f", "v"],
        &["XADD", "K", "MAXLEN", "~", "3", "*", "f", "v"],
    ];
    let mut keys = Vec::new();
    for (number, form) in forms.iter().enumerate() {
        let key = key_of(&two.near, &format!("{number}:"), "r0");
        let words: Vec<String> = form.iter().map(|word| word.replace('K', &key)).collect();
        keys.push((key, words));
    }
    two.delay("r1", Duration::from_millis(200)).await;
    let both = keys.iter().map(|(key, words)| {
        let two = &two;
        async move {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            for _ in 0..2 {
                let far = two.far.connection();
                let late = async { run(&far, &words).await.unwrap() };
                let early = async {
                    let before: u64 = direct::ask(&two.addr("r1"), cmd("EXISTS").arg(key)).await;
                    eventually(SOON, "the primary has it", || async {
                        let there: u64 = direct::ask(&two.addr("r0"), cmd("EXISTS").arg(key)).await;
                        there > before || before == 1
                    })
                    .await;
                    run(&two.near.connection(), &words).await.unwrap();
                };
                futures_util::future::join(late, early).await;
            }
        }
    });
    futures_util::future::join_all(both).await;
    let keys: Vec<String> = keys.into_iter().map(|(key, _)| key).collect();
    two.heals(&keys).await;
    let sum: f64 = direct::ask(&two.addr("r1"), cmd("GET").arg(&keys[0])).await;
    assert!((sum - 2.0).abs() < 1e-9);
    assert_eq!(stream(&two.addr("r1"), &keys[2]).await.len(), 1);
    assert_eq!(stream(&two.addr("r1"), &keys[3]).await.len(), 3);
}

#[tokio::test]
async fn keys_are_compared_for_who_asks() {
    let ring = FixedRing::start(3).await;
    let client = ring.connected(ring.builder().timeouts(within(Duration::from_secs(1)))).await;
    let connection = client.connection();
    for line in ["SET same v", "HSET other f v g w", "ZADD less 1 a 2 b", "RPUSH gone a"] {
        run(&connection, &line.split(' ').collect::<Vec<_>>()).await.unwrap();
    }
    let copy = |key: &str| ring.owners(&client, key)[1].addr();
    let () = direct::ask(&copy("other"), &call(&["HSET", "other", "f", "wrong"])).await;
    let () = direct::ask(&copy("less"), &call(&["EXPIRE", "less", "1000"])).await;
    let () = direct::ask(&copy("gone"), &call(&["DEL", "gone"])).await;
    let () = direct::ask(&copy("stray"), &call(&["SET", "stray", "v"])).await;
    let keys = ["same", "other", "none", "less", "gone", "stray"];
    let compared = client.compare(keys.iter().map(|key| key.as_bytes().to_vec()).collect()).await;
    let (equal, healed) = (Compared::Equal, Compared::Healed);
    assert_eq!(compared, [equal, healed, equal, healed, healed, healed]);
    for key in keys {
        assert!(ring.copies_are_equal(&client, key).await, "{key}");
    }
    assert_eq!(client.stats().healed_keys, 4);
    let primary = ring.owners(&client, "same")[0].addr();
    assert_eq!(direct::calls(&primary, "client|pause").await, 0, "nobody was held up");
    ring.owners(&client, "same")[1].kill();
    assert_eq!(client.compare(vec![b"same".to_vec()]).await, [Compared::Later]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_never_holds_still_is_compared_while_its_writes_are_held_up() {
    let ring = FixedRing::start(2).await;
    let (counting, client) = (ring.connected(ring.patient()).await, ring.client().await);
    run(&counting.connection(), &["SET", "n", "0"]).await.unwrap();
    let [primary, copy] = [0, 1].map(|owner| ring.owners(&client, "n")[owner].addr());
    let () = direct::ask(&copy, &call(&["INCRBY", "n", "1000000"])).await;
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let counts = tokio::spawn({
        let (connection, done) = (counting.connection(), std::sync::Arc::clone(&done));
        async move {
            let mut counted = 0_i64;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                run(&connection, &["INCR", "n"]).await.unwrap();
                counted += 1;
            }
            counted
        }
    });
    eventually(SOON, "it is counted", || async { direct::ask::<i64>(&primary, &call(&["GET", "n"])).await > 100 })
        .await;
    // Where writes could not be held up for long enough, it is to be compared again.
    eventually(SOON * 3, "it is compared", || async {
        matches!(client.compare(vec![b"n".to_vec()]).await[..], [Compared::Healed | Compared::Equal])
    })
    .await;
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    let counted = counts.await.unwrap();
    for addr in [&primary, &copy] {
        assert_eq!(direct::ask::<i64>(addr, &call(&["GET", "n"])).await, counted, "not one was lost or came twice");
    }
    assert!(direct::calls(&primary, "client|pause").await > 0);
    assert!(!direct::ask::<bool>(&primary, &call(&["EXISTS", "__rr:cut"])).await, "the lock is given back");
}
