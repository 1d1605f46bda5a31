//! What the daemon and its job processes say to each other over the job's pipes.
//!
//! A job (`prewarm job`) is one look at one view of a work tree, in a process of its own: what it reads and maps is gone
//! with it, its crash is not the daemon's, and the daemon stays small. On standard error it writes events, one JSON object
//! a line: those of `prewarm warm --json`, and `{"event":"ask", …}` with a [`Question`] when it has found something to
//! build. It then waits for a [`Told`] on standard input. When standard input ends, the daemon is gone or wants it to stop:
//! it stops. On standard output it leaves one [`Outcome`].

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use crate::daemon::state::{Answer, Question};

/// A line from the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The question's number.
    pub id: u64,
    /// The answer.
    pub answer: Answer,
}

/// What came of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Why it ended without a look at its targets.
    pub stopped: Option<Stopped>,
    /// The branch, where there is one.
    pub branch: Option<String>,
    /// The targets, as in the summary of `prewarm warm --json`.
    pub targets: Vec<Value>,
    /// What the targets are called, in the same order.
    pub labels: Vec<String>,
    /// Errors, as `prewarm warm --json` shows them.
    pub errors: Vec<Failure>,
    /// The files that decide the result, absolute; only these need to be watched.
    pub files: Vec<PathBuf>,
    /// There are more of them than are told.
    pub more_files: bool,
}

/// Why a job ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stopped {
    /// HEAD moved, or git began with something, while it looked.
    Moved,
    /// Something was missing that may come back.
    Missing,
    /// It cannot be done before something changes.
    Hopeless,
}

/// An error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What failed, with its causes.
    pub message: String,
    /// What to do.
    pub hints: Vec<String>,
}
