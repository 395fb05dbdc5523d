//! Whether a server answers now.

use std::error::Error as _;
use std::time::Duration;

use redis::Value;
use tokio::time::{Instant, timeout};

use super::Node;
use crate::error::{Error, ErrorKind};

/// How a server was found.
#[derive(Clone, Debug)]
pub(crate) enum Reach {
    /// It answers on a connection that passed the handshake.
    Answers,
    /// It answers that it serves nobody now: it loads its data, or copies another server's.
    Unfit,
    /// It does not let this client in.
    Denied(Error),
    /// Nobody listens there.
    Refused,
    /// It says nothing, or lets nobody in.
    Silent,
}

/// How often it is asked when this process itself stood still while it waited for the answer.
const TRIES: usize = 3;

impl Node {
    /// Asks the server, on the connection that there is or on a new one, and gives it so long to answer. A server that
    /// refuses connections is known to be dead at once.
    pub(crate) async fn reach(&self, at_most: Duration) -> Reach {
        // Whoever was never met may need the whole time that a connection may take.
        let at_most = if self.was_met() { at_most } else { at_most.max(self.options.timeouts.connect) };
        for _ in 0..TRIES {
            let began = Instant::now();
            match timeout(at_most, self.answer()).await {
                Ok(reach) => return reach,
                // Whoever stands still finds everybody late: then it is asked again, when what has arrived was read.
                Err(_) if began.elapsed() > at_most + at_most / 2 => tokio::task::yield_now().await,
                Err(_) => return Reach::Silent,
            }
        }
        Reach::Silent
    }

    async fn answer(&self) -> Reach {
        loop {
            let mut attempts = self.shared.attempts.subscribe();
            if let Some(link) = self.link().filter(|link| link.is_open()) {
                // Its limit is the caller's.
                match link.probe(&redis::cmd("PING"), u64::from(u32::MAX)).await {
                    Ok(Value::ServerError(error)) => match error.code() {
                        "NOAUTH" | "NOPERM" => {
                            let denied = Error::new(ErrorKind::Denied, format!("{} denied access", self.id));
                            return Reach::Denied(denied.with_hint("check the user and its rights"));
                        }
                        _ => return Reach::Unfit,
                    },
                    Ok(_) => return Reach::Answers,
                    Err(_) => tokio::task::yield_now().await,
                }
                continue;
            }
            self.hurry();
            if attempts.changed().await.is_err() {
                return Reach::Silent;
            }
            if self.link().is_some() {
                continue;
            }
            match self.trouble() {
                Some(error) if error.kind() == ErrorKind::Denied => return Reach::Denied(error),
                Some(error) if is_refused(&error) => return Reach::Refused,
                // It may be better in a moment: its gate is not open yet, or a proxy has lost it.
                Some(_) | None => {}
            }
        }
    }
}

/// Whether nobody listens at its port.
fn is_refused(error: &Error) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        let io = error.downcast_ref::<std::io::Error>();
        if io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    false
}
