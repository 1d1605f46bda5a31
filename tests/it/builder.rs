//! The BuildKit container that prewarm owns. There is one per Engine, so these tests have the engines alone.

use serde_json::Value;

use crate::support::ci::{CHECKOUT, CiBuild};
use crate::support::engines::{Scene, engines, script};
use crate::support::prewarm::Machine;
use crate::support::registry;
use crate::support::repo::Repo;

/// The container's name.
const CONTAINER: &str = "prewarm-buildkit";

/// A user's configuration that allows the scene's image; its container reaches the registry, which is on loopback.
fn configuration(scene: &Scene, builder: &str) -> String {
    format!(
        "[builder]\nnetwork = \"host\"\n{builder}\n[consent]\nbuildkit_images = [\"{}/buildkit\"]\n",
        scene.cache()
    )
}

/// The engines alone, an Engine without a container of ours, and an image for one under a name of the test's own.
struct Workshop {
    scene: Scene,
    engine: String,
    image: String,
    machine: Machine,
}

impl Workshop {
    fn new() -> Self {
        Self::on(&engines().a)
    }

    fn on(engine: &str) -> Self {
        let scene = Scene::exclusive();
        script(&["image", "buildkit"]);
        registry::copy(
            &engines().buildkit,
            &format!("{}/buildkit", scene.name),
            "1",
        );
        let image = format!("{}/buildkit:1", scene.cache());
        let machine = Machine::with_engine(engine);
        machine.configure(&configuration(&scene, ""));
        let workshop = Self {
            engine: engine.to_owned(),
            image,
            machine,
            scene,
        };
        workshop.remove();
        workshop
    }

    fn remove(&self) {
        let removed = self
            .machine
            .prewarm(self.machine.home())
            .args(["builder", "remove"])
            .run();
        assert_eq!(removed.code(), 0, "{}", removed.stderr);
    }

    fn project(&self) -> Repo {
        let repo = self.scene.project();
        let ci = format!("buildkit = \"{}\"", self.image);
        repo.configure(&ci, &format!("cache = \"{}\"", self.scene.cache()))
            .commit();
        repo
    }

    /// What docker says of the container.
    #[track_caller]
    fn inspect(&self, format: &str) -> String {
        engines().docker_output(&self.engine, &["inspect", "--format", format, CONTAINER])
    }

    /// What `builder status` says of it.
    #[track_caller]
    fn status(&self) -> Value {
        let status = self
            .machine
            .prewarm(self.machine.home())
            .args(["builder", "status", "--json"])
            .run();
        assert_eq!(status.code(), 0, "{}", status.stderr);
        let document: Value = serde_json::from_str(&status.stdout).expect("it is JSON");
        document["container"].clone()
    }

    /// Containers and volumes of ours on the Engine.
    fn traces(&self) -> String {
        let docker = |arguments: &[&str]| engines().docker_output(&self.engine, arguments);
        let containers = docker(&[
            "ps",
            "--all",
            "--filter",
            "name=prewarm",
            "--format",
            "{{.Names}}",
        ]);
        let volumes = docker(&[
            "volume",
            "ls",
            "--filter",
            "name=prewarm",
            "--format",
            "{{.Name}}",
        ]);
        format!("{containers}{volumes}")
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // Left for the next test to clean if this one fails in between.
        if !std::thread::panicking() {
            self.remove();
        }
    }
}

#[test]
fn a_dry_run_makes_no_container() {
    let workshop = Workshop::new();
    let repo = workshop.project();
    let dry = || {
        let machine = &workshop.machine;
        machine.warm(repo.path()).args(["--dry-run"]).json()
    };
    let before = dry();
    assert_eq!(before.outcome(), "would-warm");
    assert!(before.reason().contains("no container"), "{before:?}");
    let status = workshop
        .machine
        .prewarm(repo.path())
        .args(["builder", "status"])
        .run();
    assert!(status.stdout.contains("There is no"), "{}", status.stdout);

    workshop.machine.warm(repo.path()).json().is("warm");
    dry().is("already-warm");
}

#[test]
fn the_container_is_made_on_first_use_reused_and_removed_without_a_trace() {
    let workshop = Workshop::new();
    let repo = workshop.project();
    assert_eq!(workshop.status(), Value::Null);
    assert_eq!(workshop.traces(), "");

    let first = workshop.machine.warm(repo.path()).json();
    assert_eq!(first.is("warm").ci(), "will-hit");
    let progress = first
        .events
        .iter()
        .filter(|event| event["event"] != "step" && event["event"] != "bytes");
    let progress: Vec<String> = progress.map(ToString::to_string).collect();
    assert!(
        progress
            .iter()
            .any(|event| event.contains("creating the BuildKit container")),
        "{progress:#?}"
    );
    assert_eq!(workshop.status()["state"], "running");
    let steps = CiBuild::new(&repo, CHECKOUT)
        .cache_from(workshop.scene.branch_tag("topic"))
        .run();
    steps.assert_all_cached(2);

    let id = workshop.inspect("{{.Id}}");
    repo.file("deps.txt", format!("{} edited\n", workshop.scene.seed))
        .commit();
    workshop.machine.warm(repo.path()).json().is("warm");
    assert_eq!(workshop.inspect("{{.Id}}"), id, "the same container");

    workshop.remove();
    assert_eq!(workshop.traces(), "");
}

#[test]
fn the_container_survives_a_restart_of_the_engine() {
    let workshop = Workshop::new();
    let repo = workshop.project();
    workshop.machine.warm(repo.path()).json().is("warm");
    script(&["restart", "a"]);
    let again = workshop.machine.warm(repo.path()).args(["--force"]).json();
    again.is("warm");
    assert_eq!(again.target()["steps_run"], 0, "its cache is still there");
}

#[test]
fn the_container_has_the_limits_of_the_configuration() {
    let workshop = Workshop::new();
    let repo = workshop.project();
    workshop.machine.configure(&configuration(
        &workshop.scene,
        "cpus = 0.5\nmemory = \"1GiB\"\n",
    ));
    workshop.machine.warm(repo.path()).json().is("warm");
    assert_eq!(
        workshop.inspect("{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}}"),
        "500000000 1073741824"
    );

    workshop
        .machine
        .configure(&configuration(&workshop.scene, "cpus = 1.5\n"));
    workshop
        .machine
        .warm(repo.path())
        .args(["--force"])
        .json()
        .is("warm");
    assert_eq!(
        workshop.inspect("{{.HostConfig.NanoCpus}} {{.HostConfig.Memory}}"),
        "1500000000 0"
    );
}

#[test]
fn an_image_that_moves_is_refreshed_and_targets_are_not_warm_any_more() {
    let workshop = Workshop::new();
    let repo = workshop.project();
    workshop.machine.warm(repo.path()).json().is("warm");
    workshop.machine.warm(repo.path()).json().is("already-warm");
    let old = workshop.status()["image_digest"].clone();

    let newer = engines().buildkit.replace("buildkit:1", "buildkit:2");
    registry::copy(&newer, &format!("{}/buildkit", workshop.scene.name), "1");
    workshop.machine.warm(repo.path()).json().is("already-warm");
    let refreshed = workshop
        .machine
        .prewarm(repo.path())
        .args(["builder", "refresh"])
        .run();
    assert_eq!(refreshed.code(), 0, "{}", refreshed.stderr);
    let again = workshop.machine.warm(repo.path()).json();
    assert_eq!(again.outcome(), "warm", "{:#?}", again.targets);
    assert_ne!(workshop.status()["image_digest"], old);
}

#[test]
fn two_processes_that_start_the_container_at_once_make_one() {
    let workshop = Workshop::new();
    let repo = workshop.project();
    let other = Machine::with_engine(&workshop.engine);
    other.configure(&configuration(&workshop.scene, ""));
    let clone = repo.team_mate();
    clone
        .file(
            "deps.txt",
            format!("{} of the other\n", workshop.scene.seed),
        )
        .commit();
    let mut both = [
        workshop.machine.warm(repo.path()).start(),
        other.warm(clone.path()).start(),
    ];
    assert_eq!(both.each_mut().map(|running| running.end()), [0, 0]);
    assert_eq!(workshop.traces(), "prewarm-buildkitprewarm-buildkit-state");
}

#[test]
fn the_container_works_on_an_engine_with_the_classic_image_store() {
    script(&["start", "classic"]);
    let workshop = Workshop::on(&engines().classic);
    let repo = workshop.project();
    assert_eq!(
        workshop.machine.warm(repo.path()).json().is("warm").ci(),
        "will-hit"
    );
    let steps = CiBuild::new(&repo, CHECKOUT)
        .cache_from(workshop.scene.branch_tag("topic"))
        .run();
    steps.assert_all_cached(2);
}

#[test]
fn a_full_disk_is_named() {
    let workshop = Workshop::new();
    let repo = workshop.project();
    // A volume like prewarm's own, but small.
    let small = [
        "--label",
        "dev.prewarm.role=builder",
        "--opt",
        "type=tmpfs",
        "--opt",
        "device=tmpfs",
        "--opt",
        "o=size=48m",
    ];
    let create = [
        &["volume", "create"],
        &small[..],
        &["prewarm-buildkit-state"],
    ]
    .concat();
    engines().docker_output(&workshop.engine, &create);
    repo.file("deps.txt", vec![b'x'; 64 << 20]).commit();
    let refused = workshop.machine.warm(repo.path()).json();
    assert_eq!(
        (refused.code, refused.outcome().as_str()),
        (3, "failed"),
        "{:#?}",
        refused.targets
    );
    assert!(
        refused.reason().starts_with("BuildKit's disk is full"),
        "{}",
        refused.reason()
    );
}

#[test]
fn an_image_that_the_user_does_not_know_is_not_run() {
    let scene = Scene::new();
    let repo = scene.project();
    let image = format!("{}/buildkit:1", scene.cache());
    repo.configure(&format!("buildkit = \"{image}\""), "")
        .commit();
    let refused = Machine::new().warm(repo.path()).json();
    assert_eq!(refused.code, 2, "{:#?}", refused.targets);
    assert!(
        refused
            .reason()
            .contains("is not allowed by your configuration"),
        "{}",
        refused.reason()
    );
}

#[test]
fn an_image_that_cannot_be_had_makes_the_engine_build_and_hits_not_assured() {
    let scene = Scene::new();
    let repo = scene.project();
    let image = format!("{}/buildkit:none", scene.cache());
    repo.configure(
        &format!("buildkit = \"{image}\""),
        &format!("cache = \"{}\"", scene.cache()),
    )
    .commit();
    let machine = Machine::new();
    machine.configure(&configuration(&scene, ""));
    let warmed = machine.warm(repo.path()).json();
    assert_eq!(warmed.is("warm").ci(), "not-assured");
    let reason = warmed.target()["ci"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains(&image), "{reason}");
}

#[test]
fn a_buildx_builder_builds() {
    let scene = Scene::new();
    let repo = scene.project();
    let machine = Machine::new();
    machine.configure("[builder]\nendpoint = \"buildx:default\"\n");
    assert_eq!(
        machine.warm(repo.path()).json().is("warm").ci(),
        "not-assured"
    );
    registry::assert_complete(&scene.name);
}
