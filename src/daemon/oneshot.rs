//! What hooks do where no daemon runs: one process in the background that sees to it that the disk has room. Where the user
//! wants hooks to warm all the same, it first takes what they have left, warms HEAD of those work trees, and goes when there
//! is no more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::lock::Lock;
use super::spool::{self, Hint};
use super::{probe, prunes};
use crate::config::load_user;
use crate::prune::checked::Checked;
use crate::record::Records;
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
            make_room(world, program);
        }
        drop(held);
        // Left after the last look, by a hook that still saw the lock taken.
        if spool::is_empty(&world.paths.spool()) {
            return;
        }
    }
}

/// Only sees to it that the disk has room. What hooks have left stays for a daemon.
pub fn look(world: &World, program: &Path) {
    // Somebody else has it: it looks, too.
    if let Ok(Some(_held)) = Lock::take(&lock(world)) {
        make_room(world, program);
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

/// Looks at the disk, unless somebody has done so a moment ago.
fn make_room(world: &World, program: &Path) {
    let settings = load_user(&world.paths).map(|user| user.value.prune);
    let now = world.now_ms();
    let database = world.paths.database();
    let last = || {
        let (records, _) = Records::open(&database, now / 1000).ok()?;
        Checked::newest(&records).ok().flatten()
    };
    // A configuration that is wrong is told by whoever was asked for something.
    let wanted = settings.is_ok_and(|settings| {
        settings.automatic && is_due(last().map(|last| last.at), now, settings.every)
    });
    if wanted {
        // What came of it is in the status.
        let _ = quietly(program).args(prunes::arguments()).status();
    }
}

/// Whether the last look was long enough ago; all in Unix milliseconds. One that is still to come was by another clock.
fn is_due(last: Option<i64>, now: i64, every: Duration) -> bool {
    last.is_none_or(|last| {
        let age = u64::try_from(now.saturating_sub(last));
        age.map_or(true, |age| Duration::from_millis(age) >= every)
    })
}

fn warm(program: &Path, tree: &Path) {
    // What came of it is in the history.
    let _ = quietly(program)
        .args(["job", "--source", "head"])
        .arg(tree)
        .status();
}

/// Nobody is there to answer, or to read.
fn quietly(program: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .envs(super::jobs::quiet())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_due_when_the_last_is_old_enough() {
        let every = Duration::from_secs(300);
        for (last, due) in [
            (None, true),
            (Some(1_000_000), false),
            (Some(700_001), false),
            (Some(700_000), true),
            (Some(1_000_001), true),
        ] {
            assert_eq!(is_due(last, 1_000_000, every), due, "{last:?}");
        }
    }
}
