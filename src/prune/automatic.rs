//! Pruning that nobody asked for by hand: a look, and only if it is time a plan and its execution.

use tokio_util::sync::CancellationToken;

use super::checked::{CacheUse, Checked, DiskUse, Holder, LastPrune, State};
use super::execute::{Ended, Execution, Patience};
use super::journal::Journal;
use super::lock::Lock;
use super::look::{Look, Request};
use super::plan::{Goal, Plan, Policy};
use super::policy::Thresholds;
use crate::config::UserConfig;
use crate::error::Error;
use crate::record::Records;
use crate::registry::Registry;
use crate::world::World;

/// Plans that are made one after the other before we leave it at that: what was freed can be less than was promised.
const ROUNDS: usize = 3;

/// A clock that goes back by more than this was set.
const CLOCK_SLACK_MS: i64 = 60_000;

/// What is told of what holds the space.
const HOLDERS: usize = 10;

/// What an automatic prune needs to know.
pub struct Automatic<'a> {
    /// Environment and paths.
    pub world: &'a World,
    /// The user's configuration.
    pub user: &'a UserConfig,
    /// For reaching the BuildKit container's engine.
    pub registry: &'a Registry,
    /// Bytes that something about to begin will write: so much must be free, whatever the thresholds say.
    pub wanted: Option<u64>,
    /// Ends it between two batches.
    pub stop: &'a CancellationToken,
}

impl Automatic<'_> {
    /// Looks, and deletes if it is time; stores what came of it. Never fails: what goes wrong is in the answer.
    pub async fn run(&self) -> Checked {
        let checked = match self.look().await {
            Ok(checked) => checked,
            Err(error) => {
                let hints = error.hints.iter().map(|hint| format!("; {hint}"));
                let reason = error.headline() + &hints.collect::<String>();
                self.nothing(State::Failed, Some(reason))
            }
        };
        // Where it cannot be kept, the next look is as good.
        if let Ok((records, _)) = Records::open(&self.world.paths.database(), checked.at / 1000) {
            let _ = checked.store(&records);
        }
        checked
    }

    /// It could not be looked at. What the last look came to is all that is known.
    fn nothing(&self, state: State, reason: Option<String>) -> Checked {
        let at = self.world.now_ms();
        let records = Records::open_to_look(&self.world.paths.database(), at / 1000).ok();
        let last = records.and_then(|(records, _)| Checked::newest(&records).ok()?);
        Checked {
            at,
            state,
            reason,
            max_cache: self.user.prune.max_cache,
            holders: Vec::new(),
            ..last.unwrap_or_else(Checked::unknown)
        }
    }

    async fn look(&self) -> Result<Checked, Error> {
        let Some(_lock) = Lock::take(&self.world.paths.prune_lock()) else {
            let reason = "another prune is at it".to_owned();
            return Ok(self.nothing(State::Waiting, Some(reason)));
        };
        let request = Request {
            world: self.world,
            user: self.user,
            registry: self.registry,
            only: &[],
            images: self.user.prune.images,
        };
        let mut look = request.look().await?;
        let back = clock_was_set_back(&look);
        let policy = Policy::of(self.user, self.goal(&look));
        let mut plan = look.plan(&policy);
        let mut ended = None;
        let may = back.is_none() && self.user.prune.automatic && !look.knows_nothing;
        if may && policy.goal != Goal::default() {
            for _ in 0..ROUNDS {
                let report = self.execute(&look, &policy, &plan).await;
                request.again(&mut look).await?;
                plan = look.plan(&policy);
                let over = report.ended != Ended::Done || report.items == 0;
                ended = Some(report.ended);
                if over || is_met(policy.goal, &look) {
                    break;
                }
            }
        }
        let met = is_met(policy.goal, &look);
        let (state, reason) = match (&ended, met) {
            _ if back.is_some() => (State::Failed, back),
            (None, _) if policy.goal == Goal::default() => self.at_rest(&look),
            (_, true) => (State::Pruned, None),
            (None, false) if look.knows_nothing => {
                let reason = "nothing was warmed yet, so that nobody knows what is needed";
                (State::Waiting, Some(reason.to_owned()))
            }
            (None, false) => (State::Short, Some("`prune.automatic` is off".to_owned())),
            (Some(Ended::Building), false) => {
                (State::Waiting, Some("something is being built".to_owned()))
            }
            (Some(Ended::Stopped), false) => {
                (State::Waiting, Some("it was told to stop".to_owned()))
            }
            (Some(Ended::Failed(reason)), false) => (State::Failed, Some(reason.clone())),
            (Some(Ended::Done | Ended::Enough | Ended::InVain), false) => {
                let missing = crate::ui::text::bytes(plan.missing);
                (State::Short, Some(format!("{missing} more are needed")))
            }
        };
        Ok(self.checked(&look, &plan, state, reason))
    }

    /// What there is where nothing is to be done.
    fn at_rest(&self, look: &Look) -> (State, Option<String>) {
        match &look.unknown {
            Some(reason) if self.user.prune.max_cache.is_none() => (
                State::Unknown,
                Some(format!("{reason}, and `prune.max_cache` sets no limit")),
            ),
            _ => (State::Enough, None),
        }
    }

    /// What is to be reached; nothing where there is enough.
    fn goal(&self, look: &Look) -> Goal {
        let Thresholds { start, until } = look
            .thresholds(self.user)
            .unwrap_or(Thresholds { start: 0, until: 0 });
        let free = look
            .snapshot
            .disk
            .as_ref()
            .map_or(u64::MAX, |disk| disk.free);
        let usual = (free < start).then_some(until);
        let wanted = self.wanted.filter(|wanted| free < *wanted);
        let total = total(look);
        let over = self.user.prune.max_cache.filter(|most| total > *most);
        Goal {
            free: usual.max(wanted),
            // A tenth below it, or each build would bring us back.
            cache: over.map(|most| most / 10 * 9),
            everything: false,
        }
    }

    async fn execute(&self, look: &Look, policy: &Policy, plan: &Plan) -> super::execute::Report {
        let reason = match self.wanted {
            Some(_) => "a build would not have fitted",
            None if policy.goal.free.is_some() => "too little was free",
            None => "the caches were too large",
        };
        let now = || self.world.now_ms();
        let mut journal = Journal::new(Some(&look.records), reason, plan.bytes(), &now);
        let execution = Execution {
            places: &look.places,
            deletions: &plan.deletions,
            policy,
            snapshot: &look.snapshot,
            listed: look.listed,
            builds: &self.world.paths.builds(),
            patience: Patience::Leave,
            until_enough: true,
            stop: self.stop,
            progress: &|_| (),
        };
        execution.run(&mut journal).await
    }

    fn checked(&self, look: &Look, plan: &Plan, state: State, reason: Option<String>) -> Checked {
        let thresholds = look.thresholds(self.user);
        let disk = look.snapshot.disk.as_ref().zip(thresholds);
        let most = look.plan(&Policy::of(
            self.user,
            Goal {
                everything: true,
                ..Goal::default()
            },
        ));
        let caches = look.snapshot.caches.iter().map(|cache| CacheUse {
            builder: cache.builder.clone(),
            records: cache.records.len(),
            bytes: sum(cache.records.iter().map(|record| record.bytes)),
            prunable_bytes: sum(most
                .deletions
                .iter()
                .filter(|one| one.item.builder == cache.builder)
                .map(|one| one.item.bytes)),
        });
        Checked {
            at: look.at,
            state,
            reason,
            disk: disk.map(|(disk, thresholds)| DiskUse {
                path: disk.path.clone(),
                total: disk.total,
                free: disk.free,
                start: thresholds.start,
                until: thresholds.until,
            }),
            caches: caches.collect(),
            max_cache: self.user.prune.max_cache,
            last: LastPrune::newest(&look.records),
            holders: if state == State::Short {
                holders(plan)
            } else {
                Vec::new()
            },
        }
    }
}

/// What used to be old could look young or the other way round.
fn clock_was_set_back(look: &Look) -> Option<String> {
    let last = Checked::newest(&look.records).ok()??;
    let back = look.at + CLOCK_SLACK_MS < last.at;
    back.then(|| "the clock was set back since the last look".to_owned())
}

/// What stays though it is needed, the largest first.
fn holders(plan: &Plan) -> Vec<Holder> {
    let kept = plan.kept.iter().filter(|kept| kept.item.bytes > 0);
    kept.take(HOLDERS)
        .map(|kept| Holder {
            what: format!("{} ({})", kept.item.description, kept.item.name),
            bytes: kept.item.bytes,
            by: kept.reason.text(),
        })
        .collect()
}

fn total(look: &Look) -> u64 {
    let records = look.snapshot.caches.iter().flat_map(|cache| &cache.records);
    sum(records.map(|record| record.bytes))
}

fn sum(bytes: impl Iterator<Item = u64>) -> u64 {
    bytes.fold(0, u64::saturating_add)
}

fn is_met(goal: Goal, look: &Look) -> bool {
    let disk = look.snapshot.disk.as_ref();
    let free = goal
        .free
        .zip(disk)
        .is_none_or(|(goal, disk)| disk.free >= goal);
    free && goal.cache.is_none_or(|goal| total(look) <= goal)
}
