//! Which records of the builder a key consists of, so that nobody prunes them.

use std::collections::BTreeSet;

use super::build::Build;
use super::done::Done;
use crate::plan::key::Key;

impl Build<'_, '_> {
    /// Remembers when the layers were made that the key consists of.
    pub(super) fn note_need(&self, key: &Key, created: &BTreeSet<i64>) {
        let (records, now) = (&self.run.records, self.run.world.now_ms() / 1000);
        let builder = self.run.connector().choice().label();
        self.run
            .note(records.store_need(key.as_str(), &builder, created, now));
    }

    /// The same where no cache was exported that would tell: what the builder has used since this build began.
    pub(super) async fn note_used(&self, done: &Done) {
        let Some(key) = &done.key else { return };
        // Without a list, the time of the build stands for it.
        let Ok(records) = self.builder.client.usage().await else {
            return;
        };
        let began = self.started_ms.saturating_mul(1_000_000);
        let used = records.iter().filter(|record| {
            let newest = record.used_ns.max(record.created_ns);
            newest.is_some_and(|time| time >= began)
        });
        self.note_need(key, &used.filter_map(|record| record.created_ns).collect());
    }
}
