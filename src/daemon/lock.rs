//! One daemon per user: whoever holds the lock is it. A lock that a dead process held is free.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::state_file::PLAIN;

/// Longer than anybody holds it who only asks.
const MOMENT: Duration = Duration::from_millis(10);

/// Many may ask, one after the other.
const TRIES: usize = 20;

/// Held as long as the daemon lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock; `None` when another daemon has it.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn take(path: &Path) -> io::Result<Option<Self>> {
        let mut file = open(path)?;
        // Somebody who asks whether it is taken holds it for a moment.
        for left in (0..TRIES).rev() {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if left == 0 => return Ok(None),
                Err(TryLockError::WouldBlock) => thread::sleep(MOMENT),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        // For people who look into the file; nothing goes by it. A full disk must not keep us from running.
        let _ = file
            .set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        Ok(Some(Self { _file: file }))
    }

    /// Whether a daemon has it.
    #[must_use]
    pub fn is_taken(path: &Path) -> bool {
        let file = OpenOptions::new().read(true).custom_flags(PLAIN).open(path);
        let Ok(file) = file else {
            return false;
        };
        matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .custom_flags(PLAIN)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_and_its_end_frees_it() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let path = directory.path().join("lock");
        assert!(!Lock::is_taken(&path));
        let first = Lock::take(&path)
            .expect("it can be made")
            .expect("it is free");
        assert!(Lock::is_taken(&path));
        assert!(Lock::take(&path).expect("it can be opened").is_none());
        drop(first);
        assert!(!Lock::is_taken(&path));
        assert!(Lock::take(&path).expect("it can be opened").is_some());
    }

    #[test]
    fn whatever_else_lies_there_is_neither_waited_for_nor_followed() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let place = |name: &str| directory.path().join(name);
        let (pipe, link, victim) = (place("pipe"), place("link"), place("victim"));
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|status| status.success()));
        assert!(!Lock::is_taken(&pipe));
        // Whether a pipe can be locked is the system's affair.
        let _ = Lock::take(&pipe);
        std::os::unix::fs::symlink(&victim, &link).expect("a link can be made");
        assert!(Lock::take(&link).is_err() && !Lock::is_taken(&link));
        assert!(!victim.exists());
    }
}
