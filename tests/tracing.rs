//! What spans and events say, and what they never say.
#![cfg(feature = "cli")]
#![cfg(test)]

mod support;

use std::io::Write;
use std::sync::{Arc, Mutex};

use redis::AsyncCommands;
use support::FixedRing;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The only test of this program, since its subscriber is the process's.
#[tokio::test]
async fn events_name_node_epoch_command_and_attempt_and_no_value() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();

    let options = redis_ring::local::RedisOptions::new().password("hunter2");
    let servers = vec![support::redis_with(options.clone()).await, support::redis_with(options).await];
    let ring = FixedRing::of(servers);
    let client = ring.connected(ring.patient().password("hunter2")).await;
    let mut connection = client.connection();
    let () = connection.set("key-in-secret", "value-in-secret").await.unwrap();
    ring.owners(&client, "key-in-secret")[0].kill();
    for _ in 0..5 {
        let value: String = connection.get("key-in-secret").await.unwrap();
        assert_eq!(value, "value-in-secret");
        let _: i64 = connection.append("key-in-secret", "").await.unwrap_or_default();
    }
    let _: redis::RedisResult<()> = connection.set_ex("other", "value-in-secret", 0).await;
    let _: redis::RedisResult<()> = redis::cmd("NOSUCH").arg("value-in-secret").query_async(&mut connection).await;

    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    for expected in [
        "command{command=\"GET\"",
        "command{command=\"APPEND\"",
        "attempt=1",
        "attempt=2",
        "epoch=",
        "fingerprint=",
        "node=r",
        "the connection was lost",
    ] {
        assert!(text.contains(expected), "{expected} is missing in\n{text}");
    }
    for never in ["value-in-secret", "key-in-secret", "hunter2"] {
        // redis-rs and tokio may log too, but not this crate.
        let leaked: Vec<&str> = text.lines().filter(|line| line.contains(never)).collect();
        assert!(leaked.is_empty(), "{leaked:#?}");
    }
}
