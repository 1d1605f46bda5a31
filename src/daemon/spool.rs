//! Takes what hooks have left.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::hooks::spool::parse;

/// No repository has more work trees in one file.
const MOST: usize = 1_000;

/// A file of the spool has no more of interest: only the newest lines matter.
const LONGEST: u64 = 1 << 20;

/// What a hook said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hint {
    /// The work tree.
    pub(super) work_dir: PathBuf,
    /// It was `pre-push`, at this time in Unix milliseconds.
    pub(super) pushed_at: Option<i64>,
}

/// Takes all there is. A hook that adds to a file at the very moment in which it is taken is not heard; the change that
/// it tells of is seen by the watcher all the same. A file that cannot be taken keeps nobody from the others; the error is
/// that of the last one.
pub(super) fn take(spool: &Path) -> io::Result<(Vec<Hint>, Option<io::Error>)> {
    let (mut hints, mut failed) = (BTreeSet::new(), None);
    for path in files(spool)? {
        match take_one(&path, &mut hints) {
            Ok(()) => {}
            // Somebody else takes, too.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let message = format!("{}: {error}", path.display());
                failed = Some(io::Error::new(error.kind(), message));
            }
        }
    }
    Ok((hints.into_iter().collect(), failed))
}

fn take_one(path: &Path, hints: &mut BTreeSet<Hint>) -> io::Result<()> {
    let push = path.extension().is_some_and(|event| event == "pre-push");
    let file = path.metadata()?;
    let at = file.modified().ok().map(milliseconds);
    let bytes = if file.len() > LONGEST {
        Ok(Vec::new())
    } else {
        fs::read(path)
    };
    // What cannot be read is of no use later either.
    fs::remove_file(path)?;
    let bytes = bytes?;
    let lines: BTreeSet<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    for hint in lines.into_iter().filter_map(parse).take(MOST) {
        hints.insert(Hint {
            work_dir: fs::canonicalize(&hint.work_dir).unwrap_or(hint.work_dir),
            pushed_at: at.filter(|_| push),
        });
    }
    Ok(())
}

/// Whether there is nothing.
pub(super) fn is_empty(spool: &Path) -> bool {
    files(spool).is_ok_and(|files| files.is_empty())
}

/// The files with something in them: a hook has made the others, and is about to write.
fn files(spool: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(spool)? {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_bytes().starts_with(b"."));
        let written = path
            .symlink_metadata()
            .is_ok_and(|file| file.is_file() && file.len() > 0);
        if written && !hidden {
            files.push(path);
        }
    }
    Ok(files)
}

fn milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_gone_and_what_is_still_to_be_written_stays() {
        let spool = tempfile::tempdir().expect("a directory can be made");
        let write = |name: &str, text: &str| {
            fs::write(spool.path().join(name), text).expect("it can be written");
        };
        write("1.post-commit", "v1\t/\t\nv1\t/\t\nbroken\n");
        write("1.pre-push", "v1\t/\t\n");
        write("1.post-merge", "");
        write(".hidden", "v1\t/\t\n");
        let (hints, failed) = take(spool.path()).expect("it can be read");
        assert!(failed.is_none());
        let pushes = hints.iter().map(|hint| hint.pushed_at.is_some());
        assert_eq!(pushes.filter(|push| *push).count(), 1);
        assert_eq!(hints.len(), 2);
        assert!(is_empty(spool.path()));
        assert!(spool.path().join("1.post-merge").exists());
        assert_eq!(take(spool.path()).expect("it can be read").0, []);
    }
}
