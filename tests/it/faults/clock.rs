//! The clock is set while the daemon runs (libfaketime, of Debian's package `faketime`).

use std::fs;

use crate::support::daemon::Daemon;
use crate::support::engines::Scene;
use crate::support::faketime::library;
use crate::support::prewarm::Machine;

#[test]
fn a_clock_that_is_set_by_a_day_stops_nothing() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    machine.allow(repo.path());
    let library = library().expect("`scripts/setup packages faketime` installs it");
    let clock = machine.home().join("clock");
    let set = |offset: &str| {
        let new = clock.with_extension("new");
        fs::write(&new, format!("{offset}\n")).expect("a file can be written");
        fs::rename(new, &clock).expect("a file can be renamed");
    };
    set("+0");
    let path = clock.display().to_string();
    let environment = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", &path),
        ("FAKETIME_NO_CACHE", "1"),
        // As a real clock that is set: time that only counts up goes on.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let daemon = Daemon::start_with(&machine, &environment.into());
    let mut follower = daemon.follow();
    follower.until_idle();
    for (round, offset) in ["+1d", "-1d", "+0"].into_iter().enumerate() {
        set(offset);
        repo.file("deps.txt", format!("{} {round}\n", scene.seed))
            .commit();
        let commit = repo.git(&["rev-parse", "--short=7", "HEAD"]);
        follower.until_target("head", &["warm", "already-warm"], &commit);
        let status = follower.until_idle();
        assert_eq!(status["problems"].to_string(), "[]");
        let shown = machine.ask(&["status"]);
        assert_eq!(shown.code(), 0, "{}", shown.stderr);
    }
    assert!(daemon.pid() > 0);
    // Builds, one for each change, and the first.
    assert_eq!(machine.builds(), 4, "{:#}", machine.history());
}
