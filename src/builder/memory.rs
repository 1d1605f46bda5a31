//! What is remembered of a BuildKit between runs, so that "already warm" needs no connection to it.

use serde::{Deserialize, Serialize};

use super::Identity;
use crate::record::{RecordError, Records};

/// An identity, and when it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// Who it was.
    pub identity: Identity,
    /// Milliseconds since 1970.
    pub at_ms: i64,
}

/// What is remembered under a choice's label.
#[must_use]
pub fn recall(records: &Records, label: &str) -> Option<Remembered> {
    let text = records.meta(&identity_fact(label)).ok()??;
    serde_json::from_str(&text).ok()
}

/// Remembers who was seen under a choice's label.
///
/// # Errors
/// When the history cannot be written.
///
/// # Panics
/// Never: an identity is strings.
pub fn remember(
    records: &Records,
    label: &str,
    remembered: &Remembered,
) -> Result<(), RecordError> {
    let text = serde_json::to_string(remembered).expect("strings and numbers are JSON");
    records.set_meta(&identity_fact(label), &text)
}

/// Forgets it: the next warm asks who is there.
///
/// # Errors
/// When the history cannot be written.
pub fn forget(records: &Records, label: &str) -> Result<(), RecordError> {
    records.set_meta(&identity_fact(label), "")
}

/// When the image behind a label was last looked up, in milliseconds since 1970.
#[must_use]
pub fn refreshed_ms(records: &Records, label: &str) -> Option<i64> {
    records.meta(&refresh_fact(label)).ok()??.parse().ok()
}

/// Remembers that the image behind a label was looked up.
///
/// # Errors
/// When the history cannot be written.
pub fn remember_refresh(records: &Records, label: &str, at_ms: i64) -> Result<(), RecordError> {
    records.set_meta(&refresh_fact(label), &at_ms.to_string())
}

fn identity_fact(label: &str) -> String {
    format!("builder identity {label}")
}

fn refresh_fact(label: &str) -> String {
    format!("builder refreshed {label}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_lasts_until_it_is_forgotten() {
        let records = Records::in_memory().expect("a database in memory");
        let identity = Identity {
            version: "v1".to_owned(),
            platform: "linux/amd64".to_owned(),
            doubt: None,
        };
        let seen = Remembered { identity, at_ms: 7 };
        assert_eq!(recall(&records, "engine"), None);
        remember(&records, "engine", &seen).expect("it is written");
        assert_eq!(recall(&records, "engine"), Some(seen));
        assert_eq!(recall(&records, "unix:///x"), None, "another BuildKit");
        forget(&records, "engine").expect("it is written");
        assert_eq!(recall(&records, "engine"), None);
        remember_refresh(&records, "engine", 9).expect("it is written");
        assert_eq!(refreshed_ms(&records, "engine"), Some(9));
    }
}
