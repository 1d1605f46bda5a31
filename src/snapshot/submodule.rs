//! Submodules: what a checkout puts in their place.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::ObjectId;
use super::error::SnapshotError;
use super::node::{Kind, Node};
use super::store::Store;

/// A path beyond what an operating system takes (Linux `PATH_MAX`) is no checkout's business.
pub(super) const PATH_LIMIT: usize = 4096;

/// A `[submodule "name"]` section.
#[derive(Debug, PartialEq, Eq)]
struct Section {
    name: String,
    path: Vec<u8>,
}

/// Where a snapshot has submodules, by their paths from its root.
#[derive(Clone, Debug, Default)]
pub(super) struct Submodules {
    /// Those that are known.
    pub(super) all: Arc<BTreeSet<Vec<u8>>>,
    /// Those that are not empty.
    pub(super) filled: Arc<BTreeSet<Vec<u8>>>,
}

/// The tree that a checkout of `tree` makes: with submodules their trees, without them empty directories. And where
/// they are.
pub(super) fn check_out(
    store: &Store,
    tree: ObjectId,
    fill: bool,
) -> Result<(ObjectId, Submodules), SnapshotError> {
    let modules = store.common_dir().join("modules");
    let mut all = BTreeSet::new();
    let tree = level(store, tree, fill, &mut all, &modules, b"")?;
    let all = Arc::new(all);
    let filled = if fill {
        Arc::clone(&all)
    } else {
        Arc::default()
    };
    Ok((tree, Submodules { all, filled }))
}

/// `modules` holds the repositories of this level's submodules; `prefix` is where the level is in the whole; paths
/// of submodules go to `all`.
fn level(
    store: &Store,
    tree: ObjectId,
    fill: bool,
    all: &mut BTreeSet<Vec<u8>>,
    modules: &Path,
    prefix: &[u8],
) -> Result<ObjectId, SnapshotError> {
    let Some(Node {
        kind: Kind::File { .. },
        id,
        ..
    }) = store.entry(tree, b".gitmodules")?
    else {
        return Ok(tree);
    };
    let mut replacements = BTreeMap::new();
    for section in sections(&store.bytes(id)?) {
        let components: Vec<Vec<u8>> = section
            .path
            .split(|byte| *byte == b'/')
            .map(<[u8]>::to_owned)
            .collect();
        let Some(commit) = gitlink(store, tree, &components)? else {
            continue;
        };
        let path = [prefix, &section.path].concat();
        let content = if fill {
            let git_dir = modules.join(&section.name);
            let objects = git_dir.join("objects");
            if is_safe(&section.name) && objects.is_dir() {
                store.add_alternate(&objects)?;
            }
            if !store.holds(commit) {
                return Err(SnapshotError::SubmoduleMissing {
                    path: String::from_utf8_lossy(&path).into_owned(),
                    commit,
                });
            }
            let inner = store.commit_tree(commit)?;
            let inside = [&path[..], b"/"].concat();
            let modules = git_dir.join("modules");
            level(store, inner, fill, all, &modules, &inside)?
        } else {
            ObjectId::EMPTY_TREE
        };
        all.insert(path);
        replacements.insert(components, content);
    }
    if replacements.is_empty() {
        return Ok(tree);
    }
    store.replace(tree, &replacements)
}

/// The commit at a path, if there is a submodule.
fn gitlink(
    store: &Store,
    tree: ObjectId,
    path: &[Vec<u8>],
) -> Result<Option<ObjectId>, SnapshotError> {
    let mut node = Node::root(tree);
    for name in path {
        if node.kind != Kind::Directory {
            return Ok(None);
        }
        match store.entry(node.id, name)? {
            Some(next) => node = next,
            None => return Ok(None),
        }
    }
    Ok((node.kind == Kind::Submodule).then_some(node.id))
}

/// Whether git itself would use the name as a directory (CVE-2018-11235).
fn is_safe(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('/')
        && name.split(['/', '\\']).all(|component| component != "..")
}

/// Reads `.gitmodules`: only the names and paths, in git's configuration syntax.
fn sections(text: &[u8]) -> Vec<Section> {
    let mut sections = Vec::new();
    let mut name: Option<String> = None;
    for line in String::from_utf8_lossy(text).lines() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            name = header
                .strip_prefix("submodule")
                .and_then(|rest| rest.trim_start().strip_prefix('"'))
                .and_then(|rest| rest.rsplit_once("\"]").or_else(|| rest.rsplit_once('"')))
                .map(|(name, _)| unescaped(name));
        } else if let (Some(name), Some((key, value))) = (&name, line.split_once('='))
            && key.trim().eq_ignore_ascii_case("path")
        {
            let value = value.trim();
            let value = match value
                .strip_prefix('"')
                .and_then(|value| value.strip_suffix('"'))
            {
                Some(quoted) => unescaped(quoted),
                None => value.to_owned(),
            };
            let path = value.trim_end_matches('/').to_owned().into_bytes();
            if !path.is_empty() && path.len() <= PATH_LIMIT {
                sections.push(Section {
                    name: name.clone(),
                    path,
                });
            }
        }
    }
    sections
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        plain.push(match character {
            '\\' => rest.next().unwrap_or('\\'),
            _ => character,
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_paths() {
        let text = b"; comment\n[submodule \"libs/a \\\"b\\\"\"]\n\tpath = libs/a\n\turl = ../a.git\n[other]\npath = no\n\
            [submodule \"c\"]\n  Path=\"with space/c/\"\n";
        let expected =
            [("libs/a \"b\"", "libs/a"), ("c", "with space/c")].map(|(name, path)| Section {
                name: name.to_owned(),
                path: path.as_bytes().to_vec(),
            });
        assert_eq!(sections(text), expected);
    }

    #[test]
    fn names_that_leave_the_modules_directory_are_not_opened() {
        for (name, expected) in [
            ("a/b", true),
            ("a..b", true),
            ("../a", false),
            ("a/..", false),
            ("/a", false),
            ("", false),
        ] {
            assert_eq!(is_safe(name), expected, "{name}");
        }
    }
}
