use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// A loopback port that nothing else in this process is given while this lives.
///
/// Not a port that the system picks (port 0): those come from the range that outgoing connections use as well. While a
/// server there is dead, a client that keeps trying to reach it can be given that very port as its own, connects to
/// itself, and keeps the server from coming back. So the port is from outside that range where the system tells it.
#[derive(Debug)]
pub struct Port(u16);

impl Port {
    /// Reserves a port that is free now. Another process may still take it: who binds it tries again with another.
    ///
    /// # Errors
    /// When no free port was found in many tries.
    pub fn reserve() -> io::Result<Self> {
        let range = range();
        for _ in 0..TRIES {
            let port = match &range {
                Some(range) => fastrand::u16(range.clone()),
                None => TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
                    .local_addr()?
                    .port(),
            };
            if !is_free(port) {
                continue;
            }
            if RESERVED
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(port)
            {
                return Ok(Self(port));
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "no free loopback port found",
        ))
    }

    /// The number.
    pub fn number(&self) -> u16 {
        self.0
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        RESERVED
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.0);
    }
}

/// Whether nobody listens on the port. std sets SO_REUSEADDR, as the servers do: old connections do not count.
pub(super) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

const TRIES: usize = 200;
/// Below lie ports with well-known users, Redis and ZooKeeper among them.
const LOWEST: u16 = 10_000;
/// Where Linux begins its outgoing ports by default; others begin at 49152.
const DEFAULT_OUTGOING: u16 = 32_768;

static RESERVED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

fn range() -> Option<Range<u16>> {
    let first_outgoing = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(DEFAULT_OUTGOING);
    (first_outgoing >= LOWEST + 1_000).then_some(LOWEST..first_outgoing)
}
