//! The database's shape, version by version.

use rusqlite::{Connection, TransactionBehavior};

/// Statements that lead from each version (`PRAGMA user_version`, the index) to the next. Only ever appended to.
pub(super) const MIGRATIONS: [&str; 4] = ["
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);

    CREATE TABLE inputs (recipe TEXT PRIMARY KEY, document TEXT NOT NULL, stored_at INTEGER NOT NULL);
    CREATE INDEX inputs_stored_at ON inputs (stored_at);

    CREATE TABLE bases (
        reference TEXT NOT NULL,
        platform TEXT NOT NULL,
        digest TEXT NOT NULL,
        checked_at INTEGER NOT NULL,
        PRIMARY KEY (reference, platform)
    );

    -- AUTOINCREMENT: a number is never given twice, so a warm that was trimmed is not mistaken for another.
    CREATE TABLE warms (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        repository TEXT NOT NULL,
        target TEXT NOT NULL,
        platform TEXT NOT NULL,
        commit_id TEXT,
        tree TEXT NOT NULL,
        source TEXT NOT NULL,
        key TEXT,
        recipe TEXT NOT NULL,
        cache TEXT,
        branch TEXT,
        builder TEXT NOT NULL,
        buildkit TEXT NOT NULL,
        started_at INTEGER NOT NULL,
        pid INTEGER NOT NULL,
        process_started TEXT NOT NULL,
        outcome TEXT,
        finished_at INTEGER,
        exported_bytes INTEGER,
        cache_digest TEXT,
        tags TEXT,
        error TEXT,
        inputs TEXT
    );
    CREATE INDEX warms_repository ON warms (repository);
    CREATE INDEX warms_target ON warms (repository, target, platform);
    CREATE INDEX warms_key ON warms (key);

    CREATE TABLE steps (
        warm INTEGER NOT NULL REFERENCES warms (id) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        cached INTEGER NOT NULL,
        started_ms INTEGER NOT NULL,
        duration_ms INTEGER NOT NULL,
        error TEXT,
        PRIMARY KEY (warm, position)
    ) WITHOUT ROWID;
", "
    -- Pushes of a work tree's HEAD.
    CREATE TABLE pushes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        repository TEXT NOT NULL,
        branch TEXT,
        commit_id TEXT NOT NULL,
        pushed_at INTEGER NOT NULL
    );
    CREATE INDEX pushes_commit ON pushes (commit_id);

    -- Which key a commit came to, also where it was warm already: what a push waited for.
    CREATE TABLE commits (
        commit_id TEXT NOT NULL,
        target TEXT NOT NULL,
        platform TEXT NOT NULL,
        cache TEXT NOT NULL,
        key TEXT NOT NULL,
        seen_at INTEGER NOT NULL,
        PRIMARY KEY (commit_id, target, platform, cache)
    ) WITHOUT ROWID;
    CREATE INDEX commits_seen_at ON commits (seen_at);
", "
    -- When an image was first seen here: what was pulled says only when it was built elsewhere.
    CREATE TABLE images (id TEXT PRIMARY KEY, seen_at INTEGER NOT NULL);

    -- What of a builder's cache each key needs.
    CREATE TABLE needs (
        key TEXT NOT NULL,
        builder TEXT NOT NULL,
        created TEXT NOT NULL,
        stored_at INTEGER NOT NULL,
        PRIMARY KEY (key, builder)
    ) WITHOUT ROWID;

    -- Prunes, and what each deleted: why a build was cold.
    CREATE TABLE prunes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        started_at INTEGER NOT NULL,
        ended_at INTEGER,
        reason TEXT NOT NULL,
        planned INTEGER NOT NULL,
        reported INTEGER,
        measured INTEGER,
        items INTEGER NOT NULL DEFAULT 0
    );

    CREATE TABLE deletions (
        prune INTEGER NOT NULL REFERENCES prunes (id) ON DELETE CASCADE,
        builder TEXT NOT NULL,
        item TEXT NOT NULL,
        description TEXT NOT NULL,
        kind TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        used_at INTEGER,
        rule TEXT NOT NULL,
        at INTEGER NOT NULL,
        PRIMARY KEY (prune, builder, item)
    ) WITHOUT ROWID;
    CREATE INDEX deletions_item ON deletions (item);
", "
    -- Layers that get another time of making when they are exported.
    ALTER TABLE needs ADD COLUMN leaves TEXT NOT NULL DEFAULT '[]';
"];

/// The version that this program writes.
#[expect(
    clippy::cast_possible_wrap,
    reason = "there are few versions, and `try_from` is not const"
)]
pub(super) const CURRENT: i64 = MIGRATIONS.len() as i64;

/// The version of an open database; 0 for an empty one.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Brings a database of an older version to [`CURRENT`], in one transaction.
pub(super) fn migrate(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let from = usize::try_from(version(&transaction)?).unwrap_or(0);
    for migration in MIGRATIONS.iter().skip(from) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", CURRENT)?;
    transaction.commit()
}
