//! The ring's records as each server keeps them beside its gate.
//!
//! A client that meets a gate which is newer than all it knows needs the ring of that gate, and ZooKeeper may be away just
//! then. Whoever raises the gates' step therefore writes to each server what ZooKeeper has, in the same words.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::records::{ConfigRecord, MemberRecord, RingRecord, VERSION};
use super::snapshot::{Entry, Snapshot};
use crate::placement::{Epoch, NodeId};
use crate::{Error, ErrorKind, Result};

#[derive(Serialize, Deserialize)]
struct Beside {
    v: u32,
    epoch: i32,
    founded_at: i64,
    config: Value,
    ring: Value,
    /// Members whose records cannot be read are left out: they count as down for everybody.
    members: BTreeMap<String, Value>,
}

impl Snapshot {
    /// All of it as JSON, for the key `__rr:topology` of each server. It holds what ZooKeeper holds, and nothing secret.
    ///
    /// # Errors
    /// [`ErrorKind::Membership`] where a record cannot be written as JSON.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let members = self.members.iter().filter_map(|(id, entry)| {
            let record = entry.record.as_ref().ok()?;
            Some(serde_json::to_value(record).map(|record| (id.as_str().to_owned(), record)))
        });
        let written = || {
            serde_json::to_vec(&Beside {
                v: VERSION,
                epoch: self.epoch.0,
                founded_at: self.founded_at,
                config: serde_json::to_value(&self.config)?,
                ring: serde_json::to_value(&self.ring)?,
                members: members.collect::<Result<_, _>>()?,
            })
        };
        written().map_err(|why: serde_json::Error| {
            Error::new(ErrorKind::Membership, "the ring's records cannot be written as JSON").with_source(why)
        })
    }

    /// Reads what [`Snapshot::to_json`] has written.
    ///
    /// # Errors
    /// [`ErrorKind::Membership`] for anything else, for records that cannot be used, and for a newer version.
    pub fn from_json(json: &[u8]) -> Result<Snapshot> {
        let bad = || Error::new(ErrorKind::Membership, "the records that a server keeps of the ring cannot be read");
        let beside: Beside = serde_json::from_slice(json).map_err(|_| bad())?;
        if beside.v != VERSION {
            return Err(
                bad().with_hint("they were written by a newer redis-ring: use one that knows them here as well")
            );
        }
        let bytes = |value: &Value| serde_json::to_vec(value).map_err(|_| bad());
        let config = ConfigRecord::parse(&bytes(&beside.config)?)?;
        let ring = RingRecord::parse(&bytes(&beside.ring)?)?;
        let entry = |id: NodeId| {
            let record = match beside.members.get(id.as_str()) {
                Some(record) => MemberRecord::parse(&bytes(record)?),
                None => Err("its record is missing".to_owned()),
            };
            Ok((id.clone(), Entry { version: ring.members.get(id.as_str()).copied(), record }))
        };
        let members = ring.ids().map(entry).collect::<Result<_>>()?;
        Ok(Snapshot { config, ring, epoch: Epoch(beside.epoch), founded_at: beside.founded_at, members })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::records::PlacedRecord;
    use crate::placement::{Config, Phase, Placed, State, Step};

    fn snapshot() -> Snapshot {
        let record = MemberRecord {
            v: VERSION,
            addr: "redis://10.0.0.1:6379".to_owned(),
            state: "joining".to_owned(),
            generation: 7,
            run_id: "r".to_owned(),
            closed: false,
            reason: Some("it was restarted".to_owned()),
            by: None,
            since: Some(1),
            left: None,
            intact: false,
            accepted: None,
            rest: serde_json::Map::from_iter([("later".to_owned(), Value::Bool(true))]),
        };
        let (a, b) = (NodeId::new("a").unwrap(), NodeId::new("b").unwrap());
        let placed: BTreeMap<String, PlacedRecord> =
            [&a, &b].map(|id| (id.as_str().to_owned(), PlacedRecord::from(&Placed::default()))).into();
        let ring = RingRecord {
            step: 5,
            phase: Phase::Filling.as_str().to_owned(),
            founding: None,
            serving: placed.clone(),
            next: placed,
            members: BTreeMap::from([("a".to_owned(), 3), ("b".to_owned(), 0)]),
            created: BTreeMap::from([("b".to_owned(), 9)]),
            ..RingRecord::founding(2)
        };
        let members = BTreeMap::from([
            (a, Entry { version: Some(3), record: Ok(record) }),
            (b, Entry { version: Some(0), record: Err("its record is not JSON".to_owned()) }),
        ]);
        Snapshot { config: ConfigRecord::from(&Config::default()), ring, epoch: Epoch(9), founded_at: 42, members }
    }

    #[test]
    fn the_records_survive_the_way_through_a_server() {
        let (before, after) = (snapshot(), Snapshot::from_json(&snapshot().to_json().unwrap()).unwrap());
        assert_eq!((&before.config, &before.ring), (&after.config, &after.ring));
        assert_eq!((before.epoch, before.founded_at), (after.epoch, after.founded_at));
        let (a, b) = (NodeId::new("a").unwrap(), NodeId::new("b").unwrap());
        assert_eq!(before.members[&a], after.members[&a]);
        assert_eq!(before.topology().unwrap().fingerprint(), after.topology().unwrap().fingerprint());
        let topology = after.topology().unwrap();
        assert_eq!(topology.step(), Step(5));
        assert_eq!(topology.find(&b).unwrap().1.state, State::Down, "who cannot be read is down");
    }

    #[test]
    fn what_is_no_ring_is_refused() {
        let json = snapshot().to_json().unwrap();
        let text = String::from_utf8(json.clone()).unwrap();
        for wrong in [
            "".to_owned(),
            "{}".to_owned(),
            text[..text.len() / 2].to_owned(),
            text.replacen("\"v\":1", "\"v\":2", 1),
            text.replace("crc32-mix64-v1", "crc32"),
            text.replace("filling", "flying"),
        ] {
            assert_ne!(wrong, text);
            assert_eq!(Snapshot::from_json(wrong.as_bytes()).unwrap_err().kind(), ErrorKind::Membership, "{wrong}");
        }
    }
}
