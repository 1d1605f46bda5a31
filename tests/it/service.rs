//! The daemon as a service of a real `systemd --user`. The daemon itself is another one in most of these tests: a drop-in, as
//! users may write it, puts a script in its place.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use prewarm::service::unit;
use serde_json::Value;

use crate::support::engines::{Scene, engines, search_path};
use crate::support::prewarm::Machine;
use crate::support::registry;
use crate::support::user_manager::{UserManager, skipped};
use crate::support::wait::until;

/// Is ready at once, and then does nothing for ever.
const READY: &str =
    "ExecStart=/bin/sh -c 'systemd-notify --ready --status=idle; exec tail -f /dev/null'";

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_prewarm"))
}

fn service(manager: &UserManager, command: &str) -> Output {
    manager.run(program(), &["service", command])
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn systemd_finds_nothing_to_complain_about_in_the_unit() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let file = directory.path().join("prewarm.service");
    let environment = [(
        "DOCKER_HOST".to_owned(),
        r#"unix:///a "b" c\d 100%"#.to_owned(),
    )];
    let text = unit::render(program(), &environment).expect("it can be written");
    fs::write(&file, text).expect("a file can be written");
    let verified = Command::new("systemd-analyze")
        .args(["--user", "--man=no", "verify"])
        .arg(&file)
        .env("XDG_RUNTIME_DIR", directory.path())
        .output();
    let verified = match verified {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            skipped("there is no systemd-analyze on this machine");
            return;
        }
        verified => verified.expect("systemd-analyze can be run"),
    };
    let said = (out(&verified), err(&verified));
    assert_eq!(said, (String::new(), String::new()));
    assert!(verified.status.success());
    let security = Command::new("systemd-analyze")
        .args(["security", "--offline=yes", "--threshold=65"])
        .arg(&file)
        .output()
        .expect("systemd-analyze can be run");
    assert!(security.status.success(), "{}", out(&security));
}

#[test]
fn a_service_is_installed_kept_up_to_date_and_removed() {
    let Some(manager) = UserManager::start() else {
        return;
    };
    manager.replace_daemon(READY);
    let installed = service(&manager, "install");
    assert!(installed.status.success(), "{}", err(&installed));
    assert!(
        out(&installed).contains("starts with your session"),
        "{}",
        out(&installed)
    );
    assert_eq!(manager.property("UnitFileState"), "enabled");
    let status = manager.run(program(), &["service", "status", "--json"]);
    let status: Value = serde_json::from_slice(&status.stdout).expect("it is JSON");
    assert_eq!(
        (&status["installed"], &status["running"], &status["enabled"]),
        (&"yes".into(), &true.into(), &true.into()),
        "{status:#}"
    );
    assert_eq!(status["unit"]["status"], "idle");

    let pid = || manager.property("MainPID");
    let first = pid();
    let again = service(&manager, "install");
    assert!(out(&again).contains("runs already"), "{}", out(&again));
    assert_eq!(pid(), first, "nothing was started anew");

    // A program at another place, to which a link in PATH leads: that stays when the program's next version comes.
    let copy = manager.home().join("prewarm");
    fs::copy(program(), &copy).expect("a file can be copied");
    let link = manager.home().join("bin/prewarm");
    fs::create_dir(manager.home().join("bin")).expect("a directory can be made");
    std::os::unix::fs::symlink(&copy, &link).expect("a link can be made");
    let moved = manager.run(&copy, &["service", "install"]);
    assert!(
        out(&moved).contains("brought up to date"),
        "{}{}",
        out(&moved),
        err(&moved)
    );
    assert_ne!(pid(), first);
    let text = fs::read_to_string(manager.units().join("prewarm.service")).expect("it is there");
    assert!(
        text.contains(&format!("ExecStart=\"{}\" daemon run", link.display())),
        "{text}"
    );

    // The same program, updated: what runs is the old one still.
    manager.replace_daemon(&format!(
        "ExecStart=/bin/sh -c 'systemd-notify --ready; exec {0}/follow -f /dev/null'",
        manager.home().display()
    ));
    let follow = manager.home().join("follow");
    fs::copy("/usr/bin/tail", &follow).expect("a file can be copied");
    manager.run(&copy, &["service", "install"]);
    let before = pid();
    fs::remove_file(&follow).expect("a file can be removed");
    fs::copy("/usr/bin/tail", &follow).expect("a file can be copied");
    let updated = manager.run(&copy, &["service", "install"]);
    assert!(
        out(&updated).contains("it was started"),
        "{}",
        out(&updated)
    );
    assert_ne!(pid(), before);

    let removed = service(&manager, "uninstall");
    assert!(out(&removed).contains("removed"), "{}", err(&removed));
    assert!(!manager.units().join("prewarm.service").exists());
    assert_eq!(manager.property("ActiveState"), "inactive");
    let nothing = service(&manager, "uninstall");
    assert_eq!(
        (nothing.status.code(), out(&nothing).as_str()),
        (Some(0), "There was no service.\n")
    );
    let status = service(&manager, "status");
    assert_eq!(status.status.code(), Some(3));
    assert!(
        out(&status).contains("There is no service"),
        "{}",
        out(&status)
    );
}

#[test]
fn a_crash_is_over_within_a_second_and_a_mistake_is_not_repeated() {
    let Some(manager) = UserManager::start() else {
        return;
    };
    manager.replace_daemon(READY);
    assert!(service(&manager, "install").status.success());
    let first = manager.property("MainPID");
    manager.systemctl(&["kill", "--signal=KILL", "prewarm.service"]);
    let took = until("another process is ready", Duration::from_secs(10), || {
        let pid = manager.property("MainPID");
        pid != first && pid != "0" && manager.property("ActiveState") == "active"
    });
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(manager.property("NRestarts"), "1");

    manager.replace_daemon("ExecStart=/bin/sh -c 'exit 2'");
    manager.systemctl(&["daemon-reload"]);
    manager.systemctl(&["restart", "prewarm.service"]);
    assert_eq!(manager.property("ActiveState"), "failed");
    assert_eq!(manager.property("ExecMainStatus"), "2");
    let doctor = manager.run(program(), &["doctor", "--json"]);
    let found: Value = serde_json::from_slice(&doctor.stdout).expect("it is JSON");
    let findings = found["findings"].as_array().expect("there are some");
    let service = findings.iter().find(|finding| finding["name"] == "service");
    assert_eq!(
        service.expect("it is looked at")["seen"],
        "failed: exit-code, exit status 2, started again 0 time(s)"
    );
}

#[test]
fn the_daemon_itself_is_ready_is_watched_and_ends() {
    let Some(manager) = UserManager::start() else {
        return;
    };
    let scene = Scene::new();
    let repo = scene.project();
    manager.replace_daemon(&format!(
        "Environment=DOCKER_HOST={} PATH={}\nWatchdogSec=5\nExecStart={} daemon run",
        engines().a,
        search_path(),
        program().display()
    ));
    let allowed = manager.run(
        program(),
        &["allow", "--yes", &repo.path().display().to_string()],
    );
    assert!(allowed.status.success(), "{}", err(&allowed));
    let installed = service(&manager, "install");
    assert!(installed.status.success(), "{}", err(&installed));
    let status = || {
        let said = manager.run(program(), &["daemon", "status", "--json"]);
        serde_json::from_slice::<Value>(&said.stdout).unwrap_or_default()
    };
    let first = manager.property("MainPID");
    assert_eq!(status()["pid"].to_string(), first);
    until("the work tree is warm", Duration::from_secs(60), || {
        registry::tags(&scene.name).contains(&"builder-cache-topic".to_owned())
            && manager.property("StatusText") == "watches 1 work tree"
    });
    assert!(
        manager
            .systemctl(&["reload", "prewarm.service"])
            .status
            .success()
    );
    assert_eq!(manager.property("MainPID"), first);

    // One that hangs does not tell the manager that it is there.
    manager.systemctl(&[
        "kill",
        "--kill-whom=main",
        "--signal=STOP",
        "prewarm.service",
    ]);
    until("another one answers", Duration::from_secs(30), || {
        let pid = manager.property("MainPID");
        pid != first
            && pid != "0"
            && pid.parse() == Ok(status()["pid"].as_u64().unwrap_or_default())
    });
    manager.systemctl(&["stop", "prewarm.service"]);
    let logs = out(&manager.run(program(), &["logs"]));
    assert_eq!(manager.property("Result"), "success", "{logs}");
    assert!(
        logs.contains("was asked to stop") && logs.contains("has ended"),
        "{logs}"
    );
}

#[test]
fn logs_are_those_of_the_service() {
    let Some(manager) = UserManager::start() else {
        return;
    };
    manager.replace_daemon(
        "ExecStart=/bin/sh -c 'for line in one two three; do echo $$line; done; systemd-notify --ready; \
         exec tail -f /dev/null'",
    );
    assert!(service(&manager, "install").status.success());
    let logs = || out(&manager.run(program(), &["logs", "-n", "2"]));
    until("the journal has the lines", Duration::from_secs(10), || {
        logs().contains("three")
    });
    let logs = logs();
    assert!(logs.contains("two") && !logs.contains("one"), "{logs}");
}

#[test]
fn the_hardening_lets_us_and_our_children_work() {
    let Some(manager) = UserManager::start() else {
        return;
    };
    let scene = Scene::new();
    let repo = scene.project();
    // A warm (the Engine, git, the registry, the database), docker and its plugin, git with a pipe; all under the filter.
    let work = format!(
        "grep -q \"Seccomp:.2\" /proc/self/status && cd {} && {} warm && docker version && docker buildx ls \
         && git status --short | cat && systemd-notify --ready && exec tail -f /dev/null",
        repo.path().display(),
        program().display()
    );
    manager.replace_daemon(&format!(
        "Environment=DOCKER_HOST={} PATH={}\nExecStart=/bin/sh -ec '{work}'",
        engines().a,
        search_path()
    ));
    let installed = service(&manager, "install");
    let logs = manager.run(program(), &["logs"]);
    assert!(
        installed.status.success(),
        "{}{}",
        err(&installed),
        out(&logs)
    );
    assert!(!registry::tags(&scene.name).is_empty());
}

#[test]
fn a_service_that_does_not_start_leaves_nothing() {
    let Some(manager) = UserManager::start() else {
        return;
    };
    manager.replace_daemon("ExecStart=/bin/sh -c 'exit 70'");
    let failed = service(&manager, "install");
    assert_eq!(failed.status.code(), Some(3), "{}", out(&failed));
    let said = err(&failed);
    for words in [
        "error: the service manager failed to start the service (result exit-code, exit status 70)",
        "Job for prewarm.service failed",
        "hint: see `journalctl --user-unit=prewarm.service",
        "hint: everything is as it was before",
    ] {
        assert!(said.contains(words), "{words} is not in:\n{said}");
    }
    assert!(!manager.units().join("prewarm.service").exists());
    assert!(
        !manager
            .units()
            .join("default.target.wants/prewarm.service")
            .exists()
    );

    // With a service that ran before, that one runs again.
    manager.replace_daemon(READY);
    assert!(service(&manager, "install").status.success());
    let file = manager.units().join("prewarm.service");
    let before = fs::read_to_string(&file).expect("it is there");
    let copy = manager.home().join("prewarm");
    fs::copy(program(), &copy).expect("a file can be copied");
    let only_here = format!(
        "ExecStart=/bin/sh -c 'grep -q {} {} && exit 70; systemd-notify --ready; exec tail -f /dev/null'",
        copy.display(),
        file.display()
    );
    manager.replace_daemon(&only_here);
    let failed = manager.run(&copy, &["service", "install"]);
    assert_eq!(failed.status.code(), Some(3), "{}", out(&failed));
    assert_eq!(fs::read_to_string(&file).expect("it is there"), before);
    assert_eq!(manager.property("ActiveState"), "active");
}

#[test]
fn a_unit_that_is_not_ours_is_left_alone() {
    let Some(manager) = UserManager::start() else {
        return;
    };
    fs::create_dir_all(manager.units()).expect("directories can be made");
    let file = manager.units().join("prewarm.service");
    fs::write(&file, "[Service]\nExecStart=/bin/true\n").expect("a file can be written");
    for command in ["install", "uninstall"] {
        let refused = service(&manager, command);
        assert_eq!(refused.status.code(), Some(2), "{}", out(&refused));
        assert!(
            err(&refused).contains("was not made by prewarm"),
            "{}",
            err(&refused)
        );
    }
    assert!(file.exists());
}

#[test]
fn without_a_service_manager_there_is_another_way() {
    let machine = Machine::new();
    let refused = machine
        .prewarm(machine.home())
        .env("XDG_RUNTIME_DIR", "/nonexistent")
        .args(["service", "install"])
        .run();
    let said = refused.failure();
    assert_eq!(refused.code(), 3, "{said}");
    assert!(
        said.contains("there is no service manager of yours"),
        "{said}"
    );
    assert!(said.contains("`prewarm daemon --detach`"), "{said}");
    assert!(!machine.home().join(".config/systemd").exists());
}
