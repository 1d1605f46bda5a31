//! What hooks do where no daemon runs and the user wants them to warm all the same: one process in the background that
//! takes what hooks have left, warms HEAD of those work trees, and goes when there is no more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::lock::Lock;
use super::probe;
use super::spool::{self, Hint};
use crate::snapshot::Repository;
use crate::world::World;

/// So long nothing may come before what came counts as complete.
const QUIET: Duration = Duration::from_millis(500);

/// So long is waited for git to end what it is in the middle of. Whatever ends it runs a hook again.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who else looks for a moment whether it is there.
const BEAT: Duration = Duration::from_millis(100);

/// Whether a daemon, or another such process, takes care of what hooks leave.
#[must_use]
pub fn is_needless(world: &World) -> bool {
    Lock::is_taken(&world.paths.daemon_lock()) || Lock::is_taken(&lock(world))
}

/// Warms until there is no more to do. It has no terminal and nobody to tell: the history knows what came of it.
pub fn run(world: &World, program: &Path) {
    loop {
        // Somebody else has it: it finds what was left, too.
        let Ok(Some(held)) = Lock::take(&lock(world)) else {
            return;
        };
        while let trees @ 1.. = round(world, program) {
            tracing::debug!("looked at {trees} work trees");
        }
        drop(held);
        // Left after the last look, by a hook that still saw the lock taken.
        if spool::is_empty(&world.paths.spool()) {
            return;
        }
    }
}

fn lock(world: &World) -> PathBuf {
    world.paths.state_dir.join("oneshot.lock")
}

/// Takes what there is and warms it; how many work trees that was.
fn round(world: &World, program: &Path) -> usize {
    let (mut trees, mut pushes) = (BTreeSet::new(), Vec::new());
    loop {
        let (hints, _) = spool::take(&world.paths.spool()).unwrap_or_default();
        if hints.is_empty() {
            break;
        }
        for Hint {
            work_dir,
            pushed_at,
        } in hints
        {
            pushes.extend(pushed_at.map(|at| (work_dir.clone(), at)));
            trees.insert(work_dir);
        }
        thread::sleep(QUIET);
    }
    for tree in &trees {
        if settled(tree) {
            warm(program, tree);
        }
    }
    for (tree, at) in pushes {
        // The history is a courtesy; a push that lasts longer than the warm is not in it.
        let _ = super::pushes::remember(&world.paths.database(), &tree, at);
    }
    trees.len()
}

/// Waits until git is not at it; false if that takes too long.
fn settled(tree: &Path) -> bool {
    let Ok(repository) = Repository::discover(tree) else {
        return false;
    };
    let end = Instant::now() + PATIENCE;
    while probe::busy(repository.git_dir()).is_some() {
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(BEAT);
    }
    true
}

fn warm(program: &Path, tree: &Path) {
    // What came of it is in the history.
    let _ = Command::new(program)
        .args(["job", "--source", "head"])
        .arg(tree)
        .envs(super::jobs::quiet())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}
