//! The user's repository: where it is, what it is at, and snapshots of it. Nothing here writes to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use git2::{ErrorCode, RepositoryOpenFlags};

use super::error::SnapshotError;
use super::git::{Git, Update};
use super::node::Kind;
use super::scratch::Scratch;
use super::store::{Leaf, Store, failed, from_oid, oid};
use super::submodule::{self, PATH_LIMIT};
use super::{Checkout, ObjectId, Snapshot, Source};

/// A git work tree and its repository.
pub struct Repository {
    pub(super) git: git2::Repository,
    pub(super) work_dir: PathBuf,
    pub(super) git_dir: PathBuf,
    pub(super) common_dir: PathBuf,
    careful: bool,
}

impl Repository {
    /// Opens the repository whose work tree holds `path`.
    ///
    /// # Errors
    ///
    /// The path does not exist, is in no repository or a bare one, belongs to another user, or the repository has a
    /// format that libgit2 does not read (SHA-256, reftable).
    pub fn discover(path: &Path) -> Result<Self, SnapshotError> {
        let missing = |source| SnapshotError::NoSuchPath {
            path: path.to_owned(),
            source,
        };
        // A directory that is gone still has the name `.` for those who are in it.
        std::env::current_dir()
            .and_then(|directory| fs::metadata(directory.join(path)))
            .map_err(missing)?;
        let git = git2::Repository::open_ext(
            path,
            RepositoryOpenFlags::empty(),
            std::iter::empty::<&Path>(),
        )
        .map_err(|error| not_opened(path, &error))?;
        let canonical = |directory: &Path| {
            fs::canonicalize(directory).map_err(|source| SnapshotError::Read {
                path: directory.to_owned(),
                source,
            })
        };
        let git_dir = canonical(git.path())?;
        let common_dir = canonical(git.commondir())?;
        let work_dir = match git.workdir() {
            Some(directory) => canonical(directory)?,
            None => return Err(SnapshotError::Bare { path: git_dir }),
        };
        Ok(Self {
            git,
            work_dir,
            git_dir,
            common_dir,
            careful: false,
        })
    }

    /// For when nobody asked: snapshots of the index and the work tree run no program that the repository's own
    /// configuration names, and leave submodules at the commits that the index has.
    #[must_use]
    pub fn careful(mut self) -> Self {
        self.careful = true;
        self
    }

    /// The root of the work tree, canonical.
    #[must_use]
    pub fn work_dir(&self) -> &Path {
        &self.work_dir
    }

    /// The git directory of this work tree, canonical; a linked work tree has its own.
    #[must_use]
    pub fn git_dir(&self) -> &Path {
        &self.git_dir
    }

    /// The git directory that all work trees of the repository share, canonical.
    #[must_use]
    pub fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// The current branch without `refs/heads/`, also when it has no commit yet; `None` when HEAD is detached.
    #[must_use]
    pub fn branch(&self) -> Option<String> {
        let head = self.git.find_reference("HEAD").ok()?;
        let target = String::from_utf8_lossy(head.symbolic_target_bytes()?).into_owned();
        target.strip_prefix("refs/heads/").map(str::to_owned)
    }

    /// The commit of a local branch; `None` when there is none of that name.
    #[must_use]
    pub fn branch_commit(&self, name: &str) -> Option<ObjectId> {
        let branch = self.git.find_branch(name, git2::BranchType::Local).ok()?;
        Some(from_oid(branch.get().peel_to_commit().ok()?.id()))
    }

    /// The commit that HEAD is at.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Unborn`] when there is none yet.
    pub fn head(&self) -> Result<ObjectId, SnapshotError> {
        let head = self.git.head().map_err(|error| match error.code() {
            ErrorCode::UnbornBranch | ErrorCode::NotFound => SnapshotError::Unborn {
                branch: self.branch().unwrap_or_else(|| "HEAD".to_owned()),
            },
            _ => failed("read HEAD", &error),
        })?;
        let commit = head
            .peel_to_commit()
            .map_err(|error| failed("read HEAD", &error))?;
        Ok(from_oid(commit.id()))
    }

    /// The remote's default branch, as `git clone` and `git remote set-head` record it; `None` when they did not.
    #[must_use]
    pub fn default_branch(&self) -> Option<String> {
        let above = format!("refs/remotes/{}/", self.remote()?);
        let head = self.git.find_reference(&format!("{above}HEAD")).ok()?;
        let target = String::from_utf8(head.symbolic_target_bytes()?.to_vec()).ok()?;
        target.strip_prefix(&above).map(str::to_owned)
    }

    /// Where the remote's branch was at the last fetch or push; the remote is `origin`, else the current branch's,
    /// else the only one.
    #[must_use]
    pub fn remote_branch_commit(&self, branch: &str) -> Option<ObjectId> {
        let name = format!("refs/remotes/{}/{branch}", self.remote()?);
        let commit = self.git.find_reference(&name).ok()?.peel_to_commit().ok()?;
        Some(from_oid(commit.id()))
    }

    /// The URL of that same remote. It may hold credentials: not for people's eyes.
    #[must_use]
    pub fn origin_url(&self) -> Option<String> {
        let remote = self.git.find_remote(&self.remote()?).ok()?;
        Some(String::from_utf8_lossy(remote.url_bytes()).into_owned())
    }

    pub(super) fn remote(&self) -> Option<String> {
        if self.git.find_remote("origin").is_ok() {
            return Some("origin".to_owned());
        }
        let of_branch = || {
            let config = self.git.config().ok()?;
            config
                .get_string(&format!("branch.{}.remote", self.branch()?))
                .ok()
        };
        let remotes = self.git.remotes().ok()?;
        let mut names = remotes
            .iter()
            .filter_map(|name| name.ok().flatten().map(str::to_owned));
        of_branch()
            .filter(|name| self.git.find_remote(name).is_ok())
            .or_else(|| names.next().filter(|_| names.next().is_none()))
    }

    /// Whether git tracks a file, by its path from the root of the work tree; also when that cannot be told.
    #[must_use]
    pub fn tracks(&self, path: &Path) -> bool {
        let index = self.git.index().and_then(|mut index| {
            index.read(false)?;
            Ok(index)
        });
        index.map_or(true, |index| {
            (0..4).any(|stage| index.get_path(path, stage).is_some())
        })
    }

    /// The best common ancestor of two commits.
    #[must_use]
    pub fn merge_base(&self, one: ObjectId, other: ObjectId) -> Option<ObjectId> {
        self.git.merge_base(oid(one), oid(other)).ok().map(from_oid)
    }

    /// Whether `ancestor` is `commit` or in its history.
    #[must_use]
    pub fn is_ancestor(&self, ancestor: ObjectId, commit: ObjectId) -> bool {
        ancestor == commit
            || self
                .git
                .graph_descendant_of(oid(commit), oid(ancestor))
                .unwrap_or(false)
    }

    /// Takes what CI would see: an immutable tree that stays what it is whatever happens to the work tree.
    ///
    /// `umask` is that of CI's checkout, `checkout` what else it fetches.
    ///
    /// # Errors
    ///
    /// Unknown revision, unborn branch, unmerged index, conflicting merge, missing submodule, or an object or file
    /// that cannot be read.
    pub fn snapshot(
        &self,
        source: &Source,
        umask: u32,
        checkout: Checkout,
    ) -> Result<Snapshot, SnapshotError> {
        // A handle of its own: what libgit2 caches of index and configuration would grow old in this one.
        let repository = git2::Repository::open(&self.work_dir)
            .map_err(|error| not_opened(&self.work_dir, &error))?;
        let git = Git::new(&self.work_dir, &self.git_dir, &self.common_dir);
        let open = |scratch| Store::open(git.clone(), &self.common_dir, scratch);
        let (store, tree, commit) = match source {
            Source::Revision(revision) => {
                let (tree, commit) = self.revision(&repository, revision)?;
                (open(None)?, tree, commit)
            }
            Source::Staged | Source::Worktree => {
                if self.careful {
                    git.refuse_drivers()?;
                }
                let scratch = Scratch::new()?;
                let update = match source {
                    Source::Worktree if self.careful => Update::Files,
                    Source::Worktree => Update::All,
                    _ => Update::Nothing,
                };
                let tree = git.index_tree(update, &scratch)?;
                (open(Some(scratch))?, tree, None)
            }
            Source::Merge { base } => {
                let store = open(None)?;
                let tree = self.merge(&repository, &store, *base)?;
                (store, tree, None)
            }
        };
        let (served, submodules) = submodule::check_out(&store, tree, checkout.submodules)?;
        Ok(Snapshot {
            store: Arc::new(store),
            tree,
            served,
            submodules,
            commit,
            umask,
            lfs: checkout.lfs,
        })
    }

    fn revision(
        &self,
        repository: &git2::Repository,
        revision: &str,
    ) -> Result<(ObjectId, Option<ObjectId>), SnapshotError> {
        if revision == "HEAD" {
            self.head()?;
        }
        let unknown = |_| SnapshotError::UnknownRevision {
            revision: revision.to_owned(),
        };
        let object = repository.revparse_single(revision).map_err(unknown)?;
        let tree = object.peel_to_tree().map_err(unknown)?;
        let commit = object
            .peel_to_commit()
            .ok()
            .map(|commit| from_oid(commit.id()));
        Ok((from_oid(tree.id()), commit))
    }

    fn merge(
        &self,
        repository: &git2::Repository,
        store: &Store,
        base: ObjectId,
    ) -> Result<ObjectId, SnapshotError> {
        let head = self.head()?;
        if self.is_ancestor(base, head) {
            return store.commit_tree(head);
        }
        let action = "merge HEAD with its base";
        let merge = || {
            // Merged files are new objects; libgit2 writes them to the repository's store, which must be ours.
            repository.set_odb(store.odb())?;
            let (ours, theirs) = (
                repository.find_commit(oid(head))?,
                repository.find_commit(oid(base))?,
            );
            repository.merge_commits(&ours, &theirs, None)
        };
        let index = merge().map_err(|error| failed(action, &error))?;
        let paths = conflicts(&index).map_err(|error| failed(action, &error))?;
        if !paths.is_empty() {
            return Err(SnapshotError::MergeConflict { base, paths });
        }
        let leaves: Vec<_> = index.iter().map(|entry| leaf(&entry)).collect();
        if leaves.iter().any(|leaf| leaf.path.len() > PATH_LIMIT) {
            return Err(SnapshotError::Git {
                action,
                message: format!("a path is longer than {PATH_LIMIT} bytes"),
            });
        }
        store.write_tree(&leaves)
    }
}

fn leaf(entry: &git2::IndexEntry) -> Leaf {
    Leaf {
        path: entry.path.clone(),
        kind: Kind::from_mode(entry.mode).unwrap_or(Kind::File { executable: false }),
        id: from_oid(entry.id),
    }
}

/// The unmerged paths, sorted.
fn conflicts(index: &git2::Index) -> Result<Vec<String>, git2::Error> {
    let mut paths = Vec::new();
    for conflict in index.conflicts()? {
        let conflict = conflict?;
        let entry = conflict.our.or(conflict.their).or(conflict.ancestor);
        paths.extend(entry.map(|entry| String::from_utf8_lossy(&entry.path).into_owned()));
    }
    paths.sort();
    paths.dedup();
    Ok(paths)
}

/// The work tree that holds `path`, by what git goes by in `safe.directory`.
fn root(path: &Path) -> PathBuf {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut above = path.ancestors();
    above
        .find(|directory| directory.join(".git").exists())
        .unwrap_or(&path)
        .to_owned()
}

fn not_opened(path: &Path, error: &git2::Error) -> SnapshotError {
    let path = path.to_owned();
    let message = error.message();
    match error.code() {
        ErrorCode::NotFound => SnapshotError::NotARepository { path },
        ErrorCode::Owner => SnapshotError::Owner { path: root(&path) },
        // `extensions.objectFormat`, `extensions.refStorage`, `core.repositoryFormatVersion`.
        _ if message.starts_with("unsupported") || message.starts_with("unknown object format") => {
            SnapshotError::Unsupported {
                path,
                reason: message.to_owned(),
            }
        }
        _ => failed("open the repository", error),
    }
}
