//! Files and disks that are not as they should be.

use super::*;
use crate::error::{Kind, Remedy};

#[test]
fn a_file_that_is_no_database_is_set_aside() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path().parent().expect("it has one")).expect("there is room");
    let text = "not a database, but long enough to be looked at as one. ".repeat(100);
    fs::write(sandbox.path(), &text).expect("there is room");

    let (records, warning) = Records::open(&sandbox.path(), NOW).expect("a new one is begun");
    let aside = sandbox.path().with_extension(format!("db.corrupt-{NOW}"));
    let warning = warning.expect("the caller is told");
    assert_eq!(
        warning,
        Warning::SetAside {
            path: sandbox.path(),
            aside: aside.clone(),
            reason: "file is not a database".to_owned()
        }
    );
    assert_eq!(fs::read_to_string(aside).expect("it is kept"), text);
    records.begin(&new_warm("k")).expect("writable");
    assert_eq!(all(&sandbox.open()).len(), 1);
}

#[test]
fn a_malformed_schema_is_set_aside() {
    let sandbox = Sandbox::new();
    drop(sandbox.open());
    // The first page after the file's 100 byte header describes the tables.
    let mut bytes = fs::read(sandbox.path()).expect("it is there");
    bytes[100..4_000].fill(0xFF);
    fs::write(sandbox.path(), bytes).expect("it is ours");

    let (_, first) = Records::open(&sandbox.path(), NOW).expect("a new one is begun");
    assert!(first.is_some());
    assert_eq!(
        sandbox.open().meta("m").expect("the new one is sound"),
        None
    );
    let names = sandbox.names();
    assert!(
        names.contains(&format!("prewarm.db.corrupt-{NOW}")),
        "{names:?}"
    );
}

#[test]
fn damage_that_shows_in_use_is_set_aside_for_the_next_run() {
    let sandbox = Sandbox::new();
    {
        let records = sandbox.open();
        records
            .store_inputs("r", &"x".repeat(100_000), NOW)
            .expect("writable");
    }
    let root: usize = sandbox
        .raw()
        .query_row(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'inputs'",
            [],
            |row| row.get::<_, i64>(0),
        )
        .ok()
        .and_then(|page| usize::try_from(page).ok())
        .expect("the table is there");
    let mut bytes = fs::read(sandbox.path()).expect("it is there");
    bytes[(root - 1) * 4_096..root * 4_096].fill(0xFF);
    fs::write(sandbox.path(), bytes).expect("it is ours");

    let records = sandbox.open();
    let other = sandbox.open();
    let error = records
        .store_inputs("r", "y", NOW)
        .expect_err("the table is damaged");
    assert!(matches!(error, RecordError::Damaged { .. }), "{error}");
    assert_eq!(error.kind(), Kind::Environment);

    // The log of changes goes with it, or SQLite would take it for the new one's.
    let names = sandbox.names();
    assert!(
        names.contains(&format!("prewarm.db.corrupt-{NOW}-wal")),
        "{names:?}"
    );
    assert!(!names.contains(&"prewarm.db-wal".to_owned()), "{names:?}");

    let fresh = sandbox.open();
    fresh.set_meta("m", "new").expect("writable");
    // A process that still has the old file open does not set aside the new one.
    let error = other
        .store_inputs("r", "y", NOW)
        .expect_err("the table is damaged");
    assert!(matches!(error, RecordError::Damaged { .. }), "{error}");
    drop((records, other, fresh));
    assert_eq!(
        sandbox.open().meta("m").expect("readable").as_deref(),
        Some("new")
    );
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.open().set_meta("m", "kept").expect("writable");
    sandbox
        .raw()
        .pragma_update(None, "user_version", schema::CURRENT + 1)
        .expect("writable");

    let error = Records::open(&sandbox.path(), NOW).expect_err("it is newer");
    assert!(
        matches!(
            error,
            RecordError::Newer { found, known, .. } if (found, known) == (schema::CURRENT + 1, schema::CURRENT)
        ),
        "{error}"
    );
    assert_eq!(error.kind(), Kind::Environment);
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.starts_with("upgrade prewarm"))
    );
    let kept: String = sandbox
        .raw()
        .query_row("SELECT value FROM meta", [], |row| row.get(0))
        .expect("it is untouched");
    assert_eq!(kept, "kept");
}

#[test]
fn full_read_only_and_locked_are_told_apart() {
    let sandbox = Sandbox::new();
    let records = sandbox.open();
    let limit = |pragma: &str| {
        let connection = records.connection.lock().expect("nobody panicked");
        connection.execute_batch(pragma).expect("it is a pragma");
    };

    limit("PRAGMA max_page_count = 1");
    let error = records
        .set_meta("m", &"x".repeat(1_000_000))
        .expect_err("it does not fit");
    assert!(matches!(error, RecordError::Full { .. }), "{error}");

    limit("PRAGMA max_page_count = 100000; PRAGMA query_only = 1");
    let error = records
        .set_meta("m", "x")
        .expect_err("it cannot be written");
    assert!(matches!(error, RecordError::ReadOnly { .. }), "{error}");

    limit("PRAGMA query_only = 0; PRAGMA busy_timeout = 0");
    let other = sandbox.raw();
    other
        .execute_batch("BEGIN IMMEDIATE")
        .expect("nobody else writes");
    let error = records
        .set_meta("m", "x")
        .expect_err("another process has it");
    assert!(matches!(error, RecordError::Busy { .. }), "{error}");
    assert_eq!(
        records.meta("m").expect("readers do not wait for writers"),
        None
    );
    other.execute_batch("ROLLBACK").expect("it was begun");
    records.set_meta("m", "x").expect("nothing was lost");
}

#[test]
fn a_place_that_cannot_hold_a_database_is_a_clear_error() {
    let sandbox = Sandbox::new();
    let file = sandbox.directory.path().join("file");
    fs::write(&file, "").expect("there is room");
    let error = Records::open(&file.join("prewarm.db"), NOW).expect_err("a file is no directory");
    assert_eq!(
        error.to_string(),
        format!("cannot make the directory {}", file.display())
    );
    assert_eq!(error.kind(), Kind::Environment);

    let error = Records::open(sandbox.directory.path(), NOW).expect_err("a directory is no file");
    assert_eq!(
        error.to_string(),
        format!(
            "cannot open the records in {}",
            sandbox.directory.path().display()
        )
    );
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("PREWARM_STATE_DIR"))
    );
}
