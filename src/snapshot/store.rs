//! The objects of one snapshot: the repository's, read only, and ours, in memory.
//!
//! libgit2 locks its object database for each read, so one [`Store`] serves any number of threads.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use git2::{ObjectType, Odb, OdbLookupFlags};

use super::ObjectId;
use super::blob::Blob;
use super::cat_file::CatFile;
use super::error::SnapshotError;
use super::git::Git;
use super::lfs::{POINTER_LIMIT, Pointer};
use super::node::{Kind, Node, write_tree};
use super::scratch::Scratch;

/// The backend that takes what is written; above those on disk, which libgit2 gives 1 and 2.
const MEMORY_PRIORITY: i32 = 1000;

/// The objects that one snapshot is made of.
pub(super) struct Store {
    /// Everything; writes go to memory.
    odb: Odb<'static>,
    /// Only what the `git` program can read too.
    disk: Odb<'static>,
    cat_file: Arc<CatFile>,
    common_dir: PathBuf,
    /// What `git` wrote for us, until the snapshot is gone.
    scratch: Option<Scratch>,
}

impl Store {
    /// Opens the objects of the repository at `common_dir`.
    pub(super) fn open(
        git: Git,
        common_dir: &Path,
        scratch: Option<Scratch>,
    ) -> Result<Self, SnapshotError> {
        let odb = || Odb::new().map_err(|error| failed("open the object store", &error));
        let store = Self {
            odb: odb()?,
            disk: odb()?,
            cat_file: Arc::new(CatFile::new(git, common_dir.join("objects"))),
            common_dir: common_dir.to_owned(),
            scratch,
        };
        store
            .odb
            .add_new_mempack_backend(MEMORY_PRIORITY)
            .map_err(|error| failed("open the object store", &error))?;
        store.attach(&common_dir.join("objects"))?;
        if let Some(scratch) = &store.scratch {
            store.add_alternate(&scratch.objects())?;
        }
        Ok(store)
    }

    /// Reads objects from one more directory.
    pub(super) fn add_alternate(&self, objects: &Path) -> Result<(), SnapshotError> {
        self.attach(objects)?;
        self.cat_file.add_alternate(objects.to_owned());
        Ok(())
    }

    fn attach(&self, objects: &Path) -> Result<(), SnapshotError> {
        // As an alternate, because libgit2 never writes to one.
        let path = objects.to_str().ok_or_else(|| SnapshotError::Unsupported {
            path: objects.to_owned(),
            reason: "its path is not UTF-8".to_owned(),
        })?;
        for odb in [&self.odb, &self.disk] {
            odb.add_disk_alternate(path)
                .map_err(|error| failed("open the object store", &error))?;
        }
        Ok(())
    }

    /// The store as libgit2 wants it for a repository.
    pub(super) fn odb(&self) -> &Odb<'static> {
        &self.odb
    }

    /// The repository's directory that its work trees share.
    pub(super) fn common_dir(&self) -> &Path {
        &self.common_dir
    }

    /// Where `git` wrote for us.
    #[cfg(test)]
    pub(super) fn scratch_directory(&self) -> Option<&Path> {
        self.scratch.as_ref().map(Scratch::path)
    }

    /// Whether the object is here.
    pub(super) fn holds(&self, id: ObjectId) -> bool {
        self.odb.exists_ext(oid(id), OdbLookupFlags::empty())
    }

    /// The whole content of an object.
    pub(super) fn bytes(&self, id: ObjectId) -> Result<Vec<u8>, SnapshotError> {
        let object = self.odb.read(oid(id)).map_err(|error| unread(id, &error))?;
        Ok(object.data().to_vec())
    }

    /// The entries of a tree, siblings by the bytes of their names. (Git itself sorts directories as if their names
    /// ended in a slash.)
    pub(super) fn entries(&self, tree: ObjectId) -> Result<Vec<Node>, SnapshotError> {
        let mut entries = self.stored_entries(tree)?;
        entries.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(entries)
    }

    fn stored_entries(&self, tree: ObjectId) -> Result<Vec<Node>, SnapshotError> {
        let object = self.tree(tree)?;
        Node::parse(object.data())
            .map(|entry| {
                let (kind, name, id) =
                    entry.map_err(|reason| SnapshotError::ObjectDamaged { id: tree, reason })?;
                Ok(Node {
                    name: name.to_owned(),
                    kind,
                    id,
                })
            })
            .collect()
    }

    /// The entry of that name in a tree.
    pub(super) fn entry(&self, tree: ObjectId, name: &[u8]) -> Result<Option<Node>, SnapshotError> {
        let object = self.tree(tree)?;
        for entry in Node::parse(object.data()) {
            let (kind, found, id) =
                entry.map_err(|reason| SnapshotError::ObjectDamaged { id: tree, reason })?;
            if found == name {
                return Ok(Some(Node {
                    name: found.to_owned(),
                    kind,
                    id,
                }));
            }
        }
        Ok(None)
    }

    fn tree(&self, id: ObjectId) -> Result<git2::OdbObject<'_>, SnapshotError> {
        let object = self.odb.read(oid(id)).map_err(|error| unread(id, &error))?;
        if object.kind() == ObjectType::Tree {
            Ok(object)
        } else {
            Err(SnapshotError::ObjectDamaged {
                id,
                reason: "it is not a tree",
            })
        }
    }

    /// The tree of a commit.
    pub(super) fn commit_tree(&self, commit: ObjectId) -> Result<ObjectId, SnapshotError> {
        let raw = self.bytes(commit)?;
        raw.strip_prefix(b"tree ")
            .and_then(|rest| rest.get(..40))
            .and_then(|hex| std::str::from_utf8(hex).ok()?.parse().ok())
            .ok_or(SnapshotError::ObjectDamaged {
                id: commit,
                reason: "it is not a commit",
            })
    }

    /// Keeps a blob in memory.
    pub(super) fn write_blob(&self, bytes: &[u8]) -> Result<ObjectId, SnapshotError> {
        self.write(ObjectType::Blob, bytes)
    }

    fn write(&self, kind: ObjectType, bytes: &[u8]) -> Result<ObjectId, SnapshotError> {
        let action = "keep an object in memory";
        let id = git2::Oid::hash_object(kind, bytes).map_err(|error| failed(action, &error))?;
        // Writing what exists makes libgit2 touch the existing file.
        if !self.odb.exists_ext(id, OdbLookupFlags::NO_REFRESH) {
            self.odb
                .write(kind, bytes)
                .map_err(|error| failed(action, &error))?;
        }
        Ok(from_oid(id))
    }

    /// The tree of files with these paths, which must be sorted by their bytes, and none inside another.
    pub(super) fn write_tree(&self, files: &[Leaf]) -> Result<ObjectId, SnapshotError> {
        self.write_level(files, 0)
    }

    /// `start` is where names begin in the paths.
    fn write_level(&self, files: &[Leaf], start: usize) -> Result<ObjectId, SnapshotError> {
        let mut entries = Vec::new();
        let mut rest = files;
        while let Some(first) = rest.first() {
            let path = &first.path[start..];
            match path.iter().position(|byte| *byte == b'/') {
                None => {
                    entries.push((first.kind, path, first.id));
                    rest = &rest[1..];
                }
                Some(slash) => {
                    let prefix = &first.path[..=start + slash];
                    let count = rest.partition_point(|file| file.path.starts_with(prefix));
                    let (inside, after) = rest.split_at(count);
                    entries.push((
                        Kind::Directory,
                        &path[..slash],
                        self.write_level(inside, start + slash + 1)?,
                    ));
                    rest = after;
                }
            }
        }
        self.write(ObjectType::Tree, &write_tree(entries))
    }

    /// The tree with the entries at some paths exchanged for directories. Keys are components of a path.
    pub(super) fn replace(
        &self,
        tree: ObjectId,
        replacements: &BTreeMap<Vec<Vec<u8>>, ObjectId>,
    ) -> Result<ObjectId, SnapshotError> {
        if let Some(whole) = replacements.get([].as_slice()) {
            return Ok(*whole);
        }
        let mut entries = self.stored_entries(tree)?;
        for entry in &mut entries {
            let inside: BTreeMap<_, _> = replacements
                .iter()
                .filter(|(path, _)| path[0] == entry.name)
                .map(|(path, id)| (path[1..].to_vec(), *id))
                .collect();
            if !inside.is_empty() {
                entry.id = self.replace(entry.id, &inside)?;
                entry.kind = Kind::Directory;
            }
        }
        entries.sort_by_cached_key(sort_key);
        let raw = write_tree(
            entries
                .iter()
                .map(|entry| (entry.kind, entry.name.as_slice(), entry.id)),
        );
        self.write(ObjectType::Tree, &raw)
    }

    /// The sizes of blobs in bytes, at once; `None` for one that [`Store::size`] has to tell of alone.
    pub(super) fn sizes(&self, ids: &[ObjectId]) -> Result<Vec<Option<u64>>, SnapshotError> {
        let on_disk = |id: &&ObjectId| self.disk.exists(oid(**id));
        let asked: Vec<_> = ids.iter().filter(on_disk).copied().collect();
        let sizes = self.cat_file.sizes(&asked)?;
        let mut told = asked.into_iter().zip(sizes).peekable();
        Ok(ids
            .iter()
            .map(|id| {
                told.next_if(|(told, _)| told == id)
                    .and_then(|(_, size)| size)
            })
            .collect())
    }

    /// The size of a blob in bytes.
    pub(super) fn size(&self, id: ObjectId) -> Result<u64, SnapshotError> {
        let (size, kind) = self
            .odb
            .read_header(oid(id))
            .map_err(|error| unread(id, &error))?;
        if kind == ObjectType::Blob {
            Ok(size as u64)
        } else {
            Err(SnapshotError::ObjectDamaged {
                id,
                reason: "it is not a blob",
            })
        }
    }

    /// The LFS pointer that a blob of that size is.
    pub(super) fn pointer(
        &self,
        id: ObjectId,
        size: u64,
    ) -> Result<Option<Pointer>, SnapshotError> {
        if size >= POINTER_LIMIT {
            return Ok(None);
        }
        Ok(Pointer::parse(&whole(self.open_stored(id)?, id)?))
    }

    /// The file that holds the content of the pointer in blob `id`.
    pub(super) fn lfs_file(
        &self,
        id: ObjectId,
        pointer: &Pointer,
    ) -> Result<PathBuf, SnapshotError> {
        let scratch = self.scratch.as_ref().map(Scratch::lfs);
        let whole = |path: &PathBuf| {
            fs::metadata(path)
                .is_ok_and(|metadata| metadata.is_file() && metadata.len() == pointer.size)
        };
        scratch
            .into_iter()
            .chain([self.common_dir.join("lfs")])
            .map(|directory| directory.join(pointer.object_path()))
            .find(whole)
            .ok_or_else(|| SnapshotError::LfsMissing {
                path: format!("blob {id}"),
                oid: pointer.oid.clone(),
            })
    }

    /// Opens a blob for reading.
    pub(super) fn open_blob(&self, id: ObjectId, lfs: bool) -> Result<Blob, SnapshotError> {
        let blob = self.open_stored(id)?;
        if !lfs || blob.size() >= POINTER_LIMIT {
            return Ok(blob);
        }
        let bytes = whole(blob, id)?;
        let Some(pointer) = Pointer::parse(&bytes) else {
            return Ok(Blob::memory(bytes));
        };
        let path = self.lfs_file(id, &pointer)?;
        match fs::File::open(&path) {
            Ok(file) => Ok(Blob::file(file, pointer.size)),
            Err(source) => Err(SnapshotError::Read { path, source }),
        }
    }

    /// Opens a blob as it is stored.
    fn open_stored(&self, id: ObjectId) -> Result<Blob, SnapshotError> {
        if self.disk.exists(oid(id))
            && let Some(blob) = self.cat_file.open(id)?
        {
            return Ok(blob);
        }
        Ok(Blob::memory(self.bytes(id)?))
    }
}

fn whole(mut blob: Blob, id: ObjectId) -> Result<Vec<u8>, SnapshotError> {
    let mut bytes = Vec::new();
    match blob.read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(_) => Err(SnapshotError::ObjectDamaged {
            id,
            reason: "it cannot be read",
        }),
    }
}

/// A file, link or submodule with its path from the root of a tree.
pub(super) struct Leaf {
    pub(super) path: Vec<u8>,
    pub(super) kind: Kind,
    pub(super) id: ObjectId,
}

/// Git's order of siblings.
fn sort_key(node: &Node) -> Vec<u8> {
    let mut key = node.name.clone();
    if node.kind == Kind::Directory {
        key.push(b'/');
    }
    key
}

/// Our id as libgit2's.
pub(super) fn oid(id: ObjectId) -> git2::Oid {
    git2::Oid::from_bytes(id.as_bytes()).expect("an id has as many bytes as libgit2 wants")
}

/// libgit2's id as ours.
pub(super) fn from_oid(id: git2::Oid) -> ObjectId {
    let bytes = id
        .as_bytes()
        .try_into()
        .expect("a SHA-1 repository has ids of 20 bytes");
    ObjectId::from_bytes(bytes)
}

/// What libgit2 refused, for what we did.
pub(super) fn failed(action: &'static str, error: &git2::Error) -> SnapshotError {
    SnapshotError::Git {
        action,
        message: error.message().to_owned(),
    }
}

fn unread(id: ObjectId, error: &git2::Error) -> SnapshotError {
    if error.code() == git2::ErrorCode::NotFound {
        SnapshotError::ObjectMissing { id }
    } else {
        SnapshotError::ObjectDamaged {
            id,
            reason: "libgit2 cannot read it",
        }
    }
}
