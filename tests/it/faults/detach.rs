//! The daemon in the background.

use std::fs;
use std::thread;
use std::time::Duration;

use crate::support::daemon::jobs;
use crate::support::prewarm::{Finished, Machine};
use crate::support::wait::until;

/// Starts one in the background.
fn detach(machine: &Machine) -> Finished {
    machine.ask(&["daemon", "--detach"])
}

/// What is there ends with the test.
struct Background<'m>(&'m Machine);

impl Drop for Background<'_> {
    fn drop(&mut self) {
        // The test may have ended it.
        let _ = self
            .0
            .prewarm(self.0.home())
            .args(["daemon", "stop", "--now"])
            .run();
    }
}

#[test]
fn it_goes_into_the_background_once_and_writes_its_log() {
    let machine = Machine::without_engine();
    let started = detach(&machine);
    let _background = Background(&machine);
    assert_eq!(started.code(), 0, "{}", started.stderr);
    let pid = machine.status()["pid"].to_string();
    assert!(started.stdout.contains(&pid), "{}", started.stdout);
    let second = machine.ask(&["daemon", "--detach"]);
    assert_eq!(second.code(), 2, "{}", second.stderr);
    assert!(
        second.stderr.contains("the daemon runs already (process "),
        "{}",
        second.stderr
    );
    assert_eq!(machine.ask(&["daemon", "run"]).code(), 2);
    until("the log is written", Duration::from_secs(20), || {
        let logs = fs::read_dir(machine.state().join("logs")).expect("it was made");
        let read = |log: std::io::Result<fs::DirEntry>| fs::read_to_string(log.ok()?.path()).ok();
        logs.filter_map(read)
            .any(|text| text.contains("listens at"))
    });
    assert!(machine.ask(&["logs"]).stdout.contains("listens at"));
    assert_eq!(machine.ask(&["daemon", "stop"]).code(), 0);
    assert!(!machine.discovery().exists());
}

#[test]
fn what_keeps_it_from_starting_is_said_in_the_terminal() {
    let machine = Machine::without_engine();
    fs::create_dir_all(machine.state().join("run/daemon.sock/full"))
        .expect("directories can be made");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(machine.state().join("run"), mode).expect("it was made");
    let started = detach(&machine);
    assert_eq!(started.code(), 3, "{}", started.stdout);
    assert!(
        started.stderr.contains("run/daemon.sock cannot be made"),
        "{}",
        started.stderr
    );
    machine.configure("[daemon]\nparallel = 0\n");
    assert_eq!(detach(&machine).code(), 2);
}

#[test]
fn of_many_that_start_at_once_one_runs() {
    let machine = Machine::without_engine();
    let _background = Background(&machine);
    let ended: Vec<_> = thread::scope(|scope| {
        let starting: Vec<_> = (0..20).map(|_| scope.spawn(|| detach(&machine))).collect();
        starting
            .into_iter()
            .map(|one| one.join().expect("it does not panic"))
            .collect()
    });
    let pid = machine.status()["pid"].to_string();
    let (started, refused): (Vec<_>, Vec<_>) = ended.iter().partition(|one| one.code() == 0);
    assert!(!started.is_empty());
    for one in started {
        assert!(one.stdout.contains(&pid), "{} is not {pid}", one.stdout);
    }
    for one in refused {
        assert_eq!(one.code(), 2, "{}", one.stderr);
        assert!(one.stderr.contains("runs already"), "{}", one.stderr);
    }
    // Whoever finds one that answers does not wait for its own to see that the lock is taken.
    let daemons = || jobs(&machine.state(), "daemon --detach");
    until("the others are gone", Duration::from_secs(20), || {
        daemons().len() == 1
    });
    assert_eq!(daemons()[0].to_string(), pid);
}
