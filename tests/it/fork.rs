//! Somebody else's branch in a work tree that the daemon watches: it is seen, it waits, and nothing of it runs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::support::daemon::{Daemon, Follower, is_idle};
use crate::support::desk::Desk;
use crate::support::registry;
use crate::support::repo::{ENGINE, dockerfile};

/// Warm, with a daemon that watches.
fn watched(desk: &Desk) -> (Daemon<'_>, Follower) {
    let daemon = Daemon::start(&desk.machine);
    let mut follower = daemon.follow();
    follower.until_idle();
    desk.proxy.forget();
    (daemon, follower)
}

/// Waits until both views are as said, from a commit.
#[track_caller]
fn until_both(follower: &mut Follower, desk: &Desk, outcomes: &[&str]) {
    let commit = desk.here.git(&["rev-parse", "--short=7", "HEAD"]);
    follower.until(&format!("both views are {outcomes:?}"), |status| {
        let tree = &status["trees"][0];
        let views = tree["views"].as_array().into_iter().flatten();
        let from = |view: &Value| {
            view["targets"][0]["source"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        is_idle(tree)
            && from(&tree["views"][0]).contains(&commit)
            && views.into_iter().all(|view| {
                let outcome = view["targets"][0]["outcome"].as_str().unwrap_or_default();
                outcomes.contains(&outcome)
            })
    });
}

/// Requires that nothing was built, and nothing was pushed or asked for.
#[track_caller]
fn untouched(desk: &Desk, builds: usize, tags: &[String]) {
    assert_eq!(
        desk.machine.builds(),
        builds,
        "{:#}",
        desk.machine.history()
    );
    assert_eq!(registry::tags(&desk.scene.name), tags);
    assert_eq!(
        desk.proxy
            .count(|request| request.method != "GET" && request.method != "HEAD"),
        0
    );
}

#[test]
fn a_forks_branch_waits_for_approval_and_the_own_branch_goes_on() {
    let desk = Desk::new();
    let (_daemon, mut follower) = watched(&desk);
    let (builds, tags) = (desk.machine.builds(), registry::tags(&desk.scene.name));
    let elsewhere = format!("cache = \"{}\"", desk.scene.cache_at("evil.invalid"));
    desk.foreign("dockerfile", &|repo| {
        repo.file("Dockerfile", dockerfile() + "RUN touch /evil\n");
    });
    until_both(&mut follower, &desk, &["needs-approval"]);
    desk.foreign("registry", &|repo| {
        repo.configure(ENGINE, &elsewhere);
    });
    until_both(&mut follower, &desk, &["needs-approval"]);
    desk.foreign("link", &|repo| {
        fs::remove_file(repo.path().join("Dockerfile")).expect("it is there");
        repo.file("evil", dockerfile() + "RUN touch /evil\n");
        repo.link("Dockerfile", "evil");
    });
    until_both(&mut follower, &desk, &["needs-approval"]);
    untouched(&desk, builds, &tags);
    let shown = desk.prewarm(&["status"]);
    assert!(shown.stdout.contains("needs approval"), "{}", shown.stdout);
    assert!(
        shown.stdout.contains("` shows what differs, and asks"),
        "{}",
        shown.stdout
    );

    desk.here.git(&["switch", "--quiet", "topic"]);
    until_both(&mut follower, &desk, &["already-warm"]);
    desk.here
        .file("deps.txt", format!("{} mine\n", desk.scene.seed))
        .commit();
    until_both(&mut follower, &desk, &["warm", "already-warm"]);
    assert_eq!(desk.machine.builds(), builds + 1);

    // What is approved is built, without another start.
    desk.foreign("wanted", &|repo| {
        repo.file("deps.txt", format!("{} theirs\n", desk.scene.seed));
    });
    until_both(&mut follower, &desk, &["needs-approval"]);
    assert_eq!(desk.prewarm(&["allow", "--yes"]).code(), 0);
    until_both(&mut follower, &desk, &["warm", "already-warm"]);
    assert_eq!(desk.machine.builds(), builds + 2);
}

#[test]
fn a_linked_work_tree_of_a_fork_waits_too() {
    let desk = Desk::new();
    let (_daemon, mut follower) = watched(&desk);
    desk.foreign("evil", &|repo| {
        repo.file("Dockerfile", dockerfile() + "RUN touch /evil\n");
    });
    desk.here.git(&["switch", "--quiet", "topic"]);
    let (builds, tags) = (desk.machine.builds(), registry::tags(&desk.scene.name));
    let linked = desk.machine.home().join("linked");
    let path = linked.display().to_string();
    desk.here.git(&[
        "worktree",
        "add",
        "--quiet",
        "--detach",
        &path,
        "origin/evil",
    ]);
    let status = follower.until("the linked work tree waits", |status| {
        let trees = status["trees"].as_array().into_iter().flatten();
        let waits = |tree: &Value| {
            let views = tree["views"].as_array().into_iter().flatten();
            views
                .into_iter()
                .all(|view| view["targets"][0]["outcome"] == "needs-approval")
        };
        trees.clone().count() == 2 && trees.clone().all(is_idle) && trees.into_iter().any(waits)
    });
    let others = status["trees"].as_array().into_iter().flatten();
    let own = others.filter(|tree| tree["path"] != path.as_str());
    for tree in own {
        assert_eq!(
            tree["views"][0]["targets"][0]["outcome"], "already-warm",
            "{tree:#}"
        );
    }
    untouched(&desk, builds, &tags);
}

#[test]
fn planted_programs_are_not_run_by_the_daemon() {
    let desk = Desk::new();
    let canary = desk.machine.home().join("canary");
    let (_daemon, mut follower) = watched(&desk);
    let (builds, tags) = (desk.machine.builds(), registry::tags(&desk.scene.name));
    let script = format!("#!/bin/sh\ntouch '{}'\n", canary.display());
    for hook in [
        "post-index-change",
        "post-checkout",
        "fsmonitor-watchman",
        "reference-transaction",
    ] {
        desk.here.file(&format!("planted/{hook}"), &script);
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(desk.here.path().join(format!("planted/{hook}")), mode)
            .expect("it was written");
    }
    desk.foreign("evil", &|repo| {
        repo.file(".gitattributes", "* filter=evil diff=evil merge=evil\n")
            .file("deps.txt", "evil\n");
    });
    until_both(&mut follower, &desk, &["needs-approval"]);
    // From here on git itself is not run: it is meant to run these.
    let config = desk.here.path().join(".git/config");
    let planted = format!(
        "\n[core]\n\thooksPath = planted\n\tfsmonitor = {0}\n\tsshCommand = {0}\n[diff]\n\texternal = {0}\n[diff \"evil\"]\n\ttextconv = {0}\n[merge \"evil\"]\n\tdriver = {0}\n",
        desk.here.path().join("planted/post-checkout").display()
    );
    let good = fs::read_to_string(&config).expect("it is there");
    fs::write(&config, good.clone() + &planted).expect("a file can be written");
    desk.here.file("Dockerfile", dockerfile() + "# evil\n");
    let looked = |status: &Value| status["trees"][0]["views"][1]["targets"][0]["at"].as_i64();
    let before = looked(&desk.machine.status());
    follower.until("it was looked at again", |status| looked(status) > before);
    until_both(&mut follower, &desk, &["needs-approval"]);
    let filter = format!(
        "[filter \"evil\"]\n\tclean = touch '{}'; cat\n",
        canary.display()
    );
    fs::write(&config, good.clone() + &planted + &filter).expect("a file can be written");
    desk.here.file("Dockerfile", dockerfile() + "# again\n");
    follower.until("the filter is refused", |status| {
        status["trees"][0]["views"][1]
            .to_string()
            .contains("filter.evil.clean")
    });
    assert!(!canary.exists());
    untouched(&desk, builds, &tags);
}

#[test]
fn checkouts_forth_and_back_are_never_built() {
    let desk = Desk::new();
    desk.foreign("evil", &|repo| {
        repo.file("Dockerfile", dockerfile() + "RUN touch /evil\n")
            .file("deps.txt", "evil\n");
    });
    desk.here.git(&["switch", "--quiet", "topic"]);
    // As soon as it can be.
    desk.machine.configure("[daemon]\nquiet = \"50ms\"\n");
    let (_daemon, mut follower) = watched(&desk);
    let (builds, tags) = (desk.machine.builds(), registry::tags(&desk.scene.name));
    for round in 0..100 {
        desk.here
            .git(&["switch", "--quiet", "--detach", "origin/evil"]);
        if round % 10 == 0 {
            until_both(&mut follower, &desk, &["needs-approval"]);
        }
        desk.here.git(&["switch", "--quiet", "topic"]);
    }
    until_both(&mut follower, &desk, &["already-warm"]);
    untouched(&desk, builds, &tags);
    desk.here
        .git(&["switch", "--quiet", "--detach", "origin/evil"]);
    until_both(&mut follower, &desk, &["needs-approval"]);
    untouched(&desk, builds, &tags);
    // Had it passed once, it would be approved.
    desk.proxy.forget();
    desk.refuses("still", &desk.head());
}
