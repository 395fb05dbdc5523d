//! What an agent sends to servers, and whether its user may: asked once of each process of its own server.

use std::time::Duration;

use super::server::Connector;
use crate::Result;
use crate::command::{OWN_CUT, OWN_GATE, OWN_SUSPECTS, OWN_TOPOLOGY};
use crate::membership::Address;
use crate::node::access;
use crate::node::rights::{self, Lacks, Need, need};

/// A key as an application might have it: an agent copies all of them.
const ANY: &str = "any:key";

const WATCH: &str = "watch over its server";
const GATE: &str = "guard its server's gate";
const BARRIER: &str = "see which clients follow the ring, and cut off those that do not";
const COPY: &str = "copy keys from one server to another";
const SUSPECTS: &str = "make copies equal that clients suspect to differ";
const LARGE: &str = "copy large keys in pieces";
const CUT: &str = "hold writes back for the moment of the cut";

/// All of it.
const NEEDS: &[Need] = &[
    need("ping", WATCH, &[]),
    need("info", WATCH, &["server"]),
    need("client|id", WATCH, &[]),
    need("client|setname", WATCH, &["rr-agent:rights"]),
    need("client|tracking", WATCH, &["OFF"]),
    need("config|get", WATCH, &["maxmemory"]),
    need("select", GATE, &["0"]),
    need("eval", GATE, &["return 0", "1", OWN_GATE]),
    need("type", GATE, &[OWN_GATE]),
    need("exists", GATE, &[OWN_GATE]),
    need("hget", GATE, &[OWN_GATE, "none"]),
    need("hmget", GATE, &[OWN_GATE, "none"]),
    need("hset", GATE, &[OWN_GATE, "none", "0"]),
    need("set", GATE, &[OWN_TOPOLOGY, ""]),
    need("del", GATE, &[OWN_CUT]),
    need("client|list", BARRIER, &[]),
    need("client|kill", BARRIER, &["ID", "0"]),
    need("scan", COPY, &["0"]),
    need("dbsize", COPY, &[]),
    need("time", COPY, &[]),
    need("eval_ro", COPY, &["return 0", "1", ANY]),
    need("memory|usage", COPY, &[ANY]),
    need("dump", COPY, &[ANY]),
    need("pexpiretime", COPY, &[ANY]),
    need("restore", COPY, &[ANY, "0", ""]),
    need("unlink", COPY, &[ANY]),
    need("xinfo|stream", COPY, &[ANY]),
    need("strlen", LARGE, &[ANY]),
    need("getrange", LARGE, &[ANY, "0", "0"]),
    need("setrange", LARGE, &[ANY, "0", ""]),
    need("hlen", LARGE, &[ANY]),
    need("hscan", LARGE, &[ANY, "0"]),
    need("scard", LARGE, &[ANY]),
    need("sscan", LARGE, &[ANY, "0"]),
    need("sadd", LARGE, &[ANY, "none"]),
    need("zcard", LARGE, &[ANY]),
    need("zscan", LARGE, &[ANY, "0"]),
    need("zadd", LARGE, &[ANY, "0", "none"]),
    need("llen", LARGE, &[ANY]),
    need("lrange", LARGE, &[ANY, "0", "0"]),
    need("rpush", LARGE, &[ANY, "none"]),
    need("rename", LARGE, &[ANY, ANY]),
    need("pexpireat", LARGE, &[ANY, "0"]),
    need("lrem", SUSPECTS, &[OWN_SUSPECTS, "1", "none"]),
    need("get", CUT, &[OWN_CUT]),
    need("hdel", CUT, &[OWN_GATE, "none"]),
    need("watch", CUT, &[OWN_GATE]),
    need("client|pause", CUT, &["0"]),
    need("client|unpause", CUT, &[]),
    need("config|set", "make room for the cut at a full server", &["maxmemory", "0"]),
];

/// Asks a server. One whose answers do not tell is not judged; `false` where there were none in time.
///
/// # Errors
/// `Denied`, naming what the user may not run, and the rules to add.
pub(super) async fn check(connector: &Connector, address: &Address, within: Duration) -> Result<bool> {
    match lacks(connector, address, within).await {
        Some(lacks) if !lacks.is_empty() => Err(lacks.error("the agent's user", address, "~*")),
        Some(_) => Ok(true),
        None => Ok(false),
    }
}

async fn lacks(connector: &Connector, address: &Address, within: Duration) -> Option<Lacks> {
    let server = connector.connect_unnamed(address).await.ok()?;
    match rights::of_frame(&server.ask_all(&rights::frame(), within).await.ok()?) {
        Some(lacks) if lacks.is_empty() => {}
        Some(lacks) => return Some(lacks),
        None => return Some(Lacks::default()),
    }
    // WATCH is executed at once, but this connection ends with its questions.
    let replies = server.ask_all(&rights::questions(needs()), within).await.ok()?;
    Some(rights::of_questions(needs(), &replies))
}

/// It is a client of the ring as well, when it compares copies.
fn needs() -> impl Iterator<Item = &'static Need> {
    let own = |need: &&Need| NEEDS.iter().all(|own| own.name != need.name);
    NEEDS.iter().chain(access::of_gated().filter(own))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::AgentOptions;
    use crate::placement::NodeId;

    #[tokio::test]
    async fn who_does_not_answer_is_not_judged() {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: Address = format!("redis://{}", silent.local_addr().unwrap()).parse().unwrap();
        let mut options =
            AgentOptions::new("zk://127.0.0.1:1/r".parse().unwrap(), NodeId::new("a").unwrap(), address.clone());
        options.health.connect = Duration::from_millis(50);
        assert!(!check(&Connector::new(&options).unwrap(), &address, Duration::from_millis(50)).await.unwrap());
    }

    #[test]
    fn the_page_has_each_need_and_nothing_else() {
        let page = include_str!("../../docs/access.md");
        let listed = rights::listed(page, "What an agent sends");
        assert_eq!(listed, rights::named(NEEDS.iter()));
    }
}
