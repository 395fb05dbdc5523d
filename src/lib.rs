//! Many plain Redis servers acting as one.

pub mod command;
pub mod placement;
