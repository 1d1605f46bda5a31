//! Other programs: run with a time limit, without anybody to ask, and their words kept.

use std::ffi::OsStr;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Command;

use crate::error::{Kind, Remedy};

/// What a program said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error, trimmed.
    pub stderr: String,
}

/// Why there is no output, or none that counts.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It is not there, or cannot be executed.
    #[error("cannot run {program}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// It did not end in time.
    #[error("`{line}` did not end within {} s", limit.as_secs())]
    Slow {
        /// The command line.
        line: String,
        /// The time that it had.
        limit: Duration,
    },
    /// It ended with a failure.
    #[error("`{line}` failed: {said}")]
    Failed {
        /// The command line.
        line: String,
        /// Its own words, or else its exit status.
        said: String,
    },
}

impl Remedy for ProgramError {
    fn kind(&self) -> Kind {
        Kind::Environment
    }
}

impl ProgramError {
    /// Whether there is no such program.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Start { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Runs a program to its end, however it ends.
///
/// # Errors
/// When it cannot be started, or takes longer than `limit`; it is killed then.
pub async fn run(
    program: &str,
    arguments: &[impl AsRef<OsStr>],
    limit: Duration,
) -> Result<Output, ProgramError> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(limit, output).await {
        Err(_) => Err(ProgramError::Slow {
            line: line(program, arguments),
            limit,
        }),
        Ok(Err(source)) => Err(ProgramError::Start {
            program: program.to_owned(),
            source,
        }),
        Ok(Ok(output)) => Ok(Output {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        }),
    }
}

/// Runs a program to its success, and returns its standard output.
///
/// # Errors
/// Those of [`run`], and when it fails.
pub async fn success(
    program: &str,
    arguments: &[impl AsRef<OsStr>],
    limit: Duration,
) -> Result<String, ProgramError> {
    let output = run(program, arguments, limit).await?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = if output.stderr.is_empty() {
        output.status.to_string()
    } else {
        output.stderr
    };
    Err(ProgramError::Failed {
        line: line(program, arguments),
        said,
    })
}

fn line(program: &str, arguments: &[impl AsRef<OsStr>]) -> String {
    let words = arguments
        .iter()
        .map(|argument| argument.as_ref().to_string_lossy());
    std::iter::once(program.into())
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn failures_say_which_program_and_why() {
        let said = success("sh", &["-c", "echo words >&2; exit 3"], LONG)
            .await
            .expect_err("it fails");
        assert_eq!(
            said.to_string(),
            "`sh -c echo words >&2; exit 3` failed: words"
        );
        let silent = success("false", &[""; 0], LONG)
            .await
            .expect_err("it fails");
        assert_eq!(silent.to_string(), "`false` failed: exit status: 1");
        let absent = run("prewarm-no-such-program", &[""; 0], LONG)
            .await
            .expect_err("it is not there");
        assert!(absent.is_absent(), "{absent}");
        let slow = run("tail", &["-f", "/dev/null"], Duration::from_millis(50))
            .await
            .expect_err("it never ends");
        assert_eq!(
            slow.to_string(),
            "`tail -f /dev/null` did not end within 0 s"
        );
    }
}
