//! Room and suitability of the file systems that hold our state and the work tree.

use std::path::{Path, PathBuf};

use super::{Finding, Subject, blocking, mounts};
use crate::ui::text::bytes;

const STATE: &str = "state directory";
const WORK_TREE: &str = "work tree";

/// The database and the log fit into that by far.
const LITTLE: u64 = 1_000_000_000;

/// With less not even a record can be relied upon.
const NOTHING: u64 = 20_000_000;

pub(super) async fn examine(subject: &Subject) -> Vec<Finding> {
    let state_dir = subject.world.paths.state_dir.clone();
    let shown = subject.world.paths.shown(&state_dir);
    let work_dir = subject.work_dir.clone();
    let found = blocking(move || {
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let mut findings = vec![state(&state_dir, &shown, &table)];
        findings.extend(work_dir.map(|directory| work_tree(&directory, &table)));
        findings
    });
    found
        .await
        .unwrap_or_else(|error| vec![Finding::error(STATE, &error)])
}

fn state(directory: &Path, shown: &str, mounts: &str) -> Finding {
    // Before the first warm there is none; then it is about where it will be.
    let place = existing(directory);
    if let Err(error) = rustix::fs::access(&place, rustix::fs::Access::WRITE_OK) {
        return Finding::fail(
            STATE,
            format!("{} cannot be written to: {error}", place.display()),
            "make it yours, or set PREWARM_STATE_DIR to a directory that is",
        );
    }
    let kind = mounts::kind(mounts, &place);
    if let Some(kind) = kind.filter(|kind| !mounts::tells(kind)) {
        return Finding::warn(
            STATE,
            format!(
                "{shown} is on {kind}, where locks and databases are not safe, and hooks wake nobody"
            ),
            "set PREWARM_STATE_DIR to a directory on a disk of this machine",
        );
    }
    match rustix::fs::statvfs(&place) {
        Err(error) => Finding::unknown(STATE, format!("{shown}: {error}")),
        Ok(found) => space(
            STATE,
            shown,
            found.f_bavail * found.f_frsize,
            (NOTHING, LITTLE),
            "make room there, or set PREWARM_STATE_DIR to another directory",
        ),
    }
}

fn work_tree(directory: &Path, mounts: &str) -> Finding {
    let shown = directory.display();
    match mounts::kind(mounts, directory) {
        None => Finding::unknown(WORK_TREE, format!("{shown}: this system tells no mounts")),
        Some(kind) if mounts::tells(&kind) => Finding::ok(WORK_TREE, format!("{shown} ({kind})")),
        Some(kind) => Finding::warn(
            WORK_TREE,
            format!("{shown} is on {kind}, which does not tell of every change"),
            "rely on git hooks, or move the work tree to a disk of this machine",
        ),
    }
}

/// The innermost directory on the way to a path that is there.
fn existing(path: &Path) -> PathBuf {
    let there = path.ancestors().find(|ancestor| ancestor.exists());
    let there = there.unwrap_or(Path::new("/"));
    there.canonicalize().unwrap_or_else(|_| there.to_owned())
}

/// Judges free room by two limits in bytes: below the first it fails, below the second it warns.
pub(super) fn space(
    name: &str,
    place: &str,
    free: u64,
    (fails, warns): (u64, u64),
    remedy: &str,
) -> Finding {
    let seen = format!("{place}: {} free", bytes(free));
    if free < fails {
        Finding::fail(name, seen, remedy)
    } else if free < warns {
        Finding::warn(name, seen, remedy)
    } else {
        Finding::ok(name, seen)
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn room_is_judged_by_two_limits() {
        for (free, expected) in [
            (19, State::Fail),
            (20, State::Warn),
            (99, State::Warn),
            (100, State::Ok),
        ] {
            assert_eq!(
                space("d", "/x", free, (20, 100), "make room").state,
                expected
            );
        }
    }

    #[test]
    fn a_state_directory_need_not_be_there_yet() {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        let directory = home.path().join("a/b/c");
        let found = state(&directory, "~/a/b/c", "");
        assert!(found.seen.starts_with("~/a/b/c: "), "{found:?}");
        let network = "1 0 0:1 / / rw - nfs4 server:/ rw\n";
        assert_eq!(state(&directory, "~", network).state, State::Warn);
        assert_eq!(work_tree(home.path(), network).state, State::Warn);
    }
}
