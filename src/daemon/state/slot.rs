//! One view of a work tree: whether it is to be looked at, and what failed before.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Pauses between tries to build what failed in a step: it may have been the network. Then it waits for a change.
const STEP_PAUSES: [Duration; 3] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
];

/// The pause after something was missing, such as the Engine; then twice as long, and so on.
const SHORTEST: Duration = Duration::from_secs(2);

/// And so long at the most: what comes back is found within a minute.
const LONGEST: Duration = Duration::from_secs(60);

/// The pause after something moved while it was looked at.
const MOVED: Duration = Duration::from_millis(500);

/// One view.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// The newest snapshot is to be looked at.
    pub(super) wanted: bool,
    /// Only when there is room for a build.
    pub(super) blocked: bool,
    /// Not before this, because something was missing.
    pub(super) retry: Option<Retry>,
    /// What failed in a step, by target.
    failed: BTreeMap<String, Failed>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Retry {
    at: Instant,
    times: u32,
}

/// A build that failed.
#[derive(Clone, Debug)]
struct Failed {
    fingerprint: String,
    again: Again,
    times: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    At(Instant),
    Now,
    Never,
}

impl Slot {
    /// Something may have changed.
    pub(super) fn want(&mut self) {
        self.wanted = true;
        // Whether there is room is asked when there is something to build.
        self.blocked = false;
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.wanted && self.retry.is_none_or(|retry| now >= retry.at)
    }

    /// A job for it has started, which sees whatever changed until now.
    pub(super) fn started(&mut self) {
        self.wanted = false;
        self.blocked = false;
    }

    /// A build waits for room.
    pub(super) fn wait_for_room(&mut self) {
        self.blocked = !self.wanted;
        self.wanted = true;
    }

    /// Something was missing that may come back.
    pub(super) fn missing(&mut self, now: Instant) {
        let times = self.retry.map_or(0, |retry| retry.times);
        let pause = SHORTEST.saturating_mul(2_u32.saturating_pow(times));
        self.retry = Some(Retry {
            at: now + pause.min(LONGEST),
            times: (times + 1).min(16),
        });
        self.wanted = true;
    }

    /// It moved while it was looked at.
    pub(super) fn moved(&mut self, now: Instant) {
        self.retry = Some(Retry {
            at: now + MOVED,
            times: 0,
        });
        self.wanted = true;
    }

    /// Nothing was missing.
    pub(super) fn complete(&mut self) {
        self.retry = None;
    }

    /// Somebody wants to know.
    pub(super) fn try_again(&mut self) {
        self.retry = None;
        self.failed.clear();
    }

    /// A target failed in a step.
    pub(super) fn fail(&mut self, target: &str, fingerprint: &str, now: Instant) {
        let before = self.failed.get(target);
        let times = before
            .filter(|failed| failed.fingerprint == fingerprint)
            .map_or(0, |failed| failed.times);
        let again = match STEP_PAUSES.get(times) {
            Some(pause) => Again::At(now + *pause),
            None => Again::Never,
        };
        let failed = Failed {
            fingerprint: fingerprint.to_owned(),
            again,
            times: times + 1,
        };
        self.failed.insert(target.to_owned(), failed);
    }

    /// A target did not fail.
    pub(super) fn succeed(&mut self, target: &str) {
        self.failed.remove(target);
    }

    /// Whether exactly this failed, and is not to be tried again yet.
    pub(super) fn has_failed(&self, target: &str, fingerprint: &str) -> bool {
        let failed = self.failed.get(target);
        failed.is_some_and(|failed| failed.fingerprint == fingerprint && failed.again != Again::Now)
    }

    pub(super) fn pass_time(&mut self, now: Instant) {
        for failed in self.failed.values_mut() {
            if matches!(failed.again, Again::At(at) if now >= at) {
                failed.again = Again::Now;
                self.wanted = true;
            }
        }
    }

    /// When it is tried again.
    pub(super) fn next_try(&self) -> Option<Instant> {
        let retry = self.retry.filter(|_| self.wanted).map(|retry| retry.at);
        let again = self
            .failed
            .values()
            .filter_map(|failed| match failed.again {
                Again::At(at) => Some(at),
                Again::Now | Again::Never => None,
            });
        retry.into_iter().chain(again).min()
    }
}
