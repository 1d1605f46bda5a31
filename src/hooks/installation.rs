//! Puts hooks into a repository and takes them out again.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::directory::{self, Directory};
use super::files::{self, Place};
use super::plan::{self, Action, Configured, Removal, Step};
use super::{Event, HooksError, Reason, Shim, spool};
use crate::config::UserConfig;
use crate::paths::Paths;
use crate::snapshot::{GitHooks, GitVersion, Repository};

/// One repository and what its hooks are to be.
pub struct Installation<'a> {
    pub(super) repository: &'a Repository,
    pub(super) git: GitHooks,
    user: &'a UserConfig,
    program: PathBuf,
    spool: PathBuf,
    daemon: PathBuf,
}

/// How hooks get to git.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Git's configuration names them.
    Configuration,
    /// As files in the hooks directory.
    Files,
}

/// What became of the hook of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// It is there now, in git's configuration or as a file.
    Installed,
    /// It is there now, as lines in somebody else's script.
    Added,
    /// It is there now, and runs the hook that was there before.
    Wrapped,
    /// It was there, and is now as it should be.
    Refreshed,
    /// It was there already.
    Already,
    /// It is gone, and what was there before is as it was.
    Removed,
    /// There was nothing.
    Nothing,
    /// Left as it is.
    Left(Reason),
}

/// What became of the hook of one event, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The event.
    pub event: Event,
    /// What became of it.
    pub done: Done,
    /// The file; `None` for git's configuration.
    pub file: Option<PathBuf>,
}

/// What an installation came to.
#[derive(Clone, Debug)]
pub struct Installed {
    /// Event by event.
    pub outcomes: Vec<Outcome>,
    /// Where the files are if another program may write them anew.
    pub managed: Option<PathBuf>,
}

impl<'a> Installation<'a> {
    /// For a repository.
    ///
    /// # Errors
    ///
    /// The path of our program cannot be told.
    pub fn new(
        repository: &'a Repository,
        user: &'a UserConfig,
        paths: &Paths,
    ) -> Result<Self, HooksError> {
        let program = std::env::current_exe().map_err(|source| HooksError::Program { source })?;
        Ok(Self {
            repository,
            git: GitHooks::of(repository),
            user,
            program,
            spool: paths.spool(),
            daemon: paths.discovery(),
        })
    }

    /// Installs or refreshes all hooks: each either as a whole or not at all.
    ///
    /// # Errors
    ///
    /// Git's hooks directory is not ours to write to, or something cannot be read or written.
    pub fn install(&self) -> Result<Installed, HooksError> {
        let directory = match self.way()? {
            Way::Files => Some(directory::find(self.repository, &self.git)?),
            Way::Configuration => None,
        };
        make_private(&self.spool)?;
        if let Some(directory) = directory {
            return self.install_files(directory);
        }
        let outcomes = self.configure()?;
        // Files of a time when git was older would say everything twice.
        for directory in self.directories() {
            for event in Event::ALL {
                remove_file(&directory, event)?;
            }
        }
        Ok(Installed {
            outcomes,
            managed: None,
        })
    }

    fn install_files(&self, directory: Directory) -> Result<Installed, HooksError> {
        let Directory { path, managed } = directory;
        fs::create_dir_all(&path).map_err(|source| HooksError::Directory {
            path: path.clone(),
            source,
        })?;
        let shared = self.git.origin("core.sharedRepository")?;
        let shared = shared.map(|shared| shared.value.to_string_lossy().into_owned());
        let mode = files::mode(shared.as_deref());
        let mut outcomes = Vec::new();
        for event in Event::ALL {
            let place = Place::new(&path, event);
            let action = plan::install(&place.look()?, &self.shim(event));
            place.install(&action, mode)?;
            let done = match action {
                Action::Keep => Done::Already,
                Action::Write(_) => Done::Installed,
                Action::Edit { again: true, .. } => Done::Refreshed,
                Action::Edit { again: false, .. } => Done::Added,
                Action::Wrap(_) => Done::Wrapped,
                Action::Leave(reason) => Done::Left(reason),
            };
            outcomes.push(Outcome {
                event,
                done,
                file: Some(place.file().to_owned()),
            });
        }
        Ok(Installed {
            outcomes,
            managed: managed.then_some(path),
        })
    }

    fn configure(&self) -> Result<Vec<Outcome>, HooksError> {
        let entries = self.git.configured()?;
        let mut outcomes = Vec::new();
        for event in Event::ALL {
            let found = of_event(&entries, event);
            let steps = plan::configure(&found, &self.shim(event));
            let section = section(event);
            for step in &steps {
                match step {
                    Step::Command(command) => {
                        self.git.set(&format!("{section}.command"), command)?;
                    }
                    Step::Event(event) => {
                        let name = event.name().as_bytes();
                        self.git.set(&format!("{section}.event"), name)?;
                    }
                }
            }
            let done = match (steps.is_empty(), found == Configured::default()) {
                (true, _) => Done::Already,
                (false, true) => Done::Installed,
                (false, false) => Done::Refreshed,
            };
            outcomes.push(Outcome {
                event,
                done,
                file: None,
            });
        }
        Ok(outcomes)
    }

    /// Takes out what carries our mark, in git's configuration and as files, whatever git is there now.
    ///
    /// # Errors
    ///
    /// Something cannot be read or written.
    pub fn uninstall(&self) -> Result<Vec<Outcome>, HooksError> {
        let entries = self.git.configured()?;
        let mut outcomes = Vec::new();
        for event in Event::ALL {
            let section = section(event);
            let above = format!("{section}.");
            if entries.iter().any(|(key, _)| key.starts_with(&above)) {
                self.git.remove_section(&section)?;
                outcomes.push(Outcome {
                    event,
                    done: Done::Removed,
                    file: None,
                });
            }
        }
        for directory in self.directories() {
            files::sweep(&directory)?;
            for event in Event::ALL {
                let (done, file) = remove_file(&directory, event)?;
                if done != Done::Nothing {
                    outcomes.push(Outcome {
                        event,
                        done,
                        file: Some(file),
                    });
                }
            }
        }
        Ok(outcomes)
    }

    /// The directory that hooks write to. Without it they run, and nobody hears of it.
    #[must_use]
    pub fn spool(&self) -> &Path {
        &self.spool
    }

    /// Where files of ours may be: where git looks now, and where it looks by itself.
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        let own = directory::own(self.repository);
        let now = directory::find(self.repository, &self.git);
        let now = now.ok().map(|directory| directory.path);
        let mut all = vec![own];
        all.extend(now);
        all.dedup();
        all
    }

    /// How hooks get to this git.
    pub(super) fn way(&self) -> Result<Way, HooksError> {
        Ok(way(self.git.version()?))
    }

    /// What the hook of an event is to be.
    pub(super) fn shim(&self, event: Event) -> Shim {
        let id = spool::repository_id(self.repository.common_dir());
        Shim {
            event,
            spool_file: self.spool.join(spool::file_name(&id, event)),
            program: self.program.clone(),
            daemon: self.user.prune.automatic.then(|| self.daemon.clone()),
            settings: self.user.hooks.clone(),
        }
    }
}

/// How hooks get to a git of this version.
#[must_use]
pub fn way(version: GitVersion) -> Way {
    if version >= GitVersion::CONFIGURED_HOOKS {
        Way::Configuration
    } else {
        Way::Files
    }
}

/// The section of git's configuration for one event.
pub(super) fn section(event: Event) -> String {
    format!("hook.{}", friendly_name(event))
}

/// The name that the hook of an event has in git's configuration.
pub(super) fn friendly_name(event: Event) -> String {
    format!("prewarm-{}", event.name())
}

/// What git's configuration says about our hook for an event.
pub(super) fn of_event(entries: &[(String, Vec<u8>)], event: Event) -> Configured {
    let section = section(event);
    let values = |name: &str| {
        let key = format!("{section}.{name}");
        let values = entries.iter().filter(|(found, _)| *found == key);
        values.map(|(_, value)| value.clone()).collect()
    };
    Configured {
        commands: values("command"),
        events: values("event"),
    }
}

fn remove_file(directory: &Path, event: Event) -> Result<(Done, PathBuf), HooksError> {
    let place = Place::new(directory, event);
    let removal = plan::uninstall(&place.look()?);
    place.uninstall(&removal)?;
    let done = match removal {
        Removal::Nothing => Done::Nothing,
        Removal::Leave(reason) => Done::Left(reason),
        _ => Done::Removed,
    };
    Ok((done, place.file().to_owned()))
}

/// Makes a directory that is nobody else's.
fn make_private(path: &Path) -> Result<(), HooksError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| HooksError::Directory {
            path: path.to_owned(),
            source,
        })
}
