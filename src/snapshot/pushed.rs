//! What was pushed from here, by the reflogs of the remote's branches: git writes `update by push` when a push has
//! succeeded, and for nothing else.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::{ObjectId, Repository};

/// So much of each reflog is read, its end.
const TAIL: u64 = 16 << 10;

/// So many reflogs are looked at.
const MOST: usize = 10_000;

/// A branch that was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// Its name on the remote.
    pub branch: String,
    /// What it was set to.
    pub commit: ObjectId,
}

impl Repository {
    /// What was pushed at `since` (Unix seconds) or later.
    #[must_use]
    pub fn pushed(&self, since: i64) -> Vec<Pushed> {
        let remotes = self.common_dir().join("logs/refs/remotes");
        let mut found = Vec::new();
        for remote in entries(&remotes) {
            let mut waiting = vec![remote.clone()];
            let mut looked_at = 0;
            while let Some(path) = waiting.pop().filter(|_| looked_at < MOST) {
                looked_at += 1;
                if path.is_dir() {
                    waiting.extend(entries(&path));
                    continue;
                }
                let Ok(branch) = path.strip_prefix(&remote) else {
                    continue;
                };
                let branch = branch.to_string_lossy().into_owned();
                // One that cannot be read says nothing.
                let text = tail(&path).unwrap_or_default();
                let commits = text.lines().filter_map(|line| push(line, since));
                found.extend(commits.map(|commit| Pushed {
                    branch: branch.clone(),
                    commit,
                }));
            }
        }
        found
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let skipped = file.metadata()?.len().saturating_sub(TAIL);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The commit that a line says was pushed: `old SP new SP who SP seconds SP zone TAB message`.
fn push(line: &str, since: i64) -> Option<ObjectId> {
    let (entry, message) = line.split_once('\t')?;
    let mut fields = entry.split(' ');
    let new = fields.nth(1)?;
    let seconds: i64 = fields.nth_back(1)?.parse().ok()?;
    let commit: ObjectId = new.parse().ok()?;
    let gone = new.bytes().all(|digit| digit == b'0');
    (message == "update by push" && seconds >= since && !gone).then_some(commit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_told_apart_from_a_fetch_and_a_deletion() {
        let (old, new, zero) = ("1".repeat(40), "2".repeat(40), "0".repeat(40));
        let line = |new: &str, seconds: i64, message: &str| {
            format!("{old} {new} A U Thor <a@example.com> {seconds} +0100\t{message}")
        };
        let commit: Option<ObjectId> = new.parse().ok();
        assert_eq!(push(&line(&new, 100, "update by push"), 100), commit);
        assert_eq!(push(&line(&new, 99, "update by push"), 100), None);
        assert_eq!(
            push(&line(&new, 100, "fetch origin: fast-forward"), 100),
            None
        );
        assert_eq!(push(&line(&zero, 100, "update by push"), 100), None);
        assert_eq!(push("", 0), None);
        assert_eq!(push(&format!("{old} {new}\tupdate by push"), 0), None);
    }
}
