//! What a service manager wants to hear: that we are ready, what we do, that we still do it, and that we end.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// The service manager, if there is one.
pub(super) struct Service {
    watchdog: Option<Interval>,
    said: String,
}

impl Service {
    /// Says that the daemon is ready.
    pub(super) fn begin() -> Self {
        tell(&[NotifyState::Ready]);
        let watchdog = sd_notify::watchdog_enabled().map(|limit| {
            // Twice in the time that it may take.
            let mut interval = interval((limit / 2).max(Duration::from_secs(1)));
            interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
            interval
        });
        Self {
            watchdog,
            said: String::new(),
        }
    }

    /// Ends when it is time to say again that we are there, and says so.
    pub(super) async fn watchdog(&mut self) {
        let Some(interval) = &mut self.watchdog else {
            return std::future::pending().await;
        };
        interval.tick().await;
        tell(&[NotifyState::Watchdog]);
    }

    /// Says what we do, if it is something else than before.
    pub(super) fn status(&mut self, status: &str) {
        if self.said != status {
            status.clone_into(&mut self.said);
            tell(&[NotifyState::Status(status)]);
        }
    }

    /// Says that the daemon ends.
    pub(super) fn end() {
        tell(&[NotifyState::Stopping]);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!("the service manager cannot be told: {error}");
    }
}
