//! What a client sends of its own accord, and whether its user may: asked once of each process.
//!
//! What an application sends is not asked here: the server answers that itself.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use redis::RedisError;
use tokio::time::timeout;

use super::Link;
use super::rights::{self, Lacks, Need, need};
use crate::command::{OWN_GATE, OWN_TOPOLOGY};
use crate::error::{Error, Result};
use crate::membership::Address;
use crate::placement::RunId;

/// The process at which the user was found to have every right. It is not asked again at every reconnection.
#[derive(Debug, Default)]
pub(super) struct Access(Mutex<Option<RunId>>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rings {
    All,
    /// Those with agents, whose servers have gates.
    Gated,
    /// Those whose members stand in the URL.
    Fixed,
}

/// Keys of the ring's own that do not exist. Every rule that allows the real ones allows these.
const NONE: &str = "__rr:none";

const COPY: &str = "give a copy the state of a key";
const COMPARE: &str = "compare the copies of a key";

/// All of it.
const NEEDS: &[(Rings, Need)] = &[
    (Rings::All, need("client|id", "know its own connections", &[])),
    (Rings::Gated, need("client|setname", "show those who move the ring at which step it stands", &["rr:0:none"])),
    (Rings::All, need("client|kill", "end a connection that it has replaced", &["ID", "0"])),
    (Rings::All, need("info", "know the process that answers", &["server"])),
    (Rings::All, need("time", "make an expiry the same on all copies", &[])),
    (Rings::All, need("ping", "tell a slow server from a dead one", &[])),
    (Rings::Gated, need("hgetall", "read the server's gate", &[OWN_GATE])),
    (Rings::Gated, need("get", "learn of a move while ZooKeeper is away", &[OWN_TOPOLOGY])),
    (Rings::All, need("eval", COMPARE, &["return 0", "1", NONE])),
    (Rings::All, need("memory|usage", COMPARE, &[NONE])),
    (Rings::All, need("type", COMPARE, &[NONE])),
    (Rings::All, need("scard", COMPARE, &[NONE])),
    (Rings::All, need("smembers", COMPARE, &[NONE])),
    (Rings::All, need("hlen", COMPARE, &[NONE])),
    (Rings::Fixed, need("hgetall", COMPARE, &[NONE])),
    (Rings::All, need("zcard", COMPARE, &[NONE])),
    (Rings::All, need("zrange", COMPARE, &[NONE, "0", "-1"])),
    (Rings::All, need("llen", COMPARE, &[NONE])),
    (Rings::All, need("lrange", COMPARE, &[NONE, "0", "-1"])),
    (Rings::All, need("dump", COPY, &[NONE])),
    (Rings::All, need("pexpiretime", COPY, &[NONE])),
    (Rings::All, need("restore", COPY, &[NONE, "0", ""])),
    (Rings::All, need("del", COPY, &[NONE])),
    (Rings::Gated, need("rpush", "have the agents compare copies that answered differently", &[NONE, "k"])),
    (Rings::Gated, need("ltrim", "have the agents compare copies that answered differently", &[NONE, "0", "1"])),
    (Rings::All, need("hexists", "leave alone what a member knows better", &[NONE, "f"])),
    (Rings::Fixed, need("hset", "tell other clients who missed a write", &[NONE, "f", "v"])),
    (Rings::Fixed, need("hdel", "tell other clients who has all writes again", &[NONE, "f"])),
];

const WHO: &str = "the user";
const KEYS: &str = "~__rr:*";

impl Access {
    /// Asks the process at the other end, if it is not known to allow everything. A server that answers in no way that
    /// can be understood, or not within the time, is not judged here: whoever uses the connection will see.
    ///
    /// # Errors
    /// [`Denied`](crate::ErrorKind::Denied), naming what the user may not run, and the rules to add.
    ///
    /// # Cancel safety
    /// Whenever it is dropped, the connection has no transaction open once all that was sent has been answered.
    pub(super) async fn check(&self, link: &Link, address: &Address, gated: bool, within: Duration) -> Result<()> {
        if self.known().as_ref() == Some(link.run_id()) {
            return Ok(());
        }
        let Ok(Some(lacks)) = timeout(within, lacks(link, gated, within)).await else { return Ok(()) };
        if !lacks.is_empty() {
            return Err(lacks.error(WHO, address, KEYS));
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(link.run_id().clone());
        Ok(())
    }

    fn known(&self) -> Option<RunId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// `None` where the answers do not tell.
async fn lacks(link: &Link, gated: bool, within: Duration) -> Option<Lacks> {
    let ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
    let lacks = rights::of_frame(&link.batch(&rights::frame(), ms).await.ok()?)?;
    if !lacks.is_empty() {
        return Some(lacks);
    }
    let rings = if gated { Rings::Gated } else { Rings::Fixed };
    let replies = link.batch(&rights::questions(needs(rings)), ms).await.ok()?;
    Some(rights::of_questions(needs(rings), &replies))
}

fn needs(rings: Rings) -> impl Iterator<Item = &'static Need> {
    NEEDS.iter().filter(move |(of, _)| [Rings::All, rings].contains(of)).map(|(_, need)| need)
}

/// What every client of a ring with agents needs.
#[cfg(feature = "zookeeper")]
pub(crate) fn of_gated() -> impl Iterator<Item = &'static Need> {
    needs(Rings::Gated)
}

/// The error for a command of the handshake that the user may not run; `None` where the server said something else, or of a
/// command that is none of these.
pub(super) fn denied(address: &Address, error: &RedisError) -> Option<Error> {
    let text = error.detail().unwrap_or_default();
    // "… to run the 'client|id' command": the server's own word for it, from a list that is ours.
    let named = text.split('\'').nth(1).unwrap_or("hgetall");
    let select = need("select", "use its own database", &[]);
    let need = NEEDS.iter().map(|(_, need)| need).chain([&select]).find(|need| need.name == named)?;
    let mut lacks = Lacks::default();
    lacks.note_error(need, error.code()?, text);
    (!lacks.is_empty()).then(|| lacks.error(WHO, address, KEYS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_each_need_and_nothing_else() {
        let listed = rights::listed(include_str!("../../docs/access.md"), "What the ring sends");
        assert_eq!(listed, rights::named(NEEDS.iter().map(|(_, need)| need)));
    }
}
