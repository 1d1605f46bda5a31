//! Which records and images go, and why the others stay: a pure function of what there is, what may go, and the time.
//!
//! Least recently used first, by the day; on the same day what frees the most bytes for a second of building it again. A
//! record goes only after everything that stands on it. A plan that is to free more contains the plan that is to free less.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::choose;
use super::cost::Costs;
use super::guard::Guard;
use super::reason::{Reason, Rule};
use super::usage::{Kind, Snapshot};
use crate::config::PruneImages;

/// What may go, and how much of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How much is to go.
    pub goal: Goal,
    /// What all caches are left in any case, in bytes.
    pub floor: u64,
    /// What was used within this time stays.
    pub min_age: Duration,
    /// Images that were made, pulled or named within this time stay.
    pub images_min_age: Duration,
    /// Which images may go.
    pub images: PruneImages,
    /// Whether the contents of cache mounts may go.
    pub cache_mounts: bool,
    /// Whether something may go where BuildKit then forgets what is needed.
    pub insist: bool,
}

/// How much is to go. Every part of it is to be met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goal {
    /// Bytes that are to be free on the disk; heeded only where its free space is known.
    pub free: Option<u64>,
    /// Bytes that all caches may have together.
    pub cache: Option<u64>,
    /// Whatever may go.
    pub everything: bool,
}

/// What there is, and what becomes of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What goes, in the order in which it is to go.
    pub deletions: Vec<Deletion>,
    /// What stays.
    pub kept: Vec<Kept>,
    /// Bytes that are missing from the goal even after that.
    pub missing: u64,
}

/// Something that takes space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Whose: a BuildKit, as [`super::usage::Cache::builder`] names it; the Engine's for an image.
    pub builder: String,
    /// A record's id, or an image's name.
    pub name: String,
    /// What it is, in BuildKit's words.
    pub description: String,
    /// A record's kind; `None` for an image.
    pub kind: Option<Kind>,
    /// What it takes.
    pub bytes: u64,
    /// When it was used last, or what stands on it, in Unix milliseconds.
    pub used: Option<i64>,
}

/// Something that goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deletion {
    /// What.
    #[serde(flatten)]
    pub item: Item,
    /// Why.
    pub rule: Rule,
}

/// Something that stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// What.
    #[serde(flatten)]
    pub item: Item,
    /// Why.
    #[serde(flatten)]
    pub reason: Reason,
}

impl Plan {
    /// What goes, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.deletions
            .iter()
            .map(|deletion| deletion.item.bytes)
            .fold(0, u64::saturating_add)
    }
}

/// What becomes of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate<'a> {
    /// It goes.
    Goes(Rule),
    /// It stays.
    Stays(&'a Reason),
}

/// The fewest letters that tell an id from others.
pub const SHORTEST_ID: usize = 6;

impl Plan {
    /// What becomes of whatever has this name: an image's, or an id or its beginning.
    #[must_use]
    pub fn find(&self, name: &str) -> Vec<(&Item, Fate<'_>)> {
        let is = |item: &Item| {
            let is_start = name.len() >= SHORTEST_ID && item.name.starts_with(name);
            let is_image = item.kind.is_none() && item.description == name;
            item.name == name || is_start || is_image
        };
        let goes = self.deletions.iter();
        let goes = goes.map(|one| (&one.item, Fate::Goes(one.rule)));
        let stays = self.kept.iter();
        let stays = stays.map(|one| (&one.item, Fate::Stays(&one.reason)));
        goes.chain(stays).filter(|(item, _)| is(item)).collect()
    }
}

impl Deletion {
    /// What tells it from any other: two builders may have records of the same name, and an image's name may come to mean
    /// another image.
    #[must_use]
    pub fn name(&self) -> (&str, &str, &str) {
        let item = &self.item;
        (&item.builder, &item.name, &item.description)
    }
}

/// Decides. `now` in Unix milliseconds.
#[must_use]
pub fn plan(snapshot: &Snapshot, policy: &Policy, guard: &Guard, costs: &Costs, now: i64) -> Plan {
    choose::choose(snapshot, policy, guard, costs, now)
}
