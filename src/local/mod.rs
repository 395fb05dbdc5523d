//! Real servers on this machine: what `redis-ring demo` and the tests run against.
//!
//! A [`RedisServer`] or [`ZooKeeperServer`] is one process on a loopback port, with a directory of its own under the
//! system's temporary one. Dropping it kills and reaps the process and removes the directory. A process that ends
//! without dropping it (SIGKILL, a `static`) leaves nothing behind either: see [`Process`].
//!
//! Everything blocks unless its name ends in `_async`; those run the same on tokio's blocking threads.

mod error;
mod port;
mod process;
mod redis;
mod server;
mod zookeeper;

pub use error::Error;
pub use port::Port;
pub use process::{Process, Signal};
pub use redis::{Redis, RedisOptions, RedisServer, TlsFiles};
pub use server::{Place, Program, Server};
pub use zookeeper::{ZooKeeper, ZooKeeperOptions, ZooKeeperServer};
