//! The world outside, read once at the edge and passed in: environment, paths, clock.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::paths::{Paths, PathsError};

/// Environment, paths and clock.
#[derive(Clone, Debug)]
pub struct World {
    environment: BTreeMap<OsString, OsString>,
    /// Where our files are.
    pub paths: Paths,
}

impl World {
    /// Takes the process's environment.
    ///
    /// # Errors
    /// Those of [`Paths::from_env`].
    pub fn from_process() -> Result<Self, PathsError> {
        let environment: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        let paths = Paths::from_env(&|name| environment.get(std::ffi::OsStr::new(name)).cloned())?;
        Ok(Self { environment, paths })
    }

    /// A variable's value; an empty one counts as unset.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<OsString> {
        self.environment
            .get(std::ffi::OsStr::new(name))
            .filter(|value| !value.is_empty())
            .cloned()
    }

    /// Where docker keeps its configuration and logins: `DOCKER_CONFIG`, else `~/.docker`.
    #[must_use]
    pub fn docker_config(&self) -> PathBuf {
        self.variable("DOCKER_CONFIG")
            .map_or_else(|| self.paths.home.join(".docker"), PathBuf::from)
    }

    /// Milliseconds since 1970. A clock before that reads as 0.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}
