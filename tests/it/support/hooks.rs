//! A repository whose hooks are looked after, on a machine without engines.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;

use super::prewarm::{Finished, Machine};
use super::repo::{Repo, git_command};

/// A repository with one commit, and a machine of its own.
pub(crate) struct Hooked {
    pub(crate) machine: Machine,
    pub(crate) repo: Repo,
}

impl Hooked {
    pub(crate) fn new() -> Self {
        let hooked = Self {
            machine: Machine::without_engine(),
            repo: Repo::new(),
        };
        let samples = hooked.hooks_dir();
        let _none = fs::remove_dir_all(&samples);
        fs::create_dir_all(samples).expect("a directory can be made");
        hooked.machine.prunes_nothing();
        hooked.repo.file("file", "one\n").commit();
        hooked
    }

    pub(crate) fn hooks_dir(&self) -> PathBuf {
        self.repo.path().join(".git/hooks")
    }

    /// `prewarm hooks …` in a directory.
    #[track_caller]
    pub(crate) fn hooks_in(&self, directory: &Path, arguments: &[&str]) -> Finished {
        let prewarm = self.machine.prewarm(directory).args(["hooks"]);
        prewarm.args(arguments.iter().copied()).run()
    }

    /// `prewarm hooks …`.
    #[track_caller]
    pub(crate) fn hooks(&self, arguments: &[&str]) -> Finished {
        self.hooks_in(self.repo.path(), arguments)
    }

    /// `prewarm hooks install`, which must succeed.
    #[track_caller]
    pub(crate) fn install(&self) -> &Self {
        let finished = self.hooks(&["install"]);
        assert_eq!(finished.code(), 0, "{}", finished.stderr);
        self
    }

    /// `prewarm hooks uninstall`, which must succeed.
    #[track_caller]
    pub(crate) fn uninstall(&self) -> &Self {
        let finished = self.hooks(&["uninstall"]);
        assert_eq!(finished.code(), 0, "{}{}", finished.stdout, finished.stderr);
        self
    }

    /// The exit code of `prewarm hooks status`.
    #[track_caller]
    pub(crate) fn status(&self) -> i32 {
        self.hooks(&["status"]).code()
    }

    /// Writes somebody's hook, with mode 755.
    pub(crate) fn hook(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.hooks_dir().join(name);
        fs::write(&path, content).expect("a file can be written");
        self.mode(name, 0o755)
    }

    pub(crate) fn mode(&self, name: &str, mode: u32) -> &Self {
        let path = self.hooks_dir().join(name);
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode can be set");
        self
    }

    pub(crate) fn link(&self, name: &str, target: impl AsRef<Path>) -> &Self {
        symlink(target, self.hooks_dir().join(name)).expect("a link can be made");
        self
    }

    /// Git in the repository, whatever becomes of it.
    pub(crate) fn git(&self, arguments: &[&str]) -> Output {
        git_in(self.repo.path(), arguments)
    }

    /// The lines that hooks left since the last time, as `event: line`, sorted by event.
    pub(crate) fn spooled(&self) -> Vec<String> {
        let spool = self.machine.state().join("spool");
        let mut lines = Vec::new();
        for entry in fs::read_dir(spool).expect("installing makes the spool") {
            let path = entry.expect("a directory can be read").path();
            let event = path.extension().expect("files are named by event");
            let event = event.to_string_lossy().into_owned();
            let content = fs::read(&path).expect("a file can be read");
            let content = String::from_utf8_lossy(&content).into_owned();
            lines.extend(content.lines().map(|line| format!("{event}: {line}")));
            fs::remove_file(path).expect("a file can be removed");
        }
        lines.sort();
        lines
    }

    /// The events that left a line since the last time, sorted.
    pub(crate) fn events(&self) -> Vec<String> {
        let event = |line: String| line.split(':').next().unwrap_or_default().to_owned();
        self.spooled().into_iter().map(event).collect()
    }

    /// Everything in the hooks directory: name, mode, and content or target.
    pub(crate) fn picture(&self) -> Vec<(String, u32, Vec<u8>)> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.hooks_dir()).expect("the hooks directory is there") {
            let path = entry.expect("a directory can be read").path();
            let metadata = fs::symlink_metadata(&path).expect("what is listed is there");
            let content = if metadata.is_symlink() {
                let target = fs::read_link(&path).expect("a link can be read");
                target.into_os_string().into_encoded_bytes()
            } else {
                fs::read(&path).unwrap_or_default()
            };
            let name = path
                .file_name()
                .expect("it has a name")
                .to_string_lossy()
                .into_owned();
            found.push((name, metadata.permissions().mode(), content));
        }
        found.sort();
        found
    }
}

/// Git in a directory, whatever becomes of it.
pub(crate) fn git_in(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = git_command(directory);
    command.args(arguments).output().expect("git can be run")
}
