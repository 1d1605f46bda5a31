//! The daemon's state as people and programs see it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::state::View;
use crate::prune::checked::Checked;

/// Everything that `prewarm status` shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The version of the daemon.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Since when it runs, in Unix milliseconds.
    pub started_at: i64,
    /// Whether it starts builds.
    pub mode: Mode,
    /// For how long it is paused; `None` for until it is told otherwise.
    pub paused_seconds: Option<u64>,
    /// Builds that run.
    pub builds: usize,
    /// Builds that may run side by side.
    pub parallel: usize,
    /// Directories that it watches.
    pub watches: usize,
    /// What is not as it should be, for all work trees.
    pub problems: Vec<Problem>,
    /// The work trees, by path.
    pub trees: Vec<TreeStatus>,
    /// What the last look at the disk came to, and the last prune; `None` before the first.
    #[serde(default)]
    pub disk: Option<Checked>,
}

/// Whether the daemon starts builds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It does.
    #[default]
    Running,
    /// Not before it is told to.
    Paused,
    /// It ends as soon as its builds have.
    Stopping,
    /// There is none.
    Absent,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What.
    pub message: String,
    /// What to do.
    pub remedy: Option<String>,
}

/// One work tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeStatus {
    /// Its root.
    pub path: PathBuf,
    /// What git is in the middle of, such as `a rebase`: nothing is looked at before it ends.
    pub busy: Option<String>,
    /// A change was seen, and may not be complete yet.
    pub changing: bool,
    /// What is not as it should be.
    pub problems: Vec<Problem>,
    /// What is warmed of it.
    pub views: Vec<ViewStatus>,
}

/// One snapshot of a work tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewStatus {
    /// Which.
    pub view: View,
    /// Where it stands.
    pub phase: Phase,
    /// When it is tried again, in seconds from now.
    pub retry_seconds: Option<u64>,
    /// The branch.
    pub branch: Option<String>,
    /// Its targets, as of the last look.
    pub targets: Vec<TargetStatus>,
    /// Why nothing came of the last look.
    pub errors: Vec<Problem>,
    /// What was not as it should be, though the last look went on.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Where a view stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Nothing is to do.
    Idle,
    /// It is to be looked at.
    Queued,
    /// It is looked at.
    Looking,
    /// It is built.
    Building,
}

/// One target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetStatus {
    /// Its name, with platform and merge where there are several.
    pub target: String,
    /// How the last look at it ended, as in the summary of `prewarm warm --json`.
    pub outcome: Option<String>,
    /// Why.
    pub reason: String,
    /// What was looked at, such as `commit 1a2b3c4`.
    pub source: String,
    /// Since when it is so, in Unix milliseconds.
    pub at: Option<i64>,
    /// When it was looked at last, in Unix milliseconds.
    pub looked_at: Option<i64>,
    /// Whether CI's next build hits, as in the summary of `prewarm warm --json`: its verdict, and why if not for sure.
    pub ci: Option<Ci>,
    /// The key, in hex.
    pub key: Option<String>,
    /// References that point at its cache.
    pub tags: Vec<String>,
    /// What else the user should know.
    pub notes: Vec<String>,
    /// The build that runs.
    pub build: Option<BuildStatus>,
}

/// Whether CI's next build hits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ci {
    /// `will-hit`, `not-assured` or `will-not-hit`.
    pub verdict: String,
    /// Why, unless it will.
    #[serde(default)]
    pub reason: String,
}

/// A build that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildStatus {
    /// What it does, such as `building` or `publishing`.
    pub message: String,
    /// Steps that have ended.
    pub steps_done: usize,
    /// Steps that are known, of those that BuildKit numbers.
    pub steps_total: usize,
    /// The step that runs.
    pub step: Option<String>,
    /// Since when, in Unix milliseconds.
    pub since: i64,
}
