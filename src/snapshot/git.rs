//! The `git` program, for what libgit2 does otherwise or in too much memory: the index, clean filters, blobs.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::drivers;
use super::scratch::Scratch;
use super::{ObjectId, SnapshotError};

/// What `git rev-parse --local-env-vars` names: inside a hook these point at the repository that runs the hook.
const LOCAL_ENVIRONMENT: [&str; 15] = [
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CONFIG",
    "GIT_CONFIG_PARAMETERS",
    "GIT_CONFIG_COUNT",
    "GIT_OBJECT_DIRECTORY",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_REPLACE_REF_BASE",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
];

/// How further variables begin that change what git reads, or make it write to some place.
const FAMILIES: [&[u8]; 4] = [
    b"GIT_ATTR_SOURCE",
    b"GIT_TRACE",
    b"GIT_CONFIG_KEY_",
    b"GIT_CONFIG_VALUE_",
];

/// Runs `git` for one work tree.
#[derive(Clone, Debug)]
pub(super) struct Git {
    program: OsString,
    work_tree: PathBuf,
    directory: PathBuf,
    common: PathBuf,
    objects: PathBuf,
}

/// What of the work tree is taken up into the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Update {
    Nothing,
    /// Tracked files.
    Files,
    /// Tracked files, and submodules that are at another commit.
    All,
}

/// Keys that name programs which `git add` may run: clean filters, what git-lfs runs in its own, and hooks that newer
/// versions of git find in the configuration.
const DRIVERS: &str =
    r"^(filter\..*\.(clean|process)|lfs\.extension\..*\.clean|hook\..*\.command)$";

impl Git {
    pub(super) fn new(work_dir: &Path, git_dir: &Path, common_dir: &Path) -> Self {
        Self {
            program: OsString::from("git"),
            work_tree: work_dir.to_owned(),
            directory: git_dir.to_owned(),
            common: common_dir.to_owned(),
            objects: common_dir.join("objects"),
        }
    }

    /// A `git` that writes nothing to the repository and asks nobody for anything.
    fn command(&self, alternates: &[PathBuf]) -> Command {
        let mut command = scrubbed(&self.program);
        command
            .current_dir(&self.work_tree)
            .env("GIT_DIR", &self.directory)
            .env("GIT_WORK_TREE", &self.work_tree)
            .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", joined(alternates))
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_NO_LAZY_FETCH", "1")
            // Older versions of git know no such variable; none of them fetches by a protocol that does not exist.
            .env("GIT_ALLOW_PROTOCOL", "none")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .args(["-c", "core.fsmonitor=", "-c", "core.hooksPath=/dev/null"]);
        command
    }

    /// Starts `git cat-file` in a batch mode. It streams larger blobs, and maps no more of the packs than the limit.
    pub(super) fn cat_file(
        &self,
        mode: &'static str,
        alternates: &[PathBuf],
    ) -> Result<Child, SnapshotError> {
        self.command(alternates)
            .args(["-c", "core.bigFileThreshold=1m"])
            .args(["-c", "core.packedGitWindowSize=1m"])
            .args(["-c", "core.packedGitLimit=16m"])
            .args(["-c", "core.deltaBaseCacheLimit=16m"])
            .args(["cat-file", mode])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| SnapshotError::GitProgram { source })
    }

    /// Makes sure that taking up files runs nothing that the repository's own configuration names.
    pub(super) fn refuse_drivers(&self) -> Result<(), SnapshotError> {
        let mut command = self.command(&[]);
        command.args(["config", "--show-scope", "--show-origin", "-z"]);
        command.args(["--get-regexp", DRIVERS]);
        let answer = match output("config", command) {
            // Nothing of that kind is configured: git says so by its status alone.
            Err(SnapshotError::GitFailed { message, .. })
                if message.starts_with("exit status: 1") =>
            {
                return Ok(());
            }
            answer => answer?,
        };
        let own = [&self.work_tree, &self.directory, &self.common];
        let keys = drivers::of_repository(&answer, &self.work_tree, &own);
        if keys.is_empty() {
            return Ok(());
        }
        Err(SnapshotError::Drivers { keys })
    }

    /// Commits with their parents, the newest first: those in the history of `tips`, of any reference but the stash, and of
    /// HEAD in any work tree, that are not in the history of `hidden`. What git itself can check out it finds here, too,
    /// which libgit2 does not always.
    pub(super) fn commits(
        &self,
        tips: &BTreeSet<ObjectId>,
        hidden: &BTreeSet<ObjectId>,
        limit: usize,
    ) -> Result<Vec<(ObjectId, Vec<ObjectId>)>, SnapshotError> {
        let mut command = self.command(&[]);
        command.args(["rev-list", "--parents", "--ignore-missing"]);
        command.arg(format!("--max-count={limit}"));
        command.args(["--exclude=refs/stash", "--all"]);
        command.args(tips.iter().map(ToString::to_string));
        command.args(hidden.iter().map(|commit| format!("^{commit}")));
        let answer = output("rev-list", command)?;
        let text = String::from_utf8_lossy(&answer);
        let commits = text.lines().map(|line| {
            let mut ids = line.split(' ').map(str::parse);
            Some((ids.next()?.ok()?, ids.collect::<Result<_, _>>().ok()?))
        });
        commits.collect::<Option<_>>().ok_or_else(|| {
            let message = "its answer cannot be read".to_owned();
            let command = "rev-list";
            SnapshotError::GitFailed { command, message }
        })
    }

    /// Whether there is any reference.
    pub(super) fn has_references(&self) -> Result<bool, SnapshotError> {
        let mut command = self.command(&[]);
        command.args(["for-each-ref", "--count=1"]);
        Ok(!output("for-each-ref", command)?.is_empty())
    }

    /// The tree that a commit of the index would have, after `git add --update` if so wanted. New objects, and what
    /// git-lfs puts aside, go to the scratch directory, and so does the index that this works on.
    pub(super) fn index_tree(
        &self,
        update: Update,
        scratch: &Scratch,
    ) -> Result<ObjectId, SnapshotError> {
        let index = scratch.path().join("index");
        self.copy_index(&index)?;
        let mut lfs_storage = OsString::from("lfs.storage=");
        lfs_storage.push(scratch.lfs());
        let git = |arguments: &[&str]| {
            let mut command = self.command(std::slice::from_ref(&self.objects));
            command
                .env("GIT_INDEX_FILE", &index)
                .env("GIT_OBJECT_DIRECTORY", scratch.objects())
                .arg("-c")
                .arg(&lfs_storage)
                // A split index would leave its other half in the repository.
                .args([
                    "-c",
                    "core.splitIndex=false",
                    "-c",
                    "core.untrackedCache=false",
                ])
                // Larger files are streamed; nothing of this is worth an fsync.
                .args(["-c", "core.bigFileThreshold=16m", "-c", "core.fsync=none"])
                .args(arguments);
            command
        };
        let paths = unmerged(&output("ls-files", git(&["ls-files", "--unmerged", "-z"]))?);
        if !paths.is_empty() {
            return Err(SnapshotError::UnmergedIndex { paths });
        }
        match update {
            Update::Nothing => {}
            Update::All => {
                output("add", git(&["add", "--update"]))?;
            }
            Update::Files => {
                // Whether a submodule changed, git asks a git in it, which follows that one's own configuration.
                let entries = output("ls-files", git(&["ls-files", "--stage", "-z"]))?;
                // Of a pathspec that matches nothing git says that it is an error.
                if entries.is_empty() {
                    return output("write-tree", git(&["write-tree"])).and_then(|id| tree_id(&id));
                }
                let mut command = git(&["add", "--update", "--", ":/"]);
                for path in submodules(&entries) {
                    let mut except = OsString::from(":(top,exclude,literal)");
                    except.push(OsStr::from_bytes(path));
                    command.arg(except);
                }
                output("add", command)?;
            }
        }
        // Whether a partial clone has every blob is no concern of the tree.
        let id = output("write-tree", git(&["write-tree", "--missing-ok"]))?;
        tree_id(&id)
    }

    fn copy_index(&self, copy: &Path) -> Result<(), SnapshotError> {
        let path = self.directory.join("index");
        let copied = || {
            let mut index = match fs::File::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                index => index?,
            };
            let mut file = fs::File::create(copy)?;
            io::copy(&mut index, &mut file)?;
            // A file as new as the index may have changed unseen since; git goes by the index's own time.
            file.set_modified(index.metadata()?.modified()?)
        };
        copied().map_err(|source| SnapshotError::Read {
            path: path.clone(),
            source,
        })
    }
}

fn tree_id(answer: &[u8]) -> Result<ObjectId, SnapshotError> {
    let id = String::from_utf8_lossy(answer);
    id.trim().parse().map_err(|_| SnapshotError::GitFailed {
        command: "write-tree",
        message: format!("it answered `{}`", id.trim()),
    })
}

/// A `git` that takes no repository from the environment.
pub(super) fn scrubbed(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    for name in LOCAL_ENVIRONMENT {
        command.env_remove(name);
    }
    for (name, _) in std::env::vars_os() {
        if FAMILIES
            .iter()
            .any(|family| name.as_bytes().starts_with(family))
        {
            command.env_remove(name);
        }
    }
    command.env("GIT_TERMINAL_PROMPT", "0");
    command
}

/// What a command wrote, if it succeeded.
pub(super) fn output(name: &'static str, mut command: Command) -> Result<Vec<u8>, SnapshotError> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| SnapshotError::GitProgram { source })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let message = match said.trim() {
        "" => output.status.to_string(),
        said => said.to_owned(),
    };
    Err(SnapshotError::GitFailed {
        command: name,
        message,
    })
}

/// The paths in the answer of `git ls-files --unmerged -z`: `mode SP id SP stage TAB path NUL`, up to three a path.
fn unmerged(answer: &[u8]) -> Vec<String> {
    let mut paths: Vec<_> = answer
        .split(|byte| *byte == 0)
        .filter_map(|entry| entry.splitn(2, |byte| *byte == b'\t').nth(1))
        .map(|path| String::from_utf8_lossy(path).into_owned())
        .collect();
    paths.dedup();
    paths
}

/// The submodules in the answer of `git ls-files --stage -z`: `mode SP id SP stage TAB path NUL`.
fn submodules(answer: &[u8]) -> impl Iterator<Item = &[u8]> {
    answer
        .split(|byte| *byte == 0)
        .filter(|entry| entry.starts_with(b"160000 "))
        .filter_map(|entry| entry.splitn(2, |byte| *byte == b'\t').nth(1))
}

/// Paths in one variable: separated by colons, in C quotes where needed.
fn joined(paths: &[PathBuf]) -> OsString {
    let texts: Vec<Vec<u8>> = paths
        .iter()
        .map(|path| {
            let bytes = path.as_os_str().as_bytes();
            if bytes.contains(&b':') || bytes.first() == Some(&b'"') {
                let escaped: Vec<u8> = bytes
                    .iter()
                    .flat_map(|byte| match byte {
                        b'"' | b'\\' => vec![b'\\', *byte],
                        byte => vec![*byte],
                    })
                    .collect();
                [b"\"".as_slice(), &escaped, b"\""].concat()
            } else {
                OsStr::new(path).as_bytes().to_owned()
            }
        })
        .collect();
    OsString::from_vec(texts.join(&b':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unmerged_path_is_named_once() {
        let answer =
            b"100644 4b8 1\ta\x00100644 4b8 2\ta\x00100644 4b8 3\ta\x00100644 4b8 2\tb\tc\x00";
        assert_eq!(unmerged(answer), ["a", "b\tc"]);
        assert_eq!(unmerged(b""), [""; 0]);
    }

    #[test]
    fn directories_are_joined_by_colons() {
        let paths = [PathBuf::from("/a"), PathBuf::from("/b:c\"d")];
        assert_eq!(joined(&paths), OsString::from("/a:\"/b:c\\\"d\""));
    }

    #[test]
    fn a_missing_program_is_named() {
        let mut git = Git::new(Path::new("/"), Path::new("/"), Path::new("/"));
        git.program = OsString::from("no-such-git-program");
        let error = git.cat_file("--batch", &[]).err();
        assert!(matches!(error, Some(SnapshotError::GitProgram { .. })));
    }
}
