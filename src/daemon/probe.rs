//! Whether git is in the middle of something in a work tree: its snapshots then mean nothing yet.

use std::path::Path;

use super::state::Busy;

/// What git keeps in a work tree's git directory while something goes on that ends with a change in that directory.
const LONG: [(&str, &str); 7] = [
    ("rebase-merge", "a rebase"),
    ("rebase-apply", "a rebase or git am"),
    ("MERGE_HEAD", "a merge"),
    ("CHERRY_PICK_HEAD", "a cherry-pick"),
    ("REVERT_HEAD", "a revert"),
    ("BISECT_LOG", "a bisection"),
    ("sequencer", "a sequence of cherry-picks or reverts"),
];

/// What it keeps for moments.
const BRIEF: [&str; 2] = ["index.lock", "HEAD.lock"];

/// Looks whether git is at it.
pub(super) fn busy(git_dir: &Path) -> Option<Busy> {
    let there = |name: &str| git_dir.join(name).symlink_metadata().is_ok();
    if let Some((_, what)) = LONG.iter().find(|(name, _)| there(name)) {
        return Some(Busy {
            what: (*what).to_owned(),
            brief: false,
        });
    }
    let lock = BRIEF.iter().find(|name| there(name))?;
    Some(Busy {
        what: format!("a git command ({lock} is there)"),
        brief: true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_show_in_the_git_directory() {
        let directory = tempfile::tempdir().expect("a directory can be made");
        let there = |name: &str| {
            std::fs::write(directory.path().join(name), "").expect("it can be written");
        };
        assert_eq!(busy(directory.path()), None);
        there("index.lock");
        assert!(busy(directory.path()).is_some_and(|busy| busy.brief));
        there("MERGE_HEAD");
        let merge = busy(directory.path()).expect("a merge goes on");
        assert_eq!((merge.what.as_str(), merge.brief), ("a merge", false));
    }
}
