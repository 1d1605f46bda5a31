//! One prune at a time, of ours; BuildKit itself bears several.

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::state_file::PLAIN;

/// Held while something is pruned. A lock that a dead process held is free.
#[derive(Debug)]
pub struct Lock {
    _file: Option<File>,
}

impl Lock {
    /// Takes the lock; `None` while another has it. Where there is no room for its file, pruning is all the more needed,
    /// and two at once only do some of it twice.
    #[must_use]
    pub fn take(path: &Path) -> Option<Self> {
        if let Some(directory) = path.parent() {
            // Whether it is there, the file tells.
            let _ = DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(directory);
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .custom_flags(PLAIN)
            .open(path);
        let Ok(file) = file else {
            return Some(Self { _file: None });
        };
        match file.try_lock() {
            Err(std::fs::TryLockError::WouldBlock) => None,
            Ok(()) | Err(std::fs::TryLockError::Error(_)) => {
                // The daemon sees by it that somebody has pruned; it looks again now and then in any case.
                let _ = file.set_modified(std::time::SystemTime::now());
                Some(Self { _file: Some(file) })
            }
        }
    }

    /// Whether somebody has it now.
    #[must_use]
    pub fn is_taken(path: &Path) -> bool {
        let file = OpenOptions::new().read(true).custom_flags(PLAIN).open(path);
        let tried = file.map(|file| file.try_lock_shared());
        matches!(tried, Ok(Err(std::fs::TryLockError::WouldBlock)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let path = directory.path().join("state/prune.lock");
        let first = Lock::take(&path).expect("nobody has it");
        assert!(Lock::take(&path).is_none());
        assert!(Lock::is_taken(&path));
        drop(first);
        assert!(!Lock::is_taken(&path));
        assert!(Lock::take(&path).is_some());
        assert!(Lock::take(Path::new("/proc/none/prune.lock")).is_some());
        // Whatever else lies there is neither waited for nor followed.
        let pipe = directory.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|status| status.success()));
        assert!(Lock::take(&pipe).is_some());
        let (link, victim) = (
            directory.path().join("link"),
            directory.path().join("victim"),
        );
        std::os::unix::fs::symlink(&victim, &link).expect("a link can be made");
        assert!(Lock::take(&link).is_some());
        assert!(!victim.exists());
    }
}
