//! Ctrl-C and friends: the first asks to stop, the second ends the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind};

/// Listens for signals.
pub(super) struct Signals {
    received: Arc<AtomicU8>,
}

impl Signals {
    /// From now on a first signal cancels `stop`.
    pub(super) fn listen(stop: &CancellationToken) -> Result<Self, Error> {
        let failed = |error: std::io::Error| {
            Error::new(
                Kind::Environment,
                format!("signals cannot be received: {error}"),
            )
        };
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            // In this order: the first signal finds the flag down.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&asked))
                .map_err(failed)?;
            flag::register(signal, Arc::clone(&asked)).map_err(failed)?;
        }
        let mut signals =
            signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM]).map_err(failed)?;
        let received = Arc::new(AtomicU8::new(0));
        let (stop, first) = (stop.clone(), Arc::clone(&received));
        std::thread::spawn(move || {
            for signal in signals.forever() {
                first.store(u8::try_from(signal).unwrap_or(0), Ordering::Relaxed);
                stop.cancel();
            }
        });
        Ok(Self { received })
    }

    /// The signal that asked to stop.
    pub(super) fn received(&self) -> Option<u8> {
        Some(self.received.load(Ordering::Relaxed)).filter(|&signal| signal != 0)
    }
}
