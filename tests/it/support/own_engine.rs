//! An Engine that one test has for itself, and with it a cache that nobody else uses: the image of the BuildKit container,
//! whose Engine listens in a directory of this machine.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::PathBuf;
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
        let classic = "s/containerd-snapshotter\": true/containerd-snapshotter\": false/";
        Self::changed(if store == Store::Classic { classic } else { "" }, None)
    }

    /// With its data on a small disk of its own, which `/proc` shows to this machine at [`OwnEngine::disk`].
    pub(crate) fn on_small_disk(size: &str) -> Self {
        let this = Self::changed("s#STATE = .*#STATE = $ENV{DATA};#", Some(size));
        let dockerd = this.process();
        let data = this.disk();
        let there = format!("/proc/{dockerd}/root{}", data.display());
        symlink(there, data).expect("the directory is ours");
        this
    }

    /// Where the data is if the engine has a disk of its own.
    pub(crate) fn disk(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The number that its process has on this machine: the one that sees our directory as its own.
    fn process(&self) -> String {
        let sees = |entry: &fs::DirEntry| {
            let socket = entry.path().join("root/run/buildkit/engine.sock");
            let ours = fs::metadata(self.socket()).expect("it answers");
            fs::metadata(socket)
                .is_ok_and(|found| found.ino() == ours.ino() && found.dev() == ours.dev())
        };
        let all = fs::read_dir("/proc").expect("it is mounted");
        let mut ours = all.map_while(Result::ok).filter(sees);
        let found = ours.next().expect("it runs");
        found.file_name().into_string().expect("it is a number")
    }

    /// With a change to its entry point, as `sed` spells it, and perhaps a disk of this size.
    fn changed(change: &str, disk: Option<&str>) -> Self {
        let scene = Scene::new();
        script(&["image", "buildkit"]);
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let this = Self {
            name: format!("own-{}", scene.seed),
            directory,
            scene,
        };
        let sockets = format!("{}:/run/buildkit", this.directory.path().display());
        let data = this.disk().display().to_string();
        let mount = disk.map(|size| format!("--tmpfs={data}:exec,size={size}"));
        let variable = format!("--env=DATA={data}");
        let mut run = vec![
            "run",
            "--detach",
            "--privileged",
            "--network=host",
            "--name",
            &this.name,
            "--volume",
            &sockets,
            &variable,
        ];
        run.extend(mount.as_deref());
        // It cannot remove what is mounted, and says so.
        let command = format!("sed -i '{change}' /usr/bin/buildkitd; exec buildkitd 2>/dev/null");
        run.extend(["--entrypoint=sh", &engines().buildkit, "-c", &command]);
        docker(&run);
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
