//! The one error type: what went wrong, whether it ran, and what may be done next.

use std::fmt;
use std::sync::Arc;

/// What went wrong, as far as a caller may want to tell cases apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A URL, an option or an argument cannot be used as it is.
    Invalid,
    /// Nobody answered within the time allowed: ZooKeeper, or a server asked directly.
    Unreachable,
    /// The root has no ring in it yet.
    NotFounded,
    /// The ring is still being founded.
    Founding,
    /// What is in ZooKeeper cannot be understood, or names a ring this version does not know.
    Membership,
    /// Somebody else holds or has changed what this call needs.
    Conflict,
    /// A user name, a password or a right is missing or wrong.
    Denied,
    /// The ring does not run this command, or not in this form.
    Refused,
    /// No owner of the key may answer or be written now.
    NoOwner,
    /// The owners did not answer in time.
    Timeout,
    /// The connection ended while a reply was outstanding.
    Disconnected,
    /// A server answered with an error.
    Server,
}

impl ErrorKind {
    /// The word that `-o json` shows.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorKind::Invalid => "invalid",
            ErrorKind::Unreachable => "unreachable",
            ErrorKind::NotFounded => "not_founded",
            ErrorKind::Founding => "founding",
            ErrorKind::Membership => "membership",
            ErrorKind::Conflict => "conflict",
            ErrorKind::Denied => "denied",
            ErrorKind::Refused => "refused",
            ErrorKind::NoOwner => "no_owner",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Disconnected => "disconnected",
            ErrorKind::Server => "server",
        }
    }
}

/// What may be done next about a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// The same call would fail again.
    Never,
    /// Another member may answer.
    Elsewhere,
    /// The same call may succeed later.
    Later,
}

/// Whether a failed command may have had an effect.
///
/// | what happened | fixed membership | in ZooKeeper |
/// |---|---|---|
/// | it was refused, no owner was connected, or the primary said that it cannot (LOADING, READONLY, …) and nobody else could | not executed | not executed |
/// | the primary did not answer a command that depends on what is there (INCR, LPOP, a script, a transaction) | unknown | unknown if the primary lives, or cannot be taken out; else it runs again, since what that server did no longer counts |
/// | no owner answered a command that may run twice (SET, DEL), for as long as it is tried | unknown | unknown |
/// | a copy missed it, and could neither be given the key's state nor be taken out | (acknowledged) | unknown |
/// | likewise, and ZooKeeper could not be asked | | acknowledged and owed, or unknown: [`Unfenced`](crate::policy::Unfenced) |
/// | the copies answered differently, and nobody can tell whose answer counts | (the primary's answer) | unknown |
/// | a copy has no memory for what the primary has executed, or the primary refused what a copy has executed | unknown | unknown |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It had none.
    NotExecuted,
    /// It may have been executed or not: it was sent, and no reply came.
    Unknown,
}

/// Why a call failed.
///
/// [`fmt::Display`] prints one level; the causes are in [`std::error::Error::source`].
#[derive(Clone)]
pub struct Error(Arc<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    retry: Retry,
    outcome: Outcome,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// A result whose error is [`struct@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error that had no effect, with the usual advice for its kind.
    ///
    /// The message is lower case, without a full stop, and never holds a value or a credential.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        let retry = match kind {
            ErrorKind::Invalid | ErrorKind::Refused | ErrorKind::Denied | ErrorKind::Membership | ErrorKind::Server => {
                Retry::Never
            }
            ErrorKind::Unreachable
            | ErrorKind::NotFounded
            | ErrorKind::Founding
            | ErrorKind::Conflict
            | ErrorKind::NoOwner
            | ErrorKind::Timeout
            | ErrorKind::Disconnected => Retry::Later,
        };
        Error(Arc::new(Inner {
            kind,
            message: message.into(),
            hint: None,
            retry,
            outcome: Outcome::NotExecuted,
            source: None,
        }))
    }

    /// Adds what the reader can do about it.
    pub fn with_hint(self, hint: impl Into<String>) -> Error {
        self.with(|inner| inner.hint = Some(hint.into()))
    }

    /// Adds the cause.
    pub fn with_source(self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        self.with(|inner| inner.source = Some(source.into()))
    }

    /// States what may be done next.
    pub fn with_retry(self, retry: Retry) -> Error {
        self.with(|inner| inner.retry = retry)
    }

    /// States whether it may have had an effect.
    pub fn with_outcome(self, outcome: Outcome) -> Error {
        self.with(|inner| inner.outcome = outcome)
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What may be done next.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// Whether it may have had an effect.
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// What the reader can do about it, in one sentence.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Finds the ring's error inside one that redis-rs's API returned.
    ///
    /// `None` for an error that a server gave or that redis-rs made itself.
    pub fn of_redis(error: &redis::RedisError) -> Option<&Error> {
        let io = std::error::Error::source(error)?;
        // redis-rs keeps the cause in an `Arc`, which is what its `source` shows.
        let io = io
            .downcast_ref::<std::io::Error>()
            .or_else(|| io.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>()?.downcast_ref())?;
        io.get_ref()?.downcast_ref()
    }

    /// Changes an error that was just made and is not shared yet.
    fn with(mut self, change: impl FnOnce(&mut Inner)) -> Error {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            change(inner);
        } else {
            let shared = &self.0;
            let mut inner = Inner {
                kind: shared.kind,
                message: shared.message.clone(),
                hint: shared.hint.clone(),
                retry: shared.retry,
                outcome: shared.outcome,
                source: Some(Box::new(self.clone())),
            };
            change(&mut inner);
            self = Error(Arc::new(inner));
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match self.0.outcome {
            Outcome::NotExecuted => Ok(()),
            Outcome::Unknown => f.write_str(" (outcome: unknown)"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("hint", &self.0.hint)
            .field("retry", &self.0.retry)
            .field("outcome", &self.0.outcome)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<Error> for redis::RedisError {
    /// Keeps the error inside an I/O error, so that [`Error::of_redis`] finds it again.
    ///
    /// The I/O kind decides what redis-rs's own `retry_method` says: `Unsupported` and `PermissionDenied` are
    /// "never", and everything that reads as a lost connection is "reconnect". `Other` and `TimedOut` would be "retry
    /// at once", which is wrong for a ring that has already tried every owner; so nothing is mapped to them.
    fn from(error: Error) -> redis::RedisError {
        let kind = match (error.outcome(), error.retry()) {
            (Outcome::NotExecuted, Retry::Never) if error.kind() == ErrorKind::Denied => {
                std::io::ErrorKind::PermissionDenied
            }
            // What may have been executed must not be repeated by a loop that follows `retry_method`.
            (Outcome::Unknown, _) | (Outcome::NotExecuted, Retry::Never) => std::io::ErrorKind::Unsupported,
            (Outcome::NotExecuted, Retry::Elsewhere | Retry::Later) => std::io::ErrorKind::NotConnected,
        };
        std::io::Error::new(kind, error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use redis::{RedisError, RetryMethod};

    #[test]
    fn an_error_survives_the_way_through_redis_rs() {
        let error = Error::new(ErrorKind::NoOwner, "no owner of the key may answer").with_outcome(Outcome::Unknown);
        let redis: RedisError = error.into();
        let found = Error::of_redis(&redis).expect("the ring's own error");
        assert_eq!(
            (found.kind(), found.outcome(), found.retry()),
            (ErrorKind::NoOwner, Outcome::Unknown, Retry::Later)
        );
        assert_eq!(redis.to_string(), "no owner of the key may answer (outcome: unknown)");
        assert!(Error::of_redis(&(redis::ErrorKind::Client, "other").into()).is_none());
    }

    #[test]
    fn no_error_of_ours_tells_redis_rs_to_retry_at_once() {
        let method = |kind| RedisError::from(Error::new(kind, "x")).retry_method();
        assert!(matches!(method(ErrorKind::Refused), RetryMethod::NoRetry));
        assert!(matches!(method(ErrorKind::Denied), RetryMethod::NoRetry));
        assert!(matches!(method(ErrorKind::NoOwner), RetryMethod::Reconnect));
        assert!(matches!(method(ErrorKind::Timeout), RetryMethod::Reconnect));
        let unknown = Error::new(ErrorKind::Timeout, "x").with_outcome(Outcome::Unknown);
        assert!(matches!(RedisError::from(unknown).retry_method(), RetryMethod::NoRetry));
    }

    #[test]
    fn what_is_added_to_a_shared_error_leaves_the_other_holder_alone() {
        let first = Error::new(ErrorKind::Timeout, "slow");
        let second = first.clone().with_hint("wait");
        assert_eq!((first.hint(), second.hint()), (None, Some("wait")));
    }
}
