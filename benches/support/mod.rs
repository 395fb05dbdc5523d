//! What the benchmarks share: closing tables, numbers with their spread, and the client one would write by hand.
#![allow(dead_code, reason = "every benchmark uses another part, so that `expect` would fail in some")]

pub mod hand_written;
pub mod memory;
#[cfg(feature = "cli")]
pub mod ring;
pub mod spread;
pub mod table;

/// What a benchmark may fail with; `main` prints it.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;

/// How many servers the operations run on.
pub const SERVERS: usize = 4;

/// How many keys are in play: enough to spread evenly, few enough to fill in a moment.
pub const KEYS: usize = 4096;

/// A value of 64 bytes.
pub const VALUE: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// The keys in play.
pub fn keys() -> Vec<String> {
    (0..KEYS).map(|n| format!("user:{n}")).collect()
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A GET of 64 bytes that finds its key.
    Get,
    /// A SET of 64 bytes with two copies.
    Set,
}

impl Operation {
    /// Both.
    pub const ALL: [Operation; 2] = [Operation::Get, Operation::Set];

    /// As people write it.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Get => "GET",
            Operation::Set => "SET",
        }
    }
}

/// A client under measurement. One is made for each task.
pub trait Client: Clone + Send + 'static {
    /// Runs one operation to its end.
    fn run(&mut self, operation: Operation, key: &str) -> impl Future<Output = redis::RedisResult<()>> + Send;
}

/// Runs so many operations in so many tasks at once.
///
/// # Errors
/// The first one that an operation ends with.
pub async fn load<C: Client>(client: &C, operation: Operation, tasks: usize, operations: usize) -> Result<(), Failed> {
    let keys = std::sync::Arc::new(keys());
    let mut running = tokio::task::JoinSet::new();
    for task in 0..tasks {
        let (mut client, keys) = (client.clone(), std::sync::Arc::clone(&keys));
        let mine = operations / tasks + usize::from(task < operations % tasks);
        running.spawn(async move {
            let mut random = fastrand::Rng::with_seed(task as u64);
            for _ in 0..mine {
                client.run(operation, &keys[random.usize(..KEYS)]).await?;
            }
            Ok::<(), redis::RedisError>(())
        });
    }
    while let Some(done) = running.join_next().await {
        done??;
    }
    Ok(())
}
