//! Many plain Redis servers acting as one.
//!
//! The client watches ZooKeeper for the members of a ring, places every key on a consistent-hash ring, writes a second
//! copy to the next member, and reads that copy the moment the first cannot answer. There is no proxy in the path, no
//! Sentinel and no Redis Cluster; the servers are plain.
//!
//! # Start
//!
//! [`RingClient::open`] opens a ring and [`RingClient::connection`] gives a [`RingConnection`], which implements
//! redis-rs's `ConnectionLike`: `AsyncCommands` and `redis::cmd` work unchanged.
//!
//! ```no_run
//! use redis::AsyncCommands;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let client = redis_ring::RingClient::open("zk://127.0.0.1:2181/ring").await?;
//!     let mut connection = client.connection();
//!     let () = connection.set_ex("session:7", "alice", 3600).await?;
//!     let user: Option<String> = connection.get("session:7").await?;
//!     println!("{user:?} lives on {:?}", client.locate("session:7").owners);
//!     Ok(())
//! }
//! ```
//!
//! # What a caller can count on
//!
//! - A write is acknowledged when every owner that is up and connected has it. One that reached only one owner is
//!   accepted and counted in [`Stats`].
//! - A read fails over by itself: at once when the first owner refuses, resets or says LOADING, and after a few
//!   milliseconds when it says nothing. Nil comes only from a member that may answer; if none may, the read is an error.
//! - A ring never changes because ZooKeeper went away. The last topology goes on, and says that it is stale.
//! - A command has the reply that one server would give, and both copies are the same afterwards: commands of many keys,
//!   pipelines, transactions, scripts, streams with groups, calls that block. `docs/commands.md` has all of them.
//! - A command whose keys or effect nobody knows is refused by name.
//!
//! # More than commands
//!
//! [`RingClient::transaction`] watches keys, [`RingClient::pubsub`] subscribes, [`RingClient::scan`] goes over all keys,
//! [`RingClient::on`] asks one member, and [`RingClientBuilder::cache`] keeps hot keys in this process.
//!
//! # Errors
//!
//! Commands return redis-rs's `RedisError`; [`Error::of_redis`] finds the ring's own [`struct@Error`] inside, which says
//! what may be done next ([`Error::retry`]) and whether the command may have had an effect ([`Error::outcome`]).
//!
//! # Features
//!
//! | feature | brings |
//! |---|---|
//! | `zookeeper` (default) | rings in ZooKeeper and the agent; without it only `static://` rings can be opened |
//! | `tls` | `rediss://` and TLS to ZooKeeper |
//! | `cli` | what the `redis-ring` command needs; a service never turns it on |

#[cfg(feature = "zookeeper")]
pub mod agent;
mod cache;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
mod client;
pub mod command;
mod error;
mod exec;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod local;
pub mod membership;
mod node;
pub mod placement;
pub mod policy;
mod sabotage;

pub use client::{
    MemberConnection, RingClient, RingClientBuilder, RingConnection, RingPubSub, RingPubSubSink, RingPubSubStream,
    Scan, ScanCursor, ScanOptions, TopologyWatch, WatchingConnection,
};
pub use error::{Error, ErrorKind, Outcome, Result, Retry};
#[doc(hidden)]
pub use exec::Compared;
pub use exec::{DbSize, Stats};

/// The README's programs are compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
