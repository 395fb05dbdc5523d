//! Where one Redis server can be reached, without credentials.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// `redis://host:port` or `rediss://host:port`. It has no room for a user name or a password.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// Whether the server is spoken to over TLS (`rediss://`).
    pub tls: bool,
    /// A host name or an IP address, an IPv6 one without its brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

/// Why a text is not an [`Address`]. It never repeats the text, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidAddress(&'static str);

impl fmt::Display for InvalidAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidAddress {}

impl Address {
    /// Whether only this machine can reach it.
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(ip) => ip.is_loopback() || ip.is_unspecified(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost") || self.host.ends_with(".localhost"),
        }
    }

    /// `host:port` as an address to connect to, with the brackets of IPv6.
    pub fn host_port(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "rediss" } else { "redis" };
        write!(f, "{scheme}://{}", self.host_port())
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Address, InvalidAddress> {
        let (tls, rest) = match (text.strip_prefix("redis://"), text.strip_prefix("rediss://")) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return Err(InvalidAddress("it does not begin with redis:// or rediss://")),
        };
        if rest.contains('@') {
            return Err(InvalidAddress("it holds credentials"));
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = split_host_port(rest, 6379)?;
        Ok(Address { tls, host, port })
    }
}

/// Splits `host`, `host:port`, `[v6]` or `[v6]:port`.
pub(super) fn split_host_port(text: &str, default_port: u16) -> Result<(String, u16), InvalidAddress> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(InvalidAddress("an IPv6 address has no closing bracket"))?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(InvalidAddress("there is no IPv6 address in the brackets"));
            }
            let port = match port.strip_prefix(':') {
                Some(port) => Some(port),
                None if port.is_empty() => None,
                None => return Err(InvalidAddress("something else than :port follows the bracket")),
            };
            (host, port)
        }
        None => match text.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err(InvalidAddress("an IPv6 address needs brackets, as in [::1]:6379"));
            }
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let usable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if host.is_empty() {
        return Err(InvalidAddress("it names no host"));
    }
    if !host.chars().all(usable) {
        return Err(InvalidAddress("its host has characters that no host name has"));
    }
    let port = match port {
        None => default_port,
        Some(port) => {
            let port = port.parse().map_err(|_| InvalidAddress("its port is not a number up to 65535"))?;
            if port == 0 {
                return Err(InvalidAddress("its port is 0"));
            }
            port
        }
    };
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_a_round_trip_and_bad_ones_say_why() {
        for good in ["redis://10.0.0.1:6379", "rediss://cache.example.com:7000", "redis://[::1]:6379"] {
            assert_eq!(good.parse::<Address>().unwrap().to_string(), good);
        }
        assert_eq!("redis://h".parse::<Address>().unwrap().port, 6379);
        for bad in [
            "",
            "h:1",
            "redis://",
            "redis://:1",
            "redis://h:x",
            "redis://h:0",
            "redis://::1",
            "redis://[::1",
            "redis://h/1",
            "redis://h o:1",
            "http://h:1",
            "redis://[h]:1",
        ] {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
        let error = "redis://user:secret@h:1".parse::<Address>().unwrap_err();
        assert_eq!(error.to_string(), "it holds credentials");
    }

    #[test]
    fn loopback_is_told_by_name_and_by_number() {
        let loopback = |text: &str| text.parse::<Address>().unwrap().is_loopback();
        assert!(
            ["redis://127.0.0.1:1", "redis://127.9.9.9:1", "redis://localhost:1", "redis://[::1]:1"]
                .map(loopback)
                .iter()
                .all(|l| *l)
        );
        assert!(!loopback("redis://10.0.0.1:1") && !loopback("redis://redis-0:1"));
    }
}
