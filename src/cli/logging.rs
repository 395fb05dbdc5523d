//! Events of the library on standard error.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::{Error, ErrorKind, Result};

/// How events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts writing events: what `RUST_LOG` says, else what `default` says, else none.
///
/// # Errors
/// `Invalid` for a `RUST_LOG` that makes no sense.
pub(super) fn start(format: LogFormat, default: Option<&str>) -> Result<()> {
    let wanted = std::env::var("RUST_LOG").ok().filter(|text| !text.is_empty());
    let Some(wanted) = wanted.as_deref().or(default) else { return Ok(()) };
    let filter = EnvFilter::try_new(wanted).map_err(|error| {
        Error::new(ErrorKind::Invalid, "RUST_LOG cannot be understood")
            .with_hint("it is a level, or target=level and commas, as in info,redis_ring=debug")
            .with_source(error)
    })?;
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour);
    // Only a second call in one process could fail, and then the first one's choice stands.
    let _ = match format {
        LogFormat::Text => subscriber.try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
    Ok(())
}
