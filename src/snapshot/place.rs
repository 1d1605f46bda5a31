//! Where something is in a snapshot, and so which attributes it has.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::attributes::{self, Attributes};
use super::error::SnapshotError;
use super::node::Node;
use super::resolve::Resolved;
use super::store::Store;
use super::submodule::Submodules;

/// Where a file or directory really is in its snapshot.
#[derive(Default)]
pub(super) struct Place {
    /// From the snapshot's root; empty for the root.
    pub(super) path: Vec<u8>,
    /// The directories above it, the root first, each with its `.gitattributes`.
    above: Vec<(Vec<u8>, Option<Node>)>,
    submodules: Submodules,
}

impl Place {
    pub(super) fn new(
        store: &Store,
        found: &Resolved,
        submodules: &Submodules,
    ) -> Result<Self, SnapshotError> {
        let mut path = Vec::new();
        let mut above = Vec::with_capacity(found.above.len());
        for directory in &found.above {
            descend(&mut path, &directory.name);
            let file = store.entry(directory.id, attributes::NAME)?;
            above.push((path.clone(), file));
        }
        descend(&mut path, &found.node.name);
        Ok(Self {
            path,
            above,
            submodules: submodules.clone(),
        })
    }

    /// Where the snapshot has submodules, filled or not, from its root.
    pub(super) fn gitlinks(&self) -> &BTreeSet<Vec<u8>> {
        &self.submodules.all
    }

    /// What applies to it because of what is above it.
    pub(super) fn attributes(&self, store: &Store) -> Result<Attributes, SnapshotError> {
        let mut attributes = Attributes::new(Arc::clone(&self.submodules.filled));
        for (path, file) in &self.above {
            // Never left: it is all above.
            let _ = attributes.enter(store, path, file.as_ref())?;
        }
        Ok(attributes)
    }
}

/// Goes from a directory to what is in it. The root has no name.
pub(super) fn descend(path: &mut Vec<u8>, name: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
}
