//! Calls written as words, and what is asked of the answers.

use redis::aio::ConnectionLike;
use redis::{Cmd, RedisError, RedisResult, Value};
use redis_ring::placement::NodeId;
use redis_ring::{Error, RingClient, RingConnection};

/// A member's id.
pub fn id(name: &str) -> NodeId {
    NodeId::new(name).expect("a name")
}

/// A command and its arguments.
pub fn call(words: &[&str]) -> Cmd {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command
}

/// The value as it came, a server's error included.
pub async fn run(connection: &RingConnection, words: &[&str]) -> RedisResult<Value> {
    connection.clone().req_packed_command(&call(words)).await
}

/// Likewise, and a server's error is an error.
pub async fn run_or_error(connection: &RingConnection, words: &[&str]) -> RedisResult<Value> {
    run(connection, words).await?.extract_error()
}

/// The ring's own error.
pub fn own(error: &RedisError) -> &Error {
    Error::of_redis(error).unwrap_or_else(|| panic!("not the ring's own error: {error}"))
}

/// A key that begins so and whose primary is this member.
pub fn key_of(client: &RingClient, prefix: &str, primary: &str) -> String {
    let mut keys = (0..).map(|i| format!("{prefix}{i}"));
    keys.find(|key| client.locate(key).owners[0].as_str() == primary).expect("a key")
}
