//! What keeps records of BuildKit's cache from being pruned: what keys are made of, and which keys matter.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::warm::Outcome;
use super::{CACHE_ROWS, RecordError, Records};

/// What [`super::NewWarm::source`] calls trees that are not committed.
const UNCOMMITTED: [&str; 2] = ["staged", "worktree"];

/// The newest warm of a branch's target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchWarm {
    /// The work tree's path.
    pub repository: String,
    /// The target's name.
    pub target: String,
    /// The branch; `None` when detached.
    pub branch: Option<String>,
    /// The commit; `None` for what was not committed.
    pub commit: Option<String>,
    /// Whether it is of a commit, and not of what was saved or staged.
    pub committed: bool,
    /// The key, in hex; `None` where it was not known.
    pub key: Option<String>,
    /// Unix milliseconds.
    pub started_at: i64,
    /// Unix milliseconds.
    pub finished_at: i64,
}

/// A key that a commit came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenKey {
    /// The target's name.
    pub target: String,
    /// The key, in hex.
    pub key: String,
    /// When that was seen last, in Unix seconds.
    pub seen_at: i64,
}

/// What a key is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layers {
    /// When its layers were made, in nanoseconds since 1970.
    pub created: BTreeSet<i64>,
    /// Those of them that nothing stood on and nothing had exported.
    pub leaves: Vec<Leaf>,
}

/// A layer that gets another id, and another time of making, when it is exported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leaf {
    /// When it was made, in nanoseconds since 1970.
    pub created: i64,
    /// What made it, in BuildKit's words.
    pub description: String,
    /// The ids of what it stands on, in order.
    pub parents: Vec<String>,
}

impl Records {
    /// Remembers what a key is made of; `now` in Unix seconds.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub fn store_need(
        &self,
        key: &str,
        builder: &str,
        layers: &Layers,
        now: i64,
    ) -> Result<(), RecordError> {
        let created = serde_json::json!(layers.created).to_string();
        let leaves = serde_json::json!(layers.leaves).to_string();
        self.run("store what a key needs in", |connection| {
            connection.execute(
                "REPLACE INTO needs (key, builder, created, leaves, stored_at) VALUES (?1, ?2, ?3, ?4, ?5)",
                (key, builder, created, leaves, now),
            )?;
            connection.execute(
                "DELETE FROM needs WHERE (key, builder) IN
                    (SELECT key, builder FROM needs ORDER BY stored_at DESC LIMIT -1 OFFSET ?1)",
                [CACHE_ROWS],
            )?;
            Ok(())
        })
    }

    /// What keys are made of, on any builder.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn needs(&self) -> Result<BTreeMap<String, Layers>, RecordError> {
        self.run("read what keys need in", |connection| {
            let mut needs: BTreeMap<String, Layers> = BTreeMap::new();
            let mut select = connection.prepare_cached("SELECT key, created, leaves FROM needs")?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                let (created, leaves): (String, String) = (row.get(1)?, row.get(2)?);
                // What cannot be read, or says nothing, is as if it were not there: then the time of the warm counts.
                let created: Vec<i64> = serde_json::from_str(&created).unwrap_or_default();
                let leaves: Vec<Leaf> = serde_json::from_str(&leaves).unwrap_or_default();
                if !created.is_empty() {
                    let layers = needs.entry(row.get(0)?).or_default();
                    layers.created.extend(created);
                    layers.leaves.extend(leaves);
                }
            }
            Ok(needs)
        })
    }

    /// The newest warm of each branch, target, platform and source that left something in a builder of this machine.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn branch_warms(&self) -> Result<Vec<BranchWarm>, RecordError> {
        self.run("read the newest warms in", |connection| {
            connection
                .prepare_cached(
                    "SELECT repository, target, branch, commit_id, source, key, started_at, finished_at FROM warms
                    WHERE id IN (
                        SELECT max(id) FROM warms WHERE outcome NOT IN (?1, ?2) AND finished_at IS NOT NULL
                        GROUP BY repository, target, branch, platform, source
                    ) ORDER BY id",
                )?
                .query_map((Outcome::Failed, Outcome::Cancelled), |row| {
                    Ok(BranchWarm {
                        repository: row.get("repository")?,
                        target: row.get("target")?,
                        branch: row.get("branch")?,
                        commit: row.get("commit_id")?,
                        committed: !UNCOMMITTED.contains(&row.get::<_, String>("source")?.as_str()),
                        key: row.get("key")?,
                        started_at: row.get("started_at")?,
                        finished_at: row.get("finished_at")?,
                    })
                })?
                .collect()
        })
    }

    /// The keys that a commit came to.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn commit_keys(&self, commit: &str) -> Result<Vec<SeenKey>, RecordError> {
        self.run("read a commit's keys in", |connection| {
            connection
                .prepare_cached("SELECT target, key, seen_at FROM commits WHERE commit_id = ?1")?
                .query_map([commit], |row| {
                    Ok(SeenKey {
                        target: row.get(0)?,
                        key: row.get(1)?,
                        seen_at: row.get(2)?,
                    })
                })?
                .collect()
        })
    }

    /// How long steps took that were not found in a cache: their names, and milliseconds.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn step_times(&self) -> Result<Vec<(String, u64)>, RecordError> {
        self.run("read how long steps took in", |connection| {
            connection
                .prepare_cached(
                    "SELECT name, max(duration_ms) FROM steps WHERE NOT cached GROUP BY name",
                )?
                .query_map([], |row| {
                    let time: i64 = row.get(1)?;
                    Ok((row.get(0)?, u64::try_from(time).unwrap_or(0)))
                })?
                .collect()
        })
    }

    /// Base images whose digest was looked up since a time in Unix seconds: builds begin with them.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn base_images(&self, since: i64) -> Result<Vec<String>, RecordError> {
        self.run("read the base images in", |connection: &mut Connection| {
            connection
                .prepare_cached("SELECT DISTINCT reference FROM bases WHERE checked_at >= ?1")?
                .query_map([since], |row| row.get(0))?
                .collect()
        })
    }

    /// When the history was last found damaged and set aside, in Unix seconds. What was needed until then is not known.
    #[must_use]
    pub fn lost_at(&self) -> Option<i64> {
        super::open::newest_aside(self.path()?)
    }
}
