//! Where the socket is, and what may lie there.

use std::fs;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use super::{answers, machine, mode};
use crate::support::daemon::Daemon;
use crate::support::wait::until;

#[test]
fn whatever_lies_where_the_socket_should_be_is_no_hindrance() {
    let (machine, _repo) = machine();
    let run = machine.state().join("run");
    let socket = run.join("daemon.sock");
    fs::create_dir_all(&run).expect("directories can be made");
    mode(&run, 0o700);
    // Of a daemon that died, with what it said of itself.
    drop(UnixListener::bind(&socket).expect("it is new"));
    fs::write(
        machine.discovery(),
        "{\"pid\":1,\"socket\":\"/nowhere\",\"ver",
    )
    .expect("written");
    let daemon = Daemon::start(&machine);
    answers(&machine);
    // Others see where it is even if what says so is lost.
    fs::write(machine.discovery(), "garbage").expect("a file can be written");
    answers(&machine);
    until("it says again where it is", Duration::from_secs(20), || {
        fs::read_to_string(machine.discovery()).is_ok_and(|text| text.contains("daemon.sock"))
    });
    daemon.kill();

    fs::remove_file(&socket).expect("it was left");
    fs::create_dir_all(socket.join("full")).expect("directories can be made");
    let daemon = machine
        .prewarm(machine.home())
        .args(["daemon", "run"])
        .run();
    assert_eq!(daemon.code(), 3);
    assert!(
        daemon
            .stderr
            .contains("state/run/daemon.sock cannot be made"),
        "{}",
        daemon.stderr
    );
    fs::remove_dir_all(&socket).expect("it is ours");

    // Others could take our place in it: another one is taken.
    mode(&run, 0o755);
    let _daemon = Daemon::start(&machine);
    answers(&machine);
    let found = fs::read_to_string(machine.discovery()).expect("it was written");
    assert!(!found.contains(&run.display().to_string()), "{found}");
}

#[test]
fn where_the_sockets_path_would_be_too_long_there_is_a_short_one() {
    let (machine, _repo) = machine();
    let long = machine.home().join("x".repeat(120));
    fs::create_dir(&long).expect("a directory can be made");
    let long = long.display().to_string();
    let _daemon = Daemon::start_with(&machine, &[("XDG_RUNTIME_DIR", long.as_str())].into());
    answers(&machine);
}
