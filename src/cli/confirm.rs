//! Asking a person before something is changed.

use std::io::{IsTerminal as _, Write as _};

use super::exit::Failure;
use crate::{Error, ErrorKind};

/// To be called before anything is asked of ZooKeeper: a script that forgot --yes learns it at once.
///
/// # Errors
/// `Invalid` where a person is to be asked and there is none.
pub(super) fn somebody_to_ask(yes: bool, dry_run: bool) -> Result<(), Failure> {
    if yes || dry_run || std::io::stdin().is_terminal() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Invalid, "there is nobody to ask: standard input is no terminal")
        .with_hint("add --yes to do it without asking, or --dry-run to see what would be done")
        .into())
}

/// Only a word that can be nothing else is a yes.
pub(super) fn confirmed(question: &str) -> Result<bool, Failure> {
    let mut stderr = std::io::stderr().lock();
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}
