//! What can go wrong with the records, by what cures it.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{ErrorCode, ffi};

use crate::error::{Kind, Remedy};

/// Why the records could not be used. None of these stops a warm: it goes on without history and says so.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// A newer prewarm wrote the database; it is left as it is.
    #[error("{} was written by a newer prewarm (schema {found}, this one knows {known})", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema that we know.
        known: i64,
    },
    /// No room on the disk.
    #[error("cannot {action} {}: the disk is full", path.display())]
    Full {
        /// The database.
        path: PathBuf,
        /// What we were about to do with it.
        action: &'static str,
    },
    /// The file, its directory or its file system cannot be written.
    #[error("cannot {action} {}: it is read-only", path.display())]
    ReadOnly {
        /// The database.
        path: PathBuf,
        /// What we were about to do with it.
        action: &'static str,
    },
    /// Another process held the database for longer than we wait.
    #[error("cannot {action} {}: another process keeps it locked", path.display())]
    Busy {
        /// The database.
        path: PathBuf,
        /// What we were about to do with it.
        action: &'static str,
    },
    /// The database turned out damaged while in use, and is out of the way now.
    #[error("{} was damaged ({reason}) and is set aside as a .corrupt- file beside it", path.display())]
    Damaged {
        /// Where it was.
        path: PathBuf,
        /// What `SQLite` said.
        reason: String,
    },
    /// A warm that the database does not hold (any more).
    #[error("{} holds no warm number {id}", path.display())]
    UnknownWarm {
        /// The database.
        path: PathBuf,
        /// The number.
        id: i64,
    },
    /// The file or its directory could not be made, read or moved.
    #[error("cannot {action} {}", path.display())]
    File {
        /// The file or directory.
        path: PathBuf,
        /// What we were about to do with it.
        action: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Anything else that `SQLite` says.
    #[error("cannot {action} {}: {reason}", path.display())]
    Failed {
        /// The database.
        path: PathBuf,
        /// What we were about to do with it.
        action: &'static str,
        /// What `SQLite` said.
        reason: String,
    },
}

impl RecordError {
    pub(super) fn from_sqlite(path: &Path, action: &'static str, error: &rusqlite::Error) -> Self {
        let path = path.to_path_buf();
        match error.sqlite_error_code() {
            // The shared memory beside a database is not grown by the code that says "full".
            _ if is_extended(error, ffi::SQLITE_IOERR_SHMSIZE) => Self::Full { path, action },
            Some(ErrorCode::DiskFull) => Self::Full { path, action },
            Some(ErrorCode::ReadOnly) => Self::ReadOnly { path, action },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Self::Busy { path, action }
            }
            _ => Self::Failed {
                path,
                action,
                reason: error.to_string(),
            },
        }
    }

    pub(super) fn from_io(path: &Path, action: &'static str, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full { path, action }
            }
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path, action },
            _ => Self::File {
                path,
                action,
                source,
            },
        }
    }
}

impl Remedy for RecordError {
    fn kind(&self) -> Kind {
        match self {
            Self::UnknownWarm { .. } => Kind::Internal,
            _ => Kind::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Newer { .. } => {
                Some("upgrade prewarm, or give this one a directory of its own with PREWARM_STATE_DIR".to_owned())
            }
            Self::Full { .. } => Some("make room on the disk; nothing that was recorded is lost".to_owned()),
            Self::ReadOnly { .. } | Self::File { .. } => {
                Some("check the owner and mode of the directory, or choose another with PREWARM_STATE_DIR".to_owned())
            }
            Self::Busy { .. } => Some("see whether a prewarm process is stopped or stuck".to_owned()),
            Self::Damaged { .. } => Some("run the command again: it begins a new history".to_owned()),
            Self::UnknownWarm { .. } | Self::Failed { .. } => None,
        }
    }
}

fn is_extended(error: &rusqlite::Error, code: i32) -> bool {
    error
        .sqlite_error()
        .is_some_and(|error| error.extended_code == code)
}

/// Whether `SQLite` says that the file itself is bad.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}
