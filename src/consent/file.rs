//! The file: read whole, checked, written anew under a lock.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Allowed, ConsentError, Grant};

/// The version that this program writes.
const VERSION: u64 = 1;

/// A longer file was not written by us: a thousand repositories with all their approvals have less.
const LIMIT: u64 = 128 << 20;

/// The file of consent. Several processes may use it at once.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
}

/// A file that could not be trusted and was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Where it is now.
    pub path: PathBuf,
    /// What was wrong with it.
    pub reason: String,
}

/// Any version's document, for its version.
#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

/// This version's document.
#[derive(Serialize, Deserialize)]
struct Document {
    version: u64,
    repositories: Vec<Grant>,
}

impl Store {
    /// The store in a file, which need not exist.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// Reads what is allowed: nothing where there is no file.
    ///
    /// # Errors
    /// Whatever keeps the file from being trusted.
    pub fn load(&self) -> Result<Allowed, ConsentError> {
        // Opening a pipe would wait for whoever writes to it.
        if fs::metadata(&self.path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(self.damaged("it is not a regular file"));
        }
        let file = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Allowed::default()),
            file => file.map_err(|error| self.io("read", error))?,
        };
        self.parse(file)
    }

    /// Changes what is allowed; what nobody changed is not written. Nothing is written over a file that cannot be trusted.
    ///
    /// # Errors
    /// As for [`Store::load`], or when it cannot be written.
    pub fn update<T>(&self, change: impl FnOnce(&mut Allowed) -> T) -> Result<T, ConsentError> {
        let _lock = self.lock()?;
        self.rewrite(&self.load()?, change)
    }

    /// As [`Store::update`], but sets a file aside that cannot be trusted, and says so: for when the user allows something.
    ///
    /// # Errors
    /// The file is of a newer version, or it cannot be moved or written.
    pub fn update_or_set_aside<T>(
        &self,
        now_ms: i64,
        change: impl FnOnce(&mut Allowed) -> T,
    ) -> Result<(T, Option<SetAside>), ConsentError> {
        let _lock = self.lock()?;
        let (allowed, aside) = match self.load() {
            Ok(allowed) => (allowed, None),
            Err(error @ ConsentError::Newer { .. }) => return Err(error),
            Err(error) => {
                let reason = match &error {
                    ConsentError::Damaged { reason, .. } => reason.clone(),
                    ConsentError::Io { source, .. } => source.to_string(),
                    ConsentError::Newer { .. } => unreachable!("it was returned"),
                };
                let path = self.set_aside(now_ms)?;
                (Allowed::default(), Some(SetAside { path, reason }))
            }
        };
        Ok((self.rewrite(&allowed, change)?, aside))
    }

    fn rewrite<T>(
        &self,
        before: &Allowed,
        change: impl FnOnce(&mut Allowed) -> T,
    ) -> Result<T, ConsentError> {
        let mut after = before.clone();
        let result = change(&mut after);
        if after != *before {
            self.write(after).map_err(|error| self.io("write", error))?;
        }
        Ok(result)
    }

    fn parse(&self, file: File) -> Result<Allowed, ConsentError> {
        let damaged = |reason: &str| self.damaged(reason);
        // Of the file that is open: the name may lead elsewhere by now.
        let metadata = file.metadata().map_err(|error| self.io("read", error))?;
        if metadata.uid() != rustix::process::geteuid().as_raw() {
            return Err(damaged("it belongs to another user"));
        }
        if metadata.permissions().mode() & 0o022 != 0 {
            return Err(damaged("others may write it"));
        }
        let mut bytes = Vec::new();
        file.take(LIMIT + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| self.io("read", error))?;
        if bytes.len() as u64 > LIMIT {
            return Err(damaged("it is too large"));
        }
        let Versioned { version } =
            serde_json::from_slice(&bytes).map_err(|error| damaged(&error.to_string()))?;
        if version > VERSION {
            return Err(ConsentError::Newer {
                path: self.path.clone(),
                version,
            });
        }
        let document: Document =
            serde_json::from_slice(&bytes).map_err(|error| damaged(&error.to_string()))?;
        Ok(Allowed {
            grants: document.repositories,
        })
    }

    /// Puts a new file in the place of the old one: whoever reads sees one or the other, also after a power cut.
    fn write(&self, allowed: Allowed) -> io::Result<()> {
        let directory = self.directory();
        let document = Document {
            version: VERSION,
            repositories: allowed.grants,
        };
        let mut text = serde_json::to_vec_pretty(&document)?;
        text.push(b'\n');
        // Made with mode 0600.
        let mut file = tempfile::Builder::new()
            .prefix(".consent-")
            .tempfile_in(directory)?;
        file.write_all(&text)?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        File::open(directory)?.sync_all()
    }

    /// Moves the file to a name that nothing has.
    fn set_aside(&self, now_ms: i64) -> Result<PathBuf, ConsentError> {
        let mut path = self.path.with_extension(format!("damaged-{now_ms}"));
        for number in 1.. {
            if fs::symlink_metadata(&path).is_err() {
                break;
            }
            path = self
                .path
                .with_extension(format!("damaged-{now_ms}-{number}"));
        }
        fs::rename(&self.path, &path).map_err(|error| self.io("set aside", error))?;
        Ok(path)
    }

    /// One at a time changes the file. The lock is a file of its own, as the file itself is replaced.
    fn lock(&self) -> Result<File, ConsentError> {
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
                .open(self.path.with_extension("lock"))?;
            file.lock()?;
            Ok(file)
        };
        locked().map_err(|error| self.io("lock", error))
    }

    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    fn damaged(&self, reason: &str) -> ConsentError {
        ConsentError::Damaged {
            path: self.path.clone(),
            reason: reason.to_owned(),
        }
    }

    fn io(&self, action: &'static str, source: io::Error) -> ConsentError {
        ConsentError::Io {
            path: self.path.clone(),
            action,
            source,
        }
    }
}
