//! The daemon's one loop. It owns all state: whatever happens comes in here as a value, is handed to [`State`], and what
//! that decides is carried out by tasks whose ends come in here again.

mod own;
mod prune;
mod requests;
mod show;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::jobs::{Heard, Launcher, Running};
use super::model::{Model, News};
use super::server::Asked;
use super::service::Service;
use super::signals::Signal;
use super::state::{Answer, Busy, Effect, Event, JobId, Question, Settings, State, View};
use super::status::Problem;
use super::watching::{Changes, Watching};
use super::{probe, prunes};
use crate::config::UserConfig;
use crate::error::Error;
use crate::protocol::Request;
use crate::prune::checked::Checked;
use crate::snapshot::WorkTree;
use crate::ui::text::clean;
use crate::worker::{Outcome, Told};
use crate::world::World;

/// Work trees whose changes cannot be watched are looked at so often.
const POLL: Duration = Duration::from_secs(60);

/// A file that is being written is complete after so long.
const WRITTEN: Duration = Duration::from_millis(150);

/// A work tree that git makes is one after so long.
const SETTLED: Duration = Duration::from_secs(1);

/// What our own tasks come back with.
#[derive(Debug)]
enum Back {
    Probed(PathBuf, Option<Busy>),
    Enrolled(Result<Vec<WorkTree>, Error>),
    /// What the last look at the disk came to that the records know of.
    Remembered(Checked),
    Looked(Option<Checked>),
}

/// The daemon.
pub(super) struct Daemon<'a> {
    world: &'a World,
    user: UserConfig,
    state: State,
    model: Model,
    watching: Watching,
    launcher: Launcher,
    places: BTreeMap<PathBuf, WorkTree>,
    jobs: BTreeMap<JobId, Running>,
    prune: Option<prunes::Running>,
    /// What the last look at the disk came to.
    checked: Option<Checked>,
    /// Questions that wait for their answer: what each is about.
    questions: BTreeMap<(JobId, u64), String>,
    heard: mpsc::Sender<(JobId, Heard)>,
    own: mpsc::UnboundedSender<Back>,
    changes: watch::Sender<u64>,
    problems: BTreeMap<&'static str, Problem>,
    started_at: i64,
    socket: PathBuf,
    poll: Option<Instant>,
    /// When to look again which work trees there are.
    enroll_at: Option<Instant>,
    reload_at: Option<Instant>,
    ended: bool,
}

/// Where things come in.
pub(super) struct Sources {
    pub(super) requests: mpsc::Receiver<Asked>,
    pub(super) signals: mpsc::UnboundedReceiver<Signal>,
    /// Where requests come in.
    pub(super) socket: PathBuf,
}

pub(super) fn settings(user: &UserConfig) -> Settings {
    let daemon = &user.daemon;
    Settings {
        parallel: daemon.parallel,
        worktree: daemon.worktree,
        quiet: daemon.quiet,
        recheck: daemon.recheck,
        grace: daemon.grace,
        prune: user.prune.automatic.then_some(user.prune.every),
    }
}

/// Runs until somebody ends it.
pub(super) async fn run(
    world: &World,
    user: UserConfig,
    watching: Watching,
    launcher: Launcher,
    mut sources: Sources,
    changes: watch::Sender<u64>,
) {
    let (heard, mut from_jobs) = mpsc::channel(256);
    let (own, mut from_us) = mpsc::unbounded_channel();
    let wake = watching.wake();
    let mut daemon = Daemon {
        world,
        state: State::new(settings(&user), Instant::now()),
        user,
        model: Model::default(),
        watching,
        launcher,
        places: BTreeMap::new(),
        jobs: BTreeMap::new(),
        prune: None,
        checked: None,
        questions: BTreeMap::new(),
        heard,
        own,
        changes,
        problems: BTreeMap::new(),
        started_at: world.now_ms(),
        socket: sources.socket,
        poll: None,
        enroll_at: None,
        reload_at: None,
        ended: false,
    };
    daemon.announce();
    daemon.remember();
    daemon.enroll();
    daemon.take_spool();
    daemon.plan_poll();
    let mut service = Service::begin();
    while !daemon.ended {
        service.status(&daemon.headline());
        let deadline = daemon.deadline();
        let mut news = true;
        tokio::select! {
            Some((job, heard)) = from_jobs.recv() => daemon.hear(job, heard),
            Some(back) = from_us.recv() => daemon.back(back),
            Some(asked) = sources.requests.recv() => {
                // Whoever follows asks when there is news: that he asked is none.
                news = !matches!(asked.request, Request::Status | Request::Follow);
                daemon.asked(asked);
            }
            Some(signal) = sources.signals.recv() => daemon.signal(signal),
            () = wake.notified() => {
                let changes = daemon.watching.changes();
                daemon.changed(changes);
            }
            () = until(deadline) => daemon.tick(),
            // From here and not from a task of its own: it shall stop when this loop hangs.
            () = service.watchdog() => news = false,
        }
        if news {
            daemon.changes.send_modify(|count| *count += 1);
        }
    }
    Service::end();
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

impl Daemon<'_> {
    fn handle(&mut self, event: Event) {
        for effect in self.state.handle(event, Instant::now()) {
            self.carry_out(effect);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let state = self.state.deadline(Instant::now());
        let own = [self.poll, self.enroll_at, self.reload_at];
        let own = own.into_iter().flatten();
        state.into_iter().chain(own).min()
    }

    fn tick(&mut self) {
        if self.reload_at.is_some_and(|at| Instant::now() >= at) {
            self.reload_at = None;
            // What is wrong is in the log and in the status.
            let _ = self.reload();
        }
        if self.enroll_at.is_some_and(|at| Instant::now() >= at) {
            self.enroll_at = None;
            self.enroll();
        }
        if self.poll.is_some_and(|poll| Instant::now() >= poll) {
            self.poll = None;
            self.announce();
            let polled: Vec<_> = self.watching.polled().map(Path::to_owned).collect();
            for tree in polled {
                self.handle(Event::Changed(tree));
            }
        }
        self.handle(Event::Tick);
        self.plan_poll();
    }

    fn plan_poll(&mut self) {
        let needed =
            self.watching.polled().next().is_some() || self.problems.contains_key("discovery");
        self.poll = needed.then(|| self.poll.unwrap_or_else(|| Instant::now() + POLL));
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Probe(tree) => self.probe(tree),
            Effect::Start { job, tree, view } => self.start(job, tree, view),
            Effect::Answer {
                job,
                question,
                answer,
            } => self.answer(job, question, answer),
            Effect::Cancel(job) => drop(self.jobs.remove(&job)),
            Effect::Prune => self.start_prune(),
            Effect::StopPrune => drop(self.prune.take()),
            Effect::Watch(tree) => {
                if let Some(place) = self.places.get(&tree) {
                    tracing::info!("watches {}", tree.display());
                    self.watching.add(place.clone());
                }
            }
            Effect::Unwatch(tree) => {
                tracing::info!("watches {} no longer", tree.display());
                self.watching.remove(&tree);
            }
            Effect::Exit => self.ended = true,
        }
    }

    fn probe(&self, tree: PathBuf) {
        let Some(place) = self.places.get(&tree) else {
            return;
        };
        let (git_dir, own) = (place.git_dir.clone(), self.own.clone());
        tokio::task::spawn_blocking(move || {
            let busy = probe::busy(&git_dir);
            // The daemon has ended otherwise.
            let _ = own.send(Back::Probed(tree, busy));
        });
    }

    fn start(&mut self, job: JobId, tree: PathBuf, view: View) {
        tracing::debug!(job, "looks at {} ({view:?})", tree.display());
        let started = self.launcher.start(job, &tree, view, self.heard.clone());
        self.model.started(job, tree, view);
        match started {
            Ok(running) => {
                self.problems.remove("job");
                self.jobs.insert(job, running);
            }
            Err(error) => {
                let problem = Problem {
                    message: format!(
                        "{} cannot be started: {error}",
                        self.launcher.program.display()
                    ),
                    remedy: Some(
                        "if prewarm was moved or updated, start the daemon again".to_owned(),
                    ),
                };
                self.problems.insert("job", problem);
                // As any other end of a job, and not while this one is being started.
                let heard = self.heard.clone();
                tokio::spawn(async move {
                    // The daemon has ended otherwise.
                    let _ = heard.send((job, Heard::Ended(None))).await;
                });
            }
        }
    }

    fn answer(&mut self, job: JobId, question: u64, answer: Answer) {
        let target = self.questions.remove(&(job, question));
        if let (Some(target), Answer::Go) = (&target, answer) {
            let tree = self
                .model
                .whose(job)
                .map(|(tree, _)| tree)
                .unwrap_or_default();
            tracing::info!(job, "builds {target} of {}", tree.display());
            self.model.allowed(job, target, self.world.now_ms());
        }
        if let Some(running) = self.jobs.get(&job) {
            running.tell(Told {
                id: question,
                answer,
            });
        }
    }

    fn hear(&mut self, job: JobId, heard: Heard) {
        match heard {
            Heard::Event(event) if event["event"] == "ask" => {
                if let Ok(question) = serde_json::from_value::<Question>(event) {
                    self.questions
                        .insert((job, question.id), question.target.clone());
                    self.handle(Event::Asked { job, question });
                }
            }
            Heard::Event(event) => {
                if let Some(message) = event["message"]
                    .as_str()
                    .filter(|_| event["event"] == "warning")
                {
                    tracing::warn!(job, "{}", clean(message));
                    self.model.warned(job, message);
                }
                match self.model.event(job, &event) {
                    Some(News::Begun(target)) => {
                        tracing::info!(job, "BuildKit works on {target}");
                        self.handle(Event::Begun { job, target });
                    }
                    Some(News::Left(target)) => self.handle(Event::Left { job, target }),
                    None => {}
                }
            }
            Heard::Ended(outcome) => self.job_ended(job, outcome),
        }
    }

    fn job_ended(&mut self, job: JobId, outcome: Option<Outcome>) {
        let stopped = self.jobs.remove(&job).is_none();
        self.questions.retain(|(asker, _), _| *asker != job);
        let whose = self.model.whose(job);
        // What a job says that was stopped is of no interest.
        let outcome = outcome.filter(|_| !stopped);
        let Some((tree, view)) = whose else { return };
        let before = self.model.verdicts(&tree, view);
        let end = self.model.ended(job, outcome.as_ref(), self.world.now_ms());
        if let Some(outcome) = outcome {
            self.report(&tree, view, &outcome, &before);
            let unseen = self
                .watching
                .read(&tree, view, outcome.files, outcome.more_files);
            self.plan_poll();
            self.handle(Event::Ended { job, end });
            if unseen {
                self.handle(Event::Changed(tree));
            }
        } else {
            self.handle(Event::Ended { job, end });
        }
    }

    fn back(&mut self, back: Back) {
        match back {
            Back::Remembered(checked) => {
                // A look may have been quicker.
                self.checked.get_or_insert(checked);
            }
            Back::Looked(checked) => self.looked(checked),
            Back::Probed(tree, busy) => self.handle(Event::Probed { tree, busy }),
            Back::Enrolled(Ok(places)) => {
                self.problems.remove("consent");
                self.places = places
                    .into_iter()
                    .map(|place| (place.work_dir.clone(), place))
                    .collect();
                let trees: BTreeSet<_> = self.places.keys().cloned().collect();
                self.model.keep(&|tree| trees.contains(tree));
                self.handle(Event::Enrolled(trees));
                self.plan_poll();
            }
            Back::Enrolled(Err(error)) => {
                tracing::error!("{error}");
                let problem = Problem {
                    message: error.to_string(),
                    remedy: (!error.hints.is_empty()).then(|| error.hints.join("; ")),
                };
                self.problems.insert("consent", problem);
                // Nothing may be built on the word of a file that cannot be trusted.
                self.places.clear();
                self.handle(Event::Enrolled(BTreeSet::new()));
            }
        }
    }

    fn changed(&mut self, changes: Changes) {
        if changes.settings {
            // Whoever writes may be in the middle of it.
            self.reload_at = Some(Instant::now() + WRITTEN);
        }
        if changes.work_trees || changes.consent {
            self.enroll();
        }
        if changes.consent {
            // What a job approves by itself is no news to anybody who does not wait for it.
            let waiting = self.places.keys();
            let waiting = waiting.filter(|tree| self.model.waits_for_its_user(tree));
            for tree in waiting.cloned().collect::<Vec<_>>() {
                self.handle(Event::Wanted(tree));
            }
        }
        if changes.work_trees {
            // Git may still be making it, and nothing tells of the end of that.
            self.enroll_at = Some(Instant::now() + SETTLED);
        }
        if changes.spool {
            self.take_spool();
        }
        if changes.discovery || self.problems.contains_key("discovery") {
            self.announce();
            self.plan_poll();
        }
        for tree in changes.trees {
            self.handle(Event::Changed(tree));
        }
    }

    fn signal(&mut self, signal: Signal) {
        match signal {
            // It is in the log and in the status.
            Signal::Reload => drop(self.reload()),
            Signal::Stop => {
                tracing::info!("was asked to stop");
                self.handle(Event::Stop);
            }
        }
    }
}
