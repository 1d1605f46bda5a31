//! Durations and sizes as people write them: `15m`, `4GiB`.

use std::time::Duration;

/// Milliseconds per unit, largest first.
const DURATIONS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Bytes per unit: powers of 1024 are written with an `i`, powers of 1000 without.
const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

/// Ten years. Longer is a slip of the finger, and adding it to a clock could overflow.
const LONGEST: u64 = 3650 * 86_400_000;

/// Reads a whole number and one of `ms`, `s`, `m`, `h`, `d`, as in `90s`.
///
/// # Errors
///
/// The message completes "`key`: …".
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("\"{text}\" is not a duration: write a whole number and ms, s, m, h or d");
    let (number, unit) = split(text);
    let (_, scale) = DURATIONS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match number.checked_mul(*scale) {
        Some(milliseconds) if milliseconds <= LONGEST => Ok(Duration::from_millis(milliseconds)),
        _ => Err(format!("\"{text}\" is longer than ten years")),
    }
}

/// Writes a duration so that [`parse_duration`] reads the same, to the millisecond.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    match DURATIONS
        .iter()
        .find(|(_, scale)| milliseconds > 0 && milliseconds.is_multiple_of(*scale))
    {
        Some((unit, scale)) => format!("{}{unit}", milliseconds / scale),
        None => "0s".to_owned(),
    }
}

/// Reads a whole number and one of `B`, `kB`, `MB`, `GB`, `TB` (powers of 1000), `KiB`, `MiB`, `GiB`, `TiB`
/// (powers of 1024), as in `4GiB`. Upper and lower case mean the same.
///
/// # Errors
///
/// The message completes "`key`: …".
pub fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || {
        format!(
            "\"{text}\" is not a size: write a whole number and MB, GB (of 1000) or MiB, GiB (of 1024)"
        )
    };
    let (number, unit) = match split(text) {
        // Nothing is nothing in any unit.
        ("0", "") => ("0", "B"),
        parts => parts,
    };
    let (_, scale) = SIZES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))
        .ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number
        .checked_mul(*scale)
        .ok_or_else(|| format!("\"{text}\" is more than any machine has"))
}

/// Writes a size so that [`parse_size`] reads the same, in the unit that needs the fewest digits.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    let exact = SIZES
        .iter()
        .filter(|(_, scale)| bytes.is_multiple_of(*scale));
    match exact.max_by_key(|(_, scale)| *scale) {
        Some((unit, scale)) if bytes > 0 => format!("{}{unit}", bytes / scale),
        _ => "0B".to_owned(),
    }
}

/// The leading digits, and what follows them and optional blanks.
fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        let cases = [
            ("300ms", 300),
            ("90s", 90_000),
            ("15m", 900_000),
            ("2h", 7_200_000),
            ("7d", 604_800_000),
            (" 1 h ", 3_600_000),
            ("0s", 0),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for text in [
            "",
            "s",
            "15",
            "-1s",
            "1.5h",
            "1h30m",
            "1 week",
            "15M",
            "4000d",
            "99999999999999999999s",
            "١s",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_both_bases() {
        let cases = [
            ("4GiB", 4 << 30),
            ("512MB", 512_000_000),
            ("20GB", 20_000_000_000),
            ("1kb", 1000),
            ("1kib", 1024),
            ("12 B", 12),
            ("2TiB", 2 << 40),
            ("0", 0),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "4",
            "4G",
            "GiB",
            "-1GB",
            "1.5GB",
            "4 gigabytes",
            "99999999TiB",
        ] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_shortest_exact_form_is_written() {
        for (bytes, text) in [
            (0, "0B"),
            (4 << 30, "4GiB"),
            (20_000_000_000, "20GB"),
            (1025, "1025B"),
        ] {
            assert_eq!(format_size(bytes), text);
        }
        for (text, same) in [("60m", "1h"), ("90s", "90s"), ("24h", "1d"), ("0ms", "0s")] {
            assert_eq!(
                parse_duration(text).map(format_duration),
                Ok(same.to_owned())
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(bytes: u64, milliseconds in 0..=LONGEST) {
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn no_text_is_too_strange(text: String) {
            let _ = (parse_duration(&text), parse_size(&text));
        }
    }
}
