//! The keys that the ring itself keeps on a server.

/// All of them. They are hidden from callers, are no keys of the ring when it is counted, and stay when it is flushed.
pub const OWN_KEYS: [&str; 7] = [OWN_FLUSHES, OWN_AHEAD, OWN_GATE, OWN_TOPOLOGY, OWN_SUSPECTS, OWN_CUT, OWN_ROOM];

/// The gate: a hash that says for which life of the data and up to which step the server may be used.
pub const OWN_GATE: &str = "__rr:gate";

/// The ring's records, for clients that meet a newer gate while ZooKeeper cannot be reached.
pub const OWN_TOPOLOGY: &str = "__rr:topology";

/// A list of keys whose copies may differ, with this server as their primary.
pub const OWN_SUSPECTS: &str = "__rr:suspects";

/// The lock of whoever makes a cut here; it expires.
pub const OWN_CUT: &str = "__rr:cut";

/// The server's `maxmemory` as it was before its agent has raised it for a move, and what it was raised to.
pub const OWN_ROOM: &str = "__rr:maxmemory";

/// A hash with one field, the `run_id` of the server's process: how often the ring has flushed it in this life. The
/// member's agent takes every other flush for a loss of data.
pub const OWN_FLUSHES: &str = "__rr:flushes";

/// A hash of `id@run_id`: the processes of members that some client knows to have missed a write which this server may have.
/// Nobody heals a key here from one of them.
pub const OWN_AHEAD: &str = "__rr:ahead";

/// There within a script alone, which tries out on it what it is about to do.
pub(super) const SCRATCH: &str = "__rr:scratch";
