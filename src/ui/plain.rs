//! Progress as lines, for logs and pipes: one for each event that matters, without control characters.

use std::collections::HashMap;

use super::event::{Event, StepState};
use super::text::{clean, duration, log_line};

/// Writes events as lines. It remembers the names of running steps, which log lines are told apart by.
#[derive(Debug, Default)]
pub(super) struct Plain {
    /// By target and step.
    labels: HashMap<(String, String), String>,
}

impl Plain {
    /// The lines for an event, without line ends; none for byte counts, which change too often.
    pub(super) fn line(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::Target { target, message } => {
                Some(format!("{}: {}", clean(target), clean(message)))
            }
            Event::Step {
                target,
                id,
                name,
                state,
            } => {
                let key = (target.clone(), id.clone());
                if *state == StepState::Started {
                    self.labels.insert(key, label(name));
                } else {
                    self.labels.remove(&key);
                }
                Some(format!("{}: {}", clean(target), step(name, state)))
            }
            Event::Log { target, step, line } => {
                let label = self
                    .labels
                    .get(&(target.clone(), step.clone()))
                    .map_or("", String::as_str);
                Some(format!("{}: {label}| {}", clean(target), log_line(line)))
            }
            Event::Warning { target, message } => {
                Some(remark("warning", target.as_deref(), message))
            }
            Event::Note { target, message } => Some(remark("note", target.as_deref(), message)),
            Event::Bytes { .. } | Event::TargetDone { .. } => None,
        }
    }
}

fn step(name: &str, state: &StepState) -> String {
    let name = clean(name);
    match state {
        StepState::Started => name,
        StepState::Cached => format!("CACHED {name}"),
        StepState::Done { duration: time } => format!("DONE {name} ({})", duration(*time)),
        StepState::Failed { error } => format!("FAILED {name}: {}", clean(error)),
        StepState::Cancelled => format!("CANCELLED {name}"),
    }
}

/// `warning: target: message`, as warnings and notes read everywhere.
pub(super) fn remark(kind: &str, target: Option<&str>, message: &str) -> String {
    match target {
        Some(target) => format!("{kind}: {}: {}", clean(target), clean(message)),
        None => format!("{kind}: {}", clean(message)),
    }
}

/// What tells the log lines of steps apart: `[builder 3/5] ` where the name has that, else its beginning.
fn label(name: &str) -> String {
    /// Characters of a name without brackets that are enough to know it.
    const ENOUGH: usize = 24;
    let name = clean(name);
    match name.split_once(']') {
        Some((bracketed, _)) if bracketed.starts_with('[') => format!("{bracketed}] "),
        _ => format!(
            "{} ",
            name.chars().take(ENOUGH).collect::<String>().trim_end()
        ),
    }
}
