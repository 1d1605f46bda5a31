//! Paths inside a snapshot, links followed, never out of it.

use std::collections::VecDeque;

use super::ObjectId;
use super::error::SnapshotError;
use super::node::{Kind, Node};
use super::store::Store;

/// Links that may be followed for one path; Linux has the same limit (`MAXSYMLINKS`).
const HOPS: usize = 40;

/// What a path leads to.
pub(super) struct Resolved {
    pub(super) node: Node,
    /// The directories that it really is in, the root first.
    pub(super) above: Vec<Node>,
}

/// What is at `path` below `root`, with every link on the way followed, the last one too.
pub(super) fn resolve(
    store: &Store,
    root: ObjectId,
    path: &str,
) -> Result<Resolved, SnapshotError> {
    let outside = || SnapshotError::Outside {
        path: path.to_owned(),
    };
    if path.starts_with('/') {
        return Err(outside());
    }
    let mut todo: VecDeque<Vec<u8>> = components(path.as_bytes()).collect();
    let mut above: Vec<Node> = Vec::new();
    let mut here = Node::root(root);
    let mut hops = 0;
    while let Some(name) = todo.pop_front() {
        match here.kind {
            Kind::Directory => {}
            Kind::Submodule => return Err(in_submodule(path, &above, &here)),
            _ => {
                return Err(SnapshotError::NotADirectory {
                    path: path.to_owned(),
                });
            }
        }
        if name == b".." {
            here = above.pop().ok_or_else(outside)?;
            continue;
        }
        let next = store
            .entry(here.id, &name)?
            .ok_or_else(|| SnapshotError::Missing {
                path: path.to_owned(),
            })?;
        if next.kind == Kind::Symlink {
            hops += 1;
            if hops > HOPS {
                return Err(SnapshotError::LinkLoop {
                    path: path.to_owned(),
                });
            }
            let target = store.bytes(next.id)?;
            if target.starts_with(b"/") {
                return Err(outside());
            }
            for component in components(&target).rev() {
                todo.push_front(component);
            }
        } else {
            above.push(std::mem::replace(&mut here, next));
        }
    }
    if here.kind == Kind::Submodule {
        return Err(in_submodule(path, &above, &here));
    }
    Ok(Resolved { node: here, above })
}

fn components(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    path.split(|byte| *byte == b'/')
        .filter(|name| !name.is_empty() && *name != b".")
        .map(<[u8]>::to_owned)
}

fn in_submodule(path: &str, above: &[Node], submodule: &Node) -> SnapshotError {
    let names: Vec<_> = above
        .iter()
        .skip(1)
        .chain([submodule])
        .map(|node| node.name.as_slice())
        .collect();
    SnapshotError::InSubmodule {
        path: path.to_owned(),
        submodule: String::from_utf8_lossy(&names.join(&b'/')).into_owned(),
    }
}
