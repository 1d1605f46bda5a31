//! Whose commits: which of a commit's history was neither made here nor comes from where the team's own work is.
//!
//! Git's reflogs say what was made here. No remote writes them, and git leaves no line break or tab in a message.

mod arrival;
mod reflog;

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use super::store::{from_oid, oid};
use super::{ObjectId, Repository, SnapshotError};

/// So many commits are looked at; what lies beyond counts as foreign.
const LIMIT: usize = 5_000;

/// The names of a default branch, where the remote does not say which it is.
const USUAL: [&str; 2] = ["main", "master"];

/// What a repository was at, to see whether it still is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    head: Option<ObjectId>,
    branch: Option<String>,
    /// Inode, size and time of the index: git puts a new file in the place of the old one.
    index: Option<(u64, u64, i64, i64)>,
}

impl Repository {
    /// Where the team's own work is: the default branch of the remote, at the last fetch or push. The remote is `origin`,
    /// or the only one; the branch is the one that the remote names, else `main` or `master`. Nothing that a checkout
    /// changes has a say in it.
    #[must_use]
    pub fn trusted_upstream(&self) -> Option<ObjectId> {
        let remote = self.trusted_remote()?;
        let above = format!("refs/remotes/{remote}/");
        let head = self.git.find_reference(&format!("{above}HEAD")).ok();
        let named = head
            .and_then(|head| String::from_utf8(head.symbolic_target_bytes()?.to_vec()).ok())
            .filter(|name| name.starts_with(&above));
        let usual = USUAL.map(|name| format!("{above}{name}"));
        named
            .into_iter()
            .chain(usual)
            .find_map(|name| self.git.find_reference(&name).ok()?.peel_to_commit().ok())
            .map(|commit| from_oid(commit.id()))
    }

    fn trusted_remote(&self) -> Option<String> {
        let remotes = self.git.remotes().ok()?;
        let mut names = remotes.iter().filter_map(|name| name.ok().flatten());
        let first = names.next()?;
        let mut more = names.peekable();
        if first == "origin" || more.peek().is_none() {
            return Some(first.to_owned());
        }
        more.find(|name| *name == "origin").map(str::to_owned)
    }

    /// The foreign commits in the history of `tip` that are nearest to it: neither made in a work tree of this repository,
    /// nor in the history of `upstream`, nor one of `approved`. What cannot be read is foreign.
    #[must_use]
    pub fn foreign_heads(
        &self,
        tip: ObjectId,
        upstream: Option<ObjectId>,
        approved: &BTreeSet<ObjectId>,
    ) -> BTreeSet<ObjectId> {
        let made = self.made_here();
        let mut ahead = self.ahead(tip, upstream);
        let mut foreign = BTreeSet::new();
        let mut seen = HashSet::from([oid(tip)]);
        let mut waiting = VecDeque::from([oid(tip)]);
        let mut reverts = BTreeSet::new();
        let mut looked_at = 0;
        while let Some(commit) = waiting.pop_front() {
            let id = from_oid(commit);
            let is_upstream = !ahead.commits.contains(&commit)
                && (ahead.complete || upstream.is_some_and(|tip| self.is_ancestor(id, tip)));
            if approved.contains(&id) || is_upstream {
                continue;
            }
            looked_at += 1;
            let parents = self.git.find_commit(commit).ok().and_then(|found| {
                let making = made.get(&id)?;
                if making.revert {
                    reverts.insert(id);
                }
                let mut parents: Vec<_> = found.parent_ids().collect();
                if making.merged {
                    parents.truncate(1);
                }
                for before in making.from.iter().copied().map(oid) {
                    // It is in nobody's history any more, so that what it has ahead of the upstream is not known yet.
                    if !ahead.commits.contains(&before) && !seen.contains(&before) {
                        let more = self.ahead(from_oid(before), upstream);
                        ahead.commits.extend(more.commits);
                        ahead.complete &= more.complete;
                    }
                    parents.push(before);
                }
                Some(parents)
            });
            match parents.filter(|_| looked_at <= LIMIT) {
                Some(parents) => {
                    waiting.extend(parents.into_iter().filter(|parent| seen.insert(*parent)));
                }
                None => {
                    foreign.insert(id);
                }
            }
        }
        // What undoes something foreign may bring back what that had undone.
        if !foreign.is_empty() {
            foreign.append(&mut reverts);
        }
        foreign
    }

    /// The commits of `tip` that `upstream` does not have.
    fn ahead(&self, tip: ObjectId, upstream: Option<ObjectId>) -> Ahead {
        let mut commits = HashSet::new();
        let mut walk = || {
            let mut walk = self.git.revwalk()?;
            walk.push(oid(tip))?;
            if let Some(upstream) = upstream {
                walk.hide(oid(upstream))?;
            }
            for commit in walk.take(LIMIT + 1) {
                commits.insert(commit?);
            }
            Ok::<_, git2::Error>(())
        };
        let complete = walk().is_ok() && commits.len() <= LIMIT;
        Ahead { commits, complete }
    }

    /// The commits that are being merged into HEAD: their changes are in the work tree and the index before a commit says
    /// where they come from.
    #[must_use]
    pub fn merging(&self) -> BTreeSet<ObjectId> {
        let text = fs::read_to_string(self.git_dir.join("MERGE_HEAD")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    /// What the repository is at.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Unsettled`] while a `git` is at work in it.
    pub fn moment(&self) -> Result<Moment, SnapshotError> {
        let lock = self.git_dir.join("index.lock");
        if fs::symlink_metadata(&lock).is_ok() {
            let reason = format!("{} says that a git is at work", lock.display());
            return Err(SnapshotError::Unsettled { reason });
        }
        let index = fs::metadata(self.git_dir.join("index")).ok();
        Ok(Moment {
            head: self.head().ok(),
            branch: self.branch(),
            index: index.map(|it| (it.ino(), it.size(), it.mtime(), it.mtime_nsec())),
        })
    }

    /// Makes sure that nothing has changed since `then`.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Unsettled`] when HEAD or the index did, or a `git` is at work.
    pub fn still(&self, then: &Moment) -> Result<(), SnapshotError> {
        if self.moment()? == *then {
            return Ok(());
        }
        let reason = "HEAD or the index changed while it was looked at".to_owned();
        Err(SnapshotError::Unsettled { reason })
    }

    /// The main work tree, where this is a linked one and the main one has the usual place.
    #[must_use]
    pub fn main_work_dir(&self) -> PathBuf {
        let above = self.common_dir.parent();
        let usual = self
            .common_dir
            .file_name()
            .is_some_and(|name| name == ".git");
        match above.filter(|_| usual && self.common_dir != self.git_dir) {
            Some(main) => main.to_owned(),
            None => self.work_dir.clone(),
        }
    }
}

/// What of a history an upstream does not have.
struct Ahead {
    commits: HashSet<git2::Oid>,
    /// Whether that is all of it.
    complete: bool,
}
