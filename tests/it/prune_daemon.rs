//! Looks at the disk that nobody asks for by hand: the daemon's, a hook's, and one before a build that would not fit.
//!
//! Where engines are shared with other tests everything is too young to go: there it shows that somebody looks, and that
//! all is told.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::daemon::commit_here;
use crate::prune::settle;
use crate::support::ci;
use crate::support::daemon::{Daemon, jobs};
use crate::support::engines::{Scene, engines};
use crate::support::own_engine::{OwnEngine, Store};
use crate::support::prewarm::Machine;
use crate::support::repo::Repo;
use crate::support::wait::until;

/// It is always time, and nothing may go.
const SHORT: &str = "[prune]\nstart = \"95%\"\nkeep_newer_than = \"3650d\"\n";

/// A machine with an allowed repository.
fn allowed(scene: &Scene, configuration: &str) -> (Machine, Repo) {
    let repo = scene.project();
    let machine = Machine::new();
    machine.configure(configuration).allow(repo.path());
    (machine, repo)
}

/// The cache of engine A, as the status has it.
fn cache(status: &Value) -> &Value {
    let caches = status["disk"]["caches"].as_array().into_iter().flatten();
    let mut engine = caches.filter(|cache| cache["builder"] == "engine");
    engine.next().unwrap_or(&Value::Null)
}

/// What the status says without a daemon.
fn remembered(machine: &Machine) -> Value {
    let status = machine.ask(&["status", "--json"]);
    let document: Value = serde_json::from_str(&status.stdout).expect("it is JSON");
    document["status"].clone()
}

#[test]
fn the_daemon_looks_at_the_disk_and_says_what_holds_it() {
    let scene = Scene::new();
    let (machine, repo) = allowed(&scene, SHORT);
    let daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    // By now something was built in that cache, after which it is looked at again.
    follower.until_idle();
    let status = follower.until("the disk is short of space", |status| {
        status["disk"]["state"] == "short" && cache(status)["records"].as_u64() > Some(0)
    });
    let disk = &status["disk"]["disk"];
    let number = |of: &str| disk[of].as_u64().unwrap_or_default();
    assert!(number("free") < number("start"), "{disk}");
    assert!(number("start") < number("until"), "{disk}");
    assert_eq!(cache(&status)["prunable_bytes"], 0, "{status:#}");
    let holders = status["disk"]["holders"].as_array().expect("a list");
    assert!((1..=10).contains(&holders.len()), "{status:#}");

    let shown = machine.ask(&["status"]).stdout;
    assert!(shown.contains("\n  nothing more may go"), "{shown}");
    assert!(shown.contains("hint: `prewarm prune`"), "{shown}");

    // What is known outlives the daemon, and the next one begins with it.
    drop((follower, daemon));
    assert_eq!(remembered(&machine)["disk"]["state"], "short");
    machine.configure("[prune]\nautomatic = false\n");
    let daemon = Daemon::start(&machine);
    let status = daemon.follow().until("it knows what was", |status| {
        status["disk"]["state"] == "short"
    });
    assert_eq!(cache(&status)["prunable_bytes"], 0, "{status:#}");
    drop(repo);
}

#[test]
fn a_daemon_that_stops_takes_its_look_with_it() {
    let scene = Scene::new();
    // Hangs in the middle of an answer, as the look then does.
    let (machine, _repo) = allowed(&scene, "[prune]\nautomatic = true\n");
    let mut daemon = Daemon::start_with(
        &machine,
        &[("DOCKER_HOST", silent(machine.home()).as_str())].into(),
    );
    let look = daemon.job("prune --automatic");
    let stat = fs::read_to_string(format!("/proc/{look}/stat")).expect("it runs");
    let fields: Vec<_> = stat
        .rsplit_once(')')
        .map(|(_, fields)| fields.split_whitespace().collect())
        .unwrap_or_default();
    // Of `proc(5)`: the process group, and how nice it is.
    assert_eq!(fields[2], look.to_string());
    assert_eq!(fields[16], "10");
    daemon.signal("TERM");
    assert_eq!(daemon.end(), 0);
    assert_eq!(jobs(&machine.state(), "prune"), [0_u32; 0]);
}

/// An Engine that takes connections and says nothing.
fn silent(directory: &Path) -> String {
    let path = directory.join("silent.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("a socket can be made");
    // Whoever connects waits in the queue for as long as the test lasts.
    std::mem::forget(listener);
    format!("unix://{}", path.display())
}

#[test]
fn a_daemon_prunes_after_a_build() {
    let engine = OwnEngine::new(Store::Containerd);
    let machine = Machine::with_engine(&engine.host());
    machine.configure(
        "[prune]\nmax_cache = \"15MB\"\nfloor = \"0B\"\nkeep_newer_than = \"0s\"\nevery = \"1h\"\n",
    );
    let repo = engine.scene.project();
    machine.allow(repo.path());
    let docker =
        |work_tree: &Path| ci::build_cache(work_tree, &engine.host(), &machine.docker_config());
    let stranger = Repo::new();
    stranger.file(
        "Dockerfile",
        format!(
            "FROM {} AS builder\nRUN head -c 20000000 /dev/urandom > /random\n",
            engines().busybox
        ),
    );
    docker(stranger.path());
    settle();
    // Before the first warm it waits: nobody knows what is needed. After it, it does not.
    let daemon = Daemon::start(&machine);
    let status = daemon.follow().until("it has pruned", |status| {
        status["disk"]["state"] == "pruned"
    });
    let last = &status["disk"]["last"];
    assert!(last["items"].as_u64() > Some(0), "{status:#}");
    assert!(last["reported"].as_u64() >= Some(20_000_000), "{status:#}");
    docker(repo.path()).assert_all_cached(2);
    assert_eq!(docker(stranger.path()).missed().len(), 1);
    let shown = machine.ask(&["prune", "--history"]).stdout;
    assert!(shown.contains("the caches were too large"), "{shown}");
}

/// When the disk was last looked at.
fn looks(machine: &Machine) -> Value {
    remembered(machine)["disk"]["at"].clone()
}

#[test]
fn a_hook_looks_where_no_daemon_runs() {
    for (warms, hooks) in [(true, "[hooks]\nstandalone = true\n"), (false, "")] {
        let scene = Scene::new();
        let (machine, repo) = allowed(&scene, &format!("{SHORT}{hooks}"));
        machine.install_hooks(repo.path());
        let commit = |content: &str| {
            repo.file("deps.txt", format!("{} {content}\n", scene.seed));
            let output = commit_here(&machine, repo.path());
            assert_eq!((output.stdout, output.stderr), (vec![], vec![]));
        };
        let has_gone = || jobs(&machine.state(), "prewarm").is_empty();
        commit("more");
        // Before the first warm it is short of space, and nobody knows what is needed.
        let state = if warms { "short" } else { "waiting" };
        until("the disk was looked at", Duration::from_secs(60), || {
            remembered(&machine)["disk"]["state"] == state
        });
        until("it has gone", Duration::from_secs(60), has_gone);
        // Not so soon again.
        let (first, builds) = (looks(&machine), machine.builds());
        assert_eq!(builds > 0, warms);
        commit("and more");
        until("all is done", Duration::from_secs(60), || {
            has_gone() && (!warms || machine.builds() > builds)
        });
        assert_eq!((looks(&machine), machine.builds() > builds), (first, warms));
    }
}

#[test]
fn a_build_that_would_not_fit_has_room_made_first() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    machine.configure("[prune]\nkeep_newer_than = \"3650d\"\n");
    let making = |events: &[Value]| events.iter().any(|event| event["message"] == "making room");
    let first = machine.warm(repo.path()).json();
    assert!(!making(&first.is("warm").events));

    // As if it had been an enormous one.
    let records = rusqlite::Connection::open(machine.state().join("prewarm.db"));
    let records = records.expect("it is there");
    let enlarged = records.execute("UPDATE warms SET exported_bytes = 1000000000000000", []);
    assert_eq!(enlarged.expect("it can be written"), 1);
    let again = machine.warm(repo.path()).json();
    assert!(!making(&again.is("already-warm").events));
    repo.file("deps.txt", format!("{} more\n", scene.seed))
        .commit();
    let second = machine.warm(repo.path()).json();
    assert!(making(&second.is("warm").events), "{:#?}", second.events);
    let warned = second.events.iter().any(|event| {
        let message = event["message"].as_str().unwrap_or_default();
        event["event"] == "warning" && message.contains("no more room could be made")
    });
    assert!(warned, "{:#?}", second.events);
    assert_eq!(remembered(&machine)["disk"]["state"], "short");
}
