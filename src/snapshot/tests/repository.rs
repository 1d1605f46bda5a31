//! Where a repository is and what it is at.

use std::fs;

use super::Fixture;
use crate::error::{Kind, Remedy as _};
use crate::snapshot::{Repository, SnapshotError};

#[test]
fn is_found_from_a_directory_inside() {
    let fixture = Fixture::with(&[("a/b/c", "x")]);
    let repository = Repository::discover(&fixture.work().join("a/b")).expect("found");
    let work = fs::canonicalize(fixture.work()).expect("exists");
    assert_eq!(repository.work_dir(), work);
    assert_eq!(repository.git_dir(), work.join(".git"));
    assert_eq!(repository.common_dir(), work.join(".git"));
}

#[test]
fn a_linked_work_tree_has_its_own_git_directory() {
    let fixture = Fixture::with(&[("a", "x")]);
    fixture.git(&["worktree", "add", "--quiet", "-b", "side", "../linked"]);
    let linked = fixture.root.path().join("linked");
    fs::write(linked.join("a"), "linked").expect("written");
    let repository = Repository::discover(&linked).expect("found");
    let work = fs::canonicalize(fixture.work()).expect("exists");
    assert_eq!(repository.common_dir(), work.join(".git"));
    assert_eq!(repository.git_dir(), work.join(".git/worktrees/linked"));
    assert_eq!(repository.branch().as_deref(), Some("side"));
    let snapshot = repository
        .snapshot(
            &crate::snapshot::Source::Worktree,
            0o022,
            crate::snapshot::Checkout::default(),
        )
        .expect("a snapshot");
    assert_eq!(snapshot.file("a").expect("read").bytes, b"linked");
}

#[test]
fn what_is_no_work_tree_is_refused() {
    let fixture = Fixture::new();
    let outside = fixture.root.path();
    fixture.git_in(outside, &["init", "--quiet", "--bare", "bare"]);
    fixture.git_in(
        outside,
        &["init", "--quiet", "--object-format=sha256", "sha256"],
    );
    // As `git init --ref-format=reftable` does, which git before 2.45 does not know.
    fixture.git_in(outside, &["init", "--quiet", "reftable"]);
    for (name, value) in [
        ("core.repositoryformatversion", "1"),
        ("extensions.refstorage", "reftable"),
    ] {
        fixture.git_in(
            outside,
            &["config", "--file", "reftable/.git/config", name, value],
        );
    }
    let error = |path: &str| {
        Repository::discover(&outside.join(path))
            .err()
            .expect("refused")
    };
    assert!(matches!(error("missing"), SnapshotError::NoSuchPath { .. }));
    assert!(matches!(error("."), SnapshotError::NotARepository { .. }));
    assert!(matches!(error("bare"), SnapshotError::Bare { .. }));
    for (path, word) in [("sha256", "sha256"), ("reftable", "refstorage")] {
        let error = error(path);
        assert!(
            matches!(error, SnapshotError::Unsupported { .. }),
            "{error}"
        );
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn another_user_s_repository_comes_with_the_cure() {
    let path = std::path::PathBuf::from("/srv/app");
    let error = SnapshotError::Owner { path };
    assert_eq!(error.kind(), Kind::Environment);
    insta::assert_snapshot!(error.hint().expect("a hint"), @"If you trust it, run `git config --global --add safe.directory '/srv/app'`.");
}

#[test]
fn an_unborn_branch_has_a_name_and_no_commit() {
    let fixture = Fixture::new();
    let repository = fixture.repository();
    assert_eq!(repository.branch().as_deref(), Some("main"));
    let error = repository.head().expect_err("no commit");
    insta::assert_snapshot!(error, @"branch `main` has no commit yet");
    let error = fixture
        .take(
            &crate::snapshot::Source::Revision("HEAD".to_owned()),
            crate::snapshot::Checkout::default(),
        )
        .err();
    assert!(matches!(error, Some(SnapshotError::Unborn { .. })));
}

#[test]
fn a_detached_head_has_a_commit_and_no_name() {
    let fixture = Fixture::with(&[("a", "x")]);
    fixture.git(&["checkout", "--quiet", "--detach"]);
    let repository = fixture.repository();
    assert_eq!(repository.branch(), None);
    assert_eq!(repository.head().expect("a commit"), fixture.id("HEAD"));
}

#[test]
fn history_knows_ancestors_and_merge_bases() {
    let fixture = Fixture::with(&[("a", "1")]);
    let fork = fixture.id("HEAD");
    fixture.write("a", "2");
    let main = fixture.commit();
    fixture.git(&["checkout", "--quiet", "-b", "side", &fork.to_string()]);
    fixture.write("b", "3");
    let side = fixture.commit();
    fixture.git(&["checkout", "--quiet", "--orphan", "lonely"]);
    fixture.write("b", "4");
    let lonely = fixture.commit();
    let repository = fixture.repository();
    assert_eq!(repository.merge_base(main, side), Some(fork));
    assert_eq!(repository.merge_base(main, lonely), None);
    for (ancestor, commit, expected) in [
        (fork, side, true),
        (side, side, true),
        (main, side, false),
        (side, fork, false),
    ] {
        assert_eq!(repository.is_ancestor(ancestor, commit), expected);
    }
}

#[test]
fn the_remote_is_origin_or_the_only_one() {
    let fixture = Fixture::with(&[("a", "1")]);
    let commit = fixture.id("HEAD");
    assert_eq!(fixture.repository().origin_url(), None);
    assert_eq!(fixture.repository().remote_branch_commit("main"), None);
    fixture.git(&["remote", "add", "upstream", "https://example.org/a.git"]);
    fixture.git(&["update-ref", "refs/remotes/upstream/main", "HEAD"]);
    assert_eq!(
        fixture.repository().origin_url().as_deref(),
        Some("https://example.org/a.git")
    );
    assert_eq!(
        fixture.repository().remote_branch_commit("main"),
        Some(commit)
    );
    assert_eq!(fixture.repository().remote_branch_commit("other"), None);
    fixture.git(&["remote", "add", "fork", "https://example.org/fork.git"]);
    assert_eq!(
        fixture.repository().origin_url(),
        None,
        "two remotes, none of them chosen"
    );
    fixture.git(&["config", "branch.main.remote", "fork"]);
    assert_eq!(
        fixture.repository().origin_url().as_deref(),
        Some("https://example.org/fork.git")
    );
    fixture.git(&["remote", "add", "origin", "https://example.org/origin.git"]);
    assert_eq!(
        fixture.repository().origin_url().as_deref(),
        Some("https://example.org/origin.git")
    );
}

#[test]
fn the_remotes_default_branch_is_known_after_a_clone() {
    let fixture = Fixture::with(&[("a", "x")]);
    assert_eq!(fixture.repository().default_branch(), None);
    fixture.git(&["branch", "--move", "trunk"]);
    let origin = fixture.work().display().to_string();
    fixture.git_in(fixture.root.path(), &["clone", "--quiet", &origin, "clone"]);
    let clone = Repository::discover(&fixture.root.path().join("clone")).expect("a repository");
    assert_eq!(clone.default_branch().as_deref(), Some("trunk"));
}
