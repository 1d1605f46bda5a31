//! What must stay because somebody needs it.

use std::collections::{BTreeSet, HashMap};
use std::ops::RangeInclusive;

use super::follow::follow;
use super::keep;
use super::reason::Reason;
use super::usage::{Image, Record, Snapshot};
use crate::record::Leaf;

/// Everything that somebody needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Guard {
    /// What newest warms need.
    pub needs: Vec<Need>,
    /// Records that were pinned.
    pub records: BTreeSet<String>,
    /// Images that were pinned, or that builds begin with.
    pub images: Vec<(String, String)>,
    /// Patterns of records and images.
    pub keep: Vec<String>,
    /// A time, in Unix milliseconds, of which nobody knows what was needed.
    pub lost: Option<RangeInclusive<i64>>,
}

/// What one warm needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Whose, in words that complete "needed by …".
    pub who: String,
    /// When its layers were made, to the nanosecond, which tells them apart: BuildKit writes it into every cache that it
    /// exports (`buildkit/createdat`), as it writes it into its listing.
    pub created: BTreeSet<i64>,
    /// Those of them that may be listed under another time by now.
    pub leaves: Vec<Leaf>,
    /// Where that is not known: when it ran, in Unix milliseconds. Whatever was used or made then is taken for its own.
    pub ran: Option<RangeInclusive<i64>>,
}

impl Guard {
    /// Adds what needed layers have become.
    pub fn follow(&mut self, snapshot: &Snapshot) {
        follow(&mut self.needs, snapshot);
    }

    /// Why this very record must stay; what it stands on stays with it.
    #[must_use]
    pub fn record(&self, record: &Record) -> Option<Reason> {
        let need = self.needs.iter().find(|need| need.covers(record));
        self.because(record, need)
    }

    fn because(&self, record: &Record, need: Option<&Need>) -> Option<Reason> {
        if self.records.contains(&record.id) {
            return Some(Reason::Needed("a pin".to_owned()));
        }
        if let Some(need) = need {
            return Some(Reason::Needed(need.who.clone()));
        }
        if let Some(reason) = self.kept(&record.description) {
            return Some(reason);
        }
        let used = record.used_ns.or(record.created_ns)? / 1_000_000;
        let lost = self.lost.as_ref()?;
        lost.contains(&used).then_some(Reason::Lost)
    }

    /// Why this image must stay.
    #[must_use]
    pub fn image(&self, image: &Image) -> Option<Reason> {
        let of_name = |(name, _): &&(String, String)| *name == image.reference || *name == image.id;
        if let Some((_, who)) = self.images.iter().find(of_name) {
            return Some(Reason::Needed(who.clone()));
        }
        self.kept(&image.reference)
    }

    fn kept(&self, text: &str) -> Option<Reason> {
        let pattern = self
            .keep
            .iter()
            .find(|pattern| keep::matches(pattern, text));
        pattern.map(|pattern| Reason::Keep(pattern.clone()))
    }
}

/// A guard that is asked of many records: what was made when is looked up, not searched for.
pub(super) struct Lookup<'g> {
    guard: &'g Guard,
    /// The first need that names a time, by its place.
    made: HashMap<i64, usize>,
    /// The needs that name none.
    ran: Vec<usize>,
}

impl<'g> Lookup<'g> {
    pub(super) fn new(guard: &'g Guard) -> Self {
        let mut made = HashMap::new();
        let mut ran = Vec::new();
        for (place, need) in guard.needs.iter().enumerate() {
            for at in &need.created {
                made.entry(*at).or_insert(place);
            }
            if need.ran.is_some() {
                ran.push(place);
            }
        }
        Self { guard, made, ran }
    }

    /// As [`Guard::record`].
    pub(super) fn record(&self, record: &Record) -> Option<Reason> {
        let needs = &self.guard.needs;
        let made = record.created_ns.and_then(|at| self.made.get(&at).copied());
        let ran = self.ran.iter().find(|place| needs[**place].covers(record));
        let first = made.into_iter().chain(ran.copied()).min();
        self.guard.because(record, first.map(|place| &needs[place]))
    }
}

impl Need {
    fn covers(&self, record: &Record) -> bool {
        let made = record.created_ns;
        if made.is_some_and(|made| self.created.contains(&made)) {
            return true;
        }
        let during = |at: Option<i64>| match (&self.ran, at) {
            (Some(ran), Some(at)) => ran.contains(&(at / 1_000_000)),
            _ => false,
        };
        during(made) || during(record.used_ns)
    }
}
