//! The records as their users see them: several at once, killed at any moment, on damaged files.

mod damage;
mod history;
mod images;
mod needs;
mod prunes;
mod pushes;
mod uses;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

const NOW: i64 = 1_700_000_000;

struct Sandbox {
    directory: TempDir,
}

impl Sandbox {
    #[must_use]
    fn new() -> Self {
        let directory = TempDir::new().expect("there is a place for temporary files");
        Self { directory }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("state/prewarm.db")
    }

    #[track_caller]
    fn open(&self) -> Records {
        let (records, warning) = Records::open(&self.path(), NOW).expect("it can be opened");
        assert_eq!(warning, None);
        records
    }

    /// A connection behind the records' back.
    fn raw(&self) -> Connection {
        Connection::open(self.path()).expect("it is a database")
    }

    fn names(&self) -> Vec<String> {
        let directory =
            fs::read_dir(self.path().parent().expect("it has one")).expect("it is there");
        let mut names: Vec<_> = directory
            .map(|entry| {
                entry
                    .expect("it is there")
                    .file_name()
                    .into_string()
                    .expect("ours")
            })
            .collect();
        names.sort();
        names
    }
}

fn new_warm(key: &str) -> NewWarm {
    NewWarm {
        repository: "/home/a/app".to_owned(),
        target: "builder".to_owned(),
        platform: "linux/amd64".to_owned(),
        commit: Some("1a2b3c4".to_owned()),
        tree: "9f8e7d6".to_owned(),
        source: "HEAD".to_owned(),
        key: Some(key.to_owned()),
        recipe: "r1".to_owned(),
        cache: Some("registry/app".to_owned()),
        branch: Some("main".to_owned()),
        builder: "container:1".to_owned(),
        buildkit: "0.25.1".to_owned(),
        started_at: 1_000,
    }
}

fn finished(outcome: Outcome, finished_at: i64) -> Finished {
    Finished {
        key: None,
        outcome,
        steps: vec![
            StepRecord {
                name: "[1/2] FROM x".to_owned(),
                cached: true,
                started_ms: 0,
                duration_ms: 0,
                error: None,
            },
            StepRecord {
                name: "[2/2] RUN y".to_owned(),
                cached: false,
                started_ms: 5,
                duration_ms: 1_200,
                error: Some("exit code: 1".to_owned()),
            },
        ],
        exported_bytes: 12_400_000,
        cache_digest: Some("sha256:abc".to_owned()),
        references: vec!["registry/app:k".to_owned(), "registry/app:main".to_owned()],
        error: None,
        finished_at,
        inputs: Some("{\"files\":[]}".to_owned()),
    }
}

fn all(records: &Records) -> Vec<HistoryRow> {
    records
        .history(&Query {
            repository: None,
            limit: 10_000,
        })
        .expect("it can be read")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path)
        .expect("it is there")
        .permissions()
        .mode()
        & 0o7777
}

#[test]
fn only_the_owner_can_read_it() {
    let sandbox = Sandbox::new();
    let records = sandbox.open();
    records.set_meta("a", "b").expect("it can be written");
    assert_eq!(mode(sandbox.path().parent().expect("it has one")), 0o700);
    assert_eq!(mode(&sandbox.path()), 0o600);
    assert_eq!(mode(&sandbox.path().with_extension("db-wal")), 0o600);
}

#[test]
fn caches_give_back_what_was_stored_last() {
    let sandbox = Sandbox::new();
    let long = "ü".repeat(2_000_000);
    {
        let records = sandbox.open();
        assert_eq!(records.inputs("r").expect("readable"), None);
        assert_eq!(records.meta("m").expect("readable"), None);
        assert_eq!(
            records
                .base_digest("python:3", "linux/amd64")
                .expect("readable"),
            None
        );
        records.store_inputs("r", "old", 1).expect("writable");
        records.store_inputs("r", &long, 2).expect("writable");
        records.set_meta("m", "1").expect("writable");
        records.set_meta("m", "2").expect("writable");
        for (platform, digest) in [("linux/amd64", "sha256:a"), ("linux/arm64", "sha256:b")] {
            let base = BaseDigest {
                digest: digest.to_owned(),
                checked_at: NOW,
            };
            records
                .store_base_digest("python:3", platform, &base)
                .expect("writable");
        }
    }
    let records = sandbox.open();
    assert_eq!(
        records.inputs("r").expect("readable").as_deref(),
        Some(long.as_str())
    );
    assert_eq!(records.meta("m").expect("readable").as_deref(), Some("2"));
    assert_eq!(
        records
            .base_digest("python:3", "linux/arm64")
            .expect("readable"),
        Some(BaseDigest {
            digest: "sha256:b".to_owned(),
            checked_at: NOW
        })
    );
}

#[test]
fn caches_forget_the_oldest_rows() {
    let records = Records::in_memory().expect("there is memory");
    for number in 0..=CACHE_ROWS {
        let base = BaseDigest {
            digest: "d".to_owned(),
            checked_at: number,
        };
        records
            .store_inputs(&number.to_string(), "x", number)
            .expect("writable");
        records
            .store_base_digest(&number.to_string(), "p", &base)
            .expect("writable");
    }
    assert_eq!(records.inputs("0").expect("readable"), None);
    assert!(records.inputs("1").expect("readable").is_some());
    assert_eq!(records.base_digest("0", "p").expect("readable"), None);
    assert!(records.base_digest("1", "p").expect("readable").is_some());
}

#[test]
fn many_openers_of_a_new_database_all_succeed() {
    let sandbox = Sandbox::new();
    let path = sandbox.path();
    thread::scope(|scope| {
        for number in 0..8 {
            let path = &path;
            scope.spawn(move || {
                let (records, warning) = Records::open(path, NOW).expect("it can be opened");
                assert_eq!(warning, None);
                for round in 0..10 {
                    let id = records
                        .begin(&new_warm(&format!("{number}-{round}")))
                        .expect("writable");
                    records
                        .finish(id, &finished(Outcome::Warm, round))
                        .expect("writable");
                }
            });
        }
    });
    assert_eq!(all(&sandbox.open()).len(), 80);
}

/// The files as they are on disk in mid transaction are what SIGKILL leaves behind.
#[test]
fn a_crash_in_mid_transaction_leaves_the_state_before_it() {
    let sandbox = Sandbox::new();
    let records = sandbox.open();
    let id = records.begin(&new_warm("k")).expect("writable");
    let raw = sandbox.raw();
    // A cache of no pages makes SQLite write the changes to the log before the commit.
    raw.execute_batch("PRAGMA cache_size = 0; PRAGMA cache_spill = 1; BEGIN IMMEDIATE")
        .expect("nobody else writes");
    raw.execute("UPDATE warms SET outcome = 'warm'", [])
        .expect("writable");
    raw.execute(
        "INSERT INTO meta VALUES ('big', ?1)",
        ["x".repeat(5_000_000)],
    )
    .expect("writable");

    let crashed = Sandbox::new();
    fs::create_dir_all(crashed.path().parent().expect("it has one")).expect("there is room");
    for suffix in ["db", "db-wal"] {
        fs::copy(
            sandbox.path().with_extension(suffix),
            crashed.path().with_extension(suffix),
        )
        .expect("there is room");
    }
    let written = fs::metadata(crashed.path().with_extension("db-wal"))
        .expect("it is there")
        .len();
    assert!(
        written > 1_000_000,
        "the change was on disk, {written} bytes"
    );

    let after = crashed.open();
    assert_eq!(after.meta("big").expect("readable"), None);
    assert_eq!(all(&after)[0].finished_at, None);
    after
        .finish(id, &finished(Outcome::Warm, 3_000))
        .expect("writable");
    assert_eq!(all(&after)[0].state, State::Finished(Outcome::Warm));
}
