//! What the command line asks of the daemon.

use std::path::Path;
use std::time::{Duration, Instant};

use super::Daemon;
use crate::daemon::server::Asked;
use crate::daemon::state::Event;
use crate::protocol::{Reply, Request};

/// A pause is not longer than a year.
const LONGEST_PAUSE: u64 = 365 * 24 * 60 * 60;

impl Daemon<'_> {
    pub(super) fn asked(&mut self, asked: Asked) {
        let reply = match asked.request {
            Request::Status | Request::Follow => Reply::Status(Box::new(self.status())),
            Request::Reload => match self.reload() {
                Ok(()) => Reply::Done,
                Err(message) => Reply::Refused { message },
            },
            Request::Pause { seconds } => {
                let until = seconds.map(|seconds| {
                    Instant::now() + Duration::from_secs(seconds.min(LONGEST_PAUSE))
                });
                tracing::info!("starts no more builds");
                self.handle(Event::Paused(until));
                Reply::Done
            }
            Request::Resume => {
                tracing::info!("starts builds again");
                self.handle(Event::Resumed);
                Reply::Done
            }
            Request::Stop { now } => {
                self.handle(Event::Stop);
                if now {
                    self.handle(Event::Stop);
                }
                Reply::Done
            }
            Request::Look { path } => self.look(&path),
        };
        // Whoever asked may have gone.
        let _ = asked.reply.send(reply);
    }

    fn look(&mut self, path: &Path) -> Reply {
        let tree = self
            .places
            .keys()
            .filter(|tree| path.starts_with(tree))
            .max_by_key(|tree| tree.as_os_str().len());
        let Some(tree) = tree.cloned() else {
            let message = format!("{} is in no work tree that is allowed", path.display());
            return Reply::Refused { message };
        };
        self.handle(Event::Wanted(tree));
        Reply::Done
    }
}
