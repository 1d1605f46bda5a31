//! Which file events concern a work tree, and which directories must be watched to see them. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::state::View;
use crate::snapshot::WorkTree;

/// Directories that are watched of one work tree at most.
const MOST: usize = 64;

/// In the git directory of a work tree: what changes when HEAD, the index or an operation does.
const GIT: [&str; 11] = [
    "HEAD",
    "index",
    "FETCH_HEAD",
    "packed-refs",
    "MERGE_HEAD",
    "CHERRY_PICK_HEAD",
    "REVERT_HEAD",
    "BISECT_LOG",
    "rebase-merge",
    "rebase-apply",
    "sequencer",
];

/// What decides in a work tree's root and in the directories of the inputs, whatever the last look read.
const ALWAYS: [&str; 2] = [".prewarm.toml", ".gitattributes"];

/// What concerns one work tree.
#[derive(Clone, Debug)]
pub(super) struct Interest {
    place: WorkTree,
    /// Sorted. There may be thousands, nearly always the same ones for both views.
    files: BTreeMap<View, Arc<[Box<Path>]>>,
    /// Not all files are known.
    more: BTreeMap<View, bool>,
}

/// What an event means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Nothing.
    Nothing,
    /// Something that decides may have changed.
    Changed,
    /// The repository has another set of work trees.
    WorkTrees,
}

impl Interest {
    pub(super) fn new(place: WorkTree) -> Self {
        Self {
            place,
            files: BTreeMap::new(),
            more: BTreeMap::new(),
        }
    }

    /// What a look at a view has read.
    pub(super) fn read(&mut self, view: View, files: Vec<PathBuf>, more: bool) {
        let mut files: Vec<_> = files.into_iter().map(PathBuf::into_boxed_path).collect();
        files.sort_unstable();
        let known = self.files.values().find(|known| known[..] == files[..]);
        let files = known.map_or_else(|| files.into(), Arc::clone);
        self.files.insert(view, files);
        self.more.insert(view, more);
    }

    /// The directories to watch, none of them recursively, and whether these are all.
    pub(super) fn directories(&self) -> (BTreeSet<PathBuf>, bool) {
        let WorkTree {
            work_dir,
            git_dir,
            common_dir,
        } = &self.place;
        let mut wanted: BTreeSet<PathBuf> = [
            work_dir.clone(),
            git_dir.clone(),
            git_dir.join("logs"),
            common_dir.clone(),
            common_dir.join("worktrees"),
        ]
        .into();
        let files = self.files.values().flat_map(|files| files.iter());
        let parents = files.filter_map(|file| file.parent());
        let mut parents: Vec<_> = parents.collect::<BTreeSet<_>>().into_iter().collect();
        // What is near the root is more likely to be edited by hand.
        parents.sort_by_key(|parent| parent.components().count());
        let mut complete = !self.more.values().any(|more| *more);
        for parent in parents {
            if wanted.len() < MOST || wanted.contains(parent) {
                wanted.insert(parent.to_owned());
            } else {
                complete = false;
            }
        }
        (wanted, complete)
    }

    /// What an event at a path means.
    pub(super) fn meaning(&self, path: &Path) -> Meaning {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Meaning::Nothing;
        };
        let place = &self.place;
        let named = |names: &[&str]| names.iter().any(|known| name == *known);
        let work_trees = parent == place.common_dir.join("worktrees")
            || parent == place.common_dir && name == "worktrees"
            // It is gone, or somewhere else.
            || [&place.work_dir, &place.git_dir, &place.common_dir].into_iter().any(|own| path == own);
        if work_trees {
            return Meaning::WorkTrees;
        }
        let of_git = parent == place.git_dir && named(&GIT)
            || parent == place.git_dir.join("logs") && name == "HEAD"
            || parent == place.common_dir && named(&["FETCH_HEAD", "packed-refs"]);
        let in_tree = || {
            named(&ALWAYS)
                // The file itself, or a directory with inputs that came, went, or has another name.
                || self.files.values().any(|files| {
                    let next = files.get(files.partition_point(|file| **file < *path));
                    next.is_some_and(|file| file.starts_with(path))
                })
                || self.more.values().any(|more| *more)
        };
        let in_git = path.starts_with(&place.git_dir) || path.starts_with(&place.common_dir);
        if of_git || !in_git && in_tree() {
            Meaning::Changed
        } else {
            Meaning::Nothing
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interest() -> Interest {
        let mut interest = Interest::new(WorkTree {
            work_dir: "/r".into(),
            git_dir: "/r/.git".into(),
            common_dir: "/r/.git".into(),
        });
        let files = ["/r/Dockerfile", "/r/req/base.txt", "/r/req/more/dev.txt"];
        interest.read(View::Head, files.map(PathBuf::from).to_vec(), false);
        interest
    }

    #[test]
    fn only_what_decides_means_something() {
        use Meaning::{Changed, Nothing, WorkTrees};
        let interest = interest();
        for (path, meaning) in [
            ("/r/Dockerfile", Changed),
            ("/r/req/base.txt", Changed),
            ("/r/req", Changed),
            ("/r/req/more", Changed),
            ("/r/.prewarm.toml", Changed),
            ("/r/req/.gitattributes", Changed),
            ("/r/README.md", Nothing),
            ("/r/app.log", Nothing),
            ("/r/re", Nothing),
            ("/r/req/.base.txt.swp", Nothing),
            ("/r/.git/HEAD", Changed),
            ("/r/.git/index", Changed),
            ("/r/.git/index.lock", Nothing),
            ("/r/.git/logs/HEAD", Changed),
            ("/r/.git/rebase-merge", Changed),
            ("/r/.git/sequencer", Changed),
            ("/r/.git/FETCH_HEAD", Changed),
            ("/r/.git/COMMIT_EDITMSG", Nothing),
            ("/r/.git/worktrees", WorkTrees),
            ("/r/.git/worktrees/wt", WorkTrees),
            ("/r", WorkTrees),
            ("/r/.git", WorkTrees),
            ("/", Nothing),
        ] {
            assert_eq!(interest.meaning(Path::new(path)), meaning, "{path}");
        }
    }

    #[test]
    fn few_directories_are_watched() {
        let mut interest = interest();
        let (directories, complete) = interest.directories();
        assert!(complete);
        assert_eq!(
            directories
                .iter()
                .map(|path| path.to_str().expect("it is UTF-8"))
                .collect::<Vec<_>>(),
            [
                "/r",
                "/r/.git",
                "/r/.git/logs",
                "/r/.git/worktrees",
                "/r/req",
                "/r/req/more"
            ]
        );
        let many = (0..1000).map(|number| PathBuf::from(format!("/r/d{number}/f")));
        interest.read(View::Worktree, many.collect(), false);
        let (directories, complete) = interest.directories();
        assert_eq!((directories.len(), complete), (MOST, false));
    }

    #[test]
    fn where_not_all_files_are_known_each_may_decide() {
        let mut interest = interest();
        interest.read(View::Worktree, vec![], true);
        assert_eq!(interest.meaning(Path::new("/r/app.log")), Meaning::Changed);
        assert_eq!(
            interest.meaning(Path::new("/r/.git/gc.log")),
            Meaning::Nothing
        );
        assert!(!interest.directories().1);
        let mut linked = Interest::new(WorkTree {
            work_dir: "/w".into(),
            git_dir: "/r/.git/worktrees/w".into(),
            common_dir: "/r/.git".into(),
        });
        linked.read(View::Worktree, vec![], true);
        for (path, meaning) in [
            ("/w/app.log", Meaning::Changed),
            ("/r/.git/worktrees/w/index", Meaning::Changed),
            ("/r/.git/index", Meaning::Nothing),
        ] {
            assert_eq!(linked.meaning(Path::new(path)), meaning, "{path}");
        }
    }
}
