//! Whose commits git's reflogs, refs and histories say they are.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use super::super::{ObjectId, Repository, SnapshotError, Source};
use super::Fixture;

/// A remote with a commit, and somebody's clone of it.
pub(super) struct Team {
    pub(super) remote: Fixture,
    pub(super) here: Fixture,
}

impl Team {
    pub(super) fn new() -> Self {
        let remote = Fixture::with(&[("a", "1\n")]);
        let here = Fixture::new();
        here.git(&[
            "remote",
            "add",
            "origin",
            &remote.work().display().to_string(),
        ]);
        here.git(&["fetch", "--quiet", "origin"]);
        here.git(&["reset", "--quiet", "--hard", "origin/main"]);
        here.git(&["branch", "--quiet", "--set-upstream-to=origin/main"]);
        Self { remote, here }
    }

    /// A commit of somebody else on a branch of the remote, fetched.
    pub(super) fn foreign(&self, branch: &str) -> ObjectId {
        let start = ["switch", "--quiet", "--force-create", branch, "main"];
        self.remote.git(&start);
        self.remote.write(branch, "theirs\n");
        let commit = self.remote.commit();
        self.remote.git(&["switch", "--quiet", "main"]);
        self.here.git(&["fetch", "--quiet", "origin"]);
        commit
    }

    pub(super) fn own(&self, name: &str) -> ObjectId {
        self.here.write(name, "mine\n");
        self.here.commit()
    }

    #[track_caller]
    pub(super) fn is_foreign(&self, revision: &str, expected: &[ObjectId]) {
        let found = heads(&self.here.repository(), self.here.id(revision));
        assert_eq!(found, expected.iter().copied().collect(), "{revision}");
    }
}

fn heads(repository: &Repository, tip: ObjectId) -> BTreeSet<ObjectId> {
    repository.foreign_heads(tip, repository.trusted_upstream(), &BTreeSet::new())
}

#[test]
fn what_is_made_here_is_own_and_what_is_fetched_is_not() {
    let team = Team::new();
    team.is_foreign("HEAD", &[]);
    let theirs = team.foreign("theirs");
    team.is_foreign("origin/theirs", &[theirs]);
    team.own("b");
    team.is_foreign("HEAD", &[]);
    team.here
        .git(&["commit", "--quiet", "--amend", "--message=y"]);
    team.is_foreign("HEAD", &[]);
    team.here.git(&["revert", "--no-edit", "HEAD"]);
    team.is_foreign("HEAD", &[]);
    // Looking at it makes it nobody's own, wherever else HEAD goes.
    team.here.git(&["switch", "--quiet", "theirs"]);
    team.is_foreign("HEAD", &[theirs]);
    team.own("c");
    team.own("d");
    team.is_foreign("HEAD", &[theirs]);
    team.here
        .git(&["reset", "--quiet", "--hard", "origin/theirs"]);
    team.is_foreign("HEAD", &[theirs]);
    team.here.git(&["switch", "--quiet", "main"]);
    team.is_foreign("HEAD", &[]);
}

#[test]
fn cherry_picks_rebases_and_merges_are_own_fast_forwards_are_not() {
    let team = Team::new();
    let theirs = team.foreign("theirs");
    team.here.git(&["switch", "--quiet", "--create", "fast"]);
    team.here
        .git(&["merge", "--quiet", "--ff-only", "origin/theirs"]);
    team.is_foreign("HEAD", &[theirs]);
    team.here
        .git(&["switch", "--quiet", "--create", "picked-fast", "main"]);
    team.here.git(&["cherry-pick", "--ff", "origin/theirs"]);
    team.is_foreign("HEAD", &[theirs]);

    team.here
        .git(&["switch", "--quiet", "--create", "mine", "main"]);
    team.own("b");
    team.here.git(&["cherry-pick", "origin/theirs"]);
    team.is_foreign("HEAD", &[]);

    team.here
        .git(&["switch", "--quiet", "--create", "merged", "mine~1"]);
    team.here.git(&[
        "merge",
        "--quiet",
        "--no-ff",
        "--message=m",
        "origin/theirs",
    ]);
    team.is_foreign("HEAD", &[]);

    team.remote.write("upstream", "x\n");
    let upstream = team.remote.commit();
    team.here.git(&["fetch", "--quiet", "origin"]);
    team.here.git(&["switch", "--quiet", "mine"]);
    team.here.git(&["rebase", "--quiet", "origin/main"]);
    team.is_foreign("HEAD", &[]);
    assert_eq!(team.here.repository().trusted_upstream(), Some(upstream));
    // What a pull brings was not looked at.
    team.here
        .git(&["switch", "--quiet", "--create", "pulled", "mine"]);
    team.here.git(&[
        "pull",
        "--quiet",
        "--no-rebase",
        "--no-edit",
        "origin",
        "theirs",
    ]);
    let pulled = team.here.id("HEAD");
    team.is_foreign("HEAD", &[pulled]);
    // Own commits on somebody's branch that are moved onto it again: theirs stays below.
    team.here.git(&[
        "switch",
        "--quiet",
        "--create",
        "on-theirs",
        "origin/theirs",
    ]);
    team.own("e");
    team.is_foreign("HEAD", &[theirs]);
}

#[test]
fn every_foreign_side_of_a_history_is_found() {
    let team = Team::new();
    let (one, other) = (team.foreign("one"), team.foreign("other"));
    team.here.git(&["switch", "--quiet", "one"]);
    team.own("b");
    let merge = ["merge", "--no-ff", "--no-commit", "origin/other"];
    team.here.git(&merge);
    team.here.git(&["commit", "--quiet", "--message=m"]);
    team.is_foreign("HEAD", &[one, other]);
    let approved = BTreeSet::from([one]);
    let repository = team.here.repository();
    let tip = team.here.id("HEAD");
    let upstream = repository.trusted_upstream();
    let found = repository.foreign_heads(tip, upstream, &approved);
    assert_eq!(found, BTreeSet::from([other]));
    let nowhere = "1".repeat(40).parse().expect("an id");
    assert_eq!(heads(&repository, nowhere), BTreeSet::from([nowhere]));
}

#[test]
fn linked_work_trees_make_own_commits_too_and_trust_nothing_more() {
    let team = Team::new();
    let theirs = team.foreign("theirs");
    let linked = team.here.root.path().join("linked");
    let linked_text = linked.display().to_string();
    team.here
        .git(&["worktree", "add", "--quiet", "-b", "side", &linked_text]);
    fs::write(linked.join("b"), "mine\n").expect("written");
    team.here.git_in(&linked, &["add", "b"]);
    team.here
        .git_in(&linked, &["commit", "--quiet", "--message=x"]);
    team.is_foreign("side", &[]);
    team.here.git_in(&linked, &["switch", "--quiet", "theirs"]);
    let repository = Repository::discover(&linked).expect("a repository");
    assert_eq!(
        heads(&repository, repository.head().expect("a commit")),
        BTreeSet::from([theirs])
    );
    assert_eq!(
        repository.main_work_dir(),
        fs::canonicalize(team.here.work()).expect("it is there")
    );
}

#[test]
fn only_the_remote_says_which_branch_is_trusted() {
    let team = Team::new();
    let theirs = team.foreign("theirs");
    // A branch that follows another one, and a second remote, change nothing.
    team.here.git(&["switch", "--quiet", "theirs"]);
    let fork = Fixture::with(&[("evil", "1\n")]);
    team.here
        .git(&["remote", "add", "fork", &fork.work().display().to_string()]);
    team.here.git(&["fetch", "--quiet", "fork"]);
    let evil = team.here.id("fork/main");
    team.is_foreign("HEAD", &[theirs]);
    team.is_foreign("fork/main", &[evil]);
    team.here.git(&["remote", "set-head", "origin", "theirs"]);
    team.is_foreign("origin/theirs", &[]);
    team.here.git(&["remote", "set-head", "origin", "--delete"]);
    team.is_foreign("origin/theirs", &[theirs]);
    // Of several that are not called origin none is the team's.
    team.here.git(&["remote", "rename", "origin", "upstream"]);
    assert_eq!(team.here.repository().trusted_upstream(), None);
    team.here.git(&["remote", "remove", "fork"]);
    assert!(team.here.repository().trusted_upstream().is_some());
}

#[test]
fn a_long_foreign_history_ends_somewhere_and_a_long_own_one_after_a_limit() {
    let here = Fixture::with(&[("a", "1\n")]);
    let mut stream = String::new();
    for number in 0..5_100 {
        let from = if number == 0 {
            "from refs/heads/main^0\n"
        } else {
            ""
        };
        let _ = write!(
            stream,
            "commit refs/heads/long\ncommitter A <a@b> 1700000000 +0000\ndata 1\nx\n{from}\n"
        );
    }
    let file = here.root.path().join("stream");
    fs::write(&file, stream).expect("written");
    here.git(&[
        "-c",
        "alias.import=!git fast-import --quiet <",
        "import",
        &file.display().to_string(),
    ]);
    let (tip, first) = (here.id("long"), here.id("main"));
    assert_eq!(heads(&here.repository(), tip), BTreeSet::from([tip]));
    assert_eq!(heads(&here.repository(), first), BTreeSet::new());
    // As if each of them had been made here.
    let log = here.work().join(".git/logs/HEAD");
    let zero = "0".repeat(40);
    let mut lines = String::new();
    for commit in here.git(&["rev-list", "long"]).lines() {
        let _ = writeln!(lines, "{zero} {commit} A <a@b> 1700000000 +0000\tcommit: x");
    }
    let before = fs::read_to_string(&log).expect("read");
    fs::write(&log, before + &lines).expect("written");
    assert_eq!(heads(&here.repository(), tip).len(), 1);
    // With the upstream near, the same history is short.
    let near = here.id("long~10");
    let found = here
        .repository()
        .foreign_heads(tip, Some(near), &BTreeSet::new());
    assert_eq!(found, BTreeSet::new());
}

#[test]
fn a_repository_at_work_is_not_settled() {
    let here = Fixture::with(&[("a", "1\n")]);
    let repository = here.repository();
    let moment = repository.moment().expect("settled");
    repository.still(&moment).expect("nothing has changed");
    let lock = here.work().join(".git/index.lock");
    fs::write(&lock, "").expect("written");
    for found in [repository.moment().map(drop), repository.still(&moment)] {
        assert!(matches!(found, Err(SnapshotError::Unsettled { .. })));
    }
    fs::remove_file(&lock).expect("removed");
    repository.still(&moment).expect("as before");
    here.git(&["switch", "--quiet", "--create", "other"]);
    assert!(repository.still(&moment).is_err());
}

#[test]
fn programs_that_the_repository_names_are_not_run() {
    let here = Fixture::with(&[("a", "1\n"), (".gitattributes", "* filter=evil\n")]);
    let canary = here.root.path().join("canary");
    let touch = format!("touch '{}'; cat", canary.display());
    here.write("a", "2\n");
    let taken = || {
        here.repository().careful().snapshot(
            &Source::Worktree,
            0o022,
            super::super::Checkout::default(),
        )
    };
    for key in [
        "core.fsmonitor",
        "core.sshCommand",
        "diff.external",
        "core.pager",
        "core.editor",
        "core.gitProxy",
        "core.alternateRefsCommand",
    ] {
        here.git(&["config", key, &touch]);
    }
    let hook = here.work().join(".git/hooks/post-index-change");
    fs::create_dir_all(hook.parent().expect("in a directory")).expect("made");
    fs::write(&hook, format!("#!/bin/sh\ntouch '{}'\n", canary.display())).expect("written");
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("changed");
    taken().expect("none of that is in the way");
    assert!(!canary.exists());

    let included = here.root.path().join("work/.evil");
    fs::write(
        &included,
        format!("[filter \"evil\"]\nprocess = \"{touch}\"\n"),
    )
    .expect("written");
    for setting in [
        ["filter.evil.clean", touch.as_str()],
        ["include.path", "../.evil"],
        ["hook.evil.command", touch.as_str()],
    ] {
        here.git(&["config", setting[0], setting[1]]);
        for source in [Source::Worktree, Source::Staged] {
            let refused = here.repository().careful().snapshot(
                &source,
                0o022,
                super::super::Checkout::default(),
            );
            assert!(
                matches!(refused, Err(SnapshotError::Drivers { .. })),
                "{setting:?}"
            );
        }
        here.git(&["config", "--unset", setting[0]]);
    }
    assert!(!canary.exists());
    taken().expect("nothing is left of it");
    let head = Source::Revision("HEAD".to_owned());
    here.git(&["config", "filter.evil.clean", &touch]);
    here.repository()
        .careful()
        .snapshot(&head, 0o022, super::super::Checkout::default())
        .expect("commits need no filter");
    assert!(!canary.exists());
}

#[test]
fn a_submodule_is_not_entered() {
    let here = Fixture::with(&[("a", "1\n")]);
    let inner = here.work().join("sub");
    fs::create_dir(&inner).expect("made");
    here.git_in(&inner, &["init", "--quiet"]);
    fs::write(inner.join("b"), "1\n").expect("written");
    fs::write(inner.join(".gitattributes"), "* filter=evil\n").expect("written");
    here.git_in(&inner, &["add", "--all"]);
    here.git_in(&inner, &["commit", "--quiet", "--message=x"]);
    here.commit();
    let canary = here.root.path().join("canary");
    let touch = format!("touch '{}'; cat", canary.display());
    for key in ["core.fsmonitor", "filter.evil.clean"] {
        here.git_in(&inner, &["config", key, &touch]);
    }
    fs::write(inner.join("b"), "2\n").expect("written");
    here.write("a", "2\n");
    let taken = here
        .repository()
        .careful()
        .snapshot(&Source::Worktree, 0o022, super::super::Checkout::default())
        .expect("taken");
    assert_eq!(taken.file("a").expect("there").bytes, b"2\n");
    assert!(!canary.exists());
}
