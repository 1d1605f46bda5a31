//! What prewarm remembers between runs: the history of warms, and facts that save a question to a registry or to
//! BuildKit.
//!
//! One `SQLite` database per user, in WAL mode, used by several processes at once. This module and its children are the
//! only ones that name `rusqlite`. Nothing in here decides anything, and nothing in here is needed for a warm to be
//! correct: without it, more is asked again.

mod error;
mod history;
mod images;
mod needs;
mod open;
mod process;
mod prunes;
mod pushes;
mod schema;
#[cfg(test)]
mod tests;
mod uses;
mod warm;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension};

pub use error::RecordError;
pub use needs::{BranchWarm, Layers, Leaf, SeenKey};
pub use open::Warning;
pub use prunes::{Deleted, PruneEnd, PruneId, PruneRow};
pub use pushes::{CommitKey, Lead, Push};
pub use uses::Uses;
pub use warm::{
    Finished, HistoryRow, LastWarm, NewWarm, Outcome, Query, State, StepRecord, WarmFact, WarmId,
};

/// Rows kept of each cache; the least recently stored go first.
const CACHE_ROWS: i64 = 1_000;

/// The open database. Cheap to share: every call takes a lock for about a millisecond.
#[derive(Debug)]
pub struct Records {
    connection: Mutex<Connection>,
    file: open::OpenFile,
}

/// The digest that a base image's reference had when a registry was last asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseDigest {
    /// Such as `sha256:…`.
    pub digest: String,
    /// When it was asked, in Unix seconds.
    pub checked_at: i64,
}

impl Records {
    /// Opens the database at `path`, making it and its directory where they are missing (modes 0600 and 0700).
    ///
    /// A file that is not a database, or a damaged one, is set aside beside itself; the warning says where. `now` (Unix
    /// seconds) names it.
    ///
    /// # Errors
    ///
    /// When the database is of a newer schema, the disk is full or read-only, or the file cannot be opened. The caller
    /// can go on with [`Records::in_memory`].
    pub fn open(path: &Path, now: i64) -> Result<(Self, Option<Warning>), RecordError> {
        let (connection, file, warning) = open::open(path, now)?;
        let connection = Mutex::new(connection);
        Ok((Self { connection, file }, warning))
    }

    /// Opens the database to look something up, and to note something if that can be done: on a full or read-only disk
    /// what is there can still be read.
    ///
    /// # Errors
    ///
    /// When the database is of a newer schema, or cannot be read.
    pub fn open_to_look(path: &Path, now: i64) -> Result<(Self, Option<Warning>), RecordError> {
        match Self::open(path, now) {
            Err(error) if !matches!(error, RecordError::Newer { .. }) => {
                let (connection, file) = open::read_only(path).map_err(|_| error)?;
                let connection = Mutex::new(connection);
                Ok((Self { connection, file }, None))
            }
            opened => opened,
        }
    }

    /// A database that nothing outlives, for going on when the real one cannot be used.
    ///
    /// # Errors
    ///
    /// When there is no memory for it.
    pub fn in_memory() -> Result<Self, RecordError> {
        let (connection, file) = open::in_memory()?;
        let connection = Mutex::new(connection);
        Ok(Self { connection, file })
    }

    /// Where the database is; `None` for one in memory.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.file.path()
    }

    /// What BuildKit asked for when it last built this recipe, as the JSON document that was stored.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn inputs(&self, recipe: &str) -> Result<Option<String>, RecordError> {
        self.run("read the inputs of a recipe in", |connection| {
            connection
                .prepare_cached("SELECT document FROM inputs WHERE recipe = ?1")?
                .query_row([recipe], |row| row.get(0))
                .optional()
        })
    }

    /// Remembers what BuildKit asked for; `now` in Unix seconds.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub fn store_inputs(&self, recipe: &str, document: &str, now: i64) -> Result<(), RecordError> {
        self.run("store the inputs of a recipe in", |connection| {
            connection.execute(
                "REPLACE INTO inputs (recipe, document, stored_at) VALUES (?1, ?2, ?3)",
                (recipe, document, now),
            )?;
            connection.execute(
                "DELETE FROM inputs WHERE recipe IN
                    (SELECT recipe FROM inputs ORDER BY stored_at DESC LIMIT -1 OFFSET ?1)",
                [CACHE_ROWS],
            )?;
            Ok(())
        })
    }

    /// The digest that `reference` had for `platform` when it was last looked up.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn base_digest(
        &self,
        reference: &str,
        platform: &str,
    ) -> Result<Option<BaseDigest>, RecordError> {
        self.run("read a base image's digest in", |connection| {
            connection
                .prepare_cached(
                    "SELECT digest, checked_at FROM bases
                    WHERE reference = ?1 AND platform = ?2",
                )?
                .query_row([reference, platform], |row| {
                    Ok(BaseDigest {
                        digest: row.get(0)?,
                        checked_at: row.get(1)?,
                    })
                })
                .optional()
        })
    }

    /// Remembers the digest of a base image.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub fn store_base_digest(
        &self,
        reference: &str,
        platform: &str,
        base: &BaseDigest,
    ) -> Result<(), RecordError> {
        self.run("store a base image's digest in", |connection| {
            connection.execute(
                "REPLACE INTO bases (reference, platform, digest, checked_at)
                VALUES (?1, ?2, ?3, ?4)",
                (reference, platform, &base.digest, base.checked_at),
            )?;
            connection.execute(
                "DELETE FROM bases WHERE rowid IN
                    (SELECT rowid FROM bases ORDER BY checked_at DESC LIMIT -1 OFFSET ?1)",
                [CACHE_ROWS],
            )?;
            Ok(())
        })
    }

    /// A small fact by name, such as when the builder's image was last refreshed.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn meta(&self, key: &str) -> Result<Option<String>, RecordError> {
        self.run("read a fact in", |connection| {
            connection
                .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
                .query_row([key], |row| row.get(0))
                .optional()
        })
    }

    /// Remembers a small fact.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub fn set_meta(&self, key: &str, value: &str) -> Result<(), RecordError> {
        self.run("store a fact in", |connection| {
            connection.execute(
                "REPLACE INTO meta (key, value) VALUES (?1, ?2)",
                [key, value],
            )?;
            Ok(())
        })
    }

    /// Does one thing with the connection. Damage that only shows now sets the file aside, so that the next run begins
    /// a new one.
    fn run<T>(
        &self,
        action: &'static str,
        work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>,
    ) -> Result<T, RecordError> {
        // A panic elsewhere cannot leave a half-done change: it would have dropped the transaction.
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        work(&mut connection).map_err(|error| {
            if error::is_damage(&error) {
                self.file.set_aside_damaged(&error)
            } else {
                RecordError::from_sqlite(self.file.name(), action, &error)
            }
        })
    }
}

/// How an in-memory database is called in messages.
fn in_memory_name() -> PathBuf {
    PathBuf::from(":memory:")
}
