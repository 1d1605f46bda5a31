//! Commits, the index, the work tree and merges as trees; the truth is what `git` itself commits.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Fixture;
use super::fixture::list;
use crate::snapshot::{Checkout, Filter, ObjectId, SnapshotError, Source};

fn taken(fixture: &Fixture, source: &Source) -> ObjectId {
    fixture
        .take(source, Checkout::default())
        .expect("a snapshot")
        .tree_id()
}

/// The tree that git makes of the tracked changes.
#[track_caller]
fn committed(fixture: &Fixture) -> ObjectId {
    fixture.git(&["add", "--update"]);
    fixture.git(&["commit", "--quiet", "--allow-empty", "--message=x"]);
    fixture.id("HEAD^{tree}")
}

#[test]
fn a_revision_is_its_tree() {
    let fixture = Fixture::with(&[("a", "1")]);
    let first = fixture.id("HEAD");
    fixture.git(&["tag", "--annotate", "--message=x", "v1"]);
    fixture.write("a", "2");
    fixture.commit();
    let take = |revision: &str| {
        fixture
            .take(&Source::Revision(revision.to_owned()), Checkout::default())
            .expect("a snapshot")
    };
    for revision in ["HEAD~1", "v1", "main^", &first.to_string()] {
        let snapshot = take(revision);
        assert_eq!(snapshot.commit(), Some(first), "{revision}");
        assert_eq!(
            snapshot.tree_id(),
            fixture.id("HEAD~1^{tree}"),
            "{revision}"
        );
    }
    assert_eq!(take("HEAD^{tree}").commit(), None);
    let error = fixture
        .take(&Source::Revision("nope".to_owned()), Checkout::default())
        .err()
        .expect("refused");
    insta::assert_snapshot!(error, @"unknown revision `nope`");
    let blob = fixture
        .take(&Source::Revision("HEAD:a".to_owned()), Checkout::default())
        .err();
    assert!(matches!(blob, Some(SnapshotError::UnknownRevision { .. })));
}

#[test]
fn the_index_is_what_would_be_committed() {
    let fixture = Fixture::with(&[
        ("a", "1"),
        ("dir/gone", "x"),
        ("dir.txt", "y"),
        ("dir/kept", "z"),
    ]);
    fixture.write("a", "2");
    fixture.write("new/deep/file", "3");
    fixture.git(&["add", "--all"]);
    fixture.git(&["rm", "--quiet", "dir/gone"]);
    fixture.write("a", "not staged");
    fixture.write("promised", "intent to add");
    fixture.git(&["add", "--intent-to-add", "promised"]);
    assert_eq!(
        taken(&fixture, &Source::Staged),
        fixture.git(&["write-tree"]).parse().expect("an id")
    );
}

#[test]
fn an_unchanged_work_tree_is_head() {
    let fixture = Fixture::with(&[("a", "1"), ("b/c", "2")]);
    fixture.mode("a", 0o755);
    fixture.link("b/l", "../a");
    fixture.commit();
    fixture.write("untracked", "secret");
    fixture.write("b/untracked", "secret");
    assert_eq!(
        taken(&fixture, &Source::Worktree),
        fixture.id("HEAD^{tree}")
    );
    assert_eq!(taken(&fixture, &Source::Staged), fixture.id("HEAD^{tree}"));
}

#[test]
fn every_kind_of_tracked_change_is_what_git_would_commit() {
    let fixture = Fixture::with(&[
        ("edited", "1"),
        ("deleted", "x"),
        ("dir/deleted", "x"),
        ("becomes-link", "x"),
        ("becomes-directory", "x"),
        ("hidden/behind-link", "x"),
        ("assumed", "x"),
        ("skipped", "x"),
        ("with \"quotes\"\nand newline", "x"),
        ("same-size", "aaaa"),
        ("empty", "x"),
    ]);
    fixture.link("was-link", "edited");
    fixture.link("moved-link", "edited");
    fixture.write("executable", "x");
    fixture.mode("executable", 0o755);
    fixture.commit();
    fixture.write("edited", "2");
    fixture.write("staged-new", "1");
    fixture.git(&["add", "staged-new"]);
    fixture.write("staged-new", "2");
    fixture.write("promised", "intent to add");
    fixture.git(&["add", "--intent-to-add", "promised"]);
    fixture.git(&["update-index", "--assume-unchanged", "assumed"]);
    fixture.git(&["update-index", "--skip-worktree", "skipped"]);
    fixture.write("assumed", "edited");
    fixture.remove("skipped");
    for path in [
        "deleted",
        "dir/deleted",
        "becomes-link",
        "becomes-directory",
        "was-link",
        "moved-link",
        "hidden",
    ] {
        fixture.remove(path);
    }
    fixture.link("becomes-link", "edited");
    fixture.link("moved-link", "executable");
    fixture.write("becomes-directory/inside", "untracked");
    fixture.write("was-link", "now a file");
    fixture.write("../outside/behind-link", "somebody's secret");
    fixture.link("hidden", "../outside");
    fixture.mode("edited", 0o755);
    fixture.mode("executable", 0o644);
    fixture.write("with \"quotes\"\nand newline", "y");
    fixture.write("same-size", "bbbb");
    fixture.write("empty", "");
    let tree = taken(&fixture, &Source::Worktree);
    assert_eq!(tree, committed(&fixture));
}

#[test]
fn names_are_bytes() {
    let fixture = Fixture::with(&[("a", "1")]);
    let long = "n".repeat(255);
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9");
    fs::write(fixture.work().join(name), "1").expect("written");
    fixture.write(&long, "2");
    fixture.write("Case", "3");
    fixture.write("case", "4");
    fixture.commit();
    fs::write(fixture.work().join(name), "changed").expect("written");
    let snapshot = fixture.worktree();
    assert_eq!(snapshot.tree_id(), committed(&fixture));
    let mut names = Vec::new();
    let tree = snapshot.context(".").expect("the root");
    tree.walk(&Filter::default(), &mut |entry| {
        names.push(entry.path);
        std::ops::ControlFlow::Continue(())
    })
    .expect("walked");
    assert_eq!(
        names,
        [
            b"Case".to_vec(),
            b"a".to_vec(),
            b"caf\xe9".to_vec(),
            b"case".to_vec(),
            long.into_bytes()
        ]
    );
}

#[test]
fn files_pass_the_clean_filters() {
    let fixture = Fixture::with(&[
        (
            ".gitattributes",
            "*.txt text\n*.bin -text\n*.id ident\n*.rot filter=rot\n*.u16 working-tree-encoding=UTF-16LE\n",
        ),
        ("a.txt", "x\n"),
        ("b.bin", "x\n"),
        ("c.id", "$Id$\n"),
        ("e.u16", ""),
    ]);
    fixture.git(&["config", "filter.rot.clean", "tr a-z n-za-m"]);
    fixture.write("d.rot", "hello\n");
    fixture.commit();
    fixture.write("a.txt", "one\r\ntwo\r\n");
    fixture.write("b.bin", "one\r\ntwo\r\n");
    fixture.write("c.id", "$Id: 0123 $\n");
    fixture.write("d.rot", "goodbye\n");
    fixture.write("e.u16", b"a\0b\0\n\0");
    let snapshot = fixture.worktree();
    assert_eq!(snapshot.file("a.txt").expect("read").bytes, b"one\ntwo\n");
    assert_eq!(
        snapshot.file("b.bin").expect("read").bytes,
        b"one\r\ntwo\r\n"
    );
    assert_eq!(snapshot.file("d.rot").expect("read").bytes, b"tbbqolr\n");
    assert_eq!(snapshot.file("e.u16").expect("read").bytes, b"ab\n");
    assert_eq!(snapshot.tree_id(), committed(&fixture));
}

#[test]
fn automatic_line_endings_respect_what_the_index_holds() {
    let fixture = Fixture::with(&[("unix", "a\n"), ("dos", "a\r\n")]);
    fixture.git(&["config", "core.autocrlf", "true"]);
    fixture.write("unix", "a\r\nb\r\n");
    fixture.write("dos", "a\r\nb\r\n");
    let tree = taken(&fixture, &Source::Worktree);
    assert_eq!(tree, committed(&fixture));
}

#[test]
fn the_executable_bit_counts_only_where_the_file_system_has_one() {
    let fixture = Fixture::with(&[("a", "1")]);
    fixture.git(&["config", "core.fileMode", "false"]);
    fixture.mode("a", 0o755);
    assert_eq!(
        taken(&fixture, &Source::Worktree),
        fixture.id("HEAD^{tree}")
    );
}

#[test]
fn a_broken_filter_is_reported_with_what_git_said() {
    let fixture = Fixture::with(&[(".gitattributes", "*.x filter=broken\n"), ("a.x", "1")]);
    fixture.git(&["config", "filter.broken.clean", "false"]);
    fixture.git(&["config", "filter.broken.required", "true"]);
    fixture.write("a.x", "2");
    let error = fixture
        .take(&Source::Worktree, Checkout::default())
        .err()
        .expect("refused");
    assert!(error.to_string().contains("broken"), "{error}");
}

#[test]
fn nothing_in_the_repository_changes() {
    let fixture = Fixture::with(&[
        ("a", "1"),
        ("b/c", "2"),
        (".gitattributes", "*.rot filter=rot\n"),
    ]);
    fixture.git(&["config", "filter.rot.clean", "tr a-z n-za-m"]);
    fixture.git(&["checkout", "--quiet", "-b", "side"]);
    fixture.write("b/c", "3");
    fixture.commit();
    let base = fixture.id("HEAD");
    fixture.git(&["checkout", "--quiet", "main"]);
    fixture.write("a", "changed");
    fixture.commit();
    fixture.write("a", vec![b'x'; 5 << 20]);
    fixture.write("d.rot", "hello");
    fixture.git(&["add", "d.rot"]);
    fixture.write("d.rot", "hello again");
    let before = every_file(&fixture.work());
    for source in [
        Source::Revision("HEAD".to_owned()),
        Source::Staged,
        Source::Worktree,
        Source::Merge { base },
    ] {
        let snapshot = fixture
            .take(
                &source,
                Checkout {
                    lfs: true,
                    submodules: true,
                },
            )
            .expect("a snapshot");
        let tree = snapshot.context(".").expect("the root");
        list(&tree, &Filter::default());
        snapshot.file("a").expect("read");
        snapshot
            .synthetic(&[("Dockerfile", b"FROM scratch")])
            .expect("a tree");
    }
    assert_eq!(touched(&before, &fixture.work()), Vec::<PathBuf>::new());
}

/// The files that are new, gone or different since.
fn touched(before: &Files, directory: &Path) -> Vec<PathBuf> {
    let after = every_file(directory);
    let paths: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    paths
        .into_iter()
        .filter(|path| before.get(*path) != after.get(*path))
        .cloned()
        .collect()
}

type Files = BTreeMap<PathBuf, (Vec<u8>, Option<SystemTime>)>;

/// Each file with its content and when it was last written. Objects without the time: git renews that of one it
/// would have written, and that of the shared half of a split index.
fn every_file(directory: &Path) -> Files {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            files.extend(every_file(&path));
        } else {
            let text = path.to_string_lossy();
            let timed = !text.contains("/.git/objects/") && !text.contains("/.git/sharedindex.");
            let modified = fs::metadata(&path)
                .and_then(|metadata| metadata.modified())
                .expect("readable");
            files.insert(
                path.clone(),
                (
                    fs::read(&path).expect("readable"),
                    timed.then_some(modified),
                ),
            );
        }
    }
    files
}

#[test]
fn the_scratch_directory_is_private_and_goes_with_the_snapshot() {
    let fixture = Fixture::with(&[("a", "1")]);
    fixture.write("a", "2");
    let snapshot = fixture.worktree();
    let scratch = snapshot
        .store
        .scratch_directory()
        .expect("there is one")
        .to_owned();
    let mode = fs::metadata(&scratch)
        .expect("readable")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700, "what is edited may be secret");
    let tree = snapshot.context(".").expect("the root");
    drop(snapshot);
    assert!(scratch.exists(), "a tree still reads from it");
    drop(tree);
    assert!(!scratch.exists());
}

#[test]
fn split_and_sparse_indexes_are_read() {
    let fixture = Fixture::with(&[("a", "1"), ("b/c", "2"), ("d/e", "3")]);
    fixture.git(&["update-index", "--split-index"]);
    fixture.write("a", "2");
    let before = every_file(&fixture.work().join(".git"));
    let tree = taken(&fixture, &Source::Worktree);
    assert_eq!(
        touched(&before, &fixture.work().join(".git")),
        Vec::<PathBuf>::new()
    );
    assert_eq!(tree, committed(&fixture));
    fixture.git(&["update-index", "--no-split-index"]);
    fixture.git(&["sparse-checkout", "set", "--cone", "--sparse-index", "b"]);
    fixture.write("b/c", "3");
    let tree = taken(&fixture, &Source::Worktree);
    assert_eq!(taken(&fixture, &Source::Staged), fixture.id("HEAD^{tree}"));
    assert_eq!(tree, committed(&fixture));
}

#[test]
fn an_edit_right_after_the_index_was_written_is_seen() {
    let fixture = Fixture::with(&[("a", "1")]);
    for round in 0..20 {
        fixture.write("a", round.to_string());
        fixture.git(&["add", "a"]);
        fixture.write("a", (round + 1).to_string());
        let snapshot = fixture.worktree();
        assert_eq!(
            snapshot.file("a").expect("read").bytes,
            (round + 1).to_string().into_bytes()
        );
    }
}
