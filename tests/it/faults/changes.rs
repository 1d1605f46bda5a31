//! What the user changes while it runs: configuration, consent, and where repositories are.

use std::fs;

use serde_json::Value;

use super::project;
use crate::support::daemon::Daemon;
use crate::support::engines::Scene;
use crate::support::prewarm::Machine;
use crate::support::proxy::Proxy;
use crate::support::registry;

fn problems(status: &Value) -> String {
    status["problems"].to_string()
}

fn trees(status: &Value) -> usize {
    status["trees"].as_array().map_or(0, Vec::len)
}

#[test]
fn a_broken_configuration_leaves_the_old_one_in_force_until_it_is_mended() {
    let machine = Machine::without_engine();
    let daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    // There was not even a directory for it.
    machine.configure("[daemon]\nparallel = 2\n");
    follower.until("it is read", |status| status["parallel"] == 2);
    machine.configure("[daemon]\nparallel = \"many\"\n");
    let status = follower.until("it is told", |status| {
        problems(status).contains("stays in force")
    });
    assert_eq!(status["parallel"], 2);
    assert!(
        problems(&status).contains("parallel"),
        "{}",
        problems(&status)
    );
    assert!(
        problems(&status).contains("prewarm config check"),
        "{}",
        problems(&status)
    );
    machine.configure("[daemon]\nparallel = 3\n");
    let status = follower.until("it is mended", |status| status["parallel"] == 3);
    assert_eq!(problems(&status), "[]");
    // A directory that was replaced, and a signal for file systems that tell nothing.
    let config = machine.home().join(".config/prewarm");
    fs::rename(&config, config.with_extension("old")).expect("it is there");
    machine.configure("[daemon]\nparallel = 4\n");
    follower.until("the new one is read", |status| status["parallel"] == 4);
    daemon.signal("HUP");
    assert_eq!(machine.status()["parallel"], 4);
}

#[test]
fn denied_while_it_builds_nothing_is_pushed() {
    let (scene, proxy) = (Scene::new(), Proxy::new());
    let repo = project(&scene, &proxy, "600");
    let machine = Machine::new();
    machine.allow(repo.path());
    let daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    follower.until_in_step();
    let denied = machine.prewarm(repo.path()).args(["deny"]).run();
    assert_eq!(denied.code(), 0, "{}", denied.stderr);
    follower.until("nothing is built", |status| {
        trees(status) == 0 && status["builds"] == 0
    });
    crate::support::wait::until("its job ends", std::time::Duration::from_secs(20), || {
        crate::support::daemon::jobs(&machine.state(), "job --supervised").is_empty()
    });
    assert_eq!(registry::tags(&scene.name), [""; 0]);
    assert_eq!(proxy.taken(), []);
}

#[test]
fn a_work_tree_that_goes_is_let_go_of_and_one_that_comes_back_is_taken_up() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    machine.allow(repo.path()).install_hooks(repo.path());
    let daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    follower.until_idle();
    let moved = repo.path().with_extension("moved");
    fs::rename(repo.path(), &moved).expect("a directory can be moved");
    follower.until("it is let go of", |status| trees(status) == 0);
    let repos = machine.ask(&["repos"]).stdout;
    assert!(repos.contains("not there any more"), "{repos}");
    // Where it is now, nobody has allowed it.
    let status = machine
        .prewarm(&moved)
        .args(["job", "--source", "head"])
        .run();
    assert_eq!(status.code(), 5, "{}", status.stderr);
    fs::rename(&moved, repo.path()).expect("a directory can be moved");
    // Its own hook tells of it.
    repo.file("deps.txt", format!("{} back\n", scene.seed))
        .commit();
    let commit = repo.git(&["rev-parse", "--short=7", "HEAD"]);
    follower.until_target("head", &["warm", "already-warm"], &commit);
    fs::remove_dir_all(repo.path()).expect("it is there");
    follower.until("it is let go of again", |status| trees(status) == 0);
    machine.status();
}
