//! One question on a connection of its own, without the handshake of a [`Link`](super::Link).
//!
//! A server that runs a script for too long answers BUSY to the handshake's INFO, and reads nothing more from the
//! connection that the script came on. What ends the script must come on another one.

use redis::aio::{ConnectionLike as _, MultiplexedConnection};
use redis::{AsyncConnectionConfig, Cmd, ProtocolVersion, RedisConnectionInfo, RedisError, RedisResult, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::connect::{ConnectOptions, encrypted};
use crate::error::{Error, ErrorKind, Result};
use crate::membership::Address;

/// Connects, asks one question, and closes. An error reply is a value.
///
/// # Errors
/// `Unreachable` where there was no answer within the times to connect and to read.
pub(crate) async fn ask_briefly(address: &Address, options: &ConnectOptions, cmd: &Cmd) -> Result<Value> {
    let unreachable = |error: RedisError| {
        Error::new(ErrorKind::Unreachable, format!("{address} closed the connection")).with_source(error)
    };
    let asking = async {
        let tcp = TcpStream::connect((address.host.as_str(), address.port)).await;
        let tcp = tcp.map_err(|error| unreachable(error.into()))?;
        let reply = if address.tls {
            ask(encrypted(address, options, tcp).await?, options, cmd).await
        } else {
            ask(tcp, options, cmd).await
        };
        reply.map_err(unreachable)
    };
    let limit = options.timeouts.connect + options.timeouts.read;
    tokio::time::timeout(limit, asking).await.unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::Unreachable, format!("{address} did not answer within {} ms", limit.as_millis())))
    })
}

async fn ask<S>(stream: S, options: &ConnectOptions, cmd: &Cmd) -> RedisResult<Value>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    // No SELECT: a busy server refuses it.
    let mut info = RedisConnectionInfo::default().set_protocol(ProtocolVersion::RESP2);
    if let Some(username) = &options.username {
        info = info.set_username(username);
    }
    if let Some(password) = &options.password {
        info = info.set_password(password);
    }
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let asking = async {
        let (mut connection, driver) = MultiplexedConnection::new_with_config(&info, stream, config).await?;
        tokio::select! {
            reply = connection.req_packed_command(cmd) => reply,
            () = driver => Err(RedisError::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset))),
        }
    };
    asking.await
}
