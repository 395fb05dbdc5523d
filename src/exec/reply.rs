//! What a server's reply means for where a command goes next.

use redis::{ServerError, Value};

/// What a reply says about the server that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the answer, an error like WRONGTYPE included.
    Answer,
    /// The server cannot serve this now, and has done nothing.
    Unavailable,
    /// The server has no memory for it.
    OutOfMemory,
}

/// Judges a reply.
#[inline]
pub(crate) fn judge(value: &Value) -> Verdict {
    match value {
        Value::ServerError(error) => judge_error(error),
        _ => Verdict::Answer,
    }
}

/// The codes come from the server's own source; what is not listed is the command's own error, and so its answer.
#[cold]
fn judge_error(error: &ServerError) -> Verdict {
    match error.code() {
        // Loading a dump; a replica without its master; a script that runs too long; a replica; no disk to save to;
        // too few replicas; and answers of a server that is (wrongly) part of a cluster.
        "LOADING" | "MASTERDOWN" | "BUSY" | "READONLY" | "MISCONF" | "NOREPLICAS" | "CLUSTERDOWN" | "TRYAGAIN"
        | "MOVED" | "ASK" => Verdict::Unavailable,
        // The connection's user was taken away. (NOPERM is an answer: the user may not do this, here or elsewhere.)
        "NOAUTH" => Verdict::Unavailable,
        "OOM" => Verdict::OutOfMemory,
        _ if error.details().is_some_and(|text| text.contains("max number of clients reached")) => Verdict::Unavailable,
        _ => Verdict::Answer,
    }
}

/// What a copy lacks that answers a write with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lacks {
    /// This write, since what it holds differs from what the primary holds.
    This,
    /// This write and, as far as anybody knows, others: it cannot execute them, or may not.
    More,
    /// Memory.
    NoMemory,
}

/// Judges the error that a copy answers to what its primary has executed.
#[cold]
pub(crate) fn copy_lacks(value: &Value) -> Lacks {
    match judge(value) {
        Verdict::OutOfMemory => Lacks::NoMemory,
        Verdict::Unavailable => Lacks::More,
        Verdict::Answer => match value {
            Value::ServerError(error) if error.code() == "NOPERM" => Lacks::More,
            _ => Lacks::This,
        },
    }
}

/// Whether a reply is an error.
#[inline]
pub(crate) fn is_error(value: &Value) -> bool {
    matches!(value, Value::ServerError(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_command_is_its_answer() {
        let judged = |line: &str| judge(&redis::parse_redis_value(line.as_bytes()).unwrap());
        assert_eq!(judged("$-1\r\n"), Verdict::Answer);
        assert_eq!(judged("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"), Verdict::Answer);
        assert_eq!(judged("-ERR syntax error\r\n"), Verdict::Answer);
        assert_eq!(judged("-NOPERM this user has no permissions to run the 'set' command\r\n"), Verdict::Answer);
        assert_eq!(judged("-LOADING Redis is loading the dataset in memory\r\n"), Verdict::Unavailable);
        assert_eq!(judged("-MASTERDOWN Link with MASTER is down\r\n"), Verdict::Unavailable);
        assert_eq!(judged("-ERR max number of clients reached\r\n"), Verdict::Unavailable);
        assert_eq!(judged("-OOM command not allowed when used memory > 'maxmemory'.\r\n"), Verdict::OutOfMemory);
    }
}
