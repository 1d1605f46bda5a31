//! One build: solve and export, compute the key from what BuildKit really asked for and used, publish; or salvage.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::cut;
use super::destination::Destination;
use super::done::Done;
use super::evaluate::{self, Evaluation};
use super::imports::{cache_reference, imports};
use super::job::{Job, agents, secrets};
use super::run::Run;
use super::show::Shown;
use crate::builder::Builder;
use crate::buildkit::BuildkitError;
use crate::buildkit::auth::{AuthService, Lookup};
use crate::buildkit::progress::{End, Step, split_digest};
use crate::buildkit::secrets::SecretService;
use crate::buildkit::session::Services;
use crate::buildkit::solve::{CacheExport, CacheReference, Definition, Report, Request};
use crate::buildkit::ssh::AgentService;
use crate::error::Error;
use crate::plan::inputs::Inputs;
use crate::plan::key::Key;
use crate::record::{BaseDigest, Outcome};
use crate::registry::{Digest, Reference};
use crate::ui::Event;

/// A build of one job.
pub(super) struct Build<'a, 'run> {
    pub(super) run: &'a Run<'run>,
    pub(super) job: &'a Job,
    pub(super) evaluation: &'a Evaluation,
    pub(super) builder: &'a Builder,
    imports: Vec<CacheReference>,
    agents: BTreeMap<String, PathBuf>,
    secrets: BTreeMap<String, Vec<u8>>,
    pub(super) started_ms: i64,
}

/// What is solved: the job's Dockerfile, or one that was cut.
#[derive(Clone, Debug)]
pub(super) struct Variant {
    definition: Definition,
    dockerfile: Vec<u8>,
    pub(super) recipe: String,
}

/// What a solve has made.
#[derive(Clone, Debug)]
pub(super) struct Built {
    pub(super) inputs: Inputs,
    pub(super) key: Key,
    /// The manifest of the cache, if one was exported.
    pub(super) exported: Option<Digest>,
    /// BuildKit had every step.
    pub(super) all_cached: bool,
}

impl<'a, 'run> Build<'a, 'run> {
    /// Reaches BuildKit and looks up which caches there are to import.
    pub(super) async fn new(
        run: &'a Run<'run>,
        job: &'a Job,
        evaluation: &'a Evaluation,
    ) -> Result<Self, Error> {
        // Before anything is started: both are the user's to mend.
        let agents = agents(run, &job.target).await?;
        let secrets = secrets(run, &job.target)?;
        let builder = run.builder().await?;
        let imports = imports(run, job, evaluation).await?;
        Ok(Self {
            run,
            job,
            evaluation,
            builder,
            imports,
            agents,
            secrets,
            started_ms: run.world.now_ms(),
        })
    }

    /// Builds, and publishes what came of it.
    pub(super) async fn run(&self) -> Done {
        self.phase("building");
        let (definition, dockerfile) = self.job.definition();
        let mut variant = Variant {
            definition,
            dockerfile,
            recipe: self.evaluation.recipe.clone(),
        };
        let mut done = Done::new(self.started_ms);
        let mut report = self.build(&variant, self.shown(false)).await;
        if let Ok(Report {
            result: Err(BuildkitError::Image { image, .. }),
            ..
        }) = &report
        {
            // Not to be pulled: the Engine's own store may have it, as for an image that was built here.
            let image = image.clone();
            variant.definition.pulls = false;
            let again = self.solve(&variant, None, self.shown(false)).await;
            if again
                .as_ref()
                .is_ok_and(|again| !matches!(again.result, Err(BuildkitError::Image { .. })))
            {
                done.local_image = Some(image);
                report = again;
            }
        }
        let report = match report {
            Ok(report) => report,
            Err(error) => return done.fail(error),
        };
        done.steps = instructions(&report);
        match &report.result {
            Err(BuildkitError::Step { line, .. }) => {
                let salvaged = self.salvage(&variant, *line, &mut done).await;
                if let Err(error) = salvaged {
                    done.notes
                        .push(format!("the steps before it could not be saved: {error}"));
                }
                let failed = report.result.expect_err("it is a failed step");
                done.error = Some(with_log(&self.job.target.dockerfile, &failed));
                done
            }
            Ok(_) => self.publish(&variant, report, done).await,
            Err(error) => {
                if matches!(error, BuildkitError::Export { .. }) {
                    done.outcome = Outcome::NotPushed;
                }
                let error = with_log(&self.job.target.dockerfile, error);
                done.fail(error)
            }
        }
    }

    /// Builds, and exports in the same solve where something is to be exported for all we know.
    async fn build(&self, variant: &Variant, shown: Shown) -> Result<Report, Error> {
        let unchanged = |destination: &&Destination| {
            let key = self.evaluation.key.as_ref();
            key.is_some_and(|key| self.own_export(destination, key).is_some())
        };
        let Some(destination) = self.destination().filter(|to| !unchanged(to)) else {
            return self.solve(variant, None, shown).await;
        };
        let to = destination.staging(&variant.recipe)?;
        let mut report = self.solve(variant, Some(&to), shown).await?;
        if let Err(BuildkitError::Export { .. } | BuildkitError::NoCacheExport { .. }) =
            report.result
        {
            // It may not have come as far as the build, which is worth something alone.
            let mut built = self.solve(variant, None, self.shown(true)).await?;
            if built.result.is_ok() {
                report.steps.append(&mut built.steps);
                built.steps = report.steps;
                report = built;
            }
        }
        Ok(report)
    }

    /// With `--force`: what this builder exported last for a key. Of steps that it still has it would export the same again.
    pub(super) fn own_export(&self, destination: &Destination, key: &Key) -> Option<Digest> {
        if !self.run.request.force {
            return None;
        }
        let cache = destination.repository.to_string();
        let builder = self.run.connector().choice().label();
        let records = &self.run.records;
        let digest = self
            .run
            .note(records.exported(&cache, key.as_str(), &builder));
        Digest::parse(&digest.flatten()?)
    }

    /// Solves once more, to export.
    pub(super) async fn solve_again(
        &self,
        variant: &Variant,
        to: &Reference,
    ) -> Result<Report, Error> {
        self.solve(variant, Some(to), self.shown(true)).await
    }

    async fn publish(&self, variant: &Variant, report: Report, mut done: Done) -> Done {
        let published = async {
            let built = self.built(variant, &report).await?;
            if done.local_image.is_none() {
                self.remember(variant, &built.inputs);
            }
            done.key = Some(built.key.clone());
            done.inputs = Some(built.inputs.clone());
            done.outcome = Outcome::LocalOnly;
            // No key tells one machine's own base image from another's.
            let shared = done.local_image.is_none();
            let Some(destination) = self.destination().filter(|_| shared) else {
                return Ok(());
            };
            done.outcome = Outcome::NotPushed;
            let (built, pushed) = self.push(destination, variant, built, false).await?;
            if done.inputs.as_ref() != Some(&built.inputs) {
                self.remember(variant, &built.inputs);
            }
            done.key = Some(built.key);
            done.inputs = Some(built.inputs);
            done.pushed = Some(pushed);
            done.outcome = Outcome::Warm;
            Ok::<_, Error>(())
        };
        let published = published.await;
        if done.pushed.is_none() {
            self.note_used(&done).await;
        }
        match published {
            Ok(()) => done,
            Err(error) => done.fail(error),
        }
    }

    /// Builds and pushes what stands before the step that failed.
    async fn salvage(
        &self,
        failed: &Variant,
        line: Option<u32>,
        done: &mut Done,
    ) -> Result<(), Error> {
        let Some(destination) = self.destination() else {
            return Ok(());
        };
        let Some(dockerfile) = line.and_then(|line| cut::before(&failed.dockerfile, line)) else {
            return Ok(());
        };
        self.phase("saving the steps before the one that failed");
        let recipe = self.recipe(&dockerfile);
        let variant = Variant {
            definition: Definition {
                stage: None,
                ..failed.definition.clone()
            },
            dockerfile,
            recipe,
        };
        let report = self.build(&variant, self.shown(true)).await?;
        let saved = instructions(&report).len();
        if let Err(error) = report.result {
            return Err(error.into());
        }
        let built = self.built(&variant, &report).await?;
        let (_, pushed) = self.push(destination, &variant, built, true).await?;
        done.pushed = Some(pushed);
        done.salvaged = saved;
        done.outcome = Outcome::Salvaged;
        Ok(())
    }

    /// What the solve asked for and used.
    ///
    /// Only images that the frontend looked up are the target's: BuildKit also reports steps of other builds that it joined
    /// with this one. One of which only the metadata was needed (it is cached further up) shows no digest; it is what the
    /// registry has, as BuildKit has just looked it up there too.
    async fn inputs(&self, report: &Report) -> Inputs {
        let loaded: BTreeMap<&str, &str> = report.steps.iter().filter_map(Step::image).collect();
        let mut images = BTreeMap::new();
        for name in report.steps.iter().filter_map(Step::looked_up) {
            if split_digest(name).is_some() {
                // The Dockerfile pins it, so that it is part of the recipe.
            } else if let Some(digest) = loaded.get(name) {
                images.insert(name.to_owned(), (*digest).to_owned());
            } else if let Ok(reference) = Reference::parse(name)
                && let Ok(Some(digest)) = self.run.registry.head_manifest(&reference).await
            {
                images.insert(name.to_owned(), digest.to_string());
            }
        }
        Inputs::new(
            report.asked.clone(),
            images,
            report.steps.iter().any(Step::downloads),
        )
    }

    /// Remembers what the recipe asked for, and the images' digests.
    fn remember(&self, variant: &Variant, inputs: &Inputs) {
        let records = &self.run.records;
        // BuildKit looked them up when it began.
        let checked_at = self.started_ms / 1000;
        let document = inputs.to_json();
        self.run
            .note(records.store_inputs(&variant.recipe, &document, checked_at));
        for (image, digest) in &inputs.images {
            let base = BaseDigest {
                digest: digest.clone(),
                checked_at,
            };
            self.run
                .note(records.store_base_digest(image, &self.evaluation.platform, &base));
        }
    }

    /// The recipe of a Dockerfile that was cut short.
    fn recipe(&self, dockerfile: &[u8]) -> String {
        let (identity, platform) = (&self.evaluation.identity, &self.evaluation.platform);
        let mut recipe = self.job.recipe(self.run, identity, platform);
        recipe.dockerfile = dockerfile.to_vec();
        recipe.stage = None;
        recipe.hash()
    }

    /// Where to push, if pushing is wanted.
    fn destination(&self) -> Option<&'a Destination> {
        self.job
            .destination
            .as_ref()
            .filter(|_| self.run.request.push)
    }

    /// Sums up a solve that succeeded.
    pub(super) async fn built(&self, variant: &Variant, report: &Report) -> Result<Built, Error> {
        let inputs = self.inputs(report).await;
        let key = evaluate::key(self.job, &variant.recipe, &inputs).await?;
        let exported = report.result.as_ref().ok().cloned().flatten();
        let steps = instructions(report);
        let all_cached = steps.iter().all(|step| step.end == Some(End::Cached));
        Ok(Built {
            inputs,
            key,
            exported,
            all_cached,
        })
    }

    fn shown(&self, export_only: bool) -> Shown {
        Shown::new(&self.job.label, export_only)
    }

    async fn solve(
        &self,
        variant: &Variant,
        export: Option<&Reference>,
        mut shown: Shown,
    ) -> Result<Report, Error> {
        let (job, dockerfile) = (self.job, variant.dockerfile.clone());
        let ci_context = self.run.config.ci.context;
        let sources = tokio::task::block_in_place(|| job.sources(&dockerfile, ci_context))?;
        let registry = Arc::clone(&self.run.registry);
        let lookup: Lookup = Arc::new(move |host| {
            let registry = Arc::clone(&registry);
            Box::pin(async move {
                let found = registry
                    .credentials(&host)
                    .await
                    .map_err(|error| error.to_string())?;
                Ok(found.map(|found| (found.username, found.secret)))
            })
        });
        let services = Services {
            sources,
            auth: AuthService::new(lookup),
            secrets: SecretService::new(self.secrets.clone()),
            ssh: AgentService::new(self.agents.clone()),
            shared_key: self.shared_key(),
        };
        let request = Request {
            definition: variant.definition.clone(),
            imports: self.imports.clone(),
            export: export.map(|to| CacheExport {
                to: cache_reference(self.run, to),
                compression: self.job.target.compression,
            }),
            limit: self.run.user.warm.timeout,
        };
        let (events, mut received) = mpsc::channel(64);
        let show = async {
            while let Some(event) = received.recv().await {
                if let Some(event) = shown.event(event) {
                    self.run.ui.event(&event);
                }
            }
        };
        let (report, ()) = tokio::join!(
            self.builder
                .client
                .solve(&request, services, events, &self.run.stop),
            show
        );
        Ok(report)
    }

    /// The same for builds whose contexts are one directory with one set of modes.
    fn shared_key(&self) -> String {
        let (repository, umask) = (&self.run.repository, self.run.config.ci.umask);
        let what = format!("{repository}\0{}\0{umask:o}", self.job.target.context);
        Digest::of(what.as_bytes()).hex().to_owned()
    }

    pub(super) fn phase(&self, message: &str) {
        self.run.ui.event(&Event::Target {
            target: self.job.label.clone(),
            message: message.to_owned(),
        });
    }
}

/// An error, with where a failed step stands and what it printed last.
fn with_log(dockerfile: &str, failed: &BuildkitError) -> Error {
    let mut error = Error::from(failed.clone());
    if let BuildkitError::Step { line, .. } | BuildkitError::Missing { line, .. } = failed
        && let Some(line) = line
    {
        error.message = format!("{dockerfile}:{line}: {}", error.message);
    }
    if let BuildkitError::Step { log, .. } = failed {
        for line in log {
            error.message.push_str("\n| ");
            error.message.push_str(line);
        }
    }
    error
}

/// The Dockerfile's instructions. One that several targets share can show twice, as run and as found in the cache: then it
/// was run.
fn instructions(report: &Report) -> Vec<Step> {
    let mut instructions: Vec<Step> = Vec::new();
    for step in report.steps.iter().filter(|step| step.is_instruction()) {
        match instructions
            .iter_mut()
            .find(|known| known.name == step.name)
        {
            Some(known) if known.end == Some(End::Cached) && step.end.is_some() => {
                *known = step.clone();
            }
            Some(_) => {}
            None => instructions.push(step.clone()),
        }
    }
    instructions
}
