//! What came of jobs, and how far builds are: for people. Nothing is decided by it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::state::{End, JobId, TargetEnd, View};
use super::status::{BuildStatus, Problem, TargetStatus};
use crate::worker::{Outcome, Stopped};

/// Warnings that are kept of a job.
const WARNINGS: usize = 10;

/// What is known of one view.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) branch: Option<String>,
    pub(super) targets: Vec<TargetStatus>,
    pub(super) errors: Vec<Problem>,
    pub(super) warnings: Vec<String>,
}

/// A job that runs.
#[derive(Clone, Debug)]
struct Live {
    tree: PathBuf,
    view: View,
    builds: BTreeMap<String, Build>,
    warnings: Vec<String>,
}

#[derive(Clone, Debug, Default)]
struct Build {
    status: BuildStatus,
    /// By step, whether it has ended.
    steps: BTreeMap<String, bool>,
    allowed: bool,
}

/// What is known for people.
#[derive(Debug, Default)]
pub(super) struct Model {
    seen: BTreeMap<(PathBuf, View), Seen>,
    live: BTreeMap<JobId, Live>,
}

/// What an event of a job means for the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// BuildKit has begun with a target.
    Begun(String),
    /// Nothing more comes of a target.
    Left(String),
}

impl Model {
    pub(super) fn started(&mut self, job: JobId, tree: PathBuf, view: View) {
        let (builds, warnings) = (BTreeMap::new(), Vec::new());
        let live = Live {
            tree,
            view,
            builds,
            warnings,
        };
        self.live.insert(job, live);
    }

    /// Which view of which work tree a job looks at.
    pub(super) fn whose(&self, job: JobId) -> Option<(PathBuf, View)> {
        let live = self.live.get(&job)?;
        Some((live.tree.clone(), live.view))
    }

    /// A target may be built from now on.
    pub(super) fn allowed(&mut self, job: JobId, target: &str, now_ms: i64) {
        let Some(live) = self.live.get_mut(&job) else {
            return;
        };
        let build = live.builds.entry(target.to_owned()).or_default();
        build.allowed = true;
        build.status.since = now_ms;
    }

    /// A job says that something is not as it should be.
    pub(super) fn warned(&mut self, job: JobId, message: &str) {
        if let Some(live) = self.live.get_mut(&job)
            && live.warnings.len() < WARNINGS
            && live.warnings.iter().all(|known| known != message)
        {
            live.warnings.push(message.to_owned());
        }
    }

    /// Takes in an event of a job, as `prewarm warm --json` writes it.
    pub(super) fn event(&mut self, job: JobId, event: &Value) -> Option<News> {
        let text = |name: &str| event[name].as_str().map(str::to_owned);
        let target = text("target")?;
        if event["event"] == "target-done" {
            let left = self.live.get_mut(&job)?.builds.remove(&target);
            return left.map(|_| News::Left(target));
        }
        let build = self.live.get_mut(&job)?.builds.get_mut(&target)?;
        match event["event"].as_str()? {
            "target" => build.status.message = text("message")?,
            "step" => {
                let first = build.steps.is_empty();
                let started = event["state"] == "started";
                let name = text("name")?;
                build.steps.insert(text("step")?, !started);
                build.status.steps_total = build.steps.len();
                build.status.steps_done = build.steps.values().filter(|ended| **ended).count();
                if started {
                    build.status.step = Some(name);
                } else if build.status.step.as_ref() == Some(&name) {
                    build.status.step = None;
                }
                return first.then_some(News::Begun(target));
            }
            _ => {}
        }
        None
    }

    /// Takes in what came of a job; how it ended, for the state.
    pub(super) fn ended(&mut self, job: JobId, outcome: Option<&Outcome>, now_ms: i64) -> End {
        let Some(live) = self.live.remove(&job) else {
            return End::Died;
        };
        let Some(outcome) = outcome else {
            return End::Died;
        };
        let seen = self.seen.entry((live.tree, live.view)).or_default();
        seen.warnings = live.warnings;
        seen.errors = outcome
            .errors
            .iter()
            .map(|failure| Problem {
                message: failure.message.clone(),
                remedy: (!failure.hints.is_empty()).then(|| failure.hints.join("; ")),
            })
            .collect();
        match outcome.stopped {
            Some(Stopped::Moved) => return End::Moved,
            Some(Stopped::Missing) => return End::Missing,
            Some(Stopped::Hopeless) => return End::Hopeless,
            None => {}
        }
        seen.branch.clone_from(&outcome.branch);
        let mut targets = Vec::new();
        let mut ends = Vec::new();
        for (label, summary) in outcome.labels.iter().zip(&outcome.targets) {
            let verdict = summary["outcome"].as_str().unwrap_or_default();
            let before = seen.targets.iter().find(|target| target.target == *label);
            if verdict == "deferred" {
                // What it was before says more than that it was not built now.
                targets.extend(before.cloned());
                continue;
            }
            let mut now = target(label, summary, now_ms);
            if let Some(before) = before.filter(|before| now.goes_on_from(before)) {
                now.outcome.clone_from(&before.outcome);
                now.at = before.at;
            }
            targets.push(now);
            ends.push(match verdict {
                "failed" | "salvaged" => TargetEnd::Failed(label.clone()),
                "not-pushed" | "missing" => TargetEnd::Missing(label.clone()),
                _ => TargetEnd::Settled(label.clone()),
            });
        }
        seen.targets = targets;
        End::Done(ends)
    }

    /// What is known of a view, with the builds that run.
    pub(super) fn view(&self, tree: &Path, view: View) -> Seen {
        let key = (tree.to_owned(), view);
        let mut seen = self.seen.get(&key).cloned().unwrap_or_default();
        let live = self.live.values();
        for live in live.filter(|live| live.tree == tree && live.view == view) {
            for (label, build) in live.builds.iter().filter(|(_, build)| build.allowed) {
                let known = seen
                    .targets
                    .iter_mut()
                    .find(|target| target.target == *label);
                let status = Some(build.status.clone());
                if let Some(known) = known {
                    known.build = status;
                } else {
                    seen.targets.push(TargetStatus {
                        target: label.clone(),
                        build: status,
                        ..TargetStatus::default()
                    });
                }
            }
        }
        seen
    }

    /// Whether something in a work tree waits for its user.
    pub(super) fn waits_for_its_user(&self, tree: &Path) -> bool {
        let of_tree = self.seen.iter().filter(|((path, _), _)| path == tree);
        of_tree.into_iter().any(|(_, seen)| {
            let waits = |target: &TargetStatus| target.outcome.as_deref() == Some("needs-approval");
            !seen.errors.is_empty() || seen.targets.iter().any(waits)
        })
    }

    /// What is called differently now than before: the verdicts of a view by target.
    pub(super) fn verdicts(&self, tree: &Path, view: View) -> BTreeMap<String, Option<String>> {
        let seen = self.seen.get(&(tree.to_owned(), view));
        let targets = seen.map(|seen| seen.targets.as_slice()).unwrap_or_default();
        let verdict = |target: &TargetStatus| (target.target.clone(), target.outcome.clone());
        targets.iter().map(verdict).collect()
    }

    /// Forgets work trees that are not among these.
    pub(super) fn keep(&mut self, trees: &dyn Fn(&Path) -> bool) {
        self.seen.retain(|(tree, _), _| trees(tree));
    }
}

impl TargetStatus {
    /// Whether nothing has happened since: it was warm, and is.
    fn goes_on_from(&self, before: &Self) -> bool {
        let was = before.outcome.as_deref();
        self.outcome.as_deref() == Some("already-warm")
            && matches!(was, Some("warm" | "already-warm"))
            && (&self.key, &self.source) == (&before.key, &before.source)
    }
}

fn target(label: &str, summary: &Value, now_ms: i64) -> TargetStatus {
    let text = |name: &str| summary[name].as_str().unwrap_or_default().to_owned();
    let list = |name: &str| {
        let items = summary[name].as_array().into_iter().flatten();
        items
            .filter_map(|item| item.as_str().map(str::to_owned))
            .collect()
    };
    TargetStatus {
        target: label.to_owned(),
        outcome: Some(text("outcome")),
        reason: text("reason"),
        source: text("source"),
        at: Some(now_ms),
        looked_at: Some(now_ms),
        ci: serde_json::from_value(summary["ci"].clone()).ok(),
        key: summary["key"].as_str().map(str::to_owned),
        tags: list("tags"),
        notes: list("notes"),
        build: None,
    }
}
