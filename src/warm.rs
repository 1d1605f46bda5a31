//! The main job: take the tree that CI will see, build the targets' stages from it, put their cache into the registry
//! under the tags that CI reads, and remember what was done.
//!
//! A job's way: `job` reads the tree, `gate` lets it pass where nobody asked for it, `evaluate` computes the key and
//! decides, `confirm` asks the registry, `build` solves and exports, `cut` helps to save what it can of a failed build.
//! Every job ends as a [`TargetSummary`]; one that fails never takes the others with it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use tokio_util::sync::CancellationToken;

use crate::buildkit::BuildkitError;
use crate::config::{self, RepositoryConfig, UserConfig};
use crate::consent::Store;
use crate::error::{Error, Kind};
use crate::snapshot::{Checkout, Repository, Snapshot, SnapshotError, Source};
use crate::ui::{Event, Summary, TargetSummary, Ui};
use crate::world::World;

mod build;
mod configured;
mod confirm;
mod cut;
mod destination;
mod done;
mod evaluate;
pub mod gate;
mod imports;
mod job;
pub(crate) mod join;
mod need;
mod outcome;
pub mod permit;
mod push;
pub mod review;
mod room;
mod run;
pub mod show;
pub mod sight;
pub mod terms;
mod turn;
mod verdict;
mod witness;

pub use configured::{careful_config, configured, repository_config};

use gate::Gate;
use job::{Job, View};
use outcome::Ended;
use permit::Permit;
use run::{Origin, Run};
use sight::Sight;

/// How long jobs may take to stop by themselves after the user asked for it.
const STOP_TIME: Duration = Duration::from_millis(1500);

/// What to warm.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a wish of its own")]
pub struct Request {
    /// The repository, or any directory in it.
    pub path: PathBuf,
    /// Only these targets; empty for all.
    pub targets: Vec<String>,
    /// Which tree.
    pub source: Source,
    /// Build whatever is known.
    pub force: bool,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Push to the registry.
    pub push: bool,
    /// Somebody asked for it just now. Otherwise nothing is built but what [`gate`] lets through, and no tag is moved for
    /// what is not committed.
    pub attended: bool,
    /// Who must permit each build.
    pub permit: Permit,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// For people and programs.
    pub summary: Summary,
    /// Why targets failed, in their order.
    pub errors: Vec<Error>,
    /// The branch, if one is meant.
    pub branch: Option<String>,
    /// The files that decide what is built, unless somebody asked for the warm.
    pub sight: Sight,
}

impl Report {
    /// The kind of the gravest failure, which decides the exit code.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        let gravity = |kind: &Kind| match kind {
            Kind::NotPushed => 0,
            Kind::NeedsApproval => 1,
            Kind::Unsettled => 2,
            Kind::Environment => 3,
            Kind::Work => 4,
            Kind::Usage => 5,
            Kind::Internal => 6,
            Kind::Signal(_) => 7,
        };
        self.errors
            .iter()
            .map(|error| error.kind)
            .max_by_key(gravity)
    }
}

/// Makes sure that a snapshot has what a target names: the context, the Dockerfile, the stage.
///
/// # Errors
/// The first of them that is not there, or cannot be used.
pub fn check_target(snapshot: &Snapshot, target: &config::Target) -> Result<(), Error> {
    let checked = job::check(snapshot, target);
    checked.map_err(|mut error| {
        if !error.message.starts_with("target ") {
            error.message = format!("target {}: {}", target.name, error.message);
        }
        error
    })
}

/// Warms.
///
/// # Errors
/// What keeps every target from being tried at all. What befalls single targets is in the [`Report`].
pub async fn warm(
    world: &World,
    user: UserConfig,
    ui: &Ui,
    request: Request,
    stop: &CancellationToken,
) -> Result<Report, Error> {
    let (repository, loaded, snapshot, gate) = {
        let (path, source, attended) = (
            request.path.clone(),
            request.source.clone(),
            request.attended,
        );
        let store = Store::at(world.paths.consent());
        let taken = tokio::task::spawn_blocking(move || {
            let repository = Repository::discover(&path)?;
            if attended {
                let (loaded, snapshot) = repository_config(&repository, &source)?;
                return Ok::<_, Error>((repository, loaded.value, snapshot, None));
            }
            let repository = repository.careful();
            let gate = Gate::open(store, &repository)?;
            let taken = careful_config(&repository, &source);
            let (loaded, snapshot) = taken.map_err(|error| gate.unless_unsettled(error))?;
            Ok((repository, loaded.value, snapshot, Some(gate)))
        });
        tokio::select! {
            taken = taken => taken.map_err(internal)??,
            () = stop.cancelled() => return Err(BuildkitError::Cancelled.into()),
        }
    };
    let targets = selected(&loaded, &request.targets)?;
    let origin = Origin::new(&repository, &request.source, &snapshot);
    let run = Run::new(world, user, loaded, ui, request, stop.clone(), origin, gate)?;
    // Per target and platform, the jobs that follow each other.
    let chains: Vec<(config::Target, Option<String>)> = targets
        .into_iter()
        .flat_map(|target| {
            let platforms: Vec<Option<String>> = match target.platforms.as_slice() {
                [] => vec![None],
                platforms => platforms.iter().cloned().map(Some).collect(),
            };
            platforms
                .into_iter()
                .map(move |platform| (target.clone(), platform))
        })
        .collect();
    let merge = merge_view(&run, repository, &snapshot).await?;
    let done: Vec<Vec<Ended>> = stream::iter(chains)
        .map(|(target, platform)| chain(&run, target, platform, &snapshot, &merge))
        .buffered(run.user.warm.parallel)
        .collect()
        .await;
    let mut report = Report {
        summary: Summary::default(),
        errors: Vec::new(),
        branch: run.branch.clone(),
        sight: run.sight.take(),
    };
    for ended in done.into_iter().flatten() {
        report.summary.targets.push(ended.summary);
        report.errors.extend(ended.error);
    }
    Ok(report)
}

/// Runs a target's jobs: the tree itself, then its merge with the base branch where that is another build.
async fn chain(
    run: &Run<'_>,
    target: config::Target,
    platform: Option<String>,
    snapshot: &Snapshot,
    merge: &Merge,
) -> Vec<Ended> {
    let mut head = one(run, &target, platform.clone(), snapshot, View::Tree).await;
    let mut ended = Vec::new();
    match merge {
        Merge::Conflict(base) => head.summary.notes.push(format!(
            "{base} does not merge without conflicts: CI cannot build the pull request before you resolve them"
        )),
        Merge::Tree(merged, base) if head.error.is_none() => {
            let view = View::Merge { base: base.clone(), head_key: head.summary.key.clone() };
            let merged = one(run, &target, platform, merged, view).await;
            if !merged.same_as_head {
                ended.push(merged);
            }
        }
        Merge::Same | Merge::Tree(..) => {}
    }
    ended.insert(0, head);
    ended
}

/// Runs one job to its end, whatever that is.
async fn one(
    run: &Run<'_>,
    target: &config::Target,
    platform: Option<String>,
    snapshot: &Snapshot,
    view: View,
) -> Ended {
    let started = Instant::now();
    let label = Run::label(target, platform.as_deref(), &view);
    let mut summary = TargetSummary::new(&target.name, platform.clone());
    let work = async {
        let job = Job::new(run, target, platform, snapshot, view).await;
        let Some(gate) = &run.gate else {
            let job = job?;
            summary.source.clone_from(&job.source);
            return outcome::decide(run, &job).await;
        };
        let job = job.map_err(|error| gate.unless_unsettled(error))?;
        summary.source.clone_from(&job.source);
        sight::recipe(run, &job);
        let passed = gate.check(run, &job);
        passed.map_err(|error| gate.unless_unsettled(error))?;
        let ended = outcome::decide(run, &job).await?;
        gate.learn(run, &job);
        Ok(ended)
    };
    let ended = tokio::select! {
        ended = work => ended,
        // A solve stops by itself, and says how far it got; nothing else may keep the user waiting.
        () = async { run.stop.cancelled().await; tokio::time::sleep(STOP_TIME).await } => {
            Err(BuildkitError::Cancelled.into())
        }
    };
    let mut ended = ended.unwrap_or_else(|error| Ended::failed(summary, error));
    ended.summary.duration = started.elapsed();
    ended.summary.label.clone_from(&label);
    run.ui.event(&Event::TargetDone { target: label });
    ended
}

/// The targets that were asked for, in the configuration's order.
fn selected(config: &RepositoryConfig, wanted: &[String]) -> Result<Vec<config::Target>, Error> {
    let names: Vec<&str> = config
        .targets
        .iter()
        .map(|target| target.name.as_str())
        .collect();
    if let Some(unknown) = wanted.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(
            Error::new(Kind::Usage, format!("there is no target called {unknown}"))
                .hint(format!("the targets are: {}", names.join(", "))),
        );
    }
    let wanted: BTreeSet<&String> = wanted.iter().collect();
    let chosen = |target: &&config::Target| wanted.is_empty() || wanted.contains(&target.name);
    Ok(config.targets.iter().filter(chosen).cloned().collect())
}

/// What CI builds for a pull request.
enum Merge {
    /// The same tree, or no pull request.
    Same,
    /// Another tree; with the base's name.
    Tree(Snapshot, String),
    /// None, until the conflict with this base is resolved.
    Conflict(String),
}

async fn merge_view(
    run: &Run<'_>,
    repository: Repository,
    snapshot: &Snapshot,
) -> Result<Merge, Error> {
    let ci = run.config.ci.clone();
    let on_base = run
        .branch
        .as_deref()
        .is_none_or(|branch| branch == ci.default_branch);
    if !ci.pull_requests || on_base || !run.is_head() {
        return Ok(Merge::Same);
    }
    let (head_tree, attended) = (snapshot.tree_id(), run.request.attended);
    tokio::task::spawn_blocking(move || {
        let Some(base) = repository.remote_branch_commit(&ci.default_branch) else {
            return Ok(Merge::Same);
        };
        // The branch is named by a file that a checkout may change.
        let trusted = |upstream| repository.is_ancestor(base, upstream);
        if !attended && !repository.trusted_upstream().is_some_and(trusted) {
            return Ok(Merge::Same);
        }
        let checkout = Checkout {
            lfs: ci.lfs,
            submodules: ci.submodules,
        };
        match repository.snapshot(&Source::Merge { base }, ci.umask, checkout) {
            Ok(merged) if merged.tree_id() == head_tree => Ok(Merge::Same),
            Ok(merged) => Ok(Merge::Tree(merged, ci.default_branch)),
            Err(SnapshotError::MergeConflict { .. }) => Ok(Merge::Conflict(ci.default_branch)),
            Err(error) => Err(Error::from(error)),
        }
    })
    .await
    .map_err(internal)?
}

/// A task of ours panicked.
fn internal(error: impl std::fmt::Display) -> Error {
    Error::new(
        Kind::Internal,
        format!("a task of prewarm ended unexpectedly: {error}"),
    )
    .hint("this is a bug; please report it with the command that you ran")
}
