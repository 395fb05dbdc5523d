//! What one would write by hand on redis-rs, as lean as it gets: a multiplexed connection to each server, the key's CRC32
//! modulo their number, and for a write the same command to that server and the next at once.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, AsyncConnectionConfig, RedisConnectionInfo, RedisResult};
use tokio::net::TcpStream;

use super::{Client, Failed, Operation, SERVERS, VALUE};

/// The hand-written client.
#[derive(Clone)]
pub struct HandWritten {
    connections: [MultiplexedConnection; SERVERS],
}

impl HandWritten {
    /// Connects to the servers. The response timeout is redis-rs's own per operation; the ring has none of that kind.
    ///
    /// # Errors
    /// As redis-rs says.
    pub async fn connect(addresses: &[String], response_timeout: Option<Duration>) -> Result<HandWritten, Failed> {
        let mut connections = Vec::new();
        for address in addresses {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            // As many may wait as in the ring, so that no task ever waits for a place in the queue.
            let config =
                AsyncConnectionConfig::new().set_response_timeout(response_timeout).set_pipeline_buffer_size(1 << 15);
            let info = RedisConnectionInfo::default().set_protocol(redis::ProtocolVersion::RESP3);
            let (connection, driver) = MultiplexedConnection::new_with_config(&info, stream, config).await?;
            tokio::spawn(driver);
            connections.push(connection);
        }
        let connections = connections.try_into().map_err(|_| "not as many servers as expected")?;
        Ok(HandWritten { connections })
    }

    fn of(key: &str) -> usize {
        crc32fast::hash(key.as_bytes()) as usize % SERVERS
    }

    async fn get(&mut self, key: &str) -> RedisResult<String> {
        self.connections[Self::of(key)].get(key).await
    }

    async fn set(&mut self, key: &str, value: &str) -> RedisResult<()> {
        let first = Self::of(key);
        let second = (first + 1) % SERVERS;
        let [one, other] = self
            .connections
            .get_disjoint_mut([first, second])
            .map_err(|_| redis::RedisError::from((redis::ErrorKind::Client, "a key has the same server twice")))?;
        let mut command = redis::cmd("SET");
        command.arg(key).arg(value);
        let (one, other) = futures_util::future::join(command.exec_async(one), command.exec_async(other)).await;
        one.and(other)
    }
}

impl Client for HandWritten {
    async fn run(&mut self, operation: Operation, key: &str) -> RedisResult<()> {
        match operation {
            Operation::Get => {
                std::hint::black_box(self.get(key).await?);
                Ok(())
            }
            Operation::Set => self.set(key, VALUE).await,
        }
    }
}
