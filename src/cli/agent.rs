//! `redis-ring agent`.

use clap::Args;

use super::context::Context;
use super::exit::{Failure, Verdict};

/// Stand beside one Redis server: register it in the ring and watch its health
#[derive(Debug, Args)]
pub(super) struct Agent {}

impl Agent {
    pub(super) async fn run(self, _: &Context) -> Result<Verdict, Failure> {
        Ok(Verdict::Fine)
    }
}
