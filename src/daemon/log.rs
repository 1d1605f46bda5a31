//! The daemon's log: to standard error where somebody reads that (a terminal, the journal), else to daily files.

use std::io::{self, IsTerminal as _};
use std::path::Path;

use tracing_appender::non_blocking::WorkerGuard;
use tracing_appender::rolling::{InitError, RollingFileAppender, Rotation};
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::time::SystemTime;

/// Daily files that are kept.
const FILES: usize = 7;

/// Where the log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Log {
    /// To standard error; the journal adds the time itself.
    Stderr {
        /// Whether lines begin with the time.
        time: bool,
    },
    /// To `prewarm.YYYY-MM-DD.log` in the log directory.
    Files,
}

impl Log {
    /// Begins to log. What it returns is kept until the end, so that the last lines are written.
    ///
    /// # Errors
    /// When the files cannot be made.
    pub(super) fn begin(self, directory: &Path) -> Result<Option<WorkerGuard>, InitError> {
        let layer = fmt()
            .with_target(false)
            .with_max_level(tracing::Level::INFO);
        match self {
            Self::Stderr { time } => {
                let color = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
                let layer = layer.with_writer(io::stderr).with_ansi(color);
                if time {
                    layer.with_timer(SystemTime).init();
                } else {
                    layer.without_time().init();
                }
                Ok(None)
            }
            Self::Files => {
                let files = RollingFileAppender::builder()
                    .rotation(Rotation::DAILY)
                    .filename_prefix("prewarm")
                    .filename_suffix("log")
                    .max_log_files(FILES)
                    .build(directory)?;
                let (writer, guard) = tracing_appender::non_blocking(files);
                layer.with_writer(writer).with_ansi(false).init();
                Ok(Some(guard))
            }
        }
    }
}
