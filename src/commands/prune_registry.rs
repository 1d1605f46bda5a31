//! `prewarm prune --registry`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, UNIX_EPOCH};

use super::{Context, Ended};
use crate::cli::PruneArgs;
use crate::config::{RepositoryConfig, Target, load_user};
use crate::error::{Error, Kind};
use crate::prune::tags::delete::delete;
use crate::prune::tags::look::{identify, look};
use crate::prune::tags::{self, Fate, Known, Plan};
use crate::publish::Template;
use crate::record::{Records, Uses};
use crate::registry::{Registry, RegistryError, Repository};
use crate::snapshot::{self, Source};
use crate::ui::Event;
use crate::warm::repository_config;

/// The git remote has this long to name its branches.
const REMOTE_LIMIT: Duration = Duration::from_secs(60);

pub(super) async fn run(context: &Context<'_>, arguments: &PruneArgs) -> Ended {
    let user = load_user(&context.world.paths)?.value;
    let repository =
        snapshot::Repository::discover(arguments.path.as_deref().unwrap_or(Path::new(".")))?;
    let head = Source::Revision("HEAD".to_owned());
    let config = repository_config(&repository, &head)?.0.value;
    let caches = caches(&config)?;
    let registry = Registry::new(
        &user.registries,
        Some(context.world.docker_config()),
        user.warm.retries,
    );
    let records = records(context)?;
    let pruning = Pruning {
        context,
        registry,
        records,
        after: arguments
            .keep_newer_than
            .unwrap_or(user.prune.registry_after),
    };
    let planned = async {
        let branches = branches(&repository).await?;
        let mut plans = Vec::new();
        for (cache, templates) in caches {
            plans.push(pruning.plan(cache, templates, &branches, &config).await?);
        }
        Ok::<_, Error>(plans)
    };
    let mut plans = tokio::select! {
        () = context.stop.cancelled() => return Ok(ExitCode::FAILURE),
        planned = planned => planned?,
    };
    if arguments.yes {
        for plan in &mut plans {
            if let Err(error) = delete(&pruning.registry, plan, context.stop).await {
                context.ui.error(&explained(error));
            }
        }
    }
    context
        .ui
        .tag_plans(&plans, arguments.yes, context.world.now_ms())?;
    let failed = plans.iter().any(|plan| plan.count(Fate::Failed) > 0);
    Ok(if failed {
        ExitCode::from(Kind::Work.exit_code())
    } else {
        ExitCode::SUCCESS
    })
}

/// What all plans share.
struct Pruning<'a> {
    context: &'a Context<'a>,
    registry: Registry,
    /// `None` where the history was lost just now: it cannot say that something was not of use.
    records: Option<Records>,
    after: Duration,
}

impl Pruning<'_> {
    async fn plan(
        &self,
        cache: Repository,
        templates: Vec<Template>,
        branches: &BTreeSet<String>,
        config: &RepositoryConfig,
    ) -> Result<Plan, Error> {
        let now = self.now(&cache).await;
        let mut tags = look(&self.registry, &cache, &templates).await?;
        let known = Known {
            uses: self.uses(&cache, now)?,
            templates,
            branches: branches.clone(),
            protected: config.ci.protected.clone(),
            after: self.after,
            now,
        };
        let mut decisions = tags::plan(&tags, &known);
        if decisions.iter().any(|it| it.fate == Fate::Goes) {
            identify(&self.registry, &cache, &mut tags).await?;
            decisions = tags::plan(&tags, &known);
        }
        Ok(Plan {
            repository: cache,
            decisions,
        })
    }

    /// The time here or at the registry, whichever is earlier: by a clock that is ahead everything would be old.
    async fn now(&self, cache: &Repository) -> i64 {
        let here = self.context.world.now_ms();
        let there = self.registry.time(cache).await;
        let there = there.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let there = there.and_then(|time| i64::try_from(time.as_millis()).ok());
        there.map_or(here, |there| there.min(here))
    }

    fn uses(&self, cache: &Repository, now: i64) -> Result<Option<Uses>, Error> {
        let Some(records) = &self.records else {
            return Ok(None);
        };
        let after = i64::try_from(self.after.as_millis()).unwrap_or(i64::MAX);
        Ok(Some(
            records.uses(&cache.to_string(), now.saturating_sub(after))?,
        ))
    }
}

/// The cache repositories that targets name, each with the templates of its tags.
fn caches(config: &RepositoryConfig) -> Result<BTreeMap<Repository, Vec<Template>>, Error> {
    let mut caches: BTreeMap<Repository, Vec<Template>> = BTreeMap::new();
    for target in &config.targets {
        if let Some(cache) = &target.cache {
            let cache = Repository::parse(cache).map_err(RegistryError::from)?;
            caches.entry(cache).or_default().extend(templates(target)?);
        }
    }
    if caches.is_empty() {
        let message = "no target has its cache in a registry";
        return Err(Error::new(Kind::Usage, message).hint(
            "Set `cache` of a target in .prewarm.toml, such as `cache = \"ghcr.io/acme/app\"`.",
        ));
    }
    Ok(caches)
}

/// The templates of a target's tags: one for each platform, and the one that it had before it had several.
fn templates(target: &Target) -> Result<Vec<Template>, Error> {
    let several = target.platforms.len() > 1;
    let platforms = target.platforms.iter().filter(|_| several);
    let suffixes = platforms.map(|platform| Some(platform.as_str()));
    let templates = suffixes
        .chain([None])
        .map(|platform| Template::new(&target.tag, &target.name, platform));
    Ok(templates.collect::<Result<_, _>>()?)
}

/// The branches that are alive. Only the remote knows those of others, so that without it nothing may go.
async fn branches(repository: &snapshot::Repository) -> Result<BTreeSet<String>, Error> {
    let mut branches = repository.known_branches()?;
    let remote = repository.remote_branches(REMOTE_LIMIT).await;
    let remote = remote.map_err(|error| {
        Error::from(error)
            .hint("Nothing was deleted: only the git remote can say which branches are gone.")
    })?;
    branches.extend(remote);
    Ok(branches)
}

fn records(context: &Context<'_>) -> Result<Option<Records>, Error> {
    let now = context.world.now_ms() / 1000;
    let (records, warning) = Records::open(&context.world.paths.database(), now)?;
    let Some(warning) = warning else {
        return Ok(Some(records));
    };
    context.ui.event(&Event::Warning {
        target: None,
        message: warning.to_string(),
    });
    Ok(None)
}

/// Says of a missing right which one it is.
fn explained(error: RegistryError) -> Error {
    let lacks = match &error {
        RegistryError::Denied { registry, .. }
        | RegistryError::Unauthorized {
            registry,
            logged_in: true,
            ..
        } => Some(format!(
            "The login for {registry} lacks the right to delete, which is often apart from that to push."
        )),
        _ => None,
    };
    let mut error = Error::from(error);
    error.hints.splice(0..0, lacks);
    error
}
