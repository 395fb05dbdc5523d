//! `redis-ring exec`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use clap::Args;
use redis::aio::ConnectionLike as _;

use super::context::Context;
use super::exit::{Failure, Verdict};
use super::output::Format;
use super::reply;
use crate::placement::NodeId;
use crate::{Error, ErrorKind};

/// Run one command through the ring, as a service would
///
/// All copies are written, and another owner is read when the primary does not answer. Prints as `redis-cli -3` does: with types on a terminal, raw when piped; --raw and --no-raw decide otherwise. With
/// `-o json` or `-o yaml`, the reply as a document, where bytes that are not UTF-8 are {"base64": …}. Ends with 1 when
/// a server answered with an error.
#[derive(Debug, Args)]
pub(super) struct Exec {
    /// Ask this member alone: INFO, CONFIG, CLIENT and the like, and reads of what it holds
    #[arg(long, value_name = "ID")]
    on: Option<NodeId>,

    /// Print without types, also on a terminal
    #[arg(long, conflicts_with = "no_raw")]
    raw: bool,

    /// Print with types, also when piped
    #[arg(long)]
    no_raw: bool,

    /// The command and its arguments, as in: exec -- SET key value EX 100
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Exec {
    pub(super) async fn run(self, context: &Context) -> Result<Verdict, Failure> {
        context.log_if_asked()?;
        let mut cmd = redis::Cmd::new();
        for argument in self.command {
            cmd.arg(argument.into_vec());
        }
        let client = context.client()?.open().await?;
        let value = match &self.on {
            Some(id) => client.on(id)?.req_packed_command(&cmd).await,
            None => client.connection().req_packed_command(&cmd).await,
        };
        let stats = client.stats();
        let value = value.map_err(own)?;
        let out = context.out;
        match out.format() {
            Format::Json | Format::Yaml => out.result(&reply::to_json(&value), String::new)?,
            Format::Table | Format::Wide => {
                let raw = self.raw || (!self.no_raw && !out.is_terminal());
                out.raw(&if raw { reply::raw(&value) } else { reply::formatted(&value) })?;
            }
        }
        let notes = [
            (stats.failed_over_reads, "another owner than the first answered"),
            (stats.degraded_writes, "fewer members have this write than the ring has copies: an owner is not up"),
            (stats.missed_writes, "an owner that is up missed this write"),
            (stats.differing_replies, "the copies answered differently from the primary"),
        ];
        for (_, note) in notes.iter().filter(|(times, _)| *times > 0) {
            out.note(&format!("note: {note}; `redis-ring status` and `locate --probe` show more"));
        }
        Ok(Verdict::of(!reply::is_error(&value)))
    }
}

/// The ring's own error where there is one; an error reply of a server is a value and never comes here.
fn own(error: redis::RedisError) -> Error {
    match Error::of_redis(&error) {
        Some(own) => own.clone(),
        None => {
            let kind = if error.is_io_error() { ErrorKind::Disconnected } else { ErrorKind::Server };
            Error::new(kind, "the command failed").with_source(error)
        }
    }
}
