//! Whether a record that outlived its children may go after them.
//!
//! After BuildKit was restarted, the deletion of a record counts as a use of what it stands on (see moby/buildkit issue
//! 5436). Its last use alone then no longer tells whether anybody else needs it: it must be of the very moment of our own
//! deletion.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use super::usage::{Record, Snapshot};

/// Clocks are read at both ends of a call, and not at the same time.
const SLACK_NS: i64 = 20_000_000;

/// A record, by its builder and its id.
type Name = (String, String);

/// What our own deletions have touched.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    parents: HashMap<Name, Vec<String>>,
    touched: HashMap<Name, RangeInclusive<i64>>,
}

impl Orphans {
    /// Before anything was deleted.
    pub(super) fn new(snapshot: &Snapshot) -> Self {
        let mut orphans = Self::default();
        for cache in &snapshot.caches {
            for record in &cache.records {
                let name = (cache.builder.clone(), record.id.clone());
                orphans.parents.insert(name, record.parents.clone());
            }
        }
        orphans
    }

    /// We have deleted this one, at some time within these nanoseconds since 1970.
    pub(super) fn deleted(&mut self, builder: &str, id: &str, during: &RangeInclusive<i64>) {
        let name = (builder.to_owned(), id.to_owned());
        for parent in self.parents.get(&name).into_iter().flatten() {
            let during = during.start() - SLACK_NS..=during.end() + SLACK_NS;
            self.touched
                .insert((builder.to_owned(), parent.clone()), during);
        }
    }

    /// Whether our own deletion is what a record, as it is listed now, was used by last.
    pub(super) fn is_one(&self, builder: &str, now: &Record) -> bool {
        let name = (builder.to_owned(), now.id.clone());
        let touched = self.touched.get(&name).zip(now.used_ns);
        touched.is_some_and(|(during, used)| during.contains(&used)) && !now.in_use && !now.shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune::usage::{Cache, Kind};

    const SECOND: i64 = 1_000_000_000;

    fn record(id: &str, parents: &[&str], used_ns: i64) -> Record {
        Record {
            id: id.to_owned(),
            kind: Kind::Regular,
            description: String::new(),
            bytes: 1,
            created_ns: Some(used_ns),
            used_ns: Some(used_ns),
            uses: 1,
            in_use: false,
            shared: false,
            parents: parents.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn a_use_that_is_not_our_own_deletion_is_somebodys() {
        let snapshot = Snapshot {
            caches: vec![Cache {
                builder: "engine".to_owned(),
                on_disk: true,
                records: vec![record("parent", &[], 5), record("child", &["parent"], 6)],
            }],
            ..Snapshot::default()
        };
        let mut orphans = Orphans::new(&snapshot);
        let is_one =
            |orphans: &Orphans, used: i64| orphans.is_one("engine", &record("parent", &[], used));
        assert!(!is_one(&orphans, 5));
        orphans.deleted("engine", "child", &(100 * SECOND..=101 * SECOND));
        for (used, expected) in [
            (5, false),
            (99, false),
            (100, true),
            (101, true),
            (102, false),
        ] {
            assert_eq!(is_one(&orphans, used * SECOND), expected, "{used}");
        }
        let now = record("parent", &[], 100 * SECOND);
        let busy = Record {
            in_use: true,
            ..now.clone()
        };
        assert!(!orphans.is_one("engine", &busy));
        assert!(!orphans.is_one("another", &now));
        assert!(!orphans.is_one("engine", &record("child", &[], 100 * SECOND)));
    }
}
