//! Follows a ring: prints its members, then every change.
//!
//! `cargo run --example watch -- zk://127.0.0.1:2181/ring`

use redis_ring::RingClient;
use redis_ring::membership::{Source, View};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "zk://127.0.0.1:2181/ring".to_owned());
    let client = RingClient::open(&url).await?;
    let mut changes = client.watch();
    print(&changes.current());
    while let Some(view) = changes.changed().await {
        print(&view);
    }
    Ok(())
}

fn print(view: &View) {
    let topology = &view.topology;
    let source = match view.source {
        Source::Live => "live".to_owned(),
        Source::Stale { since } => format!("stale for {:?}", since.elapsed()),
    };
    println!("epoch {}, {}, placement {}, {source}", topology.epoch(), topology.phase(), topology.fingerprint());
    for (member, share) in topology.members().iter().zip(topology.shares()) {
        let reason = member.reason.as_deref().unwrap_or_default();
        println!("  {:<12} {:<8} {:>5.1} % of the keys  {reason}", member.id, member.state, 100.0 * share.primary);
    }
}
