//! When it is time, and by which rules.

use super::plan::{Goal, Policy};
use crate::config::{PruneSettings, UserConfig};

/// The least that a disk should have free, where it is large enough for that.
const LEAST: u64 = 20_000_000_000;

/// When pruning begins and ends, in bytes that are free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// It begins when less is free.
    pub start: u64,
    /// It ends when so much is free; always more than `start`, or each look would delete a little.
    pub until: u64,
}

impl Thresholds {
    /// Those of a disk of `total` bytes.
    #[must_use]
    pub fn of(settings: &PruneSettings, total: u64) -> Self {
        let usual = (total / 100 * 15).max(LEAST).min(total / 4);
        let free = settings.free.map(|free| free.of(total));
        let start = match (settings.start, free) {
            (Some(start), _) => start.of(total),
            (None, Some(free)) => usual.min(free / 4 * 3),
            (None, None) => usual,
        };
        // A third more, but of a disk that is to be nearly empty only what there is.
        let more = (start / 3).min(total.saturating_sub(start) / 2).max(1);
        let until = free
            .filter(|free| *free > start)
            .unwrap_or(start.saturating_add(more));
        Self { start, until }
    }
}

impl Policy {
    /// The rules of the user's configuration, for this goal.
    #[must_use]
    pub fn of(user: &UserConfig, goal: Goal) -> Self {
        let settings = &user.prune;
        Self {
            goal,
            floor: settings.floor,
            min_age: settings.keep_newer_than,
            images_min_age: settings.images_keep_newer_than,
            images: settings.images,
            cache_mounts: settings.cache_mounts,
            insist: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Amount;

    const GB: u64 = 1_000_000_000;

    #[test]
    fn thresholds_fit_the_disk() {
        use Amount::{Bytes, Percent};
        for (start, free, total, expected) in [
            // Twenty gigabytes, fifteen hundredths, a quarter of a small disk.
            (None, None, 100 * GB, (20 * GB, 26_666_666_666)),
            (None, None, 1_000 * GB, (150 * GB, 200 * GB)),
            (None, None, 40 * GB, (10 * GB, 13_333_333_333)),
            // Both are said.
            (
                Some(Percent(10)),
                Some(Percent(30)),
                100 * GB,
                (10 * GB, 30 * GB),
            ),
            (Some(Bytes(GB)), Some(Percent(30)), 100 * GB, (GB, 30 * GB)),
            // One is said, and the other follows.
            (Some(Percent(30)), None, 100 * GB, (30 * GB, 40 * GB)),
            (Some(Percent(90)), None, 100 * GB, (90 * GB, 95 * GB)),
            (None, Some(Percent(50)), 100 * GB, (20 * GB, 50 * GB)),
            (None, Some(Percent(8)), 100 * GB, (6 * GB, 8 * GB)),
            // What is said in different units may contradict itself.
            (
                Some(Bytes(30 * GB)),
                Some(Percent(20)),
                100 * GB,
                (30 * GB, 40 * GB),
            ),
            // Never.
            (Some(Percent(0)), None, 100 * GB, (0, 1)),
            (None, Some(Percent(0)), 100 * GB, (0, 1)),
            // More than there is, and a disk that is none.
            (
                Some(Bytes(200 * GB)),
                None,
                100 * GB,
                (200 * GB, 200 * GB + 1),
            ),
            (None, None, 0, (0, 1)),
        ] {
            let settings = PruneSettings {
                start,
                free,
                ..PruneSettings::default()
            };
            let thresholds = Thresholds::of(&settings, total);
            assert_eq!(
                (thresholds.start, thresholds.until),
                expected,
                "{start:?} {free:?} of {total}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn it_ends_above_where_it_begins(
            start in proptest::option::of(0..=u64::MAX - 1),
            free in proptest::option::of(0..=u64::MAX),
            total in 0..=u64::MAX,
        ) {
            let settings = PruneSettings {
                start: start.map(Amount::Bytes),
                free: free.map(Amount::Bytes),
                ..PruneSettings::default()
            };
            let thresholds = Thresholds::of(&settings, total);
            proptest::prop_assert!(thresholds.start < thresholds.until);
        }
    }
}
