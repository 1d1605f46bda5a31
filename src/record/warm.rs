//! What is recorded of a warm: one row per target and platform that a `warm` looked at.

use serde::{Deserialize, Serialize};

/// The number of a row of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct WarmId(pub i64);

/// What is known when a warm begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NewWarm {
    /// The repository's path.
    pub repository: String,
    /// The target's name.
    pub target: String,
    /// Such as `linux/amd64`.
    pub platform: String,
    /// The commit that the snapshot belongs to; `None` for one that is not committed.
    pub commit: Option<String>,
    /// The snapshot's tree id.
    pub tree: String,
    /// `HEAD`, `staged`, `worktree`, `merge`, or the revision that was asked for.
    pub source: String,
    /// The key, in hex; `None` before the first build of a recipe, which tells what the inputs are.
    pub key: Option<String>,
    /// The recipe, in hex.
    pub recipe: String,
    /// The repository of the cache tags; `None` for this machine's BuildKit only.
    pub cache: Option<String>,
    /// The branch; `None` when detached.
    pub branch: Option<String>,
    /// Which BuildKit: an id that stays the same as long as its cache does.
    pub builder: String,
    /// That BuildKit's version.
    pub buildkit: String,
    /// Unix milliseconds.
    pub started_at: i64,
}

/// What is known when a warm has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The key that the build came to, in hex; `None` to leave it as it was.
    pub key: Option<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// The steps, in the order in which BuildKit named them.
    pub steps: Vec<StepRecord>,
    /// Bytes that went to the registry.
    pub exported_bytes: u64,
    /// The digest of the cache's manifest.
    pub cache_digest: Option<String>,
    /// The full references that point at it: the key's first, the branch's last.
    pub references: Vec<String>,
    /// Why it failed.
    pub error: Option<String>,
    /// Unix milliseconds.
    pub finished_at: i64,
    /// The inputs, as a JSON document.
    pub inputs: Option<String>,
}

/// How a warm ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Built and pushed.
    Warm,
    /// There was nothing to do.
    AlreadyWarm,
    /// A step failed; the steps before it were pushed.
    Salvaged,
    /// Failed, and nothing was pushed.
    Failed,
    /// Built, but the registry did not take it.
    NotPushed,
    /// Built for this machine's BuildKit only, as configured or asked for.
    LocalOnly,
    /// Stopped on request.
    Cancelled,
}

impl Outcome {
    pub(super) const ALL: [Self; 7] = [
        Self::Warm,
        Self::AlreadyWarm,
        Self::Salvaged,
        Self::Failed,
        Self::NotPushed,
        Self::LocalOnly,
        Self::Cancelled,
    ];

    /// How it is written, in the database and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Warm => "warm",
            Self::AlreadyWarm => "already-warm",
            Self::Salvaged => "salvaged",
            Self::Failed => "failed",
            Self::NotPushed => "not-pushed",
            Self::LocalOnly => "local-only",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One step of a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// As BuildKit names it, such as `[builder 3/5] RUN …`.
    pub name: String,
    /// Whether it was found in a cache.
    pub cached: bool,
    /// Milliseconds from the warm's start to the step's.
    pub started_ms: i64,
    /// Milliseconds that it took.
    pub duration_ms: i64,
    /// Why it failed.
    pub error: Option<String>,
}

/// Where a row of the history stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state", content = "outcome")]
pub enum State {
    /// Its process is at it.
    Running,
    /// Its process ended without a word: it was killed, or the machine went down.
    Interrupted,
    /// It ended.
    Finished(Outcome),
}

/// A row of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HistoryRow {
    /// Its number.
    pub id: WarmId,
    /// What was known at its start.
    #[serde(flatten)]
    pub warm: NewWarm,
    /// Where it stands.
    #[serde(flatten)]
    pub state: State,
    /// Unix milliseconds; `None` unless it finished.
    pub finished_at: Option<i64>,
    /// Steps of the build.
    pub steps_total: u32,
    /// Those that were found in a cache.
    pub steps_cached: u32,
    /// Bytes that went to the registry.
    pub exported_bytes: u64,
    /// The digest of the cache's manifest.
    pub cache_digest: Option<String>,
    /// The full references that point at it: the key's first, the branch's last.
    pub references: Vec<String>,
    /// Why it failed.
    pub error: Option<String>,
}

/// The newest warm of a target, with its details.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastWarm {
    /// The row.
    pub row: HistoryRow,
    /// Its steps.
    pub steps: Vec<StepRecord>,
    /// Its inputs, as the JSON document that was stored.
    pub inputs: Option<String>,
}

/// That a key was warm once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmFact {
    /// The digest of the cache's manifest.
    pub digest: Option<String>,
    /// Unix milliseconds when that warm finished.
    pub at: i64,
    /// The BuildKit that it was built with.
    pub builder: String,
    /// The full references that were pointed at it.
    pub references: Vec<String>,
}

/// Which part of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// Of this repository only.
    pub repository: Option<String>,
    /// At most so many rows.
    pub limit: usize,
}
