//! A work tree: whether it is changing, and whether git is at it.

use std::time::{Duration, Instant};

use super::slot::Slot;
use super::{Busy, LONGEST, View};

/// After so long is looked again whether git has done with something brief; then after twice as long, and so on.
const SHORTEST: Duration = Duration::from_millis(200);

/// And after so long at the most.
const SLOWEST: Duration = Duration::from_secs(30);

/// A work tree.
#[derive(Debug)]
pub(super) struct Tree {
    change: Option<Change>,
    /// Somebody is out to see whether git is at it.
    probing: bool,
    busy: Option<Waiting>,
    head: Slot,
    worktree: Slot,
}

#[derive(Clone, Copy, Debug)]
struct Change {
    first: Instant,
    last: Instant,
    /// Nothing follows.
    complete: bool,
}

#[derive(Debug)]
struct Waiting {
    busy: Busy,
    /// When to look again; `None` if its end will be an event.
    next: Option<Instant>,
    /// How long to wait the next time.
    pause: Duration,
}

impl Tree {
    /// One of which nothing is known, and which is to be looked at.
    pub(super) fn new(now: Instant) -> Self {
        let mut tree = Self {
            change: None,
            probing: false,
            busy: None,
            head: Slot::default(),
            worktree: Slot::default(),
        };
        tree.complete(now);
        tree
    }

    pub(super) fn slot(&self, view: View) -> &Slot {
        match view {
            View::Head => &self.head,
            View::Worktree => &self.worktree,
        }
    }

    pub(super) fn slot_mut(&mut self, view: View) -> &mut Slot {
        match view {
            View::Head => &mut self.head,
            View::Worktree => &mut self.worktree,
        }
    }

    pub(super) fn slots_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        [&mut self.head, &mut self.worktree].into_iter()
    }

    /// Something changed, and more may follow.
    pub(super) fn change(&mut self, now: Instant) {
        let change = self.change.get_or_insert(Change {
            first: now,
            last: now,
            complete: false,
        });
        change.last = now;
        // Git goes on: what was seen may be another command's, and the last one may end without a word.
        if let Some(waiting) = &mut self.busy {
            waiting.pause = SHORTEST;
        }
    }

    /// Something may have changed, and nothing follows.
    pub(super) fn complete(&mut self, now: Instant) {
        self.change = Some(Change {
            first: now,
            last: now,
            complete: true,
        });
    }

    pub(super) fn changing(&self) -> bool {
        self.change.is_some()
    }

    pub(super) fn busy(&self) -> Option<&str> {
        self.busy.as_ref().map(|waiting| waiting.busy.what.as_str())
    }

    /// When something is to be done about it that is not yet.
    pub(super) fn deadline(&self, quiet: Duration, now: Instant) -> Option<Instant> {
        let slots = [&self.head, &self.worktree];
        let tries = slots.into_iter().filter_map(Slot::next_try);
        let probe = self.probe_at(quiet).into_iter();
        probe.chain(tries.filter(|at| *at > now)).min()
    }

    /// Whether to find out now if git is at it. Says so once.
    pub(super) fn take_probe(&mut self, quiet: Duration, now: Instant) -> bool {
        let due = self.probe_at(quiet).is_some_and(|at| now >= at);
        if due {
            self.probing = true;
            self.change = None;
            if let Some(waiting) = &mut self.busy {
                waiting.next = None;
            }
        }
        due
    }

    fn probe_at(&self, quiet: Duration) -> Option<Instant> {
        if self.probing {
            return None;
        }
        let settled = self.change.map(|change| {
            if change.complete {
                change.first
            } else {
                (change.last + quiet).min(change.first + LONGEST)
            }
        });
        let again = self.busy.as_ref().and_then(|waiting| waiting.next);
        settled.into_iter().chain(again).min()
    }

    /// Whether git is at it; true when not, and it is time to look at the views.
    pub(super) fn probed(&mut self, busy: Option<Busy>, now: Instant) -> bool {
        self.probing = false;
        let Some(busy) = busy else {
            self.busy = None;
            return true;
        };
        let pause = match &self.busy {
            Some(waiting) if waiting.busy == busy => waiting.pause,
            _ => SHORTEST,
        };
        let next = busy.brief.then(|| now + pause);
        let pause = (pause * 2).min(SLOWEST);
        self.busy = Some(Waiting { busy, next, pause });
        false
    }
}

#[cfg(test)]
impl Tree {
    /// Whether somebody is out to see whether git is at it.
    pub(super) fn is_probing(&self) -> bool {
        self.probing
    }
}
