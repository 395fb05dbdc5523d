//! The servers, and the ring over them.

use redis::{AsyncCommands, RedisResult};
use redis_ring::local::{RedisOptions, RedisServer};
use redis_ring::{RingClient, RingConnection};

use super::{Client, Failed, Operation, SERVERS, VALUE, keys};

/// The servers that all clients use.
pub struct Servers(Vec<RedisServer>);

impl Servers {
    /// Starts them on free ports of loopback.
    ///
    /// # Errors
    /// Where redis-server is missing or does not start.
    pub fn start() -> Result<Servers, Failed> {
        let servers = (0..SERVERS).map(|_| RedisServer::start(RedisOptions::new())).collect::<Result<_, _>>()?;
        Ok(Servers(servers))
    }

    /// `127.0.0.1:port` of each.
    pub fn addresses(&self) -> Vec<String> {
        self.0.iter().map(RedisServer::addr).collect()
    }
}

/// The ring of these servers, as a URL.
pub fn url(addresses: &[String]) -> String {
    let members: Vec<String> = addresses.iter().enumerate().map(|(n, addr)| format!("redis-{n}={addr}")).collect();
    format!("static://{}", members.join(","))
}

/// Writes every key to every server, so that all clients find it wherever they look.
///
/// # Errors
/// As redis-rs says.
pub async fn fill(addresses: &[String]) -> Result<(), Failed> {
    for address in addresses {
        let mut connection =
            redis::Client::open(format!("redis://{address}"))?.get_multiplexed_async_connection().await?;
        let mut pipe = redis::pipe();
        for key in keys() {
            pipe.set(key, VALUE).ignore();
        }
        pipe.exec_async(&mut connection).await?;
    }
    Ok(())
}

/// The ring as an application uses it.
pub struct Ring {
    connection: RingConnection,
}

impl Ring {
    /// One more connection of a client.
    pub fn new(client: &RingClient) -> Ring {
        Ring { connection: client.connection() }
    }
}

impl Clone for Ring {
    fn clone(&self) -> Self {
        Ring { connection: self.connection.clone() }
    }
}

impl Client for Ring {
    async fn run(&mut self, operation: Operation, key: &str) -> RedisResult<()> {
        match operation {
            Operation::Get => {
                let value: String = self.connection.get(key).await?;
                std::hint::black_box(value);
                Ok(())
            }
            Operation::Set => self.connection.set(key, VALUE).await,
        }
    }
}
