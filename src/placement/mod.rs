//! From a key to its owners: hashing, the ring, and the topology that clients share.
//!
//! Nothing here is asynchronous, does I/O or reads a clock, so all of it can be tested without a server. The
//! hashing and the ring are a wire contract named [`RING_NAME`]: a program in any language that follows it
//! places every key on the same members.

mod hash;
mod id;
mod member;
mod ring;
mod sources;
mod topology;

pub use hash::{RING_NAME, Token, crc32, mix, point, tag};
pub use id::{InvalidName, NodeId, Zone};
pub use member::{Epoch, Generation, Member, RunId, State, Step};
pub(crate) use ring::MAX_COPIES;
pub use ring::{MemberIndex, Placed, PlacementError, Range, Ring, Share, Weight};
pub use sources::{Lack, Sources};
pub use topology::{Config, Fingerprint, Location, Parts, Phase, Topology};
