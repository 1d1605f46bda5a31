//! Progress: BuildKit's status messages folded into steps, and what changed as a stream of events.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bollard_buildkit_proto::moby::buildkit::v1::{StatusResponse, Vertex};

/// Lines of output kept per step, for the error message when it fails.
const LOG_LINES: usize = 20;

/// Bytes kept of a line that has no end, such as a progress bar's.
const LINE_BYTES: usize = 4 << 10;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A step began.
    Started {
        /// Its number in this solve.
        step: usize,
        /// Its name, such as `[builder 2/5] COPY requirements.txt .`.
        name: String,
    },
    /// A step ended.
    Ended {
        /// Its number in this solve.
        step: usize,
        /// Its name.
        name: String,
        /// How.
        end: End,
    },
    /// A transfer inside a step moved on.
    Bytes {
        /// The step's number.
        step: usize,
        /// What is transferred.
        label: String,
        /// Bytes so far.
        current: u64,
        /// Bytes in all; 0 where unknown.
        total: u64,
    },
    /// A step printed a line.
    Log {
        /// The step's number.
        step: usize,
        /// The line without its end.
        line: String,
    },
    /// The frontend warns.
    Warning {
        /// One line.
        message: String,
    },
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Its result was there already.
    Cached,
    /// It ran.
    Done(Duration),
    /// It failed.
    Failed(String),
    /// It was stopped, because the build was.
    Cancelled,
}

/// A step as far as it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// BuildKit's digest of the operation.
    pub digest: String,
    /// Its name.
    pub name: String,
    /// How it ended; `None` while it runs or waits.
    pub end: Option<End>,
    /// The last lines that it printed.
    pub log: VecDeque<String>,
    /// When it began, in milliseconds since 1970 by BuildKit's clock; `None` while it waits.
    pub started_ms: Option<i64>,
    partial_line: Vec<u8>,
}

impl Step {
    /// Whether it is an instruction of the Dockerfile (`[stage 2/5] …`), and not one of BuildKit's own steps nor the
    /// base image.
    #[must_use]
    pub fn is_instruction(&self) -> bool {
        numbered(&self.name).is_some_and(|instruction| !instruction.starts_with("FROM "))
    }

    /// The image and digest that the step loads: a base image, one that is copied or mounted from, or the frontend.
    #[must_use]
    pub fn image(&self) -> Option<(&str, &str)> {
        let name = numbered(&self.name).unwrap_or(&self.name);
        let reference = name
            .strip_prefix("FROM ")
            .or_else(|| name.strip_prefix("docker-image://"))?;
        split_digest(reference.split_whitespace().next()?)
    }

    /// The image whose metadata the step looks up; with its digest, if the Dockerfile pins it.
    #[must_use]
    pub fn looked_up(&self) -> Option<&str> {
        let frontend = || {
            self.name
                .strip_prefix("resolve image config for docker-image://")
        };
        self.name
            .strip_prefix("[internal] load metadata for ")
            .or_else(frontend)
    }

    /// Whether the step downloads something, which can be another thing tomorrow.
    #[must_use]
    pub fn downloads(&self) -> bool {
        let Some(instruction) = numbered(&self.name) else {
            return false;
        };
        let mut words = instruction.split_whitespace();
        // BuildKit's `gitutil` also takes `user@host:path` and `github.com/…` for repositories.
        let remote = |word: &str| {
            let host_and_path = word.split_once('@').map(|(_, rest)| rest.contains(':'));
            word.contains("://") || host_and_path == Some(true) || word.starts_with("github.com/")
        };
        words.next() == Some("ADD") && words.any(remote)
    }
}

/// An error without BuildKit's internal names.
fn readable(error: &str) -> String {
    missing_file(error).unwrap_or_else(|| error.to_owned())
}

/// Ends what is said of a file that is missing.
pub(super) const NOT_SEEN: &str = " in the files that CI will see (only tracked ones are)";

/// What is missing, where an error says that a file of the context is:
/// `failed to calculate checksum of ref <worker>::<snapshot>: "/x": not found`.
pub(super) fn missing_file(error: &str) -> Option<String> {
    let (_, rest) = error.split_once("failed to calculate checksum of ref ")?;
    let (_, rest) = rest.split_once(": ")?;
    rest.ends_with("not found")
        .then(|| format!("{rest}{NOT_SEEN}"))
}

/// An image reference and its digest.
#[must_use]
pub fn split_digest(reference: &str) -> Option<(&str, &str)> {
    let (image, digest) = reference.split_once('@')?;
    digest.starts_with("sha256:").then_some((image, digest))
}

/// Whether a step comes from the Dockerfile, base images included, and is not one of BuildKit's own.
#[must_use]
pub fn is_of_dockerfile(name: &str) -> bool {
    numbered(name).is_some()
}

/// The text after `[stage n/m] `, if the name has that form.
fn numbered(name: &str) -> Option<&str> {
    let (place, instruction) = name.strip_prefix('[')?.split_once("] ")?;
    let (number, count) = place.rsplit(' ').next()?.split_once('/')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(number) && digits(count)).then_some(instruction)
}

/// Everything known of a solve so far.
#[derive(Debug, Default)]
pub struct Progress {
    steps: Vec<Step>,
    numbers: BTreeMap<String, usize>,
}

impl Progress {
    /// The steps in the order in which BuildKit named them.
    #[must_use]
    pub fn into_steps(self) -> Vec<Step> {
        self.steps
    }

    /// The steps so far.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Takes one status message and says what it changed.
    pub fn apply(&mut self, status: StatusResponse) -> Vec<Event> {
        let mut events = Vec::new();
        for vertex in status.vertexes {
            self.vertex(vertex, &mut events);
        }
        for bytes in status.statuses {
            let Some(&step) = self.numbers.get(&bytes.vertex) else {
                continue;
            };
            events.push(Event::Bytes {
                step,
                label: if bytes.name.is_empty() {
                    bytes.id
                } else {
                    bytes.name
                },
                current: bytes.current.try_into().unwrap_or(0),
                total: bytes.total.try_into().unwrap_or(0),
            });
        }
        for log in status.logs {
            let Some(&step) = self.numbers.get(&log.vertex) else {
                continue;
            };
            self.log(step, &log.msg, &mut events);
        }
        for warning in status.warnings {
            let message = String::from_utf8_lossy(&warning.short).into_owned();
            events.push(Event::Warning { message });
        }
        events
    }

    fn vertex(&mut self, vertex: Vertex, events: &mut Vec<Event>) {
        let number = *self
            .numbers
            .entry(vertex.digest.clone())
            .or_insert_with(|| {
                self.steps.push(Step {
                    digest: vertex.digest.clone(),
                    name: vertex.name.clone(),
                    end: None,
                    log: VecDeque::new(),
                    started_ms: None,
                    partial_line: Vec::new(),
                });
                self.steps.len() - 1
            });
        let step = &mut self.steps[number];
        step.name = vertex.name;
        if let (Some(started), None) = (&vertex.started, step.started_ms) {
            step.started_ms = Some(started.seconds * 1000 + i64::from(started.nanos) / 1_000_000);
            // A cached step starts and ends in the same message; its end says all.
            if vertex.completed.is_none() {
                events.push(Event::Started {
                    step: number,
                    name: step.name.clone(),
                });
            }
        }
        let Some(completed) = vertex.completed else {
            return;
        };
        let end = if vertex.error.ends_with("context canceled") {
            End::Cancelled
        } else if !vertex.error.is_empty() {
            End::Failed(readable(&vertex.error))
        } else if vertex.cached {
            End::Cached
        } else {
            let nanoseconds =
                |seconds: i64, nanos: i32| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
            let end = nanoseconds(completed.seconds, completed.nanos);
            let start = vertex
                .started
                .map_or(end, |started| nanoseconds(started.seconds, started.nanos));
            End::Done(Duration::from_nanos(
                u64::try_from(end - start).unwrap_or(0),
            ))
        };
        // BuildKit may close and reopen a step (a lazily pulled image, a second export phase): the last word counts,
        // and a step that ran once stays one that ran.
        let repeated = step.end.as_ref() == Some(&end);
        let downgraded = matches!((&step.end, &end), (Some(End::Done(_)), End::Cached));
        if !repeated && !downgraded {
            step.end = Some(end.clone());
            events.push(Event::Ended {
                step: number,
                name: step.name.clone(),
                end,
            });
        }
    }

    fn log(&mut self, number: usize, message: &[u8], events: &mut Vec<Event>) {
        let step = &mut self.steps[number];
        for piece in message.split_inclusive(|&byte| byte == b'\n' || byte == b'\r') {
            let (text, ended) = match piece.split_last() {
                Some((b'\n' | b'\r', text)) => (text, true),
                _ => (piece, false),
            };
            step.partial_line
                .extend_from_slice(&text[..text.len().min(LINE_BYTES)]);
            if (ended || step.partial_line.len() >= LINE_BYTES) && !step.partial_line.is_empty() {
                let line =
                    String::from_utf8_lossy(&std::mem::take(&mut step.partial_line)).into_owned();
                if step.log.len() == LOG_LINES {
                    step.log.pop_front();
                }
                step.log.push_back(line.clone());
                events.push(Event::Log { step: number, line });
            }
        }
    }
}

#[cfg(test)]
mod tests;
