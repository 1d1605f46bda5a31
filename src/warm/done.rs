//! What came of a build: for the summary, and for the history.

use super::push::Pushed;
use crate::buildkit::progress::{End, Step};
use crate::error::{Error, Kind};
use crate::plan::inputs::Inputs;
use crate::plan::key::Key;
use crate::record::{Finished, Outcome, StepRecord};
use crate::ui::{TargetSummary, Verdict};

/// What came of a build.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) outcome: Outcome,
    /// The Dockerfile's instructions, as far as they got.
    pub(super) steps: Vec<Step>,
    pub(super) salvaged: usize,
    pub(super) key: Option<Key>,
    pub(super) inputs: Option<Inputs>,
    pub(super) pushed: Option<Pushed>,
    pub(super) notes: Vec<String>,
    /// A base image that no registry has, but this machine.
    pub(super) local_image: Option<String>,
    pub(super) error: Option<Error>,
    started_ms: i64,
}

impl Done {
    /// Nothing has come of it yet.
    pub(super) fn new(started_ms: i64) -> Self {
        Self {
            outcome: Outcome::Failed,
            steps: Vec::new(),
            salvaged: 0,
            key: None,
            inputs: None,
            pushed: None,
            notes: Vec::new(),
            local_image: None,
            error: None,
            started_ms,
        }
    }

    /// It failed, with what came of it before.
    pub(super) fn fail(mut self, error: Error) -> Self {
        if matches!(error.kind, Kind::Signal(_)) {
            self.outcome = Outcome::Cancelled;
        }
        self.error = Some(error);
        self
    }

    /// Sums up.
    pub(super) fn apply(&mut self, summary: &mut TargetSummary) {
        let count = |matches: fn(&End) -> bool| {
            u32::try_from(
                self.steps
                    .iter()
                    .filter(|step| step.end.as_ref().is_some_and(matches))
                    .count(),
            )
            .unwrap_or(u32::MAX)
        };
        summary.outcome = Verdict::from(self.outcome);
        summary.steps_total = u32::try_from(self.steps.len()).unwrap_or(u32::MAX);
        summary.steps_cached = count(|end| matches!(end, End::Cached));
        summary.steps_run = count(|end| matches!(end, End::Done(_)));
        summary.steps_salvaged = u32::try_from(self.salvaged).unwrap_or(u32::MAX);
        summary.notes.append(&mut self.notes);
        if let Some(key) = &self.key {
            summary.key = Some(key.to_string());
        }
        if let Some(pushed) = &self.pushed {
            summary.bytes_exported = pushed.bytes;
            summary.tags.clone_from(&pushed.tags);
        }
        if let Some(error) = &self.error {
            summary.reason = error.headline();
        }
    }

    /// For the history.
    pub(super) fn finished(self, now_ms: i64, error: Option<&Error>) -> Finished {
        let steps = self
            .steps
            .iter()
            .map(|step| step_record(step, self.started_ms))
            .collect();
        let (digest, bytes, references) = self.pushed.map_or((None, 0, Vec::new()), |pushed| {
            (Some(pushed.digest), pushed.bytes, pushed.tags)
        });
        Finished {
            outcome: self.outcome,
            key: self.key.as_ref().map(ToString::to_string),
            steps,
            exported_bytes: bytes,
            cache_digest: digest,
            references,
            error: error.map(ToString::to_string),
            finished_at: now_ms,
            inputs: self.inputs.as_ref().map(Inputs::to_json),
        }
    }
}

fn step_record(step: &Step, started_ms: i64) -> StepRecord {
    let (duration, error) = match &step.end {
        Some(End::Done(duration)) => (
            i64::try_from(duration.as_millis()).unwrap_or(i64::MAX),
            None,
        ),
        Some(End::Failed(error)) => (0, Some(error.clone())),
        _ => (0, None),
    };
    StepRecord {
        name: step.name.clone(),
        cached: step.end == Some(End::Cached),
        started_ms: step.started_ms.map_or(0, |at| (at - started_ms).max(0)),
        duration_ms: duration,
        error,
    }
}
