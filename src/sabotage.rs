//! Promises broken on purpose, to see the tests that guard them turn red.
//!
//! A test that cannot fail proves nothing. So the chaos harness runs once more with one ingredient of the protocol taken out, and has to
//! find what goes wrong. `REDIS_RING_SABOTAGE` names the ingredient, for a process and those it starts; it is read once. Only builds
//! with `debug_assertions` know it: in a release build [`is`] is `false` for the compiler, and nothing is left of it.
//!
//! | ingredient | where it is asked |
//! |---|---|
//! | [`Sabotage::NoFence`] | whoever finds that an owner missed a write, before it changes the record: the write is acknowledged with the miss |
//! | [`Sabotage::TrustReturning`] | where a client decides from the gate, generation, `run_id` or state whether a member may be asked: any that answers may, so nil is accepted from one that returns |
//! | [`Sabotage::AckOne`] | where the owners of a write are settled: the copies get nothing, and nobody counts that as a miss |
//! | [`Sabotage::NoFill`] | the agent of a member that returns, before it copies: it reports "caught up" and each cut at once, with what it has |

use std::sync::LazyLock;

/// An ingredient that is taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sabotage {
    /// `no-fence`: who missed a write is not fenced before the write is acknowledged.
    NoFence,
    /// `trust-returning`: a member that has lost its data is asked like any other.
    TrustReturning,
    /// `ack-one`: a write is acknowledged with one copy, and no other is made.
    AckOne,
    /// `no-fill`: a member that returns becomes `up` with what it has.
    NoFill,
}

/// Whether this ingredient is taken out of this process. Never, in a release build.
#[inline]
pub(crate) fn is(which: Sabotage) -> bool {
    cfg!(debug_assertions) && *NAMED == Some(which)
}

static NAMED: LazyLock<Option<Sabotage>> = LazyLock::new(|| {
    let name = std::env::var("REDIS_RING_SABOTAGE").ok()?;
    let named = match name.as_str() {
        "no-fence" => Sabotage::NoFence,
        "trust-returning" => Sabotage::TrustReturning,
        "ack-one" => Sabotage::AckOne,
        "no-fill" => Sabotage::NoFill,
        _ => {
            tracing::error!(name, "REDIS_RING_SABOTAGE names nothing that can be taken out");
            return None;
        }
    };
    tracing::warn!(name, "a promise is broken on purpose");
    Some(named)
});
