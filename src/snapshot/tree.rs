//! A directory of a snapshot as BuildKit gets to see it.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::ObjectId;
use super::blob::Blob;
use super::error::SnapshotError;
use super::filter::{Below, Filter, Selection, State};
use super::node::{Kind, Node};
use super::store::Store;

/// A directory inside a snapshot, with the modes that CI's umask leaves. Cheap to clone.
#[derive(Clone)]
pub struct Tree {
    store: Arc<Store>,
    id: ObjectId,
    umask: u32,
    lfs: bool,
}

/// One file, directory or link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the [`Tree`], components separated by `/`; not necessarily UTF-8.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// The blob, or the git tree of a directory. With LFS the blob is the pointer's.
    pub id: ObjectId,
    /// Size in bytes of a file's content as served; 0 for others.
    pub size: u64,
    /// Permission bits: 666 or 777 less the umask for files, 777 less the umask for directories, 777 for links.
    pub mode: u32,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory; a submodule that CI does not check out is an empty one.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Symlink {
        /// Where it points, as git holds it.
        target: Vec<u8>,
    },
}

/// How many entries are looked at together: `git` is asked for their sizes at once.
const AHEAD: usize = 512;

/// Version of the digest's encoding; to be changed with it.
const DIGEST_HEADER: &[u8] = b"prewarm tree 1\0";

impl Tree {
    pub(super) fn new(store: Arc<Store>, id: ObjectId, umask: u32, lfs: bool) -> Self {
        Self {
            store,
            id,
            umask,
            lfs,
        }
    }

    /// Calls `visit` for everything that the filter selects, directories before their entries, siblings by the
    /// bytes of their names (fsutil's `ComparePath` order). Directories that nothing can be selected from are not
    /// read. `visit` ends the walk with `Break`.
    ///
    /// # Errors
    ///
    /// A pattern that Docker refuses, or an object that is not on this machine.
    pub fn walk(
        &self,
        filter: &Filter,
        visit: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<(), SnapshotError> {
        let mut waiting = Vec::with_capacity(AHEAD);
        let mut ended = false;
        self.traverse(filter, false, &mut |path, found| {
            waiting.push((path.to_owned(), found));
            if waiting.len() < AHEAD {
                return Ok(ControlFlow::Continue(()));
            }
            let flow = self.visit(&mut waiting, visit)?;
            ended = flow.is_break();
            Ok(flow)
        })?;
        if !ended {
            let _end = self.visit(&mut waiting, visit)?;
        }
        Ok(())
    }

    /// Calls `visit` for what was found, and forgets it.
    fn visit(
        &self,
        found: &mut Vec<(Vec<u8>, Found)>,
        visit: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, SnapshotError> {
        let ids: Vec<_> = found
            .iter()
            .filter_map(|(_, found)| match found {
                Found::Node(Kind::File { .. }, id) => Some(*id),
                _ => None,
            })
            .collect();
        let mut sizes = self.store.sizes(&ids)?.into_iter();
        for (path, found) in found.drain(..) {
            if visit(self.entry(path, &found, &mut sizes)?).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Opens a file's content by the id that [`Tree::walk`] gave.
    ///
    /// # Errors
    ///
    /// The object, or with LFS its content, is not on this machine; `git`, which reads packs for us, cannot be run.
    pub fn open(&self, id: ObjectId) -> Result<Blob, SnapshotError> {
        self.store.open_blob(id, self.lfs)
    }

    /// Feeds `update` with a fingerprint of exactly what [`Tree::walk`] would serve: for one filter, equal content
    /// gives equal bytes, in any clone and from any source, and different content different ones. Where a whole
    /// directory is selected, its git tree id stands for all that is below.
    ///
    /// # Errors
    ///
    /// As for [`Tree::walk`]; the content of files is not looked at.
    pub fn digest(
        &self,
        filter: &Filter,
        update: &mut dyn FnMut(&[u8]),
    ) -> Result<(), SnapshotError> {
        update(DIGEST_HEADER);
        update(&(self.umask & 0o777).to_le_bytes());
        update(&[u8::from(self.lfs)]);
        self.traverse(filter, true, &mut |path, found| {
            // Length first: no path can be taken for the beginning of another record.
            let (tag, id) = match &found {
                Found::Whole(id) => (b'T', Some(*id)),
                Found::Node(kind, id) => match kind {
                    Kind::Directory | Kind::Submodule => (b'D', None),
                    Kind::File { executable: false } => (b'F', Some(*id)),
                    Kind::File { executable: true } => (b'X', Some(*id)),
                    Kind::Symlink => (b'L', Some(*id)),
                },
            };
            update(&[tag]);
            update(&(path.len() as u64).to_le_bytes());
            update(path);
            if let Some(id) = id {
                update(id.as_bytes());
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// `sizes` has the next file's stored size.
    fn entry(
        &self,
        path: Vec<u8>,
        found: &Found,
        sizes: &mut dyn Iterator<Item = Option<u64>>,
    ) -> Result<Entry, SnapshotError> {
        let (kind, id) = match found {
            Found::Node(kind, id) => (*kind, *id),
            Found::Whole(id) => (Kind::Directory, *id),
        };
        let mut size = 0;
        let (kind, mode) = match kind {
            Kind::Directory | Kind::Submodule => (EntryKind::Directory, 0o777 & !self.umask),
            Kind::File { executable } => {
                size = self
                    .served_size(id, sizes.next().flatten())
                    .map_err(|error| error.at(&String::from_utf8_lossy(&path)))?;
                let mode = if executable { 0o777 } else { 0o666 };
                (EntryKind::File, mode & !self.umask)
            }
            Kind::Symlink => (
                EntryKind::Symlink {
                    target: self.store.bytes(id)?,
                },
                0o777,
            ),
        };
        Ok(Entry {
            path,
            kind,
            id,
            size,
            mode,
        })
    }

    fn served_size(&self, id: ObjectId, stored: Option<u64>) -> Result<u64, SnapshotError> {
        let size = match stored {
            Some(size) => size,
            None => self.store.size(id)?,
        };
        if !self.lfs {
            return Ok(size);
        }
        match self.store.pointer(id, size)? {
            None => Ok(size),
            Some(pointer) => self.store.lfs_file(id, &pointer).map(|_| pointer.size),
        }
    }

    /// Finds what the filter selects; with `collapse`, directories that are selected whole are found as one.
    fn traverse(
        &self,
        filter: &Filter,
        collapse: bool,
        found: &mut OnFound<'_>,
    ) -> Result<(), SnapshotError> {
        let selection = Selection::new(filter, &self.store, self.id)?;
        let everything = selection.is_everything();
        if collapse && everything {
            return found(b"", Found::Whole(self.id)).map(drop);
        }
        let mut path = Vec::new();
        // In place of recursion: a repository can nest deeper than a thread's stack.
        let mut stack = vec![Level {
            entries: self.store.entries(self.id)?.into_iter(),
            id: self.id,
            path_length: 0,
            below: if everything { Below::All } else { Below::Some },
            state: State::default(),
            announced: true,
        }];
        while let Some(level) = stack.last_mut() {
            let Some(node) = level.entries.next() else {
                stack.pop();
                continue;
            };
            path.truncate(level.path_length);
            if level.path_length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(&node.name);
            let directory = matches!(node.kind, Kind::Directory | Kind::Submodule);
            let (served, below, state) = if level.below == Below::All {
                (true, Below::All, State::default())
            } else {
                let verdict = selection.judge(&path, directory, &level.state);
                (verdict.served, verdict.below, verdict.state)
            };
            let whole = collapse && served && node.kind == Kind::Directory && below == Below::All;
            if served {
                for level in stack.iter_mut().filter(|level| !level.announced) {
                    level.announced = true;
                    let directory = Found::Node(Kind::Directory, level.id);
                    if found(&path[..level.path_length], directory)?.is_break() {
                        return Ok(());
                    }
                }
                let this = if whole {
                    Found::Whole(node.id)
                } else {
                    Found::Node(node.kind, node.id)
                };
                if found(&path, this)?.is_break() {
                    return Ok(());
                }
            }
            if node.kind == Kind::Directory && below != Below::Nothing && !whole {
                stack.push(self.level(&node, path.len(), below, state, served)?);
            }
        }
        Ok(())
    }

    fn level(
        &self,
        node: &Node,
        path_length: usize,
        below: Below,
        state: State,
        announced: bool,
    ) -> Result<Level, SnapshotError> {
        Ok(Level {
            entries: self.store.entries(node.id)?.into_iter(),
            id: node.id,
            path_length,
            below,
            state,
            announced,
        })
    }
}

/// What [`Tree::traverse`] finds at a path.
enum Found {
    Node(Kind, ObjectId),
    /// A directory with all that is below it.
    Whole(ObjectId),
}

/// Is told each path with what is there; `Break` ends the traversal.
type OnFound<'a> = dyn FnMut(&[u8], Found) -> Result<ControlFlow<()>, SnapshotError> + 'a;

/// A directory on the way to where the traversal is.
struct Level {
    entries: std::vec::IntoIter<Node>,
    id: ObjectId,
    path_length: usize,
    below: Below,
    state: State,
    /// It has been found itself. One that is not selected is, right before the first thing in it that is.
    announced: bool,
}
