//! File events, through `notify`: the only file that names it.
//!
//! Directories are watched one by one, never recursively: `notify` cannot leave out `node_modules`. Events are hints to
//! look, so all that is kept of them is a set of paths; reading files is not an event.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::{ErrorKind, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

/// More paths than this at once, and everything is looked at.
const MOST: usize = 10_000;

/// Why a directory is not watched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WatchError {
    /// There is none.
    #[error("it does not exist")]
    Missing,
    /// The system gives no more watches.
    #[error("the system's limit of watches is reached")]
    Limit,
    /// Something else.
    #[error("{0}")]
    Other(String),
}

/// What has happened since it was last asked.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) paths: BTreeSet<PathBuf>,
    /// Events were lost.
    pub(super) rescan: bool,
}

/// Watches directories.
pub(super) struct Watcher {
    inner: RecommendedWatcher,
    watched: BTreeSet<PathBuf>,
    seen: Arc<Mutex<Seen>>,
    wake: Arc<Notify>,
}

impl Watcher {
    pub(super) fn new() -> Result<Self, WatchError> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let wake = Arc::new(Notify::new());
        let (kept, waker) = (Arc::clone(&seen), Arc::clone(&wake));
        let inner = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let mut seen = kept.lock().unwrap_or_else(PoisonError::into_inner);
            match event {
                Ok(event) if event.need_rescan() => seen.rescan = true,
                Ok(event) if matches!(event.kind, EventKind::Access(_)) => return,
                Ok(event) if seen.paths.len() < MOST => seen.paths.extend(event.paths),
                Ok(_) | Err(_) => seen.rescan = true,
            }
            drop(seen);
            waker.notify_one();
        });
        Ok(Self {
            inner: inner.map_err(|error| told(&error))?,
            watched: BTreeSet::new(),
            seen,
            wake,
        })
    }

    /// Is notified when something happens.
    pub(super) fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// What has happened since the last call.
    pub(super) fn take(&self) -> Seen {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *seen)
    }

    /// Directories that are watched.
    pub(super) fn count(&self) -> usize {
        self.watched.len()
    }

    /// Watches a directory. One that is watched already is watched anew if it was replaced since.
    pub(super) fn watch(&mut self, directory: &Path) -> Result<(), WatchError> {
        if !directory.is_dir() {
            self.unwatch(directory);
            return Err(WatchError::Missing);
        }
        self.inner
            .watch(directory, RecursiveMode::NonRecursive)
            .map_err(|error| told(&error))?;
        self.watched.insert(directory.to_owned());
        Ok(())
    }

    /// Watches a directory no longer.
    pub(super) fn unwatch(&mut self, directory: &Path) {
        if self.watched.remove(directory) {
            // It may be gone already, and its watch with it.
            let _ = self.inner.unwatch(directory);
        }
    }
}

fn told(error: &notify::Error) -> WatchError {
    match &error.kind {
        ErrorKind::MaxFilesWatch => WatchError::Limit,
        ErrorKind::PathNotFound => WatchError::Missing,
        // Linux: no more inotify instances of this user, or no more files of this process.
        ErrorKind::Io(io) if matches!(io.raw_os_error(), Some(23 | 24 | 28)) => WatchError::Limit,
        _ => WatchError::Other(error.to_string()),
    }
}
