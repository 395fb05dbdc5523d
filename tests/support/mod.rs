//! What every integration test stands on: real servers, faults between them and the client, and waiting without sleeps.
#![cfg(test)]
#![allow(
    dead_code,
    unused_imports,
    reason = "every test program uses another part of the harness, so that `expect` would fail in some"
)]

mod call;
#[cfg(feature = "tls")]
mod certificates;
pub mod direct;
mod fake;
mod fixed;
mod met;
mod peer;
mod proxy;
mod zk_ring;

use std::future::Future;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use redis_ring::local::{RedisOptions, RedisServer, ZooKeeperOptions, ZooKeeperServer};
use tokio::sync::OnceCell;

pub use call::{call, id, key_of, own, run, run_or_error};
#[cfg(feature = "tls")]
pub use certificates::Certificates;
pub use fake::FakeServer;
pub use fixed::FixedRing;
pub use met::Met;
pub use proxy::{Counts, FaultProxy, Mode};
pub use zk_ring::{ZkRing, membership_options, patient_options};

/// Long enough for everything that should happen soon, on a machine whose cores are all busy.
pub const SOON: Duration = Duration::from_secs(20);

/// An empty server without a password.
pub async fn redis() -> RedisServer {
    redis_with(RedisOptions::new()).await
}

/// A server as the options say.
pub async fn redis_with(options: RedisOptions) -> RedisServer {
    RedisServer::start_async(options).await.expect("redis-server starts")
}

/// So many empty servers.
pub async fn redis_servers(count: usize) -> Vec<RedisServer> {
    futures_util::future::join_all((0..count).map(|_| redis())).await
}

/// A ZooKeeper of the test's own, to be stopped and restarted, with sessions from 400 ms.
pub async fn zookeeper() -> ZooKeeperServer {
    ZooKeeperServer::start_async(ZooKeeperOptions::fast()).await.expect("ZooKeeper starts")
}

/// The one ZooKeeper of this test program, for tests that leave it running: a Java machine costs a second of a core.
/// Each test takes a root of its own from [`unique_root`]. It ends with the program, by its watchdog.
pub async fn shared_zookeeper() -> &'static ZooKeeperServer {
    static SERVER: OnceCell<ZooKeeperServer> = OnceCell::const_new();
    SERVER.get_or_init(zookeeper).await
}

/// A path that no other test uses: `/t-<process>-<number>`.
pub fn unique_root() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("/t-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Waits until the condition holds.
///
/// # Panics
/// When it does not within `deadline`, with `what` was waited for.
pub async fn eventually<F, Fut>(deadline: Duration, what: &str, mut condition: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    eventually_some(deadline, what, || {
        let holds = condition();
        async move { holds.await.then_some(()) }
    })
    .await;
}

/// Waits until there is a value, and returns it.
///
/// # Panics
/// When there is none within `deadline`, with `what` was waited for. A condition that hangs counts as not held.
pub async fn eventually_some<T, F, Fut>(deadline: Duration, what: &str, mut condition: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let poll = async {
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    };
    match tokio::time::timeout(deadline, poll).await {
        Ok(value) => value,
        Err(_) => panic!("not within {deadline:?}: {what}"),
    }
}

/// Whether a process with this id is there and not only waiting to be reaped.
pub fn is_alive(pid: u32) -> bool {
    let state = if Path::new("/proc/self/stat").exists() {
        // `pid (name) state …`, and the name may hold anything.
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            .ok()
            .and_then(|stat| stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()))
    } else {
        Command::new("ps")
            .args(["-o", "stat=", "-p", &pid.to_string()])
            .output()
            .ok()
            .and_then(|output| String::from_utf8_lossy(&output.stdout).trim().chars().next())
    };
    state.is_some_and(|state| state != 'Z')
}
