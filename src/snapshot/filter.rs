//! What BuildKit asks for, and what that selects: the rules of `tonistiigi/fsutil`'s `NewFilterFS`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::ObjectId;
use super::SnapshotError;
use super::glob::{self, Glob};
use super::node::{Kind, Node};
use super::pattern::{Flags, Matcher, Narrowing};
use super::store::Store;

/// What BuildKit asked for in one `DiffCopy`: the values of `followpaths`, `include-patterns` and
/// `exclude-patterns`. All empty selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Paths to include together with all that links on their way point at.
    #[serde(default)]
    pub follow: Vec<String>,
    /// Patterns of which one must match.
    #[serde(default)]
    pub include: Vec<String>,
    /// Patterns of which none may match; `!` makes an exception.
    #[serde(default)]
    pub exclude: Vec<String>,
}

/// A filter made ready for one tree.
pub(super) struct Selection {
    include: Option<Matcher>,
    exclude: Option<Matcher>,
}

/// What the entries of a directory need to know about it.
#[derive(Default)]
pub(super) struct State {
    include: Flags,
    exclude: Flags,
}

/// What becomes of one path.
pub(super) struct Verdict {
    /// It is served.
    pub(super) served: bool,
    /// How much of what is below it is served; only for directories.
    pub(super) below: Below,
    /// For its entries.
    pub(super) state: State,
}

/// How much of what is below a directory is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Below {
    /// Every path, whatever its name.
    All,
    /// No path, whatever its name.
    Nothing,
    /// It depends.
    Some,
}

impl Selection {
    /// Makes a filter ready: `root` is the tree that its links are followed in.
    pub(super) fn new(
        filter: &Filter,
        store: &Store,
        root: ObjectId,
    ) -> Result<Self, SnapshotError> {
        let mut include: Vec<Vec<u8>> = filter
            .include
            .iter()
            .map(|text| text.clone().into_bytes())
            .collect();
        if !filter.follow.is_empty() {
            let targets = follow(store, root, &filter.follow)?;
            // A link to the root asks for everything and leaves the list as it was.
            if let Some(targets) = targets {
                include.extend(targets);
                include = deduplicated(include).unwrap_or_default();
            }
        }
        let exclude: Vec<_> = filter
            .exclude
            .iter()
            .map(|text| text.clone().into_bytes())
            .collect();
        let matcher = |patterns: Vec<Vec<u8>>, narrowing| {
            (!patterns.is_empty())
                .then(|| Matcher::new(&patterns, narrowing))
                .transpose()
        };
        Ok(Self {
            include: matcher(include, Narrowing::Include)?,
            exclude: matcher(exclude, Narrowing::Exclude)?,
        })
    }

    /// Whether the root is served whole.
    pub(super) fn is_everything(&self) -> bool {
        self.include.is_none() && self.exclude.is_none()
    }

    /// Whether the root itself is selected, by `filter`, which this was made of.
    pub(super) fn takes_root(&self, filter: &Filter) -> bool {
        let root = |pattern: &String| matches!(pattern.trim_matches('/'), "" | ".");
        self.include.is_none() || filter.follow.iter().any(root)
    }

    /// Judges a path; `parent` is its directory's state.
    pub(super) fn judge(&self, path: &[u8], directory: bool, parent: &State) -> Verdict {
        let (included, include) = match &self.include {
            Some(matcher) => matcher.matches(path, &parent.include),
            None => (true, Flags::new()),
        };
        let (excluded, exclude) = match &self.exclude {
            Some(matcher) => matcher.matches(path, &parent.exclude),
            None => (false, Flags::new()),
        };
        let below = if directory {
            let settled = |matcher: &Option<Matcher>, verdict, flags: &Flags| {
                matcher
                    .as_ref()
                    .is_none_or(|matcher| matcher.settled(path, verdict, flags))
            };
            let skipped = |matcher: &Option<Matcher>, narrowing| {
                matcher
                    .as_ref()
                    .is_some_and(|matcher| matcher.skips(path, narrowing))
            };
            let include_settled = settled(&self.include, included, &include);
            let exclude_settled = settled(&self.exclude, excluded, &exclude);
            if !included && (include_settled || skipped(&self.include, Narrowing::Include))
                || excluded && (exclude_settled || skipped(&self.exclude, Narrowing::Exclude))
            {
                Below::Nothing
            } else if included && include_settled && !excluded && exclude_settled {
                Below::All
            } else {
                Below::Some
            }
        } else {
            Below::Nothing
        };
        Verdict {
            served: included && !excluded,
            below,
            state: State { include, exclude },
        }
    }
}

/// `FollowLinks`: the paths, less those inside another, and all that links on their way point at. `None` when one
/// of them is the root.
fn follow(
    store: &Store,
    root: ObjectId,
    paths: &[String],
) -> Result<Option<Vec<Vec<u8>>>, SnapshotError> {
    let mut links = Links {
        store,
        root,
        resolved: BTreeSet::new(),
    };
    for path in paths {
        links.resolve(path.as_bytes())?;
    }
    Ok(deduplicated(links.resolved.into_iter().collect()))
}

struct Links<'a> {
    store: &'a Store,
    root: ObjectId,
    resolved: BTreeSet<Vec<u8>>,
}

impl Links<'_> {
    fn resolve(&mut self, path: &[u8]) -> Result<(), SnapshotError> {
        // A work list in place of recursion: links to links can be many.
        let mut todo = vec![glob::join(b".", path)];
        while let Some(path) = todo.pop() {
            let mut current = b".".to_vec();
            let mut rest = path.as_slice();
            loop {
                let slash = rest.iter().position(|byte| *byte == b'/');
                let (part, after) = match slash {
                    Some(slash) => (&rest[..slash], &rest[slash + 1..]),
                    None => (rest, &b""[..]),
                };
                current = glob::join(&current, part);
                rest = after;
                let targets = self.targets(&current)?;
                if rest.is_empty() || !targets.is_empty() {
                    // Seen before: its targets are followed already, or a link leads back to itself.
                    if self.resolved.insert(current.clone()) {
                        // The last one comes off first; keep Docker's order, because the first to come wins.
                        todo.extend(
                            targets
                                .iter()
                                .rev()
                                .map(|target| glob::join(b".", &glob::join(target, rest))),
                        );
                    }
                    break;
                }
            }
        }
        Ok(())
    }

    /// Where the link at `path` points, from the root; with wildcards in the last component, all such links.
    fn targets(&self, path: &[u8]) -> Result<Vec<Vec<u8>>, SnapshotError> {
        let (directory, base) = glob::split(path);
        if !has_wildcards(base) {
            return Ok(match self.lookup(path)? {
                Some(node) if node.kind == Kind::Symlink => vec![self.target(directory, node.id)?],
                _ => Vec::new(),
            });
        }
        let (Some(tree), Some(glob)) = (self.lookup(directory)?, Glob::parse(base)) else {
            return Ok(Vec::new());
        };
        if tree.kind != Kind::Directory {
            return Ok(Vec::new());
        }
        self.store
            .entries(tree.id)?
            .into_iter()
            .filter(|node| node.kind == Kind::Symlink && glob.matches(&node.name))
            .map(|node| self.target(directory, node.id))
            .collect()
    }

    fn target(&self, directory: &[u8], link: ObjectId) -> Result<Vec<u8>, SnapshotError> {
        let target = glob::clean(&self.store.bytes(link)?);
        Ok(if target.starts_with(b"/") {
            target
        } else {
            glob::join(b"/", &glob::join(directory, &target))
        })
    }

    /// The node with exactly that path; links are not followed.
    fn lookup(&self, path: &[u8]) -> Result<Option<Node>, SnapshotError> {
        let mut node = Node::root(self.root);
        for name in path
            .split(|byte| *byte == b'/')
            .filter(|name| *name != b".")
        {
            if node.kind != Kind::Directory {
                return Ok(None);
            }
            match self.store.entry(node.id, name)? {
                Some(next) => node = next,
                None => return Ok(None),
            }
        }
        Ok(Some(node))
    }
}

/// `containsWildcards`.
fn has_wildcards(name: &[u8]) -> bool {
    let mut bytes = name.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => {
                bytes.next();
            }
            b'*' | b'?' | b'[' => return true,
            _ => {}
        }
    }
    false
}

/// `dedupePaths`: drops paths inside the path before them; `None` when one is the root. It expects sorted paths
/// and is also given others; what it then does is what we want to do as well.
fn deduplicated(paths: Vec<Vec<u8>>) -> Option<Vec<Vec<u8>>> {
    let mut kept: Vec<Vec<u8>> = Vec::with_capacity(paths.len());
    for path in paths {
        if path == b"." {
            return None;
        }
        let last = kept.last().map_or(&b""[..], Vec::as_slice);
        if path
            .strip_prefix(last)
            .is_none_or(|rest| rest.first() != Some(&b'/'))
        {
            kept.push(path);
        }
    }
    Some(kept)
}
