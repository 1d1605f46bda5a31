//! Errors as the person at the prompt sees them: what failed, why, and what to do next.
//!
//! Each module has its own error type; [`Remedy`] says which kind it is and what cures it. Kinds are by remedy,
//! not by origin, and each has one documented exit code.

use std::fmt;

/// What a failure asks of the user. The exit codes are part of the command line's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The work itself failed: a build step, for example. Exit code 1.
    Work,
    /// Wrong usage or configuration. Exit code 2.
    Usage,
    /// Something that we need is not reachable or not suitable: engine, registry, disk. Exit code 3.
    Environment,
    /// Built here, but the registry did not take it. Exit code 4.
    NotPushed,
    /// It would run what the user has not approved. Exit code 5.
    NeedsApproval,
    /// The repository changed while it was looked at: the same again in a moment may succeed. Exit code 75.
    Unsettled,
    /// Our own fault. Exit code 70.
    Internal,
    /// Ended by a signal. Exit code 128 + its number.
    Signal(u8),
}

impl Kind {
    /// The process exit code.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Work => 1,
            Self::Usage => 2,
            Self::Environment => 3,
            Self::NotPushed => 4,
            Self::NeedsApproval => 5,
            Self::Unsettled => 75,
            Self::Internal => 70,
            Self::Signal(number) => 128 + number,
        }
    }
}

/// How a module's error concerns the user.
pub trait Remedy: std::error::Error {
    /// The kind, which decides the exit code.
    fn kind(&self) -> Kind;

    /// What to do next, as a sentence in the imperative; `None` where the message already says it.
    fn hint(&self) -> Option<String> {
        None
    }
}

/// An error ready to be shown.
#[derive(Debug)]
pub struct Error {
    /// Decides the exit code.
    pub kind: Kind,
    /// What failed and where.
    pub message: String,
    /// The chain of causes, outermost first.
    pub causes: Vec<String>,
    /// What to do next.
    pub hints: Vec<String>,
}

impl Error {
    /// An error without causes.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            causes: Vec::new(),
            hints: Vec::new(),
        }
    }

    /// What failed, on one line.
    #[must_use]
    pub fn headline(&self) -> String {
        self.message.lines().next().unwrap_or_default().to_owned()
    }

    /// The same error with one more thing to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)?;
        for cause in &self.causes {
            write!(formatter, ": {cause}")?;
        }
        Ok(())
    }
}

impl<E: Remedy> From<E> for Error {
    fn from(error: E) -> Self {
        let mut causes = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        Self {
            kind: error.kind(),
            message: error.to_string(),
            causes,
            hints: error.hint().into_iter().collect(),
        }
    }
}
