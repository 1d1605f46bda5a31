//! Which directory git takes hooks from, and whether it is ours to write to.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Event, HooksError};
use crate::snapshot::{GitHooks, Repository, ValueOrigin};

/// Scopes of configuration that many repositories share.
const SHARED_SCOPES: [&str; 2] = ["system", "global"];

/// A directory that hooks are in.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    /// Canonical, as far as it exists.
    pub(super) path: PathBuf,
    /// Whether another program made it and may make it again, as husky does.
    pub(super) managed: bool,
}

/// The repository's own directory for hooks, wherever git is told to look for them.
pub(super) fn own(repository: &Repository) -> PathBuf {
    canonical(&repository.common_dir().join("hooks"))
}

/// Where git looks for hooks, if that is for us to write to.
pub(super) fn find(repository: &Repository, git: &GitHooks) -> Result<Directory, HooksError> {
    let path = canonical(&git.directory()?);
    if path.starts_with(repository.common_dir()) {
        return Ok(Directory {
            path,
            managed: false,
        });
    }
    let configured = git.origin("core.hooksPath")?;
    let inside = path.starts_with(repository.work_dir());
    match configured {
        Some(ValueOrigin { scope, origin, .. })
            if !inside || SHARED_SCOPES.contains(&scope.as_str()) =>
        {
            Err(HooksError::Shared {
                directory: path,
                scope,
                origin,
            })
        }
        _ if !inside => Err(HooksError::Outside { directory: path }),
        _ if git.tracks(&path)? => Err(HooksError::Tracked { directory: path }),
        _ => {
            for event in Event::ALL {
                if !git.ignores(&path.join(event.name()))? {
                    return Err(HooksError::NotIgnored { directory: path });
                }
            }
            Ok(Directory {
                path,
                managed: true,
            })
        }
    }
}

/// The canonical path of what may not exist yet.
fn canonical(path: &Path) -> PathBuf {
    let mut missing: Vec<OsString> = Vec::new();
    for above in path.ancestors() {
        if let Ok(found) = fs::canonicalize(above) {
            return missing
                .iter()
                .rev()
                .fold(found, |path, name| path.join(name));
        }
        match above.file_name() {
            Some(name) => missing.push(name.to_owned()),
            None => break,
        }
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_below_what_is_there() {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let real = fs::canonicalize(directory.path()).expect("it is there");
        std::os::unix::fs::symlink(&real, real.join("link")).expect("a link can be made");
        assert_eq!(canonical(&real.join("link/a/b")), real.join("a/b"));
        assert_eq!(canonical(&real.join("link")), real);
    }
}
