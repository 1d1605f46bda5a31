//! A repository's configuration together with the tree that it is about.

use std::io::Read;
use std::path::Path;

use crate::config::detect::DOCKERFILE;
use crate::config::{self, Ci, Loaded, REPOSITORY_FILE, RepositoryConfig};
use crate::error::{Error, Kind};
use crate::snapshot::{Checkout, Repository, Snapshot, SnapshotError, Source};

/// At most so many bytes of a configuration are read; it may have 64 KiB.
const CONFIG_LIMIT: u64 = 1 << 20;

/// Reads the configuration of a repository, and detects the target where it names none.
///
/// # Errors
/// What is wrong with the file, or that nothing could be detected.
pub fn repository_config(
    repository: &Repository,
    source: &Source,
) -> Result<(Loaded<RepositoryConfig>, Snapshot), Error> {
    // The file as it is in the work tree, committed or not: it says what the user wants now.
    let mut loaded = in_work_tree(repository)?;
    if let Some(branch) = repository.default_branch() {
        config::detect::detect_default_branch(&mut loaded, branch);
    }
    let ci = &loaded.value.ci;
    let snapshot = repository.snapshot(source, ci.umask, checkout(ci))?;
    detect(&mut loaded, &snapshot)?;
    Ok((loaded, snapshot))
}

/// As [`repository_config`] for when nobody asked: by the file as the tree itself has it. Somebody else's file that a
/// checkout brings to the work tree says nothing of the commit that HEAD is still at.
///
/// # Errors
/// What is wrong with the file, or that nothing could be detected.
pub fn careful_config(
    repository: &Repository,
    source: &Source,
) -> Result<(Loaded<RepositoryConfig>, Snapshot), Error> {
    let plain = repository.snapshot(source, Ci::default().umask, Checkout::default())?;
    configured(repository, &plain)
}

/// The configuration that a tree has of its own, and the tree as that says. Where it has none, and git tracks none, it is
/// the one that the user keeps in the work tree.
///
/// # Errors
/// What is wrong with the file, or that nothing could be detected.
pub fn configured(
    repository: &Repository,
    plain: &Snapshot,
) -> Result<(Loaded<RepositoryConfig>, Snapshot), Error> {
    let mut loaded = match plain.file(REPOSITORY_FILE) {
        Ok(file) => config::parse_repository_bytes(&file.bytes, REPOSITORY_FILE)?,
        Err(SnapshotError::Missing { .. }) if !repository.tracks(Path::new(REPOSITORY_FILE)) => {
            in_work_tree(repository)?
        }
        Err(SnapshotError::Missing { .. }) => Loaded::default(),
        Err(error) => return Err(error.into()),
    };
    if let Some(branch) = repository.default_branch() {
        config::detect::detect_default_branch(&mut loaded, branch);
    }
    let ci = &loaded.value.ci;
    let snapshot = plain.checked_out(ci.umask, checkout(ci))?;
    detect(&mut loaded, &snapshot)?;
    Ok((loaded, snapshot))
}

/// What CI's checkout does besides.
pub(super) fn checkout(ci: &Ci) -> Checkout {
    Checkout {
        lfs: ci.lfs,
        submodules: ci.submodules,
    }
}

/// Detects the target where the file names none.
fn detect(loaded: &mut Loaded<RepositoryConfig>, snapshot: &Snapshot) -> Result<(), Error> {
    if loaded.value.targets.is_empty() {
        let file = snapshot.file(DOCKERFILE).map_err(|error| match error {
            SnapshotError::Missing { .. } => Error::from(error).hint(format!(
                "commit a {DOCKERFILE}, or say in {REPOSITORY_FILE} where it is: `version = 1`, then `[target.builder]` \
                 with `dockerfile = \"…\"`"
            )),
            error => error.into(),
        })?;
        config::detect::detect(loaded, &String::from_utf8_lossy(&file.bytes))?;
    }
    Ok(())
}

fn in_work_tree(repository: &Repository) -> Result<Loaded<RepositoryConfig>, Error> {
    let path = repository.work_dir().join(REPOSITORY_FILE);
    match read_regular(&path) {
        Ok(Some(bytes)) => Ok(config::parse_repository_bytes(&bytes, REPOSITORY_FILE)?),
        Ok(None) => Ok(Loaded::default()),
        Err(error) => {
            let message = format!("{} cannot be read: {error}", path.display());
            Err(Error::new(Kind::Usage, message))
        }
    }
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
