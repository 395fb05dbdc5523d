//! `redis-ring completions`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::Cli;
use super::context::Context;
use super::exit::{Failure, Verdict};

/// Print a completion script for a shell
///
/// For example: `redis-ring completions bash > /etc/bash_completion.d/redis-ring`, or
/// `source <(redis-ring completions zsh)`.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, context: &Context) -> Result<Verdict, Failure> {
        // Into memory first: clap_complete ends the process when the pipe is closed.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "redis-ring", &mut script);
        context.out.raw(&script)?;
        Ok(Verdict::Fine)
    }
}
