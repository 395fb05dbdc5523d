//! The `redis-ring` command.
fn main() {}
