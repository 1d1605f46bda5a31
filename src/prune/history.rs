//! Reads what decides who needs what: the history of warms, and the repositories as they are now.

use std::collections::BTreeMap;
use std::path::Path;

use super::needed::{Branches, History};
use super::pins::BranchPin;
use crate::record::{RecordError, Records};
use crate::snapshot::{Repository, work_trees};

impl History {
    /// Reads it.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn read(records: &Records, pinned: Vec<BranchPin>) -> Result<Self, RecordError> {
        let warms = records.branch_warms()?;
        let mut branches = BTreeMap::new();
        for path in warms.iter().map(|warm| &warm.repository) {
            if !branches.contains_key(path)
                && let Some(found) = look(records, Path::new(path))?
            {
                branches.insert(path.clone(), found);
            }
        }
        Ok(Self {
            warms,
            needs: records.needs()?,
            branches,
            pinned_anywhere: pinned
                .iter()
                .filter(|pin| !Path::new(&pin.common_dir).exists())
                .map(|pin| pin.branch.clone())
                .collect(),
            pinned,
        })
    }
}

/// `None` where there is no repository (any more), or it cannot be read.
fn look(records: &Records, path: &Path) -> Result<Option<Branches>, RecordError> {
    let repository = match Repository::discover(path) {
        // One around it says nothing of what was here.
        Ok(repository) if repository.work_dir() == path => repository,
        _ => return Ok(None),
    };
    let Ok(heads) = repository.branch_heads() else {
        return Ok(None);
    };
    let mut branches = Branches {
        common_dir: repository.common_dir().display().to_string(),
        ..Branches::default()
    };
    for (branch, commit) in heads {
        let commit = commit.to_string();
        let keys = records.commit_keys(&commit)?;
        branches.commits.insert(commit);
        branches.heads.insert(branch, keys);
    }
    let trees = work_trees(repository.common_dir());
    let trees = trees
        .iter()
        .filter_map(|tree| Repository::discover(&tree.work_dir).ok());
    branches.checked_out = trees.filter_map(|tree| tree.branch()).collect();
    Ok(Some(branches))
}
