//! Two servers, a copier between them, writers that obey the gate, and what the servers hold.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Pipeline, RedisResult, Value, cmd, pipe};
use redis_ring::agent::AgentOptions;
use redis_ring::agent::fill::{Copier, Cut, CutError, Endpoint, Gains, Limits, PAUSES, State};
use redis_ring::local::RedisServer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::support::{SOON, direct, eventually, id, redis};

/// The gainer in all of these tests.
pub const MEMBER: &str = "m";

/// A source and a target.
pub struct Two {
    pub source: RedisServer,
    pub target: RedisServer,
}

impl Two {
    pub async fn start() -> Two {
        let (source, target) = tokio::join!(redis(), redis());
        Two { source, target }
    }

    pub fn copier(&self, limits: Limits) -> Copier {
        copier(&self.source.addr(), &self.target.addr(), limits)
    }

    /// All that is gained is the same at both, and nothing else has come to the target.
    pub async fn are_equal(&self) {
        let (source, target) = tokio::join!(holds(self.source.addr()), holds(self.target.addr()));
        let differs: Vec<_> = source
            .iter()
            .filter(|(key, value)| key.starts_with("g:") && target.get(*key) != Some(value))
            .map(|(key, value)| format!("{key}: {} instead of {}", short(target.get(key)), short(Some(value))))
            .collect();
        assert!(differs.is_empty(), "{} keys differ: {:?}", differs.len(), &differs[..differs.len().min(5)]);
        let more: Vec<_> = target.keys().filter(|key| !key.starts_with("g:") || !source.contains_key(*key)).collect();
        assert!(more.is_empty(), "{} keys too many: {:?}", more.len(), &more[..more.len().min(5)]);
    }

    /// How many gained keys differ, or are at one of the two alone.
    pub async fn differences(&self) -> usize {
        let (mut source, mut target) = tokio::join!(holds(self.source.addr()), holds(self.target.addr()));
        source.retain(|key, _| key.starts_with("g:"));
        target.retain(|key, _| key.starts_with("g:"));
        let missing = target.keys().filter(|key| !source.contains_key(*key)).count();
        source.iter().filter(|(key, value)| target.get(*key) != Some(value)).count() + missing
    }
}

fn short(value: Option<&String>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| value.chars().take(60).collect())
}

pub fn endpoint(addr: &str) -> Endpoint {
    let address: redis_ring::membership::Address = format!("redis://{addr}").parse().expect("an address");
    let mut options = AgentOptions::new("zk://127.0.0.1:1/none".parse().expect("a URL"), id(MEMBER), address.clone());
    options.health.connect = SOON;
    Endpoint::new(&options, address, "rr-agent:m").expect("options")
}

/// Keys that begin with `g:`.
pub fn gains() -> Gains {
    Arc::new(|key: &[u8]| key.starts_with(b"g:"))
}

pub fn copier(source: &str, target: &str, limits: Limits) -> Copier {
    Copier::start(endpoint(source), endpoint(target), gains(), limits)
}

/// Limits for a machine whose cores are all busy.
pub fn patient() -> Limits {
    Limits { patience: SOON, ..Limits::default() }
}

pub async fn reaches(copier: &Copier, what: &str, wanted: impl Fn(&State) -> bool) {
    let mut state = copier.state();
    let reached = tokio::time::timeout(SOON * 3, state.wait_for(|state| wanted(state))).await;
    assert!(matches!(reached, Ok(Ok(_))), "{what}: {:?} {:?}", copier.state().borrow(), copier.progress());
}

pub async fn caught_up(copier: &Copier) {
    reaches(copier, "caught up", |state| *state == State::CaughtUp).await;
}

/// All stood still for so long that nothing but another copier helps: in the middle of a pause, so that somebody may have
/// seen the gainer named; or while keys were copied, of which large ones rest for ten times as long as that took.
#[derive(Debug)]
pub struct StoodStill;

/// Runs a test again, with servers of its own, where all stood still.
pub async fn unless_stopped(test: impl AsyncFn() -> Result<(), StoodStill>) {
    for round in 0..10 {
        if test().await.is_ok() {
            return;
        }
        println!("round {round} was of no use");
    }
    panic!("all stood still in each of ten rounds");
}

/// [`caught_up`], if that comes to be before long.
pub async fn caught_up_soon(copier: &Copier) -> Result<(), StoodStill> {
    tokio::time::timeout(SOON, caught_up(copier)).await.map_err(|_| StoodStill)
}

/// Makes the cut as a mover would: tries again as long as that is allowed.
pub async fn cut(copier: &Copier, step: u64) -> Result<Cut, StoodStill> {
    cut_for(copier, MEMBER, step, PAUSES.0).await
}

/// Likewise for this gainer, beginning with this pause.
pub async fn cut_for(copier: &Copier, gainer: &str, step: u64, mut pause: Duration) -> Result<Cut, StoodStill> {
    for _ in 0..20 {
        let began = Instant::now();
        match copier.cut(step, &id(gainer), pause).await {
            Ok(cut) => return Ok(cut),
            // It may have lost the source meanwhile, and then looks at all keys again.
            Err(CutError::NotYet(_)) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                caught_up_soon(copier).await?;
            }
            Err(CutError::Void(void)) if !void.seen => pause = void.pause,
            // A copier gives up at four fifths of a pause, and may be too late to take the cut back unseen.
            Err(CutError::Void(_)) if began.elapsed() >= pause * 4 / 5 => return Err(StoodStill),
            Err(other) => panic!("no cut: {other:?}"),
        }
    }
    // Where each key took long to copy, much seems to be left for a while.
    println!("no cut in twenty tries: {:?}", copier.progress());
    Err(StoodStill)
}

/// A server's answer to one command.
pub async fn ask(connection: &mut MultiplexedConnection, words: &[&str]) -> Value {
    let mut ask = cmd(words[0]);
    ask.arg(&words[1..]);
    connection.req_packed_command(&ask).await.expect("an answer")
}

/// All keys but the ring's own, each with its type, content and expiry.
pub async fn holds(addr: String) -> BTreeMap<String, String> {
    let mut connection = direct::connect(&addr).await;
    let keys: Vec<String> = cmd("KEYS").arg("*").query_async(&mut connection).await.expect("keys");
    let keys: Vec<String> = keys.into_iter().filter(|key| !key.starts_with("__rr:")).collect();
    let mut held = BTreeMap::new();
    for keys in keys.chunks(500) {
        let mut ask = pipe();
        for key in keys {
            ask.cmd("EVAL_RO").arg(CONTENT).arg(1).arg(key);
        }
        let answers: Vec<String> = ask.query_async(&mut connection).await.expect("contents");
        // One that has just expired is not there.
        held.extend(keys.iter().cloned().zip(answers).filter(|(_, content)| !content.starts_with("none")));
    }
    held
}

/// The content of a key as a text in an order of its own, and of a stream all that it tells but how it is kept in memory, and
/// when consumers were seen.
const CONTENT: &str = r"
local function without_times(told)
  for i, one in ipairs(told) do
    if one == 'seen-time' then told[i + 1] = 0 end
    if type(one) == 'table' then without_times(one) end
  end
end
local key = KEYS[1]
local kind = redis.call('TYPE', key).ok
local value
if kind == 'string' then value = {redis.call('GET', key)}
elseif kind == 'list' then value = redis.call('LRANGE', key, 0, -1)
elseif kind == 'set' then value = redis.call('SMEMBERS', key) table.sort(value)
elseif kind == 'zset' then value = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
elseif kind == 'hash' then
  local pairs = redis.call('HGETALL', key)
  value = {}
  for i = 1, #pairs, 2 do value[#value + 1] = cjson.encode({pairs[i], pairs[i + 1]}) end
  table.sort(value)
elseif kind == 'stream' then
  value = {}
  local told = redis.call('XINFO', 'STREAM', key, 'FULL', 'COUNT', 0)
  without_times(told)
  for i = 1, #told, 2 do
    if not string.find(told[i], 'radix') then value[#value + 1] = {told[i], told[i + 1]} end
  end
else value = {} end
return kind .. ' ' .. redis.call('PEXPIRETIME', key) .. ' ' .. redis.sha1hex(cmsgpack.pack(value)) .. ' ' ..
  string.sub(cmsgpack.pack(value), 1, 40):gsub('[^%g ]', '.')
";

/// The way to a server, on which what it tells those who track its keys comes so much later.
pub async fn slow_to_tell(target: String, by: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address").to_string();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&target).await.expect("a server");
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let tracks = Arc::new(AtomicBool::new(false));
            let slow = Arc::clone(&tracks);
            tokio::spawn(async move {
                let mut buffer = vec![0; 65536];
                while let Ok(n @ 1..) = from_client.read(&mut buffer).await {
                    tracks.fetch_or(buffer[..n].windows(8).any(|word| word == b"TRACKING"), Ordering::Relaxed);
                    if to_server.write_all(&buffer[..n]).await.is_err() {
                        return;
                    }
                }
            });
            tokio::spawn(async move {
                let mut buffer = vec![0; 65536];
                while let Ok(n @ 1..) = from_server.read(&mut buffer).await {
                    if slow.load(Ordering::Relaxed) {
                        tokio::time::sleep(by).await;
                    }
                    if to_client.write_all(&buffer[..n]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    addr
}

/// Clients that write as clients of the ring do in `syncing`.
pub struct Writers {
    stop: Arc<AtomicBool>,
    /// Writes that the gate's name has sent to the target too.
    pub named: Arc<AtomicU64>,
    pub written: Arc<AtomicU64>,
    /// Of those that were sent to the target, what it answered with an error.
    refused: Arc<AtomicU64>,
    /// They end with this.
    tasks: JoinSet<()>,
}

impl Writers {
    /// So many of them, each with a connection to both servers, keys of its own, and counters that all share.
    pub async fn start(two: &Two, count: usize, step: u64) -> Writers {
        Writers::among(&two.source, &[(MEMBER, &two.target)], count, step).await
    }

    /// Likewise, with several gainers of the same keys.
    pub async fn among(source: &RedisServer, gainers: &[(&str, &RedisServer)], count: usize, step: u64) -> Writers {
        let source = source.addr();
        let (stop, [named, written, refused]) = <(Arc<AtomicBool>, [Arc<AtomicU64>; 3])>::default();
        let mut tasks = JoinSet::new();
        for number in 0..count {
            let source = direct::connect(&source).await;
            let mut targets = Vec::new();
            for (name, target) in gainers {
                targets.push((format!("cut:{name}"), direct::connect(&target.addr()).await));
            }
            let mut group = cmd("XGROUP");
            group.arg("CREATE").arg(format!("g:x:{number}")).arg("g").arg("0").arg("MKSTREAM");
            let _: () = group.query_async(&mut source.clone()).await.expect("a group");
            let (stop, named, written) = (Arc::clone(&stop), Arc::clone(&named), Arc::clone(&written));
            let refused = Arc::clone(&refused);
            tasks.spawn(async move {
                let mut writer = Writer { number, source, targets, step, entries: 0, refused };
                while !stop.load(Ordering::Relaxed) {
                    named.fetch_add(u64::from(writer.write().await), Ordering::Relaxed);
                    written.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Writers { stop, named, written, refused, tasks }
    }

    pub async fn write_some(&self, more: u64) {
        let goal = self.written.load(Ordering::Relaxed) + more;
        eventually(SOON, "writers write", || async { self.written.load(Ordering::Relaxed) >= goal }).await;
    }

    /// Lets each end its last write. How many the gate named the gainer for; it has refused none of them.
    pub async fn end(self) -> u64 {
        let named = Arc::clone(&self.named);
        assert_eq!(self.end_refused().await, 0, "writes that the gainer refused");
        named.load(Ordering::Relaxed)
    }

    /// Likewise; how many the gainer refused, which has something else than the source.
    pub async fn end_refused(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("a writer that ends well");
        }
        self.refused.load(Ordering::Relaxed)
    }
}

struct Writer {
    number: usize,
    source: MultiplexedConnection,
    targets: Vec<(String, MultiplexedConnection)>,
    step: u64,
    /// So many are in its stream.
    entries: u32,
    refused: Arc<AtomicU64>,
}

impl Writer {
    /// Returns whether the gate named the gainer.
    async fn write(&mut self) -> bool {
        let write = self.any();
        let mut group = Pipeline::new();
        group.atomic().cmd("HGETALL").arg("__rr:gate").add_command(write.clone());
        let (gate, _): (BTreeMap<String, String>, Value) = group.query_async(&mut self.source).await.expect("a write");
        let mut named = false;
        for (field, target) in &mut self.targets {
            if gate.get(field).is_some_and(|step| *step == self.step.to_string()) {
                named = true;
                let copied: RedisResult<Value> = write.query_async(target).await;
                self.refused.fetch_add(u64::from(copied.is_err()), Ordering::Relaxed);
            }
        }
        named
    }

    fn any(&mut self) -> Cmd {
        let stream = format!("g:x:{}", self.number);
        let entry = format!("1-{}", fastrand::u32(1..self.entries + 2));
        let mine = |kind: &str| format!("g:{kind}:{}:{}", self.number, fastrand::u32(..20));
        let small = || fastrand::u32(..8).to_string();
        let (name, key, rest): (&str, String, Vec<String>) = match fastrand::u32(..17) {
            0..=3 => ("INCR", format!("g:hot:{}", fastrand::u32(..3)), vec![]),
            4 => ("INCRBY", mine("n"), vec![small()]),
            5 => ("RPUSH", mine("l"), vec![small()]),
            6 => ("LPOP", mine("l"), vec![]),
            7 => ("HINCRBY", mine("h"), vec![small(), small()]),
            8 => ("SADD", mine("s"), vec![small()]),
            9 => ("ZINCRBY", mine("z"), vec![small(), small()]),
            10 => ("APPEND", mine("a"), vec![small()]),
            11 => ("DEL", mine(["n", "l", "h", "s", "z", "a"][fastrand::usize(..6)]), vec![]),
            12 => ("PEXPIREAT", mine("n"), vec![(4_000_000_000_000 + fastrand::u64(..1000)).to_string()]),
            13 => {
                self.entries += 1;
                ("XADD", stream, [&format!("1-{}", self.entries), "f", "v"].map(str::to_owned).into())
            }
            14 => {
                let claim = ["g", "c", "0", &entry, "TIME", "1000", "RETRYCOUNT", "1", "FORCE", "JUSTID"];
                ("XCLAIM", stream, claim.map(str::to_owned).into())
            }
            15 => ("XACK", stream, vec!["g".to_owned(), entry]),
            _ => ("INCR", format!("o:{}", fastrand::u32(..3)), vec![]),
        };
        let mut write = cmd(name);
        if key.starts_with("o:") {
            // What is not gained is never sent to the target.
            return cmd("INCR").arg("g:hot:0").take();
        }
        write.arg(key).arg(rest);
        write
    }
}

/// Waits until the gate names the gainer.
pub async fn is_named(addr: &str) {
    let mut connection = direct::connect(addr).await;
    eventually(SOON, "the gate names the gainer", || {
        let mut connection = connection.clone();
        async move { ask(&mut connection, &["HEXISTS", "__rr:gate", "cut:m"]).await == Value::Int(1) }
    })
    .await;
    ask(&mut connection, &["PING"]).await;
}

/// What a server that is a source should not be left with.
pub async fn source_is_clean(addr: &str) {
    let mut connection = direct::connect(addr).await;
    let gate: BTreeMap<String, String> =
        cmd("HGETALL").arg("__rr:gate").query_async(&mut connection).await.expect("a gate");
    assert!(!gate.keys().any(|field| field.starts_with("cut:")), "{gate:?}");
    // It would wait if writers were held up.
    assert_eq!(ask(&mut connection, &["SET", "o:probe", "1"]).await, Value::Okay);
}
