//! Whose files are in the work tree, where HEAD does not say it, and whose commits are under another name.

use std::collections::BTreeSet;

use super::super::ObjectId;
use super::Fixture;
use super::lineage::Team;

/// The commits that the work tree's changes come from.
fn arriving(here: &Fixture) -> BTreeSet<ObjectId> {
    let repository = here.repository();
    let head = repository.head().expect("a commit");
    let known = repository.trusted_upstream().into_iter().chain([head]);
    let known = known.collect();
    repository
        .arriving(&here.worktree(), head, &known)
        .expect("compared")
}

#[test]
fn foreign_files_are_known_by_the_commit_that_brought_them() {
    let team = Team::new();
    let here = &team.here;
    let theirs = team.foreign("theirs");
    here.write("a", "mine\n");
    assert_eq!(arriving(here), BTreeSet::new(), "an edit of one's own");
    here.git(&["restore", "--source=origin/theirs", "--staged", "theirs"]);
    here.git(&["restore", "theirs"]);
    assert_eq!(arriving(here), BTreeSet::from([theirs]), "next to an edit");
    here.write("theirs", "edited\n");
    assert_eq!(arriving(here), BTreeSet::new(), "the index tells of it");
    here.git(&["reset", "--quiet", "--hard"]);

    // A name that only FETCH_HEAD has, a mode, and a tip that has nothing to do with it.
    let fork = Fixture::with(&[("a", "2\n"), ("sub/b", "evil\n")]);
    let evil = fork.id("HEAD");
    fork.git(&["commit", "--quiet", "--allow-empty", "--message=later"]);
    let url = fork.work().display().to_string();
    here.git(&["fetch", "--quiet", &url]);
    here.write("sub/b", "evil\n");
    here.git(&["add", "--all"]);
    assert_eq!(arriving(here), BTreeSet::from([evil]));
    here.git(&["update-index", "--chmod=+x", "sub/b"]);
    here.mode("sub/b", 0o755);
    assert_eq!(arriving(here), BTreeSet::new(), "not as it was there");
}

#[test]
fn what_others_deleted_is_theirs_and_what_they_never_had_is_not() {
    let team = Team::new();
    let here = &team.here;
    team.remote.git(&["switch", "--quiet", "--create", "less"]);
    team.remote.remove("a");
    team.remote.write("more", "x\n");
    let theirs = team.remote.commit();
    team.remote.git(&["switch", "--quiet", "--orphan", "pages"]);
    team.remote.write("page", "x\n");
    team.remote.commit();
    team.remote.git(&["switch", "--quiet", "main"]);
    here.git(&["fetch", "--quiet", "origin"]);
    here.remove("a");
    assert_eq!(arriving(here), BTreeSet::from([theirs]));
    here.git(&["reset", "--quiet", "--hard"]);
    team.own("b");
    here.remove("b");
    assert_eq!(arriving(here), BTreeSet::new(), "nobody else had it");
    here.git(&["reset", "--quiet", "--hard"]);
    // Older versions of the team's own are nobody's who still has them.
    here.write("a", "2\n");
    here.commit();
    here.write("a", "1\n");
    assert_eq!(arriving(here), BTreeSet::new(), "an undone change");
}

#[test]
fn a_repository_is_new_until_something_comes_to_it() {
    let here = Fixture::new();
    here.write("a", "1\n");
    here.git(&["add", "a"]);
    assert!(here.repository().is_new());
    let fork = Fixture::with(&[("a", "2\n")]);
    let url = fork.work().display().to_string();
    here.git(&["fetch", "--quiet", &url]);
    assert!(!here.repository().is_new());
    assert!(!fork.repository().is_new());
}

#[test]
fn amending_a_foreign_commit_does_not_make_it_own() {
    let team = Team::new();
    let theirs = team.foreign("theirs");
    team.here.git(&["switch", "--quiet", "theirs"]);
    team.here
        .git(&["commit", "--quiet", "--amend", "--message=mine"]);
    team.is_foreign("HEAD", &[theirs]);
    team.here
        .git(&["commit", "--quiet", "--amend", "--message=mine again"]);
    team.is_foreign("HEAD", &[theirs]);
}

#[test]
fn rebasing_foreign_commits_does_not_make_them_own() {
    let team = Team::new();
    let here = &team.here;
    let theirs = team.foreign("theirs");
    team.foreign("other");
    here.git(&["switch", "--quiet", "--create", "own"]);
    team.own("b");
    here.git(&["switch", "--quiet", "theirs"]);
    team.own("c");
    team.remote.write("upstream", "x\n");
    team.remote.commit();
    here.git(&["fetch", "--quiet", "origin"]);
    let url = team.remote.work().display().to_string();
    let moves: [(&str, &[&str]); 3] = [
        ("rebased", &["rebase", "--quiet", "origin/main"]),
        ("pulled", &["pull", "--quiet", "--rebase", "origin", "main"]),
        ("by-url", &["pull", "--quiet", "--rebase", &url, "main"]),
    ];
    for (branch, command) in moves {
        here.git(&["switch", "--quiet", "--create", branch, "theirs"]);
        here.git(command);
        team.is_foreign(branch, &[theirs]);
        let own = format!("own-{branch}");
        here.git(&["switch", "--quiet", "--create", &own, "own"]);
        here.git(command);
        team.is_foreign(&own, &[]);
        // What is left when the branch is gone says the same.
        here.git(&["switch", "--quiet", "--detach"]);
        here.git(&["branch", "--quiet", "-D", &own]);
        team.is_foreign("HEAD", &[]);
    }
    // HEAD was elsewhere when it began.
    here.git(&["switch", "--quiet", "own"]);
    here.git(&["branch", "named", "theirs"]);
    here.git(&["rebase", "--quiet", "origin/main", "named"]);
    team.is_foreign("HEAD", &[theirs]);
    here.git(&["rebase", "--quiet", "origin/main", "own"]);
    team.is_foreign("HEAD", &[]);
    // And nothing says what was moved.
    here.git(&["rebase", "--quiet", "origin/main", "origin/other"]);
    let unknown = here.id("HEAD");
    team.is_foreign("HEAD", &[unknown]);
}

#[test]
fn undoing_what_is_foreign_is_not_own() {
    let team = Team::new();
    let theirs = team.foreign("theirs");
    team.here.git(&["switch", "--quiet", "theirs"]);
    team.here.git(&["revert", "--no-edit", "HEAD"]);
    let reverted = team.here.id("HEAD");
    team.own("b");
    team.is_foreign("HEAD", &[theirs, reverted]);
    team.here.git(&["switch", "--quiet", "main"]);
    team.own("c");
    team.here.git(&["revert", "--no-edit", "HEAD"]);
    team.is_foreign("HEAD", &[]);
}
