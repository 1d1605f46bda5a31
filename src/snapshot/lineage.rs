//! Whose commits: which of a commit's history was neither made here nor comes from where the team's own work is.
//!
//! Git's reflogs say what was made here. No remote writes them, and git leaves no line break or tab in a message.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::store::{from_oid, oid};
use super::{ObjectId, Repository, SnapshotError};

/// So many commits are looked at; what lies beyond counts as foreign.
const LIMIT: usize = 5_000;

/// So much of a reflog is read, its end.
const REFLOG_LIMIT: u64 = 64 << 20;

/// The names of a default branch, where the remote does not say which it is.
const USUAL: [&str; 2] = ["main", "master"];

/// How a commit was made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// By writing it: its parents may be anybody's.
    Written,
    /// By `git merge`: what was merged in was merged knowingly.
    Merged,
}

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
        let ahead = self.ahead(tip, upstream);
        let is_upstream = |commit: git2::Oid| {
            !ahead.commits.contains(&commit)
                && (ahead.complete
                    || upstream.is_some_and(|tip| self.is_ancestor(from_oid(commit), tip)))
        };
        let mut foreign = BTreeSet::new();
        let mut seen = HashSet::from([oid(tip)]);
        let mut waiting = VecDeque::from([oid(tip)]);
        let mut looked_at = 0;
        while let Some(commit) = waiting.pop_front() {
            let id = from_oid(commit);
            if approved.contains(&id) || is_upstream(commit) {
                continue;
            }
            looked_at += 1;
            let parents = self.git.find_commit(commit).ok().and_then(|found| {
                let parents: Vec<_> = found.parent_ids().collect();
                match made.get(&id)? {
                    Made::Written => Some(parents),
                    Made::Merged => Some(parents.into_iter().take(1).collect()),
                }
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

    /// The commits that were made in this repository's work trees.
    fn made_here(&self) -> BTreeMap<ObjectId, Made> {
        let linked = fs::read_dir(self.common_dir.join("worktrees"))
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()));
        let mut made = BTreeMap::new();
        for directory in linked.chain([self.common_dir.clone(), self.git_dir.clone()]) {
            // One that cannot be read says nothing of anybody.
            let text = tail(&directory.join("logs/HEAD")).unwrap_or_default();
            for (commit, how) in text.split(|byte| *byte == b'\n').filter_map(entry) {
                // Of one that was written and merged alike, all parents count.
                let known = made.entry(commit).or_insert(how);
                if how == Made::Written {
                    *known = how;
                }
            }
        }
        made
    }

    /// The tips of branches, remote branches and tags that hold one of these trees.
    #[must_use]
    pub fn tips_with_tree(&self, trees: &[ObjectId]) -> BTreeSet<ObjectId> {
        let mut tips = BTreeSet::new();
        for kind in ["refs/heads/*", "refs/remotes/*", "refs/tags/*"] {
            let references = self.git.references_glob(kind).into_iter().flatten();
            for reference in references.flatten() {
                let Ok(commit) = reference.peel_to_commit() else {
                    continue;
                };
                if trees.contains(&from_oid(commit.tree_id())) {
                    tips.insert(from_oid(commit.id()));
                }
            }
        }
        tips
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

/// The end of a file, in whole lines.
fn tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let skipped = file.metadata()?.len().saturating_sub(REFLOG_LIMIT);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(REFLOG_LIMIT).read_to_end(&mut bytes)?;
    if skipped > 0 {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        bytes.drain(..end.map_or(bytes.len(), |end| end + 1));
    }
    Ok(bytes)
}

/// The commit that a line of a reflog says was made, and how: `old SP new SP who TAB message`.
fn entry(line: &[u8]) -> Option<(ObjectId, Made)> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let (ids, message) = (std::str::from_utf8(line.get(..82)?).ok()?, &line[tab + 1..]);
    let (_, new) = ids.split_once(' ')?;
    let made = how(&String::from_utf8_lossy(message))?;
    Some((new.strip_suffix(' ')?.parse().ok()?, made))
}

/// How a commit was made, by the message that git left; `None` when it was not made here.
fn how(message: &str) -> Option<Made> {
    const WRITTEN: [&str; 6] = [
        "commit",
        "commit (initial)",
        "commit (amend)",
        "commit (merge)",
        "cherry-pick",
        "revert",
    ];
    const REBASED: [&str; 6] = ["pick", "reword", "edit", "squash", "fixup", "continue"];
    let (action, what) = message.split_once(": ")?;
    // Git moved on to a commit that was there already.
    if what.eq_ignore_ascii_case("fast-forward") {
        return None;
    }
    let rebased = || {
        let step = action
            .strip_prefix("rebase (")
            .or_else(|| action.strip_prefix("rebase -i ("))?;
        step.strip_suffix(')')
    };
    if WRITTEN.contains(&action) || rebased().is_some_and(|step| REBASED.contains(&step)) {
        return Some(Made::Written);
    }
    let merged = action.starts_with("merge ") && what.starts_with("Merge made by ");
    merged.then_some(Made::Merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_says_what_it_made() {
        for (message, expected) in [
            ("commit: x", Some(Made::Written)),
            ("commit (initial): x", Some(Made::Written)),
            ("commit (amend): x: y", Some(Made::Written)),
            ("commit (merge): x", Some(Made::Written)),
            ("cherry-pick: x", Some(Made::Written)),
            ("cherry-pick: fast-forward", None),
            ("revert: Revert \"x\"", Some(Made::Written)),
            ("rebase (pick): x", Some(Made::Written)),
            ("rebase -i (squash): x", Some(Made::Written)),
            ("rebase (pick): fast-forward", None),
            ("rebase (start): checkout main", None),
            ("rebase (finish): returning to refs/heads/x", None),
            (
                "merge x: Merge made by the 'ort' strategy.",
                Some(Made::Merged),
            ),
            ("merge x: Fast-forward", None),
            ("pull: Merge made by the 'ort' strategy.", None),
            ("pull origin x: Fast-forward", None),
            ("pull --rebase (pick): commit: x", None),
            ("checkout: moving from commit: x to y", None),
            ("reset: moving to HEAD~1", None),
            ("clone: from commit: x", None),
            ("am: x", None),
            ("", None),
        ] {
            assert_eq!(how(message), expected, "{message}");
        }
    }

    #[test]
    fn a_line_that_is_none_says_nothing() {
        let id = "1".repeat(40);
        let line = format!("{id} {id} A <a@b> 1 +0000\tcommit: x");
        assert!(entry(line.as_bytes()).is_some());
        for broken in [
            "",
            "\t",
            "x\tcommit: x",
            &line[1..],
            &line[..60],
            &line.replace('\t', " "),
        ] {
            assert_eq!(entry(broken.as_bytes()), None, "{broken}");
        }
    }
}
