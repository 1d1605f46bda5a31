//! The test engines that `scripts/engine` brings up, and who may use them when.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Two Docker Engines, two registries, and a docker command line.
#[derive(Debug)]
pub(crate) struct Engines {
    /// The developer's machine, as a `DOCKER_HOST`.
    pub(crate) a: String,
    /// The CI runner.
    pub(crate) b: String,
    /// An Engine with the classic image store; not started by itself.
    pub(crate) classic: String,
    /// An Engine on TCP for clients with a certificate of [`Engines::certificates`]; not started by itself.
    pub(crate) tls: String,
    /// A directory of certificates: `own` of the authority that [`Engines::tls`] knows, `stranger` of another.
    pub(crate) certificates: PathBuf,
    /// `host:port` of a registry that asks for no login.
    pub(crate) registry: String,
    /// `host:port` of a registry that asks for one.
    pub(crate) registry_auth: String,
    /// The login's user name.
    pub(crate) user: String,
    /// The login's password.
    pub(crate) password: String,
    /// A base image.
    pub(crate) busybox: String,
    /// The image of a BuildKit container, once `image buildkit` made it.
    pub(crate) buildkit: String,
    /// The docker command line.
    docker: PathBuf,
}

static ENGINES: OnceLock<Engines> = OnceLock::new();
static TURN: RwLock<()> = RwLock::new(());

/// Brings the engines up, once per process.
pub(crate) fn engines() -> &'static Engines {
    ENGINES.get_or_init(|| {
        let printed = script(&["up"]);
        let mut values: BTreeMap<&str, &str> = printed
            .lines()
            .filter_map(|line| line.strip_prefix("export ")?.split_once('='))
            .collect();
        let mut value = |name: &str| {
            let value = values.remove(name);
            value
                .unwrap_or_else(|| panic!("`scripts/engine up` did not print {name}"))
                .to_owned()
        };
        Engines {
            a: value("PREWARM_TEST_A"),
            b: value("PREWARM_TEST_B"),
            classic: value("PREWARM_TEST_CLASSIC"),
            tls: value("PREWARM_TEST_TLS"),
            certificates: value("PREWARM_TEST_CERTIFICATES").into(),
            registry: value("PREWARM_TEST_REGISTRY"),
            registry_auth: value("PREWARM_TEST_REGISTRY_AUTH"),
            user: value("PREWARM_TEST_REGISTRY_USER"),
            password: value("PREWARM_TEST_REGISTRY_PASSWORD"),
            busybox: value("PREWARM_TEST_BUSYBOX"),
            buildkit: value("PREWARM_TEST_BUILDKIT"),
            docker: value("PREWARM_TEST_DOCKER").into(),
        }
    })
}

/// Runs `scripts/engine` and returns what it prints.
pub(crate) fn script(arguments: &[&str]) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/engine");
    let output = Command::new(&path)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{} cannot be run: {error}", path.display()));
    assert!(
        output.status.success(),
        "{} {arguments:?} failed:\n{}",
        path.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("the script prints UTF-8")
}

impl Engines {
    /// The directory that holds `docker`, for a `PATH`.
    pub(crate) fn docker_directory(&self) -> &Path {
        self.docker.parent().expect("a command is in a directory")
    }

    /// The docker command line for an engine, with `config` as its configuration directory.
    pub(crate) fn docker(&self, engine: &str, config: &Path) -> Command {
        let mut command = Command::new(&self.docker);
        command
            .env_clear()
            .env("PATH", search_path())
            .env("HOME", config)
            .env("DOCKER_CONFIG", config)
            .env("DOCKER_HOST", engine)
            .stdin(Stdio::null());
        command
    }

    /// What a docker command prints; it must succeed.
    #[track_caller]
    pub(crate) fn docker_output(&self, engine: &str, arguments: &[&str]) -> String {
        let config = tempfile::tempdir().expect("a temporary directory can be made");
        let output = self
            .docker(engine, config.path())
            .args(arguments)
            .output()
            .expect("docker can be run");
        assert!(
            output.status.success(),
            "docker {arguments:?} failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

/// Where programs are found: `docker` first among the test engines' own, then as on this machine.
pub(crate) fn search_path() -> String {
    let inherited = std::env::var("PATH").unwrap_or_default();
    format!("{}:{inherited}", engines().docker_directory().display())
}

/// The right to use the engines.
#[derive(Debug)]
#[expect(dead_code, reason = "the guards are held, not read")]
enum Turn {
    Shared(RwLockReadGuard<'static, ()>),
    Exclusive(RwLockWriteGuard<'static, ()>),
}

/// One test's share of the engines: names and content that no other test has. Engine B never saw that content, so
/// whatever is CACHED there came from the registry.
#[derive(Debug)]
pub(crate) struct Scene {
    _turn: Turn,
    /// The repository in the registry.
    pub(crate) name: String,
    /// What makes content unique.
    pub(crate) seed: String,
}

impl Scene {
    /// Shares the engines with other tests.
    pub(crate) fn new() -> Self {
        Self::with(Turn::Shared(
            TURN.read().unwrap_or_else(PoisonError::into_inner),
        ))
    }

    /// Has the engines alone: for tests that restart one, or that use the one container which prewarm owns there.
    pub(crate) fn exclusive() -> Self {
        Self::with(Turn::Exclusive(
            TURN.write().unwrap_or_else(PoisonError::into_inner),
        ))
    }

    fn with(turn: Turn) -> Self {
        engines();
        let seed = format!("{:016x}", fastrand::u64(..));
        Self {
            _turn: turn,
            name: format!("it/{seed}"),
            seed,
        }
    }

    /// This test's cache repository.
    pub(crate) fn cache(&self) -> String {
        self.cache_at(&engines().registry)
    }

    /// The same behind another address of the registry.
    pub(crate) fn cache_at(&self, host: &str) -> String {
        format!("{host}/{}", self.name)
    }

    /// The reference that CI reads for a branch.
    pub(crate) fn branch_tag(&self, slug: &str) -> String {
        format!("{}:builder-cache-{slug}", self.cache())
    }
}
