//! What CI will see, as an immutable tree read straight from git's object store.
//!
//! A [`Repository`] gives a [`Snapshot`] of a commit, the index, the work tree's tracked changes or a merge; a
//! snapshot gives [`Tree`]s, which are served to BuildKit and fingerprinted. Nothing is written to the user's
//! repository: what a snapshot adds lives in memory, or for the index and the work tree, which git itself reads for
//! us, in a private temporary directory that goes with it. (git may renew the time stamp of an object that exists already.) Files
//! that git does not track are never part of it.
//!
//! This is the only module that knows libgit2.

mod attributes;
mod blob;
mod branches;
mod cat_file;
mod content;
mod conversion;
mod diff;
mod drivers;
mod edits;
mod eol;
mod error;
mod expression;
mod filter;
mod git;
mod glob;
mod hooks;
mod id;
mod ident;
mod lfs;
mod lineage;
mod loose;
mod node;
mod pattern;
mod place;
mod pushed;
mod reach;
mod repository;
mod resolve;
mod scratch;
mod store;
mod submodule;
mod tree;
mod work_trees;

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

pub use content::Reader;
pub use conversion::{Content, Conversion};
pub use diff::unified;
pub use error::SnapshotError;
pub use filter::Filter;
pub use hooks::{GitHooks, GitVersion, ValueOrigin};
pub use id::{InvalidObjectId, ObjectId};
pub use lineage::Moment;
pub use pushed::Pushed;
pub use reach::Reach;
pub use repository::Repository;
pub use tree::{Entry, EntryKind, Tree};
pub use work_trees::{WorkTree, work_trees};

use node::Kind;
use place::Place;
use resolve::Resolved;
use store::{Leaf, Store};
use submodule::Submodules;

/// The largest file that [`Snapshot::file`] reads whole, in bytes.
pub const FILE_LIMIT: u64 = 16 * 1024 * 1024;

/// What to take a snapshot of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A commit, or a tree, by any name that `git rev-parse` knows.
    Revision(String),
    /// The index: what a commit would hold now.
    Staged,
    /// The work tree's tracked files: what a commit would hold after `git add --update`.
    Worktree,
    /// HEAD merged with a commit: what CI builds for a pull request.
    Merge {
        /// The commit to merge in.
        base: ObjectId,
    },
}

/// What CI's checkout does besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checkout {
    /// LFS files hold their content, not their pointer.
    pub lfs: bool,
    /// Submodules are filled, theirs too.
    pub submodules: bool,
}

/// An immutable tree of files. Cheap to clone; all clones and [`Tree`]s share its objects.
#[derive(Clone)]
pub struct Snapshot {
    store: Arc<Store>,
    tree: ObjectId,
    /// The same with submodules as CI checks them out.
    served: ObjectId,
    submodules: Submodules,
    commit: Option<ObjectId>,
    umask: u32,
    lfs: bool,
}

/// A file that was read whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its blob.
    pub id: ObjectId,
    /// Its content as a checkout writes it.
    pub bytes: Vec<u8>,
}

impl Snapshot {
    /// The git tree: the same as that of a commit with the same content.
    #[must_use]
    pub fn tree_id(&self) -> ObjectId {
        self.tree
    }

    /// The same tree as another checkout would have it.
    ///
    /// # Errors
    ///
    /// A submodule that is to be filled is not on this machine.
    pub fn checked_out(&self, umask: u32, checkout: Checkout) -> Result<Self, SnapshotError> {
        let (served, submodules) =
            submodule::check_out(&self.store, self.tree, checkout.submodules)?;
        Ok(Self {
            served,
            submodules,
            umask,
            lfs: checkout.lfs,
            ..self.clone()
        })
    }

    /// The commit, where the snapshot is one.
    #[must_use]
    pub fn commit(&self) -> Option<ObjectId> {
        self.commit
    }

    /// A directory by its path from the root, `.` for the root; links inside the repository are followed.
    ///
    /// # Errors
    ///
    /// Missing, not a directory, or out of the repository.
    pub fn context(&self, path: &str) -> Result<Tree, SnapshotError> {
        let found = self.resolve(path)?;
        if found.node.kind == Kind::Directory {
            let place = Place::new(&self.store, &found, &self.submodules)?;
            Ok(self.at(found.node.id, place))
        } else {
            Err(SnapshotError::NotADirectory {
                path: path.to_owned(),
            })
        }
    }

    /// A file by its path from the root; links inside the repository are followed, at most 40.
    ///
    /// # Errors
    ///
    /// Missing, a directory, out of the repository, in a submodule that is not checked out, a loop of links, or
    /// larger than [`FILE_LIMIT`].
    pub fn file(&self, path: &str) -> Result<File, SnapshotError> {
        let found = self.resolve(path)?;
        let id = found.node.id;
        if found.node.kind == Kind::Directory {
            return Err(SnapshotError::IsADirectory {
                path: path.to_owned(),
            });
        }
        let place = Place::new(&self.store, &found, &self.submodules)?;
        let mut attributes = place.attributes(&self.store)?;
        let conversion = attributes.treatment(&place.path).conversion;
        let mut reader = Reader::open(&self.store, Content { id, conversion }, self.lfs)
            .map_err(|error| error.at(path))?;
        if reader.size() > FILE_LIMIT {
            return Err(SnapshotError::TooLarge {
                path: path.to_owned(),
                size: reader.size(),
                limit: FILE_LIMIT,
            });
        }
        let mut bytes = Vec::new();
        reader
            .read_to_end(&mut bytes)
            .map_err(|source| SnapshotError::Read {
                path: path.into(),
                source,
            })?;
        Ok(File { id, bytes })
    }

    /// Whether [`Snapshot::context`] or [`Snapshot::file`] would find something there.
    #[must_use]
    pub fn exists(&self, path: &str) -> bool {
        self.resolve(path).is_ok()
    }

    /// A tree of these files alone, by path, none of them executable; a later one replaces an earlier one.
    ///
    /// # Errors
    ///
    /// A path leads out of the tree, or through another file.
    pub fn synthetic(&self, files: &[(&str, &[u8])]) -> Result<Tree, SnapshotError> {
        let mut leaves: BTreeMap<Vec<u8>, Leaf> = BTreeMap::new();
        for (path, bytes) in files {
            let clean = glob::clean(path.as_bytes());
            if clean == b"."
                || clean == b".."
                || clean.starts_with(b"/")
                || clean.starts_with(b"../")
            {
                return Err(SnapshotError::Outside {
                    path: (*path).to_owned(),
                });
            }
            let leaf = Leaf {
                path: clean.clone(),
                kind: Kind::File { executable: false },
                id: self.store.write_blob(bytes)?,
            };
            leaves.insert(clean, leaf);
        }
        for path in leaves.keys() {
            let mut above = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
            if above.any(|(slash, _)| leaves.contains_key(&path[..slash])) {
                return Err(SnapshotError::NotADirectory {
                    path: glob::decode(path),
                });
            }
        }
        let leaves: Vec<_> = leaves.into_values().collect();
        Ok(self.at(self.store.write_tree(&leaves)?, Place::default()))
    }

    fn at(&self, id: ObjectId, place: Place) -> Tree {
        Tree::new(Arc::clone(&self.store), id, place, self.umask, self.lfs)
    }

    fn resolve(&self, path: &str) -> Result<Resolved, SnapshotError> {
        resolve::resolve(&self.store, self.served, path).map_err(|error| match error {
            // An empty directory stands for a submodule; say so rather than that the file is missing.
            SnapshotError::Missing { .. } if self.served != self.tree => {
                match resolve::resolve(&self.store, self.tree, path) {
                    Err(better @ SnapshotError::InSubmodule { .. }) => better,
                    _ => error,
                }
            }
            error => error,
        })
    }
}

#[cfg(test)]
mod tests;
