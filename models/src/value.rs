//! What a key holds, and what commands do to it.

/// The value that the key has in the beginning, as if a write of this number had been acknowledged long ago.
pub const BASE: u8 = 9;

/// The effects that a key holds, oldest first, each as the number of the write that it is of.
///
/// A counter is as long as it is high and a list has one element for each push, so this one form says for every kind of
/// value whose effect is there, is missing, or is there twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Value {
    len: u8,
    items: [u8; 6],
}

impl Value {
    /// What the key holds before anybody writes.
    pub fn base() -> Self {
        let mut value = Self::default();
        value.push(BASE);
        value
    }

    /// The effects, oldest first.
    pub fn items(&self) -> &[u8] {
        &self.items[..usize::from(self.len)]
    }

    /// Whether the effect of this write is in the value.
    pub fn contains(&self, write: u8) -> bool {
        self.items().contains(&write)
    }

    /// Whether some write has had its effect twice.
    pub fn repeats(&self) -> bool {
        let items = self.items();
        (1..items.len()).any(|at| items[..at].contains(&items[at]))
    }

    fn push(&mut self, write: u8) {
        // A model that repeats a write without end must not run out of room: the repetition has been seen by then.
        if let Some(slot) = self.items.get_mut(usize::from(self.len)) {
            *slot = write;
            self.len += 1;
        }
    }

    fn pop(&mut self) -> Option<u8> {
        let first = *self.items().first()?;
        self.items.rotate_left(1);
        self.len -= 1;
        self.items[usize::from(self.len)..].fill(0);
        Some(first)
    }

    /// Executes the command of write number `write`.
    pub fn execute(&mut self, command: Command, write: u8) -> Reply {
        match command {
            Command::Set => {
                *self = Self::default();
                self.push(write);
                Reply::Ok
            }
            Command::Del => {
                let there = self.len.min(1);
                *self = Self::default();
                Reply::Number(there)
            }
            Command::SetNx if self.len > 0 => Reply::Nil,
            Command::SetNx => {
                self.push(write);
                Reply::Ok
            }
            Command::Incr => {
                self.push(write);
                Reply::Number(self.len)
            }
            Command::Pop => self.pop().map_or(Reply::Nil, Reply::Element),
        }
    }
}

/// The commands that stand for all others: one of each way in which an effect depends on what is there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Command {
    /// Absolute.
    Set,
    /// Absolute, and leaves nothing.
    Del,
    /// Depends on what is there; RPUSH is the same, its reply too is the length.
    Incr,
    /// Conditional: a lock.
    SetNx,
    /// Takes the oldest away: LPOP.
    Pop,
}

impl Command {
    /// Whether the effect is the same wherever the command runs, so that it may go to all owners at once and be repeated.
    pub fn is_absolute(self) -> bool {
        matches!(self, Self::Set | Self::Del)
    }
}

/// What a server answers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reply {
    /// Done.
    Ok,
    /// Nothing was written.
    Nil,
    /// A length, or how many there were.
    Number(u8),
    /// What was taken.
    Element(u8),
}
