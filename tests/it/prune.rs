//! `prewarm prune` on Engines that a test has for itself, since it looks at whole caches.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::ci::{Steps, build_cache};
use crate::support::engines::engines;
use crate::support::own_engine::{OwnEngine, Store};
use crate::support::prewarm::{Finished, Machine};
use crate::support::repo::{ENGINE, Repo};
use crate::support::wait::until;

mod builds;
mod faults;
mod needs;
mod places;
mod plans;

/// Everything that nobody needs goes.
const ALL: [&str; 4] = ["--max-cache", "0", "--keep-newer-than", "0s"];

/// What was used this recently counts as in use.
const RECENT: Duration = Duration::from_millis(1_200);

/// An Engine, a machine that uses it, and their repositories.
struct Desk {
    engine: OwnEngine,
    machine: Machine,
}

impl Desk {
    fn new() -> Self {
        Self::on(Store::Containerd)
    }

    fn on(store: Store) -> Self {
        let engine = OwnEngine::new(store);
        let machine = Machine::with_engine(&engine.host());
        Self { engine, machine }
    }

    /// A project that can be warmed, on branch `topic`.
    fn project(&self) -> Repo {
        self.engine.scene.project()
    }

    /// A project that nobody ever warms, with a step of its own.
    fn stranger(&self, step: &str) -> Repo {
        let repo = Repo::new();
        let dockerfile = format!(
            "FROM {} AS builder\nRUN echo {} && {step}\n",
            engines().busybox,
            self.engine.scene.seed
        );
        repo.configure(
            ENGINE,
            &format!("cache = \"{}\"", self.engine.scene.cache()),
        )
        .file("Dockerfile", dockerfile)
        .commit();
        repo
    }

    /// Builds what is checked out with docker alone.
    #[track_caller]
    fn build(&self, repo: &Repo) -> Steps {
        let config = self.machine.docker_config();
        build_cache(repo.path(), &self.engine.host(), &config)
    }

    /// The cache's records, by docker's own account.
    #[track_caller]
    fn records(&self) -> BTreeSet<String> {
        let listed = self.engine.ask(&["buildx", "du", "--verbose"]);
        let ids = listed.lines().filter_map(|line| line.strip_prefix("ID:"));
        ids.map(|id| id.trim().to_owned()).collect()
    }

    /// The record of a step.
    #[track_caller]
    fn record(&self, step: &str) -> String {
        let shown = self.shown(&[&ALL[..], &["--json"]].concat());
        let all = [&shown["deletions"], &shown["kept"]];
        let mut records = all
            .into_iter()
            .flat_map(|list| list.as_array().into_iter().flatten());
        let of_step = |record: &&Value| {
            record["description"]
                .as_str()
                .is_some_and(|text| text.contains(step))
        };
        let record = records.find(of_step).expect("the step has a record");
        name(record)
    }

    fn prune(&self, arguments: &[&str]) -> Finished {
        self.machine.ask(&[&["prune"], arguments].concat())
    }

    /// The document that it prints; it must succeed.
    #[track_caller]
    fn shown(&self, arguments: &[&str]) -> Value {
        document(&self.prune(arguments))
    }

    /// Deletes all that nobody needs, once nothing counts as in use any more.
    #[track_caller]
    fn prune_all(&self, more: &[&str]) -> Value {
        settle();
        self.shown(&[&ALL[..], &["--yes", "--json"], more].concat())
    }
}

/// Waits until nothing that was built counts as in use.
pub(crate) fn settle() {
    let now = Instant::now();
    until("what was built is unused", RECENT * 2, || {
        now.elapsed() > RECENT
    });
}

#[track_caller]
fn document(finished: &Finished) -> Value {
    assert_eq!(
        finished.code(),
        0,
        "{}\n{}",
        finished.stdout,
        finished.stderr
    );
    // One document, or one after the other: the last tells what came of it.
    let documents = serde_json::Deserializer::from_str(&finished.stdout).into_iter();
    documents.map_while(Result::ok).last().expect("it is JSON")
}

fn name(record: &Value) -> String {
    record["name"].as_str().expect("it has one").to_owned()
}

/// The names of a list's records.
#[track_caller]
fn names(list: &Value) -> BTreeSet<String> {
    list.as_array()
        .expect("it is a list")
        .iter()
        .map(name)
        .collect()
}
