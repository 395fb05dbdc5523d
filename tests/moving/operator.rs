//! A ring in a real ZooKeeper whose agents are this test: it writes the records, opens the gates, and copies what is
//! gained, each when the test says so.
#![allow(
    dead_code,
    reason = "tests/gates.rs needs less of it than tests/moving.rs, so that `expect` would fail in one"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use redis::{Cmd, Value, cmd};
use redis_ring::local::{RedisServer, ZooKeeperServer};
use redis_ring::membership::records::{MemberRecord, PlacedRecord, RingRecord};
use redis_ring::membership::{Change, RingUrl, Store};
use redis_ring::placement::{Config, NodeId, State, Token};
use redis_ring::policy::Timeouts;
use redis_ring::{RingClient, RingClientBuilder};

use crate::support::{SOON, direct, eventually, id, patient_options, redis_servers, unique_root};

/// The key of a server that says for whom it is open, and who has been copied everything.
const GATE: &str = "__rr:gate";

/// Servers named `r0`, `r1`, …; the first of them are the ring.
pub struct Operator {
    pub url: String,
    pub servers: BTreeMap<NodeId, RedisServer>,
    store: Store,
    step: u64,
}

impl Operator {
    /// A ring of `members` of these servers, `still` at step 1. `reached` has the addresses of those that clients reach
    /// elsewhere, such as at a proxy.
    pub async fn start(
        zookeeper: &ZooKeeperServer,
        servers: usize,
        members: usize,
        reached: impl AsyncFn(&NodeId, &str) -> Option<String>,
    ) -> Operator {
        let url = zookeeper.url(&unique_root());
        let options = patient_options();
        let store = Store::open(&url.parse::<RingUrl>().expect("a URL"), &options).await.expect("ZooKeeper");
        store.init(&Config::default(), u32::try_from(members).expect("a count")).await.expect("a new ring");
        let servers = redis_servers(servers).await.into_iter().enumerate();
        let servers: BTreeMap<NodeId, RedisServer> =
            servers.map(|(n, server)| (id(&format!("r{n}")), server)).collect();
        let mut records = BTreeMap::new();
        for (nth, (id, server)) in servers.iter().enumerate() {
            let addr = reached(id, &server.addr()).await.unwrap_or_else(|| server.addr());
            let state = if nth < members { State::Up } else { State::Down };
            records.insert(id.clone(), record(&addr, state, 1, &run_id(server).await));
        }
        let operator = Operator { url, servers, store, step: 1 };
        for (id, record) in &records {
            operator.open_gate(id, record.generation).await;
        }
        operator
            .change(|change| {
                for (id, record) in &records {
                    change.put(id, record.clone());
                }
                let ring = change.ring();
                (ring.step, ring.phase, ring.founding) = (1, "still".to_owned(), None);
                ring.serving = placed(records.keys().take(members));
            })
            .await;
        operator
    }

    pub fn builder(&self) -> RingClientBuilder {
        builder(&self.url)
    }

    pub async fn client(&self) -> RingClient {
        self.builder().open().await.expect("a ring")
    }

    pub fn addr(&self, id: &NodeId) -> String {
        self.servers[id].addr()
    }

    /// One change of the records.
    pub async fn change(&self, edit: impl Fn(&mut Change)) {
        let changed = self.store.change(|snapshot| {
            let mut change = Change::of(snapshot);
            edit(&mut change);
            Ok(Some(change))
        });
        changed.await.expect("a change");
    }

    /// Another phase, one step later, of which the gates are told too.
    pub async fn phase(&mut self, phase: &str, edit: impl Fn(&mut RingRecord)) {
        self.phase_of(phase, |change| edit(change.ring())).await;
        self.raise_gates().await;
    }

    /// Likewise, of which the gates are not told yet.
    pub async fn phase_of(&mut self, phase: &str, edit: impl Fn(&mut Change)) {
        self.step += 1;
        let step = self.step;
        self.change(|change| {
            // One that was written without a word from ZooKeeper is not made again.
            if change.ring().step == step {
                return;
            }
            edit(change);
            let ring = change.ring();
            (ring.step, ring.phase) = (step, phase.to_owned());
        })
        .await;
    }

    pub async fn raise_gates(&self) {
        for id in self.servers.keys() {
            self.ask::<()>(id, cmd("HSET").arg(GATE).arg("step").arg(self.step)).await;
        }
    }

    /// `still → filling → syncing` towards a ring of these members.
    pub async fn sync_towards(&mut self, next: &[&str], clients: &[&RingClient]) {
        for phase in ["filling", "syncing"] {
            self.phase_towards(phase, next).await;
            self.until(clients).await;
        }
    }

    /// A phase towards a ring of these members; those that are not up are `joining`.
    pub async fn phase_towards(&mut self, phase: &str, next: &[&str]) {
        let lives = self.store.snapshot().await.expect("records").members;
        self.phase_of(phase, |change| {
            for (id, entry) in &lives {
                let mut record = entry.record.clone().expect("a record");
                if next.contains(&id.as_str()) && record.state() == State::Down {
                    record.state = State::Joining.as_str().to_owned();
                    change.put(id, record);
                }
            }
            change.ring().next = placed(next.iter().map(|name| id(name)).collect::<Vec<_>>().iter());
        })
        .await;
        self.raise_gates().await;
    }

    /// The flip: those that were to be read are, and those that joined are up.
    pub async fn flip(&mut self) {
        let lives = self.store.snapshot().await.expect("records").members;
        self.phase_of("retiring", |change| {
            for (id, entry) in &lives {
                let mut record = entry.record.clone().expect("a record");
                if record.state() == State::Joining {
                    record.state = State::Up.as_str().to_owned();
                    change.put(id, record);
                }
            }
            let ring = change.ring();
            let next = std::mem::take(&mut ring.next);
            ring.old = std::mem::replace(&mut ring.serving, next);
        })
        .await;
    }

    /// A fence.
    pub async fn take_out(&self, member: &str) {
        let member = id(member);
        let lives = self.store.snapshot().await.expect("records").members;
        self.change(|change| {
            let mut record = lives[&member].record.clone().expect("a record");
            record.state = State::Down.as_str().to_owned();
            change.put(&member, record);
        })
        .await;
    }

    /// Waits until these clients know the newest step, and are connected to all who are in use.
    pub async fn until(&self, clients: &[&RingClient]) {
        for client in clients {
            eventually(SOON, &format!("step {} is known, and all members are connected to", self.step), || async {
                let topology = client.topology();
                let used = topology.members().iter().filter(|member| member.state != State::Down);
                let connected = client.connected();
                topology.step().0 == self.step && used.into_iter().all(|member| connected.contains(&member.id))
            })
            .await;
        }
    }

    /// Copies keys to a member that gains them and names it in the gate of their primary, as if at one moment.
    pub async fn cut(&self, source: &NodeId, gainer: &NodeId, keys: &[String]) {
        for key in keys {
            self.copy(source, gainer, key).await;
        }
        self.name(source, gainer).await;
    }

    /// Likewise at one moment indeed: writes at the source are held up from the moment in which the members are named until
    /// all is copied.
    pub async fn exact_cut(&self, source: &NodeId, gainers: &[NodeId], keys: &[String]) {
        let mut connection = direct::connect(&self.addr(source)).await;
        let mut exec = redis::pipe();
        exec.atomic();
        for gainer in gainers {
            exec.cmd("HSET").arg(GATE).arg(format!("cut:{gainer}")).arg(self.step);
        }
        exec.cmd("CLIENT").arg(&["PAUSE", "60000", "WRITE"]);
        let () = exec.query_async(&mut connection).await.expect("a pause");
        for (gainer, key) in gainers.iter().flat_map(|gainer| keys.iter().map(move |key| (gainer, key))) {
            self.copy(source, gainer, key).await;
        }
        let () = cmd("CLIENT").arg("UNPAUSE").query_async(&mut connection).await.expect("an end of the pause");
    }

    pub async fn name(&self, source: &NodeId, gainer: &NodeId) {
        self.ask::<()>(source, cmd("HSET").arg(GATE).arg(format!("cut:{gainer}")).arg(self.step)).await;
    }

    async fn copy(&self, source: &NodeId, gainer: &NodeId, key: &str) {
        let dump: Option<Vec<u8>> = self.ask(source, cmd("DUMP").arg(key)).await;
        let Some(dump) = dump else { return };
        let expiry: i64 = self.ask(source, cmd("PEXPIRETIME").arg(key)).await;
        let mut restore = cmd("RESTORE");
        restore.arg(key).arg(expiry.max(0)).arg(dump).arg("REPLACE").arg("ABSTTL");
        self.ask::<()>(gainer, &restore).await;
    }

    pub async fn open_gate(&self, id: &NodeId, generation: u64) {
        let run_id = run_id(&self.servers[id]).await;
        let mut open = cmd("HSET");
        open.arg(GATE).arg(&["run_id", &run_id, "gen", &generation.to_string(), "open", "1"]);
        self.ask::<()>(id, open.arg("step").arg(self.step)).await;
    }

    pub async fn shut_gate(&self, id: &NodeId) {
        self.ask::<()>(id, cmd("DEL").arg(GATE)).await;
    }

    /// Asks a server directly.
    pub async fn ask<T: redis::FromRedisValue>(&self, id: &NodeId, cmd: &Cmd) -> T {
        direct::ask(&self.addr(id), cmd).await
    }

    /// A number at a server, 0 if there is none.
    pub async fn count(&self, member: &str, key: &str) -> i64 {
        self.ask::<Option<i64>>(&id(member), cmd("GET").arg(key)).await.unwrap_or(0)
    }

    /// Waits until it is counted on there for a while.
    pub async fn goes_on(&self, member: &str, key: &str) {
        let before = self.count(member, key).await;
        eventually(SOON, &format!("{member} counts on"), || async { self.count(member, key).await > before + 200 })
            .await;
    }

    /// What a server holds under a key: content, expiry, and of a stream its counters and groups.
    pub async fn content(&self, id: &NodeId, key: &str) -> String {
        let content = direct::content(&self.addr(id), key).await;
        if content.0 != "stream" {
            return format!("{content:?}");
        }
        let ask = async |words: &[&str]| self.ask::<Value>(id, &crate::support::call(words)).await;
        let last: BTreeMap<String, Value> =
            redis::from_redis_value(ask(&["XINFO", "STREAM", key]).await).expect("fields");
        let groups: Vec<BTreeMap<String, Value>> =
            redis::from_redis_value(ask(&["XINFO", "GROUPS", key]).await).expect("groups");
        let mut told = format!("{content:?} {:?} {:?}", last.get("last-generated-id"), groups);
        for group in &groups {
            let name: String = redis::from_redis_value_ref(&group["name"]).expect("a name");
            let mut pending = ask(&["XPENDING", key, &name, "-", "+", "1000"]).await;
            // How long ago each was delivered is as old as the question.
            if let Value::Array(entries) = &mut pending {
                for entry in entries {
                    if let Value::Array(entry) = entry {
                        entry.remove(2);
                    }
                }
            }
            told.push_str(&format!(" {pending:?}"));
        }
        told
    }

    /// A tag whose keys are these members' now and will be those' then, in this order.
    pub fn tag(&self, client: &RingClient, now: &[&str], then: &[&str]) -> String {
        let topology = client.topology();
        let names = |owners: &[redis_ring::placement::MemberIndex]| -> Vec<String> {
            owners.iter().map(|owner| topology.member(*owner).id.to_string()).collect()
        };
        let mut tags = (0..200_000).map(|n| format!("{{t{n}}}"));
        tags.find(|tag| {
            let token = Token::of_key(tag.as_bytes());
            names(topology.serving().owners(token)) == now
                && topology.next().is_some_and(|next| names(next.owners(token)) == then)
        })
        .unwrap_or_else(|| panic!("no key moves from {now:?} to {then:?}"))
    }
}

/// Long, as far as no test waits for them to pass.
pub fn timeouts() -> Timeouts {
    let long = Duration::from_secs(5);
    Timeouts { open: SOON, read: long, write: long, ..Timeouts::default() }
}

pub fn builder(url: &str) -> RingClientBuilder {
    RingClient::builder(url).expect("a URL").timeouts(timeouts()).session_timeout(Duration::from_secs(2))
}

fn placed<'a>(ids: impl IntoIterator<Item = &'a NodeId>) -> BTreeMap<String, PlacedRecord> {
    ids.into_iter().map(|id| (id.to_string(), weight(100))).collect()
}

pub fn weight(weight: u32) -> PlacedRecord {
    serde_json::from_value(serde_json::json!({ "weight": weight })).expect("a place")
}

fn record(addr: &str, state: State, generation: u64, run_id: &str) -> MemberRecord {
    let json = serde_json::json!({
        "v": 1, "addr": format!("redis://{addr}"), "state": state.as_str(), "gen": generation, "run_id": run_id,
    });
    serde_json::from_value(json).expect("a record")
}

async fn run_id(server: &RedisServer) -> String {
    let info: String = direct::ask(&server.addr(), cmd("INFO").arg("server")).await;
    info.lines().find_map(|line| line.strip_prefix("run_id:")).expect("a run_id").to_owned()
}
