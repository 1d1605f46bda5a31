//! What people see, as it is seen.

mod progress;
mod prune;
mod results;
mod status;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;

/// What was written, for looking at it afterwards.
#[derive(Clone, Default)]
struct Capture(Arc<Mutex<Vec<u8>>>);

impl Capture {
    fn bytes(&self) -> Vec<u8> {
        self.0.lock().expect("nobody panicked").clone()
    }

    fn text(&self) -> String {
        String::from_utf8(self.bytes()).expect("we write UTF-8")
    }
}

impl Write for Capture {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody panicked").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer that fails always in the same way.
struct Broken(io::ErrorKind);

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(self.0.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(self.0.into())
    }
}

/// Both outputs of a `Ui`.
struct Captured {
    ui: Ui,
    stdout: Capture,
    stderr: Capture,
}

/// A `Ui` on a terminal of 16 lines of 60 characters, where the mode asks for one.
#[must_use]
fn capture(mode: Mode) -> Captured {
    let (stdout, stderr) = (Capture::default(), Capture::default());
    let look = Look {
        mode,
        color_results: false,
    };
    let ui = Ui::new(
        look,
        Box::new(stdout.clone()),
        Box::new(stderr.clone()),
        Box::new(|| (16, 60)),
    );
    Captured { ui, stdout, stderr }
}

fn step(target: &str, id: &str, name: &str, state: StepState) -> Event {
    Event::Step {
        target: target.to_owned(),
        id: id.to_owned(),
        name: name.to_owned(),
        state,
    }
}

fn log(target: &str, step: &str, line: &str) -> Event {
    Event::Log {
        target: target.to_owned(),
        step: step.to_owned(),
        line: line.to_owned(),
    }
}

fn phase(target: &str, message: &str) -> Event {
    Event::Target {
        target: target.to_owned(),
        message: message.to_owned(),
    }
}

fn bytes_of(target: &str, step: &str, label: &str, current: u64, total: Option<u64>) -> Event {
    Event::Bytes {
        target: target.to_owned(),
        step: step.to_owned(),
        label: label.to_owned(),
        current,
        total,
    }
}

/// A build as it goes, with output that would like to be in control.
fn a_build() -> Vec<Event> {
    vec![
        phase("builder", "reading the tree"),
        Event::Note {
            target: None,
            message: "BuildKit 0.25.1, as CI runs it".to_owned(),
        },
        step(
            "builder",
            "a",
            "[builder 1/3] FROM python:3.11-slim",
            StepState::Cached,
        ),
        step(
            "builder",
            "b",
            "[builder 2/3] COPY require\x1b[2Jments.txt .",
            StepState::Started,
        ),
        step(
            "builder",
            "b",
            "[builder 2/3] COPY require\x1b[2Jments.txt .",
            StepState::Done {
                duration: Duration::from_millis(340),
            },
        ),
        step(
            "builder",
            "c",
            "[builder 3/3] RUN pip install -r requirements.txt",
            StepState::Started,
        ),
        log("builder", "c", "Collecting \x1b[1mnumpy\x1b[0m\x07\r\n"),
        bytes_of("builder", "c", "numpy", 1_000, None),
        Event::Warning {
            target: Some("builder".to_owned()),
            message: "cache mounts are not warmed".to_owned(),
        },
        step(
            "builder",
            "c",
            "[builder 3/3] RUN pip install -r requirements.txt",
            StepState::Failed {
                error: "exit code: 1".to_owned(),
            },
        ),
        step("builder", "d", "exporting cache", StepState::Started),
        log("builder", "d", "preparing"),
        step("builder", "d", "exporting cache", StepState::Cancelled),
        Event::TargetDone {
            target: "builder".to_owned(),
        },
    ]
}

#[test]
fn the_look_follows_flags_terminals_and_variables() {
    let terminal = Surroundings {
        stdout_terminal: true,
        stderr_terminal: true,
        term: Some("xterm"),
        ..Default::default()
    };
    let table = [
        (terminal, Mode::Terminal { color: true }, true),
        (
            Surroundings {
                term: None,
                ..terminal
            },
            Mode::Terminal { color: true },
            true,
        ),
        (
            Surroundings {
                no_color: Some("1"),
                ..terminal
            },
            Mode::Terminal { color: false },
            false,
        ),
        (
            Surroundings {
                no_color: Some(""),
                ..terminal
            },
            Mode::Terminal { color: true },
            true,
        ),
        (
            Surroundings {
                term: Some("dumb"),
                ..terminal
            },
            Mode::Plain,
            false,
        ),
        (
            Surroundings {
                stderr_terminal: false,
                ..terminal
            },
            Mode::Plain,
            true,
        ),
        (
            Surroundings {
                stdout_terminal: false,
                ..terminal
            },
            Mode::Terminal { color: true },
            false,
        ),
        (
            Surroundings {
                json: true,
                ..terminal
            },
            Mode::Json,
            false,
        ),
        (Surroundings::default(), Mode::Plain, false),
    ];
    for (surroundings, mode, color_results) in table {
        assert_eq!(
            Look::choose(&surroundings),
            Look {
                mode,
                color_results
            },
            "{surroundings:?}"
        );
    }
}

#[test]
fn a_reader_that_went_away_is_no_error_and_a_full_disk_is() {
    for (kind, fails) in [
        (io::ErrorKind::BrokenPipe, false),
        (io::ErrorKind::StorageFull, true),
    ] {
        for mode in [Mode::Plain, Mode::Json, Mode::Terminal { color: true }] {
            let look = Look {
                mode,
                color_results: false,
            };
            let ui = Ui::new(
                look,
                Box::new(Broken(kind)),
                Box::new(Broken(kind)),
                Box::new(|| (16, 60)),
            );
            for event in a_build() {
                ui.event(&event);
            }
            ui.error(&Error::new(Kind::Work, "it failed"));
            assert_eq!(ui.result("text\n", &1).is_err(), fails, "{mode:?} {kind:?}");
        }
    }
}
