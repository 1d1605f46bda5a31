//! What people see of the daemon's state.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::job::Job;
use super::tree::Tree;
use super::{Pause, State, View};
use crate::daemon::status::{Mode, Phase};

impl State {
    /// Whether builds are held back, and whether the daemon ends.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match (self.stop, self.pause) {
            (Some(_), _) => Mode::Stopping,
            (None, Some(_)) => Mode::Paused,
            (None, None) => Mode::Running,
        }
    }

    /// How long the pause lasts, where it ends by itself.
    #[must_use]
    pub fn paused(&self, now: Instant) -> Option<Duration> {
        match self.pause {
            Some(Pause::Until(until)) => Some(until.saturating_duration_since(now)),
            _ => None,
        }
    }

    /// Builds that run.
    #[must_use]
    pub fn builds(&self) -> usize {
        self.jobs.values().map(|job| job.building.len()).sum()
    }

    /// Builds that may run side by side.
    #[must_use]
    pub fn parallel(&self) -> usize {
        self.settings.parallel
    }

    /// The work trees.
    pub fn trees(&self) -> impl Iterator<Item = &Path> {
        self.trees.keys().map(PathBuf::as_path)
    }

    /// What git is in the middle of in a work tree.
    #[must_use]
    pub fn busy(&self, tree: &Path) -> Option<&str> {
        self.trees.get(tree)?.busy()
    }

    /// Whether a change in a work tree may not be complete yet.
    #[must_use]
    pub fn changing(&self, tree: &Path) -> bool {
        self.trees.get(tree).is_some_and(Tree::changing)
    }

    /// Where a view stands.
    #[must_use]
    pub fn phase(&self, tree: &Path, view: View) -> Phase {
        let of_view = |job: &&Job| job.tree == tree && job.view == view;
        let mut jobs = self.jobs.values().filter(of_view).peekable();
        if jobs.peek().is_some() {
            let builds = jobs.any(|job| !job.building.is_empty());
            return if builds {
                Phase::Building
            } else {
                Phase::Looking
            };
        }
        let slot = self.trees.get(tree).map(|tree| tree.slot(view));
        match slot {
            Some(slot) if slot.wanted && slot.retry.is_none() => Phase::Queued,
            _ => Phase::Idle,
        }
    }

    /// How long until a view is tried again after a failure.
    #[must_use]
    pub fn retry(&self, tree: &Path, view: View, now: Instant) -> Option<Duration> {
        let at = self.trees.get(tree)?.slot(view).next_try()?;
        Some(at.saturating_duration_since(now))
    }
}
