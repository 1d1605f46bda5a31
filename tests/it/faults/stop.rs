//! The daemon is asked to end.

use std::time::{Duration, Instant};

use super::project;
use crate::support::daemon::{Daemon, jobs, signal};
use crate::support::engines::Scene;
use crate::support::prewarm::Machine;
use crate::support::proxy::Proxy;
use crate::support::registry;
use crate::support::repo::Repo;
use crate::support::wait::until;

/// A daemon in the middle of a build that takes so long.
fn building(machine: &Machine, seconds: &str) -> (Scene, Proxy, Repo) {
    let (scene, proxy) = (Scene::new(), Proxy::new());
    let repo = project(&scene, &proxy, seconds);
    machine.allow(repo.path());
    (scene, proxy, repo)
}

/// Requires that nothing of it is left.
#[track_caller]
fn is_gone(machine: &Machine) {
    until("no job is left over", Duration::from_secs(20), || {
        jobs(&machine.state(), "job").is_empty()
    });
    assert!(!machine.discovery().exists());
    assert!(!machine.state().join("run/daemon.sock").exists());
}

#[test]
fn the_first_sigterm_lets_builds_end() {
    let machine = Machine::new();
    let (scene, _proxy, _repo) = building(&machine, "2");
    let mut daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    follower.until_in_step();
    daemon.signal("TERM");
    follower.until("it says that it ends", |status| {
        status["mode"] == "stopping"
    });
    assert_eq!(daemon.end(), 0);
    assert!(registry::tags(&scene.name).contains(&"builder-cache-topic".to_owned()));
    is_gone(&machine);
}

#[test]
fn the_second_sigterm_ends_it_at_once() {
    let machine = Machine::new();
    let (scene, _proxy, _repo) = building(&machine, "600");
    let mut daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    follower.until_in_step();
    daemon.signal("TERM");
    follower.until("it says that it ends", |status| {
        status["mode"] == "stopping"
    });
    let asked = Instant::now();
    daemon.signal("TERM");
    assert_eq!(daemon.end(), 0);
    assert!(asked.elapsed() < Duration::from_secs(5));
    is_gone(&machine);
    assert_eq!(registry::tags(&scene.name), [""; 0]);
}

#[test]
fn stop_waits_for_builds_as_long_as_the_grace_and_now_does_not() {
    let machine = Machine::new();
    machine.configure("[daemon]\ngrace = \"1s\"\n");
    let (scene, _proxy, _repo) = building(&machine, "600");
    for arguments in [&["daemon", "stop"][..], &["daemon", "stop", "--now"]] {
        let mut daemon = Daemon::start(&machine);
        daemon.follow().until_in_step();
        let asked = Instant::now();
        let stopped = machine.ask(arguments);
        assert_eq!(stopped.code(), 0, "{}", stopped.stderr);
        let time = asked.elapsed();
        assert!(time < Duration::from_secs(8), "{arguments:?} took {time:?}");
        assert_eq!(daemon.end(), 0);
        is_gone(&machine);
    }
    assert_eq!(registry::tags(&scene.name), [""; 0]);
}

#[test]
fn a_job_that_hangs_does_not_keep_it() {
    let machine = Machine::new();
    machine.configure("[daemon]\ngrace = \"1s\"\n");
    let (_scene, _proxy, _repo) = building(&machine, "600");
    let mut daemon = Daemon::start(&machine);
    daemon.follow().until_in_step();
    let job = daemon.job("job --supervised --source head");
    signal(job, "STOP");
    let asked = Instant::now();
    daemon.signal("TERM");
    assert_eq!(daemon.end(), 0);
    let time = asked.elapsed();
    assert!(time < Duration::from_secs(20), "it took {time:?}");
    is_gone(&machine);
}
