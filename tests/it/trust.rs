//! What leaves the machine, what stays on it, and what is remembered.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::engines::{Scene, engines};
use crate::support::prewarm::Machine;
use crate::support::repo::ENGINE;

#[test]
fn untracked_files_never_enter_a_build() {
    let scene = Scene::new();
    let repo = scene.project();
    repo.file(
        "Dockerfile",
        format!(
            "FROM {} AS builder\nCOPY . /src\nRUN ls -A /src && sed s/^/was-/ /src/deps.txt\n",
            engines().busybox
        ),
    )
    .commit()
    .file(".env", "PASSWORD=untracked\n")
    .file("deps.txt", format!("{} edited\n", scene.seed));
    for source in ["--worktree", "--staged"] {
        let warmed = Machine::new().warm(repo.path()).args([source]).json();
        warmed.is("warm");
        let logs = warmed.events.iter().filter(|event| event["event"] == "log");
        let lines: Vec<_> = logs.filter_map(|event| event["line"].as_str()).collect();
        assert!(
            lines.iter().any(|line| line.contains("Dockerfile")),
            "{lines:?}"
        );
        assert!(!lines.iter().any(|line| line.contains(".env")), "{lines:?}");
        let edited = lines.iter().any(|line| line.contains("edited"));
        assert_eq!(edited, source == "--worktree", "{lines:?}");
    }
}

#[test]
fn nothing_is_written_to_the_repository() {
    let scene = Scene::new();
    let repo = scene.project();
    repo.file("deps.txt", format!("{} edited\n", scene.seed));
    let before = listing(repo.path());
    let machine = Machine::new();
    for source in ["--rev=HEAD", "--staged", "--worktree"] {
        machine
            .warm(repo.path())
            .args(["--force", source])
            .json()
            .is("warm");
    }
    assert_eq!(listing(repo.path()), before);
}

/// Every file below a directory, with its content; of links and directories, their names.
fn listing(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).expect("a directory can be read") {
        let path = entry.expect("a directory can be read").path();
        let metadata = fs::symlink_metadata(&path).expect("what is listed is there");
        if metadata.is_dir() {
            found.extend(listing(&path));
        }
        let content = if metadata.is_file() {
            fs::read(&path).expect("a file can be read")
        } else {
            Vec::new()
        };
        found.insert(path.display().to_string(), content);
    }
    found
}

#[test]
fn a_secret_reaches_the_build_with_consent_and_is_shown_nowhere() {
    let scene = Scene::new();
    let repo = scene.project();
    let secret = "secrets = [{ id = \"token\", env = \"TOKEN\" }]";
    repo.configure(ENGINE, &format!("cache = \"{}\"\n{secret}", scene.cache()))
        .file(
            "Dockerfile",
            format!(
                "FROM {} AS builder\nCOPY deps.txt /\n\
                 RUN --mount=type=secret,id=token,required=true wc -c < /run/secrets/token && sha256sum /run/secrets/token\n",
                engines().busybox
            ),
        )
        .commit();
    let machine = Machine::new();
    let value = format!("hidden-{}", scene.seed);
    let refused = machine.warm(repo.path()).env("TOKEN", &value).json();
    assert_eq!(refused.code, 2, "{:#?}", refused.events);

    machine.configure(&format!("[consent]\n{secret}\n"));
    let warmed = machine.warm(repo.path()).env("TOKEN", &value).json();
    warmed.is("warm");
    let said = format!("{:?}{:?}", warmed.events, warmed.targets);
    assert!(said.contains("23"), "the step saw 23 bytes: {said}");
    assert!(!said.contains(&value), "{said}");
}

#[test]
fn the_history_tells_what_was_done() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    let warmed = machine.warm(repo.path()).json();
    let history = machine
        .prewarm(repo.path())
        .args(["history", "--json"])
        .run();
    assert_eq!(history.code(), 0, "{}", history.stderr);
    let history: serde_json::Value = serde_json::from_str(&history.stdout).expect("it is JSON");
    let [row] = history["warms"]
        .as_array()
        .expect("it is a list")
        .as_slice()
    else {
        panic!("{history:#}")
    };
    assert_eq!(row["key"], warmed.key(), "{row:#}");
    assert_eq!(row["branch"], "topic", "{row:#}");
    assert_eq!(
        row["commit"],
        repo.git(&["rev-parse", "HEAD"]).as_str(),
        "{row:#}"
    );
}

#[test]
fn a_damaged_history_is_set_aside_and_the_warm_goes_on() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    machine.warm(repo.path()).json().is("warm");
    fs::write(machine.state().join("prewarm.db"), "not a database").expect("a file can be written");
    let again = machine.warm(repo.path()).json();
    assert!(
        again
            .is("already-warm")
            .events
            .iter()
            .any(|event| event["event"] == "warning"),
        "{:#?}",
        again.events
    );
}
