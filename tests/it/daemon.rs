//! The daemon, end to end: real git, real files, real Engines and a registry.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::ci::{CHECKOUT, CiBuild};
use crate::support::daemon::{Daemon, is_idle, target};
use crate::support::engines::{Scene, engines};
use crate::support::prewarm::Machine;
use crate::support::registry;
use crate::support::repo::{ENGINE, Repo, git_command};
use crate::support::wait::until;

/// Writes a file as editors do: a new one, renamed over the old one.
fn save(repo: &Repo, path: &str, content: &str) {
    let new = repo.path().join(format!("{path}.new"));
    fs::write(&new, content).expect("a file can be written");
    fs::rename(new, repo.path().join(path)).expect("a file can be renamed");
}

#[test]
fn a_file_that_is_saved_is_warm_before_it_is_committed() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    machine.allow(repo.path());
    let daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    follower.until_idle();
    let builds = machine.builds();

    save(&repo, "deps.txt", &format!("{} saved\n", scene.seed));
    follower.until("the work tree is built", |status| {
        target(status, "worktree")["outcome"] == "warm"
    });
    // What CI reads for the branch is still what was committed.
    let warm = machine.history()["warms"][0].clone();
    let tags = warm["references"]
        .as_array()
        .expect("they are a list")
        .clone();
    assert!(
        tags.iter()
            .all(|tag| !tag.as_str().unwrap_or_default().ends_with("cache-topic")),
        "{tags:?}"
    );

    repo.commit();
    let commit = repo.git(&["rev-parse", "--short=7", "HEAD"]);
    follower.until_target("head", &["already-warm"], &commit);
    let steps = CiBuild::new(&repo, CHECKOUT)
        .cache_from(scene.branch_tag("topic"))
        .run();
    steps.assert_all_cached(2);
    assert_eq!(machine.builds(), builds + 1, "{:#}", machine.history());
}

#[test]
fn what_decides_nothing_builds_nothing() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    machine.allow(repo.path());
    let daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    follower.until_idle();
    let builds = machine.builds();
    repo.file("README.md", "Another word\n").commit();
    let commit = repo.git(&["rev-parse", "--short=7", "HEAD"]);
    follower.until_target("head", &["already-warm"], &commit);
    assert_eq!(machine.builds(), builds);
}

#[test]
fn changes_without_a_hook_are_seen() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    machine.allow(repo.path());
    let daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    follower.until_idle();
    let seen = |follower: &mut crate::support::daemon::Follower| {
        let commit = repo.git(&["rev-parse", "--short=7", "HEAD"]);
        follower.until_target("head", &["warm", "already-warm"], &commit);
    };
    repo.file("deps.txt", format!("{} two\n", scene.seed))
        .commit();
    seen(&mut follower);
    repo.git(&["reset", "--quiet", "--hard", "HEAD^"]);
    seen(&mut follower);
    repo.git(&["reset", "--quiet", "--soft", "HEAD@{1}"]);
    seen(&mut follower);
    // A patch by mail is not this user's own work: it is seen, and it waits.
    let patch = repo.path().join("../one.patch");
    let text = repo.git(&["format-patch", "--stdout", "-1"]);
    fs::write(&patch, text + "\n").expect("a file can be written");
    repo.git(&["reset", "--quiet", "--hard", "HEAD^"]);
    repo.git(&["am", "--quiet", &patch.display().to_string()]);
    let commit = repo.git(&["rev-parse", "--short=7", "HEAD"]);
    follower.until_target("head", &["already-warm", "needs-approval"], &commit);
    repo.file("deps.txt", format!("{} three\n", scene.seed));
    follower.until("an edit is built", |status| {
        target(status, "worktree")["outcome"] == "warm"
    });
    repo.git(&["stash", "--quiet"]);
    follower.until_target("worktree", &["already-warm", "needs-approval"], "work tree");
    repo.git(&["stash", "pop", "--quiet"]);
    follower.until_target("worktree", &["already-warm"], "work tree");
}

#[test]
fn a_newer_save_takes_over_and_shared_steps_run_once() {
    let scene = Scene::new();
    let repo = Repo::new();
    // The first step takes long and is the same for both; the second one differs.
    let dockerfile = format!(
        "FROM {} AS builder\nRUN echo {} && sleep 4\nCOPY deps.txt /\nRUN sleep 4 && sort /deps.txt > /sorted\n",
        engines().busybox,
        scene.seed
    );
    repo.configure(ENGINE, &format!("cache = \"{}\"", scene.cache()))
        .file("Dockerfile", dockerfile)
        .file("deps.txt", "one\n")
        .commit()
        .branch("topic");
    let machine = Machine::new();
    machine
        .configure("[daemon]\nparallel = 2\n")
        .allow(repo.path());
    let daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    follower.until("the first build is in its first step", |status| {
        target(status, "head")["build"]["step"]
            .as_str()
            .is_some_and(|step| step.contains("RUN echo"))
    });
    repo.file("deps.txt", "two\n").commit();
    let commit = repo.git(&["rev-parse", "--short=7", "HEAD"]);
    follower.until_target("head", &["warm", "already-warm"], &commit);
    let status = follower.until_idle();
    assert_eq!(status["builds"], 0);
    let history = machine.history();
    let rows = history["warms"].as_array().expect("they are a list");
    let finished: Vec<_> = rows.iter().filter(|row| row["outcome"] == "warm").collect();
    assert_eq!(finished.len(), 1, "{history:#}");
    assert_eq!(
        registry::tags(&scene.name)
            .iter()
            .filter(|tag| tag.contains("-k-"))
            .count(),
        1
    );
}

#[test]
fn a_warm_by_hand_joins_the_one_that_runs() {
    let scene = Scene::new();
    let repo = Repo::new();
    let dockerfile = format!(
        "FROM {} AS builder\nCOPY deps.txt /\nRUN sleep 3 && sort /deps.txt > /sorted\n",
        engines().busybox
    );
    repo.configure(ENGINE, &format!("cache = \"{}\"", scene.cache()))
        .file("Dockerfile", dockerfile)
        .file("deps.txt", format!("{}\n", scene.seed))
        .commit()
        .branch("topic");
    let machine = Machine::new();
    machine.allow(repo.path());
    let daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    follower.until_in_step();
    let warmed = machine.warm(repo.path()).json();
    assert_eq!(warmed.is("already-warm").ci(), "will-hit");
    assert!(!warmed.built());
    let told = warmed
        .events
        .iter()
        .filter_map(|event| event["message"].as_str());
    assert!(
        told.clone()
            .any(|message| message.starts_with("the daemon builds it: ")
                && message.contains("RUN sleep")),
        "{:?}",
        told.collect::<Vec<_>>()
    );
    assert_eq!(machine.builds(), 1);
}

#[test]
fn a_linked_work_tree_is_warmed_too() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    machine.allow(repo.path());
    let daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    follower.until_idle();
    let linked = repo.path().join("../linked");
    repo.git(&[
        "worktree",
        "add",
        "--quiet",
        "-b",
        "other",
        &linked.display().to_string(),
    ]);
    let status = follower.until("two work trees are idle", |status| {
        let trees = status["trees"].as_array().into_iter().flatten();
        trees.clone().count() == 2 && trees.into_iter().all(is_idle)
    });
    let outcomes = status["trees"].as_array().expect("they are a list").iter();
    for tree in outcomes {
        let outcome = tree["views"][0]["targets"][0]["outcome"].as_str();
        assert!(matches!(outcome, Some("warm" | "already-warm")), "{tree:#}");
    }
    fs::write(linked.join("deps.txt"), format!("{} linked\n", scene.seed))
        .expect("a file can be written");
    follower.until("its edit is built", |status| {
        let trees = status["trees"].as_array().into_iter().flatten();
        trees
            .into_iter()
            .any(|tree| tree["views"][1]["targets"][0]["outcome"] == "warm")
    });
    repo.git(&[
        "worktree",
        "remove",
        "--force",
        &linked.display().to_string(),
    ]);
    follower.until("it is gone", |status| {
        status["trees"]
            .as_array()
            .is_some_and(|trees| trees.len() == 1)
    });
}

#[test]
fn hooks_warm_without_a_daemon_where_that_is_wanted() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    machine
        .configure("[hooks]\nstandalone = true\n")
        .allow(repo.path());
    machine.install_hooks(repo.path());
    repo.file("deps.txt", format!("{} alone\n", scene.seed));
    let output = commit_here(&machine, repo.path());
    assert!(
        output.stdout.is_empty() && output.stderr.is_empty(),
        "{output:?}"
    );
    until("the branch's tag is there", Duration::from_secs(60), || {
        registry::tags(&scene.name).contains(&"builder-cache-topic".to_owned())
    });
    let steps = CiBuild::new(&repo, CHECKOUT)
        .cache_from(scene.branch_tag("topic"))
        .run();
    steps.assert_all_cached(2);
}

/// Commits everything as the user of a machine would, with its hooks finding its Engine.
pub(crate) fn commit_here(machine: &Machine, directory: &Path) -> std::process::Output {
    let mut command = git_command(directory);
    for (name, value) in machine.prewarm(directory).environment() {
        command.env(name, value);
    }
    let output = command
        .args(["commit", "--quiet", "--all", "--message=Edit"])
        .output();
    let output = output.expect("git can be run");
    assert!(output.status.success(), "{output:?}");
    output
}

#[test]
fn a_base_image_that_moved_is_a_reason_to_build() {
    let scene = Scene::new();
    let repo = Repo::new();
    let base = registry::copy(&engines().busybox, &scene.name, "base");
    let dockerfile = format!(
        "FROM {}:base AS builder\nCOPY deps.txt /\nRUN sort /deps.txt > /sorted\n",
        scene.cache()
    );
    repo.configure(ENGINE, &format!("cache = \"{}\"", scene.cache()))
        .file("Dockerfile", dockerfile)
        .file("deps.txt", format!("{}\n", scene.seed))
        .commit()
        .branch("topic");
    let machine = Machine::new();
    machine
        .configure("[warm]\nbase_check = \"0s\"\n")
        .allow(repo.path());
    let daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    follower.until_idle();
    let builds = machine.builds();
    let mut moved = base;
    // The same image with another digest: a space more between the members of its manifest.
    moved.bytes.insert(1, b' ');
    registry::put_manifest(&scene.name, "base", &moved);
    let reloaded = machine.ask(&["daemon", "reload"]);
    assert_eq!(reloaded.code(), 0, "{}", reloaded.stderr);
    follower.until("it is built again", |status| {
        let reason = target(status, "head")["reason"].as_str();
        reason.is_some_and(|reason| reason.contains("base image"))
    });
    follower.until_idle();
    assert_eq!(machine.builds(), builds + 1, "{:#}", machine.history());
}
