//! One connection to one server, for asking it directly, past the ring.

use std::sync::Arc;

use redis::{Cmd, Value};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::connect::{self, Connected};
use super::{ConnectOptions, Link, Ticker};
use crate::error::{Error, ErrorKind, Result};
use crate::membership::Address;
use crate::placement::RunId;

/// A connection that passed the usual handshake, to whatever process answers. It is never used for the ring's own
/// reads and writes: nothing checks that this process may answer them.
///
/// Dropping it closes it.
#[derive(Debug)]
pub(crate) struct Direct {
    address: Address,
    options: ConnectOptions,
    link: Arc<Link>,
    driver: JoinHandle<()>,
}

impl Drop for Direct {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Direct {
    /// Connects within the connect timeout, with the same credentials and TLS as the ring's own connections.
    ///
    /// # Errors
    /// `Unreachable`, `Denied`, or `Server` for something that is no Redis server.
    pub(crate) async fn connect(address: &Address, options: &ConnectOptions) -> Result<Direct> {
        // The ticker never runs: whoever asks here waits by a timer of their own.
        let Connected { link, driver } = connect::connect_to_ask(address, options, &Ticker::new()).await?;
        Ok(Direct { address: address.clone(), options: options.clone(), link, driver })
    }

    /// The process that answers.
    pub(crate) fn run_id(&self) -> &RunId {
        self.link.run_id()
    }

    /// Asks one question, within the read timeout. Questions that are asked at the same time share a round trip.
    ///
    /// # Errors
    /// `Timeout`, `Disconnected`, or `Server` with the server's own words, which hold no value of a key.
    pub(crate) async fn ask(&self, cmd: &Cmd) -> Result<Value> {
        let address = &self.address;
        let limit = self.options.timeouts.read;
        let lost =
            |error| Error::new(ErrorKind::Disconnected, format!("{address} closed the connection")).with_source(error);
        match timeout(limit, self.link.send(cmd)).await {
            Err(_) => {
                let message = format!("{address} did not answer within {} ms", limit.as_millis());
                Err(Error::new(ErrorKind::Timeout, message))
            }
            Ok(Err(error)) => Err(lost(error)),
            Ok(Ok(value)) => value.extract_error().map_err(|error| {
                let kind = match error.code() {
                    Some("NOPERM" | "NOAUTH" | "WRONGPASS") => ErrorKind::Denied,
                    Some(_) | None => ErrorKind::Server,
                };
                Error::new(kind, format!("{address} answered with an error")).with_source(error)
            }),
        }
    }
}
