//! Examines a machine: everything that a warm, the daemon and hooks stand on, each with what to do where it is not as it
//! should be.
//!
//! [`checks`] is the list; a new check is a function there. All run side by side, each for a limited time, so that what hangs
//! is one finding among others.

mod configuration;
mod daemon;
mod engine;
mod files;
mod inotify;
mod mounts;
mod programs;
mod registry;

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use serde::Serialize;

use crate::config::{CiBuildkit, RepositoryConfig, UserConfig};
use crate::error::{Error, Kind};
use crate::registry::Registry;
use crate::world::World;

/// How long one check may take.
const LIMIT: Duration = Duration::from_secs(10);

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// It works, but not well, or not for long.
    Warn,
    /// Something will not work.
    Fail,
    /// It cannot be told, or does not apply.
    Unknown,
}

/// What was found out about one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The thing.
    pub name: String,
    /// How it is.
    pub state: State,
    /// What was seen.
    pub seen: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// Whose a failure is: the configuration's ([`Kind::Usage`]) or the machine's.
    #[serde(skip)]
    pub kind: Kind,
}

impl Finding {
    fn new(name: &str, state: State, seen: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            state,
            seen: seen.into(),
            remedy: None,
            kind: Kind::Environment,
        }
    }

    /// All is well.
    pub fn ok(name: &str, seen: impl Into<String>) -> Self {
        Self::new(name, State::Ok, seen)
    }

    /// It could be better.
    pub fn warn(name: &str, seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into());
        Self {
            remedy,
            ..Self::new(name, State::Warn, seen)
        }
    }

    /// It does not work.
    pub fn fail(name: &str, seen: impl Into<String>, remedy: impl Into<String>) -> Self {
        let remedy = Some(remedy.into());
        Self {
            remedy,
            ..Self::new(name, State::Fail, seen)
        }
    }

    /// Nobody knows.
    pub fn unknown(name: &str, seen: impl Into<String>) -> Self {
        Self::new(name, State::Unknown, seen)
    }

    /// An error, with its causes and hints.
    #[must_use]
    pub fn error(name: &str, error: &Error) -> Self {
        Self {
            remedy: Some(error.hints.join("; ")).filter(|hints| !hints.is_empty()),
            kind: match error.kind {
                Kind::Usage => Kind::Usage,
                _ => Kind::Environment,
            },
            ..Self::new(name, State::Fail, error.to_string())
        }
    }
}

/// What is examined.
pub struct Subject {
    /// Environment and paths.
    pub world: World,
    /// The user's configuration; the defaults where it cannot be used.
    pub user: UserConfig,
    /// The root of the work tree, where there is one.
    pub work_dir: Option<PathBuf>,
    /// The repository's configuration, where there is one that can be used.
    pub repository: Option<RepositoryConfig>,
    /// A client that asks only once.
    registry: Registry,
}

impl Subject {
    /// The BuildKit that CI runs, as far as is known.
    fn ci(&self) -> CiBuildkit {
        let ci = self.repository.clone().unwrap_or_default().ci;
        ci.buildkit
    }
}

/// What a check finds, at some time.
type Found<'a> = Pin<Box<dyn Future<Output = Vec<Finding>> + Send + 'a>>;

/// A part of the examination.
#[derive(Clone, Copy)]
pub struct Check {
    /// What it looks at.
    pub name: &'static str,
    /// Looks at it.
    pub run: for<'a> fn(&'a Subject) -> Found<'a>,
}

/// All checks, in the order in which their findings are shown.
#[must_use]
pub fn checks() -> Vec<Check> {
    vec![
        Check {
            name: "engine",
            run: |subject| Box::pin(engine::examine(subject)),
        },
        Check {
            name: "registries",
            run: |subject| Box::pin(registry::examine(subject)),
        },
        Check {
            name: "git",
            run: |_| Box::pin(programs::git()),
        },
        Check {
            name: "daemon",
            run: |subject| Box::pin(daemon::daemon(subject)),
        },
        Check {
            name: "hooks",
            run: |subject| Box::pin(daemon::hooks(subject)),
        },
        Check {
            name: "service",
            run: |subject| Box::pin(programs::service(subject)),
        },
        Check {
            name: "inotify",
            run: |_| Box::pin(inotify::examine()),
        },
        Check {
            name: "files",
            run: |subject| Box::pin(files::examine(subject)),
        },
    ]
}

/// Examines the machine and the repository at `path`.
pub async fn examine(world: &World, path: &Path) -> Vec<Finding> {
    let (subject, mut findings) = configuration::read(world, path).await;
    let checks = checks();
    let together = checks.len();
    let found: Vec<Vec<Finding>> = stream::iter(checks)
        .map(|check| limited(check, &subject))
        .buffered(together)
        .collect()
        .await;
    findings.extend(found.into_iter().flatten());
    findings
}

async fn limited(check: Check, subject: &Subject) -> Vec<Finding> {
    match tokio::time::timeout(LIMIT, (check.run)(subject)).await {
        Ok(found) => found,
        Err(_) => vec![Finding::error(check.name, &too_slow())],
    }
}

/// Something hangs.
fn too_slow() -> Error {
    Error::new(
        Kind::Environment,
        format!("no answer within {} s", LIMIT.as_secs()),
    )
}

/// The exit code's kind; `None` when nothing fails. A wrong configuration comes first: what else fails may follow from it.
#[must_use]
pub fn verdict(findings: &[Finding]) -> Option<Kind> {
    let mut failed = findings
        .iter()
        .filter(|finding| finding.state == State::Fail)
        .map(|finding| finding.kind)
        .peekable();
    failed.peek()?;
    Some(if failed.any(|kind| kind == Kind::Usage) {
        Kind::Usage
    } else {
        Kind::Environment
    })
}

/// Does on another thread what may hang in the system.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        Error::new(
            Kind::Internal,
            format!("a check ended unexpectedly: {error}"),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_configuration_decides_the_exit_code() {
        let broken = Finding {
            kind: Kind::Usage,
            ..Finding::fail("a", "", "")
        };
        let environment = Finding::fail("b", "", "");
        let fine = [
            Finding::ok("c", ""),
            Finding::warn("d", "", ""),
            Finding::unknown("e", ""),
        ];
        assert_eq!(verdict(&fine), None);
        assert_eq!(
            verdict(std::slice::from_ref(&environment)),
            Some(Kind::Environment)
        );
        assert_eq!(verdict(&[environment, broken]), Some(Kind::Usage));
    }

    #[tokio::test(start_paused = true)]
    async fn what_hangs_is_a_finding() {
        let world = World::from_process().expect("tests have a home directory");
        let subject = Subject {
            registry: Registry::new(&std::collections::BTreeMap::new(), None, 0),
            world,
            user: UserConfig::default(),
            work_dir: None,
            repository: None,
        };
        let check = Check {
            name: "moon",
            run: |_| Box::pin(std::future::pending()),
        };
        let found = limited(check, &subject).await;
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].state, found[0].seen.as_str()),
            (State::Fail, "no answer within 10 s")
        );
    }
}
