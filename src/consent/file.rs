//! The file of consent.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Allowed, ConsentError, Grant};
use crate::state_file::{StateFile, Trouble};

/// The version that this program writes.
const VERSION: u64 = 1;

/// The file of consent. Several processes may use it at once.
#[derive(Clone, Debug)]
pub struct Store {
    file: StateFile,
}

/// A file that could not be trusted and was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Where it is now.
    pub path: PathBuf,
    /// What was wrong with it.
    pub reason: String,
}

/// What the file holds.
#[derive(Serialize, Deserialize)]
struct Document {
    repositories: Vec<Grant>,
}

impl Store {
    /// The store in a file, which need not exist.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self {
            file: StateFile::at(path, VERSION),
        }
    }

    /// Reads what is allowed: nothing where there is no file.
    ///
    /// # Errors
    /// Whatever keeps the file from being trusted.
    pub fn load(&self) -> Result<Allowed, ConsentError> {
        let document: Option<Document> = self.file.load().map_err(|trouble| self.error(trouble))?;
        let grants = document.map_or_else(Vec::new, |document| document.repositories);
        Ok(Allowed { grants })
    }

    /// Changes what is allowed; what nobody changed is not written. Nothing is written over a file that cannot be trusted.
    ///
    /// # Errors
    /// As for [`Store::load`], or when it cannot be written.
    pub fn update<T>(&self, change: impl FnOnce(&mut Allowed) -> T) -> Result<T, ConsentError> {
        let _lock = self.file.lock().map_err(|trouble| self.error(trouble))?;
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
        let _lock = self.file.lock().map_err(|trouble| self.error(trouble))?;
        let (allowed, aside) = match self.load() {
            Ok(allowed) => (allowed, None),
            Err(error @ ConsentError::Newer { .. }) => return Err(error),
            Err(error) => {
                let reason = match &error {
                    ConsentError::Damaged { reason, .. } => reason.clone(),
                    ConsentError::Io { source, .. } => source.to_string(),
                    ConsentError::Newer { .. } => unreachable!("it was returned"),
                };
                let moved = self.file.set_aside(now_ms);
                let path = moved.map_err(|trouble| self.error(trouble))?;
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
            let document = Document {
                repositories: after.grants,
            };
            let written = self.file.write(&document);
            written.map_err(|trouble| self.error(trouble))?;
        }
        Ok(result)
    }

    fn error(&self, trouble: Trouble) -> ConsentError {
        let path = self.file.path().to_owned();
        match trouble {
            Trouble::Io { action, source } => ConsentError::Io {
                path,
                action,
                source,
            },
            Trouble::Damaged(reason) => ConsentError::Damaged { path, reason },
            Trouble::Newer(version) => ConsentError::Newer { path, version },
        }
    }
}
