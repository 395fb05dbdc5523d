//! The records in ZooKeeper: the wire contract, field by field.
//!
//! Every record keeps the fields that this version does not know, so that writing it back loses nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::address::Address;
use crate::placement::{
    Config, Epoch, Generation, Member, NodeId, Phase, Placed, RING_NAME, RunId, State, Weight, Zone,
};
use crate::{Error, ErrorKind, Result};

/// The version of the records that this library reads and writes.
pub const VERSION: u32 = 1;

/// `/config`: what everybody who uses the ring must share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigRecord {
    /// The version of the record.
    pub v: u32,
    /// The name of the ring's wire contract.
    pub ring: String,
    /// Points of a member of weight 100.
    pub vnodes: u32,
    /// Copies of each key.
    pub copies: u32,
    /// The database number.
    #[serde(default)]
    pub db: i64,
    /// Whether servers may evict keys.
    #[serde(default)]
    pub cache: bool,
    /// How long a member may be down before its ranges are given to others, in milliseconds.
    #[serde(default = "replace_after_ms")]
    pub replace_after_ms: u64,
    /// How long after a fence a write may be acknowledged though the fenced server could not be closed, in
    /// milliseconds.
    #[serde(default = "fence_wait_ms")]
    pub fence_wait_ms: u64,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

fn replace_after_ms() -> u64 {
    Config::default().replace_after.as_millis() as u64
}

fn fence_wait_ms() -> u64 {
    Config::default().fence_wait.as_millis() as u64
}

impl ConfigRecord {
    /// Reads a record.
    ///
    /// # Errors
    /// [`ErrorKind::Membership`] where it cannot be read, or has a version or a ring that this library does not
    /// know: placing keys by guess would put them where nobody else looks.
    pub fn parse(data: &[u8]) -> Result<ConfigRecord> {
        check_version("/config", data)?;
        let record: ConfigRecord = read("/config", data)?;
        if record.ring != RING_NAME {
            let message =
                format!("/config names the ring {:?}, and only {RING_NAME} is known", shortened(&record.ring));
            return Err(Error::new(ErrorKind::Membership, message).with_hint(UPGRADE));
        }
        if record.vnodes == 0 || record.copies == 0 {
            return Err(Error::new(ErrorKind::Membership, "/config has no vnodes or no copies").with_hint(REPAIR));
        }
        Ok(record)
    }

    /// The record's meaning.
    pub fn config(&self) -> Config {
        Config {
            vnodes: self.vnodes,
            copies: self.copies,
            db: self.db,
            cache: self.cache,
            replace_after: Duration::from_millis(self.replace_after_ms),
            fence_wait: Duration::from_millis(self.fence_wait_ms),
        }
    }
}

impl From<&Config> for ConfigRecord {
    fn from(config: &Config) -> ConfigRecord {
        ConfigRecord {
            v: VERSION,
            ring: RING_NAME.to_owned(),
            vnodes: config.vnodes,
            copies: config.copies,
            db: config.db,
            cache: config.cache,
            replace_after_ms: config.replace_after.as_millis() as u64,
            fence_wait_ms: config.fence_wait.as_millis() as u64,
            rest: Map::new(),
        }
    }
}

/// `/ring`: three rings, the phase, and the versions of the members' records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RingRecord {
    /// The version of the record.
    pub v: u32,
    /// Rises by one at every change of phase.
    pub step: u64,
    /// `founding`, `still`, `filling`, `syncing` or `retiring`.
    pub phase: String,
    /// How many members found the ring, while it is being founded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub founding: Option<u32>,
    /// Who is read.
    #[serde(default)]
    pub serving: BTreeMap<String, PlacedRecord>,
    /// Who will be read.
    #[serde(default)]
    pub next: BTreeMap<String, PlacedRecord>,
    /// Who was read until the last flip.
    #[serde(default)]
    pub old: BTreeMap<String, PlacedRecord>,
    /// Copies of the next ring, while the number changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies_next: Option<u32>,
    /// Copies of the old ring, while the number changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies_old: Option<u32>,
    /// Who gains keys while the ring is syncing, and the lives of their data: the flip is theirs together.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gaining: BTreeMap<String, u64>,
    /// The version of each member's record, so that only those that changed are read.
    #[serde(default)]
    pub members: BTreeMap<String, i32>,
    /// The epoch at which each member's record was created: one that is deleted and created again counts its versions from
    /// zero, and is not the one that was read before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub created: BTreeMap<String, i32>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// A member's place in one of the rings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlacedRecord {
    /// In per cent of a plain member.
    #[serde(default = "plain_weight")]
    pub weight: u32,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<String>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

fn plain_weight() -> u32 {
    Weight::default().0
}

impl From<&Placed> for PlacedRecord {
    fn from(placed: &Placed) -> PlacedRecord {
        let zone = placed.zone.as_ref().map(|zone| zone.as_str().to_owned());
        PlacedRecord { weight: placed.weight.0, zone, rest: Map::new() }
    }
}

impl RingRecord {
    /// The record of a ring that `members` members are about to found.
    pub fn founding(members: u32) -> RingRecord {
        RingRecord {
            v: VERSION,
            step: 0,
            phase: Phase::Founding { wanted: members }.as_str().to_owned(),
            founding: Some(members),
            serving: BTreeMap::new(),
            next: BTreeMap::new(),
            old: BTreeMap::new(),
            copies_next: None,
            copies_old: None,
            gaining: BTreeMap::new(),
            members: BTreeMap::new(),
            created: BTreeMap::new(),
            rest: Map::new(),
        }
    }

    /// Reads a record, names and phase included.
    ///
    /// # Errors
    /// [`ErrorKind::Membership`] where it cannot be read or has a version or a phase that is not known.
    pub fn parse(data: &[u8]) -> Result<RingRecord> {
        check_version("/ring", data)?;
        let record: RingRecord = read("/ring", data)?;
        record.phase()?;
        for ring in [&record.serving, &record.next, &record.old] {
            placed(ring)?;
        }
        Ok(record)
    }

    /// How far a change of the ring has come.
    ///
    /// # Errors
    /// [`ErrorKind::Membership`] where the word is not known.
    pub fn phase(&self) -> Result<Phase> {
        let known = [Phase::Still, Phase::Filling, Phase::Syncing, Phase::Retiring];
        if let Some(phase) = known.into_iter().find(|phase| phase.as_str() == self.phase) {
            return Ok(phase);
        }
        match self.founding {
            Some(wanted) if self.phase == (Phase::Founding { wanted }).as_str() => Ok(Phase::Founding { wanted }),
            _ => {
                let message = format!("/ring is in the phase {:?}, which is not known", shortened(&self.phase));
                Err(Error::new(ErrorKind::Membership, message).with_hint(UPGRADE))
            }
        }
    }

    /// The ids in any of the rings or with a record.
    pub fn ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        let names: std::collections::BTreeSet<&String> =
            self.serving.keys().chain(self.next.keys()).chain(self.old.keys()).chain(self.members.keys()).collect();
        names.into_iter().filter_map(|name| NodeId::new(name).ok())
    }
}

/// The places of one ring.
///
/// # Errors
/// [`ErrorKind::Membership`] where an id or a zone is not a name.
pub fn placed(ring: &BTreeMap<String, PlacedRecord>) -> Result<BTreeMap<NodeId, Placed>> {
    let bad = |why| Error::new(ErrorKind::Membership, format!("/ring cannot be used: {why}")).with_hint(REPAIR);
    ring.iter()
        .map(|(id, place)| {
            let id = NodeId::new(id).map_err(bad)?;
            let zone = place.zone.as_deref().map(Zone::new).transpose().map_err(bad)?;
            Ok((id, Placed { weight: Weight(place.weight), zone }))
        })
        .collect()
}

/// `/members/<id>`: where a member is, and whether it may be read and written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberRecord {
    /// The version of the record.
    pub v: u32,
    /// `redis://host:port` or `rediss://host:port`.
    pub addr: String,
    /// `up`, `down` or `joining`.
    pub state: String,
    /// The life of its data.
    #[serde(rename = "gen")]
    pub generation: u64,
    /// The process that holds that data.
    pub run_id: String,
    /// Whether a member that is down is known to answer nobody any more.
    #[serde(default)]
    pub closed: bool,
    /// Why it is in this state, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who put it there, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When, in Unix milliseconds, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// The epoch with which it ceased to be up; `None` while it is up, or where nobody knows. Set by whatever changes the
    /// ring, not by who asks for the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<i32>,
    /// Whether its server, as far as is known, still has all that it had then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub intact: bool,
    /// The process whose data an operator has accepted, whatever is missing in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<String>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl MemberRecord {
    /// Reads a record.
    ///
    /// # Errors
    /// What is wrong with it, as a clause for people: such a member counts as down and keeps its place.
    pub fn parse(data: &[u8]) -> Result<MemberRecord, String> {
        version(data).map_err(|why| format!("its record {why}"))?;
        let record: MemberRecord = serde_json::from_slice(data).map_err(|why| unreadable("its record", &why))?;
        if State::parse(&record.state).is_none() {
            return Err(format!("its record has the state {:?}, which is not known", shortened(&record.state)));
        }
        if record.run_id.is_empty() {
            return Err("its record names no run_id".to_owned());
        }
        record.addr.parse::<Address>().map_err(|why| format!("the address in its record cannot be used: {why}"))?;
        Ok(record)
    }

    /// Whether it is read and written. A word that is not known counts as down.
    pub fn state(&self) -> State {
        State::parse(&self.state).unwrap_or(State::Down)
    }

    /// Whether its data is whole as of now, while it is up, or as of when it ceased to be.
    pub fn is_intact(&self) -> bool {
        self.state() == State::Up || self.intact
    }

    /// The record as it is written with the epoch after this one, in the place of another one.
    pub(crate) fn in_place_of(self, before: Option<&MemberRecord>, epoch: Epoch) -> MemberRecord {
        let was_up = before.is_some_and(|before| before.state() == State::Up);
        match self.state() {
            State::Up => MemberRecord { left: None, intact: false, accepted: None, ..self },
            State::Down | State::Joining if was_up => MemberRecord { left: Some(epoch.0.wrapping_add(1)), ..self },
            State::Down | State::Joining => self,
        }
    }

    /// The record's meaning. Zone and weight come from the ring.
    pub fn member(&self, id: NodeId) -> Member {
        Member {
            addr: Some(self.addr.clone()),
            state: self.state(),
            generation: Generation(self.generation),
            run_id: Some(RunId::new(&self.run_id)),
            closed: self.closed,
            reason: self.reason.clone(),
            by: self.by.clone(),
            since_ms: self.since,
            left: self.left.map(Epoch),
            intact: self.intact,
            accepted: self.accepted.as_ref() == Some(&self.run_id),
            fault: None,
            ..Member::faulty(id, "")
        }
    }
}

/// `/live/<id>`: held by the agent while its server answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LiveRecord {
    /// The version of the record.
    pub v: u32,
    /// The process that answers.
    pub run_id: String,
    /// Which agent holds it: `host:pid version`.
    pub agent: String,
    /// The number of the agent's own connection, as its server's `CLIENT LIST` has it.
    #[serde(default)]
    pub client_id: u64,
    /// How far it is with filling its member, while that gains keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncRecord>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// How far the agent of a member that gains keys has come. It counts only for its step and generation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SyncRecord {
    /// The step that this is about.
    pub step: u64,
    /// The life of the member that is being filled.
    #[serde(rename = "gen")]
    pub generation: u64,
    /// Names the rings that it fills for: [`Fingerprint`](crate::placement::Fingerprint) as text.
    #[serde(default)]
    pub fingerprint: String,
    /// Keys copied so far.
    #[serde(default)]
    pub done: u64,
    /// About how many there are to be copied.
    #[serde(default)]
    pub total: u64,
    /// Bytes copied so far.
    #[serde(default)]
    pub bytes: u64,
    /// Whether all sources have been copied and only what is being written now is behind.
    #[serde(default)]
    pub caught_up: bool,
    /// Keys copied in a second, now.
    #[serde(default)]
    pub rate: u64,
    /// The sources at which the exact cut is made.
    #[serde(default)]
    pub cuts: Vec<String>,
    /// The members that were up, and the lives of their data, when it was decided which source each key is copied from.
    /// With others than these the cuts are void.
    #[serde(default)]
    pub up: BTreeMap<String, u64>,
    /// Asks for another filling: something is not known to have been copied.
    #[serde(default)]
    pub void: bool,
    /// What keeps it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// `/lead`: who leads the moves of the ring. Advice alone: whoever changes the ring does so at the epoch that they have
/// seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeadRecord {
    /// The version of the record.
    pub v: u32,
    /// The member whose agent it is.
    pub id: String,
    /// Which agent: `host:pid version`.
    pub agent: String,
    /// Fields that this version does not know.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl LiveRecord {
    /// Reads a record.
    ///
    /// # Errors
    /// What is wrong with it, as a clause for people.
    pub fn parse(data: &[u8]) -> Result<LiveRecord, String> {
        version(data)?;
        serde_json::from_slice(data).map_err(|why| unreadable("it", &why))
    }
}

impl LeadRecord {
    /// Reads a record.
    ///
    /// # Errors
    /// What is wrong with it, as a clause for people.
    pub fn parse(data: &[u8]) -> Result<LeadRecord, String> {
        version(data)?;
        serde_json::from_slice(data).map_err(|why| unreadable("it", &why))
    }
}

/// A record as ZooKeeper keeps it.
pub(crate) fn bytes(record: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(record)
        .map_err(|why| Error::new(ErrorKind::Membership, "a record cannot be written as JSON").with_source(why))
}

const UPGRADE: &str = "it was written by a newer redis-ring: use one that knows it here as well";
const REPAIR: &str = "somebody wrote it by hand: `redis-ring status` shows the ring's records";

fn check_version(path: &str, data: &[u8]) -> Result<()> {
    match version(data) {
        Ok(()) => Ok(()),
        Err(why) => {
            let hint = if why.contains("version") { UPGRADE } else { REPAIR };
            Err(Error::new(ErrorKind::Membership, format!("{path} {why}")).with_hint(hint))
        }
    }
}

/// Looks at the version alone, since a newer record may have none of the fields that are known.
fn version(data: &[u8]) -> Result<(), String> {
    #[derive(Deserialize)]
    struct Version {
        v: Value,
    }
    let Version { v } = serde_json::from_slice(data).map_err(|why| unreadable("", &why).trim_start().to_owned())?;
    if v.as_u64() == Some(u64::from(VERSION)) {
        Ok(())
    } else {
        Err(format!("is of version {}, and only {VERSION} is known", shortened(&v.to_string())))
    }
}

fn read<T: for<'a> Deserialize<'a>>(path: &str, data: &[u8]) -> Result<T> {
    serde_json::from_slice(data)
        .map_err(|why| Error::new(ErrorKind::Membership, unreadable(path, &why)).with_hint(REPAIR))
}

/// serde_json's own text may repeat what stands in the record, and that may be anything.
fn unreadable(what: &str, why: &serde_json::Error) -> String {
    let problem = match why.classify() {
        serde_json::error::Category::Io => "cannot be read",
        serde_json::error::Category::Syntax => "is not JSON",
        serde_json::error::Category::Data => "lacks a field or has one of the wrong type",
        serde_json::error::Category::Eof => "is cut short",
    };
    format!("{what} {problem} (line {}, column {})", why.line(), why.column())
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
