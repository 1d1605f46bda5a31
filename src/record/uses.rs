//! What of a cache repository was of use here, by the history.

use std::collections::BTreeSet;

use super::{RecordError, Records};

/// What of a cache repository was of use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Keys, in hex.
    pub keys: BTreeSet<String>,
    /// Branches that were warmed.
    pub branches: BTreeSet<String>,
}

impl Records {
    /// What of a cache repository was warmed, looked at or pushed since a time in Unix milliseconds.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn uses(&self, cache: &str, since: i64) -> Result<Uses, RecordError> {
        self.run("read what was of use in", |connection| {
            let keys = connection
                .prepare_cached(
                    "SELECT key FROM commits WHERE cache = ?1 AND seen_at >= ?2 / 1000
                    UNION SELECT key FROM commits JOIN pushes USING (commit_id) WHERE cache = ?1 AND pushed_at >= ?2
                    UNION SELECT key FROM warms
                        WHERE cache = ?1 AND key IS NOT NULL AND coalesce(finished_at, started_at) >= ?2",
                )?
                .query_map((cache, since), |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let branches = connection
                .prepare_cached(
                    "SELECT DISTINCT branch FROM warms
                    WHERE cache = ?1 AND branch IS NOT NULL AND coalesce(finished_at, started_at) >= ?2",
                )?
                .query_map((cache, since), |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(Uses { keys, branches })
        })
    }
}
