//! Many plain Redis servers acting as one.

pub mod command;
mod error;
pub mod placement;
pub mod policy;

pub use error::{Error, ErrorKind, Outcome, Result, Retry};
