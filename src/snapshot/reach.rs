//! What a filter takes of CI's checkout that is no tracked file.

use super::error::SnapshotError;
use super::filter::{Below, Filter, Selection, State};
use super::tree::Tree;

/// What a transfer holds in CI that it does not hold here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// It takes the context's root itself, whose own entry a Git context has and a transfer has not.
    pub root: bool,
    /// It takes `.git`, which a checkout has in its root.
    pub git_directory: bool,
    /// It takes the `.git` file that a checkout leaves in each submodule.
    pub submodules: bool,
}

impl Reach {
    /// What either takes.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            root: self.root || other.root,
            git_directory: self.git_directory || other.git_directory,
            submodules: self.submodules || other.submodules,
        }
    }
}

impl Tree {
    /// What the filter takes besides tracked files.
    ///
    /// # Errors
    ///
    /// As for [`Tree::walk`].
    pub fn reach(&self, filter: &Filter) -> Result<Reach, SnapshotError> {
        let selection = Selection::new(filter, &self.store, self.id)?;
        let context = self.place.path.as_slice();
        // The directory itself, or something that is always in it.
        let holds =
            |path: &[u8]| takes(&selection, path) || takes(&selection, &[path, b"/HEAD"].concat());
        let below = |path: &[u8]| -> Option<Vec<u8>> {
            let rest = path.strip_prefix(context)?;
            match context {
                [] => Some(rest.to_vec()),
                _ => rest.strip_prefix(b"/").map(<[u8]>::to_vec),
            }
        };
        let git_files = self.place.gitlinks().iter().filter_map(|path| below(path));
        let submodules = git_files
            .map(|path| [&path, b"/.git".as_slice()].concat())
            .any(|path| takes(&selection, &path));
        Ok(Reach {
            root: selection.takes_root(filter),
            git_directory: context.is_empty() && holds(b".git"),
            submodules,
        })
    }
}

/// Whether a path would be served if there were something.
fn takes(selection: &Selection, path: &[u8]) -> bool {
    let mut state = State::default();
    for (end, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
        let verdict = selection.judge(&path[..end], true, &state);
        match verdict.below {
            Below::All => return true,
            Below::Nothing => return false,
            Below::Some => state = verdict.state,
        }
    }
    selection.judge(path, false, &state).served
}
