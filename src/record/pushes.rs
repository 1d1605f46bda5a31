//! Pushes, and by how much the cache was there before them.

use rusqlite::named_params;
use serde::Serialize;

use super::warm::{Outcome, WarmId};
use super::{CACHE_ROWS, RecordError, Records};

/// A push of a work tree's HEAD.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Push {
    /// The repository's path.
    pub repository: String,
    /// The branch; `None` when detached.
    pub branch: Option<String>,
    /// The commit.
    pub commit: String,
    /// When, in Unix milliseconds.
    pub at: i64,
}

/// What a commit came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitKey {
    /// The commit.
    pub commit: String,
    /// The target's name.
    pub target: String,
    /// Such as `linux/amd64`.
    pub platform: String,
    /// The repository of the cache tags; empty where it was warmed on this machine only.
    pub cache: String,
    /// The key, in hex.
    pub key: String,
}

/// A push, and whether a target's cache was there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lead {
    /// The push.
    #[serde(flatten)]
    pub push: Push,
    /// The target's name.
    pub target: String,
    /// Such as `linux/amd64`.
    pub platform: String,
    /// The warm that made its cache ready, if one has.
    pub warm: Option<WarmId>,
    /// Milliseconds from when the cache was ready to the push, negative if it came later; `None` if it is not ready yet.
    pub lead_ms: Option<i64>,
}

impl Records {
    /// Remembers a push; the oldest are forgotten.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub fn note_push(&self, push: &Push) -> Result<(), RecordError> {
        self.run("record a push in", |connection| {
            connection.execute(
                // A commit is needed when it is pushed first; git calls the hook of a push that sends nothing, too.
                "INSERT INTO pushes (repository, branch, commit_id, pushed_at)
                SELECT :repository, :branch, :commit, :at WHERE NOT EXISTS (
                    SELECT 1 FROM pushes
                    WHERE repository = :repository AND branch IS :branch AND commit_id = :commit
                )",
                named_params! {
                    ":repository": push.repository,
                    ":branch": push.branch,
                    ":commit": push.commit,
                    ":at": push.at,
                },
            )?;
            connection.execute(
                "DELETE FROM pushes WHERE id IN (SELECT id FROM pushes ORDER BY id DESC LIMIT -1 OFFSET ?1)",
                [CACHE_ROWS],
            )?;
            Ok(())
        })
    }

    /// Remembers which key a commit came to; `now` in Unix seconds.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub fn note_commit(&self, commit: &CommitKey, now: i64) -> Result<(), RecordError> {
        self.run("record a commit's key in", |connection| {
            connection.execute(
                "REPLACE INTO commits (commit_id, target, platform, cache, key, seen_at)
                VALUES (:commit, :target, :platform, :cache, :key, :now)",
                named_params! {
                    ":commit": commit.commit,
                    ":target": commit.target,
                    ":platform": commit.platform,
                    ":cache": commit.cache,
                    ":key": commit.key,
                    ":now": now,
                },
            )?;
            connection.execute(
                "DELETE FROM commits WHERE (commit_id, target, platform, cache) IN
                    (SELECT commit_id, target, platform, cache FROM commits ORDER BY seen_at DESC LIMIT -1 OFFSET ?1)",
                [CACHE_ROWS],
            )?;
            Ok(())
        })
    }

    /// The newest pushes with each target's lead, newest first; of one repository, or of all.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn leads(&self, repository: Option<&str>, limit: usize) -> Result<Vec<Lead>, RecordError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.run("read the pushes in", |connection| {
            connection
                .prepare_cached(
                    // What made it ready is the first warm of that key, if possible one that pointed the branch's tag at it.
                    "SELECT pushes.*, commits.target, commits.platform, ready.id AS warm, ready.finished_at AS ready_at
                    FROM pushes JOIN commits USING (commit_id) LEFT JOIN warms AS ready ON ready.id = (
                        SELECT id FROM warms
                        WHERE warms.key = commits.key AND warms.cache = commits.cache AND outcome IN (?3, ?4)
                        ORDER BY warms.branch IS NOT pushes.branch, finished_at LIMIT 1
                    )
                    WHERE (pushes.repository = ?1 OR ?1 IS NULL) AND commits.cache <> ''
                    ORDER BY pushes.id DESC, commits.target, commits.platform LIMIT ?2",
                )?
                .query_map(
                    (repository, limit, Outcome::Warm, Outcome::AlreadyWarm),
                    |row| {
                        let at: i64 = row.get("pushed_at")?;
                        let ready: Option<i64> = row.get("ready_at")?;
                        Ok(Lead {
                            push: Push {
                                repository: row.get("repository")?,
                                branch: row.get("branch")?,
                                commit: row.get("commit_id")?,
                                at,
                            },
                            target: row.get("target")?,
                            platform: row.get("platform")?,
                            warm: row.get::<_, Option<i64>>("warm")?.map(WarmId),
                            lead_ms: ready.map(|ready| at - ready),
                        })
                    },
                )?
                .collect()
        })
    }
}
