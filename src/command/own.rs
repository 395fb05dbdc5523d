//! The keys that the ring itself keeps on a server.

/// All of them. They are hidden from callers, are no keys of the ring when it is counted, and stay when it is flushed.
pub const OWN_KEYS: [&str; 6] = [OWN_FLUSHES, OWN_AHEAD, OWN_GATE, "__rr:topology", "__rr:suspects", OWN_CUT];

/// A hash with one field, the `run_id` of the server's process: how often the ring has flushed it in this life. The
/// member's agent takes every other flush for a loss of data.
pub const OWN_FLUSHES: &str = "__rr:flushes";

/// A hash of `id@run_id`: the processes of members that some client knows to have missed a write which this server may have.
/// Nobody heals a key here from one of them.
pub const OWN_AHEAD: &str = "__rr:ahead";

/// A hash that says for which generation and step the server may be used, and, in a field `cut:<id>` each, by whom its keys have
/// been copied up to which step.
pub const OWN_GATE: &str = "__rr:gate";

/// The lock of whoever holds up the server's writers: two at a time would end each other's pauses.
pub const OWN_CUT: &str = "__rr:cut";

/// There within a script alone, which tries out on it what it is about to do.
pub(super) const SCRATCH: &str = "__rr:scratch";
