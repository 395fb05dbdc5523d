use std::fmt;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a local server could not be started or steered.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// A program or file that the server needs is not on this machine.
    Missing {
        /// What was looked for.
        what: &'static str,
        /// How to get it, as a sentence without its full stop.
        install: &'static str,
    },
    /// The operating system refused something.
    Io {
        /// What was being done, as in "cannot *start redis-server*".
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// The server ended before it was ready.
    Exited {
        /// The server's name.
        program: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// The last lines it wrote.
        log: String,
    },
    /// The server runs, and did not do in time what was asked of it.
    Timeout {
        /// The server's name.
        program: &'static str,
        /// What it did not do, as in "did not *answer*".
        what: &'static str,
        /// How long it was given.
        waited: Duration,
        /// The last lines it wrote.
        log: String,
    },
    /// The server was killed or stopped before, and has to be restarted first.
    NotRunning {
        /// The server's name.
        program: &'static str,
    },
}

impl Error {
    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }

    /// What to do about it, where that is known.
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Missing { install, .. } => Some(install),
            Self::Io { .. }
            | Self::Exited { .. }
            | Self::Timeout { .. }
            | Self::NotRunning { .. } => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { what, install } => write!(f, "{what} not found: {install}"),
            Self::Io { doing, .. } => write!(f, "cannot {doing}"),
            Self::Exited {
                program,
                status,
                log,
            } => {
                write!(
                    f,
                    "{program} ended before it was ready ({status}){}",
                    Tail(log)
                )
            }
            Self::Timeout {
                program,
                what,
                waited,
                log,
            } => {
                write!(f, "{program} did not {what} within {waited:?}{}", Tail(log))
            }
            Self::NotRunning { program } => write!(f, "{program} is not running"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io { source, .. } => Some(source),
            Self::Missing { .. }
            | Self::Exited { .. }
            | Self::Timeout { .. }
            | Self::NotRunning { .. } => None,
        }
    }
}

struct Tail<'a>(&'a str);

impl fmt::Display for Tail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, "; its last lines:\n{}", self.0)
        }
    }
}
