//! What the daemon says of itself: to people, to the log, to the desktop.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use super::Daemon;
use crate::daemon::desktop;
use crate::daemon::state::View;
use crate::daemon::status::{Status, TreeStatus, ViewStatus};
use crate::ui::text::clean;
use crate::worker::Outcome;

impl Daemon<'_> {
    pub(super) fn headline(&self) -> String {
        match (self.state.builds(), self.places.len()) {
            (0, 1) => "watches 1 work tree".to_owned(),
            (0, trees) => format!("watches {trees} work trees"),
            (1, _) => "1 build".to_owned(),
            (builds, _) => format!("{builds} builds"),
        }
    }

    pub(super) fn status(&self) -> Status {
        let now = Instant::now();
        let tree = |path: &Path| TreeStatus {
            path: path.to_owned(),
            busy: self.state.busy(path).map(str::to_owned),
            changing: self.state.changing(path),
            problems: self.watching.problem(path).into_iter().collect(),
            views: [View::Head, View::Worktree]
                .into_iter()
                .filter(|view| *view == View::Head || self.user.daemon.worktree)
                .map(|view| {
                    let seen = self.model.view(path, view);
                    ViewStatus {
                        view,
                        phase: self.state.phase(path, view),
                        retry_seconds: self.state.retry(path, view, now).map(|time| time.as_secs()),
                        branch: seen.branch,
                        targets: seen.targets,
                        errors: seen.errors,
                        warnings: seen.warnings,
                    }
                })
                .collect(),
        };
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started_at: self.started_at,
            mode: self.state.mode(),
            paused_seconds: self.state.paused(now).map(|time| time.as_secs()),
            builds: self.state.builds(),
            parallel: self.state.parallel(),
            watches: self.watching.count(),
            problems: self.problems.values().cloned().collect(),
            trees: self.state.trees().map(tree).collect(),
            disk: self.checked.clone(),
        }
    }

    /// Tells the log, and the desktop where that is wanted, what is otherwise than before.
    pub(super) fn report(
        &self,
        tree: &Path,
        view: View,
        outcome: &Outcome,
        before: &BTreeMap<String, Option<String>>,
    ) {
        let of = match view {
            View::Head => "HEAD",
            View::Worktree => "the work tree",
        };
        for (label, target) in outcome.labels.iter().zip(&outcome.targets) {
            let verdict = target["outcome"].as_str().unwrap_or_default();
            let known = before.get(label).and_then(Option::as_deref);
            let routine = match known {
                None | Some("warm" | "already-warm") => verdict == "already-warm",
                Some(known) => known == verdict,
            };
            if verdict == "deferred" || routine {
                continue;
            }
            let reason = target["reason"].as_str().unwrap_or_default();
            let said = format!("{label} of {of}: {}: {reason}", verdict.replace('-', " "));
            tracing::info!("{}: {}", tree.display(), clean(&said));
            if self.user.daemon.notify && matches!(verdict, "failed" | "salvaged" | "not-pushed") {
                desktop::notify(tree, label, verdict);
            }
        }
        // Those of targets have been told with them.
        let of_target = |message: &str| {
            let mut targets = outcome.targets.iter();
            let first = message.lines().next();
            targets.any(|target| first.is_some_and(|line| target["reason"] == line))
        };
        for failure in &outcome.errors {
            if !of_target(&failure.message) {
                tracing::warn!("{}: {}", tree.display(), clean(&failure.message));
            }
        }
    }
}
