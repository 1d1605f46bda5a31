//! A job: a process that looks at one view of a work tree.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{Effect, LONGEST_LOOK, State, View};

/// The number of a job.
pub type JobId = u64;

/// A job.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) tree: PathBuf,
    pub(super) view: View,
    pub(super) started: Instant,
    /// What it asked for: fingerprints by target.
    pub(super) asked: BTreeMap<String, String>,
    /// What of that it builds.
    pub(super) building: BTreeMap<String, String>,
    /// The jobs whose builds of a target end when this one's has begun.
    pub(super) replaces: BTreeMap<String, BTreeSet<JobId>>,
    /// It was asked to stop.
    pub(super) cancelled: bool,
    /// Because it took too long to look.
    pub(super) hangs: bool,
    /// It has something to build, but later.
    pub(super) waits: bool,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It looked, and maybe built.
    Done(Vec<TargetEnd>),
    /// Something was missing: Engine, registry, disk.
    Missing,
    /// HEAD moved, or git began with something.
    Moved,
    /// It cannot be done before something changes.
    Hopeless,
    /// It was stopped, died, or took too long to look.
    Died,
}

/// How a target of a job ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetEnd {
    /// There is nothing more to do, or nothing that we may.
    Settled(String),
    /// A step failed.
    Failed(String),
    /// Something was missing.
    Missing(String),
}

impl Job {
    pub(super) fn new(tree: PathBuf, view: View, now: Instant) -> Self {
        Self {
            tree,
            view,
            started: now,
            asked: BTreeMap::new(),
            building: BTreeMap::new(),
            replaces: BTreeMap::new(),
            cancelled: false,
            hangs: false,
            waits: false,
        }
    }

    /// When it has looked for too long; `None` while it builds.
    pub(super) fn hangs_at(&self) -> Option<Instant> {
        self.building
            .is_empty()
            .then(|| self.started + LONGEST_LOOK)
    }

    pub(super) fn is_of(&self, tree: &Path, view: View) -> bool {
        self.tree == tree && self.view == view
    }
}

impl State {
    /// BuildKit has begun with a target: what it replaces may go.
    pub(super) fn begun(&mut self, job: JobId, target: &str, effects: &mut Vec<Effect>) {
        let replaced = self
            .jobs
            .get_mut(&job)
            .and_then(|job| job.replaces.remove(target))
            .unwrap_or_default();
        for id in replaced {
            let Some(old) = self.jobs.get_mut(&id) else {
                continue;
            };
            old.building.remove(target);
            // Another target of the old job may be as new as it gets; then the job ends by itself.
            if old.building.is_empty() && !old.cancelled {
                old.cancelled = true;
                effects.push(Effect::Cancel(id));
            }
        }
    }

    /// A target of a job has ended, though others may go on.
    pub(super) fn left(&mut self, job: JobId, target: &str, now: Instant) {
        if let Some(job) = self.jobs.get_mut(&job) {
            if job.building.remove(target).is_some() {
                self.pruning.build_ended(now);
            }
            job.started = now;
        }
    }

    pub(super) fn ended(&mut self, id: JobId, end: End, now: Instant) {
        let Some(job) = self.jobs.remove(&id) else {
            return;
        };
        if !job.building.is_empty() {
            self.pruning.build_ended(now);
        }
        let Some(tree) = self.trees.get_mut(&job.tree) else {
            return;
        };
        let slot = tree.slot_mut(job.view);
        match end {
            End::Done(targets) => {
                let mut missing = false;
                for target in targets {
                    match target {
                        TargetEnd::Settled(target) => slot.succeed(&target),
                        TargetEnd::Failed(target) => {
                            if let Some(fingerprint) = job.asked.get(&target) {
                                slot.fail(&target, fingerprint, now);
                            }
                        }
                        TargetEnd::Missing(_) => missing = true,
                    }
                }
                if missing {
                    slot.missing(now);
                } else {
                    slot.complete();
                }
            }
            End::Moved => slot.moved(now),
            End::Hopeless => slot.complete(),
            // One that we stopped has been replaced, or nobody wants it any more.
            End::Died if job.cancelled && !job.hangs => {}
            End::Missing | End::Died => slot.missing(now),
        }
        if job.waits {
            slot.wait_for_room();
        }
    }
}
