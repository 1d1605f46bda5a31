//! What people see. These are the only files that print: results go to standard output, everything else to standard
//! error.
//!
//! Text from outside (build output, names, messages) never drives the terminal: see [`text::clean`].

mod board;
mod disk;
mod event;
mod failure;
mod findings;
mod history;
mod json;
mod paint;
mod plain;
mod prune;
mod prune_tags;
mod pruned;
mod status;
mod summary;
mod terminal;
#[cfg(test)]
mod tests;
pub mod text;

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use console::Term;
use serde::Serialize;
use serde_json::json;

use crate::daemon::status::Status;
use crate::doctor::Finding;
use crate::error::{Error, Kind, Remedy};
use crate::prune::checked::Checked;
use crate::prune::plan::{Fate, Item};
use crate::prune::tags::Plan;
use crate::record::{Deleted, HistoryRow, Lead, PruneRow};

pub use event::{Event, StepState};
pub use prune::Pruning;
pub use summary::{CiVerdict, Summary, TargetSummary, Verdict};

use paint::Paint;
use plain::Plain;
use terminal::{Size, Terminal};

type Writer = Box<dyn Write + Send>;

/// How progress, warnings and errors are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Lines that change in place.
    Terminal {
        /// Whether colors are welcome.
        color: bool,
    },
    /// A line for each event that matters, without control characters.
    Plain,
    /// A JSON object for each event, on a line of its own; results are JSON too.
    Json,
}

/// What decides how things are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Surroundings<'a> {
    /// `--json` was given.
    pub json: bool,
    /// Standard output is a terminal.
    pub stdout_terminal: bool,
    /// Standard error is a terminal.
    pub stderr_terminal: bool,
    /// The variable `NO_COLOR`; any value but an empty one counts (<https://no-color.org>).
    pub no_color: Option<&'a str>,
    /// The variable `TERM`.
    pub term: Option<&'a str>,
}

/// How things are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// On standard error.
    pub mode: Mode,
    /// Whether results on standard output are colored.
    pub color_results: bool,
}

impl Look {
    /// Decides how things are shown.
    #[must_use]
    pub fn choose(surroundings: &Surroundings<'_>) -> Self {
        let color =
            surroundings.no_color.is_none_or(str::is_empty) && surroundings.term != Some("dumb");
        let mode = if surroundings.json {
            Mode::Json
        } else if surroundings.stderr_terminal && surroundings.term != Some("dumb") {
            Mode::Terminal { color }
        } else {
            Mode::Plain
        };
        Self {
            mode,
            color_results: color && surroundings.stdout_terminal && !surroundings.json,
        }
    }
}

/// A result that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
pub struct OutputError(#[from] io::Error);

impl Remedy for OutputError {
    fn kind(&self) -> Kind {
        Kind::Environment
    }
}

/// Shows things. Shared between tasks; each call is shown as a whole.
pub struct Ui {
    look: Look,
    /// How wide tables on standard output may be; `None` for as wide as they are.
    columns: Option<u16>,
    results: Mutex<Writer>,
    progress: Progress,
}

enum Progress {
    Terminal(Terminal),
    Plain(Mutex<(Writer, Plain)>),
    Json(Mutex<Writer>),
}

impl Ui {
    /// On the process's standard output and standard error.
    #[must_use]
    pub fn stdio(look: Look) -> Self {
        let terminal = Term::stderr();
        Self {
            columns: Term::stdout().size_checked().map(|(_, columns)| columns),
            ..Self::new(
                look,
                Box::new(io::stdout()),
                Box::new(io::stderr()),
                Box::new(move || terminal.size()),
            )
        }
    }

    /// On other writers, where `size` tells the height and width of the terminal behind `stderr`.
    #[must_use]
    pub fn new(look: Look, stdout: Writer, stderr: Writer, size: Size) -> Self {
        let progress = match look.mode {
            Mode::Terminal { color } => Progress::Terminal(Terminal::new(stderr, size, color)),
            Mode::Plain => Progress::Plain(Mutex::new((stderr, Plain::default()))),
            Mode::Json => Progress::Json(Mutex::new(stderr)),
        };
        Self {
            look,
            columns: None,
            results: Mutex::new(stdout),
            progress,
        }
    }

    /// Shows that something happened.
    pub fn event(&self, event: &Event) {
        match &self.progress {
            Progress::Terminal(terminal) => terminal.event(event),
            Progress::Plain(shared) => {
                let (writer, plain) = &mut *shared.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(line) = plain.line(event) {
                    aside(writer, &format!("{line}\n"));
                }
            }
            Progress::Json(writer) => aside_json(writer, &event.to_json()),
        }
    }

    /// Asks whoever started us, as an event in JSON; nobody else is asked.
    pub fn question(&self, question: &crate::worker::Question) {
        if let Progress::Json(writer) = &self.progress {
            let mut document = json!(question);
            document["event"] = "ask".into();
            aside_json(writer, &document);
        }
    }

    /// Whether anybody may still read standard output: the reader of a pipe may have gone.
    #[must_use]
    pub fn is_read(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let stdout = io::stdout();
        let mut descriptors = [PollFd::new(&stdout, PollFlags::empty())];
        let asked = poll(&mut descriptors, Some(&Timespec::default()));
        let gone = PollFlags::ERR | PollFlags::HUP;
        asked.is_err() || !descriptors[0].revents().intersects(gone)
    }

    /// Says a line on standard error.
    pub fn aside(&self, line: &str) {
        aside(
            &mut (Box::new(io::stderr()) as Writer),
            &format!("{}\n", text::clean(line)),
        );
    }

    /// Shows an error, and ends progress.
    pub fn error(&self, error: &Error) {
        match &self.progress {
            Progress::Terminal(terminal) => {
                let Mode::Terminal { color } = self.look.mode else {
                    unreachable!("the mode made the progress")
                };
                terminal.finish(&failure::human(error, Paint { color }));
            }
            Progress::Plain(shared) => {
                let (writer, _) = &mut *shared.lock().unwrap_or_else(PoisonError::into_inner);
                aside(writer, &failure::human(error, Paint { color: false }));
            }
            Progress::Json(writer) => aside_json(writer, &failure::document(error)),
        }
    }

    /// Shows what came of a warm.
    ///
    /// # Errors
    ///
    /// When standard output takes nothing, other than because its reader has gone.
    pub fn summary(&self, summary: &Summary) -> Result<(), OutputError> {
        self.result(&summary::human(summary, self.paint()), summary)
    }

    /// Shows the history; `now` in Unix milliseconds.
    ///
    /// # Errors
    ///
    /// When standard output takes nothing, other than because its reader has gone.
    pub fn history(
        &self,
        rows: &[HistoryRow],
        leads: &[Lead],
        now: i64,
    ) -> Result<(), OutputError> {
        self.result(
            &history::human(rows, leads, now, self.paint()),
            &json!({"warms": rows, "pushes": leads}),
        )
    }

    /// Shows which tags of registries go or went, and which stay; `now` in Unix milliseconds.
    ///
    /// # Errors
    ///
    /// When standard output takes nothing, other than because its reader has gone.
    pub fn tag_plans(&self, plans: &[Plan], executed: bool, now: i64) -> Result<(), OutputError> {
        self.result(
            &prune_tags::human(plans, executed, now, self.paint()),
            &prune_tags::document(plans, executed),
        )
    }

    /// Shows the daemon's status; `now` in Unix milliseconds.
    ///
    /// # Errors
    ///
    /// When standard output takes nothing, other than because its reader has gone.
    pub fn status(&self, status: &Status, leads: &[Lead], now: i64) -> Result<(), OutputError> {
        self.result(
            &status::human(status, leads, now, self.paint()),
            &json!({"status": status, "pushes": leads}),
        )
    }

    /// Shows the daemon's status in the place of the last one, where standard output is a terminal.
    ///
    /// # Errors
    ///
    /// As for [`Ui::status`].
    pub fn live_status(
        &self,
        status: &Status,
        leads: &[Lead],
        now: i64,
    ) -> Result<(), OutputError> {
        if !self.look.color_results {
            return self.status(status, leads, now);
        }
        let text = status::human(status, leads, now, self.paint());
        // Home, and whatever was there is erased line by line, so that nothing flickers (ECMA-48 CUP, EL, ED).
        let lines = text.replace('\n', "\x1b[K\n");
        self.result(&format!("\x1b[H{lines}\x1b[J"), &json!({}))
    }

    /// Shows a command's result, as text for people (with its line ends) or as one JSON document, and ends progress.
    ///
    /// # Errors
    ///
    /// When standard output takes nothing, other than because its reader has gone.
    pub fn result(&self, human: &str, document: &impl Serialize) -> Result<(), OutputError> {
        if let Progress::Terminal(terminal) = &self.progress {
            terminal.finish("");
        }
        let written = if self.look.mode == Mode::Json {
            json::line(document).map_err(io::Error::from)?
        } else {
            human.to_owned()
        };
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        match results
            .write_all(written.as_bytes())
            .and_then(|()| results.flush())
        {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Asks, on standard error and without an end of line, what is then read from standard input.
    pub fn ask(&self, question: &str) {
        aside(&mut (Box::new(io::stderr()) as Writer), question);
    }

    /// Shows lines of a log, made harmless, and tells whether anybody still reads them.
    ///
    /// # Errors
    ///
    /// When standard output takes nothing, other than because its reader has gone.
    pub fn lines(&self, lines: &[String]) -> Result<bool, OutputError> {
        let mut text = String::new();
        for line in lines {
            text.push_str(&text::log_line(line));
            text.push('\n');
        }
        let mut results = self.results.lock().unwrap_or_else(PoisonError::into_inner);
        match results
            .write_all(text.as_bytes())
            .and_then(|()| results.flush())
        {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Shows what a machine's examination found.
    ///
    /// # Errors
    ///
    /// When standard output takes nothing, other than because its reader has gone.
    pub fn findings(&self, findings: &[Finding]) -> Result<(), OutputError> {
        self.result(
            &findings::human(findings, self.paint()),
            &findings::document(findings),
        )
    }

    /// Shows what a prune would delete, or did. A plan that is being done is shown to people only, who may stop it.
    ///
    /// # Errors
    ///
    /// When standard output takes nothing, other than because its reader has gone.
    pub fn prune(&self, pruning: &Pruning<'_>) -> Result<(), OutputError> {
        let is_last = pruning.report.is_some() || !pruning.executes;
        if self.look.mode == Mode::Json && !is_last {
            return Ok(());
        }
        self.result(
            &prune::human(pruning, self.columns, self.paint()),
            &prune::document(pruning),
        )
    }

    /// Shows why things stay or go, and what went; `now` in Unix milliseconds.
    ///
    /// # Errors
    ///
    /// When standard output takes nothing, other than because its reader has gone.
    pub fn prune_explained(
        &self,
        found: &[(&Item, Fate<'_>)],
        gone: Option<&Deleted>,
        now: i64,
    ) -> Result<(), OutputError> {
        self.result(
            &pruned::explained(found, gone, now, self.paint()),
            &pruned::explained_document(found, gone),
        )
    }

    /// Shows what prunes deleted; `now` in Unix milliseconds.
    ///
    /// # Errors
    ///
    /// When standard output takes nothing, other than because its reader has gone.
    pub fn prune_history(
        &self,
        prunes: &[(PruneRow, Vec<Deleted>)],
        running: bool,
        now: i64,
    ) -> Result<(), OutputError> {
        let document: Vec<_> = prunes
            .iter()
            .map(|(row, deletions)| json!({"prune": row, "deletions": deletions}))
            .collect();
        self.result(
            &pruned::history(prunes, running, now, self.columns, self.paint()),
            &json!({"prunes": document, "running": running}),
        )
    }

    /// Shows what a look at the disk came to; `now` in Unix milliseconds.
    ///
    /// # Errors
    ///
    /// When standard output takes nothing, other than because its reader has gone.
    pub fn checked(&self, checked: &Checked, now: i64) -> Result<(), OutputError> {
        self.result(&disk::human(checked, now, self.paint()), checked)
    }

    fn paint(&self) -> Paint {
        Paint {
            color: self.look.color_results,
        }
    }
}

/// Writes what is not a result. Whoever closed standard error does not want to know.
fn aside(writer: &mut Writer, text: &str) {
    let _ = writer
        .write_all(text.as_bytes())
        .and_then(|()| writer.flush());
}

fn aside_json(writer: &Mutex<Writer>, document: &serde_json::Value) {
    let line = json::line(document).expect("a JSON value can be written");
    aside(
        &mut writer.lock().unwrap_or_else(PoisonError::into_inner),
        &line,
    );
}
