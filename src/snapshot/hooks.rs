//! What git knows about the hooks of a repository: where they are, and the configuration that names them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::git::{output, scrubbed};
use super::{Repository, SnapshotError};

/// The `git` program, asked about the hooks of one repository.
#[derive(Clone, Debug)]
pub struct GitHooks {
    work_dir: PathBuf,
    git_dir: PathBuf,
}

/// The version of the `git` program: major and minor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GitVersion(pub u32, pub u32);

impl GitVersion {
    /// From here on, git runs hooks that its configuration names.
    pub const CONFIGURED_HOOKS: Self = Self(2, 54);
}

/// Where a value of git's configuration comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueOrigin {
    /// `system`, `global`, `local`, `worktree` or `command`.
    pub scope: String,
    /// Such as `file:/etc/gitconfig`.
    pub origin: String,
    /// The value.
    pub value: OsString,
}

impl GitHooks {
    /// For a repository, as one of its work trees sees it.
    #[must_use]
    pub fn of(repository: &Repository) -> Self {
        Self {
            work_dir: repository.work_dir().to_owned(),
            git_dir: repository.git_dir().to_owned(),
        }
    }

    /// Which git this is.
    ///
    /// # Errors
    ///
    /// It cannot be run, or says something else.
    pub fn version(&self) -> Result<GitVersion, SnapshotError> {
        let answer = output("version", self.git(&["version"]))?;
        let answer = String::from_utf8_lossy(&answer);
        version(&answer).ok_or_else(|| SnapshotError::GitFailed {
            command: "version",
            message: format!("it answered `{}`", answer.trim()),
        })
    }

    /// The directory where git looks for hooks, absolute; it need not exist.
    ///
    /// # Errors
    ///
    /// Git cannot be run.
    pub fn directory(&self) -> Result<PathBuf, SnapshotError> {
        let mut answer = output("rev-parse", self.git(&["rev-parse", "--git-path", "hooks"]))?;
        if answer.last() == Some(&b'\n') {
            answer.pop();
        }
        Ok(self.work_dir.join(OsString::from_vec(answer)))
    }

    /// The value of a key with where it comes from; `None` if nobody sets it.
    ///
    /// # Errors
    ///
    /// Git cannot be run.
    pub fn origin(&self, key: &str) -> Result<Option<ValueOrigin>, SnapshotError> {
        let arguments = [
            "config",
            "--show-scope",
            "--show-origin",
            "--null",
            "--get",
            key,
        ];
        let Some(answer) = self.if_any("config", &arguments)? else {
            return Ok(None);
        };
        let mut fields = answer.split(|byte| *byte == 0);
        let mut field = || fields.next().unwrap_or_default();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Some(ValueOrigin {
            scope: text(field()),
            origin: text(field()),
            value: OsStr::from_bytes(field()).to_owned(),
        }))
    }

    /// All keys below `hook.` in the repository's own configuration, with their values.
    ///
    /// # Errors
    ///
    /// Git cannot be run.
    pub fn configured(&self) -> Result<Vec<(String, Vec<u8>)>, SnapshotError> {
        let arguments = ["config", "--local", "--null", "--get-regexp", r"^hook\."];
        let answer = self.if_any("config", &arguments)?.unwrap_or_default();
        let entries = answer.split(|byte| *byte == 0).filter_map(|entry| {
            let newline = entry.iter().position(|byte| *byte == b'\n')?;
            let key = String::from_utf8(entry[..newline].to_owned()).ok()?;
            Some((key, entry[newline + 1..].to_owned()))
        });
        Ok(entries.collect())
    }

    /// Makes this the only value of a key in the repository's own configuration.
    ///
    /// # Errors
    ///
    /// Git cannot be run, or cannot write the file.
    pub fn set(&self, key: &str, value: &[u8]) -> Result<(), SnapshotError> {
        let mut command = self.git(&["config", "--local", "--replace-all", key]);
        command.arg(OsStr::from_bytes(value));
        output("config", command).map(drop)
    }

    /// Removes a section of the repository's own configuration, in one step.
    ///
    /// # Errors
    ///
    /// Git cannot be run, or cannot write the file, or there is no such section.
    pub fn remove_section(&self, section: &str) -> Result<(), SnapshotError> {
        let command = self.git(&["config", "--local", "--remove-section", section]);
        output("config", command).map(drop)
    }

    /// Whether git tracks anything at or below a path.
    ///
    /// # Errors
    ///
    /// Git cannot be run.
    pub fn tracks(&self, path: &Path) -> Result<bool, SnapshotError> {
        let mut command = self.git(&["--literal-pathspecs", "ls-files", "-z", "--"]);
        command.arg(path);
        Ok(!output("ls-files", command)?.is_empty())
    }

    /// Whether git ignores a path.
    ///
    /// # Errors
    ///
    /// Git cannot be run.
    pub fn ignores(&self, path: &Path) -> Result<bool, SnapshotError> {
        let mut command = self.git(&["check-ignore", "--quiet", "--"]);
        command.arg(path);
        Ok(Self::run_if_any("check-ignore", command)?.is_some())
    }

    /// What git would run for an event, as `git hook list` names it. Only for git that has configured hooks.
    ///
    /// # Errors
    ///
    /// Git cannot be run, or has no such command.
    pub fn runs(&self, event: &str) -> Result<Vec<String>, SnapshotError> {
        let answer = self.if_any("hook", &["hook", "list", event])?;
        let answer = String::from_utf8_lossy(&answer.unwrap_or_default()).into_owned();
        Ok(answer.lines().map(str::to_owned).collect())
    }

    fn git(&self, arguments: &[&str]) -> Command {
        let mut command = scrubbed("git");
        command
            .current_dir(&self.work_dir)
            .env("GIT_DIR", &self.git_dir)
            .env("GIT_WORK_TREE", &self.work_dir)
            .env("GIT_OPTIONAL_LOCKS", "0")
            .args(arguments);
        command
    }

    fn if_any(
        &self,
        name: &'static str,
        arguments: &[&str],
    ) -> Result<Option<Vec<u8>>, SnapshotError> {
        Self::run_if_any(name, self.git(arguments))
    }

    /// What a command wrote; `None` if it found nothing, which git's queries say with the exit code 1 and no word.
    fn run_if_any(
        name: &'static str,
        mut command: Command,
    ) -> Result<Option<Vec<u8>>, SnapshotError> {
        let answer = command
            .stdin(std::process::Stdio::null())
            .output()
            .map_err(|source| SnapshotError::GitProgram { source })?;
        match answer.status.code() {
            Some(0) => Ok(Some(answer.stdout)),
            Some(1) => Ok(None),
            _ => Err(SnapshotError::GitFailed {
                command: name,
                message: String::from_utf8_lossy(&answer.stderr).trim().to_owned(),
            }),
        }
    }
}

/// Reads what `git version` says.
fn version(answer: &str) -> Option<GitVersion> {
    let numbers = answer.trim().strip_prefix("git version ")?;
    let mut numbers = numbers.split(['.', '-', ' ']).map(str::parse);
    Some(GitVersion(numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_all_distributors_are_read() {
        for (answer, expected) in [
            ("git version 2.47.3\n", Some(GitVersion(2, 47))),
            (
                "git version 2.39.5 (Apple Git-154)\n",
                Some(GitVersion(2, 39)),
            ),
            ("git version 2.54.0.windows.1\n", Some(GitVersion(2, 54))),
            ("git version 2.55.0-rc1", Some(GitVersion(2, 55))),
            ("git version 3.0", Some(GitVersion(3, 0))),
            ("hub version 2", None),
            ("git version next", None),
        ] {
            assert_eq!(version(answer), expected, "{answer}");
        }
        assert!(GitVersion(3, 0) > GitVersion::CONFIGURED_HOOKS);
        assert!(GitVersion(2, 53) < GitVersion::CONFIGURED_HOOKS);
    }
}
