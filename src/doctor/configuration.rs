//! The configuration, which decides what else is looked at.

use std::path::{Path, PathBuf};

use super::{Finding, LIMIT, State, Subject, blocking, too_slow};
use crate::config::{RepositoryConfig, UserConfig, load_user};
use crate::error::Error;
use crate::registry::Registry;
use crate::snapshot::{Repository, SnapshotError, Source};
use crate::warm::{check_target, repository_config};
use crate::world::World;

const USER: &str = "configuration";
const REPOSITORY: &str = "repository";

/// A work tree, and what its configuration says and lacks.
type Read = (
    PathBuf,
    Result<(RepositoryConfig, Option<String>), Error>,
    Vec<Error>,
);

/// Reads both configurations.
pub(super) async fn read(world: &World, path: &Path) -> (Subject, Vec<Finding>) {
    let (user, mut findings) = match load_user(&world.paths) {
        Ok(loaded) => {
            let seen = loaded
                .file
                .unwrap_or_else(|| "none of your own (defaults)".to_owned());
            (loaded.value, vec![Finding::ok(USER, seen)])
        }
        Err(error) => (
            UserConfig::default(),
            vec![Finding::error(USER, &error.into())],
        ),
    };
    let mut subject = Subject {
        registry: Registry::new(&user.registries, Some(world.docker_config()), 0),
        world: world.clone(),
        user,
        work_dir: None,
        repository: None,
    };
    let here = path == Path::new(".");
    let path = path.to_owned();
    let read = tokio::time::timeout(LIMIT, blocking(move || read_repository(&path))).await;
    let (work_dir, config, lacking) = match read.unwrap_or_else(|_| Err(too_slow())) {
        Ok(Ok(read)) => read,
        // Whoever names no repository asks about the machine.
        Ok(Err(SnapshotError::NotARepository { .. })) if here => {
            findings.push(Finding::unknown(
                REPOSITORY,
                "this directory is in none, so its builder and its caches are not looked at",
            ));
            return (subject, findings);
        }
        Ok(Err(error)) => {
            findings.push(Finding::error(REPOSITORY, &error.into()));
            return (subject, findings);
        }
        Err(error) => {
            findings.push(Finding::error(REPOSITORY, &error));
            return (subject, findings);
        }
    };
    findings.extend(
        lacking
            .iter()
            .map(|error| Finding::error(REPOSITORY, error)),
    );
    match config {
        Err(error) => findings.push(Finding::error(REPOSITORY, &error)),
        Ok((config, file)) => {
            if lacking.is_empty() {
                findings.push(Finding::new(REPOSITORY, State::Ok, describe(&config, file)));
            }
            subject.repository = Some(config);
        }
    }
    subject.work_dir = Some(work_dir);
    (subject, findings)
}

fn read_repository(path: &Path) -> Result<Read, SnapshotError> {
    let repository = Repository::discover(path)?;
    let work_dir = repository.work_dir().to_owned();
    // What is in the work tree is what the user is writing just now.
    let (loaded, snapshot) = match repository_config(&repository, &Source::Worktree) {
        Ok(read) => read,
        Err(error) => return Ok((work_dir, Err(error), Vec::new())),
    };
    let lacking = loaded
        .value
        .targets
        .iter()
        .filter_map(|target| check_target(&snapshot, target).err())
        .collect();
    Ok((work_dir, Ok((loaded.value, loaded.file)), lacking))
}

fn describe(config: &RepositoryConfig, file: Option<String>) -> String {
    let names: Vec<&str> = config
        .targets
        .iter()
        .map(|target| target.name.as_str())
        .collect();
    let file = file.unwrap_or_else(|| "no .prewarm.toml (detected)".to_owned());
    format!("{file}; targets: {}", names.join(", "))
}
