//! The main job: take the tree that CI will see, build the targets' stages from it, put their cache into the registry
//! under the tags that CI reads, and remember what was done.
//!
//! A job's way: `job` reads the tree, `evaluate` computes the key and decides, `confirm` asks the registry,
//! `build` solves and exports, `cut` helps to save what it can of a failed build. Every job ends as a
//! [`TargetSummary`]; one that fails never takes the others with it.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream;
use tokio_util::sync::CancellationToken;

use crate::buildkit::BuildkitError;
use crate::config::detect::DOCKERFILE;
use crate::config::{self, Loaded, REPOSITORY_FILE, RepositoryConfig, UserConfig};
use crate::error::{Error, Kind};
use crate::snapshot::{Checkout, Repository, Snapshot, SnapshotError, Source};
use crate::ui::{Event, Summary, TargetSummary, Ui};
use crate::world::World;

mod build;
mod confirm;
mod cut;
mod destination;
mod done;
mod evaluate;
mod imports;
mod job;
mod outcome;
mod push;
mod run;
pub mod show;
mod verdict;

use job::{Job, View};
use outcome::Ended;
use run::{Origin, Run};

/// At most so many bytes of a configuration are read; it may have 64 KiB.
const CONFIG_LIMIT: u64 = 1 << 20;

/// How long jobs may take to stop by themselves after the user asked for it.
const STOP_TIME: Duration = Duration::from_millis(1500);

/// What to warm.
#[derive(Clone, Debug)]
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
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// For people and programs.
    pub summary: Summary,
    /// Why targets failed, in their order.
    pub errors: Vec<Error>,
}

impl Report {
    /// The kind of the gravest failure, which decides the exit code.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        let gravity = |kind: &Kind| match kind {
            Kind::NotPushed => 0,
            Kind::Environment => 1,
            Kind::Work => 2,
            Kind::Usage => 3,
            Kind::Internal => 4,
            Kind::Signal(_) => 5,
        };
        self.errors
            .iter()
            .map(|error| error.kind)
            .max_by_key(gravity)
    }
}

/// Reads the configuration of a repository, and detects the target where it names none.
///
/// # Errors
/// What is wrong with the file, or that nothing could be detected.
pub fn repository_config(
    repository: &Repository,
    source: &Source,
) -> Result<(Loaded<RepositoryConfig>, Snapshot), Error> {
    // The file as it is in the work tree, committed or not: it says what the user wants now.
    let path = repository.work_dir().join(REPOSITORY_FILE);
    let mut loaded = match read_regular(&path) {
        Ok(Some(bytes)) => config::parse_repository_bytes(&bytes, REPOSITORY_FILE)?,
        Ok(None) => Loaded::default(),
        Err(error) => {
            let message = format!("{} cannot be read: {error}", path.display());
            return Err(Error::new(Kind::Usage, message));
        }
    };
    if let Some(branch) = repository.default_branch() {
        config::detect::detect_default_branch(&mut loaded, branch);
    }
    let ci = &loaded.value.ci;
    let snapshot = repository.snapshot(
        source,
        ci.umask,
        Checkout {
            lfs: ci.lfs,
            submodules: ci.submodules,
        },
    )?;
    if loaded.value.targets.is_empty() {
        let file = snapshot.file(DOCKERFILE).map_err(|error| match error {
            SnapshotError::Missing { .. } => Error::from(error).hint(format!(
                "commit a {DOCKERFILE}, or say in {REPOSITORY_FILE} where it is: `version = 1`, then `[target.builder]` \
                 with `dockerfile = \"…\"`"
            )),
            error => error.into(),
        })?;
        config::detect::detect(&mut loaded, &String::from_utf8_lossy(&file.bytes))?;
    }
    Ok((loaded, snapshot))
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

/// Reads a file of the repository's, and nothing else: no link to a place outside, no pipe that never ends. A longer file
/// than any configuration is cut; its length is then reported by whoever parses it.
fn read_regular(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
        Ok(metadata) if !metadata.is_file() => {
            return Err(std::io::Error::other("it is not a regular file"));
        }
        Ok(_) => {}
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(CONFIG_LIMIT)
        .read_to_end(&mut bytes)?;
    Ok(Some(bytes))
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
    let (repository, loaded, snapshot) = {
        let (path, source) = (request.path.clone(), request.source.clone());
        let taken = tokio::task::spawn_blocking(move || {
            let repository = Repository::discover(&path)?;
            let (loaded, snapshot) = repository_config(&repository, &source)?;
            Ok::<_, Error>((repository, loaded.value, snapshot))
        });
        tokio::select! {
            taken = taken => taken.map_err(internal)??,
            () = stop.cancelled() => return Err(BuildkitError::Cancelled.into()),
        }
    };
    let targets = selected(&loaded, &request.targets)?;
    let origin = Origin::new(&repository, &request.source, &snapshot);
    let run = Run::new(world, user, loaded, ui, request, stop.clone(), origin)?;
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
        let job = Job::new(run, target, platform, snapshot, view).await?;
        summary.source.clone_from(&job.source);
        outcome::decide(run, &job).await
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
    let head_tree = snapshot.tree_id();
    tokio::task::spawn_blocking(move || {
        let Some(base) = repository.remote_branch_commit(&ci.default_branch) else {
            return Ok(Merge::Same);
        };
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
