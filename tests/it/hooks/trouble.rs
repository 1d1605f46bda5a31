//! Whatever becomes of us, git goes on.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::code;
use crate::support::hooks::Hooked;

const COMMIT: [&str; 4] = ["commit", "--quiet", "--allow-empty", "--message=x"];

/// Commits, switches and pushes, none of which may fail or say anything.
#[track_caller]
fn all_is_well(hooked: &Hooked) {
    let remote = tempfile::tempdir().expect("a temporary directory can be made");
    let url = remote.path().display().to_string();
    hooked.repo.git(&["init", "--quiet", "--bare", &url]);
    for arguments in [
        &COMMIT[..],
        &["switch", "--quiet", "--force-create", "topic"],
        &["push", "--quiet", &url, "topic"],
    ] {
        let output = hooked.git(arguments);
        assert_eq!(
            (code(&output), output.stdout, output.stderr),
            (Some(0), vec![], vec![]),
            "{arguments:?}"
        );
    }
}

/// Replaces the path of our program in all hooks.
fn program(hooked: &Hooked, path: &str) {
    for (name, mode, content) in hooked.picture() {
        let content = String::from_utf8(content).expect("ours are text");
        hooked.hook(&name, content.replace(env!("CARGO_BIN_EXE_prewarm"), path));
        hooked.mode(&name, mode & 0o7777);
    }
}

#[test]
fn a_program_that_is_gone_or_fails_is_not_missed() {
    let hooked = Hooked::new();
    hooked
        .machine
        .configure("[hooks]\npre_push = \"wait\"\nstandalone = true\n");
    hooked.install();
    program(&hooked, "/nonexistent/prewarm");
    all_is_well(&hooked);
    assert_eq!(
        hooked.events(),
        ["post-checkout", "post-commit", "pre-push"]
    );
    let hooked = Hooked::new();
    hooked
        .machine
        .configure("[hooks]\npre_push = \"wait\"\nstandalone = true\n");
    hooked.install();
    program(&hooked, "/bin/false");
    all_is_well(&hooked);
}

#[test]
fn a_spool_that_takes_nothing_is_not_missed() {
    let hooked = Hooked::new();
    hooked.install();
    let spool = hooked.machine.state().join("spool");
    all_is_well(&hooked);
    // Full.
    for line in fs::read_dir(&spool).expect("it is there") {
        let path = line.expect("a directory can be read").path();
        fs::remove_file(&path).expect("a file can be removed");
        std::os::unix::fs::symlink("/dev/full", &path).expect("a link can be made");
    }
    all_is_well(&hooked);
    // Not writable; root may write anything but what is a directory.
    fs::remove_dir_all(&spool).expect("a directory can be removed");
    let status = hooked.hooks(&["install"]);
    assert_eq!(status.code(), 0, "{}", status.stderr);
    all_is_well(&hooked);
    for line in fs::read_dir(&spool).expect("it is there") {
        let path = line.expect("a directory can be read").path();
        fs::remove_file(&path).expect("a file can be removed");
        fs::create_dir(&path).expect("a directory can be made");
    }
    all_is_well(&hooked);
    // Gone.
    fs::remove_dir_all(&spool).expect("a directory can be removed");
    all_is_well(&hooked);
    let status = hooked.hooks(&["status"]);
    assert_eq!(status.code(), 1);
    assert!(
        status
            .stdout
            .contains("is missing; `prewarm hooks install` makes it"),
        "{}",
        status.stdout
    );
    assert_eq!(hooked.install().status(), 0);
}

#[test]
fn a_spool_of_somebody_else_is_not_missed() {
    let hooked = Hooked::new();
    hooked.install();
    let spool = hooked.machine.state().join("spool");
    fs::set_permissions(&spool, fs::Permissions::from_mode(0o500)).expect("a mode can be set");
    let hook = hooked.hooks_dir().join("post-commit");
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--clear-groups", "sh"])
        .arg(&hook)
        .current_dir("/")
        .output()
        .expect("setpriv can be run");
    assert_eq!((code(&output), output.stdout), (Some(0), vec![]));
}

#[test]
fn nothing_is_left_where_it_is_switched_off() {
    let hooked = Hooked::new();
    hooked.install();
    let output = Command::new("git")
        .args(["-c", "user.name=T", "-c", "user.email=t@example.com"])
        .args(COMMIT)
        .current_dir(hooked.repo.path())
        .env("PREWARM_DISABLE", "1")
        .output()
        .expect("git can be run");
    assert_eq!(code(&output), Some(0));
    assert_eq!(hooked.events(), [""; 0]);
}

#[test]
fn an_empty_environment_is_enough() {
    let hooked = Hooked::new();
    hooked.hook("post-commit", "#!/bin/sh\nexit 5\n").install();
    for (event, expected) in [("post-commit", 5), ("post-merge", 0)] {
        let output = Command::new(hooked.hooks_dir().join(event))
            .env_clear()
            .current_dir(hooked.repo.path())
            .output()
            .expect("the hook can be run");
        assert_eq!(
            (code(&output), output.stdout, output.stderr),
            (Some(expected), vec![], vec![])
        );
    }
    assert_eq!(hooked.events(), ["post-commit", "post-merge"]);
}

#[test]
fn every_shell_understands_our_lines() {
    for shell in ["sh", "bash", "dash", "zsh", "ksh", "mksh"] {
        let there = Command::new(shell)
            .args(["-c", ":"])
            .stderr(Stdio::null())
            .status();
        if there.is_err() {
            continue;
        }
        for option in ["", " -e", " -u", " -eu"] {
            let hooked = Hooked::new();
            let content = format!("#!/usr/bin/env -S {shell}{option}\nexit 9\n");
            hooked.hook("post-merge", content).install();
            let run = || {
                let output = Command::new(hooked.hooks_dir().join("post-merge"))
                    .current_dir(hooked.repo.path())
                    .output()
                    .expect("the hook can be run");
                assert_eq!(
                    (code(&output), output.stdout, output.stderr),
                    (Some(9), vec![], vec![]),
                    "{shell}{option}"
                );
            };
            run();
            assert_eq!(hooked.events(), ["post-merge"], "{shell}{option}");
            let spool = hooked.machine.state().join("spool");
            fs::remove_dir_all(&spool).expect("a directory can be removed");
            run();
        }
    }
}

#[test]
fn whoever_captures_the_output_does_not_wait_for_us() {
    let hooked = Hooked::new();
    hooked.machine.configure("[hooks]\nstandalone = true\n");
    hooked.install();
    // Starts something that lives on, as `prewarm hook` may.
    hooked.repo.executable(
        "slow",
        "#!/bin/sh\n(trap '' HUP; exec tail -f /dev/null --pid=\"$PPID\") &\necho \"$!\" >pid\n",
    );
    let slow = hooked.repo.path().join("slow").display().to_string();
    program(&hooked, &slow);
    let begin = Instant::now();
    let output = hooked.git(&COMMIT);
    assert_eq!((code(&output), output.stdout), (Some(0), vec![]));
    assert!(begin.elapsed() < Duration::from_secs(5));
    let pid = fs::read_to_string(hooked.repo.path().join("pid")).expect("it was started");
    let _ended = Command::new("sh")
        .args(["-c", &format!("kill {}", pid.trim())])
        .status();
}
