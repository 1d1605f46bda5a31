//! Looks at the disk: started, and what came of them.

use std::path::Path;
use std::time::UNIX_EPOCH;

use super::{Back, Daemon};
use crate::daemon::prunes;
use crate::daemon::state::{Event, Looked};
use crate::prune::checked::{Checked, State};
use crate::prune::policy::Thresholds;
use crate::prune::space;
use crate::record::Records;
use crate::ui::text::{bytes, clean};

/// How long what a look has listed is good enough, as long as the disk has room. To list takes a process.
const LISTED_MS: i64 = 60 * 60 * 1000;

impl Daemon<'_> {
    /// Looks up what the last look came to, so that the status has it before the next.
    pub(super) fn remember(&self) {
        let (database, own) = (self.world.paths.database(), self.own.clone());
        let now = self.world.now_ms() / 1000;
        tokio::task::spawn_blocking(move || {
            // There is none before the first warm, and what is wrong with it is told by whoever needs it.
            let opened = database
                .exists()
                .then(|| Records::open(&database, now).ok())
                .flatten();
            let newest = opened.and_then(|(records, _)| Checked::newest(&records).ok());
            if let Some(checked) = newest.flatten() {
                // The daemon has ended otherwise.
                let _ = own.send(Back::Remembered(checked));
            }
        });
    }

    pub(super) fn start_prune(&mut self) {
        if let Some(checked) = self.has_room() {
            // As any other end, and not while this one is being started.
            let _ = self.own.send(Back::Looked(Some(checked)));
            return;
        }
        let own = self.own.clone();
        let ended = move |checked| {
            // The daemon has ended otherwise.
            let _ = own.send(Back::Looked(checked));
        };
        match prunes::start(&self.launcher.program, ended) {
            Ok(running) => self.prune = Some(running),
            Err(error) => {
                tracing::warn!("the disk cannot be looked at: {error}");
                // As any other end, and not while this one is being started.
                let _ = self.own.send(Back::Looked(None));
            }
        }
    }

    /// When anybody last pruned, in Unix milliseconds.
    fn pruned_at(&self) -> Option<i64> {
        let lock = std::fs::metadata(self.world.paths.prune_lock()).ok()?;
        let since = lock.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since.as_millis()).ok()
    }

    /// What the last look came to, where it still holds: the disk itself tells that it has room.
    fn has_room(&self) -> Option<Checked> {
        let last = self.checked.as_ref()?;
        let disk = space::at(Path::new(&last.disk.as_ref()?.path)).ok()?;
        let settings = &self.user.prune;
        let age = self.world.now_ms() - last.at;
        let pruned = self.pruned_at().is_some_and(|at| at > last.at);
        let holds = matches!(last.state, State::Enough | State::Pruned)
            && settings.max_cache.is_none()
            && !pruned
            && (0..LISTED_MS).contains(&age)
            && disk.free >= Thresholds::of(settings, disk.total).start;
        holds.then(|| Checked {
            state: State::Enough,
            ..last.clone()
        })
    }

    pub(super) fn looked(&mut self, checked: Option<Checked>) {
        self.prune = None;
        let looked = match &checked {
            None => Looked::Died,
            Some(checked) if checked.state == State::Waiting => Looked::Waits,
            Some(_) => Looked::Done,
        };
        if let Some(checked) = checked {
            self.tell_disk(&checked);
            self.checked = Some(checked);
        }
        self.handle(Event::Looked(looked));
    }

    /// Tells the log what is otherwise than before.
    fn tell_disk(&self, checked: &Checked) {
        let known = self.checked.as_ref();
        let reason = checked.reason.as_deref();
        let because = reason.map_or(String::new(), |reason| format!(": {}", clean(reason)));
        let new = known.map(|known| (known.state, &known.reason))
            != Some((checked.state, &checked.reason));
        match (checked.state, &checked.last) {
            (State::Pruned, Some(last)) => {
                let freed = bytes(last.reported);
                tracing::info!("pruned {} records and images, {freed}", last.items);
            }
            (State::Short, _) if new => {
                tracing::warn!("the disk is short of space, and nothing more may go{because}");
            }
            (State::Failed, _) if new => tracing::warn!("pruning failed{because}"),
            (State::Waiting, _) if new => tracing::info!("pruning waits{because}"),
            _ => {}
        }
    }
}
