//! When to ask a registry again, and how long to wait before. Pure: the clock and the dice are the caller's.

use std::time::{Duration, SystemTime};

/// The first pause is at most this long; each later one may be twice as long.
const BASE: Duration = Duration::from_millis(200);

/// No pause of our own choice is longer.
const CAP: Duration = Duration::from_secs(8);

/// A registry may ask for a longer pause, but a person is waiting.
const RETRY_AFTER_CAP: Duration = Duration::from_secs(60);

/// How a try ended, as far as trying again is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The registry answered.
    Answered {
        /// The HTTP status.
        status: u16,
        /// The pause that it asked for.
        retry_after: Option<Duration>,
    },
    /// Refused, reset, timed out: no whole answer came.
    Broken,
    /// Trying again changes nothing.
    Final,
}

/// Whether a status says "later" and not "no".
pub(super) fn is_transient(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..)
}

/// The pause before the next try, or `None` to give up. `attempt` counts from 0, at most `retries` tries follow the first,
/// `random` is in `[0, 1)`. Exponential backoff with full jitter, so that a team's machines do not come back all at once.
pub(super) fn next(retries: u32, attempt: u32, outcome: Outcome, random: f64) -> Option<Duration> {
    let asked = match outcome {
        Outcome::Broken => None,
        Outcome::Answered {
            status,
            retry_after,
        } if is_transient(status) => retry_after.filter(|_| matches!(status, 429 | 503)),
        Outcome::Answered { .. } | Outcome::Final => return None,
    };
    if attempt >= retries {
        return None;
    }
    let backoff = BASE
        .saturating_mul(1 << attempt.min(16))
        .min(CAP)
        .mul_f64(random);
    Some(asked.map_or(backoff, |asked| asked.min(RETRY_AFTER_CAP)))
}

/// Reads a `Retry-After` header: seconds or an HTTP date (RFC 9110, section 10.2.3). A date in the past means now.
pub(super) fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(header).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16) -> Outcome {
        Outcome::Answered {
            status,
            retry_after: None,
        }
    }

    fn asked(status: u16, seconds: u64) -> Outcome {
        Outcome::Answered {
            status,
            retry_after: Some(Duration::from_secs(seconds)),
        }
    }

    #[test]
    fn what_is_tried_again_and_when() {
        let milliseconds = |count| Some(Duration::from_millis(count));
        let table = [
            // attempt, outcome, random, pause
            (0, Outcome::Broken, 0.5, milliseconds(100)),
            (1, Outcome::Broken, 0.5, milliseconds(200)),
            (2, Outcome::Broken, 0.5, milliseconds(400)),
            (5, Outcome::Broken, 0.5, milliseconds(3_200)),
            (6, Outcome::Broken, 0.5, milliseconds(4_000)),
            (8, Outcome::Broken, 0.5, milliseconds(4_000)),
            (9, Outcome::Broken, 0.5, None),
            (0, Outcome::Broken, 0.0, milliseconds(0)),
            (0, Outcome::Final, 0.5, None),
            (0, status(408), 0.5, milliseconds(100)),
            (0, status(429), 0.5, milliseconds(100)),
            (0, status(500), 0.5, milliseconds(100)),
            (0, status(502), 0.5, milliseconds(100)),
            (0, status(503), 0.5, milliseconds(100)),
            (0, status(200), 0.5, None),
            (0, status(307), 0.5, None),
            (0, status(400), 0.5, None),
            (0, status(401), 0.5, None),
            (0, status(403), 0.5, None),
            (0, status(404), 0.5, None),
            (0, asked(429, 3), 0.5, milliseconds(3_000)),
            (0, asked(503, 0), 0.5, milliseconds(0)),
            (0, asked(429, 3_600), 0.5, milliseconds(60_000)),
            (0, asked(500, 3), 0.5, milliseconds(100)),
            (9, asked(429, 3), 0.5, None),
        ];
        for (attempt, outcome, random, expected) in table {
            assert_eq!(
                next(9, attempt, outcome, random),
                expected,
                "attempt {attempt}, {outcome:?}"
            );
        }
    }

    #[test]
    fn no_retries_means_one_try() {
        assert_eq!(next(0, 0, Outcome::Broken, 0.5), None);
    }

    #[test]
    fn any_number_of_attempts_is_safe() {
        assert_eq!(
            next(u32::MAX, u32::MAX - 1, Outcome::Broken, 1.0),
            Some(CAP)
        );
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Wed, 21 Oct 2026 07:28:00 GMT").expect("a date");
        let table = [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Wed, 21 Oct 2026 07:28:30 GMT", Some(30)),
            ("Wed, 21 Oct 2026 07:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ];
        for (header, seconds) in table {
            assert_eq!(
                retry_after(header, now),
                seconds.map(Duration::from_secs),
                "{header:?}"
            );
        }
    }
}
