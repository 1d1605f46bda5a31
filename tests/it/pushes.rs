//! The daemon and what is pushed.

use std::time::Duration;

use serde_json::Value;

use crate::support::ci::{CHECKOUT, CiBuild};
use crate::support::daemon::Daemon;
use crate::support::engines::{Scene, engines};
use crate::support::prewarm::Machine;
use crate::support::registry;
use crate::support::repo::{ENGINE, Repo, git_command};
use crate::support::wait::until;

/// Pushes now, and not at the time that other git commands of tests say it is.
fn push(repo: &Repo) {
    let mut command = git_command(repo.path());
    let pushed = command
        .args(["push", "--quiet", "origin", "topic"])
        .env_remove("GIT_COMMITTER_DATE")
        .status();
    assert!(pushed.expect("git can be run").success());
}

/// A server's repository that `origin` is.
fn origin(repo: &Repo) -> tempfile::TempDir {
    let server = tempfile::tempdir().expect("a temporary directory can be made");
    let path = server.path().display().to_string();
    repo.git(&["init", "--quiet", "--bare", "--initial-branch=main", &path]);
    repo.git(&["remote", "add", "origin", &path]);
    repo.git(&["push", "--quiet", "origin", "main"]);
    repo.git(&["remote", "set-head", "origin", "main"]);
    server
}

#[test]
fn a_commit_is_warm_before_it_is_pushed() {
    let scene = Scene::new();
    let repo = scene.project();
    let _server = origin(&repo);
    let machine = Machine::new();
    machine.allow(repo.path()).install_hooks(repo.path());
    let daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    follower.until_idle();

    let edited = format!("{} and more\n", scene.seed);
    repo.file("deps.txt", edited).commit();
    let commit = repo.git(&["rev-parse", "--short=7", "HEAD"]);
    follower.until_target("head", &["warm", "already-warm"], &commit);
    push(&repo);

    let steps = CiBuild::new(&repo, CHECKOUT)
        .cache_from(scene.branch_tag("topic"))
        .run();
    steps.assert_all_cached(2);
    let mut history = Value::Null;
    until(
        "the push is in the history",
        Duration::from_secs(20),
        || {
            history = machine.history();
            history["pushes"]
                .as_array()
                .is_some_and(|pushes| !pushes.is_empty())
        },
    );
    let lead = history["pushes"][0]["lead_ms"].as_i64();
    assert!(lead.is_some_and(|lead| lead > 0), "{history:#}");
    let shown = machine.ask(&["history"]).stdout;
    assert!(
        shown
            .lines()
            .next()
            .is_some_and(|header| header.contains("LEAD")),
        "{shown}"
    );
}

#[test]
fn a_push_can_wait_for_the_cache() {
    let scene = Scene::new();
    let repo = Repo::new();
    let dockerfile = format!(
        "FROM {} AS builder\nCOPY deps.txt /\nRUN sleep 2 && sort /deps.txt > /sorted\n",
        engines().busybox
    );
    repo.configure(ENGINE, &format!("cache = \"{}\"", scene.cache()))
        .file("Dockerfile", dockerfile)
        .file("deps.txt", format!("{}\n", scene.seed))
        .commit();
    let _server = origin(&repo);
    repo.branch("topic");
    let machine = Machine::new();
    machine
        .configure("[hooks]\npre_push = \"wait\"\n")
        .allow(repo.path());
    machine.install_hooks(repo.path());
    let _daemon = Daemon::start(&machine);
    repo.file("deps.txt", format!("{} more\n", scene.seed))
        .commit();
    let mut command = git_command(repo.path());
    for (name, value) in machine.prewarm(repo.path()).environment() {
        command.env(name, value);
    }
    let output = command
        .args(["push", "--quiet", "origin", "topic"])
        .output()
        .expect("git can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(
        said.ends_with("prewarm: the cache of HEAD is ready\n"),
        "{said}"
    );
    assert!(registry::tags(&scene.name).contains(&"builder-cache-topic".to_owned()));
}

#[test]
fn only_what_was_really_pushed_is_in_the_history() {
    let scene = Scene::new();
    let repo = scene.project();
    let _server = origin(&repo);
    let machine = Machine::new();
    machine.allow(repo.path()).install_hooks(repo.path());
    let daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    follower.until_idle();
    repo.file("README.md", "More\n").commit();
    // Neither of these sends what is checked out.
    repo.git(&["push", "--quiet", "--dry-run", "origin", "topic"]);
    let mut command = git_command(repo.path());
    let other = command.args(["push", "--quiet", "origin", "main:other"]);
    let other = other.env_remove("GIT_COMMITTER_DATE").status();
    assert!(other.expect("git can be run").success());
    push(&repo);
    let mut told = Vec::new();
    until(
        "the push is in the history",
        Duration::from_secs(20),
        || {
            let pushes = machine.history()["pushes"].clone();
            let pushes = pushes.as_array().cloned().unwrap_or_default();
            let text =
                |push: &Value, name: &str| push[name].as_str().unwrap_or_default().to_owned();
            let of = |push: &Value| (text(push, "branch"), text(push, "commit"));
            told = pushes.iter().map(of).collect();
            told.iter().any(|(branch, _)| branch == "topic")
        },
    );
    told.sort();
    let commit = |name: &str| repo.git(&["rev-parse", name]);
    let topic = ("topic".to_owned(), commit("topic"));
    assert!(told.contains(&topic), "{told:?}");
    let others = told.iter().filter(|(branch, _)| branch != "topic");
    for (branch, pushed) in others {
        assert_eq!((branch.as_str(), pushed), ("other", &commit("main")));
    }
    assert_eq!(told.iter().filter(|push| **push == topic).count(), 1);
}
