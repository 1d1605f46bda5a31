//! What git's reflogs say was made here.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::super::{ObjectId, Repository};

/// So much of a reflog is read, its end.
const REFLOG_LIMIT: u64 = 64 << 20;

/// How a commit was made here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    /// By writing it: its parents may be anybody's.
    Written,
    /// By undoing another: that one and what it had undone may be anybody's.
    Reverted,
    /// By writing it in the place of another, whose content it has.
    Amended,
    /// By a rebase, from a commit that was on the branch before.
    Moved,
    /// By `git merge`: what was merged in was merged knowingly.
    Merged,
}

/// What a commit that was made here rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Making {
    /// Only its first parent counts.
    pub(super) merged: bool,
    /// It undoes another commit.
    pub(super) revert: bool,
    /// Commits that are not among its parents, but that its content comes from: what it amends, and where a branch was
    /// before its commits were moved.
    pub(super) from: BTreeSet<ObjectId>,
}

/// A line of a reflog.
struct Line {
    old: ObjectId,
    new: ObjectId,
    message: String,
}

/// A rebase, and what it has made so far.
struct Rebase {
    /// Where HEAD was.
    began_at: ObjectId,
    /// What was amended meanwhile.
    from: BTreeSet<ObjectId>,
    made: Vec<(ObjectId, Made)>,
}

impl Repository {
    /// The commits that were made in this repository's work trees.
    pub(super) fn made_here(&self) -> BTreeMap<ObjectId, Making> {
        let mut made = BTreeMap::new();
        for directory in self.git_dirs() {
            let mut rebase: Option<Rebase> = None;
            let mut branch = None;
            for line in lines(&directory.join("logs/HEAD")) {
                let Some((action, what)) = line.message.split_once(": ") else {
                    continue;
                };
                match step(action) {
                    Some("start") => {
                        // One that came to no end moved nobody knows what, except what was written meanwhile.
                        finish(rebase.take(), None, &mut made);
                        rebase = Some(Rebase {
                            began_at: line.old,
                            from: BTreeSet::new(),
                            made: Vec::new(),
                        });
                        continue;
                    }
                    Some("finish") => {
                        let name = what.strip_prefix("returning to refs/heads/");
                        let began = rebase.as_ref().map(|rebase| rebase.began_at);
                        let before = began.filter(|_| name.is_some() && name == branch.as_deref());
                        let before = before.or_else(|| self.branch_before(name?, line.new));
                        finish(rebase.take(), before, &mut made);
                        branch = name.map(str::to_owned);
                        continue;
                    }
                    Some("abort") => finish(rebase.take(), None, &mut made),
                    _ => {}
                }
                if action == "checkout" {
                    branch = what.rsplit_once(" to ").map(|(_, to)| to.to_owned());
                    finish(rebase.take(), None, &mut made);
                }
                let Some(how) = how(&line.message) else {
                    continue;
                };
                let mut from = BTreeSet::new();
                if how == Made::Amended {
                    from.insert(line.old);
                }
                match &mut rebase {
                    Some(rebase) => {
                        rebase.from.extend(from);
                        rebase.made.push((line.new, how));
                    }
                    // Of one that is moved out of nowhere nobody knows where it comes from.
                    None if how == Made::Moved => {}
                    None => note(&mut made, line.new, how, from),
                }
            }
            finish(rebase, under_way(&directory), &mut made);
        }
        made
    }

    /// Where a branch was before the rebase that ended with it at `tip`. For `git rebase main topic` HEAD's reflog does not
    /// say that.
    fn branch_before(&self, name: &str, tip: ObjectId) -> Option<ObjectId> {
        let inside = !name.split('/').any(|component| component == "..");
        let log = self.common_dir.join("logs/refs/heads").join(name);
        let moved = |line: &Line| {
            let action = line.message.split_once(": ").map(|(action, _)| action);
            line.new == tip && action.and_then(step) == Some("finish")
        };
        let lines = inside.then(|| lines(&log))?;
        lines.into_iter().rev().find(moved).map(|line| line.old)
    }

    /// The git directories of all work trees.
    pub(super) fn git_dirs(&self) -> BTreeSet<PathBuf> {
        let linked = fs::read_dir(self.common_dir.join("worktrees"))
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()));
        linked
            .chain([self.common_dir.clone(), self.git_dir.clone()])
            .collect()
    }
}

/// Takes up what a rebase made. Where the moved commits were before has to be known.
fn finish(rebase: Option<Rebase>, before: Option<ObjectId>, made: &mut BTreeMap<ObjectId, Making>) {
    let Some(Rebase {
        began_at,
        mut from,
        made: moved,
    }) = rebase
    else {
        return;
    };
    from.insert(before.unwrap_or(began_at));
    for (commit, how) in moved {
        if how != Made::Moved || before.is_some() {
            note(made, commit, how, from.clone());
        }
    }
}

fn note(
    made: &mut BTreeMap<ObjectId, Making>,
    commit: ObjectId,
    how: Made,
    from: BTreeSet<ObjectId>,
) {
    let merged = how == Made::Merged;
    let making = made.entry(commit).or_insert_with(|| Making {
        merged,
        revert: false,
        from: BTreeSet::new(),
    });
    making.revert |= how == Made::Reverted;
    // Of one that was written and merged alike, all parents count.
    making.merged &= merged;
    making.from.extend(from);
}

/// Where the branch was whose rebase is under way.
fn under_way(git_dir: &Path) -> Option<ObjectId> {
    let mut places = ["rebase-merge", "rebase-apply"].into_iter();
    places.find_map(|place| {
        let text = fs::read_to_string(git_dir.join(place).join("orig-head")).ok()?;
        text.trim().parse().ok()
    })
}

/// The end of a file, in whole lines.
fn tail(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let skipped = file.metadata()?.len().saturating_sub(REFLOG_LIMIT);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(REFLOG_LIMIT).read_to_end(&mut bytes)?;
    if skipped > 0 {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        bytes.drain(..end.map_or(bytes.len(), |end| end + 1));
    }
    Ok(bytes)
}

/// The whole of a file, or its end.
fn lines(path: &Path) -> Vec<Line> {
    // One that cannot be read says nothing of anybody.
    let text = tail(path).unwrap_or_default();
    text.split(|byte| *byte == b'\n').filter_map(line).collect()
}

/// A line of a reflog: `old SP new SP who TAB message`.
fn line(line: &[u8]) -> Option<Line> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let ids = std::str::from_utf8(line.get(..82)?).ok()?;
    let (old, new) = ids.split_once(' ')?;
    Some(Line {
        old: old.parse().ok()?,
        new: new.strip_suffix(' ')?.parse().ok()?,
        message: String::from_utf8_lossy(&line[tab + 1..]).into_owned(),
    })
}

/// How a commit was made, by the message that git left; `None` when it was not made here.
fn how(message: &str) -> Option<Made> {
    const WRITTEN: [&str; 4] = [
        "commit",
        "commit (initial)",
        "commit (merge)",
        "cherry-pick",
    ];
    const REBASED: [&str; 6] = ["pick", "reword", "edit", "squash", "fixup", "continue"];
    let (action, what) = message.split_once(": ")?;
    // Git moved on to a commit that was there already.
    if what.eq_ignore_ascii_case("fast-forward") {
        return None;
    }
    if action == "commit (amend)" {
        return Some(Made::Amended);
    }
    if action == "revert" {
        return Some(Made::Reverted);
    }
    if WRITTEN.contains(&action) {
        return Some(Made::Written);
    }
    if step(action).is_some_and(|step| REBASED.contains(&step)) {
        return Some(Made::Moved);
    }
    let merged = action.starts_with("merge ") && what.starts_with("Merge made by ");
    merged.then_some(Made::Merged)
}

/// The step of a rebase that git took.
fn step(action: &str) -> Option<&str> {
    // `pull --rebase` writes its own arguments before the step; what it moves was on the branch, as in a rebase.
    let (command, step) = action.rsplit_once(" (")?;
    let known = command == "rebase" || command == "rebase -i" || command.starts_with("pull");
    step.strip_suffix(')').filter(|_| known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn git_says_what_it_made() {
        for (message, expected) in [
            ("commit: x", Some(Made::Written)),
            ("commit (initial): x", Some(Made::Written)),
            ("commit (amend): x: y", Some(Made::Amended)),
            ("commit (merge): x", Some(Made::Written)),
            ("cherry-pick: x", Some(Made::Written)),
            ("cherry-pick: fast-forward", None),
            ("revert: Revert \"x\"", Some(Made::Reverted)),
            ("rebase (pick): x", Some(Made::Moved)),
            ("rebase -i (squash): x", Some(Made::Moved)),
            ("rebase (pick): fast-forward", None),
            ("rebase (start): checkout main", None),
            ("rebase (finish): returning to refs/heads/x", None),
            (
                "merge x: Merge made by the 'ort' strategy.",
                Some(Made::Merged),
            ),
            ("merge x: Fast-forward", None),
            ("pull: Merge made by the 'ort' strategy.", None),
            ("pull origin x: Fast-forward", None),
            (
                "pull --rebase origin x (pick): commit: x",
                Some(Made::Moved),
            ),
            ("pull (pick): x", Some(Made::Moved)),
            ("pull --rebase (start): checkout x", None),
            ("pull --rebase (finish): refs/heads/x onto y", None),
            ("checkout: moving from commit: x to y", None),
            ("reset: moving to HEAD~1", None),
            ("clone: from commit: x", None),
            ("am: x", None),
            ("", None),
        ] {
            assert_eq!(how(message), expected, "{message}");
        }
    }

    #[test]
    fn a_line_that_is_none_says_nothing() {
        let id = "1".repeat(40);
        let good = format!("{id} {id} A <a@b> 1 +0000\tcommit: x");
        assert!(line(good.as_bytes()).is_some());
        for broken in [
            "",
            "\t",
            "x\tcommit: x",
            &good[1..],
            &good[..60],
            &good.replace('\t', " "),
        ] {
            assert!(line(broken.as_bytes()).is_none(), "{broken}");
        }
    }
}
