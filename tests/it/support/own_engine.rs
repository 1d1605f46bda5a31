//! An Engine that one test has for itself, and with it a cache that nobody else uses: the image of the BuildKit container,
//! whose Engine listens in a directory of this machine.

use std::time::Duration;

use tempfile::TempDir;

use super::engines::{Scene, engines, script};
use super::wait::until;

/// How the Engine keeps images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// As containerd does.
    Containerd,
    /// As Engines always did.
    Classic,
}

/// What an Engine that starts may take.
const LIMIT: Duration = Duration::from_secs(60);

/// An Engine; gone, with everything in it, when dropped.
#[derive(Debug)]
pub(crate) struct OwnEngine {
    /// The engine that its container is in stays up meanwhile.
    pub(crate) scene: Scene,
    directory: TempDir,
    name: String,
}

impl OwnEngine {
    pub(crate) fn new(store: Store) -> Self {
        let scene = Scene::new();
        script(&["image", "buildkit"]);
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let this = Self {
            name: format!("own-{}", scene.seed),
            directory,
            scene,
        };
        let classic = "sed -i 's/containerd-snapshotter\": true/containerd-snapshotter\": false/' /usr/bin/buildkitd;";
        let change = if store == Store::Classic { classic } else { "" };
        docker(&[
            "run",
            "--detach",
            "--privileged",
            "--network=host",
            "--name",
            &this.name,
            "--volume",
            &format!("{}:/run/buildkit", this.directory.path().display()),
            "--entrypoint=sh",
            &engines().buildkit,
            "-c",
            // It cannot remove what is mounted, and says so.
            &format!("{change} exec buildkitd 2>/dev/null"),
        ]);
        this.wait();
        this
    }

    /// As a `DOCKER_HOST`.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket())
    }

    pub(crate) fn socket(&self) -> String {
        format!("{}/engine.sock", self.directory.path().display())
    }

    /// What a docker command prints that this Engine is asked.
    #[track_caller]
    pub(crate) fn ask(&self, arguments: &[&str]) -> String {
        engines().docker_output(&self.host(), arguments)
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(&self) {
        docker(&["kill", &self.name]);
    }

    /// Starts it again.
    pub(crate) fn start(&self) {
        docker(&["start", &self.name]);
        self.wait();
    }

    fn wait(&self) {
        let config = tempfile::tempdir().expect("a temporary directory can be made");
        until("the engine answers", LIMIT, || {
            let mut version = engines().docker(&self.host(), config.path());
            let output = version.arg("version").output();
            output.expect("docker can be run").status.success()
        });
    }
}

/// On the engine that its container is in.
#[track_caller]
fn docker(arguments: &[&str]) {
    engines().docker_output(&engines().a, arguments);
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        let config = tempfile::tempdir().expect("a temporary directory can be made");
        let mut remove = engines().docker(&engines().a, config.path());
        // What a test that failed says is worth more than this.
        let _ = remove
            .args(["rm", "--force", "--volumes", &self.name])
            .output();
    }
}
