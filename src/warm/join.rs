//! One build of one thing at a time, whoever wants it: a warm by hand, the daemon's, a hook's, in any terminal.
//!
//! Whoever builds locks a file that is named by what it builds. Who comes second waits, and then finds it warm. A lock
//! that a dead process held is free, and its empty file goes with the next build of anything.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often is looked whether the other has done.
const PACE: Duration = Duration::from_millis(100);

/// For whatever somebody has put there: to open a pipe would be to wait.
const NO_WAIT: i32 = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();

/// Held while something is built.
#[derive(Debug)]
pub(super) struct Claim {
    path: PathBuf,
    _file: File,
}

impl Drop for Claim {
    fn drop(&mut self) {
        // While it is locked: who has it open already sees that it is not this one any more.
        let _ = fs::remove_file(&self.path);
    }
}

/// Takes the right to build what `name` names; `None` while another has it.
pub(super) fn claim(directory: &Path, name: &str) -> io::Result<Option<Claim>> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)?;
    let claim = take(directory.join(name))?;
    if let Some(claim) = &claim {
        sweep(directory, &claim.path);
    }
    Ok(claim)
}

fn take(path: PathBuf) -> io::Result<Option<Claim>> {
    loop {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // The other may have removed it between our opening and our locking.
        let ours = file.metadata()?;
        match fs::metadata(&path) {
            Ok(there) if (there.dev(), there.ino()) == (ours.dev(), ours.ino()) => {
                return Ok(Some(Claim { path, _file: file }));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
}

/// Removes what dead processes left, as far as that can be done. Who opens such a file at this very moment takes it for
/// somebody else's, and looks again.
fn sweep(directory: &Path, own: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if path != own && is_file {
            // Dropped, and so unlocked, once its file is gone.
            drop(take(path));
        }
    }
}

/// Whether anybody builds anything, of which we know.
pub(crate) fn anybody(directory: &Path) -> bool {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| {
            // Shared, so that two who look do not take each other for builders; and for a moment only.
            let mut options = OpenOptions::new();
            let file = options.read(true).custom_flags(NO_WAIT).open(entry.path());
            file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
        })
}

/// Waits until nobody has the right to build what `name` names.
pub(super) async fn others(directory: &Path, name: &str) -> io::Result<()> {
    while claim(directory, name)?.is_none() {
        tokio::time::sleep(PACE).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_waits_for_the_first() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let builds = directory.path().join("builds");
        let take = |name| claim(&builds, name).expect("it can be made");
        let first = take("one").expect("nobody has it");
        fs::write(builds.join("dead"), "").expect("it can be written");
        assert!(take("two").is_some());
        assert!(!builds.join("dead").exists());
        assert!(take("one").is_none());
        assert!(anybody(&builds));
        let waiting = others(&builds, "one");
        let ending = async {
            tokio::task::yield_now().await;
            drop(first);
        };
        let (waited, ()) = tokio::join!(waiting, ending);
        waited.expect("it can be looked at");
        assert!(!anybody(&builds));
        assert!(take("one").is_some());
        assert_eq!(fs::read_dir(&builds).expect("it was made").count(), 0);
    }
}
