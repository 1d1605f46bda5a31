//! Why nothing can be read of what is allowed.

use std::io;
use std::path::PathBuf;

use crate::error::{Kind, Remedy};

/// What is wrong with the file of consent. Whatever it is, nothing is allowed.
#[derive(Debug, thiserror::Error)]
pub enum ConsentError {
    /// It cannot be read, written or locked.
    #[error("{}: cannot {action} what is allowed", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What we did.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It does not hold what it should.
    #[error("{}: what is allowed cannot be trusted: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A newer prewarm wrote it.
    #[error("{}: a newer prewarm wrote this (version {version})", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u64,
    },
}

impl Remedy for ConsentError {
    fn kind(&self) -> Kind {
        Kind::Environment
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Io { path, .. } => {
                let directory = path.parent().unwrap_or(path);
                format!(
                    "nothing is allowed until it can be; look at {} and its permissions",
                    directory.display()
                )
            }
            Self::Damaged { .. } => {
                "nothing is allowed any more; `prewarm allow` sets the file aside and begins a new one".to_owned()
            }
            Self::Newer { .. } => "update prewarm, or move the file away and allow again what you trust".to_owned(),
        })
    }
}
