//! The work trees of a repository.

use std::fs;
use std::path::{Path, PathBuf};

/// Where a work tree and its git directories are, all canonical.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkTree {
    /// Its root.
    pub work_dir: PathBuf,
    /// Its own git directory.
    pub git_dir: PathBuf,
    /// The git directory that all work trees of the repository share.
    pub common_dir: PathBuf,
}

/// The work trees of the repository with this common git directory that are there now: the main one, unless it is bare,
/// and the linked ones. None where there is no repository (any more), or where it belongs to somebody else.
#[must_use]
pub fn work_trees(common_dir: &Path) -> Vec<WorkTree> {
    let Ok(repository) = git2::Repository::open(common_dir) else {
        return Vec::new();
    };
    let place = |work_dir: &Path, git_dir: &Path| {
        Some(WorkTree {
            work_dir: fs::canonicalize(work_dir).ok()?,
            git_dir: fs::canonicalize(git_dir).ok()?,
            common_dir: fs::canonicalize(common_dir).ok()?,
        })
    };
    let main = repository
        .workdir()
        .and_then(|work_dir| place(work_dir, common_dir));
    let names = repository.worktrees();
    let linked = names
        .iter()
        .flat_map(|names| names.iter())
        .filter_map(|name| {
            let name = name.ok().flatten()?;
            let work_tree = repository.find_worktree(name).ok()?;
            // One whose directory is gone stays listed until `git worktree prune`.
            work_tree.validate().ok()?;
            place(work_tree.path(), &common_dir.join("worktrees").join(name))
        });
    main.into_iter().chain(linked).collect()
}
