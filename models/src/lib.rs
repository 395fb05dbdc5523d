//! The protocol of redis-ring as models: small worlds whose every state a checker looks at.

mod agent;
/// Scenarios and ways by chance.
pub mod chance;
/// The promises.
pub mod check;
mod client;
mod faults;
mod mover;
/// Walking through a model.
pub mod run;
/// Records, phases and views.
pub mod topology;
/// Keys and commands.
pub mod value;
/// One key and everybody around it.
pub mod world;
