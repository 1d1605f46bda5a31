//! The files in a hooks directory: what is there, and each change as one atomic step, so that whoever is killed
//! half-way leaves either the old hook or the new one.

use std::fs::{self, Metadata, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use super::plan::{Action, Existing, Found, Original, Removal};
use super::{Event, HooksError};

/// The place of one hook.
#[derive(Clone, Debug)]
pub(super) struct Place {
    hook: PathBuf,
    original: PathBuf,
}

impl Place {
    pub(super) fn new(directory: &Path, event: Event) -> Self {
        let name = event.name();
        Self {
            hook: directory.join(name),
            original: directory.join(format!("{name}.prewarm-orig")),
        }
    }

    /// The hook's file.
    pub(super) fn file(&self) -> &Path {
        &self.hook
    }

    /// Looks what is there.
    pub(super) fn look(&self) -> Result<Found, HooksError> {
        let look = || -> io::Result<Found> {
            let existing = match metadata(&self.hook)? {
                None => Existing::Nothing,
                Some(metadata) if metadata.is_file() => Existing::File {
                    content: fs::read(&self.hook)?,
                    executable: metadata.mode() & 0o111 != 0,
                },
                Some(metadata) if metadata.is_symlink() => Existing::Link,
                Some(_) => Existing::Other,
            };
            Ok(Found {
                existing,
                original: self.look_aside()?,
            })
        };
        look().map_err(|source| HooksError::Read {
            path: self.hook.clone(),
            source,
        })
    }

    fn look_aside(&self) -> io::Result<Original> {
        let (Some(hook), original) = (metadata(&self.hook)?, metadata(&self.original)?) else {
            let found = metadata(&self.original)?;
            return Ok(found.map_or(Original::None, |_| Original::Another));
        };
        let Some(original) = original else {
            return Ok(Original::None);
        };
        let same_inode = (hook.dev(), hook.ino()) == (original.dev(), original.ino());
        let same_copy = || -> io::Result<bool> {
            Ok(if hook.is_symlink() && original.is_symlink() {
                fs::read_link(&self.hook)? == fs::read_link(&self.original)?
            } else {
                hook.is_file()
                    && original.is_file()
                    && fs::read(&self.hook)? == fs::read(&self.original)?
            })
        };
        Ok(if same_inode || same_copy()? {
            Original::Same
        } else {
            Original::Another
        })
    }

    /// Does what installs. `mode` is that of a new file.
    pub(super) fn install(&self, action: &Action, mode: u32) -> Result<(), HooksError> {
        let done = match action {
            Action::Keep | Action::Leave(_) => Ok(()),
            Action::Write(content) => self.write(content, &Like::Mode(mode)),
            Action::Edit { content, .. } => self.write(content, &Like::Before),
            Action::Wrap(content) => self
                .put_aside()
                .and_then(|()| self.write(content, &Like::Mode(mode))),
        };
        self.failed(done)
    }

    /// Does what uninstalls.
    pub(super) fn uninstall(&self, removal: &Removal) -> Result<(), HooksError> {
        let done = match removal {
            Removal::Nothing | Removal::Leave(_) => Ok(()),
            Removal::Delete => fs::remove_file(&self.hook),
            Removal::Restore => fs::rename(&self.original, &self.hook),
            Removal::Forget => fs::remove_file(&self.original),
            Removal::Edit(content) => self.write(content, &Like::Before),
        };
        self.failed(done)
    }

    fn failed(&self, done: io::Result<()>) -> Result<(), HooksError> {
        done.map_err(|source| HooksError::Write {
            path: self.hook.clone(),
            source,
        })
    }

    /// Gives the hook its second name, while it stays in its place.
    fn put_aside(&self) -> io::Result<()> {
        match fs::hard_link(&self.hook, &self.original) {
            Ok(()) => return Ok(()),
            // From another time, when we were killed after this step.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
            // Not every file system has hard links.
            Err(_) => {}
        }
        let metadata = fs::symlink_metadata(&self.hook)?;
        if metadata.is_symlink() {
            return symlink(fs::read_link(&self.hook)?, &self.original);
        }
        let content = fs::read(&self.hook)?;
        replace(&self.original, &content, metadata.mode(), Some(&metadata))
    }

    fn write(&self, content: &[u8], like: &Like) -> io::Result<()> {
        match like {
            Like::Mode(mode) => replace(&self.hook, content, *mode, None),
            Like::Before => {
                let before = fs::symlink_metadata(&self.hook)?;
                replace(&self.hook, content, before.mode(), Some(&before))
            }
        }
    }
}

/// Whose mode a file that is written gets.
enum Like {
    /// This one.
    Mode(u32),
    /// That of the file before.
    Before,
}

/// How the names of files begin that are not whole yet.
const UNFINISHED: &str = ".prewarm-";

/// Removes what was not finished when somebody ended us. Git never looks at such a file.
pub(super) fn sweep(directory: &Path) -> Result<(), HooksError> {
    let sweep = || -> io::Result<()> {
        let entries = match fs::read_dir(directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if entry
                .file_name()
                .as_bytes()
                .starts_with(UNFINISHED.as_bytes())
            {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    };
    sweep().map_err(|source| HooksError::Write {
        path: directory.to_owned(),
        source,
    })
}

/// Replaces a file, or makes it, in one step.
fn replace(path: &Path, content: &[u8], mode: u32, owner: Option<&Metadata>) -> io::Result<()> {
    let directory = path.parent().expect("a hook is in a directory");
    let mut file = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempfile_in(directory)?;
    file.write_all(content)?;
    if let Some(owner) = owner {
        // Only root may do this. Anybody else owns the file, or gets it from its owner with the mode that it had.
        let _not_root = chown(file.path(), Some(owner.uid()), Some(owner.gid()));
    }
    fs::set_permissions(file.path(), Permissions::from_mode(mode & 0o7777))?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// What is there, itself and not what it leads to; `None` if there is nothing.
fn metadata(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The mode of a new hook in a repository with this `core.sharedRepository`.
pub(super) fn mode(shared: Option<&str>) -> u32 {
    const OURS: u32 = 0o755;
    match shared.map(str::to_ascii_lowercase).as_deref() {
        Some("group" | "true" | "yes" | "on" | "1" | "" | "all" | "world" | "everybody" | "2") => {
            OURS | 0o020
        }
        // Git takes an octal number as the mode of files that are not executable.
        Some(octal) if octal.starts_with('0') && octal.len() > 1 => {
            match u32::from_str_radix(octal, 8) {
                Ok(files) if files & 0o600 == 0o600 => files & 0o666 | (files & 0o444) >> 2,
                _ => OURS,
            }
        }
        _ => OURS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_repositories_share_hooks() {
        for (shared, expected) in [
            (None, 0o755),
            (Some("false"), 0o755),
            (Some("umask"), 0o755),
            (Some("0"), 0o755),
            (Some("group"), 0o775),
            (Some("True"), 0o775),
            (Some("all"), 0o775),
            (Some("0640"), 0o750),
            (Some("0660"), 0o770),
            (Some("0600"), 0o700),
            (Some("0999"), 0o755),
        ] {
            assert_eq!(mode(shared), expected, "{shared:?}");
        }
    }
}
