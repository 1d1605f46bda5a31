//! Waiting for what nobody announces.

use std::thread;
use std::time::{Duration, Instant};

/// Asks again and again until it is so, and returns how long that took.
#[track_caller]
pub(crate) fn until(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !is_so() {
        assert!(
            started.elapsed() < limit,
            "after {limit:?} still not: {what}"
        );
        thread::park_timeout(Duration::from_millis(5));
    }
    started.elapsed()
}
