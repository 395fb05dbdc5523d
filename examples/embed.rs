//! A service with a ring inside: sessions with an expiry, a counter, and what to do about errors.
//!
//! `cargo run --example embed -- zk://127.0.0.1:2181/ring`

use std::time::Duration;

use redis::AsyncCommands;
use redis_ring::policy::Timeouts;
use redis_ring::{Error, Outcome, Retry, RingClient, RingConnection};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "zk://127.0.0.1:2181/ring".to_owned());
    let timeouts = Timeouts { open: Duration::from_secs(2), ..Timeouts::default() };
    // Once for the process: the client and its connections are cheap to clone and share everything.
    let client = RingClient::builder(&url)?.timeouts(timeouts).open().await?;

    let mut sessions = client.connection();
    let () = sessions.set_ex("session:7", "alice", 3600).await?;
    let user: Option<String> = sessions.get("session:7").await?;
    println!("session:7 belongs to {user:?}");

    match count_visit(&mut client.connection()).await {
        Ok(visits) => println!("visit number {visits}"),
        Err(error) => explain(&error),
    }
    println!("{:?}", client.stats());
    Ok(())
}

async fn count_visit(connection: &mut RingConnection) -> redis::RedisResult<u64> {
    connection.incr("visits", 1).await
}

/// An error of the ring says whether the command may have run, and whether it is worth trying again.
fn explain(error: &redis::RedisError) {
    let Some(own) = Error::of_redis(error) else {
        return println!("the server says: {error}");
    };
    match (own.outcome(), own.retry()) {
        (Outcome::Unknown, _) => println!("it may have been counted: {own}"),
        (Outcome::NotExecuted, Retry::Never) => println!("it will never work: {own}"),
        (Outcome::NotExecuted, Retry::Elsewhere | Retry::Later) => println!("it was not counted, try later: {own}"),
    }
}
