//! Many plain Redis servers acting as one.

pub mod command;
mod error;
mod exec;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod local;
mod node;
pub mod placement;
pub mod policy;

pub use error::{Error, ErrorKind, Outcome, Result, Retry};
