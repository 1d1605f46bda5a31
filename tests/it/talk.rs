//! The daemon's socket and its commands: whoever else is there, and whatever they say.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::daemon::Daemon;
use crate::support::prewarm::Machine;
use crate::support::repo::Repo;
use crate::support::wire::{Wire, hello};

mod place;

/// A machine with an allowed repository that needs no Engine to be looked at.
fn machine() -> (Machine, Repo) {
    let machine = Machine::without_engine();
    let repo = Repo::new();
    repo.file("Dockerfile", "FROM scratch AS builder\nCOPY deps.txt /\n")
        .file("deps.txt", "one\n")
        .commit();
    machine.allow(repo.path());
    (machine, repo)
}

/// Requires an answer within the time that a client waits for it.
#[track_caller]
fn answers(machine: &Machine) -> Duration {
    let started = Instant::now();
    let asked = machine.ask(&["status", "--json"]);
    assert_eq!(asked.code(), 0, "{}", asked.stderr);
    started.elapsed()
}

/// Kilobytes of memory that a process has in use.
fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let words = line.map(|line| line.trim().trim_end_matches(" kB").to_owned());
    words
        .and_then(|text| text.parse().ok())
        .expect("it is a number")
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode can be set");
}

#[test]
fn another_user_is_refused_by_who_it_is() {
    let (machine, _repo) = machine();
    let _daemon = Daemon::start(&machine);
    let run = machine.state().join("run");
    assert_eq!(
        fs::metadata(&run)
            .expect("it was made")
            .permissions()
            .mode()
            & 0o777,
        0o700
    );
    let socket = run.join("daemon.sock");
    assert_eq!(
        fs::metadata(&socket)
            .expect("it was made")
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
    // Let others come as far as they can.
    for path in [machine.home(), &machine.state(), &run, &socket] {
        mode(path, 0o777);
    }
    let asks = r#"
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(sys.argv[1])
hello = b'{"magic":"prewarm","oldest":1,"newest":1,"version":"0","pid":1}'
try:
    s.sendall(len(hello).to_bytes(4, "big") + hello)
    print(len(s.recv(1)))
except (BrokenPipeError, ConnectionResetError):
    print(0)
"#;
    let told = |user: &str| {
        let output = Command::new("setpriv")
            .args(["--clear-groups", "--regid", user, "--reuid", user])
            .args(["/usr/bin/python3", "-c", asks])
            .arg(&socket)
            .output()
            .expect("setpriv can be run");
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        said
    };
    assert_eq!(told("65534"), "0", "nothing is said to another user");
    assert_eq!(told("0"), "1");
}

#[test]
fn a_frame_that_is_too_long_ends_the_connection_before_it_is_read() {
    let (machine, _repo) = machine();
    let daemon = Daemon::start(&machine);
    let before = memory(daemon.pid());
    for _ in 0..200 {
        let mut wire = Wire::connect(&machine);
        wire.bytes(&u32::MAX.to_be_bytes())
            .bytes(&[b'x'; 4096])
            .is_cut_off();
        let mut wire = Wire::greet(&machine);
        wire.bytes(&u32::MAX.to_be_bytes()).is_cut_off();
    }
    let after = memory(daemon.pid());
    assert!(after < before + 8 * 1024, "{before} kB, then {after} kB");
    answers(&machine);
}

#[test]
fn nonsense_ends_the_connection_and_nothing_else() {
    let (machine, _repo) = machine();
    let _daemon = Daemon::start(&machine);
    for message in [
        json!({}),
        json!([1]),
        json!("prewarm"),
        json!({"magic": "prewarm"}),
    ] {
        Wire::connect(&machine).say(&message).is_cut_off();
    }
    for request in [
        json!({"request": "run", "command": "true"}),
        json!({"request": 7}),
        json!(null),
    ] {
        Wire::greet(&machine).say(&request).is_cut_off();
    }
    Wire::connect(&machine)
        .bytes(b"GET / HTTP/1.1\r\n\r\n")
        .is_cut_off();
    Wire::connect(&machine)
        .bytes(&4_u32.to_be_bytes())
        .bytes(b"\xff\xfe{\x00")
        .is_cut_off();
    // Whoever speaks another protocol is told which we speak, and no more.
    for (oldest, newest) in [(2, 9), (0, 0)] {
        let mut wire = Wire::connect(&machine);
        let ours = wire
            .say(&hello(oldest, newest))
            .hear()
            .expect("it says who it is");
        assert_eq!((&ours["oldest"], &ours["newest"]), (&json!(1), &json!(1)));
        wire.is_cut_off();
    }
    let mut newer = Wire::connect(&machine);
    newer.say(&hello(1, 9)).hear().expect("it says who it is");
    let status = newer.say(&json!({"request": "status"})).hear();
    assert_eq!(status.expect("they agree")["reply"], "status");
    answers(&machine);
}

#[test]
fn a_thousand_clients_that_say_nothing_or_never_read_keep_nobody_from_an_answer() {
    let (machine, _repo) = machine();
    let daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    follower.until_idle();
    let mut clients = Vec::new();
    for number in 0..1000 {
        let mut wire = Wire::connect(&machine);
        match number % 4 {
            0 => {}
            1 => drop(wire.bytes(&[0, 0])),
            2 => drop(wire.bytes(&64_u32.to_be_bytes()).bytes(b"{\"magic\":")),
            // It asks for all news, and never reads any.
            _ => drop(wire.say(&hello(1, 1)).say(&json!({"request": "follow"}))),
        }
        clients.push(wire);
        if number % 250 == 249 {
            let time = answers(&machine);
            assert!(time < Duration::from_secs(3), "an answer took {time:?}");
        }
    }
    let paused = machine.ask(&["pause"]);
    assert_eq!(paused.code(), 0, "{}", paused.stderr);
    let descriptors = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("it runs");
    assert!(descriptors.count() < 400);
    drop(clients);
    answers(&machine);
}

/// A status with everything taken out that differs from run to run.
fn without_times(mut status: Value) -> Value {
    for name in ["pid", "started_at", "watches", "version"] {
        assert!(!status[name].is_null(), "{name}");
        status[name] = json!("[IT]");
    }
    status["disk"]["at"] = json!("[IT]");
    let views = status["trees"][0]["views"]
        .as_array_mut()
        .expect("they are a list");
    for view in views {
        assert!(
            view["retry_seconds"].is_number(),
            "the Engine is tried again"
        );
        view["retry_seconds"] = json!("[IT]");
        for target in view["targets"].as_array_mut().expect("they are a list") {
            target["at"] = json!("[IT]");
            target["looked_at"] = json!("[IT]");
        }
        for error in view["errors"].as_array_mut().expect("they are a list") {
            error["message"] = json!("[IT]");
            error["remedy"] = json!("[IT]");
        }
    }
    status
}

/// The status as JSON, without what differs from run to run.
fn shape(machine: &Machine, repo: &Repo) -> String {
    let status = without_times(machine.status());
    let text = serde_json::to_string_pretty(&status).expect("it is JSON");
    text.replace(&repo.path().display().to_string(), "[REPO]")
}

#[test]
fn the_status_has_this_shape() {
    let (machine, repo) = machine();
    machine.configure("[prune]\nautomatic = true\n");
    let daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    follower.until("the disk was looked at", |status| !status["disk"].is_null());
    assert_snapshot!(shape(&machine, &repo), @r#"
    {
      "builds": 0,
      "disk": {
        "at": "[IT]",
        "caches": [],
        "disk": null,
        "holders": [],
        "last": null,
        "max_cache": null,
        "reason": "cannot connect to unix:///nonexistent/docker.sock (DOCKER_HOST); start it, or correct the address",
        "state": "failed"
      },
      "mode": "running",
      "parallel": 1,
      "paused_seconds": null,
      "pid": "[IT]",
      "problems": [],
      "started_at": "[IT]",
      "trees": [
        {
          "busy": null,
          "changing": false,
          "path": "[REPO]",
          "problems": [],
          "views": [
            {
              "branch": "main",
              "errors": [
                {
                  "message": "[IT]",
                  "remedy": "[IT]"
                }
              ],
              "phase": "idle",
              "retry_seconds": "[IT]",
              "targets": [
                {
                  "at": "[IT]",
                  "build": null,
                  "ci": {
                    "reason": "nothing was pushed",
                    "verdict": "will-not-hit"
                  },
                  "key": null,
                  "looked_at": "[IT]",
                  "notes": [],
                  "outcome": "missing",
                  "reason": "cannot connect to unix:///nonexistent/docker.sock (DOCKER_HOST)",
                  "source": "commit ed97247",
                  "tags": [],
                  "target": "builder"
                }
              ],
              "view": "head",
              "warnings": []
            },
            {
              "branch": "main",
              "errors": [
                {
                  "message": "[IT]",
                  "remedy": "[IT]"
                }
              ],
              "phase": "idle",
              "retry_seconds": "[IT]",
              "targets": [
                {
                  "at": "[IT]",
                  "build": null,
                  "ci": {
                    "reason": "nothing was pushed",
                    "verdict": "will-not-hit"
                  },
                  "key": null,
                  "looked_at": "[IT]",
                  "notes": [],
                  "outcome": "missing",
                  "reason": "cannot connect to unix:///nonexistent/docker.sock (DOCKER_HOST)",
                  "source": "the work tree",
                  "tags": [],
                  "target": "builder"
                }
              ],
              "view": "worktree",
              "warnings": []
            }
          ]
        }
      ],
      "version": "[IT]",
      "watches": "[IT]"
    }
    "#);
}

#[test]
fn it_pauses_resumes_reloads_and_stops() {
    let (machine, repo) = machine();
    let mut daemon = Daemon::start(&machine);
    let mut follower = daemon.follow();
    follower.until_idle();
    let say = |arguments: &[&str]| {
        let asked = machine.ask(arguments);
        assert_eq!(asked.code(), 0, "{}", asked.stderr);
        asked.stdout
    };
    assert_snapshot!(say(&["pause"]), @"no more builds are started until `prewarm resume`");
    follower.until("it pauses", |status| status["mode"] == "paused");
    repo.file("deps.txt", "two\n").commit();
    follower.until("the commit waits", |status| {
        status["trees"][0]["views"][0]["phase"] == "queued"
            || status["trees"][0]["changing"] == true
    });
    assert_snapshot!(say(&["resume"]), @"builds are started again");
    follower.until("it goes on", |status| status["mode"] == "running");
    follower.until_idle();
    assert_snapshot!(say(&["pause", "1s"]), @"no more builds are started for 1s");
    follower.until("it pauses", |status| status["mode"] == "paused");
    follower.until("it goes on by itself", |status| status["mode"] == "running");
    machine.configure("[daemon]\nparallel = 3\n");
    assert_snapshot!(say(&["daemon", "reload"]), @"the daemon reads configuration and consent again");
    follower.until("three at a time", |status| status["parallel"] == 3);
    assert_snapshot!(say(&["daemon", "stop"]), @"the daemon has ended");
    assert_eq!(daemon.end(), 0);
    assert_snapshot!(say(&["daemon", "stop"]), @"the daemon does not run");
    assert!(!machine.discovery().exists());
    assert!(!machine.state().join("run/daemon.sock").exists());
    let none = machine.ask(&["pause"]);
    assert_snapshot!(none.failure(), @r"
    exit 3
    error: the daemon does not run
    hint: start it with `prewarm service install`, or for once with `prewarm daemon --detach`
    ");
}

#[test]
fn without_a_daemon_the_status_says_so() {
    let machine = Machine::without_engine();
    let status = machine.ask(&["status"]);
    assert_eq!(status.code(), 3);
    assert_snapshot!(status.out(), @r"
    problem: the daemon does not run
    hint: start it with `prewarm service install`, or for once with `prewarm daemon --detach`
    ");
    let status = machine.ask(&["status", "--json"]);
    assert_eq!(status.code(), 3);
    assert_snapshot!(status.out(), @r#"{"pushes":[],"status":{"builds":0,"disk":null,"mode":"absent","parallel":0,"paused_seconds":null,"pid":0,"problems":[{"message":"the daemon does not run","remedy":"start it with `prewarm service install`, or for once with `prewarm daemon --detach`"}],"started_at":0,"trees":[],"version":"","watches":0}}"#);
    assert_snapshot!(machine.ask(&["status", "--follow"]).failure(), @r"
    exit 3
    error: the daemon does not run
    hint: start it with `prewarm service install`, or for once with `prewarm daemon --detach`
    ");
}

#[test]
fn a_daemon_that_hangs_hangs_nobody() {
    let (machine, _repo) = machine();
    let daemon = Daemon::start(&machine);
    daemon.signal("STOP");
    let ask = |arguments: &[&str]| {
        let started = Instant::now();
        let asked = machine.ask(arguments);
        let time = started.elapsed();
        assert!(time < Duration::from_secs(8), "{arguments:?} took {time:?}");
        asked.failure().replace(&daemon.pid().to_string(), "[PID]")
    };
    let said = ask(&["status"]);
    assert_snapshot!(said, @r"
    exit 3
    error: the daemon does not answer at [REPO]/state/run/daemon.sock
      because nothing came from it for 3 seconds
    hint: it may be starting or ending: `prewarm logs` may tell more; if it hangs, `kill -9 [PID]` ends it, and nothing is lost
    ");
    assert_eq!(ask(&["pause"]), said);
    assert_eq!(ask(&["daemon", "stop", "--now"]), said);
    daemon.signal("CONT");
    answers(&machine);
}
