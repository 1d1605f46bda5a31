//! The daemon or its jobs are killed.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::Duration;

use super::project;
use crate::support::ci::{CHECKOUT, CiBuild};
use crate::support::daemon::{Daemon, jobs, signal};
use crate::support::engines::Scene;
use crate::support::prewarm::Machine;
use crate::support::proxy::Proxy;
use crate::support::registry;
use crate::support::wait::until;

/// How often the daemon is killed; `PREWARM_TEST_KILLS` may say more.
const KILLS: usize = 60;

/// Generous, for a machine that compiles meanwhile.
const ANSWER: Duration = Duration::from_secs(5);

#[test]
fn killed_again_and_again_nothing_is_lost_and_nothing_is_pushed_twice() {
    let kills = std::env::var("PREWARM_TEST_KILLS");
    let kills = kills
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(KILLS);
    let (scene, proxy) = (Scene::new(), Proxy::new());
    let repo = project(&scene, &proxy, "0.3");
    let machine = Machine::new();
    machine
        .configure("[daemon]\nquiet = \"50ms\"\n")
        .allow(repo.path());
    let mut times = Vec::new();
    for round in 0..kills {
        let daemon = Daemon::spawn(&machine, &BTreeMap::new());
        if round % 5 > 0 {
            times.push(daemon.answers());
        }
        if round % 2 == 0 {
            repo.file("deps.txt", format!("{} {round}\n", scene.seed));
        }
        if round % 6 == 0 {
            repo.commit();
        }
        // No event: it is to be killed at any moment of its work.
        thread::park_timeout(Duration::from_millis(fastrand::u64(0..700)));
        daemon.kill();
    }
    repo.commit();
    let daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    let commit = repo.git(&["rev-parse", "--short=7", "HEAD"]);
    follower.until_target("head", &["warm", "already-warm"], &commit);
    follower.until_idle();
    let steps = CiBuild::new(&repo, CHECKOUT)
        .cache_from(scene.branch_tag("topic"))
        .run();
    steps.assert_all_cached(2);
    registry::assert_complete(&scene.name);

    let mut pushed: BTreeMap<String, usize> = BTreeMap::new();
    for request in proxy.taken() {
        let blob = request
            .path
            .split_once("digest=")
            .map(|(_, digest)| digest.to_owned());
        let key = Some(request.path.clone()).filter(|_| request.writes_tag("-k-"));
        if let Some(what) = blob.or(key) {
            *pushed.entry(what).or_default() += 1;
        }
    }
    pushed.retain(|_, times| *times > 1);
    assert!(pushed.is_empty(), "pushed more than once: {pushed:#?}");
    until("no job is left over", Duration::from_secs(20), || {
        jobs(&machine.state(), "job").is_empty()
    });
    let left = fs::read_dir(machine.state().join("builds")).expect("it was made");
    assert_eq!(left.count(), 0);
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    assert!(
        at(100) < ANSWER,
        "median {:?}, of a hundred the 95th {:?}, longest {:?}",
        at(50),
        at(95),
        at(100)
    );
    if let Ok(path) = std::env::var("PREWARM_TEST_TIMES") {
        let text = format!("{:?} {:?} {:?} {:?}\n", at(0), at(50), at(95), at(100));
        fs::write(path, text).expect("a file can be written");
    }
}

#[test]
fn a_job_that_is_killed_is_tried_again() {
    let (scene, proxy) = (Scene::new(), Proxy::new());
    let repo = project(&scene, &proxy, "3");
    let machine = Machine::new();
    machine.allow(repo.path());
    let daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    follower.until_in_step();
    signal(daemon.job("job --supervised --source head"), "KILL");
    follower.until("it is tried again", |status| {
        status["trees"][0]["views"][0]["retry_seconds"].is_number()
    });
    follower.until_target("head", &["warm", "already-warm"], "commit");
    follower.until_idle();
    assert_eq!(
        fs::read_dir(machine.state().join("builds"))
            .expect("it was made")
            .count(),
        0
    );
}
