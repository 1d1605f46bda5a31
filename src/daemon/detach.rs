//! Into the background: a fork, which must come before any thread, socket or lock.

use std::io::{PipeReader, PipeWriter};
use std::path::Path;

use daemonize::{Daemonize, Outcome};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};

/// Which process we are now.
#[derive(Debug)]
pub(super) enum Side {
    /// The one that the user started.
    Parent,
    /// The one in the background.
    Child,
}

/// Forks twice, leaves the terminal, and lets go of standard input, output and error.
///
/// # Errors
/// When the system does not let us.
pub(super) fn detach(directory: &Path) -> Result<Side, String> {
    let daemonize = Daemonize::new().working_directory(directory).umask(0o077);
    match daemonize.execute() {
        Outcome::Parent(Ok(_)) => Ok(Side::Parent),
        Outcome::Child(Ok(_)) => Ok(Side::Child),
        Outcome::Parent(Err(error)) | Outcome::Child(Err(error)) => Err(error.to_string()),
    }
}

/// Why there is no daemon, on its way to who started it.
#[derive(Serialize, Deserialize)]
struct Failure {
    usage: bool,
    message: String,
    hints: Vec<String>,
}

/// Tells the terminal why there is no daemon.
pub(super) fn tell(pipe: PipeWriter, error: &Error) {
    let failure = Failure {
        usage: error.kind == Kind::Usage,
        message: error.to_string(),
        hints: error.hints.clone(),
    };
    // Who started it may wait no longer.
    let _ = serde_json::to_writer(pipe, &failure);
}

/// Why there is no daemon; `None` where it has begun, or died without a word.
pub(super) fn hear(pipe: PipeReader) -> Option<Error> {
    let failure: Failure = serde_json::from_reader(pipe).ok()?;
    let kind = if failure.usage {
        Kind::Usage
    } else {
        Kind::Environment
    };
    let error = Error::new(kind, failure.message);
    Some(failure.hints.into_iter().fold(error, Error::hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_and_a_beginning_is_not() {
        let (heard, told) = std::io::pipe().expect("a pipe can be made");
        let error = Error::new(Kind::Usage, "it runs already").hint("stop it");
        tell(told, &error);
        let said = hear(heard).expect("it failed");
        assert_eq!((said.kind, said.message), (error.kind, error.message));
        assert_eq!(said.hints, error.hints);
        let (heard, told) = std::io::pipe().expect("a pipe can be made");
        drop(told);
        assert!(hear(heard).is_none());
    }
}
