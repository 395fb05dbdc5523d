//! The gate of the agent's own server: opened for one life of the member's data, shut as soon as that is over.
//!
//! It is opened before the member's record says `up` or `joining`. So a record that says so while its gate is not there
//! means that something took the gate, and may have taken the data with it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::health::Sighting;
use super::room;
use super::server::{Connector, Failure, Server};
use crate::command::{OWN_CUT, OWN_GATE, OWN_SUSPECTS, OWN_TOPOLOGY};
use crate::membership::{Address, Snapshot};
use crate::placement::NodeId;

/// One life of a member's data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// The process that holds it.
    pub(crate) run_id: String,
    pub(crate) generation: u64,
    /// The database that it is in.
    pub(crate) db: i64,
}

/// What the agent knows of the gate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Door {
    /// Nothing.
    #[default]
    Unknown,
    /// It is open for this life, or was when it was looked at last.
    Open(Life),
    /// It is shut, and nobody who came through it is still there.
    Shut {
        /// The process that it is in.
        run_id: String,
    },
    /// Something took the gate while it was open.
    Lost(Life),
}

/// The ring as it is kept beside a gate.
pub(crate) struct Beside {
    pub(crate) step: u64,
    /// What a client that knows only an older step, and cannot reach ZooKeeper, goes on with.
    pub(crate) records: Vec<u8>,
}

impl Beside {
    /// # Errors
    /// As [`Snapshot::to_json`].
    pub(crate) fn of(snapshot: &Snapshot) -> crate::Result<Beside> {
        Ok(Beside { step: snapshot.ring.step, records: snapshot.to_json()? })
    }
}

/// Shared by those who open and shut the gate and those who watch it.
pub(crate) type Doors = Arc<watch::Sender<Door>>;

/// Opens and shuts the gate, on a connection of its own.
pub(super) struct Gatekeeper {
    connector: Connector,
    address: Address,
    /// The name of its connection.
    name: String,
    /// The name of the connections by which this agent fills its server.
    fills: String,
    within: Duration,
    pub(super) doors: Doors,
    hands: Option<Hands>,
    /// What is to be put back.
    raised: Option<room::Raised>,
    able: bool,
}

/// A connection, in the ring's database.
struct Hands {
    server: Server,
    db: i64,
}

/// Agents' own connections are no clients of the ring.
pub(super) const AGENTS: &str = "rr-agent:";

/// The name of the connections by which a member's agent fills it; a number may follow behind a slash.
pub(super) fn fills_of(id: &NodeId) -> String {
    format!("{AGENTS}fill:{id}")
}

/// Puts up a whole new gate, and the ring's records beside it. Suspects are of the life before.
const OPEN: &str = "#!lua flags=allow-oom
redis.call('DEL', unpack(KEYS))
redis.call('SET', KEYS[2], ARGV[4])
return redis.call('HSET', KEYS[1], 'run_id', ARGV[1], 'gen', ARGV[2], 'open', '1', 'step', ARGV[3])";

/// Says whether the gate is open for a life, and if it is, raises its step. The ring's records are beside it before anybody
/// can meet the new step.
const RAISE: &str = "#!lua flags=allow-oom
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then return 0 end
local gate = redis.call('HMGET', KEYS[1], 'run_id', 'gen', 'open', 'step')
if gate[1] ~= ARGV[1] or gate[2] ~= ARGV[2] or gate[3] ~= '1' then return 0 end
local older = (tonumber(gate[4]) or -1) < tonumber(ARGV[3])
if older or redis.call('EXISTS', KEYS[2]) == 0 then redis.call('SET', KEYS[2], ARGV[4]) end
if older then redis.call('HSET', KEYS[1], 'step', ARGV[3]) end
return 1";

/// Takes the gate away.
const SHUT: &str = "#!lua flags=allow-oom
return redis.call('DEL', KEYS[1])";

impl Gatekeeper {
    pub(super) fn new(connector: Connector, address: Address, id: &NodeId, within: Duration) -> Gatekeeper {
        let doors = Arc::new(watch::channel(Door::Unknown).0);
        let (name, fills) = (format!("{AGENTS}gate:{id}"), fills_of(id));
        Gatekeeper { connector, address, name, fills, within, doors, hands: None, raised: None, able: false }
    }

    /// Whether the server has ever let this agent do it.
    pub(super) fn able(&self) -> bool {
        self.able
    }

    /// What is known of the gate of this process.
    pub(super) fn door(&self, own: &Sighting) -> Door {
        let door = self.doors.borrow().clone();
        match &door {
            Door::Open(Life { run_id, .. }) | Door::Lost(Life { run_id, .. }) | Door::Shut { run_id }
                if *run_id == own.run_id =>
            {
                door
            }
            Door::Open(_) | Door::Lost(_) | Door::Shut { .. } | Door::Unknown => Door::Unknown,
        }
    }

    /// Opens the gate for a life of the data, whatever was there. Only where it is shut, or nobody has used it.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn open(&mut self, life: &Life, ring: &Beside) -> Result<(), Failure> {
        let keys = [OWN_GATE, OWN_TOPOLOGY, OWN_SUSPECTS, OWN_CUT];
        self.run(life.db, OPEN, &keys, &arguments(life, ring)).await?;
        let step = ring.step;
        self.doors.send_replace(Door::Open(life.clone()));
        tracing::info!(run_id = life.run_id, generation = life.generation, step, "the gate is open");
        Ok(())
    }

    /// Whether the gate is open for this life. If it is, its step is at least this one from now on.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn keep(&mut self, life: &Life, ring: &Beside) -> Result<bool, Failure> {
        let keys = [OWN_GATE, OWN_TOPOLOGY];
        let open = self.run(life.db, RAISE, &keys, &arguments(life, ring)).await? == 1;
        let door = if open { Door::Open(life.clone()) } else { Door::Lost(life.clone()) };
        self.doors.send_if_modified(|known| std::mem::replace(known, door.clone()) != door);
        Ok(open)
    }

    /// Makes room in a server that others are cut from, and takes it back when that is over. A move can do without.
    pub(super) async fn room(&mut self, db: i64, wanted: bool) {
        let within = self.within;
        let mut raised = self.raised.take();
        let done = match self.hands(db).await {
            Ok(server) if wanted => room::make(server, &mut raised, within).await,
            Ok(server) => room::put_back(server, &mut raised, within).await,
            Err(failure) => Err(failure),
        };
        self.raised = raised;
        if let Err(failure) = done {
            tracing::debug!(%failure, "the server's memory limit is not as it should be");
            if !matches!(failure, Failure::Answered(_)) {
                self.hands = None;
            }
        }
    }

    /// Shuts the gate, and ends every connection that may have come through it. If there were any of the ring's clients, it
    /// waits as long as they may go on to give what they keep of this server's replies (`lease`). Returns whether nobody is
    /// left: a replica's gate cannot be taken away.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn shut(&mut self, db: i64, own: &Sighting, lease: Duration) -> Result<bool, Failure> {
        self.doors.send_replace(Door::Unknown);
        self.room(db, false).await;
        let shut = match self.run(db, SHUT, &[OWN_GATE], &[]).await {
            Ok(_) => true,
            Err(Failure::Answered(code)) if code == "READONLY" => false,
            Err(failure) => return Err(failure),
        };
        // The gate first: whoever connects after this list was made does not get through.
        let within = self.within;
        let fills = self.fills.clone();
        let killed = match self.hands(db).await {
            Ok(server) => end_clients(server, Some(&fills), within).await,
            Err(failure) => Err(failure),
        };
        let killed = killed.inspect_err(|_| self.hands = None)?;
        if killed > 0 {
            tokio::time::sleep(lease).await;
        }
        if shut {
            self.doors.send_replace(Door::Shut { run_id: own.run_id.clone() });
        }
        tracing::info!(killed, shut, "the gate is shut");
        Ok(shut)
    }

    async fn run(&mut self, db: i64, script: &str, keys: &[&str], arguments: &[Vec<u8>]) -> Result<i64, Failure> {
        let mut eval = redis::cmd("EVAL");
        eval.arg(script).arg(keys.len()).arg(keys).arg(arguments);
        let within = self.within;
        loop {
            let was_there = self.hands.is_some();
            let answer = self.hands(db).await?.ask::<i64>(&eval, within).await;
            self.able |= answer.is_ok();
            if !matches!(answer, Ok(_) | Err(Failure::Answered(_))) {
                self.hands = None;
            }
            // The server may have been restarted since the connection was used last. All scripts may run twice.
            if !(was_there && matches!(answer, Err(Failure::Lost(_)))) {
                return answer;
            }
        }
    }

    async fn hands(&mut self, db: i64) -> Result<&mut Server, Failure> {
        let usable = self.hands.take_if(|hands| hands.db == db);
        let hands = match usable {
            Some(hands) => hands,
            None => {
                let server = self.connector.connect_to(&self.address, &self.name, db, None).await?;
                Hands { server, db }
            }
        };
        Ok(&mut self.hands.insert(hands).server)
    }
}

/// The arguments of the scripts.
fn arguments(life: &Life, ring: &Beside) -> [Vec<u8>; 4] {
    let texts = [life.run_id.clone(), life.generation.to_string(), ring.step.to_string()];
    let [run_id, generation, step] = texts.map(String::into_bytes);
    [run_id, generation, step, ring.records.clone()]
}

/// Whether the gate of any member's server is open for this life. If it is, its step is at least this one from now on.
pub(super) async fn raise(server: &mut Server, life: &Life, ring: &Beside, within: Duration) -> Result<bool, Failure> {
    let mut eval = redis::cmd("EVAL");
    eval.arg(RAISE).arg(2).arg(&[OWN_GATE, OWN_TOPOLOGY]).arg(&arguments(life, ring)[..]);
    Ok(server.ask::<i64>(&eval, within).await? == 1)
}

/// Ends the connections of all clients: not those of agents, but for those of this agent that have this name. Returns how
/// many of them were the ring's.
pub(super) async fn end_clients(server: &mut Server, fills: Option<&str>, within: Duration) -> Result<usize, Failure> {
    let mut clients = server.clients_of("normal", within).await?;
    clients.extend(server.clients_of("pubsub", within).await?);
    clients.retain(|client| {
        !client.name.starts_with(AGENTS) || fills.is_some_and(|fills| is_fill_of(&client.name, fills))
    });
    let ids: Vec<u64> = clients.iter().map(|client| client.id).collect();
    server.kill(&ids, within).await?;
    Ok(clients.iter().filter(|client| client.name.starts_with("rr:")).count())
}

/// Ends the connections by which this agent has filled its server, but those that are `kept`.
pub(super) async fn end_fills(
    server: &mut Server,
    fills: &str,
    kept: &[&str],
    within: Duration,
) -> Result<(), Failure> {
    let clients = server.clients_of("normal", within).await?;
    let old = clients.iter().filter(|client| !kept.contains(&client.name.as_str()) && is_fill_of(&client.name, fills));
    let old: Vec<u64> = old.map(|client| client.id).collect();
    server.kill(&old, within).await
}

/// Whether this is such a name. A slash cannot be part of an id.
fn is_fill_of(name: &str, fills: &str) -> bool {
    name.strip_prefix(fills).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether what a server holds under the gate's name lets through for this life.
pub(super) async fn is_open(server: &mut Server, life: &Life, within: Duration) -> Result<bool, Failure> {
    let mut get = redis::cmd("HMGET");
    get.arg(OWN_GATE).arg(&["run_id", "gen", "open"]);
    let fields: Vec<Option<String>> = match server.ask(&get, within).await {
        Ok(fields) => fields,
        Err(Failure::Answered(code)) if code == "WRONGTYPE" => return Ok(false),
        Err(failure) => return Err(failure),
    };
    let wanted = [life.run_id.clone(), life.generation.to_string(), "1".to_owned()];
    Ok(fields.iter().map(Option::as_deref).eq(wanted.iter().map(|field| Some(field.as_str()))))
}
