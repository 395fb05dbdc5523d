//! What ZooKeeper says of the ring, as far as one key is concerned.

/// How many members there can be; a member is its index.
pub const MEMBERS: usize = 4;

/// Where the ring stands in a move.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Phase {
    /// Nothing moves.
    Still,
    /// The gainers are given what they will own.
    Filling,
    /// The gainers have all but the last writes, and writers look at the gates.
    Syncing,
    /// The gainers serve; the owners of before are written still.
    Retiring,
}

/// A member's state in its record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Standing {
    /// Not a member.
    Absent,
    /// Read and written.
    Up,
    /// Neither.
    Down,
    /// Gains, and is not read.
    Joining,
}

/// A member's record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Record {
    /// Its state.
    pub standing: Standing,
    /// `run_id`: which life of the process the record is about.
    pub life: u8,
    /// `gen`: which life of the data.
    pub generation: u8,
}

/// One version of `/ring` and of the members' records. Two are equal if and only if they are of the same epoch, since a step
/// or a generation only rises, and within one generation a member goes only from up to down.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Topology {
    /// Rises by one at every change of phase.
    pub step: u8,
    /// Where the ring stands.
    pub phase: Phase,
    /// Whether what was `next` serves.
    pub flipped: bool,
    /// The records.
    pub members: [Record; MEMBERS],
}

impl Topology {
    /// Of nobody: fills what is not in use.
    pub const NONE: Self = Self {
        step: 0,
        phase: Phase::Still,
        flipped: false,
        members: [Record { standing: Standing::Absent, life: 0, generation: 0 }; MEMBERS],
    };

    /// Whether the member is read and written.
    pub fn is_up(&self, member: usize) -> bool {
        self.members[member].standing == Standing::Up
    }

    /// Whether the member is neither read nor written.
    pub fn is_down(&self, member: usize) -> bool {
        self.members[member].standing == Standing::Down
    }

    /// Whether the member is given data.
    pub fn is_joining(&self, member: usize) -> bool {
        self.members[member].standing == Standing::Joining
    }

    /// Whether somebody counts on the member: what the mover calls a server in use.
    pub fn is_used(&self, member: usize) -> bool {
        self.is_up(member) || self.is_joining(member)
    }
}

/// The topologies before the newest that some live client may still hold, oldest first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Views {
    len: u8,
    views: [Topology; Views::ROOM],
}

impl Views {
    /// More than a barrier leaves behind, and what one fault and a whole move add.
    pub const ROOM: usize = 8;

    /// None.
    pub fn none() -> Self {
        Self { len: 0, views: [Topology::NONE; Self::ROOM] }
    }

    /// What they are, oldest first.
    pub fn all(&self) -> &[Topology] {
        &self.views[..usize::from(self.len)]
    }

    /// Adds what was the newest until now; `false` where there is no room, and then the model goes no further.
    pub fn push(&mut self, view: Topology) -> bool {
        match self.views.get_mut(usize::from(self.len)) {
            Some(slot) => {
                *slot = view;
                self.len += 1;
                true
            }
            None => false,
        }
    }

    /// Keeps those that `keep` is true of.
    pub fn retain(&mut self, keep: impl Fn(&Topology) -> bool) {
        let mut kept = Self::none();
        for view in self.all() {
            if keep(view) {
                kept.push(*view);
            }
        }
        *self = kept;
    }
}
