//! What happens in a build and on the way to it, as the user interface's events.

use std::collections::BTreeSet;

use crate::buildkit::progress::{self, End};
use crate::engine::Progress;
use crate::ui::{Event, StepState};

/// Shows one solve under the label of its target.
pub(super) struct Shown {
    label: String,
    /// Only the export is news: the steps were shown before.
    export_only: bool,
    hidden: BTreeSet<usize>,
    /// BuildKit opens and closes some steps several times, base images above all.
    ended: BTreeSet<usize>,
}

impl Shown {
    pub(super) fn new(label: &str, export_only: bool) -> Self {
        Self {
            label: label.to_owned(),
            export_only,
            hidden: BTreeSet::new(),
            ended: BTreeSet::new(),
        }
    }

    /// The event as the user sees it; `None` for BuildKit's own small steps, unless they fail.
    pub(super) fn event(&mut self, event: progress::Event) -> Option<Event> {
        let target = self.label.clone();
        Some(match event {
            progress::Event::Started { step, name } => {
                if self.hides(&name) {
                    self.hidden.insert(step);
                    return None;
                }
                Event::Step {
                    target,
                    id: step.to_string(),
                    name: shortened(&name),
                    state: StepState::Started,
                }
            }
            progress::Event::Ended { step, name, end } => {
                if self.hides(&name) && !matches!(end, End::Failed(_)) {
                    self.hidden.insert(step);
                    return None;
                }
                if !self.ended.insert(step) && name.contains("] FROM ") {
                    return None;
                }
                let state = match end {
                    End::Cached => StepState::Cached,
                    End::Done(duration) => StepState::Done { duration },
                    End::Failed(error) => StepState::Failed { error },
                    End::Cancelled => StepState::Cancelled,
                };
                Event::Step {
                    target,
                    id: step.to_string(),
                    name: shortened(&name),
                    state,
                }
            }
            progress::Event::Bytes { step, .. } | progress::Event::Log { step, .. }
                if self.hidden.contains(&step) =>
            {
                return None;
            }
            progress::Event::Bytes {
                step,
                label,
                current,
                total,
            } => {
                let total = Some(total).filter(|&total| total > 0);
                Event::Bytes {
                    target,
                    step: step.to_string(),
                    label,
                    current,
                    total,
                }
            }
            progress::Event::Log { step, line } => Event::Log {
                target,
                step: step.to_string(),
                line,
            },
            progress::Event::Warning { .. } if self.export_only => return None,
            progress::Event::Warning { message } => Event::Warning {
                target: Some(target),
                message,
            },
        })
    }

    fn hides(&self, name: &str) -> bool {
        let exports = name.starts_with("exporting ");
        !exports && (self.export_only || !progress::is_of_dockerfile(name))
    }
}

/// A step's name with digests cut to the length that docker shows.
fn shortened(name: &str) -> String {
    match name.split_once("@sha256:") {
        Some((before, digest)) => {
            let end = digest
                .find(|character: char| !character.is_ascii_hexdigit())
                .unwrap_or(digest.len());
            format!(
                "{before}@sha256:{}{}",
                &digest[..end.min(12)],
                &digest[end..]
            )
        }
        None => name.to_owned(),
    }
}

/// The label under which the way to our container is shown.
const BUILDER: &str = "builder";

/// The id of the one step of a pull.
const PULL: &str = "pull";

/// What is done to our container.
#[must_use]
pub fn of_builder(progress: Progress) -> Event {
    let target = BUILDER.to_owned();
    let message = match progress {
        Progress::Pulling { received, total } => {
            return Event::Bytes {
                target,
                step: PULL.to_owned(),
                label: "pulling the BuildKit image".to_owned(),
                current: received,
                total: Some(total).filter(|&total| total > 0),
            };
        }
        Progress::Creating => "creating the BuildKit container",
        Progress::Starting => "starting the BuildKit container",
        Progress::Waiting => "waiting for BuildKit",
    };
    Event::Target {
        target,
        message: message.to_owned(),
    }
}
