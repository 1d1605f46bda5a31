//! Whether hooks are there, and whether git will run them.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::directory;
use super::files::Place;
use super::installation::{Installation, Way, friendly_name, of_event, section};
use super::plan::{self, Action, Configured};
use super::{Event, HooksError};
use crate::snapshot::SnapshotError;

/// How the hook of one event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is there as it should be, and git runs it.
    InForce,
    /// It is there, though not as it would be installed now.
    Outdated,
    /// It is there, and git does not run it.
    NotRun,
    /// It is not there.
    Missing,
    /// It is not there, and cannot be.
    LeftAlone,
}

/// The hook of one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EventStatus {
    /// The event.
    pub event: Event,
    /// How it is.
    pub state: State,
    /// Where it is: a file, or the section of git's configuration.
    pub at: Option<String>,
    /// Why it is not in force.
    pub reason: Option<String>,
}

impl EventStatus {
    fn new(event: Event, state: State) -> Self {
        Self {
            event,
            state,
            at: None,
            reason: None,
        }
    }

    fn at(mut self, at: impl Into<String>) -> Self {
        self.at = Some(at.into());
        self
    }

    fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }
}

impl Installation<'_> {
    /// Looks at every event.
    ///
    /// # Errors
    ///
    /// Git cannot be asked, or a hook cannot be read.
    pub fn status(&self) -> Result<Vec<EventStatus>, HooksError> {
        let way = self.way()?;
        let entries = self.git.configured()?;
        let files = match directory::find(self.repository, &self.git) {
            Err(error) if !error.is_refusal() => return Err(error),
            files => files,
        };
        let mut all = Vec::new();
        for event in Event::ALL {
            let found = of_event(&entries, event);
            all.push(match (way, &files) {
                (Way::Configuration, _) if found != Configured::default() => {
                    self.configured(event, &found)?
                }
                (_, Ok(directory)) => self.file(event, &directory.path)?,
                (Way::Configuration, Err(_)) => EventStatus::new(event, State::Missing),
                (Way::Files, Err(refusal)) => self
                    .elsewhere(event, None)?
                    .unwrap_or_else(|| EventStatus::new(event, State::LeftAlone))
                    .because(refusal.to_string()),
            });
        }
        Ok(all)
    }

    fn configured(&self, event: Event, found: &Configured) -> Result<EventStatus, HooksError> {
        let name = friendly_name(event);
        let at = |state| EventStatus::new(event, state).at(section(event));
        if !plan::configure(found, &self.shim(event)).is_empty() {
            return Ok(at(State::Outdated));
        }
        match self.git.runs(event.name()) {
            Ok(names) if names.contains(&name) => Ok(at(State::InForce)),
            Ok(_) => Ok(at(State::NotRun).because(format!(
                "`git hook list {}` does not have it: {}.enabled or hook.{}.enabled is false",
                event.name(),
                section(event),
                event.name()
            ))),
            // One hook that is configured by half, whoever's it is, and git runs none.
            Err(SnapshotError::GitFailed { message, .. }) => {
                Ok(at(State::NotRun).because(format!("git says: {message}")))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn file(&self, event: Event, directory: &Path) -> Result<EventStatus, HooksError> {
        let place = Place::new(directory, event);
        let found = place.look()?;
        let file = place.file().display().to_string();
        let at = |state| EventStatus::new(event, state).at(file.clone());
        let ours = plan::is_ours(&found.existing);
        Ok(match plan::install(&found, &self.shim(event)) {
            Action::Keep => at(State::InForce),
            Action::Leave(reason) if ours => {
                let state = match reason {
                    plan::Reason::SwitchedOff => State::NotRun,
                    _ => State::Outdated,
                };
                at(state).because(reason.text(&file))
            }
            Action::Leave(reason) => at(State::LeftAlone).because(reason.text(&file)),
            _ if ours && found.is_executable() => at(State::Outdated),
            _ if ours => at(State::NotRun).because(plan::Reason::SwitchedOff.text(&file)),
            _ => match self.elsewhere(event, Some(directory))? {
                Some(elsewhere) => {
                    elsewhere.because(format!("git looks in {}", directory.display()))
                }
                None => EventStatus::new(event, State::Missing),
            },
        })
    }

    /// A hook of ours in a directory where git does not look any more.
    fn elsewhere(
        &self,
        event: Event,
        looked_at: Option<&Path>,
    ) -> Result<Option<EventStatus>, HooksError> {
        let own: PathBuf = directory::own(self.repository);
        if looked_at == Some(&own) {
            return Ok(None);
        }
        let place = Place::new(&own, event);
        let ours = plan::is_ours(&place.look()?.existing);
        let at = place.file().display().to_string();
        Ok(ours.then(|| EventStatus::new(event, State::NotRun).at(at)))
    }
}
