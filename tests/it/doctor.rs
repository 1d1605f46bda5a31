//! `prewarm doctor`: what it sees of real machines, and `prewarm logs`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::engines::{Scene, engines};
use crate::support::prewarm::{Machine, Prewarm};
use crate::support::registry;
use crate::support::repo::{ENGINE, Repo};

/// The exit code, and the findings by name.
fn examine(doctor: Prewarm) -> (i32, Vec<Value>) {
    let finished = doctor.args(["doctor", "--json"]).run();
    let document: Value = serde_json::from_str(&finished.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}{}", finished.stdout, finished.stderr));
    let findings = document["findings"].as_array().expect("there are findings");
    let failed = findings
        .iter()
        .filter(|finding| finding["state"] == "fail")
        .count();
    assert_eq!(document["failed"], failed);
    (finished.code(), findings.clone())
}

/// State and words of a finding.
#[track_caller]
fn found<'a>(findings: &'a [Value], name: &str) -> (&'a str, &'a str) {
    let finding = findings.iter().find(|finding| {
        let found = finding["name"].as_str().unwrap_or_default();
        found == name || found.starts_with(&format!("{name} "))
    });
    let finding = finding.unwrap_or_else(|| panic!("no {name}: {findings:#?}"));
    let text = |key: &str| finding[key].as_str().unwrap_or_default();
    (text("state"), text("seen"))
}

#[test]
fn a_machine_on_which_all_is_well() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    let (code, findings) = examine(machine.prewarm(repo.path()));
    assert_eq!(code, 0, "{findings:#?}");
    assert_eq!(
        found(&findings, "repository"),
        ("ok", ".prewarm.toml; targets: builder")
    );
    let (state, engine) = found(&findings, "engine");
    assert_eq!(state, "ok");
    assert!(engine.starts_with("Docker Engine "), "{engine}");
    assert_eq!(found(&findings, "image store").0, "ok");
    assert_eq!(found(&findings, "builder").0, "ok");
    assert_eq!(
        found(&findings, "cache"),
        ("ok", "takes uploads without a login")
    );
    assert_eq!(found(&findings, "clock").0, "ok");
    for name in [
        "configuration",
        "git",
        "inotify",
        "state directory",
        "work tree",
    ] {
        assert!(matches!(found(&findings, name).0, "ok" | "warn"), "{name}");
    }
    assert!(!machine.state().exists(), "it only looks");
    let tags = registry::tags(&scene.name);
    assert!(tags.is_empty(), "nothing is left in the registry: {tags:?}");

    let people = machine.prewarm(repo.path()).args(["doctor"]).run();
    assert!(
        people.stdout.contains("ok       configuration"),
        "{}",
        people.stdout
    );
}

#[test]
fn without_an_engine_the_rest_is_examined_all_the_same() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    let (code, findings) = examine(machine.prewarm(repo.path()).without_engine());
    assert_eq!(code, 3);
    let (state, engine) = found(&findings, "engine");
    assert_eq!(state, "fail");
    assert!(engine.contains("/nonexistent/docker.sock"), "{engine}");
    assert_eq!(
        found(&findings, "builder"),
        ("unknown", "it is the Engine's own")
    );
    assert_eq!(found(&findings, "cache").0, "ok");

    // Who builds elsewhere needs none.
    machine.configure("[builder]\nendpoint = \"unix:///nonexistent/buildkit.sock\"\n");
    let (_, findings) = examine(machine.prewarm(repo.path()).without_engine());
    assert_eq!(found(&findings, "engine").0, "unknown");
    assert_eq!(found(&findings, "builder").0, "fail");
}

#[test]
fn an_engine_that_hangs_is_one_finding() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    let socket = machine.home().join("docker.sock");
    // Connections wait in its queue for ever.
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket can be made");
    let doctor = machine
        .prewarm(repo.path())
        .env("DOCKER_HOST", &format!("unix://{}", socket.display()));
    let started = std::time::Instant::now();
    let (code, findings) = examine(doctor);
    assert!(started.elapsed().as_secs() < 20);
    assert_eq!(code, 3);
    assert_eq!(
        found(&findings, "engine"),
        ("fail", "no answer within 10 s")
    );
    assert_eq!(found(&findings, "cache").0, "ok");
}

#[test]
fn a_registry_that_wants_a_login_says_so_without_the_password() {
    let engines = engines();
    let scene = Scene::new();
    let repo = scene.project();
    let cache = format!("cache = \"{}\"", scene.cache_at(&engines.registry_auth));
    repo.configure(ENGINE, &cache);
    let machine = Machine::new();
    let (code, findings) = examine(machine.prewarm(repo.path()));
    let (state, seen) = found(&findings, "cache");
    assert_eq!((code, state), (3, "fail"));
    assert!(seen.contains("asks for a login"), "{seen}");

    let wrong = "not-the-password";
    machine.login(&engines.registry_auth, &engines.user, wrong);
    let (code, findings) = examine(machine.prewarm(repo.path()));
    let (state, seen) = found(&findings, "cache");
    assert_eq!((code, state), (3, "fail"));
    assert!(seen.contains("refused the login"), "{seen}");
    assert!(!format!("{findings:?}").contains(wrong));

    machine.login(&engines.registry_auth, &engines.user, &engines.password);
    let (code, findings) = examine(machine.prewarm(repo.path()));
    let said = format!("takes uploads (logged in as {})", engines.user);
    assert_eq!(found(&findings, "cache"), ("ok", said.as_str()));
    assert_eq!(code, 0, "{findings:#?}");
    assert!(!format!("{findings:?}").contains(&engines.password));
}

#[test]
fn a_wrong_configuration_decides_the_exit_code() {
    let repo = Repo::new();
    repo.configure("context = \"tree\"", "");
    let machine = Machine::new();
    machine.configure("[warm]\nparalel = 3\n");
    let (code, findings) = examine(machine.prewarm(repo.path()).without_engine());
    assert_eq!(code, 2);
    let (state, seen) = found(&findings, "configuration");
    assert_eq!(state, "fail");
    assert!(
        seen.contains("config.toml:2:1: unknown key `paralel`"),
        "{seen}"
    );
    let (state, seen) = found(&findings, "repository");
    assert_eq!(state, "fail");
    assert!(seen.contains(".prewarm.toml:4:11"), "{seen}");
    assert_eq!(found(&findings, "engine").0, "fail");

    repo.configure("", "stage = \"bilder\"")
        .file("Dockerfile", "FROM scratch AS builder\n")
        .commit();
    machine.configure("");
    let (code, findings) = examine(machine.prewarm(repo.path()));
    assert_eq!(code, 2);
    assert_eq!(
        found(&findings, "repository"),
        (
            "fail",
            "target builder: Dockerfile has no stage called bilder"
        )
    );
}

#[test]
fn outside_of_a_repository_the_machine_is_examined() {
    let _scene = Scene::new();
    let machine = Machine::new();
    let (code, findings) = examine(machine.prewarm(machine.home()));
    assert_eq!(code, 0, "{findings:#?}");
    assert_eq!(found(&findings, "repository").0, "unknown");
    assert_eq!(found(&findings, "engine").0, "ok");
    let named = machine.prewarm(machine.home()).args(["doctor", "."]).run();
    assert_eq!(named.code(), 0);
    let absent = machine
        .prewarm(machine.home())
        .args(["doctor", "/tmp"])
        .run();
    assert_eq!(absent.code(), 2, "{}", absent.stdout);
}

#[test]
fn logs_are_the_last_lines_of_the_daily_files() {
    let machine = Machine::new();
    let logs = |arguments: &[&str]| {
        let arguments: Vec<&str> = ["logs"].iter().chain(arguments).copied().collect();
        machine
            .prewarm(machine.home())
            .env("XDG_RUNTIME_DIR", "/nonexistent")
            .args(arguments)
    };
    let none = logs(&[]).run();
    assert_eq!(none.code(), 3);
    assert!(
        none.stderr.contains("the daemon has not run yet"),
        "{}",
        none.stderr
    );

    let directory = machine.state().join("logs");
    fs::create_dir_all(&directory).expect("directories can be made");
    for (day, text) in [("01", "one\ntwo\n"), ("02", "three\u{1b}[2J\n")] {
        let file = directory.join(format!("prewarm.2026-01-{day}.log"));
        fs::write(file, text).expect("a file can be written");
    }
    let last = logs(&["-n", "2"]).run();
    assert_eq!((last.code(), last.stdout.as_str()), (0, "two\nthree\n"));
}

#[test]
fn logs_go_on_until_they_are_stopped() {
    let machine = Machine::new();
    let directory = machine.state().join("logs");
    fs::create_dir_all(&directory).expect("directories can be made");
    let file = |day: &str| directory.join(format!("prewarm.2026-01-{day}.log"));
    fs::write(file("01"), "one\n").expect("a file can be written");
    let mut following = Command::new(env!("CARGO_BIN_EXE_prewarm"))
        .args(["logs", "-f"])
        .env_clear()
        .env("HOME", machine.home())
        .env("PREWARM_STATE_DIR", machine.state())
        .stdout(Stdio::piped())
        .spawn()
        .expect("prewarm can be run");
    let mut lines = BufReader::new(following.stdout.take().expect("it is piped")).lines();
    let mut next = || lines.next().expect("it goes on").expect("it can be read");
    assert_eq!(next(), "one");
    fs::write(file("02"), "two\n").expect("a file can be written");
    assert_eq!(next(), "two");
    let pid = following.id().to_string();
    let killed = Command::new("sh")
        .args(["-c", &format!("kill {pid}")])
        .status();
    assert!(killed.expect("kill can be run").success());
    let status = following.wait().expect("it ends");
    assert_eq!(status.code(), Some(143));
}
