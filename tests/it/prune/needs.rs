//! What somebody needs stays, whatever is asked for.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use super::places::spares_what_is_needed;
use super::{ALL, Desk, settle};
use crate::support::engines::engines;
use crate::support::own_engine::Store;
use crate::support::proxy::Proxy;
use crate::support::registry;
use crate::support::repo::{ENGINE, Repo};
use crate::support::wait::until;

/// Writes another dependency, and commits it.
fn change(repo: &Repo, desk: &Desk, what: &str) {
    repo.file("deps.txt", format!("{} {what}\n", desk.engine.scene.seed))
        .commit();
}

#[test]
fn what_live_branches_pins_and_patterns_name_stays_and_all_else_goes() {
    let desk = Desk::new();
    let machine = &desk.machine;
    let repo = desk.project();
    let warm = || machine.warm(repo.path()).json();
    // An older state of a branch, which its newest replaces.
    change(&repo, &desk, "older");
    warm().is("warm");
    let older = repo.git(&["rev-parse", "HEAD"]);
    change(&repo, &desk, "topic");
    warm().is("warm");
    // Without a cache that would tell what it needs.
    repo.branch("unpushed");
    change(&repo, &desk, "unpushed");
    let local = machine.warm(repo.path()).args(["--no-push"]).json();
    local.is("local-only");
    // The same again, which uses nothing but what is there.
    let again = machine.warm(repo.path()).args(["--no-push", "--force"]);
    assert_eq!(again.json().is("local-only").target()["steps_run"], 0);
    for name in ["pinned", "gone"] {
        repo.branch(name);
        change(&repo, &desk, name);
        warm().is("warm");
    }
    let commit = |branch: &str| repo.git(&["rev-parse", branch]);
    let (pinned, gone) = (commit("pinned"), commit("gone"));
    let run = |arguments: &[&str]| {
        let done = machine
            .prewarm(repo.path())
            .args(arguments.iter().copied())
            .run();
        assert_eq!(done.code(), 0, "{arguments:?}: {}", done.stderr);
    };
    run(&["pin", "pinned"]);
    repo.git(&["switch", "--quiet", "main"]);
    repo.git(&["branch", "--delete", "--force", "pinned", "gone"]);
    let strangers = ["echo kept", "echo held", "echo lost"].map(|step| desk.stranger(step));
    for stranger in &strangers {
        desk.build(stranger);
    }
    machine.configure("[prune]\nkeep = [\"*echo kept*\"]\n");
    run(&["pin", &desk.record("echo held")]);
    // Whose warms were by hand is no less protected once nothing may be built by itself.
    machine.allow(repo.path());
    run(&["deny"]);

    let done = desk.prune_all(&[]);
    assert_eq!(done["report"]["ended"], "done", "{done:#}");
    assert!(done["report"]["items"].as_u64() > Some(3), "{done:#}");
    let again = desk.prune_all(&[]);
    assert_eq!(
        again["deletions"],
        Value::Array(Vec::new()),
        "it has settled"
    );

    // What stays is there, before what went is built again.
    for branch in ["topic", "unpushed"] {
        repo.git(&["switch", "--quiet", branch]);
        desk.build(&repo).assert_all_cached(2);
    }
    let [kept, held, lost] = strangers;
    desk.build(&kept).assert_all_cached(1);
    desk.build(&held).assert_all_cached(1);
    repo.git(&["switch", "--quiet", "--create", "again", &pinned]);
    desk.build(&repo).assert_all_cached(2);
    assert_eq!(desk.build(&lost).cached(), [""; 0]);
    for commit in [&older, &gone] {
        repo.git(&["switch", "--quiet", "--force-create", "again", commit]);
        assert_eq!(desk.build(&repo).missed().len(), 2, "{commit}");
    }
}

#[test]
fn after_a_prune_it_still_builds_without_a_registry() {
    let desk = Desk::new();
    let mut proxy = Proxy::new();
    // By its digest it can be found without asking anybody.
    let digest = registry::manifest("base/busybox", "1");
    let digest = digest.expect("it was pushed").digest();
    let busybox = engines()
        .busybox
        .replace(&engines().registry, &proxy.address());
    let base = format!("{busybox}@{digest}");
    let repo = Repo::new();
    let dockerfile =
        format!("FROM {base} AS builder\nCOPY deps.txt /\nRUN sort /deps.txt > /sorted\n");
    let cache = desk.engine.scene.cache_at(&proxy.address());
    repo.configure(ENGINE, &format!("cache = \"{cache}\""))
        .file("Dockerfile", dockerfile)
        .file("deps.txt", format!("{}\n", desk.engine.scene.seed))
        .commit()
        .branch("topic");
    desk.machine.warm(repo.path()).json().is("warm");
    desk.build(&repo).assert_all_cached(2);
    desk.build(&desk.stranger("echo stranger"));
    // Also where images may go.
    let images = ["--images", "unused"];
    desk.machine
        .configure("[prune]\nimages_keep_newer_than = \"0s\"\n");
    settle();
    let done = desk.shown(&[&ALL[..], &images, &["--yes", "--json"]].concat());
    assert!(done["report"]["items"].as_u64() > Some(0), "{done:#}");
    proxy.close();
    desk.build(&repo).assert_all_cached(2);
    let warmed = desk.machine.warm(repo.path()).args(["--no-push"]).json();
    assert!(
        warmed.outcome() == "already-warm" || warmed.target()["steps_run"] == 0,
        "{:#?}",
        warmed.targets
    );
}

/// Where nothing was exported, BuildKit has not made the last layer final: an image's export gives it another id.
#[test]
fn what_was_not_exported_stays_needed_when_an_image_is_made_of_it() {
    for store in [Store::Containerd, Store::Classic] {
        let desk = Desk::on(store);
        let repo = desk.project();
        let image = |tag: &str| {
            let config = desk.machine.docker_config();
            let mut command = engines().docker(&desk.engine.host(), &config);
            command.args([
                "buildx",
                "build",
                "--load",
                "--target=builder",
                "--tag",
                tag,
            ]);
            let output = command.arg(repo.path()).output();
            let output = output.expect("docker can be run");
            assert!(output.status.success(), "{output:?}");
        };
        let warm = || {
            let again = desk.machine.warm(repo.path());
            let again = again.args(["--no-push", "--force"]);
            again.json().is("local-only");
        };
        warm();
        let listed = desk.record("sort /app");
        // Now it finds all of them.
        warm();
        image("made:1");
        // An image of the store would keep the layers by itself.
        desk.engine.ask(&["image", "rm", "--force", "made:1"]);
        assert_ne!(desk.record("sort /app"), listed, "it is listed anew");
        spares_what_is_needed(&desk, &desk.machine, &repo, &[]);
    }
}

/// BuildKit notes the use of a layer when nothing uses it any more, and lists its last layer otherwise until then.
#[test]
fn what_another_build_uses_meanwhile_is_needed_as_well() {
    let desk = Desk::new();
    let repo = desk.project();
    let dockerfile = fs::read_to_string(repo.path().join("Dockerfile")).expect("it is there");
    let last = "RUN --mount=type=bind,from=builder,target=/builder sleep 3";
    let base = &engines().busybox;
    repo.file(
        "Dockerfile",
        format!("{dockerfile}\nFROM {base} AS last\n{last}\n"),
    )
    .commit();
    let config = desk.machine.docker_config();
    let mut command = engines().docker(&desk.engine.host(), &config);
    command.args([
        "buildx",
        "build",
        "--target=last",
        "--output=type=cacheonly",
    ]);
    let building = command.arg(repo.path()).stderr(Stdio::null()).spawn();
    let mut building = building.expect("docker can be run");
    until("its last step runs", Duration::from_secs(30), || {
        let listed = desk.engine.ask(&["buildx", "du", "--verbose"]);
        listed.contains("sleep 3")
    });
    let warmed = desk.machine.warm(repo.path()).args(["--no-push"]).json();
    assert_eq!(warmed.is("local-only").target()["steps_run"], 0);
    assert!(building.try_wait().is_ok_and(|ended| ended.is_none()));
    let ended = building.wait().expect("it was started");
    assert!(ended.success());
    spares_what_is_needed(&desk, &desk.machine, &repo, &[]);
}

#[test]
fn where_buildkit_would_forget_what_is_needed_nothing_goes_unless_it_is_named() {
    let desk = Desk::new();
    desk.engine.ask(&["pull", "--quiet", &engines().busybox]);
    let repo = desk.project();
    desk.machine
        .warm(repo.path())
        .args(["--no-push"])
        .json()
        .is("local-only");
    desk.build(&desk.stranger("echo stranger"));
    desk.build(&repo).assert_all_cached(2);
    let before = desk.records();
    let done = desk.prune_all(&[]);
    assert_eq!(done["deletions"], Value::Array(Vec::new()), "{done:#}");
    assert_eq!(desk.records(), before);
    let shown = desk.prune(&ALL).stdout;
    assert!(
        shown.contains("BuildKit would forget what is needed"),
        "{shown}"
    );
    desk.build(&repo).assert_all_cached(2);
    let insisting = desk.prune_all(&["--builder", "engine"]);
    assert!(
        insisting["report"]["items"].as_u64() > Some(0),
        "{insisting:#}"
    );
}
