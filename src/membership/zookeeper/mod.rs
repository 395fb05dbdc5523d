//! Membership in ZooKeeper: the session, the snapshot read, and following what changes.

mod backoff;
mod follow;
mod read;
mod session;

pub(crate) use backoff::Backoff;
pub(crate) use follow::open;
pub(crate) use read::{Cache, Watch, read, sync};
pub(crate) use session::{Session, Target, is_transient};
