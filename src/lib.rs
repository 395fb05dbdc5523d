//! Many plain Redis servers acting as one.

#[cfg(feature = "zookeeper")]
pub mod agent;
pub mod command;
mod error;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod local;
pub mod membership;
pub mod placement;
pub mod policy;

pub use error::{Error, ErrorKind, Outcome, Result, Retry};
