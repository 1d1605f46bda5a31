//! Configuration as values: what the user's file and a repository's `.prewarm.toml` say, parsed once into types.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The user's own configuration (`~/.config/prewarm/config.toml`).
#[derive(Clone, Debug, PartialEq)]
pub struct UserConfig {
    /// How we reach BuildKit.
    pub builder: Builder,
    /// How `warm` behaves.
    pub warm: WarmSettings,
    /// What a repository's file may ask for.
    pub consent: Consent,
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
    /// Secret ids that a repository's targets may use.
    pub secrets: Vec<String>,
    /// SSH agent ids that a repository's targets may use.
    pub ssh: Vec<String>,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryConfig {
    /// What CI does.
    pub ci: Ci,
    /// What to warm, in the file's order.
    pub targets: Vec<Target>,
    /// True when there is no `.prewarm.toml` and the targets were detected.
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
    /// Branches whose tags are never written from here; `*` matches any run of characters.
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
    /// A file.
    File(PathBuf),
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
