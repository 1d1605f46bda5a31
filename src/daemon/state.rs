//! What the daemon knows and decides: a value that events change, and that answers with what is to be done.
//!
//! Nothing in here does I/O or waits. The loop in `daemon::run` turns what happens into [`Event`]s, and carries out the
//! [`Effect`]s; whatever comes of them is an event again.
//!
//! A work tree has two views, each warmed by jobs of its own: HEAD, which CI builds after the next push, and the tracked
//! files as they are saved, which the next commit will have. A job is a process that looks at a view and finds out what
//! there is to build. Most find nothing, so looking costs no permission; before it builds, a job asks. Of a view at most
//! one build of each target goes on, but for the moment in which a newer snapshot takes over from an older one: the old
//! build is stopped only when the new one has begun, so that BuildKit can share the steps that both need.

mod ask;
mod job;
mod pruning;
mod seen;
mod slot;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

pub use ask::{Answer, Question};
pub use job::{End, JobId, TargetEnd};
pub use pruning::Looked;

use job::Job;
use pruning::Pruning;
use slot::Slot;
use tree::Tree;

/// A look that takes longer hangs: at a file that nobody writes, or at a server that does not answer.
const LONGEST_LOOK: Duration = Duration::from_secs(5 * 60);

/// Looks that go on at a time: each takes a process some milliseconds.
const LOOKS: usize = 2;

/// A change is complete at the latest after this, even if more follows.
const LONGEST: Duration = crate::config::LONGEST_QUIET;

/// Which snapshot of a work tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// The commit that HEAD is at.
    Head,
    /// The tracked files as they are.
    Worktree,
}

/// What the user has set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Builds side by side.
    pub parallel: usize,
    /// Whether [`View::Worktree`] is warmed.
    pub worktree: bool,
    /// How long nothing may change before a change counts as complete.
    pub quiet: Duration,
    /// How often everything is looked at when nothing changes.
    pub recheck: Duration,
    /// How long builds may go on after the daemon was asked to stop.
    pub grace: Duration,
    /// How often is looked whether the disk has room when nothing happens; `None` for never.
    pub prune: Option<Duration>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// These are the work trees now, all of them.
    Enrolled(BTreeSet<PathBuf>),
    /// Something in a work tree may have changed.
    Changed(PathBuf),
    /// A person wants a work tree to be looked at.
    Wanted(PathBuf),
    /// A hook was run, wherever.
    Hooked,
    /// A look at the disk has ended.
    Looked(Looked),
    /// Whether git is in the middle of something in a work tree.
    Probed {
        /// The work tree.
        tree: PathBuf,
        /// What, if so.
        busy: Option<Busy>,
    },
    /// A job asks whether it may build.
    Asked {
        /// The job.
        job: JobId,
        /// What it asks.
        question: Question,
    },
    /// BuildKit has begun with a target of a job.
    Begun {
        /// The job.
        job: JobId,
        /// The target.
        target: String,
    },
    /// A target of a job has ended.
    Left {
        /// The job.
        job: JobId,
        /// The target.
        target: String,
    },
    /// A job has ended.
    Ended {
        /// The job.
        job: JobId,
        /// How.
        end: End,
    },
    /// The user has other settings now, or has allowed something.
    Reloaded(Settings),
    /// No more builds, until then or until further notice.
    Paused(Option<Instant>),
    /// Builds again.
    Resumed,
    /// The daemon shall end: first when its builds have, then at once.
    Stop,
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Find out whether git is in the middle of something.
    Probe(PathBuf),
    /// Start a job.
    Start {
        /// Its number.
        job: JobId,
        /// Of this work tree.
        tree: PathBuf,
        /// Of this view.
        view: View,
    },
    /// Tell a job whether it may build.
    Answer {
        /// The job.
        job: JobId,
        /// The number of its question.
        question: u64,
        /// The answer.
        answer: Answer,
    },
    /// Ask a job to stop.
    Cancel(JobId),
    /// Start a look at the disk, which deletes what may go if it is time.
    Prune,
    /// Ask the look at the disk to stop.
    StopPrune,
    /// Begin to watch a work tree.
    Watch(PathBuf),
    /// Watch a work tree no longer.
    Unwatch(PathBuf),
    /// End.
    Exit,
}

/// What git is in the middle of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Busy {
    /// For people, such as `a rebase`.
    pub what: String,
    /// It takes moments, and nothing tells us of its end.
    pub brief: bool,
}

/// What the daemon knows.
#[derive(Debug)]
pub struct State {
    settings: Settings,
    trees: BTreeMap<PathBuf, Tree>,
    jobs: BTreeMap<JobId, Job>,
    next: JobId,
    /// Questions of jobs that let a look at HEAD go first.
    held: Vec<(JobId, Question)>,
    pause: Option<Pause>,
    /// When the builds that still run are stopped.
    stop: Option<Instant>,
    recheck: Instant,
    pruning: Pruning,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    Until(Instant),
    Open,
}

impl State {
    /// A daemon that knows of no work tree yet.
    #[must_use]
    pub fn new(settings: Settings, now: Instant) -> Self {
        Self {
            settings,
            trees: BTreeMap::new(),
            jobs: BTreeMap::new(),
            next: 1,
            held: Vec::new(),
            pause: None,
            stop: None,
            recheck: now + settings.recheck,
            pruning: Pruning::default(),
        }
    }

    /// Takes in what happened; what is to be done, in this order.
    pub fn handle(&mut self, event: Event, now: Instant) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Enrolled(trees) => self.enroll(&trees, now, &mut effects),
            Event::Changed(tree) => self.change(&tree, now),
            Event::Wanted(tree) => self.want(&tree, now),
            Event::Hooked => self.pruning.want(),
            Event::Looked(looked) => self.looked(looked, now),
            Event::Probed { tree, busy } => self.probed(&tree, busy, now),
            Event::Asked { job, question } => self.asked(job, question, &mut effects),
            Event::Begun { job, target } => self.begun(job, &target, &mut effects),
            Event::Left { job, target } => self.left(job, &target, now),
            Event::Ended { job, end } => self.ended(job, end, now),
            Event::Reloaded(settings) => self.reload(settings, now),
            Event::Paused(until) => self.pause = Some(until.map_or(Pause::Open, Pause::Until)),
            Event::Resumed => self.pause = None,
            Event::Stop => self.stop(now, &mut effects),
            Event::Tick => {}
        }
        self.answer_held(&mut effects);
        self.pass_time(now, &mut effects);
        self.start(now, &mut effects);
        self.prune(now, &mut effects);
        if self.stop.is_some() && self.jobs.is_empty() && !self.pruning.runs() {
            effects.push(Effect::Exit);
        }
        effects
    }

    /// When a [`Event::Tick`] is due; `None` if only events change anything.
    #[must_use]
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let paused = match self.pause {
            Some(Pause::Until(until)) => Some(until),
            _ => None,
        };
        let trees = self
            .trees
            .values()
            .filter_map(|tree| tree.deadline(self.settings.quiet, now));
        let recheck = (!self.trees.is_empty()).then_some(self.recheck);
        let mut jobs = self.jobs.values().filter(|job| !job.cancelled);
        if let Some(stop) = self.stop {
            return jobs.next().map(|_| stop);
        }
        let hang = jobs.filter_map(Job::hangs_at);
        let prune = self.prune_deadline(now);
        let own = paused.into_iter().chain(recheck).chain(prune);
        trees.chain(own).chain(hang).min()
    }

    fn enroll(&mut self, trees: &BTreeSet<PathBuf>, now: Instant, effects: &mut Vec<Effect>) {
        let gone: Vec<_> = self
            .trees
            .keys()
            .filter(|tree| !trees.contains(*tree))
            .cloned()
            .collect();
        for tree in gone {
            self.trees.remove(&tree);
            for (&id, job) in &mut self.jobs {
                if job.tree == tree && !job.cancelled {
                    job.cancelled = true;
                    effects.push(Effect::Cancel(id));
                }
            }
            effects.push(Effect::Unwatch(tree));
        }
        for tree in trees {
            if !self.trees.contains_key(tree) {
                self.trees.insert(tree.clone(), Tree::new(now));
                effects.push(Effect::Watch(tree.clone()));
            }
        }
    }

    fn change(&mut self, tree: &Path, now: Instant) {
        if let Some(tree) = self.trees.get_mut(tree) {
            tree.change(now);
        }
    }

    fn want(&mut self, tree: &Path, now: Instant) {
        if let Some(tree) = self.trees.get_mut(tree) {
            tree.complete(now);
            tree.slots_mut().for_each(Slot::try_again);
        }
    }

    fn probed(&mut self, tree: &Path, busy: Option<Busy>, now: Instant) {
        let worktree = self.settings.worktree;
        if let Some(tree) = self.trees.get_mut(tree)
            && tree.probed(busy, now)
        {
            tree.slot_mut(View::Head).want();
            if worktree {
                tree.slot_mut(View::Worktree).want();
            }
        }
    }

    fn reload(&mut self, settings: Settings, now: Instant) {
        if settings.recheck != self.settings.recheck {
            self.recheck = now + settings.recheck;
        }
        self.settings = settings;
        for tree in self.trees.values_mut() {
            tree.change(now);
            tree.slots_mut().for_each(Slot::try_again);
            if !settings.worktree {
                tree.slot_mut(View::Worktree).wanted = false;
            }
        }
    }

    fn stop(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.stop.is_some() {
            effects.push(Effect::Exit);
        }
        self.stop = Some(now + self.settings.grace);
        for (&id, job) in &mut self.jobs {
            // Who only looks has nothing to lose.
            if job.building.is_empty() && !job.cancelled {
                job.cancelled = true;
                effects.push(Effect::Cancel(id));
            }
        }
    }

    fn pass_time(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if let Some(stop) = self.stop {
            for (&id, job) in self.jobs.iter_mut().filter(|_| now >= stop) {
                if !job.cancelled {
                    job.cancelled = true;
                    effects.push(Effect::Cancel(id));
                }
            }
            return;
        }
        if self
            .pause
            .is_some_and(|pause| matches!(pause, Pause::Until(until) if now >= until))
        {
            self.pause = None;
        }
        for (&id, job) in &mut self.jobs {
            if !job.cancelled && job.hangs_at().is_some_and(|at| now >= at) {
                job.cancelled = true;
                job.hangs = true;
                effects.push(Effect::Cancel(id));
            }
        }
        let recheck = now >= self.recheck;
        if recheck {
            self.recheck = now + self.settings.recheck;
        }
        for (path, tree) in &mut self.trees {
            if recheck {
                tree.complete(now);
            }
            tree.slots_mut().for_each(|slot| slot.pass_time(now));
            if tree.take_probe(self.settings.quiet, now) {
                effects.push(Effect::Probe(path.clone()));
            }
        }
    }

    /// Starts what is wanted and can be.
    fn start(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        if self.stop.is_some() || self.pause.is_some() {
            return;
        }
        let room = self.builds() < self.settings.parallel;
        let mut looks = self
            .jobs
            .values()
            .filter(|job| job.building.is_empty())
            .count();
        for (path, tree) in &mut self.trees {
            for view in [View::Head, View::Worktree] {
                let of_view = |job: &&Job| job.tree == *path && job.view == view;
                let looked_at = self
                    .jobs
                    .values()
                    .filter(of_view)
                    .any(|job| job.building.is_empty());
                let slot = tree.slot_mut(view);
                if looks >= LOOKS || looked_at || !slot.is_due(now) || (slot.blocked && !room) {
                    continue;
                }
                slot.started();
                let job = self.next;
                self.next += 1;
                looks += 1;
                self.jobs.insert(job, Job::new(path.clone(), view, now));
                effects.push(Effect::Start {
                    job,
                    tree: path.clone(),
                    view,
                });
            }
        }
    }
}
