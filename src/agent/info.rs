//! What a server says of itself in `INFO` and `CLIENT LIST`.

/// The fields of `INFO` that an agent goes by. A field that the server did not give has its default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Info {
    /// Names this life of the process.
    pub(crate) run_id: String,
    /// Whether it copies another server.
    pub(crate) replica: bool,
    /// Whether it is reading its data from disk, or from another server.
    pub(crate) loading: bool,
    /// `noeviction`, or how it evicts keys when memory is full.
    pub(crate) policy: String,
    /// How many FLUSHALL and FLUSHDB it has run in this life.
    pub(crate) flushes: u64,
    /// Keys in all databases.
    pub(crate) keys: u64,
}

impl Info {
    /// Reads the text of one `INFO` or of several sections in a row. Lines that are not known are skipped.
    pub(crate) fn parse(text: &str) -> Info {
        let mut info = Info::default();
        for (name, value) in text.lines().filter_map(|line| line.trim_end().split_once(':')) {
            match name {
                "run_id" => info.run_id = value.to_owned(),
                "role" => info.replica = value != "master",
                "loading" => info.loading = value != "0",
                "maxmemory_policy" => info.policy = value.to_owned(),
                "cmdstat_flushall" | "cmdstat_flushdb" => info.flushes += number(value, "calls"),
                _ if is_database(name) => info.keys += number(value, "keys"),
                _ => {}
            }
        }
        info
    }

    /// What is wrong with how it evicts keys; `None` if nothing.
    pub(crate) fn eviction(&self, cache: bool) -> Option<String> {
        let policy = &self.policy;
        match (policy.as_str(), cache) {
            ("noeviction" | "", _) => None,
            (volatile, true) if volatile.starts_with("volatile-") => None,
            (_, true) => {
                Some(format!("maxmemory-policy is {policy}, and a cache ring allows only volatile-* and noeviction"))
            }
            (_, false) => {
                Some(format!("maxmemory-policy is {policy}, which loses keys, and the ring allows only noeviction"))
            }
        }
    }
}

fn is_database(name: &str) -> bool {
    name.strip_prefix("db").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// The number of one field of `calls=1,usec=2`.
fn number(fields: &str, name: &str) -> u64 {
    let field = fields.split(',').filter_map(|field| field.split_once('=')).find(|(field, _)| *field == name);
    field.and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
}

/// One line of `CLIENT LIST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) id: u64,
    pub(crate) name: String,
}

/// Reads `CLIENT LIST`. Lines without an id are skipped.
pub(crate) fn clients(text: &str) -> Vec<Client> {
    let client = |line: &str| {
        let field = |name: &str| line.split(' ').find_map(|field| field.strip_prefix(name));
        Some(Client { id: field("id=")?.parse().ok()?, name: field("name=").unwrap_or("").to_owned() })
    };
    text.lines().filter_map(client).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn info_of_a_server_is_read() {
        let text = "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\nrole:slave\r\nloading:1\r\n\
                    maxmemory_policy:allkeys-lru\r\ncmdstat_flushall:calls=2,usec=1,usec_per_call=0.5\r\n\
                    cmdstat_flushdb:calls=1,usec=1\r\ndb0:keys=10,expires=0\r\ndb12:keys=5,expires=0\r\ndbx:keys=9\r\nno line";
        let info = Info::parse(text);
        assert_eq!(
            info,
            Info {
                run_id: "abc".into(),
                replica: true,
                loading: true,
                policy: "allkeys-lru".into(),
                flushes: 3,
                keys: 15
            }
        );
        assert!(info.eviction(false).is_some() && info.eviction(true).is_some());
        let with = |policy: &str| Info { policy: policy.into(), ..Info::default() };
        assert!(with("noeviction").eviction(false).is_none() && with("noeviction").eviction(true).is_none());
        assert!(with("volatile-ttl").eviction(false).is_some() && with("volatile-ttl").eviction(true).is_none());
    }

    #[test]
    fn clients_are_listed_by_id_and_name() {
        let text = "id=3 addr=127.0.0.1:1 laddr=x name=rr-agent:a age=1\nid=4 addr=127.0.0.1:2 name= age=2\nrubbish\n";
        let expected = [(3, "rr-agent:a"), (4, "")].map(|(id, name)| Client { id, name: name.into() });
        assert_eq!(clients(text), expected);
    }
}
