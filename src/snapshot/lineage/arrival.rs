//! Foreign files on their way into the work tree: git writes them before it moves HEAD, or never moves it, so that they
//! look like the user's edits.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;

use super::super::git::Git;
use super::super::node::Kind;
use super::super::store::Store;
use super::super::{ObjectId, Repository, Snapshot, SnapshotError};

/// So many commits are compared with, the newest.
const LIMIT: usize = 10_000;

/// So many paths may be changed.
const CHANGES: usize = 50_000;

/// So many commits are enough to know.
const ENOUGH: usize = 51;

/// What is at a path that is no directory.
type Value = (Kind, ObjectId);

/// What a directory of a snapshot has otherwise than one of a commit.
#[derive(Default)]
struct Changes {
    /// What is at each name now; `None` where something was deleted.
    leaves: Vec<(Vec<u8>, Option<Value>)>,
    below: Vec<(Vec<u8>, Changes)>,
}

impl Repository {
    /// The foreign commits that something comes from in which `snapshot` differs from the commit `head`: they brought one of
    /// its new files to where it is, or all that it lacks is what they deleted. Looked for in whatever this repository can
    /// check out by a name and that is neither made here nor in the history of `known`.
    ///
    /// # Errors
    ///
    /// More is changed than can be compared, or git cannot list the commits.
    pub fn arriving(
        &self,
        snapshot: &Snapshot,
        head: ObjectId,
        known: &BTreeSet<ObjectId>,
    ) -> Result<BTreeSet<ObjectId>, SnapshotError> {
        let store = &*snapshot.store;
        let mut left = CHANGES;
        let (old, new) = (store.commit_tree(head)?, snapshot.tree);
        let changes = changes(store, Some(old), Some(new), &mut left)?;
        if changes.is_empty() {
            return Ok(BTreeSet::new());
        }
        let made = self.made_here();
        let mut tips = self.fetched();
        tips.extend(made.values().flat_map(|making| making.from.iter().copied()));
        let git = Git::new(&self.work_dir, &self.git_dir, &self.common_dir);
        let commits = git.commits(&tips, known, LIMIT)?;
        let listed: HashSet<ObjectId> = commits.iter().map(|(commit, _)| *commit).collect();
        let complete = commits.len() < LIMIT;
        let mut found = BTreeSet::new();
        for (commit, parents) in commits {
            if made.contains_key(&commit) || found.len() >= ENOUGH {
                continue;
            }
            let tree = store.commit_tree(commit)?;
            // A parent answers for what it has: it is listed itself, or known. Where the list is cut it may be neither.
            let answering: Vec<ObjectId> = parents
                .iter()
                .filter(|parent| complete || listed.contains(parent))
                .map(|parent| store.commit_tree(*parent))
                .collect::<Result<_, _>>()?;
            let trees: Vec<_> = answering.iter().copied().map(Some).collect();
            if brings(store, &changes, Some(tree), &trees)?
                || deletes(store, &changes, new, tree, &answering)?
            {
                found.insert(commit);
            }
        }
        Ok(found)
    }

    /// Whether nothing has come here from anywhere, and nothing was committed.
    #[must_use]
    pub fn is_new(&self) -> bool {
        let git = Git::new(&self.work_dir, &self.git_dir, &self.common_dir);
        self.fetched().is_empty() && git.has_references().is_ok_and(|has| !has)
    }

    /// What the last `git fetch` of each work tree brought, and where each was before its last large move.
    fn fetched(&self) -> BTreeSet<ObjectId> {
        let mut ids = BTreeSet::new();
        for directory in self.git_dirs() {
            for name in ["FETCH_HEAD", "ORIG_HEAD"] {
                let text = fs::read(directory.join(name)).unwrap_or_default();
                let lines = text.split(|byte| *byte == b'\n');
                ids.extend(lines.filter_map(|line| {
                    let id = std::str::from_utf8(line.get(..40)?).ok()?;
                    id.parse::<ObjectId>().ok()
                }));
            }
        }
        ids
    }
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.leaves.is_empty() && self.below.is_empty()
    }
}

type Entries = BTreeMap<Vec<u8>, Value>;

fn entries(store: &Store, tree: Option<ObjectId>) -> Result<Entries, SnapshotError> {
    let nodes = tree.map_or_else(|| Ok(Vec::new()), |tree| store.entries(tree))?;
    let named = nodes
        .into_iter()
        .map(|node| (node.name, (node.kind, node.id)));
    Ok(named.collect())
}

fn directory(entries: &Entries, name: &[u8]) -> Option<ObjectId> {
    let (kind, id) = entries.get(name)?;
    (*kind == Kind::Directory).then_some(*id)
}

fn leaf(entries: &Entries, name: &[u8]) -> Option<Value> {
    let value = entries.get(name).copied();
    value.filter(|(kind, _)| *kind != Kind::Directory)
}

/// What `new` has otherwise than `old`. Empty directories are nothing: no checkout makes them.
fn changes(
    store: &Store,
    old: Option<ObjectId>,
    new: Option<ObjectId>,
    left: &mut usize,
) -> Result<Changes, SnapshotError> {
    let mut found = Changes::default();
    if old == new {
        return Ok(found);
    }
    let (old, new) = (entries(store, old)?, entries(store, new)?);
    let names: BTreeSet<&Vec<u8>> = old.keys().chain(new.keys()).collect();
    for name in names {
        let now = leaf(&new, name);
        if leaf(&old, name) != now {
            *left = left.checked_sub(1).ok_or_else(|| SnapshotError::Git {
                action: "compare the work tree with HEAD",
                message: format!("more than {CHANGES} files are changed"),
            })?;
            found.leaves.push((name.clone(), now));
        }
        let below = changes(store, directory(&old, name), directory(&new, name), left)?;
        if !below.is_empty() {
            found.below.push((name.clone(), below));
        }
    }
    Ok(found)
}

/// Whether a commit with this tree has anywhere what is new there, and none of its parents has.
fn brings(
    store: &Store,
    changes: &Changes,
    tree: Option<ObjectId>,
    parents: &[Option<ObjectId>],
) -> Result<bool, SnapshotError> {
    if tree.is_none() || parents.contains(&tree) {
        return Ok(false);
    }
    let ours = entries(store, tree)?;
    let theirs: Vec<Entries> = parents
        .iter()
        .map(|parent| entries(store, *parent))
        .collect::<Result<_, _>>()?;
    for (name, now) in &changes.leaves {
        let had = || theirs.iter().any(|their| leaf(their, name) == *now);
        if now.is_some() && leaf(&ours, name) == *now && !had() {
            return Ok(true);
        }
    }
    for (name, below) in &changes.below {
        let parents: Vec<_> = theirs.iter().map(|their| directory(their, name)).collect();
        if brings(store, below, directory(&ours, name), &parents)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a commit with this tree has all that is changed, and none of its parents has. Where there is no parent nothing was
/// deleted, and the files have to be the same altogether.
fn deletes(
    store: &Store,
    changed: &Changes,
    snapshot: ObjectId,
    tree: ObjectId,
    parents: &[ObjectId],
) -> Result<bool, SnapshotError> {
    if !agrees(store, changed, Some(tree))? {
        return Ok(false);
    }
    for parent in parents {
        if agrees(store, changed, Some(*parent))? {
            return Ok(false);
        }
    }
    if !parents.is_empty() {
        return Ok(true);
    }
    // More changes than can be counted are some.
    let same = changes(store, Some(tree), Some(snapshot), &mut 0);
    Ok(same.is_ok_and(|same| same.is_empty()))
}

/// Whether a tree has all that is changed.
fn agrees(store: &Store, changes: &Changes, tree: Option<ObjectId>) -> Result<bool, SnapshotError> {
    let entries = entries(store, tree)?;
    if changes
        .leaves
        .iter()
        .any(|(name, now)| leaf(&entries, name) != *now)
    {
        return Ok(false);
    }
    for (name, below) in &changes.below {
        if !agrees(store, below, directory(&entries, name))? {
            return Ok(false);
        }
    }
    Ok(true)
}
