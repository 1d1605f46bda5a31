//! Takes out of a text what differs from run to run.

use std::sync::LazyLock;

use regex::Regex;

static PATTERNS: LazyLock<[(Regex, &str); 7]> = LazyLock::new(|| {
    [
        (r"sha256:[0-9a-f]{64}", "[DIGEST]"),
        (r"-(k|i|s)-[0-9a-f]{24}", "-$1-[KEY]"),
        (r"\b[0-9a-f]{40}\b", "[COMMIT]"),
        (r"\bcommit [0-9a-f]{7}\b", "commit [COMMIT]"),
        (r"\b\d+(\.\d+)? ?(ms|s)\b", "[TIME]"),
        (r"\b\d+(\.\d+)? [kM]?B\b", "[SIZE]"),
        (r"\blinux/(amd64|arm64)\b", "[PLATFORM]"),
    ]
    .map(|(pattern, shown)| {
        (
            Regex::new(pattern).expect("a constant pattern is valid"),
            shown,
        )
    })
});

/// Fixed texts to replace, besides digests, keys, commits, durations, sizes and this machine's platform.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redactions(Vec<(String, &'static str)>);

impl Redactions {
    pub(crate) fn add(&mut self, text: &str, shown: &'static str) {
        self.0.push((text.to_owned(), shown));
    }

    pub(crate) fn apply(&self, text: &str) -> String {
        let mut text = text.to_owned();
        // The longest first: one may be the beginning of another.
        let mut fixed: Vec<_> = self.0.iter().collect();
        fixed.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        for (from, shown) in fixed {
            text = text.replace(from, shown);
        }
        for (pattern, shown) in PATTERNS.iter() {
            text = pattern.replace_all(&text, *shown).into_owned();
        }
        text
    }
}
