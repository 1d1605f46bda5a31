//! Every way to a cache, and pruning that nobody asked for.

use serde_json::Value;

use super::{ALL, Desk, document, names, settle};
use crate::support::engines::engines;
use crate::support::own_engine::Store;
use crate::support::prewarm::Machine;
use crate::support::relay::Relay;
use crate::support::repo::Repo;
use crate::support::tls_buildkitd::{TlsBuildkitd, tls};

/// Requires that what a warm needs stays, and what a stranger built goes.
#[track_caller]
pub(super) fn spares_what_is_needed(desk: &Desk, machine: &Machine, repo: &Repo, more: &[&str]) {
    let stranger = desk.stranger("echo stranger");
    desk.build(&stranger);
    settle();
    let arguments = [&["prune", "--yes", "--json"], &ALL[..], more].concat();
    let done = document(&machine.ask(&arguments));
    assert_eq!(done["report"]["ended"], "done", "{done:#}");
    assert_eq!(done["report"]["stayed"], 0, "{done:#}");
    let left = desk.records();
    let gone = names(&done["deletions"]);
    assert!(!gone.is_empty() && left.is_disjoint(&gone), "{done:#}");
    desk.build(repo).assert_all_cached(2);
    assert_eq!(desk.build(&stranger).missed().len(), 1);
}

#[test]
fn a_classic_image_store_is_pruned_like_the_other() {
    let desk = Desk::on(Store::Classic);
    let repo = desk.project();
    // It can export no cache, so that nothing tells what the key needs.
    let warmed = desk.machine.warm(repo.path()).args(["--no-push"]).json();
    warmed.is("local-only");
    spares_what_is_needed(&desk, &desk.machine, &repo, &[]);
}

#[test]
fn a_buildkitd_is_pruned_on_a_socket_and_on_a_port() {
    let desk = Desk::new();
    let repo = desk.project();
    let relays = [Relay::unix, Relay::tcp].map(|make| make(&desk.engine.socket()));
    // Where it is the only one that is configured, and where it is named.
    let only = ["--builder", relays[1].endpoint()];
    for (relay, more) in relays.iter().zip([&[][..], &only]) {
        let machine = Machine::without_engine();
        machine.configure(&format!("[builder]\nendpoint = \"{}\"\n", relay.endpoint()));
        repo.file(
            "deps.txt",
            format!("{} {}\n", desk.engine.scene.seed, relay.endpoint()),
        )
        .commit();
        machine
            .warm(repo.path())
            .args(["--no-push"])
            .json()
            .is("local-only");
        spares_what_is_needed(&desk, &machine, &repo, more);
    }
    // By its name it is found without any configuration; nothing there is ours to keep.
    let machine = Machine::without_engine();
    let only = ["--builder", relays[0].endpoint(), "--json"];
    let shown = document(&machine.ask(&[&["prune"], &ALL[..], &only].concat()));
    assert_eq!(names(&shown["deletions"]), desk.records());
    let nobody = machine.ask(&["prune"]);
    assert_eq!(nobody.code(), 3, "{}", nobody.stderr);
}

#[test]
fn a_buildkitd_is_pruned_over_tls_and_one_that_buildx_knows() {
    let desk = Desk::new();
    let buildkitd = TlsBuildkitd::new(&desk.engine.host());
    let relay = Relay::unix(&desk.engine.socket());
    let name = format!("it-{}", desk.engine.scene.seed);
    let machine = Machine::with_engine("unix:///nonexistent/docker.sock");
    let create = ["--driver=remote", "--name", &name, relay.endpoint()];
    let mut buildx = engines().docker(&desk.engine.host(), &machine.docker_config());
    let made = buildx.args(["buildx", "create"]).args(create).status();
    assert!(made.expect("docker can be run").success());
    let repo = desk.project();
    for configuration in [
        buildkitd.configuration(&tls("own", Some("own"))),
        format!("[builder]\nendpoint = \"buildx:{name}\"\n"),
    ] {
        machine.configure(&configuration);
        repo.file("deps.txt", format!("{name} {}\n", configuration.len()))
            .commit();
        let warmed = machine.warm(repo.path()).args(["--no-push"]).json();
        warmed.is("local-only");
        spares_what_is_needed(&desk, &machine, &repo, &[]);
    }
}

#[test]
fn our_own_container_is_pruned_and_looked_at_only_while_it_runs() {
    let desk = Desk::new();
    let machine = &desk.machine;
    machine.configure(&format!(
        "[builder]\nnetwork = \"host\"\n[consent]\nbuildkit_images = [\"{}/base/buildkit\"]\n",
        engines().registry
    ));
    let repo = desk.project();
    let ci = format!("buildkit = \"{}\"", engines().buildkit);
    let cache = format!("cache = \"{}\"", desk.engine.scene.cache());
    repo.configure(&ci, &cache).commit();
    machine.warm(repo.path()).json().is("warm");
    repo.branch("gone")
        .file("deps.txt", format!("{} gone\n", desk.engine.scene.seed))
        .commit();
    machine.warm(repo.path()).json().is("warm");
    repo.git(&["switch", "--quiet", "topic"]);
    repo.git(&["branch", "--delete", "--force", "gone"]);

    let done = desk.prune_all(&["--builder", "container"]);
    assert_eq!(done["report"]["ended"], "done", "{done:#}");
    let gone = done["deletions"].as_array().into_iter().flatten();
    let of_gone = gone.filter(|record| record["description"].to_string().contains("sort /app"));
    assert_eq!(of_gone.count(), 1, "{done:#}");
    let again = machine.warm(repo.path()).args(["--force"]).json();
    assert_eq!(again.is("warm").target()["steps_run"], 0, "{again:#?}");

    desk.engine.ask(&["stop", "--time=0", "prewarm-buildkit"]);
    let shown = desk.shown(&["--json"]);
    assert!(
        shown["notes"].to_string().contains("does not run"),
        "{shown:#}"
    );
    assert_eq!(
        desk.engine.ask(&["ps", "--quiet"]),
        "",
        "nothing was started"
    );
}

#[test]
fn by_itself_it_prunes_what_the_caches_have_too_much() {
    let desk = Desk::new();
    let repo = desk.project();
    desk.machine.warm(repo.path()).json().is("warm");
    let stranger = desk.stranger("head -c 20000000 /dev/urandom > /random");
    desk.build(&stranger);
    settle();
    let configure = |most: &str, more: &str| {
        desk.machine.configure(&format!(
            "[prune]\nmax_cache = \"{most}\"\nfloor = \"0B\"\nkeep_newer_than = \"0s\"\n{more}"
        ));
    };
    let look = || desk.shown(&["--automatic", "--json"]);
    let before = desk.records();
    configure("1GB", "");
    assert_eq!(look()["state"], "enough");
    configure("15MB", "automatic = false\n");
    assert_eq!(look()["state"], "short");
    assert_eq!(desk.records(), before);

    configure("15MB", "");
    let pruned = look();
    assert_eq!(pruned["state"], "pruned", "{pruned:#}");
    assert!(pruned["last"]["items"].as_u64() > Some(0), "{pruned:#}");
    assert!(
        pruned["last"]["reported"].as_u64() >= Some(20_000_000),
        "{pruned:#}"
    );
    let cache = &pruned["caches"][0];
    assert!(cache["bytes"].as_u64() <= Some(15_000_000), "{pruned:#}");
    // What is stored is what everybody shows.
    // Without a daemon it says so, besides.
    let status = desk.machine.ask(&["status", "--json"]).stdout;
    let status: Value = serde_json::from_str(&status).expect("it is JSON");
    assert_eq!(status["status"]["disk"], pruned, "{status:#}");
    desk.build(&repo).assert_all_cached(2);
    assert_eq!(desk.build(&stranger).missed().len(), 1);

    // Where what is needed is already too much, it says who needs it.
    configure("1B", "");
    settle();
    let short = look();
    assert_eq!(short["state"], "short", "{short:#}");
    let holders = short["holders"].to_string();
    assert!(
        holders.contains("needed by project/builder of topic"),
        "{short:#}"
    );
    desk.build(&repo).assert_all_cached(2);
    let history = desk.shown(&["--history", "--json"]).to_string();
    assert!(history.contains("the caches were too large"), "{history}");
}
