//! Two servers, of which one runs commands and the other what they did.

use std::collections::BTreeSet;

use redis::aio::MultiplexedConnection;
use redis::streams::StreamRangeReply;
use redis::{Cmd, Value, cmd};
use redis_ring::command::{self, Carried, Expect, Plan, Row};
use redis_ring::local::{RedisOptions, RedisServer};

use crate::support::{SOON, direct, eventually, redis_with};

/// A call written as one would in redis-cli; `·` is a blank inside a word, and `''` an empty word.
pub fn call(line: &str) -> Cmd {
    let mut command = Cmd::new();
    for word in line.split(' ') {
        command.arg(if word == "''" { String::new() } else { word.replace('·', " ") });
    }
    command
}

/// A primary and its copy.
pub struct Pair {
    primary: RedisServer,
    copy: RedisServer,
    at_primary: MultiplexedConnection,
    at_copy: MultiplexedConnection,
    loaded: String,
}

impl Pair {
    /// They keep streams in pieces of other sizes, so that an approximate trimming takes another share on each.
    pub async fn start() -> Self {
        let with = |entries: &str| redis_with(RedisOptions::new().set("stream-node-max-entries", entries));
        let (primary, copy) = tokio::join!(with("10"), with("4"));
        let at_primary = direct::connect(&primary.addr()).await;
        let at_copy = direct::connect(&copy.addr()).await;
        Self { primary, copy, at_primary, at_copy, loaded: String::new() }
    }

    /// Makes the primary answer in this protocol.
    pub async fn speak(&mut self, protocol: &str) {
        self.at_primary = direct::connect_as(&self.primary.addr(), protocol).await;
    }

    /// Empties both and gives both the same.
    pub async fn prepare(&mut self, lines: &str) {
        self.both("FLUSHALL").await;
        for line in lines.split(';').filter(|line| !line.is_empty()) {
            let words: Vec<_> = line.split(' ').collect();
            match words[..] {
                [entries] if entries.starts_with('~') => {
                    for number in 1..=entries[1..].parse::<u32>().expect("a count") {
                        self.both(&format!("XADD s {number}-0 f {number}")).await;
                    }
                }
                ["GROUP"] => self.both("XGROUP CREATE s g 0").await,
                // The same entries as of the same time: the deliveries of the two servers themselves would differ in it.
                ["READ", consumer, count] => {
                    let count: u32 = count.parse().expect("a count");
                    let ids: Vec<_> = (1..=count).map(|number| format!("{number}-0")).collect();
                    let claim =
                        format!("XCLAIM s g {consumer} 0 {} TIME 5000 RETRYCOUNT 1 FORCE JUSTID", ids.join(" "));
                    self.both(&claim).await;
                    self.both(&format!("XGROUP SETID s g {count}-0 ENTRIESREAD {count}")).await;
                }
                ["ON-PRIMARY", ..] => {
                    let line = line.split_once(' ').expect("more words").1;
                    let reply: Value = call(line).query_async(&mut self.at_primary).await.expect(line);
                    self.loaded = redis::from_redis_value(reply).unwrap_or_default();
                }
                _ => self.both(line).await,
            }
        }
    }

    async fn both(&mut self, line: &str) {
        for connection in [&mut self.at_primary, &mut self.at_copy] {
            call(line).exec_async(connection).await.expect(line);
        }
    }

    /// With the digest of the script that was loaded last in place of `DIGEST`.
    pub fn adapt(&self, line: &str) -> String {
        line.replace("DIGEST", &self.loaded)
    }

    /// Runs the call on the primary and what it did on the copy.
    pub async fn run(&mut self, call: &Cmd) -> &'static Row {
        let (row, carried) = self.at_primary(call).await;
        self.at_copy(carried).await;
        row
    }

    /// Runs the call on the primary alone and says what the copy must get.
    pub async fn at_primary(&mut self, call: &Cmd) -> (&'static Row, Vec<Carried>) {
        let shown = shown(call);
        let plan = command::plan(call).expect(&shown);
        let (sent, reply, answers) = match plan {
            // In a transaction it would not wait.
            Plan::Wait { .. } if command::probes(call, &plan).is_empty() => {
                (call.clone(), call.query_async(&mut self.at_primary).await.expect(&shown), Vec::new())
            }
            _ => {
                // In a transaction nothing blocks.
                let sent = call.clone();
                let plan = command::plan(&sent).expect(&shown);
                let probes = command::probes(&sent, &plan);
                let mut pipe = redis::pipe();
                pipe.atomic().add_command(sent.clone());
                probes.into_iter().for_each(|probe| {
                    pipe.add_command(probe);
                });
                let mut replies: Vec<Value> = pipe.query_async(&mut self.at_primary).await.expect(&shown);
                let reply = replies.remove(0);
                (sent, reply, replies)
            }
        };
        let told = |call: &Cmd| {
            let plan = command::plan(call).expect(&shown);
            command::effect(call, &plan, &reply, &answers)
                .unwrap_or_else(|wrong| panic!("{shown}: {wrong}: {reply:?}, {answers:?}"))
        };
        let carried = told(call);
        let packed = |carried: &[Carried]| carried.iter().map(|one| one.cmd.get_packed_command()).collect::<Vec<_>>();
        assert_eq!(
            packed(&carried),
            packed(&told(&sent)),
            "the form that waits and the other tell of one effect: {shown}"
        );
        (plan.row(), carried)
    }

    /// Runs what the copy must get, and checks its replies.
    pub async fn at_copy(&mut self, carried: Vec<Carried>) {
        for one in &carried {
            let (reply, met) = self.meets(one).await;
            assert!(met, "{}: {reply:?} instead of {:?}", shown(&one.cmd), one.expect);
        }
    }

    /// Whether the copy replies to all of it as it must.
    pub async fn takes(&mut self, carried: &[Carried]) -> bool {
        let mut all = true;
        for one in carried {
            all &= self.meets(one).await.1;
        }
        all
    }

    async fn meets(&mut self, Carried { cmd, expect }: &Carried) -> (Value, bool) {
        let reply: Value = cmd.query_async(&mut self.at_copy).await.unwrap_or_else(|e| panic!("{}: {e}", shown(cmd)));
        let met = match expect {
            Expect::Reply(same) | Expect::Soon(same) => reply == *same,
            Expect::Found => matches!(reply, Value::Int(1..)),
            Expect::Near { number, within } => {
                let held: f64 = redis::from_redis_value::<Option<f64>>(reply.clone()).expect("a number").unwrap_or(0.0);
                (held - number).abs() <= *within
            }
            Expect::Any => true,
        };
        (reply, met)
    }

    /// The ids of a stream's entries on the primary, and some that it never had.
    pub async fn ids(&mut self, key: &str) -> Vec<String> {
        let range: StreamRangeReply =
            cmd("XRANGE").arg(key).arg("-").arg("+").query_async(&mut self.at_primary).await.expect("a range");
        ["1-0", "3-0", "6-1", "4"]
            .map(str::to_owned)
            .into_iter()
            .chain(range.ids.into_iter().map(|entry| entry.id))
            .collect()
    }

    /// Until the copy's clock is further from what the primary said than two equal deliveries may be.
    pub async fn wait_for_another_time(&mut self) {
        let before: (u64, u64) = cmd("TIME").query_async(&mut self.at_copy).await.expect("a time");
        let at_copy = self.at_copy.clone();
        eventually(SOON, "the copy's clock goes on", || {
            let mut at_copy = at_copy.clone();
            async move {
                let (seconds, micros): (u64, u64) = cmd("TIME").query_async(&mut at_copy).await.expect("a time");
                seconds * 1000 + micros / 1000 > before.0 * 1000 + before.1 / 1000 + CLOSE
            }
        })
        .await;
    }
}

impl Pair {
    /// That both hold the same: every key, and of streams also what their groups hold.
    pub async fn compare(&mut self, what: &str) {
        let mut keys = BTreeSet::new();
        for connection in [&mut self.at_primary, &mut self.at_copy] {
            let some: Vec<String> = cmd("KEYS").arg("*").query_async(connection).await.expect("keys");
            keys.extend(some);
        }
        for key in keys {
            let at_primary = direct::content(&self.primary.addr(), &key).await;
            let at_copy = direct::content(&self.copy.addr(), &key).await;
            assert_eq!(at_primary, at_copy, "{what}: {key}");
            if at_primary.0 == "stream" {
                let (mut primary, mut copy) = (Groups::default(), Groups::default());
                primary.ask(&self.primary.addr(), &key).await;
                copy.ask(&self.copy.addr(), &key).await;
                assert_eq!(primary.lines, copy.lines, "{what}: {key}");
                for (one, other) in primary.times.iter().zip(&copy.times) {
                    assert!(one.abs_diff(*other) <= CLOSE, "{what}: delivered at {one} and at {other}");
                }
            }
        }
    }
}

/// How far two times of delivery may be apart, in milliseconds: the primary tells its time right after the delivery.
const CLOSE: u64 = 300;

/// What `XINFO STREAM … FULL` says, without what two equal streams may differ in.
#[derive(Default)]
struct Groups {
    lines: Vec<String>,
    times: Vec<i64>,
}

impl Groups {
    async fn ask(&mut self, addr: &str, key: &str) {
        self.take("", direct::ask(addr, cmd("XINFO").arg("STREAM").arg(key).arg("FULL").arg("COUNT").arg(0)).await);
    }

    fn take(&mut self, path: &str, value: Value) {
        match value {
            Value::Map(fields) => {
                for (name, value) in fields {
                    let name: String = redis::from_redis_value(name).expect("a name");
                    if !matches!(name.as_str(), "radix-tree-keys" | "radix-tree-nodes" | "seen-time" | "active-time") {
                        self.take(&format!("{path}/{name}"), value);
                    }
                }
            }
            Value::Array(items) if path.ends_with("/pending") || path.ends_with("/pel") => {
                for item in items {
                    let Value::Array(mut pending) = item else { panic!("no pending entry: {item:?}") };
                    // Before the last, which is the count of deliveries, stands their time.
                    let Value::Int(time) = pending.remove(pending.len() - 2) else { panic!("no time: {pending:?}") };
                    self.times.push(time);
                    self.lines.push(format!("{path}: {pending:?}"));
                }
            }
            // The groups and consumers stand in the order of their names.
            Value::Array(items) => items.into_iter().for_each(|item| self.take(path, item)),
            one => self.lines.push(format!("{path}: {one:?}")),
        }
    }
}

fn shown(call: &Cmd) -> String {
    String::from_utf8_lossy(&call.get_packed_command()).replace("\r\n", " ")
}
