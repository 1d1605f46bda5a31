//! A private directory for what `git` writes on our behalf.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::error::SnapshotError;

/// Begins the directories' names.
const PREFIX: &str = "prewarm-";

/// The file in it that is locked as long as somebody uses it.
const LOCK: &str = "lock";

/// A directory that is gone with the value, or, when we are killed, with the next value that anybody makes.
#[derive(Debug)]
pub(super) struct Scratch {
    directory: TempDir,
    /// Held until the directory is gone.
    _lock: File,
}

impl Scratch {
    pub(super) fn new() -> Result<Self, SnapshotError> {
        Self::within(&std::env::temp_dir())
    }

    fn within(parent: &Path) -> Result<Self, SnapshotError> {
        let made = || {
            let directory = tempfile::Builder::new()
                .prefix(PREFIX)
                .permissions(fs::Permissions::from_mode(0o700))
                .tempdir_in(parent)?;
            // Nobody may see it before it is locked.
            let unseen = directory.path().join("unseen");
            let lock = File::create_new(&unseen)?;
            lock.lock()?;
            fs::rename(&unseen, directory.path().join(LOCK))?;
            sweep(parent, directory.path())?;
            let scratch = Self {
                directory,
                _lock: lock,
            };
            fs::create_dir(scratch.objects())?;
            Ok(scratch)
        };
        made().map_err(|source| SnapshotError::Read {
            path: parent.to_owned(),
            source,
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where `git` puts new objects.
    pub(super) fn objects(&self) -> PathBuf {
        self.path().join("objects")
    }

    /// Where git-lfs puts new objects.
    pub(super) fn lfs(&self) -> PathBuf {
        self.path().join("lfs")
    }
}

/// Removes what processes of this user have left behind that were killed.
fn sweep(parent: &Path, own: &Path) -> io::Result<()> {
    let user = fs::metadata(own)?.uid();
    for entry in fs::read_dir(parent)?.filter_map(Result::ok) {
        let path = entry.path();
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX) && path != own;
        // Of the entry itself: a link may lead anywhere.
        let unused = ours
            && entry
                .metadata()
                .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == user)
            && fs::symlink_metadata(path.join(LOCK)).is_ok_and(|lock| lock.is_file())
            && File::open(path.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        if unused {
            // Somebody else may be at it, too.
            let _ = fs::remove_dir_all(&path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_swept_and_nothing_else() {
        let parent = tempfile::tempdir().expect("a directory");
        let within = || Scratch::within(parent.path()).expect("a scratch directory");
        let used = within();
        let left = within();
        // As after SIGKILL: the lock is gone with the process, the directory is not.
        let Scratch {
            directory,
            _lock: lock,
        } = left;
        let abandoned = directory.keep();
        drop(lock);
        for other in ["prewarm-of-somebody", "unrelated"] {
            fs::create_dir(parent.path().join(other)).expect("made");
        }
        assert!(abandoned.join("objects").is_dir());
        let next = within();
        assert!(!abandoned.exists());
        for kept in [
            used.path(),
            next.path(),
            &parent.path().join("prewarm-of-somebody"),
            &parent.path().join("unrelated"),
        ] {
            assert!(kept.is_dir(), "{}", kept.display());
        }
    }
}
