//! What the user has allowed to run unattended, per repository: the file `consent.json` in the state directory.
//!
//! The file fails closed. One that is damaged, too large, of a newer version, somebody else's, or writable by others
//! allows nothing, and nothing but `prewarm allow` puts another in its place, beside the old one and with a word
//! about it. Files in a repository never add to it.

mod error;
mod file;
mod path;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::snapshot::ObjectId;

pub use error::ConsentError;
pub use file::{SetAside, Store};

/// So many approved digests are kept of each repository, the newest.
const MOST_APPROVALS: usize = 500;

/// So many commits that were approved by hand are kept of each repository, the newest.
const MOST_COMMITS: usize = 500;

/// Everything that is allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowed {
    grants: Vec<Grant>,
}

/// What is allowed in one repository. Its linked work trees share it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The git directory that all work trees of the repository share, canonical: what it is known by.
    #[serde(with = "path")]
    pub common_dir: PathBuf,
    /// The main work tree, or the one in which it was allowed, for people.
    #[serde(with = "path")]
    pub work_dir: PathBuf,
    /// When it was allowed, in Unix milliseconds.
    pub since: i64,
    /// What may run, oldest first.
    approved: Vec<Approval>,
    /// Commits that were approved by hand, as text, oldest first.
    commits: Vec<String>,
}

/// Something that may run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Its digest: see [`crate::plan::execution`].
    pub digest: String,
    /// When it was approved, in Unix milliseconds.
    pub at: i64,
    /// Why.
    #[serde(flatten)]
    pub reason: Reason,
}

/// Why something may run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum Reason {
    /// The user said so, with this commit checked out.
    ByHand {
        /// The commit; `None` before the first.
        commit: Option<String>,
    },
    /// The user wrote it here.
    OwnWork,
    /// It is what a trusted commit of the remote runs, too.
    Upstream,
}

impl Allowed {
    /// What is allowed in the repository with this common git directory.
    #[must_use]
    pub fn grant(&self, common_dir: &Path) -> Option<&Grant> {
        self.grants
            .iter()
            .find(|grant| grant.common_dir == common_dir)
    }

    /// All repositories, in the order in which they were allowed.
    #[must_use]
    pub fn grants(&self) -> &[Grant] {
        &self.grants
    }

    /// Allows a repository; one that is allowed keeps what it has.
    pub fn allow(&mut self, common_dir: &Path, work_dir: &Path, now_ms: i64) -> &mut Grant {
        let known = self
            .grants
            .iter()
            .position(|grant| grant.common_dir == common_dir);
        let index = known.unwrap_or_else(|| {
            self.grants.push(Grant {
                common_dir: common_dir.to_owned(),
                work_dir: work_dir.to_owned(),
                since: now_ms,
                approved: Vec::new(),
                commits: Vec::new(),
            });
            self.grants.len() - 1
        });
        &mut self.grants[index]
    }

    /// Adds approvals where the repository is still allowed: whoever denied it meanwhile is not overruled.
    pub fn approve(&mut self, common_dir: &Path, approvals: impl IntoIterator<Item = Approval>) {
        if let Some(grant) = self
            .grants
            .iter_mut()
            .find(|grant| grant.common_dir == common_dir)
        {
            approvals
                .into_iter()
                .for_each(|approval| grant.approve(approval));
        }
    }

    /// Takes back what was allowed of every repository that `is` says; returns those.
    pub fn deny(&mut self, is: impl Fn(&Grant) -> bool) -> Vec<Grant> {
        let (denied, kept) = std::mem::take(&mut self.grants).into_iter().partition(is);
        self.grants = kept;
        denied
    }
}

impl Grant {
    /// Whether this digest may run.
    #[must_use]
    pub fn approves(&self, digest: &str) -> bool {
        self.approved
            .iter()
            .any(|approval| approval.digest == digest)
    }

    /// What may run, oldest first.
    #[must_use]
    pub fn approved(&self) -> &[Approval] {
        &self.approved
    }

    /// Adds an approval; one of the same digest is renewed.
    pub fn approve(&mut self, approval: Approval) {
        self.approved
            .retain(|known| known.digest != approval.digest);
        self.approved.push(approval);
        keep_newest(&mut self.approved, MOST_APPROVALS);
    }

    /// Adds a commit that the user approved.
    pub fn approve_commit(&mut self, commit: ObjectId) {
        let commit = commit.to_string();
        self.commits.retain(|known| *known != commit);
        self.commits.push(commit);
        keep_newest(&mut self.commits, MOST_COMMITS);
    }

    /// The commits that were approved by hand, oldest first.
    #[must_use = "nothing is changed"]
    pub fn commits(&self) -> impl DoubleEndedIterator<Item = ObjectId> {
        self.commits.iter().filter_map(|commit| commit.parse().ok())
    }
}

fn keep_newest<T>(list: &mut Vec<T>, most: usize) {
    let excess = list.len().saturating_sub(most);
    list.drain(..excess);
}
