//! The journal of prunes: what went, when and why, for 30 days.

use rusqlite::{OptionalExtension, Row, TransactionBehavior, named_params};
use serde::Serialize;

use super::{RecordError, Records};

/// How long deletions are remembered, in milliseconds.
const KEPT: i64 = 30 * 24 * 3600 * 1000;

/// The number of a prune.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PruneId(pub i64);

/// Something that was deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deleted {
    /// Whose: the BuildKit, or `images`.
    pub builder: String,
    /// The record's id, or the image's name.
    pub item: String,
    /// What it was, in BuildKit's words.
    pub description: String,
    /// A record's kind, or `image`.
    pub kind: String,
    /// What it took.
    pub bytes: u64,
    /// When it was used last, in Unix milliseconds.
    pub used_at: Option<i64>,
    /// Why.
    pub rule: String,
    /// When it was deleted, in Unix milliseconds; 0 where it was asked for, and nobody heard what came of it.
    pub at: i64,
}

/// A prune.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PruneRow {
    /// Its number.
    pub id: PruneId,
    /// Unix milliseconds.
    pub started_at: i64,
    /// Unix milliseconds; `None` where it was interrupted.
    pub ended_at: Option<i64>,
    /// Who wanted it.
    pub reason: String,
    /// Bytes that the plan promised.
    pub planned: u64,
    /// Bytes that were said to be freed.
    pub reported: Option<u64>,
    /// By how much the disk's free space grew.
    pub measured: Option<i64>,
    /// How many records and images went.
    pub items: usize,
}

/// How a prune ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PruneEnd {
    /// Unix milliseconds.
    pub at: i64,
    /// Bytes that were said to be freed.
    pub reported: u64,
    /// By how much the disk's free space grew.
    pub measured: Option<i64>,
    /// How many records and images went.
    pub items: usize,
}

impl Records {
    /// Notes that a prune begins, and forgets those of more than 30 days ago.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub fn begin_prune(
        &self,
        reason: &str,
        planned: u64,
        now: i64,
    ) -> Result<PruneId, RecordError> {
        self.run("record the start of a prune in", |connection| {
            connection.execute("DELETE FROM prunes WHERE started_at < ?1", [now - KEPT])?;
            connection.execute(
                "INSERT INTO prunes (started_at, reason, planned) VALUES (?1, ?2, ?3)",
                (now, reason, i64::try_from(planned).unwrap_or(i64::MAX)),
            )?;
            Ok(PruneId(connection.last_insert_rowid()))
        })
    }

    /// Notes what is asked for, or what has gone: all of it or nothing. What is known already is replaced.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub fn note_deletions(&self, prune: PruneId, deletions: &[Deleted]) -> Result<(), RecordError> {
        self.run("record deletions in", |connection| {
            let transaction =
                connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            {
                let mut insert = transaction.prepare_cached(
                    "REPLACE INTO deletions (prune, builder, item, description, kind, bytes, used_at, rule, at)
                    VALUES (:prune, :builder, :item, :description, :kind, :bytes, :used_at, :rule, :at)",
                )?;
                for deletion in deletions {
                    insert.execute(named_params! {
                        ":prune": prune.0,
                        ":builder": deletion.builder,
                        ":item": deletion.item,
                        ":description": deletion.description,
                        ":kind": deletion.kind,
                        ":bytes": i64::try_from(deletion.bytes).unwrap_or(i64::MAX),
                        ":used_at": deletion.used_at,
                        ":rule": deletion.rule,
                        ":at": deletion.at,
                    })?;
                }
            }
            transaction.commit()
        })
    }

    /// Notes how a prune ended. What was asked for and has not gone is forgotten.
    ///
    /// # Errors
    ///
    /// When the database cannot be written.
    pub fn end_prune(&self, prune: PruneId, end: &PruneEnd) -> Result<(), RecordError> {
        self.run("record the end of a prune in", |connection| {
            connection.execute(
                "DELETE FROM deletions WHERE prune = ?1 AND at = 0",
                [prune.0],
            )?;
            connection.execute(
                "UPDATE prunes SET ended_at = ?2, reported = ?3, measured = ?4, items = ?5 WHERE id = ?1",
                (
                    prune.0,
                    end.at,
                    i64::try_from(end.reported).unwrap_or(i64::MAX),
                    end.measured,
                    i64::try_from(end.items).unwrap_or(i64::MAX),
                ),
            )?;
            Ok(())
        })
    }

    /// The newest prunes that deleted something, newest first.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn prunes(&self, limit: usize) -> Result<Vec<PruneRow>, RecordError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.run("read the prunes in", |connection| {
            connection
                .prepare_cached(
                    "SELECT * FROM prunes WHERE items > 0 OR ended_at IS NULL ORDER BY id DESC LIMIT ?1",
                )?
                .query_map([limit], |row| {
                    let bytes = |bytes: i64| u64::try_from(bytes).unwrap_or(0);
                    let items: i64 = row.get("items")?;
                    Ok(PruneRow {
                        id: PruneId(row.get("id")?),
                        started_at: row.get("started_at")?,
                        ended_at: row.get("ended_at")?,
                        reason: row.get("reason")?,
                        planned: bytes(row.get("planned")?),
                        reported: row.get::<_, Option<i64>>("reported")?.map(bytes),
                        measured: row.get("measured")?,
                        items: usize::try_from(items).unwrap_or(0),
                    })
                })?
                .collect()
        })
    }

    /// What a prune deleted.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn deletions(&self, prune: PruneId) -> Result<Vec<Deleted>, RecordError> {
        self.run("read deletions in", |connection| {
            connection
                .prepare_cached(
                    "SELECT * FROM deletions WHERE prune = ?1 ORDER BY bytes DESC, item",
                )?
                .query_map([prune.0], deleted)?
                .collect()
        })
    }

    /// The last time that something of this name was deleted; six letters of an id are enough.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn deletion(&self, item: &str) -> Result<Option<Deleted>, RecordError> {
        self.run("look up a deletion in", |connection| {
            connection
                .prepare_cached(
                    "SELECT * FROM deletions
                    WHERE item = ?1 OR length(?1) >= 6 AND substr(item, 1, length(?1)) = ?1
                    ORDER BY item = ?1 DESC, prune DESC LIMIT 1",
                )?
                .query_row([item], deleted)
                .optional()
        })
    }
}

fn deleted(row: &Row<'_>) -> rusqlite::Result<Deleted> {
    let bytes: i64 = row.get("bytes")?;
    Ok(Deleted {
        builder: row.get("builder")?,
        item: row.get("item")?,
        description: row.get("description")?,
        kind: row.get("kind")?,
        bytes: u64::try_from(bytes).unwrap_or(0),
        used_at: row.get("used_at")?,
        rule: row.get("rule")?,
        at: row.get("at")?,
    })
}
