//! A directory of a snapshot as BuildKit gets to see it.

use std::ffi::OsStr;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ObjectId;
use super::attributes::{self, Attributes, Entered, Treatment};
use super::content::{self, Reader};
use super::conversion::Content;
use super::error::SnapshotError;
use super::filter::{Below, Filter, Selection, State};
use super::node::{Kind, Node};
use super::place::{Place, descend};
use super::store::Store;

/// A directory inside a snapshot, with the modes that CI's umask leaves. Cheap to clone.
#[derive(Clone)]
pub struct Tree {
    pub(super) store: Arc<Store>,
    pub(super) id: ObjectId,
    pub(super) place: Arc<Place>,
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
    /// The blob and what a checkout makes of it, or the git tree of a directory.
    pub content: Content,
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
    pub(super) fn new(
        store: Arc<Store>,
        id: ObjectId,
        place: Place,
        umask: u32,
        lfs: bool,
    ) -> Self {
        Self {
            store,
            id,
            place: Arc::new(place),
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
            let Found::Node(kind, id, treatment) = found else {
                unreachable!("nothing is collapsed")
            };
            let conversion = treatment.conversion;
            waiting.push((path.to_owned(), kind, Content { id, conversion }));
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
        found: &mut Vec<(Vec<u8>, Kind, Content)>,
        visit: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, SnapshotError> {
        let ids: Vec<_> = found
            .iter()
            .filter(|(_, kind, _)| matches!(kind, Kind::File { .. }))
            .map(|(_, _, content)| content.id)
            .collect();
        let mut sizes = self.store.sizes(&ids)?.into_iter();
        for (path, kind, content) in found.drain(..) {
            if visit(self.entry(path, kind, content, &mut sizes)?).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Opens a file's content as [`Tree::walk`] gave it.
    ///
    /// # Errors
    ///
    /// The object, or with LFS its content, is not on this machine; `git`, which reads packs for us, cannot be run.
    pub fn open(&self, content: Content) -> Result<Reader, SnapshotError> {
        Reader::open(&self.store, content, self.lfs)
    }

    /// Feeds `update` with a fingerprint of exactly what [`Tree::walk`] would serve: for one filter, equal content
    /// gives equal bytes, in any clone and from any source, and different content different ones. Where a whole
    /// directory is selected, its git tree id stands for all that is below, together with what attributes from
    /// above it change there.
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
            let mut record = |tag: u8, rest: &[u8]| {
                update(&[tag]);
                update(&(path.len() as u64).to_le_bytes());
                update(path);
                update(rest);
            };
            match &found {
                Found::Whole(id) => record(b'T', id.as_bytes()),
                Found::Node(kind, id, _) => match kind {
                    Kind::Directory | Kind::Submodule => record(b'D', b""),
                    Kind::File { executable: false } => record(b'F', id.as_bytes()),
                    Kind::File { executable: true } => record(b'X', id.as_bytes()),
                    Kind::Symlink => record(b'L', id.as_bytes()),
                },
                Found::Within(_) => {}
            }
            if let Found::Node(_, _, treatment) | Found::Within(treatment) = &found
                && !treatment.conversion.is_none()
            {
                record(b'C', &[treatment.conversion.code()]);
            }
            Ok(ControlFlow::Continue(()))
        })
    }

    /// The selected files that a checkout writes in another encoding (`working-tree-encoding`), each with that. They
    /// are served as the repository has them. Without `thorough`, directories that are selected whole are read only
    /// if attributes from above apply in them.
    ///
    /// # Errors
    ///
    /// As for [`Tree::walk`].
    pub fn encoded(
        &self,
        filter: &Filter,
        thorough: bool,
    ) -> Result<Vec<(String, String)>, SnapshotError> {
        let mut files = Vec::new();
        self.traverse(filter, !thorough, &mut |path, found| {
            if let Found::Node(_, _, treatment) | Found::Within(treatment) = found
                && let Some(encoding) = treatment.encoding
            {
                files.push((String::from_utf8_lossy(path).into_owned(), encoding));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(files)
    }

    /// The paths of the selected files and links from the snapshot's root, at most `most` of them, and whether that is all.
    ///
    /// # Errors
    ///
    /// As for [`Tree::walk`].
    pub fn paths(
        &self,
        filter: &Filter,
        most: usize,
    ) -> Result<(Vec<PathBuf>, bool), SnapshotError> {
        let (mut paths, mut complete) = (Vec::new(), true);
        self.traverse(filter, false, &mut |path, found| {
            if let Found::Node(Kind::File { .. } | Kind::Symlink, ..) = found {
                if paths.len() == most {
                    complete = false;
                    return Ok(ControlFlow::Break(()));
                }
                let from_root = Path::new(OsStr::from_bytes(&self.place.path));
                paths.push(from_root.join(OsStr::from_bytes(path)));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok((paths, complete))
    }

    /// `sizes` has the next file's stored size.
    fn entry(
        &self,
        path: Vec<u8>,
        kind: Kind,
        content: Content,
        sizes: &mut dyn Iterator<Item = Option<u64>>,
    ) -> Result<Entry, SnapshotError> {
        let mut size = 0;
        let (kind, mode) = match kind {
            Kind::Directory | Kind::Submodule => (EntryKind::Directory, 0o777 & !self.umask),
            Kind::File { executable } => {
                size = content::size(&self.store, content, sizes.next().flatten(), self.lfs)
                    .map_err(|error| error.at(&String::from_utf8_lossy(&path)))?;
                let mode = if executable { 0o777 } else { 0o666 };
                (EntryKind::File, mode & !self.umask)
            }
            Kind::Symlink => (
                EntryKind::Symlink {
                    target: self.store.bytes(content.id)?,
                },
                0o777,
            ),
        };
        Ok(Entry {
            path,
            kind,
            content,
            size,
            mode,
        })
    }

    /// Finds what the filter selects; with `collapse`, directories that are selected whole are found as one, and of
    /// what is in them only what attributes from above may change.
    pub(super) fn traverse(
        &self,
        filter: &Filter,
        collapse: bool,
        found: &mut OnFound<'_>,
    ) -> Result<(), SnapshotError> {
        let selection = Selection::new(filter, &self.store, self.id)?;
        let everything = selection.is_everything();
        let mut attributes = self.place.attributes(&self.store)?;
        if collapse && everything {
            let ends = found(b"", Found::Whole(self.id))?.is_break();
            if ends || !attributes.reach_below() {
                return Ok(());
            }
        }
        // From the snapshot's root, as attributes go by it; what is found is told from here.
        let mut path = self.place.path.clone();
        let start = path.len() + usize::from(!path.is_empty());
        // In place of recursion: a repository can nest deeper than a thread's stack.
        let mut stack = vec![Level {
            below: if everything { Below::All } else { Below::Some },
            announced: true,
            collapsed: collapse && everything,
            ..self.level(self.id, &path, &mut attributes)?
        }];
        while let Some(level) = stack.last_mut() {
            let Some(node) = level.entries.next() else {
                attributes.leave(level.entered);
                stack.pop();
                continue;
            };
            let collapsed = level.collapsed;
            path.truncate(level.path_length);
            descend(&mut path, &node.name);
            let directory = matches!(node.kind, Kind::Directory | Kind::Submodule);
            let (served, below, state) = if level.below == Below::All {
                (true, Below::All, State::default())
            } else {
                let verdict = selection.judge(&path[start..], directory, &level.state);
                (verdict.served, verdict.below, verdict.state)
            };
            let treatment = match node.kind {
                Kind::File { .. } if served => attributes.treatment(&path),
                _ => Treatment::default(),
            };
            let whole = collapse && served && node.kind == Kind::Directory && below == Below::All;
            let this = match (collapsed, whole) {
                (true, _) => {
                    (treatment != Treatment::default()).then_some(Found::Within(treatment))
                }
                (false, true) => Some(Found::Whole(node.id)),
                (false, false) => served.then_some(Found::Node(node.kind, node.id, treatment)),
            };
            if let Some(this) = this {
                for level in stack.iter_mut().filter(|level| !level.announced) {
                    level.announced = true;
                    let directory = Found::Node(Kind::Directory, level.id, Treatment::default());
                    if found(&path[start..level.path_length], directory)?.is_break() {
                        return Ok(());
                    }
                }
                if found(&path[start..], this)?.is_break() {
                    return Ok(());
                }
            }
            let needless = below == Below::Nothing || whole && !attributes.reach_below();
            if node.kind == Kind::Directory && !needless {
                stack.push(Level {
                    below,
                    state,
                    announced: served,
                    collapsed: whole,
                    ..self.level(node.id, &path, &mut attributes)?
                });
            }
        }
        Ok(())
    }

    /// Goes into a directory of which nothing is selected yet.
    fn level(
        &self,
        id: ObjectId,
        path: &[u8],
        attributes: &mut Attributes,
    ) -> Result<Level, SnapshotError> {
        let entries = self.store.entries(id)?;
        let file = entries
            .binary_search_by(|node| node.name.as_slice().cmp(attributes::NAME))
            .ok()
            .map(|index| &entries[index]);
        let entered = attributes.enter(&self.store, path, file)?;
        Ok(Level {
            entries: entries.into_iter(),
            id,
            path_length: path.len(),
            below: Below::Nothing,
            state: State::default(),
            announced: false,
            collapsed: false,
            entered,
        })
    }
}

/// What [`Tree::traverse`] finds at a path.
pub(super) enum Found {
    Node(Kind, ObjectId, Treatment),
    /// A directory with all that is below it.
    Whole(ObjectId),
    /// A file in such a directory that a checkout changes.
    Within(Treatment),
}

/// Is told each path with what is there; `Break` ends the traversal.
pub(super) type OnFound<'a> =
    dyn FnMut(&[u8], Found) -> Result<ControlFlow<()>, SnapshotError> + 'a;

/// A directory on the way to where the traversal is.
struct Level {
    entries: std::vec::IntoIter<Node>,
    pub(super) id: ObjectId,
    path_length: usize,
    below: Below,
    state: State,
    /// It has been found itself. One that is not selected is, right before the first thing in it that is.
    announced: bool,
    /// It is in a directory that was found whole, or that directory.
    collapsed: bool,
    entered: Entered,
}
