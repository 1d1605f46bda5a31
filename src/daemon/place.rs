//! Where the daemon's socket is, and how others find it.
//!
//! Shells, services, `ssh` and `cron` disagree about `XDG_RUNTIME_DIR`, so clients do not guess: the daemon writes where
//! it listens to a file in the state directory. The socket's own directory belongs to us alone.

use std::fs::{self, DirBuilder};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::paths::Paths;
use crate::protocol;

/// The socket's name in its directory.
const SOCKET: &str = "daemon.sock";

/// Bytes of a socket's path with its end: 108 on Linux, 104 on macOS (`sun_path` in `unix(7)`).
const LONGEST: usize = if cfg!(target_os = "macos") { 103 } else { 107 };

/// How a daemon is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovery {
    /// Its process, for people.
    pub pid: u32,
    /// Its socket.
    pub socket: PathBuf,
    /// Its version.
    pub version: String,
    /// The oldest and the newest protocol that it speaks.
    pub protocol: (u32, u32),
}

impl Discovery {
    /// Ours.
    #[must_use]
    pub fn ours(socket: &Path) -> Self {
        Self {
            pid: std::process::id(),
            socket: socket.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: (protocol::OLDEST, protocol::NEWEST),
        }
    }

    /// Reads what the last daemon wrote; `None` where there is nothing that can be read.
    #[must_use]
    pub fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(path).ok()?).ok()
    }

    /// Writes it, in one piece.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let directory = path.parent().unwrap_or(Path::new("/"));
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(&serde_json::to_vec(self).map_err(io::Error::from)?)?;
        file.persist(path)?;
        Ok(())
    }
}

/// Where the socket may be, the best place first.
fn candidates(paths: &Paths) -> impl Iterator<Item = PathBuf> {
    let user = rustix::process::getuid().as_raw();
    let short = std::env::temp_dir().join(format!("prewarm-{user}"));
    [paths.runtime_dir.clone(), short]
        .into_iter()
        .map(|directory| directory.join(SOCKET))
        .filter(|socket| socket.as_os_str().as_bytes().len() <= LONGEST)
}

/// The path of the socket, in a directory that is ours alone.
///
/// # Errors
/// When there is no place for it that is.
pub fn socket(paths: &Paths) -> io::Result<PathBuf> {
    let user = rustix::process::getuid().as_raw();
    let mut last = None;
    for socket in candidates(paths) {
        match own(socket.parent().unwrap_or(&socket), user) {
            Ok(()) => return Ok(socket),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::other("every path for it is too long")))
}

/// Where the socket of a daemon is that has not said so: only what nobody else can have put there.
pub fn likely(paths: &Paths) -> impl Iterator<Item = PathBuf> {
    let user = rustix::process::getuid().as_raw();
    candidates(paths).filter(move |socket| {
        socket
            .parent()
            .is_some_and(|directory| is_own(directory, user).is_ok())
    })
}

/// Makes a directory with mode 0700, or makes sure that it is one of ours: whoever else can write there can take our place.
fn own(directory: &Path, user: u32) -> io::Result<()> {
    let made = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory);
    let failed = |why: &str| io::Error::other(format!("{} {why}", directory.display()));
    made.map_err(|error| failed(&format!("cannot be made: {error}")))?;
    is_own(directory, user)
}

fn is_own(directory: &Path, user: u32) -> io::Result<()> {
    let failed = |why: &str| io::Error::other(format!("{} {why}", directory.display()));
    let metadata = fs::symlink_metadata(directory)?;
    if !metadata.is_dir() {
        return Err(failed("is not a directory"));
    }
    if metadata.uid() != user {
        return Err(failed("belongs to another user"));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(failed("can be entered by others; `chmod 700` it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_others_can_enter_is_refused() {
        let home = tempfile::tempdir().expect("a directory can be made");
        let user = rustix::process::getuid().as_raw();
        let directory = home.path().join("run");
        own(&directory, user).expect("it is new");
        own(&directory, user).expect("it is ours");
        assert!(own(&directory, user + 1).is_err());
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o750)).expect("it is ours");
        let error = own(&directory, user).expect_err("others can enter");
        assert!(error.to_string().contains("chmod 700"), "{error}");
        let link = home.path().join("link");
        std::os::unix::fs::symlink(&directory, &link).expect("a link can be made");
        assert!(own(&link, user).is_err());
    }

    #[test]
    fn what_is_written_is_found() {
        let home = tempfile::tempdir().expect("a directory can be made");
        let path = home.path().join("daemon.json");
        assert_eq!(Discovery::read(&path), None);
        let ours = Discovery::ours(Path::new("/run/user/1000/prewarm/daemon.sock"));
        ours.write(&path).expect("it can be written");
        assert_eq!(Discovery::read(&path), Some(ours));
        fs::write(&path, "{\"pid\": 1").expect("it can be written");
        assert_eq!(Discovery::read(&path), None);
    }
}
