//! Remembers pushes, so that the history can tell by how much a cache was there before it was needed.
//!
//! Git calls the hook before a push, also before one that sends nothing, deletes, or fails. What was really pushed shows
//! afterwards, in the repository.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::Error;
use crate::record::{Push, Records};
use crate::snapshot::Repository;

/// How often is looked whether a push has succeeded.
const PACE: Duration = Duration::from_millis(500);

/// So long is looked on when something was found.
const AFTER: Duration = Duration::from_secs(30);

/// No push takes longer.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Waits for the end of a push that began at `at` (Unix milliseconds), and remembers what it has sent.
pub(super) async fn follow(database: PathBuf, tree: PathBuf, at: i64) {
    let mut left = LONGEST;
    while !left.is_zero() {
        let (database, here) = (database.clone(), tree.clone());
        let looked = tokio::task::spawn_blocking(move || remember(&database, &here, at));
        match looked.await {
            Ok(Ok(0)) => {}
            // Another one may go on that began at about the same time.
            Ok(Ok(_)) => left = left.min(AFTER),
            Ok(Err(error)) => {
                let tree = tree.display();
                return tracing::warn!("a push of {tree} is not in the history: {error}");
            }
            Err(_) => return,
        }
        tokio::time::sleep(PACE).await;
        left = left.saturating_sub(PACE);
    }
}

/// Remembers what has been pushed since `at` (Unix milliseconds); how many branches that were.
pub(super) fn remember(database: &Path, tree: &Path, at: i64) -> Result<usize, Error> {
    let repository = Repository::discover(tree)?;
    let pushed = repository.pushed(at / 1000);
    if pushed.is_empty() {
        return Ok(0);
    }
    let (records, _) = Records::open(database, at / 1000)?;
    for push in &pushed {
        records.note_push(&Push {
            repository: repository.work_dir().display().to_string(),
            branch: Some(push.branch.clone()),
            commit: push.commit.to_string(),
            at,
        })?;
    }
    Ok(pushed.len())
}
