//! The `redis-ring` command: a thin shell over the library, one file a verb.
//!
//! A verb is a struct of clap's with a `run`, one row in `Verb`, and one in `run`. What they share: the
//! `Context` with the ring and the way to print, `records` (what ZooKeeper has), `progress` (how far a move is) and `probe` (what the members say
//! themselves).

mod agent;
mod completions;
mod confirm;
mod context;
mod demo;
mod digest;
mod exec;
mod exit;
mod human;
mod init;
mod locate;
mod logging;
mod output;
mod probe;
mod progress;
mod records;
mod reply;
mod ring;
mod status;
mod unfence;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use context::{Context, Global};
use exit::{Failure, Verdict};

/// Many plain Redis servers as one: looks at a ring, founds it, runs commands on it
///
/// A ring is named by --ring or REDIS_RING_URL: `zk://host:2181,host:2181/root` where its members register in
/// ZooKeeper, or `static://id=host:6379,id=host:6379` for a list that never changes.
///
/// Data goes to standard output, notes and errors to standard error.
#[derive(Debug, Parser)]
#[command(name = "redis-ring", version, max_term_width = 110, after_long_help = exit::HELP, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Status(status::Status),
    Ring(ring::Ring),
    Locate(locate::Locate),
    Watch(watch::Watch),
    Exec(exec::Exec),
    Init(init::Init),
    Agent(agent::Agent),
    Unfence(unfence::Unfence),
    Demo(demo::Demo),
    Completions(completions::Completions),
}

/// Runs the command of this process's arguments.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let Cli { global, verb } = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error, &arguments),
    };
    let context = Context::new(global);
    let failed = |failure: Failure| exit::report(&failure, &context);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(Failure::from(error)),
    };
    let code = match runtime.block_on(run(verb, &context)) {
        Ok(verdict) => verdict.code(),
        Err(failure) => failed(failure),
    };
    // Nothing that matters still runs; something that hangs in a system call must not keep the shell waiting.
    runtime.shutdown_background();
    code
}

async fn run(verb: Verb, context: &Context) -> Result<Verdict, Failure> {
    match verb {
        Verb::Status(verb) => verb.run(context).await,
        Verb::Ring(verb) => verb.run(context).await,
        Verb::Locate(verb) => verb.run(context).await,
        Verb::Watch(verb) => verb.run(context).await,
        Verb::Exec(verb) => verb.run(context).await,
        Verb::Init(verb) => verb.run(context).await,
        Verb::Agent(verb) => verb.run(context).await,
        Verb::Unfence(verb) => verb.run(context).await,
        Verb::Demo(verb) => verb.run(context).await,
        Verb::Completions(verb) => verb.run(context),
    }
}
