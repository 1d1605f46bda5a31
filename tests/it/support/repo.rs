//! Real git repositories in temporary directories.

use std::fs;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::engines::{Scene, engines};

/// A git work tree. Its branch is `main` until [`Repo::branch`] says otherwise.
#[derive(Debug)]
pub(crate) struct Repo {
    /// Kept for its end, which removes the work tree.
    _directory: TempDir,
    path: PathBuf,
}

impl Repo {
    /// A repository without a commit.
    pub(crate) fn new() -> Self {
        let repo = Self::place();
        fs::create_dir(&repo.path).expect("a fresh directory takes a directory");
        repo.git(&["init", "--quiet", "--initial-branch=main"]);
        repo
    }

    fn place() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let path = directory.path().join("project");
        Self {
            _directory: directory,
            path,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file with mode 644.
    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.path.join(path);
        let parent = path.parent().expect("a file is in a directory");
        fs::create_dir_all(parent).expect("directories can be made");
        fs::write(&path, content).expect("a file can be written");
        self
    }

    /// Writes a file with mode 755.
    pub(crate) fn executable(&self, path: &str, content: &str) -> &Self {
        self.file(path, content);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path.join(path), mode).expect("a mode can be set");
        self
    }

    /// Makes a symbolic link.
    pub(crate) fn link(&self, path: &str, target: &str) -> &Self {
        let path = self.path.join(path);
        fs::create_dir_all(path.parent().expect("a link is in a directory"))
            .expect("directories can be made");
        symlink(target, path).expect("a link can be made");
        self
    }

    /// Commits everything.
    #[track_caller]
    pub(crate) fn commit(&self) -> &Self {
        self.git(&["add", "--all"]);
        self.git(&[
            "commit",
            "--quiet",
            "--allow-empty",
            "--message=Change something",
        ]);
        self
    }

    /// Makes a branch here and switches to it.
    #[track_caller]
    pub(crate) fn branch(&self, name: &str) -> &Self {
        self.git(&["switch", "--quiet", "--create", name]);
        self
    }

    /// A team mate's clone.
    #[track_caller]
    pub(crate) fn team_mate(&self) -> Self {
        let clone = Self::place();
        let branch = self.current_branch();
        git(
            Path::new("/"),
            &[
                "clone",
                "--quiet",
                "--branch",
                &branch,
                &self.path.display().to_string(),
                &clone.path.display().to_string(),
            ],
        );
        // A server's HEAD is the default branch, and not what somebody has checked out there.
        let _none = git_command(&clone.path)
            .args(["remote", "set-head", "origin", "main"])
            .output();
        clone
    }

    #[track_caller]
    pub(crate) fn current_branch(&self) -> String {
        self.git(&["branch", "--show-current"])
    }

    /// Runs git here and returns what it prints.
    #[track_caller]
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(&self.path, arguments)
    }

    /// Writes `.prewarm.toml` with these lines in `[ci]` and in `[target.builder]`.
    pub(crate) fn configure(&self, ci: &str, target: &str) -> &Self {
        self.file(
            ".prewarm.toml",
            format!("version = 1\n\n[ci]\n{ci}\n\n[target.builder]\n{target}\n"),
        )
    }

    /// Makes the work tree look as if another user with umask 002 had checked it out.
    pub(crate) fn as_of_another_user(&self) -> &Self {
        for entry in fs::read_dir(&self.path).expect("the work tree can be read") {
            let path = entry.expect("a directory can be read").path();
            if !path.ends_with(".git") {
                hand_over(&path);
            }
        }
        self
    }
}

/// Gives a file or directory to another user, with the permissions that umask 002 leaves.
fn hand_over(path: &Path) {
    const SOMEBODY: u32 = 4711;
    let metadata = fs::symlink_metadata(path).expect("what is listed is there");
    if metadata.is_dir() {
        for entry in fs::read_dir(path).expect("a directory can be read") {
            hand_over(&entry.expect("a directory can be read").path());
        }
    }
    lchown(path, Some(SOMEBODY), Some(SOMEBODY)).expect("tests run as root");
    if !metadata.is_symlink() {
        let mode = match metadata.permissions().mode() & 0o100 {
            0 => 0o664,
            _ => 0o775,
        };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode can be set");
    }
}

/// Runs git in a directory, with nothing of this machine's configuration, and returns what it prints.
#[track_caller]
pub(crate) fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = git_command(directory)
        .args(arguments)
        .output()
        .expect("git can be run");
    assert!(
        output.status.success(),
        "git {arguments:?} failed:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Git with nothing of this machine's configuration, and a fixed author and date.
pub(crate) fn git_command(directory: &Path) -> Command {
    let mut command = Command::new("git");
    isolate(&mut command)
        .current_dir(directory)
        .stdin(Stdio::null());
    command
}

/// Takes this machine's configuration from a command that runs git.
pub(crate) fn isolate(command: &mut Command) -> &mut Command {
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_AUTHOR_NAME", "Test")
        .env("GIT_AUTHOR_EMAIL", "test@example.com")
        .env("GIT_AUTHOR_DATE", "2026-01-02T03:04:05Z")
        .env("GIT_COMMITTER_NAME", "Test")
        .env("GIT_COMMITTER_EMAIL", "test@example.com")
        .env("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z")
}

/// What CI runs, in these tests: the Engine's own BuildKit.
pub(crate) const ENGINE: &str = "buildkit = \"engine\"";

impl Scene {
    /// The smallest project: `deps.txt` is the only input of the stage `builder`. On branch `topic`.
    #[track_caller]
    pub(crate) fn project(&self) -> Repo {
        let repo = Repo::new();
        repo.configure(ENGINE, &format!("cache = \"{}\"", self.cache()))
            .file("Dockerfile", dockerfile())
            .file("deps.txt", format!("{}\n", self.seed))
            .file("README.md", "A project\n")
            .commit()
            .branch("topic");
        repo
    }
}

/// The Dockerfile of [`Scene::project`].
pub(crate) fn dockerfile() -> String {
    format!(
        "FROM {} AS builder\nCOPY deps.txt /app/\nRUN sort /app/deps.txt > /sorted\n\n\
         FROM builder\nCOPY . .\n",
        engines().busybox
    )
}
