//! One job: a target, on one platform, from one tree. Reading it finds everything that is wrong before BuildKit is asked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tokio::net::UnixStream;

use super::cut;
use super::destination::Destination;
use super::run::Run;
use super::{Source, internal};
use crate::builder::Identity;
use crate::buildkit::filesync::{IgnoreFile, Sources};
use crate::buildkit::secrets::MAX_SECRET;
use crate::buildkit::solve::Definition;
use crate::config::detect::{find_stage, stages, syntax};
use crate::config::{Ci, CiContext, Refused, SecretSource, Target, refused, refused_frontend};
use crate::error::{Error, Kind};
use crate::plan::recipe::Recipe;
use crate::snapshot::{Snapshot, SnapshotError, Tree};

/// The frontend reads the Dockerfile in one message, which holds at most this much (gRPC's default of 4 MiB).
const DOCKERFILE_LIMIT: usize = 4 << 20;

/// Which of CI's builds a job stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// That of the tree itself.
    Tree,
    /// That of a pull request: the merge with this base. With the key of the tree itself: equal keys are one build.
    Merge {
        base: String,
        head_key: Option<String>,
    },
}

/// A target, on one platform, from one tree.
pub(super) struct Job {
    pub(super) target: Target,
    pub(super) platform: Option<String>,
    pub(super) view: View,
    /// What it is called where several are shown.
    pub(super) label: String,
    /// The tree, for people.
    pub(super) source: String,
    pub(super) snapshot: Snapshot,
    pub(super) context: Tree,
    pub(super) dockerfile: Vec<u8>,
    pub(super) destination: Option<Destination>,
    dockerfile_name: String,
    /// The number of the stage, where it has no name.
    unnamed_stage: Option<usize>,
    /// The ignore file beside the Dockerfile, which beats the context's own; only where CI's build applies one.
    own_ignore_file: Option<Vec<u8>>,
    ignore_file: Option<Vec<u8>>,
}

impl Job {
    pub(super) async fn new(
        run: &Run<'_>,
        target: &Target,
        platform: Option<String>,
        snapshot: &Snapshot,
        view: View,
    ) -> Result<Self, Error> {
        let file = run.world.paths.shown(&run.world.paths.config_file);
        refuse(target, &refused(target, &run.user.consent), &file)?;
        let destination = match &target.cache {
            Some(cache) => {
                let protected = &run.config.ci.protected;
                Some(Destination::new(
                    cache,
                    target,
                    platform.as_deref(),
                    run.writable_branch(),
                    &view,
                    protected,
                )?)
            }
            None => None,
        };
        let source = source(run, snapshot, &view);
        let label = Run::label(target, platform.as_deref(), &view);
        let (target, snapshot) = (target.clone(), snapshot.clone());
        let (ci_context, consent) = (run.config.ci.context, run.user.consent.clone());
        tokio::task::spawn_blocking(move || {
            let context = snapshot.context(&target.context)?;
            let dockerfile = dockerfile(&snapshot, &target.dockerfile)?;
            let text = String::from_utf8_lossy(&dockerfile);
            let frontend = refused_frontend(&text, &target, &consent);
            refuse(&target, frontend.as_slice(), &file)?;
            let unnamed_stage = unnamed_stage(&target, &dockerfile)?;
            let (own_ignore_file, ignore_file) = match ci_context {
                CiContext::Git => (None, None),
                CiContext::Path => ignore_files(&snapshot, &target)?,
            };
            let dockerfile_name = Path::new(&target.dockerfile)
                .file_name()
                .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
            Ok(Self {
                target,
                platform,
                view,
                label,
                source,
                snapshot,
                context,
                dockerfile,
                destination,
                dockerfile_name,
                unnamed_stage,
                own_ignore_file,
                ignore_file,
            })
        })
        .await
        .map_err(internal)?
    }

    /// The recipe, given the BuildKit and the platform that it builds for when the target names none.
    pub(super) fn recipe(&self, run: &Run<'_>, builder: &Identity, platform: &str) -> Recipe {
        let (target, files) = (&self.target, self.recipe_files());
        recipe(&run.config.ci, target, files, builder, platform)
    }

    fn recipe_files(&self) -> RecipeFiles {
        RecipeFiles {
            dockerfile: self.dockerfile.clone(),
            ignore_file: self.ignore_file.clone(),
        }
    }

    /// What BuildKit is asked for, and of which Dockerfile.
    pub(super) fn definition(&self) -> (Definition, Vec<u8>) {
        let (stage, dockerfile) = match self.unnamed_stage {
            None => (self.target.stage.clone(), self.dockerfile.clone()),
            Some(number) => (
                None,
                cut::after_stage(&String::from_utf8_lossy(&self.dockerfile), number),
            ),
        };
        let definition = Definition {
            filename: self.dockerfile_name.clone(),
            stage,
            platform: self.platform.clone(),
            args: self.target.args.clone(),
            pulls: true,
        };
        (definition, dockerfile)
    }

    /// What the session serves, with `dockerfile` in the place of the Dockerfile.
    pub(super) fn sources(
        &self,
        dockerfile: &[u8],
        ci_context: CiContext,
    ) -> Result<Sources, Error> {
        let ignore_name = format!("{}.dockerignore", self.dockerfile_name);
        let mut files = vec![(self.dockerfile_name.as_str(), dockerfile)];
        if let Some(ignore_file) = &self.own_ignore_file {
            files.push((&ignore_name, ignore_file));
        }
        let directory = self.snapshot.synthetic(&files)?;
        let ignore_file = match (ci_context, &self.own_ignore_file) {
            (CiContext::Git, _) => IgnoreFile::Hidden,
            (CiContext::Path, Some(_)) => IgnoreFile::NotAsked,
            (CiContext::Path, None) => IgnoreFile::Served,
        };
        Ok(Sources::new(directory, self.context.clone(), ignore_file))
    }
}

/// The files that are part of a recipe.
#[derive(Clone, Debug)]
pub(super) struct RecipeFiles {
    pub(super) dockerfile: Vec<u8>,
    /// The ignore file, where CI's build applies one.
    pub(super) ignore_file: Option<Vec<u8>>,
}

impl RecipeFiles {
    /// Those of a target in a tree.
    pub(super) fn read(snapshot: &Snapshot, ci: &Ci, target: &Target) -> Result<Self, Error> {
        Ok(Self {
            dockerfile: dockerfile(snapshot, &target.dockerfile)?,
            ignore_file: match ci.context {
                CiContext::Git => None,
                CiContext::Path => ignore_files(snapshot, target)?.1,
            },
        })
    }
}

/// The recipe of a target with these files.
pub(super) fn recipe(
    ci: &Ci,
    target: &Target,
    files: RecipeFiles,
    builder: &Identity,
    platform: &str,
) -> Recipe {
    Recipe {
        dockerfile: files.dockerfile,
        ignore_file: files.ignore_file,
        context: target.context.clone(),
        ci_context: ci.context,
        umask: ci.umask,
        stage: target.stage.clone(),
        platform: platform.to_owned(),
        args: target.args.clone(),
        build_platform: builder.platform.clone(),
        buildkit: builder.version.clone(),
    }
}

/// Says what the user has to allow first in `file`, if anything.
fn refuse(target: &Target, refused: &[Refused], file: &str) -> Result<(), Error> {
    if refused.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = refused.iter().map(ToString::to_string).collect();
    let message = format!("target {}: {}", target.name, list.join("; "));
    let error = Error::new(Kind::Usage, message);
    Err(refused
        .iter()
        .fold(error, |error, refused| error.hint(refused.hint(file))))
}

/// Finds what is wrong with what a target names.
pub(super) fn check(snapshot: &Snapshot, target: &Target) -> Result<(), Error> {
    snapshot.context(&target.context)?;
    let dockerfile = dockerfile(snapshot, &target.dockerfile)?;
    unnamed_stage(target, &dockerfile).map(drop)
}

fn source(run: &Run<'_>, snapshot: &Snapshot, view: &View) -> String {
    if let View::Merge { base, .. } = view {
        return format!("HEAD merged with {base}");
    }
    match (&run.request.source, snapshot.commit()) {
        (Source::Staged, _) => "the index".to_owned(),
        (Source::Worktree, _) => "the work tree".to_owned(),
        (_, Some(commit)) => format!("commit {}", &commit.to_string()[..7]),
        (_, None) => format!("tree {}", &snapshot.tree_id().to_string()[..7]),
    }
}

fn dockerfile(snapshot: &Snapshot, path: &str) -> Result<Vec<u8>, Error> {
    let bytes = snapshot.file(path)?.bytes;
    let unusable = |why: String| Error::new(Kind::Usage, format!("{path} {why}"));
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(unusable("is empty".to_owned()));
    }
    if bytes.len() > DOCKERFILE_LIMIT {
        return Err(unusable(format!(
            "has {} bytes, and BuildKit reads at most {DOCKERFILE_LIMIT}",
            bytes.len()
        )));
    }
    if let Err(error) = std::str::from_utf8(&bytes) {
        let line = bytes[..error.valid_up_to()]
            .split(|&byte| byte == b'\n')
            .count();
        return Err(unusable(format!("is not UTF-8 in line {line}")));
    }
    Ok(bytes)
}

/// The Dockerfile's own ignore file, and the one that applies.
type IgnoreFiles = (Option<Vec<u8>>, Option<Vec<u8>>);

/// The ignore file that applies: the Dockerfile's own, else the context's.
fn ignore_files(snapshot: &Snapshot, target: &Target) -> Result<IgnoreFiles, Error> {
    let read = |path: &str| match snapshot.file(path) {
        Ok(file) => Ok(Some(file.bytes)),
        Err(SnapshotError::Missing { .. }) => Ok(None),
        Err(error) => Err(Error::from(error)),
    };
    if let Some(own) = read(&format!("{}.dockerignore", target.dockerfile))? {
        return Ok((Some(own.clone()), Some(own)));
    }
    let path = match target.context.as_str() {
        "." => ".dockerignore".to_owned(),
        context => format!("{context}/.dockerignore"),
    };
    Ok((None, read(&path)?))
}

/// The stage's number, if it has no name; an error that says which stages there are when the wanted one is not among
/// them. Only BuildKit's own Dockerfile syntax is known.
fn unnamed_stage(target: &Target, dockerfile: &[u8]) -> Result<Option<usize>, Error> {
    let text = String::from_utf8_lossy(dockerfile);
    let foreign = syntax(&text).is_some_and(|frontend| !frontend.contains("docker/dockerfile"));
    let Some(wanted) = target.stage.as_deref().filter(|_| !foreign) else {
        return Ok(None);
    };
    let stages = stages(&text);
    if let Some(number) = find_stage(&stages, wanted) {
        return Ok(stages[number].name.is_none().then_some(number));
    }
    let names: Vec<String> = stages
        .iter()
        .enumerate()
        .map(|(number, stage)| stage.name.clone().unwrap_or_else(|| number.to_string()))
        .collect();
    let message = format!(
        "target {}: {} has no stage called {wanted}",
        target.name, target.dockerfile
    );
    let hint = match names.as_slice() {
        [] => format!("{} has no FROM at all", target.dockerfile),
        names => format!("its stages are: {}", names.join(", ")),
    };
    Err(Error::new(Kind::Usage, message).hint(hint))
}

/// The values of the target's secrets.
pub(super) fn secrets(run: &Run<'_>, target: &Target) -> Result<BTreeMap<String, Vec<u8>>, Error> {
    let mut values = BTreeMap::new();
    for secret in &target.secrets {
        let missing = |why: String| {
            Error::new(
                Kind::Usage,
                format!("target {}: secret {}: {why}", target.name, secret.id),
            )
        };
        let value = match &secret.source {
            SecretSource::Env(name) => run
                .world
                .variable(name)
                .map(std::os::unix::ffi::OsStringExt::into_vec)
                .ok_or_else(|| missing(format!("the environment variable {name} is not set")))?,
            SecretSource::File(path) => {
                let path = run.world.paths.resolve(path, &run.world.paths.home);
                std::fs::read(&path).map_err(|error| {
                    missing(format!("{} cannot be read: {error}", path.display()))
                })?
            }
        };
        if value.len() > MAX_SECRET {
            return Err(missing(format!(
                "it has {} bytes, and BuildKit takes at most {MAX_SECRET}",
                value.len()
            )));
        }
        values.insert(secret.id.clone(), value);
    }
    Ok(values)
}

/// The sockets of the agents that the target names, each of which answers: a step that finds none says nothing of it.
pub(super) async fn agents(
    run: &Run<'_>,
    target: &Target,
) -> Result<BTreeMap<String, PathBuf>, Error> {
    let mut sockets = BTreeMap::new();
    for id in &target.ssh {
        let unusable = |kind, why: String| {
            Error::new(
                kind,
                format!("target {}: ssh agent {id}: {why}", target.name),
            )
            .hint("start an agent with `eval $(ssh-agent)` and add a key with `ssh-add`")
        };
        let socket = run
            .world
            .variable("SSH_AUTH_SOCK")
            .map(PathBuf::from)
            .ok_or_else(|| unusable(Kind::Usage, "SSH_AUTH_SOCK is not set".to_owned()))?;
        UnixStream::connect(&socket).await.map_err(|error| {
            let why = format!(
                "nothing answers at {} (SSH_AUTH_SOCK): {error}",
                socket.display()
            );
            unusable(Kind::Environment, why)
        })?;
        sockets.insert(id.clone(), socket);
    }
    Ok(sockets)
}
