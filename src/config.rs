//! Configuration as values: what the user's file and a repository's `.prewarm.toml` say, parsed once into types.

mod closest;
mod consent;
pub mod detect;
mod dockerfile;
mod origin;
mod problem;
mod prune;
mod quote;
mod repository;
mod section;
mod show;
pub mod units;
mod user;
mod values;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use closest::closest;
pub use consent::{Refused, refused, refused_frontend, refused_image};
pub use origin::{Loaded, Origin};
pub use problem::{ConfigErrors, Problem};
pub use prune::{Amount, PruneImages, PruneSettings};
pub use repository::{REPOSITORY_FILE, parse_repository, parse_repository_bytes};
pub use show::{Setting, repository_settings, show, user_settings};
pub use user::{LONGEST_QUIET, load_user, parse_user};

/// The image that `docker/setup-buildx-action` starts when its workflow names none.
const BUILDKIT: &str = "moby/buildkit:buildx-stable-1";

/// The user's own configuration (`~/.config/prewarm/config.toml`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UserConfig {
    /// How we reach BuildKit.
    pub builder: Builder,
    /// How `warm` behaves.
    pub warm: WarmSettings,
    /// What a repository's file may ask for.
    pub consent: Consent,
    /// How the daemon behaves.
    pub daemon: DaemonSettings,
    /// What git hooks do.
    pub hooks: HookSettings,
    /// How disk space is had back.
    pub prune: PruneSettings,
    /// Per registry host (`host` or `host:port`).
    pub registries: BTreeMap<String, RegistrySettings>,
}

/// How we reach BuildKit, and the container of our own when that is how.
#[derive(Clone, Debug, PartialEq)]
pub struct Builder {
    /// Which BuildKit.
    pub endpoint: Endpoint,
    /// CPUs that our BuildKit container may use; `None` for no limit.
    pub cpus: Option<f64>,
    /// Memory in bytes that our BuildKit container may use; `None` for no limit.
    pub memory: Option<u64>,
    /// The container's network mode: `bridge`, or `host` for a registry on loopback.
    pub network: String,
    /// A `buildkitd.toml` for the container.
    pub buildkitd_config: Option<PathBuf>,
    /// Extra certificate authorities (PEM files) for the container.
    pub certificates: Vec<PathBuf>,
    /// How long an image of the container counts as fresh.
    pub refresh: Duration,
    /// TLS for a `tcp://` endpoint; `None` for plain TCP.
    pub tls: Option<BuilderTls>,
}

/// Client TLS for a `tcp://` BuildKit; all paths are PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuilderTls {
    /// The authority that signed the server's certificate.
    pub ca: PathBuf,
    /// Our certificate and its key, where the server wants one.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// Where a BuildKit is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Follows `ci.buildkit`.
    Auto,
    /// A BuildKit container of our own.
    Container,
    /// The Docker Engine's own BuildKit.
    Engine,
    /// A `buildkitd` on a Unix socket.
    Unix(PathBuf),
    /// A `buildkitd` on TCP, `host:port`.
    Tcp(String),
    /// A buildx builder by name, through `docker buildx dial-stdio`.
    Buildx(String),
}

/// Reads an endpoint as `builder.endpoint` has it.
///
/// # Errors
/// The message completes "`key`: …".
pub fn parse_endpoint(text: &str) -> Result<Endpoint, String> {
    values::endpoint(text)
}

/// How `warm` behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmSettings {
    /// Targets built side by side.
    pub parallel: usize,
    /// How long one build may take.
    pub timeout: Duration,
    /// How long a base image's digest counts as known before the registry is asked again.
    pub base_check: Duration,
    /// How often a registry request is tried again.
    pub retries: u32,
}

/// What a repository's file may ask for; everything else it asks for is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consent {
    /// Secrets that a repository's targets may use: the id with its source, so that a repository cannot point a harmless
    /// id at another file.
    pub secrets: Vec<Secret>,
    /// SSH agent ids that a repository's targets may use.
    pub ssh: Vec<String>,
    /// Repositories of images that `ci.buildkit` may name besides `moby/buildkit`: the container runs privileged.
    pub buildkit_images: Vec<String>,
    /// Repositories of images that `# syntax=` may name besides `docker/dockerfile`: a frontend decides what is executed.
    pub frontends: Vec<String>,
}

/// How the daemon behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonSettings {
    /// Builds side by side.
    pub parallel: usize,
    /// Whether what is saved but not committed is warmed, too.
    pub worktree: bool,
    /// How long nothing may change before a change counts as complete.
    pub quiet: Duration,
    /// How often base images are looked at when nothing changes.
    pub recheck: Duration,
    /// How long builds may go on after the daemon was asked to stop.
    pub grace: Duration,
    /// Whether the desktop is told of failures.
    pub notify: bool,
}

/// What git hooks do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookSettings {
    /// What `git push` does about a cache that is not there yet.
    pub pre_push: PrePush,
    /// How long `git push` waits at most.
    pub wait: Duration,
    /// Whether hooks warm by themselves while no daemon runs.
    pub standalone: bool,
}

/// What `git push` does about a cache that is not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrePush {
    /// Nothing.
    Off,
    /// It says so, and goes on.
    Notify,
    /// It waits for the cache, with progress, and goes on at the latest after [`HookSettings::wait`].
    Wait,
}

/// One registry host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistrySettings {
    /// Speak plain HTTP. Loopback needs no such permission.
    pub insecure: bool,
    /// An extra certificate authority (PEM file).
    pub ca: Option<PathBuf>,
}

/// A repository's configuration: `.prewarm.toml`, or what was detected without one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositoryConfig {
    /// What CI does.
    pub ci: Ci,
    /// What to warm, in the file's order.
    pub targets: Vec<Target>,
    /// True when nothing configures a target and one was detected.
    pub detected: bool,
}

/// What CI does, so that we build the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ci {
    /// Where CI's build takes its files from.
    pub context: CiContext,
    /// The umask of CI's checkout.
    pub umask: u32,
    /// The branch that pull requests merge into.
    pub default_branch: String,
    /// Whether CI builds the merge of head and base.
    pub pull_requests: bool,
    /// The BuildKit that CI runs.
    pub buildkit: CiBuildkit,
    /// Branches whose tags are never written from here; `*` matches any run of characters. Where nobody says, the
    /// default branch is one of them.
    pub protected: Vec<String>,
    /// Whether CI checks out LFS files.
    pub lfs: bool,
    /// Whether CI checks out submodules.
    pub submodules: bool,
}

/// Where CI's build takes its files from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CiContext {
    /// A Git context (build-push-action's default): `.dockerignore` does not apply.
    Git,
    /// A path context after a checkout: `.dockerignore` applies.
    Path,
}

/// The BuildKit that CI runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CiBuildkit {
    /// A BuildKit container from this image.
    Image(String),
    /// The Engine's own.
    Engine,
}

/// One thing to warm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The table's name.
    pub name: String,
    /// The Dockerfile, relative to the repository's root.
    pub dockerfile: String,
    /// The context directory, relative to the repository's root; `.` for the root.
    pub context: String,
    /// The stage; `None` for the last.
    pub stage: Option<String>,
    /// Platforms, such as `linux/amd64`; empty for the builder's own.
    pub platforms: Vec<String>,
    /// The repository that holds the cache tags; `None` to warm this machine's BuildKit only.
    pub cache: Option<String>,
    /// The branch tag with `{branch}` in it.
    pub tag: String,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Build secrets.
    pub secrets: Vec<Secret>,
    /// SSH agents by id.
    pub ssh: Vec<String>,
    /// Compression of exported layers.
    pub compression: Compression,
}

/// A build secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secret {
    /// The id that the Dockerfile uses.
    pub id: String,
    /// Where its value is.
    pub source: SecretSource,
}

/// Where a secret's value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file, as written: absolute, or `~/…` in the user's home directory.
    File(PathBuf),
}

impl SecretSource {
    /// The key and the value by which both files write it.
    #[must_use]
    pub fn written(&self) -> (&'static str, String) {
        match self {
            Self::Env(variable) => ("env", variable.clone()),
            Self::File(path) => ("file", path.display().to_string()),
        }
    }
}

/// Compression of exported layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Fast and small; the default.
    Zstd,
    /// What every registry and engine takes.
    Gzip,
    /// None.
    Uncompressed,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::Auto,
            cpus: None,
            memory: None,
            network: "bridge".to_owned(),
            buildkitd_config: None,
            certificates: Vec::new(),
            refresh: Duration::from_secs(24 * 60 * 60),
            tls: None,
        }
    }
}

impl Default for WarmSettings {
    fn default() -> Self {
        Self {
            parallel: 2,
            timeout: Duration::from_secs(60 * 60),
            base_check: Duration::from_secs(15 * 60),
            retries: 4,
        }
    }
}

impl Default for DaemonSettings {
    fn default() -> Self {
        Self {
            parallel: 1,
            worktree: true,
            quiet: Duration::from_millis(300),
            recheck: Duration::from_secs(60 * 60),
            grace: Duration::from_secs(20),
            notify: false,
        }
    }
}

impl Default for HookSettings {
    fn default() -> Self {
        Self {
            pre_push: PrePush::Off,
            wait: Duration::from_secs(2 * 60),
            standalone: false,
        }
    }
}

impl Default for Ci {
    fn default() -> Self {
        Self {
            context: CiContext::Git,
            umask: 0o022,
            default_branch: "main".to_owned(),
            pull_requests: true,
            buildkit: CiBuildkit::Image(BUILDKIT.to_owned()),
            protected: ["main", "master", "release/*"].map(str::to_owned).to_vec(),
            lfs: false,
            submodules: false,
        }
    }
}

impl Target {
    /// The target of a name with the defaults that follow from name and context.
    #[must_use]
    pub fn new(name: &str, context: &str) -> Self {
        let dockerfile = if context == "." {
            "Dockerfile".to_owned()
        } else {
            format!("{context}/Dockerfile")
        };
        Self {
            name: name.to_owned(),
            dockerfile,
            context: context.to_owned(),
            stage: Some(name.to_owned()),
            platforms: Vec::new(),
            cache: None,
            tag: format!("{name}-cache-{{branch}}"),
            args: BTreeMap::new(),
            secrets: Vec::new(),
            ssh: Vec::new(),
            compression: Compression::Zstd,
        }
    }
}
