//! What CI does: a fresh checkout, and the plain `docker buildx build --cache-from` on an Engine that never saw it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::engines::engines;
use super::git_server::GitServer;
use super::repo::{Repo, git, isolate};

/// Where CI's build takes its files from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Context {
    /// A checkout made with this umask.
    Path { umask: &'static str },
    /// The repository's address.
    Git,
}

/// The usual checkout.
pub(crate) const CHECKOUT: Context = Context::Path { umask: "022" };

/// A build of a repository's current branch in CI.
#[must_use]
#[derive(Debug)]
pub(crate) struct CiBuild<'a> {
    repo: &'a Repo,
    context: Context,
    sub_directory: &'a str,
    dockerfile: Option<&'a str>,
    cache_from: Vec<String>,
}

impl<'a> CiBuild<'a> {
    pub(crate) fn new(repo: &'a Repo, context: Context) -> Self {
        Self {
            repo,
            context,
            sub_directory: "",
            dockerfile: None,
            cache_from: Vec::new(),
        }
    }

    /// A directory of the checkout as the context.
    pub(crate) fn sub_directory(mut self, path: &'a str) -> Self {
        self.sub_directory = path;
        self
    }

    /// A Dockerfile of the checkout.
    pub(crate) fn dockerfile(mut self, path: &'a str) -> Self {
        self.dockerfile = Some(path);
        self
    }

    /// Reads the cache at a reference.
    pub(crate) fn cache_from(mut self, reference: impl Into<String>) -> Self {
        self.cache_from.push(reference.into());
        self
    }

    /// Builds on engine B.
    #[track_caller]
    pub(crate) fn run(self) -> Steps {
        let runner = tempfile::tempdir().expect("a temporary directory can be made");
        let branch = self.repo.current_branch();
        match self.context {
            Context::Path { umask } => {
                let checkout = checkout(self.repo, &branch, umask, runner.path());
                let dockerfile = self.dockerfile.map(|path| checkout.join(path));
                let context = checkout.join(self.sub_directory);
                self.build(runner.path(), &context.display().to_string(), dockerfile)
            }
            Context::Git => {
                let server = GitServer::new(self.repo);
                self.build(runner.path(), &server.url(&branch), None)
            }
        }
    }

    #[track_caller]
    fn build(&self, runner: &Path, context: &str, dockerfile: Option<PathBuf>) -> Steps {
        let mut command = engines().docker(&engines().b, &runner.join("docker"));
        command.args(["buildx", "build", "--target", "builder"]);
        for reference in &self.cache_from {
            command.arg(format!("--cache-from=type=registry,ref={reference}"));
        }
        if let Some(dockerfile) = dockerfile {
            command.arg("--file").arg(dockerfile);
        }
        steps(command.arg(context))
    }
}

/// A checkout as a CI runner makes it.
fn checkout(repo: &Repo, branch: &str, umask: &str, runner: &Path) -> PathBuf {
    let checkout = runner.join("checkout");
    let mut command = Command::new("sh");
    let status = isolate(&mut command)
        .args([
            "-c",
            "umask $1 && exec git clone --quiet --branch $2 $3 $4",
            "sh",
            umask,
            branch,
        ])
        .arg(repo.path())
        .arg(&checkout)
        .status()
        .expect("a shell can be run");
    assert!(status.success(), "the repository can be cloned");
    checkout
}

/// Builds a work tree as it is with `docker buildx build --cache-to`, on engine A: the way without prewarm.
#[track_caller]
pub(crate) fn buildx_cache_to(work_tree: &Path, reference: &str) {
    let config = tempfile::tempdir().expect("a temporary directory can be made");
    let mut command = engines().docker(&engines().a, config.path());
    command
        .args(["buildx", "build", "--target", "builder"])
        .arg(format!("--cache-to=type=registry,ref={reference},mode=max"));
    steps(command.arg(work_tree));
}

/// Builds a work tree as it is with docker alone, so that an engine's cache has it, and nothing else has. Who builds again
/// with the same `config` sends the same context again, and not another one.
#[track_caller]
pub(crate) fn build_cache(work_tree: &Path, engine: &str, config: &Path) -> Steps {
    let mut command = engines().docker(engine, config);
    command.args([
        "buildx",
        "build",
        "--target",
        "builder",
        "--output=type=cacheonly",
    ]);
    steps(command.arg(work_tree))
}

/// Runs a `docker buildx build` and reads its progress.
#[track_caller]
fn steps(command: &mut Command) -> Steps {
    let output = command
        .arg("--progress=rawjson")
        .output()
        .expect("docker can be run");
    let progress = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the build failed:\n{progress}");
    let mut steps: BTreeMap<String, bool> = BTreeMap::new();
    // A stream of objects over many lines each; an error at its end is text.
    let statuses = serde_json::Deserializer::from_str(&progress).into_iter::<Value>();
    for status in statuses.map_while(Result::ok) {
        for vertex in status["vertexes"].as_array().into_iter().flatten() {
            let name = vertex["name"].as_str().unwrap_or_default();
            let cached = vertex["cached"].as_bool().unwrap_or_default();
            if is_step(name) {
                *steps.entry(name.to_owned()).or_default() |= cached;
            }
        }
    }
    Steps {
        steps: steps.into_iter().collect(),
        progress: progress.into_owned(),
    }
}

/// Whether it is an instruction that makes something: `[builder 2/5] WORKDIR /app`, but not `FROM`.
fn is_step(name: &str) -> bool {
    let Some((stage, instruction)) = name
        .strip_prefix('[')
        .and_then(|rest| rest.split_once("] "))
    else {
        return false;
    };
    stage != "internal" && !instruction.starts_with("FROM ")
}

/// The steps of a build.
#[derive(Debug)]
pub(crate) struct Steps {
    /// By name, with whether they were CACHED.
    steps: Vec<(String, bool)>,
    /// All that buildx said, for when something is not as it should be.
    progress: String,
}

impl Steps {
    /// Those that were found in a cache.
    pub(crate) fn cached(&self) -> Vec<&str> {
        self.with(true)
    }

    /// Those that were executed.
    pub(crate) fn missed(&self) -> Vec<&str> {
        self.with(false)
    }

    fn with(&self, cached: bool) -> Vec<&str> {
        let steps = self.steps.iter().filter(|(_, is)| *is == cached);
        steps.map(|(name, _)| name.as_str()).collect()
    }

    /// Requires that there were `count` steps, all of them CACHED.
    #[track_caller]
    pub(crate) fn assert_all_cached(&self, count: usize) {
        let missed = self.missed();
        assert!(missed.is_empty(), "missed: {missed:#?}\n{}", self.progress);
        assert_eq!(self.steps.len(), count, "{:#?}", self.steps);
    }
}

/// A clone without a work tree.
pub(super) fn bare_clone(repo: &Repo, to: &Path) {
    git(
        Path::new("/"),
        &[
            "clone",
            "--quiet",
            "--bare",
            &repo.path().display().to_string(),
            &to.display().to_string(),
        ],
    );
}
