//! Writing the history and asking it.

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, ToSql, TransactionBehavior, named_params};

use super::process::Process;
use super::warm::{
    Finished, HistoryRow, LastWarm, NewWarm, Outcome, Query, State, StepRecord, WarmFact, WarmId,
};
use super::{RecordError, Records};

/// Warms kept of each repository.
const KEPT: i64 = 1_000;
/// Warms of each repository that keep their inputs: for a whole-tree `COPY` those are megabytes.
const KEPT_INPUTS: i64 = 50;

/// A row of the history as it is selected, for [`read_row`].
const SELECT: &str = "
    SELECT *,
        (SELECT count(*) FROM steps WHERE steps.warm = warms.id) AS steps_total,
        (SELECT count(*) FROM steps WHERE steps.warm = warms.id AND steps.cached) AS steps_cached
    FROM warms";

impl Records {
    /// Notes that a warm begins, in our process.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub fn begin(&self, warm: &NewWarm) -> Result<WarmId, RecordError> {
        let us = Process::current();
        self.run("record the start of a warm in", |connection| {
            connection.execute(
                "INSERT INTO warms (repository, target, platform, commit_id, tree, source, key, recipe, cache, branch,
                    builder, buildkit, started_at, pid, process_started)
                VALUES (:repository, :target, :platform, :commit, :tree, :source, :key, :recipe, :cache, :branch,
                    :builder, :buildkit, :started_at, :pid, :process_started)",
                named_params! {
                    ":repository": warm.repository,
                    ":target": warm.target,
                    ":platform": warm.platform,
                    ":commit": warm.commit,
                    ":tree": warm.tree,
                    ":source": warm.source,
                    ":key": warm.key,
                    ":recipe": warm.recipe,
                    ":cache": warm.cache,
                    ":branch": warm.branch,
                    ":builder": warm.builder,
                    ":buildkit": warm.buildkit,
                    ":started_at": warm.started_at,
                    ":pid": us.pid,
                    ":process_started": us.started,
                },
            )?;
            Ok(WarmId(connection.last_insert_rowid()))
        })
    }

    /// Notes how a warm ended, and forgets the repository's oldest ones: a thousand are kept, and the inputs of fifty.
    /// All of it happens or nothing.
    ///
    /// # Errors
    ///
    /// When the database cannot be written, or does not hold that warm.
    pub fn finish(&self, id: WarmId, finished: &Finished) -> Result<(), RecordError> {
        let found = self.run("record the end of a warm in", |connection| {
            write_finished(connection, id, finished)
        })?;
        if found {
            Ok(())
        } else {
            Err(RecordError::UnknownWarm {
                path: self.file.name().to_path_buf(),
                id: id.0,
            })
        }
    }

    /// The newest warm that left `key` warm: in the cache repository `cache`, or with `None` in the local BuildKit that
    /// the fact names.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn warm_key(
        &self,
        cache: Option<&str>,
        key: &str,
    ) -> Result<Option<WarmFact>, RecordError> {
        self.run("look up a key in", |connection| {
            connection
                .prepare_cached(
                    // Of its tags those that nothing later has taken.
                    "SELECT cache_digest, finished_at, builder, (
                        SELECT json_group_array(own.value) FROM json_each(warms.tags) AS own WHERE NOT EXISTS (
                            SELECT 1 FROM warms AS later, json_each(later.tags) AS taken
                            WHERE later.id > warms.id AND later.cache IS warms.cache AND later.key IS NOT warms.key
                                AND taken.value = own.value
                        )
                    ) AS tags FROM warms
                    WHERE key = ?1 AND cache IS ?2 AND outcome IN (?3, ?4, ?5)
                    ORDER BY finished_at DESC, id DESC LIMIT 1",
                )?
                .query_row(
                    (
                        key,
                        cache,
                        Outcome::Warm,
                        Outcome::AlreadyWarm,
                        cache.is_none().then_some(Outcome::LocalOnly),
                    ),
                    |row| {
                        Ok(WarmFact {
                            digest: row.get("cache_digest")?,
                            at: row.get("finished_at")?,
                            builder: row.get("builder")?,
                            references: read_list(row, "tags")?,
                        })
                    },
                )
                .optional()
        })
    }

    /// What a BuildKit of ours asked for when it last built this recipe to its end, as a JSON document. Unlike
    /// [`Records::inputs`] it never comes from a registry.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn built_inputs(&self, recipe: &str) -> Result<Option<String>, RecordError> {
        self.run("look up what a build asked for in", |connection| {
            connection
                .prepare_cached(
                    "SELECT inputs FROM warms
                    WHERE recipe = ?1 AND inputs IS NOT NULL AND outcome IN (?2, ?3, ?4)
                    ORDER BY id DESC LIMIT 1",
                )?
                .query_row(
                    (
                        recipe,
                        Outcome::Warm,
                        Outcome::LocalOnly,
                        Outcome::NotPushed,
                    ),
                    |row| row.get(0),
                )
                .optional()
        })
    }

    /// The digest of what a builder of this machine exported last for a key.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn exported(
        &self,
        cache: &str,
        key: &str,
        builder: &str,
    ) -> Result<Option<String>, RecordError> {
        self.run("look up an export in", |connection| {
            let digest = connection
                .prepare_cached(
                    "SELECT cache_digest FROM warms
                    WHERE key = ?1 AND cache = ?2 AND builder = ?3 AND outcome = ?4 ORDER BY id DESC LIMIT 1",
                )?
                .query_row((key, cache, builder, Outcome::Warm), |row| row.get(0))
                .optional()?;
            Ok(digest.flatten())
        })
    }

    /// Bytes of the cache that a target's newest warm brought to the registry; `None` where there was none.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn exported_bytes(
        &self,
        repository: &str,
        target: &str,
        platform: &str,
    ) -> Result<Option<u64>, RecordError> {
        self.run("look up the size of an export in", |connection| {
            let bytes: Option<i64> = connection
                .prepare_cached(
                    "SELECT exported_bytes FROM warms
                    WHERE repository = ?1 AND target = ?2 AND platform = ?3 AND outcome = ?4 ORDER BY id DESC LIMIT 1",
                )?
                .query_row((repository, target, platform, Outcome::Warm), |row| row.get(0))
                .optional()?
                .flatten();
            Ok(bytes.and_then(|bytes| u64::try_from(bytes).ok()))
        })
    }

    /// Whether a build of this recipe for this cache ended well within these Unix milliseconds.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn built_since(
        &self,
        recipe: &str,
        cache: Option<&str>,
        (since, until): (i64, i64),
    ) -> Result<bool, RecordError> {
        self.run("look up the newest builds in", |connection| {
            connection
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM warms
                    WHERE recipe = ?1 AND cache IS ?2 AND finished_at BETWEEN ?3 AND ?4 AND outcome IN (?5, ?6))",
                )?
                .query_row(
                    (recipe, cache, since, until, Outcome::Warm, Outcome::LocalOnly),
                    |row| row.get(0),
                )
        })
    }

    /// The newest warm of a target that ended well (warm, already warm, or as far as locally).
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn last(
        &self,
        repository: &str,
        target: &str,
        platform: &str,
    ) -> Result<Option<LastWarm>, RecordError> {
        self.run("look up a target's last warm in", |connection| {
            let found = connection
                .prepare_cached(&format!(
                    "{SELECT} WHERE repository = ?1 AND target = ?2 AND platform = ?3 AND outcome IN (?4, ?5, ?6, ?7)
                    ORDER BY id DESC LIMIT 1"
                ))?
                .query_row(
                    (
                        repository,
                        target,
                        platform,
                        Outcome::Warm,
                        Outcome::AlreadyWarm,
                        Outcome::NotPushed,
                        Outcome::LocalOnly,
                    ),
                    |row| Ok((read_row(row)?, row.get("inputs")?)),
                )
                .optional()?;
            let Some((row, inputs)) = found else { return Ok(None) };
            let steps = read_steps(connection, row.id)?;
            Ok(Some(LastWarm { row, steps, inputs }))
        })
    }

    /// The history, newest first.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn history(&self, query: &Query) -> Result<Vec<HistoryRow>, RecordError> {
        let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
        self.run("read the history in", |connection| {
            connection
                .prepare_cached(&format!(
                    "{SELECT} WHERE repository = ?1 OR ?1 IS NULL ORDER BY id DESC LIMIT ?2"
                ))?
                .query_map((&query.repository, limit), read_row)?
                .collect()
        })
    }
}

/// Returns false when there is no such warm.
fn write_finished(
    connection: &mut Connection,
    id: WarmId,
    finished: &Finished,
) -> rusqlite::Result<bool> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let repository: Option<String> = transaction
        .query_row(
            "UPDATE warms SET key = coalesce(:key, key), outcome = :outcome, finished_at = :finished_at, exported_bytes = :bytes,
                cache_digest = :digest, tags = :tags, error = :error, inputs = :inputs
            WHERE id = :id RETURNING repository",
            named_params! {
                ":id": id.0,
                ":key": finished.key,
                ":outcome": finished.outcome,
                ":finished_at": finished.finished_at,
                ":bytes": i64::try_from(finished.exported_bytes).unwrap_or(i64::MAX),
                ":digest": finished.cache_digest,
                ":tags": serde_json::Value::from(finished.references.clone()).to_string(),
                ":error": finished.error,
                ":inputs": finished.inputs,
            },
            |row| row.get(0),
        )
        .optional()?;
    let Some(repository) = repository else {
        return Ok(false);
    };
    {
        let mut insert = transaction.prepare_cached(
            "REPLACE INTO steps (warm, position, name, cached, started_ms, duration_ms, error)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        for (position, step) in (0_i64..).zip(&finished.steps) {
            insert.execute((
                id.0,
                position,
                &step.name,
                step.cached,
                step.started_ms,
                step.duration_ms,
                &step.error,
            ))?;
        }
    }
    transaction.execute(
        "DELETE FROM warms WHERE repository = ?1
            AND id <= (SELECT id FROM warms WHERE repository = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        (&repository, KEPT),
    )?;
    transaction.execute(
        "UPDATE warms SET inputs = NULL WHERE repository = ?1 AND inputs IS NOT NULL
            AND id <= (SELECT id FROM warms WHERE repository = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        (&repository, KEPT_INPUTS),
    )?;
    transaction.commit()?;
    Ok(true)
}

fn read_row(row: &Row<'_>) -> rusqlite::Result<HistoryRow> {
    let outcome: Option<Outcome> = row.get("outcome")?;
    let state = if let Some(outcome) = outcome {
        State::Finished(outcome)
    } else {
        let process = Process {
            pid: row.get("pid")?,
            started: row.get("process_started")?,
        };
        if process.lives() {
            State::Running
        } else {
            State::Interrupted
        }
    };
    let exported_bytes: Option<i64> = row.get("exported_bytes")?;
    Ok(HistoryRow {
        id: WarmId(row.get("id")?),
        warm: NewWarm {
            repository: row.get("repository")?,
            target: row.get("target")?,
            platform: row.get("platform")?,
            commit: row.get("commit_id")?,
            tree: row.get("tree")?,
            source: row.get("source")?,
            key: row.get("key")?,
            recipe: row.get("recipe")?,
            cache: row.get("cache")?,
            branch: row.get("branch")?,
            builder: row.get("builder")?,
            buildkit: row.get("buildkit")?,
            started_at: row.get("started_at")?,
        },
        state,
        finished_at: row.get("finished_at")?,
        steps_total: row.get("steps_total")?,
        steps_cached: row.get("steps_cached")?,
        exported_bytes: exported_bytes
            .and_then(|bytes| u64::try_from(bytes).ok())
            .unwrap_or(0),
        cache_digest: row.get("cache_digest")?,
        references: read_list(row, "tags")?,
        error: row.get("error")?,
    })
}

fn read_steps(connection: &Connection, id: WarmId) -> rusqlite::Result<Vec<StepRecord>> {
    connection
        .prepare_cached(
            "SELECT name, cached, started_ms, duration_ms, error FROM steps
            WHERE warm = ?1 ORDER BY position",
        )?
        .query_map([id.0], |row| {
            Ok(StepRecord {
                name: row.get(0)?,
                cached: row.get(1)?,
                started_ms: row.get(2)?,
                duration_ms: row.get(3)?,
                error: row.get(4)?,
            })
        })?
        .collect()
}

/// A JSON array of strings; empty where there is none.
fn read_list(row: &Row<'_>, column: &str) -> rusqlite::Result<Vec<String>> {
    let text: Option<String> = row.get(column)?;
    Ok(text
        .and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default())
}

impl ToSql for Outcome {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.name().into())
    }
}

impl FromSql for Outcome {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let name = value.as_str()?;
        Self::ALL
            .into_iter()
            .find(|outcome| outcome.name() == name)
            .ok_or(FromSqlError::InvalidType)
    }
}
