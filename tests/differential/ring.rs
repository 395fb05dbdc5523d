//! The ring under test: what it answers, and what its members hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Cmd, Pipeline, RedisError, RedisResult, Value, cmd, pipe};
use redis_ring::placement::NodeId;
use redis_ring::{Error, ErrorKind, Outcome, RingClient, RingConnection};

use super::state::{Content, Server};
use super::support::FixedRing;

/// What became of a call on the ring.
pub enum Done {
    Replies(Vec<Value>),
    /// The ring does not run it, and says so before anything is sent.
    Refused(String),
    Failed(Outcome, String),
}

/// A ring and a way past it to each of its members.
pub struct Ring<'a> {
    way: Way<'a>,
    members: BTreeMap<NodeId, Server>,
    /// The member that was killed; set before it dies, so that nobody takes its silence for a fault.
    dead: &'a OnceLock<NodeId>,
}

/// Who is asked.
enum Way<'a> {
    Ring(&'a RingClient, RingConnection),
    /// One more plain server in place of a ring: what differs then is no matter of rings.
    Plain(NodeId, MultiplexedConnection),
}

/// How commands are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    One,
    Pipeline,
    Atomic,
}

impl<'a> Ring<'a> {
    pub async fn of(ring: &FixedRing, client: &'a RingClient, dead: &'a OnceLock<NodeId>) -> Ring<'a> {
        let mut members = BTreeMap::new();
        for (id, server) in &ring.servers {
            members.insert(id.clone(), Server::connect(&server.addr()).await);
        }
        Ring { way: Way::Ring(client, client.connection()), members, dead }
    }

    pub async fn plain(addr: &str, nobody: &'a OnceLock<NodeId>) -> Ring<'a> {
        let server = Server::connect(addr).await;
        let id = NodeId::new("plain").expect("a name");
        let way = Way::Plain(id.clone(), server.connection());
        Ring { way, members: BTreeMap::from([(id, server)]), dead: nobody }
    }

    pub fn is_plain(&self) -> bool {
        matches!(self.way, Way::Plain(..))
    }

    async fn one(&mut self, command: &Cmd) -> RedisResult<Value> {
        match &mut self.way {
            Way::Ring(_, connection) => connection.req_packed_command(command).await,
            Way::Plain(_, connection) => connection.req_packed_command(command).await,
        }
    }

    async fn several(&mut self, pipeline: &Pipeline, offset: usize, count: usize) -> RedisResult<Vec<Value>> {
        match &mut self.way {
            Way::Ring(_, connection) => connection.req_packed_commands(pipeline, offset, count).await,
            Way::Plain(_, connection) => connection.req_packed_commands(pipeline, offset, count).await,
        }
    }

    /// The owners of a key, the primary first.
    fn owners(&self, key: &[u8]) -> Vec<NodeId> {
        match &self.way {
            Way::Ring(client, _) => client.locate(key).owners.to_vec(),
            Way::Plain(id, _) => vec![id.clone()],
        }
    }

    pub async fn run(&mut self, batch: Batch, commands: &[Cmd]) -> Done {
        let replies = match (batch, commands) {
            (Batch::One, [command]) => self.one(command).await.map(|reply| vec![reply]),
            _ => {
                let mut pipeline = pipe();
                for command in commands {
                    pipeline.add_command(command.clone());
                }
                if batch == Batch::Atomic {
                    pipeline.atomic();
                    let replies = self.several(&pipeline, commands.len() + 1, 1).await;
                    replies.and_then(|replies| match <[Value; 1]>::try_from(replies) {
                        Ok([Value::Array(replies)]) => Ok(replies),
                        Ok([other]) => Err(other.extract_error().expect_err("EXEC gives an array or an error")),
                        Err(several) => panic!("a transaction gives one reply, not {several:?}"),
                    })
                } else {
                    self.several(&pipeline, 0, commands.len()).await
                }
            }
        };
        match replies {
            Ok(replies) => Done::Replies(replies),
            Err(error) => failed(&error),
        }
    }

    /// All that an iteration gives, each once; or why it ended.
    pub async fn iterate(&mut self, args: &[Vec<u8>], at: usize) -> Done {
        let all = all_of(args, at, async |command: &Cmd| self.one(command).await).await;
        match all {
            Ok(reply) => Done::Replies(vec![reply]),
            Err(error) => failed(&error),
        }
    }

    /// The member that answers for the key.
    pub fn primary(&mut self, key: &[u8]) -> &mut Server {
        let owners = self.owners(key);
        let id = owners.iter().find(|id| Some(*id) != self.dead.get()).expect("an owner that lives");
        self.members.get_mut(id).expect("a member")
    }

    /// When a key ends, as the member says that answers for it.
    pub async fn expiry(&mut self, key: &[u8]) -> i64 {
        loop {
            let before = self.dead.get().is_some();
            match self.primary(key).try_ask(cmd("PEXPIRETIME").arg(key)).await {
                Ok(Value::Int(expiry)) => return expiry,
                // It was killed meanwhile, and the next owner answers.
                Err(_) if !before && self.dead.get().is_some() => {}
                other => panic!("no time but {other:?}"),
            }
        }
    }

    /// Gives a plain server what the member holds that answers for the key.
    pub async fn give(&mut self, key: &[u8], to: &mut Server) {
        loop {
            let before = self.dead.get().is_some();
            match to.take(self.primary(key), key).await {
                Ok(()) => return,
                // It was killed meanwhile, and the next owner answers.
                Err(_) if !before && self.dead.get().is_some() => {}
                Err(error) => panic!("no dump but {error}"),
            }
        }
    }

    /// What the member holds that answers for each key.
    pub async fn held(&mut self, keys: &BTreeSet<Vec<u8>>) -> BTreeMap<Vec<u8>, Content> {
        let mut held = BTreeMap::new();
        for key in keys {
            held.extend(self.primary(key).contents([key]).await.expect("answers"));
        }
        held
    }

    /// Compares what each owner holds with what is expected; nobody else may hold anything.
    pub async fn compare(&mut self, expected: &BTreeMap<Vec<u8>, Content>) -> Result<(), String> {
        let owners: BTreeMap<&Vec<u8>, Vec<NodeId>> = expected.keys().map(|key| (key, self.owners(key))).collect();
        for (id, server) in &mut self.members {
            let is_dead = || self.dead.get() == Some(id);
            if is_dead() {
                continue;
            }
            let held = match server.contents(expected.keys()).await {
                Ok(held) => held,
                Err(_) if is_dead() => continue,
                Err(error) => panic!("{id} does not answer: {error}"),
            };
            for (key, wanted) in expected {
                let (held, name) = (&held[key], key.escape_ascii());
                match owners[key].iter().position(|owner| owner == id) {
                    Some(at) if held != wanted => {
                        let role = if at == 0 { "its primary" } else { "its replica" };
                        return Err(format!(
                            "{name} differs\n  on {id}, {role}: {held:?}\n  on the plain server: {wanted:?}"
                        ));
                    }
                    None if !held.is_none() => {
                        return Err(format!("{name} is on {id}, which does not own it: {held:?}"));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// All keys on all members that live.
    pub async fn keys(&mut self) -> BTreeSet<Vec<u8>> {
        let mut keys = BTreeSet::new();
        for (id, server) in &mut self.members {
            if self.dead.get() != Some(id) {
                keys.extend(server.keys().await);
            }
        }
        keys
    }
}

fn failed(error: &RedisError) -> Done {
    match Error::of_redis(error) {
        Some(own) if own.kind() == ErrorKind::Refused => Done::Refused(error.to_string()),
        Some(own) => Done::Failed(own.outcome(), error.to_string()),
        None => Done::Failed(Outcome::Unknown, format!("no error of the ring's own: {error}")),
    }
}

/// Runs an iteration to its end. The cursor is the argument at the position; what comes is sorted, and each once.
pub async fn all_of<E>(
    args: &[Vec<u8>],
    at: usize,
    mut ask: impl AsyncFnMut(&Cmd) -> Result<Value, E>,
) -> Result<Value, E> {
    const LONGEST: usize = 10_000;
    // Fields and scores stand behind what they belong to.
    let width = if args[0].eq_ignore_ascii_case(b"HSCAN") || args[0].eq_ignore_ascii_case(b"ZSCAN") { 2 } else { 1 };
    let mut found = BTreeMap::new();
    let mut args = args.to_vec();
    for _ in 0..LONGEST {
        let (cursor, items) = match ask(&command(&args)).await? {
            Value::Array(mut parts) if parts.len() == 2 => (parts.remove(0), parts.remove(0)),
            // An error, which is an answer.
            other => return Ok(other),
        };
        let (Value::BulkString(cursor), Value::Array(items)) = (cursor, items) else {
            panic!("no part of an iteration")
        };
        found.extend(items.chunks(width).map(|item| (format!("{item:?}"), item.to_vec())));
        if cursor == b"0" {
            return Ok(Value::Array(found.into_values().flatten().collect()));
        }
        args[at] = cursor;
    }
    panic!("an iteration that does not end")
}

pub fn command(args: &[Vec<u8>]) -> Cmd {
    let mut command = Cmd::new();
    command.arg(args);
    command
}
