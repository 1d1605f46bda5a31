//! Needed layers that are listed under another id than when that was noted.
//!
//! The last layer of a build that nothing has exported is two records to BuildKit: the mutable snapshot that it was written
//! to, and the committed one, which has another id and a later time of making. It lists the second while something uses it
//! and the first otherwise; the first export, with an image for instance, leaves only the second (`cache/manager.go`,
//! `DiskUsage`; `cache/refs.go`, `finalize`). What made it and what it stands on are the same.

use std::collections::{BTreeSet, HashMap};

use super::guard::Need;
use super::usage::Snapshot;

/// Adds the times under which last layers may be listed now.
pub(super) fn follow(needs: &mut [Need], snapshot: &Snapshot) {
    for cache in &snapshot.caches {
        let mut steps: HashMap<(&str, Vec<String>), BTreeSet<i64>> = HashMap::new();
        let mut made: BTreeSet<i64> = BTreeSet::new();
        for record in &cache.records {
            made.extend(record.created_ns);
            let step = (record.description.as_str(), record.parents_in_order());
            steps.entry(step).or_default().extend(record.created_ns);
        }
        for need in &mut *needs {
            let gone = need
                .leaves
                .iter()
                .filter(|leaf| !made.contains(&leaf.created));
            for leaf in gone {
                let step = (leaf.description.as_str(), leaf.parents.clone());
                // The same step can have been done more often, for other files that it takes: the nearest are meant.
                if let Some(made) = steps.get(&step) {
                    need.created.extend(made.range(..leaf.created).next_back());
                    need.created.extend(made.range(leaf.created..).next());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prune::usage::{Cache, Kind, Record};
    use crate::record::Leaf;

    fn record(description: &str, parents: &[&str], created_ns: i64) -> Record {
        Record {
            id: created_ns.to_string(),
            kind: Kind::Regular,
            description: description.to_owned(),
            bytes: 1,
            created_ns: Some(created_ns),
            used_ns: Some(created_ns),
            uses: 1,
            in_use: false,
            shared: false,
            parents: parents.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn the_nearest_of_the_same_step_are_what_a_layer_may_be_now() {
        let leaf = Leaf {
            created: 10,
            description: "RUN make".to_owned(),
            parents: vec!["a".to_owned(), "b".to_owned()],
        };
        let others = [
            record("RUN make", &["a"], 11),
            record("RUN other", &["a", "b"], 12),
        ];
        let earlier = [
            record("RUN make", &["b", "a"], 4),
            record("RUN make", &["b", "a"], 5),
        ];
        let later = [
            record("RUN make", &["b", "a"], 20),
            record("RUN make", &["a", "b"], 30),
        ];
        let itself = [record("RUN make", &["a", "b"], 10)];
        for (listed, more) in [
            (others.to_vec(), &[][..]),
            (later.to_vec(), &[20]),
            (earlier.to_vec(), &[5]),
            ([earlier, later.clone()].concat(), &[5, 20]),
            ([&later[..], &itself].concat(), &[]),
        ] {
            let mut needs = [Need {
                created: BTreeSet::from([10]),
                leaves: vec![leaf.clone()],
                ..Need::default()
            }];
            let snapshot = Snapshot {
                caches: vec![Cache {
                    builder: "engine".to_owned(),
                    on_disk: true,
                    records: listed,
                }],
                ..Snapshot::default()
            };
            follow(&mut needs, &snapshot);
            let expected: BTreeSet<i64> = [10].iter().chain(more).copied().collect();
            assert_eq!(needs[0].created, expected, "{more:?}");
        }
    }
}
