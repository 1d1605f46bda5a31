//! Which records of the builder a key consists of, so that nobody prunes them.

use std::collections::{BTreeSet, HashMap};

use super::build::Build;
use super::done::Done;
use crate::plan::key::Key;
use crate::prune::usage::{Kind, Record};
use crate::record::{Layers, Leaf};

impl Build<'_, '_> {
    /// Remembers when the layers were made that the key consists of, as an exported cache tells it.
    pub(super) fn note_exported(&self, key: &Key, created: &BTreeSet<i64>) {
        let layers = Layers {
            created: created.clone(),
            leaves: Vec::new(),
        };
        self.note_need(key, &layers);
    }

    fn note_need(&self, key: &Key, layers: &Layers) {
        let (records, now) = (&self.run.records, self.run.world.now_ms() / 1000);
        let builder = self.run.connector().choice().label();
        self.run
            .note(records.store_need(key.as_str(), &builder, layers, now));
    }

    /// The same where no cache was exported that would tell: what the builder has used since this build began.
    pub(super) async fn note_used(&self, done: &Done) {
        let Some(key) = &done.key else { return };
        // Without a list, the time of the build stands for it.
        let Ok(records) = self.builder.client.usage().await else {
            return;
        };
        // BuildKit's clock and ours may differ.
        let starts = done.steps.iter().filter_map(|step| step.started_ms);
        let began = starts.min().unwrap_or(self.started_ms);
        self.note_need(key, &used_since(&records, began));
    }
}

/// What is in use, or was used or made since a time in Unix milliseconds, and all that it stands on. Of steps that a build
/// finds, BuildKit notes the use of the last one only, and that when nothing else uses it any more.
fn used_since(records: &[Record], began_ms: i64) -> Layers {
    let began = began_ms.saturating_mul(1_000_000);
    let by_id: HashMap<&str, &Record> = records
        .iter()
        .map(|record| (record.id.as_str(), record))
        .collect();
    let is_used = |record: &&Record| {
        let newest = record.used_ns.max(record.created_ns);
        record.in_use || newest.is_some_and(|time| time >= began)
    };
    let mut used: BTreeSet<&str> = BTreeSet::new();
    let mut next: Vec<&Record> = records.iter().filter(is_used).collect();
    while let Some(record) = next.pop() {
        if used.insert(&record.id) {
            let parents = record.parents.iter();
            next.extend(parents.filter_map(|parent| by_id.get(parent.as_str())));
        }
    }
    let parents: BTreeSet<&str> = records
        .iter()
        .flat_map(|record| &record.parents)
        .map(String::as_str)
        .collect();
    let used: Vec<&Record> = used.iter().map(|id| by_id[id]).collect();
    let leaves = used
        .iter()
        .filter(|record| record.kind == Kind::Regular && !parents.contains(record.id.as_str()));
    Layers {
        created: used.iter().filter_map(|record| record.created_ns).collect(),
        leaves: leaves
            .filter_map(|record| {
                Some(Leaf {
                    created: record.created_ns?,
                    description: record.description.clone(),
                    parents: record.parents_in_order(),
                })
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, parents: &[&str], created_ns: i64, used_ns: i64) -> Record {
        Record {
            id: id.to_owned(),
            kind: Kind::Regular,
            description: format!("RUN {id}"),
            bytes: 1,
            created_ns: Some(created_ns),
            used_ns: Some(used_ns),
            uses: 1,
            in_use: false,
            shared: false,
            parents: parents.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn what_was_used_is_noted_with_all_that_it_stands_on() {
        let ms = 1_000_000;
        let busy = Record {
            in_use: true,
            ..record("busy", &["base"], 6 * ms, 7 * ms)
        };
        let records = [
            busy,
            record("base", &[], ms, ms),
            record("dependencies", &["base"], 2 * ms, 2 * ms),
            record("found", &["dependencies"], 3 * ms, 20 * ms),
            record("other", &["base"], 4 * ms, 5 * ms),
            record("made", &["other", "base"], 11 * ms, 11 * ms),
            record("unused", &["made"], 1, 1),
        ];
        let layers = used_since(&records, 10);
        let created = [1, 2, 3, 4, 6, 11].map(|at| at * ms);
        assert_eq!(layers.created, BTreeSet::from(created));
        let leaf = |id: &str, created: i64, parent: &str| Leaf {
            created: created * ms,
            description: format!("RUN {id}"),
            parents: vec![parent.to_owned()],
        };
        let leaves = [leaf("busy", 6, "base"), leaf("found", 3, "dependencies")];
        assert_eq!(layers.leaves, leaves);
        assert_eq!(used_since(&records[1..], 21), Layers::default());
    }
}
