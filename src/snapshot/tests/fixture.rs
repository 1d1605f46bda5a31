//! A repository in a temporary directory, and `git` without the machine's configuration.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::super::{
    Checkout, EntryKind, Filter, ObjectId, Repository, Snapshot, SnapshotError, Source, Tree,
};

pub(in super::super) struct Fixture {
    pub(in super::super) root: TempDir,
}

impl Fixture {
    /// An empty repository with branch `main`.
    pub(in super::super) fn new() -> Self {
        let fixture = Self {
            root: TempDir::new().expect("a temporary directory"),
        };
        fs::create_dir(fixture.work()).expect("created");
        fixture.git(&["init", "--quiet", "--initial-branch=main"]);
        // libgit2 reads the configuration of whoever runs the tests; the repository's own wins.
        for (name, value) in [
            ("core.autocrlf", "false"),
            ("core.fileMode", "true"),
            ("commit.gpgSign", "false"),
        ] {
            fixture.git(&["config", name, value]);
        }
        fixture
    }

    /// A repository with these files in one commit.
    pub(in super::super) fn with(files: &[(&str, &str)]) -> Self {
        let fixture = Self::new();
        for (path, text) in files {
            fixture.write(path, text);
        }
        fixture.commit();
        fixture
    }

    pub(in super::super) fn work(&self) -> PathBuf {
        self.root.path().join("work")
    }

    #[track_caller]
    pub(in super::super) fn git(&self, arguments: &[&str]) -> String {
        self.git_in(&self.work(), arguments)
    }

    #[track_caller]
    pub(in super::super) fn git_in(&self, directory: &Path, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "protocol.file.allow=always"])
            .args(arguments)
            .current_dir(directory)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.root.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .env("GIT_AUTHOR_NAME", "A")
            .env("GIT_AUTHOR_EMAIL", "a@example.org")
            .env("GIT_AUTHOR_DATE", "1700000000 +0000")
            .env("GIT_COMMITTER_NAME", "A")
            .env("GIT_COMMITTER_EMAIL", "a@example.org")
            .env("GIT_COMMITTER_DATE", "1700000000 +0000")
            .output()
            .expect("git runs");
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout)
            .trim_end()
            .to_owned()
    }

    pub(in super::super) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) {
        let path = self.work().join(path);
        fs::create_dir_all(path.parent().expect("a path has a parent")).expect("created");
        fs::write(path, bytes).expect("written");
    }

    pub(in super::super) fn link(&self, path: &str, target: &str) {
        let path = self.work().join(path);
        fs::create_dir_all(path.parent().expect("a path has a parent")).expect("created");
        symlink(target, path).expect("linked");
    }

    pub(in super::super) fn remove(&self, path: &str) {
        let path = self.work().join(path);
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(path).expect("removed");
        } else {
            fs::remove_file(path).expect("removed");
        }
    }

    pub(in super::super) fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.work().join(path), fs::Permissions::from_mode(mode))
            .expect("changed");
    }

    /// Commits everything, and returns the commit.
    #[track_caller]
    pub(in super::super) fn commit(&self) -> ObjectId {
        self.git(&["add", "--all", "--force"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message=x"]);
        self.id("HEAD")
    }

    #[track_caller]
    pub(in super::super) fn id(&self, revision: &str) -> ObjectId {
        self.git(&["rev-parse", revision]).parse().expect("an id")
    }

    #[track_caller]
    pub(in super::super) fn repository(&self) -> Repository {
        Repository::discover(&self.work()).expect("a repository")
    }

    pub(in super::super) fn take(
        &self,
        source: &Source,
        checkout: Checkout,
    ) -> Result<Snapshot, SnapshotError> {
        self.repository().snapshot(source, 0o022, checkout)
    }

    #[track_caller]
    pub(in super::super) fn head(&self) -> Snapshot {
        let head = Source::Revision("HEAD".to_owned());
        self.take(&head, Checkout::default()).expect("a snapshot")
    }

    #[track_caller]
    pub(in super::super) fn worktree(&self) -> Snapshot {
        self.take(&Source::Worktree, Checkout::default())
            .expect("a snapshot")
    }
}

/// Everything that a filter selects, a line each: kind, mode, size or target, path.
#[track_caller]
pub(in super::super) fn list(tree: &Tree, filter: &Filter) -> String {
    let mut lines = Vec::new();
    tree.walk(filter, &mut |entry| {
        let path = String::from_utf8_lossy(&entry.path);
        lines.push(match entry.kind {
            EntryKind::Directory => format!("d {:o} {path}/", entry.mode),
            EntryKind::File => format!("f {:o} {path} {}", entry.mode, entry.size),
            EntryKind::Symlink { target } => {
                format!(
                    "l {:o} {path} -> {}",
                    entry.mode,
                    String::from_utf8_lossy(&target)
                )
            }
        });
        ControlFlow::Continue(())
    })
    .expect("walked");
    lines.join("\n")
}

/// The paths that a filter selects, directories with a slash.
#[track_caller]
pub(in super::super) fn paths(tree: &Tree, filter: &Filter) -> String {
    let mut paths = Vec::new();
    tree.walk(filter, &mut |entry| {
        let slash = if entry.kind == EntryKind::Directory {
            "/"
        } else {
            ""
        };
        paths.push(format!("{}{slash}", String::from_utf8_lossy(&entry.path)));
        ControlFlow::Continue(())
    })
    .expect("walked");
    paths.join(" ")
}

#[track_caller]
pub(in super::super) fn digest(tree: &Tree, filter: &Filter) -> Vec<u8> {
    let mut bytes = Vec::new();
    tree.digest(filter, &mut |part| bytes.extend_from_slice(part))
        .expect("digested");
    bytes
}
