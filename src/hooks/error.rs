//! Why hooks cannot be looked after.

use std::io;
use std::path::PathBuf;

use crate::error::{Kind, Remedy};
use crate::snapshot::SnapshotError;

/// Why hooks cannot be looked after in a repository as a whole.
#[derive(Debug, thiserror::Error)]
pub enum HooksError {
    /// `core.hooksPath` leads to a directory that is not this repository's alone.
    #[error(
        "git runs the hooks of {}, which are not this repository's alone: core.hooksPath is set in the {scope} configuration ({origin})",
        directory.display()
    )]
    Shared {
        /// Where git looks for hooks.
        directory: PathBuf,
        /// `system`, `global`, `local` or `worktree`.
        scope: String,
        /// Such as `file:/etc/gitconfig`.
        origin: String,
    },
    /// The hooks directory is a link that leads out of the repository.
    #[error("git runs the hooks of {}, which is outside of this repository", directory.display())]
    Outside {
        /// Where git looks for hooks.
        directory: PathBuf,
    },
    /// The hooks directory is part of the project.
    #[error("git runs the hooks of {}, and git tracks files there: they are the project's, not yours alone", directory.display())]
    Tracked {
        /// Where git looks for hooks.
        directory: PathBuf,
    },
    /// What we would write would show up as new files of the project.
    #[error("git runs the hooks of {}, in the work tree, where it does not ignore new files", directory.display())]
    NotIgnored {
        /// Where git looks for hooks.
        directory: PathBuf,
    },
    /// Git cannot be asked.
    #[error(transparent)]
    Git(#[from] SnapshotError),
    /// Our own program has no path.
    #[error("cannot tell where this program is")]
    Program {
        /// Why.
        source: io::Error,
    },
    /// A hook cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The hook.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A hook cannot be changed.
    #[error("{}: cannot be changed; it is as it was", path.display())]
    Write {
        /// The hook.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory cannot be made.
    #[error("{}: cannot be made", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl HooksError {
    /// Whether this is about where hooks are, so that files cannot be installed though nothing is broken.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Shared { .. }
                | Self::Outside { .. }
                | Self::Tracked { .. }
                | Self::NotIgnored { .. }
        )
    }
}

impl Remedy for HooksError {
    fn kind(&self) -> Kind {
        match self {
            Self::Git(error) => error.kind(),
            _ if self.is_refusal() => Kind::Usage,
            _ => Kind::Environment,
        }
    }

    fn hint(&self) -> Option<String> {
        const WATCHER: &str = "Without hooks the daemon's watcher still sees changes; git 2.54 and newer need no files for hooks.";
        Some(match self {
            Self::Git(error) => return error.hint(),
            Self::Shared { .. } => format!(
                "To have hooks here, `git config --local core.hooksPath .git/hooks`, which takes those others away. {WATCHER}"
            ),
            Self::Outside { .. } | Self::Tracked { .. } => WATCHER.to_owned(),
            Self::NotIgnored { directory } => format!(
                "List {} in .git/info/exclude if the files may be yours alone. {WATCHER}",
                directory.display()
            ),
            Self::Read { .. } | Self::Write { .. } | Self::Directory { .. } => {
                "Look at its permissions, and at the space that is left.".to_owned()
            }
            Self::Program { .. } => return None,
        })
    }
}
