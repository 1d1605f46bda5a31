//! What can go wrong between a repository and the tree that CI will see.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use super::ObjectId;
use crate::error::{Kind, Remedy};

/// Why a snapshot could not be taken or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The path that was given does not exist or cannot be read.
    #[error("{}: cannot be opened", path.display())]
    NoSuchPath {
        /// The path as given.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No directory above the path is a git work tree.
    #[error("{}: not in a git repository", path.display())]
    NotARepository {
        /// The path as given.
        path: PathBuf,
    },
    /// The repository has no work tree.
    #[error("{}: a bare repository has no work tree to build from", path.display())]
    Bare {
        /// The repository.
        path: PathBuf,
    },
    /// Git's owner check: the repository belongs to another user.
    #[error("{}: the repository belongs to another user (\"dubious ownership\")", path.display())]
    Owner {
        /// The path as given.
        path: PathBuf,
    },
    /// A repository format that we cannot read.
    #[error("{}: this repository's format is not supported: {reason}", path.display())]
    Unsupported {
        /// The repository, or the path as given.
        path: PathBuf,
        /// Which format.
        reason: String,
    },
    /// The current branch has no commit yet.
    #[error("branch `{branch}` has no commit yet")]
    Unborn {
        /// The branch, without `refs/heads/`.
        branch: String,
    },
    /// Nothing in the repository has that name.
    #[error("unknown revision `{revision}`")]
    UnknownRevision {
        /// The revision as given.
        revision: String,
    },
    /// The index holds unmerged entries.
    #[error("the index has unmerged paths: {}", listed(paths))]
    UnmergedIndex {
        /// The paths, sorted.
        paths: Vec<String>,
    },
    /// HEAD and its base cannot be merged without a person.
    #[error("merging {base} into HEAD conflicts in: {}", listed(paths))]
    MergeConflict {
        /// The commit that was merged in.
        base: ObjectId,
        /// The paths, sorted.
        paths: Vec<String>,
    },
    /// The snapshot has no such path.
    #[error(
        "{path}: no such file or directory in the snapshot (files that git does not track are not part of it)"
    )]
    Missing {
        /// The path as given.
        path: String,
    },
    /// A directory was wanted.
    #[error("{path}: not a directory")]
    NotADirectory {
        /// The path as given.
        path: String,
    },
    /// A file was wanted.
    #[error("{path}: is a directory")]
    IsADirectory {
        /// The path as given.
        path: String,
    },
    /// The path, or a link on its way, leaves the repository.
    #[error("{path}: leads out of the repository")]
    Outside {
        /// The path as given.
        path: String,
    },
    /// More symbolic links than an operating system would follow.
    #[error("{path}: too many levels of symbolic links")]
    LinkLoop {
        /// The path as given.
        path: String,
    },
    /// The path is inside a submodule, and submodules are not part of the snapshot.
    #[error("{path}: is in submodule `{submodule}`, which this snapshot does not hold")]
    InSubmodule {
        /// The path as given.
        path: String,
        /// Where the submodule is.
        submodule: String,
    },
    /// A file that is read whole is too large for that.
    #[error("{path}: {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The path as given.
        path: String,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A submodule's commit is not on this machine.
    #[error("submodule `{path}`: commit {commit} is not on this machine")]
    SubmoduleMissing {
        /// Where the submodule is.
        path: String,
        /// The commit that the snapshot names.
        commit: ObjectId,
    },
    /// The content behind an LFS pointer is not on this machine.
    #[error("{path}: LFS object {oid} is not on this machine, or damaged")]
    LfsMissing {
        /// The file's path; its blob id where only that is known.
        path: String,
        /// The SHA-256 of the content, in hexadecimal.
        oid: String,
    },
    /// The object store lacks an object: a partial clone, or damage.
    #[error("git object {id} is not on this machine")]
    ObjectMissing {
        /// The object.
        id: ObjectId,
    },
    /// The object store lacks a file's content.
    #[error("{path}: its content (git object {id}) is not on this machine")]
    ContentMissing {
        /// The file's path.
        path: String,
        /// Its blob.
        id: ObjectId,
    },
    /// An object is not what its place says it is.
    #[error("git object {id} is damaged: {reason}")]
    ObjectDamaged {
        /// The object.
        id: ObjectId,
        /// What is wrong.
        reason: &'static str,
    },
    /// A pattern that Docker would not take either.
    #[error("pattern `{pattern}`: {reason}")]
    Pattern {
        /// The pattern as given.
        pattern: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The `git` program could not be started.
    #[error("cannot run `git`")]
    GitProgram {
        /// Why.
        source: io::Error,
    },
    /// There is no remote, or none of several is the one that is meant.
    #[error("{} has no remote that is called origin, belongs to the current branch, or is the only one", path.display())]
    NoRemote {
        /// The work tree.
        path: PathBuf,
    },
    /// The `git` program failed.
    #[error("`git {command}` failed: {message}")]
    GitFailed {
        /// The subcommand.
        command: &'static str,
        /// What it said, or how it ended.
        message: String,
    },
    /// The repository's own configuration names programs that taking up files would run.
    #[error(
        "the repository's own git configuration names programs, which are not run unattended: {}",
        listed(keys)
    )]
    Drivers {
        /// The keys, sorted.
        keys: Vec<String>,
    },
    /// The repository changes just now.
    #[error("the repository is changing: {reason}")]
    Unsettled {
        /// How that shows.
        reason: String,
    },
    /// A file of the machine could not be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Anything else that libgit2 refused.
    #[error("failed to {action}: {message}")]
    Git {
        /// What we did.
        action: &'static str,
        /// What libgit2 said.
        message: String,
    },
}

impl SnapshotError {
    /// The same with the path of the file, where only its blob was known.
    pub(super) fn at(self, path: &str) -> Self {
        let path = path.to_owned();
        match self {
            Self::ObjectMissing { id } => Self::ContentMissing { path, id },
            Self::LfsMissing { oid, .. } => Self::LfsMissing { path, oid },
            error => error,
        }
    }
}

/// At most this many paths are spelled out in a message.
const LISTED: usize = 5;

fn listed(paths: &[String]) -> String {
    let mut text = paths
        .iter()
        .take(LISTED)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if let Some(more) = paths.len().checked_sub(LISTED).filter(|more| *more > 0) {
        let _ = write!(text, " and {more} more");
    }
    text
}

impl Remedy for SnapshotError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchPath { .. }
            | Self::NotARepository { .. }
            | Self::Bare { .. }
            | Self::Unborn { .. }
            | Self::UnknownRevision { .. }
            | Self::Missing { .. }
            | Self::NotADirectory { .. }
            | Self::IsADirectory { .. }
            | Self::Outside { .. }
            | Self::LinkLoop { .. }
            | Self::InSubmodule { .. }
            | Self::TooLarge { .. }
            | Self::Drivers { .. }
            | Self::NoRemote { .. }
            | Self::Pattern { .. } => Kind::Usage,
            Self::Unsettled { .. } => Kind::Unsettled,
            Self::UnmergedIndex { .. } | Self::MergeConflict { .. } => Kind::Work,
            Self::Owner { .. }
            | Self::Unsupported { .. }
            | Self::SubmoduleMissing { .. }
            | Self::LfsMissing { .. }
            | Self::ObjectMissing { .. }
            | Self::ContentMissing { .. }
            | Self::ObjectDamaged { .. }
            | Self::GitProgram { .. }
            | Self::GitFailed { .. }
            | Self::Read { .. }
            | Self::Git { .. } => Kind::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotARepository { .. } => "Run it in a git work tree, or name one.".to_owned(),
            Self::Bare { .. } => "Run it in a clone with a work tree.".to_owned(),
            Self::Owner { path } => format!(
                "If you trust it, run `git config --global --add safe.directory '{}'`.",
                path.display()
            ),
            Self::Unborn { .. } => "Commit something first, or use --staged or --worktree.".to_owned(),
            Self::UnknownRevision { .. } => "`git rev-parse` understands the same names; `git fetch` may be missing.".to_owned(),
            Self::UnmergedIndex { .. } => "Resolve the conflicts and `git add` the files.".to_owned(),
            Self::MergeConflict { .. } => "CI cannot build this merge either: rebase or merge the base branch.".to_owned(),
            Self::InSubmodule { .. } => {
                "Set `submodules = true` under [ci] if CI checks submodules out.".to_owned()
            }
            Self::SubmoduleMissing { path, .. } => format!("Run `git submodule update --init -- '{path}'`."),
            Self::LfsMissing { .. } => "Run `git lfs fetch`.".to_owned(),
            Self::ObjectMissing { .. } | Self::ContentMissing { .. } => {
                "In a partial clone, fetch it with `git checkout` or `git fetch --refetch --no-filter`; otherwise look at `git fsck`.".to_owned()
            }
            Self::ObjectDamaged { .. } => "Look at `git fsck`.".to_owned(),
            Self::Drivers { .. } => {
                "Commits are warmed all the same. To warm uncommitted changes, too, move these settings to your own configuration (`git config --global`), or use `prewarm warm --worktree`.".to_owned()
            }
            Self::Unsettled { .. } => "Try again when it is done.".to_owned(),
            Self::NoRemote { .. } => "Name the remote that CI builds `origin`.".to_owned(),
            Self::GitProgram { .. } => "Install git, or put it on the PATH.".to_owned(),
            _ => return None,
        })
    }
}
