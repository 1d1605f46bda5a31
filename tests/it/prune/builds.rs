//! Builds, containers, volumes and networks beside a prune.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::{ALL, Desk, document};
use crate::support::disk::leave;
use crate::support::engines::engines;
use crate::support::own_engine::OwnEngine;
use crate::support::prewarm::Machine;
use crate::support::wait::until;

#[test]
fn a_build_that_runs_meanwhile_ends_well_and_keeps_its_cache() {
    let desk = Desk::new();
    for step in ["echo one", "echo two"] {
        desk.build(&desk.stranger(step));
    }
    let slow = desk.stranger("echo first");
    slow.file(
        "Dockerfile",
        format!(
            "FROM {} AS builder\nRUN echo {} > /first\nRUN sleep 4 && cat /first > /second\nRUN echo end\n",
            engines().busybox,
            desk.engine.scene.seed
        ),
    )
    .commit();
    super::settle();
    thread::scope(|scope| {
        let building = scope.spawn(|| desk.build(&slow));
        until("it is in its step", Duration::from_secs(30), || {
            desk.engine
                .ask(&["buildx", "du", "--verbose"])
                .contains("/first")
        });
        let done = desk.shown(&[&ALL[..], &["--yes", "--json"]].concat());
        assert!(!building.is_finished(), "it was meant to take longer");
        assert!(done["report"]["items"].as_u64() >= Some(2), "{done:#}");
        let built = building.join().expect("it ends well");
        assert_eq!(built.missed().len(), 3);
    });
    desk.build(&slow).assert_all_cached(3);
}

#[test]
fn a_build_of_ours_is_waited_for_by_hand_and_left_alone_otherwise() {
    let desk = Desk::new();
    let repo = desk.stranger("echo asleep; sleep 3");
    repo.branch("topic");
    desk.machine
        .configure("[prune]\nmax_cache = \"1B\"\nfloor = \"0B\"\nkeep_newer_than = \"0s\"\n");
    desk.build(&desk.stranger("echo unknown"));
    let unknown = desk.shown(&["--automatic", "--json"]);
    assert_eq!(unknown["state"], "waiting", "{unknown:#}");
    let reason = unknown["reason"].to_string();
    assert!(reason.contains("nothing was warmed yet"), "{reason}");
    let other = desk.project();
    desk.machine.warm(other.path()).json().is("warm");
    desk.build(&desk.stranger("echo unneeded"));
    super::settle();
    let mut warm = desk.machine.warm(repo.path()).start();
    warm.wait_for("the step", |event| event["line"] == "asleep");
    // It has come to no key yet that could be needed: being in use must suffice.
    let before = desk.records();
    let left = desk.shown(&["--automatic", "--json"]);
    assert_eq!(left["state"], "waiting", "{left:#}");
    assert_eq!(left["reason"], "something is being built", "{left:#}");
    assert!(before.is_subset(&desk.records()));

    let prune = desk.machine.prewarm(desk.machine.home());
    let mut prune = prune.args(["prune", "--yes"]).args(ALL).start();
    prune.wait_for("it waits", |event| {
        event["message"]
            .as_str()
            .is_some_and(|text| text.contains("waiting for a build"))
    });
    assert_eq!(warm.end(), 0);
    assert_eq!(prune.end(), 0);
    desk.build(&repo).assert_all_cached(1);
    super::settle();
    // Nobody builds any more.
    let pruned = desk.shown(&["--automatic", "--json"]);
    assert!(
        pruned["state"] == "short" || pruned["state"] == "pruned",
        "{pruned:#}"
    );
    desk.build(&repo).assert_all_cached(1);
}

#[test]
fn a_build_of_ours_is_no_reason_to_wait_where_it_would_fail_for_lack_of_space() {
    let engine = OwnEngine::on_small_disk("400m");
    let machine = Machine::with_engine(&engine.host());
    let desk = Desk { engine, machine };
    let needed = desk.project();
    desk.machine.warm(needed.path()).json().is("warm");
    let stranger = desk.stranger("head -c 50000000 /dev/urandom > /random");
    desk.build(&stranger);
    super::settle();
    desk.machine
        .configure("[prune]\nfloor = \"0B\"\nkeep_newer_than = \"0s\"\n");
    let repo = desk.stranger("echo asleep; sleep 5; head -c 30000000 /dev/urandom > /more");
    repo.branch("topic");
    let mut warm = desk.machine.warm(repo.path()).start();
    warm.wait_for("the step", |event| event["line"] == "asleep");
    // A twentieth is 20 MB.
    leave(&desk.engine.disk(), 15_000_000);
    let looked = desk.shown(&["--automatic", "--json"]);
    assert!(looked["last"]["items"].as_u64() > Some(0), "{looked:#}");
    assert!(
        looked["last"]["reported"].as_u64() >= Some(50_000_000),
        "{looked:#}"
    );
    // What it wrote would not have fitted.
    assert_eq!(warm.end(), 0);
    desk.build(&needed).assert_all_cached(2);
    desk.build(&repo).assert_all_cached(1);
}

/// All that docker knows of containers, volumes and networks.
fn things(desk: &Desk) -> String {
    let mut all = String::new();
    for (list, inspect) in [
        (
            &["ps", "--all", "--quiet"][..],
            &["inspect", "--type=container"][..],
        ),
        (&["volume", "ls", "--quiet"], &["volume", "inspect"]),
        (&["network", "ls", "--quiet"], &["network", "inspect"]),
    ] {
        let names = desk.engine.ask(list);
        let names: Vec<&str> = names.lines().collect();
        all += &desk.engine.ask(&[inspect, &names].concat());
    }
    all
}

#[test]
fn containers_volumes_and_networks_are_as_they_were() {
    let desk = Desk::new();
    let ask = |arguments: &[&str]| desk.engine.ask(arguments);
    let base = &engines().busybox;
    ask(&["pull", "--quiet", base]);
    ask(&["tag", base, "unused:1"]);
    ask(&["volume", "create", "named"]);
    ask(&["network", "create", "--driver=bridge", "mine"]);
    ask(&["create", "--name=stopped", "--volume=/data", base, "true"]);
    ask(&[
        "run",
        "--detach",
        "--name=runs",
        "--net=host",
        "--volume=named:/data",
        base,
        "sleep",
        "1000",
    ]);
    desk.build(&desk.stranger("echo stranger"));
    desk.machine
        .configure("[prune]\nimages_keep_newer_than = \"0s\"\n");
    let before = things(&desk);
    let more = ["--images", "unused", "--cache-mounts"];
    let done = desk.prune_all(&more);
    assert!(done["report"]["items"].as_u64() > Some(0), "{done:#}");
    assert_eq!(things(&desk), before);
    // The name that no container was made by; nothing else of the image.
    let again = document(&desk.prune(&[&ALL[..], &more[..], &["--json"]].concat()));
    let container = again["kept"].as_array().into_iter().flatten();
    let container = container.filter(|kept| kept["why"] == "container");
    assert!(container.count() > 0, "{again:#}");
    assert_eq!(again["deletions"], Value::Array(Vec::new()), "{again:#}");
}
