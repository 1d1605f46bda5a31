//! What went, when and why. A full disk takes no notes: they are kept until it does.

use super::plan::Deletion;
use crate::record::{Deleted, PruneEnd, PruneId, RecordError, Records};

/// The journal of one prune.
pub struct Journal<'a> {
    records: Option<&'a Records>,
    reason: &'static str,
    planned: u64,
    now: &'a (dyn Fn() -> i64 + Sync),
    started_at: i64,
    prune: Option<PruneId>,
    waiting: Vec<Deleted>,
    failed: Option<String>,
}

impl<'a> Journal<'a> {
    /// Of a prune that begins now, for this reason. Without records nothing is noted.
    pub fn new(
        records: Option<&'a Records>,
        reason: &'static str,
        planned: u64,
        now: &'a (dyn Fn() -> i64 + Sync),
    ) -> Self {
        Self {
            records,
            reason,
            planned,
            now,
            started_at: now(),
            prune: None,
            waiting: Vec::new(),
            failed: None,
        }
    }

    /// These are about to be deleted. Should we be killed now, it can be told that they may have gone.
    pub(super) fn asked(&mut self, batch: &[Deletion]) {
        let rows = batch
            .iter()
            .map(|deletion| row(deletion, deletion.item.bytes, 0));
        let rows: Vec<Deleted> = rows.collect();
        // What is not written now, when they are gone. Who has kept us waiting once is not waited for until the end.
        if self.failed.is_none() {
            self.failed = self.write(&rows).err().map(|error| error.to_string());
        }
    }

    /// Of these, those have gone.
    pub(super) fn gone(&mut self, batch: &[Deletion], gone: &[(String, u64)]) {
        let at = (self.now)();
        let rows = batch.iter().filter_map(|deletion| {
            let (_, bytes) = gone.iter().find(|(name, _)| *name == deletion.item.name)?;
            Some(row(deletion, *bytes, at))
        });
        self.waiting.extend(rows);
        if self.failed.is_none() {
            self.flush();
        }
    }

    /// It has ended. Tells why something could not be noted.
    pub(super) fn end(
        &mut self,
        reported: u64,
        measured: Option<i64>,
        items: usize,
    ) -> Option<String> {
        self.flush();
        if let (Some(records), Some(prune)) = (self.records, self.prune) {
            let end = PruneEnd {
                at: (self.now)(),
                reported,
                measured,
                items,
            };
            if let Err(error) = records.end_prune(prune, &end) {
                self.failed = Some(error.to_string());
            }
        }
        let lacks = self.records.is_some() && (!self.waiting.is_empty() || self.failed.is_some());
        self.failed.take().filter(|_| lacks)
    }

    fn flush(&mut self) {
        let rows = std::mem::take(&mut self.waiting);
        match self.write(&rows) {
            Ok(()) => self.failed = None,
            Err(error) => {
                self.failed = Some(error.to_string());
                self.waiting = rows;
            }
        }
    }

    fn write(&mut self, rows: &[Deleted]) -> Result<(), RecordError> {
        let Some(records) = self.records.filter(|_| !rows.is_empty()) else {
            return Ok(());
        };
        let prune = match self.prune {
            Some(prune) => prune,
            None => records.begin_prune(self.reason, self.planned, self.started_at)?,
        };
        self.prune = Some(prune);
        records.note_deletions(prune, rows)
    }
}

fn row(deletion: &Deletion, bytes: u64, at: i64) -> Deleted {
    let item = &deletion.item;
    let kind = item.kind.as_ref().map_or("image", |kind| kind.name());
    Deleted {
        builder: item.builder.clone(),
        item: item.name.clone(),
        description: item.description.clone(),
        kind: kind.to_owned(),
        bytes,
        used_at: item.used,
        rule: deletion.rule.text().to_owned(),
        at,
    }
}
