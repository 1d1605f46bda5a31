//! Where hooks are: work trees, submodules, and directories that are not ours.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::Command;

use super::{code, exists};
use crate::support::hooks::{Hooked, git_in};
use crate::support::repo::isolate;

const COMMIT: [&str; 4] = ["commit", "--quiet", "--allow-empty", "--message=x"];

#[track_caller]
fn canonical(path: &Path) -> String {
    fs::canonicalize(path)
        .expect("it is there")
        .display()
        .to_string()
}

#[test]
fn a_linked_work_tree_has_the_hooks_of_its_repository() {
    let hooked = Hooked::new();
    hooked.hook(
        "post-commit",
        "#!/usr/bin/env python3\nimport sys\nsys.exit(0)\n",
    );
    let before = hooked.picture();
    let linked = hooked.machine.home().join("linked tree");
    hooked.repo.git(&[
        "worktree",
        "add",
        "--quiet",
        "-b",
        "topic",
        &linked.display().to_string(),
    ]);
    let installed = hooked.hooks_in(&linked, &["install"]);
    assert_eq!(installed.code(), 0, "{}", installed.stderr);
    assert_eq!(
        (
            hooked.status(),
            hooked.hooks_in(&linked, &["status"]).code()
        ),
        (0, 0)
    );
    assert_eq!(code(&git_in(&linked, &COMMIT)), Some(0));
    let git_dir = canonical(hooked.repo.path()) + "/.git/worktrees/linked-tree";
    assert_eq!(
        hooked.spooled(),
        [format!(
            "post-commit: v1\t{}\t{git_dir}",
            canonical(&linked)
        )]
    );
    hooked.git(&COMMIT);
    assert_eq!(
        hooked.spooled(),
        [format!(
            "post-commit: v1\t{}\t",
            canonical(hooked.repo.path())
        )]
    );
    assert_eq!(hooked.hooks_in(&linked, &["uninstall"]).code(), 0);
    assert_eq!(hooked.picture(), before);
}

#[test]
fn a_bare_repository_with_work_trees_has_hooks() {
    let hooked = Hooked::new();
    let bare = hooked.machine.home().join("project.git");
    let tree = hooked.machine.home().join("tree");
    let (bare_text, tree_text) = (bare.display().to_string(), tree.display().to_string());
    let source = hooked.repo.path().display().to_string();
    hooked
        .repo
        .git(&["clone", "--quiet", "--bare", &source, &bare_text]);
    hooked
        .repo
        .git(&["-C", &bare_text, "worktree", "add", "--quiet", &tree_text]);
    assert_eq!(hooked.hooks_in(&tree, &["install"]).code(), 0);
    assert!(exists(&bare.join("hooks/post-commit")));
    assert_eq!(code(&git_in(&tree, &COMMIT)), Some(0));
    assert_eq!(hooked.events(), ["post-commit"]);
    assert_eq!(hooked.hooks_in(&tree, &["status"]).code(), 0);
    let bare = hooked.hooks_in(&bare, &["install"]);
    assert_eq!(bare.code(), 2, "{}", bare.stderr);
}

#[test]
fn a_submodule_has_hooks_of_its_own() {
    let hooked = Hooked::new();
    let library = Hooked::new();
    let url = library.repo.path().display().to_string();
    hooked.repo.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        &url,
        "vendor/lib",
    ]);
    let submodule = hooked.repo.path().join("vendor/lib");
    assert_eq!(hooked.hooks_in(&submodule, &["install"]).code(), 0);
    assert!(exists(
        &hooked
            .repo
            .path()
            .join(".git/modules/vendor/lib/hooks/post-commit")
    ));
    assert_eq!(hooked.picture(), []);
    assert_eq!(code(&git_in(&submodule, &COMMIT)), Some(0));
    let spooled = hooked.spooled();
    assert!(
        spooled[0].starts_with(&format!("post-commit: v1\t{}\t", canonical(&submodule))),
        "{spooled:?}"
    );
}

#[test]
fn the_environment_of_another_hook_does_not_lead_astray() {
    let (hooked, other) = (Hooked::new(), Hooked::new());
    let git_dir = other.repo.path().join(".git").display().to_string();
    let install = hooked
        .machine
        .prewarm(hooked.repo.path())
        .args(["hooks", "install"]);
    let finished = install
        .env("GIT_DIR", &git_dir)
        .env("GIT_WORK_TREE", &other.repo.path().display().to_string())
        .env("GIT_INDEX_FILE", "/nonexistent")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "core.hooksPath")
        .env("GIT_CONFIG_VALUE_0", "/nonexistent")
        .run();
    assert_eq!(finished.code(), 0, "{}", finished.stderr);
    assert_eq!((hooked.picture().len(), other.picture().len()), (5, 0));
}

#[test]
fn a_path_may_hold_anything() {
    let hooked = Hooked::new();
    let names: [&[u8]; 3] = [
        b"it's \"a\" $HOME; `x` \\ @SPOOL@",
        b"caf\xe9",
        b"new\nline",
    ];
    for name in names {
        let directory = hooked.machine.home().join(OsStr::from_bytes(name));
        let state = directory.join("state");
        fs::create_dir(&directory).expect("any name will do");
        let run = |program: &str, arguments: &[&str]| {
            let mut command = Command::new(program);
            let output = isolate(&mut command)
                .args(arguments)
                .current_dir(&directory)
                .env("HOME", hooked.machine.home())
                .env("PREWARM_STATE_DIR", &state)
                .output()
                .expect("it can be run");
            assert_eq!(
                code(&output),
                Some(0),
                "{arguments:?} in {name:?}: {output:?}"
            );
            output
        };
        run("git", &["init", "--quiet"]);
        let prewarm = env!("CARGO_BIN_EXE_prewarm");
        run(prewarm, &["hooks", "install"]);
        run(prewarm, &["hooks", "status"]);
        assert_eq!(run("git", &COMMIT).stderr, b"");
        let spool: Vec<_> = fs::read_dir(state.join("spool"))
            .expect("it is there")
            .map(|entry| fs::read(entry.expect("it can be read").path()).expect("it can be read"))
            .collect();
        let expected = [
            b"v1\t",
            fs::canonicalize(&directory)
                .expect("it is there")
                .as_os_str()
                .as_bytes(),
            b"\t\n",
        ]
        .concat();
        if name.contains(&b'\n') {
            assert_eq!(spool, [b""; 0], "such a line could not be told from two");
        } else {
            assert_eq!(spool, [expected]);
        }
        run(prewarm, &["hooks", "uninstall"]);
        assert!(!exists(&directory.join(".git/hooks/post-commit")));
    }
}

/// What `prewarm hooks install` says when it refuses, and that it left everything alone.
#[track_caller]
fn refused(hooked: &Hooked) -> String {
    let before = hooked.picture();
    let finished = hooked.hooks(&["install"]);
    assert_eq!(finished.code(), 2, "{}", finished.stdout);
    assert!(
        finished.stderr.contains("watcher still sees"),
        "{}",
        finished.stderr
    );
    assert_eq!(hooked.picture(), before);
    assert_eq!(hooked.status(), 1);
    assert_eq!(hooked.hooks(&["uninstall"]).code(), 0);
    finished.stderr
}

#[test]
fn hooks_that_others_share_are_left_alone() {
    let hooked = Hooked::new();
    let shared = hooked.machine.home().join("company hooks");
    fs::create_dir(&shared).expect("a directory can be made");
    hooked
        .repo
        .git(&["config", "core.hooksPath", &shared.display().to_string()]);
    let said = refused(&hooked);
    assert!(
        said.contains("local configuration") && said.contains("company hooks"),
        "{said}"
    );
    assert_eq!(fs::read_dir(&shared).expect("it is there").count(), 0);

    hooked.repo.git(&["config", "--unset", "core.hooksPath"]);
    let config = hooked.machine.home().join("gitconfig");
    fs::write(&config, "[core]\n\thooksPath = .company\n").expect("a file can be written");
    let prewarm = hooked
        .machine
        .prewarm(hooked.repo.path())
        .args(["hooks", "install"]);
    let global = prewarm
        .env("GIT_CONFIG_GLOBAL", &config.display().to_string())
        .run();
    assert_eq!(global.code(), 2);
    assert!(
        global.stderr.contains("global configuration"),
        "{}",
        global.stderr
    );
    assert!(global.stderr.contains("gitconfig"), "{}", global.stderr);
    // What leads to where hooks are anyway does no harm.
    fs::write(&config, "[core]\n\thooksPath = .git/hooks\n").expect("a file can be written");
    let prewarm = hooked
        .machine
        .prewarm(hooked.repo.path())
        .args(["hooks", "install"]);
    let same = prewarm
        .env("GIT_CONFIG_GLOBAL", &config.display().to_string())
        .run();
    assert_eq!(same.code(), 0, "{}", same.stderr);
}

#[test]
fn hooks_that_git_tracks_are_left_alone() {
    let hooked = Hooked::new();
    hooked
        .repo
        .executable(".githooks/pre-commit", "#!/bin/sh\n")
        .commit();
    hooked.repo.git(&["config", "core.hooksPath", ".githooks"]);
    assert!(refused(&hooked).contains("git tracks files there"));
    // The same by a link.
    hooked.repo.git(&["config", "--unset", "core.hooksPath"]);
    fs::remove_dir(hooked.hooks_dir()).expect("it is empty");
    std::os::unix::fs::symlink("../.githooks", hooked.hooks_dir()).expect("a link can be made");
    assert!(refused(&hooked).contains("git tracks files there"));
    assert!(!exists(&hooked.repo.path().join(".githooks/post-commit")));
}

#[test]
fn new_files_of_the_project_are_not_made() {
    let hooked = Hooked::new();
    hooked.repo.git(&["config", "core.hooksPath", "hooks"]);
    assert!(refused(&hooked).contains("does not ignore new files"));
}

#[test]
fn hooks_of_husky_get_our_lines() {
    let hooked = Hooked::new();
    let shim = "#!/usr/bin/env sh\n. \"$(dirname \"$0\")/h\"";
    let runner = "#!/usr/bin/env sh\nn=$(basename \"$0\")\ns=$(dirname \"$(dirname \"$0\")\")/$n\n[ ! -f \"$s\" ] && exit 0\nsh -e \"$s\" \"$@\"\nexit $?\n";
    hooked
        .repo
        .file(".husky/post-commit", "echo ran >>ran\n")
        .commit();
    hooked
        .repo
        .file(".husky/_/.gitignore", "*")
        .file(".husky/_/h", runner);
    for event in [
        "post-commit",
        "post-checkout",
        "post-merge",
        "post-rewrite",
        "pre-push",
    ] {
        hooked.repo.executable(&format!(".husky/_/{event}"), shim);
    }
    hooked.repo.git(&["config", "core.hooksPath", ".husky/_"]);
    let installed = hooked.hooks(&["install"]);
    assert_eq!(installed.code(), 0, "{}", installed.stderr);
    assert!(installed.stdout.contains("husky"), "{}", installed.stdout);
    assert_eq!(hooked.status(), 0);
    hooked.git(&COMMIT);
    assert!(exists(&hooked.repo.path().join("ran")));
    assert_eq!(hooked.events(), ["post-commit"]);
    assert_eq!(hooked.repo.git(&["status", "--porcelain"]), "?? ran");
    hooked.uninstall();
    let left =
        fs::read_to_string(hooked.repo.path().join(".husky/_/post-commit")).expect("it is there");
    assert_eq!(left, shim);
}

#[test]
fn hooks_that_git_does_not_look_at_any_more_are_shown_and_removed() {
    let hooked = Hooked::new();
    hooked.install();
    hooked.repo.file(".husky/_/.gitignore", "*");
    hooked.repo.git(&["config", "core.hooksPath", ".husky/_"]);
    let status = hooked.hooks(&["status"]);
    assert_eq!(status.code(), 1);
    assert!(status.stdout.contains("not run"), "{}", status.stdout);
    assert!(status.stdout.contains("git looks in"), "{}", status.stdout);
    hooked.uninstall();
    assert_eq!(hooked.picture(), []);
}
