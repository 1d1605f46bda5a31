//! The spool: what hooks leave for the daemon. One file per repository and event, one line per call.
//!
//! A line is `v1`, the directory that the hook ran in, and `GIT_DIR` as git set it (often nothing), with tabs between
//! them and a newline at the end. It is a hint that something may have changed, and never more.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::Event;

/// What every line begins with; another format gets another word.
const VERSION: &[u8] = b"v1";

/// How many hexadecimal digits of a digest name a repository.
const ID_LENGTH: usize = 16;

/// Where something may have changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hint {
    /// Where the hook ran: the root of the work tree, absolute, though perhaps through links.
    pub work_dir: PathBuf,
    /// The git directory that git named, absolute; git names one in linked work trees.
    pub git_dir: Option<PathBuf>,
}

/// Reads a line, with or without its newline; `None` for one that is damaged or of another version.
#[must_use]
pub fn parse(line: &[u8]) -> Option<Hint> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let mut fields = line.split(|byte| *byte == b'\t');
    let (version, work_dir, git_dir) = (fields.next()?, fields.next()?, fields.next()?);
    if fields.next().is_some() || version != VERSION || !work_dir.starts_with(b"/") {
        return None;
    }
    if line.iter().any(|byte| matches!(byte, b'\n' | b'\0')) {
        return None;
    }
    let work_dir = PathBuf::from(OsStr::from_bytes(work_dir));
    let git_dir = match git_dir {
        b"" => None,
        path => Some(work_dir.join(OsStr::from_bytes(path))),
    };
    Some(Hint { work_dir, git_dir })
}

/// Writes a line as hooks do; `None` where they write none: a relative path, or one with control characters.
#[must_use]
pub fn render(hint: &Hint) -> Option<Vec<u8>> {
    let work_dir = hint.work_dir.as_os_str().as_bytes();
    let git_dir = hint.git_dir.as_deref().unwrap_or(Path::new(""));
    let git_dir = git_dir.as_os_str().as_bytes();
    let clean = |path: &[u8]| !path.iter().any(u8::is_ascii_control);
    if !(work_dir.starts_with(b"/") && clean(work_dir) && clean(git_dir)) {
        return None;
    }
    Some([VERSION, b"\t", work_dir, b"\t", git_dir, b"\n"].concat())
}

/// The name of a repository in the spool, from the canonical path of the git directory that its work trees share.
#[must_use]
pub fn repository_id(common_dir: &Path) -> String {
    hex(common_dir.as_os_str().as_bytes())
}

/// The name of a file in the spool.
#[must_use]
pub fn file_name(repository_id: &str, event: Event) -> String {
    format!("{repository_id}.{}", event.name())
}

/// The repository and the event of a file in the spool; `None` for a file that no hook wrote.
#[must_use]
pub fn parse_file_name(name: &str) -> Option<(&str, Event)> {
    let (id, event) = name.split_once('.')?;
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (id.len() == ID_LENGTH && id.bytes().all(is_hex)).then_some((id, Event::from_name(event)?))
}

/// The first digits of the SHA-256, in hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest
        .iter()
        .take(ID_LENGTH / 2)
        .fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a string takes any text");
            text
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hint(work_dir: &str, git_dir: Option<&str>) -> Hint {
        Hint {
            work_dir: PathBuf::from(work_dir),
            git_dir: git_dir.map(PathBuf::from),
        }
    }

    #[test]
    fn a_line_names_the_work_tree_and_perhaps_the_git_directory() {
        for (line, expected) in [
            (&b"v1\t/p\t\n"[..], Some(hint("/p", None))),
            (b"v1\t/p\t", Some(hint("/p", None))),
            (
                b"v1\t/p q'\"\t/g/.git/worktrees/w\n",
                Some(hint("/p q'\"", Some("/g/.git/worktrees/w"))),
            ),
            (b"v1\t/p\t.git\n", Some(hint("/p", Some("/p/.git")))),
            (b"", None),
            (b"\n", None),
            (b"v1\t/p\n", None),
            (b"v1\tp\t\n", None),
            (b"v2\t/p\t\n", None),
            (b"v1\t/p\t\t\n", None),
            (b"v1\t/p\0\t\n", None),
            (b"v1\t/pv1\t/p\t\n", None),
        ] {
            assert_eq!(parse(line), expected, "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn a_path_that_would_break_the_line_is_not_written() {
        for path in ["relative", "/a\nb", "/a\tb", "/a\u{7f}b"] {
            assert_eq!(render(&hint(path, None)), None, "{path:?}");
        }
        assert_eq!(render(&hint("/a", Some("/a\nb"))), None);
    }

    #[test]
    fn files_are_named_by_repository_and_event() {
        let id = repository_id(Path::new("/home/ada/app/.git"));
        assert_eq!(id, "0bc839a1c8485492");
        let name = file_name(&id, Event::PrePush);
        assert_eq!(parse_file_name(&name), Some((id.as_str(), Event::PrePush)));
        for name in [
            "x.post-commit",
            "0bc839a1c8485492",
            "0bc839a1c8485492.tmp",
            "0BC839A1C8485492.post-merge",
        ] {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_line_is_read_as_it_was_written(
            work_dir in "/[^\\x00-\\x1f\\x7f]{0,40}",
            git_dir in proptest::option::of("/[^\\x00-\\x1f\\x7f]{0,40}"),
        ) {
            let written = hint(&work_dir, git_dir.as_deref());
            let line = render(&written).expect("nothing in it breaks the line");
            prop_assert_eq!(parse(&line), Some(written));
        }

        #[test]
        fn any_bytes_can_be_read(line in any::<Vec<u8>>()) {
            if let Some(hint) = parse(&line) {
                prop_assert!(hint.work_dir.is_absolute());
            }
        }
    }
}
