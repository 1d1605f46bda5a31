//! Killed or stopped at any moment: nothing that CI reads is ever incomplete, and the next run works.

use std::fs;
use std::time::Duration;

use crate::support::ci::{CHECKOUT, CiBuild};
use crate::support::engines::{Scene, engines};
use crate::support::prewarm::Machine;
use crate::support::proxy::{Fault, Proxy, Request};
use crate::support::registry;
use crate::support::repo::{ENGINE, Repo, dockerfile};
use crate::support::wait::until;

/// Kills a warm when the registry gets a certain request, and then warms again.
#[track_caller]
fn killed_at(what: &str, moment: fn(&Request) -> bool) {
    let scene = Scene::new();
    let proxy = Proxy::new();
    let repo = scene.project();
    repo.configure(
        ENGINE,
        &format!("cache = \"{}\"", scene.cache_at(&proxy.address())),
    )
    .commit();
    let machine = Machine::new();
    // A first warm, so that there are tags which could be damaged.
    machine.warm(repo.path()).json().is("warm");
    repo.file("deps.txt", format!("{} edited\n", scene.seed))
        .commit();
    proxy.forget();
    proxy.fault(Fault::Hold, 1, moment);

    let running = machine.warm(repo.path()).start();
    proxy.wait_until_held();
    running.kill();
    registry::assert_complete(&scene.name);

    proxy.release();
    let again = machine.warm(repo.path()).json();
    assert_eq!(again.code, 0, "after {what}: {:#?}", again.targets);
    assert_eq!(again.ci(), "will-hit", "after {what}");
    registry::assert_complete(&scene.name);
    let steps = CiBuild::new(&repo, CHECKOUT)
        .cache_from(scene.branch_tag("topic"))
        .run();
    steps.assert_all_cached(2);
}

#[test]
fn killed_while_the_registry_is_asked_what_is_warm() {
    killed_at("asking", |request| request.reads_tag("-k-"));
}

#[test]
fn killed_while_blobs_are_exported() {
    killed_at("exporting", Request::sends_blob);
}

#[test]
fn killed_while_the_manifest_is_exported() {
    killed_at("exporting the manifest", |request| {
        request.writes_tag("-s-")
    });
}

#[test]
fn killed_while_the_key_tag_is_written() {
    killed_at("tagging", |request| request.writes_tag("-k-"));
}

#[test]
fn killed_while_the_branch_tag_is_written() {
    killed_at("retagging", |request| {
        request.writes_tag("builder-cache-topic")
    });
}

#[test]
fn killed_in_the_middle_of_a_step() {
    let scene = Scene::new();
    let (repo, marker) = sleeper(&scene);
    let machine = Machine::new();
    let running = machine.warm(repo.path()).start();
    running.wait_for("the step", |event| event["line"] == "asleep");
    running.kill();
    until(
        "BuildKit stops what nobody waits for",
        Duration::from_secs(30),
        || !runs(&marker),
    );
    assert_eq!(registry::tags(&scene.name), [""; 0]);

    repo.file("Dockerfile", dockerfile()).commit();
    machine.warm(repo.path()).json().is("warm");
    let history = machine.prewarm(repo.path()).args(["history"]).run();
    assert!(history.stdout.contains("interrupted"), "{}", history.stdout);
}

#[test]
fn ctrl_c_stops_the_step_on_the_engine_within_a_second() {
    let scene = Scene::new();
    let (repo, marker) = sleeper(&scene);
    let mut running = Machine::new().warm(repo.path()).start();
    running.wait_for("the step", |event| event["line"] == "asleep");
    until("the step's process runs", Duration::from_secs(5), || {
        runs(&marker)
    });
    running.signal("INT");
    until("the step's process ends", Duration::from_secs(1), || {
        !runs(&marker)
    });
    assert_eq!(running.end(), 130);
    assert_eq!(registry::tags(&scene.name), [""; 0]);
}

#[test]
fn sigterm_ends_it_with_its_own_exit_code() {
    let scene = Scene::new();
    let (repo, marker) = sleeper(&scene);
    let mut running = Machine::new().warm(repo.path()).start();
    running.wait_for("the step", |event| event["line"] == "asleep");
    running.signal("TERM");
    assert_eq!(running.end(), 143);
    until("the step's process ends", Duration::from_secs(1), || {
        !runs(&marker)
    });
}

#[test]
fn two_warms_of_the_same_at_once_both_end_well() {
    let scene = Scene::new();
    let repo = scene.project();
    let clone = repo.team_mate();
    let (mine, theirs) = (Machine::new(), Machine::new());
    let mut both = [
        mine.warm(repo.path()).start(),
        theirs.warm(clone.path()).start(),
    ];
    assert_eq!(both.each_mut().map(|running| running.end()), [0, 0]);
    assert_eq!(registry::assert_complete(&scene.name).len(), 4);
}

/// A project whose step sleeps for a long time, and what its process can be known by.
fn sleeper(scene: &Scene) -> (Repo, String) {
    // Nobody else sleeps for exactly this long.
    let seconds = fastrand::u32(10_000_000..100_000_000).to_string();
    let repo = scene.project();
    repo.file(
        "Dockerfile",
        format!(
            "FROM {} AS builder\nCOPY deps.txt ./\nRUN echo asleep; sleep {seconds}\n",
            engines().busybox
        ),
    )
    .commit();
    (repo, seconds)
}

/// Whether some process on this machine has `marker` on its command line. The engines' processes are this machine's.
fn runs(marker: &str) -> bool {
    let processes = fs::read_dir("/proc").expect("there is /proc");
    processes
        .map_while(Result::ok)
        // A process may end while we look.
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .any(|line| String::from_utf8_lossy(&line).contains(marker))
}
