//! `.gitattributes`: which files a checkout changes, and how.
//!
//! They come from the snapshot's own tree alone, as CI has no other: not from the work tree, the user's or the
//! machine's configuration, nor `.git/info/attributes`. No filter is set up in CI, so `filter` changes nothing
//! (`ci.lfs` is what decides about LFS files).

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;

use gix_attributes::Search;
use gix_attributes::StateRef;
use gix_attributes::glob::pattern::Case;
use gix_attributes::search::{MetadataCollection, Outcome};

use super::conversion::{Conversion, Crlf};
use super::error::SnapshotError;
use super::node::{Kind, Node};
use super::place::descend;
use super::store::Store;

/// The file's name.
pub(super) const NAME: &[u8] = b".gitattributes";

/// What git itself defines.
const BUILT_IN: &[u8] = b"[attr]binary -diff -merge -text\n";

/// git ignores larger files and longer lines (`attr.h`).
const FILE_LIMIT: u64 = 100 * 1024 * 1024;
const LINE_LIMIT: usize = 2048;

/// Without one of these no file is changed.
const CHANGING: [&[u8]; 3] = [b"eol=crlf", b"ident", b"working-tree-encoding"];
/// These can keep one of those from changing a file, further down.
const KEEPING: [&[u8]; 5] = [b"eol", b"text", b"crlf", b"binary", b"[attr]"];

const NAMES: [&str; 5] = ["text", "crlf", "eol", "ident", "working-tree-encoding"];

/// What applies in a directory, while one walks into directories and out of them.
#[derive(Default)]
pub(super) struct Attributes {
    /// Where submodules are checked out: attributes end there.
    submodules: Arc<BTreeSet<Vec<u8>>>,
    /// The repositories on the way, the innermost last.
    scopes: Vec<Scope>,
}

/// One repository's.
#[derive(Default)]
struct Scope {
    /// How many bytes of a path lead to it.
    start: usize,
    search: Search,
    collection: MetadataCollection,
    outcome: Outcome,
    files: Vec<Mentions>,
}

/// What a file is about.
#[derive(Clone, Copy)]
struct Mentions {
    changing: bool,
    keeping: bool,
}

/// To be given back on the way out.
#[must_use]
#[derive(Clone, Copy, Default)]
pub(super) struct Entered {
    scope: bool,
    file: bool,
}

/// What a checkout does to a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Treatment {
    pub(super) conversion: Conversion,
    /// The encoding that the file is written in. Such a file is served as the repository has it: what comes of
    /// `UTF-16`, say, depends on the C library of CI's git.
    pub(super) encoding: Option<String>,
}

impl Attributes {
    pub(super) fn new(submodules: Arc<BTreeSet<Vec<u8>>>) -> Self {
        Self {
            submodules,
            scopes: Vec::new(),
        }
    }

    /// Takes what the directory at `path`, from the snapshot's root, adds; `node` is its `.gitattributes`.
    pub(super) fn enter(
        &mut self,
        store: &Store,
        path: &[u8],
        node: Option<&Node>,
    ) -> Result<Entered, SnapshotError> {
        let scope = self.submodules.contains(path);
        if scope || self.scopes.is_empty() {
            self.scopes.push(Scope {
                start: if scope { path.len() + 1 } else { 0 },
                ..Scope::default()
            });
        }
        let mut entered = Entered { scope, file: false };
        if let Some(node) = node.filter(|node| matches!(node.kind, Kind::File { .. })) {
            let unread = |error: SnapshotError| error.at(&name(path));
            if store.size(node.id).map_err(unread)? <= FILE_LIMIT {
                let text = store.bytes(node.id).map_err(unread)?;
                let innermost = self.scopes.last_mut().expect("there is one by now");
                innermost.add(path, &text);
                entered.file = true;
            }
        }
        Ok(entered)
    }

    /// Undoes the last [`Attributes::enter`] that was not undone.
    pub(super) fn leave(&mut self, entered: Entered) {
        if entered.scope {
            self.scopes.pop();
        } else if entered.file
            && let Some(scope) = self.scopes.last_mut()
        {
            scope.files.pop();
            scope.search.pop_pattern_list();
        }
    }

    /// Whether what is below depends on more than what is below.
    pub(super) fn reach_below(&self) -> bool {
        let keeping = |scope: &Scope| scope.files.iter().any(|file| file.keeping);
        // A submodule looks like any other directory from here on.
        !self.submodules.is_empty() || self.scopes.last().is_some_and(keeping)
    }

    /// What becomes of the file at `path`, from the snapshot's root.
    pub(super) fn treatment(&mut self, path: &[u8]) -> Treatment {
        match self.scopes.last_mut() {
            Some(scope) if scope.files.iter().any(|file| file.changing) => scope.treatment(path),
            _ => Treatment::default(),
        }
    }
}

impl Scope {
    fn add(&mut self, directory: &[u8], text: &[u8]) {
        // Begins with an empty line: git skips a byte order mark only where it reads the work tree.
        let mut lines: Vec<&[u8]> = vec![b""];
        lines.extend(
            text.split(|byte| *byte == b'\n')
                .filter(|line| line.len() < LINE_LIMIT)
                // For git, which is written in C, a line ends there.
                .map(|line| line.split(|byte| *byte == 0).next().unwrap_or_default()),
        );
        let text = lines.join(&b'\n');
        if self.files.is_empty() {
            self.add_list(BUILT_IN, Path::new("built-in"), true);
        }
        let directory = directory.get(self.start..).unwrap_or_default();
        let path = Path::new(OsStr::from_bytes(directory)).join(OsStr::from_bytes(NAME));
        // Only a repository's root may define macros.
        self.add_list(&text, &path, directory.is_empty());
        let mentions = |words: &[&[u8]]| words.iter().any(|word| contains(&text, word));
        let changing = mentions(&CHANGING);
        self.files.push(Mentions {
            changing,
            keeping: changing || mentions(&KEEPING),
        });
        // The collection has grown.
        self.outcome
            .initialize_with_selection(&self.collection, NAMES);
    }

    fn add_list(&mut self, text: &[u8], path: &Path, macros: bool) {
        self.search
            .add_patterns_buffer(
                text,
                path.to_owned(),
                Some(Path::new("")),
                &mut self.collection,
                macros,
            )
            .expect("the path has a parent, and any path is one on Unix");
    }

    fn treatment(&mut self, path: &[u8]) -> Treatment {
        let path = path.get(self.start..).unwrap_or_default();
        self.outcome.reset();
        self.search.pattern_matching_relative_path(
            path.into(),
            Case::Sensitive,
            Some(false),
            &mut self.outcome,
        );
        let mut states = self
            .outcome
            .iter_selected()
            .map(|found| found.assignment.state);
        let mut next = || states.next().unwrap_or(StateRef::Unspecified);
        let (text, crlf, eol, ident, encoding) = (next(), next(), next(), next(), next());
        let encoding = encoding_of(encoding);
        if encoding.is_some() {
            return Treatment {
                conversion: Conversion::default(),
                encoding,
            };
        }
        let conversion = Conversion {
            crlf: line_ending(text, crlf, eol),
            ident: ident == StateRef::Set,
        };
        Treatment {
            conversion,
            encoding,
        }
    }
}

/// `convert_attrs` of git's `convert.c`, where LF is the native line ending and `core.autocrlf` is off. `crlf` is what
/// `text` was called before git 1.7.2.
fn line_ending(text: StateRef<'_>, crlf: StateRef<'_>, eol: StateRef<'_>) -> Crlf {
    let is = |state: StateRef<'_>, wanted: &str| matches!(state, StateRef::Value(value) if value.as_bstr() == wanted);
    let decides = |state: &StateRef<'_>| {
        matches!(state, StateRef::Set | StateRef::Unset)
            || is(*state, "input")
            || is(*state, "auto")
    };
    let text = if decides(&text) { text } else { crlf };
    match text {
        _ if !is(eol, "crlf") => Crlf::Never,
        StateRef::Unset => Crlf::Never,
        text if is(text, "auto") => Crlf::Auto,
        _ => Crlf::Always,
    }
}

/// The encoding, where it is not UTF-8. git refuses `true` and `false`.
fn encoding_of(state: StateRef<'_>) -> Option<String> {
    let StateRef::Value(value) = state else {
        return None;
    };
    let name = value.as_bstr().to_string();
    let utf8 = ["", "utf-8", "utf8"].contains(&name.to_ascii_lowercase().as_str());
    (!utf8).then_some(name)
}

/// The path of a directory's file, for people.
fn name(directory: &[u8]) -> String {
    let mut path = directory.to_owned();
    descend(&mut path, NAME);
    String::from_utf8_lossy(&path).into_owned()
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}
