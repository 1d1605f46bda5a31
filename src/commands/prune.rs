//! `prewarm prune`.

use std::process::ExitCode;

use super::{Context, Ended};
use crate::cli::PruneArgs;
use crate::config::{PruneImages, UserConfig, load_user};
use crate::engine::images;
use crate::error::{Error, Kind};
use crate::prune::automatic::Automatic;
use crate::prune::checked::Checked;
use crate::prune::execute::{Ended as Outcome, Execution, Patience, Progress, Report};
use crate::prune::journal::Journal;
use crate::prune::lock::Lock;
use crate::prune::look::{Look, Request};
use crate::prune::plan::{Deletion, Goal, Plan, Policy};
use crate::prune::stored::{self, Stored};
use crate::record::Records;
use crate::registry::Registry;
use crate::ui::{Event, Pruning, text};

/// Prunes that `--history` shows.
const HISTORY: usize = 50;

pub(super) async fn run(context: &Context<'_>, arguments: &PruneArgs) -> Ended {
    if arguments.registry {
        return super::prune_registry::run(context, arguments).await;
    }
    if arguments.history {
        return history(context);
    }
    let user = load_user(&context.world.paths)?.value;
    let registry = Registry::new(
        &user.registries,
        Some(context.world.docker_config()),
        user.warm.retries,
    );
    if arguments.automatic {
        let automatic = Automatic {
            world: context.world,
            user: &user,
            registry: &registry,
            wanted: None,
            stop: context.stop,
        };
        let checked = automatic.run().await;
        context.ui.checked(&checked, checked.at)?;
        return Ok(ExitCode::SUCCESS);
    }
    let prune = Prune {
        context,
        arguments,
        user: &user,
        registry: &registry,
    };
    match (&arguments.plan, &arguments.explain) {
        (Some(id), _) => prune.given_back(id).await,
        (None, Some(what)) => prune.explain(what).await,
        (None, None) => prune.plan().await,
    }
}

fn history(context: &Context<'_>) -> Ended {
    let now = context.world.now_ms();
    let (records, _) = Records::open_to_look(&context.world.paths.database(), now / 1000)?;
    let mut prunes = Vec::new();
    for row in records.prunes(HISTORY)? {
        let deletions = records.deletions(row.id)?;
        prunes.push((row, deletions));
    }
    let running = Lock::is_taken(&context.world.paths.prune_lock());
    context.ui.prune_history(&prunes, running, now)?;
    Ok(ExitCode::SUCCESS)
}

struct Prune<'a> {
    context: &'a Context<'a>,
    arguments: &'a PruneArgs,
    user: &'a UserConfig,
    registry: &'a Registry,
}

impl Prune<'_> {
    fn request<'r>(&'r self, only: &'r [String], images: PruneImages) -> Request<'r> {
        Request {
            world: self.context.world,
            user: self.user,
            registry: self.registry,
            only,
            images,
        }
    }

    /// Shows what would go, and with `--yes` deletes it.
    async fn plan(&self) -> Ended {
        let only = &self.arguments.builders;
        let images = self.arguments.images.unwrap_or(self.user.prune.images);
        let look = self.request(only, images).look().await?;
        let policy = self.policy(&look)?;
        let plan = look.plan(&policy);
        if self.arguments.yes {
            let _lock = self.lock()?;
            self.context.ui.prune(&self.pruning(&look, &plan, None))?;
            return self.delete(&look, &policy, &plan, &plan.deletions).await;
        }
        let stored = Stored::new(&plan, &policy, only, look.places.engine(), look.at);
        let kept = match stored.write(self.context.world.paths.prune_plan()) {
            Ok(()) => Some(stored.id),
            // A full disk, perhaps, for which there is --yes.
            Err(_) => None,
        };
        let shown = Pruning {
            kept: kept.as_deref(),
            ..self.pruning(&look, &plan, None)
        };
        self.context.ui.prune(&shown)?;
        Ok(ExitCode::SUCCESS)
    }

    /// Does what was shown.
    async fn given_back(&self, id: &str) -> Ended {
        let (world, path) = (self.context.world, self.context.world.paths.prune_plan());
        let stored = Stored::read(path, id, world.now_ms())?;
        let request = self.request(&stored.only, stored.policy.images);
        let look = request.look().await?;
        let plan = look.plan(&stored.policy);
        let _lock = self.lock()?;
        let deletions = stored.confirm(look.places.engine(), plan.clone())?;
        Stored::forget(&world.paths.prune_plan());
        self.delete(&look, &stored.policy, &plan, &deletions).await
    }

    fn lock(&self) -> Result<Lock, Error> {
        Lock::take(&self.context.world.paths.prune_lock()).ok_or_else(|| {
            Error::new(
                Kind::Work,
                "another prune is at it, the daemon's or one by hand",
            )
            .hint("try again in a moment")
        })
    }

    async fn delete(
        &self,
        look: &Look,
        policy: &Policy,
        plan: &Plan,
        deletions: &[Deletion],
    ) -> Ended {
        let (world, ui) = (self.context.world, self.context.ui);
        let now = || world.now_ms();
        let mut journal = Journal::new(Some(&look.records), "by hand", plan.bytes(), &now);
        let execution = Execution {
            places: &look.places,
            deletions,
            policy,
            snapshot: &look.snapshot,
            listed: look.listed,
            builds: &world.paths.builds(),
            patience: Patience::Wait,
            until_enough: false,
            stop: self.context.stop,
            progress: &|progress| ui.event(&of_progress(progress)),
        };
        let report = execution.run(&mut journal).await;
        ui.prune(&self.pruning(look, plan, Some(&report)))?;
        if let Ok(Some(mut checked)) = Checked::newest(&look.records) {
            checked.after(&look.records, look.places.disk().ok());
            // The next look is as good.
            let _ = checked.store(&look.records);
        }
        match report.ended {
            Outcome::Failed(reason) => {
                let message = format!("it ended before everything was done: {reason}");
                Err(Error::new(Kind::Environment, message).hint(
                    "nothing is half done: each record is there or gone; do it again when that is mended",
                ))
            }
            Outcome::InVain => Err(Error::new(
                Kind::Work,
                "BuildKit let go of nothing: what was unused is used now",
            )),
            _ => Ok(ExitCode::SUCCESS),
        }
    }

    /// Why something stays, would go, or went.
    async fn explain(&self, what: &str) -> Ended {
        let only = &self.arguments.builders;
        // Also images that may not go have a reason.
        let look = self.request(only, PruneImages::Unused).look().await?;
        let policy = self.policy(&look)?;
        let plan = look.plan(&policy);
        let mut found = plan.find(what);
        if found.is_empty() {
            // As docker calls it: without the tag `latest`.
            found = plan.find(&images::normal(what));
        }
        let gone = look.records.deletion(what).unwrap_or_default();
        if found.is_empty() && gone.is_none() {
            let message = format!(
                "\"{what}\" is neither a record nor an image, and was not deleted in the last 30 days"
            );
            return Err(Error::new(Kind::Usage, message).hint(
                "`prewarm prune --json` lists them all; an id may be shortened to 6 letters",
            ));
        }
        self.context
            .ui
            .prune_explained(&found, gone.as_ref(), look.at)?;
        Ok(ExitCode::SUCCESS)
    }

    /// The configuration's rules, as far as the arguments do not say otherwise.
    fn policy(&self, look: &Look) -> Result<Policy, Error> {
        let arguments = self.arguments;
        let wants = arguments.free.is_some() || arguments.max_cache.is_some();
        let goal = if wants {
            Goal {
                free: self.free(look)?,
                cache: arguments.max_cache,
                everything: false,
            }
        } else {
            let thresholds = look.thresholds(self.user);
            Goal {
                free: thresholds.map(|thresholds| thresholds.until),
                cache: self.user.prune.max_cache,
                // Whoever says only how old is old wants all of that to go.
                everything: arguments.keep_newer_than.is_some(),
            }
        };
        let mut policy = Policy::of(self.user, goal);
        if let Some(age) = arguments.keep_newer_than {
            policy.min_age = age;
            policy.images_min_age = age;
        }
        if arguments.max_cache.is_some() {
            // Who names a size means it.
            policy.floor = 0;
        }
        policy.images = arguments.images.unwrap_or(policy.images);
        policy.cache_mounts |= arguments.cache_mounts;
        policy.insist = !arguments.builders.is_empty();
        Ok(policy)
    }

    fn free(&self, look: &Look) -> Result<Option<u64>, Error> {
        let Some(free) = self.arguments.free else {
            return Ok(None);
        };
        match (&look.snapshot.disk, &look.unknown) {
            (Some(disk), _) if free.of(disk.total) < disk.total => Ok(Some(free.of(disk.total))),
            (Some(disk), _) => {
                let (path, total) = (text::clean(&disk.path), text::bytes(disk.total));
                let message = format!("--free: the disk of {path} has only {total} in all");
                Err(Error::new(Kind::Usage, message))
            }
            (None, reason) => {
                let reason = reason.as_deref().unwrap_or("it does not say");
                let message = format!("--free: what is free cannot be known: {reason}");
                Err(Error::new(Kind::Usage, message)
                    .hint("say with --max-cache what all caches may have together"))
            }
        }
    }

    fn pruning<'p>(
        &self,
        look: &'p Look,
        plan: &'p Plan,
        report: Option<&'p Report>,
    ) -> Pruning<'p> {
        Pruning {
            plan,
            id: stored::id(plan),
            kept: None,
            snapshot: &look.snapshot,
            unknown: look.unknown.as_deref(),
            thresholds: look.thresholds(self.user),
            wanted: self.free(look).ok().flatten(),
            notes: &look.places.notes,
            executes: self.arguments.yes,
            report,
            now: look.at,
        }
    }
}

fn of_progress(progress: Progress) -> Event {
    let message = match progress {
        Progress::Waiting => "waiting for a build of ours to end".to_owned(),
        Progress::Deleting { done, of, bytes } => {
            format!("{done} of {of}, {} freed", text::bytes(bytes))
        }
    };
    Event::Target {
        target: "prune".to_owned(),
        message,
    }
}
