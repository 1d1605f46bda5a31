//! A file of ours in the state directory on which it depends what may happen: read whole, checked, and replaced as a
//! whole under a lock.
//!
//! It fails closed. One that is damaged, too large, of a newer version, somebody else's, or writable by others is an
//! error, and nothing is written over it. Several processes may use it at once.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// For files of ours that are opened by name: a link leads elsewhere, and a pipe would be waited for.
pub(crate) const PLAIN: i32 = OFlags::NOFOLLOW
    .union(OFlags::NONBLOCK)
    .bits()
    .cast_signed();

/// A longer file was not written by us: a thousand repositories with all their approvals have less.
const LIMIT: u64 = 128 << 20;

/// The file, which need not exist.
#[derive(Clone, Debug)]
pub struct StateFile {
    path: PathBuf,
    /// The version that this program writes.
    version: u64,
}

/// Why the file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// It cannot be read, written or locked.
    #[error("cannot {action} it")]
    Io {
        /// What we did.
        action: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It does not hold what it should.
    #[error("{0}")]
    Damaged(String),
    /// A newer prewarm wrote it, with this version.
    #[error("a newer prewarm wrote it (version {0})")]
    Newer(u64),
}

/// Any version's document, for its version.
#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

/// What is in the file.
#[derive(Serialize, Deserialize)]
struct Document<D> {
    version: u64,
    #[serde(flatten)]
    content: D,
}

impl StateFile {
    /// The file at `path`; `version` is what this program writes.
    #[must_use]
    pub fn at(path: PathBuf, version: u64) -> Self {
        Self { path, version }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds; `None` where there is no file.
    ///
    /// # Errors
    /// Whatever keeps the file from being trusted.
    pub fn load<D: DeserializeOwned>(&self) -> Result<Option<D>, Trouble> {
        // Opening a pipe would wait for whoever writes to it.
        if fs::metadata(&self.path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(damaged("it is not a regular file"));
        }
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A link that leads nowhere may lead somewhere tomorrow, when a disk is mounted.
                return match fs::symlink_metadata(&self.path) {
                    Ok(_) => Err(damaged("it is a link that leads nowhere")),
                    Err(_) => Ok(None),
                };
            }
            file => file.map_err(io("read"))?,
        };
        // Of the file that is open: the name may lead elsewhere by now.
        let metadata = file.metadata().map_err(io("read"))?;
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(damaged("it belongs to another user"));
        }
        if metadata.permissions().mode() & 0o022 != 0 {
            return Err(damaged("others may write it"));
        }
        let mut bytes = Vec::new();
        file.take(LIMIT + 1)
            .read_to_end(&mut bytes)
            .map_err(io("read"))?;
        if bytes.len() as u64 > LIMIT {
            return Err(damaged("it is too large"));
        }
        let Versioned { version } = serde_json::from_slice(&bytes).map_err(damaged)?;
        if version > self.version {
            return Err(Trouble::Newer(version));
        }
        let document: Document<D> = serde_json::from_slice(&bytes).map_err(damaged)?;
        Ok(Some(document.content))
    }

    /// Puts a new file in the place of the old one: whoever reads sees one or the other, also after a power cut.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, content: &impl Serialize) -> Result<(), Trouble> {
        let document = Document {
            version: self.version,
            content,
        };
        let written = || {
            let mut text = serde_json::to_vec_pretty(&document)?;
            text.push(b'\n');
            // Made with mode 0600.
            let mut file = tempfile::Builder::new()
                .prefix(".state-")
                .tempfile_in(self.directory())?;
            file.write_all(&text)?;
            file.as_file().sync_all()?;
            file.persist(&self.path).map_err(|error| error.error)?;
            File::open(self.directory())?.sync_all()
        };
        written().map_err(io("write"))
    }

    /// Moves the file to a name that nothing has, and returns it.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn set_aside(&self, now_ms: i64) -> Result<PathBuf, Trouble> {
        let mut path = self.path.with_extension(format!("damaged-{now_ms}"));
        for number in 1.. {
            if fs::symlink_metadata(&path).is_err() {
                break;
            }
            path = self
                .path
                .with_extension(format!("damaged-{now_ms}-{number}"));
        }
        fs::rename(&self.path, &path).map_err(io("set aside"))?;
        Ok(path)
    }

    /// One at a time changes the file, as long as it holds what this returns. The lock is a file of its own, as the file
    /// itself is replaced. Makes the directory where it is missing.
    ///
    /// # Errors
    /// When there can be no lock.
    pub fn lock(&self) -> Result<File, Trouble> {
        let locked = || {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(self.directory())?;
            let file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(PLAIN)
                .open(self.path.with_extension("lock"))?;
            file.lock()?;
            Ok(file)
        };
        locked().map_err(io("lock"))
    }

    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it takes what `map_err` gives"
)]
fn damaged(reason: impl ToString) -> Trouble {
    Trouble::Damaged(reason.to_string())
}

fn io(action: &'static str) -> impl FnOnce(io::Error) -> Trouble {
    move |source| Trouble::Io { action, source }
}
