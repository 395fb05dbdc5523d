//! How the command ends: one exit code for each kind of error, and what is said about it.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use serde_json::json;

use super::context::Context;
use super::output::Format;
use crate::{Error, ErrorKind};

/// The end of `--help`: what scripts need to know.
pub(super) const HELP: &str = "\
Exit codes:
  0  fine
  1  the ring is degraded or being founded, copies differ, or a server answered with an error
  2  usage: an argument, an option, or a command that the ring does not run
  3  unreachable: ZooKeeper or the servers do not answer or do not let us in, or there is no ring

With `-o json`, errors are one object on standard error: {\"error\", \"kind\", \"hint\"}.

Environment:
  REDIS_RING_URL        the ring, as --ring
  REDIS_RING_PASSWORD   the password of the Redis servers
  REDIS_RING_ZK_AUTH    user:password of the ring's nodes in ZooKeeper
  RUST_LOG              what is logged to standard error, as in `debug` or `redis_ring=trace`
  NO_COLOR              no colours, whatever the terminal";

/// What a verb that did its work found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All is as it should be.
    Fine,
    /// The ring is degraded, copies differ, or a server answered with an error; it was said where.
    Degraded,
    /// It was ended by a signal before its end, and has cleaned up.
    Interrupted,
}

impl Verdict {
    pub(super) fn of(fine: bool) -> Verdict {
        if fine { Verdict::Fine } else { Verdict::Degraded }
    }

    pub(super) fn code(self) -> ExitCode {
        match self {
            Verdict::Fine => ExitCode::SUCCESS,
            Verdict::Degraded => ExitCode::from(1),
            // What shells show for a command ended by Ctrl-C.
            Verdict::Interrupted => ExitCode::from(130),
        }
    }
}

/// Why a verb did not do its work.
#[derive(Debug)]
pub(super) enum Failure {
    /// It failed, and says so.
    Error(Error),
    /// Nobody reads the output any more, as after `| head`: that is how the reader wanted it.
    Closed,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Error(error)
    }
}

impl From<std::io::Error> for Failure {
    /// What went wrong at this machine itself: standard output, a signal, the runtime.
    fn from(error: std::io::Error) -> Failure {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Failure::Closed;
        }
        Failure::Error(Error::new(ErrorKind::Invalid, "this machine refused something").with_source(error))
    }
}

/// The one mapping from what went wrong to the exit code.
fn code(kind: ErrorKind) -> u8 {
    match kind {
        ErrorKind::Founding | ErrorKind::Membership | ErrorKind::Conflict | ErrorKind::NoOwner | ErrorKind::Server => 1,
        ErrorKind::Invalid | ErrorKind::Refused => 2,
        ErrorKind::Unreachable
        | ErrorKind::NotFounded
        | ErrorKind::Denied
        | ErrorKind::Timeout
        | ErrorKind::Disconnected => 3,
    }
}

/// Says on standard error what went wrong, and returns the exit code.
pub(super) fn report(failure: &Failure, context: &Context) -> ExitCode {
    let Failure::Error(error) = failure else { return ExitCode::SUCCESS };
    let message = chain(error);
    let hint = hint(error);
    match context.out.format() {
        Format::Json => {
            say(&json!({ "error": message.join(": "), "kind": error.kind().as_str(), "hint": hint }).to_string());
        }
        Format::Table | Format::Wide | Format::Yaml => {
            let paint = context.out.stderr();
            let mut text = format!("{} {}", paint.red("error:"), message.first().map_or("", String::as_str));
            for cause in message.iter().skip(1) {
                text.push_str(&format!("\n  caused by: {cause}"));
            }
            if let Some(hint) = hint {
                text.push_str(&format!("\n{} {hint}", paint.cyan("hint:")));
            }
            say(&text);
        }
    }
    ExitCode::from(code(error.kind()))
}

/// The error and its causes, outermost first. A cause that the text before it already holds is left out.
fn chain(error: &Error) -> Vec<String> {
    let mut texts = vec![error.to_string()];
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let text = error.to_string();
        if !texts.iter().any(|before| before.contains(&text)) {
            texts.push(text);
        }
        cause = error.source();
    }
    texts
}

/// The library speaks of a client's options; here they have names.
fn hint(error: &Error) -> Option<String> {
    let options = match error.kind() {
        ErrorKind::Denied => {
            Some("here: --user and --password-file or REDIS_RING_PASSWORD for Redis, --zk-auth-file for ZooKeeper")
        }
        _ => None,
    };
    match (error.hint(), options) {
        (Some(hint), Some(options)) => Some(format!("{hint} ({options})")),
        (Some(hint), None) => Some(hint.to_owned()),
        (None, options) => options.map(str::to_owned),
    }
}

/// Prints what clap found wrong with the arguments, or the help that was asked for.
pub(super) fn usage(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    if error.use_stderr() && wants_json(arguments) {
        let text = error.render().to_string();
        let mut paragraphs = text.trim().splitn(2, "\n\n");
        let message = paragraphs.next().unwrap_or_default().trim_start_matches("error: ");
        let hint = paragraphs.next().map(|rest| rest.split_whitespace().collect::<Vec<_>>().join(" "));
        say(&json!({ "error": message, "kind": "usage", "hint": hint }).to_string());
    } else {
        // A closed pipe is the reader's wish here too.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Whether `-o json` is among arguments that could not be parsed.
fn wants_json(arguments: &[OsString]) -> bool {
    let texts: Vec<&str> =
        arguments.iter().filter_map(|argument| argument.to_str()).take_while(|a| *a != "--").collect();
    texts.iter().any(|text| ["-ojson", "-o=json", "--output=json"].contains(text))
        || texts.windows(2).any(|pair| ["-o", "--output"].contains(&pair[0]) && pair[1] == "json")
}

/// There is nobody left to tell when standard error cannot be written.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_that_repeat_what_was_said_are_left_out() {
        let cause = Error::new(ErrorKind::Unreachable, "refused");
        let error = Error::new(ErrorKind::Unreachable, "a: refused").with_source(cause);
        assert_eq!(chain(&error), ["a: refused"]);
        let cause = std::io::Error::other("no route");
        let error = Error::new(ErrorKind::Unreachable, "a is away").with_source(cause);
        assert_eq!(chain(&error), ["a is away", "no route"]);
    }

    #[test]
    fn json_is_found_among_arguments_that_make_no_sense() {
        let args = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        assert!(wants_json(&args("redis-ring -o json nonsense")));
        assert!(wants_json(&args("redis-ring nonsense --output=json")));
        assert!(!wants_json(&args("redis-ring exec -- -o json")));
    }
}
