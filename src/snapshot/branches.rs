//! Which branches there are: here, and by the remote's own word.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::time::Duration;

use super::git::scrubbed;
use super::repository::Repository;
use super::store::{failed, from_oid};
use super::{ObjectId, SnapshotError};

const HEADS: &str = "refs/heads/";

/// How remotes may be reached: what git itself speaks, and no helper programs.
const PROTOCOLS: &str = "file:git:http:https:ssh";

impl Repository {
    /// The local branches without `refs/heads/`, with the commits that they are at.
    ///
    /// # Errors
    ///
    /// References that cannot be read.
    pub fn branch_heads(&self) -> Result<BTreeMap<String, ObjectId>, SnapshotError> {
        let failed = |error: git2::Error| failed("list the branches", &error);
        let mut heads = BTreeMap::new();
        let branches = self.git.branches(Some(git2::BranchType::Local));
        for branch in branches.map_err(failed)? {
            let (branch, _) = branch.map_err(failed)?;
            let name = String::from_utf8_lossy(branch.name_bytes().map_err(failed)?).into_owned();
            // One that points nowhere is of no use to anybody.
            if let Ok(commit) = branch.get().peel_to_commit() {
                heads.insert(name, from_oid(commit.id()));
            }
        }
        Ok(heads)
    }

    /// The names of all branches that are here or were on a remote at the last fetch, without what comes before their names.
    #[must_use]
    pub fn branches(&self) -> BTreeSet<String> {
        let remotes = self.git.remotes();
        let remotes: Vec<String> = remotes
            .iter()
            .flat_map(|names| names.iter())
            .filter_map(|name| {
                name.ok()
                    .flatten()
                    .map(|name| format!("refs/remotes/{name}/"))
            })
            .collect();
        let name = |reference: &str| {
            if let Some(local) = reference.strip_prefix("refs/heads/") {
                return Some(local.to_owned());
            }
            let of_remote = remotes
                .iter()
                .filter_map(|above| reference.strip_prefix(above));
            // `HEAD` names another of them.
            of_remote
                .min_by_key(|name| name.len())
                .filter(|name| *name != "HEAD")
                .map(str::to_owned)
        };
        let Ok(mut references) = self.git.references() else {
            return BTreeSet::new();
        };
        let found = references
            .names()
            .filter_map(|reference| name(reference.ok()?));
        // A branch has no reference before its first commit.
        found.chain(self.branch()).collect()
    }

    /// What a branch that somebody calls by its remote (`origin/topic`) is called there; `None` where there is none so called.
    #[must_use]
    pub fn name_on_remote(&self, name: &str) -> Option<String> {
        let remotes = self.git.remotes().ok()?;
        let mut remotes = remotes.iter().filter_map(|remote| remote.ok().flatten());
        let rest = remotes.find_map(|remote| name.strip_prefix(remote)?.strip_prefix('/'))?;
        self.git
            .find_reference(&format!("refs/remotes/{name}"))
            .ok()?;
        Some(rest.to_owned())
    }

    /// The local branches, and those that remotes other than [`Repository::remote_branches`]' had at the last fetch; all
    /// without `refs/…/`.
    ///
    /// # Errors
    ///
    /// References that cannot be read.
    pub fn known_branches(&self) -> Result<BTreeSet<String>, SnapshotError> {
        let asked = self
            .remote()
            .map(|remote| format!("refs/remotes/{remote}/"));
        let failed = |error: git2::Error| failed("list the branches", &error);
        let mut branches: BTreeSet<String> = self.branch().into_iter().collect();
        for reference in self.git.references().map_err(failed)? {
            let reference = reference.map_err(failed)?;
            let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
            if let Some(branch) = name.strip_prefix(HEADS) {
                branches.insert(branch.to_owned());
            } else if let Some(rest) = name.strip_prefix("refs/remotes/")
                && !asked.as_ref().is_some_and(|asked| name.starts_with(asked))
                && let Some((_, branch)) = rest.split_once('/')
            {
                branches.insert(branch.to_owned());
            }
        }
        Ok(branches)
    }

    /// The branches that the remote has now, without `refs/heads/`, by asking it: `origin`, else the current branch's, else
    /// the only one.
    ///
    /// # Errors
    ///
    /// There is no remote, it does not answer within `limit`, or says that it has no branch at all.
    pub async fn remote_branches(
        &self,
        limit: Duration,
    ) -> Result<BTreeSet<String>, SnapshotError> {
        let remote = self.remote().ok_or_else(|| SnapshotError::NoRemote {
            path: self.work_dir.clone(),
        })?;
        let url = self.origin_url().ok_or_else(|| SnapshotError::NoRemote {
            path: self.work_dir.clone(),
        })?;
        let mut command = scrubbed("git");
        // Outside of the repository, whose configuration may name programs: `core.sshCommand`, `remote.*.uploadpack`,
        // `ext::` addresses. The user's own configuration counts.
        command
            .current_dir("/")
            .env("GIT_DIR", "/dev/null")
            .env("GIT_ALLOW_PROTOCOL", PROTOCOLS)
            .args(["ls-remote", "--heads", "--quiet", "--"])
            .arg(self.absolute(&url))
            .stdin(std::process::Stdio::null());
        let mut command = tokio::process::Command::from(command);
        let failed = |message: String| SnapshotError::GitFailed {
            command: "ls-remote",
            message,
        };
        let output = tokio::time::timeout(limit, command.kill_on_drop(true).output())
            .await
            .map_err(|_| {
                failed(format!(
                    "{remote} did not answer within {} s",
                    limit.as_secs()
                ))
            })?
            .map_err(|source| SnapshotError::GitProgram { source })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(failed(match said.trim() {
                "" => output.status.to_string(),
                said => said.to_owned(),
            }));
        }
        let branches = heads(&String::from_utf8_lossy(&output.stdout));
        if branches.is_empty() {
            return Err(failed(format!("{remote} has no branches")));
        }
        Ok(branches)
    }
}

impl Repository {
    /// An address that means the same anywhere: git takes a relative path from the work tree.
    fn absolute(&self, url: &str) -> OsString {
        let is_path = !url.contains("://") && !url.split('/').next().unwrap_or("").contains(':');
        if is_path {
            self.work_dir.join(url).into_os_string()
        } else {
            url.into()
        }
    }
}

/// The branches in the answer of `git ls-remote`: `id TAB name`, a line each.
fn heads(answer: &str) -> BTreeSet<String> {
    let names = answer.lines().filter_map(|line| line.split_once('\t'));
    let branches = names.filter_map(|(_, name)| name.strip_prefix(HEADS));
    branches.map(str::to_owned).collect()
}
