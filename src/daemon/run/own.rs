//! The daemon's own files: what hooks left, configuration, consent, and where it says how it is reached.

use std::path::Path;

use super::{Back, Daemon, settings};
use crate::config::load_user;
use crate::daemon::enroll::enrolled;
use crate::daemon::place::Discovery;
use crate::daemon::state::Event;
use crate::daemon::status::Problem;
use crate::daemon::{pushes, spool};
use crate::error::Error;

impl Daemon<'_> {
    pub(super) fn take_spool(&mut self) {
        match spool::take(&self.world.paths.spool()) {
            Ok((hints, failed)) => {
                self.spool_problem(failed);
                if !hints.is_empty() {
                    self.handle(Event::Hooked);
                }
                // A repository that was away, or a new work tree of one.
                if hints
                    .iter()
                    .any(|hint| !self.places.contains_key(&hint.work_dir))
                {
                    self.enroll();
                }
                for hint in hints {
                    if let Some(at) = hint.pushed_at {
                        self.pushed(&hint.work_dir, at);
                    }
                    self.handle(Event::Changed(hint.work_dir));
                }
            }
            Err(error) => self.spool_problem(Some(error)),
        }
    }

    fn spool_problem(&mut self, error: Option<std::io::Error>) {
        let Some(error) = error else {
            self.problems.remove("spool");
            return;
        };
        let spool = self.world.paths.shown(&self.world.paths.spool());
        let problem = Problem {
            message: format!("what git hooks leave cannot be taken: {error}"),
            remedy: Some(format!(
                "look at the permissions of {spool}; changes are seen all the same"
            )),
        };
        self.problems.insert("spool", problem);
    }

    /// Remembers a push, so that the history can tell by how much the cache was earlier.
    fn pushed(&self, tree: &Path, at: i64) {
        if self.places.contains_key(tree) {
            let database = self.world.paths.database();
            tokio::spawn(pushes::follow(database, tree.to_owned(), at));
        }
    }

    /// Reads configuration and consent again; why not, if the configuration is wrong.
    pub(super) fn reload(&mut self) -> Result<(), String> {
        let read = match load_user(&self.world.paths) {
            Ok(loaded) => {
                self.problems.remove("config");
                if loaded.value != self.user {
                    tracing::info!("has read the configuration again");
                    self.user = loaded.value;
                }
                self.handle(Event::Reloaded(settings(&self.user)));
                Ok(())
            }
            Err(error) => {
                let error = Error::from(error);
                tracing::error!("{error}; the old configuration stays in force");
                let problem = Problem {
                    message: format!("{error}; what was configured before stays in force"),
                    remedy: Some("`prewarm config check` shows all that is wrong".to_owned()),
                };
                let message = problem.message.clone();
                self.problems.insert("config", problem);
                Err(message)
            }
        };
        self.enroll();
        read
    }

    pub(super) fn enroll(&self) {
        let (consent, own) = (self.world.paths.consent(), self.own.clone());
        tokio::task::spawn_blocking(move || {
            // The daemon has ended otherwise.
            let _ = own.send(Back::Enrolled(enrolled(&consent)));
        });
    }

    /// Says where we are, unless it is said: others may have written over it, or the disk was full.
    pub(super) fn announce(&mut self) {
        let (path, ours) = (self.world.paths.discovery(), Discovery::ours(&self.socket));
        if Discovery::read(&path).as_ref() == Some(&ours) {
            self.problems.remove("discovery");
            return;
        }
        match ours.write(&path) {
            Ok(()) => drop(self.problems.remove("discovery")),
            Err(error) => {
                let path = self.world.paths.shown(&path);
                let problem = Problem {
                    message: format!("{path} cannot be written: {error}"),
                    remedy: Some("make room on the disk, and look at the permissions; it is tried again every minute".to_owned()),
                };
                self.problems.insert("discovery", problem);
            }
        }
    }
}
