//! Text as people read it: sizes, durations, times, and untrusted output made harmless.

use std::borrow::Cow;
use std::time::Duration;

use console::truncate_str;

/// One line of text without anything that could drive a terminal.
///
/// Escape sequences are dropped, line breaks and tabs become spaces, and every other control or text direction
/// character becomes U+FFFD.
#[must_use]
pub fn clean(text: &str) -> String {
    let mut cleaned = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\x1b' | '\u{9b}' => match skip_escape(character, rest.clone()) {
                Some(after) => rest = after,
                None => cleaned.push(char::REPLACEMENT_CHARACTER),
            },
            '\n' | '\t' => cleaned.push(' '),
            _ if is_unsafe(character) => cleaned.push(char::REPLACEMENT_CHARACTER),
            _ => cleaned.push(character),
        }
    }
    cleaned
}

/// A line of a build's log: as [`clean`], and of a line that overwrote itself with carriage returns only what it said
/// last.
#[must_use]
pub fn log_line(line: &str) -> String {
    let line = line.trim_end_matches(['\r', '\n']);
    clean(line.rsplit('\r').next().unwrap_or(line))
}

/// Whether a character can move the cursor, switch modes or reorder what is read.
#[must_use]
pub fn is_unsafe(character: char) -> bool {
    // The bidirectional controls of Unicode's UAX 9, and its line and paragraph separators.
    character.is_control()
        || matches!(
            character,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// What follows an escape sequence of ECMA-48 (CSI, OSC, or a short one); `None` when it is not a whole one.
fn skip_escape(introducer: char, mut rest: std::str::Chars<'_>) -> Option<std::str::Chars<'_>> {
    let kind = if introducer == '\u{9b}' {
        '['
    } else {
        rest.next()?
    };
    match kind {
        '[' => loop {
            match rest.next()? {
                '\x20'..='\x3f' => {}
                '\x40'..='\x7e' => return Some(rest),
                _ => return None,
            }
        },
        ']' => loop {
            match rest.next()? {
                '\x07' => return Some(rest),
                '\x1b' => return (rest.next()? == '\\').then_some(rest),
                _ => {}
            }
        },
        '\x20'..='\x2f' => loop {
            match rest.next()? {
                '\x20'..='\x2f' => {}
                '\x30'..='\x7e' => return Some(rest),
                _ => return None,
            }
        },
        '\x30'..='\x7e' => Some(rest),
        _ => None,
    }
}

/// The text in at most `width` columns, with an ellipsis where something is missing.
#[must_use]
pub fn fit(text: &str, width: usize) -> Cow<'_, str> {
    // `truncate_str` would give the ellipsis even that one column.
    if width == 0 {
        Cow::Borrowed("")
    } else {
        truncate_str(text, width, "…")
    }
}

/// A size in decimal units, as Docker and registries give it: `12.4 MB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    if count < 1_000 {
        return format!("{count} B");
    }
    let mut unit = 1_000;
    for name in ["kB", "MB", "GB", "TB"] {
        let tenths = (u128::from(count) * 10 + unit / 2) / unit;
        if tenths < 10_000 || name == "TB" {
            return format!("{}.{} {name}", tenths / 10, tenths % 10);
        }
        unit *= 1_000;
    }
    unreachable!("the last unit takes everything")
}

/// A duration with two or three digits that matter: `340 ms`, `12.3 s`, `1m 12s`, `2h 05m`.
#[must_use]
pub fn duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let tenths = (milliseconds + 50) / 100;
    let seconds = (milliseconds + 500) / 1_000;
    let minutes = (milliseconds + 30_000) / 60_000;
    if milliseconds < 1_000 {
        format!("{milliseconds} ms")
    } else if tenths < 600 {
        format!("{}.{} s", tenths / 10, tenths % 10)
    } else if seconds < 3_600 {
        format!("{}m {:02}s", seconds / 60, seconds % 60)
    } else {
        format!("{}h {:02}m", minutes / 60, minutes % 60)
    }
}

/// How long ago `then` was, both in Unix milliseconds; a time to come counts as now.
#[must_use]
pub fn ago(then: i64, now: i64) -> String {
    let seconds = now.saturating_sub(then).max(0) / 1_000;
    match seconds {
        0..60 => "just now".to_owned(),
        60..3_600 => format!("{} min ago", seconds / 60),
        3_600..86_400 => format!("{} h ago", seconds / 3_600),
        86_400..172_800 => "1 day ago".to_owned(),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escape_sequences_and_controls_are_harmless() {
        for (raw, expected) in [
            ("plain text, ünïcödé 日本", "plain text, ünïcödé 日本"),
            ("\x1b[1;31mred\x1b[0m", "red"),
            ("\u{9b}2Jcleared", "cleared"),
            ("\x1b]0;title\x07text", "text"),
            ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1bcreset", "reset"),
            ("\x1b(B\x1b[mnormal", "normal"),
            ("\x1b]0;never ended", "\u{fffd}]0;never ended"),
            ("cut\x1b[31", "cut\u{fffd}[31"),
            ("cut\x1b", "cut\u{fffd}"),
            (
                "bell\x07 back\x08 del\x7f c1\u{85}",
                "bell\u{fffd} back\u{fffd} del\u{fffd} c1\u{fffd}",
            ),
            ("RUN <<E\n\tone\nE", "RUN <<E  one E"),
            ("nimda\u{202e} admin", "nimda\u{fffd} admin"),
        ] {
            assert_eq!(clean(raw), expected, "{raw:?}");
        }
    }

    #[test]
    fn a_log_line_says_what_it_said_last() {
        for (raw, expected) in [
            ("10%\r50%\r100%\r\n", "100%"),
            ("10%\r100%", "100%"),
            ("plain\n", "plain"),
            ("\r", ""),
        ] {
            assert_eq!(log_line(raw), expected, "{raw:?}");
        }
    }

    #[test]
    fn sizes() {
        for (count, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.0 kB"),
            (12_449_999, "12.4 MB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (3_400_000_000, "3.4 GB"),
            (u64::MAX, "18446744.1 TB"),
        ] {
            assert_eq!(bytes(count), expected);
        }
    }

    #[test]
    fn durations() {
        for (milliseconds, expected) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (1_000, "1.0 s"),
            (12_340, "12.3 s"),
            (59_949, "59.9 s"),
            (59_950, "1m 00s"),
            (72_000, "1m 12s"),
            (3_599_499, "59m 59s"),
            (3_599_500, "1h 00m"),
            (7_500_000, "2h 05m"),
        ] {
            assert_eq!(duration(Duration::from_millis(milliseconds)), expected);
        }
    }

    #[test]
    fn times_ago() {
        for (seconds, expected) in [
            (-5, "just now"),
            (59, "just now"),
            (60, "1 min ago"),
            (3_599, "59 min ago"),
            (7_200, "2 h ago"),
            (86_400, "1 day ago"),
            (86_400 * 40, "40 days ago"),
        ] {
            assert_eq!(ago(1_000_000, 1_000_000 + seconds * 1_000), expected);
        }
    }

    proptest! {
        #[test]
        fn nothing_unsafe_survives(raw in any::<String>()) {
            prop_assert!(!clean(&raw).contains(is_unsafe));
            prop_assert!(!log_line(&raw).contains(is_unsafe));
        }

        #[test]
        fn escapes_among_text_do_not_survive(raw in "[\x1b\u{9b}\\[\\]\x07\\\\a;1m\r\n]{0,40}") {
            let cleaned = clean(&raw);
            prop_assert!(!cleaned.contains(is_unsafe));
            prop_assert_eq!(clean(&cleaned), cleaned.clone());
        }

        #[test]
        fn printable_text_stays(raw in "[ -~äöü]{0,80}") {
            prop_assert_eq!(clean(&raw), raw);
        }
    }
}
