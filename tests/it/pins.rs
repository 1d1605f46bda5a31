//! `prewarm pin` and `prewarm unpin`.

use std::fs;
use std::path::Path;

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::engines::{Scene, engines, script};
use crate::support::prewarm::{Finished, Machine};
use crate::support::repo::Repo;

const RECORD: &str = "0123456789abcdefghijklmno";

struct Desk {
    machine: Machine,
    repo: Repo,
}

impl Desk {
    fn new() -> Self {
        let repo = Repo::new();
        repo.commit().branch("topic");
        Self {
            machine: Machine::without_engine(),
            repo,
        }
    }

    fn at(&self, directory: &Path, arguments: &[&str]) -> Finished {
        let command = self.machine.prewarm(directory);
        command.args(arguments.iter().copied()).run()
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        self.at(self.repo.path(), arguments)
    }

    #[track_caller]
    fn says(&self, arguments: &[&str]) -> String {
        let done = self.run(arguments);
        assert_eq!(done.failure(), "exit 0\n", "{arguments:?}");
        done.out()
    }
}

#[test]
fn what_was_pinned_is_listed_until_it_is_unpinned() {
    let desk = Desk::new();
    assert_snapshot!(desk.says(&["pin"]), @"Nothing is pinned; `prewarm pin BRANCH|ID|IMAGE` does that.");
    let mut said = String::new();
    for what in [
        "topic",
        "topic",
        RECORD,
        "docker.io/acme/app",
        "acme/app:latest",
    ] {
        said += &desk.says(&["pin", what]);
    }
    assert_snapshot!(said, @r"
    Pinned the branch topic.
    Already pinned: the branch topic.
    Pinned the record 0123456789abcdefghijklmno.
    Pinned the image acme/app:latest.
    Already pinned: the image acme/app:latest.
    ");
    assert_snapshot!(desk.says(&["pin"]), @r"
    branch  topic  (pinned just now)
    image   acme/app:latest  (pinned just now)
    record  0123456789abcdefghijklmno  (pinned just now)
    ");
    let pins: Value = serde_json::from_str(&desk.says(&["pin", "--json"])).expect("JSON");
    assert_eq!(pins["pins"]["branches"][0]["branch"], "topic");
    assert_eq!(pins["pins"]["records"][0]["id"], RECORD);
    assert_eq!(pins["pins"]["images"][0]["reference"], "acme/app:latest");

    let mut said = String::new();
    for what in ["topic", "acme/app:latest", RECORD] {
        said += &desk.says(&["unpin", what]);
    }
    said += &desk.says(&["pin"]);
    assert_snapshot!(said, @r"
    Not pinned any more: the branch topic.
    Not pinned any more: the image acme/app:latest.
    Not pinned any more: the record 0123456789abcdefghijklmno.
    Nothing is pinned; `prewarm pin BRANCH|ID|IMAGE` does that.
    ");
}

#[test]
fn a_branch_is_pinned_wherever_it_is_known_from() {
    let desk = Desk::new();
    // A name that could be a record's, or an image's.
    desk.repo.branch(RECORD).branch("feature/x").branch("main2");
    let mate = desk.repo.team_mate();
    mate.git(&["remote", "rename", "origin", "upstream"]);
    let mut said = String::new();
    for what in [RECORD, "feature/x", "upstream/topic"] {
        let done = desk.at(mate.path(), &["pin", what]);
        assert_eq!(done.failure(), "exit 0\n", "{what}");
        said += &done.out();
    }
    assert_snapshot!(said, @r"
    Pinned the branch 0123456789abcdefghijklmno.
    Pinned the branch feature/x.
    Pinned the branch topic.
    ");
    // From elsewhere it has the path before it, and is unpinned by what is listed.
    let listed = desk.says(&["pin", "--json"]);
    let pins: Value = serde_json::from_str(&listed).expect("JSON");
    let repository = pins["pins"]["branches"][2]["repository"]
        .as_str()
        .expect("it has one");
    let name = format!("{repository}:topic");
    assert!(desk.says(&["pin"]).contains(&name), "{name}");
    assert_eq!(desk.run(&["unpin", "topic"]).code(), 2);
    // Also when it is gone.
    drop(mate);
    desk.says(&["unpin", &name]);
    assert!(!desk.says(&["pin"]).contains("topic"));
}

#[test]
fn what_is_not_understood_says_what_was_looked_for() {
    let desk = Desk::new();
    assert_snapshot!(desk.run(&["pin", "topci"]).failure(), @"
    exit 2
    error: topci: it is no branch of the repository here, no record's id or the beginning of one, and whether it is an image cannot be told (cannot connect to unix:///nonexistent/docker.sock (DOCKER_HOST): No such file or directory (os error 2))
    hint: did you mean the branch `topic`?
    ");
    assert_snapshot!(desk.run(&["unpin"]).failure(), @"
    exit 2
    error: unpin: what is not to be pinned any more?
    hint: nothing is pinned
    ");
    desk.says(&["pin", "topic"]);
    assert_snapshot!(desk.run(&["unpin", "other"]).failure(), @"
    exit 2
    error: other: this is not pinned
    hint: pinned are: topic
    ");
    let outside = desk.at(desk.machine.home(), &["pin", "topic"]);
    assert_snapshot!(outside.failure(), @"
    exit 2
    error: topic: it is no branch, as there is no repository here, no record's id or the beginning of one, and whether it is an image cannot be told (cannot connect to unix:///nonexistent/docker.sock (DOCKER_HOST): No such file or directory (os error 2))
    hint: `git branch --all`, `prewarm prune` and `docker images` list what there is
    ");
}

#[test]
fn pins_that_cannot_be_trusted_are_neither_listed_nor_written_over() {
    let desk = Desk::new();
    desk.says(&["pin", RECORD]);
    let file = desk.machine.state().join("pins.json");
    let text = fs::read_to_string(&file).expect("it was written");
    let newer = text.replace("\"version\": 1", "\"version\": 2");
    fs::write(&file, &newer).expect("it is ours");
    assert_snapshot!(desk.run(&["pin"]).failure(), @"
    exit 3
    error: [HOME]/state/pins.json: what is pinned cannot be known
      because a newer prewarm wrote it (version 2)
    hint: update prewarm, or move the file away and pin again what must stay
    ");
    for arguments in [["pin", "topic"], ["unpin", RECORD]] {
        assert_eq!(desk.run(&arguments).code(), 3, "{arguments:?}");
    }
    assert_eq!(fs::read_to_string(&file).expect("there"), newer);
}

#[test]
fn a_branch_that_only_the_history_knows_is_one() {
    let scene = Scene::new();
    let machine = Machine::new();
    let repo = scene.project();
    machine
        .warm(repo.path())
        .args(["--no-push"])
        .json()
        .is("local-only");
    repo.git(&["branch", "--move", "other"]);
    let pinned = machine.prewarm(repo.path()).args(["pin", "topic"]).run();
    assert_eq!(
        pinned.stdout,
        "Pinned the branch topic.\n",
        "{}",
        pinned.failure()
    );
}

#[test]
fn an_image_of_the_engine_needs_no_tag() {
    let scene = Scene::new();
    script(&["start", "classic"]);
    for engine in [&engines().a, &engines().classic] {
        let machine = Machine::with_engine(engine);
        let repo = Repo::new();
        let name = format!("pins-{}", scene.seed);
        engines().docker_output(engine, &["pull", "--quiet", &engines().busybox]);
        engines().docker_output(engine, &["tag", &engines().busybox, &name]);
        let pinned = machine.prewarm(repo.path()).args(["pin", &name]).run();
        engines().docker_output(engine, &["rmi", &name]);
        assert_eq!(pinned.stdout, format!("Pinned the image {name}:latest.\n"));
        let gone = machine
            .prewarm(repo.path())
            .args(["pin", &format!("{name}x")])
            .run();
        assert_eq!(gone.code(), 2, "{}", gone.failure());
    }
}
