//! Where our files are: resolved once from the environment, then passed around as a value.
//!
//! The rules are those of the XDG Base Directory Specification 0.8. Nothing here touches the disk.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::{Kind, Remedy};

/// Where our files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// The user's home directory, absolute.
    pub home: PathBuf,
    /// The user's configuration file: `PREWARM_CONFIG`, else `$XDG_CONFIG_HOME/prewarm/config.toml`.
    pub config_file: PathBuf,
    /// Whether `PREWARM_CONFIG` named the file, so that its absence is a mistake.
    pub config_named: bool,
    /// Database, consent, logs: `PREWARM_STATE_DIR`, else `$XDG_STATE_HOME/prewarm`.
    pub state_dir: PathBuf,
    /// Sockets: `$XDG_RUNTIME_DIR/prewarm`, or `run` in the state directory where there is no such variable.
    pub runtime_dir: PathBuf,
}

/// Why our files have no place.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathsError {
    /// There is no home directory.
    #[error("HOME is not set")]
    NoHome,
    /// A variable that must hold an absolute path does not.
    #[error("{variable} is not an absolute path: {}", value.display())]
    Relative {
        /// The variable.
        variable: &'static str,
        /// What it holds.
        value: PathBuf,
    },
}

impl Remedy for PathsError {
    fn kind(&self) -> Kind {
        Kind::Usage
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoHome => "set HOME to your home directory".to_owned(),
            Self::Relative { variable, .. } => {
                format!("set {variable} to a path that begins with `/`")
            }
        })
    }
}

impl Paths {
    /// Resolves all paths from an environment, given as a function from a variable's name to its value.
    ///
    /// Empty variables count as unset, and so do relative `XDG_*` values, as their specification asks.
    ///
    /// # Errors
    ///
    /// When `HOME` is missing or relative, or `PREWARM_STATE_DIR` is relative: processes that run in different
    /// directories must agree about it. `PREWARM_CONFIG` may be relative to the current directory.
    pub fn from_env(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, PathsError> {
        let get = |name: &str| {
            variable(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let xdg = |name: &str| get(name).filter(|path| path.is_absolute());

        let home = absolute("HOME", get("HOME").ok_or(PathsError::NoHome)?)?;
        let named = get("PREWARM_CONFIG");
        let config_named = named.is_some();
        let config_file = named.unwrap_or_else(|| {
            let base = xdg("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
            base.join("prewarm/config.toml")
        });
        let state_dir = match get("PREWARM_STATE_DIR") {
            Some(path) => absolute("PREWARM_STATE_DIR", path)?,
            None => xdg("XDG_STATE_HOME")
                .unwrap_or_else(|| home.join(".local/state"))
                .join("prewarm"),
        };
        let runtime_dir = match xdg("XDG_RUNTIME_DIR") {
            Some(base) => base.join("prewarm"),
            None => state_dir.join("run"),
        };
        Ok(Self {
            home,
            config_file,
            config_named,
            state_dir,
            runtime_dir,
        })
    }

    /// The database file.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.state_dir.join("prewarm.db")
    }

    /// What the user has allowed, per repository.
    #[must_use]
    pub fn consent(&self) -> PathBuf {
        self.state_dir.join("consent.json")
    }

    /// What the user pinned.
    #[must_use]
    pub fn pins(&self) -> PathBuf {
        self.state_dir.join("pins.json")
    }

    /// Where hooks leave word.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.state_dir.join("spool")
    }

    /// Locked by the daemon as long as it lives.
    #[must_use]
    pub fn daemon_lock(&self) -> PathBuf {
        self.state_dir.join("daemon.lock")
    }

    /// Where the daemon says how it is reached.
    #[must_use]
    pub fn discovery(&self) -> PathBuf {
        self.state_dir.join("daemon.json")
    }

    /// One file per build that runs, locked by whoever does it.
    #[must_use]
    pub fn builds(&self) -> PathBuf {
        self.state_dir.join("builds")
    }

    /// Held by whoever prunes.
    #[must_use]
    pub fn prune_lock(&self) -> PathBuf {
        self.state_dir.join("prune.lock")
    }

    /// The plan that was shown last.
    #[must_use]
    pub fn prune_plan(&self) -> PathBuf {
        self.state_dir.join("prune-plan.json")
    }

    /// Log files of a daemon that runs outside of a service manager.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.state_dir.join("logs")
    }

    /// A path as people read it: with `~` for the home directory.
    #[must_use]
    pub fn shown(&self, path: &Path) -> String {
        match path.strip_prefix(&self.home) {
            Ok(rest) if !rest.as_os_str().is_empty() => format!("~/{}", rest.display()),
            _ => path.display().to_string(),
        }
    }

    /// A path as a configuration file writes it, made absolute: `~/…` is in the home directory, anything relative
    /// is in `base`.
    #[must_use]
    pub fn resolve(&self, written: &Path, base: &Path) -> PathBuf {
        match written.strip_prefix("~") {
            Ok(rest) => self.home.join(rest),
            Err(_) => base.join(written),
        }
    }
}

fn absolute(variable: &'static str, value: PathBuf) -> Result<PathBuf, PathsError> {
    if value.is_absolute() {
        Ok(value)
    } else {
        Err(PathsError::Relative { variable, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Environment<'e> = &'e [(&'e str, &'e str)];

    fn paths(environment: Environment<'_>) -> Result<Paths, PathsError> {
        Paths::from_env(&|name| {
            environment
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn follow_the_specification() {
        let home = ("HOME", "/home/ada");
        let cases: [(Environment<'_>, [&str; 3]); 5] = [
            (
                &[home],
                [
                    "/home/ada/.config/prewarm/config.toml",
                    "/home/ada/.local/state/prewarm",
                    "/home/ada/.local/state/prewarm/run",
                ],
            ),
            (
                &[
                    home,
                    ("XDG_CONFIG_HOME", "/c"),
                    ("XDG_STATE_HOME", "/s"),
                    ("XDG_RUNTIME_DIR", "/r"),
                ],
                ["/c/prewarm/config.toml", "/s/prewarm", "/r/prewarm"],
            ),
            (
                &[
                    home,
                    ("XDG_CONFIG_HOME", "c"),
                    ("XDG_STATE_HOME", ""),
                    ("XDG_RUNTIME_DIR", "./r"),
                ],
                [
                    "/home/ada/.config/prewarm/config.toml",
                    "/home/ada/.local/state/prewarm",
                    "/home/ada/.local/state/prewarm/run",
                ],
            ),
            (
                &[
                    home,
                    ("PREWARM_CONFIG", "/x/my.toml"),
                    ("PREWARM_STATE_DIR", "/x/state"),
                    ("XDG_STATE_HOME", "/s"),
                ],
                ["/x/my.toml", "/x/state", "/x/state/run"],
            ),
            (
                &[
                    home,
                    ("PREWARM_CONFIG", "my.toml"),
                    ("PREWARM_STATE_DIR", ""),
                ],
                [
                    "my.toml",
                    "/home/ada/.local/state/prewarm",
                    "/home/ada/.local/state/prewarm/run",
                ],
            ),
        ];
        for (environment, expected) in cases {
            let found = paths(environment).expect("a good environment");
            assert_eq!(
                [found.config_file, found.state_dir, found.runtime_dir],
                expected.map(PathBuf::from)
            );
        }
    }

    #[test]
    fn the_database_is_in_the_state_directory() {
        let found =
            paths(&[("HOME", "/h"), ("PREWARM_STATE_DIR", "/x")]).expect("a good environment");
        assert_eq!(found.database(), Path::new("/x/prewarm.db"));
        assert!(!found.config_named);
        assert!(
            paths(&[("HOME", "/h"), ("PREWARM_CONFIG", "/x")])
                .expect("a good environment")
                .config_named
        );
    }

    #[test]
    fn a_missing_or_relative_home_is_an_error() {
        assert_eq!(paths(&[]), Err(PathsError::NoHome));
        assert_eq!(paths(&[("HOME", "")]), Err(PathsError::NoHome));
        for (variable, environment) in [
            ("HOME", vec![("HOME", "x")]),
            (
                "PREWARM_STATE_DIR",
                vec![("HOME", "/h"), ("PREWARM_STATE_DIR", "x")],
            ),
        ] {
            let error = paths(&environment).expect_err("a relative path");
            assert_eq!(
                error.to_string(),
                format!("{variable} is not an absolute path: x")
            );
        }
    }

    #[test]
    fn written_and_shown_paths_know_the_home_directory() {
        let paths = paths(&[("HOME", "/home/ada")]).expect("a good environment");
        let base = Path::new("/etc/prewarm");
        for (written, expected) in [
            ("~/certs/ca.pem", "/home/ada/certs/ca.pem"),
            ("ca.pem", "/etc/prewarm/ca.pem"),
            ("/ca.pem", "/ca.pem"),
        ] {
            assert_eq!(paths.resolve(Path::new(written), base), Path::new(expected));
        }
        for (path, expected) in [
            ("/home/ada/a", "~/a"),
            ("/home/adam", "/home/adam"),
            ("/home/ada", "/home/ada"),
        ] {
            assert_eq!(paths.shown(Path::new(path)), expected);
        }
    }
}
