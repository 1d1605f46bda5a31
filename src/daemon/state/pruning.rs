//! When to look whether the disk has room. One process at a time looks, and decides everything else by itself.

use std::time::{Duration, Instant};

use super::{Effect, State};

/// Looks are so far apart, unless a build has ended: to list a large cache is work.
const APART: Duration = Duration::from_secs(60);

/// So long after a build it is not looked at: who saves again and again waits for the builds, and BuildKit lists and deletes
/// under the lock that they need.
const CALM: Duration = Duration::from_secs(3);

/// One that takes longer is asked to end, which it does between two deletions; the next goes on from there.
const LONGEST_PRUNE: Duration = Duration::from_secs(60 * 60);

/// Looks at the disk.
#[derive(Debug, Default)]
pub(super) struct Pruning {
    wish: Wish,
    /// Since when one is at it.
    running: Option<Instant>,
    /// It was asked to stop.
    cancelled: bool,
    /// When the last one began, or ended if it has.
    last: Option<Instant>,
    /// The last one could not delete what should go, because something was in its way.
    waits: bool,
}

/// Whether somebody wants a look besides the regular ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Wish {
    #[default]
    None,
    /// A hook was run.
    Soon,
    /// A build has ended: there is less room, and nothing will be in the way then.
    At(Instant),
}

/// How a look at the disk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// It did all that it can.
    Done,
    /// Something was in its way that passes.
    Waits,
    /// It was stopped, or died.
    Died,
}

impl Pruning {
    /// A hook was run.
    pub(super) fn want(&mut self) {
        self.wish = self.wish.max(Wish::Soon);
    }

    /// A build has ended.
    pub(super) fn build_ended(&mut self, now: Instant) {
        self.wish = Wish::At(now + CALM);
    }

    pub(super) fn runs(&self) -> bool {
        self.running.is_some()
    }

    /// When the next look is due, where looks are taken `every` so often; none is while one goes on.
    fn due(&self, every: Duration, now: Instant) -> Option<Instant> {
        if self.runs() {
            return None;
        }
        Some(match (self.wish, self.last) {
            (_, None) => now,
            (Wish::At(at), Some(_)) => at,
            (Wish::Soon, Some(last)) => last + APART,
            (Wish::None, Some(last)) if self.waits => last + APART,
            (Wish::None, Some(last)) => last + every,
        })
    }

    /// When one that goes on has taken too long.
    fn hangs_at(&self) -> Option<Instant> {
        let running = self.running.filter(|_| !self.cancelled);
        running.map(|since| since + LONGEST_PRUNE)
    }

    /// Asks the one that goes on to stop.
    pub(super) fn cancel(&mut self, effects: &mut Vec<Effect>) {
        if self.runs() && !self.cancelled {
            self.cancelled = true;
            effects.push(Effect::StopPrune);
        }
    }
}

impl State {
    /// A look at the disk has ended.
    pub(super) fn looked(&mut self, looked: Looked, now: Instant) {
        let pruning = &mut self.pruning;
        if pruning.running.take().is_none() {
            return;
        }
        pruning.last = Some(now);
        pruning.waits = looked == Looked::Waits;
        if std::mem::take(&mut pruning.cancelled) {
            pruning.want();
        }
    }

    /// How often looks are taken; `None` while there are none.
    fn looks(&self) -> Option<Duration> {
        let halted = self.stop.is_some() || self.pause.is_some() || self.trees.is_empty();
        self.settings.prune.filter(|_| !halted)
    }

    /// When time alone changes something about the disk.
    pub(super) fn prune_deadline(&self, now: Instant) -> Option<Instant> {
        let due = self.looks().and_then(|every| self.pruning.due(every, now));
        due.or_else(|| self.pruning.hangs_at())
    }

    /// Starts a look where one is due, and ends one that nobody wants to go on.
    pub(super) fn prune(&mut self, now: Instant, effects: &mut Vec<Effect>) {
        let Some(every) = self.looks() else {
            return self.pruning.cancel(effects);
        };
        if self.pruning.hangs_at().is_some_and(|at| now >= at) {
            self.pruning.cancel(effects);
        }
        if self.pruning.due(every, now).is_some_and(|due| now >= due) {
            self.pruning.wish = Wish::None;
            self.pruning.running = Some(now);
            self.pruning.last = Some(now);
            effects.push(Effect::Prune);
        }
    }
}
