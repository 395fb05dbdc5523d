//! Many plain Redis servers acting as one.

pub mod command;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod local;
pub mod placement;
