//! Moves of the ring: who leads them, the barrier between two phases, and the filling of a member that gains keys.

mod barrier;
mod cutting;
mod filling;
mod lead;
mod plan;

use tokio::sync::watch;

pub(super) use filling::Filling;
pub(super) use lead::Lead;
pub(super) use plan::in_use;

use super::options::AgentOptions;
use super::server::Connector;
use crate::membership::records::{LeadRecord, SyncRecord, VERSION};
use barrier::Barrier;

/// One agent's part in leading. `agent` is `host:pid version`, `by` is `agent host:pid`.
pub(super) fn lead(options: &AgentOptions, connector: &Connector, agent: &str, by: &str) -> Lead {
    let record = LeadRecord {
        v: VERSION,
        id: options.id.as_str().to_owned(),
        agent: agent.to_owned(),
        rest: serde_json::Map::new(),
    };
    Lead::new(record, by, barrier(options, connector))
}

/// One agent's part as a gainer, and what it reports.
pub(super) fn filling(options: &AgentOptions, connector: &Connector) -> (Filling, watch::Receiver<Option<SyncRecord>>) {
    let (report, seen) = watch::channel(None);
    (Filling::new(options.clone(), connector.clone(), barrier(options, connector), report), seen)
}

fn barrier(options: &AgentOptions, connector: &Connector) -> Barrier {
    Barrier::new(connector.clone(), &options.id, options.health.connect)
}
