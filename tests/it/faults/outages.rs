//! What the daemon needs is away for a while: the Engine, the registry, the network.

use std::os::unix::fs::symlink;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::project;
use crate::support::ci::{CHECKOUT, CiBuild};
use crate::support::daemon::{Daemon, view};
use crate::support::engines::{Scene, engines, script};
use crate::support::prewarm::Machine;
use crate::support::proxy::{Fault, Proxy, Request};
use crate::support::repo::ENGINE;

/// Whether it is said what is missing in HEAD's view, and when it is tried again.
fn waits(status: &Value, missing: &str) -> bool {
    let head = view(status, "head");
    head["retry_seconds"].is_number() && head.to_string().contains(missing)
}

#[test]
fn an_engine_that_comes_later_is_found() {
    let scene = Scene::new();
    let repo = scene.project();
    let place = tempfile::tempdir().expect("a temporary directory can be made");
    let socket = place.path().join("docker.sock");
    let machine = Machine::with_engine(&format!("unix://{}", socket.display()));
    machine.allow(repo.path());
    let daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    follower.until("it says what is missing", |status| {
        waits(status, "docker.sock")
    });
    let shown = machine.ask(&["status"]).stdout;
    assert!(shown.contains("next try in"), "{shown}");
    let real = engines().a.strip_prefix("unix://").expect("it is a socket");
    symlink(real, &socket).expect("a link can be made");
    follower.until_target("head", &["warm", "already-warm"], "commit");
}

#[test]
fn without_a_network_it_waits() {
    let scene = Scene::new();
    let repo = scene.project();
    // No host has this address (RFC 5737).
    let machine = Machine::with_engine("tcp://192.0.2.1:2375");
    machine.allow(repo.path());
    let daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    follower.until("it says what is missing", |status| {
        waits(status, "192.0.2.1")
    });
    assert_eq!(machine.status()["builds"], 0);
}

#[test]
fn a_registry_that_is_down_for_a_while_gets_its_cache_later() {
    let (scene, proxy) = (Scene::new(), Proxy::new());
    let repo = project(&scene, &proxy, "0.1");
    let machine = Machine::new();
    machine
        .configure("[warm]\nretries = 0\n")
        .allow(repo.path());
    proxy.fault(Fault::Answer(503, vec![]), usize::MAX, |_| true);
    let daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    follower.until("it says what is missing", |status| waits(status, "503"));
    proxy.forget();
    follower.until_target("head", &["warm", "already-warm"], "commit");
    let steps = CiBuild::new(&repo, CHECKOUT)
        .cache_from(scene.branch_tag("topic"))
        .run();
    steps.assert_all_cached(2);
}

#[test]
fn a_registry_that_refuses_connections_is_tried_again() {
    let (scene, mut proxy) = (Scene::new(), Proxy::new());
    let repo = project(&scene, &proxy, "0.1");
    let machine = Machine::new();
    machine
        .configure("[warm]\nretries = 0\n")
        .allow(repo.path());
    let address = proxy.address();
    proxy.close();
    let daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    follower.until("it says what is missing", |status| waits(status, &address));
    // The registry is somewhere else now.
    repo.configure(ENGINE, &format!("cache = \"{}\"", scene.cache()))
        .commit();
    follower.until_target("head", &["warm", "already-warm"], "commit");
}

#[test]
fn uploads_that_break_off_are_done_again() {
    let (scene, proxy) = (Scene::new(), Proxy::new());
    let repo = project(&scene, &proxy, "0.1");
    let machine = Machine::new();
    machine.allow(repo.path());
    proxy.fault(Fault::Reset(10), 4, Request::sends_blob);
    let daemon = Daemon::start(&machine);
    daemon
        .follow()
        .until_target("head", &["warm", "already-warm"], "commit");
}

/// Brings engine A up again, whatever the test does.
struct Restarted(Option<Child>);

impl Drop for Restarted {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            // It says itself what went wrong.
            let _ = child.wait();
        }
    }
}

#[test]
fn an_engine_that_restarts_in_the_middle_of_a_build_builds_it_again() {
    let (scene, proxy) = (Scene::exclusive(), Proxy::new());
    let repo = project(&scene, &proxy, "4");
    let machine = Machine::new();
    machine.allow(repo.path());
    let daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    follower.until_in_step();
    script(&["kill", "a"]);
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/engine");
    let starting = Command::new(path)
        .args(["start", "a"])
        .stdout(Stdio::null())
        .spawn();
    let _restarted = Restarted(Some(starting.expect("the script can be run")));
    follower.until("it is tried again", |status| {
        view(status, "head")["retry_seconds"].is_number()
    });
    follower.until_target("head", &["warm", "already-warm"], "commit");
}
