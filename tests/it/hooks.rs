//! Hooks of ours beside those of others, with real git. None of this needs an engine.

use std::fs;
use std::path::Path;
use std::process::Output;

use insta::assert_snapshot;

use crate::support::hooks::{Hooked, git_in};

mod beside;
mod places;
mod trouble;

/// The exit code of git, or of whatever ran.
fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn every_command_that_moves_something_leaves_word() {
    let hooked = Hooked::new();
    hooked.install();
    let remote = tempfile::tempdir().expect("a temporary directory can be made");
    let url = remote.path().display().to_string();
    hooked.repo.git(&["init", "--quiet", "--bare", &url]);
    hooked.repo.git(&["remote", "add", "origin", &url]);
    let on_main = ["commit", "--quiet", "--allow-empty", "--message=main"];
    let on_topic = ["commit", "--quiet", "--allow-empty", "--message=topic"];
    for (arguments, expected) in [
        (&on_main[..], &["post-commit"][..]),
        (
            &["commit", "--quiet", "--allow-empty", "--amend", "--no-edit"],
            &["post-commit", "post-rewrite"],
        ),
        (
            &["switch", "--quiet", "--create", "topic"],
            &["post-checkout"],
        ),
        (&on_topic, &["post-commit"]),
        (&["switch", "--quiet", "main"], &["post-checkout"]),
        (&on_main, &["post-commit"]),
        (
            &["merge", "--quiet", "--message=m", "topic"],
            &["post-merge"],
        ),
        (&["switch", "--quiet", "topic"], &["post-checkout"]),
        (&on_topic, &["post-commit"]),
        (
            &["rebase", "--quiet", "--empty=keep", "main"],
            &["post-checkout", "post-commit", "post-rewrite"],
        ),
        (&["push", "--quiet", "origin", "topic"], &["pre-push"]),
        (&["push", "--quiet", "origin", "topic"], &["pre-push"]),
        (&["checkout", "--quiet", "--", "file"], &["post-checkout"]),
        (&["reset", "--quiet", "--hard", "HEAD~1"], &[]),
    ] {
        let output = hooked.git(arguments);
        assert_eq!(code(&output), Some(0), "{arguments:?}: {output:?}");
        assert_eq!(
            (output.stdout, output.stderr),
            (vec![], vec![]),
            "{arguments:?}"
        );
        assert_eq!(hooked.events(), expected, "{arguments:?}");
    }
}

#[test]
fn a_line_names_the_work_tree_wherever_git_is_called() {
    let hooked = Hooked::new();
    hooked.install();
    let sub = hooked.repo.path().join("sub");
    fs::create_dir(&sub).expect("a directory can be made");
    git_in(&sub, &["commit", "--quiet", "--allow-empty", "--message=x"]);
    let root = fs::canonicalize(hooked.repo.path()).expect("it is there");
    assert_eq!(
        hooked.spooled(),
        [format!("post-commit: v1\t{}\t", root.display())]
    );
    assert_eq!(hooked.hooks_in(&sub, &["status"]).code(), 0);
}

#[test]
fn an_installation_is_said_and_shown() {
    let hooked = Hooked::new();
    hooked.hook("post-merge", "#!/bin/sh\nexit 0\n");
    hooked.hook("pre-push", "#!/usr/bin/env python3\n");
    assert_snapshot!(hooked.hooks(&["status"]).out(), @r"
    post-commit    not installed
    post-checkout  not installed
    post-merge     not installed
    post-rewrite   not installed
    pre-push       not installed
    `prewarm hooks install` installs what is missing and brings up to date what is not.
    ");
    assert_snapshot!(hooked.hooks(&["install"]).out(), @r"
    post-commit    installed in [REPO]/.git/hooks/post-commit
    post-checkout  installed in [REPO]/.git/hooks/post-checkout
    post-merge     added to [REPO]/.git/hooks/post-merge
    post-rewrite   installed in [REPO]/.git/hooks/post-rewrite
    pre-push       installed in [REPO]/.git/hooks/pre-push, which runs the hook that was there
    ");
    assert_snapshot!(hooked.hooks(&["install"]).out(), @r"
    post-commit    already installed in [REPO]/.git/hooks/post-commit
    post-checkout  already installed in [REPO]/.git/hooks/post-checkout
    post-merge     already installed in [REPO]/.git/hooks/post-merge
    post-rewrite   already installed in [REPO]/.git/hooks/post-rewrite
    pre-push       already installed in [REPO]/.git/hooks/pre-push
    ");
    assert_snapshot!(hooked.hooks(&["status"]).out(), @r"
    post-commit    in force      [REPO]/.git/hooks/post-commit
    post-checkout  in force      [REPO]/.git/hooks/post-checkout
    post-merge     in force      [REPO]/.git/hooks/post-merge
    post-rewrite   in force      [REPO]/.git/hooks/post-rewrite
    pre-push       in force      [REPO]/.git/hooks/pre-push
    ");
    let document: serde_json::Value =
        serde_json::from_str(&hooked.hooks(&["status", "--json"]).stdout).expect("it is JSON");
    assert_eq!(document["in_force"], true);
    assert_eq!(document["events"][4]["event"], "pre-push");
    assert_eq!(document["events"][4]["state"], "in-force");
    assert_snapshot!(hooked.hooks(&["uninstall"]).out(), @r"
    post-commit    removed from [REPO]/.git/hooks/post-commit
    post-checkout  removed from [REPO]/.git/hooks/post-checkout
    post-merge     removed from [REPO]/.git/hooks/post-merge
    post-rewrite   removed from [REPO]/.git/hooks/post-rewrite
    pre-push       removed from [REPO]/.git/hooks/pre-push
    ");
    assert_snapshot!(hooked.hooks(&["uninstall"]).out(), @"There was nothing to remove.");
}

#[test]
fn installing_twice_changes_nothing_and_uninstalling_leaves_nothing() {
    let hooked = Hooked::new();
    let before = hooked.picture();
    let once = hooked.install().picture();
    assert_eq!(once.len(), 5);
    assert!(once.iter().all(|(_, mode, _)| mode & 0o7777 == 0o755));
    assert_eq!(hooked.install().picture(), once);
    assert_eq!(hooked.status(), 0);
    assert_eq!(hooked.uninstall().picture(), before);
    assert_eq!(hooked.status(), 1);
}

#[test]
fn settings_that_changed_are_outdated_until_installed_again() {
    let hooked = Hooked::new();
    hooked.hook("pre-push", "#!/bin/sh\nexit 3\n").install();
    hooked.machine.configure("[hooks]\npre_push = \"notify\"\n");
    let status = hooked.hooks(&["status"]);
    assert_eq!(status.code(), 1);
    assert!(
        status.stdout.contains("pre-push       outdated"),
        "{}",
        status.stdout
    );
    let said = hooked.hooks(&["install"]).stdout;
    assert!(said.contains("pre-push       brought up to date"), "{said}");
    assert_eq!(hooked.status(), 0);
    let hook = fs::read_to_string(hooked.hooks_dir().join("pre-push")).expect("it is there");
    let call = format!(
        "'{}' hook pre-push </dev/null >&2 || :",
        env!("CARGO_BIN_EXE_prewarm")
    );
    assert!(hook.contains(&call), "{hook}");
    hooked.uninstall();
    let hook = fs::read_to_string(hooked.hooks_dir().join("pre-push")).expect("it is there");
    assert_eq!(hook, "#!/bin/sh\nexit 3\n");
}

#[test]
fn a_shared_repository_shares_its_hooks() {
    let hooked = Hooked::new();
    hooked
        .repo
        .git(&["config", "core.sharedRepository", "group"]);
    let modes = hooked.install().picture();
    assert!(modes.iter().all(|(_, mode, _)| mode & 0o7777 == 0o775));
}

/// Whether a file exists there.
fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}
