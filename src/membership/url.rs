//! The URL that names a ring.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use super::address::{Address, split_host_port};
use crate::placement::{Config, NodeId};
use crate::{Error, ErrorKind};

/// Where the members of a ring are found.
///
/// Neither form has room for credentials: those are options of the client, so that a URL can be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RingUrl {
    /// `zk://host:2181,host:2181/root/path`: members register in ZooKeeper, and changes are followed.
    ZooKeeper {
        /// `host:port` of each server of the ensemble.
        hosts: Vec<String>,
        /// The node that the ring's records are under. It begins with a slash and does not end with one.
        root: String,
    },
    /// `static://id=host:port,id=host:port?copies=2&vnodes=1024&db=0`: a list that never changes.
    Fixed {
        /// Each member's id and its address (`redis://host:port` or `rediss://host:port`).
        members: Vec<(NodeId, String)>,
        /// Copies of each key; 2 if the URL does not say.
        copies: u32,
        /// Points of a member of weight 100; 1024 if the URL does not say.
        vnodes: u32,
        /// The database number; 0 if the URL does not say.
        db: i64,
    },
}

impl RingUrl {
    /// The node in ZooKeeper that the ring's records are under; `None` for a fixed ring.
    pub fn root(&self) -> Option<&str> {
        match self {
            RingUrl::ZooKeeper { root, .. } => Some(root),
            RingUrl::Fixed { .. } => None,
        }
    }
}

impl fmt::Display for RingUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RingUrl::ZooKeeper { hosts, root } => write!(f, "zk://{}{root}", hosts.join(",")),
            RingUrl::Fixed { members, copies, vnodes, db } => {
                f.write_str("static://")?;
                for (i, (id, addr)) in members.iter().enumerate() {
                    let comma = if i == 0 { "" } else { "," };
                    // `redis://` is what a member without a scheme means.
                    write!(f, "{comma}{id}={}", addr.strip_prefix("redis://").unwrap_or(addr))?;
                }
                let default = Config::default();
                let said = [
                    (*copies != default.copies).then(|| format!("copies={copies}")),
                    (*vnodes != default.vnodes).then(|| format!("vnodes={vnodes}")),
                    (*db != default.db).then(|| format!("db={db}")),
                ];
                let said: Vec<String> = said.into_iter().flatten().collect();
                if said.is_empty() { Ok(()) } else { write!(f, "?{}", said.join("&")) }
            }
        }
    }
}

impl FromStr for RingUrl {
    type Err = Error;

    /// Parses both forms.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], with what is wrong and a hint. A URL with credentials is refused, and no error
    /// text repeats the URL.
    fn from_str(text: &str) -> Result<RingUrl, Error> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(invalid("the ring's URL has no scheme", FORMS));
        };
        if rest.contains('@') {
            return Err(invalid(
                "the ring's URL holds credentials",
                "give user and password as options, not in the URL",
            ));
        }
        match scheme {
            "zk" => zookeeper(rest),
            "static" => fixed(rest),
            "redis" | "rediss" => Err(invalid("the ring's URL names a single server", FORMS)),
            _ => Err(invalid("the ring's URL has a scheme that is not known", FORMS)),
        }
    }
}

const FORMS: &str = "write zk://host:2181,host:2181/root or static://id=host:6379,id=host:6379";
const ZOOKEEPER_FORM: &str = "write zk://host:2181,host:2181/root";
const FIXED_FORM: &str = "write static://id=host:6379,id=host:6379";

fn invalid(message: impl Into<String>, hint: &str) -> Error {
    Error::new(ErrorKind::Invalid, message).with_hint(hint)
}

fn zookeeper(rest: &str) -> Result<RingUrl, Error> {
    if rest.contains(['?', '#']) {
        return Err(invalid("a zk:// URL has no options", "what all clients share is in the ring's /config"));
    }
    let (hosts, root) = rest.split_once('/').unwrap_or((rest, ""));
    if hosts.is_empty() {
        return Err(invalid("the zk:// URL names no host", ZOOKEEPER_FORM));
    }
    let hosts = hosts
        .split(',')
        .map(|host| {
            split_host_port(host, 2181)
                .map(|(host, port)| Address { tls: false, host, port }.host_port())
                .map_err(|why| invalid(format!("a host of the zk:// URL cannot be used: {why}"), ZOOKEEPER_FORM))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let root = root.strip_suffix('/').unwrap_or(root);
    if root.is_empty() {
        let hint = "add the node that the ring is under, as in zk://host:2181/redis-ring";
        return Err(invalid("the zk:// URL names no root", hint));
    }
    let usable = |part: &str| {
        !part.is_empty() && part != "." && part != ".." && !part.chars().any(|c| c.is_control() || c.is_whitespace())
    };
    if !root.split('/').all(usable) {
        let hint = "its parts are divided by single slashes, and none is empty, '.', '..' or has blanks";
        return Err(invalid("the root of the zk:// URL is not a ZooKeeper path", hint));
    }
    Ok(RingUrl::ZooKeeper { hosts, root: format!("/{root}") })
}

fn fixed(rest: &str) -> Result<RingUrl, Error> {
    let (list, options) = rest.split_once('?').unwrap_or((rest, ""));
    let mut members = Vec::new();
    let mut ids = BTreeSet::new();
    for entry in list.split(',').filter(|_| !list.is_empty()) {
        let Some((id, addr)) = entry.split_once('=') else {
            return Err(invalid("a member of the static:// URL has no id", FIXED_FORM));
        };
        let id = NodeId::new(id).map_err(|why| invalid(why.to_string(), FIXED_FORM))?;
        let addr = if addr.contains("://") { addr.to_owned() } else { format!("redis://{addr}") };
        let addr: Address = addr.parse().map_err(|why| {
            invalid(format!("the address of {id} in the static:// URL cannot be used: {why}"), FIXED_FORM)
        })?;
        if !ids.insert(id.clone()) {
            return Err(invalid(format!("the static:// URL names {id} twice"), "each member has an id of its own"));
        }
        members.push((id, addr.to_string()));
    }
    if members.is_empty() {
        return Err(invalid("the static:// URL names no member", FIXED_FORM));
    }
    let default = Config::default();
    let (mut copies, mut vnodes, mut db) = (default.copies, default.vnodes, default.db);
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        match name {
            "copies" => copies = number(name, value, 1..=16)?,
            "vnodes" => vnodes = number(name, value, 1..=65_536)?,
            "db" => db = i64::from(number(name, value, 0..=65_535)?),
            _ => {
                return Err(invalid(
                    "the static:// URL has an option that is not known",
                    "its options are copies, vnodes and db",
                ));
            }
        }
    }
    Ok(RingUrl::Fixed { members, copies, vnodes, db })
}

fn number(name: &str, value: &str, range: std::ops::RangeInclusive<u32>) -> Result<u32, Error> {
    value.parse().ok().filter(|n| range.contains(n)).ok_or_else(|| {
        let hint = format!("it is a number from {} to {}", range.start(), range.end());
        invalid(format!("the option {name} of the static:// URL cannot be used"), &hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<RingUrl, Error> {
        text.parse()
    }

    #[test]
    fn both_forms_survive_a_round_trip() {
        for text in [
            "zk://a:2181,b:2182/rings/one",
            "zk://[::1]:2181/r",
            "static://redis-0=127.0.0.1:7000,redis-1=127.0.0.1:7001",
            "static://a=rediss://h:1?copies=3&vnodes=160&db=2",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        assert_eq!(parse("zk://a,b/r/").unwrap().to_string(), "zk://a:2181,b:2181/r");
    }

    #[test]
    fn each_bad_form_is_named_with_a_hint() {
        for (text, message) in [
            ("", "no scheme"),
            ("localhost:2181/x", "no scheme"),
            ("http://h/x", "not known"),
            ("redis://h:1", "single server"),
            ("zk://", "no host"),
            ("zk:///root", "no host"),
            ("zk://h:2181", "no root"),
            ("zk://h:2181/", "no root"),
            ("zk://h:x/root", "port"),
            ("zk://h,,g/root", "no host"),
            ("zk://h//root", "not a ZooKeeper path"),
            ("zk://h/a/../b", "not a ZooKeeper path"),
            ("zk://h/root?x=1", "no options"),
            ("static://", "no member"),
            ("static://h:1", "no id"),
            ("static://a/b=h:1", "is not 1 to 64"),
            ("static://a=h:1,a=h:2", "twice"),
            ("static://a=:1", "no host"),
            ("static://a=h:1?copies=0", "copies"),
            ("static://a=h:1?what=1", "not known"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{text}");
            assert!(error.to_string().contains(message), "{text}: {error}");
            assert!(error.hint().is_some(), "{text}");
        }
    }

    #[test]
    fn credentials_are_refused_and_not_repeated() {
        for text in ["zk://user:hunter2@h:2181/r", "static://a=redis://:hunter2@h:1", "redis://u:hunter2@h"] {
            let error = parse(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
            assert!(error.hint().unwrap().contains("options"), "{error:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "(zk|static)?(://)?[ -~é]{0,40}") {
            if let Ok(url) = parse(&text) {
                prop_assert_eq!(parse(&url.to_string()).unwrap(), url);
            }
        }
    }
}
