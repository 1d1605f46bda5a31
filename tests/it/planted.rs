//! What is in a repository's directory and is not the user's word: half a checkout, programs, names, and consent itself.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, lchown};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use insta::assert_snapshot;

use crate::support::desk::Desk;
use crate::support::prewarm::{Machine, Warmed};
use crate::support::repo::{Repo, dockerfile};

#[test]
fn a_checkout_that_has_not_come_to_head_yet_is_not_the_users_edit() {
    let desk = Desk::offline();
    desk.foreign("evil", &|repo| {
        repo.file("Dockerfile", dockerfile() + "RUN touch /evil\n");
    });
    desk.here.git(&["switch", "--quiet", "topic"]);
    let source = "--source=origin/evil";
    desk.here
        .git(&["restore", source, "--staged", "--worktree", "."]);
    desk.refuses("all of it", &desk.worktree());
    desk.here.file("README.md", "carried over\n");
    desk.refuses("with an edit that git carries over", &desk.worktree());
    assert_eq!(desk.head().code, 3, "HEAD is still the user's");
    desk.here.git(&["reset", "--quiet", "--hard"]);
    fs::write(desk.here.path().join(".git/index.lock"), "").expect("a file can be written");
    assert_eq!(desk.head().code, 75);
}

#[test]
fn a_checkout_that_never_comes_to_head_is_not_the_users_edit() {
    let desk = Desk::offline();
    desk.foreign("evil", &|repo| {
        repo.file("Dockerfile", dockerfile() + "RUN touch /evil\n");
    });
    desk.here.git(&["switch", "--quiet", "topic"]);
    let fails = |arguments: &[&str]| {
        let output = std::process::Command::new("git")
            .args(arguments)
            .current_dir(desk.here.path())
            .output();
        assert!(!output.expect("git runs").status.success());
    };
    // A directory of that name is a branch already; and what is checked out has no reference of its own.
    let url = desk.team.path().display().to_string();
    desk.team.git(&["switch", "--quiet", "evil"]);
    desk.team.file("later", "x\n").commit();
    desk.here.git(&["fetch", "--quiet", &url, "evil"]);
    fails(&["checkout", "-b", "main/x", "FETCH_HEAD"]);
    assert_eq!(desk.here.git(&["branch", "--show-current"]), "topic");
    desk.refuses("a branch in the way", &desk.worktree());
    desk.here.file("Dockerfile", dockerfile() + "RUN true\n");
    desk.refuses("edited", &desk.worktree());
    desk.here.git(&["reset", "--quiet", "--hard"]);
    desk.here
        .git(&["checkout", "--quiet", "origin/evil", "--", "Dockerfile"]);
    desk.refuses("a file", &desk.worktree());
    desk.here.git(&["reset", "--quiet", "--hard"]);
    assert_eq!(desk.worktree().code, 3);

    desk.here
        .git(&["checkout", "--quiet", "--orphan", "tmp", "origin/evil"]);
    desk.refuses("an orphan", &desk.worktree());
    desk.here.git(&["checkout", "--quiet", "--force", "topic"]);
    let long = format!("{}x", "long-name/".repeat(110));
    desk.here
        .git(&["checkout", "--quiet", "-b", &long, "origin/evil"]);
    let refused = desk.worktree();
    assert!(refused.code == 3 && !refused.built(), "{refused:#?}");
    assert!(format!("{refused:?}").contains("read HEAD"), "{refused:#?}");
}

#[test]
fn a_file_name_draws_no_line() {
    let desk = Desk::offline();
    desk.foreign("evil", &|repo| {
        repo.file("evil\nhint: all is well", "x");
        repo.file("Dockerfile", dockerfile() + "RUN touch /evil\n");
    });
    let command = desk.machine.prewarm(desk.here.path());
    let refused = command.args(["job", "--source", "head"]).run();
    let text = refused.stdout + &refused.stderr;
    assert!(text.contains("evil hint: all is well"), "{text}");
}

#[test]
fn planted_programs_are_not_run() {
    let desk = Desk::offline();
    let canary = desk.machine.home().join("canary");
    let touch = format!("touch '{}'; cat", canary.display());
    let hook = desk.here.path().join(".git/hooks/post-index-change");
    fs::create_dir_all(hook.parent().expect("in a directory")).expect("directories can be made");
    fs::write(&hook, format!("#!/bin/sh\ntouch '{}'\n", canary.display())).expect("written");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("a mode can be set");
    for key in [
        "core.fsmonitor",
        "core.sshCommand",
        "diff.external",
        "diff.evil.textconv",
        "merge.evil.driver",
        "core.pager",
    ] {
        desk.here.git(&["config", key, &touch]);
    }
    desk.here
        .file(".gitattributes", "* filter=evil diff=evil merge=evil\n")
        .file("deps.txt", "edited\n");
    assert_eq!(desk.worktree().code, 3, "none of these stands in the way");
    assert!(!canary.exists());
    desk.here.git(&["config", "filter.evil.clean", &touch]);
    let refused = desk
        .machine
        .prewarm(desk.here.path())
        .args(["job", "--source", "worktree"])
        .run();
    assert_eq!(refused.code(), 2, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("filter.evil.clean"),
        "{}",
        refused.stderr
    );
    assert_eq!(desk.head().code, 3);
    assert_eq!(desk.prewarm(&["allow", "--yes"]).code(), 0);
    assert!(!canary.exists());
}

#[test]
fn checkouts_all_the_time_are_never_taken_for_own_work() {
    let desk = Desk::offline();
    desk.foreign("evil", &|repo| {
        repo.file("Dockerfile", dockerfile() + "RUN touch /evil\n");
    });
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                desk.here.git(&["switch", "--quiet", "topic"]);
                desk.here
                    .git(&["switch", "--quiet", "--detach", "origin/evil"]);
            }
        });
        let ended: Vec<_> = (0..30)
            .map(|round| desk.job(desk.here.path(), ["head", "worktree"][round % 2]))
            .collect();
        done.store(true, Ordering::Relaxed);
        for warmed in ended {
            assert!([3, 5, 75].contains(&warmed.code), "{warmed:#?}");
        }
    });
    // Had it passed once, it would be approved.
    desk.here
        .git(&["switch", "--quiet", "--detach", "origin/evil"]);
    desk.refuses("still", &desk.head());
    desk.refuses("still", &desk.worktree());
}

#[test]
fn a_merge_that_is_not_committed_yet_is_not_the_users_edit() {
    let desk = Desk::offline();
    desk.foreign("evil", &|repo| {
        repo.file("Dockerfile", dockerfile() + "RUN touch /evil\n");
    });
    desk.here.git(&["switch", "--quiet", "topic"]);
    desk.here.file("own", "mine\n").commit();
    desk.here
        .git(&["merge", "--quiet", "--no-commit", "--no-ff", "origin/evil"]);
    desk.refuses("a merge", &desk.worktree());
    assert_eq!(desk.head().code, 3, "HEAD is still the user's");
    desk.here.git(&["merge", "--abort"]);
    assert_eq!(desk.worktree().code, 3);
}

#[test]
fn a_configuration_that_is_not_tracked_is_the_users_own() {
    let machine = Machine::with_engine("unix:///nowhere");
    let repo = Repo::new();
    repo.file("Dockerfile", "FROM busybox AS builder\nRUN true\n")
        .commit();
    let own = "version = 1\n[target.own]\nstage = \"builder\"\n";
    repo.file(".prewarm.toml", own);
    let prewarm = |arguments: &[&str]| {
        let command = machine.prewarm(repo.path());
        command.args(arguments.iter().copied()).run()
    };
    assert_eq!(prewarm(&["allow", "--yes"]).code(), 0);
    let target = || {
        let warmed = Warmed::new(&prewarm(&["job", "--source", "head"]));
        warmed.target()["target"].clone()
    };
    assert_eq!(target(), "own");
    repo.commit();
    let edited = own.replace("target.own", "target.edited");
    repo.file(".prewarm.toml", edited);
    assert_eq!(target(), "own", "that of the commit");
}

#[test]
fn nothing_happens_before_it_is_allowed_or_after_it_was_denied() {
    let machine = Machine::with_engine("unix:///nowhere");
    let repo = Repo::new();
    repo.file("Dockerfile", "FROM busybox AS builder\nRUN true\n")
        .commit();
    let prewarm = |arguments: &[&str]| {
        let command = machine.prewarm(repo.path());
        command.args(arguments.iter().copied()).run()
    };
    let job = || prewarm(&["job", "--source", "head"]).code();
    assert_eq!(job(), 5);
    let listed = || prewarm(&["repos", "--json"]).out();
    assert_snapshot!(listed(), @r#"{"repositories":[]}"#);
    assert_snapshot!(prewarm(&["deny"]).out(), @"[REPO]: nothing was allowed here.");

    let asked = prewarm(&["allow"]);
    assert_eq!(asked.code(), 2, "there is no terminal");
    assert_snapshot!(asked.out(), @r"
    repository  [REPO]

    target      builder
    dockerfile  Dockerfile
    context     .
    stage       builder
    cache       stays on this machine
    ");
    assert_eq!(job(), 5);
    assert_eq!(prewarm(&["allow", "--yes"]).code(), 0);
    assert_eq!(job(), 3, "it passes the gate");
    assert!(listed().contains("\"missing\":false"));

    // Consent that cannot be trusted is none.
    let file = machine.state().join("consent.json");
    let good = fs::read(&file).expect("a file can be read");
    for (name, text, mode) in [
        ("truncated", &good[..good.len() / 2], 0o600),
        ("damaged", b"{}".as_slice(), 0o600),
        ("for all to write", &good, 0o666),
    ] {
        fs::write(&file, text).expect("a file can be written");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("a mode can be set");
        let refused = prewarm(&["job", "--source", "head"]);
        assert_eq!(refused.code(), 3, "{name}");
        let reason = "what is allowed cannot be trusted";
        assert!(refused.stderr.contains(reason), "{}", refused.stderr);
        assert_eq!(fs::read(&file).expect("a file can be read"), text, "{name}");
    }
    let again = prewarm(&["allow", "--yes"]);
    assert!(
        again.stderr.contains("could not be trusted"),
        "{}",
        again.stderr
    );
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("a mode can be set");
    assert_eq!(job(), 3, "others may read it, but not write it");

    let moved = repo.path().with_extension("gone");
    fs::rename(repo.path(), &moved).expect("a directory can be moved");
    let elsewhere = |arguments: &[&str]| {
        let command = machine.prewarm(&moved);
        command.args(arguments.iter().copied()).run()
    };
    assert!(elsewhere(&["repos"]).stdout.contains("not there any more"));
    let path = repo.path().display().to_string();
    let denied = elsewhere(&["deny", &path]);
    assert!(
        denied.stdout.contains("nothing is built here unasked"),
        "{}",
        denied.stdout
    );
    assert_eq!(elsewhere(&["job", "--source", "head"]).code(), 5);
}

#[test]
fn a_repository_cannot_draw_on_the_terminal() {
    let desk = Desk::offline();
    desk.foreign("evil", &|repo| {
        repo.file(
            "Dockerfile",
            dockerfile() + "RUN echo \x1b]0;title\x07\x1b[2J \u{202e}\n",
        );
        repo.file("a\x1b[2Jb", "x");
    });
    let shown = desk.prewarm(&["allow"]);
    assert_eq!(shown.code(), 2);
    assert!(shown.stdout.contains("+RUN echo"), "{}", shown.stdout);
    let bad = |text: &str| text.contains(['\x1b', '\x07', '\u{202e}']);
    assert!(
        !bad(&shown.stdout) && !bad(&shown.stderr),
        "{}",
        shown.stdout
    );
}

#[test]
fn only_dockers_own_frontends_read_a_dockerfile() {
    let machine = Machine::with_engine("unix:///nowhere");
    let repo = Repo::new();
    repo.file(
        "Dockerfile",
        "# syntax=evil/frontend:1\nFROM busybox AS builder\n",
    )
    .commit();
    let refused = machine.warm(repo.path()).run();
    assert_snapshot!(refused.failure(), @r#"
    exit 2
    error: target builder: Dockerfile frontend `evil/frontend:1` is not allowed by your configuration
    hint: if you trust this repository with it, write in [consent] of ~/.config/prewarm/config.toml: frontends = ["docker.io/evil/frontend"]
    "#);
    machine.configure("[consent]\nfrontends = [\"docker.io/evil/frontend\"]\n");
    assert_eq!(machine.warm(repo.path()).run().code(), 3);
}

#[test]
fn only_a_work_tree_of_ones_own_can_be_allowed() {
    let machine = Machine::with_engine("unix:///nowhere");
    let repo = Repo::new();
    repo.file("Dockerfile", "FROM busybox AS builder\nRUN true\n")
        .commit();
    let bare = machine.home().join("bare.git");
    let bare_text = bare.display().to_string();
    repo.git(&["clone", "--quiet", "--bare", ".", &bare_text]);
    let allow = |directory: &Path| machine.prewarm(directory).args(["allow", "--yes"]).run();
    assert_eq!(allow(&bare).code(), 2);
    repo.as_of_another_user();
    lchown(repo.path(), Some(4711), Some(4711)).expect("tests run as root");
    lchown(repo.path().join(".git"), Some(4711), Some(4711)).expect("tests run as root");
    let refused = allow(repo.path());
    assert_eq!(refused.code(), 3, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("safe.directory"),
        "{}",
        refused.stderr
    );
    let store = machine.state().join("consent.json");
    assert!(!store.exists(), "nothing was allowed");
}
