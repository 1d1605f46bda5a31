//! Which branches there are, here and at the remote.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Fixture;
use crate::error::{Kind, Remedy as _};
use crate::snapshot::Repository;

const LIMIT: Duration = Duration::from_secs(20);

fn open(fixture: &Fixture) -> Repository {
    Repository::discover(&fixture.work()).expect("a repository")
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

/// A repository with a remote beside it, which has the branches `main` and `feature/x`.
fn cloned() -> Fixture {
    let fixture = Fixture::with(&[("file", "text")]);
    let remote = fixture.root.path().join("remote.git");
    let remote = remote.to_str().expect("UTF-8");
    fixture.git(&["clone", "--quiet", "--bare", ".", remote]);
    fixture.git_in(
        &fixture.root.path().join("remote.git"),
        &["branch", "feature/x"],
    );
    fixture.git(&["remote", "add", "origin", remote]);
    fixture
}

#[tokio::test]
async fn the_remote_says_what_it_has_now() {
    let fixture = cloned();
    // What it had once is of no account.
    fixture.git(&["update-ref", "refs/remotes/origin/gone", "HEAD"]);
    let found = open(&fixture).remote_branches(LIMIT).await;
    assert_eq!(found.expect("an answer"), set(&["main", "feature/x"]));
}

#[test]
fn branches_of_this_clone_and_of_other_remotes_are_known() {
    let fixture = cloned();
    fixture.git(&["branch", "local/one"]);
    fixture.git(&["tag", "v1"]);
    fixture.git(&["remote", "add", "fork", "/nowhere"]);
    fixture.git(&["update-ref", "refs/remotes/origin/gone", "HEAD"]);
    fixture.git(&["update-ref", "refs/remotes/fork/their/own", "HEAD"]);
    fixture.git(&["switch", "--quiet", "--orphan", "unborn"]);
    let found = open(&fixture).known_branches().expect("readable");
    assert_eq!(found, set(&["main", "local/one", "their/own", "unborn"]));
}

#[tokio::test]
async fn a_remote_that_cannot_be_asked_is_an_error() {
    let fixture = Fixture::with(&[("file", "text")]);
    let ask = || async {
        let found = open(&fixture).remote_branches(LIMIT).await;
        found.expect_err("there is nobody to ask")
    };
    let error = ask().await;
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().contains("has no remote"), "{error}");

    fixture.git(&["remote", "add", "origin", "/nonexistent/remote.git"]);
    let error = ask().await;
    assert_eq!(error.kind(), Kind::Environment);
    assert!(
        error.to_string().starts_with("`git ls-remote` failed: "),
        "{error}"
    );

    let empty = fixture.root.path().join("empty.git");
    let empty = empty.to_str().expect("UTF-8");
    fixture.git(&["init", "--quiet", "--bare", empty]);
    fixture.git(&["remote", "set-url", "origin", empty]);
    let error = ask().await.to_string();
    assert!(error.ends_with("origin has no branches"), "{error}");
}
