//! Who answers for which keys when all members are asked.

use std::sync::Arc;

use crc32fast::Hasher;
use futures_util::future::join_all;
use redis::{Cmd, Value};

use super::super::reply::{Verdict, judge};
use super::super::{Core, Snapshot};
use crate::command::RESERVED;
use crate::error::{Error, ErrorKind, Retry};
use crate::node::Link;
use crate::placement::{MemberIndex, Token};

/// The members of the serving ring that can be asked now.
///
/// A member answers for the keys whose *first usable owner* it is, so each key is met exactly once.
pub(in crate::exec) struct View<'s> {
    snapshot: &'s Snapshot,
    /// In the order of the topology's members.
    members: Vec<Option<Usable>>,
}

struct Usable {
    link: Arc<Link>,
    /// It is known to lack a write, and so answers only for keys that nobody else can answer for.
    missed: bool,
}

/// Who did not answer, and why.
pub(in crate::exec) type Silent = Vec<(MemberIndex, String)>;

impl<'s> View<'s> {
    pub(in crate::exec) fn of(snapshot: &'s Snapshot) -> View<'s> {
        let mut members: Vec<Option<Usable>> = snapshot.seats.iter().map(|_| None).collect();
        for (index, ..) in snapshot.topology.serving().members() {
            let seat = snapshot.seat(index);
            let link = seat.link().filter(|link| seat.up && link.is_open());
            members[index.get()] = link.map(|link| Usable { link, missed: seat.node.has_missed_a_write() });
        }
        View { snapshot, members }
    }

    pub(in crate::exec) fn snapshot(&self) -> &'s Snapshot {
        self.snapshot
    }

    /// The connections, with the members' places.
    pub(in crate::exec) fn links(&self) -> impl Iterator<Item = (MemberIndex, &Arc<Link>)> {
        let indices = self.snapshot.topology.serving().members().map(|(index, ..)| index);
        indices.filter_map(|index| Some((index, self.link(index)?)))
    }

    pub(in crate::exec) fn link(&self, index: MemberIndex) -> Option<&Arc<Link>> {
        self.members[index.get()].as_ref().map(|usable| &usable.link)
    }

    /// Who answers for a token; `None` if nobody can.
    pub(in crate::exec) fn first_owner(&self, token: Token) -> Option<MemberIndex> {
        self.first_of(self.snapshot.topology.serving().owners(token))
    }

    fn first_of(&self, owners: &[MemberIndex]) -> Option<MemberIndex> {
        let first = |missed: bool| {
            let is = |owner: &&MemberIndex| self.members[owner.get()].as_ref().is_some_and(|it| it.missed == missed);
            owners.iter().find(is).copied()
        };
        first(false).or_else(|| first(true))
    }

    /// Whether this member answers for a key that it has named.
    pub(in crate::exec) fn shows(&self, member: MemberIndex, key: &Value) -> bool {
        match key {
            Value::BulkString(key) => {
                !key.starts_with(RESERVED) && self.first_owner(Token::of_key(key)) == Some(member)
            }
            _ => false,
        }
    }

    /// Names this view: another one has another mark, but for one chance in four thousand million.
    ///
    /// It covers all that decides who answers for a key (the ring's members, who of them can be asked, who is known to
    /// lack a write) and which data answers (the processes and the generations).
    pub(in crate::exec) fn mark(&self) -> u32 {
        let ring = self.snapshot.topology.serving();
        let mut hash = Hasher::new();
        hash.update(&self.snapshot.topology.config().vnodes.to_le_bytes());
        hash.update(&(ring.copies() as u64).to_le_bytes());
        for (index, id, placed) in ring.members() {
            let (run_id, state) = match &self.members[index.get()] {
                Some(usable) => (usable.link.run_id().as_str(), if usable.missed { b"m" } else { b"u" }),
                None => ("", b"-"),
            };
            let zone = placed.zone.as_ref().map_or("", |zone| zone.as_str());
            // Names hold no line end.
            for text in [id.as_str().as_bytes(), zone.as_bytes(), run_id.as_bytes(), state] {
                hash.update(text);
                hash.update(b"\n");
            }
            hash.update(&placed.weight.0.to_le_bytes());
            hash.update(&self.snapshot.topology.member(index).generation.0.to_le_bytes());
        }
        hash.finalize()
    }

    /// Whether all members of the ring can be asked, and have all writes as far as this process knows.
    pub(in crate::exec) fn is_whole(&self) -> bool {
        let mut members = self.snapshot.topology.serving().members();
        members.all(|(index, ..)| self.members[index.get()].as_ref().is_some_and(|usable| !usable.missed))
    }

    /// The fewest owners that a key has which can be asked and have missed nothing.
    pub(in crate::exec) fn fewest_owners(&self) -> usize {
        let ring = self.snapshot.topology.serving();
        if self.is_whole() {
            return ring.copies();
        }
        let whole = |owner: &&MemberIndex| self.members[owner.get()].as_ref().is_some_and(|usable| !usable.missed);
        ring.ranges().iter().map(|range| range.owners.iter().filter(whole).count()).min().unwrap_or(0)
    }

    /// # Errors
    /// `NoOwner` where some keys have no owner that can be asked: an answer without them would be wrong.
    pub(in crate::exec) fn complete(&self, silent: &Silent) -> Result<(), Error> {
        if self.is_whole()
            || self.snapshot.topology.serving().ranges().iter().all(|it| self.first_of(it.owners).is_some())
        {
            return Ok(());
        }
        Err(self.incomplete(silent))
    }

    #[cold]
    pub(in crate::exec) fn incomplete(&self, silent: &Silent) -> Error {
        let ring = self.snapshot.topology.serving();
        let missing = ring.members().filter(|(index, ..)| self.members[index.get()].is_none());
        let told: Vec<String> =
            missing.map(|(index, id, _)| format!("{id}: {}", trouble(self.snapshot, index, silent))).collect();
        Error::new(ErrorKind::NoOwner, format!("some keys have no owner that can be asked now: {}", told.join("; ")))
            .with_retry(Retry::Later)
            .with_hint("`redis-ring status` shows the members; one owner of each key must be up and answer")
    }

    /// A member whose turn it is does not answer, and is not known to be gone.
    #[cold]
    pub(in crate::exec) fn stuck(&self, command: &str, member: MemberIndex, why: &str) -> Error {
        let id = &self.snapshot.topology.member(member).id;
        Error::new(ErrorKind::NoOwner, format!("{command} cannot go on now: {id}: {why}"))
            .with_retry(Retry::Later)
            .with_hint("send it again as it is, a cursor included: it goes on, without the member when that is gone")
    }

    /// Asks all members at once, and leaves those that do not answer out of the view.
    pub(in crate::exec) async fn ask(&mut self, core: &Core, cmd: &Cmd) -> (Vec<(MemberIndex, Value)>, Silent) {
        let asked = self.links().map(|(index, link)| async move { (index, link.read(cmd, core.read_ms).await) });
        let mut answers = Vec::new();
        let mut silent = Silent::new();
        for (index, reply) in join_all(asked).await {
            let node = &self.snapshot.seat(index).node;
            let why = match reply {
                Ok(value) if judge(&value) == Verdict::Answer => {
                    node.succeeded();
                    answers.push((index, value));
                    continue;
                }
                Ok(Value::ServerError(error)) => format!("it says {}", error.code()),
                Ok(_) => "it cannot serve now".to_owned(),
                Err(fault) => fault.to_string(),
            };
            node.failed();
            self.members[index.get()] = None;
            silent.push((index, why));
        }
        (answers, silent)
    }
}

/// Why a member cannot be asked.
pub(in crate::exec) fn trouble(snapshot: &Snapshot, index: MemberIndex, silent: &Silent) -> String {
    let (seat, member) = (snapshot.seat(index), snapshot.topology.member(index));
    match silent.iter().rev().find(|(at, _)| *at == index) {
        Some((_, why)) => why.clone(),
        None if !seat.up => member.fault.clone().unwrap_or_else(|| member.state.to_string()),
        None => seat.node.trouble().map_or_else(|| "not connected yet".to_owned(), |error| error.to_string()),
    }
}
