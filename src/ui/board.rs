//! What a terminal shows while targets are built: the lines that change, and those that are done with.
//!
//! Values only: `terminal` draws them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use console::{measure_text_width, truncate_str};

use super::event::{Event, StepState};
use super::paint::Paint;
use super::plain::remark;
use super::text::{bytes, clean, duration, fit, log_line};

/// The targets that are worked on, in the order in which they came.
#[derive(Debug)]
pub(super) struct Board {
    paint: Paint,
    targets: Vec<Target>,
}

#[derive(Debug)]
struct Target {
    name: String,
    phase: String,
    since: Instant,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    id: String,
    name: String,
    since: Instant,
    /// So far and in all, by what is transferred.
    transfers: BTreeMap<String, (u64, Option<u64>)>,
    log: String,
}

impl Board {
    pub(super) fn new(paint: Paint) -> Self {
        Self {
            paint,
            targets: Vec::new(),
        }
    }

    /// Takes an event in and returns the line that scrolls up because of it, if any.
    pub(super) fn apply(&mut self, event: &Event, now: Instant) -> Option<String> {
        match event {
            Event::Target { target, message } => {
                let target = self.target(target, now);
                target.phase = clean(message);
                target.since = now;
                None
            }
            Event::TargetDone { target } => {
                self.targets.retain(|known| known.name != *target);
                None
            }
            Event::Step {
                target,
                id,
                name,
                state,
            } => {
                let known = self.target(target, now);
                known.steps.retain(|step| step.id != *id);
                if *state == StepState::Started {
                    known.steps.push(Step {
                        id: id.clone(),
                        name: clean(name),
                        since: now,
                        transfers: BTreeMap::new(),
                        log: String::new(),
                    });
                }
                self.finished(target, &clean(name), state)
            }
            Event::Bytes {
                target,
                step,
                label,
                current,
                total,
            } => {
                if let Some(step) = self.step(target, step) {
                    step.transfers.insert(label.clone(), (*current, *total));
                }
                None
            }
            Event::Log { target, step, line } => {
                let line = log_line(line);
                if let Some(step) = self.step(target, step).filter(|_| !line.trim().is_empty()) {
                    step.log = line;
                }
                None
            }
            Event::Warning { target, message } => Some(self.paint.doubtful(&remark(
                "warning",
                target.as_deref(),
                message,
            ))),
            Event::Note { target, message } => Some(remark("note", target.as_deref(), message)),
        }
    }

    /// The lines that change, none wider than `width` columns; of more than `height` lines, the first and how many more
    /// there are.
    pub(super) fn lines(&self, now: Instant, width: usize, height: usize) -> Vec<String> {
        let mut lines: Vec<String> = self
            .targets
            .iter()
            .flat_map(|target| self.target_lines(target, now, width))
            .collect();
        if lines.len() > height {
            let more = lines.len() - height.saturating_sub(1);
            lines.truncate(height.saturating_sub(1));
            lines.push(
                self.paint
                    .dim(&fit(&format!("… and {more} more lines"), width)),
            );
        }
        lines
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.targets.clear();
    }

    fn target_lines(&self, target: &Target, now: Instant, width: usize) -> Vec<String> {
        let prefix = format!("[{}] ", clean(&target.name));
        if target.steps.is_empty() {
            return vec![self.running(&prefix, &target.phase, "", now - target.since, width)];
        }
        let mut lines = Vec::new();
        for step in &target.steps {
            lines.push(self.running(
                &prefix,
                &step.name,
                &transferred(&step.transfers),
                now - step.since,
                width,
            ));
            if !step.log.is_empty() {
                let indent = " ".repeat(measure_text_width(&prefix).min(width / 2));
                lines.push(
                    self.paint
                        .dim(&fit(&format!("{indent}{}", step.log), width)),
                );
            }
        }
        lines
    }

    /// `[target] name  50.0 MB  12.3 s`, where the name gives way when there is no room.
    fn running(
        &self,
        prefix: &str,
        name: &str,
        transferred: &str,
        time: Duration,
        width: usize,
    ) -> String {
        let time = duration(
            Duration::from_millis(100) * u32::try_from(time.as_millis() / 100).unwrap_or(u32::MAX),
        );
        let mut tail = format!(" {transferred} {time}");
        if transferred.is_empty() {
            tail = format!(" {time}");
        }
        let room = width.saturating_sub(measure_text_width(prefix) + measure_text_width(&tail));
        let line = format!(
            "{}{}{}",
            self.paint.dim(prefix),
            fit(name, room),
            self.paint.bold(&tail)
        );
        truncate_str(&line, width, "").into_owned()
    }

    fn finished(&self, target: &str, name: &str, state: &StepState) -> Option<String> {
        let prefix = self.paint.dim(&format!("[{}] ", clean(target)));
        match state {
            StepState::Started => None,
            StepState::Cached => Some(format!("{prefix}{} {name}", self.paint.good("CACHED"))),
            StepState::Done { duration: time } => {
                Some(format!("{prefix}{name} {}", duration(*time)))
            }
            StepState::Failed { error } => Some(format!(
                "{prefix}{} {name}: {}",
                self.paint.bad("FAILED"),
                clean(error)
            )),
            StepState::Cancelled => Some(format!(
                "{prefix}{} {name}",
                self.paint.doubtful("CANCELLED")
            )),
        }
    }

    fn target(&mut self, name: &str, now: Instant) -> &mut Target {
        let at = self
            .targets
            .iter()
            .position(|target| target.name == name)
            .unwrap_or_else(|| {
                self.targets.push(Target {
                    name: name.to_owned(),
                    phase: String::new(),
                    since: now,
                    steps: Vec::new(),
                });
                self.targets.len() - 1
            });
        &mut self.targets[at]
    }

    fn step(&mut self, target: &str, id: &str) -> Option<&mut Step> {
        let target = self.targets.iter_mut().find(|known| known.name == target)?;
        target.steps.iter_mut().find(|step| step.id == id)
    }
}

/// `12.4 MB / 50.0 MB` over all transfers of a step; without the second where one of them is unknown.
fn transferred(transfers: &BTreeMap<String, (u64, Option<u64>)>) -> String {
    if transfers.is_empty() {
        return String::new();
    }
    let current = transfers.values().map(|(current, _)| current).sum();
    match transfers
        .values()
        .map(|(_, total)| *total)
        .sum::<Option<u64>>()
    {
        Some(total) => format!("{} / {}", bytes(current), bytes(total)),
        None => bytes(current),
    }
}
