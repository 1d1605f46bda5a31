//! Prunes that something befalls: nothing that is needed is lost, and the next one works.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{ALL, Desk, document, settle};
use crate::support::disk::{Disk, leave};
use crate::support::faketime::library;
use crate::support::own_engine::OwnEngine;
use crate::support::prewarm::{Finished, Machine, Prewarm};
use crate::support::relay::{Fate, Relay};
use crate::support::repo::Repo;

/// A cache that is pruned through a relay, with something that is needed and a lot that is not.
struct Patient {
    desk: Desk,
    relay: Relay,
    repo: Repo,
}

impl Patient {
    fn new() -> Self {
        let desk = Desk::new();
        let relay = Relay::unix(&desk.engine.socket());
        let repo = desk.project();
        desk.machine.warm(repo.path()).json().is("warm");
        desk.build(&desk.stranger("echo stranger"));
        desk.machine.configure("[prune]\nfloor = \"0B\"\n");
        settle();
        Self { desk, relay, repo }
    }

    fn command(&self) -> Vec<&str> {
        let only = ["--builder", self.relay.endpoint(), "--yes"];
        [&["prune"], &ALL[..], &only].concat()
    }

    /// Requires that nothing needed is gone, that no error is left, and that a prune works.
    #[track_caller]
    fn recovers(&self) {
        self.relay.befalls(Fate::Pass);
        self.desk.build(&self.repo).assert_all_cached(2);
        settle();
        let again = self.desk.machine.ask(&self.command());
        assert_eq!(again.code(), 0, "{}", again.stderr);
        let left = self.desk.shown(&[&ALL[..], &["--json"]].concat());
        assert_eq!(left["deletions"], Value::Array(Vec::new()), "{left:#}");
        self.desk.build(&self.repo).assert_all_cached(2);
        let history = self.desk.prune(&["--history"]);
        assert_eq!(history.code(), 0, "{}", history.stderr);
        assert!(history.stdout.contains("; by hand"), "{}", history.stdout);
    }
}

#[test]
fn a_connection_that_breaks_in_the_middle_is_said_and_the_next_prune_works() {
    let patient = Patient::new();
    patient.relay.befalls(Fate::Cut);
    let broken = patient.desk.machine.ask(&patient.command());
    assert_eq!(broken.code(), 3, "{}", broken.stderr);
    assert!(
        broken.stderr.contains("nothing is half done"),
        "{}",
        broken.stderr
    );
    patient.recovers();
}

#[test]
fn a_chain_goes_as_a_whole_also_after_the_engine_was_restarted() {
    let desk = Desk::new();
    let chain = desk.stranger("echo one");
    let dockerfile = fs::read_to_string(chain.path().join("Dockerfile")).expect("it was written");
    let steps = "RUN echo two\nRUN echo three\nRUN echo four\n";
    chain.file("Dockerfile", format!("{dockerfile}{steps}"));
    desk.build(&chain);
    desk.engine.kill();
    desk.engine.start();
    let done = desk.prune_all(&[]);
    assert_eq!(done["report"]["stayed"], 0, "{done:#}");
    let left = desk.shown(&[&ALL[..], &["--json"]].concat());
    assert_eq!(left["deletions"], Value::Array(Vec::new()), "{left:#}");
}

#[test]
fn an_engine_that_is_killed_in_the_middle_loses_nothing_that_is_needed() {
    let patient = Patient::new();
    patient.relay.befalls(Fate::Hold);
    let prune = patient.desk.machine.prewarm(patient.desk.machine.home());
    let mut prune = prune.args(patient.command()).start();
    patient.relay.wait_for_call(1);
    patient.relay.befalls(Fate::Pass);
    patient.desk.engine.kill();
    // Before or after its answer, as it comes.
    let code = prune.end();
    assert!(code == 0 || code == 3, "{code}");
    patient.desk.engine.start();
    patient.recovers();
}

#[test]
fn one_that_is_killed_in_the_middle_is_remembered_and_only_one_prunes_at_a_time() {
    let patient = Patient::new();
    let machine = &patient.desk.machine;
    let stranger = patient.desk.record("echo stranger");
    patient.relay.befalls(Fate::Hold);
    let prune = machine.prewarm(machine.home()).args(patient.command());
    let first = prune.start();
    patient.relay.wait_for_call(1);
    let before = patient.desk.records();
    let second = patient.desk.prune(&[&ALL[..], &["--yes"]].concat());
    assert_eq!(second.code(), 1, "{}", second.stderr);
    assert!(
        second.stderr.contains("another prune is at it"),
        "{}",
        second.stderr
    );
    let third = patient.desk.shown(&["--automatic", "--json"]);
    assert_eq!(third["state"], "waiting", "{third:#}");
    assert_eq!(third["reason"], "another prune is at it");
    assert_eq!(patient.desk.records(), before);
    let history = patient.desk.prune(&["--history"]).stdout;
    assert!(history.contains("goes on; by hand"), "{history}");

    first.kill();
    let explained = patient.desk.prune(&["--explain", &stranger]).stdout;
    assert!(
        explained.contains("was to be deleted when prewarm was interrupted"),
        "{explained}"
    );
    let history = patient.desk.prune(&["--history"]).stdout;
    assert!(history.contains("interrupted; by hand"), "{history}");
    patient.recovers();
}

/// Has it run with another clock.
fn with_clock(prewarm: Prewarm, offset: &str) -> Prewarm {
    let library = library().expect("`scripts/setup packages faketime` installs it");
    prewarm
        .env("LD_PRELOAD", &library)
        .env("FAKETIME", offset)
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

fn at(machine: &Machine, offset: &str, arguments: &[&str]) -> Finished {
    let prune = machine.prewarm(machine.home()).args(["prune"]);
    with_clock(prune.args(arguments.iter().copied()), offset).run()
}

#[test]
fn what_a_warm_used_is_known_whatever_our_clock_says() {
    for offset in ["+1h", "-1h"] {
        let desk = Desk::new();
        let repo = desk.project();
        let warm = desk.machine.warm(repo.path()).args(["--no-push"]);
        with_clock(warm, offset).json().is("local-only");
        desk.build(&desk.stranger("echo stranger"));
        settle();
        let done = document(&at(
            &desk.machine,
            "+1h",
            &[&ALL[..], &["--yes", "--json"]].concat(),
        ));
        let gone = done["deletions"].to_string();
        assert!(gone.contains("echo stranger"), "{done:#}");
        desk.build(&repo).assert_all_cached(2);
    }
}

#[test]
fn a_clock_that_is_wrong_deletes_nothing_that_is_young() {
    let patient = Patient::new();
    let desk = &patient.desk;
    desk.machine
        .configure("[prune]\nmax_cache = \"1B\"\nfloor = \"0B\"\nkeep_newer_than = \"0s\"\n");
    let before = desk.records();
    let shown = at(&desk.machine, "-1d", &[&ALL[..], &["--yes"]].concat());
    assert_eq!(shown.code(), 0, "{}", shown.stderr);
    assert!(
        shown.stdout.contains("is the clock right?"),
        "{}",
        shown.stdout
    );
    assert_eq!(desk.records(), before);
    // By itself it goes by what it knows: that it was later already.
    desk.machine
        .configure("[prune]\nkeep_newer_than = \"0s\"\n");
    desk.shown(&["--automatic", "--json"]);
    desk.machine
        .configure("[prune]\nmax_cache = \"1B\"\nfloor = \"0B\"\nkeep_newer_than = \"0s\"\n");
    let back = document(&at(&desk.machine, "-1d", &["--automatic", "--json"]));
    assert_eq!(back["state"], "failed", "{back:#}");
    assert!(
        back["reason"].to_string().contains("clock was set back"),
        "{back:#}"
    );
    assert_eq!(desk.records(), before);
    // Ahead, everything looks old; BuildKit's own clock has the last word.
    let ahead = ["--max-cache", "0", "--keep-newer-than", "1h", "--yes"];
    let ahead = at(&desk.machine, "+1d", &ahead);
    assert!(ahead.code() <= 1, "{}", ahead.stderr);
    assert_eq!(desk.records(), before);
    patient.recovers();
}

#[test]
fn on_a_full_disk_it_prunes_and_says_what_it_cannot_note() {
    let desk = Desk::new();
    let small = Disk::mount(desk.machine.state(), "4m");
    let repo = desk.project();
    desk.machine.warm(repo.path()).json().is("warm");
    desk.build(&desk.stranger("echo stranger"));
    let ballast = small.fill();
    settle();
    // A plan that cannot be kept can still be made.
    let shown = desk.prune(&ALL);
    assert_eq!(shown.code(), 0, "{}", shown.stderr);
    let done = desk.prune_all(&[]);
    assert_eq!(done["report"]["ended"], "done", "{done:#}");
    assert_eq!(done["report"]["stayed"], 0, "{done:#}");
    assert!(done["report"]["unjournalled"].is_string(), "{done:#}");
    desk.build(&repo).assert_all_cached(2);
    let automatic = desk.prune(&["--automatic", "--json"]);
    assert_eq!(automatic.code(), 0, "{}", automatic.stderr);

    fs::remove_file(ballast).expect("it was written");
    let again = desk.prune_all(&[]);
    assert_eq!(again["report"]["unjournalled"], Value::Null, "{again:#}");
    desk.build(&repo).assert_all_cached(2);
}

#[test]
fn on_an_engine_whose_disk_is_full_there_is_space_again() {
    let engine = OwnEngine::on_small_disk("200m");
    let machine = Machine::with_engine(&engine.host());
    let desk = Desk { engine, machine };
    let repo = desk.project();
    desk.machine.warm(repo.path()).json().is("warm");
    desk.build(&desk.stranger("head -c 20000000 /dev/urandom > /random"));
    settle();
    leave(&desk.engine.disk(), 0);
    let done = desk.prune_all(&[]);
    assert_eq!(done["report"]["ended"], "done", "{done:#}");
    assert_eq!(done["report"]["stayed"], 0, "{done:#}");
    assert!(
        done["report"]["measured"].as_i64() >= Some(20_000_000),
        "{done:#}"
    );
    desk.build(&repo).assert_all_cached(2);
}

fn damage(path: &Path, content: &[u8]) {
    for suffix in ["-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        // Not always there.
        let _ = fs::remove_file(name);
    }
    fs::write(path, content).expect("a file can be written");
}

#[test]
fn what_cannot_be_known_is_not_deleted() {
    let desk = Desk::new();
    let repo = desk.project();
    desk.machine.warm(repo.path()).json().is("warm");
    desk.build(&desk.stranger("echo stranger"));
    desk.machine
        .configure("[prune]\nmax_cache = \"1B\"\nfloor = \"0B\"\nkeep_newer_than = \"0s\"\n");
    settle();
    let before = desk.records();
    let refused = |said: &str| {
        let by_hand = desk.prune(&[&ALL[..], &["--yes"]].concat());
        assert_eq!(by_hand.code(), 3, "{}", by_hand.stderr);
        assert!(by_hand.stderr.contains(said), "{}", by_hand.stderr);
        let looked = desk.shown(&["--automatic", "--json"]);
        assert_eq!(looked["state"], "failed", "{looked:#}");
        assert!(looked["reason"].to_string().contains(said), "{looked:#}");
        assert_eq!(desk.records(), before, "{said}");
    };
    let pins = desk.machine.state().join("pins.json");
    fs::write(&pins, "{\"version\": 1, \"branches\"").expect("a file can be written");
    refused("what is pinned cannot be known");
    fs::remove_file(pins).expect("it was written");

    let database = desk.machine.state().join("prewarm.db");
    let open = || rusqlite::Connection::open(&database).expect("it is there");
    let version: i64 = open()
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .expect("it has one");
    let set = |version: i64| {
        open()
            .pragma_update(None, "user_version", version)
            .expect("it can be written");
    };
    set(version + 1);
    refused("what must stay cannot be known");
    set(version);

    // A damaged one is set aside, and of the time before nobody knows what was needed.
    damage(&database, &b"garbage".repeat(4000));
    let done = desk.prune_all(&[]);
    assert_eq!(done["deletions"], Value::Array(Vec::new()), "{done:#}");
    assert!(done["kept"].to_string().contains("\"lost\""), "{done:#}");
    let looked = desk.shown(&["--automatic", "--json"]);
    assert_eq!(looked["state"], "waiting", "{looked:#}");
    assert_eq!(desk.records(), before);
    // It goes on: what is new is known.
    let late = desk.stranger("echo late");
    desk.build(&late);
    let done = desk.prune_all(&[]);
    assert!(done["report"]["items"].as_u64() > Some(0), "{done:#}");
    desk.build(&repo).assert_all_cached(2);
}
