//! What happens during a warm, as it is shown.

use std::time::Duration;

use serde_json::{Value, json};

/// Something that happened. Targets are called as they are to be shown, such as `builder` or `builder linux/arm64`;
/// a step is known by its id within its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A target enters a phase, such as `reading the tree` or `publishing`.
    Target {
        /// The target.
        target: String,
        /// The phase.
        message: String,
    },
    /// Nothing more will come of a target.
    TargetDone {
        /// The target.
        target: String,
    },
    /// A step of the build changes its state.
    Step {
        /// The target.
        target: String,
        /// The step.
        id: String,
        /// As BuildKit names it, such as `[builder 3/5] RUN …`.
        name: String,
        /// The state.
        state: StepState,
    },
    /// A transfer within a running step gets on.
    Bytes {
        /// The target.
        target: String,
        /// The step.
        step: String,
        /// What is transferred, such as a layer's digest; a step can have several at a time.
        label: String,
        /// Bytes so far.
        current: u64,
        /// Bytes in all, where known.
        total: Option<u64>,
    },
    /// A step wrote a line.
    Log {
        /// The target.
        target: String,
        /// The step.
        step: String,
        /// The line, as it was written.
        line: String,
    },
    /// Something is not as it should be, but the work goes on.
    Warning {
        /// The target that it concerns.
        target: Option<String>,
        /// What.
        message: String,
    },
    /// Something worth knowing.
    Note {
        /// The target that it concerns.
        target: Option<String>,
        /// What.
        message: String,
    },
}

/// The state of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepState {
    /// It runs.
    Started,
    /// It was found in a cache.
    Cached,
    /// It ran.
    Done {
        /// For how long.
        duration: Duration,
    },
    /// It failed.
    Failed {
        /// Why.
        error: String,
    },
    /// It was stopped.
    Cancelled,
}

impl Event {
    /// The event as one JSON object. Its shape is part of the command line's interface:
    ///
    /// | `event` | further fields |
    /// | --- | --- |
    /// | `target` | `target`, `message` |
    /// | `target-done` | `target` |
    /// | `step` | `target`, `step` (id), `name`, `state`: `started`, `cached`, `done` (with `duration_ms`), `failed` (with `error`) or `cancelled` |
    /// | `bytes` | `target`, `step`, `label`, `current`, `total` (or null) |
    /// | `log` | `target`, `step`, `line` |
    /// | `warning`, `note` | `target` (or null), `message` |
    #[must_use]
    pub fn to_json(&self) -> Value {
        match self {
            Self::Target { target, message } => {
                json!({"event": "target", "target": target, "message": message})
            }
            Self::TargetDone { target } => json!({"event": "target-done", "target": target}),
            Self::Step {
                target,
                id,
                name,
                state,
            } => {
                let mut object =
                    json!({"event": "step", "target": target, "step": id, "name": name});
                object["state"] = match state {
                    StepState::Started => "started",
                    StepState::Cached => "cached",
                    StepState::Done { .. } => "done",
                    StepState::Failed { .. } => "failed",
                    StepState::Cancelled => "cancelled",
                }
                .into();
                match state {
                    StepState::Done { duration } => {
                        object["duration_ms"] = milliseconds(*duration).into();
                    }
                    StepState::Failed { error } => object["error"] = error.as_str().into(),
                    _ => {}
                }
                object
            }
            Self::Bytes {
                target,
                step,
                label,
                current,
                total,
            } => {
                json!({"event": "bytes", "target": target, "step": step, "label": label, "current": current, "total": total})
            }
            Self::Log { target, step, line } => {
                json!({"event": "log", "target": target, "step": step, "line": line})
            }
            Self::Warning { target, message } => {
                json!({"event": "warning", "target": target, "message": message})
            }
            Self::Note { target, message } => {
                json!({"event": "note", "target": target, "message": message})
            }
        }
    }
}

/// Whole milliseconds, as JSON shows durations.
pub(super) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
