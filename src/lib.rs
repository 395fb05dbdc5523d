//! Many plain Redis servers acting as one.

#[cfg(feature = "zookeeper")]
pub mod agent;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
mod client;
pub mod command;
mod error;
mod exec;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod local;
pub mod membership;
mod node;
pub mod placement;
pub mod policy;

pub use client::{RingClient, RingClientBuilder, RingConnection, TopologyWatch};
pub use error::{Error, ErrorKind, Outcome, Result, Retry};
pub use exec::Stats;
