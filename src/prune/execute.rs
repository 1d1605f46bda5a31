//! Does what a plan says, and no more: small batches of named records, each noted before and after.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio_util::sync::CancellationToken;

use super::journal::Journal;
use super::orphans::Orphans;
use super::places::{Place, Places};
use super::plan::{Deletion, Policy};
use super::reason::Rule;
use super::usage::{Image, Record, RecordId, Snapshot};
use crate::buildkit::disk::BATCH;
use crate::engine::images::{Removal, remove_image};
use crate::warm::join;

/// Records of a batch while somebody builds: BuildKit takes the lock of its cache for each of them.
const GENTLE_BATCH: usize = 20;

/// While somebody builds, we pause for so many times what the last batch took.
const GENTLE_PAUSE: u32 = 9;

/// How often is looked whether a build of ours has ended.
const PACE: Duration = Duration::from_millis(250);

/// What was used after it was listed stays, and our listing took a moment.
const SINCE: Duration = Duration::from_secs(1);

/// With less than this of the disk free, in hundredths, a build of ours is no reason to wait: it would fail.
const NEARLY_FULL: u64 = 5;

/// With fewer bytes free BuildKit may fail to note a deletion. What it was asked for in the same call is then lost to it, and
/// its space, until it is started again: one record at a time.
const NO_ROOM: u64 = 1_000_000;

/// What BuildKit says then (`ENOSPC`, by Go's `syscall`).
const NO_SPACE: &str = "no space left on device";

/// How many such failures are borne: what goes in between makes room for the next note.
const FAILURES: usize = 5;

/// How long freed space may take to show: BuildKit collects garbage after it has answered.
const SETTLE: Duration = Duration::from_secs(3);

/// What to do while a build of ours runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Wait for its end.
    Wait,
    /// Leave it for another time.
    Leave,
}

/// Why it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything that was planned was asked for.
    Done,
    /// There was enough before that.
    Enough,
    /// We were told to stop.
    Stopped,
    /// A build of ours runs.
    Building,
    /// Nothing went.
    InVain,
    /// An engine or BuildKit failed.
    Failed(String),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Why it ended.
    pub ended: Ended,
    /// Bytes that the plan promised.
    pub planned: u64,
    /// Bytes that were said to be freed.
    pub reported: u64,
    /// By how much the disk's free space grew; `None` where that is not known. Others write to it, too.
    pub measured: Option<i64>,
    /// Records and images that went.
    pub items: usize,
    /// Those that were asked for and stayed.
    pub stayed: usize,
    /// Why the journal lacks some of it.
    pub unjournalled: Option<String>,
}

/// What is being done, for people who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A build of ours is waited for.
    Waiting,
    /// So many of so many have been asked for.
    Deleting {
        /// Asked for.
        done: usize,
        /// In all.
        of: usize,
        /// Bytes that were said to be freed.
        bytes: u64,
    },
}

/// A plan that is being done.
pub struct Execution<'a> {
    /// Where.
    pub places: &'a Places,
    /// What.
    pub deletions: &'a [Deletion],
    /// By which rules it was made.
    pub policy: &'a Policy,
    /// The listing that it is from.
    pub snapshot: &'a Snapshot,
    /// When that was made.
    pub listed: Instant,
    /// Where builds of ours leave word.
    pub builds: &'a Path,
    /// What to do while they run.
    pub patience: Patience,
    /// Whether it ends as soon as so much is free as the goal wants.
    pub until_enough: bool,
    /// Ends it between two batches.
    pub stop: &'a CancellationToken,
    /// Hears of it.
    pub progress: &'a (dyn Fn(Progress) + Sync),
}

impl Execution<'_> {
    /// Does it.
    pub async fn run(&self, journal: &mut Journal<'_>) -> Report {
        let before = self.places.disk().ok();
        let planned = self.deletions.iter().map(|one| one.item.bytes);
        let planned = planned.fold(0, u64::saturating_add);
        let mut done = Done {
            asked: 0,
            items: 0,
            bytes: 0,
            failures: 0,
            orphans: Orphans::new(self.snapshot),
            after: self.listed,
        };
        let mut ended = self.batches(self.deletions, None, journal, &mut done).await;
        let mut stayed = 0;
        while ended == Ended::Done && done.asked > done.items {
            let Some(left) = self.left().await else { break };
            stayed = left.len();
            let orphans: Vec<Deletion> = left
                .into_iter()
                .filter(|(one, now)| done.orphans.is_one(&one.item.builder, now))
                .map(|(one, _)| one.clone())
                .collect();
            let (before, since) = (done.items, done.after);
            ended = self
                .batches(&orphans, Some(since), journal, &mut done)
                .await;
            stayed -= stayed.min(done.items - before);
            if done.items == before {
                break;
            }
        }
        if ended == Ended::Done && done.items == 0 && stayed > 0 {
            ended = Ended::InVain;
        }
        let measured = match before {
            Some(before) if done.items > 0 => self.settled().await.map(|free| {
                i64::try_from(free).unwrap_or(i64::MAX)
                    - i64::try_from(before.free).unwrap_or(i64::MAX)
            }),
            _ => None,
        };
        Report {
            ended,
            planned,
            reported: done.bytes,
            measured,
            items: done.items,
            stayed,
            unjournalled: journal.end(done.bytes, measured, done.items),
        }
    }

    /// Deletes what was not used within the least age, or of what we have touched ourselves what was not used `since`.
    async fn batches(
        &self,
        mut rest: &[Deletion],
        since: Option<Instant>,
        journal: &mut Journal<'_>,
        done: &mut Done,
    ) -> Ended {
        while let Some(first) = rest.first() {
            if let Some(ended) = self.may_go_on().await {
                return ended;
            }
            let busy = self.places.may_build().await;
            let full = self.places.disk().is_ok_and(|disk| disk.free < NO_ROOM);
            let most = match (full, busy) {
                (true, _) => 1,
                (false, true) => GENTLE_BATCH,
                (false, false) => BATCH,
            };
            let alike = rest
                .iter()
                .take(most)
                .take_while(|next| next.item.builder == first.item.builder);
            // The Engine takes one image at a time.
            let count = if first.item.kind.is_some() {
                alike.count()
            } else {
                1
            };
            let (batch, later) = rest.split_at(count);
            rest = later;
            if since.is_none() {
                done.asked += batch.len();
            }
            if busy && first.rule == Rule::CacheMount {
                // Between two steps of a build nothing tells that it needs them. They are the last to go.
                continue;
            }
            let (began, from) = (Instant::now(), nanoseconds());
            journal.asked(batch);
            let gone = match self.delete(batch, since).await {
                Ok(gone) => gone,
                Err(reason) if full && reason.contains(NO_SPACE) && done.failures < FAILURES => {
                    done.failures += 1;
                    continue;
                }
                Err(reason) => return Ended::Failed(reason),
            };
            let during = from..=nanoseconds();
            done.after = Instant::now();
            for (id, _) in &gone {
                done.orphans.deleted(&first.item.builder, id, &during);
            }
            journal.gone(batch, &gone);
            done.items += gone.len();
            done.bytes = gone
                .iter()
                .fold(done.bytes, |sum, (_, bytes)| sum.saturating_add(*bytes));
            self.tell(done, gone.len());
            if busy {
                self.pause(began.elapsed() * GENTLE_PAUSE).await;
            }
        }
        Ended::Done
    }

    /// A tenth at a time.
    fn tell(&self, done: &Done, gone: usize) {
        let (now, of) = (done.items, self.deletions.len());
        if now * 10 / of > (now - gone) * 10 / of {
            (self.progress)(Progress::Deleting {
                done: now,
                of,
                bytes: done.bytes,
            });
        }
    }

    /// What ends it before the next batch.
    async fn may_go_on(&self) -> Option<Ended> {
        loop {
            if self.stop.is_cancelled() {
                return Some(Ended::Stopped);
            }
            let disk = self.places.disk().ok();
            let enough = self.policy.goal.free.zip(disk.as_ref());
            if self.until_enough
                && self.policy.goal.cache.is_none()
                && enough.is_some_and(|(goal, disk)| disk.free >= goal)
            {
                return Some(Ended::Enough);
            }
            let nearly_full = disk.is_some_and(|disk| disk.free < disk.total / 100 * NEARLY_FULL);
            if nearly_full || !join::anybody(self.builds) {
                return None;
            }
            if self.patience == Patience::Leave {
                return Some(Ended::Building);
            }
            (self.progress)(Progress::Waiting);
            self.pause(PACE).await;
        }
    }

    /// What was to go and is still there, with how it is listed now; `None` where nobody says.
    async fn left(&self) -> Option<Vec<(&Deletion, Record)>> {
        let snapshot = self.places.snapshot().await.ok()?;
        let mut there: HashMap<(String, String), Record> = HashMap::new();
        for cache in snapshot.caches {
            let records = cache.records.into_iter();
            there
                .extend(records.map(|record| ((cache.builder.clone(), record.id.clone()), record)));
        }
        let left = self.deletions.iter().filter_map(|one| {
            let name = (one.item.builder.clone(), one.item.name.clone());
            Some((one, there.remove(&name)?))
        });
        Some(left.collect())
    }

    /// Deletes a batch of one builder, and tells what is gone: names and bytes.
    async fn delete(
        &self,
        batch: &[Deletion],
        since: Option<Instant>,
    ) -> Result<Vec<(String, u64)>, String> {
        let first = &batch[0].item;
        if first.kind.is_none() {
            let docker = self.places.docker.as_ref();
            let docker = docker.ok_or_else(|| "the Engine has gone".to_owned())?;
            let image = Image {
                reference: first.name.clone(),
                id: first.description.clone(),
                dangling: batch[0].rule == Rule::DanglingImage,
                bytes: first.bytes,
                touched: first.used,
                container: None,
            };
            let removed = remove_image(docker, &image).await;
            return match removed.map_err(|error| error.to_string())? {
                Removal::Removed => Ok(vec![(first.name.clone(), first.bytes)]),
                Removal::Gone | Removal::Kept(_) => Ok(Vec::new()),
            };
        }
        let is_there = |place: &&Place| place.builder == first.builder;
        let place = self.places.buildkits.iter().find(is_there);
        let place = place.ok_or_else(|| format!("{} has gone", first.builder))?;
        let ids: Vec<RecordId> = batch
            .iter()
            .filter_map(|one| RecordId::parse(&one.item.name))
            .collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        // By BuildKit's own clock, so that one of ours that is wrong deletes nothing young; and what somebody has begun to
        // use since the listing stays.
        let keep = match since {
            None => self.policy.min_age.max(self.listed.elapsed() + SINCE),
            Some(since) => since.elapsed(),
        };
        let deleted = place.client.delete(&ids, keep).await;
        let deleted = deleted.map_err(|error| format!("{}: {error}", place.builder))?;
        Ok(deleted
            .records
            .into_iter()
            .map(|(id, bytes)| (id.to_string(), bytes))
            .collect())
    }

    async fn pause(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// What is free once it grows no more.
    async fn settled(&self) -> Option<u64> {
        let end = Instant::now() + SETTLE;
        let mut free = self.places.disk().ok()?.free;
        loop {
            self.pause(PACE).await;
            let now = self.places.disk().ok()?.free;
            if now <= free || Instant::now() >= end || self.stop.is_cancelled() {
                return Some(now.max(free));
            }
            free = now;
        }
    }
}

struct Done {
    asked: usize,
    items: usize,
    bytes: u64,
    /// Calls that failed for lack of space.
    failures: usize,
    orphans: Orphans,
    /// The end of the last deletion.
    after: Instant,
}

/// Since 1970, by the clock that a BuildKit on this machine has, too.
fn nanoseconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(i64::MAX)
}
